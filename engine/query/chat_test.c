/*
 * chat_test.c - the turns of sessions: ranges, the last so many, so many tokens, roles, expiry,
 * against the same done over all records.
 */
#include "query/query_testing.h"

static void put_turn(const char *session, uint64_t position, const char *role, const char *text,
                     int64_t expires_at_us) {
    lore_memory memory;
    lore_memory_init(&memory);
    memory.session_id = lore_slice_of(session);
    memory.position = position;
    memory.role = lore_slice_of(role);
    memory.text = lore_slice_of(text);
    memory.expires_at_us = expires_at_us;
    memory.fields = LORE_FIELD(LORE_ATTR_SESSION) | LORE_FIELD(LORE_ATTR_POSITION) |
                    LORE_FIELD(LORE_ATTR_ROLE) | LORE_FIELD(LORE_ATTR_TEXT) |
                    LORE_FIELD(LORE_ATTR_EXPIRES_AT);
    assert_ok(lore_memory_put(test_store, &memory, 1, LORE_PUT_INSERT, NULL));
}

static void assert_turns(const lore_chat_query *query, const char *expected) {
    lore_results *results;
    char texts[256] = "";
    assert_ok(lore_chat(test_store, NULL, query, &results));
    for (size_t i = 0; i < lore_results_count(results); i++) {
        lore_hit hit = lore_results_hit(results, i);
        assert_true(hit.distance == 0);
        strncat(texts, hit.memory->text.data, hit.memory->text.size);
        strcat(texts, ";");
    }
    assert_string_equal(texts, expected);
    lore_results_destroy(results);
}

static void turns_of_a_session(void **state) {
    (void)state;
    put_turn("s", 2, "user", "two", 0);
    put_turn("s", 0, "user", "zero", 0);
    put_turn("s2", 0, "user", "other", 0);
    put_turn("s", 1, "assistant", "one!!", 0);
    put_turn("s", 7, "assistant", "seven", test_clock_us);
    put_turn("s", 9, "user", "nine", 0);
    for (int round = 0; round < 3; round++) {
        lore_chat_query query;
        lore_chat_query_init(&query);
        query.session_id = lore_slice_of("s");
        query.flags = LORE_READ_NO_ACCESS;
        assert_turns(&query, "zero;one!!;two;nine;");
        query.flags |= LORE_READ_EXPIRED;
        assert_turns(&query, "zero;one!!;two;seven;nine;");
        query.flags = LORE_READ_NO_ACCESS;
        query.from_position = 1;
        query.to_position = 9;
        assert_turns(&query, "one!!;two;");
        query.from_position = 9;
        assert_turns(&query, "");
        query.to_position = 3; /* an empty range, turned around */
        assert_turns(&query, "");
        query.from_position = 0;
        query.to_position = UINT64_MAX;
        query.last = 2;
        assert_turns(&query, "two;nine;");
        query.last = 100;
        assert_turns(&query, "zero;one!!;two;nine;");
        query.role = lore_slice_of("user");
        query.last = 2;
        assert_turns(&query, "two;nine;");
        query.role = lore_slice_of("assistant");
        assert_turns(&query, "one!!;");
        query.role = slice(NULL, 0);
        query.last = 0;
        query.tokens_max = 2; /* nine, two: a token each; one!! takes two */
        assert_turns(&query, "two;nine;");
        query.tokens_max = 3;
        assert_turns(&query, "two;nine;");
        query.tokens_max = 4;
        assert_turns(&query, "one!!;two;nine;");
        query.last = 1;
        assert_turns(&query, "nine;");
        query.last = 0;
        query.tokens_max = 1;
        query.role = lore_slice_of("assistant");
        assert_turns(&query, "");
        lore_chat_query_init(&query);
        query.session_id = lore_slice_of("s3");
        assert_turns(&query, "");
        query.session_id = lore_slice_of("s2");
        query.flags = LORE_READ_NO_ACCESS;
        assert_turns(&query, "other;");
        if (round == 0)
            assert_ok(lore_flush(test_store));
        else
            assert_ok(lore_compact(test_store, NULL, NULL));
    }
}

static void bad_queries_are_refused(void **state) {
    (void)state;
    lore_chat_query query;
    lore_results *results;
    lore_chat_query_init(&query);
    assert_status(lore_chat(test_store, NULL, &query, &results), LORE_INVALID);
    assert_null(results);
    query.session_id = lore_slice_of("s");
    query.flags = 1u << 20;
    assert_status(lore_chat(test_store, NULL, &query, &results), LORE_INVALID);
    query.flags = 0;
    query.struct_size = 1;
    assert_status(lore_chat(test_store, NULL, &query, &results), LORE_INVALID);
    assert_status(lore_chat(test_store, NULL, NULL, &results), LORE_INVALID);
}

/* ---- random sessions ---- */

static int by_position(const void *left, const void *right) {
    const lore_record *a = *(lore_record *const *)left, *b = *(lore_record *const *)right;
    uint64_t x = lore_record_memory(a)->position, y = lore_record_memory(b)->position;
    if (x != y) return x < y ? -1 : 1;
    return lore_record_row(a) < lore_record_row(b) ? -1 : 1;
}

static bool is_turn(const lore_memory *memory, const lore_chat_query *query) {
    bool shown = (query->flags & LORE_READ_EXPIRED) != 0 || !plainly_expired(memory);
    return shown && slice_equal(memory->session_id, query->session_id) &&
           memory->position >= query->from_position && memory->position < query->to_position &&
           (query->role.size == 0 || slice_equal(memory->role, query->role));
}

static void check_chat(struct test_all *all, const lore_snapshot *snapshot,
                       const lore_chat_query *query) {
    lore_record *turns[1024];
    size_t count = 0, first = 0;
    for (size_t i = 0; i < all->count; i++) {
        if (is_turn(lore_record_memory(all->records[i]), query)) turns[count++] = all->records[i];
    }
    qsort(turns, count, sizeof turns[0], by_position);
    if (query->last > 0 && count > query->last) first = count - query->last;
    uint64_t tokens = 0;
    for (size_t i = count; query->tokens_max > 0 && i-- > first;) {
        tokens += (lore_record_memory(turns[i])->text.size + 3) / 4;
        if (tokens > query->tokens_max) first = i + 1;
    }
    lore_results *results;
    assert_ok(lore_chat(test_store, snapshot, query, &results));
    assert_int_equal(lore_results_count(results), count - first);
    for (size_t i = first; i < count; i++)
        assert_int_equal(lore_results_hit(results, i - first).row, lore_record_row(turns[i]));
    lore_results_destroy(results);
}

static void random_chats(const lore_snapshot *snapshot, uint64_t *random) {
    static struct test_all all;
    all_read(&all, snapshot);
    for (int round = 0; round < 60; round++) {
        lore_chat_query query;
        lore_chat_query_init(&query);
        query.session_id = test_texts[1 + below(random, TEST_TEXTS - 1)];
        query.flags = LORE_READ_NO_ACCESS;
        if (below(random, 3) == 0) query.flags |= LORE_READ_EXPIRED;
        if (below(random, 2) == 0) query.from_position = below(random, 12);
        if (below(random, 2) == 0) query.to_position = below(random, 12);
        if (below(random, 2) == 0) query.last = 1 + below(random, 5);
        if (below(random, 3) == 0) query.tokens_max = 1 + below(random, 12);
        if (below(random, 3) == 0) query.role = random_text(random);
        check_chat(&all, snapshot, &query);
    }
    all_free(&all);
}

static void random_sessions(void **state) {
    (void)state;
    uint64_t random = test_seed();
    create_spaces();
    for (int round = 0; round < 6; round++) {
        lore_snapshot *snapshot;
        for (size_t i = 0; i < 60; i++)
            change_random(150, &random);
        random_chats(NULL, &random);
        assert_ok(lore_snapshot_create(test_store, &snapshot));
        for (size_t i = 0; i < 60; i++)
            put_random(below(&random, 150), &random);
        assert_ok(lore_flush(test_store));
        random_chats(snapshot, &random);
        lore_snapshot_release(snapshot);
    }
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_STORE(turns_of_a_session),
        WITH_STORE(bad_queries_are_refused),
        WITH_STORE(random_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
