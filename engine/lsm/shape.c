/*
 * shape.c - runs and value files as numbers, and what range deletes make of tables.
 */
#include "lsm/shape.h"
#include "lsm/sources.h"

#include <assert.h>

#include "base/poison.h"

void shape_deinit(struct shape *shape) {
    mem_put(shape->allocator, shape->runs, shape->runs_count * sizeof *shape->runs);
    mem_put(shape->allocator, shape->files, shape->files_count * sizeof *shape->files);
    mem_put(shape->allocator, shape->droppable,
            shape->droppable_capacity * sizeof *shape->droppable);
    *shape = (struct shape){.allocator = shape->allocator};
}

/* ---- runs and files ---- */

static lore_status add_runs(struct shape *shape, const struct version *version,
                            const struct shape_marks *marks) {
    void *memory;
    TRY(mem_new(shape->allocator, version->runs_count * sizeof *shape->runs, &memory));
    shape->runs = memory;
    shape->runs_count = version->runs_count;
    for (uint8_t level = 0; level < LEVELS_MAX; level++) {
        for (size_t r = 0; r < version->levels[level].count; r++) {
            const struct run *run = &version->levels[level].runs[r];
            struct policy_run *out = &shape->runs[run - version->runs];
            *out = (struct policy_run){.id = run->id,
                                       .level = level,
                                       .busy = marks->run_is_busy(marks->context, run->id),
                                       .blocked = marks->run_is_blocked(marks->context, run->id),
                                       .bytes = run->bytes};
            for (size_t t = 0; t < run->count; t++) {
                const struct segment_summary *summary = &run->tables[t].handle->summary;
                out->entries += summary->entries;
                if (summary->bytes > out->table_bytes) out->table_bytes = summary->bytes;
            }
        }
    }
    return LORE_OK;
}

static int compare_files(const struct policy_file *a, const struct policy_file *b) {
    if (a->is_blob != b->is_blob) return a->is_blob ? -1 : 1;
    if (a->space != b->space) return a->space < b->space ? -1 : 1;
    return a->first_logical_id < b->first_logical_id ? -1
                                                     : a->first_logical_id > b->first_logical_id;
}

static lore_status add_files(struct shape *shape, const struct version *version,
                             const struct shape_marks *marks) {
    void *memory;
    TRY(mem_new(shape->allocator, version->values_count * sizeof *shape->files, &memory));
    shape->files = memory;
    shape->files_count = version->values_count;
    for (size_t i = 0; i < version->values_count; i++) {
        struct value_file *file = version->values[i];
        const struct segment_summary *summary = &file->summary;
        struct policy_file added = {.id = summary->id,
                                    .first_logical_id = summary->groups_count == 0
                                                            ? summary->id
                                                            : summary->groups[0].logical_id,
                                    .is_blob = summary->kind == SEGMENT_BLOB,
                                    .space = summary->space,
                                    .busy = marks->file_is_busy(marks->context, summary->id),
                                    .blocked = marks->file_is_blocked(marks->context, summary->id),
                                    .fresh = marks->file_is_fresh(marks->context, summary->id),
                                    .bytes = summary->bytes,
                                    .values = summary->entries,
                                    .value_bytes = summary->value_bytes,
                                    .garbage_values = atomic_load(&file->garbage_values),
                                    .garbage_bytes = atomic_load(&file->garbage_bytes)};
        size_t at = i;
        for (; at > 0 && compare_files(&shape->files[at - 1], &added) > 0; at--)
            shape->files[at] = shape->files[at - 1];
        shape->files[at] = added;
    }
    return LORE_OK;
}

/* ---- range deletes ---- */

/* The eight bytes after the first `skip`. */
static uint64_t word_of(lore_slice key, size_t skip) {
    uint8_t padded[8] = {0};
    if (key.size > skip) {
        size_t size = key.size - skip < 8 ? key.size - skip : 8;
        memcpy(padded, (const uint8_t *)key.data + skip, size);
    }
    return get_be64(padded);
}

uint32_t shape_share_permille(lore_slice first, lore_slice last, lore_slice begin, lore_slice end) {
    if (slice_compare(begin, last) > 0 || slice_compare(end, first) <= 0) return 0;
    bool from_start = slice_compare(begin, first) <= 0, to_end = slice_compare(end, last) > 0;
    if (from_start && to_end) return 1000;
    size_t shared = 0;
    while (shared < first.size && shared < last.size &&
           ((const uint8_t *)first.data)[shared] == ((const uint8_t *)last.data)[shared])
        shared++;
    uint64_t low = word_of(first, shared), high = word_of(last, shared);
    uint64_t from = from_start ? low : word_of(begin, shared),
             to = to_end ? high : word_of(end, shared);
    if (high <= low || to <= from) return 0;
    uint64_t whole = high - low, part = to - from;
    while (whole > UINT64_MAX / 1000) {
        whole >>= 1;
        part >>= 1;
    }
    uint64_t permille = part * 1000 / whole;
    return permille > 1000 ? 1000 : (uint32_t)permille;
}

/* Of the last run, what the range deletes of other runs cover. */
static lore_status add_covered(struct shape *shape, const struct version *version) {
    const struct policy_run *last = policy_last_run(&shape->policy);
    if (last == NULL) return LORE_OK;
    const struct run *run = &version->runs[last - shape->runs];
    struct range_deletes deletes;
    range_deletes_init(&deletes, shape->allocator);
    lore_status status = LORE_OK;
    for (size_t r = 0; status == LORE_OK && r < version->runs_count; r++) {
        if (&version->runs[r] == run) continue;
        status = source_run_range_deletes(&version->runs[r], SEQUENCE_MAX, slice(NULL, 0),
                                          slice(NULL, 0), &deletes);
    }
    if (status == LORE_OK) status = range_deletes_build(&deletes, NULL, 0);
    size_t fragments = status == LORE_OK ? deletes.count : 0;
    for (size_t f = 0; f < fragments; f++) {
        const struct range_fragment *fragment = &deletes.fragments[f];
        for (size_t t = run_find(run, fragment->begin); t < run->count; t++) {
            const struct segment_summary *summary = &run->tables[t].handle->summary;
            if (slice_compare(bytes_slice(&summary->first_key), fragment->end) >= 0) break;
            uint32_t permille = shape_share_permille(bytes_slice(&summary->first_key),
                                                     bytes_slice(&summary->last_key),
                                                     fragment->begin, fragment->end);
            shape->policy.covered_bytes += summary->bytes / 1000 * permille;
        }
    }
    range_deletes_deinit(&deletes);
    return status;
}

/* Whether range deletes newer than all that the table holds cover its keys without a gap. */
static bool is_covered(const struct range_deletes *deletes, const struct segment_summary *summary) {
    lore_slice at = bytes_slice(&summary->first_key), last = bytes_slice(&summary->last_key);
    for (size_t f = range_deletes_find(deletes, at); f < deletes->count; f++) {
        const struct range_fragment *fragment = &deletes->fragments[f];
        if (slice_compare(fragment->begin, at) > 0) return false;
        if (fragment->sequences[0] <= summary->last_sequence) return false;
        int order = slice_compare(fragment->end, last);
        if (order > 0 || (order == 0 && summary->last_key_exclusive)) return true;
        at = fragment->end;
    }
    return false;
}

/* Tables that nobody sees any more. One with references is merged away instead, so that its values
 * are counted. */
static lore_status add_droppable(struct shape *shape, const struct version *version,
                                 uint64_t oldest_pin) {
    struct range_deletes deletes;
    range_deletes_init(&deletes, shape->allocator);
    lore_status status = LORE_OK;
    uint64_t newest = oldest_pin == 0 ? SEQUENCE_MAX : oldest_pin;
    for (size_t r = 0; status == LORE_OK && r < version->runs_count; r++)
        status = source_run_range_deletes(&version->runs[r], newest, slice(NULL, 0), slice(NULL, 0),
                                          &deletes);
    if (status == LORE_OK) status = range_deletes_build(&deletes, NULL, 0);
    void *memory = NULL;
    if (status == LORE_OK && deletes.count > 0) {
        status =
            mem_get(shape->allocator, version->slots_count * sizeof *shape->droppable, &memory);
        if (status == LORE_OK) shape->droppable_capacity = version->slots_count;
    }
    shape->droppable = memory;
    uint8_t references = 1u << ENTRY_PUT_BLOB | 1u << ENTRY_VECTOR_ROW;
    for (size_t r = 0; memory != NULL && r < version->runs_count; r++) {
        const struct run *run = &version->runs[r];
        if (shape->runs[r].busy) continue;
        for (size_t t = 0; t < run->count; t++) {
            const struct segment_summary *summary = &run->tables[t].handle->summary;
            if ((summary->kinds_present & references) != 0 || !is_covered(&deletes, summary))
                continue;
            shape->droppable[shape->policy.droppable_count++] = summary->id;
        }
    }
    range_deletes_deinit(&deletes);
    return status;
}

lore_status shape_init(struct shape *shape, const struct allocator *allocator,
                       const struct version *version, const struct shape_marks *marks) {
    *shape = (struct shape){.allocator = allocator};
    lore_status status = add_runs(shape, version, marks);
    if (status == LORE_OK) status = add_files(shape, version, marks);
    if (status == LORE_OK) {
        shape->policy.runs = shape->runs;
        shape->policy.runs_count = shape->runs_count;
        shape->policy.files = shape->files;
        shape->policy.files_count = shape->files_count;
        if (version->range_deletes > 0) status = add_covered(shape, version);
    }
    if (status == LORE_OK && version->range_deletes > 0)
        status = add_droppable(shape, version, marks->oldest_pin);
    shape->policy.droppable = shape->droppable;
    if (status != LORE_OK) shape_deinit(shape);
    return status;
}
