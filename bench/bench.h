/*
 * bench.h - what the benchmarks of whole stores share: time, made-up records, and numbers with
 * their spread. One run says little: each benchmark repeats and shows least, median and most.
 */
#ifndef LORE_BENCH_BENCH_H
#define LORE_BENCH_BENCH_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lore.h"

#define REPETITIONS_MAX 50u

static inline void bench_die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}
static inline void bench_must(lore_status status, const char *what) {
    if (status != LORE_OK) bench_die(what, lore_error_message());
}
#define MUST(expression) bench_must((expression), #expression)

static inline double bench_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* splitmix64. */
static inline uint64_t bench_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A key of 16 bytes: random-looking, and the same for the same number. */
static inline void bench_key(uint64_t number, uint8_t key[16]) {
    uint64_t state = number, high = bench_random(&state);
    for (int i = 0; i < 8; i++) {
        key[i] = (uint8_t)(high >> (56 - 8 * i));
        key[8 + i] = (uint8_t)(number >> (56 - 8 * i));
    }
}

/* Words, so that it compresses as text does. */
static inline void bench_text(uint64_t number, char *text, size_t size) {
    static const char *const words[16] = {
        "memory ", "of ",     "the ", "agent ",  "said ",  "that ",  "we ",   "met ",
        "in ",     "Lisbon ", "and ", "talked ", "about ", "music ", "with ", "friends "};
    uint64_t state = number;
    size_t at = 0;
    while (at < size) {
        uint64_t dice = bench_random(&state);
        char token[24];
        int token_size = dice % 5 == 0
                             ? snprintf(token, sizeof token, "%06u ", (unsigned)(dice >> 44))
                             : snprintf(token, sizeof token, "%s", words[dice >> 8 & 15]);
        size_t take = (size_t)token_size < size - at ? (size_t)token_size : size - at;
        memcpy(text + at, token, take);
        at += take;
    }
}

static inline int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread {
    double values[REPETITIONS_MAX];
    size_t count;
};
static inline void spread_add(struct spread *spread, double value) {
    if (spread->count < REPETITIONS_MAX) spread->values[spread->count++] = value;
}
static inline double spread_at(const struct spread *spread, unsigned percent) {
    struct spread sorted = *spread;
    qsort(sorted.values, sorted.count, sizeof sorted.values[0], bench_compare);
    return sorted.count == 0 ? 0 : sorted.values[(sorted.count - 1) * percent / 100];
}
/* "median (least to most)", with so many digits after the point. */
static inline const char *spread_text(const struct spread *spread, int digits, char text[96]) {
    snprintf(text, 96, "%.*f (%.*f to %.*f)", digits, spread_at(spread, 50), digits,
             spread_at(spread, 0), digits, spread_at(spread, 100));
    return text;
}

static inline void bench_remove(const char *path) {
    char command[1100];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0) fprintf(stderr, "%s is left behind\n", path);
}

#endif
