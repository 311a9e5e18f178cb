/*
 * filter.c - see filter.h.
 */
#include "query/filter.h"

#include <assert.h>

#include "query/query.h"

#include "base/poison.h"

/* ---- checks ---- */

static const char *const attribute_names[LORE_ATTR_COUNT] = {"id",
                                                             "text",
                                                             "kind",
                                                             "layer",
                                                             "tier",
                                                             "status",
                                                             "importance",
                                                             "created_at",
                                                             "updated_at",
                                                             "expires_at",
                                                             "user",
                                                             "agent",
                                                             "session",
                                                             "role",
                                                             "tags",
                                                             "metadata",
                                                             "position",
                                                             "access_count",
                                                             "last_accessed_at"};
static const char *const op_names[] = {"EQ", "NE", "LT", "LE", "GT", "GE", "PREFIX"};

static lore_status wrong_op(const lore_filter *filter) {
    return fail(LORE_INVALID, "a filter with %s on %s", op_names[filter->op],
                attribute_names[filter->attribute]);
}

static lore_status check_text(const lore_filter *filter) {
    lore_slice text = filter->text;
    if (text.size > 0 && text.data == NULL)
        return fail(LORE_INVALID, "a filter's text of %zu bytes at NULL", text.size);
    if (text.size > MEMORY_ATTRIBUTE_BYTES_MAX)
        return fail(LORE_INVALID, "a filter's text of %zu bytes; attributes have %u at most",
                    text.size, MEMORY_ATTRIBUTE_BYTES_MAX);
    return LORE_OK;
}

static lore_status filter_check(const lore_filter *filter) {
    if ((unsigned)filter->attribute >= LORE_ATTR_COUNT)
        return fail(LORE_INVALID, "a filter on attribute %d", (int)filter->attribute);
    if ((unsigned)filter->op > LORE_FILTER_PREFIX)
        return fail(LORE_INVALID, "a filter with operator %d", (int)filter->op);
    bool is_prefix = filter->op == LORE_FILTER_PREFIX;
    if (filter->attribute == LORE_ATTR_TAGS) {
        bool known = filter->op == LORE_FILTER_EQ || filter->op == LORE_FILTER_NE || is_prefix;
        return known ? check_text(filter) : wrong_op(filter);
    }
    switch (attribute_type(filter->attribute)) {
    case ATTRIBUTE_TEXT:
        if (filter->attribute == LORE_ATTR_TEXT || filter->attribute == LORE_ATTR_METADATA) break;
        return check_text(filter);
    case ATTRIBUTE_INTEGER: return is_prefix ? wrong_op(filter) : LORE_OK;
    case ATTRIBUTE_NUMBER:
        if (is_prefix) return wrong_op(filter);
        if (filter->number != filter->number)
            return fail(LORE_INVALID, "a filter on %s with NaN",
                        attribute_names[filter->attribute]);
        return LORE_OK;
    case ATTRIBUTE_NONE: break;
    }
    return fail(LORE_INVALID, "no filter goes on %s", attribute_names[filter->attribute]);
}

lore_status filters_check(const lore_filter *filters, size_t count) {
    if (count > QUERY_FILTERS_MAX)
        return fail(LORE_INVALID, "%zu filters; the limit is %u", count, QUERY_FILTERS_MAX);
    if (count > 0 && filters == NULL) return fail(LORE_INVALID, "%zu filters at NULL", count);
    for (size_t i = 0; i < count; i++)
        TRY(filter_check(&filters[i]));
    return LORE_OK;
}

/* ---- evaluation ---- */

static bool order_meets(int order, lore_filter_op op) {
    switch (op) {
    case LORE_FILTER_EQ: return order == 0;
    case LORE_FILTER_NE: return order != 0;
    case LORE_FILTER_LT: return order < 0;
    case LORE_FILTER_LE: return order <= 0;
    case LORE_FILTER_GT: return order > 0;
    case LORE_FILTER_GE: return order >= 0;
    case LORE_FILTER_PREFIX: break;
    }
    return false;
}

static bool asks_for_presence(lore_filter_op op) {
    return op != LORE_FILTER_EQ && op != LORE_FILTER_NE;
}

static lore_slice text_of(const lore_memory *memory, lore_attribute attribute) {
    switch ((int)attribute) {
    case LORE_ATTR_ID: return memory->id;
    case LORE_ATTR_KIND: return memory->kind;
    case LORE_ATTR_LAYER: return memory->layer;
    case LORE_ATTR_TIER: return memory->tier;
    case LORE_ATTR_STATUS: return memory->status;
    case LORE_ATTR_USER: return memory->user_id;
    case LORE_ATTR_AGENT: return memory->agent_id;
    case LORE_ATTR_SESSION: return memory->session_id;
    case LORE_ATTR_ROLE: return memory->role;
    default: break;
    }
    assert(false);
    return slice(NULL, 0);
}

static bool text_meets(const lore_filter *filter, lore_slice text) {
    if (text.size == 0 && asks_for_presence(filter->op)) return false;
    if (filter->op == LORE_FILTER_PREFIX) return slice_starts_with(text, filter->text);
    return order_meets(slice_compare(text, filter->text), filter->op);
}

static bool tags_meet(const lore_filter *filter, const lore_memory *memory) {
    bool has = false;
    for (size_t i = 0; i < memory->tags_count && !has; i++) {
        has = filter->op == LORE_FILTER_PREFIX ? slice_starts_with(memory->tags[i], filter->text)
                                               : slice_equal(memory->tags[i], filter->text);
    }
    return filter->op == LORE_FILTER_NE ? !has : has;
}

static bool integer_meets(const lore_filter *filter, int64_t value, bool lacking) {
    if (lacking && asks_for_presence(filter->op)) return false;
    return order_meets((value > filter->integer) - (value < filter->integer), filter->op);
}

int position_compare(uint64_t position, int64_t integer) {
    if (integer < 0) return 1;
    return (position > (uint64_t)integer) - (position < (uint64_t)integer);
}

static bool position_meets(const lore_filter *filter, const lore_memory *memory) {
    bool lacking = memory->session_id.size == 0;
    if (lacking && asks_for_presence(filter->op)) return false;
    uint64_t position = lacking ? 0 : memory->position;
    return order_meets(position_compare(position, filter->integer), filter->op);
}

bool filter_matches(const lore_filter *filter, const lore_memory *memory) {
    switch ((int)filter->attribute) {
    case LORE_ATTR_TAGS: return tags_meet(filter, memory);
    case LORE_ATTR_IMPORTANCE: {
        double value = memory->importance_score;
        return order_meets((value > filter->number) - (value < filter->number), filter->op);
    }
    case LORE_ATTR_CREATED_AT:
        return integer_meets(filter, memory->created_at_us, memory->created_at_us == 0);
    case LORE_ATTR_UPDATED_AT:
        return integer_meets(filter, memory->updated_at_us, memory->updated_at_us == 0);
    case LORE_ATTR_EXPIRES_AT:
        return integer_meets(filter, memory->expires_at_us, memory->expires_at_us == 0);
    case LORE_ATTR_LAST_ACCESSED_AT:
        return integer_meets(filter, memory->last_accessed_at_us, false);
    case LORE_ATTR_ACCESS_COUNT:
        return order_meets(position_compare(memory->access_count, filter->integer), filter->op);
    case LORE_ATTR_POSITION: return position_meets(filter, memory);
    default: return text_meets(filter, text_of(memory, filter->attribute));
    }
}
