/*
 * support.h - what the system tests share: a loud end on the first thing that is wrong, random
 * numbers under a printed seed, folders that go away.
 *
 * Checks end the process: a system test that went on after a wrong answer would only bury it. They
 * may be used from any thread. Programs, not cmocka: some of them fork, some run for a minute by
 * hand.
 */
#ifndef LORE_TESTS_SUPPORT_H
#define LORE_TESTS_SUPPORT_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vfs/scratch.h"

#define SKIPPED 77 /* exit status that meson counts as a test that could not run here */

static inline void check_failed(const char *file, int line, const char *what, const char *why) {
    fprintf(stderr, "FAILED: %s:%d: %s: %s\n", file, line, what, why);
    fflush(NULL);
    scratch_clear();
    _exit(1);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) check_failed(__FILE__, __LINE__, #condition, "does not hold");           \
    } while (0)

/* CHECK with words of its own, as for printf. */
#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        char why[600];                                                                             \
        if (condition) break;                                                                      \
        snprintf(why, sizeof why, __VA_ARGS__);                                                    \
        check_failed(__FILE__, __LINE__, #condition, why);                                         \
    } while (0)

static inline void check_status(const char *file, int line, const char *what, lore_status status,
                                lore_status wanted) {
    if (status == wanted) return;
    char text[600];
    snprintf(text, sizeof text, "%s, not %s: %.500s", lore_status_name(status),
             lore_status_name(wanted), status == LORE_OK ? "" : lore_error_message());
    check_failed(file, line, what, text);
}
#define MUST_BE(expression, wanted)                                                                \
    check_status(__FILE__, __LINE__, #expression, (expression), (wanted))
#define MUST(expression) MUST_BE(expression, LORE_OK)

/* splitmix64. */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static inline uint64_t random_below(uint64_t *state, uint64_t bound) {
    return random_next(state) % bound;
}

static inline uint64_t monotonic_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static inline void sleep_us(uint64_t us) {
    struct timespec wait = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&wait, NULL);
}

#define TEST_PATH_BYTES PATH_BYTES_MAX

/* "--seed N" among the arguments, else the clock's; printed either way. */
static inline uint64_t seed_of(int argc, char **argv) {
    uint64_t seed = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[i + 1], NULL, 0);
    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
    return seed;
}

static inline void remove_tree(const char *path) {
    MUST(fs_remove_tree(env_posix(), path));
}

/* A new folder, on a RAM disk where there is one. */
static inline void make_folder(char path[TEST_PATH_BYTES], const char *name) {
    MUST(scratch_folder(NULL, name, path));
}

/* Eight bytes, most significant first: their order is that of the numbers. */
static inline lore_slice number_key(uint64_t number, uint8_t bytes[8]) {
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    return (lore_slice){bytes, 8};
}
static inline uint64_t key_number(lore_slice key) {
    uint64_t number = 0;
    CHECK(key.size >= 8);
    for (int i = 0; i < 8; i++)
        number = number << 8 | ((const uint8_t *)key.data)[i];
    return number;
}

static inline void print_finding(void *context, const lore_finding *finding) {
    (void)context;
    fprintf(stderr, "finding: %s %s %s at %" PRIu64 ": %s\n", lore_status_name(finding->status),
            finding->kind, finding->file, finding->offset, finding->message);
}
static inline void verify_clean(lore_store *store) {
    lore_verify_report report = {0};
    MUST(lore_verify(store, print_finding, NULL, NULL, &report));
    CHECK(report.findings == 0);
}

#endif
