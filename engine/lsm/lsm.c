/*
 * lsm.c - the tree object: opening, views, the switch of memtables, pinned snapshots, numbers for
 * stats.
 */
#include <assert.h>

#include "lsm/lsm_internal.h"
#include "vfs/rare.h"

#include "base/poison.h"

static void lock(struct lsm *lsm) {
    lsm->sys->ops->mutex_lock(lsm->sys, lsm->mutex);
}

static void unlock(struct lsm *lsm) {
    lsm->sys->ops->mutex_unlock(lsm->sys, lsm->mutex);
}

static void lock_catalog(struct lsm *lsm) {
    lsm->sys->ops->mutex_lock(lsm->sys, lsm->config.catalog_mutex);
}

static void unlock_catalog(struct lsm *lsm) {
    lsm->sys->ops->mutex_unlock(lsm->sys, lsm->config.catalog_mutex);
}

/* ---- opening ---- */

/* Counters and the log's state; a store that has neither yet is new. */
static lore_status read_records(struct lsm *lsm, struct log_record_state *log) {
    struct bytes value = bytes_empty(lsm->work);
    struct catalog_key key = schema_key('C');
    lore_status status = catalog_get(lsm->config.catalog, catalog_key_slice(&key), &value);
    if (status == LORE_OK)
        status = counters_record_decode(bytes_slice(&value), lsm->work, &lsm->counters);
    else if (status == LORE_NOT_FOUND)
        status = LORE_OK;
    if (status == LORE_OK) {
        key = schema_key('L');
        status = catalog_get(lsm->config.catalog, catalog_key_slice(&key), &value);
        if (status == LORE_OK)
            status = log_record_state_decode(bytes_slice(&value), lsm->work, log);
        else if (status == LORE_NOT_FOUND)
            status = LORE_OK;
    }
    bytes_free(&value);
    return status;
}

/* Ids start above everything that was ever reserved, and above what lives, should the counter be
 * wrong. */
static void start_ids(struct lsm *lsm) {
    uint64_t segment = lsm->counters.segment_end, run = lsm->counters.run_end;
    const struct version *version = lsm->version;
    for (size_t i = 0; i < version->slots_count; i++) {
        uint64_t id = version->slots[i].handle->summary.id;
        if (id >= segment) segment = id + 1;
    }
    for (size_t i = 0; i < version->values_count; i++) {
        uint64_t id = version->values[i]->summary.id;
        if (id >= segment) segment = id + 1;
    }
    for (size_t i = 0; i < version->runs_count; i++) {
        if (version->runs[i].id >= run) run = version->runs[i].id + 1;
    }
    lsm->segment_next = segment == 0 ? 1 : segment;
    lsm->run_next = run == 0 ? 1 : run;
    lsm->counters.segment_end = segment;
    lsm->counters.run_end = run;
}

static lore_status open_parts(struct lsm *lsm, uint64_t log_number) {
    const struct segment_context *context = lsm->config.context;
    TRY(lsm->sys->ops->mutex_create(lsm->sys, &lsm->mutex));
    lock_catalog(lsm);
    lore_status status = read_records(lsm, &lsm->log);
    if (status == LORE_OK)
        status = version_load(lsm->config.catalog, context, lsm->versions, lsm->config.read_only,
                              &lsm->version);
    unlock_catalog(lsm);
    TRY(status);
    start_ids(lsm);
    TRY(memtable_create(lsm->allocator, lsm->config.budget, lsm->config.memtable_bytes, log_number,
                        &lsm->active));
    if (lsm->config.read_only) return LORE_OK;
    TRY(lsm_sweep(lsm));
    return background_create(lsm, &lsm->background);
}

lore_status lsm_open(const struct lsm_config *config, uint64_t log_number, struct lsm **out) {
    const lore_env *env = config->context->env;
    void *memory;
    TRY(mem_new(env->allocator, sizeof(struct lsm), &memory));
    struct lsm *lsm = memory;
    lsm->config = *config;
    lsm->allocator = env->allocator;
    lsm->versions = config->context->table_allocator;
    lsm->work = config->context->work_allocator;
    lsm->sys = env->sys;
    atomic_init(&lsm->view_number, 1);
    atomic_init(&lsm->iterators, 0);
    atomic_init(&lsm->room_bytes, 0);
    lore_status status = open_parts(lsm, log_number);
    if (status != LORE_OK) {
        lsm_close(lsm);
        return status;
    }
    *out = lsm;
    return LORE_OK;
}

void lsm_close(struct lsm *lsm) {
    if (lsm == NULL) return;
    assert(lsm->pins_count == 0);
    assert(atomic_load(&lsm->iterators) == 0);
    background_destroy(lsm->background);
    memtable_release(lsm->active);
    memtable_release(lsm->frozen);
    version_release(lsm->version);
    mem_put(lsm->allocator, lsm->pins, lsm->pins_capacity * sizeof *lsm->pins);
    mem_put(lsm->allocator, lsm->dropped, lsm->dropped_capacity * sizeof *lsm->dropped);
    if (lsm->mutex != NULL) lsm->sys->ops->mutex_destroy(lsm->sys, lsm->mutex);
    mem_put(lsm->allocator, lsm, sizeof *lsm);
}

/* ---- views ---- */

void lsm_view_acquire_at(struct lsm *lsm, struct lsm_view *view, uint64_t *retired) {
    RARELY_PAUSE(lsm->config.context->env);
    lock(lsm);
    *view = (struct lsm_view){lsm->active, lsm->frozen, lsm->version};
    memtable_retain(view->active);
    if (view->frozen != NULL) memtable_retain(view->frozen);
    version_retain(view->version);
    *retired = lsm->retired;
    unlock(lsm);
}

void lsm_view_acquire(struct lsm *lsm, struct lsm_view *view) {
    uint64_t retired;
    lsm_view_acquire_at(lsm, view, &retired);
}

/* Counts alone: whoever gives back the last reference frees outside the mutex. */
void lsm_view_release(struct lsm *lsm, struct lsm_view *view) {
    (void)lsm;
    memtable_release(view->active);
    memtable_release(view->frozen);
    version_release(view->version);
    *view = (struct lsm_view){NULL, NULL, NULL};
}

uint64_t lsm_view_number(struct lsm *lsm) {
    return atomic_load_explicit(&lsm->view_number, memory_order_acquire);
}

struct version *lsm_version(struct lsm *lsm) {
    lock(lsm);
    struct version *version = lsm->version;
    version_retain(version);
    unlock(lsm);
    return version;
}

struct memtable *lsm_frozen(struct lsm *lsm) {
    lock(lsm);
    struct memtable *frozen = lsm->frozen;
    if (frozen != NULL) memtable_retain(frozen);
    unlock(lsm);
    return frozen;
}

struct log_record_state lsm_log_state(struct lsm *lsm) {
    lock(lsm);
    struct log_record_state log = lsm->log;
    unlock(lsm);
    return log;
}

uint64_t lsm_first_log(struct lsm *lsm) {
    return lsm_log_state(lsm).first_log;
}

/* ---- writing: the commit order's thread, which alone changes `active` ---- */

bool lsm_has_room(struct lsm *lsm, uint64_t batch_bytes) {
    if (memtable_bytes(lsm->active) > 0 && RARELY(lsm->config.context->env, 60)) return false;
    return memtable_fits(lsm->active, batch_bytes);
}

bool lsm_can_freeze(struct lsm *lsm) {
    lock(lsm);
    bool can = lsm->frozen == NULL;
    unlock(lsm);
    return can;
}

lore_status lsm_freeze(struct lsm *lsm, uint64_t log_number, uint64_t batch_bytes_min) {
    uint64_t capacity = lsm->config.memtable_bytes;
    if (capacity < batch_bytes_min) capacity = batch_bytes_min;
    struct memtable *fresh;
    TRY(memtable_create(lsm->allocator, lsm->config.budget, capacity, log_number, &fresh));
    lock(lsm);
    assert(lsm->frozen == NULL);
    memtable_set_state(lsm->active, MEMTABLE_FROZEN);
    lsm->frozen = lsm->active;
    lsm->active = fresh;
    atomic_fetch_add(&lsm->view_number, 1);
    unlock(lsm);
    return LORE_OK;
}

lore_status lsm_reserve(struct lsm *lsm, uint64_t batch_bytes) {
    return memtable_reserve(lsm->active, batch_bytes);
}

void lsm_apply(struct lsm *lsm, lore_slice payload) {
    memtable_apply(lsm->active, payload);
}

void lsm_note_commit_time(struct lsm *lsm, int64_t time_us) {
    memtable_note_time(lsm->active, time_us);
}

uint64_t lsm_active_bytes(struct lsm *lsm) {
    lock(lsm);
    uint64_t bytes = memtable_bytes(lsm->active);
    unlock(lsm);
    return bytes;
}

void lsm_set_log_number(struct lsm *lsm, uint64_t log_number) {
    memtable_set_log_number(lsm->active, log_number);
}

void lsm_set_room(struct lsm *lsm, uint64_t bytes) {
    atomic_store(&lsm->room_bytes, bytes);
}

lore_status lsm_reload(struct lsm *lsm, struct memtable *memtable) {
    assert(lsm->config.read_only);
    struct log_record_state log = {0};
    struct version *version;
    lock_catalog(lsm);
    lore_status status = read_records(lsm, &log);
    if (status == LORE_OK)
        status =
            version_load(lsm->config.catalog, lsm->config.context, lsm->versions, true, &version);
    unlock_catalog(lsm);
    if (status != LORE_OK) {
        memtable_release(memtable);
        return status;
    }
    lock(lsm);
    struct memtable *old_active = lsm->active, *old_frozen = lsm->frozen;
    struct version *old_version = lsm->version;
    version->number = old_version->number + 1;
    lsm->active = memtable;
    lsm->frozen = NULL;
    lsm->version = version;
    lsm->log = log;
    lsm->retired++;
    atomic_fetch_add(&lsm->view_number, 1);
    unlock(lsm);
    memtable_release(old_active);
    memtable_release(old_frozen);
    version_release(old_version);
    return LORE_OK;
}

/* ---- pins ---- */

/* Under the mutex. The pin with that sequence, or where it belongs. */
static size_t pin_place(const struct lsm *lsm, uint64_t sequence) {
    size_t low = 0, high = lsm->pins_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lsm->pins[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Under the mutex; the environment's allocator never calls back. */
static lore_status add_pin(struct lsm *lsm, uint64_t sequence) {
    size_t at = pin_place(lsm, sequence);
    if (at == lsm->pins_count || lsm->pins[at].sequence != sequence) {
        if (lsm->pins_count == lsm->pins_capacity) {
            size_t capacity = lsm->pins_capacity == 0 ? 16 : 2 * lsm->pins_capacity;
            void *memory = lsm->pins;
            TRY(mem_resize(lsm->allocator, &memory, lsm->pins_capacity * sizeof *lsm->pins,
                           capacity * sizeof *lsm->pins));
            lsm->pins = memory;
            lsm->pins_capacity = capacity;
        }
        memmove(&lsm->pins[at + 1], &lsm->pins[at], (lsm->pins_count - at) * sizeof *lsm->pins);
        lsm->pins[at] = (struct pin){sequence, 0};
        lsm->pins_count++;
    }
    lsm->pins[at].count++;
    lsm->pins_total++;
    return LORE_OK;
}

lore_status lsm_pin(struct lsm *lsm, uint64_t sequence) {
    lock(lsm);
    lore_status status = add_pin(lsm, sequence);
    unlock(lsm);
    return status;
}

lore_status lsm_pin_current(struct lsm *lsm, const _Atomic uint64_t *current, uint64_t *sequence) {
    lock(lsm);
    *sequence = atomic_load(current);
    lore_status status = add_pin(lsm, *sequence);
    unlock(lsm);
    return status;
}

void lsm_unpin(struct lsm *lsm, uint64_t sequence) {
    lock(lsm);
    size_t at = pin_place(lsm, sequence);
    assert(at < lsm->pins_count && lsm->pins[at].sequence == sequence);
    lsm->pins_total--;
    if (--lsm->pins[at].count == 0) {
        lsm->pins_count--;
        memmove(&lsm->pins[at], &lsm->pins[at + 1], (lsm->pins_count - at) * sizeof *lsm->pins);
    }
    unlock(lsm);
}

uint64_t lsm_oldest_pin(struct lsm *lsm) {
    lock(lsm);
    uint64_t oldest = lsm->pins_count == 0 ? 0 : lsm->pins[0].sequence;
    unlock(lsm);
    return oldest;
}

lore_status lsm_pins_copy(struct lsm *lsm, const struct allocator *allocator, uint64_t **sequences,
                          size_t *count) {
    size_t room = 0;
    void *memory = NULL;
    for (;;) { /* until no pin came between counting and copying */
        lock(lsm);
        size_t wanted = lsm->pins_count;
        if (wanted <= room) {
            for (size_t i = 0; i < wanted; i++)
                ((uint64_t *)memory)[i] = lsm->pins[i].sequence;
        }
        unlock(lsm);
        lore_status status =
            mem_resize(allocator, &memory, room * sizeof(uint64_t), wanted * sizeof(uint64_t));
        if (status != LORE_OK) {
            mem_put(allocator, memory, room * sizeof(uint64_t));
            return status;
        }
        bool copied = wanted <= room;
        room = wanted;
        if (copied) break;
    }
    *sequences = memory;
    *count = room;
    return LORE_OK;
}

/* ---- numbers ---- */

void lsm_add_totals(struct lsm *lsm, const struct lsm_totals *more) {
    lock(lsm);
    lsm->totals.flushes += more->flushes;
    lsm->totals.compactions += more->compactions;
    lsm->totals.rewrites += more->rewrites;
    lsm->totals.read_bytes += more->read_bytes;
    lsm->totals.written_bytes += more->written_bytes;
    lsm->totals.job_running = more->job_running;
    unlock(lsm);
}

static void count_files(const struct version *version, struct lsm_stats *stats) {
    stats->table_files = version->slots_count;
    stats->runs = version->runs_count;
    for (size_t i = 0; i < version->runs_count; i++)
        stats->table_bytes += version->runs[i].bytes;
    for (size_t i = 0; i < LEVELS_MAX; i++)
        stats->levels += version->levels[i].count > 0;
    for (size_t i = 0; i < version->values_count; i++) {
        const struct value_file *file = version->values[i];
        uint64_t garbage = atomic_load(&file->garbage_bytes);
        if (file->summary.kind == SEGMENT_BLOB) {
            stats->blob_files++;
            stats->blob_bytes += file->summary.bytes;
            stats->blob_garbage_bytes += garbage;
        } else {
            stats->row_files++;
            stats->row_bytes += file->summary.bytes;
            stats->row_garbage_bytes += garbage;
        }
    }
}

void lsm_stats_get(struct lsm *lsm, struct lsm_stats *stats) {
    *stats = (struct lsm_stats){0};
    struct lsm_view view;
    lsm_view_acquire(lsm, &view);
    count_files(view.version, stats);
    stats->memtable_bytes = memtable_bytes(view.active);
    if (view.frozen != NULL) stats->memtable_bytes += memtable_bytes(view.frozen);
    lsm_view_release(lsm, &view);
    lock(lsm);
    stats->flushes = lsm->totals.flushes;
    stats->compactions = lsm->totals.compactions;
    stats->rewrites = lsm->totals.rewrites;
    stats->read_bytes = lsm->totals.read_bytes;
    stats->written_bytes = lsm->totals.written_bytes;
    stats->job_running = lsm->totals.job_running;
    stats->pins = lsm->pins_total;
    stats->oldest_pin = lsm->pins_count == 0 ? 0 : lsm->pins[0].sequence;
    unlock(lsm);
    stats->iterators = atomic_load(&lsm->iterators);
}
