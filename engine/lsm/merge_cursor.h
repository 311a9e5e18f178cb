/*
 * merge_cursor.h - many sources in one order, by a heap. Forward after seek and seek_first, backward after seek_before and
 * seek_last; step moves on in that direction.
 *
 * After a failure the cursor stands nowhere; seek again or give up.
 */
#ifndef LORE_LSM_MERGE_CURSOR_H
#define LORE_LSM_MERGE_CURSOR_H

#include "lsm/sources.h"

struct merge_cursor {
    const struct allocator *allocator;
    struct source *sources;   /* added ones, owned */
    size_t count, capacity;
    struct source **heap;     /* those that stand somewhere; heap[0] is the next in order. Same capacity */
    size_t heap_count;
    bool backward;
};

void merge_cursor_init(struct merge_cursor *cursor, const struct allocator *allocator);
void merge_cursor_deinit(struct merge_cursor *cursor);
/* Room for so many sources; before any is added. */
MUST_USE lore_status merge_cursor_reserve(struct merge_cursor *cursor, size_t sources);
/* Within what was reserved (asserted). */
void merge_cursor_add_memtable(struct merge_cursor *cursor, const struct memtable *memtable);
void merge_cursor_add_run(struct merge_cursor *cursor, const struct run *run,
                          const struct source_mode *mode);

MUST_USE lore_status merge_cursor_seek(struct merge_cursor *cursor, lore_slice key, uint64_t sequence);
MUST_USE lore_status merge_cursor_seek_first(struct merge_cursor *cursor);
MUST_USE lore_status merge_cursor_seek_before(struct merge_cursor *cursor, lore_slice key);
MUST_USE lore_status merge_cursor_seek_last(struct merge_cursor *cursor);
MUST_USE lore_status merge_cursor_step(struct merge_cursor *cursor);
/* NULL at the end. Its `at` is SOURCE_ENTRY or SOURCE_BROKEN. */
static inline const struct source *merge_cursor_top(const struct merge_cursor *cursor) {
    return cursor->heap_count == 0 ? NULL : cursor->heap[0];
}
void merge_cursor_collect_counts(struct merge_cursor *cursor);

#endif
