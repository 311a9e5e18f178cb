/*
 * fuse_filter.c - binary fuse filters.
 *
 * A key has three slots, one in each of three neighbouring segments of the fingerprint array; its
 * fingerprint is the exclusive or of the three. Building finds an order in which each key has a
 * slot that no later key uses (peeling: take a slot with a single key, remove that key, repeat),
 * then fills the slots in the opposite order.
 *
 * Two special shapes have no fingerprints: segment length 0 says yes to every key (the fallback),
 * segment length 1 says no to every key (a filter of none).
 *
 * Deterministic: seeds are tried in a fixed order, and sizes are reckoned in integers, so equal
 * hashes in equal order give equal bytes on every host.
 *
 * Threads: none of its own; a stored filter may be asked from any number of threads.
 */
#include "segment/fuse_filter.h"

#include <assert.h>

#include "base/coding.h"
#include "base/poison.h"

#define HEADER_BYTES       20u
#define SEGMENT_LENGTH_MAX (1u << 18)
#define SEGMENT_COUNT_MAX  (1u << 20)
#define TRIES_MAX          100
#define YES_TO_ALL         0u
#define NO_TO_ALL          1u
#define SLOT_KEYS_MAX      255u /* of a slot while building; more fails the try */

struct fuse_shape {
    uint64_t seed;
    uint32_t segment_length; /* slots; a power of two */
    uint32_t
        segment_count; /* segments in which a key's first slot may lie: two fewer than there are */
    uint32_t fingerprints; /* slots: segment_length * (segment_count + 2) */
};

struct fuse_slots {
    uint32_t at[3];
};

static uint64_t mix(uint64_t hash) {
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33;
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    hash ^= hash >> 33;
    return hash;
}

/* hash * range / 2^64, without 128-bit integers. */
static uint32_t scale(uint64_t hash, uint32_t range) {
    uint64_t low = (hash & UINT32_MAX) * range;
    uint64_t high = (hash >> 32) * range;
    return (uint32_t)((high + (low >> 32)) >> 32);
}

static struct fuse_slots slots_of(const struct fuse_shape *shape, uint64_t mixed) {
    uint32_t mask = shape->segment_length - 1;
    uint32_t first = scale(mixed, shape->segment_count * shape->segment_length);
    uint32_t second = first + shape->segment_length;
    uint32_t third = second + shape->segment_length;
    second ^= (uint32_t)(mixed >> 18) & mask;
    third ^= (uint32_t)mixed & mask;
    return (struct fuse_slots){{first, second, third}};
}

static uint8_t fingerprint_of(uint64_t mixed) {
    return (uint8_t)(mixed ^ (mixed >> 32));
}

/* ---- sizes ---- */

/* Segments are 2^floor(log(keys) / log(3.33) + 2.25) slots: the paper's choice. Entry e is the
 * first number of keys for which the exponent is e + 3. */
static uint32_t segment_length_for(size_t keys) {
    static const uint32_t first_keys[] = {3,    9,     28,    92,     304,   1010,
                                          3362, 11193, 37273, 124118, 413310};
    uint32_t exponent = 2;
    for (size_t i = 0; i < sizeof first_keys / sizeof first_keys[0] && keys >= first_keys[i]; i++)
        exponent++;
    return 1u << exponent;
}

/* log2 in 16.16 fixed point, by squaring. */
static uint64_t log2_fixed(uint64_t v) {
    assert(v >= 1 && v < (UINT64_C(1) << 31));
    uint64_t whole = 0;
    while (v >> (whole + 1) != 0)
        whole++;
    uint64_t fraction = v << (31 - whole); /* in [2^31, 2^32) */
    uint64_t result = whole << 16;
    for (uint64_t bit = UINT64_C(1) << 15; bit != 0; bit >>= 1) {
        fraction = fraction * fraction >> 31;
        if (fraction >> 32 != 0) {
            result |= bit;
            fraction >>= 1;
        }
    }
    return result;
}

/* Slots per key: max(1.125, 0.875 + 0.25 * log(10^6) / log(keys)), the paper's measure. */
static void shape_for(size_t keys, struct fuse_shape *shape) {
    uint64_t counted = keys < 2 ? 2 : keys;
    const uint64_t quarter_log2_of_million = 326559; /* 0.25 * 19.93157, 16.16 fixed point */
    uint64_t factor = 57344 + (quarter_log2_of_million << 16) / log2_fixed(counted);
    if (factor < 73728) factor = 73728; /* 1.125 */
    uint64_t capacity = (counted * factor + 32768) >> 16;

    shape->segment_length = segment_length_for(keys);
    uint64_t segments = (capacity + shape->segment_length - 1) / shape->segment_length;
    shape->segment_count = segments <= 2 ? 1 : (uint32_t)segments - 2;
    shape->fingerprints = shape->segment_length * (shape->segment_count + 2);
}

/* ---- building ---- */

/* Scratch of a build: nine bytes a slot. */
struct fuse_build {
    const uint64_t *hashes;
    size_t count;
    uint32_t *keys;  /* exclusive or of the indexes of the slot's keys */
    uint32_t *queue; /* slots that have, or had, a single key; its head becomes the peeled slots in
                        order */
    uint8_t *loads;  /* how many keys the slot has */
};

static bool count_loads(const struct fuse_build *build, const struct fuse_shape *shape) {
    memset(build->keys, 0, shape->fingerprints * sizeof build->keys[0]);
    memset(build->loads, 0, shape->fingerprints);
    for (size_t i = 0; i < build->count; i++) {
        struct fuse_slots slots = slots_of(shape, mix(build->hashes[i] + shape->seed));
        for (int s = 0; s < 3; s++) {
            if (build->loads[slots.at[s]] == SLOT_KEYS_MAX) return false;
            build->loads[slots.at[s]]++;
            build->keys[slots.at[s]] ^= (uint32_t)i;
        }
    }
    return true;
}

/* Whether all keys were peeled: then queue[0..count) are their slots in order, and keys[slot] the
 * key of each. */
static bool peel(const struct fuse_build *build, const struct fuse_shape *shape) {
    if (!count_loads(build, shape)) return false;
    size_t queued = 0;
    for (uint32_t slot = 0; slot < shape->fingerprints; slot++) {
        if (build->loads[slot] == 1) build->queue[queued++] = slot;
    }
    size_t peeled = 0;
    /* A slot comes to a load of one at most once, so the queue holds each slot at most once; and
     * what is peeled was read from it first, so writing at its head is safe. */
    for (size_t next = 0; next < queued; next++) {
        uint32_t slot = build->queue[next];
        if (build->loads[slot] != 1) continue;
        uint32_t key = build->keys[slot];
        struct fuse_slots slots = slots_of(shape, mix(build->hashes[key] + shape->seed));
        for (int s = 0; s < 3; s++) {
            uint32_t other = slots.at[s];
            build->loads[other]--;
            if (other == slot) continue;
            build->keys[other] ^= key;
            if (build->loads[other] == 1) build->queue[queued++] = other;
        }
        build->queue[peeled++] = slot;
    }
    return peeled == build->count;
}

/* The last peeled first: its own slot is still free to make the three come out right. */
static void fill(const struct fuse_build *build, const struct fuse_shape *shape,
                 uint8_t *fingerprints) {
    memset(fingerprints, 0, shape->fingerprints);
    for (size_t i = build->count; i-- > 0;) {
        uint32_t slot = build->queue[i];
        uint64_t mixed = mix(build->hashes[build->keys[slot]] + shape->seed);
        struct fuse_slots slots = slots_of(shape, mixed);
        uint8_t value = fingerprint_of(mixed);
        for (int s = 0; s < 3; s++)
            if (slots.at[s] != slot) value ^= fingerprints[slots.at[s]];
        fingerprints[slot] = value;
    }
}

static void sift_down(uint64_t *heap, size_t at, size_t count) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count) return;
        if (child + 1 < count && heap[child + 1] > heap[child]) child++;
        if (heap[at] >= heap[child]) return;
        uint64_t swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
        at = child;
    }
}

/* Sort (in place, so a build's memory stays bounded) and drop repeats. Returns how many are left.
 */
static size_t sort_unique(uint64_t *hashes, size_t count) {
    for (size_t i = count / 2; i-- > 0;)
        sift_down(hashes, i, count);
    for (size_t end = count; end-- > 1;) {
        uint64_t largest = hashes[0];
        hashes[0] = hashes[end];
        hashes[end] = largest;
        sift_down(hashes, 0, end);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || hashes[i] != hashes[kept - 1]) hashes[kept++] = hashes[i];
    }
    return kept;
}

static lore_status store(struct bytes *out, const struct fuse_shape *shape,
                         uint8_t **fingerprints) {
    uint8_t *at;
    TRY(bytes_extend(out, HEADER_BYTES + (size_t)shape->fingerprints, &at));
    put_u64(at, shape->seed);
    put_u32(at + 8, shape->segment_length);
    put_u32(at + 12, shape->segment_count);
    put_u32(at + 16, shape->fingerprints);
    *fingerprints = at + HEADER_BYTES;
    return LORE_OK;
}

lore_status fuse_filter_build(const struct allocator *allocator, uint64_t *hashes, size_t count,
                              struct bytes *out) {
    assert(count <= FUSE_FILTER_KEYS_MAX);
    struct fuse_shape shape = {.segment_length = NO_TO_ALL};
    uint8_t *fingerprints;
    if (count == 0) return store(out, &shape, &fingerprints);

    shape_for(count, &shape);
    size_t scratch_bytes = (size_t)shape.fingerprints * 9;
    void *scratch;
    TRY(mem_get(allocator, scratch_bytes, &scratch));
    struct fuse_build build = {.hashes = hashes, .count = count, .keys = scratch};
    build.queue = build.keys + shape.fingerprints;
    build.loads = (uint8_t *)(build.queue + shape.fingerprints);

    bool peeled = false;
    for (uint64_t tries = 0; tries < TRIES_MAX && !peeled; tries++) {
        /* Repeats share all three slots and can never be peeled, but are rare: look for them when a
         * try has failed. The shape stays, a little roomier than it need be. */
        if (tries == 1) build.count = sort_unique(hashes, count);
        shape.seed = mix(tries + 1);
        peeled = peel(&build, &shape);
    }
    if (!peeled) shape = (struct fuse_shape){.segment_length = YES_TO_ALL};
    lore_status status = store(out, &shape, &fingerprints);
    if (status == LORE_OK && peeled) fill(&build, &shape, fingerprints);
    mem_put(allocator, scratch, scratch_bytes);
    return status;
}

/* ---- asking ---- */

static struct fuse_shape shape_read(const uint8_t *stored) {
    return (struct fuse_shape){.seed = get_u64(stored),
                               .segment_length = get_u32(stored + 8),
                               .segment_count = get_u32(stored + 12),
                               .fingerprints = get_u32(stored + 16)};
}

bool fuse_filter_is_valid(lore_slice stored) {
    if (stored.size < HEADER_BYTES) return false;
    struct fuse_shape shape = shape_read(stored.data);
    if (stored.size - HEADER_BYTES != shape.fingerprints) return false;
    if (shape.segment_length == YES_TO_ALL || shape.segment_length == NO_TO_ALL) {
        return shape.segment_count == 0 && shape.fingerprints == 0;
    }
    if (shape.segment_length > SEGMENT_LENGTH_MAX || shape.segment_count > SEGMENT_COUNT_MAX)
        return false;
    if ((shape.segment_length & (shape.segment_length - 1)) != 0) return false;
    uint64_t slots = (uint64_t)shape.segment_length * ((uint64_t)shape.segment_count + 2);
    return shape.segment_count > 0 && slots == shape.fingerprints;
}

bool fuse_filter_maybe(lore_slice stored, uint64_t hash) {
    assert(stored.size >= HEADER_BYTES);
    struct fuse_shape shape = shape_read(stored.data);
    if (shape.segment_length == YES_TO_ALL) return true;
    if (shape.segment_length == NO_TO_ALL) return false;
    const uint8_t *fingerprints = (const uint8_t *)stored.data + HEADER_BYTES;
    uint64_t mixed = mix(hash + shape.seed);
    struct fuse_slots slots = slots_of(&shape, mixed);
    uint8_t value = fingerprint_of(mixed);
    for (int s = 0; s < 3; s++)
        value ^= fingerprints[slots.at[s]];
    return value == 0;
}
