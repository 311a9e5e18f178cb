/* timetext_test.c - times written and read back, in every form, and what is no time. */
#include "timetext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define DAY INT64_C(86400000000)

static void reads(void **state) {
    (void)state;
    const int64_t may = INT64_C(1683554160000000); /* 2023-05-08T13:56:00Z */
    static const char *const same[] = {"2023-05-08T13:56:00Z",         "2023-05-08 13:56",
                                       "2023-05-08T15:56:00+02:00",    "2023-05-08T11:26-0230",
                                       "1:56 pm on 8 May, 2023",       "1:56 PM on 8 May 2023",
                                       "13:56 on 8 May, 2023",         "@1683554160",
                                       "2023-05-08T13:56:00.0000009Z", "  2023-05-08T13:56Z"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        int64_t time_us;
        if (!time_parse(same[i], 0, 0, &time_us) || time_us != may) fail_msg("%s", same[i]);
    }
    int64_t time_us;
    assert_true(time_parse("12:09 am on 1 January, 1970", 0, 0, &time_us));
    assert_int_equal(time_us, INT64_C(540000000));
    assert_true(time_parse("12:00 pm on Jan. 1, 1970", 0, 0, &time_us));
    assert_int_equal(time_us, DAY / 2);
    assert_true(time_parse("2024-02-29", 0, 0, &time_us));
    assert_true(time_parse("30d", may, -1, &time_us));
    assert_int_equal(time_us, may - 30 * DAY);
    assert_true(time_parse("1y", may, 1, &time_us));
    assert_int_equal(time_us, may + 365 * DAY);
    assert_true(time_parse("-2w", may, 1, &time_us));
    assert_int_equal(time_us, may - 14 * DAY);
    assert_true(time_parse("now", may, 0, &time_us));
    assert_int_equal(time_us, may);
}

static void refuses(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "2023",
                                      "2023-13-01",
                                      "2023-02-29",
                                      "2023-05-08T24:00",
                                      "2023-05-08T13:56:00X",
                                      "13:56 pm on 8 May, 2023",
                                      "8 Mai 2023",
                                      "30",
                                      "d",
                                      "1q",
                                      "@",
                                      "@1x",
                                      "30 d x",
                                      "99999999999999y",
                                      "2023-05-08T13:56:00.Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t time_us;
        if (time_parse(bad[i], 0, 1, &time_us)) fail_msg("%s", bad[i]);
    }
    int64_t time_us;
    assert_false(time_parse("30d", 0, 0, &time_us));
}

static void reads_back(void **state) {
    (void)state;
    const int64_t edges[] = {0,
                             -1,
                             1,
                             INT64_MAX,
                             INT64_MIN,
                             INT64_C(253402300799999999),
                             INT64_C(253402300800000000),
                             -INT64_C(62167219200000000),
                             -INT64_C(62167219200000001),
                             INT64_C(951782400000000)};
    unsigned seed = 7;
    for (size_t i = 0; i < 20000; i++) {
        int64_t time_us = 0, back;
        if (i < sizeof edges / sizeof *edges) {
            time_us = edges[i];
        } else {
            for (int k = 0; k < 5; k++) {
                seed = seed * 1103515245u + 12345u;
                time_us = (int64_t)((uint64_t)time_us << 13 ^ seed >> 8);
            }
            time_us >>= i % 30;
        }
        struct text text = {0};
        time_format(&text, time_us);
        if (!time_parse(text.data, 0, 0, &back) || back != time_us) fail_msg("%s", text.data);
        text_free(&text);
    }
    struct text text = {0};
    time_format(&text, INT64_C(1683554160000001));
    assert_string_equal(text.data, "2023-05-08T13:56:00.000001Z");
    text_free(&text);
}

static void numbers(void **state) {
    (void)state;
    int64_t time_us;
    assert_true(time_from_number(1700000000.5, &time_us));
    assert_int_equal(time_us, INT64_C(1700000000500000));
    assert_true(time_from_number(1700000000500.0, &time_us));
    assert_int_equal(time_us, INT64_C(1700000000500000));
    assert_true(time_from_number(1700000000500000.0, &time_us));
    assert_int_equal(time_us, INT64_C(1700000000500000));
    assert_false(time_from_number(1e300, &time_us));
    assert_true(duration_parse("500ms", &time_us));
    assert_int_equal(time_us, 500000);
    assert_true(duration_parse("30", &time_us));
    assert_int_equal(time_us, 30000000);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads), cmocka_unit_test(refuses),
                                       cmocka_unit_test(reads_back), cmocka_unit_test(numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
