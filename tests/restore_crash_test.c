/*
 * restore_crash_test.c - restoring and loading, cut off at every change to the disk, in many of the
 * ways in which a power cut can leave it: the store opens as the old one or the new one, whole; or
 * as none, where there was none. Once the call has returned LORE_OK it is the new one, whatever was
 * not synced.
 *
 *   restore_crash_test [--seed S] [--skips]     --skips: for each sync in turn, leave it out and
 *                                               require a violation
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash_choice.h"
#include "operations.h"
#include "vfs/fs_fault.h"

#define SUBSETS_ALL    6 /* up to so many pending changes, every subset */
#define SUBSETS_CHOSEN 12
#define NUMBERS        40

enum job {
    RESTORE_OVER,
    RESTORE_FRESH,
    LOAD_OVER,
    LOAD_FRESH,
    LOAD_DROPPED,
    BACKUP,
    RESTORE_DAMAGED,
    LOAD_DAMAGED,
    JOBS
};
static const char *const job_names[JOBS] = {"restore over a store",
                                            "restore where none is",
                                            "load over a store",
                                            "load where none is",
                                            "load, not published",
                                            "backup",
                                            "restore over a damaged CURRENT",
                                            "load over a damaged CURRENT"};

struct simulation {
    enum job job;
    const char *path;
    struct fs_memory *disk;
    bool over;    /* a store was there */
    bool damaged; /* its CURRENT is */
    bool published;
    uint64_t random, states, found_old, found_new, violations;
    bool quiet;
};

/* ---- content: every key, the memory and its embedding say whose it is ---- */

static lore_slice key_of(int number, char buffer[16]) {
    return (lore_slice){buffer, (size_t)snprintf(buffer, 16, "%03d", number)};
}

static lore_slice value_of(const char *who, int number, char buffer[400]) {
    int size = snprintf(buffer, 400, "%s-%d", who, number);
    size_t more = number % 3 == 0 ? 300 : 20; /* the long ones go to a blob file */
    memset(buffer + size, 'x', more);
    return (lore_slice){buffer, (size_t)size + more};
}

static void fill(lore_store *store, const char *who) {
    char key[16], value[400];
    lore_space_spec spec = {
        .dimensions = 4, .element = LORE_ELEMENT_F32, .metric = LORE_METRIC_L2, .model = {NULL, 0}};
    float vector[4] = {1, 2, 3, (float)who[0]};
    MUST(lore_space_create(store, "space", &spec));
    for (int i = 0; i < NUMBERS; i++) {
        MUST(lore_put(store, 1, key_of(i, key), value_of(who, i, value)));
        if (i != NUMBERS / 2) continue;
        lore_embedding embedding = {lore_slice_of("space"), {vector, sizeof vector}};
        lore_memory memory;
        lore_memory_init(&memory);
        memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT);
        memory.id = lore_slice_of("m");
        memory.text = lore_slice_of(who);
        memory.embeddings = &embedding;
        memory.embeddings_count = 1;
        MUST(lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL));
        MUST(lore_flush(store));
    }
}

/* Whether the store holds exactly what fill(who) wrote. */
static bool holds(lore_store *store, const char *who) {
    bool same = true;
    char key[16], value[400];
    lore_buffer buffer = {0};
    for (int i = 0; i < NUMBERS && same; i++) {
        lore_slice wanted = value_of(who, i, value);
        same = lore_get(store, NULL, 1, key_of(i, key), &buffer, NULL) == LORE_OK &&
               buffer.size == wanted.size && memcmp(buffer.data, wanted.data, wanted.size) == 0;
    }
    lore_buffer_free(&buffer);
    lore_record *record = NULL;
    unsigned flags = LORE_READ_EMBEDDINGS | LORE_READ_NO_ACCESS;
    if (!same || lore_memory_get(store, NULL, lore_slice_of("m"), flags, &record) != LORE_OK)
        return false;
    const lore_memory *memory = lore_record_memory(record);
    float vector[4] = {0};
    if (memory->embeddings_count == 1 && memory->embeddings[0].data.size == sizeof vector)
        memcpy(vector, memory->embeddings[0].data.data, sizeof vector);
    same = memory->text.size == strlen(who) && memcmp(memory->text.data, who, strlen(who)) == 0 &&
           vector[3] == (float)who[0];
    lore_record_destroy(record);
    return same;
}

/* ---- one disk ---- */

static void violation(struct simulation *sim, const struct choice *choice, const char *what) {
    sim->violations++;
    if (sim->quiet || sim->violations > 3) return;
    printf("VIOLATION: %s: %s\n", job_names[sim->job], what);
    choice_print(sim->disk, choice);
}

static void judge(struct simulation *sim, const struct choice *choice, lore_status status,
                  lore_store *store) {
    if (status == LORE_NO_STORE && !sim->over && !sim->published) {
        sim->found_old++;
        return;
    }
    if (status == LORE_CORRUPTION && sim->damaged && !sim->published) {
        sim->found_old++;
        return;
    }
    if (status != LORE_OK) {
        violation(sim, choice, lore_error_message());
        return;
    }
    bool is_old = sim->over && !sim->damaged && !sim->published && holds(store, "old");
    bool is_new = !is_old && sim->job != LOAD_DROPPED && holds(store, "new");
    sim->found_old += is_old;
    sim->found_new += is_new;
    lore_verify_report report = {0};
    if (!is_old && !is_new)
        violation(sim, choice, "neither the old content nor the new");
    else if (sim->states % 4 == 0 &&
             (lore_verify(store, NULL, NULL, NULL, &report) != LORE_OK || report.findings > 0))
        violation(sim, choice, lore_error_message());
}

static void check_disk(struct simulation *sim, struct choice *choice) {
    struct fs_memory *disk;
    MUST(fs_memory_crash_clone(sim->disk, choose, choice, &disk));
    lore_env env = {
        .allocator = env_posix()->allocator, .fs = fs_memory_fs(disk), .sys = env_posix()->sys};
    lore_options options;
    model_options(&options, &env);
    options.create_if_missing = false;
    lore_store *store = NULL;
    /* A reader first, which repairs nothing; a backup has no other. */
    options.read_only = true;
    lore_status status = lore_open(sim->path, &options, &store);
    judge(sim, choice, status, store);
    if (store != NULL) MUST(lore_close(store));
    if (sim->job != BACKUP) {
        options.read_only = false;
        store = NULL;
        status = lore_open(sim->path, &options, &store);
        judge(sim, choice, status, store);
        if (store != NULL && lore_close(store) != LORE_OK)
            violation(sim, choice, lore_error_message());
        if (sim->states % 8 == 0) { /* what was cut off can be done again */
            if (lore_restore(sim->path, "backup", true, &options, NULL, NULL) != LORE_OK ||
                lore_open(sim->path, &options, &store) != LORE_OK)
                violation(sim, choice, lore_error_message());
            else {
                if (!holds(store, "new")) violation(sim, choice, "restored again, it differs");
                MUST(lore_close(store));
            }
        }
    }
    fs_memory_destroy(disk);
    sim->states++;
}

static void check_all(struct simulation *sim) {
    size_t pending = fs_memory_pending_count(sim->disk);
    uint64_t all = pending >= 63 ? UINT64_MAX : (UINT64_C(1) << pending) - 1;
    struct choice choice = {0};
    if (pending <= SUBSETS_ALL) {
        for (choice.kept = 0; choice.kept <= all; choice.kept++)
            check_disk(sim, &choice);
    } else {
        check_disk(sim, &choice);
        for (int i = 0; i < SUBSETS_CHOSEN; i++) {
            choice.kept = i == 0 ? all : operation_random(&sim->random) & all;
            check_disk(sim, &choice);
        }
    }
    if (pending == 0) return;
    for (int i = 0; i < 2; i++) {
        choice.kept = operation_random(&sim->random) | operation_random(&sim->random);
        choice.torn =
            UINT64_C(1) << (i == 0 ? pending - 1 : operation_random(&sim->random) % pending) % 63;
        choice.pattern = operation_random(&sim->random);
        check_disk(sim, &choice);
    }
}

static void on_change(void *context, uint64_t number) {
    struct simulation *sim = context;
    (void)number;
    if (sim->quiet && sim->violations > 0) return;
    check_all(sim);
}

/* ---- jobs ---- */

static lore_status load(const struct simulation *sim, const lore_options *options, bool publish) {
    lore_store *store;
    TRY(lore_generation_begin(sim->path, sim->over, options, &store));
    fill(store, "new");
    return publish ? lore_generation_publish(store) : lore_close(store);
}

static lore_status do_job(struct simulation *sim, const lore_options *options) {
    switch (sim->job) {
    case RESTORE_OVER:
    case RESTORE_DAMAGED:
    case RESTORE_FRESH: return lore_restore(sim->path, "backup", sim->over, options, NULL, NULL);
    case LOAD_OVER:
    case LOAD_DAMAGED:
    case LOAD_FRESH: return load(sim, options, true);
    case LOAD_DROPPED: return load(sim, options, false);
    case BACKUP: {
        lore_store *store;
        TRY(lore_open("other", options, &store));
        lore_status status = lore_backup(store, sim->path, 0, NULL, NULL, NULL);
        MUST(lore_close(store));
        return status;
    }
    case JOBS: break;
    }
    return LORE_INVALID;
}

/* What was there before is the safety snapshot: its folder is left as it was. */
static void check_kept(struct simulation *sim) {
    uint64_t size = 0;
    if (fs_memory_bytes(sim->disk, "store/g-000001/edits-0000000001", &size) == NULL || size == 0)
        violation(sim, &(struct choice){0}, "the old generation is gone");
}

static void run_job(struct simulation *sim, struct fs_memory *base, enum job job, uint32_t skip,
                    const char *skip_path) {
    struct fs_fault *fault;
    sim->job = job;
    sim->damaged = job == RESTORE_DAMAGED || job == LOAD_DAMAGED;
    sim->over = job == RESTORE_OVER || job == LOAD_OVER || job == LOAD_DROPPED || sim->damaged;
    sim->path = sim->over ? "store" : "fresh";
    sim->published = false;
    sim->found_old = sim->found_new = 0;
    MUST(fs_memory_clone(base, &sim->disk));
    if (sim->damaged) {
        uint64_t size;
        fs_memory_bytes(sim->disk, "store/CURRENT", &size)[7] ^= 1;
    }
    MUST(fs_fault_create(env_posix()->allocator, fs_memory_fs(sim->disk), &fault));
    fs_fault_set_memory(fault, sim->disk);
    fs_fault_skip(fault, skip, skip_path);
    lore_env env = {env_posix()->allocator, fs_fault_fs(fault), env_posix()->sys};
    lore_options options;
    model_options(&options, &env);
    fs_fault_on_change(fault, on_change, sim);
    MUST(do_job(sim, &options));
    fs_fault_on_change(fault, NULL, NULL);
    sim->published = job != LOAD_DROPPED;
    check_all(sim);
    if (sim->damaged) check_kept(sim);
    if (!sim->quiet) {
        printf("%-24s old or none %6" PRIu64 ", new %6" PRIu64 "\n", job_names[job], sim->found_old,
               sim->found_new);
        if (sim->found_old == 0 || (sim->found_new == 0) != (job == LOAD_DROPPED))
            violation(sim, &(struct choice){0}, "one of the two was never seen");
    }
    fs_fault_destroy(fault);
    fs_memory_destroy(sim->disk);
}

/* "store" says old, "backup" is one of "other", which says new. */
static struct fs_memory *make_base(void) {
    struct fs_memory *base, *synced;
    MUST(fs_memory_create(env_posix()->allocator, 0, &base));
    lore_env env = {env_posix()->allocator, fs_memory_fs(base), env_posix()->sys};
    lore_options options;
    model_options(&options, &env);
    lore_store *store;
    MUST(lore_open("store", &options, &store));
    fill(store, "old");
    MUST(lore_close(store));
    MUST(lore_open("other", &options, &store));
    fill(store, "new");
    MUST(lore_backup(store, "backup", LORE_BACKUP_COPY, NULL, NULL, NULL));
    MUST(lore_close(store));
    struct choice keep_all = {.kept = UINT64_MAX};
    MUST(fs_memory_crash_clone(base, choose, &keep_all, &synced));
    fs_memory_destroy(base);
    return synced;
}

static const struct skip {
    uint32_t calls;
    const char *path;
    enum job job;
} skips[] = {
    {FAULT_SYNC, ".table", RESTORE_OVER},
    {FAULT_SYNC, ".blob", RESTORE_OVER},
    {FAULT_SYNC, ".rows", RESTORE_OVER},
    {FAULT_SYNC, "/edits-", RESTORE_OVER},
    {FAULT_SYNC, "CURRENT", RESTORE_OVER},
    {FAULT_SYNC_DIR, "store", RESTORE_OVER},
    {FAULT_SYNC_DIR, ".building", RESTORE_OVER},
    {FAULT_SYNC_DIR, "fresh", LOAD_FRESH},
    {FAULT_SYNC, "/log-", LOAD_OVER},
    {FAULT_SYNC, "CURRENT", BACKUP},
    {FAULT_SYNC_DIR, "fresh", BACKUP},
};

static int check_skips(struct simulation *sim, struct fs_memory *base) {
    int missed = 0;
    sim->quiet = true;
    for (size_t s = 0; s < sizeof skips / sizeof skips[0]; s++) {
        sim->violations = sim->states = 0;
        run_job(sim, base, skips[s].job, skips[s].calls, skips[s].path);
        printf("%s without the %s of %s: %s after %" PRIu64 " states\n", job_names[skips[s].job],
               skips[s].calls == FAULT_SYNC ? "sync" : "directory sync", skips[s].path,
               sim->violations > 0 ? "found" : "NOT FOUND", sim->states);
        missed += sim->violations == 0;
    }
    return missed == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    struct simulation sim = {.random = 1};
    bool skips_only = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--skips") == 0)
            skips_only = true;
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            sim.random = strtoull(argv[++i], NULL, 10);
        else
            return 2;
    }
    printf("seed %" PRIu64 "\n", sim.random);
    struct fs_memory *base = make_base();
    int result = 0;
    if (skips_only) {
        result = check_skips(&sim, base);
    } else {
        for (int job = 0; job < JOBS; job++)
            run_job(&sim, base, (enum job)job, 0, NULL);
        printf("%" PRIu64 " states, %" PRIu64 " violations\n", sim.states, sim.violations);
        result = sim.violations == 0 ? 0 : 1;
    }
    fs_memory_destroy(base);
    return result;
}
