/*
 * restore.c - a store's next generation: from a backup (lore_restore) or filled by the caller
 * (lore_generation_begin, _publish).
 *
 *   1. the writer's lock; CURRENT says which generation is live, or that there is none yet, or it
 * is damaged: then with `replace` a new one is put in its place
 *   2. g-N.building, N one above every generation there: files copied, each checked while it is
 * copied, catalog under a new lineage, first log; all synced
 *   3. g-N.building renamed to g-N, the directory synced
 *   4. CURRENT replaced: the one atomic step
 *
 * A crash before 4 leaves the old generation live and a folder that the next writer clears away
 * (g-N.building) or that the next restore steps over (g-N). The old generation is never touched: it
 * is the safety snapshot.
 */
#include <inttypes.h>
#include <stdio.h>

#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define COPY_BYTES (64u << 10)

struct restore {
    const lore_env *env;
    const struct allocator *allocator;
    lore_options options;
    const char *path;
    struct file_lock *lock;
    bool exists;              /* a store was there */
    struct current current;   /* what CURRENT will say */
    char dir[PATH_BYTES_MAX]; /* g-N.building */
    lore_progress_fn progress;
    void *context;
    uint64_t done_bytes, total_bytes;
};

/* ---- the next generation's place ---- */

static lore_status note_generation(void *context, const struct dir_entry *entry) {
    uint64_t *highest = context, generation;
    bool building;
    if (layout_generation_parse(entry->name, &generation, &building) && !building &&
        generation > *highest)
        *highest = generation;
    return LORE_OK;
}

/* Lock, look, and make the folder. On failure nothing is held. */
static lore_status begin(struct restore *restore, bool replace) {
    const lore_env *env = restore->env;
    bool group = restore->options.group_access;
    lore_status status = env->fs->ops->make_dir(env->fs, restore->path, group);
    if (status == LORE_OK) status = fs_sync_parent(env, restore->path);
    if (status != LORE_OK && status != LORE_EXISTS) return status;
    TRY(store_lock_take(env, restore->path, group, restore->options.lock_timeout_ms,
                        &restore->lock));
    status = current_read(env, restore->path, &restore->current);
    /* One whose CURRENT is damaged has no store id to go on with. */
    bool is_damaged = status == LORE_CORRUPTION && replace;
    restore->exists = status == LORE_OK;
    if (status == LORE_NO_STORE || is_damaged) status = LORE_OK;
    if (status == LORE_OK && restore->exists && !replace)
        status =
            fail(LORE_EXISTS, "%s: a store is there already; nothing was changed", restore->path);
    uint64_t highest = 0;
    if (status == LORE_OK) status = store_sweep_generations(env, restore->path);
    if (status == LORE_OK)
        status = env->fs->ops->list(env->fs, restore->path, note_generation, &highest);
    restore->current.generation = highest + 1;
    if (status == LORE_OK)
        status = layout_generation_dir(restore->dir, restore->path, highest + 1, true);
    if (status == LORE_OK) status = env->fs->ops->make_dir(env->fs, restore->dir, group);
    if (status != LORE_OK) {
        env->fs->ops->unlock(env->fs, restore->lock);
        restore->lock = NULL;
    }
    return status;
}

/* Steps 3 and 4. */
static lore_status publish(const lore_env *env, const char *path, bool group_access,
                           const struct current *current) {
    char building[PATH_BYTES_MAX], dir[PATH_BYTES_MAX];
    TRY(layout_generation_dir(building, path, current->generation, true));
    TRY(layout_generation_dir(dir, path, current->generation, false));
    TRY(env->fs->ops->sync_dir(env->fs, building));
    TRY(fs_rename(env, building, dir));
    TRY(env->fs->ops->sync_dir(env->fs, path));
    return current_replace(env, path, group_access, current);
}

static void abandon(struct restore *restore) {
    lore_status ignored = fs_remove_tree(restore->env, restore->dir);
    (void)ignored;
}

/* ---- from a backup ---- */

/* Copy, with the digest of what was read compared to the catalog's. */
static lore_status copy_checked(struct restore *restore, const char *from, const char *to,
                                const struct segment_summary *summary) {
    const lore_env *env = restore->env;
    void *buffer;
    TRY(mem_get(restore->allocator, COPY_BYTES, &buffer));
    struct file *source = NULL, *target = NULL;
    struct digest_stream stream;
    digest_stream_init(&stream);
    lore_status status = fs_open(env, from, FILE_READ, false, &source);
    if (status == LORE_NOT_FOUND)
        status = fail(LORE_CORRUPTION, "%s: missing from the backup", from);
    if (status == LORE_OK)
        status = fs_open(env, to, FILE_CREATE, restore->options.group_access, &target);
    uint64_t offset = 0;
    for (size_t got = COPY_BYTES; status == LORE_OK && got == COPY_BYTES; offset += got) {
        got = 0;
        status = file_read(source, offset, buffer, COPY_BYTES, &got);
        digest_stream_add(&stream, buffer, got);
        if (status == LORE_OK && got > 0) status = file_write(target, offset, buffer, got);
        lore_progress progress = {"restore", restore->done_bytes + offset, restore->total_bytes};
        if (status == LORE_OK && restore->progress != NULL &&
            !restore->progress(restore->context, &progress))
            status =
                fail(LORE_CANCELLED, "%s: stopped as asked; nothing was changed", restore->path);
    }
    if (status == LORE_OK) status = file_sync(target);
    file_close(source);
    file_close(target);
    mem_put(restore->allocator, buffer, COPY_BYTES);
    TRY(status);
    struct digest128 digest = digest_stream_end(&stream);
    if (offset != summary->bytes || memcmp(&digest, &summary->digest, sizeof digest) != 0)
        return fail(LORE_CORRUPTION,
                    "%s: its digest is not the one in the catalog; nothing was changed", from);
    restore->done_bytes += summary->bytes;
    return LORE_OK;
}

struct segment_walk {
    struct restore *restore;
    const char *from; /* the backup's generation folder */
    bool counting;
};

static lore_status restore_segment(void *context, lore_slice key, lore_slice value) {
    struct segment_walk *walk = context;
    (void)key;
    struct segment_record record;
    TRY(segment_record_decode(value, walk->restore->allocator, &record));
    lore_status status = LORE_OK;
    if (walk->counting) {
        walk->restore->total_bytes += record.summary.bytes;
    } else if (record.state == SEGMENT_LIVE) {
        char name[SEGMENT_NAME_BYTES], from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
        segment_file_name(name, record.summary.kind, record.summary.id);
        status = path_join(from, walk->from, name);
        if (status == LORE_OK) status = path_join(to, walk->restore->dir, name);
        if (status == LORE_OK) status = copy_checked(walk->restore, from, to, &record.summary);
    }
    segment_record_deinit(&record);
    return status;
}

/* The restored catalog: facts of a live generation, a log state that begins at log 1. */
static lore_status restored_records(struct restore *restore, struct facts_record *facts,
                                    const struct identity *parent, struct catalog_edit *edit) {
    struct bytes value = bytes_empty(restore->allocator);
    struct catalog_key key = schema_key('F');
    memcpy(facts->parent_lineage, parent->lineage, 16);
    facts->parent_sequence = facts->last_sequence;
    facts->sealed = false;
    facts->generation = restore->current.generation;
    facts->created_at_us = env_now_us(restore->env);
    struct log_record_state log = {.first_log = 1,
                                   .flushed_sequence = facts->last_sequence,
                                   .row_watermark = facts->row_watermark,
                                   .flushed_time_us = facts->last_commit_us};
    lore_status status = facts_record_encode(facts, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(edit, catalog_key_slice(&key), bytes_slice(&value));
    key = schema_key('L');
    if (status == LORE_OK) status = log_record_state_encode(&log, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(edit, catalog_key_slice(&key), bytes_slice(&value));
    bytes_free(&value);
    return status;
}

static lore_status first_log(struct restore *restore, const struct identity *identity,
                             const struct facts_record *facts) {
    struct log_header header = {.family = LOG_FAMILY_WAL,
                                .identity = *identity,
                                .number = 1,
                                .predecessor_sequence = facts->last_sequence,
                                .first_sequence = facts->last_sequence + 1,
                                .created_at_us = facts->last_commit_us};
    struct log_writer_config config = {.env = restore->env,
                                       .allocator = restore->allocator,
                                       .group_access = restore->options.group_access,
                                       .preallocate_bytes = restore->options.log_preallocate_bytes};
    char path[PATH_BYTES_MAX];
    TRY(layout_log_path(path, restore->dir, 1));
    struct log_writer *log;
    TRY(log_writer_create(&config, path, &header, &log));
    log_writer_destroy(log);
    return LORE_OK;
}

static lore_status read_facts(struct restore *restore, struct catalog *backup,
                              struct facts_record *facts) {
    struct bytes value = bytes_empty(restore->allocator);
    struct catalog_key key = schema_key('F');
    lore_status status = catalog_get(backup, catalog_key_slice(&key), &value);
    if (status == LORE_OK)
        status = facts_record_decode(bytes_slice(&value), restore->allocator, facts);
    bytes_free(&value);
    if (status == LORE_OK && !facts->sealed)
        status = fail(LORE_INVALID,
                      "this is a live store, not a backup; make one with lore_backup first");
    return status;
}

static lore_status build_from_backup(struct restore *restore, const char *from) {
    struct current source;
    char dir[PATH_BYTES_MAX];
    TRY(current_read(restore->env, from, &source));
    TRY(layout_generation_dir(dir, from, source.generation, false));
    struct catalog_config config = {
        .env = restore->env, .allocator = restore->allocator, .dir = dir, .read_only = true};
    struct catalog *backup;
    struct catalog_opened opened;
    TRY(catalog_open(&config, &backup, &opened));
    struct facts_record facts;
    struct catalog_edit edit;
    catalog_edit_init(&edit, restore->allocator);
    struct identity identity = *catalog_identity(backup), parent = identity;
    struct catalog_key segments = schema_key('S');
    struct segment_walk walk = {restore, dir, true};
    lore_status status = read_facts(restore, backup, &facts);
    if (status == LORE_OK) status = sys_random(restore->env, identity.lineage, 16);
    if (status == LORE_OK)
        status = catalog_scan(backup, catalog_key_slice(&segments), restore_segment, &walk);
    walk.counting = false;
    if (status == LORE_OK)
        status = catalog_scan(backup, catalog_key_slice(&segments), restore_segment, &walk);
    if (status == LORE_OK) status = restored_records(restore, &facts, &parent, &edit);
    if (status == LORE_OK) status = first_log(restore, &identity, &facts);
    if (status == LORE_OK) status = catalog_export(backup, restore->dir, &identity, &edit);
    memcpy(restore->current.store_id, identity.store_id, 16);
    catalog_edit_deinit(&edit);
    catalog_close(backup);
    return status;
}

/* ---- the public calls ---- */

static lore_status restore_init(struct restore *restore, const char *path,
                                const lore_options *options) {
    *restore = (struct restore){.path = path};
    TRY(store_options_take(options, &restore->options));
    restore->env = restore->options.env != NULL ? restore->options.env : env_posix();
    restore->allocator = restore->env->allocator;
    return LORE_OK;
}

lore_status lore_restore(const char *path, const char *from, bool replace,
                         const lore_options *options, lore_progress_fn progress, void *context) {
    struct restore restore;
    TRY(restore_init(&restore, path, options));
    restore.progress = progress;
    restore.context = context;
    TRY(begin(&restore, replace));
    lore_status status = build_from_backup(&restore, from);
    if (status == LORE_OK)
        status = publish(restore.env, path, restore.options.group_access, &restore.current);
    if (status != LORE_OK) abandon(&restore);
    restore.env->fs->ops->unlock(restore.env->fs, restore.lock);
    return status;
}

/* An empty generation, opened as a store. The lock passes to it. */
lore_status store_generation_begin(const char *path, bool replace, const lore_options *options,
                                   const struct store_hooks *hooks, lore_store **out) {
    *out = NULL;
    struct restore restore;
    TRY(restore_init(&restore, path, options));
    TRY(begin(&restore, replace));
    struct identity identity;
    struct facts_record facts = {.format_version = STORE_FORMAT_VERSION,
                                 .generation = restore.current.generation,
                                 .created_at_us = env_now_us(restore.env)};
    lore_store *store = NULL;
    lore_status status = LORE_OK;
    if (!restore.exists) status = sys_random(restore.env, restore.current.store_id, 16);
    memcpy(identity.store_id, restore.current.store_id, 16);
    if (status == LORE_OK) status = sys_random(restore.env, identity.lineage, 16);
    if (status == LORE_OK)
        status = store_create_generation(restore.env, restore.allocator, restore.dir,
                                         &restore.options, &identity, &facts);
    if (status == LORE_OK) status = store_allocate(options, hooks, path, &store);
    if (status == LORE_OK) {
        store->generation = restore.current.generation;
        store->building = true;
        store->lock = restore.lock;
        restore.lock = NULL;
        status = store_start(store);
    }
    if (status == LORE_OK) {
        *out = store;
        return LORE_OK;
    }
    if (store != NULL) {
        restore.lock = store->lock;
        store->lock = NULL;
        store->hooks.destroy = NULL;
        store_free(store);
    }
    abandon(&restore);
    restore.env->fs->ops->unlock(restore.env->fs, restore.lock);
    return status;
}

lore_status lore_generation_publish(lore_store *store) {
    TRY(store_check(store, true));
    if (!store->building)
        return fail(LORE_MISUSE, "%s: this handle is not one of lore_generation_begin",
                    store->path);
    const lore_env *env = store->env;
    struct current current = {.generation = store->generation};
    memcpy(current.store_id, store->segments.identity.store_id, 16);
    char path[PATH_BYTES_MAX];
    memcpy(path, store->path, sizeof path);
    bool group_access = store->options.group_access;
    /* The lock outlives the handle: nobody may come between closing and switching. */
    struct file_lock *lock = store->lock;
    store->lock = NULL;
    store->building = false;
    uint64_t objects = atomic_load(&store->objects);
    lore_status status = store_close(store);
    if (status == LORE_MISUSE && objects > 0) {
        store->lock = lock;
        store->building = true;
        return status;
    }
    if (status == LORE_OK) status = publish(env, path, group_access, &current);
    env->fs->ops->unlock(env->fs, lock);
    return status;
}
