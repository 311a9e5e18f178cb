/* block_cache_test.c - eviction, pins, publishing races, and a ceiling that holds to the byte. */
#include <stdatomic.h>
#include <stdio.h>

#include "segment/block_cache.h"
#include "vfs/sync.h"
#include "base/testing.h"

#define BLOCK_SIZE 4096u

static struct test_allocator memory;
static lore_env env; /* the real one, with the counting allocator */
static struct budget budget;
static struct block_cache *cache;

static void start(uint64_t limit, uint64_t share_bytes) {
    test_allocator_init(&memory);
    env = *env_posix();
    env.allocator = &memory.base;
    budget_init(&budget, limit);
    assert_ok(block_cache_create(&env, &budget, share_bytes, &cache));
    budget.reclaim = block_cache_reclaim;
    budget.reclaim_context = cache;
}

static void stop(void) {
    block_cache_destroy(cache);
    assert_int_equal(memory.blocks, 0);
    assert_int_equal(atomic_load(&budget.used), 0);
    assert_true(atomic_load(&budget.peak) <= budget.limit);
}

static void fill(uint8_t *data, uint32_t size, uint64_t segment_id, uint64_t offset) {
    for (uint32_t i = 0; i < size; i++)
        data[i] = (uint8_t)(segment_id * 31 + offset * 7 + i);
}

static bool is_filled(const struct block *block, uint64_t segment_id, uint64_t offset) {
    for (uint32_t i = 0; i < block->size; i++) {
        if (block->data[i] != (uint8_t)(segment_id * 31 + offset * 7 + i)) return false;
    }
    return true;
}

/* As readers use the cache. */
static struct block *fetch(uint64_t segment_id, uint64_t offset, uint32_t size) {
    struct block *block = block_cache_get(cache, segment_id, offset);
    if (block != NULL) return block;
    uint8_t *data;
    assert_ok(block_cache_prepare(cache, size, &block, &data));
    fill(data, size, segment_id, offset);
    block_cache_publish(cache, segment_id, offset, &block);
    return block;
}

static bool is_cached(uint64_t segment_id, uint64_t offset) {
    struct block *block = block_cache_get(cache, segment_id, offset);
    block_cache_release(cache, block);
    return block != NULL;
}

static void what_was_published_is_found(void **state) {
    (void)state;
    start(1 << 20, 1 << 19);
    for (uint64_t i = 0; i < 40; i++)
        block_cache_release(cache, fetch(i % 3, i * 100, BLOCK_SIZE));
    for (uint64_t i = 0; i < 40; i++) {
        struct block *block = block_cache_get(cache, i % 3, i * 100);
        assert_non_null(block);
        assert_int_equal(block->size, BLOCK_SIZE);
        assert_true(is_filled(block, i % 3, i * 100));
        block_cache_release(cache, block);
    }
    assert_int_equal(block_cache_hits(cache), 40);
    assert_int_equal(block_cache_misses(cache), 40);
    assert_false(is_cached(3, 0));
    stop();
}

static void the_share_is_a_ceiling(void **state) {
    (void)state;
    const uint64_t share = 100 * 1024;
    start(1 << 20, share);
    for (uint64_t i = 0; i < 1000; i++) {
        block_cache_release(cache, fetch(1, i, 1 + (uint32_t)(i * 37 % BLOCK_SIZE)));
        assert_true(block_cache_bytes(cache) <= share);
        assert_int_equal(block_cache_bytes(cache), atomic_load(&budget.used));
    }
    assert_true(block_cache_bytes(cache) > share / 2);
    stop();
}

static void used_blocks_outlive_a_scan(void **state) {
    (void)state;
    start(1 << 22, 1 << 20);
    for (uint64_t i = 0; i < 20; i++)
        block_cache_release(cache, fetch(1, i, BLOCK_SIZE));
    for (uint64_t i = 0; i < 2000; i++) {
        block_cache_release(cache, fetch(2, i, BLOCK_SIZE));
        block_cache_release(cache, fetch(1, i % 20, BLOCK_SIZE));
    }
    uint64_t kept = 0;
    for (uint64_t i = 0; i < 20; i++)
        kept += is_cached(1, i);
    assert_int_equal(kept, 20);
    stop();
}

static void pinned_blocks_stay(void **state) {
    (void)state;
    start(1 << 20, 64 * 1024);
    struct block *pinned = fetch(1, 0, BLOCK_SIZE);
    for (uint64_t i = 1; i < 200; i++)
        block_cache_release(cache, fetch(1, i, BLOCK_SIZE));
    block_cache_reclaim(cache, UINT64_MAX);
    assert_true(is_filled(pinned, 1, 0));
    assert_true(is_cached(1, 0));
    block_cache_release(cache, pinned);
    block_cache_reclaim(cache, UINT64_MAX);
    assert_false(is_cached(1, 0));
    stop();
}

static void what_does_not_fit_is_charged_to_the_query(void **state) {
    (void)state;
    start(1 << 20, 64 * 1024);
    struct block *pins[64];
    size_t outside = 0;
    for (size_t i = 0; i < 64; i++) {
        uint64_t before = atomic_load(&budget.used_by[BUDGET_QUERY]);
        pins[i] = fetch(1, i, BLOCK_SIZE);
        outside += atomic_load(&budget.used_by[BUDGET_QUERY]) > before;
        assert_true(is_filled(pins[i], 1, i));
    }
    assert_true(outside > 40 && outside < 64);
    assert_false(is_cached(1, 63));
    for (size_t i = 0; i < 64; i++)
        block_cache_release(cache, pins[i]);
    assert_int_equal(atomic_load(&budget.used_by[BUDGET_QUERY]), 0);

    struct block *large = fetch(2, 0, 32 * 1024); /* half the share */
    assert_true(atomic_load(&budget.used_by[BUDGET_QUERY]) > 32 * 1024);
    block_cache_release(cache, large);
    assert_false(is_cached(2, 0));
    stop();
}

static void the_budget_is_a_ceiling(void **state) {
    (void)state;
    start(64 * 1024, 1 << 20);
    struct block *pins[64];
    size_t count = 0;
    struct block *block;
    uint8_t *data;
    while (count < 64 && block_cache_prepare(cache, BLOCK_SIZE, &block, &data) == LORE_OK) {
        fill(data, BLOCK_SIZE, 1, count);
        block_cache_publish(cache, 1, count, &block);
        pins[count++] = block;
    }
    assert_true(count > 10 && count < 16);
    assert_non_null(strstr(lore_error_message(), "memory_budget"));
    uint64_t left = budget.limit - atomic_load(&budget.used);
    assert_ok(budget_take(&budget, BUDGET_WORK, left));
    assert_int_equal(atomic_load(&budget.used), budget.limit);
    assert_status(budget_take(&budget, BUDGET_WORK, 1), LORE_NO_MEMORY);
    /* What is no longer pinned gives way to a must-have. */
    for (size_t i = 0; i < count; i++)
        block_cache_release(cache, pins[i]);
    assert_ok(budget_take(&budget, BUDGET_WORK, 30 * 1024));
    budget_give(&budget, BUDGET_WORK, left + 30 * 1024);
    stop();
}

static void reclaim_gives_what_is_asked(void **state) {
    (void)state;
    start(1 << 20, 1 << 19);
    for (uint64_t i = 0; i < 100; i++)
        block_cache_release(cache, fetch(1, i, BLOCK_SIZE));
    uint64_t before = block_cache_bytes(cache);
    block_cache_reclaim(cache, 50000);
    uint64_t freed = before - block_cache_bytes(cache);
    assert_true(freed >= 50000 && freed < 50000 + 2 * BLOCK_SIZE);
    stop();
}

static void forgotten_segments_are_gone(void **state) {
    (void)state;
    start(1 << 20, 1 << 19);
    struct block *pinned = fetch(7, 0, BLOCK_SIZE);
    for (uint64_t i = 1; i < 50; i++)
        block_cache_release(cache, fetch(i % 2 == 0 ? 7 : 8, i, BLOCK_SIZE));
    block_cache_forget(cache, 7);
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(is_cached(i % 2 == 0 ? 7 : 8, i), i % 2 == 1);
    assert_true(is_filled(pinned, 7, 0));
    /* The same place again, while the forgotten one lives. */
    struct block *again = fetch(7, 0, BLOCK_SIZE);
    assert_true(again != pinned);
    block_cache_release(cache, pinned);
    assert_true(is_filled(again, 7, 0));
    block_cache_release(cache, again);
    stop();
}

static void the_first_to_publish_wins(void **state) {
    (void)state;
    start(1 << 20, 1 << 19);
    struct block *one, *two;
    uint8_t *data;
    assert_ok(block_cache_prepare(cache, 100, &one, &data));
    fill(data, 100, 1, 1);
    assert_ok(block_cache_prepare(cache, 100, &two, &data));
    fill(data, 100, 1, 1);
    struct block *first = one;
    block_cache_publish(cache, 1, 1, &one);
    block_cache_publish(cache, 1, 1, &two);
    assert_ptr_equal(one, first);
    assert_ptr_equal(two, first);
    block_cache_release(cache, one);
    assert_true(is_filled(two, 1, 1));
    block_cache_release(cache, two);
    /* One that is never published. */
    assert_ok(block_cache_prepare(cache, 100, &one, &data));
    block_cache_release(cache, one);
    stop();
}

static void failed_allocations_are_undone(void **state) {
    (void)state;
    test_allocator_init(&memory);
    env = *env_posix();
    env.allocator = &memory.base;
    budget_init(&budget, 1 << 20);
    lore_status status;
    long fail_at = 0;
    do {
        memory.fail_at = fail_at++;
        status = block_cache_create(&env, &budget, 1 << 19, &cache);
        if (status != LORE_OK) {
            assert_status(status, LORE_NO_MEMORY);
            assert_int_equal(memory.blocks, 0);
            assert_int_equal(atomic_load(&budget.used), 0);
        }
    } while (status != LORE_OK);
    memory.fail_at = 0;
    uint64_t used = atomic_load(&budget.used);
    struct block *block;
    uint8_t *data;
    assert_status(block_cache_prepare(cache, 100, &block, &data), LORE_NO_MEMORY);
    assert_int_equal(atomic_load(&budget.used), used);
    assert_int_equal(block_cache_bytes(cache), used);
    memory.fail_at = -1;
    stop();
    budget_init(&budget, 100);
    assert_status(block_cache_create(&env, &budget, 1 << 19, &cache), LORE_NO_MEMORY);
}

/* ---- threads ---- */

struct client {
    struct thread *thread;
    uint64_t seed;
    uint64_t wrong;
};

static void client_main(void *context) {
    struct client *client = context;
    for (int i = 0; i < 4000; i++) {
        uint64_t random = test_random(&client->seed);
        uint64_t segment_id = random % 4, offset = random / 4 % 64;
        uint32_t size = 1000 + (uint32_t)offset * 50;
        if (random >> 54 == 0) block_cache_forget(cache, segment_id);
        if (random >> 55 == 1) block_cache_reclaim(cache, 20000);
        struct block *block = block_cache_get(cache, segment_id, offset);
        if (block == NULL) {
            uint8_t *data;
            if (block_cache_prepare(cache, size, &block, &data) != LORE_OK) continue;
            fill(data, size, segment_id, offset);
            block_cache_publish(cache, segment_id, offset, &block);
        }
        client->wrong += block->size != size || !is_filled(block, segment_id, offset);
        block_cache_release(cache, block);
    }
}

static void threads_agree(void **state) {
    (void)state;
    env = *env_posix(); /* the counting allocator is for one thread */
    budget_init(&budget, 160 * 1024);
    assert_ok(block_cache_create(&env, &budget, 128 * 1024, &cache));
    budget.reclaim = block_cache_reclaim;
    budget.reclaim_context = cache;
    struct client clients[4];
    for (uint64_t i = 0; i < 4; i++) {
        clients[i] = (struct client){NULL, i, 0};
        assert_ok(
            env.sys->ops->thread_start(env.sys, client_main, &clients[i], &clients[i].thread));
    }
    for (size_t i = 0; i < 4; i++) {
        env.sys->ops->thread_join(env.sys, clients[i].thread);
        assert_int_equal(clients[i].wrong, 0);
    }
    assert_true(atomic_load(&budget.peak) <= budget.limit);
    assert_true(block_cache_hits(cache) > 0 && block_cache_misses(cache) > 0);
    block_cache_destroy(cache);
    assert_int_equal(atomic_load(&budget.used), 0);
}

/* Readers who fill the cache as fast as they can, beside those who must have memory. */
static void reader_main(void *context) {
    struct client *client = context;
    for (int i = 0; i < 20000; i++) {
        uint64_t offset = test_random(&client->seed) % 256;
        struct block *block = block_cache_get(cache, 1, offset);
        if (block == NULL) {
            uint8_t *data;
            if (block_cache_prepare(cache, BLOCK_SIZE, &block, &data) != LORE_OK) {
                client->wrong++;
                continue;
            }
            block_cache_publish(cache, 1, offset, &block);
        }
        block_cache_release(cache, block);
    }
}

static void asker_main(void *context) {
    struct client *client = context;
    for (int i = 0; i < 20000; i++) {
        uint64_t bytes = 1 + test_random(&client->seed) % (48 * 1024);
        if (budget_take(&budget, BUDGET_WORK, bytes) == LORE_OK)
            budget_give(&budget, BUDGET_WORK, bytes);
        else
            client->wrong++;
    }
}

static void no_asker_is_refused_what_the_cache_holds(void **state) {
    (void)state;
    env = *env_posix();
    budget_init(&budget, 256 * 1024);
    assert_ok(block_cache_create(&env, &budget, 256 * 1024, &cache));
    budget.reclaim = block_cache_reclaim;
    budget.reclaim_context = cache;
    struct client clients[5];
    for (uint64_t i = 0; i < 5; i++) {
        clients[i] = (struct client){NULL, i, 0};
        assert_ok(env.sys->ops->thread_start(env.sys, i < 3 ? reader_main : asker_main, &clients[i],
                                             &clients[i].thread));
    }
    uint64_t refused = 0;
    for (size_t i = 0; i < 5; i++) {
        env.sys->ops->thread_join(env.sys, clients[i].thread);
        refused += clients[i].wrong;
    }
    assert_int_equal(refused, 0);
    assert_int_equal(atomic_load(&budget.wanted), 0);
    assert_true(atomic_load(&budget.peak) <= budget.limit);
    block_cache_destroy(cache);
    assert_int_equal(atomic_load(&budget.used), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_published_is_found),
        cmocka_unit_test(the_share_is_a_ceiling),
        cmocka_unit_test(used_blocks_outlive_a_scan),
        cmocka_unit_test(pinned_blocks_stay),
        cmocka_unit_test(what_does_not_fit_is_charged_to_the_query),
        cmocka_unit_test(the_budget_is_a_ceiling),
        cmocka_unit_test(reclaim_gives_what_is_asked),
        cmocka_unit_test(forgotten_segments_are_gone),
        cmocka_unit_test(the_first_to_publish_wins),
        cmocka_unit_test(failed_allocations_are_undone),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(no_asker_is_refused_what_the_cache_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
