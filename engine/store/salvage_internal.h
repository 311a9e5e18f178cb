/*
 * salvage_internal.h - the inside of struct store_salvage, for salvage*.c.
 */
#ifndef LORE_STORE_SALVAGE_INTERNAL_H
#define LORE_STORE_SALVAGE_INTERNAL_H

#include "segment/segment_block.h"
#include "store/salvage.h"
#include "store/store_internal.h"

#define HURT_REASON_BYTES 200u

/* Entries of these keys (both included), up to a sequence number, may be missing. */
struct hurt_range {
    struct bytes first, last;
    uint64_t last_sequence;
    char reason[HURT_REASON_BYTES];
};

struct store_salvage {
    const lore_env *env;
    lore_options options; /* of the scratch store */
    const char *path;     /* the source */
    const lore_salvage_calls *calls;
    lore_salvage_report *report;
    char generation[32];           /* of the source: "g-000001" */
    char source[PATH_BYTES_MAX];   /* its folder */
    char scratch[PATH_BYTES_MAX];  /* TO.salvage */
    char old[PATH_BYTES_MAX];      /* TO.salvage/old */
    char dir[PATH_BYTES_MAX];      /* TO.salvage/g-000001 */
    struct file_lock *lock;        /* of the source; NULL where it cannot be taken */

    /* While the files are looked at. */
    struct budget budget;
    struct charged_allocator work;
    struct segment_context from, into; /* in old/, in g-000001/ */
    struct block_mender mender;        /* of these, then of the scratch store */
    struct catalog *catalog;
    bool sealed;
    struct log_record_state log;
    struct log_head_record head; /* number 0: none is known */
    uint64_t runs;               /* given to tables that the catalog does not place */
    uint64_t segment_end;

    struct hurt_range *hurt;
    size_t hurt_count, hurt_capacity;
    uint64_t all_sequence; /* anything older than it may have a newer version */
    char all_reason[HURT_REASON_BYTES];

    lore_store *store;
};

static inline bool salvage_is_damage(lore_status status) {
    return status == LORE_CORRUPTION || status == LORE_IO || status == LORE_UNSUPPORTED;
}

/* salvage.c */
/* A loss in a file of the source's generation. */
void salvage_lose_file(struct store_salvage *s, const char *kind, const char *name, uint64_t offset,
                       bool harmless, const char *message);
/* Everything older than `sequence` is in doubt. */
void salvage_doubt_all(struct store_salvage *s, uint64_t sequence, const char *reason);
MUST_USE lore_status salvage_progress(struct store_salvage *s, const char *stage, uint64_t done);

/* salvage_files.c */
/* Which generation; its files into old/. */
MUST_USE lore_status salvage_gather(struct store_salvage *s);
/* A copy of which what cannot be read is zeros. */
MUST_USE lore_status salvage_copy(const struct store_salvage *s, const char *from, const char *to);

/* salvage_tree.c */
/* The segments into g-000001/, and the catalog's records of them changed to match. */
MUST_USE lore_status salvage_segments(struct store_salvage *s, bool catalog_in_doubt);

/* salvage_log.c */
MUST_USE lore_status salvage_logs(struct store_salvage *s);

#endif
