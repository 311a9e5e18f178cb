/*
 * query_testing.h - what the tests of this floor share: a store in memory with a clock of the
 * test's own, random memories in it, and searches done again the plain way, over all records.
 *
 * For *_test.c of this floor only. One thread.
 */
#ifndef LORE_QUERY_QUERY_TESTING_H
#define LORE_QUERY_QUERY_TESTING_H

#include <stdio.h>
#include <time.h>

#include "query/query.h"
#include "vector/distance.h"
#include "vector/f16.h"
#include "vfs/fs_memory.h"
#include "base/testing.h"

/* ---- the store ---- */

static int64_t test_clock_us = INT64_C(1700000000000000);

static int64_t test_now_us(struct sys *sys) {
    (void)sys;
    return test_clock_us; /* moves only where a test says so */
}

/* The real system but for the clock; its functions keep no state. */
static struct sys_ops test_sys_ops;
static struct sys test_sys = {&test_sys_ops};
static struct test_allocator test_memory;
static struct fs_memory *test_files;
static lore_env test_env;
static lore_options test_options;
static lore_store *test_store;

static inline void store_reopen(void) {
    if (test_store != NULL) assert_ok(lore_close(test_store));
    test_store = NULL;
    assert_ok(lore_open("store", &test_options, &test_store));
}

static inline int store_setup(void **state) {
    (void)state;
    test_sys_ops = *env_posix()->sys->ops;
    test_sys_ops.now_us = test_now_us;
    test_allocator_init(&test_memory);
    assert_ok(fs_memory_create(env_posix()->allocator, 0, &test_files));
    test_env = (lore_env){&test_memory.base, fs_memory_fs(test_files), &test_sys};
    lore_options_init(&test_options);
    test_options.create_if_missing = true;
    test_options.background = LORE_BACKGROUND_STEPS;
    test_options.memory_budget = 8u << 20;
    test_options.log_preallocate_bytes = 64u << 10;
    test_options.reserve_bytes = 0;
    test_options.env = &test_env;
    store_reopen();
    return 0;
}

static inline int store_teardown(void **state) {
    (void)state;
    assert_ok(lore_close(test_store));
    test_store = NULL;
    fs_memory_destroy(test_files);
    assert_int_equal(test_memory.blocks, 0);
    return 0;
}

/* LORE_SEED in the environment repeats a run; else the time, and the test prints it. */
static inline uint64_t test_seed(void) {
    const char *given = getenv("LORE_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    printf("LORE_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* ---- random memories ---- */

static inline uint64_t below(uint64_t *random, uint64_t n) {
    return test_random(random) % n;
}

/* Few, so that values repeat; some share prefixes, some hold zero bytes. */
static const lore_slice test_texts[] = {{"", 0},         {"a", 1},   {"ab", 2},  {"abc", 3},
                                        {"a\0b", 3},     {"a\0", 2}, {"b", 1},   {"working", 7},
                                        {"\xff\xff", 2}, {"\0", 1},  {"warm", 4}};
#define TEST_TEXTS (sizeof test_texts / sizeof test_texts[0])

static inline lore_slice random_text(uint64_t *random) {
    return test_texts[below(random, TEST_TEXTS)];
}

static const double test_numbers[] = {0, 0.25, 0.5, 0.5, 0.75, 1};

static inline int64_t random_time(uint64_t *random) {
    return (int64_t)below(random, 12) * 1000 - 3000;
}

struct test_space {
    const char *name;
    lore_space_spec spec;
};
static const struct test_space test_spaces[] = {
    {"f32 cosine", {12, LORE_ELEMENT_F32, LORE_METRIC_COSINE, {NULL, 0}}},
    {"f32 dot", {3, LORE_ELEMENT_F32, LORE_METRIC_DOT, {NULL, 0}}},
    {"f32 l2", {33, LORE_ELEMENT_F32, LORE_METRIC_L2, {NULL, 0}}},
    {"f16 cosine", {16, LORE_ELEMENT_F16, LORE_METRIC_COSINE, {NULL, 0}}},
    {"f16 dot", {7, LORE_ELEMENT_F16, LORE_METRIC_DOT, {NULL, 0}}},
    {"f16 l2", {2, LORE_ELEMENT_F16, LORE_METRIC_L2, {NULL, 0}}},
    {"int8 cosine", {9, LORE_ELEMENT_INT8, LORE_METRIC_COSINE, {NULL, 0}}},
    {"int8 dot", {64, LORE_ELEMENT_INT8, LORE_METRIC_DOT, {NULL, 0}}},
    {"int8 l2", {5, LORE_ELEMENT_INT8, LORE_METRIC_L2, {NULL, 0}}},
    {"binary hamming", {24, LORE_ELEMENT_BINARY, LORE_METRIC_HAMMING, {NULL, 0}}},
};
#define TEST_SPACES     (sizeof test_spaces / sizeof test_spaces[0])
#define TEST_VECTOR_MAX 256u

static inline void create_spaces(void) {
    for (size_t i = 0; i < TEST_SPACES; i++)
        assert_ok(lore_space_create(test_store, test_spaces[i].name, &test_spaces[i].spec));
}

static inline size_t space_bytes(const struct test_space *space) {
    return distance_row_bytes(space->spec.element, space->spec.dimensions);
}

/* Small whole numbers, so that equal distances are common. */
static inline lore_slice random_vector(uint64_t *random, const struct test_space *space,
                                       uint8_t bytes[TEST_VECTOR_MAX]) {
    size_t size = space_bytes(space);
    assert_true(size <= TEST_VECTOR_MAX);
    for (size_t i = 0; i < space->spec.dimensions; i++) {
        float value = (float)below(random, 5) - 2;
        if (space->spec.element == LORE_ELEMENT_F32) put_u32(bytes + 4 * i, f32_to_bits(value));
        if (space->spec.element == LORE_ELEMENT_F16) put_u16(bytes + 2 * i, f16_from_f32(value));
        if (space->spec.element == LORE_ELEMENT_INT8) bytes[i] = (uint8_t)(int8_t)value;
        if (space->spec.element == LORE_ELEMENT_BINARY && i % 8 == 0)
            bytes[i / 8] = (uint8_t)(test_random(random) & test_random(random));
    }
    return slice(bytes, size);
}

#define TEST_TAGS_MAX 4u

struct test_draft {
    lore_memory memory;
    char id[32];
    char text[64];
    lore_slice tags[TEST_TAGS_MAX];
    lore_embedding embeddings[TEST_SPACES];
    uint8_t vectors[TEST_SPACES][TEST_VECTOR_MAX];
};

static inline void draft_id(struct test_draft *draft, uint64_t number) {
    snprintf(draft->id, sizeof draft->id, "%s%llu", number % 3 == 0 ? "x" : "id",
             (unsigned long long)number);
    draft->memory.id = lore_slice_of(draft->id);
    draft->memory.fields |= LORE_FIELD(LORE_ATTR_ID);
}

static inline void draft_text(struct test_draft *draft, uint64_t *random) {
    static const char *const words[] = {"tea", "Tea", "coffee", "COFFEE", "a", "b", ""};
    snprintf(draft->text, sizeof draft->text, "%s %s %s", words[below(random, 7)],
             words[below(random, 7)], words[below(random, 7)]);
    draft->memory.text = lore_slice_of(draft->text);
    draft->memory.fields |= LORE_FIELD(LORE_ATTR_TEXT);
}

static inline void draft_embeddings(struct test_draft *draft, uint64_t *random) {
    size_t count = 0;
    for (size_t i = 0; i < TEST_SPACES; i++) {
        if (below(random, 4) == 0) continue;
        draft->embeddings[count].space = lore_slice_of(test_spaces[i].name);
        draft->embeddings[count].data =
            random_vector(random, &test_spaces[i], draft->vectors[count]);
        count++;
    }
    draft->memory.embeddings = draft->embeddings;
    draft->memory.embeddings_count = count;
}

/* Sets one attribute of those that filters go on. */
static inline void draft_attribute(struct test_draft *draft, lore_attribute attribute,
                                   uint64_t *random) {
    lore_memory *memory = &draft->memory;
    switch ((int)attribute) {
    case LORE_ATTR_KIND: memory->kind = random_text(random); break;
    case LORE_ATTR_LAYER: memory->layer = random_text(random); break;
    case LORE_ATTR_TIER: memory->tier = lore_slice_of(below(random, 2) ? "working" : "warm"); break;
    case LORE_ATTR_STATUS:
        memory->status = lore_slice_of(below(random, 2) ? "active" : "archived");
        break;
    case LORE_ATTR_IMPORTANCE: memory->importance_score = test_numbers[below(random, 6)]; break;
    case LORE_ATTR_CREATED_AT: memory->created_at_us = random_time(random); break;
    case LORE_ATTR_UPDATED_AT: memory->updated_at_us = random_time(random); break;
    case LORE_ATTR_EXPIRES_AT:
        /* Never, long ago, soon, later. */
        memory->expires_at_us = below(random, 2) ? 0 : test_clock_us - 1000;
        if (below(random, 2) == 0)
            memory->expires_at_us = test_clock_us + (int64_t)below(random, 30000);
        break;
    case LORE_ATTR_USER: memory->user_id = random_text(random); break;
    case LORE_ATTR_AGENT: memory->agent_id = random_text(random); break;
    case LORE_ATTR_ROLE: memory->role = random_text(random); break;
    case LORE_ATTR_TAGS:
        memory->tags_count = below(random, TEST_TAGS_MAX + 1);
        for (size_t i = 0; i < memory->tags_count; i++)
            draft->tags[i] = test_texts[1 + below(random, TEST_TEXTS - 1)];
        memory->tags = draft->tags;
        break;
    default: return;
    }
    memory->fields |= LORE_FIELD(attribute);
}

static inline void draft_memory(struct test_draft *draft, uint64_t number, uint64_t *random) {
    memset(draft, 0, sizeof *draft);
    lore_memory_init(&draft->memory);
    draft_id(draft, number);
    draft_text(draft, random);
    draft_embeddings(draft, random);
    for (unsigned i = 0; i < LORE_ATTR_COUNT; i++) {
        if (below(random, 5) != 0) draft_attribute(draft, (lore_attribute)i, random);
    }
    if (below(random, 2) == 0) {
        draft->memory.session_id = random_text(random);
        draft->memory.fields |= LORE_FIELD(LORE_ATTR_SESSION);
        if (draft->memory.session_id.size > 0 && below(random, 2) == 0) {
            draft->memory.position = below(random, 10);
            draft->memory.fields |= LORE_FIELD(LORE_ATTR_POSITION);
        }
    }
    if (below(random, 3) == 0) {
        draft->memory.access_count = below(random, 4);
        draft->memory.last_accessed_at_us = random_time(random);
        draft->memory.fields |=
            LORE_FIELD(LORE_ATTR_ACCESS_COUNT) | LORE_FIELD(LORE_ATTR_LAST_ACCESSED_AT);
    }
}

static inline void put_random(uint64_t number, uint64_t *random) {
    struct test_draft draft;
    draft_memory(&draft, number, random);
    assert_ok(lore_memory_put(test_store, &draft.memory, 1, LORE_PUT_REPLACE, NULL));
}

/* Change a few attributes, the text, embeddings, or several of these, of a memory that may not be
 * there. */
static inline void update_random(uint64_t number, uint64_t *random) {
    struct test_draft draft;
    memset(&draft, 0, sizeof draft);
    lore_memory_init(&draft.memory);
    draft_id(&draft, number);
    if (below(random, 2) == 0) draft_text(&draft, random);
    if (below(random, 2) == 0) draft_embeddings(&draft, random);
    for (unsigned i = 0; i < LORE_ATTR_COUNT; i++) {
        if (below(random, 6) == 0) draft_attribute(&draft, (lore_attribute)i, random);
    }
    lore_status status = lore_memory_update(test_store, &draft.memory);
    assert_true(status == LORE_OK || status == LORE_NOT_FOUND);
}

static inline void delete_random(uint64_t number, uint64_t *random) {
    struct test_draft draft;
    memset(&draft, 0, sizeof draft);
    draft_id(&draft, number);
    lore_status status = lore_memory_delete(test_store, draft.memory.id);
    assert_true(status == LORE_OK || status == LORE_NOT_FOUND);
    (void)random;
}

/* One random change among `ids` memories, or of the store's shape. */
static inline void change_random(uint64_t ids, uint64_t *random) {
    uint64_t number = below(random, ids);
    uint64_t what = below(random, 100);
    if (what < 55)
        put_random(number, random);
    else if (what < 80)
        update_random(number, random);
    else if (what < 94)
        delete_random(number, random);
    else if (what < 97)
        assert_ok(lore_flush(test_store));
    else if (what < 98)
        assert_ok(lore_compact(test_store, NULL, NULL));
    else if (what < 99)
        store_reopen();
    else
        test_clock_us += 10000;
}

/* ---- the plain way ---- */

/* All memories at a snapshot, those past their time too. */
struct test_all {
    lore_record *records[1024];
    size_t count;
};

static inline void all_read(struct test_all *all, const lore_snapshot *snapshot) {
    lore_memory_iter *iter;
    all->count = 0;
    assert_ok(lore_memory_iter_create(test_store, snapshot,
                                      LORE_READ_EMBEDDINGS | LORE_READ_EXPIRED, &iter));
    for (;;) {
        lore_record *record;
        assert_ok(lore_memory_iter_next(iter, &record));
        if (record == NULL) break;
        assert_true(all->count < 1024);
        all->records[all->count++] = record;
    }
    lore_memory_iter_destroy(iter);
}

static inline void all_free(struct test_all *all) {
    for (size_t i = 0; i < all->count; i++)
        lore_record_destroy(all->records[i]);
    all->count = 0;
}

static inline bool plainly_expired(const lore_memory *memory) {
    return memory->expires_at_us != 0 && memory->expires_at_us <= test_clock_us;
}

/* Written apart from filter.c: a table of what the operators accept. */
static inline bool plain_decide(lore_filter_op op, int order, bool lacking) {
    static const char *const accepted[] = {"=", "<>", "<", "<=", ">", ">="};
    char sign = order < 0 ? '<' : order > 0 ? '>' : '=';
    if (lacking && op > LORE_FILTER_NE) return false;
    return strchr(accepted[op], sign) != NULL;
}

static inline bool plain_begins(lore_slice text, lore_slice prefix) {
    return text.size >= prefix.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

static inline bool plain_text(const lore_filter *filter, lore_slice text) {
    if (filter->op == LORE_FILTER_PREFIX) return text.size > 0 && plain_begins(text, filter->text);
    return plain_decide(filter->op, slice_compare(text, filter->text), text.size == 0);
}

static inline bool plain_tags(const lore_filter *filter, const lore_memory *memory) {
    bool any = false;
    for (size_t i = 0; i < memory->tags_count; i++) {
        lore_slice tag = memory->tags[i];
        any |= plain_begins(tag, filter->text) &&
               (filter->op == LORE_FILTER_PREFIX || tag.size == filter->text.size);
    }
    return any == (filter->op != LORE_FILTER_NE);
}

static inline bool plain_integer(const lore_filter *filter, int64_t value, bool lacking) {
    return plain_decide(filter->op, value < filter->integer ? -1 : value > filter->integer,
                        lacking);
}

static inline bool plain_filter(const lore_filter *filter, const lore_memory *memory) {
    double score = memory->importance_score;
    switch ((int)filter->attribute) {
    case LORE_ATTR_ID: return plain_text(filter, memory->id);
    case LORE_ATTR_KIND: return plain_text(filter, memory->kind);
    case LORE_ATTR_LAYER: return plain_text(filter, memory->layer);
    case LORE_ATTR_TIER: return plain_text(filter, memory->tier);
    case LORE_ATTR_STATUS: return plain_text(filter, memory->status);
    case LORE_ATTR_USER: return plain_text(filter, memory->user_id);
    case LORE_ATTR_AGENT: return plain_text(filter, memory->agent_id);
    case LORE_ATTR_SESSION: return plain_text(filter, memory->session_id);
    case LORE_ATTR_ROLE: return plain_text(filter, memory->role);
    case LORE_ATTR_TAGS: return plain_tags(filter, memory);
    case LORE_ATTR_IMPORTANCE:
        return plain_decide(filter->op, score < filter->number ? -1 : score > filter->number,
                            false);
    case LORE_ATTR_CREATED_AT:
        return plain_integer(filter, memory->created_at_us, memory->created_at_us == 0);
    case LORE_ATTR_UPDATED_AT:
        return plain_integer(filter, memory->updated_at_us, memory->updated_at_us == 0);
    case LORE_ATTR_EXPIRES_AT:
        return plain_integer(filter, memory->expires_at_us, memory->expires_at_us == 0);
    case LORE_ATTR_LAST_ACCESSED_AT:
        return plain_integer(filter, memory->last_accessed_at_us, false);
    case LORE_ATTR_ACCESS_COUNT: return plain_integer(filter, (int64_t)memory->access_count, false);
    case LORE_ATTR_POSITION: {
        bool lacking = memory->session_id.size == 0;
        uint64_t position = lacking ? 0 : memory->position;
        if (position > INT64_MAX) return plain_decide(filter->op, 1, false);
        return plain_integer(filter, (int64_t)position, lacking);
    }
    default: assert_true(false); return false;
    }
}

static inline bool plain_contains(lore_slice text, lore_slice needle, bool ignore_case) {
    const char *bytes = text.data, *wanted = needle.data;
    for (size_t at = 0; at + needle.size <= text.size; at++) {
        size_t same = 0;
        for (; same < needle.size; same++) {
            char a = bytes[at + same], b = wanted[same];
            if (ignore_case && a >= 'A' && a <= 'Z') a = (char)(a + 32);
            if (ignore_case && b >= 'A' && b <= 'Z') b = (char)(b + 32);
            if (a != b) break;
        }
        if (same == needle.size) return true;
    }
    return false;
}

static inline bool plain_match(const lore_query *query, const lore_memory *memory) {
    if ((query->flags & LORE_READ_EXPIRED) == 0 && plainly_expired(memory)) return false;
    for (size_t i = 0; i < query->filters_count; i++) {
        if (!plain_filter(&query->filters[i], memory)) return false;
    }
    return query->substring.size == 0 ||
           plain_contains(memory->text, query->substring, query->ignore_ascii_case);
}

struct plain_hit {
    const lore_record *record;
    float distance;
    lore_order order;
};

static inline int plain_compare(const void *left, const void *right) {
    const struct plain_hit *a = left, *b = right;
    const lore_memory *x = lore_record_memory(a->record), *y = lore_record_memory(b->record);
    uint64_t row_a = lore_record_row(a->record), row_b = lore_record_row(b->record);
    int by_row = row_a < row_b ? -1 : row_a > row_b;
    if (a->distance != b->distance) return a->distance < b->distance ? -1 : 1;
    int64_t m = 0, n = 0;
    bool down = true;
    switch (a->order) {
    case LORE_ORDER_DEFAULT: return by_row;
    case LORE_ORDER_CREATED: down = false; /* fall through */
    case LORE_ORDER_CREATED_DESC:
        m = x->created_at_us;
        n = y->created_at_us;
        if ((m == 0) != (n == 0)) return m == 0 ? 1 : -1;
        break;
    case LORE_ORDER_IMPORTANCE_DESC:
        m = (int64_t)(x->importance_score * 1000);
        n = (int64_t)(y->importance_score * 1000);
        break;
    case LORE_ORDER_ACCESSED_DESC:
        m = x->last_accessed_at_us;
        n = y->last_accessed_at_us;
        break;
    }
    int up = m < n ? -1 : m > n ? 1 : by_row;
    return down ? -up : up;
}

/* The plain answer: hits in order, before offset and limit. */
static inline size_t plain_search(const struct test_all *all, const lore_query *query,
                                  const struct test_space *space, lore_slice vector,
                                  struct plain_hit *hits) {
    struct distance_kernels kernels;
    struct distance distance;
    float scratch[DISTANCE_QUERY_BYTES_MAX / 4];
    assert_true(distance_kernels_get(DISTANCE_PLAIN, &kernels));
    if (space != NULL)
        distance_prepare(&distance, &kernels, space->spec.element, space->spec.metric,
                         space->spec.dimensions, vector.data, scratch);
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        const lore_memory *memory = lore_record_memory(all->records[i]);
        if (!plain_match(query, memory)) continue;
        struct plain_hit hit = {all->records[i], 0, query->order};
        if (space != NULL) {
            const lore_embedding *found = NULL;
            for (size_t e = 0; e < memory->embeddings_count; e++) {
                if (slice_equal(memory->embeddings[e].space, lore_slice_of(space->name)))
                    found = &memory->embeddings[e];
            }
            if (found == NULL || slice_equal(memory->id, query->vector_of_id)) continue;
            hit.distance = distance_one(&distance, found->data.data);
        }
        hits[count++] = hit;
    }
    qsort(hits, count, sizeof *hits, plain_compare);
    return count;
}

/* A search gives what the plain way gives. */
static inline void check_search(const struct test_all *all, const lore_snapshot *snapshot,
                                const lore_query *query, const struct test_space *space,
                                lore_slice vector) {
    struct plain_hit expected[1024];
    size_t matching = plain_search(all, query, space, vector, expected);
    size_t first = query->offset < matching ? query->offset : matching;
    size_t count = matching - first;
    if (query->limit > 0 && count > query->limit) count = query->limit;
    lore_results *results;
    assert_ok(lore_search(test_store, snapshot, query, &results));
    assert_int_equal(lore_results_count(results), count);
    for (size_t i = 0; i < count; i++) {
        lore_hit hit = lore_results_hit(results, i);
        const struct plain_hit *wanted = &expected[first + i];
        const lore_memory *memory = lore_record_memory(wanted->record);
        assert_int_equal(hit.row, lore_record_row(wanted->record));
        assert_true(hit.distance == wanted->distance);
        assert_true(slice_equal(hit.memory->id, memory->id));
        assert_true(slice_equal(hit.memory->text, memory->text));
        size_t embeddings = query->flags & LORE_READ_EMBEDDINGS ? memory->embeddings_count : 0;
        assert_int_equal(hit.memory->embeddings_count, embeddings);
    }
    lore_results_destroy(results);
}

/* ---- random conditions ---- */

static const lore_attribute test_attributes[] = {LORE_ATTR_ID,
                                                 LORE_ATTR_KIND,
                                                 LORE_ATTR_LAYER,
                                                 LORE_ATTR_TIER,
                                                 LORE_ATTR_STATUS,
                                                 LORE_ATTR_IMPORTANCE,
                                                 LORE_ATTR_CREATED_AT,
                                                 LORE_ATTR_UPDATED_AT,
                                                 LORE_ATTR_EXPIRES_AT,
                                                 LORE_ATTR_USER,
                                                 LORE_ATTR_AGENT,
                                                 LORE_ATTR_SESSION,
                                                 LORE_ATTR_ROLE,
                                                 LORE_ATTR_TAGS,
                                                 LORE_ATTR_POSITION,
                                                 LORE_ATTR_ACCESS_COUNT,
                                                 LORE_ATTR_LAST_ACCESSED_AT};
#define TEST_ATTRIBUTES (sizeof test_attributes / sizeof test_attributes[0])

static inline bool op_is_valid(lore_attribute attribute, lore_filter_op op) {
    if (attribute == LORE_ATTR_TAGS)
        return op == LORE_FILTER_EQ || op == LORE_FILTER_NE || op == LORE_FILTER_PREFIX;
    return op != LORE_FILTER_PREFIX || attribute_type(attribute) == ATTRIBUTE_TEXT;
}

/* A value of the kind that memories have of the attribute. */
static inline void random_value(lore_filter *filter, uint64_t *random) {
    static const char *const ids[] = {"", "id", "id1", "id17", "x", "x3", "x33", "z"};
    static const char *const usual[] = {"working", "warm", "w", "active", "archived", "ar"};
    filter->text = random_text(random);
    if (filter->attribute == LORE_ATTR_ID) filter->text = lore_slice_of(ids[below(random, 8)]);
    if (filter->attribute == LORE_ATTR_TIER || filter->attribute == LORE_ATTR_STATUS)
        filter->text = lore_slice_of(usual[below(random, 6)]);
    filter->number = test_numbers[below(random, 6)];
    filter->integer = random_time(random);
    if (filter->attribute == LORE_ATTR_POSITION || filter->attribute == LORE_ATTR_ACCESS_COUNT)
        filter->integer = (int64_t)below(random, 12) - 1;
    if (filter->attribute == LORE_ATTR_EXPIRES_AT && below(random, 3) != 0)
        filter->integer = test_clock_us + (int64_t)below(random, 30000) - 10000;
}

static inline void random_filter(lore_filter *filter, uint64_t *random) {
    memset(filter, 0, sizeof *filter);
    filter->attribute = test_attributes[below(random, TEST_ATTRIBUTES)];
    do
        filter->op = (lore_filter_op)below(random, LORE_FILTER_PREFIX + 1);
    while (!op_is_valid(filter->attribute, filter->op));
    random_value(filter, random);
}

#endif
