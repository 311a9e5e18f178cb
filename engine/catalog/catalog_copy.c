/*
 * catalog_copy.c - the catalog for another folder, and its two homes compared.
 */
#include <inttypes.h>
#include <stdio.h>

#include "catalog/catalog_internal.h"
#include "catalog/lmdb_check.h"

#include "base/poison.h"

/* ---- export ---- */

static lore_status put_in_image(void *context, lore_slice key, lore_slice value) {
    struct image *image = context;
    struct catalog_edit edit;
    catalog_edit_init(&edit, image->allocator);
    lore_status status = catalog_edit_put(&edit, key, value);
    if (status == LORE_OK) status = image_apply(image, bytes_slice(&edit.encoded));
    catalog_edit_deinit(&edit);
    return status;
}

static lore_status write_image(const struct edits_place *place, const struct identity *identity,
                               const struct image *image) {
    struct edits *edits;
    TRY(edits_begin(place, identity, 1, NULL, &edits));
    lore_status status = LORE_OK;
    for (size_t i = 0; i < image->count && status == LORE_OK; i++) {
        status = edits_checkpoint_put(edits, image_key(image, i), image_value(image, i));
    }
    if (status == LORE_OK) {
        status = edits_checkpoint_end(edits, 1, edits_first_history(identity));
    }
    edits_close(edits);
    if (status == LORE_OK) return LORE_OK;
    char path[PATH_BYTES_MAX], text[512];
    (void)snprintf(text, sizeof text, "%s", lore_error_message());
    if (edits_path(path, place->dir, 1) == LORE_OK) {
        lore_status ignored = fs_unlink(place->env, path);
        (void)ignored;
    }
    return fail(status, "%s", text);
}

lore_status catalog_export(struct catalog *catalog, const char *dir,
                           const struct identity *identity, const struct catalog_edit *changes) {
    struct image image;
    image_init(&image, catalog->allocator);
    lore_status status = catalog_scan(catalog, slice(NULL, 0), put_in_image, &image);
    if (status == LORE_OK && changes != NULL) {
        status = image_apply(&image, bytes_slice(&changes->encoded));
    }
    if (status == LORE_OK) {
        struct edits_place place = catalog_place(catalog);
        place.dir = dir;
        status = write_image(&place, identity, &image);
    }
    image_deinit(&image);
    return status;
}

/* ---- verify ---- */

struct comparison {
    const struct image *image;
    size_t at; /* the next record of the image */
    bool differs;
};

/* One lot of LMDB's records, which are to be the image's next ones. */
static lore_status compare_lot(struct comparison *comparison, const struct bytes *records,
                               struct bytes *last) {
    struct reader at = reader_over(bytes_slice(records));
    for (;;) {
        struct edit_change change;
        bool found;
        TRY(edit_next(&at, &change, &found));
        if (!found) return LORE_OK;
        TRY(bytes_set(last, change.key));
        const struct image *image = comparison->image;
        size_t i = comparison->at++;
        if (i >= image->count || !slice_equal(image_key(image, i), change.key) ||
            !slice_equal(image_value(image, i), change.value)) {
            comparison->differs = true;
            return LORE_OK;
        }
    }
}

static lore_status compare(struct lmdb_map *map, const struct image *image, bool *equal) {
    struct bytes records = bytes_empty(image->allocator), last = bytes_empty(image->allocator);
    struct comparison comparison = {image, 0, false};
    lore_status status = LORE_OK;
    bool more = true, skip_equal = false;
    while (status == LORE_OK && more && !comparison.differs) {
        bytes_clear(&records);
        status = lmdb_map_collect(map, slice(NULL, 0), bytes_slice(&last), skip_equal,
                                  COLLECT_BYTES, &records, &more);
        if (status == LORE_OK) status = compare_lot(&comparison, &records, &last);
        skip_equal = true;
    }
    *equal = !comparison.differs && comparison.at == image->count;
    bytes_free(&records);
    bytes_free(&last);
    return status;
}

static lore_status verify_map(struct catalog *catalog, const struct image *image) {
    lore_status status =
        lmdb_check(catalog->env, catalog->allocator, catalog->lmdb_path, catalog->map_bytes_max);
    if (catalog->map == NULL && status == LORE_NOT_FOUND)
        return LORE_OK; /* there was no space for it */
    TRY(status);
    if (catalog->map == NULL) return LORE_OK;
    bool equal = false;
    TRY(compare(catalog->map, image, &equal));
    if (equal) return LORE_OK;
    return fail(LORE_CORRUPTION, "%s: its records are not those of edits", catalog->lmdb_path);
}

lore_status catalog_verify_file(struct catalog *catalog) {
    struct lmdb_place place = lmdb_place_of(catalog, catalog->lmdb_path);
    lore_status status = lmdb_map_check(&place);
    return status == LORE_NOT_FOUND ? LORE_OK : status;
}

static lore_status report(lore_status status, catalog_fault_fn fault, void *context,
                          const char *file, uint64_t offset) {
    if (status == LORE_CORRUPTION) fault(context, file, offset, lore_error_message());
    return status;
}

lore_status catalog_verify(struct catalog *catalog, catalog_fault_fn fault, void *context) {
    struct edits_place place = catalog_place(catalog);
    struct image image;
    image_init(&image, catalog->allocator);
    uint64_t file_number = 0;
    if (catalog->edits != NULL) file_number = catalog->edits->file_number;
    if (catalog->reader != NULL) file_number = catalog->reader->file_number;
    char path[PATH_BYTES_MAX];
    TRY(edits_path(path, catalog->dir, file_number));
    struct edits_reader *reader = NULL;
    lore_status status = LORE_OK;
    if (catalog->read_only) status = edits_choose(&place, &file_number); /* it may have rolled */
    if (status == LORE_OK) status = catalog_read_image(catalog, file_number, &image, &reader);
    if (status == LORE_OK && !catalog->read_only && reader->number != catalog->number) {
        status = fail(LORE_CORRUPTION,
                      "%s: edits can be read up to number %" PRIu64 ", the last was %" PRIu64, path,
                      reader->number, catalog->number);
    }
    status = report(status, fault, context, path, reader == NULL ? 0 : reader->offset);
    edits_reader_close(reader);
    if (status == LORE_OK && !catalog->read_only) {
        status = report(verify_map(catalog, &image), fault, context, catalog->lmdb_path, 0);
    }
    image_deinit(&image);
    return status;
}
