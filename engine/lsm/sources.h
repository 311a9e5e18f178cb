/*
 * sources.h - one cursor form over what holds entries: a memtable, or a run of tables. Order: key ascending, sequence
 * descending; forward by source_next, backward by source_prev, never both without a seek between.
 *
 * A run's tables are opened one after the other; cuts are honoured. A broken table stands in the order as a
 * SOURCE_BROKEN position at the bound of its range where the walk enters it: who reaches it has reached what
 * cannot be read, and moving on from there steps over the whole range.
 *
 * Point entries only: range deletes are gathered by source_range_deletes.
 *
 * Ownership: the memtable or the version that the run is part of is the caller's and outlives the source.
 */
#ifndef LORE_LSM_SOURCES_H
#define LORE_LSM_SOURCES_H

#include "lsm/range_deletes.h"
#include "lsm/version.h"
#include "memtable/memtable.h"

enum source_kind { SOURCE_MEMTABLE, SOURCE_RUN };
enum source_at { SOURCE_END, SOURCE_ENTRY, SOURCE_BROKEN };

/* How a run's tables are read. */
struct source_mode {
    const struct allocator *allocator; /* of table cursors */
    bool scan;                         /* past the cache, with read-ahead */
    uint32_t readahead_bytes;
    struct read_count *count;          /* where reads are added up; may be NULL */
};

struct source {
    enum source_kind kind;
    enum source_at at;
    /* SOURCE_ENTRY: where it stands; slices live until it moves. SOURCE_BROKEN: key is the bound of the hurt range. */
    struct entry entry;
    uint64_t head[2];   /* the first 16 bytes of entry.key as big-endian words, zeros after its end */
    bool after;         /* SOURCE_BROKEN: in key order the position lies after all versions of the bound (else before) */

    struct memtable_cursor memtable;
    const struct run *run;
    size_t table;                /* index in run->tables of where the cursor is */
    struct table_cursor *cursor; /* over run->tables[table]; NULL: none open */
    struct source_mode mode;
};

void source_init_memtable(struct source *source, const struct memtable *memtable);
void source_init_run(struct source *source, const struct run *run, const struct source_mode *mode);
void source_deinit(struct source *source);

/* First position at or after (key, sequence). */
MUST_USE lore_status source_seek(struct source *source, lore_slice key, uint64_t sequence);
/* Last position of a key smaller than `key`. */
MUST_USE lore_status source_seek_before(struct source *source, lore_slice key);
MUST_USE lore_status source_seek_first(struct source *source);
MUST_USE lore_status source_seek_last(struct source *source);
MUST_USE lore_status source_next(struct source *source);
MUST_USE lore_status source_prev(struct source *source);
/* Add what the open table cursor has read so far to mode.count. */
void source_collect_counts(struct source *source);
/* For SOURCE_BROKEN: the status and text of the table, set as this thread's error. */
lore_status source_broken(const struct source *source);

/* Add to `deletes` the range deletes of a memtable or run that are not newer than `sequence` and touch [lower, upper)
 * (size 0: no bound), as they stand: a cut does not clip them. LORE_CORRUPTION is not raised for broken tables here:
 * the walk meets them. */
MUST_USE lore_status source_memtable_range_deletes(const struct memtable *memtable, uint64_t sequence,
                                                   lore_slice lower, lore_slice upper,
                                                   struct range_deletes *deletes);
MUST_USE lore_status source_run_range_deletes(const struct run *run, uint64_t sequence, lore_slice lower,
                                              lore_slice upper, struct range_deletes *deletes);

#endif
