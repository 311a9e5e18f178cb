/*
 * record_json.h - a memory as a JSON object: the record of a dump, and what --json prints.
 *
 * Members stand in this order, and only where there is something to say:
 *
 *   id text kind layer tier status importance_score created_at updated_at last_accessed_at
 * expires_at access_count user_id agent_id session_id position role tags metadata embeddings
 *
 * Times are ISO 8601 in UTC with six digits, exactly the store's microseconds. Bytes that are not
 * UTF-8, or hold U+0000, stand under the member's name with "_b64" behind it, in base64; such a tag
 * is
 * {"b64": ...} in the array. metadata is a string that holds the bytes as given. embeddings is an
 * array of {"space": name, "data": base64 of the little-endian elements}, ordered by name.
 */
#ifndef LORE_TOOLS_RECORD_JSON_H
#define LORE_TOOLS_RECORD_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "alloc.h"
#include "jsonwrite.h"
#include "lore.h"

/* Into an object that the caller has begun and will end. */
void record_write(struct json_writer *writer, const lore_memory *memory);

/* Fill `memory` from an object of that shape; what it points at is in `pool`. Members named in
 * `ignored` (a NULL-ended list) may stand there too; any other unknown one is an error. False with
 * a sentence in `error`. */
bool record_read(const json_t *object, const char *const *ignored, struct pool *pool,
                 lore_memory *memory, struct text *error);

/* The bytes of member `key` or `key`_b64. *found is false when neither is there. */
bool record_read_bytes(const json_t *object, const char *key, struct pool *pool, lore_slice *bytes,
                       bool *found, struct text *error);

/* A count that jw_uint wrote. */
bool record_read_uint(const json_t *value, uint64_t *number);

#endif
