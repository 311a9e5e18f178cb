/*
 * rare.h - branches that are taken more often in builds for the simulator (meson option `rare`) than
 * life takes them: a memtable is full early, blocks and tables end early, compactions are asked for,
 * threads pause where another could come between. Each is something that may happen anyway at that
 * place. Chance comes from the environment, so under sched_sim.h from the seed. Otherwise there is
 * nothing here, not even a test.
 */
#ifndef LORE_VFS_RARE_H
#define LORE_VFS_RARE_H

#include "vfs/sync.h"

#ifdef LORE_RARE
/* True once in `odds` times. */
static inline bool rare_happens(const lore_env *env, uint32_t odds) {
    uint32_t number = 1;
    return env->sys->ops->random(env->sys, &number, sizeof number) == LORE_OK && number % odds == 0;
}
#define RARELY(env, odds) rare_happens((env), (odds))
#else
#define RARELY(env, odds) false
#endif

/* Let another thread come between. */
#define RARELY_PAUSE(env)                                                                          \
    do {                                                                                           \
        if (RARELY(env, 8)) env_sleep_us(env, 50);                                                 \
    } while (0)

#endif
