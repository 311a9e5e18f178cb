/*
 * lmdb_map.h - the catalog's records in LMDB.
 *
 *   value    u8 version (1); u64 XXH3-64 over key length (u32), key, content; content
 *   state    the record of key "\0number": its content is
 *             0  u64     number of the last edit that is in, 0: not whole
 *             8  u64     its history (catalog/edits.h)
 *            16  u64     records
 *            24  u64     sum, modulo 2^64, of the checks of their values
 *            32  u8[16]  store id
 *            48  u8[16]  lineage
 *
 * LMDB has no checksums and trusts its file. So the file is validated before LMDB sees it
 * (lmdb_check.h), and then every value is checked against its key, and all of them against the
 * state's sum and count: an old page among new ones is noticed. After that LMDB's pages are trusted
 * as far as memory is, except that each value is checked again when it is read. What is left: LMDB
 * aborts the process on its own asserts (the reason is logged first), and an I/O error while the
 * kernel pages its map in is SIGBUS. Only calls of this file touch the map.
 *
 * No lock file, no reader table (MDB_NOLOCK): the store's own lock keeps others out. No transaction
 * outlives a call.
 *
 * Threads: one at a time. Owner: the catalog.
 */
#ifndef LORE_CATALOG_LMDB_MAP_H
#define LORE_CATALOG_LMDB_MAP_H

#include "base/bytes.h"
#include "base/identity.h"
#include "base/log.h"
#include "vfs/env.h"

struct lmdb_place {
    const lore_env *env;
    const struct allocator *allocator;
    const struct logger *logger;
    const char *path; /* of the data file */
    bool group_access;
    uint64_t bytes_max; /* of the map */
};

struct lmdb_state {
    uint64_t number, history, records, sum;
    struct identity identity;
};

struct lmdb_map;
/* An existing file, validated. LORE_NOT_FOUND if there is none; LORE_CORRUPTION with why it cannot
 * be used. */
MUST_USE lore_status lmdb_map_open(const struct lmdb_place *place, struct lmdb_map **map);
/* Whether lmdb_map_open would take the file, by reading alone: nothing is mapped, LMDB is not called. */
MUST_USE lore_status lmdb_map_check(const struct lmdb_place *place);
/* A new one, empty, number 0. There is no such file. */
MUST_USE lore_status lmdb_map_create(const struct lmdb_place *place,
                                     const struct identity *identity, struct lmdb_map **map);
void lmdb_map_close(struct lmdb_map *map); /* NULL is fine */
const struct lmdb_state *lmdb_map_state(const struct lmdb_map *map);

/* Apply a checked encoded edit and note number and history, in one transaction, durable on return.
 * LORE_FULL: no space on the device or in the map. After any failure the map is to be closed: it
 * may be behind. */
MUST_USE lore_status lmdb_map_apply(struct lmdb_map *map, lore_slice encoded, uint64_t number,
                                    uint64_t history);
/* LORE_NOT_FOUND; LORE_CORRUPTION if the value fails its check. */
MUST_USE lore_status lmdb_map_get(struct lmdb_map *map, lore_slice key, struct bytes *value);
/* Append records, as an encoded edit of puts, whose keys are at or after `from` (after it, if
 * `skip_equal`) and begin with `prefix`, until about `bytes_wanted` are there. *more: there may be
 * others. */
MUST_USE lore_status lmdb_map_collect(struct lmdb_map *map, lore_slice prefix, lore_slice from,
                                      bool skip_equal, size_t bytes_wanted, struct bytes *records,
                                      bool *more);

#endif
