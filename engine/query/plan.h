/*
 * plan.h - which range of keys drives a query.
 *
 * Every condition that an index can answer is a range of keys. Their entries are counted, one value
 * before a stretch of values, each only up to the smallest count so far; the smallest range drives.
 * Conditions that it covers need no check of their own, all others are checked on the records.
 */
#ifndef LORE_QUERY_PLAN_H
#define LORE_QUERY_PLAN_H

#include "query/row_source.h"

/* A range with as many entries is not counted further. */
#define PLAN_COUNT_CAP 4096u

struct plan {
    struct row_source source;
    bool by_index; /* false: no condition has a range, all memories are candidates */
    bool counted;  /* `count` is exact, else the range has that many entries or more */
    uint64_t count;
};
/* Filters are checked. On failure there is nothing to deinit. */
MUST_USE lore_status plan_make(struct query_run *run, const lore_filter *filters, size_t count,
                               uint64_t cap, struct plan *plan);
void plan_deinit(struct plan *plan);

/* Whether every row of the source meets all of `count` filters. */
bool plan_covers(const struct plan *plan, size_t count);

#endif
