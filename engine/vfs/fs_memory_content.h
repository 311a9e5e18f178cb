/*
 * fs_memory_content.h - the bytes of a file in memory, copied on write.
 *
 *   content   size, and a table of pages; a missing page is zeros
 *   page      4096 bytes, shared by every content that holds the same ones
 *
 * Contents and pages are counted, so that cloning a whole disk copies no byte: a clone shares
 * contents, the first write to one copies its table, the first write to a page copies the page.
 *
 * Invariants: table slots beyond the size are empty; bytes of the last page beyond the size are
 * zero. Threads: counts are atomic, so contents shared between two disks may be used from two
 * threads; one disk's own are under its mutex.
 */
#ifndef LORE_VFS_FS_MEMORY_CONTENT_H
#define LORE_VFS_FS_MEMORY_CONTENT_H

#include <stdatomic.h>
#include "base/alloc.h"

#define CONTENT_PAGE_BYTES 4096u
/* A table of pages for more than this would itself be too big. */
#define CONTENT_BYTES_MAX (UINT64_C(1) << 36)

struct page;
struct content {
    _Atomic uint32_t holders;
    uint64_t size;       /* bytes */
    size_t capacity;     /* slots of the table */
    struct page **pages; /* NULL: zeros */
};

MUST_USE lore_status content_create(const struct allocator *host, struct content **content);
struct content *content_share(struct content *content);
void content_drop(const struct allocator *host, struct content *content); /* NULL is fine */

/* These change *content alone, and put a copy in its place where others hold it too. `data` NULL:
 * zeros. After a failure any part may have been written. */
MUST_USE lore_status content_write(const struct allocator *host, struct content **content,
                                   uint64_t offset, const void *data, size_t size);
MUST_USE lore_status content_truncate(const struct allocator *host, struct content **content,
                                      uint64_t size);

/* Bytes read: fewer than `size` at the end. */
size_t content_read(const struct content *content, uint64_t offset, void *data, size_t size);
bool content_equals(const struct content *content, uint64_t offset, const void *data, size_t size);

bool bytes_are_zero(const void *data, size_t size);

#endif
