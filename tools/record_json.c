/* record_json.c - see record_json.h. */
#include "record_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "timetext.h"

/* A text attribute: where it stands in lore_memory, and whether an empty one differs from none. */
struct text_member {
    lore_attribute attribute;
    const char *key;
    size_t offset;
    bool empty_counts;
};

static const struct text_member text_members[] = {
    {LORE_ATTR_ID, "id", offsetof(lore_memory, id), false},
    {LORE_ATTR_TEXT, "text", offsetof(lore_memory, text), true},
    {LORE_ATTR_KIND, "kind", offsetof(lore_memory, kind), false},
    {LORE_ATTR_LAYER, "layer", offsetof(lore_memory, layer), false},
    {LORE_ATTR_TIER, "tier", offsetof(lore_memory, tier), true},
    {LORE_ATTR_STATUS, "status", offsetof(lore_memory, status), true},
    {LORE_ATTR_USER, "user_id", offsetof(lore_memory, user_id), false},
    {LORE_ATTR_AGENT, "agent_id", offsetof(lore_memory, agent_id), false},
    {LORE_ATTR_SESSION, "session_id", offsetof(lore_memory, session_id), false},
    {LORE_ATTR_ROLE, "role", offsetof(lore_memory, role), false},
    {LORE_ATTR_METADATA, "metadata", offsetof(lore_memory, metadata), false},
};
#define TEXT_MEMBERS (sizeof text_members / sizeof *text_members)

static const struct {
    lore_attribute attribute;
    const char *key;
    size_t offset;
    bool zero_counts;
} time_members[] = {
    {LORE_ATTR_CREATED_AT, "created_at", offsetof(lore_memory, created_at_us), true},
    {LORE_ATTR_UPDATED_AT, "updated_at", offsetof(lore_memory, updated_at_us), true},
    {LORE_ATTR_LAST_ACCESSED_AT, "last_accessed_at", offsetof(lore_memory, last_accessed_at_us),
     false},
    {LORE_ATTR_EXPIRES_AT, "expires_at", offsetof(lore_memory, expires_at_us), false},
};
#define TIME_MEMBERS (sizeof time_members / sizeof *time_members)

static bool has(const lore_memory *memory, lore_attribute attribute) {
    return (memory->fields & LORE_FIELD(attribute)) != 0;
}

static void write_text(struct json_writer *writer, const lore_memory *memory,
                       lore_attribute attribute) {
    for (size_t i = 0; i < TEXT_MEMBERS; i++) {
        const struct text_member *member = &text_members[i];
        if (member->attribute != attribute) continue;
        const lore_slice *slice = (const void *)((const char *)memory + member->offset);
        if (!has(memory, attribute) && attribute != LORE_ATTR_ID) return;
        if (slice->size == 0 && !member->empty_counts) return;
        jw_bytes_member(writer, member->key, slice->data, slice->size);
    }
}

static void write_tags(struct json_writer *writer, const lore_memory *memory) {
    if (!has(memory, LORE_ATTR_TAGS) || memory->tags_count == 0) return;
    jw_key(writer, "tags");
    jw_begin_array(writer);
    for (size_t i = 0; i < memory->tags_count; i++) {
        lore_slice tag = memory->tags[i];
        if (text_is_utf8(tag.data, tag.size)) {
            jw_string(writer, tag.data, tag.size);
        } else {
            jw_begin_object(writer);
            jw_key(writer, "b64");
            jw_base64(writer, tag.data, tag.size);
            jw_end_object(writer);
        }
    }
    jw_end_array(writer);
}

static int by_space(const void *left, const void *right) {
    const lore_slice *a = &((const lore_embedding *)left)->space;
    const lore_slice *b = &((const lore_embedding *)right)->space;
    size_t size = a->size < b->size ? a->size : b->size;
    int order = size == 0 ? 0 : memcmp(a->data, b->data, size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static void write_embeddings(struct json_writer *writer, const lore_memory *memory) {
    size_t count = memory->embeddings_count;
    if (count == 0) return;
    lore_embedding *sorted = alloc_bytes(count * sizeof *sorted);
    memcpy(sorted, memory->embeddings, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_space);
    jw_key(writer, "embeddings");
    jw_begin_array(writer);
    for (size_t i = 0; i < count; i++) {
        jw_begin_object(writer);
        jw_bytes_member(writer, "space", sorted[i].space.data, sorted[i].space.size);
        jw_key(writer, "data");
        jw_base64(writer, sorted[i].data.data, sorted[i].data.size);
        jw_end_object(writer);
    }
    jw_end_array(writer);
    free(sorted);
}

void record_write(struct json_writer *writer, const lore_memory *memory) {
    write_text(writer, memory, LORE_ATTR_ID);
    write_text(writer, memory, LORE_ATTR_TEXT);
    write_text(writer, memory, LORE_ATTR_KIND);
    write_text(writer, memory, LORE_ATTR_LAYER);
    write_text(writer, memory, LORE_ATTR_TIER);
    write_text(writer, memory, LORE_ATTR_STATUS);
    if (has(memory, LORE_ATTR_IMPORTANCE)) {
        jw_key(writer, "importance_score");
        jw_double(writer, memory->importance_score);
    }
    for (size_t i = 0; i < TIME_MEMBERS; i++) {
        const int64_t *time_us = (const void *)((const char *)memory + time_members[i].offset);
        if (!has(memory, time_members[i].attribute)) continue;
        if (*time_us == 0 && !time_members[i].zero_counts) continue;
        jw_time_member(writer, time_members[i].key, *time_us);
    }
    if (has(memory, LORE_ATTR_ACCESS_COUNT) && memory->access_count > 0) {
        jw_uint_member(writer, "access_count", memory->access_count);
    }
    write_text(writer, memory, LORE_ATTR_USER);
    write_text(writer, memory, LORE_ATTR_AGENT);
    write_text(writer, memory, LORE_ATTR_SESSION);
    if (has(memory, LORE_ATTR_POSITION) && has(memory, LORE_ATTR_SESSION) &&
        memory->session_id.size > 0) {
        jw_uint_member(writer, "position", memory->position);
    }
    write_text(writer, memory, LORE_ATTR_ROLE);
    write_tags(writer, memory);
    write_text(writer, memory, LORE_ATTR_METADATA);
    write_embeddings(writer, memory);
}

/* ---- reading ---- */

static bool read_base64(const json_t *value, struct pool *pool, lore_slice *bytes) {
    if (!json_is_string(value)) return false;
    size_t size = json_string_length(value);
    uint8_t *data = pool_alloc(pool, base64_decoded_max(size));
    bytes->data = data;
    return base64_decode(json_string_value(value), size, data, &bytes->size);
}

bool record_read_bytes(const json_t *object, const char *key, struct pool *pool, lore_slice *bytes,
                       bool *found, struct text *error) {
    char longer[64];
    snprintf(longer, sizeof longer, "%s_b64", key);
    const json_t *value = json_object_get(object, key);
    const json_t *encoded = json_object_get(object, longer);
    *found = value != NULL || encoded != NULL;
    *bytes = (lore_slice){0};
    if (value != NULL && encoded != NULL) {
        text_printf(error, "both \"%s\" and \"%s\"", key, longer);
        return false;
    }
    if (encoded != NULL && !read_base64(encoded, pool, bytes)) {
        text_printf(error, "\"%s\" is not base64", longer);
        return false;
    }
    if (value == NULL) return true;
    if (!json_is_string(value)) {
        text_printf(error, "\"%s\" is not a string", key);
        return false;
    }
    bytes->size = json_string_length(value);
    bytes->data = pool_copy(pool, json_string_value(value), bytes->size);
    return true;
}

bool record_read_uint(const json_t *value, uint64_t *number) {
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *number = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *digits = json_string_value(value);
    if (digits == NULL || digits[0] < '0' || digits[0] > '9') return false;
    char *end;
    errno = 0;
    *number = strtoull(digits, &end, 10);
    return errno == 0 && *end == 0;
}

static bool read_tags(const json_t *array, struct pool *pool, lore_memory *memory,
                      struct text *error) {
    if (!json_is_array(array)) return text_puts(error, "\"tags\" is not an array"), false;
    size_t count = json_array_size(array);
    lore_slice *tags = pool_alloc(pool, count * sizeof *tags);
    for (size_t i = 0; i < count; i++) {
        const json_t *tag = json_array_get(array, i);
        if (json_is_string(tag)) {
            tags[i].size = json_string_length(tag);
            tags[i].data = pool_copy(pool, json_string_value(tag), tags[i].size);
        } else if (!read_base64(json_object_get(tag, "b64"), pool, &tags[i])) {
            text_puts(error, "a tag is neither a string nor {\"b64\": base64}");
            return false;
        }
    }
    memory->tags = tags;
    memory->tags_count = count;
    memory->fields |= LORE_FIELD(LORE_ATTR_TAGS);
    return true;
}

static bool read_embeddings(const json_t *array, struct pool *pool, lore_memory *memory,
                            struct text *error) {
    if (!json_is_array(array)) return text_puts(error, "\"embeddings\" is not an array"), false;
    size_t count = json_array_size(array);
    lore_embedding *embeddings = pool_alloc(pool, count * sizeof *embeddings);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        bool found;
        if (!record_read_bytes(item, "space", pool, &embeddings[i].space, &found, error)) {
            return false;
        }
        if (!found || !read_base64(json_object_get(item, "data"), pool, &embeddings[i].data)) {
            text_puts(error, "an embedding is not {\"space\": name, \"data\": base64}");
            return false;
        }
    }
    memory->embeddings = embeddings;
    memory->embeddings_count = count;
    return true;
}

/* Whether `key` is a member that record_write writes (or one of `ignored`). */
static bool key_known(const char *key, const char *const *ignored) {
    static const char *const others[] = {
        "importance_score", "access_count", "position", "tags", "embeddings", NULL};
    for (size_t i = 0; i < TEXT_MEMBERS; i++) {
        size_t size = strlen(text_members[i].key);
        if (strncmp(key, text_members[i].key, size) != 0) continue;
        if (key[size] == 0 || strcmp(key + size, "_b64") == 0) return true;
    }
    for (size_t i = 0; i < TIME_MEMBERS; i++) {
        if (strcmp(key, time_members[i].key) == 0) return true;
    }
    for (size_t i = 0; others[i] != NULL; i++) {
        if (strcmp(key, others[i]) == 0) return true;
    }
    for (size_t i = 0; ignored != NULL && ignored[i] != NULL; i++) {
        if (strcmp(key, ignored[i]) == 0) return true;
    }
    return false;
}

static bool read_texts(const json_t *object, struct pool *pool, lore_memory *memory,
                       struct text *error) {
    for (size_t i = 0; i < TEXT_MEMBERS; i++) {
        const struct text_member *member = &text_members[i];
        lore_slice *slice = (void *)((char *)memory + member->offset);
        bool found;
        if (!record_read_bytes(object, member->key, pool, slice, &found, error)) return false;
        if (found) memory->fields |= LORE_FIELD(member->attribute);
    }
    return true;
}

static bool read_times(const json_t *object, lore_memory *memory, struct text *error) {
    for (size_t i = 0; i < TIME_MEMBERS; i++) {
        const json_t *value = json_object_get(object, time_members[i].key);
        if (value == NULL) continue;
        int64_t *time_us = (void *)((char *)memory + time_members[i].offset);
        if (!json_is_string(value) || !time_parse(json_string_value(value), 0, 0, time_us)) {
            text_printf(error, "\"%s\" is not a time", time_members[i].key);
            return false;
        }
        memory->fields |= LORE_FIELD(time_members[i].attribute);
    }
    return true;
}

static bool read_count(const json_t *object, const char *key, lore_attribute attribute,
                       lore_memory *memory, uint64_t *count, struct text *error) {
    const json_t *value = json_object_get(object, key);
    if (value == NULL) return true;
    if (!record_read_uint(value, count))
        return text_printf(error, "\"%s\" is not a count", key), false;
    memory->fields |= LORE_FIELD(attribute);
    return true;
}

bool record_read(const json_t *object, const char *const *ignored, struct pool *pool,
                 lore_memory *memory, struct text *error) {
    lore_memory_init(memory);
    if (!json_is_object(object)) return text_puts(error, "not a JSON object"), false;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (!key_known(key, ignored)) {
            text_puts(error, "unknown member \"");
            text_add_printable(error, key, strlen(key), true, 40);
            return text_puts(error, "\""), false;
        }
    }
    if (!read_texts(object, pool, memory, error) || !read_times(object, memory, error) ||
        !read_count(object, "access_count", LORE_ATTR_ACCESS_COUNT, memory, &memory->access_count,
                    error) ||
        !read_count(object, "position", LORE_ATTR_POSITION, memory, &memory->position, error)) {
        return false;
    }
    const json_t *importance = json_object_get(object, "importance_score");
    if (importance != NULL) {
        if (!json_is_number(importance)) {
            return text_puts(error, "\"importance_score\" is not a number"), false;
        }
        memory->importance_score = json_number_value(importance);
        memory->fields |= LORE_FIELD(LORE_ATTR_IMPORTANCE);
    }
    const json_t *tags = json_object_get(object, "tags");
    if (tags != NULL && !read_tags(tags, pool, memory, error)) return false;
    const json_t *embeddings = json_object_get(object, "embeddings");
    return embeddings == NULL || read_embeddings(embeddings, pool, memory, error);
}
