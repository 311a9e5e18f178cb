/*
 * blob_format.h - the bytes of a blob file.
 *
 *   header         SEGMENT_HEADER_BYTES                              segment.h
 *   values         one stored block each, without gaps; raw: the key, then the value
 *   index          pages (check_tree.h) of entries, BLOB_ENTRIES_PER_PAGE in each
 *   checks         the pages of the tree over the index pages        check_tree.h
 *   footer         summary; u64 offset of the index; the tree's root
 *   trailer        SEGMENT_TRAILER_BYTES                             segment.h
 *
 *   entry          0 u64 check of the stored block; 8 u64 its offset; 16 u64 sequence;
 *                  24 u32 ordinal; 28 u32 stored length, block header included;
 *                  32 u32 length of the value; 36 u16 length of the key; 38 u16 zero
 *
 * Entries stand in the order of the values, which is that of their references (value_groups.h):
 * logical id, ordinal. The summary's groups say how many entries each logical id has; its
 * `value_bytes` is the sum of the values' lengths, keys and headers not counted.
 */
#ifndef LORE_SEGMENT_BLOB_FORMAT_H
#define LORE_SEGMENT_BLOB_FORMAT_H

#include "base/coding.h"
#include "segment/check_tree.h"

#define BLOB_ENTRY_BYTES      40u
#define BLOB_ENTRIES_PER_PAGE (PAGE_CONTENT_BYTES / BLOB_ENTRY_BYTES)
_Static_assert(BLOB_ENTRIES_PER_PAGE == 102, "the format is for ever");

struct blob_entry {
    struct segment_place place;
    uint64_t sequence;
    uint32_t ordinal;
    uint32_t value_bytes;
    uint16_t key_bytes;
};

static inline void blob_entry_encode(const struct blob_entry *entry,
                                     uint8_t out[BLOB_ENTRY_BYTES]) {
    put_u64(out, entry->place.check);
    put_u64(out + 8, entry->place.offset);
    put_u64(out + 16, entry->sequence);
    put_u32(out + 24, entry->ordinal);
    put_u32(out + 28, entry->place.length);
    put_u32(out + 32, entry->value_bytes);
    put_u16(out + 36, entry->key_bytes);
    put_u16(out + 38, 0);
}

/* Whether it is sound in itself, and its block lies between the header and `values_end`. */
static inline bool blob_entry_decode(const uint8_t *bytes, uint64_t values_end,
                                     struct blob_entry *entry) {
    entry->place.check = get_u64(bytes);
    entry->place.offset = get_u64(bytes + 8);
    entry->sequence = get_u64(bytes + 16);
    entry->ordinal = get_u32(bytes + 24);
    entry->place.length = get_u32(bytes + 28);
    entry->value_bytes = get_u32(bytes + 32);
    entry->key_bytes = get_u16(bytes + 36);
    return get_u16(bytes + 38) == 0 && entry->sequence <= SEQUENCE_MAX &&
           entry->key_bytes <= KEY_BYTES_MAX &&
           entry->value_bytes <= UINT32_MAX - KEY_BYTES_MAX - BLOCK_HEADER_BYTES &&
           entry->place.length >= BLOCK_HEADER_BYTES &&
           entry->place.offset >= SEGMENT_HEADER_BYTES && entry->place.offset <= values_end &&
           entry->place.length <= values_end - entry->place.offset;
}

#endif
