/*
 * lsm_read_test.c - random histories of puts, deletes, range deletes, merges and vectors, laid out
 * at random over memtables, levels, runs and cuts; every read at many sequence numbers against the
 * naive model of read_testing.h.
 */
#include "lsm/read_checks.h"

/* ---- layouts ---- */

/* Table ids of the last plan's run in the version, to cut them. */
static void cut_run(struct tree_fixture *t, uint64_t run, lore_slice cut) {
    struct version_change change;
    version_change_init(&change, &t->segments.allocator.base);
    const struct version *version = t->lsm->version;
    for (size_t r = 0; r < version->runs_count; r++) {
        if (version->runs[r].id != run) continue;
        for (size_t i = 0; i < version->runs[r].count; i++) {
            const struct segment_summary *s = &version->runs[r].tables[i].handle->summary;
            int order = slice_compare(bytes_slice(&s->last_key), cut);
            if (order <= 0)
                assert_ok(version_change_drop(&change, s->id));
            else if (slice_compare(bytes_slice(&s->first_key), cut) <= 0)
                assert_ok(version_change_recut(&change, s->id, cut));
        }
    }
    tree_install(t, &change, false);
    version_change_deinit(&change);
}

static void add_run(struct tree_fixture *t, const struct history *h, uint64_t *seed,
                    const struct run_plan *plan) {
    struct version_change change;
    version_change_init(&change, &t->segments.allocator.base);
    write_run(t, h, seed, plan, &change);
    tree_install(t, &change, false);
    version_change_deinit(&change);
}

/* The two oldest runs are being merged: all keys up to the cut have moved to new tables of the last
 * run. */
static void start_merge(struct tree_fixture *t, const struct history *h, uint64_t *seed,
                        const struct run_plan *oldest, const struct run_plan *newer) {
    lore_slice cut = test_key_slice(h, test_random(seed) % h->keys_count);
    uint8_t after[KEY_BOUND_BYTES_MAX];
    memcpy(after, cut.data, cut.size);
    after[cut.size] = 0;
    struct run_plan output = *oldest;
    output.end = newer->end;
    output.to = slice(after, cut.size + 1);
    cut_run(t, oldest->run, cut);
    cut_run(t, newer->run, cut);
    add_run(t, h, seed, &output);
}

static void lay_out(struct tree_fixture *t, const struct history *h, uint64_t *seed) {
    size_t parts = 1 + test_random(seed) % 8;
    size_t ends[10];
    for (size_t i = 0; i < parts; i++)
        ends[i] = test_random(seed) % (h->count + 1);
    ends[parts++] = h->count;
    for (size_t i = 0; i < parts; i++) { /* ascending */
        for (size_t k = i + 1; k < parts; k++) {
            if (ends[k] >= ends[i]) continue;
            size_t swapped = ends[i];
            ends[i] = ends[k];
            ends[k] = swapped;
        }
    }
    size_t in_memory = test_random(seed) % 3, first = 0,
           tables = parts > in_memory ? parts - in_memory : 0;
    struct run_plan plans[10];
    uint8_t level = 3;
    for (size_t i = 0; i < tables; i++) {
        if (i == 1) level = 2;
        if (i > 1 && level > 0 && test_random(seed) % 2 == 0) level--;
        plans[i] = (struct run_plan){.first = first,
                                     .end = ends[i],
                                     .level = level,
                                     .run = i + 1,
                                     .order = i + 1,
                                     .tables_wanted = level == 0 ? 1 : 1 + test_random(seed) % 5};
        first = ends[i];
        add_run(t, h, seed, &plans[i]);
    }
    if (tables >= 2 && test_random(seed) % 2 == 0) start_merge(t, h, seed, &plans[0], &plans[1]);
    if (in_memory == 2 && tables < parts) {
        tree_write(t, h, first, ends[tables]);
        first = ends[tables];
        assert_ok(lsm_freeze(t->lsm, 2, 0));
    }
    tree_write(t, h, first, h->count);
}

static void test_random_histories(void **state) {
    (void)state;
    uint64_t seed = UINT64_C(0x5eed0004);
    static struct history h;
    for (int round = 0; round < 40; round++) {
        print_message("round %d, seed %llu\n", round, (unsigned long long)seed);
        struct tree_fixture t;
        tree_init(&t);
        history_init(&h, 20 + test_random(&seed) % 400, &seed, &t.segments.allocator.base);
        lay_out(&t, &h, &seed);
        check_newest(&t, &h);
        for (int look = 0; look < 6; look++) {
            uint64_t sequence = look == 0 ? h.count : test_random(&seed) % (h.count + 1);
            check_gets(&t, &h, sequence);
            check_walks(&t, &h, &seed, sequence);
        }
        history_deinit(&h);
        tree_deinit(&t);
    }
}

/* ---- an iterator over a flush ---- */

static void test_an_iterator_goes_on_after_a_flush(void **state) {
    (void)state;
    uint64_t seed = UINT64_C(0x5eed0005);
    static struct history h;
    for (int round = 0; round < 10; round++) {
        print_message("round %d, seed %llu\n", round, (unsigned long long)seed);
        struct tree_fixture t;
        tree_init(&t);
        history_init(&h, 300, &seed, &t.segments.allocator.base);
        tree_write(&t, &h, 0, 200);
        bool backward = round % 2 == 1;
        size_t none = h.keys_count;
        struct lsm_iterator *it;
        assert_ok(lsm_iterator_create(t.lsm, &t.segments.allocator.base, 200, slice(NULL, 0),
                                      slice(NULL, 0), &it));
        assert_ok(backward ? lsm_iterator_seek_last(it) : lsm_iterator_seek_first(it));
        size_t at = backward ? model_prev(&h, none, 0, 200) : model_next(&h, 0, none, 200);
        for (size_t step = 0; at != none; step++) {
            if (step == 2) assert_ok(lsm_freeze(t.lsm, 2, 0));
            if (step == 4) tree_write(&t, &h, 200, 300); /* newer than the iterator */
            if (step == 6) {
                struct version_change change;
                version_change_init(&change, &t.segments.allocator.base);
                struct run_plan plan = {
                    .first = 0, .end = 200, .run = 1, .order = 1, .tables_wanted = 1};
                write_run(&t, &h, &seed, &plan, &change);
                tree_install(&t, &change, true);
                version_change_deinit(&change);
            }
            check_stands(it, &h, at, 200, true);
            assert_ok(backward ? lsm_iterator_prev(it) : lsm_iterator_next(it));
            at = backward ? model_prev(&h, at, 0, 200) : model_next(&h, at + 1, none, 200);
        }
        assert_false(lsm_iterator_valid(it));
        assert_null(t.lsm->frozen);
        lsm_iterator_destroy(it);
        history_deinit(&h);
        tree_deinit(&t);
    }
}

/* ---- broken tables ---- */

/* Breaks the table that holds `key` in the only run, and loads the version anew from its own
 * summaries. */
static void break_table(struct tree_fixture *t, size_t table) {
    const struct version *old = t->lsm->version;
    struct version_parts parts;
    version_parts_init(&parts, &t->segments.allocator.base);
    assert_ok(version_take_apart(old, &parts));
    struct table_handle *sound = parts.tables[table].handle;
    char name[SEGMENT_NAME_BYTES], path[PATH_BYTES_MAX];
    segment_file_name(name, SEGMENT_TABLE, sound->summary.id);
    assert_ok(path_join(path, "g", name));
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(t->segments.disk, path, &size);
    assert_non_null(bytes);
    bytes[size - 1] ^= 1;
    struct table_handle *broken;
    assert_ok(table_handle_open(&t->segments.context, &sound->summary, true, false, &broken));
    assert_int_equal(broken->broken, LORE_CORRUPTION);
    assert_non_null(strstr(broken->why, name));
    parts.tables[table].handle = broken;
    table_handle_release(sound);
    struct version *version, *before = t->lsm->version;
    assert_ok(version_build(&parts, 9, &version));
    version_parts_deinit(&parts);
    t->lsm->version = version;
    version_release(before);
}

static void test_broken_tables_answer_for_their_range(void **state) {
    (void)state;
    uint64_t seed = UINT64_C(0x5eed0006);
    static struct history h;
    struct tree_fixture t;
    tree_init(&t);
    memset(&h, 0, sizeof h);
    const struct allocator *a = &t.segments.allocator.base;
    make_keys(&h, &seed);
    for (size_t key = 0; key < h.keys_count; key++) { /* each key once */
        struct test_op *op = &h.ops[h.count++];
        *op = (struct test_op){ENTRY_PUT, key, bytes_empty(a), bytes_empty(a)};
        if (h.keys[key].vector) op->kind = ENTRY_DELETE;
        if (op->kind == ENTRY_PUT) make_operand(&seed, &op->value);
    }
    size_t written = h.count;
    struct test_op *newer = &h.ops[h.count++]; /* and one in the memtable */
    *newer = (struct test_op){ENTRY_PUT, 0, bytes_empty(a), bytes_empty(a)};
    struct run_plan plan = {.end = written, .level = 1, .run = 1, .order = 1, .tables_wanted = 5};
    add_run(&t, &h, &seed, &plan);
    const struct run *run = &t.lsm->version->runs[0];
    assert_true(run->count >= 3);
    break_table(&t, 1);
    run = &t.lsm->version->runs[0];
    size_t first = 0, end = h.keys_count; /* the broken range */
    for (size_t key = 0; key < h.keys_count; key++) {
        if (run_find(run, test_key_slice(&h, key)) < 1) first = key + 1;
        if (run_find(run, test_key_slice(&h, key)) > 1 && key < end) end = key;
    }
    assert_true(first > 0 && first + 1 < end && end < h.keys_count);
    newer->key = first + 1;
    tree_write(&t, &h, written, h.count);

    struct bytes value = bytes_empty(a);
    for (size_t key = 0; key < h.keys_count; key++) {
        struct lookup lookup;
        bool hurt = key >= first && key < end && key != first + 1;
        assert_status(lsm_get(t.lsm, test_key_slice(&h, key), h.count, NULL, &lookup, &value),
                      hurt ? LORE_CORRUPTION : LORE_OK);
        if (hurt) assert_non_null(strstr(lore_error_message(), ".table"));
    }
    bytes_free(&value);

    struct lsm_iterator *it;
    assert_ok(lsm_iterator_create(t.lsm, a, h.count, slice(NULL, 0), slice(NULL, 0), &it));
    assert_ok(lsm_iterator_seek_first(it));
    for (size_t key = 0; key < first; key++) {
        check_stands(it, &h, key, h.count, true);
        if (key + 1 < first) assert_ok(lsm_iterator_next(it));
    }
    assert_status(lsm_iterator_next(it), LORE_CORRUPTION);
    assert_false(lsm_iterator_valid(it));
    assert_ok(lsm_iterator_seek(it, test_key_slice(&h, end)));
    check_stands(it, &h, end, h.count, true);
    assert_status(lsm_iterator_prev(it), LORE_CORRUPTION);
    assert_status(lsm_iterator_seek(it, test_key_slice(&h, first)), LORE_CORRUPTION);
    assert_status(lsm_iterator_seek_back(it, test_key_slice(&h, end - 1)), LORE_CORRUPTION);
    lsm_iterator_destroy(it);

    /* Bounds that leave the range out. */
    assert_ok(
        lsm_iterator_create(t.lsm, a, h.count, slice(NULL, 0), test_key_slice(&h, first), &it));
    assert_ok(lsm_iterator_seek_last(it));
    check_stands(it, &h, first - 1, h.count, true);
    assert_ok(lsm_iterator_next(it));
    assert_false(lsm_iterator_valid(it));
    lsm_iterator_destroy(it);
    assert_ok(lsm_iterator_create(t.lsm, a, h.count, test_key_slice(&h, end), slice(NULL, 0), &it));
    assert_ok(lsm_iterator_seek_first(it));
    check_stands(it, &h, end, h.count, true);
    assert_ok(lsm_iterator_prev(it));
    assert_false(lsm_iterator_valid(it));
    lsm_iterator_destroy(it);
    history_deinit(&h);
    tree_deinit(&t);
}

/* ---- pins ---- */

static void test_pins(void **state) {
    (void)state;
    struct tree_fixture t;
    tree_init(&t);
    _Atomic uint64_t current = 50;
    uint64_t pinned;
    assert_int_equal(lsm_oldest_pin(t.lsm), 0);
    for (uint64_t i = 40; i > 0; i--)
        assert_ok(lsm_pin(t.lsm, i));
    assert_ok(lsm_pin(t.lsm, 7));
    assert_ok(lsm_pin_current(t.lsm, &current, &pinned));
    assert_int_equal(pinned, 50);
    uint64_t *sequences;
    size_t count;
    assert_ok(lsm_pins_copy(t.lsm, &t.segments.allocator.base, &sequences, &count));
    assert_int_equal(count, 41);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(sequences[i], i + 1);
    assert_int_equal(sequences[40], 50);
    mem_put(&t.segments.allocator.base, sequences, count * sizeof *sequences);
    for (uint64_t i = 1; i <= 6; i++)
        lsm_unpin(t.lsm, i);
    lsm_unpin(t.lsm, 7);
    assert_int_equal(lsm_oldest_pin(t.lsm), 7);
    lsm_unpin(t.lsm, 7);
    assert_int_equal(lsm_oldest_pin(t.lsm), 8);
    for (uint64_t i = 8; i <= 40; i++)
        lsm_unpin(t.lsm, i);
    lsm_unpin(t.lsm, 50);
    assert_ok(lsm_pins_copy(t.lsm, &t.segments.allocator.base, &sequences, &count));
    assert_int_equal(count, 0);
    assert_null(sequences);
    tree_deinit(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_an_iterator_goes_on_after_a_flush),
        cmocka_unit_test(test_broken_tables_answer_for_their_range),
        cmocka_unit_test(test_pins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
