/*
 * range_deletes.c - building the skyline by a sweep over all bounds in order. For each interval
 * between pins a heap holds the range deletes that are open, newest on top; one that has ended
 * leaves when it comes to the top. So a fragment costs what it holds, and building n range deletes
 * under p pins takes about n (p + log n) steps.
 */
#include "lsm/range_deletes.h"

#include <assert.h>

#include "base/poison.h"

#define ARENA_CHUNK_BYTES 4096u

struct added_range {
    lore_slice begin, end;
    uint64_t sequence;
};

/* A heap by sequence of ranges that have begun; one for each interval between pins. */
struct begun_ranges {
    const struct added_range **heap; /* its part of one array */
    size_t count;
};

struct sweep {
    struct begun_ranges *intervals; /* newest first: interval i is above all but i pins */
    size_t intervals_count;
    const struct added_range **slots; /* the heaps' memory */
    lore_slice *bounds;               /* ascending, distinct */
    size_t bounds_count;
};

void range_deletes_init(struct range_deletes *deletes, const struct allocator *allocator) {
    memset(deletes, 0, sizeof *deletes);
    deletes->allocator = allocator;
    arena_init(&deletes->arena, allocator, ARENA_CHUNK_BYTES);
}

void range_deletes_deinit(struct range_deletes *deletes) {
    const struct allocator *a = deletes->allocator;
    mem_put(a, deletes->added, deletes->added_capacity * sizeof *deletes->added);
    mem_put(a, deletes->fragments, deletes->fragments_capacity * sizeof *deletes->fragments);
    mem_put(a, deletes->sequences, deletes->sequences_capacity * sizeof *deletes->sequences);
    arena_deinit(&deletes->arena);
    range_deletes_init(deletes, a);
}

/* Room for one more element in an array that doubles. */
static lore_status grow(const struct allocator *allocator, void **array, size_t element_bytes,
                        size_t count, size_t *capacity) {
    if (count < *capacity) return LORE_OK;
    size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    size_t bytes;
    if (!size_mul(wanted, element_bytes, &bytes))
        return fail(LORE_NO_MEMORY, "no memory for %zu range deletes", wanted);
    TRY(mem_resize(allocator, array, *capacity * element_bytes, bytes));
    *capacity = wanted;
    return LORE_OK;
}

lore_status range_deletes_add(struct range_deletes *deletes, lore_slice begin, lore_slice end,
                              uint64_t sequence) {
    assert(deletes->fragments == NULL);
    if (slice_compare(begin, end) >= 0) return LORE_OK;
    void *array = deletes->added;
    TRY(grow(deletes->allocator, &array, sizeof *deletes->added, deletes->added_count,
             &deletes->added_capacity));
    deletes->added = array;
    void *memory;
    TRY(arena_get(&deletes->arena, begin.size + end.size, 1, &memory));
    uint8_t *bytes = memory;
    if (begin.size > 0) memcpy(bytes, begin.data, begin.size);
    memcpy(bytes + begin.size, end.data, end.size);
    deletes->added[deletes->added_count++] = (struct added_range){
        slice(bytes, begin.size), slice(bytes + begin.size, end.size), sequence};
    return LORE_OK;
}

/* ---- sorting: in place, no worse than n log n ---- */

static int compare_begins(const void *a, const void *b) {
    return slice_compare(((const struct added_range *)a)->begin,
                         ((const struct added_range *)b)->begin);
}

static int compare_slices(const void *a, const void *b) {
    return slice_compare(*(const lore_slice *)a, *(const lore_slice *)b);
}

/* qsort of the C library may allocate; this one does not. */
static void sort(void *array, size_t count, size_t size,
                 int (*compare)(const void *, const void *)) {
    uint8_t *base = array;
    uint8_t moved[sizeof(struct added_range)];
    assert(size <= sizeof moved);
    for (size_t end = count, start = count / 2; end > 1;) {
        if (start > 0) {
            start--;
        } else {
            end--;
            memcpy(moved, base + end * size, size);
            memcpy(base + end * size, base, size);
            memcpy(base, moved, size);
        }
        size_t parent = start;
        for (size_t child; (child = 2 * parent + 1) < end; parent = child) {
            if (child + 1 < end && compare(base + child * size, base + (child + 1) * size) < 0)
                child++;
            if (compare(base + parent * size, base + child * size) >= 0) break;
            memcpy(moved, base + parent * size, size);
            memcpy(base + parent * size, base + child * size, size);
            memcpy(base + child * size, moved, size);
        }
    }
}

/* ---- the sweep ---- */

static void heap_push(struct begun_ranges *begun, const struct added_range *range) {
    size_t at = begun->count++;
    while (at > 0 && begun->heap[(at - 1) / 2]->sequence < range->sequence) {
        begun->heap[at] = begun->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    begun->heap[at] = range;
}

static void heap_pop(struct begun_ranges *begun) {
    const struct added_range *last = begun->heap[--begun->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < begun->count; at = child) {
        if (child + 1 < begun->count &&
            begun->heap[child + 1]->sequence > begun->heap[child]->sequence)
            child++;
        if (last->sequence >= begun->heap[child]->sequence) break;
        begun->heap[at] = begun->heap[child];
    }
    if (begun->count > 0) begun->heap[at] = last;
}

/* Which interval a sequence lies in: how many pins are at or above it. 0 is above the highest pin.
 */
static size_t interval_of(uint64_t sequence, const uint64_t *pins, size_t pins_count) {
    size_t low = 0, high = pins_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pins[middle] < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return pins_count - low;
}

static lore_status sweep_init(struct sweep *sweep, struct range_deletes *deletes,
                              const uint64_t *pins, size_t pins_count) {
    const struct allocator *a = deletes->allocator;
    void *memory;
    sweep->intervals_count = pins_count + 1;
    TRY(mem_new(a, sweep->intervals_count * sizeof *sweep->intervals, &memory));
    sweep->intervals = memory;
    TRY(mem_get(a, deletes->added_count * sizeof *sweep->slots, &memory));
    sweep->slots = memory;
    TRY(mem_get(a, 2 * deletes->added_count * sizeof *sweep->bounds, &memory));
    sweep->bounds = memory;

    for (size_t i = 0; i < deletes->added_count; i++) {
        const struct added_range *range = &deletes->added[i];
        sweep->intervals[interval_of(range->sequence, pins, pins_count)].count++;
        sweep->bounds[2 * i] = range->begin;
        sweep->bounds[2 * i + 1] = range->end;
    }
    const struct added_range **slots = sweep->slots;
    for (size_t i = 0; i < sweep->intervals_count; i++) {
        sweep->intervals[i].heap = slots;
        slots += sweep->intervals[i].count;
        sweep->intervals[i].count = 0;
    }
    size_t all = 2 * deletes->added_count;
    sort(sweep->bounds, all, sizeof *sweep->bounds, compare_slices);
    for (size_t i = 0; i < all; i++) {
        if (i == 0 || slice_compare(sweep->bounds[i], sweep->bounds[i - 1]) != 0)
            sweep->bounds[sweep->bounds_count++] = sweep->bounds[i];
    }
    return LORE_OK;
}

static void sweep_deinit(struct sweep *sweep, const struct range_deletes *deletes) {
    const struct allocator *a = deletes->allocator;
    mem_put(a, sweep->intervals, sweep->intervals_count * sizeof *sweep->intervals);
    mem_put(a, sweep->slots, deletes->added_count * sizeof *sweep->slots);
    mem_put(a, sweep->bounds, 2 * deletes->added_count * sizeof *sweep->bounds);
}

/* Append the fragment [begin, end) with what is open at begin; nothing open, nothing appended. */
static lore_status emit(struct sweep *sweep, struct range_deletes *deletes, lore_slice begin,
                        lore_slice end) {
    size_t first = deletes->sequences_count;
    for (size_t i = 0; i < sweep->intervals_count; i++) {
        struct begun_ranges *begun = &sweep->intervals[i];
        while (begun->count > 0 && slice_compare(begun->heap[0]->end, begin) <= 0)
            heap_pop(begun);
        if (begun->count == 0) continue;
        void *array = deletes->sequences;
        TRY(grow(deletes->allocator, &array, sizeof *deletes->sequences, deletes->sequences_count,
                 &deletes->sequences_capacity));
        deletes->sequences = array;
        deletes->sequences[deletes->sequences_count++] = begun->heap[0]->sequence;
    }
    size_t count = deletes->sequences_count - first;
    if (count == 0) return LORE_OK;
    void *array = deletes->fragments;
    TRY(grow(deletes->allocator, &array, sizeof *deletes->fragments, deletes->count,
             &deletes->fragments_capacity));
    deletes->fragments = array;
    deletes->fragments[deletes->count++] = (struct range_fragment){begin, end, NULL, count};
    return LORE_OK;
}

/* Neighbours with the same sequences are one fragment. The sequences' array has its final place
 * now. */
static void join_fragments(struct range_deletes *deletes) {
    const uint64_t *at = deletes->sequences;
    size_t kept = 0;
    for (size_t i = 0; i < deletes->count; i++) {
        struct range_fragment fragment = deletes->fragments[i];
        fragment.sequences = at;
        at += fragment.count;
        struct range_fragment *last = kept == 0 ? NULL : &deletes->fragments[kept - 1];
        if (last != NULL && last->count == fragment.count &&
            slice_equal(last->end, fragment.begin) &&
            memcmp(last->sequences, fragment.sequences, fragment.count * sizeof *at) == 0)
            last->end = fragment.end;
        else
            deletes->fragments[kept++] = fragment;
    }
    deletes->count = kept;
}

lore_status range_deletes_build(struct range_deletes *deletes, const uint64_t *pins,
                                size_t pins_count) {
    assert(deletes->fragments == NULL);
    if (deletes->added_count == 0) return LORE_OK;
    sort(deletes->added, deletes->added_count, sizeof *deletes->added, compare_begins);
    struct sweep sweep = {0};
    lore_status status;
    TRY_OR(sweep_init(&sweep, deletes, pins, pins_count), status, done);
    size_t next = 0;
    for (size_t i = 0; i + 1 < sweep.bounds_count; i++) {
        for (; next < deletes->added_count; next++) {
            const struct added_range *range = &deletes->added[next];
            if (slice_compare(range->begin, sweep.bounds[i]) > 0) break;
            heap_push(&sweep.intervals[interval_of(range->sequence, pins, pins_count)], range);
        }
        TRY_OR(emit(&sweep, deletes, sweep.bounds[i], sweep.bounds[i + 1]), status, done);
    }
    join_fragments(deletes);
done:
    sweep_deinit(&sweep, deletes);
    return status;
}

/* ---- asking ---- */

size_t range_deletes_find(const struct range_deletes *deletes, lore_slice key) {
    size_t low = 0, high = deletes->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(deletes->fragments[middle].end, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t range_deletes_covering(const struct range_deletes *deletes, lore_slice key,
                                uint64_t sequence) {
    if (deletes->count == 0) return 0;
    size_t at = range_deletes_find(deletes, key);
    if (at == deletes->count || slice_compare(key, deletes->fragments[at].begin) < 0) return 0;
    const struct range_fragment *fragment = &deletes->fragments[at];
    for (size_t i = 0; i < fragment->count; i++) {
        if (fragment->sequences[i] <= sequence) return fragment->sequences[i];
    }
    return 0;
}
