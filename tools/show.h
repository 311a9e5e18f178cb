/* show.h - memories on stdout: one in full, or many as a table or a JSON document. */
#ifndef LORE_TOOLS_SHOW_H
#define LORE_TOOLS_SHOW_H

#include "cli.h"
#include "output.h"

/* One memory in full, for people. */
int show_memory(struct cli *cli, const lore_memory *memory);

/* {"results":[{..,"row":N,"distance":X}],"count":N}, or a table. `distances`: a vector was
 * searched. */
int show_results(struct cli *cli, const lore_results *results, bool distances);

#endif
