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

#endif
