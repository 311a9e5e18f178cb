/*
 * contains.c - the place of the needle's first byte by memchr, then a comparison. The worst case is
 * the product of both lengths; texts and needles of memories are short.
 */
#include "query/contains.h"

#include "base/poison.h"

static uint8_t to_lower(uint8_t byte) {
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

static bool contains_exactly(const uint8_t *at, const uint8_t *end, lore_slice needle) {
    const uint8_t *bytes = needle.data;
    while ((size_t)(end - at) >= needle.size) {
        size_t places = (size_t)(end - at) - needle.size + 1;
        at = memchr(at, bytes[0], places);
        if (at == NULL) return false;
        if (memcmp(at, bytes, needle.size) == 0) return true;
        at++;
    }
    return false;
}

static bool equal_but_for_case(const uint8_t *a, const uint8_t *b, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (to_lower(a[i]) != to_lower(b[i])) return false;
    }
    return true;
}

bool text_contains(lore_slice text, lore_slice needle, bool ignore_ascii_case) {
    if (needle.size == 0) return true;
    if (needle.size > text.size) return false;
    const uint8_t *at = text.data;
    const uint8_t *end = at + text.size;
    if (!ignore_ascii_case) return contains_exactly(at, end, needle);
    for (; (size_t)(end - at) >= needle.size; at++) {
        if (equal_but_for_case(at, needle.data, needle.size)) return true;
    }
    return false;
}
