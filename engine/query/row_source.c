/*
 * row_source.c - see row_source.h.
 */
#include "query/row_source.h"

#include <assert.h>

#include "query/filter.h"

#include "base/poison.h"

#define RECORD_KEY_BYTES (KEYSPACE_BYTES + 9u)
#define TEXT_END_BYTES   2u /* of an encoded text: keys.h */

void row_source_init(struct row_source *source, const struct query_run *run) {
    memset(source, 0, sizeof *source);
    source->lower = bytes_empty(run->allocator);
    source->upper = bytes_empty(run->allocator);
}

void row_source_deinit(struct row_source *source) {
    bytes_free(&source->lower);
    bytes_free(&source->upper);
}

/* ---- bounds ---- */

/* `upper` becomes the end of all keys that begin with what is in it. */
static void end_of_prefix(struct bytes *upper) {
    bool has_end = key_after_prefix(upper);
    assert(has_end); /* no keyspace begins with 0xff */
    (void)has_end;
}

static lore_status whole_keyspace(struct row_source *source, lore_keyspace keyspace) {
    source->keyspace = keyspace;
    bytes_clear(&source->lower);
    TRY(append_be32(&source->lower, keyspace));
    TRY(bytes_set(&source->upper, bytes_slice(&source->lower)));
    end_of_prefix(&source->upper);
    return LORE_OK;
}

lore_status row_source_all(struct row_source *source) {
    TRY(whole_keyspace(source, KEYSPACE_RECORD));
    source->one_value = true;
    return LORE_OK;
}

lore_status row_source_ids(struct row_source *source) {
    return whole_keyspace(source, KEYSPACE_ID);
}

static bool is_number(lore_attribute attribute) {
    return attribute_type(attribute) == ATTRIBUTE_NUMBER;
}

static bool is_text(lore_attribute attribute) {
    return attribute_type(attribute) == ATTRIBUTE_TEXT;
}

/* The key of the filter's value: all entries of it begin so. */
static lore_status value_key(const lore_filter *filter, struct bytes *key) {
    if (filter->attribute == LORE_ATTR_ID) return key_id(key, filter->text);
    if (filter->attribute == LORE_ATTR_TAGS || is_text(filter->attribute))
        return key_index_text(key, filter->attribute, filter->text);
    if (is_number(filter->attribute))
        return key_index_number(key, filter->attribute, filter->number);
    return key_index_integer(key, filter->attribute, filter->integer);
}

/* The first key after all entries of the filter's value. */
static lore_status after_value_key(const lore_filter *filter, struct bytes *key) {
    TRY(value_key(filter, key));
    if (filter->attribute == LORE_ATTR_ID) return bytes_append_zeros(key, 1);
    end_of_prefix(key);
    return LORE_OK;
}

/* The key with which all texts begin that begin with the filter's. */
static lore_status text_prefix_key(const lore_filter *filter, struct bytes *key) {
    TRY(value_key(filter, key));
    if (filter->attribute != LORE_ATTR_ID) key->size -= TEXT_END_BYTES;
    return LORE_OK;
}

/* The bounds that one condition sets; an empty one stays without. */
static lore_status bounds_of(const lore_filter *filter, struct bytes *lower, struct bytes *upper) {
    bytes_clear(lower);
    bytes_clear(upper);
    switch (filter->op) {
    case LORE_FILTER_EQ: TRY(value_key(filter, lower)); return after_value_key(filter, upper);
    case LORE_FILTER_LT: return value_key(filter, upper);
    case LORE_FILTER_LE: return after_value_key(filter, upper);
    case LORE_FILTER_GT: return after_value_key(filter, lower);
    case LORE_FILTER_GE: return value_key(filter, lower);
    case LORE_FILTER_PREFIX:
        TRY(text_prefix_key(filter, lower));
        TRY(text_prefix_key(filter, upper));
        end_of_prefix(upper);
        return LORE_OK;
    case LORE_FILTER_NE: break;
    }
    assert(false);
    return LORE_OK;
}

/* Whether the index has all entries that the condition allows: not what differs from a value, and
 * not the lack of the attribute. */
static bool is_a_range(const lore_filter *filter) {
    if (filter->op == LORE_FILTER_NE) return false;
    if (filter->op != LORE_FILTER_EQ) return true;
    if (filter->attribute == LORE_ATTR_TAGS || is_text(filter->attribute))
        return filter->text.size > 0;
    return is_number(filter->attribute) || filter->integer != 0;
}

static lore_status narrow(struct row_source *source, const lore_filter *filter, struct bytes *lower,
                          struct bytes *upper) {
    TRY(bounds_of(filter, lower, upper));
    if (slice_compare(bytes_slice(lower), bytes_slice(&source->lower)) > 0)
        TRY(bytes_set(&source->lower, bytes_slice(lower)));
    if (upper->size > 0 && slice_compare(bytes_slice(upper), bytes_slice(&source->upper)) < 0)
        TRY(bytes_set(&source->upper, bytes_slice(upper)));
    return LORE_OK;
}

static lore_status narrow_by_all(struct row_source *source, const lore_filter *filters,
                                 size_t count, bool *narrowed) {
    struct bytes lower = bytes_empty(source->lower.allocator);
    struct bytes upper = bytes_empty(source->lower.allocator);
    lore_status status = LORE_OK;
    for (size_t i = 0; i < count && status == LORE_OK; i++) {
        const lore_filter *filter = &filters[i];
        if (filter->attribute != source->attribute || !is_a_range(filter)) continue;
        status = narrow(source, filter, &lower, &upper);
        source->covers |= UINT64_C(1) << i;
        source->one_value |= filter->op == LORE_FILTER_EQ;
        *narrowed = true;
    }
    bytes_free(&lower);
    bytes_free(&upper);
    return status;
}

lore_status row_source_values(struct row_source *source, lore_attribute attribute) {
    source->keyspace = KEYSPACE_INDEX;
    source->attribute = attribute;
    TRY(key_index_attribute(&source->lower, attribute));
    TRY(key_index_attribute(&source->upper, attribute));
    end_of_prefix(&source->upper);
    return LORE_OK;
}

lore_status row_source_attribute(struct row_source *source, lore_attribute attribute,
                                 const lore_filter *filters, size_t count, bool *usable) {
    assert(attribute != LORE_ATTR_TAGS);
    *usable = false;
    if (attribute == LORE_ATTR_ID) {
        source->attribute = attribute;
        TRY(whole_keyspace(source, KEYSPACE_ID));
    } else {
        if (!attribute_is_indexed(attribute)) return LORE_OK;
        TRY(row_source_values(source, attribute));
    }
    return narrow_by_all(source, filters, count, usable);
}

lore_status row_source_tag(struct row_source *source, const lore_filter *filters, size_t index,
                           bool *usable) {
    const lore_filter *filter = &filters[index];
    assert(filter->attribute == LORE_ATTR_TAGS);
    /* Whether a tag of 0 bytes has an entry is not for a range to know. */
    *usable = is_a_range(filter) && filter->text.size > 0;
    if (!*usable) return LORE_OK;
    source->keyspace = KEYSPACE_INDEX;
    source->attribute = LORE_ATTR_TAGS;
    source->covers = UINT64_C(1) << index;
    source->one_value = filter->op == LORE_FILTER_EQ;
    source->repeats = filter->op == LORE_FILTER_PREFIX;
    source->tags_prefix = filter->text;
    return bounds_of(filter, &source->lower, &source->upper);
}

/* ---- turns of a session ---- */

struct positions {
    uint64_t first, last; /* inclusive */
    bool none;
};

static void narrow_positions(struct positions *positions, const lore_filter *filter) {
    bool negative = filter->integer < 0;
    uint64_t value = negative ? 0 : (uint64_t)filter->integer;
    lore_filter_op op = filter->op;
    if (op == LORE_FILTER_EQ || op == LORE_FILTER_GE || op == LORE_FILTER_GT) {
        if (negative) {
            positions->none |= op == LORE_FILTER_EQ;
        } else {
            uint64_t first = op == LORE_FILTER_GT ? value + 1 : value; /* value <= INT64_MAX */
            if (first > positions->first) positions->first = first;
        }
    }
    if (op == LORE_FILTER_EQ || op == LORE_FILTER_LE || op == LORE_FILTER_LT) {
        if (negative || (op == LORE_FILTER_LT && value == 0)) {
            positions->none = true;
        } else {
            uint64_t last = op == LORE_FILTER_LT ? value - 1 : value;
            if (last < positions->last) positions->last = last;
        }
    }
}

lore_status row_source_turns(struct row_source *source, const lore_filter *filters, size_t count,
                             bool *usable) {
    const lore_filter *session = NULL;
    struct positions positions = {0, MEMORY_POSITION_MAX, false};
    *usable = false;
    for (size_t i = 0; i < count; i++) {
        const lore_filter *filter = &filters[i];
        if (filter->op == LORE_FILTER_NE) continue;
        if (filter->attribute == LORE_ATTR_POSITION) {
            narrow_positions(&positions, filter);
            source->covers |= UINT64_C(1) << i;
            *usable = true;
        } else if (filter->attribute == LORE_ATTR_SESSION && filter->op == LORE_FILTER_EQ &&
                   filter->text.size > 0 && session == NULL) {
            session = filter;
            source->covers |= UINT64_C(1) << i;
        }
    }
    *usable = *usable && session != NULL;
    if (!*usable) return LORE_OK;
    if (positions.none) return row_source_session(source, session->text, 0, 0);
    return row_source_session(source, session->text, positions.first, positions.last + 1);
}

lore_status row_source_session(struct row_source *source, lore_slice session, uint64_t from,
                               uint64_t to) {
    source->keyspace = KEYSPACE_SESSION;
    source->attribute = LORE_ATTR_POSITION;
    TRY(key_session(&source->lower, session, from));
    return key_session(&source->upper, session, to);
}

/* ---- cursor ---- */

lore_status row_cursor_open(struct row_cursor *cursor, struct query_run *run,
                            const struct row_source *source, bool backward) {
    *cursor = (struct row_cursor){run, source, NULL, backward, false};
    lore_slice lower = bytes_slice(&source->lower), upper = bytes_slice(&source->upper);
    if (slice_compare(lower, upper) >= 0) return LORE_OK;
    return lsm_iterator_create(store_tree(run->store), run->allocator, run->reading.sequence, lower,
                               upper, &cursor->iterator);
}

void row_cursor_close(struct row_cursor *cursor) {
    if (cursor->iterator == NULL) return;
    const struct read_count *count = lsm_iterator_count(cursor->iterator);
    cursor->run->count.blocks_read += count->blocks_read;
    cursor->run->count.blocks_hit += count->blocks_hit;
    cursor->run->count.bytes_read += count->bytes_read;
    lsm_iterator_destroy(cursor->iterator);
    cursor->iterator = NULL;
}

static lore_status move(struct row_cursor *cursor) {
    struct lsm_iterator *iterator = cursor->iterator;
    if (cursor->started)
        return cursor->backward ? lsm_iterator_prev(iterator) : lsm_iterator_next(iterator);
    cursor->started = true;
    return cursor->backward ? lsm_iterator_seek_last(iterator) : lsm_iterator_seek_first(iterator);
}

static lore_status malformed(const char *what) {
    return fail(LORE_CORRUPTION, "index: a key of %s without a row", what);
}

/* The row that the entry names; *skip where it names none of its own. */
static lore_status row_of_entry(struct row_cursor *cursor, uint64_t *row, bool *skip) {
    lore_slice key = lsm_iterator_key(cursor->iterator);
    const uint8_t *bytes = key.data;
    *skip = false;
    switch (cursor->source->keyspace) {
    case KEYSPACE_RECORD:
        if (key.size != RECORD_KEY_BYTES) return malformed("a record");
        *row = get_be64(bytes + KEYSPACE_BYTES);
        *skip = bytes[RECORD_KEY_BYTES - 1] != RECORD_ATTRIBUTES;
        return LORE_OK;
    case KEYSPACE_ID: {
        lore_slice value;
        TRY(lsm_iterator_value(cursor->iterator, &value));
        if (value.size != 8) return malformed("an id");
        *row = get_be64(value.data);
        return LORE_OK;
    }
    default: return key_row(key, row) ? LORE_OK : malformed("an attribute");
    }
}

lore_status row_cursor_next(struct row_cursor *cursor, uint64_t *row, bool *found) {
    *found = false;
    if (cursor->iterator == NULL) return LORE_OK;
    bool skip = true;
    while (skip) {
        if (cursor->started && !lsm_iterator_valid(cursor->iterator)) return LORE_OK;
        TRY(move(cursor));
        if (!lsm_iterator_valid(cursor->iterator)) return LORE_OK;
        TRY(row_of_entry(cursor, row, &skip));
    }
    *found = true;
    return LORE_OK;
}

/* Of the memory's tags that begin with the prefix, the one whose entry counts. */
static const lore_slice *counting_tag(const lore_memory *memory, lore_slice prefix) {
    for (size_t i = 0; i < memory->tags_count; i++) {
        if (slice_starts_with(memory->tags[i], prefix)) return &memory->tags[i];
    }
    return NULL;
}

lore_status row_cursor_counts(const struct row_cursor *cursor, const lore_memory *memory,
                              bool *counts) {
    *counts = !cursor->source->repeats;
    if (*counts) return LORE_OK;
    const lore_slice *counting = counting_tag(memory, cursor->source->tags_prefix);
    if (counting == NULL) return LORE_OK;
    struct bytes tag = bytes_empty(cursor->run->allocator);
    struct reader key = reader_over(lsm_iterator_key(cursor->iterator));
    read_bytes(&key, KEYSPACE_BYTES + 1);
    lore_status status = read_text(&key, &tag);
    *counts = status == LORE_OK && slice_equal(bytes_slice(&tag), *counting);
    bytes_free(&tag);
    return status;
}

lore_status row_source_count(struct query_run *run, const struct row_source *source, uint64_t cap,
                             uint64_t *count) {
    *count = 0;
    struct row_cursor cursor;
    TRY(row_cursor_open(&cursor, run, source, false));
    lore_status status = LORE_OK;
    bool found = true;
    while (*count < cap) {
        uint64_t row;
        status = row_cursor_next(&cursor, &row, &found);
        if (status != LORE_OK || !found) break;
        ++*count;
    }
    row_cursor_close(&cursor);
    return status;
}
