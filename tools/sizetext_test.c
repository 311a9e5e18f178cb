/* sizetext_test.c - sizes in every suffix, and their limits. */
#include "sizetext.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void reads(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {{"0", 0},
                 {"4096", 4096},
                 {"64M", 64u << 20},
                 {"64MiB", 64u << 20},
                 {"100MB", 100000000},
                 {"1k", 1024},
                 {"2 GiB", UINT64_C(2) << 30},
                 {"1TB", UINT64_C(1000000000000)},
                 {"12B", 12},
                 {"9223372036854775807", INT64_MAX}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t bytes;
        assert_true(size_parse(sizes[i].text, &bytes));
        assert_true(bytes == sizes[i].bytes);
    }
}

static void refuses(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "M", "-1", "1.5M", "64Q", "64MiBs", "9999999T", "99999999999999999999", "1 2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t bytes;
        if (size_parse(bad[i], &bytes)) fail_msg("%s", bad[i]);
    }
}

static void counts(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1K",
                                      "1.0",
                                      "1e3",
                                      "0x1",
                                      "9223372036854775808",
                                      "99999999999999999999"};
    uint64_t count = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (count_parse(bad[i], &count) || count != 7) fail_msg("%s", bad[i]);
    assert_true(count_parse("9223372036854775807", &count));
    assert_true(count == INT64_MAX);
    assert_true(count_parse("0", &count));
    assert_true(count == 0);
}

static void writes(void **state) {
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {{0, "0 B"},
                 {1023, "1023 B"},
                 {1024, "1.0 KiB"},
                 {1536 * 1024, "1.5 MiB"},
                 {(1u << 20) - 1, "1.0 MiB"},
                 {UINT64_MAX, "16.0 EiB"}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct text text = {0};
        size_format(&text, sizes[i].bytes);
        assert_string_equal(text.data, sizes[i].text);
        text_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads), cmocka_unit_test(refuses),
                                       cmocka_unit_test(writes), cmocka_unit_test(counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
