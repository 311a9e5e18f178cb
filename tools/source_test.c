/* source_test.c - lines and array elements from memory and from a pipe that trickles. */
#include "source.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void expect_line(struct source *source, const char *want) {
    const char *line;
    size_t size;
    assert_int_equal(source_line(source, 8, &line, &size), SOURCE_OK);
    assert_int_equal(size, strlen(want));
    assert_memory_equal(line, want, size);
}

static void lines(void **state) {
    (void)state;
    struct source source;
    const char *line;
    size_t size;
    source_from_memory(&source, "one\r\n\n12345678\n123456789\ncut", 28);
    expect_line(&source, "one");
    expect_line(&source, "");
    expect_line(&source, "12345678");
    assert_int_equal(source_line(&source, 8, &line, &size), SOURCE_TOO_LONG);
    assert_int_equal(source.line, 4);
    expect_line(&source, "cut");
    assert_true(source.last_line_cut);
    assert_int_equal(source.taken, 28);
    assert_int_equal(source_line(&source, 8, &line, &size), SOURCE_END);
    source_close(&source);
}

static void long_pipe(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct source source = {.fd = ends[0]};
    char block[1000];
    memset(block, 'x', sizeof block);
    const char *line;
    size_t size;
    for (int i = 0; i < 50; i++)
        assert_int_equal(write(ends[1], block, sizeof block), 1000);
    assert_int_equal(write(ends[1], "\nnext\n", 6), 6);
    close(ends[1]);
    assert_int_equal(source_line(&source, 50000, &line, &size), SOURCE_OK);
    assert_int_equal(size, 50000);
    expect_line(&source, "next");
    source_close(&source);
}

/* A line over its limit is told of at once, not when it ends: it may never. */
static void endless_line_does_not_block(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct source source = {.fd = ends[0]};
    const char *line;
    size_t size;
    assert_int_equal(write(ends[1], "123456789", 9), 9);
    assert_int_equal(source_line(&source, 8, &line, &size), SOURCE_TOO_LONG);
    assert_int_equal(write(ends[1], "abc\nnext\n", 9), 9);
    close(ends[1]);
    expect_line(&source, "next");
    assert_int_equal(source.line, 2);
    source_close(&source);
}

static void rest_is_bounded(void **state) {
    (void)state;
    struct source source;
    struct text rest = {0};
    source_from_memory(&source, "line\nand the rest", 17);
    expect_line(&source, "line");
    assert_int_equal(source_rest(&source, 12, &rest), SOURCE_END);
    assert_string_equal(text_string(&rest), "and the rest");
    source_close(&source);
    text_clear(&rest);
    source_from_memory(&source, "and the rest", 12);
    assert_int_equal(source_rest(&source, 11, &rest), SOURCE_TOO_LONG);
    source_close(&source);
    text_free(&rest);
}

static void devices_without_end_are_refused(void **state) {
    (void)state;
    struct source source;
    assert_false(source_open(&source, "/dev/zero"));
    assert_int_equal(errno, SOURCE_IS_DEVICE);
    assert_false(source_open(&source, "/"));
    assert_int_equal(errno, EISDIR);
    assert_true(source_open(&source, "/dev/null"));
    source_close(&source);
}

static void expect_element(struct source *source, const char *want) {
    const char *value;
    size_t size;
    assert_int_equal(source_array_next(source, 64, &value, &size), SOURCE_OK);
    if (size != strlen(want) || memcmp(value, want, size) != 0) fail_msg("%.*s", (int)size, value);
}

static void arrays(void **state) {
    (void)state;
    static const char text[] = " [ {\"a\": \"],}\\\\\\\"\"} , [1,[2]],3 ,\"s,]\" ] ";
    struct source source;
    const char *value;
    size_t size;
    source_from_memory(&source, text, strlen(text));
    expect_element(&source, "{\"a\": \"],}\\\\\\\"\"} ");
    expect_element(&source, "[1,[2]]");
    expect_element(&source, "3 ");
    expect_element(&source, "\"s,]\" ");
    assert_int_equal(source_array_next(&source, 64, &value, &size), SOURCE_END);
    source_close(&source);
    static const char *const bad[] = {"",   "{}",   "[",    "[1",   "[1,", "[1,]",
                                      "[}", "[\"a", "[,1]", "[1 2", "[[1]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum source_result result;
        source_from_memory(&source, bad[i], strlen(bad[i]));
        do {
            result = source_array_next(&source, 64, &value, &size);
        } while (result == SOURCE_OK);
        if (result != SOURCE_MALFORMED) fail_msg("%s", bad[i]);
        source_close(&source);
    }
    source_from_memory(&source, "[[[[[[[[[[[[[[[[[[[[", 20);
    assert_int_equal(source_array_next(&source, 8, &value, &size), SOURCE_TOO_LONG);
    source_close(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),           cmocka_unit_test(long_pipe),
        cmocka_unit_test(arrays),          cmocka_unit_test(endless_line_does_not_block),
        cmocka_unit_test(rest_is_bounded), cmocka_unit_test(devices_without_end_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
