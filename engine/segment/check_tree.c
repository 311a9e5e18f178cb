/*
 * check_tree.c - pages of records, and the tree of checks made of them.
 */
#include "segment/check_tree.h"

#include <assert.h>
#include <inttypes.h>

#include "base/poison.h"

/* ---- writing ---- */

lore_status pages_write(struct segment_writer *writer, lore_slice records, size_t record_bytes,
                        struct bytes *checks) {
    assert(records.size % record_bytes == 0);
    size_t full = PAGE_CONTENT_BYTES / record_bytes * record_bytes;
    const uint8_t *data = records.data;
    uint8_t page[PAGE_BYTES];
    for (size_t at = 0; at < records.size;) {
        size_t size = records.size - at < full ? records.size - at : full;
        memset(page, 0, sizeof page);
        put_u32(page + 4, PAGE_CONTENT_BYTES);
        memcpy(page + BLOCK_HEADER_BYTES, data + at, size);
        struct segment_place place;
        TRY(segment_writer_add_block(writer, slice(page, sizeof page), &place));
        TRY(append_u64(checks, place.check));
        at += size;
    }
    return LORE_OK;
}

lore_status check_tree_write(struct segment_writer *writer, struct bytes *checks,
                             struct bytes *footer) {
    while (checks->size > CHECK_ROOT_MAX * CHECK_BYTES) {
        struct bytes above = bytes_empty(checks->allocator);
        lore_status status = pages_write(writer, bytes_slice(checks), CHECK_BYTES, &above);
        bytes_free(checks);
        *checks = above;
        if (status != LORE_OK) return status;
    }
    return bytes_append(footer, checks->data, checks->size);
}

/* ---- blocks ---- */

lore_status block_source_corrupt(const struct block_source *source, uint64_t offset,
                                 const char *what) {
    return fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": %s", pooled_file_path(source->file),
                offset, what);
}

/* Without the cache: the block is only memory to read into. */
static lore_status load_past_cache(const struct block_source *source,
                                   const struct segment_place *place, struct read_count *count,
                                   struct block **block, const uint8_t **content) {
    uint8_t *stored;
    TRY(block_cache_prepare(source->context->cache, place->length, block, &stored));
    struct segment_stored parts = {.is_lz4 = false};
    lore_status status = pooled_file_read(source->file, place->offset, stored, place->length);
    if (status == LORE_OK && count != NULL) {
        count->blocks_read++;
        count->bytes_read += place->length;
    }
    if (status == LORE_OK)
        status = segment_block_check(pooled_file_path(source->file), source->id, place, stored,
                                     place->length - BLOCK_HEADER_BYTES, &parts);
    if (status == LORE_OK && (parts.is_lz4 || parts.payload.size != parts.raw_length ||
                              parts.raw_length != place->length - BLOCK_HEADER_BYTES))
        status = block_source_corrupt(source, place->offset, "not a plain block of its size");
    if (status != LORE_OK) {
        block_cache_release(source->context->cache, *block);
        return status;
    }
    *content = parts.payload.data;
    return LORE_OK;
}

static lore_status load_block(const struct block_source *source, const struct segment_place *place,
                              struct read_count *count, struct block **block,
                              const uint8_t **content) {
    assert(place->length > BLOCK_HEADER_BYTES);
    if (source->past_cache) return load_past_cache(source, place, count, block, content);
    uint32_t raw_length = place->length - BLOCK_HEADER_BYTES;
    TRY(segment_block_fetch(source->context, source->file, source->id, place, raw_length, count,
                            block));
    if ((*block)->size != raw_length) {
        block_cache_release(source->context->cache, *block);
        return block_source_corrupt(source, place->offset, "not a plain block of its size");
    }
    *content = (*block)->data;
    return LORE_OK;
}

/* ---- the tree ---- */

uint64_t check_tree_pages(uint64_t blocks) {
    uint64_t pages = 0;
    for (uint64_t checks = blocks; checks > CHECK_ROOT_MAX;) {
        checks = pages_for(checks, CHECK_BYTES);
        pages += checks;
    }
    return pages;
}

void check_tree_init(struct check_tree *tree, uint64_t blocks, uint64_t offset, struct reader *r) {
    *tree = (struct check_tree){.blocks = blocks, .offset = offset};
    uint64_t checks = blocks;
    for (; checks > CHECK_ROOT_MAX; checks = pages_for(checks, CHECK_BYTES))
        tree->levels++;
    tree->root_count = (uint32_t)checks;
    for (uint32_t i = 0; i < tree->root_count; i++)
        tree->root[i] = read_u64(r);
}

/* Page `index` of a level; level 0 holds the checks of the blocks themselves. */
static uint64_t page_offset(const struct check_tree *tree, uint32_t level, uint64_t index) {
    uint64_t pages_before = 0;
    uint64_t pages = pages_for(tree->blocks, CHECK_BYTES);
    for (uint32_t i = 0; i < level; i++) {
        pages_before += pages;
        pages = pages_for(pages, CHECK_BYTES);
    }
    assert(index < pages);
    return tree->offset + (pages_before + index) * PAGE_BYTES;
}

static lore_status find_check(const struct check_tree *tree, const struct block_source *source,
                              uint64_t index, struct read_count *count, uint64_t *check) {
    assert(index < tree->blocks);
    uint64_t span = 1; /* blocks under one check of the level */
    for (uint32_t i = 0; i < tree->levels; i++)
        span *= CHECKS_PER_PAGE;
    *check = tree->root[index / span];
    for (uint32_t level = tree->levels; level-- > 0;) {
        struct segment_place place = {.offset = page_offset(tree, level, index / span),
                                      .length = PAGE_BYTES,
                                      .check = *check};
        struct block *page;
        const uint8_t *content;
        TRY(load_block(source, &place, count, &page, &content));
        span /= CHECKS_PER_PAGE;
        *check = get_u64(content + index / span % CHECKS_PER_PAGE * CHECK_BYTES);
        block_cache_release(source->context->cache, page);
    }
    return LORE_OK;
}

lore_status check_tree_load(const struct check_tree *tree, const struct block_source *source,
                            uint64_t index, uint64_t offset, uint32_t length,
                            struct read_count *count, struct block **block,
                            const uint8_t **content) {
    struct segment_place place = {.offset = offset, .length = length};
    TRY(find_check(tree, source, index, count, &place.check));
    return load_block(source, &place, count, block, content);
}
