/*
 * salvage_files.c - the source's files, each by what its header says it is: so that files that
 * change places are found, and the rest of salvage deals with names that can be relied on. A file
 * whose header is hurt is what its name says. Nothing is written in the source.
 */
#include <stdio.h>

#include "segment/segment_file.h"
#include "store/salvage_internal.h"

#include "base/poison.h"

#define CHUNK_BYTES  (64u << 10)
#define SECTOR_BYTES 4096u

/* ---- copies ---- */

/* A chunk of the source; what the device does not give is zeros. */
static lore_status read_chunk(struct file *file, uint64_t offset, uint8_t *data, size_t *got) {
    if (file_read(file, offset, data, CHUNK_BYTES, got) == LORE_OK) return LORE_OK;
    uint64_t size;
    TRY(file_size(file, &size));
    *got = 0;
    memset(data, 0, CHUNK_BYTES);
    for (size_t at = 0; at < CHUNK_BYTES && offset + at < size; at += SECTOR_BYTES) {
        size_t part;
        if (file_read(file, offset + at, data + at, SECTOR_BYTES, &part) != LORE_OK)
            part = size - offset - at < SECTOR_BYTES ? (size_t)(size - offset - at) : SECTOR_BYTES;
        *got = at + part;
    }
    return LORE_OK;
}

lore_status salvage_copy(const struct store_salvage *s, const char *from, const char *to) {
    struct file *source = NULL, *target = NULL;
    void *chunk;
    TRY(mem_get(s->env->allocator, CHUNK_BYTES, &chunk));
    lore_status status = fs_open(s->env, from, FILE_READ, false, &source);
    if (status == LORE_OK)
        status = fs_open(s->env, to, FILE_CREATE, s->options.group_access, &target);
    size_t got = CHUNK_BYTES;
    for (uint64_t at = 0; status == LORE_OK && got == CHUNK_BYTES; at += got) {
        status = read_chunk(source, at, chunk, &got);
        if (status == LORE_OK && got > 0) status = file_write(target, at, chunk, got);
    }
    file_close(source);
    file_close(target);
    mem_put(s->env->allocator, chunk, CHUNK_BYTES);
    return status;
}

/* ---- names ---- */

static bool read_head(const struct store_salvage *s, const char *path,
                      uint8_t head[LOG_HEADER_BYTES]) {
    struct file *file;
    size_t got = 0;
    if (fs_open(s->env, path, FILE_READ, false, &file) != LORE_OK) return false;
    lore_status status = file_read(file, 0, head, LOG_HEADER_BYTES, &got);
    file_close(file);
    return status == LORE_OK && got == LOG_HEADER_BYTES;
}

/* What the header of a file says that its name must be; empty: nothing that can be relied on. */
static void name_by_header(const struct store_salvage *s, const char *path, char out[64]) {
    uint8_t head[LOG_HEADER_BYTES];
    out[0] = '\0';
    if (!read_head(s, path, head)) return;
    enum segment_kind kind;
    uint64_t id;
    struct log_header header;
    if (segment_header_names(head, &kind, &id))
        segment_file_name(out, kind, id);
    else if (log_header_decode(head, path, LOG_FAMILY_WAL, &header) == LORE_OK)
        snprintf(out, 64, "log-%010llu", (unsigned long long)header.number);
    else if (log_header_decode(head, path, LOG_FAMILY_EDITS, &header) == LORE_OK)
        snprintf(out, 64, "edits-%010llu", (unsigned long long)header.number);
}

static bool name_is_known(const char *name) {
    enum segment_kind kind;
    uint64_t number;
    return segment_file_name_parse(name, &kind, &number) || layout_log_parse(name, &number) ||
           strncmp(name, "edits-", 6) == 0 || strcmp(name, "catalog.mdb") == 0;
}

/* The header of a log or of edits, of which one byte was changed, in the copy at `to`. */
static lore_status mend_head(struct store_salvage *s, const char *name, const char *to) {
    uint8_t head[LOG_HEADER_BYTES];
    struct log_header header;
    uint64_t number, work = UINT64_C(1) << 30;
    bool is_log = layout_log_parse(name, &number);
    enum log_family family = is_log ? LOG_FAMILY_WAL : LOG_FAMILY_EDITS;
    if (!is_log && strncmp(name, "edits-", 6) != 0) return LORE_OK;
    if (!read_head(s, to, head)) return LORE_OK;
    uint64_t computed = check64(head, LOG_HEADER_BYTES - 8);
    unsigned different = 0;
    for (unsigned i = 0; i < 8; i++)
        different += head[LOG_HEADER_BYTES - 8 + i] != (uint8_t)(computed >> (8 * i));
    if (different == 1)
        put_u64(head + LOG_HEADER_BYTES - 8, computed);
    else if (!check64_mend(head, 0, LOG_HEADER_BYTES - 8, 0, log_header_check(head), &work))
        return LORE_OK;
    if (log_header_decode(head, name, family, &header) != LORE_OK) return LORE_OK;
    struct file *file;
    TRY(fs_open(s->env, to, FILE_WRITE, false, &file));
    lore_status status = file_write(file, 0, head, sizeof head);
    file_close(file);
    salvage_lose_file(s, is_log ? "log" : "edits", name, 0, true,
                      "one byte of the header was changed, and has been put right");
    return status;
}

/* First files whose header and name agree, then those whose header says something else, then those
 * that have only a name. */
enum gather_pass { AGREEING, BY_HEADER, BY_NAME, PASSES };

struct gathering {
    struct store_salvage *s;
    enum gather_pass pass;
    uint64_t found;
};

static lore_status gather_entry(void *context, const struct dir_entry *entry) {
    struct gathering *gathering = context;
    struct store_salvage *s = gathering->s;
    char from[PATH_BYTES_MAX], to[PATH_BYTES_MAX], by_header[64];
    if (entry->is_dir || strlen(entry->name) >= 64) return LORE_OK;
    TRY(path_join(from, s->source, entry->name));
    name_by_header(s, from, by_header);
    enum gather_pass pass = by_header[0] == '\0'                  ? BY_NAME
                            : strcmp(by_header, entry->name) == 0 ? AGREEING
                                                                  : BY_HEADER;
    if (pass != gathering->pass || (pass == BY_NAME && !name_is_known(entry->name))) return LORE_OK;
    const char *name = pass == BY_NAME ? entry->name : by_header;
    TRY(path_join(to, s->old, name));
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    struct fs *fs = s->env->fs;
    if (fs->ops->stat(fs, to, &size, &is_dir, &mode) == LORE_OK) return LORE_OK;
    TRY(fs->ops->stat(fs, from, &size, &is_dir, &mode));
    gathering->found++;
    s->report->files++;
    s->report->bytes += size;
    TRY(salvage_progress(s, "gather", s->report->bytes));
    if (pass == BY_HEADER) {
        char message[160];
        snprintf(message, sizeof message, "by its header this is %.63s; it is taken for that",
                 name);
        salvage_lose_file(s, "file", entry->name, 0, true, message);
    }
    /* LMDB opens its file for writing, and hurt headers may be mended. */
    enum segment_kind kind;
    bool shared = pass != BY_NAME || segment_file_name_parse(name, &kind, &size);
    if (shared && fs->ops->link(fs, from, to) == LORE_OK) return LORE_OK;
    TRY(salvage_copy(s, from, to));
    return shared ? LORE_OK : mend_head(s, name, to);
}

static lore_status gather_from(struct store_salvage *s, uint64_t generation, bool *found) {
    snprintf(s->generation, sizeof s->generation, "g-%06llu", (unsigned long long)generation);
    TRY(path_join(s->source, s->path, s->generation));
    struct gathering gathering = {.s = s};
    for (unsigned pass = 0; pass < PASSES; pass++) {
        gathering.pass = (enum gather_pass)pass;
        lore_status status = s->env->fs->ops->list(s->env->fs, s->source, gather_entry, &gathering);
        if (status == LORE_NOT_FOUND) break;
        TRY(status);
    }
    *found = gathering.found > 0;
    return LORE_OK;
}

/* ---- the generation ---- */

struct generations {
    uint64_t highest, below, count;
};

static lore_status note_generation(void *context, const struct dir_entry *entry) {
    struct generations *generations = context;
    uint64_t number;
    bool building;
    if (!layout_generation_parse(entry->name, &number, &building) || building) return LORE_OK;
    generations->count++;
    if (number > generations->highest && number < generations->below) generations->highest = number;
    return LORE_OK;
}

lore_status salvage_gather(struct store_salvage *s) {
    struct current current;
    bool found = false;
    lore_status status = current_read(s->env, s->path, &current);
    if (status == LORE_NO_MEMORY) return status;
    if (status == LORE_OK) TRY(gather_from(s, current.generation, &found));
    if (found) return LORE_OK;
    if (status == LORE_OK)
        status = fail(LORE_CORRUPTION, "%s: CURRENT names a generation without files", s->path);
    char message[256];
    snprintf(message, sizeof message, "%.255s", lore_error_message());
    struct generations generations = {.below = UINT64_MAX};
    while (!found) {
        generations.highest = generations.count = 0;
        status = s->env->fs->ops->list(s->env->fs, s->path, note_generation, &generations);
        if (status == LORE_NOT_FOUND || (status == LORE_OK && generations.highest == 0))
            return fail(LORE_NO_STORE, "%s: there is nothing of a store", s->path);
        TRY(status);
        TRY(gather_from(s, generations.highest, &found));
        generations.below = generations.highest;
    }
    lore_loss loss = {.kind = "catalog", .file = "CURRENT", .message = message};
    store_salvage_lose(s, &loss);
    if (generations.count > 1)
        salvage_doubt_all(
            s, UINT64_MAX,
            "CURRENT is lost, and there are several generations: the newest was taken");
    return LORE_OK;
}
