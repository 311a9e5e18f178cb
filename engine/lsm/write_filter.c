/*
 * write_filter.c - versions, merges and deletes of one key after the other. Only what an older
 * version may yet decide is held back: deletes that go if nothing stays beneath them, and a put
 * that a hook may drop.
 */
#include "lsm/write_filter.h"

#include <assert.h>

#include "base/poison.h"

#define STRIPE_NOW UINT64_MAX /* limit of the stripe above all pins */

void write_filter_init(struct write_filter *filter, const struct write_filter_config *config) {
    memset(filter, 0, sizeof *filter);
    filter->config = *config;
    filter->key = bytes_empty(config->allocator);
    filter->held_values = bytes_empty(config->allocator);
}

void write_filter_deinit(struct write_filter *filter) {
    if (filter->config.allocator == NULL) return;
    bytes_free(&filter->key);
    bytes_free(&filter->held_values);
    mem_put(filter->config.allocator, filter->held, filter->held_capacity * sizeof *filter->held);
    memset(filter, 0, sizeof *filter);
}

void write_filter_reset(struct write_filter *filter) {
    bytes_clear(&filter->key);
    filter->has_key = false;
    filter->any_kept = false;
    filter->limit = 0;
    filter->closed = false;
    filter->merging = false;
    filter->held_count = 0;
    bytes_clear(&filter->held_values);
}

/* The lowest pin at or above `sequence`. */
static uint64_t stripe_limit(const struct write_filter_config *config, uint64_t sequence) {
    size_t low = 0, high = config->pins_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (config->pins[middle] < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low == config->pins_count ? STRIPE_NOW : config->pins[low];
}

static bool is_reference(enum entry_kind kind) {
    return kind == ENTRY_PUT_BLOB || kind == ENTRY_VECTOR_ROW;
}

static lore_status drop(struct write_filter *filter, const struct entry *entry) {
    if (!is_reference(entry->kind)) return LORE_OK;
    return filter->config.dropped(filter->config.context, entry);
}

/* ---- what is held back ---- */

static lore_status hold(struct write_filter *filter, const struct entry *entry) {
    if (filter->held_count == filter->held_capacity) {
        size_t capacity = filter->held_capacity == 0 ? 8 : 2 * filter->held_capacity;
        void *memory = filter->held;
        TRY(mem_resize(filter->config.allocator, &memory,
                       filter->held_capacity * sizeof *filter->held,
                       capacity * sizeof *filter->held));
        filter->held = memory;
        filter->held_capacity = capacity;
    }
    size_t at = filter->held_values.size;
    TRY(bytes_append(&filter->held_values, entry->value.data, entry->value.size));
    filter->held[filter->held_count++] =
        (struct held_entry){entry->sequence, entry->kind, at, entry->value.size};
    filter->any_kept = true;
    return LORE_OK;
}

static struct entry held_entry_at(const struct write_filter *filter, size_t index) {
    const struct held_entry *held = &filter->held[index];
    lore_slice value = {NULL, 0};
    if (held->value_bytes > 0)
        value = slice(filter->held_values.data + held->value_at, held->value_bytes);
    return (struct entry){bytes_slice(&filter->key), held->sequence, held->kind, value};
}

static lore_status keep_held(struct write_filter *filter) {
    for (size_t i = 0; i < filter->held_count; i++) {
        struct entry entry = held_entry_at(filter, i);
        TRY(filter->config.keep(filter->config.context, &entry));
    }
    filter->held_count = 0;
    bytes_clear(&filter->held_values);
    return LORE_OK;
}

/* Whether a hook may yet drop the entry, if nothing older of its key stays: either no pin sees it,
 * or all do. */
static bool may_be_hooked(const struct write_filter *filter, const struct entry *entry) {
    const struct write_filter_config *config = &filter->config;
    if (!config->drop_deletes || config->hooks == NULL || config->hooks->drop == NULL) return false;
    bool alike = filter->limit == STRIPE_NOW || filter->limit == config->pins[0];
    return alike && !filter->any_kept && entry->kind != ENTRY_MERGE;
}

static lore_status keep(struct write_filter *filter, const struct entry *entry) {
    bool is_delete = entry->kind == ENTRY_DELETE;
    if (is_delete ? filter->config.drop_deletes : may_be_hooked(filter, entry))
        return hold(filter, entry);
    TRY(keep_held(filter));
    filter->any_kept = true;
    return filter->config.keep(filter->config.context, entry);
}

/* ---- merges ---- */

static lore_status settle_merge(struct write_filter *filter, enum entry_kind kind) {
    if (!filter->merging) return LORE_OK;
    filter->merging = false;
    struct entry entry = {bytes_slice(&filter->key), filter->merged_sequence, kind,
                          slice(filter->merged, filter->merged_bytes)};
    return keep(filter, &entry);
}

/* Put the older operand (or put) under what is merged so far; false if it does not fit. */
static bool combine(struct write_filter *filter, lore_slice older) {
    uint8_t combined[sizeof filter->merged];
    if (older.size != filter->merged_bytes ||
        !merge_combine(older, slice(filter->merged, filter->merged_bytes), combined))
        return false;
    memcpy(filter->merged, combined, filter->merged_bytes);
    return true;
}

static lore_status add_merge(struct write_filter *filter, const struct entry *entry) {
    if (filter->merging && combine(filter, entry->value)) return LORE_OK;
    TRY(settle_merge(filter, ENTRY_MERGE));
    if (!merge_is_valid(entry->value)) return keep(filter, entry); /* a read will report it */
    memcpy(filter->merged, entry->value.data, entry->value.size);
    filter->merged_bytes = entry->value.size;
    filter->merged_sequence = entry->sequence;
    filter->merging = true;
    return LORE_OK;
}

/* ---- entries ---- */

lore_status write_filter_end_key(struct write_filter *filter) {
    if (!filter->has_key) return LORE_OK;
    bool bottom = filter->config.drop_deletes;
    TRY(settle_merge(filter, bottom ? ENTRY_PUT : ENTRY_MERGE));
    while (bottom && filter->held_count > 0 &&
           filter->held[filter->held_count - 1].kind == ENTRY_DELETE)
        filter->held_count--;
    if (filter->held_count == 1 && filter->held[0].kind != ENTRY_DELETE) {
        struct entry entry = held_entry_at(filter, 0);
        const struct lsm_hooks *hooks = filter->config.hooks;
        if (hooks->drop(hooks->context, &entry)) {
            TRY(drop(filter, &entry));
            filter->held_count = 0;
        }
    }
    TRY(keep_held(filter));
    write_filter_reset(filter);
    return LORE_OK;
}

static lore_status begin_stripe(struct write_filter *filter, uint64_t limit) {
    TRY(settle_merge(filter, ENTRY_MERGE));
    filter->limit = limit;
    filter->closed = false;
    filter->covering = 0;
    if (filter->config.deletes != NULL)
        filter->covering =
            range_deletes_covering(filter->config.deletes, bytes_slice(&filter->key), limit);
    return LORE_OK;
}

static lore_status close_with(struct write_filter *filter, const struct entry *entry) {
    filter->closed = true;
    switch (entry->kind) {
    case ENTRY_DELETE:
        if (filter->merging) return settle_merge(filter, ENTRY_PUT); /* over nothing */
        break;
    case ENTRY_PUT:
        if (filter->merging && combine(filter, entry->value))
            return settle_merge(filter, ENTRY_PUT);
        break;
    default: break;
    }
    TRY(settle_merge(filter, ENTRY_MERGE));
    return keep(filter, entry);
}

lore_status write_filter_add(struct write_filter *filter, const struct entry *entry) {
    assert(entry->kind != ENTRY_RANGE_DELETE && entry->sequence <= SEQUENCE_MAX);
    if (!filter->has_key || !slice_equal(bytes_slice(&filter->key), entry->key)) {
        TRY(write_filter_end_key(filter));
        TRY(bytes_set(&filter->key, entry->key));
        filter->has_key = true;
    }
    uint64_t limit = stripe_limit(&filter->config, entry->sequence);
    if (limit != filter->limit) TRY(begin_stripe(filter, limit));
    if (filter->closed) return drop(filter, entry);
    if (entry->sequence < filter->covering) {
        filter->closed = true;
        TRY(settle_merge(filter, ENTRY_PUT)); /* over nothing */
        return drop(filter, entry);
    }
    if (entry->kind == ENTRY_MERGE) return add_merge(filter, entry);
    return close_with(filter, entry);
}

/* ---- range deletes ---- */

/* The first key after `key`. */
static lore_status set_successor(struct bytes *out, lore_slice key) {
    TRY(bytes_set(out, key));
    return append_u8(out, 0);
}

static lore_status keep_fragment(const struct write_filter_config *config,
                                 const struct range_fragment *fragment, lore_slice lower,
                                 lore_slice upper) {
    struct entry entry = {
        .key = fragment->begin, .kind = ENTRY_RANGE_DELETE, .value = fragment->end};
    if (slice_compare(entry.key, lower) < 0) entry.key = lower;
    if (upper.size > 0 && slice_compare(entry.value, upper) > 0) entry.value = upper;
    if (slice_compare(entry.key, entry.value) >= 0) return LORE_OK;
    for (size_t i = 0; i < fragment->count; i++) {
        bool pinned_below = config->pins_count > 0 && config->pins[0] < fragment->sequences[i];
        if (config->drop_deletes && !pinned_below) continue;
        entry.sequence = fragment->sequences[i];
        TRY(config->keep(config->context, &entry));
    }
    return LORE_OK;
}

lore_status write_filter_range_deletes(const struct write_filter_config *config, lore_slice after,
                                       lore_slice upto) {
    const struct range_deletes *deletes = config->deletes;
    if (deletes == NULL || deletes->count == 0) return LORE_OK;
    struct bytes lower = bytes_empty(config->allocator), upper = bytes_empty(config->allocator);
    lore_status status = LORE_OK;
    if (after.size > 0) status = set_successor(&lower, after);
    if (status == LORE_OK && upto.size > 0) status = set_successor(&upper, upto);
    size_t at = range_deletes_find(deletes, bytes_slice(&lower));
    for (; status == LORE_OK && at < deletes->count; at++) {
        const struct range_fragment *fragment = &deletes->fragments[at];
        if (upper.size > 0 && slice_compare(fragment->begin, bytes_slice(&upper)) >= 0) break;
        status = keep_fragment(config, fragment, bytes_slice(&lower), bytes_slice(&upper));
    }
    bytes_free(&lower);
    bytes_free(&upper);
    return status;
}
