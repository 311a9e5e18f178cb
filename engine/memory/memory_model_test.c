/*
 * Random puts, updates, deletes, reads, flushes, steps of compaction and reopenings, against a
 * naive model: an array of memories. Everything is read and compared again and again, through
 * snapshots too; at the end the set of index entries is exactly the model's and verify is clean.
 * Prints its seed; SEED in the environment runs another.
 */
#include "memory/memory_testing.h"

enum { IDS = 20, WORDS = 4, SPACES = 2, OPERATIONS = 1500, TEXT_BYTES = 3000 };

static const lore_attribute words_of[] = {LORE_ATTR_KIND,    LORE_ATTR_LAYER, LORE_ATTR_TIER,
                                          LORE_ATTR_STATUS,  LORE_ATTR_USER,  LORE_ATTR_AGENT,
                                          LORE_ATTR_SESSION, LORE_ATTR_ROLE,  LORE_ATTR_METADATA};
enum { TEXTS = sizeof words_of / sizeof words_of[0], SESSION_AT = 6, TIER_AT = 2, STATUS_AT = 3 };
static const char *const words[WORDS] = {"", "one", "two\1", "one more"};
static const char *const space_names[SPACES] = {"f32", "bits"};

struct model_memory {
    bool live;
    unsigned text; /* which text */
    const char *word[TEXTS];
    unsigned tags; /* bits: words 0..3 */
    double importance;
    int64_t created_us, updated_us, expires_us;
    uint64_t position;
    uint64_t count;
    int64_t last_us; /* set, not counted; -1: not known */
    bool has[SPACES];
    uint8_t vector[SPACES][12];
};

struct model {
    struct model_memory memories[IDS];
    uint64_t next[WORDS], members[WORDS]; /* of each session */
};

struct history {
    struct test_store self;
    struct model model;
    uint64_t seed, started_with;
    lore_snapshot *snapshot;
    struct model at_snapshot;
    char text[TEXT_BYTES];
};

static uint64_t pick(struct history *run, uint64_t n) {
    return test_random(&run->seed) % n;
}

static lore_slice id_of(unsigned i, char room[8]) {
    int size = snprintf(room, 8, "id %02u", i);
    return slice(room, (size_t)size);
}

/* Text n: its number, many times; some are long enough for a blob file. */
static lore_slice text_of(struct history *run, unsigned n) {
    memset(run->text, 'a' + (int)(n % 26), TEXT_BYTES);
    put_be32((uint8_t *)run->text, n);
    return slice(run->text, n % 3 == 0 ? TEXT_BYTES : 4 + n % 50);
}

static unsigned session_of(const struct model_memory *memory) {
    for (unsigned w = 0; w < WORDS; w++)
        if (memory->word[SESSION_AT] == words[w]) return w;
    return 0;
}

static void make_blank(struct model_memory *memory) {
    *memory = (struct model_memory){.importance = 0.5};
    for (size_t t = 0; t < TEXTS; t++)
        memory->word[t] = "";
    memory->word[TIER_AT] = "working";
    memory->word[STATUS_AT] = "active";
}

/* ---- what a call gives ---- */

struct given {
    lore_memory memory;
    lore_slice tags[WORDS];
    lore_embedding embeddings[SPACES];
    uint8_t vectors[SPACES][12];
    char id[8];
    char text[TEXT_BYTES];
};

/* Random fields; what they do to `next` too. */
static void give(struct history *run, struct given *given, unsigned id, struct model_memory *next) {
    lore_memory *memory = &given->memory;
    lore_memory_init(memory);
    memory->id = id_of(id, given->id);
    memory->fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_UPDATED_AT);
    memory->updated_at_us = next->updated_us = (int64_t)pick(run, 100);
    for (size_t t = 0; t < TEXTS; t++) {
        if (pick(run, 3) == 0) continue;
        next->word[t] = words[pick(run, WORDS)];
        give_text(memory, words_of[t], next->word[t]);
    }
    if (pick(run, 3) == 0) {
        memory->fields |= LORE_FIELD(LORE_ATTR_TEXT);
        next->text = (unsigned)pick(run, 12);
        lore_slice text = text_of(run, next->text);
        memcpy(given->text, text.data, text.size);
        memory->text = slice(given->text, text.size);
    }
    if (pick(run, 3) == 0) {
        memory->fields |= LORE_FIELD(LORE_ATTR_TAGS);
        next->tags = (unsigned)pick(run, 1u << WORDS);
        for (unsigned w = 0; w < WORDS; w++)
            if ((next->tags & (1u << w)) != 0)
                given->tags[memory->tags_count++] = lore_slice_of(words[w]);
        memory->tags = given->tags;
    }
    if (pick(run, 3) == 0) {
        memory->fields |= LORE_FIELD(LORE_ATTR_IMPORTANCE);
        memory->importance_score = next->importance = (double)pick(run, 5) / 4;
    }
    if (pick(run, 3) == 0) {
        memory->fields |= LORE_FIELD(LORE_ATTR_EXPIRES_AT);
        memory->expires_at_us = next->expires_us = pick(run, 3) == 0 ? 1 : 0;
    }
    if (pick(run, 4) == 0) {
        memory->fields |=
            LORE_FIELD(LORE_ATTR_ACCESS_COUNT) | LORE_FIELD(LORE_ATTR_LAST_ACCESSED_AT);
        memory->access_count = next->count = pick(run, 9);
        memory->last_accessed_at_us = next->last_us = (int64_t)pick(run, 9);
    }
    memory->embeddings = given->embeddings;
    for (unsigned s = 0; s < SPACES; s++) {
        if (pick(run, 3) != 0) continue;
        for (size_t i = 0; i < 12; i++)
            given->vectors[s][i] = (uint8_t)(pick(run, 256) & 0x7b);
        memcpy(next->vector[s], given->vectors[s], 12);
        next->has[s] = true;
        given->embeddings[memory->embeddings_count++] = (lore_embedding){
            lore_slice_of(space_names[s]), slice(given->vectors[s], s == 0 ? 12 : 2)};
    }
}

/* The model's sessions: from old to next. */
static void move(struct history *run, struct given *given, const struct model_memory *old,
                 struct model_memory *next) {
    unsigned from = old != NULL && old->live ? session_of(old) : 0, to = session_of(next);
    if (to != 0 && pick(run, 3) == 0) {
        given->memory.fields |= LORE_FIELD(LORE_ATTR_POSITION);
        given->memory.position = next->position = pick(run, 30);
    } else if (to == 0) {
        next->position = 0;
    } else {
        next->position = from == to ? old->position : run->model.next[to];
    }
    if (from != to && from != 0 && --run->model.members[from] == 0) run->model.next[from] = 0;
    if (from != to && to != 0) run->model.members[to]++;
    if (to != 0 && next->position >= run->model.next[to]) run->model.next[to] = next->position + 1;
}

/* ---- operations ---- */

static void put(struct history *run) {
    static struct given given[4];
    lore_memory memories[4] = {{0}};
    size_t count = 1 + pick(run, 4);
    unsigned first = (unsigned)pick(run, IDS);
    bool insert = pick(run, 4) == 0, exists = false;
    struct model before = run->model;
    for (size_t i = 0; i < count; i++) {
        unsigned id = (first + (unsigned)i * 3) % IDS;
        struct model_memory *old = &run->model.memories[id], next;
        exists = exists || old->live;
        given[i] = (struct given){0};
        make_blank(&next);
        next.live = true;
        next.created_us = -1;
        if (old->live) {
            next.created_us = old->created_us;
            next.count = old->count;
            next.last_us = old->last_us;
        }
        give(run, &given[i], id, &next);
        if (!old->live || pick(run, 2) == 0) {
            given[i].memory.fields |= LORE_FIELD(LORE_ATTR_CREATED_AT);
            given[i].memory.created_at_us = next.created_us = (int64_t)pick(run, 100) - 50;
        }
        if ((given[i].memory.fields & LORE_FIELD(LORE_ATTR_TEXT)) == 0) next.text = UINT32_MAX;
        move(run, &given[i], old, &next);
        *old = next;
        memories[i] = given[i].memory;
    }
    lore_status status = lore_memory_put(run->self.store, memories, count,
                                         insert ? LORE_PUT_INSERT : LORE_PUT_REPLACE, NULL);
    assert_status(status, insert && exists ? LORE_EXISTS : LORE_OK);
    if (status != LORE_OK) run->model = before;
}

static void update(struct history *run) {
    static struct given given;
    unsigned id = (unsigned)pick(run, IDS);
    struct model_memory *old = &run->model.memories[id], next = *old;
    struct model before = run->model;
    given = (struct given){0};
    if (!old->live) make_blank(&next);
    give(run, &given, id, &next);
    move(run, &given, old, &next);
    lore_status status = lore_memory_update(run->self.store, &given.memory);
    assert_status(status, old->live ? LORE_OK : LORE_NOT_FOUND);
    if (status == LORE_OK)
        *old = next;
    else
        run->model = before;
}

static void delete_one(struct history *run) {
    char room[8];
    unsigned id = (unsigned)pick(run, IDS), s = (unsigned)pick(run, SPACES);
    struct model_memory *old = &run->model.memories[id];
    if (pick(run, 2) == 0) {
        lore_status status =
            lore_embedding_delete(run->self.store, id_of(id, room), space_names[s]);
        assert_status(status, old->live && old->has[s] ? LORE_OK : LORE_NOT_FOUND);
        if (status != LORE_OK) return;
        old->has[s] = false;
        old->updated_us = -1; /* now */
        return;
    }
    assert_status(lore_memory_delete(run->self.store, id_of(id, room)),
                  old->live ? LORE_OK : LORE_NOT_FOUND);
    unsigned from = session_of(old);
    if (old->live && from != 0 && --run->model.members[from] == 0) run->model.next[from] = 0;
    make_blank(old);
}

static void access(struct history *run) {
    char room[8];
    unsigned id = (unsigned)pick(run, IDS);
    struct model_memory *old = &run->model.memories[id];
    lore_record *record;
    lore_status status = lore_memory_get(run->self.store, NULL, id_of(id, room), 0, &record);
    assert_status(status, old->live && old->expires_us == 0 ? LORE_OK : LORE_NOT_FOUND);
    if (status != LORE_OK) return;
    lore_record_destroy(record);
    old->count++;
    old->last_us = -1;
}

/* ---- comparing ---- */

static void compare_embeddings(const lore_memory *there, const struct model_memory *memory) {
    size_t count = 0;
    for (unsigned s = 0; s < SPACES; s++) {
        if (!memory->has[s]) continue;
        const lore_embedding *embedding = &there->embeddings[count++];
        assert_slice_equal(embedding->space, lore_slice_of(space_names[s]));
        assert_slice_equal(embedding->data, slice(memory->vector[s], s == 0 ? 12 : 2));
    }
    assert_int_equal(there->embeddings_count, count);
}

static void compare_memory(struct history *run, const lore_memory *there,
                           const struct model_memory *memory) {
    assert_slice_equal(there->text,
                       memory->text == UINT32_MAX ? slice(NULL, 0) : text_of(run, memory->text));
    for (size_t t = 0; t < TEXTS; t++)
        assert_slice_equal(memory_text_of(there, words_of[t]), lore_slice_of(memory->word[t]));
    size_t tags = 0;
    for (unsigned w = 0; w < WORDS; w++)
        if ((memory->tags & (1u << w)) != 0)
            assert_slice_equal(there->tags[tags++], lore_slice_of(words[w]));
    assert_int_equal(there->tags_count, tags);
    assert_true(there->importance_score == memory->importance);
    assert_int_equal(there->created_at_us, memory->created_us);
    if (memory->updated_us >= 0) assert_int_equal(there->updated_at_us, memory->updated_us);
    assert_int_equal(there->expires_at_us, memory->expires_us);
    assert_int_equal(there->position, memory->position);
    compare_embeddings(there, memory);
}

static void compare(struct history *run, const lore_snapshot *snapshot, const struct model *model) {
    unsigned flags = LORE_READ_EXPIRED | LORE_READ_NO_ACCESS | LORE_READ_EMBEDDINGS;
    lore_memory_iter *iter;
    assert_ok(lore_memory_iter_create(run->self.store, snapshot, flags, &iter));
    for (unsigned id = 0; id < IDS; id++) {
        char room[8];
        const struct model_memory *memory = &model->memories[id];
        lore_record *record = NULL, *next = NULL;
        lore_status status =
            lore_memory_get(run->self.store, snapshot, id_of(id, room), flags, &record);
        assert_status(status, memory->live ? LORE_OK : LORE_NOT_FOUND);
        if (!memory->live) continue;
        const lore_memory *there = lore_record_memory(record);
        compare_memory(run, there, memory);
        if (snapshot == NULL) {
            assert_int_equal(there->access_count, memory->count);
            if (memory->last_us >= 0) assert_int_equal(there->last_accessed_at_us, memory->last_us);
        }
        assert_ok(lore_memory_iter_next(iter, &next));
        assert_non_null(next);
        assert_int_equal(lore_record_row(next), lore_record_row(record));
        lore_record_destroy(next);
        lore_record_destroy(record);
    }
    lore_record *end;
    assert_ok(lore_memory_iter_next(iter, &end));
    assert_null(end);
    lore_memory_iter_destroy(iter);
}

/* ---- the set of index entries, worked out from the model ---- */

static void expect_key(struct history *run, struct bytes *key, uint64_t row, uint64_t *count) {
    struct store_read reading;
    struct lookup lookup;
    assert_ok(append_be64(key, row));
    assert_ok(store_read_begin(run->self.store, NULL, &reading));
    assert_ok(store_get(run->self.store, &reading, bytes_slice(key), &lookup, NULL));
    store_read_end(run->self.store, &reading);
    assert_true(lookup.found);
    ++*count;
}

static void check_index_set(struct history *run) {
    struct bytes key = bytes_empty(env_posix()->allocator);
    uint64_t count = 0, sessions = 0, live = 0, vectors = 0;
    for (unsigned id = 0; id < IDS; id++) {
        char room[8];
        const struct model_memory *memory = &run->model.memories[id];
        if (!memory->live) continue;
        live++;
        id_of(id, room);
        lore_record *record = NULL;
        assert_ok(lore_memory_get(run->self.store, NULL, id_of(id, room),
                                  LORE_READ_EXPIRED | LORE_READ_NO_ACCESS, &record));
        uint64_t row = lore_record_row(record);
        int64_t updated_us = lore_record_memory(record)->updated_at_us;
        lore_record_destroy(record);
        for (size_t t = 0; t < TEXTS; t++) {
            if (words_of[t] == LORE_ATTR_METADATA || memory->word[t][0] == '\0') continue;
            assert_ok(key_index_text(&key, words_of[t], lore_slice_of(memory->word[t])));
            expect_key(run, &key, row, &count);
        }
        for (unsigned w = 0; w < WORDS; w++) {
            if ((memory->tags & (1u << w)) == 0) continue;
            assert_ok(key_index_text(&key, LORE_ATTR_TAGS, lore_slice_of(words[w])));
            expect_key(run, &key, row, &count);
        }
        assert_ok(key_index_number(&key, LORE_ATTR_IMPORTANCE, memory->importance));
        expect_key(run, &key, row, &count);
        const int64_t times[3] = {memory->created_us, updated_us, memory->expires_us};
        const lore_attribute of[3] = {LORE_ATTR_CREATED_AT, LORE_ATTR_UPDATED_AT,
                                      LORE_ATTR_EXPIRES_AT};
        for (size_t i = 0; i < 3; i++) {
            if (times[i] == 0) continue;
            assert_ok(key_index_integer(&key, of[i], times[i]));
            expect_key(run, &key, row, &count);
        }
        if (session_of(memory) != 0) {
            assert_ok(key_session(&key, lore_slice_of(memory->word[SESSION_AT]), memory->position));
            expect_key(run, &key, row, &sessions);
        }
        for (unsigned s = 0; s < SPACES; s++)
            vectors += memory->has[s] ? 1 : 0;
    }
    bytes_free(&key);
    assert_int_equal(count_keys(run->self.store, KEYSPACE_INDEX), count);
    assert_int_equal(count_keys(run->self.store, KEYSPACE_SESSION), sessions);
    assert_int_equal(count_keys(run->self.store, KEYSPACE_VECTORS), vectors);
    assert_int_equal(count_keys(run->self.store, KEYSPACE_ID), live);
    assert_int_equal(count_keys(run->self.store, KEYSPACE_RECORD), 2 * live);
    assert_verified(run->self.store, live);
}

/* ---- the run ---- */

static void release_snapshot(struct history *run) {
    lore_snapshot_release(run->snapshot);
    run->snapshot = NULL;
}

static void maintain(struct history *run) {
    bool more;
    switch (pick(run, 5)) {
    case 0: assert_ok(lore_flush(run->self.store)); break;
    case 1:
        release_snapshot(run);
        test_store_reopen(&run->self);
        break;
    case 2:
        if (pick(run, 4) == 0) assert_ok(lore_compact(run->self.store, NULL, NULL));
        break;
    case 3:
        release_snapshot(run);
        assert_ok(lore_snapshot_create(run->self.store, &run->snapshot));
        run->at_snapshot = run->model;
        break;
    default: assert_ok(lore_step(run->self.store, 1 + pick(run, 65536), &more));
    }
}

static void operate(struct history *run) {
    uint64_t choice = pick(run, 20);
    if (choice < 6)
        put(run);
    else if (choice < 12)
        update(run);
    else if (choice < 15)
        delete_one(run);
    else if (choice < 18)
        access(run);
    else
        maintain(run);
}

static void random_operations(void **state) {
    (void)state;
    static struct history run;
    const char *given = getenv("SEED");
    run.seed = given == NULL ? 7 : strtoull(given, NULL, 10);
    print_message("seed %llu\n", (unsigned long long)run.seed);
    test_store_init(&run.self, LORE_BACKGROUND_STEPS);
    for (unsigned id = 0; id < IDS; id++)
        make_blank(&run.model.memories[id]);
    create_spaces(run.self.store);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        operate(&run);
        if (i % 20 == 0) compare(&run, NULL, &run.model);
        if (i % 50 == 0 && run.snapshot != NULL) compare(&run, run.snapshot, &run.at_snapshot);
        if (i % 300 == 0) check_index_set(&run);
    }
    release_snapshot(&run);
    compare(&run, NULL, &run.model);
    check_index_set(&run);
    assert_ok(lore_compact(run.self.store, NULL, NULL));
    compare(&run, NULL, &run.model);
    check_index_set(&run);
    assert_int_equal(count_keys(run.self.store, KEYSPACE_DEAD), 0);
    test_store_deinit(&run.self);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
