/*
 * search.c - lore_search: candidates from the plan's range, in the range's own order where that is
 * the query's (then it stops as soon as it has enough), else through a heap of sort keys. A heap's
 * winners are read once more, for their texts: so memory is bounded by the keys, not by the
 * records.
 */
#include "memory/limits.h"
#include "query/filter.h"
#include "query/match.h"
#include "query/nearest.h"
#include "query/order.h"
#include "query/plan.h"
#include "query/results.h"
#include "vfs/sync.h"

#include "base/poison.h"

/* ---- the query ---- */

void lore_query_init(lore_query *query) {
    memset(query, 0, sizeof *query);
    query->struct_size = sizeof *query;
    query->limit = 10;
}

lore_status query_run_begin(struct query_run *run, lore_store *store,
                            const lore_snapshot *snapshot) {
    TRY(store_check(store, false));
    *run = (struct query_run){.store = store, .allocator = store_query_allocator(store)};
    run->now_us = env_now_us(store_env(store));
    return store_read_begin(store, snapshot, &run->reading);
}

void query_run_end(struct query_run *run) {
    store_count_reads(run->store, &run->count);
    store_read_end(run->store, &run->reading);
}

static lore_status check_vector_query(const lore_query *query) {
    bool by_vector = query->vector.size > 0, by_id = query->vector_of_id.size > 0;
    if (query->space == NULL) {
        if (by_vector || by_id) return fail(LORE_INVALID, "a query vector without a space");
        return LORE_OK;
    }
    if (by_vector == by_id)
        return fail(LORE_INVALID, by_vector ? "a query with both vector and vector_of_id"
                                            : "a query of a space without a vector");
    if (by_id) TRY(memory_check_id(query->vector_of_id));
    if (query->limit == 0) return fail(LORE_INVALID, "a query of a space without a limit");
    if (query->order != LORE_ORDER_DEFAULT)
        return fail(LORE_INVALID, "a query of a space in another order than that of distance");
    return LORE_OK;
}

lore_status query_take(const lore_query *given, lore_query *query) {
    lore_query_init(query);
    if (given == NULL) return LORE_OK;
    if (given->struct_size < sizeof *query)
        return fail(LORE_INVALID, "a query that lore_query_init has not filled");
    *query = *given;
    TRY(filters_check(query->filters, query->filters_count));
    if ((unsigned)query->order > LORE_ORDER_ACCESSED_DESC)
        return fail(LORE_INVALID, "a query in order %d", (int)query->order);
    if (query->substring.size > 0 && query->substring.data == NULL)
        return fail(LORE_INVALID, "a substring of %zu bytes at NULL", query->substring.size);
    return memory_check_flags(query->flags);
}

/* ---- rows in the order that is asked for ---- */

struct search {
    struct query_run *run;
    const lore_query *query;
    struct matcher matcher;
    bool reads_whole; /* the matcher's records are as results need them */
    lore_results *results;
    uint64_t passed; /* matching rows before the offset */
};

static bool is_full(const struct search *search) {
    return search->query->limit > 0 && lore_results_count(search->results) >= search->query->limit;
}

static lore_status take_row(struct search *search, const struct row_cursor *cursor, uint64_t row) {
    lore_record *record;
    lore_status status = matcher_read(&search->matcher, cursor, row, &record);
    if (status == LORE_NO_MEMORY) return results_no_room(search->results);
    if (status != LORE_OK || record == NULL) return status;
    if (search->passed < search->query->offset) {
        search->passed++;
        lore_record_destroy(record);
        return LORE_OK;
    }
    if (search->reads_whole) return results_add(search->results, record, 0);
    lore_record_destroy(record);
    return results_load(search->results, search->run, row, 0, search->query->flags);
}

static lore_status take_in_order(struct search *search, const struct row_source *source,
                                 bool backward) {
    struct row_cursor cursor;
    TRY(row_cursor_open(&cursor, search->run, source, backward));
    lore_status status = LORE_OK;
    while (status == LORE_OK && !is_full(search)) {
        uint64_t row;
        bool found;
        status = row_cursor_next(&cursor, &row, &found);
        if (status != LORE_OK || !found) break;
        status = take_row(search, &cursor, row);
    }
    row_cursor_close(&cursor);
    return status;
}

/* ---- rows in any other order ---- */

static lore_status offer_row(struct search *search, const struct row_cursor *cursor, uint64_t row,
                             struct order_heap *heap) {
    lore_order order = search->query->order;
    struct order_key key = order_key_of_row(row);
    if (order == LORE_ORDER_DEFAULT && !order_heap_admits(heap, &key)) return LORE_OK;
    lore_record *record;
    TRY(matcher_read(&search->matcher, cursor, row, &record));
    if (record == NULL) return LORE_OK;
    key = order_key_of(order, lore_record_memory(record), row);
    lore_record_destroy(record);
    return order_heap_offer(heap, key);
}

static lore_status offer_rows(struct search *search, const struct row_source *source,
                              struct order_heap *heap) {
    struct row_cursor cursor;
    TRY(row_cursor_open(&cursor, search->run, source, false));
    lore_status status = LORE_OK;
    while (status == LORE_OK) {
        uint64_t row;
        bool found;
        status = row_cursor_next(&cursor, &row, &found);
        if (status != LORE_OK || !found) break;
        status = offer_row(search, &cursor, row, heap);
    }
    row_cursor_close(&cursor);
    return status;
}

static lore_status take_sorted(struct search *search, const struct row_source *source) {
    const lore_query *query = search->query;
    size_t limit = 0;
    if (query->limit > 0)
        limit = query->limit > SIZE_MAX - query->offset ? SIZE_MAX : query->limit + query->offset;
    struct order_heap heap;
    order_heap_init(&heap, search->run->allocator, limit);
    lore_status status = offer_rows(search, source, &heap);
    if (status == LORE_OK) order_heap_sort(&heap);
    for (size_t i = query->offset; i < heap.count && status == LORE_OK; i++)
        status = results_load(search->results, search->run,
                              order_key_row(query->order, &heap.keys[i]), 0, query->flags);
    order_heap_deinit(&heap);
    return status;
}

/* ---- which of the two ---- */

/* The attribute whose index stands in the query's order; false: none does. */
static bool index_of_order(lore_order order, lore_attribute *attribute) {
    *attribute = order == LORE_ORDER_IMPORTANCE_DESC ? LORE_ATTR_IMPORTANCE : LORE_ATTR_CREATED_AT;
    return order == LORE_ORDER_CREATED || order == LORE_ORDER_CREATED_DESC ||
           order == LORE_ORDER_IMPORTANCE_DESC;
}

static bool wants_creation(const lore_query *query) {
    for (size_t i = 0; i < query->filters_count; i++) {
        const lore_filter *filter = &query->filters[i];
        if (filter->attribute != LORE_ATTR_CREATED_AT || filter->op == LORE_FILTER_NE) continue;
        if (filter->op != LORE_FILTER_EQ || filter->integer != 0) return true;
    }
    return false;
}

/* Along the index of the order, until there is enough. */
static lore_status take_by_order_index(struct search *search, lore_attribute attribute) {
    const lore_query *query = search->query;
    bool backward = order_is_descending(query->order), usable;
    struct row_source source;
    row_source_init(&source, search->run);
    lore_status status =
        row_source_attribute(&source, attribute, query->filters, query->filters_count, &usable);
    if (status == LORE_OK) status = take_in_order(search, &source, backward);
    row_source_deinit(&source);
    if (status != LORE_OK || is_full(search)) return status;
    if (attribute != LORE_ATTR_CREATED_AT || wants_creation(query)) return LORE_OK;
    /* Memories without a creation time are not in its index and come last. */
    search->matcher.lacks_creation = true;
    row_source_init(&source, search->run);
    status = row_source_all(&source);
    if (status == LORE_OK) status = take_in_order(search, &source, backward);
    row_source_deinit(&source);
    return status;
}

static lore_status take_planned(struct search *search, const struct plan *plan) {
    const lore_query *query = search->query;
    lore_attribute attribute;
    if (query->order == LORE_ORDER_DEFAULT && plan->source.one_value) {
        /* Where most candidates match, each is read whole, once. */
        search->reads_whole = plan_covers(plan, query->filters_count) && query->substring.size == 0;
        if (search->reads_whole) search->matcher.read_flags = query->flags & LORE_READ_EMBEDDINGS;
        return take_in_order(search, &plan->source, false);
    }
    bool many = !plan->by_index || !plan->counted;
    if (many && query->limit > 0 && index_of_order(query->order, &attribute))
        return take_by_order_index(search, attribute);
    return take_sorted(search, &plan->source);
}

static lore_status take_nearest(struct search *search) {
    struct nearest_rows rows;
    lore_status status = nearest_find(search->run, search->query, &rows);
    for (size_t i = search->query->offset; status == LORE_OK && i < rows.count; i++)
        status = results_load(search->results, search->run, rows.entries[i].row,
                              rows.entries[i].distance, search->query->flags);
    nearest_rows_deinit(&rows);
    return status;
}

static lore_status take(struct search *search) {
    const lore_query *query = search->query;
    if (query->space != NULL) return take_nearest(search);
    struct plan plan;
    TRY(plan_make(search->run, query->filters, query->filters_count, PLAN_COUNT_CAP, &plan));
    lore_status status = take_planned(search, &plan);
    plan_deinit(&plan);
    return status;
}

lore_status lore_search(lore_store *store, const lore_snapshot *snapshot, const lore_query *given,
                        lore_results **results) {
    lore_query query;
    struct query_run run;
    *results = NULL;
    TRY(query_take(given, &query));
    TRY(check_vector_query(&query));
    TRY(query_run_begin(&run, store, snapshot));
    struct search search = {.run = &run, .query = &query};
    matcher_init(&search.matcher, &run, &query);
    lore_status status = results_create(&run, &search.results);
    if (status == LORE_OK) status = take(&search);
    if (status == LORE_OK) {
        results_note_access(search.results, &run, query.flags);
        *results = search.results;
    } else {
        lore_results_destroy(search.results);
    }
    query_run_end(&run);
    return status;
}
