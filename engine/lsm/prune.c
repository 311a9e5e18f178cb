/*
 * prune.c - a walk over one table beside all newer runs. The version is held from beginning to
 * end: what is flushed meanwhile may hide a version that a later snapshot needs.
 */
#include "lsm/prune.h"

#include <assert.h>

#include "lsm/background.h"
#include "lsm/merge_cursor.h"
#include "lsm/write_filter.h"

#include "base/poison.h"

#define READAHEAD_BYTES_MIN (16u << 10)
#define READAHEAD_BYTES_MAX (64u << 10)
#define ENTRIES_PER_LOOK    16u

struct prune {
    struct lsm *lsm;
    struct prune_limits limits;
    struct version *version;
    size_t run; /* its index in the version */
    uint8_t level;
    const struct table_slot *slot;
    struct run alone; /* a run of that table alone: the cursor reads it */
    uint64_t *pins;
    size_t pins_count;
    struct range_deletes deletes; /* of all runs */
    bool prepared;

    bool cursors_open;
    struct merge_cursor cursor;
    struct read_count reads;

    struct bytes key; /* at hand, or taken last; empty: none yet */
    /* Of the key at hand: nothing older from this stripe's beginning on up to its limit is seen. */
    bool closed;
    uint64_t closed_limit;

    struct table_builder *table; /* NULL: nothing kept yet */
    uint64_t counted_bytes;
    struct garbage_list garbage;
    bool walked;
    bool found_little;
};

/* ---- what helps ---- */

bool prune_may_help(const struct version *version, size_t run, const struct table_slot *slot) {
    if (slot->handle->broken != LORE_OK) return false;
    const struct segment_summary *summary = &slot->handle->summary;
    for (size_t r = 0; r < run; r++) {
        const struct run *newer = &version->runs[r];
        size_t at = run_find(newer, bytes_slice(&summary->first_key));
        if (at < newer->count &&
            slice_compare(bytes_slice(&newer->tables[at].handle->summary.first_key),
                          bytes_slice(&summary->last_key)) <= 0)
            return true;
    }
    return false;
}

/* ---- life ---- */

static lore_status prepare(struct prune *prune) {
    struct lsm *lsm = prune->lsm;
    TRY(lsm_pins_copy(lsm, lsm->work, &prune->pins, &prune->pins_count));
    for (size_t r = 0; r < prune->version->runs_count; r++)
        TRY(source_run_range_deletes(&prune->version->runs[r], SEQUENCE_MAX,
                                     bytes_slice(&prune->slot->handle->summary.first_key),
                                     slice(NULL, 0), &prune->deletes));
    TRY(range_deletes_build(&prune->deletes, prune->pins, prune->pins_count));
    prune->prepared = true;
    return LORE_OK;
}

lore_status prune_create(struct lsm *lsm, uint64_t table, const struct prune_limits *limits,
                         struct prune **out) {
    void *memory;
    TRY(mem_new(lsm->work, sizeof(struct prune), &memory));
    struct prune *prune = memory;
    prune->lsm = lsm;
    prune->limits = *limits;
    prune->version = lsm_version(lsm);
    prune->key = bytes_empty(lsm->work);
    prune->garbage.allocator = lsm->work;
    range_deletes_init(&prune->deletes, lsm->work);
    const struct run *run = NULL;
    size_t at = 0;
    bool found = version_find_table(prune->version, table, &run, &at);
    assert(found);
    (void)found;
    prune->run = (size_t)(run - prune->version->runs);
    for (size_t runs = 0; prune->level < LEVELS_MAX; prune->level++) {
        runs += prune->version->levels[prune->level].count;
        if (prune->run < runs) break;
    }
    prune->slot = &run->tables[at];
    prune->alone = (struct run){run->id, run->order, &run->tables[at], 1, run->bytes};
    *out = prune;
    return LORE_OK;
}

static void close_cursors(struct prune *prune) {
    if (!prune->cursors_open) return;
    merge_cursor_deinit(&prune->cursor);
    prune->cursors_open = false;
}

void prune_suspend(struct prune *prune) {
    close_cursors(prune);
}

void prune_destroy(struct prune *prune) {
    if (prune == NULL) return;
    const struct allocator *a = prune->lsm->work;
    close_cursors(prune);
    if (prune->table != NULL) table_builder_destroy(prune->table);
    range_deletes_deinit(&prune->deletes);
    garbage_list_deinit(&prune->garbage);
    mem_put(a, prune->pins, prune->pins_count * sizeof *prune->pins);
    bytes_free(&prune->key);
    version_release(prune->version);
    mem_put(a, prune, sizeof *prune);
}

uint64_t prune_table(const struct prune *prune) {
    return prune->slot->handle->summary.id;
}
uint64_t prune_run(const struct prune *prune) {
    return prune->alone.id;
}

bool prune_found_little(const struct prune *prune) {
    return prune->found_little;
}

/* ---- reading ---- */

static lore_status open_cursors(struct prune *prune) {
    if (prune->cursors_open) return LORE_OK;
    if (!prune->prepared) TRY(prepare(prune));
    merge_cursor_init(&prune->cursor, prune->lsm->work);
    prune->cursors_open = true;
    size_t sources = prune->run + 1;
    if (sources > prune->limits.sources_max) sources = prune->limits.sources_max;
    uint32_t readahead = prune->limits.buffers_bytes / (uint32_t)sources & ~UINT32_C(4095);
    if (readahead < READAHEAD_BYTES_MIN) readahead = READAHEAD_BYTES_MIN;
    if (readahead > READAHEAD_BYTES_MAX) readahead = READAHEAD_BYTES_MAX;
    struct source_mode mode = {prune->lsm->work, true, readahead, &prune->reads};
    TRY(merge_cursor_reserve(&prune->cursor, sources));
    for (size_t r = 0; r + 1 < sources; r++)
        merge_cursor_add_run(&prune->cursor, &prune->version->runs[r], &mode);
    merge_cursor_add_run(&prune->cursor, &prune->alone, &mode);
    /* A key is taken whole, so what comes next is a new one. */
    if (prune->key.size > 0) return merge_cursor_seek(&prune->cursor, bytes_slice(&prune->key), 0);
    bool exclusive;
    lore_slice lower = table_slot_lower(prune->slot, &exclusive);
    return merge_cursor_seek(&prune->cursor, lower, exclusive ? 0 : SEQUENCE_MAX);
}

/* ---- writing ---- */

static lore_status keep(void *context, const struct entry *entry) {
    struct prune *prune = context;
    if (prune->table == NULL) {
        const struct lsm_config *config = &prune->lsm->config;
        struct table_builder_config table = {.level = prune->level,
                                             .block_bytes = config->block_bytes,
                                             .compression = config->compression};
        TRY(lsm_take_segment_id(prune->lsm, &table.id));
        TRY(table_builder_create(config->context, &table, &prune->table));
    }
    if (entry->kind == ENTRY_RANGE_DELETE)
        return table_builder_add_range_delete(prune->table, entry);
    return table_builder_add(prune->table, entry);
}

/* The lowest pin at or above `sequence`: who sees one version of a stripe sees no older one. */
static uint64_t stripe_limit(const struct prune *prune, uint64_t sequence) {
    for (size_t i = 0; i < prune->pins_count; i++) {
        if (prune->pins[i] >= sequence) return prune->pins[i];
    }
    return UINT64_MAX;
}

static lore_status take(struct prune *prune, const struct source *top) {
    if (top->at == SOURCE_BROKEN) return source_broken(top);
    const struct entry *entry = &top->entry;
    uint64_t limit = stripe_limit(prune, entry->sequence);
    bool hidden = (prune->closed && prune->closed_limit == limit) ||
                  range_deletes_covering(&prune->deletes, entry->key, limit) > entry->sequence;
    if (entry->kind != ENTRY_MERGE) {
        prune->closed = true;
        prune->closed_limit = limit;
    }
    if (top->run == &prune->alone) {
        if (!hidden)
            TRY(keep(prune, entry));
        else if (entry->kind == ENTRY_PUT_BLOB || entry->kind == ENTRY_VECTOR_ROW)
            TRY(garbage_list_add(&prune->garbage, entry->value));
    }
    return lsm_reading(prune->lsm, merge_cursor_step(&prune->cursor));
}

static void look(struct prune *prune, struct step_count *count) {
    merge_cursor_collect_counts(&prune->cursor);
    count->read_bytes += prune->reads.bytes_read;
    prune->reads = (struct read_count){0};
    uint64_t bytes = prune->table == NULL ? 0 : table_builder_written(prune->table);
    if (bytes <= prune->counted_bytes) return;
    count->written_bytes += bytes - prune->counted_bytes;
    prune->counted_bytes = bytes;
}

static lore_status check_output(struct prune *prune, uint64_t bytes) {
    uint64_t before = prune->slot->handle->summary.bytes;
    prune->found_little = bytes > before / 8 * 7;
    if (!prune->found_little && bytes <= prune->limits.output_bytes_max) return LORE_OK;
    return fail(LORE_FULL, "no room to write segment %llu anew without what is deleted",
                (unsigned long long)prune->slot->handle->summary.id);
}

static lore_status walk(struct prune *prune, uint64_t budget_bytes, struct step_count *count) {
    struct step_count before = *count;
    lore_slice last = bytes_slice(&prune->slot->handle->summary.last_key);
    TRY(lsm_reading(prune->lsm, open_cursors(prune)));
    look(prune, count);
    for (uint32_t entries = 0;; entries++) {
        const struct source *top = merge_cursor_top(&prune->cursor);
        if (top == NULL || slice_compare(top->entry.key, last) > 0) {
            prune->walked = true;
            break;
        }
        if (!slice_equal(bytes_slice(&prune->key), top->entry.key)) {
            if (entries >= ENTRIES_PER_LOOK) {
                look(prune, count);
                entries = 0;
                TRY(check_output(prune,
                                 prune->table == NULL ? 0 : table_builder_bytes(prune->table)));
                if (count->read_bytes - before.read_bytes + count->written_bytes -
                        before.written_bytes >=
                    budget_bytes)
                    break;
            }
            TRY(bytes_set(&prune->key, top->entry.key));
            prune->closed = false;
        }
        TRY(take(prune, top));
    }
    look(prune, count);
    return LORE_OK;
}

/* The table's own range deletes stay: they hide what lies beneath. */
static lore_status keep_range_deletes(struct prune *prune) {
    struct range_deletes own;
    range_deletes_init(&own, prune->lsm->work);
    lore_slice cut = bytes_slice(&prune->slot->cut);
    lore_status status =
        source_run_range_deletes(&prune->alone, SEQUENCE_MAX, cut, slice(NULL, 0), &own);
    if (status == LORE_OK) status = range_deletes_build(&own, prune->pins, prune->pins_count);
    struct write_filter_config config = {.allocator = prune->lsm->work,
                                         .pins = prune->pins,
                                         .pins_count = prune->pins_count,
                                         .deletes = &own,
                                         .context = prune,
                                         .keep = keep};
    if (status == LORE_OK) status = write_filter_range_deletes(&config, cut, slice(NULL, 0));
    range_deletes_deinit(&own);
    return status;
}

/* ---- the end ---- */

static lore_status finish_table(struct prune *prune, struct version_change *change) {
    if (prune->table == NULL) return LORE_OK;
    struct segment_summary summary;
    TRY(table_builder_finish(prune->table, &summary));
    uint64_t id = summary.id;
    lore_status status = version_change_add_table(change, prune->level, prune->alone.id,
                                                  prune->alone.order, &summary);
    segment_summary_deinit(&summary);
    table_builder_destroy(prune->table);
    prune->table = NULL;
    if (status != LORE_OK) background_unlink(prune->lsm, SEGMENT_TABLE, id);
    return status;
}

static lore_status install(struct prune *prune, struct step_count *count) {
    struct lsm *lsm = prune->lsm;
    close_cursors(prune);
    TRY(keep_range_deletes(prune));
    struct version_change change;
    struct catalog_edit edit;
    version_change_init(&change, lsm->work);
    catalog_edit_init(&edit, lsm->work);
    bool maybe_durable = false;
    lore_status status = finish_table(prune, &change);
    if (status == LORE_OK && change.added_count > 0) {
        uint64_t bytes = change.added[0].summary->bytes;
        count->written_bytes += bytes - prune->counted_bytes;
        status = check_output(prune, bytes);
        if (status == LORE_OK) status = background_sync_dir(lsm);
    }
    if (status == LORE_OK) status = version_change_drop(&change, prune_table(prune));
    if (status == LORE_OK) status = garbage_list_apply(&prune->garbage, lsm->version, &change);
    if (status == LORE_OK) status = lsm_install(lsm, &change, &edit, &maybe_durable);
    count->written_bytes += edit.encoded.size;
    if (status != LORE_OK && !maybe_durable) background_unlink_added(lsm, &change);
    catalog_edit_deinit(&edit);
    version_change_deinit(&change);
    return status;
}

lore_status prune_step(struct prune *prune, uint64_t budget_bytes, struct step_count *count,
                       bool *done) {
    uint64_t before = count->read_bytes + count->written_bytes;
    *done = false;
    if (!prune->walked) TRY(walk(prune, budget_bytes, count));
    if (!prune->walked || count->read_bytes + count->written_bytes - before > budget_bytes / 2)
        return LORE_OK;
    TRY(install(prune, count));
    *done = true;
    return LORE_OK;
}
