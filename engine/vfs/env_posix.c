/*
 * env_posix.c - the real environment: malloc and mmap. Files, and what an errno means, are in
 * fs_posix.c, locks in lock_posix.c, time and threads in sys_posix.c.
 *
 * No state: everything here is constant.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#define _GNU_SOURCE /* mremap */
#include "vfs/posix.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/poison.h"

/* From this size on memory is mapped, not taken from the heap: what is given back is then gone from
 * the process at once, and the heap does not keep holes of the size of a memtable. memory_budget is
 * a ceiling on what the process holds, not on what it asked for. */
#define MAPPED_BYTES_MIN ((size_t)32 << 10)

static bool is_mapped(size_t size) {
#if defined(__SANITIZE_ADDRESS__)
    (void)size;
    return false; /* the sanitizer watches the heap alone */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    (void)size;
    return false;
#else
    return size >= MAPPED_BYTES_MIN;
#endif
#else
    return size >= MAPPED_BYTES_MIN;
#endif
}

static void *host_allocate(void *context, size_t size) {
    (void)context;
    if (!is_mapped(size)) return malloc(size);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void host_release(void *context, void *memory, size_t size) {
    (void)context;
    if (memory == NULL) return;
    if (is_mapped(size))
        munmap(memory, size);
    else
        free(memory);
}

static void *host_reallocate(void *context, void *memory, size_t old_size, size_t new_size) {
    if (memory == NULL) return host_allocate(context, new_size);
    if (!is_mapped(old_size) && !is_mapped(new_size)) return realloc(memory, new_size);
    if (is_mapped(old_size) && is_mapped(new_size)) {
        void *moved = mremap(memory, old_size, new_size, MREMAP_MAYMOVE);
        return moved == MAP_FAILED ? NULL : moved;
    }
    void *moved = host_allocate(context, new_size);
    if (moved == NULL) return NULL;
    memcpy(moved, memory, old_size < new_size ? old_size : new_size);
    host_release(context, memory, old_size);
    return moved;
}

const struct allocator posix_allocator = {NULL, host_allocate, host_reallocate, host_release};

static const lore_env posix_env = {&posix_allocator, (struct fs *)&posix_fs,
                                   (struct sys *)&posix_sys};

const lore_env *env_posix(void) {
    return &posix_env;
}
