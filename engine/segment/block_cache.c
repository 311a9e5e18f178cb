/*
 * block_cache.c - the cache of decoded blocks.
 *
 * A block is in one of three states:
 *
 *   prepared    made by block_cache_prepare; one owner, in no shard
 *   published   in its shard's hash chains and clock ring; any number of pins, also none
 *   forgotten   taken out of its shard while pinned; freed by the last release
 *
 * Evicting is by clock: the hand of a shard clears the mark of a block that was used since it last
 * came by, and frees one that was not. A block enters without the mark, so that a single scan does
 * not push out what is used again and again.
 *
 * Charges: a block that fits under the cache's share and that the budget grants is BUDGET_CACHE;
 * any other is BUDGET_QUERY, is never published and dies with its release. Hash chains and shards
 * are charged to BUDGET_CACHE, too.
 *
 * Threads: a shard's mutex guards its chains, ring and counters and the pins of its blocks. No
 * shard's mutex is held while another is taken, nor while the budget may call the reclaimer, which
 * is this cache.
 */
#include "segment/block_cache.h"

#include <assert.h>

#include "vfs/rare.h"
#include "base/poison.h"

#define SHARDS              8u
#define BUCKET_BYTES        4096u /* of share per hash chain: about one block */
#define BUCKETS_MIN         16u
#define BLOCKS_MIN          8u  /* a block is cached if at least so many of its size would fit */
#define PREPARE_ROUNDS      4   /* another thread may take what was evicted */
#define HOST_OVERHEAD_BYTES 16u /* what the host's allocator keeps beside each piece of memory */

struct shard;
struct cached_block {
    struct block block;  /* first: callers have its address */
    struct shard *shard; /* NULL: prepared, not published */
    struct cached_block *chain_next;
    struct cached_block *ring_next, *ring_previous;
    uint64_t segment_id;
    uint64_t offset;
    uint32_t pins;
    bool findable;
    bool used; /* since the hand last came by */
    enum budget_purpose purpose;
    _Alignas(16) uint8_t bytes[];
};

struct shard {
    struct mutex *mutex;
    struct cached_block **chains; /* cache->chains_count of them; owner: the shard */
    struct cached_block *hand;    /* NULL: the ring is empty */
    size_t blocks;
    uint64_t hits, misses;
};

struct block_cache {
    const lore_env *env;
    struct budget *budget;
    uint64_t share_bytes;
    _Atomic uint64_t used_bytes; /* what is charged to BUDGET_CACHE, this struct included */
    _Atomic uint32_t next_shard; /* to evict from */
    size_t chains_count;         /* a power of two */
    uint64_t fixed_bytes;        /* charged at creation */
    struct shard shards[SHARDS];
};

static void lock(struct block_cache *cache, struct shard *shard) {
    env_lock(cache->env, shard->mutex);
}

static void unlock(struct block_cache *cache, struct shard *shard) {
    env_unlock(cache->env, shard->mutex);
}

static uint64_t hash_place(uint64_t segment_id, uint64_t offset) {
    uint64_t hash = segment_id * UINT64_C(0x9e3779b97f4a7c15) ^ offset;
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

static struct shard *shard_of(struct block_cache *cache, uint64_t hash) {
    return &cache->shards[hash % SHARDS];
}

static struct cached_block **chain_of(struct block_cache *cache, struct shard *shard,
                                      uint64_t hash) {
    return &shard->chains[(hash / SHARDS) & (cache->chains_count - 1)];
}

static size_t memory_of(uint32_t size) {
    return sizeof(struct cached_block) + size;
}

static uint64_t charge_of(uint32_t size) {
    return (uint64_t)memory_of(size) + HOST_OVERHEAD_BYTES;
}

/* ---- life ---- */

static size_t chains_for(uint64_t share_bytes) {
    size_t count = BUCKETS_MIN;
    while ((uint64_t)count * SHARDS * BUCKET_BYTES < share_bytes && count < (UINT32_C(1) << 24))
        count *= 2;
    return count;
}

lore_status block_cache_create(const lore_env *env, struct budget *budget, uint64_t share_bytes,
                               struct block_cache **cache) {
    size_t chains_count = chains_for(share_bytes);
    size_t chain_bytes = chains_count * sizeof(struct cached_block *);
    uint64_t fixed_bytes = sizeof(struct block_cache) + HOST_OVERHEAD_BYTES +
                           SHARDS * ((uint64_t)chain_bytes + HOST_OVERHEAD_BYTES);
    TRY(budget_take(budget, BUDGET_CACHE, fixed_bytes));
    void *memory;
    lore_status status = mem_new(env->allocator, sizeof(struct block_cache), &memory);
    if (status != LORE_OK) {
        budget_give(budget, BUDGET_CACHE, fixed_bytes);
        return status;
    }
    struct block_cache *made = memory;
    made->env = env;
    made->budget = budget;
    made->share_bytes = share_bytes;
    made->chains_count = chains_count;
    made->fixed_bytes = fixed_bytes;
    atomic_init(&made->used_bytes, fixed_bytes);
    atomic_init(&made->next_shard, 0);
    for (uint32_t i = 0; i < SHARDS && status == LORE_OK; i++) {
        struct shard *shard = &made->shards[i];
        void *chains = NULL;
        status = mem_new(env->allocator, chain_bytes, &chains);
        shard->chains = chains;
        if (status == LORE_OK) status = env_mutex_create(env, &shard->mutex);
    }
    if (status != LORE_OK) {
        block_cache_destroy(made);
        return status;
    }
    *cache = made;
    return LORE_OK;
}

static void block_free(struct block_cache *cache, struct cached_block *block) {
    uint32_t size = block->block.size;
    enum budget_purpose purpose = block->purpose;
    mem_put(cache->env->allocator, block, memory_of(size));
    if (purpose == BUDGET_CACHE) atomic_fetch_sub(&cache->used_bytes, charge_of(size));
    budget_give(cache->budget, purpose, charge_of(size));
}

/* Out of chain and ring; the block stays as it is otherwise. The shard is locked. */
static void shard_remove(struct block_cache *cache, struct shard *shard,
                         struct cached_block *block) {
    assert(block->findable && block->shard == shard);
    struct cached_block **at = chain_of(cache, shard, hash_place(block->segment_id, block->offset));
    while (*at != block)
        at = &(*at)->chain_next;
    *at = block->chain_next;
    if (shard->hand == block) shard->hand = block->ring_next;
    if (shard->hand == block) shard->hand = NULL;
    block->ring_previous->ring_next = block->ring_next;
    block->ring_next->ring_previous = block->ring_previous;
    block->findable = false;
    shard->blocks--;
}

void block_cache_destroy(struct block_cache *cache) {
    if (cache == NULL) return;
    const lore_env *env = cache->env;
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        while (shard->hand != NULL) {
            struct cached_block *block = shard->hand;
            assert(block->pins == 0);
            shard_remove(cache, shard, block);
            block_free(cache, block);
        }
        mem_put(env->allocator, shard->chains, cache->chains_count * sizeof(struct cached_block *));
        env_mutex_destroy(env, shard->mutex);
    }
    assert(atomic_load(&cache->used_bytes) == cache->fixed_bytes);
    budget_give(cache->budget, BUDGET_CACHE, cache->fixed_bytes);
    mem_put(env->allocator, cache, sizeof *cache);
}

/* ---- evicting ---- */

/* Free at least `want` bytes of one shard's unpinned blocks, or all there are. Returns what was
 * freed. */
static uint64_t shard_evict(struct block_cache *cache, struct shard *shard, uint64_t want) {
    uint64_t freed = 0;
    lock(cache, shard);
    /* Twice around: the first may only clear marks. */
    for (size_t steps = 2 * shard->blocks; steps > 0 && freed < want && shard->hand != NULL;
         steps--) {
        struct cached_block *block = shard->hand;
        if (block->pins > 0 || block->used) {
            block->used = false;
            shard->hand = block->ring_next;
            continue;
        }
        freed += charge_of(block->block.size);
        shard_remove(cache, shard, block);
        block_free(cache, block);
    }
    unlock(cache, shard);
    return freed;
}

/* The same over all shards, each time beginning with another. */
static uint64_t cache_evict(struct block_cache *cache, uint64_t want) {
    uint64_t freed = 0;
    uint32_t first = atomic_fetch_add(&cache->next_shard, 1);
    for (uint32_t i = 0; i < SHARDS && freed < want; i++) {
        freed += shard_evict(cache, &cache->shards[(first + i) % SHARDS], want - freed);
    }
    return freed;
}

uint64_t block_cache_reclaim(void *cache, uint64_t want) {
    return cache_evict(cache, want);
}

/* ---- blocks ---- */

static struct cached_block *shard_find(struct block_cache *cache, struct shard *shard,
                                       uint64_t hash, uint64_t segment_id, uint64_t offset) {
    struct cached_block *block = *chain_of(cache, shard, hash);
    while (block != NULL && (block->segment_id != segment_id || block->offset != offset))
        block = block->chain_next;
    return block;
}

struct block *block_cache_get(struct block_cache *cache, uint64_t segment_id, uint64_t offset) {
    uint64_t hash = hash_place(segment_id, offset);
    struct shard *shard = shard_of(cache, hash);
    lock(cache, shard);
    struct cached_block *found = shard_find(cache, shard, hash, segment_id, offset);
    if (found != NULL) {
        found->pins++;
        found->used = true;
        shard->hits++;
    } else {
        shard->misses++;
    }
    unlock(cache, shard);
    return found == NULL ? NULL : &found->block;
}

/* Take `bytes` of the share; false if it has no room. */
static bool share_try(struct block_cache *cache, uint64_t bytes) {
    uint64_t used = atomic_load_explicit(&cache->used_bytes, memory_order_relaxed);
    do {
        if (used > cache->share_bytes || bytes > cache->share_bytes - used) return false;
    } while (!atomic_compare_exchange_weak(&cache->used_bytes, &used, used + bytes));
    return true;
}

/* Charge a block to the cache, evicting for it. */
static bool charge_cache(struct block_cache *cache, uint64_t bytes) {
    if (bytes > cache->share_bytes / BLOCKS_MIN) return false;
    for (int round = 0; round < PREPARE_ROUNDS; round++) {
        if (share_try(cache, bytes)) {
            if (budget_try(cache->budget, BUDGET_CACHE, bytes)) return true;
            atomic_fetch_sub(&cache->used_bytes, bytes);
        }
        if (cache_evict(cache, bytes) == 0) return false;
    }
    return false;
}

lore_status block_cache_prepare(struct block_cache *cache, uint32_t size, struct block **block,
                                uint8_t **data) {
    uint64_t bytes = charge_of(size);
    enum budget_purpose purpose = BUDGET_CACHE;
    if (!charge_cache(cache, bytes)) {
        purpose = BUDGET_QUERY;
        TRY(budget_take(cache->budget, purpose, bytes));
    }
    void *memory;
    lore_status status = mem_get(cache->env->allocator, memory_of(size), &memory);
    if (status != LORE_OK) {
        if (purpose == BUDGET_CACHE) atomic_fetch_sub(&cache->used_bytes, bytes);
        budget_give(cache->budget, purpose, bytes);
        return status;
    }
    struct cached_block *made = memory;
    memset(made, 0, sizeof *made);
    made->block = (struct block){made->bytes, size};
    made->pins = 1;
    made->purpose = purpose;
    *block = &made->block;
    *data = made->bytes;
    return LORE_OK;
}

/* Just behind the hand: the last that it will come to. */
static void shard_insert(struct block_cache *cache, struct shard *shard, uint64_t hash,
                         struct cached_block *block) {
    struct cached_block **chain = chain_of(cache, shard, hash);
    block->chain_next = *chain;
    *chain = block;
    if (shard->hand == NULL) {
        block->ring_next = block->ring_previous = block;
        shard->hand = block;
    } else {
        block->ring_next = shard->hand;
        block->ring_previous = shard->hand->ring_previous;
        block->ring_previous->ring_next = block;
        shard->hand->ring_previous = block;
    }
    block->shard = shard;
    block->findable = true;
    shard->blocks++;
}

void block_cache_publish(struct block_cache *cache, uint64_t segment_id, uint64_t offset,
                         struct block **block) {
    struct cached_block *made = (struct cached_block *)*block;
    assert(made->shard == NULL && made->pins == 1);
    if (made->purpose != BUDGET_CACHE) return;
    made->segment_id = segment_id;
    made->offset = offset;
    if (RARELY(cache->env, 20)) (void)block_cache_reclaim(cache, UINT64_MAX / 2);
    uint64_t hash = hash_place(segment_id, offset);
    struct shard *shard = shard_of(cache, hash);
    lock(cache, shard);
    struct cached_block *first = shard_find(cache, shard, hash, segment_id, offset);
    if (first == NULL) {
        shard_insert(cache, shard, hash, made);
    } else {
        first->pins++;
        first->used = true;
    }
    unlock(cache, shard);
    if (first == NULL) return;
    block_free(cache, made);
    *block = &first->block;
}

void block_cache_release(struct block_cache *cache, struct block *block) {
    if (block == NULL) return;
    struct cached_block *released = (struct cached_block *)block;
    struct shard *shard = released->shard;
    if (shard == NULL) {
        block_free(cache, released);
        return;
    }
    lock(cache, shard);
    assert(released->pins > 0);
    released->pins--;
    bool last = released->pins == 0 && !released->findable;
    unlock(cache, shard);
    if (last) block_free(cache, released);
}

void block_cache_forget(struct block_cache *cache, uint64_t segment_id) {
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        lock(cache, shard);
        struct cached_block *block = shard->hand;
        for (size_t left = shard->blocks; left > 0; left--) {
            struct cached_block *next = block->ring_next;
            if (block->segment_id == segment_id) {
                shard_remove(cache, shard, block);
                if (block->pins == 0) block_free(cache, block);
            }
            block = next;
        }
        unlock(cache, shard);
    }
}

/* ---- counters ---- */

uint64_t block_cache_bytes(struct block_cache *cache) {
    return atomic_load(&cache->used_bytes);
}

uint64_t block_cache_hits(struct block_cache *cache) {
    uint64_t hits = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        lock(cache, &cache->shards[i]);
        hits += cache->shards[i].hits;
        unlock(cache, &cache->shards[i]);
    }
    return hits;
}

uint64_t block_cache_misses(struct block_cache *cache) {
    uint64_t misses = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        lock(cache, &cache->shards[i]);
        misses += cache->shards[i].misses;
        unlock(cache, &cache->shards[i]);
    }
    return misses;
}
