/*
 * distance_plain.c - the distance kernels in plain C: the reference that the others are held to,
 * and the fallback. Built without contraction of a * b + c, see distance.h for the order of
 * summation.
 */
#include "vector/distance_sets.h"

#include <float.h>
#include <string.h>
#include "vector/f16.h"
#include "base/poison.h"

_Static_assert(FLT_EVAL_METHOD == 0, "float sums must be rounded to float at each step");

/* `n` elements from `row` on as floats, the rest of the block zero. */
ALWAYS_INLINE void load_block(float *block, const uint8_t *row, uint32_t n, bool half) {
    if (n < DISTANCE_LANES) memset(block, 0, DISTANCE_LANES * sizeof *block);
    for (uint32_t i = 0; i < n; i++) {
        block[i] = half ? load_f16(row + 2 * (size_t)i) : load_f32(row + 4 * (size_t)i);
    }
}

static float reduce(float *lanes) {
    for (uint32_t width = DISTANCE_LANES / 2; width > 0; width /= 2) {
        for (uint32_t i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    }
    return lanes[0];
}

ALWAYS_INLINE void sum_rows(const float *query, const uint8_t *rows, size_t stride, size_t n,
                            uint32_t dims, float *sums, float *norms, bool half, enum sum_of what) {
    size_t element_bytes = half ? 2 : 4;
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        float lanes[DISTANCE_LANES] = {0};
        float norm_lanes[DISTANCE_LANES] = {0};
        for (uint32_t at = 0; at < dims; at += DISTANCE_LANES) {
            float block[DISTANCE_LANES];
            uint32_t left = dims - at;
            if (left >= DISTANCE_LANES) {
                load_block(block, row + at * element_bytes, DISTANCE_LANES, half);
            } else {
                load_block(block, row + at * element_bytes, left, half);
            }
#pragma GCC unroll 32 /* so that the lanes stay in registers */
            for (uint32_t i = 0; i < DISTANCE_LANES; i++) {
                float q = query[at + i];
                float d = what == SUM_L2 ? q - block[i] : block[i];
                lanes[i] += (what == SUM_L2 ? d : q) * d;
                if (what == SUM_DOT_NORM) norm_lanes[i] += d * d;
            }
        }
        sums[r] = reduce(lanes);
        if (what == SUM_DOT_NORM) norms[r] = reduce(norm_lanes);
    }
}

static void f32_dot(const float *query, const uint8_t *rows, size_t stride, size_t n, uint32_t dims,
                    float *sums) {
    sum_rows(query, rows, stride, n, dims, sums, NULL, false, SUM_DOT);
}
static void f32_dot_norm(const float *query, const uint8_t *rows, size_t stride, size_t n,
                         uint32_t dims, float *dots, float *norms) {
    sum_rows(query, rows, stride, n, dims, dots, norms, false, SUM_DOT_NORM);
}
static void f32_l2(const float *query, const uint8_t *rows, size_t stride, size_t n, uint32_t dims,
                   float *sums) {
    sum_rows(query, rows, stride, n, dims, sums, NULL, false, SUM_L2);
}
static void f16_dot(const float *query, const uint8_t *rows, size_t stride, size_t n, uint32_t dims,
                    float *sums) {
    sum_rows(query, rows, stride, n, dims, sums, NULL, true, SUM_DOT);
}
static void f16_dot_norm(const float *query, const uint8_t *rows, size_t stride, size_t n,
                         uint32_t dims, float *dots, float *norms) {
    sum_rows(query, rows, stride, n, dims, dots, norms, true, SUM_DOT_NORM);
}
static void f16_l2(const float *query, const uint8_t *rows, size_t stride, size_t n, uint32_t dims,
                   float *sums) {
    sum_rows(query, rows, stride, n, dims, sums, NULL, true, SUM_L2);
}

/* At most 4096 * 255^2 < 2^29, so 32 bits hold every int8 sum. */
ALWAYS_INLINE void i8_sums(const int8_t *query, const uint8_t *row, uint32_t dims, int32_t *dot,
                           int32_t *norm, bool with_norm) {
    const int8_t *elements = (const int8_t *)row;
    int32_t dot_sum = 0;
    int32_t norm_sum = 0;
    for (uint32_t i = 0; i < dims; i++) {
        dot_sum += query[i] * elements[i];
        if (with_norm) norm_sum += elements[i] * elements[i];
    }
    *dot = dot_sum;
    if (with_norm) *norm = norm_sum;
}

static void i8_dot(const int8_t *query, const uint8_t *rows, size_t stride, size_t n, uint32_t dims,
                   int32_t *dots) {
    for (size_t r = 0; r < n; r++)
        i8_sums(query, rows + r * stride, dims, &dots[r], NULL, false);
}
static void i8_dot_norm(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                        uint32_t dims, int32_t *dots, int32_t *norms) {
    for (size_t r = 0; r < n; r++)
        i8_sums(query, rows + r * stride, dims, &dots[r], &norms[r], true);
}

static int32_t count_bits(uint64_t word) {
    word -= (word >> 1) & 0x5555555555555555u;
    word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int32_t)((word * 0x0101010101010101u) >> 56);
}

static void hamming(const uint8_t *query, const uint8_t *rows, size_t stride, size_t n,
                    uint32_t row_bytes, int32_t *counts) {
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        int32_t count = 0;
        uint32_t at = 0;
        for (; at + 8 <= row_bytes; at += 8) {
            count += count_bits(get_u64(query + at) ^ get_u64(row + at));
        }
        for (; at < row_bytes; at++)
            count += count_bits((uint64_t)(query[at] ^ row[at]));
        counts[r] = count;
    }
}

struct distance_wide distance_wide_sums(const float *query, const uint8_t *row, uint32_t dims) {
    struct distance_wide sums = {0, 0, 0, 0};
    for (uint32_t i = 0; i < dims; i++) {
        double q = (double)query[i];
        double e = (double)load_f32(row + 4 * (size_t)i);
        sums.dot += q * e;
        sums.query_norm += q * q;
        sums.row_norm += e * e;
        sums.l2 += (q - e) * (q - e);
    }
    return sums;
}

void distance_plain_fill(struct distance_kernels *kernels) {
    *kernels = (struct distance_kernels){
        .name = "plain",
        .f32_dot = f32_dot,
        .f32_dot_norm = f32_dot_norm,
        .f32_l2 = f32_l2,
        .f16_dot = f16_dot,
        .f16_dot_norm = f16_dot_norm,
        .f16_l2 = f16_l2,
        .i8_dot = i8_dot,
        .i8_dot_norm = i8_dot_norm,
        .hamming = hamming,
    };
}
