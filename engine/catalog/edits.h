/*
 * edits.h - the files edits-N: the catalog's truth, in the chained log's format (wal/log_format.h).
 *
 *   file     LOG_CHECKPOINT...   parts: encoded edits of puts alone, keys ascending over all
 *            LOG_CHECKPOINT_END  0 u64 number of the last edit that is in it
 *                                8 u64 its history   16 u64 records
 *            LOG_EDIT...         0 u64 number, one more than the one before   8 encoded edit
 *            and promises among them
 *   history  a check over all edits up to one, each seeding the next: it tells two pasts of one
 *            lineage apart
 *   header   sequence numbers of the log's header are edit numbers
 *
 * A file counts once its checkpoint is whole, synced and promised; only then is its predecessor
 * unlinked. So the file with the highest number and a whole checkpoint is the one; one above it is
 * unfinished, those below are leftovers. An unfinished file is never gone on with, nor is anything
 * written to the file before once a newer one may be whole.
 *
 * Threads: one at a time.
 */
#ifndef LORE_CATALOG_EDITS_H
#define LORE_CATALOG_EDITS_H

#include "catalog/edit.h"
#include "wal/log_reader.h"
#include "wal/log_writer.h"

/* What places edits: where, whose. */
struct edits_place {
    const lore_env *env;
    const struct allocator *allocator;
    const char *dir;
    bool group_access;
};

MUST_USE lore_status edits_path(char out[PATH_BYTES_MAX], const char *dir, uint64_t file_number);
/* History of the first checkpoint of an identity, and of edit `number` after `before`. */
uint64_t edits_first_history(const struct identity *identity);
uint64_t edits_next_history(uint64_t before, uint64_t number, lore_slice encoded);

/* ---- which file ---- */

/* Numbers of the edits files in the folder, descending, as u64 in native order. */
MUST_USE lore_status edits_list(const struct edits_place *place, struct bytes *numbers);
/* The file that counts. LORE_NOT_FOUND if there is none at all; LORE_CORRUPTION if none is whole,
 * or one that is not is damaged rather than unfinished. */
MUST_USE lore_status edits_choose(const struct edits_place *place, uint64_t *file_number);
/* Unlink all but that one. */
MUST_USE lore_status edits_remove_others(const struct edits_place *place, uint64_t file_number);

/* ---- reading ---- */

enum edits_item_kind {
    EDITS_PART,  /* of the checkpoint: `encoded` */
    EDITS_WHOLE, /* the checkpoint is whole: `number`, `history` */
    EDITS_EDIT   /* `number`, `history` after it, `encoded` */
};
struct edits_item {
    enum edits_item_kind kind;
    uint64_t number, history;
    lore_slice encoded; /* checked; valid until the next call */
};

struct edits_reader {
    const struct allocator *allocator;
    struct log_reader *log;
    char path[PATH_BYTES_MAX];
    uint64_t file_number;
    uint64_t offset;            /* of the last item */
    bool whole;                 /* the checkpoint has been read */
    uint64_t records;           /* of the checkpoint so far */
    uint64_t checkpoint_number; /* the rest: once whole */
    uint64_t checkpoint_end;    /* offset */
    uint64_t number, history;
};
MUST_USE lore_status edits_reader_open(const struct edits_place *place, uint64_t file_number,
                                       struct edits_reader **reader);
const struct identity *edits_reader_identity(const struct edits_reader *reader);
/* *found false at the end of what can be read; may be called again later, as log_reader_next. */
MUST_USE lore_status edits_reader_next(struct edits_reader *reader, struct edits_item *item,
                                       bool *found);
/* After *found was false. LORE_CORRUPTION if the file is damaged, or its checkpoint is not whole.
 */
MUST_USE lore_status edits_reader_end(struct edits_reader *reader, struct log_end *end);
void edits_reader_close(struct edits_reader *reader); /* NULL is fine */

/* ---- writing ---- */

struct edits {
    struct edits_place place;
    struct log_writer *log;
    uint64_t file_number;
    struct identity identity;
    uint64_t number, history; /* of the last edit, or of the checkpoint */
    uint64_t checkpoint_end;  /* offset */
    bool end_written;         /* the checkpoint may be whole on the disk */
    uint64_t records;         /* of the checkpoint, while it is written */
    struct catalog_edit part; /* likewise: the part being gathered */
    struct bytes scratch;
};
/* A new file, replacing a leftover of that number; `before` (may be NULL) is the file that it
 * follows. */
MUST_USE lore_status edits_begin(const struct edits_place *place, const struct identity *identity,
                                 uint64_t file_number, const struct edits *before,
                                 struct edits **edits);
MUST_USE lore_status edits_checkpoint_put(struct edits *edits, lore_slice key, lore_slice value);
/* After it the file counts. When it fails with end_written false, the file never will. */
MUST_USE lore_status edits_checkpoint_end(struct edits *edits, uint64_t number, uint64_t history);
/* Go on in a file that was read to its end: the tail is cut. */
MUST_USE lore_status edits_reopen(const struct edits_place *place,
                                  const struct edits_reader *reader, const struct log_end *end,
                                  struct edits **edits);
/* Append, sync, promise. LORE_FULL and LORE_NO_MEMORY: nothing changed. Any other failure is final.
 * After LORE_OK log_writer_failed may yet say that the promise failed: the edit is safe, and there
 * will be no other. */
MUST_USE lore_status edits_append(struct edits *edits, lore_slice encoded);
bool edits_want_roll(const struct edits *edits);
void edits_close(struct edits *edits); /* writes nothing; NULL is fine */

#endif
