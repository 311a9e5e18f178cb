/*
 * log.c - formatting for the host's log callback.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/poison.h"

void log_write(const struct logger *logger, lore_log_level level, const char *format, ...) {
    if (logger == NULL || logger->callback == NULL || level > logger->level) return;
    char text[1024];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length >= 0) logger->callback(logger->context, level, text);
}
