/*
 * fault_test.c - the N-th call to the device fails, and the N-th allocation, once and for ever, for
 * every N, over a workload that takes in every operation. Each failure must come back as a clear
 * error, leave no memory behind, leave reads working (where the device still reads), and leave a
 * store that opens whole: every acknowledged operation there, the failed one whole or not at all.
 * After "no space" the next write succeeds without reopening, once there is space.
 *
 *   fault_test [--stride N] [--first N]       every N-th failure from the first
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operations.h"
#include "vfs/fs_fault.h"

static const enum operation workload[] = {
    OP_PUT,  OP_BATCH,  OP_MEMORY,  OP_EMBED, OP_SAVE,    OP_FLUSH,  OP_RANGE, OP_SWITCH, OP_PUT,
    OP_STEP, OP_DELETE, OP_REWRITE, OP_DROP,  OP_REBUILD, OP_REOPEN, OP_PUT,   OP_FLUSH,  OP_PUT};
#define OPERATIONS_IN_WORKLOAD ((int)(sizeof workload / sizeof workload[0]))
#define POSSIBLE_MAX           64

/* What the store may hold: the acknowledged, with each failed operation in or out. */
struct possible {
    struct model models[POSSIBLE_MAX];
    int count;
};

struct run {
    struct fs_memory *disk;
    struct fs_fault *fault;
    struct fault_allocator allocator;
    lore_env env;
    lore_store *store;
    struct possible possible;
    int wrong;
    const char *kind;
    uint64_t at;
    char message[512]; /* of the last operation that failed */
};

static struct fs_memory *base;
static struct model base_model;

static void wrong(struct run *run, const char *format, const char *text) {
    printf("WRONG: %s %" PRIu64 ": ", run->kind, run->at);
    printf(format, text);
    printf("\n");
    run->wrong++;
}

static bool same_content(const struct model *a, const struct model *b) {
    char first[MODEL_TEXT_MAX], second[MODEL_TEXT_MAX];
    model_render(a, first);
    model_render(b, second);
    return strcmp(first, second) == 0;
}

static void add_possible(struct possible *possible, const struct model *model) {
    for (int i = 0; i < possible->count; i++)
        if (same_content(&possible->models[i], model)) return;
    if (possible->count < POSSIBLE_MAX) possible->models[possible->count++] = *model;
}

static bool open_store(struct run *run) {
    lore_options options;
    model_options(&options, &run->env);
    return lore_open(STORE_PATH, &options, &run->store) == LORE_OK;
}

/* One operation, on the store and on every model that is possible. */
static lore_status run_one(struct run *run, enum operation operation, int number) {
    struct possible next = {.count = 0};
    char message[512] = "";
    lore_status status = LORE_OK;
    for (int i = 0; i < run->possible.count; i++) {
        struct model model = run->possible.models[i];
        if (i == 0) {
            status = operation_run(operation, &run->env, &run->store, &model, number);
            snprintf(message, sizeof message, "%s", lore_error_message());
        } else {
            lore_store *none = NULL; /* the model alone */
            lore_status ignored = operation_run(operation, NULL, &none, &model, number);
            (void)ignored;
        }
        add_possible(&next, &model);
        /* No space and no memory: nothing was written. Anything else may have reached the disk. */
        if (status != LORE_OK) add_possible(&next, &run->possible.models[i]);
    }
    run->possible = next;
    if (status != LORE_OK) snprintf(run->message, sizeof run->message, "%s", message);
    return status;
}

static void check_content(struct run *run, lore_store *store, const char *when) {
    char text[MODEL_TEXT_MAX], wanted[MODEL_TEXT_MAX];
    if (store_render(store, text) != LORE_OK) {
        wrong(run, "reading failed: %s", lore_error_message());
        return;
    }
    for (int i = 0; i < run->possible.count; i++) {
        model_render(&run->possible.models[i], wanted);
        if (strcmp(text, wanted) == 0) return;
    }
    wrong(run, "%s: content is none of those possible", when);
    printf("  found    %s  expected %s", text, wanted);
}

static void run_begin(struct run *run, const char *kind, uint64_t at) {
    memset(run, 0, sizeof *run);
    run->kind = kind;
    run->at = at;
    fault_allocator_init(&run->allocator, env_posix()->allocator);
    MUST(fs_memory_clone(base, &run->disk));
    MUST(fs_fault_create(env_posix()->allocator, fs_memory_fs(run->disk), &run->fault));
    fs_fault_set_memory(run->fault, run->disk);
    run->env = (lore_env){
        .allocator = &run->allocator.base, .fs = fs_fault_fs(run->fault), .sys = env_posix()->sys};
    run->possible.models[0] = base_model;
    run->possible.count = 1;
}

/* The fault is over: the store opens whole, verifies, takes a write. */
static void run_end(struct run *run) {
    if (run->store != NULL) {
        lore_status ignored = lore_close(run->store);
        (void)ignored;
        run->store = NULL;
    }
    if (atomic_load(&run->allocator.outstanding_bytes) != 0)
        wrong(run, "%s", "memory was left behind");
    if (!open_store(run)) {
        wrong(run, "the store does not open afterwards: %s", lore_error_message());
    } else {
        check_content(run, run->store, "after reopening");
        lore_verify_report report = {0};
        if (lore_verify(run->store, NULL, NULL, NULL, &report) != LORE_OK)
            wrong(run, "verify afterwards: %s", lore_error_message());
        if (run_one(run, OP_PUT, 901) != LORE_OK)
            wrong(run, "no write afterwards: %s", run->message);
        check_content(run, run->store, "after the last write");
        if (lore_close(run->store) != LORE_OK)
            wrong(run, "closing afterwards: %s", lore_error_message());
    }
    fs_fault_destroy(run->fault);
    fs_memory_destroy(run->disk);
}

static bool run_workload(struct run *run, bool (*fired)(struct run *run)) {
    bool failed = !open_store(run);
    for (int i = 0; i < OPERATIONS_IN_WORKLOAD && run->store != NULL; i++) {
        if (run_one(run, workload[i], 100 + 10 * i + i % 2) != LORE_OK) failed = true;
        if (fired(run) && run->store != NULL && i % 3 == 0)
            break; /* some runs stop at once, some go on */
    }
    return failed;
}

static bool device_fired(struct run *run) {
    return fs_fault_fired(run->fault);
}
static bool memory_fired(struct run *run) {
    return atomic_load(&run->allocator.calls) > atomic_load(&run->allocator.fail_at);
}

/* Returns whether the fault came at all: past the last call, it does not. */
static bool fail_device(uint64_t at, bool for_ever, lore_status status, int *wrongs) {
    struct run run;
    char kind[64];
    snprintf(kind, sizeof kind, "%s %s at call", lore_status_name(status),
             for_ever ? "for ever" : "once");
    run_begin(&run, kind, at);
    struct fault_plan plan = {.calls = FAULT_WRITE | FAULT_SYNC | FAULT_SYNC_DIR | FAULT_RENAME |
                                       FAULT_UNLINK | FAULT_TRUNCATE | FAULT_MAKE_DIR | FAULT_LINK |
                                       FAULT_NATIVE,
                              .at = at,
                              .for_ever = for_ever,
                              .status = status};
    if (status == LORE_IO && !for_ever) plan.calls = FAULT_ALL;
    /* What takes space. Cutting a file off gives space back. */
    if (status == LORE_FULL) plan.calls = FAULT_WRITE | FAULT_MAKE_DIR | FAULT_NATIVE;
    fs_fault_set_plan(run.fault, &plan);
    run_workload(&run, device_fired);
    bool fired = fs_fault_fired(run.fault);
    if (run.store != NULL && fired) {
        /* Reads go on: nothing in this plan fails them for ever. */
        if (for_ever || status == LORE_FULL) check_content(&run, run.store, "after the failure");
    }
    fs_fault_set_plan(run.fault, NULL);
    if (run.store != NULL && fired && status == LORE_FULL) {
        lore_status resumed = run_one(&run, OP_PUT, 701);
        if (resumed != LORE_OK)
            wrong(&run, "writes do not resume when there is space: %s", run.message);
    }
    run_end(&run);
    *wrongs += run.wrong;
    return fired;
}

static bool fail_memory(uint64_t at, bool for_ever, int *wrongs) {
    struct run run;
    run_begin(&run,
              for_ever ? "no memory for ever from allocation" : "no memory once at allocation", at);
    atomic_store(&run.allocator.fail_at, at);
    atomic_store(&run.allocator.for_ever, for_ever);
    run_workload(&run, memory_fired);
    bool fired = memory_fired(&run);
    atomic_store(&run.allocator.fail_at, UINT64_MAX);
    atomic_store(&run.allocator.for_ever, false);
    if (run.store != NULL && fired) check_content(&run, run.store, "after the failure");
    run_end(&run);
    *wrongs += run.wrong;
    return fired;
}

int main(int argc, char **argv) {
    uint64_t stride = 1, first = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--stride") == 0)
            stride = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            first = strtoull(argv[i + 1], NULL, 10);
        else
            return 2;
    }
    if (stride == 0) return 2;
    operation_make_base(&base, &base_model);
    int wrongs = 0;
    for (int for_ever = 0; for_ever < 2; for_ever++) {
        uint64_t n = first;
        for (; fail_device(n, for_ever != 0, LORE_IO, &wrongs) && wrongs < 20; n += stride) {
        }
        printf("LORE_IO %s: %" PRIu64 " calls\n", for_ever ? "for ever" : "once", n);
        for (n = first; fail_device(n, for_ever != 0, LORE_FULL, &wrongs) && wrongs < 20;
             n += stride) {
        }
        printf("LORE_FULL %s: %" PRIu64 " calls\n", for_ever ? "for ever" : "once", n);
        for (n = first; fail_memory(n, for_ever != 0, &wrongs) && wrongs < 20; n += stride) {
        }
        printf("no memory %s: %" PRIu64 " allocations\n", for_ever ? "for ever" : "once", n);
    }
    fs_memory_destroy(base);
    printf("%d wrong\n", wrongs);
    return wrongs == 0 ? 0 : 1;
}
