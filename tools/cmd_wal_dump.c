/* cmd_wal_dump.c - `lore wal-dump`: the records of the log, without opening the store. */
#include "commands.h"
#include "filters.h"
#include "interrupt.h"
#include "output.h"
#include "timetext.h"

#include <inttypes.h>
#include <stdio.h>

struct listing {
    struct cli *cli;
    uint64_t limit, count; /* limit 0: all */
    bool stopped;
    int code;         /* of a line that could not be written */
    struct text json; /* the objects, with commas between */
};

static int print_line(struct listing *listing, const lore_log_record *record) {
    struct text line = {0};
    if (listing->count == 0)
        text_puts(&line, "FILE\tOFFSET\tKIND\tTIME\tSEQUENCE\tENTRIES\tLENGTH\tPROMISED\n");
    text_printf(&line, "%s\t%" PRIu64 "\t%s\t", record->file, record->offset, record->kind);
    time_format(&line, record->time_us);
    text_printf(&line, "\t%" PRIu64 "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu64 "\n",
                record->first_sequence, record->entries, record->length, record->promised);
    int code = print_text(listing->cli, &line);
    text_free(&line);
    return code;
}

static void add_object(struct listing *listing, const lore_log_record *record) {
    struct json_writer writer = {.out = &listing->json, .comma = listing->count > 0};
    jw_begin_object(&writer);
    jw_string_member(&writer, "file", record->file);
    jw_uint_member(&writer, "offset", record->offset);
    jw_string_member(&writer, "kind", record->kind);
    jw_time_member(&writer, "time", record->time_us);
    jw_uint_member(&writer, "first_sequence", record->first_sequence);
    jw_uint_member(&writer, "entries", record->entries);
    jw_uint_member(&writer, "length", record->length);
    jw_uint_member(&writer, "promised", record->promised);
    jw_end_object(&writer);
}

static bool on_record(void *context, const lore_log_record *record) {
    struct listing *listing = context;
    listing->stopped = interrupt_pending();
    if (listing->stopped || (listing->limit > 0 && listing->count == listing->limit)) return false;
    if (listing->cli->json) {
        add_object(listing, record);
    } else {
        listing->code = print_line(listing, record);
    }
    listing->count++;
    return listing->code == 0;
}

int cmd_wal_dump(struct cli *cli) {
    struct listing listing = {.cli = cli};
    lore_options options;
    int code = parse_count_option(cli, "limit", 0, &listing.limit);
    if (code != 0) return code;
    store_options(cli, &options);
    lore_status status = lore_log_dump(memory_path(cli), &options, on_record, &listing);
    struct text document = {0};
    if (cli->json && (status == LORE_OK || listing.count > 0)) {
        text_printf(&document, "{\"records\":[%s],\"count\":%" PRIu64 "}",
                    text_string(&listing.json), listing.count);
        print_json(cli, &document);
    }
    text_free(&listing.json);
    if (status == LORE_OK || listing.code != 0) return listing.code;
    if (listing.stopped)
        return fail_interrupted(cli, "%" PRIu64 " records were listed", listing.count);
    if (status == LORE_CANCELLED) return 0; /* the limit is reached */
    return fail_status(cli, status, "reading the log of %s", memory_path(cli));
}
