/*
 * fuzz_fs.h - an environment whose only file is the input: every path opens it, to read. Memory
 * comes from the host, and asking for more than FUZZ_ALLOCATION_MAX at once is a finding: no
 * decoder trusts a length that far.
 */
#ifndef LORE_FUZZ_FUZZ_FS_H
#define LORE_FUZZ_FUZZ_FS_H

#include "vfs/env.h"

#define FUZZ_ALLOCATION_MAX ((size_t)64 << 20)

struct fuzz_fs {
    struct fs base;
    struct allocator allocator;
    lore_env env; /* hand out &env */
    const uint8_t *data;
    size_t size;
};
void fuzz_fs_init(struct fuzz_fs *fs, const uint8_t *data, size_t size);

#endif
