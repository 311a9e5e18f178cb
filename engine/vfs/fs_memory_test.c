/*
 * fs_memory_test.c - the file system in memory: its calls against the POSIX one, what crashes
 * leave, and LMDB's file.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#include "vfs/fs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

struct disk {
    struct fault_allocator host;
    struct fs_memory *memory;
    lore_env env;
};

static void use(struct disk *disk, struct fs_memory *memory) {
    disk->memory = memory;
    disk->env = (lore_env){env_posix()->allocator, fs_memory_fs(memory), env_posix()->sys};
}

static void disk_open(struct disk *disk, uint64_t capacity) {
    fault_allocator_init(&disk->host, env_posix()->allocator);
    struct fs_memory *memory;
    assert_int_equal(fs_memory_create(&disk->host.base, capacity, &memory), LORE_OK);
    use(disk, memory);
}

static void disk_close(struct disk *disk) {
    fs_memory_destroy(disk->memory);
    assert_int_equal(disk->host.outstanding_bytes, 0);
}

static void put_at(const lore_env *env, const char *path, uint64_t offset, const char *text) {
    struct file *file;
    lore_status status = fs_open(env, path, FILE_WRITE, false, &file);
    if (status == LORE_NOT_FOUND) status = fs_open(env, path, FILE_CREATE, false, &file);
    assert_int_equal(status, LORE_OK);
    assert_int_equal(file_write(file, offset, text, strlen(text)), LORE_OK);
    file_close(file);
}

static void sync_file(const lore_env *env, const char *path) {
    struct file *file;
    assert_int_equal(fs_open(env, path, FILE_WRITE, false, &file), LORE_OK);
    assert_int_equal(file_sync(file), LORE_OK);
    file_close(file);
}

static void sync_names(const lore_env *env, const char *path) {
    assert_int_equal(env->fs->ops->sync_dir(env->fs, path), LORE_OK);
}

/* The content of a file, or "-" if there is none. */
static const char *content_of(const lore_env *env, const char *path) {
    static char text[4][65536];
    static int next;
    char *at = text[next++ % 4];
    struct file *file;
    lore_status status = fs_open(env, path, FILE_READ, false, &file);
    if (status == LORE_NOT_FOUND) return "-";
    assert_int_equal(status, LORE_OK);
    size_t got;
    assert_int_equal(file_read(file, 0, at, sizeof text[0] - 1, &got), LORE_OK);
    at[got] = '\0';
    file_close(file);
    return at;
}

/* A crash choice: bit i of `kept` for change i; change `torn` torn by `tear`. */
struct choice {
    uint64_t kept;
    size_t torn;
    enum crash_fate torn_fate;
    uint64_t tear;
};
static enum crash_fate choose(void *context, size_t index, uint64_t *tear) {
    const struct choice *choice = context;
    if (index == choice->torn) {
        *tear = choice->tear;
        return choice->torn_fate;
    }
    return index < 64 && (choice->kept >> index & 1) != 0 ? CRASH_KEPT : CRASH_LOST;
}

static struct choice keeping(uint64_t kept) {
    return (struct choice){kept, SIZE_MAX, CRASH_LOST, 0};
}

static void crash(struct disk *disk, struct choice choice, struct disk *after) {
    struct fs_memory *clone;
    assert_int_equal(fs_memory_crash_clone(disk->memory, choose, &choice, &clone), LORE_OK);
    assert_int_equal(fs_memory_pending_count(clone), 0);
    use(after, clone);
}

/* What a crash with these changes kept leaves at `path`. */
static void expect_after(struct disk *disk, uint64_t kept, const char *path, const char *content) {
    struct disk after;
    crash(disk, keeping(kept), &after);
    assert_string_equal(content_of(&after.env, path), content);
    fs_memory_destroy(after.memory);
}

/* ---- calls ---- */

static void test_reads_what_was_written(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 0, "hello");
    put_at(&disk.env, "a", 3, "p!..");
    assert_string_equal(content_of(&disk.env, "/a"), "help!..");
    put_at(&disk.env, "b", 4095, "xy"); /* across pages, over a hole */
    struct file *file;
    char bytes[4];
    size_t got;
    assert_int_equal(fs_open(&disk.env, "b", FILE_READ, false, &file), LORE_OK);
    assert_int_equal(file_read(file, 4094, bytes, 4, &got), LORE_OK);
    assert_int_equal(got, 3);
    assert_memory_equal(bytes, "\0xy", 3);
    assert_int_equal(file_write(file, 0, "z", 1), LORE_IO);
    assert_int_equal(file_truncate(file, 0), LORE_IO);
    assert_int_equal(fs_unlink(&disk.env, "b"), LORE_OK); /* open files outlive their names */
    assert_int_equal(file_read(file, 4095, bytes, 1, &got), LORE_OK);
    assert_int_equal(bytes[0], 'x');
    file_close(file);
    assert_string_equal(content_of(&disk.env, "b"), "-");
    disk_close(&disk);
}

static void test_truncate_zeroes_what_it_cuts(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    put_at(&disk.env, "a", 4000, "0123456789");
    struct file *file;
    assert_int_equal(fs_open(&disk.env, "a", FILE_WRITE, false, &file), LORE_OK);
    assert_int_equal(file_truncate(file, 4003), LORE_OK);
    assert_int_equal(file_truncate(file, 9000), LORE_OK);
    char bytes[10];
    assert_int_equal(file_read_exact(file, "a", 4000, bytes, 10), LORE_OK);
    assert_memory_equal(bytes, "012\0\0\0\0\0\0\0", 10);
    uint64_t size;
    assert_int_equal(file_size(file, &size), LORE_OK);
    assert_int_equal(size, 9000);
    file_close(file);
    disk_close(&disk);
}

static void test_capacity_at_its_edge(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 100);
    struct file *file;
    char bytes[101] = {1};
    uint64_t size, free_bytes;
    assert_int_equal(fs_open(&disk.env, "a", FILE_CREATE, false, &file), LORE_OK);
    assert_int_equal(file_write(file, 0, bytes, 99), LORE_OK);
    assert_int_equal(file_write(file, 99, bytes, 1), LORE_OK);
    assert_int_equal(file_write(file, 100, bytes, 1), LORE_FULL);
    assert_int_equal(file_write(file, 0, bytes, 100), LORE_OK); /* no growth */
    assert_int_equal(file_write(file, 90, bytes, 20), LORE_FULL);
    assert_int_equal(file_truncate(file, 101), LORE_FULL);
    assert_int_equal(file_size(file, &size), LORE_OK);
    assert_int_equal(size, 100);
    assert_int_equal(file_truncate(file, 40), LORE_OK);
    assert_int_equal(file_write(file, 40, bytes, 61), LORE_FULL); /* what fits is written */
    assert_int_equal(file_size(file, &size), LORE_OK);
    assert_int_equal(size, 100);
    fs_memory_set_capacity(disk.memory, 150);
    assert_int_equal(disk.env.fs->ops->space(disk.env.fs, "/", &free_bytes), LORE_OK);
    assert_int_equal(free_bytes, 50);
    fs_memory_set_capacity(disk.memory, 50);
    assert_int_equal(disk.env.fs->ops->space(disk.env.fs, "/", &free_bytes), LORE_OK);
    assert_int_equal(free_bytes, 0);
    assert_int_equal(file_write(file, 100, bytes, 1), LORE_FULL);
    assert_int_equal(fs_unlink(&disk.env, "a"), LORE_OK);
    file_close(file);
    disk_close(&disk);
}

static void test_locks_exclude(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    struct fs *fs = disk.env.fs;
    struct file_lock *lock, *second;
    bool locked;
    assert_int_equal(fs->ops->is_locked(fs, "LOCK", &locked), LORE_NOT_FOUND);
    assert_int_equal(fs->ops->lock(fs, "LOCK", false, &lock), LORE_OK);
    assert_int_equal(fs->ops->lock(fs, "LOCK", false, &second), LORE_LOCKED);
    assert_int_equal(fs->ops->is_locked(fs, "LOCK", &locked), LORE_OK);
    assert_true(locked);
    struct disk after;
    crash(&disk, keeping(UINT64_MAX), &after); /* a lock dies with its process */
    assert_int_equal(after.env.fs->ops->is_locked(after.env.fs, "LOCK", &locked), LORE_OK);
    assert_false(locked);
    fs_memory_destroy(after.memory);
    fs->ops->unlock(fs, lock);
    assert_int_equal(fs->ops->is_locked(fs, "LOCK", &locked), LORE_OK);
    assert_false(locked);
    disk_close(&disk);
}

static lore_status forget_entry(void *context, const struct dir_entry *entry) {
    struct disk *disk = context;
    return entry->is_dir ? disk->env.fs->ops->remove_dir(disk->env.fs, entry->name)
                         : fs_unlink(&disk->env, entry->name);
}

static void test_list_while_removing(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 0);
    for (int i = 0; i < 40; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        if (i % 4 == 0) {
            assert_int_equal(disk.env.fs->ops->make_dir(disk.env.fs, name, true), LORE_OK);
        } else {
            put_at(&disk.env, name, 0, "x");
        }
    }
    assert_int_equal(disk.env.fs->ops->list(disk.env.fs, "/", forget_entry, &disk), LORE_OK);
    for (int i = 0; i < 40; i++) {
        char name[16];
        uint64_t size;
        bool is_dir;
        uint32_t mode;
        (void)snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(disk.env.fs->ops->stat(disk.env.fs, name, &size, &is_dir, &mode),
                         LORE_NOT_FOUND);
    }
    sync_names(&disk.env, "/");
    assert_int_equal(fs_memory_pending_count(disk.memory), 0);
    disk_close(&disk);
}

/* ---- the same calls as POSIX ---- */

static uint64_t next_random(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static lore_status do_write(const lore_env *env, const char *path, enum file_mode mode,
                            uint64_t offset, const void *data, size_t size) {
    struct file *file;
    TRY(fs_open(env, path, mode, false, &file));
    lore_status status = size % 7 == 0 ? file_truncate(file, offset) : LORE_OK;
    if (status == LORE_OK) status = file_write(file, offset, data, size);
    if (status == LORE_OK && size % 3 == 0) status = file_sync(file);
    file_close(file);
    return status;
}

/* One call out of eight, chosen by the numbers, below the folder `root`. */
static lore_status do_call(const lore_env *env, const char *root, uint64_t r) {
    static const char *const names[] = {"a", "b", "d", "d/a", "d/b", "e", "e/a", "none/a"};
    static const uint8_t data[9000] = {1, 2, 3, [4097] = 4, [8999] = 5};
    char one[PATH_BYTES_MAX], two[PATH_BYTES_MAX];
    TRY(path_join(one, root, names[r >> 8 & 7]));
    TRY(path_join(two, root, names[r >> 12 & 7]));
    struct fs *fs = env->fs;
    uint64_t offset = r >> 24 & 0x1fff;
    size_t size = (size_t)(r >> 40) % sizeof data;
    switch (r & 7) {
    case 0: return do_write(env, one, FILE_CREATE, 0, data, size);
    case 1: return do_write(env, one, FILE_WRITE, offset, data + offset % 8, size % 5000);
    case 2: return fs->ops->make_dir(fs, one, false);
    case 3: return fs->ops->remove_dir(fs, one);
    case 4: return fs_unlink(env, one);
    case 5: return fs->ops->link(fs, one, two);
    case 6: return fs->ops->sync_dir(fs, one);
    default: {
        uint64_t ignored;
        bool is_dir = false;
        uint32_t mode;
        lore_status status = fs->ops->stat(fs, one, &ignored, &is_dir, &mode);
        if (status == LORE_OK && is_dir) return LORE_OK; /* see fs_memory.h on folders */
        return fs_rename(env, one, two);
    }
    }
}

struct listing {
    const lore_env *env;
    const char *dir;
    uint64_t sum; /* of all entries; the order does not matter */
};
static lore_status add_entry(void *context, const struct dir_entry *entry) {
    struct listing *listing = context;
    char path[PATH_BYTES_MAX];
    uint64_t size, sum = 14695981039346656037u;
    bool is_dir;
    uint32_t mode;
    TRY(path_join(path, listing->dir, entry->name));
    TRY(listing->env->fs->ops->stat(listing->env->fs, path, &size, &is_dir, &mode));
    assert_int_equal(is_dir, entry->is_dir);
    for (const char *at = entry->name; *at != '\0'; at++)
        sum = (sum ^ (uint8_t)*at) * 1099511628211u;
    sum = (sum ^ mode) * 1099511628211u;
    if (is_dir) {
        struct listing below = {listing->env, path, 0};
        TRY(listing->env->fs->ops->list(listing->env->fs, path, add_entry, &below));
        sum ^= below.sum * 31;
    } else {
        struct bytes content = bytes_empty(env_posix()->allocator);
        TRY(fs_read_file(listing->env, path, 1 << 20, &content));
        assert_int_equal(content.size, size);
        for (size_t i = 0; i < content.size; i++)
            sum = (sum ^ content.data[i]) * 1099511628211u;
        bytes_free(&content);
    }
    listing->sum += sum;
    return LORE_OK;
}

static uint64_t sum_of(const lore_env *env, const char *root) {
    struct listing listing = {env, root, 0};
    assert_int_equal(env->fs->ops->list(env->fs, root, add_entry, &listing), LORE_OK);
    return listing.sum;
}

static enum crash_fate keep_all(void *context, size_t index, uint64_t *tear) {
    (void)context, (void)index, (void)tear;
    return CRASH_KEPT;
}

static enum crash_fate any_fate(void *context, size_t index, uint64_t *tear) {
    (void)index;
    *tear = next_random(context);
    return (enum crash_fate)(next_random(context) & 3);
}

/* Whatever a crash keeps, the result is a whole file system, which a sync and a crash do not
 * change. */
static void crash_at_random(struct disk *disk, uint64_t *random) {
    for (int i = 0; i < 5; i++) {
        struct fs_memory *clone, *second;
        struct disk after, after_second;
        assert_int_equal(fs_memory_crash_clone(disk->memory, any_fate, random, &clone), LORE_OK);
        use(&after, clone);
        assert_int_equal(fs_memory_pending_count(clone), 0);
        uint64_t sum = sum_of(&after.env, "/");
        assert_int_equal(fs_memory_crash_clone(clone, any_fate, random, &second), LORE_OK);
        use(&after_second, second);
        assert_int_equal(sum_of(&after_second.env, "/"), sum);
        fs_memory_destroy(second);
        fs_memory_destroy(clone);
    }
}

static void test_agrees_with_posix(void **state) {
    (void)state;
    char root[] = "/tmp/lore-memory-test-XXXXXX";
    assert_non_null(mkdtemp(root));
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct disk disk;
        disk_open(&disk, 0);
        char posix_root[PATH_BYTES_MAX];
        assert_int_equal(path_join(posix_root, root, "x"), LORE_OK);
        assert_int_equal(env_posix()->fs->ops->make_dir(env_posix()->fs, posix_root, false),
                         LORE_OK);
        assert_int_equal(disk.env.fs->ops->make_dir(disk.env.fs, "/x", false), LORE_OK);
        uint64_t random = seed * 7919;
        for (int i = 0; i < 200; i++) {
            uint64_t r = next_random(&random);
            lore_status expected = do_call(env_posix(), posix_root, r);
            lore_status got = do_call(&disk.env, "/x", r);
            if (got != expected) {
                fail_msg("seed %d, call %d (%#llx): POSIX %s, memory %s: %s", (int)seed, i,
                         (unsigned long long)r, lore_status_name(expected), lore_status_name(got),
                         lore_error_message());
            }
        }
        uint64_t sum = sum_of(env_posix(), posix_root);
        assert_int_equal(sum_of(&disk.env, "/x"), sum);
        crash_at_random(&disk, &random);
        /* All kept, a crash changes nothing; and the process's death never does. */
        struct fs_memory *clone;
        struct disk after;
        assert_int_equal(fs_memory_crash_clone(disk.memory, keep_all, NULL, &clone), LORE_OK);
        use(&after, clone);
        assert_int_equal(sum_of(&after.env, "/x"), sum);
        fs_memory_destroy(clone);
        assert_int_equal(fs_memory_clone(disk.memory, &clone), LORE_OK);
        use(&after, clone);
        assert_int_equal(sum_of(&after.env, "/x"), sum);
        assert_int_equal(fs_memory_pending_count(clone), fs_memory_pending_count(disk.memory));
        fs_memory_destroy(clone);
        disk_close(&disk);
        assert_int_equal(fs_remove_tree(env_posix(), posix_root), LORE_OK);
    }
    assert_int_equal(rmdir(root), 0);
}

/* ---- crashes ---- */

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

/* ---- LMDB's file ---- */

static void scratch_write(const char *real, uint64_t page, char fill) {
    FILE *scratch = fopen(real, "r+");
    if (scratch == NULL) scratch = fopen(real, "w+");
    assert_non_null(scratch);
    char bytes[4096];
    memset(bytes, fill, sizeof bytes);
    assert_int_equal(fseek(scratch, (long)(page * 4096), SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, sizeof bytes, 1, scratch), 1);
    assert_int_equal(fclose(scratch), 0);
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
    char real[PATH_BYTES_MAX], again[PATH_BYTES_MAX], folder[PATH_BYTES_MAX];
    assert_int_equal(fs->ops->native_open(fs, "m", real, sizeof real), LORE_OK);
    assert_int_equal(access(real, F_OK), -1);
    assert_int_equal(fs->ops->native_commit(fs, "m"), LORE_OK);
    for (uint64_t page = 0; page < 5; page++)
        scratch_write(real, page, 'a');
    assert_int_equal(fs->ops->native_commit(fs, "m"), LORE_OK);
    assert_int_equal(fs_memory_pending_count(disk.memory), 1); /* the name */
    sync_names(&disk.env, "/");
    scratch_write(real, 0, 'b');
    scratch_write(real, 2, 'b');
    scratch_write(real, 4, 'b');
    scratch_write(real, 5, 'b');
    scratch_write(real, 6, 'b');
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
    memcpy(folder, real, sizeof folder);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(access(folder, F_OK), 0);
    disk_close(&disk);
    assert_int_equal(access(folder, F_OK), -1);
}

static void test_native_without_space(void **state) {
    (void)state;
    struct disk disk;
    disk_open(&disk, 3 * 4096);
    struct fs *fs = disk.env.fs;
    char real[PATH_BYTES_MAX];
    assert_int_equal(fs->ops->native_open(fs, "m", real, sizeof real), LORE_OK);
    for (uint64_t page = 0; page < 4; page++)
        scratch_write(real, page, 'a');
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
        cmocka_unit_test(test_reads_what_was_written),
        cmocka_unit_test(test_truncate_zeroes_what_it_cuts),
        cmocka_unit_test(test_capacity_at_its_edge),
        cmocka_unit_test(test_locks_exclude),
        cmocka_unit_test(test_list_while_removing),
        cmocka_unit_test(test_agrees_with_posix),
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
        cmocka_unit_test(test_native_commits_in_order),
        cmocka_unit_test(test_native_without_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
