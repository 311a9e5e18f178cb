/*
 * results.c - see results.h.
 */
#include "query/results.h"

#include <assert.h>
#include <inttypes.h>

#include "base/poison.h"

#define CAPACITY_FIRST 16u

struct result {
    lore_record *record;
    float distance;
};

struct lore_results {
    lore_store *store;
    const struct allocator *allocator;
    struct result *list; /* capacity of them */
    size_t count, capacity;
};

lore_status results_create(const struct query_run *run, lore_results **results) {
    void *memory;
    TRY(mem_new(run->allocator, sizeof(lore_results), &memory));
    lore_results *made = memory;
    made->store = run->store;
    made->allocator = run->allocator;
    store_object_opened(run->store);
    *results = made;
    return LORE_OK;
}

void lore_results_destroy(lore_results *results) {
    if (results == NULL) return;
    for (size_t i = 0; i < results->count; i++)
        lore_record_destroy(results->list[i].record);
    mem_put(results->allocator, results->list, results->capacity * sizeof *results->list);
    lore_store *store = results->store;
    mem_put(results->allocator, results, sizeof *results);
    store_object_closed(store);
}

lore_status results_no_room(const lore_results *results) {
    return fail(LORE_NO_MEMORY,
                "memory_budget does not hold the result after %zu memories; ask with a limit, and "
                "with an offset for the next",
                results->count);
}

static lore_status make_room(lore_results *results) {
    if (results->count < results->capacity) return LORE_OK;
    size_t capacity = results->capacity == 0 ? CAPACITY_FIRST : results->capacity * 2;
    size_t bytes;
    void *list = results->list;
    if (!size_mul(capacity, sizeof *results->list, &bytes)) return results_no_room(results);
    lore_status status =
        mem_resize(results->allocator, &list, results->capacity * sizeof *results->list, bytes);
    if (status != LORE_OK) return results_no_room(results);
    results->list = list;
    results->capacity = capacity;
    return LORE_OK;
}

lore_status results_add(lore_results *results, lore_record *record, float distance) {
    lore_status status = make_room(results);
    if (status != LORE_OK) {
        lore_record_destroy(record);
        return status;
    }
    results->list[results->count++] = (struct result){record, distance};
    return LORE_OK;
}

lore_status results_load(lore_results *results, struct query_run *run, uint64_t row, float distance,
                         unsigned flags) {
    lore_record *record;
    lore_status status =
        memory_read_row(run->store, &run->reading, row, flags & LORE_READ_EMBEDDINGS, &record);
    if (status == LORE_NO_MEMORY) return results_no_room(results);
    if (status == LORE_NOT_FOUND)
        return fail(LORE_CORRUPTION, "row %" PRIu64 " is gone within one read", row);
    TRY(status);
    return results_add(results, record, distance);
}

void results_reverse(lore_results *results) {
    for (size_t i = 0; i < results->count / 2; i++) {
        struct result *a = &results->list[i], *b = &results->list[results->count - 1 - i];
        struct result kept = *a;
        *a = *b;
        *b = kept;
    }
}

void results_note_access(const lore_results *results, const struct query_run *run, unsigned flags) {
    if ((flags & LORE_READ_NO_ACCESS) != 0) return;
    for (size_t i = 0; i < results->count; i++)
        memory_note_access(run->store, lore_record_memory(results->list[i].record)->id,
                           run->now_us);
}

size_t lore_results_count(const lore_results *results) {
    return results->count;
}

lore_hit lore_results_hit(const lore_results *results, size_t index) {
    assert(index < results->count);
    const struct result *result = &results->list[index];
    return (lore_hit){lore_record_memory(result->record), lore_record_row(result->record),
                      result->distance};
}
