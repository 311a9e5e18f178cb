/*
 * memtable.h - the sorted in-memory map that takes in batches until it is flushed.
 *
 * Threads: one writer at a time (the commit order); any number of readers beside it, without waiting. A reader sees
 * an entry whole or not at all; which entries count is decided by sequence number, so a batch that is half in
 * is invisible until the store moves its visible sequence past it.
 *
 * Memory: an arena. memtable_reserve takes what a batch can need before the batch is logged, so that apply cannot
 * fail after. Nothing is freed before memtable_release of the last reference.
 *
 * Life: active -> frozen (no more writes) -> flushed (its entries are in segments). memtable_set_state asserts the
 * order.
 */
#ifndef LORE_MEMTABLE_MEMTABLE_H
#define LORE_MEMTABLE_MEMTABLE_H

#include "base/arena.h"
#include "base/budget.h"
#include "base/entry.h"
#include "wal/batch.h"

struct memtable;
enum memtable_state { MEMTABLE_ACTIVE, MEMTABLE_FROZEN, MEMTABLE_FLUSHED };

/* What one entry takes at most, for batch.memtable_bytes and for filling up. */
#define MEMTABLE_ENTRY_OVERHEAD 160u

/* `log_number`: the log file whose records it holds. One reference is the caller's. */
MUST_USE lore_status memtable_create(const struct allocator *host, struct budget *budget,
                                     uint64_t capacity_bytes, uint64_t log_number,
                                     struct memtable **memtable);
void memtable_retain(struct memtable *memtable);
void memtable_release(struct memtable *memtable);

/* Whether a batch of that size still fits the capacity (an empty memtable takes any). */
bool memtable_fits(const struct memtable *memtable, uint64_t batch_bytes);
/* For the batches that are applied next, together; a later reserve takes the place of what is left of it. */
MUST_USE lore_status memtable_reserve(struct memtable *memtable, uint64_t batch_bytes);
/* After reserve. The payload is a batch's, already checked by whoever read it from a file. */
void memtable_apply(struct memtable *memtable, lore_slice payload);

enum memtable_state memtable_state(const struct memtable *memtable);
void memtable_set_state(struct memtable *memtable, enum memtable_state state);
uint64_t memtable_log_number(const struct memtable *memtable);
/* An active memtable that goes on to take the records of a later log. */
void memtable_set_log_number(struct memtable *memtable, uint64_t log_number);
/* Commit time of the last batch, as its writer noted it; 0: never. */
void memtable_note_time(struct memtable *memtable, int64_t time_us);
int64_t memtable_last_time_us(const struct memtable *memtable);
/* Rows below it were handed out by the batches in here; 0: none was. */
uint64_t memtable_row_watermark(const struct memtable *memtable);
uint64_t memtable_bytes(const struct memtable *memtable);
uint64_t memtable_entries(const struct memtable *memtable);
uint64_t memtable_first_sequence(const struct memtable *memtable); /* 0: empty */
uint64_t memtable_last_sequence(const struct memtable *memtable);
/* Range deletes are few: past MEMTABLE_RANGE_DELETES_MAX memtable_fits says no. */
#define MEMTABLE_RANGE_DELETES_MAX 256u
size_t memtable_range_deletes(const struct memtable *memtable);
/* index < memtable_range_deletes at the time of the call; entry.value is the end. */
void memtable_range_delete(const struct memtable *memtable, size_t index, struct entry *entry);
/* The highest sequence <= `sequence` of a range delete that covers key; 0: none. */
uint64_t memtable_covering(const struct memtable *memtable, lore_slice key, uint64_t sequence);

/* A cursor over point entries in (key, sequence descending) order; points into the arena. Plain data: no cleanup. */
struct memtable_cursor {
    const struct memtable *memtable;
    const void *node; /* NULL: not valid */
};
void memtable_cursor_init(struct memtable_cursor *cursor, const struct memtable *memtable);
/* First entry at or after (key, sequence): the newest version of key not newer than sequence, or beyond. */
void memtable_seek(struct memtable_cursor *cursor, lore_slice key, uint64_t sequence);
/* Last entry before (key, SEQUENCE_MAX), that is of a smaller key. */
void memtable_seek_before(struct memtable_cursor *cursor, lore_slice key);
void memtable_seek_first(struct memtable_cursor *cursor);
void memtable_seek_last(struct memtable_cursor *cursor);
void memtable_next(struct memtable_cursor *cursor);
void memtable_prev(struct memtable_cursor *cursor);
bool memtable_cursor_entry(const struct memtable_cursor *cursor, struct entry *entry); /* false: not valid */

#endif
