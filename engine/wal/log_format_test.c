/*
 * Headers round-trip, and each flipped byte of one is noticed; checks depend on place and
 * predecessor.
 */
#include "base/testing.h"
#include "wal/log_format.h"

static struct log_header sample(void) {
    struct log_header header = {
        .family = LOG_FAMILY_WAL,
        .optional_features = 1u << 31,
        .number = 7,
        .salt = UINT64_C(0x1122334455667788),
        .predecessor_number = 6,
        .predecessor_length = 4096,
        .predecessor_sequence = 99,
        .first_sequence = 100,
        .created_at_us = -5,
    };
    memset(header.identity.store_id, 0xaa, 16);
    memset(header.identity.lineage, 0xbb, 16);
    return header;
}

static void headers_round_trip(void **state) {
    (void)state;
    struct log_header header = sample(), back;
    uint8_t bytes[LOG_HEADER_BYTES];
    log_header_encode(&header, bytes);
    assert_memory_equal(bytes, "LORELOG1\1\0\0\0", 12);
    memset(&back, 0, sizeof back);
    assert_ok(log_header_decode(bytes, "log", LOG_FAMILY_WAL, &back));
    assert_int_equal(back.number, header.number);
    assert_int_equal(back.salt, header.salt);
    assert_int_equal(back.predecessor_number, header.predecessor_number);
    assert_int_equal(back.predecessor_length, header.predecessor_length);
    assert_int_equal(back.predecessor_sequence, header.predecessor_sequence);
    assert_int_equal(back.first_sequence, header.first_sequence);
    assert_int_equal(back.created_at_us, header.created_at_us);
    assert_int_equal(back.optional_features, header.optional_features);
    assert_true(identity_equal(&back.identity, &header.identity));
    assert_status(log_header_decode(bytes, "log", LOG_FAMILY_EDITS, &back), LORE_CORRUPTION);
}

static void each_flipped_byte_is_noticed(void **state) {
    (void)state;
    struct log_header header = sample(), back;
    uint8_t bytes[LOG_HEADER_BYTES];
    log_header_encode(&header, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 0x10;
        assert_status(log_header_decode(bytes, "log", LOG_FAMILY_WAL, &back), LORE_CORRUPTION);
        bytes[i] ^= 0x10;
    }
}

static void unknown_required_features_refuse(void **state) {
    (void)state;
    struct log_header header = sample(), back;
    header.required_features = 1;
    uint8_t bytes[LOG_HEADER_BYTES];
    log_header_encode(&header, bytes);
    assert_status(log_header_decode(bytes, "log", LOG_FAMILY_WAL, &back), LORE_UNSUPPORTED);
    assert_non_null(strstr(lore_error_message(), "log"));
}

static void checks_depend_on_place(void **state) {
    (void)state;
    uint8_t record[48] = {0};
    uint64_t check = log_record_check(1, 160, 5, record, sizeof record);
    assert_int_not_equal(check, log_record_check(2, 160, 5, record, sizeof record));
    assert_int_not_equal(check, log_record_check(1, 168, 5, record, sizeof record));
    assert_int_not_equal(check, log_record_check(1, 160, 6, record, sizeof record));
    record[0] = 1; /* the check's own field */
    assert_int_equal(check, log_record_check(1, 160, 5, record, sizeof record));
    record[8] = 1;
    assert_int_not_equal(check, log_record_check(1, 160, 5, record, sizeof record));
    assert_int_equal(log_record_bytes(0), 24);
    assert_int_equal(log_record_bytes(1), 32);
    assert_int_equal(log_record_bytes(8), 32);
}

static void promises_are_of_one_place(void **state) {
    (void)state;
    uint8_t payload[LOG_PROMISE_PAYLOAD_BYTES];
    uint64_t synced = 0;
    log_promise_encode(9, 400, 352, payload);
    assert_true(log_promise_decode(9, 400, payload, &synced));
    assert_int_equal(synced, 352);
    assert_false(log_promise_decode(9, 408, payload, &synced));
    assert_false(log_promise_decode(8, 400, payload, &synced));
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] ^= 1;
        assert_false(log_promise_decode(9, 400, payload, &synced));
        payload[i] ^= 1;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_round_trip),
        cmocka_unit_test(each_flipped_byte_is_noticed),
        cmocka_unit_test(unknown_required_features_refuse),
        cmocka_unit_test(checks_depend_on_place),
        cmocka_unit_test(promises_are_of_one_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
