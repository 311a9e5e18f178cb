/*
 * maintenance.c - flush, compact, step, sync, stats and notes.
 */
#include <inttypes.h>

#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define STEP_BYTES           (1u << 20)
#define NOTE_KEY_BYTES_MAX   255u
#define NOTE_VALUE_BYTES_MAX 4096u

lore_status lore_sync(lore_store *store) {
    TRY(store_check(store, true));
    commit_lead_begin(store);
    lore_status status = commit_sync_log(store);
    commit_lead_end(store);
    return status;
}

/* Steps on this thread until `done` says so. The background may be stepping too: each step is one
 * of either. */
static lore_status step_until(lore_store *store,
                              bool (*done)(lore_store *store, lore_progress *progress),
                              lore_progress_fn progress, void *context) {
    for (;;) {
        lore_progress state = {"compact", 0, 0};
        if (done(store, &state)) return LORE_OK;
        if (progress != NULL && !progress(context, &state))
            return fail(LORE_CANCELLED, "%s: stopped as asked", store->path);
        bool more;
        TRY(background_step(store, STEP_BYTES, &more));
        background_sync_if_due(store);
    }
}

static bool frozen_is_flushed(lore_store *store, lore_progress *progress) {
    progress->stage = "flush";
    return lsm_can_freeze(store->lsm);
}

lore_status lore_flush(lore_store *store) {
    TRY(store_check(store, true));
    commit_lead_begin(store);
    lore_status status = LORE_OK;
    if (lsm_active_bytes(store->lsm) > 0) status = commit_switch_log(store, 0, true);
    commit_lead_end(store);
    TRY(status);
    return step_until(store, frozen_is_flushed, NULL, NULL);
}

static bool compaction_is_done(lore_store *store, lore_progress *progress) {
    return !lsm_compacting(store->lsm, &progress->done, &progress->total);
}

lore_status lore_compact(lore_store *store, lore_progress_fn progress, void *context) {
    /* What finds no room to be flushed may find it after the compaction. */
    lore_status flushed = lore_flush(store);
    if (flushed != LORE_FULL) TRY(flushed);
    env_lock(store->env, store->background.step_mutex);
    lore_status status = lsm_compact_begin(store->lsm);
    env_unlock(store->env, store->background.step_mutex);
    TRY(status);
    status = step_until(store, compaction_is_done, progress, context);
    if (status != LORE_OK) {
        env_lock(store->env, store->background.step_mutex);
        lsm_compact_cancel(store->lsm);
        env_unlock(store->env, store->background.step_mutex);
    }
    return status == LORE_OK && flushed != LORE_OK ? lore_flush(store) : status;
}

lore_status lore_step(lore_store *store, uint64_t budget_bytes, bool *more) {
    *more = false;
    TRY(store_check(store, true));
    if (store->options.background != LORE_BACKGROUND_STEPS)
        return fail(LORE_MISUSE,
                    "%s: the store runs its own thread; lore_step is for LORE_BACKGROUND_STEPS",
                    store->path);
    background_chores(store);
    TRY(background_step(store, budget_bytes, more));
    space_restore_reserve(store);
    return LORE_OK;
}

/* ---- stats ---- */

struct log_count {
    uint64_t files, bytes;
    lore_store *store;
};

static lore_status count_log(void *context, const struct dir_entry *entry) {
    struct log_count *count = context;
    uint64_t number, size;
    bool is_dir;
    uint32_t mode;
    char path[PATH_BYTES_MAX];
    if (!layout_log_parse(entry->name, &number)) return LORE_OK;
    TRY(path_join(path, count->store->dir, entry->name));
    struct fs *fs = count->store->env->fs;
    if (fs->ops->stat(fs, path, &size, &is_dir, &mode) != LORE_OK)
        return LORE_OK; /* gone meanwhile */
    count->files++;
    count->bytes += size;
    return LORE_OK;
}

static lore_status count_record(void *context, lore_slice key, lore_slice value) {
    (void)key;
    (void)value;
    ++*(uint64_t *)context;
    return LORE_OK;
}

static void stats_of_tree(lore_store *store, lore_stats *stats) {
    struct lsm_stats tree;
    lsm_stats_get(store->lsm, &tree);
    stats->table_files = tree.table_files;
    stats->table_bytes = tree.table_bytes;
    stats->blob_files = tree.blob_files;
    stats->blob_bytes = tree.blob_bytes;
    stats->blob_garbage_bytes = tree.blob_garbage_bytes;
    stats->row_files = tree.row_files;
    stats->row_bytes = tree.row_bytes;
    stats->row_garbage_bytes = tree.row_garbage_bytes;
    stats->levels = tree.levels;
    stats->runs = tree.runs;
    stats->memtable_bytes = tree.memtable_bytes;
    stats->flushes = tree.flushes;
    stats->compactions = tree.compactions + tree.rewrites;
    stats->background_read_bytes = tree.read_bytes;
    stats->background_written_bytes = tree.written_bytes;
    stats->oldest_snapshot_sequence = tree.oldest_pin;
    stats->compaction_pending = !store->options.read_only && lsm_has_work(store->lsm);
}

static void stats_of_commits(lore_store *store, lore_stats *stats) {
    stats->last_sequence = atomic_load(&store->commit.visible_sequence);
    stats->row_watermark = atomic_load(&store->commit.visible_row);
    stats->last_commit_us = atomic_load(&store->commit.visible_time_us);
    stats->commits = atomic_load(&store->commits);
    stats->groups = atomic_load(&store->groups);
    stats->device_syncs = atomic_load(&store->device_syncs);
    stats->gets = atomic_load(&store->gets);
    stats->blocks_read = atomic_load(&store->blocks_read);
    stats->blocks_hit = atomic_load(&store->blocks_hit);
    stats->stalls = atomic_load(&store->stalls);
    stats->stall_us = atomic_load(&store->stall_us);
    stats->snapshots_open = atomic_load(&store->snapshots_open);
    stats->iterators_open = atomic_load(&store->iterators_open);
    stats->poisoned = (lore_status)atomic_load(&store->commit.poisoned);
    stats->background_running = atomic_load(&store->background.running);
}

static lore_status stats_of_catalog(lore_store *store, lore_stats *stats) {
    struct catalog_key quarantine = schema_key('Q'), named = schema_key('N');
    env_lock(store->env, store->catalog_mutex);
    stats->catalog_bytes = catalog_bytes(store->catalog);
    lore_status status = catalog_scan(store->catalog, catalog_key_slice(&quarantine), count_record,
                                      &stats->quarantined);
    if (status == LORE_OK)
        status = catalog_scan(store->catalog, catalog_key_slice(&named), count_record,
                              &stats->snapshots_named);
    env_unlock(store->env, store->catalog_mutex);
    return status;
}

lore_status lore_stats_get(lore_store *store, lore_stats *out) {
    TRY(store_check(store, false));
    if (out->struct_size < sizeof(size_t) || out->struct_size > 65536)
        return fail(LORE_INVALID, "lore_stats.struct_size: set it to sizeof(lore_stats)");
    lore_stats stats = {.struct_size = out->struct_size};
    memcpy(stats.store_id, store->segments.identity.store_id, 16);
    memcpy(stats.lineage, store->segments.identity.lineage, 16);
    stats.generation = store->generation;
    stats.read_only = store->options.read_only;
    stats_of_tree(store, &stats);
    stats_of_commits(store, &stats);
    TRY(stats_of_catalog(store, &stats));
    struct log_count logs = {.store = store};
    TRY(store->env->fs->ops->list(store->env->fs, store->dir, count_log, &logs));
    stats.log_files = logs.files;
    stats.log_bytes = logs.bytes;
    TRY(store->env->fs->ops->space(store->env->fs, store->dir, &stats.disk_free_bytes));
    stats.memory_used = atomic_load(&store->budget.used);
    stats.memory_peak = atomic_load(&store->budget.peak);
    stats.memory_budget = store->budget.limit;
    stats.cache_bytes = block_cache_bytes(store->cache);
    stats.files_open = file_pool_open_count(store->files);
    stats.log_bytes_cut = store->log_bytes_cut;
    size_t size = out->struct_size < sizeof stats ? out->struct_size : sizeof stats;
    memcpy(out, &stats, size);
    return LORE_OK;
}

/* ---- notes ---- */

static lore_status note_key(const char *text, struct catalog_key *key) {
    size_t size = text == NULL ? 0 : strlen(text);
    if (size == 0 || size > NOTE_KEY_BYTES_MAX)
        return fail(LORE_INVALID, "a note's key has 1 to %u bytes", NOTE_KEY_BYTES_MAX);
    *key = schema_key_name('K', slice(text, size));
    return LORE_OK;
}

lore_status lore_note_put(lore_store *store, const char *text, lore_slice value) {
    TRY(store_check(store, true));
    struct catalog_key key;
    TRY(note_key(text, &key));
    if (value.size > NOTE_VALUE_BYTES_MAX)
        return fail(LORE_TOO_BIG, "a note has at most %u bytes", NOTE_VALUE_BYTES_MAX);
    return store_catalog_put(store, catalog_key_slice(&key), value);
}

lore_status lore_note_get(lore_store *store, const char *text, lore_buffer *value) {
    value->size = 0;
    TRY(store_check(store, false));
    struct catalog_key key;
    TRY(note_key(text, &key));
    struct bytes content = bytes_empty(&store->query_allocator.base);
    lore_status status = store_catalog_get(store, catalog_key_slice(&key), &content);
    if (status == LORE_OK) status = buffer_set(value, store->env->allocator, bytes_slice(&content));
    if (status == LORE_NOT_FOUND) status = not_found();
    bytes_free(&content);
    return status;
}
