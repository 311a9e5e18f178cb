/*
 * durability_test.c - what each durability mode promises, over the file system in memory, which
 * knows what is durable; and how many device flushes it costs.
 *
 *   durability_test [--seed N]
 *
 *   full      every acknowledged write survives any power cut, one flush a group
 *   interval  a power cut leaves a prefix; all older than the interval once the chores have run
 *   none      a power cut leaves a prefix; flush and close make durable
 *   all       lore_sync makes everything acknowledged durable; killing the process loses nothing
 *
 * Commit n puts n under key n of two keyspaces, and now and then deletes by range, so that any
 * prefix can be told.
 */
#include <pthread.h>

#include "support.h"
#include "vfs/fs_fault.h"
#include "vfs/sched_sim.h"

enum { FIRST = 1, SECOND = 2, LAST = 3, FILLING = 4 };

#define STORE   "store"
#define COMMITS 260u
#define KEPT    60u
#define SPACE   "space"

struct disk {
    struct fs_memory *memory;
    struct fs_fault *fault;
    lore_env env;
};

static uint64_t random_state;

static void disk_over(struct disk *disk, struct fs_memory *memory) {
    disk->memory = memory;
    MUST(fs_fault_create(env_posix()->allocator, fs_memory_fs(memory), &disk->fault));
    fs_fault_set_memory(disk->fault, memory);
    disk->env = (lore_env){.allocator = env_posix()->allocator,
                           .fs = fs_fault_fs(disk->fault),
                           .sys = env_posix()->sys};
}

static void disk_create(struct disk *disk) {
    struct fs_memory *memory;
    MUST(fs_memory_create(env_posix()->allocator, 0, &memory));
    disk_over(disk, memory);
}

static void disk_destroy(struct disk *disk) {
    fs_fault_destroy(disk->fault);
    fs_memory_destroy(disk->memory);
}

static lore_options options_for(const struct disk *disk, lore_durability durability) {
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = 4u << 20;
    options.memtable_bytes = 24u << 10;
    options.table_bytes_max = 16u << 10;
    options.log_preallocate_bytes = 16u << 10;
    options.reserve_bytes = 0;
    options.fan_in = 2;
    options.background = LORE_BACKGROUND_STEPS;
    options.durability = durability;
    options.lock_timeout_ms = 0;
    options.env = &disk->env;
    return options;
}

static lore_store *open_on(const struct disk *disk, lore_durability durability) {
    lore_options options = options_for(disk, durability);
    lore_store *store;
    MUST(lore_open(STORE, &options, &store));
    return store;
}

/* ---- content ---- */

static uint64_t deleted_below(uint64_t last) {
    return last < 2 * KEPT ? 1 : last / KEPT * KEPT - KEPT;
}

static lore_slice value_of(uint64_t number, char buffer[1600]) {
    int size = snprintf(buffer, 32, "%" PRIu64 " ", number);
    size_t more = number % 9 == 0 ? 1300 : 40;
    memset(buffer + size, 'a' + (int)(number % 26), more);
    return (lore_slice){buffer, (size_t)size + more};
}

static void check_value(lore_slice value, uint64_t number) {
    char buffer[1600];
    lore_slice wanted = value_of(number, buffer);
    CHECK(wanted.size == value.size && memcmp(wanted.data, value.data, value.size) == 0);
}

static void commit_number(lore_store *store, uint64_t n) {
    uint8_t key[8], end[8];
    char value[1600];
    lore_batch *batch;
    MUST(lore_batch_create(store, &batch));
    MUST(lore_batch_put(batch, FIRST, number_key(n, key), value_of(n, value)));
    MUST(lore_batch_put(batch, SECOND, number_key(n, key), value_of(n, value)));
    MUST(lore_batch_put(batch, LAST, lore_slice_of("last"), number_key(n, end)));
    if (n % KEPT == 0 && n >= 2 * KEPT) {
        lore_slice from = number_key(0, key), to = number_key(deleted_below(n), end);
        MUST(lore_batch_delete_range(batch, FIRST, from, to));
        MUST(lore_batch_delete_range(batch, SECOND, from, to));
    }
    MUST(lore_write(store, batch, NULL));
    lore_batch_destroy(batch);
}

static void check_keyspace(lore_store *store, lore_keyspace keyspace, uint64_t last) {
    lore_iter *iter;
    lore_slice value;
    uint64_t next = deleted_below(last);
    MUST(lore_iter_create(store, NULL, keyspace, NULL, &iter));
    for (MUST(lore_iter_seek_first(iter)); lore_iter_valid(iter); MUST(lore_iter_next(iter))) {
        CHECK(key_number(lore_iter_key(iter)) == next);
        MUST(lore_iter_value(iter, &value));
        check_value(value, next++);
    }
    CHECK(next == last + 1);
    lore_iter_destroy(iter);
}

/* The store holds the first so many commits and nothing else. */
static uint64_t check_prefix(lore_store *store) {
    lore_buffer buffer = {0};
    uint64_t last = 0;
    lore_status status = lore_get(store, NULL, LAST, lore_slice_of("last"), &buffer, NULL);
    if (status == LORE_OK)
        last = key_number((lore_slice){buffer.data, buffer.size});
    else
        MUST_BE(status, LORE_NOT_FOUND);
    lore_buffer_free(&buffer);
    check_keyspace(store, FIRST, last);
    check_keyspace(store, SECOND, last);
    return last;
}

/* ---- power cuts ---- */

enum cut { CUT_ALL_LOST, CUT_ALL_KEPT, CUT_RANDOM, CUTS };

static enum crash_fate choose_fate(void *context, size_t index, uint64_t *tear) {
    (void)index;
    switch (*(enum cut *)context) {
    case CUT_ALL_LOST: return CRASH_LOST;
    case CUT_ALL_KEPT: return CRASH_KEPT;
    default: *tear = random_next(&random_state); return (enum crash_fate)(*tear >> 32 & 3);
    }
}

/* What is left after a power cut now, opened: a prefix of at least `at_least` commits and at most
 * `at_most`. Recovery may not depend on the mode that it was written with. */
static uint64_t check_after_cut(const struct disk *disk, enum cut cut, uint64_t at_least,
                                uint64_t at_most) {
    struct fs_memory *memory;
    struct disk after;
    MUST(fs_memory_crash_clone(disk->memory, choose_fate, &cut, &memory));
    disk_over(&after, memory);
    lore_store *store = open_on(&after, LORE_SYNC_FULL);
    uint64_t last = check_prefix(store);
    CHECK(last >= at_least && last <= at_most);
    commit_number(store, last + 1);
    MUST(lore_close(store));
    disk_destroy(&after);
    return last;
}

static void check_after_cuts(const struct disk *disk, uint64_t at_least, uint64_t at_most) {
    check_after_cut(disk, CUT_ALL_LOST, at_least, at_most);
    check_after_cut(disk, CUT_ALL_KEPT, at_least, at_most);
    check_after_cut(disk, CUT_RANDOM, at_least, at_most);
    check_after_cut(disk, CUT_RANDOM, at_least, at_most);
}

/* The process dies, the machine goes on: nothing that was written is lost, in any mode. */
static void check_after_kill(const struct disk *disk, uint64_t last) {
    struct fs_memory *memory;
    struct disk after;
    MUST(fs_memory_clone(disk->memory, &memory));
    disk_over(&after, memory);
    lore_store *store = open_on(&after, LORE_SYNC_FULL);
    CHECK(check_prefix(store) == last);
    MUST(lore_close(store));
    disk_destroy(&after);
}

static void some_steps(lore_store *store, unsigned count) {
    bool more = true;
    for (unsigned i = 0; i < count && more; i++)
        MUST(lore_step(store, 16u << 10, &more));
}

static void full_loses_nothing(void) {
    struct disk disk;
    disk_create(&disk);
    lore_store *store = open_on(&disk, LORE_SYNC_FULL);
    for (uint64_t n = 1; n <= COMMITS; n++) {
        commit_number(store, n);
        if (n % 3 == 0) check_after_cut(&disk, (enum cut)(n / 3 % CUTS), n, n);
        if (random_below(&random_state, 10) == 0) some_steps(store, 2);
        if (n % 100 == 50) MUST(lore_compact(store, NULL, NULL));
    }
    check_after_kill(&disk, COMMITS);
    check_after_cuts(&disk, COMMITS, COMMITS);
    MUST(lore_close(store));
    check_after_cuts(&disk, COMMITS, COMMITS);
    disk_destroy(&disk);
    printf("full: %u commits, a power cut after every third, none lost\n", COMMITS);
}

/* Modes that acknowledge before the device has it. */
static void late_modes_keep_a_prefix(lore_durability mode, const char *name) {
    struct disk disk;
    uint64_t durable = 0, least_lost = UINT64_MAX, most_lost = 0;
    disk_create(&disk);
    lore_store *store = open_on(&disk, mode);
    for (uint64_t n = 1; n <= COMMITS; n++) {
        commit_number(store, n);
        if (n % 3 == 0) {
            uint64_t last = check_after_cut(&disk, (enum cut)(n / 3 % CUTS), durable, n);
            if (n - last > most_lost) most_lost = n - last;
            if (n - last < least_lost) least_lost = n - last;
        }
        uint64_t dice = random_below(&random_state, 40);
        if (dice < 3) {
            MUST(lore_sync(store));
            durable = n;
            check_after_cuts(&disk, durable, n);
        } else if (dice < 5) {
            MUST(lore_flush(store));
            durable = n;
            check_after_cuts(&disk, durable, n);
        } else if (dice < 10) {
            some_steps(store, 2);
        }
        if (n % 50 == 0) check_after_kill(&disk, n);
    }
    /* Else the mode has done more than it says, and the checks above have checked little. */
    CHECK(most_lost > 0);
    MUST(lore_close(store));
    check_after_cuts(&disk, COMMITS, COMMITS);
    disk_destroy(&disk);
    printf("%s: a prefix after every cut, %" PRIu64 " to %" PRIu64
           " commits lost; none after sync, flush and close\n",
           name, least_lost, most_lost);
}

static void interval_is_kept(void) {
    struct disk disk;
    disk_create(&disk);
    lore_options options = options_for(&disk, LORE_SYNC_INTERVAL);
    options.sync_interval_ms = 5;
    lore_store *store;
    bool more;
    MUST(lore_open(STORE, &options, &store));
    for (uint64_t n = 1; n <= 10; n++)
        commit_number(store, n);
    sleep_us(20000);
    MUST(lore_step(store, 4096, &more));
    check_after_cuts(&disk, 10, 10);
    MUST(lore_close(store));
    disk_destroy(&disk);
    printf("interval: durable by the chores of lore_step once it is over\n");
}

static lore_stats stats_of(lore_store *store) {
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    return stats;
}

/* ---- the interval, by a clock of the test's own ---- */

#define INTERVAL_US UINT64_C(40000)
#define TIMED       600u
/* A step of background work, a write under way, and the clock's leaps. */
#define LATE_US_MAX  UINT64_C(20000)
#define SLOW_CALL_US 150u

struct timed {
    struct disk disk;
    struct sched_sim *sim;
    lore_store *store;
    uint64_t acknowledged_us[TIMED + 1]; /* of commit n */
    uint64_t committed;
    uint64_t latest_us; /* how late the device has been, beyond the interval */
};

static void slow_device(void *context, uint64_t number) {
    struct sys *sys = context;
    (void)number;
    sys->ops->sleep_us(sys, SLOW_CALL_US);
}

static void timed_open(struct timed *timed, lore_background background) {
    struct disk *disk = &timed->disk;
    *timed = (struct timed){.committed = 0};
    disk_create(disk);
    MUST(sched_sim_create(env_posix()->allocator, random_next(&random_state), 0, &timed->sim));
    disk->env.sys = sched_sim_sys(timed->sim);
    fs_fault_on_change(disk->fault, slow_device, disk->env.sys);
    lore_options options = options_for(disk, LORE_SYNC_INTERVAL);
    options.sync_interval_ms = INTERVAL_US / 1000;
    options.background = background;
    MUST(lore_open(STORE, &options, &timed->store));
}

static void timed_close(struct timed *timed, const char *what) {
    fs_fault_on_change(timed->disk.fault, NULL, NULL);
    MUST(lore_close(timed->store));
    check_after_cuts(&timed->disk, timed->committed, timed->committed);
    sched_sim_destroy(timed->sim);
    disk_destroy(&timed->disk);
    printf("interval, %s: %" PRIu64 " us late at most\n", what, timed->latest_us);
}

static uint64_t timed_now(struct timed *timed) {
    struct sys *sys = timed->disk.env.sys;
    return sys->ops->monotonic_us(sys);
}

static void timed_commit(struct timed *timed) {
    CHECK(timed->committed < TIMED);
    commit_number(timed->store, ++timed->committed);
    timed->acknowledged_us[timed->committed] = timed_now(timed);
}

/* A power cut now loses nothing that was acknowledged more than an interval ago, or hardly. */
static void timed_check(struct timed *timed) {
    uint64_t now_us = timed_now(timed);
    uint64_t last = check_after_cut(&timed->disk, CUT_ALL_LOST, 0, timed->committed);
    if (last == timed->committed) return;
    uint64_t age_us = now_us - timed->acknowledged_us[last + 1];
    if (age_us < INTERVAL_US) return;
    if (age_us - INTERVAL_US > timed->latest_us) timed->latest_us = age_us - INTERVAL_US;
    if (timed->latest_us > LATE_US_MAX)
        fprintf(stderr, "commit %" PRIu64 " is lost, %" PRIu64 " us after it was acknowledged\n",
                last + 1, age_us);
    CHECK(timed->latest_us <= LATE_US_MAX);
}

static void interval_of_a_resting_store(void) {
    struct timed timed;
    timed_open(&timed, LORE_BACKGROUND_THREAD);
    struct sys *sys = timed.disk.env.sys;
    for (unsigned i = 0; i < 80; i++) {
        timed_commit(&timed);
        for (unsigned naps = (unsigned)random_below(&random_state, 60); naps > 0; naps--)
            sys->ops->sleep_us(sys, 2000);
        timed_check(&timed);
    }
    timed_close(&timed, "a store that rests");
}

/* The thread flushes and merges all the time, and somebody leads all the time. */
static void interval_of_a_busy_store(void) {
    struct timed timed;
    timed_open(&timed, LORE_BACKGROUND_THREAD);
    while (timed.committed < TIMED) {
        timed_commit(&timed);
        if (timed.committed % 12 == 0) timed_check(&timed);
    }
    CHECK(stats_of(timed.store).compactions > 5);
    timed_close(&timed, "a store that flushes and merges");
}

static bool commit_and_check(void *context, const lore_progress *progress) {
    struct timed *timed = context;
    (void)progress;
    if (timed->committed < TIMED && random_below(&random_state, 8) == 0) timed_commit(timed);
    timed_check(timed);
    return true;
}

static void interval_during_a_compaction(lore_background background, const char *what) {
    struct timed timed;
    timed_open(&timed, background);
    timed_commit(&timed);
    for (uint64_t n = 0; n < 2000; n++) { /* enough for many steps */
        uint8_t key[8];
        char value[1000];
        for (size_t at = 0; at < sizeof value; at++)
            value[at] = (char)random_next(&random_state);
        MUST(lore_put(timed.store, FILLING, number_key(n, key), (lore_slice){value, sizeof value}));
    }
    MUST(lore_compact(timed.store, commit_and_check, &timed));
    timed_close(&timed, what);
}

/* No thread: the next commit past the interval takes those before with it, and so does a step. */
static void interval_without_a_thread(void) {
    struct timed timed;
    bool more;
    timed_open(&timed, LORE_BACKGROUND_STEPS);
    struct sys *sys = timed.disk.env.sys;
    for (unsigned i = 0; i < 100; i++) {
        timed_commit(&timed);
        sys->ops->sleep_us(sys, random_below(&random_state, 2 * INTERVAL_US));
        uint64_t before = timed.committed;
        bool due = timed_now(&timed) - timed.acknowledged_us[before] >= INTERVAL_US;
        if (i % 2 == 0)
            timed_commit(&timed);
        else
            MUST(lore_step(timed.store, 4096, &more));
        if (due) check_after_cut(&timed.disk, CUT_ALL_LOST, before, timed.committed);
    }
    timed_close(&timed, "without a thread");
}

/* ---- closing a store whose disk is full ---- */

static void put_memory(lore_store *store, uint64_t n);

/* What was acknowledged is durable when close says LORE_OK, and a full disk is no reason to say
 * anything else. */
static void closing_a_full_disk(lore_durability durability) {
    struct disk disk;
    disk_create(&disk);
    lore_options options = options_for(&disk, durability);
    options.memtable_bytes = 256u << 10;
    lore_store *store;
    lore_record *record;
    MUST(lore_open(STORE, &options, &store));
    lore_space_spec spec = {4, LORE_ELEMENT_F32, LORE_METRIC_L2, {NULL, 0}};
    MUST(lore_space_create(store, SPACE, &spec));
    put_memory(store, 1);
    commit_number(store, 1);
    MUST(lore_memory_get(store, NULL, lore_slice_of("m1"), 0, &record)); /* a count to write */
    lore_record_destroy(record);
    fs_memory_set_capacity(disk.memory, 1); /* over it already: nothing more fits */
    uint64_t last = 1, filling = 0;
    lore_status status = LORE_OK;
    while (status == LORE_OK) { /* what was written ahead of the log's end */
        uint8_t key[8];
        status = lore_put(store, FILLING, number_key(filling, key), lore_slice_of("value"));
        if (status == LORE_OK) filling++;
    }
    MUST_BE(status, LORE_FULL);
    MUST(lore_close(store));
    fs_memory_set_capacity(disk.memory, 0);
    check_after_cuts(&disk, last, last);
    store = open_on(&disk, LORE_SYNC_FULL);
    for (uint64_t n = 0; n < filling; n++) {
        uint8_t key[8];
        lore_buffer value = {0};
        MUST(lore_get(store, NULL, FILLING, number_key(n, key), &value, NULL));
        lore_buffer_free(&value);
    }
    verify_clean(store);
    MUST(lore_close(store));
    disk_destroy(&disk);
    printf("a full disk: closed, %" PRIu64 " puts there\n", filling);
}

/* ---- a backup is of one moment ---- */

static const struct fs_ops *plain_ops;
static lore_store *meddled_with;

/* As another thread may, after the backup has flushed and before it reads the catalog. */
static lore_status make_dir_and_meddle(struct fs *fs, const char *path, bool group_access) {
    if (strcmp(path, "backup") == 0) {
        commit_number(meddled_with, 11);
        MUST(lore_snapshot_save(meddled_with, "late"));
        meddled_with = NULL;
    }
    return plain_ops->make_dir(fs, path, group_access);
}

static bool note_snapshot(void *context, const lore_snapshot_info *info) {
    uint64_t *newest = context;
    if (info->sequence > *newest) *newest = info->sequence;
    return true;
}

static void a_backup_is_of_one_moment(void) {
    struct disk disk;
    disk_create(&disk);
    lore_store *store = open_on(&disk, LORE_SYNC_FULL), *copy;
    for (uint64_t n = 1; n <= 10; n++)
        commit_number(store, n);
    MUST(lore_snapshot_save(store, "early"));
    plain_ops = disk.env.fs->ops;
    struct fs_ops meddling_ops = *plain_ops;
    meddling_ops.make_dir = make_dir_and_meddle;
    meddled_with = store;
    disk.env.fs->ops = &meddling_ops;
    MUST(lore_backup(store, "backup", 0, NULL, NULL, NULL));
    disk.env.fs->ops = plain_ops;
    CHECK(meddled_with == NULL);
    MUST(lore_close(store));
    lore_options options = options_for(&disk, LORE_SYNC_FULL);
    options.read_only = true;
    MUST(lore_open("backup", &options, &copy));
    CHECK(check_prefix(copy) == 10);
    uint64_t newest = 0;
    lore_snapshot *snapshot;
    MUST(lore_snapshot_list(copy, note_snapshot, &newest));
    CHECK(newest > 0 && newest <= stats_of(copy).last_sequence);
    MUST(lore_snapshot_open(copy, "early", &snapshot));
    lore_snapshot_release(snapshot);
    MUST_BE(lore_snapshot_open(copy, "late", &snapshot), LORE_NOT_FOUND);
    MUST(lore_close(copy));
    disk_destroy(&disk);
    printf("a backup names no snapshot that it does not hold\n");
}

/* ---- how many flushes ---- */

static const struct fault_plan syncs_of_all = {.calls = FAULT_SYNC, .at = UINT64_MAX};

static void put_memory(lore_store *store, uint64_t n) {
    char id[32], text[32];
    float vector[4] = {(float)n, 0, 0, 1};
    lore_embedding embedding = {lore_slice_of(SPACE), {vector, sizeof vector}};
    lore_memory memory;
    lore_memory_init(&memory);
    snprintf(id, sizeof id, "m%" PRIu64, n);
    snprintf(text, sizeof text, "text %" PRIu64, n);
    memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT);
    memory.id = lore_slice_of(id);
    memory.text = lore_slice_of(text);
    memory.embeddings = &embedding;
    memory.embeddings_count = 1;
    MUST(lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL));
}

/* The device and the counter in lore_stats say the same: `wanted` flushes. */
static void expect_syncs(struct disk *disk, lore_store *store, lore_stats *before, uint64_t wanted,
                         const char *what) {
    lore_stats after = stats_of(store);
    uint64_t device = fs_fault_calls(disk->fault);
    uint64_t counted = after.device_syncs - before->device_syncs;
    if (device != wanted || counted != wanted)
        fprintf(stderr, "%s: %" PRIu64 " flushes of the device, %" PRIu64 " counted\n", what,
                device, counted);
    CHECK(device == wanted && counted == wanted);
    *before = after;
    fs_fault_set_plan(disk->fault, &syncs_of_all);
}

static void one_flush_a_group(void) {
    struct disk disk;
    disk_create(&disk);
    lore_options options = options_for(&disk, LORE_SYNC_FULL);
    options.memtable_bytes = 1u << 20;
    options.log_preallocate_bytes = 1u << 20;
    lore_store *store;
    MUST(lore_open(STORE, &options, &store));
    lore_space_spec spec = {4, LORE_ELEMENT_F32, LORE_METRIC_L2, {NULL, 0}};
    MUST(lore_space_create(store, SPACE, &spec));
    MUST(lore_put(store, FIRST, lore_slice_of("k"), lore_slice_of("v")));
    lore_stats before = stats_of(store);
    fs_fault_set_plan(disk.fault, &syncs_of_all);
    MUST(lore_put(store, FIRST, lore_slice_of("k"), lore_slice_of("v")));
    expect_syncs(&disk, store, &before, 1, "a put");
    commit_number(store, 1);
    expect_syncs(&disk, store, &before, 1, "a batch over three keyspaces");
    put_memory(store, 1);
    expect_syncs(&disk, store, &before, 1, "a memory with an embedding");
    MUST(lore_sync(store));
    expect_syncs(&disk, store, &before, 1, "a sync of the last promise");
    for (uint64_t n = 2; n <= 51; n++)
        commit_number(store, n);
    expect_syncs(&disk, store, &before, 50, "50 batches one after the other");
    MUST(lore_close(store));
    disk_destroy(&disk);
    printf("one flush of the device for a put, a batch, a memory\n");
}

#define THREADS 8
#define EACH    60u

struct committer {
    pthread_t thread;
    lore_store *store;
    uint64_t index;
};

static void *committer_main(void *context) {
    struct committer *committer = context;
    uint8_t key[8];
    for (uint64_t i = 0; i < EACH; i++)
        MUST(lore_put(committer->store, FIRST, number_key(committer->index * EACH + i, key),
                      lore_slice_of("value")));
    return NULL;
}

/* However the threads fall into groups, a group is one flush. */
static void groups_share_a_flush(void) {
    struct disk disk;
    struct committer committers[THREADS];
    disk_create(&disk);
    lore_options options = options_for(&disk, LORE_SYNC_FULL);
    options.memtable_bytes = 1u << 20;
    options.log_preallocate_bytes = 1u << 20;
    lore_store *store;
    MUST(lore_open(STORE, &options, &store));
    lore_stats before = stats_of(store);
    fs_fault_set_plan(disk.fault, &syncs_of_all);
    for (unsigned i = 0; i < THREADS; i++) {
        committers[i] = (struct committer){.store = store, .index = i};
        CHECK(pthread_create(&committers[i].thread, NULL, committer_main, &committers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(committers[i].thread, NULL) == 0);
    lore_stats after = stats_of(store);
    uint64_t groups = after.groups - before.groups;
    CHECK(after.commits - before.commits == THREADS * EACH);
    CHECK(groups <= THREADS * EACH);
    expect_syncs(&disk, store, &before, groups, "groups of eight threads");
    MUST(lore_close(store));
    disk_destroy(&disk);
    printf("%u commits of %u threads: %" PRIu64 " groups, as many flushes\n", THREADS * EACH,
           THREADS, groups);
}

/* ---- what a memtable flush costs ---- */

static void count_flush(const char *what, bool blobs, bool rows, uint64_t syncs_max,
                        uint64_t dirs_max) {
    static const struct {
        uint32_t calls;
        const char *path;
        const char *name;
    } kinds[] = {{FAULT_SYNC, "log-", "log"},           {FAULT_SYNC, ".table", "table"},
                 {FAULT_SYNC, ".blob", "blob"},         {FAULT_SYNC, ".rows", "rows"},
                 {FAULT_SYNC, "edits-", "edits"},       {FAULT_SYNC_DIR, NULL, "directory"},
                 {FAULT_NATIVE, NULL, "catalog pages"}, {FAULT_SYNC, NULL, NULL}};
    uint64_t syncs = 0, directories = 0;
    printf("a memtable flush, %s:", what);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct disk disk;
        disk_create(&disk);
        lore_options options = options_for(&disk, LORE_SYNC_FULL);
        options.memtable_bytes = 1u << 20;
        lore_store *store;
        MUST(lore_open(STORE, &options, &store));
        lore_space_spec spec = {4, LORE_ELEMENT_F32, LORE_METRIC_L2, {NULL, 0}};
        MUST(lore_space_create(store, SPACE, &spec));
        for (uint64_t n = 1; n <= 50; n++) {
            uint8_t key[8];
            char value[1600];
            MUST(lore_put(store, FIRST, number_key(n, key), lore_slice_of("short")));
            if (blobs) MUST(lore_put(store, SECOND, number_key(n, key), value_of(n * 9, value)));
            if (rows) put_memory(store, n);
        }
        struct fault_plan plan = {
            .calls = kinds[k].calls, .at = UINT64_MAX, .path_contains = kinds[k].path};
        fs_fault_set_plan(disk.fault, &plan);
        MUST(lore_flush(store));
        uint64_t calls = fs_fault_calls(disk.fault);
        if (kinds[k].name == NULL)
            syncs = calls;
        else if (calls > 0)
            printf(" %s %" PRIu64, kinds[k].name, calls);
        if (kinds[k].calls == FAULT_SYNC_DIR) directories = calls;
        fs_fault_set_plan(disk.fault, NULL);
        CHECK(stats_of(store).flushes >= 1);
        MUST(lore_close(store));
        disk_destroy(&disk);
    }
    printf("; %" PRIu64 " flushes of files in all, %" PRIu64 " of directories\n", syncs,
           directories);
    CHECK(syncs > 0 && syncs <= syncs_max);
    CHECK(directories > 0 && directories <= dirs_max);
}

/* ---- reading ---- */

/* A device that does not read, for a while: the background's work waits, writes do not. */
static void reads_that_fail_refuse_no_writes(void) {
    struct disk disk;
    disk_create(&disk);
    lore_store *store = open_on(&disk, LORE_SYNC_FULL);
    uint64_t n = 1;
    for (unsigned table = 0; table < 6; table++) {
        for (unsigned i = 0; i < 10; i++)
            commit_number(store, n++);
        MUST(lore_flush(store));
    }
    struct fault_plan plan = {
        .calls = FAULT_READ, .for_ever = true, .status = LORE_IO, .path_contains = ".table"};
    fs_fault_set_plan(disk.fault, &plan);
    MUST_BE(lore_compact(store, NULL, NULL), LORE_IO);
    CHECK(stats_of(store).poisoned == LORE_OK);
    commit_number(store, n++);
    MUST_BE(lore_flush(store), LORE_IO); /* what was written is read back */
    commit_number(store, n++);
    fs_fault_set_plan(disk.fault, NULL);
    MUST(lore_flush(store));
    MUST(lore_compact(store, NULL, NULL));
    CHECK(check_prefix(store) == n - 1);
    MUST(lore_close(store));
    disk_destroy(&disk);
    printf("reads that fail: writes go on\n");
}

/* ---- opening ---- */

static enum crash_fate keep_all(void *context, size_t index, uint64_t *tear) {
    (void)context;
    (void)index;
    (void)tear;
    return CRASH_KEPT;
}

/* Bytes behind the log's last record, as of a write that was torn. */
static void tear_log(struct fs_memory *memory) {
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(memory, STORE "/g-000001/log-0000000001", &size);
    uint64_t end = size;
    while (end > 0 && bytes[end - 1] == 0)
        end--;
    CHECK(end + 1024 < size);
    memset(bytes + end + 64, 0xab, 512);
}

/* What is torn is set aside, and what the log holds may have to be flushed on the way in; nothing
 * is free but the reserve. */
static void full_disk_is_opened(bool flushes) {
    struct disk disk, killed;
    disk_create(&disk);
    lore_options options = options_for(&disk, LORE_SYNC_FULL);
    options.memtable_bytes = 1u << 20;
    options.reserve_bytes = 256u << 10;
    options.log_preallocate_bytes = 1u << 20;
    fs_memory_set_capacity(disk.memory, UINT64_C(1) << 30);
    lore_store *store;
    MUST(lore_open(STORE, &options, &store));
    uint64_t n = 1, free_bytes;
    while (n <= 100)
        commit_number(store, n++);
    struct fs_memory *clone;
    MUST(fs_memory_crash_clone(disk.memory, keep_all, NULL, &clone));
    MUST(lore_close(store));
    disk_destroy(&disk);
    disk_over(&killed, clone);
    tear_log(clone);
    fs_memory_set_capacity(clone, UINT64_C(1) << 30);
    MUST(killed.env.fs->ops->space(killed.env.fs, STORE, &free_bytes));
    fs_memory_set_capacity(clone, (UINT64_C(1) << 30) - free_bytes);
    if (flushes) options.memtable_bytes = 24u << 10;
    options.env = &killed.env;
    struct fault_plan plan = {
        .calls = FAULT_WRITE, .status = LORE_FULL, .path_contains = "quarantine"};
    if (!flushes) fs_fault_set_plan(killed.fault, &plan); /* what opening cuts off would do */
    MUST(lore_open(STORE, &options, &store));
    CHECK(flushes || fs_fault_fired(killed.fault));
    fs_fault_set_plan(killed.fault, NULL);
    CHECK(stats_of(store).log_bytes_cut > 0);
    CHECK(check_prefix(store) == n - 1);
    lore_batch *batch;
    uint8_t from[8], to[8];
    MUST(lore_batch_create(store, &batch));
    MUST(lore_batch_delete_range(batch, FIRST, number_key(0, from), number_key(n, to)));
    MUST(lore_write(store, batch, NULL));
    lore_batch_destroy(batch);
    MUST(lore_close(store));
    disk_destroy(&killed);
    printf("a full disk: opened with the reserve\n");
}

int main(int argc, char **argv) {
    random_state = seed_of(argc, argv);
    one_flush_a_group();
    groups_share_a_flush();
    count_flush("keys alone", false, false, 8, 2);
    count_flush("with a blob file", true, false, 9, 2);
    count_flush("with blobs and embeddings", true, true, 10, 2);
    full_loses_nothing();
    late_modes_keep_a_prefix(LORE_SYNC_NONE, "none");
    late_modes_keep_a_prefix(LORE_SYNC_INTERVAL, "interval");
    interval_is_kept();
    closing_a_full_disk(LORE_SYNC_FULL);
    closing_a_full_disk(LORE_SYNC_NONE);
    a_backup_is_of_one_moment();
    interval_of_a_resting_store();
    interval_of_a_busy_store();
    interval_during_a_compaction(LORE_BACKGROUND_THREAD, "a compaction beside a thread");
    interval_during_a_compaction(LORE_BACKGROUND_STEPS, "a compaction without a thread");
    interval_without_a_thread();
    reads_that_fail_refuse_no_writes();
    full_disk_is_opened(true);
    full_disk_is_opened(false);
    return 0;
}
