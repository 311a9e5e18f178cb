/*
 * segment_block.h - stored blocks of all segment files: packed, checked and unpacked, read with or without the cache.
 * segment.h draws the bytes.
 *
 * The seed of a stored block's check is segment_block_seed(segment id, offset), so that a block found in another file
 * or at another place does not pass.
 *
 * Threads: a packer belongs to one thread; the reading functions may be called from any.
 */
#ifndef LORE_SEGMENT_SEGMENT_BLOCK_H
#define LORE_SEGMENT_SEGMENT_BLOCK_H

#include "segment/block_cache.h"
#include "segment/file_pool.h"
#include "segment/segment.h"

/* Where a stored block is and what its check must be; kept by its parent. */
struct segment_place {
    uint64_t offset;
    uint32_t length; /* bytes, block header included */
    uint64_t check;
};

uint64_t segment_block_seed(uint64_t segment_id, uint64_t offset);

struct segment_packer {
    const struct allocator *allocator;
    bool compress;
    bool high; /* LZ4 HC */
    void *state; /* of lz4; taken at first use */
    size_t state_bytes;
    struct bytes stored;
};
void segment_packer_init(struct segment_packer *packer, const struct allocator *allocator,
                         lore_compression compression, bool high);
void segment_packer_deinit(struct segment_packer *packer);
/* `raw` as a stored block, compressed if the packer does and it saves an eighth. *stored is valid until the next call. */
MUST_USE lore_status segment_pack(struct segment_packer *packer, lore_slice raw, lore_slice *stored);
/* The same, never compressed: for bytes that look random. */
MUST_USE lore_status segment_pack_plain(struct segment_packer *packer, lore_slice raw,
                                        lore_slice *stored);

/* A stored block taken apart. */
struct segment_stored {
    bool is_lz4;
    uint32_t raw_length;
    lore_slice payload; /* within the stored bytes */
};
/* Check `stored` (place->length bytes) and its header. LORE_CORRUPTION, naming path and offset, if the check differs, the
 * header is not sound, or the raw length is over `raw_max`. */
MUST_USE lore_status segment_block_check(const char *path, uint64_t segment_id,
                                         const struct segment_place *place, const uint8_t *stored,
                                         uint32_t raw_max, struct segment_stored *parts);
/* Its raw bytes, parts->raw_length of them, to `raw`. */
MUST_USE lore_status segment_block_unpack(const char *path, const struct segment_place *place,
                                          const struct segment_stored *parts, uint8_t *raw);

/* For salvage: blocks of which one byte was changed are put right as they are read. */
#define MENDED_MAX 64u
struct block_mender {
    uint64_t work_left; /* bytes to hash in all */
    struct mended {
        uint64_t segment_id, offset; /* of the block */
        uint32_t at;                 /* within it */
        uint8_t change;
    } known[MENDED_MAX];
    unsigned count;
};
/* Mend stored bytes whose check differs, if that can be done. */
void segment_block_mend(struct block_mender *mender, uint64_t segment_id,
                        const struct segment_place *place, uint8_t *stored);

/* Read and unpack without the cache; `stored` is scratch. `mender` may be NULL. */
MUST_USE lore_status segment_block_read_mended(struct pooled_file *file, uint64_t segment_id,
                                               const struct segment_place *place, uint32_t raw_max,
                                               struct block_mender *mender, struct bytes *stored,
                                               struct bytes *raw);
/* The same without one. */
MUST_USE lore_status segment_block_read(struct pooled_file *file, uint64_t segment_id,
                                        const struct segment_place *place, uint32_t raw_max,
                                        struct bytes *stored, struct bytes *raw);
/* Through the cache: *block is pinned, to be released with block_cache_release. */
struct read_count;
MUST_USE lore_status segment_block_fetch(const struct segment_context *context,
                                         struct pooled_file *file, uint64_t segment_id,
                                         const struct segment_place *place, uint32_t raw_max,
                                         struct read_count *count, struct block **block);

#endif
