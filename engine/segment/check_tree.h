/*
 * check_tree.h - the checks of a value file's blocks, in pages: the parent of blocks that are too
 * many for the footer.
 *
 *   page     a stored block of PAGE_BYTES, never compressed: block header, then
 *            PAGE_CONTENT_BYTES of records of one kind, zeros after the last
 *   tree     over n blocks: n checks (u64). Up to CHECK_ROOT_MAX of them stand in the footer: the
 *            root. More are put into pages, CHECKS_PER_PAGE in each, whose own checks are the
 *            next level, and so on until a level fits the root. The pages of a level lie one
 *            after another, those of the blocks' own checks first. How many there are follows
 *            from n.
 *
 * So an open file keeps its root in memory, and however many blocks it has, the rest of the tree is
 * cached like any block.
 *
 * Threads: any, on one tree.
 */
#ifndef LORE_SEGMENT_CHECK_TREE_H
#define LORE_SEGMENT_CHECK_TREE_H

#include "segment/segment_block.h"
#include "segment/segment_file.h"
#include "segment/table.h"

#define PAGE_BYTES         4096u
#define PAGE_CONTENT_BYTES (PAGE_BYTES - BLOCK_HEADER_BYTES)
#define CHECK_BYTES        8u
#define CHECKS_PER_PAGE    (PAGE_CONTENT_BYTES / CHECK_BYTES)
#define CHECK_ROOT_MAX     32u

/* ---- writing ---- */

/* Write records of `record_bytes` each, in order, as pages; the check of each page is appended to
 * `checks`. */
MUST_USE lore_status pages_write(struct segment_writer *writer, lore_slice records,
                                 size_t record_bytes, struct bytes *checks);
static inline uint64_t pages_for(uint64_t records, size_t record_bytes) {
    uint64_t per_page = PAGE_CONTENT_BYTES / record_bytes;
    return records / per_page + (records % per_page != 0);
}
/* Write the pages of the tree over `checks` (u64 little-endian each; used up) and append its root
 * to `footer`. */
MUST_USE lore_status check_tree_write(struct segment_writer *writer, struct bytes *checks,
                                      struct bytes *footer);

/* ---- reading ---- */

/* A value file's blocks. */
struct block_source {
    const struct segment_context *context;
    struct pooled_file *file; /* one reference is the source's */
    uint64_t id;              /* of the segment */
    bool past_cache;          /* read the file itself and keep nothing: verify */
};
/* LORE_CORRUPTION, naming file and offset. */
lore_status block_source_corrupt(const struct block_source *source, uint64_t offset,
                                 const char *what);

struct check_tree {
    uint64_t blocks; /* whose checks it holds */
    uint64_t offset; /* of its first page */
    uint32_t levels; /* of pages */
    uint32_t root_count;
    uint64_t root[CHECK_ROOT_MAX];
};
/* Pages of a tree over so many blocks. */
uint64_t check_tree_pages(uint64_t blocks);
/* Read the root; r->bad tells whether it was there. */
void check_tree_init(struct check_tree *tree, uint64_t blocks, uint64_t offset, struct reader *r);
/* Block number `index` of the tree, at `offset`, of `length` stored bytes and not compressed.
 * *block is pinned; *content, length - BLOCK_HEADER_BYTES bytes, lives as long as the pin. */
MUST_USE lore_status check_tree_load(const struct check_tree *tree,
                                     const struct block_source *source, uint64_t index,
                                     uint64_t offset, uint32_t length, struct read_count *count,
                                     struct block **block, const uint8_t **content);

#endif
