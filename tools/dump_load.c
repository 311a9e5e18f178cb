/* dump_load.c - see dump_load.h. */
#include "dump_load.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "dump_read.h"
#include "interrupt.h"

static int create_spaces(struct cli *cli, lore_store *store, const struct space_list *spaces) {
    for (size_t i = 0; store != NULL && i < spaces->count; i++) {
        lore_status status =
            lore_space_create(store, spaces->spaces[i]->name, &spaces->spaces[i]->spec);
        if (status != LORE_OK) {
            return fail_status(cli, status, "creating space %s", spaces->spaces[i]->name);
        }
    }
    return 0;
}

static int fail_stopped(struct cli *cli, const struct loader *loader) {
    if (loader->store == NULL) return fail_interrupted(cli, "nothing was written");
    fail_interrupted(cli, "%" PRIu64 " memories and %" PRIu64 " entries had been loaded and stay",
                     loader->written, loader->entries);
    return fail_next(cli, "lore load --merge again   (same ids are replaced)");
}

static int fail_read(struct cli *cli, const char *path, const struct dump_reader *reader,
                     const struct loader *loader, enum dump_result result) {
    if (interrupt_pending()) return fail_stopped(cli, loader);
    if (result == DUMP_STOPPED) {
        errno = reader->source->error;
        return fail_errno(cli, "cannot read %s", path);
    }
    fail_with(cli, EXIT_CORRUPT, LORE_CORRUPTION, "%s: %s", path, text_string(&reader->error));
    if (loader->store != NULL) {
        text_printf(&cli->failure.message,
                    "; %" PRIu64 " memories and %" PRIu64 " entries had been loaded before it",
                    loader->written, loader->entries);
    }
    return fail_next(cli, "take the dump again, then: lore restore FILE   (it checks first)");
}

static int read_items(struct cli *cli, const char *path, struct dump_reader *reader,
                      struct loader *loader, struct progress *progress) {
    int code = 0;
    while (code == 0) {
        struct dump_item item;
        enum dump_result result = dump_read_next(reader, loader_pool(loader), &item);
        switch (result) {
        case DUMP_MEMORY: code = loader_add(loader, &item.memory, reader->source->line); break;
        case DUMP_ENTRY:
            code = loader_add_entry(loader, item.keyspace, item.key, item.value);
            break;
        case DUMP_END: return loader_flush(loader);
        case DUMP_DAMAGED:
        case DUMP_STOPPED:
        case DUMP_FINE:
            code = loader_flush(loader);
            if (code == 0) code = fail_read(cli, path, reader, loader, result);
            break;
        }
        const char *stage = loader->store == NULL ? "check" : "load";
        if (code == 0 &&
            !progress_step(progress, stage, reader->source->taken, reader->source->size)) {
            code = loader_flush(loader);
            if (code == 0) code = fail_stopped(cli, loader);
        }
    }
    return code;
}

int dump_load(struct cli *cli, const char *path, lore_store *store, enum loader_existing existing,
              struct dump_load_result *result) {
    struct source source;
    struct dump_reader reader;
    struct loader loader;
    struct progress progress;
    *result = (struct dump_load_result){0};
    if (!source_open(&source, path)) return fail_input(cli, path);
    uint64_t line_max = config_size(&cli->config, SETTING_MEMORY_BUDGET) * 2;
    if (line_max < DUMP_LINE_BYTES_MIN) line_max = DUMP_LINE_BYTES_MIN;
    loader_begin(&loader, cli, store, existing);
    progress_begin(&progress, cli, "B");
    enum dump_result begun = dump_read_begin(&reader, &source, (size_t)line_max);
    int code = begun == DUMP_FINE ? create_spaces(cli, store, &reader.spaces)
                                  : fail_read(cli, path, &reader, &loader, begun);
    if (code == 0) code = read_items(cli, path, &reader, &loader, &progress);
    progress_end(&progress);
    *result = (struct dump_load_result){
        reader.records, reader.entries, loader.written, loader.skipped, {0}};
    memcpy(result->digest, reader.digest, sizeof result->digest);
    loader_end(&loader);
    dump_read_end(&reader);
    source_close(&source);
    return code;
}
