/*
 * schema_test.c - every record comes back as it went in; every cut, added or flipped byte is either
 * refused or gives a record that encodes to the same bytes; every allocation may fail.
 */
#include "catalog/schema.h"

#include <stdio.h>

#include "base/testing.h"

/* One way to treat all kinds of record: decode and, if that works, encode again. */
typedef lore_status (*recode_fn)(lore_slice in, const struct allocator *allocator,
                                 struct bytes *out);

#define RECODE(name)                                                                               \
    static lore_status recode_##name(lore_slice in, const struct allocator *allocator,             \
                                     struct bytes *out) {                                          \
        struct name record;                                                                        \
        lore_status status = name##_decode(in, allocator, &record);                                \
        if (status != LORE_OK) return status;                                                      \
        status = name##_encode(&record, out);                                                      \
        name##_deinit(&record);                                                                    \
        return status;                                                                             \
    }
RECODE(facts_record)
RECODE(counters_record)
RECODE(log_record_state)
RECODE(log_head_record)
RECODE(segment_record)
RECODE(job_record)
RECODE(named_snapshot_record)
RECODE(space_record)
RECODE(quarantine_record)

static bool is_refusal(lore_status status) {
    return status == LORE_CORRUPTION || status == LORE_UNSUPPORTED;
}

/* `encoded` is a sound record. */
static void abuse(recode_fn recode, const struct bytes *encoded) {
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes out = bytes_empty(&a.base);
    assert_ok(recode(bytes_slice(encoded), &a.base, &out));
    assert_true(slice_equal(bytes_slice(&out), bytes_slice(encoded)));

    for (size_t size = 0; size < encoded->size; size++)
        assert_true(is_refusal(recode(slice(encoded->data, size), &a.base, &out)));
    uint8_t *copy = malloc(encoded->size + 1);
    assert_non_null(copy);
    memcpy(copy, encoded->data, encoded->size);
    copy[encoded->size] = 0;
    assert_true(is_refusal(recode(slice(copy, encoded->size + 1), &a.base, &out)));
    for (size_t at = 0; at < encoded->size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            copy[at] ^= (uint8_t)(1u << bit);
            lore_status status = recode(slice(copy, encoded->size), &a.base, &out);
            if (status == LORE_OK)
                assert_true(slice_equal(bytes_slice(&out), slice(copy, encoded->size)));
            else
                assert_true(is_refusal(status));
            copy[at] ^= (uint8_t)(1u << bit);
        }
    }
    free(copy);
    bytes_free(&out);
    for (long at = 0;; at++) {
        a.fail_at = at;
        lore_status status = recode(bytes_slice(encoded), &a.base, &out);
        a.fail_at = -1;
        bytes_free(&out);
        assert_int_equal(a.blocks, 0);
        if (status == LORE_OK) break;
        assert_int_equal(status, LORE_NO_MEMORY);
    }
}

static struct bytes text(const struct allocator *allocator, const char *string) {
    struct bytes bytes = bytes_empty(allocator);
    assert_ok(bytes_set(&bytes, slice(string, strlen(string))));
    return bytes;
}

static void test_plain_records(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes out = bytes_empty(&a.base);
    struct facts_record facts = {.format_version = 1,
                                 .generation = 3,
                                 .created_at_us = -5,
                                 .parent_sequence = 77,
                                 .sealed = true,
                                 .row_watermark = 9,
                                 .last_sequence = UINT64_MAX,
                                 .last_commit_us = 123456};
    facts.parent_lineage[15] = 0xfe;
    assert_ok(facts_record_encode(&facts, &out));
    abuse(recode_facts_record, &out);
    struct facts_record back;
    assert_ok(facts_record_decode(bytes_slice(&out), &a.base, &back));
    assert_int_equal(back.created_at_us, -5);
    assert_true(back.sealed);
    assert_int_equal(back.parent_lineage[15], 0xfe);
    assert_int_equal(back.last_sequence, UINT64_MAX);

    struct counters_record counters = {1, 2, 3, 4};
    assert_ok(counters_record_encode(&counters, &out));
    abuse(recode_counters_record, &out);
    struct log_head_record head = {4, true, 664, 36}, head_back;
    assert_ok(log_head_record_encode(&head, &out));
    abuse(recode_log_head_record, &out);
    assert_ok(log_head_record_decode(bytes_slice(&out), &a.base, &head_back));
    assert_true(head_back.closed && head_back.number == 4 && head_back.length == 664 &&
                head_back.last_sequence == 36);
    struct log_record_state log = {7, 8, 9, 10};
    assert_ok(log_record_state_encode(&log, &out));
    abuse(recode_log_record_state, &out);
    struct named_snapshot_record snapshot = {1, 2, 3, 4};
    assert_ok(named_snapshot_record_encode(&snapshot, &out));
    abuse(recode_named_snapshot_record, &out);
    bytes_free(&out);
    assert_int_equal(a.blocks, 0);
}

static void test_segments(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes out = bytes_empty(&a.base);
    struct segment_record record = {.state = SEGMENT_LIVE,
                                    .level = 2,
                                    .run = 5,
                                    .run_order = 6,
                                    .garbage_values = 1,
                                    .garbage_bytes = 2};
    record.cut = text(&a.base, "a cut");
    segment_summary_init(&record.summary, &a.base);
    record.summary.kind = SEGMENT_TABLE;
    record.summary.id = 12;
    record.summary.entries = 5;
    record.summary.first_sequence = 1;
    record.summary.last_sequence = 9;
    record.summary.kinds_present = 1u << ENTRY_PUT;
    record.summary.bytes = 4096;
    assert_ok(bytes_set(&record.summary.first_key, slice("aaaaa", 5)));
    assert_ok(bytes_set(&record.summary.last_key, slice("zzzzz", 5)));
    assert_ok(segment_record_encode(&record, &out));
    abuse(recode_segment_record, &out);
    struct segment_record back;
    assert_ok(segment_record_decode(bytes_slice(&out), &a.base, &back));
    assert_true(slice_equal(bytes_slice(&back.cut), slice("a cut", 5)));
    assert_int_equal(back.summary.id, 12);
    assert_int_equal(back.run_order, 6);
    segment_record_deinit(&back);
    segment_record_deinit(&record);
    bytes_free(&out);
    assert_int_equal(a.blocks, 0);
}

/* A summary in the form of a footer was taken, and the file's length and digest with it as zeros.
 */
static void test_segment_without_a_length(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes out = bytes_empty(&a.base), summary = bytes_empty(&a.base);
    struct segment_record record = {.state = SEGMENT_LIVE}, back;
    record.cut = bytes_empty(&a.base);
    segment_summary_init(&record.summary, &a.base);
    record.summary.kind = SEGMENT_TABLE;
    record.summary.id = 12;
    record.summary.bytes = 4096;
    assert_ok(segment_record_encode(&record, &out));
    assert_ok(segment_summary_encode(&record.summary, true, &summary));
    assert_ok(segment_record_decode(bytes_slice(&out), &a.base, &back));
    segment_record_deinit(&back);
    memcpy(out.data + out.size - summary.size, summary.data, summary.size);
    assert_int_equal(segment_record_decode(bytes_slice(&out), &a.base, &back), LORE_CORRUPTION);
    segment_record_deinit(&record);
    bytes_free(&summary);
    bytes_free(&out);
    assert_int_equal(a.blocks, 0);
}

static void test_records_with_strings(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes out = bytes_empty(&a.base);
    struct job_record job = {.input_level = 1,
                             .output_level = 2,
                             .output_run = 3,
                             .output_run_order = 4,
                             .inputs = {9, 8, 7},
                             .inputs_count = 3,
                             .drop_deletes = true};
    job.done = text(&a.base, "done so far");
    assert_ok(job_record_encode(&job, &out));
    abuse(recode_job_record, &out);
    job_record_deinit(&job);

    struct space_record space = {
        .number = 1, .dimensions = 384, .element = LORE_ELEMENT_F16, .metric = LORE_METRIC_COSINE};
    space.model = text(&a.base, "a-model");
    assert_ok(space_record_encode(&space, &out));
    abuse(recode_space_record, &out);
    space_record_deinit(&space);

    struct quarantine_record quarantine = {
        .kind = QUARANTINE_LOG_TAIL, .segment_id = 1, .offset = 2, .bytes = 3, .since_us = 4};
    quarantine.file = text(&a.base, "quarantine/log-1");
    quarantine.reason = text(&a.base, "torn");
    assert_ok(quarantine_record_encode(&quarantine, &out));
    abuse(recode_quarantine_record, &out);
    quarantine_record_deinit(&quarantine);
    bytes_free(&out);
    assert_int_equal(a.blocks, 0);
}

static void test_lists_are_bounded(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct bytes out = bytes_empty(&a.base);
    struct job_record job = {.done = bytes_empty(&a.base)}, back;
    assert_ok(job_record_encode(&job, &out));
    put_u32(out.data + 1 + 2 + 16, JOB_RUNS_MAX + 1);
    assert_ok(bytes_append_zeros(&out, 8 * (JOB_RUNS_MAX + 1)));
    assert_status(job_record_decode(bytes_slice(&out), &a.base, &back), LORE_CORRUPTION);
    put_u32(out.data + 1 + 2 + 16, UINT32_MAX);
    assert_status(job_record_decode(bytes_slice(&out), &a.base, &back), LORE_CORRUPTION);
    out.data[0] = 2;
    assert_status(job_record_decode(bytes_slice(&out), &a.base, &back), LORE_UNSUPPORTED);
    bytes_free(&out);
    assert_int_equal(a.blocks, 0);
}

static void test_keys(void **state) {
    (void)state;
    struct catalog_key key = schema_key('L');
    assert_true(slice_equal(catalog_key_slice(&key), slice("L", 1)));
    key = schema_key_number('S', 0x0102);
    assert_true(slice_equal(catalog_key_slice(&key), slice("S\0\0\0\0\0\0\1\2", 9)));
    struct catalog_key bigger = schema_key_number('S', 0x010000);
    assert_true(slice_compare(catalog_key_slice(&key), catalog_key_slice(&bigger)) < 0);
    char name[255];
    memset(name, 'n', sizeof name);
    key = schema_key_name('N', slice(name, sizeof name));
    assert_int_equal(key.size, 256);
    assert_int_equal(key.bytes[255], 'n');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_records),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_segment_without_a_length),
        cmocka_unit_test(test_records_with_strings),
        cmocka_unit_test(test_lists_are_bounded),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
