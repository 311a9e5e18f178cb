/*
 * layout.h - the store's directory: names, and the one line of CURRENT.
 *
 *   store/
 *     LOCK                     the writer's kernel lock; its text (pid, host, since) is information
 *     CURRENT                  "lore 1 g-000001 <32 hex store id> <16 hex check>\n": the live generation. The check is the XXH3-64
 *                              of everything before it. Replaced by write, sync, rename, directory sync
 *     MANIFEST.json            of a backup: written by the tool
 *     g-000001/                a generation
 *       log-0000000001         write-ahead log, wal/log_format.h
 *       edits-0000000001       the catalog's truth, catalog/catalog.h
 *       catalog.mdb            the catalog's LMDB file, derived
 *       000000000012.table     segments, segment/segment.h
 *       RESERVE                zeros, given up on a full disk so that deletes and compaction can run
 *       quarantine/            what failed a check or was cut: never read, never deleted by Lore
 *     g-000002.building/       a restore or load under way; removed when it is found unfinished
 */
#ifndef LORE_STORE_LAYOUT_H
#define LORE_STORE_LAYOUT_H

#include "base/identity.h"
#include "vfs/env.h"

#define STORE_FORMAT_VERSION 1u

struct current {
    uint64_t generation;
    uint8_t store_id[16];
};
/* LORE_NO_STORE without CURRENT; LORE_CORRUPTION when its line fails its check; LORE_UNSUPPORTED for another version. */
MUST_USE lore_status current_read(const lore_env *env, const char *path, struct current *current);
MUST_USE lore_status current_replace(const lore_env *env, const char *path, bool group_access,
                                     const struct current *current);

MUST_USE lore_status layout_generation_dir(char out[PATH_BYTES_MAX], const char *path, uint64_t generation,
                                           bool building);
bool layout_generation_parse(const char *name, uint64_t *generation, bool *building);
MUST_USE lore_status layout_log_path(char out[PATH_BYTES_MAX], const char *dir, uint64_t number);
bool layout_log_parse(const char *name, uint64_t *number);

#endif
