/*
 * sched_sim.h - a `struct sys` under a seed: threads are real ones that pass a baton, so that
 * exactly one runs at a time; at every mutex, condition, sleep and thread call the next is chosen
 * by the seed. The clock moves only by sleeping and by one microsecond a reading. Randomness comes
 * from the seed too. The same seed gives the same run, bit for bit.
 *
 * It is as unkind as POSIX allows: a waiter may wake without a signal (1 in 32), a signal wakes any
 * of the waiters, a mutex goes to whoever comes first, and time may jump to the next sleeper's or
 * waiter's deadline though others could run (1 in 16), as if they were slow.
 *
 * A deadlock (nobody can run) is reported through `stuck` and ends the run.
 *
 * Threads: the one that creates it is the first of its threads; only they may call it. All must
 * have been joined before it is destroyed.
 */
#ifndef LORE_VFS_SCHED_SIM_H
#define LORE_VFS_SCHED_SIM_H

#include "vfs/env.h"

struct sched_sim;
MUST_USE lore_status sched_sim_create(const struct allocator *host, uint64_t seed, int64_t start_us,
                                      struct sched_sim **sim);
void sched_sim_destroy(struct sched_sim *sim);
struct sys *sched_sim_sys(struct sched_sim *sim);
/* Jump the wall clock; the monotonic one stays. */
void sched_sim_jump_clock(struct sched_sim *sim, int64_t by_us);
/* A digest of all choices made so far: equal for equal runs. */
uint64_t sched_sim_trace(struct sched_sim *sim);

/* Let another thread run, perhaps: for a hook in a file call, so that the seed chooses there too.
 */
void sched_sim_yield(struct sched_sim *sim);
/* Called at a deadlock with what each thread waits for, a line each; it must not return (exit, or
 * end the test). NULL, the default: the text goes to stderr and the process aborts. */
void sched_sim_on_stuck(struct sched_sim *sim, void (*stuck)(void *context, const char *text),
                        void *context);

#endif
