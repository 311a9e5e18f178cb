/*
 * process_alone_test.c - one process after the other on a store: the writer's lock, fork, read-only
 * media, LMDB's file.
 *
 *   process_alone_test [PART]...      parts: lock fork media catalog
 */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <sys/stat.h>

#include "process_history.h"

/* ---- the lock ---- */

static void hold_main(void) {
    lore_store *store;
    MUST(open_at(path, false, 0, &store));
    write_batch(store, 1);
    atomic_store(&shared->acknowledged, 1);
    while (!told_to_stop())
        sleep_us(1000);
    sleep_us(200000);
    MUST(lore_close(store));
}

static void expect_locked(pid_t owner, uint32_t timeout_ms) {
    lore_store *store;
    char pid[32];
    snprintf(pid, sizeof pid, "pid %ld", (long)owner);
    uint64_t began_us = monotonic_us();
    MUST_BE(open_at(path, false, timeout_ms, &store), LORE_LOCKED);
    CHECK(monotonic_us() - began_us >= (uint64_t)timeout_ms * 1000);
    CHECK(store == NULL);
    CHECK(strstr(lore_error_message(), pid) != NULL);
}

static void part_lock(void) {
    remove_tree(path);
    memset(shared, 0, sizeof *shared);
    pid_t owner = start_child(hold_main);
    wait_for(owner, &shared->acknowledged, 1);
    expect_locked(owner, 0);
    expect_locked(owner, 300);
    lore_buffer text = {0};
    MUST(lore_lock_owner(path, NULL, &text));
    CHECK(text.size > 4 && strtol((const char *)text.data + 4, NULL, 10) == (long)owner);
    /* An opener that waits gets it when the owner closes. */
    lore_store *store;
    atomic_store(&shared->stop, 1);
    MUST(open_at(path, false, 20000, &store));
    CHECK(last_of(store, NULL) == 1);
    expect_locked(getpid(), 0); /* in one process too */
    MUST(lore_close(store));
    expect_success(owner);
    MUST_BE(lore_lock_owner(path, NULL, &text), LORE_NOT_FOUND);
    lore_buffer_free(&text);
    /* And when it is killed. */
    memset(shared, 0, sizeof *shared);
    owner = start_child(hold_main);
    wait_for(owner, &shared->acknowledged, 1);
    expect_locked(owner, 0);
    int status;
    CHECK(kill(owner, SIGKILL) == 0 && waitpid(owner, &status, 0) == owner);
    MUST(open_at(path, false, 0, &store));
    CHECK(last_of(store, NULL) == 1);
    verify_clean(store);
    MUST(lore_close(store));
    printf("lock: refused with the owner's pid, waited for, freed by close and by kill\n");
}

/* ---- fork ---- */

static lore_store *before_fork;
static lore_snapshot *snapshot_before_fork;
static lore_iter *iter_before_fork;
static lore_batch *batch_before_fork;

static void child_uses_handle(void) {
    lore_store *store = before_fork;
    lore_snapshot *snapshot;
    lore_iter *iter;
    lore_record *record;
    lore_buffer buffer = {0};
    uint64_t count;
    lore_stats stats = {.struct_size = sizeof stats};
    lore_query query;
    lore_query_init(&query);
    MUST_BE(lore_get(store, NULL, LAST, lore_slice_of("last"), &buffer, NULL), LORE_MISUSE);
    CHECK(strstr(lore_error_message(), "fork") != NULL);
    MUST_BE(lore_put(store, 9, lore_slice_of("k"), lore_slice_of("v")), LORE_MISUSE);
    MUST_BE(lore_write(store, batch_before_fork, NULL), LORE_MISUSE);
    MUST_BE(lore_delete(store, 9, lore_slice_of("k")), LORE_MISUSE);
    MUST_BE(lore_flush(store), LORE_MISUSE);
    MUST_BE(lore_compact(store, NULL, NULL), LORE_MISUSE);
    MUST_BE(lore_sync(store), LORE_MISUSE);
    MUST_BE(lore_refresh(store), LORE_MISUSE);
    MUST_BE(lore_snapshot_create(store, &snapshot), LORE_MISUSE);
    MUST_BE(lore_snapshot_save(store, "s"), LORE_MISUSE);
    MUST_BE(lore_snapshot_list(store, take_name, &buffer), LORE_MISUSE);
    MUST_BE(lore_iter_create(store, NULL, NUMBERS, NULL, &iter), LORE_MISUSE);
    MUST_BE(lore_iter_next(iter_before_fork), LORE_MISUSE);
    MUST_BE(lore_memory_get(store, NULL, lore_slice_of("m0"), 0, &record), LORE_MISUSE);
    MUST_BE(lore_memory_delete(store, lore_slice_of("m0")), LORE_MISUSE);
    MUST_BE(lore_count(store, NULL, &query, &count), LORE_MISUSE);
    MUST_BE(lore_stats_get(store, &stats), LORE_MISUSE);
    MUST_BE(lore_note_put(store, "n", lore_slice_of("v")), LORE_MISUSE);
    MUST_BE(lore_note_get(store, "n", &buffer), LORE_MISUSE);
    MUST_BE(lore_backup(store, backup_path, 0, NULL, NULL, NULL), LORE_MISUSE);
    MUST_BE(lore_verify(store, NULL, NULL, NULL, NULL), LORE_MISUSE);
    MUST_BE(lore_close(store), LORE_MISUSE);
    /* A handle of the child's own, read-only, works. */
    MUST(open_at(path, true, 0, &store));
    CHECK(last_of(store, NULL) == 1);
    MUST(lore_close(store));
}

static void child_waits(void) {
    while (!told_to_stop())
        sleep_us(1000);
}

static void part_fork(void) {
    remove_tree(path);
    memset(shared, 0, sizeof *shared);
    MUST(open_at(path, false, 0, &before_fork));
    write_batch(before_fork, 1);
    MUST(lore_snapshot_create(before_fork, &snapshot_before_fork));
    MUST(lore_iter_create(before_fork, NULL, NUMBERS, NULL, &iter_before_fork));
    MUST(lore_iter_seek_first(iter_before_fork));
    MUST(lore_batch_create(before_fork, &batch_before_fork));
    MUST(lore_batch_put(batch_before_fork, 9, lore_slice_of("k"), lore_slice_of("v")));
    expect_success(start_child(child_uses_handle));
    /* The parent's handle is none the worse, */
    CHECK(lore_iter_valid(iter_before_fork));
    MUST(lore_write(before_fork, batch_before_fork, NULL));
    write_batch(before_fork, 2);
    CHECK(check_prefix(before_fork, NULL) == 2);
    CHECK(check_prefix(before_fork, snapshot_before_fork) == 1);
    lore_batch_destroy(batch_before_fork);
    lore_iter_destroy(iter_before_fork);
    lore_snapshot_release(snapshot_before_fork);
    /* and its close frees the lock, though a child still lives. */
    pid_t child = start_child(child_waits);
    MUST(lore_close(before_fork));
    MUST(open_at(path, false, 0, &before_fork));
    MUST(lore_close(before_fork));
    atomic_store(&shared->stop, 1);
    expect_success(child);
    printf("fork: the child's calls are refused, the parent goes on\n");
}

/* ---- read-only media ---- */

#define NOBODY       65534
#define LISTING_MAX  128
#define LISTING_NAME (TEST_PATH_BYTES + 300)

struct listing {
    struct {
        char name[LISTING_NAME];
        long long size, modified_s, modified_ns, changed_s, changed_ns;
        unsigned mode;
    } entries[LISTING_MAX];
    size_t count;
};

static void list_tree(const char *dir, struct listing *listing) {
    DIR *handle = opendir(dir);
    CHECK(handle != NULL);
    for (struct dirent *entry; (entry = readdir(handle)) != NULL;) {
        struct stat status;
        char name[LISTING_NAME] = "";
        if (strcmp(entry->d_name, "..") == 0) continue;
        snprintf(name, sizeof name, "%.520s/%.250s", dir, entry->d_name);
        CHECK(lstat(name, &status) == 0 && listing->count < LISTING_MAX);
        if (S_ISDIR(status.st_mode) && strcmp(entry->d_name, ".") != 0) {
            list_tree(name, listing);
            continue;
        }
        size_t at = listing->count++;
        memcpy(listing->entries[at].name, name, sizeof name);
        listing->entries[at].size = (long long)status.st_size;
        listing->entries[at].modified_s = (long long)status.st_mtim.tv_sec;
        listing->entries[at].modified_ns = (long long)status.st_mtim.tv_nsec;
        listing->entries[at].changed_s = (long long)status.st_ctim.tv_sec;
        listing->entries[at].changed_ns = (long long)status.st_ctim.tv_nsec;
        listing->entries[at].mode = (unsigned)status.st_mode;
    }
    closedir(handle);
}

static int by_name(const void *a, const void *b) {
    return strcmp(a, b); /* an entry begins with its name */
}

static struct listing *list_store(void) {
    struct listing *listing = calloc(1, sizeof *listing);
    CHECK(listing != NULL);
    list_tree(path, listing);
    qsort(listing->entries, listing->count, sizeof listing->entries[0], by_name);
    return listing;
}

static void chmod_tree(mode_t dirs, mode_t files) {
    struct listing *listing = list_store();
    for (size_t i = 0; i < listing->count; i++) {
        bool is_dir = S_ISDIR(listing->entries[i].mode);
        CHECK(chmod(listing->entries[i].name, is_dir ? dirs : files) == 0);
    }
    free(listing);
}

/* Root may write anywhere, so root becomes somebody who may not. */
static void become_nobody(void) {
    if (geteuid() == 0) CHECK(setuid(NOBODY) == 0);
}

static void make_store_main(void) {
    become_nobody();
    lore_store *store;
    MUST(open_at(path, false, 0, &store));
    for (uint64_t n = 1; n <= 1200; n++) {
        write_batch(store, n);
        if (n % 5 == 0) write_memory(store, n);
    }
    /* No close: the log is still open, as after a crash. */
    fflush(NULL);
    _exit(0);
}

static void read_store_main(void) {
    become_nobody();
    lore_store *store;
    CHECK(access(path, W_OK) != 0);
    lore_status status = open_at(path, false, 0, &store);
    CHECK(status == LORE_IO);
    MUST(open_at(path, true, 0, &store));
    CHECK(check_prefix(store, NULL) == 1200);
    MUST(lore_refresh(store));
    verify_clean(store);
    CHECK(check_prefix(store, NULL) == 1200);
    check_refusals(store);
    MUST(lore_close(store));
}

static void part_media(void) {
    remove_tree(path);
    CHECK(mkdir(path, 0700) == 0);
    if (geteuid() == 0) {
        CHECK(chmod(folder, 0755) == 0);
        CHECK(chown(path, NOBODY, NOBODY) == 0);
    }
    expect_success(start_child(make_store_main));
    chmod_tree(0500, 0400);
    struct listing *before = list_store();
    expect_success(start_child(read_store_main));
    struct listing *after = list_store();
    CHECK(before->count == after->count && before->count > 3);
    for (size_t i = 0; i < before->count; i++) {
        if (memcmp(&before->entries[i], &after->entries[i], sizeof before->entries[i]) == 0)
            continue;
        check_failed(__FILE__, __LINE__, before->entries[i].name, "changed by reading");
    }
    free(before);
    free(after);
    chmod_tree(0700, 0600);
    printf("media: a store without write permission is read, and nothing of it changes\n");
}

/* ---- LMDB's file ---- */

static char map_path[TEST_PATH_BYTES + 64];

static void flip_map_byte(long offset) {
    FILE *file = fopen(map_path, "r+b");
    CHECK(file != NULL);
    CHECK(fseek(file, offset, SEEK_SET) == 0);
    int byte = fgetc(file);
    CHECK(byte != EOF && fseek(file, offset, SEEK_SET) == 0);
    CHECK(fputc(byte ^ 0x40, file) != EOF && fclose(file) == 0);
}

static void expect_derived(void *context, const lore_finding *finding) {
    ++*(uint64_t *)context;
    CHECK(finding->status == LORE_CORRUPTION && strcmp(finding->kind, "catalog") == 0);
    CHECK(strcmp(finding->file, "g-000001/catalog.mdb") == 0);
    CHECK(strstr(finding->message, "nothing is lost") != NULL);
}

/* A reader's verify looks at catalog.mdb too, says that nothing depends on it, and says nothing of
 * it while a writer works there. */
static void part_catalog(void) {
    lore_store *store, *reader;
    lore_verify_report report;
    uint64_t found = 0;
    remove_tree(path);
    snprintf(map_path, sizeof map_path, "%s/g-000001/catalog.mdb", path);
    MUST(open_at(path, false, 0, &store));
    for (uint64_t n = 1; n <= 700; n++)
        write_batch(store, n);
    MUST(lore_close(store));
    MUST(open_at(path, true, 0, &reader));
    verify_without_warnings(reader);
    flip_map_byte(20);
    memset(&report, 0, sizeof report);
    MUST_BE(lore_verify(reader, expect_derived, NULL, &found, &report), LORE_CORRUPTION);
    CHECK(found == 1 && report.findings == 1);
    CHECK(check_prefix(reader, NULL) == 700);
    MUST(lore_close(reader));
    MUST(open_at(path, false, 0, &store)); /* makes it anew */
    verify_without_warnings(store);
    MUST(open_at(path, true, 0, &reader));
    flip_map_byte(20);
    verify_without_warnings(reader);
    flip_map_byte(20);
    MUST(lore_close(store));
    verify_without_warnings(reader);
    MUST(lore_close(reader));
    printf("catalog: damage of catalog.mdb is found, and is no loss\n");
}

int main(int argc, char **argv) {
    static const struct part parts[] = {
        {"lock", part_lock}, {"fork", part_fork}, {"media", part_media}, {"catalog", part_catalog}};
    return run_parts(argc, argv, parts, sizeof parts / sizeof parts[0], 240);
}
