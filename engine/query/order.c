/*
 * order.c - see order.h.
 */
#include "query/order.h"

#include "base/poison.h"

#define CAPACITY_FIRST 64u

/* ---- keys ---- */

static uint64_t integer_bits(int64_t value) {
    return (uint64_t)value ^ UINT64_C(1) << 63;
}

static uint64_t number_bits(double value) {
    uint64_t bits;
    if (value == 0) value = 0; /* -0 too */
    memcpy(&bits, &value, sizeof bits);
    return (bits & UINT64_C(1) << 63) != 0 ? ~bits : bits | UINT64_C(1) << 63;
}

bool order_is_descending(lore_order order) {
    return order == LORE_ORDER_CREATED_DESC || order == LORE_ORDER_IMPORTANCE_DESC ||
           order == LORE_ORDER_ACCESSED_DESC;
}

struct order_key order_key_of_row(uint64_t row) {
    return (struct order_key){0, row, false};
}

struct order_key order_key_of(lore_order order, const lore_memory *memory, uint64_t row) {
    struct order_key key = order_key_of_row(row);
    switch (order) {
    case LORE_ORDER_DEFAULT: break;
    case LORE_ORDER_CREATED:
    case LORE_ORDER_CREATED_DESC:
        key.value = integer_bits(memory->created_at_us);
        key.lacking = memory->created_at_us == 0;
        break;
    case LORE_ORDER_IMPORTANCE_DESC: key.value = number_bits(memory->importance_score); break;
    case LORE_ORDER_ACCESSED_DESC: key.value = integer_bits(memory->last_accessed_at_us); break;
    }
    if (order_is_descending(order)) {
        key.value = ~key.value;
        key.row = ~row;
    }
    return key;
}

uint64_t order_key_row(lore_order order, const struct order_key *key) {
    return order_is_descending(order) ? ~key->row : key->row;
}

static bool key_before(const struct order_key *a, const struct order_key *b) {
    if (a->lacking != b->lacking) return b->lacking;
    if (a->value != b->value) return a->value < b->value;
    return a->row < b->row;
}

/* ---- heap ---- */

void order_heap_init(struct order_heap *heap, const struct allocator *allocator, size_t limit) {
    *heap = (struct order_heap){.allocator = allocator, .limit = limit};
}

void order_heap_deinit(struct order_heap *heap) {
    mem_put(heap->allocator, heap->keys, heap->capacity * sizeof *heap->keys);
    heap->keys = NULL;
    heap->count = heap->capacity = 0;
}

bool order_heap_admits(const struct order_heap *heap, const struct order_key *key) {
    return heap->limit == 0 || heap->count < heap->limit || key_before(key, &heap->keys[0]);
}

static lore_status make_room(struct order_heap *heap) {
    if (heap->count < heap->capacity) return LORE_OK;
    size_t capacity = heap->capacity == 0 ? CAPACITY_FIRST : heap->capacity * 2;
    if (heap->limit != 0 && capacity > heap->limit) capacity = heap->limit;
    size_t bytes;
    if (!size_mul(capacity, sizeof *heap->keys, &bytes))
        return fail(LORE_NO_MEMORY, "a search of %zu rows", heap->count);
    void *keys = heap->keys;
    if (mem_resize(heap->allocator, &keys, heap->capacity * sizeof *heap->keys, bytes) != LORE_OK)
        return fail(LORE_NO_MEMORY,
                    "memory_budget does not hold the order of the first %zu matching memories; "
                    "a smaller limit or offset does with less",
                    heap->count);
    heap->keys = keys;
    heap->capacity = capacity;
    return LORE_OK;
}

/* Let `key` sink from place `at` of the first `count`. */
static void sink(struct order_key *keys, size_t count, size_t at, struct order_key key) {
    while (at < count / 2) {
        size_t child = 2 * at + 1;
        if (child + 1 < count && key_before(&keys[child], &keys[child + 1])) child++;
        if (!key_before(&key, &keys[child])) break;
        keys[at] = keys[child];
        at = child;
    }
    keys[at] = key;
}

lore_status order_heap_offer(struct order_heap *heap, struct order_key key) {
    if (!order_heap_admits(heap, &key)) return LORE_OK;
    if (heap->limit != 0 && heap->count == heap->limit) {
        sink(heap->keys, heap->count, 0, key);
        return LORE_OK;
    }
    TRY(make_room(heap));
    size_t at = heap->count++;
    while (at > 0 && key_before(&heap->keys[(at - 1) / 2], &key)) {
        heap->keys[at] = heap->keys[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->keys[at] = key;
    return LORE_OK;
}

void order_heap_sort(struct order_heap *heap) {
    for (size_t count = heap->count; count > 1; count--) {
        struct order_key last = heap->keys[0];
        sink(heap->keys, count - 1, 0, heap->keys[count - 1]);
        heap->keys[count - 1] = last;
    }
}
