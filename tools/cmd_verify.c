/* cmd_verify.c - `lore verify [PATH]` (alias validate): a store, a backup or a dump, without
 * changing anything. */
#include "backups.h"
#include "commands.h"
#include "dump_load.h"
#include "dump_write.h"
#include "fs.h"
#include "output.h"

#include <inttypes.h>
#include <string.h>

struct verifying {
    struct cli *cli;
    const char *path;
    const char *kind; /* "store", "backup", "dump" */
    struct findings findings;
    struct progress progress;
    lore_verify_report report;
    bool has_report;
};

/* lore_verify hands one context to both of its callbacks. */
static void on_finding(void *context, const lore_finding *finding) {
    struct verifying *verifying = context;
    findings_add(&verifying->findings, finding);
}

static bool on_progress(void *context, const lore_progress *update) {
    struct verifying *verifying = context;
    return progress_update(&verifying->progress, update);
}

/* A store that does not open is a finding too. */
static int verify_store(struct verifying *verifying, const struct manifest *manifest) {
    struct cli *cli = verifying->cli;
    lore_store *store;
    int code = store_open_path(cli, verifying->path, OPEN_READ, &store);
    bool known = verifying->findings.damaged > 0; /* a backup with files missing does not open */
    if (code == EXIT_CORRUPT || (code != 0 && known && code != EXIT_INTERRUPTED)) {
        findings_note(&verifying->findings, true, "store", NULL,
                      text_string(&cli->failure.message));
        return 0;
    }
    if (code != 0) return code;
    lore_status status = lore_verify(store, on_finding, on_progress, verifying, &verifying->report);
    verifying->has_report = true;
    if (status == LORE_CORRUPTION && verifying->findings.damaged == 0) {
        findings_note(&verifying->findings, true, "store", NULL, lore_error_message());
    }
    if (status != LORE_OK && status != LORE_CORRUPTION)
        code = fail_status(cli, status, "verifying %s", verifying->path);
    struct dump_totals totals;
    if (code == 0 && manifest != NULL && verifying->findings.damaged == 0) {
        code = dump_write(cli, store, true, NULL, &verifying->progress, &totals);
        if (code == 0 && strcmp(totals.digest, manifest->content_digest) != 0) {
            findings_note(&verifying->findings, true, "content", MANIFEST_NAME,
                          "the content digest is not the manifest's");
        }
    }
    return store_close(cli, store, code);
}

static int verify_backup(struct verifying *verifying) {
    struct manifest manifest;
    struct text error = {0};
    bool readable = manifest_read(&manifest, verifying->path, &error);
    if (!readable)
        findings_note(&verifying->findings, true, "manifest", MANIFEST_NAME, text_string(&error));
    text_free(&error);
    int code = 0;
    if (readable) {
        code = backup_check_files(verifying->cli, verifying->path, &manifest, &verifying->findings,
                                  &verifying->progress);
    }
    if (code == 0) code = verify_store(verifying, readable ? &manifest : NULL);
    manifest_free(&manifest);
    return code;
}

static int verify_dump(struct verifying *verifying) {
    struct dump_load_result result;
    int code = dump_load(verifying->cli, verifying->path, NULL, EXISTING_REPLACE, &result);
    verifying->report.entries = result.entries;
    verifying->report.memories = result.records;
    if (code != EXIT_CORRUPT) return code;
    findings_note(&verifying->findings, true, "dump", NULL,
                  text_string(&verifying->cli->failure.message));
    return 0;
}

static void write_report(struct json_writer *writer, const struct verifying *verifying) {
    const lore_verify_report *report = &verifying->report;
    jw_begin_object(writer);
    jw_string_member(writer, "path", verifying->path);
    jw_string_member(writer, "kind", verifying->kind);
    jw_bool_member(writer, "ok", verifying->findings.damaged == 0);
    jw_uint_member(writer, "damaged", verifying->findings.damaged);
    jw_uint_member(writer, "warnings", verifying->findings.warnings);
    if (verifying->has_report) {
        jw_uint_member(writer, "files", report->files);
        jw_uint_member(writer, "bytes", report->bytes);
    }
    jw_uint_member(writer, "entries", report->entries);
    jw_uint_member(writer, "memories", report->memories);
    jw_key(writer, "findings");
    findings_as_json(&verifying->findings, writer);
    jw_end_object(writer);
}

static int suggest_repair(const struct verifying *verifying) {
    struct cli *cli = verifying->cli;
    if (strcmp(verifying->kind, "backup") == 0)
        return fail_next(cli,
                         "lore backup   (make another; lore list-snapshots shows what there is)");
    if (strcmp(verifying->kind, "dump") == 0)
        return fail_next(cli, "lore dump --output FILE   (take the dump again from its store)");
    return fail_next(cli,
                     "lore list-snapshots --memory-path %s   (then: lore restore latest --confirm; "
                     "or: lore salvage --memory-path %s --to DIR)",
                     quoted(cli, verifying->path), quoted(cli, verifying->path));
}

static int answer(struct verifying *verifying) {
    struct cli *cli = verifying->cli;
    struct findings *findings = &verifying->findings;
    int code;
    if (cli->json) {
        struct text text = {0};
        struct json_writer writer = {.out = &text};
        write_report(&writer, verifying);
        code = print_json(cli, &text);
        text_free(&text);
    } else {
        code = findings_print(findings, cli);
        note(cli, 0, "%s %s: %" PRIu64 " %s, %" PRIu64 " damaged, %" PRIu64 " warnings",
             verifying->kind, verifying->path, MEMORIES(verifying->report.memories),
             findings->damaged, findings->warnings);
    }
    if (code == 0 && findings->damaged > 0) {
        fail_with(cli, EXIT_CORRUPT, LORE_CORRUPTION, "%s %s is damaged", verifying->kind,
                  verifying->path);
        code = suggest_repair(verifying);
    }
    return code;
}

int cmd_verify(struct cli *cli) {
    struct verifying verifying = {.cli = cli, .path = memory_path(cli), .kind = "store"};
    if (cli->args.operands_count == 1) verifying.path = cli->args.operands[0];
    progress_begin(&verifying.progress, cli, "B");
    int code;
    if (path_is_backup(verifying.path)) {
        verifying.kind = "backup";
        code = verify_backup(&verifying);
    } else if (path_exists(verifying.path) && !fs_is_directory(verifying.path)) {
        verifying.kind = "dump";
        code = verify_dump(&verifying);
    } else {
        code = verify_store(&verifying, NULL);
    }
    progress_end(&verifying.progress);
    if (code == EXIT_NO_STORE && cli->args.operands_count == 1)
        fail_next(cli, "lore verify PATH, with the path of a store, backup or dump");
    if (code == 0) code = answer(&verifying);
    findings_free(&verifying.findings);
    return code;
}
