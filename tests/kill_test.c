/*
 * kill_test.c - a process that loads a store is killed at a random moment, again and again. After
 * each kill the store must open and hold every acknowledged record, nothing half, in order.
 *
 *   kill_test [--rounds N] [--dir DIR] [--seed S] [--millis M]
 *
 * The child commits batch n (a key in each of two keyspaces, and a memory every tenth time; now and
 * then a range delete of an old part) and then writes n to a pipe: what the parent has read from
 * the pipe was acknowledged. The parent kills it after up to M milliseconds, opens the store and
 * checks. A round is one kill; the store lives through all of them, so flushes, merges and rewrites
 * are cut too. The longest opening is printed, and decides nothing.
 */
#include <signal.h>
#include <sys/wait.h>

#include "support.h"

#define RECENT  2000u  /* records below the last that are all checked in every round */
#define SAMPLES 200u   /* and so many older ones, at random */
#define KEPT    40000u /* older ones than these are deleted by range */

static char store_path[TEST_PATH_BYTES];
static uint64_t random_state;

static lore_slice key_of(uint64_t n, char buffer[32]) {
    return (lore_slice){buffer, (size_t)snprintf(buffer, 32, "%012" PRIu64, n)};
}

/* Now and then large enough for a blob file. */
static lore_slice value_of(uint64_t n, char buffer[4096]) {
    int size = snprintf(buffer, 64, "value %" PRIu64 " ", n);
    size_t more = n % 17 == 0 ? 3000 : n % 5 * 40;
    memset(buffer + size, 'a' + (int)(n % 26), more);
    return (lore_slice){buffer, (size_t)size + more};
}

static uint64_t deleted_below(uint64_t last) {
    return last < KEPT ? 0 : (last - KEPT) / 10000 * 10000;
}

static void open_store(lore_store **store) {
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = 4u << 20;
    options.lock_timeout_ms = 5000;
    MUST(lore_open(store_path, &options, store));
}

/* ---- the child ---- */

static void write_record(lore_store *store, uint64_t n) {
    char key[32], value[4096], begin[32];
    lore_batch *batch;
    MUST(lore_batch_create(store, &batch));
    MUST(lore_batch_put(batch, 1, key_of(n, key), value_of(n, value)));
    MUST(lore_batch_put(batch, 2, key_of(n, key), value_of(n + 1, value)));
    uint64_t below = deleted_below(n);
    if (below > 0 && n % 10000 == 0) {
        MUST(lore_batch_delete_range(batch, 1, key_of(0, begin), key_of(below, key)));
        MUST(lore_batch_delete_range(batch, 2, key_of(0, begin), key_of(below, key)));
    }
    MUST(lore_write(store, batch, NULL));
    lore_batch_destroy(batch);
    if (n % 10 != 0) return;
    lore_memory memory;
    lore_memory_init(&memory);
    memory.fields =
        LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) | LORE_FIELD(LORE_ATTR_KIND);
    memory.id = key_of(n % 1000, key);
    memory.text = value_of(n, value);
    memory.kind = lore_slice_of("kill");
    MUST(lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL));
}

static void child(int pipe_end, uint64_t first) {
    lore_store *store;
    open_store(&store);
    for (uint64_t n = first;; n++) {
        write_record(store, n);
        if (write(pipe_end, &n, sizeof n) != sizeof n) exit(0);
    }
}

/* ---- the parent ---- */

static bool holds(lore_store *store, lore_keyspace keyspace, uint64_t n, uint64_t value_number) {
    static lore_buffer found;
    char key[32], value[4096];
    lore_status status = lore_get(store, NULL, keyspace, key_of(n, key), &found, NULL);
    if (status == LORE_NOT_FOUND) return false;
    MUST(status);
    lore_slice wanted = value_of(value_number, value);
    REQUIRE(found.size == wanted.size && memcmp(found.data, wanted.data, wanted.size) == 0,
            "record %" PRIu64 " holds other bytes", n);
    return true;
}

/* `last`: the last batch that is there. */
static void expect_record(lore_store *store, uint64_t n, uint64_t last) {
    bool first = holds(store, 1, n, n), second = holds(store, 2, n, n + 1);
    REQUIRE(first == second, "half of batch %" PRIu64, n);
    REQUIRE(first || n < deleted_below(last), "record %" PRIu64 " of %" PRIu64 " is gone", n, last);
}

/* The number of records, after checking them: the first that is not there. */
static uint64_t check_store(uint64_t acknowledged, bool any, bool verify) {
    lore_store *store;
    open_store(&store);
    uint64_t count = any ? acknowledged + 1 : 0;
    /* The one in flight may be there, whole, with its range delete; nothing after it. */
    bool first = holds(store, 1, count, count), second = holds(store, 2, count, count + 1);
    REQUIRE(first == second && !holds(store, 1, count + 1, count + 1),
            "batch %" PRIu64 " is half there, or one after it is", count);
    uint64_t last = first ? count : acknowledged;
    uint64_t from = count > RECENT ? count - RECENT : 0;
    for (uint64_t n = from; n < count; n++)
        expect_record(store, n, last);
    for (unsigned i = 0; i < SAMPLES && from > 0; i++)
        expect_record(store, random_below(&random_state, from), last);
    if (verify) {
        lore_verify_report report = {0};
        MUST(lore_verify(store, NULL, NULL, NULL, &report));
    }
    MUST(lore_close(store));
    return first ? count + 1 : count;
}

static uint64_t run_child(uint64_t first, uint64_t micros, bool *any) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child(ends[1], first);
    }
    close(ends[1]);
    /* The pipe holds 8,192 numbers: read on meanwhile would disturb the moment, so the wait is
     * short enough. */
    sleep_us(micros);
    kill(pid, SIGKILL);
    uint64_t last = 0, n;
    *any = false;
    while (read(ends[0], &n, sizeof n) == (ssize_t)sizeof n)
        last = n, *any = true;
    close(ends[0]);
    int status;
    waitpid(pid, &status, 0);
    REQUIRE(!WIFEXITED(status) || WEXITSTATUS(status) == 0, "the writer stopped by itself");
    return last;
}

int main(int argc, char **argv) {
    uint64_t rounds = 500, seed = (uint64_t)time(NULL), millis = 60;
    const char *dir = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rounds") == 0)
            rounds = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--millis") == 0)
            millis = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0)
            dir = argv[i + 1];
        else
            return 2;
    }
    MUST(scratch_folder(dir, "kill", store_path));
    random_state = seed;
    printf("seed %" PRIu64 ", %" PRIu64 " kills in %s\n", seed, rounds, store_path);
    uint64_t next = 0, opening_us_max = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        bool any;
        uint64_t micros = 500 + random_next(&random_state) % (millis * 1000);
        uint64_t last = run_child(next, micros, &any);
        if (any) next = last + 1;
        uint64_t began = monotonic_us();
        next = check_store(next - 1, next > 0, round % 50 == 49 || round + 1 == rounds);
        uint64_t took = monotonic_us() - began;
        if (took > opening_us_max && round % 50 != 49) opening_us_max = took;
    }
    printf("%" PRIu64 " records after %" PRIu64
           " kills, none lost; longest opening with its checks %" PRIu64 " ms\n",
           next, rounds, opening_us_max / 1000);
    return 0;
}
