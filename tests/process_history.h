/*
 * process_history.h - for tests of several processes: a writer whose history says of itself what a
 * reader must see, and the running of a test's parts.
 *
 * The writer commits batch n = 1, 2, 3 ... and then says so in shared memory:
 *
 *   keyspaces NUMBERS, TWICE   key n -> value n; every 500 batches, all below n - 500 are deleted
 *   keyspace LAST              one key -> n
 *   memory "m<n mod 20>"       text n, every fifth batch, after the batch
 *   named snapshot "s<n>"      every 700 batches; the one before is dropped
 *
 * So whatever prefix of its history a reader sees, LAST says which one, and everything else follows
 * from that. One includer a program, which defines _DEFAULT_SOURCE first.
 */
#ifndef LORE_TESTS_PROCESS_HISTORY_H
#define LORE_TESTS_PROCESS_HISTORY_H

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
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

static inline lore_status open_at(const char *where, bool read_only, uint32_t lock_timeout_ms,
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

static inline pid_t start_child(void (*run)(void)) {
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid != 0) return pid;
    run();
    fflush(NULL);
    _exit(0);
}

static inline void expect_success(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A child goes on until it is told to stop, or nobody is left to tell it. */
static inline bool told_to_stop(void) {
    return atomic_load(&shared->stop) || getppid() != parent;
}

/* Wait until `value` is at least `wanted`; a child that ended meanwhile has failed. */
static inline void wait_for(pid_t pid, const _Atomic uint64_t *value, uint64_t wanted) {
    while (atomic_load(value) < wanted) {
        int status;
        CHECK(waitpid(pid, &status, WNOHANG) == 0);
        sleep_us(1000);
    }
}

static inline void print_any_finding(void *context, const lore_finding *finding) {
    ++*(uint64_t *)context;
    print_finding(NULL, finding);
}

/* Nothing found, and nothing said of files that come and go. */
static inline void verify_without_warnings(lore_store *store) {
    lore_verify_report report = {0};
    uint64_t said = 0;
    MUST(lore_verify(store, print_any_finding, NULL, &said, &report));
    CHECK(said == 0 && report.findings == 0 && report.warnings == 0);
}

/* ---- the writer ---- */

static inline uint64_t deleted_below(uint64_t last) {
    return last < 2 * KEPT ? 1 : last / KEPT * KEPT - KEPT;
}

/* Filling, so that memtables fill; now and then long enough for a blob file. */
static inline lore_slice value_of(uint64_t number, char buffer[1600]) {
    int size = snprintf(buffer, 32, "%" PRIu64 " ", number);
    size_t more = number % 13 == 0 ? 1400 : 150;
    memset(buffer + size, 'a' + (int)(number % 26), more);
    return (lore_slice){buffer, (size_t)size + more};
}

static inline uint64_t number_of(lore_slice value) {
    char text[32] = "", buffer[1600];
    memcpy(text, value.data, value.size < 31 ? value.size : 31);
    uint64_t number = strtoull(text, NULL, 10);
    lore_slice wanted = value_of(number, buffer);
    CHECK(wanted.size == value.size && memcmp(wanted.data, value.data, value.size) == 0);
    return number;
}

static inline void write_batch(lore_store *store, uint64_t n) {
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

static inline void write_memory(lore_store *store, uint64_t n) {
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

static inline void write_snapshot(lore_store *store, uint64_t n) {
    char name[32];
    snprintf(name, sizeof name, "s%" PRIu64, n);
    MUST(lore_snapshot_save(store, name));
    if (n == SNAPSHOT_EVERY) return;
    snprintf(name, sizeof name, "s%" PRIu64, n - SNAPSHOT_EVERY);
    MUST(lore_snapshot_drop(store, name));
}

static inline void writer_main(void) {
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

static inline uint64_t last_of(lore_store *store, const lore_snapshot *snapshot) {
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

static inline void check_keyspace(lore_store *store, const lore_snapshot *snapshot,
                                  lore_keyspace keyspace, uint64_t last) {
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

static inline void check_memories(lore_store *store, const lore_snapshot *snapshot, uint64_t last) {
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
static inline uint64_t check_prefix(lore_store *store, const lore_snapshot *snapshot) {
    uint64_t last = last_of(store, snapshot);
    check_keyspace(store, snapshot, NUMBERS, last);
    check_keyspace(store, snapshot, TWICE, last);
    check_memories(store, snapshot, last);
    return last;
}

static inline bool take_name(void *context, const lore_snapshot_info *info) {
    CHECK(info->name.size < 32);
    memset(context, 0, 32);
    memcpy(context, info->name.data, info->name.size);
    return true;
}

/* What a handle for reading refuses. */
static inline void check_refusals(lore_store *store) {
    lore_batch *batch;
    MUST_BE(lore_put(store, NUMBERS, lore_slice_of("k"), lore_slice_of("v")), LORE_MISUSE);
    MUST_BE(lore_flush(store), LORE_MISUSE);
    MUST_BE(lore_compact(store, NULL, NULL), LORE_MISUSE);
    MUST_BE(lore_snapshot_save(store, "mine"), LORE_MISUSE);
    MUST_BE(lore_note_put(store, "note", lore_slice_of("text")), LORE_MISUSE);
    MUST_BE(lore_memory_delete(store, lore_slice_of("m0")), LORE_MISUSE);
    MUST_BE(lore_batch_create(store, &batch), LORE_MISUSE);
}

/* ---- parts ---- */

struct part {
    const char *name;
    void (*run)(void);
};

/* Those that the arguments name, or all, in a new folder; a deadlock ends after `seconds` too. */
static inline int run_parts(int argc, char **argv, const struct part *parts, size_t count,
                            unsigned seconds) {
    bool chosen = false;
    for (int i = 1; i < argc; i++)
        for (size_t p = 0; p < count; p++)
            chosen = chosen || strcmp(argv[i], parts[p].name) == 0;
    alarm(seconds);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    parent = getpid();
    make_folder(folder, "process");
    snprintf(path, sizeof path, "%s/store", folder);
    snprintf(backup_path, sizeof backup_path, "%s/backup", folder);
    for (size_t p = 0; p < count; p++) {
        bool wanted = !chosen;
        for (int i = 1; i < argc; i++)
            wanted = wanted || strcmp(argv[i], parts[p].name) == 0;
        if (wanted) parts[p].run();
        fflush(stdout);
    }
    remove_tree(folder);
    return 0;
}

#endif
