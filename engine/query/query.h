/*
 * query.h - the query floor: search by filters, substring and exact vectors; chat; values; counts.
 *
 *   filter.c     what a condition may say; whether a memory meets it
 *   contains.c   bytes within a text
 *   match.c      one row against all of a query: read once, checked against everything
 *   row_source.c ranges of index keys as a stream of rows
 *   plan.c       which range drives a query, by counting
 *   order.c      sort keys, and a bounded heap of the first of them
 *   nearest.c    exact nearest neighbours
 *   search.c     lore_search, lore_query_init
 *   values.c     lore_values, lore_count;  expired.c  rows past their time
 *   chat.c       lore_chat, lore_chat_query_init
 *   results.c    lore_results
 *   selftest.c   lore_selftest
 *
 * What a condition means where a memory lacks the attribute (a text of 0 bytes; a time of 0, but
 * for last_accessed_at, where 0 is a time like any other; a position outside of a session): EQ and
 * NE compare the empty text or 0; all other operators are not met. That is also just what the index
 * holds, so a range of the index and a check of all memories agree.
 *
 * Orders: equal keys stand by row, ascending, in a descending order descending. Memories without a
 * creation time come last in both directions.
 *
 * An index is trusted to name candidates and nothing else: each row is read at the query's sequence
 * and checked against all conditions, so an entry too many never shows.
 *
 * Memory: charged to the query allocator. A search holds limit + offset keys of 24 bytes, the
 * buffers of a scan, and the records that it returns.
 *
 * Threads: any; a call keeps all it has on its own stack and heap.
 */
#ifndef LORE_QUERY_QUERY_H
#define LORE_QUERY_QUERY_H

#include "memory/memory.h"

/* Conditions of one query; a bit each in row_source.covers. */
#define QUERY_FILTERS_MAX 64u

/* One call's read: on the stack of the public call. */
struct query_run {
    lore_store *store;
    const struct allocator *allocator; /* the store's for queries */
    struct store_read reading;
    struct read_count count; /* added to the store's at the end */
    int64_t now_us;          /* for expiry and access times: one for the whole call */
};
/* Begins with store_check. After a failure there is nothing to end. */
MUST_USE lore_status query_run_begin(struct query_run *run, lore_store *store,
                                     const lore_snapshot *snapshot);
void query_run_end(struct query_run *run);

/* A checked copy of the caller's query (NULL: the defaults): `query` has every member this library
 * knows. LORE_INVALID. */
MUST_USE lore_status query_take(const lore_query *given, lore_query *query);

#endif
