/*
 * index_keys.c - which INDEX keys a memory has.
 */
#include "memory/index_keys.h"

#include "memory/record.h"

#include "base/poison.h"

bool index_keys_next(const struct bytes *list, size_t *cursor, lore_slice *key) {
    if (*cursor >= list->size) return false;
    struct reader reader = {list->data + *cursor, list->data + list->size, false};
    *key = read_prefixed(&reader);
    *cursor = (size_t)(reader.at - list->data);
    return true;
}

bool index_keys_have(const struct bytes *list, lore_slice key) {
    size_t cursor = 0;
    lore_slice there;
    while (index_keys_next(list, &cursor, &there))
        if (slice_equal(there, key)) return true;
    return false;
}

static lore_status add_key(struct bytes *list, const struct bytes *key) {
    if (index_keys_have(list, bytes_slice(key))) return LORE_OK;
    return append_prefixed(list, bytes_slice(key));
}

static lore_status add_attribute(const lore_memory *memory, lore_attribute attribute,
                                 struct bytes *list, struct bytes *key) {
    if (attribute == LORE_ATTR_TAGS) {
        for (size_t i = 0; i < memory->tags_count; i++) {
            TRY(key_index_text(key, attribute, memory->tags[i]));
            TRY(add_key(list, key));
        }
        return LORE_OK;
    }
    if (attribute == LORE_ATTR_IMPORTANCE) {
        TRY(key_index_number(key, attribute, memory->importance_score));
    } else if (attribute_type(attribute) == ATTRIBUTE_INTEGER) {
        int64_t value = memory_integer_of(memory, attribute);
        if (value == 0) return LORE_OK;
        TRY(key_index_integer(key, attribute, value));
    } else {
        lore_slice text = memory_text_of(memory, attribute);
        if (text.size == 0) return LORE_OK;
        TRY(key_index_text(key, attribute, text));
    }
    return add_key(list, key);
}

lore_status index_keys_of(const lore_memory *memory, struct bytes *list, struct bytes *key) {
    bytes_clear(list);
    for (unsigned a = 0; a < LORE_ATTR_COUNT; a++)
        if (attribute_is_indexed((lore_attribute)a))
            TRY(add_attribute(memory, (lore_attribute)a, list, key));
    return LORE_OK;
}
