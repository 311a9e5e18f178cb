/* cmd_delete.c - `lore delete`: by id, or everything that filters choose. */
#include "commands.h"
#include "filters.h"
#include "output.h"
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>

#define PAGE 256u

struct deletion {
    struct cli *cli;
    lore_store *store;
    bool dry_run;
    uint64_t deleted, missing;
};

static int delete_ids(struct deletion *deletion) {
    struct cli *cli = deletion->cli;
    for (size_t i = 0; i < cli->args.operands_count; i++) {
        lore_slice id = lore_slice_of(cli->args.operands[i]);
        lore_record *record = NULL;
        unsigned flags = LORE_READ_NO_ACCESS | LORE_READ_EXPIRED;
        lore_status status = lore_memory_get(deletion->store, NULL, id, flags, &record);
        if (status == LORE_OK) {
            lore_record_destroy(record);
            if (!deletion->dry_run) status = lore_memory_delete(deletion->store, id);
        }
        if (status == LORE_NOT_FOUND) {
            deletion->missing++;
            note(cli, 0, "no memory \"%s\"", cli->args.operands[i]);
        } else if (status != LORE_OK) {
            return fail_status(cli, status, "deleting %s", cli->args.operands[i]);
        } else {
            deletion->deleted++;
        }
    }
    return 0;
}

static int delete_page(struct deletion *deletion, const lore_results *results,
                       struct progress *progress, uint64_t total) {
    for (size_t i = 0; i < lore_results_count(results); i++) {
        lore_slice id = lore_results_hit(results, i).memory->id;
        lore_status status = lore_memory_delete(deletion->store, id);
        if (status != LORE_OK && status != LORE_NOT_FOUND) {
            return fail_status(deletion->cli, status, "deleting");
        }
        deletion->deleted += status == LORE_OK;
        if (!progress_step(progress, "delete", deletion->deleted, total)) {
            return fail_interrupted(deletion->cli, "%" PRIu64 " memories had been deleted",
                                    deletion->deleted);
        }
    }
    return 0;
}

static int delete_matching(struct deletion *deletion, const struct filters *filters) {
    struct cli *cli = deletion->cli;
    lore_query query;
    lore_query_init(&query);
    query.filters = filters->filters;
    query.filters_count = filters->count;
    query.flags = LORE_READ_NO_ACCESS | LORE_READ_EXPIRED;
    query.limit = PAGE;
    uint64_t total;
    lore_status status = lore_count(deletion->store, NULL, &query, &total);
    if (status != LORE_OK) return fail_status(cli, status, "counting");
    if (deletion->dry_run) {
        deletion->deleted = total;
        return 0;
    }
    struct progress progress;
    progress_begin(&progress, cli, "records");
    int code = 0;
    for (bool more = true; more && code == 0;) {
        lore_results *results;
        status = lore_search(deletion->store, NULL, &query, &results);
        if (status != LORE_OK) {
            code = fail_status(cli, status, "searching");
            break;
        }
        uint64_t before = deletion->deleted;
        code = delete_page(deletion, results, &progress, total);
        more = lore_results_count(results) > 0 && deletion->deleted > before;
        lore_results_destroy(results);
    }
    progress_end(&progress);
    return code;
}

static int answer(struct deletion *deletion) {
    struct cli *cli = deletion->cli;
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    if (!cli->json) {
        note(cli, 0, "%s %" PRIu64 " %s", deletion->dry_run ? "would delete" : "deleted",
             MEMORIES(deletion->deleted));
        return 0;
    }
    jw_begin_object(&writer);
    jw_uint_member(&writer, deletion->dry_run ? "would_delete" : "deleted", deletion->deleted);
    jw_uint_member(&writer, "not_found", deletion->missing);
    jw_end_object(&writer);
    int code = print_json(cli, &text);
    text_free(&text);
    return code;
}

int cmd_delete(struct cli *cli) {
    struct filters filters;
    int code = filters_read(cli, &filters);
    if (code != 0) return code;
    bool all = args_flag(&cli->args, "all"), by_id = cli->args.operands_count > 0;
    if (by_id && (filters.count > 0 || all)) {
        return fail_usage(cli, "delete by id or by conditions, not both");
    }
    if (!by_id && filters.count == 0 && !all) {
        return fail_usage(cli, "name ids, give conditions, or say --all");
    }
    struct deletion deletion = {.cli = cli, .dry_run = args_flag(&cli->args, "dry-run")};
    enum open_mode mode = deletion.dry_run ? OPEN_READ : OPEN_WRITE;
    code = store_open(cli, mode, &deletion.store);
    if (code != 0) return code;
    code = by_id ? delete_ids(&deletion) : delete_matching(&deletion, &filters);
    if (code == 0) {
        code = answer(&deletion);
    } else if (cli->json) {
        answer(&deletion); /* what was deleted, beside the failure */
    }
    if (code == 0 && deletion.missing > 0) {
        fail_with(cli, deletion.deleted > 0 ? EXIT_PARTIAL : EXIT_NOT_FOUND, LORE_NOT_FOUND,
                  "%" PRIu64 " of %zu ids are not there", deletion.missing,
                  cli->args.operands_count);
        code = fail_next(cli, "lore search --memory-path %s", quoted(cli, memory_path(cli)));
    }
    return store_close(cli, deletion.store, code);
}
