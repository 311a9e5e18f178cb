/*
 * edits.c - which edits file counts, and reading it.
 */
#include "catalog/edits.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/digest.h"

#include "base/poison.h"

#define NAME_PREFIX      "edits-"
#define RECORD_BYTES_MAX (EDIT_BYTES_MAX + 64u)
#define END_BYTES        24u

lore_status edits_path(char out[PATH_BYTES_MAX], const char *dir, uint64_t file_number) {
    char name[40];
    (void)snprintf(name, sizeof name, NAME_PREFIX "%010" PRIu64, file_number);
    return path_join(out, dir, name);
}

uint64_t edits_first_history(const struct identity *identity) {
    return check64(identity, sizeof *identity);
}

uint64_t edits_next_history(uint64_t before, uint64_t number, lore_slice encoded) {
    uint8_t seed[16];
    put_u64(seed, before);
    put_u64(seed + 8, number);
    return check64_seeded(encoded.data, encoded.size, check64(seed, sizeof seed));
}

/* ---- which file ---- */

static bool parse_name(const char *name, uint64_t *number) {
    size_t prefix = sizeof NAME_PREFIX - 1, size = strlen(name);
    if (size < prefix + 10 || size > prefix + 19) return false;
    if (memcmp(name, NAME_PREFIX, prefix) != 0) return false;
    *number = 0;
    for (const char *digit = name + prefix; *digit != '\0'; digit++) {
        if (*digit < '0' || *digit > '9') return false;
        *number = *number * 10 + (uint64_t)(*digit - '0');
    }
    return *number > 0;
}

static lore_status note_name(void *context, const struct dir_entry *entry) {
    uint64_t number;
    if (entry->is_dir || !parse_name(entry->name, &number)) return LORE_OK;
    return bytes_append(context, &number, sizeof number);
}

static uint64_t number_at(const struct bytes *numbers, size_t index) {
    uint64_t number;
    memcpy(&number, numbers->data + index * sizeof number, sizeof number);
    return number;
}

static void sort_descending(struct bytes *numbers) {
    size_t count = numbers->size / sizeof(uint64_t);
    for (size_t i = 1; i < count; i++) {
        uint64_t number = number_at(numbers, i);
        size_t at = i;
        while (at > 0 && number_at(numbers, at - 1) < number) {
            memcpy(numbers->data + at * 8, numbers->data + (at - 1) * 8, 8);
            at--;
        }
        memcpy(numbers->data + at * 8, &number, 8);
    }
}

lore_status edits_list(const struct edits_place *place, struct bytes *numbers) {
    bytes_clear(numbers);
    TRY(place->env->fs->ops->list(place->env->fs, place->dir, note_name, numbers));
    sort_descending(numbers);
    return LORE_OK;
}

/* A file whose header is not there yet: it is synced before anything follows. */
static lore_status lacks_header(const struct edits_place *place, const char *path, bool *lacks) {
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    TRY(place->env->fs->ops->stat(place->env->fs, path, &size, &is_dir, &mode));
    *lacks = size <= LOG_HEADER_BYTES;
    return LORE_OK;
}

/* Whether the checkpoint of a file is whole; LORE_CORRUPTION if it is damaged, which is not the
 * same as unfinished. */
static lore_status find_whole(const struct edits_place *place, uint64_t file_number, bool *whole) {
    *whole = false;
    struct edits_reader *reader;
    lore_status status = edits_reader_open(place, file_number, &reader);
    if (status == LORE_CORRUPTION) {
        char path[PATH_BYTES_MAX];
        bool lacks;
        TRY(edits_path(path, place->dir, file_number));
        TRY(lacks_header(place, path, &lacks));
        return lacks ? LORE_OK : status;
    }
    TRY(status);
    bool found = true;
    while (status == LORE_OK && found && !reader->whole) {
        struct edits_item item;
        status = edits_reader_next(reader, &item, &found);
    }
    struct log_end end;
    *whole = status == LORE_OK && reader->whole;
    if (status == LORE_OK && !*whole) {
        status = log_reader_end(reader->log, &end);
        if (status == LORE_OK && end.ending == LOG_ENDS_DAMAGED) {
            status = fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": damaged below a promise",
                          reader->path, end.end);
        }
    }
    edits_reader_close(reader);
    return status;
}

lore_status edits_choose(const struct edits_place *place, uint64_t *file_number) {
    struct bytes numbers = bytes_empty(place->allocator);
    lore_status status = edits_list(place, &numbers);
    size_t count = numbers.size / sizeof(uint64_t);
    bool whole = false;
    for (size_t i = 0; i < count && status == LORE_OK && !whole; i++) {
        *file_number = number_at(&numbers, i);
        status = find_whole(place, *file_number, &whole);
    }
    bytes_free(&numbers);
    if (status != LORE_OK || whole) return status;
    if (count == 0) return LORE_NOT_FOUND;
    return fail(LORE_CORRUPTION, "%s: no edits file has a whole checkpoint", place->dir);
}

lore_status edits_remove_others(const struct edits_place *place, uint64_t file_number) {
    struct bytes numbers = bytes_empty(place->allocator);
    lore_status status = edits_list(place, &numbers);
    for (size_t i = 0; i < numbers.size / sizeof(uint64_t) && status == LORE_OK; i++) {
        uint64_t number = number_at(&numbers, i);
        if (number == file_number) continue;
        char path[PATH_BYTES_MAX];
        status = edits_path(path, place->dir, number);
        if (status == LORE_OK) status = fs_unlink(place->env, path);
        if (status == LORE_NOT_FOUND) status = LORE_OK;
    }
    bytes_free(&numbers);
    return status;
}

/* ---- reading ---- */

lore_status edits_reader_open(const struct edits_place *place, uint64_t file_number,
                              struct edits_reader **reader) {
    *reader = NULL;
    void *memory;
    TRY(mem_new(place->allocator, sizeof(struct edits_reader), &memory));
    struct edits_reader *r = memory;
    r->allocator = place->allocator;
    r->file_number = file_number;
    lore_status status = edits_path(r->path, place->dir, file_number);
    if (status == LORE_OK) {
        status = log_reader_open(place->env, place->allocator, r->path, LOG_FAMILY_EDITS,
                                 RECORD_BYTES_MAX, &r->log);
    }
    if (status == LORE_OK && log_reader_header(r->log)->number != file_number) {
        status = fail(LORE_CORRUPTION, "%s: offset 56: the file says that it is number %" PRIu64,
                      r->path, log_reader_header(r->log)->number);
    }
    if (status != LORE_OK) {
        edits_reader_close(r);
        return status;
    }
    *reader = r;
    return LORE_OK;
}

const struct identity *edits_reader_identity(const struct edits_reader *reader) {
    return &log_reader_header(reader->log)->identity;
}

void edits_reader_close(struct edits_reader *reader) {
    if (reader == NULL) return;
    log_reader_close(reader->log);
    mem_put(reader->allocator, reader, sizeof *reader);
}

static lore_status malformed(const struct edits_reader *reader, const char *what) {
    return fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": %s", reader->path, reader->offset, what);
}

static lore_status read_part(struct edits_reader *reader, struct edits_item *item) {
    struct reader at = reader_over(item->encoded);
    for (;;) {
        struct edit_change change;
        bool found;
        if (edit_next(&at, &change, &found) != LORE_OK || (found && !change.put)) {
            return malformed(reader, "a malformed part of a checkpoint");
        }
        if (!found) return LORE_OK;
        reader->records++;
    }
}

static lore_status read_whole(struct edits_reader *reader, const struct log_record *record,
                              struct edits_item *item) {
    struct reader at = reader_over(item->encoded);
    item->number = read_u64(&at);
    item->history = read_u64(&at);
    uint64_t records = read_u64(&at);
    if (at.bad || reader_left(&at) != 0 || records != reader->records || item->number == 0 ||
        item->number == UINT64_MAX ||
        item->number + 1 != log_reader_header(reader->log)->first_sequence) {
        return malformed(reader, "a malformed end of a checkpoint");
    }
    reader->whole = true;
    reader->checkpoint_number = reader->number = item->number;
    reader->history = item->history;
    reader->checkpoint_end = record->offset + log_record_bytes(END_BYTES);
    item->encoded = slice(NULL, 0);
    return LORE_OK;
}

static lore_status read_edit(struct edits_reader *reader, struct edits_item *item) {
    struct reader at = reader_over(item->encoded);
    item->number = read_u64(&at);
    item->encoded = read_bytes(&at, reader_left(&at));
    if (at.bad || item->number != reader->number + 1) {
        return malformed(reader, "an edit out of order");
    }
    if (edit_check(item->encoded) != LORE_OK) return malformed(reader, "a malformed edit");
    item->history = edits_next_history(reader->history, item->number, item->encoded);
    reader->number = item->number;
    reader->history = item->history;
    return LORE_OK;
}

lore_status edits_reader_next(struct edits_reader *reader, struct edits_item *item, bool *found) {
    for (;;) {
        struct log_record record;
        TRY(log_reader_next(reader->log, &record, found));
        if (!*found) return LORE_OK;
        reader->offset = record.offset;
        *item = (struct edits_item){.encoded = record.payload};
        switch (record.kind) {
        case LOG_PROMISE:
        case LOG_CLOSE: continue;
        case LOG_CHECKPOINT:
            item->kind = EDITS_PART;
            return reader->whole ? malformed(reader, "a part after the checkpoint's end")
                                 : read_part(reader, item);
        case LOG_CHECKPOINT_END:
            item->kind = EDITS_WHOLE;
            return reader->whole ? malformed(reader, "a second end of the checkpoint")
                                 : read_whole(reader, &record, item);
        case LOG_EDIT:
            item->kind = EDITS_EDIT;
            return reader->whole ? read_edit(reader, item)
                                 : malformed(reader, "an edit before the checkpoint's end");
        case LOG_BATCH: break;
        }
        return malformed(reader, "a record that is not of the catalog");
    }
}

lore_status edits_reader_end(struct edits_reader *reader, struct log_end *end) {
    TRY(log_reader_end(reader->log, end));
    reader->offset = end->end;
    if (end->ending == LOG_ENDS_DAMAGED) {
        return malformed(reader, "damaged below a promise that it was synced");
    }
    return reader->whole ? LORE_OK : malformed(reader, "the checkpoint is not whole");
}
