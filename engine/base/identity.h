/*
 * identity.h - whose file is this. Every header, footer and manifest carries the store's id, the same for
 * its whole life, and its lineage, new at every restore and load; replay never crosses one.
 */
#ifndef LORE_BASE_IDENTITY_H
#define LORE_BASE_IDENTITY_H

#include "base/bytes.h"

struct identity {
    uint8_t store_id[16];
    uint8_t lineage[16];
};

static inline bool identity_equal(const struct identity *a, const struct identity *b) {
    return memcmp(a->store_id, b->store_id, 16) == 0 && memcmp(a->lineage, b->lineage, 16) == 0;
}

#endif
