/*
 * expired.c - see expired.h. Entries come by time; a heap sort puts them by row, in place.
 */
#include "query/expired.h"

#include "query/row_source.h"

#include "base/poison.h"

#define CAPACITY_FIRST 64u

static lore_status add(struct expired_rows *expired, uint64_t row) {
    if (expired->count == expired->capacity) {
        size_t capacity = expired->capacity == 0 ? CAPACITY_FIRST : expired->capacity * 2, bytes;
        void *rows = expired->rows;
        if (!size_mul(capacity, sizeof row, &bytes) ||
            mem_resize(expired->allocator, &rows, expired->capacity * sizeof row, bytes) != LORE_OK)
            return fail(LORE_NO_MEMORY, "memory_budget does not hold the list of %zu expired rows",
                        expired->count);
        expired->rows = rows;
        expired->capacity = capacity;
    }
    expired->rows[expired->count++] = row;
    return LORE_OK;
}

static void sink(uint64_t *rows, size_t count, size_t at) {
    uint64_t row = rows[at];
    while (at < count / 2) {
        size_t child = 2 * at + 1;
        if (child + 1 < count && rows[child] < rows[child + 1]) child++;
        if (row >= rows[child]) break;
        rows[at] = rows[child];
        at = child;
    }
    rows[at] = row;
}

static void sort(uint64_t *rows, size_t count) {
    for (size_t at = count / 2; at-- > 0;)
        sink(rows, count, at);
    for (size_t end = count; end > 1; end--) {
        uint64_t largest = rows[0];
        rows[0] = rows[end - 1];
        rows[end - 1] = largest;
        sink(rows, end - 1, 0);
    }
}

static lore_status add_all(struct expired_rows *expired, struct query_run *run,
                           const struct row_source *source) {
    struct row_cursor cursor;
    TRY(row_cursor_open(&cursor, run, source, false));
    lore_status status = LORE_OK;
    while (status == LORE_OK) {
        uint64_t row;
        bool found;
        status = row_cursor_next(&cursor, &row, &found);
        if (status != LORE_OK || !found) break;
        status = add(expired, row);
    }
    row_cursor_close(&cursor);
    return status;
}

lore_status expired_rows_init(struct expired_rows *expired, struct query_run *run) {
    expired_rows_init_empty(expired, run);
    lore_filter past = {
        .attribute = LORE_ATTR_EXPIRES_AT, .op = LORE_FILTER_LE, .integer = run->now_us};
    struct row_source source;
    bool usable;
    row_source_init(&source, run);
    lore_status status = row_source_attribute(&source, LORE_ATTR_EXPIRES_AT, &past, 1, &usable);
    if (status == LORE_OK) status = add_all(expired, run, &source);
    row_source_deinit(&source);
    if (status != LORE_OK) {
        expired_rows_deinit(expired);
        return status;
    }
    sort(expired->rows, expired->count);
    return LORE_OK;
}

void expired_rows_init_empty(struct expired_rows *expired, const struct query_run *run) {
    *expired = (struct expired_rows){.allocator = run->allocator};
}

void expired_rows_deinit(struct expired_rows *expired) {
    mem_put(expired->allocator, expired->rows, expired->capacity * sizeof *expired->rows);
    expired->rows = NULL;
    expired->count = expired->capacity = 0;
}

bool expired_rows_has(const struct expired_rows *expired, uint64_t row) {
    size_t low = 0, high = expired->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (expired->rows[middle] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low < expired->count && expired->rows[low] == row;
}
