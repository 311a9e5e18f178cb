/*
 * search_bench.c - exact searches of a store: how many a second, without conditions and with
 * conditions of several selectivities; chat; and where ground truth is at hand, how much of it
 * comes back.
 *
 *   search_bench STORE [VECTORS, default 25000] [DIMENSIONS, default 512] [MEMORY MIB, default 64]
 *
 * STORE is a directory that is not there yet. Vectors are f16 by cosine: those of
 * $LORE_DATA/wordnet-use512 (base.f16bin, query.f16bin, gt100.ibin) where that is, else made up.
 * Times are of whole lore_search calls, the texts of 10 hits included, on one thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lore.h"
#include "vector/f16.h"

#define BATCH    200u
#define K        10u
#define SEARCHES 200u

struct set {
    uint8_t *base, *queries; /* f16 */
    uint8_t *truth;          /* i32, truth_k a query; NULL: none */
    uint32_t count, queries_count, dims, truth_k;
};

static void die(const char *what) {
    fprintf(stderr, "search_bench: %s: %s\n", what, lore_error_message());
    exit(1);
}

static void must(lore_status status, const char *what) {
    if (status != LORE_OK) die(what);
}

static void *must_have(void *memory) {
    if (memory == NULL) die("no memory");
    return memory;
}

static double seconds_on(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double seconds_now(void) {
    return seconds_on(CLOCK_MONOTONIC);
}

/* Of this thread: what a search costs, also beside others that want the processor. */
static double seconds_worked(void) {
    return seconds_on(CLOCK_THREAD_CPUTIME_ID);
}

/* ---- vectors ---- */

/* u32 n, u32 width, then n * width elements. NULL: no such file. */
static uint8_t *load(const char *folder, const char *name, size_t element, uint32_t *n,
                     uint32_t *width) {
    char path[1024];
    uint8_t head[8];
    snprintf(path, sizeof path, "%s/wordnet-use512/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    if (fread(head, 1, sizeof head, file) != sizeof head) die(path);
    *n = get_u32(head);
    *width = get_u32(head + 4);
    size_t bytes = (size_t)*n * *width * element;
    uint8_t *data = must_have(malloc(bytes));
    if (fread(data, 1, bytes, file) != bytes) die(path);
    fclose(file);
    return data;
}

static float made_up(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-24f - 0.5f;
}

/* Around 100 centres. */
static void make_vectors(uint8_t *vectors, uint32_t count, uint32_t dims, uint32_t seed) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t centre = i % 100 + 1, own = seed + i * 2654435761u;
        for (uint32_t d = 0; d < dims; d++)
            put_u16(vectors + 2 * ((size_t)i * dims + d),
                    f16_from_f32(made_up(&centre) + 0.5f * made_up(&own)));
    }
}

static struct set make_set(uint32_t count, uint32_t dims) {
    struct set set = {0};
    const char *folder = getenv("LORE_DATA");
    if (folder == NULL) folder = "../shared/data";
    set.base = load(folder, "base.f16bin", 2, &set.count, &set.dims);
    if (set.base != NULL) {
        uint32_t queries_dims, truth_count;
        set.queries = must_have(load(folder, "query.f16bin", 2, &set.queries_count, &queries_dims));
        set.truth = load(folder, "gt100.ibin", 4, &truth_count, &set.truth_k);
        if (queries_dims != set.dims) die("queries of another size");
        printf("wordnet-use512: ");
        return set;
    }
    set.count = count;
    set.dims = dims;
    set.queries_count = SEARCHES;
    set.base = must_have(malloc((size_t)count * dims * 2));
    set.queries = must_have(malloc((size_t)set.queries_count * dims * 2));
    make_vectors(set.base, count, dims, 1);
    make_vectors(set.queries, set.queries_count, dims, 77);
    printf("made up: ");
    return set;
}

/* ---- the store ---- */

/* Memory i: kind "half" for every second, agent "tenth", "hundredth", "thousandth" by what divides
 * i. */
static void fill(lore_store *store, const struct set *set) {
    static char ids[BATCH][16];
    static lore_memory memories[BATCH];
    static lore_embedding embeddings[BATCH];
    size_t stride = (size_t)set->dims * 2;
    lore_space_spec spec = {set->dims, LORE_ELEMENT_F16, LORE_METRIC_COSINE, {NULL, 0}};
    must(lore_space_create(store, "space", &spec), "space");
    for (uint32_t first = 0; first < set->count; first += BATCH) {
        uint32_t n = set->count - first < BATCH ? set->count - first : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t number = first + i;
            lore_memory *memory = &memories[i];
            lore_memory_init(memory);
            snprintf(ids[i], sizeof ids[i], "%u", number);
            embeddings[i] =
                (lore_embedding){lore_slice_of("space"), {set->base + number * stride, stride}};
            memory->id = lore_slice_of(ids[i]);
            memory->text = lore_slice_of("what was said, at about the usual length of a turn");
            memory->kind = lore_slice_of(number % 2 == 0 ? "half" : "other");
            memory->agent_id = lore_slice_of(number % 1000 == 0  ? "thousandth"
                                             : number % 100 == 1 ? "hundredth"
                                             : number % 10 == 2  ? "tenth"
                                                                 : "rest");
            memory->embeddings = &embeddings[i];
            memory->embeddings_count = 1;
            memory->fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) |
                             LORE_FIELD(LORE_ATTR_KIND) | LORE_FIELD(LORE_ATTR_AGENT);
        }
        must(lore_memory_put(store, memories, n, LORE_PUT_INSERT, NULL), "put");
    }
}

/* ---- measuring ---- */

static int by_time(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static unsigned found_of_truth(const struct set *set, uint32_t query, const lore_results *results) {
    unsigned found = 0;
    for (size_t h = 0; h < lore_results_count(results); h++) {
        lore_slice id = lore_results_hit(results, h).memory->id;
        for (uint32_t t = 0; t < K; t++) {
            char wanted[16];
            size_t size =
                (size_t)snprintf(wanted, sizeof wanted, "%u",
                                 get_u32(set->truth + 4 * ((size_t)query * set->truth_k + t)));
            found += id.size == size && memcmp(id.data, wanted, size) == 0;
        }
    }
    return found;
}

static void measure(lore_store *store, const struct set *set, const char *name,
                    const lore_filter *filter) {
    static double times[SEARCHES];
    lore_query query;
    lore_query_init(&query);
    query.space = "space";
    query.limit = K;
    query.filters = filter;
    query.filters_count = filter != NULL;
    query.flags = LORE_READ_NO_ACCESS;
    double total = 0, worked = 0;
    unsigned found = 0;
    for (uint32_t i = 0; i < SEARCHES; i++) {
        uint32_t which = i % set->queries_count;
        size_t stride = (size_t)set->dims * 2;
        query.vector = (lore_slice){set->queries + which * stride, stride};
        double begin = seconds_now(), worked_before = seconds_worked();
        lore_results *results;
        must(lore_search(store, NULL, &query, &results), "search");
        worked += seconds_worked() - worked_before;
        times[i] = seconds_now() - begin;
        total += times[i];
        if (lore_results_count(results) != K) die("fewer than k came back");
        if (set->truth != NULL && filter == NULL) found += found_of_truth(set, which, results);
        lore_results_destroy(results);
    }
    qsort(times, SEARCHES, sizeof times[0], by_time);
    printf("%-16s %8.0f searches/s   median %7.3f ms   p99 %7.3f ms   processor %7.3f ms", name,
           SEARCHES / total, times[SEARCHES / 2] * 1e3, times[SEARCHES * 99 / 100] * 1e3,
           worked / SEARCHES * 1e3);
    if (set->truth != NULL && filter == NULL)
        printf("   recall@%u %.4f", K, found / (double)(SEARCHES * K));
    printf("\n");
}

static void measure_all(lore_store *store, const struct set *set, const char *when) {
    lore_filter half = {.attribute = LORE_ATTR_KIND, .text = lore_slice_of("half")};
    lore_filter agent = {.attribute = LORE_ATTR_AGENT};
    printf("%s\n", when);
    measure(store, set, "  all", NULL);
    measure(store, set, "  half", &half);
    agent.text = lore_slice_of("tenth");
    measure(store, set, "  a tenth", &agent);
    agent.text = lore_slice_of("hundredth");
    measure(store, set, "  a hundredth", &agent);
    agent.text = lore_slice_of("thousandth");
    measure(store, set, "  a thousandth", &agent);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: search_bench STORE [VECTORS] [DIMENSIONS] [MEMORY_MIB]\n");
        return 2;
    }
    struct set set = make_set(argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 25000,
                              argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 512);
    printf("%u vectors of %u dimensions, f16, cosine, %u best\n", set.count, set.dims, K);
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.error_if_exists = true;
    options.durability = LORE_SYNC_NONE;
    options.memory_budget = (argc > 4 ? strtoull(argv[4], NULL, 10) : 64) << 20;
    lore_store *store;
    must(lore_open(argv[1], &options, &store), "open");
    double begin = seconds_now();
    fill(store, &set);
    double filled = seconds_now();
    printf("put: %.0f memories/s\n", set.count / (filled - begin));
    must(lore_flush(store), "flush");
    measure_all(store, &set, "after flushes");
    must(lore_compact(store, NULL, NULL), "compact");
    measure_all(store, &set, "after compaction");
    must(lore_close(store), "close");
    free(set.base);
    free(set.queries);
    free(set.truth);
    return 0;
}
