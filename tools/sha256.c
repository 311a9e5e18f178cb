/* sha256.c - see sha256.h. */
#include "sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void sha256_begin(struct sha256 *sha) {
    crypto_hash_sha256_init(&sha->state);
}

void sha256_add(struct sha256 *sha, const void *bytes, size_t size) {
    if (size > 0) crypto_hash_sha256_update(&sha->state, bytes, size);
}

void sha256_end(struct sha256 *sha, char text[SHA256_TEXT_BYTES]) {
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&sha->state, digest);
    memcpy(text, "sha256:", 7);
    for (size_t i = 0; i < sizeof digest; i++) {
        text[7 + 2 * i] = hex[digest[i] >> 4];
        text[8 + 2 * i] = hex[digest[i] & 15];
    }
    text[SHA256_TEXT_BYTES - 1] = 0;
}

bool sha256_file(const char *path, char text[SHA256_TEXT_BYTES], uint64_t *size) {
    uint8_t buffer[65536];
    struct sha256 sha;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    sha256_begin(&sha);
    *size = 0;
    for (;;) {
        ssize_t count = read(fd, buffer, sizeof buffer);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            int error = errno;
            close(fd);
            errno = error;
            return false;
        }
        if (count == 0) break;
        sha256_add(&sha, buffer, (size_t)count);
        *size += (uint64_t)count;
    }
    close(fd);
    sha256_end(&sha, text);
    return true;
}
