/*
 * recovery.c - from log files to memtables.
 *
 * The catalog says which log is the first that still counts and up to which sequence number
 * segments hold everything. The logs from there on are read in order of number; log_chain.c judges
 * how they hang together.
 *
 *   damaged below a promise, or not at the end of the last log: LORE_CORRUPTION, the store does not
 *     open for writing
 *   torn above the last promise: cut; its bytes are kept in quarantine/ and counted
 *
 * A log that holds more than a memtable (the store is opened with less memory than it was written
 * with) is flushed on the way: such a flush leaves the log in place, since the memtable's log
 * number is still that of the log before. After a crash the rest is read again from there.
 */
#include <inttypes.h>
#include <stdio.h>

#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

/* More logs than this at open are flushed away. */
#define LOGS_KEPT_MAX 16u
#define STEP_BYTES    (1u << 20)

struct replay {
    lore_store *store;
    struct log_chain chain;
    struct log_header header; /* of the log read last */
};

/* Make room for a batch while replaying: flush what is in the memtable. */
static lore_status replay_make_room(lore_store *store, uint64_t batch_bytes) {
    if (lsm_has_room(store->lsm, batch_bytes)) return LORE_OK;
    TRY(lsm_freeze(store->lsm, store->commit.log_number, batch_bytes));
    bool more = true;
    while (!lsm_can_freeze(store->lsm))
        TRY(background_step(store, STEP_BYTES, &more));
    return LORE_OK;
}

lore_status store_replay_batch(lore_store *store, const char *path,
                               const struct log_record *record) {
    struct commit_state *commit = &store->commit;
    struct batch_view view;
    lore_status status = batch_view_open(record->payload, &view);
    if (status != LORE_OK) return fail_within(status, "%s: offset %" PRIu64, path, record->offset);
    uint64_t last = view.first_sequence + view.entries - 1;
    if (view.entries == 0 || last < view.first_sequence || last > SEQUENCE_MAX)
        return fail(LORE_CORRUPTION,
                    "%s: offset %" PRIu64 ": a batch without entries or beyond the last sequence",
                    path, record->offset);
    if (last < commit->next_sequence) return LORE_OK; /* flushed before */
    if (view.first_sequence != commit->next_sequence)
        return fail(LORE_CORRUPTION,
                    "%s: offset %" PRIu64 ": sequence %" PRIu64 " where %" PRIu64 " was due", path,
                    record->offset, view.first_sequence, commit->next_sequence);
    uint64_t bytes = 0;
    struct batch_view check = view;
    struct entry entry;
    bool found;
    for (;;) {
        status = batch_view_next(&check, &entry, &found);
        if (status != LORE_OK)
            return fail_within(status, "%s: offset %" PRIu64, path, record->offset);
        if (!found) break;
        bytes += entry.key.size + entry.value.size + MEMTABLE_ENTRY_OVERHEAD;
    }
    TRY(replay_make_room(store, bytes));
    TRY(lsm_reserve(store->lsm, bytes));
    lsm_apply(store->lsm, record->payload);
    lsm_note_commit_time(store->lsm, record->time_us);
    commit_state_note(commit, &view, record->time_us);
    return LORE_OK;
}

/* Read one log into the memtable. LORE_NOT_FOUND: there is no such file. */
static lore_status replay_log(struct replay *replay, const char *path, uint64_t number) {
    lore_store *store = replay->store;
    struct log_reader *reader;
    TRY(log_reader_open(store->env, &store->work_allocator.base, path, LOG_FAMILY_WAL,
                        LOG_RECORD_BYTES_MAX, &reader));
    const struct log_header *header = log_reader_header(reader);
    lore_status status =
        log_chain_enter(&replay->chain, path, number, header, store->commit.next_sequence - 1);
    if (header->created_at_us > store->commit.last_time_us)
        store->commit.last_time_us = header->created_at_us;
    bool found = true;
    while (status == LORE_OK) {
        struct log_record record;
        status = log_reader_next(reader, &record, &found);
        if (status != LORE_OK || !found) break;
        if (record.kind == LOG_BATCH) status = store_replay_batch(store, path, &record);
    }
    struct log_end end;
    if (status == LORE_OK) status = log_reader_end(reader, &end);
    if (status == LORE_OK)
        status =
            log_chain_leave(&replay->chain, path, number, &end, store->commit.next_sequence - 1);
    replay->header = *header;
    log_reader_close(reader);
    return status;
}

static lore_status record_quarantine(lore_store *store, const struct quarantine_record *record) {
    struct catalog_key key = schema_key('C');
    struct counters_record counters = {0};
    struct bytes value = bytes_empty(&store->work_allocator.base);
    struct catalog_edit edit;
    catalog_edit_init(&edit, &store->work_allocator.base);
    env_lock(store->env, store->catalog_mutex);
    lore_status status = catalog_get(store->catalog, catalog_key_slice(&key), &value);
    if (status == LORE_OK)
        status =
            counters_record_decode(bytes_slice(&value), &store->work_allocator.base, &counters);
    uint64_t number = counters.quarantine_end++;
    if (status == LORE_OK) status = counters_record_encode(&counters, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(&edit, catalog_key_slice(&key), bytes_slice(&value));
    key = schema_key_number('Q', number);
    if (status == LORE_OK) status = quarantine_record_encode(record, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(&edit, catalog_key_slice(&key), bytes_slice(&value));
    if (status == LORE_OK) status = catalog_commit(store->catalog, &edit);
    env_unlock(store->env, store->catalog_mutex);
    catalog_edit_deinit(&edit);
    bytes_free(&value);
    return status;
}

/* Copy the torn tail to quarantine/ and note it in the catalog, before the log goes on over it. */
static lore_status keep_tail(struct replay *replay, const char *path) {
    lore_store *store = replay->store;
    const lore_env *env = store->env;
    char dir[PATH_BYTES_MAX], copy[PATH_BYTES_MAX], name[96], moved[PATH_BYTES_MAX];
    TRY(path_join(dir, store->dir, "quarantine"));
    lore_status status = env->fs->ops->make_dir(env->fs, dir, store->options.group_access);
    if (status != LORE_OK && status != LORE_EXISTS) return status;
    snprintf(name, sizeof name, "log-%010" PRIu64 ".tail-%" PRIu64 "-%" PRId64,
             replay->chain.number, replay->chain.end.end, env_now_us(env));
    TRY(path_join(copy, dir, name));
    TRY(log_tail_set_aside(env, &store->work_allocator.base, path, replay->chain.end.end,
                           replay->chain.end.tail_bytes, copy, store->options.group_access));
    TRY(env->fs->ops->sync_dir(env->fs, store->dir));
    store->log_bytes_cut = replay->chain.end.tail_bytes;
    log_write(&store->logger, LORE_LOG_WARNING,
              "%s: offset %" PRIu64 ": %" PRIu64
              " bytes above the last promise are no records; kept in quarantine/%s",
              path, replay->chain.end.end, replay->chain.end.tail_bytes, name);
    struct quarantine_record record = {.kind = QUARANTINE_LOG_TAIL,
                                       .segment_id = replay->chain.number,
                                       .offset = replay->chain.end.end,
                                       .bytes = replay->chain.end.tail_bytes,
                                       .since_us = env_now_us(env)};
    record.file = bytes_empty(&store->work_allocator.base);
    record.reason = bytes_empty(&store->work_allocator.base);
    status = path_join(moved, "quarantine", name);
    if (status == LORE_OK) status = bytes_set(&record.file, lore_slice_of(moved));
    if (status == LORE_OK)
        status = bytes_set(&record.reason, lore_slice_of("log tail above the last promise"));
    if (status == LORE_OK) status = record_quarantine(store, &record);
    bytes_free(&record.file);
    bytes_free(&record.reason);
    return status;
}

/* A process that was killed may have left it in the kernel's memory alone, and its successor, which
 * is synced, says how long it is. */
static lore_status sync_closed_log(lore_store *store, const char *path) {
    struct file *file;
    TRY(fs_open(store->env, path, FILE_WRITE, store->options.group_access, &file));
    lore_status status = file_sync(file);
    file_close(file);
    return status;
}

/* The last log goes on where its valid records end; a closed one gets a successor. */
static lore_status continue_log(struct replay *replay, const char *path) {
    lore_store *store = replay->store;
    struct log_writer_config config = {.env = store->env,
                                       .allocator = &store->fixed_allocator.base,
                                       .group_access = store->options.group_access,
                                       .preallocate_bytes = store->options.log_preallocate_bytes};
    if (!replay->chain.end.closed)
        return log_writer_reopen(&config, path, &replay->header, replay->chain.end.end,
                                 replay->chain.end.last_check, &store->commit.log);
    TRY(sync_closed_log(store, path));
    struct log_header header = {.family = LOG_FAMILY_WAL,
                                .identity = store->segments.identity,
                                .number = replay->chain.number + 1,
                                .predecessor_number = replay->chain.number,
                                .predecessor_length = replay->chain.end.end,
                                .predecessor_sequence = store->commit.next_sequence - 1,
                                .first_sequence = store->commit.next_sequence,
                                .created_at_us = store->commit.last_time_us};
    char next[PATH_BYTES_MAX];
    TRY(layout_log_path(next, store->dir, header.number));
    TRY(log_writer_create(&config, next, &header, &store->commit.log));
    store->commit.log_number = header.number;
    lsm_set_log_number(store->lsm, header.number);
    return LORE_OK;
}

struct log_sweep {
    lore_store *store;
    uint64_t first_log;
    uint64_t highest;
};

/* Logs below the first that counts are flushed: a crash came between the catalog's commit and their
 * unlinking. */
static lore_status sweep_log(void *context, const struct dir_entry *entry) {
    struct log_sweep *sweep = context;
    uint64_t number;
    if (!layout_log_parse(entry->name, &number)) return LORE_OK;
    if (number > sweep->highest) sweep->highest = number;
    if (number >= sweep->first_log) return LORE_OK;
    char path[PATH_BYTES_MAX];
    TRY(layout_log_path(path, sweep->store->dir, number));
    return fs_unlink(sweep->store->env, path);
}

/* A log that was being created when the machine stopped, or is at this moment, has no sound header
 * and nothing after it, or is all zeros. Anything else is left to the reader to judge. A log that
 * is not there counts as unborn. */
lore_status store_log_is_unborn(const lore_env *env, const char *path, bool *unborn) {
    *unborn = true;
    struct file *file;
    lore_status status = fs_open(env, path, FILE_READ, false, &file);
    if (status == LORE_NOT_FOUND) return LORE_OK;
    TRY(status);
    uint8_t part[4096];
    uint64_t offset = 0;
    size_t got;
    bool zeros = true;
    do {
        status = file_read(file, offset, part, sizeof part, &got);
        for (size_t i = 0; status == LORE_OK && zeros && i < got; i++)
            zeros = part[i] == 0;
        if (zeros) offset += got;
    } while (status == LORE_OK && zeros && got == sizeof part);
    file_close(file);
    TRY(status);
    if (zeros) return LORE_OK;
    *unborn = false;
    struct log_header header;
    if (offset > 0 || got > LOG_HEADER_BYTES) return LORE_OK;
    /* A sound header that is not understood is a later version's: replay refuses it. */
    if (got == LOG_HEADER_BYTES) status = log_header_decode(part, path, LOG_FAMILY_WAL, &header);
    *unborn = got < LOG_HEADER_BYTES || (status != LORE_OK && status != LORE_UNSUPPORTED);
    return LORE_OK;
}

/* The log before an unborn one is closed, so nothing is lost by clearing it away; unless the
 * catalog knows it, for then it had been finished. */
static lore_status sweep_unborn_log(struct replay *replay, uint64_t number, bool *removed) {
    lore_store *store = replay->store;
    *removed = false;
    char path[PATH_BYTES_MAX];
    bool unborn;
    TRY(layout_log_path(path, store->dir, number));
    TRY(store_log_is_unborn(store->env, path, &unborn));
    if (!unborn || number <= replay->chain.head.number) return LORE_OK;
    log_write(&store->logger, LORE_LOG_INFO, "%s: never finished; removed", path);
    TRY(fs_unlink(store->env, path));
    *removed = true;
    return store->env->fs->ops->sync_dir(store->env->fs, store->dir);
}

static lore_status replay_logs(struct replay *replay, uint64_t first_log, uint64_t highest) {
    lore_store *store = replay->store;
    for (uint64_t number = first_log;; number++) {
        char path[PATH_BYTES_MAX];
        TRY(layout_log_path(path, store->dir, number));
        /* A flush on the way must leave this log in place: until it has been read to its end, what
         * is in memory counts as being of the one before. */
        store->commit.log_number = number - 1;
        lsm_set_log_number(store->lsm, number - 1);
        lore_status status = replay_log(replay, path, number);
        if (status == LORE_NOT_FOUND && number > first_log) break;
        if (status == LORE_NOT_FOUND)
            return fail(LORE_CORRUPTION,
                        "%s: missing; the catalog says that it holds what is not in segments yet",
                        path);
        TRY(status);
    }
    return log_chain_finish(&replay->chain, highest);
}

lore_status store_recover(lore_store *store) {
    uint64_t first_log = lsm_first_log(store->lsm);
    struct log_sweep sweep = {.store = store, .first_log = first_log};
    struct replay replay = {.store = store};
    TRY(log_chain_begin(store, &replay.chain));
    TRY(store->env->fs->ops->list(store->env->fs, store->dir, sweep_log, &sweep));
    if (sweep.highest > first_log) {
        bool removed;
        TRY(sweep_unborn_log(&replay, sweep.highest, &removed));
        if (removed) sweep.highest--;
    }
    TRY(replay_logs(&replay, first_log, sweep.highest));
    store->commit.log_number = replay.chain.number;
    lsm_set_log_number(store->lsm, replay.chain.number);
    char path[PATH_BYTES_MAX];
    TRY(layout_log_path(path, store->dir, replay.chain.number));
    if (replay.chain.end.ending == LOG_ENDS_TORN) TRY(keep_tail(&replay, path));
    TRY(continue_log(&replay, path));
    TRY(log_chain_note_begun(&replay.chain));
    /* What was found is synced by now: so say, for readers and for the next recovery. */
    TRY(commit_sync_log(store));
    if (store->commit.log_number - first_log >= LOGS_KEPT_MAX) {
        TRY(commit_switch_log(store, 0, true));
        bool more = true;
        while (!lsm_can_freeze(store->lsm))
            TRY(background_step(store, STEP_BYTES, &more));
    }
    return LORE_OK;
}
