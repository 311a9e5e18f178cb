/*
 * fs_memory_lmdb_test.c - the real LMDB on the file system in memory: after every crash within its
 * commits, any subset of unsynced writes, torn or whole, it opens with the content of the last
 * commit or of the one under way; and it does not when its sync is left out. This is what the seam
 * native_open, native_commit is worth.
 */
#include "vfs/fs_fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <lmdb.h>
#include <cmocka.h>

#define COMMITS 4u

struct crashes {
    struct fs_memory *memory;
    uint32_t committed; /* commits that have returned */
    uint64_t states;
    uint64_t violations;
    uint64_t random;
};

static MDB_env *lmdb_open(const char *real) {
    MDB_env *env;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_mapsize(env, 1 << 20), 0);
    if (mdb_env_open(env, real, MDB_NOSUBDIR | MDB_NOLOCK, 0600) == 0) return env;
    mdb_env_close(env);
    return NULL;
}

/* Commit `number`: 40 keys, each with the number as its value. */
static void commit(MDB_env *env, uint32_t number) {
    MDB_txn *txn;
    MDB_dbi dbi;
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    for (uint32_t key = 0; key < 40; key++) {
        char content[200] = {0};
        memcpy(content, &number, sizeof number);
        MDB_val k = {sizeof key, &key};
        MDB_val v = {sizeof content, content};
        assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
}

/* The number that all keys have: UINT32_MAX if they do not, 0 if there are none. */
static uint32_t committed_in(MDB_env *env) {
    MDB_txn *txn;
    MDB_dbi dbi;
    uint32_t found = 0;
    if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0) return UINT32_MAX;
    if (mdb_dbi_open(txn, NULL, 0, &dbi) != 0) found = UINT32_MAX;
    for (uint32_t key = 0; key < 40 && found != UINT32_MAX; key++) {
        MDB_val k = {sizeof key, &key};
        MDB_val v;
        uint32_t number = 0;
        if (mdb_get(txn, dbi, &k, &v) == 0) memcpy(&number, v.mv_data, sizeof number);
        found = key == 0 || number == found ? number : UINT32_MAX;
    }
    mdb_txn_abort(txn);
    return found;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 16;
}

static enum crash_fate fate_of(void *context, size_t index, uint64_t *tear) {
    struct crashes *crashes = context;
    (void)index;
    *tear = next_random(&crashes->random);
    return (enum crash_fate)(next_random(&crashes->random) & 3);
}
static enum crash_fate lose(void *context, size_t index, uint64_t *tear) {
    (void)context, (void)index, (void)tear;
    return CRASH_LOST;
}
static enum crash_fate keep(void *context, size_t index, uint64_t *tear) {
    (void)context, (void)index, (void)tear;
    return CRASH_KEPT;
}

static void check(struct crashes *crashes, struct fs_memory *clone) {
    char real[PATH_BYTES_MAX];
    struct fs *fs = fs_memory_fs(clone);
    assert_int_equal(fs->ops->native_open(fs, "catalog.mdb", real, sizeof real), LORE_OK);
    MDB_env *env = lmdb_open(real);
    uint32_t found = env != NULL ? committed_in(env) : UINT32_MAX;
    if (env != NULL) mdb_env_close(env);
    fs->ops->native_close(fs, "catalog.mdb");
    crashes->states++;
    if (found != crashes->committed && found != crashes->committed + 1) crashes->violations++;
}

/* The first two states of each point keep nothing and all, the others what chance says. */
static void crash_here(void *context, uint64_t number) {
    (void)number;
    struct crashes *crashes = context;
    for (int i = 0; i < 20; i++) {
        struct fs_memory *clone;
        crash_choice_fn choice = i == 0 ? lose : i == 1 ? keep : fate_of;
        assert_int_equal(fs_memory_crash_clone(crashes->memory, choice, crashes, &clone), LORE_OK);
        check(crashes, clone);
        fs_memory_destroy(clone);
    }
}

/* A disk that skips LMDB's syncs if `skip_syncs`, with one commit on it. */
struct lmdb_disk {
    struct crashes crashes;
    struct fs_fault *fault;
    struct fs *fs;
    MDB_env *env;
};

static void disk_open(struct lmdb_disk *disk, bool skip_syncs) {
    const struct allocator *host = env_posix()->allocator;
    char real[PATH_BYTES_MAX];
    disk->crashes = (struct crashes){.committed = 1, .random = 1};
    struct fs_memory **memory = &disk->crashes.memory;
    assert_int_equal(fs_memory_create(host, 0, memory), LORE_OK);
    assert_int_equal(fs_fault_create(host, fs_memory_fs(*memory), &disk->fault), LORE_OK);
    fs_fault_set_memory(disk->fault, *memory);
    if (skip_syncs) fs_fault_skip(disk->fault, FAULT_SYNC, "catalog.mdb");
    disk->fs = fs_fault_fs(disk->fault);
    assert_int_equal(disk->fs->ops->native_open(disk->fs, "catalog.mdb", real, sizeof real),
                     LORE_OK);
    disk->env = lmdb_open(real);
    assert_non_null(disk->env);
    commit(disk->env, 1);
    assert_int_equal(disk->fs->ops->native_commit(disk->fs, "catalog.mdb"), LORE_OK);
    assert_int_equal(disk->fs->ops->sync_dir(disk->fs, "/"), LORE_OK);
}

static void disk_close(struct lmdb_disk *disk) {
    mdb_env_close(disk->env);
    disk->fs->ops->native_close(disk->fs, "catalog.mdb");
    fs_fault_destroy(disk->fault);
    fs_memory_destroy(disk->crashes.memory);
}

static void test_lmdb_survives_every_crash(void **state) {
    (void)state;
    struct lmdb_disk disk;
    disk_open(&disk, false);
    fs_fault_on_change(disk.fault, crash_here, &disk.crashes);
    for (uint32_t number = 2; number <= COMMITS; number++) {
        commit(disk.env, number);
        assert_int_equal(disk.fs->ops->native_commit(disk.fs, "catalog.mdb"), LORE_OK);
        disk.crashes.committed = number;
        crash_here(&disk.crashes, 0);
    }
    disk_close(&disk);
    assert_int_equal(disk.crashes.states, 20 * 5 * (COMMITS - 1));
    assert_int_equal(disk.crashes.violations, 0);
}

/* Only lost or whole meta pages are tried here: without its sync, LMDB would follow a meta page to
 * pages that are not there, and may do so with a fault that no test survives. */
static void test_lmdb_needs_its_sync(void **state) {
    (void)state;
    struct lmdb_disk disk;
    disk_open(&disk, true);
    struct fs_memory *clone;
    assert_int_equal(fs_memory_crash_clone(disk.crashes.memory, lose, NULL, &clone), LORE_OK);
    check(&disk.crashes, clone);
    assert_int_equal(disk.crashes.violations, 1);
    fs_memory_destroy(clone);
    disk_close(&disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lmdb_survives_every_crash),
        cmocka_unit_test(test_lmdb_needs_its_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
