/*
 * create.c - a generation's first files, and a store's. Nothing is visible before CURRENT names it,
 * and CURRENT is written last: a crash anywhere in between leaves an unfinished folder, which the
 * next creation clears away.
 */
#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

lore_status store_create_first_log(const lore_env *env, const struct allocator *allocator,
                                   const char *dir, const lore_options *options,
                                   const struct identity *identity,
                                   const struct facts_record *facts) {
    struct log_header header = {.family = LOG_FAMILY_WAL,
                                .identity = *identity,
                                .number = 1,
                                .first_sequence = facts->last_sequence + 1,
                                .predecessor_sequence = facts->last_sequence,
                                .created_at_us = facts->last_commit_us};
    struct log_writer_config config = {.env = env,
                                       .allocator = allocator,
                                       .group_access = options->group_access,
                                       .preallocate_bytes = options->log_preallocate_bytes};
    char path[PATH_BYTES_MAX];
    TRY(layout_log_path(path, dir, 1));
    struct log_writer *log;
    TRY(log_writer_create(&config, path, &header, &log));
    log_writer_destroy(log);
    return LORE_OK;
}

/* The records that every generation begins with, added to `edit`. */
static lore_status first_records(const struct allocator *allocator,
                                 const struct facts_record *facts, struct catalog_edit *edit) {
    struct counters_record counters = {
        .segment_end = 1, .run_end = 1, .space_end = 1, .quarantine_end = 1};
    struct log_record_state log = {.first_log = 1,
                                   .flushed_sequence = facts->last_sequence,
                                   .row_watermark = facts->row_watermark,
                                   .flushed_time_us = facts->last_commit_us};
    struct bytes value = bytes_empty(allocator);
    struct catalog_key key = schema_key('F');
    lore_status status = facts_record_encode(facts, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(edit, catalog_key_slice(&key), bytes_slice(&value));
    key = schema_key('C');
    if (status == LORE_OK) status = counters_record_encode(&counters, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(edit, catalog_key_slice(&key), bytes_slice(&value));
    key = schema_key('L');
    if (status == LORE_OK) status = log_record_state_encode(&log, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(edit, catalog_key_slice(&key), bytes_slice(&value));
    bytes_free(&value);
    return status;
}

lore_status store_create_generation(const lore_env *env, const struct allocator *allocator,
                                    const char *dir, const lore_options *options,
                                    const struct identity *identity,
                                    const struct facts_record *facts) {
    TRY(store_create_first_log(env, allocator, dir, options, identity, facts));
    struct catalog_config config = {.env = env,
                                    .allocator = allocator,
                                    .dir = dir,
                                    .identity = *identity,
                                    .group_access = options->group_access};
    struct catalog_edit edit;
    catalog_edit_init(&edit, allocator);
    lore_status status = first_records(allocator, facts, &edit);
    if (status == LORE_OK) status = catalog_create(&config, &edit, NULL);
    catalog_edit_deinit(&edit);
    return status;
}

struct sweep {
    const lore_env *env;
    const char *path;
    bool unpublished; /* sweep every generation: there is no CURRENT */
};

static lore_status sweep_entry(void *context, const struct dir_entry *entry) {
    const struct sweep *sweep = context;
    uint64_t generation;
    bool building;
    if (!layout_generation_parse(entry->name, &generation, &building)) return LORE_OK;
    if (!building && !sweep->unpublished) return LORE_OK;
    char dir[PATH_BYTES_MAX];
    TRY(path_join(dir, sweep->path, entry->name));
    return fs_remove_tree(sweep->env, dir);
}

lore_status store_sweep_generations(const lore_env *env, const char *path) {
    struct sweep sweep = {.env = env, .path = path, .unpublished = false};
    return env->fs->ops->list(env->fs, path, sweep_entry, &sweep);
}

struct content_search {
    const lore_env *env;
    char dir[PATH_BYTES_MAX];
    bool found;
};

/* Segments, or a log with more in it than the header that creation writes. */
static lore_status look_for_content(void *context, const struct dir_entry *entry) {
    struct content_search *search = context;
    enum segment_kind kind;
    uint64_t number, size = 0;
    if (segment_file_name_parse(entry->name, &kind, &number)) search->found = true;
    if (!layout_log_parse(entry->name, &number)) return LORE_OK;
    char path[PATH_BYTES_MAX];
    bool is_dir;
    uint32_t mode;
    TRY(path_join(path, search->dir, entry->name));
    TRY(search->env->fs->ops->stat(search->env->fs, path, &size, &is_dir, &mode));
    if (size > LOG_HEADER_BYTES || number > 1) search->found = true;
    return LORE_OK;
}

/* A generation with content but no CURRENT is a damaged store, or a restore that stopped just before
 * its last step; not an unfinished creation. Leave it alone. */
static lore_status refuse_damaged(void *context, const struct dir_entry *entry) {
    const struct sweep *sweep = context;
    uint64_t generation;
    bool building;
    if (!layout_generation_parse(entry->name, &generation, &building) || building) return LORE_OK;
    struct content_search search = {.env = sweep->env};
    TRY(path_join(search.dir, sweep->path, entry->name));
    TRY(sweep->env->fs->ops->list(sweep->env->fs, search.dir, look_for_content, &search));
    if (!search.found) return LORE_OK;
    return fail(LORE_CORRUPTION,
                "%s: CURRENT is missing but %s holds content; nothing was created. Put CURRENT back, "
                "or restore a backup (which leaves %s alone), or salvage what is there",
                sweep->path, entry->name, entry->name);
}

lore_status store_create(const lore_env *env, const struct allocator *allocator, const char *path,
                         const lore_options *options) {
    char dir[PATH_BYTES_MAX];
    TRY(layout_generation_dir(dir, path, 1, false));
    struct sweep sweep = {.env = env, .path = path, .unpublished = true};
    TRY(env->fs->ops->list(env->fs, path, refuse_damaged, &sweep));
    TRY(env->fs->ops->list(env->fs, path, sweep_entry, &sweep));
    struct current current = {.generation = 1};
    struct identity identity;
    TRY(sys_random(env, current.store_id, sizeof current.store_id));
    memcpy(identity.store_id, current.store_id, sizeof current.store_id);
    TRY(sys_random(env, identity.lineage, sizeof identity.lineage));
    struct facts_record facts = {
        .format_version = STORE_FORMAT_VERSION, .generation = 1, .created_at_us = env_now_us(env)};
    TRY(env->fs->ops->make_dir(env->fs, dir, options->group_access));
    TRY(store_create_generation(env, allocator, dir, options, &identity, &facts));
    TRY(env->fs->ops->sync_dir(env->fs, dir));
    TRY(env->fs->ops->sync_dir(env->fs, path));
    return current_replace(env, path, options->group_access, &current);
}
