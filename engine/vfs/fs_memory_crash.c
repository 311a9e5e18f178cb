/*
 * fs_memory_crash.c - clones of a file system in memory: as a power cut leaves it, and as the death
 * of the process does.
 *
 * A crash clone is made in three steps: ask for the fate of every pending change; do the kept ones,
 * oldest first, to copies of what is durable (a file's bytes, a folder's names); then build the new
 * tree from its root. What no name leads to is not there any more.
 */
#define LORE_MAY_CALL_THE_SYSTEM /* pthread_mutex_lock, as in fs_memory.c */
#include "vfs/fs_memory_tree.h"

#include <assert.h>
#include <stdio.h>
#include "base/poison.h"

#define SECTOR_BYTES 512u

struct fate {
    enum crash_fate kind;
    uint64_t tear;
    struct change *change;
};

/* ---- what is kept ---- */

/* A kept rename keeps the earlier change that made its source name, and that one's, and so on. */
static void keep_sources(struct fate *fates, size_t count) {
    for (size_t i = count; i-- > 0;) {
        const struct change *rename = fates[i].change;
        if (rename->kind != CHANGE_RENAME || fates[i].kind == CRASH_LOST) continue;
        for (size_t j = i; j-- > 0;) {
            const struct change *made = fates[j].change;
            if (made->target != rename->target || made->inode != rename->from_dir) continue;
            if (strcmp(made->name, rename->from_name) != 0) continue;
            fates[j].kind = CRASH_KEPT;
            break;
        }
    }
}

static lore_status keep_write(struct fs_memory *memory, const struct fate *fate) {
    const struct change *write = fate->change;
    struct content **content = &write->inode->crash_content;
    const uint8_t *bytes = change_bytes(write);
    if (fate->kind == CRASH_KEPT) {
        return content_write(memory->host, content, write->offset, bytes, write->size);
    }
    uint64_t end = write->offset + write->size;
    if (fate->kind == CRASH_TORN_SIZED && end > (*content)->size) {
        TRY(content_truncate(memory->host, content, end));
    }
    uint64_t from = write->offset;
    for (size_t sector = 0; from < end; sector++) {
        uint64_t to = from - from % SECTOR_BYTES + SECTOR_BYTES;
        if (to > end) to = end;
        if ((fate->tear >> (sector % 64) & 1) != 0) {
            TRY(content_write(memory->host, content, from,
                              bytes != NULL ? bytes + (from - write->offset) : NULL,
                              (size_t)(to - from)));
        }
        from = to;
    }
    return LORE_OK;
}

/* A folder's crash names start as its durable ones. */
static lore_status crash_names(struct fs_memory *memory, struct inode *dir, struct names **names) {
    *names = &dir->crash_names;
    if (!dir->has_crash_names) {
        TRY(names_reserve(memory->host, *names, dir->names_durable.count));
        if (dir->names_durable.count > 0) {
            memcpy(dir->crash_names.list, dir->names_durable.list,
                   dir->names_durable.count * sizeof(struct name));
        }
        dir->crash_names.count = dir->names_durable.count;
        dir->has_crash_names = true;
    }
    return names_reserve(memory->host, *names, 1);
}

static lore_status keep_change(struct fs_memory *memory, const struct fate *fate) {
    const struct change *change = fate->change;
    if (change_is_entry(change)) {
        struct names *names, *from_names = NULL;
        struct inode *lost[2]; /* crash names hold no references */
        TRY(crash_names(memory, change->inode, &names));
        if (change->from_dir != NULL) TRY(crash_names(memory, change->from_dir, &from_names));
        entry_apply(change, names, from_names, lost);
        return LORE_OK;
    }
    struct inode *file = change->inode;
    if (file->crash_content == NULL) file->crash_content = content_share(file->durable);
    if (change->kind == CHANGE_WRITE) return keep_write(memory, fate);
    return content_truncate(memory->host, &file->crash_content, change->offset);
}

static lore_status keep_changes(struct fs_memory *memory, crash_choice_fn choice, void *context) {
    size_t count = memory->pending;
    if (count == 0) return LORE_OK;
    void *block;
    TRY(mem_get(memory->host, count * sizeof(struct fate), &block));
    struct fate *fates = block;
    struct change *change = memory->oldest;
    for (size_t i = 0; i < count; i++, change = change->next) {
        fates[i] = (struct fate){CRASH_LOST, 0, change};
        fates[i].kind = choice(context, i, &fates[i].tear);
    }
    keep_sources(fates, count);
    lore_status status = LORE_OK;
    for (size_t i = 0; i < count && status == LORE_OK; i++) {
        if (fates[i].kind != CRASH_LOST) status = keep_change(memory, &fates[i]);
    }
    mem_put(memory->host, fates, count * sizeof(struct fate));
    return status;
}

/* ---- the new tree ---- */

static lore_status copy_inode(struct fs_memory *clone, struct inode *inode, struct content *now,
                              struct content *durable) {
    if (inode->is_dir) return inode_create(clone, true, inode->mode, &inode->twin);
    struct inode *twin;
    TRY(inode_create(clone, false, inode->mode, &twin));
    content_drop(clone->host, twin->now);
    content_drop(clone->host, twin->durable);
    twin->now = content_share(now);
    twin->durable = content_share(durable);
    clone->used_bytes += now->size;
    inode->twin = twin;
    return LORE_OK;
}

static lore_status copy_names(struct fs_memory *clone, const struct names *names,
                              struct names *copy) {
    TRY(names_reserve(clone->host, copy, names->count));
    for (size_t i = 0; i < names->count; i++) {
        copy->list[i] = names->list[i];
        copy->list[i].inode = names->list[i].inode->twin;
        inode_hold(copy->list[i].inode);
    }
    copy->count = names->count;
    return LORE_OK;
}

/* What a crash leaves of a folder and all beneath it. */
static lore_status crash_dir(struct fs_memory *clone, struct inode *dir) {
    const struct names *names = dir->has_crash_names ? &dir->crash_names : &dir->names_durable;
    for (size_t i = 0; i < names->count; i++) {
        struct inode *inode = names->list[i].inode;
        if (inode->twin != NULL) continue; /* a second link to a file */
        struct content *content =
            inode->crash_content != NULL ? inode->crash_content : inode->durable;
        TRY(copy_inode(clone, inode, content, content));
        if (inode->is_dir) TRY(crash_dir(clone, inode));
    }
    TRY(copy_names(clone, names, &dir->twin->names_now));
    return copy_names(clone, names, &dir->twin->names_durable);
}

static void clear_traces(struct fs_memory *memory) {
    for (struct inode *inode = memory->inodes; inode != NULL; inode = inode->next) {
        content_drop(memory->host, inode->crash_content);
        inode->crash_content = NULL;
        if (inode->has_crash_names) names_free(memory->host, &inode->crash_names);
        inode->has_crash_names = false;
        inode->twin = NULL;
    }
}

static lore_status fold_windows(struct fs_memory *memory) {
    for (struct inode *inode = memory->inodes; inode != NULL; inode = inode->next) {
        if (!inode->is_dir) TRY(window_fold(memory, inode));
    }
    return LORE_OK;
}

/* An empty file system like this one. */
static lore_status create_like(struct fs_memory *memory, struct fs_memory **clone) {
    TRY(fs_memory_create(memory->host, 0, clone));
    (*clone)->capacity_bytes = memory->capacity_bytes;
    return LORE_OK;
}

/* The outcome: the clone handed out, or nothing. */
static lore_status finish(struct fs_memory *memory, lore_status status, struct fs_memory *made,
                          struct fs_memory **clone) {
    clear_traces(memory);
    pthread_mutex_unlock(&memory->mutex);
    if (status == LORE_OK) {
        *clone = made;
    } else {
        fs_memory_destroy(made);
    }
    return status;
}

lore_status fs_memory_crash_clone(struct fs_memory *memory, crash_choice_fn choice, void *context,
                                  struct fs_memory **clone) {
    struct fs_memory *made;
    TRY(create_like(memory, &made));
    pthread_mutex_lock(&memory->mutex);
    lore_status status = fold_windows(memory);
    if (status == LORE_OK) status = keep_changes(memory, choice, context);
    memory->root->twin = made->root;
    if (status == LORE_OK) status = crash_dir(made, memory->root);
    return finish(memory, status, made, clone);
}

/* ---- the death of a process ---- */

static lore_status copy_changes(struct fs_memory *memory, struct fs_memory *clone) {
    for (struct change *change = memory->oldest; change != NULL; change = change->next) {
        struct change *copy;
        TRY(change_copy(clone, change, change->inode->twin, &copy));
        if (change->from_dir != NULL) copy->from_dir = change->from_dir->twin;
        if (change->target != NULL) {
            copy->target = change->target->twin;
            inode_hold(copy->target);
        }
        change_append(clone, copy);
    }
    return LORE_OK;
}

/* Files that had no name left, only a handle, end with their process. */
static void drop_nameless(struct fs_memory *clone) {
    for (struct inode *inode = clone->inodes; inode != NULL;) {
        if (inode->references > 0) {
            inode = inode->next;
            continue;
        }
        inode_hold(inode);
        inode_release(clone, inode);
        inode = clone->inodes;
    }
}

static lore_status copy_all(struct fs_memory *memory, struct fs_memory *clone) {
    for (struct inode *inode = memory->inodes; inode != NULL; inode = inode->next) {
        if (inode->twin == NULL) TRY(copy_inode(clone, inode, inode->now, inode->durable));
    }
    for (struct inode *inode = memory->inodes; inode != NULL; inode = inode->next) {
        TRY(copy_names(clone, &inode->names_now, &inode->twin->names_now));
        TRY(copy_names(clone, &inode->names_durable, &inode->twin->names_durable));
    }
    return copy_changes(memory, clone);
}

lore_status fs_memory_clone(struct fs_memory *memory, struct fs_memory **clone) {
    struct fs_memory *made;
    TRY(create_like(memory, &made));
    pthread_mutex_lock(&memory->mutex);
    memory->root->twin = made->root;
    lore_status status = fold_windows(memory);
    if (status == LORE_OK) status = copy_all(memory, made);
    if (status == LORE_OK) drop_nameless(made);
    return finish(memory, status, made, clone);
}

/* ---- reports ---- */

/* The path of an inode, as long as it has one now; "?" if it has none. */
static bool find_path(const struct inode *dir, const struct inode *inode, char *path, size_t size) {
    size_t used = strlen(path);
    for (size_t i = 0; i < dir->names_now.count; i++) {
        const struct name *name = &dir->names_now.list[i];
        (void)snprintf(path + used, size - used, "/%s", name->text);
        if (name->inode == inode) return true;
        if (name->inode->is_dir && find_path(name->inode, inode, path, size)) return true;
        path[used] = '\0';
    }
    return false;
}

static void describe(struct fs_memory *memory, const struct change *change, char *text,
                     size_t size) {
    char path[PATH_BYTES_MAX] = "";
    if (change->inode != memory->root &&
        !find_path(memory->root, change->inode, path, sizeof path)) {
        (void)snprintf(path, sizeof path, "?");
    }
    unsigned long long offset = change->offset;
    switch (change->kind) {
    case CHANGE_WRITE:
        (void)snprintf(text, size, "write %zu bytes at %llu of %s", change->size, offset, path);
        break;
    case CHANGE_TRUNCATE: (void)snprintf(text, size, "truncate %s to %llu", path, offset); break;
    case CHANGE_LINK: (void)snprintf(text, size, "link %s/%s", path, change->name); break;
    case CHANGE_UNLINK: (void)snprintf(text, size, "unlink %s/%s", path, change->name); break;
    case CHANGE_RENAME:
        (void)snprintf(text, size, "rename %s to %s/%s", change->from_name, path, change->name);
        break;
    }
}

void fs_memory_describe(struct fs_memory *memory, size_t index, char *text, size_t size) {
    assert(size > 0);
    text[0] = '\0';
    pthread_mutex_lock(&memory->mutex);
    struct change *change = memory->oldest;
    for (size_t i = 0; i < index && change != NULL; i++)
        change = change->next;
    if (change != NULL) describe(memory, change, text, size);
    pthread_mutex_unlock(&memory->mutex);
}
