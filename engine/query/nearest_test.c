/*
 * nearest_test.c - exact nearest neighbours against distances to all records: every metric and
 * element, over random histories with replaced and deleted embeddings, flushes, compactions,
 * snapshots and expiry; conditions of many selectivities; damage.
 */
#include <math.h>

#include "query/query_testing.h"

#define IDS 120u

static const struct test_space plane = {"plane", {8, LORE_ELEMENT_F32, LORE_METRIC_L2, {NULL, 0}}};

static void vector_query(lore_query *query, const struct test_space *space, lore_slice vector) {
    lore_query_init(query);
    query->space = space->name;
    query->vector = vector;
    query->flags = LORE_READ_NO_ACCESS;
}

/* ---- random histories ---- */

static void search_at_random(const struct test_all *all, const lore_snapshot *snapshot,
                             const struct test_space *space, uint64_t *random) {
    uint8_t bytes[TEST_VECTOR_MAX];
    lore_filter filters[3];
    lore_query query;
    lore_slice vector = random_vector(random, space, bytes);
    vector_query(&query, space, vector);
    query.filters = filters;
    query.filters_count = below(random, 3) == 0 ? 1 + below(random, 3) : 0;
    for (size_t i = 0; i < query.filters_count; i++)
        random_filter(&filters[i], random);
    if (below(random, 6) == 0) query.substring = lore_slice_of("tea");
    if (below(random, 6) == 0) query.flags |= LORE_READ_EXPIRED;
    query.limit = 1 + below(random, below(random, 3) == 0 ? 200 : 12);
    query.offset = below(random, 4) == 0 ? below(random, 10) : 0;
    /* The vector of a memory that is shown and has one. */
    if (below(random, 4) == 0 && all->count > 0) {
        const lore_memory *memory = lore_record_memory(all->records[below(random, all->count)]);
        for (size_t e = 0; e < memory->embeddings_count; e++) {
            if (!slice_equal(memory->embeddings[e].space, lore_slice_of(space->name))) continue;
            if (plainly_expired(memory)) query.flags |= LORE_READ_EXPIRED;
            vector = memory->embeddings[e].data;
            query.vector = slice(NULL, 0);
            query.vector_of_id = memory->id;
        }
    }
    check_search(all, snapshot, &query, space, vector);
}

static void search_all_spaces(const lore_snapshot *snapshot, uint64_t *random, int rounds) {
    static struct test_all all;
    all_read(&all, snapshot);
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < TEST_SPACES; i++)
            search_at_random(&all, snapshot, &test_spaces[i], random);
    }
    all_free(&all);
}

static void random_histories(void **state) {
    (void)state;
    uint64_t random = test_seed();
    create_spaces();
    search_all_spaces(NULL, &random, 1); /* of an empty store */
    for (int round = 0; round < 8; round++) {
        lore_snapshot *snapshot;
        for (size_t i = 0; i < 50; i++)
            change_random(IDS, &random);
        search_all_spaces(NULL, &random, 4);
        assert_ok(lore_snapshot_create(test_store, &snapshot));
        for (size_t i = 0; i < 40; i++) {
            uint64_t number = below(&random, IDS);
            if (i % 4 == 0)
                delete_random(number, &random);
            else if (i % 4 == 1)
                update_random(number, &random);
            else
                put_random(number, &random);
        }
        search_all_spaces(snapshot, &random, 2);
        assert_ok(lore_flush(test_store));
        search_all_spaces(snapshot, &random, 2);
        search_all_spaces(NULL, &random, 2);
        assert_ok(lore_compact(test_store, NULL, NULL));
        search_all_spaces(snapshot, &random, 2);
        lore_snapshot_release(snapshot);
        assert_ok(lore_compact(test_store, NULL, NULL));
        search_all_spaces(NULL, &random, 2);
    }
}

static void assert_nearest(const lore_snapshot *snapshot, const uint8_t vector[32],
                           float distance) {
    lore_query query;
    lore_results *results;
    vector_query(&query, &plane, slice(vector, 32));
    assert_ok(lore_search(test_store, snapshot, &query, &results));
    assert_int_equal(lore_results_count(results), 1);
    assert_true(lore_results_hit(results, 0).distance == distance);
    lore_results_destroy(results);
}

/* Both versions of one row's vector, one after the other in one row segment. */
static void a_replaced_vector_shows_in_its_own_time(void **state) {
    (void)state;
    uint8_t old[32] = {0}, new[32] = {0};
    put_u32(new, f32_to_bits(3));
    assert_ok(lore_space_create(test_store, plane.name, &plane.spec));
    lore_embedding embedding = {lore_slice_of(plane.name), slice(old, sizeof old)};
    lore_memory memory;
    lore_memory_init(&memory);
    memory.id = lore_slice_of("x");
    memory.fields = LORE_FIELD(LORE_ATTR_ID);
    memory.embeddings = &embedding;
    memory.embeddings_count = 1;
    assert_ok(lore_memory_put(test_store, &memory, 1, LORE_PUT_INSERT, NULL));
    lore_snapshot *snapshot;
    assert_ok(lore_snapshot_create(test_store, &snapshot));
    embedding.data = slice(new, sizeof new);
    assert_ok(lore_memory_update(test_store, &memory));
    for (int round = 0; round < 3; round++) {
        assert_nearest(NULL, old, 9);
        assert_nearest(NULL, new, 0);
        assert_nearest(snapshot, old, 0);
        assert_nearest(snapshot, new, 9);
        if (round == 0)
            assert_ok(lore_flush(test_store));
        else
            assert_ok(lore_compact(test_store, NULL, NULL));
    }
    lore_snapshot_release(snapshot);
    assert_ok(lore_embedding_delete(test_store, lore_slice_of("x"), plane.name));
    lore_query query;
    lore_results *results;
    vector_query(&query, &plane, slice(old, sizeof old));
    assert_ok(lore_search(test_store, NULL, &query, &results));
    assert_int_equal(lore_results_count(results), 0);
    lore_results_destroy(results);
}

/* Small memtables: what is replaced lies in a frozen one, and much of a space in it alone. */
static void memtables_that_wait_for_their_flush(void **state) {
    (void)state;
    uint64_t random = test_seed();
    test_options.memtable_bytes = 64u << 10;
    store_reopen();
    create_spaces();
    for (int round = 0; round < 40; round++) {
        for (size_t i = 0; i < 12; i++) {
            uint64_t number = below(&random, 20);
            if (i % 6 == 0)
                delete_random(number, &random);
            else if (i % 6 == 1)
                update_random(number, &random);
            else
                put_random(number, &random);
        }
        search_all_spaces(NULL, &random, 1);
    }
    lore_stats stats = {.struct_size = sizeof stats};
    assert_ok(lore_stats_get(test_store, &stats));
    assert_true(stats.flushes > 1);
}

/* ---- selectivities ---- */

#define MANY 3000u

/* Memory i is at distance i * i, but for ties: two share each place. Kind: i modulo 3; agent: rare.
 */
static void put_line(void) {
    enum { BATCH = 100 };
    static char ids[BATCH][16];
    static uint8_t vectors[BATCH][32];
    static lore_memory memories[BATCH];
    static lore_embedding embeddings[BATCH];
    static const char *const kinds[] = {"k0", "k1", "k2"};
    assert_ok(lore_space_create(test_store, plane.name, &plane.spec));
    for (unsigned first = 0; first < MANY; first += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            unsigned number = (first + i) * 7 % MANY;
            lore_memory *memory = &memories[i];
            lore_memory_init(memory);
            snprintf(ids[i], sizeof ids[i], "%u", number);
            memset(vectors[i], 0, sizeof vectors[i]);
            put_u32(vectors[i], f32_to_bits((float)(number / 2)));
            embeddings[i] = (lore_embedding){lore_slice_of(plane.name), slice(vectors[i], 32)};
            memory->id = lore_slice_of(ids[i]);
            memory->text = lore_slice_of(number % 2 ? "odd" : "even");
            memory->kind = lore_slice_of(kinds[number % 3]);
            memory->agent_id = lore_slice_of(number % 500 == 0 ? "rare" : "usual");
            memory->importance_score = number / (double)MANY;
            memory->embeddings = &embeddings[i];
            memory->embeddings_count = 1;
            memory->fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) |
                             LORE_FIELD(LORE_ATTR_KIND) | LORE_FIELD(LORE_ATTR_AGENT) |
                             LORE_FIELD(LORE_ATTR_IMPORTANCE);
        }
        assert_ok(lore_memory_put(test_store, memories, BATCH, LORE_PUT_INSERT, NULL));
        if (first == MANY / 2) assert_ok(lore_flush(test_store));
    }
}

static bool line_matches(const lore_filter *filter, unsigned number) {
    char kind[4] = {'k', (char)('0' + number % 3), 0, 0};
    lore_memory memory;
    lore_memory_init(&memory);
    memory.kind = lore_slice_of(kind);
    memory.agent_id = lore_slice_of(number % 500 == 0 ? "rare" : "usual");
    memory.importance_score = number / (double)MANY;
    return filter == NULL || plain_filter(filter, &memory);
}

static void nearest_of_line(const lore_filter *filter, const char *substring, size_t k) {
    uint8_t origin[32] = {0};
    lore_query query;
    lore_results *results;
    vector_query(&query, &plane, slice(origin, sizeof origin));
    query.filters = filter;
    query.filters_count = filter != NULL;
    query.substring = lore_slice_of(substring);
    query.limit = k;
    assert_ok(lore_search(test_store, NULL, &query, &results));
    size_t found = 0;
    for (unsigned place = 0; place < MANY / 2 && found < k; place++) {
        uint64_t least_row = 0;
        unsigned ties = 0;
        for (unsigned number = place * 2; number < place * 2 + 2; number++) {
            bool odd = number % 2 != 0;
            if (!line_matches(filter, number) || (*substring != 0 && odd != (*substring == 'o')))
                continue;
            ties++;
        }
        for (; ties > 0 && found < k; ties--, found++) {
            assert_true(found < lore_results_count(results));
            lore_hit hit = lore_results_hit(results, found);
            assert_true(hit.distance == (float)place * (float)place);
            assert_true(hit.row >= least_row);
            least_row = hit.row + 1;
        }
    }
    assert_int_equal(lore_results_count(results), found);
    lore_results_destroy(results);
}

static void if_k_match_k_come_back(void **state) {
    (void)state;
    test_options.memory_budget = 16u << 20;
    store_reopen();
    put_line();
    static const size_t ks[] = {1, 2, 10, 99, 5000};
    lore_filter filters[] = {
        {.attribute = LORE_ATTR_AGENT, .text = {"rare", 4}}, /* 6 */
        {.attribute = LORE_ATTR_AGENT, .op = LORE_FILTER_NE, .text = {"usual", 5}},
        {.attribute = LORE_ATTR_AGENT, .text = {"nobody", 6}},                    /* none */
        {.attribute = LORE_ATTR_KIND, .text = {"k1", 2}},                         /* a third */
        {.attribute = LORE_ATTR_AGENT, .text = {"usual", 5}},                     /* nearly all */
        {.attribute = LORE_ATTR_IMPORTANCE, .op = LORE_FILTER_GT, .number = 0.9}, /* the far end */
        {.attribute = LORE_ATTR_IMPORTANCE, .op = LORE_FILTER_GT, .number = 0.5}};
    for (int round = 0; round < 2; round++) {
        for (size_t k = 0; k < sizeof ks / sizeof ks[0]; k++) {
            nearest_of_line(NULL, "", ks[k]);
            nearest_of_line(NULL, "odd", ks[k]);
            for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
                nearest_of_line(&filters[i], "", ks[k]);
                if (k == 2) nearest_of_line(&filters[i], "even", ks[k]);
            }
        }
        assert_ok(lore_compact(test_store, NULL, NULL));
    }
}

/* ---- what is refused ---- */

static void bad_vector_queries_are_refused(void **state) {
    (void)state;
    create_spaces();
    const struct test_space *space = &test_spaces[0];
    uint8_t bytes[TEST_VECTOR_MAX] = {0};
    lore_slice vector = slice(bytes, space_bytes(space));
    lore_results *results;
    lore_query query;
    vector_query(&query, space, vector);
    assert_ok(lore_search(test_store, NULL, &query, &results));
    lore_results_destroy(results);
#define REFUSED(change, expected)                                                                  \
    do {                                                                                           \
        vector_query(&query, space, vector);                                                       \
        change;                                                                                    \
        assert_status(lore_search(test_store, NULL, &query, &results), expected);                  \
        assert_null(results);                                                                      \
    } while (0)
    REFUSED(query.vector.size--, LORE_INVALID);
    REFUSED(query.vector.size++, LORE_INVALID);
    REFUSED(query.vector.size = 0, LORE_INVALID);
    REFUSED(query.limit = 0, LORE_INVALID);
    REFUSED(query.order = LORE_ORDER_CREATED, LORE_INVALID);
    REFUSED(query.space = NULL, LORE_INVALID);
    REFUSED(query.vector_of_id = lore_slice_of("x"), LORE_INVALID);
    REFUSED((query.vector.size = 0, query.vector_of_id = slice(NULL, 5)), LORE_INVALID);
    REFUSED(query.space = "no such", LORE_NOT_FOUND);
    REFUSED((query.vector.size = 0, query.vector_of_id = lore_slice_of("x")), LORE_NOT_FOUND);
    put_u32(bytes + 4, f32_to_bits((float)INFINITY));
    REFUSED((void)0, LORE_INVALID);
    put_u32(bytes + 4, f32_to_bits((float)NAN));
    REFUSED((void)0, LORE_INVALID);
    memset(bytes, 0, sizeof bytes);
    put_u16(bytes + 2, 0x7c00);
    space = &test_spaces[3];
    vector = slice(bytes, space_bytes(space));
    REFUSED((void)0, LORE_INVALID);

    /* A memory that is there, without a vector in the space. */
    lore_memory memory;
    lore_memory_init(&memory);
    memory.id = lore_slice_of("x");
    memory.fields = LORE_FIELD(LORE_ATTR_ID);
    assert_ok(lore_memory_put(test_store, &memory, 1, LORE_PUT_INSERT, NULL));
    REFUSED((query.vector.size = 0, query.vector_of_id = lore_slice_of("x")), LORE_NOT_FOUND);
}

/* ---- damage ---- */

static lore_status find_rows_file(void *context, const struct dir_entry *entry) {
    char *name = context;
    size_t size = strlen(entry->name);
    if (size > 5 && strcmp(entry->name + size - 5, ".rows") == 0)
        snprintf(name, 64, "store/g-000001/%s", entry->name);
    return LORE_OK;
}

static void a_damaged_vector_is_never_passed_over(void **state) {
    (void)state;
    put_line();
    assert_ok(lore_compact(test_store, NULL, NULL));
    assert_ok(lore_close(test_store));
    test_store = NULL;
    char path[64] = "";
    struct fs *fs = fs_memory_fs(test_files);
    assert_ok(fs->ops->list(fs, "store/g-000001", find_rows_file, path));
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(test_files, path, &size);
    assert_non_null(bytes);
    bytes[SEGMENT_HEADER_BYTES + 20000] ^= 1; /* of the second block of vectors */
    store_reopen();
    uint8_t origin[32] = {0};
    lore_query query;
    lore_results *results;
    vector_query(&query, &plane, slice(origin, sizeof origin));
    assert_status(lore_search(test_store, NULL, &query, &results), LORE_CORRUPTION);
    assert_non_null(strstr(lore_error_message(), ".rows"));
}

static void failing_memory_is_reported_and_undone(void **state) {
    (void)state;
    uint64_t random = 11;
    create_spaces();
    for (size_t i = 0; i < 60; i++)
        put_random(i, &random);
    assert_ok(lore_flush(test_store));
    for (size_t i = 0; i < 60; i++)
        put_random(i * 2, &random);
    for (int filtered = 0; filtered < 2; filtered++) {
        const struct test_space *space = &test_spaces[filtered];
        uint8_t bytes[TEST_VECTOR_MAX];
        lore_query query;
        vector_query(&query, space, random_vector(&random, space, bytes));
        lore_filter filter = {.attribute = LORE_ATTR_TIER, .text = {"warm", 4}};
        query.filters = &filter;
        query.filters_count = (size_t)filtered;
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
    }
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STORE(random_histories),
        WITH_STORE(a_replaced_vector_shows_in_its_own_time),
        WITH_STORE(memtables_that_wait_for_their_flush),
        WITH_STORE(if_k_match_k_come_back),
        WITH_STORE(bad_vector_queries_are_refused),
        WITH_STORE(a_damaged_vector_is_never_passed_over),
        WITH_STORE(failing_memory_is_reported_and_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
