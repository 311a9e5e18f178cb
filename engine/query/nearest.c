/*
 * nearest.c - see nearest.h.
 */
#include "query/nearest.h"

#include <inttypes.h>

#include "query/match.h"
#include "query/plan.h"
#include "vector/distance.h"
#include "vector/f16.h"

#include "base/poison.h"

/* A scan asks for so many vectors at a time, and for at least one. */
#define SCAN_VECTORS_MAX 256u
#define SCAN_BYTES       16384u

/* Reading one row's vector by its key costs about as much as scanning twenty. */
#define GATHER_SHARE 20u
#define GATHER_MIN   1000u
#define GATHER_MAX   20000u

struct nearest {
    struct query_run *run;
    const lore_query *query;
    struct space space;
    struct matcher matcher;
    bool reads_records; /* candidates have conditions to meet, or may be expired */
    bool leaves_out;    /* the memory whose vector is the query */
    uint64_t left_out_row;

    struct distance_kernels kernels;
    struct distance distance;
    float *scratch; /* the prepared query */
    size_t scratch_bytes;
    struct topk top;

    /* buffers of a scan */
    size_t chunk; /* vectors */
    struct rows_position *positions;
    float *distances;
};

/* Where a candidate was met. */
struct place {
    bool in_rows;
    struct value_ref ref; /* in_rows */
    uint64_t sequence;    /* else: of its entry */
};

/* ---- the query's vector ---- */

static lore_status check_vector(const struct nearest *nearest, lore_slice vector) {
    const struct space *space = &nearest->space;
    if (vector.size != space->stride_bytes || vector.data == NULL)
        return fail(LORE_INVALID, "a query vector of %zu bytes; those of space %s have %" PRIu32,
                    vector.size, nearest->query->space, space->stride_bytes);
    bool finite = true;
    if (space->element == LORE_ELEMENT_F32) finite = f32_all_finite(vector.data, space->dimensions);
    if (space->element == LORE_ELEMENT_F16) finite = f16_all_finite(vector.data, space->dimensions);
    return finite ? LORE_OK : fail(LORE_INVALID, "a query vector with NaN or infinity");
}

static lore_status prepare(struct nearest *nearest, lore_slice vector) {
    const struct space *space = &nearest->space;
    void *scratch;
    TRY(check_vector(nearest, vector));
    nearest->scratch_bytes = distance_query_bytes(space->element, space->dimensions);
    TRY(mem_get(nearest->run->allocator, nearest->scratch_bytes, &scratch));
    nearest->scratch = scratch;
    nearest->kernels = distance_kernels_best();
    distance_prepare(&nearest->distance, &nearest->kernels, space->element, space->metric,
                     space->dimensions, vector.data, nearest->scratch);
    return LORE_OK;
}

/* The row of query->vector_of_id, as far as it may be seen. */
static lore_status find_example(struct nearest *nearest, uint64_t *row) {
    struct query_run *run = nearest->run;
    lore_slice id = nearest->query->vector_of_id;
    uint64_t sequence;
    lore_status status = memory_row_of(run->store, &run->reading, id, row, &sequence);
    if (status == LORE_OK && !nearest->matcher.shows_expired) {
        lore_record *record;
        status = memory_read_row(run->store, &run->reading, *row, MEMORY_NO_TEXT, &record);
        if (status == LORE_OK) {
            if (memory_is_expired(lore_record_memory(record), run->now_us)) status = LORE_NOT_FOUND;
            lore_record_destroy(record);
        }
    }
    if (status == LORE_NOT_FOUND)
        return fail(LORE_NOT_FOUND, "no memory has the id whose vector the query names");
    return status;
}

static lore_status prepare_by_example(struct nearest *nearest) {
    struct query_run *run = nearest->run;
    TRY(find_example(nearest, &nearest->left_out_row));
    nearest->leaves_out = true;
    struct bytes vector = bytes_empty(run->allocator);
    lore_status status = memory_read_vector(run->store, &run->reading, &nearest->space,
                                            nearest->left_out_row, &vector);
    if (status == LORE_NOT_FOUND)
        status =
            fail(LORE_NOT_FOUND, "the memory whose vector the query names has none in space %s",
                 nearest->query->space);
    if (status == LORE_OK) status = prepare(nearest, bytes_slice(&vector));
    bytes_free(&vector);
    return status;
}

/* ---- candidates ---- */

static lore_status matches(struct nearest *nearest, const struct row_cursor *cursor, uint64_t row,
                           bool *accepted) {
    *accepted = true;
    if (!nearest->reads_records) return LORE_OK;
    lore_record *record;
    TRY(matcher_read(&nearest->matcher, cursor, row, &record));
    *accepted = record != NULL;
    lore_record_destroy(record);
    return LORE_OK;
}

static bool would_be_kept(const struct nearest *nearest, float distance, uint64_t row) {
    return topk_admits(&nearest->top, distance, row) &&
           !(nearest->leaves_out && row == nearest->left_out_row);
}

/* Offer a scanned vector. */
static lore_status consider(struct nearest *nearest, float distance, uint64_t row,
                            const struct place *place) {
    if (!would_be_kept(nearest, distance, row)) return LORE_OK;
    struct query_run *run = nearest->run;
    uint8_t key[VECTOR_KEY_BYTES];
    vector_key_encode(nearest->space.number, row, key);
    bool found, in_rows;
    struct value_ref ref;
    uint64_t sequence;
    TRY(lsm_locate_vector(store_tree(run->store), slice(key, sizeof key), run->reading.sequence,
                          &run->count, &found, &in_rows, &ref, &sequence));
    if (!found) return LORE_OK;
    if (place->in_rows) {
        if (!in_rows || ref.logical_id != place->ref.logical_id ||
            ref.ordinal != place->ref.ordinal)
            return LORE_OK;
    } else if (sequence != place->sequence) {
        return LORE_OK; /* by sequence alone: a flush may have moved the entry meanwhile */
    }
    bool accepted;
    TRY(matches(nearest, NULL, row, &accepted));
    if (accepted) topk_offer(&nearest->top, distance, row);
    return LORE_OK;
}

/* ---- scans ---- */

static lore_status wrong_size(const struct nearest *nearest, uint64_t row, size_t size) {
    return fail(LORE_CORRUPTION,
                "row %" PRIu64 ": a vector of %zu bytes in space %s of %" PRIu32 " bytes", row,
                size, nearest->query->space, nearest->space.stride_bytes);
}

/* The visible vectors of the space in one memtable. */
static lore_status scan_memtable(struct nearest *nearest, const struct memtable *memtable) {
    uint8_t first[VECTOR_KEY_BYTES];
    uint64_t visible = nearest->run->reading.sequence;
    vector_key_encode(nearest->space.number, 0, first);
    struct memtable_cursor cursor;
    struct entry entry;
    uint64_t last_row = 0;
    bool any = false;
    memtable_cursor_init(&cursor, memtable);
    memtable_seek(&cursor, slice(first, sizeof first), SEQUENCE_MAX);
    for (; memtable_cursor_entry(&cursor, &entry); memtable_next(&cursor)) {
        uint32_t space;
        uint64_t row;
        if (!vector_key_decode(entry.key, &space, &row) || space != nearest->space.number) break;
        if (entry.sequence > visible || (any && row == last_row)) continue;
        any = true;
        last_row = row; /* the newest visible version; older ones are passed over */
        if (entry.kind != ENTRY_VECTOR) continue;
        if (entry.value.size != nearest->space.stride_bytes)
            return wrong_size(nearest, row, entry.value.size);
        struct place place = {.in_rows = false, .sequence = entry.sequence};
        float distance = distance_one(&nearest->distance, entry.value.data);
        TRY(consider(nearest, distance, row, &place));
    }
    return LORE_OK;
}

static lore_status scan_rows(struct nearest *nearest, struct rows *rows) {
    size_t stride = nearest->space.stride_bytes;
    uint64_t visible = nearest->run->reading.sequence;
    size_t got;
    for (uint64_t at = 0;; at += got) {
        struct rows_pinned pinned;
        TRY(rows_pin(rows, at, nearest->chunk, nearest->positions, &nearest->run->count, &pinned));
        got = pinned.count;
        if (got > 0)
            distance_many(&nearest->distance, pinned.vectors, stride, got, nearest->distances);
        rows_unpin(rows, &pinned);
        if (got == 0) return LORE_OK;
        for (size_t i = 0; i < got; i++) {
            const struct rows_position *position = &nearest->positions[i];
            if (position->sequence > visible) continue;
            struct place place = {.in_rows = true, .ref = position->ref};
            TRY(consider(nearest, nearest->distances[i], position->row, &place));
        }
    }
}

static bool is_of_space(const struct nearest *nearest, const struct value_file *file) {
    return file->summary.kind == SEGMENT_ROWS && file->summary.space == nearest->space.number;
}

static lore_status scan_version(struct nearest *nearest, const struct version *version) {
    for (size_t i = 0; i < version->values_count; i++) {
        struct value_file *file = version->values[i];
        if (!is_of_space(nearest, file)) continue;
        if (file->broken != LORE_OK) return fail(file->broken, "%s", file->why);
        if (rows_stride(file->rows) != nearest->space.stride_bytes)
            return wrong_size(nearest, 0, rows_stride(file->rows));
        TRY(scan_rows(nearest, file->rows));
    }
    return LORE_OK;
}

static lore_status take_buffers(struct nearest *nearest) {
    const struct allocator *allocator = nearest->run->allocator;
    size_t stride = nearest->space.stride_bytes;
    size_t chunk = SCAN_BYTES / stride;
    nearest->chunk = chunk == 0 ? 1 : chunk > SCAN_VECTORS_MAX ? SCAN_VECTORS_MAX : chunk;
    void *memory;
    TRY(mem_get(allocator, nearest->chunk * sizeof *nearest->positions, &memory));
    nearest->positions = memory;
    TRY(mem_get(allocator, nearest->chunk * sizeof *nearest->distances, &memory));
    nearest->distances = memory;
    return LORE_OK;
}

static void give_buffers(struct nearest *nearest) {
    const struct allocator *allocator = nearest->run->allocator;
    mem_put(allocator, nearest->positions, nearest->chunk * sizeof *nearest->positions);
    mem_put(allocator, nearest->distances, nearest->chunk * sizeof *nearest->distances);
}

/* Memtables and version of one view hold each entry once. The view, and so the memtables, only
 * while they are scanned; the version's files for as long as it takes. */
static lore_status scan(struct nearest *nearest, struct lsm_view *view) {
    lore_status status = take_buffers(nearest);
    if (status == LORE_OK) status = scan_memtable(nearest, view->active);
    if (status == LORE_OK && view->frozen != NULL) status = scan_memtable(nearest, view->frozen);
    struct version *version = view->version;
    version_retain(version);
    lsm_view_release(store_tree(nearest->run->store), view);
    if (status == LORE_OK) status = scan_version(nearest, version);
    version_release(version);
    give_buffers(nearest);
    return status;
}

/* ---- gathering ---- */

static lore_status gather_row(struct nearest *nearest, const struct row_cursor *cursor,
                              uint64_t row, struct bytes *vector) {
    struct query_run *run = nearest->run;
    lore_status status =
        memory_read_vector(run->store, &run->reading, &nearest->space, row, vector);
    if (status == LORE_NOT_FOUND) return LORE_OK;
    TRY(status);
    if (vector->size != nearest->space.stride_bytes) return wrong_size(nearest, row, vector->size);
    float distance = distance_one(&nearest->distance, vector->data);
    if (!would_be_kept(nearest, distance, row)) return LORE_OK;
    bool accepted;
    TRY(matches(nearest, cursor, row, &accepted));
    if (accepted) topk_offer(&nearest->top, distance, row);
    return LORE_OK;
}

static lore_status gather(struct nearest *nearest, const struct plan *plan) {
    struct row_cursor cursor;
    TRY(row_cursor_open(&cursor, nearest->run, &plan->source, false));
    struct bytes vector = bytes_empty(nearest->run->allocator);
    lore_status status = LORE_OK;
    while (status == LORE_OK) {
        uint64_t row;
        bool found;
        status = row_cursor_next(&cursor, &row, &found);
        if (status != LORE_OK || !found) break;
        status = gather_row(nearest, &cursor, row, &vector);
    }
    bytes_free(&vector);
    row_cursor_close(&cursor);
    return status;
}

/* ---- the call ---- */

/* At most so many vectors of the space can be visible. */
static uint64_t vectors_bound(const struct nearest *nearest, const struct lsm_view *view) {
    uint64_t bound = memtable_entries(view->active);
    if (view->frozen != NULL) bound += memtable_entries(view->frozen);
    for (size_t i = 0; i < view->version->values_count; i++) {
        const struct value_file *file = view->version->values[i];
        if (is_of_space(nearest, file)) bound += file->summary.entries;
    }
    return bound;
}

static lore_status take_heap(struct nearest *nearest, uint64_t bound, struct nearest_rows *rows) {
    const lore_query *query = nearest->query;
    size_t wanted =
        query->limit > SIZE_MAX - query->offset ? SIZE_MAX : query->limit + query->offset;
    if (wanted > bound) wanted = (size_t)bound;
    size_t bytes;
    void *entries;
    if (!size_mul(wanted, sizeof *rows->entries, &bytes) ||
        mem_get(rows->allocator, bytes, &entries) != LORE_OK)
        return fail(LORE_NO_MEMORY,
                    "memory_budget does not hold the %zu nearest rows; a smaller limit or offset "
                    "does with less",
                    wanted);
    rows->entries = entries;
    rows->capacity = wanted;
    topk_init(&nearest->top, rows->entries, wanted);
    return LORE_OK;
}

static uint64_t gather_cap(uint64_t bound) {
    uint64_t cap = bound / GATHER_SHARE;
    return cap < GATHER_MIN ? GATHER_MIN : cap > GATHER_MAX ? GATHER_MAX : cap;
}

static lore_status find(struct nearest *nearest, struct nearest_rows *rows) {
    const lore_query *query = nearest->query;
    struct query_run *run = nearest->run;
    struct lsm *tree = store_tree(run->store);
    struct lsm_view view;
    lsm_view_acquire(tree, &view);
    uint64_t bound = vectors_bound(nearest, &view);
    lsm_view_release(tree, &view);
    TRY(take_heap(nearest, bound, rows));
    if (query->filters_count > 0) {
        struct plan plan;
        TRY(plan_make(run, query->filters, query->filters_count, gather_cap(bound), &plan));
        bool few = plan.by_index && plan.counted;
        lore_status status = few ? gather(nearest, &plan) : LORE_OK;
        plan_deinit(&plan);
        if (few || status != LORE_OK) return status;
    }
    lsm_view_acquire(tree, &view);
    return scan(nearest, &view);
}

lore_status nearest_find(struct query_run *run, const lore_query *query,
                         struct nearest_rows *rows) {
    *rows = (struct nearest_rows){.allocator = run->allocator};
    struct nearest nearest = {.run = run, .query = query};
    matcher_init(&nearest.matcher, run, query);
    nearest.reads_records =
        !nearest.matcher.shows_expired || query->filters_count > 0 || query->substring.size > 0;
    TRY(store_space_by_name(run->store, lore_slice_of(query->space), &nearest.space));
    lore_status status = query->vector_of_id.size > 0 ? prepare_by_example(&nearest)
                                                      : prepare(&nearest, query->vector);
    if (status == LORE_OK) status = find(&nearest, rows);
    mem_put(run->allocator, nearest.scratch, nearest.scratch_bytes);
    if (status != LORE_OK) return status;
    topk_sort(&nearest.top);
    rows->count = nearest.top.count;
    return LORE_OK;
}

void nearest_rows_deinit(struct nearest_rows *rows) {
    mem_put(rows->allocator, rows->entries, rows->capacity * sizeof *rows->entries);
    *rows = (struct nearest_rows){.allocator = rows->allocator};
}
