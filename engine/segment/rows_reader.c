/*
 * rows_reader.c - reading row segments: by reference, and by position. All reads go through the
 * cache.
 */
#include "segment/rows_reader.h"

#include <assert.h>
#include <inttypes.h>

#include "base/poison.h"

/* ---- open ---- */

static lore_status read_layout(struct rows *rows, const struct segment_summary *summary,
                               struct reader *footer, uint64_t footer_offset) {
    rows->vectors = summary->entries;
    rows->space = summary->space;
    rows->stride_bytes = summary->stride_bytes;
    rows->positions_offset = read_u64(footer);
    rows->per_block = read_u32(footer);
    uint32_t reserved = read_u32(footer);
    if (rows->stride_bytes == 0 || rows->stride_bytes > ROWS_STRIDE_MAX || rows->per_block == 0 ||
        reserved != 0 || rows->per_block > ROWS_STRIDE_MAX / rows->stride_bytes)
        return block_source_corrupt(&rows->source, footer_offset, "no sound size of a block");
    /* So many vectors and positions would not fit, and the sums below might overflow. */
    if (rows->vectors > footer_offset / rows->stride_bytes ||
        rows->vectors > footer_offset / ROWS_POSITION_BYTES)
        return block_source_corrupt(&rows->source, footer_offset, "more vectors than it has room");
    uint64_t blocks = rows->vectors / rows->per_block + (rows->vectors % rows->per_block != 0);
    uint64_t vectors_end =
        SEGMENT_HEADER_BYTES + blocks * BLOCK_HEADER_BYTES + rows->vectors * rows->stride_bytes;
    uint64_t pages = pages_for(rows->vectors, ROWS_POSITION_BYTES);
    uint64_t blocks_tree = vectors_end + pages * PAGE_BYTES;
    uint64_t pages_tree = blocks_tree + check_tree_pages(blocks) * PAGE_BYTES;
    uint64_t end = pages_tree + check_tree_pages(pages) * PAGE_BYTES;
    if (rows->positions_offset != vectors_end || end != footer_offset)
        return block_source_corrupt(&rows->source, footer_offset,
                                    "the positions are not where it says");
    check_tree_init(&rows->blocks, blocks, blocks_tree, footer);
    check_tree_init(&rows->pages, pages, pages_tree, footer);
    if (footer->bad || footer->at != footer->end)
        return block_source_corrupt(&rows->source, footer_offset, "a footer of the wrong length");
    return value_map_init(&rows->map, rows->allocator, summary,
                          pooled_file_path(rows->source.file));
}

static lore_status open_file(struct rows *rows, const struct segment_context *context,
                             const struct segment_summary *summary) {
    char path[PATH_BYTES_MAX];
    TRY(segment_path(context, SEGMENT_ROWS, summary->id, path));
    TRY(pooled_file_create(context->files, path, &rows->source.file));
    struct bytes body = bytes_empty(context->table_allocator);
    struct reader rest;
    uint64_t footer_offset;
    lore_status status =
        segment_footer_read(rows->source.file, summary, &body, &rest, &footer_offset);
    if (status == LORE_OK) status = read_layout(rows, summary, &rest, footer_offset);
    bytes_free(&body);
    return status;
}

lore_status rows_open(const struct segment_context *context, const struct segment_summary *summary,
                      struct rows **rows) {
    assert(summary->kind == SEGMENT_ROWS);
    void *memory;
    TRY(mem_new(context->table_allocator, sizeof(struct rows), &memory));
    struct rows *made = memory;
    made->allocator = context->table_allocator;
    made->source.context = context;
    made->source.id = summary->id;
    lore_status status = open_file(made, context, summary);
    if (status != LORE_OK) {
        rows_close(made);
        return status;
    }
    *rows = made;
    return LORE_OK;
}

void rows_close(struct rows *rows) {
    if (rows == NULL) return;
    value_map_deinit(&rows->map);
    pooled_file_release(rows->source.file);
    mem_put(rows->allocator, rows, sizeof *rows);
}

struct pooled_file *rows_file(struct rows *rows) {
    return rows->source.file;
}

uint64_t rows_count(const struct rows *rows) {
    return rows->vectors;
}

uint32_t rows_space(const struct rows *rows) {
    return rows->space;
}

uint32_t rows_stride(const struct rows *rows) {
    return rows->stride_bytes;
}

/* ---- blocks and pages ---- */

uint64_t rows_block_offset(const struct rows *rows, uint64_t index) {
    uint64_t full_bytes = BLOCK_HEADER_BYTES + (uint64_t)rows->per_block * rows->stride_bytes;
    return SEGMENT_HEADER_BYTES + index * full_bytes;
}

uint32_t rows_block_vectors(const struct rows *rows, uint64_t index) {
    uint64_t left = rows->vectors - index * rows->per_block;
    return left < rows->per_block ? (uint32_t)left : rows->per_block;
}

lore_status rows_load_block(struct rows *rows, uint64_t index, struct read_count *count,
                            struct block **block, const uint8_t **vectors) {
    uint32_t length = BLOCK_HEADER_BYTES + rows_block_vectors(rows, index) * rows->stride_bytes;
    return check_tree_load(&rows->blocks, &rows->source, index, rows_block_offset(rows, index),
                           length, count, block, vectors);
}

lore_status rows_load_page(struct rows *rows, uint64_t page, struct read_count *count,
                           struct block **block, const uint8_t **records) {
    return check_tree_load(&rows->pages, &rows->source, page,
                           rows->positions_offset + page * PAGE_BYTES, PAGE_BYTES, count, block,
                           records);
}

lore_status rows_check_record(struct rows *rows, uint64_t position,
                              const struct rows_record *record) {
    if (record->sequence <= SEQUENCE_MAX && record->group == value_map_at(&rows->map, position))
        return LORE_OK;
    uint64_t page = position / ROWS_POSITIONS_PER_PAGE;
    return block_source_corrupt(&rows->source, rows->positions_offset + page * PAGE_BYTES,
                                "a position is not sound");
}

/* Records of `max` positions from `position` on. */
static lore_status read_records(struct rows *rows, uint64_t position, size_t max,
                                struct read_count *count, struct rows_record *records,
                                struct rows_position *positions) {
    for (size_t done = 0; done < max;) {
        uint64_t at = position + done;
        struct block *block;
        const uint8_t *page;
        TRY(rows_load_page(rows, at / ROWS_POSITIONS_PER_PAGE, count, &block, &page));
        size_t slot = (size_t)(at % ROWS_POSITIONS_PER_PAGE);
        lore_status status = LORE_OK;
        for (; slot < ROWS_POSITIONS_PER_PAGE && done < max && status == LORE_OK; slot++, done++) {
            struct rows_record record = rows_record_decode(page + slot * ROWS_POSITION_BYTES);
            status = rows_check_record(rows, position + done, &record);
            if (records != NULL) records[done] = record;
            if (positions == NULL || status != LORE_OK) continue;
            positions[done] =
                (struct rows_position){.row = record.row,
                                       .sequence = record.sequence,
                                       .ref = {rows->map.ranges[record.group].logical_id,
                                               record.slot, rows->stride_bytes}};
        }
        block_cache_release(rows->source.context->cache, block);
        TRY(status);
    }
    return LORE_OK;
}

/* ---- reads ---- */

struct search {
    struct rows *rows;
    struct read_count *count;
    struct rows_record record; /* of the last position asked for */
};

static lore_status slot_at(void *context, uint64_t position, uint32_t *slot) {
    struct search *search = context;
    TRY(read_records(search->rows, position, 1, search->count, &search->record, NULL));
    *slot = search->record.slot;
    return LORE_OK;
}

lore_status rows_read(struct rows *rows, const struct value_ref *ref, uint64_t row,
                      struct read_count *count, void *vector) {
    struct search search = {.rows = rows, .count = count};
    uint64_t position;
    bool found;
    TRY(value_map_search(&rows->map, ref, slot_at, &search, &position, &found));
    if (!found || ref->length != rows->stride_bytes)
        return fail(LORE_CORRUPTION,
                    "%s: no vector %" PRIu32 " of segment %" PRIu64 " of %" PRIu32 " bytes",
                    pooled_file_path(rows->source.file), ref->ordinal, ref->logical_id,
                    ref->length);
    if (search.record.row != row)
        return fail(LORE_CORRUPTION, "%s: vector %" PRIu64 " is of row %" PRIu64 ", not %" PRIu64,
                    pooled_file_path(rows->source.file), position, search.record.row, row);
    struct block *block;
    const uint8_t *vectors;
    TRY(rows_load_block(rows, position / rows->per_block, count, &block, &vectors));
    size_t slot = (size_t)(position % rows->per_block);
    memcpy(vector, vectors + slot * rows->stride_bytes, rows->stride_bytes);
    block_cache_release(rows->source.context->cache, block);
    return LORE_OK;
}

lore_status rows_pin(struct rows *rows, uint64_t position, size_t max,
                     struct rows_position *positions, struct read_count *count,
                     struct rows_pinned *pinned) {
    *pinned = (struct rows_pinned){0};
    if (position >= rows->vectors || max == 0) return LORE_OK;
    uint64_t index = position / rows->per_block;
    size_t slot = (size_t)(position % rows->per_block);
    size_t left = rows_block_vectors(rows, index) - slot;
    size_t taken = max < left ? max : left;
    if (positions != NULL) TRY(read_records(rows, position, taken, count, NULL, positions));
    struct block *block;
    const uint8_t *data;
    TRY(rows_load_block(rows, index, count, &block, &data));
    *pinned = (struct rows_pinned){block, data + slot * rows->stride_bytes, taken};
    return LORE_OK;
}

void rows_unpin(struct rows *rows, struct rows_pinned *pinned) {
    block_cache_release(rows->source.context->cache, pinned->block);
    *pinned = (struct rows_pinned){0};
}

lore_status rows_scan(struct rows *rows, uint64_t position, size_t max, void *vectors,
                      struct rows_position *positions, struct read_count *count, size_t *got) {
    struct rows_pinned pinned;
    *got = 0;
    TRY(rows_pin(rows, position, max, positions, count, &pinned));
    if (pinned.count > 0) memcpy(vectors, pinned.vectors, pinned.count * rows->stride_bytes);
    *got = pinned.count;
    rows_unpin(rows, &pinned);
    return LORE_OK;
}
