#include "base/testing.h"

static void get_new_resize_put(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    void *memory;
    assert_ok(mem_new(&a.base, 100, &memory));
    for (int i = 0; i < 100; i++)
        assert_int_equal(((uint8_t *)memory)[i], 0);
    memset(memory, 7, 100);
    assert_ok(mem_resize(&a.base, &memory, 100, 200));
    for (int i = 0; i < 100; i++)
        assert_int_equal(((uint8_t *)memory)[i], 7);
    assert_int_equal(a.bytes, 200);
    assert_ok(mem_resize(&a.base, &memory, 200, 0));
    assert_null(memory);
    assert_int_equal(a.blocks, 0);
    assert_ok(mem_resize(&a.base, &memory, 0, 10));
    mem_put(&a.base, memory, 10);
    mem_put(&a.base, NULL, 10);
    assert_int_equal(a.blocks, 0);
}

static void nothing_is_no_memory(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    void *memory = &a;
    assert_ok(mem_get(&a.base, 0, &memory));
    assert_null(memory);
    assert_ok(mem_new(&a.base, 0, &memory));
    assert_null(memory);
}

static void failure_names_the_size_and_changes_nothing(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    void *memory;
    assert_ok(mem_get(&a.base, 8, &memory));
    memcpy(memory, "content", 8);
    a.fail_at = 0;
    void *before = memory;
    assert_status(mem_resize(&a.base, &memory, 8, 1234), LORE_NO_MEMORY);
    assert_ptr_equal(memory, before);
    assert_string_equal(memory, "content");
    assert_non_null(strstr(lore_error_message(), "1234"));
    void *other = &a;
    assert_status(mem_get(&a.base, 77, &other), LORE_NO_MEMORY);
    assert_null(other);
    assert_status(mem_new(&a.base, 77, &other), LORE_NO_MEMORY);
    mem_put(&a.base, memory, 8);
    assert_int_equal(a.bytes, 0);
}

static void sums_and_products_tell_overflow(void **state) {
    (void)state;
    size_t r;
    assert_true(size_add(SIZE_MAX - 1, 1, &r));
    assert_true(r == SIZE_MAX);
    assert_false(size_add(SIZE_MAX, 1, &r));
    assert_true(size_mul(SIZE_MAX / 2, 2, &r));
    assert_true(r == SIZE_MAX - 1);
    assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &r));
    assert_true(size_mul(0, SIZE_MAX, &r));
    assert_int_equal(r, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_new_resize_put),
        cmocka_unit_test(nothing_is_no_memory),
        cmocka_unit_test(failure_names_the_size_and_changes_nothing),
        cmocka_unit_test(sums_and_products_tell_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
