/*
 * progress.h - long work shows where it stands, on stderr: a bar with rate and time left on a
 * terminal, one JSON object a second with --progress=json, nothing else.
 */
#ifndef LORE_TOOLS_PROGRESS_H
#define LORE_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"

struct progress {
    const struct cli *cli;
    const char *unit;  /* "B" or "records" */
    const char *stage; /* of the last update */
    int64_t started_us, shown_us;
    bool drawn; /* a bar stands on the terminal's line */
};

void progress_begin(struct progress *progress, const struct cli *cli, const char *unit);
/* A lore_progress_fn; the context is a struct progress. False once a signal asked to stop. */
bool progress_update(void *context, const lore_progress *update);
/* The same for the tool's own loops. */
bool progress_step(struct progress *progress, const char *stage, uint64_t done, uint64_t total);
void progress_end(struct progress *progress); /* clears the bar */

#endif
