/*
 * rows_verify.c - a whole row segment against its own checks and its summary: every block of
 * vectors, every position, that references ascend, the sequence range, and the digest of the file.
 * All is read from the file, past the cache.
 *
 * A fault is reported and the walk goes on.
 */
#include "segment/rows_reader.h"

#include "segment/fault_report.h"
#include "base/poison.h"

struct rows_check {
    struct rows *rows;
    const struct segment_summary *summary;
    struct fault_report report;
    uint64_t positions; /* that could be read */
    uint64_t slot_next; /* the least that may come next in the group */
    uint64_t first_sequence, last_sequence;
};

static lore_status damage(struct rows_check *check, uint64_t offset, const char *what) {
    return fault_report_damage(&check->report, offset,
                               block_source_corrupt(&check->rows->source, offset, what));
}

static lore_status check_blocks(struct rows_check *check) {
    struct rows *rows = check->rows;
    for (uint64_t i = 0; i < rows->blocks.blocks; i++) {
        uint64_t bytes = (uint64_t)rows_block_vectors(rows, i) * rows->stride_bytes;
        TRY(fault_report_go_on(&check->report, bytes));
        struct block *block;
        const uint8_t *vectors;
        lore_status status = rows_load_block(rows, i, NULL, &block, &vectors);
        if (status == LORE_OK) block_cache_release(rows->source.context->cache, block);
        TRY(fault_report_damage(&check->report, rows_block_offset(rows, i), status));
    }
    return LORE_OK;
}

static lore_status check_record(struct rows_check *check, const struct rows_record *record,
                                uint64_t position, uint64_t offset) {
    struct rows *rows = check->rows;
    lore_status status = rows_check_record(rows, position, record);
    if (status != LORE_OK) return fault_report_damage(&check->report, offset, status);
    if (rows->map.ranges[record->group].first == position) check->slot_next = 0;
    if (record->slot < check->slot_next) TRY(damage(check, offset, "references out of order"));
    check->slot_next = (uint64_t)record->slot + 1;
    if (check->positions == 0 || record->sequence < check->first_sequence)
        check->first_sequence = record->sequence;
    if (record->sequence > check->last_sequence) check->last_sequence = record->sequence;
    check->positions++;
    return LORE_OK;
}

static lore_status check_page(struct rows_check *check, uint64_t page, const uint8_t *records) {
    uint64_t first = page * ROWS_POSITIONS_PER_PAGE;
    uint64_t offset = check->rows->positions_offset + page * PAGE_BYTES;
    for (size_t i = 0; i < ROWS_POSITIONS_PER_PAGE && first + i < check->rows->vectors; i++) {
        struct rows_record record = rows_record_decode(records + i * ROWS_POSITION_BYTES);
        TRY(check_record(check, &record, first + i, offset));
    }
    return LORE_OK;
}

static lore_status check_pages(struct rows_check *check) {
    struct rows *rows = check->rows;
    for (uint64_t page = 0; page < rows->pages.blocks; page++) {
        TRY(fault_report_go_on(&check->report, PAGE_BYTES));
        struct block *block;
        const uint8_t *records;
        lore_status status = rows_load_page(rows, page, NULL, &block, &records);
        if (status == LORE_OK) {
            status = check_page(check, page, records);
            block_cache_release(rows->source.context->cache, block);
            TRY(status);
            continue;
        }
        check->slot_next = 0;
        TRY(fault_report_damage(&check->report, rows->positions_offset + page * PAGE_BYTES,
                                status));
    }
    return LORE_OK;
}

static lore_status check_all(struct rows_check *check) {
    TRY(check_blocks(check));
    TRY(check_pages(check));
    /* What follows would differ after any fault. */
    if (check->report.faults > 0) return LORE_OK;
    const struct segment_summary *summary = check->summary;
    if (check->first_sequence != summary->first_sequence ||
        check->last_sequence != summary->last_sequence ||
        summary->value_bytes != check->rows->vectors * check->rows->stride_bytes)
        TRY(damage(check, check->rows->positions_offset, "its totals are not those of its footer"));
    const struct block_source *source = &check->rows->source;
    lore_status status =
        segment_digest_check(source->file, summary, source->context->work_allocator,
                             check->report.keep_going, check->report.context);
    return fault_report_damage(&check->report, 0, status);
}

lore_status rows_verify(const struct segment_context *context,
                        const struct segment_summary *summary, segment_fault_fn fault,
                        bool (*keep_going)(void *context, uint64_t bytes), void *fault_context,
                        uint64_t *entries) {
    *entries = 0;
    struct rows_check check = {.summary = summary, .report = {fault, keep_going, fault_context, 0}};
    lore_status status = rows_open(context, summary, &check.rows);
    if (status != LORE_OK) {
        TRY(fault_report_damage(&check.report, 0, status));
        return status;
    }
    check.rows->source.past_cache = true;
    status = check_all(&check);
    *entries = check.positions;
    status = fault_report_result(&check.report, status, pooled_file_path(check.rows->source.file));
    rows_close(check.rows);
    return status;
}
