/*
 * lsm_internal.h - the tree's own view of itself, for the files of engine/lsm/ alone.
 *
 * Who may touch what:
 *   mutex         guards active, frozen, version, retired, pins, log and the totals; never held during I/O
 *   background    the one thread that runs lsm_step: ids, dropped, installing versions
 *   commit order  the one thread that writes to the active memtable and freezes it
 *
 * A change of shape goes: files written and synced (the background) -> lsm_install, which opens the new
 * files, commits the edit to the catalog, puts the new version in place and marks dropped files, so that
 * they are unlinked with the last version that has them.
 */
#ifndef LORE_LSM_LSM_INTERNAL_H
#define LORE_LSM_LSM_INTERNAL_H

#include "lsm/lsm.h"

struct background; /* background.c */

/* Ids are reserved in the catalog this many at a time, before any is used. */
#define LSM_IDS_RESERVED 64u

/* A sequence number that somebody reads at, and how many do. */
struct pin {
    uint64_t sequence;
    uint64_t count;
};

struct lsm_totals {
    uint64_t flushes, compactions, rewrites; /* finished since opening */
    uint64_t read_bytes, written_bytes;      /* by the background */
    bool job_running;
};

struct lsm {
    struct lsm_config config;           /* its pointers outlive the tree */
    const struct allocator *allocator;  /* the environment's own: the tree object, pins */
    const struct allocator *versions;   /* context->table_allocator: shapes */
    const struct allocator *work;       /* context->work_allocator: edits, changes, sweeps */
    struct sys *sys;
    struct mutex *mutex;

    /* guarded by mutex */
    struct memtable *active;
    struct memtable *frozen;            /* NULL: none waits for its flush */
    struct version *version;
    uint64_t retired;                   /* memtables whose entries went to segments, or were replaced */
    struct pin *pins;                   /* ascending by sequence */
    size_t pins_count, pins_capacity;
    uint64_t pins_total;
    struct log_record_state log;        /* as the catalog has it */
    struct lsm_totals totals;

    _Atomic uint64_t view_number;       /* changed under the mutex, read anywhere */
    _Atomic uint64_t iterators;         /* open */
    _Atomic uint64_t room_bytes;        /* on the disk, for background work; 0: not known */

    /* the background's */
    struct counters_record counters;    /* as the catalog has them */
    uint64_t segment_next, run_next;    /* the next id to hand out, below the counter's end */
    uint64_t *dropped;                  /* ids whose dropped records go with the next edit */
    size_t dropped_count, dropped_capacity;
    struct background *background;      /* NULL in a read-only tree */
    bool read_failed;                   /* in the step at hand or the last one */
};

/* What reading for background work came to: a device that fails to read has lost no write. */
static inline lore_status lsm_reading(struct lsm *lsm, lore_status status) {
    lsm->read_failed |= status == LORE_IO;
    return status;
}

/* ---- background.c, called by lsm_open and lsm_close (not for a read-only tree) ---- */

/* Takes up the job in progress from the catalog. */
MUST_USE lore_status background_create(struct lsm *lsm, struct background **background);
void background_destroy(struct background *background); /* NULL is fine; gives up unfinished work */

/* ---- install.c: the background's alone ---- */

/* Commit `edit` to the catalog, under the catalog's mutex. LORE_FULL: nothing changed. */
MUST_USE lore_status lsm_commit(struct lsm *lsm, const struct catalog_edit *edit);

/* Make `change` the tree's: its 'S' records and the deletes of records dropped before are added to `edit` (which
 * may hold more, such as the job), the new version is built, the edit committed, the version installed.
 *
 * LORE_FULL, LORE_NO_MEMORY or a failure to open a new file: nothing has happened, the caller may unlink the files
 * that it wrote. Any failure after the commit was begun is final for the catalog and may have reached the disk:
 * *maybe_durable is then true, and the files must stay. */
MUST_USE lore_status lsm_install(struct lsm *lsm, struct version_change *change,
                                 struct catalog_edit *edit, bool *maybe_durable);
/* The same at the end of a flush: the 'L' record `log` joins the edit, and the frozen memtable is retired in the same
 * moment as the version appears. `change` may be empty (a memtable without entries). */
MUST_USE lore_status lsm_install_flush(struct lsm *lsm, struct version_change *change,
                                       struct catalog_edit *edit, const struct log_record_state *log,
                                       bool *maybe_durable);

/* Never handed out before, in any life of the store. May commit an edit of its own. */
MUST_USE lore_status lsm_take_segment_id(struct lsm *lsm, uint64_t *id);
MUST_USE lore_status lsm_take_run_id(struct lsm *lsm, uint64_t *id);
MUST_USE lore_status lsm_take_quarantine_number(struct lsm *lsm, uint64_t *number);

/* ---- lsm.c ---- */

/* One reference is the caller's. */
struct version *lsm_version(struct lsm *lsm);
struct memtable *lsm_frozen(struct lsm *lsm); /* NULL: none */
/* lsm_view_acquire that also says how many memtables were retired before it. */
void lsm_view_acquire_at(struct lsm *lsm, struct lsm_view *view, uint64_t *retired);
/* Pinned sequences, ascending, in memory from `allocator` (*count 0: NULL). Free with mem_put(allocator, *sequences,
 * *count * 8). A pin taken later is at or above every entry of the frozen memtable and of every table: see
 * lsm_pin_current. */
MUST_USE lore_status lsm_pins_copy(struct lsm *lsm, const struct allocator *allocator,
                                   uint64_t **sequences, size_t *count);
struct log_record_state lsm_log_state(struct lsm *lsm);
void lsm_add_totals(struct lsm *lsm, const struct lsm_totals *more); /* job_running is set, the rest added */

/* ---- sweep.c: at open, a writer's ---- */

/* Unlink unfinished and dropped segment files, move foreign ones to quarantine/ with a record each. */
MUST_USE lore_status lsm_sweep(struct lsm *lsm);

#endif
