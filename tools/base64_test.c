/* base64_test.c - known answers of RFC 4648, and what must be refused. */
#include "base64.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void known_answers(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct text out = {0};
        base64_encode(&out, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(text_string(&out), pairs[i][1]);
        uint8_t back[16];
        size_t size;
        assert_true(base64_decode(pairs[i][1], strlen(pairs[i][1]), back, &size));
        assert_int_equal(size, strlen(pairs[i][0]));
        assert_memory_equal(back, pairs[i][0], size);
        text_free(&out);
    }
}

static void refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zg==Zg==", "Zh==", "Zm9=", "Z===", "====", "Zm9v Zg==", "Zm8_"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t out[16];
        size_t size;
        assert_false(base64_decode(bad[i], strlen(bad[i]), out, &size));
    }
}

static void every_byte(void **state) {
    (void)state;
    uint8_t bytes[256], back[300];
    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    for (size_t size = 0; size <= 256; size++) {
        struct text out = {0};
        size_t got;
        base64_encode(&out, bytes, size);
        assert_true(base64_decode(text_string(&out), out.size, back, &got));
        assert_int_equal(got, size);
        assert_memory_equal(back, bytes, size);
        text_free(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(refused),
                                       cmocka_unit_test(every_byte)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
