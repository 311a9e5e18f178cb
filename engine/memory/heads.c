/*
 * heads.c - positions in sessions. A session's head is read once a batch, changed as memories come
 * and go, and written with the batch on the condition that nobody changed it meanwhile (keys.h says
 * why).
 */
#include <inttypes.h>

#include "memory/writer.h"

#include "base/poison.h"

void head_encode(uint8_t out[HEAD_BYTES], uint64_t next, uint64_t members) {
    put_be64(out, next);
    put_be64(out + 8, members);
}

bool head_decode(lore_slice value, uint64_t *next, uint64_t *members) {
    if (value.size != HEAD_BYTES) return false;
    *next = get_be64(value.data);
    *members = get_be64((const uint8_t *)value.data + 8);
    return *next <= MEMORY_POSITION_MAX + 1 && *members > 0;
}

static lore_status grow(struct writer *writer) {
    if (writer->heads_count < writer->heads_capacity) return LORE_OK;
    size_t capacity = writer->heads_capacity == 0 ? 4 : writer->heads_capacity * 2;
    void *memory = writer->heads;
    TRY(mem_resize(writer->allocator, &memory, writer->heads_capacity * sizeof *writer->heads,
                   capacity * sizeof *writer->heads));
    writer->heads = memory;
    writer->heads_capacity = capacity;
    return LORE_OK;
}

static lore_status load(struct writer *writer, struct session_head *head, lore_slice session) {
    TRY(bytes_set(&head->session, session));
    struct lookup lookup;
    TRY(key_head(&writer->key, session));
    TRY(store_get(writer->store, &writer->reading, bytes_slice(&writer->key), &lookup,
                  &writer->value));
    if (!lookup.found) return LORE_OK;
    head->sequence = lookup.sequence;
    if (head_decode(bytes_slice(&writer->value), &head->next, &head->members)) return LORE_OK;
    return fail(LORE_CORRUPTION, "%s: the head of a session is malformed",
                store_path(writer->store));
}

/* Valid until the next call. */
static lore_status find(struct writer *writer, lore_slice session, struct session_head **out) {
    for (size_t i = 0; i < writer->heads_count; i++) {
        *out = &writer->heads[i];
        if (slice_equal(bytes_slice(&(*out)->session), session)) return LORE_OK;
    }
    TRY(grow(writer));
    *out = &writer->heads[writer->heads_count];
    **out = (struct session_head){.session = bytes_empty(writer->allocator)};
    lore_status status = load(writer, *out, session);
    if (status != LORE_OK)
        bytes_free(&(*out)->session);
    else
        writer->heads_count++;
    return status;
}

static lore_status take_position(struct session_head *head, lore_memory *next,
                                 bool position_given) {
    if (!position_given) {
        if (head->next > MEMORY_POSITION_MAX)
            return fail(LORE_TOO_BIG,
                        "the session's last position is %" PRIu64 ": there is none after it",
                        head->next - 1);
        next->position = head->next;
    }
    if (next->position >= head->next) head->next = next->position + 1;
    return LORE_OK;
}

lore_status heads_move(struct writer *writer, const lore_memory *old, lore_memory *next,
                       bool position_given) {
    static const lore_slice none = {NULL, 0};
    lore_slice from = old == NULL ? none : old->session_id;
    lore_slice to = next == NULL ? none : next->session_id;
    struct session_head *head;
    if (next != NULL && to.size == 0) next->position = 0;
    if (slice_equal(from, to)) {
        if (to.size == 0) return LORE_OK;
        if (!position_given) next->position = old->position;
        if (next->position == old->position) return LORE_OK;
        TRY(find(writer, to, &head));
        return take_position(head, next, true);
    }
    if (from.size > 0) {
        TRY(find(writer, from, &head));
        if (head->members == 0)
            return fail(LORE_CORRUPTION, "%s: a session has more memories than its head counts",
                        store_path(writer->store));
        head->members--;
        if (head->members == 0) head->next = 0; /* as if it had never been, in this batch too */
    }
    if (to.size > 0) {
        TRY(find(writer, to, &head));
        TRY(take_position(head, next, position_given));
        head->members++;
    }
    return LORE_OK;
}

lore_status writer_add_heads(struct writer *writer) {
    for (size_t i = 0; i < writer->heads_count; i++) {
        const struct session_head *head = &writer->heads[i];
        uint8_t value[HEAD_BYTES];
        TRY(key_head(&writer->key, bytes_slice(&head->session)));
        lore_slice key = bytes_slice(&writer->key);
        TRY(batch_require_unchanged(&writer->batch, key, head->sequence));
        head_encode(value, head->next, head->members);
        if (head->members > 0)
            TRY(batch_put(&writer->batch, key, slice(value, sizeof value)));
        else
            TRY(batch_delete(&writer->batch, key));
    }
    return LORE_OK;
}
