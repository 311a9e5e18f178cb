/*
 * process_test.c - readers beside a writer in another process: refreshes, threads, openings,
 * backups. See process_history.h for what the writer writes.
 *
 *   process_test [--refreshes N] [--openings N] [PART]...      parts: readers threads openings
 * backup
 */
#define _DEFAULT_SOURCE
#include <pthread.h>

#include "process_history.h"

static uint64_t refreshes = 150, openings = 100;

/* ---- readers beside a writer ---- */

static void check_named(lore_store *store) {
    char name[32] = "";
    MUST(lore_snapshot_list(store, take_name, name));
    if (name[0] == '\0') return;
    lore_snapshot *snapshot;
    MUST(lore_snapshot_open(store, name, &snapshot));
    CHECK(check_prefix(store, snapshot) == strtoull(name + 1, NULL, 10));
    lore_snapshot_release(snapshot);
}

/* What an open snapshot or iterator of a reader shows never changes, though the writer knows
 * nothing of it and merges away what it needs: so a refresh is refused while one is out. */
static void check_refresh_waits_for_snapshots(pid_t writer, lore_store *store) {
    lore_snapshot *snapshot;
    lore_iter *iter;
    MUST(lore_snapshot_create(store, &snapshot));
    uint64_t last = check_prefix(store, snapshot);
    MUST(lore_iter_create(store, NULL, NUMBERS, NULL, &iter));
    MUST(lore_iter_seek_first(iter));
    uint64_t first = key_number(lore_iter_key(iter));
    wait_for(writer, &shared->acknowledged, last + 3 * KEPT);
    MUST_BE(lore_refresh(store), LORE_MISUSE);
    CHECK(check_prefix(store, snapshot) == last);
    lore_snapshot_release(snapshot);
    MUST_BE(lore_refresh(store), LORE_MISUSE);
    for (uint64_t n = first; n <= last; n++) {
        CHECK(lore_iter_valid(iter) && key_number(lore_iter_key(iter)) == n);
        MUST(lore_iter_next(iter));
    }
    CHECK(!lore_iter_valid(iter));
    lore_iter_destroy(iter);
    MUST(lore_refresh(store));
    CHECK(check_prefix(store, NULL) >= last + 3 * KEPT);
}

/* Also a refresh that had to start again, since files went away meanwhile, keeps nothing. */
static void check_refresh_gives_memory_back(lore_store *store, const lore_stats *before) {
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    uint64_t held_before = before->memory_used - before->cache_bytes - before->memtable_bytes;
    CHECK(stats.memory_used - stats.cache_bytes - stats.memtable_bytes < held_before + (1u << 20));
}

static uint64_t check_fresh_opening(uint64_t seen) {
    uint64_t before = atomic_load(&shared->acknowledged);
    lore_store *store;
    MUST(open_at(path, true, 0, &store));
    uint64_t last = check_prefix(store, NULL);
    CHECK(last >= before && last >= seen);
    check_named(store);
    MUST(lore_close(store));
    return last;
}

/* The writer is asked to end, and everything is there. */
static void end_writer(pid_t writer, uint64_t seen) {
    atomic_store(&shared->stop, 1);
    expect_success(writer);
    lore_store *store;
    MUST(open_at(path, false, 0, &store));
    uint64_t last = check_prefix(store, NULL);
    CHECK(last == atomic_load(&shared->acknowledged) && last >= seen);
    verify_clean(store);
    MUST(lore_close(store));
}

static pid_t begin_writer(void) {
    remove_tree(path);
    remove_tree(backup_path);
    memset(shared, 0, sizeof *shared);
    pid_t writer = start_child(writer_main);
    wait_for(writer, &shared->acknowledged, 1);
    return writer;
}

static void part_readers(void) {
    pid_t writer = begin_writer();
    lore_store *store;
    uint64_t seen = 0, moved = 0;
    MUST(open_at(path, true, 0, &store));
    check_refusals(store);
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    for (uint64_t i = 0; i < refreshes; i++) {
        uint64_t before = atomic_load(&shared->acknowledged);
        MUST(lore_refresh(store));
        uint64_t last = check_prefix(store, NULL);
        CHECK(last >= before && last >= seen);
        if (last > seen) moved++;
        seen = last;
        if (i % 10 == 0) check_named(store);
        if (i % 10 == 5) seen = check_fresh_opening(seen);
        if (i % 50 == 20) check_refresh_waits_for_snapshots(writer, store);
        if (i % 40 == 30) verify_clean(store);
        int status;
        CHECK(waitpid(writer, &status, WNOHANG) == 0);
    }
    CHECK(moved > 1);
    check_refresh_gives_memory_back(store, &stats);
    MUST(lore_close(store));
    end_writer(writer, seen);
    printf("readers: %" PRIu64 " refreshes, %" PRIu64 " moved forward, %" PRIu64 " batches\n",
           refreshes, moved, atomic_load(&shared->acknowledged));
}

/* ---- a reader's threads while it is refreshed ---- */

static lore_store *refreshed;
static _Atomic int refreshing;

/* One thread reads while another refreshes: what has been seen once is never gone and never older;
 * a view that is held does not move, and a read beside it does not wait for ever. */
static void *reader_thread(void *context) {
    uint64_t seen = 0;
    (void)context;
    for (unsigned round = 0; atomic_load(&refreshing); round++) {
        uint64_t last = last_of(refreshed, NULL);
        CHECK(last >= seen && last > 0);
        seen = last;
        if (round % 512 != 0) continue; /* else the refresh would hardly ever find none out */
        lore_iter *iter;
        lore_slice value;
        MUST(lore_iter_create(refreshed, NULL, LAST, NULL, &iter));
        MUST(lore_iter_seek_first(iter));
        CHECK(lore_iter_valid(iter));
        MUST(lore_iter_value(iter, &value));
        uint64_t held = number_of(value);
        CHECK(held >= seen && last_of(refreshed, NULL) == held);
        lore_iter_destroy(iter);
        seen = held;
    }
    return NULL;
}

static void part_threads(void) {
    pid_t writer = begin_writer();
    pthread_t threads[2];
    uint64_t moved = 0;
    MUST(open_at(path, true, 0, &refreshed));
    atomic_store(&refreshing, 1);
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, reader_thread, NULL) == 0);
    while (moved < refreshes) {
        uint64_t before = atomic_load(&shared->acknowledged);
        lore_status status = lore_refresh(refreshed);
        if (status == LORE_OK) {
            CHECK(last_of(refreshed, NULL) >= before);
            moved++;
        } else {
            MUST_BE(status, LORE_MISUSE); /* an iterator is out at this moment */
            sleep_us(100);
        }
    }
    atomic_store(&refreshing, 0);
    for (unsigned i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    MUST(lore_close(refreshed));
    end_writer(writer, 1);
    printf("threads: two read while a third refreshes, %" PRIu64 " times\n", moved);
}

/* ---- opening beside a writer that never rests ---- */

#define CHURN_KEYS 20000u
#define CHURNERS   2

/* Small memtables and tables and no waiting for the device: hundreds of segments, of which some go
 * and others come all the time. */
static void churn_main(void) {
    lore_options options;
    lore_store *store;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = 8u << 20;
    options.memtable_bytes = options.table_bytes_max = 16u << 10;
    options.fan_in = 2;
    options.log_preallocate_bytes = 4096;
    options.compression = LORE_COMPRESSION_NONE;
    options.durability = LORE_SYNC_NONE;
    MUST(lore_open(path, &options, &store));
    for (uint64_t n = 1; !told_to_stop(); n++) {
        uint8_t key[8];
        char value[1600];
        lore_batch *batch;
        MUST(lore_batch_create(store, &batch));
        uint64_t at = n <= CHURN_KEYS ? n : n * 0x9E3779B97F4A7C15u >> 40;
        MUST(lore_batch_put(batch, NUMBERS, number_key(at % CHURN_KEYS, key), value_of(n, value)));
        MUST(lore_batch_put(batch, LAST, lore_slice_of("last"), value_of(n, value)));
        MUST(lore_write(store, batch, NULL));
        lore_batch_destroy(batch);
        atomic_store(&shared->acknowledged, n);
    }
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    printf("openings: %" PRIu64 " batches, %" PRIu64 " flushes, %" PRIu64 " merges, %" PRIu64
           " tables at the end\n",
           atomic_load(&shared->acknowledged), stats.flushes, stats.compactions, stats.table_files);
    verify_without_warnings(store);
    MUST(lore_close(store));
}

/* No key is missing, and none is newer than the last. */
static uint64_t check_churned(lore_store *store) {
    lore_iter *iter;
    uint64_t count = 0, last = last_of(store, NULL);
    MUST(lore_iter_create(store, NULL, NUMBERS, NULL, &iter));
    for (MUST(lore_iter_seek_first(iter)); lore_iter_valid(iter); MUST(lore_iter_next(iter))) {
        lore_slice value;
        MUST(lore_iter_value(iter, &value));
        CHECK(number_of(value) <= last);
        count++;
    }
    CHECK(count == CHURN_KEYS);
    lore_iter_destroy(iter);
    return last;
}

static void opener_main(void) {
    uint64_t seen = 0;
    lore_store *kept;
    MUST(open_at(path, true, 0, &kept));
    for (uint64_t i = 0; i < openings; i++) {
        lore_store *store;
        MUST(open_at(path, true, 0, &store));
        uint64_t last = i % 16 == 0 ? check_churned(store) : last_of(store, NULL);
        CHECK(last >= seen && last > 0);
        if (i % 64 == 0) verify_without_warnings(store);
        MUST(lore_close(store));
        MUST(lore_refresh(kept));
        seen = last_of(kept, NULL);
        CHECK(seen >= last);
    }
    MUST(lore_close(kept));
}

static void part_openings(void) {
    remove_tree(path);
    memset(shared, 0, sizeof *shared);
    pid_t writer = start_child(churn_main), openers[CHURNERS];
    wait_for(writer, &shared->acknowledged, 3 * CHURN_KEYS / 2);
    for (unsigned i = 0; i < CHURNERS; i++)
        openers[i] = start_child(opener_main);
    for (unsigned i = 0; i < CHURNERS; i++)
        expect_success(openers[i]);
    atomic_store(&shared->stop, 1);
    expect_success(writer);
    printf("openings: %" PRIu64 " and as many refreshes got through\n", CHURNERS * openings);
}

/* ---- backups beside a writer ---- */

static void part_backup(void) {
    pid_t writer = begin_writer();
    lore_store *store, *copy;
    char second[TEST_PATH_BYTES + 16];
    wait_for(writer, &shared->acknowledged, BACKUP_AT + 1);
    CHECK(atomic_load(&shared->backed_up) == 1);
    MUST(open_at(backup_path, true, 0, &copy));
    CHECK(check_prefix(copy, NULL) == BACKUP_AT);
    verify_clean(copy);
    check_refusals(copy);
    MUST(lore_refresh(copy));
    MUST(lore_close(copy));
    MUST_BE(open_at(backup_path, false, 0, &copy), LORE_MISUSE);
    CHECK(strstr(lore_error_message(), "backup") != NULL);
    /* A reader may make one as well, where its log holds nothing that is in no segment; else it
     * says why not. */
    snprintf(second, sizeof second, "%s/second", folder);
    MUST(open_at(path, true, 0, &store));
    uint64_t last = check_prefix(store, NULL);
    lore_status status = lore_backup(store, second, LORE_BACKUP_COPY, NULL, NULL, NULL);
    if (status == LORE_OK) {
        MUST(open_at(second, true, 0, &copy));
        CHECK(check_prefix(copy, NULL) <= last);
        verify_clean(copy);
        MUST(lore_close(copy));
    } else {
        MUST_BE(status, LORE_MISUSE);
        printf("backup by a reader: %s\n", lore_error_message());
    }
    MUST(lore_close(store));
    end_writer(writer, last);
    /* What the writer did since is not in the backup, though files are shared. */
    MUST(open_at(backup_path, true, 0, &copy));
    CHECK(check_prefix(copy, NULL) == BACKUP_AT);
    verify_clean(copy);
    MUST(lore_close(copy));
    printf("backup: whole, beside a writer, and refused for writing\n");
}

int main(int argc, char **argv) {
    static const struct part parts[] = {{"readers", part_readers},
                                        {"threads", part_threads},
                                        {"openings", part_openings},
                                        {"backup", part_backup}};
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--refreshes") == 0) refreshes = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--openings") == 0) openings = strtoull(argv[i + 1], NULL, 10);
    }
    return run_parts(argc, argv, parts, sizeof parts / sizeof parts[0], 240 + (unsigned)openings);
}
