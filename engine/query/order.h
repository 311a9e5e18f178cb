/*
 * order.h - sort keys of memories, and the first of them in bounded memory.
 *
 * A key is made so that all orders are ascending: numbers as in index keys, inverted for a
 * descending order, as are rows, which break ties.
 *
 *   heap   entries[0] is the last in order of those kept; entry i not before its children
 */
#ifndef LORE_QUERY_ORDER_H
#define LORE_QUERY_ORDER_H

#include "query/query.h"

struct order_key {
    uint64_t value;
    uint64_t row; /* as order_row takes it back */
    bool lacking; /* after all that are not */
};
struct order_key order_key_of(lore_order order, const lore_memory *memory, uint64_t row);
/* For orders by row alone, where no memory is needed. */
struct order_key order_key_of_row(uint64_t row);
uint64_t order_key_row(lore_order order, const struct order_key *key);
bool order_is_descending(lore_order order);

struct order_heap {
    const struct allocator *allocator;
    struct order_key *keys; /* owned: capacity of them */
    size_t count, capacity;
    size_t limit; /* 0: keeps all */
};
void order_heap_init(struct order_heap *heap, const struct allocator *allocator, size_t limit);
void order_heap_deinit(struct order_heap *heap);
/* Whether an offer would be kept. */
bool order_heap_admits(const struct order_heap *heap, const struct order_key *key);
/* LORE_NO_MEMORY. */
MUST_USE lore_status order_heap_offer(struct order_heap *heap, struct order_key key);
/* First in order first. Nothing is offered afterwards. */
void order_heap_sort(struct order_heap *heap);

#endif
