/*
 * text.h - a string that grows, and the question whether bytes are text.
 *
 * A `struct text` starts as {0}, is always zero-terminated once something was added, and is given
 * back by text_free. It may hold any bytes; `size` counts them without the terminator.
 */
#ifndef LORE_TOOLS_TEXT_H
#define LORE_TOOLS_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct text {
    char *data;      /* owned; NULL until something is added */
    size_t size;     /* bytes, without the terminator */
    size_t capacity; /* bytes */
};

void text_add(struct text *text, const void *bytes, size_t size);
void text_puts(struct text *text, const char *string);
void text_char(struct text *text, char c);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *text, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
void text_clear(struct text *text); /* keeps the memory */
void text_free(struct text *text);
const char *text_string(const struct text *text); /* never NULL */

/* Valid UTF-8 (no overlong forms, no surrogates, nothing past U+10FFFF) and free of U+0000: bytes
 * that JSON carries as a string without loss. */
bool text_is_utf8(const void *bytes, size_t size);

/* The bytes for a terminal: control characters become \xNN, except that newline and tab become one
 * space when `one_line`. At most `columns` characters (0: no limit), cut with "...". */
void text_add_printable(struct text *text, const void *bytes, size_t size, bool one_line,
                        size_t columns);

/* Number of characters (not bytes) of valid UTF-8; for padding columns. */
size_t text_width(const char *string);

#endif
