/*
 * chat.c - lore_chat: the turns of a session in a range of positions, along the session's own keys.
 * With `last` or `tokens_max` the walk is backward and ends where enough was taken, so it costs
 * what it returns, however long the session is.
 */
#include "memory/limits.h"
#include "query/results.h"
#include "query/row_source.h"

#include "base/poison.h"

void lore_chat_query_init(lore_chat_query *query) {
    memset(query, 0, sizeof *query);
    query->struct_size = sizeof *query;
    query->to_position = UINT64_MAX;
}

static lore_status check(const lore_chat_query *query) {
    if (query == NULL || query->struct_size < sizeof *query)
        return fail(LORE_INVALID, "a chat query that lore_chat_query_init has not filled");
    if (query->session_id.size == 0 || query->session_id.data == NULL)
        return fail(LORE_INVALID, "a chat query without a session");
    if (query->session_id.size > MEMORY_ATTRIBUTE_BYTES_MAX)
        return fail(LORE_INVALID, "a session's id of %zu bytes; attributes have %u at most",
                    query->session_id.size, MEMORY_ATTRIBUTE_BYTES_MAX);
    if (query->role.size > 0 && query->role.data == NULL)
        return fail(LORE_INVALID, "a role of %zu bytes at NULL", query->role.size);
    return memory_check_flags(query->flags);
}

static uint64_t tokens_of(const lore_memory *memory) {
    return ((uint64_t)memory->text.size + 3) / 4;
}

struct chat {
    struct query_run *run;
    const lore_chat_query *query;
    lore_results *results;
    uint64_t tokens;
    bool enough;
};

static bool is_wanted(const struct chat *chat, const lore_memory *memory) {
    const lore_chat_query *query = chat->query;
    if ((query->flags & LORE_READ_EXPIRED) == 0 && memory_is_expired(memory, chat->run->now_us))
        return false;
    return query->role.size == 0 || slice_equal(memory->role, query->role);
}

static lore_status take_turn(struct chat *chat, uint64_t row) {
    const lore_chat_query *query = chat->query;
    struct query_run *run = chat->run;
    lore_record *record;
    lore_status status = memory_read_row(run->store, &run->reading, row,
                                         query->flags & LORE_READ_EMBEDDINGS, &record);
    if (status == LORE_NOT_FOUND) return LORE_OK;
    if (status == LORE_NO_MEMORY) return results_no_room(chat->results);
    TRY(status);
    const lore_memory *memory = lore_record_memory(record);
    bool wanted = is_wanted(chat, memory);
    if (wanted && query->tokens_max > 0) {
        chat->enough = tokens_of(memory) > query->tokens_max - chat->tokens;
        wanted = !chat->enough;
        if (wanted) chat->tokens += tokens_of(memory);
    }
    if (!wanted) {
        lore_record_destroy(record);
        return LORE_OK;
    }
    TRY(results_add(chat->results, record, 0));
    if (query->last > 0 && lore_results_count(chat->results) >= query->last) chat->enough = true;
    return LORE_OK;
}

static lore_status take_turns(struct chat *chat, const struct row_source *source, bool backward) {
    struct row_cursor cursor;
    TRY(row_cursor_open(&cursor, chat->run, source, backward));
    lore_status status = LORE_OK;
    while (status == LORE_OK && !chat->enough) {
        uint64_t row;
        bool found;
        status = row_cursor_next(&cursor, &row, &found);
        if (status != LORE_OK || !found) break;
        status = take_turn(chat, row);
    }
    row_cursor_close(&cursor);
    return status;
}

static lore_status take(struct chat *chat) {
    const lore_chat_query *query = chat->query;
    struct row_source source;
    row_source_init(&source, chat->run);
    lore_status status =
        row_source_session(&source, query->session_id, query->from_position, query->to_position);
    bool backward = query->last > 0 || query->tokens_max > 0;
    if (status == LORE_OK) status = take_turns(chat, &source, backward);
    row_source_deinit(&source);
    if (status == LORE_OK && backward) results_reverse(chat->results);
    return status;
}

lore_status lore_chat(lore_store *store, const lore_snapshot *snapshot,
                      const lore_chat_query *query, lore_results **results) {
    struct query_run run;
    *results = NULL;
    TRY(check(query));
    TRY(query_run_begin(&run, store, snapshot));
    struct chat chat = {.run = &run, .query = query};
    lore_status status = results_create(&run, &chat.results);
    if (status == LORE_OK) status = take(&chat);
    if (status == LORE_OK) {
        results_note_access(chat.results, &run, query->flags);
        *results = chat.results;
    } else {
        lore_results_destroy(chat.results);
    }
    query_run_end(&run);
    return status;
}
