/*
 * table_internal.h - an open table, and the decoding that reader, cursor and verify share. Not for others.
 */
#ifndef LORE_SEGMENT_TABLE_INTERNAL_H
#define LORE_SEGMENT_TABLE_INTERNAL_H

#include "segment/segment_file.h"
#include "segment/table.h"
#include "segment/table_block.h"

/* Owner of all that it points to but the context. Unchanging once open. */
struct table {
    const struct segment_context *context;
    struct segment_summary summary;
    struct pooled_file *file;
    struct bytes top;             /* raw top index; size 0: no partitions */
    struct bytes ranges;          /* raw range deletes; size 0: none */
    struct table_block range_block; /* over `ranges`; restart i is range delete i */
    /* A tree over the range deletes, in place: the root of [low, high) is its middle, and max_end of the root is the index of
     * the one in [low, high) with the greatest end. range_block.restarts_count of them. */
    uint32_t *max_end;
    uint64_t data_blocks, data_raw_bytes; /* as the footer says */
    uint32_t partitions;
};

/* For salvage: as table_open, without the range deletes, whose block is hurt. */
MUST_USE lore_status table_open_without_ranges(const struct segment_context *context,
                                               const struct segment_summary *summary,
                                               struct table **table);

/* A partition, as its entry in the top index says. */
struct table_partition {
    uint64_t data_offset;
    uint64_t data_end; /* where the filter begins */
    struct segment_place filter, index;
};
/* False if malformed. Lengths only are checked; whether it lies where it should is table_open's business. */
bool table_partition_decode(lore_slice value, struct table_partition *partition);
/* An entry of a partition's index. False if malformed or outside of the partition's data. */
bool table_place_decode(const struct table_partition *partition, lore_slice value,
                        struct segment_place *place);

/* Put file and offset before the text of a failure in a block. */
lore_status table_fail_at(const struct table *table, uint64_t offset, lore_status status);

#endif
