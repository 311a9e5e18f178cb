/*
 * filter.h - conditions on attributes: their checks and their evaluation. query.h says what they
 * mean where the attribute is lacking.
 */
#ifndef LORE_QUERY_FILTER_H
#define LORE_QUERY_FILTER_H

#include "memory/keys.h"

/* LORE_INVALID: more than QUERY_FILTERS_MAX, an attribute that cannot be asked for, an operator
 * that it has not got, a text over the attributes' limit, a number that is none. */
MUST_USE lore_status filters_check(const lore_filter *filters, size_t count);
/* A checked filter against a memory as read. */
bool filter_matches(const lore_filter *filter, const lore_memory *memory);

/* How a position stands to a filter's integer, which may be negative: -1, 0, 1. */
int position_compare(uint64_t position, int64_t integer);

#endif
