/*
 * sched_sim_test.c - the simulated scheduler: the same seed gives the same run, mutexes exclude,
 * conditions and timeouts work, a deadlock is told.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#include "vfs/sched_sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define SEEDS 40u

struct world {
    struct sched_sim *sim;
    struct sys *sys;
    struct mutex *mutex;
    struct condition *changed;
    int inside; /* threads within the mutex */
    int count;  /* increments, not atomic on purpose */
    int queue;  /* items made and not yet taken */
    int made, taken;
    int makers_left;
    int order[64]; /* who counted, in order */
};

static void world_open(struct world *world, uint64_t seed) {
    *world = (struct world){0};
    assert_int_equal(sched_sim_create(env_posix()->allocator, seed, 1000000, &world->sim), LORE_OK);
    world->sys = sched_sim_sys(world->sim);
    assert_int_equal(world->sys->ops->mutex_create(world->sys, &world->mutex), LORE_OK);
    assert_int_equal(world->sys->ops->condition_create(world->sys, &world->changed), LORE_OK);
}

static void world_close(struct world *world) {
    world->sys->ops->condition_destroy(world->sys, world->changed);
    world->sys->ops->mutex_destroy(world->sys, world->mutex);
    sched_sim_destroy(world->sim);
}

static void run_threads(struct world *world, void (*const mains[])(void *), size_t count) {
    struct thread *threads[8];
    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(world->sys->ops->thread_start(world->sys, mains[i], world, &threads[i]),
                         LORE_OK);
    }
    for (size_t i = 0; i < count; i++)
        world->sys->ops->thread_join(world->sys, threads[i]);
}

/* ---- exclusion and determinism ---- */

static void count_as(struct world *world, int who) {
    struct sys *sys = world->sys;
    for (int i = 0; i < 16; i++) {
        sys->ops->mutex_lock(sys, world->mutex);
        assert_int_equal(world->inside++, 0);
        int seen = world->count;
        sched_sim_yield(world->sim); /* others run here, but not within the mutex */
        world->order[seen] = who;
        world->count = seen + 1;
        world->inside--;
        sys->ops->mutex_unlock(sys, world->mutex);
    }
}
static void count_a(void *context) {
    count_as(context, 1);
}
static void count_b(void *context) {
    count_as(context, 2);
}
static void count_c(void *context) {
    count_as(context, 3);
}

static uint64_t counted_run(uint64_t seed, int order[64]) {
    static void (*const mains[])(void *) = {count_a, count_b, count_c};
    struct world world;
    world_open(&world, seed);
    run_threads(&world, mains, 3);
    assert_int_equal(world.count, 48);
    memcpy(order, world.order, sizeof world.order);
    uint64_t trace = sched_sim_trace(world.sim);
    world_close(&world);
    return trace;
}

static void test_same_seed_same_run(void **state) {
    (void)state;
    uint64_t traces[SEEDS];
    int orders[SEEDS][64];
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int again[64];
        traces[seed] = counted_run(seed, orders[seed]);
        assert_int_equal(counted_run(seed, again), traces[seed]);
        assert_memory_equal(again, orders[seed], sizeof again);
        for (uint64_t other = 0; other < seed; other++) {
            assert_int_not_equal(traces[other], traces[seed]);
            assert_memory_not_equal(orders[other], orders[seed], sizeof again);
        }
    }
}

/* Without the mutex some seed loses an increment: the test above can fail. */
static void count_bare(void *context) {
    struct world *world = context;
    for (int i = 0; i < 4; i++) {
        int seen = world->count;
        sched_sim_yield(world->sim);
        world->count = seen + 1;
    }
}

static void test_races_show(void **state) {
    (void)state;
    static void (*const mains[])(void *) = {count_bare, count_bare};
    int lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world world;
        world_open(&world, seed);
        run_threads(&world, mains, 2);
        if (world.count < 8) lost++;
        world_close(&world);
    }
    assert_true(lost > 0);
}

/* ---- conditions ---- */

static void make_items(void *context) {
    struct world *world = context;
    struct sys *sys = world->sys;
    for (int i = 0; i < 10; i++) {
        sys->ops->mutex_lock(sys, world->mutex);
        while (world->queue >= 2)
            sys->ops->condition_wait(sys, world->changed, world->mutex);
        world->queue++;
        world->made++;
        sys->ops->condition_broadcast(sys, world->changed);
        sys->ops->mutex_unlock(sys, world->mutex);
    }
    sys->ops->mutex_lock(sys, world->mutex);
    world->makers_left--;
    sys->ops->condition_broadcast(sys, world->changed);
    sys->ops->mutex_unlock(sys, world->mutex);
}

static void take_items(void *context) {
    struct world *world = context;
    struct sys *sys = world->sys;
    sys->ops->mutex_lock(sys, world->mutex);
    while (world->queue > 0 || world->makers_left > 0) {
        if (world->queue == 0) {
            (void)sys->ops->condition_wait_for(sys, world->changed, world->mutex, 500);
            continue;
        }
        world->queue--;
        world->taken++;
        assert_true(world->queue >= 0);
        sys->ops->condition_broadcast(sys, world->changed);
        sys->ops->mutex_unlock(sys, world->mutex);
        sys->ops->sleep_us(sys, 10);
        sys->ops->mutex_lock(sys, world->mutex);
    }
    sys->ops->mutex_unlock(sys, world->mutex);
}

static void test_makers_and_takers(void **state) {
    (void)state;
    static void (*const mains[])(void *) = {make_items, take_items, make_items, take_items,
                                            take_items};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world world;
        world_open(&world, seed);
        world.makers_left = 2;
        run_threads(&world, mains, 5);
        assert_int_equal(world.made, 20);
        assert_int_equal(world.taken, 20);
        world_close(&world);
    }
}

static void wait_for_queue(void *context) {
    struct world *world = context;
    struct sys *sys = world->sys;
    sys->ops->mutex_lock(sys, world->mutex);
    while (world->queue == 0)
        sys->ops->condition_wait(sys, world->changed, world->mutex);
    world->queue--;
    world->taken++;
    sys->ops->mutex_unlock(sys, world->mutex);
}

static void test_signal_wakes_one(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world world;
        struct thread *threads[3];
        world_open(&world, seed);
        struct sys *sys = world.sys;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(sys->ops->thread_start(sys, wait_for_queue, &world, &threads[i]),
                             LORE_OK);
        }
        for (int i = 0; i < 3; i++) {
            sys->ops->mutex_lock(sys, world.mutex);
            world.queue++;
            sys->ops->condition_signal(sys, world.changed);
            sys->ops->mutex_unlock(sys, world.mutex);
        }
        for (int i = 0; i < 3; i++)
            sys->ops->thread_join(sys, threads[i]);
        assert_int_equal(world.taken, 3);
        world_close(&world);
    }
}

/* ---- time ---- */

static void test_time_moves_by_waiting(void **state) {
    (void)state;
    int woken_early = 0;
    for (uint64_t seed = 0; seed < SEEDS * 4; seed++) {
        struct world world;
        world_open(&world, seed);
        struct sys *sys = world.sys;
        int64_t wall = sys->ops->now_us(sys);
        uint64_t before = sys->ops->monotonic_us(sys);
        assert_int_equal(wall, 1000001);
        assert_int_equal(before, 2);
        sys->ops->sleep_us(sys, 3600000000);
        assert_int_equal(sys->ops->monotonic_us(sys), before + 3600000000 + 1);
        before = sys->ops->monotonic_us(sys);
        sys->ops->mutex_lock(sys, world.mutex);
        bool in_time = sys->ops->condition_wait_for(sys, world.changed, world.mutex, 700);
        sys->ops->mutex_unlock(sys, world.mutex);
        if (in_time) woken_early++; /* for no reason, as conditions may */
        assert_int_equal(sys->ops->monotonic_us(sys) - before, in_time ? 1 : 701);
        sched_sim_jump_clock(world.sim, -5000000);
        assert_true(sys->ops->now_us(sys) < wall + 3600000000);
        assert_true(sys->ops->monotonic_us(sys) > 3600000000);
        world_close(&world);
    }
    assert_in_range(woken_early, 1, SEEDS);
}

static void nap(void *context) {
    struct world *world = context;
    for (int i = 0; i < 10; i++) {
        uint64_t before = world->sys->ops->monotonic_us(world->sys);
        world->sys->ops->sleep_us(world->sys, 5);
        assert_true(world->sys->ops->monotonic_us(world->sys) >= before + 6);
    }
    world->count = 1;
}

/* Sleepers wake though somebody else is always ready to run, and the clock never runs backwards. */
static void test_sleepers_wake_beside_the_busy(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        for (int reads = 0; reads < 20; reads += 19) {
            struct world world;
            struct thread *thread;
            world_open(&world, seed);
            struct sys *sys = world.sys;
            assert_int_equal(sys->ops->thread_start(sys, nap, &world, &thread), LORE_OK);
            uint64_t last = 0;
            for (int i = 0; i < 100000 && world.count == 0; i++) {
                for (int j = 0; j < reads; j++) {
                    uint64_t now = sys->ops->monotonic_us(sys);
                    assert_true(now > last);
                    last = now;
                }
                sched_sim_yield(world.sim);
            }
            assert_int_equal(world.count, 1);
            sys->ops->thread_join(sys, thread);
            world_close(&world);
        }
    }
}

static void test_randomness_comes_from_the_seed(void **state) {
    (void)state;
    uint8_t bytes[3][16];
    static const uint64_t seeds[] = {7, 7, 8};
    for (int i = 0; i < 3; i++) {
        struct world world;
        world_open(&world, seeds[i]);
        assert_int_equal(world.sys->ops->random(world.sys, bytes[i], 16), LORE_OK);
        world_close(&world);
    }
    assert_memory_equal(bytes[0], bytes[1], 16);
    assert_memory_not_equal(bytes[0], bytes[2], 16);
}

/* ---- deadlock ---- */

static void stuck_exit(void *context, const char *text) {
    (void)context;
    bool told = strstr(text, "thread 0 waits for mutex 0, held by thread 0") != NULL;
    _exit(told ? 42 : 43);
}

static void test_deadlock_is_told(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct world world;
        world_open(&world, 1);
        sched_sim_on_stuck(world.sim, stuck_exit, NULL);
        world.sys->ops->mutex_lock(world.sys, world.mutex);
        world.sys->ops->mutex_lock(world.sys, world.mutex);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_run),
        cmocka_unit_test(test_races_show),
        cmocka_unit_test(test_makers_and_takers),
        cmocka_unit_test(test_signal_wakes_one),
        cmocka_unit_test(test_time_moves_by_waiting),
        cmocka_unit_test(test_sleepers_wake_beside_the_busy),
        cmocka_unit_test(test_randomness_comes_from_the_seed),
        cmocka_unit_test(test_deadlock_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
