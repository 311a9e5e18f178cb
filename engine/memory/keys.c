/*
 * keys.c - keys and the order-keeping encodings of values in them; keys.h draws both.
 */
#include "memory/keys.h"

#include <assert.h>

#include "base/poison.h"

#define ESCAPED_ZERO 0xffu
#define END_OF_TEXT  0x01u
#define SIGN_BIT     (UINT64_C(1) << 63)

/* ---- values ---- */

lore_status append_text(struct bytes *key, lore_slice text) {
    const uint8_t *at = text.data, *end = text.size == 0 ? at : at + text.size;
    while (at != end) {
        const uint8_t *zero = memchr(at, 0, (size_t)(end - at));
        const uint8_t *plain_end = zero == NULL ? end : zero;
        TRY(bytes_append(key, at, (size_t)(plain_end - at)));
        at = plain_end;
        if (zero == NULL) continue;
        static const uint8_t escaped[2] = {0, ESCAPED_ZERO};
        TRY(bytes_append(key, escaped, sizeof escaped));
        at++;
    }
    static const uint8_t terminator[2] = {0, END_OF_TEXT};
    return bytes_append(key, terminator, sizeof terminator);
}

lore_status append_integer(struct bytes *key, int64_t value) {
    return append_be64(key, (uint64_t)value ^ SIGN_BIT);
}

lore_status append_number(struct bytes *key, double value) {
    assert(value == value);
    uint64_t bits;
    if (value == 0) value = 0; /* -0 too */
    memcpy(&bits, &value, sizeof bits);
    return append_be64(key, (bits & SIGN_BIT) != 0 ? ~bits : bits | SIGN_BIT);
}

lore_status read_text(struct reader *key, struct bytes *text) {
    bytes_clear(text);
    for (;;) {
        size_t left = reader_left(key);
        const uint8_t *zero = left == 0 ? NULL : memchr(key->at, 0, left);
        if (zero == NULL || zero + 1 == key->end)
            return fail(LORE_CORRUPTION, "a text in a key has no end");
        TRY(bytes_append(text, key->at, (size_t)(zero - key->at)));
        uint8_t mark = zero[1];
        key->at = zero + 2;
        if (mark == END_OF_TEXT) return LORE_OK;
        if (mark != ESCAPED_ZERO)
            return fail(LORE_CORRUPTION, "a text in a key has a zero byte followed by %u", mark);
        TRY(append_u8(text, 0));
    }
}

int64_t read_integer(struct reader *key) {
    return (int64_t)(read_be64(key) ^ SIGN_BIT);
}

double read_number(struct reader *key) {
    uint64_t bits = read_be64(key);
    bits = (bits & SIGN_BIT) != 0 ? bits & ~SIGN_BIT : ~bits;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool key_row(lore_slice key, uint64_t *row) {
    if (key.size < KEYSPACE_BYTES + ROW_BYTES) return false;
    *row = get_be64((const uint8_t *)key.data + key.size - ROW_BYTES);
    return true;
}

/* ---- keys ---- */

lore_status key_keyspace(struct bytes *key, uint32_t keyspace) {
    bytes_clear(key);
    return append_be32(key, keyspace);
}

lore_status key_id(struct bytes *key, lore_slice id) {
    TRY(key_keyspace(key, KEYSPACE_ID));
    return bytes_append(key, id.data, id.size);
}

lore_status key_record(struct bytes *key, uint64_t row, uint8_t part) {
    TRY(key_keyspace(key, KEYSPACE_RECORD));
    TRY(append_be64(key, row));
    return append_u8(key, part);
}

lore_status key_access(struct bytes *key, lore_slice id) {
    TRY(key_keyspace(key, KEYSPACE_ACCESS));
    return bytes_append(key, id.data, id.size);
}

lore_status key_dead(struct bytes *key, uint64_t row) {
    TRY(key_keyspace(key, KEYSPACE_DEAD));
    return append_be64(key, row);
}

lore_status key_index_attribute(struct bytes *key, lore_attribute attribute) {
    assert(attribute_is_indexed(attribute));
    TRY(key_keyspace(key, KEYSPACE_INDEX));
    return append_u8(key, (uint8_t)attribute);
}

lore_status key_index_text(struct bytes *key, lore_attribute attribute, lore_slice text) {
    assert(attribute_type(attribute) == ATTRIBUTE_TEXT);
    TRY(key_index_attribute(key, attribute));
    return append_text(key, text);
}

lore_status key_index_integer(struct bytes *key, lore_attribute attribute, int64_t value) {
    assert(attribute_type(attribute) == ATTRIBUTE_INTEGER);
    TRY(key_index_attribute(key, attribute));
    return append_integer(key, value);
}

lore_status key_index_number(struct bytes *key, lore_attribute attribute, double value) {
    assert(attribute_type(attribute) == ATTRIBUTE_NUMBER);
    TRY(key_index_attribute(key, attribute));
    return append_number(key, value);
}

lore_status key_session_prefix(struct bytes *key, lore_slice session) {
    TRY(key_keyspace(key, KEYSPACE_SESSION));
    return append_text(key, session);
}

lore_status key_session(struct bytes *key, lore_slice session, uint64_t position) {
    TRY(key_session_prefix(key, session));
    return append_be64(key, position);
}

lore_status key_head(struct bytes *key, lore_slice session) {
    TRY(key_keyspace(key, KEYSPACE_HEAD));
    return append_text(key, session);
}

bool key_after_prefix(struct bytes *prefix) {
    while (prefix->size > 0 && prefix->data[prefix->size - 1] == 0xff)
        prefix->size--;
    if (prefix->size == 0) return false;
    prefix->data[prefix->size - 1]++;
    return true;
}

/* ---- attributes ---- */

enum attribute_type attribute_type(lore_attribute attribute) {
    switch (attribute) {
    case LORE_ATTR_ID:
    case LORE_ATTR_KIND:
    case LORE_ATTR_LAYER:
    case LORE_ATTR_TIER:
    case LORE_ATTR_STATUS:
    case LORE_ATTR_USER:
    case LORE_ATTR_AGENT:
    case LORE_ATTR_SESSION:
    case LORE_ATTR_ROLE:
    case LORE_ATTR_TAGS: return ATTRIBUTE_TEXT;
    case LORE_ATTR_CREATED_AT:
    case LORE_ATTR_UPDATED_AT:
    case LORE_ATTR_EXPIRES_AT:
    case LORE_ATTR_POSITION:
    case LORE_ATTR_ACCESS_COUNT:
    case LORE_ATTR_LAST_ACCESSED_AT: return ATTRIBUTE_INTEGER;
    case LORE_ATTR_IMPORTANCE: return ATTRIBUTE_NUMBER;
    case LORE_ATTR_TEXT:
    case LORE_ATTR_METADATA:
    case LORE_ATTR_COUNT: return ATTRIBUTE_NONE;
    }
    return ATTRIBUTE_NONE;
}

bool attribute_is_indexed(lore_attribute attribute) {
    switch (attribute) {
    case LORE_ATTR_ID:
    case LORE_ATTR_POSITION:
    case LORE_ATTR_ACCESS_COUNT:
    case LORE_ATTR_LAST_ACCESSED_AT: return false;
    default: return attribute_type(attribute) != ATTRIBUTE_NONE;
    }
}
