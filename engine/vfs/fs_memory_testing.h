/*
 * fs_memory_testing.h - what the tests of the file system in memory share: one with an allocator
 * that counts, whole files in a line, crashes that keep a named set of changes.
 *
 * For *_test.c only. One thread.
 */
#ifndef LORE_VFS_FS_MEMORY_TESTING_H
#define LORE_VFS_FS_MEMORY_TESTING_H

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

static inline void use(struct disk *disk, struct fs_memory *memory) {
    disk->memory = memory;
    disk->env = (lore_env){env_posix()->allocator, fs_memory_fs(memory), env_posix()->sys};
}

static inline void disk_open(struct disk *disk, uint64_t capacity) {
    fault_allocator_init(&disk->host, env_posix()->allocator);
    struct fs_memory *memory;
    assert_int_equal(fs_memory_create(&disk->host.base, capacity, &memory), LORE_OK);
    use(disk, memory);
}

static inline void disk_close(struct disk *disk) {
    fs_memory_destroy(disk->memory);
    assert_int_equal(disk->host.outstanding_bytes, 0);
}

static inline void put_at(const lore_env *env, const char *path, uint64_t offset,
                          const char *text) {
    struct file *file;
    lore_status status = fs_open(env, path, FILE_WRITE, false, &file);
    if (status == LORE_NOT_FOUND) status = fs_open(env, path, FILE_CREATE, false, &file);
    assert_int_equal(status, LORE_OK);
    assert_int_equal(file_write(file, offset, text, strlen(text)), LORE_OK);
    file_close(file);
}

static inline void sync_file(const lore_env *env, const char *path) {
    struct file *file;
    assert_int_equal(fs_open(env, path, FILE_WRITE, false, &file), LORE_OK);
    assert_int_equal(file_sync(file), LORE_OK);
    file_close(file);
}

static inline void sync_names(const lore_env *env, const char *path) {
    assert_int_equal(env->fs->ops->sync_dir(env->fs, path), LORE_OK);
}

/* The content of a file, or "-" if there is none. */
static inline const char *content_of(const lore_env *env, const char *path) {
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
static inline enum crash_fate choose(void *context, size_t index, uint64_t *tear) {
    const struct choice *choice = context;
    if (index == choice->torn) {
        *tear = choice->tear;
        return choice->torn_fate;
    }
    return index < 64 && (choice->kept >> index & 1) != 0 ? CRASH_KEPT : CRASH_LOST;
}

static inline struct choice keeping(uint64_t kept) {
    return (struct choice){kept, SIZE_MAX, CRASH_LOST, 0};
}

static inline void crash(struct disk *disk, struct choice choice, struct disk *after) {
    struct fs_memory *clone;
    assert_int_equal(fs_memory_crash_clone(disk->memory, choose, &choice, &clone), LORE_OK);
    assert_int_equal(fs_memory_pending_count(clone), 0);
    use(after, clone);
}

/* What a crash with these changes kept leaves at `path`. */
static inline void expect_after(struct disk *disk, uint64_t kept, const char *path,
                                const char *content) {
    struct disk after;
    crash(disk, keeping(kept), &after);
    assert_string_equal(content_of(&after.env, path), content);
    fs_memory_destroy(after.memory);
}

#endif
