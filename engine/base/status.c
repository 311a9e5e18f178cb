/*
 * status.c - names of statuses and this thread's error text.
 *
 * Threads: the text is per thread; nothing here is shared.
 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/poison.h"

#define TEXT_BYTES 512

static _Thread_local char error_text[TEXT_BYTES];

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

const char *lore_version(void) {
    return STRINGIFY(LORE_VERSION_MAJOR) "." STRINGIFY(LORE_VERSION_MINOR) "." STRINGIFY(
        LORE_VERSION_PATCH);
}

const char *lore_status_name(lore_status status) {
    switch (status) {
    case LORE_OK: return "LORE_OK";
    case LORE_NOT_FOUND: return "LORE_NOT_FOUND";
    case LORE_CORRUPTION: return "LORE_CORRUPTION";
    case LORE_IO: return "LORE_IO";
    case LORE_FULL: return "LORE_FULL";
    case LORE_LOCKED: return "LORE_LOCKED";
    case LORE_TOO_BIG: return "LORE_TOO_BIG";
    case LORE_CONFLICT: return "LORE_CONFLICT";
    case LORE_INVALID: return "LORE_INVALID";
    case LORE_MISUSE: return "LORE_MISUSE";
    case LORE_NO_MEMORY: return "LORE_NO_MEMORY";
    case LORE_NO_STORE: return "LORE_NO_STORE";
    case LORE_EXISTS: return "LORE_EXISTS";
    case LORE_UNSUPPORTED: return "LORE_UNSUPPORTED";
    case LORE_CANCELLED: return "LORE_CANCELLED";
    }
    return "LORE_?";
}

const char *lore_error_message(void) {
    return error_text;
}

lore_slice lore_slice_of(const char *text) {
    return (lore_slice){text, text == NULL ? 0 : strlen(text)};
}

/* Into a copy first: an argument, or `after`, may be the text itself. */
static void set_text(const char *after, const char *format, va_list args) {
    char text[TEXT_BYTES];
    if (vsnprintf(text, sizeof text, format, args) < 0) text[0] = '\0';
    size_t used = strlen(text);
    if (after != NULL && snprintf(text + used, sizeof text - used, ": %s", after) < 0)
        text[used] = '\0';
    memcpy(error_text, text, strlen(text) + 1);
}

lore_status fail(lore_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_text(NULL, format, args);
    va_end(args);
    return status;
}

lore_status not_found(void) {
    error_text[0] = '\0';
    return LORE_NOT_FOUND;
}

lore_status fail_within(lore_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_text(error_text, format, args);
    va_end(args);
    return status;
}
