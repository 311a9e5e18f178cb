/*
 * flush.h - a frozen memtable becomes one table at level 0, at most one blob file, and one row
 * segment for each space that it touches. In steps that remember their place; nothing of it is seen
 * before the last, which installs all at once.
 *
 * Vectors lie together by space in key order, so only one row segment is being built at a time,
 * however many spaces there are.
 *
 * Threads: the background's.
 */
#ifndef LORE_LSM_FLUSH_H
#define LORE_LSM_FLUSH_H

#include "lsm/lsm_internal.h"

struct flush;
/* Takes up the frozen memtable, which must be there. */
MUST_USE lore_status flush_create(struct lsm *lsm, struct flush **flush);
/* Unless done: removes every file that it wrote. NULL is fine. */
void flush_destroy(struct flush *flush);
/* After a failure only flush_destroy; the memtable waits for another attempt. */
MUST_USE lore_status flush_step(struct flush *flush, uint64_t budget_bytes,
                                struct step_count *count, bool *done);

#endif
