/*
 * table_format.h - the bytes of a table. segment.h draws header, stored blocks, summary and trailer.
 *
 *   file       header | partition ... | top index | range deletes | footer | trailer
 *   partition  data block ... | filter | index block
 *
 * No byte lies between two of these: a table says of each of its bytes which check covers it. Top index or range deletes of
 * length 0 are not there.
 *
 * Data blocks, index blocks, the top index and the range deletes have one raw form, a sorted block:
 *
 *   entries    varint shared, varint unshared, varint value length, varint (sequence << 8 | kind),
 *              `unshared` bytes of key, the value. The key begins with the first `shared` bytes of the one before
 *   restarts   u32 offset of an entry with shared 0, for every so many entries; the first is 0
 *   buckets    u8 each, the hash index: which restart to scan from for a key in this bucket; 254: two restarts would be
 *              right, search; 255: no such key here. A key's bucket is (upper 32 bits of its XXH3-64) * m >> 32
 *   u16 m      number of buckets; 0: no hash index
 *   u32 n      number of restarts
 *
 *   data       entries of the tree. Restarts every 16. A key's versions may go on in the next block
 *   index      one entry for each data block of the partition. key, sequence: a bound; all entries of the block stand before
 *              or at it, those of the next after it (key ascending, sequence descending). The key is the shortest that
 *              will do, with sequence 0, unless a key's versions go on in the next block. kind 0.
 *              value: varint offset from the partition's begin, varint length, u64 check
 *   top        one entry for each partition. key, sequence: the last bound of its index. kind 0.
 *              value: varint offset of the partition, varint length of its data, varint length of the filter, varint length
 *              of the index, u64 check of the filter, u64 check of the index
 *   ranges     range deletes by begin ascending, as they were given. key: begin. value: end. Restarts at every entry
 *
 *   filter     fuse_filter.h, over check64 of the distinct keys of the partition
 *
 *   footer     encoded summary, then
 *              0 u64 top index offset; 8 u32 its length; 12 u32 range deletes' length; 16 u64 top index check;
 *              24 u64 range deletes' check; 32 u32 partitions; 36 u32 block bytes aimed at; 40 u64 data blocks;
 *              48 u64 their raw bytes
 */
#ifndef LORE_SEGMENT_TABLE_FORMAT_H
#define LORE_SEGMENT_TABLE_FORMAT_H

#include "base/entry.h"

/* A partition ends at the first of these. The blocks bound what a reader brings in for one key, the keys the memory for
 * building a filter, the index bytes what tables of long keys bring in. */
#define TABLE_PARTITION_BLOCKS      128u
#define TABLE_PARTITION_KEYS_MAX    8192u
#define TABLE_PARTITION_INDEX_BYTES 32768u

#define TABLE_RESTART_INTERVAL 16u
/* A raw block is longer than block_bytes only for a single entry, and never longer than this. */
#define TABLE_BLOCK_RAW_MAX (64u << 20)
#define TABLE_FOOTER_BYTES  56u /* after the summary */
#define TABLE_BLOCK_BYTES_MAX (1u << 20) /* that may be aimed at */

#define TABLE_BUCKET_SEARCH 254u
#define TABLE_BUCKET_NONE   255u
#define TABLE_BUCKETS_MAX   65535u

/* Kinds that may stand in the blocks, as bits 1 << kind. */
#define TABLE_KINDS_DATA                                                                           \
    (1u << ENTRY_PUT | 1u << ENTRY_DELETE | 1u << ENTRY_MERGE | 1u << ENTRY_PUT_BLOB |             \
     1u << ENTRY_VECTOR_ROW)
#define TABLE_KINDS_INDEX 1u
#define TABLE_KINDS_RANGE (1u << ENTRY_RANGE_DELETE)

#endif
