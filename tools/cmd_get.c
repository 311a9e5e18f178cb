/* cmd_get.c - `lore get ID...`: memories in full. With --json one id gives the memory itself, and
 * several give {"memories":[..],"count":N,"not_found":[..]}. */
#include "commands.h"
#include "filters.h"
#include "record_json.h"
#include "show.h"

#include <string.h>

struct getting {
    struct cli *cli;
    lore_store *store;
    bool several;
    size_t found;
    struct text memories, missing; /* members of the arrays, with commas between */
};

static int show(struct getting *getting, const lore_memory *memory) {
    if (!getting->cli->json) return show_memory(getting->cli, memory);
    struct json_writer writer = {.out = &getting->memories, .comma = getting->memories.size > 0};
    jw_begin_object(&writer);
    record_write(&writer, memory);
    jw_end_object(&writer);
    return 0;
}

static int get_one(struct getting *getting, const char *id) {
    struct cli *cli = getting->cli;
    lore_record *record = NULL;
    lore_status status =
        lore_memory_get(getting->store, NULL, lore_slice_of(id), read_flags(cli), &record);
    if (status == LORE_NOT_FOUND) {
        struct json_writer writer = {.out = &getting->missing, .comma = getting->missing.size > 0};
        if (text_is_utf8(id, strlen(id))) jw_cstring(&writer, id);
        fail_with(cli, EXIT_NOT_FOUND, LORE_NOT_FOUND, "no memory \"%s\" in %s", id,
                  memory_path(cli));
        return fail_next(cli, "lore search --memory-path %s", quoted(cli, memory_path(cli)));
    }
    if (status != LORE_OK) return fail_status(cli, status, "reading %s", id);
    int code = show(getting, lore_record_memory(record));
    lore_record_destroy(record);
    getting->found += code == 0;
    return code;
}

static int answer(struct getting *getting) {
    struct text document = {0};
    struct json_writer writer = {.out = &document};
    if (!getting->several) return print_json(getting->cli, &getting->memories);
    text_printf(&document, "{\"memories\":[%s]", text_string(&getting->memories));
    writer.comma = true;
    jw_uint_member(&writer, "count", getting->found);
    text_printf(&document, ",\"not_found\":[%s]}", text_string(&getting->missing));
    return print_json(getting->cli, &document);
}

int cmd_get(struct cli *cli) {
    struct getting getting = {.cli = cli, .several = cli->args.operands_count > 1};
    enum open_mode mode = args_flag(&cli->args, "no-access") ? OPEN_READ : OPEN_WRITE_OR_READ;
    int worst = 0, code = store_open(cli, mode, &getting.store);
    if (code != 0) return code;
    for (size_t i = 0; i < cli->args.operands_count; i++) {
        code = get_one(&getting, cli->args.operands[i]);
        if (code != 0) worst = code;
        if (code != 0 && code != EXIT_NOT_FOUND) break;
    }
    if (worst == EXIT_NOT_FOUND && getting.found > 0) worst = cli->failure.exit_code = EXIT_PARTIAL;
    if (cli->json && (getting.several || worst == 0)) answer(&getting);
    text_free(&getting.memories);
    text_free(&getting.missing);
    return store_close(cli, getting.store, worst);
}
