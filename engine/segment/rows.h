/*
 * rows.h - row segments: vectors of one space at a fixed stride, in ascending row order when first
 * written. rows_format.h draws the bytes. Blocks of whole vectors (about 16 KiB, at least one
 * vector), never compressed, then positions (u64 row, u64 sequence, u32 group, u32 slot: 24 bytes
 * each) in pages. The checks of blocks and pages are in two trees (check_tree.h) whose roots the
 * footer holds, so that an open file takes about a kilobyte and its groups.
 *
 * Memory: a builder charges one block, ROWS_POSITION_BYTES a vector and 8 bytes a block to work.
 *
 * Threads: a builder belongs to one thread; an open file may be read by any.
 */
#ifndef LORE_SEGMENT_ROWS_H
#define LORE_SEGMENT_ROWS_H

#include "segment/segment.h"
#include "segment/table.h"

struct rows_builder;
struct rows_builder_config {
    uint64_t id;
    uint8_t tier;
    uint32_t space;
    uint32_t stride_bytes;
    const uint64_t *inputs;
    size_t inputs_count;
};
MUST_USE lore_status rows_builder_create(const struct segment_context *context,
                                         const struct rows_builder_config *config,
                                         struct rows_builder **builder);
/* A new vector: *ref says where it is. */
MUST_USE lore_status rows_builder_add(struct rows_builder *builder, uint64_t row, uint64_t sequence,
                                      const void *vector, struct value_ref *ref);
/* A vector kept by a rewrite under its old reference (ref->length is the stride); order as in
 * blob_builder_keep. */
MUST_USE lore_status rows_builder_keep(struct rows_builder *builder, const struct value_ref *ref,
                                       uint64_t row, uint64_t sequence, const void *vector);
uint64_t rows_builder_bytes(const struct rows_builder *builder);
/* As blob_builder_finish and blob_builder_destroy. */
MUST_USE lore_status rows_builder_finish(struct rows_builder *builder,
                                         struct segment_summary *summary);
void rows_builder_destroy(struct rows_builder *builder);

struct rows;
MUST_USE lore_status rows_open(const struct segment_context *context,
                               const struct segment_summary *summary, struct rows **rows);
void rows_close(struct rows *rows);
struct pooled_file *rows_file(struct rows *rows);
uint64_t rows_count(const struct rows *rows); /* positions */
uint32_t rows_space(const struct rows *rows);
uint32_t rows_stride(const struct rows *rows);
/* One vector by reference, copied to `vector` (stride bytes). `row` must be the one stored there,
 * else corruption. */
MUST_USE lore_status rows_read(struct rows *rows, const struct value_ref *ref, uint64_t row,
                               struct read_count *count, void *vector);

struct rows_position {
    uint64_t row;
    uint64_t sequence;
    struct value_ref ref;
};
/* A scan by position, in place: up to `max` vectors from `position` on, all of one block, which
 * stays where it is until rows_unpin. `positions`, room for `max`, may be NULL. count is 0 at the
 * end. */
struct rows_pinned {
    struct block *block;
    const uint8_t *vectors; /* count of them, a stride apart, at any alignment */
    size_t count;
};
MUST_USE lore_status rows_pin(struct rows *rows, uint64_t position, size_t max,
                              struct rows_position *positions, struct read_count *count,
                              struct rows_pinned *pinned);
/* Also fine after a failure, and at the end. */
void rows_unpin(struct rows *rows, struct rows_pinned *pinned);
/* The same as a copy into the caller's `vectors`. */
MUST_USE lore_status rows_scan(struct rows *rows, uint64_t position, size_t max, void *vectors,
                               struct rows_position *positions, struct read_count *count,
                               size_t *got);
/* As table_verify: every block and page, references in order, totals, digest of the whole file. */
MUST_USE lore_status rows_verify(const struct segment_context *context,
                                 const struct segment_summary *summary, segment_fault_fn fault,
                                 bool (*keep_going)(void *context, uint64_t bytes),
                                 void *fault_context, uint64_t *entries);

#endif
