/*
 * background.c - flush, compaction and the small chores that are due now and then. All of it is
 * steps: the store's one thread runs them, or the host does through lore_step.
 *
 * Chores: sync the log when the interval is over (LORE_SYNC_INTERVAL); make the last promise
 * durable after a second without commits; call the floors above (ticks).
 *
 * The interval runs from the first commit that is not synced. It is looked at by the thread, which
 * sleeps no longer than until then, after every step of background work, and by whoever leads a
 * group, at its end and while it waits for a flush. So what is late is late by a step, no more.
 */
#include <inttypes.h>

#include "store/store_internal.h"
#include "vfs/rare.h"

#include "base/poison.h"

#define STEP_BYTES      (1u << 20)
#define IDLE_WAKE_US    500000u
#define IDLE_PROMISE_US 1000000u
#define RETRY_US        1000000u

static void unlink_flushed_logs(lore_store *store, uint64_t before, uint64_t first_log) {
    for (uint64_t number = before; number < first_log; number++) {
        char path[PATH_BYTES_MAX];
        if (layout_log_path(path, store->dir, number) != LORE_OK) return;
        /* What cannot be unlinked now is swept at the next open. */
        lore_status ignored = fs_unlink(store->env, path);
        (void)ignored;
    }
}

lore_status background_step(lore_store *store, uint64_t budget_bytes, bool *more) {
    struct step_count count = {0, 0};
    RARELY_PAUSE(store->env);
    env_lock(store->env, store->background.step_mutex);
    atomic_store(&store->background.running, true);
    uint64_t first_log = lsm_first_log(store->lsm);
    bool was_full = !lsm_can_freeze(store->lsm);
    lsm_set_room(store->lsm, space_for_background(store));
    if (RARELY(store->env, 4)) budget_bytes = 1;
    if (!store->options.read_only && RARELY(store->env, 100)) {
        lore_status asked = lsm_compact_begin(store->lsm);
        (void)asked;
    }
    lore_status status = lsm_step(store->lsm, budget_bytes, &count, more);
    /* It has undone what it tried, and begins again with the reserve's space. */
    if (status == LORE_FULL && space_release_reserve(store)) {
        lsm_set_room(store->lsm, space_for_background(store));
        status = lsm_step(store->lsm, budget_bytes, &count, more);
    }
    bool read_failed = lsm_read_failed(store->lsm);
    unlink_flushed_logs(store, first_log, lsm_first_log(store->lsm));
    atomic_store(&store->background.running, false);
    env_unlock(store->env, store->background.step_mutex);
    if (was_full && lsm_can_freeze(store->lsm)) commit_wake(store);
    /* A device that fails a sync of a segment or of edits will not be believed again by this
     * handle. One that fails to read is tried again later. */
    return status == LORE_IO && !read_failed ? commit_poison(store, status) : status;
}

/* Microseconds until the log must be synced (LORE_SYNC_INTERVAL), IDLE_WAKE_US at most. */
static uint64_t sync_due_in_us(lore_store *store) {
    uint64_t since_us = atomic_load(&store->commit.unsynced_since_us);
    if (since_us == 0 || atomic_load(&store->commit.poisoned) != LORE_OK) return IDLE_WAKE_US;
    uint64_t due_us = since_us + (uint64_t)store->options.sync_interval_ms * 1000;
    uint64_t now_us = env_monotonic_us(store->env);
    if (now_us >= due_us) return 0;
    return due_us - now_us < IDLE_WAKE_US ? due_us - now_us : IDLE_WAKE_US;
}

void background_sync_if_due(lore_store *store) {
    if (sync_due_in_us(store) > 0) return;
    commit_lead_begin(store); /* who leads meanwhile syncs at its end, too */
    if (sync_due_in_us(store) == 0) {
        lore_status ignored = commit_sync_log(store); /* a failure poisons */
        (void)ignored;
    }
    commit_lead_end(store);
}

/* The last group's promise, made durable after a while of rest. */
static void sync_if_idle(lore_store *store) {
    struct commit_state *commit = &store->commit;
    uint64_t rest_us = env_monotonic_us(store->env) - atomic_load(&commit->last_activity_us);
    if (store->options.durability != LORE_SYNC_FULL || rest_us < IDLE_PROMISE_US) return;
    env_lock(store->env, commit->mutex);
    bool busy = commit->leading;
    if (!busy) commit->leading = true;
    env_unlock(store->env, commit->mutex);
    if (busy) return;
    if (commit->log != NULL && atomic_load(&commit->poisoned) == LORE_OK) {
        lore_status ignored = commit_sync_log(store);
        (void)ignored;
    }
    commit_lead_end(store);
}

void background_chores(lore_store *store) {
    if (atomic_load(&store->commit.poisoned) != LORE_OK) return;
    background_sync_if_due(store);
    sync_if_idle(store);
    if (store->hooks.tick != NULL) store->hooks.tick(store->hooks.context, store);
}

static bool should_stop(lore_store *store) {
    env_lock(store->env, store->background.mutex);
    bool stop = store->background.stop;
    env_unlock(store->env, store->background.mutex);
    return stop;
}

static void work(lore_store *store) {
    bool more = true;
    while (more && !should_stop(store)) {
        lore_status status = background_step(store, STEP_BYTES, &more);
        background_sync_if_due(store);
        if (status == LORE_OK) continue;
        atomic_store(&store->background.last_status, (int)status);
        log_write(&store->logger, status == LORE_FULL ? LORE_LOG_WARNING : LORE_LOG_ERROR,
                  "background work: %s", lore_error_message());
        store->background.retry_at_us = env_monotonic_us(store->env) + RETRY_US;
        commit_wake(store);
        return;
    }
}

static void background_main(void *context) {
    lore_store *store = context;
    struct background_state *background = &store->background;
    env_lock(store->env, background->mutex);
    while (!background->stop) {
        if (!background->kicked)
            env_wait_for(store->env, background->wake, background->mutex, sync_due_in_us(store));
        bool kicked = background->kicked;
        background->kicked = false;
        bool stop = background->stop;
        env_unlock(store->env, background->mutex);
        if (!stop) {
            background_chores(store);
            if (kicked || env_monotonic_us(store->env) >= background->retry_at_us) {
                if (lsm_has_work(store->lsm)) work(store);
                space_restore_reserve(store);
            }
        }
        env_lock(store->env, background->mutex);
    }
    env_unlock(store->env, background->mutex);
}

/* Everything that the thread looks at is set before it starts. */
lore_status background_start(lore_store *store) {
    if (store->options.background == LORE_BACKGROUND_STEPS) return LORE_OK;
    store->background.threaded = true;
    lore_status status = store->env->sys->ops->thread_start(store->env->sys, background_main, store,
                                                            &store->background.thread);
    if (status != LORE_OK) store->background.threaded = false;
    return status;
}

void background_stop(lore_store *store) {
    if (store->background.thread == NULL) return;
    env_lock(store->env, store->background.mutex);
    store->background.stop = true;
    env_broadcast(store->env, store->background.wake);
    env_unlock(store->env, store->background.mutex);
    store->env->sys->ops->thread_join(store->env->sys, store->background.thread);
    store->background.thread = NULL;
}

static void wake(lore_store *store, bool kick) {
    if (!store->background.threaded) return;
    env_lock(store->env, store->background.mutex);
    if (kick) store->background.kicked = true;
    env_broadcast(store->env, store->background.wake);
    env_unlock(store->env, store->background.mutex);
}

void background_kick(lore_store *store) {
    wake(store, true);
}

void background_note_unsynced(lore_store *store) {
    struct commit_state *commit = &store->commit;
    if (store->options.durability != LORE_SYNC_INTERVAL) return;
    if (atomic_load(&commit->unsynced_since_us) != 0) return;
    uint64_t now_us = env_monotonic_us(store->env);
    atomic_store(&commit->unsynced_since_us, now_us == 0 ? 1 : now_us);
    /* It may be asleep for longer than the interval. */
    if ((uint64_t)store->options.sync_interval_ms * 1000 < IDLE_WAKE_US) wake(store, false);
}
