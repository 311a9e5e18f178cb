/*
 * blob_fuzz.c - damaged blob files: opened, read, walked, verified, rewritten. value_world.h says
 * what an input is.
 */
#include "segment/blob.h"
#include "value_world.h"

static struct value_world world;

/* Values of two older files and of this one, with gaps, some compressed. */
static void build(void) {
    value_world_init(&world, SEGMENT_BLOB);
    struct blob_builder *builder;
    struct blob_builder_config config = {.id = VALUE_WORLD_ID};
    must(blob_builder_create(&world.context, &config, &builder));
    static const uint8_t stored[] = {0,   0,   0,   0,   9,   0,   0,   0,  'k',
                                     'e', 'y', 'v', 'a', 'l', 'u', 'e', '!'};
    for (uint32_t i = 0; i < 40; i++) {
        struct value_ref ref = {i < 20 ? 3 : 5, i * 3, 6};
        must(blob_builder_keep(builder, &ref, slice("key", 3), i + 1, slice(stored, sizeof stored),
                               ref.length));
    }
    static uint8_t value[80 * 40];
    for (uint32_t i = 0; i < 80; i++) {
        struct value_ref ref;
        memset(value, (int)i, sizeof value);
        must(blob_builder_add(builder, slice("key", 3), 100 + i, slice(value, 40 * i), &ref));
    }
    struct segment_summary summary;
    must(blob_builder_finish(builder, &summary));
    value_world_keep(&world, &summary);
    segment_summary_deinit(&summary);
    blob_builder_destroy(builder);
}

static void read_some(struct blob *blob) {
    struct bytes value = bytes_empty(&world.allocator.base);
    static const uint64_t ids[] = {3, 5, VALUE_WORLD_ID, 9};
    for (size_t i = 0; i < 4; i++) {
        for (uint32_t ordinal = 0; ordinal < 80; ordinal += 7) {
            struct value_ref ref = {ids[i], ordinal, i < 2 ? 6 : 40 * ordinal};
            lore_status status = blob_read(blob, &ref, slice(NULL, 0), NULL, &value);
            if (status == LORE_OK && value.size != ref.length) abort();
        }
    }
    bytes_free(&value);
}

/* All that can be walked, into another file. */
static void rewrite(struct blob *blob) {
    struct blob_builder *builder;
    struct blob_builder_config config = {.id = VALUE_WORLD_ID + 1};
    must(blob_builder_create(&world.context, &config, &builder));
    struct bytes scratch = bytes_empty(&world.allocator.base);
    struct blob_cursor cursor = {blob, 0};
    for (int steps = 0; steps < 200; steps++) {
        struct blob_value value;
        bool found;
        lore_status status = blob_cursor_next(&cursor, true, &scratch, NULL, &value, &found);
        if (status == LORE_CORRUPTION) continue;
        if (status != LORE_OK || !found) break;
        if (blob_builder_keep(builder, &value.ref, value.key, value.sequence, value.stored_block,
                              value.ref.length) != LORE_OK)
            break;
    }
    bytes_free(&scratch);
    blob_builder_destroy(builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (world.disk == NULL) build();
    if (size == 0 || size > 3000) return 0;
    struct segment_summary summary;
    struct blob *blob;
    if (value_world_damage(&world, data, size, &summary)) {
        if (blob_open(&world.context, &summary, &blob) == LORE_OK) {
            read_some(blob);
            rewrite(blob);
            blob_close(blob);
        }
        uint64_t entries;
        lore_status status = blob_verify(&world.context, &summary, NULL, NULL, NULL, &entries);
        (void)status;
    }
    segment_summary_deinit(&summary);
    value_world_settle(&world);
    return 0;
}
