/*
 * scale_test.c - a store of a million records, against a model, with what it costs counted.
 *
 *   scale_test churn [--records N] [--budget-mib M] [--dir DIR] [--seed S]
 *       load N records of 16 + 400 bytes (not compressible) by steps; three rounds of overwrites
 * (30 %), deletes (20 %), a range delete and a named snapshot; then: content equals the model,
 * space at rest is at most 1.5 x live, no lore_step(1 MiB) read and wrote more than 2 MiB, a point
 * read fetches at most 2 blocks at the median scale_test memories [--records N] [--budget-mib M]
 * [--dir DIR] [--seed S] load N memories with 400 bytes of text, compact, verify, read all, read at
 * random; a filter for 100 of them fetches fewer than 100 blocks
 *
 * In both, peak memory (anonymous, plus mapped files of the store) less what the program had before
 * lore_open stays within the budget and a tenth. Durations are printed and decide nothing.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "support.h"

#define VALUE_BYTES 400u
#define GROUP       256u

static uint64_t records = 1000000, budget_mib = 64, seed = 1;
static char store_path[TEST_PATH_BYTES];

/* ---- time and memory ---- */

static double began;

static double now(void) {
    return (double)monotonic_us() / 1e6;
}

static void stage(const char *name) {
    printf("%8.1f s  %s\n", now() - began, name);
    fflush(stdout);
}

/* Anonymous pages and mapped pages of the store's files (the catalog's map), in KiB. */
static uint64_t memory_kib(void) {
    char line[512];
    uint64_t total = 0;
    bool counts = false;
    FILE *file = fopen("/proc/self/smaps", "r");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long long from, to, kib;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2)
            counts = strstr(line, store_path) != NULL;
        else if (sscanf(line, "Anonymous: %llu kB", &kib) == 1 && !counts)
            total += kib;
        else if (sscanf(line, "Rss: %llu kB", &kib) == 1 && counts)
            total += kib;
    }
    fclose(file);
    return total;
}

static _Atomic bool sampling;
static _Atomic uint64_t peak_kib;
static uint64_t base_kib;
static pthread_t sampler;

static void *sample(void *context) {
    (void)context;
    while (atomic_load(&sampling)) {
        uint64_t kib = memory_kib();
        if (kib > atomic_load(&peak_kib)) atomic_store(&peak_kib, kib);
        sleep_us(20000);
    }
    return NULL;
}

static void sampling_begin(void) {
    atomic_store(&sampling, true);
    CHECK(pthread_create(&sampler, NULL, sample, NULL) == 0);
    sleep_us(100000);
    base_kib = memory_kib();
    atomic_store(&peak_kib, base_kib);
}

static void sampling_end(void) {
    atomic_store(&sampling, false);
    pthread_join(sampler, NULL);
    double mib = (double)(atomic_load(&peak_kib) - base_kib) / 1024;
    printf("peak memory %.1f MiB of a budget of %" PRIu64 " MiB\n", mib, budget_mib);
    REQUIRE(mib <= (double)budget_mib * 1.1, "memory over the budget and a tenth");
}

static void open_store(lore_store **store, lore_background background) {
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = budget_mib << 20;
    options.background = background;
    options.durability = LORE_SYNC_NONE;
    MUST(lore_open(store_path, &options, store));
}

static lore_stats stats_of(lore_store *store) {
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    return stats;
}

/* ---- churn ---- */

static uint8_t *versions, *saved; /* of each record; 0: deleted. `saved`: at the named snapshot */
static uint64_t step_bytes_max, steps;

static lore_slice key_of(uint64_t n, char buffer[32]) {
    return (lore_slice){buffer, (size_t)snprintf(buffer, 32, "key-%012" PRIu64, n)};
}

static lore_slice value_of(uint64_t n, unsigned version, uint64_t buffer[VALUE_BYTES / 8]) {
    uint64_t state = n * 256 + version;
    for (unsigned i = 0; i < VALUE_BYTES / 8; i++)
        buffer[i] = random_next(&state);
    return (lore_slice){buffer, VALUE_BYTES};
}

static bool step(lore_store *store) {
    lore_stats before = stats_of(store);
    bool more;
    MUST(lore_step(store, 1u << 20, &more));
    lore_stats after = stats_of(store);
    uint64_t bytes = after.background_read_bytes - before.background_read_bytes +
                     after.background_written_bytes - before.background_written_bytes;
    if (bytes > step_bytes_max) step_bytes_max = bytes;
    steps++;
    return more;
}

static void write_group(lore_store *store, lore_batch *batch, bool force) {
    if (lore_batch_size(batch) == 0 || (!force && lore_batch_size(batch) < GROUP * VALUE_BYTES))
        return;
    MUST(lore_write(store, batch, NULL));
    lore_batch_clear(batch);
    step(store);
}

static void put_version(lore_batch *batch, uint64_t n, unsigned version) {
    char key[32];
    uint64_t value[VALUE_BYTES / 8];
    MUST(lore_batch_put(batch, 1, key_of(n, key), value_of(n, version, value)));
    versions[n] = (uint8_t)version;
}

static void churn_round(lore_store *store, lore_batch *batch, unsigned round, uint64_t *random) {
    char key[32], end[32];
    for (uint64_t i = 0; i < records * 3 / 10; i++) {
        uint64_t n = random_next(random) % records;
        put_version(batch, n, versions[n] + 1u);
        write_group(store, batch, false);
    }
    for (uint64_t i = 0; i < records / 5; i++) {
        uint64_t n = random_next(random) % records;
        MUST(lore_batch_delete(batch, 1, key_of(n, key)));
        versions[n] = 0;
        write_group(store, batch, false);
    }
    write_group(store, batch, true);
    uint64_t first = random_next(random) % (records - records / 50), last = first + records / 50;
    MUST(lore_delete_range(store, 1, key_of(first, key), key_of(last, end)));
    memset(versions + first, 0, last - first);
    char name[32];
    snprintf(name, sizeof name, "round-%u", round);
    MUST(lore_snapshot_save(store, name));
    if (round > 1) {
        snprintf(name, sizeof name, "round-%u", round - 1);
        MUST(lore_snapshot_drop(store, name));
    }
    memcpy(saved, versions, records);
}

static void expect(lore_store *store, const lore_snapshot *snapshot, uint64_t n, unsigned version) {
    static lore_buffer found;
    char key[32];
    uint64_t value[VALUE_BYTES / 8];
    lore_status status = lore_get(store, snapshot, 1, key_of(n, key), &found, NULL);
    if (status != LORE_NOT_FOUND) MUST(status);
    REQUIRE((status == LORE_OK) == (version != 0), "record %" PRIu64 ": %s", n,
            version == 0 ? "deleted, but there" : "missing");
    if (version == 0) return;
    value_of(n, version, value);
    REQUIRE(found.size == VALUE_BYTES && memcmp(found.data, value, VALUE_BYTES) == 0,
            "record %" PRIu64 ": other bytes than version %u", n, version);
}

static void check_all(lore_store *store, const lore_snapshot *snapshot, const uint8_t *model) {
    lore_iter *iter;
    MUST(lore_iter_create(store, snapshot, 1, NULL, &iter));
    MUST(lore_iter_seek_first(iter));
    for (uint64_t n = 0; n < records; n++) {
        if (model[n] == 0) continue;
        char key[32];
        uint64_t value[VALUE_BYTES / 8];
        REQUIRE(lore_iter_valid(iter), "the scan ends before record %" PRIu64, n);
        lore_slice wanted = key_of(n, key), got = lore_iter_key(iter), bytes;
        REQUIRE(got.size == wanted.size && memcmp(got.data, wanted.data, got.size) == 0,
                "the scan is at %.*s where %s was due", (int)got.size, (const char *)got.data, key);
        MUST(lore_iter_value(iter, &bytes));
        value_of(n, model[n], value);
        REQUIRE(bytes.size == VALUE_BYTES && memcmp(bytes.data, value, VALUE_BYTES) == 0,
                "record %" PRIu64 " of the scan has other bytes", n);
        MUST(lore_iter_next(iter));
    }
    REQUIRE(!lore_iter_valid(iter), "the scan goes on after the last record");
    lore_iter_destroy(iter);
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t median_blocks(lore_store *store, uint64_t *random) {
    static uint64_t blocks[2000];
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t n = random_next(random) % records;
        uint64_t before = stats_of(store).blocks_read;
        expect(store, NULL, n, versions[n]);
        blocks[i] = stats_of(store).blocks_read - before;
    }
    qsort(blocks, 2000, sizeof blocks[0], by_value);
    return blocks[1000];
}

static void check_space(lore_store *store, const char *when) {
    uint64_t live = 0;
    for (uint64_t n = 0; n < records; n++) {
        live += versions[n] != 0 ? VALUE_BYTES + 16 : 0;
        live += saved[n] != 0 && saved[n] != versions[n] ? VALUE_BYTES + 16 : 0;
    }
    lore_stats stats = stats_of(store);
    uint64_t space = stats.table_bytes + stats.blob_bytes + stats.row_bytes;
    printf("%s: %.1f MiB of segments, %.1f MiB live: %.2f x\n", when, (double)space / 1048576,
           (double)live / 1048576, (double)space / (double)live);
    REQUIRE((double)space <= 1.5 * (double)live, "space over 1.5 x live");
}

static void churn(void) {
    uint64_t random = seed;
    versions = calloc(records, 1);
    saved = calloc(records, 1);
    CHECK(versions != NULL && saved != NULL);
    memset(saved, 1, records); /* touch the pages before the base is measured */
    memset(versions, 1, records);
    memset(versions, 0, records);
    sampling_begin();
    lore_store *store;
    lore_batch *batch;
    open_store(&store, LORE_BACKGROUND_STEPS);
    MUST(lore_batch_create(store, &batch));
    for (uint64_t n = 0; n < records; n++) {
        put_version(batch, n, 1);
        write_group(store, batch, false);
    }
    write_group(store, batch, true);
    stage("loaded");
    for (unsigned round = 1; round <= 3; round++)
        churn_round(store, batch, round, &random);
    lore_batch_destroy(batch);
    MUST(lore_flush(store));
    stage("three rounds of churn");
    while (step(store)) {
    }
    stage("at rest");
    check_space(store, "before compact");
    printf("%" PRIu64 " steps of 1 MiB, the largest read and wrote %.2f MiB\n", steps,
           (double)step_bytes_max / 1048576);
    REQUIRE(step_bytes_max <= 2u << 20, "a step read and wrote more than 2 MiB");
    check_all(store, NULL, versions);
    lore_snapshot *snapshot;
    MUST(lore_snapshot_open(store, "round-3", &snapshot));
    check_all(store, snapshot, saved);
    lore_snapshot_release(snapshot);
    stage("content equals the model");
    uint64_t blocks = median_blocks(store, &random);
    printf("blocks fetched by a point read: median %" PRIu64 "\n", blocks);
    REQUIRE(blocks <= 2, "more than 2 blocks at the median");
    MUST(lore_compact(store, NULL, NULL));
    stage("compacted");
    check_space(store, "after compact");
    lore_verify_report report = {0};
    MUST(lore_verify(store, NULL, NULL, NULL, &report));
    stage("verified");
    MUST(lore_close(store));
    sampling_end();
}

/* ---- memories ---- */

static void fill_memory(uint64_t n, lore_memory *memory, char id[32], char session[32],
                        char text[VALUE_BYTES]) {
    static const char words[] =
        "the agent recalls that a user likes tea rivers maps and old stories about light ";
    uint64_t state = n + seed;
    for (unsigned i = 0; i < VALUE_BYTES; i += 8) {
        size_t at = random_next(&state) % (sizeof words - 9);
        memcpy(text + i, words + at, 8);
    }
    lore_memory_init(memory);
    memory->fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) |
                     LORE_FIELD(LORE_ATTR_SESSION) | LORE_FIELD(LORE_ATTR_ROLE) |
                     LORE_FIELD(LORE_ATTR_KIND) | LORE_FIELD(LORE_ATTR_POSITION);
    memory->id = (lore_slice){id, (size_t)snprintf(id, 32, "m-%010" PRIu64, n)};
    memory->session_id =
        (lore_slice){session, (size_t)snprintf(session, 32, "s-%07" PRIu64, n / 100)};
    memory->position = n % 100;
    memory->role = lore_slice_of(n % 2 == 0 ? "user" : "assistant");
    memory->kind = lore_slice_of("dialogue");
    memory->text = (lore_slice){text, VALUE_BYTES};
}

static void load_memories(lore_store *store) {
    static lore_memory group[GROUP];
    /* A group in the memtable and on its way to the log must fit the budget beside everything else.
     */
    size_t group_size = budget_mib < 16 ? GROUP / 4 : GROUP;
    static char ids[GROUP][32], sessions[GROUP][32], texts[GROUP][VALUE_BYTES];
    for (uint64_t n = 0; n < records;) {
        size_t count = 0;
        for (; count < group_size && n < records; count++, n++)
            fill_memory(n, &group[count], ids[count], sessions[count], texts[count]);
        MUST(lore_memory_put(store, group, count, LORE_PUT_REPLACE, NULL));
        if (n / 100000 != (n - count) / 100000) stage("100,000 more loaded");
    }
}

static void expect_memory(lore_store *store, uint64_t n) {
    char id[32], session[32], text[VALUE_BYTES];
    lore_memory wanted;
    fill_memory(n, &wanted, id, session, text);
    lore_record *record;
    MUST(lore_memory_get(store, NULL, wanted.id, LORE_READ_NO_ACCESS, &record));
    const lore_memory *got = lore_record_memory(record);
    REQUIRE(got->text.size == VALUE_BYTES && memcmp(got->text.data, text, VALUE_BYTES) == 0 &&
                got->position == wanted.position,
            "memory %" PRIu64 " differs", n);
    lore_record_destroy(record);
}

static void check_filter(lore_store *store, uint64_t *random) {
    char session[32];
    snprintf(session, sizeof session, "s-%07" PRIu64, random_next(random) % (records / 100));
    lore_filter filter = {
        .attribute = LORE_ATTR_SESSION, .op = LORE_FILTER_EQ, .text = lore_slice_of(session)};
    lore_query query;
    lore_query_init(&query);
    query.filters = &filter;
    query.filters_count = 1;
    query.limit = 1000;
    query.flags = LORE_READ_NO_ACCESS;
    lore_results *results;
    uint64_t before = stats_of(store).blocks_read;
    MUST(lore_search(store, NULL, &query, &results));
    uint64_t blocks = stats_of(store).blocks_read - before;
    printf("a filter for %zu of %" PRIu64 " memories fetched %" PRIu64 " blocks\n",
           lore_results_count(results), records, blocks);
    REQUIRE(lore_results_count(results) == 100, "the filter found %zu of 100",
            lore_results_count(results));
    REQUIRE(blocks < 100, "100 blocks or more");
    lore_results_destroy(results);
}

static void memories(void) {
    uint64_t random = seed;
    sampling_begin();
    lore_store *store;
    open_store(&store, LORE_BACKGROUND_THREAD);
    load_memories(store);
    stage("loaded");
    for (unsigned i = 0; i < 20000; i++)
        expect_memory(store, random_next(&random) % records);
    stage("20,000 random reads");
    MUST(lore_compact(store, NULL, NULL));
    stage("compacted");
    lore_verify_report report = {0};
    MUST(lore_verify(store, NULL, NULL, NULL, &report));
    REQUIRE(report.memories == records, "verify saw %" PRIu64 " memories", report.memories);
    stage("verified");
    lore_memory_iter *iter;
    MUST(lore_memory_iter_create(store, NULL, LORE_READ_EMBEDDINGS, &iter));
    uint64_t count = 0;
    for (;; count++) {
        lore_record *record;
        MUST(lore_memory_iter_next(iter, &record));
        if (record == NULL) break;
        lore_record_destroy(record);
    }
    lore_memory_iter_destroy(iter);
    REQUIRE(count == records, "the scan saw %" PRIu64 " memories", count);
    stage("all read in order of id");
    for (unsigned i = 0; i < 3; i++)
        check_filter(store, &random);
    lore_stats stats = stats_of(store);
    printf("%.1f MiB of segments for %.1f MiB of text\n", (double)stats.table_bytes / 1048576,
           (double)records * VALUE_BYTES / 1048576);
    MUST(lore_close(store));
    stage("closed");
    sampling_end();
}

int main(int argc, char **argv) {
    const char *dir = NULL;
    if (argc < 2) return 2;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--records") == 0)
            records = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--budget-mib") == 0)
            budget_mib = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0)
            dir = argv[i + 1];
        else
            return 2;
    }
    if (records < 1000) return 2;
    MUST(scratch_folder(dir, "scale", store_path));
    printf("%s: %" PRIu64 " records, budget %" PRIu64 " MiB, seed %" PRIu64 ", in %s\n", argv[1],
           records, budget_mib, seed, store_path);
    began = now();
    if (strcmp(argv[1], "churn") == 0)
        churn();
    else if (strcmp(argv[1], "memories") == 0)
        memories();
    else
        return 2;
    return 0;
}
