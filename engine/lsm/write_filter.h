/*
 * write_filter.h - what flush and compaction keep. Entries go in one by one, key ascending,
 * sequence descending; what must stay comes out in the same order.
 *
 * The pinned sequences cut time into stripes; within one nobody can tell two versions apart:
 *
 *   sequence   1 ... p1 | ... p2 | ... pn | ...
 *   stripe        0         1       n-1     n (now)
 *
 * Of each key and stripe the newest version stays. In detail:
 *
 *   put, vector    stays, and closes its stripe: what is older in it goes
 *   merge          is combined with the older ones of its stripe, and with the put that they end on
 * (the result is a put). What cannot be combined (a put in a blob file, another form) stays as it
 * is, beneath delete         stays and closes its stripe; with drop_deletes it goes where no older
 * version of the key stays range delete   what it covers in its own stripe goes, as under a delete.
 * Itself it stays, in pieces, unless drop_deletes and no pin is older than it
 *
 * drop_deletes says that nothing older lies beneath the output. Then a merge that nothing lies
 * under becomes a put, and hooks.drop is asked about a put that is the only version left of its key
 * and that no pinned sequence sees, or all do.
 *
 * A reference (ENTRY_PUT_BLOB, ENTRY_VECTOR_ROW) that goes is told to `dropped`: its value is
 * garbage from now on.
 *
 * Ownership: the config's pointers outlive the filter. Threads: none of its own.
 */
#ifndef LORE_LSM_WRITE_FILTER_H
#define LORE_LSM_WRITE_FILTER_H

#include "base/merge.h"
#include "lsm/lsm.h"
#include "lsm/range_deletes.h"

struct write_filter_config {
    const struct allocator *allocator;
    const uint64_t *pins; /* ascending */
    size_t pins_count;
    const struct range_deletes
        *deletes; /* built over these pins, of everything that goes in; NULL: none */
    bool drop_deletes;
    const struct lsm_hooks *hooks; /* NULL: none */
    void *context;                 /* of the two calls */
    /* Slices live during the call. */
    lore_status (*keep)(void *context, const struct entry *entry);
    lore_status (*dropped)(void *context, const struct entry *entry);
};

struct held_entry {
    uint64_t sequence;
    enum entry_kind kind;
    size_t value_at, value_bytes; /* in write_filter.held_values */
};

struct write_filter {
    struct write_filter_config config;
    struct bytes key; /* at hand */
    bool has_key;
    bool any_kept;            /* of this key: kept or held */
    uint64_t limit;           /* of the stripe at hand: its highest sequence; 0: none yet */
    bool closed;              /* nothing more of this stripe stays */
    uint64_t covering;        /* the newest range delete over the key in this stripe; 0: none */
    bool merging;             /* `merged` holds operands combined */
    uint64_t merged_sequence; /* of the newest of them */
    uint8_t merged[MERGE_FIELD_BYTES * MERGE_FIELDS_MAX];
    size_t merged_bytes;
    struct held_entry *held; /* newest first; not yet decided */
    size_t held_count, held_capacity;
    struct bytes held_values;
};

void write_filter_init(struct write_filter *filter, const struct write_filter_config *config);
void write_filter_deinit(struct write_filter *filter);
MUST_USE lore_status write_filter_add(struct write_filter *filter, const struct entry *entry);
/* No more entries of the key at hand: what is held is decided. */
MUST_USE lore_status write_filter_end_key(struct write_filter *filter);
/* Forget the key at hand and what is held. */
void write_filter_reset(struct write_filter *filter);

/* The range deletes that stay, as pieces within (after, upto], to `keep` in table order. A bound of
 * size 0: none. */
MUST_USE lore_status write_filter_range_deletes(const struct write_filter_config *config,
                                                lore_slice after, lore_slice upto);

#endif
