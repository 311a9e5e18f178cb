/*
 * batch.c - builds the payload of a batch, and reads one back.
 *
 * Invariant: `payload` is empty, or its header (zeros until batch_seal) and `entries` whole
 * entries.
 */
#include "wal/batch.h"

#include <assert.h>
#include <inttypes.h>

#include "base/merge.h"

#include "base/poison.h"

/* kind, length and a keyspace: no entry is shorter. */
#define ENTRY_BYTES_MIN (2u + KEYSPACE_BYTES)
#define ROW_BYTES       8u

void batch_init(struct batch *batch, const struct allocator *allocator) {
    *batch = (struct batch){
        .payload = bytes_empty(allocator),
        .row_slots = bytes_empty(allocator),
        .conditions = bytes_empty(allocator),
    };
}

void batch_deinit(struct batch *batch) {
    bytes_free(&batch->payload);
    bytes_free(&batch->row_slots);
    bytes_free(&batch->conditions);
}

void batch_clear(struct batch *batch) {
    bytes_clear(&batch->payload);
    bytes_clear(&batch->row_slots);
    bytes_clear(&batch->conditions);
    batch->entries = batch->deletes = batch->rows = batch->conditions_count = 0;
    batch->memtable_bytes = 0;
    batch->sealed = batch->frees_space = false;
    batch->key_at = batch->key_size = batch->value_at = batch->value_size = 0;
}

/* ---- entries ---- */

static lore_status check_key(lore_slice key, size_t bytes_max) {
    if (key.size < KEYSPACE_BYTES) return fail(LORE_INVALID, "a key without its keyspace");
    if (key.size <= bytes_max) return LORE_OK;
    return fail(LORE_TOO_BIG, "a key of %zu bytes, %u at most", key.size - KEYSPACE_BYTES,
                LORE_KEY_BYTES_MAX);
}

static lore_status append_entry(struct batch *batch, enum entry_kind kind, lore_slice key,
                                lore_slice value) {
    struct bytes *payload = &batch->payload;
    size_t room = 1 + varint_size(key.size) + key.size;
    if (kind != ENTRY_DELETE) room += varint_size(value.size) + value.size;
    size_t header = payload->size == 0 ? BATCH_HEADER_BYTES : 0;
    if (value.size > BATCH_BYTES_MAX || header + room > BATCH_BYTES_MAX - payload->size) {
        return fail(LORE_TOO_BIG, "a batch of more than %u bytes", BATCH_BYTES_MAX);
    }
    if (value.data == NULL && value.size > 0)
        return fail(LORE_INVALID, "a value of %zu bytes at NULL", value.size);
    TRY(bytes_reserve(payload, header + room)); /* so that no append below can fail */
    TRY(bytes_append_zeros(payload, header));
    TRY(append_u8(payload, (uint8_t)kind));
    TRY(append_prefixed(payload, key));
    batch->key_at = payload->size - key.size;
    batch->key_size = key.size;
    batch->value_at = batch->value_size = 0;
    if (kind != ENTRY_DELETE) {
        TRY(append_prefixed(payload, value));
        batch->value_at = payload->size - value.size;
        batch->value_size = value.size;
    }
    batch->entries++;
    batch->deletes += kind == ENTRY_DELETE || kind == ENTRY_RANGE_DELETE;
    batch->memtable_bytes += key.size + value.size + BATCH_ENTRY_OVERHEAD;
    return LORE_OK;
}

lore_status batch_put(struct batch *batch, lore_slice key, lore_slice value) {
    assert(!batch->sealed);
    TRY(check_key(key, KEY_BYTES_MAX));
    return append_entry(batch, ENTRY_PUT, key, value);
}

lore_status batch_delete(struct batch *batch, lore_slice key) {
    assert(!batch->sealed);
    TRY(check_key(key, KEY_BYTES_MAX));
    return append_entry(batch, ENTRY_DELETE, key, slice(NULL, 0));
}

lore_status batch_delete_range(struct batch *batch, lore_slice begin, lore_slice end) {
    assert(!batch->sealed);
    TRY(check_key(begin, KEY_BOUND_BYTES_MAX));
    TRY(check_key(end, KEY_BOUND_BYTES_MAX));
    if (slice_compare(begin, end) >= 0)
        return fail(LORE_INVALID, "a range that ends before it begins");
    return append_entry(batch, ENTRY_RANGE_DELETE, begin, end);
}

lore_status batch_merge(struct batch *batch, lore_slice key, lore_slice operand) {
    assert(!batch->sealed);
    TRY(check_key(key, KEY_BYTES_MAX));
    if (!merge_is_valid(operand)) return fail(LORE_INVALID, "not a merge operand");
    return append_entry(batch, ENTRY_MERGE, key, operand);
}

lore_status batch_vector(struct batch *batch, lore_slice key, lore_slice value) {
    assert(!batch->sealed);
    uint32_t space;
    uint64_t row;
    if (!vector_key_decode(key, &space, &row)) return fail(LORE_INVALID, "not a vector's key");
    return append_entry(batch, ENTRY_VECTOR, key, value);
}

/* ---- rows ---- */

uint32_t batch_take_row(struct batch *batch) {
    assert(!batch->sealed && batch->rows < UINT32_MAX);
    return batch->rows++;
}

static lore_status note_slot(struct batch *batch, size_t at) {
    assert(get_be64(batch->payload.data + at) < batch->rows);
    uint32_t slot = (uint32_t)at;
    return bytes_append(&batch->row_slots, &slot, sizeof slot);
}

lore_status batch_row_in_key(struct batch *batch, size_t at) {
    assert(batch->entries > 0 && at + ROW_BYTES <= batch->key_size);
    return note_slot(batch, batch->key_at + at);
}

lore_status batch_row_in_value(struct batch *batch, size_t at) {
    assert(batch->entries > 0 && at + ROW_BYTES <= batch->value_size);
    return note_slot(batch, batch->value_at + at);
}

/* Add `by`, modulo 2^64, to what every slot holds. */
static void shift_rows(struct batch *batch, uint64_t by) {
    for (size_t i = 0; i < batch->row_slots.size; i += sizeof(uint32_t)) {
        uint32_t at;
        memcpy(&at, batch->row_slots.data + i, sizeof at);
        assert(at + ROW_BYTES <= batch->payload.size);
        put_be64(batch->payload.data + at, get_be64(batch->payload.data + at) + by);
    }
}

void batch_seal(struct batch *batch, uint64_t first_sequence, uint64_t first_row) {
    assert(!batch->sealed && batch->entries > 0);
    assert(first_sequence > 0 && first_sequence <= SEQUENCE_MAX - batch->entries + 1);
    uint8_t *header = batch->payload.data;
    put_u64(header, first_sequence);
    put_u64(header + 8, first_row);
    put_u32(header + 16, batch->rows);
    put_u32(header + 20, batch->entries);
    shift_rows(batch, first_row);
    batch->sealed = true;
}

void batch_unseal(struct batch *batch) {
    if (!batch->sealed) return;
    shift_rows(batch, 0 - get_u64(batch->payload.data + 8));
    memset(batch->payload.data, 0, BATCH_HEADER_BYTES);
    batch->sealed = false;
}

/* ---- conditions ---- */

static lore_status append_condition(struct batch *batch, enum condition_kind kind,
                                    uint64_t sequence, lore_slice key) {
    TRY(check_key(key, KEY_BYTES_MAX));
    struct bytes *conditions = &batch->conditions;
    TRY(bytes_reserve(conditions, 1 + 8 + varint_size(key.size) + key.size));
    TRY(append_u8(conditions, (uint8_t)kind));
    TRY(append_u64(conditions, sequence));
    TRY(append_prefixed(conditions, key));
    batch->conditions_count++;
    return LORE_OK;
}

lore_status batch_require_absent(struct batch *batch, lore_slice key) {
    return append_condition(batch, CONDITION_ABSENT, 0, key);
}

lore_status batch_require_unchanged(struct batch *batch, lore_slice key, uint64_t sequence) {
    return append_condition(batch, CONDITION_UNCHANGED, sequence, key);
}

bool batch_next_condition(const struct batch *batch, size_t *cursor,
                          struct condition_view *condition) {
    assert(*cursor <= batch->conditions.size);
    if (*cursor == batch->conditions.size) return false;
    const uint8_t *data = batch->conditions.data;
    struct reader reader = {data + *cursor, data + batch->conditions.size, false};
    condition->kind = (enum condition_kind)read_u8(&reader);
    condition->sequence = read_u64(&reader);
    condition->key = read_prefixed(&reader);
    assert(!reader.bad);
    *cursor = (size_t)(reader.at - data);
    return true;
}

/* ---- reading ---- */

lore_status batch_view_open(lore_slice payload, struct batch_view *view) {
    struct reader reader = reader_over(payload);
    *view = (struct batch_view){0};
    view->first_sequence = read_u64(&reader);
    view->first_row = read_u64(&reader);
    view->rows = read_u32(&reader);
    view->entries = read_u32(&reader);
    view->at = reader;
    if (reader.bad)
        return fail(LORE_CORRUPTION, "a batch of %zu bytes has no header", payload.size);
    if (view->entries > reader_left(&reader) / ENTRY_BYTES_MIN) {
        return fail(LORE_CORRUPTION, "a batch of %zu bytes cannot hold %" PRIu32 " entries",
                    payload.size, view->entries);
    }
    if (view->first_sequence == 0 || view->first_sequence > SEQUENCE_MAX - view->entries + 1 ||
        view->first_row > UINT64_MAX - view->rows) {
        return fail(LORE_CORRUPTION, "a batch with sequence %" PRIu64 " and row %" PRIu64,
                    view->first_sequence, view->first_row);
    }
    return LORE_OK;
}

void batch_entries(const struct batch *batch, struct batch_view *view) {
    struct reader reader = reader_over(bytes_slice(&batch->payload));
    if (batch->entries > 0) (void)read_bytes(&reader, BATCH_HEADER_BYTES);
    *view = (struct batch_view){.rows = batch->rows, .entries = batch->entries, .at = reader};
}

static bool entry_is_sound(const struct entry *entry) {
    size_t key_max = entry->kind == ENTRY_RANGE_DELETE ? KEY_BOUND_BYTES_MAX : KEY_BYTES_MAX;
    if (entry->key.size < KEYSPACE_BYTES || entry->key.size > key_max) return false;
    uint32_t space;
    uint64_t row;
    switch (entry->kind) {
    case ENTRY_PUT:
    case ENTRY_DELETE: return true;
    case ENTRY_RANGE_DELETE:
        return entry->value.size >= KEYSPACE_BYTES && entry->value.size <= KEY_BOUND_BYTES_MAX &&
               slice_compare(entry->key, entry->value) < 0;
    case ENTRY_MERGE: return merge_is_valid(entry->value);
    case ENTRY_VECTOR: return vector_key_decode(entry->key, &space, &row);
    case ENTRY_PUT_BLOB:
    case ENTRY_VECTOR_ROW: return false;
    }
    return false;
}

lore_status batch_view_next(struct batch_view *view, struct entry *entry, bool *found) {
    *found = false;
    if (view->index == view->entries) {
        size_t left = reader_left(&view->at);
        if (left == 0 && !view->at.bad) return LORE_OK;
        return fail(LORE_CORRUPTION, "%zu bytes after the last entry of a batch", left);
    }
    uint8_t kind = read_u8(&view->at);
    lore_slice key = read_prefixed(&view->at);
    lore_slice value = kind == ENTRY_DELETE ? slice(NULL, 0) : read_prefixed(&view->at);
    *entry = (struct entry){key, view->first_sequence + view->index, (enum entry_kind)kind, value};
    if (view->at.bad || !entry_is_sound(entry)) {
        return fail(LORE_CORRUPTION,
                    "entry %" PRIu32 " of the batch at sequence %" PRIu64 " is malformed",
                    view->index, view->first_sequence);
    }
    view->index++;
    *found = true;
    return LORE_OK;
}
