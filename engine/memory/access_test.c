/* Tests of access.c: counts seen before and after they are written, across reopening, bounded. */
#include "memory/memory_testing.h"

static void accesses_are_counted(void **state) {
    struct test_store *self = *state;
    lore_memory memory = memory_of("a", "t"), other = memory_of("b", "t");
    assert_ok(put_one(self->store, &memory));
    assert_ok(put_one(self->store, &other));
    access_some(self->store, "a", 3);
    assert_accessed(self->store, "a", 3); /* its own reads, not written yet */
    assert_int_equal(count_keys(self->store, KEYSPACE_ACCESS), 0);
    lore_snapshot *snapshot;
    assert_ok(lore_snapshot_create(self->store, &snapshot));
    lore_record *record;
    assert_ok(
        lore_memory_get(self->store, snapshot, lore_slice_of("a"), LORE_READ_NO_ACCESS, &record));
    assert_int_equal(lore_record_memory(record)->access_count, 0);
    lore_record_destroy(record);
    lore_snapshot_release(snapshot);
    test_store_reopen(self);
    assert_accessed(self->store, "a", 3);
    assert_accessed(self->store, "b", 0);
    assert_int_equal(count_keys(self->store, KEYSPACE_ACCESS), 1);
    access_some(self->store, "a", 2);
    memory.text = lore_slice_of("a new row");
    assert_ok(put_one(self->store, &memory));
    assert_accessed(self->store, "a", 5);
    test_store_reopen(self);
    assert_accessed(self->store, "a", 5);
    assert_verified(self->store, 2);
    access_some(self->store, "a", 2);
    lore_memory change = blank(); /* set: what was counted before is gone */
    change.access_count = 1;
    assert_ok(update_one(self->store, "a", LORE_FIELD(LORE_ATTR_ACCESS_COUNT), change));
    assert_accessed(self->store, "a", 1);
    access_some(self->store, "a", 1);
    assert_ok(lore_memory_delete(self->store, lore_slice_of("a")));
    access_some(self->store, "b", 1);
    test_store_reopen(self);
    assert_int_equal(count_keys(self->store, KEYSPACE_ACCESS), 1);
    assert_ok(put_one(self->store, &memory));
    assert_accessed(self->store, "a", 0);
    assert_verified(self->store, 2);
}

/* A count for an id that is not there (any more) is dropped. */
static void counts_without_a_memory(void **state) {
    struct test_store *self = *state;
    memory_note_access(self->store, lore_slice_of("nobody"), 5);
    assert_ok(access_write(self->store, true));
    assert_int_equal(count_keys(self->store, KEYSPACE_ACCESS), 0);
    int64_t count, last_us;
    access_pending(&memory_layer_of(self->store)->access, lore_slice_of("nobody"), &count,
                   &last_us);
    assert_int_equal(count, 0);
}

static void counts_are_bounded(void **state) {
    struct test_store *self = *state;
    enum { N = ACCESS_IDS_MAX + 10 };
    static lore_memory memories[256];
    static char ids[N][8];
    for (size_t i = 0; i < N; i++)
        snprintf(ids[i], sizeof ids[i], "%06zu", i);
    for (size_t from = 0; from < N; from += 256) {
        size_t count = N - from < 256 ? N - from : 256;
        for (size_t i = 0; i < count; i++)
            memories[i] = memory_of(ids[from + i], "t");
        assert_ok(lore_memory_put(self->store, memories, count, LORE_PUT_INSERT, NULL));
    }
    for (size_t i = 0; i < N; i++)
        access_some(self->store, ids[i], 1);
    assert_int_equal(count_keys(self->store, KEYSPACE_ACCESS), ACCESS_IDS_MAX);
    assert_int_equal(memory_layer_of(self->store)->access.count, 10);
    for (size_t i = 0; i < N; i += 101)
        assert_accessed(self->store, ids[i], 1);
    assert_verified(self->store, N);
}

static void a_tick_writes_counts(void **state) {
    struct test_store *self = *state;
    assert_ok(lore_close(self->store));
    self->options.access_flush_ms = 0;
    assert_ok(lore_open("store", &self->options, &self->store));
    lore_memory memory = memory_of("a", "t");
    assert_ok(put_one(self->store, &memory));
    access_some(self->store, "a", 2);
    bool more;
    assert_ok(lore_step(self->store, 4096, &more));
    assert_int_equal(count_keys(self->store, KEYSPACE_ACCESS), 1);
    assert_int_equal(memory_layer_of(self->store)->access.count, 0);
    assert_accessed(self->store, "a", 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_store_set_up, test_store_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(accesses_are_counted),
        TEST(counts_without_a_memory),
        TEST(counts_are_bounded),
        TEST(a_tick_writes_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
