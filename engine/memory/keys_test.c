/* Tests of keys.c: order under memcmp, round trips, malformed texts; and of index_keys.c. */
#include <float.h>

#include "base/testing.h"
#include "memory/index_keys.h"

struct fixture {
    struct test_allocator allocator;
    struct bytes a, b;
};

static int set_up(void **state) {
    static struct fixture fixture;
    test_allocator_init(&fixture.allocator);
    fixture.a = bytes_empty(&fixture.allocator.base);
    fixture.b = bytes_empty(&fixture.allocator.base);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    bytes_free(&f->a);
    bytes_free(&f->b);
    return f->allocator.blocks == 0 ? 0 : -1;
}

static int sign(int order) {
    return (order > 0) - (order < 0);
}

/* Short strings over {0, 1, 0xff}: those that an escape could get wrong. */
static lore_slice nth_string(unsigned n, uint8_t room[4]) {
    static const uint8_t letters[3] = {0, 1, 0xff};
    unsigned size = 0, count = 1;
    while (n >= count) {
        n -= count;
        count *= 3;
        size++;
    }
    for (unsigned i = 0; i < size; i++, n /= 3)
        room[size - 1 - i] = letters[n % 3];
    return slice(room, size);
}

static void texts_keep_their_order(void **state) {
    struct fixture *f = *state;
    struct bytes back = bytes_empty(&f->allocator.base);
    for (unsigned i = 0; i < 121; i++) {
        uint8_t room_i[4], room_j[4];
        lore_slice x = nth_string(i, room_i);
        bytes_clear(&f->a);
        assert_ok(append_text(&f->a, x));
        struct reader reader = reader_over(bytes_slice(&f->a));
        assert_ok(read_text(&reader, &back));
        assert_int_equal(reader_left(&reader), 0);
        assert_true(slice_equal(bytes_slice(&back), x));
        for (unsigned j = 0; j < 121; j++) {
            lore_slice y = nth_string(j, room_j);
            bytes_clear(&f->b);
            assert_ok(append_text(&f->b, y));
            /* What follows the text in a key must not change the order of two texts that differ. */
            assert_ok(append_be64(&f->b, 0));
            int order = slice_compare(bytes_slice(&f->a), bytes_slice(&f->b));
            int expected = slice_compare(x, y);
            assert_int_equal(sign(order), expected == 0 ? -1 : sign(expected));
        }
    }
    bytes_free(&back);
}

static void malformed_texts_are_corruption(void **state) {
    struct fixture *f = *state;
    static const char *const bad[] = {"", "a", "a\0", "a\0\2", "\0\xff", "\0\xff\0"};
    static const size_t sizes[] = {0, 1, 2, 3, 2, 3};
    for (size_t i = 0; i < 6; i++) {
        struct reader reader = reader_over(slice(bad[i], sizes[i]));
        assert_status(read_text(&reader, &f->a), LORE_CORRUPTION);
    }
}

static void numbers_keep_their_order(void **state) {
    struct fixture *f = *state;
    static const double numbers[] = {-DBL_MAX, -1, -DBL_MIN, 0, 4e-324, DBL_MIN, 0.5, 1, DBL_MAX};
    static const int64_t integers[] = {INT64_MIN, -2, -1, 0, 1, 255, 256, INT64_MAX};
    for (size_t i = 0; i < 9; i++) {
        bytes_clear(&f->a);
        assert_ok(append_number(&f->a, numbers[i]));
        struct reader reader = reader_over(bytes_slice(&f->a));
        assert_true(read_number(&reader) == numbers[i]);
        if (i > 0) assert_true(slice_compare(bytes_slice(&f->b), bytes_slice(&f->a)) < 0);
        assert_ok(bytes_set(&f->b, bytes_slice(&f->a)));
    }
    bytes_clear(&f->b);
    for (size_t i = 0; i < 8; i++) {
        bytes_clear(&f->a);
        assert_ok(append_integer(&f->a, integers[i]));
        struct reader reader = reader_over(bytes_slice(&f->a));
        assert_true(read_integer(&reader) == integers[i]);
        if (i > 0) assert_true(slice_compare(bytes_slice(&f->b), bytes_slice(&f->a)) < 0);
        assert_ok(bytes_set(&f->b, bytes_slice(&f->a)));
    }
    bytes_clear(&f->a);
    bytes_clear(&f->b);
    assert_ok(append_number(&f->a, -0.0));
    assert_ok(append_number(&f->b, 0.0));
    assert_true(slice_equal(bytes_slice(&f->a), bytes_slice(&f->b)));
}

static void keys_have_their_form(void **state) {
    struct fixture *f = *state;
    uint64_t row;
    assert_ok(key_record(&f->a, 0x0102030405060708u, RECORD_TEXT));
    assert_memory_equal(f->a.data, "\xf0\0\0\x11\1\2\3\4\5\6\7\x08\1", 13);
    assert_int_equal(f->a.size, 13);
    assert_ok(key_dead(&f->a, 7));
    assert_true(key_row(bytes_slice(&f->a), &row));
    assert_int_equal(row, 7);
    assert_false(key_row(slice(f->a.data, 11), &row));
    assert_ok(key_session(&f->a, lore_slice_of("s"), 3));
    assert_ok(key_session_prefix(&f->b, lore_slice_of("s")));
    assert_true(slice_starts_with(bytes_slice(&f->a), bytes_slice(&f->b)));
    assert_int_equal(f->a.size, f->b.size + 8);
    assert_ok(key_index_text(&f->a, LORE_ATTR_KIND, lore_slice_of("k")));
    assert_memory_equal(f->a.data, "\xf0\0\0\x12\2k\0\1", 8);
}

static void after_a_prefix(void **state) {
    struct fixture *f = *state;
    assert_ok(bytes_set(&f->a, slice("a\xff\xff", 3)));
    assert_true(key_after_prefix(&f->a));
    assert_true(slice_equal(bytes_slice(&f->a), slice("b", 1)));
    assert_ok(bytes_set(&f->a, slice("\xff\xff", 2)));
    assert_false(key_after_prefix(&f->a));
}

static void index_keys_of_a_memory(void **state) {
    struct fixture *f = *state;
    struct bytes key = bytes_empty(&f->allocator.base);
    lore_slice tags[4] = {lore_slice_of("b"), lore_slice_of("a"), lore_slice_of("b"), {NULL, 0}};
    lore_memory memory;
    lore_memory_init(&memory);
    memory.created_at_us = memory.updated_at_us = 5;
    memory.tags = tags;
    memory.tags_count = 4;
    memory.session_id = lore_slice_of("s");
    memory.position = 9;
    assert_ok(index_keys_of(&memory, &f->a, &key));
    /* tier, status, importance, two times, session, tags b, a and the empty one */
    size_t cursor = 0, count = 0;
    lore_slice there;
    while (index_keys_next(&f->a, &cursor, &there))
        count++;
    assert_int_equal(count, 9);
    assert_ok(key_index_text(&f->b, LORE_ATTR_TAGS, lore_slice_of("a")));
    assert_true(index_keys_have(&f->a, bytes_slice(&f->b)));
    assert_ok(key_index_integer(&f->b, LORE_ATTR_EXPIRES_AT, 0));
    assert_false(index_keys_have(&f->a, bytes_slice(&f->b)));
    bytes_free(&key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_keep_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(malformed_texts_are_corruption, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_keep_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_have_their_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(after_a_prefix, set_up, tear_down),
        cmocka_unit_test_setup_teardown(index_keys_of_a_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
