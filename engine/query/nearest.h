/*
 * nearest.h - exact nearest neighbours: every vector of the space is held against the query, or,
 * where the conditions leave few rows, theirs alone.
 *
 * A scan offers vectors by their place: in a row segment of the version, or in a memtable. One that
 * would be kept is confirmed first: the newest visible entry of its key is this very vector (so
 * replaced and deleted ones, and those after the snapshot, never show), then its memory matches all
 * conditions. So whatever is dropped was dropped before it took a place: if k match, k come back.
 */
#ifndef LORE_QUERY_NEAREST_H
#define LORE_QUERY_NEAREST_H

#include "query/query.h"
#include "vector/topk.h"

struct nearest_rows {
    struct topk_entry *entries; /* best first; `count` of `capacity` */
    size_t count, capacity;
    const struct allocator *allocator;
};
/* The query's limit + offset best rows. The caller frees them, also of a failure. */
MUST_USE lore_status nearest_find(struct query_run *run, const lore_query *query,
                                  struct nearest_rows *rows);
void nearest_rows_deinit(struct nearest_rows *rows);

#endif
