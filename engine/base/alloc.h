/*
 * alloc.h - the allocator seam. Every byte that the engine allocates comes through one of these, given
 * explicitly; malloc itself is called in env_posix.c alone (base/poison.h sees to it).
 */
#ifndef LORE_BASE_ALLOC_H
#define LORE_BASE_ALLOC_H

#include <stddef.h>
#include "base/status.h"

struct allocator {
    void *context;
    /* size > 0. NULL when there is no memory. Aligned for any object. */
    void *(*allocate)(void *context, size_t size);
    /* Grow or shrink; `memory` may be NULL. On NULL the old block stays. */
    void *(*reallocate)(void *context, void *memory, size_t old_size, size_t new_size);
    void (*release)(void *context, void *memory, size_t size); /* NULL is fine */
};

/* A size of 0 gives NULL and LORE_OK in all of these; mem_put takes that NULL back. */
/* Allocate, zeroed. LORE_NO_MEMORY with a text that names the size. */
MUST_USE lore_status mem_new(const struct allocator *allocator, size_t size, void **memory);
/* Allocate, not zeroed. */
MUST_USE lore_status mem_get(const struct allocator *allocator, size_t size, void **memory);
MUST_USE lore_status mem_resize(const struct allocator *allocator, void **memory, size_t old_size,
                                size_t new_size);
void mem_put(const struct allocator *allocator, void *memory, size_t size);

/* size_t arithmetic on untrusted numbers: false on overflow. */
bool size_add(size_t a, size_t b, size_t *sum);
bool size_mul(size_t a, size_t b, size_t *product);

#endif
