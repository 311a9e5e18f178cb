/*
 * query_test.c - conditions, orders, counts and values against the same done the plain way over all
 * records; blocks read; memory that fails.
 */
#include <math.h>

#include "query/contains.h"
#include "query/filter.h"
#include "query/query_testing.h"

#define IDS 150u

/* ---- checks ---- */

static void bad_queries_are_refused(void **state) {
    (void)state;
    lore_query query;
    lore_results *results;
    uint64_t count;
    lore_filter filter = {.attribute = LORE_ATTR_TEXT};
    lore_query_init(&query);
    query.filters = &filter;
    query.filters_count = 1;
    static const struct {
        lore_attribute attribute;
        int op;
    } bad[] = {
        {LORE_ATTR_TEXT, LORE_FILTER_EQ},           {LORE_ATTR_METADATA, LORE_FILTER_EQ},
        {LORE_ATTR_COUNT, LORE_FILTER_EQ},          {LORE_ATTR_TAGS, LORE_FILTER_LT},
        {LORE_ATTR_TAGS, LORE_FILTER_GE},           {LORE_ATTR_POSITION, LORE_FILTER_PREFIX},
        {LORE_ATTR_IMPORTANCE, LORE_FILTER_PREFIX}, {LORE_ATTR_KIND, LORE_FILTER_PREFIX + 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        filter.attribute = bad[i].attribute;
        filter.op = (lore_filter_op)bad[i].op;
        assert_status(lore_search(test_store, NULL, &query, &results), LORE_INVALID);
        assert_null(results);
        assert_status(lore_count(test_store, NULL, &query, &count), LORE_INVALID);
    }
    filter = (lore_filter){.attribute = LORE_ATTR_IMPORTANCE, .number = (double)NAN};
    assert_status(lore_search(test_store, NULL, &query, &results), LORE_INVALID);
    static const char text[MEMORY_ATTRIBUTE_BYTES_MAX + 1];
    filter = (lore_filter){.attribute = LORE_ATTR_KIND, .text = {text, sizeof text}};
    assert_status(lore_search(test_store, NULL, &query, &results), LORE_INVALID);
    filter.text.size--;
    assert_ok(lore_search(test_store, NULL, &query, &results));
    assert_int_equal(lore_results_count(results), 0);
    lore_results_destroy(results);

    lore_filter many[QUERY_FILTERS_MAX + 1] = {{.attribute = LORE_ATTR_KIND}};
    for (size_t i = 0; i <= QUERY_FILTERS_MAX; i++)
        many[i].attribute = LORE_ATTR_KIND;
    query.filters = many;
    query.filters_count = QUERY_FILTERS_MAX + 1;
    assert_status(lore_count(test_store, NULL, &query, &count), LORE_INVALID);
    query.filters_count = QUERY_FILTERS_MAX;
    assert_ok(lore_count(test_store, NULL, &query, &count));

    lore_query_init(&query);
    query.order = (lore_order)(LORE_ORDER_ACCESSED_DESC + 1);
    assert_status(lore_search(test_store, NULL, &query, &results), LORE_INVALID);
    lore_query_init(&query);
    query.flags = 64;
    assert_status(lore_search(test_store, NULL, &query, &results), LORE_INVALID);
    lore_query_init(&query);
    query.struct_size = 0;
    assert_status(lore_search(test_store, NULL, &query, &results), LORE_INVALID);
    assert_status(lore_values(test_store, NULL, LORE_ATTR_CREATED_AT, NULL, NULL), LORE_INVALID);
    assert_status(lore_values(test_store, NULL, LORE_ATTR_ID, NULL, NULL), LORE_INVALID);
    assert_status(lore_values(test_store, NULL, LORE_ATTR_KIND, NULL, NULL), LORE_INVALID);
}

static void bytes_are_found_in_texts(void **state) {
    (void)state;
    lore_slice text = {"a\0B aab Z[", 10};
    assert_true(text_contains(text, slice("", 0), false));
    assert_true(text_contains(slice(NULL, 0), slice(NULL, 0), true));
    assert_false(text_contains(slice(NULL, 0), slice("a", 1), true));
    assert_true(text_contains(text, slice("aab", 3), false));
    assert_true(text_contains(text, slice("a\0B", 3), false));
    assert_false(text_contains(text, slice("a\0b", 3), false));
    assert_true(text_contains(text, slice("A\0b", 3), true));
    assert_true(text_contains(text, slice("Z[", 2), false));
    assert_true(text_contains(text, slice("z[", 2), true));
    assert_false(text_contains(text, slice("z{", 2), true)); /* no letters: 0x20 apart */
    assert_true(text_contains(text, text, false));
    assert_false(text_contains(slice(text.data, 9), text, false));
    uint64_t random = test_seed();
    for (int round = 0; round < 3000; round++) {
        char bytes[12], needle[4];
        size_t size = below(&random, 13), wanted = 1 + below(&random, 4);
        for (size_t i = 0; i < size; i++)
            bytes[i] = "abAB"[below(&random, 4)];
        for (size_t i = 0; i < wanted; i++)
            needle[i] = "abAB"[below(&random, 4)];
        for (int ignore = 0; ignore < 2; ignore++)
            assert_int_equal(text_contains(slice(bytes, size), slice(needle, wanted), ignore),
                             plain_contains(slice(bytes, size), slice(needle, wanted), ignore));
    }
}

/* Needles of any length, in texts that nearly repeat, and nearly there. */
static void long_needles_are_found(void **state) {
    (void)state;
    uint64_t random = test_seed();
    size_t hits = 0;
    for (int round = 0; round < 6000; round++) {
        char bytes[400], needle[200];
        size_t size = 200 + below(&random, 201), wanted = 1 + below(&random, 200);
        size_t period = 1 + below(&random, 90);
        for (size_t i = 0; i < size; i++)
            bytes[i] = i < period ? "abAB"[below(&random, 4)] : bytes[i - period];
        for (uint64_t i = below(&random, 3); i > 0; i--)
            bytes[below(&random, size)] = 'b';
        memcpy(needle, bytes + below(&random, size - wanted + 1), wanted);
        if (below(&random, 2) == 0) needle[below(&random, wanted)] = 'A';
        if (below(&random, 2) == 0) bytes[below(&random, size)] = 'a';
        for (int ignore = 0; ignore < 2; ignore++) {
            bool found = plain_contains(slice(bytes, size), slice(needle, wanted), ignore);
            hits += found;
            assert_int_equal(text_contains(slice(bytes, size), slice(needle, wanted), ignore),
                             found);
        }
    }
    assert_in_range(hits, 1500, 10500);
}

/* For the product of both lengths this would not end. */
static void a_long_needle_takes_the_time_of_its_length(void **state) {
    (void)state;
    const size_t size = 2u << 20, half = size / 2;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'a', size);
    for (int ignore = 0; ignore < 2; ignore++) {
        static const size_t places[] = {0, 1, 2, 3};
        for (size_t i = 0; i < 4; i++) {
            char *needle = malloc(half);
            assert_non_null(needle);
            memset(needle, 'a', half);
            needle[places[i] * (half - 1) / 3] = 'b';
            assert_false(text_contains(slice(text, size), slice(needle, half), ignore));
            free(needle);
        }
        assert_true(text_contains(slice(text, size), slice(text, half), ignore));
    }
    free(text);
}

/* ---- against the plain way ---- */

static void fill(uint64_t *random, size_t changes) {
    for (size_t i = 0; i < changes; i++)
        change_random(IDS, random);
}

static void check_count(const struct test_all *all, const lore_snapshot *snapshot,
                        const lore_query *query) {
    uint64_t expected = 0, count;
    for (size_t i = 0; i < all->count; i++)
        expected += plain_match(query, lore_record_memory(all->records[i]));
    assert_ok(lore_count(test_store, snapshot, query, &count));
    assert_int_equal(count, expected);
}

static void every_operator_on_every_attribute(void **state) {
    (void)state;
    uint64_t random = test_seed();
    static struct test_all all;
    create_spaces();
    fill(&random, 300);
    all_read(&all, NULL);
    lore_filter filter;
    lore_query query;
    lore_query_init(&query);
    query.filters = &filter;
    query.filters_count = 1;
    query.limit = 0;
    query.flags = LORE_READ_NO_ACCESS;
    for (size_t a = 0; a < TEST_ATTRIBUTES; a++) {
        for (int op = 0; op <= LORE_FILTER_PREFIX; op++) {
            if (!op_is_valid(test_attributes[a], (lore_filter_op)op)) continue;
            for (int round = 0; round < 8; round++) {
                filter = (lore_filter){.attribute = test_attributes[a], .op = (lore_filter_op)op};
                if (round > 0) random_value(&filter, &random); /* round 0: empty, 0 */
                check_search(&all, NULL, &query, NULL, slice(NULL, 0));
                check_count(&all, NULL, &query);
            }
        }
    }
    all_free(&all);
}

static void random_query(lore_query *query, lore_filter filters[4], uint64_t *random) {
    static const char *const needles[] = {"", "", "", "tea", "TEA", "coffee a", "b"};
    lore_query_init(query);
    query->filters = filters;
    query->filters_count = below(random, 5);
    for (size_t i = 0; i < query->filters_count; i++)
        random_filter(&filters[i], random);
    query->substring = lore_slice_of(needles[below(random, 7)]);
    query->ignore_ascii_case = below(random, 2);
    query->limit = below(random, 3) == 0 ? 0 : 1 + below(random, 30);
    query->offset = below(random, 3) == 0 ? below(random, 20) : 0;
    query->order = (lore_order)below(random, LORE_ORDER_ACCESSED_DESC + 1);
    query->flags = LORE_READ_NO_ACCESS;
    if (below(random, 4) == 0) query->flags |= LORE_READ_EXPIRED;
    if (below(random, 8) == 0) query->flags |= LORE_READ_EMBEDDINGS;
}

static void random_queries_at(const lore_snapshot *snapshot, uint64_t *random, int rounds) {
    static struct test_all all;
    all_read(&all, snapshot);
    for (int round = 0; round < rounds; round++) {
        lore_filter filters[4];
        lore_query query;
        random_query(&query, filters, random);
        check_search(&all, snapshot, &query, NULL, slice(NULL, 0));
        check_count(&all, snapshot, &query);
    }
    all_free(&all);
}

static void random_queries(void **state) {
    (void)state;
    uint64_t random = test_seed();
    create_spaces();
    for (int round = 0; round < 6; round++) {
        lore_snapshot *snapshot;
        fill(&random, 60);
        assert_ok(lore_snapshot_create(test_store, &snapshot));
        random_queries_at(NULL, &random, 40);
        for (size_t i = 0; i < 40; i++) {
            uint64_t number = below(&random, IDS);
            if (i % 3 == 0)
                delete_random(number, &random);
            else
                put_random(number, &random);
        }
        assert_ok(lore_flush(test_store));
        random_queries_at(snapshot, &random, 40);
        assert_ok(lore_compact(test_store, NULL, NULL));
        random_queries_at(snapshot, &random, 20);
        lore_snapshot_release(snapshot);
    }
}

static void put_turn_at(const char *id, lore_slice session, uint64_t position) {
    lore_memory memory;
    lore_memory_init(&memory);
    memory.id = lore_slice_of(id);
    memory.session_id = session;
    memory.position = position;
    memory.fields =
        LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_SESSION) | LORE_FIELD(LORE_ATTR_POSITION);
    assert_ok(lore_memory_put(test_store, &memory, 1, LORE_PUT_REPLACE, NULL));
}

/* A session and conditions on positions are one range of the session's keys. */
static void turns_by_conditions(void **state) {
    (void)state;
    uint64_t random = test_seed();
    static struct test_all all;
    create_spaces();
    fill(&random, 300);
    put_turn_at("end", test_texts[1], MEMORY_POSITION_MAX);
    put_turn_at("far", test_texts[1], UINT64_C(1) << 40);
    all_read(&all, NULL);
    lore_filter filters[3];
    lore_query query;
    lore_query_init(&query);
    query.filters = filters;
    query.limit = 0;
    query.flags = LORE_READ_NO_ACCESS;
    for (int round = 0; round < 400; round++) {
        filters[0] = (lore_filter){.attribute = LORE_ATTR_SESSION};
        filters[0].text = test_texts[1 + below(&random, below(&random, 2) ? 1 : TEST_TEXTS - 1)];
        query.filters_count = 2 + below(&random, 2);
        for (size_t i = 1; i < query.filters_count; i++) {
            filters[i] = (lore_filter){.attribute = LORE_ATTR_POSITION};
            filters[i].op = (lore_filter_op)below(&random, LORE_FILTER_PREFIX);
            filters[i].integer = (int64_t)below(&random, 14) - 2;
            if (below(&random, 8) == 0) filters[i].integer = INT64_MAX;
        }
        check_search(&all, NULL, &query, NULL, slice(NULL, 0));
        check_count(&all, NULL, &query);
    }
    all_free(&all);
}

/* ---- values ---- */

struct value_check {
    const struct test_all *all;
    lore_attribute attribute;
    uint8_t last[64];
    size_t last_size;
    uint64_t values;
    uint64_t total;
    uint64_t stop_after;
};

static bool value_seen(void *context, lore_slice value, uint64_t count) {
    struct value_check *check = context;
    lore_slice last = {check->last, check->last_size};
    assert_true(check->values == 0 || slice_compare(last, value) < 0);
    lore_filter filter = {.attribute = check->attribute, .op = LORE_FILTER_EQ, .text = value};
    uint64_t expected = 0;
    for (size_t i = 0; i < check->all->count; i++) {
        const lore_memory *memory = lore_record_memory(check->all->records[i]);
        expected += !plainly_expired(memory) && plain_filter(&filter, memory);
    }
    assert_int_equal(count, expected);
    assert_true(value.size > 0 && value.size <= sizeof check->last && count > 0);
    memcpy(check->last, value.data, value.size);
    check->last_size = value.size;
    check->values++;
    check->total += count;
    return check->values != check->stop_after;
}

/* Pairs of memory and value, as many as there are. */
static uint64_t plain_total(const struct test_all *all, lore_attribute attribute) {
    uint64_t total = 0;
    for (size_t i = 0; i < all->count; i++) {
        const lore_memory *memory = lore_record_memory(all->records[i]);
        if (plainly_expired(memory)) continue;
        if (attribute != LORE_ATTR_TAGS) {
            lore_filter any = {.attribute = attribute, .op = LORE_FILTER_NE};
            total += plain_filter(&any, memory);
            continue;
        }
        for (size_t t = 0; t < memory->tags_count; t++) {
            size_t same = 0;
            for (size_t before = 0; before < t; before++)
                same += slice_equal(memory->tags[before], memory->tags[t]);
            total += same == 0;
        }
    }
    return total;
}

static void values_with_their_counts(void **state) {
    (void)state;
    uint64_t random = test_seed();
    static const lore_attribute attributes[] = {LORE_ATTR_KIND,    LORE_ATTR_LAYER, LORE_ATTR_TIER,
                                                LORE_ATTR_STATUS,  LORE_ATTR_USER,  LORE_ATTR_AGENT,
                                                LORE_ATTR_SESSION, LORE_ATTR_ROLE,  LORE_ATTR_TAGS};
    static struct test_all all;
    create_spaces();
    for (int round = 0; round < 4; round++) {
        fill(&random, 80);
        all_read(&all, NULL);
        for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
            struct value_check check = {.all = &all, .attribute = attributes[i]};
            assert_ok(lore_values(test_store, NULL, attributes[i], value_seen, &check));
            assert_int_equal(check.total, plain_total(&all, attributes[i]));
            struct value_check first = {.all = &all, .attribute = attributes[i], .stop_after = 1};
            assert_ok(lore_values(test_store, NULL, attributes[i], value_seen, &first));
            assert_int_equal(first.values, check.values == 0 ? 0 : 1);
        }
        all_free(&all);
    }
}

/* ---- accesses ---- */

static uint64_t access_count(const char *id) {
    lore_record *record;
    assert_ok(lore_memory_get(test_store, NULL, lore_slice_of(id), LORE_READ_NO_ACCESS, &record));
    uint64_t count = lore_record_memory(record)->access_count;
    lore_record_destroy(record);
    return count;
}

static void put_plain(const char *id, const char *kind) {
    lore_memory memory;
    lore_memory_init(&memory);
    memory.id = lore_slice_of(id);
    memory.kind = lore_slice_of(kind);
    memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_KIND);
    assert_ok(lore_memory_put(test_store, &memory, 1, LORE_PUT_REPLACE, NULL));
}

static void hits_count_as_accesses(void **state) {
    (void)state;
    put_plain("one", "k");
    put_plain("two", "k");
    put_plain("other", "l");
    lore_filter filter = {.attribute = LORE_ATTR_KIND, .text = {"k", 1}};
    lore_query query;
    lore_results *results;
    lore_query_init(&query);
    query.filters = &filter;
    query.filters_count = 1;
    query.limit = 1;
    assert_ok(lore_search(test_store, NULL, &query, &results));
    lore_results_destroy(results);
    query.flags = LORE_READ_NO_ACCESS;
    assert_ok(lore_search(test_store, NULL, &query, &results));
    lore_results_destroy(results);
    store_reopen(); /* closing writes the counts */
    assert_int_equal(access_count("one"), 1);
    assert_int_equal(access_count("two"), 0);
    assert_int_equal(access_count("other"), 0);
}

static void results_keep_a_store_open(void **state) {
    (void)state;
    put_plain("one", "k");
    lore_query query;
    lore_results *results;
    lore_query_init(&query);
    assert_ok(lore_search(test_store, NULL, &query, &results));
    assert_status(lore_close(test_store), LORE_MISUSE);
    lore_hit hit = lore_results_hit(results, 0);
    assert_true(slice_equal(hit.memory->id, lore_slice_of("one")));
    lore_results_destroy(results);
    lore_results_destroy(NULL);
}

/* ---- cost ---- */

#define MANY 12000u

static void put_many(void) {
    enum { BATCH = 200 };
    static char ids[BATCH][16], users[BATCH][16];
    static lore_memory memories[BATCH];
    static const lore_slice rare = {"rare", 4};
    for (unsigned first = 0; first < MANY; first += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            unsigned number = first + i;
            lore_memory *memory = &memories[i];
            lore_memory_init(memory);
            snprintf(ids[i], sizeof ids[i], "%08u", number);
            snprintf(users[i], sizeof users[i], "user%u", number % 2);
            memory->id = lore_slice_of(ids[i]);
            memory->text = lore_slice_of("what was said, at about the usual length of a turn");
            memory->user_id = lore_slice_of(users[i]);
            memory->created_at_us = (int64_t)number + 1;
            memory->fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) |
                             LORE_FIELD(LORE_ATTR_USER) | LORE_FIELD(LORE_ATTR_CREATED_AT);
            if (number >= 7000 && number < 7100) {
                memory->tags = &rare;
                memory->tags_count = 1;
                memory->fields |= LORE_FIELD(LORE_ATTR_TAGS);
            }
        }
        assert_ok(lore_memory_put(test_store, memories, BATCH, LORE_PUT_INSERT, NULL));
    }
    assert_ok(lore_compact(test_store, NULL, NULL));
}

static uint64_t blocks_for(const lore_query *query, size_t expected) {
    lore_stats before, after;
    lore_results *results;
    store_reopen();
    before.struct_size = after.struct_size = sizeof before;
    assert_ok(lore_stats_get(test_store, &before));
    assert_ok(lore_search(test_store, NULL, query, &results));
    assert_ok(lore_stats_get(test_store, &after));
    assert_int_equal(lore_results_count(results), expected);
    lore_results_destroy(results);
    return after.blocks_read - before.blocks_read;
}

static void a_filter_reads_what_it_matches(void **state) {
    (void)state;
    put_many();
    lore_filter filters[2] = {{.attribute = LORE_ATTR_USER, .text = {"user0", 5}},
                              {.attribute = LORE_ATTR_TAGS, .text = {"rare", 4}}};
    lore_query query;
    lore_query_init(&query);
    query.flags = LORE_READ_NO_ACCESS;
    query.limit = 1000;
    query.filters = filters + 1;
    query.filters_count = 1;
    uint64_t blocks = blocks_for(&query, 100);
    assert_true(blocks > 0 && blocks < 100);
    /* Beside a condition that half of all meet. */
    query.filters = filters;
    query.filters_count = 2;
    assert_true(blocks_for(&query, 50) < 100);
    /* The newest few of many: along the index of the order. */
    query.filters_count = 1;
    query.limit = 10;
    query.order = LORE_ORDER_CREATED_DESC;
    assert_true(blocks_for(&query, 10) < 100);
    /* A window of time. */
    lore_filter window[2] = {
        {.attribute = LORE_ATTR_CREATED_AT, .op = LORE_FILTER_GE, .integer = 5000},
        {.attribute = LORE_ATTR_CREATED_AT, .op = LORE_FILTER_LT, .integer = 5100}};
    query.filters = window;
    query.filters_count = 2;
    query.limit = 1000;
    assert_true(blocks_for(&query, 100) < 100);
}

static void no_limit_is_bounded_by_the_budget(void **state) {
    (void)state;
    test_options.memory_budget = 4u << 20;
    store_reopen();
    put_many();
    lore_query query;
    lore_results *results;
    lore_query_init(&query);
    query.limit = 0;
    query.flags = LORE_READ_NO_ACCESS;
    assert_status(lore_search(test_store, NULL, &query, &results), LORE_NO_MEMORY);
    assert_null(results);
    assert_non_null(strstr(lore_error_message(), "limit"));
    query.limit = 10;
    query.offset = MANY - 5;
    assert_ok(lore_search(test_store, NULL, &query, &results));
    assert_int_equal(lore_results_count(results), 5);
    lore_results_destroy(results);
}

static void failing_memory_is_reported_and_undone(void **state) {
    (void)state;
    uint64_t random = 5;
    create_spaces();
    fill(&random, 120);
    lore_filter filters[2] = {{.attribute = LORE_ATTR_TAGS, .op = LORE_FILTER_PREFIX},
                              {.attribute = LORE_ATTR_IMPORTANCE, .op = LORE_FILTER_GE}};
    lore_query query;
    lore_query_init(&query);
    query.filters = filters;
    query.filters_count = 2;
    query.order = LORE_ORDER_ACCESSED_DESC;
    query.flags = LORE_READ_NO_ACCESS | LORE_READ_EMBEDDINGS;
    filters[0].text = slice("a", 1);
    lore_status status = LORE_NO_MEMORY;
    long calls = 0;
    for (; status == LORE_NO_MEMORY && calls < 100000; calls++) {
        lore_results *results;
        test_memory.fail_at = calls;
        status = lore_search(test_store, NULL, &query, &results);
        test_memory.fail_at = -1;
        if (status == LORE_OK) lore_results_destroy(results);
    }
    assert_ok(status);
    assert_true(calls > 20);
    uint64_t count;
    status = LORE_NO_MEMORY;
    for (calls = 0; status == LORE_NO_MEMORY && calls < 100000; calls++) {
        test_memory.fail_at = calls;
        status = lore_count(test_store, NULL, &query, &count);
        test_memory.fail_at = -1;
    }
    assert_ok(status);
}

static void count_check(void *context, const char *name, bool passed) {
    assert_true(name != NULL && passed);
    ++*(unsigned *)context;
}

static void the_selftest_passes(void **state) {
    (void)state;
    unsigned checks = 0;
    assert_ok(lore_selftest(count_check, &checks));
    assert_true(checks > 10);
    assert_ok(lore_selftest(NULL, NULL));
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STORE(bad_queries_are_refused),
        cmocka_unit_test(bytes_are_found_in_texts),
        cmocka_unit_test(long_needles_are_found),
        cmocka_unit_test(a_long_needle_takes_the_time_of_its_length),
        WITH_STORE(every_operator_on_every_attribute),
        WITH_STORE(random_queries),
        WITH_STORE(turns_by_conditions),
        WITH_STORE(values_with_their_counts),
        WITH_STORE(hits_count_as_accesses),
        WITH_STORE(results_keep_a_store_open),
        WITH_STORE(a_filter_reads_what_it_matches),
        WITH_STORE(no_limit_is_bounded_by_the_budget),
        WITH_STORE(failing_memory_is_reported_and_undone),
        cmocka_unit_test(the_selftest_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
