/*
 * source.h - bytes from a file, a pipe or memory, taken line by line or JSON value by JSON value.
 *
 * Every answer is bounded by the caller: nothing a file says makes a source hold more than
 * `size_max` bytes. Slices are valid until the next call. One thread.
 */
#ifndef LORE_TOOLS_SOURCE_H
#define LORE_TOOLS_SOURCE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

struct source {
    char *buffer;      /* owned */
    size_t begin, end; /* bytes of the buffer not yet taken */
    size_t capacity;
    size_t scanned;     /* bytes behind begin that hold no newline */
    int fd;             /* owned unless it is stdin; -1: memory */
    bool at_end;        /* nothing more to read */
    bool skipping;      /* the rest of a line that was too long is still to be passed over */
    bool last_line_cut; /* the line last returned had no newline at its end */
    int error;          /* errno of a failed read, else 0 */
    uint64_t taken;     /* bytes of everything taken so far */
    uint64_t line;      /* number of the line last returned, from 1 */
    uint64_t size;      /* of a regular file, else 0 */
};

enum source_result {
    SOURCE_OK,
    SOURCE_END,
    SOURCE_TOO_LONG,    /* the next call skips the line; a JSON value is not skipped: give up */
    SOURCE_ERROR,       /* see error */
    SOURCE_INTERRUPTED, /* a signal asked to stop */
    SOURCE_MALFORMED /* source_array_next: not an array of values; source_line: a line of more than
                      * SOURCE_SKIP_BYTES_MAX, which is none */
};

#define SOURCE_SKIP_BYTES_MAX (UINT64_C(1) << 30)
#define SOURCE_IS_DEVICE      ENOTTY

/* `path` "-" is stdin. False with errno set: SOURCE_IS_DEVICE for a character device that is
 * neither a terminal nor the null device, for such a one (zeros, random bytes) has no end. */
bool source_open(struct source *source, const char *path);
void source_from_memory(struct source *source, const void *bytes, size_t size);
void source_close(struct source *source);

/* The next line without its newline (and without a carriage return before it). */
enum source_result source_line(struct source *source, size_t size_max, const char **line,
                               size_t *size);

/* The next value of the array that the input is ("[" value "," ... "]"), as bytes. */
enum source_result source_array_next(struct source *source, size_t size_max, const char **value,
                                     size_t *size);

/* All that is left, at most `size_max` bytes of it, added to `bytes`. */
enum source_result source_rest(struct source *source, size_t size_max, struct text *bytes);

/* Up to `want` bytes from where the source stands, without taking them; blanks and a byte order
 * mark at the very start are passed over. */
size_t source_peek(struct source *source, size_t want, const char **bytes);

/* The same, but no more is waited for once a whole line is there. */
size_t source_peek_line(struct source *source, size_t want, const char **bytes);

#endif
