/*
 * distance_selftest.c - known answers of every kernel set on this machine. The vectors come from a
 * small generator of integers, divided so that float sums do round; the answers are exact bits,
 * equal on all machines.
 */
#include "vector/distance.h"

#include <stdio.h>
#include "vector/f16.h"
#include "base/poison.h"

#define DIMS 200u /* six blocks of 32 and a tail */

struct answer {
    lore_element element;
    lore_metric metric;
    const char *name;
    uint32_t bits; /* of the float distance */
};

static const struct answer answers[] = {
    {LORE_ELEMENT_F32, LORE_METRIC_COSINE, "f32 cosine", 0x3f859fff},
    {LORE_ELEMENT_F32, LORE_METRIC_DOT, "f32 dot", 0x40963afc},
    {LORE_ELEMENT_F32, LORE_METRIC_L2, "f32 l2", 0x435f13f8},
    {LORE_ELEMENT_F16, LORE_METRIC_COSINE, "f16 cosine", 0x3f85a058},
    {LORE_ELEMENT_F16, LORE_METRIC_DOT, "f16 dot", 0x4096466a},
    {LORE_ELEMENT_F16, LORE_METRIC_L2, "f16 l2", 0x435f179d},
    {LORE_ELEMENT_INT8, LORE_METRIC_COSINE, "int8 cosine", 0x3f859fff},
    {LORE_ELEMENT_INT8, LORE_METRIC_DOT, "int8 dot", 0x47376300},
    {LORE_ELEMENT_INT8, LORE_METRIC_L2, "int8 l2", 0x4a0827f0},
    {LORE_ELEMENT_BINARY, LORE_METRIC_HAMMING, "binary hamming", 0x42c00000},
};

/* A vector of bytes, pseudo-random by `state`; `row` has room for DIMS floats. */
static void make_row(lore_element element, uint32_t state, uint8_t *row) {
    size_t count = element == LORE_ELEMENT_BINARY ? DIMS / 8 : DIMS;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        int value = (int)(state >> 24) - 128;
        if (element == LORE_ELEMENT_F32) {
            put_u32(row + 4 * i, f32_to_bits((float)value / 100.0f));
        } else if (element == LORE_ELEMENT_F16) {
            put_u16(row + 2 * i, f16_from_f32((float)value / 100.0f));
        } else {
            row[i] = (uint8_t)value;
        }
    }
}

static bool answer_is_right(const struct distance_kernels *kernels, const struct answer *answer) {
    float scratch[DISTANCE_LANES * ((DIMS + DISTANCE_LANES - 1) / DISTANCE_LANES)];
    uint8_t query[4 * DIMS];
    uint8_t rows[2 * 4 * DIMS + 1]; /* two, at an odd address */
    size_t stride = distance_row_bytes(answer->element, DIMS);
    struct distance distance;
    float distances[2];

    make_row(answer->element, 1, query);
    make_row(answer->element, 2, rows + 1);
    make_row(answer->element, 2, rows + 1 + stride);
    distance_prepare(&distance, kernels, answer->element, answer->metric, DIMS, query, scratch);
    distance_many(&distance, rows + 1, stride, 2, distances);
    return f32_to_bits(distances[0]) == answer->bits && f32_to_bits(distances[1]) == answer->bits;
}

bool distance_selftest(lore_selftest_fn callback, void *context) {
    bool all_passed = true;
    for (int level = 0; level < DISTANCE_LEVELS; level++) {
        struct distance_kernels kernels;
        if (!distance_kernels_get((enum distance_level)level, &kernels)) continue;
        for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
            bool passed = answer_is_right(&kernels, &answers[i]);
            all_passed = all_passed && passed;
            char name[64];
            snprintf(name, sizeof name, "distance %s %s", kernels.name, answers[i].name);
            if (callback != NULL) callback(context, name, passed);
        }
    }
    return all_passed;
}
