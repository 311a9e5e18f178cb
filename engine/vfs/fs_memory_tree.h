/*
 * fs_memory_tree.h - inside the file system in memory: inodes, directories' names, pending changes.
 *
 *   fs_memory        all inodes in one list, all pending changes in another, oldest first
 *   inode, a file    what is now, what is durable:  now = durable + its pending writes and
 * truncates inode, a folder  names now, names durable:      now = durable + its pending links,
 * unlinks, renames
 *
 * An inode lives while something refers to it: a name (now or durable), a pending change that links
 * it, an open handle. When it goes, pending changes within it go too.
 *
 * Threads: all under fs_memory.mutex. Owner: struct fs_memory owns all of it.
 */
#ifndef LORE_VFS_FS_MEMORY_TREE_H
#define LORE_VFS_FS_MEMORY_TREE_H

#include <pthread.h>
#include "vfs/fs_memory.h"
#include "vfs/fs_memory_content.h"

#define NAME_BYTES_MAX 256 /* with the terminating zero, as on most file systems */

struct inode;
struct name {
    char text[NAME_BYTES_MAX];
    struct inode *inode;
};
struct names {
    struct name *list; /* in no order */
    size_t count, capacity;
};

struct inode {
    struct inode *next, *previous;
    size_t references;
    bool is_dir;
    uint32_t mode; /* permission bits */
    bool locked;

    struct content *now, *durable; /* a file's */
    uint8_t *window;               /* what fs_memory_bytes gave out, or NULL; of now->size bytes */

    struct names names_now, names_durable; /* a folder's */
    bool to_sync;                          /* marked by sync_dir while it runs */

    /* While a clone is made: what the crash leaves where that is not what is durable, and the new
     * inode. */
    struct content *crash_content;
    struct names crash_names;
    bool has_crash_names;
    struct inode *twin;
};

enum change_kind { CHANGE_WRITE, CHANGE_TRUNCATE, CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME };

struct payload; /* bytes written, shared by clones */
struct change {
    struct change *next, *previous;
    enum change_kind kind;
    struct inode *inode; /* the file written, or the folder that has the name. Not a reference */
    uint64_t offset;     /* write: where; truncate: the new size */
    size_t size;         /* write: bytes */
    struct payload *payload; /* write: NULL is zeros */
    struct inode *target;    /* link, rename: what the name stands for. A reference */
    struct inode *from_dir;  /* rename: the folder that had it. Not a reference */
    char *name;              /* link, unlink, rename; of NAME_BYTES_MAX bytes */
    char *from_name;         /* rename; likewise */
};

struct native {
    struct native *next;
    char path[PATH_BYTES_MAX];
    int fd; /* LMDB's copy, which has no name */
    size_t users;
};

struct fs_memory {
    struct fs base;
    const struct allocator *host;
    pthread_mutex_t mutex;
    uint64_t capacity_bytes; /* UINT64_MAX: no limit */
    uint64_t used_bytes;     /* the sizes of all files now */
    size_t handles;          /* open files and locks */
    struct inode *root;      /* one reference */
    struct inode *inodes;
    struct change *oldest, *newest;
    size_t pending;
    struct native *natives;
};

/* ---- names ---- */

MUST_USE lore_status names_reserve(const struct allocator *host, struct names *names, size_t extra);
struct inode *names_find(const struct names *names, const char *text); /* NULL: none */
/* Room must have been reserved. Gives what the name stood for before, or NULL. */
struct inode *names_put(struct names *names, const char *text, struct inode *inode);
struct inode *names_remove(struct names *names, const char *text);
void names_free(const struct allocator *host, struct names *names);

/* ---- inodes ---- */

MUST_USE lore_status inode_create(struct fs_memory *memory, bool is_dir, uint32_t mode,
                                  struct inode **inode);
static inline void inode_hold(struct inode *inode) {
    inode->references++;
}
void inode_release(struct fs_memory *memory, struct inode *inode); /* NULL is fine */
void inode_destroy(struct fs_memory *memory, struct inode *inode);

/* The last name of `path` and the folder that it is or would be in. `name` is empty for the root.
 */
MUST_USE lore_status tree_parent(struct fs_memory *memory, const char *path, struct inode **dir,
                                 char name[NAME_BYTES_MAX]);
/* LORE_NOT_FOUND without a text. */
MUST_USE lore_status tree_find(struct fs_memory *memory, const char *path, struct inode **inode);

/* ---- files ---- */

MUST_USE lore_status inode_write(struct fs_memory *memory, struct inode *file, uint64_t offset,
                                 const void *data, size_t size);
MUST_USE lore_status inode_truncate(struct fs_memory *memory, struct inode *file, uint64_t size);
MUST_USE lore_status inode_sync(struct fs_memory *memory, struct inode *file);
/* Its pending changes are off the list; what is now and what is durable stay. */
void inode_forget_changes(struct fs_memory *memory, struct inode *file);
/* Take over what a test changed through fs_memory_bytes. Before every use of file->now. */
MUST_USE lore_status window_fold(struct fs_memory *memory, struct inode *file);
void window_close(struct fs_memory *memory, struct inode *file);

/* ---- folders ---- */

MUST_USE lore_status dir_link(struct fs_memory *memory, struct inode *dir, const char *name,
                              struct inode *target);
MUST_USE lore_status dir_unlink(struct fs_memory *memory, struct inode *dir, const char *name);
MUST_USE lore_status dir_rename(struct fs_memory *memory, struct inode *from_dir, const char *from,
                                struct inode *dir, const char *name);
MUST_USE lore_status dir_sync(struct fs_memory *memory, struct inode *dir);
/* Do to `names` (and, for a rename, `from_names`, which may be NULL) what the change did. Room must
 * have been reserved. `lost` receives the inodes that have lost a name, or NULL. */
void entry_apply(const struct change *change, struct names *names, struct names *from_names,
                 struct inode *lost[2]);

/* ---- pending changes ---- */

MUST_USE lore_status change_create(struct fs_memory *memory, enum change_kind kind,
                                   struct inode *inode, struct change **change);
void change_append(struct fs_memory *memory, struct change *change);
/* Off the list, its reference to the target given back. */
void change_drop(struct fs_memory *memory, struct change *change);
/* One that was never appended. */
void change_destroy(struct fs_memory *memory, struct change *change);
/* The same change for another file system's inodes; the payload is shared. */
MUST_USE lore_status change_copy(struct fs_memory *memory, const struct change *change,
                                 struct inode *inode, struct change **copy);
const uint8_t *change_bytes(const struct change *change); /* NULL: zeros */
static inline bool change_is_entry(const struct change *change) {
    return change->kind >= CHANGE_LINK;
}

/* ---- fs_memory_native.c ---- */

lore_status native_open(struct fs *fs, const char *path, char *native, size_t native_size);
lore_status native_commit(struct fs *fs, const char *path);
void native_close(struct fs *fs, const char *path);
void native_remove_all(struct fs_memory *memory);

#endif
