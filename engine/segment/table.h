/*
 * table.h - tables: sorted, immutable runs of entries. table_format.h draws the bytes.
 *
 * A table is written in partitions. A partition is up to TABLE_PARTITION_BLOCKS data blocks, followed by its binary fuse
 * filter over the distinct keys in it and its index block (last key, offset, length, check of each data block). The top
 * index (last key, and place and check of filter and index of each partition) and the range deletes stay in memory while
 * the table is open. So building needs memory for one partition, a point read touches filter, index and data block
 * (the first two usually cached), and finishing a table of any size writes a bounded tail.
 *
 * A key's versions never straddle two tables of one run.
 */
#ifndef LORE_SEGMENT_TABLE_H
#define LORE_SEGMENT_TABLE_H

#include "segment/segment.h"

/* ---- building ---- */

struct table_builder;
struct table_builder_config {
    uint64_t id;
    uint8_t level, tier;
    uint32_t block_bytes;      /* raw, aimed at: 1 to TABLE_BLOCK_BYTES_MAX. An entry that is larger has its own block */
    lore_compression compression;
    bool high_compression;     /* LZ4 HC: last level, cold tier */
    const uint64_t *inputs;    /* ids it replaces; borrowed until create returns */
    size_t inputs_count;
};
MUST_USE lore_status table_builder_create(const struct segment_context *context,
                                          const struct table_builder_config *config,
                                          struct table_builder **builder);
/* Entries in (key ascending, sequence descending) order; asserted. Kinds as tables hold them (no ENTRY_VECTOR).
 * LORE_TOO_BIG for a value near TABLE_BLOCK_RAW_MAX. After a failure of this or the next two, only destroy. */
MUST_USE lore_status table_builder_add(struct table_builder *builder, const struct entry *entry);
/* Range deletes by begin ascending, in any order for one begin; may overlap, and come at any time before finish.
 * entry->value is the end. */
MUST_USE lore_status table_builder_add_range_delete(struct table_builder *builder,
                                                    const struct entry *entry);
uint64_t table_builder_bytes(const struct table_builder *builder);   /* written or gathered so far */
uint64_t table_builder_written(const struct table_builder *builder); /* written to the file so far */
uint64_t table_builder_entries(const struct table_builder *builder);
/* Write the rest, sync the file (not its directory) and give its summary (initialised here, from
 * context->table_allocator; the caller's to deinit, empty after a failure). */
MUST_USE lore_status table_builder_finish(struct table_builder *builder, struct segment_summary *summary);
/* Unfinished: removes the file. */
void table_builder_destroy(struct table_builder *builder);

/* ---- reading ---- */

struct table;
/* Counters of one caller: blocks fetched from files, and their bytes. May be NULL everywhere. */
struct read_count {
    uint64_t blocks_read, blocks_hit, bytes_read;
};

/* Check header, trailer, footer against the summary, load top index and range deletes. LORE_CORRUPTION names what
 * differs. The summary is copied. */
MUST_USE lore_status table_open(const struct segment_context *context,
                                const struct segment_summary *summary, struct table **table);
void table_close(struct table *table);
struct pooled_file *table_file(struct table *table);
size_t table_range_delete_count(const struct table *table);
void table_range_delete(const struct table *table, size_t index, struct entry *entry);
/* The highest sequence <= `sequence` of a range delete that covers key; 0: none. Costs the logarithm of their number, and
 * those that cover the key. */
uint64_t table_covering(const struct table *table, lore_slice key, uint64_t sequence);

/* The newest entry of `key` not newer than `sequence`. Key and value of *entry are copied into `value` (the value alone;
 * entry->key is the caller's key). */
MUST_USE lore_status table_get(struct table *table, lore_slice key, uint64_t sequence,
                               struct read_count *count, struct entry *entry, struct bytes *value,
                               bool *found);

/* A cursor in (key, sequence descending) order. After a failed move it is not valid, and may be sought again. `scan`: reads ahead with its own buffer of `readahead_bytes`, charged to
 * work, past the cache (compaction, verify, dump); otherwise through the cache. */
struct table_cursor;
MUST_USE lore_status table_cursor_create(struct table *table, const struct allocator *allocator,
                                         bool scan, uint32_t readahead_bytes,
                                         struct table_cursor **cursor);
void table_cursor_destroy(struct table_cursor *cursor);
MUST_USE lore_status table_cursor_seek(struct table_cursor *cursor, lore_slice key, uint64_t sequence);
MUST_USE lore_status table_cursor_seek_before(struct table_cursor *cursor, lore_slice key);
MUST_USE lore_status table_cursor_seek_first(struct table_cursor *cursor);
MUST_USE lore_status table_cursor_seek_last(struct table_cursor *cursor);
MUST_USE lore_status table_cursor_next(struct table_cursor *cursor);
MUST_USE lore_status table_cursor_prev(struct table_cursor *cursor);
/* False: not valid. Slices live until the cursor moves. */
bool table_cursor_entry(const struct table_cursor *cursor, struct entry *entry);
struct read_count *table_cursor_count(struct table_cursor *cursor);

/* ---- checking ---- */

struct segment_fault {
    uint64_t offset;
    lore_slice first_key, last_key; /* hurt range, as the index knows it; size 0: all of the table */
    const char *message;
};
typedef void (*segment_fault_fn)(void *context, const struct segment_fault *fault);
/* Read everything: every block's check, order, counts, filter agreement (every key passes its filter), digest of the
 * whole file. Goes on after a fault. LORE_CORRUPTION if there was one. `keep_going` may be NULL; false cancels. */
MUST_USE lore_status table_verify(const struct segment_context *context,
                                  const struct segment_summary *summary, segment_fault_fn fault,
                                  bool (*keep_going)(void *context, uint64_t bytes), void *fault_context,
                                  uint64_t *entries);

/* For salvage: every entry of every block that checks, in order, then the range deletes, to `entry`, which stops the walk with
 * anything but LORE_OK; and what does not check to `fault` (may be NULL): the keys between which entries are missing, both
 * included, or no keys where none are. LORE_OK however little could be read. */
typedef lore_status (*table_entry_fn)(void *context, const struct entry *entry);
MUST_USE lore_status table_read_sound(const struct segment_context *context,
                                      const struct segment_summary *summary, table_entry_fn entry,
                                      segment_fault_fn fault, void *entry_context);

#endif
