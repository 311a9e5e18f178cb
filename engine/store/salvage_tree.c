/*
 * salvage_tree.c - the segments of a damaged store. Value files come along as they are: what cannot
 * be read of them fails when it is read. A table of which something is hurt is written anew without
 * it, under its id and at its place in the tree, so that what is older and newer stays so; the hurt
 * key ranges are noted. Header, footer and trailer of any segment are made anew from the catalog
 * where they are hurt.
 *
 * Where the catalog is lost or is not the newest, segments that it does not know describe
 * themselves. Then each table is a run of its own, newest entry first, and all that is read is in
 * doubt: nobody can say which of the files still count.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "segment/segment_file.h"
#include "store/salvage_internal.h"

#include "base/poison.h"

struct segment_work {
    struct store_salvage *s;
    struct segment_record *record;
    char name[SEGMENT_NAME_BYTES];
    size_t hurt_before; /* ranges noted before this table */
    uint64_t faults;
    struct table_builder *builder; /* NULL: only looking */
    uint64_t kept;
    lore_status status; /* of what was done with entries and faults */
};

static const char *kind_name(enum segment_kind kind) {
    return kind == SEGMENT_TABLE ? "table" : kind == SEGMENT_BLOB ? "blob" : "rows";
}

static lore_status in_old(const struct segment_work *work, char out[PATH_BYTES_MAX]) {
    return path_join(out, work->s->old, work->name);
}

/* ---- hurt ranges ---- */

static lore_status new_range(struct store_salvage *s, struct hurt_range **range) {
    if (s->hurt_count == s->hurt_capacity) {
        size_t capacity = s->hurt_capacity == 0 ? 16 : s->hurt_capacity * 2;
        void *memory = s->hurt;
        TRY(mem_resize(s->env->allocator, &memory, s->hurt_capacity * sizeof *s->hurt,
                       capacity * sizeof *s->hurt));
        s->hurt = memory;
        s->hurt_capacity = capacity;
    }
    *range = &s->hurt[s->hurt_count++];
    memset(*range, 0, sizeof **range);
    (*range)->first = (*range)->last = bytes_empty(s->env->allocator);
    return LORE_OK;
}

/* Blocks side by side are one range. What is below the table's cut is read elsewhere. */
static lore_status note_hurt(struct segment_work *work, lore_slice first, lore_slice last,
                             const char *message) {
    struct store_salvage *s = work->s;
    lore_slice cut = bytes_slice(&work->record->cut);
    if (cut.size > 0 && slice_compare(last, cut) <= 0) return LORE_OK;
    if (s->hurt_count > work->hurt_before) {
        struct hurt_range *before = &s->hurt[s->hurt_count - 1];
        if (slice_compare(first, bytes_slice(&before->last)) <= 0) {
            if (slice_compare(last, bytes_slice(&before->last)) <= 0) return LORE_OK;
            return bytes_set(&before->last, last);
        }
    }
    struct hurt_range *range;
    TRY(new_range(s, &range));
    TRY(bytes_set(&range->first, first));
    TRY(bytes_set(&range->last, last));
    range->last_sequence = work->record->summary.last_sequence;
    snprintf(range->reason, sizeof range->reason, "%.199s", message);
    return LORE_OK;
}

static void note_fault(void *context, const struct segment_fault *fault) {
    struct segment_work *work = context;
    work->faults++;
    if (fault->first_key.size == 0 && fault->last_key.size == 0) return;
    char message[HURT_REASON_BYTES];
    snprintf(message, sizeof message, "%.199s", store_salvage_text(work->s));
    if (work->status == LORE_OK)
        work->status = note_hurt(work, fault->first_key, fault->last_key, message);
}

static void report_hurt(const struct segment_work *work, size_t from) {
    struct store_salvage *s = work->s;
    char file[64];
    snprintf(file, sizeof file, "%.24s/%s", s->generation, work->name);
    for (size_t i = from; i < s->hurt_count; i++) {
        const struct hurt_range *range = &s->hurt[i];
        lore_loss loss = {.kind = "table",
                          .file = file,
                          .offset = UINT64_MAX,
                          .first_key = bytes_slice(&range->first),
                          .last_key = bytes_slice(&range->last),
                          .first_sequence = work->record->summary.first_sequence,
                          .last_sequence = range->last_sequence,
                          .message = range->reason};
        const char *offset = strstr(range->reason, "offset ");
        if (offset != NULL) loss.offset = strtoull(offset + 7, NULL, 10);
        store_salvage_lose(s, &loss);
    }
}

/* ---- ends ---- */

static lore_status write_ends(struct store_salvage *s, const char *path, uint64_t bytes,
                              const uint8_t *header, const struct bytes *tail) {
    struct file *file;
    TRY(fs_open(s->env, path, FILE_WRITE, false, &file));
    lore_status status = file_truncate(file, bytes);
    if (status == LORE_OK) status = file_write(file, 0, header, SEGMENT_HEADER_BYTES);
    if (status == LORE_OK) status = file_write(file, bytes - tail->size, tail->data, tail->size);
    file_close(file);
    return status;
}

/* *lost: the file is not there, or cannot be opened whatever is done. */
static lore_status mend_ends(struct segment_work *work, bool *lost) {
    struct store_salvage *s = work->s;
    const struct segment_summary *summary = &work->record->summary;
    char path[PATH_BYTES_MAX], copy[PATH_BYTES_MAX];
    uint8_t header[SEGMENT_HEADER_BYTES];
    struct bytes tail = bytes_empty(&s->work.base);
    bool sound = false;
    TRY(in_old(work, path));
    TRY(path_join(copy, s->scratch, work->name));
    lore_status status = segment_ends(s->env, path, summary, header, &tail, &sound);
    if (status == LORE_NOT_FOUND) status = fail(LORE_CORRUPTION, "the file is missing");
    *lost = salvage_is_damage(status);
    if (*lost) {
        status = LORE_OK;
    } else if (status == LORE_OK && !sound) {
        status = salvage_copy(s, path, copy);
        if (status == LORE_OK) status = write_ends(s, copy, summary->bytes, header, &tail);
        if (status == LORE_OK) status = fs_rename(s->env, copy, path);
        if (status == LORE_OK)
            salvage_lose_file(s, kind_name(summary->kind), work->name, 0, true,
                              "header, footer or length was hurt, and is known from the catalog");
    }
    bytes_free(&tail);
    return status;
}

/* ---- tables ---- */

static lore_status keep_entry(void *context, const struct entry *entry) {
    struct segment_work *work = context;
    work->kept++;
    if (work->builder == NULL) return LORE_OK;
    work->status = entry->kind == ENTRY_RANGE_DELETE
                       ? table_builder_add_range_delete(work->builder, entry)
                       : table_builder_add(work->builder, entry);
    return work->status == LORE_OK ? LORE_OK : LORE_CANCELLED;
}

static void forget_ranges(struct store_salvage *s, size_t count) {
    while (s->hurt_count > count) {
        struct hurt_range *range = &s->hurt[--s->hurt_count];
        bytes_free(&range->first);
        bytes_free(&range->last);
    }
}

/* Everything that can be read of the table, through keep_entry. */
static lore_status walk_table(struct segment_work *work) {
    forget_ranges(work->s, work->hurt_before);
    work->faults = work->kept = 0;
    lore_status status =
        table_read_sound(&work->s->from, &work->record->summary, keep_entry, note_fault, work);
    return work->status != LORE_OK ? work->status : status;
}

static lore_status rewrite_table(struct segment_work *work) {
    struct store_salvage *s = work->s;
    struct segment_summary *summary = &work->record->summary, made;
    struct table_builder_config config = {.id = summary->id,
                                          .level = summary->level,
                                          .tier = summary->tier,
                                          .block_bytes = s->options.block_bytes,
                                          .compression = LORE_COMPRESSION_LZ4};
    segment_summary_init(&made, &s->work.base);
    TRY(table_builder_create(&s->into, &config, &work->builder));
    lore_status status = walk_table(work);
    if (status == LORE_OK && work->kept > 0) status = table_builder_finish(work->builder, &made);
    if (status == LORE_OK && work->kept > 0) status = segment_summary_copy(summary, &made);
    table_builder_destroy(work->builder);
    segment_summary_deinit(&made);
    return status;
}

static lore_status take_table(struct segment_work *work, bool *drop) {
    struct store_salvage *s = work->s;
    const struct segment_summary *summary = &work->record->summary;
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    TRY(in_old(work, from));
    TRY(path_join(to, s->dir, work->name));
    bool lost;
    TRY(mend_ends(work, &lost));
    if (lost) {
        char message[HURT_REASON_BYTES];
        snprintf(message, sizeof message, "%.199s", store_salvage_text(s));
        *drop = true;
        return note_hurt(work, bytes_slice(&summary->first_key), bytes_slice(&summary->last_key),
                         message);
    }
    unsigned mended = s->mender.count;
    TRY(walk_table(work));
    if (work->faults == 0 && s->mender.count == mended) return fs_rename(s->env, from, to);
    for (; mended < s->mender.count; mended++)
        salvage_lose_file(s, "table", work->name, s->mender.known[mended].offset, true,
                          "one byte of the block was changed, and has been put right");
    TRY(rewrite_table(work));
    *drop = work->kept == 0;
    return fs_unlink(s->env, from);
}

/* ---- value files ---- */

static lore_status take_values(struct segment_work *work) {
    struct store_salvage *s = work->s;
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX];
    bool lost;
    TRY(mend_ends(work, &lost));
    if (lost)
        salvage_lose_file(s, kind_name(work->record->summary.kind), work->name, UINT64_MAX, false,
                          store_salvage_text(s));
    TRY(in_old(work, from));
    TRY(path_join(to, s->dir, work->name));
    lore_status status = fs_rename(s->env, from, to);
    return status == LORE_NOT_FOUND ? LORE_OK : status;
}

/* ---- records ---- */

static lore_status change_record(struct store_salvage *s, const struct segment_record *record,
                                 bool drop) {
    struct catalog_edit edit;
    struct bytes value = bytes_empty(&s->work.base);
    struct catalog_key key = schema_key_number('S', record->summary.id);
    catalog_edit_init(&edit, &s->work.base);
    lore_status status = LORE_OK;
    if (drop) {
        status = catalog_edit_delete(&edit, catalog_key_slice(&key));
    } else {
        status = segment_record_encode(record, &value);
        if (status == LORE_OK)
            status = catalog_edit_put(&edit, catalog_key_slice(&key), bytes_slice(&value));
    }
    if (status == LORE_OK) status = catalog_hurt_apply(s->catalog, &edit);
    catalog_edit_deinit(&edit);
    bytes_free(&value);
    return status;
}

static lore_status take_segment(struct store_salvage *s, struct segment_record *record) {
    struct segment_work work = {.s = s, .record = record, .hurt_before = s->hurt_count};
    segment_file_name(work.name, record->summary.kind, record->summary.id);
    if (record->summary.id >= s->segment_end) s->segment_end = record->summary.id + 1;
    TRY(salvage_progress(s, "segments", record->summary.id));
    bool drop = record->state != SEGMENT_LIVE;
    if (!drop && record->summary.kind == SEGMENT_TABLE)
        TRY(take_table(&work, &drop));
    else if (!drop)
        TRY(take_values(&work));
    report_hurt(&work, work.hurt_before);
    return change_record(s, record, drop);
}

struct listed {
    struct store_salvage *s;
    bool apart;            /* every table a run of its own */
    bool missing;          /* a file is not there */
    struct bytes answered; /* logical ids for which a value file was taken, when `apart` */
};

static lore_status file_is_there(const struct store_salvage *s, const char *name, bool *there) {
    char path[PATH_BYTES_MAX];
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    TRY(path_join(path, s->old, name));
    lore_status status = s->env->fs->ops->stat(s->env->fs, path, &size, &is_dir, &mode);
    *there = status == LORE_OK;
    return status == LORE_NOT_FOUND ? LORE_OK : status;
}

static void set_apart(struct store_salvage *s, struct segment_record *record) {
    if (record->summary.kind != SEGMENT_TABLE) return;
    record->level = 0;
    record->run = ++s->runs;
    record->run_order = record->summary.last_sequence << 8 | (s->runs & 0xff);
}

/* Whether a file that has been taken answers for one of its logical ids: then it is that file's
 * input, or its output. */
static lore_status is_answered(struct bytes *answered, const struct segment_summary *summary,
                               bool *is) {
    *is = false;
    for (size_t i = 0; i < summary->groups_count; i++)
        for (size_t at = 0; at < answered->size; at += 8)
            *is = *is || get_u64(answered->data + at) == summary->groups[i].logical_id;
    for (size_t i = 0; i < summary->groups_count && !*is; i++)
        TRY(append_u64(answered, summary->groups[i].logical_id));
    return LORE_OK;
}

/* With files that nobody lists beside it, a file that is listed and gone was replaced by one. */
static lore_status place_apart(struct listed *listed, struct segment_record *record) {
    char name[SEGMENT_NAME_BYTES];
    bool there, twice = false;
    segment_file_name(name, record->summary.kind, record->summary.id);
    TRY(file_is_there(listed->s, name, &there));
    if (there && record->summary.kind != SEGMENT_TABLE)
        TRY(is_answered(&listed->answered, &record->summary, &twice));
    if (!there || twice) record->state = SEGMENT_DROPPED;
    set_apart(listed->s, record);
    return LORE_OK;
}

static lore_status take_listed(void *context, lore_slice key, lore_slice value) {
    struct listed *listed = context;
    struct store_salvage *s = listed->s;
    struct segment_record record;
    (void)key;
    TRY(segment_record_decode(value, &s->work.base, &record));
    lore_status status =
        listed->apart && record.state == SEGMENT_LIVE ? place_apart(listed, &record) : LORE_OK;
    if (status == LORE_OK) status = take_segment(s, &record);
    segment_record_deinit(&record);
    return status;
}

static lore_status look_at_listed(void *context, lore_slice key, lore_slice value) {
    struct listed *listed = context;
    struct segment_record record;
    char name[SEGMENT_NAME_BYTES];
    (void)key;
    TRY(segment_record_decode(value, &listed->s->work.base, &record));
    segment_file_name(name, record.summary.kind, record.summary.id);
    bool there = true, live = record.state == SEGMENT_LIVE;
    segment_record_deinit(&record);
    if (live) TRY(file_is_there(listed->s, name, &there));
    if (!there) listed->missing = true;
    return LORE_OK;
}

/* ---- what the catalog does not know ---- */

struct strays {
    struct store_salvage *s;
    struct bytes ids; /* u64 id, u64 kind */
};

static lore_status note_stray(void *context, const struct dir_entry *entry) {
    struct strays *strays = context;
    enum segment_kind kind;
    uint64_t id;
    if (!segment_file_name_parse(entry->name, &kind, &id)) return LORE_OK;
    struct catalog_key key = schema_key_number('S', id);
    struct bytes value = bytes_empty(&strays->s->work.base);
    lore_status status = catalog_get(strays->s->catalog, catalog_key_slice(&key), &value);
    bytes_free(&value);
    if (status != LORE_NOT_FOUND) return status;
    uint64_t pair[2] = {id, (uint64_t)kind};
    return bytes_append(&strays->ids, pair, sizeof pair);
}

static lore_status describe(struct store_salvage *s, const char *name,
                            struct segment_summary *summary) {
    char path[PATH_BYTES_MAX];
    struct pooled_file *file;
    TRY(path_join(path, s->old, name));
    TRY(pooled_file_create(s->from.files, path, &file));
    lore_status status = segment_describe(file, summary);
    pooled_file_release(file);
    return status;
}

static lore_status take_stray(struct store_salvage *s, uint64_t id, enum segment_kind kind,
                              struct bytes *answered) {
    struct segment_record record;
    char name[SEGMENT_NAME_BYTES];
    memset(&record, 0, sizeof record);
    record.state = SEGMENT_LIVE;
    record.cut = bytes_empty(&s->work.base);
    segment_summary_init(&record.summary, &s->work.base);
    segment_file_name(name, kind, id);
    lore_status status = describe(s, name, &record.summary);
    bool skip = false;
    if (salvage_is_damage(status)) {
        salvage_lose_file(s, kind_name(kind), name, UINT64_MAX, false, store_salvage_text(s));
        status = LORE_OK;
        skip = true;
    } else if (status == LORE_OK && kind != SEGMENT_TABLE) {
        status = is_answered(answered, &record.summary, &skip);
    }
    if (status == LORE_OK && !skip) {
        set_apart(s, &record);
        if (record.summary.last_sequence > s->log.flushed_sequence)
            s->log.flushed_sequence = record.summary.last_sequence;
        static const struct identity none;
        if (identity_equal(&s->into.identity, &none)) s->into.identity = record.summary.identity;
        status = take_segment(s, &record);
    }
    segment_record_deinit(&record);
    return status;
}

/* Newest id first: a file that was rewritten comes before those that it replaces. */
static lore_status take_strays(struct store_salvage *s, struct bytes *ids, struct bytes *answered) {
    lore_status status = LORE_OK;
    for (size_t left = ids->size / 16; left > 0 && status == LORE_OK; left--) {
        uint64_t best[2], pair[2];
        size_t best_at = 0;
        memcpy(best, ids->data, sizeof best);
        for (size_t i = 1; i < left; i++) {
            memcpy(pair, ids->data + i * 16, sizeof pair);
            if (pair[0] <= best[0]) continue;
            memcpy(best, pair, sizeof best);
            best_at = i;
        }
        memcpy(ids->data + best_at * 16, ids->data + (left - 1) * 16, 16);
        status = take_stray(s, best[0], (enum segment_kind)best[1], answered);
    }
    return status;
}

lore_status salvage_segments(struct store_salvage *s, bool catalog_in_doubt) {
    struct catalog_key prefix = schema_key('S');
    struct listed listed = {.s = s, .answered = bytes_empty(&s->work.base)};
    struct strays strays = {s, bytes_empty(&s->work.base)};
    TRY(catalog_scan(s->catalog, catalog_key_slice(&prefix), look_at_listed, &listed));
    lore_status status = LORE_OK;
    if (listed.missing || catalog_in_doubt)
        status = s->env->fs->ops->list(s->env->fs, s->old, note_stray, &strays);
    listed.apart = strays.ids.size > 0;
    if (listed.apart)
        salvage_doubt_all(s, UINT64_MAX, "the catalog does not know which files count");
    if (status == LORE_OK)
        status = catalog_scan(s->catalog, catalog_key_slice(&prefix), take_listed, &listed);
    if (status == LORE_OK) status = take_strays(s, &strays.ids, &listed.answered);
    bytes_free(&listed.answered);
    bytes_free(&strays.ids);
    return status;
}
