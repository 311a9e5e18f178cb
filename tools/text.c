/* text.c - see text.h. */
#include "text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

static void reserve(struct text *text, size_t more) {
    size_t need = text->size + more + 1;
    if (need <= text->capacity) return;
    size_t capacity = text->capacity < 64 ? 64 : text->capacity * 2;
    if (capacity < need) capacity = need;
    text->data = alloc_grow(text->data, capacity);
    text->capacity = capacity;
}

void text_add(struct text *text, const void *bytes, size_t size) {
    reserve(text, size);
    if (size > 0) memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = 0;
}

void text_puts(struct text *text, const char *string) {
    text_add(text, string, strlen(string));
}

void text_char(struct text *text, char c) {
    text_add(text, &c, 1);
}

void text_vprintf(struct text *text, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    if (size > 0) {
        reserve(text, (size_t)size);
        vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
}

void text_printf(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    text_vprintf(text, format, arguments);
    va_end(arguments);
}

void text_clear(struct text *text) {
    text->size = 0;
    if (text->data != NULL) text->data[0] = 0;
}

void text_free(struct text *text) {
    free(text->data);
    *text = (struct text){0};
}

const char *text_string(const struct text *text) {
    return text->data == NULL ? "" : text->data;
}

/* Bytes of the UTF-8 character at p, or 0 if there is none. */
static size_t utf8_length(const uint8_t *p, size_t size) {
    uint8_t c = p[0];
    size_t length;
    uint32_t code, least;
    if (c < 0x80) return 1;
    if ((c & 0xE0) == 0xC0) {
        length = 2, code = c & 0x1Fu, least = 0x80;
    } else if ((c & 0xF0) == 0xE0) {
        length = 3, code = c & 0x0Fu, least = 0x800;
    } else if ((c & 0xF8) == 0xF0) {
        length = 4, code = c & 0x07u, least = 0x10000;
    } else {
        return 0;
    }
    if (length > size) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        code = code << 6 | (p[i] & 0x3Fu);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return 0;
    return length;
}

bool text_is_utf8(const void *bytes, size_t size) {
    const uint8_t *p = bytes;
    size_t at = 0;
    while (at < size) {
        size_t length = p[at] == 0 ? 0 : utf8_length(p + at, size - at);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

void text_add_printable(struct text *text, const void *bytes, size_t size, bool one_line,
                        size_t columns) {
    const uint8_t *p = bytes;
    size_t at = 0, shown = 0;
    while (at < size) {
        if (columns > 0 && shown + 3 >= columns && size - at > 3) {
            text_puts(text, "...");
            return;
        }
        size_t length = utf8_length(p + at, size - at);
        bool blank = p[at] == '\n' || p[at] == '\t';
        bool c1 = length == 2 && p[at] == 0xC2 && p[at + 1] < 0xA0; /* U+0080 to U+009F */
        if (blank) {
            text_char(text, one_line ? ' ' : (char)p[at]);
        } else if (length == 0 || p[at] < 0x20 || p[at] == 0x7F || c1) {
            text_printf(text, "\\x%02x", p[at]);
            shown += 3;
            length = 1;
            if (c1) text_printf(text, "\\x%02x", p[at + 1]), length = 2;
        } else {
            text_add(text, p + at, length);
        }
        shown++;
        at += length == 0 ? 1 : length;
    }
}

size_t text_width(const char *string) {
    size_t width = 0;
    for (; *string != 0; string++)
        width += ((uint8_t)*string & 0xC0) != 0x80;
    return width;
}
