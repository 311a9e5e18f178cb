/*
 * scratch.c - see scratch.h.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#define _DEFAULT_SOURCE /* flock, mkdtemp */
#include "vfs/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/poison.h"

#define PREFIX         "lore-test-"
#define TRIES_MAX      100
#define ROOM_BYTES_MIN ((uint64_t)512 << 20) /* on /dev/shm, which may be tiny in a container */

static char process_folder[PATH_BYTES_MAX]; /* empty: none yet */
static pid_t owner;

static lore_status scratch_fail(const char *call, const char *path) {
    return fail(LORE_IO, "%s %s: errno %d", call, path, errno);
}

static const char *usual_place(void) {
    const char *given = getenv("TMPDIR");
    if (given != NULL && access(given, W_OK | X_OK) == 0) return given;
    struct statvfs space;
    if (access("/dev/shm", W_OK | X_OK) == 0 && statvfs("/dev/shm", &space) == 0 &&
        (uint64_t)space.f_bavail * space.f_frsize >= ROOM_BYTES_MIN)
        return "/dev/shm";
    return "/tmp";
}

/* The folder, open and held; -1 if it is not there or somebody has it. The lock is never given up:
 * it dies with the last process that shares the descriptor. */
static int hold(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    struct stat held, named;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 && lstat(path, &named) == 0 &&
        held.st_ino == named.st_ino && held.st_dev == named.st_dev)
        return fd;
    (void)close(fd);
    return -1;
}

static lore_status remove_if_stale(void *context, const struct dir_entry *entry) {
    const char *place = context;
    if (!entry->is_dir || strncmp(entry->name, PREFIX, strlen(PREFIX)) != 0) return LORE_OK;
    char path[PATH_BYTES_MAX];
    TRY(path_join(path, place, entry->name));
    int fd = hold(path);
    if (fd < 0) return LORE_OK;
    lore_status status = fs_remove_tree(env_posix(), path);
    (void)close(fd);
    (void)status; /* another user's, or with a mount in it: then it stays */
    return LORE_OK;
}

static lore_status make_process_folder(const char *place) {
    const lore_env *env = env_posix();
    if (strlen(place) > PATH_BYTES_MAX / 2) return fail(LORE_INVALID, "%s: path too long", place);
    TRY(env->fs->ops->list(env->fs, place, remove_if_stale, (void *)(uintptr_t)place));
    /* More than once if another takes it for stale between the two calls. */
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        (void)snprintf(process_folder, sizeof process_folder, "%s/" PREFIX "XXXXXX", place);
        if (mkdtemp(process_folder) == NULL) break;
        if (hold(process_folder) < 0) continue;
        (void)chmod(process_folder, 0711); /* tests that change their user find what is theirs */
        owner = getpid();
        (void)atexit(scratch_clear);
        return LORE_OK;
    }
    process_folder[0] = '\0';
    return scratch_fail("mkdtemp and flock", place);
}

lore_status scratch_folder(const char *place, const char *name, char path[PATH_BYTES_MAX]) {
    if (process_folder[0] == '\0') TRY(make_process_folder(place != NULL ? place : usual_place()));
    char pattern[64];
    (void)snprintf(pattern, sizeof pattern, "%s-XXXXXX", name);
    TRY(path_join(path, process_folder, pattern));
    return mkdtemp(path) != NULL ? LORE_OK : scratch_fail("mkdtemp", path);
}

const char *scratch_path(const char *folder, const char *name) {
    static char paths[4][PATH_BYTES_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    return path_join(path, folder, name) == LORE_OK ? path : NULL;
}

void scratch_clear(void) {
    if (process_folder[0] == '\0' || owner != getpid()) return;
    if (fs_remove_tree(env_posix(), process_folder) != LORE_OK)
        (void)fprintf(stderr, "%s is left behind: %s\n", process_folder, lore_error_message());
    process_folder[0] = '\0';
}
