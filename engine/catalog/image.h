/*
 * image.h - the catalog as a sorted array in memory: what a read-only catalog reads from, and what
 * a writer falls back to while it has no LMDB.
 *
 * Adding in order of key, as a checkpoint does, is constant time; anywhere else it moves pointers.
 * A catalog has thousands of records, not millions.
 *
 * Threads: one. Owner: the catalog.
 */
#ifndef LORE_CATALOG_IMAGE_H
#define LORE_CATALOG_IMAGE_H

#include "base/bytes.h"

struct image_record;
struct image {
    const struct allocator *allocator;
    struct image_record **records; /* in order of key */
    size_t count, capacity;
};

void image_init(struct image *image, const struct allocator *allocator);
void image_deinit(struct image *image); /* empty again, and good for use */

/* Apply a checked encoded edit. After a failure some of it may be in: the image is to be thrown
 * away. */
MUST_USE lore_status image_apply(struct image *image, lore_slice encoded);
/* Index of the first record whose key is not below `key`; count if there is none. */
size_t image_seek(const struct image *image, lore_slice key);
lore_slice image_key(const struct image *image, size_t index);
lore_slice image_value(const struct image *image, size_t index);

#endif
