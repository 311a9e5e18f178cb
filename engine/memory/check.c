/*
 * check.c - lore_verify: the store's own checks of its files, then every index against the
 * memories, and the memories against every index, at one sequence number, in bounded memory.
 *
 *   0. what each record accounts for is summed up (a digest of each id with its row, and of each
 *      text, index, session and vector key; sums do not depend on order), and so is what the
 *      keyspaces hold. Every keyspace is read once, in its order, and nothing is looked up. Where
 *      all sums agree, 1 and 2 have nothing to name, and are passed over
 *   1. every id leads to a row whose record has that id, a text, all its index, session and
 *      vector entries; these are counted
 *   2. each keyspace is counted: if it has as many entries as were expected, there is none too
 *      many; else each is looked at, and those that no memory accounts for are named
 *   3. session heads count their sessions' memories and lie after their last position; access
 *      counts belong to an id; a row said to be dead has no record
 *
 * What cannot be read is reported with its key and the checks go on with the next. Where files are
 * hurt, 1 reads the texts too, so that every memory that the damage reaches is named by its id; and
 * what could not be read through is not held against what was counted of it.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "memory/index_keys.h"
#include "memory/writer.h"

#include "base/poison.h"

#define PROGRESS_EVERY 1024u

/* A set of entries, whatever their order: how many, and the sum of their digests (XXH3-128, the
 * halves apart, modulo 2^64). */
struct tally {
    uint64_t entries, high, low;
};

enum { TALLY_ID, TALLY_TEXT, TALLY_INDEX, TALLY_SESSION, TALLY_VECTORS, TALLIES };

struct check {
    lore_store *store;
    const struct allocator *allocator;
    lore_finding_fn finding;
    lore_progress_fn progress;
    void *context;
    lore_verify_report *report;
    struct store_read reading;
    uint64_t faults;
    bool summing; /* faults are noticed (amiss), not yet named */
    bool amiss;
    bool hurt;     /* files are damaged */
    uint64_t done; /* entries looked at */
    /* Entries that the memories account for, and that are there. */
    uint64_t records, indexes, sessions, vectors;
    /* Scratch. */
    struct bytes key, list, value;
    /* The session that the scan of sessions is in. */
    struct bytes session;
    uint64_t members, last_position;
    uint64_t session_count;
    /* By the records, and by the keyspaces. */
    struct tally expected[TALLIES], there[TALLIES];
};

/* Looks at one entry; its key is valid until the iterator moves. */
typedef lore_status (*entry_fn)(struct check *check, lore_slice key, struct lsm_iterator *iterator);

static void report_fault(struct check *check, lore_slice key, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void report_fault(struct check *check, lore_slice key, const char *format, ...) {
    if (check->summing) {
        check->amiss = true;
        return;
    }
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    lore_finding finding = {.status = LORE_CORRUPTION,
                            .kind = "index",
                            .file = "",
                            .offset = UINT64_MAX,
                            .first_key = key,
                            .last_key = key,
                            .message = message};
    check->faults++;
    check->report->findings++;
    if (check->finding != NULL) check->finding(check->context, &finding);
}

static lore_status step(struct check *check) {
    if (++check->done % PROGRESS_EVERY != 0 || check->progress == NULL) return LORE_OK;
    lore_progress progress = {"verify indexes", check->done, 0};
    if (check->progress(check->context, &progress)) return LORE_OK;
    return fail(LORE_CANCELLED, "%s: verify stopped as asked", store_path(check->store));
}

/* Damage met on the way is a finding, and the walk goes on behind it; where it cannot, it ends. */
static lore_status walk(struct check *check, struct lsm_iterator *iterator, entry_fn visit,
                        uint64_t *count) {
    lore_status status = lsm_iterator_seek_first(iterator);
    while (status == LORE_OK && lsm_iterator_valid(iterator)) {
        lore_slice key = lsm_iterator_key(iterator);
        ++*count;
        TRY(step(check));
        status = visit == NULL ? LORE_OK : visit(check, key, iterator);
        if (status == LORE_CORRUPTION) {
            report_fault(check, key, "%s", lore_error_message());
            status = LORE_OK;
        }
        if (status == LORE_OK) status = lsm_iterator_next(iterator);
    }
    if (status != LORE_CORRUPTION) return status;
    report_fault(check, slice(NULL, 0), "%s", lore_error_message());
    return LORE_OK;
}

/* Every entry whose key begins with `prefix`. */
static lore_status scan(struct check *check, lore_slice prefix, entry_fn visit, uint64_t *count) {
    struct bytes upper = bytes_empty(check->allocator);
    struct lsm_iterator *iterator = NULL;
    *count = 0;
    lore_status status = bytes_set(&upper, prefix);
    if (status == LORE_OK) {
        key_after_prefix(&upper);
        status =
            lsm_iterator_create(store_tree(check->store), check->allocator, check->reading.sequence,
                                prefix, bytes_slice(&upper), &iterator);
    }
    if (status == LORE_OK) status = walk(check, iterator, visit, count);
    if (iterator != NULL) {
        store_count_reads(check->store, lsm_iterator_count(iterator));
        lsm_iterator_destroy(iterator);
    }
    bytes_free(&upper);
    return status;
}

static lore_status scan_keyspace(struct check *check, uint32_t keyspace, entry_fn visit,
                                 uint64_t *count) {
    uint8_t prefix[KEYSPACE_BYTES];
    put_be32(prefix, keyspace);
    return scan(check, slice(prefix, sizeof prefix), visit, count);
}

static lore_status exists(struct check *check, lore_slice key, bool *found) {
    struct lookup lookup;
    TRY(store_get(check->store, &check->reading, key, &lookup, NULL));
    *found = lookup.found;
    return LORE_OK;
}

/* ---- 0: sums ---- */

static void tally_add(struct tally *tally, lore_slice entry) {
    struct digest128 digest = digest128_of(entry.data, entry.size);
    tally->entries++;
    tally->high += get_be64(digest.bytes);
    tally->low += get_be64(digest.bytes + 8);
}

static bool tally_equal(const struct tally *a, const struct tally *b) {
    return a->entries == b->entries && a->high == b->high && a->low == b->low;
}

static lore_status expect_keys(struct check *check, const lore_memory *memory, uint64_t row) {
    size_t cursor = 0;
    lore_slice key;
    TRY(index_keys_of(memory, &check->list, &check->key));
    while (index_keys_next(&check->list, &cursor, &key)) {
        TRY(bytes_set(&check->key, key));
        TRY(append_be64(&check->key, row));
        tally_add(&check->expected[TALLY_INDEX], bytes_slice(&check->key));
    }
    if (memory->session_id.size > 0) {
        TRY(key_session(&check->key, memory->session_id, memory->position));
        TRY(append_be64(&check->key, row));
        tally_add(&check->expected[TALLY_SESSION], bytes_slice(&check->key));
    }
    TRY(key_record(&check->key, row, RECORD_TEXT));
    tally_add(&check->expected[TALLY_TEXT], bytes_slice(&check->key));
    TRY(key_id(&check->key, memory->id));
    TRY(append_be64(&check->key, row));
    tally_add(&check->expected[TALLY_ID], bytes_slice(&check->key));
    return LORE_OK;
}

static lore_status sum_attributes(struct check *check, uint64_t row,
                                  struct lsm_iterator *iterator) {
    lore_slice value;
    struct attributes attributes;
    if (row >= check->reading.row_watermark)
        return fail(LORE_CORRUPTION, "row %" PRIu64 " is not below the row watermark", row);
    TRY(lsm_iterator_value(iterator, &value));
    TRY(attributes_decode(value, check->allocator, &attributes));
    lore_status status = expect_keys(check, &attributes.memory, row);
    for (size_t i = 0; i < attributes.spaces_count && status == LORE_OK; i++) {
        uint8_t key[VECTOR_KEY_BYTES];
        struct space space;
        char name[256];
        size_t name_size;
        vector_key_encode(attributes.spaces[i], row, key);
        tally_add(&check->expected[TALLY_VECTORS], slice(key, sizeof key));
        if (store_space_by_number(check->store, attributes.spaces[i], &space, name, &name_size) !=
            LORE_OK)
            status = fail(LORE_CORRUPTION, "a memory names a space that is not there");
    }
    attributes_deinit(&attributes);
    return status;
}

static lore_status sum_record(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    const uint8_t *data = key.data;
    if (key.size != KEYSPACE_BYTES + ROW_BYTES + 1 || data[key.size - 1] > RECORD_TEXT)
        return fail(LORE_CORRUPTION, "not the key of a record");
    if (data[key.size - 1] == RECORD_TEXT) {
        tally_add(&check->there[TALLY_TEXT], key);
        return LORE_OK;
    }
    return sum_attributes(check, get_be64(data + KEYSPACE_BYTES), iterator);
}

static lore_status sum_id(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    lore_slice row;
    TRY(lsm_iterator_value(iterator, &row));
    if (row.size != ROW_BYTES) return fail(LORE_CORRUPTION, "not the row of an id");
    TRY(bytes_set(&check->key, key));
    TRY(bytes_append(&check->key, row.data, row.size));
    tally_add(&check->there[TALLY_ID], bytes_slice(&check->key));
    return LORE_OK;
}

static lore_status sum_index(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    (void)iterator;
    tally_add(&check->there[TALLY_INDEX], key);
    return LORE_OK;
}

static lore_status sum_session(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    (void)iterator;
    tally_add(&check->there[TALLY_SESSION], key);
    return LORE_OK;
}

static lore_status sum_vector(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    (void)iterator;
    tally_add(&check->there[TALLY_VECTORS], key);
    return LORE_OK;
}

/* Whether all agree. Nothing is reported: where something is amiss, the checks that follow name it.
 */
static lore_status sums_agree(struct check *check, bool *agree) {
    static const struct {
        uint32_t keyspace;
        entry_fn visit;
    } scans[] = {{KEYSPACE_RECORD, sum_record},
                 {KEYSPACE_ID, sum_id},
                 {KEYSPACE_INDEX, sum_index},
                 {KEYSPACE_SESSION, sum_session},
                 {KEYSPACE_VECTORS, sum_vector}};
    lore_status status = LORE_OK;
    check->summing = true;
    for (size_t i = 0; i < sizeof scans / sizeof scans[0] && status == LORE_OK; i++) {
        uint64_t count;
        if (!check->amiss) status = scan_keyspace(check, scans[i].keyspace, scans[i].visit, &count);
    }
    check->summing = false;
    for (size_t i = 0; i < TALLIES; i++)
        if (!tally_equal(&check->expected[i], &check->there[i])) check->amiss = true;
    *agree = !check->amiss;
    return status;
}

/* ---- 1: from ids to all that a memory has ---- */

/* Without a finding when it is not there: *found. */
static lore_status read_attributes(struct check *check, uint64_t row, struct attributes *attributes,
                                   bool *found) {
    struct lookup lookup;
    *found = false;
    TRY(key_record(&check->key, row, RECORD_ATTRIBUTES));
    TRY(store_get(check->store, &check->reading, bytes_slice(&check->key), &lookup, &check->value));
    if (!lookup.found) return LORE_OK;
    TRY(attributes_decode(bytes_slice(&check->value), check->allocator, attributes));
    *found = true;
    return LORE_OK;
}

static lore_status expect(struct check *check, lore_slice key, uint64_t *count, const char *what) {
    bool found;
    TRY(exists(check, key, &found));
    if (found)
        ++*count;
    else
        report_fault(check, key, "a memory has no %s entry", what);
    return LORE_OK;
}

static lore_status expect_indexes(struct check *check, const lore_memory *memory, uint64_t row) {
    size_t cursor = 0;
    lore_slice key;
    TRY(index_keys_of(memory, &check->list, &check->key));
    while (index_keys_next(&check->list, &cursor, &key)) {
        TRY(bytes_set(&check->key, key));
        TRY(append_be64(&check->key, row));
        TRY(expect(check, bytes_slice(&check->key), &check->indexes, "index"));
    }
    if (memory->session_id.size == 0) return LORE_OK;
    TRY(key_session(&check->key, memory->session_id, memory->position));
    TRY(append_be64(&check->key, row));
    return expect(check, bytes_slice(&check->key), &check->sessions, "session");
}

static lore_status expect_vectors(struct check *check, const struct attributes *attributes,
                                  uint64_t row) {
    for (size_t i = 0; i < attributes->spaces_count; i++) {
        uint8_t key[VECTOR_KEY_BYTES];
        struct space space;
        char name[256];
        size_t name_size;
        vector_key_encode(attributes->spaces[i], row, key);
        if (store_space_by_number(check->store, attributes->spaces[i], &space, name, &name_size) !=
            LORE_OK)
            report_fault(check, slice(key, sizeof key), "a memory names a space that is not there");
        TRY(expect(check, slice(key, sizeof key), &check->vectors, "vector"));
    }
    return LORE_OK;
}

static lore_status check_memory(struct check *check, lore_slice id, uint64_t row,
                                const struct attributes *attributes) {
    if (!slice_equal(attributes->memory.id, id)) {
        report_fault(check, slice(NULL, 0), "an id leads to row %" PRIu64 ", which has another id",
                     row);
        return LORE_OK;
    }
    check->report->memories++;
    check->records++;
    TRY(key_record(&check->key, row, RECORD_TEXT));
    TRY(expect(check, bytes_slice(&check->key), &check->records, "text"));
    TRY(expect_indexes(check, &attributes->memory, row));
    TRY(expect_vectors(check, attributes, row));
    if (!check->hurt) return LORE_OK;
    struct lookup lookup;
    TRY(key_record(&check->key, row, RECORD_TEXT));
    return store_get(check->store, &check->reading, bytes_slice(&check->key), &lookup,
                     &check->value);
}

static lore_status visit_id(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    lore_slice value;
    TRY(lsm_iterator_value(iterator, &value));
    if (value.size != ROW_BYTES) {
        report_fault(check, key, "the row of an id has %zu bytes", value.size);
        return LORE_OK;
    }
    uint64_t row = get_be64(value.data);
    if (row >= check->reading.row_watermark)
        report_fault(check, key, "row %" PRIu64 " is not below the row watermark", row);
    struct attributes attributes;
    bool found;
    TRY(read_attributes(check, row, &attributes, &found));
    if (!found) {
        report_fault(check, key, "an id leads to row %" PRIu64 ", which has no record", row);
        return LORE_OK;
    }
    lore_slice id = slice((const uint8_t *)key.data + KEYSPACE_BYTES, key.size - KEYSPACE_BYTES);
    lore_status status = check_memory(check, id, row, &attributes);
    attributes_deinit(&attributes);
    return status;
}

/* ---- 2: entries that no memory accounts for ---- */

static lore_status visit_record(struct check *check, lore_slice key,
                                struct lsm_iterator *iterator) {
    (void)iterator;
    const uint8_t *data = key.data;
    bool shaped = key.size == KEYSPACE_BYTES + ROW_BYTES + 1 && data[key.size - 1] <= RECORD_TEXT;
    struct attributes attributes;
    bool found = false;
    uint64_t row = shaped ? get_be64(data + KEYSPACE_BYTES) : 0, now = 0, sequence;
    if (shaped) TRY(read_attributes(check, row, &attributes, &found));
    if (!found) {
        report_fault(check, key, shaped ? "a text without attributes" : "not the key of a record");
        return LORE_OK;
    }
    lore_status status =
        memory_row_of(check->store, &check->reading, attributes.memory.id, &now, &sequence);
    attributes_deinit(&attributes);
    if (status == LORE_NOT_FOUND || (status == LORE_OK && now != row)) {
        report_fault(check, key, "a record that its id does not lead to");
        return LORE_OK;
    }
    return status;
}

/* Whether the memory of the row accounts for the key. */
typedef lore_status (*accounts_fn)(struct check *check, const struct attributes *attributes,
                                   lore_slice key, bool *accounts);

static lore_status visit_entry(struct check *check, lore_slice key, accounts_fn accounts,
                               const char *what) {
    struct attributes attributes;
    uint64_t row = 0;
    bool found = false, expected = false;
    if (key_row(key, &row)) TRY(read_attributes(check, row, &attributes, &found));
    if (found) {
        lore_status status = accounts(check, &attributes, key, &expected);
        attributes_deinit(&attributes);
        TRY(status);
    }
    if (!expected)
        report_fault(check, key, "%s entry that the memory of row %" PRIu64 " does not account for",
                     what, row);
    return LORE_OK;
}

static lore_status accounts_for_index(struct check *check, const struct attributes *attributes,
                                      lore_slice key, bool *accounts) {
    TRY(index_keys_of(&attributes->memory, &check->list, &check->key));
    *accounts = index_keys_have(&check->list, slice(key.data, key.size - ROW_BYTES));
    return LORE_OK;
}

static lore_status visit_index(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    (void)iterator;
    return visit_entry(check, key, accounts_for_index, "an index");
}

static lore_status accounts_for_session(struct check *check, const struct attributes *attributes,
                                        lore_slice key, bool *accounts) {
    const lore_memory *memory = &attributes->memory;
    TRY(key_session(&check->key, memory->session_id, memory->position));
    *accounts = memory->session_id.size > 0 &&
                slice_equal(bytes_slice(&check->key), slice(key.data, key.size - ROW_BYTES));
    return LORE_OK;
}

static lore_status visit_session(struct check *check, lore_slice key,
                                 struct lsm_iterator *iterator) {
    (void)iterator;
    return visit_entry(check, key, accounts_for_session, "a session");
}

static lore_status accounts_for_vector(struct check *check, const struct attributes *attributes,
                                       lore_slice key, bool *accounts) {
    (void)check;
    uint32_t space;
    uint64_t row;
    *accounts = vector_key_decode(key, &space, &row) && attributes_have_space(attributes, space);
    return LORE_OK;
}

static lore_status visit_vector(struct check *check, lore_slice key,
                                struct lsm_iterator *iterator) {
    (void)iterator;
    return visit_entry(check, key, accounts_for_vector, "a vector");
}

/* Count; only if the count is not as expected, look at each. */
static lore_status check_none_too_many(struct check *check, uint32_t keyspace, uint64_t expected,
                                       entry_fn visit) {
    uint64_t count;
    TRY(scan_keyspace(check, keyspace, NULL, &count));
    if (count == expected) return LORE_OK;
    return scan_keyspace(check, keyspace, visit, &count);
}

/* ---- 3: heads, access counts, dead rows ---- */

/* check->session holds a SESSION key without position and row: what follows the keyspace is the key
 * of the head. */
static lore_status end_session(struct check *check) {
    if (check->session.size == 0) return LORE_OK;
    check->session_count++;
    struct lookup lookup;
    uint64_t next = 0, members = 0;
    put_be32(check->session.data, KEYSPACE_HEAD);
    lore_slice key = bytes_slice(&check->session);
    TRY(store_get(check->store, &check->reading, key, &lookup, &check->value));
    if (!lookup.found)
        report_fault(check, key, "a session without a head");
    else if (!head_decode(bytes_slice(&check->value), &next, &members))
        report_fault(check, key, "the head of a session is malformed");
    else if (members != check->members)
        report_fault(check, key, "a session of %" PRIu64 " memories whose head counts %" PRIu64,
                     check->members, members);
    else if (next <= check->last_position)
        report_fault(check, key, "a session whose head is not after its last position");
    return LORE_OK;
}

static lore_status visit_turn(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    (void)iterator;
    if (key.size < KEYSPACE_BYTES + 2 * ROW_BYTES) {
        report_fault(check, key, "not the key of a session");
        return LORE_OK;
    }
    lore_slice session = slice(key.data, key.size - 2 * ROW_BYTES);
    bool same =
        check->session.size == session.size &&
        memcmp(check->session.data + KEYSPACE_BYTES, (const uint8_t *)session.data + KEYSPACE_BYTES,
               session.size - KEYSPACE_BYTES) == 0;
    if (!same) {
        lore_status status = end_session(check);
        check->members = 0;
        TRY(bytes_set(&check->session, session));
        TRY(status);
    }
    check->members++;
    check->last_position = get_be64((const uint8_t *)session.data + session.size);
    return LORE_OK;
}

static lore_status visit_head(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    (void)iterator;
    struct bytes prefix = bytes_empty(check->allocator);
    uint64_t count = 0, faults = check->faults;
    lore_status status = bytes_set(&prefix, key);
    if (status == LORE_OK) {
        put_be32(prefix.data, KEYSPACE_SESSION);
        status = scan(check, bytes_slice(&prefix), NULL, &count);
    }
    bytes_free(&prefix);
    if (status == LORE_OK && count == 0 && check->faults == faults)
        report_fault(check, key, "the head of a session without memories");
    return status;
}

static lore_status check_sessions(struct check *check) {
    uint64_t count, faults = check->faults;
    bytes_clear(&check->session);
    check->session_count = 0;
    TRY(scan_keyspace(check, KEYSPACE_SESSION, visit_turn, &count));
    lore_status status = check->faults == faults ? end_session(check) : LORE_OK;
    if (status == LORE_CORRUPTION)
        report_fault(check, slice(NULL, 0), "%s", lore_error_message());
    else
        TRY(status);
    return check_none_too_many(check, KEYSPACE_HEAD, check->session_count, visit_head);
}

static lore_status visit_access(struct check *check, lore_slice key,
                                struct lsm_iterator *iterator) {
    int64_t counted, last_us;
    uint64_t row, sequence;
    lore_slice value;
    TRY(lsm_iterator_value(iterator, &value));
    if (!access_decode(value, &counted, &last_us))
        report_fault(check, key, "access counts are malformed");
    lore_slice id = slice((const uint8_t *)key.data + KEYSPACE_BYTES, key.size - KEYSPACE_BYTES);
    lore_status status = memory_row_of(check->store, &check->reading, id, &row, &sequence);
    if (status != LORE_NOT_FOUND) return status;
    report_fault(check, key, "access counts of an id that has no memory");
    return LORE_OK;
}

static lore_status visit_dead(struct check *check, lore_slice key, struct lsm_iterator *iterator) {
    (void)iterator;
    uint64_t row = 0;
    if (key.size != KEYSPACE_BYTES + ROW_BYTES || !key_row(key, &row)) {
        report_fault(check, key, "not the key of a dead row");
        return LORE_OK;
    }
    for (uint8_t part = RECORD_ATTRIBUTES; part <= RECORD_TEXT; part++) {
        bool found;
        TRY(key_record(&check->key, row, part));
        TRY(exists(check, bytes_slice(&check->key), &found));
        if (found)
            report_fault(check, key, "row %" PRIu64 " is said to be dead and has a record", row);
    }
    return LORE_OK;
}

/* ---- the whole ---- */

/* Name what is missing and what is too much. */
static lore_status check_each(struct check *check) {
    uint64_t count;
    TRY(scan_keyspace(check, KEYSPACE_ID, visit_id, &count));
    TRY(check_none_too_many(check, KEYSPACE_RECORD, check->records, visit_record));
    TRY(check_none_too_many(check, KEYSPACE_INDEX, check->indexes, visit_index));
    TRY(check_none_too_many(check, KEYSPACE_SESSION, check->sessions, visit_session));
    return check_none_too_many(check, KEYSPACE_VECTORS, check->vectors, visit_vector);
}

static lore_status check_indexes(struct check *check) {
    uint64_t count;
    bool agree;
    check->hurt = check->report->findings > 0;
    TRY(sums_agree(check, &agree));
    if (agree && !check->hurt)
        check->report->memories = check->there[TALLY_ID].entries;
    else
        TRY(check_each(check));
    TRY(check_sessions(check));
    TRY(scan_keyspace(check, KEYSPACE_ACCESS, visit_access, &count));
    return scan_keyspace(check, KEYSPACE_DEAD, visit_dead, &count);
}

lore_status lore_verify(lore_store *store, lore_finding_fn finding, lore_progress_fn progress,
                        void *context, lore_verify_report *out) {
    lore_verify_report own = {0}, *report = out == NULL ? &own : out;
    *report = own;
    TRY(store_check(store, false));
    const struct allocator *allocator = store_query_allocator(store);
    struct check check = {.store = store,
                          .allocator = allocator,
                          .finding = finding,
                          .progress = progress,
                          .context = context,
                          .report = report,
                          .key = bytes_empty(allocator),
                          .list = bytes_empty(allocator),
                          .value = bytes_empty(allocator),
                          .session = bytes_empty(allocator)};
    lore_status status = store_verify(store, finding, progress, context, report);
    if (status != LORE_OK && status != LORE_CORRUPTION) return status;
    TRY(store_read_begin(store, NULL, &check.reading));
    status = check_indexes(&check);
    store_read_end(store, &check.reading);
    bytes_free(&check.key);
    bytes_free(&check.list);
    bytes_free(&check.value);
    bytes_free(&check.session);
    TRY(status);
    if (report->findings == 0) return LORE_OK;
    return fail(LORE_CORRUPTION, "%s: %" PRIu64 " faults found", store_path(store),
                report->findings);
}
