/*
 * fs_memory_crash_test.c - what a crash leaves of the file system in memory, change by change.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#include "vfs/fs_memory_testing.h"

static void test_crash_keeps_any_subset_of_writes(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 0, "......");
    sync_file(&disk.env, "a");
    sync_names(&disk.env, "/");
    assert_int_equal(fs_memory_pending_count(disk.memory), 0);
    put_at(&disk.env, "a", 0, "XX");
    put_at(&disk.env, "a", 1, "YY");
    put_at(&disk.env, "a", 6, "Z");
    assert_int_equal(fs_memory_pending_count(disk.memory), 3);
    static const char *const expected[] = {"......",  "XX....",  ".YY...",  "XYY...",
                                           "......Z", "XX....Z", ".YY...Z", "XYY...Z"};
    for (uint64_t kept = 0; kept < 8; kept++)
        expect_after(&disk, kept, "a", expected[kept]);
    assert_string_equal(content_of(&disk.env, "a"), "XYY...Z");
    sync_file(&disk.env, "a");
    expect_after(&disk, 0, "a", "XYY...Z");
    disk_close(&disk);
}

static void test_crash_over_truncates(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 0, "abcdef");
    sync_file(&disk.env, "a");
    sync_names(&disk.env, "/");
    struct file *file;
    assert_int_equal(fs_open(&disk.env, "a", FILE_WRITE, false, &file), LORE_OK);
    assert_int_equal(file_truncate(file, 2), LORE_OK);
    assert_int_equal(file_write(file, 2, "Z", 1), LORE_OK);
    file_close(file);
    expect_after(&disk, 0, "a", "abcdef");
    expect_after(&disk, 1, "a", "ab");
    expect_after(&disk, 2, "a", "abZdef");
    expect_after(&disk, 3, "a", "abZ");
    disk_close(&disk);
}

static void test_crash_tears_at_sectors(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 0, "");
    sync_names(&disk.env, "/");
    char text[1301];
    memset(text, 'x', 1300);
    text[1300] = '\0';
    put_at(&disk.env, "a", 300, text); /* sectors: 300-512, 512-1024, 1024-1536, 1536-1600 */
    static const struct {
        uint64_t tear;
        enum crash_fate fate;
        size_t size;
        size_t x_bytes;
    } cases[] = {
        {0, CRASH_TORN, 0, 0},          {1, CRASH_TORN, 512, 212},
        {2, CRASH_TORN, 1024, 512},     {5, CRASH_TORN, 1536, 724},
        {8, CRASH_TORN, 1600, 64},      {15, CRASH_TORN, 1600, 1300},
        {0, CRASH_TORN_SIZED, 1600, 0}, {1, CRASH_TORN_SIZED, 1600, 212},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct disk after;
        crash(&disk, (struct choice){0, 0, cases[i].fate, cases[i].tear}, &after);
        uint64_t size;
        const uint8_t *bytes = fs_memory_bytes(after.memory, "a", &size);
        assert_int_equal(size, cases[i].size);
        size_t count = 0;
        for (uint64_t at = 0; at < size; at++)
            count += bytes[at] == 'x';
        assert_int_equal(count, cases[i].x_bytes);
        fs_memory_destroy(after.memory);
    }
    disk_close(&disk);
}

static void test_tears_repeat_after_64_sectors(void **state) {
    (void)state;
    static char text[66 * 512 + 1];
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 0, "");
    sync_names(&disk.env, "/");
    memset(text, 'x', sizeof text - 1);
    put_at(&disk.env, "a", 0, text);
    struct disk after;
    crash(&disk, (struct choice){0, 0, CRASH_TORN, 1}, &after);
    uint64_t size;
    const uint8_t *bytes = fs_memory_bytes(after.memory, "a", &size);
    assert_int_equal(size, 65 * 512);
    for (uint64_t at = 0; at < size; at++) {
        assert_int_equal(bytes[at], at < 512 || at >= size - 512 ? 'x' : 0);
    }
    fs_memory_destroy(after.memory);
    disk_close(&disk);
}

static void test_name_needs_its_folder_synced(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    assert_int_equal(disk.env.fs->ops->make_dir(disk.env.fs, "d", false), LORE_OK);
    put_at(&disk.env, "d/a", 0, "one");
    sync_file(&disk.env, "d/a");
    assert_int_equal(fs_memory_pending_count(disk.memory), 2); /* d, d/a */
    expect_after(&disk, 0, "d/a", "-");
    expect_after(&disk, 2, "d/a", "-"); /* its folder is gone, and it with it */
    expect_after(&disk, 3, "d/a", "one");
    sync_names(&disk.env, "d");
    expect_after(&disk, 0, "d/a", "-");
    expect_after(&disk, 1, "d/a", "one");
    sync_names(&disk.env, "/");
    expect_after(&disk, 0, "d/a", "one");
    disk_close(&disk);
}

static void test_rename_is_one_change(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 0, "old");
    sync_file(&disk.env, "a");
    sync_names(&disk.env, "/");
    put_at(&disk.env, "t", 0, "new"); /* 0: link t, then a write that sync takes away */
    sync_file(&disk.env, "t");
    assert_int_equal(fs_rename(&disk.env, "t", "u"), LORE_OK); /* 1 */
    assert_int_equal(fs_rename(&disk.env, "u", "a"), LORE_OK); /* 2 */
    assert_int_equal(fs_memory_pending_count(disk.memory), 3);
    char text[64];
    fs_memory_describe(disk.memory, 2, text, sizeof text);
    assert_string_equal(text, "rename u to /a");
    static const char *const expected[][3] = {
        /* a, t, u */
        {"old", "-", "-"}, {"old", "new", "-"}, {"old", "-", "new"}, {"old", "-", "new"},
        {"new", "-", "-"}, {"new", "-", "-"},   {"new", "-", "-"},   {"new", "-", "-"},
    };
    for (uint64_t kept = 0; kept < 8; kept++) {
        expect_after(&disk, kept, "a", expected[kept][0]);
        expect_after(&disk, kept, "t", expected[kept][1]);
        expect_after(&disk, kept, "u", expected[kept][2]);
    }
    disk_close(&disk);
}

static void test_rename_between_folders(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    struct fs *fs = disk.env.fs;
    assert_int_equal(fs->ops->make_dir(fs, "d", false), LORE_OK);
    assert_int_equal(fs->ops->make_dir(fs, "e", false), LORE_OK);
    sync_names(&disk.env, "/");
    put_at(&disk.env, "d/a", 0, "one");
    sync_file(&disk.env, "d/a");
    assert_int_equal(fs_rename(&disk.env, "d/a", "e/b"), LORE_OK);
    assert_int_equal(fs_rename(&disk.env, "d", "e/d"), LORE_UNSUPPORTED);
    expect_after(&disk, 1, "d/a", "one");
    expect_after(&disk, 2, "d/a", "-");
    expect_after(&disk, 2, "e/b", "one");
    sync_names(&disk.env, "e"); /* what d had pending goes along */
    assert_int_equal(fs_memory_pending_count(disk.memory), 0);
    expect_after(&disk, 0, "e/b", "one");
    expect_after(&disk, 0, "d/a", "-");
    /* A folder that goes leaves the move as a plain link. */
    put_at(&disk.env, "d/c", 0, "two");
    sync_file(&disk.env, "d/c");
    assert_int_equal(fs_rename(&disk.env, "d/c", "e/c"), LORE_OK);
    assert_int_equal(fs->ops->remove_dir(fs, "d"), LORE_OK);
    sync_names(&disk.env, "/");
    assert_int_equal(fs_memory_pending_count(disk.memory), 1);
    expect_after(&disk, 1, "e/c", "two");
    sync_names(&disk.env, "e");
    expect_after(&disk, 0, "e/c", "two");
    disk_close(&disk);
}

static void test_links_share_content(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 0, "one");
    sync_file(&disk.env, "a");
    assert_int_equal(disk.env.fs->ops->link(disk.env.fs, "a", "b"), LORE_OK);
    sync_names(&disk.env, "/");
    struct disk after;
    crash(&disk, keeping(0), &after);
    put_at(&after.env, "a", 0, "two");
    assert_string_equal(content_of(&after.env, "b"), "two");
    assert_string_equal(content_of(&disk.env, "b"), "one"); /* clones part ways */
    fs_memory_destroy(after.memory);
    assert_int_equal(fs_unlink(&disk.env, "a"), LORE_OK);
    assert_string_equal(content_of(&disk.env, "b"), "one");
    expect_after(&disk, 0, "a", "one");
    expect_after(&disk, 1, "a", "-");
    disk_close(&disk);
}

static void test_process_death_keeps_pending(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 0, "one");
    struct file *file;
    assert_int_equal(fs_open(&disk.env, "gone", FILE_CREATE, false, &file), LORE_OK);
    assert_int_equal(file_write(file, 0, "x", 1), LORE_OK);
    assert_int_equal(fs_unlink(&disk.env, "gone"), LORE_OK);
    sync_names(&disk.env, "/");
    struct fs_memory *clone;
    assert_int_equal(fs_memory_clone(disk.memory, &clone), LORE_OK);
    file_close(file);
    struct disk after;
    use(&after, clone);
    assert_int_equal(fs_memory_pending_count(clone), 1);
    assert_string_equal(content_of(&after.env, "a"), "one");
    expect_after(&after, 0, "a", "");
    expect_after(&after, 1, "a", "one");
    fs_memory_destroy(clone);
    disk_close(&disk);
}

static void test_damage_in_place(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 0, "abc");
    uint64_t size;
    assert_null(fs_memory_bytes(disk.memory, "b", &size));
    uint8_t *bytes = fs_memory_bytes(disk.memory, "a", &size);
    assert_int_equal(size, 3);
    sync_names(&disk.env, "/");
    bytes[1] = 'X';
    assert_string_equal(content_of(&disk.env, "a"), "aXc");
    struct disk after;
    crash(&disk, keeping(0), &after);
    bytes[1] = 'b'; /* the clone keeps the damage, this disk is whole again */
    assert_string_equal(content_of(&after.env, "a"), "aXc");
    assert_string_equal(content_of(&disk.env, "a"), "abc");
    put_at(&after.env, "a", 3, "d");
    assert_string_equal(content_of(&after.env, "a"), "aXcd");
    fs_memory_destroy(after.memory);
    bytes[0] = 'Y'; /* and a write after it does not undo it */
    put_at(&disk.env, "a", 3, "e");
    assert_string_equal(content_of(&disk.env, "a"), "Ybce");
    expect_after(&disk, 0, "a", "Ybc");
    disk_close(&disk);
}

static void test_out_of_memory_loses_nothing(void **state) {
    (void)state;
    for (uint64_t at = 0;; at++) {
        struct disk disk;
        disk_open(&disk, 0);
        put_at(&disk.env, "a", 0, "one");
        sync_file(&disk.env, "a");
        sync_names(&disk.env, "/");
        put_at(&disk.env, "b", 0, "two");
        assert_int_equal(fs_rename(&disk.env, "b", "c"), LORE_OK);
        disk.host.calls = 0;
        disk.host.fail_at = at;
        struct choice choice = keeping(UINT64_MAX);
        struct fs_memory *clone = NULL;
        lore_status status = fs_memory_crash_clone(disk.memory, choose, &choice, &clone);
        if (status == LORE_OK) fs_memory_destroy(clone);
        if (status == LORE_OK) status = fs_memory_clone(disk.memory, &clone);
        if (status == LORE_OK) fs_memory_destroy(clone);
        struct file *file = NULL;
        if (status == LORE_OK) status = fs_open(&disk.env, "e", FILE_CREATE, false, &file);
        if (status == LORE_OK) status = file_write(file, 5000, "xyz", 3);
        if (status == LORE_OK) status = file_truncate(file, 5001);
        if (status == LORE_OK) status = disk.env.fs->ops->sync_dir(disk.env.fs, "/");
        if (status == LORE_OK) status = fs_rename(&disk.env, "e", "f");
        if (status == LORE_OK) status = fs_unlink(&disk.env, "f");
        file_close(file);
        bool reached = disk.host.calls > at;
        disk.host.fail_at = UINT64_MAX;
        assert_int_equal(status, reached ? LORE_NO_MEMORY : LORE_OK);
        expect_after(&disk, UINT64_MAX, "c", "two");
        expect_after(&disk, UINT64_MAX, "a", "one");
        disk_close(&disk);
        if (!reached) break;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_keeps_any_subset_of_writes),
        cmocka_unit_test(test_crash_over_truncates),
        cmocka_unit_test(test_crash_tears_at_sectors),
        cmocka_unit_test(test_tears_repeat_after_64_sectors),
        cmocka_unit_test(test_name_needs_its_folder_synced),
        cmocka_unit_test(test_rename_is_one_change),
        cmocka_unit_test(test_rename_between_folders),
        cmocka_unit_test(test_links_share_content),
        cmocka_unit_test(test_process_death_keeps_pending),
        cmocka_unit_test(test_damage_in_place),
        cmocka_unit_test(test_out_of_memory_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
