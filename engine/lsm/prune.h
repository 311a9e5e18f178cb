/*
 * prune.h - one table written anew in its place, without what newer runs hide: versions that were
 * overwritten or deleted, alone or by range, and that no snapshot needs. It wants room for the
 * table's live part and gives back the whole table, so it gets on where a merge, which lets go of
 * its inputs late, does not fit the disk. A table of which nothing is left is only read, so that
 * the values that it refers to are counted as garbage.
 *
 * Nothing of it is remembered: after a crash it begins again.
 *
 * Threads: the background's.
 */
#ifndef LORE_LSM_PRUNE_H
#define LORE_LSM_PRUNE_H

#include "lsm/lsm_internal.h"

struct prune_limits {
    uint64_t output_bytes_max; /* give up when the output grows past it */
    uint32_t sources_max;      /* runs looked at together, at least 2 */
    uint32_t buffers_bytes;    /* for reading ahead, of all cursors together */
};

struct prune;
/* `table`: in the tree's version now. Its run must not change until the prune ends. */
MUST_USE lore_status prune_create(struct lsm *lsm, uint64_t table,
                                  const struct prune_limits *limits, struct prune **prune);
/* Removes the unfinished output. NULL is fine. */
void prune_destroy(struct prune *prune);
uint64_t prune_table(const struct prune *prune);
uint64_t prune_run(const struct prune *prune);
/* LORE_FULL: there is no room for what is left of the table, or too little would go (then
 * prune_found_little). After a failure the prune can only be destroyed. */
MUST_USE lore_status prune_step(struct prune *prune, uint64_t budget_bytes,
                                struct step_count *count, bool *done);
bool prune_found_little(const struct prune *prune);
/* Close the cursors, so that their memory is free until the next step. */
void prune_suspend(struct prune *prune);

/* Whether anything newer touches the table's keys: the `run`-th run of `version`, `slot` one of its
 * tables. */
bool prune_may_help(const struct version *version, size_t run, const struct table_slot *slot);

#endif
