/* source.c - see source.h. */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "interrupt.h"

#define READ_BYTES 65536u

static bool is_endless(int fd, const struct stat *info) {
    struct stat null;
    if (!S_ISCHR(info->st_mode) || isatty(fd)) return false;
    return stat("/dev/null", &null) != 0 || null.st_rdev != info->st_rdev;
}

bool source_open(struct source *source, const char *path) {
    *source = (struct source){.fd = STDIN_FILENO};
    if (strcmp(path, "-") != 0) source->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0) return false;
    struct stat info = {0};
    if (fstat(source->fd, &info) == 0 && S_ISREG(info.st_mode))
        source->size = (uint64_t)info.st_size;
    int refused = S_ISDIR(info.st_mode)           ? EISDIR
                  : is_endless(source->fd, &info) ? SOURCE_IS_DEVICE
                                                  : 0;
    if (refused == 0) return true;
    source_close(source);
    errno = refused;
    return false;
}

void source_from_memory(struct source *source, const void *bytes, size_t size) {
    *source =
        (struct source){.fd = -1, .at_end = true, .end = size, .capacity = size, .size = size};
    source->buffer = alloc_bytes(size);
    if (size > 0) memcpy(source->buffer, bytes, size);
}

void source_close(struct source *source) {
    if (source->fd > STDIN_FILENO) close(source->fd);
    free(source->buffer);
    *source = (struct source){.fd = -1};
}

/* Read more behind `end`. False at the end of input and on errors. */
static bool fill(struct source *source) {
    if (source->at_end || source->error != 0 || interrupt_pending()) return false;
    if (source->begin > 0) {
        memmove(source->buffer, source->buffer + source->begin, source->end - source->begin);
        source->end -= source->begin;
        source->begin = 0;
    }
    if (source->capacity - source->end < READ_BYTES) {
        source->capacity = source->capacity * 2 + READ_BYTES;
        source->buffer = alloc_grow(source->buffer, source->capacity);
    }
    ssize_t count = -1;
    while (count < 0) {
        /* A regular file is ready at once; a pipe may stay silent for hours. */
        struct pollfd waited[2] = {{.fd = source->fd, .events = POLLIN},
                                   {.fd = interrupt_fd(), .events = POLLIN}};
        if (poll(waited, 2, -1) < 0 && errno != EINTR) break;
        if (interrupt_pending()) return false;
        count = read(source->fd, source->buffer + source->end, READ_BYTES);
        if (count < 0 && errno != EINTR) break;
    }
    if (count < 0) {
        source->error = errno;
        return false;
    }
    source->at_end = count == 0;
    source->end += (size_t)count;
    return count > 0;
}

static void take(struct source *source, size_t size) {
    source->begin += size;
    source->taken += size;
    source->scanned = 0;
}

static enum source_result stopped(const struct source *source) {
    if (interrupt_pending()) return SOURCE_INTERRUPTED;
    return source->error != 0 ? SOURCE_ERROR : SOURCE_END;
}

/* Pass over the rest of a line that is too long. False if it does not end within bounds. */
static bool skip_line(struct source *source) {
    uint64_t start = source->taken;
    source->skipping = false;
    do {
        char *found = memchr(source->buffer + source->begin, '\n', source->end - source->begin);
        if (found != NULL) {
            take(source, (size_t)(found - (source->buffer + source->begin)) + 1);
            return true;
        }
        take(source, source->end - source->begin);
        if (source->taken - start > SOURCE_SKIP_BYTES_MAX) return false;
    } while (fill(source));
    return true;
}

enum source_result source_line(struct source *source, size_t size_max, const char **line,
                               size_t *size) {
    if (source->skipping && !skip_line(source)) return SOURCE_MALFORMED;
    source->line++;
    for (;;) {
        if (interrupt_pending()) return SOURCE_INTERRUPTED;
        size_t have = source->end - source->begin;
        char *start = have == 0 ? source->buffer : source->buffer + source->begin;
        char *found = have == source->scanned
                          ? NULL
                          : memchr(start + source->scanned, '\n', have - source->scanned);
        size_t length = found != NULL ? (size_t)(found - start) : have;
        if (length > size_max) {
            source->skipping = true;
            return SOURCE_TOO_LONG;
        }
        source->scanned = have;
        if (found == NULL && fill(source)) continue;
        if (found == NULL && (source->error != 0 || have == 0 || interrupt_pending()))
            return stopped(source);
        source->last_line_cut = found == NULL;
        start = source->buffer + source->begin;
        take(source, length + (found != NULL ? 1 : 0));
        if (length > 0 && start[length - 1] == '\r') length--;
        *line = start;
        *size = length;
        return SOURCE_OK;
    }
}

static bool is_blank(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Pass over blanks; the character behind them, or 0 at the end. */
static char next_token(struct source *source) {
    for (;;) {
        while (source->begin < source->end && is_blank(source->buffer[source->begin])) {
            take(source, 1);
        }
        if (source->begin < source->end) return source->buffer[source->begin];
        if (!fill(source)) return 0;
    }
}

/* Length of the JSON value at `begin`, whose brackets and strings are followed until it closes. */
static enum source_result value_length(struct source *source, size_t size_max, size_t *length) {
    size_t at = 0, depth = 0;
    bool in_string = false, escaped = false;
    for (;; at++) {
        if (at > size_max) return SOURCE_TOO_LONG;
        if (source->begin + at == source->end && !fill(source)) {
            enum source_result why = stopped(source);
            return why == SOURCE_END ? SOURCE_MALFORMED : why;
        }
        char c = source->buffer[source->begin + at];
        if (in_string) {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        if (depth == 0 && (c == ',' || c == ']')) break; /* behind a number, a word, or nothing */
        if (c == '"') in_string = true;
        if (c == '{' || c == '[') depth++;
        if (c == '}' || c == ']') {
            if (depth == 0) return SOURCE_MALFORMED;
            depth--;
        }
    }
    *length = at;
    return at == 0 ? SOURCE_MALFORMED : SOURCE_OK;
}

enum source_result source_array_next(struct source *source, size_t size_max, const char **value,
                                     size_t *size) {
    char expected = source->line == 0 ? '[' : ',';
    char c = next_token(source);
    if (interrupt_pending()) return SOURCE_INTERRUPTED;
    if (c == ']' && source->line > 0) return take(source, 1), SOURCE_END;
    if (c != expected) return source->error != 0 ? SOURCE_ERROR : SOURCE_MALFORMED;
    take(source, 1);
    c = next_token(source);
    if (c == ']' && source->line == 0) return take(source, 1), SOURCE_END;
    source->line++;
    enum source_result result = value_length(source, size_max, size);
    if (result != SOURCE_OK) return result;
    *value = source->buffer + source->begin;
    take(source, *size);
    return SOURCE_OK;
}

enum source_result source_rest(struct source *source, size_t size_max, struct text *bytes) {
    do {
        size_t have = source->end - source->begin;
        if (have > size_max - bytes->size) return SOURCE_TOO_LONG;
        if (have > 0) text_add(bytes, source->buffer + source->begin, have);
        take(source, have);
    } while (fill(source));
    return stopped(source);
}

static void pass_start(struct source *source) {
    if (source->taken == 0) {
        while (source->end - source->begin < 3 && fill(source))
            continue;
        if (source->end - source->begin >= 3 &&
            memcmp(source->buffer + source->begin, "\xEF\xBB\xBF", 3) == 0) {
            take(source, 3);
        }
        while (source->begin < source->end || fill(source)) {
            char c = source->buffer[source->begin];
            if (!is_blank(c) || c == '\n') break;
            take(source, 1);
        }
    }
}

size_t source_peek_line(struct source *source, size_t want, const char **bytes) {
    pass_start(source);
    size_t have = source->end - source->begin;
    while (have < want &&
           (have == 0 || memchr(source->buffer + source->begin, '\n', have) == NULL) &&
           fill(source)) {
        have = source->end - source->begin;
    }
    return source_peek(source, have < want ? have : want, bytes);
}

size_t source_peek(struct source *source, size_t want, const char **bytes) {
    pass_start(source);
    while (source->end - source->begin < want && fill(source))
        continue;
    size_t have = source->end - source->begin;
    *bytes = source->buffer == NULL ? "" : source->buffer + source->begin;
    return have < want ? have : want;
}
