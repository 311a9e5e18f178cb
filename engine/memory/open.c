/*
 * open.c - lore_open, lore_close and their kin: a store with the memory layer hung into its hooks.
 */
#include "memory/layer.h"

#include "base/poison.h"

struct memory_layer *memory_layer_of(lore_store *store) {
    return store_hook_context(store);
}

/* At the last level a dead row's key tells nobody anything any more: no index holds rows that are
 * dead. */
static bool drop_dead(void *context, const struct entry *entry) {
    (void)context;
    return entry->key.size >= KEYSPACE_BYTES && get_be32(entry->key.data) == KEYSPACE_DEAD;
}

static void tick(void *context, lore_store *store) {
    (void)context;
    access_tick(store);
}

static lore_status closing(void *context, lore_store *store) {
    (void)context;
    return access_write(store, true);
}

static void layer_destroy(void *context) {
    struct memory_layer *layer = context;
    const lore_env *env = layer->env;
    access_deinit(&layer->access);
    uuid7_deinit(&layer->uuid7);
    env_mutex_destroy(env, layer->retry);
    mem_put(env->allocator, layer, sizeof *layer);
}

static lore_status layer_create(const lore_env *env, struct memory_layer **out) {
    void *memory;
    TRY(mem_new(env->allocator, sizeof(struct memory_layer), &memory));
    struct memory_layer *layer = memory;
    layer->env = env;
    layer->access.env = layer->uuid7.env = env;
    lore_status status = env_mutex_create(env, &layer->retry);
    if (status == LORE_OK) status = uuid7_init(&layer->uuid7, env);
    if (status == LORE_OK) status = access_init(&layer->access, env);
    if (status != LORE_OK) {
        layer_destroy(layer);
        return status;
    }
    *out = layer;
    return LORE_OK;
}

static const lore_env *env_of(const lore_options *options) {
    bool has = options != NULL &&
               options->struct_size >= offsetof(lore_options, env) + sizeof options->env;
    return has && options->env != NULL ? options->env : env_posix();
}

static struct store_hooks hooks_of(struct memory_layer *layer) {
    return (struct store_hooks){.tree = {.context = layer, .drop = drop_dead},
                                .context = layer,
                                .tick = tick,
                                .closing = closing,
                                .destroy = layer_destroy};
}

lore_status lore_open(const char *path, const lore_options *options, lore_store **store) {
    *store = NULL;
    struct memory_layer *layer;
    TRY(layer_create(env_of(options), &layer));
    struct store_hooks hooks = hooks_of(layer);
    lore_status status = store_open(path, options, &hooks, store);
    if (status != LORE_OK) layer_destroy(layer);
    return status;
}

lore_status lore_close(lore_store *store) {
    return store_close(store);
}

lore_status lore_generation_begin(const char *path, bool replace, const lore_options *options,
                                  lore_store **store) {
    *store = NULL;
    struct memory_layer *layer;
    TRY(layer_create(env_of(options), &layer));
    struct store_hooks hooks = hooks_of(layer);
    lore_status status = store_generation_begin(path, replace, options, &hooks, store);
    if (status != LORE_OK) layer_destroy(layer);
    return status;
}
