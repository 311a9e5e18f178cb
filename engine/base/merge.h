/*
 * merge.h - values that are changed by adding to them, not by replacing them: counters and latest times.
 *
 *   operand   a list of fields, 9 bytes each: u8 operator (1 add, 2 max), i64 little-endian
 *
 * Two operands of one key have the same operators in the same order; combining is field by field, is
 * associative, and does not depend on where compaction cut: so addition wraps around at 64 bits (saturating
 * would make the result depend on the order). The value that a read returns is
 * in the same form. A put of a value of this form may lie beneath merges; anything else beneath is corruption.
 */
#ifndef LORE_BASE_MERGE_H
#define LORE_BASE_MERGE_H

#include "base/coding.h"

enum merge_operator { MERGE_ADD = 1, MERGE_MAX = 2 };
#define MERGE_FIELD_BYTES 9u
#define MERGE_FIELDS_MAX 8u

bool merge_is_valid(lore_slice operand);
/* out = older combined with newer; out->data may be older's memory. False if the forms differ. `out` has room
 * for older.size bytes. */
bool merge_combine(lore_slice older, lore_slice newer, uint8_t *out);
void merge_field_encode(uint8_t out[MERGE_FIELD_BYTES], enum merge_operator op, int64_t value);
bool merge_field_get(lore_slice operand, size_t index, int64_t *value);

#endif
