/*
 * bytes.c - growable byte strings and the public result buffer.
 */
#include "base/bytes.h"

#include <assert.h>

#include "base/poison.h"

#define CAPACITY_BYTES_MIN 32u

lore_status bytes_reserve(struct bytes *bytes, size_t extra) {
    assert(bytes->size <= bytes->capacity);
    if (extra <= bytes->capacity - bytes->size) return LORE_OK;
    size_t needed;
    if (!size_add(bytes->size, extra, &needed)) {
        return fail(LORE_NO_MEMORY, "no memory for %zu bytes more than %zu", extra, bytes->size);
    }
    /* Half as much again, so that appends one by one copy each byte a bounded number of times. */
    size_t capacity = CAPACITY_BYTES_MIN, grown;
    if (size_add(bytes->capacity, bytes->capacity / 2, &grown) && grown > capacity)
        capacity = grown;
    if (needed > capacity) capacity = needed;
    void *memory = bytes->data;
    TRY(mem_resize(bytes->allocator, &memory, bytes->capacity, capacity));
    bytes->data = memory;
    bytes->capacity = capacity;
    return LORE_OK;
}

lore_status bytes_extend(struct bytes *bytes, size_t size, uint8_t **at) {
    TRY(bytes_reserve(bytes, size));
    *at = bytes->data == NULL ? NULL : bytes->data + bytes->size;
    bytes->size += size;
    return LORE_OK;
}

/* The one check of a slice that a caller gave: all of them come through here. */
static lore_status check_content(const void *data, size_t size) {
    if (data != NULL || size == 0) return LORE_OK;
    return fail(LORE_INVALID, "a slice of %zu bytes at NULL", size);
}

lore_status bytes_append(struct bytes *bytes, const void *data, size_t size) {
    uint8_t *at;
    TRY(check_content(data, size));
    TRY(bytes_extend(bytes, size, &at));
    if (size > 0) memcpy(at, data, size);
    return LORE_OK;
}

lore_status bytes_append_zeros(struct bytes *bytes, size_t size) {
    uint8_t *at;
    TRY(bytes_extend(bytes, size, &at));
    if (size > 0) memset(at, 0, size);
    return LORE_OK;
}

lore_status bytes_set(struct bytes *bytes, lore_slice content) {
    TRY(check_content(content.data, content.size));
    if (content.size > bytes->size) TRY(bytes_reserve(bytes, content.size - bytes->size));
    if (content.size > 0) memmove(bytes->data, content.data, content.size);
    bytes->size = content.size;
    return LORE_OK;
}

void bytes_clear(struct bytes *bytes) {
    bytes->size = 0;
}

void bytes_free(struct bytes *bytes) {
    if (bytes->allocator != NULL) mem_put(bytes->allocator, bytes->data, bytes->capacity);
    *bytes = bytes_empty(bytes->allocator);
}

lore_status buffer_set(lore_buffer *buffer, const struct allocator *allocator, lore_slice content) {
    assert(buffer != NULL && allocator != NULL);
    if (content.size > buffer->capacity) {
        /* The new memory first: the content may lie in the old, and a failure must change nothing.
         */
        void *memory;
        TRY(mem_get(allocator, content.size, &memory));
        memcpy(memory, content.data, content.size);
        lore_buffer_free(buffer);
        *buffer = (lore_buffer){memory, content.size, content.size, allocator};
        return LORE_OK;
    }
    if (content.size > 0) memmove(buffer->data, content.data, content.size);
    buffer->size = content.size;
    return LORE_OK;
}

void lore_buffer_free(lore_buffer *buffer) {
    if (buffer == NULL) return;
    if (buffer->owner != NULL) mem_put(buffer->owner, buffer->data, buffer->capacity);
    *buffer = (lore_buffer){NULL, 0, 0, NULL};
}
