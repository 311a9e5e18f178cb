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
};

static void print_line(struct listing *listing, const lore_log_record *record) {
    struct text line = {0};
    text_printf(&line, "%s\t%" PRIu64 "\t%s\t", record->file, record->offset, record->kind);
    time_format(&line, record->time_us);
    text_printf(&line, "\t%" PRIu64 "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu64 "\n",
                record->first_sequence, record->entries, record->length, record->promised);
    if (listing->count == 0) puts("FILE\tOFFSET\tKIND\tTIME\tSEQUENCE\tENTRIES\tLENGTH\tPROMISED");
    fputs(line.data, stdout);
    text_free(&line);
}

static void print_object(struct listing *listing, const lore_log_record *record) {
    struct text line = {0};
    struct json_writer writer = {.out = &line, .comma = listing->count > 0};
    if (listing->count == 0) fputs("{\"records\":[", stdout);
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
    fputs(line.data, stdout);
    text_free(&line);
}

static bool on_record(void *context, const lore_log_record *record) {
    struct listing *listing = context;
    listing->stopped = interrupt_pending();
    if (listing->stopped || (listing->limit > 0 && listing->count == listing->limit)) return false;
    if (listing->cli->json) {
        print_object(listing, record);
    } else {
        print_line(listing, record);
    }
    listing->count++;
    return true;
}

int cmd_wal_dump(struct cli *cli) {
    struct listing listing = {.cli = cli};
    lore_options options;
    int code = parse_count_option(cli, "limit", 0, &listing.limit);
    if (code != 0) return code;
    store_options(cli, &options);
    lore_status status = lore_log_dump(memory_path(cli), &options, on_record, &listing);
    bool none = listing.count == 0 && (status == LORE_OK || status == LORE_CANCELLED);
    if (cli->json && none) fputs("{\"records\":[", stdout);
    if (cli->json && (none || listing.count > 0)) {
        printf("],\"count\":%" PRIu64 "}\n", listing.count);
    }
    if (status != LORE_OK && status != LORE_CANCELLED) {
        return fail_status(cli, status, "reading the log of %s", memory_path(cli));
    }
    if (listing.stopped) return fail_interrupted(cli);
    return print_done(cli);
}
