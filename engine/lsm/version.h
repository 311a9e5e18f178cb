/*
 * version.h - the shape of the tree at one moment: which tables stand in which run of which level, and which blob and row
 * files they refer to. Immutable once installed; counted by references; what no version refers to any more is closed and,
 * if it was dropped, unlinked.
 *
 *   level 0        runs as flush wrote them, one table each
 *   level 1..n-1   tiered: up to fan_in runs, each a list of tables in key order that do not overlap
 *   level n        the last: one run
 *
 * Order of age: memtables, then level 0 newest run first, then level 1 newest run first, ... A key's newest version is in the
 * first source that has it.
 *
 * A table may carry a cut: entries with keys <= cut have moved on to the output of the merge in progress and are not seen
 * here. A merge commits after each output table, so at any moment every key range is answered by exactly one side.
 *
 * A broken table or value file (missing, or its footer fails its check) keeps its place: reads that reach its key range return
 * LORE_CORRUPTION.
 */
#ifndef LORE_LSM_VERSION_H
#define LORE_LSM_VERSION_H

#include <stdatomic.h>
#include "catalog/schema.h"
#include "segment/blob.h"
#include "segment/file_pool.h"
#include "segment/rows.h"
#include "segment/table.h"

#define LEVELS_MAX 8u

/* One open table, shared by every version (and every cut) that has it. */
struct table_handle {
    _Atomic uint32_t references;
    struct segment_summary summary;
    struct table *table;      /* NULL when broken */
    lore_status broken;       /* LORE_OK, or why it could not be opened */
    char why[160];            /* its text */
};

struct table_slot {
    struct table_handle *handle;
    struct bytes cut;         /* empty: none; owner: the version */
};

struct run {
    uint64_t id;
    uint64_t order;           /* newer runs of a level have larger ones */
    struct table_slot *tables; /* in key order */
    size_t count;
    uint64_t bytes;           /* of its files */
};

struct level {
    struct run *runs;         /* newest first */
    size_t count;
};

/* A blob or row file. */
struct value_file {
    _Atomic uint32_t references;
    struct segment_summary summary;
    struct blob *blob;        /* kind SEGMENT_BLOB */
    struct rows *rows;        /* kind SEGMENT_ROWS */
    lore_status broken;
    char why[160];
    _Atomic uint64_t garbage_values, garbage_bytes; /* as the catalog has them; changed by the background alone */
};

struct version {
    _Atomic uint32_t references;
    uint64_t number;          /* grows with each installed one */
    const struct allocator *allocator;
    struct level levels[LEVELS_MAX]; /* parts of runs */
    struct run *runs;            /* all runs: runs_count, level by level; their tables are parts of slots */
    size_t runs_count;
    struct table_slot *slots;    /* all tables: slots_count, each holding a reference */
    size_t slots_count;
    struct value_file **values;  /* values_count, each holding a reference */
    size_t values_count;
    /* logical id -> index into values, ascending by logical id */
    struct value_group {
        uint64_t logical_id;
        size_t index;
    } *groups;
    size_t groups_count;
    uint64_t range_deletes;   /* in all tables: 0 lets readers skip them */
};

void version_retain(struct version *version);
void version_release(struct version *version);
/* The position of a table by its id; false: not here. */
bool version_find_table(const struct version *version, uint64_t id, const struct run **run, size_t *at);
/* NULL: no such run. */
const struct run *version_find_run(const struct version *version, uint64_t id, uint8_t *level);
/* NULL: no such file. */
struct value_file *version_value_file(const struct version *version, uint64_t logical_id);

/* Position of the first table of `run` whose range ends at or after key (run->count: none). Cuts count. */
size_t run_find(const struct run *run, lore_slice key);
/* Whether key lies within the slot's range, its cut included. */
bool table_slot_covers(const struct table_slot *slot, lore_slice key);
/* Effective lower bound of what the slot shows: first_key, or just above its cut. `exclusive` says which. */
lore_slice table_slot_lower(const struct table_slot *slot, bool *exclusive);

/* Read a value that lies in a blob or row file. `key` is the entry's whole key. */
MUST_USE lore_status version_read_value(const struct version *version, const struct entry *entry,
                                        struct read_count *count, struct bytes *value);

/* A change from one version to the next; the background's way to say what it did. Catalog records for it are in the same
 * catalog_edit, which is committed first. */
struct version_change {
    struct added_table {
        uint8_t level;
        uint64_t run, run_order;
        struct segment_summary *summary; /* moved in: owner is the change until applied */
    } *added;
    size_t added_count;
    struct recut_table {
        uint64_t id;
        struct bytes cut;
    } *recut;
    size_t recut_count;
    struct moved_table {      /* a trivial move: the same file in another run */
        uint64_t id;
        uint8_t level;
        uint64_t run, run_order;
    } *moved;
    size_t moved_count;
    uint64_t *dropped;        /* ids of tables and value files that are gone from the tree: their files are unlinked with
                               * the last version that has them */
    size_t dropped_count;
    struct segment_summary **added_values; /* blob and row files */
    size_t added_values_count;
    struct garbage_change {
        uint64_t id;          /* of the file (not logical) */
        uint64_t values, bytes; /* new totals */
    } *garbage;
    size_t garbage_count;
    const struct allocator *allocator;
};
void version_change_init(struct version_change *change, const struct allocator *allocator);
void version_change_deinit(struct version_change *change);
MUST_USE lore_status version_change_add_table(struct version_change *change, uint8_t level, uint64_t run,
                                              uint64_t run_order, const struct segment_summary *summary);
MUST_USE lore_status version_change_recut(struct version_change *change, uint64_t id, lore_slice cut);
MUST_USE lore_status version_change_move(struct version_change *change, uint64_t id, uint8_t level,
                                         uint64_t run, uint64_t run_order);
MUST_USE lore_status version_change_drop(struct version_change *change, uint64_t id);
MUST_USE lore_status version_change_add_value_file(struct version_change *change,
                                                   const struct segment_summary *summary);
MUST_USE lore_status version_change_garbage(struct version_change *change, uint64_t id, uint64_t values,
                                            uint64_t bytes);

/* The catalog records that say the same: puts and deletes of 'S' records, appended to `edit`. `from` is the version that the
 * change applies to. Dropped segments get state SEGMENT_DROPPED. */
MUST_USE lore_status version_change_to_edit(const struct version_change *change, const struct version *from,
                                            struct catalog_edit *edit);
/* A new version: `from` with the change applied, new files opened. One reference is the caller's. Fails without a trace. */
MUST_USE lore_status version_apply(const struct version *from, const struct segment_context *context,
                                   const struct version_change *change, struct version **version);
/* Garbage is a number beside the shape, and older versions see the new one too. So it is set apart, once the change is
 * committed: a change that failed and is made again must not count twice. */
void version_change_set_garbage(const struct version_change *change, const struct version *version);
/* From the catalog's 'S' records, at open. Files that fail to open become broken slots, never a failure here (but
 * LORE_NO_MEMORY and LORE_IO are). With `strict` a missing file is LORE_NOT_FOUND: a read-only opener starts again. */
MUST_USE lore_status version_load(struct catalog *catalog, const struct segment_context *context,
                                  const struct allocator *allocator, bool strict,
                                  struct version **version);

#endif
