#include "base/log.h"
#include "base/testing.h"

struct sink {
    int calls;
    lore_log_level level;
    char text[2000];
};

static void keep(void *context, lore_log_level level, const char *message) {
    struct sink *sink = context;
    sink->calls++;
    sink->level = level;
    assert_true(strlen(message) < sizeof sink->text);
    memcpy(sink->text, message, strlen(message) + 1);
}

static void levels_are_kept_apart(void **state) {
    (void)state;
    struct sink sink = {0};
    struct logger logger = {keep, &sink, LORE_LOG_WARNING};
    log_write(&logger, LORE_LOG_INFO, "not this");
    assert_int_equal(sink.calls, 0);
    log_write(&logger, LORE_LOG_WARNING, "flush of %d bytes", 12);
    assert_int_equal(sink.calls, 1);
    assert_int_equal(sink.level, LORE_LOG_WARNING);
    assert_string_equal(sink.text, "flush of 12 bytes");
    log_write(&logger, LORE_LOG_ERROR, "worse");
    assert_int_equal(sink.calls, 2);
}

static void long_messages_are_cut(void **state) {
    (void)state;
    struct sink sink = {0};
    struct logger logger = {keep, &sink, LORE_LOG_DEBUG};
    log_write(&logger, LORE_LOG_DEBUG, "%1500d", 1);
    assert_int_equal(strlen(sink.text), 1023);
}

static void no_logger_is_silence(void **state) {
    (void)state;
    struct logger logger = {NULL, NULL, LORE_LOG_DEBUG};
    log_write(&logger, LORE_LOG_ERROR, "nobody hears");
    log_write(NULL, LORE_LOG_ERROR, "nobody hears");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_kept_apart),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(no_logger_is_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
