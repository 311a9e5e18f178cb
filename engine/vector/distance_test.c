/*
 * distance_test.c - known answers, limits, and the promise that all kernel sets of this machine
 * give the same bits. Rows lie in exactly allocated memory, so a sanitizer sees a read past the
 * last element.
 */
#include "vector/distance.h"
#include "vector/f16.h" /* before cmocka.h, whose macro fail() hides a function of ours */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

static const lore_element elements[] = {LORE_ELEMENT_F32, LORE_ELEMENT_F16, LORE_ELEMENT_INT8,
                                        LORE_ELEMENT_BINARY};
static const lore_metric metrics[] = {LORE_METRIC_COSINE, LORE_METRIC_DOT, LORE_METRIC_L2,
                                      LORE_METRIC_HAMMING};

static uint64_t seed;

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static float random_float(uint64_t *state) {
    return (float)((double)(next_random(state) >> 11) * 0x1p-53 * 2.0 - 1.0);
}

static void random_row(lore_element element, uint32_t dims, uint8_t *row, uint64_t *state) {
    size_t count = element == LORE_ELEMENT_BINARY ? dims / 8 : dims;
    for (size_t i = 0; i < count; i++) {
        if (element == LORE_ELEMENT_F32) {
            put_u32(row + 4 * i, f32_to_bits(random_float(state)));
        } else if (element == LORE_ELEMENT_F16) {
            put_u16(row + 2 * i, f16_from_f32(random_float(state)));
        } else {
            row[i] = (uint8_t)(next_random(state) >> 32);
        }
    }
}

static void distances_of(const struct distance_kernels *kernels, lore_element element,
                         lore_metric metric, uint32_t dims, const uint8_t *query,
                         const uint8_t *rows, size_t stride, size_t n, float *distances) {
    size_t scratch_bytes = distance_query_bytes(element, dims);
    assert_true(scratch_bytes <= DISTANCE_QUERY_BYTES_MAX);
    float *scratch = malloc(scratch_bytes);
    struct distance distance;
    distance_prepare(&distance, kernels, element, metric, dims, query, scratch);
    distance_many(&distance, rows, stride, n, distances);
    free(scratch);
}

/* One f32 distance by the best kernels, of at most 300 dimensions. */
static float f32_distance(lore_metric metric, uint32_t dims, const float *a, const float *b) {
    struct distance_kernels kernels = distance_kernels_best();
    uint8_t stored_a[4 * 300], stored_b[4 * 300];
    float distance;
    assert_true(dims <= 300);
    for (uint32_t i = 0; i < dims; i++) {
        put_u32(stored_a + 4 * i, f32_to_bits(a[i]));
        put_u32(stored_b + 4 * i, f32_to_bits(b[i]));
    }
    distances_of(&kernels, LORE_ELEMENT_F32, metric, dims, stored_a, stored_b, 0, 1, &distance);
    return distance;
}

static float i8_distance(lore_metric metric, uint32_t dims, const int8_t *a, const int8_t *b) {
    struct distance_kernels kernels = distance_kernels_best();
    float distance;
    distances_of(&kernels, LORE_ELEMENT_INT8, metric, dims, (const uint8_t *)a, (const uint8_t *)b,
                 0, 1, &distance);
    return distance;
}

static void known_answers(void **unused) {
    (void)unused;
    const float a[] = {3, 4, 0};
    const float b[] = {4, 3, 0};
    const float minus_a[] = {-3, -4, 0};
    const float zero[] = {0, -0.0f, 0};
    assert_true(f32_distance(LORE_METRIC_DOT, 3, a, b) == -24.0f);
    assert_true(f32_distance(LORE_METRIC_L2, 3, a, b) == 2.0f);
    assert_true(f32_distance(LORE_METRIC_COSINE, 3, a, b) == (float)(1.0 - 24.0 / 25.0));
    assert_true(f32_distance(LORE_METRIC_COSINE, 3, a, a) == 0.0f);
    assert_true(f32_distance(LORE_METRIC_COSINE, 3, a, minus_a) == 2.0f);
    assert_true(f32_distance(LORE_METRIC_COSINE, 3, a, zero) == 1.0f);
    assert_true(f32_distance(LORE_METRIC_COSINE, 3, zero, a) == 1.0f);
    assert_true(f32_distance(LORE_METRIC_COSINE, 3, zero, zero) == 1.0f);
    assert_false(signbit(f32_distance(LORE_METRIC_DOT, 3, zero, a)));

    const int8_t low[] = {-128, -128, 127};
    const int8_t high[] = {127, -128, -128};
    assert_true(i8_distance(LORE_METRIC_DOT, 3, low, high) == 128.0f * 127 - 128 * 128 + 128 * 127);
    assert_true(i8_distance(LORE_METRIC_L2, 3, low, high) == 2.0f * 255 * 255);
    assert_true(i8_distance(LORE_METRIC_COSINE, 3, low, low) == 0.0f);

    const uint8_t bits[] = {0xff, 0x00, 0x81};
    const uint8_t other[] = {0x0f, 0x80, 0x80};
    struct distance_kernels kernels = distance_kernels_best();
    float distance;
    distances_of(&kernels, LORE_ELEMENT_BINARY, LORE_METRIC_HAMMING, 24, bits, other, 3, 1,
                 &distance);
    assert_true(distance == 6.0f);
}

static void int8_extremes_are_exact(void **unused) {
    (void)unused;
    int8_t low[LORE_DIMENSIONS_MAX];
    int8_t high[LORE_DIMENSIONS_MAX];
    memset(low, -128, sizeof low);
    memset(high, 127, sizeof high);
    for (int level = 0; level < DISTANCE_LEVELS; level++) {
        struct distance_kernels kernels;
        if (!distance_kernels_get((enum distance_level)level, &kernels)) continue;
        int32_t dot;
        int32_t norm;
        kernels.i8_dot_norm(low, (const uint8_t *)low, 0, 1, LORE_DIMENSIONS_MAX, &dot, &norm);
        assert_int_equal(dot, 4096 * 128 * 128);
        assert_int_equal(norm, 4096 * 128 * 128);
        kernels.i8_dot_norm(high, (const uint8_t *)low, 0, 1, LORE_DIMENSIONS_MAX, &dot, &norm);
        assert_int_equal(dot, -4096 * 127 * 128);
        kernels.i8_dot(low, (const uint8_t *)high, 0, 1, LORE_DIMENSIONS_MAX, &dot);
        assert_int_equal(dot, -4096 * 127 * 128);
    }
    assert_true(i8_distance(LORE_METRIC_L2, LORE_DIMENSIONS_MAX, low, high) == 4096.0f * 255 * 255);
}

/* Beyond what f32 sums can hold, distances are still right. */
static void extreme_floats(void **unused) {
    (void)unused;
    const float huge[] = {3e38f, 3e38f};
    const float mixed[] = {3e38f, -3e38f};
    const float tiny[] = {3e-42f, 0};
    const float tiny_too[] = {3e-42f, 3e-42f};
    assert_true(f32_distance(LORE_METRIC_COSINE, 2, huge, huge) == 0.0f);
    assert_true(f32_distance(LORE_METRIC_COSINE, 2, huge, mixed) == 1.0f);
    assert_true(f32_distance(LORE_METRIC_COSINE, 2, tiny, tiny) == 0.0f);
    assert_float_equal(f32_distance(LORE_METRIC_COSINE, 2, tiny, tiny_too), 0.29289322f, 1e-6f);
    assert_float_equal(f32_distance(LORE_METRIC_COSINE, 2, huge, tiny), 0.29289322f, 1e-6f);
    assert_true(f32_distance(LORE_METRIC_DOT, 2, huge, huge) == -INFINITY);
    assert_true(f32_distance(LORE_METRIC_DOT, 2, huge, mixed) == 0.0f);
    assert_true(f32_distance(LORE_METRIC_L2, 2, huge, mixed) == INFINITY);
    assert_true(f32_distance(LORE_METRIC_L2, 2, huge, huge) == 0.0f);
    const float nan[] = {NAN, 1};
    assert_true(f32_distance(LORE_METRIC_DOT, 2, huge, nan) == INFINITY);
    assert_true(f32_distance(LORE_METRIC_L2, 2, nan, huge) == INFINITY);
    assert_true(f32_distance(LORE_METRIC_COSINE, 2, nan, huge) == INFINITY);
}

/* The distance by its definition, in double, and the sum of the sizes of the terms that make it. */
static double defined_distance(lore_element element, lore_metric metric, uint32_t dims,
                               const uint8_t *a, const uint8_t *b, double *terms) {
    double dot = 0, a_norm = 0, b_norm = 0, l2 = 0, differ = 0;
    for (uint32_t i = 0; i < dims; i++) {
        double x, y;
        switch (element) {
        case LORE_ELEMENT_F32:
            x = (double)load_f32(a + 4 * i), y = (double)load_f32(b + 4 * i);
            break;
        case LORE_ELEMENT_F16:
            x = (double)load_f16(a + 2 * i), y = (double)load_f16(b + 2 * i);
            break;
        case LORE_ELEMENT_INT8: x = (int8_t)a[i], y = (int8_t)b[i]; break;
        default: x = (a[i / 8] >> (i % 8)) & 1, y = (b[i / 8] >> (i % 8)) & 1; break;
        }
        dot += x * y, a_norm += x * x, b_norm += y * y, l2 += (x - y) * (x - y), differ += x != y;
    }
    *terms = metric == LORE_METRIC_L2 ? l2 : metric == LORE_METRIC_DOT ? sqrt(a_norm * b_norm) : 2;
    switch (metric) {
    case LORE_METRIC_COSINE: return a_norm * b_norm == 0 ? 1 : 1 - dot / sqrt(a_norm * b_norm);
    case LORE_METRIC_DOT: return -dot;
    case LORE_METRIC_L2: return l2;
    default: return differ;
    }
}

/* Random rows of these dims at an odd address, an odd stride apart, through every kernel set. */
static void check_sets(lore_element element, lore_metric metric, uint32_t dims, size_t n,
                       uint64_t *state) {
    size_t row_bytes = distance_row_bytes(element, dims);
    size_t stride = row_bytes + next_random(state) % 3;
    size_t offset = next_random(state) % 8;
    size_t size = offset + (n - 1) * stride + row_bytes;
    uint8_t *memory = malloc(size);
    uint8_t *query = malloc(row_bytes + 1);
    float *expected = malloc(n * sizeof *expected);
    float *got = malloc(n * sizeof *got);
    for (size_t i = 0; i < n; i++)
        random_row(element, dims, memory + offset + i * stride, state);
    random_row(element, dims, query + 1, state);

    for (int level = 0; level < DISTANCE_LEVELS; level++) {
        struct distance_kernels kernels;
        if (!distance_kernels_get((enum distance_level)level, &kernels)) continue;
        float *out = level == DISTANCE_PLAIN ? expected : got;
        distances_of(&kernels, element, metric, dims, query + 1, memory + offset, stride, n, out);
        for (size_t i = 0; i < n; i++) {
            if (f32_to_bits(out[i]) == f32_to_bits(expected[i])) continue;
            fail_msg("%s differs from plain: element %d metric %d dims %u row %zu: %a, not %a",
                     kernels.name, (int)element, (int)metric, dims, i, (double)out[i],
                     (double)expected[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        double terms;
        double exact = defined_distance(element, metric, dims, query + 1,
                                        memory + offset + i * stride, &terms);
        /* A term meets its own roundings, those of its lane, and five when lanes are folded. */
        double roundings = element <= LORE_ELEMENT_F16 ? dims / DISTANCE_LANES + 10 : 0;
        double tolerance = (roundings * terms + fabs(exact) + 1e-6) * 0x1p-24;
        assert_true(fabs((double)expected[i] - exact) <= tolerance);
    }
    free(memory);
    free(query);
    free(expected);
    free(got);
}

static void kernel_sets_agree(void **unused) {
    (void)unused;
    uint64_t state = seed;
    static const uint32_t large[] = {255, 256, 384, 768, 1000, 1536, 4095, 4096};
    for (size_t e = 0; e < sizeof elements / sizeof elements[0]; e++) {
        for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
            if (!distance_is_defined(elements[e], metrics[m])) continue;
            uint32_t scale = elements[e] == LORE_ELEMENT_BINARY ? 8 : 1;
            for (uint32_t dims = 1; dims <= 130; dims++) {
                check_sets(elements[e], metrics[m], dims * scale, 5, &state);
            }
            for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
                check_sets(elements[e], metrics[m], large[i] / scale * scale, 3, &state);
            }
            check_sets(elements[e], metrics[m], 40, 200, &state); /* more rows than one run */
        }
    }
}

/* Any bit patterns, NaN and infinity included: no crash, no NaN, the same from all. */
static void hostile_floats_are_harmless(void **unused) {
    (void)unused;
    uint64_t state = seed;
    uint8_t query[4 * 70];
    uint8_t row[4 * 70];
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < sizeof row; i++) {
            query[i] = (uint8_t)(next_random(&state) >> 32);
            row[i] = (uint8_t)(next_random(&state) >> 32);
        }
        uint32_t dims = 1 + (uint32_t)(next_random(&state) % 70);
        lore_element element = round % 2 == 0 ? LORE_ELEMENT_F32 : LORE_ELEMENT_F16;
        lore_metric metric = metrics[next_random(&state) % 3];
        float expected = 0;
        for (int level = 0; level < DISTANCE_LEVELS; level++) {
            struct distance_kernels kernels;
            if (!distance_kernels_get((enum distance_level)level, &kernels)) continue;
            float got;
            distances_of(&kernels, element, metric, dims, query, row, 0, 1, &got);
            if (level == DISTANCE_PLAIN) expected = got;
            assert_true(got == got);
            assert_int_equal(f32_to_bits(got), f32_to_bits(expected));
        }
    }
}

/* Cosine of a vector with itself is 0 to the last bit; distances stay in their ranges. */
static void self_distance_is_zero(void **unused) {
    (void)unused;
    uint64_t state = seed;
    uint8_t row[4 * 512];
    struct distance_kernels kernels = distance_kernels_best();
    for (uint32_t dims = 8; dims <= 512; dims += 8) {
        for (size_t e = 0; e < 4; e++) {
            for (size_t m = 0; m < 4; m++) {
                if (metrics[m] == LORE_METRIC_DOT) continue;
                if (!distance_is_defined(elements[e], metrics[m])) continue;
                random_row(elements[e], dims, row, &state);
                float distance;
                distances_of(&kernels, elements[e], metrics[m], dims, row, row, 0, 1, &distance);
                assert_true(distance == 0.0f);
            }
        }
    }
}

/* Float sums of a vector and its multiple do not quite fit each other; cosine stays in 0..2. */
static void cosine_stays_in_range(void **unused) {
    (void)unused;
    uint64_t state = seed;
    float a[300];
    float b[300];
    for (int round = 0; round < 2000; round++) {
        uint32_t dims = 1 + (uint32_t)(next_random(&state) % 300);
        float factor = random_float(&state) * 10.0f;
        for (uint32_t i = 0; i < dims; i++) {
            a[i] = random_float(&state);
            b[i] = a[i] * factor;
        }
        float distance = f32_distance(LORE_METRIC_COSINE, dims, a, b);
        assert_true(distance >= 0.0f && distance <= 2.0f);
        assert_float_equal(distance, factor < 0 ? 2.0f : 0.0f, 1e-5f);
    }
}

static void f16_conversion_is_exact(void **unused) {
    (void)unused;
    assert_true(f16_to_f32(0x3c00) == 1.0f);
    assert_true(f16_to_f32(0xc000) == -2.0f);
    assert_true(f16_to_f32(0x7bff) == 65504.0f);
    assert_true(f16_to_f32(0x0001) == 0x1p-24f);
    assert_true(f16_to_f32(0x83ff) == -1023 * 0x1p-24f);
    assert_true(f16_to_f32(0x0400) == 0x1p-14f);
    assert_true(f16_to_f32(0x7c00) == INFINITY);
    assert_true(isnan(f16_to_f32(0x7c01)));
    assert_true(signbit(f16_to_f32(0x8000)));
    for (uint32_t half = 0; half < 0x10000; half++) {
        float value = f16_to_f32((uint16_t)half);
        bool finite = (half & 0x7c00) != 0x7c00;
        uint8_t stored[2];
        put_u16(stored, (uint16_t)half);
        assert_int_equal(f16_all_finite(stored, 1), finite);
        if (isnan(value)) {
            assert_true(isnan(f16_to_f32(f16_from_f32(value))));
        } else {
            assert_int_equal(f16_from_f32(value), half);
        }
    }
}

/* Halfway between neighbours goes to the even one; a hair to either side goes there. */
static void f16_rounds_to_nearest_even(void **unused) {
    (void)unused;
    for (uint16_t half = 0; half < 0x7bff; half++) {
        float low = f16_to_f32(half);
        float high = f16_to_f32((uint16_t)(half + 1));
        float middle = low + (high - low) / 2; /* exact */
        uint16_t even = half % 2 == 0 ? half : (uint16_t)(half + 1);
        assert_int_equal(f16_from_f32(middle), even);
        assert_int_equal(f16_from_f32(-middle), even | 0x8000);
        assert_int_equal(f16_from_f32(nextafterf(middle, 0.0f)), half);
        assert_int_equal(f16_from_f32(nextafterf(middle, INFINITY)), half + 1);
    }
    assert_int_equal(f16_from_f32(65519.996f), 0x7bff);
    assert_int_equal(f16_from_f32(65520.0f), 0x7c00);
    assert_int_equal(f16_from_f32(FLT_MAX), 0x7c00);
    assert_int_equal(f16_from_f32(-INFINITY), 0xfc00);
    assert_int_equal(f16_from_f32(0x1p-140f), 0);
}

static void finite_checks_see_every_element(void **unused) {
    (void)unused;
    uint8_t row[4 * 37];
    uint64_t state = seed;
    const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xff800001};
    random_row(LORE_ELEMENT_F32, 37, row, &state);
    assert_true(f32_all_finite(row, 37));
    for (size_t i = 0; i < 37; i++) {
        uint32_t kept = get_u32(row + 4 * i);
        put_u32(row + 4 * i, bad[i % 4]);
        assert_false(f32_all_finite(row, 37));
        put_u32(row + 4 * i, 0x7f7fffff);
        assert_true(f32_all_finite(row, 37));
        put_u32(row + 4 * i, kept);
    }
}

static void metrics_belong_to_elements(void **unused) {
    (void)unused;
    assert_true(distance_is_defined(LORE_ELEMENT_INT8, LORE_METRIC_COSINE));
    assert_true(distance_is_defined(LORE_ELEMENT_BINARY, LORE_METRIC_HAMMING));
    assert_false(distance_is_defined(LORE_ELEMENT_BINARY, LORE_METRIC_DOT));
    assert_false(distance_is_defined(LORE_ELEMENT_F32, LORE_METRIC_HAMMING));
    assert_false(distance_is_defined((lore_element)0, LORE_METRIC_DOT));
    assert_false(distance_is_defined((lore_element)5, LORE_METRIC_DOT));
}

static void count_call(void *context, const char *name, bool passed) {
    int *calls = context;
    if (!passed) fail_msg("%s", name);
    (*calls)++;
}

static void selftest_passes(void **unused) {
    (void)unused;
    int calls = 0;
    int sets = 0;
    assert_true(distance_selftest(count_call, &calls));
    assert_true(distance_selftest(NULL, NULL));
    for (int level = 0; level < DISTANCE_LEVELS; level++) {
        struct distance_kernels kernels;
        if (!distance_kernels_get((enum distance_level)level, &kernels)) continue;
        print_message("kernels: %s\n", kernels.name);
        sets++;
    }
    assert_int_equal(calls, 10 * sets);
}

/* A seed may be given, to meet an earlier run again. */
int main(int argc, char **argv) {
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL) * 2 + 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(int8_extremes_are_exact),
        cmocka_unit_test(extreme_floats),
        cmocka_unit_test(kernel_sets_agree),
        cmocka_unit_test(hostile_floats_are_harmless),
        cmocka_unit_test(self_distance_is_zero),
        cmocka_unit_test(cosine_stays_in_range),
        cmocka_unit_test(f16_conversion_is_exact),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(finite_checks_see_every_element),
        cmocka_unit_test(metrics_belong_to_elements),
        cmocka_unit_test(selftest_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
