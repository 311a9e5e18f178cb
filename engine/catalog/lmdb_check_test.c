/*
 * lmdb_check against files that LMDB itself wrote: none is refused, whatever their shape; and
 * against damaged ones: what passes, LMDB walks and writes to without harm.
 */
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testing.h"
#include "catalog/lmdb_check.h"
#include "vfs/scratch.h"

#define MAP_BYTES (UINT64_C(16) << 20)

static char path[PATH_BYTES_MAX];

static int set_up(void **state) {
    (void)state;
    char folder[PATH_BYTES_MAX];
    if (scratch_folder(NULL, "lmdb-check", folder) != LORE_OK) return 1;
    if (path_join(path, folder, "lmdb") != LORE_OK) return 1;
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    return fd < 0 || close(fd) != 0;
}

static int tear_down(void **state) {
    (void)state;
    return unlink(path);
}

static MDB_env *lmdb_open(void) {
    MDB_env *env;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_mapsize(env, MAP_BYTES), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600), 0);
    return env;
}

static lore_status check(void) {
    return lmdb_check(env_posix(), env_posix()->allocator, path, MAP_BYTES);
}

/* One transaction of random puts, replacements and deletions. */
static void change(MDB_env *env, uint64_t *random, uint32_t keys, size_t value_max,
                   uint32_t count) {
    static uint8_t bytes[300000];
    MDB_txn *txn;
    MDB_dbi dbi;
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t key[511] = {0};
        uint32_t number = (uint32_t)(test_random(random) % keys);
        memcpy(key, &number, sizeof number);
        size_t key_size = 5 + number * 7919u % 500u;
        MDB_val k = {key_size, key};
        uint64_t kind = test_random(random) % 8;
        if (kind < 3) {
            int code = mdb_del(txn, dbi, &k, NULL);
            assert_true(code == 0 || code == MDB_NOTFOUND);
            continue;
        }
        size_t size = (size_t)(test_random(random) % (kind == 7 ? value_max * 20 : value_max));
        memset(bytes, (int)size, size);
        MDB_val v = {size, bytes};
        assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
}

static void what_lmdb_writes_passes(void **state) {
    (void)state;
    const uint64_t seed = 77;
    print_message("seed %llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    for (uint32_t shape = 0; shape < 6; shape++) {
        assert_int_equal(truncate(path, 0), 0);
        MDB_env *env = lmdb_open();
        uint32_t keys = 10u << shape;
        size_t value_max = shape % 2 == 0 ? 100 : 3000;
        for (uint32_t i = 0; i < 150; i++) {
            change(env, &random, keys, value_max, 1 + (uint32_t)(test_random(&random) % keys));
            if (check() != LORE_OK) {
                print_error("shape %u commit %u: %s\n", shape, i, lore_error_message());
                assert_true(false);
            }
        }
        mdb_env_close(env);
        assert_ok(check());
    }
}

static void an_empty_or_missing_file_is_said_to_be(void **state) {
    (void)state;
    assert_int_equal(truncate(path, 0), 0);
    assert_status(check(), LORE_CORRUPTION);
    assert_status(lmdb_check(env_posix(), env_posix()->allocator, "/nowhere/at/all", MAP_BYTES),
                  LORE_NOT_FOUND);
    /* Made, and never committed to: LMDB's own first pages. */
    mdb_env_close(lmdb_open());
    assert_status(check(), LORE_CORRUPTION);
}

/* In 32 bits, the size of a node whose value is empty and one whose value has 2^32 - 1 bytes are
 * alike. */
static void a_value_larger_than_the_file_is_damage(void **state) {
    (void)state;
    uint8_t wanted[14] = {0, 0, 0, 0, 0, 0, 0, 0, 'l', 'o', 'n', 'e', 'l', 'y'};
    const uint16_t key_size = 6;
    memcpy(wanted + 6, &key_size, sizeof key_size);
    assert_int_equal(truncate(path, 0), 0);
    MDB_env *env = lmdb_open();
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {6, wanted + 8}, v = {0, NULL};
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    assert_ok(check());
    struct bytes file = bytes_empty(env_posix()->allocator);
    assert_ok(fs_read_file(env_posix(), path, 1 << 24, &file));
    size_t at = 0;
    while (at + sizeof wanted <= file.size && memcmp(file.data + at, wanted, sizeof wanted) != 0)
        at++;
    assert_true(at + sizeof wanted <= file.size);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, (off_t)at), 4);
    assert_int_equal(close(fd), 0);
    assert_status(check(), LORE_CORRUPTION);
    bytes_free(&file);
}

/* All that the engine does with a map, on a file that passed. */
static void use(uint64_t random) {
    MDB_env *env = lmdb_open();
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val k, v;
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
    uint64_t sum = 0;
    for (int code = mdb_cursor_get(cursor, &k, &v, MDB_FIRST); code == 0;
         code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        for (size_t i = 0; i < v.mv_size; i++)
            sum += ((uint8_t *)v.mv_data)[i];
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    for (int i = 0; i < 3; i++)
        change(env, &random, 150, 60, 40);
    mdb_env_close(env);
    if (sum == 1) print_message("\n"); /* so that the bytes are read */
}

/* Damage in children, so that a crash of LMDB's is a failed test and not the end of all of them. */
static void what_passes_is_harmless(void **state) {
    (void)state;
    const uint64_t seed = 4242;
    print_message("seed %llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    assert_int_equal(truncate(path, 0), 0);
    MDB_env *env = lmdb_open();
    for (uint32_t i = 0; i < 30; i++)
        change(env, &random, 150, 60, 20);
    mdb_env_close(env);
    struct bytes good = bytes_empty(env_posix()->allocator);
    assert_ok(fs_read_file(env_posix(), path, 1 << 24, &good));
    uint32_t passed = 0, refused = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        int fd = open(path, O_RDWR | O_TRUNC);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, good.data, good.size), good.size);
        uint32_t flips = 1 + (uint32_t)(test_random(&random) % 6);
        for (uint32_t f = 0; f < flips; f++) {
            /* Mostly the first bytes of a page, where its structure is. */
            uint64_t page = test_random(&random) % (good.size / 4096);
            uint64_t within = test_random(&random) % (test_random(&random) % 4 == 0 ? 4096 : 160);
            uint8_t value = (uint8_t)test_random(&random);
            assert_int_equal(pwrite(fd, &value, 1, (off_t)(page * 4096 + within)), 1);
        }
        assert_int_equal(close(fd), 0);
        lore_status status = check();
        if (status != LORE_OK) {
            assert_status(status, LORE_CORRUPTION);
            refused++;
            continue;
        }
        passed++;
        if (passed % 25 != 0) continue; /* a child each is slow */
        pid_t child = fork();
        if (child == 0) {
            use(random);
            _exit(0);
        }
        int result;
        assert_int_equal(waitpid(child, &result, 0), child);
        if (result != 0) print_error("the damage of round %u killed LMDB\n", i);
        assert_int_equal(result, 0);
    }
    print_message("%u passed, %u refused\n", passed, refused);
    assert_true(passed > 100 && refused > 300);
    bytes_free(&good);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_lmdb_writes_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_or_missing_file_is_said_to_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_larger_than_the_file_is_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_passes_is_harmless, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
