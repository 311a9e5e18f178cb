/*
 * merge.c - operands of counters and latest times, combined field by field.
 */
#include "base/merge.h"

#include <assert.h>

#include "base/poison.h"

bool merge_is_valid(lore_slice operand) {
    if (operand.size == 0 || operand.size % MERGE_FIELD_BYTES != 0) return false;
    if (operand.size / MERGE_FIELD_BYTES > MERGE_FIELDS_MAX) return false;
    const uint8_t *p = operand.data;
    for (size_t at = 0; at < operand.size; at += MERGE_FIELD_BYTES) {
        if (p[at] != MERGE_ADD && p[at] != MERGE_MAX) return false;
    }
    return true;
}

void merge_field_encode(uint8_t out[MERGE_FIELD_BYTES], enum merge_operator op, int64_t value) {
    assert(op == MERGE_ADD || op == MERGE_MAX);
    out[0] = (uint8_t)op;
    put_u64(out + 1, (uint64_t)value);
}

bool merge_field_get(lore_slice operand, size_t index, int64_t *value) {
    if (!merge_is_valid(operand) || index >= operand.size / MERGE_FIELD_BYTES) return false;
    const uint8_t *p = operand.data;
    *value = (int64_t)get_u64(p + index * MERGE_FIELD_BYTES + 1);
    return true;
}

bool merge_combine(lore_slice older, lore_slice newer, uint8_t *out) {
    if (older.size != newer.size || !merge_is_valid(older) || !merge_is_valid(newer)) return false;
    const uint8_t *a = older.data, *b = newer.data;
    for (size_t at = 0; at < older.size; at += MERGE_FIELD_BYTES) {
        if (a[at] != b[at]) return false; /* before any is written: out may be the older */
    }
    for (size_t at = 0; at < older.size; at += MERGE_FIELD_BYTES) {
        enum merge_operator op = (enum merge_operator)a[at];
        uint64_t x = get_u64(a + at + 1), y = get_u64(b + at + 1);
        uint64_t result = op == MERGE_ADD ? x + y : ((int64_t)x > (int64_t)y ? x : y);
        merge_field_encode(out + at, op, (int64_t)result);
    }
    return true;
}
