/* config_test.c - the lines of a configuration file. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static bool parse(struct config *config, const char *lines, struct text *error) {
    *config = (struct config){0};
    return config_parse(config, "f", lines, strlen(lines), error);
}

static void accepts(void **state) {
    (void)state;
    struct config config;
    struct text error = {0};
    assert_true(parse(&config,
                      "# c\n\n memory_path = \"a b\" \r\nlock_timeout=5m\nmemory_budget = 8 "
                      "MiB\nnew = 1\nwal_path=x\nmemory_path = late",
                      &error));
    assert_string_equal(config_text(&config, SETTING_MEMORY_PATH), "a b");
    assert_string_equal(config.values[SETTING_MEMORY_PATH].origin, "file f:3");
    assert_int_equal(config_duration_ms(&config, SETTING_LOCK_TIMEOUT), 300000);
    assert_int_equal(config_size(&config, SETTING_MEMORY_BUDGET), 8u << 20);
    assert_non_null(strstr(text_string(&config.warnings), "f:6"));
    assert_null(strstr(text_string(&config.warnings), "wal_path"));
    config_free(&config);
    text_free(&error);
}

static void refuses(void **state) {
    (void)state;
    static const char *const bad[] = {"words",
                                      "memory_budget = lots",
                                      "lock_timeout = 1x",
                                      "durability = some",
                                      "lock_timeout = 9y",
                                      "memory_path =",
                                      "group_access = yes"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct config config;
        struct text error = {0};
        if (parse(&config, bad[i], &error)) fail_msg("%s", bad[i]);
        assert_non_null(strstr(text_string(&error), "f:1"));
        config_free(&config);
        text_free(&error);
    }
}

/* The rest of the line was lost, and all the lines behind it, without a word. */
static void zero_byte(void **state) {
    (void)state;
    static const char lines[] = "files_max = 20\0\ndurability = full\n";
    struct config config = {0};
    struct text error = {0};
    assert_false(config_parse(&config, "f", lines, sizeof lines - 1, &error));
    assert_non_null(strstr(text_string(&error), "f: it holds a zero byte"));
    config_free(&config);
    text_free(&error);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepts), cmocka_unit_test(refuses),
                                       cmocka_unit_test(zero_byte)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
