/*
 * contains.c - a short needle: the place of its first byte by memchr, then a comparison. A long one
 * by Crochemore's and Perrin's two-way search (1991), since the product of both lengths would be
 * hours for a text of megabytes: it needs no memory, and time as the sum of both.
 *
 * Two-way search cuts the needle where its right part is a maximal suffix. The right part is
 * compared forwards: a difference after i bytes of it moves the needle on by i + 1. Then the left
 * part backwards: a difference moves it on by the needle's period, if that is known, and the bytes
 * that then must be equal are not compared again.
 */
#include "query/contains.h"

#include "base/poison.h"

#define NEEDLE_SHORT_MAX 64u

static uint8_t fold(uint8_t byte, bool ignore_ascii_case) {
    return ignore_ascii_case && byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

static bool equal(const uint8_t *a, const uint8_t *b, size_t size, bool ignore) {
    if (!ignore) return memcmp(a, b, size) == 0;
    for (size_t i = 0; i < size; i++) {
        if (fold(a[i], true) != fold(b[i], true)) return false;
    }
    return true;
}

static bool contains_short(const uint8_t *at, const uint8_t *end, lore_slice needle, bool ignore) {
    const uint8_t *bytes = needle.data;
    for (; (size_t)(end - at) >= needle.size; at++) {
        if (!ignore) at = memchr(at, bytes[0], (size_t)(end - at) - needle.size + 1);
        if (at == NULL) return false;
        if (equal(at, bytes, needle.size, ignore)) return true;
    }
    return false;
}

/* Where the maximal suffix of the needle begins, in the order of bytes or in its reverse, and the
 * period of that suffix. */
static size_t maximal_suffix(const uint8_t *needle, size_t size, bool ignore, bool reverse,
                             size_t *period) {
    size_t best = 0, candidate = 1, same = 0; /* suffixes, and how far they are equal */
    *period = 1;
    while (candidate + same < size) {
        uint8_t a = fold(needle[best + same], ignore);
        uint8_t b = fold(needle[candidate + same], ignore);
        if (a == b) {
            if (++same < *period) continue;
            candidate += same;
            same = 0;
        } else if ((b < a) != reverse) {
            candidate += same + 1;
            same = 0;
            *period = candidate - best;
        } else {
            best = candidate++;
            same = 0;
            *period = 1;
        }
    }
    return best;
}

static bool contains_long(const uint8_t *text, size_t text_size, lore_slice needle, bool ignore) {
    const uint8_t *bytes = needle.data;
    size_t size = needle.size, period, other_period;
    size_t cut = maximal_suffix(bytes, size, ignore, false, &period);
    size_t other = maximal_suffix(bytes, size, ignore, true, &other_period);
    if (other > cut) {
        cut = other;
        period = other_period;
    }
    bool repeats = equal(bytes, bytes + period, cut, ignore);
    if (!repeats) period = (cut > size - cut ? cut : size - cut) + 1;
    size_t known = 0; /* bytes at the needle's front that are equal here */
    for (size_t at = 0; at <= text_size - size;) {
        size_t i = known > cut ? known : cut;
        while (i < size && fold(bytes[i], ignore) == fold(text[at + i], ignore))
            i++;
        if (i < size) {
            at += i - cut + 1;
            known = 0;
            continue;
        }
        i = cut;
        while (i > known && fold(bytes[i - 1], ignore) == fold(text[at + i - 1], ignore))
            i--;
        if (i <= known) return true;
        at += period;
        known = repeats ? size - period : 0;
    }
    return false;
}

bool text_contains(lore_slice text, lore_slice needle, bool ignore_ascii_case) {
    if (needle.size == 0) return true;
    if (needle.size > text.size) return false;
    const uint8_t *at = text.data;
    if (needle.size > NEEDLE_SHORT_MAX)
        return contains_long(at, text.size, needle, ignore_ascii_case);
    return contains_short(at, at + text.size, needle, ignore_ascii_case);
}
