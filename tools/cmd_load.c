/* cmd_load.c - `lore load [FILE]`: a dump into a new or empty store, or with --merge into any. */
#include "commands.h"
#include "dump_load.h"
#include "output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool stop_at_first(void *context, lore_keyspace keyspace) {
    (void)keyspace;
    *(bool *)context = true;
    return false;
}

/* Whether the store holds a memory or an entry. */
static int holds_something(struct cli *cli, lore_store *store, bool *holds) {
    lore_memory_iter *iter;
    lore_record *record = NULL;
    *holds = false;
    lore_status status = lore_keyspaces(store, NULL, stop_at_first, holds);
    if (status == LORE_OK && !*holds) {
        status =
            lore_memory_iter_create(store, NULL, LORE_READ_NO_ACCESS | LORE_READ_EXPIRED, &iter);
        if (status == LORE_OK) {
            status = lore_memory_iter_next(iter, &record);
            *holds = record != NULL;
            if (record != NULL) lore_record_destroy(record);
            lore_memory_iter_destroy(iter);
        }
    }
    return status == LORE_OK ? 0 : fail_status(cli, status, "reading the store");
}

static int answer(struct cli *cli, const struct dump_load_result *result, bool dry_run) {
    if (!cli->json) {
        note(cli, 0, "%s %" PRIu64 " %s and %" PRIu64 " entries%s, %s",
             dry_run ? "checked" : "loaded", MEMORIES(dry_run ? result->records : result->written),
             result->entries, result->skipped > 0 ? " (some existed and were kept)" : "",
             result->digest);
        return 0;
    }
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_begin_object(&writer);
    jw_uint_member(&writer, "records", result->records);
    jw_uint_member(&writer, "written", result->written);
    jw_uint_member(&writer, "skipped", result->skipped);
    jw_uint_member(&writer, "entries", result->entries);
    if (result->digest[0] != 0) jw_string_member(&writer, "digest", result->digest);
    jw_bool_member(&writer, "dry_run", dry_run);
    jw_end_object(&writer);
    int code = print_json(cli, &text);
    text_free(&text);
    return code;
}

static int open_target(struct cli *cli, lore_store **store) {
    lore_options options;
    store_options(cli, &options);
    options.create_if_missing = true;
    int code = need_parent(cli, memory_path(cli));
    if (code != 0) return code;
    lore_status status = lore_open(memory_path(cli), &options, store);
    if (status != LORE_OK)
        return fail_status(cli, status, "cannot open the store at %s", memory_path(cli));
    bool holds = false;
    code = holds_something(cli, *store, &holds);
    if (code == 0 && holds && !args_flag(&cli->args, "merge")) {
        fail_with(cli, EXIT_FAILED, LORE_EXISTS, "the store at %s is not empty", memory_path(cli));
        code = fail_next(
            cli, "lore load --merge ...   (same ids are replaced), or another --memory-path");
    }
    return code;
}

int cmd_load(struct cli *cli) {
    const char *path = cli->args.operands_count == 1 ? cli->args.operands[0] : "-";
    bool dry_run = args_flag(&cli->args, "dry-run");
    lore_store *store = NULL;
    struct dump_load_result result = {0};
    if (strcmp(path, "-") != 0 && !path_exists(path)) return fail_input(cli, path);
    int code = dry_run ? 0 : open_target(cli, &store);
    if (code == 0) code = dump_load(cli, path, store, EXISTING_REPLACE, &result);
    code = store_close(cli, store, code);
    if (code == 0) return answer(cli, &result, dry_run);
    if (cli->json && result.records + result.entries > 0) answer(cli, &result, dry_run);
    return code;
}
