/*
 * compaction_test.c - merges that must get on: under a full disk without counting twice, or where
 * there is no room for them, with
 * tables smaller than what their inputs read ahead, in lives that end before the work does.
 */
#include "lsm/write_testing.h"

/* ---- a full disk ---- */

/* Merges of blobs that are overwritten, with no room for the `at`-th write of edits. */
static bool run_full_disk(uint64_t at) {
    static struct world w;
    world_defaults(&w, 21);
    w.config.fan_in = 2;
    world_create(&w);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t key = 0; key < 12; key++)
            world_write(&w, ENTRY_PUT, key * 4 + round, 600);
        for (uint32_t key = 0; key < 6; key++)
            world_write(&w, ENTRY_PUT, key, 600);
        world_flush(&w);
    }
    struct fault_plan plan = {
        .calls = FAULT_WRITE, .at = at, .status = LORE_FULL, .path_contains = "edits-"};
    fs_fault_set_plan(w.fault, &plan);
    bool more = true;
    for (uint32_t i = 0; more; i++) {
        assert_true(i < 10000);
        lore_status status = world_try_step(&w, 16 << 10, &more);
        if (status == LORE_FULL) break;
        assert_ok(status);
    }
    bool fired = fs_fault_fired(w.fault);
    fs_fault_set_plan(w.fault, NULL);
    check_garbage(&w);
    world_settle(&w, 16 << 10);
    check_garbage(&w);
    check_all(&w);
    world_destroy(&w);
    return fired;
}

/* Else a value file would be dropped as garbage while values in it live. */
static void test_full_disk_counts_garbage_once(void **state) {
    (void)state;
    uint64_t at = 0;
    while (run_full_disk(at))
        at++;
    assert_true(at > 3);
}

/* ---- no room for merges ---- */

static uint64_t table_bytes(struct world *w) {
    struct lsm_stats stats;
    lsm_stats_get(w->lsm, &stats);
    return stats.table_bytes;
}

/* Runs that no merge has room for: what is deleted, singly or by range, goes all the same, table by
 * table; what a snapshot needs stays. */
static void delete_without_room(bool singly) {
    static struct world w;
    world_defaults(&w, 25);
    w.plain_keys = 400;
    w.config.compression = LORE_COMPRESSION_NONE;
    w.config.memtable_bytes = 256 << 10;
    w.config.table_bytes_max = 64 << 10;
    world_create(&w);
    lsm_set_room(w.lsm, 80 << 10);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t key = round; key < w.plain_keys; key += 4)
            world_write(&w, ENTRY_PUT, key, key % 8 == 0 ? 900 : 250);
        world_flush(&w);
        world_settle(&w, 16 << 10);
    }
    uint64_t before = table_bytes(&w);
    world_pin(&w);
    if (singly) {
        for (uint32_t key = 0; key < 300; key++)
            world_write(&w, ENTRY_DELETE, key, 0);
    } else {
        world_delete_range(&w, 0, 300);
    }
    world_flush(&w);
    world_settle(&w, 16 << 10);
    assert_true(table_bytes(&w) >= before);
    check_all(&w);
    world_unpin(&w, 0);
    struct lsm_stats stats;
    lsm_stats_get(w.lsm, &stats);
    uint64_t runs = stats.runs;
    world_write(&w, ENTRY_PUT, 399, 10);
    world_flush(&w);
    world_settle(&w, 16 << 10);
    lsm_stats_get(w.lsm, &stats);
    printf("%llu bytes of tables, then %llu\n", (unsigned long long)before,
           (unsigned long long)stats.table_bytes);
    assert_true(stats.table_bytes < before / 2);
    assert_true(stats.runs >= runs - 1); /* else it was merged */
    check_all(&w);
    check_garbage(&w);
    world_destroy(&w);
}

static void test_range_delete_without_room(void **state) {
    (void)state;
    delete_without_room(false);
}

static void test_deletes_without_room(void **state) {
    (void)state;
    delete_without_room(true);
}

/* A merge that is begun anew, with smaller outputs, where one was given up: what that one took from
 * a table stays taken. */
static void test_given_up_merge_is_begun_anew(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 26);
    w.plain_keys = 600;
    w.config.compression = LORE_COMPRESSION_NONE;
    w.config.memtable_bytes = 256 << 10;
    w.config.table_bytes_max = 256 << 10;
    world_create(&w);
    for (uint32_t layer = 0; layer < 2; layer++) {
        for (uint32_t key = layer; key < w.plain_keys; key += 1 + layer)
            world_write(&w, ENTRY_PUT, key, 200);
        world_flush(&w);
        if (layer == 0) assert_ok(lsm_compact_begin(w.lsm));
        if (layer == 0) world_settle(&w, 16 << 10);
    }
    for (uint32_t life = 0; life < 2; life++) {
        world_close(&w);
        w.config.table_bytes_max = (8 << 10) >> life;
        world_open(&w);
        for (uint32_t key = 0; life == 1 && key < w.plain_keys; key += 5)
            world_write(&w, ENTRY_PUT, key, 20);
        world_flush(&w);
        assert_ok(lsm_compact_begin(w.lsm));
        lsm_set_room(w.lsm, 10 << 20);
        uint64_t installs = w.lsm->version->number + 4;
        while (w.lsm->version->number < installs)
            world_step(&w, 4 << 10);
        if (life == 1) break;
        struct fault_plan plan = {
            .calls = FAULT_WRITE, .status = LORE_FULL, .path_contains = ".table"};
        fs_fault_set_plan(w.fault, &plan);
        bool more;
        while (!fs_fault_fired(w.fault))
            if (world_try_step(&w, 4 << 10, &more) != LORE_OK) break;
        assert_true(fs_fault_fired(w.fault));
        fs_fault_set_plan(w.fault, NULL);
        lsm_compact_cancel(w.lsm);
        check_all(&w);
    }
    world_settle(&w, 16 << 10);
    check_all(&w);
    world_destroy(&w);
}

/* Room comes and goes, merges are given up where they stand and begun again. */
static void test_room_comes_and_goes(void **state) {
    (void)state;
    static struct world w;
    uint64_t given_up = 0;
    for (uint64_t seed = 0; seed < 12; seed++) {
        uint64_t random = 100 + seed;
        world_defaults(&w, random);
        w.plain_keys = 300;
        world_create(&w);
        for (uint32_t i = 0; i < 2500; i++) {
            world_write_random(&w, &random);
            uint64_t die = test_random(&random);
            if (die % 100 == 0 && w.pins_count < 3) world_pin(&w);
            if (die % 90 == 1 && w.pins_count > 0) world_unpin(&w, die / 100 % w.pins_count);
            if (die % 20 == 2) lsm_set_room(w.lsm, die / 100 % (100u << 10) + 1);
            if (die % 400 == 3) assert_ok(lsm_compact_begin(w.lsm));
            if (die % 4 != 0) continue;
            struct fault_plan plan = {.calls = FAULT_WRITE,
                                      .at = die / 7 % 4,
                                      .status = LORE_FULL,
                                      .path_contains = ".table"};
            bool more;
            if (die % 3 == 0) fs_fault_set_plan(w.fault, &plan);
            lore_status status = world_try_step(&w, 4 << 10, &more);
            given_up += fs_fault_fired(w.fault);
            fs_fault_set_plan(w.fault, NULL);
            if (status == LORE_FULL) lsm_compact_cancel(w.lsm);
            assert_true(status == LORE_OK || status == LORE_FULL);
            if (die % 60 == 0) {
                check_all(&w);
                world_close(&w);
                world_open(&w);
                lsm_set_room(w.lsm, 70 << 10);
            }
        }
        lsm_compact_cancel(w.lsm);
        check_all(&w);
        lsm_set_room(w.lsm, 0);
        world_flush(&w);
        world_settle(&w, 16 << 10);
        check_all(&w);
        check_garbage(&w);
        world_destroy(&w);
    }
    assert_true(given_up > 20);
}

/* ---- progress ---- */

/* What the inputs read ahead when they are opened is more than several tables. */
static void test_tables_smaller_than_what_is_read_ahead(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 22);
    w.plain_keys = 400;
    w.config.fan_in = 16;
    w.config.table_bytes_max = 1 << 10;
    world_create(&w);
    for (uint32_t round = 0; round < 16; round++) {
        for (uint32_t key = 0; key < 60; key++)
            world_write(&w, ENTRY_PUT, (key * 16 + round) % w.plain_keys, 250);
        world_flush(&w);
    }
    world_settle(&w, 1 << 20);
    check_all(&w);
    world_destroy(&w);
}

/* A compaction that was asked for, by a process that is killed and asks again: each life goes on
 * where the last one stood, and in some life it ends. */
static void run_short_lives(bool writes) {
    static struct world w;
    world_defaults(&w, 23);
    w.plain_keys = 1500;
    w.config.memtable_bytes = 64 << 10;
    w.config.table_bytes_max = 3 << 10;
    world_create(&w);
    uint64_t random = 23;
    for (uint32_t i = 0; i < 3000; i++)
        world_write_random(&w, &random);
    world_flush(&w);
    world_settle(&w, 64 << 10);
    bool finished = false;
    uint32_t lives = 0;
    for (; !finished; lives++) {
        if (lives == 60) printf("no end of it\n");
        assert_true(lives < 60);
        world_close(&w);
        world_open(&w);
        if (writes) world_write(&w, ENTRY_PUT, 1400, 100);
        world_flush(&w);
        assert_ok(lsm_compact_begin(w.lsm));
        uint64_t installs = w.lsm->version->number + (writes ? 5 : 2);
        uint64_t done, total;
        while (!finished && w.lsm->version->number < installs) {
            world_step(&w, 8 << 10);
            finished = !lsm_compacting(w.lsm, &done, &total);
        }
    }
    printf("%u lives\n", lives);
    assert_true(lives > 3); /* else this shows nothing */
    struct lsm_stats stats;
    lsm_stats_get(w.lsm, &stats);
    assert_int_equal(stats.blob_garbage_bytes + stats.row_garbage_bytes, 0);
    check_all(&w);
    check_garbage(&w);
    world_destroy(&w);
}

static void test_compaction_ends_in_short_lives(void **state) {
    (void)state;
    run_short_lives(false);
}

static void test_compaction_ends_in_short_lives_that_write(void **state) {
    (void)state;
    run_short_lives(true);
}

/* ---- thresholds ---- */

/* A counter that a flush has combined is a put of its form, and must stay where the next operand is
 * combined with it, however low the threshold. */
static void test_counters_are_no_blobs(void **state) {
    (void)state;
    static struct world w;
    world_defaults(&w, 24);
    w.config.blob_threshold_bytes = 0;
    world_create(&w);
    uint32_t counter = w.plain_keys + 1;
    for (uint32_t round = 0; round < 5; round++) {
        world_write(&w, round == 0 ? ENTRY_PUT : ENTRY_MERGE, counter, 0);
        world_write(&w, ENTRY_MERGE, counter + 1, 0);
        world_write(&w, ENTRY_PUT, 3, 1);
        world_write(&w, ENTRY_PUT, 4, 0);
        world_flush(&w);
        check_all(&w);
        world_settle(&w, 16 << 10);
        check_all(&w);
    }
    world_destroy(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk_counts_garbage_once),
        cmocka_unit_test(test_range_delete_without_room),
        cmocka_unit_test(test_deletes_without_room),
        cmocka_unit_test(test_given_up_merge_is_begun_anew),
        cmocka_unit_test(test_room_comes_and_goes),
        cmocka_unit_test(test_tables_smaller_than_what_is_read_ahead),
        cmocka_unit_test(test_compaction_ends_in_short_lives),
        cmocka_unit_test(test_compaction_ends_in_short_lives_that_write),
        cmocka_unit_test(test_counters_are_no_blobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
