/*
 * fs_fault_test.c - faults where the plan says; and that crash enumeration proves a protocol:
 * replacing a file leaves the old content or the new after every crash, and does not when a sync is
 * left out.
 */
#include "vfs/fs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct disk {
    struct fs_memory *memory;
    struct fs_fault *fault;
    lore_env env;       /* through the faults */
    lore_env plain_env; /* beneath them */
};

static void disk_open(struct disk *disk) {
    const struct allocator *host = env_posix()->allocator;
    assert_int_equal(fs_memory_create(host, 0, &disk->memory), LORE_OK);
    assert_int_equal(fs_fault_create(host, fs_memory_fs(disk->memory), &disk->fault), LORE_OK);
    fs_fault_set_memory(disk->fault, disk->memory);
    disk->env = (lore_env){host, fs_fault_fs(disk->fault), env_posix()->sys};
    disk->plain_env = (lore_env){host, fs_memory_fs(disk->memory), env_posix()->sys};
}

static void disk_close(struct disk *disk) {
    fs_fault_destroy(disk->fault);
    fs_memory_destroy(disk->memory);
}

static bool content_is(const lore_env *env, const char *path, const char *expected) {
    struct bytes content = bytes_empty(env->allocator);
    bool same = fs_read_file(env, path, 65536, &content) == LORE_OK &&
                slice_equal(bytes_slice(&content), lore_slice_of(expected));
    bytes_free(&content);
    return same;
}

/* ---- every crash of a protocol ---- */

#define OLD "the old content"
#define NEW                                                                                        \
    "the new content, which is longer than what one sector holds by some: "                        \
    "0123456789012345678901234567890123456789012345678901234567890123456789"                       \
    "0123456789012345678901234567890123456789012345678901234567890123456789"                       \
    "0123456789012345678901234567890123456789012345678901234567890123456789"                       \
    "0123456789012345678901234567890123456789012345678901234567890123456789"                       \
    "0123456789012345678901234567890123456789012345678901234567890123456789"                       \
    "0123456789012345678901234567890123456789012345678901234567890123456789"                       \
    "0123456789012345678901234567890123456789012345678901234567890123456789"

struct enumeration {
    struct fs_memory *memory;
    bool acknowledged; /* the new content must be there */
    uint64_t states;
    uint64_t violations;
};
/* What one crash does to each change: two bits each, an enum crash_fate. */
static enum crash_fate fate_of(void *context, size_t index, uint64_t *tear) {
    *tear = 1;
    return (enum crash_fate)(*(const uint64_t *)context >> (2 * index) & 3);
}

static void enumerate(void *context, uint64_t number) {
    (void)number;
    struct enumeration *all = context;
    size_t pending = fs_memory_pending_count(all->memory);
    assert_true(pending <= 6);
    for (uint64_t fates = 0; fates < UINT64_C(1) << (2 * pending); fates++) {
        struct fs_memory *clone;
        assert_int_equal(fs_memory_crash_clone(all->memory, fate_of, &fates, &clone), LORE_OK);
        lore_env env = {env_posix()->allocator, fs_memory_fs(clone), env_posix()->sys};
        bool is_new = content_is(&env, "s/CURRENT", NEW);
        bool is_old = content_is(&env, "s/CURRENT", OLD);
        all->states++;
        if (!is_new && (all->acknowledged || !is_old)) all->violations++;
        fs_memory_destroy(clone);
    }
}

/* Replace OLD by NEW, crashing before every change and once at the end; `skip` syncs are left out.
 */
static struct enumeration replace(uint32_t skip, const char *path) {
    struct disk disk;
    disk_open(&disk);
    assert_int_equal(disk.env.fs->ops->make_dir(disk.env.fs, "s", false), LORE_OK);
    assert_int_equal(disk.env.fs->ops->sync_dir(disk.env.fs, "/"), LORE_OK);
    assert_int_equal(fs_replace_file(&disk.env, "s/CURRENT", false, lore_slice_of(OLD)), LORE_OK);
    struct enumeration all = {disk.memory, false, 0, 0};
    fs_fault_on_change(disk.fault, enumerate, &all);
    fs_fault_skip(disk.fault, skip, path);
    assert_int_equal(fs_replace_file(&disk.env, "s/CURRENT", false, lore_slice_of(NEW)), LORE_OK);
    assert_true((fs_fault_skipped(disk.fault) > 0) == (path != NULL));
    all.acknowledged = true;
    enumerate(&all, 0);
    disk_close(&disk);
    return all;
}

static void test_replace_survives_every_crash(void **state) {
    (void)state;
    struct enumeration all = replace(0, NULL);
    assert_int_equal(all.violations, 0);
    assert_true(all.states > 20);
}

static void test_each_sync_is_needed(void **state) {
    (void)state;
    assert_true(replace(FAULT_SYNC, "CURRENT").violations > 0);
    assert_true(replace(FAULT_SYNC_DIR, "s").violations > 0);
    assert_true(replace(FAULT_SYNC | FAULT_SYNC_DIR, "s").violations > 0);
}

/* ---- faults ---- */

static void test_every_call_fails_once_and_for_ever(void **state) {
    (void)state;
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        for (uint64_t at = 0;; at++) {
            struct disk disk;
            disk_open(&disk);
            assert_int_equal(fs_replace_file(&disk.env, "a", false, lore_slice_of(OLD)), LORE_OK);
            struct fault_plan plan = {FAULT_ALL, at, for_ever == 1, LORE_FULL, NULL};
            fs_fault_set_plan(disk.fault, &plan);
            lore_status status = fs_replace_file(&disk.env, "a", false, lore_slice_of(NEW));
            bool fired = fs_fault_fired(disk.fault);
            assert_int_equal(fired, fs_fault_calls(disk.fault) > at);
            if (!fired) assert_int_equal(status, LORE_OK);
            fs_fault_set_plan(disk.fault, NULL);
            assert_true(content_is(&disk.env, "a", NEW) ||
                        (status != LORE_OK && content_is(&disk.env, "a", OLD)));
            disk_close(&disk);
            if (!fired) break;
        }
    }
}

static void test_plan_by_kind_and_path(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk);
    struct file *one, *two;
    uint64_t size;
    assert_int_equal(fs_open(&disk.env, "log-1", FILE_CREATE, false, &one), LORE_OK);
    assert_int_equal(fs_open(&disk.env, "table-1", FILE_CREATE, false, &two), LORE_OK);
    struct fault_plan plan = {FAULT_WRITE, 1, false, LORE_IO, "log"};
    fs_fault_set_plan(disk.fault, &plan);
    assert_int_equal(file_write(one, 0, "abcd", 4), LORE_OK);
    assert_int_equal(file_write(two, 0, "abcd", 4), LORE_OK);
    assert_int_equal(file_sync(one), LORE_OK);
    assert_int_equal(fs_fault_calls(disk.fault), 1);
    assert_int_equal(file_write(one, 4, "efgh", 4), LORE_IO);
    assert_true(fs_fault_fired(disk.fault));
    assert_non_null(strstr(lore_error_message(), "log-1"));
    assert_int_equal(file_size(one, &size), LORE_OK);
    assert_int_equal(size, 6); /* a half was written */
    assert_int_equal(file_write(one, 4, "efgh", 4), LORE_OK);
    file_close(one);
    file_close(two);
    disk_close(&disk);
}

static void test_failed_sync_forgets(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk);
    struct file *file;
    char bytes[4];
    size_t got;
    assert_int_equal(fs_open(&disk.env, "a", FILE_CREATE, false, &file), LORE_OK);
    assert_int_equal(file_write(file, 0, "ab", 2), LORE_OK);
    assert_int_equal(file_sync(file), LORE_OK);
    assert_int_equal(file_write(file, 1, "XYZ", 3), LORE_OK);
    struct fault_plan plan = {FAULT_SYNC, 0, false, LORE_IO, NULL};
    fs_fault_set_plan(disk.fault, &plan);
    assert_int_equal(file_sync(file), LORE_IO);
    assert_int_equal(file_sync(file), LORE_OK); /* as Linux does: the second one knows nothing */
    assert_int_equal(file_read(file, 0, bytes, 4, &got), LORE_OK);
    assert_int_equal(got, 2);
    assert_memory_equal(bytes, "ab", 2);
    assert_int_equal(fs_memory_pending_count(disk.memory), 1); /* the name */
    file_close(file);
    disk_close(&disk);
}

static void count_hook(void *context, uint64_t number) {
    uint64_t *expected = context;
    assert_int_equal(number, *expected);
    ++*expected;
}

struct ruling {
    enum fault_call call;
    enum fault_outcome outcome;
    uint64_t astray;
};

static enum fault_outcome rule(void *context, enum fault_call call, const char *path,
                               uint64_t offset, size_t size, uint64_t *astray) {
    const struct ruling *ruling = context;
    assert_string_equal(path, "a");
    assert_true(offset == 0 || offset == 4);
    assert_true(size <= 8);
    *astray = ruling->astray;
    return call == ruling->call ? ruling->outcome : FAULT_PASSES;
}

static void test_hook_loses_and_misdirects(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk);
    struct ruling ruling = {FAULT_WRITE, FAULT_PASSES, 0};
    fs_fault_on_call(disk.fault, rule, &ruling);
    struct file *file;
    assert_int_equal(fs_open(&disk.env, "a", FILE_CREATE, false, &file), LORE_OK);
    assert_int_equal(file_write(file, 0, "12345678", 8), LORE_OK);
    ruling.outcome = FAULT_IS_LOST;
    assert_int_equal(file_write(file, 0, "abcd", 4), LORE_OK);
    assert_true(content_is(&disk.plain_env, "a", "12345678"));
    assert_int_equal(file_write(file, 4, "abcdefgh", 8), LORE_OK); /* longer, and zeros there */
    uint64_t size;
    assert_int_equal(file_size(file, &size), LORE_OK);
    assert_int_equal(size, 12);
    assert_int_equal(file_truncate(file, 8), LORE_OK);
    ruling.outcome = FAULT_GOES_ASTRAY;
    ruling.astray = 0;
    assert_int_equal(file_write(file, 4, "WXYZ", 4), LORE_OK);
    assert_true(content_is(&disk.plain_env, "a", "WXYZ5678"));
    ruling = (struct ruling){FAULT_READ, FAULT_FAILS, 0};
    char byte;
    size_t got;
    assert_int_equal(file_read(file, 0, &byte, 1, &got), LORE_IO);
    ruling.call = FAULT_SYNC;
    assert_int_equal(file_sync(file), LORE_IO); /* and what was not synced is gone */
    assert_true(content_is(&disk.plain_env, "a", ""));
    fs_fault_on_call(disk.fault, NULL, NULL);
    file_close(file);
    disk_close(&disk);
}

static void test_native_commit_is_four_calls(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk);
    struct fs *fs = disk.env.fs;
    char real[PATH_BYTES_MAX];
    assert_int_equal(fs->ops->native_open(fs, "m", real, sizeof real), LORE_OK);
    FILE *file = fopen(real, "w");
    assert_non_null(file);
    for (int i = 0; i < 3 * 4096; i++)
        assert_int_equal(fputc('a', file), 'a');
    assert_int_equal(fclose(file), 0);
    uint64_t changes = 0;
    fs_fault_on_change(disk.fault, count_hook, &changes);
    struct fault_plan plan = {FAULT_NATIVE, NATIVE_DATA_SYNC, false, LORE_IO, NULL};
    fs_fault_set_plan(disk.fault, &plan);
    assert_int_equal(fs->ops->native_commit(fs, "m"), LORE_IO);
    assert_int_equal(changes, 1);
    assert_int_equal(fs_memory_pending_count(disk.memory),
                     1); /* the name; the pages are forgotten */
    fs_fault_skip(disk.fault, FAULT_SYNC, "m");
    assert_int_equal(fs->ops->native_commit(fs, "m"), LORE_OK);
    assert_int_equal(changes, 5);
    assert_int_equal(fs_fault_skipped(disk.fault), 2);
    assert_int_equal(fs_memory_pending_count(disk.memory), 3);
    fs->ops->native_close(fs, "m");
    disk_close(&disk);
}

static void test_allocator_counts_and_fails(void **state) {
    (void)state;
    struct fault_allocator fault;
    fault_allocator_init(&fault, env_posix()->allocator);
    void *one, *two = NULL;
    assert_int_equal(mem_get(&fault.base, 10, &one), LORE_OK);
    assert_int_equal(mem_resize(&fault.base, &one, 10, 30), LORE_OK);
    assert_int_equal(fault.calls, 2);
    assert_int_equal(fault.outstanding_bytes, 30);
    fault.fail_at = 2;
    assert_int_equal(mem_get(&fault.base, 1, &two), LORE_NO_MEMORY);
    assert_int_equal(mem_get(&fault.base, 1, &two), LORE_OK);
    fault.for_ever = true;
    assert_int_equal(mem_resize(&fault.base, &one, 30, 40), LORE_NO_MEMORY);
    assert_int_equal(mem_resize(&fault.base, &one, 30, 20), LORE_OK);
    assert_int_equal(fault.outstanding_bytes, 21);
    mem_put(&fault.base, one, 20);
    mem_put(&fault.base, two, 1);
    assert_int_equal(fault.outstanding_bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replace_survives_every_crash),
        cmocka_unit_test(test_each_sync_is_needed),
        cmocka_unit_test(test_every_call_fails_once_and_for_ever),
        cmocka_unit_test(test_plan_by_kind_and_path),
        cmocka_unit_test(test_failed_sync_forgets),
        cmocka_unit_test(test_hook_loses_and_misdirects),
        cmocka_unit_test(test_native_commit_is_four_calls),
        cmocka_unit_test(test_allocator_counts_and_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
