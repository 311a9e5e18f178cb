/* dump_fuzz.c - any bytes as a dump. What is read as a memory is written and read again, and must
 * come out the same. */
#include "dump_read.h"
#include "record_json.h"

#include <stdlib.h>
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
