/*
 * value_fixture.h - what the tests of value files share: a disk in memory that fails on command, a
 * budget, a cache and a pool, and ways to damage a file. For *_test.c only.
 */
#ifndef LORE_SEGMENT_VALUE_FIXTURE_H
#define LORE_SEGMENT_VALUE_FIXTURE_H

#include <stdatomic.h>
#include <stdio.h>

#include "segment/block_cache.h"
#include "segment/file_pool.h"
#include "segment/segment_file.h"
#include "segment/table.h"
#include "vfs/fs_fault.h"
#include "vfs/fs_memory.h"
#include "base/testing.h"

struct world {
    struct fs_memory *disk;
    struct fs_fault *fault;
    struct test_allocator memory; /* behind all of the engine's memory, but not the disk's */
    lore_env env;
    struct budget budget;
    struct charged_allocator table_allocator, work_allocator;
    struct file_pool *files;
    struct block_cache *cache;
    struct segment_context context;
};

static inline void world_start(struct world *world, uint64_t budget_bytes, uint64_t cache_bytes) {
    const struct allocator *host = env_posix()->allocator;
    test_allocator_init(&world->memory);
    assert_ok(fs_memory_create(host, 0, &world->disk));
    assert_ok(fs_fault_create(host, fs_memory_fs(world->disk), &world->fault));
    world->env = *env_posix();
    world->env.fs = fs_fault_fs(world->fault);
    world->env.allocator = &world->memory.base;
    budget_init(&world->budget, budget_bytes);
    charged_allocator_init(&world->table_allocator, &world->memory.base, &world->budget,
                           BUDGET_TABLE);
    charged_allocator_init(&world->work_allocator, &world->memory.base, &world->budget,
                           BUDGET_WORK);
    assert_ok(file_pool_create(&world->env, &world->memory.base, 8, false, &world->files));
    assert_ok(block_cache_create(&world->env, &world->budget, cache_bytes, &world->cache));
    world->budget.reclaim = block_cache_reclaim;
    world->budget.reclaim_context = world->cache;
    assert_ok(world->env.fs->ops->make_dir(world->env.fs, "d", false));
    world->context = (struct segment_context){.env = &world->env,
                                              .table_allocator = &world->table_allocator.base,
                                              .work_allocator = &world->work_allocator.base,
                                              .files = world->files,
                                              .cache = world->cache,
                                              .dir = "d"};
    memset(world->context.identity.store_id, 0x11, 16);
    memset(world->context.identity.lineage, 0x22, 16);
}

static inline void world_stop(struct world *world) {
    file_pool_destroy(world->files);
    block_cache_destroy(world->cache);
    assert_int_equal(world->memory.blocks, 0);
    assert_int_equal(atomic_load(&world->budget.used), 0);
    assert_true(atomic_load(&world->budget.peak) <= world->budget.limit);
    fs_fault_destroy(world->fault);
    fs_memory_destroy(world->disk);
}

/* A file's bytes, to change in place. */
static inline uint8_t *world_bytes(struct world *world, enum segment_kind kind, uint64_t id,
                                   uint64_t *size) {
    char path[PATH_BYTES_MAX];
    assert_ok(segment_path(&world->context, kind, id, path));
    uint8_t *bytes = fs_memory_bytes(world->disk, path, size);
    assert_non_null(bytes);
    return bytes;
}

static inline bool world_has(struct world *world, enum segment_kind kind, uint64_t id) {
    char path[PATH_BYTES_MAX];
    assert_ok(segment_path(&world->context, kind, id, path));
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    return world->env.fs->ops->stat(world->env.fs, path, &size, &is_dir, &mode) == LORE_OK;
}

static inline void world_truncate(struct world *world, enum segment_kind kind, uint64_t id,
                                  uint64_t size) {
    char path[PATH_BYTES_MAX];
    assert_ok(segment_path(&world->context, kind, id, path));
    struct file *file;
    assert_ok(fs_open(&world->env, path, FILE_WRITE, false, &file));
    assert_ok(file_truncate(file, size));
    file_close(file);
}

static inline void world_fail_io(struct world *world, uint32_t calls, uint64_t at) {
    fs_fault_set_plan(world->fault,
                      &(struct fault_plan){.calls = calls, .at = at, .status = LORE_IO});
}

struct faults {
    uint64_t count;
    uint64_t offset; /* of the last */
};

static inline void count_fault(void *context, const struct segment_fault *fault) {
    struct faults *faults = context;
    assert_true(fault->message[0] != 0);
    faults->count++;
    faults->offset = fault->offset;
}

#endif
