/*
 * lsm.h - the one tree: memtables above a version of segments; how it is read, and the background work that keeps its shape.
 *
 *   lsm.c          the tree object: views, memtable switch, snapshots pinned
 *   install.c      committing a change of shape and putting the new version in place; ids
 *   sweep.c        what a writer clears away at open
 *   version.c      shapes; version_change.c  changes of shape; version_load.c  shapes from the catalog
 *   lookup.c       one key at a sequence number
 *   sources.c      one cursor form over memtables and runs; merge_cursor.c  many of them in one order
 *   iterator.c     what a user of the ordered map sees: newest visible version of each key, both ways
 *   range_deletes.c  the range deletes of many sources as one skyline
 *   write_filter.c what flush and compaction keep: versions that a snapshot needs, merges combined, deletes dropped
 *   flush.c        a frozen memtable to one table, at most one blob file, one row segment a space; in steps
 *   policy.c       which work is due, from the shape alone (no I/O); mechanism elsewhere
 *   compaction.c   a merge of runs, in steps, committed after each output table, resumable after a crash
 *   prune.c        one table anew, without what newer runs hide: where the disk has no room for a merge
 *   rewrite.c      blob and row files with too much garbage, rewritten; in steps
 *   prune.c        a table written anew in its place, where merges have no room
 *   job_records.c  what the catalog remembers of merges; quarantine.c  and of damage that they met
 *   background.c   lsm_step: flush before level 0 before the rest
 *
 * Threads: reads from any thread. Writes to the active memtable, lsm_freeze: the commit order's one thread. lsm_step and
 * the other background calls: one thread at a time (asserted). lsm->mutex guards the current view, the pinned snapshots
 * and nothing else, and is never held during I/O.
 *
 * A view (memtables and a version) is held only during a call. An iterator holds a version between calls, never a memtable:
 * it finds its place again by key when the memtables have changed.
 */
#ifndef LORE_LSM_LSM_H
#define LORE_LSM_LSM_H

#include "lsm/version.h"
#include "memtable/memtable.h"

struct lsm;

/* What higher floors want to do with entries as they are rewritten. */
struct lsm_hooks {
    void *context;
    /* Whether a put may go for good: asked at the last level only, for the one version left of a key, if no pinned snapshot
     * sees it or all do. NULL: none. */
    bool (*drop)(void *context, const struct entry *entry);
};

struct lsm_config {
    const struct segment_context *context; /* outlives the tree */
    struct budget *budget;
    struct catalog *catalog;          /* commits are made under catalog_mutex */
    struct mutex *catalog_mutex;
    uint64_t memtable_bytes;
    uint64_t table_bytes_max;
    uint32_t block_bytes, blob_threshold_bytes, fan_in;
    lore_compression compression;
    bool read_only;
    /* A keyspace whose entries are moments, in key order: flush keeps of those that no pin tells apart the newest. 0: none. */
    uint32_t moments_keyspace;
    struct lsm_hooks hooks;
};

/* Load the version from the catalog and make an empty active memtable for log `log_number`. A writer also removes unfinished
 * and dropped segment files, moves foreign ones to quarantine/, and takes up the job in progress. */
MUST_USE lore_status lsm_open(const struct lsm_config *config, uint64_t log_number, struct lsm **lsm);
void lsm_close(struct lsm *lsm); /* no view, iterator or pinned snapshot left */

/* ---- views ---- */

struct lsm_view {
    struct memtable *active;
    struct memtable *frozen; /* NULL: none */
    struct version *version;
};
/* Cheap: a mutex and three counts. */
void lsm_view_acquire(struct lsm *lsm, struct lsm_view *view);
void lsm_view_release(struct lsm *lsm, struct lsm_view *view);
/* Grows whenever the current memtables or version change. */
uint64_t lsm_view_number(struct lsm *lsm);

/* ---- writing ---- */

/* Whether a batch of that many memtable bytes can go into the active memtable now. */
bool lsm_has_room(struct lsm *lsm, uint64_t batch_bytes);
/* Whether lsm_freeze may be called: no frozen memtable waits for its flush. */
bool lsm_can_freeze(struct lsm *lsm);
/* The active memtable becomes the frozen one, a new active one belongs to log `log_number`, with capacity for
 * `batch_bytes_min` at least. */
MUST_USE lore_status lsm_freeze(struct lsm *lsm, uint64_t log_number, uint64_t batch_bytes_min);
MUST_USE lore_status lsm_reserve(struct lsm *lsm, uint64_t batch_bytes);
void lsm_apply(struct lsm *lsm, lore_slice payload);
/* The commit time of the batches applied last: the flush puts it into the catalog. */
void lsm_note_commit_time(struct lsm *lsm, int64_t time_us);
uint64_t lsm_active_bytes(struct lsm *lsm);
/* Recovery and read-only: entries of log `log_number` follow; the active memtable now reaches up to it. */
void lsm_set_log_number(struct lsm *lsm, uint64_t log_number);
/* Read-only: put what the writer's log holds now in place of the memtables, and load the version anew. `memtable` becomes
 * the tree's, and is released when this fails. LORE_NOT_FOUND: the catalog moved on meanwhile; start again. */
MUST_USE lore_status lsm_reload(struct lsm *lsm, struct memtable *memtable);

/* How many bytes the disk has for background work; 0: not known. Where room is short, a compaction's outputs become small
 * and what does not fit is left; instead single tables are written anew without what is deleted. */
void lsm_set_room(struct lsm *lsm, uint64_t bytes);

/* Back-pressure: 0 none, else microseconds by which the next write should be late, growing smoothly with debt. */
uint64_t lsm_delay_us(struct lsm *lsm);

/* ---- reading ---- */

struct lookup {
    uint64_t sequence;   /* of the newest entry */
    bool found;          /* false: no entry, or deleted */
};
/* The value of `key` at `sequence`, merges resolved, blobs and vectors read. `value` may be NULL: existence alone. With found
 * false, lookup.sequence is still that of the delete, or 0 where nothing is. */
MUST_USE lore_status lsm_get(struct lsm *lsm, lore_slice key, uint64_t sequence,
                             struct read_count *count, struct lookup *lookup, struct bytes *value);
/* The sequence of the newest entry of key, a delete or a range delete included; 0: none. For conditions. */
MUST_USE lore_status lsm_newest(struct lsm *lsm, lore_slice key, uint64_t *sequence, bool *is_delete);

/* Newest visible version of each key in [lower, upper) at a sequence number. upper of size 0: no bound. Whole keys,
 * with keyspace. The sequence must be pinned, or current and protected by the caller's pin, while the iterator lives. */
struct lsm_iterator;
MUST_USE lore_status lsm_iterator_create(struct lsm *lsm, const struct allocator *allocator,
                                         uint64_t sequence, lore_slice lower, lore_slice upper,
                                         struct lsm_iterator **iterator);
void lsm_iterator_destroy(struct lsm_iterator *iterator);
MUST_USE lore_status lsm_iterator_seek_first(struct lsm_iterator *iterator);
MUST_USE lore_status lsm_iterator_seek_last(struct lsm_iterator *iterator);
MUST_USE lore_status lsm_iterator_seek(struct lsm_iterator *iterator, lore_slice key);
MUST_USE lore_status lsm_iterator_seek_back(struct lsm_iterator *iterator, lore_slice key);
MUST_USE lore_status lsm_iterator_next(struct lsm_iterator *iterator);
MUST_USE lore_status lsm_iterator_prev(struct lsm_iterator *iterator);
bool lsm_iterator_valid(const struct lsm_iterator *iterator);
lore_slice lsm_iterator_key(const struct lsm_iterator *iterator);
uint64_t lsm_iterator_sequence(const struct lsm_iterator *iterator);
/* Copied into the iterator; valid until it moves. */
MUST_USE lore_status lsm_iterator_value(struct lsm_iterator *iterator, lore_slice *value);
/* Where a vector lies, without reading it: false when it is still in a memtable. */
bool lsm_iterator_ref(const struct lsm_iterator *iterator, struct value_ref *ref);
struct read_count *lsm_iterator_count(struct lsm_iterator *iterator);

/* Where the newest visible entry of a vector's key lies: in a row segment (*in_rows, *ref), or in a memtable (then
 * *sequence alone tells versions apart). *found false: deleted or never there. For confirming a candidate of a scan. */
MUST_USE lore_status lsm_locate_vector(struct lsm *lsm, lore_slice key, uint64_t sequence,
                                       struct read_count *count, bool *found, bool *in_rows,
                                       struct value_ref *ref, uint64_t *entry_sequence);

/* ---- snapshots ---- */

/* Versions visible at a pinned sequence are kept. Pins are counted. */
MUST_USE lore_status lsm_pin(struct lsm *lsm, uint64_t sequence);
/* Pin what *current holds at the moment of the pin. A sequence read before and pinned after could miss versions that a flush
 * dropped in between; this cannot. */
MUST_USE lore_status lsm_pin_current(struct lsm *lsm, const _Atomic uint64_t *current, uint64_t *sequence);
void lsm_unpin(struct lsm *lsm, uint64_t sequence);
uint64_t lsm_oldest_pin(struct lsm *lsm); /* 0: none */

/* ---- background ---- */

struct step_count {
    uint64_t read_bytes, written_bytes;
};
/* Work for about `budget_bytes` read and written, 0: nothing. *more: there is more to do now. LORE_FULL: undone, try later.
 * LORE_CORRUPTION: the range is quarantined, other work goes on. Flush goes first. */
MUST_USE lore_status lsm_step(struct lsm *lsm, uint64_t budget_bytes, struct step_count *count,
                              bool *more);
/* Whether it was a read that failed in the last step, so that LORE_IO says nothing of what was written. */
bool lsm_read_failed(const struct lsm *lsm);
bool lsm_has_work(struct lsm *lsm);
/* From now on, lsm_step merges everything into the last level; lsm_compacting says until when. */
MUST_USE lore_status lsm_compact_begin(struct lsm *lsm);
bool lsm_compacting(struct lsm *lsm, uint64_t *done_bytes, uint64_t *total_bytes);
void lsm_compact_cancel(struct lsm *lsm);
/* Logs below this number are flushed. */
uint64_t lsm_first_log(struct lsm *lsm);

struct lsm_stats {
    uint64_t table_files, table_bytes, blob_files, blob_bytes, blob_garbage_bytes;
    uint64_t row_files, row_bytes, row_garbage_bytes;
    uint64_t levels, runs, memtable_bytes;
    uint64_t flushes, compactions, rewrites;
    uint64_t read_bytes, written_bytes;
    uint64_t oldest_pin, pins, iterators;
    bool job_running;
};
void lsm_stats_get(struct lsm *lsm, struct lsm_stats *stats);

#endif
