/*
 * log_writer.c - gathers records, takes space ahead, writes, syncs, promises.
 *
 *   0 ......... promised ......... synced ......... end ......... reserved
 *               a promise says     sync returned    written       zeros, part of the file
 */
#include "wal/log_writer.h"

#include <assert.h>
#include <inttypes.h>

#include "base/poison.h"

/* Zeros reach the file in pieces of this size. */
#define ZEROS_BYTES 4096u
/* Memory of the gathered records that is kept from group to group. */
#define GATHERED_KEPT_BYTES (256u * 1024u)

struct log_writer {
    const lore_env *env;
    const struct allocator *allocator;
    struct file *file;
    char path[PATH_BYTES_MAX];
    uint64_t salt;
    uint32_t preallocate_bytes;
    bool closed;

    struct bytes gathered;   /* whole records that are not written yet */
    uint64_t gathered_check; /* check of the last gathered record, or last_check */
    uint64_t last_check;     /* check of the last written record; the header's before the first */
    uint64_t last_content;   /* offset after the last written record that is not a promise */

    uint64_t end, reserved, synced, promised; /* file offsets, see above */
    lore_status failed;
};

static lore_status failed_before(const struct log_writer *writer) {
    return fail(writer->failed, "%s: an earlier write or sync failed; open the store again",
                writer->path);
}

static lore_status fail_for_good(struct log_writer *writer, lore_status status) {
    if (status == LORE_FULL) status = fail_within(LORE_IO, "no space left at a point of no return");
    writer->failed = status;
    return status;
}

/* ---- life ---- */

static lore_status writer_new(const struct log_writer_config *config, const char *path,
                              uint64_t salt, struct log_writer **writer) {
    void *memory;
    TRY(mem_new(config->allocator, sizeof(struct log_writer), &memory));
    struct log_writer *w = memory;
    lore_status status = path_join(w->path, "", path);
    if (status != LORE_OK) {
        mem_put(config->allocator, w, sizeof *w);
        return status;
    }
    w->env = config->env;
    w->allocator = config->allocator;
    w->salt = salt;
    w->preallocate_bytes = config->preallocate_bytes;
    w->gathered = bytes_empty(config->allocator);
    *writer = w;
    return LORE_OK;
}

static void writer_at(struct log_writer *writer, uint64_t end, uint64_t last_check) {
    writer->end = writer->reserved = writer->synced = writer->last_content = end;
    writer->last_check = writer->gathered_check = last_check;
}

static lore_status start_file(struct log_writer *writer, const struct log_header *header) {
    uint8_t encoded[LOG_HEADER_BYTES];
    log_header_encode(header, encoded);
    TRY(file_write(writer->file, 0, encoded, sizeof encoded));
    TRY(file_sync(writer->file));
    writer_at(writer, LOG_HEADER_BYTES, log_header_check(encoded));
    return fs_sync_parent(writer->env, writer->path);
}

lore_status log_writer_create(const struct log_writer_config *config, const char *path,
                              struct log_header *header, struct log_writer **writer) {
    *writer = NULL;
    TRY(sys_random(config->env, &header->salt, sizeof header->salt));
    struct log_writer *w;
    TRY(writer_new(config, path, header->salt, &w));
    lore_status status = fs_open(config->env, path, FILE_CREATE, config->group_access, &w->file);
    if (status == LORE_OK) {
        status = start_file(w, header);
        if (status != LORE_OK) {
            /* What is left if this fails too is a file without records, which is no log's tail. */
            lore_status ignored = fs_unlink(config->env, path);
            (void)ignored;
        }
    }
    if (status != LORE_OK) {
        log_writer_destroy(w);
        return status;
    }
    *writer = w;
    return LORE_OK;
}

lore_status log_writer_reopen(const struct log_writer_config *config, const char *path,
                              const struct log_header *header, uint64_t end, uint64_t last_check,
                              struct log_writer **writer) {
    *writer = NULL;
    assert(end >= LOG_HEADER_BYTES && end % 8 == 0);
    struct log_writer *w;
    TRY(writer_new(config, path, header->salt, &w));
    lore_status status = fs_open(config->env, path, FILE_WRITE, config->group_access, &w->file);
    if (status == LORE_OK) status = file_truncate(w->file, end);
    if (status == LORE_OK) status = file_sync(w->file);
    if (status == LORE_OK) status = fs_sync_parent(config->env, path);
    if (status != LORE_OK) {
        log_writer_destroy(w);
        return status;
    }
    writer_at(w, end, last_check);
    *writer = w;
    return LORE_OK;
}

void log_writer_set_preallocate(struct log_writer *writer, uint32_t preallocate_bytes) {
    writer->preallocate_bytes = preallocate_bytes;
}

void log_writer_destroy(struct log_writer *writer) {
    if (writer == NULL) return;
    file_close(writer->file);
    bytes_free(&writer->gathered);
    mem_put(writer->allocator, writer, sizeof *writer);
}

/* ---- gather ---- */

lore_status log_writer_reserve(struct log_writer *writer, size_t records, uint64_t payload_bytes) {
    uint64_t bytes = payload_bytes + (uint64_t)records * log_record_bytes(8);
    if (bytes > SIZE_MAX) return fail(LORE_TOO_BIG, "%s: records too large", writer->path);
    return bytes_reserve(&writer->gathered, (size_t)bytes);
}

lore_status log_writer_add(struct log_writer *writer, enum log_record_kind kind, int64_t time_us,
                           lore_slice payload, uint64_t *offset) {
    if (writer->failed != LORE_OK) return failed_before(writer);
    assert(!writer->closed);
    if (payload.size > UINT32_MAX) {
        return fail(LORE_TOO_BIG, "%s: a record of %zu bytes", writer->path, payload.size);
    }
    uint64_t bytes = log_record_bytes(payload.size);
    if (bytes > SIZE_MAX) return fail(LORE_TOO_BIG, "%s: a record too large", writer->path);
    uint8_t *record;
    uint64_t at = writer->end + writer->gathered.size;
    TRY(bytes_extend(&writer->gathered, (size_t)bytes, &record));
    memset(record, 0, LOG_RECORD_HEADER_BYTES);
    put_u32(record + 8, (uint32_t)payload.size);
    record[12] = (uint8_t)kind;
    put_u64(record + 16, (uint64_t)time_us);
    uint8_t *body = record + LOG_RECORD_HEADER_BYTES;
    if (payload.size > 0) memcpy(body, payload.data, payload.size);
    memset(body + payload.size, 0, (size_t)bytes - LOG_RECORD_HEADER_BYTES - payload.size);
    uint64_t check =
        log_record_check(writer->salt, at, writer->gathered_check, record, (size_t)bytes);
    put_u64(record, check);
    writer->gathered_check = check;
    if (offset != NULL) *offset = at;
    return LORE_OK;
}

void log_writer_drop(struct log_writer *writer) {
    bytes_clear(&writer->gathered);
    if (writer->gathered.capacity > GATHERED_KEPT_BYTES) bytes_free(&writer->gathered);
    writer->gathered_check = writer->last_check;
}

/* ---- space ---- */

static lore_status write_zeros(struct log_writer *writer, uint64_t until) {
    static const uint8_t zeros[ZEROS_BYTES];
    for (uint64_t at = writer->reserved; at < until;) {
        uint64_t left = until - at;
        size_t size = left < sizeof zeros ? (size_t)left : sizeof zeros;
        TRY(file_write(writer->file, at, zeros, size));
        at += size;
    }
    writer->reserved = until;
    return LORE_OK;
}

static uint64_t round_up(uint64_t value, uint64_t step) {
    return (value + step - 1) / step * step;
}

/* Make the file hold `until` bytes of taken space, whole steps if the device has them. */
static lore_status reserve(struct log_writer *writer, uint64_t until) {
    if (until <= writer->reserved || writer->preallocate_bytes == 0) return LORE_OK;
    lore_status status = write_zeros(writer, round_up(until, writer->preallocate_bytes));
    if (status != LORE_FULL) return status;
    status = write_zeros(writer, until);
    if (status != LORE_OK && status != LORE_FULL) return status;
    /* Give back what the attempts took beyond. Where even that fails, the log is still whole: zeros
     * past its end mean nothing. */
    lore_status ignored = file_truncate(writer->file, writer->reserved);
    (void)ignored;
    if (status == LORE_OK) return LORE_OK;
    return fail(LORE_FULL, "%s: no space for %" PRIu64 " bytes more of log", writer->path,
                until - writer->reserved);
}

/* ---- write, sync ---- */

static lore_status write_gathered(struct log_writer *writer) {
    const struct bytes *gathered = &writer->gathered;
    lore_status status = reserve(writer, writer->end + gathered->size);
    if (status == LORE_FULL) return status;
    if (status != LORE_OK) return fail_for_good(writer, status);
    status = file_write(writer->file, writer->end, gathered->data, gathered->size);
    if (status == LORE_OK) return LORE_OK;
    if (status != LORE_FULL) return fail_for_good(writer, status);
    if (file_truncate(writer->file, writer->end) != LORE_OK) return fail_for_good(writer, LORE_IO);
    writer->reserved = writer->end;
    return fail(LORE_FULL, "%s: no space for %zu bytes at offset %" PRIu64, writer->path,
                gathered->size, writer->end);
}

/* What was gathered is in the file or dropped. */
static lore_status flush_gathered(struct log_writer *writer) {
    lore_status status = write_gathered(writer);
    if (status == LORE_OK) {
        writer->end += writer->gathered.size;
        if (writer->reserved < writer->end) writer->reserved = writer->end;
        writer->last_check = writer->gathered_check;
    }
    log_writer_drop(writer);
    return status;
}

lore_status log_writer_write(struct log_writer *writer) {
    if (writer->failed != LORE_OK) return failed_before(writer);
    if (writer->gathered.size == 0) return LORE_OK;
    TRY(flush_gathered(writer));
    writer->last_content = writer->end;
    return LORE_OK;
}

lore_status log_writer_sync(struct log_writer *writer) {
    if (writer->failed != LORE_OK) return failed_before(writer);
    if (writer->synced == writer->end) return LORE_OK;
    lore_status status = file_sync(writer->file);
    if (status != LORE_OK) return fail_for_good(writer, status);
    writer->synced = writer->end;
    return LORE_OK;
}

/* ---- promise, close ---- */

static lore_status write_promise(struct log_writer *writer, enum log_record_kind kind,
                                 int64_t time_us) {
    assert(writer->gathered.size == 0);
    uint64_t synced = writer->synced;
    uint8_t payload[LOG_PROMISE_PAYLOAD_BYTES];
    log_promise_encode(writer->salt, writer->end, synced, payload);
    TRY(log_writer_add(writer, kind, time_us, slice(payload, sizeof payload), NULL));
    TRY(flush_gathered(writer));
    writer->promised = synced;
    return LORE_OK;
}

lore_status log_writer_promise(struct log_writer *writer, int64_t time_us) {
    if (writer->failed != LORE_OK) return failed_before(writer);
    /* A promise is not promised in its turn, or an idle log would grow for ever. */
    if (writer->promised >= writer->synced || writer->promised >= writer->last_content) {
        return LORE_OK;
    }
    return write_promise(writer, LOG_PROMISE, time_us);
}

lore_status log_writer_close(struct log_writer *writer, int64_t time_us) {
    if (writer->failed != LORE_OK) return failed_before(writer);
    assert(!writer->closed);
    TRY(log_writer_sync(writer));
    TRY(write_promise(writer, LOG_PROMISE, time_us));
    TRY(log_writer_sync(writer));
    TRY(write_promise(writer, LOG_CLOSE, time_us));
    writer->closed = true;
    lore_status status = LORE_OK;
    if (writer->reserved > writer->end) status = file_truncate(writer->file, writer->end);
    if (status != LORE_OK) return fail_for_good(writer, status);
    writer->reserved = writer->end;
    return log_writer_sync(writer);
}

uint64_t log_writer_end(const struct log_writer *writer) {
    return writer->end;
}
uint64_t log_writer_synced(const struct log_writer *writer) {
    return writer->synced;
}
uint64_t log_writer_promised(const struct log_writer *writer) {
    return writer->promised;
}
lore_status log_writer_failed(const struct log_writer *writer) {
    return writer->failed;
}
