/*
 * damage_test.c - a damaged block, or a table that is missing, with older values beneath: nobody
 * may be given the older value, by get, by a walk either way, or through compaction; all that lies
 * elsewhere goes on.
 */
#include "lsm/write_testing.h"

#define KEYS    400u
#define HURT_AT 200u /* a key in the block that is damaged */

static void table_path(const struct version *version, size_t run, size_t table,
                       char path[PATH_BYTES_MAX]) {
    char name[SEGMENT_NAME_BYTES];
    segment_file_name(name, SEGMENT_TABLE, version->runs[run].tables[table].handle->summary.id);
    assert_ok(path_join(path, "g", name));
}

/* Turn a byte of the data block that holds HURT_AT in the newest run. */
static void hurt_block(struct world *w) {
    struct version *version = lsm_version(w->lsm);
    char path[PATH_BYTES_MAX];
    table_path(version, 0, 0, path);
    uint8_t key[32];
    lore_slice wanted = world_key(w, HURT_AT, key);
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(w->disk, path, &size);
    bool found = false;
    for (uint64_t at = 0; at + 8 < size && !found; at++) {
        if (memcmp(bytes + at, (const uint8_t *)wanted.data + wanted.size - 3, 3) != 0) continue;
        bytes[at + 12] ^= 1;
        found = true;
    }
    assert_true(found);
    version_release(version);
}

/* Old values of all keys in the last run, new ones of the middle above them. */
static void make_two_layers(struct world *w, uint64_t seed) {
    world_defaults(w, seed);
    w->plain_keys = KEYS;
    w->config.compression = LORE_COMPRESSION_NONE;
    w->config.memtable_bytes = 256 << 10;
    w->config.table_bytes_max = 8 << 10;
    w->config.fan_in = 4;
    world_create(w);
    for (uint32_t key = 0; key < KEYS; key++)
        world_write(w, ENTRY_PUT, key, 60);
    world_flush(w);
    assert_ok(lsm_compact_begin(w->lsm));
    world_settle(w, 64 << 10);
    for (uint32_t key = 150; key < 250; key += 2)
        world_write(w, ENTRY_PUT, key, 40);
    world_write(w, ENTRY_DELETE, HURT_AT + 1, 0);
    world_flush(w);
}

static lore_status get(struct world *w, uint32_t key, struct lookup *lookup) {
    uint8_t bytes[32];
    struct bytes value = bytes_empty(&w->allocator.base);
    lore_status status = lsm_get(w->lsm, world_key(w, key, bytes), w->count, NULL, lookup, &value);
    bytes_free(&value);
    return status;
}

/* Which keys say corruption; all others must be as the model has them. */
static uint32_t count_hurt(struct world *w, uint32_t *first, uint32_t *last) {
    uint32_t hurt = 0;
    struct lookup lookup;
    for (uint32_t key = 0; key < KEYS; key++) {
        lore_status status = get(w, key, &lookup);
        if (status == LORE_OK) {
            check_key(w, key, w->count);
            continue;
        }
        assert_int_equal(status, LORE_CORRUPTION);
        if (hurt++ == 0) *first = key;
        *last = key;
    }
    return hurt;
}

/* A walk gives what the model has until it comes to the damage, and then only an error. */
static void check_walk(struct world *w, bool backward) {
    struct lsm_iterator *it;
    assert_ok(lsm_iterator_create(w->lsm, &w->allocator.base, w->count, slice(NULL, 0),
                                  slice(NULL, 0), &it));
    uint32_t key = backward ? KEYS - 1 : 0;
    uint8_t upper[KEYSPACE_BYTES];
    put_be32(upper, 2);
    lore_status status = backward ? lsm_iterator_seek_back(it, slice(upper, sizeof upper))
                                  : lsm_iterator_seek_first(it);
    while (status == LORE_OK) {
        assert_true(lsm_iterator_valid(it));
        uint8_t bytes[32];
        struct model_answer answer;
        model_get(w, key, w->count, &answer);
        if (answer.found) {
            assert_true(slice_equal(lsm_iterator_key(it), world_key(w, key, bytes)));
            lore_slice value;
            assert_ok(lsm_iterator_value(it, &value));
            assert_true(slice_equal(value, slice(answer.value, answer.bytes)));
            status = backward ? lsm_iterator_prev(it) : lsm_iterator_next(it);
        }
        key += backward ? UINT32_MAX : 1;
    }
    assert_int_equal(status, LORE_CORRUPTION);
    assert_false(lsm_iterator_valid(it));
    assert_true(key >= 150 && key <= 250);
    lsm_iterator_destroy(it);
}

static void check_damaged(struct world *w, bool whole) {
    uint32_t first = 0, last = 0;
    uint32_t hurt = count_hurt(w, &first, &last);
    assert_true(hurt > 0 && first <= HURT_AT && last >= HURT_AT);
    if (!whole) assert_true(hurt < 60);
    check_walk(w, false);
    check_walk(w, true);
}

/* Steps until nothing is due, whatever they say. */
static uint32_t settle_over(struct world *w) {
    bool more = true;
    uint32_t failures = 0;
    for (uint32_t i = 0; more; i++) {
        assert_true(i < 20000);
        lore_status status = world_try_step(w, 16 << 10, &more);
        if (status == LORE_OK) continue;
        assert_int_equal(status, LORE_CORRUPTION);
        failures++;
    }
    return failures;
}

static void reopen(struct world *w) {
    world_close(w);
    world_open(w);
}

static void test_damaged_block_hides_nothing(void **state) {
    (void)state;
    static struct world w;
    make_two_layers(&w, 31);
    hurt_block(&w);
    reopen(&w); /* else the cache still has it whole */
    check_damaged(&w, false);
    for (uint32_t round = 0; round < 3; round++) {
        assert_ok(lsm_compact_begin(w.lsm));
        assert_true(settle_over(&w) > 0);
        check_damaged(&w, false);
        reopen(&w);
        check_damaged(&w, false);
    }
    world_destroy(&w);
}

static void test_missing_table_hides_nothing(void **state) {
    (void)state;
    static struct world w;
    make_two_layers(&w, 32);
    struct version *version = lsm_version(w.lsm);
    char path[PATH_BYTES_MAX];
    table_path(version, 0, 0, path);
    version_release(version);
    world_close(&w);
    assert_ok(fs_unlink(&w.env, path));
    world_open(&w);
    check_damaged(&w, true);
    assert_ok(lsm_compact_begin(w.lsm));
    assert_true(settle_over(&w) > 0);
    check_damaged(&w, true);
    /* Nor does a range delete over all of it make the range readable: newer ones may be in it. */
    world_delete_range(&w, 0, KEYS);
    world_flush(&w);
    settle_over(&w);
    struct lookup lookup;
    for (uint32_t key = 0; key < KEYS; key++) {
        assert_ok(get(&w, key, &lookup));
        assert_false(lookup.found);
    }
    world_destroy(&w);
}

/* New data over a damaged store is still merged, so that runs do not become many. */
static void test_work_goes_on_above_damage(void **state) {
    (void)state;
    static struct world w;
    make_two_layers(&w, 33);
    hurt_block(&w);
    reopen(&w);
    assert_ok(lsm_compact_begin(w.lsm));
    assert_true(settle_over(&w) > 0);
    for (uint32_t round = 0; round < 60; round++) {
        for (uint32_t key = 0; key < 20; key++)
            world_write(&w, ENTRY_PUT, (key * 7 + round * 5) % 140, 50);
        world_flush(&w);
        settle_over(&w);
    }
    check_damaged(&w, false);
    struct lsm_stats stats;
    lsm_stats_get(w.lsm, &stats);
    printf("%llu runs\n", (unsigned long long)stats.runs);
    assert_true(stats.runs < 30);
    world_destroy(&w);
}

/* What damage holds back is no debt; what is flushed above it and not merged is. */
static void test_pressure_above_damage(void **state) {
    (void)state;
    static struct world w;
    make_two_layers(&w, 34);
    hurt_block(&w);
    reopen(&w);
    assert_ok(lsm_compact_begin(w.lsm));
    assert_true(settle_over(&w) > 0);
    assert_int_equal(lsm_delay_us(w.lsm), 0);
    for (uint32_t flush = 0; flush < 40; flush++) {
        world_write(&w, ENTRY_PUT, flush % 140, 50);
        world_flush(&w);
    }
    assert_true(lsm_delay_us(w.lsm) > 0);
    settle_over(&w);
    assert_int_equal(lsm_delay_us(w.lsm), 0);
    world_destroy(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damaged_block_hides_nothing),
        cmocka_unit_test(test_missing_table_hides_nothing),
        cmocka_unit_test(test_work_goes_on_above_damage),
        cmocka_unit_test(test_pressure_above_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
