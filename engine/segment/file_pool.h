/*
 * file_pool.h - at most files_max segment files open at once. A pooled file is opened at its first
 * read and may be closed between reads, least recently used first; `keep_open` files (a read-only
 * handle beside a writer) never are, and are opened once for all that ask for their path. A pooled file is counted by references; when the last goes, it
 * is closed and, if it was marked dropped, unlinked.
 *
 * Threads: any.
 */
#ifndef LORE_SEGMENT_FILE_POOL_H
#define LORE_SEGMENT_FILE_POOL_H

#include "vfs/env.h"

struct file_pool;
struct pooled_file;

MUST_USE lore_status file_pool_create(const lore_env *env, const struct allocator *allocator,
                                      uint32_t files_max, bool keep_open, struct file_pool **pool);
void file_pool_destroy(struct file_pool *pool); /* no file referenced any more */
uint64_t file_pool_open_count(struct file_pool *pool);

/* With keep_open the file is opened here, unless it is open already (LORE_NOT_FOUND if it is gone). One
 * reference is the caller's. */
MUST_USE lore_status pooled_file_create(struct file_pool *pool, const char *path,
                                        struct pooled_file **file);
void pooled_file_retain(struct pooled_file *file);
/* An unlink that fails here is left to the next open's sweep. */
void pooled_file_release(struct pooled_file *file);
void pooled_file_mark_dropped(struct pooled_file *file);
const char *pooled_file_path(const struct pooled_file *file);
/* Exactly size bytes, LORE_CORRUPTION if the file is shorter. */
MUST_USE lore_status pooled_file_read(struct pooled_file *file, uint64_t offset, void *data,
                                      size_t size);
MUST_USE lore_status pooled_file_size(struct pooled_file *file, uint64_t *size);

#endif
