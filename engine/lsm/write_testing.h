/*
 * write_testing.h - a whole tree over a file system in memory, for tests of background work: a
 * history of entries that stands for the log, and a naive model of what a read at any sequence
 * number gives. What a crash takes from the memtable is written again from the history, as recovery
 * would.
 *
 * For *_test.c only. One thread.
 */
#ifndef LORE_LSM_WRITE_TESTING_H
#define LORE_LSM_WRITE_TESTING_H

#include <stdio.h>

#include "base/testing.h"

#include "base/merge.h"
#include "lsm/lsm_internal.h"
#include "lsm/merge_cursor.h"
#include "segment/block_cache.h"
#include "vfs/fs_fault.h"
#include "wal/batch.h"

#define COUNTER_KEYS 12u
#define VECTOR_KEYS  18u /* in two spaces */
#define WORLD_OPS    8000u
#define WORLD_PINS   6u
#define STRIDE       64u
#define VALUE_MAX    4096u

struct world_op { /* number n has sequence n + 1 */
    enum entry_kind kind;
    uint32_t key, end; /* range delete: keys [key, end) */
    uint32_t bytes;
};

struct world {
    uint64_t seed;
    uint32_t plain_keys; /* keys in order: plain ones, counters, vectors */
    uint32_t window;     /* random writes fall within so many keys, which move on; 0: anywhere */
    uint64_t memory_budget;
    bool plain_only; /* random writes: puts of short values, few deletes */
    struct fs_memory *disk;
    struct fs_fault *fault;
    struct fault_allocator allocator;
    lore_env env;
    struct budget budget;
    struct segment_context context;
    struct catalog *catalog;
    struct mutex *catalog_mutex;
    struct lsm_config config;
    struct lsm *lsm;
    uint64_t log_number;
    struct world_op ops[WORLD_OPS];
    uint64_t count; /* of ops */
    uint64_t pins[WORLD_PINS];
    size_t pins_count;
    uint64_t step_bytes_max; /* of all steps so far */
    uint64_t steps;
};

/* ---- keys and values ---- */

static inline uint32_t world_keys(const struct world *w) {
    return w->plain_keys + COUNTER_KEYS + VECTOR_KEYS;
}

static inline lore_slice world_key(const struct world *w, uint32_t index, uint8_t out[32]) {
    if (index >= w->plain_keys + COUNTER_KEYS) {
        uint32_t n = index - w->plain_keys - COUNTER_KEYS;
        vector_key_encode(3 + n / (VECTOR_KEYS / 2), 10 + n * 7, out);
        return slice(out, VECTOR_KEY_BYTES);
    }
    put_be32(out, index < w->plain_keys ? 1 : 2);
    int size = snprintf((char *)out + 4, 20, "key-%05u", index * 3);
    return slice(out, 4 + (size_t)size);
}

static inline bool is_counter(const struct world *w, uint32_t key) {
    return key >= w->plain_keys && key < w->plain_keys + COUNTER_KEYS;
}
static inline bool is_vector(const struct world *w, uint32_t key) {
    return key >= w->plain_keys + COUNTER_KEYS;
}

/* The value of op number `index`, from its number alone. */
static inline lore_slice world_value(const struct world *w, uint64_t index,
                                     uint8_t out[VALUE_MAX]) {
    const struct world_op *op = &w->ops[index];
    uint64_t state = w->seed * 1000003 + index;
    if (is_counter(w, op->key)) {
        merge_field_encode(out, MERGE_ADD, (int64_t)(test_random(&state) % 100));
        merge_field_encode(out + MERGE_FIELD_BYTES, MERGE_MAX,
                           (int64_t)(test_random(&state) % 1000));
        return slice(out, 2 * MERGE_FIELD_BYTES);
    }
    for (uint32_t i = 0; i < op->bytes; i++) {
        if (i % 16 == 0) test_random(&state);
        out[i] = (uint8_t)(state >> (i % 8 * 8));
    }
    return slice(out, op->bytes);
}

struct model_answer {
    bool found;
    uint8_t value[VALUE_MAX];
    size_t bytes;
};

static inline void model_get(const struct world *w, uint32_t key, uint64_t sequence,
                             struct model_answer *answer) {
    answer->found = false;
    uint8_t value[VALUE_MAX];
    for (uint64_t i = 0; i < w->count && i < sequence; i++) {
        const struct world_op *op = &w->ops[i];
        bool hit =
            op->kind == ENTRY_RANGE_DELETE ? key >= op->key && key < op->end : key == op->key;
        if (!hit) continue;
        if (op->kind == ENTRY_DELETE || op->kind == ENTRY_RANGE_DELETE) {
            answer->found = false;
            continue;
        }
        lore_slice bytes = world_value(w, i, value);
        if (op->kind == ENTRY_MERGE && answer->found) {
            assert_true(merge_combine(slice(answer->value, answer->bytes), bytes, answer->value));
            continue;
        }
        answer->found = true;
        answer->bytes = bytes.size;
        if (bytes.size > 0) memcpy(answer->value, bytes.data, bytes.size);
    }
}

/* ---- the tree ---- */

static inline void world_defaults(struct world *w, uint64_t seed) {
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->plain_keys = 50;
    w->memory_budget = 64u << 20;
    w->config.memtable_bytes = 24 << 10;
    w->config.table_bytes_max = 8 << 10;
    w->config.block_bytes = 512;
    w->config.blob_threshold_bytes = 300;
    w->config.fan_in = 3;
    w->config.compression = LORE_COMPRESSION_LZ4;
}

static inline void world_set_env(struct world *w) {
    fs_fault_set_memory(w->fault, w->disk);
    w->env = (lore_env){&w->allocator.base, fs_fault_fs(w->fault), env_posix()->sys};
    w->context.env = &w->env;
    w->context.dir = "g";
    w->context.table_allocator = &w->allocator.base;
    w->context.work_allocator = &w->allocator.base;
    memset(w->context.identity.store_id, 1, 16);
    memset(w->context.identity.lineage, 2, 16);
}

static inline void write_op(struct world *w, uint64_t index);

static inline struct catalog_config world_catalog(struct world *w) {
    return (struct catalog_config){.env = &w->env,
                                   .allocator = &w->allocator.base,
                                   .dir = "g",
                                   .identity = w->context.identity};
}

/* Open what is on the disk. */
static inline void world_open(struct world *w) {
    struct catalog_config config = world_catalog(w);
    struct catalog_opened opened;
    budget_init(&w->budget, w->memory_budget);
    assert_ok(catalog_open(&config, &w->catalog, &opened));
    assert_ok(w->env.sys->ops->mutex_create(w->env.sys, &w->catalog_mutex));
    assert_ok(file_pool_create(&w->env, &w->allocator.base, 16, false, &w->context.files));
    assert_ok(block_cache_create(&w->env, &w->budget, 1 << 20, &w->context.cache));
    w->config.context = &w->context;
    w->config.budget = &w->budget;
    w->config.catalog = w->catalog;
    w->config.catalog_mutex = w->catalog_mutex;
    assert_ok(lsm_open(&w->config, ++w->log_number, &w->lsm));
    for (size_t i = 0; i < w->pins_count; i++)
        assert_ok(lsm_pin(w->lsm, w->pins[i]));
    for (uint64_t i = lsm_log_state(w->lsm).flushed_sequence; i < w->count; i++)
        write_op(w, i);
}

static inline void world_close(struct world *w) {
    for (size_t i = 0; i < w->pins_count; i++)
        lsm_unpin(w->lsm, w->pins[i]);
    lsm_close(w->lsm);
    block_cache_destroy(w->context.cache);
    file_pool_destroy(w->context.files);
    w->env.sys->ops->mutex_destroy(w->env.sys, w->catalog_mutex);
    catalog_close(w->catalog);
    w->lsm = NULL;
}

static inline void world_create(struct world *w) {
    const struct allocator *host = env_posix()->allocator;
    fault_allocator_init(&w->allocator, host);
    assert_ok(fs_memory_create(host, 0, &w->disk));
    assert_ok(fs_fault_create(host, fs_memory_fs(w->disk), &w->fault));
    world_set_env(w);
    assert_ok(w->env.fs->ops->make_dir(w->env.fs, "g", false));
    assert_ok(fs_sync_parent(&w->env, "g"));
    struct catalog_config config = world_catalog(w);
    struct catalog_edit first;
    catalog_edit_init(&first, host);
    struct catalog *catalog;
    assert_ok(catalog_create(&config, &first, &catalog));
    catalog_edit_deinit(&first);
    catalog_close(catalog);
    world_open(w);
}

static inline void world_destroy(struct world *w) {
    if (w->lsm != NULL) world_close(w);
    assert_int_equal(atomic_load(&w->allocator.outstanding_bytes), 0);
    fs_fault_destroy(w->fault);
    fs_memory_destroy(w->disk);
}

/* ---- working ---- */

static inline lore_status world_try_step(struct world *w, uint64_t budget_bytes, bool *more) {
    struct step_count count = {0, 0};
    lore_status status = lsm_step(w->lsm, budget_bytes, &count, more);
    uint64_t bytes = count.read_bytes + count.written_bytes;
    if (bytes > w->step_bytes_max) w->step_bytes_max = bytes;
    w->steps++;
    return status;
}

static inline bool world_step(struct world *w, uint64_t budget_bytes) {
    bool more;
    lore_status status = world_try_step(w, budget_bytes, &more);
    if (status != LORE_OK) printf("a step failed: %s\n", lore_error_message());
    assert_ok(status);
    assert_true(more == lsm_has_work(w->lsm));
    return more;
}

/* Until nothing is due. */
static inline void world_settle(struct world *w, uint64_t budget_bytes) {
    for (uint32_t i = 0; world_step(w, budget_bytes); i++)
        assert_true(i < 200000);
}

static inline void world_freeze(struct world *w) {
    while (!lsm_can_freeze(w->lsm))
        world_step(w, 64 << 10);
    assert_ok(lsm_freeze(w->lsm, ++w->log_number, 0));
}

static inline void world_flush(struct world *w) {
    world_freeze(w);
    while (!lsm_can_freeze(w->lsm))
        world_step(w, 64 << 10);
}

/* Op `index` of the history into the memtable. */
static inline void write_op(struct world *w, uint64_t index) {
    const struct world_op *op = &w->ops[index];
    uint8_t key[32], end[32], value[VALUE_MAX];
    struct batch batch;
    batch_init(&batch, &w->allocator.base);
    lore_slice k = world_key(w, op->key, key);
    switch (op->kind) {
    case ENTRY_PUT: assert_ok(batch_put(&batch, k, world_value(w, index, value))); break;
    case ENTRY_MERGE: assert_ok(batch_merge(&batch, k, world_value(w, index, value))); break;
    case ENTRY_VECTOR: assert_ok(batch_vector(&batch, k, world_value(w, index, value))); break;
    case ENTRY_DELETE: assert_ok(batch_delete(&batch, k)); break;
    default: assert_ok(batch_delete_range(&batch, k, world_key(w, op->end, end))); break;
    }
    batch_seal(&batch, index + 1, 1);
    if (!lsm_has_room(w->lsm, batch.memtable_bytes)) world_freeze(w);
    assert_ok(lsm_reserve(w->lsm, batch.memtable_bytes));
    lsm_apply(w->lsm, bytes_slice(&batch.payload));
    lsm_note_commit_time(w->lsm, (int64_t)index + 1000);
    batch_deinit(&batch);
}

static inline void world_write(struct world *w, enum entry_kind kind, uint32_t key,
                               uint32_t bytes) {
    assert_true(w->count < WORLD_OPS);
    if (is_vector(w, key) && kind == ENTRY_PUT) kind = ENTRY_VECTOR;
    if (kind == ENTRY_VECTOR) bytes = STRIDE;
    w->ops[w->count++] = (struct world_op){kind, key, 0, bytes};
    write_op(w, w->count - 1);
}

static inline void world_delete_range(struct world *w, uint32_t key, uint32_t end) {
    assert_true(w->count < WORLD_OPS && end < world_keys(w));
    w->ops[w->count++] = (struct world_op){ENTRY_RANGE_DELETE, key, end, 0};
    write_op(w, w->count - 1);
}

static inline void world_write_random(struct world *w, uint64_t *random) {
    uint32_t key = (uint32_t)(test_random(random) % world_keys(w));
    if (w->window > 0 && key < w->plain_keys) {
        uint64_t base = w->count / (4 * w->window) * w->window;
        key = (uint32_t)((base + test_random(random) % w->window) % w->plain_keys);
    }
    uint64_t die = test_random(random) % 100;
    if (w->plain_only && key < w->plain_keys) {
        world_write(w, die < 2 ? ENTRY_DELETE : ENTRY_PUT, key, 30 + (uint32_t)(die % 20));
        return;
    }
    if (die < 3) {
        uint32_t end = key + 1 + (uint32_t)(test_random(random) % 15);
        if (end < world_keys(w)) world_delete_range(w, key, end);
    } else if (die < 20) {
        world_write(w, ENTRY_DELETE, key, 0);
    } else if (is_counter(w, key)) {
        world_write(w, die < 30 ? ENTRY_PUT : ENTRY_MERGE, key, 0);
    } else {
        uint32_t bytes = (uint32_t)(test_random(random) % 60);
        if (die > 80) bytes = 290 + (uint32_t)(test_random(random) % 1500);
        world_write(w, ENTRY_PUT, key, bytes);
    }
}

static inline void world_pin(struct world *w) {
    if (w->pins_count == WORLD_PINS || w->count == 0) return;
    assert_ok(lsm_pin(w->lsm, w->count));
    w->pins[w->pins_count++] = w->count;
}

static inline void world_unpin(struct world *w, size_t index) {
    lsm_unpin(w->lsm, w->pins[index]);
    w->pins[index] = w->pins[--w->pins_count];
}

/* ---- checking ---- */

static inline void check_key(struct world *w, uint32_t key, uint64_t sequence) {
    struct model_answer answer;
    struct lookup lookup;
    struct bytes value = bytes_empty(&w->allocator.base);
    uint8_t bytes[32];
    model_get(w, key, sequence, &answer);
    lore_status status = lsm_get(w->lsm, world_key(w, key, bytes), sequence, NULL, &lookup, &value);
    if (status != LORE_OK || lookup.found != answer.found ||
        (answer.found && !slice_equal(bytes_slice(&value), slice(answer.value, answer.bytes))))
        printf("seed %llu: key %u at %llu of %llu: status %d (%s), found %d, expected %d\n",
               (unsigned long long)w->seed, key, (unsigned long long)sequence,
               (unsigned long long)w->count, (int)status,
               status == LORE_OK ? "" : lore_error_message(), lookup.found, answer.found);
    assert_ok(status);
    assert_int_equal(lookup.found, answer.found);
    if (answer.found) {
        assert_int_equal(value.size, answer.bytes);
        if (value.size > 0) assert_memory_equal(value.data, answer.value, answer.bytes);
    }
    bytes_free(&value);
}

/* Every key, now and at every pinned sequence. */
static inline void check_all(struct world *w) {
    for (uint32_t key = 0; key < world_keys(w); key++) {
        check_key(w, key, w->count);
        for (size_t i = 0; i < w->pins_count; i++)
            check_key(w, key, w->pins[i]);
    }
}

/* Each value file's garbage is what no entry of the tree refers to, to the byte. */
static inline void check_garbage(struct world *w) {
    struct version *version = lsm_version(w->lsm);
    const struct allocator *a = &w->allocator.base;
    struct merge_cursor cursor;
    merge_cursor_init(&cursor, a);
    assert_ok(merge_cursor_reserve(&cursor, version->runs_count));
    struct source_mode mode = {a, true, 16384, NULL};
    for (size_t r = 0; r < version->runs_count; r++)
        merge_cursor_add_run(&cursor, &version->runs[r], &mode);
    void *memory;
    assert_ok(mem_new(a, (version->values_count + 1) * 16, &memory));
    uint64_t *live = memory;
    assert_ok(merge_cursor_seek_first(&cursor));
    const struct source *top;
    while ((top = merge_cursor_top(&cursor)) != NULL) {
        struct value_ref ref;
        if (top->entry.kind == ENTRY_PUT_BLOB || top->entry.kind == ENTRY_VECTOR_ROW) {
            assert_true(value_ref_decode(top->entry.value, &ref));
            for (size_t i = 0; i < version->values_count; i++) {
                if (version_value_file(version, ref.logical_id) != version->values[i]) continue;
                live[2 * i]++;
                live[2 * i + 1] += ref.length;
            }
        }
        assert_ok(merge_cursor_step(&cursor));
    }
    for (size_t i = 0; i < version->values_count; i++) {
        struct value_file *file = version->values[i];
        assert_int_equal(atomic_load(&file->garbage_values), file->summary.entries - live[2 * i]);
        assert_int_equal(atomic_load(&file->garbage_bytes),
                         file->summary.value_bytes - live[2 * i + 1]);
    }
    merge_cursor_deinit(&cursor);
    mem_put(a, memory, (version->values_count + 1) * 16);
    version_release(version);
}

#endif
