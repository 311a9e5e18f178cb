/*
 * sim_test.c - the simulator's command: seeds, replays, shrinking. See sim_world.h.
 *
 *   sim_test                              the default seeds, some of them twice
 *   sim_test --seed N [--trace]           one seed; with every operation printed
 *   sim_test --seed N --keep LIST         of its operations only these: 3,7,9-12
 *   sim_test --seeds FROM COUNT           so many seeds
 *   sim_test --seconds S [--seeds FROM 0] seeds until the time is over
 *   sim_test ... --operations N           so many operations in each run
 *   sim_test ... --stop                   at the first that fails
 *   sim_test ... --no-shrink              do not look for a smaller run that fails as well
 *
 * Each run is a process of its own, so that a crash or a hang of the engine is one more way to
 * fail. The same seed is the same run, bit for bit: its digest covers every choice of the scheduler
 * and every result.
 */
#include "sim_world.h"

#include <inttypes.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_SEEDS   220
#define TWICE_EVERY     20
#define RUN_SECONDS_MAX 60 /* a run takes a tenth of a second */
#define SHRINK_RUNS_MAX 400

struct outcome {
    bool failed;
    uint64_t digest, done, crashes, openings, refused_openings, errors;
    bool damaged;
    char what[48]; /* of a violation: its text without digits, so that smaller runs fail alike */
};

static int result_pipe;

static void note_what(const char *text, char what[48]) {
    size_t used = 0;
    for (; *text != '\0' && used < 47; text++)
        if (*text < '0' || *text > '9') what[used++] = *text;
    what[used] = '\0';
}

static _Noreturn void end_child(const char *text) {
    struct outcome outcome = {.failed = true};
    note_what(text, outcome.what);
    _exit(write(result_pipe, &outcome, sizeof outcome) == sizeof outcome ? 1 : 2);
}

static void run_here(struct sim_plan *plan, bool tracing, struct outcome *outcome) {
    static struct sim_world world;
    memset(&world, 0, sizeof world);
    world.plan = plan;
    world.tracing = tracing;
    world.on_violation = end_child;
    world_run(&world);
    sim_mix(&world, sched_sim_trace(world.sched));
    *outcome = (struct outcome){false,         world.digest,   world.done,
                                world.crashes, world.openings, world.refused_openings,
                                world.errors,  world.damaged,  ""};
    world_end(&world);
}

static void run_child(struct sim_plan *plan, bool tracing, bool quiet, int out) {
    struct outcome outcome;
    result_pipe = out;
    if (quiet &&
        (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL))
        _exit(2);
    alarm(quiet ? RUN_SECONDS_MAX / 10 : RUN_SECONDS_MAX);
    run_here(plan, tracing, &outcome);
    fflush(NULL);
    if (write(out, &outcome, sizeof outcome) != sizeof outcome) _exit(2);
    _exit(0);
}

static struct outcome run(struct sim_plan *plan, bool tracing, bool quiet) {
    struct outcome outcome = {.failed = true};
    int pipes[2], status = 0;
    fflush(NULL);
    if (pipe(pipes) != 0) abort();
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        close(pipes[0]);
        run_child(plan, tracing, quiet, pipes[1]);
    }
    close(pipes[1]);
    struct outcome got;
    bool whole = read(pipes[0], &got, sizeof got) == sizeof got;
    if (whole) outcome = got;
    close(pipes[0]);
    while (waitpid(child, &status, 0) < 0)
        ;
    outcome.failed = !whole || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    if (WIFSIGNALED(status))
        snprintf(outcome.what, sizeof outcome.what, "signal %d", WTERMSIG(status));
    if (outcome.failed && !quiet && WIFSIGNALED(status))
        printf("VIOLATION: seed %" PRIu64 ": ended by signal %d%s\n", plan->seed, WTERMSIG(status),
               WTERMSIG(status) == SIGALRM ? ", it hangs" : "");
    return outcome;
}

/* ---- shrinking ---- */

static size_t count_kept(const struct sim_plan *plan) {
    size_t kept = 0;
    for (size_t i = 0; i < plan->count; i++)
        kept += !plan->operations[i].left_out;
    return kept;
}

static void print_keep(const struct sim_plan *plan) {
    const char *comma = "";
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->operations[i].left_out) continue;
        size_t last = i;
        while (last + 1 < plan->count && !plan->operations[last + 1].left_out)
            last++;
        printf(last > i ? "%s%zu-%zu" : "%s%zu", comma, i, last);
        comma = ",";
        i = last;
    }
    printf("\n");
}

/* Whether it fails, and of the same. */
static bool fails_alike(struct sim_plan *candidate, const char *what) {
    struct outcome outcome = run(candidate, false, true);
    return outcome.failed && strcmp(outcome.what, what) == 0;
}

/* Leave out kept operations `from` to `to`, counted among those kept; true if it still fails. */
static bool try_without(struct sim_plan *plan, size_t from, size_t to, const char *what) {
    static struct sim_plan candidate;
    candidate = *plan;
    size_t kept = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->operations[i].left_out) continue;
        if (kept >= from && kept < to) candidate.operations[i].left_out = true;
        kept++;
    }
    if (!fails_alike(&candidate, what)) return false;
    *plan = candidate;
    return true;
}

/* All of one kind, or of one client. */
static bool try_without_some(struct sim_plan *plan, int kind, int client, const char *what) {
    static struct sim_plan candidate;
    candidate = *plan;
    bool any = false;
    for (size_t i = 0; i < plan->count; i++) {
        struct sim_operation *operation = &candidate.operations[i];
        if (operation->left_out || (operation->kind != kind && operation->client != client))
            continue;
        operation->left_out = any = true;
    }
    if (!any || !fails_alike(&candidate, what)) return false;
    *plan = candidate;
    return true;
}

static void shrink(struct sim_plan *plan, const char *what) {
    size_t runs = 0;
    for (int client = 0; client < (int)plan->clients; client++, runs++)
        (void)try_without_some(plan, -1, client, what);
    for (int kind = SIM_KINDS - 1; kind >= 0; kind--, runs++)
        (void)try_without_some(plan, kind, -1, what);
    for (size_t chunk = count_kept(plan); chunk > 0 && runs < SHRINK_RUNS_MAX;) {
        bool shorter = false;
        for (size_t at = 0; at < count_kept(plan) && runs < SHRINK_RUNS_MAX; runs++) {
            if (try_without(plan, at, at + chunk, what))
                shorter = true;
            else
                at += chunk;
        }
        if (chunk > count_kept(plan) && count_kept(plan) > 0)
            chunk = count_kept(plan);
        else if (chunk > 1)
            chunk /= 2;
        else if (!shorter)
            break;
    }
    printf("shrunk to %zu operations:", count_kept(plan));
    for (size_t i = 0; i < plan->count && count_kept(plan) <= 40; i++)
        if (!plan->operations[i].left_out) printf(" %s", sim_kind_names[plan->operations[i].kind]);
    printf("\n");
    (void)run(plan, false, false);
    printf("replay: sim_test --seed %" PRIu64 " --operations %zu --keep ", plan->seed, plan->count);
    print_keep(plan);
}

static bool keep_only(struct sim_plan *plan, const char *list) {
    for (size_t i = 0; i < plan->count; i++)
        plan->operations[i].left_out = true;
    while (*list != '\0') {
        char *end;
        size_t from = strtoull(list, &end, 10), to = from;
        if (end == list) return false;
        if (*end == '-') to = strtoull(end + 1, &end, 10);
        for (size_t i = from; i <= to && i < plan->count; i++)
            plan->operations[i].left_out = false;
        list = *end == ',' ? end + 1 : end;
    }
    return true;
}

/* ---- many seeds ---- */

struct request {
    uint64_t from, count, seconds;
    size_t operations;
    bool tracing, shrinks, twice, stops;
    const char *keep;
};

static bool run_seed(const struct request *request, uint64_t seed, struct outcome *outcome) {
    static struct sim_plan plan;
    sim_plan_make(&plan, seed, request->operations);
    if (request->keep != NULL && !keep_only(&plan, request->keep)) return false;
    *outcome = run(&plan, request->tracing, false);
    if (outcome->failed) {
        printf("replay: sim_test --seed %" PRIu64 "%s\n", seed, request->tracing ? "" : " --trace");
        if (request->shrinks && request->keep == NULL) shrink(&plan, outcome->what);
        return false;
    }
    if (request->twice && seed % TWICE_EVERY == 0) {
        struct outcome again = run(&plan, false, false);
        if (again.digest != outcome->digest) {
            printf("VIOLATION: seed %" PRIu64 " ran twice and was not the same: %016" PRIx64
                   ", %016" PRIx64 "\n",
                   seed, outcome->digest, again.digest);
            return false;
        }
    }
    return true;
}

static int run_seeds(const struct request *request) {
    struct outcome total = {0};
    uint64_t seeds = 0, failures = 0, damaged = 0;
    time_t began = time(NULL);
    for (uint64_t seed = request->from;; seed++) {
        struct outcome outcome = {0};
        if (request->count > 0 && seeds >= request->count) break;
        if (request->seconds > 0 && (uint64_t)(time(NULL) - began) >= request->seconds) break;
        failures += !run_seed(request, seed, &outcome);
        seeds++;
        if (request->stops && failures > 0) break;
        total.done += outcome.done;
        total.crashes += outcome.crashes;
        total.openings += outcome.openings;
        total.refused_openings += outcome.refused_openings;
        total.errors += outcome.errors;
        damaged += outcome.damaged;
        total.digest = outcome.digest;
    }
    printf("%" PRIu64 " seeds from %" PRIu64 ": %" PRIu64 " operations, %" PRIu64
           " crashes, %" PRIu64 " openings, %" PRIu64 " errors answered; %" PRIu64
           " runs with damage, of which %" PRIu64 " refused to open; %" PRIu64
           " failures; digest %016" PRIx64 "\n",
           seeds, request->from, total.done, total.crashes, total.openings, total.errors, damaged,
           total.refused_openings, failures, total.digest);
    return failures == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    struct request request = {.from = 1, .count = DEFAULT_SEEDS, .shrinks = true, .twice = true};
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--trace") == 0)
            request.tracing = true;
        else if (strcmp(argv[i], "--no-shrink") == 0)
            request.shrinks = false;
        else if (strcmp(argv[i], "--stop") == 0)
            request.stops = true;
        else if (more && strcmp(argv[i], "--seed") == 0) {
            request.from = strtoull(argv[++i], NULL, 10);
            request.count = 1;
        } else if (more && strcmp(argv[i], "--keep") == 0)
            request.keep = argv[++i];
        else if (more && strcmp(argv[i], "--operations") == 0)
            request.operations = strtoull(argv[++i], NULL, 10);
        else if (more && strcmp(argv[i], "--seconds") == 0) {
            request.seconds = strtoull(argv[++i], NULL, 10);
            request.count = 0;
        } else if (i + 2 < argc && strcmp(argv[i], "--seeds") == 0) {
            request.from = strtoull(argv[++i], NULL, 10);
            request.count = strtoull(argv[++i], NULL, 10);
        } else {
            fprintf(stderr, "sim_test: %s: see the head of sim_test.c\n", argv[i]);
            return 2;
        }
    }
    return run_seeds(&request);
}
