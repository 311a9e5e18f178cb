/*
 * rows_reader.h - an open row segment, as rows_reader.c and rows_verify.c share it.
 *
 * Threads: any; nothing changes while it is open.
 */
#ifndef LORE_SEGMENT_ROWS_READER_H
#define LORE_SEGMENT_ROWS_READER_H

#include "segment/rows.h"
#include "segment/rows_format.h"
#include "segment/value_groups.h"

struct rows {
    struct block_source source;
    const struct allocator *allocator; /* of this struct */
    uint64_t vectors;
    uint32_t space;
    uint32_t stride_bytes;
    uint32_t per_block;        /* vectors */
    uint64_t positions_offset; /* of the first page of positions: where the vectors end */
    struct value_map map;
    struct check_tree blocks; /* of vectors */
    struct check_tree pages;  /* of positions */
};

/* Block `index` of vectors, pinned; rows_block_vectors of them, at *vectors. */
MUST_USE lore_status rows_load_block(struct rows *rows, uint64_t index, struct read_count *count,
                                     struct block **block, const uint8_t **vectors);
/* Page `page` of positions, pinned; its records, of ROWS_POSITION_BYTES, at *records. */
MUST_USE lore_status rows_load_page(struct rows *rows, uint64_t page, struct read_count *count,
                                    struct block **block, const uint8_t **records);
/* LORE_CORRUPTION if the record of `position` is not of the group that the summary has there. */
MUST_USE lore_status rows_check_record(struct rows *rows, uint64_t position,
                                       const struct rows_record *record);
/* Where block `index` begins, and how many vectors it has. */
uint64_t rows_block_offset(const struct rows *rows, uint64_t index);
uint32_t rows_block_vectors(const struct rows *rows, uint64_t index);

#endif
