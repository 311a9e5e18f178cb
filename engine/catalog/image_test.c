/*
 * The image against an array of what each key should hold, in random order; and malformed edits.
 */
#include "base/testing.h"
#include "catalog/edit.h"
#include "catalog/image.h"

#define KEYS 300u

static void it_holds_what_was_put(void **state) {
    (void)state;
    uint64_t random = 99;
    print_message("seed %llu\n", (unsigned long long)random);
    struct test_allocator allocator;
    test_allocator_init(&allocator);
    struct image image;
    image_init(&image, &allocator.base);
    struct catalog_edit edit;
    catalog_edit_init(&edit, &allocator.base);
    uint32_t model[KEYS] = {0}; /* 0: absent; else the value */
    for (uint32_t round = 1; round < 4000; round++) {
        uint32_t number = (uint32_t)(test_random(&random) % KEYS);
        uint8_t key[6] = {'k'};
        put_be32(key + 1, number);
        catalog_edit_clear(&edit);
        if (test_random(&random) % 3 == 0) {
            assert_ok(catalog_edit_delete(&edit, slice(key, 5)));
            model[number] = 0;
        } else {
            uint8_t value[4];
            put_u32(value, round);
            assert_ok(catalog_edit_put(&edit, slice(key, 5), slice(value, 4)));
            model[number] = round;
        }
        assert_ok(image_apply(&image, bytes_slice(&edit.encoded)));
    }
    size_t at = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        uint8_t key[6] = {'k'};
        put_be32(key + 1, i);
        assert_int_equal(image_seek(&image, slice(key, 5)), at);
        if (model[i] == 0) continue;
        assert_true(slice_equal(image_key(&image, at), slice(key, 5)));
        assert_int_equal(get_u32(image_value(&image, at).data), model[i]);
        at++;
    }
    assert_int_equal(image.count, at);
    image_deinit(&image);
    catalog_edit_deinit(&edit);
    assert_int_equal(allocator.blocks, 0);
}

static void malformed_edits_are_corruption(void **state) {
    (void)state;
    struct test_allocator allocator;
    test_allocator_init(&allocator);
    struct catalog_edit edit;
    catalog_edit_init(&edit, &allocator.base);
    assert_ok(catalog_edit_put(&edit, slice("key", 3), slice("value", 5)));
    assert_ok(edit_check(bytes_slice(&edit.encoded)));
    for (size_t size = 1; size < edit.encoded.size; size++) {
        assert_status(edit_check(slice(edit.encoded.data, size)), LORE_CORRUPTION);
    }
    edit.encoded.data[0] = 3;
    assert_status(edit_check(bytes_slice(&edit.encoded)), LORE_CORRUPTION);
    edit.encoded.data[0] = 1;
    edit.encoded.data[2] = 0; /* the key's first byte */
    assert_status(edit_check(bytes_slice(&edit.encoded)), LORE_CORRUPTION);
    catalog_edit_deinit(&edit);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_was_put),
        cmocka_unit_test(malformed_edits_are_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
