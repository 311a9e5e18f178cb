/*
 * limits_test.c - every stated limit at n - 1, n and n + 1, with the default budget and with the
 * smallest; and options at their ends. (Under 32 MiB, batches between a thirty-second and a quarter
 * of the budget may get LORE_NO_MEMORY, docs/limitations.md: there the limit itself is only
 * approached.) What is within a limit is written, flushed, merged and read
 * again; what is over it is LORE_TOO_BIG (or LORE_INVALID, where it is no size), and nothing was
 * written.
 */
#include "support.h"
#include "vfs/fs_memory.h"

#define STORE "store"

static struct fs_memory *disk;
static lore_env env;
static char *large; /* LARGE_BYTES of noise */
#define LARGE_BYTES (17u << 20)
/* From this budget on every batch within the limit fits. */
#define SURE_BUDGET (32u << 20)

static void disk_open(void) {
    MUST(fs_memory_create(env_posix()->allocator, 0, &disk));
    env = (lore_env){env_posix()->allocator, fs_memory_fs(disk), env_posix()->sys};
}

static void options_for(lore_options *options, uint64_t memory_budget) {
    lore_options_init(options);
    options->env = &env;
    options->create_if_missing = true;
    options->background = LORE_BACKGROUND_STEPS;
    options->memory_budget = memory_budget;
    options->lock_timeout_ms = 0;
}

static lore_store *open_with(const lore_options *options) {
    lore_store *store;
    MUST(lore_open(STORE, options, &store));
    return store;
}

static void expect_value(lore_store *store, lore_slice key, lore_slice wanted) {
    lore_buffer value = {0};
    MUST(lore_get(store, NULL, 1, key, &value, NULL));
    CHECK(value.size == wanted.size);
    CHECK(wanted.size == 0 || memcmp(value.data, wanted.data, wanted.size) == 0);
    lore_buffer_free(&value);
}

static uint64_t last_sequence(lore_store *store) {
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    return stats.last_sequence;
}

/* ---- keys ---- */

static void keys(uint64_t budget) {
    disk_open();
    lore_options options;
    options_for(&options, budget);
    lore_store *store = open_with(&options);
    for (size_t size = LORE_KEY_BYTES_MAX - 1; size <= LORE_KEY_BYTES_MAX; size++)
        MUST(lore_put(store, 1, (lore_slice){large, size}, lore_slice_of("value")));
    MUST(lore_put(store, 1, (lore_slice){NULL, 0}, lore_slice_of("empty")));
    uint64_t before = last_sequence(store);
    lore_slice over = {large, LORE_KEY_BYTES_MAX + 1};
    lore_buffer value = {0};
    MUST_BE(lore_put(store, 1, over, lore_slice_of("value")), LORE_TOO_BIG);
    MUST_BE(lore_delete(store, 1, over), LORE_TOO_BIG);
    MUST_BE(lore_get(store, NULL, 1, over, &value, NULL), LORE_TOO_BIG);
    MUST_BE(lore_delete_range(store, 1, over, (lore_slice){NULL, 0}), LORE_TOO_BIG);
    CHECK(last_sequence(store) == before);
    MUST(lore_compact(store, NULL, NULL));
    for (size_t size = LORE_KEY_BYTES_MAX - 1; size <= LORE_KEY_BYTES_MAX; size++)
        expect_value(store, (lore_slice){large, size}, lore_slice_of("value"));
    expect_value(store, (lore_slice){NULL, 0}, lore_slice_of("empty"));
    lore_slice last = {large, LORE_KEY_BYTES_MAX};
    MUST(lore_delete_range(store, 1, last, (lore_slice){NULL, 0}));
    MUST_BE(lore_get(store, NULL, 1, last, &value, NULL), LORE_NOT_FOUND);
    MUST_BE(lore_put(store, LORE_KEYSPACE_RESERVED, last, last), LORE_INVALID);
    MUST(lore_put(store, LORE_KEYSPACE_RESERVED - 1, last, last));
    MUST(lore_delete_range(store, LORE_KEYSPACE_RESERVED - 1, (lore_slice){NULL, 0},
                           (lore_slice){NULL, 0}));
    verify_clean(store);
    MUST(lore_close(store));
    fs_memory_destroy(disk);
}

/* ---- values and batches: a quarter of the budget, as lore_batch_size counts ---- */

static size_t batch_bytes_with(lore_store *store, size_t value_size) {
    lore_batch *batch;
    MUST(lore_batch_create(store, &batch));
    lore_status status =
        lore_batch_put(batch, 1, lore_slice_of("key"), (lore_slice){large, value_size});
    size_t size = status == LORE_OK ? lore_batch_size(batch) : SIZE_MAX;
    lore_batch_destroy(batch);
    return size;
}

static void one_value(uint64_t budget) {
    disk_open();
    lore_options options;
    options_for(&options, budget);
    lore_store *store = open_with(&options);
    size_t limit = (size_t)(budget / 4);
    size_t extra = batch_bytes_with(store, 1000) - 1000;
    CHECK(extra < 1000);
    size_t most = limit - extra;
    for (size_t size = most - 1; size <= most; size++)
        CHECK(batch_bytes_with(store, size) == size + extra);
    MUST_BE(lore_put(store, 1, lore_slice_of("key"), (lore_slice){large, most + 1}), LORE_TOO_BIG);
    if (budget < SURE_BUDGET) most = limit / 8 - extra;
    for (size_t size = most - 1; size <= most; size++) {
        MUST(lore_put(store, 1, lore_slice_of("key"), (lore_slice){large, size}));
        expect_value(store, lore_slice_of("key"), (lore_slice){large, size});
    }
    uint64_t before = last_sequence(store);
    lore_slice over = {large, limit - extra + 1};
    MUST_BE(lore_put(store, 1, lore_slice_of("key"), over), LORE_TOO_BIG);
    CHECK(last_sequence(store) == before);
    MUST(lore_flush(store));
    expect_value(store, lore_slice_of("key"), (lore_slice){large, most});
    MUST(lore_put(store, 1, lore_slice_of("other"), (lore_slice){large + 1, most - 2}));
    MUST(lore_compact(store, NULL, NULL));
    lore_iter *iter;
    MUST(lore_iter_create(store, NULL, 1, NULL, &iter));
    MUST(lore_iter_seek_first(iter));
    for (int i = 0; i < 2; i++) {
        lore_slice value;
        CHECK(lore_iter_valid(iter));
        MUST(lore_iter_value(iter, &value));
        CHECK(value.size == most - (i == 0 ? 0 : 2));
        MUST(lore_iter_next(iter));
    }
    CHECK(!lore_iter_valid(iter));
    lore_iter_destroy(iter);
    verify_clean(store);
    MUST(lore_put(store, 1, lore_slice_of("new"), (lore_slice){large, most}));
    MUST(lore_close(store));
    store = open_with(&options);
    expect_value(store, lore_slice_of("new"), (lore_slice){large, most});
    MUST(lore_close(store));
    fs_memory_destroy(disk);
}

/* Many small entries: lore_batch_size says how near the limit is, and the limit holds to the byte.
 */
static void many_entries(uint64_t budget) {
    disk_open();
    lore_options options;
    options_for(&options, budget);
    lore_store *store = open_with(&options);
    size_t limit = (size_t)(budget / 4);
    lore_batch *batch;
    MUST(lore_batch_create(store, &batch));
    uint8_t key[8];
    uint64_t number = 0;
    lore_slice small = {large, 10};
    MUST(lore_batch_put(batch, 1, number_key(number++, key), small));
    size_t one = lore_batch_size(batch);
    MUST(lore_batch_put(batch, 1, number_key(number++, key), small));
    size_t each = lore_batch_size(batch) - one;
    while (limit - lore_batch_size(batch) >= 2 * each)
        MUST(lore_batch_put(batch, 1, number_key(number++, key), small));
    /* The last one fills it to the byte. */
    size_t room = limit - lore_batch_size(batch) - each + 10;
    MUST_BE(lore_batch_put(batch, 1, number_key(number, key), (lore_slice){large, room + 1}),
            LORE_TOO_BIG);
    MUST(lore_batch_put(batch, 1, number_key(number++, key), (lore_slice){large, room}));
    CHECK(lore_batch_size(batch) == limit);
    MUST_BE(lore_batch_delete(batch, 1, small), LORE_TOO_BIG);
    MUST_BE(lore_batch_delete_range(batch, 1, (lore_slice){NULL, 0}, small), LORE_TOO_BIG);
    CHECK(lore_batch_size(batch) == limit);
    lore_status status = lore_write(store, batch, NULL);
    lore_batch_destroy(batch);
    if (status == LORE_NO_MEMORY && budget < SURE_BUDGET) {
        MUST(lore_put(store, 1, number_key(0, key), small)); /* and nothing is spoilt */
        MUST(lore_put(store, 1, number_key(number - 1, key), (lore_slice){large, room}));
        status = LORE_OK;
    }
    MUST_BE(status, LORE_OK);
    MUST(lore_flush(store));
    expect_value(store, number_key(number - 1, key), (lore_slice){large, room});
    expect_value(store, number_key(0, key), small);
    MUST(lore_close(store));
    fs_memory_destroy(disk);
}

/* ---- memories ---- */

static lore_status put_memory(lore_store *store, size_t id_size, size_t kind_size, size_t tags) {
    lore_slice tag_list[66];
    char names[66][4];
    for (size_t i = 0; i < tags; i++)
        tag_list[i] = (lore_slice){names[i], (size_t)snprintf(names[i], 4, "%zu", i)};
    lore_memory memory;
    lore_memory_init(&memory);
    memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_KIND) |
                    LORE_FIELD(LORE_ATTR_TAGS) | LORE_FIELD(LORE_ATTR_TEXT);
    memory.id = (lore_slice){large, id_size};
    memory.kind = (lore_slice){large, kind_size};
    memory.text = lore_slice_of("text");
    memory.tags = tag_list;
    memory.tags_count = tags;
    lore_status status = lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL);
    if (status != LORE_OK) return status;
    lore_record *record;
    MUST(lore_memory_get(store, NULL, memory.id, 0, &record));
    const lore_memory *found = lore_record_memory(record);
    CHECK(found->id.size == id_size && found->kind.size == kind_size && found->tags_count == tags);
    lore_record_destroy(record);
    return LORE_OK;
}

static void memories(uint64_t budget) {
    disk_open();
    lore_options options;
    options_for(&options, budget);
    lore_store *store = open_with(&options);
    MUST(put_memory(store, 511, 10, 2));
    MUST(put_memory(store, 512, 10, 2));
    MUST(put_memory(store, 1, 1023, 63));
    MUST(put_memory(store, 1, 1024, 64));
    uint64_t before = last_sequence(store);
    lore_status over[4] = {put_memory(store, 513, 10, 2), put_memory(store, 0, 10, 2),
                           put_memory(store, 1, 1025, 2), put_memory(store, 1, 10, 65)};
    for (int i = 0; i < 4; i++)
        CHECK(over[i] == LORE_TOO_BIG || over[i] == LORE_INVALID);
    CHECK(last_sequence(store) == before);
    MUST(lore_compact(store, NULL, NULL));
    verify_clean(store);
    MUST(lore_close(store));
    fs_memory_destroy(disk);
}

static void spaces(uint64_t budget) {
    disk_open();
    lore_options options;
    options_for(&options, budget);
    lore_store *store = open_with(&options);
    lore_space_spec spec = {.dimensions = LORE_DIMENSIONS_MAX,
                            .element = LORE_ELEMENT_F32,
                            .metric = LORE_METRIC_L2,
                            .model = {large, 255}};
    char name[257];
    memset(name, 'n', 256);
    name[255] = '\0';
    MUST(lore_space_create(store, name, &spec));
    spec.dimensions = 1;
    MUST(lore_space_create(store, "one", &spec));
    spec.dimensions = 0;
    MUST_BE(lore_space_create(store, "none", &spec), LORE_INVALID);
    spec.dimensions = LORE_DIMENSIONS_MAX + 1;
    MUST_BE(lore_space_create(store, "over", &spec), LORE_INVALID);
    spec.dimensions = 1;
    spec.model.size = 256;
    MUST_BE(lore_space_create(store, "model", &spec), LORE_INVALID);
    name[255] = 'n';
    name[256] = '\0';
    spec.model.size = 0;
    MUST_BE(lore_space_create(store, name, &spec), LORE_INVALID);
    MUST_BE(lore_snapshot_save(store, name), LORE_INVALID);
    MUST_BE(lore_snapshot_save(store, ""), LORE_INVALID);
    MUST_BE(lore_note_put(store, name, lore_slice_of("text")), LORE_INVALID);
    name[255] = '\0';
    MUST(lore_snapshot_save(store, name));
    MUST(lore_note_put(store, name, (lore_slice){large, 4096}));
    MUST_BE(lore_note_put(store, name, (lore_slice){large, 4097}), LORE_TOO_BIG);
    MUST(lore_close(store));
    fs_memory_destroy(disk);
}

/* ---- options ---- */

static void use(lore_store *store) {
    uint8_t key[8];
    for (uint64_t i = 0; i < 300; i++)
        MUST(lore_put(store, 1, number_key(i, key), (lore_slice){large + i, 10 + i * 12}));
    MUST(lore_compact(store, NULL, NULL));
    for (uint64_t i = 0; i < 300; i++)
        expect_value(store, number_key(i, key), (lore_slice){large + i, 10 + i * 12});
}

enum kind { BLOCK, FAN_IN, FILES, MEMTABLE, TABLE, BLOB, LOG, RESERVE, BUDGET };

static void set_option(lore_options *options, enum kind kind, uint64_t value) {
    switch (kind) {
    case BLOCK: options->block_bytes = (uint32_t)value; break;
    case FAN_IN: options->fan_in = (uint32_t)value; break;
    case FILES: options->files_max = (uint32_t)value; break;
    case MEMTABLE: options->memtable_bytes = (uint32_t)value; break;
    case TABLE: options->table_bytes_max = (uint32_t)value; break;
    case BLOB: options->blob_threshold_bytes = (uint32_t)value; break;
    case LOG: options->log_preallocate_bytes = (uint32_t)value; break;
    case RESERVE: options->reserve_bytes = (uint32_t)value; break;
    case BUDGET: options->memory_budget = value; break;
    }
}

static const struct option_case {
    const char *name;
    enum kind kind;
    uint64_t value;
    bool good;
} option_cases[] = {
    {"block_bytes 511", BLOCK, 511, false},
    {"block_bytes 512", BLOCK, 512, true},
    {"block_bytes 65536", BLOCK, 65536, true},
    {"block_bytes 65537", BLOCK, 65537, false},
    {"fan_in 1", FAN_IN, 1, false},
    {"fan_in 2", FAN_IN, 2, true},
    {"fan_in 16", FAN_IN, 16, true},
    {"fan_in 17", FAN_IN, 17, false},
    {"files_max 15", FILES, 15, false},
    {"files_max 16", FILES, 16, true},
    {"files_max 2^32-1", FILES, UINT32_MAX, true},
    {"memtable_bytes 1", MEMTABLE, 1, true},
    {"memtable_bytes a quarter", MEMTABLE, 1 << 20, true},
    {"memtable_bytes over a quarter", MEMTABLE, (1 << 20) + 1, false},
    {"table_bytes_max 0", TABLE, 0, true},
    {"table_bytes_max 1", TABLE, 1, false},
    {"table_bytes_max under 16 KiB", TABLE, (16 << 10) - 1, false},
    {"table_bytes_max 16 KiB", TABLE, 16 << 10, true},
    {"table_bytes_max 2^32-1", TABLE, UINT32_MAX, true},
    {"blob_threshold_bytes 0", BLOB, 0, true},
    {"blob_threshold_bytes a sixteenth", BLOB, 256 << 10, true},
    {"blob_threshold_bytes over a sixteenth", BLOB, (256 << 10) + 1, false},
    {"log_preallocate_bytes 0", LOG, 0, true},
    {"log_preallocate_bytes 1", LOG, 1, true},
    {"log_preallocate_bytes 64 MiB", LOG, 64 << 20, true},
    {"log_preallocate_bytes over 64 MiB", LOG, (64 << 20) + 1, false},
    {"reserve_bytes 0", RESERVE, 0, true},
    {"reserve_bytes 1", RESERVE, 1, true},
    {"memory_budget under 4 MiB", BUDGET, (4 << 20) - 1, false},
    {"memory_budget 4 MiB", BUDGET, 4 << 20, true},
    {"memory_budget 2^40", BUDGET, UINT64_C(1) << 40, true},
    {"memory_budget 2^64-1", BUDGET, UINT64_MAX, true},
};

static void options_at_their_ends(void) {
    for (size_t i = 0; i < sizeof option_cases / sizeof option_cases[0]; i++) {
        const struct option_case *one = &option_cases[i];
        printf("  %s\n", one->name);
        fflush(stdout);
        disk_open();
        lore_options options;
        options_for(&options, 4 << 20);
        set_option(&options, one->kind, one->value);
        lore_store *store = NULL;
        MUST_BE(lore_open(STORE, &options, &store), one->good ? LORE_OK : LORE_INVALID);
        if (one->good) {
            use(store);
            MUST(lore_close(store));
        }
        /* The calls that make a generation take the same options by the same rules. */
        lore_status status = lore_generation_begin("made", false, &options, &store);
        MUST_BE(status, one->good ? LORE_OK : LORE_INVALID);
        if (one->good) MUST(lore_close(store));
        uint64_t size;
        bool is_dir;
        uint32_t mode;
        status = env.fs->ops->stat(env.fs, "made", &size, &is_dir, &mode);
        CHECK(one->good || status == LORE_NOT_FOUND);
        fs_memory_destroy(disk);
    }
}

int main(void) {
    static const uint64_t budgets[] = {4 << 20, 5 << 20, 8 << 20, 32 << 20, 64 << 20};
    large = malloc(LARGE_BYTES);
    CHECK(large != NULL);
    uint64_t random = 1;
    for (size_t i = 0; i < LARGE_BYTES; i += 8) {
        uint64_t word = random_next(&random);
        memcpy(large + i, &word, 8);
    }
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        printf("memory_budget %" PRIu64 " MiB\n", budgets[i] >> 20);
        fflush(stdout);
        keys(budgets[i]);
        memories(budgets[i]);
        spaces(budgets[i]);
        one_value(budgets[i]);
        many_entries(budgets[i]);
    }
    options_at_their_ends();
    free(large);
    return 0;
}
