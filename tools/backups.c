/* backups.c - see backups.h. */
#include "backups.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "fs.h"

const char *backup_directory(const struct cli *cli) {
    const char *given = args_value(&cli->args, "to");
    if (given == NULL) given = args_value(&cli->args, "from");
    return given != NULL ? given : config_text(&cli->config, SETTING_BACKUP_PATH);
}

bool path_is_backup(const char *path) {
    struct text file = {0};
    text_printf(&file, "%s/" MANIFEST_NAME, path);
    bool is_backup = path_exists(text_string(&file));
    text_free(&file);
    return is_backup;
}

static int by_time(const void *left, const void *right) {
    const struct backup *a = left, *b = right;
    if (a->readable != b->readable) return a->readable ? -1 : 1;
    int64_t x = a->manifest.time_us, y = b->manifest.time_us;
    return x != y ? (x > y) - (x < y) : strcmp(a->name, b->name);
}

static void add_backup(struct backup_list *list, const char *name, char *path) {
    list->backups = alloc_grow(list->backups, (list->count + 1) * sizeof *list->backups);
    struct backup *backup = &list->backups[list->count++];
    *backup = (struct backup){.name = alloc_copy(name), .path = path};
    backup->readable = manifest_read(&backup->manifest, path, &backup->error);
}

int backups_read(struct cli *cli, const char *directory, struct backup_list *list) {
    struct fs_names names;
    *list = (struct backup_list){0};
    if (!fs_list(directory, &names)) {
        if (errno == ENOENT) return 0;
        return fail_errno(cli, "cannot list the backups in %s", directory);
    }
    for (size_t i = 0; i < names.count; i++) {
        struct text path = {0};
        text_printf(&path, "%s/%s", directory, names.names[i]);
        if (path_is_backup(path.data)) {
            add_backup(list, names.names[i], path.data);
        } else {
            text_free(&path);
        }
    }
    fs_names_free(&names);
    if (list->count > 1) qsort(list->backups, list->count, sizeof *list->backups, by_time);
    return 0;
}

void backups_free(struct backup_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->backups[i].name);
        free(list->backups[i].path);
        manifest_free(&list->backups[i].manifest);
        text_free(&list->backups[i].error);
    }
    free(list->backups);
    *list = (struct backup_list){0};
}

const struct backup *backups_latest(const struct backup_list *list) {
    for (size_t i = list->count; i > 0; i--) {
        const struct backup *backup = &list->backups[i - 1];
        if (backup->readable && !backup->manifest.linked) return backup;
    }
    return NULL;
}

static bool listed(const struct manifest *manifest, const char *path) {
    for (size_t i = 0; i < manifest->files_count; i++) {
        if (strcmp(manifest->files[i].path, path) == 0) return true;
    }
    return strcmp(path, MANIFEST_NAME) == 0;
}

/* Files that the manifest does not name, below `relative` ("" or "dir/"). */
static void find_strangers(const char *root, const char *relative, const struct manifest *manifest,
                           struct findings *findings) {
    struct text path = {0};
    struct fs_names names;
    text_printf(&path, "%s/%s", root, relative);
    bool listable = fs_list(path.data, &names);
    for (size_t i = 0; listable && i < names.count; i++) {
        struct text inside = {0};
        text_printf(&inside, "%s%s", relative, names.names[i]);
        text_clear(&path);
        text_printf(&path, "%s/%s", root, inside.data);
        if (fs_is_directory(path.data)) {
            text_char(&inside, '/');
            find_strangers(root, inside.data, manifest, findings);
        } else if (!listed(manifest, inside.data)) {
            findings_note(findings, false, "file", inside.data,
                          "the manifest does not name this file");
        }
        text_free(&inside);
    }
    if (listable) fs_names_free(&names);
    text_free(&path);
}

int backup_check_files(struct cli *cli, const char *path, const struct manifest *manifest,
                       struct findings *findings, struct progress *progress) {
    uint64_t done = 0;
    for (size_t i = 0; i < manifest->files_count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        struct text full = {0}, message = {0};
        char digest[SHA256_TEXT_BYTES];
        uint64_t size;
        text_printf(&full, "%s/%s", path, file->path);
        if (!sha256_file(full.data, digest, &size)) {
            text_printf(&message, "cannot be read: %s", strerror(errno));
        } else if (size != file->size) {
            text_printf(&message, "%" PRIu64 " bytes, the manifest says %" PRIu64, size,
                        file->size);
        } else if (strcmp(digest, file->digest) != 0) {
            text_puts(&message, "its SHA-256 is not the manifest's");
        }
        if (message.size > 0) findings_note(findings, true, "file", file->path, message.data);
        text_free(&full);
        text_free(&message);
        done += file->size;
        if (!progress_step(progress, "digest", done, manifest->bytes))
            return fail_interrupted(cli, "not everything was checked");
    }
    find_strangers(path, "", manifest, findings);
    return 0;
}
