/*
 * findings.h - what verify and restore find wrong, gathered for the table and for --json.
 *
 * One flipped byte is found again by everything that reads it: by each key that leads to it and by
 * each memory. So findings are gathered into one for each damaged file, with the places in it and
 * what depends on them; faults of indexes that no damaged file explains are one for each sentence.
 * Warnings stand alone.
 */
#ifndef LORE_TOOLS_FINDINGS_H
#define LORE_TOOLS_FINDINGS_H

#include "cli.h"
#include "output.h"

#define FINDINGS_SHOWN_MAX 1000u /* rows of the table; --json has all */

struct finding_place {
    char *message;   /* owned */
    uint64_t offset; /* bytes; UINT64_MAX: none */
    struct text first_key,
        last_key; /* the hurt range, with the keyspace at its head; may be empty */
};

struct finding_group {
    lore_status status;           /* LORE_OK: a warning */
    const char *kind;             /* static */
    char *file;                   /* owned; "" where none applies */
    struct finding_place *places; /* as found; owned */
    size_t places_count;
    struct text *keys; /* that depend on it; in no order, some more than once; owned */
    size_t keys_count;
};

struct findings {
    struct finding_group *groups; /* owned */
    size_t groups_count;
    uint64_t damaged, warnings; /* groups of either sort */
};

/* Matches lore_finding_fn; the context is a struct findings. */
void findings_add(void *context, const lore_finding *finding);
/* One that the tool found itself. */
void findings_note(struct findings *findings, bool damage, const char *kind, const char *file,
                   const char *message);
/* The array of the document. */
void findings_as_json(const struct findings *findings, struct json_writer *writer);
int findings_print(const struct findings *findings, struct cli *cli);
void findings_free(struct findings *findings);

#endif
