/*
 * distance_neon.c - the distance kernels for aarch64, whose every processor has NEON. Lanes of
 * distance.h: accumulator k of the eight holds lanes 4k to 4k + 3. Contraction to fused
 * instructions is off for this file, and vmla is not used.
 *
 * A tail is copied into a block of zeros, since NEON has no masked loads. Little-endian only.
 */
#include "vector/distance_sets.h"

#include <arm_neon.h>
#include <string.h>
#include "base/poison.h"

#define VECTORS 8 /* of 4 lanes */
_Static_assert(VECTORS * 4 == DISTANCE_LANES, "one accumulator for each lane");

struct lanes {
    float32x4_t at[VECTORS];
};

ALWAYS_INLINE float32x4_t load_four(const uint8_t *row, bool half) {
    if (half) return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(row)));
    return vreinterpretq_f32_u8(vld1q_u8(row));
}

ALWAYS_INLINE struct lanes zero_lanes(void) {
    struct lanes lanes;
#pragma GCC unroll 8
    for (int k = 0; k < VECTORS; k++)
        lanes.at[k] = vdupq_n_f32(0.0f);
    return lanes;
}

ALWAYS_INLINE void add_block(const float *query, const uint8_t *row, struct lanes *sum,
                             struct lanes *norm, bool half, enum sum_of what) {
#pragma GCC unroll 8
    for (int k = 0; k < VECTORS; k++) {
        float32x4_t q = vld1q_f32(query + 4 * k);
        float32x4_t e = load_four(row + (half ? 8 : 16) * k, half);
        if (what == SUM_L2) q = e = vsubq_f32(q, e);
        sum->at[k] = vaddq_f32(sum->at[k], vmulq_f32(q, e));
        if (what == SUM_DOT_NORM) norm->at[k] = vaddq_f32(norm->at[k], vmulq_f32(e, e));
    }
}

ALWAYS_INLINE float reduce(struct lanes lanes) {
    float32x4_t *at = lanes.at;
    for (int width = VECTORS / 2; width > 0; width /= 2) {
        for (int k = 0; k < width; k++)
            at[k] = vaddq_f32(at[k], at[k + width]);
    }
    float32x2_t two = vadd_f32(vget_low_f32(at[0]), vget_high_f32(at[0]));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

ALWAYS_INLINE void sum_rows(const float *query, const uint8_t *rows, size_t stride, size_t n,
                            uint32_t dims, float *sums, float *norms, bool half, enum sum_of what) {
    size_t element_bytes = half ? 2 : 4;
    uint32_t whole = dims / DISTANCE_LANES * DISTANCE_LANES;
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        struct lanes sum = zero_lanes();
        struct lanes norm = zero_lanes();
        for (uint32_t at = 0; at < whole; at += DISTANCE_LANES) {
            add_block(query + at, row + at * element_bytes, &sum, &norm, half, what);
        }
        if (whole < dims) {
            uint8_t tail[DISTANCE_LANES * 4] = {0};
            memcpy(tail, row + whole * element_bytes, (dims - whole) * element_bytes);
            add_block(query + whole, tail, &sum, &norm, half, what);
        }
        sums[r] = reduce(sum);
        if (what == SUM_DOT_NORM) norms[r] = reduce(norm);
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

/* The sum of 16 products, pairwise into 32 bits: one product is at most 2^14, it fits 16 bits. */
ALWAYS_INLINE int32x4_t add_products(int32x4_t sum, int8x16_t a, int8x16_t b) {
    sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return vpadalq_s16(sum, vmull_s8(vget_high_s8(a), vget_high_s8(b)));
}

ALWAYS_INLINE void i8_rows(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                           uint32_t dims, int32_t *dots, int32_t *norms, bool with_norm) {
    uint32_t whole = dims / 16 * 16;
    for (size_t r = 0; r < n; r++) {
        const int8_t *row = (const int8_t *)(rows + r * stride);
        int32x4_t dot = vdupq_n_s32(0);
        int32x4_t norm = vdupq_n_s32(0);
        for (uint32_t at = 0; at < whole; at += 16) {
            int8x16_t e = vld1q_s8(row + at);
            dot = add_products(dot, vld1q_s8(query + at), e);
            if (with_norm) norm = add_products(norm, e, e);
        }
        if (whole < dims) {
            int8_t tail[16] = {0};
            memcpy(tail, row + whole, dims - whole);
            int8x16_t e = vld1q_s8(tail);
            dot = add_products(dot, vld1q_s8(query + whole), e);
            if (with_norm) norm = add_products(norm, e, e);
        }
        dots[r] = vaddvq_s32(dot);
        if (with_norm) norms[r] = vaddvq_s32(norm);
    }
}

static void i8_dot(const int8_t *query, const uint8_t *rows, size_t stride, size_t n, uint32_t dims,
                   int32_t *dots) {
    i8_rows(query, rows, stride, n, dims, dots, NULL, false);
}
static void i8_dot_norm(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                        uint32_t dims, int32_t *dots, int32_t *norms) {
    i8_rows(query, rows, stride, n, dims, dots, norms, true);
}

static void hamming(const uint8_t *query, const uint8_t *rows, size_t stride, size_t n,
                    uint32_t row_bytes, int32_t *counts) {
    uint32_t whole = row_bytes / 16 * 16;
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        uint16x8_t count = vdupq_n_u16(0); /* at most 4096 bits in all */
        for (uint32_t at = 0; at < whole; at += 16) {
            uint8x16_t differ = veorq_u8(vld1q_u8(query + at), vld1q_u8(row + at));
            count = vpadalq_u8(count, vcntq_u8(differ));
        }
        if (whole < row_bytes) {
            uint8_t tail[16] = {0};
            memcpy(tail, row + whole, row_bytes - whole);
            uint8x16_t differ = veorq_u8(vld1q_u8(query + whole), vld1q_u8(tail));
            count = vpadalq_u8(count, vcntq_u8(differ));
        }
        counts[r] = (int32_t)vaddlvq_u16(count);
    }
}

void distance_neon_fill(struct distance_kernels *kernels) {
    *kernels = (struct distance_kernels){
        .name = "neon",
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
