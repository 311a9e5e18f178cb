/*
 * process_test.c - a store and several processes: readers beside a writer under load, the writer's
 * lock, fork, read-only media.
 *
 *   process_test [--refreshes N] [--openings N] [PART]...
 *   parts: readers threads openings lock fork media catalog backup
 *
 * The writer of these tests commits batch n = 1, 2, 3 ... and then says so in shared memory:
 *
 *   keyspaces NUMBERS, TWICE   key n -> value n; every 500 batches, all below n - 500 are deleted
 *   keyspace LAST              one key -> n
 *   memory "m<n mod 20>"       text n, every fifth batch, after the batch
 *   named snapshot "s<n>"      every 700 batches; the one before is dropped
 *
 * So whatever prefix of its history a reader sees, LAST says which one, and everything else follows
 * from that.
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support.h"

enum { NUMBERS = 1, TWICE = 2, LAST = 3 };

#define KEPT           500u
#define SNAPSHOT_EVERY 700u
#define MEMORY_IDS     20u
#define BACKUP_AT      1800u

struct shared {
    _Atomic uint64_t acknowledged; /* the last batch that lore_write returned LORE_OK for */
    _Atomic int stop;
    _Atomic int backed_up;
};

static struct shared *shared;
static pid_t parent;
static char folder[TEST_PATH_BYTES];
static char path[TEST_PATH_BYTES + 16], backup_path[TEST_PATH_BYTES + 16];
static uint64_t refreshes = 150, openings = 100;

static lore_status open_at(const char *where, bool read_only, uint32_t lock_timeout_ms,
                           lore_store **store) {
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = !read_only;
    options.read_only = read_only;
    options.memory_budget = 8u << 20;
    options.memtable_bytes = 128u << 10;
    options.table_bytes_max = 64u << 10;
    options.fan_in = 2;
    options.log_preallocate_bytes = 64u << 10;
    options.lock_timeout_ms = lock_timeout_ms;
    return lore_open(where, &options, store);
}

/* ---- children ---- */

static pid_t start_child(void (*run)(void)) {
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid != 0) return pid;
    run();
    fflush(NULL);
    _exit(0);
}

static void expect_success(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A child goes on until it is told to stop, or nobody is left to tell it. */
static bool told_to_stop(void) {
    return atomic_load(&shared->stop) || getppid() != parent;
}

/* Wait until `value` is at least `wanted`; a child that ended meanwhile has failed. */
static void wait_for(pid_t pid, const _Atomic uint64_t *value, uint64_t wanted) {
    while (atomic_load(value) < wanted) {
        int status;
        CHECK(waitpid(pid, &status, WNOHANG) == 0);
        sleep_us(1000);
    }
}

static void print_any_finding(void *context, const lore_finding *finding) {
    ++*(uint64_t *)context;
    print_finding(NULL, finding);
}

/* Nothing found, and nothing said of files that come and go. */
static void verify_without_warnings(lore_store *store) {
    lore_verify_report report = {0};
    uint64_t said = 0;
    MUST(lore_verify(store, print_any_finding, NULL, &said, &report));
    CHECK(said == 0 && report.findings == 0 && report.warnings == 0);
}

/* ---- the writer ---- */

static uint64_t deleted_below(uint64_t last) {
    return last < 2 * KEPT ? 1 : last / KEPT * KEPT - KEPT;
}

/* Filling, so that memtables fill; now and then long enough for a blob file. */
static lore_slice value_of(uint64_t number, char buffer[1600]) {
    int size = snprintf(buffer, 32, "%" PRIu64 " ", number);
    size_t more = number % 13 == 0 ? 1400 : 150;
    memset(buffer + size, 'a' + (int)(number % 26), more);
    return (lore_slice){buffer, (size_t)size + more};
}

static uint64_t number_of(lore_slice value) {
    char text[32] = "", buffer[1600];
    memcpy(text, value.data, value.size < 31 ? value.size : 31);
    uint64_t number = strtoull(text, NULL, 10);
    lore_slice wanted = value_of(number, buffer);
    CHECK(wanted.size == value.size && memcmp(wanted.data, value.data, value.size) == 0);
    return number;
}

static void write_batch(lore_store *store, uint64_t n) {
    uint8_t key[8], end[8];
    char value[1600];
    lore_batch *batch;
    MUST(lore_batch_create(store, &batch));
    MUST(lore_batch_put(batch, NUMBERS, number_key(n, key), value_of(n, value)));
    MUST(lore_batch_put(batch, TWICE, number_key(n, key), value_of(n, value)));
    MUST(lore_batch_put(batch, LAST, lore_slice_of("last"), value_of(n, value)));
    if (n % KEPT == 0 && n >= 2 * KEPT) {
        lore_slice from = number_key(0, key), to = number_key(deleted_below(n), end);
        MUST(lore_batch_delete_range(batch, NUMBERS, from, to));
        MUST(lore_batch_delete_range(batch, TWICE, from, to));
    }
    MUST(lore_write(store, batch, NULL));
    lore_batch_destroy(batch);
}

static void write_memory(lore_store *store, uint64_t n) {
    char id[32], text[32];
    lore_memory memory;
    lore_memory_init(&memory);
    memory.fields =
        LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) | LORE_FIELD(LORE_ATTR_METADATA);
    snprintf(id, sizeof id, "m%" PRIu64, n % MEMORY_IDS);
    snprintf(text, sizeof text, "%" PRIu64, n);
    memory.id = lore_slice_of(id);
    memory.text = memory.metadata = lore_slice_of(text);
    MUST(lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL));
}

static void write_snapshot(lore_store *store, uint64_t n) {
    char name[32];
    snprintf(name, sizeof name, "s%" PRIu64, n);
    MUST(lore_snapshot_save(store, name));
    if (n == SNAPSHOT_EVERY) return;
    snprintf(name, sizeof name, "s%" PRIu64, n - SNAPSHOT_EVERY);
    MUST(lore_snapshot_drop(store, name));
}

static void writer_main(void) {
    lore_store *store;
    MUST(open_at(path, false, 0, &store));
    for (uint64_t n = atomic_load(&shared->acknowledged) + 1; !told_to_stop(); n++) {
        write_batch(store, n);
        atomic_store(&shared->acknowledged, n);
        if (n % 5 == 0) write_memory(store, n);
        if (n % SNAPSHOT_EVERY == 0) write_snapshot(store, n);
        if (n == BACKUP_AT) {
            MUST(lore_backup(store, backup_path, 0, NULL, NULL, NULL));
            atomic_store(&shared->backed_up, 1);
        }
    }
    MUST(lore_close(store));
}

/* ---- what a reader must see ---- */

static uint64_t last_of(lore_store *store, const lore_snapshot *snapshot) {
    lore_buffer buffer = {0};
    lore_status status = lore_get(store, snapshot, LAST, lore_slice_of("last"), &buffer, NULL);
    uint64_t last = 0;
    if (status != LORE_NOT_FOUND) {
        MUST_BE(status, LORE_OK);
        last = number_of((lore_slice){buffer.data, buffer.size});
    }
    lore_buffer_free(&buffer);
    return last;
}

static void check_keyspace(lore_store *store, const lore_snapshot *snapshot, lore_keyspace keyspace,
                           uint64_t last) {
    lore_iter *iter;
    uint64_t next = deleted_below(last);
    MUST(lore_iter_create(store, snapshot, keyspace, NULL, &iter));
    for (MUST(lore_iter_seek_first(iter)); lore_iter_valid(iter); MUST(lore_iter_next(iter))) {
        lore_slice value;
        CHECK(key_number(lore_iter_key(iter)) == next);
        MUST(lore_iter_value(iter, &value));
        CHECK(number_of(value) == next);
        next++;
    }
    CHECK(next == last + 1);
    lore_iter_destroy(iter);
}

static void check_memories(lore_store *store, const lore_snapshot *snapshot, uint64_t last) {
    lore_memory_iter *iter;
    lore_record *record;
    uint64_t count = 0;
    MUST(lore_memory_iter_create(store, snapshot, 0, &iter));
    for (;; count++) {
        char text[32] = "";
        MUST(lore_memory_iter_next(iter, &record));
        if (record == NULL) break;
        const lore_memory *memory = lore_record_memory(record);
        CHECK(memory->text.size < sizeof text && memory->text.size == memory->metadata.size);
        memcpy(text, memory->text.data, memory->text.size);
        CHECK(memcmp(text, memory->metadata.data, memory->metadata.size) == 0);
        uint64_t number = strtoull(text, NULL, 10);
        /* Memories of multiples of 5 take turns on four ids: the last one or the one before. */
        CHECK(number % 5 == 0 && number <= last && last - number <= MEMORY_IDS + 4);
        lore_record_destroy(record);
    }
    CHECK(count <= 4);
    lore_memory_iter_destroy(iter);
}

/* The whole content at a snapshot (NULL: now) is that after batch number LAST. */
static uint64_t check_prefix(lore_store *store, const lore_snapshot *snapshot) {
    uint64_t last = last_of(store, snapshot);
    check_keyspace(store, snapshot, NUMBERS, last);
    check_keyspace(store, snapshot, TWICE, last);
    check_memories(store, snapshot, last);
    return last;
}

/* ---- readers beside a writer ---- */

static bool take_name(void *context, const lore_snapshot_info *info) {
    CHECK(info->name.size < 32);
    memset(context, 0, 32);
    memcpy(context, info->name.data, info->name.size);
    return true;
}

static void check_named(lore_store *store) {
    char name[32] = "";
    MUST(lore_snapshot_list(store, take_name, name));
    if (name[0] == '\0') return;
    lore_snapshot *snapshot;
    MUST(lore_snapshot_open(store, name, &snapshot));
    CHECK(check_prefix(store, snapshot) == strtoull(name + 1, NULL, 10));
    lore_snapshot_release(snapshot);
}

/* What an open snapshot or iterator of a reader shows never changes, though the writer knows
 * nothing of it and merges away what it needs: so a refresh is refused while one is out. */
static void check_refresh_waits_for_snapshots(pid_t writer, lore_store *store) {
    lore_snapshot *snapshot;
    lore_iter *iter;
    MUST(lore_snapshot_create(store, &snapshot));
    uint64_t last = check_prefix(store, snapshot);
    MUST(lore_iter_create(store, NULL, NUMBERS, NULL, &iter));
    MUST(lore_iter_seek_first(iter));
    uint64_t first = key_number(lore_iter_key(iter));
    wait_for(writer, &shared->acknowledged, last + 3 * KEPT);
    MUST_BE(lore_refresh(store), LORE_MISUSE);
    CHECK(check_prefix(store, snapshot) == last);
    lore_snapshot_release(snapshot);
    MUST_BE(lore_refresh(store), LORE_MISUSE);
    for (uint64_t n = first; n <= last; n++) {
        CHECK(lore_iter_valid(iter) && key_number(lore_iter_key(iter)) == n);
        MUST(lore_iter_next(iter));
    }
    CHECK(!lore_iter_valid(iter));
    lore_iter_destroy(iter);
    MUST(lore_refresh(store));
    CHECK(check_prefix(store, NULL) >= last + 3 * KEPT);
}

/* Also a refresh that had to start again, since files went away meanwhile, keeps nothing. */
static void check_refresh_gives_memory_back(lore_store *store, const lore_stats *before) {
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    uint64_t held_before = before->memory_used - before->cache_bytes - before->memtable_bytes;
    CHECK(stats.memory_used - stats.cache_bytes - stats.memtable_bytes < held_before + (1u << 20));
}

static uint64_t check_fresh_opening(uint64_t seen) {
    uint64_t before = atomic_load(&shared->acknowledged);
    lore_store *store;
    MUST(open_at(path, true, 0, &store));
    uint64_t last = check_prefix(store, NULL);
    CHECK(last >= before && last >= seen);
    check_named(store);
    MUST(lore_close(store));
    return last;
}

static void check_refusals(lore_store *store) {
    lore_batch *batch;
    MUST_BE(lore_put(store, NUMBERS, lore_slice_of("k"), lore_slice_of("v")), LORE_MISUSE);
    MUST_BE(lore_flush(store), LORE_MISUSE);
    MUST_BE(lore_compact(store, NULL, NULL), LORE_MISUSE);
    MUST_BE(lore_snapshot_save(store, "mine"), LORE_MISUSE);
    MUST_BE(lore_note_put(store, "note", lore_slice_of("text")), LORE_MISUSE);
    MUST_BE(lore_memory_delete(store, lore_slice_of("m0")), LORE_MISUSE);
    MUST_BE(lore_batch_create(store, &batch), LORE_MISUSE);
}

/* The writer is asked to end, and everything is there. */
static void end_writer(pid_t writer, uint64_t seen) {
    atomic_store(&shared->stop, 1);
    expect_success(writer);
    lore_store *store;
    MUST(open_at(path, false, 0, &store));
    uint64_t last = check_prefix(store, NULL);
    CHECK(last == atomic_load(&shared->acknowledged) && last >= seen);
    verify_clean(store);
    MUST(lore_close(store));
}

static pid_t begin_writer(void) {
    remove_tree(path);
    remove_tree(backup_path);
    memset(shared, 0, sizeof *shared);
    pid_t writer = start_child(writer_main);
    wait_for(writer, &shared->acknowledged, 1);
    return writer;
}

static void part_readers(void) {
    pid_t writer = begin_writer();
    lore_store *store;
    uint64_t seen = 0, moved = 0;
    MUST(open_at(path, true, 0, &store));
    check_refusals(store);
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    for (uint64_t i = 0; i < refreshes; i++) {
        uint64_t before = atomic_load(&shared->acknowledged);
        MUST(lore_refresh(store));
        uint64_t last = check_prefix(store, NULL);
        CHECK(last >= before && last >= seen);
        if (last > seen) moved++;
        seen = last;
        if (i % 10 == 0) check_named(store);
        if (i % 10 == 5) seen = check_fresh_opening(seen);
        if (i % 50 == 20) check_refresh_waits_for_snapshots(writer, store);
        if (i % 40 == 30) verify_clean(store);
        int status;
        CHECK(waitpid(writer, &status, WNOHANG) == 0);
    }
    CHECK(moved > 1);
    check_refresh_gives_memory_back(store, &stats);
    MUST(lore_close(store));
    end_writer(writer, seen);
    printf("readers: %" PRIu64 " refreshes, %" PRIu64 " moved forward, %" PRIu64 " batches\n",
           refreshes, moved, atomic_load(&shared->acknowledged));
}

/* ---- a reader's threads while it is refreshed ---- */

static lore_store *refreshed;
static _Atomic int refreshing;

/* One thread reads while another refreshes: what has been seen once is never gone and never older;
 * a view that is held does not move, and a read beside it does not wait for ever. */
static void *reader_thread(void *context) {
    uint64_t seen = 0;
    (void)context;
    for (unsigned round = 0; atomic_load(&refreshing); round++) {
        uint64_t last = last_of(refreshed, NULL);
        CHECK(last >= seen && last > 0);
        seen = last;
        if (round % 512 != 0) continue; /* else the refresh would hardly ever find none out */
        lore_iter *iter;
        lore_slice value;
        MUST(lore_iter_create(refreshed, NULL, LAST, NULL, &iter));
        MUST(lore_iter_seek_first(iter));
        CHECK(lore_iter_valid(iter));
        MUST(lore_iter_value(iter, &value));
        uint64_t held = number_of(value);
        CHECK(held >= seen && last_of(refreshed, NULL) == held);
        lore_iter_destroy(iter);
        seen = held;
    }
    return NULL;
}

static void part_threads(void) {
    pid_t writer = begin_writer();
    pthread_t threads[2];
    uint64_t moved = 0;
    MUST(open_at(path, true, 0, &refreshed));
    atomic_store(&refreshing, 1);
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, reader_thread, NULL) == 0);
    while (moved < refreshes) {
        uint64_t before = atomic_load(&shared->acknowledged);
        lore_status status = lore_refresh(refreshed);
        if (status == LORE_OK) {
            CHECK(last_of(refreshed, NULL) >= before);
            moved++;
        } else {
            MUST_BE(status, LORE_MISUSE); /* an iterator is out at this moment */
            sleep_us(100);
        }
    }
    atomic_store(&refreshing, 0);
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    MUST(lore_close(refreshed));
    end_writer(writer, 1);
    printf("threads: two read while a third refreshes, %" PRIu64 " times\n", moved);
}

/* ---- opening beside a writer that never rests ---- */

#define CHURN_KEYS 20000u
#define CHURNERS   2

/* Small memtables and tables and no waiting for the device: hundreds of segments, of which some go
 * and others come all the time. */
static void churn_main(void) {
    lore_options options;
    lore_store *store;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = 8u << 20;
    options.memtable_bytes = options.table_bytes_max = 16u << 10;
    options.fan_in = 2;
    options.log_preallocate_bytes = 4096;
    options.compression = LORE_COMPRESSION_NONE;
    options.durability = LORE_SYNC_NONE;
    MUST(lore_open(path, &options, &store));
    for (uint64_t n = 1; !told_to_stop(); n++) {
        uint8_t key[8];
        char value[1600];
        lore_batch *batch;
        MUST(lore_batch_create(store, &batch));
        uint64_t at = n <= CHURN_KEYS ? n : n * 0x9E3779B97F4A7C15u >> 40;
        MUST(lore_batch_put(batch, NUMBERS, number_key(at % CHURN_KEYS, key), value_of(n, value)));
        MUST(lore_batch_put(batch, LAST, lore_slice_of("last"), value_of(n, value)));
        MUST(lore_write(store, batch, NULL));
        lore_batch_destroy(batch);
        atomic_store(&shared->acknowledged, n);
    }
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    printf("openings: %" PRIu64 " batches, %" PRIu64 " flushes, %" PRIu64 " merges, %" PRIu64
           " tables at the end\n",
           atomic_load(&shared->acknowledged), stats.flushes, stats.compactions, stats.table_files);
    verify_without_warnings(store);
    MUST(lore_close(store));
}

/* No key is missing, and none is newer than the last. */
static uint64_t check_churned(lore_store *store) {
    lore_iter *iter;
    uint64_t count = 0, last = last_of(store, NULL);
    MUST(lore_iter_create(store, NULL, NUMBERS, NULL, &iter));
    for (MUST(lore_iter_seek_first(iter)); lore_iter_valid(iter); MUST(lore_iter_next(iter))) {
        lore_slice value;
        MUST(lore_iter_value(iter, &value));
        CHECK(number_of(value) <= last);
        count++;
    }
    CHECK(count == CHURN_KEYS);
    lore_iter_destroy(iter);
    return last;
}

static void opener_main(void) {
    uint64_t seen = 0;
    lore_store *kept;
    MUST(open_at(path, true, 0, &kept));
    for (uint64_t i = 0; i < openings; i++) {
        lore_store *store;
        MUST(open_at(path, true, 0, &store));
        uint64_t last = i % 16 == 0 ? check_churned(store) : last_of(store, NULL);
        CHECK(last >= seen && last > 0);
        if (i % 64 == 0) verify_without_warnings(store);
        MUST(lore_close(store));
        MUST(lore_refresh(kept));
        seen = last_of(kept, NULL);
        CHECK(seen >= last);
    }
    MUST(lore_close(kept));
}

static void part_openings(void) {
    remove_tree(path);
    memset(shared, 0, sizeof *shared);
    pid_t writer = start_child(churn_main), openers[CHURNERS];
    wait_for(writer, &shared->acknowledged, 3 * CHURN_KEYS / 2);
    for (unsigned i = 0; i < CHURNERS; i++)
        openers[i] = start_child(opener_main);
    for (unsigned i = 0; i < CHURNERS; i++)
        expect_success(openers[i]);
    atomic_store(&shared->stop, 1);
    expect_success(writer);
    printf("openings: %" PRIu64 " and as many refreshes got through\n", CHURNERS * openings);
}

/* ---- the lock ---- */

static void hold_main(void) {
    lore_store *store;
    MUST(open_at(path, false, 0, &store));
    write_batch(store, 1);
    atomic_store(&shared->acknowledged, 1);
    while (!told_to_stop())
        sleep_us(1000);
    sleep_us(200000);
    MUST(lore_close(store));
}

static void expect_locked(pid_t owner, uint32_t timeout_ms) {
    lore_store *store;
    char pid[32];
    snprintf(pid, sizeof pid, "pid %ld", (long)owner);
    uint64_t began_us = monotonic_us();
    MUST_BE(open_at(path, false, timeout_ms, &store), LORE_LOCKED);
    CHECK(monotonic_us() - began_us >= (uint64_t)timeout_ms * 1000);
    CHECK(store == NULL);
    CHECK(strstr(lore_error_message(), pid) != NULL);
}

static void part_lock(void) {
    remove_tree(path);
    memset(shared, 0, sizeof *shared);
    pid_t owner = start_child(hold_main);
    wait_for(owner, &shared->acknowledged, 1);
    expect_locked(owner, 0);
    expect_locked(owner, 300);
    lore_buffer text = {0};
    MUST(lore_lock_owner(path, NULL, &text));
    CHECK(text.size > 4 && strtol((const char *)text.data + 4, NULL, 10) == (long)owner);
    /* An opener that waits gets it when the owner closes. */
    lore_store *store;
    atomic_store(&shared->stop, 1);
    MUST(open_at(path, false, 20000, &store));
    CHECK(last_of(store, NULL) == 1);
    expect_locked(getpid(), 0); /* in one process too */
    MUST(lore_close(store));
    expect_success(owner);
    MUST_BE(lore_lock_owner(path, NULL, &text), LORE_NOT_FOUND);
    lore_buffer_free(&text);
    /* And when it is killed. */
    memset(shared, 0, sizeof *shared);
    owner = start_child(hold_main);
    wait_for(owner, &shared->acknowledged, 1);
    expect_locked(owner, 0);
    int status;
    CHECK(kill(owner, SIGKILL) == 0 && waitpid(owner, &status, 0) == owner);
    MUST(open_at(path, false, 0, &store));
    CHECK(last_of(store, NULL) == 1);
    verify_clean(store);
    MUST(lore_close(store));
    printf("lock: refused with the owner's pid, waited for, freed by close and by kill\n");
}

/* ---- fork ---- */

static lore_store *before_fork;
static lore_snapshot *snapshot_before_fork;
static lore_iter *iter_before_fork;
static lore_batch *batch_before_fork;

static void child_uses_handle(void) {
    lore_store *store = before_fork;
    lore_snapshot *snapshot;
    lore_iter *iter;
    lore_record *record;
    lore_buffer buffer = {0};
    uint64_t count;
    lore_stats stats = {.struct_size = sizeof stats};
    lore_query query;
    lore_query_init(&query);
    MUST_BE(lore_get(store, NULL, LAST, lore_slice_of("last"), &buffer, NULL), LORE_MISUSE);
    CHECK(strstr(lore_error_message(), "fork") != NULL);
    MUST_BE(lore_put(store, 9, lore_slice_of("k"), lore_slice_of("v")), LORE_MISUSE);
    MUST_BE(lore_write(store, batch_before_fork, NULL), LORE_MISUSE);
    MUST_BE(lore_delete(store, 9, lore_slice_of("k")), LORE_MISUSE);
    MUST_BE(lore_flush(store), LORE_MISUSE);
    MUST_BE(lore_compact(store, NULL, NULL), LORE_MISUSE);
    MUST_BE(lore_sync(store), LORE_MISUSE);
    MUST_BE(lore_refresh(store), LORE_MISUSE);
    MUST_BE(lore_snapshot_create(store, &snapshot), LORE_MISUSE);
    MUST_BE(lore_snapshot_save(store, "s"), LORE_MISUSE);
    MUST_BE(lore_snapshot_list(store, take_name, &buffer), LORE_MISUSE);
    MUST_BE(lore_iter_create(store, NULL, NUMBERS, NULL, &iter), LORE_MISUSE);
    MUST_BE(lore_iter_next(iter_before_fork), LORE_MISUSE);
    MUST_BE(lore_memory_get(store, NULL, lore_slice_of("m0"), 0, &record), LORE_MISUSE);
    MUST_BE(lore_memory_delete(store, lore_slice_of("m0")), LORE_MISUSE);
    MUST_BE(lore_count(store, NULL, &query, &count), LORE_MISUSE);
    MUST_BE(lore_stats_get(store, &stats), LORE_MISUSE);
    MUST_BE(lore_note_put(store, "n", lore_slice_of("v")), LORE_MISUSE);
    MUST_BE(lore_note_get(store, "n", &buffer), LORE_MISUSE);
    MUST_BE(lore_backup(store, backup_path, 0, NULL, NULL, NULL), LORE_MISUSE);
    MUST_BE(lore_verify(store, NULL, NULL, NULL, NULL), LORE_MISUSE);
    MUST_BE(lore_close(store), LORE_MISUSE);
    /* A handle of the child's own, read-only, works. */
    MUST(open_at(path, true, 0, &store));
    CHECK(last_of(store, NULL) == 1);
    MUST(lore_close(store));
}

static void child_waits(void) {
    while (!told_to_stop())
        sleep_us(1000);
}

static void part_fork(void) {
    remove_tree(path);
    memset(shared, 0, sizeof *shared);
    MUST(open_at(path, false, 0, &before_fork));
    write_batch(before_fork, 1);
    MUST(lore_snapshot_create(before_fork, &snapshot_before_fork));
    MUST(lore_iter_create(before_fork, NULL, NUMBERS, NULL, &iter_before_fork));
    MUST(lore_iter_seek_first(iter_before_fork));
    MUST(lore_batch_create(before_fork, &batch_before_fork));
    MUST(lore_batch_put(batch_before_fork, 9, lore_slice_of("k"), lore_slice_of("v")));
    expect_success(start_child(child_uses_handle));
    /* The parent's handle is none the worse, */
    CHECK(lore_iter_valid(iter_before_fork));
    MUST(lore_write(before_fork, batch_before_fork, NULL));
    write_batch(before_fork, 2);
    CHECK(check_prefix(before_fork, NULL) == 2);
    CHECK(check_prefix(before_fork, snapshot_before_fork) == 1);
    lore_batch_destroy(batch_before_fork);
    lore_iter_destroy(iter_before_fork);
    lore_snapshot_release(snapshot_before_fork);
    /* and its close frees the lock, though a child still lives. */
    pid_t child = start_child(child_waits);
    MUST(lore_close(before_fork));
    MUST(open_at(path, false, 0, &before_fork));
    MUST(lore_close(before_fork));
    atomic_store(&shared->stop, 1);
    expect_success(child);
    printf("fork: the child's calls are refused, the parent goes on\n");
}

/* ---- read-only media ---- */

#define NOBODY       65534
#define LISTING_MAX  128
#define LISTING_NAME (TEST_PATH_BYTES + 300)

struct listing {
    struct {
        char name[LISTING_NAME];
        long long size, modified_s, modified_ns, changed_s, changed_ns;
        unsigned mode;
    } entries[LISTING_MAX];
    size_t count;
};

static void list_tree(const char *dir, struct listing *listing) {
    DIR *handle = opendir(dir);
    CHECK(handle != NULL);
    for (struct dirent *entry; (entry = readdir(handle)) != NULL;) {
        struct stat status;
        char name[LISTING_NAME] = "";
        if (strcmp(entry->d_name, "..") == 0) continue;
        snprintf(name, sizeof name, "%.520s/%.250s", dir, entry->d_name);
        CHECK(lstat(name, &status) == 0 && listing->count < LISTING_MAX);
        if (S_ISDIR(status.st_mode) && strcmp(entry->d_name, ".") != 0) {
            list_tree(name, listing);
            continue;
        }
        size_t at = listing->count++;
        memcpy(listing->entries[at].name, name, sizeof name);
        listing->entries[at].size = (long long)status.st_size;
        listing->entries[at].modified_s = (long long)status.st_mtim.tv_sec;
        listing->entries[at].modified_ns = (long long)status.st_mtim.tv_nsec;
        listing->entries[at].changed_s = (long long)status.st_ctim.tv_sec;
        listing->entries[at].changed_ns = (long long)status.st_ctim.tv_nsec;
        listing->entries[at].mode = (unsigned)status.st_mode;
    }
    closedir(handle);
}

static int by_name(const void *a, const void *b) {
    return strcmp(a, b); /* an entry begins with its name */
}

static struct listing *list_store(void) {
    struct listing *listing = calloc(1, sizeof *listing);
    CHECK(listing != NULL);
    list_tree(path, listing);
    qsort(listing->entries, listing->count, sizeof listing->entries[0], by_name);
    return listing;
}

static void chmod_tree(mode_t dirs, mode_t files) {
    struct listing *listing = list_store();
    for (size_t i = 0; i < listing->count; i++) {
        bool is_dir = S_ISDIR(listing->entries[i].mode);
        CHECK(chmod(listing->entries[i].name, is_dir ? dirs : files) == 0);
    }
    free(listing);
}

/* Root may write anywhere, so root becomes somebody who may not. */
static void become_nobody(void) {
    if (geteuid() == 0) CHECK(setuid(NOBODY) == 0);
}

static void make_store_main(void) {
    become_nobody();
    lore_store *store;
    MUST(open_at(path, false, 0, &store));
    for (uint64_t n = 1; n <= 1200; n++) {
        write_batch(store, n);
        if (n % 5 == 0) write_memory(store, n);
    }
    /* No close: the log is still open, as after a crash. */
    fflush(NULL);
    _exit(0);
}

static void read_store_main(void) {
    become_nobody();
    lore_store *store;
    CHECK(access(path, W_OK) != 0);
    lore_status status = open_at(path, false, 0, &store);
    CHECK(status == LORE_IO);
    MUST(open_at(path, true, 0, &store));
    CHECK(check_prefix(store, NULL) == 1200);
    MUST(lore_refresh(store));
    verify_clean(store);
    CHECK(check_prefix(store, NULL) == 1200);
    check_refusals(store);
    MUST(lore_close(store));
}

static void part_media(void) {
    remove_tree(path);
    CHECK(mkdir(path, 0700) == 0);
    if (geteuid() == 0) {
        CHECK(chmod(folder, 0755) == 0);
        CHECK(chown(path, NOBODY, NOBODY) == 0);
    }
    expect_success(start_child(make_store_main));
    chmod_tree(0500, 0400);
    struct listing *before = list_store();
    expect_success(start_child(read_store_main));
    struct listing *after = list_store();
    CHECK(before->count == after->count && before->count > 3);
    for (size_t i = 0; i < before->count; i++) {
        if (memcmp(&before->entries[i], &after->entries[i], sizeof before->entries[i]) == 0)
            continue;
        check_failed(__FILE__, __LINE__, before->entries[i].name, "changed by reading");
    }
    free(before);
    free(after);
    chmod_tree(0700, 0600);
    printf("media: a store without write permission is read, and nothing of it changes\n");
}

/* ---- LMDB's file ---- */

static char map_path[TEST_PATH_BYTES + 64];

static void flip_map_byte(long offset) {
    FILE *file = fopen(map_path, "r+b");
    CHECK(file != NULL);
    CHECK(fseek(file, offset, SEEK_SET) == 0);
    int byte = fgetc(file);
    CHECK(byte != EOF && fseek(file, offset, SEEK_SET) == 0);
    CHECK(fputc(byte ^ 0x40, file) != EOF && fclose(file) == 0);
}

static void expect_derived(void *context, const lore_finding *finding) {
    ++*(uint64_t *)context;
    CHECK(finding->status == LORE_CORRUPTION && strcmp(finding->kind, "catalog") == 0);
    CHECK(strcmp(finding->file, "g-000001/catalog.mdb") == 0);
    CHECK(strstr(finding->message, "nothing is lost") != NULL);
}

/* A reader's verify looks at catalog.mdb too, says that nothing depends on it, and says nothing of
 * it while a writer works there. */
static void part_catalog(void) {
    lore_store *store, *reader;
    lore_verify_report report;
    uint64_t found = 0;
    remove_tree(path);
    snprintf(map_path, sizeof map_path, "%s/g-000001/catalog.mdb", path);
    MUST(open_at(path, false, 0, &store));
    for (uint64_t n = 1; n <= 700; n++)
        write_batch(store, n);
    MUST(lore_close(store));
    MUST(open_at(path, true, 0, &reader));
    verify_without_warnings(reader);
    flip_map_byte(20);
    memset(&report, 0, sizeof report);
    MUST_BE(lore_verify(reader, expect_derived, NULL, &found, &report), LORE_CORRUPTION);
    CHECK(found == 1 && report.findings == 1);
    CHECK(check_prefix(reader, NULL) == 700);
    MUST(lore_close(reader));
    MUST(open_at(path, false, 0, &store)); /* makes it anew */
    verify_without_warnings(store);
    MUST(open_at(path, true, 0, &reader));
    flip_map_byte(20);
    verify_without_warnings(reader);
    flip_map_byte(20);
    MUST(lore_close(store));
    verify_without_warnings(reader);
    MUST(lore_close(reader));
    printf("catalog: damage of catalog.mdb is found, and is no loss\n");
}

/* ---- backups beside a writer ---- */

static void part_backup(void) {
    pid_t writer = begin_writer();
    lore_store *store, *copy;
    char second[TEST_PATH_BYTES + 16];
    wait_for(writer, &shared->acknowledged, BACKUP_AT + 1);
    CHECK(atomic_load(&shared->backed_up) == 1);
    MUST(open_at(backup_path, true, 0, &copy));
    CHECK(check_prefix(copy, NULL) == BACKUP_AT);
    verify_clean(copy);
    check_refusals(copy);
    MUST(lore_refresh(copy));
    MUST(lore_close(copy));
    MUST_BE(open_at(backup_path, false, 0, &copy), LORE_MISUSE);
    CHECK(strstr(lore_error_message(), "backup") != NULL);
    /* A reader may make one as well, where its log holds nothing that is in no segment; else it
     * says why not. */
    snprintf(second, sizeof second, "%s/second", folder);
    MUST(open_at(path, true, 0, &store));
    uint64_t last = check_prefix(store, NULL);
    lore_status status = lore_backup(store, second, LORE_BACKUP_COPY, NULL, NULL, NULL);
    if (status == LORE_OK) {
        MUST(open_at(second, true, 0, &copy));
        CHECK(check_prefix(copy, NULL) <= last);
        verify_clean(copy);
        MUST(lore_close(copy));
    } else {
        MUST_BE(status, LORE_MISUSE);
        printf("backup by a reader: %s\n", lore_error_message());
    }
    MUST(lore_close(store));
    end_writer(writer, last);
    /* What the writer did since is not in the backup, though files are shared. */
    MUST(open_at(backup_path, true, 0, &copy));
    CHECK(check_prefix(copy, NULL) == BACKUP_AT);
    verify_clean(copy);
    MUST(lore_close(copy));
    printf("backup: whole, beside a writer, and refused for writing\n");
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {{"readers", part_readers}, {"threads", part_threads}, {"openings", part_openings},
                 {"lock", part_lock},       {"fork", part_fork},       {"media", part_media},
                 {"catalog", part_catalog}, {"backup", part_backup}};
    bool chosen = false;
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--refreshes") == 0)
            refreshes = strtoull(argv[i + 1], NULL, 10);
        if (i + 1 < argc && strcmp(argv[i], "--openings") == 0)
            openings = strtoull(argv[i + 1], NULL, 10);
        for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++)
            chosen = chosen || strcmp(argv[i], parts[p].name) == 0;
    }
    alarm(240 + (unsigned)openings); /* a deadlock ends too */
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    parent = getpid();
    make_folder(folder, "process");
    snprintf(path, sizeof path, "%s/store", folder);
    snprintf(backup_path, sizeof backup_path, "%s/backup", folder);
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        bool wanted = !chosen;
        for (int i = 1; i < argc; i++)
            wanted = wanted || strcmp(argv[i], parts[p].name) == 0;
        if (wanted) parts[p].run();
        fflush(stdout);
    }
    remove_tree(folder);
    return 0;
}
