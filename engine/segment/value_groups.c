/*
 * value_groups.c - groups of references, gathered by builders and looked up by readers.
 */
#include "segment/value_groups.h"

#include <assert.h>
#include <inttypes.h>

#include "base/poison.h"

#define CAPACITY_MIN 4u

lore_status value_groups_add(struct value_groups *groups, const struct value_ref *ref) {
    struct segment_group *last = groups->count == 0 ? NULL : &groups->list[groups->count - 1];
    if (last != NULL && last->logical_id == ref->logical_id) {
        if (ref->ordinal <= groups->last_ordinal) {
            return fail(LORE_CORRUPTION,
                        "value %" PRIu32 " of segment %" PRIu64
                        " does not come after value %" PRIu32,
                        ref->ordinal, ref->logical_id, groups->last_ordinal);
        }
        last->values++;
        groups->last_ordinal = ref->ordinal;
        return LORE_OK;
    }
    if (last != NULL && last->logical_id > ref->logical_id) {
        return fail(LORE_CORRUPTION,
                    "a value of segment %" PRIu64 " does not come after those of %" PRIu64,
                    ref->logical_id, last->logical_id);
    }
    if (groups->count == groups->capacity) {
        size_t capacity = groups->capacity == 0 ? CAPACITY_MIN : groups->capacity * 2;
        void *list = groups->list;
        TRY(mem_resize(groups->allocator, &list, groups->capacity * sizeof groups->list[0],
                       capacity * sizeof groups->list[0]));
        groups->list = list;
        groups->capacity = capacity;
    }
    groups->list[groups->count++] = (struct segment_group){ref->logical_id, 1};
    groups->last_ordinal = ref->ordinal;
    return LORE_OK;
}

lore_status value_groups_next(const struct value_groups *groups, uint64_t id, uint32_t *ordinal) {
    *ordinal = 0;
    if (groups->count == 0 || groups->list[groups->count - 1].logical_id != id) return LORE_OK;
    if (groups->last_ordinal == UINT32_MAX)
        return fail(LORE_TOO_BIG, "segment %" PRIu64 " can hold no more values", id);
    *ordinal = groups->last_ordinal + 1;
    return LORE_OK;
}

lore_status value_groups_to_summary(const struct value_groups *groups,
                                    struct segment_summary *summary) {
    assert(summary->groups == NULL);
    if (groups->count == 0) return LORE_OK;
    void *list;
    TRY(mem_get(summary->allocator, groups->count * sizeof groups->list[0], &list));
    memcpy(list, groups->list, groups->count * sizeof groups->list[0]);
    summary->groups = list;
    summary->groups_count = groups->count;
    return LORE_OK;
}

void value_groups_deinit(struct value_groups *groups) {
    if (groups->list == NULL) return;
    mem_put(groups->allocator, groups->list, groups->capacity * sizeof groups->list[0]);
    groups->list = NULL;
    groups->count = groups->capacity = 0;
}

/* ---- reading ---- */

static lore_status fill_ranges(struct value_map *map, const struct segment_summary *summary,
                               const char *path) {
    uint64_t first = 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct segment_group *group = &summary->groups[i];
        if (i > 0 && group->logical_id <= summary->groups[i - 1].logical_id)
            return fail(LORE_CORRUPTION, "%s: its groups are out of order", path);
        /* An ordinal has 32 bits. */
        if (group->values == 0 || group->values > UINT64_C(1) << 32)
            return fail(LORE_CORRUPTION, "%s: a group of %" PRIu64 " values", path, group->values);
        if (group->values > summary->entries - first)
            return fail(LORE_CORRUPTION, "%s: its groups hold more values than it has", path);
        map->ranges[i] = (struct value_range){group->logical_id, first};
        first += group->values;
    }
    map->ranges[map->count] = (struct value_range){UINT64_MAX, first};
    if (first != summary->entries)
        return fail(LORE_CORRUPTION, "%s: its groups hold fewer values than it has", path);
    return LORE_OK;
}

lore_status value_map_init(struct value_map *map, const struct allocator *allocator,
                           const struct segment_summary *summary, const char *path) {
    *map = (struct value_map){.count = summary->groups_count, .allocator = allocator};
    void *ranges;
    TRY(mem_get(allocator, (map->count + 1) * sizeof map->ranges[0], &ranges));
    map->ranges = ranges;
    lore_status status = fill_ranges(map, summary, path);
    if (status != LORE_OK) value_map_deinit(map);
    return status;
}

void value_map_deinit(struct value_map *map) {
    if (map->ranges == NULL) return;
    mem_put(map->allocator, map->ranges, (map->count + 1) * sizeof map->ranges[0]);
    map->ranges = NULL;
}

bool value_map_find(const struct value_map *map, uint64_t logical_id, size_t *group) {
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->ranges[middle].logical_id < logical_id)
            low = middle + 1;
        else
            high = middle;
    }
    *group = low;
    return low < map->count && map->ranges[low].logical_id == logical_id;
}

size_t value_map_at(const struct value_map *map, uint64_t position) {
    assert(position < map->ranges[map->count].first);
    size_t low = 0, high = map->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (map->ranges[middle].first <= position)
            low = middle;
        else
            high = middle;
    }
    return low;
}

lore_status value_map_search(const struct value_map *map, const struct value_ref *ref,
                             ordinal_at_fn ordinal_at, void *context, uint64_t *position,
                             bool *found) {
    *found = false;
    size_t group;
    if (!value_map_find(map, ref->logical_id, &group)) return LORE_OK;
    uint64_t first = map->ranges[group].first;
    uint64_t count = map->ranges[group + 1].first - first;
    uint32_t ordinal;
    uint64_t low = 0, high = count;
    if (ref->ordinal < count) {
        /* Where it is if none before it is missing; else it is further to the front. */
        *position = first + ref->ordinal;
        TRY(ordinal_at(context, *position, &ordinal));
        *found = ordinal == ref->ordinal;
        if (*found) return LORE_OK;
        high = ref->ordinal;
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        *position = first + middle;
        TRY(ordinal_at(context, *position, &ordinal));
        *found = ordinal == ref->ordinal;
        if (*found) return LORE_OK;
        if (ordinal < ref->ordinal)
            low = middle + 1;
        else
            high = middle;
    }
    return LORE_OK;
}
