/*
 * block_cache.h - decoded blocks by (segment id, offset), within the memory budget: it takes what
 * budget_try grants up to its own share and gives back, least recently used first (clock), when the
 * budget's reclaimer asks.
 *
 * A block got from the cache is pinned until it is released. A block that did not fit is still
 * returned, pinned and outside the cache, charged to BUDGET_QUERY.
 *
 * Threads: any; a few shards, each with a mutex; no I/O under a lock.
 */
#ifndef LORE_SEGMENT_BLOCK_CACHE_H
#define LORE_SEGMENT_BLOCK_CACHE_H

#include "base/budget.h"
#include "vfs/env.h"

struct block_cache;
struct block {
    const uint8_t *data; /* decompressed */
    uint32_t size;
};

MUST_USE lore_status block_cache_create(const lore_env *env, struct budget *budget,
                                        uint64_t share_bytes, struct block_cache **cache);
void block_cache_destroy(struct block_cache *cache);
/* NULL: not there. */
struct block *block_cache_get(struct block_cache *cache, uint64_t segment_id, uint64_t offset);
/* A pinned block of `size` bytes to be filled by the caller (through *data), not visible yet.
 * LORE_NO_MEMORY as the budget says. */
MUST_USE lore_status block_cache_prepare(struct block_cache *cache, uint32_t size,
                                         struct block **block, uint8_t **data);
/* Make a prepared block findable. If another thread was first, *block becomes that one. */
void block_cache_publish(struct block_cache *cache, uint64_t segment_id, uint64_t offset,
                         struct block **block);
void block_cache_release(struct block_cache *cache, struct block *block);
/* Forget all blocks of a segment (dropped files). */
void block_cache_forget(struct block_cache *cache, uint64_t segment_id);
uint64_t block_cache_bytes(struct block_cache *cache);
uint64_t block_cache_hits(struct block_cache *cache);
uint64_t block_cache_misses(struct block_cache *cache);
/* For budget.reclaim. */
uint64_t block_cache_reclaim(void *cache, uint64_t want);

#endif
