/*
 * version.c - shapes: their references, how a key finds its table in a run, and reading values that
 * lie apart from their entries.
 */
#include "lsm/version_parts.h"

#include <assert.h>

#include "base/poison.h"

void version_retain(struct version *version) {
    atomic_fetch_add_explicit(&version->references, 1, memory_order_relaxed);
}

void version_release(struct version *version) {
    if (version == NULL) return;
    if (atomic_fetch_sub_explicit(&version->references, 1, memory_order_acq_rel) != 1) return;
    const struct allocator *a = version->allocator;
    for (size_t i = 0; i < version->slots_count; i++) {
        table_handle_release(version->slots[i].handle);
        bytes_free(&version->slots[i].cut);
    }
    for (size_t i = 0; i < version->values_count; i++)
        value_file_release(version->values[i]);
    mem_put(a, version->slots, version->slots_count * sizeof *version->slots);
    mem_put(a, version->runs, version->runs_count * sizeof *version->runs);
    mem_put(a, version->values, version->values_count * sizeof(struct value_file *));
    mem_put(a, version->groups, version->groups_count * sizeof *version->groups);
    mem_put(a, version, sizeof *version);
}

bool version_find_table(const struct version *version, uint64_t id, const struct run **run,
                        size_t *at) {
    for (size_t r = 0; r < version->runs_count; r++) {
        for (size_t t = 0; t < version->runs[r].count; t++) {
            if (version->runs[r].tables[t].handle->summary.id != id) continue;
            *run = &version->runs[r];
            *at = t;
            return true;
        }
    }
    return false;
}

/* ---- finding a key's place ---- */

/* Whether key lies behind the last key that the slot shows. */
static bool is_after(const struct table_slot *slot, lore_slice key) {
    const struct segment_summary *summary = &slot->handle->summary;
    int order = slice_compare(key, bytes_slice(&summary->last_key));
    return summary->last_key_exclusive ? order >= 0 : order > 0;
}

size_t run_find(const struct run *run, lore_slice key) {
    size_t low = 0, high = run->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_after(&run->tables[middle], key))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

lore_slice table_slot_lower(const struct table_slot *slot, bool *exclusive) {
    lore_slice first = bytes_slice(&slot->handle->summary.first_key);
    lore_slice cut = bytes_slice(&slot->cut);
    *exclusive = cut.size > 0 && slice_compare(cut, first) >= 0;
    return *exclusive ? cut : first;
}

bool table_slot_covers(const struct table_slot *slot, lore_slice key) {
    bool exclusive;
    int order = slice_compare(key, table_slot_lower(slot, &exclusive));
    return (exclusive ? order > 0 : order >= 0) && !is_after(slot, key);
}

const struct run *version_find_run(const struct version *version, uint64_t id, uint8_t *level) {
    for (uint8_t l = 0; l < LEVELS_MAX; l++) {
        for (size_t r = 0; r < version->levels[l].count; r++) {
            if (version->levels[l].runs[r].id != id) continue;
            *level = l;
            return &version->levels[l].runs[r];
        }
    }
    return NULL;
}

/* ---- values apart from their entries ---- */

struct value_file *version_value_file(const struct version *version, uint64_t logical_id) {
    size_t low = 0, high = version->groups_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (version->groups[middle].logical_id < logical_id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == version->groups_count || version->groups[low].logical_id != logical_id) return NULL;
    return version->values[version->groups[low].index];
}

static lore_status read_vector(struct rows *rows, const struct value_ref *ref, lore_slice key,
                               struct read_count *count, struct bytes *value) {
    uint32_t space;
    uint64_t row;
    if (!vector_key_decode(key, &space, &row) || space != rows_space(rows))
        return fail(LORE_CORRUPTION, "%s: a key that is no vector's of its space refers to it",
                    pooled_file_path(rows_file(rows)));
    uint8_t *at;
    bytes_clear(value);
    TRY(bytes_extend(value, rows_stride(rows), &at));
    lore_status status = rows_read(rows, ref, row, count, at);
    if (status != LORE_OK) bytes_clear(value);
    return status;
}

lore_status version_read_value(const struct version *version, const struct entry *entry,
                               struct read_count *count, struct bytes *value) {
    if (entry->kind != ENTRY_PUT_BLOB && entry->kind != ENTRY_VECTOR_ROW) {
        if (entry->value.size > 0 && entry->value.data == value->data) return LORE_OK;
        return bytes_set(value, entry->value);
    }
    struct value_ref ref;
    if (!value_ref_decode(entry->value, &ref))
        return fail(LORE_CORRUPTION, "sequence %llu: a value reference of %zu bytes",
                    (unsigned long long)entry->sequence, entry->value.size);
    const struct value_file *file = version_value_file(version, ref.logical_id);
    if (file == NULL)
        return fail(LORE_CORRUPTION, "sequence %llu: no live file holds the values of segment %llu",
                    (unsigned long long)entry->sequence, (unsigned long long)ref.logical_id);
    if (file->broken != LORE_OK) return fail(file->broken, "%s", file->why);
    enum segment_kind wanted = entry->kind == ENTRY_PUT_BLOB ? SEGMENT_BLOB : SEGMENT_ROWS;
    if (file->summary.kind != wanted)
        return fail(LORE_CORRUPTION, "sequence %llu: segment %llu is of another kind",
                    (unsigned long long)entry->sequence, (unsigned long long)ref.logical_id);
    if (wanted == SEGMENT_BLOB) return blob_read(file->blob, &ref, entry->key, count, value);
    return read_vector(file->rows, &ref, entry->key, count, value);
}
