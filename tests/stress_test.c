/*
 * stress_test.c - everything at once on one handle: writers, readers, iterators, snapshots, flushes
 * and compactions, while readers hold the store to what it promises. Meant for ThreadSanitizer;
 * the checks hold without it too.
 *
 *   stress_test [--seed N] [--scale N]        N times the operations; default 1
 *
 * What a reader checks, at a snapshot:
 *
 *   pairs     a batch writes the same number under a key of two keyspaces, and the writer's mark in
 *             a third: both keyspaces hold the same, and no number above the mark
 *   newest    a mark acknowledged before the snapshot was made is there, and marks never go back
 *   twice     a second walk, forward, backward or by get, finds what the first one found
 *   memories  text, kind, metadata and embedding of a memory were written together; counts by index
 *             equal counts by walking; distances are those of the texts
 *
 * Then two threads raise the same 100 counters with conditional batches, and two update the same
 * 100 memories: no update is lost, no index entry left over.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "support.h"

enum { PAIRS_A = 1, PAIRS_B = 2, MARKS = 3, COUNTERS = 4 };

#define WRITERS         3
#define KEYS_PER_WRITER 48
#define PAIRS_MAX       (WRITERS * KEYS_PER_WRITER)
#define WRITES          1500u
#define MEMORY_WRITERS  2
#define MEMORIES        24
#define MEMORY_WRITES   300u
#define KINDS           5u
#define VALUE_BYTES_MAX 2600
#define SPACE           "space"
#define COUNTERS_COUNT  100
#define INCREMENTERS    2
#define ROUNDS_OF_ALL   30u /* each counter is raised so often by each thread */

static lore_store *store;
static char folder[TEST_PATH_BYTES];
static uint64_t seed, scale = 1;
static _Atomic uint64_t acknowledged[WRITERS];
static _Atomic int writers_left;
static _Atomic uint64_t checks_done;

struct worker {
    pthread_t thread;
    void (*run)(struct worker *worker);
    unsigned index;
    uint64_t random;
    uint64_t numbers[KEYS_PER_WRITER]; /* a writer's own model; 0: absent */
    uint64_t mark;
};

static void open_store(lore_durability durability) {
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = 16u << 20;
    options.memtable_bytes = 96u << 10;
    options.table_bytes_max = 64u << 10;
    options.fan_in = 2;
    options.log_preallocate_bytes = 64u << 10;
    options.access_flush_ms = 5;
    options.durability = durability;
    MUST(lore_open(folder, &options, &store));
}

/* ---- pairs: writing ---- */

static lore_slice pair_key(unsigned writer, unsigned key, char buffer[32]) {
    return (lore_slice){buffer, (size_t)snprintf(buffer, 32, "w%u-%03u", writer, key)};
}

static lore_slice mark_key(unsigned writer, char buffer[32]) {
    return (lore_slice){buffer, (size_t)snprintf(buffer, 32, "w%u", writer)};
}

/* The number, then filling that follows from it: short, or long enough for a blob file. */
static lore_slice number_value(uint64_t number, char buffer[VALUE_BYTES_MAX]) {
    int size = snprintf(buffer, 32, "%" PRIu64 " ", number);
    size_t more = number % 11 == 0 ? 2000 : number % 7 * 50;
    memset(buffer + size, 'a' + (int)(number % 26), more);
    return (lore_slice){buffer, (size_t)size + more};
}

static uint64_t value_number(lore_slice value) {
    char copy[32] = "", expected[VALUE_BYTES_MAX];
    memcpy(copy, value.data, value.size < 31 ? value.size : 31);
    uint64_t number = strtoull(copy, NULL, 10);
    lore_slice wanted = number_value(number, expected);
    CHECK(wanted.size == value.size && memcmp(wanted.data, value.data, value.size) == 0);
    return number;
}

static uint64_t read_number(const lore_snapshot *snapshot, lore_keyspace keyspace, lore_slice key,
                            lore_buffer *buffer) {
    lore_status status = lore_get(store, snapshot, keyspace, key, buffer, NULL);
    if (status == LORE_NOT_FOUND) return 0;
    MUST_BE(status, LORE_OK);
    return value_number((lore_slice){buffer->data, buffer->size});
}

static void write_pairs(struct worker *worker, lore_batch *batch) {
    char key[32], end[32], value[VALUE_BYTES_MAX];
    unsigned chosen = (unsigned)random_below(&worker->random, KEYS_PER_WRITER);
    uint64_t number = ++worker->mark, dice = random_below(&worker->random, 100);
    lore_batch_clear(batch);
    lore_slice name = pair_key(worker->index, chosen, key);
    if (dice < 75) {
        MUST(lore_batch_put(batch, PAIRS_A, name, number_value(number, value)));
        MUST(lore_batch_put(batch, PAIRS_B, name, number_value(number, value)));
        worker->numbers[chosen] = number;
    } else if (dice < 92) {
        MUST(lore_batch_delete(batch, PAIRS_A, name));
        MUST(lore_batch_delete(batch, PAIRS_B, name));
        worker->numbers[chosen] = 0;
    } else {
        unsigned after = chosen + 1 + (unsigned)random_below(&worker->random, 8);
        if (after > KEYS_PER_WRITER) after = KEYS_PER_WRITER;
        lore_slice stop = pair_key(worker->index, after, end);
        MUST(lore_batch_delete_range(batch, PAIRS_A, name, stop));
        MUST(lore_batch_delete_range(batch, PAIRS_B, name, stop));
        for (unsigned i = chosen; i < after; i++)
            worker->numbers[i] = 0;
    }
    MUST(lore_batch_put(batch, MARKS, mark_key(worker->index, end), number_value(number, value)));
    MUST(lore_write(store, batch, NULL));
}

static void check_own_writes(struct worker *worker, lore_buffer *buffer) {
    char key[32];
    for (unsigned i = 0; i < 2; i++) {
        unsigned chosen = (unsigned)random_below(&worker->random, KEYS_PER_WRITER);
        lore_slice name = pair_key(worker->index, chosen, key);
        CHECK(read_number(NULL, PAIRS_A, name, buffer) == worker->numbers[chosen]);
        CHECK(read_number(NULL, PAIRS_B, name, buffer) == worker->numbers[chosen]);
    }
    CHECK(read_number(NULL, MARKS, mark_key(worker->index, key), buffer) == worker->mark);
}

static void pair_writer(struct worker *worker) {
    lore_batch *batch;
    lore_buffer buffer = {0};
    MUST(lore_batch_create(store, &batch));
    for (uint64_t i = 0; i < WRITES * scale; i++) {
        write_pairs(worker, batch);
        atomic_store(&acknowledged[worker->index], worker->mark);
        check_own_writes(worker, &buffer);
    }
    lore_batch_destroy(batch);
    lore_buffer_free(&buffer);
    atomic_fetch_sub(&writers_left, 1);
}

/* ---- pairs: reading ---- */

struct pairs {
    char keys[PAIRS_MAX][32];
    uint64_t numbers[PAIRS_MAX];
    size_t count;
};

static void take_pair(const lore_iter *iter, lore_iter *values, struct pairs *pairs) {
    CHECK(pairs->count < PAIRS_MAX);
    lore_slice key = lore_iter_key(iter), value;
    CHECK(key.size < 32);
    memset(pairs->keys[pairs->count], 0, 32);
    memcpy(pairs->keys[pairs->count], key.data, key.size);
    MUST(lore_iter_value(values, &value));
    pairs->numbers[pairs->count++] = value_number(value);
}

static void walk_pairs(const lore_snapshot *snapshot, lore_keyspace keyspace, struct pairs *pairs) {
    lore_iter *iter;
    pairs->count = 0;
    MUST(lore_iter_create(store, snapshot, keyspace, NULL, &iter));
    for (MUST(lore_iter_seek_first(iter)); lore_iter_valid(iter); MUST(lore_iter_next(iter)))
        take_pair(iter, iter, pairs);
    lore_iter_destroy(iter);
    for (size_t i = 1; i < pairs->count; i++)
        CHECK(strcmp(pairs->keys[i - 1], pairs->keys[i]) < 0);
}

static void check_same(const struct pairs *a, const struct pairs *b) {
    CHECK(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        CHECK(strcmp(a->keys[i], b->keys[i]) == 0);
        CHECK(a->numbers[i] == b->numbers[i]);
    }
}

static void check_backward(const lore_snapshot *snapshot, const struct pairs *pairs) {
    lore_iter *iter;
    size_t left = pairs->count;
    MUST(lore_iter_create(store, snapshot, PAIRS_B, NULL, &iter));
    for (MUST(lore_iter_seek_last(iter)); lore_iter_valid(iter); MUST(lore_iter_prev(iter))) {
        CHECK(left > 0);
        lore_slice key = lore_iter_key(iter);
        left--;
        CHECK(key.size == strlen(pairs->keys[left]) &&
              memcmp(key.data, pairs->keys[left], key.size) == 0);
    }
    CHECK(left == 0);
    lore_iter_destroy(iter);
}

/* A slow walk here and there: flushes and compactions happen between two steps. */
static void check_jumps(struct worker *worker, const lore_snapshot *snapshot,
                        const struct pairs *pairs) {
    lore_iter *iter;
    if (pairs->count == 0) return;
    MUST(lore_iter_create(store, snapshot, PAIRS_A, NULL, &iter));
    size_t at = random_below(&worker->random, pairs->count);
    MUST(lore_iter_seek(iter, lore_slice_of(pairs->keys[at])));
    for (unsigned i = 0; i < 40; i++) {
        lore_slice value;
        CHECK(lore_iter_valid(iter));
        CHECK(lore_iter_key(iter).size == strlen(pairs->keys[at]));
        CHECK(memcmp(lore_iter_key(iter).data, pairs->keys[at], lore_iter_key(iter).size) == 0);
        MUST(lore_iter_value(iter, &value));
        CHECK(value_number(value) == pairs->numbers[at]);
        uint64_t dice = random_below(&worker->random, 10);
        if (dice < 4 && at + 1 < pairs->count) {
            at++;
            MUST(lore_iter_next(iter));
        } else if (dice < 8 && at > 0) {
            at--;
            MUST(lore_iter_prev(iter));
        } else {
            at = random_below(&worker->random, pairs->count);
            MUST(dice % 2 == 0 ? lore_iter_seek(iter, lore_slice_of(pairs->keys[at]))
                               : lore_iter_seek_back(iter, lore_slice_of(pairs->keys[at])));
        }
        if (i % 8 == 0) sleep_us(200);
    }
    lore_iter_destroy(iter);
}

static void check_gets(struct worker *worker, const lore_snapshot *snapshot,
                       const struct pairs *pairs, lore_buffer *buffer) {
    char key[32];
    for (unsigned i = 0; i < 8; i++) {
        unsigned writer = (unsigned)random_below(&worker->random, WRITERS);
        lore_slice name =
            pair_key(writer, (unsigned)random_below(&worker->random, KEYS_PER_WRITER), key);
        uint64_t wanted = 0;
        for (size_t j = 0; j < pairs->count; j++)
            if (strcmp(pairs->keys[j], key) == 0) wanted = pairs->numbers[j];
        CHECK(read_number(snapshot, PAIRS_A, name, buffer) == wanted);
        CHECK(read_number(snapshot, PAIRS_B, name, buffer) == wanted);
    }
}

/* `marks` is what this thread has seen so far, or NULL for a snapshot of any age. */
static void check_pairs(struct worker *worker, const lore_snapshot *snapshot,
                        const uint64_t at_least[WRITERS], lore_buffer *buffer) {
    struct pairs *first = malloc(sizeof *first), *second = malloc(sizeof *second);
    CHECK(first != NULL && second != NULL);
    uint64_t marks[WRITERS];
    char key[32];
    for (unsigned w = 0; w < WRITERS; w++) {
        marks[w] = read_number(snapshot, MARKS, mark_key(w, key), buffer);
        if (at_least != NULL) CHECK(marks[w] >= at_least[w]);
    }
    walk_pairs(snapshot, PAIRS_A, first);
    walk_pairs(snapshot, PAIRS_B, second);
    check_same(first, second);
    for (size_t i = 0; i < first->count; i++)
        CHECK(first->numbers[i] <= marks[first->keys[i][1] - '0']);
    check_backward(snapshot, first);
    check_jumps(worker, snapshot, first);
    check_gets(worker, snapshot, first, buffer);
    walk_pairs(snapshot, PAIRS_A, second);
    check_same(first, second);
    free(first);
    free(second);
    atomic_fetch_add(&checks_done, 1);
}

static void pair_reader(struct worker *worker) {
    lore_buffer buffer = {0};
    uint64_t floors[WRITERS] = {0};
    char key[32];
    do {
        for (unsigned w = 0; w < WRITERS; w++) {
            uint64_t number = atomic_load(&acknowledged[w]);
            if (number > floors[w]) floors[w] = number;
        }
        lore_snapshot *snapshot;
        MUST(lore_snapshot_create(store, &snapshot));
        check_pairs(worker, snapshot, floors, &buffer);
        for (unsigned w = 0; w < WRITERS; w++) {
            uint64_t seen = read_number(snapshot, MARKS, mark_key(w, key), &buffer);
            if (seen > floors[w]) floors[w] = seen;
        }
        lore_snapshot_release(snapshot);
    } while (atomic_load(&writers_left) > 0);
    lore_buffer_free(&buffer);
}

static bool count_snapshot(void *context, const lore_snapshot_info *info) {
    CHECK(info->name.size > 0); /* its sequence may be 0: no writer has begun yet */
    ++*(unsigned *)context;
    return true;
}

static void snapshot_keeper(struct worker *worker) {
    lore_buffer buffer = {0};
    unsigned round = 0;
    do {
        char name[32];
        uint64_t floors[WRITERS];
        snprintf(name, sizeof name, "s%u", round++);
        for (unsigned w = 0; w < WRITERS; w++)
            floors[w] = atomic_load(&acknowledged[w]);
        MUST(lore_snapshot_save(store, name));
        MUST_BE(lore_snapshot_save(store, name), LORE_EXISTS);
        lore_snapshot *snapshot;
        MUST(lore_snapshot_open(store, name, &snapshot));
        check_pairs(worker, snapshot, floors, &buffer);
        unsigned count = 0;
        MUST(lore_snapshot_list(store, count_snapshot, &count));
        CHECK(count >= 1);
        MUST(lore_snapshot_drop(store, name));
        /* Open still, so it keeps what it needs. */
        check_pairs(worker, snapshot, floors, &buffer);
        lore_snapshot_release(snapshot);
        MUST_BE(lore_snapshot_drop(store, name), LORE_NOT_FOUND);
    } while (atomic_load(&writers_left) > 0);
    lore_buffer_free(&buffer);
}

/* ---- memories ---- */

struct memory_text {
    char id[16], text[64], kind[8];
    float vector[4];
    lore_embedding embedding;
    lore_memory memory;
};

static void make_memory(struct memory_text *made, unsigned id, uint64_t number) {
    lore_memory_init(&made->memory);
    snprintf(made->id, sizeof made->id, "m%02u", id);
    snprintf(made->text, sizeof made->text, "%" PRIu64, number);
    snprintf(made->kind, sizeof made->kind, "k%u", (unsigned)(number % KINDS));
    made->vector[0] = (float)(number % 1000);
    made->vector[1] = made->vector[2] = made->vector[3] = 1;
    made->embedding = (lore_embedding){lore_slice_of(SPACE), {made->vector, sizeof made->vector}};
    made->memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) |
                          LORE_FIELD(LORE_ATTR_KIND) | LORE_FIELD(LORE_ATTR_METADATA);
    made->memory.id = lore_slice_of(made->id);
    made->memory.text = lore_slice_of(made->text);
    made->memory.metadata = lore_slice_of(made->text);
    made->memory.kind = lore_slice_of(made->kind);
    made->memory.embeddings = &made->embedding;
    made->memory.embeddings_count = 1;
}

static void memory_writer(struct worker *worker) {
    for (uint64_t i = 0; i < MEMORY_WRITES * scale; i++) {
        struct memory_text made;
        unsigned id = (unsigned)random_below(&worker->random, MEMORIES);
        make_memory(&made, id, 1 + random_below(&worker->random, 1000000));
        uint64_t dice = random_below(&worker->random, 100);
        if (dice < 45) {
            made.memory.fields |= LORE_FIELD(LORE_ATTR_SESSION);
            made.memory.session_id = lore_slice_of("talk");
            MUST(lore_memory_put(store, &made.memory, 1, LORE_PUT_REPLACE, NULL));
        } else {
            lore_status status = dice < 85 ? lore_memory_update(store, &made.memory)
                                           : lore_memory_delete(store, made.memory.id);
            if (status != LORE_NOT_FOUND) MUST_BE(status, LORE_OK);
        }
    }
    atomic_fetch_sub(&writers_left, 1);
}

static uint64_t check_memory(const lore_memory *memory) {
    char text[64] = "", kind[8];
    CHECK(memory->text.size > 0 && memory->text.size < sizeof text);
    memcpy(text, memory->text.data, memory->text.size);
    uint64_t number = strtoull(text, NULL, 10);
    CHECK(memory->metadata.size == memory->text.size);
    CHECK(memcmp(memory->metadata.data, text, memory->text.size) == 0);
    int kind_size = snprintf(kind, sizeof kind, "k%u", (unsigned)(number % KINDS));
    CHECK(memory->kind.size == (size_t)kind_size);
    CHECK(memcmp(memory->kind.data, kind, memory->kind.size) == 0);
    return number;
}

static uint64_t walk_memories(const lore_snapshot *snapshot, uint64_t by_kind[KINDS]) {
    lore_memory_iter *iter;
    lore_record *record;
    uint64_t count = 0;
    memset(by_kind, 0, KINDS * sizeof *by_kind);
    MUST(lore_memory_iter_create(store, snapshot, LORE_READ_EMBEDDINGS, &iter));
    for (;;) {
        MUST(lore_memory_iter_next(iter, &record));
        if (record == NULL) break;
        const lore_memory *memory = lore_record_memory(record);
        uint64_t number = check_memory(memory);
        CHECK(memory->embeddings_count == 1 && memory->embeddings[0].data.size == 16);
        float vector[4];
        memcpy(vector, memory->embeddings[0].data.data, sizeof vector);
        CHECK((uint64_t)vector[0] == number % 1000);
        by_kind[number % KINDS]++;
        count++;
        lore_record_destroy(record);
    }
    lore_memory_iter_destroy(iter);
    return count;
}

static bool add_value(void *context, lore_slice value, uint64_t count) {
    CHECK(value.size == 2 && count > 0);
    *(uint64_t *)context += count;
    return true;
}

static void check_indexes(const lore_snapshot *snapshot, uint64_t count,
                          const uint64_t by_kind[KINDS]) {
    uint64_t found = 0, summed = 0;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        char text[8];
        snprintf(text, sizeof text, "k%u", kind);
        lore_filter filter = {
            .attribute = LORE_ATTR_KIND, .op = LORE_FILTER_EQ, .text = lore_slice_of(text)};
        lore_query query;
        lore_query_init(&query);
        query.filters = &filter;
        query.filters_count = 1;
        MUST(lore_count(store, snapshot, &query, &found));
        CHECK(found == by_kind[kind]);
    }
    MUST(lore_values(store, snapshot, LORE_ATTR_KIND, add_value, &summed));
    CHECK(summed == count);
}

static void check_nearest(struct worker *worker, const lore_snapshot *snapshot, uint64_t count) {
    float wanted[4] = {(float)random_below(&worker->random, 1000), 1, 1, 1};
    lore_query query;
    lore_results *results;
    lore_query_init(&query);
    query.space = SPACE;
    query.vector = (lore_slice){wanted, sizeof wanted};
    query.limit = 7;
    query.flags = LORE_READ_NO_ACCESS;
    MUST(lore_search(store, snapshot, &query, &results));
    CHECK(lore_results_count(results) == (count < 7 ? count : 7));
    float before = 0;
    for (size_t i = 0; i < lore_results_count(results); i++) {
        lore_hit hit = lore_results_hit(results, i);
        float away = (float)(check_memory(hit.memory) % 1000) - wanted[0];
        CHECK(!(hit.distance < away * away) && !(hit.distance > away * away));
        CHECK(hit.distance >= before);
        before = hit.distance;
    }
    lore_results_destroy(results);
}

static void check_chat(const lore_snapshot *snapshot, uint64_t count) {
    lore_chat_query query;
    lore_results *results;
    lore_chat_query_init(&query);
    query.session_id = lore_slice_of("talk");
    MUST(lore_chat(store, snapshot, &query, &results));
    CHECK(lore_results_count(results) == count);
    for (size_t i = 1; i < lore_results_count(results); i++)
        CHECK(lore_results_hit(results, i - 1).memory->position <
              lore_results_hit(results, i).memory->position);
    lore_results_destroy(results);
}

static void memory_reader(struct worker *worker) {
    do {
        lore_snapshot *snapshot;
        uint64_t by_kind[KINDS], again[KINDS];
        MUST(lore_snapshot_create(store, &snapshot));
        uint64_t count = walk_memories(snapshot, by_kind);
        check_indexes(snapshot, count, by_kind);
        check_nearest(worker, snapshot, count);
        check_chat(snapshot, count);
        CHECK(walk_memories(snapshot, again) == count);
        CHECK(memcmp(again, by_kind, sizeof again) == 0);
        lore_snapshot_release(snapshot);
        char id[16];
        lore_record *record;
        snprintf(id, sizeof id, "m%02u", (unsigned)random_below(&worker->random, MEMORIES));
        lore_status status = lore_memory_get(store, NULL, lore_slice_of(id), 0, &record);
        if (status != LORE_NOT_FOUND) {
            MUST_BE(status, LORE_OK);
            (void)check_memory(lore_record_memory(record));
            lore_record_destroy(record);
        }
        atomic_fetch_add(&checks_done, 1);
    } while (atomic_load(&writers_left) > 0);
}

/* ---- maintenance ---- */

static bool stop_soon(void *context, const lore_progress *progress) {
    (void)progress;
    return --*(int *)context > 0;
}

static void maintainer(struct worker *worker) {
    lore_buffer buffer = {0};
    do {
        uint64_t dice = random_below(&worker->random, 100);
        if (dice < 40) {
            MUST(lore_flush(store));
        } else if (dice < 60) {
            MUST(lore_compact(store, NULL, NULL));
        } else if (dice < 70) {
            int steps = 2;
            lore_status status = lore_compact(store, stop_soon, &steps);
            if (status != LORE_OK) MUST_BE(status, LORE_CANCELLED);
        } else if (dice < 80) {
            MUST(lore_sync(store));
        } else if (dice < 88) {
            verify_clean(store);
        } else {
            lore_stats stats = {.struct_size = sizeof stats};
            MUST(lore_stats_get(store, &stats));
            CHECK(stats.poisoned == LORE_OK && stats.quarantined == 0);
            MUST(lore_note_put(store, "note", lore_slice_of("kept")));
            MUST(lore_note_get(store, "note", &buffer));
            CHECK(buffer.size == 4);
        }
        sleep_us(random_below(&worker->random, 20000));
    } while (atomic_load(&writers_left) > 0);
    lore_buffer_free(&buffer);
}

/* ---- all at once ---- */

static void *worker_main(void *context) {
    struct worker *worker = context;
    worker->run(worker);
    return NULL;
}

static void start(struct worker *worker, void (*run)(struct worker *), unsigned index) {
    static uint64_t started;
    worker->run = run;
    worker->index = index;
    worker->random = seed + ++started * 1000003;
    CHECK(pthread_create(&worker->thread, NULL, worker_main, worker) == 0);
}

static void check_final(struct worker *writers) {
    lore_buffer buffer = {0};
    char key[32];
    for (unsigned w = 0; w < WRITERS; w++) {
        for (unsigned k = 0; k < KEYS_PER_WRITER; k++) {
            lore_slice name = pair_key(w, k, key);
            CHECK(read_number(NULL, PAIRS_A, name, &buffer) == writers[w].numbers[k]);
            CHECK(read_number(NULL, PAIRS_B, name, &buffer) == writers[w].numbers[k]);
        }
        CHECK(read_number(NULL, MARKS, mark_key(w, key), &buffer) == writers[w].mark);
    }
    lore_buffer_free(&buffer);
    verify_clean(store);
}

static void everything_at_once(lore_durability durability) {
    enum { ALL = WRITERS + MEMORY_WRITERS + 5 };
    static struct worker workers[ALL];
    memset(workers, 0, sizeof workers);
    atomic_store(&writers_left, WRITERS + MEMORY_WRITERS);
    for (unsigned w = 0; w < WRITERS; w++)
        atomic_store(&acknowledged[w], 0);
    open_store(durability);
    lore_space_spec spec = {4, LORE_ELEMENT_F32, LORE_METRIC_L2, {NULL, 0}};
    MUST(lore_space_create(store, SPACE, &spec));
    unsigned next = 0;
    for (unsigned w = 0; w < WRITERS; w++)
        start(&workers[next++], pair_writer, w);
    for (unsigned w = 0; w < MEMORY_WRITERS; w++)
        start(&workers[next++], memory_writer, w);
    start(&workers[next++], pair_reader, 0);
    start(&workers[next++], pair_reader, 1);
    start(&workers[next++], memory_reader, 0);
    start(&workers[next++], snapshot_keeper, 0);
    start(&workers[next++], maintainer, 0);
    CHECK(next == ALL);
    for (unsigned i = 0; i < next; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    check_final(workers);
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    CHECK(stats.snapshots_open == 0 && stats.iterators_open == 0 && stats.snapshots_named == 0);
    printf("%" PRIu64 " commits in %" PRIu64 " groups, %" PRIu64 " flushes, %" PRIu64
           " compactions, %" PRIu64 " rounds of checks\n",
           stats.commits, stats.groups, stats.flushes, stats.compactions,
           atomic_load(&checks_done));
    MUST(lore_close(store));
    open_store(durability);
    check_final(workers);
    MUST(lore_close(store));
    remove_tree(folder);
}

/* ---- conditional batches ---- */

static _Atomic uint64_t conflicts;

static void raise_counter(unsigned counter, lore_batch *batch, lore_buffer *buffer) {
    char key[32], value[32];
    lore_slice name = {key, (size_t)snprintf(key, sizeof key, "counter-%03u", counter)};
    for (;;) {
        uint64_t sequence = 0, number = 0;
        lore_status status = lore_get(store, NULL, COUNTERS, name, buffer, &sequence);
        if (status == LORE_OK) {
            CHECK(buffer->size < sizeof value);
            memcpy(value, buffer->data, buffer->size);
            value[buffer->size] = '\0';
            number = strtoull(value, NULL, 10);
        } else {
            MUST_BE(status, LORE_NOT_FOUND);
        }
        lore_batch_clear(batch);
        if (status == LORE_OK)
            MUST(lore_batch_require_unchanged(batch, COUNTERS, name, sequence));
        else
            MUST(lore_batch_require_absent(batch, COUNTERS, name));
        if (number % 3 == 0) sched_yield(); /* so that the threads meet */
        int size = snprintf(value, sizeof value, "%" PRIu64, number + 1);
        MUST(lore_batch_put(batch, COUNTERS, name, (lore_slice){value, (size_t)size}));
        status = lore_write(store, batch, NULL);
        if (status == LORE_OK) return;
        MUST_BE(status, LORE_CONFLICT);
        atomic_fetch_add(&conflicts, 1);
    }
}

static void incrementer(struct worker *worker) {
    lore_batch *batch;
    lore_buffer buffer = {0};
    MUST(lore_batch_create(store, &batch));
    for (uint64_t round = 0; round < ROUNDS_OF_ALL * scale; round++)
        for (unsigned i = 0; i < COUNTERS_COUNT; i++)
            raise_counter(i, batch, &buffer);
    lore_batch_destroy(batch);
    lore_buffer_free(&buffer);
    (void)worker;
}

static void counters_lose_nothing(void) {
    struct worker workers[INCREMENTERS] = {0};
    lore_buffer buffer = {0};
    open_store(LORE_SYNC_NONE);
    for (unsigned i = 0; i < INCREMENTERS; i++)
        start(&workers[i], incrementer, i);
    for (unsigned i = 0; i < INCREMENTERS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    for (unsigned i = 0; i < COUNTERS_COUNT; i++) {
        char key[32], value[32] = "";
        lore_slice name = {key, (size_t)snprintf(key, sizeof key, "counter-%03u", i)};
        MUST(lore_get(store, NULL, COUNTERS, name, &buffer, NULL));
        CHECK(buffer.size < sizeof value);
        memcpy(value, buffer.data, buffer.size);
        CHECK(strtoull(value, NULL, 10) == INCREMENTERS * ROUNDS_OF_ALL * scale);
    }
    printf("%u counters raised %" PRIu64 " times each, %" PRIu64 " conflicts on the way\n",
           COUNTERS_COUNT, (uint64_t)(INCREMENTERS * ROUNDS_OF_ALL * scale),
           atomic_load(&conflicts));
    lore_buffer_free(&buffer);
    MUST(lore_close(store));
    remove_tree(folder);
}

/* ---- the same memories from two threads ---- */

#define SHARED_MEMORIES 100

static void updater(struct worker *worker) {
    for (uint64_t i = 0; i < 5 * SHARED_MEMORIES * scale; i++) {
        struct memory_text made;
        /* In the same order in both threads, so that they meet. */
        make_memory(&made, (unsigned)(i % SHARED_MEMORIES),
                    1 + random_below(&worker->random, 5000));
        MUST(lore_memory_update(store, &made.memory));
    }
}

static void memories_keep_one_row(void) {
    struct worker workers[2] = {0};
    open_store(LORE_SYNC_NONE);
    lore_space_spec spec = {4, LORE_ELEMENT_F32, LORE_METRIC_L2, {NULL, 0}};
    MUST(lore_space_create(store, SPACE, &spec));
    for (unsigned i = 0; i < SHARED_MEMORIES; i++) {
        struct memory_text made;
        make_memory(&made, i, i);
        MUST(lore_memory_put(store, &made.memory, 1, LORE_PUT_INSERT, NULL));
    }
    for (unsigned i = 0; i < 2; i++)
        start(&workers[i], updater, i);
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    for (unsigned pass = 0; pass < 3; pass++) {
        uint64_t by_kind[KINDS];
        CHECK(walk_memories(NULL, by_kind) == SHARED_MEMORIES);
        check_indexes(NULL, SHARED_MEMORIES, by_kind);
        check_nearest(&workers[0], NULL, SHARED_MEMORIES);
        verify_clean(store);
        if (pass == 0) MUST(lore_compact(store, NULL, NULL));
        if (pass == 1) {
            MUST(lore_close(store));
            open_store(LORE_SYNC_NONE);
        }
    }
    MUST(lore_close(store));
    remove_tree(folder);
}

int main(int argc, char **argv) {
    seed = seed_of(argc, argv);
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--scale") == 0) scale = strtoull(argv[i + 1], NULL, 10);
    make_folder(folder, "stress");
    everything_at_once(LORE_SYNC_FULL);
    everything_at_once(LORE_SYNC_NONE);
    counters_lose_nothing();
    memories_keep_one_row();
    return 0;
}
