/*
 * digest.c - XXH3 from libxxhash behind three plain calls.
 */
#include "base/digest.h"

#include <assert.h>

#define XXH_STATIC_LINKING_ONLY /* for the size of the state */
#include <xxhash.h>

#include "base/poison.h"

#define STATE_ALIGN 64u
_Static_assert(sizeof(XXH3_state_t) + STATE_ALIGN - 1 <= sizeof(struct digest_stream),
               "a digest stream holds an aligned XXH3 state");

uint64_t check64(const void *data, size_t size) {
    return XXH3_64bits(data, size);
}

uint64_t check64_seeded(const void *data, size_t size, uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}

static struct digest128 canonical(XXH128_hash_t hash) {
    XXH128_canonical_t form;
    XXH128_canonicalFromHash(&form, hash);
    struct digest128 digest;
    _Static_assert(sizeof form.digest == sizeof digest.bytes, "128 bits");
    memcpy(digest.bytes, form.digest, sizeof digest.bytes);
    return digest;
}

static bool mend_with(uint8_t *data, size_t from, size_t size, uint64_t seed, uint64_t check,
                      uint64_t *work, bool single_bits) {
    for (size_t at = from; at < size; at++)
        for (unsigned change = 1; change < 256; change++) {
            if (((change & (change - 1)) == 0) != single_bits) continue;
            if (*work < size) return false;
            *work -= size;
            data[at] ^= (uint8_t)change;
            if (check64_seeded(data, size, seed) == check) return true;
            data[at] ^= (uint8_t)change;
        }
    return false;
}

bool check64_mend(uint8_t *data, size_t from, size_t size, uint64_t seed, uint64_t check,
                  uint64_t *work) {
    return mend_with(data, from, size, seed, check, work, true) ||
           mend_with(data, from, size, seed, check, work, false);
}

struct digest128 digest128_of(const void *data, size_t size) {
    return canonical(XXH3_128bits(data, size));
}

/* Bytes before the state: it wants an alignment that the stream's owner may not have. */
static size_t state_offset(const struct digest_stream *stream) {
    return (size_t)(-(uintptr_t)stream->state & (STATE_ALIGN - 1));
}

void digest_stream_init(struct digest_stream *stream) {
    memset(stream, 0, sizeof *stream);
    void *state = stream->state + state_offset(stream);
    XXH_errorcode code = XXH3_128bits_reset(state);
    assert(code == XXH_OK);
    (void)code;
}

void digest_stream_add(struct digest_stream *stream, const void *data, size_t size) {
    if (size == 0) return;
    void *state = stream->state + state_offset(stream);
    XXH_errorcode code = XXH3_128bits_update(state, data, size);
    assert(code == XXH_OK);
    (void)code;
}

struct digest128 digest_stream_end(const struct digest_stream *stream) {
    const void *state = stream->state + state_offset(stream);
    return canonical(XXH3_128bits_digest(state));
}
