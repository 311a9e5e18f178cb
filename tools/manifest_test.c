/* manifest_test.c - a manifest written, read, and every bit of it flipped. */
#include "manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void every_bit(void **state) {
    (void)state;
    char directory[] = "/tmp/lore-manifest-XXXXXX", path[64];
    char digest[SHA256_TEXT_BYTES];
    struct sha256 sha;
    struct config config = {0};
    struct text error = {0};
    struct args args = {0};
    assert_non_null(mkdtemp(directory));
    setenv("HOME", directory, 1);
    assert_true(config_load(&config, &args, &error));
    sha256_begin(&sha);
    sha256_end(&sha, digest);
    struct manifest manifest = {.time_us = 1,
                                .label = alloc_copy("l"),
                                .store_id = alloc_copy("i"),
                                .lineage = alloc_copy("n")};
    manifest_add_file(&manifest, "b/2", 20, digest, true);
    manifest_add_file(&manifest, "a", 10, digest, false);
    memcpy(manifest.content_digest, digest, sizeof digest);
    manifest_seal(&manifest);
    assert_true(manifest_write(&manifest, &config, directory));
    manifest_free(&manifest);

    assert_true(manifest_read(&manifest, directory, &error));
    assert_string_equal(manifest.files[0].path, "a");
    assert_true(manifest.linked && manifest.files[1].linked && !manifest.files[0].linked);
    assert_int_equal(manifest.bytes, 30);
    manifest_free(&manifest);
    snprintf(path, sizeof path, "%s/" MANIFEST_NAME, directory);
    char bytes[4096];
    FILE *file = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t at = 0; at < size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[at] = (char)(bytes[at] ^ 1 << bit);
            if (manifest_parse(&manifest, bytes, size, &error)) fail_msg("bit %d at %zu", bit, at);
            manifest_free(&manifest);
            bytes[at] = (char)(bytes[at] ^ 1 << bit);
        }
    }
    for (size_t cut = 0; cut < size; cut++) {
        assert_false(manifest_parse(&manifest, bytes, cut, &error));
        manifest_free(&manifest);
    }
    unlink(path);
    rmdir(directory);
    config_free(&config);
    text_free(&error);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_bit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
