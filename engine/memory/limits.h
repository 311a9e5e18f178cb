/*
 * limits.h - what a caller gives is checked here, before anything is read or written: lengths,
 * numbers, times, embeddings.
 */
#ifndef LORE_MEMORY_LIMITS_H
#define LORE_MEMORY_LIMITS_H

#include "memory/memory.h"

/* Embeddings given, with their spaces found, in order of the spaces' numbers. */
struct given_vector {
    struct space space;
    lore_slice data;
};
struct given_vectors {
    struct given_vector *items; /* owned */
    size_t count;
    const struct allocator *allocator;
};

/* A copy of a struct that may be of another version of lore.h: what it does not have takes its
 * default. */
MUST_USE lore_status memory_take(const lore_memory *given, lore_memory *taken);
/* The n-th of an array of structs of given[0].struct_size bytes each. */
const lore_memory *memory_nth(const lore_memory *given, size_t n);
/* The flags of a public read: LORE_READ_*. */
MUST_USE lore_status memory_check_flags(unsigned flags);
MUST_USE lore_status memory_check_id(lore_slice id);
/* Everything but the embeddings. A put (`whole`) may lack its id. */
MUST_USE lore_status memory_check(lore_store *store, const lore_memory *memory, bool whole);
MUST_USE lore_status memory_check_embeddings(lore_store *store, const lore_memory *memory,
                                             struct given_vectors *vectors);
void given_vectors_deinit(struct given_vectors *vectors);

#endif
