/*
 * lock.c - the writer's lock. The lock is the kernel's, on the file LOCK, and dies with its
 * process; the text in the file (pid, host, since) only tells a person who holds it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "store/store_internal.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define LOCK_NAME       "LOCK"
#define LOCK_TEXT_BYTES 256u
#define LOCK_POLL_US    10000u

static lore_status read_owner(const lore_env *env, const char *file, char text[LOCK_TEXT_BYTES]) {
    struct bytes content = bytes_empty(env->allocator);
    lore_status status = fs_read_file(env, file, LOCK_TEXT_BYTES - 1, &content);
    size_t size = 0;
    if (status == LORE_OK)
        for (; size < content.size && content.data[size] >= ' ' && content.data[size] < 127; size++)
            text[size] = (char)content.data[size];
    text[size] = '\0';
    bytes_free(&content);
    return status;
}

/* Best effort: the text is for people, the lock does not depend on it. */
static void write_owner(const lore_env *env, const char *file) {
    char host[128];
    env->sys->ops->host_name(env->sys, host, sizeof host);
    time_t seconds = (time_t)(env_now_us(env) / 1000000);
    struct tm utc;
    char since[32] = "";
    if (gmtime_r(&seconds, &utc) != NULL) strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%SZ", &utc);
    char text[LOCK_TEXT_BYTES];
    int size = snprintf(text, sizeof text, "pid %" PRIu64 " on %.100s since %s\n",
                        env->sys->ops->process_id(env->sys), host, since);
    struct file *handle;
    if (fs_open(env, file, FILE_WRITE, false, &handle) != LORE_OK) return;
    if (file_truncate(handle, 0) == LORE_OK) {
        lore_status ignored = file_write(handle, 0, text, (size_t)size);
        (void)ignored;
    }
    file_close(handle);
}

lore_status store_lock_take(const lore_env *env, const char *path, bool group_access,
                            uint32_t timeout_ms, struct file_lock **lock) {
    char file[PATH_BYTES_MAX];
    TRY(path_join(file, path, LOCK_NAME));
    uint64_t deadline_us = env_monotonic_us(env) + (uint64_t)timeout_ms * 1000;
    for (;;) {
        lore_status status = env->fs->ops->lock(env->fs, file, group_access, lock);
        if (status == LORE_OK) break;
        if (status != LORE_LOCKED) return status;
        if (env_monotonic_us(env) >= deadline_us) {
            char owner[LOCK_TEXT_BYTES];
            if (read_owner(env, file, owner) != LORE_OK || owner[0] == '\0')
                snprintf(owner, sizeof owner, "another process");
            return fail(LORE_LOCKED, "%s: held by %s; waited %" PRIu32 " ms", file, owner,
                        timeout_ms);
        }
        env_sleep_us(env, LOCK_POLL_US);
    }
    write_owner(env, file);
    return LORE_OK;
}

lore_status lore_lock_owner(const char *path, const lore_options *options, lore_buffer *text) {
    const lore_env *env = options != NULL && options->env != NULL ? options->env : env_posix();
    char file[PATH_BYTES_MAX];
    TRY(path_join(file, path, LOCK_NAME));
    bool locked = false;
    lore_status status = env->fs->ops->is_locked(env->fs, file, &locked);
    if (status == LORE_NOT_FOUND || (status == LORE_OK && !locked)) return not_found();
    TRY(status);
    char owner[LOCK_TEXT_BYTES];
    TRY(read_owner(env, file, owner));
    return buffer_set(text, env->allocator, lore_slice_of(owner));
}
