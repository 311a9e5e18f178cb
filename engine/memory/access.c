/*
 * access.c - counting accesses in memory, and writing the counts down.
 */
#include "memory/access.h"

#include "base/digest.h"
#include "base/merge.h"
#include "memory/layer.h"

#include "base/poison.h"

#define CHUNK_IDS 64u

void access_encode(uint8_t out[ACCESS_VALUE_BYTES], int64_t count, int64_t last_us) {
    merge_field_encode(out, MERGE_ADD, count);
    merge_field_encode(out + MERGE_FIELD_BYTES, MERGE_MAX, last_us);
}

bool access_decode(lore_slice value, int64_t *count, int64_t *last_us) {
    const uint8_t *data = value.data;
    if (value.size != ACCESS_VALUE_BYTES || data[0] != MERGE_ADD ||
        data[MERGE_FIELD_BYTES] != MERGE_MAX)
        return false;
    return merge_field_get(value, 0, count) && merge_field_get(value, 1, last_us) && *count >= 0;
}

/* ---- the hash ---- */

lore_status access_init(struct access_counts *counts, const lore_env *env) {
    *counts = (struct access_counts){.env = env};
    TRY(env_mutex_create(env, &counts->mutex));
    return env_condition_create(env, &counts->idle);
}

static void entry_put_back(struct access_counts *counts, struct access_entry *entry) {
    if (entry != NULL) mem_put(counts->allocator, entry, sizeof *entry + entry->id_size);
}

void access_deinit(struct access_counts *counts) {
    for (size_t i = 0; i < ACCESS_BUCKETS; i++) {
        struct access_entry *entry = counts->buckets[i];
        while (entry != NULL) {
            struct access_entry *next = entry->next;
            entry_put_back(counts, entry);
            entry = next;
        }
        counts->buckets[i] = NULL;
    }
    env_condition_destroy(counts->env, counts->idle);
    env_mutex_destroy(counts->env, counts->mutex);
    counts->idle = NULL;
    counts->mutex = NULL;
}

/* The link that leads to the entry, or to where it would stand. Under the mutex. */
static struct access_entry **find(struct access_counts *counts, lore_slice id, uint64_t hash) {
    struct access_entry **link = &counts->buckets[hash % ACCESS_BUCKETS];
    while (*link != NULL &&
           ((*link)->hash != hash || !slice_equal(slice((*link)->id, (*link)->id_size), id)))
        link = &(*link)->next;
    return link;
}

/* Take an entry out; the caller gives its memory back once the mutex is released. */
static struct access_entry *unlink_entry(struct access_counts *counts, struct access_entry **link) {
    struct access_entry *entry = *link;
    *link = entry->next;
    counts->count--;
    return entry;
}

void access_pending(struct access_counts *counts, lore_slice id, int64_t *count, int64_t *last_us) {
    uint64_t hash = check64(id.data, id.size);
    *count = *last_us = 0;
    env_lock(counts->env, counts->mutex);
    const struct access_entry *entry = *find(counts, id, hash);
    if (entry != NULL) {
        *count = entry->count;
        *last_us = entry->last_us;
    }
    env_unlock(counts->env, counts->mutex);
}

void access_forget(struct access_counts *counts, lore_slice id) {
    uint64_t hash = check64(id.data, id.size);
    struct access_entry *gone = NULL;
    env_lock(counts->env, counts->mutex);
    struct access_entry **link = find(counts, id, hash);
    if (*link != NULL) gone = unlink_entry(counts, link);
    env_unlock(counts->env, counts->mutex);
    entry_put_back(counts, gone);
}

/* Count for an id that has an entry; false if it has none. */
static bool count_known(struct access_counts *counts, lore_slice id, uint64_t hash,
                        int64_t now_us) {
    env_lock(counts->env, counts->mutex);
    struct access_entry *entry = *find(counts, id, hash);
    if (entry != NULL) {
        entry->count++;
        if (now_us > entry->last_us) entry->last_us = now_us;
    }
    env_unlock(counts->env, counts->mutex);
    return entry != NULL;
}

/* *full: there is room for no more ids. */
static void count_new(struct access_counts *counts, const struct allocator *allocator,
                      lore_slice id, uint64_t hash, int64_t now_us, bool *full) {
    void *memory;
    if (mem_new(allocator, sizeof(struct access_entry) + id.size, &memory) != LORE_OK) return;
    struct access_entry *made = memory;
    *made = (struct access_entry){.hash = hash, .count = 1, .last_us = now_us, .id_size = id.size};
    memcpy(made->id, id.data, id.size);
    env_lock(counts->env, counts->mutex);
    if (counts->allocator == NULL) counts->allocator = allocator; /* then read without the mutex */
    struct access_entry **link = find(counts, id, hash);
    if (*link != NULL) {
        (*link)->count++;
        if (now_us > (*link)->last_us) (*link)->last_us = now_us;
    } else if (counts->count < ACCESS_IDS_MAX) {
        if (counts->count == 0) counts->oldest_us = env_monotonic_us(counts->env);
        counts->count++;
        *link = made;
        made = NULL;
    }
    *full = counts->count >= ACCESS_IDS_MAX;
    env_unlock(counts->env, counts->mutex);
    if (made != NULL) mem_put(allocator, made, sizeof *made + id.size);
}

void memory_note_access(lore_store *store, lore_slice id, int64_t now_us) {
    struct memory_layer *layer = memory_layer_of(store);
    if (store_is_read_only(store)) return;
    uint64_t hash = check64(id.data, id.size);
    if (count_known(&layer->access, id, hash, now_us)) return;
    bool full = false;
    count_new(&layer->access, store_query_allocator(store), id, hash, now_us, &full);
    if (!full) return;
    lore_status late = access_write(store, false); /* what is not written now waits */
    (void)late;
}

/* ---- writing ---- */

/* Counts on their way: for each i64 count, i64 last, then the id with its length. */
struct chunk {
    struct bytes items;
    size_t count;
};

static lore_status chunk_next(struct reader *reader, int64_t *count, int64_t *last_us,
                              lore_slice *id, bool *found) {
    *found = reader_left(reader) > 0;
    if (!*found) return LORE_OK;
    *count = (int64_t)read_u64(reader);
    *last_us = (int64_t)read_u64(reader);
    *id = read_prefixed(reader);
    return LORE_OK;
}

static lore_status chunk_add_bucket(struct access_counts *counts, size_t bucket,
                                    struct chunk *chunk) {
    /* Room is made before the mutex is taken; an entry that came meanwhile waits for the next time.
     */
    size_t wanted = 0;
    env_lock(counts->env, counts->mutex);
    for (const struct access_entry *e = counts->buckets[bucket]; e != NULL; e = e->next)
        wanted += 16 + VARINT_BYTES_MAX + e->id_size;
    env_unlock(counts->env, counts->mutex);
    TRY(bytes_reserve(&chunk->items, wanted));
    lore_status status = LORE_OK;
    env_lock(counts->env, counts->mutex);
    for (const struct access_entry *e = counts->buckets[bucket]; e != NULL && status == LORE_OK;
         e = e->next) {
        size_t size = 16 + VARINT_BYTES_MAX + e->id_size;
        if (size > wanted) break;
        wanted -= size;
        status = append_u64(&chunk->items, (uint64_t)e->count);
        if (status == LORE_OK) status = append_u64(&chunk->items, (uint64_t)e->last_us);
        if (status == LORE_OK) status = append_prefixed(&chunk->items, slice(e->id, e->id_size));
        chunk->count++;
    }
    env_unlock(counts->env, counts->mutex);
    return status;
}

/* One merge for each id that has a memory. */
static lore_status chunk_to_batch(lore_store *store, const struct store_read *reading,
                                  const struct chunk *chunk, struct bytes *key,
                                  struct batch *batch) {
    struct reader reader = reader_over(bytes_slice(&chunk->items));
    for (;;) {
        int64_t count, last_us;
        lore_slice id;
        bool found;
        TRY(chunk_next(&reader, &count, &last_us, &id, &found));
        if (!found) return LORE_OK;
        uint64_t row, sequence;
        lore_status status = memory_row_of(store, reading, id, &row, &sequence);
        if (status == LORE_NOT_FOUND) continue;
        TRY(status);
        uint8_t operand[ACCESS_VALUE_BYTES];
        access_encode(operand, count, last_us);
        TRY(key_id(key, id));
        TRY(batch_require_unchanged(batch, bytes_slice(key), sequence));
        TRY(key_access(key, id));
        TRY(batch_merge(batch, bytes_slice(key), slice(operand, sizeof operand)));
    }
}

/* A memory that was deleted or got a new row meanwhile makes the batch conflict; then it is built
 * anew. */
static lore_status chunk_commit(lore_store *store, const struct chunk *chunk) {
    const struct allocator *allocator = store_query_allocator(store);
    struct batch batch;
    batch_init(&batch, allocator);
    struct bytes key = bytes_empty(allocator);
    lore_status status = LORE_CONFLICT;
    for (unsigned i = 0; i < MEMORY_RETRIES_MAX && status == LORE_CONFLICT; i++) {
        struct store_read reading;
        batch_clear(&batch);
        TRY_OR(store_read_begin(store, NULL, &reading), status, out);
        status = chunk_to_batch(store, &reading, chunk, &key, &batch);
        store_read_end(store, &reading);
        if (status == LORE_OK && batch.entries > 0)
            status = store_commit(store, &batch, NULL, NULL);
    }
out:
    bytes_free(&key);
    batch_deinit(&batch);
    return status;
}

/* Take what was written out of the hash; what was counted since stays. */
static void chunk_settle(struct access_counts *counts, const struct chunk *chunk) {
    struct reader reader = reader_over(bytes_slice(&chunk->items));
    for (;;) {
        int64_t count, last_us;
        lore_slice id;
        bool found;
        if (chunk_next(&reader, &count, &last_us, &id, &found) != LORE_OK || !found) return;
        struct access_entry *gone = NULL;
        uint64_t hash = check64(id.data, id.size);
        env_lock(counts->env, counts->mutex);
        struct access_entry **link = find(counts, id, hash);
        if (*link != NULL && (*link)->count > count)
            (*link)->count -= count;
        else if (*link != NULL)
            gone = unlink_entry(counts, link);
        env_unlock(counts->env, counts->mutex);
        entry_put_back(counts, gone);
    }
}

static lore_status write_chunks(lore_store *store, struct access_counts *counts) {
    struct chunk chunk = {.items = bytes_empty(store_query_allocator(store))};
    lore_status status = LORE_OK;
    for (size_t bucket = 0; bucket < ACCESS_BUCKETS && status == LORE_OK; bucket++) {
        status = chunk_add_bucket(counts, bucket, &chunk);
        bool last = bucket + 1 == ACCESS_BUCKETS;
        if (status != LORE_OK || chunk.count == 0 || (chunk.count < CHUNK_IDS && !last)) continue;
        status = chunk_commit(store, &chunk);
        if (status == LORE_OK) chunk_settle(counts, &chunk);
        bytes_clear(&chunk.items);
        chunk.count = 0;
    }
    bytes_free(&chunk.items);
    return status;
}

lore_status access_write(lore_store *store, bool wait) {
    struct access_counts *counts = &memory_layer_of(store)->access;
    env_lock(counts->env, counts->mutex);
    while (wait && counts->writing)
        env_wait(counts->env, counts->idle, counts->mutex);
    bool mine = !counts->writing && counts->count > 0;
    if (mine) counts->writing = true;
    env_unlock(counts->env, counts->mutex);
    if (!mine) return LORE_OK;
    lore_status status = store_check(store, true);
    if (status == LORE_OK) status = write_chunks(store, counts);
    env_lock(counts->env, counts->mutex);
    counts->writing = false;
    counts->oldest_us = env_monotonic_us(counts->env);
    env_broadcast(counts->env, counts->idle);
    env_unlock(counts->env, counts->mutex);
    return status;
}

void access_tick(lore_store *store) {
    struct access_counts *counts = &memory_layer_of(store)->access;
    uint64_t wait_us = (uint64_t)store_options(store)->access_flush_ms * 1000;
    env_lock(counts->env, counts->mutex);
    bool due = counts->count > 0 && env_monotonic_us(counts->env) - counts->oldest_us >= wait_us;
    env_unlock(counts->env, counts->mutex);
    if (!due) return;
    lore_status status = access_write(store, false);
    if (status != LORE_OK)
        log_write(store_logger(store), LORE_LOG_WARNING, "access counts wait to be written: %s",
                  lore_error_message());
}
