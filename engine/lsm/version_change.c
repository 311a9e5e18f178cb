/*
 * version_change.c - what the background did, as a list; as catalog records; and applied to a
 * version.
 */
#include <assert.h>

#include "lsm/version_parts.h"

#include "base/poison.h"

/* ---- the list ---- */

void version_change_init(struct version_change *change, const struct allocator *allocator) {
    *change = (struct version_change){.allocator = allocator};
}

static void free_summary(const struct allocator *allocator, struct segment_summary *summary) {
    segment_summary_deinit(summary);
    mem_put(allocator, summary, sizeof *summary);
}

void version_change_deinit(struct version_change *change) {
    const struct allocator *a = change->allocator;
    for (size_t i = 0; i < change->added_count; i++)
        free_summary(a, change->added[i].summary);
    for (size_t i = 0; i < change->added_values_count; i++)
        free_summary(a, change->added_values[i]);
    for (size_t i = 0; i < change->recut_count; i++)
        bytes_free(&change->recut[i].cut);
    mem_put(a, change->added, change->added_count * sizeof *change->added);
    mem_put(a, change->recut, change->recut_count * sizeof *change->recut);
    mem_put(a, change->moved, change->moved_count * sizeof *change->moved);
    mem_put(a, change->dropped, change->dropped_count * sizeof *change->dropped);
    mem_put(a, change->added_values, change->added_values_count * sizeof(struct segment_summary *));
    mem_put(a, change->garbage, change->garbage_count * sizeof *change->garbage);
    version_change_init(change, a);
}

/* One element more; changes are short, so each array has exactly its size. */
static lore_status grow(const struct allocator *allocator, void **array, size_t size,
                        size_t count) {
    return mem_resize(allocator, array, count * size, (count + 1) * size);
}

static lore_status copy_summary(const struct allocator *allocator,
                                const struct segment_summary *summary,
                                struct segment_summary **out) {
    void *memory;
    TRY(mem_new(allocator, sizeof(struct segment_summary), &memory));
    struct segment_summary *copy = memory;
    segment_summary_init(copy, allocator);
    lore_status status = segment_summary_copy(copy, summary);
    if (status != LORE_OK) {
        free_summary(allocator, copy);
        return status;
    }
    *out = copy;
    return LORE_OK;
}

lore_status version_change_add_table(struct version_change *change, uint8_t level, uint64_t run,
                                     uint64_t run_order, const struct segment_summary *summary) {
    assert(level < LEVELS_MAX && summary->kind == SEGMENT_TABLE);
    struct segment_summary *copy;
    TRY(copy_summary(change->allocator, summary, &copy));
    void *array = change->added;
    lore_status status =
        grow(change->allocator, &array, sizeof *change->added, change->added_count);
    if (status != LORE_OK) {
        free_summary(change->allocator, copy);
        return status;
    }
    change->added = array;
    change->added[change->added_count++] = (struct added_table){level, run, run_order, copy};
    return LORE_OK;
}

lore_status version_change_recut(struct version_change *change, uint64_t id, lore_slice cut) {
    struct bytes copy = bytes_empty(change->allocator);
    TRY(bytes_set(&copy, cut));
    void *array = change->recut;
    lore_status status =
        grow(change->allocator, &array, sizeof *change->recut, change->recut_count);
    if (status != LORE_OK) {
        bytes_free(&copy);
        return status;
    }
    change->recut = array;
    change->recut[change->recut_count++] = (struct recut_table){id, copy};
    return LORE_OK;
}

lore_status version_change_move(struct version_change *change, uint64_t id, uint8_t level,
                                uint64_t run, uint64_t run_order) {
    assert(level < LEVELS_MAX);
    void *array = change->moved;
    TRY(grow(change->allocator, &array, sizeof *change->moved, change->moved_count));
    change->moved = array;
    change->moved[change->moved_count++] = (struct moved_table){id, level, run, run_order};
    return LORE_OK;
}

lore_status version_change_drop(struct version_change *change, uint64_t id) {
    void *array = change->dropped;
    TRY(grow(change->allocator, &array, sizeof *change->dropped, change->dropped_count));
    change->dropped = array;
    change->dropped[change->dropped_count++] = id;
    return LORE_OK;
}

lore_status version_change_add_value_file(struct version_change *change,
                                          const struct segment_summary *summary) {
    assert(summary->kind == SEGMENT_BLOB || summary->kind == SEGMENT_ROWS);
    struct segment_summary *copy;
    TRY(copy_summary(change->allocator, summary, &copy));
    void *array = change->added_values;
    lore_status status = grow(change->allocator, &array, sizeof(struct segment_summary *),
                              change->added_values_count);
    if (status != LORE_OK) {
        free_summary(change->allocator, copy);
        return status;
    }
    change->added_values = array;
    change->added_values[change->added_values_count++] = copy;
    return LORE_OK;
}

lore_status version_change_garbage(struct version_change *change, uint64_t id, uint64_t values,
                                   uint64_t bytes) {
    void *array = change->garbage;
    TRY(grow(change->allocator, &array, sizeof *change->garbage, change->garbage_count));
    change->garbage = array;
    change->garbage[change->garbage_count++] = (struct garbage_change){id, values, bytes};
    return LORE_OK;
}

/* ---- what becomes of one file ---- */

static bool is_dropped(const struct version_change *change, uint64_t id) {
    for (size_t i = 0; i < change->dropped_count; i++) {
        if (change->dropped[i] == id) return true;
    }
    return false;
}

static const struct recut_table *recut_of(const struct version_change *change, uint64_t id) {
    for (size_t i = change->recut_count; i > 0; i--) {
        if (change->recut[i - 1].id == id) return &change->recut[i - 1];
    }
    return NULL;
}

static const struct moved_table *move_of(const struct version_change *change, uint64_t id) {
    for (size_t i = change->moved_count; i > 0; i--) {
        if (change->moved[i - 1].id == id) return &change->moved[i - 1];
    }
    return NULL;
}

static const struct garbage_change *garbage_of(const struct version_change *change, uint64_t id) {
    for (size_t i = change->garbage_count; i > 0; i--) {
        if (change->garbage[i - 1].id == id) return &change->garbage[i - 1];
    }
    return NULL;
}

/* ---- as catalog records ---- */

/* `record`'s cut and summary are borrowed. */
static lore_status put_record(struct catalog_edit *edit, const struct segment_record *record,
                              struct bytes *scratch) {
    TRY(segment_record_encode(record, scratch));
    struct catalog_key key = schema_key_number('S', record->summary.id);
    return catalog_edit_put(edit, catalog_key_slice(&key), bytes_slice(scratch));
}

static lore_status record_tables(const struct version_change *change, const struct version *from,
                                 struct catalog_edit *edit, struct bytes *scratch) {
    for (uint8_t level = 0; level < LEVELS_MAX; level++) {
        for (size_t r = 0; r < from->levels[level].count; r++) {
            const struct run *run = &from->levels[level].runs[r];
            for (size_t t = 0; t < run->count; t++) {
                const struct table_slot *slot = &run->tables[t];
                uint64_t id = slot->handle->summary.id;
                bool dropped = is_dropped(change, id);
                const struct recut_table *recut = recut_of(change, id);
                const struct moved_table *moved = move_of(change, id);
                if (!dropped && recut == NULL && moved == NULL) continue;
                struct segment_record record = {
                    .state = dropped ? SEGMENT_DROPPED : SEGMENT_LIVE,
                    .level = moved == NULL ? level : moved->level,
                    .run = moved == NULL ? run->id : moved->run,
                    .run_order = moved == NULL ? run->order : moved->run_order,
                    .cut = recut == NULL ? slot->cut : recut->cut,
                    .summary = slot->handle->summary,
                };
                TRY(put_record(edit, &record, scratch));
            }
        }
    }
    for (size_t i = 0; i < change->added_count; i++) {
        const struct added_table *added = &change->added[i];
        struct segment_record record = {.state = SEGMENT_LIVE,
                                        .level = added->level,
                                        .run = added->run,
                                        .run_order = added->run_order,
                                        .cut = bytes_empty(change->allocator),
                                        .summary = *added->summary};
        TRY(put_record(edit, &record, scratch));
    }
    return LORE_OK;
}

static lore_status record_values(const struct version_change *change, const struct version *from,
                                 struct catalog_edit *edit, struct bytes *scratch) {
    for (size_t i = 0; i < from->values_count; i++) {
        struct value_file *file = from->values[i];
        bool dropped = is_dropped(change, file->summary.id);
        const struct garbage_change *garbage = garbage_of(change, file->summary.id);
        if (!dropped && garbage == NULL) continue;
        struct segment_record record = {
            .state = dropped ? SEGMENT_DROPPED : SEGMENT_LIVE,
            .cut = bytes_empty(change->allocator),
            .garbage_values =
                garbage == NULL ? atomic_load(&file->garbage_values) : garbage->values,
            .garbage_bytes = garbage == NULL ? atomic_load(&file->garbage_bytes) : garbage->bytes,
            .summary = file->summary};
        TRY(put_record(edit, &record, scratch));
    }
    for (size_t i = 0; i < change->added_values_count; i++) {
        const struct garbage_change *garbage = garbage_of(change, change->added_values[i]->id);
        struct segment_record record = {.state = SEGMENT_LIVE,
                                        .cut = bytes_empty(change->allocator),
                                        .garbage_values = garbage == NULL ? 0 : garbage->values,
                                        .garbage_bytes = garbage == NULL ? 0 : garbage->bytes,
                                        .summary = *change->added_values[i]};
        TRY(put_record(edit, &record, scratch));
    }
    return LORE_OK;
}

lore_status version_change_to_edit(const struct version_change *change, const struct version *from,
                                   struct catalog_edit *edit) {
    struct bytes scratch = bytes_empty(change->allocator);
    lore_status status = record_tables(change, from, edit, &scratch);
    if (status == LORE_OK) status = record_values(change, from, edit, &scratch);
    bytes_free(&scratch);
    return status;
}

/* ---- applied ---- */

/* Moves, cuts and drops on what was there. */
static lore_status change_parts(const struct version_change *change, struct version_parts *parts) {
    size_t kept = 0;
    lore_status status = LORE_OK;
    for (size_t i = 0; i < parts->tables_count; i++) {
        struct placed_table placed = parts->tables[i];
        uint64_t id = placed.handle->summary.id;
        if (status == LORE_OK && is_dropped(change, id)) {
            table_handle_release(placed.handle);
            bytes_free(&placed.cut);
            continue;
        }
        const struct moved_table *moved = move_of(change, id);
        if (moved != NULL) {
            placed.level = moved->level;
            placed.run = moved->run;
            placed.run_order = moved->run_order;
        }
        const struct recut_table *recut = recut_of(change, id);
        if (recut != NULL && status == LORE_OK)
            status = bytes_set(&placed.cut, bytes_slice(&recut->cut));
        parts->tables[kept++] = placed;
    }
    parts->tables_count = kept;
    kept = 0;
    for (size_t i = 0; i < parts->values_count; i++) {
        struct value_file *file = parts->values[i];
        if (is_dropped(change, file->summary.id))
            value_file_release(file);
        else
            parts->values[kept++] = file;
    }
    parts->values_count = kept;
    return status;
}

/* Open what the change adds. */
static lore_status add_parts(const struct version_change *change,
                             const struct segment_context *context, struct version_parts *parts) {
    TRY(version_parts_reserve(parts, change->added_count, change->added_values_count));
    for (size_t i = 0; i < change->added_count; i++) {
        const struct added_table *added = &change->added[i];
        struct placed_table *placed = &parts->tables[parts->tables_count];
        *placed = (struct placed_table){added->level, added->run, added->run_order, NULL,
                                        bytes_empty(parts->allocator)};
        TRY(table_handle_open(context, added->summary, false, false, &placed->handle));
        parts->tables_count++;
    }
    for (size_t i = 0; i < change->added_values_count; i++) {
        struct value_file **file = &parts->values[parts->values_count];
        TRY(value_file_open(context, change->added_values[i], false, false, file));
        parts->values_count++;
    }
    return LORE_OK;
}

void version_change_set_garbage(const struct version_change *change,
                                const struct version *version) {
    for (size_t i = 0; i < version->values_count; i++) {
        const struct garbage_change *garbage = garbage_of(change, version->values[i]->summary.id);
        if (garbage == NULL) continue;
        atomic_store(&version->values[i]->garbage_values, garbage->values);
        atomic_store(&version->values[i]->garbage_bytes, garbage->bytes);
    }
}

lore_status version_apply(const struct version *from, const struct segment_context *context,
                          const struct version_change *change, struct version **version) {
    struct version_parts parts;
    version_parts_init(&parts, from->allocator);
    lore_status status = version_take_apart(from, &parts);
    if (status == LORE_OK) status = change_parts(change, &parts);
    if (status == LORE_OK) status = add_parts(change, context, &parts);
    if (status == LORE_OK) status = version_build(&parts, from->number + 1, version);
    version_parts_deinit(&parts);
    return status;
}
