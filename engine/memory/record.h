/*
 * record.h - a memory's attributes as bytes (memory.h draws them), and struct lore_record, a memory
 * read from the store.
 *
 * What is kept: id, tier, status, importance and the two times always; other texts, tags and
 * metadata when they are not empty; the time of expiry when it is not 0; the position when there is
 * a session. So the fields that a record shows are those that, written again, give the same memory.
 */
#ifndef LORE_MEMORY_RECORD_H
#define LORE_MEMORY_RECORD_H

#include "memory/memory.h"

/* Decoded attributes. */
struct attributes {
    lore_memory
        memory; /* slices point into the bytes decoded; no text, access counts or embeddings */
    lore_slice *tags; /* owned; memory.tags */
    size_t tags_count;
    uint32_t *spaces; /* owned; ascending: spaces in which the row has an embedding */
    size_t spaces_count;
    const struct allocator *allocator;
};

/* Appends to `out`, which is cleared first. `memory` is complete and within its limits; its
 * `fields` do not matter. */
MUST_USE lore_status attributes_encode(struct bytes *out, const lore_memory *memory,
                                       const uint32_t *spaces, size_t spaces_count);
/* `encoded` must outlive the result. LORE_CORRUPTION for anything that attributes_encode does not
 * write. */
MUST_USE lore_status attributes_decode(lore_slice encoded, const struct allocator *allocator,
                                       struct attributes *attributes);
void attributes_deinit(struct attributes *attributes);
bool attributes_have_space(const struct attributes *attributes, uint32_t space);

/* The member of an attribute that is one text (or metadata), or one time or count. */
lore_slice memory_text_of(const lore_memory *memory, lore_attribute attribute);
int64_t memory_integer_of(const lore_memory *memory, lore_attribute attribute);
void memory_set_text(lore_memory *memory, lore_attribute attribute, lore_slice text);
void memory_set_integer(lore_memory *memory, lore_attribute attribute, int64_t value);

struct record_embedding {
    char name[256]; /* of its space */
    struct bytes vector;
};

struct lore_record {
    lore_store *store;
    uint64_t row;
    uint64_t sequence;  /* of the entry that holds the attributes: for conditions */
    lore_memory memory; /* what the caller sees; slices point into what follows */
    struct attributes attributes;
    struct bytes encoded; /* of the attributes */
    struct bytes text;
    struct record_embedding *vectors; /* NULL unless asked for; one for each space */
    lore_embedding *embeddings;       /* likewise */
};

/* An empty record, which counts as an object of the store. */
MUST_USE lore_status record_create(lore_store *store, lore_record **record);

#endif
