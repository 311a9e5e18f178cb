/*
 * lookup.c - one key at a sequence number, from the newest source to the oldest.
 *
 * The walk ends at the first put or delete, or where a range delete that covers the key was met:
 * whatever lies beneath is older than it. Merge operands are combined on the way down. A broken
 * table whose range holds the key ends the walk with its error: what lies beneath it must not be
 * mistaken for the newest.
 */
#include <assert.h>

#include "base/merge.h"
#include "lsm/lsm_internal.h"

#include "base/poison.h"

#define OPERAND_BYTES_MAX (MERGE_FIELD_BYTES * MERGE_FIELDS_MAX)

struct search {
    lore_slice key;
    uint64_t sequence; /* nothing newer counts */
    struct read_count *count;
    struct bytes *scratch; /* for values from tables; the caller's result where it wants one */

    uint64_t newest;     /* of the newest entry or covering range delete; 0: none met */
    bool newest_deletes; /* it is a delete or range delete */
    uint64_t covering;   /* the newest range delete met that covers the key; 0: none */
    bool done;
    bool found;
    struct entry
        entry;    /* when found: kind and value (in the memtable, in scratch or in `merged`) */
    bool merging; /* operands were met; merged holds them combined */
    uint8_t merged[OPERAND_BYTES_MAX];
    size_t merged_size;
};

static void note_newest(struct search *search, uint64_t sequence, bool deletes) {
    if (search->newest >= sequence) return;
    search->newest = sequence;
    search->newest_deletes = deletes;
}

/* Nothing beneath counts. */
static void end_search(struct search *search) {
    search->done = true;
    if (!search->merging) return;
    search->found = true;
    search->entry = (struct entry){search->key, search->newest, ENTRY_PUT,
                                   slice(search->merged, search->merged_size)};
}

static lore_status take_operand(struct search *search, const struct entry *entry) {
    if (entry->value.size > OPERAND_BYTES_MAX || !merge_is_valid(entry->value))
        return fail(LORE_CORRUPTION, "sequence %llu: not the form of a merge operand",
                    (unsigned long long)entry->sequence);
    if (!search->merging) {
        memcpy(search->merged, entry->value.data, entry->value.size);
        search->merged_size = entry->value.size;
        search->merging = true;
        return LORE_OK;
    }
    uint8_t combined[OPERAND_BYTES_MAX];
    if (!merge_combine(entry->value, slice(search->merged, search->merged_size), combined))
        return fail(LORE_CORRUPTION, "sequence %llu: a merge operand of another form",
                    (unsigned long long)entry->sequence);
    memcpy(search->merged, combined, entry->value.size);
    search->merged_size = entry->value.size;
    return LORE_OK;
}

/* The next older entry of the key. */
static lore_status take_entry(struct search *search, const struct entry *entry) {
    if (entry->sequence < search->covering) {
        end_search(search);
        return LORE_OK;
    }
    note_newest(search, entry->sequence, entry->kind == ENTRY_DELETE);
    if (entry->kind == ENTRY_MERGE) return take_operand(search, entry);
    if (entry->kind == ENTRY_DELETE) {
        end_search(search);
        return LORE_OK;
    }
    if (search->merging) {
        if (entry->kind != ENTRY_PUT)
            return fail(LORE_CORRUPTION, "sequence %llu: no value to merge into",
                        (unsigned long long)entry->sequence);
        TRY(take_operand(search, entry));
        end_search(search);
        return LORE_OK;
    }
    search->done = true;
    search->found = true;
    search->entry = *entry;
    return LORE_OK;
}

static void take_covering(struct search *search, uint64_t sequence) {
    if (sequence > search->covering) search->covering = sequence;
}

/* After a source: a range delete in it covers all that is older. */
static void close_source(struct search *search) {
    if (search->covering == 0) return;
    note_newest(search, search->covering, true);
    if (!search->done) end_search(search);
}

static lore_status search_memtable(struct search *search, const struct memtable *memtable) {
    if (memtable_range_deletes(memtable) > 0)
        take_covering(search, memtable_covering(memtable, search->key, search->sequence));
    struct memtable_cursor cursor;
    struct entry entry;
    memtable_cursor_init(&cursor, memtable);
    memtable_seek(&cursor, search->key, search->sequence);
    while (!search->done && memtable_cursor_entry(&cursor, &entry) &&
           slice_equal(entry.key, search->key)) {
        TRY(take_entry(search, &entry));
        memtable_next(&cursor);
    }
    close_source(search);
    return LORE_OK;
}

static lore_status search_run(struct search *search, const struct run *run) {
    size_t at = run_find(run, search->key);
    if (at == run->count || !table_slot_covers(&run->tables[at], search->key)) return LORE_OK;
    const struct table_handle *handle = run->tables[at].handle;
    if (handle->broken != LORE_OK) return fail(handle->broken, "%s", handle->why);
    if (handle->summary.range_deletes > 0)
        take_covering(search, table_covering(handle->table, search->key, search->sequence));
    uint64_t sequence = search->sequence;
    while (!search->done) {
        struct entry entry;
        bool found;
        TRY(table_get(handle->table, search->key, sequence, search->count, &entry, search->scratch,
                      &found));
        if (!found) break;
        TRY(take_entry(search, &entry));
        if (entry.sequence == 0) break;
        sequence = entry.sequence - 1;
    }
    close_source(search);
    return LORE_OK;
}

static lore_status search_view(struct search *search, const struct lsm_view *view) {
    TRY(search_memtable(search, view->active));
    if (!search->done && view->frozen != NULL) TRY(search_memtable(search, view->frozen));
    const struct version *version = view->version;
    for (size_t r = 0; r < version->runs_count && !search->done; r++)
        TRY(search_run(search, &version->runs[r]));
    if (!search->done) end_search(search);
    return LORE_OK;
}

/* ---- calls ---- */

lore_status lsm_get(struct lsm *lsm, lore_slice key, uint64_t sequence, struct read_count *count,
                    struct lookup *lookup, struct bytes *value) {
    struct bytes own = bytes_empty(lsm->work);
    struct search search = {
        .key = key, .sequence = sequence, .count = count, .scratch = value == NULL ? &own : value};
    *lookup = (struct lookup){0};
    struct lsm_view view;
    lsm_view_acquire(lsm, &view);
    lore_status status = search_view(&search, &view);
    if (status == LORE_OK && search.found && value != NULL) {
        uint8_t reference[VALUE_REF_BYTES];
        struct entry entry = search.entry;
        entry.key = key;
        if (entry.kind == ENTRY_PUT_BLOB || entry.kind == ENTRY_VECTOR_ROW) {
            if (entry.value.size == VALUE_REF_BYTES) { /* it lies where the value shall go */
                memcpy(reference, entry.value.data, VALUE_REF_BYTES);
                entry.value.data = reference;
            }
        }
        status = version_read_value(view.version, &entry, count, value);
    }
    lsm_view_release(lsm, &view);
    bytes_free(&own);
    if (value != NULL && (status != LORE_OK || !search.found)) bytes_clear(value);
    if (status != LORE_OK) return status;
    lookup->sequence = search.newest;
    lookup->found = search.found;
    return LORE_OK;
}

lore_status lsm_newest(struct lsm *lsm, lore_slice key, uint64_t *sequence, bool *is_delete) {
    struct bytes scratch = bytes_empty(lsm->work);
    struct search search = {.key = key, .sequence = SEQUENCE_MAX, .scratch = &scratch};
    struct lsm_view view;
    lsm_view_acquire(lsm, &view);
    lore_status status = search_view(&search, &view);
    lsm_view_release(lsm, &view);
    bytes_free(&scratch);
    *sequence = search.newest;
    *is_delete = search.newest > 0 && search.newest_deletes;
    return status;
}

lore_status lsm_locate_vector(struct lsm *lsm, lore_slice key, uint64_t sequence,
                              struct read_count *count, bool *found, bool *in_rows,
                              struct value_ref *ref, uint64_t *entry_sequence) {
    struct bytes scratch = bytes_empty(lsm->work);
    struct search search = {.key = key, .sequence = sequence, .count = count, .scratch = &scratch};
    struct lsm_view view;
    lsm_view_acquire(lsm, &view);
    lore_status status = search_view(&search, &view);
    *found = status == LORE_OK && search.found;
    *in_rows = *found && search.entry.kind == ENTRY_VECTOR_ROW;
    *entry_sequence = search.newest;
    if (*in_rows && !value_ref_decode(search.entry.value, ref))
        status = fail(LORE_CORRUPTION, "sequence %llu: a vector's reference of %zu bytes",
                      (unsigned long long)search.newest, search.entry.value.size);
    lsm_view_release(lsm, &view);
    bytes_free(&scratch);
    return status;
}
