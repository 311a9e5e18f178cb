/*
 * contains.h - whether bytes lie within a text.
 */
#ifndef LORE_QUERY_CONTAINS_H
#define LORE_QUERY_CONTAINS_H

#include "base/bytes.h"

/* An empty needle is in every text. With `ignore_ascii_case`, A-Z equal a-z and all other bytes
 * themselves. */
bool text_contains(lore_slice text, lore_slice needle, bool ignore_ascii_case);

#endif
