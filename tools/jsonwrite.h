/*
 * jsonwrite.h - writes JSON into a text, the same bytes for the same values on every machine.
 *
 * No blanks; strings escape only what JSON demands; numbers are the shortest decimal that reads
 * back as the same double. The caller keeps begin and end in balance and strings in UTF-8
 * (text_is_utf8); jw_bytes_member takes any bytes.
 */
#ifndef LORE_TOOLS_JSONWRITE_H
#define LORE_TOOLS_JSONWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

struct json_writer {
    struct text *out;
    bool comma; /* a value stands before: the next needs a comma */
};

void jw_begin_object(struct json_writer *writer);
void jw_end_object(struct json_writer *writer);
void jw_begin_array(struct json_writer *writer);
void jw_end_array(struct json_writer *writer);
void jw_key(struct json_writer *writer, const char *key);

void jw_string(struct json_writer *writer, const void *bytes, size_t size);
void jw_cstring(struct json_writer *writer, const char *string);
void jw_int(struct json_writer *writer, int64_t value);
/* A number up to INT64_MAX, beyond that a string of digits, since readers stop there. */
void jw_uint(struct json_writer *writer, uint64_t value);
void jw_double(struct json_writer *writer, double value); /* null when not finite */
void jw_bool(struct json_writer *writer, bool value);
void jw_null(struct json_writer *writer);

/* "key": "text", or "key_b64": "base64" when the bytes are not UTF-8 or hold U+0000. */
void jw_bytes_member(struct json_writer *writer, const char *key, const void *bytes, size_t size);
void jw_base64(struct json_writer *writer, const void *bytes, size_t size);
/* "key": value, in one call. */
void jw_string_member(struct json_writer *writer, const char *key, const char *value);
void jw_uint_member(struct json_writer *writer, const char *key, uint64_t value);
void jw_bool_member(struct json_writer *writer, const char *key, bool value);
void jw_time_member(struct json_writer *writer, const char *key, int64_t time_us);

#endif
