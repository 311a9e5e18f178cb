/*
 * log_reader.c - walks records, and after the last one looks for promises beyond.
 */
#include "wal/log_reader.h"

#include <assert.h>
#include <inttypes.h>

#include "base/digest.h"

#include "base/poison.h"

#define STEP_BYTES ((size_t)64 * 1024)
/* Of records, beside eight times the file, that a search beyond damage looks at. */
#define RESYNC_WORK_BYTES (UINT64_C(64) << 20)
/* A record of which one byte was changed is put right up to this size, and this much of hashing. */
#define MEND_BYTES_MAX  16384u
#define MEND_WORK_BYTES (UINT64_C(256) << 20)

struct log_reader {
    const lore_env *env;
    const struct allocator *allocator;
    struct file *file;
    char path[PATH_BYTES_MAX];
    struct log_header header;
    size_t record_bytes_max; /* of a payload */

    struct bytes window; /* bytes of the file */
    uint64_t window_at;  /* where they begin in it */
    uint64_t file_bytes; /* when the window was filled */

    uint64_t header_check;
    uint64_t at;       /* offset after the last valid record */
    uint64_t check;    /* of that record */
    uint64_t promised; /* highest of the valid promises so far */
    bool closed;
    uint64_t vouched_at; /* the record here is sound but for its own check; 0: none */
};

/* ---- open, close ---- */

void log_reader_rewind(struct log_reader *reader) {
    reader->at = LOG_HEADER_BYTES;
    reader->check = reader->header_check;
    reader->promised = 0;
    reader->closed = false;
}

static lore_status read_header(struct log_reader *reader, enum log_family family) {
    uint8_t header[LOG_HEADER_BYTES];
    TRY(file_read_exact(reader->file, reader->path, 0, header, sizeof header));
    TRY(log_header_decode(header, reader->path, family, &reader->header));
    reader->header_check = log_header_check(header);
    log_reader_rewind(reader);
    return LORE_OK;
}

lore_status log_reader_open(const lore_env *env, const struct allocator *allocator,
                            const char *path, enum log_family family, size_t record_bytes_max,
                            struct log_reader **reader) {
    *reader = NULL;
    void *memory;
    TRY(mem_new(allocator, sizeof(struct log_reader), &memory));
    struct log_reader *r = memory;
    r->env = env;
    r->allocator = allocator;
    r->record_bytes_max = record_bytes_max;
    r->window = bytes_empty(allocator);
    lore_status status = path_join(r->path, "", path);
    if (status == LORE_OK) status = fs_open(env, path, FILE_READ, false, &r->file);
    if (status == LORE_OK) status = read_header(r, family);
    if (status != LORE_OK) {
        log_reader_close(r);
        return status;
    }
    *reader = r;
    return LORE_OK;
}

const struct log_header *log_reader_header(const struct log_reader *reader) {
    return &reader->header;
}

void log_reader_close(struct log_reader *reader) {
    if (reader == NULL) return;
    file_close(reader->file);
    bytes_free(&reader->window);
    mem_put(reader->allocator, reader, sizeof *reader);
}

/* ---- the window ---- */

/* Fill the window from `offset` on, with `size` bytes or a step if that is more; less at the end of
 * the file. */
static lore_status fill(struct log_reader *reader, uint64_t offset, size_t size) {
    TRY(file_size(reader->file, &reader->file_bytes));
    if (size < STEP_BYTES) size = STEP_BYTES;
    uint64_t left = offset < reader->file_bytes ? reader->file_bytes - offset : 0;
    if (size > left) size = (size_t)left;
    bytes_clear(&reader->window);
    reader->window_at = offset;
    uint8_t *data;
    TRY(bytes_extend(&reader->window, size, &data));
    size_t got = 0;
    lore_status status = size == 0 ? LORE_OK : file_read(reader->file, offset, data, size, &got);
    reader->window.size = status == LORE_OK ? got : 0;
    return status;
}

/* How many bytes the window holds from `offset` on. */
static size_t held(const struct log_reader *reader, uint64_t offset) {
    if (offset < reader->window_at) return 0;
    uint64_t skip = offset - reader->window_at;
    return skip < reader->window.size ? reader->window.size - (size_t)skip : 0;
}

/* *data: `size` bytes at `offset`, or NULL if the file ends before. */
static lore_status view(struct log_reader *reader, uint64_t offset, size_t size,
                        const uint8_t **data) {
    *data = NULL;
    if (held(reader, offset) < size) TRY(fill(reader, offset, size));
    if (held(reader, offset) >= size) {
        *data = reader->window.data + (size_t)(offset - reader->window_at);
    }
    return LORE_OK;
}

/* ---- records ---- */

static bool kind_is_known(enum log_family family, uint8_t kind) {
    switch (kind) {
    case LOG_PROMISE:
    case LOG_CLOSE: return true;
    case LOG_BATCH: return family == LOG_FAMILY_WAL;
    case LOG_EDIT:
    case LOG_CHECKPOINT:
    case LOG_CHECKPOINT_END: return family == LOG_FAMILY_EDITS;
    default: return false;
    }
}

/* A record whose check holds: fill in *record, or say what is not understood about it. */
static lore_status parse(struct log_reader *reader, const uint8_t *data, struct log_record *record,
                         bool *valid) {
    uint8_t kind = data[12];
    if (!kind_is_known(reader->header.family, kind) || data[13] != 0 || get_u16(data + 14) != 0) {
        return fail(LORE_UNSUPPORTED, "%s: offset %" PRIu64 ": a record of kind %u, flags %#x",
                    reader->path, reader->at, kind, data[13]);
    }
    *record = (struct log_record){
        .kind = (enum log_record_kind)kind,
        .offset = reader->at,
        .time_us = (int64_t)get_u64(data + 16),
        .payload = slice(data + LOG_RECORD_HEADER_BYTES, get_u32(data + 8)),
    };
    *valid = true;
    if (kind == LOG_PROMISE || kind == LOG_CLOSE) {
        *valid = record->payload.size == LOG_PROMISE_PAYLOAD_BYTES &&
                 log_promise_decode(reader->header.salt, record->offset, record->payload.data,
                                    &record->promised);
    }
    return LORE_OK;
}

/* The record at reader->at, from the window or, where that is short, from the file. */
static lore_status try_record(struct log_reader *reader, struct log_record *record, bool *valid,
                              size_t *record_bytes, uint64_t *check) {
    *valid = false;
    const uint8_t *data;
    TRY(view(reader, reader->at, LOG_RECORD_HEADER_BYTES, &data));
    if (data == NULL || data[12] == 0) return LORE_OK;
    uint32_t payload_bytes = get_u32(data + 8);
    uint64_t bytes = log_record_bytes(payload_bytes);
    if (bytes > reader->file_bytes || reader->at > reader->file_bytes - bytes) {
        /* The file may have grown since the window was filled. */
        TRY(file_size(reader->file, &reader->file_bytes));
        if (bytes > reader->file_bytes || reader->at > reader->file_bytes - bytes) return LORE_OK;
    }
    if (payload_bytes > reader->record_bytes_max || bytes > SIZE_MAX) {
        return fail(LORE_CORRUPTION,
                    "%s: offset %" PRIu64 ": a record of %" PRIu32
                    " bytes, %zu at most can be read",
                    reader->path, reader->at, payload_bytes, reader->record_bytes_max);
    }
    TRY(view(reader, reader->at, (size_t)bytes, &data));
    if (data == NULL) return LORE_OK;
    *record_bytes = (size_t)bytes;
    *check = log_record_check(reader->header.salt, reader->at, reader->check, data, (size_t)bytes);
    if (!check_matches(get_u64(data), *check) && reader->at != reader->vouched_at) return LORE_OK;
    return parse(reader, data, record, valid);
}

/* Try once with what is in memory, and once more with what is in the file now: a live writer may
 * have written since. */
static lore_status find_record(struct log_reader *reader, struct log_record *record, bool *valid,
                               size_t *record_bytes, uint64_t *check) {
    TRY(try_record(reader, record, valid, record_bytes, check));
    if (*valid) return LORE_OK;
    TRY(fill(reader, reader->at, STEP_BYTES));
    return try_record(reader, record, valid, record_bytes, check);
}

lore_status log_reader_next(struct log_reader *reader, struct log_record *record, bool *found) {
    *found = false;
    if (reader->closed) return LORE_OK;
    size_t record_bytes = 0;
    uint64_t check = 0;
    TRY(find_record(reader, record, found, &record_bytes, &check));
    if (!*found) return LORE_OK;
    reader->at += record_bytes;
    reader->check = check;
    reader->closed = record->kind == LOG_CLOSE;
    if (record->promised > reader->promised) reader->promised = record->promised;
    return LORE_OK;
}

/* ---- beyond damage ---- */

/* Whether what stands at `offset` may be a record: then *data has all of it, *bytes long. */
static lore_status view_record(struct log_reader *reader, uint64_t offset, const uint8_t **data,
                               size_t *bytes) {
    TRY(view(reader, offset, LOG_RECORD_HEADER_BYTES, data));
    const uint8_t *header = *data;
    *data = NULL;
    if (header == NULL || !kind_is_known(reader->header.family, header[12]) || header[13] != 0 ||
        get_u16(header + 14) != 0 || get_u32(header + 8) > reader->record_bytes_max)
        return LORE_OK;
    uint64_t size = log_record_bytes(get_u32(header + 8));
    if (size > reader->file_bytes || offset > reader->file_bytes - size) return LORE_OK;
    *bytes = (size_t)size;
    return view(reader, offset, *bytes, data);
}

static lore_status follows(struct log_reader *reader, uint64_t offset, uint64_t before,
                           size_t *bytes, bool *does) {
    const uint8_t *data;
    TRY(view_record(reader, offset, &data, bytes));
    *does = data != NULL &&
            get_u64(data) == log_record_check(reader->header.salt, offset, before, data, *bytes);
    return LORE_OK;
}

static void go_on_at(struct log_reader *reader, uint64_t offset, uint64_t before, bool *found) {
    reader->at = offset;
    reader->check = before;
    *found = true;
}

/* A record of which one byte was changed is put right in the window, from where it is read next. */
static lore_status mend_record(struct log_reader *reader, uint64_t start, bool *found) {
    uint8_t *record;
    const uint8_t *data;
    size_t bytes = 0;
    uint64_t work = MEND_WORK_BYTES,
             seed = log_record_seed(reader->header.salt, start, reader->check);
    /* In its lengths and kind: what it ends with must be in the window, too. */
    TRY(fill(reader, start, MEND_BYTES_MAX));
    if (reader->window.size < LOG_RECORD_HEADER_BYTES) return LORE_OK;
    for (size_t at = 8; at < 16; at++)
        for (unsigned change = 1; change < 256; change++) {
            record = reader->window.data;
            record[at] ^= (uint8_t)change;
            uint64_t size = log_record_bytes(get_u32(record + 8));
            if (size <= reader->window.size && size <= MEND_BYTES_MAX) {
                TRY(follows(reader, start, reader->check, &bytes, found));
                if (*found) return LORE_OK;
            }
            record[at] ^= (uint8_t)change;
        }
    TRY(view_record(reader, start, &data, &bytes));
    if (data == NULL || bytes > MEND_BYTES_MAX) return LORE_OK;
    record = reader->window.data;
    *found = check64_mend(record + 8, 8, bytes - 8, seed, get_u64(record), &work);
    return LORE_OK;
}

lore_status log_reader_resync(struct log_reader *reader, bool *found) {
    *found = false;
    if (reader->closed) return LORE_OK;
    const uint64_t start = reader->at;
    const uint8_t *data;
    size_t bytes = 0;
    bool does;
    uint64_t stored = 0, should_be = 0, next = 0;
    TRY(view(reader, start, LOG_RECORD_HEADER_BYTES, &data));
    if (data != NULL) stored = get_u64(data);
    TRY(mend_record(reader, start, found));
    if (*found) return LORE_OK;
    TRY(view_record(reader, start, &data, &bytes));
    if (data != NULL) {
        should_be = log_record_check(reader->header.salt, start, reader->check, data, bytes);
        next = start + bytes;
        TRY(follows(reader, next, should_be, &bytes, &does));
        if (does) {
            reader->vouched_at = start;
            go_on_at(reader, start, reader->check, found);
            return LORE_OK;
        }
    }
    uint64_t work = 0, work_max = RESYNC_WORK_BYTES + 8 * reader->file_bytes;
    for (uint64_t at = start + 8; at < reader->file_bytes && work < work_max; at += 8) {
        TRY(view_record(reader, at, &data, &bytes));
        if (data == NULL) continue;
        work += bytes + STEP_BYTES;
        uint64_t own = get_u64(data);
        TRY(follows(reader, at, stored, &bytes, &does));
        if (does) {
            go_on_at(reader, at, stored, found);
            return LORE_OK;
        }
        TRY(follows(reader, at + bytes, own, &bytes, &does));
        if (!does) continue;
        TRY(view_record(reader, at, &data, &bytes));
        go_on_at(reader, at + bytes, own, found);
        return LORE_OK;
    }
    return LORE_OK;
}

/* ---- the end ---- */

struct tail {
    uint64_t last_byte; /* offset after the last byte that is not zero; 0: all are */
    uint64_t promised;  /* highest promise found */
};

/* Look at `size` bytes at `offset`: the last that is not zero, and promises that lie there whole.
 * Records begin at multiples of 8, so a promise's payload does too. */
static void look_at(const struct log_reader *reader, uint64_t offset, const uint8_t *data,
                    size_t size, struct tail *tail) {
    for (size_t i = size; i > 0; i--) {
        if (data[i - 1] == 0) continue;
        tail->last_byte = offset + i;
        break;
    }
    if (tail->last_byte <= offset) return;
    for (size_t i = 0; i + LOG_PROMISE_PAYLOAD_BYTES <= size; i += 8) {
        uint64_t synced, at = offset + i;
        if (at < LOG_RECORD_HEADER_BYTES) continue;
        if (!log_promise_decode(reader->header.salt, at - LOG_RECORD_HEADER_BYTES, data + i,
                                &synced)) {
            continue;
        }
        if (synced > tail->promised) tail->promised = synced;
    }
}

static lore_status search_tail(struct log_reader *reader, struct tail *tail) {
    uint64_t offset = reader->at;
    for (;;) {
        TRY(fill(reader, offset, STEP_BYTES));
        size_t size = reader->window.size;
        look_at(reader, offset, reader->window.data, size, tail);
        if (size < STEP_BYTES) return LORE_OK;
        /* The next window begins where a promise that is cut by this one's end would. */
        offset += STEP_BYTES - (LOG_PROMISE_PAYLOAD_BYTES - 8);
    }
}

lore_status log_reader_end(struct log_reader *reader, struct log_end *end) {
    struct tail tail = {0, 0};
    TRY(search_tail(reader, &tail));
    uint64_t promised = tail.promised > reader->promised ? tail.promised : reader->promised;
    *end = (struct log_end){
        .ending = LOG_ENDS_CLEAN,
        .closed = reader->closed,
        .end = reader->at,
        .last_check = reader->check,
        .promised = reader->promised,
        .file_bytes = reader->file_bytes,
    };
    if (tail.last_byte > reader->at) {
        end->ending = LOG_ENDS_TORN;
        end->tail_bytes = tail.last_byte - reader->at;
    }
    if (promised > reader->at) end->ending = LOG_ENDS_DAMAGED;
    if (end->ending == LOG_ENDS_CLEAN || reader->closed) return LORE_OK;
    /* A live writer may have completed the record, and promised it, between the two looks. */
    struct log_record record;
    bool valid;
    size_t record_bytes;
    uint64_t check;
    TRY(find_record(reader, &record, &valid, &record_bytes, &check));
    if (valid) {
        end->ending = LOG_ENDS_CLEAN;
        end->tail_bytes = 0;
    }
    return LORE_OK;
}

/* ---- tails ---- */

static lore_status copy_range(struct file *from, const char *path, struct file *to, uint64_t offset,
                              uint64_t bytes, uint8_t *chunk) {
    for (uint64_t done = 0; done < bytes;) {
        size_t size = bytes - done < STEP_BYTES ? (size_t)(bytes - done) : STEP_BYTES;
        TRY(file_read_exact(from, path, offset + done, chunk, size));
        TRY(file_write(to, done, chunk, size));
        done += size;
    }
    return file_sync(to);
}

lore_status log_tail_set_aside(const lore_env *env, const struct allocator *allocator,
                               const char *path, uint64_t offset, uint64_t bytes, const char *to,
                               bool group_access) {
    struct file *source = NULL, *target = NULL;
    void *chunk;
    TRY(mem_get(allocator, STEP_BYTES, &chunk));
    lore_status status = fs_unlink(env, to);
    if (status == LORE_NOT_FOUND) status = LORE_OK;
    if (status == LORE_OK) status = fs_open(env, path, FILE_READ, false, &source);
    if (status == LORE_OK) status = fs_open(env, to, FILE_CREATE, group_access, &target);
    if (status == LORE_OK) status = copy_range(source, path, target, offset, bytes, chunk);
    if (status == LORE_OK) status = fs_sync_parent(env, to);
    file_close(source);
    file_close(target);
    mem_put(allocator, chunk, STEP_BYTES);
    return status;
}
