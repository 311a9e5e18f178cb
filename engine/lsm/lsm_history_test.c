/*
 * lsm_history_test.c - random histories through the whole tree: written, frozen, flushed and merged
 * in steps of random size, closed and opened again in the midst of it, and read all the while at
 * pinned sequence numbers against the naive model.
 */
#include "lsm/read_checks.h"

#define PINS_MAX 6u

struct run_through {
    struct tree_fixture tree;
    struct history history;
    struct catalog *catalog;
    struct mutex *catalog_mutex;
    struct lsm_config config;
    size_t written; /* ops that are in the tree */
    uint64_t log;
    uint64_t frozen_end; /* ops up to here were frozen */
    uint64_t pins[PINS_MAX];
    size_t pins_count;
};

static struct catalog_config catalog_config(struct run_through *r) {
    return (struct catalog_config){.env = &r->tree.segments.env,
                                   .allocator = r->tree.segments.env.allocator,
                                   .dir = "g",
                                   .identity = r->tree.segments.context.identity};
}

static void start(struct run_through *r, uint64_t *seed, size_t ops) {
    memset(r, 0, sizeof *r);
    segment_fixture_init(&r->tree.segments);
    const struct allocator *a = &r->tree.segments.allocator.base;
    history_init(&r->history, ops, seed, a);
    r->history.deletes_vanish = true;
    struct sys *sys = r->tree.segments.env.sys;
    assert_ok(sys->ops->mutex_create(sys, &r->catalog_mutex));
    struct catalog_edit first;
    catalog_edit_init(&first, a);
    struct counters_record counters = {1, 1, 1, 1};
    struct bytes value = bytes_empty(a);
    assert_ok(counters_record_encode(&counters, &value));
    struct catalog_key key = schema_key('C');
    assert_ok(catalog_edit_put(&first, catalog_key_slice(&key), bytes_slice(&value)));
    struct catalog_config config = catalog_config(r);
    assert_ok(catalog_create(&config, &first, &r->catalog));
    bytes_free(&value);
    catalog_edit_deinit(&first);
    r->config = (struct lsm_config){.context = &r->tree.segments.context,
                                    .budget = &r->tree.segments.budget,
                                    .catalog = r->catalog,
                                    .catalog_mutex = r->catalog_mutex,
                                    .memtable_bytes = 1 << 20,
                                    .table_bytes_max = 2048 + test_random(seed) % 8192,
                                    .block_bytes = 512,
                                    .blob_threshold_bytes = BLOB_THRESHOLD,
                                    .fan_in = 2 + (uint32_t)(test_random(seed) % 3)};
    r->log = 1;
    assert_ok(lsm_open(&r->config, r->log, &r->tree.lsm));
}

static void unpin_all(struct run_through *r) {
    while (r->pins_count > 0)
        lsm_unpin(r->tree.lsm, r->pins[--r->pins_count]);
}

static void stop(struct run_through *r) {
    unpin_all(r);
    lsm_close(r->tree.lsm);
    catalog_close(r->catalog);
    struct sys *sys = r->tree.segments.env.sys;
    sys->ops->mutex_destroy(sys, r->catalog_mutex);
    history_deinit(&r->history);
    segment_fixture_deinit(&r->tree.segments);
}

/* As a crash and recovery: what was not flushed is written again from the history. */
static void reopen(struct run_through *r) {
    uint64_t keep[PINS_MAX];
    size_t keep_count = r->pins_count;
    memcpy(keep, r->pins, sizeof keep);
    unpin_all(r);
    lsm_close(r->tree.lsm);
    catalog_close(r->catalog);
    struct catalog_config config = catalog_config(r);
    struct catalog_opened opened;
    assert_ok(catalog_open(&config, &r->catalog, &opened));
    r->config.catalog = r->catalog;
    assert_ok(lsm_open(&r->config, ++r->log, &r->tree.lsm));
    size_t flushed = (size_t)lsm_log_state(r->tree.lsm).flushed_sequence;
    assert_true(flushed <= r->written);
    for (size_t i = 0; i < keep_count; i++) { /* named snapshots come back */
        assert_ok(lsm_pin(r->tree.lsm, keep[i]));
        r->pins[r->pins_count++] = keep[i];
    }
    tree_write(&r->tree, &r->history, flushed, r->written);
}

static void step(struct run_through *r, uint64_t *seed) {
    struct step_count count = {0};
    bool more;
    assert_ok(lsm_step(r->tree.lsm, 1 + test_random(seed) % 8192, &count, &more));
}

static void look(struct run_through *r, uint64_t *seed) {
    uint64_t sequence = r->written;
    size_t which = test_random(seed) % (PINS_MAX + 1);
    if (which < r->pins_count) sequence = r->pins[which];
    bool pinned = which < r->pins_count;
    if (!pinned) assert_ok(lsm_pin(r->tree.lsm, sequence));
    check_gets(&r->tree, &r->history, sequence);
    check_walks(&r->tree, &r->history, seed, sequence);
    if (!pinned) lsm_unpin(r->tree.lsm, sequence);
}

static void act(struct run_through *r, uint64_t *seed) {
    size_t left = r->history.count - r->written;
    switch (test_random(seed) % 12) {
    case 0:
    case 1:
    case 2: {
        size_t more = 1 + test_random(seed) % 40;
        if (more > left) more = left;
        tree_write(&r->tree, &r->history, r->written, r->written + more);
        r->written += more;
        break;
    }
    case 3:
    case 4:
        if (lsm_can_freeze(r->tree.lsm)) assert_ok(lsm_freeze(r->tree.lsm, ++r->log, 0));
        break;
    case 5:
    case 6:
    case 7:
    case 8:
        for (size_t n = 1 + test_random(seed) % 4; n > 0; n--)
            step(r, seed);
        break;
    case 9:
        if (r->pins_count == PINS_MAX || (r->pins_count > 0 && test_random(seed) % 2 == 0)) {
            size_t gone = test_random(seed) % r->pins_count;
            lsm_unpin(r->tree.lsm, r->pins[gone]);
            r->pins[gone] = r->pins[--r->pins_count];
        } else {
            r->pins[r->pins_count++] = r->written;
            assert_ok(lsm_pin(r->tree.lsm, r->written));
        }
        break;
    case 10: look(r, seed); break;
    default:
        if (test_random(seed) % 3 == 0) reopen(r);
        break;
    }
}

static void test_histories(void **state) {
    (void)state;
    uint64_t seed = UINT64_C(0x5eed0007);
    static struct run_through r;
    uint64_t compactions = 0;
    for (int round = 0; round < 15; round++) {
        print_message("round %d, seed %llu\n", round, (unsigned long long)seed);
        start(&r, &seed, 300 + test_random(&seed) % 400);
        /* The model knows ops that are not yet written: they are too new for every look. */
        for (int n = 0; n < 250; n++)
            act(&r, &seed);
        if (!lsm_can_freeze(r.tree.lsm))
            while (!lsm_can_freeze(r.tree.lsm))
                step(&r, &seed);
        assert_ok(lsm_freeze(r.tree.lsm, ++r.log, 0));
        assert_ok(lsm_compact_begin(r.tree.lsm));
        uint64_t done, total;
        for (int n = 0; lsm_compacting(r.tree.lsm, &done, &total); n++) {
            step(&r, &seed);
            assert_true(n < 100000);
        }
        look(&r, &seed);
        for (size_t i = 0; i < r.pins_count; i++)
            check_gets(&r.tree, &r.history, r.pins[i]);
        struct lsm_stats stats;
        lsm_stats_get(r.tree.lsm, &stats);
        compactions += stats.compactions;
        assert_true(stats.flushes > 0);
        unpin_all(&r);
        reopen(&r);
        look(&r, &seed);
        stop(&r);
    }
    assert_true(compactions > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_histories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
