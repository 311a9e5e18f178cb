/*
 * Tests of memories through the public calls: every field there and back, updates that leave alone
 * what they do not name, batches, sessions, expiry, embeddings, iteration.
 */
#include "memory/memory_testing.h"
#include "vfs/sync.h"

/* ---- fields ---- */

static void assert_same(const lore_memory *a, const lore_memory *b) {
    for (unsigned i = 0; i < LORE_ATTR_COUNT; i++) {
        lore_attribute attribute = (lore_attribute)i;
        if (attribute == LORE_ATTR_TAGS || attribute == LORE_ATTR_IMPORTANCE) continue;
        if (attribute_type(attribute) == ATTRIBUTE_INTEGER)
            assert_int_equal(memory_integer_of(a, attribute), memory_integer_of(b, attribute));
        else
            assert_slice_equal(memory_text_of(a, attribute), memory_text_of(b, attribute));
    }
    assert_true(a->importance_score == b->importance_score);
    assert_int_equal(a->tags_count, b->tags_count);
    for (size_t i = 0; i < a->tags_count; i++)
        assert_slice_equal(a->tags[i], b->tags[i]);
}

static void every_field_there_and_back(void **state) {
    struct test_store *self = *state;
    lore_memory full = full_memory();
    assert_ok(put_one(self->store, &full));
    for (unsigned round = 0; round < 3; round++) {
        lore_record *record = get_one(self->store, "full");
        assert_non_null(record);
        assert_same(&full, lore_record_memory(record));
        assert_int_equal(lore_record_memory(record)->fields, full.fields);
        lore_record_destroy(record);
        if (round == 0)
            assert_ok(lore_compact(self->store, NULL, NULL));
        else
            test_store_reopen(self);
    }
    assert_verified(self->store, 1);
}

/* LORE_NOT_FOUND is no failure: the text of one before it would be read as this one's. */
static void what_is_not_found_leaves_no_old_text(void **state) {
    struct test_store *self = *state;
    lore_slice id = lore_slice_of("nobody"), there = lore_slice_of("full");
    lore_memory full = full_memory(), update = blank();
    lore_buffer value = {0};
    lore_record *record;
    update.fields = LORE_FIELD(LORE_ATTR_ID);
    update.id = id;
    assert_ok(put_one(self->store, &full));
#define EXPECT_NO_TEXT(call)                                                                       \
    do {                                                                                           \
        fail(LORE_IO, "an old text");                                                              \
        assert_status((call), LORE_NOT_FOUND);                                                     \
        assert_null(strstr(lore_error_message(), "an old text"));                                  \
    } while (0)
    EXPECT_NO_TEXT(lore_get(self->store, NULL, 1, id, &value, NULL));
    EXPECT_NO_TEXT(lore_memory_get(self->store, NULL, id, 0, &record));
    EXPECT_NO_TEXT(lore_memory_update(self->store, &update));
    EXPECT_NO_TEXT(lore_memory_delete(self->store, id));
    EXPECT_NO_TEXT(lore_embedding_delete(self->store, id, "space"));
    EXPECT_NO_TEXT(lore_embedding_delete(self->store, there, "no space"));
    EXPECT_NO_TEXT(lore_note_get(self->store, "note", &value));
    EXPECT_NO_TEXT(lore_snapshot_drop(self->store, "name"));
    EXPECT_NO_TEXT(lore_lock_owner("/nowhere", NULL, &value));
#undef EXPECT_NO_TEXT
    lore_buffer_free(&value);
}

static void defaults(void **state) {
    struct test_store *self = *state;
    lore_memory memory = blank();
    lore_buffer id = {0};
    int64_t before_us = env_now_us(&self->env);
    assert_ok(lore_memory_put(self->store, &memory, 1, LORE_PUT_INSERT, &id));
    assert_int_equal(id.size, 36);
    lore_record *record;
    assert_ok(lore_memory_get(self->store, NULL, slice(id.data, id.size), 0, &record));
    const lore_memory *there = lore_record_memory(record);
    assert_slice_equal(there->id, slice(id.data, id.size));
    assert_slice_equal(there->tier, lore_slice_of("working"));
    assert_slice_equal(there->status, lore_slice_of("active"));
    assert_true(there->importance_score == 0.5);
    assert_true(there->created_at_us >= before_us && there->updated_at_us >= before_us);
    assert_int_equal(there->text.size, 0);
    assert_int_equal(there->expires_at_us, 0);
    assert_int_equal(there->fields & LORE_FIELD(LORE_ATTR_KIND), 0);
    lore_record_destroy(record);
    lore_buffer_free(&id);
    assert_verified(self->store, 1);
}

/* An empty text that was given is not the default. */
static void empty_is_not_default(void **state) {
    struct test_store *self = *state;
    lore_memory memory = memory_of("a", "");
    give_text(&memory, LORE_ATTR_TIER, "");
    give_text(&memory, LORE_ATTR_STATUS, "");
    assert_ok(put_one(self->store, &memory));
    lore_record *record = get_one(self->store, "a");
    lore_memory again = *lore_record_memory(record);
    assert_int_equal(again.tier.size, 0);
    assert_true((again.fields & LORE_FIELD(LORE_ATTR_TIER)) != 0);
    again.id = lore_slice_of("b");
    assert_ok(put_one(self->store, &again));
    lore_record *other = get_one(self->store, "b");
    assert_int_equal(lore_record_memory(other)->tier.size, 0);
    assert_int_equal(lore_record_memory(other)->created_at_us, again.created_at_us);
    lore_record_destroy(other);
    lore_record_destroy(record);
    assert_verified(self->store, 2);
}

/* ---- updates ---- */

static void an_update_changes_what_it_names(void **state) {
    struct test_store *self = *state;
    for (unsigned a = 0; a < LORE_ATTR_COUNT; a++) {
        lore_attribute attribute = (lore_attribute)a;
        lore_memory full = full_memory(), change = blank();
        if (attribute == LORE_ATTR_ID) continue;
        assert_ok(put_one(self->store, &full));
        lore_record *record = get_one(self->store, "full");
        uint64_t row = lore_record_row(record);
        lore_record_destroy(record);
        if (attribute == LORE_ATTR_TAGS) {
            change.tags = tags_of_full + 1;
            change.tags_count = full.tags_count = 1;
            full.tags = change.tags;
        } else if (attribute == LORE_ATTR_IMPORTANCE) {
            change.importance_score = full.importance_score = 0.125;
        } else if (attribute_type(attribute) == ATTRIBUTE_INTEGER) {
            memory_set_integer(&change, attribute, INT64_MAX / 2 - 77);
            memory_set_integer(&full, attribute, INT64_MAX / 2 - 77);
        } else {
            memory_set_text(&change, attribute, lore_slice_of("changed"));
            memory_set_text(&full, attribute, lore_slice_of("changed"));
            /* Another session: at its beginning. */
            if (attribute == LORE_ATTR_SESSION) full.position = 0;
        }
        change.updated_at_us = full.updated_at_us = attribute == LORE_ATTR_UPDATED_AT ? 77 : 12;
        assert_ok(update_one(self->store, "full", LORE_FIELD(a) | LORE_FIELD(LORE_ATTR_UPDATED_AT),
                             change));
        record = get_one(self->store, "full");
        assert_same(&full, lore_record_memory(record));
        assert_int_equal(lore_record_row(record) == row, attribute != LORE_ATTR_TEXT);
        lore_record_destroy(record);
        assert_verified(self->store, 1);
        assert_ok(lore_memory_delete(self->store, lore_slice_of("full")));
        assert_verified(self->store, 0);
    }
}

static void an_update_moves_updated_at(void **state) {
    struct test_store *self = *state;
    lore_memory memory = memory_of("a", "t");
    memory.fields |= LORE_FIELD(LORE_ATTR_UPDATED_AT);
    memory.updated_at_us = 5;
    assert_ok(put_one(self->store, &memory));
    memory = blank();
    memory.kind = lore_slice_of("k");
    assert_ok(update_one(self->store, "a", LORE_FIELD(LORE_ATTR_KIND), memory));
    lore_record *record = get_one(self->store, "a");
    assert_true(lore_record_memory(record)->updated_at_us > 5);
    lore_record_destroy(record);
    assert_status(update_one(self->store, "b", LORE_FIELD(LORE_ATTR_KIND), memory), LORE_NOT_FOUND);
    assert_status(lore_memory_delete(self->store, lore_slice_of("b")), LORE_NOT_FOUND);
}

/* Entries of the batch in question: all that differs, and nothing else. */
static void unchanged_index_entries_are_not_written(void **state) {
    struct test_store *self = *state;
    lore_memory full = full_memory(), change = blank();
    assert_ok(put_one(self->store, &full));
    lore_stats before = {.struct_size = sizeof before}, after = before;
    assert_ok(lore_stats_get(self->store, &before));
    change.kind = lore_slice_of("other");
    change.updated_at_us = 12;
    assert_ok(update_one(self->store, "full",
                         LORE_FIELD(LORE_ATTR_KIND) | LORE_FIELD(LORE_ATTR_UPDATED_AT), change));
    assert_ok(lore_stats_get(self->store, &after));
    /* Two index entries and the attributes; perhaps an entry of the map of times. */
    uint64_t entries = after.last_sequence - before.last_sequence;
    assert_true(entries == 3 || entries == 4);
    assert_int_equal(after.row_watermark, before.row_watermark);
}

static void a_text_is_a_row(void **state) {
    struct test_store *self = *state;
    lore_memory memory = memory_of("a", "one");
    assert_ok(put_one(self->store, &memory));
    lore_record *record = get_one(self->store, "a");
    uint64_t row = lore_record_row(record);
    lore_record_destroy(record);
    assert_ok(put_one(self->store, &memory)); /* the same text */
    record = get_one(self->store, "a");
    assert_int_equal(lore_record_row(record), row);
    lore_record_destroy(record);
    assert_int_equal(count_keys(self->store, KEYSPACE_DEAD), 0);
    memory.text = lore_slice_of("two");
    assert_ok(put_one(self->store, &memory));
    record = get_one(self->store, "a");
    assert_true(lore_record_row(record) > row);
    assert_slice_equal(lore_record_memory(record)->text, lore_slice_of("two"));
    lore_record_destroy(record);
    assert_int_equal(count_keys(self->store, KEYSPACE_DEAD), 1);
    assert_int_equal(count_keys(self->store, KEYSPACE_RECORD), 2);
    assert_verified(self->store, 1);
    assert_ok(lore_compact(self->store, NULL, NULL));
    assert_int_equal(count_keys(self->store, KEYSPACE_DEAD),
                     0); /* nobody needs them at the last level */
    assert_verified(self->store, 1);
}

static void replace_is_anew_but_for_its_history(void **state) {
    struct test_store *self = *state;
    lore_memory full = full_memory(), memory = memory_of("full", "some text");
    assert_ok(put_one(self->store, &full));
    give_text(&memory, LORE_ATTR_SESSION, "session 1");
    assert_ok(put_one(self->store, &memory));
    lore_record *record = get_one(self->store, "full");
    const lore_memory *there = lore_record_memory(record);
    assert_int_equal(there->created_at_us, full.created_at_us);
    assert_int_equal(there->access_count, full.access_count);
    assert_int_equal(there->last_accessed_at_us, full.last_accessed_at_us);
    assert_int_equal(there->position, full.position);
    assert_true(there->updated_at_us > full.updated_at_us);
    assert_int_equal(there->kind.size, 0);
    assert_int_equal(there->tags_count, 0);
    assert_slice_equal(there->tier, lore_slice_of("working"));
    lore_record_destroy(record);
    assert_verified(self->store, 1);
    assert_status(lore_memory_put(self->store, &memory, 1, LORE_PUT_INSERT, NULL), LORE_EXISTS);
}

/* ---- batches ---- */

static void a_batch_is_all_or_none(void **state) {
    struct test_store *self = *state;
    lore_memory memories[3] = {memory_of("a", "1"), memory_of("b", "2"), memory_of("a", "3")};
    assert_status(lore_memory_put(self->store, memories, 3, LORE_PUT_REPLACE, NULL), LORE_INVALID);
    assert_verified(self->store, 0);
    memories[2].id = lore_slice_of("c");
    memories[2].fields |= LORE_FIELD(LORE_ATTR_IMPORTANCE);
    memories[2].importance_score = 2;
    assert_status(lore_memory_put(self->store, memories, 3, LORE_PUT_REPLACE, NULL), LORE_INVALID);
    assert_non_null(strstr(lore_error_message(), "memory 2"));
    memories[2].importance_score = 1;
    assert_ok(lore_memory_put(self->store, memories, 2, LORE_PUT_INSERT, NULL));
    assert_status(lore_memory_put(self->store, memories + 1, 2, LORE_PUT_INSERT, NULL),
                  LORE_EXISTS);
    assert_verified(self->store, 2);
    assert_ok(lore_memory_put(self->store, memories + 1, 2, LORE_PUT_REPLACE, NULL));
    assert_verified(self->store, 3);
}

static void a_large_batch(void **state) {
    struct test_store *self = *state;
    enum { N = 256 };
    static lore_memory memories[N];
    static lore_buffer ids[N];
    char sessions[4] = "s0";
    for (size_t i = 0; i < N; i++) {
        memories[i] = memory_of("", "a turn");
        memories[i].fields = LORE_FIELD(LORE_ATTR_TEXT) | LORE_FIELD(LORE_ATTR_SESSION);
        memories[i].id = slice(NULL, 0);
        memories[i].session_id = slice(sessions, 1 + i % 2);
    }
    assert_ok(lore_memory_put(self->store, memories, N, LORE_PUT_INSERT, ids));
    for (size_t i = 0; i < N; i++) {
        lore_record *record;
        assert_ok(lore_memory_get(self->store, NULL, slice(ids[i].data, ids[i].size), 0, &record));
        assert_int_equal(lore_record_memory(record)->position, i / 2);
        lore_record_destroy(record);
        if (i > 0) assert_true(memcmp(ids[i - 1].data, ids[i].data, 36) < 0);
    }
    for (size_t i = 0; i < N; i++)
        lore_buffer_free(&ids[i]);
    assert_verified(self->store, N);
}

/* An older caller's struct is shorter, and so is each element of its array. */
static void structs_of_another_size(void **state) {
    struct test_store *self = *state;
    size_t size = offsetof(lore_memory, last_accessed_at_us);
    uint8_t *array = malloc(2 * size);
    assert_non_null(array);
    lore_memory memories[2] = {memory_of("a", "1"), memory_of("b", "2")};
    for (size_t i = 0; i < 2; i++) {
        memories[i].struct_size = size;
        memcpy(array + i * size, &memories[i], size);
    }
    assert_ok(lore_memory_put(self->store, (const lore_memory *)(const void *)array, 2,
                              LORE_PUT_INSERT, NULL));
    free(array);
    assert_verified(self->store, 2);
}

/* ---- sessions ---- */

static uint64_t position_of(lore_store *store, const char *id) {
    lore_record *record = get_one(store, id);
    assert_non_null(record);
    uint64_t position = lore_record_memory(record)->position;
    lore_record_destroy(record);
    return position;
}

static void put_turn(lore_store *store, const char *id, const char *session) {
    lore_memory memory = memory_of(id, "a turn");
    give_text(&memory, LORE_ATTR_SESSION, session);
    assert_ok(put_one(store, &memory));
}

static void positions_follow_each_other(void **state) {
    struct test_store *self = *state;
    put_turn(self->store, "a", "s");
    put_turn(self->store, "b", "s");
    put_turn(self->store, "c", "t");
    assert_int_equal(position_of(self->store, "a"), 0);
    assert_int_equal(position_of(self->store, "b"), 1);
    assert_int_equal(position_of(self->store, "c"), 0);
    lore_memory memory = memory_of("d", "a turn");
    give_text(&memory, LORE_ATTR_SESSION, "s");
    memory.fields |= LORE_FIELD(LORE_ATTR_POSITION);
    memory.position = 10;
    assert_ok(put_one(self->store, &memory));
    memory = memory_of("e", "a turn");
    give_text(&memory, LORE_ATTR_SESSION, "s");
    memory.fields |= LORE_FIELD(LORE_ATTR_POSITION);
    memory.position = 5;
    assert_ok(put_one(self->store, &memory));
    put_turn(self->store, "f", "s");
    assert_int_equal(position_of(self->store, "f"), 11);
    assert_ok(lore_memory_delete(self->store, lore_slice_of("f")));
    put_turn(self->store, "g", "s");
    assert_int_equal(position_of(self->store, "g"), 12);
    assert_verified(self->store, 6);
    assert_int_equal(count_keys(self->store, KEYSPACE_HEAD), 2);
    lore_memory change = blank(); /* leaves one session and enters another */
    change.session_id = lore_slice_of("t");
    assert_ok(update_one(self->store, "g", LORE_FIELD(LORE_ATTR_SESSION), change));
    assert_int_equal(position_of(self->store, "g"), 1);
    change.session_id = slice(NULL, 0);
    assert_ok(update_one(self->store, "g", LORE_FIELD(LORE_ATTR_SESSION), change));
    assert_status(update_one(self->store, "g", LORE_FIELD(LORE_ATTR_POSITION), change),
                  LORE_INVALID);
    assert_verified(self->store, 6);
    assert_ok(lore_memory_delete(self->store, lore_slice_of("c")));
    assert_int_equal(count_keys(self->store, KEYSPACE_HEAD),
                     1); /* gone with the last of its session */
    put_turn(self->store, "c", "t");
    assert_int_equal(position_of(self->store, "c"), 0);
    assert_verified(self->store, 6);
}

/* ---- expiry ---- */

static void expired_memories_are_hidden(void **state) {
    struct test_store *self = *state;
    lore_memory memory = memory_of("a", "old");
    memory.fields |= LORE_FIELD(LORE_ATTR_EXPIRES_AT);
    memory.expires_at_us = 1;
    assert_ok(put_one(self->store, &memory));
    memory = memory_of("b", "new");
    assert_ok(put_one(self->store, &memory));
    lore_record *record;
    assert_status(lore_memory_get(self->store, NULL, lore_slice_of("a"), 0, &record),
                  LORE_NOT_FOUND);
    assert_null(record);
    assert_ok(lore_memory_get(self->store, NULL, lore_slice_of("a"), LORE_READ_EXPIRED, &record));
    lore_record_destroy(record);
    for (unsigned flags = 0; flags <= LORE_READ_EXPIRED; flags += LORE_READ_EXPIRED) {
        lore_memory_iter *iter;
        size_t count = 0;
        assert_ok(lore_memory_iter_create(self->store, NULL, flags, &iter));
        for (;; count++) {
            assert_ok(lore_memory_iter_next(iter, &record));
            if (record == NULL) break;
            lore_record_destroy(record);
        }
        assert_ok(lore_memory_iter_next(iter, &record));
        assert_null(record);
        lore_memory_iter_destroy(iter);
        assert_int_equal(count, flags == 0 ? 1 : 2);
    }
    lore_memory change = blank(); /* brought back */
    change.expires_at_us = 0;
    assert_ok(update_one(self->store, "a", LORE_FIELD(LORE_ATTR_EXPIRES_AT), change));
    assert_ok(lore_memory_get(self->store, NULL, lore_slice_of("a"), 0, &record));
    lore_record_destroy(record);
    assert_verified(self->store, 2);
}

static void expiry_to_the_microsecond(void **state) {
    (void)state;
    lore_memory memory = blank();
    assert_false(memory_is_expired(&memory, INT64_MAX));
    memory.expires_at_us = 100;
    assert_false(memory_is_expired(&memory, 99));
    assert_true(memory_is_expired(&memory, 100));
    assert_true(memory_is_expired(&memory, 101));
}

/* ---- embeddings ---- */

/* The bytes in a space, or NULL for none. */
static void assert_embedding(lore_store *store, const char *id, const char *space,
                             const char *bytes, size_t size) {
    lore_record *record = get_one(store, id);
    assert_non_null(record);
    const lore_memory *memory = lore_record_memory(record);
    bool found = false;
    for (size_t i = 0; i < memory->embeddings_count; i++) {
        if (!slice_equal(memory->embeddings[i].space, lore_slice_of(space))) continue;
        found = true;
        assert_non_null(bytes);
        assert_slice_equal(memory->embeddings[i].data, slice(bytes, size));
    }
    assert_int_equal(found, bytes != NULL);
    lore_record_destroy(record);
}

static void embeddings_in_many_spaces(void **state) {
    struct test_store *self = *state;
    create_spaces(self->store);
    lore_embedding given[3] = {embedding_of("bits", "\1\2", 2),
                               embedding_of("f32", "\0\0\x80\x3f\0\0\0\0\0\0\x80\xbf", 12),
                               embedding_of("f16", "\0\x3c\0\0\0\0\0\0", 8)};
    lore_memory memory = memory_of("a", "t");
    memory.embeddings = given;
    memory.embeddings_count = 2;
    assert_ok(put_one(self->store, &memory));
    assert_embedding(self->store, "a", "bits", "\1\2", 2);
    assert_embedding(self->store, "a", "f16", NULL, 0);
    lore_memory change = blank(); /* adds one, replaces one */
    given[0].data = slice("\7\7", 2);
    lore_embedding more[2] = {given[2], given[0]};
    change.embeddings = more;
    change.embeddings_count = 2;
    assert_ok(update_one(self->store, "a", 0, change));
    assert_ok(lore_flush(self->store));
    for (unsigned round = 0; round < 3; round++) {
        assert_embedding(self->store, "a", "bits", "\7\7", 2);
        assert_embedding(self->store, "a", "f32", given[1].data.data, 12);
        assert_embedding(self->store, "a", "f16", given[2].data.data, 8);
        assert_int_equal(count_keys(self->store, KEYSPACE_VECTORS), 3);
        if (round == 0) { /* they move to the new row */
            lore_memory text = blank();
            text.text = lore_slice_of("another text");
            assert_ok(update_one(self->store, "a", LORE_FIELD(LORE_ATTR_TEXT), text));
        } else {
            assert_ok(lore_compact(self->store, NULL, NULL));
            test_store_reopen(self);
        }
        assert_verified(self->store, 1);
    }
    assert_ok(lore_embedding_delete(self->store, lore_slice_of("a"), "f32"));
    assert_embedding(self->store, "a", "f32", NULL, 0);
    assert_embedding(self->store, "a", "bits", "\7\7", 2);
    assert_status(lore_embedding_delete(self->store, lore_slice_of("a"), "f32"), LORE_NOT_FOUND);
    assert_status(lore_embedding_delete(self->store, lore_slice_of("a"), "no"), LORE_NOT_FOUND);
    assert_status(lore_embedding_delete(self->store, lore_slice_of("b"), "f16"), LORE_NOT_FOUND);
    memory.embeddings_count = 1; /* a put has the full set */
    assert_ok(put_one(self->store, &memory));
    assert_embedding(self->store, "a", "f16", NULL, 0);
    assert_embedding(self->store, "a", "bits", "\7\7", 2);
    assert_verified(self->store, 1);
    assert_ok(lore_memory_delete(self->store, lore_slice_of("a")));
    assert_int_equal(count_keys(self->store, KEYSPACE_VECTORS), 0);
    assert_verified(self->store, 0);
}

static void embeddings_refused(void **state) {
    struct test_store *self = *state;
    create_spaces(self->store);
    const struct {
        lore_embedding embedding;
        lore_status status;
    } cases[] = {
        {embedding_of("f32", "\0\0\x80\x3f\0\0\0\0\0\0\x80\xbf", 12), LORE_OK},
        {embedding_of("f32", "\0\0\x80\x3f\0\0\0\0\0\0\x80\xbf", 11), LORE_INVALID},
        {embedding_of("f32", "\0\0\x80\x3f\0\0\0\0\0\0\x80\xbf\0", 13), LORE_INVALID},
        {embedding_of("f32", "\0\0\x80\x7f\0\0\0\0\0\0\x80\xbf", 12), LORE_INVALID}, /* infinity */
        {embedding_of("f32", "\1\0\x80\x7f\0\0\0\0\0\0\x80\xbf", 12), LORE_INVALID}, /* NaN */
        {embedding_of("f16", "\0\x7c\0\0\0\0\0\0", 8), LORE_INVALID},
        {embedding_of("f16", "\0\0\0\0\0\0\1\x7c", 8), LORE_INVALID},
        {embedding_of("bits", "\xff\xff", 2), LORE_OK},
        {embedding_of("no", "\xff\xff", 2), LORE_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lore_memory memory = memory_of("a", "t");
        memory.embeddings = &cases[i].embedding;
        memory.embeddings_count = 1;
        assert_status(put_one(self->store, &memory), cases[i].status);
    }
    lore_embedding twice[2] = {cases[0].embedding, cases[0].embedding};
    lore_memory memory = memory_of("a", "t");
    memory.embeddings = twice;
    memory.embeddings_count = 2;
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    memory.embeddings_count = 5000;
    assert_status(put_one(self->store, &memory), LORE_TOO_BIG);
    memory.embeddings = NULL;
    memory.embeddings_count = 1;
    assert_status(put_one(self->store, &memory), LORE_INVALID);
    assert_verified(self->store, 1);
}

/* ---- iteration and snapshots ---- */

static void iteration_in_order_of_id(void **state) {
    struct test_store *self = *state;
    static const char *const ids[] = {"b", "aa", "c", "a", "\xc3\xa4"};
    static const char *const order[] = {"a", "aa", "b", "c", "\xc3\xa4"};
    for (size_t i = 0; i < 5; i++) {
        lore_memory memory = memory_of(ids[i], ids[i]);
        assert_ok(put_one(self->store, &memory));
    }
    lore_snapshot *snapshot;
    assert_ok(lore_snapshot_create(self->store, &snapshot));
    for (unsigned round = 0; round < 2; round++) {
        lore_memory_iter *iter;
        lore_record *record;
        assert_ok(lore_memory_iter_create(self->store, snapshot, 0, &iter));
        if (round == 1) {
            lore_snapshot_release(snapshot); /* the iterator has a pin of its own */
            assert_ok(lore_compact(self->store, NULL, NULL));
        }
        for (size_t i = 0; i < 5; i++) {
            assert_ok(lore_memory_iter_next(iter, &record));
            assert_slice_equal(lore_record_memory(record)->text, lore_slice_of(order[i]));
            lore_record_destroy(record);
            if (round == 0) assert_ok(lore_memory_delete(self->store, lore_slice_of(order[i])));
        }
        assert_ok(lore_memory_iter_next(iter, &record));
        assert_null(record);
        assert_status(lore_close(self->store), LORE_MISUSE); /* still out */
        lore_memory_iter_destroy(iter);
    }
    assert_verified(self->store, 0);
}

static void read_only_beside_the_writer(void **state) {
    struct test_store *self = *state;
    lore_memory memory = memory_of("a", "t");
    assert_ok(put_one(self->store, &memory));
    lore_options options = self->options;
    options.read_only = true;
    lore_store *reader;
    test_store_reopen(self); /* promises all */
    assert_ok(lore_open("store", &options, &reader));
    access_some(reader, "a", 2);
    assert_accessed(reader, "a", 0);
    assert_status(put_one(reader, &memory), LORE_MISUSE);
    assert_status(lore_memory_delete(reader, memory.id), LORE_MISUSE);
    assert_verified(reader, 1);
    assert_ok(lore_close(reader));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, test_store_set_up, test_store_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_field_there_and_back),
        TEST(what_is_not_found_leaves_no_old_text),
        TEST(defaults),
        TEST(empty_is_not_default),
        TEST(an_update_changes_what_it_names),
        TEST(an_update_moves_updated_at),
        TEST(unchanged_index_entries_are_not_written),
        TEST(a_text_is_a_row),
        TEST(replace_is_anew_but_for_its_history),
        TEST(a_batch_is_all_or_none),
        TEST(a_large_batch),
        TEST(structs_of_another_size),
        TEST(positions_follow_each_other),
        TEST(expired_memories_are_hidden),
        TEST(expiry_to_the_microsecond),
        TEST(embeddings_in_many_spaces),
        TEST(embeddings_refused),
        TEST(iteration_in_order_of_id),
        TEST(read_only_beside_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
