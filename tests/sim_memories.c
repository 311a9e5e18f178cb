/*
 * sim_memories.c - operations on memories. See sim_world.h.
 *
 * What a memory holds follows from its version in the model: so a record is that version or it is
 * wrong. Its metadata names the version; all else must then be that version's.
 */
#include "sim_world.h"

#define ID_BYTES   16
#define TEXT_BYTES 8192

static const char *const words[] = {"alpha", "bravo", "charlie", "delta", "echo"};
static const char *const kinds[] = {"kind-0", "kind-1", "kind-2"};
static const char *const users[] = {"c0", "c1", "c2", "c3"};
static const char *const sessions[] = {"s0", "s1", "s2", "s3"};

static bool is_turn(unsigned slot) {
    return slot >= SIM_SLOTS - SIM_TURNS;
}

static lore_slice id_of(unsigned client, unsigned slot, char buffer[ID_BYTES]) {
    return (lore_slice){
        buffer, (size_t)snprintf(buffer, ID_BYTES, "c%u-m%02u", client, slot - 2 * SIM_KEYS)};
}

static lore_slice text_of(const struct sim_world *world, uint32_t number, char buffer[TEXT_BYTES]) {
    uint64_t state = number;
    uint32_t max = world->plan->value_bytes_max < TEXT_BYTES / 2 ? world->plan->value_bytes_max
                                                                 : TEXT_BYTES / 2;
    int head = snprintf(buffer, TEXT_BYTES, "text %u %s ", number, words[number % 5]);
    size_t more = sim_below(&state, 4) == 0 ? sim_below(&state, max) : sim_below(&state, 40);
    for (size_t i = 0; i < more; i++)
        buffer[(size_t)head + i] = i % 2 == 0 ? (char)('A' + sim_below(&state, 26)) : 'z';
    return (lore_slice){buffer, (size_t)head + more};
}

static void vector_of(uint32_t number, float vector[SIM_DIMENSIONS]) {
    vector[0] = (float)(number % 97);
    vector[1] = (float)(number % 89);
    vector[2] = (float)(number % 83);
    vector[3] = (float)(1 + number % 7);
}

static float distance_of(uint32_t a, uint32_t b) {
    float x[SIM_DIMENSIONS], y[SIM_DIMENSIONS], sum = 0;
    vector_of(a, x);
    vector_of(b, y);
    for (int i = 0; i < SIM_DIMENSIONS; i++)
        sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sum;
}

/* ---- reading a record ---- */

static bool slice_is(lore_slice slice, const char *text) {
    return slice.size == strlen(text) &&
           (slice.size == 0 || memcmp(slice.data, text, slice.size) == 0);
}

static bool matches(const struct sim_world *world, const struct sim_version *version,
                    uint32_t number, const lore_memory *memory, bool embeddings) {
    char text[TEXT_BYTES], meta[24];
    lore_slice wanted = text_of(world, version->text, text);
    (void)number;
    snprintf(meta, sizeof meta, "v%u", version->meta);
    if (wanted.size != memory->text.size ||
        memcmp(wanted.data, memory->text.data, wanted.size) != 0)
        return false;
    if (!slice_is(memory->metadata, meta) || !slice_is(memory->kind, kinds[version->kind]) ||
        !slice_is(memory->user_id, users[version->client]))
        return false;
    if (memory->importance_score != version->importance / 8.0) return false;
    if (!slice_is(memory->session_id, is_turn(version->slot) ? sessions[version->client] : ""))
        return false;
    if (memory->tags_count != 1 || !slice_is(memory->tags[0], kinds[version->kind])) return false;
    if (!embeddings) return true;
    if (memory->embeddings_count != (version->embedding != 0)) return false;
    if (version->embedding == 0) return true;
    float vector[SIM_DIMENSIONS];
    vector_of(version->embedding, vector);
    return memory->embeddings[0].data.size == sizeof vector &&
           memcmp(memory->embeddings[0].data.data, vector, sizeof vector) == 0;
}

static uint32_t identify(const struct sim_world *world, const lore_memory *memory, unsigned client,
                         unsigned slot, bool embeddings) {
    char meta[24] = "";
    uint32_t number;
    memcpy(meta, memory->metadata.data, memory->metadata.size < 23 ? memory->metadata.size : 23);
    if (sscanf(meta, "v%u", &number) != 1) return SIM_WRONG;
    if (number == 0 || number >= world->model.versions_count) return SIM_WRONG;
    const struct sim_version *version = &world->model.versions[number];
    if (version->client != client || version->slot != slot) return SIM_WRONG;
    if (matches(world, version, number, memory, embeddings)) return number;
    uint32_t child = version->child;
    if (child != 0 && matches(world, &world->model.versions[child], child, memory, embeddings))
        return child;
    return SIM_WRONG;
}

static bool slot_of_id(lore_slice id, unsigned *client, unsigned *slot) {
    char copy[ID_BYTES] = "", expected[ID_BYTES];
    memcpy(copy, id.data, id.size < ID_BYTES - 1 ? id.size : ID_BYTES - 1);
    if (sscanf(copy, "c%u-m%u", client, slot) != 2 || *client >= SIM_CLIENTS ||
        *slot >= SIM_MEMORIES)
        return false;
    *slot += 2 * SIM_KEYS;
    lore_slice wanted = id_of(*client, *slot, expected);
    return wanted.size == id.size && memcmp(wanted.data, id.data, id.size) == 0;
}

lore_status memories_read(struct sim_world *world, lore_store *store, const lore_snapshot *snapshot,
                          struct sim_content *content) {
    lore_memory_iter *iter;
    lore_status status = lore_memory_iter_create(store, snapshot, LORE_READ_EMBEDDINGS, &iter);
    if (status != LORE_OK) return status;
    for (;;) {
        lore_record *record;
        unsigned client, slot;
        status = lore_memory_iter_next(iter, &record);
        if (status != LORE_OK || record == NULL) break;
        const lore_memory *memory = lore_record_memory(record);
        if (!slot_of_id(memory->id, &client, &slot))
            sim_violation(world, "a memory that nobody wrote: %.*s", (int)memory->id.size,
                          (const char *)memory->id.data);
        uint32_t version = identify(world, memory, client, slot, true);
        if (version == SIM_WRONG)
            sim_violation(world, "memory of c%u slot %u is no version of it (metadata %.*s)",
                          client, slot, (int)memory->metadata.size,
                          (const char *)memory->metadata.data);
        content->slots[client][slot] = version;
        lore_record_destroy(record);
    }
    lore_memory_iter_destroy(iter);
    return status;
}

void memories_probe(struct sim_world *world, const struct sim_reading *reading) {
    char id[ID_BYTES];
    for (unsigned client = 0; client < world->plan->clients; client++)
        for (unsigned slot = 2 * SIM_KEYS; slot < SIM_SLOTS; slot++) {
            lore_record *record = NULL;
            lore_status status =
                lore_memory_get(world->store, NULL, id_of(client, slot, id),
                                LORE_READ_EMBEDDINGS | LORE_READ_NO_ACCESS, &record);
            uint32_t version = SIM_ABSENT;
            if (status == LORE_OK)
                version = identify(world, lore_record_memory(record), client, slot, true);
            lore_record_destroy(record);
            if (status != LORE_NOT_FOUND && sim_read_failed(world, status, "memory-get")) continue;
            if (!world->dead && !model_allows(&world->model, reading, client, slot, version))
                sim_violation(world, "probe of c%u slot %u: version %u, last it was %u", client,
                              slot, version, world->model.clients[client].now[slot]);
        }
}

/* ---- writing ---- */

/* What a memory points at while it is written. */
struct written {
    char id[ID_BYTES], text[TEXT_BYTES], meta[24];
    float vector[SIM_DIMENSIONS];
    lore_slice tag;
    lore_embedding embedding;
};

static void fill(const struct sim_world *world, uint32_t number, uint32_t fields, bool embeds,
                 struct written *written, lore_memory *memory) {
    const struct sim_version *version = &world->model.versions[number];
    lore_memory_init(memory);
    memory->fields = fields | LORE_FIELD(LORE_ATTR_ID);
    memory->id = id_of(version->client, version->slot, written->id);
    memory->text = text_of(world, version->text, written->text);
    memory->kind = written->tag = lore_slice_of(kinds[version->kind]);
    memory->tags = &written->tag;
    memory->tags_count = 1;
    memory->importance_score = version->importance / 8.0;
    memory->user_id = lore_slice_of(users[version->client]);
    if (is_turn(version->slot)) memory->session_id = lore_slice_of(sessions[version->client]);
    snprintf(written->meta, sizeof written->meta, "v%u", version->meta);
    memory->metadata = lore_slice_of(written->meta);
    if (!embeds) return;
    vector_of(version->embedding, written->vector);
    written->embedding =
        (lore_embedding){lore_slice_of(SIM_SPACE), {written->vector, sizeof written->vector}};
    memory->embeddings = &written->embedding;
    memory->embeddings_count = 1;
}

static uint32_t draw_version(struct sim_client *client, unsigned slot, uint64_t *random) {
    struct sim_model *model = &client->world->model;
    uint32_t before = model->clients[client->number].now[slot];
    uint32_t number = model_version_new(model, client->number, slot);
    struct sim_version *version = &model->versions[number];
    version->text = version->meta = number;
    version->kind = (uint8_t)sim_below(random, 3);
    version->importance = (uint8_t)sim_below(random, 9);
    version->embedding = sim_below(random, 2) == 0 ? number : 0;
    version->order = before != SIM_ABSENT ? model->versions[before].order : number;
    return number;
}

static void written_away(struct sim_client *client, unsigned slot) {
    client->counts_high[slot - 2 * SIM_KEYS] = 0;
    client->counts_low[slot - 2 * SIM_KEYS] = 0;
}

#define ALL_FIELDS                                                                                 \
    (LORE_FIELD(LORE_ATTR_TEXT) | LORE_FIELD(LORE_ATTR_KIND) | LORE_FIELD(LORE_ATTR_TAGS) |        \
     LORE_FIELD(LORE_ATTR_IMPORTANCE) | LORE_FIELD(LORE_ATTR_USER) |                               \
     LORE_FIELD(LORE_ATTR_METADATA))

static void put(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    struct sim_model *model = &world->model;
    unsigned count = 1 + (sim_below(random, 4) == 0), slots[2];
    bool insert = sim_below(random, 3) == 0, exists = false;
    struct written *written = calloc(2, sizeof *written);
    lore_memory memories[2];
    if (written == NULL) abort();
    slots[0] = 2 * SIM_KEYS + (unsigned)sim_below(random, SIM_MEMORIES);
    slots[1] = 2 * SIM_KEYS + (slots[0] - 2 * SIM_KEYS + 1) % SIM_MEMORIES;
    bool poisoned = sim_is_poisoned(world);
    const uint32_t *now = model->clients[client->number].now;
    bool absent[2];
    for (unsigned i = 0; i < count; i++) {
        absent[i] = now[slots[i]] == SIM_ABSENT;
        exists |= !absent[i];
    }
    model_begin(model, client->number);
    for (unsigned i = 0; i < count; i++) {
        uint32_t version = draw_version(client, slots[i], random);
        uint32_t fields = ALL_FIELDS;
        if (is_turn(slots[i])) fields |= LORE_FIELD(LORE_ATTR_SESSION);
        fill(world, version, fields, model->versions[version].embedding != 0, &written[i],
             &memories[i]);
        sim_trace(world, "  memory %u = %u%s", slots[i], version, insert ? ", insert" : "");
        model_effect(model, client->number, slots[i], version);
    }
    lore_status status = lore_memory_put(world->store, memories, count,
                                         insert ? LORE_PUT_INSERT : LORE_PUT_REPLACE, NULL);
    free(written);
    if (!world->dead && status == LORE_OK && insert && exists)
        sim_violation(world, "a memory was inserted over another");
    if (!world->dead && status == LORE_EXISTS && !(insert && exists))
        sim_violation(world, "LORE_EXISTS, but no memory is there");
    for (unsigned i = 0; i < count && status == LORE_OK; i++)
        if (absent[i]) written_away(client, slots[i]);
    world_written(client, status, poisoned, "memory-put");
}

static void update(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    struct sim_model *model = &world->model;
    unsigned slot = 2 * SIM_KEYS + (unsigned)sim_below(random, SIM_MEMORIES);
    uint32_t before = model->clients[client->number].now[slot];
    struct written *written = calloc(1, sizeof *written);
    lore_memory memory;
    if (written == NULL) abort();
    uint32_t fields = LORE_FIELD(LORE_ATTR_METADATA);
    uint32_t number = draw_version(client, slot, random);
    struct sim_version *version = &model->versions[number];
    struct sim_version old = model->versions[before != SIM_ABSENT ? before : number];
    bool embeds = sim_below(random, 3) == 0;
    version->embedding = embeds ? number : old.embedding;
    if (sim_below(random, 2) == 0)
        fields |= LORE_FIELD(LORE_ATTR_TEXT);
    else
        version->text = old.text;
    if (sim_below(random, 2) == 0)
        fields |= LORE_FIELD(LORE_ATTR_KIND) | LORE_FIELD(LORE_ATTR_TAGS);
    else
        version->kind = old.kind;
    if (sim_below(random, 2) == 0)
        fields |= LORE_FIELD(LORE_ATTR_IMPORTANCE);
    else
        version->importance = old.importance;
    fill(world, number, fields, embeds, written, &memory);
    sim_trace(world, "  update %u = %u (fields %#x%s)", slot, number, fields,
              embeds ? ", embedding" : "");
    bool poisoned = sim_is_poisoned(world);
    model_begin(model, client->number);
    if (before != SIM_ABSENT) model_effect(model, client->number, slot, number);
    lore_status status = lore_memory_update(world->store, &memory);
    free(written);
    if (!world->dead && status == LORE_OK && before == SIM_ABSENT)
        sim_violation(world, "a memory was updated that is not there");
    if (!world->dead && status == LORE_NOT_FOUND && before != SIM_ABSENT)
        sim_violation(world, "update does not find memory %u", slot);
    world_written(client, status, poisoned, "memory-update");
}

static void take_away(struct sim_client *client, bool embedding, uint64_t *random) {
    struct sim_world *world = client->world;
    struct sim_model *model = &world->model;
    char id[ID_BYTES];
    unsigned slot = 2 * SIM_KEYS + (unsigned)sim_below(random, SIM_MEMORIES);
    uint32_t before = model->clients[client->number].now[slot], after = SIM_ABSENT;
    bool there = before != SIM_ABSENT && (!embedding || model->versions[before].embedding != 0);
    bool poisoned = sim_is_poisoned(world);
    if (there && embedding) {
        after = model->versions[before].child;
        if (after == 0) {
            after = model_version_new(model, client->number, slot);
            model->versions[before].child = after;
            model->versions[after] = model->versions[before];
            model->versions[after].embedding = 0;
            model->versions[after].child = 0;
        }
    }
    model_begin(model, client->number);
    if (there) model_effect(model, client->number, slot, after);
    sim_trace(world, "  %s %u", embedding ? "unembed" : "delete memory", slot);
    lore_slice name = id_of(client->number, slot, id);
    lore_status status = embedding ? lore_embedding_delete(world->store, name, SIM_SPACE)
                                   : lore_memory_delete(world->store, name);
    if (!world->dead && status == LORE_OK && !there)
        sim_violation(world, "%s: LORE_OK, though it is not there",
                      embedding ? "unembed" : "memory-delete");
    if (!world->dead && status == LORE_NOT_FOUND && there)
        sim_violation(world, "%s does not find memory %u", embedding ? "unembed" : "memory-delete",
                      slot);
    if (status == LORE_OK && !embedding) written_away(client, slot);
    world_written(client, status, poisoned, embedding ? "unembed" : "memory-delete");
}

/* ---- reading ---- */

static void check_count(struct sim_client *client, unsigned slot, uint64_t count) {
    uint64_t low = client->counts_low[slot - 2 * SIM_KEYS];
    uint64_t high = client->counts_high[slot - 2 * SIM_KEYS];
    if (count < low || count > 2 * high) /* while they are written they are seen twice */
        sim_violation(client->world, "memory %u was read %llu times; %llu to %llu are possible",
                      slot, (unsigned long long)count, (unsigned long long)low,
                      (unsigned long long)high);
}

static void get(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    char id[ID_BYTES];
    bool own = sim_below(random, 2) == 0;
    unsigned whose = own ? client->number : (unsigned)sim_below(random, world->plan->clients);
    unsigned slot = 2 * SIM_KEYS + (unsigned)sim_below(random, SIM_MEMORIES);
    bool counts = whose == client->number && sim_below(random, 2) == 0;
    struct sim_reading reading;
    model_read_begin(&world->model, &reading);
    lore_record *record = NULL;
    unsigned flags = LORE_READ_EMBEDDINGS | (counts ? 0 : LORE_READ_NO_ACCESS);
    lore_status status =
        lore_memory_get(world->store, NULL, id_of(whose, slot, id), flags, &record);
    uint32_t version = SIM_ABSENT;
    if (status == LORE_OK)
        version = identify(world, lore_record_memory(record), whose, slot, true);
    else if (status != LORE_NOT_FOUND && sim_read_failed(world, status, "memory-get"))
        return;
    sim_trace(world, "  memory get c%u %u -> %u", whose, slot, version);
    sim_mix(world, version);
    if (!world->dead && !model_allows(&world->model, &reading, whose, slot, version))
        sim_violation(world, "memory of c%u slot %u: version %u, now it is %u", whose, slot,
                      version, world->model.clients[whose].now[slot]);
    if (record != NULL && whose == client->number && !world->dead) {
        check_count(client, slot, lore_record_memory(record)->access_count);
        bool quiet = !world->faulty && !world->damaged && world->errors == 0 && world->crashes == 0;
        if (counts) client->counts_high[slot - 2 * SIM_KEYS]++;
        if (counts && quiet) client->counts_low[slot - 2 * SIM_KEYS]++;
    }
    lore_record_destroy(record);
}

/* The client's own memories that match, in order of writing. */
struct wanted {
    uint32_t versions[SIM_MEMORIES];
    size_t count;
};

static int kind_wanted(const struct sim_version *version, int kind, const char *word,
                       const struct sim_world *world) {
    char text[TEXT_BYTES];
    if (kind >= 0 && version->kind != kind) return 0;
    if (word == NULL) return 1;
    lore_slice found = text_of(world, version->text, text);
    size_t size = strlen(word);
    for (size_t i = 0; i + size <= found.size; i++)
        if (memcmp(text + i, word, size) == 0) return 1;
    return 0;
}

static void want(const struct sim_client *client, int kind, const char *word, bool by_order,
                 struct wanted *wanted) {
    const struct sim_world *world = client->world;
    const uint32_t *now = world->model.clients[client->number].now;
    const struct sim_version *versions = world->model.versions;
    wanted->count = 0;
    for (unsigned slot = 2 * SIM_KEYS; slot < SIM_SLOTS; slot++) {
        if (now[slot] == SIM_ABSENT || !kind_wanted(&versions[now[slot]], kind, word, world))
            continue;
        if (by_order && !is_turn(slot)) continue;
        size_t at = wanted->count++;
        wanted->versions[at] = now[slot];
        for (; at > 0; at--) {
            const struct sim_version *a = &versions[wanted->versions[at - 1]];
            const struct sim_version *b = &versions[wanted->versions[at]];
            if (by_order ? a->order < b->order : a->text < b->text) break;
            uint32_t swapped = wanted->versions[at - 1];
            wanted->versions[at - 1] = wanted->versions[at];
            wanted->versions[at] = swapped;
        }
    }
}

/* Hits are `wanted` from `first` on, `count` of them. */
static void check_hits(struct sim_client *client, const lore_results *results,
                       const struct wanted *wanted, size_t first, size_t count, const char *what) {
    struct sim_world *world = client->world;
    sim_mix(world, lore_results_count(results));
    if (world->dead) return;
    if (lore_results_count(results) != count)
        sim_violation(world, "%s finds %zu memories; %zu match", what, lore_results_count(results),
                      count);
    for (size_t i = 0; i < count; i++) {
        uint32_t version = wanted->versions[first + i];
        unsigned slot = world->model.versions[version].slot;
        lore_hit hit = lore_results_hit(results, i);
        char id[ID_BYTES];
        lore_slice name = id_of(client->number, slot, id);
        if (hit.memory->id.size != name.size ||
            memcmp(hit.memory->id.data, name.data, name.size) != 0)
            sim_violation(world, "%s: hit %zu is %.*s, not %.*s", what, i, (int)hit.memory->id.size,
                          (const char *)hit.memory->id.data, (int)name.size,
                          (const char *)name.data);
        if (!matches(world, &world->model.versions[version], version, hit.memory, false))
            sim_violation(world, "%s: hit %zu is not version %u of slot %u", what, i, version,
                          slot);
    }
}

static void search(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    struct wanted wanted;
    lore_filter filters[2] = {{.attribute = LORE_ATTR_USER,
                               .op = LORE_FILTER_EQ,
                               .text = lore_slice_of(users[client->number])},
                              {.attribute = LORE_ATTR_KIND, .op = LORE_FILTER_EQ}};
    int kind = sim_below(random, 2) == 0 ? (int)sim_below(random, 3) : -1;
    const char *word = sim_below(random, 2) == 0 ? words[sim_below(random, 5)] : NULL;
    lore_query query;
    lore_query_init(&query);
    query.filters = filters;
    query.filters_count = 1;
    if (kind >= 0) filters[query.filters_count++].text = lore_slice_of(kinds[kind]);
    if (sim_below(random, 4) == 0 && kind >= 0) filters[1].attribute = LORE_ATTR_TAGS;
    if (word != NULL) query.substring = lore_slice_of(word);
    query.limit = sim_below(random, 2) == 0 ? 0 : 1 + sim_below(random, 4);
    query.flags = LORE_READ_NO_ACCESS;
    want(client, kind, word, false, &wanted);
    uint64_t count;
    lore_status status = lore_count(world->store, NULL, &query, &count);
    if (sim_read_failed(world, status, "count")) return;
    if (!world->dead && count != wanted.count)
        sim_violation(world, "count: %llu memories, %zu match", (unsigned long long)count,
                      wanted.count);
    lore_results *results;
    status = lore_search(world->store, NULL, &query, &results);
    if (sim_read_failed(world, status, "search")) return;
    size_t some = query.limit == 0 || query.limit > wanted.count ? wanted.count : query.limit;
    check_hits(client, results, &wanted, 0, some, "search");
    lore_results_destroy(results);
}

static int compare_floats(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void nearest(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    const uint32_t *now = world->model.clients[client->number].now;
    float vector[SIM_DIMENSIONS], distances[SIM_MEMORIES];
    uint32_t number = (uint32_t)sim_below(random, 1000);
    size_t count = 0;
    for (unsigned slot = 2 * SIM_KEYS; slot < SIM_SLOTS; slot++) {
        uint32_t embedding = world->model.versions[now[slot]].embedding;
        if (now[slot] != SIM_ABSENT && embedding != 0)
            distances[count++] = distance_of(embedding, number);
    }
    qsort(distances, count, sizeof distances[0], compare_floats);
    vector_of(number, vector);
    lore_filter filter = {.attribute = LORE_ATTR_USER,
                          .op = LORE_FILTER_EQ,
                          .text = lore_slice_of(users[client->number])};
    lore_query query;
    lore_query_init(&query);
    query.filters = &filter;
    query.filters_count = 1;
    query.space = SIM_SPACE;
    query.vector = (lore_slice){vector, sizeof vector};
    query.limit = 1 + sim_below(random, 6);
    query.flags = LORE_READ_NO_ACCESS | LORE_READ_EMBEDDINGS;
    lore_results *results;
    lore_status status = lore_search(world->store, NULL, &query, &results);
    if (sim_read_failed(world, status, "nearest")) return;
    size_t wanted = count < query.limit ? count : query.limit;
    sim_mix(world, lore_results_count(results));
    if (!world->dead && lore_results_count(results) != wanted)
        sim_violation(world, "nearest: %zu hits, %zu match", lore_results_count(results), wanted);
    for (size_t i = 0; i < wanted && !world->dead; i++) {
        lore_hit hit = lore_results_hit(results, i);
        unsigned whose, slot;
        if (hit.distance < distances[i] || hit.distance > distances[i])
            sim_violation(world, "nearest: hit %zu at distance %g, not %g", i, (double)hit.distance,
                          (double)distances[i]);
        if (!slot_of_id(hit.memory->id, &whose, &slot) || whose != client->number ||
            identify(world, hit.memory, whose, slot, true) != now[slot])
            sim_violation(world, "nearest: hit %zu is not what that memory is now", i);
    }
    lore_results_destroy(results);
}

static void chat(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    struct wanted wanted;
    lore_chat_query query;
    lore_chat_query_init(&query);
    query.session_id = lore_slice_of(sessions[client->number]);
    query.flags = LORE_READ_NO_ACCESS;
    query.last = sim_below(random, 2) == 0 ? 0 : 1 + sim_below(random, 3);
    want(client, -1, NULL, true, &wanted);
    lore_results *results;
    lore_status status = lore_chat(world->store, NULL, &query, &results);
    if (sim_read_failed(world, status, "chat")) return;
    size_t some = query.last == 0 || query.last > wanted.count ? wanted.count : query.last;
    check_hits(client, results, &wanted, wanted.count - some, some, "chat");
    lore_results_destroy(results);
}

struct own_user {
    const char *name;
    uint64_t count;
};

static bool note_user(void *context, lore_slice value, uint64_t count) {
    struct own_user *own = context;
    if (slice_is(value, own->name)) own->count = count;
    return true;
}

static void values(struct sim_client *client) {
    struct sim_world *world = client->world;
    struct own_user own = {users[client->number], 0};
    struct wanted wanted;
    want(client, -1, NULL, false, &wanted);
    lore_status status = lore_values(world->store, NULL, LORE_ATTR_USER, note_user, &own);
    if (sim_read_failed(world, status, "values") || world->dead) return;
    if (own.count != wanted.count)
        sim_violation(world, "values: %llu memories of %s; %zu are there",
                      (unsigned long long)own.count, own.name, wanted.count);
}

void memories_operation(struct sim_client *client, const struct sim_operation *operation,
                        uint64_t *random) {
    /* Of an operation without an answer nobody knows what it did. */
    bool unknown = model_last_is_unknown(&client->world->model, client->number);
    if (unknown && operation->kind != SIM_MEMORY_GET) return;
    switch ((enum sim_kind)operation->kind) {
    case SIM_MEMORY_PUT: put(client, random); return;
    case SIM_MEMORY_UPDATE: update(client, random); return;
    case SIM_MEMORY_DELETE: take_away(client, false, random); return;
    case SIM_UNEMBED: take_away(client, true, random); return;
    case SIM_MEMORY_GET: get(client, random); return;
    case SIM_MEMORY_SCAN: values(client); return;
    case SIM_SEARCH: search(client, random); return;
    case SIM_NEAREST: nearest(client, random); return;
    case SIM_CHAT: chat(client, random); return;
    default: return;
    }
}
