/*
 * manifest.h - MANIFEST.json of a backup: every file with its size and SHA-256, checked by itself.
 *
 *   {"format":1,"time":"..","label":"..","options":{..},"store_id":"..","lineage":"..",
 *    "sequence":N,"records":N,"entries":N,"bytes":N,"linked":false,
 *    "files":[{"path":"..","size":N,"sha256":"sha256:..","linked":false},...],   by path
 *    "root_digest":"sha256:..","content_digest":"sha256:..","self":"sha256:.."}
 *
 * root_digest is SHA-256 over the lines "path size digest\n" in order of path. `self` is SHA-256
 * over the manifest's own bytes with self empty: it is the last member, so every byte before it is
 * covered. Written once, by temporary file, sync, rename and sync of the directory; never changed.
 */
#ifndef LORE_TOOLS_MANIFEST_H
#define LORE_TOOLS_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"
#include "sha256.h"

#define MANIFEST_NAME      "MANIFEST.json"
#define MANIFEST_BYTES_MAX (256u << 20)

struct manifest_file {
    char *path; /* relative to the backup; owned */
    uint64_t size;
    char digest[SHA256_TEXT_BYTES];
    bool linked;
};

struct manifest {
    int64_t time_us;
    char *label, *store_id, *lineage; /* owned */
    uint64_t sequence, records, entries, bytes;
    bool linked;                 /* some file shares its bytes with the store */
    struct manifest_file *files; /* by path; owned */
    size_t files_count;
    char root_digest[SHA256_TEXT_BYTES], content_digest[SHA256_TEXT_BYTES];
};

void manifest_add_file(struct manifest *manifest, const char *path, uint64_t size,
                       const char *digest, bool linked);
/* Order the files, sum their sizes and compute the root digest. */
void manifest_seal(struct manifest *manifest);

/* Write it into `directory`. False with errno set. */
bool manifest_write(const struct manifest *manifest, const struct config *config,
                    const char *directory);

/* Read and check it: its own digest, its shape, its root digest. False with a sentence in `error`.
 */
bool manifest_parse(struct manifest *manifest, const char *bytes, size_t size, struct text *error);
bool manifest_read(struct manifest *manifest, const char *directory, struct text *error);
void manifest_free(struct manifest *manifest);

#endif
