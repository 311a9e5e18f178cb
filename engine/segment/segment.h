/*
 * segment.h - what all segments share: immutable files of four kinds that describe themselves, how they are named,
 * the context in which they are built and read, and their summary (which the catalog keeps and the footer repeats).
 *
 *   000000000012.table  sorted keys            table_format.h
 *   000000000013.blob   large values           blob_format.h
 *   000000000014.rows   vectors of one space   rows_format.h
 *
 * The parent holds the check: a block's is in the index, the index's in the footer, the footer's in the summary, which
 * the catalog holds. Each file begins with SEGMENT_HEADER_BYTES and ends with a footer:
 *
 *   header   0 u8[8] magic "LORESEG1"; 8 u32 kind; 12 u32 format version; 16 u32 required features; 20 u32 optional
 *            features; 24 u8[16] store id; 40 u8[16] lineage; 56 u64 segment id; 64 u8[16] key id; 80 u8[40] zeros;
 *            120 u64 XXH3-64 of bytes 0..119
 *   footer   footer body (per kind, starts with the encoded summary), then the trailer, TRAILER_BYTES at the file's end:
 *            0 u64 offset of the footer body; 8 u32 its length; 12 u32 kind; 16 u64 XXH3-64 of the body seeded by
 *            the segment id; 24 u8[8] magic "LOREFTR1"
 *
 * A stored block is: u8 compression (0 none, 1 lz4), u8 flags (bit 0 sealed: 24 bytes nonce before, 16 bytes tag after
 * the bytes), u16 reserved, u32 raw length, bytes. Its check, XXH3-64 over all of it seeded by
 * segment id * 0x9e3779b97f4a7c15 + offset (modulo 2^64), is with its parent, so a block out of place cannot pass. No
 * flag is defined yet: a block with one is refused.
 */
#ifndef LORE_SEGMENT_SEGMENT_H
#define LORE_SEGMENT_SEGMENT_H

#include "base/budget.h"
#include "base/digest.h"
#include "base/entry.h"
#include "base/identity.h"
#include "base/log.h"
#include "vfs/env.h"

#define SEGMENT_HEADER_BYTES 128u
#define SEGMENT_TRAILER_BYTES 32u
#define SEGMENT_FORMAT_VERSION 1u
#define BLOCK_HEADER_BYTES 8u

enum segment_kind { SEGMENT_TABLE = 1, SEGMENT_BLOB = 2, SEGMENT_ROWS = 3, SEGMENT_CODES = 4 };

/* The logical ids that a blob or row segment answers for: itself when first written; after a rewrite those of the files
 * that it replaced. */
struct segment_group {
    uint64_t logical_id;
    uint64_t values;      /* values of that id held here */
};

/* All that the catalog keeps of a segment, and that its footer repeats (but for the fields marked *, which change or
 * are known only after the footer is written). Byte strings are owned by the summary. */
struct segment_summary {
    enum segment_kind kind;
    uint64_t id;
    struct identity identity;   /* lineage under which it was written */
    uint8_t tier;               /* 0 working, 1 warm, 2 cold */
    uint8_t level;              /* at which it was written */
    uint64_t bytes;             /* * of the whole file */
    uint64_t footer_check;      /* * of the footer's body, as in the trailer */
    struct digest128 digest;    /* * XXH3-128 of the whole file */
    int64_t created_at_us;
    uint64_t first_sequence, last_sequence; /* range of its entries */
    uint64_t entries;           /* table: point entries; blob, rows: values */
    /* tables */
    uint64_t range_deletes;
    uint32_t kinds_present; /* bit 1u << entry_kind */
    struct bytes first_key;     /* smallest key, or begin of a range delete */
    struct bytes last_key;      /* largest key, or end of a range delete */
    bool last_key_exclusive;    /* last_key is a range delete's end, itself not covered */
    /* blob and rows */
    uint64_t value_bytes;       /* raw bytes of all values */
    struct segment_group *groups; /* groups_count, ascending by logical id */
    size_t groups_count;
    uint32_t space;             /* rows: the space's number */
    uint32_t stride_bytes;      /* rows: of one vector */
    /* inputs that it replaces: ids, ascending */
    uint64_t *inputs;
    size_t inputs_count;
    const struct allocator *allocator; /* of the byte strings and arrays */
};

void segment_summary_init(struct segment_summary *summary, const struct allocator *allocator);
/* Initialised and empty afterwards. */
void segment_summary_deinit(struct segment_summary *summary);
/* `to` is initialised; its allocator stays. On failure it is empty. */
MUST_USE lore_status segment_summary_copy(struct segment_summary *to, const struct segment_summary *from);
/* Canonical bytes, for the footer (starred fields zero) and the catalog (with them). */
MUST_USE lore_status segment_summary_encode(const struct segment_summary *summary, bool for_footer,
                                            struct bytes *out);
/* LORE_CORRUPTION on anything malformed, with the summary empty; LORE_UNSUPPORTED for a later format. `summary` is
 * initialised. `r` is left after it. */
MUST_USE lore_status segment_summary_decode(struct reader *r, struct segment_summary *summary);

#define SEGMENT_NAME_BYTES 32u
void segment_file_name(char out[SEGMENT_NAME_BYTES], enum segment_kind kind, uint64_t id);
bool segment_file_name_parse(const char *name, enum segment_kind *kind, uint64_t *id);

/* Where segments are built and read: given to every builder and reader, outlives them. */
struct file_pool;
struct block_cache;
struct block_mender;
struct segment_context {
    const lore_env *env;
    const struct allocator *table_allocator; /* charged BUDGET_TABLE: open readers */
    const struct allocator *work_allocator;  /* charged BUDGET_WORK: builders, scans */
    struct file_pool *files;
    struct block_cache *cache;
    struct identity identity;  /* for new files */
    const char *dir;           /* the generation's folder; owner: the store */
    bool group_access;
    const struct logger *logger;
    struct block_mender *mender; /* salvage alone; else NULL: nothing is mended */
};

#endif
