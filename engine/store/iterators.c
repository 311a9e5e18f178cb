/*
 * iterators.c - lore_iter_*: the tree's iterator with its keyspace cut off and its bounds worked
 * out once.
 */
#include <inttypes.h>

#include "store/store_internal.h"

#include "base/poison.h"

struct lore_iter {
    lore_store *store;
    struct store_read reading;
    struct lsm_iterator *iterator;
    struct bytes lower, upper; /* whole keys; upper empty: to the end */
    struct bytes target;       /* scratch for seeks */
    lore_keyspace keyspace;
};

/* The smallest key above all that begin with `key`: the last byte that is not 0xff plus one, the
 * rest cut off. */
static void step_over_prefix(struct bytes *key) {
    while (key->size > 0 && key->data[key->size - 1] == 0xff)
        key->size--;
    if (key->size > 0) key->data[key->size - 1]++;
}

static lore_status set_bounds(lore_iter *iter, const lore_range *range) {
    static const lore_range all = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (range == NULL) range = &all;
    TRY(append_be32(&iter->lower, iter->keyspace));
    TRY(append_be32(&iter->upper, iter->keyspace));
    lore_slice lower = range->lower;
    if (range->prefix.size > 0 && slice_compare(range->prefix, lower) > 0) lower = range->prefix;
    TRY(bytes_append(&iter->lower, lower.data, lower.size));
    TRY(bytes_append(&iter->upper, range->prefix.data, range->prefix.size));
    step_over_prefix(&iter->upper);
    if (range->upper.size == 0) return LORE_OK;
    struct bytes given = bytes_empty(iter->upper.allocator);
    lore_status status = append_be32(&given, iter->keyspace);
    if (status == LORE_OK) status = bytes_append(&given, range->upper.data, range->upper.size);
    if (status == LORE_OK && slice_compare(bytes_slice(&given), bytes_slice(&iter->upper)) < 0)
        status = bytes_set(&iter->upper, bytes_slice(&given));
    bytes_free(&given);
    return status;
}

static lore_status range_check(lore_keyspace keyspace, const lore_range *range) {
    if (keyspace >= LORE_KEYSPACE_RESERVED)
        return fail(LORE_INVALID, "keyspace 0x%08" PRIx32 " is reserved", keyspace);
    if (range != NULL && (range->lower.size > KEY_BOUND_BYTES_MAX - KEYSPACE_BYTES ||
                          range->upper.size > KEY_BOUND_BYTES_MAX - KEYSPACE_BYTES ||
                          range->prefix.size > LORE_KEY_BYTES_MAX))
        return fail(LORE_TOO_BIG, "a bound over %u bytes", LORE_KEY_BYTES_MAX);
    return LORE_OK;
}

lore_status lore_iter_create(lore_store *store, const lore_snapshot *snapshot,
                             lore_keyspace keyspace, const lore_range *range, lore_iter **out) {
    *out = NULL;
    TRY(store_check(store, false));
    TRY(range_check(keyspace, range));
    const struct allocator *allocator = &store->query_allocator.base;
    void *memory;
    TRY(mem_new(allocator, sizeof(lore_iter), &memory));
    lore_iter *iter = memory;
    iter->store = store;
    iter->keyspace = keyspace;
    iter->lower = bytes_empty(allocator);
    iter->upper = bytes_empty(allocator);
    iter->target = bytes_empty(allocator);
    store_object_opened(store);
    atomic_fetch_add(&store->iterators_open, 1);
    lore_status status = set_bounds(iter, range);
    if (status == LORE_OK) status = store_read_begin(store, snapshot, &iter->reading);
    if (status == LORE_OK && snapshot != NULL) {
        /* Its own pin: the snapshot may be released before the iterator. */
        status = lsm_pin(store->lsm, iter->reading.sequence);
        iter->reading.pinned = status == LORE_OK;
    }
    if (status == LORE_OK)
        status = lsm_iterator_create(store->lsm, allocator, iter->reading.sequence,
                                     bytes_slice(&iter->lower), bytes_slice(&iter->upper),
                                     &iter->iterator);
    if (status != LORE_OK) {
        lore_iter_destroy(iter);
        return status;
    }
    *out = iter;
    return LORE_OK;
}

void lore_iter_destroy(lore_iter *iter) {
    if (iter == NULL) return;
    lore_store *store = iter->store;
    if (iter->iterator != NULL) {
        store_count_reads(store, lsm_iterator_count(iter->iterator));
        lsm_iterator_destroy(iter->iterator);
    }
    store_read_end(store, &iter->reading);
    bytes_free(&iter->lower);
    bytes_free(&iter->upper);
    bytes_free(&iter->target);
    mem_put(&store->query_allocator.base, iter, sizeof *iter);
    atomic_fetch_sub(&store->iterators_open, 1);
    store_object_closed(store);
}

lore_status lore_iter_seek_first(lore_iter *iter) {
    TRY(store_check(iter->store, false));
    return lsm_iterator_seek_first(iter->iterator);
}

lore_status lore_iter_seek_last(lore_iter *iter) {
    TRY(store_check(iter->store, false));
    return lsm_iterator_seek_last(iter->iterator);
}

static lore_status set_target(lore_iter *iter, lore_slice key) {
    if (key.size > KEY_BOUND_BYTES_MAX - KEYSPACE_BYTES)
        return fail(LORE_TOO_BIG, "a key of %zu bytes, the limit is %u", key.size,
                    LORE_KEY_BYTES_MAX);
    bytes_clear(&iter->target);
    TRY(append_be32(&iter->target, iter->keyspace));
    return bytes_append(&iter->target, key.data, key.size);
}

lore_status lore_iter_seek(lore_iter *iter, lore_slice key) {
    TRY(store_check(iter->store, false));
    TRY(set_target(iter, key));
    return lsm_iterator_seek(iter->iterator, bytes_slice(&iter->target));
}

lore_status lore_iter_seek_back(lore_iter *iter, lore_slice key) {
    TRY(store_check(iter->store, false));
    TRY(set_target(iter, key));
    return lsm_iterator_seek_back(iter->iterator, bytes_slice(&iter->target));
}

static lore_status must_be_valid(const lore_iter *iter) {
    TRY(store_check(iter->store, false));
    if (lsm_iterator_valid(iter->iterator)) return LORE_OK;
    return fail(LORE_MISUSE, "the iterator is not at a key; seek first");
}

lore_status lore_iter_next(lore_iter *iter) {
    TRY(must_be_valid(iter));
    return lsm_iterator_next(iter->iterator);
}

lore_status lore_iter_prev(lore_iter *iter) {
    TRY(must_be_valid(iter));
    return lsm_iterator_prev(iter->iterator);
}

bool lore_iter_valid(const lore_iter *iter) {
    return lsm_iterator_valid(iter->iterator);
}

lore_slice lore_iter_key(const lore_iter *iter) {
    lore_slice key = lsm_iterator_key(iter->iterator);
    return slice((const uint8_t *)key.data + KEYSPACE_BYTES, key.size - KEYSPACE_BYTES);
}

lore_status lore_iter_value(lore_iter *iter, lore_slice *value) {
    TRY(must_be_valid(iter));
    return lsm_iterator_value(iter->iterator, value);
}
