/*
 * catalog_internal.h - the inside of struct catalog, for the files of this folder alone.
 *
 * Where a writer reads from: LMDB while it is good, else an image that is built from edits when
 * first needed. Both hold exactly the records of edit `number`; LMDB is closed the moment it does
 * not. A read-only catalog has an image and the reader that it came from, and goes on reading
 * there.
 */
#ifndef LORE_CATALOG_CATALOG_INTERNAL_H
#define LORE_CATALOG_CATALOG_INTERNAL_H

#include "catalog/catalog.h"
#include "catalog/edits.h"
#include "catalog/image.h"
#include "catalog/lmdb_map.h"

/* About what a scan copies out at a time, under one LMDB transaction. */
#define COLLECT_BYTES ((size_t)32 * 1024)

struct catalog {
    const lore_env *env;
    const struct allocator *allocator;
    const struct logger *logger; /* the host's; may be NULL */
    char dir[PATH_BYTES_MAX];
    char lmdb_path[PATH_BYTES_MAX];
    struct identity identity;
    bool group_access, read_only;
    uint64_t map_bytes_max;

    uint64_t number, history;    /* of the last edit */
    lore_status failed;          /* LORE_OK, or why no commit is taken any more */
    struct edits *edits;         /* writer; NULL when read-only */
    struct lmdb_map *map;        /* writer; NULL: read from the image */
    struct edits_reader *reader; /* read-only */
    struct image image;
    bool image_ready;
};

static inline struct edits_place catalog_place(const struct catalog *catalog) {
    return (struct edits_place){catalog->env, catalog->allocator, catalog->dir,
                                catalog->group_access};
}

static inline struct lmdb_place lmdb_place_of(const struct catalog *catalog, const char *path) {
    return (struct lmdb_place){catalog->env, catalog->allocator,    catalog->logger,
                               path,         catalog->group_access, catalog->map_bytes_max};
}

/* catalog.c */

/* Records as an encoded edit of puts, as lmdb_map_collect, from wherever they are. */
MUST_USE lore_status catalog_collect(struct catalog *catalog, lore_slice prefix, lore_slice from,
                                     bool skip_equal, size_t bytes_wanted, struct bytes *records,
                                     bool *more);
/* Read an edits file to its end into an empty image. The reader, where it is not NULL, is the
 * caller's to close, after a failure too; the image is empty then. */
MUST_USE lore_status catalog_read_image(const struct catalog *catalog, uint64_t file_number,
                                        struct image *image, struct edits_reader **reader);
/* LMDB cannot be used any more: this thread's error text says why. */
void catalog_lose_map(struct catalog *catalog);

/* catalog_open.c */
MUST_USE lore_status catalog_new(const struct catalog_config *config, struct catalog **catalog);
void catalog_free(struct catalog *catalog);
MUST_USE lore_status catalog_load_read_only(struct catalog *catalog);

#endif
