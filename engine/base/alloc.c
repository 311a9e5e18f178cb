/*
 * alloc.c - the allocator seam's checked calls. No state, any thread.
 */
#include "base/alloc.h"

#include <assert.h>
#include <string.h>

#include "base/poison.h"

static lore_status no_memory(size_t size) {
    return fail(LORE_NO_MEMORY, "no memory for %zu bytes: allocator or memory_budget exhausted",
                size);
}

lore_status mem_get(const struct allocator *allocator, size_t size, void **memory) {
    assert(allocator != NULL && memory != NULL);
    *memory = NULL;
    if (size == 0) return LORE_OK;
    *memory = allocator->allocate(allocator->context, size);
    return *memory == NULL ? no_memory(size) : LORE_OK;
}

lore_status mem_new(const struct allocator *allocator, size_t size, void **memory) {
    TRY(mem_get(allocator, size, memory));
    if (size > 0) memset(*memory, 0, size);
    return LORE_OK;
}

lore_status mem_resize(const struct allocator *allocator, void **memory, size_t old_size,
                       size_t new_size) {
    assert(*memory != NULL || old_size == 0);
    if (new_size == 0) {
        mem_put(allocator, *memory, old_size);
        *memory = NULL;
        return LORE_OK;
    }
    void *moved = allocator->reallocate(allocator->context, *memory, old_size, new_size);
    if (moved == NULL) return no_memory(new_size);
    *memory = moved;
    return LORE_OK;
}

void mem_put(const struct allocator *allocator, void *memory, size_t size) {
    if (memory != NULL) allocator->release(allocator->context, memory, size);
}

bool size_add(size_t a, size_t b, size_t *sum) {
    return !__builtin_add_overflow(a, b, sum);
}

bool size_mul(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}
