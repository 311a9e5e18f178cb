/*
 * coding.c - varints, the checked reader, and appending encoders.
 */
#include "base/coding.h"

#include <assert.h>

#include "base/poison.h"

size_t varint_size(uint64_t v) {
    size_t size = 1;
    while (v >= 0x80) {
        v >>= 7;
        size++;
    }
    return size;
}

size_t put_varint(uint8_t *p, uint64_t v) {
    size_t size = 0;
    while (v >= 0x80) {
        p[size++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[size++] = (uint8_t)v;
    assert(size <= VARINT_BYTES_MAX);
    return size;
}

size_t get_varint(const uint8_t *p, const uint8_t *end, uint64_t *v) {
    uint64_t value = 0;
    for (size_t i = 0; i < VARINT_BYTES_MAX && p != end; i++, p++) {
        uint8_t byte = *p;
        if (i == VARINT_BYTES_MAX - 1 && byte > 1) return 0; /* over 64 bits */
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            if (i > 0 && byte == 0) return 0; /* a shorter form exists */
            *v = value;
            return i + 1;
        }
    }
    return 0;
}

/* The next `size` bytes, or NULL and `bad`. */
static const uint8_t *take(struct reader *r, size_t size) {
    if (r->bad || size > (size_t)(r->end - r->at)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *at = r->at;
    if (size > 0) r->at += size;
    return at;
}

uint8_t read_u8(struct reader *r) {
    const uint8_t *p = take(r, 1);
    return p == NULL ? 0 : *p;
}

uint16_t read_u16(struct reader *r) {
    const uint8_t *p = take(r, 2);
    return p == NULL ? 0 : get_u16(p);
}

uint32_t read_u32(struct reader *r) {
    const uint8_t *p = take(r, 4);
    return p == NULL ? 0 : get_u32(p);
}

uint64_t read_u64(struct reader *r) {
    const uint8_t *p = take(r, 8);
    return p == NULL ? 0 : get_u64(p);
}

uint32_t read_be32(struct reader *r) {
    const uint8_t *p = take(r, 4);
    return p == NULL ? 0 : get_be32(p);
}

uint64_t read_be64(struct reader *r) {
    const uint8_t *p = take(r, 8);
    return p == NULL ? 0 : get_be64(p);
}

uint64_t read_varint(struct reader *r) {
    uint64_t v = 0;
    size_t size = r->bad ? 0 : get_varint(r->at, r->end, &v);
    if (size == 0) {
        r->bad = true;
        return 0;
    }
    r->at += size;
    return v;
}

uint32_t read_varint32(struct reader *r) {
    uint64_t v = read_varint(r);
    if (v > UINT32_MAX) {
        r->bad = true;
        return 0;
    }
    return (uint32_t)v;
}

lore_slice read_bytes(struct reader *r, size_t size) {
    const uint8_t *p = take(r, size);
    return slice(p, p == NULL ? 0 : size);
}

lore_slice read_prefixed(struct reader *r) {
    uint64_t size = read_varint(r);
    if (size > reader_left(r)) { /* compared in 64 bits: size_t may have 32 */
        r->bad = true;
        return slice(NULL, 0);
    }
    return read_bytes(r, (size_t)size);
}

lore_status append_u8(struct bytes *b, uint8_t v) {
    return bytes_append(b, &v, 1);
}

lore_status append_u16(struct bytes *b, uint16_t v) {
    uint8_t *at;
    TRY(bytes_extend(b, 2, &at));
    put_u16(at, v);
    return LORE_OK;
}

lore_status append_u32(struct bytes *b, uint32_t v) {
    uint8_t *at;
    TRY(bytes_extend(b, 4, &at));
    put_u32(at, v);
    return LORE_OK;
}

lore_status append_u64(struct bytes *b, uint64_t v) {
    uint8_t *at;
    TRY(bytes_extend(b, 8, &at));
    put_u64(at, v);
    return LORE_OK;
}

lore_status append_be32(struct bytes *b, uint32_t v) {
    uint8_t *at;
    TRY(bytes_extend(b, 4, &at));
    put_be32(at, v);
    return LORE_OK;
}

lore_status append_be64(struct bytes *b, uint64_t v) {
    uint8_t *at;
    TRY(bytes_extend(b, 8, &at));
    put_be64(at, v);
    return LORE_OK;
}

lore_status append_varint(struct bytes *b, uint64_t v) {
    uint8_t *at;
    TRY(bytes_extend(b, varint_size(v), &at));
    put_varint(at, v);
    return LORE_OK;
}

lore_status append_prefixed(struct bytes *b, lore_slice s) {
    size_t total;
    if (!size_add(s.size, VARINT_BYTES_MAX, &total)) {
        return fail(LORE_NO_MEMORY, "no memory for %zu bytes", s.size);
    }
    TRY(bytes_reserve(b, total)); /* all the room first: a failure leaves nothing half appended */
    TRY(append_varint(b, s.size));
    return bytes_append(b, s.data, s.size);
}
