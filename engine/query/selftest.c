/*
 * selftest.c - lore_selftest: known answers of what every stored byte depends on, on this machine
 * and with the libraries that this program was linked with.
 *
 * The digests' answers are those of the XXH3 specification over bytes i * 7 + 1; that of lz4 is a
 * block written by hand.
 */
#include "base/coding.h"
#include "base/digest.h"
#include "segment/fuse_filter.h"
#include "segment/segment_block.h"
#include "vector/distance.h"
#include "vfs/env.h"

#include "base/poison.h"

#define PATTERN_BYTES 1000u

static void fill_pattern(uint8_t pattern[PATTERN_BYTES]) {
    for (size_t i = 0; i < PATTERN_BYTES; i++)
        pattern[i] = (uint8_t)(i * 7 + 1);
}

/* Each check says whether it passed; a status other than LORE_OK: it could not be made. */
typedef lore_status (*check_fn)(const struct allocator *allocator, bool *passed);

/* ---- digests ---- */

#define DIGEST_SEED UINT64_C(0x1234567)

struct digest_answer {
    size_t size;
    uint64_t plain;
    uint64_t seeded;
    uint8_t whole[16];
};

/* One for each of the specification's ways to take a length. */
static const struct digest_answer digest_answers[] = {
    {0,
     UINT64_C(0x2d06800538d394c2),
     UINT64_C(0xe6379fb5299efaa9),
     {0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8, 0x60, 0x01, 0xc3, 0x24, 0x46, 0x8d, 0x49,
      0x7f}},
    {3,
     UINT64_C(0x5c83885a0fb5d516),
     UINT64_C(0xa981414b6f45a0a0),
     {0xf7, 0x27, 0x12, 0x6d, 0x62, 0x88, 0xa4, 0xbd, 0x5c, 0x83, 0x88, 0x5a, 0x0f, 0xb5, 0xd5,
      0x16}},
    {16,
     UINT64_C(0x913bd4a8038027a7),
     UINT64_C(0xe63db1a3fe2c7805),
     {0x6c, 0x53, 0xb9, 0x45, 0xf9, 0x0d, 0x67, 0x98, 0x49, 0xbf, 0x19, 0x6d, 0x35, 0x64, 0x9b,
      0x79}},
    {128,
     UINT64_C(0xc4399c7829d0628f),
     UINT64_C(0xee80eed7a0355411),
     {0x77, 0x6e, 0x5a, 0x2c, 0xae, 0x08, 0xdf, 0x3b, 0xd4, 0x80, 0xe3, 0xbd, 0xea, 0xdb, 0xf3,
      0x7f}},
    {240,
     UINT64_C(0x3c0bb96864e543a1),
     UINT64_C(0x0b18df6e25c56d7c),
     {0x3f, 0x55, 0x8c, 0x88, 0xfd, 0xa1, 0xda, 0x66, 0x4f, 0x23, 0xbf, 0xd3, 0x60, 0x97, 0x34,
      0xe8}},
    {1000,
     UINT64_C(0xb8b406a98622d913),
     UINT64_C(0xbbd2bbf9bdfb393c),
     {0x75, 0xa1, 0x21, 0x39, 0x9f, 0x9b, 0x84, 0x85, 0xb8, 0xb4, 0x06, 0xa9, 0x86, 0x22, 0xd9,
      0x13}},
};
#define DIGEST_ANSWERS (sizeof digest_answers / sizeof digest_answers[0])

static lore_status check_xxh3_64(const struct allocator *allocator, bool *passed) {
    (void)allocator;
    uint8_t pattern[PATTERN_BYTES];
    fill_pattern(pattern);
    for (size_t i = 0; i < DIGEST_ANSWERS; i++) {
        const struct digest_answer *answer = &digest_answers[i];
        *passed &= check64(pattern, answer->size) == answer->plain;
        *passed &= check64_seeded(pattern, answer->size, DIGEST_SEED) == answer->seeded;
    }
    return LORE_OK;
}

static lore_status check_xxh3_128(const struct allocator *allocator, bool *passed) {
    (void)allocator;
    uint8_t pattern[PATTERN_BYTES];
    fill_pattern(pattern);
    for (size_t i = 0; i < DIGEST_ANSWERS; i++) {
        const struct digest_answer *answer = &digest_answers[i];
        struct digest128 digest = digest128_of(pattern, answer->size);
        *passed &= memcmp(digest.bytes, answer->whole, sizeof answer->whole) == 0;
        struct digest_stream stream;
        digest_stream_init(&stream);
        digest_stream_add(&stream, pattern, answer->size / 2);
        digest_stream_add(&stream, pattern + answer->size / 2, answer->size - answer->size / 2);
        digest = digest_stream_end(&stream);
        *passed &= memcmp(digest.bytes, answer->whole, sizeof answer->whole) == 0;
    }
    return LORE_OK;
}

/* ---- codecs ---- */

static lore_status check_varint(const struct allocator *allocator, bool *passed) {
    (void)allocator;
    static const struct {
        uint64_t value;
        uint8_t bytes[VARINT_BYTES_MAX];
        size_t size;
    } answers[] = {{0, {0x00}, 1},
                   {127, {0x7f}, 1},
                   {128, {0x80, 0x01}, 2},
                   {300, {0xac, 0x02}, 2},
                   {UINT32_MAX, {0xff, 0xff, 0xff, 0xff, 0x0f}, 5},
                   {UINT64_MAX, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10}};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        uint8_t bytes[VARINT_BYTES_MAX];
        uint64_t value;
        size_t size = put_varint(bytes, answers[i].value);
        *passed &= size == answers[i].size && memcmp(bytes, answers[i].bytes, size) == 0;
        *passed &= get_varint(bytes, bytes + size, &value) == size && value == answers[i].value;
    }
    static const uint8_t too_long[] = {0x80, 0x00};
    uint64_t value;
    *passed &= get_varint(too_long, too_long + sizeof too_long, &value) == 0;
    return LORE_OK;
}

static lore_status check_lz4_known(const struct allocator *allocator, bool *passed) {
    (void)allocator;
    /* One literal, 14 bytes copied from one byte back, five literals. */
    static const uint8_t packed[] = {0x1a, 'a', 0x01, 0x00, 0x50, 'a', 'a', 'a', 'a', 'a'};
    static const struct segment_place nowhere = {0};
    struct segment_stored parts = {true, 20, {packed, sizeof packed}};
    uint8_t raw[20];
    *passed &= segment_block_unpack("selftest", &nowhere, &parts, raw) == LORE_OK;
    for (size_t i = 0; *passed && i < sizeof raw; i++)
        *passed &= raw[i] == 'a';
    return LORE_OK;
}

static lore_status check_lz4_round_trip(const struct allocator *allocator, bool high,
                                        bool *passed) {
    uint8_t pattern[PATTERN_BYTES], raw[PATTERN_BYTES];
    fill_pattern(pattern);
    struct segment_packer packer;
    lore_slice stored;
    segment_packer_init(&packer, allocator, LORE_COMPRESSION_LZ4, high);
    lore_status status = segment_pack(&packer, slice(pattern, sizeof pattern), &stored);
    if (status == LORE_OK) {
        struct segment_place place = {.offset = SEGMENT_HEADER_BYTES,
                                      .length = (uint32_t)stored.size};
        place.check = check64_seeded(stored.data, stored.size, segment_block_seed(1, place.offset));
        struct segment_stored parts;
        *passed &= segment_block_check("selftest", 1, &place, stored.data, PATTERN_BYTES, &parts) ==
                       LORE_OK &&
                   parts.is_lz4 && parts.raw_length == PATTERN_BYTES &&
                   segment_block_unpack("selftest", &place, &parts, raw) == LORE_OK &&
                   memcmp(raw, pattern, sizeof raw) == 0;
    }
    segment_packer_deinit(&packer);
    return status;
}

static lore_status check_lz4(const struct allocator *allocator, bool *passed) {
    TRY(check_lz4_known(allocator, passed));
    TRY(check_lz4_round_trip(allocator, false, passed));
    return check_lz4_round_trip(allocator, true, passed);
}

static lore_status check_fuse_filter(const struct allocator *allocator, bool *passed) {
    enum { KEYS = 1000 };
    uint64_t hashes[KEYS];
    for (uint64_t i = 0; i < KEYS; i++)
        hashes[i] = check64_seeded("key", 3, i);
    struct bytes stored = bytes_empty(allocator);
    lore_status status = fuse_filter_build(allocator, hashes, KEYS, &stored);
    if (status == LORE_OK) {
        *passed &= fuse_filter_is_valid(bytes_slice(&stored));
        unsigned mistaken = 0;
        for (uint64_t i = 0; *passed && i < KEYS; i++) {
            *passed &= fuse_filter_maybe(bytes_slice(&stored), check64_seeded("key", 3, i));
            mistaken += fuse_filter_maybe(bytes_slice(&stored), check64_seeded("other", 5, i));
        }
        *passed &= mistaken < KEYS / 50; /* about one in 250 is expected */
    }
    bytes_free(&stored);
    return status;
}

/* ---- all ---- */

static const struct {
    const char *name;
    check_fn check;
} checks[] = {{"digest xxh3-64", check_xxh3_64},
              {"digest xxh3-128", check_xxh3_128},
              {"codec varint", check_varint},
              {"codec lz4", check_lz4},
              {"filter fuse", check_fuse_filter}};

lore_status lore_selftest(lore_selftest_fn callback, void *context) {
    const struct allocator *allocator = env_posix()->allocator;
    unsigned failed = 0;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        bool passed = true;
        TRY(checks[i].check(allocator, &passed));
        if (callback != NULL) callback(context, checks[i].name, passed);
        failed += !passed;
    }
    failed += !distance_selftest(callback, context);
    if (failed == 0) return LORE_OK;
    return fail(LORE_CORRUPTION, "%u of the built-in checks failed on this machine", failed);
}
