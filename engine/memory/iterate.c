/*
 * iterate.c - lore_memory_iter_*: the ID keyspace in order, each id's record read at the iterator's
 * sequence number.
 */
#include <inttypes.h>

#include "memory/limits.h"
#include "memory/record.h"
#include "vfs/sync.h"

#include "base/poison.h"

struct lore_memory_iter {
    lore_store *store;
    struct store_read reading;
    bool pinned_snapshot; /* a pin of its own: the snapshot may be released before the iterator */
    struct lsm_iterator *iterator;
    unsigned flags;
    int64_t now_us; /* what has expired by then is hidden */
    bool started;
};

static lore_status start(lore_memory_iter *iter, const lore_snapshot *snapshot) {
    lore_store *store = iter->store;
    TRY(store_read_begin(store, snapshot, &iter->reading));
    if (snapshot != NULL) {
        TRY(lsm_pin(store_tree(store), iter->reading.sequence));
        iter->pinned_snapshot = true;
    }
    uint8_t lower[KEYSPACE_BYTES], upper[KEYSPACE_BYTES];
    put_be32(lower, KEYSPACE_ID);
    put_be32(upper, KEYSPACE_ID + 1);
    return lsm_iterator_create(store_tree(store), store_query_allocator(store),
                               iter->reading.sequence, slice(lower, sizeof lower),
                               slice(upper, sizeof upper), &iter->iterator);
}

lore_status lore_memory_iter_create(lore_store *store, const lore_snapshot *snapshot,
                                    unsigned flags, lore_memory_iter **out) {
    *out = NULL;
    TRY(store_check(store, false));
    TRY(memory_check_flags(flags));
    void *memory;
    TRY(mem_new(store_query_allocator(store), sizeof(lore_memory_iter), &memory));
    lore_memory_iter *iter = memory;
    iter->store = store;
    iter->flags = flags;
    iter->now_us = env_now_us(store_env(store));
    store_object_opened(store);
    lore_status status = start(iter, snapshot);
    if (status != LORE_OK) {
        lore_memory_iter_destroy(iter);
        return status;
    }
    *out = iter;
    return LORE_OK;
}

void lore_memory_iter_destroy(lore_memory_iter *iter) {
    if (iter == NULL) return;
    lore_store *store = iter->store;
    if (iter->iterator != NULL) {
        store_count_reads(store, lsm_iterator_count(iter->iterator));
        lsm_iterator_destroy(iter->iterator);
    }
    if (iter->pinned_snapshot) lsm_unpin(store_tree(store), iter->reading.sequence);
    store_read_end(store, &iter->reading);
    mem_put(store_query_allocator(store), iter, sizeof *iter);
    store_object_closed(store);
}

static lore_status read_at(lore_memory_iter *iter, lore_record **record) {
    lore_slice value;
    TRY(lsm_iterator_value(iter->iterator, &value));
    if (value.size != ROW_BYTES)
        return fail(LORE_CORRUPTION, "%s: the row of an id has %zu bytes", store_path(iter->store),
                    value.size);
    uint64_t row = get_be64(value.data);
    lore_status status = memory_read_row(iter->store, &iter->reading, row, iter->flags, record);
    if (status != LORE_NOT_FOUND) return status;
    return fail(LORE_CORRUPTION, "%s: an id leads to row %" PRIu64 ", which is not there",
                store_path(iter->store), row);
}

lore_status lore_memory_iter_next(lore_memory_iter *iter, lore_record **out) {
    *out = NULL;
    TRY(store_check(iter->store, false));
    for (;;) {
        /* At the end it stays there. */
        if (!iter->started)
            TRY(lsm_iterator_seek_first(iter->iterator));
        else if (lsm_iterator_valid(iter->iterator))
            TRY(lsm_iterator_next(iter->iterator));
        iter->started = true;
        if (!lsm_iterator_valid(iter->iterator)) return LORE_OK;
        lore_record *record;
        TRY(read_at(iter, &record));
        if ((iter->flags & LORE_READ_EXPIRED) != 0 ||
            !memory_is_expired(&record->memory, iter->now_us)) {
            *out = record;
            return LORE_OK;
        }
        lore_record_destroy(record);
    }
}
