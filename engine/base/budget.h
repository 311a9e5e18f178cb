/*
 * budget.h - the one number for memory. Every floor charges what it holds to the store's budget under a
 * purpose, so that `memory_budget` is a ceiling and stats can say where it went.
 *
 * Two kinds of charge. A must-have (memtable, index tops, buffers of a running step) is taken with
 * budget_take, which fails with LORE_NO_MEMORY over the ceiling. What can be done without (cached
 * blocks) asks budget_try first, and gives back when told to: the cache registers a reclaimer, and
 * budget_take calls it before it fails. What is evicted so is kept for those who wait in budget_take:
 * budget_try leaves it alone, so a cache cannot fill the room again before the asker has it, and
 * LORE_NO_MEMORY means that there is nothing left to evict.
 *
 * An allocation from a charged allocator may call the reclaimer: whoever holds a lock that the reclaimer
 * takes must use budget_try and the host's allocator instead.
 *
 * Threads: all calls from any thread; counters are atomic. The reclaimer is called without locks held
 * by the budget.
 */
#ifndef LORE_BASE_BUDGET_H
#define LORE_BASE_BUDGET_H

#include <stdatomic.h>
#include "base/alloc.h"

enum budget_purpose {
    BUDGET_FIXED,     /* catalog (LMDB's own), stacks, the store object: a reservation at open */
    BUDGET_MEMTABLE,
    BUDGET_CACHE,
    BUDGET_TABLE,     /* open readers: top indexes, range deletes, footers */
    BUDGET_WORK,      /* flush, compaction, recovery */
    BUDGET_QUERY,     /* iterators, searches, batches, results */
    BUDGET_PURPOSES
};

struct budget {
    uint64_t limit; /* bytes; set once */
    _Atomic uint64_t used;
    _Atomic uint64_t wanted; /* by calls of budget_take that wait for the reclaimer */
    _Atomic uint64_t peak;
    _Atomic uint64_t used_by[BUDGET_PURPOSES];
    /* Free at least `want` bytes if possible, and say how many it freed: 0 if there was nothing to
     * free. May be NULL. Set once, before threads start. */
    uint64_t (*reclaim)(void *context, uint64_t want);
    void *reclaim_context;
};

void budget_init(struct budget *budget, uint64_t limit);
MUST_USE lore_status budget_take(struct budget *budget, enum budget_purpose purpose, uint64_t bytes);
bool budget_try(struct budget *budget, enum budget_purpose purpose, uint64_t bytes);
void budget_give(struct budget *budget, enum budget_purpose purpose, uint64_t bytes);

/* An allocator that charges a purpose of a budget: what it hands out is counted by its size plus a
 * fixed estimate of the host allocator's own overhead. Embed it; it must outlive its blocks. */
struct charged_allocator {
    struct allocator base; /* hand out &base */
    const struct allocator *host;
    struct budget *budget;
    enum budget_purpose purpose;
};
void charged_allocator_init(struct charged_allocator *charged, const struct allocator *host,
                            struct budget *budget, enum budget_purpose purpose);

#endif
