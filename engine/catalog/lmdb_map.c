/*
 * lmdb_map.c - checked records over LMDB 0.9.
 */
#include "catalog/lmdb_map.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <lmdb.h>

#include "base/digest.h"
#include "catalog/edit.h"
#include "catalog/catalog.h"
#include "catalog/lmdb_check.h"

#include "base/poison.h"

#define VALUE_VERSION      1u
#define VALUE_HEADER_BYTES 9u
#define STATE_BYTES        64u
#define MAP_BYTES_MIN      (UINT64_C(1) << 20)

static const char state_key[] = "\0number";
#define STATE_KEY_BYTES (sizeof state_key - 1)

struct lmdb_map {
    struct lmdb_place place;
    char path[PATH_BYTES_MAX];
    struct logger logger; /* a copy: LMDB's assert may come at any time */
    MDB_env *lmdb;
    MDB_dbi dbi;
    bool lent; /* native_open has been called */
    struct lmdb_state state;
    struct bytes scratch; /* a value with its header */
};

/* ---- failures ---- */

static lore_status lmdb_fail(const struct lmdb_map *map, int code, const char *call) {
    lore_status status = LORE_IO;
    switch (code) {
    case ENOMEM: status = LORE_NO_MEMORY; break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case MDB_MAP_FULL: status = LORE_FULL; break;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_NOTFOUND: status = LORE_CORRUPTION; break;
    default: break;
    }
    return fail(status, "%s: %s: %s", map->path, call, mdb_strerror(code));
}

/* LMDB is about to abort: leave word. */
static void note_assert(MDB_env *lmdb, const char *message) {
    struct lmdb_map *map = mdb_env_get_userctx(lmdb);
    log_write(&map->logger, LORE_LOG_ERROR, "%s: LMDB gives up and aborts the process: %s",
              map->path, message);
}

static lore_status bad_value(const struct lmdb_map *map, const char *what) {
    return fail(LORE_CORRUPTION, "%s: %s", map->path, what);
}

/* ---- values ---- */

static MDB_val lmdb_val(lore_slice s) {
    union {
        const void *in;
        void *out; /* LMDB's type is not const; it only reads what it is given */
    } data = {s.data};
    return (MDB_val){s.size, data.out};
}

static lore_slice from_lmdb(const MDB_val *value) {
    return slice(value->mv_data, value->mv_size);
}

static uint64_t value_check(lore_slice key, lore_slice content) {
    uint8_t size[4];
    put_u32(size, (uint32_t)key.size);
    uint64_t seed = check64_seeded(key.data, key.size, check64(size, sizeof size));
    return check64_seeded(content.data, content.size, seed);
}

/* The content of a stored value; false if it is not this key's. */
static bool open_value(lore_slice key, lore_slice value, lore_slice *content, uint64_t *check) {
    const uint8_t *data = value.data;
    if (value.size < VALUE_HEADER_BYTES || data[0] != VALUE_VERSION) return false;
    *content = slice(data + VALUE_HEADER_BYTES, value.size - VALUE_HEADER_BYTES);
    *check = get_u64(data + 1);
    return check_matches(*check, value_check(key, *content));
}

static lore_status close_value(struct lmdb_map *map, lore_slice key, lore_slice content,
                               uint64_t *check) {
    *check = value_check(key, content);
    bytes_clear(&map->scratch);
    TRY(bytes_reserve(&map->scratch, VALUE_HEADER_BYTES + content.size));
    TRY(append_u8(&map->scratch, VALUE_VERSION));
    TRY(append_u64(&map->scratch, *check));
    return bytes_append(&map->scratch, content.data, content.size);
}

/* ---- the state's record ---- */

static lore_slice state_slice(void) {
    return slice(state_key, STATE_KEY_BYTES);
}

static void state_encode(const struct lmdb_state *state, uint8_t out[STATE_BYTES]) {
    put_u64(out, state->number);
    put_u64(out + 8, state->history);
    put_u64(out + 16, state->records);
    put_u64(out + 24, state->sum);
    memcpy(out + 32, state->identity.store_id, 16);
    memcpy(out + 48, state->identity.lineage, 16);
}

static bool state_decode(lore_slice in, struct lmdb_state *state) {
    if (in.size != STATE_BYTES) return false;
    const uint8_t *data = in.data;
    *state = (struct lmdb_state){
        get_u64(data), get_u64(data + 8), get_u64(data + 16), get_u64(data + 24), {{0}, {0}}};
    memcpy(state->identity.store_id, data + 32, 16);
    memcpy(state->identity.lineage, data + 48, 16);
    return true;
}

/* ---- open, close ---- */

void lmdb_map_close(struct lmdb_map *map) {
    if (map == NULL) return;
    if (map->lmdb != NULL) mdb_env_close(map->lmdb);
    struct fs *fs = map->place.env->fs;
    if (map->lent) fs->ops->native_close(fs, map->path);
    bytes_free(&map->scratch);
    mem_put(map->place.allocator, map, sizeof *map);
}

/* Room to grow by half, a power of two, within the limit. */
static size_t map_bytes_for(const struct lmdb_map *map, uint64_t file_bytes) {
    uint64_t wanted = MAP_BYTES_MIN;
    while (wanted < file_bytes + file_bytes / 2)
        wanted *= 2;
    if (wanted > map->place.bytes_max) wanted = map->place.bytes_max;
    return (size_t)wanted;
}

static lore_status open_lmdb(struct lmdb_map *map, uint64_t file_bytes) {
    struct fs *fs = map->place.env->fs;
    char native[PATH_BYTES_MAX];
    TRY(fs->ops->native_open(fs, map->path, native, sizeof native));
    map->lent = true;
    int code = mdb_env_create(&map->lmdb);
    if (code != 0) return lmdb_fail(map, code, "mdb_env_create");
    (void)mdb_env_set_userctx(map->lmdb, map);
    (void)mdb_env_set_assert(map->lmdb, note_assert);
    code = mdb_env_set_mapsize(map->lmdb, map_bytes_for(map, file_bytes));
    if (code != 0) return lmdb_fail(map, code, "mdb_env_set_mapsize");
    const unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD;
    code = mdb_env_open(map->lmdb, native, flags, map->place.group_access ? 0660 : 0600);
    if (code != 0) return lmdb_fail(map, code, "mdb_env_open");
    MDB_txn *txn;
    code = mdb_txn_begin(map->lmdb, NULL, MDB_RDONLY, &txn);
    if (code != 0) return lmdb_fail(map, code, "mdb_txn_begin");
    code = mdb_dbi_open(txn, NULL, 0, &map->dbi);
    mdb_txn_abort(txn);
    return code == 0 ? LORE_OK : lmdb_fail(map, code, "mdb_dbi_open");
}

static lore_status map_new(const struct lmdb_place *place, struct lmdb_map **map) {
    void *memory;
    TRY(mem_new(place->allocator, sizeof(struct lmdb_map), &memory));
    *map = memory;
    (*map)->place = *place;
    (*map)->scratch = bytes_empty(place->allocator);
    if (place->logger != NULL) (*map)->logger = *place->logger;
    lore_status status = path_join((*map)->path, "", place->path);
    (*map)->place.path = (*map)->path;
    if (status == LORE_OK) return LORE_OK;
    lmdb_map_close(*map);
    *map = NULL;
    return status;
}

lore_status lmdb_map_create(const struct lmdb_place *place, const struct identity *identity,
                            struct lmdb_map **map) {
    TRY(map_new(place, map));
    (*map)->state.identity = *identity;
    lore_status status = open_lmdb(*map, 0);
    if (status == LORE_OK) return LORE_OK;
    lmdb_map_close(*map);
    *map = NULL;
    return status;
}

/* ---- reading ---- */

static lore_status begin_read(struct lmdb_map *map, MDB_txn **txn, MDB_cursor **cursor) {
    int code = mdb_txn_begin(map->lmdb, NULL, MDB_RDONLY, txn);
    if (code != 0) return lmdb_fail(map, code, "mdb_txn_begin");
    code = mdb_cursor_open(*txn, map->dbi, cursor);
    if (code == 0) return LORE_OK;
    mdb_txn_abort(*txn);
    return lmdb_fail(map, code, "mdb_cursor_open");
}

static void end_read(MDB_txn *txn, MDB_cursor *cursor) {
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
}

/* Every value, and their sum, against the state. */
struct tally {
    const char *path;
    uint64_t records, sum;
    bool has_state;
    struct lmdb_state state;
};

static lore_status count_record(void *context, lore_slice key, lore_slice value) {
    struct tally *tally = context;
    lore_slice content;
    uint64_t check;
    if (!open_value(key, value, &content, &check))
        return fail(LORE_CORRUPTION, "%s: a value fails its check", tally->path);
    if (slice_equal(key, state_slice())) {
        tally->has_state = state_decode(content, &tally->state);
        return LORE_OK;
    }
    tally->records++;
    tally->sum += check;
    return LORE_OK;
}

static lore_status check_tally(const struct tally *tally) {
    if (!tally->has_state)
        return fail(LORE_CORRUPTION, "%s: it does not say which edit it has come to", tally->path);
    if (tally->records == tally->state.records && tally->sum == tally->state.sum) return LORE_OK;
    return fail(LORE_CORRUPTION, "%s: its records are not those that it says it has", tally->path);
}

static lore_status check_values(struct lmdb_map *map, MDB_cursor *cursor) {
    struct tally tally = {.path = map->path};
    MDB_val k, v;
    int code;
    for (code = mdb_cursor_get(cursor, &k, &v, MDB_FIRST); code == 0;
         code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT))
        TRY(count_record(&tally, from_lmdb(&k), from_lmdb(&v)));
    if (code != MDB_NOTFOUND) return lmdb_fail(map, code, "mdb_cursor_get");
    map->state = tally.state;
    return check_tally(&tally);
}

lore_status lmdb_map_check(const struct lmdb_place *place) {
    struct tally tally = {.path = place->path};
    TRY(lmdb_check_records(place->env, place->allocator, place->path, place->bytes_max,
                           VALUE_HEADER_BYTES + CATALOG_VALUE_BYTES_MAX, count_record, &tally));
    return check_tally(&tally);
}

lore_status lmdb_map_open(const struct lmdb_place *place, struct lmdb_map **map) {
    *map = NULL;
    TRY(lmdb_check(place->env, place->allocator, place->path, place->bytes_max));
    uint64_t file_bytes;
    bool is_dir;
    uint32_t mode;
    TRY(place->env->fs->ops->stat(place->env->fs, place->path, &file_bytes, &is_dir, &mode));
    struct lmdb_map *m;
    TRY(map_new(place, &m));
    MDB_txn *txn;
    MDB_cursor *cursor;
    lore_status status = open_lmdb(m, file_bytes);
    if (status == LORE_OK) status = begin_read(m, &txn, &cursor);
    if (status == LORE_OK) {
        status = check_values(m, cursor);
        end_read(txn, cursor);
    }
    if (status != LORE_OK) {
        lmdb_map_close(m);
        return status;
    }
    *map = m;
    return LORE_OK;
}

const struct lmdb_state *lmdb_map_state(const struct lmdb_map *map) {
    return &map->state;
}

lore_status lmdb_map_get(struct lmdb_map *map, lore_slice key, struct bytes *value) {
    MDB_txn *txn;
    int code = mdb_txn_begin(map->lmdb, NULL, MDB_RDONLY, &txn);
    if (code != 0) return lmdb_fail(map, code, "mdb_txn_begin");
    MDB_val k = lmdb_val(key), v;
    lore_slice content;
    uint64_t check;
    lore_status status;
    code = mdb_get(txn, map->dbi, &k, &v);
    if (code == MDB_NOTFOUND) {
        status = LORE_NOT_FOUND;
    } else if (code != 0) {
        status = lmdb_fail(map, code, "mdb_get");
    } else if (!open_value(key, from_lmdb(&v), &content, &check)) {
        status = bad_value(map, "a value fails its check");
    } else {
        status = bytes_set(value, content);
    }
    mdb_txn_abort(txn);
    return status;
}

static lore_status append_record(struct lmdb_map *map, const MDB_val *k, const MDB_val *v,
                                 struct bytes *records) {
    lore_slice key = from_lmdb(k), content;
    uint64_t check;
    if (!open_value(key, from_lmdb(v), &content, &check)) {
        return bad_value(map, "a value fails its check");
    }
    struct catalog_edit edit = {*records, 0};
    lore_status status = catalog_edit_put(&edit, key, content);
    *records = edit.encoded;
    return status;
}

lore_status lmdb_map_collect(struct lmdb_map *map, lore_slice prefix, lore_slice from,
                             bool skip_equal, size_t bytes_wanted, struct bytes *records,
                             bool *more) {
    *more = false;
    MDB_txn *txn;
    MDB_cursor *cursor;
    TRY(begin_read(map, &txn, &cursor));
    /* Before the first of ours stands the state's record, whose key begins with a zero. */
    lore_slice start = from.size > 0 ? from : slice("\1", 1);
    MDB_val k = lmdb_val(start), v;
    lore_status status = LORE_OK;
    int code = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (code == 0 && status == LORE_OK && slice_starts_with(from_lmdb(&k), prefix)) {
        if (!skip_equal || !slice_equal(from_lmdb(&k), from)) {
            if (records->size >= bytes_wanted) {
                *more = true;
                break;
            }
            status = append_record(map, &k, &v, records);
        }
        code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    end_read(txn, cursor);
    if (status == LORE_OK && code != 0 && code != MDB_NOTFOUND) {
        return lmdb_fail(map, code, "mdb_cursor_get");
    }
    return status;
}

/* ---- writing ---- */

/* Take a record's check out of the state's sum, if the record is there. */
static lore_status forget_record(struct lmdb_map *map, MDB_txn *txn, lore_slice key,
                                 struct lmdb_state *state, bool *was_there) {
    MDB_val k = lmdb_val(key), v;
    int code = mdb_get(txn, map->dbi, &k, &v);
    *was_there = code == 0;
    if (code == MDB_NOTFOUND) return LORE_OK;
    if (code != 0) return lmdb_fail(map, code, "mdb_get");
    lore_slice content;
    uint64_t check;
    if (!open_value(key, from_lmdb(&v), &content, &check)) {
        return bad_value(map, "a value fails its check");
    }
    state->records--;
    state->sum -= check;
    return LORE_OK;
}

static lore_status put_value(struct lmdb_map *map, MDB_txn *txn, lore_slice key, lore_slice content,
                             int *code, uint64_t *check) {
    TRY(close_value(map, key, content, check));
    MDB_val k = lmdb_val(key), v = lmdb_val(bytes_slice(&map->scratch));
    *code = mdb_put(txn, map->dbi, &k, &v, 0);
    return *code == 0 ? LORE_OK : lmdb_fail(map, *code, "mdb_put");
}

static lore_status apply_change(struct lmdb_map *map, MDB_txn *txn,
                                const struct edit_change *change, struct lmdb_state *state,
                                int *code) {
    bool was_there;
    TRY(forget_record(map, txn, change->key, state, &was_there));
    if (change->put) {
        uint64_t check;
        TRY(put_value(map, txn, change->key, change->value, code, &check));
        state->records++;
        state->sum += check;
        return LORE_OK;
    }
    if (!was_there) return LORE_OK;
    MDB_val k = lmdb_val(change->key);
    *code = mdb_del(txn, map->dbi, &k, NULL);
    return *code == 0 ? LORE_OK : lmdb_fail(map, *code, "mdb_del");
}

static lore_status apply_all(struct lmdb_map *map, MDB_txn *txn, lore_slice encoded,
                             struct lmdb_state *state, int *code) {
    struct reader at = reader_over(encoded);
    for (;;) {
        struct edit_change change;
        bool found;
        TRY(edit_next(&at, &change, &found));
        if (!found) break;
        TRY(apply_change(map, txn, &change, state, code));
    }
    uint8_t bytes[STATE_BYTES];
    uint64_t check;
    state_encode(state, bytes);
    return put_value(map, txn, state_slice(), slice(bytes, sizeof bytes), code, &check);
}

/* One try. *code is LMDB's, when it was LMDB that failed. */
static lore_status apply_once(struct lmdb_map *map, lore_slice encoded, struct lmdb_state *state,
                              int *code) {
    MDB_txn *txn;
    *code = mdb_txn_begin(map->lmdb, NULL, 0, &txn);
    if (*code != 0) return lmdb_fail(map, *code, "mdb_txn_begin");
    lore_status status = apply_all(map, txn, encoded, state, code);
    if (status != LORE_OK) {
        mdb_txn_abort(txn);
        return status;
    }
    *code = mdb_txn_commit(txn);
    if (*code != 0) return lmdb_fail(map, *code, "mdb_txn_commit");
    struct fs *fs = map->place.env->fs;
    return fs->ops->native_commit(fs, map->path);
}

/* Twice the map, if the limit allows. */
static bool grow(struct lmdb_map *map) {
    MDB_envinfo info;
    if (mdb_env_info(map->lmdb, &info) != 0) return false;
    uint64_t bytes = (uint64_t)info.me_mapsize * 2;
    if (bytes > map->place.bytes_max) bytes = map->place.bytes_max;
    return bytes > info.me_mapsize && mdb_env_set_mapsize(map->lmdb, (size_t)bytes) == 0;
}

lore_status lmdb_map_apply(struct lmdb_map *map, lore_slice encoded, uint64_t number,
                           uint64_t history) {
    for (;;) {
        struct lmdb_state state = map->state;
        state.number = number;
        state.history = history;
        int code = 0;
        lore_status status = apply_once(map, encoded, &state, &code);
        if (code == MDB_MAP_FULL && grow(map)) continue;
        if (status == LORE_OK) map->state = state;
        return status;
    }
}
