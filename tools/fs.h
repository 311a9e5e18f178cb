/* fs.h - directories, as backup and its friends need them. */
#ifndef LORE_TOOLS_FS_H
#define LORE_TOOLS_FS_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

/* mkdir -p with mode 0700. False with errno set. */
bool fs_make_directories(const char *path);

struct fs_names {
    char **names; /* ordered; owned, as is each */
    size_t count;
};
/* Names in a directory without "." and "..". False with errno set. */
bool fs_list(const char *path, struct fs_names *names);
void fs_names_free(struct fs_names *names);

bool fs_is_directory(const char *path);
/* The path from the root, where it is relative and the current directory is known. */
void fs_absolute(struct text *out, const char *path);
/* Remove a directory and what is in it, as far as possible; follows no links. */
void fs_remove_tree(const char *path);

#endif
