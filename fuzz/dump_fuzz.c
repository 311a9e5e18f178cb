/* dump_fuzz.c - any bytes as a dump. What is read as a memory is written and read again, and must
 * come out the same. */
#include "dump_read.h"
#include "fuzz.h"
#include "record_json.h"

#include <string.h>

static void write_line(struct text *out, const lore_memory *memory) {
    struct json_writer writer = {.out = out};
    jw_begin_object(&writer);
    record_write(&writer, memory);
    jw_end_object(&writer);
}

static void check_round_trip(const lore_memory *memory) {
    struct text first = {0}, second = {0}, error = {0};
    struct pool pool = {0};
    lore_memory back;
    write_line(&first, memory);
    json_t *object = json_loadb(first.data, first.size, JSON_REJECT_DUPLICATES, NULL);
    if (object == NULL || !record_read(object, NULL, &pool, &back, &error)) abort();
    write_line(&second, &back);
    if (first.size != second.size || memcmp(first.data, second.data, first.size) != 0) abort();
    json_decref(object);
    pool_reset(&pool);
    text_free(&first);
    text_free(&second);
    text_free(&error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct source source;
    struct dump_reader reader;
    struct pool pool = {0};
    source_from_memory(&source, data, size);
    enum dump_result result = dump_read_begin(&reader, &source, 4096);
    while (result == DUMP_FINE || result == DUMP_MEMORY || result == DUMP_ENTRY) {
        struct dump_item item;
        result = dump_read_next(&reader, &pool, &item);
        if (result == DUMP_MEMORY) check_round_trip(&item.memory);
        pool_reset(&pool);
    }
    dump_read_end(&reader);
    source_close(&source);
    return 0;
}

/* A header, memories with attributes of every kind, an entry; without its trailer, since the reader
 * sees every line before it. */
bool fuzz_seed(unsigned number, struct bytes *seed) {
    static const char dump[] =
        "{\"lore_dump\":1,\"spaces\":[{\"name\":\"s\",\"dimensions\":2,\"element\":\"f16\","
        "\"metric\":\"dot\",\"model\":\"m\"}]}\n"
        "{\"type\":\"memory\",\"id\":\"a\",\"text\":\"one\",\"tags\":[\"t\",\"u\"],"
        "\"created_at\":\"2023-05-08T13:56:00Z\",\"importance\":0.5,\"position\":7,"
        "\"metadata\":{\"k\":[1.10,null]}}\n"
        "{\"type\":\"memory\",\"id\":\"b\",\"text\":\"\\u0000\\n\",\"space\":\"s\","
        "\"embedding\":\"AAAAAA==\",\"role\":\"user\",\"session_id\":\"c\"}\n"
        "{\"type\":\"entry\",\"keyspace\":4294967295,\"key\":\"\",\"value\":\"AQI=\"}\n";
    if (number > 0) return false;
    fuzz_must(bytes_append(seed, dump, sizeof dump - 1));
    return true;
}
