/*
 * fuzz_fs.c - one buffer as a file system.
 */
#include "fuzz_fs.h"

#include <stdlib.h>

struct fuzz_file {
    struct file base;
    const struct fuzz_fs *fs;
};

static lore_status read_at(struct file *file, uint64_t offset, void *data, size_t size,
                           size_t *got) {
    const struct fuzz_fs *fs = ((struct fuzz_file *)file)->fs;
    size_t left = offset < fs->size ? fs->size - (size_t)offset : 0;
    *got = size < left ? size : left;
    if (*got > 0) memcpy(data, fs->data + (size_t)offset, *got);
    return LORE_OK;
}

static lore_status file_bytes(struct file *file, uint64_t *size) {
    *size = ((struct fuzz_file *)file)->fs->size;
    return LORE_OK;
}

static void file_done(struct file *file) {
    free(file);
}

static const struct file_ops file_operations = {
    .read_at = read_at, .size = file_bytes, .close = file_done};

static lore_status open_input(struct fs *fs, const char *path, enum file_mode mode,
                              bool group_access, struct file **file) {
    (void)group_access;
    if (mode != FILE_READ) return fail(LORE_IO, "%s: only to be read", path);
    struct fuzz_file *opened = malloc(sizeof *opened);
    if (opened == NULL) abort();
    *opened = (struct fuzz_file){{&file_operations}, (struct fuzz_fs *)fs};
    *file = &opened->base;
    return LORE_OK;
}

static lore_status stat_input(struct fs *fs, const char *path, uint64_t *size, bool *is_dir,
                              uint32_t *mode) {
    (void)path;
    *size = ((struct fuzz_fs *)fs)->size;
    *is_dir = false;
    *mode = 0600;
    return LORE_OK;
}

static const struct fs_ops operations = {.open = open_input, .stat = stat_input};

/* ---- memory ---- */

static void *allocate(void *context, size_t size) {
    (void)context;
    if (size > FUZZ_ALLOCATION_MAX) abort();
    return malloc(size);
}

static void *reallocate(void *context, void *memory, size_t old_size, size_t new_size) {
    (void)context, (void)old_size;
    if (new_size > FUZZ_ALLOCATION_MAX) abort();
    return realloc(memory, new_size);
}

static void release(void *context, void *memory, size_t size) {
    (void)context, (void)size;
    free(memory);
}

void fuzz_fs_init(struct fuzz_fs *fs, const uint8_t *data, size_t size) {
    fs->base.ops = &operations;
    fs->allocator = (struct allocator){NULL, allocate, reallocate, release};
    fs->env = (lore_env){&fs->allocator, &fs->base, env_posix()->sys};
    fs->data = data;
    fs->size = size;
}
