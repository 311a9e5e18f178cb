/*
 * crash_model.c - see crash_model.h.
 */
#include "crash_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

lore_slice value_text(int number, char buffer[256]) {
    int size = snprintf(buffer, 256, "value-%d", number);
    if (number % 2 != 0) {
        memset(buffer + size, 'a' + number % 26, 180);
        size += 180;
    }
    return (lore_slice){buffer, (size_t)size};
}

lore_slice key_text(int key, char buffer[16]) {
    return (lore_slice){buffer, (size_t)snprintf(buffer, 16, "key-%d", key)};
}

lore_slice memory_id(int memory, char buffer[16]) {
    return (lore_slice){buffer, (size_t)snprintf(buffer, 16, "memory-%d", memory)};
}

void embedding_bytes(int number, float vector[4]) {
    for (int i = 0; i < 4; i++)
        vector[i] = (float)(number * 4 + i);
}

void model_options(lore_options *options, const lore_env *env) {
    lore_options_init(options);
    options->env = env;
    options->create_if_missing = true;
    options->memory_budget = 4u << 20;
    options->background = LORE_BACKGROUND_STEPS;
    options->log_preallocate_bytes = 4096;
    options->reserve_bytes = 0;
    options->blob_threshold_bytes = 128;
    options->lock_timeout_ms = 0;
    options->fan_in = 2;
}

struct writer {
    char *text;
    size_t size;
};

static void add(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add(struct writer *writer, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int size = vsnprintf(writer->text + writer->size, MODEL_TEXT_MAX - writer->size, format, args);
    va_end(args);
    if (size > 0) writer->size += (size_t)size;
    if (writer->size >= MODEL_TEXT_MAX) writer->size = MODEL_TEXT_MAX - 1;
}

/* A value's number, short where the bytes are those of the number, and its bytes where they are
 * not. */
static void add_value(struct writer *writer, lore_slice value) {
    char head[32] = "", expected[256];
    int number = 0;
    size_t shown = value.size < sizeof head - 1 ? value.size : sizeof head - 1;
    if (shown > 0) memcpy(head, value.data, shown);
    if (sscanf(head, "value-%d", &number) == 1) {
        lore_slice wanted = value_text(number, expected);
        if (wanted.size == value.size && memcmp(wanted.data, value.data, value.size) == 0) {
            add(writer, "%d", number);
            return;
        }
    }
    add(writer, "(%zu other bytes: %s)", value.size, head);
}

static void render_world(struct writer *writer, const struct world *world) {
    for (int k = 0; k < MODEL_KEYSPACES; k++)
        for (int i = 0; i < MODEL_KEYS; i++)
            if (world->keys[k][i] != 0) add(writer, " %d/key-%d=%d", k + 1, i, world->keys[k][i]);
    for (int m = 0; m < MODEL_MEMORIES; m++) {
        if (world->texts[m] == 0) continue;
        add(writer, " memory-%d=%d", m, world->texts[m]);
        if (world->embeddings[m] != 0) add(writer, "~%d", world->embeddings[m]);
    }
    add(writer, "\n");
}

void model_render(const struct model *model, char text[MODEL_TEXT_MAX]) {
    struct writer writer = {text, 0};
    text[0] = '\0';
    add(&writer, "now:");
    render_world(&writer, &model->now);
    /* In order of name, as the store lists them. */
    char last[16] = "";
    for (;;) {
        int next = -1;
        for (int i = 0; i < MODEL_SNAPSHOTS; i++)
            if (strcmp(model->snapshots[i].name, last) > 0 &&
                (next < 0 || strcmp(model->snapshots[i].name, model->snapshots[next].name) < 0))
                next = i;
        if (next < 0) return;
        memcpy(last, model->snapshots[next].name, sizeof last);
        add(&writer, "snapshot %s:", last);
        render_world(&writer, &model->snapshots[next].world);
    }
}

static lore_status store_render_world(lore_store *store, const lore_snapshot *snapshot,
                                      struct writer *writer) {
    for (lore_keyspace k = 1; k <= MODEL_KEYSPACES; k++) {
        lore_iter *iter;
        lore_status status = lore_iter_create(store, snapshot, k, NULL, &iter);
        if (status != LORE_OK) return status;
        status = lore_iter_seek_first(iter);
        while (status == LORE_OK && lore_iter_valid(iter)) {
            lore_slice key = lore_iter_key(iter), value;
            add(writer, " %u/%.*s=", k, (int)key.size, (const char *)key.data);
            status = lore_iter_value(iter, &value);
            if (status == LORE_OK) add_value(writer, value);
            if (status == LORE_OK) status = lore_iter_next(iter);
        }
        lore_iter_destroy(iter);
        if (status != LORE_OK) return status;
    }
    lore_memory_iter *memories;
    lore_status status = lore_memory_iter_create(store, snapshot, LORE_READ_EMBEDDINGS, &memories);
    while (status == LORE_OK) {
        lore_record *record;
        status = lore_memory_iter_next(memories, &record);
        if (status != LORE_OK || record == NULL) break;
        const lore_memory *memory = lore_record_memory(record);
        add(writer, " %.*s=", (int)memory->id.size, (const char *)memory->id.data);
        add_value(writer, memory->text);
        for (size_t i = 0; i < memory->embeddings_count; i++) {
            float vector[4], expected[4];
            if (memory->embeddings[i].data.size != sizeof vector) {
                add(writer, "~(%zu bytes)", memory->embeddings[i].data.size);
                continue;
            }
            memcpy(vector, memory->embeddings[i].data.data, sizeof vector);
            int number = (int)(vector[0] / 4);
            embedding_bytes(number, expected);
            add(writer, memcmp(vector, expected, sizeof vector) == 0 ? "~%d" : "~(wrong %d)",
                number);
        }
        lore_record_destroy(record);
    }
    if (memories != NULL) lore_memory_iter_destroy(memories);
    add(writer, "\n");
    return status;
}

struct names {
    char names[16][16];
    int count;
};

static bool note_name(void *context, const lore_snapshot_info *info) {
    struct names *names = context;
    if (names->count < 16 && info->name.size < 16)
        memcpy(names->names[names->count++], info->name.data, info->name.size);
    return true;
}

lore_status store_render(lore_store *store, char text[MODEL_TEXT_MAX]) {
    struct writer writer = {text, 0};
    text[0] = '\0';
    add(&writer, "now:");
    lore_status status = store_render_world(store, NULL, &writer);
    struct names names = {0};
    if (status == LORE_OK) status = lore_snapshot_list(store, note_name, &names);
    for (int i = 0; status == LORE_OK && i < names.count; i++) {
        lore_snapshot *snapshot;
        status = lore_snapshot_open(store, names.names[i], &snapshot);
        if (status != LORE_OK) break;
        add(&writer, "snapshot %s:", names.names[i]);
        status = store_render_world(store, snapshot, &writer);
        lore_snapshot_release(snapshot);
    }
    return status;
}
