/*
 * arena.h - memory that is freed all at once. Chunks come from an allocator; nothing is freed alone.
 * One thread allocates; others may read what was published to them.
 */
#ifndef LORE_BASE_ARENA_H
#define LORE_BASE_ARENA_H

#include "base/alloc.h"

struct arena_chunk;
struct arena {
    const struct allocator *allocator;
    struct arena_chunk *chunks;
    size_t chunk_bytes; /* of an ordinary chunk; larger requests get a chunk of their own */
    size_t at, end;     /* within the newest chunk */
    size_t allocated;   /* bytes taken from the allocator */
};

void arena_init(struct arena *arena, const struct allocator *allocator, size_t chunk_bytes);
/* `align` a power of two up to 64. */
MUST_USE lore_status arena_get(struct arena *arena, size_t size, size_t align, void **memory);
void arena_deinit(struct arena *arena);

#endif
