/*
 * compaction.h - a merge of runs into one, in steps.
 *
 * The inputs are merged in key order through the write filter into output tables, cut at
 * table_bytes_max between two keys. Each finished output is installed at once, in one edit with the
 * cuts of the inputs that it has used in part, the drop of those it has used up, the garbage that
 * it made, and the job's record. So the job goes on after a crash where the last output ended, and
 * gives space back as it goes. A merge into the last run keeps that run's id: its old tables are
 * consumed up to the cut like any input's, and the outputs stand before what is left of them.
 *
 * A table of some size that nothing else of the merge overlaps is not read: one of the last run
 * stays where it is, one of an input is moved to the output run by a catalog commit, if the filter
 * would find nothing to do in it.
 *
 * Steps end between two keys. The cursors can be closed there and are opened again by key.
 *
 * Threads: the background's.
 */
#ifndef LORE_LSM_COMPACTION_H
#define LORE_LSM_COMPACTION_H

#include "lsm/lsm_internal.h"

struct compaction_config {
    struct job_record job;  /* moved in, also on failure */
    uint8_t slot;           /* of the job's record in the catalog: 'J' be64 slot */
    bool pass_tables;       /* leave alone or move tables that nothing overlaps */
    uint64_t fresh_from;    /* else leave alone those of the last run from this id on; 0: none */
    uint32_t buffers_bytes; /* for reading ahead, of all cursors together */
};

struct compaction;
MUST_USE lore_status compaction_create(struct lsm *lsm, struct compaction_config *config,
                                       struct compaction **compaction);
/* Removes the unfinished output. NULL is fine. */
void compaction_destroy(struct compaction *compaction);
const struct job_record *compaction_job(const struct compaction *compaction);
/* Whether a run takes part, as input or output. */
bool compaction_has_run(const struct compaction *compaction, uint64_t run);

/* LORE_CORRUPTION: *damaged is the segment that failed. After a failure: what was not installed is
 * undone, and a step may be tried again (but not after LORE_CORRUPTION). */
MUST_USE lore_status compaction_step(struct compaction *compaction, uint64_t budget_bytes,
                                     struct step_count *count, bool *done, uint64_t *damaged);
/* Close the cursors, so that their memory is free until the next step. */
void compaction_suspend(struct compaction *compaction);

#endif
