/* show.c - see show.h. */
#include "show.h"

#include <inttypes.h>
#include <stdio.h>

#include "record_json.h"
#include "timetext.h"

static void row(struct table *table, const char *name, lore_slice value) {
    if (value.size == 0) return;
    table_cell(table, name);
    table_bytes(table, value.data, value.size);
}

static void time_row(struct table *table, const lore_memory *memory, lore_attribute attribute,
                     const char *name, int64_t time_us) {
    if ((memory->fields & LORE_FIELD(attribute)) == 0 || time_us == 0) return;
    struct text text = {0};
    time_format(&text, time_us);
    table_cell(table, name);
    table_cell(table, text_string(&text));
    text_free(&text);
}

static void number_rows(struct table *table, const lore_memory *memory) {
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_double(&writer, memory->importance_score);
    table_cell(table, "importance");
    table_cell(table, text_string(&text));
    text_free(&text);
    if (memory->session_id.size > 0) {
        table_cell(table, "position");
        table_uint(table, memory->position);
    }
    if (memory->access_count > 0) {
        table_cell(table, "accesses");
        table_uint(table, memory->access_count);
    }
}

static void list_rows(struct table *table, const lore_memory *memory) {
    struct text text = {0};
    for (size_t i = 0; i < memory->tags_count; i++) {
        if (i > 0) text_puts(&text, ", ");
        text_add(&text, memory->tags[i].data, memory->tags[i].size);
    }
    row(table, "tags", (lore_slice){text_string(&text), text.size});
    row(table, "metadata", memory->metadata);
    for (size_t i = 0; i < memory->embeddings_count; i++) {
        const lore_embedding *embedding = &memory->embeddings[i];
        text_clear(&text);
        text_add(&text, embedding->space.data, embedding->space.size);
        text_printf(&text, ", %zu bytes", embedding->data.size);
        row(table, "embedding", (lore_slice){text_string(&text), text.size});
    }
    text_free(&text);
}

int show_memory(struct cli *cli, const lore_memory *memory) {
    struct table table;
    table_begin(&table, 2);
    row(&table, "id", memory->id);
    row(&table, "kind", memory->kind);
    row(&table, "layer", memory->layer);
    row(&table, "tier", memory->tier);
    row(&table, "status", memory->status);
    row(&table, "user", memory->user_id);
    row(&table, "agent", memory->agent_id);
    row(&table, "session", memory->session_id);
    row(&table, "role", memory->role);
    number_rows(&table, memory);
    time_row(&table, memory, LORE_ATTR_CREATED_AT, "created", memory->created_at_us);
    time_row(&table, memory, LORE_ATTR_UPDATED_AT, "updated", memory->updated_at_us);
    time_row(&table, memory, LORE_ATTR_LAST_ACCESSED_AT, "accessed", memory->last_accessed_at_us);
    time_row(&table, memory, LORE_ATTR_EXPIRES_AT, "expires", memory->expires_at_us);
    list_rows(&table, memory);
    int code = table_end(&table, cli, NULL);
    if (code != 0) return code;
    struct text text = {0};
    text_char(&text, '\n');
    if (cli->terminal) {
        text_add_printable(&text, memory->text.data, memory->text.size, false, 0);
    } else {
        text_add(&text, memory->text.data, memory->text.size);
    }
    text_char(&text, '\n');
    code = print_text(cli, &text);
    text_free(&text);
    return code;
}

static int results_as_json(struct cli *cli, const lore_results *results, bool distances) {
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    size_t count = lore_results_count(results);
    jw_begin_object(&writer);
    jw_key(&writer, "results");
    jw_begin_array(&writer);
    for (size_t i = 0; i < count; i++) {
        lore_hit hit = lore_results_hit(results, i);
        jw_begin_object(&writer);
        record_write(&writer, hit.memory);
        jw_uint_member(&writer, "row", hit.row);
        if (distances) {
            jw_key(&writer, "distance");
            jw_double(&writer, (double)hit.distance);
        }
        jw_end_object(&writer);
    }
    jw_end_array(&writer);
    jw_uint_member(&writer, "count", count);
    jw_end_object(&writer);
    int code = print_json(cli, &text);
    text_free(&text);
    return code;
}

static void result_row(struct table *table, const lore_hit *hit, bool distances) {
    const lore_memory *memory = hit->memory;
    table_bytes(table, memory->id.data, memory->id.size);
    table_time(table, memory->created_at_us);
    table_bytes(table, memory->role.data, memory->role.size);
    if (distances) {
        char digits[32];
        snprintf(digits, sizeof digits, "%.4f", (double)hit->distance);
        table_cell(table, digits);
    }
    table_bytes(table, memory->text.data, memory->text.size);
}

int show_results(struct cli *cli, const lore_results *results, bool distances) {
    static const char *const plain[] = {"ID", "CREATED", "ROLE", "TEXT"};
    static const char *const near[] = {"ID", "CREATED", "ROLE", "DISTANCE", "TEXT"};
    if (cli->json) return results_as_json(cli, results, distances);
    struct table table;
    size_t count = lore_results_count(results);
    table_begin(&table, distances ? 5 : 4);
    for (size_t i = 0; i < count; i++) {
        lore_hit hit = lore_results_hit(results, i);
        result_row(&table, &hit, distances);
    }
    if (count == 0) note(cli, 0, "nothing found");
    return table_end(&table, cli, count == 0 ? NULL : distances ? near : plain);
}
