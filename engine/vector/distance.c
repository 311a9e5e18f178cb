/*
 * distance.c - choosing the kernels for this processor, preparing a query, and making distances of
 * the sums that kernels give. All that is not a sum over elements is here, once for all kernel
 * sets.
 *
 * Rows are taken in runs of ROWS_PER_RUN, so that sums live on the stack.
 */
#include "vector/distance_sets.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include "vector/f16.h"
#include "base/poison.h"

#define ROWS_PER_RUN 64u

/* Squared lengths outside these have lost, or may lose, digits to underflow or overflow. */
#define F32_NORM_MIN 0x1p-80f
#define F32_NORM_MAX 0x1p+100f

#if defined(__x86_64__)

/* The processor has the instructions and the system keeps the registers. Not every compiler's
 * __builtin_cpu_supports knows F16C, so that one bit is read directly; AVX2 vouches for the system.
 */
static bool has_avx2(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
    return (c & bit_F16C) != 0 && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("popcnt");
}
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}
static bool has_avx512vnni(void) {
    return has_avx512() && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512vpopcntdq");
}

#endif

bool distance_kernels_get(enum distance_level level, struct distance_kernels *kernels) {
    switch (level) {
    case DISTANCE_PLAIN: distance_plain_fill(kernels); return true;
#if defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    case DISTANCE_NEON: /* part of every aarch64 processor */
        distance_neon_fill(kernels);
        return true;
#endif
#if defined(__x86_64__)
    case DISTANCE_AVX2:
        if (!has_avx2()) return false;
        distance_avx2_fill(kernels);
        return true;
    case DISTANCE_AVX512:
        if (!has_avx512()) return false;
        distance_avx512_fill(kernels);
        return true;
    case DISTANCE_AVX512VNNI:
        if (!has_avx512vnni()) return false;
        distance_avx512_fill(kernels);
        distance_avx512vnni_fill(kernels);
        return true;
#endif
    default: return false;
    }
}

struct distance_kernels distance_kernels_best(void) {
    struct distance_kernels kernels;
    int level = DISTANCE_LEVELS - 1;
    while (!distance_kernels_get((enum distance_level)level, &kernels))
        level--; /* plain is there */
    return kernels;
}

bool distance_is_defined(lore_element element, lore_metric metric) {
    switch (element) {
    case LORE_ELEMENT_F32:
    case LORE_ELEMENT_F16:
    case LORE_ELEMENT_INT8:
        return metric == LORE_METRIC_COSINE || metric == LORE_METRIC_DOT ||
               metric == LORE_METRIC_L2;
    case LORE_ELEMENT_BINARY: return metric == LORE_METRIC_HAMMING;
    }
    return false;
}

size_t distance_row_bytes(lore_element element, uint32_t dims) {
    switch (element) {
    case LORE_ELEMENT_F32: return 4 * (size_t)dims;
    case LORE_ELEMENT_F16: return 2 * (size_t)dims;
    case LORE_ELEMENT_INT8: return dims;
    case LORE_ELEMENT_BINARY: return dims / 8;
    }
    assert(false);
    return 0;
}

size_t distance_query_bytes(lore_element element, uint32_t dims) {
    size_t bytes =
        distance_row_bytes(element == LORE_ELEMENT_F16 ? LORE_ELEMENT_F32 : element, dims);
    return (bytes + DISTANCE_QUERY_PAD - 1) / DISTANCE_QUERY_PAD * DISTANCE_QUERY_PAD;
}

void distance_prepare(struct distance *distance, const struct distance_kernels *kernels,
                      lore_element element, lore_metric metric, uint32_t dims, const void *query,
                      float *scratch) {
    assert(distance_is_defined(element, metric));
    assert(dims >= 1 && dims <= LORE_DIMENSIONS_MAX);
    assert(element != LORE_ELEMENT_BINARY || dims % 8 == 0);
    const uint8_t *row = query;
    size_t row_bytes = distance_row_bytes(element, dims);
    memset(scratch, 0, distance_query_bytes(element, dims));
    *distance = (struct distance){kernels, element, metric, dims, scratch, 0.0f, 0};

    bool cosine = metric == LORE_METRIC_COSINE;
    switch (element) {
    case LORE_ELEMENT_F32:
        for (uint32_t i = 0; i < dims; i++)
            scratch[i] = load_f32(row + 4 * (size_t)i);
        if (cosine) kernels->f32_dot(scratch, row, row_bytes, 1, dims, &distance->f32_norm);
        break;
    case LORE_ELEMENT_F16:
        for (uint32_t i = 0; i < dims; i++)
            scratch[i] = load_f16(row + 2 * (size_t)i);
        if (cosine) kernels->f16_dot(scratch, row, row_bytes, 1, dims, &distance->f32_norm);
        break;
    case LORE_ELEMENT_INT8:
        memcpy(scratch, row, row_bytes);
        if (metric != LORE_METRIC_DOT) {
            kernels->i8_dot(distance->query, row, row_bytes, 1, dims, &distance->i8_norm);
        }
        break;
    case LORE_ELEMENT_BINARY: memcpy(scratch, row, row_bytes); break;
    }
}

/* The end of every float distance: no NaN, and within f32. */
static float settle(double value) {
    if (value != value) return INFINITY;
    if (value > (double)FLT_MAX) return INFINITY;
    if (value < -(double)FLT_MAX) return -INFINITY;
    return (float)value + 0.0f; /* -0 becomes +0 */
}

static float cosine_distance(double dot, double query_norm, double row_norm) {
    if (query_norm == 0 || row_norm == 0) return 1.0f;
    double distance = 1.0 - dot / sqrt(query_norm * row_norm);
    /* Rounding may step over the ends. */
    if (distance < 0) return 0.0f;
    if (distance > 2) return 2.0f;
    return settle(distance);
}

static bool norm_is_sound(float norm) {
    return norm >= F32_NORM_MIN && norm <= F32_NORM_MAX;
}

/* The same distance for an f32 row whose float sums are of no use. */
static float wide_distance(const struct distance *distance, const uint8_t *row) {
    struct distance_wide sums = distance_wide_sums(distance->query, row, distance->dims);
    switch (distance->metric) {
    case LORE_METRIC_COSINE: return cosine_distance(sums.dot, sums.query_norm, sums.row_norm);
    case LORE_METRIC_DOT: return settle(-sums.dot);
    default: return settle(sums.l2);
    }
}

static void float_cosine(const struct distance *distance, const uint8_t *rows, size_t stride,
                         size_t n, float *distances) {
    const struct distance_kernels *kernels = distance->kernels;
    bool is_f32 = distance->element == LORE_ELEMENT_F32;
    float norms[ROWS_PER_RUN];
    distance_f32_pair_fn pair = is_f32 ? kernels->f32_dot_norm : kernels->f16_dot_norm;
    pair(distance->query, rows, stride, n, distance->dims, distances, norms);
    bool query_is_sound = norm_is_sound(distance->f32_norm);
    for (size_t r = 0; r < n; r++) {
        if (is_f32 && !(query_is_sound && norm_is_sound(norms[r]))) {
            distances[r] = wide_distance(distance, rows + r * stride);
        } else {
            distances[r] =
                cosine_distance((double)distances[r], (double)distance->f32_norm, (double)norms[r]);
        }
    }
}

static void float_dot_or_l2(const struct distance *distance, const uint8_t *rows, size_t stride,
                            size_t n, float *distances) {
    const struct distance_kernels *kernels = distance->kernels;
    bool is_f32 = distance->element == LORE_ELEMENT_F32;
    bool dot = distance->metric == LORE_METRIC_DOT;
    distance_f32_fn sum = is_f32 ? (dot ? kernels->f32_dot : kernels->f32_l2)
                                 : (dot ? kernels->f16_dot : kernels->f16_l2);
    sum(distance->query, rows, stride, n, distance->dims, distances);
    for (size_t r = 0; r < n; r++) {
        float value = dot ? 0.0f - distances[r] : distances[r];
        if (!(value >= -FLT_MAX && value <= FLT_MAX)) {
            value = is_f32 ? wide_distance(distance, rows + r * stride) : settle((double)value);
        }
        distances[r] = value;
    }
}

static void i8_distances(const struct distance *distance, const uint8_t *rows, size_t stride,
                         size_t n, float *distances) {
    const struct distance_kernels *kernels = distance->kernels;
    int32_t dots[ROWS_PER_RUN];
    int32_t norms[ROWS_PER_RUN];
    int32_t query_norm = distance->i8_norm;
    switch (distance->metric) {
    case LORE_METRIC_DOT:
        kernels->i8_dot(distance->query, rows, stride, n, distance->dims, dots);
        for (size_t r = 0; r < n; r++)
            distances[r] = (float)-dots[r];
        break;
    case LORE_METRIC_COSINE:
        kernels->i8_dot_norm(distance->query, rows, stride, n, distance->dims, dots, norms);
        for (size_t r = 0; r < n; r++) {
            distances[r] = cosine_distance((double)dots[r], (double)query_norm, (double)norms[r]);
        }
        break;
    default:
        kernels->i8_dot_norm(distance->query, rows, stride, n, distance->dims, dots, norms);
        for (size_t r = 0; r < n; r++) {
            distances[r] = (float)(query_norm + norms[r] - 2 * dots[r]);
        }
        break;
    }
}

static void run_distances(const struct distance *distance, const uint8_t *rows, size_t stride,
                          size_t n, float *distances) {
    int32_t counts[ROWS_PER_RUN];
    switch (distance->element) {
    case LORE_ELEMENT_F32:
    case LORE_ELEMENT_F16:
        if (distance->metric == LORE_METRIC_COSINE) {
            float_cosine(distance, rows, stride, n, distances);
        } else {
            float_dot_or_l2(distance, rows, stride, n, distances);
        }
        break;
    case LORE_ELEMENT_INT8: i8_distances(distance, rows, stride, n, distances); break;
    case LORE_ELEMENT_BINARY:
        distance->kernels->hamming(distance->query, rows, stride, n, distance->dims / 8, counts);
        for (size_t r = 0; r < n; r++)
            distances[r] = (float)counts[r];
        break;
    }
}

void distance_many(const struct distance *distance, const void *rows, size_t stride, size_t n,
                   float *distances) {
    assert(n <= 1 || stride >= distance_row_bytes(distance->element, distance->dims));
    const uint8_t *at = rows;
    for (size_t done = 0; done < n;) {
        size_t run = n - done < ROWS_PER_RUN ? n - done : ROWS_PER_RUN;
        run_distances(distance, at + done * stride, stride, run, distances + done);
        done += run;
    }
}

float distance_one(const struct distance *distance, const void *row) {
    float value = 0;
    distance_many(distance, row, 0, 1, &value);
    return value;
}
