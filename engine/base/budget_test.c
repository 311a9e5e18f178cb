#include <pthread.h>

#include "base/budget.h"
#include "base/testing.h"

static void ceiling_is_exact(void **state) {
    (void)state;
    struct budget b;
    budget_init(&b, 100);
    assert_true(budget_try(&b, BUDGET_CACHE, 99));
    assert_true(budget_try(&b, BUDGET_CACHE, 1));
    assert_false(budget_try(&b, BUDGET_CACHE, 1));
    assert_true(budget_try(&b, BUDGET_CACHE, 0));
    assert_status(budget_take(&b, BUDGET_WORK, 1), LORE_NO_MEMORY);
    assert_non_null(strstr(lore_error_message(), "100 of 100"));
    budget_give(&b, BUDGET_CACHE, 100);
    assert_false(budget_try(&b, BUDGET_CACHE, 101));
    assert_false(budget_try(&b, BUDGET_CACHE, UINT64_MAX));
    assert_int_equal(atomic_load(&b.used), 0);
    assert_int_equal(atomic_load(&b.peak), 100);
}

static void purposes_are_counted_apart(void **state) {
    (void)state;
    struct budget b;
    budget_init(&b, 100);
    assert_ok(budget_take(&b, BUDGET_MEMTABLE, 30));
    assert_ok(budget_take(&b, BUDGET_QUERY, 12));
    budget_give(&b, BUDGET_MEMTABLE, 10);
    assert_int_equal(atomic_load(&b.used_by[BUDGET_MEMTABLE]), 20);
    assert_int_equal(atomic_load(&b.used_by[BUDGET_QUERY]), 12);
    assert_int_equal(atomic_load(&b.used), 32);
    assert_int_equal(atomic_load(&b.peak), 42);
}

struct cache {
    struct budget *budget;
    uint64_t held;
    int calls;
    uint64_t wanted;
};

static uint64_t reclaim(void *context, uint64_t want) {
    struct cache *cache = context;
    cache->calls++;
    cache->wanted = want;
    uint64_t given = want < cache->held ? want : cache->held;
    cache->held -= given;
    budget_give(cache->budget, BUDGET_CACHE, given);
    return given;
}

static void must_haves_push_the_cache_out(void **state) {
    (void)state;
    struct budget b;
    budget_init(&b, 100);
    struct cache cache = {&b, 80, 0, 0};
    b.reclaim = reclaim;
    b.reclaim_context = &cache;
    assert_true(budget_try(&b, BUDGET_CACHE, 80));
    assert_false(budget_try(&b, BUDGET_CACHE, 30));
    assert_int_equal(cache.calls, 0); /* asking politely evicts nothing */
    assert_ok(budget_take(&b, BUDGET_WORK, 30));
    assert_int_equal(cache.calls, 1);
    assert_int_equal(cache.wanted, 10);
    assert_int_equal(atomic_load(&b.used), 100);
    assert_status(budget_take(&b, BUDGET_WORK, 71), LORE_NO_MEMORY);
    int calls = cache.calls;
    assert_status(budget_take(&b, BUDGET_WORK, 101), LORE_NO_MEMORY);
    assert_int_equal(cache.calls, calls); /* can never fit: the cache is left alone */
}

/* A cache whose readers fill each room as soon as it is made: another thread's budget_try between
 * the reclaimer's end and the taker's next try. */
static uint64_t reclaim_and_refill(void *context, uint64_t want) {
    struct cache *cache = context;
    uint64_t given = reclaim(cache, want);
    while (budget_try(cache->budget, BUDGET_CACHE, 1))
        cache->held++;
    return given;
}

static void what_is_evicted_is_the_askers(void **state) {
    (void)state;
    struct budget b;
    budget_init(&b, 100);
    struct cache cache = {&b, 80, 0, 0};
    b.reclaim = reclaim_and_refill;
    b.reclaim_context = &cache;
    assert_true(budget_try(&b, BUDGET_CACHE, 80));
    assert_ok(budget_take(&b, BUDGET_WORK, 30));
    assert_int_equal(cache.calls, 1);
    assert_int_equal(cache.held, 70);
    /* Nothing is kept for one who has given up, or has what was asked for. */
    assert_status(budget_take(&b, BUDGET_WORK, 71), LORE_NO_MEMORY);
    assert_int_equal(cache.held, 0);
    assert_true(budget_try(&b, BUDGET_CACHE, 70));
    assert_int_equal(atomic_load(&b.wanted), 0);
}

static void charged_allocator_counts_sizes_and_overhead(void **state) {
    (void)state;
    struct test_allocator host;
    test_allocator_init(&host);
    struct budget b;
    budget_init(&b, 1000);
    struct charged_allocator charged;
    charged_allocator_init(&charged, &host.base, &b, BUDGET_TABLE);
    void *memory;
    assert_ok(mem_get(&charged.base, 100, &memory));
    assert_int_equal(atomic_load(&b.used_by[BUDGET_TABLE]), 116);
    assert_ok(mem_resize(&charged.base, &memory, 100, 984));
    assert_int_equal(atomic_load(&b.used), 1000);
    assert_status(mem_resize(&charged.base, &memory, 984, 985), LORE_NO_MEMORY);
    assert_int_equal(atomic_load(&b.used), 1000);
    assert_ok(mem_resize(&charged.base, &memory, 984, 10));
    assert_int_equal(atomic_load(&b.used), 26);

    host.fail_at = 0; /* the host has none, though the budget does */
    void *other;
    assert_status(mem_get(&charged.base, 10, &other), LORE_NO_MEMORY);
    assert_status(mem_resize(&charged.base, &memory, 10, 20), LORE_NO_MEMORY);
    assert_status(mem_resize(&charged.base, &memory, 10, 5), LORE_NO_MEMORY);
    assert_int_equal(atomic_load(&b.used), 26);
    host.fail_at = -1;

    assert_null(charged.base.allocate(&charged, SIZE_MAX - 3));
    assert_null(charged.base.reallocate(&charged, memory, 10, SIZE_MAX - 3));
    mem_put(&charged.base, memory, 10);
    charged.base.release(&charged, NULL, 10);
    other = NULL;
    assert_ok(mem_resize(&charged.base, &other, 0, 10));
    mem_put(&charged.base, other, 10);
    assert_int_equal(atomic_load(&b.used), 0);
    assert_int_equal(host.blocks, 0);
}

static void *take_and_give(void *context) {
    struct budget *b = context;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t bytes = 1 + i % 37;
        if (budget_try(b, BUDGET_CACHE, bytes)) budget_give(b, BUDGET_CACHE, bytes);
    }
    return NULL;
}

static void threads_never_pass_the_ceiling(void **state) {
    (void)state;
    struct budget b;
    budget_init(&b, 50);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &b), 0);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&b.used), 0);
    assert_int_equal(atomic_load(&b.used_by[BUDGET_CACHE]), 0);
    assert_in_range(atomic_load(&b.peak), 37, 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceiling_is_exact),
        cmocka_unit_test(purposes_are_counted_apart),
        cmocka_unit_test(must_haves_push_the_cache_out),
        cmocka_unit_test(what_is_evicted_is_the_askers),
        cmocka_unit_test(charged_allocator_counts_sizes_and_overhead),
        cmocka_unit_test(threads_never_pass_the_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
