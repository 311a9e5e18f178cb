/* manifest.c - see manifest.h. */
#include "manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "jsonwrite.h"
#include "record_json.h"
#include "timetext.h"

#define SELF_START "\"self\":\""
#define SELF_END   "\"}\n"

void manifest_add_file(struct manifest *manifest, const char *path, uint64_t size,
                       const char *digest, bool linked) {
    size_t count = manifest->files_count++;
    manifest->files = alloc_grow(manifest->files, (count + 1) * sizeof *manifest->files);
    struct manifest_file *file = &manifest->files[count];
    *file = (struct manifest_file){.path = alloc_copy(path), .size = size, .linked = linked};
    snprintf(file->digest, sizeof file->digest, "%s", digest);
    manifest->linked = manifest->linked || linked;
}

static int by_path(const void *left, const void *right) {
    const struct manifest_file *a = left, *b = right;
    return strcmp(a->path, b->path);
}

static void root_digest(const struct manifest *manifest, char digest[SHA256_TEXT_BYTES]) {
    struct sha256 sha;
    struct text line = {0};
    sha256_begin(&sha);
    for (size_t i = 0; i < manifest->files_count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        text_clear(&line);
        text_printf(&line, "%s %" PRIu64 " %s\n", file->path, file->size, file->digest);
        sha256_add(&sha, line.data, line.size);
    }
    text_free(&line);
    sha256_end(&sha, digest);
}

void manifest_seal(struct manifest *manifest) {
    if (manifest->files_count > 0) {
        qsort(manifest->files, manifest->files_count, sizeof *manifest->files, by_path);
    }
    manifest->bytes = 0;
    for (size_t i = 0; i < manifest->files_count; i++)
        manifest->bytes += manifest->files[i].size;
    root_digest(manifest, manifest->root_digest);
}

static void write_files(struct json_writer *writer, const struct manifest *manifest) {
    jw_key(writer, "files");
    jw_begin_array(writer);
    for (size_t i = 0; i < manifest->files_count; i++) {
        const struct manifest_file *file = &manifest->files[i];
        jw_begin_object(writer);
        jw_string_member(writer, "path", file->path);
        jw_uint_member(writer, "size", file->size);
        jw_string_member(writer, "sha256", file->digest);
        jw_bool_member(writer, "linked", file->linked);
        jw_end_object(writer);
    }
    jw_end_array(writer);
}

static void format(const struct manifest *manifest, const struct config *config, struct text *out) {
    struct json_writer writer = {.out = out};
    jw_begin_object(&writer);
    jw_uint_member(&writer, "format", 1);
    jw_time_member(&writer, "time", manifest->time_us);
    jw_string_member(&writer, "label", manifest->label);
    jw_key(&writer, "options");
    jw_begin_object(&writer);
    jw_string_member(&writer, "compression", config_text(config, SETTING_COMPRESSION));
    jw_uint_member(&writer, "memory_budget", config_size(config, SETTING_MEMORY_BUDGET));
    jw_uint_member(&writer, "max_memory_size", config_size(config, SETTING_MAX_MEMORY_SIZE));
    jw_end_object(&writer);
    jw_string_member(&writer, "store_id", manifest->store_id);
    jw_string_member(&writer, "lineage", manifest->lineage);
    jw_uint_member(&writer, "sequence", manifest->sequence);
    jw_uint_member(&writer, "records", manifest->records);
    jw_uint_member(&writer, "entries", manifest->entries);
    jw_uint_member(&writer, "bytes", manifest->bytes);
    jw_bool_member(&writer, "linked", manifest->linked);
    write_files(&writer, manifest);
    jw_string_member(&writer, "root_digest", manifest->root_digest);
    jw_string_member(&writer, "content_digest", manifest->content_digest);
    text_puts(out, "," SELF_START);
    struct sha256 sha;
    char self[SHA256_TEXT_BYTES];
    sha256_begin(&sha);
    sha256_add(&sha, out->data, out->size);
    sha256_add(&sha, SELF_END, sizeof SELF_END - 1);
    sha256_end(&sha, self);
    text_puts(out, self);
    text_puts(out, SELF_END);
}

static bool write_synced(const char *path, const struct text *bytes) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    size_t written = 0;
    while (written < bytes->size) {
        ssize_t count = write(fd, bytes->data + written, bytes->size - written);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) break;
        written += (size_t)count;
    }
    bool fine = written == bytes->size && fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return fine;
}

static bool sync_directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    bool fine = fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return fine;
}

bool manifest_write(const struct manifest *manifest, const struct config *config,
                    const char *directory) {
    struct text bytes = {0}, temporary = {0}, path = {0};
    format(manifest, config, &bytes);
    text_printf(&temporary, "%s/" MANIFEST_NAME ".tmp", directory);
    text_printf(&path, "%s/" MANIFEST_NAME, directory);
    bool fine = write_synced(temporary.data, &bytes) && rename(temporary.data, path.data) == 0 &&
                sync_directory(directory);
    int error = errno;
    if (!fine) unlink(temporary.data);
    text_free(&bytes);
    text_free(&temporary);
    text_free(&path);
    errno = error;
    return fine;
}

/* ---- reading ---- */

static bool self_fits(const char *bytes, size_t size) {
    size_t self = SHA256_TEXT_BYTES - 1, end = sizeof SELF_END - 1, start = sizeof SELF_START - 1;
    if (size < start + self + end) return false;
    const char *digest = bytes + size - end - self;
    if (memcmp(bytes + size - end, SELF_END, end) != 0) return false;
    if (memcmp(digest - start, SELF_START, start) != 0) return false;
    struct sha256 sha;
    char computed[SHA256_TEXT_BYTES];
    sha256_begin(&sha);
    sha256_add(&sha, bytes, size - end - self);
    sha256_add(&sha, SELF_END, end);
    sha256_end(&sha, computed);
    return memcmp(computed, digest, self) == 0;
}

static bool read_string(const json_t *object, const char *key, char **out) {
    const char *value = json_string_value(json_object_get(object, key));
    if (value != NULL) *out = alloc_copy(value);
    return value != NULL;
}

static bool read_digest(const json_t *object, const char *key, char digest[SHA256_TEXT_BYTES]) {
    const char *value = json_string_value(json_object_get(object, key));
    if (value == NULL || strlen(value) != SHA256_TEXT_BYTES - 1) return false;
    memcpy(digest, value, SHA256_TEXT_BYTES);
    return true;
}

/* A path that stays inside the backup. */
static bool path_is_inside(const char *path) {
    if (path[0] == 0 || path[0] == '/') return false;
    for (const char *part = path; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        size_t size = strcspn(part, "/");
        if (size == 0 || (size == 1 && part[0] == '.')) return false;
        if (size == 2 && part[0] == '.' && part[1] == '.') return false;
    }
    return true;
}

static bool read_files(struct manifest *manifest, const json_t *files) {
    if (!json_is_array(files)) return false;
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *item = json_array_get(files, i);
        const char *path = json_string_value(json_object_get(item, "path"));
        char digest[SHA256_TEXT_BYTES];
        uint64_t size;
        if (path == NULL || !path_is_inside(path) || !read_digest(item, "sha256", digest) ||
            !record_read_uint(json_object_get(item, "size"), &size)) {
            return false;
        }
        manifest_add_file(manifest, path, size, digest,
                          json_is_true(json_object_get(item, "linked")));
    }
    return true;
}

static bool read_members(struct manifest *manifest, const json_t *object) {
    const char *time = json_string_value(json_object_get(object, "time"));
    return time != NULL && time_parse(time, 0, 0, &manifest->time_us) &&
           read_string(object, "label", &manifest->label) &&
           read_string(object, "store_id", &manifest->store_id) &&
           read_string(object, "lineage", &manifest->lineage) &&
           record_read_uint(json_object_get(object, "sequence"), &manifest->sequence) &&
           record_read_uint(json_object_get(object, "records"), &manifest->records) &&
           record_read_uint(json_object_get(object, "entries"), &manifest->entries) &&
           read_files(manifest, json_object_get(object, "files")) &&
           read_digest(object, "root_digest", manifest->root_digest) &&
           read_digest(object, "content_digest", manifest->content_digest);
}

bool manifest_parse(struct manifest *manifest, const char *bytes, size_t size, struct text *error) {
    *manifest = (struct manifest){0};
    if (!self_fits(bytes, size)) {
        return text_puts(error, MANIFEST_NAME " does not have its own digest"), false;
    }
    json_t *object = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL);
    json_int_t version = json_integer_value(json_object_get(object, "format"));
    bool fine = version == 1 && read_members(manifest, object);
    if (!fine) {
        text_puts(error, version > 1 ? MANIFEST_NAME
                             " is of a format that this program does not know"
                                     : MANIFEST_NAME " is malformed");
    }
    json_decref(object);
    if (!fine) return false;
    for (size_t i = 0; i < manifest->files_count; i++)
        manifest->bytes += manifest->files[i].size;
    char root[SHA256_TEXT_BYTES];
    root_digest(manifest, root);
    fine = strcmp(root, manifest->root_digest) == 0;
    if (!fine) text_puts(error, MANIFEST_NAME ": the root digest is not that of its files");
    return fine;
}

bool manifest_read(struct manifest *manifest, const char *directory, struct text *error) {
    *manifest = (struct manifest){0};
    struct text path = {0}, bytes = {0};
    text_printf(&path, "%s/" MANIFEST_NAME, directory);
    FILE *file = fopen(path.data, "rb");
    bool fine = file != NULL;
    char buffer[16384];
    while (fine) {
        size_t count = fread(buffer, 1, sizeof buffer, file);
        text_add(&bytes, buffer, count);
        fine = !ferror(file) && bytes.size <= MANIFEST_BYTES_MAX;
        if (count < sizeof buffer) break;
    }
    if (!fine) text_printf(error, "cannot read %s: %s", path.data, strerror(errno));
    if (file != NULL) fclose(file);
    fine = fine && manifest_parse(manifest, text_string(&bytes), bytes.size, error);
    text_free(&bytes);
    text_free(&path);
    return fine;
}

void manifest_free(struct manifest *manifest) {
    for (size_t i = 0; i < manifest->files_count; i++)
        free(manifest->files[i].path);
    free(manifest->files);
    free(manifest->label);
    free(manifest->store_id);
    free(manifest->lineage);
    *manifest = (struct manifest){0};
}
