/*
 * table_test.c - tables against a sorted array: what is built is what is read, every way of reading
 * it, and damage and failures are never taken for content.
 */
#include "segment/segment_testing.h"

#include <stdio.h>

#include "base/arena.h"
#include "segment/table_format.h"

/* ---- the model ---- */

struct model {
    struct arena arena;
    struct entry *entries; /* sorted */
    size_t count;
    struct entry *ranges; /* by begin */
    size_t ranges_count;
};

static int compare_entries(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    int order = slice_compare(x->key, y->key);
    if (order != 0) return order;
    return x->sequence > y->sequence ? -1 : x->sequence < y->sequence;
}

static void model_init(struct model *model, size_t capacity) {
    memset(model, 0, sizeof *model);
    arena_init(&model->arena, env_posix()->allocator, 65536);
    model->entries = calloc(capacity + 1, sizeof *model->entries);
    model->ranges = calloc(capacity + 1, sizeof *model->ranges);
    assert_non_null(model->entries);
    assert_non_null(model->ranges);
}

static void model_deinit(struct model *model) {
    arena_deinit(&model->arena);
    free(model->entries);
    free(model->ranges);
}

static lore_slice keep(struct model *model, const void *data, size_t size) {
    void *memory;
    assert_ok(arena_get(&model->arena, size + 1, 1, &memory));
    if (size > 0) memcpy(memory, data, size);
    return slice(memory, size);
}

static lore_slice random_bytes(struct model *model, uint64_t *seed, size_t size, bool is_text) {
    void *memory;
    assert_ok(arena_get(&model->arena, size + 1, 1, &memory));
    uint8_t *bytes = memory;
    for (size_t i = 0; i < size; i++)
        bytes[i] = is_text ? (uint8_t)('a' + test_random(seed) % 3) : (uint8_t)test_random(seed);
    return slice(bytes, size);
}

struct shape {
    size_t entries;
    size_t key_bytes_max, value_bytes_max;
    uint64_t versions; /* of a key, about */
    uint32_t block_bytes;
    lore_compression compression;
    bool high_compression;
    size_t ranges;
};

static enum entry_kind random_kind(uint64_t *seed) {
    static const enum entry_kind kinds[] = {ENTRY_PUT, ENTRY_DELETE, ENTRY_MERGE, ENTRY_PUT_BLOB,
                                            ENTRY_VECTOR_ROW};
    return kinds[test_random(seed) % 5];
}

static lore_slice random_key(struct model *model, uint64_t *seed, size_t bytes_max) {
    size_t size = KEYSPACE_BYTES + test_random(seed) % (bytes_max - KEYSPACE_BYTES + 1);
    lore_slice key = random_bytes(model, seed, size, true);
    uint8_t keyspace[] = {0, 0, 0, (uint8_t)(test_random(seed) % 2)};
    memcpy((uint8_t *)(uintptr_t)key.data, keyspace, sizeof keyspace);
    return key;
}

static void drop_duplicates(struct model *model) {
    size_t kept = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (kept > 0 && compare_entries(&model->entries[kept - 1], &model->entries[i]) == 0)
            continue;
        model->entries[kept++] = model->entries[i];
    }
    model->count = kept;
}

static void fill_model(struct model *model, const struct shape *shape, uint64_t *seed) {
    lore_slice key = slice(NULL, 0);
    model_init(model, shape->entries + shape->ranges);
    for (size_t i = 0; i < shape->entries; i++) {
        if (i == 0 || test_random(seed) % shape->versions == 0)
            key = random_key(model, seed, shape->key_bytes_max);
        size_t size = test_random(seed) % (shape->value_bytes_max + 1);
        bool is_text = test_random(seed) % 2 == 0;
        model->entries[i] = (struct entry){key, 1 + test_random(seed) % 5000, random_kind(seed),
                                           random_bytes(model, seed, size, is_text)};
    }
    model->count = shape->entries;
    if (model->count > 0)
        qsort(model->entries, model->count, sizeof *model->entries, compare_entries);
    drop_duplicates(model);
    while (model->ranges_count < shape->ranges) {
        lore_slice a = random_key(model, seed, 12), b = random_key(model, seed, 12);
        int order = slice_compare(a, b);
        if (order == 0) continue;
        model->ranges[model->ranges_count++] = (struct entry){
            order < 0 ? a : b, 1 + test_random(seed) % 5000, ENTRY_RANGE_DELETE, order < 0 ? b : a};
    }
    if (model->ranges_count > 0)
        qsort(model->ranges, model->ranges_count, sizeof *model->ranges, compare_entries);
}

/* ---- building ---- */

static lore_status add_all(struct table_builder *builder, const struct model *model) {
    for (size_t i = 0; i < model->count; i++)
        TRY(table_builder_add(builder, &model->entries[i]));
    for (size_t i = 0; i < model->ranges_count; i++)
        TRY(table_builder_add_range_delete(builder, &model->ranges[i]));
    return LORE_OK;
}

static lore_status build(struct segment_fixture *f, const struct model *model,
                         const struct shape *shape, uint64_t id, struct segment_summary *summary) {
    static const uint64_t inputs[] = {1, 2, 5};
    struct table_builder_config config = {.id = id,
                                          .level = 3,
                                          .tier = 1,
                                          .block_bytes = shape->block_bytes,
                                          .compression = shape->compression,
                                          .high_compression = shape->high_compression,
                                          .inputs = inputs,
                                          .inputs_count = 3};
    struct table_builder *builder;
    TRY(table_builder_create(&f->context, &config, &builder));
    lore_status status = add_all(builder, model);
    uint64_t bytes = table_builder_bytes(builder);
    if (status == LORE_OK) {
        assert_int_equal(table_builder_entries(builder), model->count);
        assert_true(table_builder_written(builder) <= bytes);
        status = table_builder_finish(builder, summary);
    }
    table_builder_destroy(builder);
    return status;
}

/* ---- reading ---- */

static void assert_entry(const struct entry *entry, const struct entry *expected) {
    assert_true(slice_equal(entry->key, expected->key));
    assert_int_equal(entry->sequence, expected->sequence);
    assert_int_equal(entry->kind, expected->kind);
    assert_true(slice_equal(entry->value, expected->value));
}

/* The cursor is at entry `index` of the model, or past its ends. */
static void assert_at(const struct table_cursor *cursor, const struct model *model, size_t index) {
    struct entry entry;
    bool valid = table_cursor_entry(cursor, &entry);
    assert_int_equal(valid, index < model->count);
    if (valid) assert_entry(&entry, &model->entries[index]);
}

static lore_status walk(struct table_cursor *cursor, const struct model *model) {
    TRY(table_cursor_seek_first(cursor));
    for (size_t i = 0; i < model->count; i++) {
        assert_at(cursor, model, i);
        TRY(table_cursor_next(cursor));
    }
    assert_at(cursor, model, model->count);
    TRY(table_cursor_seek_last(cursor));
    for (size_t i = model->count; i-- > 0;) {
        assert_at(cursor, model, i);
        TRY(table_cursor_prev(cursor));
    }
    assert_at(cursor, model, model->count);
    return LORE_OK;
}

/* The first entry not before (key, sequence). */
static size_t model_find(const struct model *model, lore_slice key, uint64_t sequence) {
    struct entry sought = {key, sequence, ENTRY_PUT, {NULL, 0}};
    size_t low = 0, high = model->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_entries(&model->entries[middle], &sought) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static lore_status check_seek(struct table_cursor *cursor, const struct model *model,
                              lore_slice key, uint64_t sequence) {
    size_t index = model_find(model, key, sequence);
    TRY(table_cursor_seek(cursor, key, sequence));
    assert_at(cursor, model, index);
    if (index < model->count) {
        TRY(table_cursor_prev(cursor));
        assert_at(cursor, model, index - 1); /* index 0: wraps past the end, not valid */
    }
    size_t before = model_find(model, key, SEQUENCE_MAX);
    TRY(table_cursor_seek_before(cursor, key));
    assert_at(cursor, model, before - 1);
    if (before > 0) {
        TRY(table_cursor_next(cursor));
        assert_at(cursor, model, before);
    }
    return LORE_OK;
}

static lore_status check_get(struct table *table, const struct model *model, lore_slice key,
                             uint64_t sequence, struct bytes *value) {
    size_t index = model_find(model, key, sequence);
    bool expected = index < model->count && slice_equal(model->entries[index].key, key);
    struct entry entry;
    bool found;
    TRY(table_get(table, key, sequence, NULL, &entry, value, &found));
    assert_int_equal(found, expected);
    if (found) assert_entry(&entry, &model->entries[index]);
    return LORE_OK;
}

/* Keys beside `key`: shorter, longer, with a byte changed. */
static size_t neighbours(lore_slice key, uint8_t memory[4][KEY_BYTES_MAX], lore_slice out[4]) {
    size_t count = 0;
    if (key.size > KEYSPACE_BYTES) out[count++] = slice(key.data, key.size - 1);
    for (int change = -1; change <= 1; change++) {
        if (change == 0 && key.size == KEY_BYTES_MAX) continue;
        uint8_t *bytes = memory[count];
        memcpy(bytes, key.data, key.size);
        if (change == 0)
            bytes[key.size] = 0;
        else
            bytes[key.size - 1] = (uint8_t)(bytes[key.size - 1] + change);
        out[count++] = slice(bytes, change == 0 ? key.size + 1 : key.size);
    }
    return count;
}

static lore_status check_points(struct table *table, struct table_cursor *cursor,
                                const struct model *model, struct bytes *value) {
    static uint8_t memory[4][KEY_BYTES_MAX];
    for (size_t i = 0; i < model->count; i++) {
        const struct entry *entry = &model->entries[i];
        const uint64_t sequences[] = {entry->sequence, entry->sequence - 1, entry->sequence + 1,
                                      SEQUENCE_MAX, 0};
        for (size_t s = 0; s < sizeof sequences / sizeof sequences[0]; s++) {
            TRY(check_get(table, model, entry->key, sequences[s], value));
            TRY(check_seek(cursor, model, entry->key, sequences[s]));
        }
        lore_slice near[4];
        size_t count = neighbours(entry->key, memory, near);
        for (size_t n = 0; n < count; n++) {
            TRY(check_get(table, model, near[n], SEQUENCE_MAX, value));
            TRY(check_seek(cursor, model, near[n], 7));
        }
    }
    return LORE_OK;
}

static uint64_t model_covering(const struct model *model, lore_slice key, uint64_t sequence) {
    uint64_t best = 0;
    for (size_t i = 0; i < model->ranges_count; i++) {
        const struct entry *range = &model->ranges[i];
        if (slice_compare(range->key, key) <= 0 && slice_compare(key, range->value) < 0 &&
            range->sequence <= sequence && range->sequence > best)
            best = range->sequence;
    }
    return best;
}

static void check_ranges(struct table *table, const struct model *model) {
    assert_int_equal(table_range_delete_count(table), model->ranges_count);
    for (size_t i = 0; i < model->ranges_count; i++) {
        struct entry entry;
        table_range_delete(table, i, &entry);
        assert_entry(&entry, &model->ranges[i]);
        const lore_slice keys[] = {entry.key, entry.value, slice(entry.key.data, KEYSPACE_BYTES),
                                   slice("\0\0\0\1b", 5), slice("\xff\xff\xff\xff", 4)};
        const uint64_t sequences[] = {SEQUENCE_MAX, entry.sequence, entry.sequence - 1, 2500, 0};
        for (size_t k = 0; k < 5; k++)
            for (size_t s = 0; s < 5; s++)
                assert_int_equal(table_covering(table, keys[k], sequences[s]),
                                 model_covering(model, keys[k], sequences[s]));
    }
}

enum reading { READ_WALKS = 1, READ_POINTS = 2 };

static lore_status read_cursors(struct segment_fixture *f, struct table *table,
                                const struct model *model, int how) {
    for (int scan = 0; scan < 2; scan++) {
        struct table_cursor *cursor;
        TRY(table_cursor_create(table, &f->allocator.base, scan == 1, scan == 1 ? 10000 : 0,
                                &cursor));
        struct bytes value = bytes_empty(&f->allocator.base);
        lore_status status = (how & READ_WALKS) != 0 ? walk(cursor, model) : LORE_OK;
        if (status == LORE_OK && (how & READ_POINTS) != 0 && scan == 0)
            status = check_points(table, cursor, model, &value);
        bytes_free(&value);
        table_cursor_destroy(cursor);
        TRY(status);
    }
    return LORE_OK;
}

/* Read all that there is: whatever succeeds must equal the model. */
static lore_status read_all(struct segment_fixture *f, const struct segment_summary *summary,
                            const struct model *model, int how) {
    struct table *table;
    TRY(table_open(&f->context, summary, &table));
    check_ranges(table, model);
    lore_status status = read_cursors(f, table, model, how);
    table_close(table);
    return status;
}

static void count_fault(void *context, const struct segment_fault *fault) {
    assert_non_null(fault->message);
    ++*(size_t *)context;
}

static lore_status verify(struct segment_fixture *f, const struct segment_summary *summary,
                          size_t *faults) {
    uint64_t entries;
    *faults = 0;
    lore_status status = table_verify(&f->context, summary, count_fault, NULL, faults, &entries);
    if (status == LORE_OK) {
        assert_int_equal(entries, summary->entries);
        assert_int_equal(*faults, 0);
    } else if (status == LORE_CORRUPTION) {
        assert_true(*faults > 0);
    }
    return status;
}

static void check_summary(const struct segment_summary *summary, const struct model *model) {
    assert_int_equal(summary->entries, model->count);
    assert_int_equal(summary->range_deletes, model->ranges_count);
    lore_slice first = model->count > 0 ? model->entries[0].key : model->ranges[0].key;
    lore_slice last = model->count > 0 ? model->entries[model->count - 1].key : first;
    bool is_exclusive = false;
    if (model->ranges_count > 0 && slice_compare(model->ranges[0].key, first) < 0)
        first = model->ranges[0].key;
    for (size_t i = 0; i < model->ranges_count; i++) {
        if (slice_compare(model->ranges[i].value, last) <= 0) continue;
        last = model->ranges[i].value;
        is_exclusive = true;
    }
    assert_true(slice_equal(bytes_slice(&summary->first_key), first));
    assert_true(slice_equal(bytes_slice(&summary->last_key), last));
    assert_int_equal(summary->last_key_exclusive, is_exclusive);
}

/* ---- tests ---- */

static void round_trip(const struct shape *shape, uint64_t seed, int how) {
    struct segment_fixture f;
    struct model model;
    struct segment_summary summary;
    size_t faults;
    segment_fixture_init(&f);
    print_message("seed %llu\n", (unsigned long long)seed);
    fill_model(&model, shape, &seed);
    assert_ok(build(&f, &model, shape, 12, &summary));
    check_summary(&summary, &model);
    assert_ok(verify(&f, &summary, &faults));
    assert_ok(read_all(&f, &summary, &model, how));
    segment_summary_deinit(&summary);
    model_deinit(&model);
    segment_fixture_deinit(&f);
}

static void test_round_trips(void **state) {
    (void)state;
    static const struct shape shapes[] = {
        {1, 10, 10, 1, 4096, LORE_COMPRESSION_LZ4, false, 0},
        {2, 10, 10, 1, 4096, LORE_COMPRESSION_NONE, false, 1},
        {500, 10, 40, 1, 256, LORE_COMPRESSION_LZ4, false, 0},
        {500, 12, 40, 4, 256, LORE_COMPRESSION_NONE, false, 10},
        {500, 30, 100, 100, 512, LORE_COMPRESSION_LZ4, true, 3},
        {2000, 20, 300, 2, 4096, LORE_COMPRESSION_LZ4, false, 40},
        {300, 8, 3000, 2, 300, LORE_COMPRESSION_LZ4, false,
         0}, /* most entries have their own block */
        {60, KEY_BYTES_MAX, 10, 2, 4096, LORE_COMPRESSION_NONE, false, 0},
        {3000, 12, 0, 1, 64, LORE_COMPRESSION_NONE, false, 0}, /* many partitions */
        {0, 12, 0, 1, 4096, LORE_COMPRESSION_LZ4, false, 20},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        round_trip(&shapes[i], 1000 + i, READ_WALKS | READ_POINTS);
}

static void test_many_entries(void **state) {
    (void)state;
    struct shape shape = {40000, 24, 120, 2, 4096, LORE_COMPRESSION_LZ4, false, 0};
    round_trip(&shape, 77, READ_WALKS);
}

static void test_one_key_of_many_versions(void **state) {
    (void)state;
    /* One key's versions fill hundreds of blocks and several partitions. */
    struct shape shape = {0, 8, 0, 1, 128, LORE_COMPRESSION_NONE, false, 0};
    struct segment_fixture f;
    struct model model;
    struct segment_summary summary;
    size_t faults;
    segment_fixture_init(&f);
    model_init(&model, 5000);
    for (uint64_t i = 0; i < 3000; i++)
        model.entries[model.count++] =
            (struct entry){slice("\0\0\0\1kept", 8), 9000 - 3 * i, ENTRY_PUT, slice("a value", 7)};
    model.entries[model.count++] =
        (struct entry){slice("\0\0\0\1kept!", 9), 4, ENTRY_DELETE, slice(NULL, 0)};
    assert_ok(build(&f, &model, &shape, 12, &summary));
    assert_ok(verify(&f, &summary, &faults));
    assert_ok(read_all(&f, &summary, &model, READ_WALKS | READ_POINTS));
    segment_summary_deinit(&summary);
    model_deinit(&model);
    segment_fixture_deinit(&f);
}

static void test_big_values(void **state) {
    (void)state;
    struct shape shape = {0, 8, 0, 1, 4096, LORE_COMPRESSION_LZ4, false, 0};
    static const size_t sizes[] = {10, 70000, 3, (16u << 20) - 1, 16u << 20, 100, 4096};
    struct segment_fixture f;
    struct model model;
    struct segment_summary summary;
    size_t faults;
    uint64_t seed = 5;
    segment_fixture_init(&f);
    model_init(&model, 16);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char key[] = {0, 0, 0, 1, (char)('a' + i)};
        lore_slice value = random_bytes(&model, &seed, sizes[i], false);
        if (i == 4) memset((uint8_t *)(uintptr_t)value.data, 'z', value.size);
        model.entries[model.count++] =
            (struct entry){keep(&model, key, sizeof key), 5, ENTRY_PUT, value};
    }
    assert_ok(build(&f, &model, &shape, 12, &summary));
    assert_ok(verify(&f, &summary, &faults));
    assert_ok(read_all(&f, &summary, &model, READ_WALKS | READ_POINTS));
    segment_summary_deinit(&summary);
    model_deinit(&model);
    segment_fixture_deinit(&f);
}

static void test_point_read_budget(void **state) {
    (void)state;
    struct shape shape = {20000, 24, 200, 1, 4096, LORE_COMPRESSION_LZ4, false, 0};
    struct segment_fixture f;
    struct model model;
    struct segment_summary summary;
    struct table *table;
    struct read_count count = {0};
    struct entry entry;
    uint64_t seed = 4;
    bool found;
    segment_fixture_init(&f);
    struct bytes value = bytes_empty(&f.allocator.base);
    fill_model(&model, &shape, &seed);
    assert_ok(build(&f, &model, &shape, 12, &summary));
    assert_ok(table_open(&f.context, &summary, &table));
    const struct entry *sought = &model.entries[model.count / 2];
    assert_ok(table_get(table, sought->key, SEQUENCE_MAX, &count, &entry, &value, &found));
    assert_true(found);
    assert_true(count.blocks_read == 3 && count.blocks_hit == 0);
    assert_ok(table_get(table, sought->key, SEQUENCE_MAX, &count, &entry, &value, &found));
    assert_true(count.blocks_read == 3 && count.blocks_hit == 3);
    /* Of keys that are not there nearly all stop at the filter. */
    struct read_count absent = {0};
    for (size_t i = 0; i < 1000; i++) {
        char key[40];
        int size = snprintf(key, sizeof key, "%c%c%c%cabca%d", 0, 0, 0, 1, (int)i);
        assert_ok(table_get(table, slice(key, (size_t)size), SEQUENCE_MAX, &absent, &entry, &value,
                            &found));
        assert_false(found);
    }
    assert_true(absent.blocks_read + absent.blocks_hit < 1000 + 2 * 30);
    bytes_free(&value);
    table_close(table);
    segment_summary_deinit(&summary);
    model_deinit(&model);
    segment_fixture_deinit(&f);
}

static void test_memory_of_an_open_table(void **state) {
    (void)state;
    struct shape shape = {0, 8, 0, 1, 4096, LORE_COMPRESSION_NONE, false, 0};
    struct segment_fixture f;
    struct model model;
    struct segment_summary summary;
    struct table *table;
    uint64_t seed = 6;
    segment_fixture_init(&f);
    model_init(&model, 40000);
    for (uint64_t i = 0; i < 39000; i++) {
        uint8_t key[20] = {0, 0, 0, 1};
        put_be64(key + 4, i);
        put_be64(key + 12, test_random(&seed));
        model.entries[model.count++] = (struct entry){keep(&model, key, sizeof key), 5, ENTRY_PUT,
                                                      random_bytes(&model, &seed, 95, false)};
    }
    assert_ok(build(&f, &model, &shape, 12, &summary));
    assert_true(summary.bytes > 4u << 20 && summary.bytes < 5u << 20);
    size_t before = f.allocator.bytes;
    assert_ok(table_open(&f.context, &summary, &table));
    size_t taken = f.allocator.bytes - before;
    print_message("an open table of %llu bytes takes %zu\n", (unsigned long long)summary.bytes,
                  taken);
    assert_true(taken < 1536);
    table_close(table);
    segment_summary_deinit(&summary);
    model_deinit(&model);
    segment_fixture_deinit(&f);
}

/* A small table with a bit of everything, for damage and failures. */
static const struct shape small_shape = {60, 12, 40, 2, 256, LORE_COMPRESSION_LZ4, false, 4};
#define SMALL_PATH "g/000000000012.table"

struct small {
    struct segment_fixture f;
    struct model model;
    struct segment_summary summary;
};

static void small_init(struct small *small) {
    uint64_t seed = 99;
    segment_fixture_init(&small->f);
    fill_model(&small->model, &small_shape, &seed);
    assert_ok(build(&small->f, &small->model, &small_shape, 12, &small->summary));
}

static void small_deinit(struct small *small) {
    segment_summary_deinit(&small->summary);
    model_deinit(&small->model);
    segment_fixture_deinit(&small->f);
}

static void test_every_byte_flipped(void **state) {
    (void)state;
    struct small small;
    small_init(&small);
    uint64_t size;
    size_t faults;
    uint8_t *bytes = fs_memory_bytes(small.f.disk, SMALL_PATH, &size);
    assert_int_equal(size, small.summary.bytes);
    size_t unnoticed = 0;
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] ^= (uint8_t)(1u << i % 8);
        segment_fixture_empty_cache(&small.f);
        lore_status status =
            read_all(&small.f, &small.summary, &small.model, READ_WALKS | READ_POINTS);
        if (status == LORE_OK)
            unnoticed++;
        else
            assert_status(status, LORE_CORRUPTION);
        assert_non_null(strstr(status == LORE_OK ? SMALL_PATH : lore_error_message(), SMALL_PATH));
        assert_status(verify(&small.f, &small.summary, &faults), LORE_CORRUPTION);
        bytes[i] ^= (uint8_t)(1u << i % 8);
    }
    /* Every byte is under a check that some read looks at. */
    assert_int_equal(unnoticed, 0);
    segment_fixture_empty_cache(&small.f);
    assert_ok(read_all(&small.f, &small.summary, &small.model, READ_WALKS | READ_POINTS));
    small_deinit(&small);
}

static void test_truncated_everywhere(void **state) {
    (void)state;
    struct small small;
    small_init(&small);
    struct file *file;
    struct table *table;
    size_t faults;
    assert_ok(fs_open(&small.f.env, SMALL_PATH, FILE_WRITE, false, &file));
    for (uint64_t size = small.summary.bytes; size-- > 0;) {
        assert_ok(file_truncate(file, size));
        assert_status(table_open(&small.f.context, &small.summary, &table), LORE_CORRUPTION);
        assert_status(verify(&small.f, &small.summary, &faults), LORE_CORRUPTION);
    }
    file_close(file);
    small_deinit(&small);
}

static void test_one_bad_block_hurts_its_keys_alone(void **state) {
    (void)state;
    struct small small;
    small_init(&small);
    uint64_t size;
    size_t faults, unread = 0, read = 0;
    struct table *table;
    struct bytes value = bytes_empty(&small.f.allocator.base);
    fs_memory_bytes(small.f.disk, SMALL_PATH, &size)[SEGMENT_HEADER_BYTES + 20] ^= 1;
    assert_status(verify(&small.f, &small.summary, &faults), LORE_CORRUPTION);
    assert_int_equal(faults, 2); /* the block, and the file's digest */
    assert_ok(table_open(&small.f.context, &small.summary, &table));
    for (size_t i = 0; i < small.model.count; i++) {
        const struct entry *entry = &small.model.entries[i];
        lore_status status = check_get(table, &small.model, entry->key, entry->sequence, &value);
        if (status == LORE_OK)
            read++;
        else
            unread++;
    }
    assert_true(unread > 0 && unread < 20 && read > 40 - 20);
    table_close(table);
    bytes_free(&value);
    small_deinit(&small);
}

static void test_another_segments_file(void **state) {
    (void)state;
    struct small small;
    small_init(&small);
    struct segment_summary other;
    struct table *table;
    assert_ok(build(&small.f, &small.model, &small_shape, 13, &other));
    assert_ok(fs_rename(&small.f.env, "g/000000000013.table", SMALL_PATH));
    assert_status(table_open(&small.f.context, &small.summary, &table), LORE_CORRUPTION);
    assert_non_null(strstr(lore_error_message(), "segment 13, not 12"));
    /* Gone altogether: damage, not "no such key". */
    assert_ok(fs_unlink(&small.f.env, SMALL_PATH));
    assert_status(table_open(&small.f.context, &small.summary, &table), LORE_CORRUPTION);
    segment_summary_deinit(&other);
    small_deinit(&small);
}

static void test_failing_allocations(void **state) {
    (void)state;
    struct small small;
    small_init(&small);
    uint64_t size;
    size_t faults;
    struct segment_summary summary;
    long at = 0;
    for (lore_status status = LORE_NO_MEMORY; status != LORE_OK; at++) {
        small.f.allocator.fail_at = at;
        status = build(&small.f, &small.model, &small_shape, 14, &summary);
        small.f.allocator.fail_at = -1;
        if (status == LORE_OK) break;
        assert_status(status, LORE_NO_MEMORY);
        assert_null(fs_memory_bytes(small.f.disk, "g/000000000014.table", &size));
    }
    assert_true(at > 10);
    segment_summary_deinit(&summary);
    for (at = 0;; at++) {
        segment_fixture_empty_cache(&small.f);
        small.f.allocator.fail_at = at;
        lore_status status =
            read_all(&small.f, &small.summary, &small.model, READ_WALKS | READ_POINTS);
        small.f.allocator.fail_at = -1;
        if (status == LORE_OK) break;
        assert_status(status, LORE_NO_MEMORY);
    }
    assert_true(at > 10);
    for (at = 0;; at++) {
        small.f.allocator.fail_at = at;
        lore_status status = verify(&small.f, &small.summary, &faults);
        small.f.allocator.fail_at = -1;
        if (status == LORE_OK) break;
        assert_status(status, LORE_NO_MEMORY);
    }
    assert_true(at > 10);
    small_deinit(&small);
}

static void test_failing_io(void **state) {
    (void)state;
    struct small small;
    small_init(&small);
    uint64_t size;
    struct segment_summary summary;
    struct fault_plan plan = {.calls = FAULT_ALL & ~(uint32_t)FAULT_UNLINK, .status = LORE_IO};
    for (plan.at = 0;; plan.at++) {
        fs_fault_set_plan(small.f.fault, &plan);
        lore_status status = build(&small.f, &small.model, &small_shape, 14, &summary);
        fs_fault_set_plan(small.f.fault, NULL);
        if (status == LORE_OK) break;
        assert_status(status, LORE_IO);
        assert_null(fs_memory_bytes(small.f.disk, "g/000000000014.table", &size));
    }
    assert_true(plan.at >= 3); /* open, write, sync */
    segment_summary_deinit(&summary);
    for (plan.at = 0;; plan.at++) {
        segment_fixture_empty_cache(&small.f);
        fs_fault_set_plan(small.f.fault, &plan);
        lore_status status =
            read_all(&small.f, &small.summary, &small.model, READ_WALKS | READ_POINTS);
        fs_fault_set_plan(small.f.fault, NULL);
        if (status == LORE_OK) break;
        assert_status(status, LORE_IO);
    }
    assert_true(plan.at > 5);
    small_deinit(&small);
}

/* A cursor whose move failed is not valid, and can be used again. */
static void test_cursor_after_a_failure(void **state) {
    (void)state;
    struct small small;
    small_init(&small);
    struct table *table;
    struct fault_plan plan = {.calls = FAULT_READ, .status = LORE_IO};
    assert_ok(table_open(&small.f.context, &small.summary, &table));
    for (plan.at = 0;; plan.at++) {
        struct table_cursor *cursor;
        struct entry entry;
        segment_fixture_empty_cache(&small.f);
        assert_ok(
            table_cursor_create(table, &small.f.allocator.base, plan.at % 2 == 1, 300, &cursor));
        fs_fault_set_plan(small.f.fault, &plan);
        lore_status status = walk(cursor, &small.model);
        fs_fault_set_plan(small.f.fault, NULL);
        if (status != LORE_OK) {
            assert_status(status, LORE_IO);
            assert_false(table_cursor_entry(cursor, &entry));
            assert_ok(walk(cursor, &small.model));
        }
        table_cursor_destroy(cursor);
        if (status == LORE_OK && plan.at % 2 == 0) break;
    }
    assert_true(plan.at > 3);
    table_close(table);
    small_deinit(&small);
}

static bool stop(void *context, uint64_t bytes) {
    (void)bytes;
    return --*(int *)context >= 0;
}

static void test_verify_can_be_cancelled(void **state) {
    (void)state;
    struct small small;
    small_init(&small);
    for (int calls = 0; calls < 2; calls++) {
        int left = calls;
        uint64_t entries;
        assert_status(table_verify(&small.f.context, &small.summary, NULL, stop, &left, &entries),
                      LORE_CANCELLED);
    }
    small_deinit(&small);
}

static void test_range_deletes_at_random(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct shape shape = {10, 12, 10, 1, 4096, LORE_COMPRESSION_LZ4, false, 30 * seed * seed};
        round_trip(&shape, seed, READ_WALKS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_many_entries),
        cmocka_unit_test(test_one_key_of_many_versions),
        cmocka_unit_test(test_big_values),
        cmocka_unit_test(test_point_read_budget),
        cmocka_unit_test(test_memory_of_an_open_table),
        cmocka_unit_test(test_every_byte_flipped),
        cmocka_unit_test(test_truncated_everywhere),
        cmocka_unit_test(test_one_bad_block_hurts_its_keys_alone),
        cmocka_unit_test(test_another_segments_file),
        cmocka_unit_test(test_failing_allocations),
        cmocka_unit_test(test_failing_io),
        cmocka_unit_test(test_cursor_after_a_failure),
        cmocka_unit_test(test_verify_can_be_cancelled),
        cmocka_unit_test(test_range_deletes_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
