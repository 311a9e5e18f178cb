/*
 * topk.h - the k best rows of a scan: smallest distance first, equal distances by row ascending.
 *
 * A max-heap in the caller's memory: entries[0] is the worst kept, so a scan compares each
 * candidate with that one and mostly stops there. The result does not depend on the order of the
 * offers.
 *
 *   heap order: entry i is not before its children 2i + 1 and 2i + 2
 *
 * Distances must not be NaN (distance.h gives none). One thread at a time.
 */
#ifndef LORE_VECTOR_TOPK_H
#define LORE_VECTOR_TOPK_H

#include "lore.h"

struct topk_entry {
    float distance;
    uint64_t row;
};

struct topk {
    struct topk_entry *entries; /* the caller's, `capacity` of them */
    size_t capacity;            /* k; may be 0 */
    size_t count;
};

static inline bool topk_before(struct topk_entry a, struct topk_entry b) {
    if (a.distance != b.distance) return a.distance < b.distance;
    return a.row < b.row;
}

static inline void topk_init(struct topk *top, struct topk_entry *entries, size_t capacity) {
    *top = (struct topk){entries, capacity, 0};
}

/* Whether an offer would be kept. */
static inline bool topk_admits(const struct topk *top, float distance, uint64_t row) {
    if (top->count < top->capacity) return true;
    return top->capacity > 0 && topk_before((struct topk_entry){distance, row}, top->entries[0]);
}

/* Keep the candidate if it is among the k best so far. A row offered twice counts twice. */
bool topk_offer(struct topk *top, float distance, uint64_t row);

/* Put the entries best first. The heap is used up: offer nothing afterwards. */
void topk_sort(struct topk *top);

#endif
