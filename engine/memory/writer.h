/*
 * writer.h - what one call that changes memories builds its batch with.
 *
 *   write.c    the public calls: what the new memory is; retries
 *   change.c   from an old and a new memory to the entries of the batch
 *   heads.c    positions in sessions
 *
 * A writer lives for one call and is used again for each try. One thread.
 */
#ifndef LORE_MEMORY_WRITER_H
#define LORE_MEMORY_WRITER_H

#include "memory/layer.h"
#include "memory/limits.h"
#include "memory/record.h"

/* A session's head as it will be when the batch is committed. */
struct session_head {
    struct bytes session;
    uint64_t sequence; /* of the entry that was read; 0: there is none */
    uint64_t next;     /* the position after the last */
    uint64_t members;  /* memories in the session */
};

struct writer {
    lore_store *store;
    struct memory_layer *layer;
    const struct allocator *allocator;
    struct store_read reading;
    int64_t now_us;
    struct batch batch;
    struct session_head *heads; /* of the sessions that this batch touches */
    size_t heads_count, heads_capacity;
    /* Scratch. */
    struct bytes key, value, vector, spaces;
    struct bytes old_index, new_index;
};

void writer_init(struct writer *writer, lore_store *store);
void writer_deinit(struct writer *writer);
/* Forget the batch of the try before; read from now on at the newest sequence number, until
 * writer_end_read. */
MUST_USE lore_status writer_begin_read(struct writer *writer);
void writer_end_read(struct writer *writer);

/* ---- change.c ---- */

/* One memory's change. */
struct change {
    const lore_record
        *old;          /* NULL: there is none; without text where `new_text` is false and it may */
    lore_memory *next; /* complete; NULL: the memory is deleted. Its position is filled in */
    bool new_text;     /* next->text is not the text of the row: a new row */
    bool position_given;
    bool keep_embeddings;                /* those that are not in `vectors` stay */
    bool set_access;                     /* write next's access counts */
    const struct given_vectors *vectors; /* NULL: none */
    const struct space *dropped;         /* NULL: none; the embedding in this space goes */
};
MUST_USE lore_status writer_add(struct writer *writer, const struct change *change);
/* After all changes: the heads of the sessions that they touched. */
MUST_USE lore_status writer_add_heads(struct writer *writer);

/* ---- heads.c ---- */

/* Work out next->position, and note what that does to the heads of the sessions left and entered.
 */
MUST_USE lore_status heads_move(struct writer *writer, const lore_memory *old, lore_memory *next,
                                bool position_given);
/* The value of a HEAD key. */
void head_encode(uint8_t out[HEAD_BYTES], uint64_t next, uint64_t members);
bool head_decode(lore_slice value, uint64_t *next, uint64_t *members);

#endif
