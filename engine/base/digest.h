/*
 * digest.h - checks over stored bytes. XXH3-64 for a block or a record, XXH3-128 for a file: both find
 * accidents, not attackers. Which of the two a stored check is follows from its place in the format.
 */
#ifndef LORE_BASE_DIGEST_H
#define LORE_BASE_DIGEST_H

#include "base/bytes.h"

enum digest_algorithm { DIGEST_NONE = 0, DIGEST_XXH3_64 = 1, DIGEST_XXH3_128 = 2, DIGEST_SHA256 = 3 };

uint64_t check64(const void *data, size_t size);
uint64_t check64_seeded(const void *data, size_t size, uint64_t seed);
/* For salvage: find the one byte of data[from..size) that was changed, the one that, changed again, makes the check hold, and
 * put it right. Single bits first. Takes what it hashes from *work, in bytes, and gives up when that is used up. */
bool check64_mend(uint8_t *data, size_t from, size_t size, uint64_t seed, uint64_t check,
                  uint64_t *work);

/* How every decoder compares a stored check with one that it computed. LORE_FUZZ_SKIP_CHECKS is set in
 * builds for fuzzing alone, where each check passes, so that mutated bytes reach the decoders behind. */
static inline bool check_matches(uint64_t stored, uint64_t computed) {
#ifdef LORE_FUZZ_SKIP_CHECKS
    (void)stored;
    (void)computed;
    return true;
#else
    return stored == computed;
#endif
}

/* XXH3-128 in its canonical (big-endian) form. */
struct digest128 {
    uint8_t bytes[16];
};
struct digest128 digest128_of(const void *data, size_t size);

/* The same over a stream; keep it inside the builder that needs it. The state is 576 bytes that begin at
 * the first multiple of 64 in here, wherever the owner's allocator put it: so init it where it stays, and
 * never copy it. */
struct digest_stream {
    unsigned char state[640];
};
void digest_stream_init(struct digest_stream *stream);
void digest_stream_add(struct digest_stream *stream, const void *data, size_t size);
struct digest128 digest_stream_end(const struct digest_stream *stream);

#endif
