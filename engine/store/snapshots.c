/*
 * snapshots.c - snapshots, open and named. An open one is a pinned sequence number; a named one is
 * a catalog record whose sequence number every handle pins while the store is open.
 */
#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define NAME_BYTES_MAX 255u

/* Pin what `named` says, or the newest state. Under the mutex under which the visible sequence
 * moves: so the pin is there before any flush can drop what it needs. A reader's refresh is waited
 * for, and then waits for this read to end. */
static lore_status begin_read(lore_store *store, const struct named_snapshot_record *named,
                              struct store_read *reading) {
    struct commit_state *commit = &store->commit;
    env_lock(store->env, commit->mutex);
    while (commit->refreshing)
        env_wait(store->env, commit->changed, commit->mutex);
    reading->sequence = named != NULL ? named->sequence : atomic_load(&commit->visible_sequence);
    reading->row_watermark =
        named != NULL ? named->row_watermark : atomic_load(&commit->visible_row);
    reading->time_us = named != NULL ? named->time_us : atomic_load(&commit->visible_time_us);
    lore_status status = lsm_pin(store->lsm, reading->sequence);
    reading->pinned = status == LORE_OK;
    reading->counted = reading->pinned && store->options.read_only;
    if (reading->counted) commit->reading++;
    env_unlock(store->env, commit->mutex);
    return status;
}

lore_status store_read_begin(lore_store *store, const lore_snapshot *snapshot,
                             struct store_read *reading) {
    reading->pinned = false;
    reading->counted = false;
    reading->time_us = 0;
    if (snapshot != NULL) {
        if (snapshot->store != store)
            return fail(LORE_MISUSE, "the snapshot belongs to another store");
        reading->sequence = snapshot->reading.sequence;
        reading->row_watermark = snapshot->reading.row_watermark;
        return LORE_OK;
    }
    return begin_read(store, NULL, reading);
}

void store_read_end(lore_store *store, struct store_read *reading) {
    if (reading->pinned) lsm_unpin(store->lsm, reading->sequence);
    reading->pinned = false;
    if (!reading->counted) return;
    reading->counted = false;
    env_lock(store->env, store->commit.mutex);
    if (--store->commit.reading == 0) env_broadcast(store->env, store->commit.changed);
    env_unlock(store->env, store->commit.mutex);
}

static lore_status snapshot_new(lore_store *store, lore_snapshot **snapshot) {
    void *memory;
    TRY(mem_new(&store->query_allocator.base, sizeof(lore_snapshot), &memory));
    *snapshot = memory;
    (*snapshot)->store = store;
    return LORE_OK;
}

/* The newest state, or that of a named one. */
static lore_status snapshot_make(lore_store *store, const struct named_snapshot_record *named,
                                 lore_snapshot **snapshot) {
    lore_snapshot *made;
    TRY(snapshot_new(store, &made));
    lore_status status = begin_read(store, named, &made->reading);
    if (status != LORE_OK) {
        mem_put(&store->query_allocator.base, made, sizeof *made);
        return status;
    }
    store_object_opened(store);
    atomic_fetch_add(&store->snapshots_open, 1);
    *snapshot = made;
    return LORE_OK;
}

lore_status lore_snapshot_create(lore_store *store, lore_snapshot **snapshot) {
    *snapshot = NULL;
    TRY(store_check(store, false));
    return snapshot_make(store, NULL, snapshot);
}

void lore_snapshot_release(lore_snapshot *snapshot) {
    if (snapshot == NULL) return;
    lore_store *store = snapshot->store;
    store_read_end(store, &snapshot->reading);
    atomic_fetch_sub(&store->snapshots_open, 1);
    mem_put(&store->query_allocator.base, snapshot, sizeof *snapshot);
    store_object_closed(store);
}

uint64_t lore_snapshot_sequence(const lore_snapshot *snapshot) {
    return snapshot->reading.sequence;
}

/* ---- named ---- */

/* Pin and unpin a sequence for a named snapshot. Under the catalog mutex. */
static lore_status named_pin(lore_store *store, uint64_t sequence) {
    TRY(bytes_reserve(&store->named, sizeof sequence));
    TRY(lsm_pin(store->lsm, sequence));
    return bytes_append(&store->named, &sequence, sizeof sequence); /* there is room */
}

static void named_unpin(lore_store *store, uint64_t sequence) {
    for (size_t at = 0; at + sizeof sequence <= store->named.size; at += sizeof sequence) {
        uint64_t pinned, last;
        memcpy(&pinned, store->named.data + at, sizeof pinned);
        if (pinned != sequence) continue;
        store->named.size -= sizeof last;
        memcpy(&last, store->named.data + store->named.size, sizeof last);
        memcpy(store->named.data + at, &last, sizeof last);
        lsm_unpin(store->lsm, sequence);
        return;
    }
}

static lore_status name_key(const char *name, struct catalog_key *key) {
    size_t size = name == NULL ? 0 : strlen(name);
    if (size == 0 || size > NAME_BYTES_MAX)
        return fail(LORE_INVALID, "a snapshot's name has 1 to %u bytes", NAME_BYTES_MAX);
    *key = schema_key_name('N', slice(name, size));
    return LORE_OK;
}

/* Under the catalog mutex. */
static lore_status read_named(lore_store *store, const struct catalog_key *key, const char *name,
                              struct named_snapshot_record *record) {
    struct bytes value = bytes_empty(&store->query_allocator.base);
    lore_status status = catalog_get(store->catalog, catalog_key_slice(key), &value);
    if (status == LORE_NOT_FOUND) status = fail(status, "no snapshot is named %s", name);
    if (status == LORE_OK)
        status =
            named_snapshot_record_decode(bytes_slice(&value), &store->query_allocator.base, record);
    bytes_free(&value);
    return status;
}

/* Under the catalog mutex, so that of two of one name only one gets in. */
static lore_status put_named(lore_store *store, const struct catalog_key *key, const char *name,
                             const struct named_snapshot_record *record) {
    const struct allocator *allocator = &store->query_allocator.base;
    struct bytes value = bytes_empty(allocator);
    struct catalog_edit edit;
    catalog_edit_init(&edit, allocator);
    lore_status status = catalog_get(store->catalog, catalog_key_slice(key), &value);
    if (status == LORE_OK)
        status = fail(LORE_EXISTS, "a snapshot is named %s already", name);
    else if (status == LORE_NOT_FOUND)
        status = LORE_OK;
    if (status == LORE_OK) status = named_snapshot_record_encode(record, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(&edit, catalog_key_slice(key), bytes_slice(&value));
    if (status == LORE_OK) status = named_pin(store, record->sequence);
    if (status == LORE_OK) {
        status = catalog_commit(store->catalog, &edit);
        if (status != LORE_OK) named_unpin(store, record->sequence);
    }
    bytes_free(&value);
    catalog_edit_deinit(&edit);
    return status;
}

lore_status lore_snapshot_save(lore_store *store, const char *name) {
    TRY(store_check(store, true));
    struct catalog_key key;
    TRY(name_key(name, &key));
    struct store_read reading;
    TRY(store_read_begin(store, NULL, &reading));
    struct named_snapshot_record record = {.sequence = reading.sequence,
                                           .row_watermark = reading.row_watermark,
                                           .time_us = reading.time_us,
                                           .created_at_us = env_now_us(store->env)};
    lore_status status = lore_sync(store); /* what it names must be as durable as it is */
    if (status == LORE_OK) {
        env_lock(store->env, store->catalog_mutex);
        status = put_named(store, &key, name, &record);
        env_unlock(store->env, store->catalog_mutex);
    }
    store_read_end(store, &reading);
    return status;
}

lore_status lore_snapshot_open(lore_store *store, const char *name, lore_snapshot **snapshot) {
    *snapshot = NULL;
    TRY(store_check(store, false));
    struct catalog_key key;
    TRY(name_key(name, &key));
    struct named_snapshot_record record;
    /* Pinned before the mutex is left: another thread may drop the name at once. */
    env_lock(store->env, store->catalog_mutex);
    lore_status status = read_named(store, &key, name, &record);
    if (status == LORE_OK) status = lsm_pin(store->lsm, record.sequence);
    env_unlock(store->env, store->catalog_mutex);
    TRY(status);
    status = snapshot_make(store, &record, snapshot);
    lsm_unpin(store->lsm, record.sequence);
    return status;
}

/* All under the catalog mutex, so that the name and its pin go together, once. */
static lore_status drop_named(lore_store *store, const struct catalog_key *key, const char *name) {
    struct named_snapshot_record record;
    struct catalog_edit edit;
    catalog_edit_init(&edit, &store->query_allocator.base);
    lore_status status = catalog_edit_delete(&edit, catalog_key_slice(key));
    env_lock(store->env, store->catalog_mutex);
    if (status == LORE_OK) status = read_named(store, key, name, &record);
    if (status == LORE_OK) status = catalog_commit(store->catalog, &edit);
    if (status == LORE_OK) named_unpin(store, record.sequence);
    env_unlock(store->env, store->catalog_mutex);
    catalog_edit_deinit(&edit);
    return status;
}

lore_status lore_snapshot_drop(lore_store *store, const char *name) {
    TRY(store_check(store, true));
    struct catalog_key key;
    TRY(name_key(name, &key));
    lore_status status = drop_named(store, &key, name);
    if (status == LORE_FULL && space_release_reserve(store)) status = drop_named(store, &key, name);
    if (status == LORE_OK) background_kick(store);
    return status;
}

struct named_walk {
    lore_store *store;
    lore_snapshot_fn callback; /* NULL: pin each */
    void *context;
    bool stopped;
};

static lore_status named_record(void *context, lore_slice key, lore_slice value) {
    struct named_walk *walk = context;
    struct named_snapshot_record record;
    TRY(named_snapshot_record_decode(value, &walk->store->query_allocator.base, &record));
    if (walk->callback == NULL) return named_pin(walk->store, record.sequence);
    lore_snapshot_info info = {.name = slice((const uint8_t *)key.data + 1, key.size - 1),
                               .sequence = record.sequence,
                               .time_us = record.time_us,
                               .created_at_us = record.created_at_us};
    if (!walk->stopped && !walk->callback(walk->context, &info)) walk->stopped = true;
    return LORE_OK;
}

static lore_status walk_named(struct named_walk *walk) {
    struct catalog_key key = schema_key('N');
    lore_store *store = walk->store;
    env_lock(store->env, store->catalog_mutex);
    lore_status status = catalog_scan(store->catalog, catalog_key_slice(&key), named_record, walk);
    env_unlock(store->env, store->catalog_mutex);
    return status;
}

lore_status lore_snapshot_list(lore_store *store, lore_snapshot_fn callback, void *context) {
    TRY(store_check(store, false));
    struct named_walk walk = {.store = store, .callback = callback, .context = context};
    return walk_named(&walk);
}

lore_status snapshots_pin_named(lore_store *store) {
    struct named_walk walk = {.store = store};
    return walk_named(&walk);
}

void snapshots_unpin_named(lore_store *store) {
    while (store->named.size > 0) {
        uint64_t sequence;
        memcpy(&sequence, store->named.data, sizeof sequence);
        named_unpin(store, sequence);
    }
    bytes_free(&store->named);
}
