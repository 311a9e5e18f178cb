/*
 * install.c - committing a change of shape and putting the new version in place; ids that are never
 * used twice.
 *
 * Order, so that a failure at any point leaves the old shape whole: the new version is built first
 * (its files opened and checked), then the edit is committed, and only then, by pointers alone,
 * does the version appear. Files that it dropped are marked after the commit and unlinked with the
 * last reference.
 */
#include <assert.h>

#include "lsm/lsm_internal.h"
#include "lsm/version_parts.h"
#include "segment/block_cache.h"

#include "base/poison.h"

lore_status lsm_commit(struct lsm *lsm, const struct catalog_edit *edit) {
    lsm->sys->ops->mutex_lock(lsm->sys, lsm->config.catalog_mutex);
    lore_status status = catalog_commit(lsm->config.catalog, edit);
    lsm->sys->ops->mutex_unlock(lsm->sys, lsm->config.catalog_mutex);
    return status;
}

/* ---- a change of shape ---- */

/* Room to remember what the change drops, so that nothing after the commit can fail. */
static lore_status reserve_dropped(struct lsm *lsm, size_t count) {
    if (count <= lsm->dropped_capacity) return LORE_OK;
    void *memory = lsm->dropped;
    TRY(mem_resize(lsm->allocator, &memory, lsm->dropped_capacity * sizeof *lsm->dropped,
                   count * sizeof *lsm->dropped));
    lsm->dropped = memory;
    lsm->dropped_capacity = count;
    return LORE_OK;
}

static lore_status complete_edit(struct lsm *lsm, const struct version_change *change,
                                 const struct log_record_state *log, struct catalog_edit *edit) {
    for (size_t i = 0; i < lsm->dropped_count; i++) {
        struct catalog_key key = schema_key_number('S', lsm->dropped[i]);
        TRY(catalog_edit_delete(edit, catalog_key_slice(&key)));
    }
    TRY(version_change_to_edit(change, lsm->version, edit));
    if (log == NULL) return LORE_OK;
    struct bytes value = bytes_empty(lsm->work);
    lore_status status = log_record_state_encode(log, &value);
    struct catalog_key key = schema_key('L');
    if (status == LORE_OK)
        status = catalog_edit_put(edit, catalog_key_slice(&key), bytes_slice(&value));
    bytes_free(&value);
    return status;
}

static void mark_dropped(struct lsm *lsm, const struct version_change *change,
                         const struct version *from) {
    for (size_t i = 0; i < change->dropped_count; i++) {
        uint64_t id = change->dropped[i];
        const struct run *run;
        size_t at;
        if (version_find_table(from, id, &run, &at))
            table_handle_mark_dropped(run->tables[at].handle);
        for (size_t v = 0; v < from->values_count; v++) {
            if (from->values[v]->summary.id == id) value_file_mark_dropped(from->values[v]);
        }
        block_cache_forget(lsm->config.context->cache, id);
        lsm->dropped[i] = id;
    }
    lsm->dropped_count = change->dropped_count;
}

static lore_status install(struct lsm *lsm, const struct version_change *change,
                           struct catalog_edit *edit, const struct log_record_state *log,
                           bool *maybe_durable) {
    assert(!lsm->config.read_only);
    *maybe_durable = false;
    struct version *from = lsm->version; /* the background alone changes it */
    TRY(reserve_dropped(lsm, change->dropped_count));
    TRY(complete_edit(lsm, change, log, edit));
    struct version *version;
    TRY(lsm_reading(lsm, version_apply(from, lsm->config.context, change, &version)));
    lore_status status = lsm_commit(lsm, edit);
    if (status != LORE_OK) {
        *maybe_durable = status != LORE_FULL;
        version_release(version);
        return status;
    }
    mark_dropped(lsm, change, from);
    version_change_set_garbage(change, version);

    struct memtable *flushed = NULL;
    lsm->sys->ops->mutex_lock(lsm->sys, lsm->mutex);
    lsm->version = version;
    if (log != NULL) {
        flushed = lsm->frozen;
        lsm->frozen = NULL;
        lsm->retired++;
        lsm->log = *log;
    }
    atomic_fetch_add(&lsm->view_number, 1);
    lsm->sys->ops->mutex_unlock(lsm->sys, lsm->mutex);

    if (flushed != NULL) {
        memtable_set_state(flushed, MEMTABLE_FLUSHED);
        memtable_release(flushed);
    }
    version_release(from);
    return LORE_OK;
}

lore_status lsm_install(struct lsm *lsm, struct version_change *change, struct catalog_edit *edit,
                        bool *maybe_durable) {
    return install(lsm, change, edit, NULL, maybe_durable);
}

lore_status lsm_install_flush(struct lsm *lsm, struct version_change *change,
                              struct catalog_edit *edit, const struct log_record_state *log,
                              bool *maybe_durable) {
    return install(lsm, change, edit, log, maybe_durable);
}

/* ---- ids ---- */

/* Change the counters in the catalog. Others have counters in the same record (spaces), so it is
 * read and written back under one hold of the catalog's mutex. */
static lore_status raise_counters(struct lsm *lsm, uint64_t segment_end, uint64_t run_end,
                                  uint64_t quarantine_taken) {
    struct catalog *catalog = lsm->config.catalog;
    struct catalog_key key = schema_key('C');
    struct counters_record counters = {0};
    struct bytes value = bytes_empty(lsm->work);
    struct catalog_edit edit;
    catalog_edit_init(&edit, lsm->work);
    lsm->sys->ops->mutex_lock(lsm->sys, lsm->config.catalog_mutex);
    lore_status status = catalog_get(catalog, catalog_key_slice(&key), &value);
    if (status == LORE_OK)
        status = counters_record_decode(bytes_slice(&value), lsm->work, &counters);
    else if (status == LORE_NOT_FOUND)
        status = LORE_OK;
    counters.segment_end = segment_end;
    counters.run_end = run_end;
    counters.quarantine_end += quarantine_taken;
    if (status == LORE_OK) status = counters_record_encode(&counters, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(&edit, catalog_key_slice(&key), bytes_slice(&value));
    if (status == LORE_OK) status = catalog_commit(catalog, &edit);
    lsm->sys->ops->mutex_unlock(lsm->sys, lsm->config.catalog_mutex);
    if (status == LORE_OK) lsm->counters = counters;
    catalog_edit_deinit(&edit);
    bytes_free(&value);
    return status;
}

lore_status lsm_take_segment_id(struct lsm *lsm, uint64_t *id) {
    if (lsm->segment_next >= lsm->counters.segment_end)
        TRY(raise_counters(lsm, lsm->segment_next + LSM_IDS_RESERVED, lsm->counters.run_end, 0));
    *id = lsm->segment_next++;
    return LORE_OK;
}

lore_status lsm_take_run_id(struct lsm *lsm, uint64_t *id) {
    if (lsm->run_next >= lsm->counters.run_end)
        TRY(raise_counters(lsm, lsm->counters.segment_end, lsm->run_next + LSM_IDS_RESERVED, 0));
    *id = lsm->run_next++;
    return LORE_OK;
}

lore_status lsm_take_quarantine_number(struct lsm *lsm, uint64_t *number) {
    TRY(raise_counters(lsm, lsm->counters.segment_end, lsm->counters.run_end, 1));
    *number = lsm->counters.quarantine_end - 1;
    return LORE_OK;
}
