/* file_pool_test.c - how many files are open, which one is closed, and when a dropped one is
 * unlinked. */
#include <stdatomic.h>
#include <stdio.h>

#include "segment/file_pool.h"
#include "vfs/fs_fault.h"
#include "vfs/fs_memory.h"
#include "vfs/sync.h"
#include "base/testing.h"

static struct fs_memory *disk;
static struct fs_fault *fault;
static struct test_allocator memory;
static lore_env env;
static struct file_pool *pool;

static void write_file(const char *path, const char *content) {
    struct file *file;
    assert_ok(fs_open(&env, path, FILE_CREATE, false, &file));
    assert_ok(file_write(file, 0, content, strlen(content)));
    file_close(file);
}

static void start(uint32_t files_max, bool keep_open) {
    test_allocator_init(&memory);
    env = *env_posix();
    assert_ok(fs_memory_create(env_posix()->allocator, 0, &disk));
    assert_ok(fs_fault_create(env_posix()->allocator, fs_memory_fs(disk), &fault));
    env.fs = fs_fault_fs(fault);
    for (int i = 0; i < 8; i++) {
        char path[16];
        snprintf(path, sizeof path, "f%d", i);
        write_file(path, path);
    }
    assert_ok(file_pool_create(&env, &memory.base, files_max, keep_open, &pool));
    fs_fault_set_plan(fault, &(struct fault_plan){.calls = FAULT_OPEN, .at = UINT64_MAX});
}

static void stop(void) {
    file_pool_destroy(pool);
    assert_int_equal(memory.blocks, 0);
    fs_fault_destroy(fault);
    fs_memory_destroy(disk);
}

static struct pooled_file *make(int number) {
    char path[16];
    snprintf(path, sizeof path, "f%d", number);
    struct pooled_file *file;
    assert_ok(pooled_file_create(pool, path, &file));
    assert_string_equal(pooled_file_path(file), path);
    return file;
}

static void assert_reads(struct pooled_file *file, int number) {
    char data[2];
    assert_ok(pooled_file_read(file, 0, data, 2));
    assert_int_equal(data[0], 'f');
    assert_int_equal(data[1], '0' + number);
}

static void the_least_recently_used_is_closed(void **state) {
    (void)state;
    start(3, false);
    struct pooled_file *files[5];
    for (int i = 0; i < 5; i++)
        files[i] = make(i);
    assert_int_equal(file_pool_open_count(pool), 0);
    for (int i = 0; i < 3; i++)
        assert_reads(files[i], i);
    assert_reads(files[0], 0);
    assert_int_equal(fs_fault_calls(fault), 3);
    assert_reads(files[3], 3); /* closes 1 */
    assert_int_equal(file_pool_open_count(pool), 3);
    assert_reads(files[0], 0);
    assert_reads(files[2], 2);
    assert_int_equal(fs_fault_calls(fault), 4);
    assert_reads(files[1], 1); /* closes 3 */
    assert_reads(files[0], 0);
    assert_reads(files[2], 2);
    assert_int_equal(fs_fault_calls(fault), 5);
    assert_reads(files[4], 4);
    assert_int_equal(file_pool_open_count(pool), 3);
    uint64_t size;
    assert_ok(pooled_file_size(files[3], &size));
    assert_int_equal(size, 2);
    for (int i = 0; i < 5; i++)
        pooled_file_release(files[i]);
    assert_int_equal(file_pool_open_count(pool), 0);
    stop();
}

static bool exists(const char *path) {
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    return env.fs->ops->stat(env.fs, path, &size, &is_dir, &mode) == LORE_OK;
}

static void dropped_files_go_with_their_last_reference(void **state) {
    (void)state;
    start(2, false);
    struct pooled_file *file = make(0);
    pooled_file_retain(file);
    pooled_file_mark_dropped(file);
    assert_reads(file, 0);
    pooled_file_release(file);
    assert_true(exists("f0"));
    assert_reads(file, 0);
    pooled_file_release(file);
    assert_false(exists("f0"));
    /* One that was never read; one that is not dropped; one whose unlink fails. */
    file = make(1);
    pooled_file_mark_dropped(file);
    pooled_file_release(file);
    assert_false(exists("f1"));
    pooled_file_release(make(2));
    assert_true(exists("f2"));
    fs_fault_set_plan(fault,
                      &(struct fault_plan){.calls = FAULT_UNLINK, .at = 0, .status = LORE_IO});
    file = make(3);
    pooled_file_mark_dropped(file);
    pooled_file_release(file);
    assert_true(exists("f3"));
    stop();
}

static void kept_files_survive_their_names(void **state) {
    (void)state;
    start(2, true);
    struct pooled_file *files[4];
    for (int i = 0; i < 4; i++)
        files[i] = make(i);
    assert_int_equal(file_pool_open_count(pool), 4);
    for (int i = 0; i < 4; i++) {
        char path[16];
        snprintf(path, sizeof path, "f%d", i);
        assert_ok(fs_unlink(&env, path));
    }
    for (int i = 0; i < 4; i++)
        assert_reads(files[i], i);
    /* Whoever asks for the path while it is held gets the same file. */
    struct pooled_file *again, *gone;
    assert_ok(pooled_file_create(pool, "f0", &again));
    assert_ptr_equal(again, files[0]);
    assert_int_equal(file_pool_open_count(pool), 4);
    for (int i = 0; i < 4; i++)
        pooled_file_release(files[i]);
    assert_int_equal(file_pool_open_count(pool), 1);
    assert_reads(again, 0);
    pooled_file_release(again);
    assert_status(pooled_file_create(pool, "f0", &gone), LORE_NOT_FOUND);
    assert_int_equal(file_pool_open_count(pool), 0);
    stop();
}

static void a_missing_file_is_corruption(void **state) {
    (void)state;
    start(2, false);
    struct pooled_file *file = make(0);
    assert_ok(fs_unlink(&env, "f0"));
    char data[3];
    assert_status(pooled_file_read(file, 0, data, 2), LORE_CORRUPTION);
    assert_non_null(strstr(lore_error_message(), "f0"));
    assert_int_equal(file_pool_open_count(pool), 0);
    pooled_file_release(file);

    file = make(1);
    assert_status(pooled_file_read(file, 0, data, 3), LORE_CORRUPTION); /* too short */
    assert_status(pooled_file_read(file, 2, data, 1), LORE_CORRUPTION);
    assert_reads(file, 1);
    pooled_file_release(file);
    stop();
}

static void a_failed_open_leaves_the_file_usable(void **state) {
    (void)state;
    start(1, false);
    struct pooled_file *one = make(0), *two = make(1);
    assert_reads(one, 0);
    fs_fault_set_plan(fault, &(struct fault_plan){.calls = FAULT_OPEN, .at = 0, .status = LORE_IO});
    char data[2];
    assert_status(pooled_file_read(two, 0, data, 2), LORE_IO);
    assert_int_equal(file_pool_open_count(pool), 0);
    assert_reads(two, 1);
    assert_reads(one, 0);
    fs_fault_set_plan(fault, &(struct fault_plan){.calls = FAULT_READ, .at = 0, .status = LORE_IO});
    assert_status(pooled_file_read(one, 0, data, 2), LORE_IO);
    assert_reads(one, 0);
    pooled_file_release(one);
    pooled_file_release(two);
    stop();
}

static void failed_allocations_are_undone(void **state) {
    (void)state;
    start(2, false);
    memory.fail_at = 0;
    struct file_pool *other;
    struct pooled_file *file;
    assert_status(file_pool_create(&env, &memory.base, 1, false, &other), LORE_NO_MEMORY);
    assert_status(pooled_file_create(pool, "f0", &file), LORE_NO_MEMORY);
    memory.fail_at = -1;
    stop();
}

/* ---- threads ---- */

static struct pooled_file *shared[8];

struct client {
    struct thread *thread;
    uint64_t seed;
    uint64_t wrong;
    uint64_t most_open;
};

static void client_main(void *context) {
    struct client *client = context;
    for (int i = 0; i < 2000; i++) {
        uint64_t number = test_random(&client->seed) % 8;
        char data[2] = {0, 0};
        pooled_file_retain(shared[number]);
        lore_status status = pooled_file_read(shared[number], 0, data, 2);
        client->wrong += status != LORE_OK || data[1] != (char)('0' + number);
        uint64_t open_count = file_pool_open_count(pool);
        if (open_count > client->most_open) client->most_open = open_count;
        pooled_file_release(shared[number]);
    }
}

static void threads_share_few_places(void **state) {
    (void)state;
    for (uint32_t files_max = 1; files_max <= 3; files_max++) {
        start(files_max, false);
        for (int i = 0; i < 8; i++)
            shared[i] = make(i);
        struct client clients[4];
        for (uint64_t i = 0; i < 4; i++) {
            clients[i] = (struct client){.seed = i};
            assert_ok(
                env.sys->ops->thread_start(env.sys, client_main, &clients[i], &clients[i].thread));
        }
        for (size_t i = 0; i < 4; i++) {
            env.sys->ops->thread_join(env.sys, clients[i].thread);
            assert_int_equal(clients[i].wrong, 0);
            assert_true(clients[i].most_open <= files_max);
        }
        for (int i = 0; i < 8; i++)
            pooled_file_release(shared[i]);
        stop();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_is_closed),
        cmocka_unit_test(dropped_files_go_with_their_last_reference),
        cmocka_unit_test(kept_files_survive_their_names),
        cmocka_unit_test(a_missing_file_is_corruption),
        cmocka_unit_test(a_failed_open_leaves_the_file_usable),
        cmocka_unit_test(failed_allocations_are_undone),
        cmocka_unit_test(threads_share_few_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
