/*
 * table_cursor.c - walking a table in order, both ways.
 *
 * Three cursors stand one in the other: in the top index, in the index block of the partition
 * there, in the data block there. Blocks come through the cache and stay pinned while the cursor is
 * in them, or, for a scan, are unpacked to memory of the cursor's own from a window of the file
 * that is read in one piece.
 *
 * Moving from one data block to its neighbour checks that they touch, so that a walk reads each
 * byte of the file at most once and ends, whatever the index says.
 *
 * Threads: a cursor belongs to one.
 */
#include "segment/table_internal.h"

#include <assert.h>

#include "base/poison.h"

/* A block being walked: pinned in the cache, or `raw` of our own. */
struct held_block {
    bool is_loaded;
    uint64_t offset;
    struct block *pinned; /* NULL in a scan */
    struct bytes raw;
};

struct table_cursor {
    struct table *table;
    const struct allocator *allocator;
    bool scan;
    uint32_t readahead_bytes;
    struct table_block_cursor top, index, data;
    struct table_partition partition; /* at which `top` stands */
    struct segment_place place;       /* of the data block at which `index` stands */
    struct held_block index_block, data_block;
    struct bytes window; /* of a scan: stored bytes from window_offset on */
    uint64_t window_offset;
    struct read_count count;
};

lore_status table_cursor_create(struct table *table, const struct allocator *allocator, bool scan,
                                uint32_t readahead_bytes, struct table_cursor **cursor) {
    void *memory;
    TRY(mem_new(allocator, sizeof(struct table_cursor), &memory));
    struct table_cursor *made = memory;
    made->table = table;
    made->allocator = allocator;
    made->scan = scan;
    made->readahead_bytes = readahead_bytes;
    table_block_cursor_init(&made->top, TABLE_KINDS_INDEX, bytes_empty(allocator));
    table_block_cursor_init(&made->index, TABLE_KINDS_INDEX, bytes_empty(allocator));
    table_block_cursor_init(&made->data, TABLE_KINDS_DATA, bytes_empty(allocator));
    made->index_block.raw = bytes_empty(allocator);
    made->data_block.raw = bytes_empty(allocator);
    made->window = bytes_empty(allocator);
    if (table->top.size > 0) {
        lore_status status = table_block_cursor_open(&made->top, bytes_slice(&table->top));
        assert(status == LORE_OK); /* table_open has walked it */
        (void)status;
    }
    *cursor = made;
    return LORE_OK;
}

static void let_go(struct table_cursor *cursor, struct held_block *held) {
    if (held->pinned != NULL) block_cache_release(cursor->table->context->cache, held->pinned);
    held->pinned = NULL;
    held->is_loaded = false;
}

void table_cursor_destroy(struct table_cursor *cursor) {
    if (cursor == NULL) return;
    let_go(cursor, &cursor->index_block);
    let_go(cursor, &cursor->data_block);
    bytes_free(&cursor->index_block.raw);
    bytes_free(&cursor->data_block.raw);
    bytes_free(&cursor->window);
    bytes_free(&cursor->top.key);
    bytes_free(&cursor->index.key);
    bytes_free(&cursor->data.key);
    mem_put(cursor->allocator, cursor, sizeof *cursor);
}

struct read_count *table_cursor_count(struct table_cursor *cursor) {
    return &cursor->count;
}

bool table_cursor_entry(const struct table_cursor *cursor, struct entry *entry) {
    const struct table_block_cursor *data = &cursor->data;
    if (!cursor->data_block.is_loaded || !table_block_cursor_valid(data)) return false;
    *entry = (struct entry){bytes_slice(&data->key), table_block_cursor_sequence(data),
                            (enum entry_kind)(data->packed & 0xff), data->value};
    return true;
}

/* ---- bringing in blocks ---- */

/* The stored bytes of a place from the window, which is read anew where it does not hold them:
 * ahead in the direction in which the scan moves, within [from, to). */
static lore_status read_window(struct table_cursor *cursor, const struct segment_place *place,
                               uint64_t from, uint64_t to, const uint8_t **stored) {
    uint64_t end = place->offset + place->length;
    uint64_t window_end = cursor->window_offset + cursor->window.size;
    bool is_backward = cursor->window.size > 0 && place->offset < cursor->window_offset;
    if (place->offset < cursor->window_offset || end > window_end) {
        uint64_t begin = place->offset;
        uint64_t ahead = cursor->readahead_bytes;
        if (is_backward) {
            if (end - from < ahead) ahead = end - from;
            if (end - begin < ahead) begin = end - ahead;
        } else {
            if (to - begin < ahead) ahead = to - begin;
            if (end - begin < ahead) end = begin + ahead;
        }
        size_t size = (size_t)(end - begin);
        /* A single huge block should not cost its size until the scan ends. */
        size_t usual = size > cursor->readahead_bytes ? size : cursor->readahead_bytes;
        if (cursor->window.capacity > 2 * usual) bytes_free(&cursor->window);
        bytes_clear(&cursor->window);
        uint8_t *at;
        TRY(bytes_extend(&cursor->window, size, &at));
        lore_status status = pooled_file_read(cursor->table->file, begin, at, size);
        if (status != LORE_OK) {
            bytes_clear(&cursor->window);
            return status;
        }
        cursor->window_offset = begin;
    }
    cursor->count.blocks_read++;
    cursor->count.bytes_read += place->length;
    *stored = cursor->window.data + (place->offset - cursor->window_offset);
    return LORE_OK;
}

static lore_status unpack_to(struct table_cursor *cursor, const struct segment_place *place,
                             const uint8_t *stored, struct bytes *raw) {
    const char *path = pooled_file_path(cursor->table->file);
    struct segment_stored parts;
    TRY(segment_block_check(path, cursor->table->summary.id, place, stored, TABLE_BLOCK_RAW_MAX,
                            &parts));
    if (raw->capacity > 4 * ((size_t)parts.raw_length + cursor->readahead_bytes)) bytes_free(raw);
    bytes_clear(raw);
    uint8_t *at;
    TRY(bytes_extend(raw, parts.raw_length, &at));
    return segment_block_unpack(path, place, &parts, at);
}

/* Hold the block at `place`; [from, to) is where a scan may read ahead for it. */
static lore_status hold(struct table_cursor *cursor, struct held_block *held,
                        const struct segment_place *place, uint64_t from, uint64_t to,
                        lore_slice *raw) {
    struct table *table = cursor->table;
    if (!held->is_loaded || held->offset != place->offset) {
        let_go(cursor, held);
        if (cursor->scan) {
            const uint8_t *stored;
            TRY(read_window(cursor, place, from, to, &stored));
            TRY(unpack_to(cursor, place, stored, &held->raw));
        } else {
            TRY(segment_block_fetch(table->context, table->file, table->summary.id, place,
                                    TABLE_BLOCK_RAW_MAX, &cursor->count, &held->pinned));
        }
        held->is_loaded = true;
        held->offset = place->offset;
    }
    *raw = held->pinned != NULL ? slice(held->pinned->data, held->pinned->size)
                                : bytes_slice(&held->raw);
    return LORE_OK;
}

/* The index block of the partition at which `top` stands. */
static lore_status load_index(struct table_cursor *cursor) {
    bool sound = table_partition_decode(cursor->top.value, &cursor->partition);
    assert(sound); /* table_open has checked each */
    (void)sound;
    const struct segment_place *place = &cursor->partition.index;
    lore_slice raw;
    TRY(hold(cursor, &cursor->index_block, place, place->offset, place->offset + place->length,
             &raw));
    bytes_clear(&cursor->window); /* says nothing of the direction in which data are read */
    return table_fail_at(cursor->table, place->offset,
                         table_block_cursor_open(&cursor->index, raw));
}

/* The data block at which `index` stands. */
static lore_status load_data(struct table_cursor *cursor) {
    const struct table_partition *partition = &cursor->partition;
    if (!table_place_decode(partition, cursor->index.value, &cursor->place))
        return table_fail_at(cursor->table, partition->index.offset,
                             fail(LORE_CORRUPTION, "a place in the index is malformed"));
    lore_slice raw;
    TRY(hold(cursor, &cursor->data_block, &cursor->place, partition->data_offset,
             partition->data_end, &raw));
    return table_fail_at(cursor->table, cursor->place.offset,
                         table_block_cursor_open(&cursor->data, raw));
}

static lore_status index_fault(const struct table_cursor *cursor, const char *what) {
    return table_fail_at(cursor->table, cursor->partition.index.offset,
                         fail(LORE_CORRUPTION, "%s", what));
}

/* What a cursor of a block reported, with the place of that block. */
static lore_status in_index(const struct table_cursor *cursor, lore_status status) {
    return table_fail_at(cursor->table, cursor->partition.index.offset, status);
}

static lore_status in_data(const struct table_cursor *cursor, lore_status status) {
    return table_fail_at(cursor->table, cursor->place.offset, status);
}

/* ---- moving between blocks ---- */

/* The first data block of the partition at which `top` stands, at its first entry. */
static lore_status enter_first(struct table_cursor *cursor) {
    TRY(load_index(cursor));
    TRY(in_index(cursor, table_block_cursor_first(&cursor->index)));
    if (!table_block_cursor_valid(&cursor->index)) return index_fault(cursor, "the index is empty");
    TRY(load_data(cursor));
    if (cursor->place.offset != cursor->partition.data_offset)
        return index_fault(cursor, "the first block is not at the partition's begin");
    return in_data(cursor, table_block_cursor_first(&cursor->data));
}

static lore_status enter_last(struct table_cursor *cursor) {
    TRY(load_index(cursor));
    TRY(in_index(cursor, table_block_cursor_last(&cursor->index)));
    if (!table_block_cursor_valid(&cursor->index)) return index_fault(cursor, "the index is empty");
    TRY(load_data(cursor));
    if (cursor->place.offset + cursor->place.length != cursor->partition.data_end)
        return index_fault(cursor, "the last block is not at the end of the partition's data");
    return in_data(cursor, table_block_cursor_last(&cursor->data));
}

static lore_status block_is_empty(const struct table_cursor *cursor) {
    if (table_block_cursor_valid(&cursor->data)) return LORE_OK;
    return in_data(cursor, fail(LORE_CORRUPTION, "the block is empty"));
}

/* The data cursor is past its block: on to the next block's first entry, or not valid at the
 * table's end. */
static lore_status go_to_next_block(struct table_cursor *cursor) {
    uint64_t end = cursor->place.offset + cursor->place.length;
    TRY(in_index(cursor, table_block_cursor_next(&cursor->index)));
    if (table_block_cursor_valid(&cursor->index)) {
        TRY(load_data(cursor));
        if (cursor->place.offset != end) return index_fault(cursor, "blocks do not touch");
        TRY(in_data(cursor, table_block_cursor_first(&cursor->data)));
        return block_is_empty(cursor);
    }
    TRY(table_block_cursor_next(&cursor->top));
    if (!table_block_cursor_valid(&cursor->top)) return LORE_OK;
    TRY(enter_first(cursor));
    return block_is_empty(cursor);
}

static lore_status go_to_previous_block(struct table_cursor *cursor) {
    uint64_t begin = cursor->place.offset;
    TRY(in_index(cursor, table_block_cursor_prev(&cursor->index)));
    if (table_block_cursor_valid(&cursor->index)) {
        TRY(load_data(cursor));
        if (cursor->place.offset + cursor->place.length != begin)
            return index_fault(cursor, "blocks do not touch");
        TRY(in_data(cursor, table_block_cursor_last(&cursor->data)));
        return block_is_empty(cursor);
    }
    TRY(table_block_cursor_prev(&cursor->top));
    if (!table_block_cursor_valid(&cursor->top)) return LORE_OK;
    TRY(enter_last(cursor));
    return block_is_empty(cursor);
}

/* ---- moves ---- */

/* After a failure a cursor is not valid, and holds no block that it does not know well. */
static lore_status settle(struct table_cursor *cursor, lore_status status) {
    if (status != LORE_OK) {
        let_go(cursor, &cursor->index_block);
        let_go(cursor, &cursor->data_block);
    }
    return status;
}

/* Not valid, though blocks stay held for the next move. */
static void invalidate(struct table_cursor *cursor) {
    cursor->data.at = cursor->data.next = cursor->data.block.entries_end;
}

static lore_status seek_blocks(struct table_cursor *cursor, lore_slice key, uint64_t sequence) {
    invalidate(cursor);
    if (cursor->table->top.size == 0) return LORE_OK;
    TRY(table_block_cursor_seek(&cursor->top, key, sequence));
    if (!table_block_cursor_valid(&cursor->top)) return LORE_OK;
    TRY(load_index(cursor));
    TRY(in_index(cursor, table_block_cursor_seek(&cursor->index, key, sequence)));
    if (!table_block_cursor_valid(&cursor->index))
        return index_fault(cursor, "the index ends before its bound in the top index");
    TRY(load_data(cursor));
    TRY(in_data(cursor, table_block_cursor_seek(&cursor->data, key, sequence)));
    /* The bound may be after the block's last entry, and so may what is sought. */
    return table_block_cursor_valid(&cursor->data) ? LORE_OK : go_to_next_block(cursor);
}

lore_status table_cursor_seek(struct table_cursor *cursor, lore_slice key, uint64_t sequence) {
    return settle(cursor, seek_blocks(cursor, key, sequence));
}

static lore_status seek_end(struct table_cursor *cursor, bool last) {
    invalidate(cursor);
    if (cursor->table->top.size == 0) return LORE_OK;
    TRY(last ? table_block_cursor_last(&cursor->top) : table_block_cursor_first(&cursor->top));
    TRY(last ? enter_last(cursor) : enter_first(cursor));
    return block_is_empty(cursor);
}

lore_status table_cursor_seek_first(struct table_cursor *cursor) {
    return settle(cursor, seek_end(cursor, false));
}

lore_status table_cursor_seek_last(struct table_cursor *cursor) {
    return settle(cursor, seek_end(cursor, true));
}

static lore_status step_back(struct table_cursor *cursor) {
    TRY(in_data(cursor, table_block_cursor_prev(&cursor->data)));
    return table_block_cursor_valid(&cursor->data) ? LORE_OK : go_to_previous_block(cursor);
}

static lore_status seek_before(struct table_cursor *cursor, lore_slice key) {
    struct entry entry;
    TRY(seek_blocks(cursor, key, SEQUENCE_MAX));
    return table_cursor_entry(cursor, &entry) ? step_back(cursor) : seek_end(cursor, true);
}

lore_status table_cursor_seek_before(struct table_cursor *cursor, lore_slice key) {
    return settle(cursor, seek_before(cursor, key));
}

static lore_status step_forward(struct table_cursor *cursor) {
    TRY(in_data(cursor, table_block_cursor_next(&cursor->data)));
    return table_block_cursor_valid(&cursor->data) ? LORE_OK : go_to_next_block(cursor);
}

lore_status table_cursor_next(struct table_cursor *cursor) {
    struct entry entry;
    bool valid = table_cursor_entry(cursor, &entry);
    assert(valid);
    if (!valid) return fail(LORE_MISUSE, "a table's cursor that is at no entry was moved");
    return settle(cursor, step_forward(cursor));
}

lore_status table_cursor_prev(struct table_cursor *cursor) {
    struct entry entry;
    bool valid = table_cursor_entry(cursor, &entry);
    assert(valid);
    if (!valid) return fail(LORE_MISUSE, "a table's cursor that is at no entry was moved");
    return settle(cursor, step_back(cursor));
}
