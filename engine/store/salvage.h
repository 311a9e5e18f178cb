/*
 * salvage.h - a damaged store made readable: what checks of it, as a scratch store, and a list of the places where something may
 * be missing. The memories are read out of it above (memory/salvage.c).
 *
 *   TO.salvage/old/       the source's files by what their headers say they are: linked, or copied; only read
 *   TO.salvage/g-000001/  the scratch store: tables without their hurt blocks, value files as they are, a catalog of these
 *
 * A key that was read at a sequence number is in doubt where an entry of it with a higher one may be missing: within the key range of
 * a hurt place of a table whose file reaches higher, or anywhere, when that number is below the end of a gap in the log.
 *
 * Threads: one.
 */
#ifndef LORE_STORE_SALVAGE_H
#define LORE_STORE_SALVAGE_H

#include "store/store.h"

struct store_salvage;
/* LORE_NO_STORE where nothing of a store is; LORE_LOCKED while a writer has it. `path`, `to`, `calls` and `report` outlive it. */
MUST_USE lore_status store_salvage_open(const char *path, const char *to, const lore_options *options,
                                        const lore_salvage_calls *calls, lore_salvage_report *report,
                                        struct store_salvage **salvage);
/* Removes the scratch store. NULL is fine. */
void store_salvage_close(struct store_salvage *salvage);
/* The scratch store: read it, write nothing. */
lore_store *store_salvage_store(struct store_salvage *salvage);
/* Why an entry of `key` newer than `sequence` may be missing; NULL: it cannot be. Lives as long as the salvage. */
const char *store_salvage_doubt(const struct store_salvage *salvage, lore_slice key, uint64_t sequence);
/* Report it; counted unless it is harmless. */
void store_salvage_lose(struct store_salvage *salvage, const lore_loss *loss);
/* This thread's error text, without the scratch store's path. */
const char *store_salvage_text(const struct store_salvage *salvage);

#endif
