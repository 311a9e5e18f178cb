/*
 * topk.c - sifting, for topk.h.
 */
#include "vector/topk.h"

#include <assert.h>
#include "base/poison.h"

/* Let `entry` sink from position `at` of a heap of `count` entries. */
static void sink(struct topk_entry *entries, size_t count, size_t at, struct topk_entry entry) {
    for (;;) {
        if (at >= count / 2) break; /* no child */
        size_t child = 2 * at + 1;
        if (child + 1 < count && topk_before(entries[child], entries[child + 1])) child++;
        if (!topk_before(entry, entries[child])) break;
        entries[at] = entries[child];
        at = child;
    }
    entries[at] = entry;
}

bool topk_offer(struct topk *top, float distance, uint64_t row) {
    assert(distance == distance);
    if (!topk_admits(top, distance, row)) return false;
    struct topk_entry entry = {distance, row};
    if (top->count == top->capacity) {
        sink(top->entries, top->count, 0, entry);
        return true;
    }
    size_t at = top->count++;
    while (at > 0 && topk_before(top->entries[(at - 1) / 2], entry)) {
        top->entries[at] = top->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    top->entries[at] = entry;
    return true;
}

void topk_sort(struct topk *top) {
    for (size_t count = top->count; count > 1; count--) {
        struct topk_entry worst = top->entries[0];
        sink(top->entries, count - 1, 0, top->entries[count - 1]);
        top->entries[count - 1] = worst;
    }
}
