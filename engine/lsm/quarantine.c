/*
 * quarantine.c - the catalog's record of a segment in which background work met damage. Nothing is
 * moved: the file stays where it is and what is whole of it is read.
 */
#include "lsm/background.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define REASON_BYTES_MAX 512u

struct quarantine_search {
    const struct allocator *allocator;
    uint64_t segment_id;
    bool found;
};

static lore_status see_quarantine(void *context, lore_slice key, lore_slice value) {
    (void)key;
    struct quarantine_search *search = context;
    struct quarantine_record record;
    TRY(quarantine_record_decode(value, search->allocator, &record));
    if (record.kind == QUARANTINE_SEGMENT && record.segment_id == search->segment_id)
        search->found = true;
    quarantine_record_deinit(&record);
    return LORE_OK;
}

static lore_status add_quarantine(struct lsm *lsm, enum segment_kind kind, uint64_t segment_id,
                                  uint64_t bytes, const char *reason, struct catalog_edit *edit) {
    struct quarantine_search search = {lsm->work, segment_id, false};
    struct catalog_key prefix = schema_key('Q');
    env_lock(lsm->config.context->env, lsm->config.catalog_mutex);
    lore_status status =
        catalog_scan(lsm->config.catalog, catalog_key_slice(&prefix), see_quarantine, &search);
    env_unlock(lsm->config.context->env, lsm->config.catalog_mutex);
    if (status != LORE_OK || search.found) return status;
    uint64_t number;
    TRY(lsm_take_quarantine_number(lsm, &number));
    char name[SEGMENT_NAME_BYTES];
    segment_file_name(name, kind, segment_id);
    struct quarantine_record record = {.kind = QUARANTINE_SEGMENT,
                                       .segment_id = segment_id,
                                       .bytes = bytes,
                                       .since_us = env_now_us(lsm->config.context->env),
                                       .file = bytes_empty(lsm->work),
                                       .reason = bytes_empty(lsm->work)};
    struct bytes value = bytes_empty(lsm->work);
    status = bytes_set(&record.file, lore_slice_of(name));
    if (status == LORE_OK) status = bytes_set(&record.reason, lore_slice_of(reason));
    if (status == LORE_OK) status = quarantine_record_encode(&record, &value);
    struct catalog_key key = schema_key_number('Q', number);
    if (status == LORE_OK)
        status = catalog_edit_put(edit, catalog_key_slice(&key), bytes_slice(&value));
    quarantine_record_deinit(&record);
    bytes_free(&value);
    return status;
}

static const struct segment_summary *find_segment(const struct version *version, uint64_t id) {
    const struct run *run;
    size_t at;
    if (version_find_table(version, id, &run, &at)) return &run->tables[at].handle->summary;
    for (size_t i = 0; i < version->values_count; i++) {
        if (version->values[i]->summary.id == id) return &version->values[i]->summary;
    }
    return NULL;
}

void background_quarantine(struct lsm *lsm, uint64_t segment_id, uint8_t slot) {
    char reason[REASON_BYTES_MAX];
    size_t size = strlen(lore_error_message());
    if (size >= sizeof reason) size = sizeof reason - 1;
    memcpy(reason, lore_error_message(), size);
    reason[size] = '\0';
    log_write(lsm->config.context->logger, LORE_LOG_ERROR, "left alone until opened again: %s",
              reason);
    struct catalog_edit edit;
    catalog_edit_init(&edit, lsm->work);
    lore_status status = LORE_OK;
    const struct segment_summary *summary = find_segment(lsm->version, segment_id);
    if (summary != NULL)
        status = add_quarantine(lsm, summary->kind, segment_id, summary->bytes, reason, &edit);
    struct catalog_key key = schema_key_number('J', slot);
    if (status == LORE_OK && slot < JOB_SLOTS)
        status = catalog_edit_delete(&edit, catalog_key_slice(&key));
    if (status == LORE_OK) status = lsm_commit(lsm, &edit);
    catalog_edit_deinit(&edit);
    fail(LORE_CORRUPTION, "%s", reason);
}
