/*
 * commit_bench.c - durable commits: one thread, and several that share a flush of the device.
 *
 *   commit_bench [DIR, default .] [REPETITIONS, default 5] [COMMITS a run, default 2000]
 *
 * Two jobs: a put of 100 bytes, and a memory (text of 300 bytes, five attributes). In every
 * repetition each job runs with 1, 2, 4 and 8 threads in turn, on a store made for it, under
 * LORE_SYNC_FULL. A ratio is taken within one repetition, so that what the machine does meanwhile
 * meets both sides. Beside the store's commits, what the device itself does: overwriting 4 KiB of a
 * file and calling fdatasync, one after the other.
 */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <pthread.h>

#include "bench.h"

static const unsigned thread_counts[] = {1, 2, 4, 8};
#define COUNTS      (sizeof thread_counts / sizeof thread_counts[0])
#define THREADS_MAX 8u

enum job { JOB_PUT, JOB_MEMORY, JOBS };
static const char *const job_names[JOBS] = {"put of 100 bytes", "memory of 300 bytes"};

struct worker {
    pthread_t thread;
    lore_store *store;
    enum job job;
    uint64_t first, count;
};

static void put_one(lore_store *store, uint64_t number) {
    uint8_t key[16];
    char value[100];
    bench_key(number, key);
    bench_text(number, value, sizeof value);
    MUST(lore_put(store, 1, (lore_slice){key, sizeof key}, (lore_slice){value, sizeof value}));
}

static void remember_one(lore_store *store, uint64_t number) {
    char id[32], text[300], session[32];
    lore_memory memory;
    lore_memory_init(&memory);
    snprintf(id, sizeof id, "memory-%012" PRIu64, number);
    snprintf(session, sizeof session, "session-%" PRIu64, number / 100);
    bench_text(number, text, sizeof text);
    memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) |
                    LORE_FIELD(LORE_ATTR_KIND) | LORE_FIELD(LORE_ATTR_USER) |
                    LORE_FIELD(LORE_ATTR_SESSION) | LORE_FIELD(LORE_ATTR_ROLE) |
                    LORE_FIELD(LORE_ATTR_POSITION);
    memory.id = lore_slice_of(id);
    memory.text = (lore_slice){text, sizeof text};
    memory.kind = lore_slice_of("turn");
    memory.user_id = lore_slice_of("somebody");
    memory.session_id = lore_slice_of(session);
    memory.role = lore_slice_of(number % 2 == 0 ? "user" : "assistant");
    memory.position = number % 100;
    MUST(lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL));
}

static void *worker_main(void *context) {
    struct worker *worker = context;
    for (uint64_t i = 0; i < worker->count; i++) {
        if (worker->job == JOB_PUT)
            put_one(worker->store, worker->first + i);
        else
            remember_one(worker->store, worker->first + i);
    }
    return NULL;
}

/* Commits a second; *flushes: of the device, a commit. */
static double run(const char *path, enum job job, unsigned threads, uint64_t commits,
                  double *flushes) {
    struct worker workers[THREADS_MAX];
    lore_options options;
    lore_store *store;
    bench_remove(path);
    lore_options_init(&options);
    options.create_if_missing = true;
    MUST(lore_open(path, &options, &store));
    worker_main(&(struct worker){.store = store, .job = job, .first = 1u << 30, .count = 20});
    lore_stats before = {.struct_size = sizeof before}, after = before;
    MUST(lore_stats_get(store, &before));
    double began = bench_seconds();
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){
            .store = store, .job = job, .first = (uint64_t)i << 20, .count = commits / threads};
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0)
            bench_die("commit_bench", "no thread");
    }
    for (unsigned i = 0; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
    double took = bench_seconds() - began;
    MUST(lore_stats_get(store, &after));
    MUST(lore_close(store));
    bench_remove(path);
    uint64_t done = commits / threads * threads;
    *flushes = (double)(after.device_syncs - before.device_syncs) / (double)done;
    return (double)done / took;
}

/* What the device gives: flushes a second of 4 KiB over blocks that are written already. */
static double run_device(const char *path, uint64_t commits) {
    static const char block[4096];
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0) bench_die(path, "cannot be made");
    for (unsigned i = 0; i < 256; i++)
        if (pwrite(file, block, sizeof block, (off_t)i * 4096) != sizeof block)
            bench_die(path, "cannot be written");
    fsync(file);
    double began = bench_seconds();
    for (uint64_t i = 0; i < commits; i++) {
        if (pwrite(file, block, sizeof block, (off_t)(i % 256) * 4096) != sizeof block ||
            fdatasync(file) != 0)
            bench_die(path, "cannot be written");
    }
    double took = bench_seconds() - began;
    close(file);
    unlink(path);
    return (double)commits / took;
}

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : ".";
    unsigned repetitions = argc > 2 ? (unsigned)atoi(argv[2]) : 5;
    uint64_t commits = argc > 3 ? strtoull(argv[3], NULL, 10) : 2000;
    static struct spread rates[JOBS][COUNTS], ratios[JOBS][COUNTS], flushes[JOBS][COUNTS], device;
    char path[1024], text[96], more[96];
    if (repetitions == 0 || repetitions > REPETITIONS_MAX || commits < THREADS_MAX) {
        fprintf(stderr, "usage: commit_bench [DIR] [REPETITIONS, 1 to 50] [COMMITS, 8 or more]\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/lore-commit-bench-%ld", dir, (long)getpid());
    printf("%s: %u repetitions of %" PRIu64 " durable commits; median (least to most)\n", dir,
           repetitions, commits);
    for (unsigned r = 0; r < repetitions; r++) {
        spread_add(&device, run_device(path, commits));
        for (unsigned job = 0; job < JOBS; job++) {
            double alone = 0, syncs;
            for (unsigned c = 0; c < COUNTS; c++) {
                double rate = run(path, (enum job)job, thread_counts[c], commits, &syncs);
                if (c == 0) alone = rate;
                spread_add(&rates[job][c], rate);
                spread_add(&ratios[job][c], rate / alone);
                spread_add(&flushes[job][c], syncs);
            }
        }
    }
    printf("device alone: %s flushes of 4 KiB a second\n", spread_text(&device, 0, text));
    for (unsigned job = 0; job < JOBS; job++) {
        printf("%s\n", job_names[job]);
        for (unsigned c = 0; c < COUNTS; c++)
            printf("  %u thread%s %-28s commits/s   %-22s times one thread   %.2f flushes a "
                   "commit\n",
                   thread_counts[c], c == 0 ? ": " : "s:", spread_text(&rates[job][c], 0, text),
                   spread_text(&ratios[job][c], 2, more), spread_at(&flushes[job][c], 50));
    }
    return 0;
}
