/*
 * edits_write.c - writing an edits file: its checkpoint, then one edit after the other.
 */
#include <assert.h>

#include "catalog/edits.h"
#include "vfs/rare.h"

#include "base/poison.h"

/* A part is written once it is this long. */
#define PART_BYTES ((size_t)64 * 1024)
/* Space is taken ahead in such steps: about what a checkpoint of a small store takes. */
#define PREALLOCATE_BYTES (32u * 1024u)
/* A file is rolled when it is larger than this, and than twice its checkpoint. */
#define ROLL_BYTES_MIN (64u * 1024u)

static int64_t now_us(const struct edits *edits) {
    return edits->place.env->sys->ops->now_us(edits->place.env->sys);
}

static struct log_writer_config writer_config(const struct edits_place *place) {
    return (struct log_writer_config){place->env, place->allocator, place->group_access,
                                      PREALLOCATE_BYTES};
}

static lore_status edits_new(const struct edits_place *place, const struct identity *identity,
                             uint64_t file_number, struct edits **edits) {
    void *memory;
    TRY(mem_new(place->allocator, sizeof(struct edits), &memory));
    *edits = memory;
    (*edits)->place = *place;
    (*edits)->identity = *identity;
    (*edits)->file_number = file_number;
    catalog_edit_init(&(*edits)->part, place->allocator);
    (*edits)->scratch = bytes_empty(place->allocator);
    return LORE_OK;
}

void edits_close(struct edits *edits) {
    if (edits == NULL) return;
    log_writer_destroy(edits->log);
    catalog_edit_deinit(&edits->part);
    bytes_free(&edits->scratch);
    mem_put(edits->place.allocator, edits, sizeof *edits);
}

/* ---- a new file ---- */

static lore_status create_file(struct edits *edits, const struct edits *before) {
    const struct edits_place *place = &edits->place;
    char path[PATH_BYTES_MAX];
    TRY(edits_path(path, place->dir, edits->file_number));
    lore_status status = fs_unlink(place->env, path);
    if (status != LORE_OK && status != LORE_NOT_FOUND) return status;
    uint64_t number = before == NULL ? 1 : before->number;
    struct log_header header = {
        .family = LOG_FAMILY_EDITS,
        .identity = edits->identity,
        .number = edits->file_number,
        .first_sequence = number + 1,
        .created_at_us = now_us(edits),
    };
    if (before != NULL) {
        header.predecessor_number = before->file_number;
        header.predecessor_length = log_writer_end(before->log);
        header.predecessor_sequence = before->number;
    }
    struct log_writer_config config = writer_config(place);
    return log_writer_create(&config, path, &header, &edits->log);
}

lore_status edits_begin(const struct edits_place *place, const struct identity *identity,
                        uint64_t file_number, const struct edits *before, struct edits **edits) {
    TRY(edits_new(place, identity, file_number, edits));
    lore_status status = create_file(*edits, before);
    if (status == LORE_OK) return LORE_OK;
    edits_close(*edits);
    *edits = NULL;
    return status;
}

static lore_status write_part(struct edits *edits) {
    if (edits->part.count == 0) return LORE_OK;
    TRY(log_writer_add(edits->log, LOG_CHECKPOINT, now_us(edits), bytes_slice(&edits->part.encoded),
                       NULL));
    TRY(log_writer_write(edits->log));
    catalog_edit_clear(&edits->part);
    return LORE_OK;
}

lore_status edits_checkpoint_put(struct edits *edits, lore_slice key, lore_slice value) {
    assert(!edits->end_written);
    TRY(catalog_edit_put(&edits->part, key, value));
    edits->records++;
    return edits->part.encoded.size < PART_BYTES ? LORE_OK : write_part(edits);
}

lore_status edits_checkpoint_end(struct edits *edits, uint64_t number, uint64_t history) {
    assert(!edits->end_written && number > 0);
    TRY(write_part(edits));
    uint8_t end[24];
    put_u64(end, number);
    put_u64(end + 8, history);
    put_u64(end + 16, edits->records);
    TRY(log_writer_add(edits->log, LOG_CHECKPOINT_END, now_us(edits), slice(end, sizeof end),
                       NULL));
    lore_status status = log_writer_write(edits->log);
    edits->end_written = status == LORE_OK || log_writer_failed(edits->log) != LORE_OK;
    TRY(status);
    TRY(log_writer_sync(edits->log));
    edits->number = number;
    edits->history = history;
    edits->checkpoint_end = log_writer_end(edits->log);
    catalog_edit_deinit(&edits->part);
    /* The promise is synced too, so that damage to a checkpoint is never taken for an unfinished
     * one. Where there is no space for it the file is as whole without. */
    status = log_writer_promise(edits->log, now_us(edits));
    if (status != LORE_OK && status != LORE_FULL && status != LORE_NO_MEMORY) return status;
    return log_writer_sync(edits->log);
}

/* ---- an existing file ---- */

lore_status edits_reopen(const struct edits_place *place, const struct edits_reader *reader,
                         const struct log_end *end, struct edits **edits) {
    assert(reader->whole);
    TRY(edits_new(place, edits_reader_identity(reader), reader->file_number, edits));
    struct log_writer_config config = writer_config(place);
    lore_status status = log_writer_reopen(&config, reader->path, log_reader_header(reader->log),
                                           end->end, end->last_check, &(*edits)->log);
    if (status != LORE_OK) {
        edits_close(*edits);
        *edits = NULL;
        return status;
    }
    (*edits)->number = reader->number;
    (*edits)->history = reader->history;
    (*edits)->checkpoint_end = reader->checkpoint_end;
    (*edits)->end_written = true;
    return LORE_OK;
}

lore_status edits_append(struct edits *edits, lore_slice encoded) {
    uint64_t number = edits->number + 1;
    bytes_clear(&edits->scratch);
    TRY(append_u64(&edits->scratch, number));
    TRY(bytes_append(&edits->scratch, encoded.data, encoded.size));
    TRY(log_writer_add(edits->log, LOG_EDIT, now_us(edits), bytes_slice(&edits->scratch), NULL));
    TRY(log_writer_write(edits->log));
    TRY(log_writer_sync(edits->log));
    edits->number = number;
    edits->history = edits_next_history(edits->history, number, encoded);
    /* The edit is durable: what becomes of the promise is the next edit's concern. */
    lore_status ignored = log_writer_promise(edits->log, now_us(edits));
    (void)ignored;
    return LORE_OK;
}

bool edits_want_roll(const struct edits *edits) {
    uint64_t end = log_writer_end(edits->log);
    if (RARELY(edits->place.env, 20)) return true;
    return end > ROLL_BYTES_MIN && end / 2 > edits->checkpoint_end;
}
