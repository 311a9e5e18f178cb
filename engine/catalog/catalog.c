/*
 * catalog.c - reading and committing.
 */
#include <assert.h>
#include <inttypes.h>

#include "catalog/catalog_internal.h"

#include "base/poison.h"

/* ---- what it is ---- */

const struct identity *catalog_identity(const struct catalog *catalog) {
    return &catalog->identity;
}
uint64_t catalog_number(const struct catalog *catalog) {
    return catalog->number;
}
lore_status catalog_failed(const struct catalog *catalog) {
    return catalog->failed;
}

static uint64_t bytes_of(const struct catalog *catalog, const char *path) {
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    struct fs *fs = catalog->env->fs;
    return fs->ops->stat(fs, path, &size, &is_dir, &mode) == LORE_OK ? size : 0;
}

uint64_t catalog_bytes(struct catalog *catalog) {
    uint64_t file_number = 0;
    if (catalog->edits != NULL) {
        file_number = catalog->edits->file_number;
    } else if (catalog->reader != NULL) {
        file_number = catalog->reader->file_number;
    }
    char path[PATH_BYTES_MAX];
    uint64_t bytes = bytes_of(catalog, catalog->lmdb_path);
    if (edits_path(path, catalog->dir, file_number) == LORE_OK) bytes += bytes_of(catalog, path);
    return bytes;
}

/* ---- where records are ---- */

void catalog_lose_map(struct catalog *catalog) {
    log_write(catalog->logger, LORE_LOG_WARNING,
              "%s: not used until it is made anew, edits serve alone: %s", catalog->lmdb_path,
              lore_error_message());
    lmdb_map_close(catalog->map);
    catalog->map = NULL;
}

lore_status catalog_read_image(const struct catalog *catalog, uint64_t file_number,
                               struct image *image, struct edits_reader **reader) {
    struct edits_place place = catalog_place(catalog);
    TRY(edits_reader_open(&place, file_number, reader));
    lore_status status = LORE_OK;
    bool found = true;
    while (status == LORE_OK) {
        struct edits_item item;
        status = edits_reader_next(*reader, &item, &found);
        if (status != LORE_OK || !found) break;
        status = image_apply(image, item.encoded);
    }
    struct log_end end;
    if (status == LORE_OK) status = edits_reader_end(*reader, &end);
    if (status != LORE_OK) image_deinit(image);
    return status;
}

static lore_status ensure_image(struct catalog *catalog) {
    if (catalog->image_ready) return LORE_OK;
    if (catalog->read_only) return catalog_load_read_only(catalog);
    struct edits_reader *reader;
    lore_status status =
        catalog_read_image(catalog, catalog->edits->file_number, &catalog->image, &reader);
    uint64_t number = reader == NULL ? 0 : reader->number;
    edits_reader_close(reader);
    TRY(status);
    if (number != catalog->number) {
        image_deinit(&catalog->image);
        return fail(LORE_CORRUPTION,
                    "%s: edits can be read up to number %" PRIu64 ", the last was %" PRIu64,
                    catalog->dir, number, catalog->number);
    }
    catalog->image_ready = true;
    return LORE_OK;
}

static lore_status collect_from_image(const struct image *image, lore_slice prefix, lore_slice from,
                                      bool skip_equal, size_t bytes_wanted, struct bytes *records,
                                      bool *more) {
    *more = false;
    struct catalog_edit edit = {*records, 0};
    lore_status status = LORE_OK;
    for (size_t i = image_seek(image, from); i < image->count && status == LORE_OK; i++) {
        lore_slice key = image_key(image, i);
        if (!slice_starts_with(key, prefix)) break;
        if (skip_equal && slice_equal(key, from)) continue;
        if (edit.encoded.size >= bytes_wanted) {
            *more = true;
            break;
        }
        status = catalog_edit_put(&edit, key, image_value(image, i));
    }
    *records = edit.encoded;
    return status;
}

lore_status catalog_collect(struct catalog *catalog, lore_slice prefix, lore_slice from,
                            bool skip_equal, size_t bytes_wanted, struct bytes *records,
                            bool *more) {
    if (catalog->map != NULL) {
        size_t before = records->size;
        lore_status status =
            lmdb_map_collect(catalog->map, prefix, from, skip_equal, bytes_wanted, records, more);
        if (status == LORE_OK || status == LORE_NO_MEMORY) return status;
        catalog_lose_map(catalog);
        records->size = before;
    }
    TRY(ensure_image(catalog));
    return collect_from_image(&catalog->image, prefix, from, skip_equal, bytes_wanted, records,
                              more);
}

/* ---- reading ---- */

lore_status catalog_get(struct catalog *catalog, lore_slice key, struct bytes *value) {
    bytes_clear(value);
    if (!edit_key_is_sound(key)) return LORE_NOT_FOUND; /* LMDB's own record is nobody else's */
    if (catalog->map != NULL) {
        lore_status status = lmdb_map_get(catalog->map, key, value);
        if (status == LORE_OK || status == LORE_NOT_FOUND || status == LORE_NO_MEMORY)
            return status;
        catalog_lose_map(catalog);
    }
    TRY(ensure_image(catalog));
    const struct image *image = &catalog->image;
    size_t at = image_seek(image, key);
    if (at == image->count || !slice_equal(image_key(image, at), key)) return LORE_NOT_FOUND;
    return bytes_set(value, image_value(image, at));
}

/* Hand out one collected lot; *last becomes its last key. */
static lore_status hand_out(const struct bytes *records, struct bytes *last,
                            catalog_record_fn record, void *context) {
    struct reader at = reader_over(bytes_slice(records));
    for (;;) {
        struct edit_change change;
        bool found;
        TRY(edit_next(&at, &change, &found));
        if (!found) return LORE_OK;
        if (reader_left(&at) == 0) TRY(bytes_set(last, change.key));
        TRY(record(context, change.key, change.value));
    }
}

lore_status catalog_scan(struct catalog *catalog, lore_slice prefix, catalog_record_fn record,
                         void *context) {
    struct bytes records = bytes_empty(catalog->allocator), last = bytes_empty(catalog->allocator);
    lore_status status = bytes_set(&last, prefix);
    bool more = true, skip_equal = false;
    while (status == LORE_OK && more) {
        bytes_clear(&records);
        status = catalog_collect(catalog, prefix, bytes_slice(&last), skip_equal, COLLECT_BYTES,
                                 &records, &more);
        if (status == LORE_OK) status = hand_out(&records, &last, record, context);
        skip_equal = true;
    }
    bytes_free(&records);
    bytes_free(&last);
    return status;
}

/* ---- rolling ---- */

static lore_status put_in_checkpoint(void *context, lore_slice key, lore_slice value) {
    return edits_checkpoint_put(context, key, value);
}

/* Give up on a new edits file. True if nothing of it can ever count. */
static bool abandon(struct catalog *catalog, struct edits *next, lore_status status) {
    bool harmless = !next->end_written && (status == LORE_FULL || status == LORE_NO_MEMORY);
    char path[PATH_BYTES_MAX];
    if (edits_path(path, catalog->dir, next->file_number) == LORE_OK) {
        lore_status ignored = fs_unlink(catalog->env, path); /* else the next try replaces it */
        (void)ignored;
    }
    return harmless;
}

/* Go on in a new file that begins with a checkpoint. A full disk puts it off. Where it cannot be
 * told whether the new file will count, nothing may be added to the old one: that is final. */
static void roll(struct catalog *catalog) {
    struct edits_place place = catalog_place(catalog);
    struct edits *old = catalog->edits, *next = NULL;
    lore_status status = edits_begin(&place, &catalog->identity, old->file_number + 1, old, &next);
    if (status == LORE_OK) {
        status = catalog_scan(catalog, slice(NULL, 0), put_in_checkpoint, next);
        if (status == LORE_OK) status = edits_checkpoint_end(next, old->number, old->history);
    }
    if (status != LORE_OK) {
        log_write(catalog->logger, LORE_LOG_WARNING, "%s: no new edits file for now: %s",
                  catalog->dir, lore_error_message());
        bool harmless = status == LORE_FULL || status == LORE_NO_MEMORY;
        if (next != NULL) harmless = abandon(catalog, next, status);
        if (!harmless) catalog->failed = status;
        edits_close(next);
        return;
    }
    char path[PATH_BYTES_MAX];
    if (edits_path(path, catalog->dir, old->file_number) == LORE_OK) {
        lore_status ignored = fs_unlink(catalog->env, path); /* else the next open removes it */
        (void)ignored;
    }
    edits_close(old);
    catalog->edits = next;
}

/* ---- committing ---- */

/* The edit is durable: bring what is read from to it. */
static lore_status follow(struct catalog *catalog, lore_slice encoded) {
    if (catalog->image_ready && image_apply(&catalog->image, encoded) != LORE_OK) {
        image_deinit(&catalog->image); /* made anew when it is next needed */
        catalog->image_ready = false;
    }
    if (catalog->map == NULL) return LORE_OK;
    lore_status status = lmdb_map_apply(catalog->map, encoded, catalog->number, catalog->history);
    if (status == LORE_OK) return LORE_OK;
    catalog_lose_map(catalog);
    return status == LORE_IO ? status : LORE_OK;
}

lore_status catalog_commit(struct catalog *catalog, const struct catalog_edit *edit) {
    if (catalog->read_only) return fail(LORE_MISUSE, "%s: the catalog is read-only", catalog->dir);
    if (catalog->failed != LORE_OK) {
        return fail(catalog->failed, "%s: an earlier commit failed; open the store again",
                    catalog->dir);
    }
    if (edit->encoded.size == 0) return LORE_OK;
    lore_slice encoded = bytes_slice(&edit->encoded);
    lore_status status = edits_append(catalog->edits, encoded);
    if (status != LORE_OK) {
        catalog->failed = log_writer_failed(catalog->edits->log);
        return status;
    }
    catalog->number = catalog->edits->number;
    catalog->history = catalog->edits->history;
    status = follow(catalog, encoded);
    if (status != LORE_OK) {
        catalog->failed = status;
        return status;
    }
    catalog->failed = log_writer_failed(catalog->edits->log);
    if (catalog->failed == LORE_OK && edits_want_roll(catalog->edits)) roll(catalog);
    return LORE_OK;
}

/* ---- following a writer ---- */

/* Whether there is an edits file above the one that is being read. */
static lore_status newer_file(const struct catalog *catalog, bool *newer) {
    struct edits_place place = catalog_place(catalog);
    struct bytes numbers = bytes_empty(catalog->allocator);
    lore_status status = edits_list(&place, &numbers);
    *newer = false;
    if (status == LORE_OK && numbers.size > 0) {
        uint64_t highest;
        memcpy(&highest, numbers.data, sizeof highest);
        *newer = highest > catalog->reader->file_number;
    }
    bytes_free(&numbers);
    return status;
}

/* More of the same file. */
static lore_status read_on(struct catalog *catalog) {
    for (;;) {
        struct edits_item item;
        bool found;
        TRY(edits_reader_next(catalog->reader, &item, &found));
        if (!found) break;
        TRY(image_apply(&catalog->image, item.encoded));
    }
    struct log_end end;
    TRY(edits_reader_end(catalog->reader, &end));
    catalog->number = catalog->reader->number;
    catalog->history = catalog->reader->history;
    return LORE_OK;
}

lore_status catalog_refresh(struct catalog *catalog, bool *changed) {
    *changed = false;
    if (!catalog->read_only) return fail(LORE_MISUSE, "%s: not read-only", catalog->dir);
    uint64_t before = catalog->number;
    bool newer = !catalog->image_ready;
    if (!newer) TRY(newer_file(catalog, &newer));
    lore_status status = newer ? catalog_load_read_only(catalog) : read_on(catalog);
    if (status != LORE_OK && !newer) {
        /* Half an edit may be in the image: it is read anew when it is next needed. */
        image_deinit(&catalog->image);
        catalog->image_ready = false;
    }
    *changed = catalog->number != before;
    return status;
}
