/*
 * fs_memory_native.c - LMDB on the file system in memory. LMDB does its own I/O on a real path, so
 * a file lent to it is copied to a nameless file in memory (memfd_create), which it opens as
 * /proc/self/fd/N, and after each of its commits what has changed there is written back here, in
 * the order in which LMDB writes it:
 *
 *   1. data pages (2 and up), a run of neighbours as one write, as LMDB gathers them    2. sync
 *   3. meta pages (0 and 1)                                                             4. sync
 *
 * Threads: under fs_memory.mutex. Owner: struct native holds the descriptor; the file goes away
 * with the last of them, however the process ends.
 */
#define LORE_MAY_CALL_THE_SYSTEM /* real files: that is what it is for */
#define _GNU_SOURCE              /* memfd_create */
#include "vfs/fs_memory_tree.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/poison.h"

#define NATIVE_PAGE_BYTES 4096u
#define NATIVE_META_PAGES 2u
#define NATIVE_RUN_PAGES  64u /* LMDB gathers so many in one write */

static lore_status native_fail(const char *call, const char *path) {
    return fail(errno == ENOSPC ? LORE_FULL : LORE_IO, "%s %s: errno %d", call, path, errno);
}

static struct native *native_find(struct fs_memory *memory, const char *path) {
    struct native *native = memory->natives;
    while (native != NULL && strcmp(native->path, path) != 0)
        native = native->next;
    return native;
}

/* ---- out ---- */

static lore_status write_all(const struct native *native, const uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t done = write(native->fd, data, size);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return native_fail("write", native->path);
        data += done;
        size -= (size_t)done;
    }
    return LORE_OK;
}

static lore_status copy_out(const struct content *content, const struct native *native) {
    uint8_t part[16 * NATIVE_PAGE_BYTES];
    for (uint64_t at = 0; at < content->size;) {
        size_t size = content_read(content, at, part, sizeof part);
        TRY(write_all(native, part, size));
        at += size;
    }
    return LORE_OK;
}

static void native_free(struct fs_memory *memory, struct native *native) {
    (void)close(native->fd);
    mem_put(memory->host, native, sizeof *native);
}

static lore_status native_start(struct fs_memory *memory, const char *path,
                                struct native **started) {
    if (strlen(path) >= PATH_BYTES_MAX) return fail(LORE_INVALID, "%s: path too long", path);
    struct inode *inode;
    lore_status status = tree_find(memory, path, &inode);
    if (status != LORE_OK && status != LORE_NOT_FOUND) return status;
    bool exists = status == LORE_OK;
    if (exists && inode->is_dir) return fail(LORE_IO, "%s: is a directory", path);
    void *block;
    TRY(mem_new(memory->host, sizeof(struct native), &block));
    struct native *native = block;
    memcpy(native->path, path, strlen(path) + 1);
    native->fd = memfd_create("lore", MFD_CLOEXEC);
    if (native->fd < 0) {
        mem_put(memory->host, native, sizeof *native);
        return native_fail("memfd_create", path);
    }
    if (exists) {
        status = window_fold(memory, inode);
        if (status == LORE_OK) status = copy_out(inode->now, native);
        if (status != LORE_OK) {
            native_free(memory, native);
            return status;
        }
    }
    native->next = memory->natives;
    memory->natives = native;
    *started = native;
    return LORE_OK;
}

static lore_status open_locked(struct fs_memory *memory, const char *path, char *real,
                               size_t real_size) {
    struct native *native = native_find(memory, path);
    if (native == NULL) TRY(native_start(memory, path, &native));
    int size = snprintf(real, real_size, "/proc/self/fd/%d", native->fd);
    if (size < 0 || (size_t)size >= real_size) return fail(LORE_INVALID, "%s: path too long", path);
    native->users++;
    return LORE_OK;
}

lore_status native_open(struct fs *fs, const char *path, char *native, size_t native_size) {
    struct fs_memory *memory = (struct fs_memory *)fs;
    pthread_mutex_lock(&memory->mutex);
    lore_status status = open_locked(memory, path, native, native_size);
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

/* ---- back ---- */

/* Whether page `index` of LMDB's file, of which `size` bytes are at `page`, differs from the
 * file. */
static bool page_differs(const struct inode *file, uint64_t index, const uint8_t *page,
                         size_t size) {
    return !content_equals(file->now, index * NATIVE_PAGE_BYTES, page, size);
}

/* Write back the pages `from` to `to` that have changed. */
static lore_status copy_back(struct fs_memory *memory, const struct native *native,
                             struct inode *file, uint64_t from, uint64_t to) {
    uint8_t buffer[NATIVE_RUN_PAGES * NATIVE_PAGE_BYTES];
    while (from < to) {
        size_t want = to - from < NATIVE_RUN_PAGES ? (size_t)(to - from) : NATIVE_RUN_PAGES;
        ssize_t got =
            pread(native->fd, buffer, want * NATIVE_PAGE_BYTES, (off_t)(from * NATIVE_PAGE_BYTES));
        if (got < 0) return native_fail("read", native->path);
        if (got == 0) return LORE_OK;
        size_t size = (size_t)got;
        size_t run = 0; /* bytes of changed pages that end at `at` */
        for (size_t at = 0; at < size;) {
            size_t part = size - at < NATIVE_PAGE_BYTES ? size - at : NATIVE_PAGE_BYTES;
            if (page_differs(file, from + at / NATIVE_PAGE_BYTES, buffer + at, part)) {
                run += part;
            } else if (run > 0) {
                TRY(inode_write(memory, file, from * NATIVE_PAGE_BYTES + at - run,
                                buffer + at - run, run));
                run = 0;
            }
            at += part;
        }
        if (run > 0) {
            TRY(inode_write(memory, file, from * NATIVE_PAGE_BYTES + size - run,
                            buffer + size - run, run));
        }
        from += want;
    }
    return LORE_OK;
}

/* The file itself, made (unsynced, like any other) at the first commit. */
static lore_status native_file(struct fs_memory *memory, const char *path, struct inode **file) {
    struct inode *dir;
    char name[NAME_BYTES_MAX];
    TRY(tree_parent(memory, path, &dir, name));
    *file = names_find(&dir->names_now, name);
    if (*file != NULL) return LORE_OK;
    TRY(inode_create(memory, false, 0600, file));
    lore_status status = dir_link(memory, dir, name, *file);
    if (status != LORE_OK) inode_destroy(memory, *file);
    return status;
}

static lore_status step_copy(struct fs_memory *memory, const struct native *native,
                             struct inode *file, uint64_t size, enum native_step step) {
    TRY(window_fold(memory, file));
    if (step == NATIVE_META) return copy_back(memory, native, file, 0, NATIVE_META_PAGES);
    if (size < file->now->size) TRY(inode_truncate(memory, file, size));
    uint64_t pages = (size + NATIVE_PAGE_BYTES - 1) / NATIVE_PAGE_BYTES;
    return copy_back(memory, native, file, NATIVE_META_PAGES, pages);
}

static lore_status step_locked(struct fs_memory *memory, const char *path, enum native_step step) {
    const struct native *native = native_find(memory, path);
    if (native == NULL) return fail(LORE_MISUSE, "native_commit %s: not open", path);
    struct stat stat;
    if (fstat(native->fd, &stat) != 0) return native_fail("fstat", path);
    if (stat.st_size == 0) return LORE_OK; /* nothing was made there yet */
    struct inode *file;
    TRY(native_file(memory, path, &file));
    if (step == NATIVE_DATA_SYNC || step == NATIVE_META_SYNC) return inode_sync(memory, file);
    return step_copy(memory, native, file, (uint64_t)stat.st_size, step);
}

lore_status fs_memory_native_step(struct fs_memory *memory, const char *path,
                                  enum native_step step) {
    pthread_mutex_lock(&memory->mutex);
    lore_status status = step_locked(memory, path, step);
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

lore_status native_commit(struct fs *fs, const char *path) {
    for (int step = NATIVE_DATA; step < NATIVE_STEPS; step++) {
        TRY(fs_memory_native_step((struct fs_memory *)fs, path, (enum native_step)step));
    }
    return LORE_OK;
}

/* ---- end ---- */

void native_close(struct fs *fs, const char *path) {
    struct fs_memory *memory = (struct fs_memory *)fs;
    pthread_mutex_lock(&memory->mutex);
    for (struct native **at = &memory->natives; *at != NULL; at = &(*at)->next) {
        struct native *native = *at;
        if (strcmp(native->path, path) != 0) continue;
        assert(native->users > 0);
        if (--native->users == 0) {
            *at = native->next;
            native_free(memory, native);
        }
        break;
    }
    pthread_mutex_unlock(&memory->mutex);
}

void native_remove_all(struct fs_memory *memory) {
    while (memory->natives != NULL) {
        struct native *native = memory->natives;
        memory->natives = native->next;
        native_free(memory, native);
    }
}
