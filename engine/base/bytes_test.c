#include "base/testing.h"

static void slices_compare_like_memcmp(void **state) {
    (void)state;
    assert_true(slice_compare(lore_slice_of("a"), lore_slice_of("b")) < 0);
    assert_true(slice_compare(lore_slice_of("ab"), lore_slice_of("a")) > 0);
    assert_true(slice_compare(lore_slice_of(""), lore_slice_of("a")) < 0);
    assert_int_equal(slice_compare(slice(NULL, 0), slice(NULL, 0)), 0);
    assert_true(slice_compare(slice("\x7f", 1), slice("\x80", 1)) < 0); /* unsigned */
    assert_true(slice_compare(slice("a\0", 2), slice("a", 1)) > 0);
    assert_true(slice_equal(lore_slice_of("ab"), lore_slice_of("ab")));
    assert_false(slice_equal(lore_slice_of("ab"), lore_slice_of("ac")));
    assert_false(slice_equal(lore_slice_of("ab"), lore_slice_of("a")));
    assert_true(slice_equal(slice(NULL, 0), lore_slice_of("")));
    assert_true(slice_starts_with(lore_slice_of("abc"), lore_slice_of("ab")));
    assert_true(slice_starts_with(lore_slice_of("abc"), slice(NULL, 0)));
    assert_false(slice_starts_with(lore_slice_of("a"), lore_slice_of("ab")));
    assert_false(slice_starts_with(lore_slice_of("ba"), lore_slice_of("a")));
}

static void appends_grow(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes b = bytes_empty(&a.base);
    for (int i = 0; i < 1000; i++) {
        uint8_t byte = (uint8_t)i;
        assert_ok(bytes_append(&b, &byte, 1));
    }
    assert_int_equal(b.size, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(b.data[i], (uint8_t)i);
    assert_ok(bytes_append_zeros(&b, 3));
    assert_int_equal(b.data[999 + 3], 0);
    uint8_t *at;
    assert_ok(bytes_extend(&b, 2, &at));
    assert_ptr_equal(at, b.data + 1003);
    size_t capacity = b.capacity;
    bytes_clear(&b);
    assert_int_equal(b.size, 0);
    assert_int_equal(b.capacity, capacity);
    assert_ok(bytes_set(&b, lore_slice_of("hello")));
    assert_true(slice_equal(bytes_slice(&b), lore_slice_of("hello")));
    assert_ok(bytes_set(&b, slice(b.data + 1, 3))); /* its own bytes */
    assert_true(slice_equal(bytes_slice(&b), lore_slice_of("ell")));
    bytes_free(&b);
    assert_int_equal(a.blocks, 0);
    assert_null(b.data);
    bytes_free(&b);
}

static void empty_appends_touch_nothing(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes b = bytes_empty(&a.base);
    assert_ok(bytes_append(&b, NULL, 0));
    assert_ok(bytes_append_zeros(&b, 0));
    assert_ok(bytes_set(&b, slice(NULL, 0)));
    assert_int_equal(a.blocks, 0);
    bytes_free(&b);
}

static void failed_append_changes_nothing(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes b = bytes_empty(&a.base);
    assert_ok(bytes_append(&b, "abc", 3));
    char big[100] = {0};
    a.fail_at = 0;
    assert_status(bytes_append(&b, big, sizeof big), LORE_NO_MEMORY);
    assert_status(bytes_set(&b, slice(big, sizeof big)), LORE_NO_MEMORY);
    assert_status(bytes_append_zeros(&b, sizeof big), LORE_NO_MEMORY);
    assert_status(bytes_reserve(&b, SIZE_MAX), LORE_NO_MEMORY);
    assert_true(slice_equal(bytes_slice(&b), lore_slice_of("abc")));
    bytes_free(&b);
    assert_int_equal(a.bytes, 0);
}

static void buffers_are_reused_and_change_owner(void **state) {
    (void)state;
    struct test_allocator a, other;
    test_allocator_init(&a);
    test_allocator_init(&other);
    lore_buffer buffer = {0};
    assert_ok(buffer_set(&buffer, &a.base, slice(NULL, 0)));
    assert_int_equal(buffer.size, 0);
    assert_int_equal(a.blocks, 0);
    assert_ok(buffer_set(&buffer, &a.base, lore_slice_of("hello world")));
    void *data = buffer.data;
    assert_ok(buffer_set(&buffer, &a.base, lore_slice_of("bye")));
    assert_ptr_equal(buffer.data, data);
    assert_int_equal(buffer.size, 3);
    assert_memory_equal(buffer.data, "bye", 3);

    a.fail_at = 0;
    assert_status(buffer_set(&buffer, &a.base, lore_slice_of("longer than before")),
                  LORE_NO_MEMORY);
    assert_int_equal(buffer.size, 3);
    assert_memory_equal(buffer.data, "bye", 3);

    assert_ok(buffer_set(&buffer, &other.base, lore_slice_of("longer than before")));
    assert_int_equal(a.blocks, 0);
    assert_int_equal(other.blocks, 1);
    lore_buffer_free(&buffer);
    assert_int_equal(other.blocks, 0);
    assert_null(buffer.data);
    lore_buffer_free(&buffer);
    lore_buffer_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_like_memcmp),
        cmocka_unit_test(appends_grow),
        cmocka_unit_test(empty_appends_touch_nothing),
        cmocka_unit_test(failed_append_changes_nothing),
        cmocka_unit_test(buffers_are_reused_and_change_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
