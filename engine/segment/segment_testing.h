/*
 * segment_testing.h - what tests of segments share: a context over a file system in memory, and a
 * count of what is allocated.
 *
 * For *_test.c only. One thread.
 */
#ifndef LORE_SEGMENT_SEGMENT_TESTING_H
#define LORE_SEGMENT_SEGMENT_TESTING_H

#include "segment/segment_file.h"
#include "segment/table.h"

#include "base/testing.h"
#include "vfs/fs_fault.h"

struct segment_fixture {
    struct test_allocator allocator; /* of tables and of work */
    struct fs_memory *disk;
    struct fs_fault *fault;
    lore_env env;
    struct budget budget;
    struct segment_context context;
};

#define SEGMENT_TEST_CACHE_BYTES (8u << 20)

static inline void segment_fixture_make_cache(struct segment_fixture *f) {
    assert_ok(block_cache_create(&f->env, &f->budget, SEGMENT_TEST_CACHE_BYTES, &f->context.cache));
}

static inline void segment_fixture_init(struct segment_fixture *f) {
    memset(f, 0, sizeof *f);
    test_allocator_init(&f->allocator);
    const struct allocator *host = env_posix()->allocator;
    assert_ok(fs_memory_create(host, 0, &f->disk));
    assert_ok(fs_fault_create(host, fs_memory_fs(f->disk), &f->fault));
    f->env = (lore_env){host, fs_fault_fs(f->fault), env_posix()->sys};
    budget_init(&f->budget, 256u << 20);
    f->context.env = &f->env;
    f->context.table_allocator = &f->allocator.base;
    f->context.work_allocator = &f->allocator.base;
    f->context.dir = "g";
    memset(f->context.identity.store_id, 7, 16);
    memset(f->context.identity.lineage, 9, 16);
    assert_ok(f->env.fs->ops->make_dir(f->env.fs, "g", false));
    assert_ok(file_pool_create(&f->env, host, 8, false, &f->context.files));
    segment_fixture_make_cache(f);
}

/* Forget all cached blocks. */
static inline void segment_fixture_empty_cache(struct segment_fixture *f) {
    block_cache_destroy(f->context.cache);
    segment_fixture_make_cache(f);
}

static inline void segment_fixture_deinit(struct segment_fixture *f) {
    block_cache_destroy(f->context.cache);
    file_pool_destroy(f->context.files);
    fs_fault_destroy(f->fault);
    fs_memory_destroy(f->disk);
    assert_int_equal(f->allocator.blocks, 0);
    assert_int_equal(f->budget.used, 0);
}

#endif
