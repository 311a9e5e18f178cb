/*
 * crash_choice.h - which of the pending changes of a disk in memory a crash keeps, as bits; for
 * tests that try many.
 */
#ifndef LORE_TESTS_CRASH_CHOICE_H
#define LORE_TESTS_CRASH_CHOICE_H

#include <stdio.h>

#include "vfs/fs_memory.h"

struct choice {
    uint64_t kept;    /* bit i: pending change i reaches the disk (those beyond 63 as bit 63) */
    uint64_t torn;    /* bit i: it is torn */
    uint64_t pattern; /* of the sectors that a torn one keeps; bit 60: it does not grow the file */
};

/* For fs_memory_crash_clone; the context is the choice. */
static inline enum crash_fate choose(void *context, size_t index, uint64_t *tear) {
    const struct choice *choice = context;
    unsigned bit = index < 63 ? (unsigned)index : 63;
    if ((choice->torn >> bit & 1) != 0) {
        *tear = choice->pattern >> (index % 7);
        return (choice->pattern >> 60 & 1) != 0 ? CRASH_TORN : CRASH_TORN_SIZED;
    }
    return (choice->kept >> bit & 1) != 0 ? CRASH_KEPT : CRASH_LOST;
}

static inline void choice_print(struct fs_memory *disk, const struct choice *choice) {
    static const char *const words[] = {[CRASH_LOST] = "lost",
                                        [CRASH_KEPT] = "kept",
                                        [CRASH_TORN] = "torn",
                                        [CRASH_TORN_SIZED] = "torn"};
    for (size_t i = 0; i < fs_memory_pending_count(disk); i++) {
        char text[256];
        uint64_t tear = 0;
        struct choice copy = *choice;
        enum crash_fate fate = choose(&copy, i, &tear);
        fs_memory_describe(disk, i, text, sizeof text);
        printf("   %s %s\n", words[fate], text);
    }
}

#endif
