/*
 * log_chain_test.c - logs that are each sound and do not belong together: missing, exchanged,
 * another store's, cut where a record ends. Opening says which file, and where; it never begins
 * anew.
 */
#include <string.h>

#include "base/testing.h"
#include "store/store_internal.h"
#include "vfs/fs_memory.h"

#define LOG_2 "store/g-000001/log-0000000002"
#define LOG_3 "store/g-000001/log-0000000003"

static void options_of(lore_options *options, const lore_env *env) {
    lore_options_init(options);
    options->env = env;
    options->create_if_missing = true;
    options->background = LORE_BACKGROUND_STEPS;
    options->reserve_bytes = 0;
    options->log_preallocate_bytes = 4096;
}

static lore_env env_of(struct fs_memory *disk) {
    return (lore_env){env_posix()->allocator, fs_memory_fs(disk), env_posix()->sys};
}

/* Closed, with two logs that count, 2 and 3. */
static struct fs_memory *make_store(void) {
    struct fs_memory *disk;
    assert_int_equal(fs_memory_create(env_posix()->allocator, 0, &disk), LORE_OK);
    lore_env env = env_of(disk);
    lore_options options;
    lore_store *store;
    options_of(&options, &env);
    assert_int_equal(lore_open("store", &options, &store), LORE_OK);
    for (int log = 1; log <= 3; log++) {
        for (int i = 0; i < log; i++)
            assert_int_equal(lore_put(store, 1, slice(&i, sizeof i), slice(&log, sizeof log)),
                             LORE_OK);
        if (log == 3) break;
        commit_lead_begin(store);
        assert_int_equal(commit_switch_log(store, 0, true), LORE_OK);
        commit_lead_end(store);
    }
    assert_int_equal(lore_close(store), LORE_OK);
    return disk;
}

static void move(struct fs_memory *disk, const char *from, const char *to) {
    lore_env env = env_of(disk);
    assert_int_equal(fs_rename(&env, from, to), LORE_OK);
}

static void copy(struct fs_memory *from, struct fs_memory *to, const char *path) {
    lore_env env = env_of(to);
    uint64_t size;
    const uint8_t *bytes = fs_memory_bytes(from, path, &size);
    assert_non_null(bytes);
    assert_int_equal(fs_replace_file(&env, path, false, slice(bytes, (size_t)size)), LORE_OK);
}

/* Refused with this in the reason, both to write and to read; and the disk goes. */
static void refuses(struct fs_memory *disk, const char *reason) {
    lore_env env = env_of(disk);
    lore_options options;
    lore_store *store;
    options_of(&options, &env);
    for (int read_only = 0; read_only < 2; read_only++) {
        options.read_only = read_only != 0;
        options.create_if_missing = !options.read_only;
        assert_int_equal(lore_open("store", &options, &store), LORE_CORRUPTION);
        if (strstr(lore_error_message(), reason) == NULL)
            assert_string_equal(lore_error_message(), reason);
    }
    fs_memory_destroy(disk);
}

static void a_log_is_missing(void **state) {
    (void)state;
    struct fs_memory *disk = make_store();
    lore_env env = env_of(disk);
    assert_int_equal(fs_unlink(&env, LOG_3), LORE_OK);
    refuses(disk, LOG_3 ": missing or empty, but it was there");
    disk = make_store();
    env = env_of(disk);
    assert_int_equal(fs_unlink(&env, LOG_2), LORE_OK);
    refuses(disk, "missing; the catalog says that it holds what is not in segments yet");
}

static void logs_change_places(void **state) {
    (void)state;
    struct fs_memory *disk = make_store();
    move(disk, LOG_2, "store/g-000001/x");
    move(disk, LOG_3, LOG_2);
    move(disk, "store/g-000001/x", LOG_3);
    refuses(disk, LOG_2 ": offset 56: this is log 3 under another name");
}

static void a_log_of_another_store(void **state) {
    (void)state;
    struct fs_memory *disk = make_store(), *other = make_store();
    copy(other, disk, LOG_2);
    fs_memory_destroy(other);
    refuses(disk, LOG_2 ": offset 24: belongs to another store or lineage");
}

/* The newest log loses what came after a record: its close among that, which the catalog remembers.
 */
static void a_closed_log_is_cut(void **state) {
    (void)state;
    for (uint64_t size = 0; size < 1000; size += 40) {
        struct fs_memory *disk = make_store();
        lore_env env = env_of(disk);
        struct file *file;
        uint64_t whole;
        assert_non_null(fs_memory_bytes(disk, LOG_3, &whole));
        if (size >= whole) {
            fs_memory_destroy(disk);
            break;
        }
        assert_int_equal(fs_open(&env, LOG_3, FILE_WRITE, false, &file), LORE_OK);
        assert_int_equal(file_truncate(file, size), LORE_OK);
        file_close(file);
        refuses(disk, "log-0000000003");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_is_missing), cmocka_unit_test(logs_change_places),
        cmocka_unit_test(a_log_of_another_store), cmocka_unit_test(a_closed_log_is_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
