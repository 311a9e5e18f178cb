/* findings.c - see findings.h. */
#include "findings.h"

#include <inttypes.h>

void findings_begin(struct findings *findings) {
    *findings = (struct findings){0};
    table_begin(&findings->table, 4);
}

static void key_member(struct json_writer *writer, const char *name, lore_slice key) {
    if (key.size == 0) return;
    struct text hex = {0};
    hex_format(&hex, key.data, key.size);
    jw_string_member(writer, name, text_string(&hex));
    text_free(&hex);
}

/* "keys 00000001 6162 to 00000001 6163": keyspace and key in hex. */
static void add_key_range(struct text *text, const lore_finding *finding) {
    if (finding->first_key.size == 0 && finding->last_key.size == 0) return;
    text_puts(text, "; keys ");
    hex_format(text, finding->first_key.data, finding->first_key.size);
    text_puts(text, " to ");
    hex_format(text, finding->last_key.data, finding->last_key.size);
}

void findings_add(void *context, const lore_finding *finding) {
    struct findings *findings = context;
    bool damage = finding->status != LORE_OK;
    *(damage ? &findings->damaged : &findings->warnings) += 1;
    if (findings->damaged + findings->warnings > FINDINGS_SHOWN_MAX) return;
    struct text place = {0}, message = {0};
    text_puts(&place, finding->file == NULL ? "" : finding->file);
    if (finding->offset != UINT64_MAX) text_printf(&place, " at %" PRIu64, finding->offset);
    text_puts(&message, finding->message);
    add_key_range(&message, finding);
    table_cell(&findings->table, damage ? "damaged" : "warning");
    table_cell(&findings->table, finding->kind);
    table_bytes(&findings->table, text_string(&place), place.size);
    table_bytes(&findings->table, text_string(&message), message.size);
    text_free(&place);
    text_free(&message);
    struct json_writer writer = {.out = &findings->json, .comma = findings->json.size > 0};
    jw_begin_object(&writer);
    jw_string_member(&writer, "code", lore_status_name(finding->status));
    jw_string_member(&writer, "kind", finding->kind);
    if (finding->file != NULL) jw_string_member(&writer, "file", finding->file);
    if (finding->offset != UINT64_MAX) jw_uint_member(&writer, "offset", finding->offset);
    key_member(&writer, "first_key_hex", finding->first_key);
    key_member(&writer, "last_key_hex", finding->last_key);
    jw_string_member(&writer, "message", finding->message);
    jw_end_object(&writer);
}

void findings_note(struct findings *findings, bool damage, const char *kind, const char *file,
                   const char *message) {
    lore_finding finding = {.status = damage ? LORE_CORRUPTION : LORE_OK,
                            .kind = kind,
                            .file = file,
                            .offset = UINT64_MAX,
                            .message = message};
    findings_add(findings, &finding);
}

void findings_free(struct findings *findings) {
    table_free(&findings->table);
    text_free(&findings->json);
    *findings = (struct findings){0};
}
