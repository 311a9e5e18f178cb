/*
 * value_world.h - for fuzz targets of value files: a disk in memory that holds one file, which each
 * input damages anew. An input is patches to a sound file, so that few bytes reach deep:
 *
 *   input   u8 flags, then patches of 3 bytes: u16 offset, little-endian, modulo the file's size;
 * u8 exclusive or flags bit 0: damage from the end of the file, not its beginning; bit 1: take the
 * summary from the damaged file itself, as salvage does; bits 2..7: cut so many bytes off the end
 */
#ifndef LORE_FUZZ_VALUE_WORLD_H
#define LORE_FUZZ_VALUE_WORLD_H

#include <stdint.h>
#include <stdlib.h>

#include "base/coding.h"
#include "segment/segment_file.h"
#include "segment/table.h"
#include "vfs/fs_memory.h"

#define VALUE_WORLD_ID     7u
#define VALUE_WORLD_BUDGET (4u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct value_world {
    struct fs_memory *disk;
    lore_env env;
    struct budget budget;
    struct charged_allocator allocator;
    struct segment_context context;
    enum segment_kind kind;
    struct segment_summary summary; /* of the sound file */
    struct bytes sound;             /* its bytes */
};

static inline void must(lore_status status) {
    if (status != LORE_OK) abort();
}

static inline void value_world_init(struct value_world *world, enum segment_kind kind) {
    const struct allocator *host = env_posix()->allocator;
    must(fs_memory_create(host, 0, &world->disk));
    world->env = *env_posix();
    world->env.fs = fs_memory_fs(world->disk);
    world->kind = kind;
    budget_init(&world->budget, VALUE_WORLD_BUDGET);
    charged_allocator_init(&world->allocator, host, &world->budget, BUDGET_WORK);
    world->context = (struct segment_context){.env = &world->env,
                                              .table_allocator = &world->allocator.base,
                                              .work_allocator = &world->allocator.base,
                                              .dir = "d"};
    must(world->env.fs->ops->make_dir(world->env.fs, "d", false));
    must(file_pool_create(&world->env, host, 4, false, &world->context.files));
    must(block_cache_create(&world->env, &world->budget, 256u << 10, &world->context.cache));
    world->budget.reclaim = block_cache_reclaim;
    world->budget.reclaim_context = world->context.cache;
}

/* The file that stands on the disk is sound, and `summary` is its. */
static inline void value_world_keep(struct value_world *world,
                                    const struct segment_summary *summary) {
    char path[PATH_BYTES_MAX];
    must(segment_path(&world->context, world->kind, VALUE_WORLD_ID, path));
    segment_summary_init(&world->summary, env_posix()->allocator);
    must(segment_summary_copy(&world->summary, summary));
    world->sound = bytes_empty(env_posix()->allocator);
    must(fs_read_file(&world->env, path, 1u << 20, &world->sound));
}

static inline void write_damaged(struct value_world *world, const uint8_t *data, size_t size) {
    struct bytes bytes = bytes_empty(env_posix()->allocator);
    must(bytes_set(&bytes, bytes_slice(&world->sound)));
    for (size_t at = 1; at + 3 <= size; at += 3) {
        size_t offset = get_u16(data + at) % bytes.size;
        if (data[0] % 2 != 0) offset = bytes.size - 1 - offset;
        bytes.data[offset] ^= data[at + 2];
    }
    char path[PATH_BYTES_MAX];
    must(segment_path(&world->context, world->kind, VALUE_WORLD_ID, path));
    struct file *file;
    must(fs_open(&world->env, path, FILE_WRITE, false, &file));
    must(file_truncate(file, bytes.size - data[0] / 4));
    must(file_write(file, 0, bytes.data, bytes.size - data[0] / 4));
    must(file_sync(file));
    file_close(file);
    bytes_free(&bytes);
    block_cache_forget(world->context.cache, VALUE_WORLD_ID);
}

/* Put a damaged file on the disk; false if nothing can be known of it. `summary` is the caller's to
 * deinit. */
static inline bool value_world_damage(struct value_world *world, const uint8_t *data, size_t size,
                                      struct segment_summary *summary) {
    write_damaged(world, data, size);
    segment_summary_init(summary, &world->allocator.base);
    if ((data[0] & 2u) == 0) return segment_summary_copy(summary, &world->summary) == LORE_OK;
    char path[PATH_BYTES_MAX];
    must(segment_path(&world->context, world->kind, VALUE_WORLD_ID, path));
    struct pooled_file *file;
    must(pooled_file_create(world->context.files, path, &file));
    lore_status status = segment_describe(file, summary);
    pooled_file_release(file);
    return status == LORE_OK && summary->kind == world->kind && summary->id == VALUE_WORLD_ID;
}

/* After each input all that was taken is given back. */
static inline void value_world_settle(struct value_world *world) {
    if (atomic_load(&world->budget.used_by[BUDGET_WORK]) != 0) abort();
    if (atomic_load(&world->budget.used_by[BUDGET_QUERY]) != 0) abort();
}

#endif
