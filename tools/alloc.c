/* alloc.c - see alloc.h. */
#include "alloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_CHUNK_BYTES 65536u

struct pool_chunk {
    struct pool_chunk *next;
    size_t used, capacity;
    max_align_t bytes[];
};

static void *checked(void *memory) {
    if (memory == NULL) {
        fputs("lore: out of memory (LORE_NO_MEMORY)\n", stderr);
        exit(1);
    }
    return memory;
}

void *alloc_bytes(size_t size) {
    return checked(calloc(1, size == 0 ? 1 : size));
}

void *alloc_grow(void *old, size_t new_size) {
    return checked(realloc(old, new_size == 0 ? 1 : new_size));
}

char *alloc_copy(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(alloc_bytes(size), text, size);
}

void *pool_alloc(struct pool *pool, size_t size) {
    size_t align = sizeof(max_align_t);
    if (size > SIZE_MAX / 2) checked(NULL);
    size = (size + align - 1) / align * align;
    struct pool_chunk *chunk = pool->chunks;
    if (chunk == NULL || chunk->capacity - chunk->used < size) {
        size_t capacity = size > POOL_CHUNK_BYTES ? size : POOL_CHUNK_BYTES;
        chunk = checked(malloc(sizeof *chunk + capacity));
        *chunk = (struct pool_chunk){.next = pool->chunks, .capacity = capacity};
        pool->chunks = chunk;
    }
    void *piece = (char *)chunk->bytes + chunk->used;
    chunk->used += size;
    pool->used_bytes += size;
    return piece;
}

void *pool_copy(struct pool *pool, const void *data, size_t size) {
    void *copy = pool_alloc(pool, size);
    if (size > 0) memcpy(copy, data, size);
    return copy;
}

void pool_reset(struct pool *pool) {
    while (pool->chunks != NULL) {
        struct pool_chunk *next = pool->chunks->next;
        free(pool->chunks);
        pool->chunks = next;
    }
    pool->used_bytes = 0;
}
