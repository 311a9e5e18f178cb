/*
 * index_keys.h - the INDEX keys of a memory, as a list: what a write compares, old against new, and
 * what verify expects.
 *
 *   list   for each key: varint length, the key with its keyspace and without the row
 *
 * No key twice: a tag given twice has one.
 */
#ifndef LORE_MEMORY_INDEX_KEYS_H
#define LORE_MEMORY_INDEX_KEYS_H

#include "memory/keys.h"

/* `list` is cleared first; `key` is scratch. */
MUST_USE lore_status index_keys_of(const lore_memory *memory, struct bytes *list,
                                   struct bytes *key);
bool index_keys_have(const struct bytes *list, lore_slice key);
/* Walk with *cursor from 0; false at the end. */
bool index_keys_next(const struct bytes *list, size_t *cursor, lore_slice *key);

#endif
