/*
 * operations.c - see operations.h.
 */
#include "operations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog/catalog.h"
#include "store/store_internal.h"

const char *const operation_names[OPERATIONS] = {"put",   "batch",  "delete",  "range",   "memory",
                                                 "embed", "flush",  "step",    "rewrite", "save",
                                                 "drop",  "switch", "rebuild", "reopen"};

uint64_t operation_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void operation_must(lore_status status, const char *what) {
    if (status == LORE_OK) return;
    printf("FAILED: %s: %s: %s\n", what, lore_status_name(status), lore_error_message());
    exit(1);
}

static void put_model(struct model *model, int keyspace, int key, int number) {
    model->now.keys[keyspace][key] = number;
}

static lore_status save_snapshot(struct model *model, lore_store *store, int number) {
    char name[16];
    snprintf(name, sizeof name, "t%d", number);
    for (int i = 0; i < MODEL_SNAPSHOTS; i++)
        if (model->snapshots[i].name[0] == '\0') {
            memcpy(model->snapshots[i].name, name, sizeof name);
            model->snapshots[i].world = model->now;
            break;
        }
    return lore_snapshot_save(store, name);
}

static lore_status drop_snapshot(struct model *model, lore_store *store) {
    for (int i = 0; i < MODEL_SNAPSHOTS; i++) {
        if (model->snapshots[i].name[0] == '\0') continue;
        char name[16];
        memcpy(name, model->snapshots[i].name, sizeof name);
        model->snapshots[i].name[0] = '\0';
        return lore_snapshot_drop(store, name);
    }
    return LORE_OK;
}

static lore_status write_batch(struct model *model, lore_store *store, int number) {
    char key[16], value[256];
    lore_batch *batch;
    put_model(model, 0, 1, number);
    put_model(model, 1, 2, number + 1);
    put_model(model, 1, 3, 0);
    lore_status status = lore_batch_create(store, &batch);
    if (status != LORE_OK) return status;
    status = lore_batch_put(batch, 1, key_text(1, key), value_text(number, value));
    if (status == LORE_OK)
        status = lore_batch_put(batch, 2, key_text(2, key), value_text(number + 1, value));
    if (status == LORE_OK) status = lore_batch_delete(batch, 2, key_text(3, key));
    if (status == LORE_OK) status = lore_write(store, batch, NULL);
    lore_batch_destroy(batch);
    return status;
}

static lore_status write_memory(struct model *model, lore_store *store, int number, bool text) {
    char id[16], value[256];
    float vector[4];
    lore_memory memory;
    lore_memory_init(&memory);
    memory.fields = LORE_FIELD(LORE_ATTR_ID);
    memory.id = memory_id(0, id);
    lore_embedding embedding = {lore_slice_of(MODEL_SPACE), {vector, sizeof vector}};
    if (text) {
        memory.fields |= LORE_FIELD(LORE_ATTR_TEXT);
        memory.text = value_text(number, value);
        model->now.texts[0] = number;
    } else {
        embedding_bytes(number, vector);
        memory.embeddings = &embedding;
        memory.embeddings_count = 1;
        model->now.embeddings[0] = number;
    }
    return lore_memory_update(store, &memory);
}

static lore_status run_steps(lore_store *store) {
    bool more = true;
    lore_status status = LORE_OK;
    while (status == LORE_OK && more)
        status = lore_step(store, 4096, &more);
    return status;
}

static lore_status switch_log(lore_store *store) {
    commit_lead_begin(store);
    lore_status status =
        lsm_active_bytes(store->lsm) > 0 ? commit_switch_log(store, 0, true) : LORE_OK;
    commit_lead_end(store);
    return status;
}

static lore_status rebuild_catalog(lore_store *store) {
    store->env->sys->ops->mutex_lock(store->env->sys, store->catalog_mutex);
    lore_status status = catalog_rebuild(store->catalog);
    store->env->sys->ops->mutex_unlock(store->env->sys, store->catalog_mutex);
    return status;
}

lore_status operation_run(enum operation operation, const lore_env *env, lore_store **store,
                          struct model *model, int number) {
    bool model_only = *store == NULL;
    if (model_only && (operation == OP_FLUSH || operation == OP_STEP || operation == OP_REWRITE ||
                       operation >= OP_SWITCH))
        return LORE_MISUSE;
    char key[16], value[256];
    switch (operation) {
    case OP_PUT:
        put_model(model, 0, 0, number);
        return lore_put(*store, 1, key_text(0, key), value_text(number, value));
    case OP_BATCH: return write_batch(model, *store, number);
    case OP_DELETE: put_model(model, 0, 1, 0); return lore_delete(*store, 1, key_text(1, key));
    case OP_RANGE:
        for (int i = 0; i < MODEL_KEYS; i++)
            put_model(model, 0, i, 0);
        return lore_delete_range(*store, 1, lore_slice_of("key-0"), lore_slice_of("key-9"));
    case OP_MEMORY: return write_memory(model, *store, number, true);
    case OP_EMBED: return write_memory(model, *store, number, false);
    case OP_FLUSH: return lore_flush(*store);
    case OP_STEP: return run_steps(*store);
    case OP_REWRITE: return lore_compact(*store, NULL, NULL);
    case OP_SAVE: return save_snapshot(model, *store, number);
    case OP_DROP: return drop_snapshot(model, *store);
    case OP_SWITCH: return switch_log(*store);
    case OP_REBUILD: return rebuild_catalog(*store);
    case OP_REOPEN: {
        lore_status status = lore_close(*store);
        *store = NULL;
        if (status != LORE_OK) return status;
        lore_options options;
        model_options(&options, env);
        return lore_open(STORE_PATH, &options, store);
    }
    case OPERATIONS: break;
    }
    return LORE_OK;
}

void operation_make_base(struct fs_memory **disk, struct model *model) {
    MUST(fs_memory_create(env_posix()->allocator, 0, disk));
    lore_env env = {
        .allocator = env_posix()->allocator, .fs = fs_memory_fs(*disk), .sys = env_posix()->sys};
    lore_options options;
    model_options(&options, &env);
    lore_store *store;
    char key[16], value[256], id[16];
    float vector[4];
    MUST(lore_open(STORE_PATH, &options, &store));
    lore_space_spec spec = {4, LORE_ELEMENT_F32, LORE_METRIC_L2, {NULL, 0}};
    MUST(lore_space_create(store, MODEL_SPACE, &spec));
    memset(model, 0, sizeof *model);
    for (int k = 0; k < MODEL_KEYSPACES; k++)
        for (int i = 0; i < MODEL_KEYS; i++) {
            model->now.keys[k][i] = 1 + k * MODEL_KEYS + i;
            MUST(lore_put(store, (lore_keyspace)k + 1, key_text(i, key),
                          value_text(model->now.keys[k][i], value)));
        }
    for (int m = 0; m < MODEL_MEMORIES; m++) {
        lore_memory memory;
        lore_memory_init(&memory);
        memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT);
        memory.id = memory_id(m, id);
        model->now.texts[m] = 20 + m;
        model->now.embeddings[m] = 30 + m;
        memory.text = value_text(20 + m, value);
        embedding_bytes(30 + m, vector);
        lore_embedding embedding = {lore_slice_of(MODEL_SPACE), {vector, sizeof vector}};
        memory.embeddings = &embedding;
        memory.embeddings_count = 1;
        MUST(lore_memory_put(store, &memory, 1, LORE_PUT_REPLACE, NULL));
        MUST(lore_flush(store));
    }
    MUST(lore_snapshot_save(store, "s"));
    memcpy(model->snapshots[0].name, "s", 2);
    model->snapshots[0].world = model->now;
    MUST(lore_put(store, 2, key_text(0, key), value_text(41, value)));
    model->now.keys[1][0] = 41;
    MUST(lore_close(store));
}
