/*
 * garbage.c - what flush, compaction and rewrite share: undoing files, and values that lost their
 * reference.
 */
#include "lsm/background.h"
#include "segment/segment_file.h"

#include "base/poison.h"

void background_unlink(struct lsm *lsm, enum segment_kind kind, uint64_t id) {
    char path[PATH_BYTES_MAX];
    if (segment_path(lsm->config.context, kind, id, path) != LORE_OK) return;
    lore_status ignored = fs_unlink(lsm->config.context->env, path);
    (void)ignored;
}

void background_unlink_added(struct lsm *lsm, const struct version_change *change) {
    for (size_t i = 0; i < change->added_count; i++)
        background_unlink(lsm, change->added[i].summary->kind, change->added[i].summary->id);
    for (size_t i = 0; i < change->added_values_count; i++)
        background_unlink(lsm, change->added_values[i]->kind, change->added_values[i]->id);
}

lore_status background_sync_dir(struct lsm *lsm) {
    const lore_env *env = lsm->config.context->env;
    return env->fs->ops->sync_dir(env->fs, lsm->config.context->dir);
}

/* ---- garbage ---- */

void garbage_list_deinit(struct garbage_list *garbage) {
    mem_put(garbage->allocator, garbage->list, garbage->capacity * sizeof *garbage->list);
    *garbage = (struct garbage_list){.allocator = garbage->allocator};
}

static lore_status insert(struct garbage_list *garbage, size_t at, uint64_t logical_id) {
    if (garbage->count == garbage->capacity) {
        size_t capacity = garbage->capacity == 0 ? 8 : 2 * garbage->capacity;
        void *memory = garbage->list;
        TRY(mem_resize(garbage->allocator, &memory, garbage->capacity * sizeof *garbage->list,
                       capacity * sizeof *garbage->list));
        garbage->list = memory;
        garbage->capacity = capacity;
    }
    memmove(&garbage->list[at + 1], &garbage->list[at],
            (garbage->count - at) * sizeof *garbage->list);
    garbage->list[at] = (struct garbage_entry){logical_id, 0, 0};
    garbage->count++;
    return LORE_OK;
}

lore_status garbage_list_add(struct garbage_list *garbage, lore_slice reference) {
    struct value_ref ref;
    if (!value_ref_decode(reference, &ref))
        return fail(LORE_CORRUPTION, "a value reference of %zu bytes", reference.size);
    size_t low = 0, high = garbage->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (garbage->list[middle].logical_id < ref.logical_id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == garbage->count || garbage->list[low].logical_id != ref.logical_id)
        TRY(insert(garbage, low, ref.logical_id));
    garbage->list[low].values++;
    garbage->list[low].bytes += ref.length;
    return LORE_OK;
}

/* Several logical ids may be one file's. */
lore_status garbage_list_apply(const struct garbage_list *garbage, const struct version *version,
                               struct version_change *change) {
    for (size_t v = 0; garbage->count > 0 && v < version->values_count; v++) {
        struct value_file *file = version->values[v];
        uint64_t values = 0, bytes = 0;
        for (size_t i = 0; i < garbage->count; i++) {
            if (version_value_file(version, garbage->list[i].logical_id) != file) continue;
            values += garbage->list[i].values;
            bytes += garbage->list[i].bytes;
        }
        if (values == 0) continue;
        TRY(version_change_garbage(change, file->summary.id,
                                   atomic_load(&file->garbage_values) + values,
                                   atomic_load(&file->garbage_bytes) + bytes));
    }
    return LORE_OK;
}
