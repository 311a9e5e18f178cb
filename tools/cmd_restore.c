/*
 * cmd_restore.c - `lore restore NAME|latest|PATH|DUMPFILE`: a backup or a dump as the next
 * generation of a store. Everything is checked first; the switch is one atomic step; what was there
 * stays beside as the safety snapshot; and a store that exists is not touched without --confirm.
 */
#include "backups.h"
#include "commands.h"
#include "dump_load.h"
#include "dump_read.h"
#include "fs.h"
#include "output.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct restoring {
    struct cli *cli;
    struct text from; /* path of the backup or dump */
    const char *target;
    bool is_dump;
    bool exists; /* there is a store at the target */
    struct manifest manifest;
    uint64_t records;
};

static bool file_is_dump(const char *path) {
    struct source source;
    const char *bytes;
    if (!source_open(&source, path)) return false;
    size_t size = source_peek(&source, 16, &bytes);
    bool is_dump = dump_recognised(bytes, size);
    source_close(&source);
    return is_dump;
}

static int find_latest(struct restoring *restoring) {
    struct cli *cli = restoring->cli;
    struct backup_list list;
    int code = backups_read(cli, backup_directory(cli), &list);
    if (code != 0) return code;
    const struct backup *latest = backups_latest(&list);
    if (latest != NULL) {
        text_puts(&restoring->from, latest->path);
    } else {
        fail_with(cli, EXIT_NOT_FOUND, LORE_NOT_FOUND, "no whole, unlinked backup in %s",
                  backup_directory(cli));
        code = fail_next(cli,
                         "lore list-snapshots --to %s   (a linked one can be restored by its name)",
                         quoted(cli, backup_directory(cli)));
    }
    backups_free(&list);
    return code;
}

/* By name in the backup directory first, then as a path. */
static int find_source(struct restoring *restoring) {
    struct cli *cli = restoring->cli;
    const char *name = cli->args.operands[0];
    if (strcmp(name, "latest") == 0) return find_latest(restoring);
    if (strchr(name, '/') == NULL) {
        text_printf(&restoring->from, "%s/%s", backup_directory(cli), name);
        if (path_is_backup(restoring->from.data)) return 0;
        text_clear(&restoring->from);
    }
    text_puts(&restoring->from, name);
    if (path_is_backup(name)) return 0;
    if (path_exists(name) && !fs_is_directory(name)) {
        restoring->is_dump = file_is_dump(name);
        if (restoring->is_dump) return 0;
        fail_with(cli, EXIT_CORRUPT, LORE_CORRUPTION, "%s is neither a backup nor a dump", name);
        return fail_next(cli, "lore list-snapshots --to %s", quoted(cli, backup_directory(cli)));
    }
    if (fs_is_directory(name)) {
        fail_with(cli, EXIT_CORRUPT, LORE_CORRUPTION,
                  "%s has no " MANIFEST_NAME ": it is no finished backup", name);
        return fail_next(cli, "lore list-snapshots --to %s", quoted(cli, backup_directory(cli)));
    }
    fail_with(cli, EXIT_NOT_FOUND, LORE_NOT_FOUND, "no backup \"%s\" in %s, and no such path", name,
              backup_directory(cli));
    return fail_next(cli, "lore list-snapshots --to %s", quoted(cli, backup_directory(cli)));
}

static int read_manifest(struct restoring *restoring) {
    if (restoring->is_dump) return 0;
    struct text error = {0};
    bool fine = manifest_read(&restoring->manifest, restoring->from.data, &error);
    if (!fine) {
        struct cli *cli = restoring->cli;
        fail_with(cli, EXIT_CORRUPT, LORE_CORRUPTION, "%s: %s", restoring->from.data,
                  text_string(&error));
        fail_next(cli, "lore list-snapshots --to %s   (and restore another)",
                  quoted(cli, backup_directory(cli)));
    }
    text_free(&error);
    return fine ? 0 : EXIT_CORRUPT;
}

static int check_backup(struct restoring *restoring) {
    struct cli *cli = restoring->cli;
    struct findings findings = {0};
    struct progress progress;
    progress_begin(&progress, cli, "B");
    int code =
        backup_check_files(cli, restoring->from.data, &restoring->manifest, &findings, &progress);
    progress_end(&progress);
    if (code == 0 && findings.damaged > 0) {
        code = fail_with(cli, EXIT_CORRUPT, LORE_CORRUPTION,
                         "%" PRIu64 " files of the backup %s are damaged; nothing was restored",
                         findings.damaged, restoring->from.data);
        fail_next(cli, "lore verify %s", quoted(cli, restoring->from.data));
    }
    findings_free(&findings);
    restoring->records = restoring->manifest.records;
    return code;
}

static int check(struct restoring *restoring) {
    if (!restoring->is_dump) return check_backup(restoring);
    struct dump_load_result result;
    int code = dump_load(restoring->cli, restoring->from.data, NULL, EXISTING_REPLACE, &result);
    restoring->records = result.records;
    return code;
}

static int restore_backup(struct restoring *restoring, const lore_options *options) {
    struct progress progress;
    progress_begin(&progress, restoring->cli, "B");
    lore_status status = lore_restore(restoring->target, restoring->from.data, restoring->exists,
                                      options, progress_update, &progress);
    progress_end(&progress);
    if (status == LORE_OK) return 0;
    return fail_status(restoring->cli, status, "restoring %s into %s", restoring->from.data,
                       restoring->target);
}

static int restore_dump(struct restoring *restoring, const lore_options *options) {
    struct cli *cli = restoring->cli;
    lore_store *store;
    struct dump_load_result result;
    lore_status status =
        lore_generation_begin(restoring->target, restoring->exists, options, &store);
    if (status != LORE_OK)
        return fail_status(cli, status, "beginning a generation at %s", restoring->target);
    int code = dump_load(cli, restoring->from.data, store, EXISTING_REPLACE, &result);
    if (code != 0) {
        status = lore_close(store);
        if (status != LORE_OK)
            warn(cli, "closing the unfinished generation: %s", lore_error_message());
        return code;
    }
    status = lore_generation_publish(store);
    return status == LORE_OK
               ? 0
               : fail_status(cli, status, "switching %s to the new generation", restoring->target);
}

static int answer(const struct restoring *restoring, bool done) {
    struct cli *cli = restoring->cli;
    if (!cli->json) {
        note(cli, 0, "%s %" PRIu64 " %s from %s into %s%s", done ? "restored" : "would restore",
             MEMORIES(restoring->records), restoring->from.data, restoring->target,
             !restoring->exists ? ""
             : done             ? "; the generation before is kept"
                                : ", keeping the generation that is there");
        return 0;
    }
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_begin_object(&writer);
    jw_string_member(&writer, "from", restoring->from.data);
    jw_string_member(&writer, "target", restoring->target);
    jw_string_member(&writer, "kind", restoring->is_dump ? "dump" : "backup");
    jw_bool_member(&writer, "restored", done);
    jw_bool_member(&writer, "replaces", restoring->exists);
    jw_uint_member(&writer, "records", restoring->records);
    jw_end_object(&writer);
    int code = print_json(cli, &text);
    text_free(&text);
    return code;
}

static int refuse_unconfirmed(const struct restoring *restoring) {
    struct cli *cli = restoring->cli;
    fail_with(
        cli, EXIT_USAGE, LORE_EXISTS,
        "%s holds a store: restoring %s would make the backup its next generation (the present "
        "one is kept "
        "as the safety snapshot); nothing was done",
        restoring->target, restoring->from.data);
    return fail_next(
        cli, "lore restore %s --target-path %s --confirm   (or --dry-run to check the backup)",
        quoted(cli, restoring->from.data), quoted(cli, restoring->target));
}

int cmd_restore(struct cli *cli) {
    struct restoring restoring = {.cli = cli, .target = args_value(&cli->args, "target-path")};
    if (restoring.target == NULL) restoring.target = memory_path(cli);
    restoring.exists = path_is_store(restoring.target);
    bool dry_run = args_flag(&cli->args, "dry-run");
    int code = find_source(&restoring);
    if (code == 0) code = read_manifest(&restoring);
    if (code == 0 && !dry_run) code = need_parent(cli, restoring.target);
    if (code == 0 && restoring.exists && !dry_run && !args_flag(&cli->args, "confirm")) {
        code = refuse_unconfirmed(&restoring);
    }
    if (code == 0) code = check(&restoring);
    if (code == 0 && !dry_run) {
        lore_options options;
        store_options(cli, &options);
        code = restoring.is_dump ? restore_dump(&restoring, &options)
                                 : restore_backup(&restoring, &options);
    }
    if (code == 0) code = answer(&restoring, !dry_run);
    manifest_free(&restoring.manifest);
    text_free(&restoring.from);
    return code;
}
