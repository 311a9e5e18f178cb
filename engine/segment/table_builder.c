/*
 * table_builder.c - writes a table.
 *
 *   entries -> data block -> (full) stored, its index entry pending until the next key is known ->
 * index of the partition
 *           -> (partition full) filter and index stored -> top index -> (finish) top index, range
 * deletes, footer
 *
 * After a failed call the builder is only good for table_builder_destroy.
 *
 * Memory, from the work allocator: the writer's 64 KiB, lz4's state (16 KiB, high compression 256
 * KiB), a few blocks, and for a partition at most TABLE_PARTITION_KEYS_MAX hashes of 8 bytes and 12
 * more while its filter is built. Top index and range deletes gather until finish.
 *
 * Threads: one.
 */
#include "segment/table_internal.h"

#include <assert.h>

#include "segment/fuse_filter.h"
#include "vfs/rare.h"
#include "base/poison.h"

struct table_builder {
    const struct allocator *allocator; /* context->work_allocator */
    struct segment_summary summary;    /* so far; given away by finish */
    struct segment_writer writer;
    struct segment_packer packer;
    uint32_t block_bytes;

    struct table_block_builder block;
    struct bytes last_key; /* of the entry added last */
    uint64_t last_sequence;

    bool is_pending; /* a stored data block whose bound awaits the next key */
    struct segment_place pending;
    struct bytes bound; /* scratch */

    uint64_t partition_offset;
    uint32_t partition_blocks;
    struct bytes hashes; /* u64 each: distinct keys of the partition */
    struct table_block_builder index;

    struct table_block_builder top;
    struct table_block_builder ranges;
    struct bytes range_begin_min, range_end_max;
    uint32_t partitions;
    uint64_t data_blocks, data_raw_bytes;
};

lore_status table_builder_create(const struct segment_context *context,
                                 const struct table_builder_config *config,
                                 struct table_builder **builder) {
    assert(config->block_bytes > 0 && config->block_bytes <= TABLE_BLOCK_BYTES_MAX);
    const struct allocator *allocator = context->work_allocator;
    void *memory;
    TRY(mem_new(allocator, sizeof(struct table_builder), &memory));
    struct table_builder *made = memory;
    made->allocator = allocator;
    made->block_bytes = config->block_bytes;
    segment_packer_init(&made->packer, allocator, config->compression, config->high_compression);
    table_block_builder_init(&made->block, allocator, TABLE_RESTART_INTERVAL, true);
    table_block_builder_init(&made->index, allocator, TABLE_RESTART_INTERVAL, false);
    table_block_builder_init(&made->top, allocator, TABLE_RESTART_INTERVAL, false);
    table_block_builder_init(&made->ranges, allocator, 1, false);
    made->last_key = bytes_empty(allocator);
    made->bound = bytes_empty(allocator);
    made->hashes = bytes_empty(allocator);
    made->range_begin_min = bytes_empty(allocator);
    made->range_end_max = bytes_empty(allocator);
    made->partition_offset = SEGMENT_HEADER_BYTES;

    struct segment_summary *summary = &made->summary;
    segment_summary_init(summary, context->table_allocator);
    summary->kind = SEGMENT_TABLE;
    summary->id = config->id;
    summary->identity = context->identity;
    summary->tier = config->tier;
    summary->level = config->level;
    summary->created_at_us = env_now_us(context->env);
    lore_status status = segment_summary_set_inputs(summary, config->inputs, config->inputs_count);
    if (status == LORE_OK)
        status = segment_writer_init(&made->writer, context, SEGMENT_TABLE, config->id);
    if (status != LORE_OK) {
        table_builder_destroy(made);
        return status;
    }
    *builder = made;
    return LORE_OK;
}

void table_builder_destroy(struct table_builder *builder) {
    if (builder == NULL) return;
    segment_writer_deinit(&builder->writer);
    segment_packer_deinit(&builder->packer);
    table_block_builder_deinit(&builder->block);
    table_block_builder_deinit(&builder->index);
    table_block_builder_deinit(&builder->top);
    table_block_builder_deinit(&builder->ranges);
    bytes_free(&builder->last_key);
    bytes_free(&builder->bound);
    bytes_free(&builder->hashes);
    bytes_free(&builder->range_begin_min);
    bytes_free(&builder->range_end_max);
    segment_summary_deinit(&builder->summary);
    mem_put(builder->allocator, builder, sizeof *builder);
}

uint64_t table_builder_bytes(const struct table_builder *builder) {
    return builder->writer.offset + builder->block.data.size + builder->index.data.size +
           builder->top.data.size + builder->ranges.data.size;
}

uint64_t table_builder_written(const struct table_builder *builder) {
    return segment_writer_written(&builder->writer);
}

uint64_t table_builder_entries(const struct table_builder *builder) {
    return builder->summary.entries;
}

/* ---- blocks ---- */

/* Store the data block; its entry in the index waits for its bound. */
static lore_status finish_block(struct table_builder *builder) {
    assert(!builder->is_pending && builder->block.entries > 0);
    lore_slice raw, stored;
    TRY(table_block_builder_finish(&builder->block, &raw));
    TRY(segment_pack(&builder->packer, raw, &stored));
    TRY(segment_writer_add_block(&builder->writer, stored, &builder->pending));
    builder->is_pending = true;
    builder->data_blocks++;
    builder->data_raw_bytes += raw.size;
    table_block_builder_clear(&builder->block);
    return LORE_OK;
}

/* The shortest key that is not before `last` and before `next`, for last < next. */
static lore_status set_separator(struct bytes *bound, lore_slice last, lore_slice next) {
    const uint8_t *a = last.data, *b = next.data;
    size_t shared = 0;
    while (shared < last.size && a[shared] == b[shared])
        shared++;
    assert(shared < next.size);
    /* The next key cut after the first byte that differs is after `last`; it is before `next` if
     * that goes on. */
    if (shared + 1 < last.size && shared + 1 < next.size)
        return bytes_set(bound, slice(b, shared + 1));
    return bytes_set(bound, last);
}

/* Enter the pending block into the index. `next`: the key after it, or size 0 at the end. */
static lore_status settle_pending(struct table_builder *builder, lore_slice next,
                                  uint64_t *sequence) {
    assert(builder->is_pending);
    lore_slice last = bytes_slice(&builder->last_key);
    bool goes_on = next.size > 0 && slice_equal(last, next);
    *sequence = goes_on ? builder->last_sequence : 0;
    if (goes_on || next.size == 0)
        TRY(bytes_set(&builder->bound, last));
    else
        TRY(set_separator(&builder->bound, last, next));

    uint8_t value[2 * VARINT_BYTES_MAX + 8];
    size_t size = put_varint(value, builder->pending.offset - builder->partition_offset);
    size += put_varint(value + size, builder->pending.length);
    put_u64(value + size, builder->pending.check);
    size += 8;
    builder->is_pending = false;
    builder->partition_blocks++;
    return table_block_builder_add(&builder->index, bytes_slice(&builder->bound), *sequence << 8,
                                   slice(value, size), 0);
}

static lore_status store_filter(struct table_builder *builder, struct segment_place *place) {
    struct bytes filter = bytes_empty(builder->allocator);
    lore_slice stored;
    lore_status status =
        fuse_filter_build(builder->allocator, (uint64_t *)(void *)builder->hashes.data,
                          builder->hashes.size / sizeof(uint64_t), &filter);
    if (status == LORE_OK)
        status = segment_pack_plain(&builder->packer, bytes_slice(&filter), &stored);
    bytes_free(&filter);
    TRY(status);
    return segment_writer_add_block(&builder->writer, stored, place);
}

static lore_status store_block(struct table_builder *builder, struct table_block_builder *block,
                               struct segment_place *place) {
    lore_slice raw, stored;
    TRY(table_block_builder_finish(block, &raw));
    TRY(segment_pack(&builder->packer, raw, &stored));
    return segment_writer_add_block(&builder->writer, stored, place);
}

/* Store filter and index, and enter the partition into the top index. builder->bound is the index's
 * last. */
static lore_status finish_partition(struct table_builder *builder, uint64_t bound_sequence) {
    uint64_t data_length = builder->writer.offset - builder->partition_offset;
    struct segment_place filter, index;
    TRY(store_filter(builder, &filter));
    TRY(store_block(builder, &builder->index, &index));
    uint8_t value[4 * VARINT_BYTES_MAX + 16];
    size_t size = put_varint(value, builder->partition_offset);
    size += put_varint(value + size, data_length);
    size += put_varint(value + size, filter.length);
    size += put_varint(value + size, index.length);
    put_u64(value + size, filter.check);
    put_u64(value + size + 8, index.check);
    size += 16;
    TRY(table_block_builder_add(&builder->top, bytes_slice(&builder->bound), bound_sequence << 8,
                                slice(value, size), 0));
    table_block_builder_clear(&builder->index);
    bytes_clear(&builder->hashes);
    builder->partition_blocks = 0;
    builder->partition_offset = builder->writer.offset;
    builder->partitions++;
    return LORE_OK;
}

static bool partition_is_full(const struct table_builder *builder) {
    return builder->partition_blocks >= TABLE_PARTITION_BLOCKS ||
           builder->hashes.size / sizeof(uint64_t) >= TABLE_PARTITION_KEYS_MAX ||
           builder->index.data.size >= TABLE_PARTITION_INDEX_BYTES;
}

/* ---- adding ---- */

static void note_entry(struct segment_summary *summary, const struct entry *entry) {
    bool is_first = summary->entries == 0 && summary->range_deletes == 0;
    if (is_first || entry->sequence < summary->first_sequence)
        summary->first_sequence = entry->sequence;
    if (is_first || entry->sequence > summary->last_sequence)
        summary->last_sequence = entry->sequence;
    summary->kinds_present |= 1u << entry->kind;
}

/* Finish the block if the entry does not fit into it, and the partition if that was its last. */
static lore_status make_room(struct table_builder *builder, const struct entry *entry) {
    size_t size =
        table_block_builder_size_with(&builder->block, entry->key.size, entry->value.size);
    bool early = RARELY(builder->writer.context->env, 20);
    if (builder->block.entries == 0 || (size <= builder->block_bytes && !early)) return LORE_OK;
    TRY(finish_block(builder));
    uint64_t bound_sequence;
    TRY(settle_pending(builder, entry->key, &bound_sequence));
    return partition_is_full(builder) ? finish_partition(builder, bound_sequence) : LORE_OK;
}

lore_status table_builder_add(struct table_builder *builder, const struct entry *entry) {
    struct segment_summary *summary = &builder->summary;
    assert(entry->key.size >= KEYSPACE_BYTES && entry->key.size <= KEY_BYTES_MAX);
    assert(entry->sequence <= SEQUENCE_MAX && (TABLE_KINDS_DATA >> entry->kind & 1) != 0);
    assert(summary->entries == 0 ||
           table_order(bytes_slice(&builder->last_key), builder->last_sequence, entry->key,
                       entry->sequence) < 0);
    if (entry->value.size > TABLE_BLOCK_RAW_MAX - 2 * KEY_BYTES_MAX)
        return fail(LORE_TOO_BIG, "%s: a value of %zu bytes in a table", builder->writer.path,
                    entry->value.size);
    TRY(make_room(builder, entry));
    bool new_key =
        builder->hashes.size == 0 || !slice_equal(bytes_slice(&builder->last_key), entry->key);
    uint64_t hash = check64(entry->key.data, entry->key.size);
    if (new_key) TRY(bytes_append(&builder->hashes, &hash, sizeof hash));
    TRY(table_block_builder_add(&builder->block, entry->key,
                                entry_pack(entry->sequence, entry->kind), entry->value, hash));
    if (summary->entries == 0) TRY(bytes_set(&summary->first_key, entry->key));
    TRY(bytes_set(&builder->last_key, entry->key));
    note_entry(summary, entry);
    builder->last_sequence = entry->sequence;
    summary->entries++;
    return LORE_OK;
}

lore_status table_builder_add_range_delete(struct table_builder *builder,
                                           const struct entry *entry) {
    assert(entry->kind == ENTRY_RANGE_DELETE && entry->sequence <= SEQUENCE_MAX);
    assert(entry->key.size >= KEYSPACE_BYTES && entry->key.size <= KEY_BOUND_BYTES_MAX);
    assert(entry->value.size >= KEYSPACE_BYTES && entry->value.size <= KEY_BOUND_BYTES_MAX);
    assert(slice_compare(entry->key, entry->value) < 0);
    assert(slice_compare(bytes_slice(&builder->ranges.last_key), entry->key) <= 0);
    if (table_block_builder_size_with(&builder->ranges, entry->key.size, entry->value.size) >
        TABLE_BLOCK_RAW_MAX)
        return fail(LORE_TOO_BIG, "%s: too many range deletes for one table", builder->writer.path);
    if (builder->ranges.entries == 0) TRY(bytes_set(&builder->range_begin_min, entry->key));
    TRY(table_block_builder_add(&builder->ranges, entry->key,
                                entry_pack(entry->sequence, entry->kind), entry->value, 0));
    if (slice_compare(entry->value, bytes_slice(&builder->range_end_max)) > 0)
        TRY(bytes_set(&builder->range_end_max, entry->value));
    note_entry(&builder->summary, entry);
    builder->summary.range_deletes++;
    return LORE_OK;
}

/* ---- finishing ---- */

/* First and last key, of entries and range deletes together. */
static lore_status set_key_range(struct table_builder *builder) {
    struct segment_summary *summary = &builder->summary;
    if (summary->entries > 0) TRY(bytes_set(&summary->last_key, bytes_slice(&builder->last_key)));
    if (summary->range_deletes == 0) return LORE_OK;
    lore_slice begin = bytes_slice(&builder->range_begin_min);
    if (summary->entries == 0 || slice_compare(begin, bytes_slice(&summary->first_key)) < 0)
        TRY(bytes_set(&summary->first_key, begin));
    lore_slice end = bytes_slice(&builder->range_end_max);
    if (summary->entries == 0 || slice_compare(end, bytes_slice(&summary->last_key)) > 0) {
        TRY(bytes_set(&summary->last_key, end));
        summary->last_key_exclusive = true;
    }
    return LORE_OK;
}

static lore_status finish_entries(struct table_builder *builder) {
    if (builder->block.entries == 0) return LORE_OK;
    uint64_t bound_sequence;
    TRY(finish_block(builder));
    TRY(settle_pending(builder, slice(NULL, 0), &bound_sequence));
    return finish_partition(builder, bound_sequence);
}

static lore_status append_footer(struct table_builder *builder, const struct segment_place *top,
                                 const struct segment_place *ranges, struct bytes *footer) {
    TRY(segment_summary_encode(&builder->summary, true, footer));
    uint8_t *p;
    TRY(bytes_extend(footer, TABLE_FOOTER_BYTES, &p));
    put_u64(p, top->offset);
    put_u32(p + 8, top->length);
    put_u32(p + 12, ranges->length);
    put_u64(p + 16, top->check);
    put_u64(p + 24, ranges->check);
    put_u32(p + 32, builder->partitions);
    put_u32(p + 36, builder->block_bytes);
    put_u64(p + 40, builder->data_blocks);
    put_u64(p + 48, builder->data_raw_bytes);
    return LORE_OK;
}

lore_status table_builder_finish(struct table_builder *builder, struct segment_summary *summary) {
    segment_summary_init(summary, builder->summary.allocator);
    TRY(finish_entries(builder));
    struct segment_place top = {builder->writer.offset, 0, 0}, ranges = {0, 0, 0};
    if (builder->partitions > 0) TRY(store_block(builder, &builder->top, &top));
    if (builder->ranges.entries > 0) TRY(store_block(builder, &builder->ranges, &ranges));
    TRY(set_key_range(builder));
    struct bytes footer = bytes_empty(builder->allocator);
    lore_status status = append_footer(builder, &top, &ranges, &footer);
    if (status == LORE_OK)
        status = segment_writer_finish(&builder->writer, bytes_slice(&footer), &builder->summary);
    bytes_free(&footer);
    TRY(status);
    *summary = builder->summary;
    segment_summary_init(&builder->summary, summary->allocator);
    return LORE_OK;
}
