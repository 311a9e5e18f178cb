/*
 * env.c - shorthand over any environment: the calls without the arrows, and the few things that
 * take several of them (replace a file, copy one, remove a tree). Nothing here calls the system;
 * the macro below is for members of fs_ops that share their names with system calls.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#include "vfs/env.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/poison.h"

#define COPY_BYTES ((size_t)64 * 1024)

lore_status fs_open(const lore_env *env, const char *path, enum file_mode mode, bool group_access,
                    struct file **file) {
    return env->fs->ops->open(env->fs, path, mode, group_access, file);
}

lore_status file_read(struct file *file, uint64_t offset, void *data, size_t size, size_t *got) {
    return file->ops->read_at(file, offset, data, size, got);
}

lore_status file_read_exact(struct file *file, const char *path, uint64_t offset, void *data,
                            size_t size) {
    size_t got;
    TRY(file_read(file, offset, data, size, &got));
    if (got == size) return LORE_OK;
    return fail(LORE_CORRUPTION, "%s: ends %zu bytes after offset %" PRIu64 ", %zu were expected",
                path, got, offset, size);
}

lore_status file_write(struct file *file, uint64_t offset, const void *data, size_t size) {
    return file->ops->write_at(file, offset, data, size);
}

lore_status file_size(struct file *file, uint64_t *size) {
    return file->ops->size(file, size);
}

lore_status file_truncate(struct file *file, uint64_t size) {
    return file->ops->truncate(file, size);
}

lore_status file_sync(struct file *file) {
    return file->ops->sync(file);
}

void file_close(struct file *file) {
    if (file != NULL) file->ops->close(file);
}

lore_status fs_rename(const lore_env *env, const char *from, const char *to) {
    return env->fs->ops->rename(env->fs, from, to);
}

lore_status fs_unlink(const lore_env *env, const char *path) {
    return env->fs->ops->unlink(env->fs, path);
}

lore_status sys_random(const lore_env *env, void *data, size_t size) {
    return env->sys->ops->random(env->sys, data, size);
}

/* ---- paths ---- */

lore_status path_join(char out[PATH_BYTES_MAX], const char *dir, const char *name) {
    size_t dir_size = strlen(dir);
    const char *between = dir_size == 0 || dir[dir_size - 1] == '/' ? "" : "/";
    int length = snprintf(out, PATH_BYTES_MAX, "%s%s%s", dir, between, name);
    if (length >= 0 && length < PATH_BYTES_MAX) return LORE_OK;
    out[0] = '\0';
    return fail(LORE_INVALID, "path too long, %d bytes at most: %s%s%s", PATH_BYTES_MAX - 1, dir,
                between, name);
}

/* The directory that holds `path`, which does not end in '/'. */
static lore_status path_parent(char out[PATH_BYTES_MAX], const char *path) {
    const char *last = strrchr(path, '/');
    size_t size = last == NULL ? 1 : (size_t)(last - path);
    if (size >= PATH_BYTES_MAX) return fail(LORE_INVALID, "path too long: %s", path);
    memcpy(out, last == NULL ? "." : path, size);
    if (size == 0) out[size++] = '/';
    out[size] = '\0';
    return LORE_OK;
}

lore_status fs_sync_parent(const lore_env *env, const char *path) {
    char parent[PATH_BYTES_MAX];
    TRY(path_parent(parent, path));
    return env->fs->ops->sync_dir(env->fs, parent);
}

/* ---- whole files ---- */

/* A failure's text is about the first cause, so cleaning up after it must not touch the text: what
 * it calls may fail and say so. Nobody can act on that, and a left-over temporary file is removed
 * by the next try. */
static lore_status discard(const lore_env *env, const char *path, lore_status cause) {
    char text[512];
    snprintf(text, sizeof text, "%s", lore_error_message());
    if (fs_unlink(env, path) != LORE_OK) return fail(cause, "%s", text);
    return cause;
}

static lore_status write_new_file(const lore_env *env, const char *path, bool group_access,
                                  lore_slice content) {
    struct file *file;
    TRY(fs_open(env, path, FILE_CREATE, group_access, &file));
    lore_status status = file_write(file, 0, content.data, content.size);
    if (status == LORE_OK) status = file_sync(file);
    file_close(file);
    return status == LORE_OK ? LORE_OK : discard(env, path, status);
}

lore_status fs_replace_file(const lore_env *env, const char *path, bool group_access,
                            lore_slice content) {
    char temporary[PATH_BYTES_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (length < 0 || length >= PATH_BYTES_MAX) {
        return fail(LORE_INVALID, "path too long: %s.tmp", path);
    }
    lore_status status = fs_unlink(env, temporary); /* left by a crash */
    if (status != LORE_OK && status != LORE_NOT_FOUND) return status;
    TRY(write_new_file(env, temporary, group_access, content));
    status = fs_rename(env, temporary, path);
    if (status != LORE_OK) return discard(env, temporary, status);
    return fs_sync_parent(env, path);
}

lore_status fs_read_file(const lore_env *env, const char *path, size_t size_max,
                         struct bytes *content) {
    struct file *file;
    TRY(fs_open(env, path, FILE_READ, false, &file));
    uint64_t size;
    lore_status status;
    TRY_OR(file_size(file, &size), status, close);
    if (size > size_max) {
        status = fail(LORE_CORRUPTION, "%s: %" PRIu64 " bytes, %zu at most were expected", path,
                      size, size_max);
        goto close;
    }
    bytes_clear(content);
    uint8_t *at;
    TRY_OR(bytes_extend(content, (size_t)size, &at), status, close);
    if (size > 0) status = file_read_exact(file, path, 0, at, (size_t)size);
    if (status != LORE_OK) bytes_clear(content);
close:
    file_close(file);
    return status;
}

static lore_status copy_content(struct file *from, struct file *to, void *chunk) {
    for (uint64_t offset = 0;;) {
        size_t got;
        TRY(file_read(from, offset, chunk, COPY_BYTES, &got));
        TRY(file_write(to, offset, chunk, got));
        offset += got;
        if (got < COPY_BYTES) return LORE_OK;
    }
}

lore_status fs_copy_file(const lore_env *env, const char *from, const char *to, bool group_access) {
    struct file *source = NULL, *target = NULL;
    void *chunk;
    TRY(mem_get(env->allocator, COPY_BYTES, &chunk));
    lore_status status;
    TRY_OR(fs_open(env, from, FILE_READ, false, &source), status, out);
    TRY_OR(fs_open(env, to, FILE_CREATE, group_access, &target), status, out);
    status = copy_content(source, target, chunk);
    if (status == LORE_OK) status = file_sync(target);
out:
    file_close(source);
    file_close(target);
    mem_put(env->allocator, chunk, COPY_BYTES);
    return status != LORE_OK && target != NULL ? discard(env, to, status) : status;
}

/* ---- trees ---- */

/* Names found in a directory: each 'd' for a directory or 'f', the name, a zero. */
static lore_status collect_name(void *context, const struct dir_entry *entry) {
    struct bytes *names = context;
    TRY(bytes_append(names, entry->is_dir ? "d" : "f", 1));
    return bytes_append(names, entry->name, strlen(entry->name) + 1);
}

/* Unlink the files of `names` in `dir`; *subdirectory is the first directory's name, or NULL. */
static lore_status unlink_names(const lore_env *env, const char *dir, const struct bytes *names,
                                const char **subdirectory) {
    *subdirectory = NULL;
    for (size_t at = 0; at < names->size;) {
        const char *name = (const char *)names->data + at + 1;
        if (names->data[at] == 'd') {
            if (*subdirectory == NULL) *subdirectory = name;
        } else {
            char path[PATH_BYTES_MAX];
            TRY(path_join(path, dir, name));
            lore_status status = fs_unlink(env, path);
            if (status != LORE_OK && status != LORE_NOT_FOUND) return status;
        }
        at += strlen(name) + 2;
    }
    return LORE_OK;
}

/* No recursion: it goes down while there is a directory to go down to, else removes the one it
 * stands in and goes up. Names are listed first and removed after, since a file system may lock
 * itself while it lists. */
lore_status fs_remove_tree(const lore_env *env, const char *path) {
    struct fs *fs = env->fs;
    struct bytes names = bytes_empty(env->allocator);
    char current[PATH_BYTES_MAX];
    lore_status status;
    TRY(path_join(current, "", path));
    const size_t root_size = strlen(current);
    for (;;) {
        bytes_clear(&names);
        status = fs->ops->list(fs, current, collect_name, &names);
        if (status != LORE_OK && status != LORE_NOT_FOUND) break;
        const char *subdirectory = NULL;
        if (status == LORE_OK) {
            TRY_OR(unlink_names(env, current, &names, &subdirectory), status, out);
            if (subdirectory != NULL) {
                char next[PATH_BYTES_MAX];
                TRY_OR(path_join(next, current, subdirectory), status, out);
                memcpy(current, next, sizeof current);
                continue;
            }
            status = fs->ops->remove_dir(fs, current);
            if (status != LORE_OK && status != LORE_NOT_FOUND) break;
        }
        status = LORE_OK;
        if (strlen(current) <= root_size) break; /* less where the root was given as "dir/" */
        char *last = strrchr(current, '/');
        assert(last != NULL);
        *last = '\0';
    }
out:
    bytes_free(&names);
    return status;
}
