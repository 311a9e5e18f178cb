/*
 * file_pool.c - open descriptors, at most files_max of them.
 *
 * A pooled file is closed, opening, or open. While a read uses it, it is not closed; idle open
 * files stand in a list, the least recently used first. A read that finds its file closed takes a
 * free place, or closes the idle file that was used longest ago and takes its place, or waits until
 * a read ends.
 *
 * With keep_open a path is opened once, however many ask for it: the pool finds the file by its
 * path as long as somebody holds it, also after its name is gone from the directory.
 *
 * Invariant: places, the number of files open or opening, is at most files_max (without keep_open).
 *
 * Threads: the pool's mutex guards all fields; opening, closing and reading happen outside it. A
 * file that is opening has users > 0, so nobody takes its place away; others who want it wait for
 * `changed`.
 */
#include "segment/file_pool.h"

#include <assert.h>

#include "base/digest.h"
#include "vfs/sync.h"
#include "base/poison.h"

#define KEPT_CHAINS 256u

struct pooled_file {
    struct file_pool *pool;
    struct file *file; /* NULL: closed or opening */
    struct pooled_file *older,
        *newer;               /* in the idle list, if open and users is 0 and not keep_open */
    struct pooled_file *next; /* with keep_open: in its chain */
    uint64_t references;
    uint32_t users; /* reads that hold it open */
    bool opening;
    bool dropped;
    size_t path_bytes; /* with the terminating zero */
    char path[];
};

struct file_pool {
    const lore_env *env;
    const struct allocator *allocator;
    struct mutex *mutex;
    struct condition *changed; /* a file was opened, failed to open, or became idle */
    uint32_t files_max;
    bool keep_open;
    uint64_t places;                       /* files open or opening */
    uint64_t files;                        /* pooled files there are */
    struct pooled_file *oldest, *newest;   /* idle */
    struct pooled_file *kept[KEPT_CHAINS]; /* with keep_open: all, by path */
};

static void lock(struct file_pool *pool) {
    env_lock(pool->env, pool->mutex);
}

static void unlock(struct file_pool *pool) {
    env_unlock(pool->env, pool->mutex);
}

static void wait_for_change(struct file_pool *pool) {
    env_wait(pool->env, pool->changed, pool->mutex);
}

static void announce_change(struct file_pool *pool) {
    env_broadcast(pool->env, pool->changed);
}

/* ---- the pool ---- */

lore_status file_pool_create(const lore_env *env, const struct allocator *allocator,
                             uint32_t files_max, bool keep_open, struct file_pool **pool) {
    assert(files_max > 0);
    void *memory;
    TRY(mem_new(allocator, sizeof(struct file_pool), &memory));
    struct file_pool *made = memory;
    made->env = env;
    made->allocator = allocator;
    made->files_max = files_max;
    made->keep_open = keep_open;
    lore_status status = env_mutex_create(env, &made->mutex);
    if (status == LORE_OK) status = env_condition_create(env, &made->changed);
    if (status != LORE_OK) {
        file_pool_destroy(made);
        return status;
    }
    *pool = made;
    return LORE_OK;
}

void file_pool_destroy(struct file_pool *pool) {
    if (pool == NULL) return;
    assert(pool->files == 0 && pool->places == 0);
    env_condition_destroy(pool->env, pool->changed);
    env_mutex_destroy(pool->env, pool->mutex);
    mem_put(pool->allocator, pool, sizeof *pool);
}

uint64_t file_pool_open_count(struct file_pool *pool) {
    lock(pool);
    uint64_t count = pool->places;
    unlock(pool);
    return count;
}

/* ---- the idle list; the pool is locked ---- */

static void idle_add(struct file_pool *pool, struct pooled_file *file) {
    file->newer = NULL;
    file->older = pool->newest;
    if (pool->newest != NULL)
        pool->newest->newer = file;
    else
        pool->oldest = file;
    pool->newest = file;
}

static void idle_remove(struct file_pool *pool, struct pooled_file *file) {
    if (file->older != NULL)
        file->older->newer = file->newer;
    else
        pool->oldest = file->newer;
    if (file->newer != NULL)
        file->newer->older = file->older;
    else
        pool->newest = file->older;
    file->older = file->newer = NULL;
}

/* ---- files ---- */

static struct pooled_file **chain_of(struct file_pool *pool, const char *path) {
    return &pool->kept[check64(path, strlen(path)) % KEPT_CHAINS];
}

/* The file that is kept open under that path, with one reference more; NULL: none. The pool is
 * locked. */
static struct pooled_file *find_kept(struct file_pool *pool, const char *path) {
    struct pooled_file *file = *chain_of(pool, path);
    while (file != NULL && strcmp(file->path, path) != 0)
        file = file->next;
    if (file != NULL) file->references++;
    return file;
}

static void leave_chain(struct file_pool *pool, struct pooled_file *file) {
    struct pooled_file **link = chain_of(pool, file->path);
    while (*link != file)
        link = &(*link)->next;
    *link = file->next;
}

static lore_status file_new(struct file_pool *pool, const char *path, struct pooled_file **file) {
    size_t path_bytes = strlen(path) + 1;
    void *memory;
    TRY(mem_new(pool->allocator, sizeof(struct pooled_file) + path_bytes, &memory));
    struct pooled_file *made = memory;
    made->pool = pool;
    made->references = 1;
    made->path_bytes = path_bytes;
    memcpy(made->path, path, path_bytes);
    *file = made;
    return LORE_OK;
}

static void file_free(struct pooled_file *file) {
    file_close(file->file);
    mem_put(file->pool->allocator, file, sizeof *file + file->path_bytes);
}

static lore_status kept_file_create(struct file_pool *pool, const char *path,
                                    struct pooled_file **file) {
    lock(pool);
    *file = find_kept(pool, path);
    unlock(pool);
    if (*file != NULL) return LORE_OK;
    struct pooled_file *made;
    TRY(file_new(pool, path, &made));
    lore_status status = fs_open(pool->env, path, FILE_READ, false, &made->file);
    if (status != LORE_OK) {
        file_free(made);
        return status;
    }
    lock(pool);
    *file = find_kept(pool, path); /* another thread may have been first */
    if (*file == NULL) {
        struct pooled_file **chain = chain_of(pool, path);
        made->next = *chain;
        *chain = *file = made;
        pool->files++;
        pool->places++;
    }
    unlock(pool);
    if (*file != made) file_free(made);
    return LORE_OK;
}

lore_status pooled_file_create(struct file_pool *pool, const char *path,
                               struct pooled_file **file) {
    if (pool->keep_open) return kept_file_create(pool, path, file);
    TRY(file_new(pool, path, file));
    lock(pool);
    pool->files++;
    unlock(pool);
    return LORE_OK;
}

void pooled_file_retain(struct pooled_file *file) {
    lock(file->pool);
    file->references++;
    unlock(file->pool);
}

void pooled_file_release(struct pooled_file *file) {
    if (file == NULL) return;
    struct file_pool *pool = file->pool;
    lock(pool);
    assert(file->references > 0);
    bool last = --file->references == 0;
    struct file *opened = file->file;
    if (last) {
        assert(file->users == 0 && !file->opening);
        if (opened != NULL && !pool->keep_open) idle_remove(pool, file);
        if (pool->keep_open) leave_chain(pool, file);
    }
    unlock(pool);
    if (!last) return;

    if (file->dropped) {
        lore_status status = fs_unlink(pool->env, file->path);
        (void)status; /* the next open sweeps what is left */
    }
    file_free(file);
    lock(pool);
    pool->files--;
    if (opened != NULL) pool->places--;
    announce_change(pool);
    unlock(pool);
}

void pooled_file_mark_dropped(struct pooled_file *file) {
    lock(file->pool);
    file->dropped = true;
    unlock(file->pool);
}

const char *pooled_file_path(const struct pooled_file *file) {
    return file->path;
}

/* ---- use ---- */

/* Wait until the file is open, or a place for it is ours; *victim is a file to close first, or
 * NULL. The pool is locked. Returns whether the file is open. */
static bool take_place(struct pooled_file *file, struct file **victim) {
    struct file_pool *pool = file->pool;
    *victim = NULL;
    for (;;) {
        if (file->file != NULL) return true;
        if (!file->opening && pool->places < pool->files_max) {
            pool->places++;
            break;
        }
        if (!file->opening && pool->oldest != NULL) {
            struct pooled_file *oldest = pool->oldest;
            idle_remove(pool, oldest);
            *victim = oldest->file;
            oldest->file = NULL;
            break;
        }
        wait_for_change(pool);
    }
    file->opening = true;
    return false;
}

/* Open the file if it is not, and keep it so until pooled_file_unuse. */
static lore_status pooled_file_use(struct pooled_file *file) {
    struct file_pool *pool = file->pool;
    struct file *victim;
    lock(pool);
    bool is_open = take_place(file, &victim);
    if (is_open && file->users == 0 && !pool->keep_open) idle_remove(pool, file);
    file->users++;
    unlock(pool);
    if (is_open) return LORE_OK;

    file_close(victim);
    struct file *opened = NULL;
    lore_status status = fs_open(pool->env, file->path, FILE_READ, false, &opened);
    lock(pool);
    file->opening = false;
    if (status == LORE_OK) {
        file->file = opened;
    } else {
        pool->places--;
        file->users--;
    }
    announce_change(pool);
    unlock(pool);
    if (status == LORE_NOT_FOUND) {
        /* Whoever reads here has been promised the file; "not found" would read as "no such key".
         */
        return fail(LORE_CORRUPTION, "%s: the file is missing", file->path);
    }
    return status;
}

static void pooled_file_unuse(struct pooled_file *file) {
    struct file_pool *pool = file->pool;
    lock(pool);
    assert(file->users > 0 && file->file != NULL);
    file->users--;
    if (file->users == 0 && !pool->keep_open) {
        idle_add(pool, file);
        announce_change(pool);
    }
    unlock(pool);
}

lore_status pooled_file_read(struct pooled_file *file, uint64_t offset, void *data, size_t size) {
    TRY(pooled_file_use(file));
    lore_status status = file_read_exact(file->file, file->path, offset, data, size);
    pooled_file_unuse(file);
    return status;
}

lore_status pooled_file_size(struct pooled_file *file, uint64_t *size) {
    TRY(pooled_file_use(file));
    lore_status status = file_size(file->file, size);
    pooled_file_unuse(file);
    return status;
}
