/*
 * status.h - how a floor reports failure: a lore_status by value, and the text of the last failure
 * kept per thread.
 *
 * A function that fails calls fail() once, where the fault is seen, with what, where and why; callers
 * pass the status up with TRY and leave the text alone. LORE_NOT_FOUND is an answer, not a failure,
 * and sets no text unless someone means it to be read.
 */
#ifndef LORE_BASE_STATUS_H
#define LORE_BASE_STATUS_H

#include "lore.h"

#define MUST_USE LORE_MUST_USE
#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

/* Set this thread's error text and return `status`. Texts are cut at 511 bytes. */
lore_status fail(lore_status status, const char *format, ...) PRINTF_LIKE(2, 3);

/* LORE_NOT_FOUND as a public call's answer: the text of an earlier failure goes. */
lore_status not_found(void);

/* Put "prefix: " before this thread's error text; for a caller that knows more of the where. */
lore_status fail_within(lore_status status, const char *format, ...) PRINTF_LIKE(2, 3);

#define TRY(expression)                                                                            \
    do {                                                                                           \
        lore_status try_status_ = (expression);                                                    \
        if (try_status_ != LORE_OK) return try_status_;                                            \
    } while (0)

/* The same with a way out: `goto label` with `status` set. */
#define TRY_OR(expression, status, label)                                                          \
    do {                                                                                           \
        (status) = (expression);                                                                   \
        if ((status) != LORE_OK) goto label;                                                       \
    } while (0)

#endif
