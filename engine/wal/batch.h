/*
 * batch.h - a batch as bytes: the payload of a LOG_BATCH record, and what the memtable takes in.
 *
 *   payload
 *      0  u64  sequence of the first entry; the others follow by one
 *      8  u64  first row that the batch takes
 *     16  u32  rows taken
 *     20  u32  entries
 *     24  ...  entries: u8 kind, varint key length, key, varint value length, value
 *              (a delete has neither value nor value length; kinds PUT, DELETE, RANGE_DELETE, MERGE, VECTOR only)
 *
 * Rows are handed out when the batch is committed, so a writer names the n-th new row of its batch by n and notes
 * the places of its 8 big-endian bytes (a "row slot"); batch_seal adds the first row to each.
 *
 * Conditions are not part of the payload: they are checked before it is written.
 */
#ifndef LORE_WAL_BATCH_H
#define LORE_WAL_BATCH_H

#include "base/budget.h"
#include "base/entry.h"

#define BATCH_HEADER_BYTES 24u
/* Of the payload: its length is 32 bits in the log, and all of it is in memory. */
#define BATCH_BYTES_MAX (UINT32_C(1) << 30)
/* What a memtable takes for an entry beside its key and value, at most: memtable_bytes is made of it. */
#define BATCH_ENTRY_OVERHEAD 160u

enum condition_kind { CONDITION_ABSENT = 1, CONDITION_UNCHANGED = 2 };

struct batch {
    struct bytes payload;
    uint32_t entries;
    uint32_t deletes;         /* of the entries: deletes and range deletes */
    uint32_t rows;            /* new rows wanted */
    struct bytes row_slots;   /* u32 offsets into payload, native order */
    struct bytes conditions;  /* u8 kind, u64 sequence, varint length, key: see batch_next_condition */
    uint32_t conditions_count;
    uint64_t memtable_bytes;  /* what its entries will take in a memtable, at most */
    bool sealed;              /* rows patched: not to be written twice */
    bool frees_space;         /* set by who builds it: its puts only bury what its deletes remove */
    size_t key_at, key_size;     /* of the entry added last, in payload */
    size_t value_at, value_size; /* likewise */
};

void batch_init(struct batch *batch, const struct allocator *allocator);
void batch_deinit(struct batch *batch);
void batch_clear(struct batch *batch);

/* Keys come with their keyspace at the head; lengths are checked here (LORE_TOO_BIG), and that a range is not empty,
 * that an operand is one, that a vector's key is one (LORE_INVALID). After a failure the batch is as before. */
MUST_USE lore_status batch_put(struct batch *batch, lore_slice key, lore_slice value);
MUST_USE lore_status batch_delete(struct batch *batch, lore_slice key);
MUST_USE lore_status batch_delete_range(struct batch *batch, lore_slice begin, lore_slice end);
MUST_USE lore_status batch_merge(struct batch *batch, lore_slice key, lore_slice operand);
MUST_USE lore_status batch_vector(struct batch *batch, lore_slice key, lore_slice value);
/* Take one more new row; its number within the batch. */
uint32_t batch_take_row(struct batch *batch);
/* The entry added last holds the number of a new row as 8 big-endian bytes at `at` bytes into its key (or its
 * value): note it as a row slot. After a failure the batch is good for nothing but clear and deinit. */
MUST_USE lore_status batch_row_in_key(struct batch *batch, size_t at);
MUST_USE lore_status batch_row_in_value(struct batch *batch, size_t at);
MUST_USE lore_status batch_require_absent(struct batch *batch, lore_slice key);
MUST_USE lore_status batch_require_unchanged(struct batch *batch, lore_slice key, uint64_t sequence);

/* The batch has entries, or there is nothing to write. Set sequence and first row, and patch the row slots. A batch that is written again is sealed anew (slots hold
 * the number within the batch again after batch_unseal). */
void batch_seal(struct batch *batch, uint64_t first_sequence, uint64_t first_row);
void batch_unseal(struct batch *batch);

/* Walk the entries of a batch that is being built or waits to be sealed: their sequence numbers mean nothing. With
 * batch_view_next. */
struct batch_view;
void batch_entries(const struct batch *batch, struct batch_view *view);

/* Reading a payload, trusting nothing. */
struct batch_view {
    uint64_t first_sequence, first_row;
    uint32_t rows, entries;
    struct reader at;
    uint32_t index;   /* of the next entry */
};
MUST_USE lore_status batch_view_open(lore_slice payload, struct batch_view *view);
/* *found false at the end; LORE_CORRUPTION on malformed bytes. */
MUST_USE lore_status batch_view_next(struct batch_view *view, struct entry *entry, bool *found);

struct condition_view {
    enum condition_kind kind;
    uint64_t sequence;
    lore_slice key;
};
/* Walk with *cursor from 0; false at the end. */
bool batch_next_condition(const struct batch *batch, size_t *cursor, struct condition_view *condition);

#endif
