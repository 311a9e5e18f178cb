/* loader.c - see loader.h. */
#include "loader.h"

#include <inttypes.h>
#include <string.h>

void loader_begin(struct loader *loader, struct cli *cli, lore_store *store,
                  enum loader_existing existing) {
    memset(loader, 0, sizeof *loader);
    loader->cli = cli;
    loader->store = store;
    loader->existing = existing;
    uint64_t eighth = config_size(&cli->config, SETTING_MEMORY_BUDGET) / 8;
    loader->bytes_max = eighth < LOADER_BYTES_MAX ? (size_t)eighth : LOADER_BYTES_MAX;
}

struct pool *loader_pool(struct loader *loader) {
    if (loader->count == 0) pool_reset(&loader->pool);
    return &loader->pool;
}

static int refused(struct loader *loader, size_t index, lore_status status) {
    const lore_memory *memory = &loader->memories[index];
    if (status == LORE_EXISTS && loader->existing == EXISTING_SKIP) {
        loader->skipped++;
        return 0;
    }
    bool of_record = status == LORE_INVALID || status == LORE_TOO_BIG || status == LORE_EXISTS ||
                     status == LORE_NOT_FOUND;
    if (of_record && loader->on_bad != NULL) {
        struct text why = {0};
        text_puts(&why, status == LORE_NOT_FOUND ? "names a space that the store does not have"
                                                 : lore_error_message());
        int code = loader->on_bad(loader->context, loader->where[index], status, text_string(&why));
        text_free(&why);
        return code;
    }
    struct text id = {0};
    text_add_printable(&id, memory->id.data, memory->id.size, true, 80);
    fail_status(loader->cli, status, "writing memory \"%s\" (line %" PRIu64 ")", text_string(&id),
                loader->where[index]);
    text_free(&id);
    return loader->cli->failure.exit_code;
}

static lore_status put(struct loader *loader, size_t first, size_t count) {
    lore_put_mode mode = loader->existing == EXISTING_REPLACE ? LORE_PUT_REPLACE : LORE_PUT_INSERT;
    lore_status status =
        lore_memory_put(loader->store, &loader->memories[first], count, mode, NULL);
    if (status == LORE_OK) loader->written += count;
    return status;
}

static int write_memories(struct loader *loader) {
    size_t count = loader->count;
    loader->count = 0;
    if (count == 0) return 0;
    if (loader->store == NULL) {
        loader->written += count;
        return 0;
    }
    lore_status status = put(loader, 0, count);
    if (status == LORE_OK) return 0;
    bool one_of_them = status == LORE_INVALID || status == LORE_TOO_BIG || status == LORE_EXISTS ||
                       status == LORE_NOT_FOUND;
    if (count == 1 || !one_of_them) return refused(loader, 0, status);
    for (size_t i = 0; i < count; i++) {
        status = put(loader, i, 1);
        int code = status == LORE_OK ? 0 : refused(loader, i, status);
        if (code != 0) return code;
    }
    return 0;
}

static bool id_waits(const struct loader *loader, lore_slice id) {
    for (size_t i = 0; i < loader->count; i++) {
        lore_slice other = loader->memories[i].id;
        if (other.size == id.size && memcmp(other.data, id.data, id.size) == 0) return true;
    }
    return false;
}

int loader_add(struct loader *loader, const lore_memory *memory, uint64_t where) {
    bool has_id = (memory->fields & LORE_FIELD(LORE_ATTR_ID)) != 0;
    if (has_id && memory->id.size > 0 && id_waits(loader, memory->id)) {
        int code = write_memories(loader);
        if (code != 0) return code;
    }
    loader->memories[loader->count] = *memory;
    loader->where[loader->count++] = where;
    bool full = loader->count == LOADER_RECORDS_MAX || loader->pool.used_bytes >= loader->bytes_max;
    return full ? write_memories(loader) : 0;
}

static int write_entries(struct loader *loader) {
    if (loader->batch_count == 0) return 0;
    loader->batch_count = 0;
    lore_status status = lore_write(loader->store, loader->batch, NULL);
    lore_batch_clear(loader->batch);
    return status == LORE_OK ? 0 : fail_status(loader->cli, status, "writing entries");
}

int loader_add_entry(struct loader *loader, lore_keyspace keyspace, lore_slice key,
                     lore_slice value) {
    int code = write_memories(loader);
    if (code != 0) return code;
    loader->entries++;
    if (loader->store == NULL) return 0;
    lore_status status = LORE_OK;
    if (loader->batch == NULL) status = lore_batch_create(loader->store, &loader->batch);
    size_t size = status == LORE_OK ? lore_batch_size(loader->batch) : 0;
    bool full = size + key.size + value.size > loader->bytes_max;
    if (loader->batch_count >= LOADER_RECORDS_MAX || (loader->batch_count > 0 && full)) {
        code = write_entries(loader);
        if (code != 0) return code;
    }
    if (status == LORE_OK) status = lore_batch_put(loader->batch, keyspace, key, value);
    loader->batch_count += status == LORE_OK;
    if (status == LORE_OK) return 0;
    return fail_status(loader->cli, status, "writing an entry of keyspace %u", keyspace);
}

int loader_flush(struct loader *loader) {
    int code = write_memories(loader);
    return code != 0 ? code : write_entries(loader);
}

void loader_end(struct loader *loader) {
    if (loader->batch != NULL) lore_batch_destroy(loader->batch);
    pool_reset(&loader->pool);
    loader->batch = NULL;
    loader->count = 0;
}
