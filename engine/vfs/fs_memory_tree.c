/*
 * fs_memory_tree.c - inodes, names and pending changes of the file system in memory. See
 * fs_memory_tree.h.
 */
#include "vfs/fs_memory_tree.h"

#include <assert.h>
#include "base/poison.h"

/* ---- names ---- */

lore_status names_reserve(const struct allocator *host, struct names *names, size_t extra) {
    size_t want = names->count + extra;
    if (want <= names->capacity) return LORE_OK;
    size_t capacity = want > 2 * names->capacity ? want : 2 * names->capacity;
    void *list = names->list;
    TRY(mem_resize(host, &list, names->capacity * sizeof(struct name),
                   capacity * sizeof(struct name)));
    names->list = list;
    names->capacity = capacity;
    return LORE_OK;
}

static struct name *name_at(const struct names *names, const char *text) {
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->list[i].text, text) == 0) return &names->list[i];
    }
    return NULL;
}

struct inode *names_find(const struct names *names, const char *text) {
    struct name *name = name_at(names, text);
    return name != NULL ? name->inode : NULL;
}

struct inode *names_put(struct names *names, const char *text, struct inode *inode) {
    struct name *name = name_at(names, text);
    if (name != NULL) {
        struct inode *before = name->inode;
        name->inode = inode;
        return before;
    }
    assert(names->count < names->capacity && strlen(text) < NAME_BYTES_MAX);
    name = &names->list[names->count++];
    memcpy(name->text, text, strlen(text) + 1);
    name->inode = inode;
    return NULL;
}

struct inode *names_remove(struct names *names, const char *text) {
    struct name *name = name_at(names, text);
    if (name == NULL) return NULL;
    struct inode *before = name->inode;
    struct name *last = &names->list[--names->count];
    if (name != last) *name = *last;
    return before;
}

void names_free(const struct allocator *host, struct names *names) {
    mem_put(host, names->list, names->capacity * sizeof(struct name));
    *names = (struct names){0};
}

/* ---- pending changes ---- */

struct payload {
    _Atomic uint32_t holders;
    size_t size;
    uint8_t bytes[];
};

lore_status change_create(struct fs_memory *memory, enum change_kind kind, struct inode *inode,
                          struct change **change) {
    size_t names_bytes = kind == CHANGE_RENAME ? 2 * NAME_BYTES_MAX
                         : kind >= CHANGE_LINK ? NAME_BYTES_MAX
                                               : 0;
    void *block;
    TRY(mem_new(memory->host, sizeof **change + names_bytes, &block));
    *change = block;
    (*change)->kind = kind;
    (*change)->inode = inode;
    if (names_bytes > 0) (*change)->name = (char *)(*change + 1);
    if (kind == CHANGE_RENAME) (*change)->from_name = (*change)->name + NAME_BYTES_MAX;
    return LORE_OK;
}

void change_destroy(struct fs_memory *memory, struct change *change) {
    struct payload *payload = change->payload;
    if (payload != NULL && atomic_fetch_sub(&payload->holders, 1) == 1) {
        mem_put(memory->host, payload, sizeof *payload + payload->size);
    }
    size_t names_bytes = (change->name != NULL ? NAME_BYTES_MAX : 0u) +
                         (change->from_name != NULL ? NAME_BYTES_MAX : 0u);
    mem_put(memory->host, change, sizeof *change + names_bytes);
}

static lore_status payload_set(struct fs_memory *memory, struct change *change, const void *data,
                               size_t size) {
    change->size = size;
    if (bytes_are_zero(data, size)) return LORE_OK;
    void *block;
    TRY(mem_get(memory->host, sizeof(struct payload) + size, &block));
    struct payload *payload = block;
    atomic_init(&payload->holders, 1);
    payload->size = size;
    memcpy(payload->bytes, data, size);
    change->payload = payload;
    return LORE_OK;
}

const uint8_t *change_bytes(const struct change *change) {
    return change->payload != NULL ? change->payload->bytes : NULL;
}

lore_status change_copy(struct fs_memory *memory, const struct change *change, struct inode *inode,
                        struct change **copy) {
    TRY(change_create(memory, change->kind, inode, copy));
    (*copy)->offset = change->offset;
    (*copy)->size = change->size;
    (*copy)->payload = change->payload;
    if (change->payload != NULL) atomic_fetch_add(&change->payload->holders, 1);
    if (change->name != NULL) memcpy((*copy)->name, change->name, NAME_BYTES_MAX);
    if (change->from_name != NULL) memcpy((*copy)->from_name, change->from_name, NAME_BYTES_MAX);
    return LORE_OK;
}

void change_append(struct fs_memory *memory, struct change *change) {
    change->previous = memory->newest;
    if (memory->newest != NULL) memory->newest->next = change;
    if (memory->oldest == NULL) memory->oldest = change;
    memory->newest = change;
    memory->pending++;
}

static void change_unhook(struct fs_memory *memory, struct change *change) {
    assert(memory->pending > 0);
    if (change->previous != NULL) change->previous->next = change->next;
    if (change->next != NULL) change->next->previous = change->previous;
    if (memory->oldest == change) memory->oldest = change->next;
    if (memory->newest == change) memory->newest = change->previous;
    memory->pending--;
}

void change_drop(struct fs_memory *memory, struct change *change) {
    struct inode *target = change->target;
    change_unhook(memory, change);
    change_destroy(memory, change);
    inode_release(memory, target);
}

/* ---- inodes ---- */

lore_status inode_create(struct fs_memory *memory, bool is_dir, uint32_t mode,
                         struct inode **inode) {
    void *block;
    TRY(mem_new(memory->host, sizeof **inode, &block));
    struct inode *made = block;
    made->is_dir = is_dir;
    made->mode = mode;
    if (!is_dir) {
        lore_status status = content_create(memory->host, &made->now);
        if (status != LORE_OK) {
            mem_put(memory->host, made, sizeof *made);
            return status;
        }
        made->durable = content_share(made->now);
    }
    made->next = memory->inodes;
    if (made->next != NULL) made->next->previous = made;
    memory->inodes = made;
    *inode = made;
    return LORE_OK;
}

void inode_destroy(struct fs_memory *memory, struct inode *inode) {
    if (inode->previous != NULL) inode->previous->next = inode->next;
    if (inode->next != NULL) inode->next->previous = inode->previous;
    if (memory->inodes == inode) memory->inodes = inode->next;
    if (!inode->is_dir) {
        window_close(memory, inode);
        memory->used_bytes -= inode->now->size;
    }
    content_drop(memory->host, inode->now);
    content_drop(memory->host, inode->durable);
    names_free(memory->host, &inode->names_now);
    names_free(memory->host, &inode->names_durable);
    mem_put(memory->host, inode, sizeof *inode);
}

static void names_release(struct fs_memory *memory, struct names *names) {
    while (names->count > 0)
        inode_release(memory, names->list[--names->count].inode);
}

void inode_release(struct fs_memory *memory, struct inode *inode) {
    if (inode == NULL) return;
    assert(inode->references > 0);
    if (--inode->references > 0) return;
    names_release(memory, &inode->names_now);
    names_release(memory, &inode->names_durable);
    for (struct change *change = memory->oldest; change != NULL;) {
        /* A rename out of a folder that is gone is only a link into the other one. */
        if (change->from_dir == inode) change->from_dir = NULL;
        if (change->inode != inode) {
            change = change->next;
            continue;
        }
        struct inode *target = change->target;
        change_unhook(memory, change);
        change_destroy(memory, change);
        inode_release(memory, target);
        change = memory->oldest; /* that may have dropped any number of others */
    }
    inode_destroy(memory, inode);
}

lore_status tree_parent(struct fs_memory *memory, const char *path, struct inode **dir,
                        char name[NAME_BYTES_MAX]) {
    *dir = memory->root;
    name[0] = '\0';
    for (const char *at = path; *at != '\0';) {
        size_t length = strcspn(at, "/");
        bool nothing = length == 0 || (length == 1 && at[0] == '.');
        if (!nothing) {
            if (length >= NAME_BYTES_MAX) return fail(LORE_IO, "%s: name too long", path);
            if (name[0] != '\0') {
                struct inode *child = names_find(&(*dir)->names_now, name);
                if (child == NULL) return LORE_NOT_FOUND;
                if (!child->is_dir) return fail(LORE_IO, "%s: not a directory", path);
                *dir = child;
            }
            memcpy(name, at, length);
            name[length] = '\0';
        }
        at += length;
        if (*at == '/') at++;
    }
    return LORE_OK;
}

lore_status tree_find(struct fs_memory *memory, const char *path, struct inode **inode) {
    struct inode *dir;
    char name[NAME_BYTES_MAX];
    TRY(tree_parent(memory, path, &dir, name));
    *inode = name[0] == '\0' ? dir : names_find(&dir->names_now, name);
    return *inode == NULL ? LORE_NOT_FOUND : LORE_OK;
}

/* ---- files ---- */

void window_close(struct fs_memory *memory, struct inode *file) {
    if (file->window != NULL) mem_put(memory->host, file->window, (size_t)file->now->size + 1);
    file->window = NULL;
}

lore_status window_fold(struct fs_memory *memory, struct inode *file) {
    if (file->window == NULL) return LORE_OK;
    size_t size = (size_t)file->now->size;
    bool changed = false;
    for (size_t at = 0; at < size; at += CONTENT_PAGE_BYTES) {
        size_t part = size - at < CONTENT_PAGE_BYTES ? size - at : CONTENT_PAGE_BYTES;
        if (content_equals(file->now, at, file->window + at, part)) continue;
        TRY(content_write(memory->host, &file->now, at, file->window + at, part));
        changed = true;
    }
    if (!changed) return LORE_OK;
    content_drop(memory->host, file->durable);
    file->durable = content_share(file->now);
    return LORE_OK;
}

lore_status inode_write(struct fs_memory *memory, struct inode *file, uint64_t offset,
                        const void *data, size_t size) {
    assert(!file->is_dir);
    if (size == 0) return LORE_OK;
    TRY(window_fold(memory, file));
    window_close(memory, file);
    if (offset > CONTENT_BYTES_MAX || size > CONTENT_BYTES_MAX - offset) {
        return fail(LORE_FULL, "file too large: %zu bytes at %llu", size,
                    (unsigned long long)offset);
    }
    uint64_t before = file->now->size;
    uint64_t room = memory->capacity_bytes > memory->used_bytes
                        ? memory->capacity_bytes - memory->used_bytes
                        : 0;
    uint64_t end_max = room > UINT64_MAX - before ? UINT64_MAX : before + room;
    size_t fits = size;
    if (offset + size > before && offset + size > end_max) {
        fits = end_max > offset ? (size_t)(end_max - offset) : 0;
    }
    if (fits > 0) {
        struct change *change;
        TRY(change_create(memory, CHANGE_WRITE, file, &change));
        change->offset = offset;
        lore_status status = payload_set(memory, change, data, fits);
        if (status == LORE_OK) status = content_write(memory->host, &file->now, offset, data, fits);
        memory->used_bytes += file->now->size - before;
        if (status != LORE_OK) {
            change_destroy(memory, change);
            return status;
        }
        change_append(memory, change);
    }
    if (fits < size) return fail(LORE_FULL, "no space: %zu of %zu bytes written", fits, size);
    return LORE_OK;
}

lore_status inode_truncate(struct fs_memory *memory, struct inode *file, uint64_t size) {
    assert(!file->is_dir);
    TRY(window_fold(memory, file));
    window_close(memory, file);
    uint64_t before = file->now->size;
    if (size > before) {
        uint64_t used = memory->used_bytes;
        if (used > memory->capacity_bytes || size - before > memory->capacity_bytes - used) {
            return fail(LORE_FULL, "no space: truncate to %llu", (unsigned long long)size);
        }
    }
    struct change *change;
    TRY(change_create(memory, CHANGE_TRUNCATE, file, &change));
    change->offset = size;
    lore_status status = content_truncate(memory->host, &file->now, size);
    if (status != LORE_OK) {
        change_destroy(memory, change);
        return status;
    }
    memory->used_bytes = memory->used_bytes - before + size;
    change_append(memory, change);
    return LORE_OK;
}

void inode_forget_changes(struct fs_memory *memory, struct inode *file) {
    assert(!file->is_dir);
    for (struct change *change = memory->oldest, *next; change != NULL; change = next) {
        next = change->next;
        if (change->inode == file) change_drop(memory, change);
    }
}

lore_status inode_sync(struct fs_memory *memory, struct inode *file) {
    assert(!file->is_dir);
    TRY(window_fold(memory, file));
    if (file->durable != file->now) {
        content_drop(memory->host, file->durable);
        file->durable = content_share(file->now);
    }
    inode_forget_changes(memory, file);
    return LORE_OK;
}

/* ---- folders ---- */

lore_status dir_link(struct fs_memory *memory, struct inode *dir, const char *name,
                     struct inode *target) {
    assert(names_find(&dir->names_now, name) == NULL);
    TRY(names_reserve(memory->host, &dir->names_now, 1));
    struct change *change;
    TRY(change_create(memory, CHANGE_LINK, dir, &change));
    memcpy(change->name, name, strlen(name) + 1);
    change->target = target;
    inode_hold(target); /* by the change, and by the name */
    inode_hold(target);
    change_append(memory, change);
    names_put(&dir->names_now, name, target);
    return LORE_OK;
}

lore_status dir_unlink(struct fs_memory *memory, struct inode *dir, const char *name) {
    struct change *change;
    TRY(change_create(memory, CHANGE_UNLINK, dir, &change));
    memcpy(change->name, name, strlen(name) + 1);
    change_append(memory, change);
    inode_release(memory, names_remove(&dir->names_now, name));
    return LORE_OK;
}

lore_status dir_rename(struct fs_memory *memory, struct inode *from_dir, const char *from,
                       struct inode *dir, const char *name) {
    struct inode *target = names_find(&from_dir->names_now, from);
    assert(target != NULL);
    TRY(names_reserve(memory->host, &dir->names_now, 1));
    struct change *change;
    TRY(change_create(memory, CHANGE_RENAME, dir, &change));
    change->from_dir = from_dir;
    memcpy(change->name, name, strlen(name) + 1);
    memcpy(change->from_name, from, strlen(from) + 1);
    change->target = target;
    inode_hold(target); /* by the change; the name's reference moves with it */
    change_append(memory, change);
    struct inode *lost[2];
    inode_hold(target);
    entry_apply(change, &dir->names_now, &from_dir->names_now, lost);
    inode_release(memory, lost[0]);
    inode_release(memory, lost[1]);
    return LORE_OK;
}

void entry_apply(const struct change *change, struct names *names, struct names *from_names,
                 struct inode *lost[2]) {
    assert(change_is_entry(change));
    lost[0] = lost[1] = NULL;
    if (change->kind == CHANGE_RENAME && from_names != NULL) {
        lost[0] = names_remove(from_names, change->from_name);
    }
    if (change->kind == CHANGE_UNLINK) {
        lost[1] = names_remove(names, change->name);
    } else {
        lost[1] = names_put(names, change->name, change->target);
    }
}

/* Mark every folder that a pending rename ties to a marked one. */
static void mark_tied(struct fs_memory *memory) {
    for (bool more = true; more;) {
        more = false;
        for (struct change *change = memory->oldest; change != NULL; change = change->next) {
            if (change->from_dir == NULL || change->from_dir->to_sync == change->inode->to_sync) {
                continue;
            }
            change->from_dir->to_sync = change->inode->to_sync = more = true;
        }
    }
}

lore_status dir_sync(struct fs_memory *memory, struct inode *dir) {
    assert(dir->is_dir);
    dir->to_sync = true;
    mark_tied(memory);
    lore_status status = LORE_OK;
    for (struct inode *at = memory->inodes; at != NULL && status == LORE_OK; at = at->next) {
        if (at->to_sync) {
            status = names_reserve(memory->host, &at->names_durable, memory->pending);
        }
    }
    /* Releasing an inode may drop any number of changes with it, so each round starts at the
     * oldest. */
    for (struct change *change = memory->oldest, *next; change != NULL && status == LORE_OK;
         change = next) {
        if (!change_is_entry(change) || !change->inode->to_sync) {
            next = change->next;
            continue;
        }
        struct inode *from = change->from_dir;
        struct inode *lost[2];
        if (change->target != NULL) inode_hold(change->target);
        entry_apply(change, &change->inode->names_durable,
                    from != NULL ? &from->names_durable : NULL, lost);
        change_drop(memory, change);
        inode_release(memory, lost[0]);
        inode_release(memory, lost[1]);
        next = memory->oldest;
    }
    for (struct inode *at = memory->inodes; at != NULL; at = at->next)
        at->to_sync = false;
    return status;
}
