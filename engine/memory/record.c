/*
 * record.c - attributes to bytes and back, and the record that owns them.
 *
 * Bytes from the store are not trusted: every length is checked against what is left and against
 * the limits of a memory, so that a decoded record is one that could have been written.
 */
#include "memory/record.h"

#include <assert.h>
#include <inttypes.h>

#include "base/poison.h"

#define ATTRIBUTES_VERSION 1u

#define ALWAYS                                                                                     \
    (LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TIER) | LORE_FIELD(LORE_ATTR_STATUS) |        \
     LORE_FIELD(LORE_ATTR_IMPORTANCE) | LORE_FIELD(LORE_ATTR_CREATED_AT) |                         \
     LORE_FIELD(LORE_ATTR_UPDATED_AT))
#define ELSEWHERE                                                                                  \
    (LORE_FIELD(LORE_ATTR_TEXT) | LORE_FIELD(LORE_ATTR_ACCESS_COUNT) |                             \
     LORE_FIELD(LORE_ATTR_LAST_ACCESSED_AT))
#define KNOWN (LORE_FIELD(LORE_ATTR_COUNT) - 1)

/* ---- members by attribute ---- */

static lore_slice *text_member(lore_memory *memory, lore_attribute attribute) {
    switch (attribute) {
    case LORE_ATTR_ID: return &memory->id;
    case LORE_ATTR_TEXT: return &memory->text;
    case LORE_ATTR_KIND: return &memory->kind;
    case LORE_ATTR_LAYER: return &memory->layer;
    case LORE_ATTR_TIER: return &memory->tier;
    case LORE_ATTR_STATUS: return &memory->status;
    case LORE_ATTR_USER: return &memory->user_id;
    case LORE_ATTR_AGENT: return &memory->agent_id;
    case LORE_ATTR_SESSION: return &memory->session_id;
    case LORE_ATTR_ROLE: return &memory->role;
    case LORE_ATTR_METADATA: return &memory->metadata;
    default: return NULL;
    }
}

lore_slice memory_text_of(const lore_memory *memory, lore_attribute attribute) {
    lore_memory copy = *memory;
    const lore_slice *member = text_member(&copy, attribute);
    assert(member != NULL);
    return *member;
}

void memory_set_text(lore_memory *memory, lore_attribute attribute, lore_slice text) {
    lore_slice *member = text_member(memory, attribute);
    assert(member != NULL);
    *member = text;
}

int64_t memory_integer_of(const lore_memory *memory, lore_attribute attribute) {
    switch (attribute) {
    case LORE_ATTR_CREATED_AT: return memory->created_at_us;
    case LORE_ATTR_UPDATED_AT: return memory->updated_at_us;
    case LORE_ATTR_EXPIRES_AT: return memory->expires_at_us;
    case LORE_ATTR_POSITION: return (int64_t)memory->position;
    case LORE_ATTR_ACCESS_COUNT: return (int64_t)memory->access_count;
    case LORE_ATTR_LAST_ACCESSED_AT: return memory->last_accessed_at_us;
    default: assert(false); return 0;
    }
}

void memory_set_integer(lore_memory *memory, lore_attribute attribute, int64_t value) {
    switch (attribute) {
    case LORE_ATTR_CREATED_AT: memory->created_at_us = value; break;
    case LORE_ATTR_UPDATED_AT: memory->updated_at_us = value; break;
    case LORE_ATTR_EXPIRES_AT: memory->expires_at_us = value; break;
    case LORE_ATTR_POSITION: memory->position = (uint64_t)value; break;
    case LORE_ATTR_ACCESS_COUNT: memory->access_count = (uint64_t)value; break;
    case LORE_ATTR_LAST_ACCESSED_AT: memory->last_accessed_at_us = value; break;
    default: assert(false);
    }
}

/* ---- encoding ---- */

static uint32_t fields_present(const lore_memory *memory) {
    uint32_t fields = ALWAYS;
    for (unsigned a = 0; a < LORE_ATTR_COUNT; a++) {
        lore_attribute attribute = (lore_attribute)a;
        if ((ELSEWHERE & LORE_FIELD(a)) != 0) continue;
        bool text = attribute == LORE_ATTR_METADATA ||
                    (attribute_type(attribute) == ATTRIBUTE_TEXT && attribute != LORE_ATTR_TAGS);
        if (text && memory_text_of(memory, attribute).size > 0) fields |= LORE_FIELD(a);
    }
    if (memory->expires_at_us != 0) fields |= LORE_FIELD(LORE_ATTR_EXPIRES_AT);
    if (memory->tags_count > 0) fields |= LORE_FIELD(LORE_ATTR_TAGS);
    if (memory->session_id.size > 0) fields |= LORE_FIELD(LORE_ATTR_POSITION);
    return fields;
}

static lore_status encode_tags(struct bytes *out, const lore_memory *memory) {
    TRY(append_varint(out, memory->tags_count));
    for (size_t i = 0; i < memory->tags_count; i++)
        TRY(append_prefixed(out, memory->tags[i]));
    return LORE_OK;
}

lore_status attributes_encode(struct bytes *out, const lore_memory *memory, const uint32_t *spaces,
                              size_t spaces_count) {
    uint32_t fields = fields_present(memory);
    bytes_clear(out);
    TRY(append_u8(out, ATTRIBUTES_VERSION));
    TRY(append_u8(out, 0));
    TRY(append_u32(out, fields));
    for (unsigned a = 0; a < LORE_ATTR_COUNT; a++) {
        lore_attribute attribute = (lore_attribute)a;
        if ((fields & LORE_FIELD(a)) == 0) continue;
        if (attribute == LORE_ATTR_TAGS) {
            TRY(encode_tags(out, memory));
        } else if (attribute == LORE_ATTR_IMPORTANCE) {
            uint64_t bits;
            memcpy(&bits, &memory->importance_score, sizeof bits);
            TRY(append_u64(out, bits));
        } else if (attribute_type(attribute) == ATTRIBUTE_INTEGER) {
            TRY(append_u64(out, (uint64_t)memory_integer_of(memory, attribute)));
        } else {
            TRY(append_prefixed(out, memory_text_of(memory, attribute)));
        }
    }
    TRY(append_varint(out, spaces_count));
    for (size_t i = 0; i < spaces_count; i++)
        TRY(append_u32(out, spaces[i]));
    return LORE_OK;
}

/* ---- decoding ---- */

static lore_status malformed(const char *what) {
    return fail(LORE_CORRUPTION, "attributes of a memory: %s", what);
}

static lore_status decode_tags(struct reader *reader, struct attributes *attributes) {
    uint64_t count = read_varint(reader);
    if (reader->bad || count == 0 || count > MEMORY_TAGS_MAX)
        return malformed("the number of tags");
    void *memory;
    TRY(mem_get(attributes->allocator, (size_t)count * sizeof(lore_slice), &memory));
    attributes->tags = memory;
    attributes->tags_count = (size_t)count;
    for (size_t i = 0; i < count; i++) {
        attributes->tags[i] = read_prefixed(reader);
        if (attributes->tags[i].size > MEMORY_ATTRIBUTE_BYTES_MAX)
            return malformed("the length of a tag");
    }
    attributes->memory.tags = attributes->tags;
    attributes->memory.tags_count = attributes->tags_count;
    return LORE_OK;
}

static lore_status decode_text(struct reader *reader, lore_memory *memory,
                               lore_attribute attribute) {
    lore_slice text = read_prefixed(reader);
    bool always = (ALWAYS & LORE_FIELD(attribute)) != 0 && attribute != LORE_ATTR_ID;
    if (text.size == 0 && !always) return malformed("a text that is said to be there is empty");
    size_t size_max = attribute == LORE_ATTR_ID         ? MEMORY_ID_BYTES_MAX
                      : attribute == LORE_ATTR_METADATA ? SIZE_MAX
                                                        : MEMORY_ATTRIBUTE_BYTES_MAX;
    if (text.size > size_max) return malformed("the length of a text");
    memory_set_text(memory, attribute, text);
    return LORE_OK;
}

static lore_status decode_integer(struct reader *reader, lore_memory *memory,
                                  lore_attribute attribute) {
    int64_t value = (int64_t)read_u64(reader);
    if (attribute == LORE_ATTR_EXPIRES_AT && value == 0) return malformed("a time of expiry of 0");
    if (attribute == LORE_ATTR_POSITION && (uint64_t)value > MEMORY_POSITION_MAX)
        return malformed("the position");
    memory_set_integer(memory, attribute, value);
    return LORE_OK;
}

static lore_status decode_importance(struct reader *reader, lore_memory *memory) {
    uint64_t bits = read_u64(reader);
    memcpy(&memory->importance_score, &bits, sizeof bits);
    if (memory->importance_score >= 0 && memory->importance_score <= 1) return LORE_OK;
    return malformed("the importance");
}

static lore_status decode_field(struct reader *reader, struct attributes *attributes,
                                lore_attribute attribute) {
    lore_memory *memory = &attributes->memory;
    if (attribute == LORE_ATTR_TAGS) return decode_tags(reader, attributes);
    if (attribute == LORE_ATTR_IMPORTANCE) return decode_importance(reader, memory);
    if (attribute_type(attribute) == ATTRIBUTE_INTEGER)
        return decode_integer(reader, memory, attribute);
    return decode_text(reader, memory, attribute);
}

static lore_status decode_spaces(struct reader *reader, struct attributes *attributes) {
    uint64_t count = read_varint(reader);
    if (reader->bad || count > reader_left(reader) / sizeof(uint32_t))
        return malformed("the number of spaces");
    void *memory;
    TRY(mem_get(attributes->allocator, (size_t)count * sizeof(uint32_t), &memory));
    attributes->spaces = memory;
    attributes->spaces_count = (size_t)count;
    for (size_t i = 0; i < count; i++) {
        attributes->spaces[i] = read_u32(reader);
        if (i > 0 && attributes->spaces[i] <= attributes->spaces[i - 1])
            return malformed("the order of spaces");
    }
    return LORE_OK;
}

static lore_status decode_all(struct reader *reader, struct attributes *attributes) {
    uint8_t version = read_u8(reader), flags = read_u8(reader);
    uint32_t fields = read_u32(reader);
    if (reader->bad) return malformed("cut short");
    if (version != ATTRIBUTES_VERSION || flags != 0)
        return fail(LORE_CORRUPTION, "attributes of a memory: version %u, flags %u", version,
                    flags);
    if ((fields & ALWAYS) != ALWAYS || (fields & (ELSEWHERE | ~KNOWN)) != 0)
        return fail(LORE_CORRUPTION, "attributes of a memory: fields 0x%08" PRIx32, fields);
    bool session = (fields & LORE_FIELD(LORE_ATTR_SESSION)) != 0;
    bool position = (fields & LORE_FIELD(LORE_ATTR_POSITION)) != 0;
    if (session != position) return malformed("a session goes with a position");
    for (unsigned a = 0; a < LORE_ATTR_COUNT; a++) {
        if ((fields & LORE_FIELD(a)) == 0) continue;
        TRY(decode_field(reader, attributes, (lore_attribute)a));
        if (reader->bad) return malformed("cut short");
    }
    attributes->memory.fields = fields;
    TRY(decode_spaces(reader, attributes));
    if (reader->bad || reader_left(reader) > 0) return malformed("bytes after the end");
    return LORE_OK;
}

lore_status attributes_decode(lore_slice encoded, const struct allocator *allocator,
                              struct attributes *attributes) {
    *attributes = (struct attributes){.allocator = allocator};
    lore_memory_init(&attributes->memory);
    struct reader reader = reader_over(encoded);
    lore_status status = decode_all(&reader, attributes);
    if (status != LORE_OK) attributes_deinit(attributes);
    return status;
}

void attributes_deinit(struct attributes *attributes) {
    if (attributes->allocator == NULL) return;
    mem_put(attributes->allocator, attributes->tags, attributes->tags_count * sizeof(lore_slice));
    mem_put(attributes->allocator, attributes->spaces, attributes->spaces_count * sizeof(uint32_t));
    *attributes = (struct attributes){.allocator = attributes->allocator};
}

bool attributes_have_space(const struct attributes *attributes, uint32_t space) {
    for (size_t i = 0; i < attributes->spaces_count; i++)
        if (attributes->spaces[i] == space) return true;
    return false;
}

/* ---- records ---- */

lore_status record_create(lore_store *store, lore_record **out) {
    const struct allocator *allocator = store_query_allocator(store);
    void *memory;
    TRY(mem_new(allocator, sizeof(lore_record), &memory));
    lore_record *record = memory;
    record->store = store;
    record->encoded = bytes_empty(allocator);
    record->text = bytes_empty(allocator);
    store_object_opened(store);
    *out = record;
    return LORE_OK;
}

void lore_record_destroy(lore_record *record) {
    if (record == NULL) return;
    lore_store *store = record->store;
    const struct allocator *allocator = store_query_allocator(store);
    size_t count = record->attributes.spaces_count;
    if (record->vectors != NULL) {
        for (size_t i = 0; i < count; i++)
            bytes_free(&record->vectors[i].vector);
        mem_put(allocator, record->vectors, count * sizeof *record->vectors);
    }
    if (record->embeddings != NULL)
        mem_put(allocator, record->embeddings, count * sizeof *record->embeddings);
    attributes_deinit(&record->attributes);
    bytes_free(&record->encoded);
    bytes_free(&record->text);
    mem_put(allocator, record, sizeof *record);
    store_object_closed(store);
}

const lore_memory *lore_record_memory(const lore_record *record) {
    return &record->memory;
}

uint64_t lore_record_row(const lore_record *record) {
    return record->row;
}
