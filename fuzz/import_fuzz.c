/* import_fuzz.c - other people's JSON: any bytes, in any format, as import reads them. The first
 * byte chooses the format; small limits keep inputs short. */
#include "fuzz.h"
#include "import_parse.h"
#include "source.h"

#include <string.h>

static struct pool pool;

static struct pool *sink_pool(void *context) {
    (void)context;
    return &pool;
}

static bool sink_emit(void *context, const lore_memory *memory) {
    size_t *turns = context;
    return memory->text.size > 0 && ++*turns < 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct import_rules rules = {
        .maps = {{LORE_ATTR_TEXT, "w"}},
        .maps_count = 1,
        .sets = {{LORE_ATTR_TAGS, "x"}, {LORE_ATTR_KIND, "k"}},
        .sets_count = 2,
        .id_from = {"a", "b"},
        .id_from_count = 2};
    static const struct import_rules none;
    if (size == 0) return 0;
    bool with_rules = (data[0] & 8) != 0;
    enum import_format format = (enum import_format)(data[0] % 6);
    if (format == IMPORT_AUTO) format = import_detect((const char *)data + 1, size - 1);
    bool array = format == IMPORT_ARRAY || import_is_chat(format);
    size_t turns = 0;
    struct import_sink sink = {sink_pool, sink_emit, &turns};
    struct source source;
    source_from_memory(&source, data + 1, size - 1);
    const char *peeked;
    source_peek(&source, 100, &peeked);
    for (;;) {
        const char *bytes;
        size_t length;
        enum source_result result = array ? source_array_next(&source, 4096, &bytes, &length)
                                          : source_line(&source, 4096, &bytes, &length);
        if (result == SOURCE_TOO_LONG && !array) continue;
        if (result != SOURCE_OK) break;
        struct text error = {0};
        lore_memory memory;
        if (import_is_chat(format)) {
            import_conversation(bytes, length, format, with_rules ? &rules : &none, &sink, &error);
        } else {
            import_record(bytes, length, format, with_rules ? &rules : &none, &pool, &memory,
                          &error);
        }
        text_free(&error);
        pool_reset(&pool);
    }
    source_close(&source);
    return 0;
}

/* One of each format. */
bool fuzz_seed(unsigned number, struct bytes *seed) {
    static const char *const seeds[] = {
        "\x01{\"id\":\"a\",\"text\":\"t\",\"tags\":[\"x\"],\"date\":\"2023-05-08\",\"importance\":"
        "0.5}\n",
        "\x02[{\"content\":[\"a\",{\"type\":\"text\",\"text\":\"b\"}],\"n\":\"\\u00e9\"},{\"text\":"
        "\"c\"}]",
        "\x03{\"conv\":\"c\",\"id\":\"D2:3\",\"date\":\"1:56 pm on 8 May, 2023\",\"text\":\"Ann: "
        "Hi\"}\n",
        "\x04[{\"id\":\"g\",\"current_node\":\"b\",\"mapping\":{\"a\":{\"parent\":null,\"message\":"
        "{\"author\":{\"role\":\"user\"},\"content\":{\"parts\":[\"one\"]}}},\"b\":{\"parent\":"
        "\"a\","
        "\"message\":{\"author\":{\"role\":\"assistant\"},\"content\":{\"parts\":[\"two\"]}}}}}]",
        "\x05[{\"uuid\":\"c\",\"chat_messages\":[{\"sender\":\"human\",\"text\":\"q\"},"
        "{\"sender\":\"assistant\",\"text\":\"a\"}]}]",
        "\x09{\"w\":\"t\",\"a\":\"conv\",\"b\":7,\"tags\":[\"a\"]}\n"};
    if (number >= sizeof seeds / sizeof seeds[0]) return false;
    fuzz_must(bytes_append(seed, seeds[number], strlen(seeds[number])));
    return true;
}
