/*
 * export.h - parts of a store for other programs.
 *
 * CSV (RFC 4180): a header line, then one memory a line by id, without embeddings; tags are a JSON
 * array. NumPy .npy 1.0: the vectors of one space by the id of their memory, shape (n, dimensions),
 * binary spaces as bytes; the ids come from --format csv or dump in the same order.
 */
#ifndef LORE_TOOLS_EXPORT_H
#define LORE_TOOLS_EXPORT_H

#include <stdio.h>

#include "cli.h"
#include "progress.h"

int export_csv(struct cli *cli, lore_store *store, FILE *out, struct progress *progress);
/* `out` must be a regular file: its header is written again at the end. */
int export_npy(struct cli *cli, lore_store *store, const char *space, FILE *out,
               struct progress *progress);

#endif
