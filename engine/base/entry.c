/*
 * entry.c - references to values kept elsewhere, and keys of vectors.
 */
#include "base/entry.h"

#include "base/poison.h"

void value_ref_encode(const struct value_ref *ref, uint8_t out[VALUE_REF_BYTES]) {
    put_u64(out, ref->logical_id);
    put_u32(out + 8, ref->ordinal);
    put_u32(out + 12, ref->length);
}

bool value_ref_decode(lore_slice bytes, struct value_ref *ref) {
    if (bytes.size != VALUE_REF_BYTES) return false;
    const uint8_t *p = bytes.data;
    *ref = (struct value_ref){get_u64(p), get_u32(p + 8), get_u32(p + 12)};
    return true;
}

void vector_key_encode(uint32_t space, uint64_t row, uint8_t out[VECTOR_KEY_BYTES]) {
    put_be32(out, KEYSPACE_VECTORS);
    put_be32(out + 4, space);
    put_be64(out + 8, row);
}

bool vector_key_decode(lore_slice key, uint32_t *space, uint64_t *row) {
    if (key.size != VECTOR_KEY_BYTES) return false;
    const uint8_t *p = key.data;
    if (get_be32(p) != KEYSPACE_VECTORS) return false;
    *space = get_be32(p + 4);
    *row = get_be64(p + 8);
    return true;
}
