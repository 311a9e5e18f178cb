/*
 * table_block.c - sorted blocks.
 */
#include "segment/table_block.h"

#include <assert.h>
#include <inttypes.h>

#include "base/digest.h"
#include "base/poison.h"

#define RESTART_BYTES      4u
#define ENDS_BYTES         6u /* u16 m, u32 n */
#define ENTRY_HEADER_MAX   (3 * 5 + VARINT_BYTES_MAX)
#define HASH_RESTARTS_MAX  254u /* restarts that a bucket can name: 0 to 253 */
#define BUCKETS_PER_4_KEYS 5u

/* What the builder remembers of a key for the hash index. */
struct key_hash {
    uint32_t upper;
    uint32_t restart;
};

static uint32_t bucket_of(uint32_t upper_hash, uint32_t buckets) {
    return (uint32_t)((uint64_t)upper_hash * buckets >> 32);
}

/* ---- building ---- */

void table_block_builder_init(struct table_block_builder *builder,
                              const struct allocator *allocator, uint32_t restart_interval,
                              bool hash_index) {
    assert(restart_interval > 0);
    memset(builder, 0, sizeof *builder);
    builder->restart_interval = restart_interval;
    builder->hash_index = hash_index;
    builder->data = bytes_empty(allocator);
    builder->restarts = bytes_empty(allocator);
    builder->hashes = bytes_empty(allocator);
    builder->last_key = bytes_empty(allocator);
}

void table_block_builder_deinit(struct table_block_builder *builder) {
    bytes_free(&builder->data);
    bytes_free(&builder->restarts);
    bytes_free(&builder->hashes);
    bytes_free(&builder->last_key);
}

void table_block_builder_clear(struct table_block_builder *builder) {
    builder->entries = 0;
    builder->since_restart = 0;
    bytes_clear(&builder->data);
    bytes_clear(&builder->restarts);
    bytes_clear(&builder->hashes);
    bytes_clear(&builder->last_key);
}

static size_t shared_prefix(lore_slice a, lore_slice b) {
    size_t size = a.size < b.size ? a.size : b.size;
    const uint8_t *pa = a.data, *pb = b.data;
    size_t shared = 0;
    while (shared < size && pa[shared] == pb[shared])
        shared++;
    return shared;
}

static lore_status begin_restart(struct table_block_builder *builder) {
    TRY(append_u32(&builder->restarts, (uint32_t)builder->data.size));
    builder->since_restart = 0;
    return LORE_OK;
}

static lore_status remember_hash(struct table_block_builder *builder, uint64_t hash) {
    struct key_hash remembered = {(uint32_t)(hash >> 32),
                                  (uint32_t)(builder->restarts.size / RESTART_BYTES) - 1};
    return bytes_append(&builder->hashes, &remembered, sizeof remembered);
}

lore_status table_block_builder_add(struct table_block_builder *builder, lore_slice key,
                                    uint64_t packed, lore_slice value, uint64_t hash) {
    assert(key.size <= KEY_BOUND_BYTES_MAX);
    bool restart = builder->entries == 0 || builder->since_restart == builder->restart_interval;
    if (restart) TRY(begin_restart(builder));
    lore_slice last_key = bytes_slice(&builder->last_key);
    size_t shared = builder->entries == 0 ? 0 : shared_prefix(last_key, key);
    bool new_key = builder->entries == 0 || shared != key.size || shared != last_key.size;
    if (builder->hash_index && (new_key || restart)) TRY(remember_hash(builder, hash));
    if (restart) shared = 0;
    size_t unshared = key.size - shared;

    size_t room;
    if (!size_add(unshared + ENTRY_HEADER_MAX, value.size, &room))
        return fail(LORE_TOO_BIG, "a value of %zu bytes", value.size);
    TRY(bytes_reserve(&builder->data, room));
    uint8_t *p = builder->data.data + builder->data.size;
    p += put_varint(p, shared);
    p += put_varint(p, unshared);
    p += put_varint(p, value.size);
    p += put_varint(p, packed);
    const uint8_t *tail = key.data;
    if (unshared > 0) memcpy(p, tail + shared, unshared);
    p += unshared;
    if (value.size > 0) memcpy(p, value.data, value.size);
    p += value.size;
    TRY(bytes_set(&builder->last_key, key));
    builder->data.size = (size_t)(p - builder->data.data);
    builder->entries++;
    builder->since_restart++;
    return LORE_OK;
}

/* Distinct keys, counted once more for each restart that they go on after. */
static size_t hashes_count(const struct table_block_builder *builder) {
    return builder->hashes.size / sizeof(struct key_hash);
}

static size_t buckets_for(const struct table_block_builder *builder, size_t keys) {
    size_t restarts = builder->restarts.size / RESTART_BYTES;
    if (!builder->hash_index || restarts > HASH_RESTARTS_MAX) return 0;
    size_t buckets = keys * BUCKETS_PER_4_KEYS / 4 + 1;
    return buckets <= TABLE_BUCKETS_MAX ? buckets : 0;
}

size_t table_block_builder_size_with(const struct table_block_builder *builder, size_t key_size,
                                     size_t value_size) {
    size_t fixed = builder->data.size + builder->restarts.size + RESTART_BYTES + ENDS_BYTES +
                   buckets_for(builder, hashes_count(builder) + 1);
    return fixed + ENTRY_HEADER_MAX + key_size + value_size;
}

static lore_status append_buckets(struct table_block_builder *builder, uint32_t buckets_count) {
    uint8_t *buckets;
    TRY(bytes_extend(&builder->data, buckets_count, &buckets));
    if (buckets_count > 0) memset(buckets, (int)TABLE_BUCKET_NONE, buckets_count);
    for (size_t i = 0; buckets_count > 0 && i < hashes_count(builder); i++) {
        struct key_hash key;
        memcpy(&key, builder->hashes.data + i * sizeof key, sizeof key);
        uint8_t *bucket = &buckets[bucket_of(key.upper, buckets_count)];
        if (*bucket == TABLE_BUCKET_NONE)
            *bucket = (uint8_t)key.restart;
        else if (*bucket != key.restart)
            *bucket = (uint8_t)TABLE_BUCKET_SEARCH;
    }
    return LORE_OK;
}

lore_status table_block_builder_finish(struct table_block_builder *builder, lore_slice *raw) {
    uint32_t buckets = (uint32_t)buckets_for(builder, hashes_count(builder));
    TRY(bytes_append(&builder->data, builder->restarts.data, builder->restarts.size));
    TRY(append_buckets(builder, buckets));
    TRY(append_u16(&builder->data, (uint16_t)buckets));
    TRY(append_u32(&builder->data, (uint32_t)(builder->restarts.size / RESTART_BYTES)));
    *raw = bytes_slice(&builder->data);
    return LORE_OK;
}

/* ---- reading ---- */

lore_status table_block_parse(lore_slice raw, struct table_block *block) {
    const uint8_t *p = raw.data;
    memset(block, 0, sizeof *block);
    if (raw.size < ENDS_BYTES || raw.size > TABLE_BLOCK_RAW_MAX)
        return fail(LORE_CORRUPTION, "the block has %zu bytes", raw.size);
    size_t left = raw.size - ENDS_BYTES;
    uint32_t buckets = get_u16(p + left);
    uint32_t restarts = get_u32(p + left + 2);
    if (buckets > left || restarts > (left - buckets) / RESTART_BYTES)
        return fail(LORE_CORRUPTION, "the block's end does not fit into its %zu bytes", raw.size);
    uint32_t entries_end = (uint32_t)(left - buckets) - restarts * RESTART_BYTES;
    if ((entries_end == 0) != (restarts == 0) || (restarts > 0 && get_u32(p + entries_end) != 0))
        return fail(LORE_CORRUPTION, "the block's first restart is not at 0");
    block->data = p;
    block->entries_end = entries_end;
    block->restarts = p + entries_end;
    block->restarts_count = restarts;
    block->buckets = p + left - buckets;
    block->buckets_count = buckets;
    return LORE_OK;
}

/* An entry's numbers, and where its bytes are; nothing of it is known to be right but that it lies
 * in the block. */
struct entry_head {
    uint32_t shared, unshared, value_size;
    uint64_t packed;
    const uint8_t *bytes; /* the key's rest, then the value */
};

static bool parse_head(const struct table_block *block, uint32_t at, struct entry_head *head) {
    const uint8_t *p = block->data + at, *end = block->data + block->entries_end;
    if (end - p >= 4 && (p[0] | p[1] | p[2]) < 0x80) {
        head->shared = p[0];
        head->unshared = p[1];
        head->value_size = p[2];
        p += 3;
        size_t size = get_varint(p, end, &head->packed);
        if (size == 0) return false;
        p += size;
    } else {
        struct reader r = {p, end, false};
        head->shared = read_varint32(&r);
        head->unshared = read_varint32(&r);
        head->value_size = read_varint32(&r);
        head->packed = read_varint(&r);
        if (r.bad) return false;
        p = r.at;
    }
    size_t left = (size_t)(end - p);
    head->bytes = p;
    return head->unshared <= left && head->value_size <= left - head->unshared;
}

static uint32_t restart_offset(const struct table_block *block, uint32_t index) {
    return get_u32(block->restarts + (size_t)index * RESTART_BYTES);
}

bool table_block_restart(const struct table_block *block, uint32_t index,
                         struct table_block_entry *entry) {
    if (index >= block->restarts_count) return false;
    uint32_t at = restart_offset(block, index);
    struct entry_head head;
    if (at >= block->entries_end || !parse_head(block, at, &head) || head.shared != 0) return false;
    entry->key = slice(head.bytes, head.unshared);
    entry->value = slice(head.bytes + head.unshared, head.value_size);
    entry->packed = head.packed;
    return true;
}

void table_block_cursor_init(struct table_block_cursor *cursor, uint32_t kinds, struct bytes key) {
    memset(cursor, 0, sizeof *cursor);
    cursor->kinds = kinds;
    cursor->key = key;
}

lore_status table_block_cursor_open(struct table_block_cursor *cursor, lore_slice raw) {
    lore_status status = table_block_parse(raw, &cursor->block);
    cursor->at = cursor->next = cursor->block.entries_end;
    return status;
}

static void invalidate(struct table_block_cursor *cursor) {
    cursor->at = cursor->next = cursor->block.entries_end;
}

static lore_status malformed(struct table_block_cursor *cursor, uint32_t at) {
    invalidate(cursor);
    return fail(LORE_CORRUPTION, "the entry at %" PRIu32 " in the block is malformed", at);
}

/* Read the entry at `at`, whose key begins with the first bytes of cursor->key. */
static lore_status read_entry(struct table_block_cursor *cursor, uint32_t at) {
    struct entry_head head;
    if (!parse_head(&cursor->block, at, &head) || head.shared > cursor->key.size)
        return malformed(cursor, at);
    size_t key_size = (size_t)head.shared + head.unshared;
    size_t key_min = cursor->kinds == TABLE_KINDS_INDEX ? 0 : KEYSPACE_BYTES;
    size_t key_max = cursor->kinds == TABLE_KINDS_DATA ? KEY_BYTES_MAX : KEY_BOUND_BYTES_MAX;
    uint32_t kind = head.packed & 0xff;
    if (key_size < key_min || key_size > key_max || kind >= 32 || (cursor->kinds >> kind & 1) == 0)
        return malformed(cursor, at);
    cursor->key.size = head.shared;
    lore_status status = bytes_append(&cursor->key, head.bytes, head.unshared);
    if (status != LORE_OK) {
        invalidate(cursor);
        return status;
    }
    cursor->packed = head.packed;
    cursor->value = slice(head.bytes + head.unshared, head.value_size);
    cursor->at = at;
    cursor->next = (uint32_t)(head.bytes + head.unshared + head.value_size - cursor->block.data);
    return LORE_OK;
}

/* To the entry at a restart. */
static lore_status go_to_restart(struct table_block_cursor *cursor, uint32_t index) {
    uint32_t at = restart_offset(&cursor->block, index);
    if (at >= cursor->block.entries_end) return malformed(cursor, at);
    cursor->key.size = 0; /* an entry that shares something is malformed here */
    return read_entry(cursor, at);
}

lore_status table_block_cursor_first(struct table_block_cursor *cursor) {
    if (cursor->block.restarts_count == 0) {
        invalidate(cursor);
        return LORE_OK;
    }
    return go_to_restart(cursor, 0);
}

lore_status table_block_cursor_next(struct table_block_cursor *cursor) {
    assert(table_block_cursor_valid(cursor));
    if (cursor->next >= cursor->block.entries_end) {
        invalidate(cursor);
        return LORE_OK;
    }
    return read_entry(cursor, cursor->next);
}

/* From an entry before `end` on, to the one that ends there. */
static lore_status go_to_end(struct table_block_cursor *cursor, uint32_t end) {
    while (cursor->next < end)
        TRY(read_entry(cursor, cursor->next));
    return cursor->next == end ? LORE_OK : malformed(cursor, cursor->at);
}

lore_status table_block_cursor_last(struct table_block_cursor *cursor) {
    if (cursor->block.restarts_count == 0) {
        invalidate(cursor);
        return LORE_OK;
    }
    TRY(go_to_restart(cursor, cursor->block.restarts_count - 1));
    return go_to_end(cursor, cursor->block.entries_end);
}

lore_status table_block_cursor_prev(struct table_block_cursor *cursor) {
    assert(table_block_cursor_valid(cursor));
    uint32_t end = cursor->at;
    if (end == 0) {
        invalidate(cursor);
        return LORE_OK;
    }
    /* The last restart before here; the first is at 0. */
    uint32_t low = 0, high = cursor->block.restarts_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (restart_offset(&cursor->block, middle) < end)
            low = middle;
        else
            high = middle;
    }
    TRY(go_to_restart(cursor, low));
    return go_to_end(cursor, end);
}

/* On from the current entry to the first that is not before (key, sequence). */
static lore_status scan_to(struct table_block_cursor *cursor, lore_slice key, uint64_t sequence) {
    while (table_block_cursor_valid(cursor) &&
           table_order(bytes_slice(&cursor->key), table_block_cursor_sequence(cursor), key,
                       sequence) < 0)
        TRY(table_block_cursor_next(cursor));
    return LORE_OK;
}

lore_status table_block_cursor_seek(struct table_block_cursor *cursor, lore_slice key,
                                    uint64_t sequence) {
    if (cursor->block.restarts_count == 0) {
        invalidate(cursor);
        return LORE_OK;
    }
    /* The last restart that is before, or the first. */
    uint32_t low = 0, high = cursor->block.restarts_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        struct table_block_entry entry;
        if (!table_block_restart(&cursor->block, middle, &entry))
            return malformed(cursor, restart_offset(&cursor->block, middle));
        if (table_order(entry.key, entry.packed >> 8, key, sequence) < 0)
            low = middle;
        else
            high = middle;
    }
    TRY(go_to_restart(cursor, low));
    return scan_to(cursor, key, sequence);
}

lore_status table_block_cursor_seek_hashed(struct table_block_cursor *cursor, lore_slice key,
                                           uint64_t sequence, uint64_t hash) {
    const struct table_block *block = &cursor->block;
    if (block->buckets_count == 0) return table_block_cursor_seek(cursor, key, sequence);
    uint32_t bucket = block->buckets[bucket_of((uint32_t)(hash >> 32), block->buckets_count)];
    if (bucket == TABLE_BUCKET_SEARCH) return table_block_cursor_seek(cursor, key, sequence);
    if (bucket == TABLE_BUCKET_NONE) {
        invalidate(cursor);
        return LORE_OK;
    }
    if (bucket >= block->restarts_count)
        return fail(LORE_CORRUPTION, "the block's hash index names a restart that is not there");
    TRY(go_to_restart(cursor, bucket));
    return scan_to(cursor, key, sequence);
}
