/*
 * Records in LMDB: what is put is got, and a record that is missing, foreign or altered is noticed
 * though LMDB's own structure is sound.
 */
#include <lmdb.h>

#include "catalog/catalog_testing.h"
#include "catalog/edit.h"
#include "catalog/lmdb_map.h"

#define PATH TEST_DIR "/map"

static struct lmdb_place place_of(const struct catalog_disk *disk) {
    return (struct lmdb_place){&disk->env, &disk->allocator.base, NULL, PATH, false, 16u << 20};
}

static void make_map(const struct catalog_disk *disk, uint64_t edits) {
    struct lmdb_place place = place_of(disk);
    struct identity identity = test_identity(4);
    struct lmdb_map *map;
    assert_ok(lmdb_map_create(&place, &identity, &map));
    struct catalog_edit edit;
    catalog_edit_init(&edit, &disk->allocator.base);
    for (uint64_t i = 1; i <= edits; i++) {
        catalog_edit_clear(&edit);
        assert_ok(test_edit(i, &edit));
        assert_ok(lmdb_map_apply(map, bytes_slice(&edit.encoded), i, i * 100));
    }
    catalog_edit_deinit(&edit);
    lmdb_map_close(map);
}

static void what_is_put_is_got(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    make_map(&disk, 30);
    struct lmdb_place place = place_of(&disk);
    struct lmdb_map *map;
    assert_ok(lmdb_map_open(&place, &map));
    assert_int_equal(lmdb_map_state(map)->number, 30);
    assert_int_equal(lmdb_map_state(map)->history, 3000);
    uint64_t expected[TEST_KEYS], records = 0;
    test_expect(30, expected);
    struct bytes value = bytes_empty(&disk.allocator.base);
    for (uint64_t i = 0; i < TEST_KEYS; i++) {
        uint8_t key[16], content[2048];
        lore_status status = lmdb_map_get(map, test_key(i, key), &value);
        assert_status(status, expected[i] == 0 ? LORE_NOT_FOUND : LORE_OK);
        if (expected[i] == 0) continue;
        records++;
        assert_true(slice_equal(bytes_slice(&value), test_value(expected[i], content)));
    }
    assert_int_equal(lmdb_map_state(map)->records, records);
    bytes_free(&value);
    lmdb_map_close(map);
    catalog_disk_close(&disk);
}

/* Change the file with LMDB itself, beneath the map's checks. */
static void tamper(struct catalog_disk *disk, int kind) {
    char native[PATH_BYTES_MAX];
    struct fs *fs = disk->env.fs;
    assert_ok(fs->ops->native_open(fs, PATH, native, sizeof native));
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, native, MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    uint64_t expected[TEST_KEYS];
    test_expect(30, expected);
    uint8_t text[16], copy[2048];
    uint64_t at = 0;
    while (expected[at] == 0)
        at++;
    lore_slice key = test_key(at, text);
    MDB_val k = {key.size, text}, v, other = {7, "\0number"};
    assert_int_equal(mdb_get(txn, dbi, &k, &v), 0);
    memcpy(copy, v.mv_data, v.mv_size);
    v.mv_data = copy;
    switch (kind) {
    case 0: assert_int_equal(mdb_del(txn, dbi, &k, NULL), 0); break;
    case 1: /* another key's value: sound in itself */
        text[4] ^= 1;
        assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
        break;
    case 2:
        copy[v.mv_size - 1] ^= 1;
        assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
        break;
    case 3: assert_int_equal(mdb_del(txn, dbi, &other, NULL), 0); break;
    default: break;
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    assert_ok(fs->ops->native_commit(fs, PATH));
    mdb_env_close(env);
    fs->ops->native_close(fs, PATH);
}

static void records_are_all_there_and_themselves(void **state) {
    (void)state;
    for (int kind = 0; kind <= 4; kind++) {
        struct catalog_disk disk;
        catalog_disk_open(&disk);
        make_map(&disk, 30);
        tamper(&disk, kind);
        struct lmdb_place place = place_of(&disk);
        struct lmdb_map *map;
        assert_status(lmdb_map_open(&place, &map), kind < 4 ? LORE_CORRUPTION : LORE_OK);
        if (kind == 4) lmdb_map_close(map);
        catalog_disk_close(&disk);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_got),
        cmocka_unit_test(records_are_all_there_and_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
