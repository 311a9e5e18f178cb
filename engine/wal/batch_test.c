/*
 * Batches built and read back; row slots; what is refused; malformed payloads.
 */
#include "base/merge.h"
#include "base/testing.h"
#include "wal/batch.h"

static struct test_allocator allocator;

static lore_slice text_key(const char *text, uint8_t out[64]) {
    put_be32(out, 5);
    memcpy(out + 4, text, strlen(text));
    return slice(out, 4 + strlen(text));
}

static void entries_read_back(void **state) {
    (void)state;
    test_allocator_init(&allocator);
    struct batch batch;
    batch_init(&batch, &allocator.base);
    uint8_t a[64], b[64], vector[VECTOR_KEY_BYTES], operand[MERGE_FIELD_BYTES];
    vector_key_encode(3, 9, vector);
    merge_field_encode(operand, MERGE_ADD, 4);
    assert_ok(batch_put(&batch, text_key("one", a), slice("value", 5)));
    assert_ok(batch_put(&batch, text_key("", a), slice(NULL, 0)));
    assert_ok(batch_delete(&batch, text_key("two", a)));
    assert_ok(batch_delete_range(&batch, text_key("a", a), text_key("b", b)));
    assert_ok(batch_merge(&batch, text_key("m", a), slice(operand, sizeof operand)));
    assert_ok(batch_vector(&batch, slice(vector, sizeof vector), slice("1234", 4)));
    assert_int_equal(batch.entries, 6);
    assert_true(batch.memtable_bytes > 6 * BATCH_ENTRY_OVERHEAD);
    batch_seal(&batch, 100, 50);

    struct batch_view view;
    struct entry entry;
    bool found;
    assert_ok(batch_view_open(bytes_slice(&batch.payload), &view));
    assert_int_equal(view.first_sequence, 100);
    assert_int_equal(view.first_row, 50);
    const enum entry_kind kinds[] = {ENTRY_PUT,          ENTRY_PUT,   ENTRY_DELETE,
                                     ENTRY_RANGE_DELETE, ENTRY_MERGE, ENTRY_VECTOR};
    for (uint64_t i = 0; i < 6; i++) {
        assert_ok(batch_view_next(&view, &entry, &found));
        assert_true(found);
        assert_int_equal(entry.kind, kinds[i]);
        assert_int_equal(entry.sequence, 100 + i);
        if (i == 0) assert_true(slice_equal(entry.value, slice("value", 5)));
        if (i == 3) assert_true(slice_equal(entry.value, text_key("b", b)));
    }
    assert_ok(batch_view_next(&view, &entry, &found));
    assert_false(found);
    batch_deinit(&batch);
    assert_int_equal(allocator.blocks, 0);
}

static void rows_are_patched_and_put_back(void **state) {
    (void)state;
    test_allocator_init(&allocator);
    struct batch batch;
    batch_init(&batch, &allocator.base);
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t key[VECTOR_KEY_BYTES], value[12] = {0};
        vector_key_encode(1, batch_take_row(&batch), key);
        put_be64(value + 4, i);
        assert_ok(batch_vector(&batch, slice(key, sizeof key), slice(value, sizeof value)));
        assert_ok(batch_row_in_key(&batch, 8));
        assert_ok(batch_row_in_value(&batch, 4));
    }
    for (uint64_t first = 1000; first < 3000; first += 1000) {
        batch_seal(&batch, 1, first);
        struct batch_view view;
        struct entry entry;
        bool found;
        assert_ok(batch_view_open(bytes_slice(&batch.payload), &view));
        assert_int_equal(view.rows, 3);
        for (uint64_t i = 0; i < 3; i++) {
            uint32_t space;
            uint64_t row;
            assert_ok(batch_view_next(&view, &entry, &found));
            assert_true(vector_key_decode(entry.key, &space, &row));
            assert_int_equal(row, first + i);
            assert_int_equal(get_be64((const uint8_t *)entry.value.data + 4), first + i);
        }
        batch_unseal(&batch);
    }
    batch_clear(&batch);
    assert_int_equal(batch.entries, 0);
    batch_deinit(&batch);
}

static void limits_are_exact(void **state) {
    (void)state;
    test_allocator_init(&allocator);
    struct batch batch;
    batch_init(&batch, &allocator.base);
    static uint8_t key[KEY_BYTES_MAX + 2];
    assert_ok(batch_put(&batch, slice(key, KEY_BYTES_MAX), slice(NULL, 0)));
    size_t size = batch.payload.size;
    assert_status(batch_put(&batch, slice(key, KEY_BYTES_MAX + 1), slice(NULL, 0)), LORE_TOO_BIG);
    assert_status(batch_put(&batch, slice(key, 3), slice(NULL, 0)), LORE_INVALID);
    assert_ok(
        batch_delete_range(&batch, slice(key, KEY_BYTES_MAX), slice(key, KEY_BOUND_BYTES_MAX)));
    assert_status(batch_delete_range(&batch, slice(key, 4), slice(key, KEY_BOUND_BYTES_MAX + 1)),
                  LORE_TOO_BIG);
    assert_status(batch_delete_range(&batch, slice(key, 5), slice(key, 5)), LORE_INVALID);
    assert_status(batch_merge(&batch, slice(key, 5), slice("x", 1)), LORE_INVALID);
    assert_status(batch_vector(&batch, slice(key, 16), slice("x", 1)), LORE_INVALID);
    assert_int_equal(batch.entries, 2);
    /* A failed allocation leaves it as it was. */
    size = batch.payload.size;
    allocator.fail_at = 0;
    static uint8_t value[100000];
    assert_status(batch_put(&batch, slice(key, 8), slice(value, sizeof value)), LORE_NO_MEMORY);
    assert_int_equal(batch.payload.size, size);
    assert_int_equal(batch.entries, 2);
    allocator.fail_at = -1;
    batch_deinit(&batch);
}

static void conditions_read_back(void **state) {
    (void)state;
    test_allocator_init(&allocator);
    struct batch batch;
    batch_init(&batch, &allocator.base);
    uint8_t a[64];
    assert_ok(batch_require_absent(&batch, text_key("no", a)));
    assert_ok(batch_require_unchanged(&batch, text_key("same", a), 77));
    size_t cursor = 0;
    struct condition_view condition;
    assert_true(batch_next_condition(&batch, &cursor, &condition));
    assert_int_equal(condition.kind, CONDITION_ABSENT);
    assert_true(batch_next_condition(&batch, &cursor, &condition));
    assert_int_equal(condition.kind, CONDITION_UNCHANGED);
    assert_int_equal(condition.sequence, 77);
    assert_true(slice_equal(condition.key, text_key("same", a)));
    assert_false(batch_next_condition(&batch, &cursor, &condition));
    batch_deinit(&batch);
}

/* Every prefix, and every byte changed to a few others: an answer, never a crash. */
static void malformed_payloads_are_corruption(void **state) {
    (void)state;
    test_allocator_init(&allocator);
    struct batch batch;
    batch_init(&batch, &allocator.base);
    uint8_t a[64], b[64];
    assert_ok(batch_put(&batch, text_key("one", a), slice("value", 5)));
    assert_ok(batch_delete_range(&batch, text_key("a", a), text_key("b", b)));
    batch_seal(&batch, 1, 1);
    uint64_t refused = 0;
    for (size_t size = 0; size < batch.payload.size; size++) {
        struct batch_view view;
        struct entry entry;
        bool found = true;
        lore_status status = batch_view_open(slice(batch.payload.data, size), &view);
        while (status == LORE_OK && found)
            status = batch_view_next(&view, &entry, &found);
        assert_status(status, LORE_CORRUPTION);
    }
    for (size_t i = 0; i < batch.payload.size; i++) {
        for (unsigned flip = 1; flip < 256; flip <<= 1) {
            batch.payload.data[i] ^= (uint8_t)flip;
            struct batch_view view;
            struct entry entry;
            bool found = true;
            lore_status status = batch_view_open(bytes_slice(&batch.payload), &view);
            while (status == LORE_OK && found)
                status = batch_view_next(&view, &entry, &found);
            if (status != LORE_OK) assert_status(status, LORE_CORRUPTION);
            refused += status != LORE_OK;
            batch.payload.data[i] ^= (uint8_t)flip;
        }
    }
    assert_true(refused > 50);
    batch_deinit(&batch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_read_back),
        cmocka_unit_test(rows_are_patched_and_put_back),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test(conditions_read_back),
        cmocka_unit_test(malformed_payloads_are_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
