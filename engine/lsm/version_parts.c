/*
 * version_parts.c - opening the files of a version and putting the version together.
 */
#include "lsm/version_parts.h"

#include <assert.h>

#include "base/poison.h"

/* ---- files ---- */

/* Whether a failure to open stays with the file as its state, so that the rest of the tree can be
 * read. A file of a later version is no damage: the store is refused, for a writer of this version
 * could harm it. */
static bool is_breakage(lore_status status, bool strict) {
    if (status == LORE_NOT_FOUND) return !strict;
    return status == LORE_CORRUPTION;
}

static void note_breakage(lore_status status, const struct segment_summary *summary,
                          lore_status *broken, char *why, size_t why_size) {
    char name[SEGMENT_NAME_BYTES];
    segment_file_name(name, summary->kind, summary->id);
    if (status == LORE_NOT_FOUND) fail(LORE_CORRUPTION, "%s: the file is missing", name);
    const char *text = lore_error_message();
    size_t size = strlen(text);
    if (size >= why_size) size = why_size - 1;
    memcpy(why, text, size);
    why[size] = '\0';
    *broken = status == LORE_NOT_FOUND ? LORE_CORRUPTION : status;
}

lore_status table_handle_open(const struct segment_context *context,
                              const struct segment_summary *summary, bool keep_broken, bool strict,
                              struct table_handle **out) {
    const struct allocator *a = context->table_allocator;
    void *memory;
    TRY(mem_new(a, sizeof(struct table_handle), &memory));
    struct table_handle *handle = memory;
    atomic_init(&handle->references, 1);
    segment_summary_init(&handle->summary, a);
    lore_status status = segment_summary_copy(&handle->summary, summary);
    if (status == LORE_OK) {
        status = table_open(context, summary, &handle->table);
        if (status != LORE_OK && keep_broken && is_breakage(status, strict)) {
            handle->table = NULL;
            note_breakage(status, summary, &handle->broken, handle->why, sizeof handle->why);
            status = LORE_OK;
        }
    }
    if (status != LORE_OK) {
        segment_summary_deinit(&handle->summary);
        mem_put(a, handle, sizeof *handle);
        return status;
    }
    *out = handle;
    return LORE_OK;
}

void table_handle_release(struct table_handle *handle) {
    if (atomic_fetch_sub_explicit(&handle->references, 1, memory_order_acq_rel) != 1) return;
    const struct allocator *a = handle->summary.allocator;
    if (handle->table != NULL) table_close(handle->table);
    segment_summary_deinit(&handle->summary);
    mem_put(a, handle, sizeof *handle);
}

void table_handle_mark_dropped(struct table_handle *handle) {
    if (handle->table != NULL) pooled_file_mark_dropped(table_file(handle->table));
}

lore_status value_file_open(const struct segment_context *context,
                            const struct segment_summary *summary, bool keep_broken, bool strict,
                            struct value_file **out) {
    assert(summary->kind == SEGMENT_BLOB || summary->kind == SEGMENT_ROWS);
    const struct allocator *a = context->table_allocator;
    void *memory;
    TRY(mem_new(a, sizeof(struct value_file), &memory));
    struct value_file *file = memory;
    atomic_init(&file->references, 1);
    atomic_init(&file->garbage_values, 0);
    atomic_init(&file->garbage_bytes, 0);
    segment_summary_init(&file->summary, a);
    lore_status status = segment_summary_copy(&file->summary, summary);
    if (status == LORE_OK) {
        status = summary->kind == SEGMENT_BLOB ? blob_open(context, summary, &file->blob)
                                               : rows_open(context, summary, &file->rows);
        if (status != LORE_OK && keep_broken && is_breakage(status, strict)) {
            file->blob = NULL;
            file->rows = NULL;
            note_breakage(status, summary, &file->broken, file->why, sizeof file->why);
            status = LORE_OK;
        }
    }
    if (status != LORE_OK) {
        segment_summary_deinit(&file->summary);
        mem_put(a, file, sizeof *file);
        return status;
    }
    *out = file;
    return LORE_OK;
}

void value_file_release(struct value_file *file) {
    if (atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) != 1) return;
    const struct allocator *a = file->summary.allocator;
    if (file->blob != NULL) blob_close(file->blob);
    if (file->rows != NULL) rows_close(file->rows);
    segment_summary_deinit(&file->summary);
    mem_put(a, file, sizeof *file);
}

void value_file_mark_dropped(struct value_file *file) {
    if (file->blob != NULL) pooled_file_mark_dropped(blob_file(file->blob));
    if (file->rows != NULL) pooled_file_mark_dropped(rows_file(file->rows));
}

/* ---- parts ---- */

void version_parts_init(struct version_parts *parts, const struct allocator *allocator) {
    *parts = (struct version_parts){.allocator = allocator};
}

void version_parts_deinit(struct version_parts *parts) {
    for (size_t i = 0; i < parts->tables_count; i++) {
        table_handle_release(parts->tables[i].handle);
        bytes_free(&parts->tables[i].cut);
    }
    for (size_t i = 0; i < parts->values_count; i++)
        value_file_release(parts->values[i]);
    mem_put(parts->allocator, parts->tables, parts->tables_capacity * sizeof *parts->tables);
    mem_put(parts->allocator, parts->values, parts->values_capacity * sizeof(struct value_file *));
    version_parts_init(parts, parts->allocator);
}

static lore_status grow_to(const struct allocator *allocator, void **array, size_t size,
                           size_t needed, size_t *capacity) {
    if (needed <= *capacity) return LORE_OK;
    size_t wanted = *capacity + *capacity / 2;
    if (wanted < needed) wanted = needed;
    size_t bytes;
    if (!size_mul(wanted, size, &bytes))
        return fail(LORE_NO_MEMORY, "no memory for %zu files of a version", wanted);
    TRY(mem_resize(allocator, array, *capacity * size, bytes));
    *capacity = wanted;
    return LORE_OK;
}

lore_status version_parts_reserve(struct version_parts *parts, size_t tables, size_t values) {
    void *array = parts->tables;
    TRY(grow_to(parts->allocator, &array, sizeof *parts->tables, parts->tables_count + tables,
                &parts->tables_capacity));
    parts->tables = array;
    array = parts->values;
    TRY(grow_to(parts->allocator, &array, sizeof(struct value_file *), parts->values_count + values,
                &parts->values_capacity));
    parts->values = array;
    return LORE_OK;
}

lore_status version_take_apart(const struct version *version, struct version_parts *parts) {
    TRY(version_parts_reserve(parts, version->slots_count, version->values_count));
    for (uint8_t level = 0; level < LEVELS_MAX; level++) {
        for (size_t r = 0; r < version->levels[level].count; r++) {
            const struct run *run = &version->levels[level].runs[r];
            for (size_t t = 0; t < run->count; t++) {
                struct bytes cut = bytes_empty(version->allocator);
                TRY(bytes_set(&cut, bytes_slice(&run->tables[t].cut)));
                struct table_handle *handle = run->tables[t].handle;
                atomic_fetch_add_explicit(&handle->references, 1, memory_order_relaxed);
                parts->tables[parts->tables_count++] =
                    (struct placed_table){level, run->id, run->order, handle, cut};
            }
        }
    }
    for (size_t i = 0; i < version->values_count; i++) {
        atomic_fetch_add_explicit(&version->values[i]->references, 1, memory_order_relaxed);
        parts->values[parts->values_count++] = version->values[i];
    }
    return LORE_OK;
}

/* ---- building ---- */

/* Level, then newer runs first, then keys in order: of disjoint ranges the last keys tell, but for
 * one that its cut leaves nothing of, which comes behind what took its place. */
static int compare_placed(const struct placed_table *a, const struct placed_table *b) {
    if (a->level != b->level) return a->level < b->level ? -1 : 1;
    if (a->run_order != b->run_order) return a->run_order > b->run_order ? -1 : 1;
    if (a->run != b->run) return a->run > b->run ? -1 : 1;
    const struct segment_summary *x = &a->handle->summary, *y = &b->handle->summary;
    int order = slice_compare(bytes_slice(&x->last_key), bytes_slice(&y->last_key));
    if (order != 0) return order;
    if (x->last_key_exclusive != y->last_key_exclusive) return x->last_key_exclusive ? -1 : 1;
    return slice_compare(bytes_slice(&a->cut), bytes_slice(&b->cut));
}

/* By insertion: changes touch few places of what was sorted before, so this is close to linear. */
static void sort_placed(struct placed_table *tables, size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct placed_table moved = tables[i];
        if (compare_placed(&tables[i - 1], &moved) <= 0) continue;
        size_t low = 0, high = i;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (compare_placed(&tables[middle], &moved) <= 0)
                low = middle + 1;
            else
                high = middle;
        }
        memmove(&tables[low + 1], &tables[low], (i - low) * sizeof *tables);
        tables[low] = moved;
    }
}

static bool same_run(const struct placed_table *a, const struct placed_table *b) {
    return a->level == b->level && a->run == b->run && a->run_order == b->run_order;
}

/* Whether `end` is the key right behind `key`. */
static bool is_successor(lore_slice end, lore_slice key) {
    return end.size == key.size + 1 && slice_starts_with(end, key) &&
           ((const uint8_t *)end.data)[key.size] == 0;
}

/* Whether `next` begins only after `slot` has ended. */
static bool in_order(const struct table_slot *slot, const struct table_slot *next) {
    bool exclusive;
    lore_slice lower = table_slot_lower(next, &exclusive);
    const struct segment_summary *summary = &slot->handle->summary;
    lore_slice last = bytes_slice(&summary->last_key);
    int order = slice_compare(last, lower);
    if (order < 0) return true;
    if (order == 0) return exclusive || summary->last_key_exclusive;
    return exclusive && summary->last_key_exclusive && is_successor(last, lower);
}

/* Slots and runs of `version` from sorted parts; nothing is moved yet but by copy. */
static lore_status place_tables(const struct version_parts *parts, struct version *version) {
    struct run *run = NULL;
    size_t runs = 0;
    for (size_t i = 0; i < parts->tables_count; i++) {
        const struct placed_table *placed = &parts->tables[i];
        struct table_slot *slot = &version->slots[i];
        *slot = (struct table_slot){placed->handle, placed->cut};
        version->range_deletes += placed->handle->summary.range_deletes;
        if (i == 0 || !same_run(placed, placed - 1)) {
            run = &version->runs[runs++];
            *run = (struct run){placed->run, placed->run_order, slot, 0, 0};
            struct level *level = &version->levels[placed->level];
            if (level->count++ == 0) level->runs = run;
        } else if (!in_order(slot - 1, slot)) {
            return fail(LORE_CORRUPTION, "catalog: tables %llu and %llu of run %llu overlap",
                        (unsigned long long)(slot - 1)->handle->summary.id,
                        (unsigned long long)slot->handle->summary.id,
                        (unsigned long long)placed->run);
        }
        run->count++;
        run->bytes += placed->handle->summary.bytes;
    }
    assert(runs == version->runs_count);
    return LORE_OK;
}

static lore_status place_groups(struct version *version) {
    size_t count = 0;
    for (size_t i = 0; i < version->values_count; i++) {
        const struct segment_summary *summary = &version->values[i]->summary;
        for (size_t g = 0; g < summary->groups_count; g++) {
            uint64_t id = summary->groups[g].logical_id;
            size_t low = 0, high = count;
            while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (version->groups[middle].logical_id < id)
                    low = middle + 1;
                else
                    high = middle;
            }
            if (low < count && version->groups[low].logical_id == id)
                return fail(LORE_CORRUPTION, "catalog: two files hold the values of segment %llu",
                            (unsigned long long)id);
            memmove(&version->groups[low + 1], &version->groups[low],
                    (count - low) * sizeof *version->groups);
            version->groups[low] = (struct value_group){id, i};
            count++;
        }
    }
    return LORE_OK;
}

/* The version's arrays, sized for the parts. */
static lore_status take_arrays(const struct version_parts *parts, struct version *version) {
    const struct allocator *a = parts->allocator;
    size_t runs = 0, groups = 0;
    for (size_t i = 0; i < parts->tables_count; i++) {
        if (parts->tables[i].level >= LEVELS_MAX)
            return fail(LORE_CORRUPTION, "catalog: table %llu stands in level %u",
                        (unsigned long long)parts->tables[i].handle->summary.id,
                        parts->tables[i].level);
        if (i == 0 || !same_run(&parts->tables[i], &parts->tables[i - 1])) runs++;
    }
    for (size_t i = 0; i < parts->values_count; i++)
        groups += parts->values[i]->summary.groups_count;
    void *memory;
    TRY(mem_new(a, parts->tables_count * sizeof *version->slots, &memory));
    version->slots = memory;
    version->slots_count = parts->tables_count;
    TRY(mem_new(a, runs * sizeof *version->runs, &memory));
    version->runs = memory;
    version->runs_count = runs;
    TRY(mem_new(a, groups * sizeof *version->groups, &memory));
    version->groups = memory;
    version->groups_count = groups;
    TRY(mem_new(a, parts->values_count * sizeof(struct value_file *), &memory));
    version->values = memory;
    version->values_count = parts->values_count;
    return LORE_OK;
}

lore_status version_build(struct version_parts *parts, uint64_t number, struct version **out) {
    sort_placed(parts->tables, parts->tables_count);
    void *memory;
    TRY(mem_new(parts->allocator, sizeof(struct version), &memory));
    struct version *version = memory;
    version->allocator = parts->allocator;
    version->number = number;
    atomic_init(&version->references, 1);
    lore_status status;
    TRY_OR(take_arrays(parts, version), status, failed);
    if (parts->values_count > 0)
        memcpy(version->values, parts->values, parts->values_count * sizeof(struct value_file *));
    TRY_OR(place_tables(parts, version), status, failed);
    TRY_OR(place_groups(version), status, failed);
    parts->tables_count = 0;
    parts->values_count = 0;
    *out = version;
    return LORE_OK;

failed: /* the references are still the parts' */
    mem_put(parts->allocator, version->slots, version->slots_count * sizeof *version->slots);
    mem_put(parts->allocator, version->runs, version->runs_count * sizeof *version->runs);
    mem_put(parts->allocator, version->groups, version->groups_count * sizeof *version->groups);
    mem_put(parts->allocator, version->values, version->values_count * sizeof(struct value_file *));
    mem_put(parts->allocator, version, sizeof *version);
    return status;
}
