/* Tests of limits.c: each limit at n - 1, n and n + 1, and what is refused. */
#include <math.h>

#include "memory/memory_testing.h"

static void text_limits(void **state) {
    struct test_store *self = *state;
    static char long_text[2000];
    static const lore_attribute texts[] = {LORE_ATTR_KIND,    LORE_ATTR_LAYER, LORE_ATTR_TIER,
                                           LORE_ATTR_STATUS,  LORE_ATTR_USER,  LORE_ATTR_AGENT,
                                           LORE_ATTR_SESSION, LORE_ATTR_ROLE};
    memset(long_text, 0, sizeof long_text); /* zero bytes: the longest keys */
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t size = MEMORY_ATTRIBUTE_BYTES_MAX - 1; size <= MEMORY_ATTRIBUTE_BYTES_MAX + 1;
             size++) {
            lore_memory memory = memory_of("a", "t");
            memory.fields |= LORE_FIELD(texts[i]);
            memory_set_text(&memory, texts[i], slice(long_text, size));
            assert_status(put_one(self->store, &memory),
                          size <= MEMORY_ATTRIBUTE_BYTES_MAX ? LORE_OK : LORE_TOO_BIG);
            if (size > MEMORY_ATTRIBUTE_BYTES_MAX) continue;
            lore_record *record = get_one(self->store, "a");
            assert_slice_equal(memory_text_of(lore_record_memory(record), texts[i]),
                               slice(long_text, size));
            lore_record_destroy(record);
        }
    }
    for (size_t size = 0; size <= MEMORY_ID_BYTES_MAX + 1; size += size == 1 ? 510 : 1) {
        lore_memory memory = memory_of("", "t");
        memory.id = slice(long_text, size);
        bool fits = size >= 1 && size <= MEMORY_ID_BYTES_MAX;
        assert_status(put_one(self->store, &memory), fits ? LORE_OK : LORE_INVALID);
        lore_record *record;
        lore_status status = lore_memory_get(self->store, NULL, memory.id, 0, &record);
        assert_status(status, fits ? LORE_OK : LORE_INVALID);
        if (fits) lore_record_destroy(record);
    }
    assert_verified(self->store, 4);
}

static void tag_limits(void **state) {
    struct test_store *self = *state;
    static char room[MEMORY_ATTRIBUTE_BYTES_MAX + 1];
    lore_slice tags[MEMORY_TAGS_MAX + 1];
    char names[MEMORY_TAGS_MAX + 1][8];
    for (size_t i = 0; i <= MEMORY_TAGS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        tags[i] = lore_slice_of(names[i]);
    }
    lore_memory memory = memory_of("a", "t");
    memory.fields |= LORE_FIELD(LORE_ATTR_TAGS);
    memory.tags = tags;
    for (memory.tags_count = MEMORY_TAGS_MAX - 1; memory.tags_count <= MEMORY_TAGS_MAX + 1;
         memory.tags_count++)
        assert_status(put_one(self->store, &memory),
                      memory.tags_count <= MEMORY_TAGS_MAX ? LORE_OK : LORE_TOO_BIG);
    memory.tags_count = 1;
    tags[0] = slice(room, MEMORY_ATTRIBUTE_BYTES_MAX);
    assert_ok(put_one(self->store, &memory));
    tags[0].size++;
    assert_status(put_one(self->store, &memory), LORE_TOO_BIG);
    memory.tags = NULL;
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    assert_verified(self->store, 1);
}

static void number_limits(void **state) {
    struct test_store *self = *state;
    const double good[] = {0, -0.0, 1, 0.5}, bad[] = {-0.1, 1.1, NAN, INFINITY, -INFINITY};
    lore_memory memory = memory_of("a", "t");
    memory.fields |= LORE_FIELD(LORE_ATTR_IMPORTANCE);
    for (size_t i = 0; i < 4; i++) {
        memory.importance_score = good[i];
        assert_ok(put_one(self->store, &memory));
    }
    for (size_t i = 0; i < 5; i++) {
        memory.importance_score = bad[i];
        assert_status(put_one(self->store, &memory), LORE_INVALID);
    }
    memory = memory_of("a", "t");
    memory.fields |= LORE_FIELD(LORE_ATTR_POSITION);
    assert_status(put_one(self->store, &memory), LORE_INVALID); /* no session */
    give_text(&memory, LORE_ATTR_SESSION, "s");
    memory.position = MEMORY_POSITION_MAX + 1;
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    memory.position = MEMORY_POSITION_MAX;
    assert_ok(put_one(self->store, &memory));
    lore_memory next = memory_of("b", "t");
    give_text(&next, LORE_ATTR_SESSION, "s");
    assert_status(put_one(self->store, &next), LORE_TOO_BIG); /* none after the last */
    memory.fields |= LORE_FIELD(LORE_ATTR_ACCESS_COUNT);
    memory.access_count = (uint64_t)INT64_MAX / 2 + 1;
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    memory.access_count = INT64_MAX / 2;
    assert_ok(put_one(self->store, &memory));
    assert_verified(self->store, 1);
}

/* Times are microseconds since 1970, on either side of it. */
static void an_access_before_1970_is_kept(void **state) {
    struct test_store *self = *state;
    const int64_t times[] = {-1, INT64_MIN, 0, 1, INT64_MAX};
    lore_memory memory = memory_of("a", "t");
    memory.fields |= LORE_FIELD(LORE_ATTR_LAST_ACCESSED_AT);
    for (size_t i = 0; i < 5; i++) {
        memory.last_accessed_at_us = times[i];
        assert_ok(put_one(self->store, &memory));
        lore_record *record = get_one(self->store, "a");
        assert_true(lore_record_memory(record)->last_accessed_at_us == times[i]);
        lore_record_destroy(record);
    }
}

static void size_limits(void **state) {
    struct test_store *self = *state;
    size_t limit = (size_t)self->options.memory_budget / 4;
    char *text = malloc(limit + 1);
    assert_non_null(text);
    memset(text, 'x', limit + 1);
    lore_memory memory = memory_of("a", "");
    memory.text = slice(text, limit + 1);
    assert_status(put_one(self->store, &memory), LORE_TOO_BIG);
    memory.text.size = limit / 2;
    memory.fields |= LORE_FIELD(LORE_ATTR_METADATA);
    memory.metadata = slice(text, limit / 2 + 1);
    assert_status(put_one(self->store, &memory), LORE_TOO_BIG);
    memory.text.size = memory.metadata.size = 100000;
    assert_ok(put_one(self->store, &memory));
    assert_ok(lore_compact(self->store, NULL, NULL));
    lore_record *record = get_one(self->store, "a");
    assert_slice_equal(lore_record_memory(record)->text, slice(text, 100000));
    assert_slice_equal(lore_record_memory(record)->metadata, slice(text, 100000));
    lore_record_destroy(record);
    free(text);
    assert_verified(self->store, 1);
}

/* Flags that lore.h does not name, among them one that the engine uses inside. */
static void unknown_flags_are_refused(void **state) {
    struct test_store *self = *state;
    lore_memory memory = memory_of("a", "t");
    assert_ok(put_one(self->store, &memory));
    const unsigned flags[] = {8, MEMORY_NO_TEXT, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        lore_record *record;
        lore_memory_iter *iter;
        assert_status(lore_memory_get(self->store, NULL, lore_slice_of("a"), flags[i], &record),
                      LORE_INVALID);
        assert_null(record);
        assert_status(lore_memory_iter_create(self->store, NULL, flags[i], &iter), LORE_INVALID);
        assert_null(iter);
    }
}

static void what_is_refused(void **state) {
    struct test_store *self = *state;
    lore_memory memory = memory_of("a", "t");
    memory.struct_size = 0;
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    memory = memory_of("a", "t");
    memory.fields |= LORE_FIELD(LORE_ATTR_COUNT);
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    memory = memory_of("a", "t");
    memory.fields = LORE_FIELD(LORE_ATTR_TEXT); /* an id that is set but not given */
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    memory = memory_of("a", "t");
    memory.text = slice(NULL, 1);
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    memory = memory_of("a", "t");
    assert_status(lore_memory_put(self->store, &memory, 1, (lore_put_mode)7, NULL), LORE_INVALID);
    assert_ok(lore_memory_put(self->store, NULL, 0, LORE_PUT_REPLACE, NULL));
    assert_status(lore_memory_put(self->store, NULL, 1, LORE_PUT_REPLACE, NULL), LORE_INVALID);
    assert_status(lore_memory_update(self->store, NULL), LORE_INVALID);
    /* A name at NULL, as long as that of a space that is there. */
    lore_space_spec spec = {
        .dimensions = 1, .element = LORE_ELEMENT_INT8, .metric = LORE_METRIC_DOT};
    assert_ok(lore_space_create(self->store, "s", &spec));
    lore_embedding embedding = {slice(NULL, 1), slice("v", 1)};
    memory = memory_of("a", "t");
    memory.embeddings = &embedding;
    memory.embeddings_count = 1;
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    assert_verified(self->store, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_store_set_up, test_store_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(text_limits),
        TEST(tag_limits),
        TEST(number_limits),
        TEST(size_limits),
        TEST(what_is_refused),
        TEST(unknown_flags_are_refused),
        TEST(an_access_before_1970_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
