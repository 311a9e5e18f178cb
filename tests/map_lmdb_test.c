/*
 * map_lmdb_test.c - the ordered map against LMDB itself: the same puts, deletes and range deletes
 * in both, and the same questions: gets, seeks, steps both ways, whole scans, and all of that again
 * at snapshots, which in LMDB are read transactions.
 *
 *   map_lmdb_test [--seed N] [--rounds N]
 *
 * A round is a store and an LMDB file of their own. LMDB knows no range delete, so there it is a
 * walk with a cursor; and no empty key, so there is none here.
 */
#include <lmdb.h>

#include "support.h"

#define KEYS       400u
#define KEY_MAX    300
#define OPERATIONS 900u
#define SNAPSHOTS  3u
#define MAP_BYTES  ((size_t)256 << 20)

struct round {
    char folder[TEST_PATH_BYTES];
    uint64_t random;
    lore_store *store;
    MDB_env *env;
    MDB_dbi map;
    lore_snapshot *snapshots[SNAPSHOTS]; /* NULL: none */
    MDB_txn *readers[SNAPSHOTS];
};

static void must_lmdb(int line, const char *what, int result) {
    if (result != MDB_SUCCESS) check_failed(__FILE__, line, what, mdb_strerror(result));
}
#define LMDB(expression) must_lmdb(__LINE__, #expression, (expression))

/* ---- both ---- */

static lore_slice draw_key(struct round *round, uint8_t out[KEY_MAX]) {
    uint64_t number = random_below(&round->random, KEYS), state = number;
    size_t size =
        1 + (size_t)(number % 11 == 0 ? random_below(&state, KEY_MAX) : random_below(&state, 12));
    memset(out, number % 3 == 0 ? 0xff : 'k', size);
    out[size - 1] = (uint8_t)(number * 7);
    if (size > 2) out[1] = (uint8_t)number;
    return (lore_slice){out, size};
}

static lore_slice draw_value(struct round *round, uint8_t out[6000]) {
    uint64_t die = random_below(&round->random, 20), word = random_next(&round->random);
    size_t size = (size_t)random_below(&round->random, die == 0 ? 6000 : die < 4 ? 900 : 40);
    for (size_t i = 0; i < size; i++)
        out[i] = i < 8 ? (uint8_t)(word >> 8 * i) : (uint8_t)i;
    return (lore_slice){out, size};
}

static MDB_val to_lmdb(lore_slice slice) {
    return (MDB_val){slice.size, (void *)(uintptr_t)slice.data};
}

static void open_store(struct round *round) {
    char path[TEST_PATH_BYTES + 8];
    lore_options options;
    uint64_t *random = &round->random;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.durability = LORE_SYNC_NONE;
    options.memory_budget = 8u << 20;
    options.memtable_bytes = 64u << 10;
    options.table_bytes_max = 16u << 10;
    options.block_bytes = (uint32_t)(512 << random_below(random, 5));
    options.blob_threshold_bytes = (uint32_t)random_below(random, 2000);
    options.fan_in = 2 + (uint32_t)random_below(random, 3);
    options.compression = (lore_compression)random_below(random, 2);
    options.background = (lore_background)random_below(random, 2);
    snprintf(path, sizeof path, "%s/store", round->folder);
    MUST(lore_open(path, &options, &round->store));
}

/* ---- changes ---- */

static void delete_range(struct round *round, MDB_txn *txn) {
    uint8_t a[KEY_MAX], b[KEY_MAX];
    lore_slice begin = draw_key(round, a), end = draw_key(round, b);
    if (random_below(&round->random, 8) == 0) end.size = 0;
    MUST(lore_delete_range(round->store, 1, begin, end));
    MDB_cursor *cursor;
    LMDB(mdb_cursor_open(txn, round->map, &cursor));
    MDB_val key = to_lmdb(begin), value, stop = to_lmdb(end);
    int found = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (found == MDB_SUCCESS && (end.size == 0 || mdb_cmp(txn, round->map, &key, &stop) < 0)) {
        LMDB(mdb_cursor_del(cursor, 0));
        found = mdb_cursor_get(cursor, &key, &value, MDB_GET_CURRENT);
        if (found != MDB_SUCCESS) break;
    }
    mdb_cursor_close(cursor);
}

static void change(struct round *round) {
    uint8_t k[KEY_MAX], v[6000];
    uint64_t die = random_below(&round->random, 100);
    MDB_txn *txn;
    LMDB(mdb_txn_begin(round->env, NULL, 0, &txn));
    if (die < 70) {
        lore_slice key = draw_key(round, k), value = draw_value(round, v);
        MDB_val lmdb_key = to_lmdb(key), lmdb_value = to_lmdb(value);
        MUST(lore_put(round->store, 1, key, value));
        LMDB(mdb_put(txn, round->map, &lmdb_key, &lmdb_value, 0));
    } else if (die < 92) {
        lore_slice key = draw_key(round, k);
        MDB_val lmdb_key = to_lmdb(key);
        MUST(lore_delete(round->store, 1, key));
        int result = mdb_del(txn, round->map, &lmdb_key, NULL);
        CHECK(result == MDB_SUCCESS || result == MDB_NOTFOUND);
    } else {
        delete_range(round, txn);
    }
    LMDB(mdb_txn_commit(txn));
}

/* ---- questions ---- */

static void check_same(lore_iter *iter, int found, const MDB_val *key, const MDB_val *value) {
    CHECK(found == MDB_SUCCESS || found == MDB_NOTFOUND);
    CHECK(lore_iter_valid(iter) == (found == MDB_SUCCESS));
    if (found != MDB_SUCCESS) return;
    lore_slice here = lore_iter_key(iter), content;
    CHECK(here.size == key->mv_size && memcmp(here.data, key->mv_data, here.size) == 0);
    MUST(lore_iter_value(iter, &content));
    CHECK(content.size == value->mv_size);
    CHECK(content.size == 0 || memcmp(content.data, value->mv_data, content.size) == 0);
}

/* LMDB's cursor at the last key <= `key`. */
static int seek_back(MDB_txn *txn, const struct round *round, MDB_cursor *cursor, MDB_val *key,
                     MDB_val *value) {
    MDB_val wanted = *key;
    int found = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (found == MDB_NOTFOUND) return mdb_cursor_get(cursor, key, value, MDB_LAST);
    if (found == MDB_SUCCESS && mdb_cmp(txn, round->map, key, &wanted) > 0)
        return mdb_cursor_get(cursor, key, value, MDB_PREV);
    return found;
}

static void walk(struct round *round, MDB_txn *txn, const lore_snapshot *snapshot, bool whole) {
    uint8_t k[KEY_MAX];
    lore_iter *iter;
    MDB_cursor *cursor;
    MDB_val key, value;
    int found = MDB_NOTFOUND;
    MUST(lore_iter_create(round->store, snapshot, 1, NULL, &iter));
    LMDB(mdb_cursor_open(txn, round->map, &cursor));
    bool backward = random_below(&round->random, 2) == 0;
    for (unsigned step = 0; whole || step < 40; step++) {
        uint64_t die = random_below(&round->random, 12);
        if (step == 0 && whole) {
            found = mdb_cursor_get(cursor, &key, &value, backward ? MDB_LAST : MDB_FIRST);
            MUST(backward ? lore_iter_seek_last(iter) : lore_iter_seek_first(iter));
        } else if (whole ? backward : found == MDB_SUCCESS && die < 5) {
            found = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
            MUST(lore_iter_prev(iter));
        } else if (whole || (found == MDB_SUCCESS && die < 10)) {
            found = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
            MUST(lore_iter_next(iter));
        } else {
            lore_slice wanted = draw_key(round, k);
            key = to_lmdb(wanted);
            found = backward ? seek_back(txn, round, cursor, &key, &value)
                             : mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
            MUST(backward ? lore_iter_seek_back(iter, wanted) : lore_iter_seek(iter, wanted));
            backward = !backward;
        }
        check_same(iter, found, &key, &value);
        if (whole && found != MDB_SUCCESS) break;
    }
    mdb_cursor_close(cursor);
    lore_iter_destroy(iter);
}

static void get(struct round *round, MDB_txn *txn, const lore_snapshot *snapshot) {
    uint8_t k[KEY_MAX];
    lore_slice key = draw_key(round, k);
    MDB_val lmdb_key = to_lmdb(key), value;
    lore_buffer buffer = {0};
    lore_status status = lore_get(round->store, snapshot, 1, key, &buffer, NULL);
    int found = mdb_get(txn, round->map, &lmdb_key, &value);
    CHECK(status == LORE_OK ? found == MDB_SUCCESS
                            : status == LORE_NOT_FOUND && found == MDB_NOTFOUND);
    CHECK(status != LORE_OK ||
          (buffer.size == value.mv_size && memcmp(buffer.data, value.mv_data, buffer.size) == 0));
    lore_buffer_free(&buffer);
}

static void ask(struct round *round, MDB_txn *txn, const lore_snapshot *snapshot, bool whole) {
    for (unsigned i = 0; i < 8; i++)
        get(round, txn, snapshot);
    walk(round, txn, snapshot, whole);
}

static void ask_now(struct round *round, bool whole) {
    MDB_txn *txn;
    LMDB(mdb_txn_begin(round->env, NULL, MDB_RDONLY, &txn));
    ask(round, txn, NULL, whole);
    mdb_txn_abort(txn);
}

/* ---- rounds ---- */

static void let_go(struct round *round, unsigned index) {
    if (round->snapshots[index] == NULL) return;
    ask(round, round->readers[index], round->snapshots[index], true);
    lore_snapshot_release(round->snapshots[index]);
    mdb_txn_abort(round->readers[index]);
    round->snapshots[index] = NULL;
}

static void take_snapshot(struct round *round) {
    unsigned index = (unsigned)random_below(&round->random, SNAPSHOTS);
    let_go(round, index);
    MUST(lore_snapshot_create(round->store, &round->snapshots[index]));
    LMDB(mdb_txn_begin(round->env, NULL, MDB_RDONLY, &round->readers[index]));
}

static void reopen(struct round *round) {
    for (unsigned i = 0; i < SNAPSHOTS; i++)
        let_go(round, i);
    MUST(lore_close(round->store));
    open_store(round);
}

static void run(struct round *round) {
    char path[TEST_PATH_BYTES + 8];
    MDB_txn *txn;
    make_folder(round->folder, "map-lmdb");
    snprintf(path, sizeof path, "%s/lmdb", round->folder);
    LMDB(mdb_env_create(&round->env));
    LMDB(mdb_env_set_mapsize(round->env, MAP_BYTES));
    LMDB(mdb_env_open(round->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS, 0600));
    LMDB(mdb_txn_begin(round->env, NULL, 0, &txn));
    LMDB(mdb_dbi_open(txn, NULL, 0, &round->map));
    LMDB(mdb_txn_commit(txn));
    open_store(round);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        uint64_t die = random_below(&round->random, 200);
        unsigned index = (unsigned)random_below(&round->random, SNAPSHOTS);
        if (die < 150) change(round);
        if (die >= 150 && die < 180) ask_now(round, die == 179);
        if (die >= 180 && die < 190 && round->snapshots[index] != NULL)
            ask(round, round->readers[index], round->snapshots[index], die == 189);
        if (die >= 190 && die < 194) take_snapshot(round);
        if (die >= 194 && die < 198) MUST(lore_flush(round->store));
        if (die == 198) MUST(lore_compact(round->store, NULL, NULL));
        if (die == 199) reopen(round);
    }
    reopen(round);
    ask_now(round, true);
    verify_clean(round->store);
    MUST(lore_close(round->store));
    mdb_env_close(round->env);
    remove_tree(round->folder);
}

int main(int argc, char **argv) {
    static struct round round;
    uint64_t seed = seed_of(argc, argv), rounds = 12;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--rounds") == 0) rounds = strtoull(argv[i + 1], NULL, 0);
    for (uint64_t i = 0; i < rounds; i++) {
        memset(&round, 0, sizeof round);
        round.random = seed + i;
        run(&round);
    }
    printf("%" PRIu64 " rounds of %u operations\n", rounds, OPERATIONS);
    return 0;
}
