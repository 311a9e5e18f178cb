/*
 * range_deletes_test.c - the skyline against a list that is walked, with and without pins.
 */
#include "lsm/range_deletes.h"

#include <stdio.h>

#include "base/testing.h"

#define KEYS 40u

struct range {
    uint8_t begin, end;
    uint64_t sequence;
};

/* The newest sequence <= `sequence` of a range that covers key, and above the highest pin below
 * that: 0 none. */
static uint64_t covering(const struct range *ranges, size_t count, uint8_t key, uint64_t sequence) {
    uint64_t highest = 0;
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].begin <= key && key < ranges[i].end && ranges[i].sequence <= sequence &&
            ranges[i].sequence > highest)
            highest = ranges[i].sequence;
    }
    return highest;
}

static void check_fragments(const struct range_deletes *deletes) {
    for (size_t i = 0; i < deletes->count; i++) {
        const struct range_fragment *f = &deletes->fragments[i];
        assert_true(slice_compare(f->begin, f->end) < 0);
        assert_true(f->count > 0);
        for (size_t s = 1; s < f->count; s++)
            assert_true(f->sequences[s] < f->sequences[s - 1]);
        if (i > 0) assert_true(slice_compare(deletes->fragments[i - 1].end, f->begin) <= 0);
        assert_int_equal(range_deletes_find(deletes, f->begin), i);
    }
}

static void one_round(uint64_t *seed, struct test_allocator *a) {
    struct range ranges[30];
    size_t count = test_random(seed) % 30;
    uint64_t pins[5] = {0};
    size_t pins_count = test_random(seed) % 5;
    for (size_t i = 0; i < pins_count; i++)
        pins[i] = 20 * (i + 1) + test_random(seed) % 20;
    struct range_deletes deletes;
    range_deletes_init(&deletes, &a->base);
    for (size_t i = 0; i < count; i++) {
        struct range *r = &ranges[i];
        r->begin = (uint8_t)(test_random(seed) % KEYS);
        r->end = (uint8_t)(test_random(seed) % KEYS);
        r->sequence = 1 + test_random(seed) % 120;
        assert_ok(range_deletes_add(&deletes, slice(&r->begin, 1), slice(&r->end, 1), r->sequence));
    }
    assert_ok(range_deletes_build(&deletes, pins, pins_count));
    check_fragments(&deletes);
    for (uint8_t key = 0; key < KEYS; key++) {
        for (size_t p = 0; p < pins_count; p++)
            assert_int_equal(range_deletes_covering(&deletes, slice(&key, 1), pins[p]),
                             covering(ranges, count, key, pins[p]));
        assert_int_equal(range_deletes_covering(&deletes, slice(&key, 1), SEQUENCE_MAX),
                         covering(ranges, count, key, SEQUENCE_MAX));
    }
    range_deletes_deinit(&deletes);
    assert_int_equal(a->blocks, 0);
}

static void test_against_a_list(void **state) {
    (void)state;
    uint64_t seed = UINT64_C(0x5eed0003);
    print_message("seed %llu\n", (unsigned long long)seed);
    struct test_allocator a;
    test_allocator_init(&a);
    for (int round = 0; round < 1500; round++)
        one_round(&seed, &a);
}

static void test_no_memory(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    for (long at = 0;; at++) {
        a.fail_at = at;
        struct range_deletes deletes;
        range_deletes_init(&deletes, &a.base);
        lore_status status = LORE_OK;
        for (int i = 0; i < 20 && status == LORE_OK; i++) {
            uint8_t begin = (uint8_t)i, end = (uint8_t)(i + 5);
            status = range_deletes_add(&deletes, slice(&begin, 1), slice(&end, 1), (uint64_t)i + 1);
        }
        uint64_t pins[] = {3, 8};
        if (status == LORE_OK) status = range_deletes_build(&deletes, pins, 2);
        a.fail_at = -1;
        range_deletes_deinit(&deletes);
        assert_int_equal(a.blocks, 0);
        if (status == LORE_OK) break;
        assert_int_equal(status, LORE_NO_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_a_list),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
