/*
 * limits.c - checks of what a caller gives. Every refusal names the member and its rule.
 */
#include "memory/limits.h"

#include <inttypes.h>

#include "memory/record.h"
#include "vector/f16.h"

#include "base/poison.h"

#define STRUCT_BYTES_MAX 65536u
#define EMBEDDINGS_MAX   4096u
#define KNOWN_FIELDS     (LORE_FIELD(LORE_ATTR_COUNT) - 1)

void lore_memory_init(lore_memory *memory) {
    *memory = (lore_memory){.struct_size = sizeof *memory};
    memory->tier = lore_slice_of("working");
    memory->status = lore_slice_of("active");
    memory->importance_score = 0.5;
}

lore_status memory_take(const lore_memory *given, lore_memory *taken) {
    lore_memory_init(taken);
    if (given == NULL) return fail(LORE_INVALID, "a memory at NULL");
    if (given->struct_size < offsetof(lore_memory, text) || given->struct_size > STRUCT_BYTES_MAX)
        return fail(LORE_INVALID, "lore_memory.struct_size: call lore_memory_init first");
    size_t size = given->struct_size < sizeof *taken ? given->struct_size : sizeof *taken;
    memcpy(taken, given, size);
    taken->struct_size = sizeof *taken;
    return LORE_OK;
}

const lore_memory *memory_nth(const lore_memory *given, size_t n) {
    const void *at = (const uint8_t *)given + n * given->struct_size;
    return at;
}

lore_status memory_check_flags(unsigned flags) {
    if ((flags & ~(LORE_READ_EMBEDDINGS | LORE_READ_NO_ACCESS | LORE_READ_EXPIRED)) == 0)
        return LORE_OK;
    return fail(LORE_INVALID, "a read with flags 0x%x", flags);
}

lore_status memory_check_id(lore_slice id) {
    if (id.size >= 1 && id.size <= MEMORY_ID_BYTES_MAX && id.data != NULL) return LORE_OK;
    return fail(LORE_INVALID, "a memory's id has 1 to %u bytes, not %zu", MEMORY_ID_BYTES_MAX,
                id.size);
}

static const char *member_name(lore_attribute attribute) {
    static const char *const names[LORE_ATTR_COUNT] = {"id",
                                                       "text",
                                                       "kind",
                                                       "layer",
                                                       "tier",
                                                       "status",
                                                       "importance_score",
                                                       "created_at_us",
                                                       "updated_at_us",
                                                       "expires_at_us",
                                                       "user_id",
                                                       "agent_id",
                                                       "session_id",
                                                       "role",
                                                       "tags",
                                                       "metadata",
                                                       "position",
                                                       "access_count",
                                                       "last_accessed_at_us"};
    return names[attribute];
}

static lore_status check_text(const char *name, lore_slice text, size_t size_max) {
    if (text.size > 0 && text.data == NULL)
        return fail(LORE_INVALID, "lore_memory.%s: %zu bytes at NULL", name, text.size);
    if (text.size <= size_max) return LORE_OK;
    return fail(LORE_TOO_BIG, "lore_memory.%s: %zu bytes, %zu at most", name, text.size, size_max);
}

static lore_status check_tags(const lore_memory *memory) {
    if (memory->tags_count > MEMORY_TAGS_MAX)
        return fail(LORE_TOO_BIG, "lore_memory.tags: %zu of them, %u at most", memory->tags_count,
                    MEMORY_TAGS_MAX);
    if (memory->tags_count > 0 && memory->tags == NULL)
        return fail(LORE_INVALID, "lore_memory.tags: %zu of them at NULL", memory->tags_count);
    for (size_t i = 0; i < memory->tags_count; i++)
        TRY(check_text("tags", memory->tags[i], MEMORY_ATTRIBUTE_BYTES_MAX));
    return LORE_OK;
}

static lore_status check_field(const lore_memory *memory, lore_attribute attribute) {
    const char *name = member_name(attribute);
    switch (attribute) {
    case LORE_ATTR_ID: return memory_check_id(memory->id);
    case LORE_ATTR_TEXT:
    case LORE_ATTR_METADATA: return check_text(name, memory_text_of(memory, attribute), SIZE_MAX);
    case LORE_ATTR_TAGS: return check_tags(memory);
    case LORE_ATTR_IMPORTANCE:
        if (memory->importance_score >= 0 && memory->importance_score <= 1) return LORE_OK;
        return fail(LORE_INVALID, "lore_memory.importance_score: %.17g is not between 0 and 1",
                    memory->importance_score);
    case LORE_ATTR_POSITION:
        if (memory->position <= MEMORY_POSITION_MAX) return LORE_OK;
        return fail(LORE_INVALID, "lore_memory.position: %" PRIu64 ", at most %" PRIu64,
                    memory->position, MEMORY_POSITION_MAX);
    case LORE_ATTR_ACCESS_COUNT:
        /* Half the range stays free, so that counting on from here cannot wrap around. */
        if (memory->access_count <= (uint64_t)INT64_MAX / 2) return LORE_OK;
        return fail(LORE_INVALID, "lore_memory.access_count: %" PRIu64 ", at most %" PRId64,
                    memory->access_count, INT64_MAX / 2);
    case LORE_ATTR_CREATED_AT:
    case LORE_ATTR_UPDATED_AT:
    case LORE_ATTR_EXPIRES_AT:
    case LORE_ATTR_LAST_ACCESSED_AT: return LORE_OK;
    default: return check_text(name, memory_text_of(memory, attribute), MEMORY_ATTRIBUTE_BYTES_MAX);
    }
}

/* What it will take in a batch at least, before any of it is copied. */
static lore_status check_total(lore_store *store, const lore_memory *memory) {
    uint64_t limit = store_budget(store)->limit / 4, total = 0;
    lore_slice parts[2] = {memory->text, memory->metadata};
    for (size_t i = 0; i < 2; i++) {
        lore_attribute attribute = i == 0 ? LORE_ATTR_TEXT : LORE_ATTR_METADATA;
        if ((memory->fields & LORE_FIELD(attribute)) == 0) continue;
        if (parts[i].size > limit - total)
            return fail(LORE_TOO_BIG,
                        "lore_memory.%s: the memory would be over %" PRIu64
                        " bytes, a quarter of memory_budget",
                        member_name(attribute), limit);
        total += parts[i].size;
    }
    return LORE_OK;
}

lore_status memory_check(lore_store *store, const lore_memory *memory, bool whole) {
    if ((memory->fields & ~KNOWN_FIELDS) != 0)
        return fail(LORE_INVALID, "lore_memory.fields: 0x%08" PRIx32 " names no known attribute",
                    memory->fields & ~KNOWN_FIELDS);
    if (!whole) TRY(memory_check_id(memory->id));
    if (memory->id.size > 0 && whole && (memory->fields & LORE_FIELD(LORE_ATTR_ID)) == 0)
        return fail(LORE_INVALID, "lore_memory.id is set, but fields does not name it");
    for (unsigned a = 0; a < LORE_ATTR_COUNT; a++)
        if ((memory->fields & LORE_FIELD(a)) != 0) TRY(check_field(memory, (lore_attribute)a));
    return check_total(store, memory);
}

/* ---- embeddings ---- */

static lore_status check_vector(const struct space *space, const lore_embedding *embedding) {
    int name_size = (int)(embedding->space.size < 255 ? embedding->space.size : 255);
    const char *name = embedding->space.data;
    if (embedding->data.size != space->stride_bytes || embedding->data.data == NULL)
        return fail(LORE_INVALID,
                    "an embedding in space %.*s has %" PRIu32 " bytes (%" PRIu32
                    " dimensions), not %zu",
                    name_size, name, space->stride_bytes, space->dimensions, embedding->data.size);
    bool finite = true;
    if (space->element == LORE_ELEMENT_F32)
        finite = f32_all_finite(embedding->data.data, space->dimensions);
    else if (space->element == LORE_ELEMENT_F16)
        finite = f16_all_finite(embedding->data.data, space->dimensions);
    if (finite) return LORE_OK;
    return fail(LORE_INVALID, "an embedding in space %.*s has an element that is not finite",
                name_size, name);
}

/* In order of the spaces' numbers; each space once. */
static lore_status insert_vector(struct given_vectors *vectors, const struct space *space,
                                 const lore_embedding *embedding) {
    size_t at = vectors->count;
    while (at > 0 && vectors->items[at - 1].space.number > space->number)
        at--;
    if (at > 0 && vectors->items[at - 1].space.number == space->number)
        return fail(LORE_INVALID, "lore_memory.embeddings: space %.*s twice",
                    (int)embedding->space.size, (const char *)embedding->space.data);
    memmove(vectors->items + at + 1, vectors->items + at,
            (vectors->count - at) * sizeof *vectors->items);
    vectors->items[at] = (struct given_vector){*space, embedding->data};
    vectors->count++;
    return LORE_OK;
}

lore_status memory_check_embeddings(lore_store *store, const lore_memory *memory,
                                    struct given_vectors *vectors) {
    size_t count = memory->embeddings_count;
    *vectors = (struct given_vectors){.allocator = store_query_allocator(store)};
    if (count == 0) return LORE_OK;
    if (count > EMBEDDINGS_MAX)
        return fail(LORE_TOO_BIG, "lore_memory.embeddings: %zu of them, %u at most", count,
                    EMBEDDINGS_MAX);
    if (memory->embeddings == NULL)
        return fail(LORE_INVALID, "lore_memory.embeddings: %zu of them at NULL", count);
    void *items;
    TRY(mem_get(vectors->allocator, count * sizeof *vectors->items, &items));
    vectors->items = items;
    lore_status status = LORE_OK;
    for (size_t i = 0; i < count && status == LORE_OK; i++) {
        struct space space;
        status = check_text("embeddings", memory->embeddings[i].space, SIZE_MAX);
        if (status == LORE_OK)
            status = store_space_by_name(store, memory->embeddings[i].space, &space);
        if (status == LORE_OK) status = check_vector(&space, &memory->embeddings[i]);
        if (status == LORE_OK) status = insert_vector(vectors, &space, &memory->embeddings[i]);
    }
    if (status == LORE_OK) return LORE_OK;
    mem_put(vectors->allocator, vectors->items, count * sizeof *vectors->items);
    vectors->items = NULL;
    vectors->count = 0;
    return status;
}

void given_vectors_deinit(struct given_vectors *vectors) {
    if (vectors->allocator == NULL) return;
    mem_put(vectors->allocator, vectors->items, vectors->count * sizeof *vectors->items);
    *vectors = (struct given_vectors){.allocator = vectors->allocator};
}
