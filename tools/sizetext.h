/* sizetext.h - sizes in bytes as people write them. */
#ifndef LORE_TOOLS_SIZETEXT_H
#define LORE_TOOLS_SIZETEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

/* "4096", "64M", "64MiB" (powers of 1024), "100MB" (powers of 1000); K, M, G, T; a blank before the
 * suffix and any case of its letters are fine. False for anything else and for what exceeds 2^63.
 */
bool size_parse(const char *string, uint64_t *bytes);

/* A whole number in digits, at most INT64_MAX: no sign, no blanks, no suffix. */
bool count_parse(const char *string, uint64_t *count);

/* "1.5 MiB"; exact below 1 KiB. */
void size_format(struct text *out, uint64_t bytes);

#endif
