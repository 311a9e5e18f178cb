/* base64.h - RFC 4648 base64 with padding, standard alphabet; decoding is strict. */
#ifndef LORE_TOOLS_BASE64_H
#define LORE_TOOLS_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

void base64_encode(struct text *out, const void *bytes, size_t size);

/* Bytes that `size` characters may decode to, at most. */
size_t base64_decoded_max(size_t size);

/* Decode into `out`, which has room for base64_decoded_max(size) bytes. False for anything but
 * canonical base64: wrong length, foreign characters, set bits behind the last byte. */
bool base64_decode(const char *text, size_t size, uint8_t *out, size_t *out_size);

#endif
