/*
 * format_vectors_test.c - the bytes printed in docs/format.md against those that the engine writes.
 * The page itself is parsed, so that neither can change without the other.
 *
 *   in the page   ```vector NAME
 *                 6c 6f 72 65 00*12        bytes in hexadecimal; *N: so many of them
 *                 ```
 *
 * Usage: format_vectors_test PAGE            compares; every vector of the page must have been made
 *        format_vectors_test PAGE --print    prints all vectors in that form, for the page
 *
 * Everything that is random or comes from a clock is fixed: identity, time, salt.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/merge.h"
#include "catalog/edits.h"
#include "catalog/schema.h"
#include "memory/access.h"
#include "memory/record.h"
#include "segment/blob.h"
#include "segment/fuse_filter.h"
#include "segment/rows.h"
#include "segment/segment_testing.h"
#include "segment/table_block.h"
#include "store/layout.h"
#include "wal/batch.h"
#include "wal/log_writer.h"

#define CLOCK_US    INT64_C(1700000000000000)
#define VECTORS_MAX 64u

/* ---- the page ---- */

struct page_vector {
    char name[64];
    struct bytes bytes;
    bool made;
};

static struct page_vector page[VECTORS_MAX];
static size_t page_count;
static bool printing;

static void parse_token(const char *token, struct bytes *out) {
    char *end;
    unsigned long byte = strtoul(token, &end, 16);
    assert_true(end == token + 2 && byte <= 255);
    unsigned long times = 1;
    if (*end == '*') times = strtoul(end + 1, &end, 10);
    assert_true(*end == '\0' && times > 0 && times < 1u << 20);
    for (unsigned long i = 0; i < times; i++)
        assert_ok(append_u8(out, (uint8_t)byte));
}

static void parse_page(const char *path) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char line[4096];
    struct page_vector *vector = NULL;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (vector == NULL && strncmp(line, "```vector ", 10) == 0) {
            assert_true(page_count < VECTORS_MAX && strlen(line + 10) < sizeof vector->name);
            vector = &page[page_count++];
            strcpy(vector->name, line + 10);
            vector->bytes = bytes_empty(env_posix()->allocator);
        } else if (strncmp(line, "```", 3) == 0) {
            vector = NULL;
        } else if (vector != NULL) {
            for (char *token = strtok(line, " "); token != NULL; token = strtok(NULL, " "))
                parse_token(token, &vector->bytes);
        }
    }
    fclose(file);
}

static void free_page(void) {
    for (size_t i = 0; i < page_count; i++)
        bytes_free(&page[i].bytes);
}

static void print_vector(FILE *to, const char *name, lore_slice data) {
    fprintf(to, "```vector %s\n", name);
    const uint8_t *p = data.data;
    size_t column = 0;
    for (size_t i = 0; i < data.size;) {
        size_t run = 1;
        while (i + run < data.size && p[i + run] == p[i])
            run++;
        if (run < 8) run = 1;
        char token[32];
        int size = run > 1 ? snprintf(token, sizeof token, "%02x*%zu", p[i], run)
                           : snprintf(token, sizeof token, "%02x", p[i]);
        if (column > 0 && column + (size_t)size > 96) column = (fputc('\n', to), 0);
        column += (size_t)fprintf(to, "%s%s", column > 0 ? " " : "", token);
        i += run;
    }
    fprintf(to, "\n```\n\n");
}

static void page_is_wrong(const char *name, const char *how) {
    fprintf(stderr, "docs/format.md: vector %s %s\n", name, how);
    assert_true(false);
}

/* The engine wrote `data`: the page must show the same under `name`. */
static void vector_is(const char *name, lore_slice data) {
    if (printing) {
        print_vector(stdout, name, data);
        return;
    }
    for (size_t i = 0; i < page_count; i++) {
        if (strcmp(page[i].name, name) != 0) continue;
        page[i].made = true;
        if (slice_equal(bytes_slice(&page[i].bytes), data)) return;
        fprintf(stderr, "docs/format.md shows other bytes; the engine writes:\n");
        print_vector(stderr, name, data);
        page_is_wrong(name, "differs");
    }
    page_is_wrong(name, "is missing");
}

/* ---- a world in which nothing is left to chance ---- */

static int64_t fixed_now_us(struct sys *sys) {
    (void)sys;
    return CLOCK_US;
}

static lore_status fixed_random(struct sys *sys, void *data, size_t size) {
    (void)sys;
    memset(data, 0x5a, size);
    return LORE_OK;
}

struct world {
    struct segment_fixture segments;
    struct sys_ops ops;
    struct sys sys;
    lore_env env;
    const struct allocator *allocator;
    struct bytes out; /* scratch */
};

static int world_setup(void **state) {
    struct world *world = test_calloc(1, sizeof *world);
    segment_fixture_init(&world->segments);
    world->ops = *env_posix()->sys->ops;
    world->ops.now_us = fixed_now_us;
    world->ops.random = fixed_random;
    world->sys.ops = &world->ops;
    world->allocator = env_posix()->allocator;
    world->env = world->segments.env;
    world->env.sys = &world->sys;
    world->segments.context.env = &world->env;
    world->out = bytes_empty(world->allocator);
    *state = world;
    return 0;
}

static int world_teardown(void **state) {
    struct world *world = *state;
    bytes_free(&world->out);
    segment_fixture_deinit(&world->segments);
    test_free(world);
    return 0;
}

static void file_is(struct world *world, const char *name, const char *path) {
    assert_ok(fs_read_file(&world->env, path, 1u << 20, &world->out));
    vector_is(name, bytes_slice(&world->out));
}

static lore_slice text(const char *string) {
    return lore_slice_of(string);
}

/* A key in keyspace 1. */
static lore_slice key_of(uint8_t out[64], const char *string) {
    size_t size = strlen(string);
    assert_true(size <= 60);
    put_be32(out, 1);
    memcpy(out + 4, string, size);
    return slice(out, size + 4);
}

/* ---- numbers, checks, CURRENT ---- */

static void numbers(void **state) {
    struct world *world = *state;
    const uint64_t values[] = {0, 127, 128, 300, UINT64_MAX};
    bytes_clear(&world->out);
    for (size_t i = 0; i < 5; i++)
        assert_ok(append_varint(&world->out, values[i]));
    vector_is("varints", bytes_slice(&world->out));
    bytes_clear(&world->out);
    assert_ok(append_u64(&world->out, check64("lore", 4)));
    assert_ok(append_u64(&world->out, check64_seeded("lore", 4, 42)));
    struct digest128 digest = digest128_of("lore", 4);
    assert_ok(bytes_append(&world->out, digest.bytes, 16));
    vector_is("checks", bytes_slice(&world->out));
}

static void current_line(void **state) {
    struct world *world = *state;
    struct current current = {.generation = 1};
    memset(current.store_id, 7, 16);
    assert_ok(current_replace(&world->env, "g", false, &current));
    file_is(world, "current", "g/CURRENT");
}

/* ---- logs ---- */

static void add_operand(uint8_t operand[ACCESS_VALUE_BYTES]) {
    access_encode(operand, 3, CLOCK_US);
}

static void make_batch(struct batch *batch) {
    uint8_t key[64], end[64], operand[ACCESS_VALUE_BYTES], vector_key[VECTOR_KEY_BYTES];
    add_operand(operand);
    vector_key_encode(1, 0, vector_key);
    assert_ok(batch_put(batch, key_of(key, "a"), text("one")));
    assert_ok(batch_delete(batch, key_of(key, "b")));
    assert_ok(batch_delete_range(batch, key_of(key, "c"), key_of(end, "e")));
    assert_ok(batch_merge(batch, key_of(key, "f"), slice(operand, sizeof operand)));
    assert_int_equal(batch_take_row(batch), 0);
    assert_ok(batch_vector(batch, slice(vector_key, sizeof vector_key), slice("\1\2\3\4", 4)));
    assert_ok(batch_row_in_key(batch, 8));
    batch_seal(batch, 10, 5);
}

static void logs(void **state) {
    struct world *world = *state;
    struct batch batch;
    batch_init(&batch, world->allocator);
    make_batch(&batch);
    vector_is("batch", bytes_slice(&batch.payload));

    struct log_writer_config config = {&world->env, world->allocator, false, 0};
    struct log_header header = {.family = LOG_FAMILY_WAL,
                                .identity = world->segments.context.identity,
                                .number = 2,
                                .predecessor_number = 1,
                                .predecessor_length = 256,
                                .predecessor_sequence = 9,
                                .first_sequence = 10,
                                .created_at_us = CLOCK_US};
    struct log_writer *log;
    assert_ok(log_writer_create(&config, "g/log-0000000002", &header, &log));
    assert_ok(log_writer_add(log, LOG_BATCH, CLOCK_US + 1, bytes_slice(&batch.payload), NULL));
    assert_ok(log_writer_write(log));
    assert_ok(log_writer_sync(log));
    assert_ok(log_writer_close(log, CLOCK_US + 1));
    log_writer_destroy(log);
    batch_deinit(&batch);
    file_is(world, "log", "g/log-0000000002");
}

/* ---- the catalog ---- */

static void put_record(struct edits *edits, char tag, struct bytes *value) {
    struct catalog_key key = schema_key(tag);
    assert_ok(edits_checkpoint_put(edits, catalog_key_slice(&key), bytes_slice(value)));
}

static void edits_file(void **state) {
    struct world *world = *state;
    struct edits_place place = {&world->env, world->allocator, "g", false};
    const struct identity *identity = &world->segments.context.identity;
    struct counters_record counters = {1, 1, 1, 1};
    struct facts_record facts = {.format_version = 1, .generation = 1, .created_at_us = CLOCK_US};
    struct log_record_state log = {.first_log = 1};
    struct edits *edits;
    assert_ok(edits_begin(&place, identity, 1, NULL, &edits));
    assert_ok(counters_record_encode(&counters, &world->out));
    put_record(edits, 'C', &world->out);
    assert_ok(facts_record_encode(&facts, &world->out));
    put_record(edits, 'F', &world->out);
    assert_ok(log_record_state_encode(&log, &world->out));
    put_record(edits, 'L', &world->out);
    assert_ok(edits_checkpoint_end(edits, 1, edits_first_history(identity)));

    struct catalog_edit edit;
    catalog_edit_init(&edit, world->allocator);
    assert_ok(catalog_edit_put(&edit, text("Knote"), text("free")));
    assert_ok(catalog_edit_delete(&edit, text("Kother")));
    assert_ok(edits_append(edits, bytes_slice(&edit.encoded)));
    catalog_edit_deinit(&edit);
    edits_close(edits);
    assert_ok(fs_read_file(&world->env, "g/edits-0000000001", 1u << 20, &world->out));
    /* The space taken ahead is no part of the format. */
    while (get_u64(world->out.data + world->out.size - 8) == 0)
        world->out.size -= 8;
    vector_is("edits", bytes_slice(&world->out));
}

static void small_records(void **state) {
    struct world *world = *state;
    struct bytes *out = &world->out;
    struct facts_record facts = {.format_version = 1,
                                 .generation = 2,
                                 .created_at_us = CLOCK_US,
                                 .parent_sequence = 77,
                                 .sealed = true,
                                 .row_watermark = 5,
                                 .last_sequence = 99,
                                 .last_commit_us = CLOCK_US + 1};
    memset(facts.parent_lineage, 8, 16);
    assert_ok(facts_record_encode(&facts, out));
    vector_is("record-F", bytes_slice(out));
    struct counters_record counters = {65, 33, 3, 2};
    assert_ok(counters_record_encode(&counters, out));
    vector_is("record-C", bytes_slice(out));
    struct log_record_state log = {4, 1000, 12, CLOCK_US};
    assert_ok(log_record_state_encode(&log, out));
    vector_is("record-L", bytes_slice(out));
    struct named_snapshot_record snapshot = {500, 7, CLOCK_US, CLOCK_US + 2};
    assert_ok(named_snapshot_record_encode(&snapshot, out));
    vector_is("record-N", bytes_slice(out));
}

static void records_with_strings(void **state) {
    struct world *world = *state;
    struct bytes *out = &world->out;
    struct job_record job = {.input_level = 0,
                             .output_level = 1,
                             .output_run = 9,
                             .output_run_order = 9,
                             .inputs = {3, 4},
                             .inputs_count = 2,
                             .drop_deletes = true,
                             .done = bytes_empty(world->allocator)};
    uint8_t key[64];
    assert_ok(bytes_set(&job.done, key_of(key, "m")));
    assert_ok(job_record_encode(&job, out));
    vector_is("record-J", bytes_slice(out));
    job_record_deinit(&job);
    struct space_record space = {1, 384, LORE_ELEMENT_F16, LORE_METRIC_COSINE,
                                 bytes_empty(world->allocator)};
    assert_ok(bytes_set(&space.model, text("minilm")));
    assert_ok(space_record_encode(&space, out));
    vector_is("record-E", bytes_slice(out));
    space_record_deinit(&space);
    struct quarantine_record quarantine = {
        QUARANTINE_FOREIGN_FILE,      70, 0, 4096, CLOCK_US, bytes_empty(world->allocator),
        bytes_empty(world->allocator)};
    assert_ok(bytes_set(&quarantine.file, text("quarantine/000000000070.blob")));
    assert_ok(bytes_set(&quarantine.reason, text("foreign")));
    assert_ok(quarantine_record_encode(&quarantine, out));
    vector_is("record-Q", bytes_slice(out));
    quarantine_record_deinit(&quarantine);
}

static void segment_record_is(struct world *world, const char *name,
                              const struct segment_summary *summary, const char *cut) {
    struct segment_record record = {.state = SEGMENT_LIVE,
                                    .level = 1,
                                    .run = 6,
                                    .run_order = 6,
                                    .cut = bytes_empty(world->allocator)};
    uint8_t key[64];
    if (cut != NULL) assert_ok(bytes_set(&record.cut, key_of(key, cut)));
    segment_summary_init(&record.summary, world->allocator);
    assert_ok(segment_summary_copy(&record.summary, summary));
    assert_ok(segment_record_encode(&record, &world->out));
    vector_is(name, bytes_slice(&world->out));
    segment_record_deinit(&record);
}

/* ---- segments ---- */

static void add(struct table_builder *table, const char *key, uint64_t sequence,
                enum entry_kind kind, lore_slice value) {
    uint8_t bytes[64];
    struct entry entry = {key_of(bytes, key), sequence, kind, value};
    assert_ok(table_builder_add(table, &entry));
}

static void table_file_vector(void **state) {
    struct world *world = *state;
    const uint64_t inputs[] = {8, 9};
    struct table_builder_config config = {.id = 12,
                                          .level = 1,
                                          .block_bytes = 4096,
                                          .compression = LORE_COMPRESSION_NONE,
                                          .inputs = inputs,
                                          .inputs_count = 2};
    struct table_builder *table;
    assert_ok(table_builder_create(&world->segments.context, &config, &table));
    uint8_t operand[ACCESS_VALUE_BYTES], reference[VALUE_REF_BYTES], key[64], end[64];
    add_operand(operand);
    value_ref_encode(&(struct value_ref){13, 0, 2000}, reference);
    add(table, "apple", 7, ENTRY_PUT, text("new"));
    add(table, "apple", 3, ENTRY_PUT, text("old"));
    add(table, "apricot", 4, ENTRY_DELETE, text(""));
    add(table, "big", 5, ENTRY_PUT_BLOB, slice(reference, sizeof reference));
    add(table, "count", 6, ENTRY_MERGE, slice(operand, sizeof operand));
    struct entry range = {key_of(key, "d"), 8, ENTRY_RANGE_DELETE, key_of(end, "f")};
    assert_ok(table_builder_add_range_delete(table, &range));
    struct segment_summary summary;
    assert_ok(table_builder_finish(table, &summary));
    table_builder_destroy(table);
    file_is(world, "table", "g/000000000012.table");
    segment_record_is(world, "record-S", &summary, "b");
    segment_summary_deinit(&summary);
}

static void blob_file_vector(void **state) {
    struct world *world = *state;
    struct blob_builder_config config = {.id = 13, .compression = LORE_COMPRESSION_NONE};
    struct blob_builder *blob;
    assert_ok(blob_builder_create(&world->segments.context, &config, &blob));
    uint8_t key[64], value[2000];
    memset(value, 'x', sizeof value);
    struct value_ref ref;
    assert_ok(blob_builder_add(blob, key_of(key, "big"), 5, slice(value, sizeof value), &ref));
    assert_ok(blob_builder_add(blob, key_of(key, "pig"), 9, slice(value, 1500), &ref));
    struct segment_summary summary;
    assert_ok(blob_builder_finish(blob, &summary));
    blob_builder_destroy(blob);
    file_is(world, "blob", "g/000000000013.blob");
    segment_summary_deinit(&summary);
}

static void rows_file_vector(void **state) {
    struct world *world = *state;
    struct rows_builder_config config = {.id = 14, .space = 1, .stride_bytes = 4};
    struct rows_builder *rows;
    assert_ok(rows_builder_create(&world->segments.context, &config, &rows));
    struct value_ref ref;
    for (uint8_t i = 0; i < 3; i++) {
        const uint8_t vector[4] = {i, 1, 2, 3};
        assert_ok(rows_builder_add(rows, 5u + i, 20u + i, vector, &ref));
    }
    struct segment_summary summary;
    assert_ok(rows_builder_finish(rows, &summary));
    rows_builder_destroy(rows);
    file_is(world, "rows", "g/000000000014.rows");
    segment_summary_deinit(&summary);
}

/* More blocks than a root holds, so that there is a level of pages: vectors of 16 KiB, one to a
 * block. */
static void check_tree_vector(void **state) {
    struct world *world = *state;
    enum { COUNT = 33, STRIDE = 16384 };
    struct rows_builder_config config = {.id = 15, .space = 1, .stride_bytes = STRIDE};
    struct rows_builder *rows;
    assert_ok(rows_builder_create(&world->segments.context, &config, &rows));
    static uint8_t vector[STRIDE];
    struct value_ref ref;
    for (uint32_t i = 0; i < COUNT; i++) {
        memset(vector, (int)i, sizeof vector);
        assert_ok(rows_builder_add(rows, i, i + 1, vector, &ref));
    }
    struct segment_summary summary;
    assert_ok(rows_builder_finish(rows, &summary));
    rows_builder_destroy(rows);
    file_is(world, "rows-tree", "g/000000000015.rows");
    segment_summary_deinit(&summary);
}

static void sorted_block(void **state) {
    struct world *world = *state;
    struct table_block_builder block;
    table_block_builder_init(&block, world->allocator, TABLE_RESTART_INTERVAL, true);
    for (uint64_t i = 0; i < 18; i++) {
        char name[16];
        uint8_t bytes[64];
        snprintf(name, sizeof name, "key-%02u", (unsigned)i);
        lore_slice key = key_of(bytes, name);
        assert_ok(table_block_builder_add(&block, key, entry_pack(i + 1, ENTRY_PUT), text("v"),
                                          check64(key.data, key.size)));
    }
    lore_slice raw;
    assert_ok(table_block_builder_finish(&block, &raw));
    vector_is("sorted-block", raw);
    table_block_builder_deinit(&block);
}

static void filter(void **state) {
    struct world *world = *state;
    uint64_t hashes[6];
    for (size_t i = 0; i < 6; i++) {
        uint8_t bytes[64];
        char name[8] = {'k', (char)('0' + (int)i), 0};
        lore_slice key = key_of(bytes, name);
        hashes[i] = check64(key.data, key.size);
    }
    bytes_clear(&world->out);
    assert_ok(fuse_filter_build(world->allocator, hashes, 6, &world->out));
    vector_is("filter", bytes_slice(&world->out));
}

/* ---- memories ---- */

static void memory_keys(void **state) {
    struct world *world = *state;
    struct bytes all = bytes_empty(world->allocator), *key = &world->out;
    assert_ok(key_index_text(key, LORE_ATTR_KIND, slice("a\0b", 3)));
    assert_ok(append_be64(key, 5));
    assert_ok(append_prefixed(&all, bytes_slice(key)));
    assert_ok(key_index_integer(key, LORE_ATTR_CREATED_AT, -1));
    assert_ok(append_be64(key, 5));
    assert_ok(append_prefixed(&all, bytes_slice(key)));
    assert_ok(key_index_number(key, LORE_ATTR_IMPORTANCE, 0.5));
    assert_ok(append_be64(key, 5));
    assert_ok(append_prefixed(&all, bytes_slice(key)));
    assert_ok(key_session(key, text("s"), 2));
    assert_ok(append_be64(key, 5));
    assert_ok(append_prefixed(&all, bytes_slice(key)));
    assert_ok(key_id(key, text("id")));
    assert_ok(append_prefixed(&all, bytes_slice(key)));
    assert_ok(key_record(key, 5, RECORD_TEXT));
    assert_ok(append_prefixed(&all, bytes_slice(key)));
    assert_ok(key_access(key, text("id")));
    assert_ok(append_prefixed(&all, bytes_slice(key)));
    assert_ok(key_dead(key, 4));
    assert_ok(append_prefixed(&all, bytes_slice(key)));
    assert_ok(key_head(key, text("s")));
    assert_ok(append_prefixed(&all, bytes_slice(key)));
    vector_is("memory-keys", bytes_slice(&all));
    bytes_free(&all);
}

static void memory_attributes(void **state) {
    struct world *world = *state;
    lore_memory memory;
    lore_memory_init(&memory);
    const lore_slice tags[] = {text("x"), text("y")};
    memory.id = text("id");
    memory.kind = text("fact");
    memory.session_id = text("s");
    memory.role = text("user");
    memory.tags = tags;
    memory.tags_count = 2;
    memory.metadata = text("{}");
    memory.created_at_us = CLOCK_US;
    memory.updated_at_us = CLOCK_US + 1;
    memory.expires_at_us = CLOCK_US + 2;
    memory.position = 2;
    const uint32_t spaces[] = {1, 3};
    assert_ok(attributes_encode(&world->out, &memory, spaces, 2));
    vector_is("attributes", bytes_slice(&world->out));
    uint8_t access[ACCESS_VALUE_BYTES];
    access_encode(access, 3, CLOCK_US);
    vector_is("access", slice(access, sizeof access));
}

/* ---- all of the page ---- */

static void every_vector_was_made(void **state) {
    (void)state;
    for (size_t i = 0; i < page_count && !printing; i++)
        if (!page[i].made) page_is_wrong(page[i].name, "is made by nothing");
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: format_vectors_test PAGE [--print]\n");
        return 1;
    }
    printing = argc > 2 && strcmp(argv[2], "--print") == 0;
    parse_page(argv[1]);
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(numbers),
        IN_A_WORLD(current_line),
        IN_A_WORLD(logs),
        IN_A_WORLD(edits_file),
        IN_A_WORLD(small_records),
        IN_A_WORLD(records_with_strings),
        IN_A_WORLD(table_file_vector),
        IN_A_WORLD(blob_file_vector),
        IN_A_WORLD(rows_file_vector),
        IN_A_WORLD(check_tree_vector),
        IN_A_WORLD(sorted_block),
        IN_A_WORLD(filter),
        IN_A_WORLD(memory_keys),
        IN_A_WORLD(memory_attributes),
        cmocka_unit_test(every_vector_was_made),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free_page();
    return failed;
}
