/*
 * rewrite.c - the walk over value files and what it keeps. A step copies whole values: one that is
 * larger than the step's budget makes the step that much longer.
 */
#include "lsm/rewrite.h"

#include <assert.h>

#include "lsm/background.h"

#include "base/poison.h"

/* Vectors looked at together: those of one block, up to so many bytes (one at least). */
#define SCAN_BYTES (16u << 10)

struct rewrite {
    struct lsm *lsm;
    uint64_t ids[JOB_RUNS_MAX];
    size_t count;
    size_t at;               /* the file at hand; count: all are walked */
    uint64_t position;       /* in it: of blob_cursor or rows_scan */
    struct version *version; /* during a step */
    struct value_file *file; /* likewise: the one at hand */
    struct read_count reads;
    struct bytes scratch, entry_scratch;
    struct blob_builder *blob; /* NULL: nothing kept yet */
    struct rows_builder *rows;
    struct rows_position *positions; /* positions_max of them */
    size_t positions_max;
    uint8_t *vectors;
    size_t vectors_bytes;
    uint64_t kept_values, kept_bytes;
    uint64_t counted_bytes; /* of the new file, counted as written */
};

/* ---- is it needed ---- */

static bool refers(const struct entry *entry, uint64_t sequence, const struct value_ref *ref) {
    struct value_ref found;
    if (entry->sequence != sequence) return false;
    if (entry->kind != ENTRY_PUT_BLOB && entry->kind != ENTRY_VECTOR_ROW) return false;
    return value_ref_decode(entry->value, &found) && found.logical_id == ref->logical_id &&
           found.ordinal == ref->ordinal;
}

lore_status rewrite_is_referenced(const struct version *version, lore_slice key, uint64_t sequence,
                                  const struct value_ref *ref, struct read_count *count,
                                  struct bytes *scratch, bool *referenced, uint64_t *damaged) {
    *referenced = true;
    for (size_t r = 0; r < version->runs_count; r++) {
        const struct run *run = &version->runs[r];
        size_t at = run_find(run, key);
        if (at == run->count || !table_slot_covers(&run->tables[at], key)) continue;
        const struct table_handle *handle = run->tables[at].handle;
        if (handle->broken != LORE_OK) {
            *damaged = handle->summary.id;
            return fail(handle->broken, "%s", handle->why);
        }
        if (handle->summary.first_sequence > sequence || handle->summary.last_sequence < sequence)
            continue;
        struct entry entry;
        bool found;
        lore_status status =
            table_get(handle->table, key, sequence, count, &entry, scratch, &found);
        if (status == LORE_CORRUPTION) *damaged = handle->summary.id;
        if (status != LORE_OK) return status;
        if (found && refers(&entry, sequence, ref)) return LORE_OK;
    }
    *referenced = false;
    return LORE_OK;
}

/* ---- life ---- */

lore_status rewrite_create(struct lsm *lsm, const uint64_t *ids, size_t count,
                           struct rewrite **out) {
    assert(count > 0 && count <= JOB_RUNS_MAX);
    void *memory;
    TRY(mem_new(lsm->work, sizeof(struct rewrite), &memory));
    struct rewrite *rewrite = memory;
    rewrite->lsm = lsm;
    memcpy(rewrite->ids, ids, count * sizeof *ids);
    rewrite->count = count;
    rewrite->scratch = bytes_empty(lsm->work);
    rewrite->entry_scratch = bytes_empty(lsm->work);
    *out = rewrite;
    return LORE_OK;
}

void rewrite_destroy(struct rewrite *rewrite) {
    if (rewrite == NULL) return;
    const struct allocator *a = rewrite->lsm->work;
    if (rewrite->blob != NULL) blob_builder_destroy(rewrite->blob);
    if (rewrite->rows != NULL) rows_builder_destroy(rewrite->rows);
    version_release(rewrite->version);
    bytes_free(&rewrite->scratch);
    bytes_free(&rewrite->entry_scratch);
    mem_put(a, rewrite->positions, rewrite->positions_max * sizeof *rewrite->positions);
    mem_put(a, rewrite->vectors, rewrite->vectors_bytes);
    mem_put(a, rewrite, sizeof *rewrite);
}

bool rewrite_has_file(const struct rewrite *rewrite, uint64_t id) {
    for (size_t i = 0; i < rewrite->count; i++) {
        if (rewrite->ids[i] == id) return true;
    }
    return false;
}

size_t rewrite_files(const struct rewrite *rewrite) {
    return rewrite->count;
}
uint64_t rewrite_file(const struct rewrite *rewrite, size_t index) {
    return rewrite->ids[index];
}

/* ---- the walk ---- */

static void sort_ids(uint64_t *ids, size_t count) {
    for (size_t i = 1; i < count; i++) {
        for (size_t at = i; at > 0 && ids[at - 1] > ids[at]; at--) {
            uint64_t moved = ids[at];
            ids[at] = ids[at - 1];
            ids[at - 1] = moved;
        }
    }
}

static lore_status open_blob(struct rewrite *rewrite) {
    if (rewrite->blob != NULL) return LORE_OK;
    uint64_t inputs[JOB_RUNS_MAX];
    memcpy(inputs, rewrite->ids, rewrite->count * sizeof *inputs);
    sort_ids(inputs, rewrite->count);
    struct blob_builder_config config = {.tier = rewrite->file->summary.tier,
                                         .compression = rewrite->lsm->config.compression,
                                         .inputs = inputs,
                                         .inputs_count = rewrite->count};
    TRY(lsm_take_segment_id(rewrite->lsm, &config.id));
    return blob_builder_create(rewrite->lsm->config.context, &config, &rewrite->blob);
}

static lore_status open_rows(struct rewrite *rewrite) {
    if (rewrite->rows != NULL) return LORE_OK;
    uint64_t inputs[JOB_RUNS_MAX];
    memcpy(inputs, rewrite->ids, rewrite->count * sizeof *inputs);
    sort_ids(inputs, rewrite->count);
    struct rows_builder_config config = {.tier = rewrite->file->summary.tier,
                                         .space = rewrite->file->summary.space,
                                         .stride_bytes = rewrite->file->summary.stride_bytes,
                                         .inputs = inputs,
                                         .inputs_count = rewrite->count};
    TRY(lsm_take_segment_id(rewrite->lsm, &config.id));
    return rows_builder_create(rewrite->lsm->config.context, &config, &rewrite->rows);
}

static lore_status walk_blob(struct rewrite *rewrite, bool *file_done, uint64_t *damaged) {
    struct blob_cursor cursor = {rewrite->file->blob, rewrite->position};
    struct blob_value value;
    bool found, referenced;
    struct lsm *lsm = rewrite->lsm;
    TRY(lsm_reading(
        lsm, blob_cursor_next(&cursor, false, &rewrite->scratch, &rewrite->reads, &value, &found)));
    *file_done = !found;
    if (!found) return LORE_OK;
    TRY(lsm_reading(lsm, rewrite_is_referenced(rewrite->version, value.key, value.sequence,
                                               &value.ref, &rewrite->reads, &rewrite->entry_scratch,
                                               &referenced, damaged)));
    if (referenced) {
        cursor.position = rewrite->position;
        TRY(lsm_reading(lsm, blob_cursor_next(&cursor, true, &rewrite->scratch, &rewrite->reads,
                                              &value, &found)));
        assert(found);
        TRY(open_blob(rewrite));
        TRY(blob_builder_keep(rewrite->blob, &value.ref, value.key, value.sequence,
                              value.stored_block, value.ref.length));
        rewrite->kept_values++;
        rewrite->kept_bytes += value.ref.length;
    }
    rewrite->position = cursor.position;
    return LORE_OK;
}

static lore_status make_vector_room(struct rewrite *rewrite, uint32_t stride_bytes) {
    size_t max = SCAN_BYTES / stride_bytes;
    if (max == 0) max = 1;
    const struct allocator *a = rewrite->lsm->work;
    if (rewrite->positions_max < max) {
        void *memory = rewrite->positions;
        TRY(mem_resize(a, &memory, rewrite->positions_max * sizeof *rewrite->positions,
                       max * sizeof *rewrite->positions));
        rewrite->positions = memory;
        rewrite->positions_max = max;
    }
    size_t bytes = rewrite->positions_max * stride_bytes;
    if (rewrite->vectors_bytes >= bytes) return LORE_OK;
    void *memory = rewrite->vectors;
    TRY(mem_resize(a, &memory, rewrite->vectors_bytes, bytes));
    rewrite->vectors = memory;
    rewrite->vectors_bytes = bytes;
    return LORE_OK;
}

static lore_status walk_rows(struct rewrite *rewrite, bool *file_done, uint64_t *damaged) {
    uint32_t stride_bytes = rewrite->file->summary.stride_bytes;
    TRY(make_vector_room(rewrite, stride_bytes));
    size_t got;
    TRY(lsm_reading(rewrite->lsm,
                    rows_scan(rewrite->file->rows, rewrite->position, rewrite->positions_max,
                              rewrite->vectors, rewrite->positions, &rewrite->reads, &got)));
    *file_done = got == 0;
    for (size_t i = 0; i < got; i++) {
        const struct rows_position *position = &rewrite->positions[i];
        uint8_t key[VECTOR_KEY_BYTES];
        bool referenced;
        vector_key_encode(rewrite->file->summary.space, position->row, key);
        TRY(lsm_reading(rewrite->lsm,
                        rewrite_is_referenced(rewrite->version, slice(key, sizeof key),
                                              position->sequence, &position->ref, &rewrite->reads,
                                              &rewrite->entry_scratch, &referenced, damaged)));
        if (!referenced) continue;
        TRY(open_rows(rewrite));
        TRY(rows_builder_keep(rewrite->rows, &position->ref, position->row, position->sequence,
                              rewrite->vectors + i * stride_bytes));
        rewrite->kept_values++;
        rewrite->kept_bytes += stride_bytes;
    }
    rewrite->position += got;
    return LORE_OK;
}

/* ---- the end ---- */

/* What the counters of the old files say is alive in them. */
static lore_status add_dropped(const struct rewrite *rewrite, struct version_change *change,
                               uint64_t *live_values, uint64_t *live_bytes) {
    *live_values = 0;
    *live_bytes = 0;
    for (size_t i = 0; i < rewrite->version->values_count; i++) {
        struct value_file *file = rewrite->version->values[i];
        if (!rewrite_has_file(rewrite, file->summary.id)) continue;
        uint64_t values = atomic_load(&file->garbage_values),
                 bytes = atomic_load(&file->garbage_bytes);
        if (values < file->summary.entries) *live_values += file->summary.entries - values;
        if (bytes < file->summary.value_bytes) *live_bytes += file->summary.value_bytes - bytes;
        TRY(version_change_drop(change, file->summary.id));
    }
    return LORE_OK;
}

static lore_status finish_file(struct rewrite *rewrite, struct segment_summary *summary) {
    return rewrite->blob != NULL ? blob_builder_finish(rewrite->blob, summary)
                                 : rows_builder_finish(rewrite->rows, summary);
}

static lore_status add_new_file(struct rewrite *rewrite, uint64_t live_values, uint64_t live_bytes,
                                struct step_count *count, struct version_change *change) {
    if (rewrite->blob == NULL && rewrite->rows == NULL) return LORE_OK;
    struct segment_summary summary;
    TRY(finish_file(rewrite, &summary));
    if (summary.bytes > rewrite->counted_bytes)
        count->written_bytes += summary.bytes - rewrite->counted_bytes;
    rewrite->counted_bytes = summary.bytes;
    uint64_t id = summary.id;
    enum segment_kind kind = summary.kind;
    lore_status status = version_change_add_value_file(change, &summary);
    segment_summary_deinit(&summary);
    if (status != LORE_OK) background_unlink(rewrite->lsm, kind, id);
    if (status != LORE_OK || live_values >= rewrite->kept_values) return status;
    return version_change_garbage(
        change, id, rewrite->kept_values - live_values,
        live_bytes < rewrite->kept_bytes ? rewrite->kept_bytes - live_bytes : 0);
}

static lore_status install(struct rewrite *rewrite, struct step_count *count) {
    struct lsm *lsm = rewrite->lsm;
    struct version_change change;
    struct catalog_edit edit;
    version_change_init(&change, lsm->work);
    catalog_edit_init(&edit, lsm->work);
    uint64_t live_values, live_bytes;
    bool maybe_durable = false;
    lore_status status = add_dropped(rewrite, &change, &live_values, &live_bytes);
    if (status == LORE_OK) status = add_new_file(rewrite, live_values, live_bytes, count, &change);
    if (status == LORE_OK && change.added_values_count > 0) status = background_sync_dir(lsm);
    if (status == LORE_OK) status = lsm_install(lsm, &change, &edit, &maybe_durable);
    count->written_bytes += edit.encoded.size;
    if (status != LORE_OK && !maybe_durable) background_unlink_added(lsm, &change);
    catalog_edit_deinit(&edit);
    version_change_deinit(&change);
    return status;
}

/* ---- steps ---- */

static void look(struct rewrite *rewrite, struct step_count *count) {
    count->read_bytes += rewrite->reads.bytes_read;
    rewrite->reads = (struct read_count){0};
    uint64_t bytes = rewrite->blob != NULL   ? blob_builder_bytes(rewrite->blob)
                     : rewrite->rows != NULL ? rows_builder_bytes(rewrite->rows)
                                             : 0;
    if (bytes <= rewrite->counted_bytes) return;
    count->written_bytes += bytes - rewrite->counted_bytes;
    rewrite->counted_bytes = bytes;
}

static struct value_file *find_file(const struct version *version, uint64_t id) {
    for (size_t i = 0; i < version->values_count; i++) {
        if (version->values[i]->summary.id == id) return version->values[i];
    }
    return NULL;
}

static lore_status walk(struct rewrite *rewrite, uint64_t budget_bytes, struct step_count *count,
                        uint64_t *damaged) {
    struct step_count before = *count;
    uint64_t looked_at = 0; /* so that a walk over what the cache holds ends too */
    while (rewrite->at < rewrite->count && looked_at < budget_bytes &&
           count->read_bytes - before.read_bytes + count->written_bytes - before.written_bytes <
               budget_bytes) {
        rewrite->file = find_file(rewrite->version, rewrite->ids[rewrite->at]);
        assert(rewrite->file != NULL);
        lore_status status = rewrite->file->broken;
        bool file_done = false;
        if (status != LORE_OK)
            status = fail(status, "%s", rewrite->file->why);
        else if (rewrite->file->summary.kind == SEGMENT_BLOB)
            status = walk_blob(rewrite, &file_done, damaged);
        else
            status = walk_rows(rewrite, &file_done, damaged);
        look(rewrite, count);
        if (status == LORE_CORRUPTION && *damaged == 0) *damaged = rewrite->ids[rewrite->at];
        if (status != LORE_OK) return status;
        looked_at += 256;
        if (file_done) {
            rewrite->at++;
            rewrite->position = 0;
        }
    }
    return LORE_OK;
}

lore_status rewrite_step(struct rewrite *rewrite, uint64_t budget_bytes, struct step_count *count,
                         bool *done, uint64_t *damaged) {
    *done = false;
    *damaged = 0;
    rewrite->version = lsm_version(rewrite->lsm);
    lore_status status;
    if (rewrite->at < rewrite->count) {
        status = walk(rewrite, budget_bytes, count, damaged);
    } else {
        status = install(rewrite, count);
        *done = status == LORE_OK;
    }
    version_release(rewrite->version);
    rewrite->version = NULL;
    return status;
}
