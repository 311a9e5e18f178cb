/*
 * sync.h - the environment's clock and thread calls without the arrows.
 */
#ifndef LORE_VFS_SYNC_H
#define LORE_VFS_SYNC_H

#include "vfs/env.h"

static inline int64_t env_now_us(const lore_env *env) { return env->sys->ops->now_us(env->sys); }
static inline uint64_t env_monotonic_us(const lore_env *env) {
    return env->sys->ops->monotonic_us(env->sys);
}
static inline void env_sleep_us(const lore_env *env, uint64_t us) {
    env->sys->ops->sleep_us(env->sys, us);
}
MUST_USE static inline lore_status env_mutex_create(const lore_env *env, struct mutex **mutex) {
    return env->sys->ops->mutex_create(env->sys, mutex);
}
static inline void env_mutex_destroy(const lore_env *env, struct mutex *mutex) {
    if (mutex != NULL) env->sys->ops->mutex_destroy(env->sys, mutex);
}
static inline void env_lock(const lore_env *env, struct mutex *mutex) {
    env->sys->ops->mutex_lock(env->sys, mutex);
}
static inline void env_unlock(const lore_env *env, struct mutex *mutex) {
    env->sys->ops->mutex_unlock(env->sys, mutex);
}
MUST_USE static inline lore_status env_condition_create(const lore_env *env,
                                                        struct condition **condition) {
    return env->sys->ops->condition_create(env->sys, condition);
}
static inline void env_condition_destroy(const lore_env *env, struct condition *condition) {
    if (condition != NULL) env->sys->ops->condition_destroy(env->sys, condition);
}
static inline void env_wait(const lore_env *env, struct condition *condition, struct mutex *mutex) {
    env->sys->ops->condition_wait(env->sys, condition, mutex);
}
/* False when the time ran out. */
static inline bool env_wait_for(const lore_env *env, struct condition *condition,
                                struct mutex *mutex, uint64_t timeout_us) {
    return env->sys->ops->condition_wait_for(env->sys, condition, mutex, timeout_us);
}
static inline void env_broadcast(const lore_env *env, struct condition *condition) {
    env->sys->ops->condition_broadcast(env->sys, condition);
}

#endif
