/*
 * catalog_open.c - making a catalog, opening one, and making LMDB anew from edits.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "catalog/catalog_internal.h"

#include "base/poison.h"

#define LMDB_NAME       "catalog.mdb"
#define TEMPORARY_NAME  "catalog.tmp"
#define QUARANTINE_NAME "quarantine"
#define KEPT_FILES      3u
#define MAP_BYTES_MAX   (UINT64_C(64) << 20)
/* Changes that go into LMDB in one transaction when many do. */
#define FEED_BYTES ((size_t)256 * 1024)
/* How often a reader looks again when the file that it chose is gone by the time it opens it. */
#define LOOKS_MAX 10

/* ---- the object ---- */

lore_status catalog_new(const struct catalog_config *config, struct catalog **catalog) {
    void *memory;
    TRY(mem_new(config->allocator, sizeof(struct catalog), &memory));
    struct catalog *c = memory;
    c->env = config->env;
    c->allocator = config->allocator;
    c->logger = config->logger;
    c->identity = config->identity;
    c->group_access = config->group_access;
    c->read_only = config->read_only;
    c->map_bytes_max = config->map_bytes_max == 0 ? MAP_BYTES_MAX : config->map_bytes_max;
    image_init(&c->image, config->allocator);
    lore_status status = path_join(c->dir, "", config->dir);
    if (status == LORE_OK) status = path_join(c->lmdb_path, config->dir, LMDB_NAME);
    if (status != LORE_OK) {
        mem_put(config->allocator, c, sizeof *c);
        return status;
    }
    *catalog = c;
    return LORE_OK;
}

void catalog_free(struct catalog *catalog) {
    lmdb_map_close(catalog->map);
    edits_close(catalog->edits);
    edits_reader_close(catalog->reader);
    image_deinit(&catalog->image);
    mem_put(catalog->allocator, catalog, sizeof *catalog);
}

void catalog_close(struct catalog *catalog) {
    if (catalog == NULL) return;
    if (catalog->edits != NULL && catalog->failed == LORE_OK) {
        /* Nobody can act on a failure here, and nothing depends on it: every edit is synced. */
        struct log_writer *log = catalog->edits->log;
        int64_t now_us = catalog->env->sys->ops->now_us(catalog->env->sys);
        lore_status ignored = log_writer_promise(log, now_us);
        if (ignored == LORE_OK) ignored = log_writer_sync(log);
        (void)ignored;
    }
    catalog_free(catalog);
}

/* ---- from edits into LMDB ---- */

struct feed {
    struct lmdb_map *map;
    uint64_t after; /* edits up to it are in already; 0: nothing is */
    struct bytes batch;
    uint64_t number, history; /* once the batch is in; number 0: the checkpoint is not whole */
};

static lore_status feed_item(struct feed *feed, const struct edits_item *item) {
    bool wanted = item->kind == EDITS_EDIT ? item->number > feed->after : feed->after == 0;
    if (!wanted) return LORE_OK;
    if (item->kind != EDITS_PART) {
        feed->number = item->number;
        feed->history = item->history;
    }
    TRY(bytes_append(&feed->batch, item->encoded.data, item->encoded.size));
    if (feed->batch.size < FEED_BYTES) return LORE_OK;
    TRY(lmdb_map_apply(feed->map, bytes_slice(&feed->batch), feed->number, feed->history));
    bytes_clear(&feed->batch);
    return LORE_OK;
}

/* Bring `map` from edit `after` (0: from nothing) to the last one. */
static lore_status feed_map(struct catalog *catalog, struct lmdb_map *map, uint64_t after) {
    struct edits_place place = catalog_place(catalog);
    struct edits_reader *reader;
    TRY(edits_reader_open(&place, catalog->edits->file_number, &reader));
    struct feed feed = {.map = map, .after = after, .batch = bytes_empty(catalog->allocator)};
    lore_status status = LORE_OK;
    for (;;) {
        struct edits_item item;
        bool found;
        status = edits_reader_next(reader, &item, &found);
        if (status != LORE_OK || !found) break;
        status = feed_item(&feed, &item);
        if (status != LORE_OK) break;
    }
    if (status == LORE_OK && feed.number != catalog->number) {
        status = fail(LORE_CORRUPTION,
                      "%s: edits can be read up to number %" PRIu64 ", the last was %" PRIu64,
                      reader->path, feed.number, catalog->number);
    }
    if (status == LORE_OK) {
        status = lmdb_map_apply(map, bytes_slice(&feed.batch), feed.number, feed.history);
    }
    bytes_free(&feed.batch);
    edits_reader_close(reader);
    return status;
}

/* A whole LMDB file in the temporary folder, closed again. */
static lore_status make_temporary(struct catalog *catalog, const char *folder, const char *path) {
    struct fs *fs = catalog->env->fs;
    TRY(fs_remove_tree(catalog->env, folder));
    TRY(fs->ops->make_dir(fs, folder, catalog->group_access));
    struct lmdb_place place = lmdb_place_of(catalog, path);
    struct lmdb_map *map;
    TRY(lmdb_map_create(&place, &catalog->identity, &map));
    lore_status status = feed_map(catalog, map, 0);
    lmdb_map_close(map);
    return status;
}

/* Make LMDB's file anew, in place of any that is there. Whatever fails, the name holds the old file
 * or the new one, whole. */
static lore_status make_map_file(struct catalog *catalog) {
    assert(catalog->map == NULL);
    char folder[PATH_BYTES_MAX], path[PATH_BYTES_MAX];
    TRY(path_join(folder, catalog->dir, TEMPORARY_NAME));
    TRY(path_join(path, folder, LMDB_NAME));
    lore_status status = make_temporary(catalog, folder, path);
    if (status == LORE_OK) status = fs_rename(catalog->env, path, catalog->lmdb_path);
    if (status == LORE_OK) status = fs_sync_parent(catalog->env, catalog->lmdb_path);
    if (status != LORE_OK) {
        lore_status cause = fail_within(status, "%s", catalog->lmdb_path);
        /* The text of the cause is kept by a copy: cleaning up may fail with one of its own. */
        char text[512];
        (void)snprintf(text, sizeof text, "%s", lore_error_message());
        if (fs_remove_tree(catalog->env, folder) != LORE_OK) return fail(cause, "%s", text);
        return cause;
    }
    return catalog->env->fs->ops->remove_dir(catalog->env->fs, folder);
}

static lore_status make_map(struct catalog *catalog) {
    TRY(make_map_file(catalog));
    struct lmdb_place place = lmdb_place_of(catalog, catalog->lmdb_path);
    return lmdb_map_open(&place, &catalog->map);
}

/* ---- what cannot be used ---- */

static lore_status quarantine_folder(const struct catalog *catalog, char folder[PATH_BYTES_MAX]) {
    TRY(path_join(folder, catalog->dir, QUARANTINE_NAME));
    struct fs *fs = catalog->env->fs;
    lore_status status = fs->ops->make_dir(fs, folder, catalog->group_access);
    if (status == LORE_EXISTS) return LORE_OK;
    TRY(status);
    return fs_sync_parent(catalog->env, folder);
}

struct kept {
    size_t count;
    char oldest[64]; /* name of the file with the lowest time */
    uint64_t oldest_time;
};

static lore_status note_kept(void *context, const struct dir_entry *entry) {
    struct kept *kept = context;
    const char prefix[] = LMDB_NAME ".";
    if (entry->is_dir || strncmp(entry->name, prefix, sizeof prefix - 1) != 0) return LORE_OK;
    if (strlen(entry->name) >= sizeof kept->oldest) return LORE_OK;
    uint64_t at = strtoull(entry->name + sizeof prefix - 1, NULL, 10);
    if (kept->count++ == 0 || at < kept->oldest_time) {
        kept->oldest_time = at;
        (void)snprintf(kept->oldest, sizeof kept->oldest, "%s", entry->name);
    }
    return LORE_OK;
}

/* Remove the oldest of the files that were set aside, until few enough are left. */
static lore_status trim_kept(const struct catalog *catalog, const char *folder) {
    struct fs *fs = catalog->env->fs;
    for (;;) {
        struct kept kept = {0};
        TRY(fs->ops->list(fs, folder, note_kept, &kept));
        if (kept.count <= KEPT_FILES) return LORE_OK;
        char path[PATH_BYTES_MAX];
        TRY(path_join(path, folder, kept.oldest));
        TRY(fs_unlink(catalog->env, path));
    }
}

/* Move catalog.mdb to quarantine/catalog.mdb.<seconds>. */
static lore_status set_map_aside(const struct catalog *catalog) {
    char folder[PATH_BYTES_MAX], name[64], path[PATH_BYTES_MAX];
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    lore_status status =
        catalog->env->fs->ops->stat(catalog->env->fs, catalog->lmdb_path, &size, &is_dir, &mode);
    if (status == LORE_NOT_FOUND) return LORE_OK;
    TRY(status);
    TRY(quarantine_folder(catalog, folder));
    int64_t seconds = catalog->env->sys->ops->now_us(catalog->env->sys) / 1000000;
    (void)snprintf(name, sizeof name, LMDB_NAME ".%" PRId64, seconds);
    TRY(path_join(path, folder, name));
    TRY(fs_rename(catalog->env, catalog->lmdb_path, path));
    TRY(catalog->env->fs->ops->sync_dir(catalog->env->fs, folder));
    return trim_kept(catalog, folder);
}

/* Copy what will be cut off edits to quarantine/. */
static lore_status set_tail_aside(const struct catalog *catalog, const struct edits_reader *reader,
                                  const struct log_end *end) {
    char folder[PATH_BYTES_MAX], name[96], path[PATH_BYTES_MAX];
    TRY(quarantine_folder(catalog, folder));
    (void)snprintf(name, sizeof name, "edits-%010" PRIu64 ".tail-%" PRIu64, reader->file_number,
                   end->end);
    TRY(path_join(path, folder, name));
    log_write(catalog->logger, LORE_LOG_WARNING,
              "%s: offset %" PRIu64 ": a tail of %" PRIu64 " bytes above the last promise is cut; "
              "it is kept as %s",
              reader->path, end->end, end->tail_bytes, path);
    return log_tail_set_aside(catalog->env, catalog->allocator, reader->path, end->end,
                              end->tail_bytes, path, catalog->group_access);
}

/* ---- making one ---- */

static lore_status write_first(struct catalog *catalog, const struct image *image) {
    struct edits_place place = catalog_place(catalog);
    TRY(edits_begin(&place, &catalog->identity, 1, NULL, &catalog->edits));
    for (size_t i = 0; i < image->count; i++) {
        TRY(edits_checkpoint_put(catalog->edits, image_key(image, i), image_value(image, i)));
    }
    TRY(edits_checkpoint_end(catalog->edits, 1, edits_first_history(&catalog->identity)));
    catalog->number = catalog->edits->number;
    catalog->history = catalog->edits->history;
    return LORE_OK;
}

/* After a failure: as if nothing had been tried. */
static void unmake(struct catalog *catalog) {
    char path[PATH_BYTES_MAX];
    lore_status ignored = fs_unlink(catalog->env, catalog->lmdb_path);
    if (edits_path(path, catalog->dir, 1) == LORE_OK) ignored = fs_unlink(catalog->env, path);
    (void)ignored;
}

static lore_status no_edits_yet(const struct catalog *catalog) {
    struct edits_place place = catalog_place(catalog);
    struct bytes numbers = bytes_empty(catalog->allocator);
    lore_status status = edits_list(&place, &numbers);
    if (status == LORE_OK && numbers.size > 0) {
        status = fail(LORE_EXISTS, "%s: there is a catalog already", catalog->dir);
    }
    bytes_free(&numbers);
    return status;
}

lore_status catalog_create(const struct catalog_config *config, const struct catalog_edit *first,
                           struct catalog **catalog) {
    bool keep_open = catalog != NULL;
    if (keep_open) *catalog = NULL;
    assert(!config->read_only);
    struct catalog *c;
    TRY(catalog_new(config, &c));
    struct image image;
    image_init(&image, c->allocator);
    lore_status status = no_edits_yet(c);
    if (status == LORE_OK) {
        status = image_apply(&image, bytes_slice(&first->encoded));
        if (status == LORE_OK) status = write_first(c, &image);
        if (status == LORE_OK) status = keep_open ? make_map(c) : make_map_file(c);
        if (status != LORE_OK) {
            char text[512];
            (void)snprintf(text, sizeof text, "%s", lore_error_message());
            unmake(c);
            status = fail(status, "%s", text);
        }
    }
    image_deinit(&image);
    if (status == LORE_OK && keep_open)
        *catalog = c;
    else if (status == LORE_OK)
        catalog_close(c);
    else
        catalog_free(c);
    return status;
}

/* ---- opening one to read ---- */

static bool identity_is_given(const struct identity *identity) {
    const struct identity none = {{0}, {0}};
    return !identity_equal(identity, &none);
}

static lore_status take_identity(struct catalog *catalog, const struct edits_reader *reader) {
    const struct identity *identity = edits_reader_identity(reader);
    if (identity_is_given(&catalog->identity) && !identity_equal(&catalog->identity, identity)) {
        return fail(LORE_CORRUPTION, "%s: offset 24: of another store or lineage", reader->path);
    }
    catalog->identity = *identity;
    return LORE_OK;
}

static lore_status load_once(struct catalog *catalog, struct image *image,
                             struct edits_reader **reader) {
    struct edits_place place = catalog_place(catalog);
    uint64_t file_number;
    TRY(edits_choose(&place, &file_number));
    lore_status status = catalog_read_image(catalog, file_number, image, reader);
    if (status == LORE_OK) status = take_identity(catalog, *reader);
    if (status == LORE_OK) return LORE_OK;
    edits_reader_close(*reader);
    *reader = NULL;
    image_deinit(image);
    return status;
}

static lore_status no_catalog(const struct catalog *catalog) {
    return fail(LORE_CORRUPTION, "%s: there is no edits file", catalog->dir);
}

/* A writer may roll between the choice and the opening: then look again. */
lore_status catalog_load_read_only(struct catalog *catalog) {
    struct image image;
    image_init(&image, catalog->allocator);
    struct edits_reader *reader = NULL;
    lore_status status = LORE_NOT_FOUND;
    for (int look = 0; look < LOOKS_MAX && status == LORE_NOT_FOUND; look++) {
        status = load_once(catalog, &image, &reader);
    }
    if (status == LORE_NOT_FOUND) return no_catalog(catalog);
    TRY(status);
    edits_reader_close(catalog->reader);
    image_deinit(&catalog->image);
    catalog->reader = reader;
    catalog->image = image;
    catalog->image_ready = true;
    catalog->number = reader->number;
    catalog->history = reader->history;
    return LORE_OK;
}

/* ---- opening one to write ---- */

/* Read all of edits once: *history_there is what it was at edit `number`, if it is in this file. */
static lore_status walk_edits(struct edits_reader *reader, uint64_t number, uint64_t *history_there,
                              struct log_end *end) {
    for (;;) {
        struct edits_item item;
        bool found;
        TRY(edits_reader_next(reader, &item, &found));
        if (!found) break;
        if (item.kind != EDITS_PART && item.number == number) *history_there = item.history;
    }
    return edits_reader_end(reader, end);
}

/* LMDB as it is found; NULL with a reason if it cannot be used. */
static lore_status find_map(struct catalog *catalog, struct catalog_opened *opened) {
    struct lmdb_place place = lmdb_place_of(catalog, catalog->lmdb_path);
    lore_status status = lmdb_map_open(&place, &catalog->map);
    if (status == LORE_NO_MEMORY) return status;
    if (status == LORE_NOT_FOUND) {
        (void)snprintf(opened->reason, sizeof opened->reason, "there was none");
    } else if (status != LORE_OK) {
        (void)snprintf(opened->reason, sizeof opened->reason, "%.127s", lore_error_message());
    }
    return LORE_OK;
}

static void reject_map(struct catalog *catalog, struct catalog_opened *opened, const char *reason) {
    (void)snprintf(opened->reason, sizeof opened->reason, "%s", reason);
    lmdb_map_close(catalog->map);
    catalog->map = NULL;
}

/* Whether LMDB's state is one that edits have been through. */
static lore_status judge_map(struct catalog *catalog, const struct edits_reader *reader,
                             uint64_t history_there, struct catalog_opened *opened) {
    if (catalog->map == NULL) return LORE_OK;
    const struct lmdb_state *state = lmdb_map_state(catalog->map);
    if (!identity_equal(&state->identity, &catalog->identity)) {
        reject_map(catalog, opened, "it is of another store or lineage");
    } else if (state->number > reader->number) {
        return fail(LORE_CORRUPTION,
                    "%s: edits end at number %" PRIu64 ", but %s is at number %" PRIu64
                    ": edits have lost what was synced",
                    reader->path, reader->number, catalog->lmdb_path, state->number);
    } else if (state->number < reader->checkpoint_number) {
        reject_map(catalog, opened, "it is older than edits reach back");
    } else if (state->history != history_there) {
        reject_map(catalog, opened, "it is of another history");
    }
    return LORE_OK;
}

/* Bring LMDB to the last edit, or make it anew. Where there is no space for it, or it will not do,
 * edits serve alone. */
static lore_status bring_map_up(struct catalog *catalog, struct catalog_opened *opened) {
    lore_status status = LORE_OK;
    uint64_t number = catalog->map == NULL ? 0 : lmdb_map_state(catalog->map)->number;
    if (catalog->map != NULL && number < catalog->number) {
        status = feed_map(catalog, catalog->map, number);
        opened->replayed = catalog->number - number;
        if (status == LORE_CORRUPTION)
            reject_map(catalog, opened, "edits cannot be replayed into it");
    }
    if (catalog->map == NULL) {
        opened->rebuilt = true;
        status = set_map_aside(catalog);
        if (status == LORE_OK) status = make_map(catalog);
    }
    if (status != LORE_FULL && status != LORE_CORRUPTION) return status;
    catalog_lose_map(catalog);
    return LORE_OK;
}

static lore_status open_edits(struct catalog *catalog, struct edits_reader *reader,
                              struct catalog_opened *opened) {
    struct edits_place place = catalog_place(catalog);
    uint64_t number = catalog->map == NULL ? 0 : lmdb_map_state(catalog->map)->number;
    uint64_t history_there = 0;
    struct log_end end;
    TRY(take_identity(catalog, reader));
    TRY(walk_edits(reader, number, &history_there, &end));
    TRY(judge_map(catalog, reader, history_there, opened));
    if (end.ending == LOG_ENDS_TORN) {
        TRY(set_tail_aside(catalog, reader, &end));
        opened->tail_bytes_cut = end.tail_bytes;
    }
    TRY(edits_reopen(&place, reader, &end, &catalog->edits));
    catalog->number = opened->number = reader->number;
    catalog->history = reader->history;
    return edits_remove_others(&place, reader->file_number);
}

static lore_status open_writer(struct catalog *catalog, struct catalog_opened *opened) {
    char temporary[PATH_BYTES_MAX];
    TRY(path_join(temporary, catalog->dir, TEMPORARY_NAME));
    TRY(fs_remove_tree(catalog->env, temporary));
    struct edits_place place = catalog_place(catalog);
    uint64_t file_number;
    lore_status status = edits_choose(&place, &file_number);
    if (status == LORE_NOT_FOUND) return no_catalog(catalog);
    TRY(status);
    TRY(find_map(catalog, opened));
    struct edits_reader *reader;
    TRY(edits_reader_open(&place, file_number, &reader));
    status = open_edits(catalog, reader, opened);
    edits_reader_close(reader);
    TRY(status);
    return bring_map_up(catalog, opened);
}

lore_status catalog_open(const struct catalog_config *config, struct catalog **catalog,
                         struct catalog_opened *opened) {
    *catalog = NULL;
    *opened = (struct catalog_opened){0};
    struct catalog *c;
    TRY(catalog_new(config, &c));
    lore_status status = c->read_only ? catalog_load_read_only(c) : open_writer(c, opened);
    if (status != LORE_OK) {
        catalog_free(c);
        return status;
    }
    opened->number = c->number;
    *catalog = c;
    return LORE_OK;
}

lore_status catalog_rebuild(struct catalog *catalog) {
    if (catalog->read_only) return fail(LORE_MISUSE, "%s: the catalog is read-only", catalog->dir);
    lmdb_map_close(catalog->map);
    catalog->map = NULL;
    TRY(make_map(catalog));
    image_deinit(&catalog->image); /* LMDB is read from now on */
    catalog->image_ready = false;
    return LORE_OK;
}
