/*
 * log_format.h - the chained log: one framing for the write-ahead log and for the catalog's edits.
 *
 *   file    header (LOG_HEADER_BYTES), then records, each beginning at a multiple of 8, then zeros
 *
 *   header
 *      0  u8[8]   magic "LORELOG1" or "LOREEDT1"
 *      8  u32     format version (1)
 *     12  u32     required features (an unknown bit refuses to open)
 *     16  u32     optional features (unknown bits are ignored)
 *     20  u32     reserved, 0
 *     24  u8[16]  store id
 *     40  u8[16]  lineage
 *     56  u64     number of this file
 *     64  u64     salt, random
 *     72  u64     predecessor's number, 0: none
 *     80  u64     predecessor's final length in bytes
 *     88  u64     predecessor's last sequence number (edits: last edit number)
 *     96  u64     first sequence number of this file (edits: first edit number)
 *    104  i64     created at, microseconds
 *    112  u8[16]  key id, 0: not sealed
 *    128  u8[24]  reserved, 0
 *    152  u64     XXH3-64 of bytes 0..151
 *
 *   record
 *      0  u64     check
 *      8  u32     payload length in bytes
 *     12  u8      kind
 *     13  u8      flags: bit 0 sealed (payload = 24 bytes nonce, sealed bytes, 16 bytes tag); refused so far
 *     14  u16     reserved, 0
 *     16  i64     commit time, microseconds
 *     24  ...     payload, then zeros to a multiple of 8
 *
 *   check   XXH3-64 of bytes 8.. of the record with its padding, seeded by XXH3-64 of (salt, offset, previous
 *           record's check; the header's check before the first). A record out of place cannot pass.
 *
 *   promise a record of its own, LOG_PROMISE_BYTES long, kind LOG_PROMISE, whose payload is
 *              0  u64  promise magic
 *              8  u64  synced: every byte of this file below this offset was on stable storage
 *             16  u64  XXH3-64 of the two before and of the record's own offset, seeded by the salt
 *           It is chained like any other, and can also be found alone: a search for it after damage tells a torn
 *           tail (no promise beyond) from damage below a promise.
 *   close   the last record of a file that was closed. Its payload is a promise too, and the record before it is
 *           one: so each of the two is seen by the other when it is damaged, and nothing else is in doubt
 *
 * Validity. Records are valid from the header on, up to the first whose check fails, whose kind is 0, that does not fit
 * into the file, or that is a promise or close without a sound promise in it. All bytes zero from there: the log ends. Otherwise, if a promise found anywhere after the failure says that the failing offset was synced:
 * corruption. Otherwise: a tail torn by a crash, not acknowledged, and cut.
 *
 * A file whose header fails its check and that is no longer than a header was never written to: the header is
 * synced before the first record is. So was one that begins with a header's length of zeros.
 */
#ifndef LORE_WAL_LOG_FORMAT_H
#define LORE_WAL_LOG_FORMAT_H

#include "base/identity.h"
#include "base/coding.h"

#define LOG_HEADER_BYTES 160u
#define LOG_RECORD_HEADER_BYTES 24u
#define LOG_PROMISE_PAYLOAD_BYTES 24u
#define LOG_PROMISE_BYTES (LOG_RECORD_HEADER_BYTES + LOG_PROMISE_PAYLOAD_BYTES)
#define LOG_PROMISE_MAGIC UINT64_C(0x4553494d4f52504c)
#define LOG_VERSION 1u

enum log_family { LOG_FAMILY_WAL, LOG_FAMILY_EDITS };

enum log_record_kind {
    LOG_BATCH = 1,            /* wal: wal/batch.h */
    LOG_PROMISE = 2,          /* both */
    LOG_CLOSE = 3,            /* both: nothing follows in this file; payload as a promise's */
    LOG_EDIT = 4,             /* edits: one numbered edit, catalog/edits.h */
    LOG_CHECKPOINT = 5,       /* edits: a part of the checkpoint that begins the file */
    LOG_CHECKPOINT_END = 6    /* edits: the checkpoint is whole */
};

struct log_header {
    enum log_family family;
    uint32_t required_features, optional_features;
    struct identity identity;
    uint64_t number;
    uint64_t salt;
    uint64_t predecessor_number, predecessor_length, predecessor_sequence;
    uint64_t first_sequence;
    int64_t created_at_us;
};

void log_header_encode(const struct log_header *header, uint8_t out[LOG_HEADER_BYTES]);
/* LORE_CORRUPTION or LORE_UNSUPPORTED, with `path` in the text. */
MUST_USE lore_status log_header_decode(const uint8_t in[LOG_HEADER_BYTES], const char *path,
                                       enum log_family family, struct log_header *header);

/* ---- shared by writer and reader ---- */

/* Bytes of a whole record, with its padding. payload_bytes < 2^32. */
uint64_t log_record_bytes(uint64_t payload_bytes);
/* The check of a whole record (its own check field is not read). */
uint64_t log_record_check(uint64_t salt, uint64_t offset, uint64_t previous_check, const uint8_t *record,
                          size_t record_bytes);
/* The seed of that check, which is over bytes 8 to the end. */
uint64_t log_record_seed(uint64_t salt, uint64_t offset, uint64_t previous_check);
/* The header's check, as a header encoded or decoded successfully holds it. */
uint64_t log_header_check(const uint8_t header[LOG_HEADER_BYTES]);
/* `offset` is the record's. */
void log_promise_encode(uint64_t salt, uint64_t offset, uint64_t synced,
                        uint8_t out[LOG_PROMISE_PAYLOAD_BYTES]);
bool log_promise_decode(uint64_t salt, uint64_t offset, const uint8_t in[LOG_PROMISE_PAYLOAD_BYTES],
                        uint64_t *synced);

#endif
