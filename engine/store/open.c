/*
 * open.c - store_open and store_close: puts the parts of a store together, in the order in which
 * each needs the one before, and takes them apart the other way round.
 */
#include <inttypes.h>
#include <stdio.h>

#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define BUDGET_MIN         (UINT64_C(4) << 20)
#define MEMTABLE_BYTES_MIN (256u << 10)
#define MEMTABLE_BYTES_MAX (16u << 20)
#define TABLE_BYTES_LEAST  (16u << 10) /* that may be asked for; below, a store is all files */
#define TABLE_BYTES_MIN    (4u << 20)  /* by default */
#define TABLE_BYTES_MAX    (32u << 20)
/* The background's stack, the store object, the list of open files. */
#define FIXED_BYTES (192u << 10)

void lore_options_init(lore_options *options) {
    *options = (lore_options){.struct_size = sizeof *options,
                              .memory_budget = UINT64_C(64) << 20,
                              .durability = LORE_SYNC_FULL,
                              .sync_interval_ms = 60000,
                              .lock_timeout_ms = 30000,
                              .files_max = 64,
                              .access_flush_ms = 60000,
                              .block_bytes = 4096,
                              .blob_threshold_bytes = 1024,
                              .log_preallocate_bytes = 1u << 20,
                              .reserve_bytes = 1u << 20,
                              .fan_in = 4,
                              .log_level = LORE_LOG_INFO};
}

/* ---- options ---- */

static lore_status bad_option(const char *name, const char *rule) {
    return fail(LORE_INVALID, "lore_options.%s: %s", name, rule);
}

static lore_status options_check(const lore_options *options) {
    if (options->memory_budget < BUDGET_MIN) return bad_option("memory_budget", "at least 4 MiB");
    if (options->files_max < 16) return bad_option("files_max", "at least 16");
    if (options->block_bytes < 512 || options->block_bytes > 65536)
        return bad_option("block_bytes", "512 to 65536");
    if (options->fan_in < 2 || options->fan_in > 16) return bad_option("fan_in", "2 to 16");
    if (options->blob_threshold_bytes > options->memory_budget / 16)
        return bad_option("blob_threshold_bytes", "at most a sixteenth of memory_budget");
    if (options->memtable_bytes > options->memory_budget / 4)
        return bad_option("memtable_bytes", "at most a quarter of memory_budget");
    if (options->table_bytes_max > 0 && options->table_bytes_max < TABLE_BYTES_LEAST)
        return bad_option("table_bytes_max", "0, or at least 16 KiB");
    if (options->log_preallocate_bytes > 64u << 20)
        return bad_option("log_preallocate_bytes", "at most 64 MiB");
    if ((unsigned)options->durability > LORE_SYNC_NONE)
        return bad_option("durability", "no such mode");
    if ((unsigned)options->background > LORE_BACKGROUND_STEPS)
        return bad_option("background", "no such mode");
    if ((unsigned)options->compression > LORE_COMPRESSION_NONE)
        return bad_option("compression", "no such mode");
    return LORE_OK;
}

/* What the caller's version of the struct does not have stays at its default. */
lore_status store_options_take(const lore_options *given, lore_options *options) {
    lore_options_init(options);
    if (given != NULL) {
        if (given->struct_size < sizeof(size_t) || given->struct_size > 65536)
            return bad_option("struct_size", "call lore_options_init first");
        size_t size = given->struct_size < sizeof *options ? given->struct_size : sizeof *options;
        memcpy(options, given, size);
        options->struct_size = sizeof *options;
    }
    TRY(options_check(options));
    if (options->memtable_bytes == 0) {
        uint64_t bytes = options->memory_budget / 8;
        options->memtable_bytes = bytes < MEMTABLE_BYTES_MAX ? (uint32_t)bytes : MEMTABLE_BYTES_MAX;
    }
    if (options->table_bytes_max == 0) {
        uint64_t bytes = options->memory_budget / 8;
        options->table_bytes_max = bytes < TABLE_BYTES_MIN   ? TABLE_BYTES_MIN
                                   : bytes > TABLE_BYTES_MAX ? TABLE_BYTES_MAX
                                                             : (uint32_t)bytes;
    }
    return LORE_OK;
}

/* ---- the object ---- */

/* A reader has no LMDB. */
static uint64_t fixed_bytes(const lore_options *options) {
    return options->read_only ? FIXED_BYTES : CATALOG_RESERVED_BYTES + FIXED_BYTES;
}

lore_status store_allocate(const lore_options *given, const struct store_hooks *hooks,
                           const char *path, lore_store **out) {
    lore_options options;
    TRY(store_options_take(given, &options));
    const lore_env *env = options.env != NULL ? options.env : env_posix();
    if (strlen(path) == 0 || strlen(path) >= PATH_BYTES_MAX - 64)
        return fail(LORE_INVALID, "a store's path has 1 to %u bytes", PATH_BYTES_MAX - 65);
    void *memory;
    TRY(mem_new(env->allocator, sizeof(lore_store), &memory));
    lore_store *store = memory;
    store->env = env;
    store->options = options;
    store->options.env = env;
    memcpy(store->path, path, strlen(path) + 1);
    store->logger = (struct logger){options.log, options.log_context, options.log_level};
    if (hooks != NULL) store->hooks = *hooks;
    budget_init(&store->budget, options.memory_budget);
    const struct allocator *host = env->allocator;
    charged_allocator_init(&store->fixed_allocator, host, &store->budget, BUDGET_FIXED);
    charged_allocator_init(&store->table_allocator, host, &store->budget, BUDGET_TABLE);
    charged_allocator_init(&store->work_allocator, host, &store->budget, BUDGET_WORK);
    charged_allocator_init(&store->query_allocator, host, &store->budget, BUDGET_QUERY);
    store->named = bytes_empty(&store->fixed_allocator.base);
    lore_status status = budget_take(&store->budget, BUDGET_FIXED, fixed_bytes(&store->options));
    if (status != LORE_OK) {
        mem_put(host, store, sizeof *store);
        return status;
    }
    fork_guard_init(&store->fork_guard, env);
    *out = store;
    return LORE_OK;
}

void store_free(lore_store *store) {
    if (store == NULL) return;
    const lore_env *env = store->env;
    background_stop(store);
    if (store->commit.mutex != NULL || store->commit.log != NULL) commit_state_deinit(store);
    spaces_deinit(store);
    if (store->lsm != NULL) {
        snapshots_unpin_named(store);
        lsm_close(store->lsm);
    }
    catalog_close(store->catalog);
    store->budget.reclaim = NULL;
    if (store->cache != NULL) block_cache_destroy(store->cache);
    if (store->files != NULL) file_pool_destroy(store->files);
    env_mutex_destroy(env, store->catalog_mutex);
    env_mutex_destroy(env, store->background.step_mutex);
    env_mutex_destroy(env, store->background.mutex);
    env_condition_destroy(env, store->background.wake);
    if (store->building && store->lock != NULL) {
        /* Never published: nobody can see it, and the next writer would clear it away. */
        lore_status ignored = fs_remove_tree(env, store->dir);
        (void)ignored;
    }
    if (store->lock != NULL) env->fs->ops->unlock(env->fs, store->lock);
    if (store->hooks.destroy != NULL) store->hooks.destroy(store->hooks.context);
    fork_guard_free(&store->fork_guard, env);
    mem_put(env->allocator, store, sizeof *store);
}

/* ---- putting the parts together ---- */

static lore_status start_caches(lore_store *store) {
    const lore_env *env = store->env;
    TRY(env_mutex_create(env, &store->catalog_mutex));
    TRY(env_mutex_create(env, &store->background.step_mutex));
    TRY(env_mutex_create(env, &store->background.mutex));
    TRY(env_condition_create(env, &store->background.wake));
    TRY(file_pool_create(env, &store->fixed_allocator.base, store->options.files_max,
                         store->options.read_only, &store->files));
    uint64_t fixed = fixed_bytes(&store->options) + 2 * (uint64_t)store->options.memtable_bytes;
    uint64_t share = store->budget.limit > fixed ? (store->budget.limit - fixed) / 4 * 3 : 0;
    TRY(block_cache_create(env, &store->budget, share, &store->cache));
    store->budget.reclaim_context = store->cache;
    store->budget.reclaim = block_cache_reclaim;
    store->segments = (struct segment_context){.env = env,
                                               .table_allocator = &store->table_allocator.base,
                                               .work_allocator = &store->work_allocator.base,
                                               .files = store->files,
                                               .cache = store->cache,
                                               .dir = store->dir,
                                               .group_access = store->options.group_access,
                                               .logger = &store->logger};
    return LORE_OK;
}

static lore_status start_catalog(lore_store *store) {
    struct catalog_config config = {.env = store->env,
                                    .allocator = &store->work_allocator.base,
                                    .logger = &store->logger,
                                    .dir = store->dir,
                                    .group_access = store->options.group_access,
                                    .read_only = store->options.read_only};
    struct catalog_opened opened;
    TRY(catalog_open(&config, &store->catalog, &opened));
    /* A restored generation comes without one. */
    bool expected = strcmp(opened.reason, "there was none") == 0;
    if (opened.rebuilt)
        log_write(&store->logger, expected ? LORE_LOG_INFO : LORE_LOG_WARNING,
                  "%s/catalog.mdb: rebuilt from edits: %s", store->dir, opened.reason);
    store->segments.identity = *catalog_identity(store->catalog);
    struct bytes value = bytes_empty(&store->work_allocator.base);
    struct catalog_key key = schema_key('F');
    lore_status status = catalog_get(store->catalog, catalog_key_slice(&key), &value);
    if (status == LORE_OK)
        status =
            facts_record_decode(bytes_slice(&value), &store->work_allocator.base, &store->facts);
    else if (status == LORE_NOT_FOUND)
        status =
            fail(LORE_CORRUPTION, "%s: the catalog has no record of the store's facts", store->dir);
    bytes_free(&value);
    TRY(status);
    store->sealed = store->facts.sealed;
    if (store->facts.format_version != STORE_FORMAT_VERSION)
        return fail(LORE_UNSUPPORTED, "%s: store format %" PRIu32 ", this library knows format %u",
                    store->dir, store->facts.format_version, STORE_FORMAT_VERSION);
    if (store->facts.generation != store->generation)
        return fail(LORE_CORRUPTION, "%s: its catalog is that of generation %" PRIu64, store->dir,
                    store->facts.generation);
    if (store->sealed && !store->options.read_only)
        return fail(LORE_MISUSE, "%s: this is a backup; open it read-only, or restore it to write",
                    store->path);
    return LORE_OK;
}

lore_status store_start_numbers(lore_store *store, struct log_record_state *state) {
    TRY(store_log_state(store, state));
    store->commit.next_sequence = state->flushed_sequence + 1;
    store->commit.next_row = state->row_watermark;
    store->commit.last_time_us = state->flushed_time_us;
    store->commit.last_mapped_second = -1;
    return LORE_OK;
}

static lore_status start_tree(lore_store *store, uint64_t first_log) {
    struct lsm_config config = {.context = &store->segments,
                                .budget = &store->budget,
                                .catalog = store->catalog,
                                .catalog_mutex = store->catalog_mutex,
                                .memtable_bytes = store->options.memtable_bytes,
                                .table_bytes_max = store->options.table_bytes_max,
                                .block_bytes = store->options.block_bytes,
                                .blob_threshold_bytes = store->options.blob_threshold_bytes,
                                .fan_in = store->options.fan_in,
                                .compression = store->options.compression,
                                .read_only = store->options.read_only,
                                .moments_keyspace = KEYSPACE_TIME,
                                .hooks = store->hooks.tree};
    return lsm_open(&config, first_log, &store->lsm);
}

void store_publish_numbers(lore_store *store) {
    struct commit_state *commit = &store->commit;
    env_lock(store->env, commit->mutex);
    atomic_store(&commit->visible_sequence, commit->next_sequence - 1);
    atomic_store(&commit->visible_row, commit->next_row);
    atomic_store(&commit->visible_time_us, commit->last_time_us);
    env_unlock(store->env, commit->mutex);
}

/* What is in no segment: of a backup nothing, for a reader what its logs promise. */
static lore_status start_reader(lore_store *store, struct reader_hold *hold) {
    struct memtable *memtable;
    if (store->sealed) {
        store->commit.next_sequence = store->facts.last_sequence + 1;
        store->commit.next_row = store->facts.row_watermark;
        store->commit.last_time_us = store->facts.last_commit_us;
        return LORE_OK;
    }
    TRY(reader_read_logs(hold, &memtable));
    return lsm_reload(store->lsm, memtable);
}

static lore_status start_parts(lore_store *store, struct reader_hold *hold) {
    bool read_only = store->options.read_only;
    struct log_record_state state;
    if (read_only) TRY(reader_hold(hold));
    TRY(store_start_numbers(store, &state));
    TRY(spaces_load(store));
    TRY(start_tree(store, state.first_log));
    TRY(snapshots_pin_named(store));
    TRY(read_only ? start_reader(store, hold) : store_recover(store));
    store_publish_numbers(store);
    atomic_store(&store->commit.last_activity_us, env_monotonic_us(store->env));
    if (read_only) return LORE_OK;
    space_restore_reserve(store);
    return background_start(store);
}

lore_status store_start(lore_store *store) {
    TRY(layout_generation_dir(store->dir, store->path, store->generation, store->building));
    TRY(start_caches(store));
    TRY(start_catalog(store));
    TRY(commit_state_init(store));
    struct reader_hold hold;
    reader_hold_init(&hold, store);
    lore_status status = start_parts(store, &hold);
    reader_hold_deinit(&hold);
    return status;
}

/* ---- opening ---- */

static lore_status open_writer(lore_store *store) {
    const lore_env *env = store->env;
    const lore_options *options = &store->options;
    struct current current;
    lore_status status = current_read(env, store->path, &current);
    if (status == LORE_NO_STORE && options->create_if_missing) {
        status = env->fs->ops->make_dir(env->fs, store->path, options->group_access);
        if (status == LORE_OK || status == LORE_EXISTS) {
            /* The folder may be the caller's own, in one that cannot be opened: then it is his. */
            lore_status synced = fs_sync_parent(env, store->path);
            status = status == LORE_EXISTS ? LORE_OK : synced;
        }
    }
    TRY(status);
    TRY(store_lock_take(env, store->path, options->group_access, options->lock_timeout_ms,
                        &store->lock));
    /* Again, now that nobody else can change it. */
    status = current_read(env, store->path, &current);
    if (status == LORE_OK && options->error_if_exists)
        return fail(LORE_EXISTS, "%s: a store is there already", store->path);
    if (status == LORE_NO_STORE && options->create_if_missing) {
        TRY(store_create(env, env->allocator, store->path, options));
        status = current_read(env, store->path, &current);
    }
    TRY(status);
    /* Whoever switched CURRENT may have been killed before he could sync it. */
    TRY(env->fs->ops->sync_dir(env->fs, store->path));
    TRY(store_sweep_generations(env, store->path));
    store->generation = current.generation;
    TRY(store_start(store));
    if (memcmp(current.store_id, store->segments.identity.store_id, 16) != 0)
        return fail(LORE_CORRUPTION, "%s: CURRENT names another store than the one in %s",
                    store->path, store->dir);
    return LORE_OK;
}

static lore_status open_reader(lore_store *store) {
    struct current current;
    TRY(current_read(store->env, store->path, &current));
    store->generation = current.generation;
    TRY(store_start(store));
    if (memcmp(current.store_id, store->segments.identity.store_id, 16) != 0)
        return fail(LORE_CORRUPTION, "%s: CURRENT names another store than the one in %s",
                    store->path, store->dir);
    return LORE_OK;
}

lore_status store_open(const char *path, const lore_options *options,
                       const struct store_hooks *hooks, lore_store **out) {
    *out = NULL;
    for (;;) {
        lore_store *store;
        TRY(store_allocate(options, hooks, path, &store));
        lore_status status = store->options.read_only ? open_reader(store) : open_writer(store);
        if (status == LORE_OK) {
            *out = store;
            return LORE_OK;
        }
        /* Recovery may have to flush: what is opened on a full disk may be about to be deleted. */
        bool again =
            !store->options.read_only && status == LORE_FULL && space_remove_reserve(store);
        /* The hooks' context goes on to the next attempt, or back to the caller. */
        store->hooks.destroy = NULL;
        char why[512]; /* what fails while it is taken apart must not take its place */
        (void)snprintf(why, sizeof why, "%s", lore_error_message());
        store_free(store);
        if (!again) return status == LORE_NOT_FOUND ? status : fail(status, "%s", why);
    }
}

/* What was acknowledged is durable, and the log says that it is whole. Where there is no space to
 * say so, the next opening reads it as after a crash. */
static lore_status close_log(lore_store *store) {
    struct commit_state *commit = &store->commit;
    lore_status status = (lore_status)atomic_load(&commit->poisoned);
    if (status != LORE_OK) return fail(status, "%s", commit->poisoned_message);
    if (!commit->log_closed) status = log_writer_close(commit->log, commit->last_time_us);
    if (status == LORE_FULL) return log_writer_sync(commit->log);
    return status == LORE_OK ? log_chain_note_closed(store) : status;
}

lore_status store_close(lore_store *store) {
    if (store == NULL) return LORE_OK;
    TRY(store_check(store, false));
    uint64_t objects = atomic_load(&store->objects);
    if (objects > 0)
        return fail(LORE_MISUSE, "%s: %" PRIu64 " snapshots, iterators or results are still out",
                    store->path, objects);
    lore_status status = LORE_OK;
    bool writes = !store->options.read_only && store->commit.log != NULL;
    if (writes && store->hooks.closing != NULL && atomic_load(&store->commit.poisoned) == LORE_OK)
        status = store->hooks.closing(store->hooks.context, store);
    /* Nothing that was acknowledged waits for it: access counts, which a crash may lose as well. */
    if (status == LORE_FULL) {
        log_write(&store->logger, LORE_LOG_WARNING, "closing: %s", lore_error_message());
        status = LORE_OK;
    }
    background_stop(store);
    if (writes) {
        commit_lead_begin(store);
        lore_status closed = close_log(store);
        if (status == LORE_OK) status = closed;
        commit_lead_end(store);
    }
    store_free(store);
    return status;
}

/* ---- what the floors above ask ---- */

lore_status store_check(lore_store *store, bool writing) {
    if (store == NULL) return fail(LORE_MISUSE, "the store is NULL");
    if (fork_guard_is_child(&store->fork_guard, store->env))
        return fail(LORE_MISUSE, "%s: opened before fork(), used in the child; open it anew",
                    store->path);
    if (!writing) return LORE_OK;
    if (store->options.read_only) return fail(LORE_MISUSE, "%s: opened read-only", store->path);
    int poisoned = atomic_load(&store->commit.poisoned);
    if (poisoned != LORE_OK)
        return fail((lore_status)poisoned, "%s; close the store and open it again",
                    store->commit.poisoned_message);
    return LORE_OK;
}

void *store_hook_context(lore_store *store) {
    return store->hooks.context;
}
const lore_env *store_env(lore_store *store) {
    return store->env;
}
const lore_options *store_options(lore_store *store) {
    return &store->options;
}
const struct logger *store_logger(lore_store *store) {
    return &store->logger;
}
struct budget *store_budget(lore_store *store) {
    return &store->budget;
}
const struct allocator *store_query_allocator(lore_store *store) {
    return &store->query_allocator.base;
}
const char *store_path(lore_store *store) {
    return store->path;
}
bool store_is_read_only(lore_store *store) {
    return store->options.read_only;
}
struct lsm *store_tree(lore_store *store) {
    return store->lsm;
}
struct catalog *store_catalog(lore_store *store) {
    return store->catalog;
}
struct mutex *store_catalog_mutex(lore_store *store) {
    return store->catalog_mutex;
}
void store_object_opened(lore_store *store) {
    atomic_fetch_add(&store->objects, 1);
}
void store_object_closed(lore_store *store) {
    atomic_fetch_sub(&store->objects, 1);
}

/* ---- the catalog under its mutex ---- */

lore_status store_catalog_put(lore_store *store, lore_slice key, lore_slice value) {
    struct catalog_edit edit;
    catalog_edit_init(&edit, &store->work_allocator.base);
    lore_status status = catalog_edit_put(&edit, key, value);
    env_lock(store->env, store->catalog_mutex);
    if (status == LORE_OK) status = catalog_commit(store->catalog, &edit);
    env_unlock(store->env, store->catalog_mutex);
    catalog_edit_deinit(&edit);
    return status;
}

lore_status store_catalog_get(lore_store *store, lore_slice key, struct bytes *value) {
    env_lock(store->env, store->catalog_mutex);
    lore_status status = catalog_get(store->catalog, key, value);
    env_unlock(store->env, store->catalog_mutex);
    return status;
}

lore_status store_log_state(lore_store *store, struct log_record_state *state) {
    struct bytes value = bytes_empty(&store->work_allocator.base);
    struct catalog_key key = schema_key('L');
    lore_status status = store_catalog_get(store, catalog_key_slice(&key), &value);
    if (status == LORE_OK)
        status = log_record_state_decode(bytes_slice(&value), &store->work_allocator.base, state);
    else if (status == LORE_NOT_FOUND)
        status = fail(LORE_CORRUPTION, "%s: the catalog has no record of the log", store->dir);
    bytes_free(&value);
    return status;
}
