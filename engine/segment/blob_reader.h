/*
 * blob_reader.h - an open blob file, as blob_reader.c and blob_verify.c share it.
 *
 * Threads: any; nothing changes while it is open.
 */
#ifndef LORE_SEGMENT_BLOB_READER_H
#define LORE_SEGMENT_BLOB_READER_H

#include "segment/blob.h"
#include "segment/blob_format.h"
#include "segment/value_groups.h"

struct blob {
    struct block_source source;
    const struct allocator *allocator; /* of this struct */
    uint64_t values;
    uint64_t index_offset; /* of the first index page: where the values end */
    struct value_map map;
    struct check_tree pages;
};

/* Page `page` of the index, pinned; its entries, of BLOB_ENTRY_BYTES, at *entries. */
MUST_USE lore_status blob_load_page(struct blob *blob, uint64_t page, struct read_count *count,
                                    struct block **block, const uint8_t **entries);
/* Decode entry `slot` of a loaded page. */
MUST_USE lore_status blob_page_entry(struct blob *blob, uint64_t page, const uint8_t *entries,
                                     size_t slot, struct blob_entry *entry);

#endif
