/*
 * catalog_hurt.c - what can still be read of a catalog whose files are damaged, for salvage.
 *
 * Edits that read to their end are the catalog, unless LMDB is ahead of them: then they have lost
 * what was synced. Where they do not, LMDB's copy is, if every page and value of it checks and it
 * is not behind what can be read of edits: at a crash it lacks at most the last edit, and no file
 * that the catalog without that edit names is unlinked before LMDB has it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "catalog/catalog_internal.h"

#include "base/poison.h"

struct hurt {
    struct catalog *catalog;
    bool whole; /* the image holds a whole checkpoint */
    bool clean; /* and all edits that were written */
    char *reason;
};

static void note_reason(struct hurt *hurt) {
    hurt->clean = false;
    if (hurt->reason[0] == '\0') snprintf(hurt->reason, 256, "%.255s", lore_error_message());
}

static bool is_damage(lore_status status) {
    return status == LORE_CORRUPTION || status == LORE_UNSUPPORTED || status == LORE_IO;
}

/* All of an edits file that can be read, into the image. */
static lore_status read_file(struct hurt *hurt, struct edits_reader *reader) {
    struct catalog *catalog = hurt->catalog;
    lore_status status = LORE_OK;
    struct log_end end = {.ending = LOG_ENDS_CLEAN};
    bool found = true;
    while (status == LORE_OK) {
        struct edits_item item;
        status = edits_reader_next(reader, &item, &found);
        if (status == LORE_OK && !found) {
            status = log_reader_end(reader->log, &end);
            /* A record with one byte changed can be put right; one that is missing shows, since
             * they are numbered. */
            if (status == LORE_OK && end.ending != LOG_ENDS_CLEAN)
                status = log_reader_resync(reader->log, &found);
            if (status == LORE_OK && found) continue;
        }
        if (status != LORE_OK || !found) break;
        status = image_apply(&catalog->image, item.encoded);
    }
    if (status == LORE_OK && end.ending == LOG_ENDS_DAMAGED)
        status = fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": damaged", reader->path, end.end);
    if (is_damage(status)) {
        note_reason(hurt);
        status = LORE_OK;
    }
    hurt->whole = reader->whole;
    catalog->number = reader->number;
    catalog->history = reader->history;
    catalog->identity = *edits_reader_identity(reader);
    return status;
}

static lore_status try_file(struct hurt *hurt, uint64_t number) {
    struct catalog *catalog = hurt->catalog;
    struct edits_place place = catalog_place(catalog);
    struct edits_reader *reader;
    image_deinit(&catalog->image);
    lore_status status = edits_reader_open(&place, number, &reader);
    if (is_damage(status)) {
        char path[PATH_BYTES_MAX];
        uint64_t size;
        bool is_dir;
        uint32_t mode;
        TRY(edits_path(path, catalog->dir, number));
        TRY(catalog->env->fs->ops->stat(catalog->env->fs, path, &size, &is_dir, &mode));
        if (size > LOG_HEADER_BYTES) note_reason(hurt); /* else it was never begun */
        return LORE_OK;
    }
    TRY(status);
    status = read_file(hurt, reader);
    edits_reader_close(reader);
    return status;
}

/* Newest file first, to the first whose checkpoint is whole. */
static lore_status read_edits(struct hurt *hurt) {
    struct edits_place place = catalog_place(hurt->catalog);
    struct bytes numbers = bytes_empty(hurt->catalog->allocator);
    lore_status status = edits_list(&place, &numbers);
    hurt->clean = true;
    for (size_t at = 0; status == LORE_OK && !hurt->whole && at < numbers.size;
         at += sizeof(uint64_t)) {
        uint64_t number;
        memcpy(&number, numbers.data + at, sizeof number);
        status = try_file(hurt, number);
    }
    bytes_free(&numbers);
    if (status == LORE_OK && !hurt->whole && hurt->clean) {
        status = fail(LORE_CORRUPTION, "%s: there is no edits file", hurt->catalog->dir);
        note_reason(hurt);
        status = LORE_OK;
    }
    return status;
}

/* LMDB's records in place of the image's. */
static lore_status take_map(struct catalog *catalog, struct lmdb_map *map) {
    struct bytes records = bytes_empty(catalog->allocator);
    struct image image;
    image_init(&image, catalog->allocator);
    bool more;
    lore_status status =
        lmdb_map_collect(map, slice(NULL, 0), slice(NULL, 0), false, SIZE_MAX, &records, &more);
    if (status == LORE_OK) status = image_apply(&image, bytes_slice(&records));
    bytes_free(&records);
    if (status != LORE_OK) {
        image_deinit(&image);
        return status;
    }
    image_deinit(&catalog->image);
    catalog->image = image;
    catalog->number = lmdb_map_state(map)->number;
    catalog->history = lmdb_map_state(map)->history;
    catalog->identity = lmdb_map_state(map)->identity;
    return LORE_OK;
}

static lore_status try_map(struct hurt *hurt, bool *taken) {
    struct catalog *catalog = hurt->catalog;
    struct lmdb_place place = {catalog->env,       catalog->allocator,    NULL,
                               catalog->lmdb_path, catalog->group_access, catalog->map_bytes_max};
    struct lmdb_map *map;
    *taken = false;
    lore_status status = lmdb_map_open(&place, &map);
    if (is_damage(status) || status == LORE_NOT_FOUND) return LORE_OK;
    TRY(status);
    const struct lmdb_state *state = lmdb_map_state(map);
    bool fits = !hurt->whole || identity_equal(&state->identity, &catalog->identity);
    bool ahead = !hurt->whole || state->number > catalog->number ||
                 (!hurt->clean && state->number == catalog->number);
    if (state->number > 0 && fits && ahead) {
        if (hurt->clean)
            snprintf(hurt->reason, 256, "edits end at number %" PRIu64 ", LMDB is at %" PRIu64,
                     catalog->number, state->number);
        status = take_map(catalog, map);
        *taken = status == LORE_OK;
    }
    lmdb_map_close(map);
    return is_damage(status) ? LORE_OK : status;
}

lore_status catalog_open_hurt(const struct catalog_config *config, struct catalog **catalog,
                              enum catalog_found *found, char reason[256]) {
    struct catalog *c;
    *catalog = NULL;
    reason[0] = '\0';
    TRY(catalog_new(config, &c));
    struct hurt hurt = {.catalog = c, .reason = reason};
    bool from_map = false;
    lore_status status = read_edits(&hurt);
    if (status == LORE_OK) status = try_map(&hurt, &from_map);
    if (status != LORE_OK) {
        catalog_free(c);
        return status;
    }
    *found = from_map                   ? CATALOG_FROM_MAP
             : hurt.whole && hurt.clean ? CATALOG_WHOLE
             : c->image.count > 0       ? CATALOG_PREFIX
                                        : CATALOG_NONE;
    c->image_ready = true;
    *catalog = c;
    return LORE_OK;
}

lore_status catalog_hurt_apply(struct catalog *catalog, const struct catalog_edit *edit) {
    return image_apply(&catalog->image, bytes_slice(&edit->encoded));
}
