/*
 * blob.h - blob files: values too large to be rewritten with their keys at every level.
 * blob_format.h draws the bytes.
 *
 * Each value is stored once, as a block, together with its key, so that a rewrite can ask whether
 * it is still referred to and a salvage knows what it was. An index of fixed entries (ordinal, key
 * length, offset, lengths, check), in pages of 4 KiB, finds it: by place when the ordinals are
 * dense, by binary search after a rewrite. The checks of the pages are in a tree (check_tree.h)
 * whose root the footer holds, so that an open file takes less than a kilobyte and its groups.
 *
 * Memory: a builder charges BLOB_ENTRY_BYTES a value and up to two buffers of the value's size to
 * work; a read of a value that is too large for the cache takes it from the caller's allocator.
 *
 * Threads: a builder and a cursor belong to one thread; an open blob may be read by any.
 */
#ifndef LORE_SEGMENT_BLOB_H
#define LORE_SEGMENT_BLOB_H

#include "segment/segment.h"
#include "segment/table.h"

struct blob_builder;
struct blob_builder_config {
    uint64_t id;
    uint8_t tier;
    lore_compression compression;
    const uint64_t *inputs;
    size_t inputs_count;
};
MUST_USE lore_status blob_builder_create(const struct segment_context *context,
                                         const struct blob_builder_config *config,
                                         struct blob_builder **builder);
/* A new value: *ref says where it is (logical id = this file's id). `sequence` is the entry's. */
MUST_USE lore_status blob_builder_add(struct blob_builder *builder, lore_slice key,
                                      uint64_t sequence, lore_slice value, struct value_ref *ref);
/* A value kept by a rewrite: its stored block is copied as it is under the old reference. Groups
 * ascending by logical id, ordinals ascending within (else LORE_CORRUPTION). raw_length is
 * ref->length. */
MUST_USE lore_status blob_builder_keep(struct blob_builder *builder, const struct value_ref *ref,
                                       lore_slice key, uint64_t sequence, lore_slice stored_block,
                                       uint32_t raw_length);
uint64_t blob_builder_bytes(const struct blob_builder *builder);
uint64_t blob_builder_values(const struct blob_builder *builder);
/* Write the index, sync the file (not its directory) and give its summary (initialised here, of the
 * work allocator; the caller's to deinit). */
MUST_USE lore_status blob_builder_finish(struct blob_builder *builder,
                                         struct segment_summary *summary);
/* Unfinished: removes the file. */
void blob_builder_destroy(struct blob_builder *builder);

struct blob;
MUST_USE lore_status blob_open(const struct segment_context *context,
                               const struct segment_summary *summary, struct blob **blob);
void blob_close(struct blob *blob);
struct pooled_file *blob_file(struct blob *blob);
/* Read a value into `value`. LORE_CORRUPTION also if the reference is not here or its length
 * differs. `key`, if its size is not 0, must equal the stored one. After a failure `value` is
 * empty. */
MUST_USE lore_status blob_read(struct blob *blob, const struct value_ref *ref, lore_slice key,
                               struct read_count *count, struct bytes *value);

/* Walk the values in file order, for rewrite, verify and salvage. */
struct blob_value {
    struct value_ref ref;
    uint64_t sequence;
    lore_slice key;          /* valid until the next call, as the block */
    lore_slice stored_block; /* only if `with_bytes` */
};
struct blob_cursor {
    struct blob *blob;
    uint64_t position;
};
/* *found is false at the end. After LORE_CORRUPTION the cursor has gone past the damaged value, so
 * that salvage can go on; after any other failure it stands where it was. */
MUST_USE lore_status blob_cursor_next(struct blob_cursor *cursor, bool with_bytes,
                                      struct bytes *scratch, struct read_count *count,
                                      struct blob_value *value, bool *found);
/* As table_verify: every value and page, references in order, totals, digest of the whole file. */
MUST_USE lore_status blob_verify(const struct segment_context *context,
                                 const struct segment_summary *summary, segment_fault_fn fault,
                                 bool (*keep_going)(void *context, uint64_t bytes),
                                 void *fault_context, uint64_t *entries);

#endif
