/*
 * flush.c - one memtable to files. Order at the end: each file is synced by its builder, then the
 * directory once, then the catalog's edit, with which files and log watermark appear together.
 */
#include "lsm/flush.h"

#include <assert.h>

#include "base/merge.h"
#include "lsm/background.h"
#include "lsm/sources.h"
#include "lsm/write_filter.h"

#include "base/poison.h"

enum flush_phase { FLUSH_ENTRIES, FLUSH_VALUES, FLUSH_TABLE, FLUSH_INSTALL, FLUSH_DONE };

struct flush {
    struct lsm *lsm;
    struct memtable *memtable; /* one reference */
    struct memtable_cursor cursor;
    enum flush_phase phase;
    uint64_t *pins;
    size_t pins_count;
    struct range_deletes deletes;
    struct write_filter filter;
    struct table_builder *table; /* NULL: nothing kept yet */
    struct blob_builder *blob;
    struct rows_builder *rows;             /* of the space at hand */
    struct bytes moment_key, moment_value; /* the newest of its stripe so far; key empty: none */
    uint64_t moment_sequence;
    uint32_t rows_space, rows_stride_bytes;
    struct version_change change; /* what is finished; the files are this flush's until installed */
    bool keep_files;              /* they may be part of the store already */
    uint64_t finished_bytes;      /* of files finished */
    uint64_t counted_bytes;       /* written and counted so far */
};

/* ---- where entries go ---- */

static lore_status open_table(struct flush *flush) {
    if (flush->table != NULL) return LORE_OK;
    const struct lsm_config *config = &flush->lsm->config;
    struct table_builder_config table = {.block_bytes = config->block_bytes,
                                         .compression = config->compression};
    TRY(lsm_take_segment_id(flush->lsm, &table.id));
    return table_builder_create(config->context, &table, &flush->table);
}

static lore_status put_blob(struct flush *flush, const struct entry *entry) {
    const struct lsm_config *config = &flush->lsm->config;
    if (flush->blob == NULL) {
        struct blob_builder_config blob = {.compression = config->compression};
        TRY(lsm_take_segment_id(flush->lsm, &blob.id));
        TRY(blob_builder_create(config->context, &blob, &flush->blob));
    }
    struct value_ref ref;
    uint8_t encoded[VALUE_REF_BYTES];
    TRY(blob_builder_add(flush->blob, entry->key, entry->sequence, entry->value, &ref));
    value_ref_encode(&ref, encoded);
    struct entry moved = {entry->key, entry->sequence, ENTRY_PUT_BLOB,
                          slice(encoded, sizeof encoded)};
    return table_builder_add(flush->table, &moved);
}

static lore_status finish_rows(struct flush *flush) {
    if (flush->rows == NULL) return LORE_OK;
    struct segment_summary summary;
    lore_status status = rows_builder_finish(flush->rows, &summary);
    if (status != LORE_OK) return status;
    uint64_t id = summary.id;
    flush->finished_bytes += summary.bytes;
    status = version_change_add_value_file(&flush->change, &summary);
    segment_summary_deinit(&summary);
    rows_builder_destroy(flush->rows);
    flush->rows = NULL;
    if (status != LORE_OK) background_unlink(flush->lsm, SEGMENT_ROWS, id);
    return status;
}

/* A new segment for a new space; and for another stride, which no reader of one space would take
 * for its own. */
static lore_status put_vector(struct flush *flush, const struct entry *entry) {
    uint32_t space;
    uint64_t row;
    if (!vector_key_decode(entry->key, &space, &row) || entry->value.size == 0)
        return fail(LORE_CORRUPTION, "sequence %llu: a vector whose key is none",
                    (unsigned long long)entry->sequence);
    uint32_t stride_bytes = (uint32_t)entry->value.size;
    if (flush->rows != NULL &&
        (flush->rows_space != space || flush->rows_stride_bytes != stride_bytes))
        TRY(finish_rows(flush));
    if (flush->rows == NULL) {
        struct rows_builder_config rows = {.space = space, .stride_bytes = stride_bytes};
        TRY(lsm_take_segment_id(flush->lsm, &rows.id));
        TRY(rows_builder_create(flush->lsm->config.context, &rows, &flush->rows));
        flush->rows_space = space;
        flush->rows_stride_bytes = stride_bytes;
    }
    struct value_ref ref;
    uint8_t encoded[VALUE_REF_BYTES];
    TRY(rows_builder_add(flush->rows, row, entry->sequence, entry->value.data, &ref));
    value_ref_encode(&ref, encoded);
    struct entry moved = {entry->key, entry->sequence, ENTRY_VECTOR_ROW,
                          slice(encoded, sizeof encoded)};
    return table_builder_add(flush->table, &moved);
}

/* ---- moments ---- */

static lore_status keep_moment(struct flush *flush) {
    if (flush->moment_key.size == 0) return LORE_OK;
    struct entry entry = {bytes_slice(&flush->moment_key), flush->moment_sequence, ENTRY_PUT,
                          bytes_slice(&flush->moment_value)};
    lore_status status = table_builder_add(flush->table, &entry);
    bytes_clear(&flush->moment_key);
    return status;
}

static bool is_pinned_between(const struct flush *flush, uint64_t older, uint64_t newer) {
    for (size_t i = 0; i < flush->pins_count; i++) {
        if (flush->pins[i] >= older && flush->pins[i] < newer) return true;
    }
    return false;
}

static lore_status hold_moment(struct flush *flush, const struct entry *entry) {
    if (is_pinned_between(flush, flush->moment_sequence, entry->sequence)) TRY(keep_moment(flush));
    TRY(bytes_set(&flush->moment_key, entry->key));
    flush->moment_sequence = entry->sequence;
    return bytes_set(&flush->moment_value, entry->value);
}

static bool is_moment(const struct flush *flush, const struct entry *entry) {
    uint32_t keyspace = flush->lsm->config.moments_keyspace;
    return keyspace != 0 && entry->kind == ENTRY_PUT && entry->key.size > KEYSPACE_BYTES &&
           get_be32(entry->key.data) == keyspace;
}

/* What merges may be combined with stays in the table, whatever its size. */
static lore_status keep(void *context, const struct entry *entry) {
    struct flush *flush = context;
    TRY(open_table(flush));
    if (is_moment(flush, entry)) return hold_moment(flush, entry);
    TRY(keep_moment(flush));
    switch (entry->kind) {
    case ENTRY_RANGE_DELETE: return table_builder_add_range_delete(flush->table, entry);
    case ENTRY_VECTOR: return put_vector(flush, entry);
    case ENTRY_PUT:
        if (entry->value.size > flush->lsm->config.blob_threshold_bytes &&
            !merge_is_valid(entry->value))
            return put_blob(flush, entry);
        return table_builder_add(flush->table, entry);
    default: return table_builder_add(flush->table, entry);
    }
}

/* No reference stands in a memtable. */
static lore_status no_reference(void *context, const struct entry *entry) {
    (void)context;
    return fail(LORE_CORRUPTION, "sequence %llu: a value reference in a memtable",
                (unsigned long long)entry->sequence);
}

/* ---- life ---- */

static lore_status prepare(struct flush *flush) {
    struct lsm *lsm = flush->lsm;
    TRY(lsm_pins_copy(lsm, lsm->work, &flush->pins, &flush->pins_count));
    TRY(source_memtable_range_deletes(flush->memtable, SEQUENCE_MAX, slice(NULL, 0), slice(NULL, 0),
                                      &flush->deletes));
    TRY(range_deletes_build(&flush->deletes, flush->pins, flush->pins_count));
    struct version *version = lsm_version(lsm);
    bool nothing_beneath = version->runs_count == 0;
    version_release(version);
    struct write_filter_config config = {.allocator = lsm->work,
                                         .pins = flush->pins,
                                         .pins_count = flush->pins_count,
                                         .deletes = &flush->deletes,
                                         .drop_deletes = nothing_beneath,
                                         .context = flush,
                                         .keep = keep,
                                         .dropped = no_reference};
    write_filter_init(&flush->filter, &config);
    memtable_cursor_init(&flush->cursor, flush->memtable);
    memtable_seek_first(&flush->cursor);
    return LORE_OK;
}

lore_status flush_create(struct lsm *lsm, struct flush **out) {
    void *memory;
    TRY(mem_new(lsm->work, sizeof(struct flush), &memory));
    struct flush *flush = memory;
    flush->lsm = lsm;
    flush->memtable = lsm_frozen(lsm);
    assert(flush->memtable != NULL);
    flush->moment_key = flush->moment_value = bytes_empty(lsm->work);
    range_deletes_init(&flush->deletes, lsm->work);
    version_change_init(&flush->change, lsm->work);
    lore_status status = prepare(flush);
    if (status != LORE_OK) {
        flush_destroy(flush);
        return status;
    }
    *out = flush;
    return LORE_OK;
}

void flush_destroy(struct flush *flush) {
    if (flush == NULL) return;
    struct lsm *lsm = flush->lsm;
    if (flush->table != NULL) table_builder_destroy(flush->table);
    if (flush->blob != NULL) blob_builder_destroy(flush->blob);
    if (flush->rows != NULL) rows_builder_destroy(flush->rows);
    if (!flush->keep_files) background_unlink_added(lsm, &flush->change);
    version_change_deinit(&flush->change);
    write_filter_deinit(&flush->filter);
    bytes_free(&flush->moment_key);
    bytes_free(&flush->moment_value);
    range_deletes_deinit(&flush->deletes);
    mem_put(lsm->work, flush->pins, flush->pins_count * sizeof *flush->pins);
    memtable_release(flush->memtable);
    mem_put(lsm->work, flush, sizeof *flush);
}

/* ---- steps ---- */

/* Entries until so many bytes have gone by. */
static lore_status walk(struct flush *flush, uint64_t budget_bytes) {
    uint64_t bytes = 0;
    struct entry entry;
    while (bytes < budget_bytes && memtable_cursor_entry(&flush->cursor, &entry)) {
        TRY(write_filter_add(&flush->filter, &entry));
        bytes += entry.key.size + entry.value.size + 16;
        memtable_next(&flush->cursor);
    }
    if (memtable_cursor_entry(&flush->cursor, &entry)) return LORE_OK;
    TRY(write_filter_end_key(&flush->filter));
    TRY(keep_moment(flush));
    TRY(write_filter_range_deletes(&flush->filter.config, slice(NULL, 0), slice(NULL, 0)));
    flush->phase = FLUSH_VALUES;
    return LORE_OK;
}

static lore_status finish_values(struct flush *flush) {
    TRY(finish_rows(flush));
    flush->phase = FLUSH_TABLE;
    if (flush->blob == NULL) return LORE_OK;
    struct segment_summary summary;
    TRY(blob_builder_finish(flush->blob, &summary));
    uint64_t id = summary.id;
    flush->finished_bytes += summary.bytes;
    lore_status status = version_change_add_value_file(&flush->change, &summary);
    segment_summary_deinit(&summary);
    blob_builder_destroy(flush->blob);
    flush->blob = NULL;
    if (status != LORE_OK) background_unlink(flush->lsm, SEGMENT_BLOB, id);
    return status;
}

static lore_status finish_table(struct flush *flush) {
    flush->phase = FLUSH_INSTALL;
    if (flush->table == NULL) return LORE_OK;
    uint64_t run;
    TRY(lsm_take_run_id(flush->lsm, &run));
    struct segment_summary summary;
    TRY(table_builder_finish(flush->table, &summary));
    uint64_t id = summary.id;
    flush->finished_bytes += summary.bytes;
    lore_status status = version_change_add_table(&flush->change, 0, run, run, &summary);
    segment_summary_deinit(&summary);
    table_builder_destroy(flush->table);
    flush->table = NULL;
    if (status != LORE_OK) background_unlink(flush->lsm, SEGMENT_TABLE, id);
    return status;
}

/* The log's state once this memtable is in files. */
static struct log_record_state state_after(const struct flush *flush) {
    struct log_record_state log = lsm_log_state(flush->lsm);
    log.first_log = memtable_log_number(flush->memtable) + 1;
    uint64_t sequence = memtable_last_sequence(flush->memtable);
    uint64_t rows = memtable_row_watermark(flush->memtable);
    int64_t time_us = memtable_last_time_us(flush->memtable);
    if (sequence > log.flushed_sequence) log.flushed_sequence = sequence;
    if (rows > log.row_watermark) log.row_watermark = rows;
    if (time_us > log.flushed_time_us) log.flushed_time_us = time_us;
    return log;
}

static lore_status install(struct flush *flush, struct step_count *count) {
    struct lsm *lsm = flush->lsm;
    if (flush->change.added_count > 0) TRY(background_sync_dir(lsm));
    struct log_record_state log = state_after(flush);
    struct catalog_edit edit;
    catalog_edit_init(&edit, lsm->work);
    lore_status status = lsm_install_flush(lsm, &flush->change, &edit, &log, &flush->keep_files);
    count->written_bytes += edit.encoded.size;
    catalog_edit_deinit(&edit);
    if (status != LORE_OK) return status;
    flush->keep_files = true;
    flush->phase = FLUSH_DONE;
    return LORE_OK;
}

static void count_written(struct flush *flush, struct step_count *count) {
    uint64_t bytes = flush->finished_bytes;
    if (flush->table != NULL) bytes += table_builder_written(flush->table);
    if (flush->blob != NULL) bytes += blob_builder_bytes(flush->blob);
    if (flush->rows != NULL) bytes += rows_builder_bytes(flush->rows);
    if (bytes <= flush->counted_bytes) return;
    count->written_bytes += bytes - flush->counted_bytes;
    flush->counted_bytes = bytes;
}

lore_status flush_step(struct flush *flush, uint64_t budget_bytes, struct step_count *count,
                       bool *done) {
    uint64_t before = count->written_bytes;
    lore_status status = LORE_OK;
    *done = false;
    /* A phase that ends early leaves room for the next one in the same step. */
    do {
        switch (flush->phase) {
        case FLUSH_ENTRIES: status = walk(flush, budget_bytes); break;
        case FLUSH_VALUES: status = finish_values(flush); break;
        case FLUSH_TABLE: status = finish_table(flush); break;
        case FLUSH_INSTALL: status = install(flush, count); break;
        case FLUSH_DONE: break;
        }
        count_written(flush, count);
    } while (status == LORE_OK && flush->phase != FLUSH_DONE && flush->phase != FLUSH_ENTRIES &&
             count->written_bytes - before < budget_bytes / 2);
    *done = status == LORE_OK && flush->phase == FLUSH_DONE;
    return status;
}
