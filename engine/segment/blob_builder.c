/*
 * blob_builder.c - writing blob files. Values go out as they come; their index entries,
 * BLOB_ENTRY_BYTES each, are gathered in memory (a value is over about a kilobyte, so that is a few
 * hundredths of the file) and written at the end.
 *
 * After a failed call the builder only fails, with the first status.
 */
#include "segment/blob.h"

#include <assert.h>

#include "segment/blob_format.h"
#include "segment/value_groups.h"
#include "vfs/sync.h"
#include "base/poison.h"

/* Buffers that a large value needed are given back after it. */
#define KEPT_BUFFER_BYTES (256u * 1024u)

struct blob_builder {
    const struct segment_context *context;
    struct segment_writer writer;
    struct segment_packer packer;
    bool compress;
    struct bytes plain; /* the value at hand as a stored block that is not compressed */
    struct bytes index; /* entries so far */
    struct value_groups groups;
    struct segment_summary summary; /* grows with the file */
    lore_status status;             /* the first failure */
};

static lore_status init(struct blob_builder *builder, const struct segment_context *context,
                        const struct blob_builder_config *config) {
    const struct allocator *allocator = context->work_allocator;
    builder->context = context;
    builder->compress = config->compression == LORE_COMPRESSION_LZ4;
    segment_packer_init(&builder->packer, allocator, config->compression, config->tier == 2);
    builder->plain = bytes_empty(allocator);
    builder->index = bytes_empty(allocator);
    builder->groups.allocator = allocator;
    segment_summary_init(&builder->summary, allocator);
    builder->summary.kind = SEGMENT_BLOB;
    builder->summary.id = config->id;
    builder->summary.identity = context->identity;
    builder->summary.tier = config->tier;
    TRY(segment_summary_set_inputs(&builder->summary, config->inputs, config->inputs_count));
    return segment_writer_init(&builder->writer, context, SEGMENT_BLOB, config->id);
}

lore_status blob_builder_create(const struct segment_context *context,
                                const struct blob_builder_config *config,
                                struct blob_builder **builder) {
    void *memory;
    TRY(mem_new(context->work_allocator, sizeof(struct blob_builder), &memory));
    lore_status status = init(memory, context, config);
    if (status != LORE_OK) {
        blob_builder_destroy(memory);
        return status;
    }
    *builder = memory;
    return LORE_OK;
}

void blob_builder_destroy(struct blob_builder *builder) {
    if (builder == NULL) return;
    segment_writer_deinit(&builder->writer);
    segment_packer_deinit(&builder->packer);
    bytes_free(&builder->plain);
    bytes_free(&builder->index);
    value_groups_deinit(&builder->groups);
    segment_summary_deinit(&builder->summary);
    mem_put(builder->context->work_allocator, builder, sizeof *builder);
}

uint64_t blob_builder_bytes(const struct blob_builder *builder) {
    return builder->writer.offset + builder->index.size;
}

uint64_t blob_builder_values(const struct blob_builder *builder) {
    return builder->summary.entries;
}

/* ---- values ---- */

/* Key and value as a stored block. Compressing takes a second buffer; where there is no memory for
 * it the block stays as it is, which is as good to read. */
static lore_status pack(struct blob_builder *builder, lore_slice key, lore_slice value,
                        lore_slice *stored) {
    size_t raw_size = key.size + value.size;
    uint8_t *at;
    bytes_clear(&builder->plain);
    TRY(bytes_extend(&builder->plain, BLOCK_HEADER_BYTES + raw_size, &at));
    memset(at, 0, BLOCK_HEADER_BYTES);
    put_u32(at + 4, (uint32_t)raw_size);
    if (key.size > 0) memcpy(at + BLOCK_HEADER_BYTES, key.data, key.size);
    if (value.size > 0) memcpy(at + BLOCK_HEADER_BYTES + key.size, value.data, value.size);
    *stored = bytes_slice(&builder->plain);
    if (!builder->compress) return LORE_OK;
    lore_slice packed;
    lore_status status =
        segment_pack(&builder->packer, slice(at + BLOCK_HEADER_BYTES, raw_size), &packed);
    if (status == LORE_OK) *stored = packed;
    return status == LORE_NO_MEMORY ? LORE_OK : status;
}

static void trim(struct bytes *buffer) {
    if (buffer->capacity > KEPT_BUFFER_BYTES) bytes_free(buffer);
}

static void note(struct segment_summary *summary, uint64_t sequence, uint64_t value_bytes) {
    if (summary->entries == 0 || sequence < summary->first_sequence)
        summary->first_sequence = sequence;
    if (sequence > summary->last_sequence) summary->last_sequence = sequence;
    summary->entries++;
    summary->value_bytes += value_bytes;
}

static lore_status append(struct blob_builder *builder, const struct value_ref *ref,
                          size_t key_bytes, uint64_t sequence, lore_slice stored) {
    assert(key_bytes <= KEY_BYTES_MAX && sequence <= SEQUENCE_MAX);
    TRY(value_groups_add(&builder->groups, ref));
    struct blob_entry entry = {.sequence = sequence,
                               .ordinal = ref->ordinal,
                               .value_bytes = ref->length,
                               .key_bytes = (uint16_t)key_bytes};
    TRY(segment_writer_add_block(&builder->writer, stored, &entry.place));
    uint8_t *at;
    TRY(bytes_extend(&builder->index, BLOB_ENTRY_BYTES, &at));
    blob_entry_encode(&entry, at);
    note(&builder->summary, sequence, ref->length);
    return LORE_OK;
}

lore_status blob_builder_add(struct blob_builder *builder, lore_slice key, uint64_t sequence,
                             lore_slice value, struct value_ref *ref) {
    if (builder->status != LORE_OK) return builder->status;
    if (value.size > UINT32_MAX - KEY_BYTES_MAX - BLOCK_HEADER_BYTES)
        return fail(LORE_TOO_BIG, "a value of %zu bytes", value.size);
    ref->logical_id = builder->summary.id;
    ref->length = (uint32_t)value.size;
    lore_slice stored;
    lore_status status = value_groups_next(&builder->groups, builder->summary.id, &ref->ordinal);
    if (status == LORE_OK) status = pack(builder, key, value, &stored);
    if (status == LORE_OK) status = append(builder, ref, key.size, sequence, stored);
    trim(&builder->plain);
    trim(&builder->packer.stored);
    builder->status = status;
    return status;
}

lore_status blob_builder_keep(struct blob_builder *builder, const struct value_ref *ref,
                              lore_slice key, uint64_t sequence, lore_slice stored_block,
                              uint32_t raw_length) {
    assert(raw_length == ref->length);
    (void)raw_length;
    if (builder->status == LORE_OK)
        builder->status = append(builder, ref, key.size, sequence, stored_block);
    return builder->status;
}

/* ---- the end ---- */

static lore_status write_index(struct blob_builder *builder, struct bytes *checks,
                               struct bytes *footer) {
    TRY(segment_summary_encode(&builder->summary, true, footer));
    TRY(append_u64(footer, builder->writer.offset));
    TRY(pages_write(&builder->writer, bytes_slice(&builder->index), BLOB_ENTRY_BYTES, checks));
    TRY(check_tree_write(&builder->writer, checks, footer));
    return segment_writer_finish(&builder->writer, bytes_slice(footer), &builder->summary);
}

lore_status blob_builder_finish(struct blob_builder *builder, struct segment_summary *summary) {
    const struct allocator *allocator = builder->context->work_allocator;
    segment_summary_init(summary, allocator);
    if (builder->status != LORE_OK) return builder->status;
    assert(builder->writer.file != NULL);
    builder->summary.created_at_us = env_now_us(builder->context->env);
    struct bytes checks = bytes_empty(allocator);
    struct bytes footer = bytes_empty(allocator);
    lore_status status = value_groups_to_summary(&builder->groups, &builder->summary);
    /* Copied first, so that nothing can fail once the file is whole. */
    if (status == LORE_OK) status = segment_summary_copy(summary, &builder->summary);
    if (status == LORE_OK) status = write_index(builder, &checks, &footer);
    bytes_free(&checks);
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
