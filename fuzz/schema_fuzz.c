/*
 * schema_fuzz.c - any bytes as a record of the catalog, of every kind: refused as corruption or as
 * of a later version, or decoded to a record that encodes to the same bytes again.
 */
#include "fuzz.h"
#include "catalog/schema.h"
#include "fuzz_fs.h"

static void refused(lore_status status) {
    fuzz_require(status == LORE_CORRUPTION || status == LORE_UNSUPPORTED);
}

#define TRY_RECORD(name)                                                                           \
    static void try_##name(lore_slice in, const struct allocator *allocator) {                     \
        struct name record;                                                                        \
        lore_status status = name##_decode(in, allocator, &record);                                \
        if (status != LORE_OK) {                                                                   \
            refused(status);                                                                       \
            return;                                                                                \
        }                                                                                          \
        struct bytes again = bytes_empty(allocator);                                               \
        fuzz_must(name##_encode(&record, &again));                                                 \
        fuzz_require(slice_equal(bytes_slice(&again), in));                                        \
        bytes_free(&again);                                                                        \
        name##_deinit(&record);                                                                    \
    }
TRY_RECORD(facts_record)
TRY_RECORD(counters_record)
TRY_RECORD(log_record_state)
TRY_RECORD(log_head_record)
TRY_RECORD(segment_record)
TRY_RECORD(job_record)
TRY_RECORD(named_snapshot_record)
TRY_RECORD(space_record)
TRY_RECORD(quarantine_record)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_fs fs; /* for its allocator */
    fuzz_fs_init(&fs, data, size);
    lore_slice in = slice(data, size);
    try_facts_record(in, &fs.allocator);
    try_counters_record(in, &fs.allocator);
    try_log_record_state(in, &fs.allocator);
    try_log_head_record(in, &fs.allocator);
    try_segment_record(in, &fs.allocator);
    try_job_record(in, &fs.allocator);
    try_named_snapshot_record(in, &fs.allocator);
    try_space_record(in, &fs.allocator);
    try_quarantine_record(in, &fs.allocator);
    return 0;
}

/* ---- seeds ---- */

static void segment_seed(bool is_table, struct bytes *seed) {
    static struct segment_group groups[2] = {{3, 10}, {7, 2}};
    static uint64_t inputs[2] = {4, 5};
    struct segment_record record;
    memset(&record, 0, sizeof record);
    record.state = is_table ? SEGMENT_LIVE : SEGMENT_DROPPED;
    record.cut = bytes_empty(seed->allocator);
    segment_summary_init(&record.summary, seed->allocator);
    struct segment_summary *summary = &record.summary;
    summary->kind = is_table ? SEGMENT_TABLE : SEGMENT_ROWS;
    summary->id = 12;
    summary->bytes = 4096;
    summary->entries = 12;
    summary->first_sequence = 1;
    summary->last_sequence = 20;
    if (is_table) {
        record.level = 1;
        record.run = record.run_order = 2;
        fuzz_must(bytes_set(&record.cut, slice("\0\0\0\1cut", 7)));
        summary->kinds_present = 2;
        fuzz_must(bytes_set(&summary->first_key, slice("\0\0\0\1a", 5)));
        fuzz_must(bytes_set(&summary->last_key, slice("\0\0\0\1z", 5)));
        summary->inputs = inputs;
        summary->inputs_count = 2;
    } else {
        record.garbage_values = 1;
        summary->value_bytes = 480;
        summary->groups = groups;
        summary->groups_count = 2;
        summary->space = 1;
        summary->stride_bytes = 40;
    }
    fuzz_must(segment_record_encode(&record, seed));
    summary->groups = NULL; /* not its own */
    summary->inputs = NULL;
    summary->groups_count = summary->inputs_count = 0;
    segment_record_deinit(&record);
}

bool fuzz_seed(unsigned number, struct bytes *seed) {
    struct facts_record facts = {1, 2, 3, {4}, 5, true, 6, 7, 8};
    struct counters_record counters = {1, 2, 3, 4};
    struct log_record_state log = {1, 2, 3, 4};
    struct log_head_record head = {1, true, 300, 9};
    struct named_snapshot_record snapshot = {1, 2, 3, 4};
    struct job_record job = {1, 2, 3, 4, {5, 6}, 2, true, bytes_empty(seed->allocator)};
    struct space_record space = {1, 512, LORE_ELEMENT_F16, LORE_METRIC_DOT,
                                 bytes_empty(seed->allocator)};
    struct quarantine_record quarantine = {.kind = QUARANTINE_LOG_TAIL, .segment_id = 3};
    quarantine.file = quarantine.reason = bytes_empty(seed->allocator);
    switch (number) {
    case 0: fuzz_must(facts_record_encode(&facts, seed)); return true;
    case 1: fuzz_must(counters_record_encode(&counters, seed)); return true;
    case 2: fuzz_must(log_record_state_encode(&log, seed)); return true;
    case 3: fuzz_must(log_head_record_encode(&head, seed)); return true;
    case 4: fuzz_must(named_snapshot_record_encode(&snapshot, seed)); return true;
    case 5: fuzz_must(job_record_encode(&job, seed)); return true;
    case 6: fuzz_must(space_record_encode(&space, seed)); return true;
    case 7: fuzz_must(quarantine_record_encode(&quarantine, seed)); return true;
    case 8: segment_seed(true, seed); return true;
    case 9: segment_seed(false, seed); return true;
    default: return false;
    }
}
