/* import_parse_test.c - records and conversations of others, whole and malformed. */
#include "import_parse.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct import_rules no_rules;

static bool record(const char *line, enum import_format format, const struct import_rules *rules,
                   struct pool *pool, lore_memory *memory) {
    struct text error = {0};
    bool fine = import_record(line, strlen(line), format, rules, pool, memory, &error);
    assert_true(fine || error.size > 0);
    text_free(&error);
    return fine;
}

static void assert_slice(lore_slice slice, const char *want) {
    if (slice.size != strlen(want) || memcmp(slice.data, want, slice.size) != 0)
        fail_msg("%.*s, not %s", (int)slice.size, (const char *)slice.data, want);
}

static void records(void **state) {
    (void)state;
    struct pool pool = {0};
    lore_memory memory;
    assert_true(record("{\"content\": [\"a\", {\"type\":\"text\",\"text\":\"b\"}], \"x\" : {\"y\" "
                       ": [1.10, \"},\"]} , \"role\":null, \"n\":\"\\u0000\"}",
                       IMPORT_JSONL, &no_rules, &pool, &memory));
    assert_slice(memory.text, "a\nb");
    assert_slice(memory.metadata, "{\"x\":{\"y\" : [1.10, \"},\"]},\"n\":\"\\u0000\"}");
    assert_int_equal(memory.fields & LORE_FIELD(LORE_ATTR_ROLE), 0);
    assert_true(record("{\"text\":\"t\",\"metadata\": {\"a\" : 1.10 } ,\"more\":1}", IMPORT_JSONL,
                       &no_rules, &pool, &memory));
    assert_slice(memory.metadata, "{\"a\" : 1.10 }");
    struct import_rules rules = {.maps = {{LORE_ATTR_TEXT, "w"}},
                                 .maps_count = 1,
                                 .sets = {{LORE_ATTR_KIND, "k"}, {LORE_ATTR_TAGS, "x"}},
                                 .sets_count = 2,
                                 .id_from = {"c", "i"},
                                 .id_from_count = 2,
                                 .session_from = {"c"},
                                 .session_from_count = 1};
    assert_true(record("{\"w\":\"t\",\"c\":\"conv\",\"i\":7,\"tags\":[\"a\"]}", IMPORT_JSONL,
                       &rules, &pool, &memory));
    assert_slice(memory.id, "conv/7");
    assert_slice(memory.session_id, "conv");
    assert_slice(memory.kind, "k");
    assert_int_equal(memory.tags_count, 2);
    assert_slice(memory.tags[1], "x");
    static const char *const bad[] = {"",
                                      "[]",
                                      "{",
                                      "{\"text\":1.5}",
                                      "{\"id\":\"a\"}",
                                      "{\"text\":\"a\",\"date\":\"soon\"}",
                                      "{\"text\":\"a\",\"importance\":\"x\"}",
                                      "{\"text\":\"a\",\"position\":-1}",
                                      "{\"text\":\"a\",\"tags\":[1]}",
                                      "{\"text\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (record(bad[i], IMPORT_JSONL, &no_rules, &pool, &memory)) fail_msg("%s", bad[i]);
    }
    assert_false(record("{\"w\":\"t\",\"c\":\"conv\"}", IMPORT_JSONL, &rules, &pool, &memory));
    pool_reset(&pool);
}

static void locomo(void **state) {
    (void)state;
    struct pool pool = {0};
    lore_memory memory;
    static const char line[] = "{\"conv\": \"c-1\", \"id\": \"D2:3\", \"date\": \"1:56 pm on 8 "
                               "May, 2023\", \"text\": \"Ann: Hi: you\"}";
    assert_int_equal(import_detect(line, strlen(line)), IMPORT_LOCOMO);
    assert_true(record(line, IMPORT_LOCOMO, &no_rules, &pool, &memory));
    assert_slice(memory.id, "c-1/D2:3");
    assert_slice(memory.session_id, "c-1/D2");
    assert_slice(memory.role, "Ann");
    assert_slice(memory.text, "Ann: Hi: you");
    assert_slice(memory.tags[0], "c-1");
    assert_int_equal(memory.position, 2);
    assert_int_equal(memory.created_at_us, INT64_C(1683554160000002));
    assert_false(record("{\"conv\":\"c\",\"id\":\"D1:x\",\"date\":\"2023-01-01\",\"text\":\"t\"}",
                        IMPORT_LOCOMO, &no_rules, &pool, &memory));
    assert_false(record("{\"conv\":\"c\",\"id\":\"D1:0\",\"date\":\"2023-01-01\",\"text\":\"t\"}",
                        IMPORT_LOCOMO, &no_rules, &pool, &memory));
    assert_false(
        record("{\"conv\":\"c\",\"text\":\"t\"}", IMPORT_LOCOMO, &no_rules, &pool, &memory));
    assert_int_equal(import_detect("{\"text\":1}", 10), IMPORT_JSONL);
    assert_int_equal(import_detect(" [{\"text\":1}]", 13), IMPORT_ARRAY);
    assert_int_equal(import_detect("[{\"mapping\":{", 13), IMPORT_CHATGPT);
    assert_int_equal(import_detect("[{\"chat_messages\":", 18), IMPORT_CLAUDE);
    assert_int_equal(import_detect("", 0), IMPORT_JSONL);
    pool_reset(&pool);
}

struct seen {
    struct pool pool;
    struct text turns;
    size_t count, stop_at;
};

static struct pool *seen_pool(void *context) {
    return &((struct seen *)context)->pool;
}

static bool seen_emit(void *context, const lore_memory *memory) {
    struct seen *seen = context;
    text_printf(&seen->turns, "%.*s|%.*s;", (int)memory->role.size, (const char *)memory->role.data,
                (int)memory->text.size, (const char *)memory->text.data);
    assert_int_equal(memory->position, seen->count);
    return ++seen->count != seen->stop_at;
}

static bool conversation(const char *bytes, enum import_format format, struct seen *seen) {
    struct import_sink sink = {seen_pool, seen_emit, seen};
    struct text error = {0};
    bool fine = import_conversation(bytes, strlen(bytes), format, &no_rules, &sink, &error);
    assert_true(fine || error.size > 0);
    text_free(&error);
    pool_reset(&seen->pool);
    return fine;
}

#define NODE(id, parent, role, text)                                                               \
    "\"" id "\":{\"parent\":" parent ",\"message\":{\"author\":{\"role\":\"" role                  \
    "\"},\"content\":{\"parts\":[\"" text "\"]}}}"

static void conversations(void **state) {
    (void)state;
    struct seen seen = {.count = 0};
    assert_true(
        conversation("{\"id\":\"g\",\"current_node\":\"c\",\"mapping\":{" NODE(
                         "a", "null", "user",
                         "one") "," NODE("b", "\"a\"", "assistant",
                                         "two") "," NODE("x", "\"a\"", "assistant",
                                                         "not this") "," NODE("c", "\"b\"", "user",
                                                                              "three") "}}",
                     IMPORT_CHATGPT, &seen));
    assert_string_equal(seen.turns.data, "user|one;assistant|two;user|three;");
    text_clear(&seen.turns);
    seen.count = 0;
    seen.stop_at = 1;
    assert_true(conversation("{\"uuid\":\"c\",\"chat_messages\":[{\"sender\":\"human\",\"text\":"
                             "\"q\"},{\"sender\":\"assistant\",\"text\":\"a\"}]}",
                             IMPORT_CLAUDE, &seen));
    assert_string_equal(seen.turns.data, "user|q;");
    seen.count = 0;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"id\":\"g\"}",
        "{\"id\":\"g\",\"mapping\":[]}",
        "{\"mapping\":{}}",
        "{\"id\":\"g\",\"current_node\":\"a\",\"mapping\":{" NODE(
            "a", "\"b\"", "user", "1") "," NODE("b", "\"a\"", "user", "2") "}}",
        "{\"id\":\"g\",\"current_node\":\"a\",\"mapping\":{" NODE("a", "\"a\"", "user", "1") "}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (conversation(bad[i], IMPORT_CHATGPT, &seen)) fail_msg("%s", bad[i]);
        assert_false(conversation(bad[i], IMPORT_CLAUDE, &seen));
    }
    assert_int_equal(seen.count, 0);
    text_free(&seen.turns);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(records), cmocka_unit_test(locomo),
                                       cmocka_unit_test(conversations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
