/*
 * peers_bench.c - the same jobs on Lore, SQLite and LMDB, side by side in one run.
 *
 *   peers_bench [DIR, default .] [REPETITIONS, default 5] [RECORDS, default 50000]
 *
 *   single    durable puts, one after the other, of 100 bytes
 *   batch     durable batches of 256 records of 400 bytes of text
 *   read      random reads of RECORDS records of 400 bytes
 *   scan      all of them, in order of key
 *
 * Every store is as durable as the others: Lore with LORE_SYNC_FULL, SQLite with a write-ahead log
 * and synchronous=FULL, LMDB as it comes. Keys are 16 bytes in random order; SQLite's table is
 * WITHOUT ROWID with that key, its statements are prepared, its cache is as large as Lore's
 * memory_budget. Reads are verified. Each repetition runs every job on every store, in turn, and
 * takes the ratio of times within itself. SQLite and LMDB are compared where they were found when
 * this was built.
 */
#define _POSIX_C_SOURCE 200809L
#include <sys/stat.h>

#include "bench.h"

#ifdef BENCH_SQLITE
#include <sqlite3.h>
#endif
#ifdef BENCH_LMDB
#include <lmdb.h>
#endif

#define SINGLE_PUTS   1000u
#define SINGLE_BYTES  100u
#define BATCHES       40u
#define BATCH_RECORDS 256u
#define RECORD_BYTES  400u
#define MEMORY_MIB    64u

enum job { JOB_SINGLE, JOB_BATCH, JOB_READ, JOB_SCAN, JOBS };
static const char *const job_names[JOBS] = {"single durable puts", "durable batches of 256",
                                            "random reads", "full scan"};

/* One way to keep records. `put` writes numbers [first, first + count) as one durable commit. */
struct peer {
    const char *name;
    void (*open)(const char *path);
    void (*close)(void);
    void (*put)(uint64_t first, uint64_t count, size_t bytes);
    void (*settle)(void); /* after loading: what the store would do when idle */
    uint64_t (*read)(uint64_t number, char *value); /* returns the value's size */
    uint64_t (*scan)(uint64_t *bytes);              /* returns how many records there are */
};

/* ---- Lore ---- */

static lore_store *store;
static lore_batch *batch;
static lore_buffer buffer;

static void lore_peer_open(const char *path) {
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = (uint64_t)MEMORY_MIB << 20;
    MUST(lore_open(path, &options, &store));
    MUST(lore_batch_create(store, &batch));
}

static void lore_peer_close(void) {
    lore_batch_destroy(batch);
    lore_buffer_free(&buffer);
    MUST(lore_close(store));
}

static void lore_peer_put(uint64_t first, uint64_t count, size_t bytes) {
    uint8_t key[16];
    char value[RECORD_BYTES];
    lore_batch_clear(batch);
    for (uint64_t n = first; n < first + count; n++) {
        bench_key(n, key);
        bench_text(n, value, bytes);
        MUST(lore_batch_put(batch, 1, (lore_slice){key, 16}, (lore_slice){value, bytes}));
    }
    MUST(lore_write(store, batch, NULL));
}

static void lore_peer_settle(void) {
    MUST(lore_compact(store, NULL, NULL));
}

static uint64_t lore_peer_read(uint64_t number, char *value) {
    uint8_t key[16];
    bench_key(number, key);
    MUST(lore_get(store, NULL, 1, (lore_slice){key, 16}, &buffer, NULL));
    memcpy(value, buffer.data, buffer.size);
    return buffer.size;
}

static uint64_t lore_peer_scan(uint64_t *bytes) {
    lore_iter *iter;
    uint64_t count = 0;
    MUST(lore_iter_create(store, NULL, 1, NULL, &iter));
    MUST(lore_iter_seek_first(iter));
    for (; lore_iter_valid(iter); count++) {
        lore_slice value;
        MUST(lore_iter_value(iter, &value));
        *bytes += lore_iter_key(iter).size + value.size;
        MUST(lore_iter_next(iter));
    }
    lore_iter_destroy(iter);
    return count;
}

/* ---- SQLite ---- */

#ifdef BENCH_SQLITE
static sqlite3 *database;
static sqlite3_stmt *insert_statement, *select_statement, *scan_statement;

static void sqlite_must(int result, const char *what) {
    if (result != SQLITE_OK && result != SQLITE_DONE && result != SQLITE_ROW)
        bench_die(what, sqlite3_errmsg(database));
}
static void sqlite_run(const char *sql) {
    sqlite_must(sqlite3_exec(database, sql, NULL, NULL, NULL), sql);
}
static void sqlite_prepare(const char *sql, sqlite3_stmt **statement) {
    sqlite_must(sqlite3_prepare_v2(database, sql, -1, statement, NULL), sql);
}

static void sqlite_peer_open(const char *path) {
    char file[1100], sql[64];
    if (mkdir(path, 0700) != 0) bench_die(path, "cannot be made");
    snprintf(file, sizeof file, "%s/sqlite.db", path);
    if (sqlite3_open(file, &database) != SQLITE_OK) bench_die(file, "cannot be opened");
    sqlite_run("PRAGMA journal_mode=WAL");
    sqlite_run("PRAGMA synchronous=FULL");
    snprintf(sql, sizeof sql, "PRAGMA cache_size=-%u", MEMORY_MIB << 10);
    sqlite_run(sql);
    sqlite_run("CREATE TABLE records (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID");
    sqlite_prepare("INSERT OR REPLACE INTO records VALUES (?, ?)", &insert_statement);
    sqlite_prepare("SELECT value FROM records WHERE key = ?", &select_statement);
    sqlite_prepare("SELECT key, value FROM records ORDER BY key", &scan_statement);
}

static void sqlite_peer_close(void) {
    sqlite3_finalize(insert_statement);
    sqlite3_finalize(select_statement);
    sqlite3_finalize(scan_statement);
    if (sqlite3_close(database) != SQLITE_OK) bench_die("sqlite3_close", "busy");
}

static void sqlite_peer_put(uint64_t first, uint64_t count, size_t bytes) {
    uint8_t key[16];
    char value[RECORD_BYTES];
    sqlite_run("BEGIN");
    for (uint64_t n = first; n < first + count; n++) {
        bench_key(n, key);
        bench_text(n, value, bytes);
        sqlite3_bind_blob(insert_statement, 1, key, 16, SQLITE_STATIC);
        sqlite3_bind_blob(insert_statement, 2, value, (int)bytes, SQLITE_STATIC);
        sqlite_must(sqlite3_step(insert_statement), "insert");
        sqlite3_reset(insert_statement);
    }
    sqlite_run("COMMIT");
}

static void sqlite_peer_settle(void) {
    sqlite_run("PRAGMA wal_checkpoint(TRUNCATE)");
}

static uint64_t sqlite_peer_read(uint64_t number, char *value) {
    uint8_t key[16];
    bench_key(number, key);
    sqlite3_bind_blob(select_statement, 1, key, 16, SQLITE_STATIC);
    if (sqlite3_step(select_statement) != SQLITE_ROW) bench_die("select", "not there");
    int size = sqlite3_column_bytes(select_statement, 0);
    memcpy(value, sqlite3_column_blob(select_statement, 0), (size_t)size);
    sqlite3_reset(select_statement);
    return (uint64_t)size;
}

static uint64_t sqlite_peer_scan(uint64_t *bytes) {
    uint64_t count = 0;
    for (; sqlite3_step(scan_statement) == SQLITE_ROW; count++)
        *bytes += (uint64_t)sqlite3_column_bytes(scan_statement, 0) +
                  (uint64_t)sqlite3_column_bytes(scan_statement, 1);
    sqlite3_reset(scan_statement);
    return count;
}
#endif

/* ---- LMDB ---- */

#ifdef BENCH_LMDB
static MDB_env *environment;
static MDB_dbi table;
static MDB_txn *reading;

static void lmdb_must(int result, const char *what) {
    if (result != 0) bench_die(what, mdb_strerror(result));
}

static void lmdb_peer_open(const char *path) {
    MDB_txn *transaction;
    if (mkdir(path, 0700) != 0) bench_die(path, "cannot be made");
    lmdb_must(mdb_env_create(&environment), "mdb_env_create");
    lmdb_must(mdb_env_set_mapsize(environment, (size_t)4 << 30), "mdb_env_set_mapsize");
    lmdb_must(mdb_env_open(environment, path, 0, 0600), path);
    lmdb_must(mdb_txn_begin(environment, NULL, 0, &transaction), "mdb_txn_begin");
    lmdb_must(mdb_dbi_open(transaction, NULL, 0, &table), "mdb_dbi_open");
    lmdb_must(mdb_txn_commit(transaction), "mdb_txn_commit");
    lmdb_must(mdb_txn_begin(environment, NULL, MDB_RDONLY, &reading), "mdb_txn_begin");
    mdb_txn_reset(reading);
}

static void lmdb_peer_close(void) {
    mdb_txn_abort(reading);
    mdb_env_close(environment);
}

static void lmdb_peer_put(uint64_t first, uint64_t count, size_t bytes) {
    uint8_t key[16];
    char value[RECORD_BYTES];
    MDB_txn *transaction;
    lmdb_must(mdb_txn_begin(environment, NULL, 0, &transaction), "mdb_txn_begin");
    for (uint64_t n = first; n < first + count; n++) {
        bench_key(n, key);
        bench_text(n, value, bytes);
        MDB_val name = {16, key}, data = {bytes, value};
        lmdb_must(mdb_put(transaction, table, &name, &data, 0), "mdb_put");
    }
    lmdb_must(mdb_txn_commit(transaction), "mdb_txn_commit");
}

static void lmdb_peer_settle(void) {}

static uint64_t lmdb_peer_read(uint64_t number, char *value) {
    uint8_t key[16];
    bench_key(number, key);
    MDB_val name = {16, key}, data;
    /* A transaction a read, as the others have it. */
    lmdb_must(mdb_txn_renew(reading), "mdb_txn_renew");
    lmdb_must(mdb_get(reading, table, &name, &data), "mdb_get");
    memcpy(value, data.mv_data, data.mv_size);
    mdb_txn_reset(reading);
    return data.mv_size;
}

static uint64_t lmdb_peer_scan(uint64_t *bytes) {
    MDB_cursor *cursor;
    MDB_val name, data;
    uint64_t count = 0;
    lmdb_must(mdb_txn_renew(reading), "mdb_txn_renew");
    lmdb_must(mdb_cursor_open(reading, table, &cursor), "mdb_cursor_open");
    for (; mdb_cursor_get(cursor, &name, &data, MDB_NEXT) == 0; count++)
        *bytes += name.mv_size + data.mv_size;
    mdb_cursor_close(cursor);
    mdb_txn_reset(reading);
    return count;
}
#endif

/* ---- jobs ---- */

static const struct peer peers[] = {
    {"Lore", lore_peer_open, lore_peer_close, lore_peer_put, lore_peer_settle, lore_peer_read,
     lore_peer_scan},
#ifdef BENCH_SQLITE
    {"SQLite", sqlite_peer_open, sqlite_peer_close, sqlite_peer_put, sqlite_peer_settle,
     sqlite_peer_read, sqlite_peer_scan},
#endif
#ifdef BENCH_LMDB
    {"LMDB", lmdb_peer_open, lmdb_peer_close, lmdb_peer_put, lmdb_peer_settle, lmdb_peer_read,
     lmdb_peer_scan},
#endif
};
#define PEERS      (sizeof peers / sizeof peers[0])
#define SINGLE_AT  (UINT64_C(1) << 40) /* numbers of the single puts, and of the batches */
#define BATCHES_AT (UINT64_C(1) << 41)

static double job_single(const struct peer *peer, uint64_t repetition) {
    double began = bench_seconds();
    for (uint64_t i = 0; i < SINGLE_PUTS; i++)
        peer->put(SINGLE_AT + repetition * SINGLE_PUTS + i, 1, SINGLE_BYTES);
    return bench_seconds() - began;
}

static double job_batch(const struct peer *peer, uint64_t repetition) {
    double began = bench_seconds();
    for (uint64_t i = 0; i < BATCHES; i++)
        peer->put(BATCHES_AT + (repetition * BATCHES + i) * BATCH_RECORDS, BATCH_RECORDS,
                  RECORD_BYTES);
    return bench_seconds() - began;
}

static double job_read(const struct peer *peer, uint64_t records, uint64_t seed) {
    char value[65536], wanted[RECORD_BYTES];
    uint64_t random = seed;
    double began = bench_seconds();
    for (uint64_t i = 0; i < records; i++) {
        uint64_t number = bench_random(&random) % records;
        if (peer->read(number, value) != RECORD_BYTES) bench_die(peer->name, "a wrong size");
        if (i % 64 != 0) continue;
        bench_text(number, wanted, RECORD_BYTES);
        if (memcmp(value, wanted, RECORD_BYTES) != 0) bench_die(peer->name, "a wrong value");
    }
    return bench_seconds() - began;
}

static double job_scan(const struct peer *peer, uint64_t records) {
    uint64_t bytes = 0;
    double began = bench_seconds();
    if (peer->scan(&bytes) != records) bench_die(peer->name, "records are missing");
    if (bytes != records * (16 + RECORD_BYTES)) bench_die(peer->name, "bytes are missing");
    return bench_seconds() - began;
}

static void load(const struct peer *peer, uint64_t records) {
    for (uint64_t n = 0; n < records; n += 4096)
        peer->put(n, n + 4096 < records ? 4096 : records - n, RECORD_BYTES);
    peer->settle();
}

static void run_peer(const char *path, const struct peer *peer, uint64_t records,
                     uint64_t repetition, double times[JOBS]) {
    bench_remove(path);
    peer->open(path);
    load(peer, records);
    times[JOB_READ] = job_read(peer, records, repetition);
    times[JOB_SCAN] = job_scan(peer, records);
    times[JOB_SINGLE] = job_single(peer, repetition);
    times[JOB_BATCH] = job_batch(peer, repetition);
    peer->close();
    bench_remove(path);
}

static uint64_t operations_of(enum job job, uint64_t records) {
    return job == JOB_SINGLE ? SINGLE_PUTS : job == JOB_BATCH ? BATCHES : records;
}

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : ".";
    unsigned repetitions = argc > 2 ? (unsigned)atoi(argv[2]) : 5;
    uint64_t records = argc > 3 ? strtoull(argv[3], NULL, 10) : 50000;
    static struct spread rates[PEERS][JOBS], ratios[PEERS][JOBS];
    char path[1024], text[96], more[96];
    if (repetitions == 0 || repetitions > REPETITIONS_MAX || records == 0) {
        fprintf(stderr, "usage: peers_bench [DIR] [REPETITIONS, 1 to 50] [RECORDS]\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/lore-peers-bench-%ld", dir, (long)getpid());
    printf("%s: %u repetitions, %" PRIu64 " records; median (least to most)\n", dir, repetitions,
           records);
    for (unsigned r = 0; r < repetitions; r++) {
        double times[PEERS][JOBS];
        for (size_t p = 0; p < PEERS; p++) {
            size_t turn = (p + r) % PEERS; /* nobody is always first */
            run_peer(path, &peers[turn], records, r, times[turn]);
        }
        for (size_t p = 0; p < PEERS; p++)
            for (unsigned job = 0; job < JOBS; job++) {
                double operations = (double)operations_of((enum job)job, records);
                spread_add(&rates[p][job], operations / times[p][job]);
                spread_add(&ratios[p][job], times[p][job] / times[0][job]);
            }
    }
    for (unsigned job = 0; job < JOBS; job++) {
        printf("%s\n", job_names[job]);
        for (size_t p = 0; p < PEERS; p++)
            printf("  %-7s %-34s a second   Lore is %s times as fast\n", peers[p].name,
                   spread_text(&rates[p][job], 0, text), spread_text(&ratios[p][job], 2, more));
    }
    return 0;
}
