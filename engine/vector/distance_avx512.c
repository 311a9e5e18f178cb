/*
 * distance_avx512.c - the distance kernels with AVX-512 F, BW and VL, and replacements for the
 * integer ones where VNNI and VPOPCNTDQ are there. Lanes of distance.h: one accumulator holds lanes
 * 0 to 15, the other 16 to 31. Contraction to fused instructions is off for this file.
 *
 * Tails are read under a mask: what is masked is not touched in memory and counts as zero.
 */
#include "vector/distance_sets.h"

#include <immintrin.h>
#include "base/poison.h"

_Static_assert(DISTANCE_LANES == 32, "two accumulators of 16 lanes");

#define VNNI      __attribute__((target("avx512vnni")))
#define VPOPCNTDQ __attribute__((target("avx512vpopcntdq")))

/* The low `n` of 64 bits. n <= 64. */
ALWAYS_INLINE __mmask64 first_lanes(uint32_t n) {
    return n >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << n) - 1;
}

/* A scan reads rows one after another, mostly from memory. What follows was measured there: loads
 * of half a line, with the lines of a page ahead asked for early, bring half as much again as plain
 * loads of whole lines, and masked loads of bytes bring a third. In cache it costs a tenth. */
#define PREFETCH_BYTES 4096u

ALWAYS_INLINE void prefetch_ahead(const uint8_t *row) {
    _mm_prefetch((const char *)((uintptr_t)row + PREFETCH_BYTES), _MM_HINT_T0); /* never faults */
}

ALWAYS_INLINE __m512i load_line(const uint8_t *row) {
    __m256i low = _mm256_loadu_si256((const __m256i *)row);
    __m256i high = _mm256_loadu_si256((const __m256i *)(row + 32));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* 64 bytes of which `left` exist. */
ALWAYS_INLINE __m512i load_bytes(const uint8_t *row, uint32_t left) {
    prefetch_ahead(row);
    return left >= 64 ? load_line(row) : _mm512_maskz_loadu_epi8(first_lanes(left), row);
}

/* 16 elements of which those in `mask` exist. */
ALWAYS_INLINE __m512 load_lanes(const uint8_t *row, __mmask16 mask, bool half) {
    if (half) return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, row));
    prefetch_ahead(row);
    if (mask == 0xffff) return _mm512_castsi512_ps(load_line(row));
    return _mm512_maskz_loadu_ps(mask, row);
}

ALWAYS_INLINE void add_vector(__m512 q, __m512 e, __m512 *sum, __m512 *norm, enum sum_of what) {
    if (what == SUM_L2) q = e = _mm512_sub_ps(q, e);
    *sum = _mm512_add_ps(*sum, _mm512_mul_ps(q, e));
    if (what == SUM_DOT_NORM) *norm = _mm512_add_ps(*norm, _mm512_mul_ps(e, e));
}

ALWAYS_INLINE void add_block(const float *query, const uint8_t *row, __mmask64 mask, __m512 *sum,
                             __m512 *norm, bool half, enum sum_of what) {
    if (half) prefetch_ahead(row); /* one line; of f32 two */
    __m512 low = load_lanes(row, (__mmask16)mask, half);
    add_vector(_mm512_loadu_ps(query), low, &sum[0], &norm[0], what);
    __m512 high = load_lanes(row + (half ? 32 : 64), (__mmask16)(mask >> 16), half);
    add_vector(_mm512_loadu_ps(query + 16), high, &sum[1], &norm[1], what);
}

ALWAYS_INLINE float reduce(const __m512 *lanes) {
    __m512 sixteen = _mm512_add_ps(lanes[0], lanes[1]);
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(sixteen), 1));
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(sixteen), high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

ALWAYS_INLINE void sum_rows(const float *query, const uint8_t *rows, size_t stride, size_t n,
                            uint32_t dims, float *sums, float *norms, bool half, enum sum_of what) {
    size_t element_bytes = half ? 2 : 4;
    uint32_t whole = dims / DISTANCE_LANES * DISTANCE_LANES;
    __mmask64 tail = first_lanes(dims - whole);
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        __m512 norm[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        for (uint32_t at = 0; at < whole; at += DISTANCE_LANES) {
            add_block(query + at, row + at * element_bytes, first_lanes(64), sum, norm, half, what);
        }
        if (tail != 0) {
            add_block(query + whole, row + whole * element_bytes, tail, sum, norm, half, what);
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

/* 32 bytes widened to 16 bits: pairs of products fit 32 bits. */
ALWAYS_INLINE void add_products(__m256i query, __m256i row, __m512i *dot, __m512i *norm,
                                bool with_norm) {
    __m512i q = _mm512_cvtepi8_epi16(query);
    __m512i e = _mm512_cvtepi8_epi16(row);
    *dot = _mm512_add_epi32(*dot, _mm512_madd_epi16(q, e));
    if (with_norm) *norm = _mm512_add_epi32(*norm, _mm512_madd_epi16(e, e));
}

ALWAYS_INLINE void i8_rows(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                           uint32_t dims, int32_t *dots, int32_t *norms, bool with_norm) {
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        __m512i dot = _mm512_setzero_si512();
        __m512i norm = _mm512_setzero_si512();
        for (uint32_t at = 0; at < dims; at += 64) {
            __m512i bytes = load_bytes(row + at, dims - at);
            __m512i q = _mm512_loadu_si512(query + at);
            add_products(_mm512_castsi512_si256(q), _mm512_castsi512_si256(bytes), &dot, &norm,
                         with_norm);
            add_products(_mm512_extracti64x4_epi64(q, 1), _mm512_extracti64x4_epi64(bytes, 1), &dot,
                         &norm, with_norm);
        }
        dots[r] = _mm512_reduce_add_epi32(dot);
        if (with_norm) norms[r] = _mm512_reduce_add_epi32(norm);
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

/* Counts of bits per byte: a table of nibbles, then sums of eight bytes. */
static void hamming(const uint8_t *query, const uint8_t *rows, size_t stride, size_t n,
                    uint32_t row_bytes, int32_t *counts) {
    const __m512i table =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    const __m512i nibble = _mm512_set1_epi8(15);
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        __m512i count = _mm512_setzero_si512();
        for (uint32_t at = 0; at < row_bytes; at += 64) {
            __m512i q = _mm512_loadu_si512(query + at);
            __m512i differ = _mm512_xor_si512(q, load_bytes(row + at, row_bytes - at));
            __m512i low = _mm512_and_si512(differ, nibble);
            __m512i high = _mm512_and_si512(_mm512_srli_epi16(differ, 4), nibble);
            __m512i bits =
                _mm512_add_epi8(_mm512_shuffle_epi8(table, low), _mm512_shuffle_epi8(table, high));
            count = _mm512_add_epi64(count, _mm512_sad_epu8(bits, _mm512_setzero_si512()));
        }
        counts[r] = (int32_t)_mm512_reduce_add_epi64(count);
    }
}

/*
 * VNNI multiplies unsigned by signed bytes, four products a lane. With e' = e + 128, which is e
 * with its top bit flipped, taken as unsigned:  q.e = q.e' - 128 sum(q)  and  e.e = e.e' - 128
 * sum(e). A masked byte has e' = 128 but meets a zero. Sums stay below 4096 * 255 * 128 < 2^27.
 */
VNNI ALWAYS_INLINE void vnni_rows(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                                  uint32_t dims, int32_t *dots, int32_t *norms, bool with_norm) {
    const __m512i flip = _mm512_set1_epi8(-128);
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i query_lanes = _mm512_setzero_si512();
    for (uint32_t at = 0; at < dims; at += 64) {
        query_lanes = _mm512_dpbusd_epi32(query_lanes, ones, _mm512_loadu_si512(query + at));
    }
    int32_t query_sum = _mm512_reduce_add_epi32(query_lanes);
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        __m512i dot = _mm512_setzero_si512();
        __m512i norm = _mm512_setzero_si512();
        __m512i sum = _mm512_setzero_si512();
        for (uint32_t at = 0; at < dims; at += 64) {
            __m512i q = _mm512_loadu_si512(query + at);
            __m512i e = load_bytes(row + at, dims - at);
            __m512i flipped = _mm512_xor_si512(e, flip);
            dot = _mm512_dpbusd_epi32(dot, flipped, q);
            if (with_norm) {
                norm = _mm512_dpbusd_epi32(norm, flipped, e);
                sum = _mm512_dpbusd_epi32(sum, ones, e);
            }
        }
        dots[r] = _mm512_reduce_add_epi32(dot) - 128 * query_sum;
        if (with_norm)
            norms[r] = _mm512_reduce_add_epi32(norm) - 128 * _mm512_reduce_add_epi32(sum);
    }
}

VNNI static void vnni_i8_dot(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                             uint32_t dims, int32_t *dots) {
    vnni_rows(query, rows, stride, n, dims, dots, NULL, false);
}
VNNI static void vnni_i8_dot_norm(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                                  uint32_t dims, int32_t *dots, int32_t *norms) {
    vnni_rows(query, rows, stride, n, dims, dots, norms, true);
}

VPOPCNTDQ static void vpopcnt_hamming(const uint8_t *query, const uint8_t *rows, size_t stride,
                                      size_t n, uint32_t row_bytes, int32_t *counts) {
    for (size_t r = 0; r < n; r++) {
        const uint8_t *row = rows + r * stride;
        __m512i count = _mm512_setzero_si512();
        for (uint32_t at = 0; at < row_bytes; at += 64) {
            __m512i q = _mm512_loadu_si512(query + at);
            __m512i e = load_bytes(row + at, row_bytes - at);
            count = _mm512_add_epi64(count, _mm512_popcnt_epi64(_mm512_xor_si512(q, e)));
        }
        counts[r] = (int32_t)_mm512_reduce_add_epi64(count);
    }
}

void distance_avx512_fill(struct distance_kernels *kernels) {
    *kernels = (struct distance_kernels){
        .name = "avx512",
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

void distance_avx512vnni_fill(struct distance_kernels *kernels) {
    kernels->name = "avx512vnni";
    kernels->i8_dot = vnni_i8_dot;
    kernels->i8_dot_norm = vnni_i8_dot_norm;
    kernels->hamming = vpopcnt_hamming;
}
