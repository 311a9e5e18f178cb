/*
 * arena.c - a list of chunks, newest first; `at` and `end` are offsets into the first one.
 *
 *   chunk   next, size | bytes...
 *
 * A request too large for what is left of the newest chunk gets a chunk of its own if it is over a
 * quarter of an ordinary one: so at most a quarter of a chunk is ever left unused behind a smaller
 * one.
 */
#include "base/arena.h"

#include <assert.h>

#include "base/poison.h"

#define ALIGN_MAX 64u

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* bytes, with this header */
};

void arena_init(struct arena *arena, const struct allocator *allocator, size_t chunk_bytes) {
    assert(chunk_bytes > sizeof(struct arena_chunk) + 4 * ALIGN_MAX);
    *arena = (struct arena){allocator, NULL, chunk_bytes, 0, 0, 0};
}

/* The offset in `chunk` of the first aligned byte from `at` on. */
static size_t aligned(const struct arena_chunk *chunk, size_t at, size_t align) {
    uintptr_t address = (uintptr_t)chunk + at;
    return at + (size_t)(-address & (align - 1));
}

static lore_status chunk_create(struct arena *arena, size_t size, struct arena_chunk **chunk) {
    void *memory;
    TRY(mem_get(arena->allocator, size, &memory));
    *chunk = memory;
    (*chunk)->next = NULL;
    (*chunk)->size = size;
    arena->allocated += size;
    return LORE_OK;
}

/* A chunk for one request. It goes behind the newest, which stays in use. */
static lore_status get_alone(struct arena *arena, size_t size, size_t align, void **memory) {
    size_t total;
    if (!size_add(size, sizeof(struct arena_chunk) + align, &total)) {
        return fail(LORE_NO_MEMORY, "no memory for %zu bytes", size);
    }
    struct arena_chunk *chunk;
    TRY(chunk_create(arena, total, &chunk));
    if (arena->chunks == NULL) {
        arena->chunks = chunk;
        arena->at = arena->end = total;
    } else {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    }
    *memory = (uint8_t *)chunk + aligned(chunk, sizeof *chunk, align);
    return LORE_OK;
}

lore_status arena_get(struct arena *arena, size_t size, size_t align, void **memory) {
    assert(align > 0 && (align & (align - 1)) == 0 && align <= ALIGN_MAX);
    if (arena->chunks != NULL) {
        size_t start = aligned(arena->chunks, arena->at, align);
        if (start <= arena->end && size <= arena->end - start) {
            *memory = (uint8_t *)arena->chunks + start;
            arena->at = start + size;
            return LORE_OK;
        }
    }
    if (size > arena->chunk_bytes / 4) return get_alone(arena, size, align, memory);

    struct arena_chunk *chunk;
    TRY(chunk_create(arena, arena->chunk_bytes, &chunk));
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->end = arena->chunk_bytes;
    size_t start = aligned(chunk, sizeof *chunk, align);
    arena->at = start + size;
    assert(arena->at <= arena->end);
    *memory = (uint8_t *)chunk + start;
    return LORE_OK;
}

void arena_deinit(struct arena *arena) {
    struct arena_chunk *chunk = arena->chunks;
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        mem_put(arena->allocator, chunk, chunk->size);
        chunk = next;
    }
    arena->chunks = NULL;
    arena->at = arena->end = arena->allocated = 0;
}
