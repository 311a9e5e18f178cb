/*
 * memory_testing.h - what the tests of this floor and the one above share: a store in a file system
 * in memory that can be closed and opened again, and short ways to write and read memories. For
 * *_test.c only.
 */
#ifndef LORE_MEMORY_MEMORY_TESTING_H
#define LORE_MEMORY_MEMORY_TESTING_H

#include <stdio.h>
#include "base/testing.h"
#include "memory/writer.h"
#include "vfs/fs_memory.h"

struct test_store {
    struct fs_memory *files;
    lore_env env;
    lore_options options;
    lore_store *store;
};

static inline void test_store_reopen(struct test_store *self) {
    assert_ok(lore_close(self->store));
    assert_ok(lore_open("store", &self->options, &self->store));
}

static inline void test_store_init(struct test_store *self, lore_background background) {
    const lore_env *posix = env_posix();
    assert_ok(fs_memory_create(posix->allocator, 0, &self->files));
    self->env = *posix;
    self->env.fs = fs_memory_fs(self->files);
    lore_options_init(&self->options);
    self->options.env = &self->env;
    self->options.create_if_missing = true;
    self->options.background = background;
    self->options.reserve_bytes = 4096;
    self->options.log_preallocate_bytes = 64u << 10;
    assert_ok(lore_open("store", &self->options, &self->store));
}

static inline void test_store_deinit(struct test_store *self) {
    assert_ok(lore_close(self->store));
    fs_memory_destroy(self->files);
}

static inline void print_finding(void *context, const lore_finding *finding) {
    (void)context;
    const uint8_t *key = finding->first_key.data;
    fprintf(stderr, "%s %s %s: %s [", lore_status_name(finding->status), finding->kind,
            finding->file, finding->message);
    for (size_t i = 0; i < finding->first_key.size && i < 64; i++)
        fprintf(stderr, "%02x", key[i]);
    fprintf(stderr, "]\n");
}

static inline void assert_verified(lore_store *store, uint64_t memories) {
    lore_verify_report report;
    assert_ok(lore_verify(store, print_finding, NULL, NULL, &report));
    assert_int_equal(report.memories, memories);
    assert_int_equal(report.findings, 0);
}

/* A memory with id and text given, and nothing else. */
static inline lore_memory memory_of(const char *id, const char *text) {
    lore_memory memory;
    lore_memory_init(&memory);
    memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT);
    memory.id = lore_slice_of(id);
    memory.text = lore_slice_of(text);
    return memory;
}

static inline void give_text(lore_memory *memory, lore_attribute attribute, const char *text) {
    memory->fields |= LORE_FIELD(attribute);
    memory_set_text(memory, attribute, lore_slice_of(text));
}

static inline lore_status put_one(lore_store *store, const lore_memory *memory) {
    return lore_memory_put(store, memory, 1, LORE_PUT_REPLACE, NULL);
}

/* NULL if it is not there. Does not count as access. */
static inline lore_record *get_one(lore_store *store, const char *id) {
    lore_record *record;
    lore_status status = lore_memory_get(store, NULL, lore_slice_of(id),
                                         LORE_READ_NO_ACCESS | LORE_READ_EMBEDDINGS, &record);
    if (status == LORE_NOT_FOUND) return NULL;
    assert_ok(status);
    return record;
}

#define assert_slice_equal(slice_given, text_expected)                                             \
    do {                                                                                           \
        lore_slice given_ = (slice_given), expected_ = (text_expected);                            \
        assert_int_equal(given_.size, expected_.size);                                             \
        if (given_.size > 0) assert_memory_equal(given_.data, expected_.data, given_.size);        \
    } while (0)

/* How many keys a keyspace holds now. */
static inline uint64_t count_keys(lore_store *store, uint32_t keyspace) {
    struct store_read reading;
    struct lsm_iterator *iterator;
    uint8_t lower[KEYSPACE_BYTES], upper[KEYSPACE_BYTES];
    uint64_t count = 0;
    put_be32(lower, keyspace);
    put_be32(upper, keyspace + 1);
    assert_ok(store_read_begin(store, NULL, &reading));
    assert_ok(lsm_iterator_create(store_tree(store), store_query_allocator(store), reading.sequence,
                                  slice(lower, sizeof lower), slice(upper, sizeof upper),
                                  &iterator));
    assert_ok(lsm_iterator_seek_first(iterator));
    for (; lsm_iterator_valid(iterator); count++)
        assert_ok(lsm_iterator_next(iterator));
    lsm_iterator_destroy(iterator);
    store_read_end(store, &reading);
    return count;
}

static inline lore_status update_one(lore_store *store, const char *id, uint32_t fields,
                                     lore_memory memory) {
    memory.fields = fields;
    memory.id = lore_slice_of(id);
    return lore_memory_update(store, &memory);
}

static inline lore_memory blank(void) {
    lore_memory memory;
    lore_memory_init(&memory);
    return memory;
}

/* Every field given. */
static const lore_slice tags_of_full[3] = {{"b", 1}, {"a", 1}, {"b", 1}};

static inline lore_memory full_memory(void) {
    lore_memory memory = memory_of("full", "some text");
    give_text(&memory, LORE_ATTR_KIND, "dialogue");
    give_text(&memory, LORE_ATTR_LAYER, "episodic");
    give_text(&memory, LORE_ATTR_TIER, "cold");
    give_text(&memory, LORE_ATTR_STATUS, "archived");
    give_text(&memory, LORE_ATTR_USER, "user 1");
    give_text(&memory, LORE_ATTR_AGENT, "agent 1");
    give_text(&memory, LORE_ATTR_SESSION, "session 1");
    give_text(&memory, LORE_ATTR_ROLE, "assistant");
    give_text(&memory, LORE_ATTR_METADATA, "{\"a\": 1}");
    memory.fields = LORE_FIELD(LORE_ATTR_COUNT) - 1;
    memory.tags = tags_of_full;
    memory.tags_count = 3;
    memory.importance_score = 0.75;
    memory.created_at_us = 11;
    memory.updated_at_us = 12;
    memory.expires_at_us = INT64_MAX;
    memory.position = 44;
    memory.access_count = 5;
    memory.last_accessed_at_us = 6;
    return memory;
}

/* Three: "f32" of 3 dimensions, "f16" of 4, "bits" of 16. */
static inline void create_spaces(lore_store *store) {
    lore_space_spec f32 = {3, LORE_ELEMENT_F32, LORE_METRIC_COSINE, {NULL, 0}};
    lore_space_spec f16 = {4, LORE_ELEMENT_F16, LORE_METRIC_DOT, {NULL, 0}};
    lore_space_spec bits = {16, LORE_ELEMENT_BINARY, LORE_METRIC_HAMMING, {NULL, 0}};
    assert_ok(lore_space_create(store, "f32", &f32));
    assert_ok(lore_space_create(store, "f16", &f16));
    assert_ok(lore_space_create(store, "bits", &bits));
}

static inline lore_embedding embedding_of(const char *space, const char *bytes, size_t size) {
    return (lore_embedding){lore_slice_of(space), slice(bytes, size)};
}

static inline void access_some(lore_store *store, const char *id, unsigned times) {
    for (unsigned i = 0; i < times; i++) {
        lore_record *record;
        assert_ok(lore_memory_get(store, NULL, lore_slice_of(id), 0, &record));
        lore_record_destroy(record);
    }
}

static inline void assert_accessed(lore_store *store, const char *id, uint64_t times) {
    lore_record *record = get_one(store, id);
    assert_non_null(record);
    assert_int_equal(lore_record_memory(record)->access_count, times);
    assert_int_equal(lore_record_memory(record)->last_accessed_at_us > 0, times > 0);
    lore_record_destroy(record);
}

static inline int test_store_set_up(void **state) {
    static struct test_store self;
    memset(&self, 0, sizeof self);
    test_store_init(&self, LORE_BACKGROUND_STEPS);
    *state = &self;
    return 0;
}

static inline int test_store_tear_down(void **state) {
    test_store_deinit(*state);
    return 0;
}

#endif
