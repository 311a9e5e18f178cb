/*
 * rows_format.h - the bytes of a row segment.
 *
 *   header         SEGMENT_HEADER_BYTES                              segment.h
 *   vectors        stored blocks, never compressed, without gaps: `vectors a block` vectors
 *                  of the summary's stride in each, fewer in the last
 *   positions      pages (check_tree.h) of positions, ROWS_POSITIONS_PER_PAGE in each
 *   checks         the pages of the tree over the blocks of vectors, then those of the tree
 *                  over the pages of positions
 *   footer         summary; u64 offset of the positions; u32 vectors a block; u32 zero; the
 *                  roots of the two trees, that of the blocks first
 *   trailer        SEGMENT_TRAILER_BYTES                             segment.h
 *
 *   position       0 u64 row; 8 u64 sequence; 16 u32 group, an index into the summary's groups;
 *                  20 u32 slot
 *
 * The n-th position is that of the n-th vector. They stand in the order of their references
 * (value_groups.h): logical id, slot. The summary's `value_bytes` is entries times stride.
 */
#ifndef LORE_SEGMENT_ROWS_FORMAT_H
#define LORE_SEGMENT_ROWS_FORMAT_H

#include "base/coding.h"
#include "segment/check_tree.h"

#define ROWS_BLOCK_BYTES                                                                           \
    16384u /* of vectors in a block, about; a longer vector has one of its own */
#define ROWS_STRIDE_MAX         (1u << 20)
#define ROWS_POSITION_BYTES     24u
#define ROWS_POSITIONS_PER_PAGE (PAGE_CONTENT_BYTES / ROWS_POSITION_BYTES)
_Static_assert(ROWS_POSITIONS_PER_PAGE == 170, "the format is for ever");

struct rows_record {
    uint64_t row;
    uint64_t sequence;
    uint32_t group;
    uint32_t slot;
};

static inline uint32_t rows_per_block(uint32_t stride_bytes) {
    return stride_bytes >= ROWS_BLOCK_BYTES ? 1 : ROWS_BLOCK_BYTES / stride_bytes;
}

static inline void rows_record_encode(const struct rows_record *record,
                                      uint8_t out[ROWS_POSITION_BYTES]) {
    put_u64(out, record->row);
    put_u64(out + 8, record->sequence);
    put_u32(out + 16, record->group);
    put_u32(out + 20, record->slot);
}

static inline struct rows_record rows_record_decode(const uint8_t *bytes) {
    return (struct rows_record){.row = get_u64(bytes),
                                .sequence = get_u64(bytes + 8),
                                .group = get_u32(bytes + 16),
                                .slot = get_u32(bytes + 20)};
}

#endif
