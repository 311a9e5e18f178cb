/*
 * layer.h - what the memory layer keeps beside an open store: pending access counts, the last
 * generated id, and the line in which writers that were in conflict wait.
 *
 * Locks: `retry` may be held during a commit; the others never. None is taken while another is
 * held, but for `retry`, under which any of the others may be.
 */
#ifndef LORE_MEMORY_LAYER_H
#define LORE_MEMORY_LAYER_H

#include "memory/access.h"
#include "memory/memory.h"
#include "memory/uuid7.h"
#include "vfs/sync.h"

struct memory_layer {
    const lore_env *env;
    struct mutex *retry; /* one writer that was in conflict at a time */
    struct uuid7 uuid7;
    struct access_counts access;
};

#endif
