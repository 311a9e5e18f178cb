/*
 * salvage_disk.h - the files of a store on a file system in memory, and what may befall them: for
 * salvage_test.c alone.
 */
#ifndef LORE_TESTS_SALVAGE_DISK_H
#define LORE_TESTS_SALVAGE_DISK_H

#include "support.h"
#include "vfs/fs_memory.h"

#define STORE_PATH "store"
#define FILES_MAX  64

struct files {
    char names[FILES_MAX][96];
    uint64_t sizes[FILES_MAX];
    int count;
    struct fs *fs;
    const char *dir;
};

static inline lore_status note_file(void *context, const struct dir_entry *entry) {
    struct files *files = context;
    if (entry->is_dir || files->count == FILES_MAX) return LORE_OK;
    char *name = files->names[files->count];
    snprintf(name, 96, "%.40s/%.50s", files->dir, entry->name);
    bool is_dir;
    uint32_t mode;
    return files->fs->ops->stat(files->fs, name, &files->sizes[files->count++], &is_dir, &mode);
}

static inline void list_files(struct fs_memory *disk, struct files *files) {
    files->fs = fs_memory_fs(disk);
    files->count = 0;
    files->dir = STORE_PATH;
    MUST(files->fs->ops->list(files->fs, files->dir, note_file, files));
    files->dir = STORE_PATH "/g-000001";
    MUST(files->fs->ops->list(files->fs, files->dir, note_file, files));
}

static inline uint64_t sum_of(struct fs_memory *disk) {
    struct files files;
    memset(&files, 0, sizeof files);
    uint64_t sum = 7;
    list_files(disk, &files);
    for (int i = 0; i < files.count; i++) {
        uint64_t size, part = 1469598103934665603u;
        const uint8_t *bytes = fs_memory_bytes(disk, files.names[i], &size);
        for (const char *c = files.names[i]; *c != 0; c++)
            part = (part ^ (uint8_t)*c) * 1099511628211u;
        for (uint64_t at = 0; at < size; at++)
            part = (part ^ bytes[at]) * 1099511628211u;
        sum += part;
    }
    return sum;
}

static inline void cut(struct fs_memory *disk, const char *path, uint64_t size) {
    lore_env env = *env_posix();
    env.fs = fs_memory_fs(disk);
    struct file *file;
    MUST(fs_open(&env, path, FILE_WRITE, false, &file));
    MUST(file_truncate(file, size));
    file_close(file);
}

static inline void remove_file(struct fs_memory *disk, const char *path) {
    lore_env env = *env_posix();
    env.fs = fs_memory_fs(disk);
    lore_status status = fs_unlink(&env, path);
    CHECK(status == LORE_OK || status == LORE_NOT_FOUND);
}

/* The file of one disk in place of that of the other; gone where that has none. */
static inline void set_back(struct fs_memory *disk, struct fs_memory *older, const char *path) {
    uint64_t size = 0;
    const uint8_t *bytes = fs_memory_bytes(older, path, &size);
    remove_file(disk, path);
    if (bytes == NULL) return;
    lore_env env = *env_posix();
    env.fs = fs_memory_fs(disk);
    struct file *file;
    MUST(fs_open(&env, path, FILE_CREATE, false, &file));
    if (size > 0) MUST(file_write(file, 0, bytes, (size_t)size));
    file_close(file);
}

static inline void swap_files(struct fs_memory *disk, const char *a, const char *b) {
    lore_env env = *env_posix();
    env.fs = fs_memory_fs(disk);
    MUST(fs_rename(&env, a, STORE_PATH "/g-000001/swapping"));
    MUST(fs_rename(&env, b, a));
    MUST(fs_rename(&env, STORE_PATH "/g-000001/swapping", b));
}

#endif
