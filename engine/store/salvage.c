/*
 * salvage.c - the parts of a salvage in order: the source's files, its catalog, its segments, a
 * scratch store of what checks, its logs into that. salvage.h says what for.
 */
#include "store/salvage.h"

#include <inttypes.h>
#include <stdio.h>

#include "store/salvage_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define BUDGET_LEAST (UINT64_C(4) << 20)
/* Hashed in search of single bytes that were changed: less than a second. */
#define MEND_WORK_BYTES (UINT64_C(2) << 30)

void lore_salvage_calls_init(lore_salvage_calls *calls) {
    *calls = (lore_salvage_calls){.struct_size = sizeof *calls};
}

/* ---- telling ---- */

const char *store_salvage_text(const struct store_salvage *s) {
    const char *text = lore_error_message();
    const char *const folders[] = {s->old, s->dir};
    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(folders[i]);
        if (size > 0 && strncmp(text, folders[i], size) == 0 && text[size] == '/')
            return text + size + 1;
    }
    return text;
}

void store_salvage_lose(struct store_salvage *s, const lore_loss *loss) {
    if (!loss->harmless) s->report->losses++;
    if (s->calls->loss != NULL) s->calls->loss(s->calls->context, loss);
}

void salvage_lose_file(struct store_salvage *s, const char *kind, const char *name, uint64_t offset,
                       bool harmless, const char *message) {
    char file[128];
    snprintf(file, sizeof file, "%.24s/%.96s", s->generation, name);
    lore_loss loss = {
        .kind = kind, .file = file, .offset = offset, .harmless = harmless, .message = message};
    store_salvage_lose(s, &loss);
}

void salvage_doubt_all(struct store_salvage *s, uint64_t sequence, const char *reason) {
    if (sequence <= s->all_sequence) return;
    s->all_sequence = sequence;
    snprintf(s->all_reason, sizeof s->all_reason, "%.199s", reason);
}

const char *store_salvage_doubt(const struct store_salvage *s, lore_slice key, uint64_t sequence) {
    if (sequence < s->all_sequence) return s->all_reason;
    for (size_t i = 0; i < s->hurt_count; i++) {
        const struct hurt_range *range = &s->hurt[i];
        if (sequence < range->last_sequence &&
            slice_compare(bytes_slice(&range->first), key) <= 0 &&
            slice_compare(key, bytes_slice(&range->last)) <= 0)
            return range->reason;
    }
    return NULL;
}

lore_status salvage_progress(struct store_salvage *s, const char *stage, uint64_t done) {
    lore_progress progress = {stage, done, 0};
    if (s->calls->progress == NULL || s->calls->progress(s->calls->context, &progress))
        return LORE_OK;
    return fail(LORE_CANCELLED, "%s: salvage stopped as asked", s->path);
}

/* ---- the catalog ---- */

static lore_status tell_snapshot(void *context, lore_slice key, lore_slice value) {
    struct store_salvage *s = context;
    (void)value;
    lore_loss loss = {.kind = "snapshot",
                      .offset = UINT64_MAX,
                      .id = slice((const uint8_t *)key.data + 1, key.size - 1),
                      .message = "a named snapshot is not carried over"};
    store_salvage_lose(s, &loss);
    return LORE_OK;
}

/* The records that the scratch store must not have. */
static lore_status leave_out(void *context, lore_slice key, lore_slice value) {
    (void)value;
    return catalog_edit_delete(context, key);
}

static lore_status clear_records(struct store_salvage *s) {
    static const char tags[] = {'J', 'H', 'N', 'Q', 'K'};
    struct catalog_key snapshots = schema_key('N');
    TRY(catalog_scan(s->catalog, catalog_key_slice(&snapshots), tell_snapshot, s));
    struct catalog_edit edit;
    catalog_edit_init(&edit, &s->work.base);
    lore_status status = LORE_OK;
    for (size_t i = 0; i < sizeof tags && status == LORE_OK; i++) {
        struct catalog_key key = schema_key(tags[i]);
        status = catalog_scan(s->catalog, catalog_key_slice(&key), leave_out, &edit);
    }
    if (status == LORE_OK) status = catalog_hurt_apply(s->catalog, &edit);
    catalog_edit_deinit(&edit);
    return status;
}

/* A record by its tag alone, decoded; what cannot be read stays as it was. */
#define READ_RECORD(s, tag, type, out)                                                             \
    do {                                                                                           \
        struct catalog_key key_ = schema_key(tag);                                                 \
        struct bytes value_ = bytes_empty(&(s)->work.base);                                        \
        lore_status read_ = catalog_get((s)->catalog, catalog_key_slice(&key_), &value_);          \
        if (read_ == LORE_OK) read_ = type##_decode(bytes_slice(&value_), &(s)->work.base, (out)); \
        bytes_free(&value_);                                                                       \
        if (read_ != LORE_OK && read_ != LORE_NOT_FOUND && read_ != LORE_CORRUPTION) return read_; \
    } while (0)

#define PUT_RECORD(s, tag, type, in, edit)                                                         \
    do {                                                                                           \
        struct catalog_key key_ = schema_key(tag);                                                 \
        struct bytes value_ = bytes_empty(&(s)->work.base);                                        \
        lore_status put_ = type##_encode((in), &value_);                                           \
        if (put_ == LORE_OK)                                                                       \
            put_ = catalog_edit_put((edit), catalog_key_slice(&key_), bytes_slice(&value_));       \
        bytes_free(&value_);                                                                       \
        if (put_ != LORE_OK) return put_;                                                          \
    } while (0)

static lore_status read_catalog(struct store_salvage *s, bool *in_doubt) {
    static const char *const sources[] = {
        [CATALOG_WHOLE] = "",
        [CATALOG_FROM_MAP] = "edits cannot be used; LMDB's copy of the catalog is taken: ",
        [CATALOG_PREFIX] = "the end of the catalog is lost: ",
        [CATALOG_NONE] = "the catalog is lost; the files describe themselves: "};
    struct catalog_config config = {.env = s->env,
                                    .allocator = &s->work.base,
                                    .dir = s->old,
                                    .group_access = s->options.group_access,
                                    .read_only = true};
    enum catalog_found found;
    char reason[256], message[400];
    TRY(catalog_open_hurt(&config, &s->catalog, &found, reason));
    *in_doubt = found == CATALOG_PREFIX || found == CATALOG_NONE;
    if (found != CATALOG_WHOLE) {
        size_t old = strlen(s->old);
        const char *shown =
            strncmp(reason, s->old, old) == 0 && reason[old] == '/' ? reason + old + 1 : reason;
        snprintf(message, sizeof message, "%s%s", sources[found], shown);
        salvage_lose_file(s, *in_doubt ? "catalog" : "edits", "edits", UINT64_MAX, !*in_doubt,
                          message);
    }
    if (*in_doubt) salvage_doubt_all(s, UINT64_MAX, sources[found]);
    s->into.identity = *catalog_identity(s->catalog);
    struct facts_record facts = {0};
    READ_RECORD(s, 'F', facts_record, &facts);
    READ_RECORD(s, 'L', log_record_state, &s->log);
    READ_RECORD(s, 'H', log_head_record, &s->head);
    s->sealed = facts.sealed;
    if (s->sealed) s->log.flushed_sequence = facts.last_sequence;
    return clear_records(s);
}

static lore_status change_catalog(struct store_salvage *s, const struct facts_record *facts,
                                  struct catalog_edit *edit) {
    struct log_record_state log = s->log;
    struct counters_record counters = {
        .segment_end = 1, .run_end = 1, .space_end = 1, .quarantine_end = 1};
    READ_RECORD(s, 'C', counters_record, &counters);
    if (counters.segment_end < s->segment_end) counters.segment_end = s->segment_end;
    if (counters.run_end <= s->runs) counters.run_end = s->runs + 1;
    log.first_log = 1;
    PUT_RECORD(s, 'F', facts_record, facts, edit);
    PUT_RECORD(s, 'C', counters_record, &counters, edit);
    PUT_RECORD(s, 'L', log_record_state, &log, edit);
    TRY(catalog_hurt_apply(s->catalog, edit));
    return catalog_export(s->catalog, s->dir, &s->into.identity, NULL);
}

/* ---- the scratch store ---- */

/* Everything of a store but its logs. */
static lore_status make_scratch(struct store_salvage *s) {
    struct facts_record facts = {.format_version = STORE_FORMAT_VERSION,
                                 .generation = 1,
                                 .row_watermark = s->log.row_watermark,
                                 .last_sequence = s->log.flushed_sequence,
                                 .last_commit_us = s->log.flushed_time_us};
    struct current current = {.generation = 1};
    struct catalog_edit edit;
    catalog_edit_init(&edit, &s->work.base);
    lore_status status = change_catalog(s, &facts, &edit);
    catalog_edit_deinit(&edit);
    TRY(status);
    TRY(store_create_first_log(s->env, &s->work.base, s->dir, &s->options, &s->into.identity,
                               &facts));
    memcpy(current.store_id, s->into.identity.store_id, 16);
    return current_replace(s->env, s->scratch, s->options.group_access, &current);
}

static lore_status look_at_files(struct store_salvage *s) {
    const struct allocator *allocator = &s->work.base;
    TRY(salvage_gather(s));
    TRY(file_pool_create(s->env, s->env->allocator, s->options.files_max, false, &s->from.files));
    s->from.env = s->env;
    s->from.table_allocator = s->from.work_allocator = allocator;
    s->from.group_access = s->options.group_access;
    s->from.mender = &s->mender;
    s->mender.work_left = MEND_WORK_BYTES;
    s->into = s->from;
    s->from.dir = s->old;
    s->into.dir = s->dir;
    bool in_doubt = false, log_there = true;
    TRY(read_catalog(s, &in_doubt));
    if (!s->sealed && !in_doubt) {
        char path[PATH_BYTES_MAX];
        uint64_t size;
        bool is_dir;
        uint32_t mode;
        TRY(layout_log_path(path, s->old, s->log.first_log));
        log_there = s->env->fs->ops->stat(s->env->fs, path, &size, &is_dir, &mode) == LORE_OK;
    }
    TRY(salvage_segments(s, in_doubt || !log_there));
    return make_scratch(s);
}

static void end_look(struct store_salvage *s) {
    catalog_close(s->catalog);
    s->catalog = NULL;
    if (s->from.files != NULL) file_pool_destroy(s->from.files);
    s->from.files = NULL;
}

static lore_status open_scratch(struct store_salvage *s) {
    TRY(store_open(s->scratch, &s->options, NULL, &s->store));
    s->store->segments.mender = &s->mender;
    if (s->sealed) return LORE_OK;
    TRY(salvage_logs(s));
    struct commit_state *commit = &s->store->commit;
    env_lock(s->env, commit->mutex);
    atomic_store(&commit->visible_sequence, commit->next_sequence - 1);
    atomic_store(&commit->visible_row, commit->next_row);
    atomic_store(&commit->visible_time_us, commit->last_time_us);
    env_unlock(s->env, commit->mutex);
    return LORE_OK;
}

/* ---- beginning and end ---- */

/* The lock is taken where it can be, so that no writer begins meanwhile; not on read-only media. */
static lore_status lock_source(struct store_salvage *s) {
    char path[PATH_BYTES_MAX];
    bool locked = false;
    TRY(path_join(path, s->path, "LOCK"));
    lore_status status = s->env->fs->ops->is_locked(s->env->fs, path, &locked);
    if (status == LORE_NOT_FOUND) return LORE_OK;
    if (!locked) {
        status = s->env->fs->ops->lock(s->env->fs, path, s->options.group_access, &s->lock);
        if (status != LORE_LOCKED) return LORE_OK;
    }
    return fail(LORE_LOCKED, "%s: a writer has the store open; close it first", path);
}

/* A folder that a salvage left when it crashed has old/ in it. */
static lore_status sweep_scratch(const struct store_salvage *s, const char *scratch) {
    struct fs *fs = s->env->fs;
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    lore_status status = fs->ops->stat(fs, scratch, &size, &is_dir, &mode);
    if (status == LORE_NOT_FOUND) return LORE_OK;
    if (status == LORE_OK) status = fs->ops->stat(fs, s->old, &size, &is_dir, &mode);
    if (status == LORE_NOT_FOUND)
        return fail(LORE_EXISTS, "%s: is in the way, and no salvage made it", scratch);
    return status == LORE_OK ? fs_remove_tree(s->env, scratch) : status;
}

static lore_status begin(struct store_salvage *s, const char *to) {
    struct fs *fs = s->env->fs;
    bool group = s->options.group_access;
    char scratch[PATH_BYTES_MAX];
    int size = snprintf(scratch, sizeof scratch, "%s.salvage", to);
    if (size < 0 || size >= PATH_BYTES_MAX - 64)
        return fail(LORE_INVALID, "%s: too long a path", to);
    TRY(path_join(s->old, scratch, "old"));
    TRY(layout_generation_dir(s->dir, scratch, 1, false));
    TRY(lock_source(s));
    TRY(sweep_scratch(s, scratch));
    memcpy(s->scratch, scratch, sizeof scratch);
    TRY(fs->ops->make_dir(fs, s->scratch, group));
    TRY(fs->ops->make_dir(fs, s->old, group));
    return fs->ops->make_dir(fs, s->dir, group);
}

static lore_status take_options(struct store_salvage *s, const lore_options *given) {
    lore_options options;
    TRY(store_options_take(given, &options));
    lore_options_init(&s->options);
    s->options.memory_budget = options.memory_budget / 2;
    if (s->options.memory_budget < BUDGET_LEAST) s->options.memory_budget = BUDGET_LEAST;
    s->options.background = LORE_BACKGROUND_STEPS;
    s->options.durability = LORE_SYNC_NONE;
    s->options.reserve_bytes = 0;
    s->options.files_max = options.files_max;
    s->options.group_access = options.group_access;
    s->options.log = options.log;
    s->options.log_context = options.log_context;
    s->options.log_level = options.log_level;
    s->options.env = s->env = options.env != NULL ? options.env : env_posix();
    return LORE_OK;
}

lore_status store_salvage_open(const char *path, const char *to, const lore_options *options,
                               const lore_salvage_calls *calls, lore_salvage_report *report,
                               struct store_salvage **out) {
    *out = NULL;
    void *memory;
    const lore_env *env = options != NULL && options->env != NULL ? options->env : env_posix();
    TRY(mem_new(env->allocator, sizeof(struct store_salvage), &memory));
    struct store_salvage *s = memory;
    s->env = env;
    s->path = path;
    s->calls = calls;
    s->report = report;
    lore_status status = take_options(s, options);
    budget_init(&s->budget, s->options.memory_budget);
    charged_allocator_init(&s->work, env->allocator, &s->budget, BUDGET_WORK);
    if (status == LORE_OK) status = begin(s, to);
    if (status == LORE_OK) status = look_at_files(s);
    end_look(s);
    if (status == LORE_OK) status = open_scratch(s);
    if (status != LORE_OK) {
        char text[512];
        snprintf(text, sizeof text, "%s", lore_error_message());
        store_salvage_close(s);
        return fail(status, "%s", text);
    }
    *out = s;
    return LORE_OK;
}

void store_salvage_close(struct store_salvage *s) {
    if (s == NULL) return;
    lore_status ignored = store_close(s->store);
    if (s->scratch[0] != '\0') ignored = fs_remove_tree(s->env, s->scratch);
    (void)ignored;
    for (size_t i = 0; i < s->hurt_count; i++) {
        bytes_free(&s->hurt[i].first);
        bytes_free(&s->hurt[i].last);
    }
    mem_put(s->env->allocator, s->hurt, s->hurt_capacity * sizeof *s->hurt);
    if (s->lock != NULL) s->env->fs->ops->unlock(s->env->fs, s->lock);
    mem_put(s->env->allocator, s, sizeof *s);
}

lore_store *store_salvage_store(struct store_salvage *s) {
    return s->store;
}
