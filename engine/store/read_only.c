/*
 * read_only.c - a reader beside a writer. The writer keeps nothing for it: a segment or a log that
 * it no longer needs is unlinked as soon as the catalog says so. So the reader first opens every
 * file of one state of the catalog (edits as far as they can be read), and only then looks into
 * them: what is open can be read to its end, whatever becomes of its name.
 *
 * Where a file of the state is gone already, the catalog must have moved on: it is read on, and the
 * files that are new in it are opened. What was opened before stays open meanwhile. So each try has
 * no more to do than the writer had to write since the one before, and the reader gets through
 * beside any writer. A file that is missing while the catalog stands still is lost:
 * LORE_CORRUPTION.
 *
 * A state as held: all its live segments, and its logs from the first that is not flushed to the
 * last that has begun. What a reader sees of the logs: all of those that are closed or have a
 * successor, and of the last what is promised.
 */
#include <inttypes.h>
#include <stdio.h>

#include "segment/segment_file.h"
#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

/* A catalog that is the same at so many looks has not lost the file by moving on. More than one,
 * for a log that is being created may come and go without it. */
#define LOOKS_UNCHANGED_MAX 4u
#define LOOKS_MIN           1000u
#define LOOK_PAUSE_US       1000u
#define HELD_POLL_US        1000u

/* ---- holding the files of a state ---- */

struct held_segment {
    uint64_t id;
    enum segment_kind kind;
    struct pooled_file *file; /* one reference; NULL: not open */
};

void reader_hold_init(struct reader_hold *hold, lore_store *store) {
    *hold = (struct reader_hold){.store = store,
                                 .segments = bytes_empty(&store->work_allocator.base),
                                 .logs = bytes_empty(&store->work_allocator.base)};
}

static struct held_segment held_at(const struct bytes *segments, size_t index) {
    struct held_segment held;
    memcpy(&held, segments->data + index * sizeof held, sizeof held);
    return held;
}

static size_t held_count(const struct bytes *segments) {
    return segments->size / sizeof(struct held_segment);
}

static void release_segments(struct bytes *segments) {
    for (size_t i = 0; i < held_count(segments); i++)
        pooled_file_release(held_at(segments, i).file);
    bytes_free(segments);
}

static struct log_reader *log_at(const struct reader_hold *hold, size_t index) {
    struct log_reader *reader;
    memcpy(&reader, hold->logs.data + index * sizeof reader, sizeof reader);
    return reader;
}

static void release_logs(struct reader_hold *hold) {
    for (size_t i = 0; i < hold->logs.size / sizeof(struct log_reader *); i++)
        log_reader_close(log_at(hold, i));
    bytes_free(&hold->logs);
}

void reader_hold_deinit(struct reader_hold *hold) {
    release_segments(&hold->segments);
    release_logs(hold);
}

/* The live segments of the catalog, in order of id, as are those that were held before. */
struct listing {
    const struct allocator *allocator;
    struct bytes segments;
    const struct bytes *before;
    size_t before_at;
};

static lore_status list_record(void *context, lore_slice key, lore_slice value) {
    struct listing *listing = context;
    struct segment_record record;
    (void)key;
    TRY(segment_record_decode(value, listing->allocator, &record));
    struct held_segment held = {.id = record.summary.id, .kind = record.summary.kind};
    bool is_live = record.state == SEGMENT_LIVE;
    segment_record_deinit(&record);
    if (!is_live) return LORE_OK;
    size_t *at = &listing->before_at, count = held_count(listing->before);
    while (*at < count && held_at(listing->before, *at).id < held.id)
        ++*at;
    TRY(bytes_reserve(&listing->segments, sizeof held));
    if (*at < count && held_at(listing->before, *at).id == held.id)
        held.file = held_at(listing->before, *at).file;
    if (held.file != NULL) pooled_file_retain(held.file);
    return bytes_append(&listing->segments, &held, sizeof held); /* there is room */
}

/* Open what is not open yet, the newest first: it goes first, too. What else there is of a state of
 * which something is missing is opened all the same, for the next look. */
static lore_status open_segments(lore_store *store, struct bytes *segments) {
    char path[PATH_BYTES_MAX], missing[PATH_BYTES_MAX] = "";
    for (size_t i = held_count(segments); i-- > 0;) {
        struct held_segment held = held_at(segments, i);
        if (held.file != NULL) continue;
        TRY(segment_path(&store->segments, held.kind, held.id, path));
        lore_status status = pooled_file_create(store->files, path, &held.file);
        if (status == LORE_NOT_FOUND) {
            memcpy(missing, path, sizeof path);
            continue;
        }
        TRY(status);
        memcpy(segments->data + i * sizeof held, &held, sizeof held);
    }
    if (missing[0] == '\0') return LORE_OK;
    return fail(LORE_NOT_FOUND, "%s: missing; the catalog says that it is live", missing);
}

/* LORE_NOT_FOUND with a text: a file is missing; the others are held. */
static lore_status hold_segments(struct reader_hold *hold) {
    lore_store *store = hold->store;
    const struct allocator *allocator = &store->work_allocator.base;
    struct listing listing = {
        .allocator = allocator, .segments = bytes_empty(allocator), .before = &hold->segments};
    struct catalog_key prefix = schema_key('S');
    env_lock(store->env, store->catalog_mutex);
    lore_status status =
        catalog_scan(store->catalog, catalog_key_slice(&prefix), list_record, &listing);
    env_unlock(store->env, store->catalog_mutex);
    if (status == LORE_OK) status = open_segments(store, &listing.segments);
    release_segments(&hold->segments);
    hold->segments = listing.segments;
    return status;
}

static lore_status find_highest(void *context, const struct dir_entry *entry) {
    uint64_t *highest = context, number;
    if (layout_log_parse(entry->name, &number) && number > *highest) *highest = number;
    return LORE_OK;
}

/* The log, held; *begun false: it is not there, or unborn. */
static lore_status hold_log(struct reader_hold *hold, uint64_t number, bool *begun) {
    lore_store *store = hold->store;
    char path[PATH_BYTES_MAX];
    struct log_reader *reader;
    bool unborn;
    TRY(layout_log_path(path, store->dir, number));
    TRY(store_log_is_unborn(store->env, path, &unborn));
    *begun = !unborn;
    if (unborn) return LORE_OK;
    TRY(bytes_reserve(&hold->logs, sizeof reader));
    lore_status status = log_reader_open(store->env, &store->work_allocator.base, path,
                                         LOG_FAMILY_WAL, LOG_RECORD_BYTES_MAX, &reader);
    if (status == LORE_NOT_FOUND) return fail(status, "%s: missing", path); /* since it was seen */
    TRY(status);
    return bytes_append(&hold->logs, &reader, sizeof reader); /* there is room */
}

/* Log `last` is the newest that is held: there must be no later one but one that is just being
 * created. */
static lore_status check_newest(const struct reader_hold *hold, uint64_t last) {
    lore_store *store = hold->store;
    struct log_chain chain;
    char path[PATH_BYTES_MAX];
    uint64_t size, highest = hold->highest_log;
    bool is_dir;
    uint32_t mode;
    TRY(log_chain_begin(store, &chain));
    chain.number = last;
    TRY(layout_log_path(path, store->dir, last + 1));
    if (highest == last + 1 &&
        store->env->fs->ops->stat(store->env->fs, path, &size, &is_dir, &mode) == LORE_OK)
        highest = last;
    lore_status status = log_chain_finish(&chain, highest);
    return status == LORE_CORRUPTION ? LORE_NOT_FOUND : status;
}

static lore_status hold_logs(struct reader_hold *hold) {
    lore_store *store = hold->store;
    struct log_record_state state;
    release_logs(hold);
    TRY(store_log_state(store, &state));
    hold->first_log = state.first_log;
    hold->highest_log = 0;
    TRY(store->env->fs->ops->list(store->env->fs, store->dir, find_highest, &hold->highest_log));
    bool begun = true;
    for (uint64_t number = state.first_log; begun; number++)
        TRY(hold_log(hold, number, &begun));
    size_t count = hold->logs.size / sizeof(struct log_reader *);
    if (count == 0)
        return fail(LORE_NOT_FOUND,
                    "%s: log %" PRIu64
                    " is missing; the catalog says that it holds what is not in segments yet",
                    store->dir, state.first_log);
    return check_newest(hold, state.first_log + count - 1);
}

static lore_status look(struct reader_hold *hold) {
    TRY(hold_segments(hold));
    return hold->store->sealed ? LORE_OK : hold_logs(hold);
}

lore_status reader_hold(struct reader_hold *hold) {
    lore_store *store = hold->store;
    uint64_t deadline_us =
        env_monotonic_us(store->env) + (uint64_t)store->options.lock_timeout_ms * 1000;
    unsigned unchanged = 0;
    for (unsigned looks = 1;; looks++) {
        lore_status status = look(hold);
        if (status != LORE_NOT_FOUND) return status;
        char missing[400];
        snprintf(missing, sizeof missing, "%.399s", lore_error_message());
        if (store->sealed) return fail(LORE_CORRUPTION, "%s", missing);
        if (unchanged > 0) env_sleep_us(store->env, LOOK_PAUSE_US);
        bool changed;
        env_lock(store->env, store->catalog_mutex);
        status = catalog_refresh(store->catalog, &changed);
        env_unlock(store->env, store->catalog_mutex);
        TRY(status);
        unchanged = changed ? 0 : unchanged + 1;
        if (unchanged == LOOKS_UNCHANGED_MAX) return fail(LORE_CORRUPTION, "%s", missing);
        if (looks >= LOOKS_MIN && env_monotonic_us(store->env) >= deadline_us)
            return fail(LORE_LOCKED,
                        "%s: the writer replaced files before they could be opened, %u times in a "
                        "row (%s); waited %" PRIu32 " ms",
                        store->dir, looks, missing, store->options.lock_timeout_ms);
    }
}

/* ---- the logs that are held ---- */

static lore_status read_batch(lore_store *store, const char *path, const struct log_record *record,
                              struct memtable *memtable) {
    struct commit_state *commit = &store->commit;
    struct batch_view view;
    TRY(batch_view_open(record->payload, &view));
    if (view.entries == 0 || view.first_sequence + view.entries <= commit->next_sequence)
        return LORE_OK;
    if (view.first_sequence != commit->next_sequence)
        return fail(LORE_CORRUPTION,
                    "%s: offset %" PRIu64 ": sequence %" PRIu64 " where %" PRIu64 " was due", path,
                    record->offset, view.first_sequence, commit->next_sequence);
    struct batch_view check = view;
    struct entry entry;
    uint64_t bytes = 0;
    bool more = true;
    while (more) {
        TRY(batch_view_next(&check, &entry, &more));
        if (more) bytes += entry.key.size + entry.value.size + MEMTABLE_ENTRY_OVERHEAD;
    }
    TRY(memtable_reserve(memtable, bytes));
    memtable_apply(memtable, record->payload);
    commit_state_note(commit, &view, record->time_us);
    return LORE_OK;
}

/* Twice through: first to where it ends and what is promised, then for its batches. */
static lore_status read_log(struct log_chain *chain, struct log_reader *reader, uint64_t number,
                            bool has_next, struct memtable *memtable) {
    lore_store *store = chain->store;
    uint64_t *next_sequence = &store->commit.next_sequence;
    char path[PATH_BYTES_MAX];
    struct log_record record;
    struct log_end end;
    bool found = true;
    TRY(layout_log_path(path, store->dir, number));
    TRY(log_chain_enter(chain, path, number, log_reader_header(reader), *next_sequence - 1));
    while (found)
        TRY(log_reader_next(reader, &record, &found));
    TRY(log_reader_end(reader, &end));
    uint64_t until = has_next || end.closed ? end.end : end.promised;
    log_reader_rewind(reader);
    for (;;) {
        TRY(log_reader_next(reader, &record, &found));
        if (!found || record.offset >= until) break;
        if (record.kind == LOG_BATCH) TRY(read_batch(store, path, &record, memtable));
    }
    store->commit.log_number = number;
    return log_chain_leave(chain, path, number, &end, *next_sequence - 1);
}

lore_status reader_read_logs(struct reader_hold *hold, struct memtable **memtable) {
    lore_store *store = hold->store;
    struct log_chain chain;
    TRY(log_chain_begin(store, &chain));
    TRY(memtable_create(store->env->allocator, &store->budget, 1u << 16, hold->first_log,
                        memtable));
    size_t count = hold->logs.size / sizeof(struct log_reader *);
    lore_status status = LORE_OK;
    for (size_t i = 0; i < count && status == LORE_OK; i++)
        status = read_log(&chain, log_at(hold, i), hold->first_log + i, i + 1 < count, *memtable);
    if (status == LORE_OK) return LORE_OK;
    memtable_release(*memtable);
    *memtable = NULL;
    return status;
}

/* ---- refresh ---- */

static void end_refresh(lore_store *store) {
    struct commit_state *commit = &store->commit;
    env_lock(store->env, commit->mutex);
    commit->refreshing = false;
    env_broadcast(store->env, commit->changed);
    env_unlock(store->env, commit->mutex);
}

/* The writer keeps nothing for the snapshots of a reader, so they cannot outlive its version. */
static lore_status refuse_while_held(lore_store *store) {
    uint64_t objects = atomic_load(&store->objects);
    if (objects == 0) return LORE_OK;
    return fail(LORE_MISUSE,
                "%s: %" PRIu64 " snapshots, iterators or results are still out; release them "
                "before refreshing",
                store->path, objects);
}

/* One refresh at a time, and no read beside it: an old sequence number and a new version would not
 * go together. Calls that read are waited for; an iterator or a snapshot made meanwhile is not,
 * since its thread may be waiting in another read for this refresh. So may a callback of the very
 * read that is waited for: now and then new reads are let through. */
static lore_status begin_refresh(lore_store *store) {
    struct commit_state *commit = &store->commit;
    lore_status status = LORE_OK;
    env_lock(store->env, commit->mutex);
    while (commit->refreshing)
        env_wait(store->env, commit->changed, commit->mutex);
    commit->refreshing = true;
    while (commit->reading > 0 && (status = refuse_while_held(store)) == LORE_OK) {
        env_wait_for(store->env, commit->changed, commit->mutex, HELD_POLL_US);
        if (commit->reading == 0) break;
        commit->refreshing = false;
        env_broadcast(store->env, commit->changed);
        env_wait_for(store->env, commit->changed, commit->mutex, HELD_POLL_US);
        while (commit->refreshing)
            env_wait(store->env, commit->changed, commit->mutex);
        commit->refreshing = true;
    }
    env_unlock(store->env, commit->mutex);
    if (status != LORE_OK) end_refresh(store);
    return status;
}

static lore_status move_forward(lore_store *store, struct reader_hold *hold) {
    bool changed;
    env_lock(store->env, store->catalog_mutex);
    lore_status status = catalog_refresh(store->catalog, &changed);
    env_unlock(store->env, store->catalog_mutex);
    TRY(status);
    TRY(reader_hold(hold));
    struct log_record_state state;
    TRY(store_start_numbers(store, &state));
    TRY(spaces_load(store));
    struct memtable *memtable;
    TRY(reader_read_logs(hold, &memtable));
    TRY(lsm_reload(store->lsm, memtable));
    store_publish_numbers(store);
    return LORE_OK;
}

lore_status lore_refresh(lore_store *store) {
    TRY(store_check(store, false));
    if (!store->options.read_only)
        return fail(LORE_MISUSE, "%s: opened for writing; only a read-only handle is refreshed",
                    store->path);
    if (store->sealed) return LORE_OK;
    TRY(refuse_while_held(store));
    struct current current;
    TRY(current_read(store->env, store->path, &current));
    if (current.generation != store->generation)
        return fail(LORE_MISUSE,
                    "%s: generation %" PRIu64
                    " was restored over the one that is open; open the store anew",
                    store->path, current.generation);
    TRY(begin_refresh(store));
    struct reader_hold hold;
    reader_hold_init(&hold, store);
    lore_status status = move_forward(store, &hold);
    reader_hold_deinit(&hold);
    end_refresh(store);
    return status;
}
