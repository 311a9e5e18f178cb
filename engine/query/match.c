/*
 * match.c - see match.h.
 */
#include "query/match.h"

#include "query/contains.h"
#include "query/filter.h"

#include "base/poison.h"

void matcher_init(struct matcher *matcher, struct query_run *run, const lore_query *query) {
    *matcher = (struct matcher){.run = run,
                                .filters = query->filters,
                                .filters_count = query->filters_count,
                                .substring = query->substring,
                                .ignore_ascii_case = query->ignore_ascii_case,
                                .shows_expired = (query->flags & LORE_READ_EXPIRED) != 0,
                                .read_flags = query->substring.size > 0 ? 0 : MEMORY_NO_TEXT};
}

static bool matches(const struct matcher *matcher, const lore_memory *memory) {
    if (!matcher->shows_expired && memory_is_expired(memory, matcher->run->now_us)) return false;
    if (matcher->lacks_creation && memory->created_at_us != 0) return false;
    for (size_t i = 0; i < matcher->filters_count; i++) {
        if (!filter_matches(&matcher->filters[i], memory)) return false;
    }
    return matcher->substring.size == 0 ||
           text_contains(memory->text, matcher->substring, matcher->ignore_ascii_case);
}

lore_status matcher_read(const struct matcher *matcher, const struct row_cursor *cursor,
                         uint64_t row, lore_record **record) {
    struct query_run *run = matcher->run;
    lore_record *candidate;
    *record = NULL;
    lore_status status =
        memory_read_row(run->store, &run->reading, row, matcher->read_flags, &candidate);
    if (status == LORE_NOT_FOUND) return LORE_OK;
    TRY(status);
    const lore_memory *memory = lore_record_memory(candidate);
    bool accepted = matches(matcher, memory);
    if (accepted && cursor != NULL) status = row_cursor_counts(cursor, memory, &accepted);
    if (status != LORE_OK || !accepted) {
        lore_record_destroy(candidate);
        return status;
    }
    *record = candidate;
    return LORE_OK;
}
