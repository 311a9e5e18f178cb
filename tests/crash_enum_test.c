/*
 * crash_enum_test.c - every workload of up to three operations, cut off at every change to the
 * disk, in many of the ways in which a power cut can leave it; each such disk is opened as a store,
 * whose content must be a prefix of the commits that holds every acknowledged one.
 *
 *   crash_enum_test [--states N] [--shard I/N] [--seed S] [--workload A,B,C]     enumerate until N
 * states were checked crash_enum_test --skips                     for each sync in turn: leave it
 * out and require a violation
 *
 * How. A store is made once over the file system in memory. For each workload, a clone of it is
 * wrapped in fs_fault, whose hook runs before every change; there, pending changes are kept, lost
 * or torn in chosen subsets, and the resulting disk is opened by the same engine (LMDB included:
 * its image comes out of the same record). Workloads of one and two operations are cut everywhere;
 * in those of three only the last operation is, since the first two are another workload's.
 *
 * At each change there is also a second kind of crash: the process alone dies, the store is opened
 * again, and then the power goes.
 *
 * The number of states, by pair of operations (the one before, the one that was cut), is printed as
 * a table.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash_choice.h"
#include "operations.h"
#include "vfs/fs_fault.h"

#define WORKLOAD_MAX   3
#define SUBSETS_ALL    5  /* up to so many pending changes, every subset */
#define SUBSETS_CHOSEN 10 /* else so many, chosen by the seed */

struct simulation {
    struct fs_memory *disk;
    struct fs_fault *fault;
    struct lore_env env;
    enum operation workload[WORKLOAD_MAX];
    int length;
    int at;                     /* operation under way; -1: opening */
    bool enumerate;             /* the hook is armed */
    int enumerate_from;         /* only from this operation on */
    struct model before, after; /* content allowed while `at` is under way */
    uint64_t random;
    uint64_t states, states_max, violations;
    uint64_t counts[OPERATIONS + 1][OPERATIONS];
    bool may_be_missing; /* the store is still being created: there may be none yet */
    const char *skipped; /* the sync that is left out, for messages */
    bool quiet;
};

/* ---- checking one disk ---- */

static void describe(struct simulation *sim, const struct choice *choice, const char *what) {
    printf("VIOLATION%s%s: workload", sim->skipped ? " without " : "",
           sim->skipped ? sim->skipped : "");
    for (int i = 0; i < sim->length; i++)
        printf(" %s", operation_names[sim->workload[i]]);
    printf(", cut in operation %d: %s\n", sim->at + 1, what);
    choice_print(sim->disk, choice);
}

static void violation(struct simulation *sim, const struct choice *choice, const char *what) {
    sim->violations++;
    if (!sim->quiet && sim->violations <= 3) describe(sim, choice, what);
}

static bool verify_clean(lore_store *store) {
    lore_verify_report report = {0};
    return lore_verify(store, NULL, NULL, NULL, &report) == LORE_OK && report.findings == 0;
}

static void check_disk(struct simulation *sim, struct choice *choice) {
    struct fs_memory *disk;
    MUST(fs_memory_crash_clone(sim->disk, choose, choice, &disk));
    lore_env env = {
        .allocator = env_posix()->allocator, .fs = fs_memory_fs(disk), .sys = env_posix()->sys};
    lore_options options;
    model_options(&options, &env);
    options.create_if_missing =
        sim->may_be_missing; /* what is left of a creation must not be in the way of the next */
    lore_store *store = NULL;
    char text[MODEL_TEXT_MAX], before[MODEL_TEXT_MAX], after[MODEL_TEXT_MAX],
        what[3 * MODEL_TEXT_MAX + 128];
    model_render(&sim->before, before);
    model_render(&sim->after, after);
    lore_status status = lore_open(STORE_PATH, &options, &store);
    if (status == LORE_OK) status = store_render(store, text);
    if (status != LORE_OK) {
        snprintf(what, sizeof what, "%s: %s", lore_status_name(status), lore_error_message());
        violation(sim, choice, what);
    } else if (strcmp(text, before) != 0 && strcmp(text, after) != 0) {
        snprintf(what, sizeof what, "content differs\n  found    %s  expected %s  or       %s",
                 text, before, after);
        violation(sim, choice, what);
    } else if (sim->states % 4 == 0 && !verify_clean(store)) {
        snprintf(what, sizeof what, "verify: %s", lore_error_message());
        violation(sim, choice, what);
    }
    if (store != NULL && lore_close(store) != LORE_OK) violation(sim, choice, lore_error_message());
    fs_memory_destroy(disk);
    sim->states++;
    int pair = sim->at > 0 ? (int)sim->workload[sim->at - 1] : OPERATIONS;
    if (sim->at >= 0 && sim->at < sim->length) sim->counts[pair][sim->workload[sim->at]]++;
}

static lore_status open_and_render(struct simulation *sim, const lore_env *env, lore_store **store,
                                   char text[MODEL_TEXT_MAX]) {
    lore_options options;
    model_options(&options, env);
    options.create_if_missing = sim->may_be_missing;
    *store = NULL;
    text[0] = '\0';
    lore_status status = lore_open(STORE_PATH, &options, store);
    return status == LORE_OK ? store_render(*store, text) : status;
}

/* A reader beside the writer that has recovered sees what that one sees. */
static void check_reader(struct simulation *sim, struct choice *choice, const lore_env *env,
                         const char *expected) {
    lore_options options;
    lore_store *reader;
    char text[MODEL_TEXT_MAX], what[2 * MODEL_TEXT_MAX + 128];
    model_options(&options, env);
    options.read_only = true;
    lore_status status = lore_open(STORE_PATH, &options, &reader);
    if (status == LORE_OK) status = store_render(reader, text);
    if (reader != NULL) MUST(lore_close(reader));
    if (status == LORE_OK && strcmp(text, expected) == 0) return;
    snprintf(what, sizeof what, "a reader, %s:\n  found    %s  expected %s",
             lore_status_name(status), status == LORE_OK ? text : lore_error_message(), expected);
    violation(sim, choice, what);
}

/* The process is killed here, the store is opened by another, and then the power goes: what the
 * second built on, the first may not have synced. */
static void check_twice(struct simulation *sim, struct choice *choice) {
    struct fs_memory *killed, *cut;
    lore_store *store, *again;
    char text[MODEL_TEXT_MAX], before[MODEL_TEXT_MAX], after[MODEL_TEXT_MAX],
        what[3 * MODEL_TEXT_MAX + 128];
    MUST(fs_memory_clone(sim->disk, &killed));
    lore_env env = {env_posix()->allocator, fs_memory_fs(killed), env_posix()->sys};
    lore_status status = open_and_render(sim, &env, &store, text);
    if (status == LORE_OK) check_reader(sim, choice, &env, text);
    MUST(fs_memory_crash_clone(killed, choose, choice, &cut));
    if (store != NULL && lore_close(store) != LORE_OK) violation(sim, choice, lore_error_message());
    fs_memory_destroy(killed);
    lore_env cut_env = {env_posix()->allocator, fs_memory_fs(cut), env_posix()->sys};
    if (status == LORE_OK) status = open_and_render(sim, &cut_env, &again, text);
    model_render(&sim->before, before);
    model_render(&sim->after, after);
    if (status != LORE_OK) {
        snprintf(what, sizeof what, "killed, opened and cut off: %s: %s", lore_status_name(status),
                 lore_error_message());
        violation(sim, choice, what);
    } else if (strcmp(text, before) != 0 && strcmp(text, after) != 0) {
        snprintf(
            what, sizeof what,
            "killed, opened and cut off: content differs\n  found    %s  expected %s  or       "
            "%s",
            text, before, after);
        violation(sim, choice, what);
    }
    if (status == LORE_OK && lore_close(again) != LORE_OK)
        violation(sim, choice, lore_error_message());
    fs_memory_destroy(cut);
    sim->states++;
}

/* ---- choosing disks ---- */

static bool done(const struct simulation *sim) {
    return sim->states >= sim->states_max || (sim->skipped != NULL && sim->violations > 0);
}

static void on_change(void *context, uint64_t number) {
    struct simulation *sim = context;
    (void)number;
    if (!sim->enumerate || sim->at < sim->enumerate_from || done(sim)) return;
    size_t pending = fs_memory_pending_count(sim->disk);
    uint64_t all = pending >= 63 ? UINT64_MAX : (UINT64_C(1) << pending) - 1;
    struct choice choice = {0};
    if (sim->skipped == NULL) {
        check_twice(sim, &choice);
        if (sim->length < 3) {
            choice.kept = operation_random(&sim->random);
            check_twice(sim, &choice);
            choice.kept = 0;
        }
    }
    if (pending <= SUBSETS_ALL && sim->length < 3) {
        for (choice.kept = 0; choice.kept <= all && !done(sim); choice.kept++)
            check_disk(sim, &choice);
    } else {
        size_t chosen = sim->length < 3 ? SUBSETS_CHOSEN : 2;
        check_disk(sim, &choice);
        for (size_t i = 0; i < chosen && pending > 0 && !done(sim); i++) {
            choice.kept = i == 0 ? all : operation_random(&sim->random) & all;
            check_disk(sim, &choice);
        }
    }
    if (pending == 0) return;
    choice.kept = operation_random(&sim->random) | operation_random(&sim->random);
    choice.torn = UINT64_C(1) << (operation_random(&sim->random) % (pending < 63 ? pending : 63));
    if (operation_random(&sim->random) % 2 == 0)
        choice.torn |= UINT64_C(1) << (pending <= 63 ? pending - 1 : 63);
    choice.pattern = operation_random(&sim->random);
    check_disk(sim, &choice);
}

/* ---- workloads ---- */

static void run_workload(struct simulation *sim, struct fs_memory *base, const struct model *model,
                         uint32_t skip_calls, const char *skip_path) {
    MUST(fs_memory_clone(base, &sim->disk));
    MUST(fs_fault_create(env_posix()->allocator, fs_memory_fs(sim->disk), &sim->fault));
    fs_fault_set_memory(sim->fault, sim->disk);
    fs_fault_skip(sim->fault, skip_calls, skip_path);
    sim->env = (lore_env){.allocator = env_posix()->allocator,
                          .fs = fs_fault_fs(sim->fault),
                          .sys = env_posix()->sys};
    sim->before = sim->after = *model;
    sim->at = -1;
    fs_fault_on_change(sim->fault, on_change, sim);
    lore_options options;
    model_options(&options, &sim->env);
    lore_store *store;
    MUST(lore_open(STORE_PATH, &options, &store));
    for (sim->at = 0; sim->at < sim->length; sim->at++) {
        MUST(operation_run(sim->workload[sim->at], &sim->env, &store, &sim->after,
                           100 + 10 * sim->at + (sim->at + 1) % 2));
        sim->before = sim->after;
    }
    sim->at = sim->length - 1;
    MUST(lore_close(store));
    fs_fault_on_change(sim->fault, NULL, NULL);
    fs_fault_destroy(sim->fault);
    fs_memory_destroy(sim->disk);
}

/* Workload number n: first those of one operation, then of two, then of three in an order that a
 * step coprime to their number spreads out, so that a bounded run sees all kinds. */
static int workloads_count(void) {
    return OPERATIONS + OPERATIONS * OPERATIONS + OPERATIONS * OPERATIONS * OPERATIONS;
}

static void set_workload(struct simulation *sim, int n) {
    int triples = OPERATIONS * OPERATIONS * OPERATIONS;
    if (n < OPERATIONS) {
        sim->length = 1;
    } else if ((n -= OPERATIONS) < OPERATIONS * OPERATIONS) {
        sim->length = 2;
    } else {
        n -= OPERATIONS * OPERATIONS;
        sim->length = 3;
        n = (int)((int64_t)n * 1009 % triples);
    }
    for (int i = 0; i < sim->length; i++, n /= OPERATIONS)
        sim->workload[i] = (enum operation)(n % OPERATIONS);
    sim->enumerate_from = sim->length == 1 ? -1 : sim->length - 1;
}

static void print_counts(const struct simulation *sim) {
    printf("states by pair of operations (row: the one before; column: the one that was cut)\n%-8s",
           "");
    for (int c = 0; c < OPERATIONS; c++)
        printf("%8s", operation_names[c]);
    printf("\n");
    for (int r = OPERATIONS; r >= 0; r--) {
        printf("%-8s", r == OPERATIONS ? "(first)" : operation_names[r]);
        for (int c = 0; c < OPERATIONS; c++)
            printf("%8" PRIu64, sim->counts[r][c]);
        printf("\n");
    }
}

/* The creation of a store, and its first write. */
static void enumerate_creation(struct simulation *sim, uint32_t skip_calls, const char *skip_path) {
    MUST(fs_memory_create(env_posix()->allocator, 0, &sim->disk));
    MUST(fs_fault_create(env_posix()->allocator, fs_memory_fs(sim->disk), &sim->fault));
    fs_fault_set_memory(sim->fault, sim->disk);
    fs_fault_skip(sim->fault, skip_calls, skip_path);
    sim->env = (lore_env){.allocator = env_posix()->allocator,
                          .fs = fs_fault_fs(sim->fault),
                          .sys = env_posix()->sys};
    memset(&sim->before, 0, sizeof sim->before);
    sim->after = sim->before;
    sim->length = 1;
    sim->workload[0] = OP_PUT;
    sim->enumerate_from = -1;
    sim->at = -1;
    sim->may_be_missing = true;
    fs_fault_on_change(sim->fault, on_change, sim);
    lore_options options;
    model_options(&options, &sim->env);
    lore_store *store;
    MUST(lore_open(STORE_PATH, &options, &store));
    sim->may_be_missing = false;
    sim->at = 0;
    MUST(operation_run(OP_PUT, &sim->env, &store, &sim->after, 101));
    sim->before = sim->after;
    MUST(lore_close(store));
    fs_fault_on_change(sim->fault, NULL, NULL);
    fs_fault_destroy(sim->fault);
    fs_memory_destroy(sim->disk);
}

static int enumerate(struct simulation *sim, int shard, int shards) {
    struct fs_memory *base;
    struct model model;
    operation_make_base(&base, &model);
    sim->enumerate = true;
    if (shard == 0) {
        enumerate_creation(sim, 0, NULL);
        printf("%" PRIu64 " states of a store's creation and first write\n", sim->states);
    }
    for (int n = shard; n < workloads_count() && !done(sim); n += shards) {
        set_workload(sim, n);
        run_workload(sim, base, &model, 0, NULL);
    }
    fs_memory_destroy(base);
    print_counts(sim);
    printf("%" PRIu64 " states, %" PRIu64 " violations\n", sim->states, sim->violations);
    return sim->violations == 0 ? 0 : 1;
}

static int enumerate_one(struct simulation *sim, const char *list) {
    struct fs_memory *base;
    struct model model;
    operation_make_base(&base, &model);
    char copy[128];
    snprintf(copy, sizeof copy, "%s", list);
    for (char *name = strtok(copy, ","); name != NULL && sim->length < WORKLOAD_MAX;
         name = strtok(NULL, ","))
        for (int i = 0; i < OPERATIONS; i++)
            if (strcmp(name, operation_names[i]) == 0)
                sim->workload[sim->length++] = (enum operation)i;
    sim->enumerate = true;
    sim->enumerate_from = -1;
    run_workload(sim, base, &model, 0, NULL);
    fs_memory_destroy(base);
    printf("%" PRIu64 " states, %" PRIu64 " violations\n", sim->states, sim->violations);
    return sim->violations == 0 ? 0 : 1;
}

/* Each sync that the engine relies on. Leaving any of them out must be found. LMDB's own are not
 * here: its file is derived, and a lost one is rebuilt, which the enumeration above shows. */
static const struct skip {
    uint32_t calls;
    const char *path;
} skips[] = {
    {FAULT_SYNC, "/log-"},   {FAULT_SYNC, "/edits-"}, {FAULT_SYNC, ".table"},
    {FAULT_SYNC, ".blob"},   {FAULT_SYNC, ".rows"},   {FAULT_SYNC_DIR, "g-000001"},
    {FAULT_SYNC, "CURRENT"},
};

static int check_skips(struct simulation *sim) {
    struct fs_memory *base;
    struct model model;
    operation_make_base(&base, &model);
    int missed = 0;
    uint64_t states_max = sim->states_max;
    for (size_t s = 0; s < sizeof skips / sizeof skips[0]; s++) {
        char name[64];
        snprintf(name, sizeof name, "%s of %s",
                 skips[s].calls == FAULT_SYNC ? "sync" : "directory sync", skips[s].path);
        sim->skipped = name;
        sim->quiet = true;
        sim->enumerate = true;
        sim->violations = sim->states = 0;
        sim->states_max = states_max;
        /* First all pairs that end in a flush: what most of these syncs are for. */
        enumerate_creation(sim, skips[s].calls, skips[s].path);
        for (int n = -OPERATIONS; n < workloads_count() && !done(sim); n++) {
            set_workload(sim, n < 0 ? OPERATIONS + OP_FLUSH * OPERATIONS + n + OPERATIONS : n);
            sim->enumerate_from = -1;
            run_workload(sim, base, &model, skips[s].calls, skips[s].path);
        }
        printf("without the %s: %s after %" PRIu64 " states\n", name,
               sim->violations > 0 ? "found" : "NOT FOUND", sim->states);
        missed += sim->violations == 0;
    }
    fs_memory_destroy(base);
    return missed == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    struct simulation sim = {.states_max = 100000, .random = 1};
    int shard = 0, shards = 1;
    bool skips_only = false;
    const char *workload = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--skips") == 0)
            skips_only = true;
        else if (i + 1 < argc && strcmp(argv[i], "--states") == 0)
            sim.states_max = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            sim.random = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--workload") == 0)
            workload = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--shard") == 0) {
            if (sscanf(argv[++i], "%d/%d", &shard, &shards) != 2 || shards < 1 || shard < 0)
                return 2;
        } else
            return 2;
    }
    printf("seed %" PRIu64 "\n", sim.random);
    if (skips_only) return check_skips(&sim);
    if (workload != NULL) return enumerate_one(&sim, workload);
    return enumerate(&sim, shard, shards);
}
