/*
 * format_store.c - makes a store that has some of everything in it, for format_reader_test.py:
 * tables in several levels, tables with cuts where a merge is under way, blob files, row segments
 * of three spaces, merges, deletes, range deletes over what is in tables and in the log, named
 * snapshots, sessions, access counts, texts that are no UTF-8, and a log that is not flushed.
 *
 * Usage: format_store DIR SEED OPERATIONS [--kill]
 *        --kill   ends without closing the store, so that its last log has no close record
 *
 * On lore.h alone. The same seed makes the same operations.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lore.h"

#define IDS    160u
#define KEYS   400u
#define SPACES 3u

static uint64_t state;

static uint64_t random_below(uint64_t limit) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 11) % limit;
}

static void must(lore_status status) {
    if (status == LORE_OK) return;
    fprintf(stderr, "format_store: %s: %s\n", lore_status_name(status), lore_error_message());
    exit(1);
}

/* Bytes, of which some are text and some are not; a few are long enough for a blob file. */
static lore_slice random_bytes(uint8_t *out, size_t room) {
    size_t size = random_below(10) == 0 ? random_below(room + 1) : random_below(200);
    bool text = random_below(4) != 0;
    for (size_t i = 0; i < size; i++)
        out[i] = text ? (uint8_t)(i % 7 == 6 ? ' ' : 'a' + random_below(20))
                      : (uint8_t)random_below(256);
    if (text && size > 4) memcpy(out + size - 3, "\xe2\x82\xac", 3);
    return (lore_slice){out, size};
}

/* ---- the ordered map ---- */

static const lore_keyspace keyspaces[] = {0, 1, 7, LORE_KEYSPACE_RESERVED - 1};

static lore_slice key_of(uint8_t out[LORE_KEY_BYTES_MAX], uint64_t number) {
    if (number == 0) return (lore_slice){out, 0};
    if (number == 1) return (lore_slice){memset(out, 0xff, LORE_KEY_BYTES_MAX), LORE_KEY_BYTES_MAX};
    int size = snprintf((char *)out, 64, "key/%04llu", (unsigned long long)number);
    if (number % 5 == 0) out[size++] = 0; /* close neighbours, and a zero byte */
    return (lore_slice){out, (size_t)size};
}

static void change_map(lore_store *store) {
    static uint8_t key[LORE_KEY_BYTES_MAX], end[LORE_KEY_BYTES_MAX], value[6000];
    lore_keyspace keyspace = keyspaces[random_below(4)];
    uint64_t number = random_below(KEYS);
    switch (random_below(12)) {
    case 0: must(lore_delete(store, keyspace, key_of(key, number))); break;
    case 1:
        if (random_below(40) == 0)
            must(lore_delete_range(store, keyspace, key_of(key, number), (lore_slice){NULL, 0}));
        else
            must(lore_delete_range(store, keyspace, key_of(key, number),
                                   key_of(end, number + 1 + random_below(8))));
        break;
    default:
        must(lore_put(store, keyspace, key_of(key, number), random_bytes(value, sizeof value)));
    }
}

/* ---- memories ---- */

static const char *const space_names[SPACES] = {"words", "codes", "half"};
static const lore_space_spec space_specs[SPACES] = {
    {.dimensions = 12,
     .element = LORE_ELEMENT_F32,
     .metric = LORE_METRIC_COSINE,
     .model = {"model", 5}},
    {.dimensions = 64, .element = LORE_ELEMENT_BINARY, .metric = LORE_METRIC_HAMMING},
    {.dimensions = 3, .element = LORE_ELEMENT_F16, .metric = LORE_METRIC_L2, .model = {"\xff", 1}},
};
static const size_t strides[SPACES] = {48, 8, 6};

static lore_slice id_of(char out[32], uint64_t number) {
    int size = snprintf(out, 32, number % 9 == 0 ? "id\xff%03u" : "memory %03u", (unsigned)number);
    return (lore_slice){out, (size_t)size};
}

static lore_slice one_of(const char *const *names, size_t count) {
    return lore_slice_of(names[random_below(count)]);
}

static void fill_vector(uint8_t *out, size_t space) {
    for (size_t i = 0; i < strides[space]; i++)
        out[i] = (uint8_t)random_below(256);
    if (space == 0) {
        for (size_t i = 0; i < 12; i++) {
            float value = (float)random_below(1000) / 100.0f - 5.0f;
            uint32_t bits;
            memcpy(&bits, &value, 4);
            for (size_t byte = 0; byte < 4; byte++)
                out[4 * i + byte] = (uint8_t)(bits >> 8 * byte);
        }
    }
    if (space == 2)
        for (size_t i = 1; i < 6; i += 2)
            out[i] &= 0x3f; /* finite */
}

static void change_memory(lore_store *store) {
    static const char *const sessions[] = {"", "", "talk", "walk"};
    static const char *const kinds[] = {"", "fact", "dialogue"};
    static uint8_t text[4000], vectors[SPACES][48];
    char id[32];
    lore_memory memory;
    lore_memory_init(&memory);
    memory.id = id_of(id, random_below(IDS));
    memory.text = random_bytes(text, sizeof text);
    memory.kind = one_of(kinds, 3);
    memory.session_id = one_of(sessions, 4);
    memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT) |
                    LORE_FIELD(LORE_ATTR_KIND) | LORE_FIELD(LORE_ATTR_SESSION);
    const lore_slice tags[] = {lore_slice_of("blue"), {"\x80\x00", 2}};
    if (random_below(3) == 0) {
        memory.tags = tags;
        memory.tags_count = 1 + random_below(2);
        memory.importance_score = (double)random_below(1000) / 999.0;
        memory.metadata = lore_slice_of("{\"a\": \"\\u0001\t\"}");
        memory.fields |= LORE_FIELD(LORE_ATTR_TAGS) | LORE_FIELD(LORE_ATTR_IMPORTANCE) |
                         LORE_FIELD(LORE_ATTR_METADATA);
    }
    if (random_below(20) == 0) {
        memory.created_at_us = random_below(2) == 0 ? -62200000000000001 : 253402300800000000;
        memory.expires_at_us = 1000;
        memory.access_count = random_below(2) == 0 ? 7 : (uint64_t)1 << 53;
        memory.fields |= LORE_FIELD(LORE_ATTR_CREATED_AT) | LORE_FIELD(LORE_ATTR_EXPIRES_AT) |
                         LORE_FIELD(LORE_ATTR_ACCESS_COUNT);
    }
    lore_embedding embeddings[SPACES];
    for (size_t i = 0; i < SPACES; i++) {
        if (random_below(2) == 0) continue;
        fill_vector(vectors[i], i);
        embeddings[memory.embeddings_count++] =
            (lore_embedding){lore_slice_of(space_names[i]), {vectors[i], strides[i]}};
    }
    memory.embeddings = embeddings;
    if (random_below(4) != 0) {
        must(lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL));
        return;
    }
    if (random_below(2) == 0) memory.fields &= ~LORE_FIELD(LORE_ATTR_TEXT);
    lore_status status = lore_memory_update(store, &memory);
    if (status != LORE_NOT_FOUND) must(status);
}

static void delete_memory(lore_store *store) {
    char id[32];
    lore_slice name = id_of(id, random_below(IDS));
    lore_status status =
        random_below(2) == 0
            ? lore_memory_delete(store, name)
            : lore_embedding_delete(store, name, space_names[random_below(SPACES)]);
    if (status != LORE_NOT_FOUND) must(status);
}

static void read_memory(lore_store *store) {
    char id[32];
    lore_record *record = NULL;
    lore_status status = lore_memory_get(store, NULL, id_of(id, random_below(IDS)), 0, &record);
    if (status != LORE_NOT_FOUND) must(status);
    lore_record_destroy(record);
}

/* ---- all of it ---- */

static void save_snapshot(lore_store *store) {
    char name[32];
    snprintf(name, sizeof name, "snapshot %u", (unsigned)random_below(3));
    lore_status status = lore_snapshot_save(store, name);
    if (status == LORE_EXISTS) status = lore_snapshot_drop(store, name);
    must(status);
}

static void work(lore_store *store, uint64_t i) {
    bool more;
    uint64_t what = random_below(100);
    if (what < 45)
        change_map(store);
    else if (what < 75)
        change_memory(store);
    else if (what < 82)
        delete_memory(store);
    else
        read_memory(store);
    if (i % 97 == 0) must(lore_flush(store));
    if (i % 13 == 0) must(lore_step(store, 40000, &more));
    if (i % 211 == 0) save_snapshot(store);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: format_store DIR SEED OPERATIONS [--kill]\n");
        return 1;
    }
    state = strtoull(argv[2], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    uint64_t operations = strtoull(argv[3], NULL, 10);
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.background = LORE_BACKGROUND_STEPS;
    options.durability = LORE_SYNC_NONE;
    options.memory_budget = 16u << 20;
    options.memtable_bytes = 256u << 10;
    options.table_bytes_max = 32u << 10;
    options.block_bytes = 1024;
    options.blob_threshold_bytes = 400;
    options.fan_in = 2;
    options.access_flush_ms = 1;
    lore_store *store;
    must(lore_open(argv[1], &options, &store));
    for (size_t i = 0; i < SPACES; i++)
        must(lore_space_create(store, space_names[i], &space_specs[i]));
    for (uint64_t i = 1; i <= operations; i++)
        work(store, i);
    for (uint64_t i = 0; i < 60; i++)
        change_map(store); /* what stays in the log */
    if (argc > 4 && strcmp(argv[4], "--kill") == 0) {
        must(lore_sync(store));
        _exit(0);
    }
    must(lore_close(store));
    return 0;
}
