/*
 * fs_memory_test.c - the calls of the file system in memory: each at its edges, and all of them at
 * random against the POSIX one.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#include "vfs/fs_memory_testing.h"
#include "vfs/scratch.h"

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
    char root[PATH_BYTES_MAX];
    assert_int_equal(scratch_folder(NULL, "memory", root), LORE_OK);
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
    assert_int_equal(rmdir(root), 0); /* both are empty */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_was_written),
        cmocka_unit_test(test_truncate_zeroes_what_it_cuts),
        cmocka_unit_test(test_capacity_at_its_edge),
        cmocka_unit_test(test_locks_exclude),
        cmocka_unit_test(test_list_while_removing),
        cmocka_unit_test(test_agrees_with_posix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
