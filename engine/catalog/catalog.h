/*
 * catalog.h - what must change together and is small: live segments, log watermarks, named snapshots, quarantine, spaces, options,
 * notes. An ordered map of checked records with two homes.
 *
 *   edits-N       the truth: a log (catalog/edits.h) that begins with a checkpoint of the whole map and goes on with
 *                 numbered edits, each a set of puts and deletes, synced before anything else happens
 *   catalog.mdb   LMDB (catalog/lmdb_map.h): the same map, queried; behind edits by at most the last one. Thrown away
 *                 and rebuilt when it is missing, foreign, damaged or behind by more than edits can tell
 *
 * commit   1. append the edit to edits-N, sync, promise     2. LMDB transaction     3. only then may files be unlinked
 * open     read edits (checkpoint, edits, chain); validate catalog.mdb with pread (metas, page numbers, reachability,
 *          bounds of every node), then every value; compare numbers: equal - use it; behind - replay; unusable - set
 *          aside in quarantine/ (the last three are kept) and rebuild; ahead of edits, in the same lineage - edits have
 *          lost a synced record: LORE_CORRUPTION
 * roll     when edits-N passes twice its checkpoint (and 64 KiB): write edits-N+1 with a checkpoint, sync, sync the
 *          directory, go on there, unlink edits-N
 *
 * LMDB is derived, so it never stands in the way. When its device is full, or a value fails its check, it is closed and
 * reads come from an image that is built from edits, until the catalog is opened or rebuilt again; a warning says so.
 *
 * A read-only catalog never opens LMDB: it reads checkpoint and edits into memory. So LMDB has one process, no lock file
 * and no reader table (MDB_NOLOCK; the store's own lock excludes other writers), and a second process cannot pin its pages.
 *
 * LMDB's own memory and its map are charged by a fixed reservation (CATALOG_RESERVED_BYTES).
 *
 * Threads: calls are serialised by the caller (the store's catalog mutex).
 * A failed sync is final, and so is an I/O error of LMDB's commit: every later commit returns it.
 */
#ifndef LORE_CATALOG_CATALOG_H
#define LORE_CATALOG_CATALOG_H

#include "base/budget.h"
#include "base/identity.h"
#include "base/log.h"
#include "vfs/env.h"

#define CATALOG_RESERVED_BYTES (1536u * 1024u)
#define CATALOG_KEY_BYTES_MAX 511u
#define CATALOG_VALUE_BYTES_MAX (1u << 20)

struct catalog_config {
    const lore_env *env;
    const struct allocator *allocator;
    const struct logger *logger;
    const char *dir;             /* the generation's folder */
    struct identity identity;    /* expected; checked against edits' header when not all zero */
    bool group_access;
    bool read_only;
    uint64_t map_bytes_max;      /* LMDB map; it grows up to this. 0: 64 MiB */
};

/* A set of changes, at most 4 MiB encoded; the last one on a key wins. Keys: 1 to CATALOG_KEY_BYTES_MAX bytes, the first
 * not zero. */
struct catalog_edit {
    struct bytes encoded; /* entries: u8 (1 put, 2 delete), varint key length, key, [varint value length, value] */
    uint32_t count;
};
void catalog_edit_init(struct catalog_edit *edit, const struct allocator *allocator);
void catalog_edit_deinit(struct catalog_edit *edit);
void catalog_edit_clear(struct catalog_edit *edit);
MUST_USE lore_status catalog_edit_put(struct catalog_edit *edit, lore_slice key, lore_slice value);
MUST_USE lore_status catalog_edit_delete(struct catalog_edit *edit, lore_slice key);

struct catalog;

/* What opening had to do. */
struct catalog_opened {
    uint64_t number;         /* of the last edit */
    uint64_t replayed;       /* edits that LMDB lacked */
    bool rebuilt;            /* catalog.mdb was made anew from edits */
    char reason[128];        /* why, when rebuilt */
    uint64_t tail_bytes_cut; /* of edits: a torn last record, kept in quarantine */
};

/* A new catalog in an empty folder, with `first` as its checkpoint (edit number 1). LMDB is created in a temporary
 * directory, committed, synced, renamed. Everything durable on return, the folder's entries too.
 * `catalog` NULL: nothing is left open, and LMDB's file is made but not mapped (a process that maps it a second time
 * pays 2 MiB, which LMDB then clears for itself). */
MUST_USE lore_status catalog_create(const struct catalog_config *config,
                                    const struct catalog_edit *first, struct catalog **catalog);
MUST_USE lore_status catalog_open(const struct catalog_config *config, struct catalog **catalog,
                                  struct catalog_opened *opened);
void catalog_close(struct catalog *catalog); /* appends a promise and syncs it, when not failed. NULL is fine */

const struct identity *catalog_identity(const struct catalog *catalog);
uint64_t catalog_number(const struct catalog *catalog);
uint64_t catalog_bytes(struct catalog *catalog); /* on disk: edits and LMDB */
lore_status catalog_failed(const struct catalog *catalog);

MUST_USE lore_status catalog_get(struct catalog *catalog, lore_slice key, struct bytes *value);
/* Keys that begin with `prefix`, in order. Stops at the first status that is not LORE_OK. The slices are copies that
 * live during the callback; no LMDB transaction is open while it runs. */
typedef lore_status (*catalog_record_fn)(void *context, lore_slice key, lore_slice value);
MUST_USE lore_status catalog_scan(struct catalog *catalog, lore_slice prefix, catalog_record_fn record,
                                  void *context);
/* LORE_FULL, LORE_NO_MEMORY: nothing changed, may be tried again. Any other failure is final, and the edit may or may
 * not be durable. An empty edit is fine: nothing. */
MUST_USE lore_status catalog_commit(struct catalog *catalog, const struct catalog_edit *edit);

/* Read-only: read on in edits (or in the newer edits file). *changed says whether anything is new. */
MUST_USE lore_status catalog_refresh(struct catalog *catalog, bool *changed);

/* A new edits-0000000001 in folder `dir`, holding a checkpoint of this catalog with `changes` applied, under `identity`: the
 * catalog of a backup, or of a restored generation. Synced, with its directory. */
MUST_USE lore_status catalog_export(struct catalog *catalog, const char *dir,
                                    const struct identity *identity, const struct catalog_edit *changes);

/* For salvage: the best that the folder's files give, read into memory; nothing can be committed to it. The folder is a copy:
 * LMDB opens the file in it. `config->read_only`. `*reason` says what was wrong where *found is not CATALOG_WHOLE. */
enum catalog_found {
    CATALOG_WHOLE,    /* edits, to their end */
    CATALOG_FROM_MAP, /* edits are hurt or missing; LMDB is sound, and not behind what can be read of them */
    CATALOG_PREFIX,   /* of edits: later ones, or the rest of the checkpoint, are lost */
    CATALOG_NONE      /* it has no records, and no identity */
};
MUST_USE lore_status catalog_open_hurt(const struct catalog_config *config, struct catalog **catalog,
                                       enum catalog_found *found, char reason[256]);
/* Change what was read, in memory alone, before it is exported. */
MUST_USE lore_status catalog_hurt_apply(struct catalog *catalog, const struct catalog_edit *edit);

/* LMDB against edits, record by record, and every check. `fault` receives file and text. */
typedef void (*catalog_fault_fn)(void *context, const char *file, uint64_t offset, const char *message);
MUST_USE lore_status catalog_verify(struct catalog *catalog, catalog_fault_fn fault, void *context);
/* Read-only, and only while no writer is there: catalog.mdb by itself, its pages and the check of every value. Damage is
 * LORE_CORRUPTION with why; nothing depends on the file. LORE_OK where there is none. */
MUST_USE lore_status catalog_verify_file(struct catalog *catalog);
/* Make catalog.mdb anew from edits, as after its loss. */
MUST_USE lore_status catalog_rebuild(struct catalog *catalog);

#endif
