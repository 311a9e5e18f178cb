/*
 * lmdb_check.h - whether an LMDB data file can be mapped without harm, found out with pread alone: LMDB 0.9 trusts its file, and
 * a bad page number is a crash or an abort in its code.
 *
 * Checked: flags, magic, version and page size of both meta pages; last page number against the file's size; that the roots and every
 * page reachable from them lie within, once, with the right flags, number and bounds; every node's offset and size; overflow
 * chains; keys in order; depth and counts as the meta page says; the free list likewise.
 * Bounded: memory one bit a page and one page a level; time linear in the file.
 */
#ifndef LORE_CATALOG_LMDB_CHECK_H
#define LORE_CATALOG_LMDB_CHECK_H

#include "vfs/env.h"

/* LORE_OK, LORE_CORRUPTION with why, LORE_NOT_FOUND if there is no file, LORE_IO. */
MUST_USE lore_status lmdb_check(const lore_env *env, const struct allocator *allocator,
                                const char *path, uint64_t bytes_max);

/* The same, and `record` for every record of the main tree in order of key, with the value as LMDB holds it, of at most
 * `value_bytes_max`. Stops at the first status that is not LORE_OK. The slices live during the call. */
typedef lore_status (*lmdb_record_fn)(void *context, lore_slice key, lore_slice value);
MUST_USE lore_status lmdb_check_records(const lore_env *env, const struct allocator *allocator,
                                        const char *path, uint64_t bytes_max,
                                        size_t value_bytes_max, lmdb_record_fn record,
                                        void *context);

#endif
