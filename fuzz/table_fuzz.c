/*
 * table_fuzz.c - opens, reads, walks and verifies a table of hostile bytes.
 *
 *   input   u8 mode; mode even: the rest is the file. Odd: the rest are changes to a sound table,
 * of 3 bytes each: u16 little-endian offset (modulo its size), u8 what to put there; so that no
 * corpus is needed to get far
 *
 * Checks pass in this build (LORE_FUZZ_SKIP_CHECKS), or nothing behind them would be reached.
 * Memory is charged to a budget, so that a length that is believed too soon shows as a failed run,
 * not as a slow one.
 */
#include "segment/segment_file.h"
#include "segment/table.h"

#include <assert.h>

#include "vfs/fs_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE_BYTES_MAX 16384u
#define BUDGET_BYTES   (64u << 20)

struct world {
    struct fs_memory *disk;
    lore_env env;
    struct budget budget;
    struct charged_allocator allocator;
    struct segment_context context;
};

static void must(lore_status status) {
    if (status != LORE_OK) __builtin_trap();
}

static void world_init(struct world *w) {
    const struct allocator *host = env_posix()->allocator;
    memset(w, 0, sizeof *w);
    budget_init(&w->budget, BUDGET_BYTES);
    charged_allocator_init(&w->allocator, host, &w->budget, BUDGET_WORK);
    must(fs_memory_create(host, 0, &w->disk));
    w->env = (lore_env){host, fs_memory_fs(w->disk), env_posix()->sys};
    w->context.env = &w->env;
    w->context.table_allocator = &w->allocator.base;
    w->context.work_allocator = &w->allocator.base;
    w->context.dir = "";
    must(file_pool_create(&w->env, host, 4, false, &w->context.files));
    must(block_cache_create(&w->env, &w->budget, 1u << 20, &w->context.cache));
}

static void world_deinit(struct world *w) {
    block_cache_destroy(w->context.cache);
    file_pool_destroy(w->context.files);
    fs_memory_destroy(w->disk);
    if (w->budget.used != 0) __builtin_trap();
}

/* A table with a few blocks, some versions and range deletes. */
static size_t build_base(uint8_t *out) {
    struct world w;
    struct table_builder *builder;
    struct segment_summary summary;
    struct table_builder_config config = {.id = 1, .block_bytes = 256};
    world_init(&w);
    must(table_builder_create(&w.context, &config, &builder));
    for (uint32_t i = 0; i < 60; i++) {
        uint8_t key[12] = {0, 0, 0, 1, 'k', 'e', 'y'}, value[40] = {(uint8_t)i};
        put_be32(key + 8, i / 2);
        struct entry entry = {slice(key, sizeof key), 100 - i % 2, ENTRY_PUT,
                              slice(value, i % sizeof value)};
        must(table_builder_add(builder, &entry));
    }
    for (uint8_t i = 0; i < 4; i++) {
        uint8_t begin[] = {0, 0, 0, 1, i}, end[] = {0, 0, 0, 1, 'l', (uint8_t)(9 - i)};
        struct entry entry = {slice(begin, sizeof begin), i, ENTRY_RANGE_DELETE,
                              slice(end, sizeof end)};
        must(table_builder_add_range_delete(builder, &entry));
    }
    must(table_builder_finish(builder, &summary));
    table_builder_destroy(builder);
    uint64_t size;
    const uint8_t *bytes = fs_memory_bytes(w.disk, "000000000001.table", &size);
    if (size > BASE_BYTES_MAX) __builtin_trap();
    memcpy(out, bytes, (size_t)size);
    segment_summary_deinit(&summary);
    world_deinit(&w);
    return (size_t)size;
}

static void read_points(struct table *table, const struct entry *at, struct bytes *value) {
    struct entry entry;
    bool found;
    lore_slice shorter = slice(at->key.data, at->key.size - 1);
    (void)table_covering(table, at->key, at->sequence);
    if (table_get(table, at->key, at->sequence, NULL, &entry, value, &found) == LORE_OK && found &&
        !slice_equal(entry.key, at->key))
        __builtin_trap();
    (void)!table_get(table, shorter, SEQUENCE_MAX, NULL, &entry, value, &found);
}

static void walk(struct world *w, struct table *table, bool scan, bool forward) {
    struct table_cursor *cursor;
    struct bytes value = bytes_empty(&w->allocator.base);
    struct entry entry;
    if (table_cursor_create(table, &w->allocator.base, scan, 1000, &cursor) != LORE_OK) return;
    lore_status status = forward ? table_cursor_seek_first(cursor) : table_cursor_seek_last(cursor);
    for (size_t steps = 0; status == LORE_OK && table_cursor_entry(cursor, &entry); steps++) {
        if (entry.key.size < KEYSPACE_BYTES || entry.key.size > KEY_BYTES_MAX) __builtin_trap();
        if (steps < 200) read_points(table, &entry, &value);
        status = forward ? table_cursor_next(cursor) : table_cursor_prev(cursor);
    }
    status = table_cursor_seek_before(cursor, slice("\0\0\0\1key\0\0\0\0\7", 12));
    if (status == LORE_OK && table_cursor_entry(cursor, &entry)) status = table_cursor_next(cursor);
    (void)status;
    bytes_free(&value);
    table_cursor_destroy(cursor);
}

static void read_file(struct world *w, const char *path) {
    struct pooled_file *file;
    struct segment_summary summary;
    struct table *table;
    uint64_t entries;
    must(pooled_file_create(w->context.files, path, &file));
    segment_summary_init(&summary, &w->allocator.base);
    if (segment_describe(file, &summary) == LORE_OK && summary.kind == SEGMENT_TABLE) {
        if (table_open(&w->context, &summary, &table) == LORE_OK) {
            for (int way = 0; way < 4; way++)
                walk(w, table, (way & 1) != 0, (way & 2) != 0);
            table_close(table);
        }
        (void)!table_verify(&w->context, &summary, NULL, NULL, NULL, &entries);
    }
    segment_summary_deinit(&summary);
    pooled_file_release(file);
}

static void write_file(struct world *w, const char *path, const uint8_t *data, size_t size) {
    struct file *file;
    must(fs_open(&w->env, path, FILE_CREATE, false, &file));
    must(file_write(file, 0, data, size));
    file_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t base[BASE_BYTES_MAX];
    static size_t base_size;
    if (base_size == 0) base_size = build_base(base);
    if (size < 1) return 0;
    uint8_t changed[BASE_BYTES_MAX];
    bool is_whole = data[0] % 2 == 0;
    const uint8_t *bytes = data + 1;
    size_t bytes_size = size - 1;
    if (!is_whole) {
        memcpy(changed, base, base_size);
        for (size_t i = 1; i + 3 <= size; i += 3)
            changed[get_u16(data + i) % base_size] = data[i + 2];
        bytes = changed;
        bytes_size = base_size;
    }
    if (bytes_size < SEGMENT_HEADER_BYTES) return 0;
    char path[SEGMENT_NAME_BYTES];
    segment_file_name(path, SEGMENT_TABLE, get_u64(bytes + 56)); /* as its header says */
    struct world w;
    world_init(&w);
    write_file(&w, path, bytes, bytes_size);
    read_file(&w, path);
    world_deinit(&w);
    return 0;
}
