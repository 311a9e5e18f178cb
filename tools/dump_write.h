/*
 * dump_write.h - a store's content as a dump: JSON lines.
 *
 *   {"lore_dump":1,"store_id":"..","lineage":"..","sequence":N,"spaces":[{..}]}     header
 *   {"type":"memory", ...record_json.h...}                                          by id
 *   {"type":"entry","keyspace":N,"key":"b64","value":"b64"}                         by keyspace,
 * key
 *   {"type":"trailer","records":N,"entries":M,"digest":"sha256:.."}
 *
 * The digest is over the memory and entry lines with their newlines: the content digest. A
 * canonical dump leaves store_id, lineage and sequence out of the header, so that equal content
 * gives equal bytes. Every dump is of one snapshot.
 */
#ifndef LORE_TOOLS_DUMP_WRITE_H
#define LORE_TOOLS_DUMP_WRITE_H

#include <stdio.h>

#include "cli.h"
#include "progress.h"
#include "sha256.h"

struct dump_totals {
    uint64_t records, entries;
    uint64_t sequence; /* of the snapshot */
    char digest[SHA256_TEXT_BYTES];
};

/* `out` NULL: only the totals. 0 or the exit code of a recorded failure. */
int dump_write(struct cli *cli, lore_store *store, bool canonical, FILE *out,
               struct progress *progress, struct dump_totals *totals);

#endif
