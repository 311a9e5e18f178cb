/*
 * metamorphic_test.c - one history under many sets of options: what a reader sees must not depend
 * on memtables, blocks, tables, tiers, thresholds, who runs the background, or when the store was
 * opened anew.
 *
 *   metamorphic_test [--seed N] [--operations N]
 *
 * Every set applies the same operations from the same seed: puts with values around every set's
 * blob threshold, empty, short and longest keys, keys that end in 0xff, deletes, range deletes,
 * batches over two keyspaces, memories, snapshots open and named. At marks in the history all is
 * rendered: each keyspace forward, backward, by prefix, by get, and at the snapshots that are out.
 * The renderings are digests, and those of the first set are what the others must come to. The last
 * sets are drawn by the seed, and drawn anew at each opening.
 */
#include "support.h"
#include "base/digest.h"

#define MARKS     6u
#define KEYS      600u
#define SNAPSHOTS 3u
#define MEMORIES  40u

struct option_set {
    const char *name;
    uint64_t memory_budget;
    uint32_t memtable_bytes, block_bytes, table_bytes_max, blob_threshold_bytes, fan_in, files_max;
    lore_compression compression;
    lore_background background;
    uint32_t reopen_every, step_every, compact_every; /* operations; 0: never */
};

#define KIB(n) ((n) << 10)
#define MIB(n) ((n) << 20)
static const struct option_set sets[] = {
    {"defaults", MIB(64u), 0, 4096, 0, 1024, 4, 64, 0, 0, 0, 0, 0},
    {"small", MIB(4u), KIB(64u), 512, KIB(64u), 100, 2, 16, 0, 1, 900, 3, 0},
    {"large blocks, plain", MIB(16u), KIB(128u), 65536, KIB(256u), 1024, 3, 64, 1, 1, 0, 10, 700},
    {"wide", MIB(64u), KIB(64u), 4096, KIB(32u), 5000, 16, 64, 0, 1, 0, 2, 0},
    {"all blobs", MIB(8u), KIB(256u), 1024, KIB(128u), 0, 4, 16, 0, 0, 500, 0, 600},
    {"no blobs", MIB(64u), KIB(100u), 600, KIB(40u), MIB(4u), 2, 32, 0, 0, 1300, 0, 0},
    {"tiny tables", MIB(16u), KIB(64u), 512, KIB(16u), 999, 5, 16, 1, 1, 350, 1, 0},
    {"large memtables", MIB(64u), MIB(4u), 16384, MIB(8u), 1001, 8, 64, 0, 0, 0, 0, 0},
    {"largest memtable", MIB(512u), MIB(64u), 4096, MIB(32u), 1024, 4, 64, 0, 0, 0, 0, 0},
    {NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, /* three drawn by the seed, */
    {NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, /* and anew at each opening */
    {NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
};
#define SETS (sizeof sets / sizeof sets[0])

static uint64_t seed, operations = 4000;
static char folder[TEST_PATH_BYTES];

struct run {
    const struct option_set *set;
    struct option_set drawn;
    uint64_t draws; /* its random state, apart from the history's; 0: the set is a fixed one */
    lore_store *store;
    uint64_t random;
    lore_snapshot *snapshots[SNAPSHOTS]; /* NULL: none; let go when the store is closed */
    bool named[SNAPSHOTS];
    uint64_t digests[MARKS];
};

static uint32_t pick(uint64_t *random, const uint32_t *list, size_t count) {
    return list[random_below(random, count)];
}
#define PICK(random, list) pick(random, list, sizeof(list) / sizeof(list)[0])

static void draw_set(struct run *run) {
    static const uint32_t memtables[] = {KIB(64u), KIB(90u), KIB(300u), MIB(1u), MIB(4u)};
    static const uint32_t blocks[] = {512, 700, 4096, 16384, 65536};
    static const uint32_t tables[] = {KIB(16u), KIB(50u), KIB(256u), MIB(2u)};
    static const uint32_t blobs[] = {0, 1, 100, 1000, 1024, 5000, MIB(1u)};
    static const uint32_t every[] = {0, 1, 7, 60};
    uint64_t *random = &run->draws;
    run->drawn = (struct option_set){.name = "drawn",
                                     .memory_budget = MIB(16u) << random_below(random, 4),
                                     .memtable_bytes = PICK(random, memtables),
                                     .block_bytes = PICK(random, blocks),
                                     .table_bytes_max = PICK(random, tables),
                                     .blob_threshold_bytes = PICK(random, blobs),
                                     .fan_in = 2 + (uint32_t)random_below(random, 15),
                                     .files_max = 16 + (uint32_t)random_below(random, 48),
                                     .compression = (lore_compression)random_below(random, 2),
                                     .background = (lore_background)random_below(random, 2)};
    run->drawn.reopen_every = 100 + (uint32_t)random_below(random, 900);
    if (run->drawn.background == LORE_BACKGROUND_STEPS) run->drawn.step_every = PICK(random, every);
    if (random_below(random, 3) == 0)
        run->drawn.compact_every = 300 + (uint32_t)random_below(random, 700);
    run->set = &run->drawn;
}

static void open_store(struct run *run) {
    if (run->draws != 0) draw_set(run);
    const struct option_set *set = run->set;
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = set->memory_budget;
    options.durability = LORE_SYNC_NONE;
    options.memtable_bytes = set->memtable_bytes;
    options.block_bytes = set->block_bytes;
    options.table_bytes_max = set->table_bytes_max;
    options.blob_threshold_bytes = set->blob_threshold_bytes;
    options.fan_in = set->fan_in;
    options.files_max = set->files_max;
    options.compression = set->compression;
    options.background = set->background;
    MUST(lore_open(folder, &options, &run->store));
}

/* ---- the history ---- */

/* A key's bytes from its number: of all lengths, in a few families with long shared heads. */
static lore_slice key_of(uint64_t number, uint8_t out[LORE_KEY_BYTES_MAX]) {
    if (number == 0) return (lore_slice){out, 0};
    uint64_t state = number / 7;
    size_t size = number % 7 == 0 ? 1 + number % 3 : 8 + number % 20;
    if (number % 50 == 1) size = LORE_KEY_BYTES_MAX - number % 3;
    memset(out, (int)(number % 4 * 85), size); /* 0, 85, 170, 255 */
    for (size_t i = 0; i < 2 && i < size; i++)
        out[size - 1 - i] = (uint8_t)random_below(&state, 256);
    if (size >= 8) out[size / 2] = (uint8_t)number;
    return (lore_slice){out, size};
}

static size_t value_size(uint64_t *random) {
    static const size_t edges[] = {0,    1,    99,   100,  101,  998,  999,  1000, 1001,
                                   1002, 1023, 1024, 1025, 4095, 4096, 4097, 5000, 5001};
    uint64_t die = random_below(random, 100);
    if (die < 40) return random_below(random, 60);
    if (die < 98) return edges[random_below(random, sizeof edges / sizeof edges[0])];
    return 20000 + random_below(random, 100000);
}

static lore_slice value_of(uint64_t *random, uint8_t *out) {
    size_t size = value_size(random);
    uint64_t state = random_next(random);
    for (size_t i = 0; i < size; i++)
        out[i] = i % 3 == 0 ? (uint8_t)(state >> (i % 56)) : (uint8_t)i;
    return (lore_slice){out, size};
}

static void delete_range(struct run *run, lore_keyspace keyspace) {
    uint8_t a[LORE_KEY_BYTES_MAX], b[LORE_KEY_BYTES_MAX];
    lore_slice begin = key_of(random_below(&run->random, KEYS), a);
    lore_slice end = key_of(random_below(&run->random, KEYS), b);
    MUST(lore_delete_range(run->store, keyspace, begin, end));
}

static void write_memory(struct run *run) {
    char id[24], text[200];
    snprintf(id, sizeof id, "memory-%02" PRIu64, random_below(&run->random, MEMORIES));
    snprintf(text, sizeof text, "text %" PRIu64, random_next(&run->random));
    uint64_t die = random_below(&run->random, 6);
    if (die == 1) {
        lore_record *record;
        lore_status status = lore_memory_get(run->store, NULL, lore_slice_of(id), 0, &record);
        CHECK(status == LORE_OK || status == LORE_NOT_FOUND);
        if (status == LORE_OK) lore_record_destroy(record);
        return;
    }
    if (die == 0) {
        lore_status status = lore_memory_delete(run->store, lore_slice_of(id));
        CHECK(status == LORE_OK || status == LORE_NOT_FOUND);
        return;
    }
    lore_memory memory;
    lore_memory_init(&memory);
    memory.fields =
        LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) | LORE_FIELD(LORE_ATTR_KIND);
    memory.id = lore_slice_of(id);
    memory.text = lore_slice_of(text);
    memory.kind = lore_slice_of(random_below(&run->random, 2) == 0 ? "even" : "odd");
    MUST(lore_memory_put(run->store, &memory, 1, LORE_PUT_REPLACE, NULL));
}

static void name_of(unsigned index, char out[24]) {
    snprintf(out, 24, "snapshot-%u", index);
}

static void take_snapshot(struct run *run) {
    unsigned index = (unsigned)random_below(&run->random, SNAPSHOTS);
    char name[24];
    name_of(index, name);
    lore_snapshot_release(run->snapshots[index]);
    run->snapshots[index] = NULL;
    if (run->named[index]) MUST(lore_snapshot_drop(run->store, name));
    run->named[index] = !run->named[index];
    if (!run->named[index]) return;
    MUST(lore_snapshot_save(run->store, name));
    MUST(lore_snapshot_open(run->store, name, &run->snapshots[index]));
}

static void one_operation(struct run *run, uint64_t window) {
    static uint8_t key[LORE_KEY_BYTES_MAX], value[200000];
    uint64_t die = random_below(&run->random, 100);
    lore_keyspace keyspace = 1 + (lore_keyspace)random_below(&run->random, 2);
    uint64_t number = (window + random_below(&run->random, KEYS / 2)) % KEYS;
    if (die < 60) {
        lore_slice k = key_of(number, key);
        MUST(lore_put(run->store, keyspace, k, value_of(&run->random, value)));
    } else if (die < 75) {
        MUST(lore_delete(run->store, keyspace, key_of(number, key)));
    } else if (die < 77) {
        delete_range(run, keyspace);
    } else if (die < 85) {
        lore_batch *batch;
        MUST(lore_batch_create(run->store, &batch));
        lore_slice k = key_of(number, key);
        MUST(lore_batch_delete_range(batch, 1, k, (lore_slice){NULL, 0}));
        lore_batch_clear(batch);
        for (lore_keyspace both = 1; both <= 2; both++)
            MUST(lore_batch_put(batch, both, k, value_of(&run->random, value)));
        MUST(lore_write(run->store, batch, NULL));
        lore_batch_destroy(batch);
    } else if (die < 99) {
        write_memory(run);
    } else {
        take_snapshot(run);
    }
}

static void reopen(struct run *run) {
    for (unsigned i = 0; i < SNAPSHOTS; i++)
        lore_snapshot_release(run->snapshots[i]);
    MUST(lore_close(run->store));
    open_store(run);
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        char name[24];
        name_of(i, name);
        run->snapshots[i] = NULL;
        if (run->named[i]) MUST(lore_snapshot_open(run->store, name, &run->snapshots[i]));
    }
}

/* ---- rendering ---- */

static void mix(uint64_t *digest, lore_slice bytes) {
    uint64_t parts[3] = {*digest, bytes.size, check64(bytes.data, bytes.size)};
    *digest = check64(parts, sizeof parts);
}

/* Forward and backward must agree with each other, too; and each key with a get. */
static void render_range(struct run *run, const lore_snapshot *snapshot, lore_keyspace keyspace,
                         const lore_range *range, uint64_t *digest) {
    static lore_buffer value;
    static uint64_t sums[4 * KEYS];
    lore_iter *iter;
    size_t count = 0;
    MUST(lore_iter_create(run->store, snapshot, keyspace, range, &iter));
    for (MUST(lore_iter_seek_first(iter)); lore_iter_valid(iter); MUST(lore_iter_next(iter))) {
        lore_slice found;
        MUST(lore_iter_value(iter, &found));
        mix(digest, lore_iter_key(iter));
        mix(digest, found);
        CHECK(count < 4 * KEYS);
        sums[count] = check64(found.data, found.size);
        lore_slice key = lore_iter_key(iter);
        sums[count] ^= check64(key.data, key.size) * 3;
        if (count++ % 5 != 0) continue;
        MUST(lore_get(run->store, snapshot, keyspace, key, &value, NULL));
        MUST(lore_iter_value(iter, &found));
        CHECK(value.size == found.size && memcmp(value.data, found.data, found.size) == 0);
    }
    for (MUST(lore_iter_seek_last(iter)); lore_iter_valid(iter); MUST(lore_iter_prev(iter))) {
        lore_slice key = lore_iter_key(iter), found;
        MUST(lore_iter_value(iter, &found));
        CHECK(count > 0);
        count--;
        CHECK(sums[count] == (check64(found.data, found.size) ^ check64(key.data, key.size) * 3));
    }
    CHECK(count == 0);
    lore_iter_destroy(iter);
}

static void render_state(struct run *run, const lore_snapshot *snapshot, uint64_t *digest) {
    static const uint8_t ends[2] = {0xff, 0xff};
    uint8_t a[LORE_KEY_BYTES_MAX], b[LORE_KEY_BYTES_MAX];
    for (lore_keyspace keyspace = 0; keyspace <= 3; keyspace++) {
        render_range(run, snapshot, keyspace, NULL, digest);
        lore_range prefix = {.prefix = {ends, 1 + keyspace % 2}};
        render_range(run, snapshot, keyspace, &prefix, digest);
        lore_range within = {.lower = key_of(51, a), .upper = key_of(103, b)};
        render_range(run, snapshot, keyspace, &within, digest);
    }
    lore_memory_iter *iter;
    lore_record *record;
    unsigned flags = LORE_READ_NO_ACCESS;
    MUST(lore_memory_iter_create(run->store, snapshot, flags, &iter));
    for (;;) {
        MUST(lore_memory_iter_next(iter, &record));
        if (record == NULL) break;
        const lore_memory *memory = lore_record_memory(record);
        mix(digest, memory->id);
        mix(digest, memory->text);
        mix(digest, memory->kind);
        lore_record_destroy(record);
    }
    lore_memory_iter_destroy(iter);
    /* Counts that are not yet written are seen in the newest state only. */
    for (unsigned i = 0; i < MEMORIES && snapshot == NULL; i++) {
        char id[24];
        snprintf(id, sizeof id, "memory-%02u", i);
        lore_status status = lore_memory_get(run->store, NULL, lore_slice_of(id), flags, &record);
        CHECK(status == LORE_OK || status == LORE_NOT_FOUND);
        if (status != LORE_OK) continue;
        uint64_t count = (uint64_t)lore_record_memory(record)->access_count;
        mix(digest, (lore_slice){&count, sizeof count});
        lore_record_destroy(record);
    }
}

static uint64_t render(struct run *run) {
    uint64_t digest = 0;
    render_state(run, NULL, &digest);
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        if (run->snapshots[i] != NULL) render_state(run, run->snapshots[i], &digest);
    }
    return digest;
}

/* ---- sets ---- */

static bool is_due(uint64_t n, uint32_t every) {
    return every > 0 && n % every == every - 1;
}

static void run_set(struct run *run) {
    run->random = seed;
    open_store(run);
    for (uint64_t n = 0; n < operations; n++) {
        bool more;
        one_operation(run, n / 200 * 37);
        if (is_due(n, run->set->step_every)) MUST(lore_step(run->store, 64u << 10, &more));
        if (is_due(n, run->set->compact_every)) MUST(lore_compact(run->store, NULL, NULL));
        if (is_due(n, run->set->reopen_every)) reopen(run);
        if (is_due(n, (uint32_t)(operations / MARKS)) && n * MARKS / operations < MARKS)
            run->digests[n * MARKS / operations] = render(run);
    }
    MUST(lore_compact(run->store, NULL, NULL));
    run->digests[MARKS - 1] = render(run);
    verify_clean(run->store);
    for (unsigned i = 0; i < SNAPSHOTS; i++)
        lore_snapshot_release(run->snapshots[i]);
    MUST(lore_close(run->store));
}

int main(int argc, char **argv) {
    seed = seed_of(argc, argv);
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--operations") == 0) operations = strtoull(argv[i + 1], NULL, 0);
    static struct run runs[SETS];
    for (size_t s = 0; s < SETS; s++) {
        make_folder(folder, "metamorphic");
        runs[s].set = &sets[s];
        runs[s].draws = sets[s].name == NULL ? seed * 64 + s : 0;
        const char *name = sets[s].name == NULL ? "drawn" : sets[s].name;
        uint64_t began = monotonic_us();
        run_set(&runs[s]);
        remove_tree(folder);
        printf("%s: %" PRIu64 " ms\n", name, (monotonic_us() - began) / 1000);
        fflush(stdout);
        for (unsigned mark = 0; mark < MARKS; mark++) {
            if (runs[s].digests[mark] == runs[0].digests[mark]) continue;
            printf("mark %u of %s (set %zu) differs from %s\n", mark, name, s, sets[0].name);
            CHECK(runs[s].digests[mark] == runs[0].digests[mark]);
        }
    }
    return 0;
}
