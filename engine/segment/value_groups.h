/*
 * value_groups.h - which references a blob or row file holds. Its values stand in the order
 * (logical id, ordinal), so a group, all those of one logical id, is a range of positions.
 *
 * A file as first written has one group, of its own id, with ordinals 0, 1, 2...: dense, so a
 * value's ordinal is its place. A rewrite keeps groups with gaps, in which a value is looked for by
 * binary search.
 */
#ifndef LORE_SEGMENT_VALUE_GROUPS_H
#define LORE_SEGMENT_VALUE_GROUPS_H

#include "segment/segment.h"

/* ---- while writing ---- */

struct value_groups {
    struct segment_group *list; /* ascending by logical id; owner: this, of `allocator` */
    size_t count, capacity;
    uint32_t last_ordinal; /* of the last group */
    const struct allocator *allocator;
};
/* Note one more value. LORE_CORRUPTION if it does not come after the one before. */
MUST_USE lore_status value_groups_add(struct value_groups *groups, const struct value_ref *ref);
/* The ordinal of the next new value of file `id`. LORE_TOO_BIG when there are no more. */
MUST_USE lore_status value_groups_next(const struct value_groups *groups, uint64_t id,
                                       uint32_t *ordinal);
/* Copy them to a summary that has none. */
MUST_USE lore_status value_groups_to_summary(const struct value_groups *groups,
                                             struct segment_summary *summary);
void value_groups_deinit(struct value_groups *groups);

/* ---- while reading ---- */

struct value_map {
    struct value_range {
        uint64_t logical_id;
        uint64_t first; /* position of its first value */
    } * ranges; /* count of them, ascending, and one more whose `first` is the number of values */
    size_t count;
    const struct allocator *allocator;
};
/* LORE_CORRUPTION if the summary's groups are out of order, empty, or do not add up to its entries.
 * `path` is for the text. */
MUST_USE lore_status value_map_init(struct value_map *map, const struct allocator *allocator,
                                    const struct segment_summary *summary, const char *path);
void value_map_deinit(struct value_map *map);
/* The index of the group of a logical id; false if it is not here. */
bool value_map_find(const struct value_map *map, uint64_t logical_id, size_t *group);
/* The group in which a position lies; position < number of values. */
size_t value_map_at(const struct value_map *map, uint64_t position);
/* What the file's index says of a position. */
typedef lore_status (*ordinal_at_fn)(void *context, uint64_t position, uint32_t *ordinal);
/* Look for a value. The last call of `ordinal_at` was for the position where it was found. */
MUST_USE lore_status value_map_search(const struct value_map *map, const struct value_ref *ref,
                                      ordinal_at_fn ordinal_at, void *context, uint64_t *position,
                                      bool *found);

#endif
