/*
 * dump_read.h - reads what dump_write.h writes, trusting nothing: every line is bounded, every
 * member is checked, and count and digest of the trailer must agree. A file that ends before its
 * trailer is recognised as cut.
 */
#ifndef LORE_TOOLS_DUMP_READ_H
#define LORE_TOOLS_DUMP_READ_H

#include <stdbool.h>

#include "alloc.h"
#include "lore.h"
#include "sha256.h"
#include "source.h"
#include "spaces.h"

#define DUMP_LINE_BYTES_MIN (64u << 20) /* lines up to this are always read */
#define DUMP_SPACES_MAX     4096u

struct dump_reader {
    struct source *source; /* the caller's */
    size_t line_bytes_max;
    struct space_list spaces; /* of the header; owned */
    struct sha256 sha;
    uint64_t records, entries;      /* read so far */
    char digest[SHA256_TEXT_BYTES]; /* after DUMP_END */
    struct text error;              /* after DUMP_DAMAGED: a sentence with the line; owned */
};

enum dump_result {
    DUMP_MEMORY,
    DUMP_ENTRY,
    DUMP_END,     /* count and digest are right, nothing follows */
    DUMP_DAMAGED, /* cut or malformed */
    DUMP_STOPPED, /* interrupted, or the source failed: see source->error */
    DUMP_FINE     /* dump_read_begin */
};

struct dump_item {
    lore_memory memory;     /* DUMP_MEMORY */
    lore_keyspace keyspace; /* DUMP_ENTRY */
    lore_slice key, value;
};

/* Reads the header. */
enum dump_result dump_read_begin(struct dump_reader *reader, struct source *source,
                                 size_t line_bytes_max);
/* What the item points at is in `pool`. */
enum dump_result dump_read_next(struct dump_reader *reader, struct pool *pool,
                                struct dump_item *item);
void dump_read_end(struct dump_reader *reader);

/* Whether these first bytes of a file look like a dump. */
bool dump_recognised(const char *bytes, size_t size);

#endif
