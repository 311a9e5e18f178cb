/*
 * bytes.h - slices, comparisons and growable byte strings.
 *
 * A `struct bytes` owns its memory and names its allocator; after a failed append it is unchanged. What is
 * appended must not lie within it.
 */
#ifndef LORE_BASE_BYTES_H
#define LORE_BASE_BYTES_H

#include <string.h>
#include "base/alloc.h"

static inline lore_slice slice(const void *data, size_t size) {
    return (lore_slice){data, size};
}
/* memcmp order, the shorter first when one is the other's prefix. */
static inline int slice_compare(lore_slice a, lore_slice b) {
    size_t shared = a.size < b.size ? a.size : b.size;
    int order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    if (order != 0) return order;
    return a.size < b.size ? -1 : a.size > b.size;
}
static inline bool slice_equal(lore_slice a, lore_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
static inline bool slice_starts_with(lore_slice text, lore_slice prefix) {
    return prefix.size <= text.size &&
           (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

struct bytes {
    uint8_t *data;
    size_t size;
    size_t capacity;
    const struct allocator *allocator;
};

static inline struct bytes bytes_empty(const struct allocator *allocator) {
    return (struct bytes){NULL, 0, 0, allocator};
}
static inline lore_slice bytes_slice(const struct bytes *bytes) {
    return (lore_slice){bytes->data, bytes->size};
}
MUST_USE lore_status bytes_reserve(struct bytes *bytes, size_t extra);
MUST_USE lore_status bytes_append(struct bytes *bytes, const void *data, size_t size);
MUST_USE lore_status bytes_append_zeros(struct bytes *bytes, size_t size);
MUST_USE lore_status bytes_set(struct bytes *bytes, lore_slice content);
/* Grow by `size` bytes and give where they start, for in-place encoding. */
MUST_USE lore_status bytes_extend(struct bytes *bytes, size_t size, uint8_t **at);
void bytes_clear(struct bytes *bytes); /* keeps the memory */
void bytes_free(struct bytes *bytes);

/* lore_buffer, the public result buffer. Its owner is the `allocator` given here, which must outlive it: the
 * environment's own, never one that lives inside a store. On failure the buffer is unchanged. */
MUST_USE lore_status buffer_set(lore_buffer *buffer, const struct allocator *allocator,
                                lore_slice content);

#endif
