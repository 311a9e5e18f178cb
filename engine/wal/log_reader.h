/*
 * log_reader.h - walks the records of one log file, trusting nothing, and says how it ends.
 *
 * Memory: one buffer that grows to the largest record, at most `record_bytes_max`. A record whose length fits the
 * file and not this limit is LORE_CORRUPTION, never taken for a torn tail: it may be one that was written under
 * another limit.
 * Reads in steps of 64 KiB. Works on a file that a live writer is appending to: after *found was false,
 * log_reader_next may be called again and goes on if there is more by then.
 */
#ifndef LORE_WAL_LOG_READER_H
#define LORE_WAL_LOG_READER_H

#include "vfs/env.h"
#include "wal/log_format.h"

enum log_ending {
    LOG_ENDS_CLEAN,   /* a close record, or only zeros after the last record (or a live writer has just gone on) */
    LOG_ENDS_TORN,    /* bytes that are no record, above the last promise: to be cut */
    LOG_ENDS_DAMAGED  /* bytes that are no record below a promise: corruption */
};

struct log_record {
    enum log_record_kind kind;
    uint64_t offset;
    int64_t time_us;
    lore_slice payload;  /* valid until the next call */
    uint64_t promised;   /* of a promise or close: synced below this offset */
};

struct log_end {
    enum log_ending ending;
    bool closed;           /* the last record was a close */
    uint64_t end;          /* offset after the last valid record */
    uint64_t last_check;   /* its check; of the header if there is none */
    uint64_t promised;     /* highest offset promised by a valid promise */
    uint64_t tail_bytes;   /* torn or damaged: bytes from `end` to the last byte that is not zero */
    uint64_t file_bytes;
};

struct log_reader;
/* Open and check the header. LORE_CORRUPTION when the file is too short to hold one. */
MUST_USE lore_status log_reader_open(const lore_env *env, const struct allocator *allocator,
                                     const char *path, enum log_family family,
                                     size_t record_bytes_max, struct log_reader **reader);
const struct log_header *log_reader_header(const struct log_reader *reader);
/* *found false: no more valid records; log_reader_end says why. LORE_UNSUPPORTED: a record of a kind, or with a
 * flag, that this version does not know. */
MUST_USE lore_status log_reader_next(struct log_reader *reader, struct log_record *record,
                                     bool *found);
/* After *found was false: look beyond for promises and classify. */
MUST_USE lore_status log_reader_end(struct log_reader *reader, struct log_end *end);
/* For salvage, after *found was false and the file does not end there: find the next record that can be told to be one.
 * Either the record at the end of the walk is sound but for its own check, since the next follows from what that check should
 * be; or one further on follows from the check that it has; or of two further on the second follows from the first (then the
 * first is lost too: nothing says what it follows from). log_reader_next goes on there. The work is bounded. */
MUST_USE lore_status log_reader_resync(struct log_reader *reader, bool *found);
/* Back to the first record. */
void log_reader_rewind(struct log_reader *reader);
void log_reader_close(struct log_reader *reader); /* NULL is fine */

/* Copy `bytes` bytes from `offset` of the file at `path` to a new file `to`, and sync it and its directory: for a
 * tail that is about to be cut. A file of that name is replaced. */
MUST_USE lore_status log_tail_set_aside(const lore_env *env, const struct allocator *allocator,
                                        const char *path, uint64_t offset, uint64_t bytes,
                                        const char *to, bool group_access);

#endif
