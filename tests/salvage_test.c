/*
 * salvage_test.c - lore_salvage of a store with something of everything, damaged in every way:
 * bytes changed, files cut, deleted, swapped, set back to older ones, several at once, and folders
 * of noise. Whatever the damage: no crash, no hang, the source is as it was, the new store
 * verifies, every record in it is the true one, and every one that is not there is a suspect or is
 * accounted for by a loss that was reported.
 *
 *   salvage_test [--stride N] [--rounds N] [--seed N] [--verbose]
 *
 * The soak: --stride 1 --rounds 20000.
 */
#include <stdbool.h>

#include "salvage_disk.h"
#include "store/store_internal.h"

#define TO           "new"
#define RECORDS_MAX  512
#define RENDER_BYTES 512

static bool verbose;
static char what[256]; /* the damage under test */

/* ---- what is true ---- */

struct record {
    char name[64];              /* id, or "keyspace/key" */
    char content[RENDER_BYTES]; /* all but the access counts */
    uint64_t access_count;
    uint64_t row;                /* of a memory */
    bool found, suspected, lost; /* of a salvage */
};
static struct record records[RECORDS_MAX];
static int records_count;

static void render_bytes(char *out, lore_slice bytes) {
    size_t used = strlen(out);
    uint64_t sum = 1469598103934665603u;
    for (size_t i = 0; i < bytes.size; i++)
        sum = (sum ^ ((const uint8_t *)bytes.data)[i]) * 1099511628211u;
    snprintf(out + used, RENDER_BYTES - used, "%.*s#%zu.%" PRIx64 "|",
             (int)(bytes.size < 12 ? bytes.size : 12), (const char *)bytes.data, bytes.size, sum);
}

static void render_memory(char *out, const lore_memory *m) {
    out[0] = 0;
    const lore_slice texts[] = {m->text,    m->kind,     m->layer,      m->tier, m->status,
                                m->user_id, m->agent_id, m->session_id, m->role, m->metadata};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        render_bytes(out, texts[i]);
    for (size_t i = 0; i < m->tags_count; i++)
        render_bytes(out, m->tags[i]);
    size_t used = strlen(out);
    snprintf(out + used, RENDER_BYTES - used, "%g %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 "|",
             m->importance_score, m->created_at_us, m->updated_at_us, m->expires_at_us,
             m->session_id.size > 0 ? m->position : 0);
    /* In order of name: a new store may number its spaces otherwise. */
    static const char *const spaces[] = {"bits", "use"};
    for (size_t n = 0; n < 2; n++)
        for (size_t i = 0; i < m->embeddings_count; i++) {
            if (strncmp(m->embeddings[i].space.data, spaces[n], 3) != 0) continue;
            render_bytes(out, m->embeddings[i].space);
            render_bytes(out, m->embeddings[i].data);
        }
}

static void name_entry(char out[64], lore_keyspace keyspace, lore_slice key) {
    snprintf(out, 64, "%u/%.*s", keyspace, (int)key.size, (const char *)key.data);
}

static struct record *find(const char *name) {
    for (int i = 0; i < records_count; i++)
        if (strcmp(records[i].name, name) == 0) return &records[i];
    return NULL;
}

typedef void (*seen_fn)(const char *name, const char *content, uint64_t access_count, uint64_t row);

static bool each_keyspace(void *context, lore_keyspace keyspace) {
    ((lore_keyspace *)context)[1 + ((lore_keyspace *)context)[0]++] = keyspace;
    return true;
}

static void read_all(lore_store *store, seen_fn seen) {
    char content[RENDER_BYTES], name[64];
    lore_memory_iter *memories;
    MUST(lore_memory_iter_create(store, NULL, LORE_READ_EMBEDDINGS | LORE_READ_EXPIRED, &memories));
    for (;;) {
        lore_record *record;
        MUST(lore_memory_iter_next(memories, &record));
        if (record == NULL) break;
        const lore_memory *memory = lore_record_memory(record);
        render_memory(content, memory);
        snprintf(name, sizeof name, "%.*s", (int)memory->id.size, (const char *)memory->id.data);
        seen(name, content, memory->access_count, lore_record_row(record));
        lore_record_destroy(record);
    }
    lore_memory_iter_destroy(memories);
    lore_keyspace keyspaces[16] = {0};
    MUST(lore_keyspaces(store, NULL, each_keyspace, keyspaces));
    for (unsigned i = 1; i <= keyspaces[0]; i++) {
        lore_iter *iter;
        MUST(lore_iter_create(store, NULL, keyspaces[i], NULL, &iter));
        for (MUST(lore_iter_seek_first(iter)); lore_iter_valid(iter); MUST(lore_iter_next(iter))) {
            lore_slice value;
            MUST(lore_iter_value(iter, &value));
            content[0] = 0;
            render_bytes(content, value);
            name_entry(name, keyspaces[i], lore_iter_key(iter));
            seen(name, content, 0, 0);
        }
        lore_iter_destroy(iter);
    }
}

static void note_truth(const char *name, const char *content, uint64_t access_count, uint64_t row) {
    CHECK(records_count < RECORDS_MAX);
    struct record *record = &records[records_count++];
    memset(record, 0, sizeof *record);
    snprintf(record->name, sizeof record->name, "%s", name);
    snprintf(record->content, sizeof record->content, "%s", content);
    record->access_count = access_count;
    record->row = row;
}

/* ---- the store ---- */

static void options_of(lore_options *options, const lore_env *env) {
    lore_options_init(options);
    options->env = env;
    options->memory_budget = UINT64_C(8) << 20;
    options->background = LORE_BACKGROUND_STEPS;
    options->durability = LORE_SYNC_NONE;
    options->reserve_bytes = 0;
    options->log_preallocate_bytes = 4096;
    options->block_bytes = 512;
    options->blob_threshold_bytes = 200;
    options->fan_in = 3;
}

static void put_memory(lore_store *store, int i, int version) {
    char id[32], text[700], session[16];
    float use[4] = {(float)i, (float)version, 1, 2};
    uint8_t bits[8] = {(uint8_t)i, (uint8_t)version, 3};
    lore_memory m;
    lore_memory_init(&m);
    snprintf(id, sizeof id, "memory-%03d", i);
    snprintf(session, sizeof session, "session-%d", i % 3);
    size_t size = i % 4 == 0 ? 400 + (size_t)(i % 7) * 30 : 20;
    for (size_t at = 0; at < size; at++)
        text[at] = (char)('a' + (at * 7 + (size_t)(i * 31 + version * 17)) % 26);
    m.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) | LORE_FIELD(LORE_ATTR_KIND) |
               LORE_FIELD(LORE_ATTR_TAGS) | LORE_FIELD(LORE_ATTR_METADATA) |
               LORE_FIELD(LORE_ATTR_CREATED_AT) | LORE_FIELD(LORE_ATTR_IMPORTANCE);
    m.id = lore_slice_of(id);
    m.text = (lore_slice){text, size};
    m.kind = lore_slice_of(i % 2 ? "fact" : "dialogue");
    lore_slice tags[2] = {lore_slice_of("a tag"), lore_slice_of(session)};
    m.tags = tags;
    m.tags_count = 2;
    m.metadata = lore_slice_of("{\"v\":1}");
    m.created_at_us = 1000 + i;
    m.importance_score = 0.25;
    if (i % 3 == 0) {
        m.fields |= LORE_FIELD(LORE_ATTR_SESSION);
        m.session_id = lore_slice_of(session);
    }
    lore_embedding embeddings[2] = {{lore_slice_of("use"), {use, sizeof use}},
                                    {lore_slice_of("bits"), {bits, sizeof bits}}};
    m.embeddings = embeddings;
    m.embeddings_count = (size_t)(i % 3);
    MUST(lore_memory_put(store, &m, 1, LORE_PUT_REPLACE, NULL));
}

static void put_entry(lore_store *store, lore_keyspace keyspace, int i, int version) {
    char key[32], value[400];
    snprintf(key, sizeof key, "key-%03d", i);
    size_t size = i % 5 == 0 ? 300 : 12;
    memset(value, 'A' + (i + version * 3) % 26, size);
    MUST(lore_put(store, keyspace, lore_slice_of(key), (lore_slice){value, size}));
}

static void change_some(lore_store *store, int version, int from, int step) {
    char text[32];
    for (int i = from; i < 90; i += step) {
        put_memory(store, i, version);
        put_entry(store, 1 + (lore_keyspace)(i % 2), i, version);
    }
    for (int i = from + 1; i < 90; i += 3 * step) {
        snprintf(text, sizeof text, "memory-%03d", i);
        lore_status status = lore_memory_delete(store, lore_slice_of(text));
        CHECK(status == LORE_OK || status == LORE_NOT_FOUND);
        snprintf(text, sizeof text, "key-%03d", i);
        MUST(lore_delete(store, 1 + (lore_keyspace)(i % 2), lore_slice_of(text)));
    }
    MUST(lore_delete_range(store, 2, lore_slice_of("key-040"), lore_slice_of("key-045")));
    for (int i = from + 2; i < 90; i += 4 * step) {
        lore_memory m;
        lore_memory_init(&m);
        float use[4] = {(float)version, 7, 7, 7};
        lore_embedding embedding = {lore_slice_of("use"), {use, sizeof use}};
        snprintf(text, sizeof text, "memory-%03d", i);
        m.id = lore_slice_of(text);
        m.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_IMPORTANCE);
        m.importance_score = 0.5 + version / 100.0;
        m.embeddings = &embedding;
        m.embeddings_count = 1;
        lore_status status = lore_memory_update(store, &m);
        CHECK(status == LORE_OK || status == LORE_NOT_FOUND);
        lore_record *record;
        status = lore_memory_get(store, NULL, m.id, 0, &record);
        if (status == LORE_OK) lore_record_destroy(record);
    }
}

static void switch_log(lore_store *store) {
    bool more = true;
    while (!lsm_can_freeze(store->lsm))
        MUST(lore_step(store, 1u << 20, &more));
    commit_lead_begin(store);
    MUST(commit_switch_log(store, 0, true));
    commit_lead_end(store);
}

/* Tables on two levels, blobs, rows, three logs. `older`: as it was some changes before, for files
 * set back. `closed`: in order; else as a crash leaves it. */
static void make_store(struct fs_memory **disk, struct fs_memory **older, bool closed) {
    MUST(fs_memory_create(env_posix()->allocator, 0, disk));
    lore_env env = *env_posix();
    env.fs = fs_memory_fs(*disk);
    lore_options options;
    options_of(&options, &env);
    options.create_if_missing = true;
    lore_store *store;
    MUST(lore_open(STORE_PATH, &options, &store));
    lore_space_spec use = {4, LORE_ELEMENT_F32, LORE_METRIC_COSINE, {"m", 1}};
    lore_space_spec bits = {64, LORE_ELEMENT_BINARY, LORE_METRIC_HAMMING, {NULL, 0}};
    MUST(lore_space_create(store, "use", &use));
    MUST(lore_space_create(store, "bits", &bits));
    for (int i = 0; i < 90; i++) {
        put_memory(store, i, 0);
        put_entry(store, 1 + (lore_keyspace)(i % 2), i, 0);
    }
    MUST(lore_compact(store, NULL, NULL));
    change_some(store, 1, 0, 4);
    MUST(lore_flush(store));
    MUST(lore_close(store));
    MUST(lore_open(STORE_PATH, &options, &store));
    change_some(store, 2, 1, 5);
    MUST(lore_flush(store));
    MUST(lore_sync(store));
    MUST(fs_memory_clone(*disk, older));
    change_some(store, 3, 2, 7);
    MUST(lore_flush(store));
    change_some(store, 4, 3, 11);
    switch_log(store);
    change_some(store, 5, 4, 13);
    MUST(lore_sync(store));
    records_count = 0;
    struct fs_memory *crashed = NULL;
    if (!closed) {
        MUST(lore_sync(store));
        put_entry(store, 1, 1, 9);
        MUST(lore_sync(store));
        MUST(fs_memory_clone(*disk, &crashed));
    }
    MUST(lore_close(store));
    if (!closed) {
        fs_memory_destroy(*disk);
        *disk = crashed;
    }
}

static void learn_truth(struct fs_memory *disk) {
    struct fs_memory *copy;
    MUST(fs_memory_clone(disk, &copy));
    lore_env env = *env_posix();
    env.fs = fs_memory_fs(copy);
    lore_options options;
    options_of(&options, &env);
    lore_store *store;
    MUST(lore_open(STORE_PATH, &options, &store));
    records_count = 0;
    read_all(store, note_truth);
    MUST(lore_close(store));
    fs_memory_destroy(copy);
}

/* ---- a salvage ---- */

struct tale {
    uint64_t losses, harmless, suspects;
    bool everything; /* a loss that may account for any record */
};

static bool covers(const lore_loss *loss, uint64_t row, uint8_t part) {
    uint8_t key[13] = {0xF0, 0, 0, 0x11, [12] = part};
    for (int i = 0; i < 8; i++)
        key[4 + i] = (uint8_t)(row >> (56 - 8 * i));
    size_t first = loss->first_key.size < 13 ? loss->first_key.size : 13;
    size_t last = loss->last_key.size < 13 ? loss->last_key.size : 13;
    int a = memcmp(loss->first_key.data, key, first), b = memcmp(key, loss->last_key.data, last);
    return a <= 0 && b <= 0;
}

static void note_loss(void *context, const lore_loss *loss) {
    struct tale *tale = context;
    if (verbose)
        printf("  %s: %s at %" PRId64 ", sequences %" PRIu64 "-%" PRIu64 ", id %.*s: %s%s\n",
               loss->kind, loss->file == NULL ? "-" : loss->file, (int64_t)loss->offset,
               loss->first_sequence, loss->last_sequence, (int)loss->id.size,
               (const char *)loss->id.data, loss->message, loss->harmless ? " (harmless)" : "");
    CHECK(loss->kind != NULL && loss->message != NULL);
    if (loss->harmless) {
        tale->harmless++;
        return;
    }
    tale->losses++;
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)loss->id.size, (const char *)loss->id.data);
    if (loss->id.size > 0) {
        struct record *record = find(name);
        if (record != NULL) record->lost = true;
    }
    if (strcmp(loss->kind, "log") == 0 || strcmp(loss->kind, "catalog") == 0)
        tale->everything = true;
    if (loss->first_key.size < 4) return;
    for (int i = 0; i < records_count; i++) {
        struct record *record = &records[i];
        if (strchr(record->name, '/') == NULL) {
            if (covers(loss, record->row, 0) || covers(loss, record->row, 1)) record->lost = true;
            continue;
        }
        uint8_t key[64];
        unsigned keyspace = (unsigned)atoi(record->name);
        const char *rest = strchr(record->name, '/') + 1;
        for (int b = 0; b < 4; b++)
            key[b] = (uint8_t)(keyspace >> (24 - 8 * b));
        size_t size = 4 + strlen(rest);
        memcpy(key + 4, rest, strlen(rest));
        size_t first = loss->first_key.size < size ? loss->first_key.size : size;
        size_t last = loss->last_key.size < size ? loss->last_key.size : size;
        if (memcmp(loss->first_key.data, key, first) <= 0 &&
            memcmp(key, loss->last_key.data, last) <= 0)
            record->lost = true;
    }
}

static lore_status note_suspect(void *context, const lore_suspect *suspect) {
    struct tale *tale = context;
    char name[64], content[RENDER_BYTES];
    tale->suspects++;
    CHECK(suspect->reason != NULL && suspect->reason[0] != 0);
    if (suspect->memory != NULL) {
        snprintf(name, sizeof name, "%.*s", (int)suspect->memory->id.size,
                 (const char *)suspect->memory->id.data);
        render_memory(content, suspect->memory);
    } else {
        name_entry(name, suspect->keyspace, suspect->key);
    }
    if (verbose) printf("  suspect %s: %s\n", name, suspect->reason);
    struct record *record = find(name);
    if (record != NULL) record->suspected = true;
    return LORE_OK;
}

static uint64_t access_left_out;
static void check_found(const char *name, const char *content, uint64_t access_count,
                        uint64_t row) {
    (void)row;
    struct record *record = find(name);
    char why[1400];
    snprintf(why, sizeof why, "%s: %s is in the new store", what, name);
    if (record == NULL) check_failed(__FILE__, __LINE__, why, "it was deleted");
    if (strcmp(record->content, content) != 0) {
        snprintf(why, sizeof why, "%s: %s is\n  %.500s, not\n  %.500s", what, name, content,
                 record->content);
        check_failed(__FILE__, __LINE__, why, "a wrong value");
    }
    if (access_count != record->access_count) {
        snprintf(why, sizeof why, "%s: access counts of %s", what, name);
        if (access_count != 0) check_failed(__FILE__, __LINE__, why, "wrong");
        access_left_out++;
    }
    record->found = true;
}

struct totals {
    uint64_t runs, whole, partial, sound, suspects, lost, refused;
};
static struct totals totals;

/* *tale is empty. Returns what the salvage did. */
static lore_status salvage(struct fs_memory *disk, struct tale *tale, bool noise) {
    for (int i = 0; i < records_count; i++)
        records[i].found = records[i].suspected = records[i].lost = false;
    uint64_t before = noise ? 0 : sum_of(disk);
    lore_env env = *env_posix();
    env.fs = fs_memory_fs(disk);
    lore_options options;
    options_of(&options, &env);
    lore_salvage_calls calls;
    lore_salvage_calls_init(&calls);
    calls.loss = note_loss;
    calls.suspect = note_suspect;
    calls.context = tale;
    lore_salvage_report report;
    access_left_out = 0;
    lore_status status = lore_salvage(STORE_PATH, TO, &options, &calls, &report);
    totals.runs++;
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    CHECK(env.fs->ops->stat(env.fs, TO ".salvage", &size, &is_dir, &mode) == LORE_NOT_FOUND);
    if (!noise) CHECK(sum_of(disk) == before);
    if (status != LORE_OK) {
        CHECK(env.fs->ops->stat(env.fs, TO, &size, &is_dir, &mode) == LORE_NOT_FOUND);
        return status;
    }
    CHECK(report.losses == tale->losses && report.suspects == tale->suspects);
    lore_store *store;
    MUST(lore_open(TO, &options, &store));
    verify_clean(store);
    read_all(store, check_found);
    MUST(lore_close(store));
    return LORE_OK;
}

/* Nothing is missing without a word. */
static void check_complete(const struct tale *tale) {
    char why[500];
    uint64_t missing = 0;
    for (int i = 0; i < records_count; i++) {
        const struct record *record = &records[i];
        totals.sound += record->found;
        totals.suspects += record->suspected;
        if (record->found) continue;
        missing++;
        if (record->suspected) continue;
        totals.lost++;
        if (record->lost || tale->everything) continue;
        snprintf(why, sizeof why, "%s: %.63s is missing", what, record->name);
        check_failed(__FILE__, __LINE__, why, "nothing says so");
    }
    if (missing > 0 && tale->losses == 0) check_failed(__FILE__, __LINE__, what, "no loss is told");
    if (missing == 0)
        totals.whole++;
    else
        totals.partial++;
}

static void try_damage(struct fs_memory *disk) {
    struct tale tale = {0};
    if (verbose) printf("%s\n", what);
    lore_status status = salvage(disk, &tale, false);
    if (status != LORE_OK) {
        char why[900];
        snprintf(why, sizeof why, "%s: %s: %.500s", what, lore_status_name(status),
                 lore_error_message());
        check_failed(__FILE__, __LINE__, why, "the salvage failed");
    }
    check_complete(&tale);
}

/* ---- damages ---- */

static void flip_bytes(struct fs_memory *base, uint64_t stride, uint64_t *seed) {
    struct files files;
    memset(&files, 0, sizeof files);
    list_files(base, &files);
    for (int i = 0; i < files.count; i++) {
        if (strstr(files.names[i], "LOCK") != NULL) continue;
        /* Files are mostly small; zeros written ahead and LMDB's free pages are worth fewer. */
        uint64_t step = strstr(files.names[i], "catalog.mdb") != NULL ? stride * 16 : stride;
        for (uint64_t at = random_below(seed, step); at < files.sizes[i]; at += step) {
            struct fs_memory *disk;
            MUST(fs_memory_clone(base, &disk));
            uint64_t size;
            uint8_t *bytes = fs_memory_bytes(disk, files.names[i], &size);
            bytes[at] ^= (uint8_t)(1u << random_below(seed, 8));
            snprintf(what, sizeof what, "flip in %s at %" PRIu64, files.names[i], at);
            uint64_t whole = totals.whole;
            try_damage(disk);
            /* One byte of a table, a log or edits is found and put right. */
            bool mended = strstr(files.names[i], ".table") != NULL ||
                          strstr(files.names[i], "/log-") != NULL ||
                          strstr(files.names[i], "/edits-") != NULL;
            if (mended && totals.whole == whole)
                check_failed(__FILE__, __LINE__, what, "records are missing");
            fs_memory_destroy(disk);
        }
    }
}

static void each_file(struct fs_memory *base, struct fs_memory *older) {
    struct files files;
    memset(&files, 0, sizeof files);
    list_files(base, &files);
    for (int i = 0; i < files.count; i++) {
        const char *name = files.names[i];
        for (int way = 0; way < 8; way++) {
            struct fs_memory *disk;
            MUST(fs_memory_clone(base, &disk));
            uint64_t size = files.sizes[i];
            if (way == 0) {
                snprintf(what, sizeof what, "delete %s", name);
                remove_file(disk, name);
            } else if (way < 7) {
                uint64_t sizes[] = {
                    0, 0, 100, size / 3, size / 2, size - (size > 40 ? 40 : 0), size - (size > 0)};
                snprintf(what, sizeof what, "cut %s to %" PRIu64, name, sizes[way]);
                cut(disk, name, sizes[way] < size ? sizes[way] : size);
            } else {
                snprintf(what, sizeof what, "set back %s", name);
                set_back(disk, older, name);
            }
            try_damage(disk);
            fs_memory_destroy(disk);
        }
        for (int j = i + 1; j < files.count; j++) {
            if ((i + j) % 3 != 0 &&
                strncmp(strrchr(name, '.') ? strrchr(name, '.') : name,
                        strrchr(files.names[j], '.') ? strrchr(files.names[j], '.')
                                                     : files.names[j],
                        5) != 0)
                continue;
            struct fs_memory *disk;
            MUST(fs_memory_clone(base, &disk));
            snprintf(what, sizeof what, "swap %s and %s", name, files.names[j]);
            swap_files(disk, name, files.names[j]);
            try_damage(disk);
            fs_memory_destroy(disk);
        }
    }
}

static const char *const catalog_files[] = {STORE_PATH "/CURRENT",
                                            STORE_PATH "/g-000001/catalog.mdb"};

static void catalog_lost(struct fs_memory *base, struct fs_memory *older) {
    struct files files;
    memset(&files, 0, sizeof files);
    list_files(base, &files);
    for (int set = 1; set < 8; set++) {
        struct fs_memory *disk;
        MUST(fs_memory_clone(base, &disk));
        for (int i = 0; i < 2; i++)
            if ((set & 1 << i) != 0) remove_file(disk, catalog_files[i]);
        for (int i = 0; i < files.count; i++)
            if ((set & 4) != 0 && strstr(files.names[i], "edits-") != NULL)
                remove_file(disk, files.names[i]);
        snprintf(what, sizeof what, "catalog files lost: %d", set);
        try_damage(disk);
        fs_memory_destroy(disk);
    }
    /* An older catalog, beside the logs and segments of today. */
    struct fs_memory *disk;
    MUST(fs_memory_clone(base, &disk));
    for (int i = 0; i < files.count; i++)
        if (strstr(files.names[i], "edits-") != NULL) remove_file(disk, files.names[i]);
    list_files(older, &files);
    for (int i = 0; i < files.count; i++)
        if (strstr(files.names[i], "edits-") != NULL || strstr(files.names[i], "mdb") != NULL)
            set_back(disk, older, files.names[i]);
    snprintf(what, sizeof what, "an older catalog");
    try_damage(disk);
    fs_memory_destroy(disk);
}

static bool is_newest_log(const struct files *files, int i) {
    if (strstr(files->names[i], "/log-") == NULL) return false;
    for (int j = 0; j < files->count; j++)
        if (strstr(files->names[j], "/log-") != NULL &&
            strcmp(files->names[j], files->names[i]) > 0)
            return false;
    return true;
}

/* `closed` false: nothing says where the newest log ended, so an older one in its place, or one
 * that lost its end, looks like a store that was never told of what is missing. It is left alone.
 */
static void at_random(struct fs_memory *base, struct fs_memory *older, bool closed, uint64_t rounds,
                      uint64_t *seed) {
    struct files files;
    for (uint64_t round = 0; round < rounds; round++) {
        struct fs_memory *disk;
        MUST(fs_memory_clone(base, &disk));
        uint64_t count = 1 + random_below(seed, 6);
        int used = snprintf(what, sizeof what, "round %" PRIu64 ":", round);
        for (uint64_t n = 0; n < count; n++) {
            memset(&files, 0, sizeof files);
            list_files(disk, &files);
            int i = (int)random_below(seed, (uint64_t)files.count);
            int j = (int)random_below(seed, (uint64_t)files.count);
            uint64_t size = files.sizes[i], kind = random_below(seed, 12);
            if (!closed && (is_newest_log(&files, i) || is_newest_log(&files, j))) continue;
            if ((size_t)used < sizeof what)
                used += snprintf(what + used, sizeof what - (size_t)used, " %d/%d/%s", (int)kind, j,
                                 strrchr(files.names[i], '/') + 1);
            if (kind == 0) {
                remove_file(disk, files.names[i]);
            } else if (kind == 1) {
                cut(disk, files.names[i], random_below(seed, size + 1));
            } else if (kind == 2 && i != j) {
                swap_files(disk, files.names[i], files.names[j]);
            } else if (kind == 3) {
                set_back(disk, older, files.names[i]);
            } else if (size > 0) {
                uint8_t *bytes = fs_memory_bytes(disk, files.names[i], &size);
                uint64_t at = random_below(seed, size);
                uint64_t length = kind < 9 ? 1 + random_below(seed, 3) : random_below(seed, 3000);
                for (uint64_t b = at; b < size && b < at + length; b++)
                    bytes[b] = (uint8_t)(kind == 9 ? 0 : random_next(seed));
            }
        }
        if (verbose) printf("%s\n", what);
        struct tale tale = {0};
        lore_status status = salvage(disk, &tale, false);
        if (status == LORE_NO_STORE)
            totals.refused++;
        else if (status == LORE_OK)
            check_complete(&tale);
        else {
            char why[900];
            snprintf(why, sizeof why, "%s: %s: %.500s", what, lore_status_name(status),
                     lore_error_message());
            check_failed(__FILE__, __LINE__, why, "the salvage failed");
        }
        fs_memory_destroy(disk);
    }
}

static void full_disk(struct fs_memory *base) {
    uint64_t used = 0;
    struct files files;
    memset(&files, 0, sizeof files);
    list_files(base, &files);
    for (int i = 0; i < files.count; i++)
        used += files.sizes[i];
    unsigned full = 0;
    for (int part = 0; part < 12; part++) {
        struct fs_memory *disk;
        MUST(fs_memory_clone(base, &disk));
        fs_memory_set_capacity(disk, used + used * (uint64_t)part / 6);
        struct tale tale = {0};
        snprintf(what, sizeof what, "a disk with %d/6 of room", part);
        lore_status status = salvage(disk, &tale, false);
        CHECK(status == LORE_OK || status == LORE_FULL);
        full += status == LORE_FULL;
        fs_memory_destroy(disk);
    }
    CHECK(full > 0);
}

static void noise(struct fs_memory *base, uint64_t rounds, uint64_t *seed) {
    struct files files;
    int known = records_count;
    records_count = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        struct fs_memory *disk;
        MUST(fs_memory_clone(base, &disk));
        memset(&files, 0, sizeof files);
        list_files(disk, &files);
        for (int i = 0; i < files.count; i++) {
            uint64_t size, from = random_below(seed, 3) == 0 ? 200 : 0;
            uint8_t *bytes = fs_memory_bytes(disk, files.names[i], &size);
            for (uint64_t at = from; at < size; at++)
                bytes[at] = (uint8_t)random_next(seed);
        }
        struct tale tale = {0};
        snprintf(what, sizeof what, "noise, round %" PRIu64, round);
        lore_status status = salvage(disk, &tale, true);
        CHECK(status == LORE_OK || status == LORE_NO_STORE || status == LORE_CORRUPTION ||
              status == LORE_UNSUPPORTED);
        totals.refused += status != LORE_OK;
        fs_memory_destroy(disk);
    }
    records_count = known;
}

static void undamaged(struct fs_memory *base) {
    struct tale tale = {0};
    struct fs_memory *disk;
    MUST(fs_memory_clone(base, &disk));
    snprintf(what, sizeof what, "undamaged");
    MUST(salvage(disk, &tale, false));
    check_complete(&tale);
    CHECK(tale.losses == 0 && tale.suspects == 0 && access_left_out == 0);
    for (int i = 0; i < records_count; i++)
        CHECK(records[i].found);
    /* What is there is not written over. */
    lore_env env = *env_posix();
    env.fs = fs_memory_fs(disk);
    lore_options options;
    options_of(&options, &env);
    lore_salvage_report report;
    MUST_BE(lore_salvage(STORE_PATH, TO, &options, NULL, &report), LORE_EXISTS);
    MUST_BE(lore_salvage("nowhere", "new2", &options, NULL, &report), LORE_NO_STORE);
    MUST_BE(lore_salvage(STORE_PATH, STORE_PATH "/in", &options, NULL, &report), LORE_INVALID);
    lore_store *store;
    MUST(lore_open(STORE_PATH, &options, &store));
    MUST_BE(lore_salvage(STORE_PATH, "new2", &options, NULL, &report), LORE_LOCKED);
    MUST(lore_close(store));
    fs_memory_destroy(disk);
}

static uint64_t number_of(int argc, char **argv, const char *name, uint64_t otherwise) {
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return strtoull(argv[i + 1], NULL, 0);
    return otherwise;
}

int main(int argc, char **argv) {
    uint64_t seed = seed_of(argc, argv);
    uint64_t stride = number_of(argc, argv, "--stride", 421);
    uint64_t rounds = number_of(argc, argv, "--rounds", 60);
    for (int i = 1; i < argc; i++)
        verbose = verbose || strcmp(argv[i], "--verbose") == 0;
    for (int closed = 1; closed >= 0; closed--) {
        struct fs_memory *base, *older;
        make_store(&base, &older, closed != 0);
        learn_truth(base);
        printf("%s: %d records\n", closed ? "closed" : "crashed", records_count);
        undamaged(base);
        printf("  catalog\n");
        catalog_lost(base, older);
        printf("  files\n");
        if (closed) each_file(base, older);
        printf("  flips\n");
        flip_bytes(base, closed ? stride : stride * 3, &seed);
        printf("  at random\n");
        at_random(base, older, closed != 0, rounds, &seed);
        full_disk(base);
        noise(base, rounds / 5, &seed);
        fs_memory_destroy(base);
        fs_memory_destroy(older);
    }
    printf("%" PRIu64 " salvages: %" PRIu64 " whole, %" PRIu64 " partial, %" PRIu64
           " refused; records: %" PRIu64 " sound, %" PRIu64 " suspect, %" PRIu64 " lost\n",
           totals.runs, totals.whole, totals.partial, totals.refused, totals.sound, totals.suspects,
           totals.lost);
    return 0;
}
