/*
 * rows_fuzz.c - damaged row segments: opened, read, scanned, verified. value_world.h says what an
 * input is.
 */
#include "segment/rows.h"
#include "value_world.h"

#define STRIDE 100u

static struct value_world world;

/* Vectors of two older files and of this one, with gaps; more than one block and one page of
 * positions. */
static void build(void) {
    value_world_init(&world, SEGMENT_ROWS);
    struct rows_builder *builder;
    struct rows_builder_config config = {.id = VALUE_WORLD_ID, .space = 1, .stride_bytes = STRIDE};
    must(rows_builder_create(&world.context, &config, &builder));
    uint8_t vector[STRIDE];
    for (uint32_t i = 0; i < 60; i++) {
        struct value_ref ref = {i < 30 ? 3 : 5, i * 3, STRIDE};
        memset(vector, (int)i, sizeof vector);
        must(rows_builder_keep(builder, &ref, i, i + 1, vector));
    }
    for (uint32_t i = 60; i < 200; i++) {
        struct value_ref ref;
        memset(vector, (int)i, sizeof vector);
        must(rows_builder_add(builder, i, i + 1, vector, &ref));
    }
    struct segment_summary summary;
    must(rows_builder_finish(builder, &summary));
    value_world_keep(&world, &summary);
    segment_summary_deinit(&summary);
    rows_builder_destroy(builder);
}

static void read_some(struct rows *rows) {
    if (rows_stride(rows) > 4096) return;
    static uint8_t vectors[4096 * 64];
    struct rows_position positions[64];
    for (uint32_t i = 0; i < 200; i += 7) {
        struct value_ref ref = {i < 30   ? 3
                                : i < 60 ? 5
                                         : VALUE_WORLD_ID,
                                i < 60 ? i * 3 : i - 60, rows_stride(rows)};
        lore_status status = rows_read(rows, &ref, i, NULL, vectors);
        (void)status;
    }
    uint64_t position = 0;
    for (int steps = 0; steps < 100; steps++) {
        size_t got;
        lore_status status = rows_scan(rows, position, 64, vectors, positions, NULL, &got);
        if (status == LORE_OK && got == 0) break;
        position += status == LORE_OK ? got : 64;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (world.disk == NULL) build();
    if (size == 0 || size > 3000) return 0;
    struct segment_summary summary;
    struct rows *rows;
    if (value_world_damage(&world, data, size, &summary)) {
        if (rows_open(&world.context, &summary, &rows) == LORE_OK) {
            read_some(rows);
            rows_close(rows);
        }
        uint64_t entries;
        lore_status status = rows_verify(&world.context, &summary, NULL, NULL, NULL, &entries);
        (void)status;
    }
    segment_summary_deinit(&summary);
    value_world_settle(&world);
    return 0;
}
