/*
 * log_testing.h - what the tests of the log's reader and writer share: a disk in memory with
 * faults, and logs of numbered records. For *_test.c only.
 */
#ifndef LORE_WAL_LOG_TESTING_H
#define LORE_WAL_LOG_TESTING_H

#include "base/testing.h"
#include "vfs/fs_fault.h"
#include "wal/log_reader.h"
#include "wal/log_writer.h"

#define TEST_LOG        "d/log"
#define TEST_RECORD_MAX 65536u

struct log_disk {
    struct fs_memory *memory;
    struct fs_fault *fault;
    struct test_allocator allocator;
    lore_env env;       /* through the faults */
    lore_env plain_env; /* beneath them */
    struct log_writer_config config;
};

static inline void log_disk_open(struct log_disk *disk, uint32_t preallocate_bytes) {
    const struct allocator *host = env_posix()->allocator;
    assert_ok(fs_memory_create(host, 0, &disk->memory));
    assert_ok(fs_fault_create(host, fs_memory_fs(disk->memory), &disk->fault));
    fs_fault_set_memory(disk->fault, disk->memory);
    test_allocator_init(&disk->allocator);
    disk->env = (lore_env){host, fs_fault_fs(disk->fault), env_posix()->sys};
    disk->plain_env = (lore_env){host, fs_memory_fs(disk->memory), env_posix()->sys};
    disk->config =
        (struct log_writer_config){&disk->env, &disk->allocator.base, false, preallocate_bytes};
    assert_ok(disk->env.fs->ops->make_dir(disk->env.fs, "d", false));
    assert_ok(disk->env.fs->ops->sync_dir(disk->env.fs, "."));
}

static inline void log_disk_close(struct log_disk *disk) {
    fs_fault_destroy(disk->fault);
    fs_memory_destroy(disk->memory);
    assert_int_equal(disk->allocator.blocks, 0);
}

/* Record `number` is its number, repeated; its length differs from its neighbours'. */
static inline lore_slice log_test_payload(uint32_t number, uint8_t out[1024]) {
    size_t size = 4 + (number * 37u) % 900u;
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(number >> (8 * (i % 4)));
    return slice(out, size);
}

static inline lore_status log_test_append(struct log_writer *writer, uint32_t number) {
    uint8_t payload[1024];
    TRY(log_writer_add(writer, LOG_BATCH, number, log_test_payload(number, payload), NULL));
    return log_writer_write(writer);
}

static inline lore_status log_test_create(struct log_disk *disk, struct log_writer **writer) {
    struct log_header header = {.family = LOG_FAMILY_WAL, .number = 1, .first_sequence = 1};
    return log_writer_create(&disk->config, TEST_LOG, &header, writer);
}

/* Count the batches, which must be 0, 1, 2...; false if any is not. Any status. */
static inline lore_status log_test_read(const lore_env *env, uint32_t *count, bool *as_written,
                                        struct log_end *end) {
    struct log_reader *reader;
    *count = 0;
    *as_written = true;
    memset(end, 0, sizeof *end);
    TRY(log_reader_open(env, env->allocator, TEST_LOG, LOG_FAMILY_WAL, TEST_RECORD_MAX, &reader));
    lore_status status;
    for (;;) {
        struct log_record record;
        bool found;
        status = log_reader_next(reader, &record, &found);
        if (status != LORE_OK || !found) break;
        if (record.kind != LOG_BATCH) continue;
        uint8_t expected[1024];
        if (!slice_equal(record.payload, log_test_payload(*count, expected)) ||
            record.time_us != (int64_t)*count) {
            *as_written = false;
        }
        ++*count;
    }
    if (status == LORE_OK) status = log_reader_end(reader, end);
    log_reader_close(reader);
    return status;
}

#endif
