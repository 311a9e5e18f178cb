/*
 * distance_sets.h - what distance.c knows of the kernel sets, each in a file of its own because
 * each is compiled for another processor. A function here may be called only where its processor is
 * present.
 */
#ifndef LORE_VECTOR_DISTANCE_SETS_H
#define LORE_VECTOR_DISTANCE_SETS_H

#include "vector/distance.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* What a pass over a row sums. The float kernels are one loop, specialised by these constants. */
enum sum_of { SUM_DOT, SUM_DOT_NORM, SUM_L2 };

/* Fill all of `kernels`. */
void distance_plain_fill(struct distance_kernels *kernels);
void distance_avx2_fill(struct distance_kernels *kernels);
void distance_avx512_fill(struct distance_kernels *kernels);
void distance_neon_fill(struct distance_kernels *kernels);
/* Replace the int8 and binary kernels of the AVX-512 set. */
void distance_avx512vnni_fill(struct distance_kernels *kernels);

/* Sums of a query and one f32 row in double, in element order, for rows at the limits of f32. */
struct distance_wide {
    double dot, query_norm, row_norm, l2;
};
struct distance_wide distance_wide_sums(const float *query, const uint8_t *row, uint32_t dims);

#endif
