/* cmd_chat_history.c - `lore chat-history`: the last turns, of a session or of all, oldest first.
 */
#include "alloc.h"
#include "commands.h"
#include "filters.h"
#include "output.h"
#include "record_json.h"
#include "timetext.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct history {
    struct cli *cli;
    lore_store *store;
    uint64_t limit;      /* 0: all */
    uint64_t tokens_max; /* 0: none */
    int64_t since_us, until_us;
};

/* As lore_chat counts them. */
static uint64_t tokens_of(const lore_memory *memory) {
    return (memory->text.size + 3) / 4;
}

/* From the turns, oldest first, the last ones that limit and tokens allow: index of the first. */
static size_t first_turn(const struct history *history, const lore_memory *const *turns,
                         size_t count) {
    size_t first = count;
    uint64_t tokens = 0;
    while (first > 0) {
        tokens += tokens_of(turns[first - 1]);
        if (history->limit > 0 && count - first == history->limit) break;
        if (history->tokens_max > 0 && tokens > history->tokens_max) break;
        first--;
    }
    return first;
}

static int print_as_json(struct cli *cli, const lore_memory *const *turns, size_t count) {
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_begin_object(&writer);
    jw_key(&writer, "turns");
    jw_begin_array(&writer);
    for (size_t i = 0; i < count; i++) {
        jw_begin_object(&writer);
        record_write(&writer, turns[i]);
        jw_end_object(&writer);
    }
    jw_end_array(&writer);
    jw_uint_member(&writer, "count", count);
    jw_end_object(&writer);
    int code = print_json(cli, &text);
    text_free(&text);
    return code;
}

/* The text without "Role: " at its head, which the role's column says already. */
static lore_slice without_role(const lore_memory *memory) {
    const char *text = memory->text.data;
    size_t role = memory->role.size, size = memory->text.size;
    if (role == 0 || size < role + 2 || memcmp(text, memory->role.data, role) != 0)
        return memory->text;
    if (text[role] != ':' || text[role + 1] != ' ') return memory->text;
    return (lore_slice){text + role + 2, size - role - 2};
}

static int print_as_text(struct cli *cli, const lore_memory *const *turns, size_t count) {
    struct text line = {0};
    lore_slice session = {0};
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        const lore_memory *turn = turns[i];
        bool same =
            !first && turn->session_id.size == session.size &&
            (session.size == 0 || memcmp(turn->session_id.data, session.data, session.size) == 0);
        if (!same) {
            text_puts(&line, cli->color ? "\033[1m# " : "# ");
            text_add_printable(&line, turn->session_id.data, turn->session_id.size, true, 0);
            text_puts(&line, cli->color ? "\033[0m\n" : "\n");
        }
        session = turn->session_id;
        first = false;
        time_format_short(&line, turn->created_at_us);
        text_puts(&line, "  ");
        text_add_printable(&line, turn->role.data, turn->role.size, true, 0);
        text_puts(&line, ": ");
        lore_slice words = without_role(turn);
        text_add_printable(&line, words.data, words.size, false, 0);
        text_char(&line, '\n');
    }
    if (count == 0) note(cli, 0, "no turns");
    int code = print_text(cli, &line);
    text_free(&line);
    return code;
}

static int print_turns(const struct history *history, const lore_results *results,
                       bool newest_first) {
    size_t total = lore_results_count(results), count = 0;
    const lore_memory **turns = alloc_bytes((total + 1) * sizeof *turns);
    for (size_t i = 0; i < total; i++) {
        const lore_memory *turn =
            lore_results_hit(results, newest_first ? total - 1 - i : i).memory;
        bool within =
            turn->created_at_us >= history->since_us && turn->created_at_us < history->until_us;
        if (within) turns[count++] = turn;
    }
    size_t first = first_turn(history, turns, count);
    int code = history->cli->json ? print_as_json(history->cli, turns + first, count - first)
                                  : print_as_text(history->cli, turns + first, count - first);
    free(turns);
    return code;
}

/* The turns of one session, in order of position. */
static int of_session(const struct history *history, const char *session) {
    struct cli *cli = history->cli;
    lore_chat_query query;
    lore_chat_query_init(&query);
    query.session_id = lore_slice_of(session);
    query.flags = LORE_READ_NO_ACCESS;
    const char *role = args_value(&cli->args, "role");
    if (role != NULL) query.role = lore_slice_of(role);
    if (history->until_us == INT64_MAX) {
        query.last = (size_t)history->limit;
        query.tokens_max = history->tokens_max;
    }
    lore_results *results;
    lore_status status = lore_chat(history->store, NULL, &query, &results);
    if (status != LORE_OK) return fail_status(cli, status, "reading session %s", session);
    int code = print_turns(history, results, false);
    lore_results_destroy(results);
    return code;
}

/* The last turns of all sessions, by time. */
static int of_all(const struct history *history) {
    struct cli *cli = history->cli;
    struct filters filters;
    int code = filters_read(cli, &filters);
    if (code != 0) return code;
    if (filters.count == FILTERS_MAX) return fail_usage(cli, "too many conditions");
    filters.filters[filters.count++] = (lore_filter){
        .attribute = LORE_ATTR_SESSION, .op = LORE_FILTER_GT, .text = lore_slice_of("")};
    lore_query query;
    lore_query_init(&query);
    query.filters = filters.filters;
    query.filters_count = filters.count;
    query.order = LORE_ORDER_CREATED_DESC;
    query.limit = (size_t)history->limit;
    query.flags = LORE_READ_NO_ACCESS;
    lore_results *results;
    lore_status status = lore_search(history->store, NULL, &query, &results);
    if (status != LORE_OK) return fail_status(cli, status, "reading turns");
    code = print_turns(history, results, true);
    lore_results_destroy(results);
    return code;
}

int cmd_chat_history(struct cli *cli) {
    struct history history = {.cli = cli, .since_us = INT64_MIN, .until_us = INT64_MAX};
    const char *since = args_value(&cli->args, "since"), *until = args_value(&cli->args, "until");
    const char *session = args_value(&cli->args, "session");
    int code = parse_count_option(cli, "tokens", 0, &history.tokens_max);
    if (code == 0)
        code = parse_count_option(cli, "limit", history.tokens_max > 0 ? 0 : 20, &history.limit);
    if (code == 0 && since != NULL)
        code = parse_time_option(cli, "since", since, -1, &history.since_us);
    if (code == 0 && until != NULL)
        code = parse_time_option(cli, "until", until, -1, &history.until_us);
    if (code == 0) code = store_open(cli, OPEN_WRITE_OR_READ, &history.store);
    if (code != 0) return code;
    code = session != NULL ? of_session(&history, session) : of_all(&history);
    return store_close(cli, history.store, code);
}
