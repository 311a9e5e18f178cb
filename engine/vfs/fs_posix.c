/*
 * fs_posix.c - files and directories by system calls, and what an errno means.
 *
 * Every transfer is by position (pread, pwrite), so that one file may be read by many threads.
 * Calls are repeated after EINTR and after a short transfer. Descriptors are closed across exec.
 * New files are 0600 or 0660, new directories 0700 or 0770, narrowed by the process's umask.
 *
 * Threads: any. Ownership: a struct file owns its descriptor and a copy of its path, for error
 * texts.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#include "vfs/posix.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/poison.h"

#define TRANSFER_BYTES_MAX ((size_t)1 << 30) /* Linux moves at most 2 GiB less a page in one call  \
                                              */

struct posix_file {
    struct file file;
    int descriptor;
    size_t path_size; /* bytes, with the zero */
    char path[];
};

static bool in_file_range(uint64_t offset, uint64_t size) {
    const uint64_t offset_max = sizeof(off_t) == 8 ? INT64_MAX : INT32_MAX;
    return offset <= offset_max && size <= offset_max - offset;
}

/* Here, since beside _GNU_SOURCE strerror_r would be another function of that name. */
lore_status posix_fail(int error, const char *call, const char *path) {
    if (error == ENOENT) return LORE_NOT_FOUND;
    lore_status status = LORE_IO;
    if (error == EEXIST) status = LORE_EXISTS;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) status = LORE_FULL;
    if (error == ENOMEM) status = LORE_NO_MEMORY;
    char text[128];
    if (strerror_r(error, text, sizeof text) != 0) text[0] = '\0';
    return fail(status, "%s: %s: %s (errno %d)", path, call, text, error);
}

/* ---- files ---- */

static lore_status read_at(struct file *file, uint64_t offset, void *data, size_t size,
                           size_t *got) {
    struct posix_file *self = (struct posix_file *)file;
    uint8_t *at = data;
    *got = 0;
    if (!in_file_range(offset, size)) return LORE_OK; /* no file reaches that far */
    while (*got < size) {
        size_t left = size - *got;
        if (left > TRANSFER_BYTES_MAX) left = TRANSFER_BYTES_MAX;
        ssize_t n = pread(self->descriptor, at + *got, left, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return posix_fail(errno, "pread", self->path);
        if (n == 0) break;
        *got += (size_t)n;
    }
    return LORE_OK;
}

static lore_status write_at(struct file *file, uint64_t offset, const void *data, size_t size) {
    struct posix_file *self = (struct posix_file *)file;
    const uint8_t *at = data;
    if (!in_file_range(offset, size)) return posix_fail(EFBIG, "pwrite", self->path);
    size_t done = 0;
    while (done < size) {
        size_t left = size - done;
        if (left > TRANSFER_BYTES_MAX) left = TRANSFER_BYTES_MAX;
        ssize_t n = pwrite(self->descriptor, at + done, left, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return posix_fail(errno, "pwrite", self->path);
        if (n == 0) return posix_fail(EIO, "pwrite", self->path); /* would go on for ever */
        done += (size_t)n;
    }
    return LORE_OK;
}

static lore_status size_of(struct file *file, uint64_t *size) {
    struct posix_file *self = (struct posix_file *)file;
    struct stat info;
    if (fstat(self->descriptor, &info) != 0) return posix_fail(errno, "fstat", self->path);
    *size = (uint64_t)info.st_size;
    return LORE_OK;
}

static lore_status truncate_to(struct file *file, uint64_t size) {
    struct posix_file *self = (struct posix_file *)file;
    if (!in_file_range(size, 0)) return posix_fail(EFBIG, "ftruncate", self->path);
    int result;
    do
        result = ftruncate(self->descriptor, (off_t)size);
    while (result != 0 && errno == EINTR);
    return result == 0 ? LORE_OK : posix_fail(errno, "ftruncate", self->path);
}

static lore_status sync_data(struct file *file) {
    struct posix_file *self = (struct posix_file *)file;
    int result;
    /* Interrupted is not failed: the flush did not end, and its errors are not yet consumed. */
    do
        result = fdatasync(self->descriptor);
    while (result != 0 && errno == EINTR);
    return result == 0 ? LORE_OK : posix_fail(errno, "fdatasync", self->path);
}

static void close_file(struct file *file) {
    struct posix_file *self = (struct posix_file *)file;
    /* Linux frees the descriptor whatever close returns; what matters was synced before. */
    (void)close(self->descriptor);
    mem_put(&posix_allocator, self, sizeof *self + self->path_size);
}

static const struct file_ops posix_file_ops = {read_at,     write_at,  size_of,
                                               truncate_to, sync_data, close_file};

int posix_open(const char *path, int flags, bool group_access) {
    mode_t mode = group_access ? 0660 : 0600;
    int descriptor;
    do
        descriptor = open(path, flags | O_CLOEXEC, mode);
    while (descriptor < 0 && errno == EINTR);
    return descriptor;
}

static lore_status open_file(struct fs *fs, const char *path, enum file_mode mode,
                             bool group_access, struct file **file) {
    (void)fs;
    *file = NULL;
    size_t path_size = strlen(path) + 1;
    void *memory;
    TRY(mem_get(&posix_allocator, sizeof(struct posix_file) + path_size, &memory));
    struct posix_file *self = memory;
    int flags = O_RDONLY;
    if (mode == FILE_WRITE) flags = O_RDWR;
    if (mode == FILE_CREATE) flags = O_RDWR | O_CREAT | O_EXCL;
    self->file.ops = &posix_file_ops;
    self->path_size = path_size;
    memcpy(self->path, path, path_size);
    self->descriptor = posix_open(path, flags, group_access);
    if (self->descriptor < 0) {
        lore_status status = posix_fail(errno, "open", path);
        mem_put(&posix_allocator, self, sizeof *self + path_size);
        return status;
    }
    *file = &self->file;
    return LORE_OK;
}

/* ---- directories ---- */

static lore_status make_dir(struct fs *fs, const char *path, bool group_access) {
    (void)fs;
    return mkdir(path, group_access ? 0770 : 0700) == 0 ? LORE_OK
                                                        : posix_fail(errno, "mkdir", path);
}

static lore_status remove_dir(struct fs *fs, const char *path) {
    (void)fs;
    if (rmdir(path) == 0) return LORE_OK;
    /* POSIX lets a full directory be EEXIST; nobody means LORE_EXISTS by it. */
    return posix_fail(errno == EEXIST ? ENOTEMPTY : errno, "rmdir", path);
}

static lore_status sync_dir(struct fs *fs, const char *path) {
    (void)fs;
    int descriptor = posix_open(path, O_RDONLY | O_DIRECTORY, false);
    if (descriptor < 0) return posix_fail(errno, "open", path);
    int result;
    do
        result = fsync(descriptor);
    while (result != 0 && errno == EINTR);
    lore_status status = result == 0 ? LORE_OK : posix_fail(errno, "fsync", path);
    (void)close(descriptor);
    return status;
}

static lore_status rename_file(struct fs *fs, const char *from, const char *to) {
    (void)fs;
    return rename(from, to) == 0 ? LORE_OK : posix_fail(errno, "rename", from);
}

static lore_status unlink_file(struct fs *fs, const char *path) {
    (void)fs;
    return unlink(path) == 0 ? LORE_OK : posix_fail(errno, "unlink", path);
}

static lore_status link_file(struct fs *fs, const char *from, const char *to) {
    (void)fs;
    if (link(from, to) == 0) return LORE_OK;
    int error = errno;
    if (error == EXDEV || error == EPERM || error == EOPNOTSUPP || error == ENOSYS ||
        error == EMLINK) {
        return fail(LORE_UNSUPPORTED, "%s: no hard link to %s here (errno %d)", to, from, error);
    }
    return posix_fail(error, "link", error == EEXIST ? to : from);
}

static lore_status list_dir(struct fs *fs, const char *path, dir_entry_fn entry, void *context) {
    (void)fs;
    int descriptor = posix_open(path, O_RDONLY | O_DIRECTORY, false);
    if (descriptor < 0) return posix_fail(errno, "open", path);
    DIR *dir = fdopendir(descriptor);
    if (dir == NULL) {
        lore_status status = posix_fail(errno, "fdopendir", path);
        (void)close(descriptor);
        return status;
    }
    lore_status status = LORE_OK;
    while (status == LORE_OK) {
        errno = 0;
        const struct dirent *found = readdir(dir);
        if (found == NULL) {
            if (errno != 0) status = posix_fail(errno, "readdir", path);
            break;
        }
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0) continue;
        struct stat info;
        if (fstatat(descriptor, found->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno == ENOENT) continue; /* removed since it was read */
            status = posix_fail(errno, "fstatat", path);
            break;
        }
        status = entry(context, &(struct dir_entry){found->d_name, S_ISDIR(info.st_mode)});
    }
    (void)closedir(dir);
    return status;
}

static lore_status stat_path(struct fs *fs, const char *path, uint64_t *size, bool *is_dir,
                             uint32_t *mode) {
    (void)fs;
    struct stat info;
    if (stat(path, &info) != 0) return posix_fail(errno, "stat", path);
    if (size != NULL) *size = (uint64_t)info.st_size;
    if (is_dir != NULL) *is_dir = S_ISDIR(info.st_mode);
    if (mode != NULL) *mode = (uint32_t)(info.st_mode & 07777);
    return LORE_OK;
}

static lore_status free_space(struct fs *fs, const char *path, uint64_t *free_bytes) {
    (void)fs;
    struct statvfs info;
    int result;
    do
        result = statvfs(path, &info);
    while (result != 0 && errno == EINTR);
    if (result != 0) return posix_fail(errno, "statvfs", path);
    *free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    return LORE_OK;
}

/* ---- the catalog's seam: LMDB works on the path itself ---- */

static lore_status native_open(struct fs *fs, const char *path, char *native, size_t native_size) {
    (void)fs;
    size_t size = strlen(path) + 1;
    if (size > native_size) return fail(LORE_INVALID, "%s: path too long", path);
    memcpy(native, path, size);
    return LORE_OK;
}

static lore_status native_commit(struct fs *fs, const char *path) {
    (void)fs;
    (void)path;
    return LORE_OK;
}

static void native_close(struct fs *fs, const char *path) {
    (void)fs;
    (void)path;
}

static const struct fs_ops posix_fs_ops = {
    .open = open_file,
    .make_dir = make_dir,
    .remove_dir = remove_dir,
    .sync_dir = sync_dir,
    .rename = rename_file,
    .unlink = unlink_file,
    .link = link_file,
    .list = list_dir,
    .stat = stat_path,
    .space = free_space,
    .lock = posix_lock,
    .unlock = posix_unlock,
    .is_locked = posix_is_locked,
    .native_open = native_open,
    .native_commit = native_commit,
    .native_close = native_close,
};

const struct fs posix_fs = {&posix_fs_ops};
