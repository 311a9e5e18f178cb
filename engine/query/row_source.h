/*
 * row_source.h - a range of keys that names rows: candidates for a query.
 *
 *   keys of       rows come in the order of
 *   RECORD        row                              every row, also those that a later one replaced
 *   ID            id
 *   INDEX         value, row                       rows alone where the range is of one value
 *   SESSION       position, row                    of one session
 *
 * Ownership: a source owns its bounds; a cursor owns its iterator and refers to its source.
 */
#ifndef LORE_QUERY_ROW_SOURCE_H
#define LORE_QUERY_ROW_SOURCE_H

#include "query/query.h"

struct row_source {
    lore_keyspace keyspace;
    lore_attribute attribute;  /* INDEX: of this attribute */
    struct bytes lower, upper; /* whole keys, lower inclusive, upper exclusive */
    bool one_value;            /* rows come ascending */
    lore_slice tags_prefix;    /* repeats: a row may come once for each of its tags that begin so */
    bool repeats;
    uint64_t covers; /* bit i: filter i is met by every row of the range */
};

void row_source_init(struct row_source *source, const struct query_run *run);
void row_source_deinit(struct row_source *source);

/* Every live memory, in order of row (candidates may be dead: they are read anyway). */
MUST_USE lore_status row_source_all(struct row_source *source);
/* Every live memory exactly once, in order of id. */
MUST_USE lore_status row_source_ids(struct row_source *source);
/* All entries of an indexed attribute. */
MUST_USE lore_status row_source_values(struct row_source *source, lore_attribute attribute);
/* The entries of an attribute that meet all of the conditions on it that a range can answer;
 * *usable false: there is no such. The range is then of all its entries, if it is indexed. Not for
 * tags. */
MUST_USE lore_status row_source_attribute(struct row_source *source, lore_attribute attribute,
                                          const lore_filter *filters, size_t count, bool *usable);
/* The entries of one condition on tags. */
MUST_USE lore_status row_source_tag(struct row_source *source, const lore_filter *filters,
                                    size_t index, bool *usable);
/* The turns of one session within the conditions on position. */
MUST_USE lore_status row_source_turns(struct row_source *source, const lore_filter *filters,
                                      size_t count, bool *usable);

/* The turns of one session with from <= position < to. */
MUST_USE lore_status row_source_session(struct row_source *source, lore_slice session,
                                        uint64_t from, uint64_t to);

struct row_cursor {
    struct query_run *run;
    const struct row_source *source;
    struct lsm_iterator *iterator; /* NULL: an empty range */
    bool backward;
    bool started;
};
/* On failure there is nothing to close. */
MUST_USE lore_status row_cursor_open(struct row_cursor *cursor, struct query_run *run,
                                     const struct row_source *source, bool backward);
void row_cursor_close(struct row_cursor *cursor);
/* *found false: the end. */
MUST_USE lore_status row_cursor_next(struct row_cursor *cursor, uint64_t *row, bool *found);
/* Whether this is the entry by which a memory counts, of those that the range has of it. */
MUST_USE lore_status row_cursor_counts(const struct row_cursor *cursor, const lore_memory *memory,
                                       bool *counts);

/* Entries of the range, `cap` if there are so many or more. */
MUST_USE lore_status row_source_count(struct query_run *run, const struct row_source *source,
                                      uint64_t cap, uint64_t *count);

#endif
