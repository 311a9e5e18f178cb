/*
 * crash_model.h - what a small store must hold, kept naively, and the same read out of a real one: both rendered as text, so that a
 * difference can be printed.
 *
 * The world of the model: two keyspaces with few keys, two memories with a text and an embedding each, named snapshots that
 * remember a whole world. Values are named by small numbers; value_text makes the bytes of number n.
 */
#ifndef LORE_TESTS_CRASH_MODEL_H
#define LORE_TESTS_CRASH_MODEL_H

#include "lore.h"

#define MODEL_KEYSPACES 2
#define MODEL_KEYS      4
#define MODEL_MEMORIES  2
#define MODEL_SNAPSHOTS 4
#define MODEL_TEXT_MAX  8192
#define MODEL_SPACE     "space"

/* 0: absent. */
struct world {
    int keys[MODEL_KEYSPACES][MODEL_KEYS];
    int texts[MODEL_MEMORIES];      /* of a memory; 0: no such memory */
    int embeddings[MODEL_MEMORIES];
};

struct model {
    struct world now;
    struct {
        char name[16]; /* "": free */
        struct world world;
    } snapshots[MODEL_SNAPSHOTS];
};

/* Bytes of value n: odd ones long enough for a blob file under model_options, even ones short. */
lore_slice value_text(int number, char buffer[256]);
lore_slice key_text(int key, char buffer[16]);
lore_slice memory_id(int memory, char buffer[16]);
void embedding_bytes(int number, float vector[4]);

/* Small files, no reserve, steps by the caller: a store for tests over fs_memory. */
void model_options(lore_options *options, const lore_env *env);

void model_render(const struct model *model, char text[MODEL_TEXT_MAX]);
/* Everything that the model speaks of, read from the store, snapshots included. */
lore_status store_render(lore_store *store, char text[MODEL_TEXT_MAX]);

#endif
