/*
 * lsm_write_test.c - background work over a whole tree: random histories against the model through
 * flush, merges and rewrites in small steps, with reopening and crashes in the middle; space at
 * rest; bounds of a step; failures at every call.
 */
#include "lsm/write_testing.h"

/* ---- random histories ---- */

static const uint64_t budgets[] = {4 << 10, 16 << 10, 64 << 10, 1 << 20};

static uint64_t random_budget(uint64_t *random) {
    return budgets[test_random(random) % 4];
}

static enum crash_fate random_fate(void *context, size_t index, uint64_t *tear) {
    (void)index;
    uint64_t *random = context;
    *tear = test_random(random);
    return (enum crash_fate)(test_random(random) % 4);
}

static void crash(struct world *w, uint64_t *random) {
    struct fs_memory *clone;
    assert_ok(fs_memory_crash_clone(w->disk, random_fate, random, &clone));
    world_close(w);
    fs_fault_destroy(w->fault);
    fs_memory_destroy(w->disk);
    w->disk = clone;
    assert_ok(fs_fault_create(env_posix()->allocator, fs_memory_fs(clone), &w->fault));
    world_set_env(w);
    world_open(w);
}

static void one_action(struct world *w, uint64_t *random) {
    uint64_t die = test_random(random) % 200;
    if (die < 2) {
        world_close(w);
        world_open(w);
    } else if (die < 4) {
        crash(w, random);
    } else if (die < 8) {
        world_pin(w);
    } else if (die < 11 && w->pins_count > 0) {
        world_unpin(w, test_random(random) % w->pins_count);
    } else if (die < 12) {
        world_freeze(w);
    } else if (die < 13) {
        assert_ok(lsm_compact_begin(w->lsm));
    } else if (die < 60) {
        world_step(w, random_budget(random));
    } else if (die < 70) {
        uint32_t key = (uint32_t)(test_random(random) % world_keys(w));
        check_key(w, key, w->count);
        if (w->pins_count > 0) check_key(w, key, w->pins[test_random(random) % w->pins_count]);
    } else {
        for (uint64_t n = test_random(random) % 8; n > 0; n--)
            world_write_random(w, random);
    }
}

/* Shapes that differ: one table or many, levels, where writes fall. */
static void vary(struct world *w, uint64_t *random) {
    w->config.fan_in = 2 + (uint32_t)(test_random(random) % 3);
    switch (w->seed % 4) {
    case 0: break;
    case 1: w->config.table_bytes_max = 2 << 10; break;
    default:
        w->plain_keys = 1500;
        w->plain_only = w->seed % 4 == 2;
        w->window = 20 + (uint32_t)(test_random(random) % 200);
        w->config.memtable_bytes = w->seed % 8 < 4 ? 6 << 10 : 3 << 10;
        w->config.table_bytes_max = 4 << 10;
        w->memory_budget = w->seed % 8 < 4 ? 64u << 20 : 4u << 20;
        break;
    }
}

static void run_history(uint64_t seed) {
    static struct world w;
    world_defaults(&w, seed);
    uint64_t random = seed;
    vary(&w, &random);
    world_create(&w);
    while (w.count + 10 < 4000) {
        one_action(&w, &random);
        if (test_random(&random) % 800 == 0) {
            check_all(&w);
            check_garbage(&w);
        }
    }
    check_all(&w);
    world_freeze(&w);
    world_settle(&w, 16 << 10);
    check_all(&w);
    check_garbage(&w);
    while (w.pins_count > 0)
        world_unpin(&w, 0);
    assert_ok(lsm_compact_begin(w.lsm));
    world_settle(&w, 64 << 10);
    struct lsm_stats stats;
    lsm_stats_get(w.lsm, &stats);
    assert_true(stats.runs <= 1);
    assert_int_equal(stats.blob_garbage_bytes + stats.row_garbage_bytes, 0);
    check_all(&w);
    check_garbage(&w);
    world_destroy(&w);
}

static void test_random_histories(void **state) {
    (void)state;
    const char *given = getenv("LORE_TEST_SEED");
    if (given != NULL) {
        run_history(strtoull(given, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= 12; seed++) {
        printf("seed %llu\n", (unsigned long long)seed);
        run_history(seed);
    }
}

/* ---- space ---- */

static uint64_t file_bytes(struct world *w) {
    struct lsm_stats stats;
    lsm_stats_get(w->lsm, &stats);
    return stats.table_bytes + stats.blob_bytes + stats.row_bytes;
}

static void test_space_at_rest(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 77);
    w.plain_keys = 600;
    w.config.memtable_bytes = 128 << 10;
    w.config.table_bytes_max = 64 << 10;
    w.config.block_bytes = 4096;
    uint64_t random = 77;
    world_create(&w);
    for (uint32_t round = 0; round < 8; round++) {
        for (uint32_t i = 0; i < 800; i++) {
            uint32_t key = (uint32_t)(test_random(&random) % world_keys(&w));
            if (i % 10 == 0 && round > 2)
                world_write(&w, ENTRY_DELETE, key, 0);
            else if (is_counter(&w, key))
                world_write(&w, ENTRY_MERGE, key, 0);
            else
                world_write(&w, ENTRY_PUT, key, 100 + (uint32_t)(test_random(&random) % 600));
        }
        if (round == 6) world_delete_range(&w, 100, 400);
        world_flush(&w);
        world_settle(&w, 256 << 10);
        uint64_t at_rest = file_bytes(&w);
        check_garbage(&w);
        if (round % 3 != 2 && round != 6) continue;
        assert_ok(lsm_compact_begin(w.lsm));
        world_settle(&w, 256 << 10);
        uint64_t live = file_bytes(&w);
        if (at_rest > live + live / 2)
            printf("round %u: %llu bytes at rest, %llu live\n", round, (unsigned long long)at_rest,
                   (unsigned long long)live);
        assert_true(at_rest <= live + live / 2);
        check_all(&w);
    }
    world_destroy(&w);
}

/* ---- bounds ---- */

static void run_bounded(uint32_t blob_threshold_bytes) {
    static struct world w;
    world_defaults(&w, 5);
    w.plain_keys = 3000;
    w.config.memtable_bytes = 4 << 20;
    w.config.table_bytes_max = 4 << 20;
    w.config.block_bytes = 4096;
    w.config.blob_threshold_bytes = blob_threshold_bytes;
    uint64_t random = 5;
    world_create(&w);
    for (uint32_t i = 0; i < 7000; i++) {
        uint32_t key = (uint32_t)(test_random(&random) % w.plain_keys);
        world_write(&w, ENTRY_PUT, key, 1000 + (uint32_t)(test_random(&random) % 3000));
        if (i % 500 == 0) world_step(&w, 1 << 20);
    }
    world_freeze(&w);
    w.step_bytes_max = 0;
    world_settle(&w, 1 << 20);
    assert_ok(lsm_compact_begin(w.lsm));
    world_settle(&w, 1 << 20);
    assert_true(w.step_bytes_max > 1 << 19);
    if (w.step_bytes_max > 2 << 20)
        printf("a step of %llu bytes\n", (unsigned long long)w.step_bytes_max);
    assert_true(w.step_bytes_max <= 2 << 20);
    for (uint32_t key = 0; key < w.plain_keys; key += 37)
        check_key(&w, key, w.count);
    world_destroy(&w);
}

static void test_steps_are_bounded(void **state) {
    (void)state;
    run_bounded(8192);
    run_bounded(500);
}

/* ---- failures ---- */

static lore_status count_segment(void *context, const struct dir_entry *entry) {
    enum segment_kind kind;
    uint64_t id;
    if (segment_file_name_parse(entry->name, &kind, &id)) ++*(uint64_t *)context;
    return LORE_OK;
}

/* No file but those of the tree. */
static void check_files(struct world *w) {
    uint64_t files = 0;
    struct lsm_stats stats;
    assert_ok(w->env.fs->ops->list(w->env.fs, "g", count_segment, &files));
    lsm_stats_get(w->lsm, &stats);
    assert_int_equal(files, stats.table_files + stats.blob_files + stats.row_files);
}

/* A tree with all kinds of work before it. */
static void prepare_work(struct world *w) {
    world_defaults(w, 42);
    w->config.memtable_bytes = 32 << 10;
    uint64_t random = 42;
    world_create(w);
    for (uint32_t i = 0; i < 150; i++)
        world_write_random(w, &random);
    world_flush(w);
    world_settle(w, 64 << 10);
    world_pin(w);
    for (uint32_t i = 0; i < 120; i++)
        world_write_random(w, &random);
    world_freeze(w);
}

/* Steps until one fails, or all is done. */
static lore_status step_until_failure(struct world *w) {
    bool more = true;
    for (uint32_t i = 0; more; i++) {
        assert_true(i < 10000);
        lore_status status = world_try_step(w, 16 << 10, &more);
        if (status != LORE_OK) return status;
    }
    return LORE_OK;
}

static void test_full_disk_is_undone(void **state) {
    (void)state;
    static struct world w;
    for (uint64_t at = 0;; at++) {
        prepare_work(&w);
        struct fault_plan plan = {.calls = FAULT_OPEN | FAULT_WRITE, .at = at, .status = LORE_FULL};
        fs_fault_set_plan(w.fault, &plan);
        lore_status status = step_until_failure(&w);
        bool fired = fs_fault_fired(w.fault);
        fs_fault_set_plan(w.fault, NULL);
        if (fired) assert_true(status == LORE_FULL || status == LORE_OK);
        world_settle(&w, 16 << 10);
        check_all(&w);
        check_garbage(&w);
        check_files(&w);
        world_destroy(&w);
        if (!fired) break;
        assert_true(at < 2000);
    }
}

static void test_failed_calls_lose_nothing(void **state) {
    (void)state;
    static struct world w;
    for (uint64_t at = 0;; at++) {
        prepare_work(&w);
        struct fault_plan plan = {.calls = FAULT_ALL, .at = at, .status = LORE_IO};
        fs_fault_set_plan(w.fault, &plan);
        (void)step_until_failure(&w);
        bool fired = fs_fault_fired(w.fault);
        fs_fault_set_plan(w.fault, NULL);
        if (at % 3 == 0) check_all(&w); /* reads go on */
        world_close(&w);
        world_open(&w);
        world_settle(&w, 16 << 10);
        check_all(&w);
        check_garbage(&w);
        check_files(&w);
        world_destroy(&w);
        if (!fired) break;
        assert_true(at < 3000);
    }
}

static void test_no_memory_is_undone(void **state) {
    (void)state;
    static struct world w;
    for (uint64_t at = 0;; at += 5) {
        prepare_work(&w);
        uint64_t before = atomic_load(&w.allocator.calls);
        atomic_store(&w.allocator.fail_at, before + at);
        lore_status status = step_until_failure(&w);
        bool fired = atomic_load(&w.allocator.calls) > before + at;
        atomic_store(&w.allocator.fail_at, UINT64_MAX);
        if (fired) assert_true(status == LORE_NO_MEMORY || status == LORE_OK);
        if (catalog_failed(w.catalog) != LORE_OK) {
            world_close(&w);
            world_open(&w);
        }
        world_settle(&w, 16 << 10);
        check_all(&w);
        check_garbage(&w);
        check_files(&w);
        world_destroy(&w);
        if (!fired) break;
    }
}

/* ---- damage ---- */

static lore_status count_record(void *context, lore_slice key, lore_slice value) {
    (void)key;
    (void)value;
    ++*(uint64_t *)context;
    return LORE_OK;
}

static void test_damage_is_set_aside(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 9);
    world_create(&w);
    for (uint32_t i = 0; i < 100; i++)
        world_write(&w, ENTRY_PUT, i % 50, 100);
    world_flush(&w);
    struct version *version = lsm_version(w.lsm);
    char path[PATH_BYTES_MAX], name[SEGMENT_NAME_BYTES];
    segment_file_name(name, SEGMENT_TABLE, version->slots[0].handle->summary.id);
    assert_ok(path_join(path, "g", name));
    version_release(version);
    uint64_t size;
    fs_memory_bytes(w.disk, path, &size)[SEGMENT_HEADER_BYTES + 40] ^= 1;
    for (uint32_t i = 0; i < 100; i++)
        world_write(&w, ENTRY_PUT, i % 50, 100);
    world_freeze(&w);
    assert_int_equal(step_until_failure(&w), LORE_CORRUPTION);
    /* Other work goes on, and ends. */
    world_settle(&w, 16 << 10);
    for (uint32_t i = 0; i < 50; i++)
        check_key(&w, i, w.count);
    uint64_t records = 0;
    struct catalog_key prefix = schema_key('Q');
    assert_ok(catalog_scan(w.catalog, catalog_key_slice(&prefix), count_record, &records));
    assert_int_equal(records, 1);
    world_flush(&w);
    assert_int_equal(lsm_delay_us(w.lsm), 0);
    world_close(&w);
    world_open(&w);
    assert_int_equal(step_until_failure(&w), LORE_CORRUPTION);
    records = 0;
    assert_ok(catalog_scan(w.catalog, catalog_key_slice(&prefix), count_record, &records));
    assert_int_equal(records, 1);
    world_destroy(&w);
}

/* ---- what goes ---- */

static bool drop_even(void *context, const struct entry *entry) {
    ++*(uint64_t *)context;
    const uint8_t *key = entry->key.data;
    return key[3] == 1 && (key[entry->key.size - 1] - '0') % 2 == 0;
}

static void test_hook_drops_at_the_last_level(void **state) {
    (void)state;
    static struct world w;
    uint64_t asked = 0;
    world_defaults(&w, 3);
    w.config.hooks = (struct lsm_hooks){&asked, drop_even};
    world_create(&w);
    for (uint32_t i = 0; i < 50; i++)
        world_write(&w, ENTRY_PUT, i, i % 3 == 0 ? 1000 : 20);
    world_flush(&w);
    assert_ok(lsm_compact_begin(w.lsm));
    world_settle(&w, 16 << 10);
    assert_true(asked >= 50);
    for (uint32_t i = 0; i < 50; i++) {
        struct lookup lookup;
        uint8_t key[32];
        assert_ok(lsm_get(w.lsm, world_key(&w, i, key), w.count, NULL, &lookup, NULL));
        assert_int_equal(lookup.found, i * 3 % 2 != 0);
    }
    check_garbage(&w);
    world_destroy(&w);
}

static void test_covered_tables_go_unread(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 4);
    w.plain_keys = 1000;
    world_create(&w);
    for (uint32_t i = 0; i < 1000; i++)
        world_write(&w, ENTRY_PUT, i, 100);
    world_flush(&w);
    assert_ok(lsm_compact_begin(w.lsm));
    world_settle(&w, 64 << 10);
    struct lsm_stats before, after;
    lsm_stats_get(w.lsm, &before);
    assert_true(before.table_files > 4);
    world_delete_range(&w, 0, 1001);
    world_freeze(&w);
    world_settle(&w, 64 << 10);
    lsm_stats_get(w.lsm, &after);
    assert_true(after.table_files <= 1);
    assert_true(after.read_bytes - before.read_bytes < 4096);
    check_all(&w);
    world_destroy(&w);
}

/* What came after the range delete is not covered by it. */
static void test_newer_tables_are_not_covered(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 14);
    w.config.memtable_bytes = 1 << 20;
    world_create(&w);
    world_write(&w, ENTRY_PUT, 1, 10);
    world_flush(&w);
    world_delete_range(&w, 0, 50);
    world_flush(&w);
    for (uint32_t i = 0; i < 50; i++)
        world_write(&w, ENTRY_PUT, i, 10);
    world_flush(&w);
    check_all(&w);
    world_settle(&w, 64 << 10);
    check_all(&w);
    world_destroy(&w);
}

/* A range delete reaches tables of the last run that no other entry of the merge does. */
static void test_range_deletes_reach_quiet_tables(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 15);
    w.plain_keys = 1000;
    world_create(&w);
    for (uint32_t i = 0; i < 1000; i++)
        world_write(&w, ENTRY_PUT, i, 100);
    world_flush(&w);
    assert_ok(lsm_compact_begin(w.lsm));
    world_settle(&w, 64 << 10);
    world_pin(&w);
    world_delete_range(&w, 100, 900);
    world_write(&w, ENTRY_PUT, 0, 100);
    world_write(&w, ENTRY_PUT, 950, 100);
    world_flush(&w);
    world_settle(&w, 64 << 10);
    check_all(&w);
    world_unpin(&w, 0);
    world_write(&w, ENTRY_PUT, 0, 100);
    world_flush(&w);
    world_settle(&w, 64 << 10);
    check_all(&w);
    world_destroy(&w);
}

/* Inputs without entries, before the last run: all of it stays. */
static void test_nothing_but_range_deletes(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 16);
    w.config.fan_in = 2;
    world_create(&w);
    for (uint32_t i = 20; i < 50; i++)
        world_write(&w, ENTRY_PUT, i, 200);
    world_flush(&w);
    assert_ok(lsm_compact_begin(w.lsm));
    world_settle(&w, 64 << 10);
    for (uint32_t i = 0; i < 8; i++) {
        world_delete_range(&w, i, 10);
        world_flush(&w);
        world_settle(&w, 64 << 10);
        check_all(&w);
    }
    struct lsm_stats stats;
    lsm_stats_get(w.lsm, &stats);
    assert_true(stats.compactions >= 2);
    world_destroy(&w);
}

/* Small value files, one a flush, do not become many. */
static void test_small_files_are_joined(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 6);
    w.config.table_bytes_max = 256 << 10;
    world_create(&w);
    for (uint32_t i = 0; i < 60; i++) {
        world_write(&w, ENTRY_PUT, i % 50, 1000);
        world_write(&w, ENTRY_VECTOR, w.plain_keys + COUNTER_KEYS + i % VECTOR_KEYS, 0);
        world_flush(&w);
        world_settle(&w, 64 << 10);
        if (i % 10 == 0) check_garbage(&w);
    }
    struct lsm_stats stats;
    lsm_stats_get(w.lsm, &stats);
    assert_true(stats.blob_files <= 16 && stats.row_files <= 16);
    check_all(&w);
    check_garbage(&w);
    world_destroy(&w);
}

/* A flush syncs each of its files once and the directory once. */
static void test_device_flushes_of_a_memtable(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 8);
    world_create(&w);
    world_write(&w, ENTRY_PUT, 1, 10);
    world_flush(&w); /* ids are reserved now */
    world_settle(&w, 64 << 10);
    world_write(&w, ENTRY_PUT, 2, 1000);
    world_write(&w, ENTRY_VECTOR, w.plain_keys + COUNTER_KEYS, 0);
    world_write(&w, ENTRY_VECTOR, w.plain_keys + COUNTER_KEYS + VECTOR_KEYS - 1, 0);
    world_freeze(&w);
    struct fault_plan plan = {.calls = FAULT_SYNC | FAULT_SYNC_DIR, .at = UINT64_MAX};
    fs_fault_set_plan(w.fault, &plan);
    while (!lsm_can_freeze(w.lsm))
        world_step(&w, 1 << 20);
    /* table, blob, two row segments, directory; the catalog's edit and what it does for LMDB are
     * its own */
    uint64_t syncs = fs_fault_calls(w.fault);
    assert_in_range(syncs, 6, 7);
    world_destroy(&w);
}

/* Of moments that nobody can tell apart, a flush keeps the newest: else a map with an entry a
 * second would grow for ever. */
static void test_moments_are_thinned(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 12);
    w.plain_keys = 100;
    w.config.moments_keyspace = 1;
    w.config.memtable_bytes = 256 << 10;
    world_create(&w);
    for (uint32_t key = 0; key < 100; key++) {
        world_write(&w, ENTRY_PUT, key, 16);
        world_write(&w, ENTRY_PUT, w.plain_keys + COUNTER_KEYS + key % VECTOR_KEYS, 0);
        if (key == 30 || key == 31 || key == 60) world_pin(&w);
        if (key == 70) world_flush(&w);
    }
    world_flush(&w);
    for (uint32_t key = 0; key < 100; key++) {
        uint8_t bytes[32];
        struct lookup lookup;
        assert_ok(lsm_get(w.lsm, world_key(&w, key, bytes), w.count, NULL, &lookup, NULL));
        bool kept = key == 30 || key == 31 || key == 60 || key == 70 || key == 99;
        assert_int_equal(lookup.found, kept);
        if (kept) check_key(&w, key, w.count);
    }
    for (uint32_t key = w.plain_keys; key < world_keys(&w); key++)
        check_key(&w, key, w.count);
    world_destroy(&w);
}

static void test_pressure(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 10);
    w.config.fan_in = 2;
    world_create(&w);
    assert_int_equal(lsm_delay_us(w.lsm), 0);
    for (uint32_t i = 0; i < 20; i++)
        world_write(&w, ENTRY_PUT, i, 100);
    world_freeze(&w);
    assert_int_equal(lsm_delay_us(w.lsm), 0);
    uint64_t last = 0;
    for (uint32_t i = 0; lsm_active_bytes(w.lsm) + 600 < w.config.memtable_bytes; i++) {
        world_write(&w, ENTRY_PUT, i % 50, 200);
        uint64_t delay = lsm_delay_us(w.lsm);
        assert_true(delay >= last && delay < last + 200);
        last = delay;
    }
    assert_true(last > 0);
    world_settle(&w, 1 << 20);
    assert_int_equal(lsm_delay_us(w.lsm), 0);
    world_destroy(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_space_at_rest),
        cmocka_unit_test(test_steps_are_bounded),
        cmocka_unit_test(test_full_disk_is_undone),
        cmocka_unit_test(test_failed_calls_lose_nothing),
        cmocka_unit_test(test_no_memory_is_undone),
        cmocka_unit_test(test_damage_is_set_aside),
        cmocka_unit_test(test_hook_drops_at_the_last_level),
        cmocka_unit_test(test_covered_tables_go_unread),
        cmocka_unit_test(test_newer_tables_are_not_covered),
        cmocka_unit_test(test_range_deletes_reach_quiet_tables),
        cmocka_unit_test(test_nothing_but_range_deletes),
        cmocka_unit_test(test_small_files_are_joined),
        cmocka_unit_test(test_device_flushes_of_a_memtable),
        cmocka_unit_test(test_moments_are_thinned),
        cmocka_unit_test(test_pressure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
