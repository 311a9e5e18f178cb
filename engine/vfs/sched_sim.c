/*
 * sched_sim.c - threads that take turns as a seed says. See sched_sim.h.
 *
 * One real mutex, `turn`, guards the whole simulator, and each simulated thread has a real
 * condition on which it waits until `current` is itself. Whoever runs holds the baton: every call
 * locks `turn`, changes states, chooses the next, and waits until it is chosen again.
 *
 *   READY     may be chosen
 *   WAITING   for a mutex, a condition, a thread's end or nothing at all; with a deadline or
 * without DONE      has returned; waits for its join
 *
 * Since only the baton's holder runs, `current` is always the caller.
 */
#define LORE_MAY_CALL_THE_SYSTEM /* real threads carry the simulated ones */
#include "vfs/sched_sim.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/poison.h"

#define NEVER              UINT64_MAX
#define SPURIOUS_WAKE_ODDS 32u
#define SLOW_THREAD_ODDS   16u
#define STUCK_TEXT_BYTES   4096u

enum thread_state { READY, WAITING, DONE };

struct mutex {
    struct thread *owner; /* NULL: free */
    uint64_t number;      /* for reports */
};

struct condition {
    uint64_t number;
};

struct thread {
    struct thread *next; /* in the order of their start */
    struct sched_sim *sim;
    uint64_t number; /* 0: the one that made the simulator */
    enum thread_state state;
    /* What a waiting one waits for: at most one of them. */
    struct mutex *mutex;
    struct condition *condition;
    struct thread *joined;
    uint64_t deadline_us; /* of the monotonic clock; NEVER */
    bool timed_out;       /* the deadline, not a signal, ended the last wait */
    pthread_t real;
    pthread_cond_t baton;
    void (*main)(void *context);
    void *context;
};

struct sched_sim {
    struct sys base;
    const struct allocator *host;
    pthread_mutex_t turn;
    struct thread first;
    struct thread *current;
    uint64_t choices; /* state of the generator that picks threads */
    uint64_t chance;  /* state of the one behind sys->random */
    uint64_t trace;
    uint64_t monotonic_us;
    int64_t wall_offset_us;                /* wall clock less monotonic */
    uint64_t threads, mutexes, conditions; /* made so far */
    void (*stuck)(void *context, const char *text);
    void *stuck_context;
};

static struct sched_sim *sim_of(struct sys *sys) {
    return (struct sched_sim *)sys;
}

/* SplitMix64: Steele, Lea and Flood 2014. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void trace_add(struct sched_sim *sim, uint64_t value) {
    uint64_t state = sim->trace ^ value;
    sim->trace = next_random(&state);
}

/* A number below `count`, traced. */
static uint64_t choose(struct sched_sim *sim, uint64_t count) {
    assert(count > 0);
    uint64_t chosen = next_random(&sim->choices) % count;
    trace_add(sim, chosen << 32 | count);
    return chosen;
}

/* ---- who is next ---- */

static void make_ready(struct thread *thread, bool timed_out) {
    assert(thread->state == WAITING);
    thread->state = READY;
    thread->mutex = NULL;
    thread->condition = NULL;
    thread->joined = NULL;
    thread->deadline_us = NEVER;
    thread->timed_out = timed_out;
}

static void wake_overdue(struct sched_sim *sim) {
    for (struct thread *thread = &sim->first; thread != NULL; thread = thread->next) {
        if (thread->state == WAITING && thread->deadline_us <= sim->monotonic_us) {
            make_ready(thread, true);
        }
    }
}

static uint64_t next_deadline(const struct sched_sim *sim) {
    uint64_t next = NEVER;
    for (const struct thread *thread = &sim->first; thread != NULL; thread = thread->next) {
        if (thread->state == WAITING && thread->deadline_us < next) next = thread->deadline_us;
    }
    return next;
}

static uint64_t count_ready(const struct sched_sim *sim) {
    uint64_t count = 0;
    for (const struct thread *thread = &sim->first; thread != NULL; thread = thread->next) {
        if (thread->state == READY) count++;
    }
    return count;
}

static void describe(const struct thread *thread, char *line, size_t size) {
    unsigned long long number = thread->number;
    if (thread->mutex != NULL) {
        const struct thread *owner = thread->mutex->owner;
        (void)snprintf(line, size, "thread %llu waits for mutex %llu, held by thread %llu\n",
                       number, (unsigned long long)thread->mutex->number,
                       owner != NULL ? (unsigned long long)owner->number : 0);
    } else if (thread->condition != NULL) {
        (void)snprintf(line, size, "thread %llu waits for condition %llu\n", number,
                       (unsigned long long)thread->condition->number);
    } else if (thread->joined != NULL) {
        (void)snprintf(line, size, "thread %llu waits for the end of thread %llu\n", number,
                       (unsigned long long)thread->joined->number);
    } else {
        (void)snprintf(line, size, "thread %llu is done\n", number);
    }
}

static void report_stuck(const struct sched_sim *sim) {
    char text[STUCK_TEXT_BYTES] = "deadlock\n";
    size_t used = sizeof "deadlock\n" - 1;
    for (const struct thread *thread = &sim->first; thread != NULL; thread = thread->next) {
        char line[160];
        describe(thread, line, sizeof line);
        int written = snprintf(text + used, sizeof text - used, "%s", line);
        if (written < 0 || (size_t)written >= sizeof text - used) break;
        used += (size_t)written;
    }
    if (sim->stuck != NULL) sim->stuck(sim->stuck_context, text);
    (void)fputs(text, stderr);
    abort();
}

/* Give the baton to a thread that can run; the caller may be it. */
static void choose_next(struct sched_sim *sim) {
    wake_overdue(sim);
    uint64_t deadline = next_deadline(sim);
    if (deadline != NEVER && (count_ready(sim) == 0 || choose(sim, SLOW_THREAD_ODDS) == 0)) {
        sim->monotonic_us = deadline;
        wake_overdue(sim);
    }
    uint64_t ready = count_ready(sim);
    if (ready == 0) report_stuck(sim);
    uint64_t chosen = choose(sim, ready);
    struct thread *thread = &sim->first;
    while (thread->state != READY || chosen-- > 0)
        thread = thread->next;
    trace_add(sim, thread->number);
    sim->current = thread;
}

/* With `turn` held: choose, and come back when this thread is the chosen one. */
static void pass(struct sched_sim *sim) {
    struct thread *self = sim->current;
    choose_next(sim);
    if (sim->current == self) return;
    pthread_cond_signal(&sim->current->baton);
    while (sim->current != self)
        pthread_cond_wait(&self->baton, &sim->turn);
}

static void enter(struct sched_sim *sim) {
    pthread_mutex_lock(&sim->turn);
}

static void leave(struct sched_sim *sim) {
    pthread_mutex_unlock(&sim->turn);
}

/* Wait until somebody makes this thread ready; what for is set by the caller. */
static void wait_here(struct sched_sim *sim, uint64_t deadline_us) {
    sim->current->state = WAITING;
    sim->current->deadline_us = deadline_us;
    pass(sim);
}

static uint64_t deadline_in(const struct sched_sim *sim, uint64_t us) {
    return us >= NEVER - sim->monotonic_us ? NEVER - 1 : sim->monotonic_us + us;
}

/* ---- clock and chance ---- */

static int64_t sim_now_us(struct sys *sys) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    int64_t now = (int64_t)++sim->monotonic_us + sim->wall_offset_us;
    leave(sim);
    return now;
}

static uint64_t sim_monotonic_us(struct sys *sys) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    uint64_t now = ++sim->monotonic_us;
    leave(sim);
    return now;
}

static lore_status sim_random(struct sys *sys, void *data, size_t size) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(next_random(&sim->chance) >> 56);
    leave(sim);
    return LORE_OK;
}

static uint64_t sim_process_id(struct sys *sys) {
    (void)sys;
    return 1;
}

static void sim_host_name(struct sys *sys, char *name, size_t size) {
    (void)sys;
    (void)snprintf(name, size, "simulated");
}

static void sim_sleep_us(struct sys *sys, uint64_t us) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    wait_here(sim, deadline_in(sim, us));
    leave(sim);
}

/* ---- mutexes ---- */

static lore_status sim_mutex_create(struct sys *sys, struct mutex **mutex) {
    struct sched_sim *sim = sim_of(sys);
    void *block;
    TRY(mem_new(sim->host, sizeof **mutex, &block));
    *mutex = block;
    enter(sim);
    (*mutex)->number = sim->mutexes++;
    leave(sim);
    return LORE_OK;
}

static void sim_mutex_destroy(struct sys *sys, struct mutex *mutex) {
    assert(mutex == NULL || mutex->owner == NULL);
    mem_put(sim_of(sys)->host, mutex, sizeof(struct mutex));
}

static void acquire(struct sched_sim *sim, struct mutex *mutex) {
    struct thread *self = sim->current;
    while (mutex->owner != NULL) {
        self->mutex = mutex;
        wait_here(sim, NEVER);
    }
    mutex->owner = self;
}

static void release(struct sched_sim *sim, struct mutex *mutex) {
    assert(mutex->owner == sim->current);
    mutex->owner = NULL;
    for (struct thread *thread = &sim->first; thread != NULL; thread = thread->next) {
        if (thread->state == WAITING && thread->mutex == mutex) make_ready(thread, false);
    }
}

static void sim_mutex_lock(struct sys *sys, struct mutex *mutex) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    pass(sim);
    acquire(sim, mutex);
    leave(sim);
}

static void sim_mutex_unlock(struct sys *sys, struct mutex *mutex) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    release(sim, mutex);
    pass(sim);
    leave(sim);
}

/* ---- conditions ---- */

static lore_status sim_condition_create(struct sys *sys, struct condition **condition) {
    struct sched_sim *sim = sim_of(sys);
    void *block;
    TRY(mem_new(sim->host, sizeof **condition, &block));
    *condition = block;
    enter(sim);
    (*condition)->number = sim->conditions++;
    leave(sim);
    return LORE_OK;
}

static void sim_condition_destroy(struct sys *sys, struct condition *condition) {
    mem_put(sim_of(sys)->host, condition, sizeof(struct condition));
}

static bool wait_until(struct sched_sim *sim, struct condition *condition, struct mutex *mutex,
                       uint64_t deadline_us) {
    struct thread *self = sim->current;
    release(sim, mutex);
    bool timed_out = false;
    if (choose(sim, SPURIOUS_WAKE_ODDS) == 0) {
        pass(sim);
    } else {
        self->condition = condition;
        wait_here(sim, deadline_us);
        timed_out = self->timed_out;
    }
    acquire(sim, mutex);
    return !timed_out;
}

static void sim_condition_wait(struct sys *sys, struct condition *condition, struct mutex *mutex) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    (void)wait_until(sim, condition, mutex, NEVER);
    leave(sim);
}

static bool sim_condition_wait_for(struct sys *sys, struct condition *condition,
                                   struct mutex *mutex, uint64_t timeout_us) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    bool in_time = wait_until(sim, condition, mutex, deadline_in(sim, timeout_us));
    leave(sim);
    return in_time;
}

static uint64_t count_waiters(const struct sched_sim *sim, const struct condition *condition) {
    uint64_t count = 0;
    for (const struct thread *thread = &sim->first; thread != NULL; thread = thread->next) {
        if (thread->state == WAITING && thread->condition == condition) count++;
    }
    return count;
}

static void sim_condition_signal(struct sys *sys, struct condition *condition) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    uint64_t waiters = count_waiters(sim, condition);
    if (waiters > 0) {
        uint64_t chosen = choose(sim, waiters);
        struct thread *thread = &sim->first;
        while (thread->state != WAITING || thread->condition != condition || chosen-- > 0) {
            thread = thread->next;
        }
        make_ready(thread, false);
    }
    pass(sim);
    leave(sim);
}

static void sim_condition_broadcast(struct sys *sys, struct condition *condition) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    for (struct thread *thread = &sim->first; thread != NULL; thread = thread->next) {
        if (thread->state == WAITING && thread->condition == condition) make_ready(thread, false);
    }
    pass(sim);
    leave(sim);
}

/* ---- threads ---- */

static void *thread_run(void *context) {
    struct thread *self = context;
    struct sched_sim *sim = self->sim;
    enter(sim);
    while (sim->current != self)
        pthread_cond_wait(&self->baton, &sim->turn);
    leave(sim);
    self->main(self->context);
    enter(sim);
    self->state = DONE;
    for (struct thread *thread = &sim->first; thread != NULL; thread = thread->next) {
        if (thread->state == WAITING && thread->joined == self) make_ready(thread, false);
    }
    choose_next(sim);
    pthread_cond_signal(&sim->current->baton);
    leave(sim);
    return NULL;
}

static void thread_unlist(struct sched_sim *sim, struct thread *gone) {
    struct thread *thread = &sim->first;
    while (thread->next != gone)
        thread = thread->next;
    thread->next = gone->next;
}

static lore_status sim_thread_start(struct sys *sys, void (*main)(void *context), void *context,
                                    struct thread **started) {
    struct sched_sim *sim = sim_of(sys);
    void *block;
    TRY(mem_new(sim->host, sizeof **started, &block));
    struct thread *thread = block;
    if (pthread_cond_init(&thread->baton, NULL) != 0) {
        mem_put(sim->host, thread, sizeof *thread);
        return fail(LORE_NO_MEMORY, "pthread_cond_init");
    }
    thread->sim = sim;
    thread->deadline_us = NEVER;
    thread->main = main;
    thread->context = context;
    enter(sim);
    thread->number = sim->threads++;
    struct thread *last = &sim->first;
    while (last->next != NULL)
        last = last->next;
    last->next = thread;
    if (pthread_create(&thread->real, NULL, thread_run, thread) != 0) {
        thread_unlist(sim, thread);
        leave(sim);
        pthread_cond_destroy(&thread->baton);
        mem_put(sim->host, thread, sizeof *thread);
        return fail(LORE_NO_MEMORY, "pthread_create");
    }
    *started = thread;
    pass(sim);
    leave(sim);
    return LORE_OK;
}

static void sim_thread_join(struct sys *sys, struct thread *thread) {
    struct sched_sim *sim = sim_of(sys);
    enter(sim);
    assert(thread != sim->current);
    pass(sim);
    while (thread->state != DONE) {
        sim->current->joined = thread;
        wait_here(sim, NEVER);
    }
    thread_unlist(sim, thread);
    leave(sim);
    (void)pthread_join(thread->real, NULL);
    pthread_cond_destroy(&thread->baton);
    mem_put(sim->host, thread, sizeof *thread);
}

static const struct sys_ops sys_ops = {
    .now_us = sim_now_us,
    .monotonic_us = sim_monotonic_us,
    .random = sim_random,
    .process_id = sim_process_id,
    .host_name = sim_host_name,
    .mutex_create = sim_mutex_create,
    .mutex_destroy = sim_mutex_destroy,
    .mutex_lock = sim_mutex_lock,
    .mutex_unlock = sim_mutex_unlock,
    .condition_create = sim_condition_create,
    .condition_destroy = sim_condition_destroy,
    .condition_wait = sim_condition_wait,
    .condition_wait_for = sim_condition_wait_for,
    .condition_signal = sim_condition_signal,
    .condition_broadcast = sim_condition_broadcast,
    .thread_start = sim_thread_start,
    .thread_join = sim_thread_join,
    .sleep_us = sim_sleep_us,
};

/* ---- the whole ---- */

lore_status sched_sim_create(const struct allocator *host, uint64_t seed, int64_t start_us,
                             struct sched_sim **sim) {
    void *block;
    TRY(mem_new(host, sizeof **sim, &block));
    struct sched_sim *made = block;
    made->base.ops = &sys_ops;
    made->host = host;
    made->choices = seed;
    made->chance = seed ^ UINT64_C(0x6c6f7265);
    (void)next_random(&made->chance);
    made->wall_offset_us = start_us;
    made->threads = 1;
    made->first.sim = made;
    made->first.deadline_us = NEVER;
    made->current = &made->first;
    bool mutex = pthread_mutex_init(&made->turn, NULL) == 0;
    if (!mutex || pthread_cond_init(&made->first.baton, NULL) != 0) {
        if (mutex) pthread_mutex_destroy(&made->turn);
        mem_put(host, made, sizeof *made);
        return fail(LORE_NO_MEMORY, "pthread_mutex_init or pthread_cond_init");
    }
    *sim = made;
    return LORE_OK;
}

void sched_sim_destroy(struct sched_sim *sim) {
    if (sim == NULL) return;
    assert(sim->current == &sim->first && sim->first.next == NULL);
    pthread_cond_destroy(&sim->first.baton);
    pthread_mutex_destroy(&sim->turn);
    mem_put(sim->host, sim, sizeof *sim);
}

struct sys *sched_sim_sys(struct sched_sim *sim) {
    return &sim->base;
}

void sched_sim_jump_clock(struct sched_sim *sim, int64_t by_us) {
    enter(sim);
    sim->wall_offset_us += by_us;
    leave(sim);
}

uint64_t sched_sim_trace(struct sched_sim *sim) {
    enter(sim);
    uint64_t trace = sim->trace;
    leave(sim);
    return trace;
}

void sched_sim_yield(struct sched_sim *sim) {
    enter(sim);
    pass(sim);
    leave(sim);
}

void sched_sim_on_stuck(struct sched_sim *sim, void (*stuck)(void *context, const char *text),
                        void *context) {
    sim->stuck = stuck;
    sim->stuck_context = context;
}
