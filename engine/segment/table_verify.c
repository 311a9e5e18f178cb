/*
 * table_verify.c - reads all of a table and says all that is wrong with it.
 *
 * First the whole file against its digest, then every partition: filter, index, data blocks; their
 * checks, their places, the order of bounds and entries, that every key passes its filter and is
 * found by its block's hash index, and what the summary says of it all. Each is read by place, not
 * through table_cursor, so that one fault does not hide the next.
 *
 * Memory, from the work allocator: a filter, an index and a data block, stored and raw.
 *
 * Threads: one.
 */
#include "segment/table_internal.h"

#include <inttypes.h>

#include "segment/fault_report.h"
#include "segment/fuse_filter.h"
#include "base/poison.h"

/* A place in the order of entries. */
struct position {
    bool is_set;
    struct bytes key;
    uint64_t sequence;
};

struct verify {
    struct table *table;
    table_entry_fn entry; /* salvage: what is hurt beside the entries does not matter; else NULL */
    void *entry_context;
    struct fault_report report;
    struct bytes stored, filter, index,
        data; /* of the blocks being looked at; filter is empty if it is damaged */
    struct table_block_cursor index_cursor, data_cursor, probe;
    struct table_partition partition;
    struct position bound; /* of the block before */
    struct position last;  /* entry */
    /* what was found, to be compared with summary and footer */
    uint64_t entries, data_blocks, data_raw_bytes;
    uint64_t first_sequence, last_sequence;
    uint32_t kinds;
    struct bytes first_key;
};

static lore_status move_position(struct position *position, lore_slice key, uint64_t sequence) {
    TRY(bytes_set(&position->key, key));
    position->sequence = sequence;
    position->is_set = true;
    return LORE_OK;
}

static bool is_after(const struct position *position, lore_slice key, uint64_t sequence) {
    return !position->is_set ||
           table_order(bytes_slice(&position->key), position->sequence, key, sequence) < 0;
}

/* Report this thread's last failure, if it is damage, for the keys after the bound before up to
 * `last_key`. */
static lore_status damage(struct verify *v, uint64_t offset, lore_slice last_key,
                          lore_status status) {
    if (status != LORE_CORRUPTION && status != LORE_IO) return status;
    v->report.faults++;
    if (v->report.fault == NULL) return LORE_OK;
    const struct bytes *first = v->bound.is_set ? &v->bound.key : &v->table->summary.first_key;
    struct segment_fault fault = {offset, bytes_slice(first), last_key, lore_error_message()};
    v->report.fault(v->report.context, &fault);
    return LORE_OK;
}

/* A fault that hides no entry: without keys. */
static lore_status hurts_nothing(struct verify *v, uint64_t offset, lore_status status) {
    if (status != LORE_CORRUPTION && status != LORE_IO) return status;
    v->report.faults++;
    struct segment_fault fault = {offset, slice(NULL, 0), slice(NULL, 0), lore_error_message()};
    if (v->report.fault != NULL) v->report.fault(v->report.context, &fault);
    return LORE_OK;
}

static lore_status read_block(struct verify *v, const struct segment_place *place,
                              struct bytes *raw) {
    return segment_block_read_mended(v->table->file, v->table->summary.id, place,
                                     TABLE_BLOCK_RAW_MAX, v->table->context->mender, &v->stored,
                                     raw);
}

/* ---- data blocks ---- */

static lore_status check_entry(struct verify *v, lore_slice bound, uint64_t bound_sequence) {
    const struct segment_summary *summary = &v->table->summary;
    lore_slice key = bytes_slice(&v->data_cursor.key);
    uint64_t sequence = table_block_cursor_sequence(&v->data_cursor);
    if (!is_after(&v->last, key, sequence))
        return fail(LORE_CORRUPTION, "entries are out of order");
    if (!is_after(&v->bound, key, sequence) ||
        table_order(key, sequence, bound, bound_sequence) > 0)
        return fail(LORE_CORRUPTION, "an entry is outside of its block's bounds");
    if (sequence < summary->first_sequence || sequence > summary->last_sequence)
        return fail(LORE_CORRUPTION, "an entry has sequence %" PRIu64, sequence);
    uint64_t hash = check64(key.data, key.size);
    if (v->filter.size > 0 && !fuse_filter_maybe(bytes_slice(&v->filter), hash))
        return fail(LORE_CORRUPTION, "the filter does not know a key");
    TRY(table_block_cursor_seek_hashed(&v->probe, key, sequence, hash));
    if (!table_block_cursor_valid(&v->probe) || v->probe.at != v->data_cursor.at)
        return fail(LORE_CORRUPTION, "the hash index does not find a key");
    if (v->entries == 0) TRY(bytes_set(&v->first_key, key));
    if (v->entries == 0 || sequence < v->first_sequence) v->first_sequence = sequence;
    if (v->entries == 0 || sequence > v->last_sequence) v->last_sequence = sequence;
    v->kinds |= 1u << (v->data_cursor.packed & 0xff);
    v->entries++;
    TRY(move_position(&v->last, key, sequence));
    if (v->entry == NULL) return LORE_OK;
    struct entry entry = {key, sequence, (enum entry_kind)(v->data_cursor.packed & 0xff),
                          v->data_cursor.value};
    return v->entry(v->entry_context, &entry);
}

static lore_status walk_data(struct verify *v, lore_slice bound, uint64_t bound_sequence) {
    lore_slice raw = bytes_slice(&v->data);
    TRY(table_block_cursor_open(&v->probe, raw));
    TRY(table_block_cursor_open(&v->data_cursor, raw));
    TRY(table_block_cursor_first(&v->data_cursor));
    if (!table_block_cursor_valid(&v->data_cursor))
        return fail(LORE_CORRUPTION, "the block is empty");
    while (table_block_cursor_valid(&v->data_cursor)) {
        TRY(check_entry(v, bound, bound_sequence));
        TRY(table_block_cursor_next(&v->data_cursor));
    }
    return LORE_OK;
}

static lore_status verify_data(struct verify *v, const struct segment_place *place,
                               lore_slice bound, uint64_t bound_sequence) {
    TRY(read_block(v, place, &v->data));
    v->data_blocks++;
    v->data_raw_bytes += v->data.size;
    return table_fail_at(v->table, place->offset, walk_data(v, bound, bound_sequence));
}

/* ---- partitions ---- */

static lore_status index_fault(const struct verify *v, const char *what) {
    return table_fail_at(v->table, v->partition.index.offset, fail(LORE_CORRUPTION, "%s", what));
}

static lore_status read_filter(struct verify *v) {
    bytes_clear(&v->filter);
    lore_status status = read_block(v, &v->partition.filter, &v->filter);
    if (status == LORE_OK && !fuse_filter_is_valid(bytes_slice(&v->filter)))
        status = table_fail_at(v->table, v->partition.filter.offset,
                               fail(LORE_CORRUPTION, "the filter is malformed"));
    if (status != LORE_OK) bytes_clear(&v->filter);
    return status;
}

/* The index entry at which index_cursor stands, and its data block. *at: where the block must be.
 */
static lore_status verify_index_entry(struct verify *v, uint64_t *at) {
    lore_slice bound = bytes_slice(&v->index_cursor.key);
    uint64_t sequence = table_block_cursor_sequence(&v->index_cursor);
    struct segment_place place;
    if (!is_after(&v->bound, bound, sequence)) return index_fault(v, "bounds are out of order");
    if (!table_place_decode(&v->partition, v->index_cursor.value, &place) || place.offset != *at)
        return index_fault(v, "data blocks do not follow each other");
    *at = place.offset + place.length;
    TRY(damage(v, place.offset, bound, verify_data(v, &place, bound, sequence)));
    return move_position(&v->bound, bound, sequence);
}

static lore_status walk_index(struct verify *v, lore_slice bound, uint64_t bound_sequence) {
    uint64_t at = v->partition.data_offset;
    TRY(read_block(v, &v->partition.index, &v->index));
    TRY(table_fail_at(v->table, v->partition.index.offset,
                      table_block_cursor_open(&v->index_cursor, bytes_slice(&v->index))));
    TRY(table_fail_at(v->table, v->partition.index.offset,
                      table_block_cursor_first(&v->index_cursor)));
    while (table_block_cursor_valid(&v->index_cursor)) {
        TRY(verify_index_entry(v, &at));
        TRY(table_fail_at(v->table, v->partition.index.offset,
                          table_block_cursor_next(&v->index_cursor)));
    }
    if (at != v->partition.data_end || !v->bound.is_set ||
        table_order(bytes_slice(&v->bound.key), v->bound.sequence, bound, bound_sequence) != 0)
        return index_fault(v, "the index does not end where the top index says");
    return LORE_OK;
}

static lore_status verify_partitions(struct verify *v, struct table_block_cursor *top) {
    if (v->table->top.size == 0) return LORE_OK;
    TRY(table_block_cursor_open(top, bytes_slice(&v->table->top)));
    TRY(table_block_cursor_first(top));
    while (table_block_cursor_valid(top)) {
        lore_slice bound = bytes_slice(&top->key);
        uint64_t sequence = table_block_cursor_sequence(top);
        TRY(fault_report_go_on(&v->report, 0)); /* its bytes were counted by the digest's pass */
        if (!table_partition_decode(top->value, &v->partition))
            return fail(LORE_CORRUPTION, "the top index is malformed");
        lore_status filter = read_filter(v);
        if (v->entry == NULL)
            TRY(damage(v, v->partition.filter.offset, bound, filter));
        else if (filter != LORE_OK)
            TRY(hurts_nothing(v, v->partition.filter.offset, filter));
        TRY(damage(v, v->partition.index.offset, bound, walk_index(v, bound, sequence)));
        TRY(move_position(&v->bound, bound, sequence));
        TRY(table_block_cursor_next(top));
    }
    return LORE_OK;
}

/* ---- the whole ---- */

static void count_ranges(struct verify *v, lore_slice *last_end) {
    *last_end = slice(NULL, 0);
    for (size_t i = 0; i < table_range_delete_count(v->table); i++) {
        struct entry entry;
        table_range_delete(v->table, i, &entry);
        bool is_first = i == 0 && v->entries == 0;
        if (is_first || entry.sequence < v->first_sequence) v->first_sequence = entry.sequence;
        if (is_first || entry.sequence > v->last_sequence) v->last_sequence = entry.sequence;
        v->kinds |= 1u << ENTRY_RANGE_DELETE;
        if (slice_compare(entry.value, *last_end) > 0) *last_end = entry.value;
    }
}

static bool key_range_matches(const struct verify *v, lore_slice last_end) {
    const struct segment_summary *summary = &v->table->summary;
    lore_slice first = bytes_slice(&v->first_key), last = bytes_slice(&v->last.key);
    bool is_exclusive = false;
    if (table_range_delete_count(v->table) > 0) {
        struct entry entry;
        table_range_delete(v->table, 0, &entry);
        if (v->entries == 0 || slice_compare(entry.key, first) < 0) first = entry.key;
        is_exclusive = v->entries == 0 || slice_compare(last_end, last) > 0;
        if (is_exclusive) last = last_end;
    }
    return slice_equal(first, bytes_slice(&summary->first_key)) &&
           slice_equal(last, bytes_slice(&summary->last_key)) &&
           is_exclusive == summary->last_key_exclusive;
}

/* What was read against what the footer says. Only where all could be read. */
static lore_status compare_counts(struct verify *v) {
    const struct table *table = v->table;
    const struct segment_summary *summary = &table->summary;
    lore_slice last_end;
    const char *what = NULL;
    count_ranges(v, &last_end);
    if (v->entries != summary->entries)
        what = "number of entries";
    else if (v->data_blocks != table->data_blocks)
        what = "number of data blocks";
    else if (v->data_raw_bytes != table->data_raw_bytes)
        what = "bytes of data";
    else if (v->kinds != summary->kinds_present)
        what = "kinds of entries";
    else if (v->first_sequence != summary->first_sequence ||
             v->last_sequence != summary->last_sequence)
        what = "range of sequences";
    else if (!key_range_matches(v, last_end))
        what = "range of keys";
    if (what == NULL) return LORE_OK;
    return fail(LORE_CORRUPTION, "%s: the footer's %s differs from what was read",
                pooled_file_path(table->file), what);
}

static lore_status verify_all(struct verify *v) {
    const struct segment_summary *summary = &v->table->summary;
    const struct allocator *allocator = v->table->context->work_allocator;
    lore_slice last_key = bytes_slice(&summary->last_key);
    lore_status status = segment_digest_check(v->table->file, summary, allocator,
                                              v->report.keep_going, v->report.context);
    TRY(damage(v, 0, last_key, status));
    struct table_block_cursor top;
    table_block_cursor_init(&top, TABLE_KINDS_INDEX, bytes_empty(allocator));
    status = verify_partitions(v, &top);
    bytes_free(&top.key);
    TRY(damage(v, 0, last_key, status));
    if (v->report.faults > 0) return LORE_OK;
    return damage(v, summary->bytes - SEGMENT_TRAILER_BYTES, last_key, compare_counts(v));
}

static void verify_init(struct verify *v, struct table *table) {
    struct bytes empty = bytes_empty(table->context->work_allocator);
    v->table = table;
    v->stored = v->filter = v->index = v->data = v->first_key = empty;
    v->bound.key = v->last.key = empty;
    table_block_cursor_init(&v->index_cursor, TABLE_KINDS_INDEX, empty);
    table_block_cursor_init(&v->data_cursor, TABLE_KINDS_DATA, empty);
    table_block_cursor_init(&v->probe, TABLE_KINDS_DATA, empty);
}

static void verify_deinit(struct verify *v) {
    struct bytes *owned[] = {&v->stored,          &v->filter,    &v->index,    &v->data,
                             &v->first_key,       &v->bound.key, &v->last.key, &v->index_cursor.key,
                             &v->data_cursor.key, &v->probe.key};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        bytes_free(owned[i]);
}

lore_status table_verify(const struct segment_context *context,
                         const struct segment_summary *summary, segment_fault_fn fault,
                         bool (*keep_going)(void *context, uint64_t bytes), void *fault_context,
                         uint64_t *entries) {
    struct verify v;
    memset(&v, 0, sizeof v);
    v.report = (struct fault_report){fault, keep_going, fault_context, 0};
    char path[PATH_BYTES_MAX];
    *entries = 0;
    TRY(segment_path(context, SEGMENT_TABLE, summary->id, path));
    struct table *table;
    lore_status status = table_open(context, summary, &table);
    if (status != LORE_OK)
        return fault_report_result(&v.report, fault_report_damage(&v.report, 0, status), path);
    verify_init(&v, table);
    status = fault_report_result(&v.report, verify_all(&v), path);
    *entries = v.entries;
    verify_deinit(&v);
    table_close(table);
    return status;
}

/* ---- salvage ---- */

static lore_status read_all(struct verify *v, bool has_ranges) {
    const struct segment_summary *summary = &v->table->summary;
    lore_slice last_key = bytes_slice(&summary->last_key);
    if (!has_ranges)
        TRY(damage(v, summary->bytes, last_key,
                   fail(LORE_CORRUPTION, "%s: its range deletes are lost",
                        pooled_file_path(v->table->file))));
    struct table_block_cursor top;
    table_block_cursor_init(&top, TABLE_KINDS_INDEX,
                            bytes_empty(v->table->context->work_allocator));
    lore_status status = verify_partitions(v, &top);
    bytes_free(&top.key);
    TRY(damage(v, 0, last_key, status));
    for (size_t i = 0; i < table_range_delete_count(v->table); i++) {
        struct entry entry;
        table_range_delete(v->table, i, &entry);
        TRY(v->entry(v->entry_context, &entry));
    }
    return LORE_OK;
}

lore_status table_read_sound(const struct segment_context *context,
                             const struct segment_summary *summary, table_entry_fn entry,
                             segment_fault_fn fault, void *entry_context) {
    struct verify v;
    memset(&v, 0, sizeof v);
    v.report = (struct fault_report){fault, NULL, entry_context, 0};
    struct table *table;
    bool has_ranges = true;
    lore_status status = table_open(context, summary, &table);
    if (status == LORE_CORRUPTION || status == LORE_IO) {
        has_ranges = false;
        status = table_open_without_ranges(context, summary, &table);
    }
    if (status != LORE_OK) {
        if (status != LORE_CORRUPTION && status != LORE_IO && status != LORE_UNSUPPORTED &&
            status != LORE_NOT_FOUND)
            return status;
        struct segment_fault all = {0, bytes_slice(&summary->first_key),
                                    bytes_slice(&summary->last_key), lore_error_message()};
        if (fault != NULL) fault(entry_context, &all);
        return LORE_OK;
    }
    verify_init(&v, table);
    v.entry = entry;
    v.entry_context = entry_context;
    status = read_all(&v, has_ranges);
    verify_deinit(&v);
    table_close(table);
    return status;
}
