/* export.c - see export.h. */
#include "export.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "jsonwrite.h"
#include "spaces.h"
#include "timetext.h"

#define NPY_HEADER_BYTES 128

/* Each memory of the store, by id. */
typedef int (*memory_fn)(void *context, const lore_memory *memory);

static int each_memory(struct cli *cli, lore_store *store, unsigned flags,
                       struct progress *progress, memory_fn callback, void *context) {
    lore_memory_iter *iter;
    flags |= LORE_READ_NO_ACCESS | LORE_READ_EXPIRED;
    lore_status status = lore_memory_iter_create(store, NULL, flags, &iter);
    if (status != LORE_OK) return fail_status(cli, status, "reading memories");
    int code = 0;
    for (uint64_t done = 1; code == 0; done++) {
        lore_record *record = NULL;
        status = lore_memory_iter_next(iter, &record);
        if (status != LORE_OK) code = fail_status(cli, status, "reading memories");
        if (status != LORE_OK || record == NULL) break;
        code = callback(context, lore_record_memory(record));
        lore_record_destroy(record);
        if (code == 0 && !progress_step(progress, "dump", done, 0))
            code = fail_interrupted(cli, "%" PRIu64 " memories had been read", done);
    }
    lore_memory_iter_destroy(iter);
    return code;
}

struct csv {
    struct cli *cli;
    FILE *out;
    struct text line;
};

static void csv_field(struct csv *csv, const void *bytes, size_t size) {
    const char *p = bytes;
    if (csv->line.size > 0) text_char(&csv->line, ',');
    bool quoted = false;
    for (size_t i = 0; i < size && !quoted; i++)
        quoted = p[i] != 0 && strchr(",\"\r\n", p[i]) != NULL;
    if (!quoted) {
        text_add(&csv->line, bytes, size);
        return;
    }
    text_char(&csv->line, '"');
    for (size_t i = 0; i < size; i++) {
        if (p[i] == '"') text_char(&csv->line, '"');
        text_char(&csv->line, p[i]);
    }
    text_char(&csv->line, '"');
}

static void csv_slice(struct csv *csv, lore_slice slice) {
    csv_field(csv, slice.data, slice.size);
}

static void csv_time(struct csv *csv, int64_t time_us) {
    struct text text = {0};
    if (time_us != 0) time_format(&text, time_us);
    csv_field(csv, text_string(&text), text.size);
    text_free(&text);
}

static void csv_tags(struct csv *csv, const lore_memory *memory) {
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    if (memory->tags_count > 0) {
        jw_begin_array(&writer);
        for (size_t i = 0; i < memory->tags_count; i++) {
            jw_string(&writer, memory->tags[i].data, memory->tags[i].size);
        }
        jw_end_array(&writer);
    }
    csv_field(csv, text_string(&text), text.size);
    text_free(&text);
}

static int csv_memory(void *context, const lore_memory *memory) {
    struct csv *csv = context;
    char digits[32];
    struct text importance = {0};
    struct json_writer writer = {.out = &importance};
    text_clear(&csv->line);
    csv_slice(csv, memory->id);
    csv_slice(csv, memory->text);
    csv_slice(csv, memory->kind);
    csv_slice(csv, memory->layer);
    csv_slice(csv, memory->tier);
    csv_slice(csv, memory->status);
    jw_double(&writer, memory->importance_score);
    csv_field(csv, text_string(&importance), importance.size);
    text_free(&importance);
    csv_time(csv, memory->created_at_us);
    csv_time(csv, memory->updated_at_us);
    csv_time(csv, memory->last_accessed_at_us);
    csv_time(csv, memory->expires_at_us);
    csv_field(csv, digits,
              (size_t)snprintf(digits, sizeof digits, "%" PRIu64, memory->access_count));
    csv_slice(csv, memory->user_id);
    csv_slice(csv, memory->agent_id);
    csv_slice(csv, memory->session_id);
    csv_field(csv, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, memory->position));
    csv_slice(csv, memory->role);
    csv_tags(csv, memory);
    csv_slice(csv, memory->metadata);
    text_puts(&csv->line, "\r\n");
    size_t written = fwrite(csv->line.data, 1, csv->line.size, csv->out);
    return written == csv->line.size ? 0 : fail_errno(csv->cli, "cannot write the CSV");
}

int export_csv(struct cli *cli, lore_store *store, FILE *out, struct progress *progress) {
    struct csv csv = {.cli = cli, .out = out};
    static const char header[] =
        "id,text,kind,layer,tier,status,importance_score,created_at,updated_at,last_accessed_at,"
        "expires_at,access_count,user_id,agent_id,session_id,position,role,tags,metadata\r\n";
    if (fputs(header, out) < 0) return fail_errno(cli, "cannot write the CSV");
    int code = each_memory(cli, store, 0, progress, csv_memory, &csv);
    text_free(&csv.line);
    return code;
}

struct npy {
    struct cli *cli;
    FILE *out;
    const struct space *space;
    uint64_t rows;
};

static int npy_memory(void *context, const lore_memory *memory) {
    struct npy *npy = context;
    size_t name = strlen(npy->space->name);
    for (size_t i = 0; i < memory->embeddings_count; i++) {
        const lore_embedding *embedding = &memory->embeddings[i];
        if (embedding->space.size != name ||
            memcmp(embedding->space.data, npy->space->name, name) != 0) {
            continue;
        }
        npy->rows++;
        size_t written = fwrite(embedding->data.data, 1, embedding->data.size, npy->out);
        if (written != embedding->data.size)
            return fail_errno(npy->cli, "cannot write the vectors");
    }
    return 0;
}

static int npy_header(struct npy *npy) {
    static const char *const types[] = {NULL, "<f4", "<f2", "|i1", "|u1"};
    const lore_space_spec *spec = &npy->space->spec;
    uint32_t width = spec->element == LORE_ELEMENT_BINARY ? spec->dimensions / 8 : spec->dimensions;
    char header[NPY_HEADER_BYTES + 1];
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = NPY_HEADER_BYTES - 10;
    header[9] = 0;
    int size =
        snprintf(header + 10, sizeof header - 10,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRIu64 ", %" PRIu32 "), }",
                 types[spec->element], npy->rows, width);
    header[10 + size] = ' ';
    header[NPY_HEADER_BYTES - 1] = '\n';
    bool fine = fwrite(header, 1, NPY_HEADER_BYTES, npy->out) == NPY_HEADER_BYTES;
    return fine ? 0 : fail_errno(npy->cli, "cannot write the vectors");
}

int export_npy(struct cli *cli, lore_store *store, const char *name, FILE *out,
               struct progress *progress) {
    struct space_list spaces;
    lore_status status = space_list_read(store, &spaces);
    if (status != LORE_OK) return fail_status(cli, status, "reading the store's spaces");
    struct npy npy = {.cli = cli, .out = out, .space = space_list_find(&spaces, name)};
    int code;
    if (npy.space == NULL) {
        code = fail_no_space(cli, name);
    } else {
        code = npy_header(&npy);
        if (code == 0)
            code = each_memory(cli, store, LORE_READ_EMBEDDINGS, progress, npy_memory, &npy);
        if (code == 0 && fseek(out, 0, SEEK_SET) != 0)
            code = fail_errno(cli, "cannot rewrite the header");
        if (code == 0) code = npy_header(&npy);
    }
    space_list_free(&spaces);
    return code;
}
