/*
 * env.h - the environment: everything that the engine asks of the operating system, in one struct that
 * is passed explicitly. Nothing on any floor calls the system another way (base/poison.h).
 *
 *   env_posix.c   the real one, with fs_posix.c (files), lock_posix.c (locks) and sys_posix.c (time, threads)
 *   fs_memory.c   a file system in memory that knows what is durable and what is not, and can be cloned
 *                 as a crash would leave it
 *   fs_fault.c    a wrapper over any file system that fails, counts and forgets on command
 *   sched_sim.c   threads, mutexes, conditions, clock and sleep under a seed: one runs at a time
 *
 * Paths are '/'-separated; `open` etc. take paths as the store was given them, joined by path_join.
 *
 * Failure: every call returns a lore_status with a text naming path and cause. ENOSPC, EDQUOT and EFBIG
 * are LORE_FULL; no such file is LORE_NOT_FOUND (without a text); EEXIST is LORE_EXISTS; ENOMEM
 * is LORE_NO_MEMORY; all else LORE_IO. EINTR and short transfers are dealt with inside.
 */
#ifndef LORE_VFS_ENV_H
#define LORE_VFS_ENV_H

#include "base/alloc.h"
#include "base/bytes.h"

/* ---- files ---- */

enum file_mode {
    FILE_READ,       /* existing, read-only */
    FILE_WRITE,      /* existing, read and write */
    FILE_CREATE      /* must not exist; read and write; empty */
};

struct file {
    const struct file_ops *ops;
};
struct file_ops {
    /* Exactly `size` bytes at `offset`; *got says how many there were before the end of the file. */
    lore_status (*read_at)(struct file *file, uint64_t offset, void *data, size_t size, size_t *got);
    /* All of it, or a failure after which any part may have been written. */
    lore_status (*write_at)(struct file *file, uint64_t offset, const void *data, size_t size);
    lore_status (*size)(struct file *file, uint64_t *size);
    lore_status (*truncate)(struct file *file, uint64_t size);
    /* Data and size on stable storage (fdatasync). Final when it fails: never retry. */
    lore_status (*sync)(struct file *file);
    void (*close)(struct file *file);
};

struct dir_entry {
    const char *name;
    bool is_dir;
};
typedef lore_status (*dir_entry_fn)(void *context, const struct dir_entry *entry);

struct file_lock; /* held until unlocked or the process dies */

struct fs {
    const struct fs_ops *ops;
};
struct fs_ops {
    /* `group_access`: 0660/0770 in place of 0600/0700. */
    lore_status (*open)(struct fs *fs, const char *path, enum file_mode mode, bool group_access,
                        struct file **file);
    lore_status (*make_dir)(struct fs *fs, const char *path, bool group_access);
    lore_status (*remove_dir)(struct fs *fs, const char *path); /* empty ones only */
    lore_status (*sync_dir)(struct fs *fs, const char *path);
    lore_status (*rename)(struct fs *fs, const char *from, const char *to); /* replaces a file */
    lore_status (*unlink)(struct fs *fs, const char *path);
    /* LORE_UNSUPPORTED where the file system has none or the paths are on two. */
    lore_status (*link)(struct fs *fs, const char *from, const char *to);
    /* Names in no order, without "." and "..". Stops at the first status that is not LORE_OK. */
    lore_status (*list)(struct fs *fs, const char *path, dir_entry_fn entry, void *context);
    /* `mode`: permission bits, for verify. */
    lore_status (*stat)(struct fs *fs, const char *path, uint64_t *size, bool *is_dir,
                        uint32_t *mode);
    lore_status (*space)(struct fs *fs, const char *path, uint64_t *free_bytes);
    /* Exclusive, of the whole file (created if missing); LORE_LOCKED if another holder has it. Two
     * holders in one process exclude each other too (open file description locks). */
    lore_status (*lock)(struct fs *fs, const char *path, bool group_access, struct file_lock **lock);
    void (*unlock)(struct fs *fs, struct file_lock *lock);
    /* Whether somebody holds it; changes nothing. LORE_NOT_FOUND without a file. */
    lore_status (*is_locked)(struct fs *fs, const char *path, bool *locked);

    /* The catalog's seam. LMDB does its own I/O on a real path. native_open gives that path for
     * `path` (which a POSIX file system returns as it is; the in-memory one copies its content, if
     * any, to a file of LMDB's own). native_commit is called after every LMDB commit: a POSIX file system does
     * nothing, the in-memory one takes the changed pages over in LMDB's own order: data pages, sync, meta
     * page, sync. native_close ends it. Real paths fit `native_size` bytes. */
    lore_status (*native_open)(struct fs *fs, const char *path, char *native, size_t native_size);
    lore_status (*native_commit)(struct fs *fs, const char *path);
    void (*native_close)(struct fs *fs, const char *path);
};

/* ---- time, chance, threads ---- */

struct mutex;     /* opaque, made by the environment */
struct condition;
struct thread;

struct sys {
    const struct sys_ops *ops;
};
struct sys_ops {
    int64_t (*now_us)(struct sys *sys);       /* wall clock, UTC */
    uint64_t (*monotonic_us)(struct sys *sys);
    lore_status (*random)(struct sys *sys, void *data, size_t size);
    uint64_t (*process_id)(struct sys *sys);
    /* A byte that is 1 here and 0 in every child forked from now on, or NULL. For fork_guard.h alone;
     * an environment may lack both. */
    const volatile uint8_t *(*fork_mark)(struct sys *sys);
    void (*fork_mark_free)(struct sys *sys, const volatile uint8_t *mark);
    void (*host_name)(struct sys *sys, char *name, size_t size);

    lore_status (*mutex_create)(struct sys *sys, struct mutex **mutex);
    void (*mutex_destroy)(struct sys *sys, struct mutex *mutex);
    void (*mutex_lock)(struct sys *sys, struct mutex *mutex);
    void (*mutex_unlock)(struct sys *sys, struct mutex *mutex);
    lore_status (*condition_create)(struct sys *sys, struct condition **condition);
    void (*condition_destroy)(struct sys *sys, struct condition *condition);
    void (*condition_wait)(struct sys *sys, struct condition *condition, struct mutex *mutex);
    /* timeout_us 0: at once. Returns false when the time ran out. */
    bool (*condition_wait_for)(struct sys *sys, struct condition *condition, struct mutex *mutex,
                               uint64_t timeout_us);
    void (*condition_signal)(struct sys *sys, struct condition *condition);
    void (*condition_broadcast)(struct sys *sys, struct condition *condition);
    lore_status (*thread_start)(struct sys *sys, void (*main)(void *context), void *context,
                                struct thread **thread);
    void (*thread_join)(struct sys *sys, struct thread *thread);
    void (*sleep_us)(struct sys *sys, uint64_t us);
};

struct lore_env {
    const struct allocator *allocator;
    struct fs *fs;
    struct sys *sys;
};

/* The real one. Static, stateless. */
const lore_env *env_posix(void);

/* ---- shorthand: the same calls without the arrows ---- */

MUST_USE lore_status fs_open(const lore_env *env, const char *path, enum file_mode mode,
                             bool group_access, struct file **file);
/* Fails with LORE_CORRUPTION, naming path and offset, if the file ends before. */
MUST_USE lore_status file_read_exact(struct file *file, const char *path, uint64_t offset,
                                     void *data, size_t size);
MUST_USE lore_status file_read(struct file *file, uint64_t offset, void *data, size_t size,
                               size_t *got);
MUST_USE lore_status file_write(struct file *file, uint64_t offset, const void *data, size_t size);
MUST_USE lore_status file_size(struct file *file, uint64_t *size);
MUST_USE lore_status file_truncate(struct file *file, uint64_t size);
MUST_USE lore_status file_sync(struct file *file);
void file_close(struct file *file); /* NULL is fine */

/* These three share their names with system calls, which base/poison.h keeps out of the engine. */
MUST_USE lore_status fs_rename(const lore_env *env, const char *from, const char *to);
MUST_USE lore_status fs_unlink(const lore_env *env, const char *path);
MUST_USE lore_status sys_random(const lore_env *env, void *data, size_t size);

/* Write `content` to path: a temporary file beside it, synced, renamed over, directory synced. */
MUST_USE lore_status fs_replace_file(const lore_env *env, const char *path, bool group_access,
                                     lore_slice content);
/* The whole of a file of at most `size_max` bytes; LORE_CORRUPTION if it is larger. */
MUST_USE lore_status fs_read_file(const lore_env *env, const char *path, size_t size_max,
                                  struct bytes *content);
/* Copy, in chunks of 64 KiB, and sync the copy (not its directory). */
MUST_USE lore_status fs_copy_file(const lore_env *env, const char *from, const char *to,
                                  bool group_access);
MUST_USE lore_status fs_sync_parent(const lore_env *env, const char *path);
/* Remove a directory and all in it; LORE_OK if it is not there. */
MUST_USE lore_status fs_remove_tree(const lore_env *env, const char *path);

/* "dir/name" in out. LORE_INVALID if it does not fit. PATH_BYTES_MAX counts the terminating zero. */
#define PATH_BYTES_MAX 1024
MUST_USE lore_status path_join(char out[PATH_BYTES_MAX], const char *dir, const char *name);

#endif
