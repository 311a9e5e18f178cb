/*
 * read.c - a memory by id and by row: ID leads to the row, attributes and text lie side by side
 * under it, access counts under the id, embeddings under space and row. All at one sequence number,
 * so that what one key leads to must be there: if it is not, that is corruption.
 */
#include <inttypes.h>

#include "memory/layer.h"
#include "memory/limits.h"
#include "memory/record.h"

#include "base/poison.h"

lore_status memory_row_of(lore_store *store, const struct store_read *reading, lore_slice id,
                          uint64_t *row, uint64_t *sequence) {
    const struct allocator *allocator = store_query_allocator(store);
    struct bytes key = bytes_empty(allocator), value = bytes_empty(allocator);
    struct lookup lookup = {0};
    lore_status status = key_id(&key, id);
    if (status == LORE_OK) status = store_get(store, reading, bytes_slice(&key), &lookup, &value);
    if (status == LORE_OK && !lookup.found) status = not_found();
    if (status == LORE_OK && value.size != ROW_BYTES)
        status = fail(LORE_CORRUPTION, "%s: the row of an id has %zu bytes", store_path(store),
                      value.size);
    if (status == LORE_OK) {
        *row = get_be64(value.data);
        *sequence = lookup.sequence;
    }
    bytes_free(&value);
    bytes_free(&key);
    return status;
}

lore_status memory_read_vector(lore_store *store, const struct store_read *reading,
                               const struct space *space, uint64_t row, struct bytes *vector) {
    uint8_t key[VECTOR_KEY_BYTES];
    vector_key_encode(space->number, row, key);
    struct lookup lookup;
    TRY(store_get(store, reading, slice(key, sizeof key), &lookup, vector));
    if (!lookup.found) return LORE_NOT_FOUND;
    if (vector->size == space->stride_bytes) return LORE_OK;
    return fail(LORE_CORRUPTION,
                "%s: the vector of row %" PRIu64 " in space %" PRIu32
                " has %zu bytes, not %" PRIu32,
                store_path(store), row, space->number, vector->size, space->stride_bytes);
}

bool memory_is_expired(const lore_memory *memory, int64_t now_us) {
    return memory->expires_at_us != 0 && memory->expires_at_us <= now_us;
}

/* ---- the parts of a record ---- */

static lore_status read_attributes(lore_record *record, const struct store_read *reading,
                                   struct bytes *key) {
    struct lookup lookup;
    TRY(key_record(key, record->row, RECORD_ATTRIBUTES));
    TRY(store_get(record->store, reading, bytes_slice(key), &lookup, &record->encoded));
    if (!lookup.found) return LORE_NOT_FOUND;
    record->sequence = lookup.sequence;
    lore_status status = attributes_decode(
        bytes_slice(&record->encoded), store_query_allocator(record->store), &record->attributes);
    if (status == LORE_CORRUPTION)
        return fail_within(status, "%s: row %" PRIu64, store_path(record->store), record->row);
    TRY(status);
    record->memory = record->attributes.memory;
    return LORE_OK;
}

static lore_status read_content(lore_record *record, const struct store_read *reading,
                                struct bytes *key) {
    struct lookup lookup;
    TRY(key_record(key, record->row, RECORD_TEXT));
    TRY(store_get(record->store, reading, bytes_slice(key), &lookup, &record->text));
    if (!lookup.found)
        return fail(LORE_CORRUPTION, "%s: row %" PRIu64 " has attributes but no text",
                    store_path(record->store), record->row);
    record->memory.text = bytes_slice(&record->text);
    record->memory.fields |= LORE_FIELD(LORE_ATTR_TEXT);
    return LORE_OK;
}

/* A read of the state now, which is a pinned one, also sees the counts that are not written yet. */
static lore_status read_access(lore_record *record, const struct store_read *reading,
                               struct bytes *key) {
    lore_store *store = record->store;
    int64_t count = 0, last_us = 0, pending = 0, pending_us = 0;
    struct lookup lookup;
    struct bytes value = bytes_empty(store_query_allocator(store));
    TRY(key_access(key, record->memory.id));
    lore_status status = store_get(store, reading, bytes_slice(key), &lookup, &value);
    if (status == LORE_OK && lookup.found && !access_decode(bytes_slice(&value), &count, &last_us))
        status = fail(LORE_CORRUPTION, "%s: the access counts of row %" PRIu64 " are malformed",
                      store_path(store), record->row);
    bytes_free(&value);
    TRY(status);
    if (reading->pinned)
        access_pending(&memory_layer_of(store)->access, record->memory.id, &pending, &pending_us);
    record->memory.access_count = (uint64_t)count + (uint64_t)pending;
    if (pending > 0 && pending_us > last_us) last_us = pending_us;
    record->memory.last_accessed_at_us = last_us;
    record->memory.fields |= LORE_FIELD(LORE_ATTR_ACCESS_COUNT);
    if (record->memory.last_accessed_at_us != 0)
        record->memory.fields |= LORE_FIELD(LORE_ATTR_LAST_ACCESSED_AT);
    return LORE_OK;
}

static lore_status read_embedding(lore_record *record, const struct store_read *reading, size_t i) {
    lore_store *store = record->store;
    struct record_embedding *embedding = &record->vectors[i];
    struct space space;
    size_t name_size = 0;
    uint32_t number = record->attributes.spaces[i];
    lore_status status = store_space_by_number(store, number, &space, embedding->name, &name_size);
    if (status == LORE_OK)
        status = memory_read_vector(store, reading, &space, record->row, &embedding->vector);
    if (status == LORE_NOT_FOUND)
        return fail(LORE_CORRUPTION,
                    "%s: row %" PRIu64 " names an embedding in space %" PRIu32 " that is not there",
                    store_path(store), record->row, number);
    TRY(status);
    record->embeddings[i] = (lore_embedding){.space = slice(embedding->name, name_size),
                                             .data = bytes_slice(&embedding->vector)};
    return LORE_OK;
}

static lore_status read_embeddings(lore_record *record, const struct store_read *reading) {
    const struct allocator *allocator = store_query_allocator(record->store);
    size_t count = record->attributes.spaces_count;
    void *memory;
    TRY(mem_new(allocator, count * sizeof *record->vectors, &memory));
    record->vectors = memory;
    for (size_t i = 0; i < count; i++)
        record->vectors[i].vector = bytes_empty(allocator);
    TRY(mem_new(allocator, count * sizeof *record->embeddings, &memory));
    record->embeddings = memory;
    for (size_t i = 0; i < count; i++)
        TRY(read_embedding(record, reading, i));
    record->memory.embeddings = record->embeddings;
    record->memory.embeddings_count = count;
    return LORE_OK;
}

lore_status memory_read_row(lore_store *store, const struct store_read *reading, uint64_t row,
                            unsigned flags, lore_record **out) {
    *out = NULL;
    lore_record *record;
    TRY(record_create(store, &record));
    record->row = row;
    struct bytes key = bytes_empty(store_query_allocator(store));
    lore_status status = read_attributes(record, reading, &key);
    if (status == LORE_OK && (flags & MEMORY_NO_TEXT) == 0)
        status = read_content(record, reading, &key);
    if (status == LORE_OK) status = read_access(record, reading, &key);
    if (status == LORE_OK && (flags & LORE_READ_EMBEDDINGS) != 0)
        status = read_embeddings(record, reading);
    bytes_free(&key);
    if (status != LORE_OK) {
        lore_record_destroy(record);
        return status;
    }
    *out = record;
    return LORE_OK;
}

lore_status lore_memory_get(lore_store *store, const lore_snapshot *snapshot, lore_slice id,
                            unsigned flags, lore_record **out) {
    *out = NULL;
    TRY(store_check(store, false));
    TRY(memory_check_flags(flags));
    TRY(memory_check_id(id));
    struct store_read reading;
    TRY(store_read_begin(store, snapshot, &reading));
    uint64_t row = 0, sequence;
    lore_record *record = NULL;
    lore_status status = memory_row_of(store, &reading, id, &row, &sequence);
    if (status == LORE_OK) {
        status = memory_read_row(store, &reading, row, flags, &record);
        if (status == LORE_NOT_FOUND)
            status = fail(LORE_CORRUPTION, "%s: an id leads to row %" PRIu64 ", which is not there",
                          store_path(store), row);
    }
    store_read_end(store, &reading);
    TRY(status);
    int64_t now_us = env_now_us(store_env(store));
    if ((flags & LORE_READ_EXPIRED) == 0 && memory_is_expired(&record->memory, now_us)) {
        lore_record_destroy(record);
        return not_found();
    }
    if ((flags & LORE_READ_NO_ACCESS) == 0) memory_note_access(store, id, now_us);
    *out = record;
    return LORE_OK;
}
