/* dump_load.h - a dump's records into a store, or only through the checks. */
#ifndef LORE_TOOLS_DUMP_LOAD_H
#define LORE_TOOLS_DUMP_LOAD_H

#include "cli.h"
#include "loader.h"
#include "progress.h"
#include "sha256.h"

struct dump_load_result {
    uint64_t records, entries; /* read */
    uint64_t written, skipped;
    char digest[SHA256_TEXT_BYTES];
};

/* Read the dump at `path` ("-": stdin) into `store`, or only check it when `store` is NULL. Stops
 * at the first damage, telling how many records had been written. 0 or an exit code. */
int dump_load(struct cli *cli, const char *path, lore_store *store, enum loader_existing existing,
              struct dump_load_result *result);

#endif
