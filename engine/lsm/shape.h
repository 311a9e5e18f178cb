/*
 * shape.h - a version as the numbers that policy.h chooses by. Reads what open files keep in
 * memory, nothing else.
 */
#ifndef LORE_LSM_SHAPE_H
#define LORE_LSM_SHAPE_H

#include "lsm/policy.h"

/* What the background knows of runs and files. */
struct shape_marks {
    void *context;
    bool (*run_is_busy)(void *context, uint64_t run);
    bool (*run_is_blocked)(void *context, uint64_t run);
    bool (*file_is_busy)(void *context, uint64_t file);
    bool (*file_is_blocked)(void *context, uint64_t file);
    bool (*file_is_fresh)(void *context, uint64_t file);
    uint64_t oldest_pin; /* 0: none */
};

struct shape {
    const struct allocator *allocator;
    struct policy_shape policy; /* over what follows */
    struct policy_run *runs;
    struct policy_file *files;
    uint64_t *droppable;
    size_t runs_count, files_count, droppable_capacity;
};

MUST_USE lore_status shape_init(struct shape *shape, const struct allocator *allocator,
                                const struct version *version, const struct shape_marks *marks);
void shape_deinit(struct shape *shape);

/* How much of the keys from `first` to `last` lies in [begin, end), in thousandths, as if keys were
 * spread evenly. */
uint32_t shape_share_permille(lore_slice first, lore_slice last, lore_slice begin, lore_slice end);

#endif
