/* cmd_dump.c - `lore dump`: everything as JSON lines, or tables of it as CSV, or one space as .npy.
 */
#include "commands.h"
#include "dump_write.h"
#include "export.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

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

static int write_format(struct cli *cli, lore_store *store, const char *format, FILE *out) {
    struct progress progress;
    struct dump_totals totals = {0};
    progress_begin(&progress, cli, "records");
    int code;
    if (strcmp(format, "csv") == 0) {
        code = export_csv(cli, store, out, &progress);
    } else if (strcmp(format, "npy") == 0) {
        code = export_npy(cli, store, args_value(&cli->args, "space"), out, &progress);
    } else {
        code = dump_write(cli, store, args_flag(&cli->args, "canonical"), out, &progress, &totals);
    }
    progress_end(&progress);
    if (code == 0 && totals.digest[0] != 0) {
        note(cli, 1, "%" PRIu64 " memories, %" PRIu64 " entries, %s", totals.records,
             totals.entries, totals.digest);
    }
    return code;
}

int cmd_dump(struct cli *cli) {
    const char *format = args_value(&cli->args, "format");
    if (format == NULL) format = "jsonl";
    bool npy = strcmp(format, "npy") == 0;
    if (!npy && strcmp(format, "jsonl") != 0 && strcmp(format, "csv") != 0) {
        return fail_usage(cli, "--format %s: not one of jsonl, csv, npy", format);
    }
    if (npy &&
        (args_value(&cli->args, "space") == NULL || args_value(&cli->args, "output") == NULL)) {
        return fail_usage(cli, "--format npy needs --space NAME and --output FILE");
    }
    lore_store *store;
    struct target target;
    int code = store_open(cli, OPEN_RECOVERED_READ, &store);
    if (code != 0) return code;
    code = target_open(cli, &target);
    if (code == 0) code = target_close(cli, &target, write_format(cli, store, format, target.file));
    return store_close(cli, store, code);
}
