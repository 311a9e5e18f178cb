/* blob_test.c - blob files against a model of what was put in, whole, damaged, and with every call
 * failing in turn. */
#include "segment/blob.h"
#include "segment/blob_format.h"
#include "segment/value_fixture.h"

#define MODEL_MAX 6000

/* What a file should hold. */
struct model_value {
    struct value_ref ref;
    uint64_t sequence;
    char key[24];
    uint8_t *value;
    size_t size;
};
struct model {
    struct model_value values[MODEL_MAX];
    size_t count;
};

static struct world world;
static struct model model;
static uint64_t seed;

static lore_slice key_of(const struct model_value *value) {
    return slice(value->key, strlen(value->key));
}

/* Half of them compress well. */
static void model_add(size_t size) {
    assert_true(model.count < MODEL_MAX);
    struct model_value *value = &model.values[model.count];
    snprintf(value->key, sizeof value->key, "key-%08zu", model.count);
    value->sequence = 1 + test_random(&seed) % 1000;
    value->size = size;
    value->value = malloc(size + 1);
    bool is_text = test_random(&seed) % 2 == 0;
    for (size_t i = 0; i < size; i++)
        value->value[i] = (uint8_t)(is_text ? 'a' + i % 7 : test_random(&seed) >> 20);
    model.count++;
}

static void model_clear(void) {
    for (size_t i = 0; i < model.count; i++)
        free(model.values[i].value);
    model.count = 0;
}

static lore_status build(uint64_t id, lore_compression compression, size_t first, size_t end,
                         struct segment_summary *summary) {
    struct blob_builder *builder;
    uint64_t inputs[] = {90, 91};
    struct blob_builder_config config = {
        .id = id, .tier = 1, .compression = compression, .inputs = inputs, .inputs_count = 2};
    TRY(blob_builder_create(&world.context, &config, &builder));
    lore_status status = LORE_OK;
    for (size_t i = first; i < end && status == LORE_OK; i++) {
        struct model_value *value = &model.values[i];
        status = blob_builder_add(builder, key_of(value), value->sequence,
                                  slice(value->value, value->size), &value->ref);
    }
    if (status == LORE_OK) status = blob_builder_finish(builder, summary);
    blob_builder_destroy(builder);
    return status;
}

static void assert_reads(struct blob *blob, const struct model_value *value) {
    struct bytes read = bytes_empty(&world.memory.base);
    assert_ok(blob_read(blob, &value->ref, key_of(value), NULL, &read));
    assert_true(slice_equal(bytes_slice(&read), slice(value->value, value->size)));
    bytes_free(&read);
}

static void assert_missing(struct blob *blob, const struct value_ref *ref) {
    struct bytes read = bytes_empty(&world.memory.base);
    assert_status(blob_read(blob, ref, slice(NULL, 0), NULL, &read), LORE_CORRUPTION);
    assert_int_equal(read.size, 0);
    bytes_free(&read);
}

static struct blob *open_blob(const struct segment_summary *summary) {
    struct blob *blob;
    assert_ok(blob_open(&world.context, summary, &blob));
    return blob;
}

static void assert_verifies(const struct segment_summary *summary) {
    struct faults faults = {0};
    uint64_t entries;
    assert_ok(blob_verify(&world.context, summary, count_fault, NULL, &faults, &entries));
    assert_int_equal(faults.count, 0);
    assert_int_equal(entries, summary->entries);
}

static void values_come_back(void **state) {
    (void)state;
    for (uint64_t round = 0; round < 6; round++) {
        seed = 100 + round;
        print_message("seed %llu\n", (unsigned long long)seed);
        world_start(&world, 32 << 20, 1 << 20);
        size_t count = round == 0 ? 0 : round == 1 ? 1 : test_random(&seed) % 400;
        for (size_t i = 0; i < count; i++)
            model_add(test_random(&seed) % (i % 16 == 0 ? 100000 : 3000));
        struct segment_summary summary;
        lore_compression compression =
            round % 2 == 0 ? LORE_COMPRESSION_LZ4 : LORE_COMPRESSION_NONE;
        assert_ok(build(7, compression, 0, count, &summary));
        assert_int_equal(summary.kind, SEGMENT_BLOB);
        assert_int_equal(summary.entries, count);
        assert_int_equal(summary.groups_count, count > 0);
        assert_int_equal(summary.inputs_count, 2);
        uint64_t value_bytes = 0, first = UINT64_MAX, last = 0;
        for (size_t i = 0; i < count; i++) {
            value_bytes += model.values[i].size;
            if (model.values[i].sequence < first) first = model.values[i].sequence;
            if (model.values[i].sequence > last) last = model.values[i].sequence;
        }
        assert_int_equal(summary.value_bytes, value_bytes);
        assert_int_equal(summary.first_sequence, count == 0 ? 0 : first);
        assert_int_equal(summary.last_sequence, last);
        uint64_t size;
        uint8_t *bytes = world_bytes(&world, SEGMENT_BLOB, 7, &size);
        assert_int_equal(summary.bytes, size);
        struct digest128 digest = digest128_of(bytes, size);
        assert_memory_equal(digest.bytes, summary.digest.bytes, 16);

        struct blob *blob = open_blob(&summary);
        for (size_t i = 0; i < 2 * count; i++)
            assert_reads(blob, &model.values[test_random(&seed) % count]);
        assert_missing(blob, &(struct value_ref){7, (uint32_t)count, 10});
        assert_missing(blob, &(struct value_ref){8, 0, 10});
        blob_close(blob);
        assert_verifies(&summary);
        segment_summary_deinit(&summary);
        model_clear();
        world_stop(&world);
    }
}

static void references_are_checked(void **state) {
    (void)state;
    world_start(&world, 8 << 20, 1 << 20);
    model_add(2000);
    model_add(50000);
    struct segment_summary summary;
    assert_ok(build(7, LORE_COMPRESSION_LZ4, 0, 2, &summary));
    struct blob *blob = open_blob(&summary);
    for (size_t i = 0; i < 2; i++) {
        struct value_ref ref = model.values[i].ref;
        struct bytes read = bytes_empty(&world.memory.base);
        assert_status(blob_read(blob, &ref, lore_slice_of("key-0000000x"), NULL, &read),
                      LORE_CORRUPTION);
        assert_status(blob_read(blob, &ref, lore_slice_of("k"), NULL, &read), LORE_CORRUPTION);
        assert_ok(blob_read(blob, &ref, slice(NULL, 0), NULL, &read));
        bytes_free(&read);
        ref.length++;
        assert_missing(blob, &ref);
    }
    /* A small value is read once, then hit; a large one always read. */
    struct read_count count = {0};
    struct bytes read = bytes_empty(&world.memory.base);
    for (int i = 0; i < 3; i++)
        assert_ok(blob_read(blob, &model.values[0].ref, slice(NULL, 0), &count, &read));
    assert_int_equal(count.blocks_read, 0);
    assert_int_equal(count.blocks_hit, 6);
    assert_ok(blob_read(blob, &model.values[1].ref, slice(NULL, 0), &count, &read));
    assert_int_equal(count.blocks_read, 1);
    assert_true(count.bytes_read > 0);
    bytes_free(&read);
    blob_close(blob);
    segment_summary_deinit(&summary);
    model_clear();
    world_stop(&world);
}

/* Copy what `keep` says from some files to a new one; values that go have their size set to
 * SIZE_MAX. */
static lore_status rewrite(const struct segment_summary *inputs, size_t inputs_count, uint64_t id,
                           struct segment_summary *summary) {
    struct blob_builder *builder;
    struct blob_builder_config config = {.id = id, .compression = LORE_COMPRESSION_LZ4};
    TRY(blob_builder_create(&world.context, &config, &builder));
    struct bytes scratch = bytes_empty(&world.memory.base);
    for (size_t i = 0; i < inputs_count; i++) {
        struct blob *blob = open_blob(&inputs[i]);
        struct blob_cursor cursor = {blob, 0};
        for (;;) {
            struct blob_value value;
            bool found;
            assert_ok(blob_cursor_next(&cursor, true, &scratch, NULL, &value, &found));
            if (!found) break;
            char key[24] = {0};
            assert_int_equal(value.key.size, 12);
            memcpy(key, value.key.data, value.key.size);
            size_t at = (size_t)strtoul(key + 4, NULL, 10);
            assert_true(slice_equal(value.key, key_of(&model.values[at])));
            assert_int_equal(value.sequence, model.values[at].sequence);
            assert_memory_equal(&value.ref, &model.values[at].ref, sizeof value.ref);
            if (model.values[at].size == SIZE_MAX) continue;
            assert_ok(blob_builder_keep(builder, &value.ref, value.key, value.sequence,
                                        value.stored_block, value.ref.length));
        }
        blob_close(blob);
    }
    bytes_free(&scratch);
    lore_status status = blob_builder_finish(builder, summary);
    blob_builder_destroy(builder);
    return status;
}

static void assert_holds_model(const struct segment_summary *summary) {
    struct blob *blob = open_blob(summary);
    for (size_t i = 0; i < model.count; i++) {
        if (model.values[i].size == SIZE_MAX)
            assert_missing(blob, &model.values[i].ref);
        else
            assert_reads(blob, &model.values[i]);
    }
    blob_close(blob);
    assert_verifies(summary);
}

static void drop_some(uint64_t one_in) {
    for (size_t i = 0; i < model.count; i++) {
        if (test_random(&seed) % one_in == 0) model.values[i].size = SIZE_MAX;
    }
}

static void rewritten_files_answer_old_references(void **state) {
    (void)state;
    for (uint64_t round = 0; round < 4; round++) {
        seed = 200 + round;
        print_message("seed %llu\n", (unsigned long long)seed);
        world_start(&world, 32 << 20, 1 << 20);
        struct segment_summary parts[3], merged, again;
        for (uint64_t p = 0; p < 3; p++) {
            size_t first = model.count;
            size_t count = 1 + test_random(&seed) % 600;
            for (size_t i = 0; i < count; i++)
                model_add(test_random(&seed) % 1500);
            assert_ok(build(10 + p, LORE_COMPRESSION_LZ4, first, model.count, &parts[p]));
        }
        drop_some(3);
        assert_ok(rewrite(parts, 3, 20, &merged));
        assert_holds_model(&merged);
        drop_some(2);
        assert_ok(rewrite(&merged, 1, 21, &again));
        assert_holds_model(&again);
        assert_true(again.groups_count <= 3 && again.entries < merged.entries);
        for (size_t p = 0; p < 3; p++)
            segment_summary_deinit(&parts[p]);
        segment_summary_deinit(&merged);
        segment_summary_deinit(&again);
        model_clear();
        world_stop(&world);
    }
}

static void keeping_out_of_order_is_refused(void **state) {
    (void)state;
    struct value_ref refs[][2] = {
        {{5, 3, 1}, {5, 3, 1}}, {{5, 3, 1}, {5, 2, 1}}, {{5, 3, 1}, {4, 9, 1}}};
    world_start(&world, 8 << 20, 1 << 20);
    for (size_t i = 0; i < 3; i++) {
        struct blob_builder *builder;
        struct blob_builder_config config = {.id = 7};
        assert_ok(blob_builder_create(&world.context, &config, &builder));
        lore_slice stored = slice("\0\0\0\0\2\0\0\0kv", 10);
        assert_ok(blob_builder_keep(builder, &refs[i][0], slice("k", 1), 1, stored, 1));
        assert_status(blob_builder_keep(builder, &refs[i][1], slice("k", 1), 1, stored, 1),
                      LORE_CORRUPTION);
        struct segment_summary summary;
        assert_status(blob_builder_finish(builder, &summary), LORE_CORRUPTION);
        blob_builder_destroy(builder);
        assert_false(world_has(&world, SEGMENT_BLOB, 7));
    }
    world_stop(&world);
}

static void many_values_need_a_tree_of_checks(void **state) {
    (void)state;
    seed = 1;
    world_start(&world, 32 << 20, 4 << 20);
    for (size_t i = 0; i < 5000; i++)
        model_add(40);
    struct segment_summary summary;
    assert_ok(build(7, LORE_COMPRESSION_NONE, 0, model.count, &summary));
    uint64_t before = atomic_load(&world.budget.used_by[BUDGET_TABLE]);
    struct blob *blob = open_blob(&summary);
    assert_true(atomic_load(&world.budget.used_by[BUDGET_TABLE]) - before < 1024);
    for (size_t i = 0; i < model.count; i += 7)
        assert_reads(blob, &model.values[i]);
    blob_close(blob);
    assert_verifies(&summary);
    segment_summary_deinit(&summary);
    model_clear();
    world_stop(&world);
}

static void large_values_take_bounded_memory(void **state) {
    (void)state;
    const size_t size = 16 << 20;
    for (int compress = 0; compress < 2; compress++) {
        seed = 5;
        world_start(&world, 64 << 20, 256 << 10);
        do {
            model_clear();
            model_add(size);
        } while ((model.values[0].value[7] == 'a') != (compress == 1));
        struct segment_summary summary;
        lore_compression how = compress ? LORE_COMPRESSION_LZ4 : LORE_COMPRESSION_NONE;
        assert_ok(build(7, how, 0, 1, &summary));
        size_t buffers = compress ? 2 : 1;
        assert_true(atomic_load(&world.budget.peak) < buffers * size + (300 << 10));
        struct blob *blob = open_blob(&summary);
        struct bytes read = bytes_empty(&world.work_allocator.base);
        atomic_store(&world.budget.peak, 0);
        assert_ok(blob_read(blob, &model.values[0].ref, slice(NULL, 0), NULL, &read));
        assert_memory_equal(read.data, model.values[0].value, size);
        assert_true(atomic_load(&world.budget.peak) < size + size / 8 + (300 << 10));
        bytes_free(&read);
        blob_close(blob);
        assert_verifies(&summary);
        segment_summary_deinit(&summary);
        model_clear();
        world_stop(&world);
    }
}

/* ---- damage ---- */

/* Whatever can be read of a damaged file is what was written. */
static bool all_reads_are_honest(const struct segment_summary *summary) {
    struct blob *blob;
    block_cache_forget(world.cache, summary->id);
    lore_status status = blob_open(&world.context, summary, &blob);
    if (status != LORE_OK) return status == LORE_CORRUPTION || status == LORE_UNSUPPORTED;
    bool honest = true;
    struct bytes read = bytes_empty(&world.memory.base);
    for (size_t i = 0; i < model.count; i++) {
        const struct model_value *value = &model.values[i];
        status = blob_read(blob, &value->ref, key_of(value), NULL, &read);
        honest = honest && (status == LORE_CORRUPTION ||
                            (status == LORE_OK &&
                             slice_equal(bytes_slice(&read), slice(value->value, value->size))));
    }
    struct blob_cursor cursor = {blob, 0};
    for (size_t steps = 0; steps <= model.count; steps++) {
        struct blob_value value;
        bool found;
        status = blob_cursor_next(&cursor, true, &read, NULL, &value, &found);
        honest = honest && (status == LORE_CORRUPTION || status == LORE_OK);
        if (status == LORE_OK && !found) break;
    }
    honest = honest && cursor.position == model.count;
    bytes_free(&read);
    blob_close(blob);
    return honest;
}

static bool verify_reports(const struct segment_summary *summary) {
    struct faults faults = {0};
    uint64_t entries;
    lore_status status = blob_verify(&world.context, summary, count_fault, NULL, &faults, &entries);
    return status == LORE_UNSUPPORTED || (status == LORE_CORRUPTION && faults.count > 0);
}

static struct segment_summary start_small(void) {
    seed = 9;
    world_start(&world, 8 << 20, 1 << 20);
    model_add(60);
    model_add(0);
    model_add(700);
    model_add(60);
    struct segment_summary summary;
    assert_ok(build(7, LORE_COMPRESSION_LZ4, 0, model.count, &summary));
    return summary;
}

static void stop_small(struct segment_summary *summary) {
    segment_summary_deinit(summary);
    model_clear();
    world_stop(&world);
}

static void every_flipped_byte_is_reported(void **state) {
    (void)state;
    struct segment_summary summary = start_small();
    uint64_t size;
    uint8_t *bytes = world_bytes(&world, SEGMENT_BLOB, 7, &size);
    for (uint64_t at = 0; at < size; at++) {
        uint8_t flip = (uint8_t)(1u << at % 8);
        bytes[at] ^= flip;
        assert_true(all_reads_are_honest(&summary));
        assert_true(verify_reports(&summary));
        bytes[at] ^= flip;
    }
    assert_verifies(&summary);
    stop_small(&summary);
}

static void every_truncation_is_reported(void **state) {
    (void)state;
    struct segment_summary summary = start_small();
    uint64_t size;
    world_bytes(&world, SEGMENT_BLOB, 7, &size);
    while (size-- > 0) {
        world_truncate(&world, SEGMENT_BLOB, 7, size);
        struct blob *blob;
        assert_status(blob_open(&world.context, &summary, &blob), LORE_CORRUPTION);
        assert_true(verify_reports(&summary));
    }
    stop_small(&summary);
}

static void swapped_files_and_blocks_are_reported(void **state) {
    (void)state;
    struct segment_summary summary = start_small(), other;
    assert_ok(build(8, LORE_COMPRESSION_LZ4, 0, model.count, &other));
    uint64_t size, other_size;
    uint8_t *bytes = world_bytes(&world, SEGMENT_BLOB, 7, &size);
    uint8_t *other_bytes = world_bytes(&world, SEGMENT_BLOB, 8, &other_size);
    assert_int_equal(size, other_size);
    uint8_t *copy = malloc(size);
    memcpy(copy, bytes, size);
    memcpy(bytes, other_bytes, size);
    struct blob *blob;
    assert_status(blob_open(&world.context, &summary, &blob), LORE_CORRUPTION);
    /* All but header and footer of another file. */
    memcpy(bytes, copy, SEGMENT_HEADER_BYTES);
    memcpy(bytes + size - 300, copy + size - 300, 300);
    assert_true(all_reads_are_honest(&summary));
    assert_true(verify_reports(&summary));
    memcpy(bytes, copy, size);
    assert_verifies(&summary);
    free(copy);
    segment_summary_deinit(&other);
    stop_small(&summary);
}

static void damage_is_located(void **state) {
    (void)state;
    struct segment_summary summary = start_small();
    uint64_t size;
    uint8_t *bytes = world_bytes(&world, SEGMENT_BLOB, 7, &size);
    bytes[SEGMENT_HEADER_BYTES + 3] ^= 1; /* in the first value */
    struct faults faults = {0};
    uint64_t entries;
    assert_status(blob_verify(&world.context, &summary, count_fault, NULL, &faults, &entries),
                  LORE_CORRUPTION);
    assert_int_equal(faults.count, 1);
    assert_int_equal(faults.offset, SEGMENT_HEADER_BYTES);
    assert_int_equal(entries, model.count);
    struct blob *blob = open_blob(&summary);
    for (size_t i = 1; i < model.count; i++)
        assert_reads(blob, &model.values[i]);
    struct bytes read = bytes_empty(&world.memory.base);
    assert_status(blob_read(blob, &model.values[0].ref, slice(NULL, 0), NULL, &read),
                  LORE_CORRUPTION);
    assert_non_null(strstr(lore_error_message(), "000000000007.blob"));
    assert_non_null(strstr(lore_error_message(), "128"));
    bytes_free(&read);
    blob_close(blob);
    stop_small(&summary);
}

static bool stop_soon(void *context, uint64_t bytes) {
    (void)bytes;
    return (*(int *)context)-- > 0;
}

static void verify_can_be_cancelled(void **state) {
    (void)state;
    struct segment_summary summary = start_small();
    lore_status status;
    int steps = 0;
    do {
        int left = steps++;
        uint64_t entries;
        status = blob_verify(&world.context, &summary, NULL, stop_soon, &left, &entries);
        assert_true(status == LORE_OK || status == LORE_CANCELLED);
    } while (status != LORE_OK);
    assert_true(steps > 5);
    stop_small(&summary);
}

/* ---- failing calls ---- */

static void failed_writes_leave_no_file(void **state) {
    (void)state;
    seed = 3;
    world_start(&world, 8 << 20, 1 << 20);
    for (size_t i = 0; i < 20; i++)
        model_add(20000);
    lore_status status;
    uint64_t at = 0;
    do {
        struct segment_summary summary;
        world_fail_io(&world, FAULT_OPEN | FAULT_WRITE | FAULT_SYNC, at++);
        status = build(7, LORE_COMPRESSION_NONE, 0, model.count, &summary);
        fs_fault_set_plan(world.fault, NULL);
        if (status != LORE_OK) {
            assert_status(status, LORE_IO);
            assert_false(world_has(&world, SEGMENT_BLOB, 7));
            continue;
        }
        assert_verifies(&summary);
        segment_summary_deinit(&summary);
    } while (status != LORE_OK);
    assert_true(at > 5);

    /* One that exists is another's, and stays. */
    struct segment_summary summary;
    assert_status(build(7, LORE_COMPRESSION_NONE, 0, model.count, &summary), LORE_EXISTS);
    assert_true(world_has(&world, SEGMENT_BLOB, 7));
    struct blob_builder *builder;
    struct blob_builder_config config = {.id = 8};
    assert_ok(blob_builder_create(&world.context, &config, &builder));
    assert_true(world_has(&world, SEGMENT_BLOB, 8));
    blob_builder_destroy(builder);
    assert_false(world_has(&world, SEGMENT_BLOB, 8));
    model_clear();
    world_stop(&world);
}

static lore_status read_all(const struct segment_summary *summary) {
    struct blob *blob;
    TRY(blob_open(&world.context, summary, &blob));
    struct bytes read = bytes_empty(&world.work_allocator.base);
    lore_status status = LORE_OK;
    for (size_t i = 0; i < model.count && status == LORE_OK; i++)
        status = blob_read(blob, &model.values[i].ref, key_of(&model.values[i]), NULL, &read);
    bool found = true;
    struct blob_cursor cursor = {blob, 0};
    while (found && status == LORE_OK) {
        struct blob_value value;
        status = blob_cursor_next(&cursor, false, &read, NULL, &value, &found);
    }
    bytes_free(&read);
    blob_close(blob);
    return status;
}

static void failed_reads_are_passed_on(void **state) {
    (void)state;
    struct segment_summary summary = start_small();
    lore_status status;
    uint64_t at = 0;
    do {
        block_cache_forget(world.cache, 7);
        world_fail_io(&world, FAULT_OPEN | FAULT_READ | FAULT_LIST, at++);
        status = read_all(&summary);
        if (status != LORE_OK) assert_status(status, LORE_IO);
    } while (status != LORE_OK);
    assert_true(at > 8);
    for (at = 0; at < 30; at++) {
        world_fail_io(&world, FAULT_OPEN | FAULT_READ | FAULT_LIST, at);
        uint64_t entries;
        status = blob_verify(&world.context, &summary, NULL, NULL, NULL, &entries);
        assert_int_equal(status == LORE_OK, !fs_fault_fired(world.fault));
    }
    fs_fault_set_plan(world.fault, NULL);
    stop_small(&summary);
}

static void failed_allocations_are_undone(void **state) {
    (void)state;
    seed = 3;
    lore_status status;
    long at = 0;
    do {
        world_start(&world, 8 << 20, 1 << 20);
        for (size_t i = 0; i < 12; i++)
            model_add(i * 5000);
        world.memory.fail_at = at++;
        struct segment_summary summary;
        segment_summary_init(&summary, &world.memory.base);
        status = build(7, LORE_COMPRESSION_LZ4, 0, model.count, &summary);
        if (status == LORE_OK) status = read_all(&summary);
        if (status == LORE_OK) {
            uint64_t entries;
            status = blob_verify(&world.context, &summary, NULL, NULL, NULL, &entries);
        }
        if (status != LORE_OK) assert_status(status, LORE_NO_MEMORY);
        world.memory.fail_at = -1;
        segment_summary_deinit(&summary);
        model_clear();
        world_stop(&world);
    } while (status != LORE_OK);
    assert_true(at > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back),
        cmocka_unit_test(references_are_checked),
        cmocka_unit_test(rewritten_files_answer_old_references),
        cmocka_unit_test(keeping_out_of_order_is_refused),
        cmocka_unit_test(many_values_need_a_tree_of_checks),
        cmocka_unit_test(large_values_take_bounded_memory),
        cmocka_unit_test(every_flipped_byte_is_reported),
        cmocka_unit_test(every_truncation_is_reported),
        cmocka_unit_test(swapped_files_and_blocks_are_reported),
        cmocka_unit_test(damage_is_located),
        cmocka_unit_test(verify_can_be_cancelled),
        cmocka_unit_test(failed_writes_leave_no_file),
        cmocka_unit_test(failed_reads_are_passed_on),
        cmocka_unit_test(failed_allocations_are_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
