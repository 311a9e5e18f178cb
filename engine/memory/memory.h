/*
 * memory.h - memories as records over the one tree: what search and the public calls of the memory
 * layer are built on.
 *
 *   keys.c        keyspaces and encodings
 *   index_keys.c  which INDEX keys a memory has
 *   record.c      attributes as bytes; lore_record
 *   limits.c      what a caller may give
 *   uuid7.c       ids when the caller gives none (RFC 9562)
 *   write.c       put, update, delete: one conditional batch a call, retried
 *   change.c      from an old and a new memory to the entries of the batch
 *   heads.c       positions in sessions
 *   read.c        get by id and by row, with embeddings
 *   iterate.c     all memories in order of id
 *   access.c      access counts gathered in memory, written as merges
 *   check.c       lore_verify: the store's checks of its files, then indexes against memories
 *   open.c        lore_open, lore_close: puts memory layer and store together
 *
 *   attributes (value of RECORD_ATTRIBUTES)
 *      u8 version (1), u8 flags (reserved 0), u32 fields present (bits as LORE_FIELD)
 *      in order of attribute each present one: texts as varint length and bytes (the id first),
 *        tags as varint count and texts, integers as i64, importance as binary64,
 *        metadata as varint length and bytes
 *      varint count and u32 numbers, ascending, of the spaces in which the row has an embedding
 *
 * Atomicity: every call that changes a memory reads it, builds one batch, and commits on the
 * condition that nothing it read changed meanwhile: the ID key is still absent, or the attributes'
 * entry is still the one read (every change of a memory writes or deletes that entry, so it stands
 * for the ID key too), and the heads of the sessions touched are. LORE_CONFLICT leads to a bounded
 * number of retries (MEMORY_RETRIES_MAX), then comes back.
 *
 * Threads: any.
 */
#ifndef LORE_MEMORY_MEMORY_H
#define LORE_MEMORY_MEMORY_H

#include "memory/keys.h"
#include "store/store.h"

#define MEMORY_RETRIES_MAX 64u

/* The row of an id at a read; LORE_NOT_FOUND. *sequence is that of the ID entry. */
MUST_USE lore_status memory_row_of(lore_store *store, const struct store_read *reading,
                                   lore_slice id, uint64_t *row, uint64_t *sequence);
/* The record of a row. LORE_NOT_FOUND if the row is not alive at the read. Flags
 * LORE_READ_EMBEDDINGS; expiry and access are the caller's to mind. MEMORY_NO_TEXT leaves the text
 * out. */
#define MEMORY_NO_TEXT 0x80000000u
MUST_USE lore_status memory_read_row(lore_store *store, const struct store_read *reading,
                                     uint64_t row, unsigned flags, lore_record **record);
/* The vector of a row in a space, `stride_bytes` of it, into `vector`. LORE_NOT_FOUND. */
MUST_USE lore_status memory_read_vector(lore_store *store, const struct store_read *reading,
                                        const struct space *space, uint64_t row,
                                        struct bytes *vector);
/* Whether a record is hidden by its expiry at `now_us`. */
bool memory_is_expired(const lore_memory *memory, int64_t now_us);
/* Count one access; written later. Never fails: a count that finds no memory is dropped. */
void memory_note_access(lore_store *store, lore_slice id, int64_t now_us);

/* What the memory layer adds to an open store (store_hook_context). */
struct memory_layer;
struct memory_layer *memory_layer_of(lore_store *store);

#endif
