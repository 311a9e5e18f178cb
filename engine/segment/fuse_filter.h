/*
 * fuse_filter.h - binary fuse filters, 8 bits a slot (Graf and Lemire, "Binary Fuse Filters: Fast
 * and Smaller Than Xor Filters", ACM JEA 2022): about 9 bits a key, 0.4 % false positives, no false
 * negatives.
 *
 *   stored   u64 seed, u32 segment length, u32 segment count, u32 number of fingerprints,
 *            then the fingerprints
 *
 * Built from distinct 64-bit hashes of keys (XXH3-64); fails over to a filter that says yes to all
 * in the practically impossible case that construction does not end (bounded tries).
 */
#ifndef LORE_SEGMENT_FUSE_FILTER_H
#define LORE_SEGMENT_FUSE_FILTER_H

#include "base/bytes.h"

#define FUSE_FILTER_KEYS_MAX (1u << 20)
/* Hashes may repeat; the array is reordered. Memory for the build comes from `allocator`, about 12
 * bytes a key. */
MUST_USE lore_status fuse_filter_build(const struct allocator *allocator, uint64_t *hashes,
                                       size_t count, struct bytes *out);
/* Whether `stored` has a sound shape; fuse_filter_maybe must not be called on one that has not. */
bool fuse_filter_is_valid(lore_slice stored);
bool fuse_filter_maybe(lore_slice stored, uint64_t hash);

#endif
