/*
 * access.h - access counts that are not written yet: a hash from id to how often and when last,
 * bounded in number, written as merge entries in batches, never one write a read.
 *
 * Written when access_flush_ms have passed since the first of them (by the store's tick), when
 * there is room for no more (by the reader that finds it so), and before the store is closed. Each
 * merge requires its ID key to be unchanged, so that a count never comes after the delete of its
 * memory. Counts are taken out only after their batch is committed: for that moment a read may see
 * them twice.
 *
 * Threads: any. The mutex is not held during reads, commits or allocation.
 */
#ifndef LORE_MEMORY_ACCESS_H
#define LORE_MEMORY_ACCESS_H

#include "memory/memory.h"

#define ACCESS_IDS_MAX 1024u
#define ACCESS_BUCKETS 256u

struct access_entry {
    struct access_entry *next;
    uint64_t hash;
    int64_t count; /* above 0 */
    int64_t last_us;
    size_t id_size;
    uint8_t id[];
};

struct access_counts {
    const lore_env *env;
    struct mutex *mutex;
    struct condition *idle;            /* writing has become false */
    const struct allocator *allocator; /* of the entries; set with the first */
    struct access_entry *buckets[ACCESS_BUCKETS];
    size_t count;
    uint64_t oldest_us; /* monotonic: since when the oldest count waits */
    bool writing;       /* somebody writes them */
};

MUST_USE lore_status access_init(struct access_counts *counts, const lore_env *env);
void access_deinit(struct access_counts *counts);

/* What a read of `id` must add. */
void access_pending(struct access_counts *counts, lore_slice id, int64_t *count, int64_t *last_us);
/* Forget the counts of an id that was deleted, or whose counts were set. */
void access_forget(struct access_counts *counts, lore_slice id);
/* Write all; waits for another writer of counts first when `wait`, else leaves it to that one. */
MUST_USE lore_status access_write(lore_store *store, bool wait);
/* Write all if they have waited for access_flush_ms. */
void access_tick(lore_store *store);

/* The value and the operand of an ACCESS key. */
#define ACCESS_VALUE_BYTES 18u
void access_encode(uint8_t out[ACCESS_VALUE_BYTES], int64_t count, int64_t last_us);
bool access_decode(lore_slice value, int64_t *count, int64_t *last_us);

#endif
