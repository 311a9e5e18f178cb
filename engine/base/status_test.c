#include <pthread.h>
#include <stdio.h>

#include "base/status.h"
#include "base/testing.h"

static void names_are_those_of_the_codes(void **state) {
    (void)state;
    static const char *const names[] = {"LORE_OK",      "LORE_NOT_FOUND",   "LORE_CORRUPTION",
                                        "LORE_IO",      "LORE_FULL",        "LORE_LOCKED",
                                        "LORE_TOO_BIG", "LORE_CONFLICT",    "LORE_INVALID",
                                        "LORE_MISUSE",  "LORE_NO_MEMORY",   "LORE_NO_STORE",
                                        "LORE_EXISTS",  "LORE_UNSUPPORTED", "LORE_CANCELLED"};
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
        assert_string_equal(lore_status_name((lore_status)i), names[i]);
    }
    assert_string_equal(lore_status_name((lore_status)15), "LORE_?");
    assert_string_equal(lore_status_name((lore_status)1000), "LORE_?");
}

static void version_is_that_of_the_header(void **state) {
    (void)state;
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", LORE_VERSION_MAJOR, LORE_VERSION_MINOR,
             LORE_VERSION_PATCH);
    assert_string_equal(lore_version(), expected);
}

static void text_is_formatted_prefixed_and_cut(void **state) {
    (void)state;
    assert_status(fail(LORE_IO, "%s at %d", "file", 7), LORE_IO);
    assert_string_equal(lore_error_message(), "file at 7");
    assert_status(fail_within(LORE_CORRUPTION, "store %s", "x"), LORE_CORRUPTION);
    assert_string_equal(lore_error_message(), "store x: file at 7");
    fail(LORE_IO, "again %s", lore_error_message());
    assert_string_equal(lore_error_message(), "again store x: file at 7");

    char long_text[2000];
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    fail(LORE_IO, "%s", long_text);
    assert_int_equal(strlen(lore_error_message()), 511);
    fail_within(LORE_IO, "prefix");
    assert_int_equal(strlen(lore_error_message()), 511);
    assert_memory_equal(lore_error_message(), "prefix: aaa", 11);
    fail_within(LORE_IO, "%s", long_text);
    assert_int_equal(strlen(lore_error_message()), 511);
}

static void *other_thread(void *context) {
    const char **seen = context;
    seen[0] = lore_error_message()[0] == '\0' ? "empty" : "not empty";
    fail(LORE_IO, "theirs");
    return NULL;
}

static void text_is_per_thread(void **state) {
    (void)state;
    fail(LORE_IO, "mine");
    const char *seen = NULL;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, other_thread, &seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(seen, "empty");
    assert_string_equal(lore_error_message(), "mine");
}

static void slice_of_a_string(void **state) {
    (void)state;
    lore_slice s = lore_slice_of("abc");
    assert_int_equal(s.size, 3);
    assert_memory_equal(s.data, "abc", 3);
    assert_int_equal(lore_slice_of("").size, 0);
    assert_int_equal(lore_slice_of(NULL).size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_codes),
        cmocka_unit_test(version_is_that_of_the_header),
        cmocka_unit_test(text_is_formatted_prefixed_and_cut),
        cmocka_unit_test(text_is_per_thread),
        cmocka_unit_test(slice_of_a_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
