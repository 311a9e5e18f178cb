/* cmd_backup.c - `lore backup`: a full snapshot of the store as a directory with a manifest. */
#include "alloc.h"
#include "backups.h"
#include "commands.h"
#include "dump_write.h"
#include "fs.h"
#include "output.h"
#include "timetext.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct making {
    struct cli *cli;
    struct manifest manifest;
    struct text path; /* of the backup */
    struct progress progress;
};

static void on_file(void *context, const lore_backup_file *file) {
    struct making *making = context;
    manifest_add_file(&making->manifest, file->path, file->size, "", file->linked);
}

/* lore_backup hands one context to both of its callbacks. */
static bool on_progress(void *context, const lore_progress *update) {
    struct making *making = context;
    return progress_update(&making->progress, update);
}

static char *default_name(int64_t now_us) {
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm utc;
    char name[40];
    gmtime_r(&seconds, &utc);
    strftime(name, sizeof name, "snapshot_%Y%m%d_%H%M%S", &utc);
    return alloc_copy(name);
}

static int check_name(struct cli *cli, const char *name) {
    bool fine = name[0] != 0 && name[0] != '.' && strchr(name, '/') == NULL &&
                strlen(name) <= 200 && strcmp(name, "latest") != 0 &&
                text_is_utf8(name, strlen(name));
    return fine ? 0
                : fail_usage(cli,
                             "--name \"%s\": a name has 1 to 200 bytes, no '/', no leading '.', "
                             "and is not \"latest\"",
                             name);
}

/* The backup as a store: what it is of, and the digest of its content. */
static int describe(struct making *making) {
    struct cli *cli = making->cli;
    struct manifest *manifest = &making->manifest;
    lore_store *copy;
    int code = store_open_path(cli, making->path.data, OPEN_READ, &copy);
    if (code != 0) return code;
    lore_stats stats = {.struct_size = sizeof stats};
    struct dump_totals totals;
    struct text id = {0};
    lore_status status = lore_stats_get(copy, &stats);
    code = status == LORE_OK ? 0 : fail_status(cli, status, "reading the backup");
    if (code == 0) code = dump_write(cli, copy, true, NULL, &making->progress, &totals);
    if (code == 0) {
        manifest->sequence = stats.last_sequence;
        manifest->records = totals.records;
        manifest->entries = totals.entries;
        memcpy(manifest->content_digest, totals.digest, sizeof totals.digest);
        hex_format(&id, stats.store_id, sizeof stats.store_id);
        manifest->store_id = alloc_copy(text_string(&id));
        text_clear(&id);
        hex_format(&id, stats.lineage, sizeof stats.lineage);
        manifest->lineage = alloc_copy(text_string(&id));
    }
    text_free(&id);
    return store_close(cli, copy, code);
}

static int hash_files(struct making *making) {
    for (size_t i = 0; i < making->manifest.files_count; i++) {
        struct manifest_file *file = &making->manifest.files[i];
        struct text full = {0};
        text_printf(&full, "%s/%s", making->path.data, file->path);
        bool fine = sha256_file(full.data, file->digest, &file->size);
        if (!fine) fail_errno(making->cli, "cannot read %s", full.data);
        text_free(&full);
        if (!fine) return making->cli->failure.exit_code;
        if (!progress_step(&making->progress, "digest", i + 1, making->manifest.files_count)) {
            return fail_interrupted(making->cli, "no backup was made");
        }
    }
    return 0;
}

/* Tell the store of its last good backup. */
static void leave_note(struct making *making, lore_store *store, bool writable) {
    const struct manifest *manifest = &making->manifest;
    if (manifest->linked) return;
    if (!writable) {
        warn(making->cli, "a writer holds the store, so it does not learn of this backup");
        return;
    }
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_begin_object(&writer);
    jw_time_member(&writer, "time", manifest->time_us);
    jw_string_member(&writer, "name", manifest->label);
    struct text whole = {0};
    fs_absolute(&whole, making->path.data);
    jw_string_member(&writer, "path", text_string(&whole));
    text_free(&whole);
    jw_uint_member(&writer, "sequence", manifest->sequence);
    jw_string_member(&writer, "content_digest", manifest->content_digest);
    jw_end_object(&writer);
    lore_status status = lore_note_put(store, "last_backup", (lore_slice){text.data, text.size});
    if (status != LORE_OK) warn(making->cli, "the note of this backup: %s", lore_error_message());
    text_free(&text);
}

static int answer(const struct making *making) {
    struct cli *cli = making->cli;
    const struct manifest *manifest = &making->manifest;
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    int code;
    if (cli->json) {
        jw_begin_object(&writer);
        jw_string_member(&writer, "name", manifest->label);
        jw_string_member(&writer, "path", making->path.data);
        jw_uint_member(&writer, "sequence", manifest->sequence);
        jw_uint_member(&writer, "records", manifest->records);
        jw_uint_member(&writer, "files", manifest->files_count);
        jw_uint_member(&writer, "bytes", manifest->bytes);
        jw_bool_member(&writer, "linked", manifest->linked);
        jw_string_member(&writer, "root_digest", manifest->root_digest);
        jw_string_member(&writer, "content_digest", manifest->content_digest);
        jw_end_object(&writer);
        code = print_json(cli, &text);
    } else {
        note(cli, 0, "%" PRIu64 " %s, %zu files, %s", MEMORIES(manifest->records),
             manifest->files_count, manifest->content_digest);
        if (manifest->linked) {
            note(cli, 0,
                 "it shares its bytes with the store: for a backup that survives damage there, "
                 "use --copy or another device");
        }
        text_printf(&text, "%s\n", making->path.data);
        code = print_text(cli, &text);
    }
    text_free(&text);
    return code;
}

/* Make the files. *unflushed: the store was read beside a writer whose log the engine will not
 * leave out, so that only a writer's own handle can back it up; no failure is recorded then. */
static int make_files(struct making *making, enum open_mode mode, lore_store **store,
                      bool *writable, bool *unflushed) {
    struct cli *cli = making->cli;
    unsigned flags = args_flag(&cli->args, "copy") ? LORE_BACKUP_COPY : 0;
    lore_stats stats = {.struct_size = sizeof stats};
    int code = store_open(cli, mode, store);
    if (code != 0) return code;
    lore_status status = lore_stats_get(*store, &stats);
    *writable = !stats.read_only;
    if (status == LORE_OK) {
        status = lore_backup(*store, making->path.data, flags, on_file, on_progress, making);
    }
    *unflushed = status == LORE_MISUSE && !*writable;
    if (status == LORE_OK || *unflushed) return 0;
    return fail_status(cli, status, "backing up to %s", making->path.data);
}

/* Beside a writer if that is possible, else as soon as it lets go, within lock_timeout. */
static int make_files_or_wait(struct making *making, lore_store **store, bool *writable) {
    struct cli *cli = making->cli;
    bool unflushed = false;
    int code = make_files(making, OPEN_WRITE_OR_READ, store, writable, &unflushed);
    if (code != 0 || !unflushed) return code;
    note(cli, 0, "the writer's log is not flushed: waiting for the writer (--lock-timeout)");
    code = store_close(cli, *store, 0);
    *store = NULL;
    if (code != 0) return code;
    return make_files(making, OPEN_WRITE, store, writable, &unflushed);
}

static int make(struct making *making) {
    struct cli *cli = making->cli;
    lore_store *store = NULL;
    bool writable = false;
    int code = make_files_or_wait(making, &store, &writable);
    if (code == 0) code = describe(making);
    if (code == 0) code = hash_files(making);
    if (code == 0) {
        manifest_seal(&making->manifest);
        if (!manifest_write(&making->manifest, &cli->config, making->path.data)) {
            code = fail_errno(cli, "cannot write the manifest in %s", making->path.data);
        }
    }
    if (code == 0) leave_note(making, store, writable);
    return store_close(cli, store, code);
}

int cmd_backup(struct cli *cli) {
    const char *type = args_value(&cli->args, "type"), *name = args_value(&cli->args, "name");
    if (type != NULL && strcmp(type, "full") != 0) {
        return fail_usage(cli, "--type %s: this version makes full backups only", type);
    }
    struct making making = {.cli = cli, .manifest = {.time_us = time_now_us()}};
    making.manifest.label = name != NULL ? alloc_copy(name) : default_name(making.manifest.time_us);
    const char *directory = backup_directory(cli);
    text_printf(&making.path, "%s/%s", directory, making.manifest.label);
    progress_begin(&making.progress, cli, "B");
    int code = check_name(cli, making.manifest.label);
    if (code == 0 && path_exists(making.path.data)) {
        fail_with(cli, EXIT_FAILED, LORE_EXISTS,
                  "%s is there already; a backup is never overwritten", making.path.data);
        code = fail_next(cli, "lore backup --to %s --name ANOTHER", quoted(cli, directory));
    } else if (code == 0 && !path_is_store(memory_path(cli))) {
        fail_with(cli, EXIT_NO_STORE, LORE_NO_STORE, "there is no store at %s", memory_path(cli));
        code = fail_next(cli, "lore init --memory-path %s", quoted(cli, memory_path(cli)));
    } else if (code == 0 && !fs_make_directories(directory)) {
        fail_errno(cli, "cannot make %s", directory);
        code = fail_next(cli, "lore backup --to DIR, with a directory that can be written");
    } else if (code == 0) {
        code = make(&making);
        if (code != 0) fs_remove_tree(making.path.data);
    }
    progress_end(&making.progress);
    if (code == 0) code = answer(&making);
    manifest_free(&making.manifest);
    text_free(&making.path);
    return code;
}
