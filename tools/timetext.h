/*
 * timetext.h - times and durations as people and files write them. All times are UTC microseconds
 * since 1970-01-01T00:00:00Z, as in lore.h.
 */
#ifndef LORE_TOOLS_TIMETEXT_H
#define LORE_TOOLS_TIMETEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

/* "2023-05-08T13:56:00.000001Z", always six digits; a time outside the years 0000 to 9999 is
 * "@SECONDS.ffffff". time_parse reads both back exactly. */
void time_format(struct text *out, int64_t time_us);

/* "2023-05-08 13:56" for tables. */
void time_format_short(struct text *out, int64_t time_us);

/* Reads
 *   2023-05-08   2023-05-08T13:56[:00[.000001]][Z|+02:00]   (T or a space; no zone means UTC)
 *   1:56 pm on 8 May, 2023   8 May 2023   May 8, 2023
 *   @1683554160[.5]   now   and, where `direction` is not 0, 90s 15m 12h 30d 2w 1y: that long
 *   before (-1) or after (+1) now_us; a leading + or - chooses the direction itself.
 * False if it is none of these. */
bool time_parse(const char *string, int64_t now_us, int direction, int64_t *time_us);

/* A number from somebody's JSON: seconds below 1e11, milliseconds below 1e14, else microseconds. */
bool time_from_number(double number, int64_t *time_us);

/* "500ms", "30s", "15m", "12h", "30d", "2w", "1y" (365 days); a bare number is seconds. */
bool duration_parse(const char *string, int64_t *duration_us);

int64_t time_now_us(void);

#endif
