/*
 * blob_reader.c - reading blob files: by reference, and from front to back.
 *
 * A value of up to CACHED_BYTES is read through the cache, its block decoded once for all readers;
 * a larger one would push out too much, and is read straight into the caller's buffer.
 */
#include "segment/blob_reader.h"

#include <assert.h>
#include <inttypes.h>

#include <lz4.h>

#include "base/poison.h"

#define CACHED_BYTES 32768u

/* ---- open ---- */

static lore_status read_layout(struct blob *blob, const struct segment_summary *summary,
                               struct reader *footer, uint64_t footer_offset) {
    blob->values = summary->entries;
    blob->index_offset = read_u64(footer);
    /* So many entries would not fit, and the sums below might overflow. */
    if (blob->values > footer_offset / BLOB_ENTRY_BYTES)
        return block_source_corrupt(&blob->source, footer_offset, "more values than it has room");
    uint64_t pages = pages_for(blob->values, BLOB_ENTRY_BYTES);
    uint64_t index_bytes = (pages + check_tree_pages(pages)) * PAGE_BYTES;
    if (blob->index_offset < SEGMENT_HEADER_BYTES || blob->index_offset > footer_offset ||
        footer_offset - blob->index_offset != index_bytes)
        return block_source_corrupt(&blob->source, footer_offset, "the index is not where it says");
    check_tree_init(&blob->pages, pages, blob->index_offset + pages * PAGE_BYTES, footer);
    if (footer->bad || footer->at != footer->end)
        return block_source_corrupt(&blob->source, footer_offset, "a footer of the wrong length");
    return value_map_init(&blob->map, blob->allocator, summary,
                          pooled_file_path(blob->source.file));
}

static lore_status open_file(struct blob *blob, const struct segment_context *context,
                             const struct segment_summary *summary) {
    char path[PATH_BYTES_MAX];
    TRY(segment_path(context, SEGMENT_BLOB, summary->id, path));
    TRY(pooled_file_create(context->files, path, &blob->source.file));
    struct bytes body = bytes_empty(context->table_allocator);
    struct reader rest;
    uint64_t footer_offset;
    lore_status status =
        segment_footer_read(blob->source.file, summary, &body, &rest, &footer_offset);
    if (status == LORE_OK) status = read_layout(blob, summary, &rest, footer_offset);
    bytes_free(&body);
    return status;
}

lore_status blob_open(const struct segment_context *context, const struct segment_summary *summary,
                      struct blob **blob) {
    assert(summary->kind == SEGMENT_BLOB);
    void *memory;
    TRY(mem_new(context->table_allocator, sizeof(struct blob), &memory));
    struct blob *made = memory;
    made->allocator = context->table_allocator;
    made->source.context = context;
    made->source.id = summary->id;
    lore_status status = open_file(made, context, summary);
    if (status != LORE_OK) {
        blob_close(made);
        return status;
    }
    *blob = made;
    return LORE_OK;
}

void blob_close(struct blob *blob) {
    if (blob == NULL) return;
    value_map_deinit(&blob->map);
    pooled_file_release(blob->source.file);
    mem_put(blob->allocator, blob, sizeof *blob);
}

struct pooled_file *blob_file(struct blob *blob) {
    return blob->source.file;
}

/* ---- the index ---- */

lore_status blob_load_page(struct blob *blob, uint64_t page, struct read_count *count,
                           struct block **block, const uint8_t **entries) {
    return check_tree_load(&blob->pages, &blob->source, page,
                           blob->index_offset + page * PAGE_BYTES, PAGE_BYTES, count, block,
                           entries);
}

lore_status blob_page_entry(struct blob *blob, uint64_t page, const uint8_t *entries, size_t slot,
                            struct blob_entry *entry) {
    const uint8_t *bytes = entries + slot * BLOB_ENTRY_BYTES;
    if (blob_entry_decode(bytes, blob->index_offset, entry)) return LORE_OK;
    uint64_t offset = blob->index_offset + page * PAGE_BYTES + BLOCK_HEADER_BYTES;
    return block_source_corrupt(&blob->source, offset + slot * BLOB_ENTRY_BYTES,
                                "an index entry is not sound");
}

static lore_status entry_at(struct blob *blob, uint64_t position, struct read_count *count,
                            struct blob_entry *entry) {
    assert(position < blob->values);
    uint64_t page = position / BLOB_ENTRIES_PER_PAGE;
    struct block *block;
    const uint8_t *entries;
    TRY(blob_load_page(blob, page, count, &block, &entries));
    lore_status status =
        blob_page_entry(blob, page, entries, (size_t)(position % BLOB_ENTRIES_PER_PAGE), entry);
    block_cache_release(blob->source.context->cache, block);
    return status;
}

struct search {
    struct blob *blob;
    struct read_count *count;
    struct blob_entry entry; /* of the last position asked for */
};

static lore_status ordinal_at(void *context, uint64_t position, uint32_t *ordinal) {
    struct search *search = context;
    TRY(entry_at(search->blob, position, search->count, &search->entry));
    *ordinal = search->entry.ordinal;
    return LORE_OK;
}

/* ---- one value ---- */

static uint32_t raw_bytes(const struct blob_entry *entry) {
    return (uint32_t)entry->key_bytes + entry->value_bytes;
}

/* `raw` (key and value) against what the index and the caller say of it. */
static lore_status check_raw(struct blob *blob, const struct blob_entry *entry, lore_slice key,
                             lore_slice raw) {
    if (raw.size != raw_bytes(entry))
        return block_source_corrupt(&blob->source, entry->place.offset,
                                    "a value of another length than its index says");
    if (key.size != 0 && !slice_equal(key, slice(raw.data, entry->key_bytes)))
        return block_source_corrupt(&blob->source, entry->place.offset,
                                    "the value belongs to another key");
    return LORE_OK;
}

static lore_status read_cached(struct blob *blob, const struct blob_entry *entry, lore_slice key,
                               struct read_count *count, struct bytes *value) {
    const struct segment_context *context = blob->source.context;
    struct block *block;
    TRY(segment_block_fetch(context, blob->source.file, blob->source.id, &entry->place,
                            raw_bytes(entry), count, &block));
    lore_status status = check_raw(blob, entry, key, slice(block->data, block->size));
    if (status == LORE_OK)
        status = bytes_set(value, slice(block->data + entry->key_bytes, entry->value_bytes));
    block_cache_release(context->cache, block);
    return status;
}

/* Read the stored block of `entry`, appended to `stored`, and check it. */
static lore_status read_stored(struct blob *blob, const struct blob_entry *entry,
                               struct read_count *count, struct bytes *stored,
                               struct segment_stored *parts) {
    uint8_t *at;
    TRY(bytes_extend(stored, entry->place.length, &at));
    TRY(pooled_file_read(blob->source.file, entry->place.offset, at, entry->place.length));
    if (count != NULL) {
        count->blocks_read++;
        count->bytes_read += entry->place.length;
    }
    TRY(segment_block_check(pooled_file_path(blob->source.file), blob->source.id, &entry->place, at,
                            raw_bytes(entry), parts));
    if (parts->raw_length != raw_bytes(entry))
        return block_source_corrupt(&blob->source, entry->place.offset,
                                    "a value of another length than its index says");
    return LORE_OK;
}

/* A block that is not compressed needs no memory but the caller's; one that is, its stored bytes
 * beside. */
static lore_status read_large(struct blob *blob, const struct blob_entry *entry, lore_slice key,
                              struct read_count *count, struct bytes *value) {
    struct bytes stored = bytes_empty(value->allocator);
    struct segment_stored parts;
    bytes_free(value);
    lore_status status = read_stored(blob, entry, count, &stored, &parts);
    if (status == LORE_OK && parts.is_lz4) {
        uint8_t *at;
        status = bytes_extend(value, parts.raw_length, &at);
        if (status == LORE_OK)
            status = segment_block_unpack(pooled_file_path(blob->source.file), &entry->place,
                                          &parts, at);
    } else if (status == LORE_OK) {
        *value = stored;
        stored = bytes_empty(value->allocator);
        memmove(value->data, parts.payload.data, parts.payload.size);
        value->size = parts.payload.size;
    }
    bytes_free(&stored);
    if (status == LORE_OK) status = check_raw(blob, entry, key, bytes_slice(value));
    if (status == LORE_OK) {
        memmove(value->data, value->data + entry->key_bytes, entry->value_bytes);
        value->size = entry->value_bytes;
    }
    return status;
}

lore_status blob_read(struct blob *blob, const struct value_ref *ref, lore_slice key,
                      struct read_count *count, struct bytes *value) {
    bytes_clear(value);
    struct search search = {.blob = blob, .count = count};
    uint64_t position;
    bool found;
    TRY(value_map_search(&blob->map, ref, ordinal_at, &search, &position, &found));
    const struct blob_entry *entry = &search.entry;
    if (!found || entry->value_bytes != ref->length)
        return fail(
            LORE_CORRUPTION, "%s: no value %" PRIu32 " of segment %" PRIu64 " of %" PRIu32 " bytes",
            pooled_file_path(blob->source.file), ref->ordinal, ref->logical_id, ref->length);
    bool is_small = entry->place.length <= CACHED_BYTES && raw_bytes(entry) <= CACHED_BYTES;
    lore_status status = is_small ? read_cached(blob, entry, key, count, value)
                                  : read_large(blob, entry, key, count, value);
    if (status != LORE_OK) bytes_clear(value);
    return status;
}

/* ---- from front to back ---- */

/* The key, which a block begins with, behind the stored bytes in `scratch`. */
static lore_status unpack_key(struct blob *blob, const struct blob_entry *entry,
                              const struct segment_stored *parts, uint8_t *key) {
    if (entry->key_bytes == 0) return LORE_OK;
    if (!parts->is_lz4) {
        memcpy(key, parts->payload.data, entry->key_bytes);
        return LORE_OK;
    }
    int size = -1;
    if (parts->payload.size <= LZ4_MAX_INPUT_SIZE)
        size =
            LZ4_decompress_safe_partial(parts->payload.data, (char *)key, (int)parts->payload.size,
                                        entry->key_bytes, entry->key_bytes);
    if (size != entry->key_bytes)
        return block_source_corrupt(&blob->source, entry->place.offset, "not sound lz4");
    return LORE_OK;
}

static lore_status cursor_read(struct blob_cursor *cursor, bool with_bytes, struct bytes *scratch,
                               struct read_count *count, struct blob_value *value) {
    struct blob *blob = cursor->blob;
    struct blob_entry entry;
    TRY(entry_at(blob, cursor->position, count, &entry));
    bytes_clear(scratch);
    /* All at once: what follows points into it. */
    TRY(bytes_reserve(scratch, (size_t)entry.place.length + entry.key_bytes));
    struct segment_stored parts;
    TRY(read_stored(blob, &entry, count, scratch, &parts));
    uint8_t *key;
    TRY(bytes_extend(scratch, entry.key_bytes, &key));
    TRY(unpack_key(blob, &entry, &parts, key));
    size_t group = value_map_at(&blob->map, cursor->position);
    value->ref = (struct value_ref){.logical_id = blob->map.ranges[group].logical_id,
                                    .ordinal = entry.ordinal,
                                    .length = entry.value_bytes};
    value->sequence = entry.sequence;
    value->key = slice(key, entry.key_bytes);
    value->stored_block = with_bytes ? slice(scratch->data, entry.place.length) : slice(NULL, 0);
    return LORE_OK;
}

lore_status blob_cursor_next(struct blob_cursor *cursor, bool with_bytes, struct bytes *scratch,
                             struct read_count *count, struct blob_value *value, bool *found) {
    *found = cursor->position < cursor->blob->values;
    if (!*found) return LORE_OK;
    lore_status status = cursor_read(cursor, with_bytes, scratch, count, value);
    *found = status == LORE_OK;
    if (status == LORE_OK || status == LORE_CORRUPTION) cursor->position++;
    return status;
}
