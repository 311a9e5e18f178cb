/* jsonwrite.c - see jsonwrite.h. */
#include "jsonwrite.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "timetext.h"

static void before(struct json_writer *writer) {
    if (writer->comma) text_char(writer->out, ',');
    writer->comma = true;
}

void jw_begin_object(struct json_writer *writer) {
    before(writer);
    text_char(writer->out, '{');
    writer->comma = false;
}

void jw_end_object(struct json_writer *writer) {
    text_char(writer->out, '}');
    writer->comma = true;
}

void jw_begin_array(struct json_writer *writer) {
    before(writer);
    text_char(writer->out, '[');
    writer->comma = false;
}

void jw_end_array(struct json_writer *writer) {
    text_char(writer->out, ']');
    writer->comma = true;
}

void jw_key(struct json_writer *writer, const char *key) {
    jw_cstring(writer, key);
    text_char(writer->out, ':');
    writer->comma = false;
}

void jw_string(struct json_writer *writer, const void *bytes, size_t size) {
    const char *p = bytes;
    before(writer);
    text_char(writer->out, '"');
    size_t run = 0; /* start of the bytes that need no escape */
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        text_add(writer->out, p + run, i - run);
        run = i + 1;
        switch (c) {
        case '"': text_puts(writer->out, "\\\""); break;
        case '\\': text_puts(writer->out, "\\\\"); break;
        case '\n': text_puts(writer->out, "\\n"); break;
        case '\r': text_puts(writer->out, "\\r"); break;
        case '\t': text_puts(writer->out, "\\t"); break;
        case '\b': text_puts(writer->out, "\\b"); break;
        case '\f': text_puts(writer->out, "\\f"); break;
        default: text_printf(writer->out, "\\u%04x", c); break;
        }
    }
    if (size > run) text_add(writer->out, p + run, size - run);
    text_char(writer->out, '"');
}

void jw_cstring(struct json_writer *writer, const char *string) {
    jw_string(writer, string, strlen(string));
}

void jw_int(struct json_writer *writer, int64_t value) {
    before(writer);
    text_printf(writer->out, "%" PRId64, value);
}

void jw_uint(struct json_writer *writer, uint64_t value) {
    before(writer);
    const char *quote = value > INT64_MAX ? "\"" : "";
    text_printf(writer->out, "%s%" PRIu64 "%s", quote, value, quote);
}

void jw_double(struct json_writer *writer, double value) {
    if (!isfinite(value)) {
        jw_null(writer);
        return;
    }
    before(writer);
    char digits[40];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        double back = strtod(digits, NULL);
        if (memcmp(&back, &value, sizeof value) == 0) break;
    }
    text_puts(writer->out, digits);
}

void jw_bool(struct json_writer *writer, bool value) {
    before(writer);
    text_puts(writer->out, value ? "true" : "false");
}

void jw_null(struct json_writer *writer) {
    before(writer);
    text_puts(writer->out, "null");
}

void jw_base64(struct json_writer *writer, const void *bytes, size_t size) {
    before(writer);
    text_char(writer->out, '"');
    base64_encode(writer->out, bytes, size);
    text_char(writer->out, '"');
}

void jw_bytes_member(struct json_writer *writer, const char *key, const void *bytes, size_t size) {
    if (text_is_utf8(bytes, size)) {
        jw_key(writer, key);
        jw_string(writer, bytes, size);
        return;
    }
    struct text longer = {0};
    text_printf(&longer, "%s_b64", key);
    jw_key(writer, text_string(&longer));
    text_free(&longer);
    jw_base64(writer, bytes, size);
}

void jw_string_member(struct json_writer *writer, const char *key, const char *value) {
    jw_bytes_member(writer, key, value, strlen(value));
}

void jw_uint_member(struct json_writer *writer, const char *key, uint64_t value) {
    jw_key(writer, key);
    jw_uint(writer, value);
}

void jw_bool_member(struct json_writer *writer, const char *key, bool value) {
    jw_key(writer, key);
    jw_bool(writer, value);
}

void jw_time_member(struct json_writer *writer, const char *key, int64_t time_us) {
    struct text text = {0};
    time_format(&text, time_us);
    jw_key(writer, key);
    jw_cstring(writer, text_string(&text));
    text_free(&text);
}
