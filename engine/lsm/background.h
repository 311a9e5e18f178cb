/*
 * background.h - what the kinds of background work share: undoing files, the places of job records,
 * garbage counted by reference.
 *
 * Threads: the background's.
 */
#ifndef LORE_LSM_BACKGROUND_H
#define LORE_LSM_BACKGROUND_H

#include "lsm/lsm_internal.h"

/* Unlink a finished file that will not become part of the tree. What cannot be unlinked is swept at
 * the next open. */
void background_unlink(struct lsm *lsm, enum segment_kind kind, uint64_t id);
/* The same for all files that `change` would have added. */
void background_unlink_added(struct lsm *lsm, const struct version_change *change);
MUST_USE lore_status background_sync_dir(struct lsm *lsm);

/* The record of a merge in progress: one for level 0, one for the rest. JOB_ASKED is the record of
 * a compaction that was asked for and has not ended: output_run is the first segment id that was
 * free then, output_run_order when it was asked for last, done a check of the pinned sequences. */
enum job_slot { JOB_MAIN = 0, JOB_SMALL = 1, JOB_SLOTS, JOB_ASKED = JOB_SLOTS };

/* job_records.c. *found false: there is none in that slot. */
MUST_USE lore_status job_read(struct lsm *lsm, uint8_t slot, struct job_record *job, bool *found);
/* The compaction that was asked for: the first segment id that was free then; 0: none is
 * remembered, or it is too old. *same_pins (may be NULL): the pinned sequences are those of then.
 */
MUST_USE lore_status asked_read(struct lsm *lsm, uint64_t *fresh_from, bool *same_pins);
/* No space for the record is no failure: the compaction is what makes room. */
MUST_USE lore_status asked_remember(struct lsm *lsm, uint64_t fresh_from);
MUST_USE lore_status asked_forget(struct lsm *lsm);

/* Record the damage, and that the merge in `slot` (JOB_SLOTS: none) is given up. The error text of
 * this thread is the reason, and is there again at the end; the record is worth an attempt, no
 * more. */
void background_quarantine(struct lsm *lsm, uint64_t segment_id, uint8_t slot);

/* Values that lost their reference, by the logical id of their file. */
struct garbage_entry {
    uint64_t logical_id;
    uint64_t values, bytes;
};
struct garbage_list {
    const struct allocator *allocator;
    struct garbage_entry *list; /* ascending by logical id */
    size_t count, capacity;
};
void garbage_list_deinit(struct garbage_list *garbage);
/* `reference`: an entry's value. LORE_CORRUPTION if it is none. */
MUST_USE lore_status garbage_list_add(struct garbage_list *garbage, lore_slice reference);
/* New totals of the files of `version` to `change`. */
MUST_USE lore_status garbage_list_apply(const struct garbage_list *garbage,
                                        const struct version *version,
                                        struct version_change *change);

#endif
