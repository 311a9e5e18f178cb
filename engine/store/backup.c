/*
 * backup.c - lore_backup: the store's segments and a catalog checkpoint in a directory that is
 * itself a store.
 *
 *   to/CURRENT                 names g-000001
 *   to/g-000001/edits-...      the catalog, with the facts record marked as sealed
 *   to/g-000001/....table, ... linked where the file system can, else copied
 *
 * It holds no log (the store is flushed first) and no LMDB file, opens read-only, and is refused
 * for writing. CURRENT is written last: a directory without it is an unfinished backup.
 */
#include <inttypes.h>
#include <stdio.h>

#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define BACKUP_GENERATION 1u
#define COPY_BYTES        (64u << 10)

struct backup {
    lore_store *store;
    const char *to;
    char dir[PATH_BYTES_MAX];
    bool copy_only;
    lore_backup_fn callback;
    lore_progress_fn progress;
    void *context;
    uint64_t done_bytes, total_bytes;
};

static lore_status refuse_entry(void *context, const struct dir_entry *entry) {
    (void)context;
    return fail(LORE_EXISTS, "it holds %s", entry->name);
}

/* Make the directory, or take an empty one. */
static lore_status make_target(const lore_env *env, const char *to, bool group_access) {
    lore_status status = env->fs->ops->make_dir(env->fs, to, group_access);
    if (status == LORE_OK) return fs_sync_parent(env, to);
    if (status != LORE_EXISTS) return status;
    status = env->fs->ops->list(env->fs, to, refuse_entry, NULL);
    if (status == LORE_EXISTS)
        return fail_within(LORE_EXISTS, "%s: a backup goes to a new or empty directory", to);
    return status;
}

static void announce(struct backup *backup, const char *name, uint64_t size, bool linked) {
    if (backup->callback == NULL) return;
    lore_backup_file file = {.path = name, .size = size, .linked = linked};
    backup->callback(backup->context, &file);
}

/* Copy a file that a reader holds, whose name the writer has taken away. */
static lore_status copy_held(struct backup *backup, const char *from, const char *to) {
    lore_store *store = backup->store;
    const struct allocator *allocator = &store->work_allocator.base;
    struct pooled_file *source = NULL;
    struct file *target = NULL;
    void *chunk;
    uint64_t size = 0;
    TRY(mem_get(allocator, COPY_BYTES, &chunk));
    lore_status status = pooled_file_create(store->files, from, &source);
    if (status == LORE_OK) status = pooled_file_size(source, &size);
    if (status == LORE_OK)
        status = fs_open(store->env, to, FILE_CREATE, store->options.group_access, &target);
    for (uint64_t at = 0; status == LORE_OK && at < size; at += COPY_BYTES) {
        size_t part = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
        status = pooled_file_read(source, at, chunk, part);
        if (status == LORE_OK) status = file_write(target, at, chunk, part);
    }
    if (status == LORE_OK) status = file_sync(target);
    file_close(target);
    pooled_file_release(source);
    mem_put(allocator, chunk, COPY_BYTES);
    return status;
}

static lore_status take_segment(struct backup *backup, const struct segment_summary *summary) {
    lore_store *store = backup->store;
    char name[SEGMENT_NAME_BYTES], from[PATH_BYTES_MAX], to[PATH_BYTES_MAX], shown[PATH_BYTES_MAX];
    segment_file_name(name, summary->kind, summary->id);
    TRY(path_join(from, store->dir, name));
    TRY(path_join(to, backup->dir, name));
    lore_status status =
        backup->copy_only ? LORE_UNSUPPORTED : store->env->fs->ops->link(store->env->fs, from, to);
    bool linked = status == LORE_OK;
    if (!linked) status = fs_copy_file(store->env, from, to, store->options.group_access);
    if (status == LORE_NOT_FOUND && store->options.read_only) status = copy_held(backup, from, to);
    if (status == LORE_NOT_FOUND)
        status = fail(LORE_CORRUPTION, "%s: missing; the backup would not be whole", from);
    TRY(status);
    backup->done_bytes += summary->bytes;
    snprintf(shown, sizeof shown, "g-%06u/%s", BACKUP_GENERATION, name);
    announce(backup, shown, summary->bytes, linked);
    lore_progress progress = {"backup", backup->done_bytes, backup->total_bytes};
    if (backup->progress != NULL && !backup->progress(backup->context, &progress))
        return fail(LORE_CANCELLED, "%s: stopped as asked; the directory holds no backup",
                    backup->to);
    return LORE_OK;
}

static lore_status take_segments(struct backup *backup, const struct version *version) {
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned l = 0; l < LEVELS_MAX; l++)
            for (size_t r = 0; r < version->levels[l].count; r++) {
                const struct run *run = &version->levels[l].runs[r];
                for (size_t t = 0; t < run->count; t++) {
                    const struct segment_summary *summary = &run->tables[t].handle->summary;
                    if (pass == 0)
                        backup->total_bytes += summary->bytes;
                    else
                        TRY(take_segment(backup, summary));
                }
            }
        for (size_t i = 0; i < version->values_count; i++) {
            if (pass == 0)
                backup->total_bytes += version->values[i]->summary.bytes;
            else
                TRY(take_segment(backup, &version->values[i]->summary));
        }
    }
    return LORE_OK;
}

/* The sealed facts, and no dropped segments, quarantine or log head: what makes the catalog that of a
 * backup. */
struct backup_changes {
    const struct allocator *allocator;
    struct catalog_edit *edit;
    uint64_t last_sequence;
};

static lore_status leave_out(void *context, lore_slice key, lore_slice value) {
    struct backup_changes *changes = context;
    (void)value;
    return catalog_edit_delete(changes->edit, key);
}

/* A snapshot that was named while the backup began: what it names is in no segment yet. */
static lore_status leave_out_newer(void *context, lore_slice key, lore_slice value) {
    struct backup_changes *changes = context;
    struct named_snapshot_record record;
    TRY(named_snapshot_record_decode(value, changes->allocator, &record));
    return record.sequence > changes->last_sequence ? catalog_edit_delete(changes->edit, key)
                                                    : LORE_OK;
}

static lore_status leave_out_dropped(void *context, lore_slice key, lore_slice value) {
    struct backup_changes *changes = context;
    struct segment_record record;
    TRY(segment_record_decode(value, changes->allocator, &record));
    lore_status status =
        record.state == SEGMENT_DROPPED ? catalog_edit_delete(changes->edit, key) : LORE_OK;
    segment_record_deinit(&record);
    return status;
}

static lore_status export_catalog(struct backup *backup, const struct log_record_state *flushed) {
    lore_store *store = backup->store;
    const struct allocator *allocator = &store->work_allocator.base;
    struct catalog_edit edit;
    catalog_edit_init(&edit, allocator);
    struct backup_changes changes = {allocator, &edit, flushed->flushed_sequence};
    struct facts_record facts = store->facts;
    facts.sealed = true;
    facts.generation = BACKUP_GENERATION;
    facts.last_sequence = flushed->flushed_sequence;
    facts.row_watermark = flushed->row_watermark;
    facts.last_commit_us = flushed->flushed_time_us;
    struct bytes value = bytes_empty(allocator);
    struct catalog_key quarantine = schema_key('Q'), segments = schema_key('S'),
                       fact = schema_key('F'), head = schema_key('H'), named = schema_key('N');
    lore_status status =
        catalog_scan(store->catalog, catalog_key_slice(&quarantine), leave_out, &changes);
    if (status == LORE_OK)
        status =
            catalog_scan(store->catalog, catalog_key_slice(&segments), leave_out_dropped, &changes);
    if (status == LORE_OK)
        status = catalog_scan(store->catalog, catalog_key_slice(&named), leave_out_newer, &changes);
    if (status == LORE_OK) status = catalog_edit_delete(&edit, catalog_key_slice(&head));
    if (status == LORE_OK) status = facts_record_encode(&facts, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(&edit, catalog_key_slice(&fact), bytes_slice(&value));
    if (status == LORE_OK)
        status = catalog_export(store->catalog, backup->dir, &store->segments.identity, &edit);
    bytes_free(&value);
    catalog_edit_deinit(&edit);
    return status;
}

struct edits_search {
    struct backup *backup;
};

static lore_status announce_edits(void *context, const struct dir_entry *entry) {
    struct edits_search *search = context;
    struct backup *backup = search->backup;
    if (strncmp(entry->name, "edits-", 6) != 0) return LORE_OK;
    char path[PATH_BYTES_MAX], shown[PATH_BYTES_MAX];
    TRY(path_join(path, backup->dir, entry->name));
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    struct fs *fs = backup->store->env->fs;
    TRY(fs->ops->stat(fs, path, &size, &is_dir, &mode));
    snprintf(shown, sizeof shown, "g-%06u/%.200s", BACKUP_GENERATION, entry->name);
    announce(backup, shown, size, false);
    return LORE_OK;
}

/* Catalog and version of one moment: no step installs anything while the step mutex is held. */
static lore_status seal_moment(struct backup *backup, struct version **version) {
    lore_store *store = backup->store;
    struct lsm_view view;
    struct log_record_state flushed = {0};
    struct bytes value = bytes_empty(&store->work_allocator.base);
    struct catalog_key key = schema_key('L');
    env_lock(store->env, store->background.step_mutex);
    lsm_view_acquire(store->lsm, &view);
    *version = view.version;
    version_retain(*version);
    lsm_view_release(store->lsm, &view);
    env_lock(store->env, store->catalog_mutex);
    lore_status status = catalog_get(store->catalog, catalog_key_slice(&key), &value);
    if (status == LORE_OK)
        status =
            log_record_state_decode(bytes_slice(&value), &store->work_allocator.base, &flushed);
    if (status == LORE_OK) status = export_catalog(backup, &flushed);
    env_unlock(store->env, store->catalog_mutex);
    env_unlock(store->env, store->background.step_mutex);
    bytes_free(&value);
    return status;
}

static lore_status fill_backup(struct backup *backup) {
    lore_store *store = backup->store;
    const lore_env *env = store->env;
    TRY(layout_generation_dir(backup->dir, backup->to, BACKUP_GENERATION, false));
    TRY(env->fs->ops->make_dir(env->fs, backup->dir, store->options.group_access));
    struct version *version = NULL;
    lore_status status = seal_moment(backup, &version);
    if (status == LORE_OK) status = take_segments(backup, version);
    if (version != NULL) version_release(version);
    TRY(status);
    struct edits_search search = {backup};
    TRY(env->fs->ops->list(env->fs, backup->dir, announce_edits, &search));
    TRY(env->fs->ops->sync_dir(env->fs, backup->dir));
    TRY(env->fs->ops->sync_dir(env->fs, backup->to));
    struct current current = {.generation = BACKUP_GENERATION};
    memcpy(current.store_id, store->segments.identity.store_id, 16);
    TRY(current_replace(env, backup->to, store->options.group_access, &current));
    char path[PATH_BYTES_MAX];
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    TRY(path_join(path, backup->to, "CURRENT"));
    TRY(env->fs->ops->stat(env->fs, path, &size, &is_dir, &mode));
    announce(backup, "CURRENT", size, false);
    return LORE_OK;
}

lore_status lore_backup(lore_store *store, const char *to, unsigned flags, lore_backup_fn callback,
                        lore_progress_fn progress, void *context) {
    TRY(store_check(store, false));
    if ((flags & ~LORE_BACKUP_COPY) != 0)
        return fail(LORE_INVALID, "lore_backup: no such flag: 0x%x", flags);
    if (store->options.read_only && !store->sealed) {
        struct lsm_stats stats;
        lsm_stats_get(store->lsm, &stats);
        if (stats.memtable_bytes > 0 && lsm_active_bytes(store->lsm) > 0)
            return fail(
                LORE_MISUSE,
                "%s: opened read-only, and its log is not flushed; back it up through the writer",
                store->path);
    } else if (!store->options.read_only) {
        TRY(lore_flush(store));
    }
    struct backup backup = {.store = store,
                            .to = to,
                            .copy_only = (flags & LORE_BACKUP_COPY) != 0,
                            .callback = callback,
                            .progress = progress,
                            .context = context};
    TRY(make_target(store->env, to, store->options.group_access));
    lore_status status = fill_backup(&backup);
    if (status != LORE_OK && backup.dir[0] != '\0') {
        char text[400];
        snprintf(text, sizeof text, "%.399s", lore_error_message());
        lore_status ignored = fs_remove_tree(store->env, backup.dir);
        (void)ignored;
        status = fail(status, "%s", text);
    }
    return status;
}
