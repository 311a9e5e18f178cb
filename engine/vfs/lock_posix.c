/*
 * lock_posix.c - the writer's lock: an open file description lock (F_OFD_SETLK) over the whole of a
 * file.
 *
 * Unlike a lock by process, it excludes a second holder in the same process, and closing another
 * descriptor of the file does not drop it. The kernel drops it with the last descriptor of its
 * description: at unlock, at exec, when the process dies; a child that was forked and never execs
 * holds it as long as it lives.
 *
 * Such locks came with POSIX.1-2024 and stand behind _GNU_SOURCE in C libraries older than that.
 */
#define _GNU_SOURCE
#define LORE_MAY_CALL_THE_SYSTEM
#include "vfs/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/poison.h"

struct file_lock {
    int descriptor;
};

static struct flock whole_file(void) {
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* l_pid must be 0 */
}

lore_status posix_lock(struct fs *fs, const char *path, bool group_access,
                       struct file_lock **lock) {
    (void)fs;
    *lock = NULL;
    void *memory;
    TRY(mem_get(&posix_allocator, sizeof(struct file_lock), &memory));
    struct file_lock *self = memory;
    lore_status status = LORE_OK;
    self->descriptor = posix_open(path, O_RDWR | O_CREAT, group_access);
    if (self->descriptor < 0) {
        status = posix_fail(errno, "open", path);
        goto release;
    }
    struct flock range = whole_file();
    int result;
    do
        result = fcntl(self->descriptor, F_OFD_SETLK, &range);
    while (result != 0 && errno == EINTR);
    if (result == 0) {
        *lock = self;
        return LORE_OK;
    }
    if (errno == EAGAIN || errno == EACCES) {
        status = fail(LORE_LOCKED, "%s: locked by another holder", path);
    } else {
        status = posix_fail(errno, "fcntl(F_OFD_SETLK)", path);
    }
    (void)close(self->descriptor);
release:
    mem_put(&posix_allocator, self, sizeof *self);
    return status;
}

void posix_unlock(struct fs *fs, struct file_lock *lock) {
    (void)fs;
    if (lock == NULL) return;
    /* Given up by name, not only by closing: a forked child may share the description. */
    struct flock range = whole_file();
    range.l_type = F_UNLCK;
    (void)fcntl(lock->descriptor, F_OFD_SETLK, &range);
    (void)close(lock->descriptor);
    mem_put(&posix_allocator, lock, sizeof *lock);
}

lore_status posix_is_locked(struct fs *fs, const char *path, bool *locked) {
    (void)fs;
    int descriptor = posix_open(path, O_RDONLY, false);
    if (descriptor < 0) return posix_fail(errno, "open", path);
    struct flock range = whole_file();
    lore_status status = LORE_OK;
    if (fcntl(descriptor, F_OFD_GETLK, &range) != 0) {
        status = posix_fail(errno, "fcntl(F_OFD_GETLK)", path);
    } else {
        *locked = range.l_type != F_UNLCK;
    }
    (void)close(descriptor);
    return status;
}
