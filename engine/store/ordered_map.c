/*
 * ordered_map.c - the public calls of the ordered map but for iterators: keys get their keyspace at
 * the head, and go to the tree or into a batch.
 */
#include <inttypes.h>

#include "store/store_internal.h"

#include "base/poison.h"

struct lore_batch {
    lore_store *store;
    struct batch batch;
    struct bytes key; /* scratch: keyspace and key */
    struct bytes end; /* scratch: of a range */
};

/* ---- keys ---- */

static lore_status keyspace_check(lore_keyspace keyspace) {
    if (keyspace < LORE_KEYSPACE_RESERVED) return LORE_OK;
    return fail(LORE_INVALID, "keyspace 0x%08" PRIx32 " is reserved; yours are below 0x%08x",
                keyspace, LORE_KEYSPACE_RESERVED);
}

static lore_status whole_key(struct bytes *out, lore_keyspace keyspace, lore_slice key) {
    TRY(keyspace_check(keyspace));
    if (key.size > LORE_KEY_BYTES_MAX)
        return fail(LORE_TOO_BIG, "a key of %zu bytes, the limit is %u", key.size,
                    LORE_KEY_BYTES_MAX);
    bytes_clear(out);
    TRY(append_be32(out, keyspace));
    return bytes_append(out, key.data, key.size);
}

/* The end of a range in `keyspace`: `end`, or where the next keyspace begins. */
static lore_status whole_end(struct bytes *out, lore_keyspace keyspace, lore_slice end) {
    if (end.size > 0) return whole_key(out, keyspace, end);
    bytes_clear(out);
    return append_be32(out, keyspace + 1);
}

/* ---- batches ---- */

lore_status lore_batch_create(lore_store *store, lore_batch **out) {
    *out = NULL;
    TRY(store_check(store, true));
    void *memory;
    TRY(mem_new(&store->query_allocator.base, sizeof(lore_batch), &memory));
    lore_batch *batch = memory;
    batch->store = store;
    batch_init(&batch->batch, &store->query_allocator.base);
    batch->key = bytes_empty(&store->query_allocator.base);
    batch->end = bytes_empty(&store->query_allocator.base);
    store_object_opened(store);
    *out = batch;
    return LORE_OK;
}

void lore_batch_destroy(lore_batch *batch) {
    if (batch == NULL) return;
    lore_store *store = batch->store;
    batch_deinit(&batch->batch);
    bytes_free(&batch->key);
    bytes_free(&batch->end);
    mem_put(&store->query_allocator.base, batch, sizeof *batch);
    store_object_closed(store);
}

void lore_batch_clear(lore_batch *batch) {
    batch_clear(&batch->batch);
}
size_t lore_batch_size(const lore_batch *batch) {
    return (size_t)batch->batch.memtable_bytes;
}

/* So that a batch without bound is refused while it grows, not when it is written. */
static lore_status batch_room(const lore_batch *batch, size_t first, size_t second) {
    uint64_t limit = batch->store->budget.limit / 4, taken = batch->batch.memtable_bytes;
    uint64_t more = KEYSPACE_BYTES + BATCH_ENTRY_OVERHEAD;
    if (first <= limit && second <= limit && taken + more + first + second <= limit) return LORE_OK;
    return fail(LORE_TOO_BIG,
                "the batch would be over %" PRIu64 " bytes, a quarter of memory_budget", limit);
}

lore_status lore_batch_put(lore_batch *batch, lore_keyspace keyspace, lore_slice key,
                           lore_slice value) {
    TRY(whole_key(&batch->key, keyspace, key));
    TRY(batch_room(batch, key.size, value.size));
    return batch_put(&batch->batch, bytes_slice(&batch->key), value);
}

lore_status lore_batch_delete(lore_batch *batch, lore_keyspace keyspace, lore_slice key) {
    TRY(whole_key(&batch->key, keyspace, key));
    TRY(batch_room(batch, key.size, 0));
    return batch_delete(&batch->batch, bytes_slice(&batch->key));
}

lore_status lore_batch_delete_range(lore_batch *batch, lore_keyspace keyspace, lore_slice begin,
                                    lore_slice end) {
    TRY(whole_key(&batch->key, keyspace, begin));
    TRY(whole_end(&batch->end, keyspace, end));
    TRY(batch_room(batch, begin.size, batch->end.size));
    if (slice_compare(bytes_slice(&batch->key), bytes_slice(&batch->end)) >= 0) return LORE_OK;
    return batch_delete_range(&batch->batch, bytes_slice(&batch->key), bytes_slice(&batch->end));
}

lore_status lore_batch_require_absent(lore_batch *batch, lore_keyspace keyspace, lore_slice key) {
    TRY(whole_key(&batch->key, keyspace, key));
    return batch_require_absent(&batch->batch, bytes_slice(&batch->key));
}

lore_status lore_batch_require_unchanged(lore_batch *batch, lore_keyspace keyspace, lore_slice key,
                                         uint64_t sequence) {
    TRY(whole_key(&batch->key, keyspace, key));
    return batch_require_unchanged(&batch->batch, bytes_slice(&batch->key), sequence);
}

lore_status lore_write(lore_store *store, lore_batch *batch, lore_commit *commit) {
    TRY(store_check(store, true));
    if (batch == NULL) return fail(LORE_INVALID, "the batch is NULL");
    if (batch->store != store) return fail(LORE_MISUSE, "the batch belongs to another store");
    return store_commit(store, &batch->batch, commit, NULL);
}

/* ---- single changes: a batch of one ---- */

lore_status lore_put(lore_store *store, lore_keyspace keyspace, lore_slice key, lore_slice value) {
    lore_batch *batch;
    TRY(lore_batch_create(store, &batch));
    lore_status status = lore_batch_put(batch, keyspace, key, value);
    if (status == LORE_OK) status = lore_write(store, batch, NULL);
    lore_batch_destroy(batch);
    return status;
}

lore_status lore_delete(lore_store *store, lore_keyspace keyspace, lore_slice key) {
    lore_batch *batch;
    TRY(lore_batch_create(store, &batch));
    lore_status status = lore_batch_delete(batch, keyspace, key);
    if (status == LORE_OK) status = lore_write(store, batch, NULL);
    lore_batch_destroy(batch);
    return status;
}

lore_status lore_delete_range(lore_store *store, lore_keyspace keyspace, lore_slice begin,
                              lore_slice end) {
    lore_batch *batch;
    TRY(lore_batch_create(store, &batch));
    lore_status status = lore_batch_delete_range(batch, keyspace, begin, end);
    if (status == LORE_OK) status = lore_write(store, batch, NULL);
    lore_batch_destroy(batch);
    return status;
}

/* ---- reads ---- */

void store_count_reads(lore_store *store, const struct read_count *count) {
    atomic_fetch_add(&store->blocks_read, count->blocks_read);
    atomic_fetch_add(&store->blocks_hit, count->blocks_hit);
}

lore_status store_get(lore_store *store, const struct store_read *reading, lore_slice key,
                      struct lookup *lookup, struct bytes *value) {
    struct read_count count = {0};
    lore_status status = lsm_get(store->lsm, key, reading->sequence, &count, lookup, value);
    store_count_reads(store, &count);
    atomic_fetch_add(&store->gets, 1);
    return status;
}

lore_status lore_get(lore_store *store, const lore_snapshot *snapshot, lore_keyspace keyspace,
                     lore_slice key, lore_buffer *value, uint64_t *sequence) {
    value->size = 0;
    if (sequence != NULL) *sequence = 0;
    TRY(store_check(store, false));
    struct bytes whole = bytes_empty(&store->query_allocator.base);
    struct bytes content = bytes_empty(&store->query_allocator.base);
    struct store_read reading = {0};
    struct lookup lookup = {0};
    lore_status status = whole_key(&whole, keyspace, key);
    if (status == LORE_OK) status = store_read_begin(store, snapshot, &reading);
    if (status == LORE_OK) {
        status = store_get(store, &reading, bytes_slice(&whole), &lookup, &content);
        store_read_end(store, &reading);
    }
    if (status == LORE_OK && sequence != NULL && lookup.found) *sequence = lookup.sequence;
    if (status == LORE_OK)
        status = lookup.found ? buffer_set(value, store->env->allocator, bytes_slice(&content))
                              : not_found();
    bytes_free(&content);
    bytes_free(&whole);
    return status;
}

/* Step from keyspace to keyspace: the first key at or after the next one's beginning. */
lore_status lore_keyspaces(lore_store *store, const lore_snapshot *snapshot,
                           lore_keyspace_fn callback, void *context) {
    TRY(store_check(store, false));
    struct store_read reading;
    TRY(store_read_begin(store, snapshot, &reading));
    uint8_t key[KEYSPACE_BYTES], upper[KEYSPACE_BYTES];
    put_be32(key, 0);
    put_be32(upper, LORE_KEYSPACE_RESERVED);
    struct lsm_iterator *iterator = NULL;
    lore_status status =
        lsm_iterator_create(store->lsm, &store->query_allocator.base, reading.sequence,
                            slice(key, sizeof key), slice(upper, sizeof upper), &iterator);
    while (status == LORE_OK) {
        status = lsm_iterator_seek(iterator, slice(key, sizeof key));
        if (status != LORE_OK || !lsm_iterator_valid(iterator)) break;
        lore_keyspace keyspace = get_be32(lsm_iterator_key(iterator).data);
        if (!callback(context, keyspace) || keyspace + 1 >= LORE_KEYSPACE_RESERVED) break;
        put_be32(key, keyspace + 1);
    }
    if (iterator != NULL) {
        store_count_reads(store, lsm_iterator_count(iterator));
        lsm_iterator_destroy(iterator);
    }
    store_read_end(store, &reading);
    return status;
}
