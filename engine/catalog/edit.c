/*
 * edit.c - building an edit and walking one.
 */
#include "catalog/edit.h"

#include "base/poison.h"

enum { CHANGE_PUT = 1, CHANGE_DELETE = 2 };

void catalog_edit_init(struct catalog_edit *edit, const struct allocator *allocator) {
    *edit = (struct catalog_edit){bytes_empty(allocator), 0};
}

void catalog_edit_deinit(struct catalog_edit *edit) {
    bytes_free(&edit->encoded);
    edit->count = 0;
}

void catalog_edit_clear(struct catalog_edit *edit) {
    bytes_clear(&edit->encoded);
    edit->count = 0;
}

bool edit_key_is_sound(lore_slice key) {
    return key.size > 0 && key.size <= CATALOG_KEY_BYTES_MAX && *(const uint8_t *)key.data != 0;
}

static lore_status append_change(struct catalog_edit *edit, uint8_t kind, lore_slice key,
                                 lore_slice value) {
    if (!edit_key_is_sound(key)) return fail(LORE_INVALID, "a catalog key of %zu bytes", key.size);
    if (value.size > CATALOG_VALUE_BYTES_MAX) {
        return fail(LORE_TOO_BIG, "a catalog value of %zu bytes, %u at most", value.size,
                    CATALOG_VALUE_BYTES_MAX);
    }
    struct bytes *encoded = &edit->encoded;
    size_t bytes = 1 + varint_size(key.size) + key.size;
    if (kind == CHANGE_PUT) bytes += varint_size(value.size) + value.size;
    if (bytes > EDIT_BYTES_MAX - encoded->size) {
        return fail(LORE_TOO_BIG, "a catalog edit of more than %u bytes", EDIT_BYTES_MAX);
    }
    TRY(bytes_reserve(encoded, bytes)); /* so that no append below can fail */
    TRY(append_u8(encoded, kind));
    TRY(append_prefixed(encoded, key));
    if (kind == CHANGE_PUT) TRY(append_prefixed(encoded, value));
    edit->count++;
    return LORE_OK;
}

lore_status catalog_edit_put(struct catalog_edit *edit, lore_slice key, lore_slice value) {
    return append_change(edit, CHANGE_PUT, key, value);
}

lore_status catalog_edit_delete(struct catalog_edit *edit, lore_slice key) {
    return append_change(edit, CHANGE_DELETE, key, slice(NULL, 0));
}

lore_status edit_next(struct reader *at, struct edit_change *change, bool *found) {
    *found = false;
    if (!at->bad && reader_left(at) == 0) return LORE_OK;
    uint8_t kind = read_u8(at);
    change->put = kind == CHANGE_PUT;
    change->key = read_prefixed(at);
    change->value = change->put ? read_prefixed(at) : slice(NULL, 0);
    if (at->bad || (kind != CHANGE_PUT && kind != CHANGE_DELETE) ||
        !edit_key_is_sound(change->key) || change->value.size > CATALOG_VALUE_BYTES_MAX) {
        at->bad = true;
        return fail(LORE_CORRUPTION, "a malformed change");
    }
    *found = true;
    return LORE_OK;
}

lore_status edit_check(lore_slice encoded) {
    struct reader at = reader_over(encoded);
    struct edit_change change;
    bool found = true;
    while (found)
        TRY(edit_next(&at, &change, &found));
    return LORE_OK;
}
