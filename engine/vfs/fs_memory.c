/*
 * fs_memory.c - the file system in memory: the calls of struct fs. The rules are in fs_memory.h,
 * the data structures in fs_memory_tree.h.
 *
 * Every call takes the mutex once, does its work in a function of its own, and gives it back.
 */
#define LORE_MAY_CALL_THE_SYSTEM    /* pthread_mutex_lock: there is no environment beneath a file  \
                                       system */
#include "vfs/fs_memory_tree.h"

#include <assert.h>
#include "base/poison.h"

struct memory_file {
    struct file base;
    struct fs_memory *memory;
    struct inode *inode; /* a reference */
    bool writable;
};

struct file_lock {
    struct inode *inode; /* a reference */
};

static struct fs_memory *memory_of(struct fs *fs) {
    return (struct fs_memory *)fs;
}

static void enter(struct fs_memory *memory) {
    pthread_mutex_lock(&memory->mutex);
}

static lore_status leave(struct fs_memory *memory, lore_status status) {
    pthread_mutex_unlock(&memory->mutex);
    return status;
}

/* ---- files ---- */

static lore_status file_read_at(struct file *file, uint64_t offset, void *data, size_t size,
                                size_t *got) {
    struct memory_file *open = (struct memory_file *)file;
    *got = 0;
    enter(open->memory);
    lore_status status = window_fold(open->memory, open->inode);
    if (status == LORE_OK) *got = content_read(open->inode->now, offset, data, size);
    return leave(open->memory, status);
}

static lore_status file_write_at(struct file *file, uint64_t offset, const void *data,
                                 size_t size) {
    struct memory_file *open = (struct memory_file *)file;
    if (!open->writable) return fail(LORE_IO, "write: file is open for reading only");
    enter(open->memory);
    return leave(open->memory, inode_write(open->memory, open->inode, offset, data, size));
}

static lore_status file_get_size(struct file *file, uint64_t *size) {
    struct memory_file *open = (struct memory_file *)file;
    enter(open->memory);
    *size = open->inode->now->size;
    return leave(open->memory, LORE_OK);
}

static lore_status file_set_size(struct file *file, uint64_t size) {
    struct memory_file *open = (struct memory_file *)file;
    if (!open->writable) return fail(LORE_IO, "truncate: file is open for reading only");
    enter(open->memory);
    return leave(open->memory, inode_truncate(open->memory, open->inode, size));
}

static lore_status file_sync_all(struct file *file) {
    struct memory_file *open = (struct memory_file *)file;
    enter(open->memory);
    return leave(open->memory, inode_sync(open->memory, open->inode));
}

static void file_end(struct file *file) {
    struct memory_file *open = (struct memory_file *)file;
    struct fs_memory *memory = open->memory;
    enter(memory);
    assert(memory->handles > 0);
    memory->handles--;
    inode_release(memory, open->inode);
    mem_put(memory->host, open, sizeof *open);
    (void)leave(memory, LORE_OK);
}

static const struct file_ops file_ops = {file_read_at,  file_write_at, file_get_size,
                                         file_set_size, file_sync_all, file_end};

/* A new file under a name that is free. */
static lore_status create_file(struct fs_memory *memory, struct inode *dir, const char *name,
                               bool group_access, struct inode **inode) {
    TRY(inode_create(memory, false, group_access ? 0660 : 0600, inode));
    lore_status status = dir_link(memory, dir, name, *inode);
    if (status != LORE_OK) inode_destroy(memory, *inode);
    return status;
}

static lore_status open_inode(struct fs_memory *memory, const char *path, enum file_mode mode,
                              bool group_access, struct inode **inode) {
    struct inode *dir;
    char name[NAME_BYTES_MAX];
    TRY(tree_parent(memory, path, &dir, name));
    *inode = name[0] == '\0' ? dir : names_find(&dir->names_now, name);
    if (mode == FILE_CREATE) {
        if (*inode != NULL) return fail(LORE_EXISTS, "create %s: it exists", path);
        return create_file(memory, dir, name, group_access, inode);
    }
    if (*inode == NULL) return LORE_NOT_FOUND;
    if ((*inode)->is_dir) return fail(LORE_IO, "open %s: is a directory", path);
    return LORE_OK;
}

static lore_status memory_open(struct fs *fs, const char *path, enum file_mode mode,
                               bool group_access, struct file **file) {
    struct fs_memory *memory = memory_of(fs);
    enter(memory);
    void *block = NULL;
    struct inode *inode;
    lore_status status = mem_new(memory->host, sizeof(struct memory_file), &block);
    if (status == LORE_OK) status = open_inode(memory, path, mode, group_access, &inode);
    if (status != LORE_OK) {
        mem_put(memory->host, block, sizeof(struct memory_file));
        return leave(memory, status);
    }
    struct memory_file *open = block;
    *open = (struct memory_file){{&file_ops}, memory, inode, mode != FILE_READ};
    inode_hold(inode);
    memory->handles++;
    *file = &open->base;
    return leave(memory, LORE_OK);
}

/* ---- names ---- */

static lore_status make_dir(struct fs_memory *memory, const char *path, bool group_access) {
    struct inode *dir;
    char name[NAME_BYTES_MAX];
    TRY(tree_parent(memory, path, &dir, name));
    if (name[0] == '\0' || names_find(&dir->names_now, name) != NULL) {
        return fail(LORE_EXISTS, "make directory %s: it exists", path);
    }
    struct inode *inode;
    TRY(inode_create(memory, true, group_access ? 0770 : 0700, &inode));
    lore_status status = dir_link(memory, dir, name, inode);
    if (status != LORE_OK) inode_destroy(memory, inode);
    return status;
}

static lore_status memory_make_dir(struct fs *fs, const char *path, bool group_access) {
    enter(memory_of(fs));
    return leave(memory_of(fs), make_dir(memory_of(fs), path, group_access));
}

static lore_status remove_name(struct fs_memory *memory, const char *path, bool is_dir) {
    struct inode *dir;
    char name[NAME_BYTES_MAX];
    TRY(tree_parent(memory, path, &dir, name));
    struct inode *inode = names_find(&dir->names_now, name);
    if (inode == NULL) return LORE_NOT_FOUND;
    if (inode->is_dir != is_dir) {
        return fail(LORE_IO, "remove %s: %s", path, is_dir ? "not a directory" : "is a directory");
    }
    if (is_dir && inode->names_now.count > 0) {
        return fail(LORE_IO, "remove directory %s: not empty", path);
    }
    return dir_unlink(memory, dir, name);
}

static lore_status memory_remove_dir(struct fs *fs, const char *path) {
    enter(memory_of(fs));
    return leave(memory_of(fs), remove_name(memory_of(fs), path, true));
}

static lore_status memory_unlink(struct fs *fs, const char *path) {
    enter(memory_of(fs));
    return leave(memory_of(fs), remove_name(memory_of(fs), path, false));
}

static lore_status sync_dir(struct fs_memory *memory, const char *path) {
    struct inode *dir;
    TRY(tree_find(memory, path, &dir));
    if (!dir->is_dir) return fail(LORE_IO, "sync directory %s: not a directory", path);
    return dir_sync(memory, dir);
}

static lore_status memory_sync_dir(struct fs *fs, const char *path) {
    enter(memory_of(fs));
    return leave(memory_of(fs), sync_dir(memory_of(fs), path));
}

static lore_status rename_path(struct fs_memory *memory, const char *from, const char *to) {
    struct inode *from_dir, *to_dir;
    char from_name[NAME_BYTES_MAX], to_name[NAME_BYTES_MAX];
    TRY(tree_parent(memory, from, &from_dir, from_name));
    TRY(tree_parent(memory, to, &to_dir, to_name));
    struct inode *inode = names_find(&from_dir->names_now, from_name);
    struct inode *over = names_find(&to_dir->names_now, to_name);
    if (inode == NULL) return LORE_NOT_FOUND;
    if (to_name[0] == '\0') return fail(LORE_IO, "rename %s to %s: it exists", from, to);
    if (inode->is_dir && from_dir != to_dir) {
        return fail(LORE_UNSUPPORTED, "rename %s to %s: a directory stays in its parent", from, to);
    }
    if (inode == over) return LORE_OK;
    if (over != NULL && over->is_dir != inode->is_dir) {
        return fail(LORE_IO, "rename %s to %s: a file and a directory", from, to);
    }
    if (over != NULL && over->is_dir && over->names_now.count > 0) {
        return fail(LORE_IO, "rename %s to %s: directory not empty", from, to);
    }
    return dir_rename(memory, from_dir, from_name, to_dir, to_name);
}

static lore_status memory_rename(struct fs *fs, const char *from, const char *to) {
    enter(memory_of(fs));
    return leave(memory_of(fs), rename_path(memory_of(fs), from, to));
}

static lore_status link_path(struct fs_memory *memory, const char *from, const char *to) {
    struct inode *inode, *dir;
    char name[NAME_BYTES_MAX];
    TRY(tree_find(memory, from, &inode));
    TRY(tree_parent(memory, to, &dir, name));
    if (name[0] == '\0' || names_find(&dir->names_now, name) != NULL) {
        return fail(LORE_EXISTS, "link %s: it exists", to);
    }
    if (inode->is_dir) return fail(LORE_UNSUPPORTED, "link %s: is a directory", from);
    return dir_link(memory, dir, name, inode);
}

static lore_status memory_link(struct fs *fs, const char *from, const char *to) {
    enter(memory_of(fs));
    return leave(memory_of(fs), link_path(memory_of(fs), from, to));
}

/* A copy of a folder's names, so that the callback may change the folder. */
static lore_status copy_names(struct fs_memory *memory, const char *path, struct names *copy) {
    struct inode *dir;
    TRY(tree_find(memory, path, &dir));
    if (!dir->is_dir) return fail(LORE_IO, "list %s: not a directory", path);
    TRY(names_reserve(memory->host, copy, dir->names_now.count));
    for (size_t i = 0; i < dir->names_now.count; i++) {
        copy->list[i] = dir->names_now.list[i];
        inode_hold(copy->list[i].inode);
    }
    copy->count = dir->names_now.count;
    return LORE_OK;
}

static lore_status memory_list(struct fs *fs, const char *path, dir_entry_fn entry, void *context) {
    struct fs_memory *memory = memory_of(fs);
    struct names names = {0};
    enter(memory);
    lore_status status = leave(memory, copy_names(memory, path, &names));
    for (size_t i = 0; i < names.count && status == LORE_OK; i++) {
        struct dir_entry found = {names.list[i].text, names.list[i].inode->is_dir};
        status = entry(context, &found);
    }
    enter(memory);
    for (size_t i = 0; i < names.count; i++)
        inode_release(memory, names.list[i].inode);
    names_free(memory->host, &names);
    return leave(memory, status);
}

static lore_status memory_stat(struct fs *fs, const char *path, uint64_t *size, bool *is_dir,
                               uint32_t *mode) {
    struct fs_memory *memory = memory_of(fs);
    enter(memory);
    struct inode *inode;
    lore_status status = tree_find(memory, path, &inode);
    if (status == LORE_OK) {
        *size = inode->is_dir ? 0 : inode->now->size;
        *is_dir = inode->is_dir;
        *mode = inode->mode;
    }
    return leave(memory, status);
}

static lore_status memory_space(struct fs *fs, const char *path, uint64_t *free_bytes) {
    struct fs_memory *memory = memory_of(fs);
    enter(memory);
    struct inode *inode;
    lore_status status = tree_find(memory, path, &inode);
    if (status == LORE_OK) {
        *free_bytes = memory->capacity_bytes > memory->used_bytes
                          ? memory->capacity_bytes - memory->used_bytes
                          : 0;
        if (memory->capacity_bytes == UINT64_MAX) *free_bytes = UINT64_C(1) << 40;
    }
    return leave(memory, status);
}

/* ---- locks ---- */

static lore_status lock_path(struct fs_memory *memory, const char *path, bool group_access,
                             struct file_lock *lock) {
    lore_status status = open_inode(memory, path, FILE_WRITE, group_access, &lock->inode);
    if (status == LORE_NOT_FOUND) {
        status = open_inode(memory, path, FILE_CREATE, group_access, &lock->inode);
    }
    TRY(status);
    if (lock->inode->locked) return fail(LORE_LOCKED, "lock %s: held by another", path);
    lock->inode->locked = true;
    inode_hold(lock->inode);
    memory->handles++;
    return LORE_OK;
}

static lore_status memory_lock(struct fs *fs, const char *path, bool group_access,
                               struct file_lock **lock) {
    struct fs_memory *memory = memory_of(fs);
    enter(memory);
    void *block = NULL;
    lore_status status = mem_new(memory->host, sizeof **lock, &block);
    if (status == LORE_OK) status = lock_path(memory, path, group_access, block);
    if (status == LORE_OK) {
        *lock = block;
    } else {
        mem_put(memory->host, block, sizeof **lock);
    }
    return leave(memory, status);
}

static void memory_unlock(struct fs *fs, struct file_lock *lock) {
    struct fs_memory *memory = memory_of(fs);
    enter(memory);
    assert(lock->inode->locked && memory->handles > 0);
    lock->inode->locked = false;
    memory->handles--;
    inode_release(memory, lock->inode);
    mem_put(memory->host, lock, sizeof *lock);
    (void)leave(memory, LORE_OK);
}

static lore_status memory_is_locked(struct fs *fs, const char *path, bool *locked) {
    struct fs_memory *memory = memory_of(fs);
    enter(memory);
    struct inode *inode;
    lore_status status = tree_find(memory, path, &inode);
    if (status == LORE_OK) *locked = inode->locked;
    return leave(memory, status);
}

static const struct fs_ops fs_ops = {
    .open = memory_open,
    .make_dir = memory_make_dir,
    .remove_dir = memory_remove_dir,
    .sync_dir = memory_sync_dir,
    .rename = memory_rename,
    .unlink = memory_unlink,
    .link = memory_link,
    .list = memory_list,
    .stat = memory_stat,
    .space = memory_space,
    .lock = memory_lock,
    .unlock = memory_unlock,
    .is_locked = memory_is_locked,
    .native_open = native_open,
    .native_commit = native_commit,
    .native_close = native_close,
};

/* ---- the whole ---- */

lore_status fs_memory_create(const struct allocator *host, uint64_t capacity_bytes,
                             struct fs_memory **memory) {
    void *block;
    TRY(mem_new(host, sizeof **memory, &block));
    struct fs_memory *made = block;
    made->base.ops = &fs_ops;
    made->host = host;
    made->capacity_bytes = capacity_bytes == 0 ? UINT64_MAX : capacity_bytes;
    lore_status status = inode_create(made, true, 0700, &made->root);
    if (status != LORE_OK) {
        mem_put(host, made, sizeof *made);
        return status;
    }
    inode_hold(made->root);
    if (pthread_mutex_init(&made->mutex, NULL) != 0) {
        inode_destroy(made, made->root);
        mem_put(host, made, sizeof *made);
        return fail(LORE_NO_MEMORY, "pthread_mutex_init");
    }
    *memory = made;
    return LORE_OK;
}

void fs_memory_destroy(struct fs_memory *memory) {
    if (memory == NULL) return;
    assert(memory->handles == 0);
    native_remove_all(memory);
    for (struct change *change = memory->oldest, *next; change != NULL; change = next) {
        next = change->next;
        change_destroy(memory, change);
    }
    while (memory->inodes != NULL)
        inode_destroy(memory, memory->inodes);
    pthread_mutex_destroy(&memory->mutex);
    mem_put(memory->host, memory, sizeof *memory);
}

struct fs *fs_memory_fs(struct fs_memory *memory) {
    return &memory->base;
}

void fs_memory_set_capacity(struct fs_memory *memory, uint64_t capacity_bytes) {
    enter(memory);
    memory->capacity_bytes = capacity_bytes == 0 ? UINT64_MAX : capacity_bytes;
    (void)leave(memory, LORE_OK);
}

size_t fs_memory_pending_count(struct fs_memory *memory) {
    enter(memory);
    size_t count = memory->pending;
    (void)leave(memory, LORE_OK);
    return count;
}

/* The file's bytes in one piece, one spare at the end so that an empty file has some too. */
static uint8_t *open_window(struct fs_memory *memory, struct inode *file) {
    if (inode_sync(memory, file) != LORE_OK) return NULL;
    if (file->window != NULL) return file->window;
    size_t size = (size_t)file->now->size;
    void *block;
    if (mem_get(memory->host, size + 1, &block) != LORE_OK) return NULL;
    file->window = block;
    (void)content_read(file->now, 0, file->window, size);
    return file->window;
}

uint8_t *fs_memory_bytes(struct fs_memory *memory, const char *path, uint64_t *size) {
    enter(memory);
    struct inode *inode;
    uint8_t *bytes = NULL;
    if (tree_find(memory, path, &inode) == LORE_OK && !inode->is_dir) {
        bytes = open_window(memory, inode);
        *size = inode->now->size;
    }
    (void)leave(memory, LORE_OK);
    return bytes;
}

void fs_memory_drop_pending(struct fs_memory *memory, struct file *file) {
    assert(file->ops == &file_ops && ((struct memory_file *)file)->memory == memory);
    struct inode *inode = ((struct memory_file *)file)->inode;
    enter(memory);
    if (inode->durable != inode->now) {
        window_close(memory, inode);
        memory->used_bytes = memory->used_bytes - inode->now->size + inode->durable->size;
        content_drop(memory->host, inode->now);
        inode->now = content_share(inode->durable);
    }
    inode_forget_changes(memory, inode);
    (void)leave(memory, LORE_OK);
}
