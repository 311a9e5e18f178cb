/*
 * rewrite.h - value files with too much garbage, or many small ones, rewritten into one that
 * answers for the same logical ids. So no table changes.
 *
 * Values are walked in file order. Each was written with the sequence of its entry, and an entry
 * that refers to it has that sequence still, so one look into each run tells whether it is needed:
 * by any version of its key. Where a run cannot be read there, nobody can tell, and the rewrite is
 * given up.
 *
 * What loses its reference during the walk stays in the new file and is garbage there from the
 * start: the number of values kept, less those that the old files' counters say are alive at the
 * moment of installing.
 *
 * Threads: the background's.
 */
#ifndef LORE_LSM_REWRITE_H
#define LORE_LSM_REWRITE_H

#include "lsm/lsm_internal.h"

struct rewrite;
/* `ids`: value files of one kind and space, ascending by logical id, whose logical ids do not
 * interleave. */
MUST_USE lore_status rewrite_create(struct lsm *lsm, const uint64_t *ids, size_t count,
                                    struct rewrite **rewrite);
/* Unless done: removes the unfinished file. NULL is fine. */
void rewrite_destroy(struct rewrite *rewrite);
bool rewrite_has_file(const struct rewrite *rewrite, uint64_t id);
size_t rewrite_files(const struct rewrite *rewrite);
uint64_t rewrite_file(const struct rewrite *rewrite, size_t index);
/* After a failure only rewrite_destroy. LORE_CORRUPTION: *damaged is the segment that failed: a
 * value file, or a table that should have said whether a value is needed. */
MUST_USE lore_status rewrite_step(struct rewrite *rewrite, uint64_t budget_bytes,
                                  struct step_count *count, bool *done, uint64_t *damaged);

/* Whether an entry in the tables of `version` refers to `ref` under `key`. */
MUST_USE lore_status rewrite_is_referenced(const struct version *version, lore_slice key,
                                           uint64_t sequence, const struct value_ref *ref,
                                           struct read_count *count, struct bytes *scratch,
                                           bool *referenced, uint64_t *damaged);

#endif
