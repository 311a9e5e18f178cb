/*
 * entry.h - the element of the one tree: a key, a sequence number, a kind and a value.
 *
 *   key       u32 big-endian keyspace, then the key's own bytes; 4 to KEY_BYTES_MAX
 *   order     key ascending (memcmp), then sequence descending
 *   sequence  at most SEQUENCE_MAX (56 bits), so that sequence and kind pack into one word on disk
 *
 * Where an entry's value lies apart from it (a blob file, a row segment), the value is a reference of fixed
 * form, see below. The logical id names the file that first held it: a file rewritten for garbage answers for
 * the logical ids of those it replaced, so references are never rewritten.
 */
#ifndef LORE_BASE_ENTRY_H
#define LORE_BASE_ENTRY_H

#include "base/coding.h"

enum entry_kind {
    ENTRY_PUT = 1,          /* value inline */
    ENTRY_DELETE = 2,
    ENTRY_RANGE_DELETE = 3, /* key: first deleted; value: first key not deleted (with its keyspace) */
    ENTRY_MERGE = 4,        /* value: an operand, base/merge.h */
    ENTRY_PUT_BLOB = 5,     /* tables only; value: a reference into a blob file */
    ENTRY_VECTOR = 6,       /* log and memtable: value inline, to be moved to a row segment by flush */
    ENTRY_VECTOR_ROW = 7    /* tables only; value: a reference into a row segment */
};

#define KEYSPACE_BYTES 4u
#define KEY_BYTES_MAX (KEYSPACE_BYTES + LORE_KEY_BYTES_MAX)
/* A range delete's end may be a key's successor (key + one zero byte). */
#define KEY_BOUND_BYTES_MAX (KEY_BYTES_MAX + 1u)
#define SEQUENCE_MAX ((UINT64_C(1) << 56) - 1)

struct entry {
    lore_slice key;
    uint64_t sequence;
    enum entry_kind kind;
    lore_slice value;
};

/* u64 logical id, u32 ordinal, u32 raw length: 16 bytes, little-endian. */
struct value_ref {
    uint64_t logical_id; /* the segment that first held it */
    uint32_t ordinal;    /* its place there: the n-th value of a blob file, the slot of a row segment */
    uint32_t length;     /* bytes of the value before compression */
};
#define VALUE_REF_BYTES 16u
void value_ref_encode(const struct value_ref *ref, uint8_t out[VALUE_REF_BYTES]);
/* False if `bytes` is not exactly a reference. */
bool value_ref_decode(lore_slice bytes, struct value_ref *ref);

static inline uint64_t entry_pack(uint64_t sequence, enum entry_kind kind) {
    return sequence << 8 | (uint64_t)kind;
}

/* Keys with a reserved keyspace in which entries are vectors: KEYSPACE_VECTORS, u32 big-endian space
 * number, u64 big-endian row. The engine's lower floors know this one keyspace and no other. */
#define KEYSPACE_VECTORS 0xF0000001u
#define VECTOR_KEY_BYTES 16u
void vector_key_encode(uint32_t space, uint64_t row, uint8_t out[VECTOR_KEY_BYTES]);
bool vector_key_decode(lore_slice key, uint32_t *space, uint64_t *row);

#endif
