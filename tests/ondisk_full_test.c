/*
 * ondisk_full_test.c - a real disk that is really full: 64 MiB of tmpfs, and of ext4 on a loop
 * device where there is one, written until nothing goes in any more.
 *
 *   ondisk_full_test [--seed N] [tmpfs|ext4]
 *
 * Then: writes answer LORE_FULL and nothing else; reads and verify go on; the store closes and
 * opens on the full disk; the content is what was acknowledged, also after reopening. And again
 * with a stranger's file that takes the space and goes away: writes succeed again on the same
 * handle.
 *
 * And what a full disk is to give back: most of the data is deleted, by range, in key order, or
 * scattered over all of it; a compaction goes through on what space there is, and writes resume.
 *
 * Mounts, in a mount namespace of its own that ends with it, so it wants to be root; ends with 77
 * where it may not.
 */
#define _GNU_SOURCE /* unshare */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support.h"

enum { FIRST = 1, SECOND = 2 };

#define DISK_MIB        64
#define VALUE_BYTES_MAX 6000
#define LOT             8u

static char folder[TEST_PATH_BYTES], mounted[TEST_PATH_BYTES + 16],
    store_path[TEST_PATH_BYTES + 32];
static uint64_t random_state;

static lore_status open_store(lore_store **store) {
    lore_options options;
    lore_options_init(&options);
    options.create_if_missing = true;
    options.memory_budget = 8u << 20;
    return lore_open(store_path, &options, store);
}

/* ---- content: value n follows from n, and does not compress ---- */

static lore_slice value_of(uint64_t n, char buffer[VALUE_BYTES_MAX]) {
    uint64_t state = n;
    size_t size = n % 10 == 0 ? 5000 : 200 + n % 100;
    for (size_t at = 0; at < size; at += 8) {
        uint64_t word = random_next(&state);
        memcpy(buffer + at, &word, 8);
    }
    return (lore_slice){buffer, size};
}

/* One batch: LOT numbers from `n` on. */
static lore_status write_lot(lore_store *store, uint64_t n) {
    uint8_t key[8];
    char value[VALUE_BYTES_MAX];
    lore_batch *batch;
    MUST(lore_batch_create(store, &batch));
    for (uint64_t end = n + LOT; n < end; n++) {
        MUST(lore_batch_put(batch, FIRST, number_key(n, key), value_of(n, value)));
        MUST(lore_batch_put(batch, SECOND, number_key(n, key), value_of(n + 1, value)));
    }
    lore_status status = lore_write(store, batch, NULL);
    lore_batch_destroy(batch);
    return status;
}

static void check_value(lore_slice found, uint64_t n) {
    char value[VALUE_BYTES_MAX];
    lore_slice wanted = value_of(n, value);
    CHECK(found.size == wanted.size && memcmp(found.data, wanted.data, wanted.size) == 0);
}

/* Exactly the numbers from `first` on, below `end`, in both keyspaces. */
static void check_content(lore_store *store, uint64_t first, uint64_t end) {
    for (lore_keyspace keyspace = FIRST; keyspace <= SECOND; keyspace++) {
        lore_iter *iter;
        uint64_t next = first;
        MUST(lore_iter_create(store, NULL, keyspace, NULL, &iter));
        for (MUST(lore_iter_seek_first(iter)); lore_iter_valid(iter); MUST(lore_iter_next(iter))) {
            lore_slice value;
            CHECK(key_number(lore_iter_key(iter)) == next);
            MUST(lore_iter_value(iter, &value));
            check_value(value, keyspace == FIRST ? next : next + 1);
            next++;
        }
        CHECK(next == end);
        lore_iter_destroy(iter);
    }
}

static void check_samples(lore_store *store, uint64_t first, uint64_t end) {
    lore_buffer buffer = {0};
    uint8_t key[8];
    for (unsigned i = 0; i < 200; i++) {
        uint64_t n = first + random_below(&random_state, end - first);
        MUST(lore_get(store, NULL, FIRST, number_key(n, key), &buffer, NULL));
        check_value((lore_slice){buffer.data, buffer.size}, n);
    }
    lore_buffer_free(&buffer);
}

static lore_stats stats_of(lore_store *store) {
    lore_stats stats = {.struct_size = sizeof stats};
    MUST(lore_stats_get(store, &stats));
    return stats;
}

/* ---- full and not full ---- */

/* Numbers from `n` on until there is no space; returns the first that was refused. */
static uint64_t fill(lore_store *store, uint64_t n) {
    lore_status status;
    while ((status = write_lot(store, n)) == LORE_OK)
        n += LOT;
    MUST_BE(status, LORE_FULL);
    CHECK(stats_of(store).poisoned == LORE_OK);
    return n;
}

/* The background finds out that there is space when it next tries: so a few refusals first are
 * right. Returns the first number that is not in the store. */
static uint64_t resume(lore_store *store, uint64_t n, const char *after_what) {
    unsigned refusals = 0;
    lore_status status;
    while ((status = write_lot(store, n)) == LORE_FULL && refusals++ < 600)
        sleep_us(100000);
    MUST_BE(status, LORE_OK);
    for (unsigned i = 0; i < 250; i++)
        MUST(write_lot(store, n += LOT));
    printf("  writes resumed after %s, with %u refusals first\n", after_what, refusals);
    return n + LOT;
}

static void delete_between(lore_store *store, uint64_t first, uint64_t end) {
    uint8_t from[8], to[8];
    lore_batch *batch;
    MUST(lore_batch_create(store, &batch));
    for (lore_keyspace keyspace = FIRST; keyspace <= SECOND; keyspace++)
        MUST(
            lore_batch_delete_range(batch, keyspace, number_key(first, from), number_key(end, to)));
    MUST(lore_write(store, batch, NULL));
    lore_batch_destroy(batch);
}

static uint64_t delete_singly(lore_store *store, uint64_t first, uint64_t end) {
    lore_batch *batch;
    uint8_t key[8];
    MUST(lore_batch_create(store, &batch));
    while (first < end) {
        lore_batch_clear(batch);
        for (unsigned i = 0; i < 50; i++, first++) {
            MUST(lore_batch_delete(batch, FIRST, number_key(first, key)));
            MUST(lore_batch_delete(batch, SECOND, number_key(first, key)));
        }
        MUST(lore_write(store, batch, NULL));
    }
    lore_batch_destroy(batch);
    return end;
}

static void refused_and_readable(lore_store *store, uint64_t first, uint64_t end) {
    for (unsigned i = 0; i < 20; i++) {
        lore_status status = write_lot(store, end);
        if (status == LORE_OK) /* the background has made room */
            delete_between(store, end, end + LOT);
        else
            MUST_BE(status, LORE_FULL);
        check_samples(store, first, end);
    }
    CHECK(stats_of(store).poisoned == LORE_OK);
    check_content(store, first, end);
    verify_clean(store);
}

static lore_store *reopen(lore_store *store, bool full) {
    lore_status status = lore_close(store);
    if (!full || status != LORE_FULL) MUST_BE(status, LORE_OK);
    MUST(open_store(&store));
    return store;
}

static void fill_and_recover(void) {
    lore_store *store;
    MUST(open_store(&store));
    uint64_t first = 1, end = fill(store, 1);
    printf("  full after %" PRIu64 " numbers: %s\n", end - 1, lore_error_message());
    refused_and_readable(store, first, end);
    store = reopen(store, true);
    check_content(store, first, end);
    verify_clean(store);
    end = fill(store, end);
    delete_between(store, first, end / 4 * 3);
    first = end / 4 * 3;
    check_content(store, first, end);
    MUST(lore_compact(store, NULL, NULL));
    check_content(store, first, end);
    end = resume(store, end, "a range delete and a compaction");
    check_content(store, first, end);
    verify_clean(store);
    store = reopen(store, false);
    check_content(store, first, end);
    verify_clean(store);
    /* Once more, and single deletes this time: as many at once as the reserve can hold. */
    end = fill(store, end);
    for (unsigned round = 0; round < 4; round++) {
        first = delete_singly(store, first, first + 1000);
        MUST(lore_compact(store, NULL, NULL));
    }
    end = resume(store, end, "many deletes and a compaction");
    check_content(store, first, end);
    store = reopen(store, false);
    check_content(store, first, end);
    verify_clean(store);
    MUST(lore_close(store));
    remove_tree(store_path);
}

/* ---- deletes all over the keys ---- */

/* Its own inverse, so that a key tells its number. */
static uint64_t scatter(uint64_t n) {
    uint64_t mixed = 0;
    for (unsigned bit = 0; bit < 64; bit++)
        mixed |= (n >> bit & 1) << (63 - bit);
    return mixed;
}

static lore_status write_scattered(lore_store *store, uint64_t n) {
    uint8_t key[8];
    char value[VALUE_BYTES_MAX];
    return lore_put(store, FIRST, number_key(scatter(n), key), value_of(n, value));
}

/* Those below `end` that `kept_of` divides. */
static void check_scattered(lore_store *store, uint64_t end, unsigned kept_of) {
    lore_iter *iter;
    uint64_t found = 0;
    MUST(lore_iter_create(store, NULL, FIRST, NULL, &iter));
    for (MUST(lore_iter_seek_first(iter)); lore_iter_valid(iter); MUST(lore_iter_next(iter))) {
        lore_slice value;
        uint64_t n = scatter(key_number(lore_iter_key(iter)));
        CHECK(n < end && n % kept_of == 0);
        MUST(lore_iter_value(iter, &value));
        check_value(value, n);
        found++;
    }
    CHECK(found == (end + kept_of - 1) / kept_of);
    lore_iter_destroy(iter);
}

/* All but every fourth, one by one. Where the deletes themselves find no room any more, a
 * compaction between gives back what those before it freed. */
static void delete_scattered(lore_store *store, uint64_t end) {
    uint8_t key[8];
    unsigned compactions = 0;
    for (uint64_t n = 0; n < end; n++) {
        if (n % 4 == 0) continue;
        lore_status status = lore_delete(store, FIRST, number_key(scatter(n), key));
        if (status == LORE_FULL) {
            CHECK(compactions++ < 100);
            lore_status compacted = lore_compact(store, NULL, NULL);
            CHECK(compacted == LORE_OK || compacted == LORE_FULL);
            status = lore_delete(store, FIRST, number_key(scatter(n), key));
        }
        MUST(status);
    }
    printf("  scattered deletes, with %u compactions between\n", compactions);
}

static void deletes_all_over(void) {
    lore_store *store;
    MUST(open_store(&store));
    uint64_t end = 0;
    lore_status status;
    while ((status = write_scattered(store, end)) == LORE_OK)
        end++;
    MUST_BE(status, LORE_FULL);
    check_scattered(store, end, 1);
    delete_scattered(store, end);
    check_scattered(store, end, 4);
    MUST(lore_compact(store, NULL, NULL));
    check_scattered(store, end, 4);
    uint64_t free_bytes = stats_of(store).disk_free_bytes;
    printf("  %" PRIu64 " numbers, most deleted: %" PRIu64 " KiB are free\n", end,
           free_bytes >> 10);
    CHECK(free_bytes > ((uint64_t)DISK_MIB << 20) / 3);
    MUST(write_scattered(store, 0));
    verify_clean(store);
    store = reopen(store, false);
    check_scattered(store, end, 4);
    MUST(lore_close(store));
    remove_tree(store_path);
}

static void stranger_takes_the_space(void) {
    char path[TEST_PATH_BYTES + 32], chunk[65536];
    lore_store *store;
    MUST(open_store(&store));
    uint64_t end = 1;
    for (; end < 3000; end += LOT)
        MUST(write_lot(store, end));
    snprintf(path, sizeof path, "%s/stranger", mounted);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(file >= 0);
    memset(chunk, 1, sizeof chunk);
    while (write(file, chunk, sizeof chunk) > 0)
        ;
    close(file);
    end = fill(store, end);
    refused_and_readable(store, 1, end);
    CHECK(unlink(path) == 0);
    end = resume(store, end, "a stranger's file was removed");
    check_content(store, 1, end);
    CHECK(stats_of(store).poisoned == LORE_OK);
    store = reopen(store, false);
    check_content(store, 1, end);
    verify_clean(store);
    MUST(lore_close(store));
    remove_tree(store_path);
}

/* ---- disks ---- */

static bool mount_tmpfs(void) {
    char options[32];
    snprintf(options, sizeof options, "size=%dm", DISK_MIB);
    if (mount("tmpfs", mounted, "tmpfs", 0, options) == 0) return true;
    printf("tmpfs: skipped, %s\n", strerror(errno));
    return false;
}

static bool mount_ext4(void) {
    char command[5 * TEST_PATH_BYTES];
    snprintf(command, sizeof command,
             "truncate -s %dM '%s/image' && mkfs.ext4 -q -m 0 '%s/image' && "
             "mount -o loop '%s/image' '%s'",
             DISK_MIB, folder, folder, folder, mounted);
    if (system(command) == 0) return true;
    printf("ext4: skipped, no file system could be made and mounted\n");
    return false;
}

static void run_on_disk(void) {
    fill_and_recover();
    deletes_all_over();
    stranger_takes_the_space();
    fflush(NULL);
    _exit(0);
}

/* In a child, so that the disk is unmounted whatever comes. 77: not mounted. */
static int run_on(const char *name, bool (*mount_disk)(void)) {
    if (!mount_disk()) return SKIPPED;
    printf("%s:\n", name);
    fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) run_on_disk();
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (umount(mounted) != 0) fprintf(stderr, "%s stays mounted\n", mounted);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        bool (*mount_disk)(void);
    } disks[] = {{"tmpfs", mount_tmpfs}, {"ext4", mount_ext4}};
    random_state = seed_of(argc, argv);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        printf("skipped: mounting: %s\n", strerror(errno));
        return SKIPPED;
    }
    make_folder(folder, "full");
    snprintf(mounted, sizeof mounted, "%s/disk", folder);
    snprintf(store_path, sizeof store_path, "%s/store", mounted);
    CHECK(mkdir(mounted, 0700) == 0);
    int result = SKIPPED;
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(argv[argc - 1], disks[1 - i].name) == 0) continue;
        int one = run_on(disks[i].name, disks[i].mount_disk);
        if (one != SKIPPED && (result == SKIPPED || one != 0)) result = one;
    }
    return result;
}
