/* Every allocation of every call fails once: the call says so, changes nothing, and leaks nothing.
 */
#include "memory/memory_testing.h"

struct fixture {
    struct test_store self;
    struct test_allocator allocator;
    lore_memory full;
    lore_embedding embedding;
    lore_snapshot *snapshot;
};

static int set_up(void **state) {
    static struct fixture f;
    memset(&f, 0, sizeof f);
    test_allocator_init(&f.allocator);
    test_store_init(&f.self, LORE_BACKGROUND_STEPS);
    assert_ok(lore_close(f.self.store));
    f.self.env.allocator = &f.allocator.base;
    assert_ok(lore_open("store", &f.self.options, &f.self.store));
    create_spaces(f.self.store);
    f.embedding = (lore_embedding){lore_slice_of("bits"), slice("\1\2", 2)};
    f.full = full_memory();
    f.full.embeddings = &f.embedding;
    f.full.embeddings_count = 1;
    assert_ok(put_one(f.self.store, &f.full));
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    test_store_deinit(&f->self);
    return f->allocator.blocks == 0 ? 0 : -1;
}

typedef lore_status (*call_fn)(struct fixture *f);

static lore_status replace(struct fixture *f) {
    lore_memory memories[2] = {f->full, memory_of("new", "t")};
    memories[0].text = lore_slice_of("another text");
    give_text(&memories[1], LORE_ATTR_SESSION, "session 2");
    return lore_memory_put(f->self.store, memories, 2, LORE_PUT_REPLACE, NULL);
}

static lore_status update(struct fixture *f) {
    lore_memory memory = memory_of("full", "a third text");
    give_text(&memory, LORE_ATTR_SESSION, "session 3");
    return lore_memory_update(f->self.store, &memory);
}

static lore_status delete_embedding(struct fixture *f) {
    return lore_embedding_delete(f->self.store, f->full.id, "bits");
}

static lore_status delete_memory(struct fixture *f) {
    return lore_memory_delete(f->self.store, f->full.id);
}

static lore_status get(struct fixture *f) {
    lore_record *record;
    lore_status status = lore_memory_get(f->self.store, NULL, f->full.id,
                                         LORE_READ_EMBEDDINGS | LORE_READ_NO_ACCESS, &record);
    assert_int_equal(record != NULL, status == LORE_OK);
    lore_record_destroy(record);
    return status;
}

static lore_status iterate(struct fixture *f) {
    lore_memory_iter *iter;
    lore_record *record = NULL;
    lore_status status = lore_memory_iter_create(f->self.store, f->snapshot, 0, &iter);
    assert_int_equal(iter != NULL, status == LORE_OK);
    if (status != LORE_OK) return status;
    status = lore_memory_iter_next(iter, &record);
    lore_record_destroy(record);
    lore_memory_iter_destroy(iter);
    return status;
}

static lore_status write_counts(struct fixture *f) {
    return access_write(f->self.store, true);
}

/* Until it succeeds; each time before, nothing has changed and nothing is held. */
static void fail_each_allocation(struct fixture *f, call_fn call, uint64_t memories) {
    for (long n = 0;; n++) {
        lore_stats before = {.struct_size = sizeof before}, after = before;
        assert_ok(lore_stats_get(f->self.store, &before));
        f->allocator.fail_at = n;
        lore_status status = call(f);
        f->allocator.fail_at = -1;
        if (status == LORE_OK) {
            assert_true(n > 2);
            return;
        }
        assert_status(status, LORE_NO_MEMORY);
        assert_ok(lore_stats_get(f->self.store, &after));
        assert_int_equal(after.last_sequence, before.last_sequence);
        if (n % 8 == 0) assert_verified(f->self.store, memories);
    }
}

static void each_call_without_memory(void **state) {
    struct fixture *f = *state;
    fail_each_allocation(f, get, 1);
    fail_each_allocation(f, iterate, 1);
    assert_ok(lore_snapshot_create(f->self.store, &f->snapshot));
    fail_each_allocation(f, iterate, 1);
    lore_snapshot_release(f->snapshot);
    access_some(f->self.store, "full", 2);
    fail_each_allocation(f, write_counts, 1);
    fail_each_allocation(f, replace, 1);
    fail_each_allocation(f, update, 2);
    fail_each_allocation(f, delete_embedding, 2);
    fail_each_allocation(f, delete_memory, 2);
    assert_verified(f->self.store, 1);
}

static void verify_without_memory(void **state) {
    struct fixture *f = *state;
    for (long n = 0;; n++) {
        lore_verify_report report;
        f->allocator.fail_at = n;
        lore_status status = lore_verify(f->self.store, NULL, NULL, NULL, &report);
        f->allocator.fail_at = -1;
        if (status == LORE_OK) break;
        assert_status(status, LORE_NO_MEMORY);
    }
}

static void open_without_memory(void **state) {
    struct fixture *f = *state;
    assert_ok(lore_close(f->self.store));
    f->self.store = NULL;
    size_t blocks = f->allocator.blocks;
    for (long n = 0; n < 6; n++) { /* the layer's own, and the store's first */
        f->allocator.fail_at = n;
        assert_status(lore_open("store", &f->self.options, &f->self.store), LORE_NO_MEMORY);
        f->allocator.fail_at = -1;
        assert_null(f->self.store);
        assert_int_equal(f->allocator.blocks, blocks);
    }
    assert_ok(lore_open("store", &f->self.options, &f->self.store));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_call_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(verify_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(open_without_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
