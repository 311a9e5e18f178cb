/* rows_test.c - row segments against a model of what was put in, whole, damaged, and with every
 * call failing in turn. */
#include "segment/rows.h"
#include "segment/rows_format.h"
#include "segment/value_fixture.h"

/* What a file should hold. A vector's bytes follow from its row. */
struct model_vector {
    struct value_ref ref;
    uint64_t row, sequence;
    bool gone;
};

static struct world world;
static struct model_vector *model;
static size_t model_count;
static uint32_t stride;
static uint64_t seed;

static void model_start(size_t count, uint32_t stride_bytes) {
    model = calloc(count + 1, sizeof *model);
    assert_non_null(model);
    model_count = count;
    stride = stride_bytes;
    for (size_t i = 0; i < count; i++) {
        model[i].row = (i == 0 ? 0 : model[i - 1].row) + 1 + test_random(&seed) % 5;
        model[i].sequence = 1 + test_random(&seed) % 1000;
    }
}

static void model_stop(void) {
    free(model);
    model = NULL;
}

static void vector_of(uint64_t row, uint8_t *vector) {
    uint64_t state = row;
    for (uint32_t i = 0; i < stride; i++)
        vector[i] = (uint8_t)(i % 8 == 0 ? test_random(&state) : row + i);
}

static lore_status build(uint64_t id, size_t first, size_t end, struct segment_summary *summary) {
    struct rows_builder *builder;
    uint64_t inputs[] = {90};
    struct rows_builder_config config = {.id = id,
                                         .tier = 1,
                                         .space = 3,
                                         .stride_bytes = stride,
                                         .inputs = inputs,
                                         .inputs_count = 1};
    TRY(rows_builder_create(&world.context, &config, &builder));
    uint8_t *vector = malloc(stride);
    lore_status status = LORE_OK;
    for (size_t i = first; i < end && status == LORE_OK; i++) {
        vector_of(model[i].row, vector);
        status = rows_builder_add(builder, model[i].row, model[i].sequence, vector, &model[i].ref);
    }
    if (status == LORE_OK) status = rows_builder_finish(builder, summary);
    rows_builder_destroy(builder);
    free(vector);
    return status;
}

static struct rows *open_rows(const struct segment_summary *summary) {
    struct rows *rows;
    assert_ok(rows_open(&world.context, summary, &rows));
    return rows;
}

static void assert_reads(struct rows *rows, const struct model_vector *expected) {
    uint8_t *vector = malloc(stride), *read = malloc(stride);
    vector_of(expected->row, vector);
    assert_ok(rows_read(rows, &expected->ref, expected->row, NULL, read));
    assert_memory_equal(read, vector, stride);
    free(vector);
    free(read);
}

static void assert_missing(struct rows *rows, const struct value_ref *ref, uint64_t row) {
    uint8_t *read = malloc(stride);
    assert_status(rows_read(rows, ref, row, NULL, read), LORE_CORRUPTION);
    free(read);
}

static void assert_verifies(const struct segment_summary *summary) {
    struct faults faults = {0};
    uint64_t entries;
    assert_ok(rows_verify(&world.context, summary, count_fault, NULL, &faults, &entries));
    assert_int_equal(faults.count, 0);
    assert_int_equal(entries, summary->entries);
}

/* The scan gives the vectors that are not gone, in order. */
static void assert_scans(struct rows *rows) {
    enum { MAX = 40 };
    uint8_t *vectors = malloc((size_t)stride * MAX), *vector = malloc(stride);
    struct rows_position positions[MAX];
    uint64_t position = 0;
    size_t at = 0;
    for (;;) {
        size_t got, max = 1 + test_random(&seed) % MAX;
        assert_ok(rows_scan(rows, position, max, vectors, positions, NULL, &got));
        assert_true(got <= max);
        /* In place it is the same, and what is pinned stays when all else is evicted. */
        struct rows_pinned pinned;
        assert_ok(rows_pin(rows, position, max, NULL, NULL, &pinned));
        block_cache_reclaim(world.cache, UINT64_MAX);
        assert_int_equal(pinned.count, got);
        if (got > 0) assert_memory_equal(pinned.vectors, vectors, got * stride);
        rows_unpin(rows, &pinned);
        if (got == 0) break;
        for (size_t i = 0; i < got; i++, at++) {
            while (model[at].gone)
                at++;
            assert_true(at < model_count);
            assert_int_equal(positions[i].row, model[at].row);
            assert_int_equal(positions[i].sequence, model[at].sequence);
            assert_memory_equal(&positions[i].ref, &model[at].ref, sizeof positions[i].ref);
            vector_of(model[at].row, vector);
            assert_memory_equal(vectors + i * stride, vector, stride);
        }
        position += got;
    }
    assert_int_equal(position, rows_count(rows));
    while (at < model_count && model[at].gone)
        at++;
    assert_int_equal(at, model_count);
    free(vectors);
    free(vector);
}

static void vectors_come_back(void **state) {
    (void)state;
    static const uint32_t strides[] = {1, 16, 400, 1536, 3072, 8192, 16384, 20000};
    for (uint64_t round = 0; round < 8; round++) {
        seed = 100 + round;
        print_message("seed %llu\n", (unsigned long long)seed);
        world_start(&world, 32 << 20, 1 << 20);
        size_t count = round == 7 ? 0 : 1 + test_random(&seed) % 500;
        model_start(count, strides[round]);
        struct segment_summary summary;
        assert_ok(build(7, 0, count, &summary));
        assert_int_equal(summary.kind, SEGMENT_ROWS);
        assert_int_equal(summary.entries, count);
        assert_int_equal(summary.value_bytes, count * stride);
        assert_int_equal(summary.space, 3);
        assert_int_equal(summary.stride_bytes, stride);
        assert_int_equal(summary.inputs_count, 1);
        uint64_t size;
        uint8_t *bytes = world_bytes(&world, SEGMENT_ROWS, 7, &size);
        assert_int_equal(summary.bytes, size);
        struct digest128 digest = digest128_of(bytes, size);
        assert_memory_equal(digest.bytes, summary.digest.bytes, 16);

        struct rows *rows = open_rows(&summary);
        assert_int_equal(rows_count(rows), count);
        assert_int_equal(rows_space(rows), 3);
        assert_int_equal(rows_stride(rows), stride);
        for (size_t i = 0; i < count; i++)
            assert_reads(rows, &model[test_random(&seed) % count]);
        assert_missing(rows, &(struct value_ref){7, (uint32_t)count, stride}, 1);
        assert_missing(rows, &(struct value_ref){8, 0, stride}, 1);
        if (count > 0) {
            assert_missing(rows, &model[0].ref, model[0].row + 1);
            assert_missing(rows, &(struct value_ref){7, 0, stride + 1}, model[0].row);
        }
        assert_scans(rows);
        rows_close(rows);
        assert_verifies(&summary);
        segment_summary_deinit(&summary);
        model_stop();
        world_stop(&world);
    }
}

static void drop_some(uint64_t one_in) {
    for (size_t i = 0; i < model_count; i++)
        model[i].gone = model[i].gone || test_random(&seed) % one_in == 0;
}

/* As compaction does it: scan the inputs, keep what lives. */
static void rewrite(const struct segment_summary *inputs, size_t inputs_count, uint64_t id,
                    struct segment_summary *summary) {
    struct rows_builder *builder;
    struct rows_builder_config config = {.id = id, .space = 3, .stride_bytes = stride};
    assert_ok(rows_builder_create(&world.context, &config, &builder));
    uint8_t *vector = malloc(stride);
    size_t at = 0;
    for (size_t i = 0; i < inputs_count; i++) {
        struct rows *rows = open_rows(&inputs[i]);
        for (uint64_t position = 0; position < rows_count(rows); position++) {
            struct rows_position found;
            size_t got;
            assert_ok(rows_scan(rows, position, 1, vector, &found, NULL, &got));
            assert_int_equal(got, 1);
            while (model[at].row != found.row)
                at++;
            if (model[at].gone) continue;
            assert_ok(rows_builder_keep(builder, &found.ref, found.row, found.sequence, vector));
        }
        rows_close(rows);
    }
    free(vector);
    assert_ok(rows_builder_finish(builder, summary));
    rows_builder_destroy(builder);
}

static void assert_holds_model(const struct segment_summary *summary) {
    struct rows *rows = open_rows(summary);
    for (size_t i = 0; i < model_count; i++) {
        if (model[i].gone)
            assert_missing(rows, &model[i].ref, model[i].row);
        else
            assert_reads(rows, &model[i]);
    }
    assert_scans(rows);
    rows_close(rows);
    assert_verifies(summary);
}

static void rewritten_files_answer_old_references(void **state) {
    (void)state;
    for (uint64_t round = 0; round < 4; round++) {
        seed = 200 + round;
        print_message("seed %llu\n", (unsigned long long)seed);
        world_start(&world, 32 << 20, 1 << 20);
        struct segment_summary parts[3], merged, again;
        size_t ends[4] = {0};
        for (size_t p = 0; p < 3; p++)
            ends[p + 1] = ends[p] + 1 + test_random(&seed) % 800;
        model_start(ends[3], 100 + (uint32_t)round * 700);
        for (uint64_t p = 0; p < 3; p++)
            assert_ok(build(10 + p, ends[p], ends[p + 1], &parts[p]));
        drop_some(3);
        rewrite(parts, 3, 20, &merged);
        assert_holds_model(&merged);
        drop_some(2);
        rewrite(&merged, 1, 21, &again);
        assert_holds_model(&again);
        for (size_t p = 0; p < 3; p++)
            segment_summary_deinit(&parts[p]);
        segment_summary_deinit(&merged);
        segment_summary_deinit(&again);
        model_stop();
        world_stop(&world);
    }
}

static void many_vectors_need_trees_of_checks(void **state) {
    (void)state;
    /* 17,059 pages of positions: 34 pages of their checks, one page above those, and a root of one.
     */
    const size_t count = 2900000;
    seed = 1;
    world_start(&world, 256 << 20, 4 << 20);
    model_start(count, 4);
    struct segment_summary summary;
    assert_ok(build(7, 0, count, &summary));
    uint64_t before = atomic_load(&world.budget.used_by[BUDGET_TABLE]);
    struct rows *rows = open_rows(&summary);
    assert_true(atomic_load(&world.budget.used_by[BUDGET_TABLE]) - before < 1200);
    for (size_t i = 0; i < 3000; i++)
        assert_reads(rows, &model[test_random(&seed) % count]);
    assert_reads(rows, &model[count - 1]);
    rows_close(rows);
    uint64_t size;
    uint8_t *bytes = world_bytes(&world, SEGMENT_ROWS, 7, &size);
    /* The page above: damage in it hides what is below. */
    bytes[size - SEGMENT_TRAILER_BYTES - 600 - PAGE_BYTES / 2] ^= 1;
    rows = open_rows(&summary);
    block_cache_forget(world.cache, 7);
    assert_missing(rows, &model[5].ref, model[5].row);
    rows_close(rows);
    segment_summary_deinit(&summary);
    model_stop();
    world_stop(&world);
}

/* ---- damage ---- */

/* Whatever can be read of a damaged file is what was written. */
static bool all_reads_are_honest(const struct segment_summary *summary) {
    struct rows *rows;
    block_cache_forget(world.cache, summary->id);
    lore_status status = rows_open(&world.context, summary, &rows);
    if (status != LORE_OK) return status == LORE_CORRUPTION || status == LORE_UNSUPPORTED;
    bool honest = true;
    uint8_t vector[2000], read[2000];
    for (size_t i = 0; i < model_count; i++) {
        vector_of(model[i].row, vector);
        status = rows_read(rows, &model[i].ref, model[i].row, NULL, read);
        honest = honest && (status == LORE_CORRUPTION ||
                            (status == LORE_OK && memcmp(read, vector, stride) == 0));
        struct rows_position position;
        size_t got;
        status = rows_scan(rows, i, 1, read, &position, NULL, &got);
        honest =
            honest && (status == LORE_CORRUPTION ||
                       (status == LORE_OK && got == 1 && memcmp(read, vector, stride) == 0 &&
                        position.row == model[i].row && position.sequence == model[i].sequence));
    }
    rows_close(rows);
    return honest;
}

static bool verify_reports(const struct segment_summary *summary) {
    struct faults faults = {0};
    uint64_t entries;
    lore_status status = rows_verify(&world.context, summary, count_fault, NULL, &faults, &entries);
    return status == LORE_UNSUPPORTED || (status == LORE_CORRUPTION && faults.count > 0);
}

static struct segment_summary start_small(void) {
    seed = 9;
    world_start(&world, 8 << 20, 1 << 20);
    model_start(11, 2000); /* two blocks */
    struct segment_summary summary;
    assert_ok(build(7, 0, model_count, &summary));
    return summary;
}

static void stop_small(struct segment_summary *summary) {
    segment_summary_deinit(summary);
    model_stop();
    world_stop(&world);
}

static void every_flipped_byte_is_reported(void **state) {
    (void)state;
    struct segment_summary summary = start_small();
    uint64_t size;
    uint8_t *bytes = world_bytes(&world, SEGMENT_ROWS, 7, &size);
    for (uint64_t at = 0; at < size; at++) {
        /* The inside of a block is all alike. */
        if (at > 300 && at < 16000 && at % 13 != 0) continue;
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
    world_bytes(&world, SEGMENT_ROWS, 7, &size);
    while (size-- > 0) {
        world_truncate(&world, SEGMENT_ROWS, 7, size);
        struct rows *rows;
        assert_status(rows_open(&world.context, &summary, &rows), LORE_CORRUPTION);
        if (size % 64 == 0) assert_true(verify_reports(&summary));
    }
    stop_small(&summary);
}

static void swapped_blocks_and_files_are_reported(void **state) {
    (void)state;
    seed = 2;
    world_start(&world, 8 << 20, 1 << 20);
    model_start(16, 2000);
    struct segment_summary summary, other;
    assert_ok(build(7, 0, 16, &summary));
    assert_ok(build(8, 0, 16, &other));
    const size_t block_bytes = BLOCK_HEADER_BYTES + 8 * 2000;
    uint64_t size;
    uint8_t *bytes = world_bytes(&world, SEGMENT_ROWS, 7, &size);
    uint8_t *copy = malloc(size);
    memcpy(copy, bytes, size);
    memcpy(bytes + SEGMENT_HEADER_BYTES, copy + SEGMENT_HEADER_BYTES + block_bytes, block_bytes);
    memcpy(bytes + SEGMENT_HEADER_BYTES + block_bytes, copy + SEGMENT_HEADER_BYTES, block_bytes);
    struct rows *rows = open_rows(&summary);
    assert_missing(rows, &model[0].ref, model[0].row);
    assert_missing(rows, &model[15].ref, model[15].row);
    rows_close(rows);
    assert_true(verify_reports(&summary));
    uint8_t *other_bytes = world_bytes(&world, SEGMENT_ROWS, 8, &size);
    memcpy(bytes, other_bytes, size);
    assert_status(rows_open(&world.context, &summary, &rows), LORE_CORRUPTION);
    free(copy);
    segment_summary_deinit(&summary);
    segment_summary_deinit(&other);
    model_stop();
    world_stop(&world);
}

static void damage_is_located(void **state) {
    (void)state;
    struct segment_summary summary = start_small();
    const uint64_t block_bytes = BLOCK_HEADER_BYTES + 8 * 2000;
    uint64_t size;
    uint8_t *bytes = world_bytes(&world, SEGMENT_ROWS, 7, &size);
    bytes[SEGMENT_HEADER_BYTES + block_bytes + 100] ^= 1; /* in the second block */
    struct faults faults = {0};
    uint64_t entries;
    assert_status(rows_verify(&world.context, &summary, count_fault, NULL, &faults, &entries),
                  LORE_CORRUPTION);
    assert_int_equal(faults.count, 1);
    assert_int_equal(faults.offset, SEGMENT_HEADER_BYTES + block_bytes);
    assert_int_equal(entries, model_count);
    struct rows *rows = open_rows(&summary);
    for (size_t i = 0; i < 8; i++)
        assert_reads(rows, &model[i]);
    for (size_t i = 8; i < model_count; i++)
        assert_missing(rows, &model[i].ref, model[i].row);
    assert_non_null(strstr(lore_error_message(), "000000000007.rows"));
    rows_close(rows);
    stop_small(&summary);
}

/* ---- failing calls ---- */

static lore_status read_all(const struct segment_summary *summary) {
    struct rows *rows;
    TRY(rows_open(&world.context, summary, &rows));
    uint8_t vector[2000];
    lore_status status = LORE_OK;
    for (size_t i = 0; i < model_count && status == LORE_OK; i++) {
        struct rows_position position;
        size_t got;
        status = rows_read(rows, &model[i].ref, model[i].row, NULL, vector);
        if (status == LORE_OK) status = rows_scan(rows, i, 1, vector, &position, NULL, &got);
    }
    rows_close(rows);
    return status;
}

static void failed_io_is_undone(void **state) {
    (void)state;
    seed = 3;
    world_start(&world, 8 << 20, 1 << 20);
    model_start(100, 2000);
    struct segment_summary summary;
    lore_status status;
    uint64_t at = 0;
    do {
        world_fail_io(&world, FAULT_OPEN | FAULT_WRITE | FAULT_SYNC, at++);
        status = build(7, 0, model_count, &summary);
        if (status != LORE_OK) {
            assert_status(status, LORE_IO);
            assert_false(world_has(&world, SEGMENT_ROWS, 7));
        }
    } while (status != LORE_OK);
    assert_true(at > 4);
    at = 0;
    do {
        block_cache_forget(world.cache, 7);
        world_fail_io(&world, FAULT_OPEN | FAULT_READ | FAULT_LIST, at++);
        status = read_all(&summary);
        if (status != LORE_OK) assert_status(status, LORE_IO);
    } while (status != LORE_OK);
    assert_true(at > 15);
    for (at = 0; at < 40; at++) {
        world_fail_io(&world, FAULT_OPEN | FAULT_READ | FAULT_LIST, at);
        uint64_t entries;
        status = rows_verify(&world.context, &summary, NULL, NULL, NULL, &entries);
        assert_int_equal(status == LORE_OK, !fs_fault_fired(world.fault));
    }
    fs_fault_set_plan(world.fault, NULL);
    stop_small(&summary);
}

static void failed_allocations_are_undone(void **state) {
    (void)state;
    lore_status status;
    long at = 0;
    do {
        seed = 3;
        world_start(&world, 8 << 20, 1 << 20);
        model_start(30, 2000);
        world.memory.fail_at = at++;
        struct segment_summary summary;
        segment_summary_init(&summary, &world.memory.base);
        status = build(7, 0, model_count, &summary);
        if (status == LORE_OK) status = read_all(&summary);
        if (status == LORE_OK) {
            uint64_t entries;
            status = rows_verify(&world.context, &summary, NULL, NULL, NULL, &entries);
        }
        if (status != LORE_OK) assert_status(status, LORE_NO_MEMORY);
        world.memory.fail_at = -1;
        segment_summary_deinit(&summary);
        model_stop();
        world_stop(&world);
    } while (status != LORE_OK);
    assert_true(at > 20);
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
        status = rows_verify(&world.context, &summary, NULL, stop_soon, &left, &entries);
        assert_true(status == LORE_OK || status == LORE_CANCELLED);
    } while (status != LORE_OK);
    assert_true(steps > 3);
    stop_small(&summary);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_come_back),
        cmocka_unit_test(rewritten_files_answer_old_references),
        cmocka_unit_test(many_vectors_need_trees_of_checks),
        cmocka_unit_test(every_flipped_byte_is_reported),
        cmocka_unit_test(every_truncation_is_reported),
        cmocka_unit_test(swapped_blocks_and_files_are_reported),
        cmocka_unit_test(damage_is_located),
        cmocka_unit_test(failed_io_is_undone),
        cmocka_unit_test(failed_allocations_are_undone),
        cmocka_unit_test(verify_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
