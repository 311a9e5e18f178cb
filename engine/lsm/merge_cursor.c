/*
 * merge_cursor.c - a binary heap over sources. After a step only the top has moved, and as a rule
 * it stays on top: one or two comparisons a step.
 */
#include "lsm/merge_cursor.h"

#include <assert.h>

#include "base/poison.h"

void merge_cursor_init(struct merge_cursor *cursor, const struct allocator *allocator) {
    *cursor = (struct merge_cursor){.allocator = allocator};
}

void merge_cursor_deinit(struct merge_cursor *cursor) {
    for (size_t i = 0; i < cursor->count; i++)
        source_deinit(&cursor->sources[i]);
    mem_put(cursor->allocator, cursor->sources, cursor->capacity * sizeof *cursor->sources);
    mem_put(cursor->allocator, cursor->heap, cursor->capacity * sizeof(struct source *));
    merge_cursor_init(cursor, cursor->allocator);
}

lore_status merge_cursor_reserve(struct merge_cursor *cursor, size_t sources) {
    assert(cursor->count == 0 && cursor->capacity == 0);
    void *memory;
    TRY(mem_get(cursor->allocator, sources * sizeof *cursor->sources, &memory));
    void *heap;
    lore_status status = mem_get(cursor->allocator, sources * sizeof(struct source *), &heap);
    if (status != LORE_OK) {
        mem_put(cursor->allocator, memory, sources * sizeof *cursor->sources);
        return status;
    }
    cursor->sources = memory;
    cursor->heap = heap;
    cursor->capacity = sources;
    return LORE_OK;
}

void merge_cursor_add_memtable(struct merge_cursor *cursor, const struct memtable *memtable) {
    assert(cursor->count < cursor->capacity);
    source_init_memtable(&cursor->sources[cursor->count++], memtable);
}

void merge_cursor_add_run(struct merge_cursor *cursor, const struct run *run,
                          const struct source_mode *mode) {
    assert(cursor->count < cursor->capacity);
    source_init_run(&cursor->sources[cursor->count++], run, mode);
}

/* Among equal keys: a broken range's start, entries, a broken range's end. */
static int rank(const struct source *source) {
    if (source->at == SOURCE_ENTRY) return 1;
    return source->after ? 2 : 0;
}

static int compare_keys(const struct source *a, const struct source *b) {
    if (a->head[0] != b->head[0]) return a->head[0] < b->head[0] ? -1 : 1;
    if (a->head[1] != b->head[1]) return a->head[1] < b->head[1] ? -1 : 1;
    size_t a_size = a->entry.key.size, b_size = b->entry.key.size;
    size_t shared = a_size < b_size ? a_size : b_size;
    if (shared > 16) {
        int order = memcmp((const uint8_t *)a->entry.key.data + 16,
                           (const uint8_t *)b->entry.key.data + 16, shared - 16);
        if (order != 0) return order;
    }
    return a_size < b_size ? -1 : a_size > b_size;
}

/* Whether a comes before b in forward order. Newer sources were added first and so lie lower in
 * memory. */
static bool is_before(const struct source *a, const struct source *b) {
    int order = compare_keys(a, b);
    if (order != 0) return order < 0;
    int a_rank = rank(a), b_rank = rank(b);
    if (a_rank != b_rank) return a_rank < b_rank;
    if (a->entry.sequence != b->entry.sequence) return a->entry.sequence > b->entry.sequence;
    return a < b;
}

static bool goes_first(const struct merge_cursor *cursor, const struct source *a,
                       const struct source *b) {
    return cursor->backward ? is_before(b, a) : is_before(a, b);
}

static void sift_down(struct merge_cursor *cursor, size_t at) {
    struct source *moved = cursor->heap[at];
    for (size_t child; (child = 2 * at + 1) < cursor->heap_count; at = child) {
        if (child + 1 < cursor->heap_count &&
            goes_first(cursor, cursor->heap[child + 1], cursor->heap[child]))
            child++;
        if (!goes_first(cursor, cursor->heap[child], moved)) break;
        cursor->heap[at] = cursor->heap[child];
    }
    cursor->heap[at] = moved;
}

/* After all sources were sought. */
static void gather(struct merge_cursor *cursor, bool backward) {
    cursor->backward = backward;
    cursor->heap_count = 0;
    for (size_t i = 0; i < cursor->count; i++) {
        if (cursor->sources[i].at != SOURCE_END)
            cursor->heap[cursor->heap_count++] = &cursor->sources[i];
    }
    for (size_t i = cursor->heap_count / 2; i-- > 0;)
        sift_down(cursor, i);
}

lore_status merge_cursor_seek(struct merge_cursor *cursor, lore_slice key, uint64_t sequence) {
    cursor->heap_count = 0;
    for (size_t i = 0; i < cursor->count; i++)
        TRY(source_seek(&cursor->sources[i], key, sequence));
    gather(cursor, false);
    return LORE_OK;
}

lore_status merge_cursor_seek_first(struct merge_cursor *cursor) {
    cursor->heap_count = 0;
    for (size_t i = 0; i < cursor->count; i++)
        TRY(source_seek_first(&cursor->sources[i]));
    gather(cursor, false);
    return LORE_OK;
}

lore_status merge_cursor_seek_before(struct merge_cursor *cursor, lore_slice key) {
    cursor->heap_count = 0;
    for (size_t i = 0; i < cursor->count; i++)
        TRY(source_seek_before(&cursor->sources[i], key));
    gather(cursor, true);
    return LORE_OK;
}

lore_status merge_cursor_seek_last(struct merge_cursor *cursor) {
    cursor->heap_count = 0;
    for (size_t i = 0; i < cursor->count; i++)
        TRY(source_seek_last(&cursor->sources[i]));
    gather(cursor, true);
    return LORE_OK;
}

lore_status merge_cursor_step(struct merge_cursor *cursor) {
    assert(cursor->heap_count > 0);
    struct source *top = cursor->heap[0];
    lore_status status = cursor->backward ? source_prev(top) : source_next(top);
    if (status != LORE_OK) {
        cursor->heap_count = 0;
        return status;
    }
    if (top->at == SOURCE_END) cursor->heap[0] = cursor->heap[--cursor->heap_count];
    if (cursor->heap_count > 1) sift_down(cursor, 0);
    return LORE_OK;
}

void merge_cursor_collect_counts(struct merge_cursor *cursor) {
    for (size_t i = 0; i < cursor->count; i++)
        source_collect_counts(&cursor->sources[i]);
}
