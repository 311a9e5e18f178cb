/*
 * fs_fault.h - a file system that wraps another and fails on command. Calls that can fail are
 * numbered from 0; a plan says which number fails, how, and whether all after it fail too. A failed
 * sync drops the file's pending writes where the wrapped file system is known to be one in memory
 * (as Linux marks pages clean after EIO); a failed write has written the first half. Any other
 * failed call does nothing. It can also skip a sync or a directory sync silently, for tests that
 * prove each one is needed.
 *
 * Over a file system in memory native_commit is four calls, not one: see enum native_step.
 *
 * Threads: counters are atomic; set the plan while nothing runs.
 */
#ifndef LORE_VFS_FS_FAULT_H
#define LORE_VFS_FS_FAULT_H

#include <stdatomic.h>
#include "vfs/fs_memory.h"

enum fault_call {                       /* bits, for the mask of a plan */
                  FAULT_OPEN = 1u << 0, /* open, lock */
                  FAULT_READ = 1u << 1,
                  FAULT_WRITE = 1u << 2,
                  FAULT_SYNC = 1u << 3,
                  FAULT_SYNC_DIR = 1u << 4,
                  FAULT_RENAME = 1u << 5,
                  FAULT_UNLINK = 1u << 6, /* unlink, remove_dir */
                  FAULT_TRUNCATE = 1u << 7,
                  FAULT_MAKE_DIR = 1u << 8,
                  FAULT_LINK = 1u << 9,
                  FAULT_LIST =
                      1u << 10, /* what asks: list, stat, space, is_locked, a file's size */
                  FAULT_NATIVE = 1u << 11, /* native_open, native_commit */
                  FAULT_ALL = 0xfffu
};

struct fault_plan {
    uint32_t calls;            /* which calls count and fail: fault_call bits */
    uint64_t at;               /* the number of the first failing call; UINT64_MAX: never */
    bool for_ever;             /* all counted calls from then on fail */
    lore_status status;        /* LORE_IO or LORE_FULL */
    const char *path_contains; /* NULL: any path. The caller's, while the plan is set */
};

struct fs_fault;
MUST_USE lore_status fs_fault_create(const struct allocator *host, struct fs *wrapped,
                                     struct fs_fault **fault);
/* Not the wrapped one. All its files must have been closed. */
void fs_fault_destroy(struct fs_fault *fault);
/* Say that the wrapped file system is fs_memory_fs(memory). */
void fs_fault_set_memory(struct fs_fault *fault, struct fs_memory *memory);
struct fs *fs_fault_fs(struct fs_fault *fault);
/* NULL: nothing fails, all calls count. Resets the counter. */
void fs_fault_set_plan(struct fs_fault *fault, const struct fault_plan *plan);
uint64_t fs_fault_calls(struct fs_fault *fault); /* counted since the plan was set */
bool fs_fault_fired(struct fs_fault *fault);

/* Pretend to do the sync whose path contains `path_contains` and whose kind is in `calls`
 * (FAULT_SYNC | FAULT_SYNC_DIR), without doing it. NULL: off. */
void fs_fault_skip(struct fs_fault *fault, uint32_t calls, const char *path_contains);

/* How many syncs have been skipped since. */
uint64_t fs_fault_skipped(struct fs_fault *fault);

/* Called before every call that changes what is on the disk or what a crash would leave of it
 * (writes, syncs, names), with its running number from 0: the crash enumerator's hook. Not before
 * one that the plan makes fail. NULL: off. */
void fs_fault_on_change(struct fs_fault *fault, void (*hook)(void *context, uint64_t number),
                        void *context);

/* What a hook makes of a call, in place of a plan or beside one. */
enum fault_outcome {
    FAULT_PASSES,
    FAULT_FAILS,   /* LORE_IO; else as a plan's failure */
    FAULT_IS_LOST, /* writes, and LMDB's two: acknowledged, and not there: old bytes stay, what is
                    * beyond the end is zeros. Other calls pass */
    FAULT_GOES_ASTRAY /* writes: acknowledged, and written at *astray instead. Other calls pass */
};
/* Called before the plan is asked, for every call that a plan could make fail; `offset` and `size`
 * are those of reads and writes of files, else 0. For LMDB's steps `call` is FAULT_NATIVE. It may
 * call sched_sim_yield, not the file system. */
typedef enum fault_outcome (*fault_call_fn)(void *context, enum fault_call call, const char *path,
                                            uint64_t offset, size_t size, uint64_t *astray);
/* NULL: off. */
void fs_fault_on_call(struct fs_fault *fault, fault_call_fn hook, void *context);

/* An allocator that fails its N-th allocation, counted from 0, once or for ever, and counts what is
 * not freed. A reallocation that grows counts as an allocation. */
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
