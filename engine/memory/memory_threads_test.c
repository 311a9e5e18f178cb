/* Several threads on the same memories and the same session: whatever happens first, every index
 * agrees afterwards. */
#include "memory/memory_testing.h"

enum { THREADS = 4, IDS = 100, ROUNDS = 400, TURNS = 100 };

struct worker {
    lore_store *store;
    unsigned number;
    lore_status status; /* the first that is no answer */
    char message[256];
    struct thread *thread;
    void (*work)(struct worker *worker);
};

static void run_worker(void *context) {
    struct worker *worker = context;
    worker->work(worker);
}

static void note(struct worker *worker, lore_status status) {
    if (status == LORE_OK || status == LORE_NOT_FOUND || worker->status != LORE_OK) return;
    worker->status = status;
    snprintf(worker->message, sizeof worker->message, "%s", lore_error_message());
}

static void run_workers(lore_store *store, struct worker *workers, unsigned count,
                        void (*work)(struct worker *)) {
    struct sys *sys = env_posix()->sys;
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.store = store, .number = i, .work = work};
        assert_ok(sys->ops->thread_start(sys, run_worker, &workers[i], &workers[i].thread));
    }
    for (unsigned i = 0; i < count; i++)
        sys->ops->thread_join(sys, workers[i].thread);
    for (unsigned i = 0; i < count; i++) {
        if (workers[i].status != LORE_OK) print_error("%s\n", workers[i].message);
        assert_ok(workers[i].status);
    }
}

/* Changes of every sort to the same memories; some of them in one batch. */
static void change_memories(struct worker *worker) {
    static const char *const words[4] = {"", "x", "y", "z"};
    uint64_t seed = worker->number + 1;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char ids[2][8], text[8];
        lore_memory memories[2];
        uint64_t first = test_random(&seed) % IDS;
        for (size_t m = 0; m < 2; m++) {
            snprintf(ids[m], sizeof ids[m], "%03llu", (unsigned long long)((first + m) % IDS));
            snprintf(text, sizeof text, "%llu", (unsigned long long)(test_random(&seed) % 3));
            memories[m] = memory_of(ids[m], text);
            give_text(&memories[m], LORE_ATTR_KIND, words[test_random(&seed) % 4]);
            give_text(&memories[m], LORE_ATTR_SESSION, words[test_random(&seed) % 4]);
        }
        uint64_t choice = test_random(&seed) % 8;
        lore_record *record = NULL;
        if (choice < 2)
            note(worker, lore_memory_put(worker->store, memories, 2, LORE_PUT_REPLACE, NULL));
        else if (choice < 5)
            note(worker, lore_memory_update(worker->store, &memories[0]));
        else if (choice < 6)
            note(worker, lore_memory_delete(worker->store, memories[0].id));
        else
            note(worker, lore_memory_get(worker->store, NULL, memories[0].id, 0, &record));
        lore_record_destroy(record);
        if (i % 100 == 50) note(worker, access_write(worker->store, true));
    }
}

static void threads_on_the_same_memories(void **state) {
    struct test_store *self = *state;
    struct worker workers[THREADS];
    for (unsigned id = 0; id < IDS; id++) {
        char room[8];
        snprintf(room, sizeof room, "%03u", id);
        lore_memory memory = memory_of(room, "at first");
        assert_ok(put_one(self->store, &memory));
    }
    run_workers(self->store, workers, THREADS, change_memories);
    uint64_t live = count_keys(self->store, KEYSPACE_ID);
    assert_int_equal(count_keys(self->store, KEYSPACE_RECORD), 2 * live);
    assert_verified(self->store, live);
    test_store_reopen(self);
    assert_ok(lore_compact(self->store, NULL, NULL));
    assert_verified(self->store, live);
}

/* Two threads, no deletes: all memories are there at the end, each with one row. */
static void update_memories(struct worker *worker) {
    uint64_t seed = worker->number + 100;
    for (unsigned i = 0; i < ROUNDS; i++) {
        char id[8], text[8];
        snprintf(id, sizeof id, "%03llu", (unsigned long long)(test_random(&seed) % IDS));
        snprintf(text, sizeof text, "%llu", (unsigned long long)(test_random(&seed) % 5));
        lore_memory memory = memory_of(id, text);
        give_text(&memory, LORE_ATTR_KIND, text);
        if (test_random(&seed) % 2 == 0) memory.fields &= ~LORE_FIELD(LORE_ATTR_TEXT);
        lore_status status = lore_memory_update(worker->store, &memory);
        note(worker, status == LORE_NOT_FOUND ? LORE_CORRUPTION : status);
    }
}

static void two_threads_update(void **state) {
    struct test_store *self = *state;
    struct worker workers[2];
    for (unsigned id = 0; id < IDS; id++) {
        char room[8];
        snprintf(room, sizeof room, "%03u", id);
        lore_memory memory = memory_of(room, "at first");
        assert_ok(put_one(self->store, &memory));
    }
    run_workers(self->store, workers, 2, update_memories);
    assert_int_equal(count_keys(self->store, KEYSPACE_ID), IDS);
    assert_int_equal(count_keys(self->store, KEYSPACE_RECORD), 2 * IDS);
    assert_verified(self->store, IDS);
}

static void append_turns(struct worker *worker) {
    for (unsigned i = 0; i < TURNS; i++) {
        lore_memory memory;
        lore_memory_init(&memory);
        give_text(&memory, LORE_ATTR_TEXT, "a turn");
        give_text(&memory, LORE_ATTR_SESSION, "s");
        note(worker, put_one(worker->store, &memory));
    }
}

static void threads_on_one_session(void **state) {
    struct test_store *self = *state;
    struct worker workers[THREADS];
    static bool seen[THREADS * TURNS];
    memset(seen, 0, sizeof seen);
    run_workers(self->store, workers, THREADS, append_turns);
    lore_memory_iter *iter;
    lore_record *record;
    assert_ok(lore_memory_iter_create(self->store, NULL, 0, &iter));
    for (;;) {
        assert_ok(lore_memory_iter_next(iter, &record));
        if (record == NULL) break;
        uint64_t position = lore_record_memory(record)->position;
        lore_record_destroy(record);
        assert_true(position < THREADS * TURNS);
        assert_false(seen[position]);
        seen[position] = true;
    }
    lore_memory_iter_destroy(iter);
    assert_verified(self->store, THREADS * TURNS); /* so every position was seen */
}

static int set_up(void **state) {
    static struct test_store self;
    memset(&self, 0, sizeof self);
    test_store_init(&self, LORE_BACKGROUND_THREAD);
    *state = &self;
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_on_the_same_memories, set_up, test_store_tear_down),
        cmocka_unit_test_setup_teardown(two_threads_update, set_up, test_store_tear_down),
        cmocka_unit_test_setup_teardown(threads_on_one_session, set_up, test_store_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
