/*
 * change.c - one memory's change as entries of a batch.
 *
 * Row: a new one when there was no memory or its text changes. Then everything that has the row in
 * its key is written for the new row and deleted for the old one; else only what differs is.
 *
 * Conditions: a new memory requires its ID key to be absent; an old one that its attributes' entry
 * is the one that was read. Every change of a memory writes that entry or deletes it, so this one
 * condition covers the ID key too.
 */
#include <assert.h>

#include "memory/index_keys.h"
#include "memory/writer.h"

#include "base/poison.h"

/* Where the entries of one change go. */
struct rows {
    uint64_t old;  /* if there is an old memory */
    uint64_t next; /* its number within the batch when it is new */
    bool is_new;
};

void writer_init(struct writer *writer, lore_store *store) {
    const struct allocator *allocator = store_query_allocator(store);
    *writer = (struct writer){.store = store,
                              .layer = memory_layer_of(store),
                              .allocator = allocator,
                              .key = bytes_empty(allocator),
                              .value = bytes_empty(allocator),
                              .vector = bytes_empty(allocator),
                              .spaces = bytes_empty(allocator),
                              .old_index = bytes_empty(allocator),
                              .new_index = bytes_empty(allocator)};
    batch_init(&writer->batch, allocator);
}

static void drop_heads(struct writer *writer) {
    for (size_t i = 0; i < writer->heads_count; i++)
        bytes_free(&writer->heads[i].session);
    writer->heads_count = 0;
}

void writer_deinit(struct writer *writer) {
    drop_heads(writer);
    mem_put(writer->allocator, writer->heads, writer->heads_capacity * sizeof *writer->heads);
    bytes_free(&writer->key);
    bytes_free(&writer->value);
    bytes_free(&writer->vector);
    bytes_free(&writer->spaces);
    bytes_free(&writer->old_index);
    bytes_free(&writer->new_index);
    batch_deinit(&writer->batch);
}

lore_status writer_begin_read(struct writer *writer) {
    drop_heads(writer);
    batch_clear(&writer->batch);
    writer->now_us = env_now_us(writer->layer->env);
    return store_read_begin(writer->store, NULL, &writer->reading);
}

void writer_end_read(struct writer *writer) {
    store_read_end(writer->store, &writer->reading);
}

/* ---- entries with a row in their key ---- */

/* writer->key ends with the row. */
static lore_status put_at_row(struct writer *writer, const struct rows *rows, size_t row_at,
                              lore_slice value) {
    TRY(batch_put(&writer->batch, bytes_slice(&writer->key), value));
    return rows->is_new ? batch_row_in_key(&writer->batch, row_at) : LORE_OK;
}

static lore_status put_index(struct writer *writer, const struct rows *rows, lore_slice key) {
    TRY(bytes_set(&writer->key, key));
    TRY(append_be64(&writer->key, rows->next));
    return put_at_row(writer, rows, key.size, slice(NULL, 0));
}

static lore_status delete_index(struct writer *writer, const struct rows *rows, lore_slice key) {
    TRY(bytes_set(&writer->key, key));
    TRY(append_be64(&writer->key, rows->old));
    return batch_delete(&writer->batch, bytes_slice(&writer->key));
}

static lore_status change_index(struct writer *writer, const struct change *change,
                                const struct rows *rows) {
    size_t cursor = 0;
    lore_slice key;
    bytes_clear(&writer->old_index);
    bytes_clear(&writer->new_index);
    if (change->old != NULL)
        TRY(index_keys_of(&change->old->memory, &writer->old_index, &writer->key));
    if (change->next != NULL) TRY(index_keys_of(change->next, &writer->new_index, &writer->key));
    while (index_keys_next(&writer->old_index, &cursor, &key))
        if (rows->is_new || !index_keys_have(&writer->new_index, key))
            TRY(delete_index(writer, rows, key));
    cursor = 0;
    while (index_keys_next(&writer->new_index, &cursor, &key))
        if (rows->is_new || !index_keys_have(&writer->old_index, key))
            TRY(put_index(writer, rows, key));
    return LORE_OK;
}

static lore_status change_session(struct writer *writer, const struct change *change,
                                  const struct rows *rows) {
    const lore_memory *old = change->old == NULL ? NULL : &change->old->memory;
    const lore_memory *next = change->next;
    if (old != NULL && old->session_id.size == 0) old = NULL;
    if (next != NULL && next->session_id.size == 0) next = NULL;
    if (old != NULL && next != NULL && !rows->is_new && old->position == next->position &&
        slice_equal(old->session_id, next->session_id))
        return LORE_OK;
    if (old != NULL) {
        TRY(key_session(&writer->key, old->session_id, old->position));
        TRY(append_be64(&writer->key, rows->old));
        TRY(batch_delete(&writer->batch, bytes_slice(&writer->key)));
    }
    if (next == NULL) return LORE_OK;
    TRY(key_session(&writer->key, next->session_id, next->position));
    size_t row_at = writer->key.size;
    TRY(append_be64(&writer->key, rows->next));
    return put_at_row(writer, rows, row_at, slice(NULL, 0));
}

/* ---- embeddings ---- */

static lore_status put_vector(struct writer *writer, const struct rows *rows, uint32_t space,
                              lore_slice vector) {
    uint8_t key[VECTOR_KEY_BYTES];
    vector_key_encode(space, rows->next, key);
    TRY(batch_vector(&writer->batch, slice(key, sizeof key), vector));
    if (rows->is_new) TRY(batch_row_in_key(&writer->batch, VECTOR_KEY_BYTES - ROW_BYTES));
    return bytes_append(&writer->spaces, &space, sizeof space);
}

static lore_status delete_vector(struct writer *writer, const struct rows *rows, uint32_t space) {
    uint8_t key[VECTOR_KEY_BYTES];
    vector_key_encode(space, rows->old, key);
    return batch_delete(&writer->batch, slice(key, sizeof key));
}

/* An embedding that the memory had and that is not given anew. */
static lore_status keep_vector(struct writer *writer, const struct change *change,
                               const struct rows *rows, uint32_t number) {
    bool dropped = change->dropped != NULL && change->dropped->number == number;
    if (change->next == NULL || !change->keep_embeddings || dropped)
        return delete_vector(writer, rows, number);
    if (!rows->is_new) return bytes_append(&writer->spaces, &number, sizeof number);
    struct space space;
    char name[256];
    size_t name_size;
    lore_status status = store_space_by_number(writer->store, number, &space, name, &name_size);
    if (status == LORE_OK)
        status =
            memory_read_vector(writer->store, &writer->reading, &space, rows->old, &writer->vector);
    if (status == LORE_NOT_FOUND)
        return fail(LORE_CORRUPTION, "%s: row %llu names an embedding that is not there",
                    store_path(writer->store), (unsigned long long)rows->old);
    TRY(status);
    TRY(delete_vector(writer, rows, number));
    return put_vector(writer, rows, number, bytes_slice(&writer->vector));
}

/* Both lists are in order of space; writer->spaces becomes the new one. */
static lore_status change_vectors(struct writer *writer, const struct change *change,
                                  const struct rows *rows) {
    const uint32_t *had = change->old == NULL ? NULL : change->old->attributes.spaces;
    size_t had_count = change->old == NULL ? 0 : change->old->attributes.spaces_count;
    size_t given_count = change->vectors == NULL ? 0 : change->vectors->count;
    size_t h = 0, g = 0;
    bytes_clear(&writer->spaces);
    while (h < had_count || g < given_count) {
        const struct given_vector *given = g < given_count ? &change->vectors->items[g] : NULL;
        if (given == NULL || (h < had_count && had[h] < given->space.number)) {
            TRY(keep_vector(writer, change, rows, had[h]));
            h++;
            continue;
        }
        bool replaces = h < had_count && had[h] == given->space.number;
        if (replaces && rows->is_new) TRY(delete_vector(writer, rows, had[h]));
        TRY(put_vector(writer, rows, given->space.number, given->data));
        h += replaces ? 1 : 0;
        g++;
    }
    return LORE_OK;
}

/* ---- the record ---- */

static lore_status bury(struct writer *writer, uint64_t row) {
    uint8_t died_at[8];
    put_be64(died_at, (uint64_t)writer->now_us);
    TRY(key_record(&writer->key, row, RECORD_ATTRIBUTES));
    TRY(batch_delete(&writer->batch, bytes_slice(&writer->key)));
    TRY(key_record(&writer->key, row, RECORD_TEXT));
    TRY(batch_delete(&writer->batch, bytes_slice(&writer->key)));
    TRY(key_dead(&writer->key, row));
    return batch_put(&writer->batch, bytes_slice(&writer->key), slice(died_at, sizeof died_at));
}

static lore_status put_record(struct writer *writer, const struct change *change,
                              const struct rows *rows) {
    const size_t row_at = KEYSPACE_BYTES;
    if (rows->is_new) {
        uint8_t row[ROW_BYTES];
        put_be64(row, rows->next);
        TRY(key_id(&writer->key, change->next->id));
        TRY(batch_put(&writer->batch, bytes_slice(&writer->key), slice(row, sizeof row)));
        TRY(batch_row_in_value(&writer->batch, 0));
        TRY(key_record(&writer->key, rows->next, RECORD_TEXT));
        TRY(put_at_row(writer, rows, row_at, change->next->text));
    }
    const void *spaces = writer->spaces.data;
    TRY(attributes_encode(&writer->value, change->next, spaces,
                          writer->spaces.size / sizeof(uint32_t)));
    TRY(key_record(&writer->key, rows->next, RECORD_ATTRIBUTES));
    return put_at_row(writer, rows, row_at, bytes_slice(&writer->value));
}

static lore_status require(struct writer *writer, const struct change *change) {
    if (change->old == NULL) {
        TRY(key_id(&writer->key, change->next->id));
        return batch_require_absent(&writer->batch, bytes_slice(&writer->key));
    }
    TRY(key_record(&writer->key, change->old->row, RECORD_ATTRIBUTES));
    return batch_require_unchanged(&writer->batch, bytes_slice(&writer->key),
                                   change->old->sequence);
}

static lore_status set_access(struct writer *writer, const lore_memory *next, bool is_new) {
    if (is_new && next->access_count == 0 && next->last_accessed_at_us == 0) return LORE_OK;
    uint8_t value[ACCESS_VALUE_BYTES];
    access_encode(value, (int64_t)next->access_count, next->last_accessed_at_us);
    TRY(key_access(&writer->key, next->id));
    return batch_put(&writer->batch, bytes_slice(&writer->key), slice(value, sizeof value));
}

/* Counts that are on their way require the ID key to be unchanged, so none can come after these
 * deletes. */
static lore_status delete_keys_of_id(struct writer *writer, lore_slice id) {
    TRY(key_id(&writer->key, id));
    TRY(batch_delete(&writer->batch, bytes_slice(&writer->key)));
    TRY(key_access(&writer->key, id));
    return batch_delete(&writer->batch, bytes_slice(&writer->key));
}

lore_status writer_add(struct writer *writer, const struct change *change) {
    assert(change->old != NULL || change->next != NULL);
    const lore_record *old = change->old;
    struct rows rows = {.old = old == NULL ? 0 : old->row};
    rows.is_new = change->next != NULL && (old == NULL || change->new_text);
    rows.next = rows.is_new ? batch_take_row(&writer->batch) : rows.old;
    TRY(require(writer, change));
    TRY(heads_move(writer, old == NULL ? NULL : &old->memory, change->next,
                   change->position_given));
    TRY(change_vectors(writer, change, &rows));
    TRY(change_index(writer, change, &rows));
    TRY(change_session(writer, change, &rows));
    if (old != NULL && (rows.is_new || change->next == NULL)) TRY(bury(writer, rows.old));
    if (change->next == NULL) return delete_keys_of_id(writer, old->memory.id);
    TRY(put_record(writer, change, &rows));
    return change->set_access ? set_access(writer, change->next, old == NULL) : LORE_OK;
}
