/*
 * lmdb_check_fuzz.c - any bytes as an LMDB file. What passes the check is given to LMDB in this
 * very process, walked and written to: if LMDB crashes or gives up, the check is not good enough.
 */
#define _GNU_SOURCE /* memfd_create */
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "catalog/lmdb_check.h"
#include "fuzz_fs.h"

#define MAP_BYTES ((size_t)4 << 20)

static char path[64]; /* of a file in memory without a name, so that a crash leaves nothing */

static void write_file(const uint8_t *data, size_t size) {
    static int file = -1;
    if (file < 0) {
        file = memfd_create("lore", MFD_CLOEXEC);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    fuzz_require(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
}

static MDB_env *open_lmdb(void) {
    MDB_env *env;
    fuzz_require(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, MAP_BYTES) == 0);
    fuzz_require(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600) == 0);
    return env;
}

static MDB_dbi begin(MDB_env *env, unsigned flags, MDB_txn **txn) {
    MDB_dbi dbi;
    fuzz_require(mdb_txn_begin(env, NULL, flags, txn) == 0);
    fuzz_require(mdb_dbi_open(*txn, NULL, 0, &dbi) == 0);
    return dbi;
}

static void walk(MDB_env *env) {
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val k, v;
    MDB_dbi dbi = begin(env, MDB_RDONLY, &txn);
    fuzz_require(mdb_cursor_open(txn, dbi, &cursor) == 0);
    unsigned sum = 0;
    for (int code = mdb_cursor_get(cursor, &k, &v, MDB_FIRST); code == 0;
         code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        for (size_t i = 0; i < k.mv_size; i++)
            sum += ((uint8_t *)k.mv_data)[i];
        for (size_t i = 0; i < v.mv_size; i++)
            sum += ((uint8_t *)v.mv_data)[i];
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    static volatile unsigned sink; /* so that the bytes are read */
    sink = sum;
    (void)sink;
}

/* Put and delete as a catalog does: small values and large, what is there and what is not. */
static void change(MDB_env *env, unsigned round) {
    static uint8_t value[64 * 1024];
    MDB_txn *txn;
    MDB_dbi dbi = begin(env, 0, &txn);
    bool well = true;
    for (unsigned i = 0; i < 12 && well; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "k%03u", (i * 17 + round * 5) % 60);
        MDB_val k = {strlen(key), key};
        MDB_val v = {(size_t)(i * 53 + round) % 200, value};
        if (i == 7) v.mv_size = 3000 + 5000 * (size_t)(round % 10);
        int code = i % 3 == 0 ? mdb_del(txn, dbi, &k, NULL) : mdb_put(txn, dbi, &k, &v, 0);
        well = code == 0 || code == MDB_NOTFOUND;
    }
    if (well) {
        (void)mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_fs fs;
    fuzz_fs_init(&fs, data, size);
    if (lmdb_check(&fs.env, &fs.allocator, "lmdb", MAP_BYTES) != LORE_OK) return 0;
    write_file(data, size);
    MDB_env *env = open_lmdb();
    walk(env);
    for (unsigned round = 0; round < 3; round++)
        change(env, round);
    walk(env);
    mdb_env_close(env);
    return 0;
}

/* Files after a few transactions, with branch pages, overflow pages and a free list. */
bool fuzz_seed(unsigned number, struct bytes *seed) {
    if (number >= 4) return false;
    write_file(NULL, 0);
    MDB_env *env = open_lmdb();
    for (unsigned round = 0; round < 1 + number * 3; round++)
        change(env, round);
    if (number >= 2) {
        MDB_txn *txn;
        MDB_dbi dbi = begin(env, 0, &txn);
        for (unsigned i = 0; i < 60; i++) {
            char key[120];
            (void)snprintf(key, sizeof key, "k%03u%080u", i, i);
            MDB_val k = {strlen(key), key}, v = {100, key};
            fuzz_require(mdb_put(txn, dbi, &k, &v, 0) == 0);
        }
        fuzz_require(mdb_txn_commit(txn) == 0);
        change(env, 9);
    }
    mdb_env_close(env);
    fuzz_must(fs_read_file(env_posix(), path, 1 << 20, seed));
    return true;
}
