/*
 * loader.h - writes many memories (and entries of the ordered map) in batches.
 *
 * A batch holds up to 256 records or 1 MiB, and never more than an eighth of memory_budget before
 * its last record. When a batch is refused for one of its records, they are written one at a time,
 * so that the bad one is named and the others are kept. One thread.
 */
#ifndef LORE_TOOLS_LOADER_H
#define LORE_TOOLS_LOADER_H

#include "alloc.h"
#include "cli.h"

#define LOADER_RECORDS_MAX 256u
#define LOADER_BYTES_MAX   (1u << 20)

enum loader_existing { EXISTING_REPLACE, EXISTING_SKIP, EXISTING_FAIL };

/* A record could not be written; `where` is what loader_add was told. Returns 0 to go on. */
typedef int (*loader_bad_fn)(void *context, uint64_t where, lore_status status, const char *why);

struct loader {
    struct cli *cli;
    lore_store *store; /* NULL: only count */
    enum loader_existing existing;
    loader_bad_fn on_bad; /* NULL: such a record fails the load */
    void *context;
    size_t bytes_max;
    struct pool pool; /* of the records not yet written */
    lore_memory memories[LOADER_RECORDS_MAX];
    uint64_t where[LOADER_RECORDS_MAX];
    size_t count;
    lore_batch *batch; /* of entries */
    size_t batch_count;
    uint64_t written, entries, skipped; /* skipped: they existed */
};

void loader_begin(struct loader *loader, struct cli *cli, lore_store *store,
                  enum loader_existing existing);
/* The pool to build the next record in. Call it once before each record. */
struct pool *loader_pool(struct loader *loader);
/* All return 0 or the exit code of a recorded failure. */
int loader_add(struct loader *loader, const lore_memory *memory, uint64_t where);
int loader_add_entry(struct loader *loader, lore_keyspace keyspace, lore_slice key,
                     lore_slice value);
int loader_flush(struct loader *loader);
void loader_end(struct loader *loader); /* frees; does not write */

#endif
