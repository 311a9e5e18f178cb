/*
 * log_dump.c - lore_log_dump: the records of a store's logs, without opening the store.
 */
#include <inttypes.h>

#include "store/store_internal.h"

#include "base/poison.h"

struct log_numbers {
    uint64_t lowest, highest;
};

static lore_status note_number(void *context, const struct dir_entry *entry) {
    struct log_numbers *numbers = context;
    uint64_t number;
    if (!layout_log_parse(entry->name, &number)) return LORE_OK;
    if (numbers->lowest == 0 || number < numbers->lowest) numbers->lowest = number;
    if (number > numbers->highest) numbers->highest = number;
    return LORE_OK;
}

static const char *kind_name(enum log_record_kind kind) {
    switch (kind) {
    case LOG_BATCH: return "batch";
    case LOG_PROMISE: return "promise";
    case LOG_CLOSE: return "close";
    default: return "unknown";
    }
}

static lore_status dump_file(const lore_env *env, const char *path, lore_log_record_fn callback,
                             void *context, bool *stopped) {
    struct log_reader *reader;
    bool unborn;
    TRY(store_log_is_unborn(env, path, &unborn));
    if (unborn) return LORE_OK;
    TRY(log_reader_open(env, env->allocator, path, LOG_FAMILY_WAL, LOG_RECORD_BYTES_MAX, &reader));
    lore_status status = LORE_OK;
    struct log_end end = {0};
    while (!*stopped) {
        struct log_record record;
        bool found;
        status = log_reader_next(reader, &record, &found);
        if (status != LORE_OK || !found) break;
        lore_log_record shown = {.file = path,
                                 .offset = record.offset,
                                 .length = (uint32_t)record.payload.size,
                                 .kind = kind_name(record.kind),
                                 .time_us = record.time_us,
                                 .promised = record.promised};
        struct batch_view view;
        if (record.kind == LOG_BATCH) {
            status = batch_view_open(record.payload, &view);
            if (status != LORE_OK) break;
            shown.first_sequence = view.first_sequence;
            shown.entries = view.entries;
        }
        *stopped = !callback(context, &shown);
    }
    if (status == LORE_OK && !*stopped) status = log_reader_end(reader, &end);
    log_reader_close(reader);
    if (status == LORE_OK && end.ending == LOG_ENDS_DAMAGED)
        status = fail(LORE_CORRUPTION,
                      "%s: offset %" PRIu64 ": damaged below the last promise at %" PRIu64, path,
                      end.end, end.promised);
    return status;
}

lore_status lore_log_dump(const char *path, const lore_options *options,
                          lore_log_record_fn callback, void *context) {
    const lore_env *env = options != NULL && options->env != NULL ? options->env : env_posix();
    struct current current;
    TRY(current_read(env, path, &current));
    char dir[PATH_BYTES_MAX], file[PATH_BYTES_MAX];
    TRY(layout_generation_dir(dir, path, current.generation, false));
    struct log_numbers numbers = {0, 0};
    TRY(env->fs->ops->list(env->fs, dir, note_number, &numbers));
    bool stopped = false;
    for (uint64_t number = numbers.lowest; number != 0 && number <= numbers.highest && !stopped;
         number++) {
        TRY(layout_log_path(file, dir, number));
        lore_status status = dump_file(env, file, callback, context, &stopped);
        if (status != LORE_NOT_FOUND) TRY(status); /* a live writer may have flushed it */
    }
    return LORE_OK;
}
