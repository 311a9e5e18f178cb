/*
 * operations.h - the operations that crash and fault tests are made of: each changes a store and, alike, the model of what it must hold.
 */
#ifndef LORE_TESTS_OPERATIONS_H
#define LORE_TESTS_OPERATIONS_H

#include "crash_model.h"
#include "vfs/fs_memory.h"

enum operation {
    OP_PUT,     /* one key; on odd numbers the value goes to a blob file */
    OP_BATCH,   /* two keyspaces, with a delete */
    OP_DELETE,
    OP_RANGE,   /* a range delete over a keyspace */
    OP_MEMORY,  /* a memory's text: a new row */
    OP_EMBED,   /* a memory's embedding replaced */
    OP_FLUSH,
    OP_STEP,    /* background steps until there is nothing to do */
    OP_REWRITE, /* a full compaction, blob and row files included */
    OP_SAVE,    /* a named snapshot */
    OP_DROP,
    OP_SWITCH,  /* freeze the memtable, begin the next log, do not flush */
    OP_REBUILD, /* make the LMDB file anew */
    OP_REOPEN,
    OPERATIONS
};
extern const char *const operation_names[OPERATIONS];

#define STORE_PATH "store"

/* Run it on *store (which OP_REOPEN replaces; NULL after a failed one), and do the same to `model`, whatever the store answers. `number`
 * names the values it writes. *store NULL: the model alone. */
lore_status operation_run(enum operation operation, const lore_env *env, lore_store **store, struct model *model,
                          int number);

/* A store with something of everything, cleanly closed, on a new file system in memory; and its model. Ends the process
 * when that fails. */
void operation_make_base(struct fs_memory **disk, struct model *model);

/* splitmix64. */
uint64_t operation_random(uint64_t *state);

void operation_must(lore_status status, const char *what);
#define MUST(expression) operation_must((expression), #expression)

#endif
