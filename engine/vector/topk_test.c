/* topk_test.c - topk against sorting everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "vector/topk.h"

static uint64_t seed;

static int compare(const void *a, const void *b) {
    const struct topk_entry *x = a;
    const struct topk_entry *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void keeps_none_when_k_is_zero(void **unused) {
    (void)unused;
    struct topk top;
    topk_init(&top, NULL, 0);
    assert_false(topk_admits(&top, 1.0f, 1));
    assert_false(topk_offer(&top, 1.0f, 1));
    topk_sort(&top);
    assert_int_equal(top.count, 0);
}

static void ties_break_by_row_ascending(void **unused) {
    (void)unused;
    struct topk_entry memory[2];
    struct topk top;
    topk_init(&top, memory, 2);
    assert_true(topk_offer(&top, 1.0f, 9));
    assert_true(topk_offer(&top, 1.0f, 4));
    assert_false(topk_offer(&top, 1.0f, 10));
    assert_true(topk_offer(&top, 1.0f, 5));
    topk_sort(&top);
    assert_int_equal(memory[0].row, 4);
    assert_int_equal(memory[1].row, 5);
}

static void infinite_distances_order(void **unused) {
    (void)unused;
    struct topk_entry memory[3];
    struct topk top;
    topk_init(&top, memory, 3);
    topk_offer(&top, INFINITY, 1);
    topk_offer(&top, -INFINITY, 2);
    topk_offer(&top, 0.0f, 3);
    assert_false(topk_offer(&top, INFINITY, 4));
    topk_sort(&top);
    assert_int_equal(memory[0].row, 2);
    assert_int_equal(memory[1].row, 3);
    assert_int_equal(memory[2].row, 1);
}

/* Few distinct distances, so that ties are common; offers in a random order. */
static void agrees_with_sorting(void **unused) {
    (void)unused;
    uint64_t state = seed;
    struct topk_entry all[300];
    struct topk_entry memory[320];
    for (int round = 0; round < 500; round++) {
        size_t n = next_random(&state) % 300;
        size_t k = next_random(&state) % 320;
        struct topk top;
        topk_init(&top, memory, k);
        for (size_t i = 0; i < n; i++) {
            all[i].distance = (float)(next_random(&state) % 20) - 10.0f;
            all[i].row = (i * 7919) % 300; /* distinct, shuffled: 7919 is prime */
            bool admitted = topk_admits(&top, all[i].distance, all[i].row);
            assert_int_equal(topk_offer(&top, all[i].distance, all[i].row), admitted);
        }
        topk_sort(&top);
        qsort(all, n, sizeof all[0], compare);
        assert_int_equal(top.count, n < k ? n : k);
        for (size_t i = 0; i < top.count; i++) {
            assert_true(memory[i].distance == all[i].distance);
            assert_int_equal(memory[i].row, all[i].row);
        }
    }
}

/* A seed may be given, to meet an earlier run again. */
int main(int argc, char **argv) {
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL) * 2 + 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_none_when_k_is_zero),
        cmocka_unit_test(ties_break_by_row_ascending),
        cmocka_unit_test(infinite_distances_order),
        cmocka_unit_test(agrees_with_sorting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
