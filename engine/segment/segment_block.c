/*
 * segment_block.c - stored blocks.
 *
 * lz4 is called with its state in our memory, taken once per packer: left alone it would put 16 KiB
 * on the stack, or 256 KiB of the host's heap (high compression), past the budget.
 */
#include "segment/segment_block.h"

#include <assert.h>
#include <inttypes.h>

#include <lz4.h>
#include <lz4hc.h>

#include "segment/table.h"
#include "base/poison.h"

enum stored_compression { STORED_PLAIN = 0, STORED_LZ4 = 1 };

/* A byte of lz4 stands for at most 255: what claims more is not lz4, and need not be given memory.
 */
#define LZ4_RATIO_MAX 255u
/* Stored blocks up to this size are read to the stack on their way to the cache. */
#define STACK_BLOCK_BYTES 8192u

uint64_t segment_block_seed(uint64_t segment_id, uint64_t offset) {
    return segment_id * UINT64_C(0x9e3779b97f4a7c15) + offset;
}

/* ---- packing ---- */

void segment_packer_init(struct segment_packer *packer, const struct allocator *allocator,
                         lore_compression compression, bool high) {
    memset(packer, 0, sizeof *packer);
    packer->allocator = allocator;
    packer->compress = compression == LORE_COMPRESSION_LZ4;
    packer->high = high;
    packer->stored = bytes_empty(allocator);
}

void segment_packer_deinit(struct segment_packer *packer) {
    if (packer->allocator == NULL) return;
    mem_put(packer->allocator, packer->state, packer->state_bytes);
    packer->state = NULL;
    bytes_free(&packer->stored);
}

static lore_status take_state(struct segment_packer *packer) {
    if (packer->state != NULL) return LORE_OK;
    size_t size = (size_t)(packer->high ? LZ4_sizeofStateHC() : LZ4_sizeofState());
    TRY(mem_new(packer->allocator, size, &packer->state));
    packer->state_bytes = size;
    return LORE_OK;
}

/* The compressed size, or 0 if it is over `room`. */
static size_t compress_to(struct segment_packer *packer, lore_slice raw, uint8_t *out,
                          size_t room) {
    int size = packer->high
                   ? LZ4_compress_HC_extStateHC(packer->state, raw.data, (char *)out, (int)raw.size,
                                                (int)room, LZ4HC_CLEVEL_DEFAULT)
                   : LZ4_compress_fast_extState(packer->state, raw.data, (char *)out, (int)raw.size,
                                                (int)room, 1);
    return size > 0 ? (size_t)size : 0;
}

static lore_status pack(struct segment_packer *packer, lore_slice raw, bool compress,
                        lore_slice *stored) {
    if (raw.size > UINT32_MAX - BLOCK_HEADER_BYTES)
        return fail(LORE_TOO_BIG, "a block of %zu bytes", raw.size);
    bytes_clear(&packer->stored);
    uint8_t *out;
    TRY(bytes_extend(&packer->stored, BLOCK_HEADER_BYTES + raw.size, &out));
    size_t room = raw.size - raw.size / 8;
    size_t size = 0;
    if (compress && raw.size >= 8 && raw.size <= LZ4_MAX_INPUT_SIZE) {
        TRY(take_state(packer));
        size = compress_to(packer, raw, out + BLOCK_HEADER_BYTES, room);
    }
    memset(out, 0, BLOCK_HEADER_BYTES);
    out[0] = size > 0 ? STORED_LZ4 : STORED_PLAIN;
    put_u32(out + 4, (uint32_t)raw.size);
    if (size == 0) {
        if (raw.size > 0) memcpy(out + BLOCK_HEADER_BYTES, raw.data, raw.size);
        size = raw.size;
    }
    *stored = slice(out, BLOCK_HEADER_BYTES + size);
    return LORE_OK;
}

lore_status segment_pack(struct segment_packer *packer, lore_slice raw, lore_slice *stored) {
    return pack(packer, raw, packer->compress, stored);
}

lore_status segment_pack_plain(struct segment_packer *packer, lore_slice raw, lore_slice *stored) {
    return pack(packer, raw, false, stored);
}

/* ---- unpacking ---- */

static lore_status damaged(const char *path, const struct segment_place *place, const char *what) {
    return fail(LORE_CORRUPTION, "%s: block at offset %" PRIu64 ", %" PRIu32 " bytes: %s", path,
                place->offset, place->length, what);
}

lore_status segment_block_check(const char *path, uint64_t segment_id,
                                const struct segment_place *place, const uint8_t *stored,
                                uint32_t raw_max, struct segment_stored *parts) {
    if (place->length < BLOCK_HEADER_BYTES) return damaged(path, place, "shorter than its header");
    uint64_t check =
        check64_seeded(stored, place->length, segment_block_seed(segment_id, place->offset));
    if (!check_matches(place->check, check)) return damaged(path, place, "its check differs");
    if (stored[0] > STORED_LZ4) return damaged(path, place, "unknown compression");
    if (stored[1] != 0 || get_u16(stored + 2) != 0) return damaged(path, place, "unknown flags");
    uint32_t payload_length = place->length - BLOCK_HEADER_BYTES;
    uint32_t raw_length = get_u32(stored + 4);
    parts->is_lz4 = stored[0] == STORED_LZ4;
    parts->raw_length = raw_length;
    parts->payload = slice(stored + BLOCK_HEADER_BYTES, payload_length);
    if (!parts->is_lz4 && raw_length != payload_length)
        return damaged(path, place, "its length differs from its header's");
    if (raw_length > raw_max) return damaged(path, place, "longer than a block may be");
    if (parts->is_lz4 && raw_length / LZ4_RATIO_MAX > payload_length)
        return damaged(path, place, "more than lz4 can hold");
    return LORE_OK;
}

lore_status segment_block_unpack(const char *path, const struct segment_place *place,
                                 const struct segment_stored *parts, uint8_t *raw) {
    if (!parts->is_lz4) {
        if (parts->raw_length > 0) memcpy(raw, parts->payload.data, parts->raw_length);
        return LORE_OK;
    }
    if (parts->payload.size > LZ4_MAX_INPUT_SIZE || parts->raw_length > LZ4_MAX_INPUT_SIZE)
        return damaged(path, place, "more than lz4 can hold");
    int size = LZ4_decompress_safe(parts->payload.data, (char *)raw, (int)parts->payload.size,
                                   (int)parts->raw_length);
    if (size < 0 || (uint32_t)size != parts->raw_length)
        return damaged(path, place, "not sound lz4");
    return LORE_OK;
}

/* ---- reading ---- */

/* Larger blocks take too long. */
#define MEND_BYTES_MAX 16384u

void segment_block_mend(struct block_mender *mender, uint64_t segment_id,
                        const struct segment_place *place, uint8_t *stored) {
    uint64_t seed = segment_block_seed(segment_id, place->offset);
    if (check64_seeded(stored, place->length, seed) == place->check) return;
    for (unsigned i = 0; i < mender->count; i++) {
        const struct mended *known = &mender->known[i];
        if (known->segment_id != segment_id || known->offset != place->offset) continue;
        stored[known->at] ^= known->change;
        return;
    }
    if (place->length > MEND_BYTES_MAX || mender->count == MENDED_MAX) return;
    uint8_t before[MEND_BYTES_MAX];
    memcpy(before, stored, place->length);
    if (!check64_mend(stored, 0, place->length, seed, place->check, &mender->work_left)) return;
    uint32_t at = 0;
    while (before[at] == stored[at])
        at++;
    mender->known[mender->count++] =
        (struct mended){segment_id, place->offset, at, (uint8_t)(before[at] ^ stored[at])};
}

lore_status segment_block_read(struct pooled_file *file, uint64_t segment_id,
                               const struct segment_place *place, uint32_t raw_max,
                               struct bytes *stored, struct bytes *raw) {
    return segment_block_read_mended(file, segment_id, place, raw_max, NULL, stored, raw);
}

lore_status segment_block_read_mended(struct pooled_file *file, uint64_t segment_id,
                                      const struct segment_place *place, uint32_t raw_max,
                                      struct block_mender *mender, struct bytes *stored,
                                      struct bytes *raw) {
    const char *path = pooled_file_path(file);
    uint8_t *at;
    bytes_clear(stored);
    TRY(bytes_extend(stored, place->length, &at));
    TRY(pooled_file_read(file, place->offset, at, place->length));
    if (mender != NULL) segment_block_mend(mender, segment_id, place, at);
    struct segment_stored parts;
    TRY(segment_block_check(path, segment_id, place, at, raw_max, &parts));
    bytes_clear(raw);
    TRY(bytes_extend(raw, parts.raw_length, &at));
    return segment_block_unpack(path, place, &parts, at);
}

/* From the stored bytes at `stored` into the cache. */
static lore_status cache_block(const struct segment_context *context, const char *path,
                               uint64_t segment_id, const struct segment_place *place,
                               const uint8_t *stored, uint32_t raw_max, struct block **block) {
    struct segment_stored parts;
    TRY(segment_block_check(path, segment_id, place, stored, raw_max, &parts));
    struct block *made;
    uint8_t *raw;
    TRY(block_cache_prepare(context->cache, parts.raw_length, &made, &raw));
    lore_status status = segment_block_unpack(path, place, &parts, raw);
    if (status != LORE_OK) {
        block_cache_release(context->cache, made);
        return status;
    }
    block_cache_publish(context->cache, segment_id, place->offset, &made);
    *block = made;
    return LORE_OK;
}

lore_status segment_block_fetch(const struct segment_context *context, struct pooled_file *file,
                                uint64_t segment_id, const struct segment_place *place,
                                uint32_t raw_max, struct read_count *count, struct block **block) {
    *block = block_cache_get(context->cache, segment_id, place->offset);
    if (*block != NULL) {
        if (count != NULL) count->blocks_hit++;
        return LORE_OK;
    }
    uint8_t on_stack[STACK_BLOCK_BYTES];
    void *heap = NULL;
    if (place->length > sizeof on_stack)
        TRY(mem_get(context->work_allocator, place->length, &heap));
    uint8_t *stored = heap != NULL ? heap : on_stack;
    lore_status status = pooled_file_read(file, place->offset, stored, place->length);
    if (status == LORE_OK) {
        if (context->mender != NULL) segment_block_mend(context->mender, segment_id, place, stored);
        if (count != NULL) {
            count->blocks_read++;
            count->bytes_read += place->length;
        }
        status =
            cache_block(context, pooled_file_path(file), segment_id, place, stored, raw_max, block);
    }
    mem_put(context->work_allocator, heap, place->length);
    return status;
}
