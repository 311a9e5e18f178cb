/*
 * schema.c - the catalog's records as bytes. Every record is a version byte (1) and its fields in
 * the order in which schema.h names them: numbers little-endian at their full width, byte strings
 * with a varint length before them, lists with a u32 count before them, booleans as one byte 0
 * or 1.
 *
 * Decoders take hostile bytes: a record is sound only if every field is in its range and nothing is
 * left over. Memory is taken only for bytes that are there.
 */
#include "catalog/schema.h"

#include <assert.h>

#include "base/poison.h"

#define RECORD_VERSION 1u

/* ---- shared ---- */

static lore_status begin(struct bytes *out) {
    bytes_clear(out);
    return append_u8(out, RECORD_VERSION);
}

static lore_status append_fixed(struct bytes *out, const uint8_t *bytes, size_t size) {
    return bytes_append(out, bytes, size);
}

static lore_status append_i64(struct bytes *out, int64_t value) {
    return append_u64(out, (uint64_t)value);
}

/* A reader over the record behind its version byte. */
static lore_status open_record(lore_slice in, const char *what, struct reader *r) {
    *r = reader_over(in);
    uint8_t version = read_u8(r);
    if (r->bad) return fail(LORE_CORRUPTION, "catalog: %s record is empty", what);
    if (version != RECORD_VERSION)
        return fail(LORE_UNSUPPORTED, "catalog: %s record has version %u", what, version);
    return LORE_OK;
}

static lore_status malformed(const char *what) {
    return fail(LORE_CORRUPTION, "catalog: %s record is malformed", what);
}

/* Whether all bytes were read, and no more. */
static bool finished(const struct reader *r) {
    return !r->bad && r->at == r->end;
}

static void read_fixed(struct reader *r, uint8_t *out, size_t size) {
    lore_slice bytes = read_bytes(r, size);
    if (r->bad)
        memset(out, 0, size);
    else
        memcpy(out, bytes.data, size);
}

static bool read_bool(struct reader *r) {
    uint8_t value = read_u8(r);
    if (value > 1) r->bad = true;
    return value == 1;
}

/* ---- facts, counters, log: no memory of their own ---- */

lore_status facts_record_encode(const struct facts_record *record, struct bytes *out) {
    TRY(begin(out));
    TRY(append_u32(out, record->format_version));
    TRY(append_u64(out, record->generation));
    TRY(append_i64(out, record->created_at_us));
    TRY(append_fixed(out, record->parent_lineage, sizeof record->parent_lineage));
    TRY(append_u64(out, record->parent_sequence));
    TRY(append_u8(out, record->sealed));
    TRY(append_u64(out, record->row_watermark));
    TRY(append_u64(out, record->last_sequence));
    return append_i64(out, record->last_commit_us);
}

lore_status facts_record_decode(lore_slice in, const struct allocator *allocator,
                                struct facts_record *record) {
    (void)allocator;
    struct reader r;
    TRY(open_record(in, "facts", &r));
    record->format_version = read_u32(&r);
    record->generation = read_u64(&r);
    record->created_at_us = (int64_t)read_u64(&r);
    read_fixed(&r, record->parent_lineage, sizeof record->parent_lineage);
    record->parent_sequence = read_u64(&r);
    record->sealed = read_bool(&r);
    record->row_watermark = read_u64(&r);
    record->last_sequence = read_u64(&r);
    record->last_commit_us = (int64_t)read_u64(&r);
    return finished(&r) ? LORE_OK : malformed("facts");
}

void facts_record_deinit(struct facts_record *record) {
    (void)record;
}

lore_status counters_record_encode(const struct counters_record *record, struct bytes *out) {
    TRY(begin(out));
    TRY(append_u64(out, record->segment_end));
    TRY(append_u64(out, record->run_end));
    TRY(append_u32(out, record->space_end));
    return append_u64(out, record->quarantine_end);
}

lore_status counters_record_decode(lore_slice in, const struct allocator *allocator,
                                   struct counters_record *record) {
    (void)allocator;
    struct reader r;
    TRY(open_record(in, "counters", &r));
    record->segment_end = read_u64(&r);
    record->run_end = read_u64(&r);
    record->space_end = read_u32(&r);
    record->quarantine_end = read_u64(&r);
    return finished(&r) ? LORE_OK : malformed("counters");
}

void counters_record_deinit(struct counters_record *record) {
    (void)record;
}

lore_status log_record_state_encode(const struct log_record_state *record, struct bytes *out) {
    TRY(begin(out));
    TRY(append_u64(out, record->first_log));
    TRY(append_u64(out, record->flushed_sequence));
    TRY(append_u64(out, record->row_watermark));
    return append_i64(out, record->flushed_time_us);
}

lore_status log_record_state_decode(lore_slice in, const struct allocator *allocator,
                                    struct log_record_state *record) {
    (void)allocator;
    struct reader r;
    TRY(open_record(in, "log", &r));
    record->first_log = read_u64(&r);
    record->flushed_sequence = read_u64(&r);
    record->row_watermark = read_u64(&r);
    record->flushed_time_us = (int64_t)read_u64(&r);
    return finished(&r) ? LORE_OK : malformed("log");
}

void log_record_state_deinit(struct log_record_state *record) {
    (void)record;
}

lore_status log_head_record_encode(const struct log_head_record *record, struct bytes *out) {
    TRY(begin(out));
    TRY(append_u64(out, record->number));
    TRY(append_u8(out, record->closed));
    TRY(append_u64(out, record->length));
    return append_u64(out, record->last_sequence);
}

lore_status log_head_record_decode(lore_slice in, const struct allocator *allocator,
                                   struct log_head_record *record) {
    (void)allocator;
    struct reader r;
    TRY(open_record(in, "head", &r));
    record->number = read_u64(&r);
    record->closed = read_bool(&r);
    record->length = read_u64(&r);
    record->last_sequence = read_u64(&r);
    return finished(&r) ? LORE_OK : malformed("head");
}

void log_head_record_deinit(struct log_head_record *record) {
    (void)record;
}

lore_status named_snapshot_record_encode(const struct named_snapshot_record *record,
                                         struct bytes *out) {
    TRY(begin(out));
    TRY(append_u64(out, record->sequence));
    TRY(append_u64(out, record->row_watermark));
    TRY(append_i64(out, record->time_us));
    return append_i64(out, record->created_at_us);
}

lore_status named_snapshot_record_decode(lore_slice in, const struct allocator *allocator,
                                         struct named_snapshot_record *record) {
    (void)allocator;
    struct reader r;
    TRY(open_record(in, "snapshot", &r));
    record->sequence = read_u64(&r);
    record->row_watermark = read_u64(&r);
    record->time_us = (int64_t)read_u64(&r);
    record->created_at_us = (int64_t)read_u64(&r);
    return finished(&r) ? LORE_OK : malformed("snapshot");
}

void named_snapshot_record_deinit(struct named_snapshot_record *record) {
    (void)record;
}

/* ---- segments ---- */

lore_status segment_record_encode(const struct segment_record *record, struct bytes *out) {
    TRY(begin(out));
    TRY(append_u8(out, (uint8_t)record->state));
    TRY(append_u8(out, record->level));
    TRY(append_u64(out, record->run));
    TRY(append_u64(out, record->run_order));
    TRY(append_prefixed(out, bytes_slice(&record->cut)));
    TRY(append_u64(out, record->garbage_values));
    TRY(append_u64(out, record->garbage_bytes));
    struct bytes summary = bytes_empty(out->allocator);
    lore_status status = segment_summary_encode(&record->summary, false, &summary);
    if (status == LORE_OK) status = bytes_append(out, summary.data, summary.size);
    bytes_free(&summary);
    return status;
}

lore_status segment_record_decode(lore_slice in, const struct allocator *allocator,
                                  struct segment_record *record) {
    memset(record, 0, sizeof *record);
    record->cut = bytes_empty(allocator);
    segment_summary_init(&record->summary, allocator);
    struct reader r;
    lore_status status;
    TRY_OR(open_record(in, "segment", &r), status, failed);
    uint8_t state = read_u8(&r);
    record->state = (enum segment_state)state;
    record->level = read_u8(&r);
    record->run = read_u64(&r);
    record->run_order = read_u64(&r);
    lore_slice cut = read_prefixed(&r);
    record->garbage_values = read_u64(&r);
    record->garbage_bytes = read_u64(&r);
    if (r.bad || (state != SEGMENT_LIVE && state != SEGMENT_DROPPED) ||
        cut.size > KEY_BOUND_BYTES_MAX) {
        status = malformed("segment");
        goto failed;
    }
    TRY_OR(bytes_set(&record->cut, cut), status, failed);
    TRY_OR(segment_summary_decode(&r, &record->summary), status, failed);
    /* A footer's own summary has no length of the file, nor its digest: here they must be. */
    if (!finished(&r) || record->summary.bytes == 0) {
        status = malformed("segment");
        goto failed;
    }
    return LORE_OK;

failed:
    segment_record_deinit(record);
    return status;
}

void segment_record_deinit(struct segment_record *record) {
    bytes_free(&record->cut);
    segment_summary_deinit(&record->summary);
}

/* ---- job ---- */

lore_status job_record_encode(const struct job_record *record, struct bytes *out) {
    assert(record->inputs_count <= JOB_RUNS_MAX);
    TRY(begin(out));
    TRY(append_u8(out, record->input_level));
    TRY(append_u8(out, record->output_level));
    TRY(append_u64(out, record->output_run));
    TRY(append_u64(out, record->output_run_order));
    TRY(append_u32(out, record->inputs_count));
    for (uint32_t i = 0; i < record->inputs_count; i++)
        TRY(append_u64(out, record->inputs[i]));
    TRY(append_u8(out, record->drop_deletes));
    return append_prefixed(out, bytes_slice(&record->done));
}

lore_status job_record_decode(lore_slice in, const struct allocator *allocator,
                              struct job_record *record) {
    memset(record, 0, sizeof *record);
    record->done = bytes_empty(allocator);
    struct reader r;
    TRY(open_record(in, "job", &r));
    record->input_level = read_u8(&r);
    record->output_level = read_u8(&r);
    record->output_run = read_u64(&r);
    record->output_run_order = read_u64(&r);
    uint32_t count = read_u32(&r);
    if (r.bad || count > JOB_RUNS_MAX) return malformed("job");
    for (uint32_t i = 0; i < count; i++)
        record->inputs[i] = read_u64(&r);
    record->inputs_count = count;
    record->drop_deletes = read_bool(&r);
    lore_slice done = read_prefixed(&r);
    if (!finished(&r) || done.size > KEY_BOUND_BYTES_MAX) return malformed("job");
    return bytes_set(&record->done, done);
}

void job_record_deinit(struct job_record *record) {
    bytes_free(&record->done);
}

/* ---- spaces ---- */

#define MODEL_BYTES_MAX  4096u
#define REASON_BYTES_MAX 4096u

lore_status space_record_encode(const struct space_record *record, struct bytes *out) {
    TRY(begin(out));
    TRY(append_u32(out, record->number));
    TRY(append_u32(out, record->dimensions));
    TRY(append_u8(out, record->element));
    TRY(append_u8(out, record->metric));
    return append_prefixed(out, bytes_slice(&record->model));
}

lore_status space_record_decode(lore_slice in, const struct allocator *allocator,
                                struct space_record *record) {
    memset(record, 0, sizeof *record);
    record->model = bytes_empty(allocator);
    struct reader r;
    TRY(open_record(in, "space", &r));
    record->number = read_u32(&r);
    record->dimensions = read_u32(&r);
    record->element = read_u8(&r);
    record->metric = read_u8(&r);
    lore_slice model = read_prefixed(&r);
    if (!finished(&r) || record->dimensions == 0 || record->element < LORE_ELEMENT_F32 ||
        record->element > LORE_ELEMENT_BINARY || record->metric < LORE_METRIC_COSINE ||
        record->metric > LORE_METRIC_HAMMING || model.size > MODEL_BYTES_MAX)
        return malformed("space");
    return bytes_set(&record->model, model);
}

void space_record_deinit(struct space_record *record) {
    bytes_free(&record->model);
}

/* ---- quarantine ---- */

lore_status quarantine_record_encode(const struct quarantine_record *record, struct bytes *out) {
    TRY(begin(out));
    TRY(append_u8(out, (uint8_t)record->kind));
    TRY(append_u64(out, record->segment_id));
    TRY(append_u64(out, record->offset));
    TRY(append_u64(out, record->bytes));
    TRY(append_i64(out, record->since_us));
    TRY(append_prefixed(out, bytes_slice(&record->file)));
    return append_prefixed(out, bytes_slice(&record->reason));
}

lore_status quarantine_record_decode(lore_slice in, const struct allocator *allocator,
                                     struct quarantine_record *record) {
    memset(record, 0, sizeof *record);
    record->file = bytes_empty(allocator);
    record->reason = bytes_empty(allocator);
    struct reader r;
    TRY(open_record(in, "quarantine", &r));
    uint8_t kind = read_u8(&r);
    record->kind = (enum quarantine_kind)kind;
    record->segment_id = read_u64(&r);
    record->offset = read_u64(&r);
    record->bytes = read_u64(&r);
    record->since_us = (int64_t)read_u64(&r);
    lore_slice file = read_prefixed(&r);
    lore_slice reason = read_prefixed(&r);
    if (!finished(&r) || kind < QUARANTINE_SEGMENT || kind > QUARANTINE_FOREIGN_FILE ||
        file.size > PATH_BYTES_MAX || reason.size > REASON_BYTES_MAX)
        return malformed("quarantine");
    lore_status status = bytes_set(&record->file, file);
    if (status == LORE_OK) status = bytes_set(&record->reason, reason);
    if (status != LORE_OK) quarantine_record_deinit(record);
    return status;
}

void quarantine_record_deinit(struct quarantine_record *record) {
    bytes_free(&record->file);
    bytes_free(&record->reason);
}

/* ---- keys ---- */

struct catalog_key schema_key(char tag) {
    struct catalog_key key = {.size = 1};
    key.bytes[0] = (uint8_t)tag;
    return key;
}

struct catalog_key schema_key_number(char tag, uint64_t number) {
    struct catalog_key key = {.size = 9};
    key.bytes[0] = (uint8_t)tag;
    put_be64(key.bytes + 1, number);
    return key;
}

struct catalog_key schema_key_name(char tag, lore_slice name) {
    assert(name.size < sizeof((struct catalog_key *)0)->bytes);
    struct catalog_key key = {.size = 1 + name.size};
    key.bytes[0] = (uint8_t)tag;
    if (name.size > 0) memcpy(key.bytes + 1, name.data, name.size);
    return key;
}
