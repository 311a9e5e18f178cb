/*
 * cmd_salvage.c - `lore salvage --to DIR`: what can be read of a damaged store into a new one; what
 * is in doubt as a dump beside it, each line with the reason as its member "suspect"; what is
 * missing as a report.
 *
 * The suspects' lines are gathered in DIR-suspect.jsonl.body, since the dump's header wants the
 * spaces, which the new store tells in the end.
 */
#include "commands.h"
#include "fs.h"
#include "jsonwrite.h"
#include "output.h"
#include "progress.h"
#include "record_json.h"
#include "sha256.h"
#include "spaces.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define LOSSES_SHOWN_MAX 20u

struct salvaging {
    struct cli *cli;
    struct text to, suspect_path, body_path, report_path;
    FILE *body;                 /* NULL: no suspect yet */
    uint64_t memories, entries; /* among the suspects */
    struct sha256 sha;
    struct text line;
    struct text missing, harmless; /* JSON, the elements of two arrays */
    struct json_writer missing_writer, harmless_writer;
    struct table table;
    uint64_t shown;
    struct progress progress;
    lore_salvage_report report;
};

/* ---- what is missing ---- */

static uint64_t number_at(const uint8_t *bytes, size_t size) {
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | bytes[i];
    return number;
}

/* A key of the engine in words: docs/format.md, section 11. */
static void key_in_words(struct text *out, lore_slice key) {
    const uint8_t *bytes = key.data;
    uint64_t keyspace = key.size < 4 ? 0 : number_at(bytes, 4);
    lore_slice rest = key.size < 4 ? key : (lore_slice){bytes + 4, key.size - 4};
    bytes = rest.data;
    if (keyspace == 0xF0000010u || keyspace == 0xF0000014u) {
        text_puts(out, keyspace == 0xF0000010u ? "id " : "access counts of ");
        text_add_printable(out, rest.data, rest.size, true, 60);
    } else if (keyspace == 0xF0000011u && rest.size >= 8) {
        text_printf(out, "row %" PRIu64, number_at(bytes, 8));
    } else if (keyspace == 0xF0000001u && rest.size >= 12) {
        text_printf(out, "embedding of row %" PRIu64 " in space number %" PRIu64,
                    number_at(bytes + 4, 8), number_at(bytes, 4));
    } else if (keyspace >= LORE_KEYSPACE_RESERVED) {
        text_puts(out, "index");
    } else {
        text_printf(out, "keyspace %" PRIu64 " key ", keyspace);
        text_add_printable(out, rest.data, rest.size, true, 60);
    }
}

static void key_member(struct json_writer *writer, const char *name, lore_slice key) {
    struct text text = {0};
    jw_key(writer, name);
    jw_begin_object(writer);
    key_in_words(&text, key);
    jw_string_member(writer, "words", text_string(&text));
    text_clear(&text);
    hex_format(&text, key.data, key.size);
    jw_string_member(writer, "hex", text_string(&text));
    jw_end_object(writer);
    text_free(&text);
}

static void loss_as_json(struct json_writer *writer, const lore_loss *loss) {
    jw_begin_object(writer);
    jw_string_member(writer, "kind", loss->kind);
    if (loss->file != NULL) jw_bytes_member(writer, "file", loss->file, strlen(loss->file));
    if (loss->offset != UINT64_MAX) jw_uint_member(writer, "offset", loss->offset);
    if (loss->first_key.size > 0) key_member(writer, "first_key", loss->first_key);
    if (loss->last_key.size > 0) key_member(writer, "last_key", loss->last_key);
    if (loss->last_sequence > 0) {
        jw_uint_member(writer, "first_sequence", loss->first_sequence);
        jw_key(writer, "last_sequence");
        if (loss->last_sequence == UINT64_MAX)
            jw_null(writer);
        else
            jw_uint(writer, loss->last_sequence);
    }
    if (loss->id.size > 0) jw_bytes_member(writer, "id", loss->id.data, loss->id.size);
    if (loss->space != NULL) jw_bytes_member(writer, "space", loss->space, strlen(loss->space));
    jw_bytes_member(writer, "message", loss->message, strlen(loss->message));
    jw_end_object(writer);
}

static void show_loss(struct salvaging *salvaging, const lore_loss *loss) {
    struct text what = {0};
    if (salvaging->shown++ >= LOSSES_SHOWN_MAX) return;
    table_cell(&salvaging->table, loss->kind);
    table_cell(&salvaging->table, loss->file == NULL ? "" : loss->file);
    if (loss->id.size > 0) text_add_printable(&what, loss->id.data, loss->id.size, true, 60);
    if (loss->first_key.size > 0) {
        key_in_words(&what, loss->first_key);
        text_puts(&what, " to ");
        key_in_words(&what, loss->last_key);
    }
    if (loss->last_sequence == UINT64_MAX)
        text_printf(&what, "all sequence numbers from %" PRIu64, loss->first_sequence);
    else if (loss->last_sequence > 0 && loss->first_key.size == 0)
        text_printf(&what, "sequence numbers %" PRIu64 " to %" PRIu64, loss->first_sequence,
                    loss->last_sequence);
    table_bytes(&salvaging->table, text_string(&what), what.size);
    table_bytes(&salvaging->table, loss->message, strlen(loss->message));
    text_free(&what);
}

static void on_loss(void *context, const lore_loss *loss) {
    struct salvaging *salvaging = context;
    loss_as_json(loss->harmless ? &salvaging->harmless_writer : &salvaging->missing_writer, loss);
    if (!loss->harmless) show_loss(salvaging, loss);
}

/* ---- suspects ---- */

static lore_status cannot_write(struct salvaging *salvaging, const char *path) {
    bool full = errno == ENOSPC || errno == EDQUOT;
    fail_errno(salvaging->cli, "cannot write %s", path);
    return full ? LORE_FULL : LORE_IO;
}

static lore_status on_suspect(void *context, const lore_suspect *suspect) {
    struct salvaging *salvaging = context;
    struct json_writer writer = {.out = &salvaging->line};
    const char *path = text_string(&salvaging->body_path);
    if (salvaging->body == NULL) {
        salvaging->body = fopen(path, "wb+");
        if (salvaging->body == NULL) return cannot_write(salvaging, path);
    }
    text_clear(&salvaging->line);
    jw_begin_object(&writer);
    if (suspect->memory != NULL) {
        salvaging->memories++;
        jw_string_member(&writer, "type", "memory");
        record_write(&writer, suspect->memory);
    } else {
        salvaging->entries++;
        jw_string_member(&writer, "type", "entry");
        jw_uint_member(&writer, "keyspace", suspect->keyspace);
        jw_key(&writer, "key");
        jw_base64(&writer, suspect->key.data, suspect->key.size);
        jw_key(&writer, "value");
        jw_base64(&writer, suspect->value.data, suspect->value.size);
    }
    jw_bytes_member(&writer, "suspect", suspect->reason, strlen(suspect->reason));
    jw_end_object(&writer);
    text_char(&salvaging->line, '\n');
    const struct text *line = &salvaging->line;
    sha256_add(&salvaging->sha, line->data, line->size);
    if (fwrite(line->data, 1, line->size, salvaging->body) == line->size) return LORE_OK;
    return cannot_write(salvaging, path);
}

static bool on_progress(void *context, const lore_progress *update) {
    struct salvaging *salvaging = context;
    return progress_update(&salvaging->progress, update);
}

/* ---- files ---- */

/* Write `head`, the rest of `body` (may be NULL) and `tail` to PATH.tmp, sync, rename. */
static int write_file(struct cli *cli, const char *path, const struct text *head, FILE *body,
                      const struct text *tail) {
    struct text temporary = {0};
    char chunk[65536];
    text_printf(&temporary, "%s.tmp", path);
    FILE *file = fopen(temporary.data, "wb");
    bool fine = file != NULL;
    if (fine) fine = fwrite(text_string(head), 1, head->size, file) == head->size;
    for (size_t got = 1; fine && body != NULL && got > 0;) {
        got = fread(chunk, 1, sizeof chunk, body);
        fine = !ferror(body) && fwrite(chunk, 1, got, file) == got;
    }
    if (fine) fine = fwrite(text_string(tail), 1, tail->size, file) == tail->size;
    if (fine) fine = fflush(file) == 0 && fsync(fileno(file)) == 0;
    int code = fine ? 0 : fail_errno(cli, "cannot write %s", path);
    if (file != NULL) fclose(file);
    if (fine && rename(temporary.data, path) != 0)
        code = fail_errno(cli, "cannot rename to %s", path);
    if (code != 0) unlink(temporary.data);
    text_free(&temporary);
    return code;
}

static int dump_head(struct salvaging *salvaging, struct text *head) {
    struct cli *cli = salvaging->cli;
    struct space_list spaces = {0};
    lore_store *store;
    int code = store_open_path(cli, text_string(&salvaging->to), OPEN_READ, &store);
    if (code != 0) return code;
    lore_status status = space_list_read(store, &spaces);
    if (status != LORE_OK) code = fail_status(cli, status, "reading the spaces");
    struct json_writer writer = {.out = head};
    jw_begin_object(&writer);
    jw_uint_member(&writer, "lore_dump", 1);
    jw_key(&writer, "spaces");
    jw_begin_array(&writer);
    for (size_t i = 0; i < spaces.count; i++)
        space_as_json(&writer, spaces.spaces[i]);
    jw_end_array(&writer);
    jw_end_object(&writer);
    text_char(head, '\n');
    space_list_free(&spaces);
    return store_close(cli, store, code);
}

static int write_suspects(struct salvaging *salvaging) {
    if (salvaging->body == NULL) return 0;
    struct text head = {0}, tail = {0};
    char digest[SHA256_TEXT_BYTES];
    struct json_writer writer = {.out = &tail};
    sha256_end(&salvaging->sha, digest);
    jw_begin_object(&writer);
    jw_string_member(&writer, "type", "trailer");
    jw_uint_member(&writer, "records", salvaging->memories);
    jw_uint_member(&writer, "entries", salvaging->entries);
    jw_string_member(&writer, "digest", digest);
    jw_end_object(&writer);
    text_char(&tail, '\n');
    int code = dump_head(salvaging, &head);
    if (code == 0 && fseek(salvaging->body, 0, SEEK_SET) != 0)
        code = fail_errno(salvaging->cli, "cannot read %s", text_string(&salvaging->body_path));
    if (code == 0)
        code = write_file(salvaging->cli, text_string(&salvaging->suspect_path), &head,
                          salvaging->body, &tail);
    text_free(&head);
    text_free(&tail);
    return code;
}

static void make_report(struct salvaging *salvaging, struct text *out) {
    const lore_salvage_report *report = &salvaging->report;
    struct json_writer writer = {.out = out};
    jw_begin_object(&writer);
    jw_string_member(&writer, "path", memory_path(salvaging->cli));
    jw_string_member(&writer, "to", text_string(&salvaging->to));
    if (report->suspects > 0)
        jw_string_member(&writer, "suspect_file", text_string(&salvaging->suspect_path));
    jw_bool_member(&writer, "ok", report->losses == 0 && report->suspects == 0);
    jw_uint_member(&writer, "memories", report->memories);
    jw_uint_member(&writer, "entries", report->entries);
    jw_uint_member(&writer, "suspect_memories", salvaging->memories);
    jw_uint_member(&writer, "suspect_entries", salvaging->entries);
    jw_uint_member(&writer, "memories_lost", report->memories_lost);
    jw_uint_member(&writer, "losses", report->losses);
    jw_uint_member(&writer, "files", report->files);
    jw_uint_member(&writer, "bytes", report->bytes);
    text_printf(out, ",\"missing\":[%s],\"harmless\":[%s]", text_string(&salvaging->missing),
                text_string(&salvaging->harmless));
    jw_end_object(&writer);
}

/* ---- the verb ---- */

static int answer(struct salvaging *salvaging) {
    struct cli *cli = salvaging->cli;
    const lore_salvage_report *report = &salvaging->report;
    const char *to = text_string(&salvaging->to), *path = text_string(&salvaging->report_path);
    struct text document = {0}, newline = {0};
    make_report(salvaging, &document);
    text_char(&newline, '\n');
    int code = write_file(cli, path, &document, NULL, &newline);
    text_free(&newline);
    if (code == 0 && cli->json) code = print_json(cli, &document);
    text_free(&document);
    if (code != 0) return code;
    if (!cli->json && report->losses > 0) {
        static const char *const header[] = {"KIND", "FILE", "WHAT", "WHY"};
        code = table_end(&salvaging->table, cli, header);
        if (report->losses > LOSSES_SHOWN_MAX)
            note(cli, 0, "... and %" PRIu64 " more", report->losses - LOSSES_SHOWN_MAX);
    }
    note(cli, 0, "%s: %" PRIu64 " memories and %" PRIu64 " entries, every one as it was", to,
         report->memories, report->entries);
    if (salvaging->memories + salvaging->entries > 0)
        note(cli, 0, "%s: %" PRIu64 " memories and %" PRIu64 " entries in doubt, with the reason",
             text_string(&salvaging->suspect_path), salvaging->memories, salvaging->entries);
    note(cli, 0, "%s: the report", path);
    if (code != 0 || (report->losses == 0 && report->suspects == 0)) return code;
    fail_with(cli, EXIT_PARTIAL, LORE_CORRUPTION,
              "not everything came through: %" PRIu64 " records are in doubt, %" PRIu64
              " memories lost, %" PRIu64 " losses in all",
              report->suspects, report->memories_lost, report->losses);
    if (report->suspects > 0)
        return fail_next(cli,
                         "lore load --merge %s --memory-path %s   (after looking through it: older "
                         "and deleted records may be in it)",
                         quoted(cli, text_string(&salvaging->suspect_path)), quoted(cli, to));
    return fail_next(cli, "lore status --memory-path %s   (and read %s)", quoted(cli, to),
                     quoted(cli, path));
}

static int check_free(struct cli *cli, const struct text *path) {
    if (!path_exists(text_string(path))) return 0;
    fail_with(cli, EXIT_FAILED, LORE_EXISTS, "%s is there already", text_string(path));
    return fail_next(cli, "lore salvage --to ANOTHER, or move that file away");
}

static int prepare(struct salvaging *salvaging) {
    struct cli *cli = salvaging->cli;
    const char *to = args_value(&cli->args, "to"), *report = args_value(&cli->args, "report");
    if (to == NULL) return fail_usage(cli, "salvage needs --to DIR");
    text_puts(&salvaging->to, to);
    while (salvaging->to.size > 1 && salvaging->to.data[salvaging->to.size - 1] == '/')
        salvaging->to.data[--salvaging->to.size] = '\0';
    to = text_string(&salvaging->to);
    text_printf(&salvaging->suspect_path, "%s-suspect.jsonl", to);
    text_printf(&salvaging->body_path, "%s-suspect.jsonl.body", to);
    if (report != NULL)
        text_puts(&salvaging->report_path, report);
    else
        text_printf(&salvaging->report_path, "%s-salvage.json", to);
    int code = need_parent(cli, to);
    if (code == 0) code = check_free(cli, &salvaging->suspect_path);
    if (code == 0) code = check_free(cli, &salvaging->report_path);
    return code;
}

static int run(struct salvaging *salvaging) {
    struct cli *cli = salvaging->cli;
    lore_options options;
    lore_salvage_calls calls;
    store_options(cli, &options);
    lore_salvage_calls_init(&calls);
    calls.loss = on_loss;
    calls.suspect = on_suspect;
    calls.progress = on_progress;
    calls.context = salvaging;
    progress_begin(&salvaging->progress, cli, "records");
    lore_status status = lore_salvage(memory_path(cli), text_string(&salvaging->to), &options,
                                      &calls, &salvaging->report);
    progress_end(&salvaging->progress);
    if (status == LORE_OK) return 0;
    if (cli->failure.exit_code != 0) return cli->failure.exit_code; /* a suspect's file */
    return fail_status(cli, status, "salvaging %s", memory_path(cli));
}

int cmd_salvage(struct cli *cli) {
    struct salvaging salvaging = {.cli = cli};
    salvaging.missing_writer.out = &salvaging.missing;
    salvaging.harmless_writer.out = &salvaging.harmless;
    sha256_begin(&salvaging.sha);
    table_begin(&salvaging.table, 4);
    int code = prepare(&salvaging);
    if (code == 0) code = run(&salvaging);
    if (code == 0) code = write_suspects(&salvaging);
    if (code == 0) code = answer(&salvaging);
    if (salvaging.body != NULL) {
        fclose(salvaging.body);
        unlink(text_string(&salvaging.body_path));
    }
    table_free(&salvaging.table);
    struct text *texts[] = {&salvaging.to,          &salvaging.suspect_path, &salvaging.body_path,
                            &salvaging.report_path, &salvaging.line,         &salvaging.missing,
                            &salvaging.harmless};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        text_free(texts[i]);
    return code;
}
