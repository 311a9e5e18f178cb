/*
 * layout_test.c - names in a store's folder: only the form that is written is understood, and
 * what else lies there is left alone.
 */
#include "store/layout.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/digest.h"
#include "base/testing.h"
#include "lore.h"
#include "vfs/fs_memory.h"

/* Two names of one number were one generation, and one log, though only one name is ever opened. */
static void one_name_for_one_number(void **state) {
    (void)state;
    static const char *const generations[] = {"g-000001", "g-1234567", "g-000012.building",
                                              "g-18446744073709551615"};
    static const char *const strangers[] = {"g-0000001",      "g-00000012.building",
                                            "g-00001",        "g-000000",
                                            "g-000001.old",   "g-",
                                            "g-000001 ",      "log-00000000001",
                                            "log-000000001",  "log-0000000000",
                                            "log-",           "log-0000000001.old",
                                            "log-",           "log--000000001",
                                            "LOG-0000000001", "log-18446744073709551616"};
    uint64_t number;
    bool building;
    char path[PATH_BYTES_MAX];
    for (size_t i = 0; i < sizeof generations / sizeof generations[0]; i++) {
        assert_true(layout_generation_parse(generations[i], &number, &building));
        assert_int_equal(layout_generation_dir(path, "d", number, building), LORE_OK);
        assert_string_equal(path + 2, generations[i]);
    }
    assert_true(layout_log_parse("log-0000000007", &number) && number == 7);
    assert_true(layout_log_parse("log-12345678901", &number) && number == 12345678901);
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        assert_false(layout_generation_parse(strangers[i], &number, &building));
        assert_false(layout_log_parse(strangers[i], &number));
    }
}

/* ---- CURRENT ---- */

static lore_status reads(const lore_env *env, const char *line, size_t size) {
    struct current current;
    assert_int_equal(fs_replace_file(env, "CURRENT", false, slice(line, size)), LORE_OK);
    return current_read(env, ".", &current);
}

/* `body` with the check that belongs to it. */
static lore_status reads_checked(const lore_env *env, const char *body) {
    char line[300];
    int size = snprintf(line, sizeof line, "%s%016" PRIx64 "\n", body, check64(body, strlen(body)));
    return reads(env, line, (size_t)size);
}

#define ID "7e570000000000000000000000c0ffee"

static void current_in_one_form(void **state) {
    (void)state;
    struct fs_memory *disk;
    assert_int_equal(fs_memory_create(env_posix()->allocator, 0, &disk), LORE_OK);
    lore_env env = {env_posix()->allocator, fs_memory_fs(disk), env_posix()->sys};
    struct current current = {.generation = 3, .store_id = {0x7e, 0x57}};
    assert_int_equal(current_replace(&env, ".", false, &current), LORE_OK);
    struct bytes line = bytes_empty(env.allocator);
    assert_int_equal(fs_read_file(&env, "CURRENT", 256, &line), LORE_OK);
    assert_int_equal(reads(&env, (char *)line.data, line.size), LORE_OK);
    for (size_t i = 0; i < 8 * line.size; i++) {
        line.data[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(reads(&env, (char *)line.data, line.size), LORE_CORRUPTION);
        line.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t size = 0; size < line.size; size++)
        assert_int_equal(reads(&env, (char *)line.data, size), LORE_CORRUPTION);
    assert_int_equal(bytes_append(&line, "\n", 1), LORE_OK);
    assert_int_equal(reads(&env, (char *)line.data, line.size), LORE_CORRUPTION);
    char longer[257];
    memset(longer, ' ', sizeof longer);
    assert_int_equal(reads(&env, longer, 256), LORE_CORRUPTION);
    assert_int_equal(reads(&env, longer, 257), LORE_CORRUPTION);
    bytes_free(&line);
    fs_memory_destroy(disk);
}

/* The check holds: what it is about decides. */
static void current_that_says_something_else(void **state) {
    (void)state;
    struct fs_memory *disk;
    assert_int_equal(fs_memory_create(env_posix()->allocator, 0, &disk), LORE_OK);
    lore_env env = {env_posix()->allocator, fs_memory_fs(disk), env_posix()->sys};
    assert_int_equal(reads_checked(&env, "lore 1 g-000001 " ID " "), LORE_OK);
    assert_int_equal(reads_checked(&env, "lore 2 g-000001 " ID " "), LORE_UNSUPPORTED);
    static const char *const bad[] = {"lore 01 g-000001 " ID " ",
                                      "lore 1 g-0000001 " ID " ",
                                      "lore 1 g-1 " ID " ",
                                      "lore 1 g-000001 7E570000000000000000000000C0FFEE ",
                                      "lore 1 g-000001 " ID,
                                      "lore 1 g-000001  " ID " ",
                                      "lore 1 g-000001 " ID "  ",
                                      "lore x g-000001 " ID " ",
                                      "lore 1 h-000001 " ID " ",
                                      "lore 1 g-x " ID " ",
                                      "lore 1 g-000001x " ID " ",
                                      "lore 99999999999999999999 g-000001 " ID " ",
                                      "lore 1 g-99999999999999999999 " ID " ",
                                      "lore 1 g-000001 7e57",
                                      "Lore 1 g-000001 " ID " "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(reads_checked(&env, bad[i]), LORE_CORRUPTION);
    struct current current;
    assert_int_equal(current_read(&env, "nowhere", &current), LORE_NO_STORE);
    fs_memory_destroy(disk);
}

/* ---- a store ---- */

static void make_file(const lore_env *env, const char *path) {
    struct file *file;
    assert_int_equal(fs_open(env, path, FILE_CREATE, false, &file), LORE_OK);
    file_close(file);
}

/* A stranger's file with a log's number in another form kept the store from opening. */
static void a_stranger_beside_the_logs(void **state) {
    (void)state;
    struct fs_memory *disk;
    assert_int_equal(fs_memory_create(env_posix()->allocator, 0, &disk), LORE_OK);
    lore_env env = {env_posix()->allocator, fs_memory_fs(disk), env_posix()->sys};
    lore_options options;
    lore_options_init(&options);
    options.env = &env;
    options.create_if_missing = true;
    options.background = LORE_BACKGROUND_STEPS;
    options.reserve_bytes = 0;
    lore_store *store;
    assert_int_equal(lore_open("store", &options, &store), LORE_OK);
    assert_int_equal(lore_put(store, 1, lore_slice_of("k"), lore_slice_of("v")), LORE_OK);
    assert_int_equal(lore_flush(store), LORE_OK); /* the first log counts no more */
    assert_int_equal(lore_close(store), LORE_OK);
    make_file(&env, "store/g-000001/log-00000000001");
    assert_int_equal(lore_open("store", &options, &store), LORE_OK);
    assert_int_equal(lore_close(store), LORE_OK);
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    assert_int_equal(
        env.fs->ops->stat(env.fs, "store/g-000001/log-00000000001", &size, &is_dir, &mode),
        LORE_OK);
    fs_memory_destroy(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_name_for_one_number),
                                       cmocka_unit_test(current_in_one_form),
                                       cmocka_unit_test(current_that_says_something_else),
                                       cmocka_unit_test(a_stranger_beside_the_logs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
