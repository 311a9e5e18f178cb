#include "base/merge.h"
#include "base/testing.h"

enum { SIZE = 2 * MERGE_FIELD_BYTES };

static void operand(uint8_t out[SIZE], int64_t added, int64_t latest) {
    merge_field_encode(out, MERGE_ADD, added);
    merge_field_encode(out + MERGE_FIELD_BYTES, MERGE_MAX, latest);
}

static void assert_fields(const uint8_t *bytes, int64_t added, int64_t latest) {
    int64_t value;
    assert_true(merge_field_get(slice(bytes, SIZE), 0, &value) && value == added);
    assert_true(merge_field_get(slice(bytes, SIZE), 1, &value) && value == latest);
    assert_false(merge_field_get(slice(bytes, SIZE), 2, &value));
}

static void fields_add_and_keep_the_latest(void **state) {
    (void)state;
    uint8_t a[SIZE], b[SIZE], out[SIZE];
    operand(a, 5, -100);
    operand(b, -7, -3);
    assert_true(merge_combine(slice(a, SIZE), slice(b, SIZE), out));
    assert_fields(out, -2, -3);
    assert_true(merge_combine(slice(b, SIZE), slice(a, SIZE), b)); /* in place */
    assert_fields(b, -2, -3);
}

static void grouping_does_not_matter(void **state) {
    (void)state;
    static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    const size_t n = sizeof edges / sizeof edges[0];
    for (size_t i = 0; i < n * n * n; i++) {
        int64_t x = edges[i % n], y = edges[i / n % n], z = edges[i / n / n];
        uint8_t a[SIZE], b[SIZE], c[SIZE], left[SIZE], right[SIZE];
        operand(a, x, z);
        operand(b, y, x);
        operand(c, z, y);
        assert_true(merge_combine(slice(a, SIZE), slice(b, SIZE), left));
        assert_true(merge_combine(slice(left, SIZE), slice(c, SIZE), left));
        assert_true(merge_combine(slice(b, SIZE), slice(c, SIZE), right));
        assert_true(merge_combine(slice(a, SIZE), slice(right, SIZE), right));
        assert_memory_equal(left, right, SIZE);
    }
}

static void other_forms_are_refused(void **state) {
    (void)state;
    uint8_t a[SIZE], b[SIZE], out[SIZE] = {0};
    operand(a, 1, 1);
    operand(b, 1, 1);
    assert_false(merge_combine(slice(a, SIZE), slice(b, MERGE_FIELD_BYTES), out));
    b[MERGE_FIELD_BYTES] = MERGE_ADD;
    assert_false(merge_combine(slice(a, SIZE), slice(b, SIZE), a));
    assert_fields(a, 1, 1); /* untouched */
    b[0] = 3;
    assert_false(merge_is_valid(slice(b, SIZE)));
    b[0] = 0;
    assert_false(merge_is_valid(slice(b, SIZE)));
    assert_false(merge_is_valid(slice(a, SIZE - 1)));
    assert_false(merge_is_valid(slice(NULL, 0)));
    int64_t value;
    assert_false(merge_field_get(slice(NULL, 0), 0, &value));

    uint8_t many[(MERGE_FIELDS_MAX + 1) * MERGE_FIELD_BYTES];
    for (size_t i = 0; i <= MERGE_FIELDS_MAX; i++) {
        merge_field_encode(many + i * MERGE_FIELD_BYTES, MERGE_ADD, 1);
    }
    assert_true(merge_is_valid(slice(many, MERGE_FIELDS_MAX * MERGE_FIELD_BYTES)));
    assert_false(merge_is_valid(slice(many, sizeof many)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_add_and_keep_the_latest),
        cmocka_unit_test(grouping_does_not_matter),
        cmocka_unit_test(other_forms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
