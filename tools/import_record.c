/* import_record.c - records and the recognition of formats; see import_parse.h. */
#include "import_parse.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attributes.h"
#include "timetext.h"

#define ROLE_BYTES_MAX 64u

/* The names that other programs give to our attributes, in order of preference. */
static const struct {
    lore_attribute attribute;
    const char *names[8];
} usual[] = {
    {LORE_ATTR_ID, {"id", "_id", "uuid", "memory_id"}},
    {LORE_ATTR_TEXT, {"text", "content", "memory", "message", "body"}},
    {LORE_ATTR_KIND, {"kind", "type"}},
    {LORE_ATTR_LAYER, {"layer"}},
    {LORE_ATTR_TIER, {"tier"}},
    {LORE_ATTR_STATUS, {"status"}},
    {LORE_ATTR_IMPORTANCE, {"importance_score", "importance"}},
    {LORE_ATTR_CREATED_AT,
     {"created_at", "timestamp", "date", "time", "created", "create_time", "createdAt"}},
    {LORE_ATTR_UPDATED_AT, {"updated_at", "updated", "update_time", "updatedAt"}},
    {LORE_ATTR_EXPIRES_AT, {"expires_at", "expires", "expiration_date"}},
    {LORE_ATTR_USER, {"user_id", "user"}},
    {LORE_ATTR_AGENT, {"agent_id", "agent"}},
    {LORE_ATTR_SESSION,
     {"session_id", "session", "conversation_id", "conversation", "conv", "thread_id", "run_id"}},
    {LORE_ATTR_ROLE, {"role", "speaker", "author", "sender"}},
    {LORE_ATTR_TAGS, {"tags", "labels", "categories"}},
    {LORE_ATTR_METADATA, {"metadata", "meta"}},
    {LORE_ATTR_POSITION, {"position", "turn", "turn_index"}},
    {LORE_ATTR_ACCESS_COUNT, {"access_count"}},
    {LORE_ATTR_LAST_ACCESSED_AT, {"last_accessed_at", "last_accessed"}},
};
#define USUAL_COUNT (sizeof usual / sizeof *usual)

static const char *const format_names[] = {"auto", "jsonl", "array", "locomo", "chatgpt", "claude"};

const char *import_format_name(enum import_format format) {
    return format_names[format];
}

bool import_format_find(const char *name, enum import_format *format) {
    for (int i = 0; i <= IMPORT_CLAUDE; i++) {
        if (strcmp(format_names[i], name) == 0) return *format = (enum import_format)i, true;
    }
    return false;
}

static bool contains(const char *bytes, size_t size, const char *word) {
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= size; i++) {
        if (memcmp(bytes + i, word, length) == 0) return true;
    }
    return false;
}

enum import_format import_detect(const char *bytes, size_t size) {
    while (size > 0 && strchr(" \t\r\n", *bytes) != NULL && *bytes != 0)
        bytes++, size--;
    if (size > 0 && *bytes == '[') {
        if (contains(bytes, size, "\"chat_messages\"")) return IMPORT_CLAUDE;
        return contains(bytes, size, "\"mapping\"") ? IMPORT_CHATGPT : IMPORT_ARRAY;
    }
    const char *end = size == 0 ? NULL : memchr(bytes, '\n', size);
    if (end != NULL) size = (size_t)(end - bytes);
    json_t *first = size == 0 ? NULL : json_loadb(bytes, size, JSON_ALLOW_NUL, NULL);
    const char *id = json_string_value(json_object_get(first, "id"));
    bool locomo = id != NULL && id[0] == 'D' && strchr(id, ':') != NULL &&
                  json_is_string(json_object_get(first, "conv")) &&
                  json_is_string(json_object_get(first, "date")) &&
                  json_is_string(json_object_get(first, "text"));
    json_decref(first);
    return locomo ? IMPORT_LOCOMO : IMPORT_JSONL;
}

/* ---- the raw bytes of an object's members, so that metadata is kept as it was written ---- */

struct members {
    const char *at, *end;
};

static void skip_blanks(struct members *m) {
    while (m->at < m->end && strchr(" \t\r\n", *m->at) != NULL && *m->at != 0)
        m->at++;
}

static void skip_string(struct members *m) {
    for (m->at++; m->at < m->end && *m->at != '"'; m->at++) {
        if (*m->at == '\\') m->at++;
    }
    if (m->at < m->end) m->at++;
}

static void skip_value(struct members *m) {
    size_t depth = 0;
    while (m->at < m->end) {
        char c = *m->at;
        if (depth == 0 && (c == ',' || c == '}')) return;
        if (c == '"') {
            skip_string(m);
            continue;
        }
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && depth > 0) depth--;
        m->at++;
    }
}

/* The next member of an object that the JSON parser has accepted. `key` is with its quotes. */
static bool next_member(struct members *m, lore_slice *key, lore_slice *value) {
    skip_blanks(m);
    if (m->at < m->end && (*m->at == '{' || *m->at == ',')) m->at++;
    skip_blanks(m);
    if (m->at >= m->end || *m->at != '"') return false;
    const char *start = m->at;
    skip_string(m);
    *key = (lore_slice){start, (size_t)(m->at - start)};
    while (m->at < m->end && *m->at != ':')
        m->at++;
    if (m->at < m->end) m->at++;
    skip_blanks(m);
    start = m->at;
    skip_value(m);
    const char *end = m->at > m->end ? m->end : m->at;
    while (end > start && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    *value = (lore_slice){start, (size_t)(end - start)};
    return true;
}

static bool key_is(lore_slice key, const char *name) {
    size_t size = strlen(name);
    return key.size == size + 2 && memcmp((const char *)key.data + 1, name, size) == 0;
}

/* ---- one record ---- */

struct reading {
    const char *bytes;
    size_t size;
    json_t *object;
    const struct import_rules *rules;
    struct pool *pool;
    lore_memory *memory;
    struct text *error;
    const char *taken[IMPORT_RULES_MAX + 2 * IMPORT_JOIN_MAX + USUAL_COUNT]; /* member names */
    size_t taken_count;
};

static void take(struct reading *reading, const char *name) {
    size_t room = sizeof reading->taken / sizeof *reading->taken;
    if (reading->taken_count < room) reading->taken[reading->taken_count++] = name;
}

static bool wrong(struct reading *reading, const char *name, const char *what) {
    text_puts(reading->error, "\"");
    text_add_printable(reading->error, name, strlen(name), true, 40);
    text_printf(reading->error, "\" %s", what);
    return false;
}

static lore_slice string_slice(struct pool *pool, const json_t *value) {
    size_t size = json_string_length(value);
    return (lore_slice){pool_copy(pool, json_string_value(value), size), size};
}

/* A string; a number as its digits; a list of strings and {"text": ...} joined by newlines. */
static bool text_of(struct reading *reading, const json_t *value, lore_slice *out) {
    if (json_is_string(value)) return *out = string_slice(reading->pool, value), true;
    if (json_is_integer(value)) {
        char digits[24];
        int size =
            snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        *out = (lore_slice){pool_copy(reading->pool, digits, (size_t)size), (size_t)size};
        return true;
    }
    if (!json_is_array(value)) return false;
    struct text joined = {0};
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *part = json_array_get(value, i);
        if (json_is_object(part)) part = json_object_get(part, "text");
        if (!json_is_string(part)) continue;
        if (joined.size > 0) text_char(&joined, '\n');
        text_add(&joined, json_string_value(part), json_string_length(part));
    }
    *out = (lore_slice){pool_copy(reading->pool, text_string(&joined), joined.size), joined.size};
    text_free(&joined);
    return true;
}

static bool time_of(const json_t *value, int64_t *time_us) {
    if (json_is_number(value)) return time_from_number(json_number_value(value), time_us);
    return json_is_string(value) && time_parse(json_string_value(value), 0, 0, time_us);
}

/* Tags from a list of strings, or one string. */
static bool take_tags(struct reading *reading, const char *name, const json_t *value) {
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    lore_slice *tags = pool_alloc(reading->pool, count * sizeof *tags);
    for (size_t i = 0; i < count; i++) {
        const json_t *tag = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(tag)) return wrong(reading, name, "is not a list of strings");
        tags[i] = string_slice(reading->pool, tag);
    }
    reading->memory->tags = tags;
    reading->memory->tags_count = count;
    reading->memory->fields |= LORE_FIELD(LORE_ATTR_TAGS);
    return true;
}

static bool take_metadata(struct reading *reading, const char *name, const json_t *value) {
    lore_slice metadata = {0}, key, raw;
    struct members members = {reading->bytes, reading->bytes + reading->size};
    if (json_is_string(value)) {
        metadata = string_slice(reading->pool, value);
    } else {
        while (next_member(&members, &key, &raw)) {
            if (key_is(key, name)) metadata = raw; /* the last of that name, as in the object */
        }
        metadata.data = pool_copy(reading->pool, metadata.data, metadata.size);
    }
    attribute_set(reading->memory, LORE_ATTR_METADATA, metadata);
    return true;
}

static bool take_time(struct reading *reading, lore_attribute attribute, const char *name,
                      const json_t *value) {
    int64_t time_us;
    if (!time_of(value, &time_us)) return wrong(reading, name, "is not a time");
    lore_memory *memory = reading->memory;
    if (attribute == LORE_ATTR_CREATED_AT) memory->created_at_us = time_us;
    if (attribute == LORE_ATTR_UPDATED_AT) memory->updated_at_us = time_us;
    if (attribute == LORE_ATTR_EXPIRES_AT) memory->expires_at_us = time_us;
    if (attribute == LORE_ATTR_LAST_ACCESSED_AT) memory->last_accessed_at_us = time_us;
    memory->fields |= LORE_FIELD(attribute);
    return true;
}

static bool take_number(struct reading *reading, lore_attribute attribute, const char *name,
                        const json_t *value) {
    lore_memory *memory = reading->memory;
    if (attribute == LORE_ATTR_IMPORTANCE) {
        if (!json_is_number(value)) return wrong(reading, name, "is not a number");
        memory->importance_score = json_number_value(value);
    } else {
        if (!json_is_integer(value) || json_integer_value(value) < 0) {
            return wrong(reading, name, "is not a whole number from 0 up");
        }
        uint64_t count = (uint64_t)json_integer_value(value);
        if (attribute == LORE_ATTR_POSITION) memory->position = count;
        if (attribute == LORE_ATTR_ACCESS_COUNT) memory->access_count = count;
    }
    memory->fields |= LORE_FIELD(attribute);
    return true;
}

static bool take_member(struct reading *reading, lore_attribute attribute, const char *name) {
    const json_t *value = json_object_get(reading->object, name);
    take(reading, name);
    if (json_is_null(value)) return true;
    switch (attribute) {
    case LORE_ATTR_TAGS: return take_tags(reading, name, value);
    case LORE_ATTR_METADATA: return take_metadata(reading, name, value);
    case LORE_ATTR_CREATED_AT:
    case LORE_ATTR_UPDATED_AT:
    case LORE_ATTR_EXPIRES_AT:
    case LORE_ATTR_LAST_ACCESSED_AT: return take_time(reading, attribute, name, value);
    case LORE_ATTR_IMPORTANCE:
    case LORE_ATTR_POSITION:
    case LORE_ATTR_ACCESS_COUNT: return take_number(reading, attribute, name, value);
    case LORE_ATTR_ID:
    case LORE_ATTR_TEXT:
    case LORE_ATTR_KIND:
    case LORE_ATTR_LAYER:
    case LORE_ATTR_TIER:
    case LORE_ATTR_STATUS:
    case LORE_ATTR_USER:
    case LORE_ATTR_AGENT:
    case LORE_ATTR_SESSION:
    case LORE_ATTR_ROLE:
    case LORE_ATTR_COUNT: break;
    }
    lore_slice slice;
    if (!text_of(reading, value, &slice)) return wrong(reading, name, "is not a string");
    attribute_set(reading->memory, attribute, slice);
    return true;
}

/* The member that gives this attribute: a mapped one, or the first of the usual names. */
static const char *member_for(const struct reading *reading, size_t index) {
    const struct import_rules *rules = reading->rules;
    for (size_t i = 0; i < rules->maps_count; i++) {
        if (rules->maps[i].attribute == usual[index].attribute) return rules->maps[i].name;
    }
    for (size_t i = 0; i < 8 && usual[index].names[i] != NULL; i++) {
        if (json_object_get(reading->object, usual[index].names[i]) != NULL) {
            return usual[index].names[i];
        }
    }
    return NULL;
}

/* conv "conv-26" and id "D1:3" as "conv-26/D1:3". */
static bool join(struct reading *reading, const char *const *names, size_t count,
                 lore_attribute attribute) {
    struct text joined = {0};
    for (size_t i = 0; i < count; i++) {
        lore_slice part;
        take(reading, names[i]);
        const json_t *value = json_object_get(reading->object, names[i]);
        if (value == NULL || !text_of(reading, value, &part)) {
            text_free(&joined);
            return wrong(reading, names[i], "is missing or not a string");
        }
        if (i > 0) text_char(&joined, '/');
        text_add(&joined, part.data, part.size);
    }
    lore_slice slice = {pool_copy(reading->pool, text_string(&joined), joined.size), joined.size};
    text_free(&joined);
    attribute_set(reading->memory, attribute, slice);
    return true;
}

/* What nothing has taken becomes {"name":value,...}, each byte as it was. */
static void keep_rest(struct reading *reading) {
    if ((reading->memory->fields & LORE_FIELD(LORE_ATTR_METADATA)) != 0) return;
    struct text rest = {0};
    struct members members = {reading->bytes, reading->bytes + reading->size};
    lore_slice key, value;
    while (next_member(&members, &key, &value)) {
        bool taken = false;
        for (size_t i = 0; i < reading->taken_count && !taken; i++) {
            taken = key_is(key, reading->taken[i]);
        }
        if (taken) continue;
        text_char(&rest, rest.size == 0 ? '{' : ',');
        text_add(&rest, key.data, key.size);
        text_char(&rest, ':');
        text_add(&rest, value.data, value.size);
    }
    if (rest.size > 0) {
        text_char(&rest, '}');
        lore_slice slice = {pool_copy(reading->pool, rest.data, rest.size), rest.size};
        attribute_set(reading->memory, LORE_ATTR_METADATA, slice);
    }
    text_free(&rest);
}

static bool read_members(struct reading *reading) {
    for (size_t i = 0; i < USUAL_COUNT; i++) {
        lore_attribute attribute = usual[i].attribute;
        if (attribute == LORE_ATTR_ID && reading->rules->id_from_count > 0) continue;
        if (attribute == LORE_ATTR_SESSION && reading->rules->session_from_count > 0) continue;
        const char *name = member_for(reading, i);
        if (name == NULL || json_object_get(reading->object, name) == NULL) continue;
        if (!take_member(reading, attribute, name)) return false;
    }
    const struct import_rules *rules = reading->rules;
    if (rules->id_from_count > 0 &&
        !join(reading, rules->id_from, rules->id_from_count, LORE_ATTR_ID)) {
        return false;
    }
    return rules->session_from_count == 0 ||
           join(reading, rules->session_from, rules->session_from_count, LORE_ATTR_SESSION);
}

/* LoCoMo: id "conv-26/D1:3", session "conv-26/D1", position 2, the speaker as role, the
 * conversation as tag; turns of a session share its date, each a microsecond behind the one before.
 */
static bool read_locomo(struct reading *reading) {
    static const char *const names[] = {"conv", "id"};
    lore_memory *memory = reading->memory;
    if (!take_member(reading, LORE_ATTR_TEXT, "text") ||
        !take_member(reading, LORE_ATTR_CREATED_AT, "date") ||
        !join(reading, names, 2, LORE_ATTR_ID)) {
        return false;
    }
    const char *id = memory->id.data;
    const char *colon = memchr(id, ':', memory->id.size);
    if (colon != NULL) {
        attribute_set(memory, LORE_ATTR_SESSION, (lore_slice){id, (size_t)(colon - id)});
        uint64_t turn = 0;
        for (const char *p = colon + 1; p < id + memory->id.size && turn < UINT32_MAX; p++) {
            if (*p < '0' || *p > '9') return wrong(reading, "id", "is not like D1:3");
            turn = turn * 10 + (uint64_t)(*p - '0');
        }
        if (turn < 1 || turn > UINT32_MAX) return wrong(reading, "id", "is not like D1:3");
        memory->position = turn - 1;
        memory->created_at_us += (int64_t)memory->position;
        memory->fields |= LORE_FIELD(LORE_ATTR_POSITION);
    }
    const char *text = memory->text.data;
    const char *end = memory->text.size == 0 ? NULL : memchr(text, ':', memory->text.size);
    if (end != NULL && (size_t)(end - text) <= ROLE_BYTES_MAX) {
        attribute_set(memory, LORE_ATTR_ROLE, (lore_slice){text, (size_t)(end - text)});
    }
    attribute_set(memory, LORE_ATTR_KIND, lore_slice_of("dialogue"));
    return take_tags(reading, "conv", json_object_get(reading->object, "conv"));
}

static bool locomo_shaped(const json_t *object) {
    return json_is_string(json_object_get(object, "text")) &&
           json_object_get(object, "date") != NULL &&
           json_is_string(json_object_get(object, "conv")) &&
           json_is_string(json_object_get(object, "id"));
}

void import_apply_sets(const struct import_rules *rules, struct pool *pool, lore_memory *memory) {
    for (size_t i = 0; i < rules->sets_count; i++) {
        lore_attribute attribute = rules->sets[i].attribute;
        lore_slice value = lore_slice_of(rules->sets[i].name);
        if (attribute == LORE_ATTR_TAGS) {
            lore_slice *tags = pool_alloc(pool, (memory->tags_count + 1) * sizeof *tags);
            for (size_t k = 0; k < memory->tags_count; k++)
                tags[k] = memory->tags[k];
            tags[memory->tags_count++] = value;
            memory->tags = tags;
            memory->fields |= LORE_FIELD(LORE_ATTR_TAGS);
        } else if ((memory->fields & LORE_FIELD(attribute)) == 0) {
            attribute_set(memory, attribute, value);
        }
    }
}

bool import_record(const char *bytes, size_t size, enum import_format format,
                   const struct import_rules *rules, struct pool *pool, lore_memory *memory,
                   struct text *error) {
    json_error_t why;
    lore_memory_init(memory);
    json_t *object = json_loadb(bytes, size, JSON_ALLOW_NUL, &why);
    if (!json_is_object(object)) {
        text_puts(error, object == NULL ? why.text : "not a JSON object");
        json_decref(object);
        return false;
    }
    struct reading reading = {.bytes = bytes,
                              .size = size,
                              .object = object,
                              .rules = rules,
                              .pool = pool,
                              .memory = memory,
                              .error = error};
    bool fine;
    if (format == IMPORT_LOCOMO && !locomo_shaped(object)) {
        text_puts(error, "not a turn with conv, id, date and text");
        fine = false;
    } else {
        fine = format == IMPORT_LOCOMO ? read_locomo(&reading) : read_members(&reading);
    }
    if (fine) keep_rest(&reading);
    if (fine && (memory->fields & LORE_FIELD(LORE_ATTR_TEXT)) == 0) {
        text_puts(error, "it has no text (see --map text=NAME)");
        fine = false;
    }
    json_decref(object);
    if (fine) import_apply_sets(rules, pool, memory);
    return fine;
}
