#include "base/digest.h"
#include "base/testing.h"

/* The values are those of the XXH3 specification: the format depends on them for ever. */
static void known_values(void **state) {
    (void)state;
    assert_true(check64("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(check64(NULL, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(check64_seeded("", 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(check64_seeded("abc", 3, 1) != check64("abc", 3));
    static const uint8_t empty[16] = {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8,
                                      0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f};
    struct digest128 d = digest128_of("", 0);
    assert_memory_equal(d.bytes, empty, 16);
}

static void stream_equals_whole(void **state) {
    (void)state;
    enum { SIZE = 5000 };
    uint8_t data[SIZE];
    uint64_t seed = 7;
    for (int i = 0; i < SIZE; i++)
        data[i] = (uint8_t)test_random(&seed);
    struct digest128 whole = digest128_of(data, SIZE);
    for (size_t offset = 0; offset < 64;
         offset++) { /* wherever the owner's memory happens to lie */
        uint8_t *room = malloc(sizeof(struct digest_stream) + offset);
        assert_non_null(room);
        struct digest_stream *stream = (struct digest_stream *)(room + offset);
        digest_stream_init(stream);
        digest_stream_add(stream, NULL, 0);
        for (size_t at = 0; at < SIZE;) {
            size_t step = 1 + test_random(&seed) % 700;
            if (step > SIZE - at) step = SIZE - at;
            digest_stream_add(stream, data + at, step);
            at += step;
        }
        struct digest128 first = digest_stream_end(stream), again = digest_stream_end(stream);
        assert_memory_equal(first.bytes, whole.bytes, 16);
        assert_memory_equal(again.bytes, whole.bytes, 16);
        free(room);
    }
}

static void every_bit_counts(void **state) {
    (void)state;
    uint8_t data[300] = {0};
    uint64_t check = check64(data, sizeof data);
    struct digest128 digest = digest128_of(data, sizeof data);
    for (size_t bit = 0; bit < 8 * sizeof data; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(check64(data, sizeof data) != check);
        struct digest128 other = digest128_of(data, sizeof data);
        assert_memory_not_equal(other.bytes, digest.bytes, 16);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(stream_equals_whole),
        cmocka_unit_test(every_bit_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
