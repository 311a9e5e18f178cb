/*
 * import_parse.h - turns other people's JSON into memories. Every byte here is untrusted.
 *
 * Records (JSON lines, or an array of objects): members are taken by their usual names, or by the
 * rules of --map; what no attribute takes is kept as metadata. Conversations (ChatGPT and Claude
 * exports): one memory a turn, in order, with session, position, role and time.
 */
#ifndef LORE_TOOLS_IMPORT_PARSE_H
#define LORE_TOOLS_IMPORT_PARSE_H

#include <jansson.h>
#include <stdbool.h>

#include "alloc.h"
#include "lore.h"
#include "text.h"

#define IMPORT_LINE_BYTES_MAX         (16u << 20)
#define IMPORT_CONVERSATION_BYTES_MAX (64u << 20)
#define IMPORT_RULES_MAX              32u
#define IMPORT_JOIN_MAX               8u

enum import_format {
    IMPORT_AUTO,
    IMPORT_JSONL,   /* an object a line */
    IMPORT_ARRAY,   /* [object, ...] */
    IMPORT_LOCOMO,  /* lines of conv, id ("D1:3"), date, text ("Speaker: words") */
    IMPORT_CHATGPT, /* conversations.json: trees of messages */
    IMPORT_CLAUDE   /* conversations.json: chat_messages */
};

struct import_rule {
    lore_attribute attribute;
    const char *name; /* a member's name; for sets the value */
};

struct import_rules {
    struct import_rule maps[IMPORT_RULES_MAX]; /* attribute from that member only */
    struct import_rule sets[IMPORT_RULES_MAX]; /* attribute where the record has none */
    size_t maps_count, sets_count;
    const char *id_from[IMPORT_JOIN_MAX]; /* members joined by '/' */
    const char *session_from[IMPORT_JOIN_MAX];
    size_t id_from_count, session_from_count;
};

/* By the first bytes of a file. */
enum import_format import_detect(const char *bytes, size_t size);
bool import_format_find(const char *name, enum import_format *format);
const char *import_format_name(enum import_format format);
static inline bool import_is_chat(enum import_format format) {
    return format == IMPORT_CHATGPT || format == IMPORT_CLAUDE;
}

/* One record (format JSONL, ARRAY or LOCOMO) from its bytes; what the memory points at is in
 * `pool`, in the rules, or static. False with a sentence in `error`. */
bool import_record(const char *bytes, size_t size, enum import_format format,
                   const struct import_rules *rules, struct pool *pool, lore_memory *memory,
                   struct text *error);

/* Where the turns of a conversation go. */
struct import_sink {
    struct pool *(*pool)(void *context);                    /* to build the next turn in */
    bool (*emit)(void *context, const lore_memory *memory); /* false: stop */
    void *context;
};

/* One conversation from its bytes. False with a sentence in `error`, and nothing emitted, when it
 * is malformed. A sink that stops is no failure. */
bool import_conversation(const char *bytes, size_t size, enum import_format format,
                         const struct import_rules *rules, const struct import_sink *sink,
                         struct text *error);

/* Constants of --set, for attributes the memory has not. */
void import_apply_sets(const struct import_rules *rules, struct pool *pool, lore_memory *memory);

#endif
