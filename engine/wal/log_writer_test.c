/*
 * The writer on a disk that is full, failing, or losing power.
 */
#include <stdio.h>

#include "wal/log_testing.h"

static void a_closed_log_reads_back(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 1 << 16);
    struct log_writer *writer;
    assert_ok(log_test_create(&disk, &writer));
    for (uint32_t i = 0; i < 100; i++) {
        assert_ok(log_test_append(writer, i));
        assert_ok(log_writer_sync(writer));
        assert_ok(log_writer_promise(writer, 0));
        assert_int_equal(log_writer_promised(writer), log_writer_synced(writer));
    }
    assert_ok(log_writer_close(writer, 0));
    uint64_t length = log_writer_end(writer);
    log_writer_destroy(writer);
    uint32_t count;
    bool as_written;
    struct log_end end;
    assert_ok(log_test_read(&disk.env, &count, &as_written, &end));
    assert_int_equal(count, 100);
    assert_true(as_written && end.closed && end.ending == LOG_ENDS_CLEAN);
    assert_int_equal(end.file_bytes, length);
    assert_int_equal(end.end, length);
    log_disk_close(&disk);
}

static void an_idle_log_does_not_grow(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 4096);
    struct log_writer *writer;
    assert_ok(log_test_create(&disk, &writer));
    assert_ok(log_test_append(writer, 0));
    assert_ok(log_writer_promise(writer, 0)); /* nothing is synced */
    uint64_t end = log_writer_end(writer);
    for (int i = 0; i < 3; i++) {
        assert_ok(log_writer_sync(writer));
        assert_ok(log_writer_promise(writer, 0));
    }
    assert_int_equal(log_writer_end(writer), end + LOG_PROMISE_BYTES);
    assert_int_equal(log_writer_promised(writer), end);
    log_writer_destroy(writer);
    log_disk_close(&disk);
}

static void a_full_disk_is_not_final(void **state) {
    (void)state;
    for (uint32_t step = 0; step <= 4096; step += 4096) {
        struct log_disk disk;
        log_disk_open(&disk, step);
        fs_memory_set_capacity(disk.memory, 12000);
        struct log_writer *writer;
        assert_ok(log_test_create(&disk, &writer));
        uint32_t written = 0;
        lore_status status;
        while ((status = log_test_append(writer, written)) == LORE_OK)
            written++;
        assert_status(status, LORE_FULL);
        assert_ok(log_writer_failed(writer));
        uint64_t end = log_writer_end(writer);
        assert_status(log_test_append(writer, written), LORE_FULL);
        assert_int_equal(log_writer_end(writer), end);
        assert_true(end > 11000); /* the last bytes are used though a whole step does not fit */

        fs_memory_set_capacity(disk.memory, 0);
        assert_ok(log_test_append(writer, written++));
        assert_ok(log_writer_sync(writer));
        assert_ok(log_writer_close(writer, 0));
        log_writer_destroy(writer);
        uint32_t count;
        bool as_written;
        struct log_end found;
        assert_ok(log_test_read(&disk.env, &count, &as_written, &found));
        assert_int_equal(count, written);
        assert_true(as_written && found.closed);
        log_disk_close(&disk);
    }
}

static void any_other_failure_is_final(void **state) {
    (void)state;
    for (uint32_t calls = FAULT_WRITE; calls <= FAULT_SYNC; calls <<= 1) {
        struct log_disk disk;
        log_disk_open(&disk, 4096);
        struct log_writer *writer;
        assert_ok(log_test_create(&disk, &writer));
        struct fault_plan plan = {calls, 0, false, LORE_IO, NULL};
        if (calls == FAULT_SYNC) plan.status = LORE_FULL; /* no space at a sync is final too */
        fs_fault_set_plan(disk.fault, &plan);
        lore_status status = log_test_append(writer, 0);
        if (status == LORE_OK) status = log_writer_sync(writer);
        assert_status(status, LORE_IO);
        fs_fault_set_plan(disk.fault, NULL);
        assert_status(log_test_append(writer, 1), LORE_IO);
        assert_status(log_writer_sync(writer), LORE_IO);
        assert_status(log_writer_promise(writer, 0), LORE_IO);
        assert_status(log_writer_close(writer, 0), LORE_IO);
        assert_status(log_writer_failed(writer), LORE_IO);
        log_writer_destroy(writer);
        log_disk_close(&disk);
    }
}

/* Its last record is written by then: those who come later get the failure all the same. */
static void a_close_that_fails_at_its_end_is_final_too(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 1 << 16);
    struct log_writer *writer;
    assert_ok(log_test_create(&disk, &writer));
    assert_ok(log_test_append(writer, 0));
    struct fault_plan plan = {FAULT_TRUNCATE, 0, false, LORE_IO, NULL};
    fs_fault_set_plan(disk.fault, &plan);
    assert_int_equal(log_writer_close(writer, 0), LORE_IO);
    fs_fault_set_plan(disk.fault, NULL);
    assert_int_equal(log_test_append(writer, 1), LORE_IO);
    assert_int_equal(log_writer_close(writer, 0), LORE_IO);
    log_writer_destroy(writer);
    log_disk_close(&disk);
}

static void a_reopened_log_goes_on(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 4096);
    struct log_writer *writer;
    assert_ok(log_test_create(&disk, &writer));
    for (uint32_t i = 0; i < 10; i++)
        assert_ok(log_test_append(writer, i));
    assert_ok(log_writer_sync(writer));
    log_writer_destroy(writer);
    /* A torn tail: bytes past the end. */
    uint32_t count;
    bool as_written;
    struct log_end end;
    assert_ok(log_test_read(&disk.env, &count, &as_written, &end));
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(disk.memory, TEST_LOG, &size);
    assert_true(size > end.end + 40);
    memset(bytes + end.end, 0x77, 33);
    assert_ok(log_test_read(&disk.env, &count, &as_written, &end));
    assert_int_equal(end.ending, LOG_ENDS_TORN);
    assert_int_equal(end.tail_bytes, 33);
    assert_ok(log_tail_set_aside(&disk.env, &disk.allocator.base, TEST_LOG, end.end, end.tail_bytes,
                                 "d/tail", false));
    bytes = fs_memory_bytes(disk.memory, "d/tail", &size);
    assert_int_equal(size, 33);
    assert_int_equal(bytes[32], 0x77);

    struct log_reader *reader;
    assert_ok(log_reader_open(&disk.env, &disk.allocator.base, TEST_LOG, LOG_FAMILY_WAL,
                              TEST_RECORD_MAX, &reader));
    struct log_header header = *log_reader_header(reader);
    log_reader_close(reader);
    assert_ok(log_writer_reopen(&disk.config, TEST_LOG, &header, end.end, end.last_check, &writer));
    for (uint32_t i = 10; i < 20; i++)
        assert_ok(log_test_append(writer, i));
    assert_ok(log_writer_close(writer, 0));
    log_writer_destroy(writer);
    assert_ok(log_test_read(&disk.env, &count, &as_written, &end));
    assert_int_equal(count, 20);
    assert_true(as_written && end.closed && end.ending == LOG_ENDS_CLEAN);
    log_disk_close(&disk);
}

/* ---- every failing call, every failing allocation ---- */

/* Create, three groups, close. *acknowledged counts synced records. */
static lore_status whole_life(struct log_disk *disk, uint32_t *acknowledged) {
    struct log_writer *writer;
    *acknowledged = 0;
    TRY(log_test_create(disk, &writer));
    lore_status status = LORE_OK;
    for (uint32_t group = 0; group < 3 && status == LORE_OK; group++) {
        status = log_test_append(writer, group);
        if (status == LORE_OK) status = log_writer_sync(writer);
        if (status == LORE_OK) *acknowledged = group + 1;
        if (status == LORE_OK) status = log_writer_promise(writer, 0);
    }
    if (status == LORE_OK) status = log_writer_close(writer, 0);
    log_writer_destroy(writer);
    return status;
}

static void each_call_may_fail(void **state) {
    (void)state;
    for (uint64_t at = 0;; at++) {
        struct log_disk disk;
        log_disk_open(&disk, 1024);
        struct fault_plan plan = {FAULT_ALL, at, false, at % 2 ? LORE_IO : LORE_FULL, NULL};
        fs_fault_set_plan(disk.fault, &plan);
        uint32_t acknowledged, count;
        lore_status status = whole_life(&disk, &acknowledged);
        bool fired = fs_fault_fired(disk.fault);
        fs_fault_set_plan(disk.fault, NULL);
        bool as_written;
        struct log_end end;
        lore_status read = log_test_read(&disk.env, &count, &as_written, &end);
        if (acknowledged > 0) {
            assert_ok(read);
            assert_int_not_equal(end.ending, LOG_ENDS_DAMAGED);
            assert_true(as_written && count >= acknowledged && count <= 3);
        }
        log_disk_close(&disk);
        if (!fired) {
            assert_ok(status);
            assert_true(at > 10);
            break;
        }
    }
}

static void each_allocation_may_fail(void **state) {
    (void)state;
    for (long at = 0;; at++) {
        struct log_disk disk;
        log_disk_open(&disk, 1024);
        disk.allocator.fail_at = at;
        uint32_t acknowledged;
        lore_status status = whole_life(&disk, &acknowledged);
        log_disk_close(&disk);
        if (status == LORE_OK) {
            assert_true(at > 0);
            break;
        }
        assert_status(status, LORE_NO_MEMORY);
    }
}

/* ---- power cuts ---- */

struct cuts {
    struct log_disk *disk;
    uint32_t acknowledged;
    bool closed;
    uint64_t random, states;
};

static enum crash_fate any_fate(void *context, size_t index, uint64_t *tear) {
    struct cuts *cuts = context;
    (void)index;
    *tear = test_random(&cuts->random);
    return (enum crash_fate)(test_random(&cuts->random) & 3);
}

/* Cut the power now, four times in different ways, and read what is left. */
static void cut(void *context, uint64_t number) {
    struct cuts *cuts = context;
    (void)number;
    for (int i = 0; i < 4; i++) {
        struct fs_memory *after;
        assert_ok(fs_memory_crash_clone(cuts->disk->memory, any_fate, cuts, &after));
        lore_env env = {env_posix()->allocator, fs_memory_fs(after), env_posix()->sys};
        uint32_t count;
        bool as_written;
        struct log_end end;
        lore_status status = log_test_read(&env, &count, &as_written, &end);
        if (cuts->acknowledged > 0 || status == LORE_OK) {
            assert_ok(status);
            assert_true(as_written);
            assert_int_not_equal(end.ending, LOG_ENDS_DAMAGED);
            assert_in_range(count, cuts->acknowledged, 20);
            if (cuts->closed) assert_true(end.closed);
        }
        fs_memory_destroy(after);
        cuts->states++;
    }
}

static void power_cuts_lose_nothing_acknowledged(void **state) {
    (void)state;
    const uint64_t seed = 20250101;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct log_disk disk;
    log_disk_open(&disk, 2048);
    struct cuts cuts = {.disk = &disk, .random = seed};
    fs_fault_on_change(disk.fault, cut, &cuts);
    struct log_writer *writer;
    assert_ok(log_test_create(&disk, &writer));
    for (uint32_t i = 0; i < 20; i++) {
        assert_ok(log_test_append(writer, i));
        assert_ok(log_writer_sync(writer));
        cuts.acknowledged = i + 1;
        if (i % 3 != 0) assert_ok(log_writer_promise(writer, 0));
    }
    assert_ok(log_writer_close(writer, 0));
    cuts.closed = true;
    cut(&cuts, 0);
    log_writer_destroy(writer);
    assert_true(cuts.states > 200);
    log_disk_close(&disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_log_reads_back),
        cmocka_unit_test(an_idle_log_does_not_grow),
        cmocka_unit_test(a_full_disk_is_not_final),
        cmocka_unit_test(any_other_failure_is_final),
        cmocka_unit_test(a_close_that_fails_at_its_end_is_final_too),
        cmocka_unit_test(a_reopened_log_goes_on),
        cmocka_unit_test(each_call_may_fail),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(power_cuts_lose_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
