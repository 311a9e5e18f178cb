/*
 * store.h - the engine room: one open store, from its directory to its commit order. What the floors above (memories, search)
 * and the public calls of the ordered map are built on.
 *
 *   layout.c       names in the directory, CURRENT
 *   lock.c         the writer's lock and who holds it
 *   create.c       a new store, a new generation
 *   open.c         store_open, store_close: puts the parts together and takes them apart
 *   log_chain.c    what ties the logs together: no hole is stepped over, no end is lost
 *   recovery.c     from log files to memtables; what was cut, what is damaged
 *   commit.c       the commit order: writers form groups behind a leader, conditions, rows, time, log, memtable
 *   space.c        full disks: the reserve file, the quota
 *   background.c   the one thread: steps, interval syncs, promises after idleness, ticks
 *   read_only.c    a reader beside a writer: promised log, refresh
 *   snapshots.c    snapshots, open and named
 *   spaces.c       embedding spaces
 *   ordered_map.c  lore_put ... lore_write, lore_keyspaces
 *   iterators.c    lore_iter_*
 *   maintenance.c  lore_flush, lore_compact, lore_step, lore_sync, lore_stats_get, notes
 *   verify.c       store_verify: every file; the index checks stand with the memories
 *   backup.c       lore_backup;  restore.c  lore_restore, lore_generation_begin, lore_generation_publish
 *   log_dump.c     lore_log_dump
 *
 * A commit, in order: queue; the leader makes room (freezes the memtable and switches the log when it must), checks
 * conditions, hands out sequence numbers and rows, takes memtable memory, writes the group's records, syncs (one device
 * flush), applies them to the memtable, moves the visible sequence, appends the promise, wakes the group.
 *
 * Threads: every call of this header from any thread unless it says otherwise. Locks, in the order they may be taken:
 * commit mutex, then catalog mutex, then lsm's own. None is held while a device sync runs but by design: the commit leader
 * works without the commit mutex (it owns the log by being leader).
 */
#ifndef LORE_STORE_STORE_H
#define LORE_STORE_STORE_H

#include "base/log.h"
#include "lsm/lsm.h"
#include "wal/batch.h"

/* What the floors above register when the store is opened. All may be NULL. */
struct store_hooks {
    struct lsm_hooks tree;
    void *context;
    /* Now and then, from the background thread or from lore_step, without locks; may commit. */
    void (*tick)(void *context, lore_store *store);
    /* Before the log is closed; may commit. */
    lore_status (*closing)(void *context, lore_store *store);
    void (*destroy)(void *context);
};

MUST_USE lore_status store_open(const char *path, const lore_options *options,
                                const struct store_hooks *hooks, lore_store **store);
lore_status store_close(lore_store *store);
/* lore_generation_begin with the hooks of the floors above. */
MUST_USE lore_status store_generation_begin(const char *path, bool replace, const lore_options *options,
                                            const struct store_hooks *hooks, lore_store **store);
void *store_hook_context(lore_store *store);

const lore_env *store_env(lore_store *store);
const lore_options *store_options(lore_store *store);
const struct logger *store_logger(lore_store *store);
struct budget *store_budget(lore_store *store);
/* Charged to BUDGET_QUERY: batches, iterators, records, results. */
const struct allocator *store_query_allocator(lore_store *store);
const char *store_path(lore_store *store);
bool store_is_read_only(lore_store *store);
struct lsm *store_tree(lore_store *store);
struct catalog *store_catalog(lore_store *store);
struct mutex *store_catalog_mutex(lore_store *store);

/* LORE_MISUSE after fork, or when `writing` on a read-only handle; the first error when `writing` on a poisoned one. Every
 * public call begins with it. */
MUST_USE lore_status store_check(lore_store *store, bool writing);

/* Objects that must be released before close (snapshots, iterators, results). */
void store_object_opened(lore_store *store);
void store_object_closed(lore_store *store);

/* Commit `batch`. LORE_CONFLICT: a condition failed, nothing written. `commit` may be NULL; *first_row (may be NULL) is the
 * first row that it took. The batch stays the caller's and may be committed again. Deletes alone may use the reserve. */
MUST_USE lore_status store_commit(lore_store *store, struct batch *batch, lore_commit *commit,
                                  uint64_t *first_row);

/* The sequence that a read with `snapshot` (NULL: now) uses, pinned until store_read_end. */
struct store_read {
    uint64_t sequence;
    uint64_t row_watermark; /* rows below it are visible */
    int64_t time_us;        /* commit time of `sequence`; 0 with a snapshot */
    bool pinned;
    bool counted; /* a read-only handle's refresh waits for it */
};
MUST_USE lore_status store_read_begin(lore_store *store, const lore_snapshot *snapshot,
                                      struct store_read *reading);
void store_read_end(lore_store *store, struct store_read *reading);

/* Reads count in lore_stats. Keys with their keyspace. `value` may be NULL. */
MUST_USE lore_status store_get(lore_store *store, const struct store_read *reading, lore_slice key,
                               struct lookup *lookup, struct bytes *value);
/* Add an iterator's or a search's counts to the store's. */
void store_count_reads(lore_store *store, const struct read_count *count);

/* Embedding spaces, from a table in memory. LORE_NOT_FOUND. `model` is not filled in. */
struct space {
    uint32_t number;
    uint32_t dimensions;
    lore_element element;
    lore_metric metric;
    uint32_t stride_bytes;
};
MUST_USE lore_status store_space_by_name(lore_store *store, lore_slice name, struct space *space);
/* `name` is copied into a buffer of 256 bytes. */
MUST_USE lore_status store_space_by_number(lore_store *store, uint32_t number, struct space *space,
                                           char name[256], size_t *name_size);
uint32_t space_stride(lore_element element, uint32_t dimensions);

/* Every check of files, chains, digests, order and the catalog; findings as in lore_verify. Adds to *report. */
MUST_USE lore_status store_verify(lore_store *store, lore_finding_fn finding, lore_progress_fn progress,
                                  void *context, lore_verify_report *report);

/* Keyspaces of the engine itself; those of the memory layer are in memory/keys.h. */
#define KEYSPACE_TIME 0xF0000000u /* i64 seconds, sign bit flipped, big-endian -> u64 sequence, i64 exact time: at most one a second,
                                  * kept as long as history is: flush leaves out what no snapshot tells from the next */
/* KEYSPACE_VECTORS 0xF0000001u, base/entry.h */

#endif
