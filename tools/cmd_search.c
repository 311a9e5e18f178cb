/* cmd_search.c - `lore search`: filters, a substring, exact nearest neighbours. */
#include "alloc.h"
#include "commands.h"
#include "filters.h"
#include "show.h"
#include "spaces.h"
#include "vectors.h"

#include <string.h>

static int read_order(struct cli *cli, lore_query *query) {
    static const char *const words[] = {"default",    "created",  "newest",
                                        "importance", "accessed", NULL};
    static const lore_order orders[] = {LORE_ORDER_DEFAULT, LORE_ORDER_CREATED,
                                        LORE_ORDER_CREATED_DESC, LORE_ORDER_IMPORTANCE_DESC,
                                        LORE_ORDER_ACCESSED_DESC};
    const char *given = args_value(&cli->args, "order");
    int word = 0;
    int code = given == NULL ? 0 : parse_word(cli, "order", given, words, &word);
    query->order = orders[word];
    return code;
}

static int read_options(struct cli *cli, lore_query *query, struct filters *filters) {
    const struct args *args = &cli->args;
    uint64_t limit, offset;
    int code = filters_read(cli, filters);
    if (code == 0) code = parse_count_option(cli, "limit", 10, &limit);
    if (code == 0) code = parse_count_option(cli, "offset", 0, &offset);
    if (code != 0) return code;
    query->filters = filters->filters;
    query->filters_count = filters->count;
    query->limit = (size_t)limit;
    query->offset = (size_t)offset;
    query->ignore_ascii_case = args_flag(args, "ignore-case");
    query->flags |= read_flags(cli);
    if (args->operands_count == 1) query->substring = lore_slice_of(args->operands[0]);
    return read_order(cli, query);
}

/* The space that a vector search runs in: --space, or the store's only one. */
static int choose_space(struct cli *cli, const struct space_list *spaces,
                        const struct space **space) {
    const char *name = args_value(&cli->args, "space");
    if (name == NULL && spaces->count != 1) {
        return fail_usage(cli, "the store has %zu spaces: choose one with --space", spaces->count);
    }
    *space = name == NULL ? spaces->spaces[0] : space_list_find(spaces, name);
    return *space != NULL ? 0 : fail_no_space(cli, name);
}

static int read_vector(struct cli *cli, const struct space_list *spaces, struct pool *pool,
                       lore_query *query) {
    const char *vector = args_value(&cli->args, "vector"), *like = args_value(&cli->args, "like");
    const struct space *space;
    int code = choose_space(cli, spaces, &space);
    if (code != 0) return code;
    if (query->limit == 0) return fail_usage(cli, "a vector search needs --limit of 1 or more");
    query->space = space->name;
    if (like != NULL) {
        query->vector_of_id = lore_slice_of(like);
        return 0;
    }
    struct text error = {0};
    bool fine = vector_read(vector, &space->spec, pool, &query->vector, &error);
    if (!fine) fail_usage(cli, "--vector %s: %s", vector, text_string(&error));
    text_free(&error);
    return fine ? 0 : cli->failure.exit_code;
}

static int run_query(struct cli *cli, lore_store *store, const lore_query *query) {
    lore_results *results;
    lore_status status = lore_search(store, NULL, query, &results);
    if (status == LORE_NOT_FOUND && query->vector_of_id.size > 0) {
        const char *like = args_value(&cli->args, "like");
        fail_with(cli, EXIT_NOT_FOUND, LORE_NOT_FOUND, "\"%s\" has no embedding in space %s", like,
                  query->space);
        return fail_next(cli, "lore get --embeddings %s", quoted(cli, like));
    }
    if (status != LORE_OK) return fail_status(cli, status, "searching");
    int code = show_results(cli, results, query->space != NULL);
    lore_results_destroy(results);
    return code;
}

int cmd_search(struct cli *cli) {
    struct filters filters;
    struct space_list spaces = {0};
    struct pool pool = {0};
    lore_query query;
    lore_store *store;
    lore_query_init(&query);
    int code = read_options(cli, &query, &filters);
    bool by_file = args_value(&cli->args, "vector") != NULL;
    bool by_id = args_value(&cli->args, "like") != NULL;
    if (code == 0 && by_file && by_id) code = fail_usage(cli, "--vector or --like, not both");
    if (code == 0 && !by_file && !by_id && args_value(&cli->args, "space") != NULL) {
        code = fail_usage(cli, "--space goes with --vector or --like");
    }
    if (code != 0) return code;
    enum open_mode mode = args_flag(&cli->args, "no-access") ? OPEN_READ : OPEN_WRITE_OR_READ;
    code = store_open(cli, mode, &store);
    if (code != 0) return code;
    if (by_file || by_id) {
        lore_status status = space_list_read(store, &spaces);
        code = status == LORE_OK ? read_vector(cli, &spaces, &pool, &query)
                                 : fail_status(cli, status, "reading the store's spaces");
    }
    if (code == 0) code = run_query(cli, store, &query);
    space_list_free(&spaces);
    pool_reset(&pool);
    return store_close(cli, store, code);
}
