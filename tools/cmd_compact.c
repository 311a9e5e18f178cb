/* cmd_compact.c - `lore compact`: merge everything into the last level and drop what is dead. */
#include "commands.h"
#include "output.h"
#include "progress.h"
#include "sizetext.h"

static uint64_t bytes_of(const lore_stats *stats) {
    return stats->log_bytes + stats->table_bytes + stats->blob_bytes + stats->row_bytes;
}

static int answer(struct cli *cli, uint64_t before, uint64_t after) {
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    int code = 0;
    if (cli->json) {
        jw_begin_object(&writer);
        jw_uint_member(&writer, "bytes_before", before);
        jw_uint_member(&writer, "bytes_after", after);
        jw_end_object(&writer);
        code = print_json(cli, &text);
    } else {
        size_format(&text, before);
        text_puts(&text, " before, ");
        size_format(&text, after);
        text_puts(&text, " after");
        note(cli, 0, "%s", text.data);
    }
    text_free(&text);
    return code;
}

int cmd_compact(struct cli *cli) {
    lore_store *store;
    struct progress progress;
    lore_stats before = {.struct_size = sizeof before}, after = {.struct_size = sizeof after};
    int code = store_open(cli, OPEN_WRITE, &store);
    if (code != 0) return code;
    progress_begin(&progress, cli, "B");
    lore_status status = lore_stats_get(store, &before);
    if (status == LORE_OK) status = lore_compact(store, progress_update, &progress);
    if (status == LORE_OK) status = lore_stats_get(store, &after);
    progress_end(&progress);
    code = status == LORE_OK ? answer(cli, bytes_of(&before), bytes_of(&after))
                             : fail_status(cli, status, "compacting %s", memory_path(cli));
    return store_close(cli, store, code);
}
