/*
 * distance_avx2.c - the distance kernels with AVX2, F16C and POPCNT. Lanes of distance.h:
 * accumulator k of the four holds lanes 8k to 8k + 7. Contraction to fused instructions is off for
 * this file.
 *
 * A tail is copied into a block of zeros, since AVX2 has no masked loads of bytes.
 */
#include "vector/distance_sets.h"

#include <immintrin.h>
#include <string.h>
#include "base/poison.h"

#define VECTORS 4 /* of 8 lanes */
_Static_assert(VECTORS * 8 == DISTANCE_LANES, "one accumulator for each lane");

struct lanes {
    __m256 at[VECTORS];
};

ALWAYS_INLINE struct lanes load_lanes(const uint8_t *row, bool half) {
    struct lanes lanes;
#pragma GCC unroll 4
    for (int k = 0; k < VECTORS; k++) {
        if (half) {
            lanes.at[k] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(row + 16 * k)));
        } else {
            lanes.at[k] = _mm256_loadu_ps((const float *)(row + 32 * k));
        }
    }
    return lanes;
}

ALWAYS_INLINE struct lanes zero_lanes(void) {
    __m256 zero = _mm256_setzero_ps();
    return (struct lanes){{zero, zero, zero, zero}};
}

ALWAYS_INLINE void add_block(const float *query, struct lanes row, struct lanes *sum,
                             struct lanes *norm, enum sum_of what) {
#pragma GCC unroll 4
    for (int k = 0; k < VECTORS; k++) {
        __m256 q = _mm256_loadu_ps(query + 8 * k);
        __m256 e = row.at[k];
        if (what == SUM_L2) q = e = _mm256_sub_ps(q, e);
        sum->at[k] = _mm256_add_ps(sum->at[k], _mm256_mul_ps(q, e));
        if (what == SUM_DOT_NORM) norm->at[k] = _mm256_add_ps(norm->at[k], _mm256_mul_ps(e, e));
    }
}

ALWAYS_INLINE float reduce(struct lanes lanes) {
    __m256 low = _mm256_add_ps(lanes.at[0], lanes.at[2]);
    __m256 high = _mm256_add_ps(lanes.at[1], lanes.at[3]);
    __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
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
            add_block(query + at, load_lanes(row + at * element_bytes, half), &sum, &norm, what);
        }
        if (whole < dims) {
            uint8_t tail[DISTANCE_LANES * 4] = {0};
            memcpy(tail, row + whole * element_bytes, (dims - whole) * element_bytes);
            add_block(query + whole, load_lanes(tail, half), &sum, &norm, what);
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

ALWAYS_INLINE int32_t reduce_i32(__m256i lanes) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

/* 32 bytes, as 16-bit halves: pairs of products fit 32 bits. */
ALWAYS_INLINE void add_bytes(const int8_t *query, const uint8_t *row, __m256i *dot, __m256i *norm,
                             bool with_norm) {
#pragma GCC unroll 2
    for (int k = 0; k < 2; k++) {
        __m256i q = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(query + 16 * k)));
        __m256i e = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(row + 16 * k)));
        dot[k] = _mm256_add_epi32(dot[k], _mm256_madd_epi16(q, e));
        if (with_norm) norm[k] = _mm256_add_epi32(norm[k], _mm256_madd_epi16(e, e));
    }
}

ALWAYS_INLINE void i8_rows(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                           uint32_t dims, int32_t *dots, int32_t *norms, bool with_norm) {
    uint32_t whole = dims / 32 * 32;
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        __m256i dot[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        __m256i norm[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (uint32_t at = 0; at < whole; at += 32) {
            add_bytes(query + at, row + at, dot, norm, with_norm);
        }
        if (whole < dims) {
            uint8_t tail[32] = {0};
            memcpy(tail, row + whole, dims - whole);
            add_bytes(query + whole, tail, dot, norm, with_norm);
        }
        dots[r] = reduce_i32(_mm256_add_epi32(dot[0], dot[1]));
        if (with_norm) norms[r] = reduce_i32(_mm256_add_epi32(norm[0], norm[1]));
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

static uint64_t load_word(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static void hamming(const uint8_t *query, const uint8_t *rows, size_t stride, size_t n,
                    uint32_t row_bytes, int32_t *counts) {
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        int64_t count = 0;
        uint32_t at = 0;
        for (; at + 8 <= row_bytes; at += 8) {
            count += _mm_popcnt_u64(load_word(query + at) ^ load_word(row + at));
        }
        for (; at < row_bytes; at++)
            count += _mm_popcnt_u32((unsigned)(query[at] ^ row[at]));
        counts[r] = (int32_t)count;
    }
}

void distance_avx2_fill(struct distance_kernels *kernels) {
    *kernels = (struct distance_kernels){
        .name = "avx2",
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
