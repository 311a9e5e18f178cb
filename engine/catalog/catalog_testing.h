/*
 * catalog_testing.h - what the catalog's tests share: a disk in memory with faults, and a catalog
 * whose content is known from its edit number alone. For *_test.c only.
 */
#ifndef LORE_CATALOG_CATALOG_TESTING_H
#define LORE_CATALOG_CATALOG_TESTING_H

#include <inttypes.h>
#include <stdio.h>

#include "base/coding.h"
#include "base/testing.h"
#include "catalog/catalog.h"
#include "vfs/fs_fault.h"

#define TEST_DIR  "d"
#define TEST_KEYS 40u

struct catalog_disk {
    struct fs_memory *memory;
    struct fs_fault *fault;
    struct test_allocator allocator;
    lore_env env;       /* through the faults */
    lore_env plain_env; /* beneath them */
    struct catalog_config config;
};

static inline struct identity test_identity(uint8_t lineage) {
    struct identity identity;
    memset(identity.store_id, 0x11, 16);
    memset(identity.lineage, lineage, 16);
    return identity;
}

static inline void catalog_disk_config(struct catalog_disk *disk) {
    disk->config = (struct catalog_config){.env = &disk->env,
                                           .allocator = &disk->allocator.base,
                                           .dir = TEST_DIR,
                                           .identity = test_identity(1)};
}

static inline void catalog_disk_open(struct catalog_disk *disk) {
    const struct allocator *host = env_posix()->allocator;
    assert_ok(fs_memory_create(host, 0, &disk->memory));
    assert_ok(fs_fault_create(host, fs_memory_fs(disk->memory), &disk->fault));
    fs_fault_set_memory(disk->fault, disk->memory);
    test_allocator_init(&disk->allocator);
    disk->env = (lore_env){host, fs_fault_fs(disk->fault), env_posix()->sys};
    disk->plain_env = (lore_env){host, fs_memory_fs(disk->memory), env_posix()->sys};
    catalog_disk_config(disk);
    assert_ok(disk->env.fs->ops->make_dir(disk->env.fs, TEST_DIR, false));
    assert_ok(disk->env.fs->ops->sync_dir(disk->env.fs, "."));
}

static inline void catalog_disk_close(struct catalog_disk *disk) {
    fs_fault_destroy(disk->fault);
    fs_memory_destroy(disk->memory);
    assert_int_equal(disk->allocator.blocks, 0);
}

/* Edit `number` (from 2) puts two keys and deletes one; number 1 is the checkpoint of a new
 * catalog. */
static inline lore_slice test_key(uint64_t number, uint8_t out[16]) {
    return slice(out, (size_t)snprintf((char *)out, 16, "key%02u", (unsigned)(number % TEST_KEYS)));
}

static inline lore_slice test_value(uint64_t number, uint8_t out[2048]) {
    size_t size = 1 + (size_t)(number * 53 % 1500);
    memset(out, (int)(number % 251), size);
    put_u64(out, number);
    return slice(out, size < 8 ? 8 : size);
}

static inline lore_status test_edit(uint64_t number, struct catalog_edit *edit) {
    uint8_t key[16], value[2048];
    TRY(catalog_edit_put(edit, test_key(number * 3, key), test_value(number, value)));
    TRY(catalog_edit_put(edit, test_key(number * 7 + 1, key), test_value(number, value)));
    return catalog_edit_delete(edit, test_key(number * 5 + 2, key));
}

static inline lore_status test_commit(struct catalog *catalog) {
    struct catalog_edit edit;
    catalog_edit_init(&edit, env_posix()->allocator);
    lore_status status = test_edit(catalog_number(catalog) + 1, &edit);
    if (status == LORE_OK) status = catalog_commit(catalog, &edit);
    catalog_edit_deinit(&edit);
    return status;
}

static inline lore_status test_create(const struct catalog_disk *disk, struct catalog **catalog) {
    struct catalog_edit edit;
    catalog_edit_init(&edit, env_posix()->allocator);
    lore_status status = test_edit(1, &edit);
    if (status == LORE_OK) status = catalog_create(&disk->config, &edit, catalog);
    catalog_edit_deinit(&edit);
    return status;
}

/* Which edit last put each key after edit `number`; 0: it is not there. */
static inline void test_expect(uint64_t number, uint64_t last_put[TEST_KEYS]) {
    memset(last_put, 0, TEST_KEYS * sizeof *last_put);
    for (uint64_t i = 1; i <= number; i++) {
        last_put[i * 3 % TEST_KEYS] = i;
        last_put[(i * 7 + 1) % TEST_KEYS] = i;
        last_put[(i * 5 + 2) % TEST_KEYS] = 0;
    }
}

struct test_seen {
    uint64_t last_put[TEST_KEYS];
    bool as_expected;
};

static inline lore_status test_note(void *context, lore_slice key, lore_slice value) {
    struct test_seen *seen = context;
    uint8_t expected[2048];
    const char *text = key.data;
    if (key.size != 5 || value.size < 8) {
        seen->as_expected = false;
        return LORE_OK;
    }
    unsigned at = (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0');
    uint64_t number = get_u64(value.data);
    if (at >= TEST_KEYS || !slice_equal(value, test_value(number, expected))) {
        seen->as_expected = false;
        return LORE_OK;
    }
    seen->last_put[at] = number;
    return LORE_OK;
}

/* Whether scan and get both show the content of the catalog's number. The status of either. */
static inline lore_status test_content(struct catalog *catalog, bool *as_expected) {
    struct test_seen seen = {{0}, true};
    *as_expected = false;
    TRY(catalog_scan(catalog, slice(NULL, 0), test_note, &seen));
    uint64_t expected[TEST_KEYS];
    test_expect(catalog_number(catalog), expected);
    *as_expected = seen.as_expected && memcmp(seen.last_put, expected, sizeof expected) == 0;
    struct bytes value = bytes_empty(env_posix()->allocator);
    lore_status status = LORE_OK;
    for (uint64_t i = 0; i < TEST_KEYS && status == LORE_OK; i++) {
        uint8_t key[16], content[2048];
        status = catalog_get(catalog, test_key(i, key), &value);
        if (status == LORE_NOT_FOUND && expected[i] == 0) {
            status = LORE_OK;
        } else if (status == LORE_OK &&
                   !slice_equal(bytes_slice(&value), test_value(expected[i], content))) {
            *as_expected = false;
        }
    }
    bytes_free(&value);
    return status;
}

static inline void assert_content(struct catalog *catalog) {
    bool as_expected;
    assert_ok(test_content(catalog, &as_expected));
    assert_true(as_expected);
}

#endif
