/* record_json_test.c - a memory through JSON and back; numbers; what is refused. */
#include "record_json.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void there_and_back(void **state) {
    (void)state;
    lore_memory memory;
    lore_slice tags[] = {{"t", 1}, {"\xff", 1}, {"", 0}};
    lore_embedding embeddings[] = {{{"z", 1}, {"\x01\x02", 2}}, {{"b", 1}, {"\x03\x04", 2}}};
    lore_memory_init(&memory);
    memory.fields = (1u << LORE_ATTR_COUNT) - 1;
    memory.id = (lore_slice){"i\0d", 3};
    memory.text = (lore_slice){"\x01 \"q\" \\ \n \xc3\xa4", 12};
    memory.tier = lore_slice_of("");
    memory.status = lore_slice_of("active");
    memory.session_id = lore_slice_of("s");
    memory.metadata = lore_slice_of("{\"a\": 1.10}");
    memory.tags = tags;
    memory.tags_count = 3;
    memory.importance_score = 0.1;
    memory.created_at_us = -1;
    memory.access_count = UINT64_MAX;
    memory.position = 3;
    memory.embeddings = embeddings;
    memory.embeddings_count = 2;
    struct text first = {0}, second = {0}, error = {0};
    struct json_writer writer = {.out = &first};
    jw_begin_object(&writer);
    record_write(&writer, &memory);
    jw_end_object(&writer);
    assert_string_equal(first.data,
                        "{\"id_b64\":\"aQBk\",\"text\":\"\\u0001 \\\"q\\\" \\\\ \\n "
                        "\xc3\xa4\",\"tier\":\"\",\"status\":\"active\","
                        "\"importance_score\":0.1,\"created_at\":\"1969-12-31T23:59:59.999999Z\","
                        "\"updated_at\":\"1970-01-01T00:00:00.000000Z\",\"access_count\":"
                        "\"18446744073709551615\",\"session_id\":\"s\","
                        "\"position\":3,\"tags\":[\"t\",{\"b64\":\"/"
                        "w==\"},\"\"],\"metadata\":\"{\\\"a\\\": 1.10}\","
                        "\"embeddings\":[{\"space\":\"b\",\"data\":\"AwQ=\"},{\"space\":\"z\","
                        "\"data\":\"AQI=\"}]}");
    json_t *object = json_loadb(first.data, first.size, 0, NULL);
    struct pool pool = {0};
    lore_memory back;
    assert_true(record_read(object, NULL, &pool, &back, &error));
    writer = (struct json_writer){.out = &second};
    jw_begin_object(&writer);
    record_write(&writer, &back);
    jw_end_object(&writer);
    assert_string_equal(first.data, second.data);
    json_decref(object);
    pool_reset(&pool);
    text_free(&first);
    text_free(&second);
    text_free(&error);
}

static void doubles(void **state) {
    (void)state;
    const double numbers[] = {
        0, -0.0, 1, 0.1, 1.0 / 3, DBL_MAX, DBL_MIN, DBL_TRUE_MIN, 0.30000000000000004, 1e21};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct text text = {0};
        struct json_writer writer = {.out = &text};
        jw_double(&writer, numbers[i]);
        double back = strtod(text.data, NULL);
        assert_memory_equal(&back, &numbers[i], sizeof back);
        text_free(&text);
    }
}

static void refuses(void **state) {
    (void)state;
    static const char *const bad[] = {"[]",
                                      "{\"id\":1}",
                                      "{\"id_b64\":\"x\"}",
                                      "{\"id\":\"a\",\"id_b64\":\"YQ==\"}",
                                      "{\"created_at\":\"soon\"}",
                                      "{\"created_at\":1}",
                                      "{\"importance_score\":\"x\"}",
                                      "{\"access_count\":-1}",
                                      "{\"access_count\":\"1x\"}",
                                      "{\"tags\":\"t\"}",
                                      "{\"tags\":[1]}",
                                      "{\"embeddings\":[{}]}",
                                      "{\"embeddings\":[{\"space\":\"s\"}]}",
                                      "{\"colour\":1}",
                                      "{\"access_count\":\"99999999999999999999\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pool pool = {0};
        struct text error = {0};
        lore_memory memory;
        json_t *value = json_loads(bad[i], 0, NULL);
        assert_non_null(value);
        if (record_read(value, NULL, &pool, &memory, &error)) fail_msg("%s", bad[i]);
        assert_true(error.size > 0);
        json_decref(value);
        pool_reset(&pool);
        text_free(&error);
    }
}

static void utf8(void **state) {
    (void)state;
    static const char *const good[] = {
        "", "a", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",         "\xc3",         "\xc0\xaf",
                                      "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xff",         "a\xe2\x82"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(text_is_utf8(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
    assert_false(text_is_utf8("", 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back), cmocka_unit_test(doubles),
                                       cmocka_unit_test(refuses), cmocka_unit_test(utf8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
