/*
 * version_test.c - how keys find their place in a run, cuts and exclusive ends included, and which
 * shapes are refused.
 */
#include "lsm/version_parts.h"

#include "base/testing.h"

static struct test_allocator memory;

/* A table without a file: broken, so that nothing is closed. */
static struct table_handle *make_handle(uint64_t id, const char *first, const char *last,
                                        bool exclusive) {
    void *made;
    assert_ok(mem_new(&memory.base, sizeof(struct table_handle), &made));
    struct table_handle *handle = made;
    atomic_init(&handle->references, 1);
    segment_summary_init(&handle->summary, &memory.base);
    handle->summary.kind = SEGMENT_TABLE;
    handle->summary.id = id;
    handle->summary.bytes = 10;
    handle->summary.last_key_exclusive = exclusive;
    handle->broken = LORE_CORRUPTION;
    assert_ok(bytes_set(&handle->summary.first_key, slice(first, strlen(first))));
    assert_ok(bytes_set(&handle->summary.last_key, slice(last, strlen(last))));
    return handle;
}

static struct value_file *make_values(uint64_t id, uint64_t logical_a, uint64_t logical_b) {
    void *made;
    assert_ok(mem_new(&memory.base, sizeof(struct value_file), &made));
    struct value_file *file = made;
    atomic_init(&file->references, 1);
    segment_summary_init(&file->summary, &memory.base);
    file->summary.kind = SEGMENT_BLOB;
    file->summary.id = id;
    file->broken = LORE_CORRUPTION;
    assert_ok(mem_new(&memory.base, 2 * sizeof *file->summary.groups, &made));
    file->summary.groups = made;
    file->summary.groups_count = 2;
    file->summary.groups[0].logical_id = logical_a;
    file->summary.groups[1].logical_id = logical_b;
    return file;
}

static void place(struct version_parts *parts, uint8_t level, uint64_t run, uint64_t order,
                  struct table_handle *handle, const char *cut) {
    assert_ok(version_parts_reserve(parts, 1, 0));
    struct placed_table *placed = &parts->tables[parts->tables_count++];
    *placed = (struct placed_table){level, run, order, handle, bytes_empty(&memory.base)};
    assert_ok(bytes_set(&placed->cut, slice(cut, strlen(cut))));
}

static lore_slice key(const char *text) {
    return slice(text, strlen(text));
}

static void test_keys_find_their_table(void **state) {
    (void)state;
    test_allocator_init(&memory);
    struct version_parts parts;
    version_parts_init(&parts, &memory.base);
    place(&parts, 1, 7, 1, make_handle(3, "p", "t", false), "");
    place(&parts, 1, 7, 1, make_handle(2, "f", "m", true), "h");
    place(&parts, 1, 7, 1, make_handle(1, "a", "h", false), "");
    place(&parts, 1, 8, 2, make_handle(4, "a", "z", false), "");
    place(&parts, 0, 9, 1, make_handle(5, "k", "k", false), "");
    struct version *version;
    assert_ok(version_build(&parts, 3, &version));
    version_parts_deinit(&parts);
    assert_int_equal(version->runs_count, 3);
    assert_int_equal(version->levels[0].count, 1);
    assert_int_equal(version->levels[1].count, 2);
    assert_int_equal(version->levels[1].runs[0].id, 8); /* the newer first */
    const struct run *run = &version->levels[1].runs[1];
    assert_int_equal(run->count, 3);
    assert_int_equal(run->bytes, 30);
    assert_int_equal(run_find(run, key("A")), 0);
    assert_int_equal(run_find(run, key("h")), 0);
    assert_int_equal(run_find(run, key("ha")), 1);
    assert_int_equal(run_find(run, key("m")), 2); /* the range delete ends before it */
    assert_int_equal(run_find(run, key("ta")), 3);
    assert_false(table_slot_covers(&run->tables[0], key("A")));
    assert_true(table_slot_covers(&run->tables[0], key("a")));
    assert_true(table_slot_covers(&run->tables[0], key("h")));
    assert_false(table_slot_covers(&run->tables[1], key("h"))); /* cut off */
    assert_true(table_slot_covers(&run->tables[1], key("ha")));
    assert_false(table_slot_covers(&run->tables[1], key("m")));
    bool exclusive;
    assert_true(slice_equal(table_slot_lower(&run->tables[1], &exclusive), key("h")));
    assert_true(exclusive);
    assert_true(slice_equal(table_slot_lower(&run->tables[2], &exclusive), key("p")));
    assert_false(exclusive);
    const struct run *found;
    size_t at;
    assert_true(version_find_table(version, 2, &found, &at));
    assert_ptr_equal(found, run);
    assert_int_equal(at, 1);
    assert_false(version_find_table(version, 6, &found, &at));
    version_release(version);
    assert_int_equal(memory.blocks, 0);
}

static void refuse(struct version_parts *parts) {
    struct version *version;
    assert_status(version_build(parts, 1, &version), LORE_CORRUPTION);
    version_parts_deinit(parts);
    assert_int_equal(memory.blocks, 0);
}

static void test_bad_shapes_are_refused(void **state) {
    (void)state;
    test_allocator_init(&memory);
    struct version_parts parts;
    version_parts_init(&parts, &memory.base);
    place(&parts, 1, 7, 1, make_handle(1, "a", "h", false), "");
    place(&parts, 1, 7, 1, make_handle(2, "h", "m", false), "");
    refuse(&parts);
    place(&parts, LEVELS_MAX, 7, 1, make_handle(1, "a", "h", false), "");
    refuse(&parts);
    assert_ok(version_parts_reserve(&parts, 0, 2));
    parts.values[parts.values_count++] = make_values(1, 4, 6);
    parts.values[parts.values_count++] = make_values(2, 5, 6);
    refuse(&parts);
}

static void test_logical_ids(void **state) {
    (void)state;
    test_allocator_init(&memory);
    struct version_parts parts;
    version_parts_init(&parts, &memory.base);
    assert_ok(version_parts_reserve(&parts, 0, 2));
    parts.values[parts.values_count++] = make_values(20, 4, 9);
    parts.values[parts.values_count++] = make_values(21, 2, 6);
    struct version *version;
    assert_ok(version_build(&parts, 1, &version));
    version_parts_deinit(&parts);
    assert_int_equal(version_value_file(version, 9)->summary.id, 20);
    assert_int_equal(version_value_file(version, 2)->summary.id, 21);
    assert_null(version_value_file(version, 5));
    assert_null(version_value_file(version, 10));

    struct value_ref ref = {.logical_id = 6, .ordinal = 0, .length = 1};
    uint8_t encoded[VALUE_REF_BYTES];
    value_ref_encode(&ref, encoded);
    struct bytes value = bytes_empty(&memory.base);
    struct entry entry = {key("kkkk"), 1, ENTRY_PUT_BLOB, slice(encoded, sizeof encoded)};
    assert_status(version_read_value(version, &entry, NULL, &value), LORE_CORRUPTION);
    entry.value.size--;
    assert_status(version_read_value(version, &entry, NULL, &value), LORE_CORRUPTION);
    bytes_free(&value);
    version_release(version);
    assert_int_equal(memory.blocks, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_find_their_table),
        cmocka_unit_test(test_bad_shapes_are_refused),
        cmocka_unit_test(test_logical_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
