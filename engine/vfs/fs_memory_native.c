/*
 * fs_memory_native.c - LMDB on the file system in memory. LMDB does its own I/O on a real path, so
 * a file lent to it is copied to a scratch file on a RAM disk, and after each of its commits what
 * has changed there is written back here, in the order in which LMDB writes it:
 *
 *   1. data pages (2 and up), a run of neighbours as one write, as LMDB gathers them    2. sync
 *   3. meta pages (0 and 1)                                                             4. sync
 *
 * Threads: under fs_memory.mutex. Owner: the scratch folder is made at the first native_open and
 * removed, with all in it, when the file system is destroyed.
 */
#define LORE_MAY_CALL_THE_SYSTEM /* real files: that is what it is for */
#include "vfs/fs_memory_tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/poison.h"

#define NATIVE_PAGE_BYTES 4096u
#define NATIVE_META_PAGES 2u
#define NATIVE_RUN_PAGES  64u /* LMDB gathers so many in one write */
#define SCRATCH_NAME_MAX  32u

static lore_status scratch_fail(const char *call, const char *path) {
    return fail(errno == ENOSPC ? LORE_FULL : LORE_IO, "%s %s: errno %d", call, path, errno);
}

static lore_status make_scratch(struct fs_memory *memory) {
    if (memory->scratch[0] != '\0') return LORE_OK;
    const char *places[] = {"/dev/shm", getenv("TMPDIR"), "/tmp"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] == NULL || strlen(places[i]) > PATH_BYTES_MAX - 2 * SCRATCH_NAME_MAX)
            continue;
        (void)snprintf(memory->scratch, sizeof memory->scratch, "%s/lore-scratch-XXXXXX",
                       places[i]);
        if (mkdtemp(memory->scratch) != NULL) return LORE_OK;
    }
    memory->scratch[0] = '\0';
    return scratch_fail("mkdtemp", "/dev/shm, TMPDIR, /tmp");
}

static struct native *native_find(struct fs_memory *memory, const char *path) {
    struct native *native = memory->natives;
    while (native != NULL && strcmp(native->path, path) != 0)
        native = native->next;
    return native;
}

/* ---- out ---- */

static lore_status write_all(int fd, const char *path, const uint8_t *data, size_t size) {
    while (size > 0) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return scratch_fail("write", path);
        data += done;
        size -= (size_t)done;
    }
    return LORE_OK;
}

static lore_status copy_out(const struct content *content, const char *real) {
    int fd = open(real, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return scratch_fail("open", real);
    lore_status status = LORE_OK;
    uint8_t part[16 * NATIVE_PAGE_BYTES];
    for (uint64_t at = 0; at < content->size && status == LORE_OK;) {
        size_t size = content_read(content, at, part, sizeof part);
        status = write_all(fd, real, part, size);
        at += size;
    }
    if (close(fd) != 0 && status == LORE_OK) status = scratch_fail("close", real);
    if (status != LORE_OK) (void)unlink(real);
    return status;
}

static lore_status native_start(struct fs_memory *memory, const char *path,
                                struct native **started) {
    if (strlen(path) >= PATH_BYTES_MAX) return fail(LORE_INVALID, "%s: path too long", path);
    struct inode *inode;
    lore_status status = tree_find(memory, path, &inode);
    if (status != LORE_OK && status != LORE_NOT_FOUND) return status;
    bool exists = status == LORE_OK;
    if (exists && inode->is_dir) return fail(LORE_IO, "%s: is a directory", path);
    TRY(make_scratch(memory));
    void *block;
    TRY(mem_new(memory->host, sizeof(struct native), &block));
    struct native *native = block;
    memcpy(native->path, path, strlen(path) + 1);
    size_t used = strlen(memory->scratch);
    memcpy(native->real, memory->scratch, used);
    (void)snprintf(native->real + used, sizeof native->real - used, "/%llu",
                   (unsigned long long)memory->scratch_count++);
    if (exists) {
        status = window_fold(memory, inode);
        if (status == LORE_OK) status = copy_out(inode->now, native->real);
        if (status != LORE_OK) {
            mem_put(memory->host, native, sizeof *native);
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
    size_t size = strlen(native->real) + 1;
    if (size > real_size) return fail(LORE_INVALID, "%s: path too long", native->real);
    memcpy(real, native->real, size);
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

/* Whether page `index` of the scratch file, of which `size` bytes are at `page`, differs from the
 * file. */
static bool page_differs(const struct inode *file, uint64_t index, const uint8_t *page,
                         size_t size) {
    return !content_equals(file->now, index * NATIVE_PAGE_BYTES, page, size);
}

/* Write back the pages `from` to `to` that have changed. */
static lore_status copy_back(struct fs_memory *memory, struct inode *file, int fd, const char *real,
                             uint64_t from, uint64_t to) {
    uint8_t buffer[NATIVE_RUN_PAGES * NATIVE_PAGE_BYTES];
    while (from < to) {
        size_t want = to - from < NATIVE_RUN_PAGES ? (size_t)(to - from) : NATIVE_RUN_PAGES;
        ssize_t got =
            pread(fd, buffer, want * NATIVE_PAGE_BYTES, (off_t)(from * NATIVE_PAGE_BYTES));
        if (got < 0) return scratch_fail("read", real);
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
                             struct inode *file, int fd, enum native_step step) {
    struct stat stat;
    if (fstat(fd, &stat) != 0) return scratch_fail("fstat", native->real);
    uint64_t size = (uint64_t)stat.st_size;
    uint64_t pages = (size + NATIVE_PAGE_BYTES - 1) / NATIVE_PAGE_BYTES;
    TRY(window_fold(memory, file));
    if (step == NATIVE_META) return copy_back(memory, file, fd, native->real, 0, NATIVE_META_PAGES);
    if (size < file->now->size) TRY(inode_truncate(memory, file, size));
    return copy_back(memory, file, fd, native->real, NATIVE_META_PAGES, pages);
}

static lore_status step_locked(struct fs_memory *memory, const char *path, enum native_step step) {
    const struct native *native = native_find(memory, path);
    if (native == NULL) return fail(LORE_MISUSE, "native_commit %s: not open", path);
    int fd = open(native->real, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return LORE_OK; /* nothing was made there yet */
    if (fd < 0) return scratch_fail("open", native->real);
    struct inode *file;
    lore_status status = native_file(memory, path, &file);
    if (status == LORE_OK) {
        bool sync = step == NATIVE_DATA_SYNC || step == NATIVE_META_SYNC;
        status = sync ? inode_sync(memory, file) : step_copy(memory, native, file, fd, step);
    }
    (void)close(fd);
    return status;
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

/* The scratch file, and the lock file that LMDB may have put beside it. */
static void remove_scratch(const struct native *native) {
    char lock[PATH_BYTES_MAX + sizeof "-lock"];
    (void)snprintf(lock, sizeof lock, "%s-lock", native->real);
    (void)unlink(lock);
    (void)unlink(native->real);
}

void native_close(struct fs *fs, const char *path) {
    struct fs_memory *memory = (struct fs_memory *)fs;
    pthread_mutex_lock(&memory->mutex);
    for (struct native **at = &memory->natives; *at != NULL; at = &(*at)->next) {
        struct native *native = *at;
        if (strcmp(native->path, path) != 0) continue;
        assert(native->users > 0);
        if (--native->users == 0) {
            *at = native->next;
            remove_scratch(native);
            mem_put(memory->host, native, sizeof *native);
        }
        break;
    }
    pthread_mutex_unlock(&memory->mutex);
}

void native_remove_all(struct fs_memory *memory) {
    while (memory->natives != NULL) {
        struct native *native = memory->natives;
        memory->natives = native->next;
        remove_scratch(native);
        mem_put(memory->host, native, sizeof *native);
    }
    if (memory->scratch[0] != '\0') (void)rmdir(memory->scratch);
}
