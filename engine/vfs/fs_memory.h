/*
 * fs_memory.h - a file system in memory for crash tests. It keeps, for every file and directory,
 * what a disk would hold after its last sync, and the writes and entries since as a list of pending
 * changes.
 *
 *   file       durable bytes + pending [write, truncate] in order since the last sync
 *   directory  durable names + pending [link, unlink, rename] in order since the last sync_dir
 *
 * A crash keeps the durable part and any subset of the pending changes, each write cut at any of
 * its 512-byte sectors. File syncs do not make the file's name durable: only sync_dir of its
 * directory does, so a file created since may vanish though its data was synced. (make_dir is an
 * entry of its parent like any other.) Three rules beside, as journaling file systems have them:
 *
 *   rename     is one change: the old name goes and the new one comes, or neither. A kept rename
 * keeps the earlier link or rename that made its source name, too. Directories stay within their
 * parent (LORE_UNSUPPORTED otherwise); a file that moved between two directories is durable once
 *              either is synced, with all that the other had pending
 *   unlink     removes whatever has the name
 *   size       a write that is lost does not grow the file; a later one that is kept does, over
 * zeros
 *
 * Threads: one mutex around all of it; two clones share pages and may be used from two threads.
 * Owner: the test that created it.
 */
#ifndef LORE_VFS_FS_MEMORY_H
#define LORE_VFS_FS_MEMORY_H

#include "vfs/env.h"

struct fs_memory;

/* `capacity_bytes` 0: no limit; else writes that would exceed it write what fits and are LORE_FULL.
 * What counts is the sum of the files' sizes; names are free, holes are not. `host` supplies
 * memory. */
MUST_USE lore_status fs_memory_create(const struct allocator *host, uint64_t capacity_bytes,
                                      struct fs_memory **memory);
/* All its files must have been closed. */
void fs_memory_destroy(struct fs_memory *memory);
struct fs *fs_memory_fs(struct fs_memory *memory);
void fs_memory_set_capacity(struct fs_memory *memory, uint64_t capacity_bytes);

/* How many pending changes a crash now could keep or lose. */
size_t fs_memory_pending_count(struct fs_memory *memory);

/* What becomes of pending change `index` (in the order they were made, over all files) in a crash.
 */
enum crash_fate {
    CRASH_LOST,
    CRASH_KEPT,
    CRASH_TORN, /* writes only: sectors chosen by `tear` (bit i: i-th sector reaches the disk, the
                 * pattern repeats after 64); the file grows to the last such; other changes: kept
                 */
    CRASH_TORN_SIZED /* the same, but the file grows to the end of the write, over zeros */
};
/* Called for each index once, in order, with the file system's mutex held. */
typedef enum crash_fate (*crash_choice_fn)(void *context, size_t index, uint64_t *tear);

/* The disk as a power cut now would leave it, as a new file system with nothing pending. */
MUST_USE lore_status fs_memory_crash_clone(struct fs_memory *memory, crash_choice_fn choice,
                                           void *context, struct fs_memory **clone);
/* The process dies, the machine lives: everything written is kept, and what was pending still is: a
 * power cut later may yet lose it. */
MUST_USE lore_status fs_memory_clone(struct fs_memory *memory, struct fs_memory **clone);

/* What pending change `index` is, for a test's report: "write 512 bytes at 4096 of a/b". Cut to
 * fit. */
void fs_memory_describe(struct fs_memory *memory, size_t index, char *text, size_t size);

/* For damage tests: the current bytes of a file, to change in place. NULL if there is none. Counts
 * as a sync of the file. Good until the file is next written, truncated or unlinked. */
uint8_t *fs_memory_bytes(struct fs_memory *memory, const char *path, uint64_t *size);

/* As after a failed sync: the pending changes of an open file of this file system are gone, and
 * reads return what is durable. */
void fs_memory_drop_pending(struct fs_memory *memory, struct file *file);

/* One step of native_commit, which is all of them in this order; for those who would crash or fail
 * between two. A step that finds nothing to do is LORE_OK. */
enum native_step { NATIVE_DATA, NATIVE_DATA_SYNC, NATIVE_META, NATIVE_META_SYNC, NATIVE_STEPS };
MUST_USE lore_status fs_memory_native_step(struct fs_memory *memory, const char *path,
                                           enum native_step step);

#endif
