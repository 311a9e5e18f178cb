/*
 * distance_bench.c - rows per second of each distance kernel set, and how many times plain C that
 * is.
 *
 *   distance_bench [KiB of rows, default 512] [repetitions, default 15]
 *
 * The default fits a second-level cache and so measures the kernels; some 262144 KiB measures
 * memory. Sets take turns within a repetition, so that a slow moment of the machine meets all of
 * them alike. A ratio is taken within a repetition; min, median and max are over the repetitions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vector/distance.h"
#include "vector/f16.h"

#define REPETITIONS_MAX 1000
#define TURN_SECONDS    0.002 /* at least so long a turn, to stand above the clock */

struct task {
    lore_element element;
    lore_metric metric;
    const char *name;
};

static const struct task tasks[] = {
    {LORE_ELEMENT_F32, LORE_METRIC_COSINE, "f32 cosine"},
    {LORE_ELEMENT_F32, LORE_METRIC_DOT, "f32 dot"},
    {LORE_ELEMENT_F32, LORE_METRIC_L2, "f32 l2"},
    {LORE_ELEMENT_F16, LORE_METRIC_COSINE, "f16 cosine"},
    {LORE_ELEMENT_F16, LORE_METRIC_DOT, "f16 dot"},
    {LORE_ELEMENT_F16, LORE_METRIC_L2, "f16 l2"},
    {LORE_ELEMENT_INT8, LORE_METRIC_COSINE, "int8 cosine"},
    {LORE_ELEMENT_INT8, LORE_METRIC_DOT, "int8 dot"},
    {LORE_ELEMENT_INT8, LORE_METRIC_L2, "int8 l2"},
    {LORE_ELEMENT_BINARY, LORE_METRIC_HAMMING, "binary hamming"},
};
static const uint32_t dimensions[] = {128, 512, 768};

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void fill(lore_element element, uint8_t *rows, size_t bytes) {
    uint32_t state = 1;
    size_t step = element == LORE_ELEMENT_F32 ? 4 : element == LORE_ELEMENT_F16 ? 2 : 1;
    for (size_t at = 0; at + step <= bytes; at += step) {
        state = state * 1664525u + 1013904223u;
        float value = (float)(state >> 8) * 0x1p-24f - 0.5f;
        if (step == 4) put_u32(rows + at, f32_to_bits(value));
        if (step == 2) put_u16(rows + at, f16_from_f32(value));
        if (step == 1) rows[at] = (uint8_t)(state >> 24);
    }
}

/* Rows per second over one turn. */
static double measure(const struct distance *distance, const uint8_t *rows, size_t stride, size_t n,
                      float *distances) {
    double begin = seconds_now();
    double elapsed;
    double done = 0;
    do {
        distance_many(distance, rows, stride, n, distances);
        done += (double)n;
        elapsed = seconds_now() - begin;
    } while (elapsed < TURN_SECONDS);
    return done / elapsed;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run_task(const struct task *task, uint32_t dims, const uint8_t *rows, size_t bytes,
                     float *distances, int repetitions) {
    static float scratch[DISTANCE_LEVELS][DISTANCE_QUERY_BYTES_MAX / 4];
    static double rates[DISTANCE_LEVELS][REPETITIONS_MAX];
    static double ratios[DISTANCE_LEVELS][REPETITIONS_MAX];
    struct distance_kernels kernels[DISTANCE_LEVELS];
    struct distance queries[DISTANCE_LEVELS];
    bool present[DISTANCE_LEVELS];
    size_t stride = distance_row_bytes(task->element, dims);
    size_t n = bytes / stride;

    for (int level = 0; level < DISTANCE_LEVELS; level++) {
        present[level] = distance_kernels_get((enum distance_level)level, &kernels[level]);
        if (!present[level]) continue;
        distance_prepare(&queries[level], &kernels[level], task->element, task->metric, dims, rows,
                         scratch[level]);
        (void)measure(&queries[level], rows, stride, n, distances); /* warm */
    }
    for (int i = 0; i < repetitions; i++) {
        for (int level = 0; level < DISTANCE_LEVELS; level++) {
            if (!present[level]) continue;
            rates[level][i] = measure(&queries[level], rows, stride, n, distances);
            ratios[level][i] = rates[level][i] / rates[DISTANCE_PLAIN][i];
        }
    }
    for (int level = 0; level < DISTANCE_LEVELS; level++) {
        if (!present[level]) continue;
        size_t count = (size_t)repetitions;
        qsort(rates[level], count, sizeof rates[level][0], compare);
        qsort(ratios[level], count, sizeof ratios[level][0], compare);
        printf("%-15s %5u  %-11s %12.0f  %7.2f %7.2f %7.2f\n", task->name, dims,
               kernels[level].name, rates[level][count / 2], ratios[level][0],
               ratios[level][count / 2], ratios[level][count - 1]);
    }
}

int main(int argc, char **argv) {
    unsigned long kib = argc > 1 ? strtoul(argv[1], NULL, 10) : 512;
    long repetitions = argc > 2 ? strtol(argv[2], NULL, 10) : 15;
    if (kib < 4 || kib > 4ul << 20 || repetitions < 1 || repetitions > REPETITIONS_MAX) {
        fprintf(stderr, "usage: distance_bench [KiB of rows, 4..4194304] [repetitions, 1..%d]\n",
                REPETITIONS_MAX);
        return 2;
    }
    size_t bytes = (size_t)kib << 10;
    uint8_t *rows = malloc(bytes);
    float *distances = malloc(bytes / (128 / 8) * sizeof *distances); /* the shortest rows */
    if (rows == NULL || distances == NULL) {
        fprintf(stderr, "distance_bench: no memory for %lu KiB of rows\n", kib);
        free(rows);
        free(distances);
        return 1;
    }
    printf("%lu KiB of rows, %ld repetitions, rows/s is the median\n", kib, repetitions);
    printf("%-15s %5s  %-11s %12s  %23s\n", "distance", "dims", "kernels", "rows/s",
           "times plain min/med/max");
    for (size_t t = 0; t < sizeof tasks / sizeof tasks[0]; t++) {
        fill(tasks[t].element, rows, bytes);
        for (size_t d = 0; d < sizeof dimensions / sizeof dimensions[0]; d++) {
            run_task(&tasks[t], dimensions[d], rows, bytes, distances, (int)repetitions);
        }
    }
    free(rows);
    free(distances);
    return 0;
}
