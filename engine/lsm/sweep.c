/*
 * sweep.c - what a writer clears away when it opens the tree: segment files that no live record
 * names.
 *
 *   id below the counter's end   unfinished work, or dropped: unlinked
 *   id at or beyond it           no work of this catalog's: moved to quarantine/, with a record
 *
 * Then the records of dropped segments go. Nothing here is needed for reading, so a full disk or an
 * unlink that fails is logged and left to the next open.
 */
#include "lsm/lsm_internal.h"

#include "base/poison.h"

struct found_file {
    enum segment_kind kind;
    uint64_t id;
};

struct found_files {
    const struct allocator *allocator;
    struct found_file *files;
    size_t count, capacity;
};

static lore_status remember(struct found_files *found, enum segment_kind kind, uint64_t id) {
    if (found->count == found->capacity) {
        size_t capacity = found->capacity == 0 ? 64 : 2 * found->capacity;
        void *memory = found->files;
        TRY(mem_resize(found->allocator, &memory, found->capacity * sizeof *found->files,
                       capacity * sizeof *found->files));
        found->files = memory;
        found->capacity = capacity;
    }
    found->files[found->count++] = (struct found_file){kind, id};
    return LORE_OK;
}

static lore_status see_file(void *context, const struct dir_entry *entry) {
    enum segment_kind kind;
    uint64_t id;
    if (entry->is_dir || !segment_file_name_parse(entry->name, &kind, &id)) return LORE_OK;
    return remember(context, kind, id);
}

static lore_status see_record(void *context, lore_slice key, lore_slice value) {
    (void)key;
    struct found_files *dropped = context;
    struct segment_record record;
    TRY(segment_record_decode(value, dropped->allocator, &record));
    lore_status status = LORE_OK;
    if (record.state == SEGMENT_DROPPED)
        status = remember(dropped, record.summary.kind, record.summary.id);
    segment_record_deinit(&record);
    return status;
}

static lore_status is_live(struct lsm *lsm, const struct found_file *file, bool *live) {
    struct catalog_key key = schema_key_number('S', file->id);
    struct bytes value = bytes_empty(lsm->work);
    struct segment_record record;
    *live = false;
    lore_status status = catalog_get(lsm->config.catalog, catalog_key_slice(&key), &value);
    if (status == LORE_OK) {
        status = segment_record_decode(bytes_slice(&value), lsm->work, &record);
        if (status == LORE_OK) {
            *live = record.state == SEGMENT_LIVE && record.summary.kind == file->kind;
            segment_record_deinit(&record);
        }
    } else if (status == LORE_NOT_FOUND) {
        status = LORE_OK;
    }
    bytes_free(&value);
    return status;
}

/* ---- quarantine ---- */

static lore_status record_foreign(struct lsm *lsm, const struct found_file *file, const char *moved,
                                  uint64_t bytes) {
    uint64_t number;
    TRY(lsm_take_quarantine_number(lsm, &number));
    const char *reason = "a segment file whose id was never reserved";
    struct quarantine_record record = {.kind = QUARANTINE_FOREIGN_FILE,
                                       .segment_id = file->id,
                                       .bytes = bytes,
                                       .since_us = lsm->sys->ops->now_us(lsm->sys),
                                       .file = bytes_empty(lsm->work),
                                       .reason = bytes_empty(lsm->work)};
    struct bytes value = bytes_empty(lsm->work);
    struct catalog_edit edit;
    catalog_edit_init(&edit, lsm->work);
    struct catalog_key key = schema_key_number('Q', number);
    lore_status status = bytes_set(&record.file, slice(moved, strlen(moved)));
    if (status == LORE_OK) status = bytes_set(&record.reason, slice(reason, strlen(reason)));
    if (status == LORE_OK) status = quarantine_record_encode(&record, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(&edit, catalog_key_slice(&key), bytes_slice(&value));
    if (status == LORE_OK) status = lsm_commit(lsm, &edit);
    catalog_edit_deinit(&edit);
    bytes_free(&value);
    quarantine_record_deinit(&record);
    return status;
}

static lore_status quarantine(struct lsm *lsm, const struct found_file *file, const char *name,
                              const char *path) {
    const struct segment_context *context = lsm->config.context;
    struct fs *fs = context->env->fs;
    char moved[PATH_BYTES_MAX], dir[PATH_BYTES_MAX], target[PATH_BYTES_MAX];
    TRY(path_join(moved, "quarantine", name));
    TRY(path_join(dir, context->dir, "quarantine"));
    TRY(path_join(target, context->dir, moved));
    uint64_t bytes = 0;
    bool is_dir;
    uint32_t mode;
    TRY(fs->ops->stat(fs, path, &bytes, &is_dir, &mode));
    lore_status status = fs->ops->make_dir(fs, dir, context->group_access);
    if (status != LORE_OK && status != LORE_EXISTS) return status;
    TRY(fs_rename(context->env, path, target));
    TRY(fs->ops->sync_dir(fs, dir));
    TRY(fs->ops->sync_dir(fs, context->dir));
    return record_foreign(lsm, file, moved, bytes);
}

/* ---- the sweep ---- */

static lore_status clear_file(struct lsm *lsm, const struct found_file *file, uint64_t segment_end,
                              bool *unlinked) {
    bool live;
    TRY(is_live(lsm, file, &live));
    if (live) return LORE_OK;
    const struct segment_context *context = lsm->config.context;
    char name[SEGMENT_NAME_BYTES], path[PATH_BYTES_MAX];
    segment_file_name(name, file->kind, file->id);
    TRY(path_join(path, context->dir, name));
    lore_status status;
    if (file->id >= segment_end) {
        status = quarantine(lsm, file, name, path);
        if (status == LORE_OK)
            log_write(context->logger, LORE_LOG_WARNING, "%s: foreign, moved to quarantine", name);
    } else {
        status = fs_unlink(context->env, path);
        if (status == LORE_OK) *unlinked = true;
        if (status == LORE_NOT_FOUND) status = LORE_OK;
    }
    if (status == LORE_FULL || status == LORE_IO) {
        log_write(context->logger, LORE_LOG_WARNING, "%s: not cleared away: %s", name,
                  lore_error_message());
        return catalog_failed(lsm->config.catalog);
    }
    return status;
}

static lore_status forget_dropped(struct lsm *lsm, const struct found_files *dropped) {
    if (dropped->count == 0) return LORE_OK;
    struct catalog_edit edit;
    catalog_edit_init(&edit, lsm->work);
    lore_status status = LORE_OK;
    for (size_t i = 0; status == LORE_OK && i < dropped->count; i++) {
        struct catalog_key key = schema_key_number('S', dropped->files[i].id);
        status = catalog_edit_delete(&edit, catalog_key_slice(&key));
    }
    if (status == LORE_OK) status = lsm_commit(lsm, &edit);
    catalog_edit_deinit(&edit);
    return status == LORE_FULL ? LORE_OK : status;
}

lore_status lsm_sweep(struct lsm *lsm) {
    const struct segment_context *context = lsm->config.context;
    struct fs *fs = context->env->fs;
    struct found_files files = {.allocator = lsm->work}, dropped = {.allocator = lsm->work};
    struct catalog_key prefix = schema_key('S');
    uint64_t segment_end = lsm->counters.segment_end;
    bool unlinked = false;
    lore_status status;
    TRY_OR(catalog_scan(lsm->config.catalog, catalog_key_slice(&prefix), see_record, &dropped),
           status, done);
    TRY_OR(fs->ops->list(fs, context->dir, see_file, &files), status, done);
    for (size_t i = 0; i < files.count; i++)
        TRY_OR(clear_file(lsm, &files.files[i], segment_end, &unlinked), status, done);
    if (unlinked) TRY_OR(fs->ops->sync_dir(fs, context->dir), status, done);
    status = forget_dropped(lsm, &dropped);
done:
    mem_put(lsm->work, files.files, files.capacity * sizeof *files.files);
    mem_put(lsm->work, dropped.files, dropped.capacity * sizeof *dropped.files);
    return status;
}
