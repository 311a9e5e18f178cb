/*
 * log.h - the host's log callback. The engine never prints. Messages are cut at 1,023 bytes; one less
 * important than `level` is dropped. A `logger` of NULL is silent.
 */
#ifndef LORE_BASE_LOG_H
#define LORE_BASE_LOG_H

#include "base/status.h"

struct logger {
    lore_log_fn callback; /* NULL: silent */
    void *context;
    lore_log_level level;
};
void log_write(const struct logger *logger, lore_log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif
