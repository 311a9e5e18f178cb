/*
 * rows_builder.c - writing row segments. Vectors go out a block at a time; positions
 * (ROWS_POSITION_BYTES a vector) and the blocks' checks are gathered in memory and written at the
 * end.
 *
 * After a failed call the builder only fails, with the first status.
 */
#include "segment/rows.h"

#include <assert.h>

#include "segment/rows_format.h"
#include "segment/value_groups.h"
#include "vfs/sync.h"
#include "base/poison.h"

struct rows_builder {
    const struct segment_context *context;
    struct segment_writer writer;
    uint32_t stride_bytes;
    uint32_t per_block;     /* vectors */
    struct bytes block;     /* the one being filled: header and vectors; empty: none */
    struct bytes positions; /* so far */
    struct bytes checks;    /* of the blocks written */
    struct value_groups groups;
    struct segment_summary summary; /* grows with the file */
    lore_status status;             /* the first failure */
};

static lore_status init(struct rows_builder *builder, const struct segment_context *context,
                        const struct rows_builder_config *config) {
    const struct allocator *allocator = context->work_allocator;
    builder->context = context;
    builder->stride_bytes = config->stride_bytes;
    builder->per_block = rows_per_block(config->stride_bytes);
    builder->block = bytes_empty(allocator);
    builder->positions = bytes_empty(allocator);
    builder->checks = bytes_empty(allocator);
    builder->groups.allocator = allocator;
    segment_summary_init(&builder->summary, allocator);
    builder->summary.kind = SEGMENT_ROWS;
    builder->summary.id = config->id;
    builder->summary.identity = context->identity;
    builder->summary.tier = config->tier;
    builder->summary.space = config->space;
    builder->summary.stride_bytes = config->stride_bytes;
    TRY(segment_summary_set_inputs(&builder->summary, config->inputs, config->inputs_count));
    return segment_writer_init(&builder->writer, context, SEGMENT_ROWS, config->id);
}

lore_status rows_builder_create(const struct segment_context *context,
                                const struct rows_builder_config *config,
                                struct rows_builder **builder) {
    assert(config->stride_bytes > 0 && config->stride_bytes <= ROWS_STRIDE_MAX);
    void *memory;
    TRY(mem_new(context->work_allocator, sizeof(struct rows_builder), &memory));
    lore_status status = init(memory, context, config);
    if (status != LORE_OK) {
        rows_builder_destroy(memory);
        return status;
    }
    *builder = memory;
    return LORE_OK;
}

void rows_builder_destroy(struct rows_builder *builder) {
    if (builder == NULL) return;
    segment_writer_deinit(&builder->writer);
    bytes_free(&builder->block);
    bytes_free(&builder->positions);
    bytes_free(&builder->checks);
    value_groups_deinit(&builder->groups);
    segment_summary_deinit(&builder->summary);
    mem_put(builder->context->work_allocator, builder, sizeof *builder);
}

uint64_t rows_builder_bytes(const struct rows_builder *builder) {
    return builder->writer.offset + builder->block.size + builder->positions.size;
}

/* ---- vectors ---- */

static lore_status write_block(struct rows_builder *builder) {
    if (builder->block.size == 0) return LORE_OK;
    put_u32(builder->block.data + 4, (uint32_t)builder->block.size - BLOCK_HEADER_BYTES);
    struct segment_place place;
    TRY(segment_writer_add_block(&builder->writer, bytes_slice(&builder->block), &place));
    TRY(append_u64(&builder->checks, place.check));
    bytes_clear(&builder->block);
    return LORE_OK;
}

static lore_status add_vector(struct rows_builder *builder, const void *vector) {
    size_t full_bytes = BLOCK_HEADER_BYTES + (size_t)builder->per_block * builder->stride_bytes;
    if (builder->block.size == 0) {
        TRY(bytes_reserve(&builder->block, full_bytes));
        TRY(bytes_append_zeros(&builder->block, BLOCK_HEADER_BYTES));
    }
    TRY(bytes_append(&builder->block, vector, builder->stride_bytes));
    return builder->block.size == full_bytes ? write_block(builder) : LORE_OK;
}

static lore_status append(struct rows_builder *builder, const struct value_ref *ref, uint64_t row,
                          uint64_t sequence, const void *vector) {
    assert(sequence <= SEQUENCE_MAX);
    TRY(value_groups_add(&builder->groups, ref));
    struct rows_record record = {.row = row,
                                 .sequence = sequence,
                                 .group = (uint32_t)(builder->groups.count - 1),
                                 .slot = ref->ordinal};
    uint8_t *at;
    TRY(bytes_extend(&builder->positions, ROWS_POSITION_BYTES, &at));
    rows_record_encode(&record, at);
    TRY(add_vector(builder, vector));
    struct segment_summary *summary = &builder->summary;
    if (summary->entries == 0 || sequence < summary->first_sequence)
        summary->first_sequence = sequence;
    if (sequence > summary->last_sequence) summary->last_sequence = sequence;
    summary->entries++;
    summary->value_bytes += builder->stride_bytes;
    return LORE_OK;
}

lore_status rows_builder_add(struct rows_builder *builder, uint64_t row, uint64_t sequence,
                             const void *vector, struct value_ref *ref) {
    if (builder->status != LORE_OK) return builder->status;
    ref->logical_id = builder->summary.id;
    ref->length = builder->stride_bytes;
    lore_status status = value_groups_next(&builder->groups, builder->summary.id, &ref->ordinal);
    if (status == LORE_OK) status = append(builder, ref, row, sequence, vector);
    builder->status = status;
    return status;
}

lore_status rows_builder_keep(struct rows_builder *builder, const struct value_ref *ref,
                              uint64_t row, uint64_t sequence, const void *vector) {
    assert(ref->length == builder->stride_bytes);
    if (builder->status == LORE_OK) builder->status = append(builder, ref, row, sequence, vector);
    return builder->status;
}

/* ---- the end ---- */

static lore_status write_tail(struct rows_builder *builder, struct bytes *page_checks,
                              struct bytes *footer) {
    struct segment_writer *writer = &builder->writer;
    TRY(write_block(builder));
    TRY(segment_summary_encode(&builder->summary, true, footer));
    TRY(append_u64(footer, writer->offset));
    TRY(append_u32(footer, builder->per_block));
    TRY(append_u32(footer, 0));
    TRY(pages_write(writer, bytes_slice(&builder->positions), ROWS_POSITION_BYTES, page_checks));
    TRY(check_tree_write(writer, &builder->checks, footer));
    TRY(check_tree_write(writer, page_checks, footer));
    return segment_writer_finish(writer, bytes_slice(footer), &builder->summary);
}

lore_status rows_builder_finish(struct rows_builder *builder, struct segment_summary *summary) {
    const struct allocator *allocator = builder->context->work_allocator;
    segment_summary_init(summary, allocator);
    if (builder->status != LORE_OK) return builder->status;
    assert(builder->writer.file != NULL);
    builder->summary.created_at_us = env_now_us(builder->context->env);
    struct bytes page_checks = bytes_empty(allocator);
    struct bytes footer = bytes_empty(allocator);
    lore_status status = value_groups_to_summary(&builder->groups, &builder->summary);
    /* Copied first, so that nothing can fail once the file is whole. */
    if (status == LORE_OK) status = segment_summary_copy(summary, &builder->summary);
    if (status == LORE_OK) status = write_tail(builder, &page_checks, &footer);
    bytes_free(&page_checks);
    bytes_free(&footer);
    builder->status = status;
    if (status != LORE_OK) {
        segment_summary_deinit(summary);
        return status;
    }
    summary->bytes = builder->summary.bytes;
    summary->footer_check = builder->summary.footer_check;
    summary->digest = builder->summary.digest;
    return LORE_OK;
}
