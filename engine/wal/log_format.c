/*
 * log_format.c - headers, checks and promises of the chained log.
 */
#include "wal/log_format.h"

#include <assert.h>
#include <inttypes.h>

#include "base/digest.h"

#include "base/poison.h"

#define CHECK_OFFSET       152u
#define KNOWN_REQUIRED     0u
#define RECORD_ALIGN_BYTES 8u

_Static_assert(LOG_HEADER_BYTES == CHECK_OFFSET + 8, "the check ends the header");
_Static_assert(LOG_HEADER_BYTES % RECORD_ALIGN_BYTES == 0, "the first record is aligned");
_Static_assert(LOG_PROMISE_BYTES % RECORD_ALIGN_BYTES == 0, "a promise needs no padding");

static const uint8_t *family_magic(enum log_family family) {
    static const uint8_t wal[8] = {'L', 'O', 'R', 'E', 'L', 'O', 'G', '1'};
    static const uint8_t edits[8] = {'L', 'O', 'R', 'E', 'E', 'D', 'T', '1'};
    return family == LOG_FAMILY_WAL ? wal : edits;
}

void log_header_encode(const struct log_header *header, uint8_t out[LOG_HEADER_BYTES]) {
    memset(out, 0, LOG_HEADER_BYTES);
    memcpy(out, family_magic(header->family), 8);
    put_u32(out + 8, LOG_VERSION);
    put_u32(out + 12, header->required_features);
    put_u32(out + 16, header->optional_features);
    memcpy(out + 24, header->identity.store_id, 16);
    memcpy(out + 40, header->identity.lineage, 16);
    put_u64(out + 56, header->number);
    put_u64(out + 64, header->salt);
    put_u64(out + 72, header->predecessor_number);
    put_u64(out + 80, header->predecessor_length);
    put_u64(out + 88, header->predecessor_sequence);
    put_u64(out + 96, header->first_sequence);
    put_u64(out + 104, (uint64_t)header->created_at_us);
    put_u64(out + CHECK_OFFSET, check64(out, CHECK_OFFSET));
}

static bool all_zero(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) return false;
    }
    return true;
}

lore_status log_header_decode(const uint8_t in[LOG_HEADER_BYTES], const char *path,
                              enum log_family family, struct log_header *header) {
    if (memcmp(in, family_magic(family), 8) != 0) {
        return fail(LORE_CORRUPTION, "%s: offset 0: not a %s file", path,
                    family == LOG_FAMILY_WAL ? "log" : "catalog edits");
    }
    if (!check_matches(get_u64(in + CHECK_OFFSET), check64(in, CHECK_OFFSET))) {
        return fail(LORE_CORRUPTION, "%s: offset 0: the log header fails its check", path);
    }
    uint32_t version = get_u32(in + 8);
    if (version != LOG_VERSION) {
        return fail(LORE_UNSUPPORTED, "%s: log format version %" PRIu32 ", this library knows %u",
                    path, version, LOG_VERSION);
    }
    *header = (struct log_header){
        .family = family,
        .required_features = get_u32(in + 12),
        .optional_features = get_u32(in + 16),
        .number = get_u64(in + 56),
        .salt = get_u64(in + 64),
        .predecessor_number = get_u64(in + 72),
        .predecessor_length = get_u64(in + 80),
        .predecessor_sequence = get_u64(in + 88),
        .first_sequence = get_u64(in + 96),
        .created_at_us = (int64_t)get_u64(in + 104),
    };
    memcpy(header->identity.store_id, in + 24, 16);
    memcpy(header->identity.lineage, in + 40, 16);
    if ((header->required_features & ~KNOWN_REQUIRED) != 0 || !all_zero(in + 112, 16)) {
        return fail(LORE_UNSUPPORTED, "%s: the log needs features %#" PRIx32 "%s", path,
                    header->required_features, all_zero(in + 112, 16) ? "" : " and a key");
    }
    return LORE_OK;
}

uint64_t log_header_check(const uint8_t header[LOG_HEADER_BYTES]) {
    return get_u64(header + CHECK_OFFSET);
}

uint64_t log_record_bytes(uint64_t payload_bytes) {
    assert(payload_bytes <= UINT32_MAX);
    uint64_t bytes = LOG_RECORD_HEADER_BYTES + payload_bytes;
    return (bytes + RECORD_ALIGN_BYTES - 1) & ~(uint64_t)(RECORD_ALIGN_BYTES - 1);
}

uint64_t log_record_seed(uint64_t salt, uint64_t offset, uint64_t previous_check) {
    uint8_t place[24];
    put_u64(place, salt);
    put_u64(place + 8, offset);
    put_u64(place + 16, previous_check);
    return check64(place, sizeof place);
}

uint64_t log_record_check(uint64_t salt, uint64_t offset, uint64_t previous_check,
                          const uint8_t *record, size_t record_bytes) {
    assert(record_bytes >= LOG_RECORD_HEADER_BYTES);
    return check64_seeded(record + 8, record_bytes - 8,
                          log_record_seed(salt, offset, previous_check));
}

static uint64_t promise_check(uint64_t salt, uint64_t offset, const uint8_t payload[16]) {
    uint8_t bytes[24];
    memcpy(bytes, payload, 16);
    put_u64(bytes + 16, offset);
    return check64_seeded(bytes, sizeof bytes, salt);
}

void log_promise_encode(uint64_t salt, uint64_t offset, uint64_t synced,
                        uint8_t out[LOG_PROMISE_PAYLOAD_BYTES]) {
    assert(synced <= offset);
    put_u64(out, LOG_PROMISE_MAGIC);
    put_u64(out + 8, synced);
    put_u64(out + 16, promise_check(salt, offset, out));
}

bool log_promise_decode(uint64_t salt, uint64_t offset, const uint8_t in[LOG_PROMISE_PAYLOAD_BYTES],
                        uint64_t *synced) {
    if (get_u64(in) != LOG_PROMISE_MAGIC) return false;
    if (!check_matches(get_u64(in + 16), promise_check(salt, offset, in))) return false;
    *synced = get_u64(in + 8);
    return *synced <= offset;
}
