/*
 * commit.c - the commit order. Writers queue; the first in the queue leads a group through
 * conditions, numbers, log, memtable and promise (store.h draws the order), then wakes it. There is
 * no spinning: followers sleep on a condition.
 *
 * Invariants
 *   - Whoever set `leading` owns the log, the numbers and the active memtable; the commit mutex is
 * not held meanwhile.
 *   - A batch reaches the memtable only after its record is as durable as the durability option
 * asks.
 *   - visible_sequence moves after the whole group is applied, under the mutex: a reader that pins
 * it there can rely on it.
 *   - A group ends before a batch whose conditions touch a key that the group has changed: so
 * conditions are always checked against what is applied.
 */
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define GROUP_BYTES_MAX         (1u << 20)
#define GROUP_REQUESTS_MAX      256u
#define TIME_KEY_BYTES          (KEYSPACE_BYTES + 8u)
#define PREALLOCATE_SHORT_BYTES 4096u
#define SCARCE_FLUSH_BYTES_MIN  (64u << 10)
/* At least what the payload of the time entry takes. */
#define TIME_BATCH_BYTES 128u
#define CHANGED_BITS     65536u

/* ---- life ---- */

lore_status commit_state_init(lore_store *store) {
    struct commit_state *commit = &store->commit;
    batch_init(&commit->time_batch, &store->fixed_allocator.base);
    TRY(env_mutex_create(store->env, &commit->mutex));
    return env_condition_create(store->env, &commit->changed);
}

void commit_state_deinit(lore_store *store) {
    struct commit_state *commit = &store->commit;
    log_writer_destroy(commit->log);
    commit->log = NULL;
    batch_deinit(&commit->time_batch);
    env_condition_destroy(store->env, commit->changed);
    env_mutex_destroy(store->env, commit->mutex);
}

void commit_state_note(struct commit_state *commit, const struct batch_view *view,
                       int64_t time_us) {
    commit->next_sequence = view->first_sequence + view->entries;
    if (view->first_row + view->rows > commit->next_row)
        commit->next_row = view->first_row + view->rows;
    if (time_us > commit->last_time_us) commit->last_time_us = time_us;
}

/* Only the first failure is kept. */
lore_status commit_poison(lore_store *store, lore_status status) {
    struct commit_state *commit = &store->commit;
    env_lock(store->env, commit->mutex);
    if (atomic_load(&commit->poisoned) == LORE_OK) {
        snprintf(commit->poisoned_message, sizeof commit->poisoned_message, "%.470s",
                 lore_error_message());
        atomic_store(&commit->poisoned, (int)status);
        log_write(&store->logger, LORE_LOG_ERROR, "writes are refused from now on: %s",
                  commit->poisoned_message);
    }
    env_unlock(store->env, commit->mutex);
    return status;
}

void commit_wake(lore_store *store) {
    env_lock(store->env, store->commit.mutex);
    env_broadcast(store->env, store->commit.changed);
    env_unlock(store->env, store->commit.mutex);
}

void commit_lead_begin(lore_store *store) {
    struct commit_state *commit = &store->commit;
    env_lock(store->env, commit->mutex);
    while (commit->leading)
        env_wait(store->env, commit->changed, commit->mutex);
    commit->leading = true;
    env_unlock(store->env, commit->mutex);
}

void commit_lead_end(lore_store *store) {
    struct commit_state *commit = &store->commit;
    env_lock(store->env, commit->mutex);
    commit->leading = false;
    env_broadcast(store->env, commit->changed);
    env_unlock(store->env, commit->mutex);
}

/* ---- the log under a leader ---- */

lore_status commit_sync_log(lore_store *store) {
    struct commit_state *commit = &store->commit;
    if (commit->log == NULL || commit->log_closed) return LORE_OK;
    if (log_writer_synced(commit->log) < log_writer_end(commit->log)) {
        lore_status status = log_writer_sync(commit->log);
        if (status != LORE_OK) return commit_poison(store, status);
        atomic_fetch_add(&store->device_syncs, 1);
    }
    atomic_store(&commit->unsynced_since_us, 0);
    lore_status status = log_writer_promise(commit->log, commit->last_time_us);
    /* A promise that finds no space is only late: the next one says the same. */
    return status == LORE_OK || status == LORE_FULL ? LORE_OK : commit_poison(store, status);
}

/* A leader's own background_sync_if_due. */
static void sync_if_due(lore_store *store) {
    struct commit_state *commit = &store->commit;
    uint64_t since_us = atomic_load(&commit->unsynced_since_us);
    if (since_us == 0 || atomic_load(&commit->poisoned) != LORE_OK) return;
    if (env_monotonic_us(store->env) - since_us < (uint64_t)store->options.sync_interval_ms * 1000)
        return;
    lore_status ignored = commit_sync_log(store); /* a failure poisons */
    (void)ignored;
}

/* What is left of the reserve is not for zeros. */
static uint32_t preallocate_bytes(const lore_store *store) {
    uint32_t wanted = store->options.log_preallocate_bytes;
    bool is_short = atomic_load(&store->reserve_given_up) && wanted > PREALLOCATE_SHORT_BYTES;
    return is_short ? PREALLOCATE_SHORT_BYTES : wanted;
}

/* Begin the log file after the one that is closed. */
static lore_status begin_log(lore_store *store, uint64_t predecessor_length) {
    struct commit_state *commit = &store->commit;
    struct log_header header = {.family = LOG_FAMILY_WAL,
                                .identity = store->segments.identity,
                                .number = commit->log_number + 1,
                                .predecessor_number = commit->log_number,
                                .predecessor_length = predecessor_length,
                                .predecessor_sequence = commit->next_sequence - 1,
                                .first_sequence = commit->next_sequence,
                                .created_at_us = commit->last_time_us};
    struct log_writer_config config = {.env = store->env,
                                       .allocator = &store->fixed_allocator.base,
                                       .group_access = store->options.group_access,
                                       .preallocate_bytes = preallocate_bytes(store)};
    char path[PATH_BYTES_MAX];
    TRY(layout_log_path(path, store->dir, header.number));
    struct log_writer *next;
    lore_status status = log_writer_create(&config, path, &header, &next);
    if (status != LORE_OK) {
        /* Half a file with no content: nothing refers to it. */
        lore_status ignored = fs_unlink(store->env, path);
        (void)ignored;
        return status;
    }
    log_writer_destroy(commit->log);
    commit->log = next;
    commit->log_number = header.number;
    return LORE_OK;
}

/* Begin the closed log's successor. LORE_FULL, LORE_NO_MEMORY: still to be done, and tried again.
 */
static lore_status begin_successor(lore_store *store, bool may_use_reserve) {
    struct commit_state *commit = &store->commit;
    uint64_t length = log_writer_end(commit->log);
    lore_status status = begin_log(store, length);
    if (status == LORE_FULL && may_use_reserve && space_release_reserve(store))
        status = begin_log(store, length);
    if (status == LORE_FULL || status == LORE_NO_MEMORY) return status;
    if (status != LORE_OK) return commit_poison(store, status);
    commit->log_closed = false;
    return LORE_OK;
}

/* A closed log takes no more records. The active memtable then holds what came from it and from its
 * successor. */
static lore_status ensure_log(lore_store *store, bool may_use_reserve) {
    if (!store->commit.log_closed) return LORE_OK;
    TRY(begin_successor(store, may_use_reserve));
    lsm_set_log_number(store->lsm, store->commit.log_number);
    return LORE_OK;
}

/* Wait, or work, until the frozen memtable is flushed. */
static lore_status wait_for_flush(lore_store *store) {
    struct commit_state *commit = &store->commit;
    uint64_t began_us = env_monotonic_us(store->env);
    lore_status status = LORE_OK;
    atomic_store(&store->background.last_status, LORE_OK);
    while (status == LORE_OK && !lsm_can_freeze(store->lsm)) {
        sync_if_due(store);
        /* The background's thread may itself be waiting for this leader (a tick that commits), so
         * what it does not do at this moment is done here. */
        if (!store->background.threaded || !atomic_load(&store->background.running)) {
            bool more;
            status = background_step(store, 1u << 20, &more);
            continue;
        }
        env_lock(store->env, commit->mutex);
        if (!lsm_can_freeze(store->lsm))
            env_wait_for(store->env, commit->changed, commit->mutex, 10000);
        env_unlock(store->env, commit->mutex);
        int failed = atomic_load(&store->background.last_status);
        if (failed != LORE_OK && !lsm_can_freeze(store->lsm))
            status = fail((lore_status)failed,
                          "%s: the memtable cannot be flushed (%s); writes wait for it", store->dir,
                          lore_status_name((lore_status)failed));
    }
    atomic_fetch_add(&store->stalls, 1);
    atomic_fetch_add(&store->stall_us, env_monotonic_us(store->env) - began_us);
    return status;
}

lore_status commit_switch_log(lore_store *store, uint64_t batch_bytes_min, bool may_use_reserve) {
    struct commit_state *commit = &store->commit;
    if (!lsm_can_freeze(store->lsm)) TRY(wait_for_flush(store));
    if (!commit->log_closed) {
        lore_status status = log_writer_close(commit->log, commit->last_time_us);
        if (status == LORE_FULL && may_use_reserve && space_release_reserve(store))
            status = log_writer_close(commit->log, commit->last_time_us);
        if (status == LORE_FULL) return status;
        if (status != LORE_OK) return commit_poison(store, status);
        atomic_fetch_add(&store->device_syncs, 1);
        atomic_store(&commit->unsynced_since_us, 0);
        commit->log_closed = true;
    }
    TRY(begin_successor(store, may_use_reserve));
    /* The frozen memtable keeps the number of the closed log, the new one gets that of its
     * successor. */
    lore_status status = lsm_freeze(store->lsm, commit->log_number, batch_bytes_min);
    if (status != LORE_OK)
        lsm_set_log_number(store->lsm, commit->log_number);
    else
        background_kick(store);
    return status;
}

/* A log takes more than what its flush writes: so where deletes would take the room that the flush
 * wants, the flush comes first. */
static lore_status flush_before_deletes(lore_store *store, uint64_t batch_bytes) {
    if (!space_is_scarce(store, batch_bytes)) return LORE_OK;
    if (!lsm_can_freeze(store->lsm)) TRY(wait_for_flush(store));
    if (lsm_active_bytes(store->lsm) < SCARCE_FLUSH_BYTES_MIN ||
        !space_is_scarce(store, batch_bytes))
        return LORE_OK;
    TRY(commit_switch_log(store, batch_bytes, true));
    return wait_for_flush(store);
}

/* ---- a group ---- */

struct group {
    struct commit_request *requests[GROUP_REQUESTS_MAX];
    size_t count;
    uint64_t memtable_bytes;
    uint64_t log_bytes;
    bool changes_ranges;
    uint64_t changed[CHANGED_BITS / 64]; /* two bits for each key that the group changes */
};

static void note_changes(struct group *group, const struct batch *batch) {
    struct batch_view view;
    struct entry entry;
    bool found;
    batch_entries(batch, &view);
    while (batch_view_next(&view, &entry, &found) == LORE_OK && found) {
        if (entry.kind == ENTRY_RANGE_DELETE) group->changes_ranges = true;
        uint64_t hash = check64(entry.key.data, entry.key.size);
        group->changed[hash % CHANGED_BITS / 64] |= UINT64_C(1) << hash % 64;
        hash >>= 32;
        group->changed[hash % CHANGED_BITS / 64] |= UINT64_C(1) << hash % 64;
    }
}

/* Whether a condition of `batch` may be about a key that the group changes. That it says so of a
 * few that are not costs a smaller group, no more. */
static bool condition_meets_group(const struct group *group, const struct batch *batch) {
    if (batch->conditions_count == 0) return false;
    if (group->changes_ranges) return true;
    size_t cursor = 0;
    struct condition_view condition;
    while (batch_next_condition(batch, &cursor, &condition)) {
        uint64_t hash = check64(condition.key.data, condition.key.size);
        bool first = (group->changed[hash % CHANGED_BITS / 64] >> hash % 64 & 1) != 0;
        hash >>= 32;
        if (first && (group->changed[hash % CHANGED_BITS / 64] >> hash % 64 & 1) != 0) return true;
    }
    return false;
}

static lore_status check_conditions(lore_store *store, const struct batch *batch) {
    size_t cursor = 0;
    struct condition_view condition;
    while (batch_next_condition(batch, &cursor, &condition)) {
        uint64_t newest;
        bool is_delete;
        TRY(lsm_newest(store->lsm, condition.key, &newest, &is_delete));
        bool absent = newest == 0 || is_delete;
        bool holds = condition.kind == CONDITION_ABSENT ? absent
                     : condition.sequence == 0          ? absent
                                                        : newest == condition.sequence;
        if (!holds)
            return fail(LORE_CONFLICT, "a key of the batch's conditions has changed meanwhile");
    }
    return LORE_OK;
}

static void finish_request(struct commit_request *request, lore_status status) {
    request->status = status;
    if (status != LORE_OK)
        snprintf(request->message, sizeof request->message, "%s", lore_error_message());
}

/* Take requests from the queue's head while they fit together. The first is always taken. A request
 * that is refused here is answered and left out; *taken counts both. */
static void gather_group(lore_store *store, struct group *group, size_t *taken) {
    struct commit_state *commit = &store->commit;
    env_lock(store->env, commit->mutex);
    struct commit_request *request = commit->head;
    env_unlock(store->env, commit->mutex);
    group->count = 0;
    group->memtable_bytes = MEMTABLE_ENTRY_OVERHEAD + 64; /* the time entry */
    group->log_bytes = 0;
    group->changes_ranges = false;
    memset(group->changed, 0, sizeof group->changed);
    *taken = 0;
    while (request != NULL && group->count < GROUP_REQUESTS_MAX) {
        uint64_t bytes = group->memtable_bytes + request->batch->memtable_bytes;
        uint64_t log_bytes = group->log_bytes + request->batch->payload.size;
        if (group->count > 0 && (log_bytes > GROUP_BYTES_MAX || !lsm_has_room(store->lsm, bytes) ||
                                 condition_meets_group(group, request->batch)))
            break;
        bool frees = request->frees_space, writes = request->batch->entries > 0;
        /* Those who stood in line when the handle was poisoned, too. */
        lore_status status = store_check(store, true);
        if (status == LORE_OK)
            status = space_check_write(store, frees || !writes, request->batch->memtable_bytes);
        if (status == LORE_OK) status = check_conditions(store, request->batch);
        if (status == LORE_OK && writes && frees && group->count == 0)
            status = flush_before_deletes(store, request->batch->memtable_bytes);
        if (status == LORE_OK && writes) status = ensure_log(store, frees);
        if (status == LORE_OK && writes && group->count == 0 && !lsm_has_room(store->lsm, bytes))
            status = commit_switch_log(store, bytes, frees);
        /* A batch larger than a memtable takes so much that the frozen one must go first. */
        if (status == LORE_OK && writes &&
            request->batch->memtable_bytes > store->options.memtable_bytes &&
            !lsm_can_freeze(store->lsm))
            status = wait_for_flush(store);
        if (status == LORE_OK && writes) {
            group->requests[group->count++] = request;
            group->memtable_bytes = bytes;
            group->log_bytes = log_bytes;
            note_changes(group, request->batch);
        } else {
            /* Refused, or nothing but conditions, which hold. */
            request->sequence = atomic_load(&commit->visible_sequence);
            request->time_us = atomic_load(&commit->visible_time_us);
            finish_request(request, status);
        }
        ++*taken;
        env_lock(store->env, commit->mutex);
        request = request->next;
        env_unlock(store->env, commit->mutex);
    }
}

/* At most once a second: the map from time to sequence number. */
static lore_status add_time_entry(lore_store *store, uint64_t sequence, uint64_t row,
                                  int64_t time_us, bool *added) {
    struct commit_state *commit = &store->commit;
    *added = false;
    int64_t second = time_us / 1000000;
    if (second == commit->last_mapped_second) return LORE_OK;
    uint8_t key[TIME_KEY_BYTES], value[16];
    put_be32(key, KEYSPACE_TIME);
    put_be64(key + KEYSPACE_BYTES, (uint64_t)second ^ UINT64_C(1) << 63);
    put_u64(value, sequence - 1);
    put_u64(value + 8, (uint64_t)time_us);
    batch_clear(&commit->time_batch);
    TRY(batch_put(&commit->time_batch, slice(key, sizeof key), slice(value, sizeof value)));
    batch_seal(&commit->time_batch, sequence, row);
    TRY(log_writer_add(commit->log, LOG_BATCH, time_us, bytes_slice(&commit->time_batch.payload),
                       NULL));
    *added = true;
    return LORE_OK;
}

/* Numbers, log and sync for the group. On failure nothing has been handed out, and the batches can
 * be sealed anew. */
static lore_status log_group(lore_store *store, struct group *group, bool *time_added) {
    struct commit_state *commit = &store->commit;
    *time_added = false;
    TRY(lsm_reserve(store->lsm, group->memtable_bytes));
    TRY(log_writer_reserve(commit->log, group->count + 1, group->log_bytes + TIME_BATCH_BYTES));
    uint64_t sequence = commit->next_sequence, row = commit->next_row;
    int64_t now_us = env_now_us(store->env);
    int64_t time_us = now_us > commit->last_time_us ? now_us : commit->last_time_us + 1;
    lore_status status = LORE_OK;
    size_t sealed = 0;
    for (; sealed < group->count && status == LORE_OK; sealed++, time_us++) {
        struct commit_request *request = group->requests[sealed];
        struct batch *batch = request->batch;
        batch_seal(batch, sequence, row);
        request->first_row = row;
        request->sequence = sequence + batch->entries - 1;
        request->time_us = time_us;
        sequence += batch->entries;
        row += batch->rows;
        status =
            log_writer_add(commit->log, LOG_BATCH, time_us, bytes_slice(&batch->payload), NULL);
    }
    if (status == LORE_OK) status = add_time_entry(store, sequence, row, time_us - 1, time_added);
    log_writer_set_preallocate(commit->log, preallocate_bytes(store));
    if (status == LORE_OK)
        status = log_writer_write(commit->log);
    else
        log_writer_drop(commit->log);
    if (status == LORE_OK && store->options.durability == LORE_SYNC_FULL) {
        status = log_writer_sync(commit->log);
        atomic_fetch_add(&store->device_syncs, 1);
    }
    if (status == LORE_OK) {
        commit->next_sequence = sequence + (*time_added ? 1 : 0);
        commit->next_row = row;
        commit->last_time_us = time_us - 1;
        if (*time_added) commit->last_mapped_second = (time_us - 1) / 1000000;
        return LORE_OK;
    }
    for (size_t i = 0; i < sealed; i++)
        batch_unseal(group->requests[i]->batch);
    if (log_writer_failed(commit->log) != LORE_OK) return commit_poison(store, status);
    return status;
}

static void apply_group(lore_store *store, struct group *group, bool time_added) {
    struct commit_state *commit = &store->commit;
    for (size_t i = 0; i < group->count; i++)
        lsm_apply(store->lsm, bytes_slice(&group->requests[i]->batch->payload));
    if (time_added) lsm_apply(store->lsm, bytes_slice(&commit->time_batch.payload));
    lsm_note_commit_time(store->lsm, commit->last_time_us);
    for (size_t i = 0; i < group->count; i++)
        batch_unseal(group->requests[i]->batch);
    env_lock(store->env, commit->mutex);
    atomic_store(&commit->visible_sequence, commit->next_sequence - 1);
    atomic_store(&commit->visible_row, commit->next_row);
    atomic_store(&commit->visible_time_us, commit->last_time_us);
    env_unlock(store->env, commit->mutex);
    atomic_store(&commit->last_activity_us, env_monotonic_us(store->env));
    atomic_fetch_add(&store->commits, group->count);
    atomic_fetch_add(&store->groups, 1);
}

/* The disk is full: answer all but those that free space. */
static void keep_what_frees_space(struct group *group, lore_status status) {
    size_t kept = 0;
    for (size_t i = 0; i < group->count; i++) {
        struct commit_request *request = group->requests[i];
        if (request->frees_space)
            group->requests[kept++] = request;
        else
            finish_request(request, status);
    }
    group->count = kept;
}

static void commit_group(lore_store *store, struct group *group) {
    bool time_added = false;
    lore_status status = log_group(store, group, &time_added);
    if (status == LORE_FULL) {
        keep_what_frees_space(group, status);
        if (group->count > 0 && space_release_reserve(store))
            status = log_group(store, group, &time_added);
    }
    if (status == LORE_OK) {
        background_note_unsynced(store);
        apply_group(store, group, time_added);
        if (store->options.durability == LORE_SYNC_FULL) {
            lore_status promised =
                commit_sync_log(store); /* a failure poisons; the group is safe */
            (void)promised;
        }
    }
    for (size_t i = 0; i < group->count; i++)
        finish_request(group->requests[i], status);
}

/* Lead one group. The caller is the queue's head and has set `leading`. */
static void lead(lore_store *store) {
    struct commit_state *commit = &store->commit;
    uint64_t delay_us = lsm_delay_us(store->lsm);
    if (delay_us > 0 && store->background.threaded) {
        env_sleep_us(store->env, delay_us);
        atomic_fetch_add(&store->stalls, 1);
        atomic_fetch_add(&store->stall_us, delay_us);
    }
    struct group group;
    size_t taken;
    gather_group(store, &group, &taken);
    if (group.count > 0) commit_group(store, &group);
    sync_if_due(store);
    env_lock(store->env, commit->mutex);
    for (size_t i = 0; i < taken; i++) {
        struct commit_request *request = commit->head;
        commit->head = request->next;
        request->done = true;
    }
    if (commit->head == NULL) commit->tail = NULL;
    commit->leading = false;
    env_broadcast(store->env, commit->changed);
    env_unlock(store->env, commit->mutex);
}

lore_status store_commit(lore_store *store, struct batch *batch, lore_commit *commit_out,
                         uint64_t *first_row) {
    struct commit_state *commit = &store->commit;
    TRY(store_check(store, true));
    if (batch->memtable_bytes > store->budget.limit / 4)
        return fail(LORE_TOO_BIG,
                    "a batch of %llu bytes is over the limit of %llu, a quarter of memory_budget",
                    (unsigned long long)batch->memtable_bytes,
                    (unsigned long long)(store->budget.limit / 4));
    if (batch->entries == 0 && batch->conditions_count == 0) return LORE_OK;
    struct commit_request request = {
        .batch = batch, .frees_space = batch->frees_space || batch->deletes == batch->entries};
    env_lock(store->env, commit->mutex);
    if (commit->tail == NULL)
        commit->head = &request;
    else
        commit->tail->next = &request;
    commit->tail = &request;
    while (!request.done && (commit->leading || commit->head != &request))
        env_wait(store->env, commit->changed, commit->mutex);
    bool leads = !request.done;
    if (leads) commit->leading = true;
    env_unlock(store->env, commit->mutex);
    if (leads) lead(store);
    if (request.status != LORE_OK) return fail(request.status, "%s", request.message);
    if (commit_out != NULL) *commit_out = (lore_commit){request.sequence, request.time_us};
    if (first_row != NULL) *first_row = request.first_row;
    return LORE_OK;
}
