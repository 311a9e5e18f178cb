/*
 * backups.h - the backups in a directory, and checking one against its manifest.
 *
 * A backup is a directory that holds MANIFEST.json; what lies beside without one is unfinished or
 * something else. A backup whose files are linked shares its bytes with the store, so damage there
 * is damage here: it never counts as the last good one.
 */
#ifndef LORE_TOOLS_BACKUPS_H
#define LORE_TOOLS_BACKUPS_H

#include "cli.h"
#include "findings.h"
#include "manifest.h"
#include "progress.h"

struct backup {
    char *name, *path; /* owned */
    bool readable;     /* the manifest is whole */
    struct manifest manifest;
    struct text error; /* when it is not readable */
};

struct backup_list {
    struct backup *backups; /* oldest first, unreadable ones at the end; owned */
    size_t count;
};

/* 0 or an exit code; a directory that is not there holds no backups. */
int backups_read(struct cli *cli, const char *directory, struct backup_list *list);
void backups_free(struct backup_list *list);
/* The newest whole one that is not linked, or NULL. */
const struct backup *backups_latest(const struct backup_list *list);

/* --to or --from, else the setting. */
const char *backup_directory(const struct cli *cli);
bool path_is_backup(const char *path);

/* Compare every file with the manifest. 0 (whatever was found), or the exit code of a failure. */
int backup_check_files(struct cli *cli, const char *path, const struct manifest *manifest,
                       struct findings *findings, struct progress *progress);

#endif
