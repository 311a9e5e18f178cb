/*
 * policy_test.c - which work is due for shapes written down as numbers.
 */
#include "base/testing.h"

#include "lsm/policy.h"
#include "lsm/shape.h"

#define MB (UINT64_C(1) << 20)

static const struct policy_limits limits = {
    .fan_in = 4, .memtable_bytes = 8 * MB, .table_bytes_max = 8 * MB, .sources_max = 16};

/* A run of so many megabytes, with an entry for every hundred bytes. */
static struct policy_run run(uint64_t id, uint8_t level, uint64_t megabytes) {
    return (struct policy_run){
        .id = id, .level = level, .bytes = megabytes * MB, .entries = megabytes * MB / 100};
}

static struct policy_choice choose(const struct policy_run *runs, size_t count) {
    struct policy_shape shape = {.runs = runs, .runs_count = count};
    struct policy_choice choice;
    policy_choose_main(&shape, &limits, false, false, &choice);
    return choice;
}

static void test_levels_follow_size(void **state) {
    (void)state;
    assert_int_equal(policy_last_level(&limits, 0), 2);
    assert_int_equal(policy_last_level(&limits, 4 * 128 * MB), 2); /* 8 MB * 4^2 */
    assert_int_equal(policy_last_level(&limits, 4 * 128 * MB + 4), 3);
    assert_int_equal(policy_last_level(&limits, 4 * 512 * MB + 4), 4);
    assert_int_equal(policy_last_level(&limits, UINT64_MAX), LEVELS_MAX - 1);
}

static void test_nothing_is_due(void **state) {
    (void)state;
    assert_int_equal(choose(NULL, 0).kind, POLICY_NONE);
    struct policy_run one[] = {run(1, 0, 8)};
    assert_int_equal(choose(one, 1).kind, POLICY_NONE);
    struct policy_run last[] = {run(3, 0, 8), run(2, 1, 20), run(1, 2, 100)};
    assert_int_equal(choose(last, 3).kind, POLICY_NONE);
}

static void test_level0_merges_into_level1(void **state) {
    (void)state;
    struct policy_run runs[] = {run(9, 0, 8), run(8, 0, 8), run(7, 0, 8),  run(6, 0, 8),
                                run(5, 0, 8), run(4, 1, 8), run(1, 2, 900)};
    struct policy_shape shape = {.runs = runs, .runs_count = 7};
    struct policy_choice choice;
    assert_true(policy_choose_small(&shape, &limits, &choice));
    assert_int_equal(choice.kind, POLICY_MERGE);
    assert_int_equal(choice.level, 1);
    assert_false(choice.into_last);
    assert_int_equal(choice.count, 4);
    assert_int_equal(choice.ids[0], 5); /* the oldest first */
    assert_int_equal(choice.ids[3], 8);
    runs[4].blocked = true; /* nothing may pass it: what is newer stays above */
    assert_true(policy_choose_small(&shape, &limits, &choice));
    assert_int_equal(choice.level, 0);
    assert_int_equal(choice.place_of, 9);
    assert_int_equal(choice.count, 4);
    assert_int_equal(choice.ids[0], 6);
    runs[1].bytes = 25 * MB; /* nor is a large one written again for three small ones */
    assert_false(policy_choose_small(&shape, &limits, &choice));
    runs[1].bytes = 8 * MB;
    runs[3].busy = true;
    assert_false(policy_choose_small(&shape, &limits, &choice));
    runs[3].busy = false;
    runs[4].blocked = false;
    shape.runs++;
    shape.runs_count--;
    assert_true(policy_choose_small(&shape, &limits, &choice));
    runs[1].busy = true;
    assert_false(policy_choose_small(&shape, &limits, &choice));
}

static void test_tiers_fill(void **state) {
    (void)state;
    struct policy_run runs[] = {run(6, 1, 32), run(5, 1, 32), run(4, 1, 32), run(3, 1, 32),
                                run(1, 3, 1900)};
    struct policy_choice choice = choose(runs, 5);
    assert_int_equal(choice.kind, POLICY_MERGE);
    assert_int_equal(choice.level, 2);
    assert_false(choice.into_last);
    assert_int_equal(choice.count, 4);
    runs[4].level = 2;
    runs[4].bytes = 500 * MB;
    choice = choose(runs, 5);
    assert_true(choice.into_last);
    assert_int_equal(choice.level, 2);
    assert_int_equal(choice.last_run, 1);
    assert_int_equal(choice.ids[0], 3);
}

static void test_space_rule(void **state) {
    (void)state;
    /* By bytes: level 0 is shifted first, then all goes to the last. */
    struct policy_run runs[] = {run(3, 0, 20), run(2, 1, 20), run(1, 2, 100)};
    struct policy_choice choice = choose(runs, 3);
    assert_int_equal(choice.kind, POLICY_SHIFT);
    assert_int_equal(choice.ids[0], 3);
    runs[0].level = 1;
    choice = choose(runs, 3);
    assert_int_equal(choice.kind, POLICY_MERGE);
    assert_true(choice.into_last && choice.everything);
    assert_int_equal(choice.count, 2);
    assert_int_equal(choice.ids[0], 2);
    runs[1].busy = true;
    assert_int_equal(choose(runs, 3).kind, POLICY_NONE);
    runs[1].busy = false;
    runs[2].blocked = true;
    assert_int_equal(choose(runs, 3).kind, POLICY_NONE);
    runs[2].blocked = false;
    /* By entries: deletes are small. */
    runs[0].bytes = runs[1].bytes = MB;
    assert_int_equal(choose(runs, 3).kind, POLICY_MERGE);
    runs[0].entries = runs[1].entries = 10;
    assert_int_equal(choose(runs, 3).kind, POLICY_NONE);
    /* By what range deletes cover. */
    struct policy_shape shape = {.runs = runs, .runs_count = 3, .covered_bytes = 31 * MB};
    assert_true(policy_choose_main(&shape, &limits, false, false, &choice));
    shape.covered_bytes = 30 * MB;
    assert_false(policy_choose_main(&shape, &limits, false, false, &choice));
}

static void test_fresh_store(void **state) {
    (void)state;
    struct policy_run runs[] = {run(2, 0, 8), run(1, 0, 8)};
    assert_int_equal(choose(runs, 2).kind, POLICY_SHIFT);
    runs[0].level = runs[1].level = 1;
    struct policy_choice choice = choose(runs, 2);
    assert_int_equal(choice.kind, POLICY_MERGE);
    assert_true(choice.into_last);
    assert_int_equal(choice.level, 2);
    assert_int_equal(choice.last_run, 0);
}

static void test_last_run_sinks(void **state) {
    (void)state;
    struct policy_run runs[] = {run(2, 1, 32), run(1, 2, 600)};
    struct policy_choice choice = choose(runs, 2);
    assert_int_equal(choice.kind, POLICY_SINK);
    assert_int_equal(choice.level, 3);
    assert_int_equal(choice.ids[0], 1);
    runs[1].busy = true;
    assert_int_equal(choose(runs, 2).kind, POLICY_NONE);
}

static struct policy_file file(uint64_t id, uint64_t kilobytes, uint64_t garbage_kilobytes) {
    return (struct policy_file){.id = id,
                                .first_logical_id = id,
                                .is_blob = true,
                                .bytes = kilobytes * 1024 + 100,
                                .values = kilobytes,
                                .value_bytes = kilobytes * 1024,
                                .garbage_values = garbage_kilobytes,
                                .garbage_bytes = garbage_kilobytes * 1024};
}

static void test_value_files(void **state) {
    (void)state;
    struct policy_file files[] = {file(1, 4000, 1200), file(2, 4000, 1201), file(3, 4000, 10)};
    struct policy_shape shape = {.files = files, .files_count = 3};
    struct policy_choice choice;
    assert_true(policy_choose_main(&shape, &limits, false, false, &choice));
    assert_int_equal(choice.kind, POLICY_REWRITE);
    assert_int_equal(choice.count, 1);
    assert_int_equal(choice.ids[0], 2);
    files[1].blocked = true;
    assert_false(policy_choose_main(&shape, &limits, false, false, &choice));
    /* Compaction takes any garbage, once. */
    assert_true(policy_choose_main(&shape, &limits, true, true, &choice));
    assert_int_equal(choice.ids[0], 1);
    files[0].fresh = files[2].fresh = true;
    assert_false(policy_choose_main(&shape, &limits, true, true, &choice));
    /* A file of nothing but garbage is dropped. */
    files[2] = file(3, 4000, 4000);
    assert_true(policy_choose_main(&shape, &limits, false, false, &choice));
    assert_int_equal(choice.kind, POLICY_DROP);
    assert_int_equal(choice.ids[0], 3);
}

static void test_small_files_are_joined(void **state) {
    (void)state;
    struct policy_file files[10];
    for (size_t i = 0; i < 10; i++)
        files[i] = file(i + 1, 100, 0);
    struct policy_shape shape = {.files = files, .files_count = 7};
    struct policy_choice choice;
    assert_false(policy_choose_main(&shape, &limits, false, false, &choice));
    shape.files_count = 8;
    assert_true(policy_choose_main(&shape, &limits, false, false, &choice));
    assert_int_equal(choice.kind, POLICY_REWRITE);
    assert_int_equal(choice.count, 8);
    files[4].space = 2; /* another space between */
    assert_false(policy_choose_main(&shape, &limits, false, false, &choice));
}

static void test_compaction_asked_for(void **state) {
    (void)state;
    struct policy_run runs[] = {run(3, 0, 1), run(2, 1, 1), run(1, 2, 100)};
    struct policy_shape shape = {.runs = runs, .runs_count = 3};
    struct policy_choice choice;
    assert_true(policy_choose_main(&shape, &limits, true, false, &choice));
    assert_int_equal(choice.kind, POLICY_SHIFT);
    runs[0].level = 1;
    assert_true(policy_choose_main(&shape, &limits, true, false, &choice));
    assert_true(choice.kind == POLICY_MERGE && choice.everything && choice.count == 2);
    /* The last run alone is gone through as well: snapshots may have been released. */
    shape.runs = &runs[2];
    shape.runs_count = 1;
    assert_true(policy_choose_main(&shape, &limits, true, false, &choice));
    assert_true(choice.kind == POLICY_MERGE && choice.everything && choice.count == 0);
    assert_int_equal(choice.last_run, 1);
    assert_false(policy_choose_main(&shape, &limits, true, true, &choice));
}

static void test_inputs_are_bounded(void **state) {
    (void)state;
    struct policy_run runs[41];
    for (size_t i = 0; i < 40; i++)
        runs[i] = run(100 - i, 1, 8);
    runs[40] = run(1, 2, 100);
    struct policy_choice choice = choose(runs, 41);
    assert_int_equal(choice.count, 15); /* and the last run */
    assert_int_equal(choice.ids[0], 61);
    assert_false(choice.everything);
}

static void test_delay_has_no_cliff(void **state) {
    (void)state;
    assert_int_equal(policy_delay_us(&limits, 8, 20, true, 4 * MB), 0);
    uint64_t last = 0;
    for (uint64_t runs = 0; runs < 40; runs++) {
        uint64_t delay = policy_delay_us(&limits, runs, runs, false, 0);
        assert_true(delay >= last && delay <= last + 5000);
        last = delay;
    }
    assert_true(last > 0);
    last = 0;
    for (uint64_t bytes = 0; bytes < 12 * MB; bytes += MB / 16) {
        uint64_t delay = policy_delay_us(&limits, 0, 0, true, bytes);
        assert_true(delay >= last && delay <= last + 100);
        last = delay;
    }
    assert_in_range(last, 1, 20000);
    assert_true(policy_delay_us(&limits, UINT64_MAX, UINT64_MAX, true, UINT64_MAX) <= 20000);
}

static void test_share_of_a_range(void **state) {
    (void)state;
#define SHARE(first, last, begin, end)                                                             \
    shape_share_permille(lore_slice_of(first), lore_slice_of(last), lore_slice_of(begin),          \
                         lore_slice_of(end))
    assert_int_equal(SHARE("k0", "k9", "a", "z"), 1000);
    assert_int_equal(SHARE("k0", "k9", "l", "z"), 0);
    assert_int_equal(SHARE("k0", "k9", "a", "k0"), 0);
    assert_in_range(SHARE("key-000", "key-999", "key-250", "key-750"), 400, 600);
    assert_in_range(SHARE("key-000", "key-999", "a", "key-300"), 250, 400);
    assert_int_equal(SHARE("k", "k", "j", "l"), 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_follow_size),
        cmocka_unit_test(test_nothing_is_due),
        cmocka_unit_test(test_level0_merges_into_level1),
        cmocka_unit_test(test_tiers_fill),
        cmocka_unit_test(test_space_rule),
        cmocka_unit_test(test_fresh_store),
        cmocka_unit_test(test_last_run_sinks),
        cmocka_unit_test(test_value_files),
        cmocka_unit_test(test_small_files_are_joined),
        cmocka_unit_test(test_compaction_asked_for),
        cmocka_unit_test(test_inputs_are_bounded),
        cmocka_unit_test(test_delay_has_no_cliff),
        cmocka_unit_test(test_share_of_a_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
