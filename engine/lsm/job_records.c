/*
 * job_records.c - what the catalog remembers of merges, so that a process that is killed goes on
 * where they were: the merges in progress, and the compaction that was asked for until it ends.
 */
#include "lsm/background.h"
#include "vfs/sync.h"

#include "base/poison.h"

/* Whoever asks for a compaction within so long of one that did not come to its end goes on with it:
 * else a process that is killed now and then would never see the end of one. */
#define RESUME_US INT64_C(3600000000)

lore_status job_read(struct lsm *lsm, uint8_t slot, struct job_record *job, bool *found) {
    struct bytes value = bytes_empty(lsm->work);
    struct catalog_key key = schema_key_number('J', slot);
    env_lock(lsm->config.context->env, lsm->config.catalog_mutex);
    lore_status status = catalog_get(lsm->config.catalog, catalog_key_slice(&key), &value);
    env_unlock(lsm->config.context->env, lsm->config.catalog_mutex);
    *found = status == LORE_OK;
    if (*found) status = job_record_decode(bytes_slice(&value), lsm->work, job);
    bytes_free(&value);
    return status == LORE_NOT_FOUND ? LORE_OK : status;
}

/* Of the pinned sequence numbers: with others, other versions may go. */
static lore_status pins_check(struct lsm *lsm, uint8_t check[8]) {
    uint64_t *pins;
    size_t count;
    TRY(lsm_pins_copy(lsm, lsm->work, &pins, &count));
    put_be64(check, check64(pins, count * sizeof *pins));
    mem_put(lsm->work, pins, count * sizeof *pins);
    return LORE_OK;
}

lore_status asked_read(struct lsm *lsm, uint64_t *fresh_from, bool *same_pins) {
    struct job_record asked;
    bool found;
    uint8_t check[8];
    *fresh_from = 0;
    if (same_pins != NULL) *same_pins = false;
    TRY(job_read(lsm, JOB_ASKED, &asked, &found));
    if (!found) return LORE_OK;
    int64_t age_us = env_now_us(lsm->config.context->env) - (int64_t)asked.output_run_order;
    if (age_us >= 0 && age_us < RESUME_US && asked.output_run <= lsm->segment_next)
        *fresh_from = asked.output_run;
    lore_status status = same_pins == NULL ? LORE_OK : pins_check(lsm, check);
    if (status == LORE_OK && same_pins != NULL)
        *same_pins = slice_equal(bytes_slice(&asked.done), slice(check, sizeof check));
    job_record_deinit(&asked);
    return status;
}

lore_status asked_remember(struct lsm *lsm, uint64_t fresh_from) {
    uint8_t check[8];
    TRY(pins_check(lsm, check));
    struct job_record asked = {.output_run = fresh_from,
                               .output_run_order = (uint64_t)env_now_us(lsm->config.context->env),
                               .done = bytes_empty(lsm->work)};
    struct bytes value = bytes_empty(lsm->work);
    struct catalog_edit edit;
    catalog_edit_init(&edit, lsm->work);
    struct catalog_key key = schema_key_number('J', JOB_ASKED);
    lore_status status = bytes_set(&asked.done, slice(check, sizeof check));
    if (status == LORE_OK) status = job_record_encode(&asked, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(&edit, catalog_key_slice(&key), bytes_slice(&value));
    if (status == LORE_OK) status = lsm_commit(lsm, &edit);
    catalog_edit_deinit(&edit);
    bytes_free(&value);
    job_record_deinit(&asked);
    return status == LORE_FULL ? LORE_OK : status;
}

lore_status asked_forget(struct lsm *lsm) {
    struct job_record asked;
    bool found;
    TRY(job_read(lsm, JOB_ASKED, &asked, &found));
    if (!found) return LORE_OK;
    job_record_deinit(&asked);
    struct catalog_edit edit;
    catalog_edit_init(&edit, lsm->work);
    struct catalog_key key = schema_key_number('J', JOB_ASKED);
    lore_status status = catalog_edit_delete(&edit, catalog_key_slice(&key));
    if (status == LORE_OK) status = lsm_commit(lsm, &edit);
    catalog_edit_deinit(&edit);
    return status == LORE_FULL ? LORE_OK : status;
}
