/*
 * uuid7.h - ids for memories that come without one: UUID version 7 (RFC 9562, section 5.7), as 36
 * characters.
 *
 *   bits    48 Unix time in milliseconds | 4 version 7 | 12 | 2 variant 10 | 62
 *
 * The 12 and 62 free bits are one number of 74: chance at each new millisecond, its top bit 0;
 * within a millisecond, or when the clock went back, the last one plus a random step (RFC 9562,
 * section 6.2, method 2). So ids of one handle only grow, and text order is their order.
 *
 * Threads: any.
 */
#ifndef LORE_MEMORY_UUID7_H
#define LORE_MEMORY_UUID7_H

#include "vfs/env.h"

#define UUID7_TEXT_BYTES 36u

struct uuid7 {
    const lore_env *env;
    struct mutex *mutex;
    uint64_t last_ms;
    uint64_t high, low; /* the 12 and the 62 free bits of the last id */
};

MUST_USE lore_status uuid7_init(struct uuid7 *uuid7, const lore_env *env);
void uuid7_deinit(struct uuid7 *uuid7);
MUST_USE lore_status uuid7_next(struct uuid7 *uuid7, char text[UUID7_TEXT_BYTES]);

#endif
