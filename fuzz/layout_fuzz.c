/*
 * layout_fuzz.c - any bytes as CURRENT, and as a name in a store's folder. What is understood is
 * written again as the same bytes: so two names never mean one generation, log or segment.
 */
#include "fuzz.h"
#include "fuzz_fs.h"
#include "segment/segment.h"
#include "store/layout.h"
#include "vfs/fs_memory.h"

#define NAME_BYTES_MAX 128u

static void try_current(struct fuzz_fs *fs, lore_slice in) {
    struct current current;
    lore_status status = current_read(&fs->env, "store", &current);
    if (status != LORE_OK) {
        fuzz_require(status == LORE_CORRUPTION || status == LORE_UNSUPPORTED);
        return;
    }
#ifndef LORE_FUZZ_SKIP_CHECKS
    struct fs_memory *disk;
    fuzz_must(fs_memory_create(env_posix()->allocator, 0, &disk));
    lore_env env = {env_posix()->allocator, fs_memory_fs(disk), env_posix()->sys};
    struct bytes again = bytes_empty(env.allocator);
    fuzz_must(env.fs->ops->make_dir(env.fs, "store", false));
    fuzz_must(current_replace(&env, "store", false, &current));
    fuzz_must(fs_read_file(&env, "store/CURRENT", 256, &again));
    fuzz_require(slice_equal(bytes_slice(&again), in));
    bytes_free(&again);
    fs_memory_destroy(disk);
#else
    (void)in;
#endif
}

static void try_name(const char *name) {
    char path[PATH_BYTES_MAX], segment[SEGMENT_NAME_BYTES];
    uint64_t number;
    bool building;
    enum segment_kind kind;
    if (layout_generation_parse(name, &number, &building)) {
        fuzz_must(layout_generation_dir(path, "d", number, building));
        fuzz_require(strcmp(path + 2, name) == 0);
    }
    if (layout_log_parse(name, &number)) {
        fuzz_must(layout_log_path(path, "d", number));
        fuzz_require(strcmp(path + 2, name) == 0);
    }
    if (segment_file_name_parse(name, &kind, &number)) {
        segment_file_name(segment, kind, number);
        fuzz_require(strcmp(segment, name) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_fs fs;
    fuzz_fs_init(&fs, data, size);
    try_current(&fs, slice(data, size));
    char name[NAME_BYTES_MAX + 1] = {0};
    if (size > 0) memcpy(name, data, size < NAME_BYTES_MAX ? size : NAME_BYTES_MAX);
    try_name(name);
    return 0;
}

bool fuzz_seed(unsigned number, struct bytes *seed) {
    static const char *const seeds[] = {
        "lore 1 g-000001 7e57000000000000000000000000002a 0000000000000000\n",
        "g-000001",
        "g-18446744073709551615.building",
        "log-0000000001",
        "000000000012.table",
        "000000000013.blob",
        "000000000014.rows"};
    if (number < sizeof seeds / sizeof seeds[0]) {
        fuzz_must(bytes_append(seed, seeds[number], strlen(seeds[number])));
        return true;
    }
    if (number > sizeof seeds / sizeof seeds[0]) return false;
    struct fs_memory *disk;
    fuzz_must(fs_memory_create(env_posix()->allocator, 0, &disk));
    lore_env env = {env_posix()->allocator, fs_memory_fs(disk), env_posix()->sys};
    struct current current = {1234567, {1, 2, 3}};
    fuzz_must(env.fs->ops->make_dir(env.fs, "store", false));
    fuzz_must(current_replace(&env, "store", false, &current));
    fuzz_must(fs_read_file(&env, "store/CURRENT", 256, seed));
    fs_memory_destroy(disk);
    return true;
}
