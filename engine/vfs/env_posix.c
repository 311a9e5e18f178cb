/*
 * env_posix.c - the real environment: malloc, and what an errno means. Files are in fs_posix.c,
 * locks in lock_posix.c, time and threads in sys_posix.c.
 *
 * No state: everything here is constant.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#include "vfs/posix.h"

#include <errno.h>
#include <stdlib.h>

#include "base/poison.h"

static void *host_allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void *host_reallocate(void *context, void *memory, size_t old_size, size_t new_size) {
    (void)context;
    (void)old_size;
    return realloc(memory, new_size);
}

static void host_release(void *context, void *memory, size_t size) {
    (void)context;
    (void)size;
    free(memory);
}

const struct allocator posix_allocator = {NULL, host_allocate, host_reallocate, host_release};

static const lore_env posix_env = {&posix_allocator, (struct fs *)&posix_fs,
                                   (struct sys *)&posix_sys};

const lore_env *env_posix(void) {
    return &posix_env;
}

lore_status posix_fail(int error, const char *call, const char *path) {
    if (error == ENOENT) return LORE_NOT_FOUND;
    lore_status status = LORE_IO;
    if (error == EEXIST) status = LORE_EXISTS;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) status = LORE_FULL;
    if (error == ENOMEM) status = LORE_NO_MEMORY;
    char text[128];
    if (strerror_r(error, text, sizeof text) != 0) text[0] = '\0';
    return fail(status, "%s: %s: %s (errno %d)", path, call, text, error);
}
