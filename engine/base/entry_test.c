#include "base/entry.h"
#include "base/testing.h"

static void references_have_their_form(void **state) {
    (void)state;
    struct value_ref ref = {UINT64_C(0x0807060504030201), 0x0c0b0a09u, 0x100f0e0du}, back;
    uint8_t bytes[VALUE_REF_BYTES];
    value_ref_encode(&ref, bytes);
    for (int i = 0; i < 16; i++)
        assert_int_equal(bytes[i], i + 1);
    assert_true(value_ref_decode(slice(bytes, 16), &back));
    assert_true(back.logical_id == ref.logical_id && back.ordinal == ref.ordinal &&
                back.length == ref.length);
    assert_false(value_ref_decode(slice(bytes, 15), &back));
    assert_false(value_ref_decode(slice(bytes, 0), &back));
    uint8_t longer[17] = {0};
    assert_false(value_ref_decode(slice(longer, 17), &back));
}

static void vector_keys_order_by_space_and_row(void **state) {
    (void)state;
    uint8_t a[VECTOR_KEY_BYTES], b[VECTOR_KEY_BYTES], c[VECTOR_KEY_BYTES];
    vector_key_encode(1, 255, a);
    vector_key_encode(1, 256, b);
    vector_key_encode(2, 0, c);
    assert_memory_equal(a, "\xf0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\xff", 16);
    assert_true(memcmp(a, b, 16) < 0 && memcmp(b, c, 16) < 0);
    uint32_t space;
    uint64_t row;
    assert_true(vector_key_decode(slice(b, 16), &space, &row));
    assert_int_equal(space, 1);
    assert_int_equal(row, 256);
    assert_false(vector_key_decode(slice(b, 15), &space, &row));
    b[3] ^= 1;
    assert_false(vector_key_decode(slice(b, 16), &space, &row));
}

static void sequence_and_kind_share_a_word(void **state) {
    (void)state;
    uint64_t word = entry_pack(SEQUENCE_MAX, ENTRY_VECTOR_ROW);
    assert_true(word >> 8 == SEQUENCE_MAX);
    assert_int_equal(word & 0xff, ENTRY_VECTOR_ROW);
    assert_true(entry_pack(2, ENTRY_PUT) > entry_pack(1, ENTRY_VECTOR_ROW));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_have_their_form),
        cmocka_unit_test(vector_keys_order_by_space_and_row),
        cmocka_unit_test(sequence_and_kind_share_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
