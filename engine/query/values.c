/*
 * values.c - lore_values and lore_count. Where the index alone can answer, no record is read: its
 * entries are counted, but for those of rows that are past their time.
 */
#include "query/expired.h"
#include "query/match.h"
#include "query/plan.h"

#include "base/poison.h"

/* ---- count ---- */

static lore_status count_entries(struct query_run *run, const struct row_source *source,
                                 bool shows_expired, uint64_t *count) {
    struct expired_rows expired;
    expired_rows_init_empty(&expired, run);
    if (!shows_expired) TRY(expired_rows_init(&expired, run));
    struct row_cursor cursor;
    lore_status status = row_cursor_open(&cursor, run, source, false);
    while (status == LORE_OK) {
        uint64_t row;
        bool found;
        status = row_cursor_next(&cursor, &row, &found);
        if (status != LORE_OK || !found) break;
        if (!expired_rows_has(&expired, row)) ++*count;
    }
    row_cursor_close(&cursor);
    expired_rows_deinit(&expired);
    return status;
}

static lore_status count_matches(struct query_run *run, const struct row_source *source,
                                 const struct matcher *matcher, uint64_t *count) {
    struct row_cursor cursor;
    TRY(row_cursor_open(&cursor, run, source, false));
    lore_status status = LORE_OK;
    while (status == LORE_OK) {
        uint64_t row;
        bool found;
        status = row_cursor_next(&cursor, &row, &found);
        if (status != LORE_OK || !found) break;
        lore_record *record;
        status = matcher_read(matcher, &cursor, row, &record);
        if (status != LORE_OK || record == NULL) continue;
        lore_record_destroy(record);
        ++*count;
    }
    row_cursor_close(&cursor);
    return status;
}

static lore_status count_all(struct query_run *run, bool shows_expired, uint64_t *count) {
    struct row_source source;
    row_source_init(&source, run);
    lore_status status = row_source_ids(&source);
    if (status == LORE_OK) status = count_entries(run, &source, shows_expired, count);
    row_source_deinit(&source);
    return status;
}

static lore_status count_query(struct query_run *run, const lore_query *query, uint64_t *count) {
    struct matcher matcher;
    matcher_init(&matcher, run, query);
    bool has_substring = query->substring.size > 0;
    if (query->filters_count == 0 && !has_substring)
        return count_all(run, matcher.shows_expired, count);
    struct plan plan;
    TRY(plan_make(run, query->filters, query->filters_count, PLAN_COUNT_CAP, &plan));
    bool by_entries = plan.by_index && !has_substring && !plan.source.repeats &&
                      plan_covers(&plan, query->filters_count);
    lore_status status = by_entries ? count_entries(run, &plan.source, matcher.shows_expired, count)
                                    : count_matches(run, &plan.source, &matcher, count);
    plan_deinit(&plan);
    return status;
}

lore_status lore_count(lore_store *store, const lore_snapshot *snapshot, const lore_query *given,
                       uint64_t *count) {
    lore_query query;
    struct query_run run;
    *count = 0;
    TRY(query_take(given, &query));
    TRY(query_run_begin(&run, store, snapshot));
    uint64_t counted = 0;
    lore_status status = count_query(&run, &query, &counted);
    if (status == LORE_OK) *count = counted;
    query_run_end(&run);
    return status;
}

/* ---- values ---- */

struct tally {
    struct bytes value; /* the one being counted */
    struct bytes next;  /* of the entry at hand */
    uint64_t count;     /* 0: none yet */
    lore_value_fn callback;
    void *context;
    bool stopped;
};

static void tell(struct tally *tally) {
    if (tally->count > 0 && !tally->stopped)
        tally->stopped = !tally->callback(tally->context, bytes_slice(&tally->value), tally->count);
    tally->count = 0;
}

static lore_status tally_entry(struct tally *tally, lore_slice whole_key) {
    struct reader key = reader_over(whole_key);
    read_bytes(&key, KEYSPACE_BYTES + 1);
    bytes_clear(&tally->next);
    TRY(read_text(&key, &tally->next));
    if (tally->count == 0 || !slice_equal(bytes_slice(&tally->next), bytes_slice(&tally->value))) {
        tell(tally);
        TRY(bytes_set(&tally->value, bytes_slice(&tally->next)));
    }
    tally->count++;
    return LORE_OK;
}

static lore_status tally_rows(struct query_run *run, const struct row_source *source,
                              struct tally *tally) {
    struct expired_rows expired;
    TRY(expired_rows_init(&expired, run));
    struct row_cursor cursor;
    lore_status status = row_cursor_open(&cursor, run, source, false);
    while (status == LORE_OK && !tally->stopped) {
        uint64_t row;
        bool found;
        status = row_cursor_next(&cursor, &row, &found);
        if (status != LORE_OK || !found) break;
        if (expired_rows_has(&expired, row)) continue;
        status = tally_entry(tally, lsm_iterator_key(cursor.iterator));
    }
    row_cursor_close(&cursor);
    expired_rows_deinit(&expired);
    if (status == LORE_OK) tell(tally);
    return status;
}

static bool has_values(lore_attribute attribute) {
    switch ((int)attribute) {
    case LORE_ATTR_KIND:
    case LORE_ATTR_LAYER:
    case LORE_ATTR_TIER:
    case LORE_ATTR_STATUS:
    case LORE_ATTR_USER:
    case LORE_ATTR_AGENT:
    case LORE_ATTR_SESSION:
    case LORE_ATTR_ROLE:
    case LORE_ATTR_TAGS: return true;
    default: return false;
    }
}

lore_status lore_values(lore_store *store, const lore_snapshot *snapshot, lore_attribute attribute,
                        lore_value_fn callback, void *context) {
    struct query_run run;
    if (!has_values(attribute))
        return fail(LORE_INVALID, "no list of values of attribute %d", (int)attribute);
    if (callback == NULL) return fail(LORE_INVALID, "a list of values for nobody");
    TRY(query_run_begin(&run, store, snapshot));
    struct tally tally = {.value = bytes_empty(run.allocator),
                          .next = bytes_empty(run.allocator),
                          .callback = callback,
                          .context = context};
    struct row_source source;
    row_source_init(&source, &run);
    lore_status status = row_source_values(&source, attribute);
    if (status == LORE_OK) status = tally_rows(&run, &source, &tally);
    row_source_deinit(&source);
    bytes_free(&tally.value);
    bytes_free(&tally.next);
    query_run_end(&run);
    return status;
}
