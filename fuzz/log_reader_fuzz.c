/*
 * log_reader_fuzz.c - any bytes as a log file, of either family: read to the end, the end
 * classified, batches walked. In a build with LORE_FUZZ_SKIP_CHECKS mutated records are read as if
 * their checks held.
 */
#include "fuzz.h"
#include "fuzz_fs.h"
#include "vfs/fs_memory.h"
#include "wal/batch.h"
#include "wal/log_reader.h"
#include "wal/log_writer.h"

static void walk_batch(lore_slice payload) {
    struct batch_view view;
    if (batch_view_open(payload, &view) != LORE_OK) return;
    struct entry entry;
    bool found = true;
    while (found && batch_view_next(&view, &entry, &found) == LORE_OK) {
    }
}

static void read_log(struct fuzz_fs *fs, enum log_family family) {
    struct log_reader *reader;
    if (log_reader_open(&fs->env, &fs->allocator, "log", family, 1 << 20, &reader) != LORE_OK)
        return;
    uint64_t end_before = LOG_HEADER_BYTES;
    lore_status status;
    for (;;) {
        struct log_record record;
        bool found;
        status = log_reader_next(reader, &record, &found);
        if (status != LORE_OK || !found) break;
        fuzz_require(record.offset == end_before);
        end_before = record.offset + log_record_bytes(record.payload.size);
        fuzz_require(end_before <= fs->size);
        if (record.kind == LOG_BATCH) walk_batch(record.payload);
    }
    struct log_end end;
    if (status == LORE_OK && log_reader_end(reader, &end) == LORE_OK) {
        fuzz_require(end.end == end_before && end.file_bytes == fs->size);
        fuzz_require(end.tail_bytes <= fs->size - end.end);
        fuzz_require(end.ending != LOG_ENDS_TORN || end.tail_bytes > 0);
        /* The same again: nothing has changed. */
        struct log_record record;
        bool found;
        fuzz_require(log_reader_next(reader, &record, &found) == LORE_OK && !found);
    }
    log_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_fs fs;
    fuzz_fs_init(&fs, data, size);
    read_log(&fs, LOG_FAMILY_WAL);
    read_log(&fs, LOG_FAMILY_EDITS);
    return 0;
}

/* Two groups and their promises; open, or closed. */
bool fuzz_seed(unsigned number, struct bytes *seed) {
    if (number >= 2) return false;
    const struct allocator *host = env_posix()->allocator;
    struct fs_memory *disk;
    fuzz_must(fs_memory_create(host, 0, &disk));
    lore_env env = {host, fs_memory_fs(disk), env_posix()->sys};
    struct log_writer_config config = {&env, host, false, 1024};
    struct log_header header = {.family = LOG_FAMILY_WAL, .number = 1, .first_sequence = 1};
    struct log_writer *writer;
    fuzz_must(log_writer_create(&config, "log", &header, &writer));
    struct batch batch;
    batch_init(&batch, host);
    fuzz_must(batch_put(&batch, slice("\0\0\0\1key", 7), slice("a value", 7)));
    for (uint64_t i = 1; i <= 2; i++) {
        batch_seal(&batch, i, i);
        fuzz_must(log_writer_add(writer, LOG_BATCH, 1, bytes_slice(&batch.payload), NULL));
        fuzz_must(log_writer_write(writer));
        fuzz_must(log_writer_sync(writer));
        fuzz_must(log_writer_promise(writer, 1));
        batch_unseal(&batch);
    }
    if (number == 1) fuzz_must(log_writer_close(writer, 2));
    log_writer_destroy(writer);
    batch_deinit(&batch);
    fuzz_must(fs_read_file(&env, "log", 1 << 20, seed));
    fs_memory_destroy(disk);
    return true;
}
