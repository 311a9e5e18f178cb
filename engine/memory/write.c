/*
 * write.c - put, update, delete. Each call reads what is there, works out what shall be, and
 * commits one batch on the condition that nothing of it changed meanwhile; if something did, it
 * begins again, a bounded number of times. From the second try on it waits in line with others that
 * were in conflict, so that they do not keep defeating each other.
 */
#include <assert.h>

#include "base/digest.h"
#include "memory/writer.h"

#include "base/poison.h"

#define MEMORIES_MAX (UINT32_C(1) << 24)

/* Adds to the batch what the call wants, from what it reads. */
typedef lore_status (*build_fn)(struct writer *writer, void *call);

static lore_status try_once(struct writer *writer, build_fn build, void *call) {
    TRY(writer_begin_read(writer));
    lore_status status = build(writer, call);
    if (status == LORE_OK) status = writer_add_heads(writer);
    writer_end_read(writer);
    TRY(status);
    return store_commit(writer->store, &writer->batch, NULL, NULL);
}

static lore_status run(lore_store *store, build_fn build, void *call) {
    struct writer writer;
    writer_init(&writer, store);
    struct memory_layer *layer = writer.layer;
    lore_status status = try_once(&writer, build, call);
    if (status == LORE_CONFLICT) {
        env_lock(layer->env, layer->retry);
        for (unsigned i = 1; i < MEMORY_RETRIES_MAX && status == LORE_CONFLICT; i++)
            status = try_once(&writer, build, call);
        env_unlock(layer->env, layer->retry);
    }
    writer_deinit(&writer);
    return status;
}

/* LORE_NOT_FOUND leaves *record NULL. */
static lore_status read_old(struct writer *writer, lore_slice id, unsigned flags,
                            lore_record **record) {
    *record = NULL;
    uint64_t row, sequence;
    TRY(memory_row_of(writer->store, &writer->reading, id, &row, &sequence));
    lore_status status = memory_read_row(writer->store, &writer->reading, row, flags, record);
    if (status != LORE_NOT_FOUND) return status;
    return fail(LORE_CORRUPTION, "%s: an id leads to row %llu, which is not there",
                store_path(writer->store), (unsigned long long)row);
}

static bool names(const lore_memory *memory, lore_attribute attribute) {
    return (memory->fields & LORE_FIELD(attribute)) != 0;
}

/* Members that `given` names replace those of `next`. */
static void overlay(lore_memory *next, const lore_memory *given) {
    for (unsigned a = 0; a < LORE_ATTR_COUNT; a++) {
        lore_attribute attribute = (lore_attribute)a;
        if (!names(given, attribute)) continue;
        if (attribute == LORE_ATTR_TAGS) {
            next->tags = given->tags;
            next->tags_count = given->tags_count;
        } else if (attribute == LORE_ATTR_IMPORTANCE) {
            next->importance_score = given->importance_score + 0.0; /* -0 becomes 0 */
        } else if (attribute_type(attribute) == ATTRIBUTE_INTEGER) {
            memory_set_integer(next, attribute, memory_integer_of(given, attribute));
        } else {
            memory_set_text(next, attribute, memory_text_of(given, attribute));
        }
    }
}

static lore_status check_position(const lore_memory *next, const lore_memory *given) {
    if (!names(given, LORE_ATTR_POSITION) || next->session_id.size > 0) return LORE_OK;
    return fail(LORE_INVALID,
                "lore_memory.position goes with a session_id, and this memory has none");
}

static bool sets_access(const lore_memory *given) {
    return names(given, LORE_ATTR_ACCESS_COUNT) || names(given, LORE_ATTR_LAST_ACCESSED_AT);
}

/* ---- put ---- */

struct put_item {
    lore_memory given;
    struct given_vectors vectors;
    char generated[UUID7_TEXT_BYTES]; /* the id, where none was given */
};

struct put_call {
    lore_put_mode mode;
    struct put_item *items;
    size_t count;
    const struct allocator *allocator;
};

static lore_status put_over(struct writer *writer, const struct put_item *item,
                            const lore_record *old) {
    const lore_memory *given = &item->given;
    lore_memory next;
    lore_memory_init(&next);
    next.created_at_us = next.updated_at_us = writer->now_us;
    if (old != NULL) {
        next.created_at_us = old->memory.created_at_us;
        next.access_count = old->memory.access_count;
        next.last_accessed_at_us = old->memory.last_accessed_at_us;
    }
    overlay(&next, given);
    next.id = given->id;
    TRY(check_position(&next, given));
    struct change change = {.old = old,
                            .next = &next,
                            .new_text = old != NULL && !slice_equal(old->memory.text, next.text),
                            .position_given = names(given, LORE_ATTR_POSITION),
                            .set_access = sets_access(given),
                            .vectors = &item->vectors};
    return writer_add(writer, &change);
}

/* So that a put without bound is refused while its batch grows. */
static lore_status check_batch(const struct writer *writer) {
    uint64_t limit = store_budget(writer->store)->limit / 4;
    const struct batch *batch = &writer->batch;
    if (batch->payload.size <= limit && batch->memtable_bytes <= limit) return LORE_OK;
    return fail(LORE_TOO_BIG, "the batch would be over %llu bytes, a quarter of memory_budget",
                (unsigned long long)limit);
}

static lore_status build_put(struct writer *writer, void *context) {
    struct put_call *call = context;
    for (size_t i = 0; i < call->count; i++) {
        TRY(check_batch(writer));
        const struct put_item *item = &call->items[i];
        lore_record *old;
        lore_status status = read_old(writer, item->given.id, 0, &old);
        if (status == LORE_NOT_FOUND) status = LORE_OK;
        TRY(status);
        if (old != NULL && call->mode == LORE_PUT_INSERT)
            status = fail(LORE_EXISTS, "a memory with the id %.*s is there already",
                          (int)item->given.id.size, (const char *)item->given.id.data);
        else
            status = put_over(writer, item, old);
        lore_record_destroy(old);
        TRY(status);
    }
    return LORE_OK;
}

/* A hash of places in `items`, 0 for none. */
static lore_status check_ids_differ(const struct put_call *call) {
    if (call->count < 2) return LORE_OK;
    size_t slots = 4;
    while (slots < call->count * 2)
        slots *= 2;
    void *memory;
    TRY(mem_new(call->allocator, slots * sizeof(uint32_t), &memory));
    uint32_t *table = memory;
    lore_status status = LORE_OK;
    for (size_t i = 0; i < call->count && status == LORE_OK; i++) {
        lore_slice id = call->items[i].given.id;
        size_t at = (size_t)check64(id.data, id.size) & (slots - 1);
        for (; table[at] != 0; at = (at + 1) & (slots - 1)) {
            if (!slice_equal(call->items[table[at] - 1].given.id, id)) continue;
            status = fail(LORE_INVALID, "the id %.*s twice in one put", (int)id.size,
                          (const char *)id.data);
            break;
        }
        table[at] = (uint32_t)i + 1;
    }
    mem_put(call->allocator, table, slots * sizeof(uint32_t));
    return status;
}

static lore_status take_item(lore_store *store, struct put_item *item, const lore_memory *given) {
    TRY(memory_take(given, &item->given));
    TRY(memory_check(store, &item->given, true));
    TRY(memory_check_embeddings(store, &item->given, &item->vectors));
    if (names(&item->given, LORE_ATTR_ID)) return LORE_OK;
    TRY(uuid7_next(&memory_layer_of(store)->uuid7, item->generated));
    item->given.id = slice(item->generated, sizeof item->generated);
    return LORE_OK;
}

static lore_status take_items(lore_store *store, struct put_call *call, const lore_memory *memories,
                              lore_buffer *ids) {
    for (size_t i = 0; i < call->count; i++) {
        const lore_memory *given = memory_nth(memories, i);
        if (given->struct_size != memories->struct_size)
            return fail(LORE_INVALID, "lore_memory.struct_size differs within one array");
        lore_status status = take_item(store, &call->items[i], given);
        if (status != LORE_OK)
            return call->count == 1 ? status : fail_within(status, "memory %zu", i);
        /* Before the commit: after it, no failure may be reported any more. */
        if (ids != NULL)
            TRY(buffer_set(&ids[i], store_env(store)->allocator, call->items[i].given.id));
    }
    return check_ids_differ(call);
}

lore_status lore_memory_put(lore_store *store, const lore_memory *memories, size_t n,
                            lore_put_mode mode, lore_buffer *ids) {
    TRY(store_check(store, true));
    if (mode != LORE_PUT_REPLACE && mode != LORE_PUT_INSERT)
        return fail(LORE_INVALID, "no such way to put: %d", (int)mode);
    if (n == 0) return LORE_OK;
    if (memories == NULL) return fail(LORE_INVALID, "%zu memories at NULL", n);
    if (n > MEMORIES_MAX) return fail(LORE_TOO_BIG, "%zu memories in one put", n);
    struct put_call call = {.mode = mode, .count = n, .allocator = store_query_allocator(store)};
    void *memory;
    TRY(mem_new(call.allocator, n * sizeof *call.items, &memory));
    call.items = memory;
    lore_status status = take_items(store, &call, memories, ids);
    if (status == LORE_OK) status = run(store, build_put, &call);
    for (size_t i = 0; i < n; i++) {
        if (status == LORE_OK && sets_access(&call.items[i].given))
            access_forget(&memory_layer_of(store)->access, call.items[i].given.id);
        given_vectors_deinit(&call.items[i].vectors);
    }
    mem_put(call.allocator, call.items, n * sizeof *call.items);
    return status;
}

/* ---- update ---- */

struct update_call {
    lore_memory given;
    struct given_vectors vectors;
};

static lore_status build_update(struct writer *writer, void *context) {
    const struct update_call *call = context;
    const lore_memory *given = &call->given;
    bool has_text = names(given, LORE_ATTR_TEXT);
    lore_record *old;
    TRY(read_old(writer, given->id, has_text ? 0 : MEMORY_NO_TEXT, &old));
    lore_memory next = old->memory;
    next.updated_at_us = writer->now_us;
    overlay(&next, given);
    struct change change = {.old = old,
                            .next = &next,
                            .new_text = has_text && !slice_equal(old->memory.text, given->text),
                            .position_given = names(given, LORE_ATTR_POSITION),
                            .keep_embeddings = true,
                            .set_access = sets_access(given),
                            .vectors = &call->vectors};
    lore_status status = check_position(&next, given);
    if (status == LORE_OK) status = writer_add(writer, &change);
    lore_record_destroy(old);
    return status;
}

lore_status lore_memory_update(lore_store *store, const lore_memory *memory) {
    TRY(store_check(store, true));
    struct update_call call;
    TRY(memory_take(memory, &call.given));
    TRY(memory_check(store, &call.given, false));
    TRY(memory_check_embeddings(store, &call.given, &call.vectors));
    lore_status status = run(store, build_update, &call);
    if (status == LORE_OK && sets_access(&call.given))
        access_forget(&memory_layer_of(store)->access, call.given.id);
    given_vectors_deinit(&call.vectors);
    return status;
}

/* ---- delete ---- */

static lore_status build_delete(struct writer *writer, void *context) {
    const lore_slice *id = context;
    lore_record *old;
    TRY(read_old(writer, *id, MEMORY_NO_TEXT, &old));
    struct change change = {.old = old};
    lore_status status = writer_add(writer, &change);
    writer->batch.frees_space = true;
    lore_record_destroy(old);
    return status;
}

lore_status lore_memory_delete(lore_store *store, lore_slice id) {
    TRY(store_check(store, true));
    TRY(memory_check_id(id));
    lore_status status = run(store, build_delete, &id);
    if (status == LORE_OK) access_forget(&memory_layer_of(store)->access, id);
    return status;
}

struct embedding_call {
    lore_slice id;
    struct space space;
};

static lore_status build_embedding_delete(struct writer *writer, void *context) {
    const struct embedding_call *call = context;
    lore_record *old;
    TRY(read_old(writer, call->id, MEMORY_NO_TEXT, &old));
    lore_memory next = old->memory;
    next.updated_at_us = writer->now_us;
    struct change change = {
        .old = old, .next = &next, .keep_embeddings = true, .dropped = &call->space};
    bool has = attributes_have_space(&old->attributes, call->space.number);
    lore_status status = has ? writer_add(writer, &change) : not_found();
    writer->batch.frees_space = true;
    lore_record_destroy(old);
    return status;
}

lore_status lore_embedding_delete(lore_store *store, lore_slice id, const char *space) {
    TRY(store_check(store, true));
    TRY(memory_check_id(id));
    struct embedding_call call = {.id = id};
    TRY(store_space_by_name(store, lore_slice_of(space), &call.space));
    return run(store, build_embedding_delete, &call);
}
