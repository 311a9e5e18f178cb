/*
 * match.h - one candidate row against all of a query: read once, then checked.
 */
#ifndef LORE_QUERY_MATCH_H
#define LORE_QUERY_MATCH_H

#include "query/row_source.h"

struct matcher {
    struct query_run *run;
    const lore_filter *filters; /* checked */
    size_t filters_count;
    lore_slice substring;
    bool ignore_ascii_case;
    bool shows_expired;
    bool lacks_creation; /* a condition of its own: only memories without a creation time */
    unsigned read_flags; /* for memory_read_row */
};
/* The query's conditions. Reads attributes alone, and the text where a substring is looked for. */
void matcher_init(struct matcher *matcher, struct query_run *run, const lore_query *query);

/* *record: the caller's, or NULL where the row is dead or does not match. `cursor`: where the row
 * came from, NULL for elsewhere. */
MUST_USE lore_status matcher_read(const struct matcher *matcher, const struct row_cursor *cursor,
                                  uint64_t row, lore_record **record);

#endif
