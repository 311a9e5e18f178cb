/*
 * verify.c - store_verify: every file of the generation, read whole and checked against what its
 * parent says of it. Works beside a live writer: files are those of one version, which is held
 * meanwhile; a log's torn end is a write under way, not a fault.
 *
 * Goes on after a fault, so that one run names all of them. The checks of indexes against memories
 * stand above, in memory/check.c.
 */
#include <inttypes.h>
#include <stdio.h>

#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define TRIES_MAX 16u

struct verification {
    lore_store *store;
    lore_finding_fn finding;
    lore_progress_fn progress;
    void *context;
    lore_verify_report *report;
    struct version *version;
    const char *file; /* being checked, for findings */
    const char *kind;
    uint64_t total_bytes;
    uint64_t done_bytes; /* of files checked before this one */
    uint64_t faults;
    bool cancelled;
};

static void report_finding(struct verification *v, lore_status status, const char *kind,
                           const char *file, uint64_t offset, lore_slice first_key,
                           lore_slice last_key, const char *message) {
    if (status == LORE_OK)
        v->report->warnings++;
    else
        v->report->findings++, v->faults++;
    lore_finding finding = {.status = status,
                            .kind = kind,
                            .file = file,
                            .offset = offset,
                            .first_key = first_key,
                            .last_key = last_key,
                            .message = message};
    if (v->finding != NULL) v->finding(v->context, &finding);
}

static void fault(struct verification *v, const char *kind, const char *file, uint64_t offset,
                  const char *message) {
    report_finding(v, LORE_CORRUPTION, kind, file, offset, slice(NULL, 0), slice(NULL, 0), message);
}

static void warn(struct verification *v, const char *file, const char *message) {
    report_finding(v, LORE_OK, "file", file, UINT64_MAX, slice(NULL, 0), slice(NULL, 0), message);
}

/* "g-000001/name", as findings name files. */
static void relative_name(const lore_store *store, const char *name, char out[PATH_BYTES_MAX]) {
    const char *folder = strrchr(store->dir, '/');
    folder = folder == NULL ? store->dir : folder + 1;
    if (path_join(out, folder, name) != LORE_OK) snprintf(out, PATH_BYTES_MAX, "%.255s", name);
}

static bool keep_going(void *context, uint64_t bytes) {
    struct verification *v = context;
    lore_progress progress = {"verify", v->done_bytes + bytes, v->total_bytes};
    if (v->progress != NULL && !v->progress(v->context, &progress)) v->cancelled = true;
    return !v->cancelled;
}

/* ---- segments ---- */

static void segment_fault(void *context, const struct segment_fault *found) {
    struct verification *v = context;
    report_finding(v, LORE_CORRUPTION, v->kind, v->file, found->offset, found->first_key,
                   found->last_key, found->message);
}

/* A status that is not about the bytes ends the run. */
static lore_status after_segment(struct verification *v, lore_status status,
                                 uint64_t faults_before) {
    if (v->cancelled) return fail(LORE_CANCELLED, "%s: verify stopped as asked", v->store->path);
    if (status == LORE_OK || status == LORE_CORRUPTION || status == LORE_UNSUPPORTED ||
        status == LORE_NOT_FOUND) {
        if (status != LORE_OK && v->faults == faults_before)
            fault(v, v->kind, v->file, UINT64_MAX,
                  status == LORE_NOT_FOUND ? "the file is missing" : lore_error_message());
        return LORE_OK;
    }
    return status;
}

static lore_status verify_segment(struct verification *v, const struct segment_summary *summary) {
    lore_store *store = v->store;
    char name[SEGMENT_NAME_BYTES], file[PATH_BYTES_MAX];
    segment_file_name(name, summary->kind, summary->id);
    relative_name(store, name, file);
    v->file = file;
    uint64_t entries = 0, before = v->faults;
    lore_status status = LORE_OK;
    switch (summary->kind) {
    case SEGMENT_TABLE:
        v->kind = "table";
        status = table_verify(&store->segments, summary, segment_fault, keep_going, v, &entries);
        break;
    case SEGMENT_BLOB:
        v->kind = "blob";
        status = blob_verify(&store->segments, summary, segment_fault, keep_going, v, &entries);
        break;
    case SEGMENT_ROWS:
        v->kind = "rows";
        status = rows_verify(&store->segments, summary, segment_fault, keep_going, v, &entries);
        break;
    case SEGMENT_CODES: break;
    }
    TRY(after_segment(v, status, before));
    v->report->files++;
    v->report->bytes += summary->bytes;
    v->report->entries += entries;
    v->done_bytes += summary->bytes;
    return LORE_OK;
}

static lore_status verify_segments(struct verification *v) {
    const struct version *version = v->version;
    for (unsigned l = 0; l < LEVELS_MAX; l++)
        for (size_t r = 0; r < version->levels[l].count; r++) {
            const struct run *run = &version->levels[l].runs[r];
            for (size_t t = 0; t < run->count; t++)
                TRY(verify_segment(v, &run->tables[t].handle->summary));
        }
    for (size_t i = 0; i < version->values_count; i++)
        TRY(verify_segment(v, &version->values[i]->summary));
    return LORE_OK;
}

static uint64_t version_bytes(const struct version *version) {
    uint64_t bytes = 0;
    for (unsigned l = 0; l < LEVELS_MAX; l++)
        for (size_t r = 0; r < version->levels[l].count; r++) {
            const struct run *run = &version->levels[l].runs[r];
            for (size_t t = 0; t < run->count; t++)
                bytes += run->tables[t].handle->summary.bytes;
        }
    for (size_t i = 0; i < version->values_count; i++)
        bytes += version->values[i]->summary.bytes;
    return bytes;
}

/* ---- logs ---- */

static lore_status verify_log(struct verification *v, const char *path, const char *file) {
    lore_store *store = v->store;
    struct log_reader *reader;
    lore_status status = log_reader_open(store->env, &store->work_allocator.base, path,
                                         LOG_FAMILY_WAL, LOG_RECORD_BYTES_MAX, &reader);
    if (status == LORE_NOT_FOUND) return LORE_OK; /* flushed meanwhile */
    if (status == LORE_CORRUPTION || status == LORE_UNSUPPORTED) {
        bool unborn;
        char text[512];
        snprintf(text, sizeof text, "%s", lore_error_message());
        TRY(store_log_is_unborn(store->env, path, &unborn));
        if (!unborn) fault(v, "log", file, 0, text);
        /* A writer's own is being made at this moment. */
        if (unborn && store->options.read_only) warn(v, file, "a log that was never finished");
        return LORE_OK;
    }
    TRY(status);
    bool found = true;
    struct log_end end = {0};
    while (status == LORE_OK && found) {
        struct log_record record;
        status = log_reader_next(reader, &record, &found);
        if (status == LORE_OK && found && record.kind == LOG_BATCH) {
            struct batch_view view;
            struct entry entry;
            bool more = true;
            lore_status batch = batch_view_open(record.payload, &view);
            while (batch == LORE_OK && more)
                batch = batch_view_next(&view, &entry, &more);
            if (batch != LORE_OK) fault(v, "log", file, record.offset, lore_error_message());
            v->report->entries += view.entries;
        }
    }
    if (status == LORE_OK) status = log_reader_end(reader, &end);
    log_reader_close(reader);
    if (status == LORE_OK && end.ending == LOG_ENDS_DAMAGED)
        fault(v, "log", file, end.end, "records below the last promise are damaged");
    v->report->files++;
    v->report->bytes += end.file_bytes;
    return status == LORE_CORRUPTION ? LORE_OK : status;
}

/* ---- the directory ---- */

/* Whether a segment file that is in the directory has business there. In a backup all is in its
 * catalog. Elsewhere a reader cannot say: the writer's may be newer. A writer has cleared away at
 * opening what nothing refers to, so what has an id that it has handed out since is being written,
 * has just been replaced, or is still read by somebody. */
static lore_status may_be_there(struct verification *v, uint64_t id, bool *may) {
    lore_store *store = v->store;
    *may = true;
    if (store->options.read_only && !store->sealed) return LORE_OK;
    struct catalog_key key = store->sealed ? schema_key_number('S', id) : schema_key('C');
    struct bytes value = bytes_empty(&store->work_allocator.base);
    struct counters_record counters = {.segment_end = UINT64_MAX};
    lore_status status = store_catalog_get(store, catalog_key_slice(&key), &value);
    if (status == LORE_NOT_FOUND) *may = false;
    if (status == LORE_OK && !store->sealed)
        status =
            counters_record_decode(bytes_slice(&value), &store->work_allocator.base, &counters);
    if (id >= counters.segment_end) *may = false;
    bytes_free(&value);
    return status == LORE_CORRUPTION || status == LORE_NOT_FOUND ? LORE_OK : status;
}

static lore_status verify_entry(void *context, const struct dir_entry *entry) {
    struct verification *v = context;
    lore_store *store = v->store;
    char path[PATH_BYTES_MAX], file[PATH_BYTES_MAX];
    TRY(path_join(path, store->dir, entry->name));
    relative_name(store, entry->name, file);
    uint64_t size;
    bool is_dir;
    uint32_t mode = 0;
    if (store->env->fs->ops->stat(store->env->fs, path, &size, &is_dir, &mode) != LORE_OK)
        return LORE_OK;
    uint32_t open_to_others = store->options.group_access ? 0007u : 0077u;
    if ((mode & open_to_others) != 0)
        warn(v, file, "readable or writable by others than its owner");
    uint64_t number;
    enum segment_kind kind;
    if (layout_log_parse(entry->name, &number)) return verify_log(v, path, file);
    if (segment_file_name_parse(entry->name, &kind, &number)) {
        bool may;
        TRY(may_be_there(v, number, &may));
        if (!may) warn(v, file, "not one of this store's: nothing refers to it");
        return LORE_OK;
    }
    bool known = strncmp(entry->name, "edits-", 6) == 0 ||
                 strcmp(entry->name, "catalog.mdb") == 0 || strcmp(entry->name, "RESERVE") == 0 ||
                 strcmp(entry->name, "quarantine") == 0 || strcmp(entry->name, "catalog.tmp") == 0;
    if (!known) warn(v, file, "not a file of Lore's");
    return LORE_OK;
}

/* ---- the catalog ---- */

static void catalog_fault(void *context, const char *file, uint64_t offset, const char *message) {
    struct verification *v = context;
    char relative[PATH_BYTES_MAX];
    relative_name(v->store, file, relative);
    fault(v, "catalog", relative, offset, message);
}

/* Whether a writer is there; also where that cannot be told. */
static bool is_being_written(const lore_store *store) {
    char path[PATH_BYTES_MAX];
    bool locked = true;
    if (path_join(path, store->path, "LOCK") != LORE_OK) return true;
    lore_status status = store->env->fs->ops->is_locked(store->env->fs, path, &locked);
    return status == LORE_NOT_FOUND ? false : status != LORE_OK || locked;
}

/* LMDB's file, which a reader else has no need of. Beside a writer it changes while it is read, and
 * is the writer's to check; so it counts only if nobody writes, and is looked at twice, for one may
 * have come and gone. */
static lore_status verify_map_file(struct verification *v) {
    lore_store *store = v->store;
    if (!store->options.read_only || store->sealed) return LORE_OK;
    lore_status status = LORE_CORRUPTION;
    for (unsigned i = 0; i < 2 && status == LORE_CORRUPTION; i++) {
        if (is_being_written(store)) return LORE_OK;
        status = catalog_verify_file(store->catalog);
    }
    if (status != LORE_CORRUPTION || is_being_written(store)) return status;
    char message[512], file[PATH_BYTES_MAX];
    snprintf(message, sizeof message,
             "%.300s; it is derived from edits: nothing is lost, and the next opening for writing "
             "makes it anew (lore compact)",
             lore_error_message());
    relative_name(store, "catalog.mdb", file);
    fault(v, "catalog", file, 0, message);
    v->report->files++;
    return LORE_OK;
}

static lore_status verify_catalog(struct verification *v) {
    lore_store *store = v->store;
    struct current current;
    lore_status status = current_read(store->env, store->path, &current);
    if (status == LORE_CORRUPTION || status == LORE_NO_STORE) {
        fault(v, "file", "CURRENT", 0, lore_error_message());
        status = LORE_OK;
    }
    TRY(status);
    v->report->files++;
    env_lock(store->env, store->catalog_mutex);
    status = catalog_verify(store->catalog, catalog_fault, v);
    /* Beside a live writer, edits may be rolled at any moment: read on in the newer file. */
    for (unsigned i = 0; i < TRIES_MAX && status == LORE_NOT_FOUND; i++)
        status = catalog_verify(store->catalog, catalog_fault, v);
    if (status == LORE_NOT_FOUND)
        status =
            fail(LORE_LOCKED, "%s: the writer replaced its edits %u times while they were read",
                 store->dir, TRIES_MAX);
    v->report->files += store->options.read_only ? 1 : 2;
    v->report->bytes += catalog_bytes(store->catalog);
    env_unlock(store->env, store->catalog_mutex);
    return status == LORE_CORRUPTION ? LORE_OK : status;
}

/* ---- references: every value that a key leads to can be read ---- */

static lore_status verify_values(struct verification *v) {
    lore_store *store = v->store;
    struct store_read reading;
    TRY(store_read_begin(store, NULL, &reading));
    struct lsm_iterator *iterator = NULL;
    uint8_t lower[KEYSPACE_BYTES] = {0};
    lore_status status =
        lsm_iterator_create(store->lsm, &store->query_allocator.base, reading.sequence,
                            slice(lower, sizeof lower), slice(NULL, 0), &iterator);
    if (status == LORE_OK) status = lsm_iterator_seek_first(iterator);
    uint64_t keys = 0;
    while (status == LORE_OK && lsm_iterator_valid(iterator)) {
        lore_slice value, key = lsm_iterator_key(iterator);
        status = lsm_iterator_value(iterator, &value);
        if (status == LORE_CORRUPTION) {
            report_finding(v, LORE_CORRUPTION, "index", v->store->dir, UINT64_MAX, key, key,
                           lore_error_message());
            status = LORE_OK;
        }
        if (status == LORE_OK && ++keys % 4096 == 0 && !keep_going(v, 0))
            status = fail(LORE_CANCELLED, "%s: verify stopped as asked", store->path);
        if (status == LORE_OK) status = lsm_iterator_next(iterator);
    }
    if (iterator != NULL) lsm_iterator_destroy(iterator);
    store_read_end(store, &reading);
    /* A damaged table has been reported block by block already; the scan ends there. */
    if (status == LORE_CORRUPTION) {
        fault(v, "index", v->store->dir, UINT64_MAX, lore_error_message());
        status = LORE_OK;
    }
    return status;
}

lore_status store_verify(lore_store *store, lore_finding_fn finding, lore_progress_fn progress,
                         void *context, lore_verify_report *report) {
    struct verification v = {.store = store,
                             .finding = finding,
                             .progress = progress,
                             .context = context,
                             .report = report};
    struct lsm_view view;
    lsm_view_acquire(store->lsm, &view);
    v.version = view.version;
    version_retain(v.version);
    lsm_view_release(store->lsm, &view);
    v.total_bytes = version_bytes(v.version);
    lore_status status = verify_catalog(&v);
    if (status == LORE_OK) status = verify_map_file(&v);
    if (status == LORE_OK)
        status = store->env->fs->ops->list(store->env->fs, store->dir, verify_entry, &v);
    if (status == LORE_OK) status = verify_segments(&v);
    if (status == LORE_OK) status = verify_values(&v);
    version_release(v.version);
    TRY(status);
    if (v.faults > 0)
        return fail(LORE_CORRUPTION, "%s: %" PRIu64 " faults found", store->path, v.faults);
    return LORE_OK;
}
