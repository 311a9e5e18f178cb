/* cmd_stats.c - `lore stats`: every number that the engine keeps. */
#include "commands.h"
#include "output.h"

#include <stddef.h>

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
#define NUMBER(member)                                                                             \
    { #member, offsetof(lore_stats, member) }
    NUMBER(generation),
    NUMBER(last_sequence),
    NUMBER(row_watermark),
    NUMBER(log_files),
    NUMBER(log_bytes),
    NUMBER(table_files),
    NUMBER(table_bytes),
    NUMBER(blob_files),
    NUMBER(blob_bytes),
    NUMBER(blob_garbage_bytes),
    NUMBER(row_files),
    NUMBER(row_bytes),
    NUMBER(row_garbage_bytes),
    NUMBER(levels),
    NUMBER(runs),
    NUMBER(catalog_bytes),
    NUMBER(disk_free_bytes),
    NUMBER(memory_used),
    NUMBER(memory_peak),
    NUMBER(memory_budget),
    NUMBER(memtable_bytes),
    NUMBER(cache_bytes),
    NUMBER(files_open),
    NUMBER(commits),
    NUMBER(groups),
    NUMBER(device_syncs),
    NUMBER(gets),
    NUMBER(blocks_read),
    NUMBER(blocks_hit),
    NUMBER(flushes),
    NUMBER(compactions),
    NUMBER(background_read_bytes),
    NUMBER(background_written_bytes),
    NUMBER(stalls),
    NUMBER(stall_us),
    NUMBER(snapshots_open),
    NUMBER(snapshots_named),
    NUMBER(iterators_open),
    NUMBER(oldest_snapshot_sequence),
    NUMBER(quarantined),
    NUMBER(log_bytes_cut),
#undef NUMBER
};

int cmd_stats(struct cli *cli) {
    lore_store *store;
    lore_stats stats = {.struct_size = sizeof stats};
    int code = store_open(cli, OPEN_READ, &store);
    if (code != 0) return code;
    lore_status status = lore_stats_get(store, &stats);
    if (status != LORE_OK) {
        return store_close(cli, store, fail_status(cli, status, "reading the numbers"));
    }
    struct table table;
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    table_begin(&table, 2);
    jw_begin_object(&writer);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const uint64_t *number = (const void *)((const char *)&stats + numbers[i].offset);
        table_cell(&table, numbers[i].name);
        table_uint(&table, *number);
        jw_uint_member(&writer, numbers[i].name, *number);
    }
    jw_time_member(&writer, "last_commit", stats.last_commit_us);
    jw_bool_member(&writer, "background_running", stats.background_running);
    jw_bool_member(&writer, "compaction_pending", stats.compaction_pending);
    jw_bool_member(&writer, "read_only", stats.read_only);
    jw_string_member(&writer, "poisoned", lore_status_name(stats.poisoned));
    jw_end_object(&writer);
    if (cli->json) {
        table_free(&table);
        code = print_json(cli, &text);
    } else {
        code = table_end(&table, cli, NULL);
    }
    text_free(&text);
    return store_close(cli, store, code);
}
