/*
 * policy.h - which work on the tree's shape is due. Pure: numbers in, a choice out; no I/O, no
 * memory, no clock.
 *
 * Lazy leveling. With fan-in T and memtables of B bytes:
 *
 *   level 0        runs as flush wrote them; T of them merge into one run of level 1
 *   level 1..n-1   T runs merge into one of the next level
 *   level n        one run. n >= 2, and grows with the run, so that B * T^n stays at a quarter of
 * it or more
 *
 * Space at rest: what lies above the last run is at most POLICY_SPARE_PERCENT of it, in bytes and
 * in entries (deletes are small, what they delete need not be), and range deletes above cover no
 * more of it than that. Past that everything above merges into the last run. A value file is
 * rewritten when more of it than that is garbage. So space is at most 1.5 times what lives.
 *
 * Order of age rules what may merge: inputs are always the oldest runs of their levels, without a
 * gap, and level 0 is moved to level 1 (a catalog commit) before a merge from there on down; so a
 * run of level 0 is an input only of the small merge, and two merges can run beside each other:
 * small (level 0 to level 1) and main (all others).
 *
 * Room: a merge lets go of a table when all of it has moved. So at worst it needs room for one
 * table of each run, the largest; a rewrite for what is alive in its files.
 *
 * Damage: what is blocked stays where it is, and so must all that is newer. Runs above it that have
 * no way down merge with each other, within their level, so that they stay few.
 */
#ifndef LORE_LSM_POLICY_H
#define LORE_LSM_POLICY_H

#include "lsm/version.h"

#define POLICY_SPARE_PERCENT 30u
/* Value files of one kind and space that are smaller than table_bytes_max / POLICY_SMALL_SHARE are
 * joined when so many lie beside each other. */
#define POLICY_SMALL_SHARE 8u
#define POLICY_JOIN_FILES  8u
#define POLICY_LEVEL_MIN   2u /* the last level is at least this one */

struct policy_limits {
    uint32_t fan_in;
    uint64_t memtable_bytes, table_bytes_max;
    uint32_t sources_max; /* runs that one merge can have open */
    uint64_t room_bytes;  /* on the disk; what needs more is not chosen. 0: not known */
};

struct policy_run {
    uint64_t id;
    uint8_t level;
    bool busy;    /* part of a merge in progress */
    bool blocked; /* part of one that met damage */
    uint64_t bytes, entries;
    uint64_t table_bytes; /* of its largest table */
};

struct policy_file {
    uint64_t id, first_logical_id;
    bool is_blob;
    uint32_t space;
    bool busy, blocked;
    bool fresh; /* written since a compaction was asked for, which need not rewrite it again */
    uint64_t bytes, values, value_bytes, garbage_values, garbage_bytes;
};

struct policy_shape {
    const struct policy_run *runs; /* newest first, as a version has them */
    size_t runs_count;
    const struct policy_file *files; /* ascending by kind, space, first_logical_id */
    size_t files_count;
    uint64_t covered_bytes;    /* of the last run, about: beneath range deletes of runs above */
    const uint64_t *droppable; /* tables that a range delete covers wholly, for everyone */
    size_t droppable_count;
};

enum policy_kind {
    POLICY_NONE,
    POLICY_DROP,   /* ids: tables and value files that nobody needs */
    POLICY_SHIFT,  /* ids: runs of level 0, oldest first, to become runs of level 1 */
    POLICY_SINK,   /* ids: the last run, to move to `level` */
    POLICY_MERGE,  /* ids: input runs; to a new run of `level`, or into the last run */
    POLICY_REWRITE /* ids: value files, ascending by logical id, into one */
};

struct policy_choice {
    enum policy_kind kind;
    uint8_t level;     /* where to */
    bool into_last;    /* merge: level is the last; nothing older lies beneath it */
    uint64_t last_run; /* merge into_last: the run that is there, an input too; 0: none */
    bool everything;   /* merge: of all runs that there are */
    uint64_t place_of; /* merge: the output stands where this run stood; 0: newest of `level` */
    uint64_t ids[JOB_RUNS_MAX];
    size_t count;
    bool starved; /* something was due, and left for want of room */
};

/* How many levels a last run of so many bytes wants: the index of the last. */
uint8_t policy_last_level(const struct policy_limits *limits, uint64_t last_bytes);
/* The last run: the only one of the deepest level, if that is deep enough. NULL: none. */
const struct policy_run *policy_last_run(const struct policy_shape *shape);

/* A merge of level 0 into level 1. */
bool policy_choose_small(const struct policy_shape *shape, const struct policy_limits *limits,
                         struct policy_choice *choice);
/* All else. `compact`: everything is to become one run, and value files with any garbage are due.
 */
bool policy_choose_main(const struct policy_shape *shape, const struct policy_limits *limits,
                        bool compact, bool compacted, struct policy_choice *choice);

/* Back-pressure. 0 while level 0 holds at most two merges' worth of runs and the active memtable
 * has room for half a memtable while the frozen one waits; from there on it grows with the square
 * of the debt. */
uint64_t policy_delay_us(const struct policy_limits *limits, uint64_t level0_runs, uint64_t runs,
                         bool frozen_waits, uint64_t active_bytes);

#endif
