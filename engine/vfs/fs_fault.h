/*
 * fs_fault.h - a file system that wraps another and fails on command. Calls that can fail are numbered
 * from 0; a plan says which number fails, how, and whether all after it fail too. A failed sync drops the
 * file's pending writes where the wrapped file system can (as Linux marks pages clean after EIO).
 * It can also skip a sync or a directory sync silently, for tests that prove each one is needed.
 *
 * Threads: counters are atomic; set the plan while nothing runs.
 */
#ifndef LORE_VFS_FS_FAULT_H
#define LORE_VFS_FS_FAULT_H

#include "vfs/env.h"

enum fault_call { /* bits, for the mask of a plan */
    FAULT_OPEN = 1u << 0,
    FAULT_READ = 1u << 1,
    FAULT_WRITE = 1u << 2,
    FAULT_SYNC = 1u << 3,
    FAULT_SYNC_DIR = 1u << 4,
    FAULT_RENAME = 1u << 5,
    FAULT_UNLINK = 1u << 6,
    FAULT_TRUNCATE = 1u << 7,
    FAULT_MAKE_DIR = 1u << 8,
    FAULT_LINK = 1u << 9,
    FAULT_LIST = 1u << 10,
    FAULT_NATIVE = 1u << 11,
    FAULT_ALL = 0xfffu
};

struct fault_plan {
    uint32_t calls;     /* which calls count and fail */
    uint64_t at;        /* the number of the first failing call; UINT64_MAX: never */
    bool for_ever;      /* all counted calls from then on fail */
    lore_status status; /* LORE_IO or LORE_FULL */
    const char *path_contains; /* NULL: any path */
};

struct fs_fault;
MUST_USE lore_status fs_fault_create(const struct allocator *host, struct fs *wrapped,
                                     struct fs_fault **fault);
void fs_fault_destroy(struct fs_fault *fault); /* not the wrapped one */
struct fs *fs_fault_fs(struct fs_fault *fault);
void fs_fault_set_plan(struct fs_fault *fault, const struct fault_plan *plan); /* resets the counter */
uint64_t fs_fault_calls(struct fs_fault *fault);  /* counted since the plan was set */
bool fs_fault_fired(struct fs_fault *fault);

/* Pretend to do the sync whose path contains `path_contains` and whose kind is in `calls`
 * (FAULT_SYNC | FAULT_SYNC_DIR), without doing it. NULL: off. */
void fs_fault_skip(struct fs_fault *fault, uint32_t calls, const char *path_contains);

/* Called before every call that changes the disk, with its running number: the crash enumerator's hook.
 * NULL: off. */
void fs_fault_on_change(struct fs_fault *fault, void (*hook)(void *context, uint64_t number),
                        void *context);

/* An allocator that fails its N-th allocation, once or for ever, and counts what is not freed. */
struct fault_allocator {
    struct allocator base; /* hand out &base */
    const struct allocator *host;
    _Atomic uint64_t calls;
    _Atomic uint64_t fail_at; /* UINT64_MAX: never */
    _Atomic bool for_ever;
    _Atomic int64_t outstanding_bytes;
};
void fault_allocator_init(struct fault_allocator *fault, const struct allocator *host);

#endif
