/*
 * blob_verify.c - a whole blob file against its own checks and its summary: every index page, every
 * value, that values lie without gaps and references ascend, the totals, and the digest of the
 * file. All is read from the file, past the cache.
 *
 * A fault is reported and the walk goes on.
 */
#include "segment/blob_reader.h"

#include "segment/fault_report.h"
#include "base/poison.h"

#define UNKNOWN UINT64_MAX

struct blob_check {
    struct blob *blob;
    const struct segment_summary *summary;
    struct fault_report report;
    uint64_t values;       /* entries that could be read */
    uint64_t value_bytes;  /* of those */
    uint64_t values_end;   /* where the next value must begin; UNKNOWN after damage */
    uint64_t ordinal_next; /* the least that may come next in the group */
    uint64_t first_sequence, last_sequence;
    struct bytes stored, raw; /* scratch */
};

static lore_status damage(struct blob_check *check, uint64_t offset, const char *what) {
    return fault_report_damage(&check->report, offset,
                               block_source_corrupt(&check->blob->source, offset, what));
}

static lore_status check_order(struct blob_check *check, const struct blob_entry *entry,
                               uint64_t position) {
    const struct value_map *map = &check->blob->map;
    if (map->ranges[value_map_at(map, position)].first == position) check->ordinal_next = 0;
    if (entry->ordinal < check->ordinal_next)
        TRY(damage(check, entry->place.offset, "references out of order"));
    check->ordinal_next = (uint64_t)entry->ordinal + 1;
    if (check->values_end != UNKNOWN && entry->place.offset != check->values_end)
        TRY(damage(check, entry->place.offset, "values do not follow each other"));
    check->values_end = entry->place.offset + entry->place.length;
    return LORE_OK;
}

static lore_status check_value(struct blob_check *check, const struct blob_entry *entry,
                               uint64_t position) {
    TRY(fault_report_go_on(&check->report, entry->place.length));
    TRY(check_order(check, entry, position));
    if (check->values == 0 || entry->sequence < check->first_sequence)
        check->first_sequence = entry->sequence;
    if (entry->sequence > check->last_sequence) check->last_sequence = entry->sequence;
    check->values++;
    check->value_bytes += entry->value_bytes;
    uint32_t raw_bytes = entry->value_bytes + entry->key_bytes;
    const struct block_source *source = &check->blob->source;
    lore_status status = segment_block_read(source->file, source->id, &entry->place, raw_bytes,
                                            &check->stored, &check->raw);
    if (status == LORE_OK && check->raw.size != raw_bytes)
        status = block_source_corrupt(source, entry->place.offset,
                                      "a value of another length than its index says");
    return fault_report_damage(&check->report, entry->place.offset, status);
}

static lore_status check_entries(struct blob_check *check, uint64_t page, const uint8_t *entries) {
    uint64_t first = page * BLOB_ENTRIES_PER_PAGE;
    uint64_t left = check->blob->values - first;
    uint64_t count = left < BLOB_ENTRIES_PER_PAGE ? left : BLOB_ENTRIES_PER_PAGE;
    for (uint64_t i = 0; i < count; i++) {
        struct blob_entry entry;
        lore_status status = blob_page_entry(check->blob, page, entries, (size_t)i, &entry);
        if (status == LORE_OK) {
            TRY(check_value(check, &entry, first + i));
            continue;
        }
        check->values_end = UNKNOWN;
        TRY(fault_report_damage(&check->report, check->blob->index_offset + page * PAGE_BYTES,
                                status));
    }
    return LORE_OK;
}

static lore_status check_pages(struct blob_check *check) {
    struct blob *blob = check->blob;
    for (uint64_t page = 0; page < blob->pages.blocks; page++) {
        TRY(fault_report_go_on(&check->report, PAGE_BYTES));
        struct block *block;
        const uint8_t *entries;
        lore_status status = blob_load_page(blob, page, NULL, &block, &entries);
        if (status == LORE_OK) {
            status = check_entries(check, page, entries);
            block_cache_release(blob->source.context->cache, block);
            TRY(status);
            continue;
        }
        check->values_end = UNKNOWN;
        check->ordinal_next = 0;
        TRY(fault_report_damage(&check->report, blob->index_offset + page * PAGE_BYTES, status));
    }
    return LORE_OK;
}

static lore_status check_totals(struct blob_check *check) {
    const struct segment_summary *summary = check->summary;
    uint64_t values_end = check->blob->index_offset;
    if (check->values_end != values_end)
        TRY(damage(check, check->values_end, "the values end before the index begins"));
    if (check->value_bytes != summary->value_bytes)
        TRY(damage(check, values_end, "its values are not as long as its footer says"));
    if (check->first_sequence != summary->first_sequence ||
        check->last_sequence != summary->last_sequence)
        TRY(damage(check, values_end, "its sequence numbers are not those of its footer"));
    return LORE_OK;
}

static lore_status check_all(struct blob_check *check) {
    TRY(check_pages(check));
    /* What follows would differ after any fault. */
    if (check->report.faults > 0) return LORE_OK;
    TRY(check_totals(check));
    const struct block_source *source = &check->blob->source;
    lore_status status =
        segment_digest_check(source->file, check->summary, source->context->work_allocator,
                             check->report.keep_going, check->report.context);
    return fault_report_damage(&check->report, 0, status);
}

lore_status blob_verify(const struct segment_context *context,
                        const struct segment_summary *summary, segment_fault_fn fault,
                        bool (*keep_going)(void *context, uint64_t bytes), void *fault_context,
                        uint64_t *entries) {
    *entries = 0;
    struct blob_check check = {.summary = summary,
                               .report = {fault, keep_going, fault_context, 0},
                               .values_end = SEGMENT_HEADER_BYTES,
                               .stored = bytes_empty(context->work_allocator),
                               .raw = bytes_empty(context->work_allocator)};
    lore_status status = blob_open(context, summary, &check.blob);
    if (status != LORE_OK) {
        TRY(fault_report_damage(&check.report, 0, status));
        return status;
    }
    check.blob->source.past_cache = true;
    status = check_all(&check);
    *entries = check.values;
    bytes_free(&check.stored);
    bytes_free(&check.raw);
    status = fault_report_result(&check.report, status, pooled_file_path(check.blob->source.file));
    blob_close(check.blob);
    return status;
}
