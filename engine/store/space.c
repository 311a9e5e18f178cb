/*
 * space.c - full disks. The reserve is a file of zeros that is given up when the disk is full, so
 * that deletes, and the flushes and compaction that give their space back, can run; it is made
 * again when there is room for it twice over. Until then what it gave is theirs: other writes are
 * refused. The quota bounds the bytes of live segments.
 */
#include <inttypes.h>
#include <stdio.h>

#include "store/store_internal.h"

#include "base/poison.h"

#define RESERVE_NAME "RESERVE"
#define ZEROS_BYTES  (64u << 10)
/* A flush wants this beside its content: ends of files, the catalog, the log's end. */
#define FLUSH_SPARE_BYTES (128u << 10)

/* ---- what is left ---- */

/* 0: not known. */
static uint64_t free_bytes_of(lore_store *store) {
    uint64_t bytes;
    if (store->env->fs->ops->space(store->env->fs, store->dir, &bytes) != LORE_OK) return 0;
    return bytes == 0 ? 1 : bytes;
}

/* What must find room when it is flushed. */
static uint64_t unflushed_bytes(lore_store *store) {
    struct lsm_stats stats;
    lsm_stats_get(store->lsm, &stats);
    return stats.memtable_bytes;
}

/* With the reserve, if it is there. 0: not known. */
static uint64_t free_bytes_and_reserve(lore_store *store) {
    uint64_t bytes = free_bytes_of(store), reserve = store->options.reserve_bytes;
    atomic_store(&store->free_bytes, bytes);
    if (bytes == 0 || atomic_load(&store->reserve_given_up)) return bytes;
    return bytes < UINT64_MAX - reserve ? bytes + reserve : bytes;
}

uint64_t space_for_background(lore_store *store) {
    uint64_t bytes = free_bytes_and_reserve(store);
    if (bytes == 0 || bytes / 8 > store->options.memory_budget) return bytes;
    uint64_t unflushed = unflushed_bytes(store);
    return bytes > unflushed ? bytes - unflushed : 1;
}

bool space_is_scarce(lore_store *store, uint64_t batch_bytes) {
    if (atomic_load(&store->free_bytes) / 8 > store->options.memory_budget) return false;
    uint64_t bytes = free_bytes_and_reserve(store);
    return bytes != 0 && bytes < unflushed_bytes(store) + 2 * batch_bytes + FLUSH_SPARE_BYTES;
}

/* What is in memory must find room when it is flushed, and then compaction some to begin with: so
 * that what is deleted on a full disk gives its space back. */
static uint64_t free_bytes_min(lore_store *store, uint64_t batch_bytes) {
    uint64_t memtable = store->options.memtable_bytes, table = store->options.table_bytes_max;
    return unflushed_bytes(store) + 2 * batch_bytes + (memtable < table ? memtable : table) / 2;
}

/* The file system is asked when it may be close to full; else now and then, as the background does
 * anyway. */
static lore_status check_room(lore_store *store, uint64_t batch_bytes) {
    uint64_t known = atomic_load(&store->free_bytes);
    if (known / 8 > store->options.memory_budget) {
        atomic_store(&store->free_bytes, known - 2 * batch_bytes);
        return LORE_OK;
    }
    known = free_bytes_of(store);
    atomic_store(&store->free_bytes, known);
    uint64_t wanted = free_bytes_min(store, batch_bytes);
    if (known == 0 || known >= wanted) return LORE_OK;
    return fail(LORE_FULL,
                "%s: %" PRIu64 " bytes are free on the disk, %" PRIu64
                " are kept for what is in memory and for compaction",
                store->path, known, wanted);
}

/* ---- writes ---- */

lore_status space_check_write(lore_store *store, bool frees_space, uint64_t batch_bytes) {
    uint64_t quota = store->options.quota_bytes;
    if (frees_space) return LORE_OK;
    if (atomic_load(&store->reserve_given_up)) space_restore_reserve(store);
    if (atomic_load(&store->reserve_given_up))
        return fail(LORE_FULL,
                    "%s: the disk is full, and what is left is kept for deletes and compaction "
                    "until %" PRIu64 " bytes are free (twice lore_options.reserve_bytes)",
                    store->path, 2 * (uint64_t)store->options.reserve_bytes);
    TRY(check_room(store, batch_bytes));
    if (quota == 0) return LORE_OK;
    struct lsm_stats stats;
    lsm_stats_get(store->lsm, &stats);
    uint64_t bytes = stats.table_bytes + stats.blob_bytes + stats.row_bytes;
    if (bytes < quota) return LORE_OK;
    return fail(LORE_FULL,
                "%s: %" PRIu64 " bytes of segments, the quota is %" PRIu64
                "; delete something and compact, or raise quota_bytes",
                store->path, bytes, quota);
}

/* ---- the reserve ---- */

bool space_remove_reserve(lore_store *store) {
    char path[PATH_BYTES_MAX];
    if (store->options.reserve_bytes == 0 || store->dir[0] == '\0' ||
        path_join(path, store->dir, RESERVE_NAME) != LORE_OK)
        return false;
    /* The text of why it is wanted stays the thread's error. */
    char why[512];
    snprintf(why, sizeof why, "%s", lore_error_message());
    bool removed = fs_unlink(store->env, path) == LORE_OK;
    fail(LORE_FULL, "%s", why);
    return removed;
}

bool space_release_reserve(lore_store *store) {
    if (!space_remove_reserve(store)) return false;
    atomic_store(&store->reserve_given_up, true);
    /* Some file systems give space back only when the unlinking is durable. */
    lore_status status = store->env->fs->ops->sync_dir(store->env->fs, store->dir);
    if (status != LORE_OK) status = commit_poison(store, status);
    log_write(&store->logger, LORE_LOG_WARNING, "%s: the disk is full; the reserve is given up",
              store->dir);
    return status == LORE_OK;
}

static lore_status write_reserve(lore_store *store, const char *path) {
    void *zeros;
    TRY(mem_new(&store->work_allocator.base, ZEROS_BYTES, &zeros));
    struct file *file = NULL;
    lore_status status = fs_open(store->env, path, FILE_CREATE, store->options.group_access, &file);
    for (uint64_t at = 0; status == LORE_OK && at < store->options.reserve_bytes;
         at += ZEROS_BYTES) {
        uint64_t left = store->options.reserve_bytes - at;
        status = file_write(file, at, zeros, left < ZEROS_BYTES ? (size_t)left : ZEROS_BYTES);
    }
    /* Not synced: what a crash leaves of it is found by its size and made anew. */
    file_close(file);
    mem_put(&store->work_allocator.base, zeros, ZEROS_BYTES);
    return status;
}

/* Whether the reserve is there, whole. */
static bool make_reserve(lore_store *store) {
    char path[PATH_BYTES_MAX];
    uint64_t want = store->options.reserve_bytes, size = 0, free_bytes = 0;
    bool is_dir;
    uint32_t mode;
    if (path_join(path, store->dir, RESERVE_NAME) != LORE_OK) return false;
    struct fs *fs = store->env->fs;
    lore_status status = fs->ops->stat(fs, path, &size, &is_dir, &mode);
    if (status == LORE_OK && size == want) return true;
    if (fs->ops->space(fs, store->dir, &free_bytes) != LORE_OK) return false;
    if (free_bytes < 2 * want) {
        atomic_store(&store->reserve_given_up, true); /* by an earlier handle, it may be */
        return false;
    }
    if (status == LORE_OK && fs_unlink(store->env, path) != LORE_OK) return false;
    if (write_reserve(store, path) == LORE_OK) return true;
    lore_status ignored = fs_unlink(store->env, path);
    (void)ignored;
    return false;
}

void space_restore_reserve(lore_store *store) {
    if (store->options.reserve_bytes == 0 || atomic_exchange(&store->reserve_busy, true)) return;
    if (make_reserve(store)) atomic_store(&store->reserve_given_up, false);
    atomic_store(&store->reserve_busy, false);
}
