/*
 * manifest_fuzz.c - any bytes as the manifest of a backup: as they are, and with digests that fit,
 * since no search gets past SHA-256. What is accepted stays inside its backup.
 *
 *   input   a manifest up to its last member, `self`, which is added here; where it names a
 *           root_digest of the right length, that of its files is put there, too
 */
#include "fuzz.h"
#include "manifest.h"

#include <string.h>

#include "alloc.h"

#define ROOT_START "\"root_digest\":\""

static void check_paths(const struct manifest *manifest) {
    uint64_t sum = 0;
    for (size_t i = 0; i < manifest->files_count; i++) {
        const char *path = manifest->files[i].path;
        fuzz_require(path[0] != 0 && path[0] != '/' && path[strlen(path) - 1] != '/');
        fuzz_require(strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0);
        fuzz_require(strstr(path, "/../") == NULL && strstr(path, "//") == NULL);
        fuzz_require(strlen(path) < 3 || strcmp(path + strlen(path) - 3, "/..") != 0);
        fuzz_require(strlen(manifest->files[i].digest) == SHA256_TEXT_BYTES - 1);
        sum += manifest->files[i].size;
    }
    fuzz_require(sum == manifest->bytes);
    fuzz_require(manifest->label != NULL && manifest->store_id != NULL &&
                 manifest->lineage != NULL);
}

/* `manifest` is the caller's to free. */
static bool parse(struct manifest *manifest, const char *bytes, size_t size) {
    struct text error = {0};
    bool fine = manifest_parse(manifest, bytes, size, &error);
    fuzz_require(fine == (error.size == 0));
    if (fine) check_paths(manifest);
    text_free(&error);
    return fine;
}

static bool parse_signed(struct manifest *manifest, const char *body, size_t size) {
    struct text bytes = {0};
    struct sha256 sha;
    char self[SHA256_TEXT_BYTES];
    text_add(&bytes, body, size);
    text_puts(&bytes, ",\"self\":\"");
    sha256_begin(&sha);
    sha256_add(&sha, bytes.data, bytes.size);
    sha256_add(&sha, "\"}\n", 3);
    sha256_end(&sha, self);
    text_puts(&bytes, self);
    text_puts(&bytes, "\"}\n");
    bool fine = parse(manifest, bytes.data, bytes.size);
    text_free(&bytes);
    return fine;
}

static void parse_rooted(struct manifest *manifest, const char *body, size_t size) {
    struct text bytes = {0};
    text_add(&bytes, body, size);
    char *root = strstr(text_string(&bytes), ROOT_START);
    if (root != NULL && strlen(root) >= sizeof ROOT_START - 1 + SHA256_TEXT_BYTES - 1) {
        manifest_seal(manifest);
        memcpy(root + sizeof ROOT_START - 1, manifest->root_digest, SHA256_TEXT_BYTES - 1);
        manifest_free(manifest);
        (void)parse_signed(manifest, bytes.data, bytes.size);
    }
    text_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* A string, so that what runs past the end is seen. */
    char *body = alloc_bytes(size + 1);
    if (size > 0) memcpy(body, data, size);
    struct manifest manifest;
    (void)parse(&manifest, body, size);
    manifest_free(&manifest);
    bool fine = parse_signed(&manifest, body, size);
    if (!fine && manifest.files_count > 0) parse_rooted(&manifest, body, size);
    manifest_free(&manifest);
    free(body);
    return 0;
}

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

bool fuzz_seed(unsigned number, struct bytes *seed) {
    static const char body[] =
        "{\"format\":1,\"time\":\"2024-02-29T00:00:00Z\",\"label\":\"nightly\",\"options\":"
        "{\"compression\":\"lz4\",\"memory_budget\":67108864},\"store_id\":\"00\",\"lineage\":"
        "\"01\","
        "\"sequence\":9,\"records\":3,\"entries\":4,\"bytes\":30,\"linked\":true,\"files\":["
        "{\"path\":\"g-000001/a\",\"size\":10,\"sha256\":\"" DIGEST "\",\"linked\":false},"
        "{\"path\":\"g-000001/b\",\"size\":20,\"sha256\":\"" DIGEST "\",\"linked\":true}],"
        "\"root_digest\":\"" DIGEST "\",\"content_digest\":\"" DIGEST "\"";
    if (number > 0) return false;
    fuzz_must(bytes_append(seed, body, sizeof body - 1));
    return true;
}
