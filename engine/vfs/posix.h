/*
 * posix.h - what the files of the POSIX environment share. Private to them.
 */
#ifndef LORE_VFS_POSIX_H
#define LORE_VFS_POSIX_H

#include "vfs/env.h"

/* malloc and its kin. */
extern const struct allocator posix_allocator;

/* Constant: it has no state. The vtables take a struct fs * and never write through it. */
extern const struct fs posix_fs;
extern const struct sys posix_sys;

/* The status for `error` (an errno) of the system call `call` on `path`, with its text. */
lore_status posix_fail(int error, const char *call, const char *path);

/* open(2) with O_CLOEXEC, again after EINTR. The descriptor, or -1 and errno. */
int posix_open(const char *path, int flags, bool group_access);

/* lock_posix.c */
lore_status posix_lock(struct fs *fs, const char *path, bool group_access, struct file_lock **lock);
void posix_unlock(struct fs *fs, struct file_lock *lock);
lore_status posix_is_locked(struct fs *fs, const char *path, bool *locked);

#endif
