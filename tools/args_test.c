/* args_test.c - a command line against a small table. */
#include "args.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct option_spec globals[] = {
    {.name = "memory-path", .value = "PATH", .alias = "db"},
    {.name = "json"},
    {.name = "verbose", .letter = 'v', .repeat = true},
    {.name = "help", .letter = 'h'},
    {.name = "version"},
    {.name = NULL}};
static const struct option_spec options[] = {{.name = "limit", .letter = 'n', .value = "N"},
                                             {.name = "tag", .value = "TAG", .repeat = true},
                                             {.name = "all"},
                                             {.name = NULL}};
static const struct command_spec table[] = {{.name = "find",
                                             .alias = "look",
                                             .operands = "TEXT",
                                             .operands_min = 1,
                                             .operands_max = 2,
                                             .options = options},
                                            {.name = "make", .operands = ""},
                                            {.name = NULL}};

static bool parse(struct args *args, struct text *error, const char *line) {
    static char words[512];
    const char *argv[32] = {"lore"};
    int argc = 1;
    strcpy(words, line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    return args_parse(table, globals, argc, argv, args, error);
}

static void accepts(void **state) {
    (void)state;
    struct args args;
    struct text error = {0};
    assert_true(parse(&args, &error, "--db here -vv look --limit=5 a --tag x --tag=y -- --all"));
    assert_string_equal(args.command->name, "find");
    assert_string_equal(args_value(&args, "memory-path"), "here");
    assert_string_equal(args_value(&args, "limit"), "5");
    assert_int_equal(args_count(&args, "verbose"), 2);
    assert_int_equal(args_count(&args, "tag"), 2);
    assert_string_equal(args_nth(&args, "tag", 1), "y");
    assert_null(args_nth(&args, "tag", 2));
    assert_int_equal(args.operands_count, 2);
    assert_string_equal(args.operands[1], "--all");
    assert_false(args_flag(&args, "all"));
    args_free(&args);
    assert_true(parse(&args, &error, "find -n5 - --json --memory-path there"));
    assert_string_equal(args_value(&args, "limit"), "5");
    assert_string_equal(args.operands[0], "-");
    assert_string_equal(args_value(&args, "memory-path"), "there");
    args_free(&args);
    assert_true(parse(&args, &error, "find --help"));
    args_free(&args);
    text_free(&error);
}

static void refuses(void **state) {
    (void)state;
    static const struct {
        const char *line, *word;
    } bad[] = {{"fnd x", "\"find\""},
               {"find", "TEXT"},
               {"find a b c", "\"c\""},
               {"find x --limt 5", "--limit"},
               {"find x --limit", "needs a value"},
               {"find x --limit 1 --limit 2", "twice"},
               {"find x --all=1", "no value"},
               {"make x", "\"x\""},
               {"find x -q", "unknown option -q"},
               {"--all find x", "no verb"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct args args;
        struct text error = {0};
        if (parse(&args, &error, bad[i].line)) fail_msg("%s", bad[i].line);
        if (strstr(text_string(&error), bad[i].word) == NULL)
            fail_msg("%s: %s", bad[i].line, text_string(&error));
        args_free(&args);
        text_free(&error);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepts), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
