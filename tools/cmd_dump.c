/* cmd_dump.c - `lore dump`: everything as JSON lines, or tables of it as CSV, or one space as .npy.
 */
#include "commands.h"
#include "dump_write.h"
#include "export.h"
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { JSONL, CSV, NPY };
static const char *const formats[] = {"jsonl", "csv", "npy", NULL};

/* Write to PATH.tmp, sync, rename: a dump that is there is whole. */
struct target {
    FILE *file;
    struct text temporary;
    const char *path; /* NULL: stdout */
};

static int target_open(struct cli *cli, struct target *target) {
    *target = (struct target){.file = stdout, .path = args_value(&cli->args, "output")};
    if (target->path != NULL && strcmp(target->path, "-") == 0) target->path = NULL;
    if (target->path == NULL) return 0;
    int code = need_parent(cli, target->path);
    if (code != 0) return code;
    text_printf(&target->temporary, "%s.tmp", target->path);
    target->file = fopen(target->temporary.data, "wb");
    if (target->file != NULL) return 0;
    fail_errno(cli, "cannot write %s", target->temporary.data);
    text_free(&target->temporary);
    return cli->failure.exit_code;
}

static int target_close(struct cli *cli, struct target *target, int code) {
    if (fflush(target->file) != 0 || ferror(target->file)) {
        if (code == 0) code = fail_errno(cli, "cannot write the dump");
    }
    if (target->path == NULL) return code;
    if (code == 0 && fsync(fileno(target->file)) != 0)
        code = fail_errno(cli, "cannot sync the dump");
    fclose(target->file);
    if (code == 0 && rename(target->temporary.data, target->path) != 0) {
        code = fail_errno(cli, "cannot rename to %s", target->path);
    }
    if (code != 0) unlink(target->temporary.data);
    text_free(&target->temporary);
    return code;
}

static int write_format(struct cli *cli, lore_store *store, int format, FILE *out,
                        struct dump_totals *totals) {
    struct progress progress;
    int code = 0;
    progress_begin(&progress, cli, "records");
    switch (format) {
    case CSV: code = export_csv(cli, store, out, &progress); break;
    case NPY: code = export_npy(cli, store, args_value(&cli->args, "space"), out, &progress); break;
    default:
        code = dump_write(cli, store, args_flag(&cli->args, "canonical"), out, &progress, totals);
    }
    progress_end(&progress);
    return code;
}

static int answer(struct cli *cli, int format, const struct dump_totals *totals) {
    const char *output = args_value(&cli->args, "output");
    if (format == JSONL) {
        note(cli, output == NULL ? 1 : 0, "dumped %" PRIu64 " %s and %" PRIu64 " entries, %s",
             MEMORIES(totals->records), totals->entries, totals->digest);
    }
    if (!cli->json) return 0;
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_begin_object(&writer);
    jw_string_member(&writer, "path", output);
    jw_string_member(&writer, "format", formats[format]);
    if (format == JSONL) {
        jw_uint_member(&writer, "records", totals->records);
        jw_uint_member(&writer, "entries", totals->entries);
        jw_string_member(&writer, "digest", totals->digest);
    }
    jw_end_object(&writer);
    return print_json(cli, &text);
}

static int check_options(struct cli *cli, int format) {
    const char *output = args_value(&cli->args, "output"), *space = args_value(&cli->args, "space");
    bool to_stdout = output == NULL || strcmp(output, "-") == 0;
    if (format == NPY && (space == NULL || to_stdout))
        return fail_usage(cli, "--format npy needs --space NAME and --output FILE");
    if (format != NPY && space != NULL) return fail_usage(cli, "--space goes with --format npy");
    if (format != JSONL && args_flag(&cli->args, "canonical"))
        return fail_usage(cli, "--canonical goes with --format jsonl");
    if (!cli->json || !to_stdout) return 0;
    fail_usage(cli, "--json and a dump on stdout would be two things in one stream");
    return fail_next(cli,
                     "lore dump --json --output FILE   (or without --json: a dump is JSON lines)");
}

int cmd_dump(struct cli *cli) {
    const char *given = args_value(&cli->args, "format");
    int format = JSONL;
    int code = given == NULL ? 0 : parse_word(cli, "format", given, formats, &format);
    if (code == 0) code = check_options(cli, format);
    lore_store *store;
    struct target target;
    struct dump_totals totals = {0};
    if (code == 0) code = store_open(cli, OPEN_RECOVERED_READ, &store);
    if (code != 0) return code;
    code = target_open(cli, &target);
    if (code == 0)
        code = target_close(cli, &target, write_format(cli, store, format, target.file, &totals));
    if (code == 0) code = answer(cli, format, &totals);
    return store_close(cli, store, code);
}
