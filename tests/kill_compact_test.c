/*
 * kill_compact_test.c - a process that loads and then compacts is killed again and again: the
 * compaction must still come to its end, within a bounded number of kills, with everything there.
 *
 *   kill_compact_test [--seed N] [--records N] [--millis M] [--lives N]
 *
 * Each life opens the store, writes a little, and asks for a compaction. The parent kills it at a
 * random moment up to M milliseconds after the store was opened: what a life does at least is given
 * by work, not by time, for the kill waits until the child has said that it is open. A life that
 * returns from lore_compact ends the test. So that machines of any speed see many lives, M doubles
 * after every 50 of them.
 */
#include <signal.h>
#include <sys/wait.h>

#include "support.h"

static char folder[TEST_PATH_BYTES];
static uint64_t records = 60000, lives_max = 400;

static void open_store(lore_store **store) {
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = 16u << 20;
    options.memtable_bytes = 1u << 20;
    options.table_bytes_max = 1u << 20;
    options.durability = LORE_SYNC_NONE;
    options.lock_timeout_ms = 5000;
    MUST(lore_open(folder, &options, store));
}

static lore_slice value_of(uint64_t number, char out[2000]) {
    uint64_t state = number;
    size_t size = number % 25 == 0 ? 1500 : 100;
    for (size_t i = 0; i < size; i++)
        out[i] = (char)('a' + random_next(&state) % 26);
    return (lore_slice){out, size};
}

/* Every record twice, so that a compaction has something to drop. */
static void load(void) {
    lore_store *store;
    uint8_t key[8];
    char value[2000];
    open_store(&store);
    for (uint64_t round = 0; round < 2; round++) {
        for (uint64_t n = 0; n < records; n++)
            MUST(lore_put(store, 1, number_key(n * 7919 % records, key),
                          value_of(n * 7919 % records + round, value)));
    }
    MUST(lore_close(store));
}

static void live(int pipe_end, uint64_t life) {
    lore_store *store;
    uint8_t key[8];
    char value[2000];
    open_store(&store);
    for (uint64_t n = 0; n < 20; n++)
        MUST(lore_put(store, 2, number_key(life * 20 + n, key), value_of(n, value)));
    if (write(pipe_end, "o", 1) != 1) _exit(1);
    MUST(lore_compact(store, NULL, NULL));
    if (write(pipe_end, "c", 1) != 1) _exit(1);
    pause();
}

/* Whether the life came to the end of its compaction. */
static bool one_life(uint64_t life, uint64_t wait_us) {
    int ends[2];
    char said = 0;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(ends[0]);
        live(ends[1], life);
    }
    close(ends[1]);
    CHECK(read(ends[0], &said, 1) == 1 && said == 'o');
    sleep_us(wait_us);
    CHECK(kill(child, SIGKILL) == 0);
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    bool finished = read(ends[0], &said, 1) == 1 && said == 'c';
    close(ends[0]);
    return finished;
}

static void check_all(void) {
    static lore_buffer found;
    lore_store *store;
    uint8_t key[8];
    char value[2000];
    open_store(&store);
    for (uint64_t n = 0; n < records; n++) {
        MUST(lore_get(store, NULL, 1, number_key(n, key), &found, NULL));
        lore_slice wanted = value_of(n + 1, value);
        CHECK(found.size == wanted.size && memcmp(found.data, wanted.data, wanted.size) == 0);
    }
    verify_clean(store);
    lore_buffer_free(&found);
    MUST(lore_close(store));
}

int main(int argc, char **argv) {
    uint64_t random = seed_of(argc, argv), millis = 60, life = 0;
    for (int i = 1; i + 1 < argc; i++) {
        uint64_t number = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--records") == 0) records = number;
        if (strcmp(argv[i], "--millis") == 0) millis = number;
        if (strcmp(argv[i], "--lives") == 0) lives_max = number;
    }
    make_folder(folder, "kill-compact");
    load();
    bool finished = false;
    for (; !finished && life < lives_max; life++) {
        finished = one_life(life, random_below(&random, millis * 1000));
        if (life % 50 == 49) millis *= 2;
    }
    printf("%s after %" PRIu64 " lives of up to %" PRIu64 " ms\n",
           finished ? "compacted" : "no end of it", life, millis);
    CHECK(finished);
    check_all();
    remove_tree(folder);
    return 0;
}
