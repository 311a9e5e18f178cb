/*
 * log_writer.h - appends records to one log file.
 *
 * Life: create, then any number of [add... write, sync, promise], then close. Records are gathered in memory by
 * add and reach the file with one pwrite by write; what was written is durable after sync. Before write the log
 * takes its space (zeros ahead in steps of preallocate_bytes, in smaller ones when the device is nearly full), so
 * that a full disk is seen while nothing has been written: write then returns LORE_FULL, the gathered records are
 * dropped, and the writer goes on. Where a file system runs out of space only at the records' own write, what was
 * written of them is cut off again; if that cannot be done the failure is final. Any other failure of write or sync
 * is final: `failed` keeps the status and every later call returns it. No space at a sync is LORE_IO, for it is
 * final too. LORE_NO_MEMORY from add changes nothing and is not final; the records gathered before stay gathered
 * until write or log_writer_drop.
 *
 * Threads: one at a time (the group's leader); `written` and `synced` are read by nobody else.
 */
#ifndef LORE_WAL_LOG_WRITER_H
#define LORE_WAL_LOG_WRITER_H

#include "base/budget.h"
#include "vfs/env.h"
#include "wal/log_format.h"

struct log_writer;

struct log_writer_config {
    const lore_env *env;
    const struct allocator *allocator;
    bool group_access;
    uint32_t preallocate_bytes; /* 0: none */
};

/* Create the file, write and sync its header, sync the directory. The salt is drawn here (header->salt is set). */
MUST_USE lore_status log_writer_create(const struct log_writer_config *config, const char *path,
                                       struct log_header *header, struct log_writer **writer);
/* Go on after the last valid record of an existing file, as log_reader found it: `end` is the offset after it,
 * `last_check` its check. Bytes beyond `end` are cut off first (the caller has put them aside), and all of the file
 * is synced, since a crash of the process alone may have left it in the page cache. A closed file is not reopened. */
MUST_USE lore_status log_writer_reopen(const struct log_writer_config *config, const char *path,
                                       const struct log_header *header, uint64_t end,
                                       uint64_t last_check, struct log_writer **writer);

/* Memory for records of `payload_bytes` in sum, so that gathering them copies nothing twice. */
MUST_USE lore_status log_writer_reserve(struct log_writer *writer, size_t records, uint64_t payload_bytes);
/* Gather one record; *offset (may be NULL) is where it will lie. */
MUST_USE lore_status log_writer_add(struct log_writer *writer, enum log_record_kind kind,
                                    int64_t time_us, lore_slice payload, uint64_t *offset);
MUST_USE lore_status log_writer_write(struct log_writer *writer);
/* Forget what is gathered. */
void log_writer_drop(struct log_writer *writer);
MUST_USE lore_status log_writer_sync(struct log_writer *writer);
/* Append a promise for what is synced, if it is not promised yet. Written, not synced. Nothing is gathered. LORE_FULL
 * may be ignored: the log is whole without it. */
MUST_USE lore_status log_writer_promise(struct log_writer *writer, int64_t time_us);
/* Write and sync a promise, then a close record, and cut the zeros off. Nothing is gathered. LORE_FULL may be tried
 * again. After LORE_OK nothing more can be added, and the writer must still be destroyed. */
MUST_USE lore_status log_writer_close(struct log_writer *writer, int64_t time_us);
/* Take space ahead in steps of so many bytes from now on: few where space is short. */
void log_writer_set_preallocate(struct log_writer *writer, uint32_t preallocate_bytes);
void log_writer_destroy(struct log_writer *writer); /* closes the file, writes nothing; NULL is fine */

uint64_t log_writer_end(const struct log_writer *writer);    /* offset after the last written record */
uint64_t log_writer_synced(const struct log_writer *writer); /* offset below which all is durable */
uint64_t log_writer_promised(const struct log_writer *writer);
lore_status log_writer_failed(const struct log_writer *writer); /* LORE_OK, or the final failure */

#endif
