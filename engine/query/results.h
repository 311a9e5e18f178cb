/*
 * results.h - lore_results: records with their rows and distances, in the order in which they were
 * added.
 *
 * Ownership: results own their records and belong to the caller of the public function; the store
 * counts them as objects that must be gone before it closes.
 */
#ifndef LORE_QUERY_RESULTS_H
#define LORE_QUERY_RESULTS_H

#include "query/query.h"

MUST_USE lore_status results_create(const struct query_run *run, lore_results **results);
/* Takes the record, also on failure. */
MUST_USE lore_status results_add(lore_results *results, lore_record *record, float distance);
/* Read a row that is known to match, and add it. */
MUST_USE lore_status results_load(lore_results *results, struct query_run *run, uint64_t row,
                                  float distance, unsigned flags);
/* LORE_NO_MEMORY, with a text that says what would do. */
lore_status results_no_room(const lore_results *results);
void results_reverse(lore_results *results);
/* Count an access of each, unless the flags say not to. */
void results_note_access(const lore_results *results, const struct query_run *run, unsigned flags);

#endif
