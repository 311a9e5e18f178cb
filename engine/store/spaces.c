/*
 * spaces.c - embedding spaces: catalog records, and a table of them in memory in order of name.
 */
#include <inttypes.h>

#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define NAME_BYTES_MAX 255u
#define SPACES_MAX     4096u

uint32_t space_stride(lore_element element, uint32_t dimensions) {
    switch (element) {
    case LORE_ELEMENT_F32: return dimensions * 4;
    case LORE_ELEMENT_F16: return dimensions * 2;
    case LORE_ELEMENT_INT8: return dimensions;
    case LORE_ELEMENT_BINARY: return dimensions / 8;
    }
    return 0;
}

static lore_status spec_check(const lore_space_spec *spec) {
    if (spec->dimensions < 1 || spec->dimensions > LORE_DIMENSIONS_MAX)
        return fail(LORE_INVALID, "a space has 1 to %u dimensions, not %" PRIu32,
                    LORE_DIMENSIONS_MAX, spec->dimensions);
    if (spec->element < LORE_ELEMENT_F32 || spec->element > LORE_ELEMENT_BINARY)
        return fail(LORE_INVALID, "no such element type: %d", (int)spec->element);
    if (spec->metric < LORE_METRIC_COSINE || spec->metric > LORE_METRIC_HAMMING)
        return fail(LORE_INVALID, "no such metric: %d", (int)spec->metric);
    bool binary = spec->element == LORE_ELEMENT_BINARY;
    if (binary != (spec->metric == LORE_METRIC_HAMMING))
        return fail(LORE_INVALID,
                    "the Hamming metric goes with binary elements, and they with no other");
    if (binary && spec->dimensions % 8 != 0)
        return fail(LORE_INVALID, "a binary space has a multiple of 8 dimensions, not %" PRIu32,
                    spec->dimensions);
    if (spec->model.size > NAME_BYTES_MAX)
        return fail(LORE_INVALID, "a model's name has at most %u bytes", NAME_BYTES_MAX);
    return LORE_OK;
}

static void entry_free(lore_store *store, struct space_entry *entry) {
    bytes_free(&entry->model);
    mem_put(&store->table_allocator.base, entry, sizeof *entry);
}

static lore_status entry_new(lore_store *store, lore_slice name, const struct space_record *record,
                             struct space_entry **out) {
    void *memory;
    TRY(mem_new(&store->table_allocator.base, sizeof(struct space_entry), &memory));
    struct space_entry *entry = memory;
    entry->space = (struct space){.number = record->number,
                                  .dimensions = record->dimensions,
                                  .element = (lore_element)record->element,
                                  .metric = (lore_metric)record->metric};
    entry->space.stride_bytes = space_stride(entry->space.element, record->dimensions);
    memcpy(entry->name, name.data, name.size);
    entry->name_size = name.size;
    entry->model = bytes_empty(&store->table_allocator.base);
    lore_status status = bytes_set(&entry->model, bytes_slice(&record->model));
    if (status != LORE_OK) {
        entry_free(store, entry);
        return status;
    }
    *out = entry;
    return LORE_OK;
}

static struct space_entry *find_by_name(const struct space_table *table, lore_slice name) {
    for (size_t i = 0; i < table->count; i++)
        if (slice_equal(slice(table->entries[i]->name, table->entries[i]->name_size), name))
            return table->entries[i];
    return NULL;
}

/* In order of name. */
static lore_status table_insert(lore_store *store, struct space_entry *entry) {
    struct space_table *table = &store->spaces;
    void *memory = table->entries;
    TRY(mem_resize(&store->table_allocator.base, &memory, table->count * sizeof(void *),
                   (table->count + 1) * sizeof(void *)));
    table->entries = memory;
    size_t at = table->count++;
    lore_slice name = slice(entry->name, entry->name_size);
    for (; at > 0; at--) {
        struct space_entry *before = table->entries[at - 1];
        if (slice_compare(slice(before->name, before->name_size), name) < 0) break;
        table->entries[at] = before;
    }
    table->entries[at] = entry;
    return LORE_OK;
}

static lore_status load_record(void *context, lore_slice key, lore_slice value) {
    lore_store *store = context;
    lore_slice name = slice((const uint8_t *)key.data + 1, key.size - 1);
    struct space_record record;
    TRY(space_record_decode(value, &store->work_allocator.base, &record));
    lore_space_spec spec = {.dimensions = record.dimensions,
                            .element = (lore_element)record.element,
                            .metric = (lore_metric)record.metric,
                            .model = bytes_slice(&record.model)};
    lore_status status = spec_check(&spec);
    if (status == LORE_OK && (name.size == 0 || name.size > NAME_BYTES_MAX))
        status = fail(LORE_CORRUPTION, "%s: a space's name has %zu bytes", store->dir, name.size);
    else if (status != LORE_OK)
        status = fail_within(LORE_CORRUPTION, "%s: record of a space", store->dir);
    struct space_entry *entry = NULL;
    if (status == LORE_OK && find_by_name(&store->spaces, name) == NULL) {
        status = entry_new(store, name, &record, &entry);
        if (status == LORE_OK) status = table_insert(store, entry);
        if (status != LORE_OK && entry != NULL) entry_free(store, entry);
    }
    space_record_deinit(&record);
    return status;
}

/* At open, and after a refresh (spaces are never dropped, so what is there stays). */
lore_status spaces_load(lore_store *store) {
    if (store->spaces.mutex == NULL) TRY(env_mutex_create(store->env, &store->spaces.mutex));
    struct catalog_key key = schema_key('E');
    env_lock(store->env, store->spaces.mutex);
    env_lock(store->env, store->catalog_mutex);
    lore_status status = catalog_scan(store->catalog, catalog_key_slice(&key), load_record, store);
    env_unlock(store->env, store->catalog_mutex);
    env_unlock(store->env, store->spaces.mutex);
    return status;
}

void spaces_deinit(lore_store *store) {
    struct space_table *table = &store->spaces;
    for (size_t i = 0; i < table->count; i++)
        entry_free(store, table->entries[i]);
    mem_put(&store->table_allocator.base, table->entries, table->count * sizeof(void *));
    table->entries = NULL;
    table->count = 0;
    env_mutex_destroy(store->env, table->mutex);
    table->mutex = NULL;
}

lore_status store_space_by_name(lore_store *store, lore_slice name, struct space *space) {
    env_lock(store->env, store->spaces.mutex);
    const struct space_entry *entry = find_by_name(&store->spaces, name);
    if (entry != NULL) *space = entry->space;
    env_unlock(store->env, store->spaces.mutex);
    if (entry != NULL) return LORE_OK;
    return fail(LORE_NOT_FOUND, "no embedding space is named %.*s",
                (int)(name.size < 256 ? name.size : 256),
                name.size == 0 ? "" : (const char *)name.data);
}

lore_status store_space_by_number(lore_store *store, uint32_t number, struct space *space,
                                  char name[256], size_t *name_size) {
    lore_status status = LORE_NOT_FOUND;
    env_lock(store->env, store->spaces.mutex);
    for (size_t i = 0; i < store->spaces.count && status != LORE_OK; i++) {
        const struct space_entry *entry = store->spaces.entries[i];
        if (entry->space.number != number) continue;
        *space = entry->space;
        memcpy(name, entry->name, entry->name_size);
        name[entry->name_size] = '\0';
        *name_size = entry->name_size;
        status = LORE_OK;
    }
    env_unlock(store->env, store->spaces.mutex);
    return status;
}

lore_status lore_space_list(lore_store *store, lore_space_fn callback, void *context) {
    TRY(store_check(store, false));
    for (size_t i = 0;; i++) {
        /* Entries live as long as the store, so one can be shown without the mutex. */
        env_lock(store->env, store->spaces.mutex);
        const struct space_entry *entry = i < store->spaces.count ? store->spaces.entries[i] : NULL;
        env_unlock(store->env, store->spaces.mutex);
        if (entry == NULL) return LORE_OK;
        lore_space_info info = {.name = slice(entry->name, entry->name_size),
                                .spec = {.dimensions = entry->space.dimensions,
                                         .element = entry->space.element,
                                         .metric = entry->space.metric,
                                         .model = bytes_slice(&entry->model)},
                                .number = entry->space.number,
                                .stride_bytes = entry->space.stride_bytes};
        if (!callback(context, &info)) return LORE_OK;
    }
}

/* The next space number comes from the counters record, and goes to the catalog in the same edit as
 * the space. */
static lore_status commit_space(lore_store *store, lore_slice name, struct space_record *record) {
    const struct allocator *allocator = &store->work_allocator.base;
    struct catalog_edit edit;
    catalog_edit_init(&edit, allocator);
    struct bytes value = bytes_empty(allocator);
    struct counters_record counters = {0};
    struct catalog_key key = schema_key('C');
    env_lock(store->env, store->catalog_mutex);
    lore_status status = catalog_get(store->catalog, catalog_key_slice(&key), &value);
    if (status == LORE_OK)
        status = counters_record_decode(bytes_slice(&value), allocator, &counters);
    record->number = counters.space_end++;
    if (status == LORE_OK) status = counters_record_encode(&counters, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(&edit, catalog_key_slice(&key), bytes_slice(&value));
    key = schema_key_name('E', name);
    if (status == LORE_OK) status = space_record_encode(record, &value);
    if (status == LORE_OK)
        status = catalog_edit_put(&edit, catalog_key_slice(&key), bytes_slice(&value));
    if (status == LORE_OK) status = catalog_commit(store->catalog, &edit);
    env_unlock(store->env, store->catalog_mutex);
    bytes_free(&value);
    catalog_edit_deinit(&edit);
    return status;
}

static bool same_spec(const struct space_entry *entry, const lore_space_spec *spec) {
    return entry->space.dimensions == spec->dimensions && entry->space.element == spec->element &&
           entry->space.metric == spec->metric &&
           slice_equal(bytes_slice(&entry->model), spec->model);
}

lore_status lore_space_create(lore_store *store, const char *name_text,
                              const lore_space_spec *spec) {
    TRY(store_check(store, true));
    if (name_text == NULL || spec == NULL)
        return fail(LORE_INVALID, "a space needs a name and a specification");
    TRY(spec_check(spec));
    lore_slice name = lore_slice_of(name_text);
    if (name.size == 0 || name.size > NAME_BYTES_MAX)
        return fail(LORE_INVALID, "a space's name has 1 to %u bytes", NAME_BYTES_MAX);
    struct space_record record = {.dimensions = spec->dimensions,
                                  .element = (uint8_t)spec->element,
                                  .metric = (uint8_t)spec->metric,
                                  .model = bytes_empty(&store->work_allocator.base)};
    TRY(bytes_set(&record.model, spec->model));
    struct space_entry *made = NULL;
    env_lock(store->env, store->spaces.mutex);
    const struct space_entry *there = find_by_name(&store->spaces, name);
    lore_status status = LORE_OK;
    if (there != NULL && !same_spec(there, spec))
        status = fail(LORE_EXISTS, "the space %s is there with another specification", name_text);
    if (there == NULL && store->spaces.count >= SPACES_MAX)
        status = fail(LORE_TOO_BIG, "a store has at most %u spaces", SPACES_MAX);
    if (status == LORE_OK && there == NULL) {
        status = commit_space(store, name, &record);
        if (status == LORE_OK) status = entry_new(store, name, &record, &made);
        if (status == LORE_OK) status = table_insert(store, made);
        if (status != LORE_OK && made != NULL) entry_free(store, made);
    }
    env_unlock(store->env, store->spaces.mutex);
    bytes_free(&record.model);
    return status;
}
