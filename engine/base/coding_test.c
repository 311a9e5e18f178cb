#include "base/coding.h"
#include "base/testing.h"

static void fixed_numbers_have_their_byte_order(void **state) {
    (void)state;
    uint8_t p[8];
    put_u16(p, 0x1234);
    assert_memory_equal(p, "\x34\x12", 2);
    assert_int_equal(get_u16(p), 0x1234);
    put_u32(p, 0x89abcdefu);
    assert_memory_equal(p, "\xef\xcd\xab\x89", 4);
    assert_true(get_u32(p) == 0x89abcdefu);
    put_u64(p, UINT64_C(0xfedcba9876543210));
    assert_memory_equal(p, "\x10\x32\x54\x76\x98\xba\xdc\xfe", 8);
    assert_true(get_u64(p) == UINT64_C(0xfedcba9876543210));
    put_be32(p, 0x89abcdefu);
    assert_memory_equal(p, "\x89\xab\xcd\xef", 4);
    assert_true(get_be32(p) == 0x89abcdefu);
    put_be64(p, UINT64_C(0xfedcba9876543210));
    assert_memory_equal(p, "\xfe\xdc\xba\x98\x76\x54\x32\x10", 8);
    assert_true(get_be64(p) == UINT64_C(0xfedcba9876543210));
}

static void check_varint(uint64_t v) {
    uint8_t p[VARINT_BYTES_MAX];
    size_t size = put_varint(p, v);
    assert_int_equal(size, varint_size(v));
    uint64_t back = ~v;
    assert_int_equal(get_varint(p, p + size, &back), size);
    assert_true(back == v);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(get_varint(p, p + cut, &back), 0);
}

static void varints_round_trip(void **state) {
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        uint64_t v = UINT64_C(1) << bit;
        check_varint(v - 1);
        check_varint(v);
        check_varint(v + 1);
    }
    check_varint(UINT64_MAX);
    uint64_t seed = 20240607;
    for (int i = 0; i < 20000; i++)
        check_varint(test_random(&seed) >> (test_random(&seed) % 64));
    assert_int_equal(varint_size(127), 1);
    assert_int_equal(varint_size(128), 2);
    assert_int_equal(varint_size(UINT64_MAX), 10);
}

static void varints_refuse_what_is_long_or_large(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x80\x00", 2},                                     /* 0 in two bytes */
        {"\xff\x80\x00", 3},                                 /* 127 in three */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},    /* 65 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01", 11} /* eleven bytes */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const uint8_t *p = (const uint8_t *)bad[i].bytes;
        uint64_t v;
        assert_int_equal(get_varint(p, p + bad[i].size, &v), 0);
        struct reader r = reader_over(slice(p, bad[i].size));
        assert_true(read_varint(&r) == 0);
        assert_true(r.bad);
    }
}

static void reader_reads_what_was_appended(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes b = bytes_empty(&a.base);
    assert_ok(append_u8(&b, 0xfe));
    assert_ok(append_u16(&b, 0xfedc));
    assert_ok(append_u32(&b, 0xfedcba98u));
    assert_ok(append_u64(&b, UINT64_C(0xfedcba9876543210)));
    assert_ok(append_be32(&b, 0x01020304u));
    assert_ok(append_be64(&b, UINT64_C(0x0102030405060708)));
    assert_ok(append_varint(&b, UINT64_MAX));
    assert_ok(append_varint(&b, UINT32_MAX));
    assert_ok(append_prefixed(&b, lore_slice_of("hello")));
    assert_ok(append_prefixed(&b, slice(NULL, 0)));
    assert_ok(bytes_append(&b, "xyz", 3));

    for (size_t size = 0; size <= b.size; size++) {   /* whole, and cut anywhere */
        uint8_t *copy = malloc(size == 0 ? 1 : size); /* exact, for the address sanitizer */
        assert_non_null(copy);
        memcpy(copy, b.data, size);
        struct reader r = reader_over(slice(copy, size));
        uint8_t v8 = read_u8(&r);
        uint16_t v16 = read_u16(&r);
        uint32_t v32 = read_u32(&r);
        uint64_t v64 = read_u64(&r);
        uint32_t be32 = read_be32(&r);
        uint64_t be64 = read_be64(&r);
        uint64_t varint = read_varint(&r);
        uint32_t varint32 = read_varint32(&r);
        lore_slice hello = read_prefixed(&r), empty = read_prefixed(&r), xyz = read_bytes(&r, 3);
        assert_int_equal(r.bad, size < b.size);
        assert_int_equal(reader_left(&r), 0);
        if (size == b.size) {
            assert_int_equal(v8, 0xfe);
            assert_int_equal(v16, 0xfedc);
            assert_true(v32 == 0xfedcba98u && v64 == UINT64_C(0xfedcba9876543210));
            assert_true(be32 == 0x01020304u && be64 == UINT64_C(0x0102030405060708));
            assert_true(varint == UINT64_MAX && varint32 == UINT32_MAX);
            assert_true(slice_equal(hello, lore_slice_of("hello")));
            assert_int_equal(empty.size, 0);
            assert_true(slice_equal(xyz, lore_slice_of("xyz")));
        } else {
            assert_int_equal(xyz.size, 0);
        }
        free(copy);
    }
    bytes_free(&b);
    assert_int_equal(a.blocks, 0);
}

static void bad_stays_bad(void **state) {
    (void)state;
    struct reader r = reader_over(lore_slice_of("abcdefgh"));
    assert_int_equal(read_u8(&r), 'a');
    assert_true(read_u64(&r) == 0);
    assert_true(r.bad);
    assert_int_equal(read_u8(&r), 0);
    assert_int_equal(read_bytes(&r, 0).size, 0);
    assert_int_equal(read_prefixed(&r).size, 0);
    assert_int_equal(reader_left(&r), 0);

    struct reader nothing = reader_over(slice(NULL, 0));
    assert_int_equal(reader_left(&nothing), 0);
    assert_int_equal(read_bytes(&nothing, 0).size, 0);
    assert_false(nothing.bad);
    assert_true(read_varint(&nothing) == 0);
    assert_true(nothing.bad);

    struct reader wide = reader_over(slice("\x80\x80\x80\x80\x10", 5)); /* 2^32 */
    assert_int_equal(read_varint32(&wide), 0);
    assert_true(wide.bad);

    struct reader long_prefix = reader_over(slice("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01z", 11));
    assert_int_equal(read_prefixed(&long_prefix).size, 0);
    assert_true(long_prefix.bad);
}

static void failed_appends_change_nothing(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    a.fail_at = 0;
    struct bytes b = bytes_empty(&a.base);
    assert_status(append_u8(&b, 1), LORE_NO_MEMORY);
    assert_status(append_u16(&b, 1), LORE_NO_MEMORY);
    assert_status(append_u32(&b, 1), LORE_NO_MEMORY);
    assert_status(append_u64(&b, 1), LORE_NO_MEMORY);
    assert_status(append_be32(&b, 1), LORE_NO_MEMORY);
    assert_status(append_be64(&b, 1), LORE_NO_MEMORY);
    assert_status(append_varint(&b, 1), LORE_NO_MEMORY);
    assert_status(append_prefixed(&b, lore_slice_of("x")), LORE_NO_MEMORY);
    assert_status(append_prefixed(&b, slice("x", SIZE_MAX)), LORE_NO_MEMORY);
    assert_int_equal(b.size, 0);
    a.fail_at = 1; /* room for the length, none for the content */
    assert_ok(bytes_reserve(&b, 8));
    char big[100] = {0};
    assert_status(append_prefixed(&b, slice(big, sizeof big)), LORE_NO_MEMORY);
    assert_int_equal(b.size, 0);
    bytes_free(&b);
    assert_int_equal(a.blocks, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_numbers_have_their_byte_order),
        cmocka_unit_test(varints_round_trip),
        cmocka_unit_test(varints_refuse_what_is_long_or_large),
        cmocka_unit_test(reader_reads_what_was_appended),
        cmocka_unit_test(bad_stays_bad),
        cmocka_unit_test(failed_appends_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
