/* cmd_selftest.c - `lore selftest`: known answers of every digest, codec and kernel on this
 * machine. */
#include "commands.h"
#include "output.h"

struct tests {
    struct table table;
    struct text json;
    struct json_writer writer;
    unsigned passed, failed;
};

static void on_test(void *context, const char *name, bool passed) {
    struct tests *tests = context;
    *(passed ? &tests->passed : &tests->failed) += 1;
    table_cell(&tests->table, name);
    table_cell(&tests->table, passed ? "passed" : "FAILED");
    jw_begin_object(&tests->writer);
    jw_string_member(&tests->writer, "name", name);
    jw_bool_member(&tests->writer, "passed", passed);
    jw_end_object(&tests->writer);
}

int cmd_selftest(struct cli *cli) {
    struct tests tests = {.passed = 0};
    tests.writer.out = &tests.json;
    table_begin(&tests.table, 2);
    jw_begin_object(&tests.writer);
    jw_key(&tests.writer, "tests");
    jw_begin_array(&tests.writer);
    lore_status status = lore_selftest(on_test, &tests);
    jw_end_array(&tests.writer);
    jw_uint_member(&tests.writer, "passed", tests.passed);
    jw_uint_member(&tests.writer, "failed", tests.failed);
    jw_end_object(&tests.writer);
    int code;
    if (cli->json) {
        table_free(&tests.table);
        code = print_json(cli, &tests.json);
    } else {
        code = table_end(&tests.table, cli, NULL);
    }
    text_free(&tests.json);
    if (code == 0 && status != LORE_OK) {
        fail_status(cli, status, "this machine computes wrongly");
        code = fail_next(cli, "keep no store on this machine: test its memory and processor");
    }
    return code;
}
