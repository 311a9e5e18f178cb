/*
 * coding.h - numbers as bytes. Little-endian for stored fields, big-endian for parts of keys (so that
 * memcmp orders them), LEB128 varints (7 bits a byte, low first, at most 10 bytes, shortest form only).
 *
 * A `struct reader` walks untrusted bytes: every read checks what is left, sets `bad` once and for all
 * on the first shortfall, and then returns zeros. Decode the whole, then look at `bad` once.
 */
#ifndef LORE_BASE_CODING_H
#define LORE_BASE_CODING_H

#include "base/bytes.h"

static inline void put_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void put_u32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}
static inline void put_u64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (8 * i));
}
static inline uint16_t get_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}
static inline uint32_t get_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t get_u64(const uint8_t *p) {
    return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}
static inline void put_be32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}
static inline void put_be64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (56 - 8 * i));
}
static inline uint32_t get_be32(const uint8_t *p) {
    return (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}
static inline uint64_t get_be64(const uint8_t *p) {
    return (uint64_t)get_be32(p + 4) | (uint64_t)get_be32(p) << 32;
}

#define VARINT_BYTES_MAX 10
/* Bytes that `v` takes; bytes written at p. */
size_t varint_size(uint64_t v);
size_t put_varint(uint8_t *p, uint64_t v);
/* Bytes read, 0 if p..end holds no whole varint in its shortest form. */
size_t get_varint(const uint8_t *p, const uint8_t *end, uint64_t *v);

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};
static inline struct reader reader_over(lore_slice bytes) {
    const uint8_t *data = bytes.data;
    return (struct reader){data, data == NULL ? data : data + bytes.size, false};
}
static inline size_t reader_left(const struct reader *r) {
    return r->bad ? 0 : (size_t)(r->end - r->at);
}
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
uint64_t read_be64(struct reader *r);
uint32_t read_be32(struct reader *r);
uint64_t read_varint(struct reader *r);
/* A varint that must fit 32 bits. */
uint32_t read_varint32(struct reader *r);
lore_slice read_bytes(struct reader *r, size_t size);
/* varint length, then that many bytes. */
lore_slice read_prefixed(struct reader *r);

MUST_USE lore_status append_u8(struct bytes *b, uint8_t v);
MUST_USE lore_status append_u16(struct bytes *b, uint16_t v);
MUST_USE lore_status append_u32(struct bytes *b, uint32_t v);
MUST_USE lore_status append_u64(struct bytes *b, uint64_t v);
MUST_USE lore_status append_be32(struct bytes *b, uint32_t v);
MUST_USE lore_status append_be64(struct bytes *b, uint64_t v);
MUST_USE lore_status append_varint(struct bytes *b, uint64_t v);
MUST_USE lore_status append_prefixed(struct bytes *b, lore_slice s);

#endif
