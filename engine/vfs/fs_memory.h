/*
 * fs_memory.h - a file system in memory for crash tests. It keeps, for every file and directory, what a
 * disk would hold after its last sync, and the writes and entries since as a list of pending changes.
 *
 *   file       durable bytes + pending [write, truncate] in order since the last sync
 *   directory  durable names + pending [link, unlink, rename] in order since the last sync_dir
 *
 * A crash keeps the durable part and any subset of the pending changes, each write cut at any of its
 * 512-byte sectors. File syncs do not make the file's name durable: only sync_dir of its directory does.
 * (make_dir is an entry of its parent like any other.)
 *
 * Threads: one mutex around all of it. Owner: the test that created it.
 */
#ifndef LORE_VFS_FS_MEMORY_H
#define LORE_VFS_FS_MEMORY_H

#include "vfs/env.h"

struct fs_memory;

/* `capacity_bytes` 0: no limit; else writes that would exceed it are LORE_FULL. `host` supplies memory. */
MUST_USE lore_status fs_memory_create(const struct allocator *host, uint64_t capacity_bytes,
                                      struct fs_memory **memory);
void fs_memory_destroy(struct fs_memory *memory);
struct fs *fs_memory_fs(struct fs_memory *memory);
void fs_memory_set_capacity(struct fs_memory *memory, uint64_t capacity_bytes);

/* How many pending changes a crash now could keep or lose. */
size_t fs_memory_pending_count(struct fs_memory *memory);

/* What becomes of pending change `index` (in the order they were made, over all files) in a crash. */
enum crash_fate {
    CRASH_LOST,
    CRASH_KEPT,
    CRASH_TORN  /* writes only: sectors chosen by `tear` (bit i: i-th sector reaches the disk, the
                 * pattern repeats after 64); other changes: kept */
};
typedef enum crash_fate (*crash_choice_fn)(void *context, size_t index, uint64_t *tear);

/* The disk as a power cut now would leave it, as a new file system with nothing pending. */
MUST_USE lore_status fs_memory_crash_clone(struct fs_memory *memory, crash_choice_fn choice,
                                           void *context, struct fs_memory **clone);
/* The process dies, the machine lives: everything written is kept. */
MUST_USE lore_status fs_memory_clone(struct fs_memory *memory, struct fs_memory **clone);

/* For damage tests: the current bytes of a file, to change in place. NULL if there is none. */
uint8_t *fs_memory_bytes(struct fs_memory *memory, const char *path, uint64_t *size);

#endif
