/*
 * distance.h - distances between one query and many stored rows.
 *
 * A row is a stored vector as lore.h defines it: little-endian elements, at any alignment, nothing
 * after its last element read. A query is prepared once (`struct distance`), then held against
 * rows.
 *
 *   cosine   1 - a.b / (|a||b|), in 0..2; 1 when either is zero
 *   dot      -a.b
 *   l2       squared Euclidean distance
 *   hamming  differing bits
 *
 * EVERY IMPLEMENTATION GIVES THE SAME BITS. Plain C, AVX2, AVX-512 and NEON agree in every result,
 * so a store answers alike wherever it is carried, and a test compares them bit for bit.
 *
 *   Integers (int8, binary) are summed exactly; a sum becomes a float once, at the end.
 *   Floats (f32, f16 widened exactly to f32) are summed in DISTANCE_LANES = 32 float accumulators,
 * all beginning at +0. Lane i takes the elements i, i + 32, i + 64 and so on, in that order, each
 * by a rounded multiplication and a rounded addition (never a fused one: plain C would pay for it
 * with a call per element). Then lane i += lane i + 16 for i < 16, and so on with 8, 4, 2 and 1;
 * lane 0 is the sum. An accumulator is never -0, so padding a tail with zeros changes nothing.
 *   Cosine is then 1 - dot / sqrt(norm * norm) in double: exactly 0 for a vector and itself.
 *   Where f32 sums overflow, or squared lengths come near f32's limits, the row is summed once more
 *   in double, in element order, by one function that all implementations share. So every finite
 *   vector gets its distance, and a distance beyond f32 is an infinity of the right sign.
 *
 * NaN and infinity are refused before a vector is stored; should one come, the distance is
 * +infinity where it would have been NaN. Distances are never NaN and never -0.
 *
 * Threads: all of this is immutable once made. A prepared query may be used by several threads.
 */
#ifndef LORE_VECTOR_DISTANCE_H
#define LORE_VECTOR_DISTANCE_H

#include "lore.h"

#define DISTANCE_LANES 32u

/* Sums of one query against n rows, the first at `rows`, each `stride` bytes after the last. The
 * query is in host order, float aligned, and padded with zeros to a whole number of
 * DISTANCE_QUERY_PAD bytes. Norms are squared lengths of the rows. */
typedef void (*distance_f32_fn)(const float *query, const uint8_t *rows, size_t stride, size_t n,
                                uint32_t dims, float *sums);
typedef void (*distance_f32_pair_fn)(const float *query, const uint8_t *rows, size_t stride,
                                     size_t n, uint32_t dims, float *dots, float *norms);
typedef void (*distance_i8_fn)(const int8_t *query, const uint8_t *rows, size_t stride, size_t n,
                               uint32_t dims, int32_t *dots);
typedef void (*distance_i8_pair_fn)(const int8_t *query, const uint8_t *rows, size_t stride,
                                    size_t n, uint32_t dims, int32_t *dots, int32_t *norms);
typedef void (*distance_bits_fn)(const uint8_t *query, const uint8_t *rows, size_t stride, size_t n,
                                 uint32_t row_bytes, int32_t *counts);

/* One set of kernels. A store handle chooses it at open and keeps it. */
struct distance_kernels {
    const char *name; /* "plain", "avx2", "avx512", "avx512vnni", "neon"; static */
    distance_f32_fn f32_dot;
    distance_f32_pair_fn f32_dot_norm;
    distance_f32_fn f32_l2;
    distance_f32_fn f16_dot;
    distance_f32_pair_fn f16_dot_norm;
    distance_f32_fn f16_l2;
    distance_i8_fn i8_dot;
    distance_i8_pair_fn i8_dot_norm; /* also gives l2: |a|^2 + |b|^2 - 2 a.b */
    distance_bits_fn hamming;
};

enum distance_level {
    DISTANCE_PLAIN = 0,
    DISTANCE_NEON,       /* aarch64 */
    DISTANCE_AVX2,       /* x86-64 with AVX2, F16C, POPCNT */
    DISTANCE_AVX512,     /* with AVX-512 F, BW, VL too */
    DISTANCE_AVX512VNNI, /* with VNNI and VPOPCNTDQ too */
    DISTANCE_LEVELS
};

/* The kernels of a level, false if this processor or this build has not got them. */
LORE_MUST_USE bool distance_kernels_get(enum distance_level level,
                                        struct distance_kernels *kernels);
/* The best that this processor has. */
struct distance_kernels distance_kernels_best(void);

/* Whether the metric is defined for the element type. */
bool distance_is_defined(lore_element element, lore_metric metric);
/* Bytes of one row: the least stride. */
size_t distance_row_bytes(lore_element element, uint32_t dims);

#define DISTANCE_QUERY_PAD       128u
#define DISTANCE_QUERY_BYTES_MAX (LORE_DIMENSIONS_MAX * 4u)
/* Bytes of scratch that a prepared query needs, at most DISTANCE_QUERY_BYTES_MAX. */
size_t distance_query_bytes(lore_element element, uint32_t dims);

/* A prepared query. */
struct distance {
    const struct distance_kernels *kernels; /* the caller's, must outlive this */
    lore_element element;
    lore_metric metric;
    uint32_t dims;
    const void *query; /* in the caller's scratch: f32 (also of f16), int8 or bits, zero-padded */
    float f32_norm;    /* squared length; for f32 and f16 cosine, else 0 */
    int32_t i8_norm;   /* squared length; for int8 cosine and l2, else 0 */
};

/* Prepare `query` (one row's bytes, not referred to afterwards) in `scratch`, which has
 * distance_query_bytes and must outlive `distance`. Requires a defined metric, 1 <= dims <=
 * LORE_DIMENSIONS_MAX, for binary a multiple of 8. */
void distance_prepare(struct distance *distance, const struct distance_kernels *kernels,
                      lore_element element, lore_metric metric, uint32_t dims, const void *query,
                      float *scratch);

/* Distances to n rows, the first at `rows`, each `stride` bytes after the last. */
void distance_many(const struct distance *distance, const void *rows, size_t stride, size_t n,
                   float *distances);
float distance_one(const struct distance *distance, const void *row);

/* Known answers of every kernel set on this machine, one call of `callback` (may be NULL) for each
 * set, element and metric: "distance avx2 f16 cosine". Returns whether all passed. */
bool distance_selftest(lore_selftest_fn callback, void *context);

#endif
