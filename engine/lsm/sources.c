/*
 * sources.c - memtables and runs behind one cursor form.
 */
#include "lsm/sources.h"

#include <assert.h>

#include "base/poison.h"

void source_init_memtable(struct source *source, const struct memtable *memtable) {
    *source = (struct source){.kind = SOURCE_MEMTABLE, .at = SOURCE_END};
    memtable_cursor_init(&source->memtable, memtable);
}

void source_init_run(struct source *source, const struct run *run, const struct source_mode *mode) {
    *source = (struct source){.kind = SOURCE_RUN, .at = SOURCE_END, .run = run, .mode = *mode};
}

static void close_cursor(struct source *source) {
    if (source->cursor == NULL) return;
    source_collect_counts(source);
    table_cursor_destroy(source->cursor);
    source->cursor = NULL;
}

void source_deinit(struct source *source) {
    close_cursor(source);
    source->at = SOURCE_END;
}

void source_collect_counts(struct source *source) {
    if (source->cursor == NULL || source->mode.count == NULL) return;
    struct read_count *from = table_cursor_count(source->cursor);
    source->mode.count->blocks_read += from->blocks_read;
    source->mode.count->blocks_hit += from->blocks_hit;
    source->mode.count->bytes_read += from->bytes_read;
    *from = (struct read_count){0};
}

lore_status source_broken(const struct source *source) {
    assert(source->at == SOURCE_BROKEN);
    const struct table_handle *handle = source->run->tables[source->table].handle;
    return fail(handle->broken, "%s", handle->why);
}

/* ---- positions ---- */

static void set_head(struct source *source) {
    lore_slice key = source->entry.key;
    if (key.size >= 16) {
        source->head[0] = get_be64(key.data);
        source->head[1] = get_be64((const uint8_t *)key.data + 8);
        return;
    }
    uint8_t padded[16] = {0};
    if (key.size > 0) memcpy(padded, key.data, key.size);
    source->head[0] = get_be64(padded);
    source->head[1] = get_be64(padded + 8);
}

static lore_status stand_at_end(struct source *source) {
    source->at = SOURCE_END;
    return LORE_OK;
}

static lore_status stand_in_memtable(struct source *source) {
    if (!memtable_cursor_entry(&source->memtable, &source->entry)) return stand_at_end(source);
    source->at = SOURCE_ENTRY;
    set_head(source);
    return LORE_OK;
}

/* At the table cursor's entry; false if it has none. */
static bool stand_in_table(struct source *source) {
    if (!table_cursor_entry(source->cursor, &source->entry)) return false;
    source->at = SOURCE_ENTRY;
    set_head(source);
    return true;
}

static lore_status stand_broken(struct source *source, lore_slice bound, bool after) {
    source->at = SOURCE_BROKEN;
    source->entry = (struct entry){.key = bound};
    source->after = after;
    set_head(source);
    return LORE_OK;
}

/* Have the cursor of table `index` open. */
static lore_status enter_table(struct source *source, size_t index) {
    if (source->cursor != NULL && source->table == index) return LORE_OK;
    close_cursor(source);
    source->table = index;
    return table_cursor_create(source->run->tables[index].handle->table, source->mode.allocator,
                               source->mode.scan, source->mode.readahead_bytes, &source->cursor);
}

/* What a walk that reaches table `index` finds there or behind it. `key`: not before it (NULL: from
 * the table's start). */
static lore_status walk_forward(struct source *source, size_t index, const lore_slice *key,
                                uint64_t sequence) {
    source->at = SOURCE_END;
    for (; index < source->run->count; index++, key = NULL) {
        const struct table_slot *slot = &source->run->tables[index];
        bool exclusive;
        lore_slice lower = table_slot_lower(slot, &exclusive);
        if (slot->handle->broken != LORE_OK) {
            close_cursor(source);
            source->table = index;
            return stand_broken(source, lower, exclusive);
        }
        TRY(enter_table(source, index));
        if (key != NULL && slice_compare(*key, lower) > 0)
            TRY(table_cursor_seek(source->cursor, *key, sequence));
        else if (exclusive)
            TRY(table_cursor_seek(source->cursor, lower, 0)); /* behind all versions of the cut */
        else if (key != NULL)
            TRY(table_cursor_seek(source->cursor, *key, sequence));
        else
            TRY(table_cursor_seek_first(source->cursor));
        if (stand_in_table(source)) return LORE_OK;
    }
    close_cursor(source);
    return LORE_OK;
}

/* Whether the entry lies at or below the slot's cut. */
static bool is_cut_off(const struct table_slot *slot, const struct entry *entry) {
    return slot->cut.size > 0 && slice_compare(entry->key, bytes_slice(&slot->cut)) <= 0;
}

/* The same backward, from the table before `end`. `key`: smaller than it (NULL: from the table's
 * last). */
static lore_status walk_backward(struct source *source, size_t end, const lore_slice *key) {
    source->at = SOURCE_END;
    for (size_t index = end; index-- > 0; key = NULL) {
        const struct table_slot *slot = &source->run->tables[index];
        bool exclusive;
        lore_slice lower = table_slot_lower(slot, &exclusive);
        if (key != NULL && slice_compare(lower, *key) >= 0) continue;
        if (slot->handle->broken != LORE_OK) {
            const struct segment_summary *summary = &slot->handle->summary;
            close_cursor(source);
            source->table = index;
            return stand_broken(source, bytes_slice(&summary->last_key),
                                !summary->last_key_exclusive);
        }
        TRY(enter_table(source, index));
        if (key != NULL)
            TRY(table_cursor_seek_before(source->cursor, *key));
        else
            TRY(table_cursor_seek_last(source->cursor));
        if (stand_in_table(source) && !is_cut_off(slot, &source->entry)) return LORE_OK;
        source->at = SOURCE_END;
    }
    close_cursor(source);
    return LORE_OK;
}

lore_status source_seek(struct source *source, lore_slice key, uint64_t sequence) {
    if (source->kind == SOURCE_MEMTABLE) {
        memtable_seek(&source->memtable, key, sequence);
        return stand_in_memtable(source);
    }
    return walk_forward(source, run_find(source->run, key), &key, sequence);
}

lore_status source_seek_first(struct source *source) {
    if (source->kind == SOURCE_MEMTABLE) {
        memtable_seek_first(&source->memtable);
        return stand_in_memtable(source);
    }
    return walk_forward(source, 0, NULL, SEQUENCE_MAX);
}

lore_status source_seek_before(struct source *source, lore_slice key) {
    if (source->kind == SOURCE_MEMTABLE) {
        memtable_seek_before(&source->memtable, key);
        return stand_in_memtable(source);
    }
    size_t index = run_find(source->run, key);
    if (index == source->run->count) return walk_backward(source, index, NULL);
    return walk_backward(source, index + 1, &key);
}

lore_status source_seek_last(struct source *source) {
    if (source->kind == SOURCE_MEMTABLE) {
        memtable_seek_last(&source->memtable);
        return stand_in_memtable(source);
    }
    return walk_backward(source, source->run->count, NULL);
}

lore_status source_next(struct source *source) {
    assert(source->at != SOURCE_END);
    if (source->kind == SOURCE_MEMTABLE) {
        memtable_next(&source->memtable);
        return stand_in_memtable(source);
    }
    if (source->at == SOURCE_ENTRY) {
        source->at = SOURCE_END;
        TRY(table_cursor_next(source->cursor));
        if (stand_in_table(source)) return LORE_OK;
    }
    return walk_forward(source, source->table + 1, NULL, SEQUENCE_MAX);
}

lore_status source_prev(struct source *source) {
    assert(source->at != SOURCE_END);
    if (source->kind == SOURCE_MEMTABLE) {
        memtable_prev(&source->memtable);
        return stand_in_memtable(source);
    }
    if (source->at == SOURCE_ENTRY) {
        source->at = SOURCE_END;
        TRY(table_cursor_prev(source->cursor));
        if (stand_in_table(source) &&
            !is_cut_off(&source->run->tables[source->table], &source->entry))
            return LORE_OK;
    }
    return walk_backward(source, source->table, NULL);
}

/* ---- range deletes ---- */

static bool touches(const struct entry *range, lore_slice lower, lore_slice upper) {
    return slice_compare(range->value, lower) > 0 &&
           (upper.size == 0 || slice_compare(range->key, upper) < 0);
}

lore_status source_memtable_range_deletes(const struct memtable *memtable, uint64_t sequence,
                                          lore_slice lower, lore_slice upper,
                                          struct range_deletes *deletes) {
    size_t count = memtable_range_deletes(memtable);
    for (size_t i = 0; i < count; i++) {
        struct entry range;
        memtable_range_delete(memtable, i, &range);
        if (range.sequence > sequence || !touches(&range, lower, upper)) continue;
        TRY(range_deletes_add(deletes, range.key, range.value, range.sequence));
    }
    return LORE_OK;
}

lore_status source_run_range_deletes(const struct run *run, uint64_t sequence, lore_slice lower,
                                     lore_slice upper, struct range_deletes *deletes) {
    for (size_t t = run_find(run, lower); t < run->count; t++) {
        const struct table_handle *handle = run->tables[t].handle;
        if (upper.size > 0 && slice_compare(bytes_slice(&handle->summary.first_key), upper) >= 0)
            break;
        if (handle->table == NULL || handle->summary.range_deletes == 0) continue;
        size_t count = table_range_delete_count(handle->table);
        for (size_t i = 0; i < count; i++) {
            struct entry range;
            table_range_delete(handle->table, i, &range);
            if (range.sequence > sequence || !touches(&range, lower, upper)) continue;
            TRY(range_deletes_add(deletes, range.key, range.value, range.sequence));
        }
    }
    return LORE_OK;
}
