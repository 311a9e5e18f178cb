/*
 * output.h - what a verb prints on stdout: a table for people, one JSON document with --json. Each
 * call that prints returns 0 or the exit code of a failure to write, which is recorded.
 *
 * On a terminal a table is aligned and cut to the screen; in a pipe its columns are separated by
 * tabs and nothing is cut, so that it can be processed.
 */
#ifndef LORE_TOOLS_OUTPUT_H
#define LORE_TOOLS_OUTPUT_H

#include "cli.h"
#include "jsonwrite.h"
#include "text.h"

struct table {
    size_t columns;
    char **cells; /* rows * columns, owned */
    size_t cells_count;
};

void table_begin(struct table *table, size_t columns);
/* The bytes of a memory or file: made harmless for a terminal, on one line. */
void table_bytes(struct table *table, const void *bytes, size_t size);
void table_cell(struct table *table, const char *text);
void table_uint(struct table *table, uint64_t value);
void table_time(struct table *table, int64_t time_us);
/* Print and free. `header` has `columns` names; NULL for none. */
int table_end(struct table *table, struct cli *cli, const char *const *header);

void table_free(struct table *table); /* without printing */

/* The verb's document, an object: main prints it when the verb is through. Takes the text. */
int print_json(struct cli *cli, struct text *document);
int print_text(struct cli *cli, const struct text *text);

void hex_format(struct text *out, const uint8_t *bytes, size_t size);

#endif
