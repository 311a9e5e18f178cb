/* fuse_filter_test.c - no false negatives at any size, few false positives, and no trust in stored
 * bytes. */
#include <stdio.h>

#include "base/coding.h"
#include "base/digest.h"
#include "segment/fuse_filter.h"
#include "base/testing.h"

static uint64_t hash_of(uint64_t number) {
    uint8_t bytes[8];
    put_u64(bytes, number);
    return check64(bytes, sizeof bytes);
}

static uint64_t *make_hashes(size_t count, uint64_t first) {
    uint64_t *hashes = malloc((count + 1) * sizeof *hashes);
    assert_non_null(hashes);
    for (size_t i = 0; i < count; i++)
        hashes[i] = hash_of(first + i);
    return hashes;
}

static struct test_allocator memory;

static struct bytes build(uint64_t *hashes, size_t count) {
    struct bytes stored = bytes_empty(&memory.base);
    assert_ok(fuse_filter_build(&memory.base, hashes, count, &stored));
    assert_true(fuse_filter_is_valid(bytes_slice(&stored)));
    return stored;
}

static void every_key_is_found_at_every_size(void **state) {
    (void)state;
    for (size_t count = 0; count <= 100000; count = count < 300 ? count + 1 : count * 3 / 2) {
        uint64_t *hashes = make_hashes(count, count * 7919);
        struct bytes stored = build(hashes, count);
        for (size_t i = 0; i < count; i++)
            assert_true(fuse_filter_maybe(bytes_slice(&stored), hash_of(count * 7919 + i)));
        bytes_free(&stored);
        free(hashes);
    }
}

static void few_others_are_let_through(void **state) {
    (void)state;
    size_t sizes[] = {10, 100, 1000, 10000, 100000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint64_t *hashes = make_hashes(sizes[s], 0);
        struct bytes stored = build(hashes, sizes[s]);
        size_t passed = 0;
        const size_t asked = 200000;
        for (size_t i = 0; i < asked; i++)
            passed += fuse_filter_maybe(bytes_slice(&stored), hash_of(1000000000 + i));
        double bits = (double)stored.size * 8 / (double)sizes[s];
        printf("%zu keys: %.2f bits a key, %.3f %% false positives\n", sizes[s], bits,
               100.0 * (double)passed / (double)asked);
        assert_true(passed < asked / 100);
        assert_true(sizes[s] < 1000 || bits < 12);
        assert_true(sizes[s] < 100000 || bits < 9.6);
        bytes_free(&stored);
        free(hashes);
    }
}

static void nothing_passes_an_empty_filter(void **state) {
    (void)state;
    struct bytes stored = build(NULL, 0);
    for (uint64_t i = 0; i < 1000; i++)
        assert_false(fuse_filter_maybe(bytes_slice(&stored), hash_of(i)));
    bytes_free(&stored);
}

static void repeats_do_no_harm(void **state) {
    (void)state;
    for (size_t count = 1; count < 2000; count = count * 2 + 1) {
        uint64_t *hashes = make_hashes(3 * count, 0);
        for (size_t i = 0; i < count; i++)
            hashes[count + i] = hashes[2 * count + i] = hashes[i];
        struct bytes stored = build(hashes, 3 * count);
        size_t passed = 0;
        for (size_t i = 0; i < count; i++)
            assert_true(fuse_filter_maybe(bytes_slice(&stored), hash_of(i)));
        for (uint64_t i = 0; i < 1000; i++)
            passed += fuse_filter_maybe(bytes_slice(&stored), hash_of(1000000 + i));
        assert_true(passed < 50); /* it did not fall back to yes */
        bytes_free(&stored);
        free(hashes);
    }
    uint64_t same[400];
    for (size_t i = 0; i < 400; i++)
        same[i] = 42;
    struct bytes stored = build(same, 400);
    assert_true(fuse_filter_maybe(bytes_slice(&stored), 42));
    assert_true(stored.size > 20);
    bytes_free(&stored);
}

static void equal_keys_give_equal_bytes(void **state) {
    (void)state;
    uint64_t *one = make_hashes(5000, 1), *two = make_hashes(5000, 1);
    struct bytes first = build(one, 5000), second = build(two, 5000);
    assert_true(slice_equal(bytes_slice(&first), bytes_slice(&second)));
    /* The format is for ever: these bytes must come out on every host and in every version. */
    assert_int_equal(first.size, 6676);
    assert_true(check64(first.data, first.size) == UINT64_C(0x3c04f395cb7728ab));
    bytes_free(&first);
    bytes_free(&second);
    free(one);
    free(two);
}

static void hostile_shapes_are_refused(void **state) {
    (void)state;
    uint64_t *hashes = make_hashes(100, 0);
    struct bytes stored = build(hashes, 100);
    for (size_t size = 0; size < stored.size; size++)
        assert_false(fuse_filter_is_valid(slice(stored.data, size)));
    for (size_t at = 8; at < 20; at++) {
        for (int bit = 0; bit < 8; bit++) {
            stored.data[at] ^= (uint8_t)(1 << bit);
            assert_false(fuse_filter_is_valid(bytes_slice(&stored)));
            stored.data[at] ^= (uint8_t)(1 << bit);
        }
    }
    /* 2^18 * 2^14 slots wrap around 32 bits to none. */
    uint8_t wrapped[20] = {0};
    put_u32(wrapped + 8, 1u << 18);
    put_u32(wrapped + 12, (1u << 14) - 2);
    assert_false(fuse_filter_is_valid(slice(wrapped, sizeof wrapped)));
    bytes_free(&stored);
    free(hashes);
}

static void failed_allocations_leave_nothing(void **state) {
    (void)state;
    uint64_t *hashes = make_hashes(1000, 0);
    lore_status status;
    long fail_at = 0;
    do {
        memory.fail_at = fail_at++;
        struct bytes stored = bytes_empty(&memory.base);
        status = fuse_filter_build(&memory.base, hashes, 1000, &stored);
        if (status != LORE_OK) {
            assert_status(status, LORE_NO_MEMORY);
            assert_int_equal(stored.size, 0);
        }
        bytes_free(&stored);
        assert_int_equal(memory.blocks, 0);
    } while (status != LORE_OK);
    assert_true(fail_at > 2);
    memory.fail_at = -1;
    free(hashes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_found_at_every_size),
        cmocka_unit_test(few_others_are_let_through),
        cmocka_unit_test(nothing_passes_an_empty_filter),
        cmocka_unit_test(repeats_do_no_harm),
        cmocka_unit_test(equal_keys_give_equal_bytes),
        cmocka_unit_test(hostile_shapes_are_refused),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    test_allocator_init(&memory);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
