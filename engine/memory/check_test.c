/* Tests of check.c: verify names every entry that is missing and every one too many. */
#include "memory/memory_testing.h"

static void change_key(lore_store *store, const struct bytes *key, lore_slice value, bool put) {
    struct batch batch;
    batch_init(&batch, store_query_allocator(store));
    assert_ok(put ? batch_put(&batch, bytes_slice(key), value)
                  : batch_delete(&batch, bytes_slice(key)));
    assert_ok(store_commit(store, &batch, NULL, NULL));
    batch_deinit(&batch);
}

static void assert_faulty(lore_store *store) {
    lore_verify_report report;
    assert_status(lore_verify(store, NULL, NULL, NULL, &report), LORE_CORRUPTION);
    assert_true(report.findings > 0);
}

/* Each index entry, taken away or added, is a finding; put right again, it is none. */
static void verify_sees_each_key(void **state) {
    struct test_store *self = *state;
    lore_store *store = self->store;
    static const uint32_t keyspaces[] = {KEYSPACE_ID,      KEYSPACE_RECORD, KEYSPACE_INDEX,
                                         KEYSPACE_SESSION, KEYSPACE_HEAD,   KEYSPACE_VECTORS};
    create_spaces(store);
    lore_embedding embedding = embedding_of("bits", "\1\2", 2);
    lore_memory full = full_memory();
    full.embeddings = &embedding;
    full.embeddings_count = 1;
    assert_ok(put_one(store, &full));
    struct bytes key = bytes_empty(env_posix()->allocator), value = key;
    for (size_t k = 0; k < 6; k++) {
        uint64_t count = count_keys(store, keyspaces[k]);
        for (uint64_t n = 0; n < count; n++) {
            struct store_read reading;
            struct lsm_iterator *iterator;
            lore_slice there;
            assert_ok(key_keyspace(&key, keyspaces[k]));
            assert_ok(store_read_begin(store, NULL, &reading));
            assert_ok(lsm_iterator_create(store_tree(store), store_query_allocator(store),
                                          reading.sequence, bytes_slice(&key), slice(NULL, 0),
                                          &iterator));
            assert_ok(lsm_iterator_seek_first(iterator));
            for (uint64_t i = 0; i < n; i++)
                assert_ok(lsm_iterator_next(iterator));
            assert_ok(bytes_set(&key, lsm_iterator_key(iterator)));
            assert_ok(lsm_iterator_value(iterator, &there));
            assert_ok(bytes_set(&value, there));
            lsm_iterator_destroy(iterator);
            store_read_end(store, &reading);
            bool vector = keyspaces[k] == KEYSPACE_VECTORS;
            change_key(store, &key, slice(NULL, 0), false);
            assert_faulty(store);
            if (vector) break; /* it cannot be put back as a plain value */
            change_key(store, &key, bytes_slice(&value), true);
            assert_verified(store, 1);
            /* Another row, or id, or session; never the other part of the same row. */
            key.data[key.size - (keyspaces[k] == KEYSPACE_RECORD ? 2 : 1)] ^= 1;
            change_key(store, &key, bytes_slice(&value), true);
            assert_faulty(store);
            change_key(store, &key, slice(NULL, 0), false);
            assert_verified(store, 1);
        }
    }
    bytes_free(&key);
    bytes_free(&value);
}

static void verify_sees_stray_keys(void **state) {
    struct test_store *self = *state;
    lore_memory full = full_memory();
    assert_ok(put_one(self->store, &full));
    lore_record *record = get_one(self->store, "full");
    uint64_t row = lore_record_row(record);
    lore_record_destroy(record);
    struct bytes key = bytes_empty(env_posix()->allocator);
    uint8_t access[ACCESS_VALUE_BYTES];
    access_encode(access, 1, 1);
    assert_ok(key_access(&key, lore_slice_of("nobody")));
    change_key(self->store, &key, slice(access, sizeof access), true);
    assert_faulty(self->store);
    change_key(self->store, &key, slice(NULL, 0), false);
    assert_ok(key_access(&key, lore_slice_of("full")));
    change_key(self->store, &key, slice("x", 1), true);
    assert_faulty(self->store);
    lore_record *unread;
    assert_status(lore_memory_get(self->store, NULL, lore_slice_of("full"), 0, &unread),
                  LORE_CORRUPTION);
    change_key(self->store, &key, slice(access, sizeof access), true);
    assert_ok(key_dead(&key, row));
    change_key(self->store, &key, slice("12345678", 8), true);
    assert_faulty(self->store);
    change_key(self->store, &key, slice(NULL, 0), false);
    assert_ok(key_head(&key, lore_slice_of("session 1")));
    uint8_t head[HEAD_BYTES];
    head_encode(head, 44, 1); /* must be after position 44 */
    change_key(self->store, &key, slice(head, sizeof head), true);
    assert_faulty(self->store);
    head_encode(head, 45, 2);
    change_key(self->store, &key, slice(head, sizeof head), true);
    assert_faulty(self->store);
    head_encode(head, 45, 1);
    change_key(self->store, &key, slice(head, sizeof head), true);
    assert_verified(self->store, 1);
    bytes_free(&key);
}

/* As many keys as there should be, but not the same: ids that lead to each other's rows, and an
 * index entry in the place of another. */
static void verify_sees_swapped_keys(void **state) {
    struct test_store *self = *state;
    struct bytes keys[2] = {bytes_empty(env_posix()->allocator),
                            bytes_empty(env_posix()->allocator)};
    uint8_t rows[2][ROW_BYTES];
    static const char *const ids[2] = {"first", "other"};
    for (int i = 0; i < 2; i++) {
        lore_memory memory = full_memory();
        memory.id = lore_slice_of(ids[i]);
        assert_ok(put_one(self->store, &memory));
        lore_record *record = get_one(self->store, ids[i]);
        put_be64(rows[i], lore_record_row(record));
        lore_record_destroy(record);
        assert_ok(key_id(&keys[i], lore_slice_of(ids[i])));
    }
    assert_verified(self->store, 2);
    for (int i = 0; i < 2; i++)
        change_key(self->store, &keys[i], slice(rows[1 - i], ROW_BYTES), true);
    assert_faulty(self->store);
    for (int i = 0; i < 2; i++)
        change_key(self->store, &keys[i], slice(rows[i], ROW_BYTES), true);
    assert_verified(self->store, 2);
    assert_ok(key_index_text(&keys[0], LORE_ATTR_KIND, full_memory().kind));
    assert_ok(bytes_append(&keys[0], rows[0], ROW_BYTES));
    assert_ok(key_index_text(&keys[1], LORE_ATTR_KIND, lore_slice_of("another kind")));
    assert_ok(bytes_append(&keys[1], rows[0], ROW_BYTES));
    change_key(self->store, &keys[0], slice(NULL, 0), false);
    change_key(self->store, &keys[1], slice(NULL, 0), true);
    assert_faulty(self->store);
    bytes_free(&keys[0]);
    bytes_free(&keys[1]);
}

static bool stop(void *context, const lore_progress *progress) {
    (void)context;
    return strcmp(progress->stage, "verify indexes") != 0;
}

static void verify_can_be_stopped(void **state) {
    struct test_store *self = *state;
    static lore_memory memories[150];
    static char ids[150][8];
    for (size_t i = 0; i < 150; i++) {
        snprintf(ids[i], sizeof ids[i], "%zu", i);
        memories[i] = memory_of(ids[i], "t");
    }
    assert_ok(lore_memory_put(self->store, memories, 150, LORE_PUT_INSERT, NULL));
    lore_verify_report report;
    assert_status(lore_verify(self->store, NULL, stop, NULL, &report), LORE_CANCELLED);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_store_set_up, test_store_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(verify_sees_each_key),
        TEST(verify_sees_stray_keys),
        TEST(verify_sees_swapped_keys),
        TEST(verify_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
