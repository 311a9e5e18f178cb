/*
 * version_parts.h - a version taken apart: its tables as one list, each with its place, and its value files. Changes of shape and
 * loading work on this form; version_build puts it together.
 *
 * Every element holds a reference; deinit gives them back.
 */
#ifndef LORE_LSM_VERSION_PARTS_H
#define LORE_LSM_VERSION_PARTS_H

#include "lsm/version.h"

struct placed_table {
    uint8_t level;
    uint64_t run, run_order;
    struct table_handle *handle;
    struct bytes cut;
};

struct version_parts {
    const struct allocator *allocator;
    struct placed_table *tables;
    size_t tables_count, tables_capacity;
    struct value_file **values;
    size_t values_count, values_capacity;
};

void version_parts_init(struct version_parts *parts, const struct allocator *allocator);
void version_parts_deinit(struct version_parts *parts);
MUST_USE lore_status version_parts_reserve(struct version_parts *parts, size_t tables, size_t values);
MUST_USE lore_status version_take_apart(const struct version *version, struct version_parts *parts);
/* A version with one reference, the caller's. The parts' references move into it (parts is left empty); after a failure
 * they are where they were. LORE_CORRUPTION: tables of a run overlap, two files answer for one logical id, or a level is
 * out of range. */
MUST_USE lore_status version_build(struct version_parts *parts, uint64_t number, struct version **version);

/* Open a segment, with a copy of the summary and one reference. With `keep_broken`, a file that is missing or fails its
 * check becomes a broken one, and only LORE_NO_MEMORY and LORE_IO fail (and LORE_NOT_FOUND when `strict`). */
MUST_USE lore_status table_handle_open(const struct segment_context *context,
                                       const struct segment_summary *summary, bool keep_broken,
                                       bool strict, struct table_handle **handle);
MUST_USE lore_status value_file_open(const struct segment_context *context,
                                     const struct segment_summary *summary, bool keep_broken,
                                     bool strict, struct value_file **file);
void table_handle_release(struct table_handle *handle);
void value_file_release(struct value_file *file);
/* Its file is unlinked when the last reference goes. */
void table_handle_mark_dropped(struct table_handle *handle);
void value_file_mark_dropped(struct value_file *file);

#endif
