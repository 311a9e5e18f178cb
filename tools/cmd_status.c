/* cmd_status.c - `lore status`: what a person wants to know of a store, in one screen. */
#include "commands.h"
#include "output.h"
#include "sizetext.h"
#include "spaces.h"
#include "timetext.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

struct report {
    struct cli *cli;
    lore_store *store;
    struct table table;
    struct text json;
    struct json_writer writer;
    struct text values; /* of the attribute being listed */
};

static void row(struct report *report, const char *name, const char *value) {
    table_cell(&report->table, name);
    table_bytes(&report->table, value, strlen(value));
    jw_string_member(&report->writer, name, value);
}

static void row_uint(struct report *report, const char *name, uint64_t value) {
    table_cell(&report->table, name);
    table_uint(&report->table, value);
    jw_uint_member(&report->writer, name, value);
}

static void row_size(struct report *report, const char *name, uint64_t bytes) {
    struct text text = {0};
    size_format(&text, bytes);
    table_cell(&report->table, name);
    table_cell(&report->table, text_string(&text));
    jw_uint_member(&report->writer, name, bytes);
    text_free(&text);
}

static void row_hex(struct report *report, const char *name, const uint8_t *bytes) {
    struct text text = {0};
    hex_format(&text, bytes, 16);
    row(report, name, text_string(&text));
    text_free(&text);
}

static bool on_value(void *context, lore_slice value, uint64_t count) {
    struct report *report = context;
    if (report->values.size > 0) text_puts(&report->values, ", ");
    text_add(&report->values, value.data, value.size);
    text_printf(&report->values, " %" PRIu64, count);
    jw_begin_object(&report->writer);
    jw_bytes_member(&report->writer, "value", value.data, value.size);
    jw_uint_member(&report->writer, "count", count);
    jw_end_object(&report->writer);
    return true;
}

static lore_status row_values(struct report *report, const char *name, lore_attribute attribute) {
    text_clear(&report->values);
    jw_key(&report->writer, name);
    jw_begin_array(&report->writer);
    lore_status status = lore_values(report->store, NULL, attribute, on_value, report);
    jw_end_array(&report->writer);
    table_cell(&report->table, name);
    table_bytes(&report->table, text_string(&report->values), report->values.size);
    return status;
}

static lore_status row_spaces(struct report *report) {
    struct space_list spaces;
    struct text text = {0};
    lore_status status = space_list_read(report->store, &spaces);
    jw_key(&report->writer, "spaces");
    jw_begin_array(&report->writer);
    for (size_t i = 0; i < spaces.count; i++) {
        const struct space *space = spaces.spaces[i];
        if (i > 0) text_puts(&text, ", ");
        text_printf(&text, "%s (%" PRIu32 " x %s, %s)", space->name, space->spec.dimensions,
                    element_name(space->spec.element), metric_name(space->spec.metric));
        jw_begin_object(&report->writer);
        jw_string_member(&report->writer, "name", space->name);
        jw_uint_member(&report->writer, "dimensions", space->spec.dimensions);
        jw_string_member(&report->writer, "element", element_name(space->spec.element));
        jw_string_member(&report->writer, "metric", metric_name(space->spec.metric));
        jw_bytes_member(&report->writer, "model", space->model, space->spec.model.size);
        jw_end_object(&report->writer);
    }
    jw_end_array(&report->writer);
    table_cell(&report->table, "spaces");
    table_bytes(&report->table, text_string(&text), text.size);
    text_free(&text);
    space_list_free(&spaces);
    return status;
}

/* The note that `lore backup` leaves. */
static lore_status row_last_backup(struct report *report) {
    lore_buffer buffer = {0};
    lore_status status = lore_note_get(report->store, "last_backup", &buffer);
    json_t *object = status == LORE_OK ? json_loadb(buffer.data, buffer.size, 0, NULL) : NULL;
    const char *time = json_string_value(json_object_get(object, "time"));
    const char *path = json_string_value(json_object_get(object, "path"));
    table_cell(&report->table, "last_backup");
    if (time != NULL && path != NULL) {
        struct text text = {0};
        text_printf(&text, "%s in %s", time, path);
        table_bytes(&report->table, text.data, text.size);
        text_free(&text);
    } else {
        table_cell(&report->table, "none");
    }
    jw_key(&report->writer, "last_backup");
    if (time != NULL && path != NULL) {
        jw_begin_object(&report->writer);
        jw_string_member(&report->writer, "time", time);
        jw_string_member(&report->writer, "path", path);
        jw_end_object(&report->writer);
    } else {
        jw_null(&report->writer);
    }
    json_decref(object);
    lore_buffer_free(&buffer);
    return status == LORE_NOT_FOUND ? LORE_OK : status;
}

static lore_status row_lock_owner(struct report *report) {
    lore_buffer owner = {0};
    lore_options options;
    store_options(report->cli, &options);
    lore_status status = lore_lock_owner(memory_path(report->cli), &options, &owner);
    table_cell(&report->table, "lock_owner");
    jw_key(&report->writer, "lock_owner");
    if (status == LORE_OK) {
        table_bytes(&report->table, owner.data, owner.size);
        if (text_is_utf8(owner.data, owner.size)) {
            jw_string(&report->writer, owner.data, owner.size);
        } else {
            jw_null(&report->writer);
        }
    } else {
        table_cell(&report->table, "none");
        jw_null(&report->writer);
    }
    lore_buffer_free(&owner);
    return status == LORE_NOT_FOUND ? LORE_OK : status;
}

static void rows_of_stats(struct report *report, const lore_stats *stats) {
    row_size(report, "log_bytes", stats->log_bytes);
    row_size(report, "table_bytes", stats->table_bytes);
    row_size(report, "blob_bytes", stats->blob_bytes);
    row_size(report, "row_bytes", stats->row_bytes);
    row_size(report, "catalog_bytes", stats->catalog_bytes);
    row_size(report, "disk_free_bytes", stats->disk_free_bytes);
    row_uint(report, "quarantined", stats->quarantined);
    row_uint(report, "named_snapshots", stats->snapshots_named);
    row_uint(report, "oldest_snapshot_sequence", stats->oldest_snapshot_sequence);
    row(report, "compaction",
        stats->background_running   ? "running"
        : stats->compaction_pending ? "pending"
                                    : "none");
    row_uint(report, "stalls", stats->stalls);
    row_uint(report, "stall_us", stats->stall_us);
    row(report, "poisoned", stats->poisoned == LORE_OK ? "no" : lore_status_name(stats->poisoned));
}

static lore_status fill(struct report *report) {
    lore_stats stats = {.struct_size = sizeof stats};
    lore_query query;
    uint64_t memories = 0;
    lore_query_init(&query);
    lore_status status = lore_stats_get(report->store, &stats);
    if (status == LORE_OK) status = lore_count(report->store, NULL, &query, &memories);
    if (status != LORE_OK) return status;
    row(report, "version", lore_version());
    row(report, "path", memory_path(report->cli));
    row_hex(report, "store_id", stats.store_id);
    row_hex(report, "lineage", stats.lineage);
    row_uint(report, "generation", stats.generation);
    row_uint(report, "sequence", stats.last_sequence);
    struct text time = {0};
    if (stats.last_commit_us != 0) time_format(&time, stats.last_commit_us);
    row(report, "last_commit", stats.last_commit_us == 0 ? "never" : text_string(&time));
    text_free(&time);
    row_uint(report, "memories", memories);
    status = row_values(report, "kinds", LORE_ATTR_KIND);
    if (status == LORE_OK) status = row_values(report, "layers", LORE_ATTR_LAYER);
    if (status == LORE_OK) status = row_values(report, "tiers", LORE_ATTR_TIER);
    if (status == LORE_OK) status = row_spaces(report);
    if (status == LORE_OK) rows_of_stats(report, &stats);
    if (status == LORE_OK) status = row_last_backup(report);
    if (status == LORE_OK) status = row_lock_owner(report);
    return status;
}

int cmd_status(struct cli *cli) {
    struct report report = {.cli = cli};
    int code = store_open(cli, OPEN_READ, &report.store);
    if (code != 0) return code;
    report.writer.out = &report.json;
    table_begin(&report.table, 2);
    jw_begin_object(&report.writer);
    lore_status status = fill(&report);
    jw_end_object(&report.writer);
    if (status != LORE_OK)
        code = fail_status(cli, status, "reading the status of %s", memory_path(cli));
    if (code == 0 && cli->json) code = print_json(cli, &report.json);
    if (code == 0 && !cli->json) code = table_end(&report.table, cli, NULL);
    table_free(&report.table);
    text_free(&report.json);
    text_free(&report.values);
    return store_close(cli, report.store, code);
}
