/*
 * fs_fault.c - the calls of struct fs, each counted, failed, skipped or passed on. See fs_fault.h.
 */
#define LORE_MAY_CALL_THE_SYSTEM  /* it does not, but the calls that it wraps have the same names  \
                                   */
#include "vfs/fs_fault.h"

#include <assert.h>
#include <string.h>
#include "base/poison.h"

struct fs_fault {
    struct fs base;
    const struct allocator *host;
    struct fs *wrapped;
    struct fs_memory *memory; /* the same as wrapped, or NULL */

    struct fault_plan plan;
    _Atomic uint64_t calls;
    _Atomic bool fired;

    uint32_t skip_calls;
    const char *skip_path; /* the caller's; NULL: off */
    _Atomic uint64_t skipped;

    fault_call_fn call_hook;
    void *call_context;

    void (*hook)(void *context, uint64_t number);
    void *hook_context;
    _Atomic uint64_t changes;
};

struct fault_file {
    struct file base;
    struct fs_fault *fault;
    struct file *wrapped; /* owned */
    char path[PATH_BYTES_MAX];
};

static struct fs_fault *fault_of(struct fs *fs) {
    return (struct fs_fault *)fs;
}

static bool path_matches(const char *path, const char *contains) {
    return contains == NULL || strstr(path, contains) != NULL;
}

static enum fault_outcome ask(struct fs_fault *fault, enum fault_call call, const char *path,
                              uint64_t offset, size_t size, uint64_t *astray) {
    if (fault->call_hook == NULL) return FAULT_PASSES;
    return fault->call_hook(fault->call_context, call, path, offset, size, astray);
}

/* By the plan: count a call; a status that is not LORE_OK if the plan says that it fails. */
static lore_status count_plan(struct fs_fault *fault, enum fault_call call, const char *path) {
    const struct fault_plan *plan = &fault->plan;
    if ((plan->calls & (uint32_t)call) == 0 || !path_matches(path, plan->path_contains)) {
        return LORE_OK;
    }
    uint64_t number = atomic_fetch_add(&fault->calls, 1);
    if (number < plan->at || (number > plan->at && !plan->for_ever)) return LORE_OK;
    atomic_store(&fault->fired, true);
    return fail(plan->status, "%s: injected fault at call %llu (kind %#x)", path,
                (unsigned long long)number, (unsigned)call);
}

static lore_status fail_hooked(enum fault_call call, const char *path) {
    return fail(LORE_IO, "%s: injected fault (kind %#x)", path, (unsigned)call);
}

static lore_status count(struct fs_fault *fault, enum fault_call call, const char *path) {
    uint64_t astray;
    if (ask(fault, call, path, 0, 0, &astray) == FAULT_FAILS) return fail_hooked(call, path);
    return count_plan(fault, call, path);
}

static void announce(struct fs_fault *fault) {
    if (fault->hook == NULL) return;
    fault->hook(fault->hook_context, atomic_fetch_add(&fault->changes, 1));
}

static lore_status count_change(struct fs_fault *fault, enum fault_call call, const char *path) {
    TRY(count(fault, call, path));
    announce(fault);
    return LORE_OK;
}

static bool skips(struct fs_fault *fault, enum fault_call call, const char *path) {
    if (fault->skip_path == NULL || (fault->skip_calls & (uint32_t)call) == 0) return false;
    if (strstr(path, fault->skip_path) == NULL) return false;
    atomic_fetch_add(&fault->skipped, 1);
    return true;
}

/* ---- files ---- */

static lore_status fault_read_at(struct file *file, uint64_t offset, void *data, size_t size,
                                 size_t *got) {
    struct fault_file *open = (struct fault_file *)file;
    *got = 0;
    uint64_t astray;
    if (ask(open->fault, FAULT_READ, open->path, offset, size, &astray) == FAULT_FAILS)
        return fail_hooked(FAULT_READ, open->path);
    TRY(count_plan(open->fault, FAULT_READ, open->path));
    return open->wrapped->ops->read_at(open->wrapped, offset, data, size, got);
}

/* The device says that it wrote: the file is as long as it would be, the bytes are the old ones. */
static lore_status lose_write(struct fault_file *open, uint64_t end) {
    uint64_t size;
    TRY(open->wrapped->ops->size(open->wrapped, &size));
    return size < end ? open->wrapped->ops->truncate(open->wrapped, end) : LORE_OK;
}

static lore_status fault_write_at(struct file *file, uint64_t offset, const void *data,
                                  size_t size) {
    struct fault_file *open = (struct fault_file *)file;
    uint64_t astray = offset;
    enum fault_outcome outcome = ask(open->fault, FAULT_WRITE, open->path, offset, size, &astray);
    lore_status injected = outcome == FAULT_FAILS
                               ? fail_hooked(FAULT_WRITE, open->path)
                               : count_plan(open->fault, FAULT_WRITE, open->path);
    if (injected != LORE_OK) {
        lore_status half = open->wrapped->ops->write_at(open->wrapped, offset, data, size / 2);
        return half == LORE_OK ? injected : half;
    }
    announce(open->fault);
    if (outcome == FAULT_IS_LOST || outcome == FAULT_GOES_ASTRAY)
        TRY(lose_write(open, offset + size));
    if (outcome == FAULT_IS_LOST) return LORE_OK;
    return open->wrapped->ops->write_at(open->wrapped,
                                        outcome == FAULT_GOES_ASTRAY ? astray : offset, data, size);
}

static lore_status fault_size(struct file *file, uint64_t *size) {
    struct fault_file *open = (struct fault_file *)file;
    TRY(count(open->fault, FAULT_LIST, open->path));
    return open->wrapped->ops->size(open->wrapped, size);
}

static lore_status fault_truncate(struct file *file, uint64_t size) {
    struct fault_file *open = (struct fault_file *)file;
    TRY(count_change(open->fault, FAULT_TRUNCATE, open->path));
    return open->wrapped->ops->truncate(open->wrapped, size);
}

static lore_status fault_sync(struct file *file) {
    struct fault_file *open = (struct fault_file *)file;
    struct fs_fault *fault = open->fault;
    lore_status injected = count_change(fault, FAULT_SYNC, open->path);
    if (injected != LORE_OK) {
        if (fault->memory != NULL) fs_memory_drop_pending(fault->memory, open->wrapped);
        return injected;
    }
    if (skips(fault, FAULT_SYNC, open->path)) return LORE_OK;
    return open->wrapped->ops->sync(open->wrapped);
}

static void fault_close(struct file *file) {
    struct fault_file *open = (struct fault_file *)file;
    open->wrapped->ops->close(open->wrapped);
    mem_put(open->fault->host, open, sizeof *open);
}

static const struct file_ops file_ops = {fault_read_at,  fault_write_at, fault_size,
                                         fault_truncate, fault_sync,     fault_close};

static lore_status fault_open(struct fs *fs, const char *path, enum file_mode mode,
                              bool group_access, struct file **file) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count(fault, FAULT_OPEN, path));
    if (strlen(path) >= PATH_BYTES_MAX) return fail(LORE_INVALID, "%s: path too long", path);
    if (mode == FILE_CREATE) announce(fault);
    void *block;
    TRY(mem_new(fault->host, sizeof(struct fault_file), &block));
    struct fault_file *open = block;
    lore_status status =
        fault->wrapped->ops->open(fault->wrapped, path, mode, group_access, &open->wrapped);
    if (status != LORE_OK) {
        mem_put(fault->host, open, sizeof *open);
        return status;
    }
    open->base.ops = &file_ops;
    open->fault = fault;
    memcpy(open->path, path, strlen(path) + 1);
    *file = &open->base;
    return LORE_OK;
}

/* ---- names ---- */

static lore_status fault_make_dir(struct fs *fs, const char *path, bool group_access) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count_change(fault, FAULT_MAKE_DIR, path));
    return fault->wrapped->ops->make_dir(fault->wrapped, path, group_access);
}

static lore_status fault_remove_dir(struct fs *fs, const char *path) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count_change(fault, FAULT_UNLINK, path));
    return fault->wrapped->ops->remove_dir(fault->wrapped, path);
}

static lore_status fault_sync_dir(struct fs *fs, const char *path) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count_change(fault, FAULT_SYNC_DIR, path));
    if (skips(fault, FAULT_SYNC_DIR, path)) return LORE_OK;
    return fault->wrapped->ops->sync_dir(fault->wrapped, path);
}

static lore_status fault_rename(struct fs *fs, const char *from, const char *to) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count_change(fault, FAULT_RENAME, to));
    return fault->wrapped->ops->rename(fault->wrapped, from, to);
}

static lore_status fault_unlink(struct fs *fs, const char *path) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count_change(fault, FAULT_UNLINK, path));
    return fault->wrapped->ops->unlink(fault->wrapped, path);
}

static lore_status fault_link(struct fs *fs, const char *from, const char *to) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count_change(fault, FAULT_LINK, to));
    return fault->wrapped->ops->link(fault->wrapped, from, to);
}

static lore_status fault_list(struct fs *fs, const char *path, dir_entry_fn entry, void *context) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count(fault, FAULT_LIST, path));
    return fault->wrapped->ops->list(fault->wrapped, path, entry, context);
}

static lore_status fault_stat(struct fs *fs, const char *path, uint64_t *size, bool *is_dir,
                              uint32_t *mode) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count(fault, FAULT_LIST, path));
    return fault->wrapped->ops->stat(fault->wrapped, path, size, is_dir, mode);
}

static lore_status fault_space(struct fs *fs, const char *path, uint64_t *free_bytes) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count(fault, FAULT_LIST, path));
    return fault->wrapped->ops->space(fault->wrapped, path, free_bytes);
}

static lore_status fault_lock(struct fs *fs, const char *path, bool group_access,
                              struct file_lock **lock) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count_change(fault, FAULT_OPEN, path));
    return fault->wrapped->ops->lock(fault->wrapped, path, group_access, lock);
}

static void fault_unlock(struct fs *fs, struct file_lock *lock) {
    struct fs_fault *fault = fault_of(fs);
    fault->wrapped->ops->unlock(fault->wrapped, lock);
}

static lore_status fault_is_locked(struct fs *fs, const char *path, bool *locked) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count(fault, FAULT_LIST, path));
    return fault->wrapped->ops->is_locked(fault->wrapped, path, locked);
}

/* ---- LMDB's file ---- */

static lore_status fault_native_open(struct fs *fs, const char *path, char *native,
                                     size_t native_size) {
    struct fs_fault *fault = fault_of(fs);
    TRY(count(fault, FAULT_NATIVE, path));
    return fault->wrapped->ops->native_open(fault->wrapped, path, native, native_size);
}

/* What the kernel forgets when LMDB's sync fails. */
static void native_drop_pending(struct fs_fault *fault, const char *path) {
    struct fs *wrapped = fault->wrapped;
    struct file *file;
    if (wrapped->ops->open(wrapped, path, FILE_READ, false, &file) != LORE_OK) return;
    fs_memory_drop_pending(fault->memory, file);
    file->ops->close(file);
}

static lore_status native_step(struct fs_fault *fault, const char *path, enum native_step step) {
    bool sync = step == NATIVE_DATA_SYNC || step == NATIVE_META_SYNC;
    uint64_t astray;
    enum fault_outcome outcome = ask(fault, FAULT_NATIVE, path, 0, 0, &astray);
    lore_status injected = outcome == FAULT_FAILS ? fail_hooked(FAULT_NATIVE, path)
                                                  : count_plan(fault, FAULT_NATIVE, path);
    if (injected == LORE_OK) announce(fault);
    if (injected != LORE_OK) {
        if (sync) native_drop_pending(fault, path);
        return fail(injected, "%s: injected fault in native_commit", path);
    }
    if (!sync && outcome == FAULT_IS_LOST) return LORE_OK;
    if (sync && skips(fault, FAULT_SYNC, path)) return LORE_OK;
    return fs_memory_native_step(fault->memory, path, step);
}

static lore_status fault_native_commit(struct fs *fs, const char *path) {
    struct fs_fault *fault = fault_of(fs);
    if (fault->memory == NULL) {
        TRY(count_change(fault, FAULT_NATIVE, path));
        return fault->wrapped->ops->native_commit(fault->wrapped, path);
    }
    for (int step = NATIVE_DATA; step < NATIVE_STEPS; step++) {
        TRY(native_step(fault, path, (enum native_step)step));
    }
    return LORE_OK;
}

static void fault_native_close(struct fs *fs, const char *path) {
    struct fs_fault *fault = fault_of(fs);
    fault->wrapped->ops->native_close(fault->wrapped, path);
}

static const struct fs_ops fs_ops = {
    .open = fault_open,
    .make_dir = fault_make_dir,
    .remove_dir = fault_remove_dir,
    .sync_dir = fault_sync_dir,
    .rename = fault_rename,
    .unlink = fault_unlink,
    .link = fault_link,
    .list = fault_list,
    .stat = fault_stat,
    .space = fault_space,
    .lock = fault_lock,
    .unlock = fault_unlock,
    .is_locked = fault_is_locked,
    .native_open = fault_native_open,
    .native_commit = fault_native_commit,
    .native_close = fault_native_close,
};

/* ---- the whole ---- */

lore_status fs_fault_create(const struct allocator *host, struct fs *wrapped,
                            struct fs_fault **fault) {
    void *block;
    TRY(mem_new(host, sizeof **fault, &block));
    *fault = block;
    (*fault)->base.ops = &fs_ops;
    (*fault)->host = host;
    (*fault)->wrapped = wrapped;
    fs_fault_set_plan(*fault, NULL);
    return LORE_OK;
}

void fs_fault_destroy(struct fs_fault *fault) {
    if (fault != NULL) mem_put(fault->host, fault, sizeof *fault);
}

void fs_fault_set_memory(struct fs_fault *fault, struct fs_memory *memory) {
    assert(memory == NULL || fault->wrapped == fs_memory_fs(memory));
    fault->memory = memory;
}

struct fs *fs_fault_fs(struct fs_fault *fault) {
    return &fault->base;
}

void fs_fault_set_plan(struct fs_fault *fault, const struct fault_plan *plan) {
    static const struct fault_plan nothing = {FAULT_ALL, UINT64_MAX, false, LORE_IO, NULL};
    fault->plan = plan != NULL ? *plan : nothing;
    atomic_store(&fault->calls, 0);
    atomic_store(&fault->fired, false);
}

uint64_t fs_fault_calls(struct fs_fault *fault) {
    return atomic_load(&fault->calls);
}

bool fs_fault_fired(struct fs_fault *fault) {
    return atomic_load(&fault->fired);
}

void fs_fault_skip(struct fs_fault *fault, uint32_t calls, const char *path_contains) {
    fault->skip_calls = calls;
    fault->skip_path = path_contains;
    atomic_store(&fault->skipped, 0);
}

uint64_t fs_fault_skipped(struct fs_fault *fault) {
    return atomic_load(&fault->skipped);
}

void fs_fault_on_change(struct fs_fault *fault, void (*hook)(void *context, uint64_t number),
                        void *context) {
    fault->hook = hook;
    fault->hook_context = context;
    atomic_store(&fault->changes, 0);
}

void fs_fault_on_call(struct fs_fault *fault, fault_call_fn hook, void *context) {
    fault->call_hook = hook;
    fault->call_context = context;
}

/* ---- memory ---- */

static bool allocation_fails(struct fault_allocator *fault) {
    uint64_t number = atomic_fetch_add(&fault->calls, 1);
    uint64_t at = atomic_load(&fault->fail_at);
    return number == at || (number > at && atomic_load(&fault->for_ever));
}

static void *fault_allocate(void *context, size_t size) {
    struct fault_allocator *fault = context;
    if (allocation_fails(fault)) return NULL;
    void *memory = fault->host->allocate(fault->host->context, size);
    if (memory != NULL) atomic_fetch_add(&fault->outstanding_bytes, (int64_t)size);
    return memory;
}

static void *fault_reallocate(void *context, void *memory, size_t old_size, size_t new_size) {
    struct fault_allocator *fault = context;
    if (new_size > old_size && allocation_fails(fault)) return NULL;
    void *moved = fault->host->reallocate(fault->host->context, memory, old_size, new_size);
    if (moved != NULL) {
        int64_t before = memory != NULL ? (int64_t)old_size : 0;
        atomic_fetch_add(&fault->outstanding_bytes, (int64_t)new_size - before);
    }
    return moved;
}

static void fault_release(void *context, void *memory, size_t size) {
    struct fault_allocator *fault = context;
    if (memory != NULL) atomic_fetch_sub(&fault->outstanding_bytes, (int64_t)size);
    fault->host->release(fault->host->context, memory, size);
}

void fault_allocator_init(struct fault_allocator *fault, const struct allocator *host) {
    fault->base = (struct allocator){fault, fault_allocate, fault_reallocate, fault_release};
    fault->host = host;
    atomic_init(&fault->calls, 0);
    atomic_init(&fault->fail_at, UINT64_MAX);
    atomic_init(&fault->for_ever, false);
    atomic_init(&fault->outstanding_bytes, 0);
}
