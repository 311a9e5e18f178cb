/*
 * table_block_test.c - sorted blocks: what is built is found, and no bytes make a cursor misbehave.
 */
#include "segment/table_block.h"

#include "base/digest.h"
#include "base/testing.h"

#define ENTRIES_MAX 400u

struct fixture {
    struct test_allocator allocator;
    uint8_t keys[ENTRIES_MAX][16];
    size_t key_sizes[ENTRIES_MAX];
    uint64_t sequences[ENTRIES_MAX];
    size_t count;
    struct table_block_builder builder;
    lore_slice raw;
};

static lore_slice key_of(const struct fixture *f, size_t i) {
    return slice(f->keys[i], f->key_sizes[i]);
}

/* `versions` of every key, keys ascending with long shared beginnings. */
static void build(struct fixture *f, size_t count, size_t versions, uint32_t interval,
                  bool hashed) {
    memset(f, 0, sizeof *f);
    test_allocator_init(&f->allocator);
    table_block_builder_init(&f->builder, &f->allocator.base, interval, hashed);
    for (size_t i = 0; i < count; i++) {
        size_t number = i / versions * 2; /* odd ones are absent */
        f->key_sizes[i] = 8 + number % 5;
        memset(f->keys[i], 'k', sizeof f->keys[i]);
        put_be32(f->keys[i], 1);
        put_be32(f->keys[i] + 4, (uint32_t)number);
        f->sequences[i] = 1000 - i % versions;
        lore_slice key = key_of(f, i), value = slice(&f->sequences[i], 8);
        assert_true(table_block_builder_size_with(&f->builder, key.size, value.size) >
                    f->builder.data.size + key.size);
        assert_ok(table_block_builder_add(&f->builder, key, f->sequences[i] << 8 | ENTRY_PUT, value,
                                          check64(key.data, key.size)));
    }
    f->count = count;
    size_t bound = table_block_builder_size_with(&f->builder, 0, 0);
    assert_ok(table_block_builder_finish(&f->builder, &f->raw));
    assert_true(f->raw.size <= bound);
}

static void drop(struct fixture *f) {
    table_block_builder_deinit(&f->builder);
    assert_int_equal(f->allocator.blocks, 0);
}

static void assert_at(const struct fixture *f, const struct table_block_cursor *cursor, size_t i) {
    assert_int_equal(table_block_cursor_valid(cursor), i < f->count);
    if (i >= f->count) return;
    assert_true(slice_equal(bytes_slice(&cursor->key), key_of(f, i)));
    assert_int_equal(table_block_cursor_sequence(cursor), f->sequences[i]);
    assert_true(slice_equal(cursor->value, slice(&f->sequences[i], 8)));
}

static void check_seeks(const struct fixture *f, struct table_block_cursor *cursor) {
    for (size_t i = 0; i < f->count; i++) {
        lore_slice key = key_of(f, i);
        uint64_t hash = check64(key.data, key.size);
        assert_ok(table_block_cursor_seek(cursor, key, f->sequences[i]));
        assert_at(f, cursor, i);
        assert_ok(table_block_cursor_seek_hashed(cursor, key, f->sequences[i], hash));
        assert_at(f, cursor, i);
        uint8_t absent[16];
        memcpy(absent, key.data, key.size);
        absent[7]++;
        lore_slice between = slice(absent, key.size);
        assert_ok(table_block_cursor_seek(cursor, between, SEQUENCE_MAX));
        if (table_block_cursor_valid(cursor))
            assert_true(slice_compare(bytes_slice(&cursor->key), between) > 0);
        assert_ok(table_block_cursor_seek_hashed(cursor, between, SEQUENCE_MAX,
                                                 check64(absent, key.size)));
        if (table_block_cursor_valid(cursor))
            assert_false(slice_equal(bytes_slice(&cursor->key), between));
    }
}

static void check_block(size_t count, size_t versions, uint32_t interval, bool hashed) {
    static struct fixture f;
    build(&f, count, versions, interval, hashed);
    struct table_block_cursor cursor;
    table_block_cursor_init(&cursor, TABLE_KINDS_DATA, bytes_empty(&f.allocator.base));
    assert_ok(table_block_cursor_open(&cursor, f.raw));
    assert_false(table_block_cursor_valid(&cursor));
    assert_int_equal(cursor.block.buckets_count > 0,
                     hashed && (count + interval - 1) / interval <= 254);
    assert_ok(table_block_cursor_first(&cursor));
    for (size_t i = 0; i < count; i++) {
        assert_at(&f, &cursor, i);
        assert_ok(table_block_cursor_next(&cursor));
    }
    assert_at(&f, &cursor, count);
    assert_ok(table_block_cursor_last(&cursor));
    for (size_t i = count; i-- > 0;) {
        assert_at(&f, &cursor, i);
        assert_ok(table_block_cursor_prev(&cursor));
    }
    assert_at(&f, &cursor, count);
    check_seeks(&f, &cursor);
    bytes_free(&cursor.key);
    drop(&f);
}

static void test_round_trips(void **state) {
    (void)state;
    static const size_t counts[] = {0, 1, 15, 16, 17, 33, 300};
    static const uint32_t intervals[] = {1, 2, 16};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
        for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++)
            for (size_t versions = 1; versions <= 40; versions += 13)
                for (int hashed = 0; hashed < 2; hashed++)
                    check_block(counts[c], versions, intervals[i], hashed == 1);
}

/* Walk in every way; all that matters is that it ends and touches nothing that is not its own. */
static void walk_hostile(lore_slice raw, uint64_t *seed) {
    uint8_t memory[KEY_BOUND_BYTES_MAX];
    struct bytes key = {memory, 0, sizeof memory, NULL};
    struct table_block_cursor cursor;
    size_t steps = 0;
    table_block_cursor_init(&cursor, TABLE_KINDS_DATA, key);
    lore_status status = table_block_cursor_open(&cursor, raw);
    if (status == LORE_OK) status = table_block_cursor_first(&cursor);
    while (status == LORE_OK && table_block_cursor_valid(&cursor)) {
        status = table_block_cursor_next(&cursor);
        assert_true(++steps <= raw.size);
    }
    if (status != LORE_OK) assert_false(table_block_cursor_valid(&cursor));
    if (table_block_cursor_open(&cursor, raw) != LORE_OK) return;
    steps = 0;
    status = table_block_cursor_last(&cursor);
    while (status == LORE_OK && table_block_cursor_valid(&cursor)) {
        status = table_block_cursor_prev(&cursor);
        assert_true(++steps <= raw.size);
    }
    uint8_t sought[9] = {0, 0, 0, 1, 0, 0, (uint8_t)test_random(seed), 0, 'k'};
    status = table_block_cursor_seek(&cursor, slice(sought, sizeof sought), 500);
    status = table_block_cursor_seek_hashed(&cursor, slice(sought, sizeof sought), 500,
                                            test_random(seed));
    struct table_block_entry entry;
    for (uint32_t i = 0; i < cursor.block.restarts_count; i++)
        (void)table_block_restart(&cursor.block, i, &entry);
    (void)status;
}

static void test_hostile_bytes(void **state) {
    (void)state;
    static struct fixture f;
    uint64_t seed = 20240607;
    print_message("seed %llu\n", (unsigned long long)seed);
    build(&f, 60, 3, 4, true);
    for (size_t round = 0; round < 30000; round++) {
        /* Exactly as large as the block, so that a sanitizer sees any step outside. */
        size_t size =
            test_random(&seed) % 8 == 0 ? test_random(&seed) % (f.raw.size + 1) : f.raw.size;
        uint8_t *bytes = malloc(size + (size == 0));
        assert_non_null(bytes);
        memcpy(bytes, f.raw.data, size);
        for (size_t i = test_random(&seed) % 4; i > 0 && size > 0; i--) {
            size_t at = test_random(&seed) % 3 == 0 && size > 70
                            ? size - 1 - test_random(&seed) % 70
                            : test_random(&seed) % size;
            bytes[at] = (uint8_t)test_random(&seed);
        }
        walk_hostile(slice(bytes, size), &seed);
        free(bytes);
    }
    drop(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
