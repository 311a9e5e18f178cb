/*
 * alloc.h - memory for the tool: allocation that cannot fail, and a pool for the records of a
 * batch.
 *
 * A command-line program that is out of memory has nothing left to do: these calls end it with exit
 * code 1 and one line on stderr. The store needs no goodbye: what it acknowledged is on the disk.
 */
#ifndef LORE_TOOLS_ALLOC_H
#define LORE_TOOLS_ALLOC_H

#include <stddef.h>

void *alloc_bytes(size_t size);               /* zeroed; free() */
void *alloc_grow(void *old, size_t new_size); /* realloc; the new part is not zeroed */
char *alloc_copy(const char *text);           /* strdup */

/* A pool hands out pieces that all die together. Not shared between threads. */
struct pool_chunk;
struct pool {
    struct pool_chunk *chunks; /* newest first; owned */
    size_t used_bytes;         /* handed out since the last reset */
};

void *pool_alloc(struct pool *pool, size_t size); /* aligned for any type, not zeroed */
void *pool_copy(struct pool *pool, const void *data, size_t size);
void pool_reset(struct pool *pool); /* frees every piece */

#endif
