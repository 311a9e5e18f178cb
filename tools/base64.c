/* base64.c - see base64.h. */
#include "base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct text *out, const void *bytes, size_t size) {
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)p[i] << 16;
        if (left > 1) group |= (uint32_t)p[i + 1] << 8;
        if (left > 2) group |= p[i + 2];
        char four[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                        left > 1 ? alphabet[group >> 6 & 63] : '=',
                        left > 2 ? alphabet[group & 63] : '='};
        text_add(out, four, 4);
    }
}

size_t base64_decoded_max(size_t size) {
    return size / 4 * 3;
}

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return -1;
}

bool base64_decode(const char *text, size_t size, uint8_t *out, size_t *out_size) {
    *out_size = 0;
    if (size % 4 != 0) return false;
    size_t padding = 0;
    if (size > 0 && text[size - 1] == '=') padding = text[size - 2] == '=' ? 2 : 1;
    size_t written = 0;
    for (size_t i = 0; i < size; i += 4) {
        size_t pad = i + 4 == size ? padding : 0;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            int value = k >= 4 - pad ? 0 : value_of(text[i + k]);
            if (value < 0) return false;
            group = group << 6 | (uint32_t)value;
        }
        if (pad == 1 && (group & 0xFF) != 0) return false;
        if (pad == 2 && (group & 0xFFFF) != 0) return false;
        out[written++] = (uint8_t)(group >> 16);
        if (pad < 2) out[written++] = (uint8_t)(group >> 8);
        if (pad < 1) out[written++] = (uint8_t)group;
    }
    *out_size = written;
    return true;
}
