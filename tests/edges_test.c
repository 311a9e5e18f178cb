/*
 * edges_test.c - the store at its edges: full disks, openings in the middle of something, names and
 * snapshots that two threads reach for, less memory than before. Each part is named for what it
 * once broke.
 *
 *   edges_test [PART]...
 */
#define _DEFAULT_SOURCE
#include <pthread.h>
#include <stdatomic.h>

#include "store/store_internal.h"
#include "support.h"
#include "vfs/fs_fault.h"
#include "vfs/sched_sim.h"

#define STORE "store"

static struct fs_memory *disk;
static lore_env env;

static void disk_open(uint64_t capacity_bytes) {
    MUST(fs_memory_create(env_posix()->allocator, capacity_bytes, &disk));
    env = (lore_env){env_posix()->allocator, fs_memory_fs(disk), env_posix()->sys};
}

static void disk_close(void) {
    fs_memory_destroy(disk);
}

static void options_for(lore_options *options) {
    lore_options_init(options);
    options->env = &env;
    options->create_if_missing = true;
    options->background = LORE_BACKGROUND_STEPS;
    options->lock_timeout_ms = 0;
    options->reserve_bytes = 0;
    options->log_preallocate_bytes = 4096;
}

static lore_store *open_with(const lore_options *options) {
    lore_store *store;
    MUST(lore_open(STORE, options, &store));
    return store;
}

static lore_status put_number(lore_store *store, uint64_t number, size_t size) {
    static const char filling[1 << 16];
    uint8_t key[8];
    CHECK(size <= sizeof filling);
    return lore_put(store, 1, number_key(number, key), (lore_slice){filling, size});
}

static bool has_number(lore_store *store, uint64_t number) {
    uint8_t key[8];
    lore_buffer value = {0};
    lore_status status = lore_get(store, NULL, 1, number_key(number, key), &value, NULL);
    CHECK(status == LORE_OK || status == LORE_NOT_FOUND);
    lore_buffer_free(&value);
    return status == LORE_OK;
}

static bool exists(const char *path) {
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    return env.fs->ops->stat(env.fs, path, &size, &is_dir, &mode) == LORE_OK;
}

static void write_file(const char *path, const void *data, size_t size) {
    struct file *file;
    MUST(fs_open(&env, path, FILE_CREATE, false, &file));
    if (size > 0) MUST(file_write(file, 0, data, size));
    file_close(file);
}

/* ---- poison ---- */

struct line {
    lore_store *store;
    bool poisoned; /* the store has said so in its log */
};

struct queued {
    struct line *line;
    struct thread *thread;
    uint64_t first;
};

static void note_poison(void *context, lore_log_level level, const char *message) {
    struct line *line = context;
    if (level == LORE_LOG_ERROR && strstr(message, "writes are refused") != NULL)
        line->poisoned = true;
}

static enum fault_outcome no_log_writes(void *context, enum fault_call call, const char *path,
                                        uint64_t offset, size_t size, uint64_t *astray) {
    const struct line *line = context;
    (void)offset;
    (void)size;
    (void)astray;
    CHECK(!line->poisoned || call != FAULT_WRITE || strstr(path, "/log-") == NULL);
    return FAULT_PASSES;
}

static void put_until_poisoned(void *context) {
    struct queued *queued = context;
    lore_status status = LORE_OK;
    for (uint64_t i = 0; i < 30 && status == LORE_OK; i++)
        status = put_number(queued->line->store, queued->first + i, 9000);
}

/* A writer who stood in line when another's failure poisoned the handle was let through, to a log
 * that was begun anew. */
static void line_behind_a_failure(void) {
    unsigned failures = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct fs_fault *fault;
        struct sched_sim *sim;
        struct line line = {NULL, false};
        struct queued writers[3];
        disk_open(0);
        MUST(fs_fault_create(env_posix()->allocator, fs_memory_fs(disk), &fault));
        fs_fault_set_memory(fault, disk);
        fs_fault_on_call(fault, no_log_writes, &line);
        MUST(sched_sim_create(env_posix()->allocator, seed, 1, &sim));
        env.fs = fs_fault_fs(fault);
        env.sys = sched_sim_sys(sim);
        lore_options options;
        options_for(&options);
        options.memory_budget = 8u << 20;
        options.memtable_bytes = 64u << 10;
        options.log = note_poison;
        options.log_context = &line;
        line.store = open_with(&options);
        struct fault_plan plan = {FAULT_SYNC_DIR, seed % 3, false, LORE_IO, NULL};
        fs_fault_set_plan(fault, &plan);
        for (unsigned i = 0; i < 3; i++) {
            writers[i] = (struct queued){&line, NULL, 1000 * i};
            MUST(env.sys->ops->thread_start(env.sys, put_until_poisoned, &writers[i],
                                            &writers[i].thread));
        }
        for (unsigned i = 0; i < 3; i++)
            env.sys->ops->thread_join(env.sys, writers[i].thread);
        failures += line.poisoned;
        (void)lore_close(line.store);
        fs_fault_destroy(fault);
        sched_sim_destroy(sim);
        disk_close();
    }
    CHECK(failures > 20);
}

static void put_and_flush(void *context) {
    struct queued *queued = context;
    for (uint64_t i = 0; i < 8; i++) {
        MUST(put_number(queued->line->store, queued->first + i, 100));
        MUST(lore_flush(queued->line->store));
    }
}

/* A memtable that was frozen while the background looked for work was taken for one that finds no
 * room: LORE_FULL on an empty disk. */
static void flushes_at_once(void) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sched_sim *sim;
        struct line line = {NULL, false};
        struct queued writers[3];
        disk_open(0);
        MUST(sched_sim_create(env_posix()->allocator, seed, 1, &sim));
        env.sys = sched_sim_sys(sim);
        lore_options options;
        options_for(&options);
        options.background = LORE_BACKGROUND_THREAD;
        line.store = open_with(&options);
        for (unsigned i = 0; i < 3; i++) {
            writers[i] = (struct queued){&line, NULL, 1000 * i};
            MUST(env.sys->ops->thread_start(env.sys, put_and_flush, &writers[i],
                                            &writers[i].thread));
        }
        for (unsigned i = 0; i < 3; i++)
            env.sys->ops->thread_join(env.sys, writers[i].thread);
        MUST(lore_close(line.store));
        sched_sim_destroy(sim);
        disk_close();
    }
}

static enum fault_outcome count_asking(void *context, enum fault_call call, const char *path,
                                       uint64_t offset, size_t size, uint64_t *astray) {
    uint64_t *asked = context;
    (void)path;
    (void)offset;
    (void)size;
    (void)astray;
    *asked += call == FAULT_LIST;
    CHECK(*asked < 20000);
    return FAULT_PASSES;
}

/* A compaction that found no room told the background's thread so, while the caller went round and
 * round for a second. */
static void compaction_without_room(void) {
    unsigned full = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct fs_fault *fault;
        struct sched_sim *sim;
        uint64_t asked = 0, left;
        disk_open(UINT64_C(1) << 30);
        MUST(fs_fault_create(env_posix()->allocator, fs_memory_fs(disk), &fault));
        fs_fault_set_memory(fault, disk);
        fs_fault_on_call(fault, count_asking, &asked);
        MUST(sched_sim_create(env_posix()->allocator, seed, 1, &sim));
        env.fs = fs_fault_fs(fault);
        env.sys = sched_sim_sys(sim);
        lore_options options;
        options_for(&options);
        options.background = LORE_BACKGROUND_THREAD;
        options.compression = LORE_COMPRESSION_NONE;
        options.blob_threshold_bytes = 1u << 20;
        lore_store *store = open_with(&options);
        for (uint64_t i = 0; i < 90; i++) {
            MUST(put_number(store, i % 45, 9000));
            if (i % 45 == 44) MUST(lore_flush(store));
        }
        MUST(env.fs->ops->space(env.fs, STORE, &left));
        fs_memory_set_capacity(disk, (UINT64_C(1) << 30) - left + 9000);
        asked = 0;
        lore_status status = lore_compact(store, NULL, NULL);
        CHECK(status == LORE_OK || status == LORE_FULL);
        full += status == LORE_FULL;
        (void)lore_close(store);
        fs_fault_destroy(fault);
        sched_sim_destroy(sim);
        disk_close();
    }
    CHECK(full > 0);
}

/* ---- batches ---- */

/* A batch of conditions alone has nothing to write: it says whether they hold. */
static void conditions_alone(void) {
    disk_open(0);
    lore_options options;
    options_for(&options);
    lore_store *store = open_with(&options);
    MUST(lore_put(store, 1, lore_slice_of("there"), lore_slice_of("value")));
    lore_batch *batch;
    MUST(lore_batch_create(store, &batch));
    MUST(lore_batch_require_absent(batch, 1, lore_slice_of("gone")));
    MUST(lore_write(store, batch, NULL));
    MUST(lore_batch_require_absent(batch, 1, lore_slice_of("there")));
    MUST_BE(lore_write(store, batch, NULL), LORE_CONFLICT);
    lore_batch_destroy(batch);
    MUST(lore_close(store));
    disk_close();
}

/* ---- space ---- */

/* The quota stands for memories as for the map's keys; deleting a memory still works. */
static void quota_of_memories(void) {
    disk_open(0);
    lore_options options;
    options_for(&options);
    options.quota_bytes = 64 << 10;
    lore_store *store = open_with(&options);
    static char text[4000];
    lore_memory memory;
    lore_memory_init(&memory);
    memory.fields = LORE_FIELD(LORE_ATTR_TEXT) | LORE_FIELD(LORE_ATTR_ID);
    memory.id = lore_slice_of("first");
    memory.text = (lore_slice){text, sizeof text};
    MUST(lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL));
    memory.fields = LORE_FIELD(LORE_ATTR_TEXT);
    memory.id = (lore_slice){NULL, 0};
    uint64_t random = 1;
    lore_status status = LORE_OK;
    for (int i = 0; i < 200 && status == LORE_OK; i++) {
        for (size_t c = 0; c < sizeof text; c++)
            text[c] = (char)random_below(&random, 256);
        status = lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL);
        if (i % 20 == 19) MUST(lore_flush(store));
    }
    MUST_BE(status, LORE_FULL);
    MUST(lore_memory_delete(store, lore_slice_of("first")));
    MUST(lore_close(store));
    disk_close();
}

static uint64_t used_bytes(lore_store *store, uint64_t capacity) {
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    return capacity - stats.disk_free_bytes;
}

/* On a full disk the reserve lets deletes and compaction run, which give space back; puts do not
 * take it. */
static void reserve_on_a_full_disk(void) {
    const uint64_t capacity = 12 << 20;
    disk_open(capacity);
    lore_options options;
    options_for(&options);
    options.memory_budget = 4 << 20;
    options.reserve_bytes = 1 << 20;
    lore_store *store = open_with(&options);
    CHECK(exists(STORE "/g-000001/RESERVE"));
    uint64_t number = 0;
    static char value[4000];
    uint64_t random = 7;
    lore_status status;
    do {
        uint8_t key[8];
        for (size_t c = 0; c < sizeof value; c++)
            value[c] = (char)random_below(&random, 256);
        status = lore_put(store, 1, number_key(number++, key), (lore_slice){value, sizeof value});
    } while (status == LORE_OK);
    MUST_BE(status, LORE_FULL);
    for (int i = 0; i < 300; i++)
        MUST_BE(put_number(store, number, 4000), LORE_FULL);
    MUST(lore_delete_range(store, 1, (lore_slice){NULL, 0}, (lore_slice){NULL, 0}));
    MUST(lore_compact(store, NULL, NULL));
    MUST(env.fs->ops->sync_dir(env.fs, STORE "/g-000001")); /* as a disk does by itself, in time */
    CHECK(used_bytes(store, capacity) < capacity / 2);
    MUST(put_number(store, 1, 1000));
    bool more;
    MUST(lore_step(store, 1 << 20, &more));
    CHECK(exists(STORE "/g-000001/RESERVE"));
    MUST(lore_close(store));
    disk_close();
}

/* ---- arguments ---- */

/* A slice at NULL that claims bytes crashed; in a batch it must leave nothing behind. */
static void slices_at_null(void) {
    disk_open(0);
    lore_options options;
    options_for(&options);
    lore_store *store = open_with(&options);
    lore_slice none = {NULL, 5}, key = lore_slice_of("key");
    MUST_BE(lore_put(store, 1, none, key), LORE_INVALID);
    MUST_BE(lore_put(store, 1, key, none), LORE_INVALID);
    MUST_BE(lore_delete(store, 1, none), LORE_INVALID);
    MUST_BE(lore_delete_range(store, 1, none, key), LORE_INVALID);
    MUST_BE(lore_delete_range(store, 1, key, none), LORE_INVALID);
    MUST_BE(lore_write(store, NULL, NULL), LORE_INVALID);
    MUST_BE(lore_space_create(store, "space", NULL), LORE_INVALID);
    lore_range range = {.lower = none};
    lore_iter *iter;
    MUST_BE(lore_iter_create(store, NULL, 1, &range, &iter), LORE_INVALID);
    MUST(lore_iter_create(store, NULL, 1, NULL, &iter));
    MUST_BE(lore_iter_seek(iter, none), LORE_INVALID);
    lore_iter_destroy(iter);
    lore_batch *batch;
    MUST(lore_batch_create(store, &batch));
    MUST(lore_batch_put(batch, 1, key, key));
    MUST_BE(lore_batch_put(batch, 1, key, none), LORE_INVALID);
    MUST_BE(lore_batch_require_absent(batch, 1, none), LORE_INVALID);
    MUST(lore_write(store, batch, NULL));
    lore_batch_destroy(batch);
    lore_buffer value = {0};
    MUST_BE(lore_get(store, NULL, 1, none, &value, NULL), LORE_INVALID);
    MUST(lore_get(store, NULL, 1, key, &value, NULL));
    CHECK(value.size == 3);
    lore_buffer_free(&value);
    MUST(lore_close(store));
    disk_close();
}

/* ---- opening ---- */

/* A log that was being created when the machine stopped: a reader takes it as not there. */
static void reader_and_unborn_log(void) {
    for (size_t size = 0; size <= 160; size += 80) {
        disk_open(0);
        lore_options options;
        options_for(&options);
        lore_store *store = open_with(&options);
        MUST(put_number(store, 1, 10));
        MUST(lore_close(store)); /* closes log 1 */
        uint8_t zeros[160] = {0};
        write_file(STORE "/g-000001/log-0000000002", zeros, size);
        options.read_only = true;
        options.create_if_missing = false;
        store = open_with(&options);
        CHECK(has_number(store, 1));
        MUST(lore_refresh(store));
        MUST(lore_close(store));
        disk_close();
    }
}

static void refused_by_both(lore_options options) {
    lore_store *store;
    options.read_only = true;
    options.create_if_missing = false;
    MUST_BE(lore_open(STORE, &options, &store), LORE_CORRUPTION);
    options.read_only = false;
    MUST_BE(lore_open(STORE, &options, &store), LORE_CORRUPTION);
}

/* Three closed logs with a record each; how long the last is. */
static uint64_t three_logs(lore_options *options) {
    disk_open(0);
    options_for(options);
    for (uint64_t i = 1; i <= 3; i++) {
        lore_store *store = open_with(options);
        MUST(put_number(store, i, 10));
        MUST(lore_close(store));
    }
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    MUST(env.fs->ops->stat(env.fs, STORE "/g-000001/log-0000000003", &size, &is_dir, &mode));
    return size;
}

/* The newest log of a store that was closed, cut short or gone, was taken for a crash's work. */
static void newest_log_cut(void) {
    lore_options options;
    uint64_t whole = three_logs(&options);
    disk_close();
    for (uint64_t size = 0; size < whole; size += 8) {
        (void)three_logs(&options);
        struct file *file;
        MUST(fs_open(&env, STORE "/g-000001/log-0000000003", FILE_WRITE, false, &file));
        MUST(file_truncate(file, size));
        file_close(file);
        refused_by_both(options);
        CHECK(exists(STORE "/g-000001/log-0000000003"));
        disk_close();
    }
    (void)three_logs(&options);
    MUST(fs_unlink(&env, STORE "/g-000001/log-0000000003"));
    refused_by_both(options);
    disk_close();
}

/* What could not be written while the handle was taken apart took the place of the reason. */
static void refusal_on_a_full_disk(void) {
    lore_options options;
    lore_store *store;
    uint64_t whole = three_logs(&options);
    struct file *file;
    MUST(fs_open(&env, STORE "/g-000001/log-0000000003", FILE_WRITE, false, &file));
    MUST(file_truncate(file, whole - 8));
    file_close(file);
    fs_memory_set_capacity(disk, 1);
    MUST_BE(lore_open(STORE, &options, &store), LORE_CORRUPTION);
    CHECK(strstr(lore_error_message(), "log-0000000003") != NULL);
    disk_close();
}

/* A reader stepped over a log that was missing, or another's under its name. */
static void reader_and_broken_chain(void) {
    lore_options options;
    (void)three_logs(&options);
    MUST(fs_unlink(&env, STORE "/g-000001/log-0000000002"));
    refused_by_both(options);
    disk_close();
    (void)three_logs(&options);
    MUST(env.fs->ops->rename(env.fs, STORE "/g-000001/log-0000000003",
                             STORE "/g-000001/log-0000000002"));
    refused_by_both(options);
    disk_close();
}

/* A folder that holds acknowledged writes is never cleared away because CURRENT is gone. */
static void missing_current(void) {
    disk_open(0);
    lore_options options;
    options_for(&options);
    lore_store *store = open_with(&options);
    MUST(put_number(store, 1, 10));
    MUST(lore_close(store));
    MUST(fs_unlink(&env, STORE "/CURRENT"));
    MUST_BE(lore_open(STORE, &options, &store), LORE_CORRUPTION);
    CHECK(exists(STORE "/g-000001/log-0000000001"));
    /* The same where the live generation was a later one. */
    disk_close();
    disk_open(0);
    store = open_with(&options);
    MUST(lore_close(store));
    lore_store *next;
    MUST(lore_generation_begin(STORE, true, &options, &next));
    MUST(put_number(next, 1, 10));
    MUST(lore_generation_publish(next));
    MUST(fs_unlink(&env, STORE "/CURRENT"));
    MUST_BE(lore_open(STORE, &options, &store), LORE_CORRUPTION);
    CHECK(exists(STORE "/g-000002/log-0000000001"));
    disk_close();
}

/* A creation that stopped half way is cleared away and made anew. */
static void unfinished_creation(void) {
    disk_open(0);
    lore_options options;
    options_for(&options);
    lore_store *store = open_with(&options);
    MUST(lore_close(store));
    MUST(fs_unlink(&env, STORE "/CURRENT"));
    MUST(fs_unlink(&env, STORE "/g-000001/log-0000000001"));
    uint8_t zeros[100] = {0};
    write_file(STORE "/g-000001/log-0000000001", zeros, sizeof zeros);
    store = open_with(&options);
    MUST(put_number(store, 1, 10));
    MUST(lore_close(store));
    disk_close();
}

static enum crash_fate all_lost(void *context, size_t index, uint64_t *tear) {
    (void)context;
    (void)index;
    (void)tear;
    return CRASH_LOST;
}

/* A log that holds more than the memtable of the next opening: flushed on the way, never lost, also
 * when the machine stops again meanwhile. */
static void less_memory_than_before(void) {
    disk_open(0);
    lore_options options;
    options_for(&options);
    lore_store *store = open_with(&options);
    for (uint64_t i = 0; i < 100; i++)
        MUST(put_number(store, i, 60000)); /* 6 MB: one memtable of 8 MiB, one log */
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    CHECK(stats.log_files == 1);
    MUST(lore_close(store));
    options.memory_budget = 4 << 20;
    for (int round = 0; round < 2; round++) {
        store = open_with(&options);
        for (uint64_t i = 0; i < 100; i++)
            CHECK(has_number(store, i));
        struct fs_memory *crashed;
        MUST(fs_memory_crash_clone(disk, all_lost, NULL, &crashed));
        MUST(lore_close(store));
        disk_close();
        disk = crashed;
        env.fs = fs_memory_fs(disk);
    }
    disk_close();
}

/* ---- snapshots ---- */

static lore_store *shared_store;
static pthread_barrier_t barrier;

static void *drop_a(void *context) {
    lore_status *status = context;
    pthread_barrier_wait(&barrier);
    *status = lore_snapshot_drop(shared_store, "a");
    return NULL;
}

/* Two threads drop one of two snapshots of the same moment: the other one keeps what it needs. */
static void two_drops_of_one_snapshot(void) {
    disk_open(0);
    lore_options options;
    options_for(&options);
    lore_store *store = shared_store = open_with(&options);
    pthread_barrier_init(&barrier, NULL, 4);
    for (int round = 0; round < 40; round++) {
        MUST(lore_put(store, 1, lore_slice_of("key"), lore_slice_of("old")));
        MUST(lore_snapshot_save(store, "a"));
        MUST(lore_snapshot_save(store, "b"));
        MUST(lore_put(store, 1, lore_slice_of("key"), lore_slice_of("newer")));
        pthread_t threads[4];
        lore_status status[4];
        for (int i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], NULL, drop_a, &status[i]) == 0);
        int dropped = 0;
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            CHECK(status[i] == LORE_OK || status[i] == LORE_NOT_FOUND);
            dropped += status[i] == LORE_OK;
        }
        CHECK(dropped == 1);
        MUST(lore_compact(store, NULL, NULL));
        lore_snapshot *snapshot;
        MUST(lore_snapshot_open(store, "b", &snapshot));
        lore_buffer value = {0};
        MUST(lore_get(store, snapshot, 1, lore_slice_of("key"), &value, NULL));
        CHECK(value.size == 3);
        lore_buffer_free(&value);
        lore_snapshot_release(snapshot);
        MUST(lore_snapshot_drop(store, "b"));
    }
    pthread_barrier_destroy(&barrier);
    MUST(lore_close(store));
    disk_close();
}

/* ---- refresh ---- */

static _Atomic bool stop;

static void *get_for_ever(void *context) {
    (void)context;
    while (!atomic_load(&stop))
        CHECK(has_number(shared_store, 7));
    return NULL;
}

/* A writer with record 7, and a reader beside it: the shared store. */
static lore_store *open_writer_and_reader(void) {
    disk_open(0);
    lore_options options;
    options_for(&options);
    lore_store *writer = open_with(&options);
    MUST(put_number(writer, 7, 10));
    options.read_only = true;
    options.create_if_missing = false;
    shared_store = open_with(&options);
    return writer;
}

/* A read that is under way while another thread refreshes sees one state, the old or the new. */
static void reads_during_refresh(void) {
    lore_store *writer = open_writer_and_reader();
    pthread_t threads[2];
    atomic_store(&stop, false);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, get_for_ever, NULL) == 0);
    for (size_t round = 0; round < 60; round++) {
        MUST(put_number(writer, 7, 10 + round));
        MUST(lore_compact(writer, NULL, NULL));
        MUST(lore_refresh(shared_store));
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    MUST(lore_close(shared_store));
    MUST(lore_close(writer));
    disk_close();
}

static _Atomic bool refreshed;

static void *refresh_once(void *context) {
    (void)context;
    MUST(lore_refresh(shared_store));
    atomic_store(&refreshed, true);
    return NULL;
}

/* Called in the middle of a read; a refresh is waiting for its end by the time it reads itself. */
static bool read_in_callback(void *context, lore_keyspace keyspace) {
    pthread_t *thread = context;
    bool waiting = false;
    CHECK(keyspace == 1);
    CHECK(pthread_create(thread, NULL, refresh_once, NULL) == 0);
    while (!waiting) {
        env_posix()->sys->ops->mutex_lock(env.sys, shared_store->commit.mutex);
        waiting = shared_store->commit.refreshing;
        env_posix()->sys->ops->mutex_unlock(env.sys, shared_store->commit.mutex);
    }
    CHECK(has_number(shared_store, 7));
    CHECK(!atomic_load(&refreshed));
    return true;
}

/* A read from within a read's callback does not wait for a refresh that waits for the read. */
static void read_within_a_read(void) {
    lore_store *writer = open_writer_and_reader();
    pthread_t thread;
    atomic_store(&refreshed, false);
    alarm(60);
    MUST(lore_keyspaces(shared_store, NULL, read_in_callback, &thread));
    pthread_join(thread, NULL);
    alarm(0);
    MUST(lore_close(shared_store));
    MUST(lore_close(writer));
    disk_close();
}

/* ---- groups ---- */

static void *put_a_memory(void *context) {
    lore_memory memory;
    lore_memory_init(&memory);
    memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT);
    memory.id = lore_slice_of(context);
    memory.text = lore_slice_of("text");
    MUST(lore_memory_put(shared_store, &memory, 1, LORE_PUT_REPLACE, NULL));
    return NULL;
}

static size_t waiting_writers(lore_store *store) {
    size_t count = 0;
    env.sys->ops->mutex_lock(env.sys, store->commit.mutex);
    for (const struct commit_request *r = store->commit.head; r != NULL; r = r->next)
        count++;
    env.sys->ops->mutex_unlock(env.sys, store->commit.mutex);
    return count;
}

/* Memories of different ids that wait together are written with one device flush. */
static void memories_share_a_group(void) {
    disk_open(0);
    lore_options options;
    options_for(&options);
    lore_store *store = shared_store = open_with(&options);
    lore_stats before = {.struct_size = sizeof before}, after = {.struct_size = sizeof after};
    MUST(lore_stats_get(store, &before));
    static char ids[8][2] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    pthread_t threads[8];
    commit_lead_begin(store);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&threads[i], NULL, put_a_memory, ids[i]) == 0);
    while (waiting_writers(store) < 8)
        sleep_us(1000);
    commit_lead_end(store);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    MUST(lore_stats_get(store, &after));
    CHECK(after.commits == before.commits + 8);
    CHECK(after.groups == before.groups + 1);
    MUST(lore_close(store));
    disk_close();
}

static const struct part {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"line_behind_a_failure", line_behind_a_failure},
    {"flushes_at_once", flushes_at_once},
    {"compaction_without_room", compaction_without_room},
    {"conditions_alone", conditions_alone},
    {"quota_of_memories", quota_of_memories},
    {"reserve_on_a_full_disk", reserve_on_a_full_disk},
    {"slices_at_null", slices_at_null},
    {"reader_and_unborn_log", reader_and_unborn_log},
    {"newest_log_cut", newest_log_cut},
    {"refusal_on_a_full_disk", refusal_on_a_full_disk},
    {"reader_and_broken_chain", reader_and_broken_chain},
    {"missing_current", missing_current},
    {"unfinished_creation", unfinished_creation},
    {"less_memory_than_before", less_memory_than_before},
    {"two_drops_of_one_snapshot", two_drops_of_one_snapshot},
    {"reads_during_refresh", reads_during_refresh},
    {"read_within_a_read", read_within_a_read},
    {"memories_share_a_group", memories_share_a_group},
};

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++)
            wanted = wanted || strcmp(argv[a], parts[i].name) == 0;
        if (!wanted) continue;
        printf("%s\n", parts[i].name);
        fflush(stdout);
        parts[i].run();
    }
    return 0;
}
