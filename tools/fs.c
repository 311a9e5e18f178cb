/* fs.c - see fs.h. */
#include "fs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"

bool fs_is_directory(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

void fs_absolute(struct text *out, const char *path) {
    char current[4096];
    if (path[0] != '/' && getcwd(current, sizeof current) != NULL) text_printf(out, "%s/", current);
    text_puts(out, path);
}

bool fs_make_directories(const char *path) {
    char *copy = alloc_copy(path);
    bool fine = true;
    for (char *p = copy + 1; fine && *copy != 0; p++) {
        if (*p != '/' && *p != 0) continue;
        char kept = *p;
        *p = 0;
        fine = mkdir(copy, 0700) == 0 || (errno == EEXIST && fs_is_directory(copy));
        *p = kept;
        if (kept == 0) break;
    }
    int error = errno;
    free(copy);
    errno = error;
    return fine;
}

static int by_name(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

bool fs_list(const char *path, struct fs_names *names) {
    *names = (struct fs_names){0};
    DIR *directory = opendir(path);
    if (directory == NULL) return false;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        names->names = alloc_grow(names->names, (names->count + 1) * sizeof *names->names);
        names->names[names->count++] = alloc_copy(entry->d_name);
    }
    int error = errno;
    closedir(directory);
    if (error != 0) fs_names_free(names);
    errno = error;
    if (names->count > 1) qsort(names->names, names->count, sizeof *names->names, by_name);
    return error == 0;
}

void fs_names_free(struct fs_names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct fs_names){0};
}

void fs_remove_tree(const char *path) {
    struct stat info;
    struct fs_names names;
    if (lstat(path, &info) != 0) return;
    if (!S_ISDIR(info.st_mode)) {
        unlink(path);
        return;
    }
    if (fs_list(path, &names)) {
        for (size_t i = 0; i < names.count; i++) {
            struct text child = {0};
            text_printf(&child, "%s/%s", path, names.names[i]);
            fs_remove_tree(child.data);
            text_free(&child);
        }
        fs_names_free(&names);
    }
    rmdir(path);
}
