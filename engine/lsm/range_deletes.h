/*
 * range_deletes.h - the range deletes of many sources as one skyline: the key space cut at every begin and end into
 * fragments, each with the sequence numbers of the range deletes that cover it.
 *
 *   added     a ------5------ m          built   a --5-- f --5,9-- m --9-- t
 *                   f ------9------ t
 *
 * With pins, a fragment keeps the newest sequence of each interval between pins (what lies between two of them
 * nobody can tell apart); without pins, the newest alone.
 *
 * Ownership: everything is copied. Threads: none of its own.
 */
#ifndef LORE_LSM_RANGE_DELETES_H
#define LORE_LSM_RANGE_DELETES_H

#include "base/arena.h"
#include "base/entry.h"

struct range_fragment {
    lore_slice begin, end;       /* begin <= key < end */
    const uint64_t *sequences;   /* descending, at least one */
    size_t count;
};

struct range_deletes {
    const struct allocator *allocator;
    struct arena arena;          /* bounds of what was added */
    struct added_range *added;
    size_t added_count, added_capacity;
    struct range_fragment *fragments; /* ascending, without overlap; gaps are covered by nothing */
    size_t count, fragments_capacity;
    uint64_t *sequences;         /* of all fragments */
    size_t sequences_count, sequences_capacity;
};

void range_deletes_init(struct range_deletes *deletes, const struct allocator *allocator);
void range_deletes_deinit(struct range_deletes *deletes);
/* An empty range is ignored. */
MUST_USE lore_status range_deletes_add(struct range_deletes *deletes, lore_slice begin, lore_slice end,
                                       uint64_t sequence);
/* Once, after the last add. `pins`: ascending. */
MUST_USE lore_status range_deletes_build(struct range_deletes *deletes, const uint64_t *pins,
                                         size_t pins_count);

/* After build: the highest sequence <= `sequence` that covers key; 0: none. */
uint64_t range_deletes_covering(const struct range_deletes *deletes, lore_slice key, uint64_t sequence);
/* Index of the first fragment whose end is after key; count: none. */
size_t range_deletes_find(const struct range_deletes *deletes, lore_slice key);

#endif
