/*
 * How a log ends: whole, torn, damaged; every byte of a small closed log flipped in turn.
 */
#include <stdio.h>

#include "wal/log_testing.h"

/* `records` records, each synced; every one promised if `promised`; closed if `closed`. */
static uint64_t make_log(struct log_disk *disk, uint32_t records, bool promised, bool closed) {
    struct log_writer *writer;
    assert_ok(log_test_create(disk, &writer));
    for (uint32_t i = 0; i < records; i++) {
        assert_ok(log_test_append(writer, i));
        assert_ok(log_writer_sync(writer));
        if (promised) assert_ok(log_writer_promise(writer, 0));
    }
    if (closed) assert_ok(log_writer_close(writer, 0));
    uint64_t end = log_writer_end(writer);
    log_writer_destroy(writer);
    return end;
}

static void each_flip_of_a_closed_log_is_reported(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 4096);
    uint64_t end = make_log(&disk, 6, false, true);
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(disk.memory, TEST_LOG, &size);
    assert_int_equal(size, end);
    uint64_t damaged = 0, torn = 0, refused = 0;
    for (uint64_t i = 0; i < size; i++) {
        const uint8_t flips[3] = {0x01, 0x80, 0xff};
        for (size_t f = 0; f < 3; f++) {
            bytes[i] ^= flips[f];
            uint32_t count;
            bool as_written;
            struct log_end found;
            lore_status status = log_test_read(&disk.env, &count, &as_written, &found);
            assert_true(as_written);
            if (status != LORE_OK) {
                assert_status(status, LORE_CORRUPTION);
                refused++;
            } else if (found.ending == LOG_ENDS_DAMAGED) {
                damaged++;
            } else {
                /* The close record itself: everything before it is read. */
                assert_int_equal(found.ending, LOG_ENDS_TORN);
                assert_true(i >= size - LOG_PROMISE_BYTES);
                assert_int_equal(count, 6);
                torn++;
            }
            bytes[i] ^= flips[f];
        }
    }
    assert_int_equal(refused, 3 * LOG_HEADER_BYTES);
    assert_int_equal(torn, 3 * LOG_PROMISE_BYTES);
    assert_true(damaged > 1000);
    log_disk_close(&disk);
}

static void a_flip_in_the_zeros_ahead_loses_nothing(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 8192);
    uint64_t end = make_log(&disk, 4, true, false);
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(disk.memory, TEST_LOG, &size);
    assert_true(size > end);
    for (uint64_t i = end; i < size; i += 13) {
        bytes[i] ^= 0x20;
        uint32_t count;
        bool as_written;
        struct log_end found;
        assert_ok(log_test_read(&disk.env, &count, &as_written, &found));
        assert_true(as_written && count == 4);
        assert_int_equal(found.ending, LOG_ENDS_TORN);
        assert_int_equal(found.tail_bytes, i - end + 1);
        bytes[i] ^= 0x20;
    }
    log_disk_close(&disk);
}

static void promises_tell_damage_from_a_torn_tail(void **state) {
    (void)state;
    for (int promised = 0; promised < 2; promised++) {
        struct log_disk disk;
        log_disk_open(&disk, 4096);
        make_log(&disk, 3, promised != 0, false);
        uint64_t size;
        uint8_t *bytes = fs_memory_bytes(disk.memory, TEST_LOG, &size);
        bytes[LOG_HEADER_BYTES + 30] ^= 1; /* in the first record's payload or padding */
        uint32_t count;
        bool as_written;
        struct log_end found;
        assert_ok(log_test_read(&disk.env, &count, &as_written, &found));
        assert_int_equal(count, 0);
        assert_int_equal(found.end, LOG_HEADER_BYTES);
        assert_int_equal(found.ending, promised ? LOG_ENDS_DAMAGED : LOG_ENDS_TORN);
        log_disk_close(&disk);
    }
}

/* A sector of zeros below a promise is damage too, and a promise is found far beyond. */
static void zeros_below_a_promise_are_damage(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 4096);
    struct log_writer *writer;
    assert_ok(log_test_create(&disk, &writer));
    for (uint32_t i = 0; i < 600; i++)
        assert_ok(log_test_append(writer, i));
    assert_ok(log_writer_sync(writer));
    assert_ok(log_writer_promise(writer, 0));
    assert_true(log_writer_end(writer) > 200000);
    log_writer_destroy(writer);
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(disk.memory, TEST_LOG, &size);
    memset(bytes + 512, 0, (size_t)size - 512 - 12 * 1024);
    uint32_t count;
    bool as_written;
    struct log_end found;
    assert_ok(log_test_read(&disk.env, &count, &as_written, &found));
    assert_int_equal(found.ending, LOG_ENDS_DAMAGED);
    assert_true(as_written && count < 10);
    log_disk_close(&disk);
}

static void a_cut_file_is_no_longer_closed(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 0);
    uint64_t end = make_log(&disk, 5, true, true);
    struct file *file;
    for (uint64_t size = end - 1;; size -= 7) {
        assert_ok(fs_open(&disk.env, TEST_LOG, FILE_WRITE, false, &file));
        assert_ok(file_truncate(file, size));
        file_close(file);
        uint32_t count;
        bool as_written;
        struct log_end found;
        lore_status status = log_test_read(&disk.env, &count, &as_written, &found);
        if (size < LOG_HEADER_BYTES) {
            assert_status(status, LORE_CORRUPTION);
            break;
        }
        assert_ok(status);
        assert_true(as_written && !found.closed);
        assert_int_equal(found.file_bytes, size);
    }
    log_disk_close(&disk);
}

static void a_reader_follows_a_live_writer(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 1024);
    struct log_writer *writer;
    struct log_reader *reader;
    assert_ok(log_test_create(&disk, &writer));
    assert_ok(log_reader_open(&disk.env, &disk.allocator.base, TEST_LOG, LOG_FAMILY_WAL,
                              TEST_RECORD_MAX, &reader));
    for (uint32_t i = 0; i < 50; i++) {
        struct log_record record;
        bool found;
        assert_ok(log_reader_next(reader, &record, &found));
        assert_false(found);
        assert_ok(log_test_append(writer, i));
        struct log_end end; /* the record came between two looks */
        assert_ok(log_reader_end(reader, &end));
        assert_int_equal(end.ending, LOG_ENDS_CLEAN);
        assert_ok(log_reader_next(reader, &record, &found));
        assert_true(found);
        assert_int_equal(record.time_us, i);
    }
    log_reader_close(reader);
    log_writer_destroy(writer);
    log_disk_close(&disk);
}

static void a_record_over_the_limit_is_never_a_tail(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 0);
    struct log_writer *writer;
    assert_ok(log_test_create(&disk, &writer));
    static uint8_t large[TEST_RECORD_MAX + 1];
    assert_ok(log_writer_add(writer, LOG_BATCH, 0, slice(large, sizeof large - 1), NULL));
    assert_ok(log_writer_add(writer, LOG_BATCH, 1, slice(large, sizeof large), NULL));
    assert_ok(log_writer_write(writer));
    log_writer_destroy(writer);
    uint32_t count;
    bool as_written;
    struct log_end found;
    assert_status(log_test_read(&disk.env, &count, &as_written, &found), LORE_CORRUPTION);
    assert_int_equal(count, 1);
    log_disk_close(&disk);
}

static void foreign_kinds_are_unsupported(void **state) {
    (void)state;
    struct log_disk disk;
    log_disk_open(&disk, 0);
    struct log_writer *writer;
    assert_ok(log_test_create(&disk, &writer));
    assert_ok(log_writer_add(writer, LOG_EDIT, 0, slice("x", 1), NULL));
    assert_ok(log_writer_write(writer));
    log_writer_destroy(writer);
    uint32_t count;
    bool as_written;
    struct log_end found;
    assert_status(log_test_read(&disk.env, &count, &as_written, &found), LORE_UNSUPPORTED);
    log_disk_close(&disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_flip_of_a_closed_log_is_reported),
        cmocka_unit_test(a_flip_in_the_zeros_ahead_loses_nothing),
        cmocka_unit_test(promises_tell_damage_from_a_torn_tail),
        cmocka_unit_test(zeros_below_a_promise_are_damage),
        cmocka_unit_test(a_cut_file_is_no_longer_closed),
        cmocka_unit_test(a_reader_follows_a_live_writer),
        cmocka_unit_test(a_record_over_the_limit_is_never_a_tail),
        cmocka_unit_test(foreign_kinds_are_unsupported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
