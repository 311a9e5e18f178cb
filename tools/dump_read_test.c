/* dump_read_test.c - a whole dump, and every cut and flip of it. */
#include "dump_read.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const char header[] = "{\"lore_dump\":1,\"spaces\":[{\"name\":\"s\",\"dimensions\":2,"
                             "\"element\":\"f16\",\"metric\":\"dot\",\"model\":\"\"}]}\n";
static const char records[] =
    "{\"type\":\"memory\",\"id\":\"a\",\"text\":\"one\"}\n"
    "{\"type\":\"entry\",\"keyspace\":4294967295,\"key\":\"\",\"value\":\"AQI=\"}\n";

static void make_dump(struct text *dump) {
    struct sha256 sha;
    char digest[SHA256_TEXT_BYTES];
    sha256_begin(&sha);
    sha256_add(&sha, records, strlen(records));
    sha256_end(&sha, digest);
    text_printf(dump, "%s%s{\"type\":\"trailer\",\"records\":1,\"entries\":1,\"digest\":\"%s\"}\n",
                header, records, digest);
}

/* Read it all; what the reader ends with. */
static enum dump_result read_dump(const char *bytes, size_t size, struct dump_reader *reader) {
    struct source source;
    struct pool pool = {0};
    struct dump_item item;
    source_from_memory(&source, bytes, size);
    enum dump_result result = dump_read_begin(reader, &source, 1000);
    while (result == DUMP_FINE || result == DUMP_MEMORY || result == DUMP_ENTRY) {
        result = dump_read_next(reader, &pool, &item);
    }
    pool_reset(&pool);
    source_close(&source);
    return result;
}

static void whole(void **state) {
    (void)state;
    struct text dump = {0};
    struct dump_reader reader;
    make_dump(&dump);
    assert_int_equal(read_dump(dump.data, dump.size, &reader), DUMP_END);
    assert_int_equal(reader.records, 1);
    assert_int_equal(reader.entries, 1);
    assert_int_equal(reader.spaces.count, 1);
    dump_read_end(&reader);
    text_free(&dump);
}

static void cut(void **state) {
    (void)state;
    struct text dump = {0};
    make_dump(&dump);
    for (size_t size = 0; size < dump.size; size++) {
        struct dump_reader reader;
        if (read_dump(dump.data, size, &reader) != DUMP_DAMAGED) fail_msg("cut at %zu", size);
        assert_true(reader.error.size > 0);
        dump_read_end(&reader);
    }
    text_free(&dump);
}

/* The header has no digest: only from the records on is every byte covered. */
static void flipped(void **state) {
    (void)state;
    struct text dump = {0};
    make_dump(&dump);
    for (size_t at = strlen(header); at < dump.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            struct dump_reader reader;
            dump.data[at] = (char)(dump.data[at] ^ 1 << bit);
            if (read_dump(dump.data, dump.size, &reader) != DUMP_DAMAGED)
                fail_msg("bit %d at %zu", bit, at);
            dump_read_end(&reader);
            dump.data[at] = (char)(dump.data[at] ^ 1 << bit);
        }
    }
    text_free(&dump);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(cut),
                                       cmocka_unit_test(flipped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
