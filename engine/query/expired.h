/*
 * expired.h - the rows that are past their time, from the index of expires_at: for counts that read
 * no records.
 */
#ifndef LORE_QUERY_EXPIRED_H
#define LORE_QUERY_EXPIRED_H

#include "query/query.h"

struct expired_rows {
    const struct allocator *allocator;
    uint64_t *rows; /* ascending; owned: capacity of them */
    size_t count, capacity;
};
/* All at run->now_us. On failure there is nothing to deinit. */
MUST_USE lore_status expired_rows_init(struct expired_rows *expired, struct query_run *run);
/* None: for a query that shows them. */
void expired_rows_init_empty(struct expired_rows *expired, const struct query_run *run);
void expired_rows_deinit(struct expired_rows *expired);
bool expired_rows_has(const struct expired_rows *expired, uint64_t row);

#endif
