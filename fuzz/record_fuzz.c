/*
 * record_fuzz.c - any bytes as a memory's attributes: refused as corruption, or decoded to a memory
 * that encodes to the same bytes again. The same bytes as a key: its text is read or refused.
 */
#include "fuzz.h"
#include "memory/record.h"
#include "vfs/env.h"

static void try_attributes(lore_slice bytes, const struct allocator *allocator) {
    struct attributes attributes;
    lore_status status = attributes_decode(bytes, allocator, &attributes);
    if (status != LORE_OK) {
        fuzz_require(status == LORE_CORRUPTION);
        return;
    }
    struct bytes again = bytes_empty(allocator);
    fuzz_must(
        attributes_encode(&again, &attributes.memory, attributes.spaces, attributes.spaces_count));
    fuzz_require(slice_equal(bytes_slice(&again), bytes));
    bytes_free(&again);
    attributes_deinit(&attributes);
}

static void try_key(lore_slice bytes, const struct allocator *allocator) {
    struct bytes text = bytes_empty(allocator), again = bytes_empty(allocator);
    struct reader reader = reader_over(bytes);
    while (read_text(&reader, &text) == LORE_OK) {
        size_t before = again.size;
        fuzz_must(append_text(&again, bytes_slice(&text)));
        fuzz_require(memcmp(again.data + before, (const uint8_t *)bytes.data + before,
                            again.size - before) == 0);
    }
    bytes_free(&again);
    bytes_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct allocator *allocator = env_posix()->allocator;
    try_attributes(slice(data, size), allocator);
    try_key(slice(data, size), allocator);
    return 0;
}

bool fuzz_seed(unsigned number, struct bytes *seed) {
    static const lore_slice tags[2] = {{"red", 3}, {"", 0}};
    static const uint32_t spaces[2] = {1, 70000};
    if (number >= 3) return false;
    lore_memory memory;
    lore_memory_init(&memory);
    memory.id = lore_slice_of("an id");
    memory.created_at_us = memory.updated_at_us = 5;
    if (number == 1) {
        memory.kind = memory.layer = memory.role = lore_slice_of("word");
        memory.session_id = lore_slice_of("session");
        memory.position = 3;
        memory.expires_at_us = 9;
        memory.metadata = lore_slice_of("{}");
        memory.tags = tags;
        memory.tags_count = 2;
    }
    if (number == 2) {
        fuzz_must(append_text(seed, slice("a\0b", 3)));
        fuzz_must(append_text(seed, slice("\xff", 1)));
        return true;
    }
    fuzz_must(attributes_encode(seed, &memory, spaces, number == 1 ? 2 : 0));
    return true;
}
