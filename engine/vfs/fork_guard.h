/*
 * fork_guard.h - tells the process that made it from a child forked since, at the price of a load.
 *
 * A page that fork(2) hands to the child as zeros (MADV_WIPEONFORK): while it holds a one, this is
 * the process that made it. Where the environment has no such page, the number of the process is
 * asked for each time. Nothing here is the process's: two guards, or two copies of the library, do
 * not meet.
 *
 * Threads: asked from any. Owner: whoever made it.
 */
#ifndef LORE_VFS_FORK_GUARD_H
#define LORE_VFS_FORK_GUARD_H

#include "vfs/env.h"

struct fork_guard {
    const volatile uint8_t *unforked; /* 1, and 0 in a child; NULL: there is no such page */
    uint64_t process_id;
};

static inline void fork_guard_init(struct fork_guard *guard, const lore_env *env) {
    const struct sys_ops *ops = env->sys->ops;
    guard->process_id = ops->process_id(env->sys);
    guard->unforked = ops->fork_mark != NULL ? ops->fork_mark(env->sys) : NULL;
}

/* Whether this is a child of the process that made the guard. */
static inline bool fork_guard_is_child(const struct fork_guard *guard, const lore_env *env) {
    if (guard->unforked != NULL) return *guard->unforked == 0;
    return env->sys->ops->process_id(env->sys) != guard->process_id;
}

static inline void fork_guard_free(struct fork_guard *guard, const lore_env *env) {
    if (guard->unforked != NULL) env->sys->ops->fork_mark_free(env->sys, guard->unforked);
    guard->unforked = NULL;
}

#endif
