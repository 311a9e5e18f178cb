/*
 * compaction.c - the merge. `job.done` is the last key that is installed; `filter.key` the one at
 * hand; all keys between are in the output being built.
 */
#include "lsm/compaction.h"

#include <assert.h>

#include "lsm/background.h"
#include "lsm/merge_cursor.h"
#include "lsm/write_filter.h"
#include "vfs/rare.h"

#include "base/poison.h"

#define READAHEAD_BYTES_MIN (16u << 10)
#define READAHEAD_BYTES_MAX (64u << 10)
/* LZ4 HC works in a quarter of a MiB. */
#define HIGH_COMPRESSION_BUDGET_MIN (UINT64_C(16) << 20)
/* Entries between two looks at how much was read. */
#define ENTRIES_PER_LOOK 16u
/* A table smaller than this share of table_bytes_max is merged rather than passed: tables should
 * not become many. */
#define PASS_SHARE 8u
/* Commit after so many tables' worth of input, even if it all went. */
#define INPUT_TABLES_MAX 4u
/* An output is at most this share of the room that the disk has, but not less than the minimum. */
#define ROOM_SHARE      8u
#define SHORT_BYTES_MIN (UINT64_C(256) << 10)

struct compaction {
    struct lsm *lsm;
    struct compaction_config config;
    struct job_record job;

    /* for the life of the job */
    bool prepared;
    uint64_t *pins;
    size_t pins_count;
    struct range_deletes deletes;
    struct write_filter filter;

    /* while open */
    bool cursors_open;
    struct version *version;
    const struct run *output_run; /* of the version; NULL: not there */
    struct merge_cursor cursor;
    struct read_count reads;

    /* the output at hand */
    struct bytes position;       /* the last key taken; empty: none since job.done */
    struct table_builder *table; /* NULL: nothing kept yet */
    uint64_t counted_bytes;      /* of it, counted as written */
    uint64_t input_bytes;        /* read for it */
    struct garbage_list garbage;
    bool output_is_full; /* to be installed next */
    bool at_end;         /* no input is left */
    bool rest_stays;     /* at_end, and what is left of the last run stays as it is */
};

/* ---- what a version has of the job ---- */

static bool is_input(const struct compaction *c, uint64_t run) {
    for (uint32_t i = 0; i < c->job.inputs_count; i++) {
        if (c->job.inputs[i] == run) return true;
    }
    return false;
}

bool compaction_has_run(const struct compaction *c, uint64_t run) {
    return run == c->job.output_run || is_input(c, run);
}

const struct job_record *compaction_job(const struct compaction *c) {
    return &c->job;
}

/* Whether all that the table shows lies at or below `key`. */
static bool ends_by(const struct table_slot *slot, lore_slice key) {
    if (key.size == 0) return false;
    const struct segment_summary *summary = &slot->handle->summary;
    lore_slice last = bytes_slice(&summary->last_key);
    if (!summary->last_key_exclusive) return slice_compare(last, key) <= 0;
    /* The end of a range delete: the first key that it does not cover is at most the one after
     * `key`. */
    if (slice_compare(last, key) <= 0) return true;
    return last.size == key.size + 1 && slice_starts_with(last, key) &&
           ((const uint8_t *)last.data)[key.size] == 0;
}

/* ---- life ---- */

lore_status compaction_create(struct lsm *lsm, struct compaction_config *config,
                              struct compaction **out) {
    void *memory;
    lore_status status = mem_new(lsm->work, sizeof(struct compaction), &memory);
    if (status != LORE_OK) {
        job_record_deinit(&config->job);
        return status;
    }
    struct compaction *c = memory;
    c->lsm = lsm;
    c->config = *config;
    c->job = config->job;
    if (c->job.done.allocator == NULL) c->job.done = bytes_empty(lsm->work);
    range_deletes_init(&c->deletes, lsm->work);
    c->position = bytes_empty(lsm->work);
    c->garbage.allocator = lsm->work;
    *out = c;
    return LORE_OK;
}

static void close_cursors(struct compaction *c) {
    if (!c->cursors_open) return;
    merge_cursor_deinit(&c->cursor);
    version_release(c->version);
    c->version = NULL;
    c->output_run = NULL;
    c->cursors_open = false;
}

void compaction_suspend(struct compaction *c) {
    close_cursors(c);
}

/* Back to the last install. */
static void undo_output(struct compaction *c) {
    close_cursors(c);
    if (c->table != NULL) table_builder_destroy(c->table);
    c->table = NULL;
    c->counted_bytes = 0;
    c->input_bytes = 0;
    c->output_is_full = false;
    c->at_end = false;
    c->rest_stays = false;
    c->garbage.count = 0;
    bytes_clear(&c->position);
    if (c->prepared) write_filter_reset(&c->filter);
}

void compaction_destroy(struct compaction *c) {
    if (c == NULL) return;
    struct lsm *lsm = c->lsm;
    undo_output(c);
    write_filter_deinit(&c->filter);
    range_deletes_deinit(&c->deletes);
    garbage_list_deinit(&c->garbage);
    mem_put(lsm->work, c->pins, c->pins_count * sizeof *c->pins);
    bytes_free(&c->position);
    job_record_deinit(&c->job);
    mem_put(lsm->work, c, sizeof *c);
}

/* ---- where entries go ---- */

static lore_status open_table(struct compaction *c) {
    if (c->table != NULL) return LORE_OK;
    const struct lsm_config *config = &c->lsm->config;
    struct table_builder_config table = {.level = c->job.output_level,
                                         .block_bytes = config->block_bytes,
                                         .compression = config->compression,
                                         .high_compression =
                                             c->job.drop_deletes &&
                                             config->budget->limit >= HIGH_COMPRESSION_BUDGET_MIN};
    TRY(lsm_take_segment_id(c->lsm, &table.id));
    return table_builder_create(config->context, &table, &c->table);
}

static lore_status keep(void *context, const struct entry *entry) {
    struct compaction *c = context;
    TRY(open_table(c));
    if (entry->kind == ENTRY_RANGE_DELETE) return table_builder_add_range_delete(c->table, entry);
    return table_builder_add(c->table, entry);
}

static lore_status dropped(void *context, const struct entry *entry) {
    struct compaction *c = context;
    return garbage_list_add(&c->garbage, entry->value);
}

/* ---- opening ---- */

/* Once: which versions snapshots need, and what range deletes cover. Later snapshots are above all
 * that the inputs hold. */
static lore_status prepare(struct compaction *c) {
    struct lsm *lsm = c->lsm;
    if (c->prepared) return LORE_OK;
    if (c->pins == NULL) TRY(lsm_pins_copy(lsm, lsm->work, &c->pins, &c->pins_count));
    range_deletes_deinit(&c->deletes);
    for (size_t r = 0; r < c->version->runs_count; r++) {
        if (!compaction_has_run(c, c->version->runs[r].id)) continue;
        TRY(source_run_range_deletes(&c->version->runs[r], SEQUENCE_MAX, bytes_slice(&c->job.done),
                                     slice(NULL, 0), &c->deletes));
    }
    TRY(range_deletes_build(&c->deletes, c->pins, c->pins_count));
    struct write_filter_config config = {.allocator = lsm->work,
                                         .pins = c->pins,
                                         .pins_count = c->pins_count,
                                         .deletes = &c->deletes,
                                         .drop_deletes = c->job.drop_deletes,
                                         .hooks = &lsm->config.hooks,
                                         .context = c,
                                         .keep = keep,
                                         .dropped = dropped};
    write_filter_init(&c->filter, &config);
    c->prepared = true;
    return LORE_OK;
}

static uint32_t readahead_bytes(const struct compaction *c, size_t sources) {
    size_t bytes = sources == 0 ? 0 : c->config.buffers_bytes / sources;
    bytes &= ~(size_t)4095;
    if (bytes < READAHEAD_BYTES_MIN) return READAHEAD_BYTES_MIN;
    return bytes > READAHEAD_BYTES_MAX ? READAHEAD_BYTES_MAX : (uint32_t)bytes;
}

/* Where to go on: behind what was taken, or else behind what is installed. */
static lore_slice last_taken(const struct compaction *c) {
    return c->position.size > 0 ? bytes_slice(&c->position) : bytes_slice(&c->job.done);
}

/* Which source cannot be read: each is asked alone. */
static uint64_t find_damaged(struct compaction *c) {
    lore_slice key = last_taken(c);
    for (size_t i = 0; i < c->cursor.count; i++) {
        struct source *source = &c->cursor.sources[i];
        lore_status status =
            key.size == 0 ? source_seek_first(source) : source_seek(source, key, 0);
        if (status == LORE_CORRUPTION && source->run != NULL && source->table < source->run->count)
            return source->run->tables[source->table].handle->summary.id;
    }
    return 0;
}

static lore_status seek(struct compaction *c, uint64_t *damaged) {
    lore_slice key = last_taken(c);
    lore_status status =
        key.size == 0 ? merge_cursor_seek_first(&c->cursor) : merge_cursor_seek(&c->cursor, key, 0);
    if (status == LORE_CORRUPTION) *damaged = find_damaged(c);
    return lsm_reading(c->lsm, status);
}

static lore_status open_cursors(struct compaction *c, uint64_t *damaged) {
    if (c->cursors_open) return LORE_OK;
    c->version = lsm_version(c->lsm);
    merge_cursor_init(&c->cursor, c->lsm->work);
    c->cursors_open = true;
    TRY(prepare(c));
    size_t sources = 0;
    for (size_t r = 0; r < c->version->runs_count; r++)
        sources += compaction_has_run(c, c->version->runs[r].id);
    struct source_mode mode = {c->lsm->work, true, readahead_bytes(c, sources), &c->reads};
    TRY(merge_cursor_reserve(&c->cursor, sources));
    for (size_t r = 0; r < c->version->runs_count; r++) {
        const struct run *run = &c->version->runs[r];
        if (!compaction_has_run(c, run->id)) continue;
        if (run->id == c->job.output_run) c->output_run = run;
        merge_cursor_add_run(&c->cursor, run, &mode);
    }
    return seek(c, damaged);
}

/* ---- installing ---- */

/* What becomes of the tables of one run, now that all keys up to `upto` have moved (size 0: all
 * keys). */
static lore_status consume_run(const struct compaction *c, const struct run *run, lore_slice upto,
                               uint64_t moved, struct version_change *change) {
    bool is_output = run->id == c->job.output_run;
    for (size_t t = 0; t < run->count; t++) {
        const struct table_slot *slot = &run->tables[t];
        uint64_t id = slot->handle->summary.id;
        if (id == moved) continue;
        /* Outputs installed before, and tables that were left in place. */
        if (is_output && ends_by(slot, bytes_slice(&c->job.done))) continue;
        if (upto.size == 0 || ends_by(slot, upto)) {
            TRY(version_change_drop(change, id));
        } else if (slice_compare(bytes_slice(&slot->handle->summary.first_key), upto) <= 0) {
            /* A merge that was given up may have moved more of it before. */
            if (slice_compare(bytes_slice(&slot->cut), upto) < 0)
                TRY(version_change_recut(change, id, upto));
        } else {
            break;
        }
    }
    return LORE_OK;
}

static lore_status consume(const struct compaction *c, const struct version *version,
                           lore_slice upto, uint64_t moved, struct version_change *change) {
    for (size_t r = 0; r < version->runs_count; r++) {
        const struct run *run = &version->runs[r];
        bool is_output = run->id == c->job.output_run;
        if (!is_output && !is_input(c, run->id)) continue;
        lore_slice limit = c->at_end && !(is_output && c->rest_stays) ? slice(NULL, 0) : upto;
        /* Nothing was taken, and the rest of the last run stays: then all of it does. */
        if (is_output && c->rest_stays && upto.size == 0) continue;
        TRY(consume_run(c, run, limit, moved, change));
    }
    return LORE_OK;
}

/* The job's record with `done`, or its end. */
static lore_status record_job(struct compaction *c, lore_slice done, struct catalog_edit *edit) {
    struct catalog_key key = schema_key_number('J', c->config.slot);
    if (c->at_end) return catalog_edit_delete(edit, catalog_key_slice(&key));
    struct bytes value = bytes_empty(c->lsm->work);
    struct job_record job = c->job;
    job.done = bytes_empty(c->lsm->work);
    lore_status status = bytes_set(&job.done, done);
    if (status == LORE_OK) status = job_record_encode(&job, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(edit, catalog_key_slice(&key), bytes_slice(&value));
    bytes_free(&job.done);
    bytes_free(&value);
    return status;
}

/* Keys up to `upto` have moved: into `change`'s new table, to the moved table, or nowhere. */
static lore_status install(struct compaction *c, struct version_change *change, lore_slice upto,
                           uint64_t moved, struct step_count *count, bool *maybe_durable) {
    struct version *version = lsm_version(c->lsm);
    struct catalog_edit edit;
    catalog_edit_init(&edit, c->lsm->work);
    struct bytes done = bytes_empty(c->lsm->work);
    lore_status status = bytes_set(&done, upto);
    if (status == LORE_OK) status = consume(c, version, upto, moved, change);
    if (status == LORE_OK) status = garbage_list_apply(&c->garbage, version, change);
    if (status == LORE_OK) status = record_job(c, upto, &edit);
    version_release(version);
    if (status == LORE_OK) status = lsm_install(c->lsm, change, &edit, maybe_durable);
    count->written_bytes += edit.encoded.size;
    catalog_edit_deinit(&edit);
    if (status == LORE_OK) {
        bytes_free(&c->job.done);
        c->job.done = done;
        bool was_end = c->at_end;
        undo_output(c); /* it is empty now */
        c->at_end = was_end;
    } else {
        bytes_free(&done);
    }
    return status;
}

static void count_written(struct compaction *c, uint64_t bytes, struct step_count *count) {
    if (bytes <= c->counted_bytes) return;
    count->written_bytes += bytes - c->counted_bytes;
    c->counted_bytes = bytes;
}

/* The output's table, if it has one, to `change`. */
static lore_status finish_table(struct compaction *c, struct version_change *change,
                                struct step_count *count) {
    if (c->table == NULL) return LORE_OK;
    struct segment_summary summary;
    TRY(table_builder_finish(c->table, &summary));
    count_written(c, summary.bytes, count);
    uint64_t id = summary.id;
    lore_status status = version_change_add_table(change, c->job.output_level, c->job.output_run,
                                                  c->job.output_run_order, &summary);
    segment_summary_deinit(&summary);
    table_builder_destroy(c->table);
    c->table = NULL;
    if (status != LORE_OK) background_unlink(c->lsm, SEGMENT_TABLE, id);
    return status;
}

static lore_status install_output(struct compaction *c, struct step_count *count) {
    TRY(write_filter_end_key(&c->filter));
    lore_slice upto = last_taken(c);
    bool whole_rest = c->at_end && !c->rest_stays;
    assert(c->at_end || c->position.size > 0); /* no key at all would stand for all keys */
    TRY(write_filter_range_deletes(&c->filter.config, bytes_slice(&c->job.done),
                                   whole_rest ? slice(NULL, 0) : upto));
    struct version_change change;
    version_change_init(&change, c->lsm->work);
    bool maybe_durable = false;
    lore_status status = finish_table(c, &change, count);
    if (status == LORE_OK && change.added_count > 0) status = background_sync_dir(c->lsm);
    if (status == LORE_OK) status = install(c, &change, upto, 0, count, &maybe_durable);
    if (status != LORE_OK && !maybe_durable) background_unlink_added(c->lsm, &change);
    version_change_deinit(&change);
    return status;
}

/* ---- tables that nothing overlaps ---- */

static uint64_t pass_bytes_min(const struct compaction *c) {
    return c->lsm->config.table_bytes_max / PASS_SHARE;
}

/* Whether the cursor stands at the first key of a table that the merge need not read. */
static bool can_pass(const struct compaction *c, const struct source *top) {
    if (top->at != SOURCE_ENTRY) return false;
    const struct table_slot *slot = &top->run->tables[top->table];
    const struct segment_summary *summary = &slot->handle->summary;
    bool is_fresh = c->config.fresh_from != 0 && top->run == c->output_run &&
                    summary->id >= c->config.fresh_from;
    if (!is_fresh && !c->config.pass_tables) return false;
    if (summary->range_deletes > 0 || summary->bytes < pass_bytes_min(c)) return false;
    lore_slice first = bytes_slice(&summary->first_key), last = bytes_slice(&summary->last_key);
    lore_slice taken = last_taken(c);
    if (taken.size > 0 && slice_compare(taken, first) >= 0) return false;
    uint8_t plain = 1u << ENTRY_PUT | 1u << ENTRY_PUT_BLOB | 1u << ENTRY_VECTOR_ROW;
    if (!is_fresh && c->job.drop_deletes && (summary->kinds_present & ~plain) != 0) return false;
    if (c->job.drop_deletes && top->run != c->output_run && c->lsm->config.hooks.drop != NULL)
        return false;
    for (size_t i = 0; i < c->cursor.count; i++) {
        const struct source *other = &c->cursor.sources[i];
        if (other == top || other->at == SOURCE_END) continue;
        if (slice_compare(other->entry.key, last) <= 0) return false;
    }
    /* Also none before the table: a range delete that lies between two outputs would be lost. */
    size_t at = range_deletes_find(&c->deletes, taken);
    return at == c->deletes.count || slice_compare(c->deletes.fragments[at].begin, last) > 0;
}

/* Whether what is left of the merge is the last run's alone, at the beginning of a table. */
static bool can_end_early(const struct compaction *c, const struct source *top) {
    if (!c->config.pass_tables || c->cursor.heap_count != 1 || top->run != c->output_run)
        return false;
    if (top->at != SOURCE_ENTRY) return false;
    const struct table_slot *slot = &top->run->tables[top->table];
    lore_slice first = bytes_slice(&slot->handle->summary.first_key);
    lore_slice taken = last_taken(c);
    if (taken.size > 0 && slice_compare(taken, first) >= 0) return false;
    size_t at = range_deletes_find(&c->deletes, first);
    return at == c->deletes.count;
}

/* Nothing is in the output: step over the table, or move it. */
static lore_status pass(struct compaction *c, const struct source *top, struct step_count *count,
                        uint64_t *damaged) {
    const struct table_slot *slot = &top->run->tables[top->table];
    const struct segment_summary *summary = &slot->handle->summary;
    if (top->run == c->output_run) {
        TRY(bytes_set(&c->job.done, bytes_slice(&summary->last_key)));
        return seek(c, damaged);
    }
    struct version_change change;
    version_change_init(&change, c->lsm->work);
    bool maybe_durable;
    lore_status status = version_change_move(&change, summary->id, c->job.output_level,
                                             c->job.output_run, c->job.output_run_order);
    if (status == LORE_OK)
        status = install(c, &change, bytes_slice(&summary->last_key), summary->id, count,
                         &maybe_durable);
    version_change_deinit(&change);
    return status;
}

/* ---- steps ---- */

static uint64_t top_bytes(const struct source *top) {
    return top->run->tables[top->table].handle->summary.bytes;
}

/* Where room is short, outputs end early: so the inputs go sooner, and the next merge of the
 * outputs wants less room. */
static uint64_t output_bytes_max(const struct compaction *c) {
    uint64_t bytes = c->lsm->config.table_bytes_max, room = atomic_load(&c->lsm->room_bytes);
    if (room == 0 || room / ROOM_SHARE >= bytes) return bytes;
    uint64_t limit = room / ROOM_SHARE > SHORT_BYTES_MIN ? room / ROOM_SHARE : SHORT_BYTES_MIN;
    return limit < bytes ? limit : bytes;
}

/* Before the first version of a key. *stop: the output is to be installed, or the cursors have
 * moved on. */
static lore_status at_key(struct compaction *c, const struct source *top, struct step_count *count,
                          bool *stop, uint64_t *damaged) {
    uint64_t table_bytes_max = output_bytes_max(c);
    uint64_t bytes = c->table == NULL ? 0 : table_builder_bytes(c->table);
    bool nothing_taken = c->position.size == 0;
    *stop = true;
    if (can_end_early(c, top)) {
        c->at_end = true;
        c->rest_stays = true;
        c->output_is_full = true;
        return LORE_OK;
    }
    /* Not before a key was taken: opening the inputs may read more than a few tables' worth. */
    bool is_full = RARELY(c->lsm->config.context->env, 40) || bytes >= table_bytes_max || c->input_bytes >= INPUT_TABLES_MAX * table_bytes_max;
    if (is_full && !nothing_taken) {
        c->output_is_full = true;
        return LORE_OK;
    }
    /* A large table is passed even if the output before it stays small: else one key more in a
     * table would shift the cuts of all that follow. */
    if ((nothing_taken || bytes == 0 || bytes >= pass_bytes_min(c) ||
         2 * top_bytes(top) >= table_bytes_max) &&
        can_pass(c, top)) {
        if (nothing_taken) return pass(c, top, count, damaged);
        c->output_is_full = true;
        return LORE_OK;
    }
    *stop = false;
    return LORE_OK;
}

static uint64_t spent(const struct step_count *count, const struct step_count *before) {
    return count->read_bytes - before->read_bytes + count->written_bytes - before->written_bytes;
}

static void look(struct compaction *c, struct step_count *count) {
    merge_cursor_collect_counts(&c->cursor);
    count->read_bytes += c->reads.bytes_read;
    c->input_bytes += c->reads.bytes_read;
    c->reads = (struct read_count){0};
    if (c->table != NULL) count_written(c, table_builder_written(c->table), count);
}

static lore_status take(struct compaction *c, const struct source *top, uint64_t *damaged) {
    if (top->at == SOURCE_BROKEN) {
        *damaged = top->run->tables[top->table].handle->summary.id;
        return source_broken(top);
    }
    lore_status status = write_filter_add(&c->filter, &top->entry);
    if (status == LORE_OK) status = lsm_reading(c->lsm, merge_cursor_step(&c->cursor));
    if (status == LORE_CORRUPTION && *damaged == 0)
        *damaged = top->run->tables[top->table].handle->summary.id;
    return status;
}

static lore_status merge(struct compaction *c, uint64_t budget_bytes, struct step_count *count,
                         uint64_t *damaged) {
    struct step_count before = *count;
    TRY(open_cursors(c, damaged));
    look(c, count);
    for (uint32_t entries = 0;; entries++) {
        const struct source *top = merge_cursor_top(&c->cursor);
        if (top == NULL) {
            c->at_end = true;
            c->output_is_full = true;
            break;
        }
        if (!slice_equal(bytes_slice(&c->position), top->entry.key)) {
            if (entries >= ENTRIES_PER_LOOK) {
                look(c, count);
                entries = 0;
                if (spent(count, &before) >= budget_bytes) break;
            }
            bool stop;
            TRY(at_key(c, top, count, &stop, damaged));
            if (stop) break;
            TRY(bytes_set(&c->position, top->entry.key));
        }
        TRY(take(c, top, damaged));
    }
    if (c->cursors_open) look(c, count);
    return LORE_OK;
}

lore_status compaction_step(struct compaction *c, uint64_t budget_bytes, struct step_count *count,
                            bool *done, uint64_t *damaged) {
    struct step_count before = *count;
    lore_status status = LORE_OK;
    *done = false;
    *damaged = 0;
    if (!c->output_is_full) status = merge(c, budget_bytes, count, damaged);
    /* The end of a table may be a megabyte: in a step of its own if this one has done much. */
    if (status == LORE_OK && c->output_is_full && spent(count, &before) <= budget_bytes / 2)
        status = install_output(c, count);
    if (status != LORE_OK) {
        undo_output(c);
        return status;
    }
    *done = c->at_end && !c->output_is_full;
    return LORE_OK;
}
