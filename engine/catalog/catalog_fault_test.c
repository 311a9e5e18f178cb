/*
 * The catalog on a disk that loses power, fails calls, runs out of memory, and turns bytes over.
 */
#include "catalog/catalog_testing.h"

#define LMDB_PATH  TEST_DIR "/catalog.mdb"
#define EDITS_PATH TEST_DIR "/edits-0000000001"

/* ---- power cuts ---- */

struct cuts {
    struct catalog_disk *disk;
    bool created;
    uint64_t acknowledged, attempted; /* edit numbers */
    uint64_t every, seen;             /* cut at one change in so many */
    uint64_t random, states, rebuilt, replayed, tails;
};

static enum crash_fate any_fate(void *context, size_t index, uint64_t *tear) {
    struct cuts *cuts = context;
    (void)index;
    *tear = test_random(&cuts->random);
    return (enum crash_fate)(test_random(&cuts->random) & 3);
}

static enum crash_fate all_lost(void *context, size_t index, uint64_t *tear) {
    (void)context, (void)index, (void)tear;
    return CRASH_LOST;
}

/* What is left opens, read-only and then to write, with a prefix that holds all that was
 * acknowledged. */
static void open_after(struct cuts *cuts, struct fs_memory *after) {
    lore_env env = {env_posix()->allocator, fs_memory_fs(after), env_posix()->sys};
    struct catalog_config config = cuts->disk->config;
    config.env = &env;
    config.allocator = env_posix()->allocator;
    config.read_only = true;
    struct catalog *catalog;
    struct catalog_opened opened;
    lore_status status = catalog_open(&config, &catalog, &opened);
    if (!cuts->created && status == LORE_CORRUPTION) return; /* there is no such catalog yet */
    assert_ok(status);
    assert_in_range(opened.number, cuts->acknowledged, cuts->attempted);
    assert_content(catalog);
    uint64_t number = opened.number;
    catalog_close(catalog);
    config.read_only = false;
    for (int round = 0; round < 2; round++) {
        assert_ok(catalog_open(&config, &catalog, &opened));
        assert_int_equal(opened.number, number);
        assert_content(catalog);
        cuts->rebuilt += opened.rebuilt;
        cuts->replayed += opened.replayed > 0;
        cuts->tails += opened.tail_bytes_cut > 0;
        if (round > 0)
            assert_true(!opened.rebuilt && opened.replayed == 0 && opened.tail_bytes_cut == 0);
        assert_ok(test_commit(catalog));
        number++;
        assert_content(catalog);
        catalog_close(catalog);
    }
}

static void cut(void *context, uint64_t number) {
    struct cuts *cuts = context;
    (void)number;
    if (cuts->seen++ % cuts->every != 0) return;
    for (int i = 0; i < 2; i++) {
        struct fs_memory *after;
        assert_ok(
            fs_memory_crash_clone(cuts->disk->memory, i == 0 ? all_lost : any_fate, cuts, &after));
        open_after(cuts, after);
        fs_memory_destroy(after);
        cuts->states++;
    }
}

static void commit_under_cuts(struct cuts *cuts, struct catalog *catalog) {
    cuts->attempted = catalog_number(catalog) + 1;
    assert_ok(test_commit(catalog));
    cuts->acknowledged = cuts->attempted;
}

static void power_cuts_lose_nothing_acknowledged(void **state) {
    (void)state;
    const uint64_t seed = 31337;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct cuts cuts = {.disk = &disk, .random = seed, .attempted = 1, .every = 1};
    fs_fault_on_change(disk.fault, cut, &cuts);
    struct catalog *catalog;
    assert_ok(test_create(&disk, &catalog));
    cuts.created = true;
    cuts.acknowledged = 1;
    for (int i = 0; i < 6; i++)
        commit_under_cuts(&cuts, catalog);
    cuts.every = 23; /* until edits are about to roll */
    while (catalog_number(catalog) < 39)
        commit_under_cuts(&cuts, catalog);
    cuts.every = 1;
    for (int i = 0; i < 12; i++)
        commit_under_cuts(&cuts, catalog);
    assert_ok(catalog_rebuild(catalog));
    catalog_close(catalog);
    /* And while it is opened, with LMDB gone. */
    fs_fault_on_change(disk.fault, NULL, NULL);
    assert_ok(fs_unlink(&disk.env, LMDB_PATH));
    fs_fault_on_change(disk.fault, cut, &cuts);
    struct catalog_opened opened;
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    commit_under_cuts(&cuts, catalog);
    catalog_close(catalog);
    uint64_t size;
    assert_null(fs_memory_bytes(disk.memory, EDITS_PATH, &size)); /* it did roll */
    print_message("%llu states: %llu rebuilt, %llu replayed, %llu tails\n",
                  (unsigned long long)cuts.states, (unsigned long long)cuts.rebuilt,
                  (unsigned long long)cuts.replayed, (unsigned long long)cuts.tails);
    assert_true(cuts.states > 300 && cuts.rebuilt > 10 && cuts.replayed > 10 && cuts.tails > 10);
    catalog_disk_close(&disk);
}

/* The enumeration can fail: without the sync of edits it finds a lost commit. */
static void a_missing_sync_is_found(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct catalog *catalog;
    assert_ok(test_create(&disk, &catalog));
    fs_fault_skip(disk.fault, FAULT_SYNC, "edits");
    assert_ok(test_commit(catalog));
    struct fs_memory *after;
    assert_ok(fs_memory_crash_clone(disk.memory, all_lost, NULL, &after));
    catalog_close(catalog);
    lore_env env = {env_posix()->allocator, fs_memory_fs(after), env_posix()->sys};
    struct catalog_config config = disk.config;
    config.env = &env;
    struct catalog_opened opened;
    assert_status(catalog_open(&config, &catalog, &opened), LORE_CORRUPTION); /* LMDB is ahead */
    fs_memory_destroy(after);
    catalog_disk_close(&disk);
}

/* ---- every failing call, every failing allocation ---- */

/* Create, commit over a roll, open again, commit. *acknowledged is the last number that was. */
static lore_status whole_life(struct catalog_disk *disk, uint64_t *acknowledged) {
    struct catalog *catalog;
    *acknowledged = 0;
    TRY(test_create(disk, &catalog));
    *acknowledged = 1;
    lore_status status = LORE_OK;
    for (int i = 0; i < 45 && status == LORE_OK; i++) {
        status = test_commit(catalog);
        if (status == LORE_OK) *acknowledged = catalog_number(catalog);
        if (i % 15 == 0) {
            bool as_expected = true;
            lore_status read = test_content(catalog, &as_expected);
            assert_true(read != LORE_OK || as_expected);
        }
    }
    catalog_close(catalog);
    TRY(status);
    struct catalog_opened opened;
    TRY(catalog_open(&disk->config, &catalog, &opened));
    assert_int_equal(opened.number, *acknowledged);
    status = test_commit(catalog);
    if (status == LORE_OK) *acknowledged = catalog_number(catalog);
    catalog_close(catalog);
    return status;
}

/* Whatever failed before, the disk works again: everything acknowledged is there. */
static void open_well(struct catalog_disk *disk, uint64_t acknowledged) {
    struct catalog *catalog;
    struct catalog_opened opened;
    lore_status status = catalog_open(&disk->config, &catalog, &opened);
    if (acknowledged == 0 && status == LORE_CORRUPTION) return;
    assert_ok(status);
    assert_in_range(opened.number, acknowledged, acknowledged + 1);
    assert_content(catalog);
    assert_ok(test_commit(catalog));
    catalog_close(catalog);
}

static void each_call_may_fail(void **state) {
    (void)state;
    const lore_status statuses[2] = {LORE_IO, LORE_FULL};
    for (int kind = 0; kind < 4; kind++) { /* IO or full, once or for ever */
        for (uint64_t at = 0;; at += at < 80 ? 1 : 13) {
            struct catalog_disk disk;
            catalog_disk_open(&disk);
            struct fault_plan plan = {FAULT_ALL, at, kind >= 2, statuses[kind % 2], NULL};
            fs_fault_set_plan(disk.fault, &plan);
            uint64_t acknowledged;
            lore_status status = whole_life(&disk, &acknowledged);
            bool fired = fs_fault_fired(disk.fault);
            fs_fault_set_plan(disk.fault, NULL);
            if (!fired) assert_ok(status);
            open_well(&disk, acknowledged);
            catalog_disk_close(&disk);
            if (!fired) {
                assert_true(at > 300);
                break;
            }
        }
    }
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    for (long at = 0;; at += at < 60 ? 1 : 17) {
        struct catalog_disk disk;
        catalog_disk_open(&disk);
        disk.allocator.fail_at = at;
        uint64_t acknowledged;
        lore_status status = whole_life(&disk, &acknowledged);
        disk.allocator.fail_at = -1;
        open_well(&disk, acknowledged);
        catalog_disk_close(&disk);
        if (status == LORE_OK) {
            assert_true(at > 100);
            break;
        }
        assert_status(status, LORE_NO_MEMORY);
    }
}

/* ---- flips ---- */

struct flips {
    uint64_t equal, reported, refused;
};

/* One byte is wrong: the catalog opens with equal content, and says so if it is edits', or refuses
 * to. */
static void flip(struct catalog_disk *disk, const char *path, uint64_t at, uint8_t by,
                 bool is_truth, struct flips *flips) {
    struct fs_memory *copy;
    assert_ok(fs_memory_clone(disk->memory, &copy));
    uint64_t size;
    fs_memory_bytes(copy, path, &size)[at] ^= by;
    lore_env env = {env_posix()->allocator, fs_memory_fs(copy), env_posix()->sys};
    struct catalog_config config = disk->config;
    config.env = &env;
    struct catalog *catalog;
    struct catalog_opened opened;
    lore_status status = catalog_open(&config, &catalog, &opened);
    if (status != LORE_OK) {
        assert_true(is_truth);
        assert_status(status, LORE_CORRUPTION);
        flips->refused++;
    } else {
        assert_int_equal(opened.number, 5);
        assert_content(catalog);
        assert_ok(test_commit(catalog));
        assert_content(catalog);
        bool reported = opened.rebuilt || opened.replayed > 0 || opened.tail_bytes_cut > 0;
        if (is_truth) assert_true(reported);
        flips->reported += reported;
        flips->equal += !reported;
        catalog_close(catalog);
    }
    fs_memory_destroy(copy);
}

static void flip_all(struct catalog_disk *disk, const char *path, bool is_truth, uint64_t step,
                     struct flips *flips) {
    uint64_t size;
    assert_non_null(fs_memory_bytes(disk->memory, path, &size));
    for (uint64_t at = 0; at < size; at += step) {
        flip(disk, path, at, (uint8_t)(1u << (at / step % 8)), is_truth, flips);
    }
    print_message("%s, %llu bytes: %llu equal, %llu reported, %llu refused\n", path,
                  (unsigned long long)size, (unsigned long long)flips->equal,
                  (unsigned long long)flips->reported, (unsigned long long)flips->refused);
}

static void flipped_bytes_are_survived_or_reported(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct catalog *catalog;
    assert_ok(test_create(&disk, &catalog));
    for (int i = 0; i < 4; i++)
        assert_ok(test_commit(catalog));
    catalog_close(catalog);
    struct flips edits = {0}, lmdb = {0};
    flip_all(&disk, EDITS_PATH, true, 13, &edits);
    flip_all(&disk, LMDB_PATH, false, 11, &lmdb);
    assert_true(edits.refused > 50 && edits.reported > 100 && edits.equal == 0);
    assert_true(lmdb.reported > 100 && lmdb.refused == 0);
    catalog_disk_close(&disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts_lose_nothing_acknowledged),
        cmocka_unit_test(a_missing_sync_is_found),
        cmocka_unit_test(each_call_may_fail),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(flipped_bytes_are_survived_or_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
