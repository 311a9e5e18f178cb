/*
 * fuse_filter_fuzz.c - a stored filter of hostile bytes, and filters built from any hashes.
 *
 *   input   u8: even, the rest is a stored filter; odd, the rest is hashes, 8 bytes each
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/coding.h"
#include "segment/fuse_filter.h"
#include "vfs/env.h"

#define HASHES_MAX 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(lore_slice stored) {
    if (!fuse_filter_is_valid(stored)) return;
    uint64_t hash = 0;
    for (int i = 0; i < 64; i++) {
        fuse_filter_maybe(stored, hash);
        hash = hash * UINT64_C(0x9e3779b97f4a7c15) + UINT64_MAX / 3;
    }
    fuse_filter_maybe(stored, UINT64_MAX);
}

static void build(lore_slice bytes) {
    static uint64_t hashes[HASHES_MAX], given[HASHES_MAX];
    size_t count = bytes.size / 8 < HASHES_MAX ? bytes.size / 8 : HASHES_MAX;
    for (size_t i = 0; i < count; i++)
        hashes[i] = given[i] = get_u64((const uint8_t *)bytes.data + i * 8);
    const struct allocator *allocator = env_posix()->allocator;
    struct bytes stored = bytes_empty(allocator);
    if (fuse_filter_build(allocator, hashes, count, &stored) == LORE_OK) {
        if (!fuse_filter_is_valid(bytes_slice(&stored))) abort();
        for (size_t i = 0; i < count; i++)
            if (!fuse_filter_maybe(bytes_slice(&stored), given[i])) abort();
    }
    bytes_free(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    lore_slice rest = slice(data + 1, size - 1);
    if (data[0] % 2 == 0)
        ask(rest);
    else
        build(rest);
    return 0;
}
