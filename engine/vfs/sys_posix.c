/*
 * sys_posix.c - clocks, randomness, threads.
 *
 * Conditions count their time on the monotonic clock, so that a jump of the wall clock neither cuts
 * a wait short nor draws it out. Threads are started with signals blocked: the host's handlers run
 * on the host's threads.
 *
 * Preconditions that only a programmer's error breaks (unlocking what is not held, joining twice)
 * are asserted.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#define _DEFAULT_SOURCE /* madvise */
#include "vfs/posix.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/poison.h"

#define RANDOM_BYTES_MAX 256u /* the most that getrandom gives whole */
#define WAIT_US_MAX      (UINT64_C(1000000) * 60 * 60 * 24 * 365) /* keeps time_t within 32 bits */

struct mutex {
    pthread_mutex_t mutex;
};
struct condition {
    pthread_cond_t condition;
};
struct thread {
    pthread_t thread;
    void (*main)(void *context);
    void *context;
};

/* ---- time, chance, names ---- */

static int64_t now_us(struct sys *sys) {
    (void)sys;
    struct timespec now;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    assert(result == 0);
    (void)result;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t monotonic_us(struct sys *sys) {
    (void)sys;
    struct timespec now;
    int result = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(result == 0);
    (void)result;
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void sleep_us(struct sys *sys, uint64_t us) {
    uint64_t end = monotonic_us(sys) + us;
    for (uint64_t now = monotonic_us(sys); now < end; now = monotonic_us(sys)) {
        uint64_t left = end - now > WAIT_US_MAX ? WAIT_US_MAX : end - now;
        struct timespec pause = {(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
        (void)nanosleep(&pause, NULL);
    }
}

static lore_status random_bytes(struct sys *sys, void *data, size_t size) {
    (void)sys;
    uint8_t *at = data;
    while (size > 0) {
        size_t step = size > RANDOM_BYTES_MAX ? RANDOM_BYTES_MAX : size;
        ssize_t n = getrandom(at, step, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return posix_fail(n < 0 ? errno : EIO, "getrandom", "the kernel's randomness");
        at += n;
        size -= (size_t)n;
    }
    return LORE_OK;
}

static uint64_t process_id(struct sys *sys) {
    (void)sys;
    return (uint64_t)getpid();
}

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static const volatile uint8_t *fork_mark(struct sys *sys) {
    (void)sys;
#ifdef MADV_WIPEONFORK /* Linux 4.14 */
    uint8_t *page =
        mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return NULL;
    /* Emulators accept any advice and forget it. The kernel refuses -1, which is none. */
    if (madvise(page, page_bytes(), -1) != 0 && madvise(page, page_bytes(), MADV_WIPEONFORK) == 0) {
        *page = 1;
        return page;
    }
    (void)munmap(page, page_bytes());
#endif
    return NULL;
}

static void fork_mark_free(struct sys *sys, const volatile uint8_t *mark) {
    (void)sys;
    (void)munmap((void *)(uintptr_t)mark, page_bytes());
}

static void host_name(struct sys *sys, char *name, size_t size) {
    (void)sys;
    assert(size > 0);
    if (gethostname(name, size) != 0) name[0] = '\0';
    name[size - 1] = '\0'; /* a name cut short may lack it */
}

/* ---- mutexes and conditions ---- */

static lore_status mutex_create(struct sys *sys, struct mutex **mutex) {
    (void)sys;
    *mutex = NULL;
    void *memory;
    TRY(mem_get(&posix_allocator, sizeof(struct mutex), &memory));
    struct mutex *self = memory;
    int error = pthread_mutex_init(&self->mutex, NULL);
    if (error != 0) {
        mem_put(&posix_allocator, self, sizeof *self);
        return posix_fail(error, "pthread_mutex_init", "a mutex");
    }
    *mutex = self;
    return LORE_OK;
}

static void mutex_destroy(struct sys *sys, struct mutex *mutex) {
    (void)sys;
    if (mutex == NULL) return;
    int error = pthread_mutex_destroy(&mutex->mutex);
    assert(error == 0);
    (void)error;
    mem_put(&posix_allocator, mutex, sizeof *mutex);
}

static void mutex_lock(struct sys *sys, struct mutex *mutex) {
    (void)sys;
    int error = pthread_mutex_lock(&mutex->mutex);
    assert(error == 0);
    (void)error;
}

static void mutex_unlock(struct sys *sys, struct mutex *mutex) {
    (void)sys;
    int error = pthread_mutex_unlock(&mutex->mutex);
    assert(error == 0);
    (void)error;
}

static lore_status condition_create(struct sys *sys, struct condition **condition) {
    (void)sys;
    *condition = NULL;
    void *memory;
    TRY(mem_get(&posix_allocator, sizeof(struct condition), &memory));
    struct condition *self = memory;
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    if (error == 0) {
        error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (error == 0) error = pthread_cond_init(&self->condition, &attributes);
        (void)pthread_condattr_destroy(&attributes);
    }
    if (error != 0) {
        mem_put(&posix_allocator, self, sizeof *self);
        return posix_fail(error, "pthread_cond_init", "a condition");
    }
    *condition = self;
    return LORE_OK;
}

static void condition_destroy(struct sys *sys, struct condition *condition) {
    (void)sys;
    if (condition == NULL) return;
    int error = pthread_cond_destroy(&condition->condition);
    assert(error == 0);
    (void)error;
    mem_put(&posix_allocator, condition, sizeof *condition);
}

static void condition_wait(struct sys *sys, struct condition *condition, struct mutex *mutex) {
    (void)sys;
    int error = pthread_cond_wait(&condition->condition, &mutex->mutex);
    assert(error == 0);
    (void)error;
}

static bool condition_wait_for(struct sys *sys, struct condition *condition, struct mutex *mutex,
                               uint64_t timeout_us) {
    if (timeout_us > WAIT_US_MAX) timeout_us = WAIT_US_MAX;
    uint64_t end_us = monotonic_us(sys) + timeout_us;
    struct timespec end = {(time_t)(end_us / 1000000), (long)(end_us % 1000000) * 1000};
    int error = pthread_cond_timedwait(&condition->condition, &mutex->mutex, &end);
    assert(error == 0 || error == ETIMEDOUT);
    return error == 0;
}

static void condition_signal(struct sys *sys, struct condition *condition) {
    (void)sys;
    (void)pthread_cond_signal(&condition->condition);
}

static void condition_broadcast(struct sys *sys, struct condition *condition) {
    (void)sys;
    (void)pthread_cond_broadcast(&condition->condition);
}

/* ---- threads ---- */

static void *thread_main(void *context) {
    struct thread *self = context;
    self->main(self->context);
    return NULL;
}

static lore_status thread_start(struct sys *sys, void (*main)(void *context), void *context,
                                struct thread **thread) {
    (void)sys;
    *thread = NULL;
    void *memory;
    TRY(mem_get(&posix_allocator, sizeof(struct thread), &memory));
    struct thread *self = memory;
    self->main = main;
    self->context = context;

    /* The new thread inherits the mask. Faults of its own stay deliverable. */
    sigset_t blocked, before;
    (void)sigfillset(&blocked);
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        (void)sigdelset(&blocked, faults[i]);
    }
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int error = pthread_create(&self->thread, NULL, thread_main, self);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        mem_put(&posix_allocator, self, sizeof *self);
        return posix_fail(error, "pthread_create", "a thread");
    }
    *thread = self;
    return LORE_OK;
}

static void thread_join(struct sys *sys, struct thread *thread) {
    (void)sys;
    if (thread == NULL) return;
    int error = pthread_join(thread->thread, NULL);
    assert(error == 0);
    (void)error;
    mem_put(&posix_allocator, thread, sizeof *thread);
}

static const struct sys_ops posix_sys_ops = {
    .now_us = now_us,
    .monotonic_us = monotonic_us,
    .random = random_bytes,
    .process_id = process_id,
    .fork_mark = fork_mark,
    .fork_mark_free = fork_mark_free,
    .host_name = host_name,
    .mutex_create = mutex_create,
    .mutex_destroy = mutex_destroy,
    .mutex_lock = mutex_lock,
    .mutex_unlock = mutex_unlock,
    .condition_create = condition_create,
    .condition_destroy = condition_destroy,
    .condition_wait = condition_wait,
    .condition_wait_for = condition_wait_for,
    .condition_signal = condition_signal,
    .condition_broadcast = condition_broadcast,
    .thread_start = thread_start,
    .thread_join = thread_join,
    .sleep_us = sleep_us,
};

const struct sys posix_sys = {&posix_sys_ops};
