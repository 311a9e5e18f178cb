/*
 * table_reader.c - opening a table, point reads, range deletes.
 *
 * Opening checks that the parts follow each other without a gap, so that afterwards what the top
 * index says of places can be relied on; what blocks hold is checked when they are read.
 *
 * A point read looks at the top index (in memory), then at filter, index block and one data block,
 * through the cache: the index bounds are exact in sequence too, so the newest version not newer
 * than the one asked for is in the first block whose bound is not before (key, sequence), or
 * nowhere.
 *
 * Range deletes may overlap in any way. They are a tree in place: sorted by begin, each subtree
 * knowing which of its range deletes reaches farthest. A lookup costs the logarithm of their number
 * and those that cover the key; memory is 4 bytes each beside the bytes of the block, however they
 * overlap (fragments would be quadratic).
 */
#include "segment/table_internal.h"

#include <assert.h>
#include <inttypes.h>

#include "segment/fuse_filter.h"
#include "base/poison.h"

lore_status table_fail_at(const struct table *table, uint64_t offset, lore_status status) {
    if (status != LORE_CORRUPTION) return status;
    return fail_within(status, "%s: block at offset %" PRIu64, pooled_file_path(table->file),
                       offset);
}

bool table_partition_decode(lore_slice value, struct table_partition *partition) {
    struct reader r = reader_over(value);
    uint64_t data_offset = read_varint(&r);
    uint64_t data_length = read_varint(&r);
    partition->filter.length = read_varint32(&r);
    partition->index.length = read_varint32(&r);
    partition->filter.check = read_u64(&r);
    partition->index.check = read_u64(&r);
    const uint64_t far = UINT64_MAX / 4; /* past any file: no sum below can wrap around */
    if (r.bad || reader_left(&r) != 0 || data_offset > far || data_length > far ||
        partition->filter.length < BLOCK_HEADER_BYTES ||
        partition->index.length < BLOCK_HEADER_BYTES)
        return false;
    partition->data_offset = data_offset;
    partition->data_end = data_offset + data_length;
    partition->filter.offset = partition->data_end;
    partition->index.offset = partition->data_end + partition->filter.length;
    return true;
}

bool table_place_decode(const struct table_partition *partition, lore_slice value,
                        struct segment_place *place) {
    struct reader r = reader_over(value);
    uint64_t offset = read_varint(&r);
    place->length = read_varint32(&r);
    place->check = read_u64(&r);
    uint64_t data_length = partition->data_end - partition->data_offset;
    if (r.bad || reader_left(&r) != 0 || place->length < BLOCK_HEADER_BYTES ||
        offset > data_length || place->length > data_length - offset)
        return false;
    place->offset = partition->data_offset + offset;
    return true;
}

/* ---- opening ---- */

struct table_footer {
    struct segment_place top, ranges;
    uint64_t footer_offset;
};

static lore_status wrong(const struct table *table, uint64_t offset, const char *what) {
    return fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": %s", pooled_file_path(table->file),
                offset, what);
}

static lore_status decode_footer(struct table *table, struct reader *r,
                                 struct table_footer *footer) {
    footer->top.offset = read_u64(r);
    footer->top.length = read_u32(r);
    footer->ranges.length = read_u32(r);
    footer->top.check = read_u64(r);
    footer->ranges.check = read_u64(r);
    table->partitions = read_u32(r);
    (void)read_u32(r); /* the block size aimed at: for people and tools */
    table->data_blocks = read_u64(r);
    table->data_raw_bytes = read_u64(r);
    uint64_t lengths = (uint64_t)footer->top.length + footer->ranges.length;
    if (r->bad || reader_left(r) != 0 || footer->footer_offset < lengths ||
        footer->top.offset != footer->footer_offset - lengths ||
        footer->top.offset < SEGMENT_HEADER_BYTES)
        return wrong(table, footer->footer_offset, "the footer is malformed");
    footer->ranges.offset = footer->top.offset + footer->top.length;
    return LORE_OK;
}

static lore_status read_footer(struct table *table, struct table_footer *footer) {
    struct bytes body = bytes_empty(table->context->work_allocator);
    struct reader rest;
    lore_status status =
        segment_footer_read(table->file, &table->summary, &body, &rest, &footer->footer_offset);
    if (status == LORE_OK) status = decode_footer(table, &rest, footer);
    bytes_free(&body);
    return status;
}

/* A resident block into `raw`, which is made to fit: it stays while the table is open. */
static lore_status read_resident(struct table *table, const struct segment_place *place,
                                 struct bytes *raw) {
    if (place->length == 0) return LORE_OK;
    struct bytes stored = bytes_empty(table->context->work_allocator);
    lore_status status =
        segment_block_read_mended(table->file, table->summary.id, place, TABLE_BLOCK_RAW_MAX,
                                  table->context->mender, &stored, raw);
    bytes_free(&stored);
    return status;
}

/* Walk the top index: partitions follow each other from the header to the top index, bounds ascend.
 */
static lore_status check_partition(const struct table_block_cursor *cursor, uint64_t *at) {
    struct table_partition partition;
    if (!table_partition_decode(cursor->value, &partition) || partition.data_offset != *at ||
        partition.data_end == partition.data_offset)
        return fail(LORE_CORRUPTION, "a partition of the top index is malformed");
    *at = partition.index.offset + partition.index.length;
    return LORE_OK;
}

static lore_status walk_top(struct table *table, struct table_block_cursor *cursor,
                            struct bytes *previous, uint64_t *at) {
    uint32_t partitions = 0;
    uint64_t previous_sequence = 0;
    TRY(table_block_cursor_open(cursor, bytes_slice(&table->top)));
    TRY(table_block_cursor_first(cursor));
    for (; table_block_cursor_valid(cursor); partitions++) {
        lore_slice key = bytes_slice(&cursor->key);
        uint64_t sequence = table_block_cursor_sequence(cursor);
        if (partitions > 0 &&
            table_order(bytes_slice(previous), previous_sequence, key, sequence) >= 0)
            return fail(LORE_CORRUPTION, "bounds of the top index are out of order");
        TRY(check_partition(cursor, at));
        TRY(bytes_set(previous, key));
        previous_sequence = sequence;
        TRY(table_block_cursor_next(cursor));
    }
    if (partitions != table->partitions)
        return fail(LORE_CORRUPTION, "%" PRIu32 " partitions, the footer says %" PRIu32, partitions,
                    table->partitions);
    return LORE_OK;
}

static lore_status check_top(struct table *table, const struct segment_place *top) {
    uint64_t at = SEGMENT_HEADER_BYTES;
    lore_status status = LORE_OK;
    if (top->length > 0) {
        const struct allocator *allocator = table->context->work_allocator;
        struct table_block_cursor cursor;
        struct bytes previous = bytes_empty(allocator);
        table_block_cursor_init(&cursor, TABLE_KINDS_INDEX, bytes_empty(allocator));
        status = table_fail_at(table, top->offset, walk_top(table, &cursor, &previous, &at));
        bytes_free(&previous);
        bytes_free(&cursor.key);
    }
    TRY(status);
    if (at != top->offset || (top->length == 0) != (table->partitions == 0))
        return wrong(table, top->offset, "the partitions do not end where the top index begins");
    return LORE_OK;
}

static void range_delete_at(const struct table *table, size_t index, struct entry *entry) {
    struct table_block_entry raw;
    bool found = table_block_restart(&table->range_block, (uint32_t)index, &raw);
    assert(found); /* check_ranges has seen each of them */
    (void)found;
    *entry = (struct entry){raw.key, raw.packed >> 8, ENTRY_RANGE_DELETE, raw.value};
}

/* Fill max_end of [low, high) and return its root's. Deep as the logarithm of their number. */
static uint32_t build_tree(struct table *table, uint32_t low, uint32_t high) {
    uint32_t middle = low + (high - low) / 2;
    uint32_t best = middle;
    struct entry best_entry, entry;
    range_delete_at(table, best, &best_entry);
    const uint32_t bounds[2][2] = {{low, middle}, {middle + 1, high}};
    for (size_t side = 0; side < 2; side++) {
        if (bounds[side][0] >= bounds[side][1]) continue;
        uint32_t index = build_tree(table, bounds[side][0], bounds[side][1]);
        range_delete_at(table, index, &entry);
        if (slice_compare(entry.value, best_entry.value) <= 0) continue;
        best = index;
        best_entry = entry;
    }
    table->max_end[middle] = best;
    return best;
}

/* Every range delete is at a restart, sound, and in order. */
static lore_status check_ranges(struct table *table, struct table_block_cursor *cursor) {
    lore_slice raw = bytes_slice(&table->ranges);
    TRY(table_block_parse(raw, &table->range_block));
    TRY(table_block_cursor_open(cursor, raw));
    uint32_t index = 0;
    lore_slice previous = slice(NULL, 0);
    TRY(table_block_cursor_first(cursor));
    for (; table_block_cursor_valid(cursor); index++) {
        struct table_block_entry entry;
        if (!table_block_restart(&table->range_block, index, &entry) ||
            entry.value.data != cursor->value.data || entry.value.size < KEYSPACE_BYTES ||
            entry.value.size > KEY_BOUND_BYTES_MAX || slice_compare(entry.key, entry.value) >= 0 ||
            slice_compare(previous, entry.key) > 0)
            return fail(LORE_CORRUPTION, "range delete %" PRIu32 " is malformed", index);
        previous = entry.key;
        TRY(table_block_cursor_next(cursor));
    }
    if (index != table->range_block.restarts_count || index != table->summary.range_deletes)
        return fail(LORE_CORRUPTION, "%" PRIu32 " range deletes, the footer says %" PRIu64, index,
                    table->summary.range_deletes);
    return LORE_OK;
}

static lore_status open_ranges(struct table *table, const struct segment_place *place) {
    if ((place->length == 0) != (table->summary.range_deletes == 0))
        return wrong(table, place->offset, "range deletes that the summary does not know");
    if (place->length == 0) return LORE_OK;
    TRY(read_resident(table, place, &table->ranges));
    struct table_block_cursor cursor;
    table_block_cursor_init(&cursor, TABLE_KINDS_RANGE,
                            bytes_empty(table->context->work_allocator));
    lore_status status = table_fail_at(table, place->offset, check_ranges(table, &cursor));
    bytes_free(&cursor.key);
    TRY(status);
    void *memory;
    uint32_t count = table->range_block.restarts_count;
    TRY(mem_get(table->context->table_allocator, count * sizeof *table->max_end, &memory));
    table->max_end = memory;
    build_tree(table, 0, count);
    return LORE_OK;
}

static lore_status open_file(struct table *table) {
    char path[PATH_BYTES_MAX];
    TRY(segment_path(table->context, SEGMENT_TABLE, table->summary.id, path));
    return pooled_file_create(table->context->files, path, &table->file);
}

static lore_status open_parts(struct table *table, const struct segment_summary *summary,
                              bool with_ranges) {
    struct table_footer footer;
    TRY(segment_summary_copy(&table->summary, summary));
    TRY(open_file(table));
    TRY(read_footer(table, &footer));
    TRY(read_resident(table, &footer.top, &table->top));
    TRY(check_top(table, &footer.top));
    return with_ranges ? open_ranges(table, &footer.ranges) : LORE_OK;
}

static lore_status open_table(const struct segment_context *context,
                              const struct segment_summary *summary, bool with_ranges,
                              struct table **table) {
    assert(summary->kind == SEGMENT_TABLE);
    void *memory;
    TRY(mem_new(context->table_allocator, sizeof(struct table), &memory));
    struct table *made = memory;
    made->context = context;
    made->top = bytes_empty(context->table_allocator);
    made->ranges = bytes_empty(context->table_allocator);
    segment_summary_init(&made->summary, context->table_allocator);
    lore_status status = open_parts(made, summary, with_ranges);
    if (status != LORE_OK) {
        table_close(made);
        return status;
    }
    *table = made;
    return LORE_OK;
}

lore_status table_open(const struct segment_context *context, const struct segment_summary *summary,
                       struct table **table) {
    return open_table(context, summary, true, table);
}

lore_status table_open_without_ranges(const struct segment_context *context,
                                      const struct segment_summary *summary, struct table **table) {
    return open_table(context, summary, false, table);
}

void table_close(struct table *table) {
    if (table == NULL) return;
    const struct allocator *allocator = table->context->table_allocator;
    pooled_file_release(table->file);
    if (table->max_end != NULL)
        mem_put(allocator, table->max_end,
                table->range_block.restarts_count * sizeof *table->max_end);
    bytes_free(&table->top);
    bytes_free(&table->ranges);
    segment_summary_deinit(&table->summary);
    mem_put(allocator, table, sizeof *table);
}

struct pooled_file *table_file(struct table *table) {
    return table->file;
}

/* ---- range deletes ---- */

size_t table_range_delete_count(const struct table *table) {
    return table->range_block.restarts_count;
}

void table_range_delete(const struct table *table, size_t index, struct entry *entry) {
    assert(index < table_range_delete_count(table));
    range_delete_at(table, index, entry);
}

struct covering_search {
    const struct table *table;
    lore_slice key;
    uint64_t sequence; /* the highest that counts */
    uint64_t best;
};

static void search_covering(struct covering_search *search, uint32_t low, uint32_t high) {
    if (low >= high) return;
    const struct table *table = search->table;
    uint32_t middle = low + (high - low) / 2;
    struct entry entry;
    range_delete_at(table, table->max_end[middle], &entry);
    if (slice_compare(entry.value, search->key) <= 0) return; /* none here reaches the key */
    search_covering(search, low, middle);
    range_delete_at(table, middle, &entry);
    if (slice_compare(entry.key, search->key) > 0)
        return; /* nor does any after it begin early enough */
    if (slice_compare(search->key, entry.value) < 0 && entry.sequence <= search->sequence &&
        entry.sequence > search->best)
        search->best = entry.sequence;
    search_covering(search, middle + 1, high);
}

uint64_t table_covering(const struct table *table, lore_slice key, uint64_t sequence) {
    struct covering_search search = {table, key, sequence, 0};
    search_covering(&search, 0, table->range_block.restarts_count);
    return search.best;
}

/* ---- point reads ---- */

/* A point read's way down. One block is pinned at a time; `cursor` and its memory serve each in
 * turn. */
struct point_lookup {
    struct table *table;
    lore_slice key;
    uint64_t sequence, hash;
    struct read_count *count;
    struct table_block_cursor cursor;
    uint8_t key_memory[KEY_BOUND_BYTES_MAX];
};

static void set_cursor(struct point_lookup *lookup, uint32_t kinds) {
    struct bytes key = {lookup->key_memory, 0, sizeof lookup->key_memory, NULL};
    table_block_cursor_init(&lookup->cursor, kinds, key);
}

static lore_status find_partition(struct point_lookup *lookup, struct table_partition *partition,
                                  bool *found) {
    *found = false;
    if (lookup->table->top.size == 0) return LORE_OK;
    set_cursor(lookup, TABLE_KINDS_INDEX);
    TRY(table_block_cursor_open(&lookup->cursor, bytes_slice(&lookup->table->top)));
    TRY(table_block_cursor_seek(&lookup->cursor, lookup->key, lookup->sequence));
    if (!table_block_cursor_valid(&lookup->cursor)) return LORE_OK;
    *found = table_partition_decode(lookup->cursor.value, partition);
    assert(*found); /* check_top has seen it */
    return LORE_OK;
}

static lore_status fetch(const struct point_lookup *lookup, const struct segment_place *place,
                         struct block **block) {
    return segment_block_fetch(lookup->table->context, lookup->table->file,
                               lookup->table->summary.id, place, TABLE_BLOCK_RAW_MAX, lookup->count,
                               block);
}

static void release(const struct point_lookup *lookup, struct block *block) {
    block_cache_release(lookup->table->context->cache, block);
}

static lore_status ask_filter(const struct point_lookup *lookup,
                              const struct table_partition *partition, bool *maybe) {
    struct block *block;
    TRY(fetch(lookup, &partition->filter, &block));
    lore_slice filter = slice(block->data, block->size);
    bool sound = fuse_filter_is_valid(filter);
    *maybe = sound && fuse_filter_maybe(filter, lookup->hash);
    release(lookup, block);
    return sound ? LORE_OK : wrong(lookup->table, partition->filter.offset, "a malformed filter");
}

static lore_status seek_index(struct point_lookup *lookup, const struct table_partition *partition,
                              lore_slice raw, struct segment_place *place) {
    set_cursor(lookup, TABLE_KINDS_INDEX);
    TRY(table_block_cursor_open(&lookup->cursor, raw));
    TRY(table_block_cursor_seek(&lookup->cursor, lookup->key, lookup->sequence));
    if (!table_block_cursor_valid(&lookup->cursor))
        return fail(LORE_CORRUPTION, "the index ends before its bound in the top index");
    if (!table_place_decode(partition, lookup->cursor.value, place))
        return fail(LORE_CORRUPTION, "a place in the index is malformed");
    return LORE_OK;
}

static lore_status find_block(struct point_lookup *lookup, const struct table_partition *partition,
                              struct segment_place *place) {
    struct block *block;
    TRY(fetch(lookup, &partition->index, &block));
    lore_status status = seek_index(lookup, partition, slice(block->data, block->size), place);
    release(lookup, block);
    return table_fail_at(lookup->table, partition->index.offset, status);
}

static lore_status seek_data(struct point_lookup *lookup, lore_slice raw, struct entry *entry,
                             struct bytes *value, bool *found) {
    struct table_block_cursor *cursor = &lookup->cursor;
    set_cursor(lookup, TABLE_KINDS_DATA);
    TRY(table_block_cursor_open(cursor, raw));
    TRY(table_block_cursor_seek_hashed(cursor, lookup->key, lookup->sequence, lookup->hash));
    *found =
        table_block_cursor_valid(cursor) && slice_equal(bytes_slice(&cursor->key), lookup->key);
    if (!*found) return LORE_OK;
    TRY(bytes_set(value, cursor->value));
    *entry = (struct entry){lookup->key, table_block_cursor_sequence(cursor),
                            (enum entry_kind)(cursor->packed & 0xff), bytes_slice(value)};
    return LORE_OK;
}

static lore_status find_entry(struct point_lookup *lookup, const struct segment_place *place,
                              struct entry *entry, struct bytes *value, bool *found) {
    struct block *block;
    TRY(fetch(lookup, place, &block));
    lore_status status = seek_data(lookup, slice(block->data, block->size), entry, value, found);
    release(lookup, block);
    return table_fail_at(lookup->table, place->offset, status);
}

lore_status table_get(struct table *table, lore_slice key, uint64_t sequence,
                      struct read_count *count, struct entry *entry, struct bytes *value,
                      bool *found) {
    assert(key.size <= KEY_BYTES_MAX);
    struct point_lookup lookup;
    lookup.table = table;
    lookup.key = key;
    lookup.sequence = sequence;
    lookup.count = count;
    struct table_partition partition;
    struct segment_place place;
    bool maybe;
    *found = false;
    TRY(find_partition(&lookup, &partition, &maybe));
    if (!maybe) return LORE_OK;
    lookup.hash = check64(key.data, key.size);
    TRY(ask_filter(&lookup, &partition, &maybe));
    if (!maybe) return LORE_OK;
    TRY(find_block(&lookup, &partition, &place));
    return find_entry(&lookup, &place, entry, value, found);
}
