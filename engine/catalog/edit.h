/*
 * edit.h - walking the changes of an encoded edit (struct catalog_edit, catalog.h).
 *
 *   change   u8 1 put, 2 delete; varint key length, key; of a put: varint value length, value
 *
 * Keys are 1 to CATALOG_KEY_BYTES_MAX bytes and do not begin with a zero byte, which is LMDB's own
 * record's. Two encoded edits, one after the other, are one.
 */
#ifndef LORE_CATALOG_EDIT_H
#define LORE_CATALOG_EDIT_H

#include "base/coding.h"
#include "catalog/catalog.h"

/* Of an edit, encoded. */
#define EDIT_BYTES_MAX (4u << 20)

struct edit_change {
    bool put;
    lore_slice key, value;
};

bool edit_key_is_sound(lore_slice key);
/* *found false at the end; LORE_CORRUPTION on malformed bytes. */
MUST_USE lore_status edit_next(struct reader *at, struct edit_change *change, bool *found);
/* The whole of it. */
MUST_USE lore_status edit_check(lore_slice encoded);

#endif
