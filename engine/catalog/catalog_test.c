/*
 * The catalog in ordinary life, and when LMDB is missing, behind, foreign, old, full.
 */
#include "catalog/catalog_testing.h"

#include "catalog/lmdb_check.h"
#include "vfs/scratch.h"

#define LMDB_PATH TEST_DIR "/catalog.mdb"

static bool exists(const struct catalog_disk *disk, const char *path) {
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    return disk->env.fs->ops->stat(disk->env.fs, path, &size, &is_dir, &mode) == LORE_OK;
}

static struct catalog *make(struct catalog_disk *disk, uint64_t commits) {
    struct catalog *catalog;
    assert_ok(test_create(disk, &catalog));
    for (uint64_t i = 0; i < commits; i++)
        assert_ok(test_commit(catalog));
    return catalog;
}

static lore_status count_entry(void *context, const struct dir_entry *entry) {
    (void)entry;
    ++*(uint32_t *)context;
    return LORE_OK;
}

static void commits_are_there_after_opening(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct catalog *catalog = make(&disk, 0);
    assert_content(catalog);
    struct catalog_opened opened;
    for (uint64_t i = 2; i < 60; i++) {
        assert_ok(test_commit(catalog));
        assert_int_equal(catalog_number(catalog), i);
        assert_content(catalog);
        if (i % 9 != 0) continue;
        catalog_close(catalog);
        assert_ok(catalog_open(&disk.config, &catalog, &opened));
        assert_int_equal(opened.number, i);
        assert_int_equal(opened.replayed, 0);
        assert_int_equal(opened.tail_bytes_cut, 0);
        assert_false(opened.rebuilt);
        assert_content(catalog);
    }
    assert_true(catalog_bytes(catalog) > 10000);
    catalog_close(catalog);
    catalog = NULL;
    assert_status(test_create(&disk, &catalog), LORE_EXISTS);
    catalog_disk_close(&disk);
}

static void edits_roll(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct catalog *catalog = make(&disk, 300);
    assert_false(exists(&disk, TEST_DIR "/edits-0000000001"));
    uint32_t files = 0; /* one of edits, and LMDB's */
    assert_ok(disk.env.fs->ops->list(disk.env.fs, TEST_DIR, count_entry, &files));
    assert_int_equal(files, 2);
    assert_content(catalog);
    catalog_close(catalog);
    struct catalog_opened opened;
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_int_equal(opened.number, 301);
    assert_false(opened.rebuilt);
    assert_content(catalog);
    catalog_close(catalog);
    catalog_disk_close(&disk);
}

static void what_is_malformed_is_refused(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct catalog_edit edit;
    catalog_edit_init(&edit, &disk.allocator.base);
    static uint8_t large[CATALOG_VALUE_BYTES_MAX + 1];
    assert_status(catalog_edit_put(&edit, slice(NULL, 0), slice("v", 1)), LORE_INVALID);
    assert_status(catalog_edit_put(&edit, slice("\0k", 2), slice("v", 1)), LORE_INVALID);
    memset(large, 'k', CATALOG_KEY_BYTES_MAX + 1);
    assert_status(catalog_edit_put(&edit, slice(large, CATALOG_KEY_BYTES_MAX + 1), slice("v", 1)),
                  LORE_INVALID);
    assert_status(catalog_edit_put(&edit, slice("k", 1), slice(large, sizeof large)), LORE_TOO_BIG);
    assert_int_equal(edit.encoded.size, 0);
    struct catalog *catalog = make(&disk, 0);
    assert_ok(catalog_commit(catalog, &edit)); /* nothing */
    assert_int_equal(catalog_number(catalog), 1);
    assert_ok(catalog_edit_put(&edit, slice(large, CATALOG_KEY_BYTES_MAX),
                               slice(large, CATALOG_VALUE_BYTES_MAX)));
    assert_ok(catalog_edit_put(&edit, slice("k", 1), slice(NULL, 0)));
    assert_ok(catalog_commit(catalog, &edit));
    catalog_edit_deinit(&edit);
    catalog_close(catalog);
    struct catalog_opened opened;
    struct bytes value = bytes_empty(&disk.allocator.base);
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_ok(catalog_get(catalog, slice(large, CATALOG_KEY_BYTES_MAX), &value));
    assert_int_equal(value.size, CATALOG_VALUE_BYTES_MAX);
    assert_ok(catalog_get(catalog, slice("k", 1), &value));
    assert_int_equal(value.size, 0);
    assert_status(catalog_get(catalog, slice("\0number", 7), &value), LORE_NOT_FOUND);
    bytes_free(&value);
    catalog_close(catalog);
    catalog_disk_close(&disk);
}

/* ---- scans ---- */

struct prefix_walk {
    struct catalog *catalog;
    uint32_t seen;
};

static lore_status delete_seen(void *context, lore_slice key, lore_slice value) {
    struct prefix_walk *walk = context;
    (void)value;
    assert_true(slice_starts_with(key, slice("key1", 4)));
    walk->seen++;
    struct catalog_edit edit; /* a commit from within a scan */
    catalog_edit_init(&edit, env_posix()->allocator);
    assert_ok(catalog_edit_delete(&edit, key));
    assert_ok(catalog_commit(walk->catalog, &edit));
    catalog_edit_deinit(&edit);
    return walk->seen == 3 ? LORE_CANCELLED : LORE_OK;
}

static void scans_may_stop_and_change_things(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct catalog *catalog = make(&disk, 50);
    struct prefix_walk walk = {catalog, 0};
    assert_status(catalog_scan(catalog, slice("key1", 4), delete_seen, &walk), LORE_CANCELLED);
    assert_int_equal(walk.seen, 3);
    assert_ok(catalog_scan(catalog, slice("nothing", 7), delete_seen, &walk));
    assert_int_equal(walk.seen, 3);
    catalog_close(catalog);
    catalog_disk_close(&disk);
}

/* ---- LMDB is not what it should be ---- */

static void expect_rebuilt(struct catalog_disk *disk, const char *reason) {
    struct catalog *catalog;
    struct catalog_opened opened;
    assert_ok(catalog_open(&disk->config, &catalog, &opened));
    assert_true(opened.rebuilt);
    if (strstr(opened.reason, reason) == NULL) print_error("%s\n", opened.reason);
    assert_non_null(strstr(opened.reason, reason));
    assert_content(catalog);
    assert_ok(test_commit(catalog));
    assert_content(catalog);
    catalog_close(catalog);
    assert_false(exists(disk, TEST_DIR "/catalog.tmp"));
    assert_ok(catalog_open(&disk->config, &catalog, &opened));
    assert_false(opened.rebuilt);
    assert_content(catalog);
    catalog_close(catalog);
}

static void lmdb_is_rebuilt(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    catalog_close(make(&disk, 30));
    assert_ok(fs_unlink(&disk.env, LMDB_PATH));
    expect_rebuilt(&disk, "none");
    assert_false(exists(&disk, TEST_DIR "/quarantine"));

    struct file *file;
    assert_ok(fs_open(&disk.env, LMDB_PATH, FILE_WRITE, false, &file));
    assert_ok(file_truncate(file, 5000));
    file_close(file);
    expect_rebuilt(&disk, "catalog.mdb");
    uint32_t kept = 0;
    assert_ok(disk.env.fs->ops->list(disk.env.fs, TEST_DIR "/quarantine", count_entry, &kept));
    assert_int_equal(kept, 1);

    uint64_t size, random = 5;
    uint8_t *bytes = fs_memory_bytes(disk.memory, LMDB_PATH, &size);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)test_random(&random);
    expect_rebuilt(&disk, "meta");

    assert_ok(fs_open(&disk.env, LMDB_PATH, FILE_WRITE, false, &file));
    assert_ok(file_truncate(file, 0));
    file_close(file);
    expect_rebuilt(&disk, "catalog.mdb");
    catalog_disk_close(&disk);
}

static void few_files_are_kept_aside(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    catalog_close(make(&disk, 3));
    assert_ok(disk.env.fs->ops->make_dir(disk.env.fs, TEST_DIR "/quarantine", false));
    for (int i = 0; i < 5; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, TEST_DIR "/quarantine/catalog.mdb.%d", 1000 + i);
        assert_ok(fs_replace_file(&disk.env, name, false, slice("old", 3)));
    }
    uint64_t size;
    fs_memory_bytes(disk.memory, LMDB_PATH, &size)[16] ^= 1;
    expect_rebuilt(&disk, "meta");
    uint32_t kept = 0;
    assert_ok(disk.env.fs->ops->list(disk.env.fs, TEST_DIR "/quarantine", count_entry, &kept));
    assert_int_equal(kept, 3);
    assert_true(exists(&disk, TEST_DIR "/quarantine/catalog.mdb.1004"));
    assert_false(exists(&disk, TEST_DIR "/quarantine/catalog.mdb.1002"));
    catalog_disk_close(&disk);
}

static void an_old_lmdb_file_is_noticed(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    catalog_close(make(&disk, 10));
    assert_ok(fs_copy_file(&disk.env, LMDB_PATH, TEST_DIR "/old", false));
    struct catalog *catalog;
    struct catalog_opened opened;
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    for (int i = 0; i < 5; i++)
        assert_ok(test_commit(catalog));
    catalog_close(catalog);
    assert_ok(fs_rename(&disk.env, TEST_DIR "/old", LMDB_PATH));
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_int_equal(opened.replayed, 5);
    assert_false(opened.rebuilt);
    assert_content(catalog);
    catalog_close(catalog);

    /* So old that edits have rolled since. */
    assert_ok(fs_copy_file(&disk.env, LMDB_PATH, TEST_DIR "/old", false));
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    for (int i = 0; i < 200; i++)
        assert_ok(test_commit(catalog));
    catalog_close(catalog);
    assert_ok(fs_rename(&disk.env, TEST_DIR "/old", LMDB_PATH));
    expect_rebuilt(&disk, "older");
    catalog_disk_close(&disk);
}

/* Edits put back to an earlier copy: LMDB knows of edits that they have not. And another store's
 * LMDB. */
static void lost_edits_are_corruption(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    const char *edits = TEST_DIR "/edits-0000000001";
    catalog_close(make(&disk, 4));
    assert_ok(fs_copy_file(&disk.env, edits, TEST_DIR "/old", false));
    struct catalog *catalog;
    struct catalog_opened opened;
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    for (int i = 0; i < 3; i++)
        assert_ok(test_commit(catalog));
    catalog_close(catalog);
    assert_ok(fs_rename(&disk.env, TEST_DIR "/old", edits));
    assert_status(catalog_open(&disk.config, &catalog, &opened), LORE_CORRUPTION);
    assert_non_null(strstr(lore_error_message(), "number 5"));
    assert_non_null(strstr(lore_error_message(), "number 8"));

    /* The same numbers with another past. */
    assert_ok(fs_copy_file(&disk.env, LMDB_PATH, TEST_DIR "/theirs", false));
    assert_ok(fs_unlink(&disk.env, LMDB_PATH));
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    struct catalog_edit edit;
    catalog_edit_init(&edit, &disk.allocator.base);
    for (uint64_t i = 0; i < 6; i++) {
        catalog_edit_clear(&edit);
        assert_ok(test_edit(100 + i, &edit));
        assert_ok(catalog_commit(catalog, &edit));
    }
    catalog_edit_deinit(&edit);
    catalog_close(catalog);
    assert_ok(fs_rename(&disk.env, TEST_DIR "/theirs", LMDB_PATH));
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_true(opened.rebuilt);
    assert_non_null(strstr(opened.reason, "another history"));
    catalog_close(catalog);
    catalog_disk_close(&disk);
}

static void identities_are_told_apart(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    catalog_close(make(&disk, 4));
    struct catalog *catalog;
    struct catalog_opened opened;
    disk.config.identity = test_identity(2);
    assert_status(catalog_open(&disk.config, &catalog, &opened), LORE_CORRUPTION);
    memset(&disk.config.identity, 0, sizeof disk.config.identity);
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    struct identity identity = test_identity(1), other = test_identity(3);
    assert_true(identity_equal(catalog_identity(catalog), &identity));

    /* A backup of it, of another lineage, with a change. */
    assert_ok(disk.env.fs->ops->make_dir(disk.env.fs, "e", false));
    struct catalog_edit edit;
    catalog_edit_init(&edit, &disk.allocator.base);
    assert_ok(catalog_edit_put(&edit, slice("zz", 2), slice("new", 3)));
    assert_ok(catalog_edit_delete(&edit, slice("key01", 5)));
    assert_ok(catalog_export(catalog, "e", &other, &edit));
    catalog_edit_deinit(&edit);
    catalog_close(catalog);
    disk.config.dir = "e";
    disk.config.read_only = true;
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_true(identity_equal(catalog_identity(catalog), &other));
    assert_int_equal(catalog_number(catalog), 1);
    struct bytes value = bytes_empty(&disk.allocator.base);
    assert_ok(catalog_get(catalog, slice("zz", 2), &value));
    assert_status(catalog_get(catalog, slice("key01", 5), &value), LORE_NOT_FOUND);
    catalog_close(catalog);
    disk.config.read_only = false;
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_true(opened.rebuilt);
    assert_ok(catalog_get(catalog, slice("zz", 2), &value));
    bytes_free(&value);
    catalog_close(catalog);
    /* The first catalog's LMDB file is not this one's. */
    assert_ok(fs_rename(&disk.env, LMDB_PATH, "e/catalog.mdb"));
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_true(opened.rebuilt);
    assert_non_null(strstr(opened.reason, "lineage"));
    catalog_close(catalog);
    catalog_disk_close(&disk);
}

/* ---- full ---- */

static void a_full_disk_is_not_final(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct catalog *catalog = make(&disk, 10);
    /* LMDB's device is full, edits' is not: the commit stands. */
    struct fault_plan plan = {FAULT_NATIVE, 0, true, LORE_FULL, NULL};
    fs_fault_set_plan(disk.fault, &plan);
    for (int i = 0; i < 100; i++) {
        assert_ok(test_commit(catalog));
        assert_content(catalog);
    }
    fs_fault_set_plan(disk.fault, NULL);
    assert_int_equal(catalog_number(catalog), 111);
    /* Nor is there space for edits: nothing has changed, and it goes on later. */
    plan = (struct fault_plan){FAULT_WRITE, 0, true, LORE_FULL, "edits"};
    fs_fault_set_plan(disk.fault, &plan);
    lore_status status = LORE_OK;
    for (int i = 0; i < 200 && status == LORE_OK; i++)
        status = test_commit(catalog);
    assert_status(status, LORE_FULL);
    uint64_t number = catalog_number(catalog);
    assert_status(test_commit(catalog), LORE_FULL);
    assert_ok(catalog_failed(catalog));
    assert_int_equal(catalog_number(catalog), number);
    assert_content(catalog);
    fs_fault_set_plan(disk.fault, NULL);
    assert_ok(test_commit(catalog));
    assert_content(catalog);
    assert_ok(catalog_rebuild(catalog));
    assert_content(catalog);
    assert_ok(test_commit(catalog));
    catalog_close(catalog);
    struct catalog_opened opened;
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_false(opened.rebuilt);
    assert_int_equal(opened.number, number + 2);
    assert_content(catalog);
    catalog_close(catalog);
    catalog_disk_close(&disk);
}

static void the_map_grows_and_ends(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    disk.config.map_bytes_max = 2u << 20;
    struct catalog *catalog = make(&disk, 0);
    static uint8_t value[100000];
    struct catalog_edit edit;
    catalog_edit_init(&edit, &disk.allocator.base);
    for (uint8_t i = 0; i < 40; i++) { /* 4 MB: more than the map's limit */
        uint8_t key[2] = {'v', (uint8_t)('0' + i)};
        memset(value, i, sizeof value);
        catalog_edit_clear(&edit);
        assert_ok(catalog_edit_put(&edit, slice(key, 2), slice(value, sizeof value)));
        assert_ok(catalog_commit(catalog, &edit));
    }
    catalog_edit_deinit(&edit);
    struct bytes found = bytes_empty(&disk.allocator.base);
    for (int round = 0; round < 2; round++) {
        for (uint8_t i = 0; i < 40; i++) {
            uint8_t key[2] = {'v', (uint8_t)('0' + i)};
            assert_ok(catalog_get(catalog, slice(key, 2), &found));
            assert_int_equal(found.size, sizeof value);
            assert_int_equal(found.data[77], i);
        }
        catalog_close(catalog);
        struct catalog_opened opened;
        assert_ok(catalog_open(&disk.config, &catalog, &opened));
    }
    bytes_free(&found);
    catalog_close(catalog);
    catalog_disk_close(&disk);
}

/* ---- a second process ---- */

static void readers_follow_a_writer(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct catalog *writer = make(&disk, 3), *reader;
    struct catalog_config config = disk.config;
    config.read_only = true;
    struct catalog_opened opened;
    assert_ok(catalog_open(&config, &reader, &opened));
    assert_int_equal(opened.number, 4);
    assert_content(reader);
    assert_status(test_commit(reader), LORE_MISUSE);
    for (uint64_t i = 0; i < 200; i++) { /* edits roll on the way */
        bool changed;
        assert_ok(catalog_refresh(reader, &changed));
        assert_true(changed == (i > 0));
        assert_ok(test_commit(writer));
        if (i % 20 == 0) assert_content(reader);
    }
    bool changed;
    assert_ok(catalog_refresh(reader, &changed));
    assert_int_equal(catalog_number(reader), catalog_number(writer));
    assert_content(reader);
    assert_status(catalog_refresh(writer, &changed), LORE_MISUSE);
    catalog_close(reader);
    catalog_close(writer);
    catalog_disk_close(&disk);
}

/* ---- the real system ---- */

static void note_fault(void *context, const char *file, uint64_t offset, const char *message) {
    (void)offset;
    assert_true(strlen(file) > 0 && strlen(message) > 0);
    ++*(uint32_t *)context;
}

static void it_works_on_a_real_disk(void **state) {
    (void)state;
    char dir[PATH_BYTES_MAX];
    assert_ok(scratch_folder(NULL, "catalog", dir));
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    disk.config.env = env_posix();
    disk.config.dir = dir;
    struct catalog *catalog = make(&disk, 60);
    struct catalog_opened opened;
    assert_content(catalog);
    catalog_close(catalog);
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_false(opened.rebuilt);
    assert_ok(catalog_rebuild(catalog));
    assert_ok(test_commit(catalog));
    assert_content(catalog);
    uint32_t faults = 0;
    assert_ok(catalog_verify(catalog, note_fault, &faults));
    catalog_close(catalog);
    char path[PATH_BYTES_MAX];
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    assert_ok(path_join(path, dir, "catalog.mdb"));
    assert_ok(env_posix()->fs->ops->stat(env_posix()->fs, path, &size, &is_dir, &mode));
    assert_int_equal(mode & 0777, 0600);
    assert_ok(fs_replace_file(env_posix(), path, false, slice("not LMDB", 8)));
    assert_ok(catalog_open(&disk.config, &catalog, &opened));
    assert_true(opened.rebuilt);
    assert_content(catalog);
    catalog_close(catalog);
    catalog_disk_close(&disk);
    assert_ok(fs_remove_tree(env_posix(), dir));
}

/* ---- verify ---- */

static void verify_compares_the_two_homes(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct catalog *catalog = make(&disk, 40);
    uint32_t faults = 0;
    assert_ok(catalog_verify(catalog, note_fault, &faults));
    assert_int_equal(faults, 0);
    uint64_t size;
    /* LMDB's magic, or with words of 32 bits its version. */
    fs_memory_bytes(disk.memory, LMDB_PATH, &size)[16] ^= 0x40;
    assert_status(catalog_verify(catalog, note_fault, &faults), LORE_CORRUPTION);
    assert_int_equal(faults, 1);
    fs_memory_bytes(disk.memory, LMDB_PATH, &size)[16] ^= 0x40;
    fs_memory_bytes(disk.memory, TEST_DIR "/edits-0000000001", &size)[700] ^= 1;
    assert_status(catalog_verify(catalog, note_fault, &faults), LORE_CORRUPTION);
    assert_int_equal(faults, 2);
    fs_memory_bytes(disk.memory, TEST_DIR "/edits-0000000001", &size)[700] ^= 1;
    assert_ok(catalog_verify(catalog, note_fault, &faults));
    catalog_close(catalog);
    catalog_disk_close(&disk);
}

/* Flip one bit of every byte that is `wanted`, one at a time. */
static unsigned flips_found(struct catalog *reader, uint8_t *bytes, uint64_t size,
                            const char *wanted, unsigned *flips) {
    unsigned found = 0;
    size_t length = strlen(wanted);
    for (uint64_t i = 0; i + length <= size; i++) {
        if (memcmp(bytes + i, wanted, length) != 0) continue;
        bytes[i] ^= 1;
        ++*flips;
        if (catalog_verify_file(reader) == LORE_CORRUPTION) found++;
        bytes[i] ^= 1;
    }
    return found;
}

static void a_reader_checks_the_lmdb_file(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    static char large[20000]; /* in pages of its own */
    memset(large, 'w', sizeof large - 1);
    struct catalog_edit first;
    catalog_edit_init(&first, disk.config.allocator);
    assert_ok(catalog_edit_put(&first, lore_slice_of("a"), lore_slice_of("small-value")));
    assert_ok(catalog_edit_put(&first, lore_slice_of("b"), lore_slice_of(large)));
    assert_ok(catalog_create(&disk.config, &first, NULL));
    catalog_edit_deinit(&first);

    struct catalog_config config = disk.config;
    struct catalog *reader;
    struct catalog_opened opened;
    config.read_only = true;
    assert_ok(catalog_open(&config, &reader, &opened));
    assert_ok(catalog_verify_file(reader));
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(disk.memory, LMDB_PATH, &size);
    unsigned flips = 0;
    assert_true(flips_found(reader, bytes, size, "small-value", &flips) == 1 && flips == 1);
    memcpy(large, "wwwwwwww", 9);
    unsigned before = flips;
    assert_true(flips_found(reader, bytes, size, "wwwwwwww", &flips) == flips - before);
    assert_true(flips - before > 10000);
    assert_ok(catalog_verify_file(reader));
    assert_ok(fs_unlink(config.env, LMDB_PATH));
    assert_ok(catalog_verify_file(reader));
    catalog_close(reader);
    catalog_disk_close(&disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_are_there_after_opening),
        cmocka_unit_test(edits_roll),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(scans_may_stop_and_change_things),
        cmocka_unit_test(lmdb_is_rebuilt),
        cmocka_unit_test(few_files_are_kept_aside),
        cmocka_unit_test(an_old_lmdb_file_is_noticed),
        cmocka_unit_test(lost_edits_are_corruption),
        cmocka_unit_test(identities_are_told_apart),
        cmocka_unit_test(a_full_disk_is_not_final),
        cmocka_unit_test(the_map_grows_and_ends),
        cmocka_unit_test(readers_follow_a_writer),
        cmocka_unit_test(it_works_on_a_real_disk),
        cmocka_unit_test(verify_compares_the_two_homes),
        cmocka_unit_test(a_reader_checks_the_lmdb_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
