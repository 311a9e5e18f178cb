/*
 * keys.h - the keyspaces of the memory layer and how their keys and values are built.
 *
 *   keyspace   key                                    value
 *   ID         id                                     u64 big-endian row of its content now
 *   RECORD     be64 row, u8 RECORD_ATTRIBUTES         attributes, memory.h
 *              be64 row, u8 RECORD_TEXT               text
 *   INDEX      u8 attribute, value, be64 row          empty
 *   SESSION    text session, be64 position, be64 row  empty
 *   HEAD       text session                           be64 next position, be64 members
 *   ACCESS     id                                     merge: add count, max last access
 *   DEAD       be64 row                               i64 big-endian when it died
 *   VECTORS    be32 space, be64 row (base/entry.h)    the vector
 *
 * A row is one version of a memory's content: a new text makes a new row, and attributes, index
 * entries and embeddings move to it in the same batch; the old row gets a DEAD key. Attributes and
 * text of a row lie side by side.
 *
 * HEAD: every batch that brings a memory into a session, takes one out or moves one within requires
 * the session's head to be unchanged and writes it, or deletes it with the last memory. So two
 * writers that append at once cannot get one position: the later of them conflicts and tries again.
 * A position is not handed out twice while the session has a memory.
 *
 * Value encodings keep order under memcmp:
 *   text      bytes with 0x00 as 0x00 0xFF, ended by 0x00 0x01
 *   integer   i64 with its sign bit flipped, big-endian
 *   number    IEEE binary64 bits, big-endian, sign bit flipped if positive, all bits if
 *             negative; -0 is stored as 0
 * Attributes with an empty text have no index entry; a tag has one each. Times of 0 (never) have
 * none.
 */
#ifndef LORE_MEMORY_KEYS_H
#define LORE_MEMORY_KEYS_H

#include "base/entry.h"

#define KEYSPACE_ID      0xF0000010u
#define KEYSPACE_RECORD  0xF0000011u
#define KEYSPACE_INDEX   0xF0000012u
#define KEYSPACE_SESSION 0xF0000013u
#define KEYSPACE_ACCESS  0xF0000014u
#define KEYSPACE_DEAD    0xF0000015u
#define KEYSPACE_HEAD    0xF0000016u

#define RECORD_ATTRIBUTES 0u
#define RECORD_TEXT       1u

#define MEMORY_ID_BYTES_MAX        512u
#define MEMORY_ATTRIBUTE_BYTES_MAX 1024u
#define MEMORY_TAGS_MAX            64u
/* Positions are integers in attributes and filters; the one after the last must be one too. */
#define MEMORY_POSITION_MAX ((uint64_t)INT64_MAX - 1)

#define HEAD_BYTES 16u
#define ROW_BYTES  8u

/* Each appends to `key`, which is cleared first. */
MUST_USE lore_status key_id(struct bytes *key, lore_slice id);
MUST_USE lore_status key_record(struct bytes *key, uint64_t row, uint8_t part);
MUST_USE lore_status key_access(struct bytes *key, lore_slice id);
MUST_USE lore_status key_dead(struct bytes *key, uint64_t row);
/* Without the row: the prefix of all entries of an attribute, or of one value. */
MUST_USE lore_status key_index_attribute(struct bytes *key, lore_attribute attribute);
MUST_USE lore_status key_index_text(struct bytes *key, lore_attribute attribute, lore_slice text);
MUST_USE lore_status key_index_integer(struct bytes *key, lore_attribute attribute, int64_t value);
MUST_USE lore_status key_index_number(struct bytes *key, lore_attribute attribute, double value);
MUST_USE lore_status key_session(struct bytes *key, lore_slice session, uint64_t position);
MUST_USE lore_status key_session_prefix(struct bytes *key, lore_slice session);
MUST_USE lore_status key_head(struct bytes *key, lore_slice session);
/* One keyspace: its own four bytes. The prefix of all its keys. */
MUST_USE lore_status key_keyspace(struct bytes *key, uint32_t keyspace);
/* The smallest key above all that begin with `prefix`; false if there is none. In place. */
bool key_after_prefix(struct bytes *prefix);

MUST_USE lore_status append_text(struct bytes *key, lore_slice text);
MUST_USE lore_status append_integer(struct bytes *key, int64_t value);
MUST_USE lore_status append_number(struct bytes *key, double value);
/* Decoders over keys from the store: LORE_CORRUPTION if malformed. */
MUST_USE lore_status read_text(struct reader *key, struct bytes *text);
int64_t read_integer(struct reader *key);
double read_number(struct reader *key);
/* The last 8 bytes. */
bool key_row(lore_slice key, uint64_t *row);

enum attribute_type { ATTRIBUTE_TEXT, ATTRIBUTE_INTEGER, ATTRIBUTE_NUMBER, ATTRIBUTE_NONE };
enum attribute_type attribute_type(lore_attribute attribute);
/* Whether it has INDEX entries. Id, position and the access counts are found in keyspaces of their
 * own. */
bool attribute_is_indexed(lore_attribute attribute);

#endif
