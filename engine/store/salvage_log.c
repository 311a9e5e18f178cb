/*
 * salvage_log.c - what can be read of the logs, into the scratch store, under its own sequence
 * numbers. Where a record or a file is hurt, the next one that hangs together with what is there
 * says how many sequence numbers are missing: nothing if it was no batch. A gap whose end nobody
 * knows reaches to the end.
 */
#include <inttypes.h>
#include <stdio.h>

#include "store/salvage_internal.h"

#include "base/poison.h"

struct log_walk {
    struct store_salvage *s;
    lore_store *store;
    uint64_t from;            /* looking for the first log from here on */
    uint64_t lowest, highest; /* of the logs that are there, from there on */
    char name[40];            /* of the log being read */
    char path[PATH_BYTES_MAX];
    /* A place behind which records may be missing. */
    bool uncertain;
    char uncertain_name[40], why[HURT_REASON_BYTES];
    uint64_t uncertain_at;
};

static uint64_t next_sequence(const struct log_walk *walk) {
    return walk->store->commit.next_sequence;
}

static void be_uncertain(struct log_walk *walk, uint64_t offset, const char *why) {
    if (walk->uncertain) return;
    walk->uncertain = true;
    walk->uncertain_at = offset;
    memcpy(walk->uncertain_name, walk->name, sizeof walk->name);
    snprintf(walk->why, sizeof walk->why, "%.199s", why);
}

/* Sequence numbers from the next one to `last` are missing, if there are any. */
static void close_gap(struct log_walk *walk, uint64_t last) {
    struct store_salvage *s = walk->s;
    char file[80], reason[HURT_REASON_BYTES];
    bool lost = last >= next_sequence(walk);
    if (lost) be_uncertain(walk, UINT64_MAX, "records are missing before it");
    if (!walk->uncertain) return;
    walk->uncertain = false;
    snprintf(file, sizeof file, "%.24s/%s", s->generation, walk->uncertain_name);
    lore_loss loss = {.kind = "log",
                      .file = file,
                      .offset = walk->uncertain_at,
                      .first_sequence = lost ? next_sequence(walk) : 0,
                      .last_sequence = lost ? last : 0,
                      .harmless = !lost,
                      .message = walk->why};
    store_salvage_lose(s, &loss);
    if (!lost) return;
    snprintf(reason, sizeof reason, "%s: writes are lost there, of keys that nobody knows", file);
    salvage_doubt_all(s, last, reason);
    if (last < SEQUENCE_MAX) walk->store->commit.next_sequence = last + 1;
}

static lore_status take_batch(struct log_walk *walk, const struct log_record *record) {
    struct batch_view view;
    lore_status status = batch_view_open(record->payload, &view);
    if (status == LORE_OK && view.entries > 0 && view.first_sequence >= next_sequence(walk) &&
        view.first_sequence < SEQUENCE_MAX)
        close_gap(walk, view.first_sequence - 1);
    if (status == LORE_OK) status = store_replay_batch(walk->store, walk->path, record);
    if (status != LORE_CORRUPTION) return status;
    be_uncertain(walk, record->offset, store_salvage_text(walk->s));
    return LORE_OK;
}

/* The walk ended before the end of the file. *more: it goes on further back. */
static lore_status step_over(struct log_walk *walk, struct log_reader *reader, bool *more) {
    struct log_end end;
    TRY(log_reader_end(reader, &end));
    *more = false;
    if (end.ending == LOG_ENDS_CLEAN) return LORE_OK;
    TRY(log_reader_resync(reader, more));
    if (*more || end.ending == LOG_ENDS_DAMAGED) {
        be_uncertain(walk, end.end, "a record is damaged");
        return LORE_OK;
    }
    salvage_lose_file(walk->s, "log", walk->name, end.end, true,
                      "bytes above the last promise are no records: a write that was cut off");
    return LORE_OK;
}

static lore_status read_records(struct log_walk *walk, struct log_reader *reader) {
    bool more = true;
    while (more) {
        struct log_record record;
        bool found;
        lore_status status = log_reader_next(reader, &record, &found);
        if (status == LORE_CORRUPTION || status == LORE_UNSUPPORTED || status == LORE_IO)
            found = false;
        else
            TRY(status);
        if (found && record.kind == LOG_BATCH) TRY(take_batch(walk, &record));
        if (!found) TRY(step_over(walk, reader, &more));
    }
    return LORE_OK;
}

/* *read: its header is sound, and it is of this store. */
static lore_status read_log(struct log_walk *walk, uint64_t number) {
    struct store_salvage *s = walk->s;
    struct log_reader *reader;
    snprintf(walk->name, sizeof walk->name, "log-%010" PRIu64, number);
    TRY(layout_log_path(walk->path, s->old, number));
    bool unborn;
    TRY(store_log_is_unborn(s->env, walk->path, &unborn));
    if (unborn && number == walk->highest && number > s->head.number && number > s->log.first_log)
        return LORE_OK;
    lore_status status =
        log_reader_open(s->env, &walk->store->work_allocator.base, walk->path, LOG_FAMILY_WAL,
                        (size_t)(s->options.memory_budget / 2), &reader);
    if (status == LORE_NOT_FOUND || salvage_is_damage(status)) {
        be_uncertain(walk, UINT64_MAX,
                     status == LORE_NOT_FOUND ? "the file is missing" : store_salvage_text(s));
        return LORE_OK;
    }
    TRY(status);
    const struct log_header *header = log_reader_header(reader);
    if (!identity_equal(&header->identity, &walk->store->segments.identity)) {
        be_uncertain(walk, 24, "it belongs to another store or lineage");
    } else {
        close_gap(walk, header->predecessor_sequence);
        status = read_records(walk, reader);
    }
    log_reader_close(reader);
    return status;
}

static lore_status note_log(void *context, const struct dir_entry *entry) {
    struct log_walk *walk = context;
    uint64_t number;
    if (!layout_log_parse(entry->name, &number) || number < walk->from) return LORE_OK;
    if (number > walk->highest) walk->highest = number;
    if (number < walk->lowest) walk->lowest = number;
    return LORE_OK;
}

/* The next log there is, from `from` on; false: none. */
static lore_status find_log(struct log_walk *walk, uint64_t from, bool *found) {
    walk->from = from;
    walk->lowest = UINT64_MAX;
    walk->highest = 0;
    TRY(walk->s->env->fs->ops->list(walk->s->env->fs, walk->s->old, note_log, walk));
    *found = walk->highest > 0;
    return LORE_OK;
}

lore_status salvage_logs(struct store_salvage *s) {
    struct log_walk walk = {.s = s, .store = s->store};
    uint64_t due = s->log.first_log, newest = 0;
    bool found;
    TRY(find_log(&walk, due, &found));
    while (found) {
        newest = walk.lowest;
        if (due > 0 && newest > due) {
            snprintf(walk.name, sizeof walk.name, "log-%010" PRIu64, due);
            be_uncertain(&walk, UINT64_MAX, "the file is missing");
        }
        TRY(salvage_progress(s, "logs", newest));
        TRY(read_log(&walk, newest));
        due = newest + 1;
        TRY(find_log(&walk, due, &found));
    }
    if (newest == 0 || s->head.number > newest) {
        snprintf(walk.name, sizeof walk.name, "log-%010" PRIu64, due == 0 ? 1 : due);
        be_uncertain(&walk, UINT64_MAX, "the file is missing");
    }
    bool known = s->head.closed && s->head.number >= newest;
    if (known)
        close_gap(&walk, s->head.last_sequence);
    else if (walk.uncertain)
        close_gap(&walk, UINT64_MAX);
    return LORE_OK;
}
