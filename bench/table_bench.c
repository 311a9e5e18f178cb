/*
 * table_bench.c - how fast tables are built and read: build, scan, point reads of keys that are
 * there and that are not, with a warm cache and with one far too small.
 *
 *   table_bench DIRECTORY [ENTRIES [VALUE_BYTES]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "segment/segment_file.h"
#include "segment/table.h"
#include "vfs/sync.h"

struct bench {
    const lore_env *env;
    struct budget budget;
    struct charged_allocator allocator;
    struct segment_context context;
    uint64_t entries;
    size_t value_bytes;
};

static void must(lore_status status) {
    if (status == LORE_OK) return;
    fprintf(stderr, "table_bench: %s\n", lore_error_message());
    exit(1);
}

static uint64_t mix(uint64_t x) {
    x ^= x >> 31;
    x *= UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 29;
    return x;
}

/* Keys ascend with the number; odd numbers are in no table. */
static void encode_key(uint8_t key[20], uint64_t number) {
    put_be32(key, 1);
    put_be64(key + 4, number);
    put_be64(key + 12, mix(number));
}

static void report(struct bench *b, const char *what, uint64_t began_us, uint64_t count) {
    double seconds = (double)(env_monotonic_us(b->env) - began_us) / 1e6;
    printf("%-34s %10.0f a second\n", what, (double)count / seconds);
}

static void build(struct bench *b, struct segment_summary *summary) {
    struct table_builder_config config = {.id = 1, .block_bytes = 4096};
    struct table_builder *builder;
    uint8_t key[20];
    uint8_t *value = calloc(1, b->value_bytes + 8);
    uint64_t began_us = env_monotonic_us(b->env);
    if (value == NULL) exit(1);
    must(table_builder_create(&b->context, &config, &builder));
    for (uint64_t i = 0; i < b->entries; i++) {
        encode_key(key, 2 * i);
        for (size_t at = 0; at < b->value_bytes / 2; at += 8)
            put_u64(value + at, mix(i + at));
        struct entry entry = {slice(key, sizeof key), 1 + i, ENTRY_PUT,
                              slice(value, b->value_bytes)};
        must(table_builder_add(builder, &entry));
    }
    must(table_builder_finish(builder, summary));
    table_builder_destroy(builder);
    free(value);
    report(b, "entries built", began_us, b->entries);
    printf("%-34s %10.1f MiB, peak memory %.0f KiB\n", "file", (double)summary->bytes / 1048576.0,
           (double)b->budget.peak / 1024.0);
}

static void scan(struct bench *b, struct table *table, bool forward) {
    struct table_cursor *cursor;
    struct entry entry;
    uint64_t count = 0, began_us = env_monotonic_us(b->env);
    must(table_cursor_create(table, &b->allocator.base, true, 262144, &cursor));
    must(forward ? table_cursor_seek_first(cursor) : table_cursor_seek_last(cursor));
    while (table_cursor_entry(cursor, &entry)) {
        count++;
        must(forward ? table_cursor_next(cursor) : table_cursor_prev(cursor));
    }
    table_cursor_destroy(cursor);
    report(b, forward ? "entries scanned" : "entries scanned backward", began_us, count);
}

static void get(struct bench *b, struct table *table, const char *what, uint64_t odd) {
    struct bytes value = bytes_empty(&b->allocator.base);
    struct read_count count = {0};
    uint64_t gets = 500000, hits = 0, began_us = env_monotonic_us(b->env);
    uint8_t key[20];
    for (uint64_t i = 0; i < gets; i++) {
        struct entry entry;
        bool found;
        encode_key(key, 2 * (mix(i) % b->entries) + odd);
        must(
            table_get(table, slice(key, sizeof key), SEQUENCE_MAX, &count, &entry, &value, &found));
        hits += found;
    }
    if (hits != (odd ? 0 : gets)) exit(1);
    bytes_free(&value);
    report(b, what, began_us, gets);
    printf("%-34s %10.2f read, %.2f from the cache\n", "  blocks each",
           (double)count.blocks_read / (double)gets, (double)count.blocks_hit / (double)gets);
}

static void read_with_cache(struct bench *b, const struct segment_summary *summary,
                            uint64_t bytes) {
    struct table *table;
    must(block_cache_create(b->env, &b->budget, bytes, &b->context.cache));
    must(table_open(&b->context, summary, &table));
    printf("cache of %llu KiB\n", (unsigned long long)bytes / 1024);
    scan(b, table, true);
    scan(b, table, false);
    get(b, table, "point reads, filling the cache", 0);
    get(b, table, "point reads", 0);
    get(b, table, "point reads of absent keys", 1);
    table_close(table);
    block_cache_destroy(b->context.cache);
}

int main(int argc, char **argv) {
    struct bench b = {.env = env_posix(), .entries = 1000000, .value_bytes = 100};
    struct segment_summary summary;
    if (argc < 2) {
        fprintf(stderr, "usage: table_bench DIRECTORY [ENTRIES [VALUE_BYTES]]\n");
        return 2;
    }
    if (argc > 2) b.entries = strtoull(argv[2], NULL, 10);
    if (argc > 3) b.value_bytes = strtoull(argv[3], NULL, 10);
    budget_init(&b.budget, UINT64_C(1) << 30);
    charged_allocator_init(&b.allocator, b.env->allocator, &b.budget, BUDGET_WORK);
    b.context.env = b.env;
    b.context.table_allocator = &b.allocator.base;
    b.context.work_allocator = &b.allocator.base;
    b.context.dir = argv[1];
    must(file_pool_create(b.env, b.env->allocator, 8, false, &b.context.files));
    build(&b, &summary);
    read_with_cache(&b, &summary, UINT64_C(512) << 20);
    read_with_cache(&b, &summary, UINT64_C(4) << 20);
    char path[PATH_BYTES_MAX];
    must(segment_path(&b.context, SEGMENT_TABLE, 1, path));
    must(fs_unlink(b.env, path));
    segment_summary_deinit(&summary);
    file_pool_destroy(b.context.files);
    return 0;
}
