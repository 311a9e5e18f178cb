/*
 * scratch.h - folders on a real disk for tests. All of a process lie in one folder, which goes away
 * with it:
 *
 *   PLACE/lore-test-XXXXXX/        held by flock(2) as long as the process, or a child of it, lives
 *       name-XXXXXX/               what scratch_folder gives
 *
 * PLACE is the folder that the caller names, else TMPDIR, else /dev/shm if there is room on it,
 * else /tmp. A process that ends by exit() removes its folder; one that is killed leaves it, and
 * the next that asks for one in the same place removes every folder that nobody holds.
 *
 * For tests only; one thread. The state is the process's.
 */
#ifndef LORE_VFS_SCRATCH_H
#define LORE_VFS_SCRATCH_H

#include "vfs/env.h"

/* A new, empty folder. `place` NULL: as above; only the first call of a process has a say. */
MUST_USE lore_status scratch_folder(const char *place, const char *name, char path[PATH_BYTES_MAX]);

/* `name` in `folder`; the result lasts until the fourth call from here. */
const char *scratch_path(const char *folder, const char *name);

/* Remove them all now, for a process that ends by _exit(). Nothing in a child of the process that
 * made them. */
void scratch_clear(void);

#endif
