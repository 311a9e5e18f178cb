/*
 * read_testing.h - a tree for tests of reading: no catalog, shapes laid out by hand from a random
 * history, and a naive model that says what a read at any sequence number must give.
 *
 * For *_test.c only. One thread.
 */
#ifndef LORE_LSM_READ_TESTING_H
#define LORE_LSM_READ_TESTING_H

#include <stdio.h>

#include "base/merge.h"
#include "lsm/lsm_internal.h"
#include "lsm/version_parts.h"
#include "segment/segment_testing.h"

#define TEST_SPACE     5u
#define TEST_STRIDE    16u
#define BLOB_THRESHOLD 1024u
#define TEST_KEYS_MAX  64u
#define TEST_OPS_MAX   700u

/* ---- the history and its model ---- */

struct test_key {
    uint8_t bytes[48];
    size_t size;
    bool counts; /* merges and puts of the merge form */
    bool vector;
};

struct test_op { /* number n has sequence n + 1 */
    enum entry_kind kind;
    size_t key;       /* index; of a range delete: first deleted */
    struct bytes end; /* range delete */
    struct bytes value;
};

struct history {
    struct test_key keys[TEST_KEYS_MAX]; /* ascending */
    size_t keys_count;
    struct test_op ops[TEST_OPS_MAX];
    size_t count;
    bool deletes_vanish; /* compaction is at work */
};

static inline lore_slice test_key_slice(const struct history *h, size_t key) {
    return slice(h->keys[key].bytes, h->keys[key].size);
}

static int compare_test_keys(const void *a, const void *b) {
    const struct test_key *x = a, *y = b;
    return slice_compare(slice(x->bytes, x->size), slice(y->bytes, y->size));
}

static inline void make_keys(struct history *h, uint64_t *seed) {
    for (size_t i = 0; i < 50; i++) {
        struct test_key *key = &h->keys[h->keys_count++];
        memset(key, 0, sizeof *key);
        key->vector = i >= 42;
        key->counts = !key->vector && i >= 32;
        if (key->vector) {
            vector_key_encode(TEST_SPACE, i * 3, key->bytes);
            key->size = VECTOR_KEY_BYTES;
            continue;
        }
        put_be32(key->bytes, key->counts ? 2 : 1);
        key->size = 4;
        size_t tail = test_random(seed) % 3 == 0 ? 14 : 0;
        while (tail-- > 0)
            key->bytes[key->size++] = 'x';
        for (size_t n = 1 + test_random(seed) % 4; n > 0; n--)
            key->bytes[key->size++] = (uint8_t)('a' + test_random(seed) % 3);
    }
    qsort(h->keys, h->keys_count, sizeof *h->keys, compare_test_keys);
    size_t kept = 1;
    for (size_t i = 1; i < h->keys_count; i++) {
        if (compare_test_keys(&h->keys[kept - 1], &h->keys[i]) != 0) h->keys[kept++] = h->keys[i];
    }
    h->keys_count = kept;
}

static inline void make_operand(uint64_t *seed, struct bytes *value) {
    uint8_t fields[2 * MERGE_FIELD_BYTES];
    merge_field_encode(fields, MERGE_ADD, (int64_t)(test_random(seed) % 100));
    merge_field_encode(fields + MERGE_FIELD_BYTES, MERGE_MAX, (int64_t)(test_random(seed) % 1000));
    assert_ok(bytes_set(value, slice(fields, sizeof fields)));
}

static inline void make_value(uint64_t *seed, struct bytes *value, size_t size) {
    bytes_clear(value);
    uint64_t stamp = test_random(seed);
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(stamp >> (8 * (i % 8)));
        assert_ok(bytes_append(value, &byte, 1));
    }
}

static inline void make_op(struct history *h, uint64_t *seed, const struct allocator *a) {
    struct test_op *op = &h->ops[h->count++];
    *op = (struct test_op){.end = bytes_empty(a), .value = bytes_empty(a)};
    op->key = test_random(seed) % h->keys_count;
    const struct test_key *key = &h->keys[op->key];
    uint64_t die = test_random(seed) % 100;
    if (die < 6) {
        size_t last = op->key + test_random(seed) % 12;
        if (last >= h->keys_count) last = h->keys_count - 1;
        op->kind = ENTRY_RANGE_DELETE;
        assert_ok(bytes_set(&op->end, test_key_slice(h, last)));
        if (last == op->key || die % 2 == 0) assert_ok(bytes_append_zeros(&op->end, 1));
    } else if (die < 25) {
        op->kind = ENTRY_DELETE;
    } else if (key->vector) {
        op->kind = ENTRY_VECTOR;
        make_value(seed, &op->value, TEST_STRIDE);
    } else if (key->counts) {
        op->kind = die < 40 ? ENTRY_PUT : ENTRY_MERGE;
        make_operand(seed, &op->value);
    } else {
        op->kind = ENTRY_PUT;
        size_t size = test_random(seed) % 40;
        if (die > 92) size = 1000 + test_random(seed) % 800;
        if (die > 97) size = 5000;
        make_value(seed, &op->value, size);
    }
}

static inline void history_init(struct history *h, size_t ops, uint64_t *seed,
                                const struct allocator *a) {
    memset(h, 0, sizeof *h);
    make_keys(h, seed);
    while (h->count < ops)
        make_op(h, seed, a);
}

static inline void history_deinit(struct history *h) {
    for (size_t i = 0; i < h->count; i++) {
        bytes_free(&h->ops[i].end);
        bytes_free(&h->ops[i].value);
    }
}

struct model_answer {
    bool found;
    uint64_t sequence; /* of the newest entry, a delete too */
    lore_slice value;  /* into the history, or into merged */
    uint8_t merged[64];
};

/* Walks the whole history; as plain as can be. */
static inline void model_get(const struct history *h, size_t key, uint64_t sequence,
                             struct model_answer *answer) {
    *answer = (struct model_answer){.found = false};
    lore_slice bytes = test_key_slice(h, key);
    for (size_t i = 0; i < h->count && i + 1 <= sequence; i++) {
        const struct test_op *op = &h->ops[i];
        if (op->kind == ENTRY_RANGE_DELETE) {
            if (slice_compare(test_key_slice(h, op->key), bytes) > 0 ||
                slice_compare(bytes, bytes_slice(&op->end)) >= 0)
                continue;
        } else if (op->key != key) {
            continue;
        }
        answer->sequence = i + 1;
        if (op->kind == ENTRY_DELETE || op->kind == ENTRY_RANGE_DELETE) {
            answer->found = false;
        } else if (op->kind == ENTRY_MERGE && answer->found) {
            assert_true(merge_combine(answer->value, bytes_slice(&op->value), answer->merged));
            answer->value.data = answer->merged;
        } else {
            answer->found = true;
            answer->value = bytes_slice(&op->value);
        }
    }
}

/* ---- the tree ---- */

struct tree_fixture {
    struct segment_fixture segments;
    struct mutex *catalog_mutex;
    struct lsm *lsm;
    struct lsm_config config;
    uint64_t next_id;
};

static inline void tree_init(struct tree_fixture *t) {
    memset(t, 0, sizeof *t);
    segment_fixture_init(&t->segments);
    t->next_id = 1;
    const struct allocator *a = &t->segments.allocator.base;
    void *memory;
    assert_ok(mem_new(a, sizeof(struct lsm), &memory));
    struct lsm *lsm = memory;
    lsm->config.context = &t->segments.context;
    lsm->config.budget = &t->segments.budget;
    lsm->config.memtable_bytes = 8 << 20;
    lsm->allocator = lsm->versions = lsm->work = a;
    lsm->sys = t->segments.env.sys;
    atomic_init(&lsm->view_number, 1);
    atomic_init(&lsm->iterators, 0);
    assert_ok(lsm->sys->ops->mutex_create(lsm->sys, &lsm->mutex));
    struct version_parts none;
    version_parts_init(&none, a);
    assert_ok(version_build(&none, 1, &lsm->version));
    assert_ok(memtable_create(a, &t->segments.budget, 8 << 20, 1, &lsm->active));
    t->lsm = lsm;
}

static inline void tree_deinit(struct tree_fixture *t) {
    lsm_close(t->lsm);
    segment_fixture_deinit(&t->segments);
}

/* As install.c does it, without a catalog. */
static inline void tree_install(struct tree_fixture *t, const struct version_change *change,
                                bool flushed) {
    struct version *version, *old = t->lsm->version;
    struct memtable *retired = NULL;
    assert_ok(version_apply(old, &t->segments.context, change, &version));
    t->lsm->version = version;
    if (flushed) {
        retired = t->lsm->frozen;
        t->lsm->frozen = NULL;
        t->lsm->retired++;
    }
    atomic_fetch_add(&t->lsm->view_number, 1);
    memtable_release(retired);
    version_release(old);
}

/* Ops [first, end) into the active memtable, one batch each. */
static inline void tree_write(struct tree_fixture *t, const struct history *h, size_t first,
                              size_t end) {
    struct batch batch;
    batch_init(&batch, &t->segments.allocator.base);
    for (size_t i = first; i < end; i++) {
        const struct test_op *op = &h->ops[i];
        lore_slice key = test_key_slice(h, op->key), value = bytes_slice(&op->value);
        batch_clear(&batch);
        if (op->kind == ENTRY_PUT) assert_ok(batch_put(&batch, key, value));
        if (op->kind == ENTRY_DELETE) assert_ok(batch_delete(&batch, key));
        if (op->kind == ENTRY_MERGE) assert_ok(batch_merge(&batch, key, value));
        if (op->kind == ENTRY_VECTOR) assert_ok(batch_vector(&batch, key, value));
        if (op->kind == ENTRY_RANGE_DELETE)
            assert_ok(batch_delete_range(&batch, key, bytes_slice(&op->end)));
        batch_seal(&batch, i + 1, 0);
        assert_ok(lsm_reserve(t->lsm, batch.memtable_bytes));
        lsm_apply(t->lsm, bytes_slice(&batch.payload));
    }
    batch_deinit(&batch);
}

/* ---- runs of tables from parts of the history ---- */

/* What goes into a run: the ops of [first, end), keys within [from, to) (to of size 0: no bound).
 */
struct run_plan {
    size_t first, end;
    lore_slice from, to;
    uint8_t level;
    uint64_t run, order;
    size_t tables_wanted;
};

struct run_writer {
    struct tree_fixture *tree;
    const struct history *history;
    const struct run_plan *plan;
    struct version_change *change;
    struct blob_builder *blob; /* NULL until needed */
    struct rows_builder *rows;
    uint64_t last_table; /* id of the last one written */
};

static inline void write_entry(struct run_writer *w, struct table_builder *table, size_t op_index) {
    const struct test_op *op = &w->history->ops[op_index];
    const struct segment_context *context = &w->tree->segments.context;
    struct entry entry = {test_key_slice(w->history, op->key), op_index + 1, op->kind,
                          bytes_slice(&op->value)};
    uint8_t reference[VALUE_REF_BYTES];
    struct value_ref ref;
    if (op->kind == ENTRY_PUT && op->value.size > BLOB_THRESHOLD) {
        struct blob_builder_config config = {.id = w->tree->next_id};
        if (w->blob == NULL) {
            w->tree->next_id++;
            assert_ok(blob_builder_create(context, &config, &w->blob));
        }
        assert_ok(blob_builder_add(w->blob, entry.key, entry.sequence, entry.value, &ref));
        entry.kind = ENTRY_PUT_BLOB;
    } else if (op->kind == ENTRY_VECTOR) {
        struct rows_builder_config config = {
            .id = w->tree->next_id, .space = TEST_SPACE, .stride_bytes = TEST_STRIDE};
        if (w->rows == NULL) {
            w->tree->next_id++;
            assert_ok(rows_builder_create(context, &config, &w->rows));
        }
        uint32_t space;
        uint64_t row;
        assert_true(vector_key_decode(entry.key, &space, &row));
        assert_ok(rows_builder_add(w->rows, row, entry.sequence, entry.value.data, &ref));
        entry.kind = ENTRY_VECTOR_ROW;
    }
    if (entry.kind != op->kind) {
        value_ref_encode(&ref, reference);
        entry.value = slice(reference, VALUE_REF_BYTES);
    }
    assert_ok(table_builder_add(table, &entry));
}

static inline lore_slice later(lore_slice a, lore_slice b) {
    return slice_compare(a, b) > 0 ? a : b;
}

/* Of two ends, of which size 0 is none. */
static inline lore_slice earlier_end(lore_slice a, lore_slice b) {
    if (a.size == 0) return b;
    if (b.size == 0) return a;
    return slice_compare(a, b) < 0 ? a : b;
}

/* One table of the plan, over [from, to); nothing if it would be empty. */
static inline void write_table(struct run_writer *w, lore_slice from, lore_slice to) {
    const struct history *h = w->history;
    from = later(from, w->plan->from);
    to = earlier_end(to, w->plan->to);
    struct table_builder_config config = {
        .id = w->tree->next_id++, .level = w->plan->level, .block_bytes = 512};
    struct table_builder *table;
    struct segment_summary summary;
    size_t entries = 0;
    assert_ok(table_builder_create(&w->tree->segments.context, &config, &table));
    for (size_t key = 0; key < h->keys_count; key++) {
        lore_slice bytes = test_key_slice(h, key);
        bool inside =
            slice_compare(bytes, from) >= 0 && (to.size == 0 || slice_compare(bytes, to) < 0);
        for (size_t i = w->plan->end; i-- > w->plan->first;) {
            if (h->ops[i].key != key || h->ops[i].kind == ENTRY_RANGE_DELETE || !inside) continue;
            write_entry(w, table, i);
            entries++;
        }
    }
    for (size_t pass = 0; pass < h->keys_count + 1;
         pass++) { /* clipped ones first, then by begin */
        for (size_t i = w->plan->first; i < w->plan->end; i++) {
            const struct test_op *op = &h->ops[i];
            if (op->kind != ENTRY_RANGE_DELETE) continue;
            lore_slice begin = test_key_slice(h, op->key), end = bytes_slice(&op->end);
            bool clipped = slice_compare(begin, from) < 0;
            if (clipped ? pass != 0 : pass != op->key + 1) continue;
            begin = later(begin, from);
            end = earlier_end(end, to);
            struct entry range = {begin, i + 1, ENTRY_RANGE_DELETE, end};
            if (slice_compare(begin, end) >= 0) continue;
            assert_ok(table_builder_add_range_delete(table, &range));
            entries++;
        }
    }
    if (entries > 0) {
        assert_ok(table_builder_finish(table, &summary));
        w->last_table = summary.id;
        assert_ok(version_change_add_table(w->change, w->plan->level, w->plan->run, w->plan->order,
                                           &summary));
        segment_summary_deinit(&summary);
    }
    table_builder_destroy(table);
}

static inline void close_values(struct run_writer *w) {
    struct segment_summary summary;
    if (w->blob != NULL) {
        assert_ok(blob_builder_finish(w->blob, &summary));
        assert_ok(version_change_add_value_file(w->change, &summary));
        segment_summary_deinit(&summary);
        blob_builder_destroy(w->blob);
    }
    if (w->rows != NULL) {
        assert_ok(rows_builder_finish(w->rows, &summary));
        assert_ok(version_change_add_value_file(w->change, &summary));
        segment_summary_deinit(&summary);
        rows_builder_destroy(w->rows);
    }
}

/* Adds the tables to `change`, split at random keys. */
static inline void write_run(struct tree_fixture *t, const struct history *h, uint64_t *seed,
                             const struct run_plan *plan, struct version_change *change) {
    struct run_writer w = {t, h, plan, change, NULL, NULL, 0};
    lore_slice from = slice(NULL, 0);
    size_t at = 0;
    for (size_t i = 1; i < plan->tables_wanted; i++) {
        at += 1 + test_random(seed) % (2 * h->keys_count / plan->tables_wanted);
        if (at >= h->keys_count) break;
        write_table(&w, from, test_key_slice(h, at));
        from = test_key_slice(h, at);
    }
    write_table(&w, from, slice(NULL, 0));
    close_values(&w);
}

#endif
