/*
 * background.c - lsm_step: which work goes next, and its results. Flush goes first; then level 0,
 * every other step of it given to the main merge while level 0 is not in debt; then the main merge
 * or rewrite; then what policy.h chooses next.
 *
 * At most one flush, one small merge (level 0), and one main merge or rewrite are in progress. A
 * merge that met damage is given up: its runs are left alone until the store is opened again, and
 * other work goes on.
 */
#include "lsm/background.h"

#include <assert.h>

#include "lsm/compaction.h"
#include "lsm/flush.h"
#include "lsm/prune.h"
#include "lsm/rewrite.h"
#include "lsm/shape.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define BUFFERS_BYTES_MAX (512u << 10)
#define SOURCE_BYTES      (40u << 10) /* what an open cursor takes, about: read-ahead, a block */
#define SOURCES_MAX       32u
/* Under so much memory only one kind of work keeps its cursors open. */
#define ROOMY_BUDGET_BYTES (UINT64_C(32) << 20)
/* What there was no room for is looked at again after so long. */
#define STARVED_US 1000000u
/* A flush that met a full disk is tried once more, perhaps with the reserve's space; then other
 * work goes first, if there is any that makes room. */
#define FLUSH_ATTEMPTS 2u
/* Of the room, for the catalog and what else is written beside a job. */
#define ROOM_KEPT_BYTES (UINT64_C(64) << 10)

struct blocked {
    bool is_run; /* else a value file */
    uint64_t id;
};

struct pruned {
    uint64_t table;
    bool for_good; /* too little of it was hidden: until the next flush. Else there was no room */
};

struct background {
    struct lsm *lsm;
    struct flush *flush;
    struct compaction *merges[JOB_SLOTS]; /* NULL: none */
    struct rewrite *rewrite;
    struct prune *prune;
    struct pruned *pruned; /* tables that a prune did not help */
    size_t pruned_count, pruned_capacity;
    unsigned doubt; /* merges that met a full disk in spite of the room that was said to be there */
    unsigned flush_attempts; /* that met a full disk since anything else was done */
    bool main_goes_next;
    struct blocked *blocked; /* until reopened */
    size_t blocked_count, blocked_capacity;
    /* Of the compaction that was asked for, perhaps in another life: segments from fresh_from on
     * were written since; 0: none was. What was flushed before asked_at is to be part of it. */
    uint64_t fresh_from, asked_at;

    /* read by other threads */
    _Atomic bool stepping;
    _Atomic bool working; /* something is in progress */
    _Atomic uint64_t blocked_runs, blocked_level0_runs;
    _Atomic bool compacting;
    _Atomic uint64_t compact_done, compact_total; /* bytes, about */
    _Atomic uint64_t settled_version;  /* nothing was due in that version; 0: not known */
    _Atomic uint64_t settled_pin;      /* and with that oldest pin */
    _Atomic uint64_t settled_until_us; /* 0: for good */
};

/* For jobs; the catalog and what else is written beside them is left its share. */
static uint64_t room_of(const struct lsm *lsm) {
    uint64_t room = atomic_load(&lsm->room_bytes);
    if (room == 0) return 0;
    unsigned doubt = lsm->background->doubt < 32 ? lsm->background->doubt : 32;
    return room > ROOM_KEPT_BYTES ? ((room - ROOM_KEPT_BYTES) >> doubt) + 1 : 1;
}

static struct policy_limits limits_of(const struct lsm *lsm) {
    const struct lsm_config *config = &lsm->config;
    uint64_t sources = config->budget->limit / 16 / SOURCE_BYTES;
    if (sources < config->fan_in + 1u) sources = config->fan_in + 1u;
    if (sources > SOURCES_MAX) sources = SOURCES_MAX;
    return (struct policy_limits){config->fan_in, config->memtable_bytes, config->table_bytes_max,
                                  (uint32_t)sources, room_of(lsm)};
}

static uint32_t buffers_bytes(const struct lsm *lsm) {
    uint64_t bytes = lsm->config.budget->limit / 32;
    return bytes > BUFFERS_BYTES_MAX ? BUFFERS_BYTES_MAX : (uint32_t)bytes;
}

/* ---- life ---- */

/* `fresh_from`: for a compaction that was asked for; 0: as little as will do. */
static lore_status start_merge(struct background *background, struct job_record *job, uint8_t slot,
                               uint64_t fresh_from) {
    struct compaction_config config = {*job, slot, fresh_from == 0, fresh_from,
                                       buffers_bytes(background->lsm)};
    return compaction_create(background->lsm, &config, &background->merges[slot]);
}

/* Whether anything of the job is still there to do. */
static bool job_is_there(const struct lsm *lsm, const struct job_record *job) {
    if (job->output_level >= LEVELS_MAX) return false;
    for (size_t r = 0; r < lsm->version->runs_count; r++) {
        uint64_t id = lsm->version->runs[r].id;
        if (id == job->output_run) return true;
        for (uint32_t i = 0; i < job->inputs_count; i++) {
            if (job->inputs[i] == id) return true;
        }
    }
    return false;
}

static lore_status take_up_job(struct background *background, uint8_t slot) {
    struct lsm *lsm = background->lsm;
    struct job_record job;
    bool found;
    TRY(job_read(lsm, slot, &job, &found));
    if (!found) return LORE_OK;
    if (job_is_there(lsm, &job))
        return start_merge(background, &job, slot, slot == JOB_MAIN ? background->fresh_from : 0);
    job_record_deinit(&job);
    return LORE_OK;
}

/* It has come to its end. */
static lore_status end_asked(struct background *background) {
    background->fresh_from = 0;
    atomic_store(&background->compacting, false);
    return asked_forget(background->lsm);
}

/* Whether all that was asked for is one run, written since; value files may remain. */
static bool is_compacted(const struct background *background, const struct policy_shape *shape) {
    const struct version *version = background->lsm->version;
    const struct policy_run *last = policy_last_run(shape);
    for (size_t r = 0; r < version->runs_count; r++) {
        const struct run *run = &version->runs[r];
        bool is_last = last != NULL && run->id == last->id;
        uint64_t from = is_last ? background->fresh_from : background->asked_at;
        for (size_t t = 0; t < run->count; t++) {
            if (run->tables[t].handle->summary.id < from) return false;
        }
    }
    return true;
}

lore_status background_create(struct lsm *lsm, struct background **out) {
    void *memory;
    TRY(mem_new(lsm->allocator, sizeof(struct background), &memory));
    struct background *background = memory;
    background->lsm = lsm;
    lore_status status = asked_read(lsm, &background->fresh_from, NULL);
    if (status == LORE_OK) status = take_up_job(background, JOB_MAIN);
    if (status == LORE_OK) status = take_up_job(background, JOB_SMALL);
    if (status != LORE_OK) {
        background_destroy(background);
        return status;
    }
    atomic_store(&background->working,
                 background->merges[JOB_MAIN] != NULL || background->merges[JOB_SMALL] != NULL);
    *out = background;
    return LORE_OK;
}

void background_destroy(struct background *background) {
    if (background == NULL) return;
    const struct allocator *a = background->lsm->allocator;
    flush_destroy(background->flush);
    for (size_t slot = 0; slot < JOB_SLOTS; slot++)
        compaction_destroy(background->merges[slot]);
    rewrite_destroy(background->rewrite);
    prune_destroy(background->prune);
    mem_put(a, background->pruned, background->pruned_capacity * sizeof *background->pruned);
    mem_put(a, background->blocked, background->blocked_capacity * sizeof *background->blocked);
    mem_put(a, background, sizeof *background);
}

/* ---- what policy must know ---- */

static bool run_is_busy(void *context, uint64_t run) {
    const struct background *background = context;
    for (size_t slot = 0; slot < JOB_SLOTS; slot++) {
        if (background->merges[slot] != NULL && compaction_has_run(background->merges[slot], run))
            return true;
    }
    return background->prune != NULL && prune_run(background->prune) == run;
}

static bool is_blocked(const struct background *background, bool is_run, uint64_t id) {
    for (size_t i = 0; i < background->blocked_count; i++) {
        if (background->blocked[i].is_run == is_run && background->blocked[i].id == id) return true;
    }
    return false;
}
static bool run_is_blocked(void *context, uint64_t run) {
    return is_blocked(context, true, run);
}
static bool file_is_blocked(void *context, uint64_t file) {
    return is_blocked(context, false, file);
}
static bool file_is_busy(void *context, uint64_t file) {
    const struct background *background = context;
    return background->rewrite != NULL && rewrite_has_file(background->rewrite, file);
}

static bool file_is_fresh(void *context, uint64_t file) {
    const struct background *background = context;
    return file >= background->fresh_from;
}

/* ---- damage ---- */

static lore_status block(struct background *background, bool is_run, uint64_t id) {
    if (is_blocked(background, is_run, id)) return LORE_OK;
    if (background->blocked_count == background->blocked_capacity) {
        size_t capacity = background->blocked_capacity == 0 ? 16 : 2 * background->blocked_capacity;
        void *memory = background->blocked;
        TRY(mem_resize(background->lsm->allocator, &memory,
                       background->blocked_capacity * sizeof *background->blocked,
                       capacity * sizeof *background->blocked));
        background->blocked = memory;
        background->blocked_capacity = capacity;
    }
    background->blocked[background->blocked_count++] = (struct blocked){is_run, id};
    return LORE_OK;
}

/* Runs that wait for a repair are no debt that slower writes could pay. */
static void count_blocked(struct background *background) {
    const struct version *version = background->lsm->version;
    uint64_t level0_runs = 0, runs = 0;
    for (size_t r = 0; r < version->runs_count && background->blocked_count > 0; r++) {
        if (!is_blocked(background, true, version->runs[r].id)) continue;
        runs++;
        level0_runs += r < version->levels[0].count;
    }
    atomic_store(&background->blocked_runs, runs);
    atomic_store(&background->blocked_level0_runs, level0_runs);
}

static lore_status block_merge(struct background *background, uint8_t slot) {
    const struct job_record *job = compaction_job(background->merges[slot]);
    TRY(block(background, true, job->output_run));
    for (uint32_t i = 0; i < job->inputs_count; i++)
        TRY(block(background, true, job->inputs[i]));
    return LORE_OK;
}

/* ---- the work itself ---- */

static void end_merge(struct background *background, uint8_t slot) {
    compaction_destroy(background->merges[slot]);
    background->merges[slot] = NULL;
    background->flush_attempts = 0;
    atomic_store(&background->settled_version, 0);
}

static lore_status step_flush(struct background *background, uint64_t budget_bytes,
                              struct step_count *count, struct lsm_totals *totals) {
    if (background->flush == NULL) TRY(flush_create(background->lsm, &background->flush));
    bool done;
    lore_status status = flush_step(background->flush, budget_bytes, count, &done);
    if (status == LORE_OK && !done) return LORE_OK;
    flush_destroy(background->flush);
    background->flush = NULL;
    totals->flushes += status == LORE_OK;
    if (status != LORE_OK) return status;
    background->pruned_count = 0;
    background->flush_attempts = 0;
    return LORE_OK;
}

/* There is no room for it: the runs stay as they are now, and what fits is done instead. */
static lore_status give_up_merge(struct background *background, uint8_t slot) {
    struct lsm *lsm = background->lsm;
    if (atomic_load(&lsm->room_bytes) == 0) return LORE_OK; /* it stays, and is tried again */
    struct catalog_edit edit;
    catalog_edit_init(&edit, lsm->work);
    struct catalog_key key = schema_key_number('J', slot);
    lore_status status = catalog_edit_delete(&edit, catalog_key_slice(&key));
    if (status == LORE_OK) status = lsm_commit(lsm, &edit);
    catalog_edit_deinit(&edit);
    if (status == LORE_FULL) return LORE_OK;
    TRY(status);
    background->doubt++;
    end_merge(background, slot);
    return LORE_OK;
}

static lore_status step_merge(struct background *background, uint8_t slot, uint64_t budget_bytes,
                              struct step_count *count, struct lsm_totals *totals) {
    bool done;
    uint64_t damaged;
    lore_status status =
        compaction_step(background->merges[slot], budget_bytes, count, &done, &damaged);
    if (status == LORE_CORRUPTION) {
        background_quarantine(background->lsm, damaged, slot);
        lore_status blocking = block_merge(background, slot);
        if (blocking != LORE_OK) return blocking;
        end_merge(background, slot);
        atomic_store(&background->compacting, false);
        return status;
    }
    if (status == LORE_FULL) {
        TRY(give_up_merge(background, slot));
        return fail(LORE_FULL, "no room on the disk to merge");
    }
    if (status != LORE_OK || !done) return status;
    totals->compactions++;
    end_merge(background, slot);
    return LORE_OK;
}

/* ---- prunes ---- */

static lore_status remember_pruned(struct background *background, uint64_t table, bool for_good) {
    if (background->pruned_count == background->pruned_capacity) {
        size_t capacity = background->pruned_capacity == 0 ? 16 : 2 * background->pruned_capacity;
        void *memory = background->pruned;
        TRY(mem_resize(background->lsm->allocator, &memory,
                       background->pruned_capacity * sizeof *background->pruned,
                       capacity * sizeof *background->pruned));
        background->pruned = memory;
        background->pruned_capacity = capacity;
    }
    background->pruned[background->pruned_count++] = (struct pruned){table, for_good};
    return LORE_OK;
}

static bool was_pruned(const struct background *background, uint64_t table) {
    for (size_t i = 0; i < background->pruned_count; i++) {
        if (background->pruned[i].table == table) return true;
    }
    return false;
}

/* The smallest table that may shrink. */
static lore_status start_prune(struct background *background, const struct policy_shape *shape) {
    struct lsm *lsm = background->lsm;
    const struct version *version = lsm->version;
    const struct segment_summary *smallest = NULL;
    for (size_t r = 0; r < version->runs_count; r++) {
        if (shape->runs[r].busy || shape->runs[r].blocked) continue;
        for (size_t t = 0; t < version->runs[r].count; t++) {
            const struct table_slot *slot = &version->runs[r].tables[t];
            const struct segment_summary *summary = &slot->handle->summary;
            if (smallest != NULL && summary->bytes >= smallest->bytes) continue;
            if (!was_pruned(background, summary->id) && prune_may_help(version, r, slot))
                smallest = summary;
        }
    }
    if (smallest == NULL) return LORE_OK;
    uint64_t room = atomic_load(&lsm->room_bytes);
    struct prune_limits limits = {room > ROOM_KEPT_BYTES ? room - ROOM_KEPT_BYTES : 0,
                                  limits_of(lsm).sources_max, buffers_bytes(lsm)};
    return prune_create(lsm, smallest->id, &limits, &background->prune);
}

static lore_status step_prune(struct background *background, uint64_t budget_bytes,
                              struct step_count *count, struct lsm_totals *totals) {
    bool done;
    lore_status status = prune_step(background->prune, budget_bytes, count, &done);
    if (status == LORE_OK && !done) return LORE_OK;
    uint64_t table = prune_table(background->prune);
    bool for_good = status == LORE_CORRUPTION || prune_found_little(background->prune);
    prune_destroy(background->prune);
    background->prune = NULL;
    background->flush_attempts = 0;
    atomic_store(&background->settled_version, 0);
    totals->compactions += status == LORE_OK;
    if (status != LORE_OK) {
        lore_status remembered = remember_pruned(background, table, for_good);
        /* Others may be smaller. */
        return status == LORE_FULL ? remembered : status;
    }
    size_t kept = 0;
    for (size_t i = 0; i < background->pruned_count; i++) {
        if (background->pruned[i].for_good) background->pruned[kept++] = background->pruned[i];
    }
    background->pruned_count = kept;
    return LORE_OK;
}

static lore_status step_rewrite(struct background *background, uint64_t budget_bytes,
                                struct step_count *count, struct lsm_totals *totals) {
    bool done;
    uint64_t damaged;
    lore_status status = rewrite_step(background->rewrite, budget_bytes, count, &done, &damaged);
    if (status == LORE_OK && !done) return LORE_OK;
    if (status == LORE_CORRUPTION) {
        background_quarantine(background->lsm, damaged, JOB_SLOTS);
        for (size_t i = 0; i < rewrite_files(background->rewrite); i++)
            TRY(block(background, false, rewrite_file(background->rewrite, i)));
        atomic_store(&background->compacting, false);
    }
    rewrite_destroy(background->rewrite);
    background->rewrite = NULL;
    background->flush_attempts = 0;
    atomic_store(&background->settled_version, 0);
    totals->rewrites += status == LORE_OK;
    return status;
}

/* ---- what is next ---- */

static lore_status commit_change(struct lsm *lsm, struct version_change *change,
                                 struct step_count *count) {
    struct catalog_edit edit;
    bool maybe_durable;
    catalog_edit_init(&edit, lsm->work);
    lore_status status = lsm_install(lsm, change, &edit, &maybe_durable);
    count->written_bytes += edit.encoded.size;
    catalog_edit_deinit(&edit);
    return status;
}

/* Drops and moves: a commit, no reading. */
static lore_status commit_choice(struct background *background, const struct policy_choice *choice,
                                 struct step_count *count) {
    struct lsm *lsm = background->lsm;
    struct version_change change;
    version_change_init(&change, lsm->work);
    lore_status status = LORE_OK;
    for (size_t i = 0; status == LORE_OK && i < choice->count; i++) {
        if (choice->kind == POLICY_DROP) {
            status = version_change_drop(&change, choice->ids[i]);
            continue;
        }
        uint8_t level = 0;
        const struct run *run = version_find_run(lsm->version, choice->ids[i], &level);
        assert(run != NULL);
        uint64_t id = run->id, order = run->order;
        /* A run of level 0 becomes the newest of level 1; the last run stays itself. */
        if (choice->kind == POLICY_SHIFT) {
            status = lsm_take_run_id(lsm, &id);
            order = id;
        }
        for (size_t t = 0; status == LORE_OK && t < run->count; t++)
            status = version_change_move(&change, run->tables[t].handle->summary.id, choice->level,
                                         id, order);
    }
    if (status == LORE_OK) status = commit_change(lsm, &change, count);
    version_change_deinit(&change);
    return status;
}

static lore_status start_choice(struct background *background, uint8_t slot,
                                const struct policy_choice *choice) {
    struct lsm *lsm = background->lsm;
    struct job_record job = {.output_level = choice->level,
                             .inputs_count = (uint32_t)choice->count,
                             .drop_deletes = choice->into_last,
                             .done = bytes_empty(lsm->work)};
    memcpy(job.inputs, choice->ids, choice->count * sizeof *choice->ids);
    uint8_t level = choice->level;
    if (choice->last_run != 0) {
        const struct run *last = version_find_run(lsm->version, choice->last_run, &level);
        assert(last != NULL);
        job.output_run = last->id;
        job.output_run_order = last->order;
    } else {
        TRY(lsm_take_run_id(lsm, &job.output_run));
        job.output_run_order = job.output_run;
    }
    if (choice->place_of != 0) {
        const struct run *newest = version_find_run(lsm->version, choice->place_of, &level);
        assert(newest != NULL);
        job.output_run_order = newest->order;
    }
    job.input_level = choice->level;
    for (size_t i = 0; i < choice->count; i++) {
        if (version_find_run(lsm->version, choice->ids[i], &level) != NULL &&
            level < job.input_level)
            job.input_level = level;
    }
    bool asked = slot == JOB_MAIN && choice->into_last && atomic_load(&background->compacting);
    return start_merge(background, &job, slot, asked ? background->fresh_from : 0);
}

static lore_status act_on(struct background *background, const struct policy_choice *choice,
                          struct step_count *count) {
    switch (choice->kind) {
    case POLICY_MERGE: return start_choice(background, JOB_MAIN, choice);
    case POLICY_REWRITE:
        return rewrite_create(background->lsm, choice->ids, choice->count, &background->rewrite);
    default: return commit_choice(background, choice, count);
    }
}

static bool is_settled(struct background *background) {
    struct lsm *lsm = background->lsm;
    env_lock(lsm->config.context->env, lsm->mutex);
    uint64_t number = lsm->version->number;
    env_unlock(lsm->config.context->env, lsm->mutex);
    uint64_t until_us = atomic_load(&background->settled_until_us);
    return atomic_load(&background->settled_version) == number &&
           atomic_load(&background->settled_pin) == lsm_oldest_pin(lsm) &&
           (until_us == 0 || env_monotonic_us(lsm->config.context->env) < until_us);
}

static lore_status no_room(const struct background *background) {
    return fail(LORE_FULL, "no room on the disk to merge: %llu bytes",
                (unsigned long long)atomic_load(&background->lsm->room_bytes));
}

/* Something is due that the disk has no room for. */
static lore_status make_room(struct background *background, const struct policy_shape *shape) {
    TRY(start_prune(background, shape));
    background->doubt = 0;
    if (background->prune != NULL) return LORE_OK;
    return atomic_load(&background->compacting) ? no_room(background) : LORE_OK;
}

/* Nothing more is due in this version; or, when `starved`, for now. */
static void settle(struct background *background, uint64_t oldest_pin, bool starved) {
    struct lsm *lsm = background->lsm;
    uint64_t now_us = starved ? env_monotonic_us(lsm->config.context->env) : 0;
    atomic_store(&background->settled_until_us, starved ? now_us + STARVED_US : 0);
    atomic_store(&background->settled_pin, oldest_pin);
    atomic_store(&background->settled_version, lsm->version->number);
}

static lore_status choose_main(struct background *background, const struct policy_shape *shape,
                               uint64_t oldest_pin, bool starved, struct step_count *count) {
    struct policy_limits limits = limits_of(background->lsm);
    bool compacting = atomic_load(&background->compacting);
    bool compacted = compacting && is_compacted(background, shape);
    struct policy_choice choice;
    if (policy_choose_main(shape, &limits, compacting, compacted, &choice)) {
        /* What comes up after the values' turn is ordinary work. */
        if (compacted && choice.kind != POLICY_REWRITE && choice.kind != POLICY_DROP)
            TRY(end_asked(background));
        return act_on(background, &choice, count);
    }
    starved |= choice.starved;
    settle(background, oldest_pin, starved);
    if (starved) return make_room(background, shape);
    return compacting && background->merges[JOB_SMALL] == NULL ? end_asked(background) : LORE_OK;
}

static lore_status choose(struct background *background, struct step_count *count) {
    struct lsm *lsm = background->lsm;
    bool main_is_free = background->merges[JOB_MAIN] == NULL && background->rewrite == NULL &&
                        background->prune == NULL;
    bool small_is_free = background->merges[JOB_SMALL] == NULL;
    if (!main_is_free && !small_is_free) return LORE_OK;
    if (is_settled(background)) {
        /* Another thread's step was told, and whoever asked for the compaction must be too. */
        bool waits = atomic_load(&background->compacting) && main_is_free && small_is_free &&
                     atomic_load(&background->settled_until_us) != 0;
        return waits ? no_room(background) : LORE_OK;
    }
    struct shape_marks marks = {background,      run_is_busy,   run_is_blocked,     file_is_busy,
                                file_is_blocked, file_is_fresh, lsm_oldest_pin(lsm)};
    struct policy_limits limits = limits_of(lsm);
    struct policy_choice choice = {.kind = POLICY_NONE};
    struct shape shape;
    TRY(shape_init(&shape, lsm->work, lsm->version, &marks));
    lore_status status = LORE_OK;
    if (small_is_free && policy_choose_small(&shape.policy, &limits, &choice))
        status = start_choice(background, JOB_SMALL, &choice);
    else if (main_is_free)
        status = choose_main(background, &shape.policy, marks.oldest_pin, choice.starved, count);
    else
        settle(background, marks.oldest_pin, choice.starved);
    shape_deinit(&shape);
    return status;
}

/* ---- the step ---- */

/* The merge that goes now: level 0's, but every other time the main one while level 0 is not in
 * debt. */
static uint8_t next_merge(struct background *background) {
    struct compaction **merges = background->merges;
    if (merges[JOB_SMALL] == NULL) return JOB_MAIN;
    bool debt =
        background->lsm->version->levels[0].count > 2 * (size_t)background->lsm->config.fan_in;
    bool main_waits =
        merges[JOB_MAIN] != NULL || background->rewrite != NULL || background->prune != NULL;
    background->main_goes_next = main_waits && !debt && !background->main_goes_next;
    return background->main_goes_next ? JOB_MAIN : JOB_SMALL;
}

static void suspend_others(struct background *background, uint8_t slot) {
    if (background->lsm->config.budget->limit >= ROOMY_BUDGET_BYTES) return;
    if (slot == JOB_SLOTS && background->prune != NULL) prune_suspend(background->prune);
    for (uint8_t other = 0; other < JOB_SLOTS; other++) {
        if (other != slot && background->merges[other] != NULL)
            compaction_suspend(background->merges[other]);
    }
}

static lore_status step(struct background *background, uint64_t budget_bytes,
                        struct step_count *count, struct lsm_totals *totals) {
    struct lsm *lsm = background->lsm;
    bool flush_waits = !lsm_can_freeze(lsm); /* later, another thread may have frozen one */
    if (flush_waits && background->flush_attempts < FLUSH_ATTEMPTS) {
        suspend_others(background, JOB_SLOTS);
        lore_status status = step_flush(background, budget_bytes, count, totals);
        if (status != LORE_FULL || atomic_load(&lsm->room_bytes) == 0) return status;
        return ++background->flush_attempts < FLUSH_ATTEMPTS ? status : LORE_OK;
    }
    TRY(choose(background, count));
    uint8_t slot = next_merge(background);
    if (background->merges[slot] != NULL) {
        suspend_others(background, slot);
        return step_merge(background, slot, budget_bytes, count, totals);
    }
    if (background->rewrite != NULL) return step_rewrite(background, budget_bytes, count, totals);
    if (background->prune != NULL) return step_prune(background, budget_bytes, count, totals);
    background->flush_attempts = 0;
    return flush_waits ? fail(LORE_FULL, "no room on the disk to flush") : LORE_OK;
}

static bool is_working(const struct background *background) {
    return background->flush != NULL || background->merges[JOB_MAIN] != NULL ||
           background->merges[JOB_SMALL] != NULL || background->rewrite != NULL ||
           background->prune != NULL;
}

lore_status lsm_step(struct lsm *lsm, uint64_t budget_bytes, struct step_count *count, bool *more) {
    struct background *background = lsm->background;
    *more = false;
    *count = (struct step_count){0, 0};
    if (background == NULL || budget_bytes == 0) return LORE_OK;
    bool was_stepping = atomic_exchange(&background->stepping, true);
    assert(!was_stepping);
    (void)was_stepping;
    struct lsm_totals totals = {0};
    lsm->read_failed = false;
    lore_status status = step(background, budget_bytes, count, &totals);
    if (status == LORE_NO_MEMORY) suspend_others(background, JOB_SLOTS);
    count_blocked(background);
    bool working = is_working(background);
    atomic_store(&background->working, working);
    totals.read_bytes = count->read_bytes;
    totals.written_bytes = count->written_bytes;
    totals.job_running = working;
    if (totals.flushes == 0) atomic_fetch_add(&background->compact_done, count->read_bytes);
    lsm_add_totals(lsm, &totals);
    *more = lsm_has_work(lsm);
    atomic_store(&background->stepping, false);
    return status;
}

bool lsm_read_failed(const struct lsm *lsm) {
    return lsm->read_failed;
}

bool lsm_has_work(struct lsm *lsm) {
    struct background *background = lsm->background;
    if (background == NULL) return false;
    return !lsm_can_freeze(lsm) || atomic_load(&background->working) ||
           atomic_load(&background->compacting) || !is_settled(background);
}

uint64_t lsm_delay_us(struct lsm *lsm) {
    struct background *background = lsm->background;
    if (background == NULL) return 0;
    const lore_env *env = lsm->config.context->env;
    env_lock(env, lsm->mutex);
    uint64_t level0_runs = lsm->version->levels[0].count, runs = lsm->version->runs_count;
    bool frozen_waits = lsm->frozen != NULL;
    uint64_t active_bytes = memtable_bytes(lsm->active);
    env_unlock(env, lsm->mutex);
    uint64_t blocked_level0_runs = atomic_load(&background->blocked_level0_runs),
             blocked_runs = atomic_load(&background->blocked_runs);
    level0_runs -= blocked_level0_runs < level0_runs ? blocked_level0_runs : level0_runs;
    runs -= blocked_runs < runs ? blocked_runs : runs;
    struct policy_limits limits = limits_of(lsm);
    return policy_delay_us(&limits, level0_runs, runs, frozen_waits, active_bytes);
}

/* ---- compaction that was asked for ---- */

lore_status lsm_compact_begin(struct lsm *lsm) {
    struct background *background = lsm->background;
    if (background == NULL) return fail(LORE_MISUSE, "the store is open read-only");
    uint64_t total = 0;
    for (size_t r = 0; r < lsm->version->runs_count; r++)
        total += lsm->version->runs[r].bytes;
    for (size_t i = 0; i < lsm->version->values_count; i++) {
        if (atomic_load(&lsm->version->values[i]->garbage_values) > 0)
            total += lsm->version->values[i]->summary.bytes;
    }
    bool same_pins;
    uint64_t fresh_from;
    TRY(asked_read(lsm, &fresh_from, &same_pins));
    background->asked_at = background->fresh_from = lsm->segment_next;
    if (fresh_from != 0 && same_pins) background->fresh_from = fresh_from;
    TRY(asked_remember(lsm, background->fresh_from));
    atomic_store(&background->settled_version, 0);
    atomic_store(&background->compact_done, 0);
    atomic_store(&background->compact_total, total);
    atomic_store(&background->compacting, true);
    return LORE_OK;
}

bool lsm_compacting(struct lsm *lsm, uint64_t *done_bytes, uint64_t *total_bytes) {
    struct background *background = lsm->background;
    if (background == NULL) return false;
    *total_bytes = atomic_load(&background->compact_total);
    *done_bytes = atomic_load(&background->compact_done);
    if (*done_bytes > *total_bytes) *done_bytes = *total_bytes;
    return atomic_load(&background->compacting);
}

void lsm_compact_cancel(struct lsm *lsm) {
    if (lsm->background != NULL) atomic_store(&lsm->background->compacting, false);
}
