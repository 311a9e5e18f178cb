/*
 * memtable_test.c - the memtable against a sorted array: seeks and moves both ways, range deletes,
 * exact memory, readers beside the writer, and allocations that fail.
 */
#include "memtable/memtable.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/testing.h"

#define BUDGET_BYTES ((uint64_t)64 << 20)

struct fixture {
    struct test_allocator allocator;
    struct budget budget;
};

static void fixture_init(struct fixture *f) {
    test_allocator_init(&f->allocator);
    budget_init(&f->budget, BUDGET_BYTES);
}

static void fixture_deinit(struct fixture *f) {
    assert_int_equal(atomic_load(&f->budget.used), 0);
    assert_int_equal(f->allocator.blocks, 0);
}

/* A key in keyspace 7 from a number, of 4 to 40 bytes. */
static lore_slice make_key(uint64_t number, uint8_t out[64]) {
    put_be32(out, 7);
    size_t size = 4;
    uint64_t state = number;
    uint64_t shape = test_random(&state);
    size_t tail = number % 5 == 0 ? 20 : 0;
    for (size_t i = 0; i < tail; i++)
        out[size++] = 'p'; /* beyond what the head holds */
    size_t digits = 1 + shape % 4;
    for (size_t i = 0; i < digits; i++)
        out[size++] = (uint8_t)('a' + (number >> (2 * i)) % 4);
    return slice(out, size);
}

struct model_entry {
    uint8_t key[64];
    size_t key_size;
    uint64_t sequence;
    enum entry_kind kind;
    uint64_t value;
};

static int compare_model(const void *a, const void *b) {
    const struct model_entry *x = a, *y = b;
    int order = slice_compare(slice(x->key, x->key_size), slice(y->key, y->key_size));
    if (order != 0) return order;
    return x->sequence > y->sequence ? -1 : x->sequence < y->sequence;
}

static void apply(struct memtable *m, struct batch *batch, uint64_t sequence) {
    batch_seal(batch, sequence, 0);
    assert_ok(memtable_reserve(m, batch->memtable_bytes));
    memtable_apply(m, bytes_slice(&batch->payload));
}

static void check_at(const struct memtable_cursor *cursor, const struct model_entry *model,
                     size_t count, size_t at) {
    struct entry entry;
    bool valid = memtable_cursor_entry(cursor, &entry);
    assert_int_equal(valid, at < count);
    if (!valid) return;
    assert_true(slice_equal(entry.key, slice(model[at].key, model[at].key_size)));
    assert_int_equal(entry.sequence, model[at].sequence);
    assert_int_equal(entry.kind, model[at].kind);
    if (entry.kind == ENTRY_PUT) {
        assert_int_equal(entry.value.size, 8);
        assert_int_equal(get_u64(entry.value.data), model[at].value);
    }
}

static void test_against_a_sorted_array(void **state) {
    (void)state;
    uint64_t seed = UINT64_C(0x5eed0001);
    print_message("seed %llu\n", (unsigned long long)seed);
    struct fixture f;
    fixture_init(&f);
    struct memtable *m;
    assert_ok(memtable_create(&f.allocator.base, &f.budget, 1 << 20, 3, &m));
    struct batch batch;
    batch_init(&batch, &f.allocator.base);
    enum { ENTRIES = 2000 };
    struct model_entry *model = malloc(ENTRIES * sizeof *model);
    assert_non_null(model);
    size_t count = 0;
    while (count < ENTRIES) {
        size_t first = count;
        batch_clear(&batch);
        size_t wanted = 1 + test_random(&seed) % 20;
        for (size_t i = 0; i < wanted && count < ENTRIES; i++, count++) {
            struct model_entry *e = &model[count];
            lore_slice key = make_key(test_random(&seed) % 300, e->key);
            e->key_size = key.size;
            e->sequence = 10 + count;
            e->kind = test_random(&seed) % 4 == 0 ? ENTRY_DELETE : ENTRY_PUT;
            e->value = test_random(&seed);
            uint8_t value[8];
            put_u64(value, e->value);
            if (e->kind == ENTRY_PUT)
                assert_ok(batch_put(&batch, key, slice(value, 8)));
            else
                assert_ok(batch_delete(&batch, key));
        }
        apply(m, &batch, 10 + first);
    }
    qsort(model, count, sizeof *model, compare_model);
    assert_int_equal(memtable_entries(m), count);
    assert_int_equal(memtable_first_sequence(m), 10);
    assert_int_equal(memtable_last_sequence(m), 10 + count - 1);

    struct memtable_cursor cursor;
    memtable_cursor_init(&cursor, m);
    memtable_seek_first(&cursor);
    for (size_t i = 0; i <= count; i++) {
        check_at(&cursor, model, count, i);
        if (i < count) memtable_next(&cursor);
    }
    memtable_seek_last(&cursor);
    for (size_t i = count; i-- > 0;) {
        check_at(&cursor, model, count, i);
        memtable_prev(&cursor);
    }
    assert_null(cursor.node);
    for (int round = 0; round < 3000; round++) {
        uint8_t bytes[64];
        lore_slice key = make_key(test_random(&seed) % 320, bytes);
        uint64_t sequence = test_random(&seed) % (count + 30);
        size_t at = 0, before = 0;
        for (; at < count; at++) {
            int order = slice_compare(slice(model[at].key, model[at].key_size), key);
            if (order < 0) before = at + 1;
            if (order > 0 || (order == 0 && model[at].sequence <= sequence)) break;
        }
        memtable_seek(&cursor, key, sequence);
        check_at(&cursor, model, count, at);
        memtable_seek_before(&cursor, key);
        check_at(&cursor, model, count, before == 0 ? count : before - 1);
    }
    free(model);
    batch_deinit(&batch);
    memtable_release(m);
    fixture_deinit(&f);
}

static void test_range_deletes(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct memtable *m;
    assert_ok(memtable_create(&f.allocator.base, &f.budget, 1 << 20, 1, &m));
    struct batch batch;
    batch_init(&batch, &f.allocator.base);
    enum { RANGES = 1000 };
    for (uint32_t i = 0; i < RANGES; i++) {
        uint8_t begin[8], end[8];
        put_be32(begin, 1);
        put_be32(begin + 4, i * 10);
        put_be32(end, 1);
        put_be32(end + 4, i * 10 + 15);
        assert_ok(batch_delete_range(&batch, slice(begin, 8), slice(end, 8)));
    }
    apply(m, &batch, 100);
    assert_int_equal(memtable_range_deletes(m), RANGES);
    for (uint32_t i = 0; i < RANGES; i++) {
        struct entry entry;
        memtable_range_delete(m, i, &entry);
        assert_int_equal(entry.sequence, 100 + i);
        assert_int_equal(get_be32((const uint8_t *)entry.key.data + 4), i * 10);
        assert_int_equal(get_be32((const uint8_t *)entry.value.data + 4), i * 10 + 15);
    }
    uint8_t key[8];
    put_be32(key, 1);
    put_be32(key + 4, 52); /* in 4 (40..55) and 5 (50..65) */
    assert_int_equal(memtable_covering(m, slice(key, 8), SEQUENCE_MAX), 105);
    assert_int_equal(memtable_covering(m, slice(key, 8), 104), 104);
    assert_int_equal(memtable_covering(m, slice(key, 8), 103), 0);
    put_be32(key + 4, 65);
    assert_int_equal(memtable_covering(m, slice(key, 8), SEQUENCE_MAX), 106);
    put_be32(key, 2);
    assert_int_equal(memtable_covering(m, slice(key, 8), SEQUENCE_MAX), 0);
    assert_false(memtable_fits(m, 1));
    batch_deinit(&batch);
    memtable_release(m);
    fixture_deinit(&f);
}

/* Whatever the sizes, a batch that was reserved goes in: apply asserts that it keeps to the
 * reserve. */
static void test_reserved_batches_fit(void **state) {
    (void)state;
    uint64_t seed = UINT64_C(0x5eed0002);
    print_message("seed %llu\n", (unsigned long long)seed);
    struct fixture f;
    fixture_init(&f);
    struct batch batch;
    batch_init(&batch, &f.allocator.base);
    static uint8_t key[KEY_BYTES_MAX], value[20000];
    for (int round = 0; round < 40; round++) {
        struct memtable *m;
        uint64_t capacity = 1 + test_random(&seed) % (256 << 10);
        assert_ok(memtable_create(&f.allocator.base, &f.budget, capacity, 1, &m));
        uint64_t sequence = 1;
        for (;;) {
            batch_clear(&batch);
            size_t entries = 1 + test_random(&seed) % 50;
            for (size_t i = 0; i < entries; i++) {
                size_t key_size =
                    4 + test_random(&seed) % (test_random(&seed) % 8 == 0 ? 4097 : 30);
                size_t value_size =
                    test_random(&seed) % (test_random(&seed) % 16 == 0 ? 20000 : 60);
                for (size_t k = 0; k < key_size; k += 3)
                    key[k] = (uint8_t)test_random(&seed);
                assert_ok(batch_put(&batch, slice(key, key_size), slice(value, value_size)));
            }
            if (!memtable_fits(m, batch.memtable_bytes)) break;
            apply(m, &batch, sequence);
            sequence += entries;
            assert_true(memtable_bytes(m) <= atomic_load(&f.budget.used));
        }
        assert_int_equal(memtable_entries(m), sequence - 1);
        uint64_t ceiling = capacity > batch.memtable_bytes ? capacity : UINT64_MAX;
        if (sequence > 60) assert_true(atomic_load(&f.budget.used) <= ceiling + 20480);
        memtable_release(m);
    }
    batch_deinit(&batch);
    fixture_deinit(&f);
}

static void test_no_memory(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct memtable *m;
    for (long at = 0; at < 2; at++) {
        f.allocator.fail_at = at;
        assert_status(memtable_create(&f.allocator.base, &f.budget, 1 << 20, 1, &m),
                      LORE_NO_MEMORY);
        f.allocator.fail_at = -1;
        assert_int_equal(atomic_load(&f.budget.used), 0);
        assert_int_equal(f.allocator.blocks, 0);
    }
    assert_ok(memtable_create(&f.allocator.base, &f.budget, 1 << 20, 1, &m));
    uint64_t used = atomic_load(&f.budget.used);
    f.allocator.fail_at = 0;
    assert_status(memtable_reserve(m, 1 << 20), LORE_NO_MEMORY);
    f.allocator.fail_at = -1;
    assert_status(memtable_reserve(m, BUDGET_BYTES), LORE_NO_MEMORY);
    assert_status(memtable_reserve(m, UINT64_MAX - 3), LORE_TOO_BIG);
    assert_int_equal(atomic_load(&f.budget.used), used);
    assert_ok(memtable_reserve(m, 1 << 20));
    memtable_retain(m);
    memtable_release(m);
    memtable_set_state(m, MEMTABLE_FROZEN);
    memtable_set_state(m, MEMTABLE_FLUSHED);
    assert_int_equal(memtable_state(m), MEMTABLE_FLUSHED);
    memtable_release(m);
    fixture_deinit(&f);
}

static void test_what_a_flush_asks_for(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct memtable *m;
    assert_ok(memtable_create(&f.allocator.base, &f.budget, 1 << 20, 9, &m));
    assert_int_equal(memtable_row_watermark(m), 0);
    struct batch batch;
    batch_init(&batch, &f.allocator.base);
    uint8_t key[4] = {0, 0, 0, 1};
    batch_take_row(&batch);
    batch_take_row(&batch);
    assert_ok(batch_put(&batch, slice(key, 4), slice(NULL, 0)));
    batch_seal(&batch, 5, 40);
    assert_ok(memtable_reserve(m, batch.memtable_bytes));
    memtable_apply(m, bytes_slice(&batch.payload));
    assert_int_equal(memtable_row_watermark(m), 42);
    memtable_note_time(m, 1000);
    memtable_note_time(m, 900);
    assert_int_equal(memtable_last_time_us(m), 1000);
    memtable_set_log_number(m, 11);
    assert_int_equal(memtable_log_number(m), 11);
    batch_deinit(&batch);
    memtable_release(m);
    fixture_deinit(&f);
}

/* ---- readers beside the writer ---- */

struct reading {
    const struct memtable *memtable;
    _Atomic uint64_t visible;
    _Atomic bool stop;
    _Atomic uint64_t walks;
    _Atomic bool wrong;
};

/* Every entry up to the visible sequence is there, whole, in order. */
static void *read_along(void *context) {
    struct reading *reading = context;
    bool last = false;
    while (!last) {
        last = atomic_load(&reading->stop);
        uint64_t visible = atomic_load_explicit(&reading->visible, memory_order_acquire), seen = 0;
        struct memtable_cursor cursor;
        memtable_cursor_init(&cursor, reading->memtable);
        memtable_seek_first(&cursor);
        struct entry entry, before = {.sequence = 0};
        while (memtable_cursor_entry(&cursor, &entry)) {
            bool whole = entry.value.size == 8 && entry.key.size == 12 &&
                         get_u64(entry.value.data) == entry.sequence;
            if (!whole) atomic_store(&reading->wrong, true);
            if (before.sequence != 0 && slice_compare(before.key, entry.key) >= 0)
                atomic_store(&reading->wrong, true);
            seen += entry.sequence <= visible;
            before = entry;
            memtable_next(&cursor);
        }
        if (seen != visible) atomic_store(&reading->wrong, true);
        atomic_fetch_add(&reading->walks, 1);
    }
    return NULL;
}

static void test_readers_beside_the_writer(void **state) {
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct memtable *m;
    assert_ok(memtable_create(&f.allocator.base, &f.budget, 8 << 20, 1, &m));
    struct reading reading = {.memtable = m};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_along, &reading), 0);
    struct batch batch;
    batch_init(&batch, &f.allocator.base);
    uint64_t seed = 77, sequence = 1;
    for (int i = 0; i < 2000; i++) {
        batch_clear(&batch);
        for (int k = 0; k < 3; k++) {
            uint8_t key[12], value[8];
            put_be32(key, 1);
            put_be64(key + 4, test_random(&seed));
            put_u64(value, sequence + (uint64_t)k);
            assert_ok(batch_put(&batch, slice(key, 12), slice(value, 8)));
        }
        apply(m, &batch, sequence);
        sequence += 3;
        atomic_store_explicit(&reading.visible, sequence - 1, memory_order_release);
    }
    atomic_store(&reading.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&reading.wrong));
    assert_true(atomic_load(&reading.walks) >= 2);
    batch_deinit(&batch);
    memtable_release(m);
    fixture_deinit(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_sorted_array),
        cmocka_unit_test(test_range_deletes),
        cmocka_unit_test(test_reserved_batches_fit),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_what_a_flush_asks_for),
        cmocka_unit_test(test_readers_beside_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
