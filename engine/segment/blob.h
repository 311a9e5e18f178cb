/*
 * blob.h - blob files: values too large to be rewritten with their keys at every level. blob_format.h draws the bytes.
 *
 * Each value is stored once, as a block, together with its key, so that a rewrite can ask whether it is still referred to
 * and a salvage knows what it was. An index of fixed entries (ordinal, key length, offset, lengths, check), in pages of
 * 4 KiB whose checks the footer holds, finds it: by place when the ordinals are dense, by binary search after a rewrite.
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
MUST_USE lore_status blob_builder_add(struct blob_builder *builder, lore_slice key, uint64_t sequence,
                                      lore_slice value, struct value_ref *ref);
/* A value kept by a rewrite: its stored block is copied as it is under the old reference. Groups ascending by logical
 * id, ordinals ascending within. */
MUST_USE lore_status blob_builder_keep(struct blob_builder *builder, const struct value_ref *ref,
                                       lore_slice key, uint64_t sequence, lore_slice stored_block,
                                       uint32_t raw_length);
uint64_t blob_builder_bytes(const struct blob_builder *builder);
uint64_t blob_builder_values(const struct blob_builder *builder);
MUST_USE lore_status blob_builder_finish(struct blob_builder *builder, struct segment_summary *summary);
void blob_builder_destroy(struct blob_builder *builder);

struct blob;
MUST_USE lore_status blob_open(const struct segment_context *context,
                               const struct segment_summary *summary, struct blob **blob);
void blob_close(struct blob *blob);
struct pooled_file *blob_file(struct blob *blob);
/* Read a value into `value`. LORE_CORRUPTION also if the reference is not here or its length differs. `key`, if its size is
 * not 0, must equal the stored one. */
MUST_USE lore_status blob_read(struct blob *blob, const struct value_ref *ref, lore_slice key,
                               struct read_count *count, struct bytes *value);

/* Walk the values in file order, for rewrite, verify and salvage. */
struct blob_value {
    struct value_ref ref;
    uint64_t sequence;
    lore_slice key;           /* valid until the next call, as the block */
    lore_slice stored_block;  /* only if `with_bytes` */
};
struct blob_cursor {
    struct blob *blob;
    uint64_t position;
};
MUST_USE lore_status blob_cursor_next(struct blob_cursor *cursor, bool with_bytes, struct bytes *scratch,
                                      struct read_count *count, struct blob_value *value, bool *found);
MUST_USE lore_status blob_verify(const struct segment_context *context,
                                 const struct segment_summary *summary, segment_fault_fn fault,
                                 bool (*keep_going)(void *context, uint64_t bytes), void *fault_context,
                                 uint64_t *entries);

#endif
