/* findings.h - what verify and restore find wrong, gathered for the table and for --json. */
#ifndef LORE_TOOLS_FINDINGS_H
#define LORE_TOOLS_FINDINGS_H

#include "cli.h"
#include "output.h"

#define FINDINGS_SHOWN_MAX 1000u

struct findings {
    struct table table;
    struct text json; /* objects with commas between */
    uint64_t damaged, warnings;
};

void findings_begin(struct findings *findings);
/* Matches lore_finding_fn; the context is a struct findings. */
void findings_add(void *context, const lore_finding *finding);
/* One that the tool found itself. */
void findings_note(struct findings *findings, bool damage, const char *kind, const char *file,
                   const char *message);
void findings_free(struct findings *findings);

#endif
