/*
 * fs_memory_native_test.c - LMDB's file on the file system in memory: how its commits arrive here.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#include "vfs/fs_memory_testing.h"

static void write_page(const char *real, uint64_t page, char fill) {
    FILE *file = fopen(real, "r+");
    assert_non_null(file);
    char bytes[4096];
    memset(bytes, fill, sizeof bytes);
    assert_int_equal(fseek(file, (long)(page * 4096), SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, sizeof bytes, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static char page_of(struct disk *disk, const char *path, uint64_t page) {
    struct file *file;
    if (fs_open(&disk->env, path, FILE_READ, false, &file) != LORE_OK) return '-';
    char byte = '-';
    size_t got;
    assert_int_equal(file_read(file, page * 4096 + 4095, &byte, 1, &got), LORE_OK);
    file_close(file);
    return got == 1 ? byte : '-';
}

static void test_native_commits_in_order(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    struct fs *fs = disk.env.fs;
    char real[PATH_BYTES_MAX], again[PATH_BYTES_MAX];
    assert_int_equal(fs->ops->native_open(fs, "m", real, sizeof real), LORE_OK);
    assert_int_equal(fs->ops->native_commit(fs, "m"), LORE_OK);
    assert_int_equal(page_of(&disk, "m", 0), '-'); /* nothing was made there yet */
    for (uint64_t page = 0; page < 5; page++)
        write_page(real, page, 'a');
    assert_int_equal(fs->ops->native_commit(fs, "m"), LORE_OK);
    assert_int_equal(fs_memory_pending_count(disk.memory), 1); /* the name */
    sync_names(&disk.env, "/");
    write_page(real, 0, 'b');
    write_page(real, 2, 'b');
    write_page(real, 4, 'b');
    write_page(real, 5, 'b');
    write_page(real, 6, 'b');
    assert_int_equal(fs_memory_native_step(disk.memory, "m", NATIVE_DATA), LORE_OK);
    assert_int_equal(fs_memory_pending_count(disk.memory), 2); /* page 2, pages 4 to 6 */
    struct disk after;
    crash(&disk, keeping(2), &after);
    assert_int_equal(page_of(&after, "m", 0), 'a');
    assert_int_equal(page_of(&after, "m", 2), 'a');
    assert_int_equal(page_of(&after, "m", 6), 'b');
    fs_memory_destroy(after.memory);
    assert_int_equal(fs_memory_native_step(disk.memory, "m", NATIVE_DATA_SYNC), LORE_OK);
    assert_int_equal(fs_memory_pending_count(disk.memory), 0);
    assert_int_equal(fs_memory_native_step(disk.memory, "m", NATIVE_META), LORE_OK);
    assert_int_equal(fs_memory_pending_count(disk.memory), 1);
    assert_int_equal(fs_memory_native_step(disk.memory, "m", NATIVE_META_SYNC), LORE_OK);
    crash(&disk, keeping(0), &after);
    assert_int_equal(page_of(&after, "m", 0), 'b');
    assert_int_equal(page_of(&after, "m", 1), 'a');
    assert_int_equal(page_of(&after, "m", 2), 'b');
    assert_int_equal(page_of(&after, "m", 7), '-');
    /* The clone lends a copy of its own. */
    assert_int_equal(after.env.fs->ops->native_open(after.env.fs, "m", again, sizeof again),
                     LORE_OK);
    assert_string_not_equal(again, real);
    assert_int_equal(access(again, F_OK), 0);
    fs_memory_destroy(after.memory); /* with the file lent out: nothing stays behind */
    assert_int_equal(access(again, F_OK), -1);
    fs->ops->native_close(fs, "m");
    assert_int_equal(access(real, F_OK), -1);
    disk_close(&disk);
}

static void test_native_without_space(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 3 * 4096);
    struct fs *fs = disk.env.fs;
    char real[PATH_BYTES_MAX];
    assert_int_equal(fs->ops->native_open(fs, "m", real, sizeof real), LORE_OK);
    for (uint64_t page = 0; page < 4; page++)
        write_page(real, page, 'a');
    assert_int_equal(fs->ops->native_commit(fs, "m"), LORE_FULL);
    fs_memory_set_capacity(disk.memory, 4 * 4096);
    assert_int_equal(fs->ops->native_commit(fs, "m"), LORE_OK);
    assert_int_equal(page_of(&disk, "m", 0), 'a');
    assert_int_equal(page_of(&disk, "m", 3), 'a');
    fs->ops->native_close(fs, "m");
    disk_close(&disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native_commits_in_order),
        cmocka_unit_test(test_native_without_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
