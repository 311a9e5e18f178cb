/*
 * sim_raw.c - operations on keyspaces, snapshots and maintenance. See sim_world.h.
 */
#include "sim_world.h"

#define VALUE_BYTES_MAX 24000
#define KEY_BYTES_MAX   256
#define COUNTERS_SPACE  3u

/* ---- keys and values ---- */

static lore_keyspace keyspace_of(unsigned slot) {
    return slot < SIM_KEYS ? 1 : 2;
}

/* Some keys are long. */
static lore_slice key_of(unsigned client, unsigned slot, char buffer[KEY_BYTES_MAX]) {
    unsigned number = slot % SIM_KEYS;
    int size = snprintf(buffer, KEY_BYTES_MAX, "c%u/%02u", client, number);
    if (number % 7 == 3) {
        memset(buffer + size, 'k', 200);
        size += 200;
    }
    return (lore_slice){buffer, (size_t)size};
}

static size_t value_size(const struct sim_world *world, uint32_t version) {
    uint64_t state = version, die = sim_below(&state, 100);
    uint32_t max = world->plan->value_bytes_max;
    if (die < 50) return 20 + sim_below(&state, 40);
    if (die < 90) return 20 + sim_below(&state, max / 4 + 1);
    return 20 + sim_below(&state, max);
}

static lore_slice value_of(const struct sim_world *world, uint32_t version, char *buffer) {
    const struct sim_version *of = &world->model.versions[version];
    size_t size = value_size(world, version);
    int head = snprintf(buffer, 64, "c%u/%02u=%u;", of->client, of->slot, version);
    uint64_t state = version;
    for (size_t i = (size_t)head; i < size; i++)
        buffer[i] = i % 3 == 0 ? (char)sim_random(&state) : 'a';
    return (lore_slice){buffer, size > (size_t)head ? size : (size_t)head};
}

static uint32_t version_of(const struct sim_world *world, unsigned client, unsigned slot,
                           lore_slice value) {
    static char expected[VALUE_BYTES_MAX];
    char head[64] = "";
    unsigned found_client, found_slot;
    uint32_t version;
    memcpy(head, value.data, value.size < 63 ? value.size : 63);
    if (sscanf(head, "c%u/%u=%u;", &found_client, &found_slot, &version) != 3) return SIM_WRONG;
    if (version == 0 || version >= world->model.versions_count) return SIM_WRONG;
    const struct sim_version *of = &world->model.versions[version];
    if (of->client != client || of->slot != slot) return SIM_WRONG;
    lore_slice wanted = value_of(world, version, expected);
    bool same = wanted.size == value.size && memcmp(wanted.data, value.data, value.size) == 0;
    return same ? version : SIM_WRONG;
}

static bool slot_of_key(lore_keyspace keyspace, lore_slice key, unsigned *client, unsigned *slot) {
    char head[16] = "", expected[KEY_BYTES_MAX];
    memcpy(head, key.data, key.size < 15 ? key.size : 15);
    if (sscanf(head, "c%u/%u", client, slot) != 2) return false;
    if (*client >= SIM_CLIENTS || *slot >= SIM_KEYS) return false;
    if (keyspace == 2) *slot += SIM_KEYS;
    lore_slice wanted = key_of(*client, *slot, expected);
    return wanted.size == key.size && memcmp(wanted.data, key.data, key.size) == 0;
}

/* ---- writing ---- */

static char *buffer_new(void) {
    char *buffer = malloc(VALUE_BYTES_MAX);
    if (buffer == NULL) abort();
    return buffer;
}

static lore_status do_put(struct sim_client *client, uint64_t *random) {
    char key[KEY_BYTES_MAX];
    struct sim_world *world = client->world;
    unsigned slot = (unsigned)sim_below(random, 2 * SIM_KEYS);
    uint32_t version = model_version_new(&world->model, client->number, slot);
    sim_trace(world, "  put %u = %u", slot, version);
    model_effect(&world->model, client->number, slot, version);
    char *value = buffer_new();
    lore_status status =
        lore_put(world->store, keyspace_of(slot), key_of(client->number, slot, key),
                 value_of(world, version, value));
    free(value);
    return status;
}

static lore_status do_delete(struct sim_client *client, uint64_t *random) {
    char key[KEY_BYTES_MAX];
    unsigned slot = (unsigned)sim_below(random, 2 * SIM_KEYS);
    sim_trace(client->world, "  delete %u", slot);
    model_effect(&client->world->model, client->number, slot, SIM_ABSENT);
    return lore_delete(client->world->store, keyspace_of(slot), key_of(client->number, slot, key));
}

static void range_effects(struct sim_client *client, unsigned first, unsigned end) {
    for (unsigned slot = first; slot < end; slot++)
        model_effect(&client->world->model, client->number, slot, SIM_ABSENT);
}

/* A range of the client's own keys in one keyspace: [*first, *end), as slots. */
static void draw_range(struct sim_client *client, uint64_t *random, unsigned *first, unsigned *end,
                       char a[KEY_BYTES_MAX], char b[KEY_BYTES_MAX], lore_slice *begin,
                       lore_slice *stop) {
    unsigned base = (unsigned)sim_below(random, 2) * SIM_KEYS;
    unsigned from = (unsigned)sim_below(random, SIM_KEYS);
    unsigned to = from + (unsigned)sim_below(random, SIM_KEYS - from + 1);
    *first = base + from;
    *end = base + to;
    *begin = key_of(client->number, *first, a);
    if (to == SIM_KEYS)
        *stop = (lore_slice){b, (size_t)snprintf(b, KEY_BYTES_MAX, "c%u0", client->number)};
    else
        *stop = key_of(client->number, *end, b);
}

static lore_status do_range(struct sim_client *client, uint64_t *random) {
    char a[KEY_BYTES_MAX], b[KEY_BYTES_MAX];
    unsigned first, end;
    lore_slice begin, stop;
    draw_range(client, random, &first, &end, a, b, &begin, &stop);
    sim_trace(client->world, "  delete range %u to %u", first, end);
    range_effects(client, first, end);
    return lore_delete_range(client->world->store, keyspace_of(first), begin, stop);
}

/* Both keyspaces, all kinds of entries, later ones over earlier ones. */
static lore_status fill_batch(struct sim_client *client, lore_batch *batch, uint64_t *random) {
    char *value = buffer_new();
    char a[KEY_BYTES_MAX], b[KEY_BYTES_MAX];
    struct sim_world *world = client->world;
    lore_status status = LORE_OK;
    unsigned entries = 2 + (unsigned)sim_below(random, 8);
    for (unsigned i = 0; i < entries && status == LORE_OK; i++) {
        unsigned slot = (unsigned)sim_below(random, 2 * SIM_KEYS);
        uint64_t die = sim_below(random, 10);
        if (die == 0) {
            unsigned first, end;
            lore_slice begin, stop;
            draw_range(client, random, &first, &end, a, b, &begin, &stop);
            range_effects(client, first, end);
            status = lore_batch_delete_range(batch, keyspace_of(first), begin, stop);
        } else if (die < 3) {
            model_effect(&world->model, client->number, slot, SIM_ABSENT);
            status = lore_batch_delete(batch, keyspace_of(slot), key_of(client->number, slot, a));
        } else {
            uint32_t version = model_version_new(&world->model, client->number, slot);
            model_effect(&world->model, client->number, slot, version);
            status = lore_batch_put(batch, keyspace_of(slot), key_of(client->number, slot, a),
                                    value_of(world, version, value));
        }
    }
    free(value);
    return status;
}

/* Sometimes on a condition about an own key, which nobody else writes: so it is known to hold, or
 * not to. */
static lore_status add_condition(struct sim_client *client, lore_batch *batch, uint64_t *random,
                                 bool *holds) {
    char key[KEY_BYTES_MAX];
    *holds = true;
    if (sim_below(random, 3) != 0) return LORE_OK;
    unsigned slot = (unsigned)sim_below(random, 2 * SIM_KEYS);
    struct sim_client_model *of = &client->world->model.clients[client->number];
    *holds = of->now[slot] == SIM_ABSENT;
    lore_slice name = key_of(client->number, slot, key);
    if (sim_below(random, 2) == 0) return lore_batch_require_absent(batch, keyspace_of(slot), name);
    return lore_batch_require_unchanged(batch, keyspace_of(slot), name, 0);
}

static lore_status do_batch(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    lore_batch *batch;
    lore_status status = lore_batch_create(world->store, &batch);
    if (status != LORE_OK) return status;
    bool holds;
    status = add_condition(client, batch, random, &holds);
    if (status == LORE_OK) status = fill_batch(client, batch, random);
    if (status == LORE_OK) {
        status = lore_write(world->store, batch, NULL);
        if (status == LORE_OK && !holds && !world->dead)
            sim_violation(world, "a batch was written whose condition does not hold");
        if (status == LORE_CONFLICT && holds && !world->dead)
            sim_violation(world, "LORE_CONFLICT though the condition holds");
        if (status == LORE_CONFLICT) {
            lore_batch_destroy(batch);
            return LORE_CONFLICT;
        }
    }
    lore_batch_destroy(batch);
    return status;
}

/* ---- counters ---- */

static lore_slice counter_key(unsigned counter, char buffer[16]) {
    return (lore_slice){buffer, (size_t)snprintf(buffer, 16, "n%u", counter)};
}

lore_status counter_read(struct sim_world *world, lore_store *store, unsigned counter,
                         uint32_t *value, uint64_t *sequence) {
    char key[16];
    lore_buffer buffer = {0};
    *value = 0;
    *sequence = 0;
    lore_status status =
        lore_get(store, NULL, COUNTERS_SPACE, counter_key(counter, key), &buffer, sequence);
    if (status == LORE_OK) {
        if (buffer.size != sizeof *value) sim_violation(world, "a counter of other bytes");
        memcpy(value, buffer.data, sizeof *value);
    }
    if (status == LORE_NOT_FOUND) {
        *sequence = 0;
        status = LORE_OK;
    }
    lore_buffer_free(&buffer);
    return status;
}

static void count_up(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    unsigned counter = (unsigned)sim_below(random, SIM_COUNTERS);
    uint32_t low = world->model.acknowledged[counter], value;
    uint64_t sequence;
    char key[16];
    lore_status status = counter_read(world, world->store, counter, &value, &sequence);
    if (sim_read_failed(world, status, "counter")) return;
    if (value < low || value > world->model.acknowledged[counter] + world->model.unknown[counter])
        sim_violation(world, "counter %u is %u; %u to %u + %u is possible", counter, value, low,
                      world->model.acknowledged[counter], world->model.unknown[counter]);
    lore_batch *batch;
    status = lore_batch_create(world->store, &batch);
    if (sim_read_failed(world, status, "batch")) return;
    bool poisoned = sim_is_poisoned(world);
    uint32_t next = value + 1;
    lore_slice name = counter_key(counter, key);
    status = sequence == 0 ? lore_batch_require_absent(batch, COUNTERS_SPACE, name)
                           : lore_batch_require_unchanged(batch, COUNTERS_SPACE, name, sequence);
    if (status == LORE_OK)
        status = lore_batch_put(batch, COUNTERS_SPACE, name, (lore_slice){&next, sizeof next});
    world->model.unknown[counter]++;
    if (status == LORE_OK) status = lore_write(world->store, batch, NULL);
    lore_batch_destroy(batch);
    sim_trace(world, "  counter %u to %u: %s", counter, next, lore_status_name(status));
    if (status == LORE_OK && !world->dead) {
        world->model.unknown[counter]--;
        if (next <= world->model.acknowledged[counter])
            sim_violation(world, "counter %u was raised to %u twice", counter, next);
        world->model.acknowledged[counter] = next;
        if (world->options.durability == LORE_SYNC_FULL)
            world->model.durable_counter[counter] = next;
        return;
    }
    if (status != LORE_CONFLICT) sim_check_status(world, status, "count-up");
    if (!world->dead && (poisoned || !sim_is_poisoned(world))) world->model.unknown[counter]--;
}

/* ---- reading ---- */

/* A slot of anyone's by get. */
static void get_one(struct sim_client *client, const lore_snapshot *snapshot,
                    const struct sim_view *view, uint64_t *random) {
    struct sim_world *world = client->world;
    char key[KEY_BYTES_MAX];
    bool own = sim_below(random, 2) == 0;
    unsigned whose = own ? client->number : (unsigned)sim_below(random, world->plan->clients);
    unsigned slot = (unsigned)sim_below(random, 2 * SIM_KEYS);
    struct sim_reading reading;
    model_read_begin(&world->model, &reading);
    lore_buffer buffer = {0};
    lore_status status = lore_get(world->store, snapshot, keyspace_of(slot),
                                  key_of(whose, slot, key), &buffer, NULL);
    uint32_t version = SIM_ABSENT;
    if (status == LORE_OK)
        version = version_of(world, whose, slot, (lore_slice){buffer.data, buffer.size});
    else if (status != LORE_NOT_FOUND && sim_read_failed(world, status, "get")) {
        lore_buffer_free(&buffer);
        return;
    }
    lore_buffer_free(&buffer);
    sim_trace(world, "  get c%u %u -> %u", whose, slot, version);
    sim_mix(world, version);
    if (world->dead) return;
    if (view == NULL) {
        if (!model_allows(&world->model, &reading, whose, slot, version))
            sim_violation(world, "get of c%u slot %u: version %u, now it is %u", whose, slot,
                          version, world->model.clients[whose].now[slot]);
        return;
    }
    bool found = view->clients[whose].count == 0;
    for (size_t i = 0; i < view->clients[whose].count; i++)
        found |= view->clients[whose].list[i].slots[slot] == version;
    if (!found)
        sim_violation(world, "get at a snapshot of c%u slot %u: version %u, not %u", whose, slot,
                      version, view->clients[whose].list[0].slots[slot]);
}

void raw_probe(struct sim_world *world, const struct sim_reading *reading) {
    char key[KEY_BYTES_MAX];
    for (unsigned client = 0; client < world->plan->clients; client++)
        for (unsigned slot = 0; slot < 2 * SIM_KEYS; slot++) {
            lore_buffer buffer = {0};
            lore_status status = lore_get(world->store, NULL, keyspace_of(slot),
                                          key_of(client, slot, key), &buffer, NULL);
            lore_slice value = {buffer.data, buffer.size};
            uint32_t version =
                status == LORE_OK ? version_of(world, client, slot, value) : SIM_ABSENT;
            lore_buffer_free(&buffer);
            if (status != LORE_NOT_FOUND && sim_read_failed(world, status, "get")) continue;
            if (!world->dead && !model_allows(&world->model, reading, client, slot, version))
                sim_violation(world, "probe of c%u slot %u: version %u, last it was %u", client,
                              slot, version, world->model.clients[client].now[slot]);
        }
}

static lore_status take_entry(struct sim_world *world, lore_iter *iter, lore_keyspace keyspace,
                              struct sim_content *content) {
    unsigned client, slot;
    lore_slice key = lore_iter_key(iter), value;
    if (!slot_of_key(keyspace, key, &client, &slot))
        sim_violation(world, "an iterator gives a key that nobody wrote: %.*s", (int)key.size,
                      (const char *)key.data);
    lore_status status = lore_iter_value(iter, &value);
    if (status != LORE_OK) return status;
    if (content->slots[client][slot] != SIM_ABSENT)
        sim_violation(world, "an iterator gives c%u slot %u twice", client, slot);
    uint32_t version = version_of(world, client, slot, value);
    if (version == SIM_WRONG)
        sim_violation(world, "an iterator gives c%u slot %u a value that nobody wrote", client,
                      slot);
    content->slots[client][slot] = version;
    return LORE_OK;
}

static lore_status keyspace_read(struct sim_world *world, lore_store *store,
                                 const lore_snapshot *snapshot, lore_keyspace keyspace,
                                 bool backward, struct sim_content *content) {
    lore_iter *iter;
    lore_status status = lore_iter_create(store, snapshot, keyspace, NULL, &iter);
    if (status != LORE_OK) return status;
    status = backward ? lore_iter_seek_last(iter) : lore_iter_seek_first(iter);
    while (status == LORE_OK && lore_iter_valid(iter)) {
        status = take_entry(world, iter, keyspace, content);
        if (status == LORE_OK) status = backward ? lore_iter_prev(iter) : lore_iter_next(iter);
    }
    lore_iter_destroy(iter);
    return status;
}

/* All at one snapshot: without one given, at one of its own where the two keyspaces and the
 * memories shall agree. */
lore_status world_read(struct sim_world *world, lore_store *store, const lore_snapshot *snapshot,
                       bool backward, struct sim_content *content) {
    lore_snapshot *own = NULL;
    lore_status status = LORE_OK;
    memset(content, 0, sizeof *content);
    if (snapshot == NULL) status = lore_snapshot_create(store, &own);
    if (own != NULL) snapshot = own;
    if (status == LORE_OK) status = keyspace_read(world, store, snapshot, 1, backward, content);
    if (status == LORE_OK) status = keyspace_read(world, store, snapshot, 2, backward, content);
    if (status == LORE_OK) status = memories_read(world, store, snapshot, content);
    lore_snapshot_release(own);
    return status;
}

static void report_difference(struct sim_world *world, const struct sim_view *view,
                              const struct sim_content *content, const char *what) {
    for (unsigned c = 0; c < SIM_CLIENTS; c++) {
        bool matches = view->clients[c].count == 0;
        for (size_t i = 0; i < view->clients[c].count; i++)
            matches |= memcmp(view->clients[c].list[i].slots, content->slots[c],
                              sizeof content->slots[c]) == 0;
        if (matches) continue;
        for (unsigned slot = 0; slot < SIM_SLOTS; slot++) {
            uint32_t wanted = view->clients[c].list[0].slots[slot];
            if (wanted != content->slots[c][slot])
                printf("  c%u slot %u: found version %u, expected %u\n", c, slot,
                       content->slots[c][slot], wanted);
        }
        sim_violation(world, "%s: client %u's slots equal none of %zu possible states", what, c,
                      view->clients[c].count);
    }
    sim_violation(world, "%s: no prefix of what happened", what);
}

static void check_content(struct sim_world *world, const struct sim_view *view,
                          const struct sim_content *content, const char *what) {
    if (world->dead) return;
    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        for (unsigned slot = 0; slot < SIM_SLOTS; slot++)
            sim_mix(world, content->slots[c][slot]);
    if (!model_view_matches(&world->model, view, content, (1u << SIM_CLIENTS) - 1, NULL))
        report_difference(world, view, content, what);
}

void snapshot_check(struct sim_world *world, const lore_snapshot *snapshot,
                    const struct sim_view *view, uint64_t *random) {
    struct sim_content content;
    lore_status status =
        world_read(world, world->store, snapshot, sim_below(random, 2) == 0, &content);
    if (!sim_read_failed(world, status, "snapshot"))
        check_content(world, view, &content, "snapshot");
}

static void scan(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    struct sim_content content;
    struct sim_reading reading;
    struct sim_view *view = malloc(sizeof *view);
    if (view == NULL) abort();
    model_read_begin(&world->model, &reading);
    lore_snapshot *snapshot;
    lore_status status = lore_snapshot_create(world->store, &snapshot);
    model_read_end(&world->model, &reading, view);
    if (!sim_read_failed(world, status, "snapshot")) {
        status = world_read(world, world->store, snapshot, sim_below(random, 2) == 0, &content);
        lore_snapshot_release(snapshot);
        if (!sim_read_failed(world, status, "scan")) check_content(world, view, &content, "scan");
    }
    free(view);
}

/* A walk to and fro over the client's own keys of one keyspace, which nobody else changes. */
static void walk(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    char prefix[16], key[KEY_BYTES_MAX];
    unsigned base = (unsigned)sim_below(random, 2) * SIM_KEYS, list[SIM_KEYS];
    int count = 0, at = -1;
    const uint32_t *now = world->model.clients[client->number].now;
    for (unsigned slot = base; slot < base + SIM_KEYS; slot++)
        if (now[slot] != SIM_ABSENT) list[count++] = slot;
    if (model_last_is_unknown(&world->model, client->number)) return;
    snprintf(prefix, sizeof prefix, "c%u/", client->number);
    lore_range range = {.prefix = lore_slice_of(prefix)};
    lore_iter *iter;
    lore_status status = lore_iter_create(world->store, NULL, keyspace_of(base), &range, &iter);
    if (sim_read_failed(world, status, "iterator")) return;
    for (unsigned step = 0; step < 24 && status == LORE_OK; step++) {
        uint64_t die = sim_below(random, 10);
        unsigned slot = base + (unsigned)sim_below(random, SIM_KEYS);
        if (at < 0 || at >= count || die == 0) {
            int which = (int)sim_below(random, 4);
            lore_slice name = key_of(client->number, slot, key);
            status = which == 0   ? lore_iter_seek_first(iter)
                     : which == 1 ? lore_iter_seek_last(iter)
                     : which == 2 ? lore_iter_seek(iter, name)
                                  : lore_iter_seek_back(iter, name);
            at = which == 0 ? 0 : which == 1 ? count - 1 : which == 2 ? 0 : count - 1;
            while (which == 2 && at < count && list[at] < slot)
                at++;
            while (which == 3 && at >= 0 && list[at] > slot)
                at--;
        } else if (die < 6) {
            status = lore_iter_next(iter);
            at++;
        } else {
            status = lore_iter_prev(iter);
            at--;
        }
        if (sim_read_failed(world, status, "walk")) break;
        bool valid = at >= 0 && at < count;
        if (lore_iter_valid(iter) != valid)
            sim_violation(world, "walk: the iterator is%s valid at %d of %d", valid ? " not" : "",
                          at, count);
        if (!valid) continue;
        lore_slice wanted = key_of(client->number, list[at], key), found = lore_iter_key(iter);
        if (found.size != wanted.size || memcmp(found.data, wanted.data, wanted.size) != 0)
            sim_violation(world, "walk: key %.*s in place of %.*s", (int)found.size,
                          (const char *)found.data, (int)wanted.size, (const char *)wanted.data);
        lore_slice value;
        status = lore_iter_value(iter, &value);
        if (sim_read_failed(world, status, "walk")) break;
        if (version_of(world, client->number, list[at], value) != now[list[at]])
            sim_violation(world, "walk: slot %u is not version %u", list[at], now[list[at]]);
    }
    lore_iter_destroy(iter);
}

/* ---- snapshots ---- */

static void snapshot_make(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    unsigned which = (unsigned)sim_below(random, SIM_OPEN_SNAPSHOTS);
    lore_snapshot_release(client->snapshots[which]);
    client->snapshots[which] = NULL;
    struct sim_reading reading;
    model_read_begin(&world->model, &reading);
    lore_status status = lore_snapshot_create(world->store, &client->snapshots[which]);
    model_read_end(&world->model, &reading, &client->views[which]);
    (void)sim_read_failed(world, status, "snapshot");
}

static void snapshot_use(struct sim_client *client, uint64_t *random) {
    unsigned which = (unsigned)sim_below(random, SIM_OPEN_SNAPSHOTS);
    const lore_snapshot *snapshot = client->snapshots[which];
    if (snapshot == NULL) return;
    if (sim_below(random, 2) == 0)
        get_one(client, snapshot, &client->views[which], random);
    else
        snapshot_check(client->world, snapshot, &client->views[which], random);
}

void named_name(unsigned index, char name[16]) {
    snprintf(name, 16, "named-%u", index);
}

static void save(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    char name[16];
    unsigned index = (unsigned)sim_below(random, SIM_NAMED);
    struct sim_named *named = &world->named[index];
    if (named->may_exist) return;
    named_name(index, name);
    named->may_exist = true;
    named->changes++;
    struct sim_reading reading;
    uint32_t counters[SIM_COUNTERS];
    memcpy(counters, world->model.acknowledged, sizeof counters);
    model_read_begin(&world->model, &reading);
    lore_status status = lore_snapshot_save(world->store, name);
    model_read_end(&world->model, &reading, &named->view);
    sim_trace(world, "  save %s: %s", name, lore_status_name(status));
    sim_check_status(world, status, "save");
    if (world->dead || status == LORE_IO || status == LORE_CORRUPTION) return; /* it may be there */
    named->must_exist = status == LORE_OK;
    named->may_exist = status == LORE_OK;
    if (status == LORE_OK) world_note_sync(world, &reading, counters);
}

static void named_use(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    char name[16];
    unsigned index = (unsigned)sim_below(random, SIM_NAMED);
    struct sim_named *named = &world->named[index];
    if (!named->must_exist) return;
    named_name(index, name);
    lore_snapshot *snapshot;
    lore_status status = lore_snapshot_open(world->store, name, &snapshot);
    if (status == LORE_NOT_FOUND && !named->must_exist) return; /* dropped meanwhile */
    if (sim_read_failed(world, status, "named snapshot")) return;
    if (named->must_exist) {
        struct sim_view *view = malloc(sizeof *view);
        if (view == NULL) abort();
        *view = named->view;
        snapshot_check(world, snapshot, view, random);
        free(view);
    }
    lore_snapshot_release(snapshot);
}

static void drop(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    char name[16];
    unsigned index = (unsigned)sim_below(random, SIM_NAMED);
    struct sim_named *named = &world->named[index];
    if (!named->must_exist) return;
    named_name(index, name);
    named->must_exist = false;
    named->changes++;
    lore_status status = lore_snapshot_drop(world->store, name);
    sim_trace(world, "  drop %s: %s", name, lore_status_name(status));
    if (world->dead || status == LORE_IO || status == LORE_CORRUPTION) {
        sim_check_status(world, status, "drop");
        return;
    }
    named->must_exist = status != LORE_OK;
    named->may_exist = status != LORE_OK;
    sim_check_status(world, status, "drop");
}

/* ---- maintenance ---- */

static void print_finding(void *context, const lore_finding *finding) {
    struct sim_world *world = context;
    if (finding->status == LORE_OK) return;
    sim_trace(world, "finding: %s %s %s at %llu: %s", lore_status_name(finding->status),
              finding->kind, finding->file, (unsigned long long)finding->offset, finding->message);
}

static void verify(struct sim_client *client) {
    struct sim_world *world = client->world;
    lore_verify_report report = {0};
    lore_status status = lore_verify(world->store, print_finding, NULL, world, &report);
    if (sim_read_failed(world, status, "verify")) return;
    if (report.findings > 0 && !world->dead && !world->damaged)
        sim_violation(world, "verify has %llu findings", (unsigned long long)report.findings);
}

static void backup(struct sim_client *client) {
    struct sim_world *world = client->world;
    char path[32];
    static struct sim_view view; /* filled and taken over without a call in between */
    struct sim_reading reading;
    uint32_t low[SIM_COUNTERS];
    snprintf(path, sizeof path, "backup-%u", world->backups++);
    memcpy(low, world->model.acknowledged, sizeof low);
    uint32_t changes[SIM_NAMED];
    for (unsigned i = 0; i < SIM_NAMED; i++)
        changes[i] = world->named[i].changes;
    model_read_begin(&world->model, &reading);
    lore_status status = lore_backup(world->store, path, 0, NULL, NULL, NULL);
    sim_trace(world, "  %s: %s", path, lore_status_name(status));
    sim_check_status(world, status, "backup");
    if (status != LORE_OK || world->dead) return;
    model_read_end(&world->model, &reading, &view);
    world->has_backup = true;
    memcpy(world->backup_path, path, sizeof path);
    world->backup_view = view;
    for (unsigned i = 0; i < SIM_NAMED; i++) {
        world->backup_named[i] = world->named[i];
        if (changes[i] != world->named[i].changes) world->backup_named[i].must_exist = false;
    }
    memcpy(world->backup_counters_low, low, sizeof low);
    for (unsigned i = 0; i < SIM_COUNTERS; i++)
        world->backup_counters_high[i] = world->model.acknowledged[i] + world->model.unknown[i];
}

/* A second handle, read-only, beside the writer. */
static void reader(struct sim_client *client, uint64_t *random) {
    struct sim_world *world = client->world;
    lore_options options = world->options;
    struct sim_reading reading;
    options.read_only = true;
    model_read_begin(&world->model, &reading);
    lore_store *store;
    lore_status status = lore_open(SIM_STORE, &options, &store);
    if (status == LORE_CORRUPTION && strstr(lore_error_message(), "times in a row") != NULL) return;
    if (sim_read_failed(world, status, "reader")) return;
    bool strict = world->options.durability == LORE_SYNC_FULL && !world->faulty &&
                  !world->was_full && !world->damaged;
    struct sim_content content;
    static struct sim_view views[SIM_CLIENTS];
    struct sim_view *view = &views[client->number];
    uint64_t rounds = 1 + sim_below(random, 3);
    for (uint64_t i = 0; i < rounds; i++) {
        if (!strict) memset(&reading, 0, sizeof reading);
        model_read_end(&world->model, &reading, view);
        status = world_read(world, store, NULL, i % 2 == 1, &content);
        if (sim_read_failed(world, status, "reader")) break;
        if (strict && !world->faulty) check_content(world, view, &content, "reader");
        if (i + 1 == rounds) break;
        struct sim_reading later;
        model_read_begin(&world->model, &later);
        status = lore_refresh(store);
        if (status == LORE_CORRUPTION && strstr(lore_error_message(), "times in a row") != NULL)
            break;
        if (sim_read_failed(world, status, "refresh")) break;
        reading = later;
        strict = strict && world->options.durability == LORE_SYNC_FULL && !world->faulty &&
                 !world->was_full && !world->damaged;
    }
    status = lore_close(store);
    if (status != LORE_OK && !world->dead && !world->faulty)
        sim_violation(world, "closing a reader: %s: %s", lore_status_name(status),
                      lore_error_message());
}

static void maintain(struct sim_client *client, enum sim_kind kind, uint64_t *random) {
    struct sim_world *world = client->world;
    struct sim_reading reading;
    uint32_t counters[SIM_COUNTERS];
    bool more;
    memcpy(counters, world->model.acknowledged, sizeof counters);
    model_read_begin(&world->model, &reading);
    lore_status status = LORE_OK;
    if (kind == SIM_FLUSH)
        status = lore_flush(world->store);
    else if (kind == SIM_COMPACT)
        status = lore_compact(world->store, NULL, NULL);
    else if (kind == SIM_SYNC)
        status = lore_sync(world->store);
    else if (kind == SIM_STEP) {
        status = lore_step(world->store, UINT64_C(4096) << sim_below(random, 9), &more);
        if (status == LORE_MISUSE && world->options.background == LORE_BACKGROUND_THREAD) return;
    }
    sim_trace(world, "  %s: %s", sim_kind_names[kind], lore_status_name(status));
    sim_check_status(world, status, sim_kind_names[kind]);
    if (status == LORE_OK && kind != SIM_STEP && !world->dead)
        world_note_sync(world, &reading, counters);
}

/* ---- all of it ---- */

static void write_operation(struct sim_client *client, enum sim_kind kind, uint64_t *random) {
    struct sim_world *world = client->world;
    if (model_last_is_unknown(&world->model, client->number)) return;
    bool poisoned = sim_is_poisoned(world);
    model_begin(&world->model, client->number);
    lore_status status = kind == SIM_PUT      ? do_put(client, random)
                         : kind == SIM_DELETE ? do_delete(client, random)
                         : kind == SIM_RANGE  ? do_range(client, random)
                                              : do_batch(client, random);
    world_written(client, status, poisoned, sim_kind_names[kind]);
}

void raw_operation(struct sim_client *client, const struct sim_operation *operation,
                   uint64_t *random) {
    enum sim_kind kind = (enum sim_kind)operation->kind;
    switch (kind) {
    case SIM_PUT:
    case SIM_DELETE:
    case SIM_RANGE:
    case SIM_BATCH: write_operation(client, kind, random); return;
    case SIM_COUNT_UP: count_up(client, random); return;
    case SIM_GET: get_one(client, NULL, NULL, random); return;
    case SIM_SCAN: scan(client, random); return;
    case SIM_WALK: walk(client, random); return;
    case SIM_SNAPSHOT: snapshot_make(client, random); return;
    case SIM_SNAPSHOT_READ: snapshot_use(client, random); return;
    case SIM_SAVE: save(client, random); return;
    case SIM_NAMED_READ: named_use(client, random); return;
    case SIM_DROP: drop(client, random); return;
    case SIM_VERIFY: verify(client); return;
    case SIM_BACKUP: backup(client); return;
    case SIM_READER: reader(client, random); return;
    default: maintain(client, kind, random); return;
    }
}
