/* sha256.h - SHA-256 (libsodium) as the manifests and dumps write it: "sha256:" and 64 hex digits.
 *
 * sodium_init is not called: the hash needs nothing from it, and it ends the process where the kernel has no randomness to
 * give. */
#ifndef LORE_TOOLS_SHA256_H
#define LORE_TOOLS_SHA256_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_TEXT_BYTES (7 + 64 + 1) /* with the terminating zero */

struct sha256 {
    crypto_hash_sha256_state state;
};

void sha256_begin(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *bytes, size_t size);
void sha256_end(struct sha256 *sha, char text[SHA256_TEXT_BYTES]);

/* Digest of a whole file. False with errno set when it cannot be read; *size is its length. */
bool sha256_file(const char *path, char text[SHA256_TEXT_BYTES], uint64_t *size);

#endif
