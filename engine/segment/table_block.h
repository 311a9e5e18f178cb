/*
 * table_block.h - sorted blocks of a table: built, and walked over bytes that need not be sound. table_format.h draws them.
 *
 * Order is (key ascending, sequence descending) throughout.
 *
 * Threads: a builder or cursor belongs to one; the bytes may be shared.
 */
#ifndef LORE_SEGMENT_TABLE_BLOCK_H
#define LORE_SEGMENT_TABLE_BLOCK_H

#include "segment/table_format.h"

/* ---- building ---- */

struct table_block_builder {
    uint32_t restart_interval; /* entries */
    bool hash_index;
    uint32_t entries;
    uint32_t since_restart;
    struct bytes data;     /* entries; after finish, the whole block */
    struct bytes restarts; /* u32 each, as stored */
    struct bytes hashes;   /* struct key_hash each */
    struct bytes last_key;
};
void table_block_builder_init(struct table_block_builder *builder,
                              const struct allocator *allocator, uint32_t restart_interval,
                              bool hash_index);
void table_block_builder_deinit(struct table_block_builder *builder);
void table_block_builder_clear(struct table_block_builder *builder);
/* Entries in order. `hash`: check64 of the key, if there is a hash index. */
MUST_USE lore_status table_block_builder_add(struct table_block_builder *builder, lore_slice key,
                                             uint64_t packed, lore_slice value, uint64_t hash);
/* What the block would be with an entry more, at most. */
size_t table_block_builder_size_with(const struct table_block_builder *builder, size_t key_size,
                                     size_t value_size);
/* *raw is valid until clear. */
MUST_USE lore_status table_block_builder_finish(struct table_block_builder *builder,
                                                lore_slice *raw);

/* ---- reading ---- */

/* (key, sequence) against (key, sequence), in the order of the tree. */
static inline int table_order(lore_slice key_a, uint64_t sequence_a, lore_slice key_b,
                              uint64_t sequence_b) {
    int order = slice_compare(key_a, key_b);
    if (order != 0) return order;
    return sequence_a > sequence_b ? -1 : sequence_a < sequence_b;
}

/* A block taken apart. Borrows its bytes. */
struct table_block {
    const uint8_t *data;
    uint32_t entries_end;
    const uint8_t *restarts;
    uint32_t restarts_count;
    const uint8_t *buckets;
    uint32_t buckets_count;
};
/* LORE_CORRUPTION if the ends do not fit. An empty block has no restarts. */
MUST_USE lore_status table_block_parse(lore_slice raw, struct table_block *block);

struct table_block_entry {
    lore_slice key, value; /* within the block */
    uint64_t packed;
};
/* The entry at a restart, which has its whole key. False if there is none that is sound. */
bool table_block_restart(const struct table_block *block, uint32_t index,
                         struct table_block_entry *entry);

/* The functions below fail with LORE_CORRUPTION at the first malformed entry (its text names the place in the block; the
 * caller adds the file), or LORE_NO_MEMORY, and leave the cursor not valid. */
struct table_block_cursor {
    struct table_block block;
    uint32_t kinds;     /* bits of kinds that may stand here */
    uint32_t at, next;  /* offsets of the current entry and the one after; at == entries_end: not valid */
    struct bytes key;   /* of the current entry */
    uint64_t packed;
    lore_slice value;   /* within the block */
};
/* `key` may be memory of the caller's (data, capacity) of KEY_BOUND_BYTES_MAX bytes with no allocator: it never needs to
 * grow. Otherwise it is bytes_empty(...), and the cursor's owner frees it. */
void table_block_cursor_init(struct table_block_cursor *cursor, uint32_t kinds, struct bytes key);
/* Look at another block; not valid until moved. */
MUST_USE lore_status table_block_cursor_open(struct table_block_cursor *cursor, lore_slice raw);
static inline bool table_block_cursor_valid(const struct table_block_cursor *cursor) {
    return cursor->at < cursor->block.entries_end;
}
static inline uint64_t table_block_cursor_sequence(const struct table_block_cursor *cursor) {
    return cursor->packed >> 8;
}
MUST_USE lore_status table_block_cursor_first(struct table_block_cursor *cursor);
MUST_USE lore_status table_block_cursor_last(struct table_block_cursor *cursor);
MUST_USE lore_status table_block_cursor_next(struct table_block_cursor *cursor);
MUST_USE lore_status table_block_cursor_prev(struct table_block_cursor *cursor);
/* To the first entry not before (key, sequence); not valid if there is none. */
MUST_USE lore_status table_block_cursor_seek(struct table_block_cursor *cursor, lore_slice key,
                                             uint64_t sequence);
/* The same by the hash index where there is one, for who wants this key and no other: if the block does not hold the key, the
 * cursor may be not valid or at another. `hash`: check64(key). */
MUST_USE lore_status table_block_cursor_seek_hashed(struct table_block_cursor *cursor,
                                                    lore_slice key, uint64_t sequence,
                                                    uint64_t hash);

#endif
