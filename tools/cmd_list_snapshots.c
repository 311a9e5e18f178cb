/* cmd_list_snapshots.c - `lore list-snapshots`: backups in the backup directory, and the store's
 * own named snapshots. */
#include "backups.h"
#include "commands.h"
#include "output.h"
#include "sizetext.h"
#include "timetext.h"

#include <inttypes.h>
#include <string.h>

struct listing {
    struct cli *cli;
    struct table table;
    struct text json;
    struct json_writer writer;
    size_t count;
};

static void add_backup(struct listing *listing, const struct backup *backup, bool last_good) {
    const struct manifest *manifest = &backup->manifest;
    struct json_writer *writer = &listing->writer;
    struct text size = {0};
    listing->count++;
    jw_begin_object(writer);
    jw_string_member(writer, "name", backup->name);
    jw_string_member(writer, "path", backup->path);
    jw_bool_member(writer, "whole", backup->readable);
    if (backup->readable) {
        jw_time_member(writer, "time", manifest->time_us);
        jw_string_member(writer, "label", manifest->label);
        jw_uint_member(writer, "sequence", manifest->sequence);
        jw_uint_member(writer, "records", manifest->records);
        jw_uint_member(writer, "bytes", manifest->bytes);
        jw_bool_member(writer, "linked", manifest->linked);
        jw_bool_member(writer, "last_good", last_good);
        jw_string_member(writer, "content_digest", manifest->content_digest);
    } else {
        jw_string_member(writer, "error", text_string(&backup->error));
    }
    jw_end_object(writer);
    table_bytes(&listing->table, backup->name, strlen(backup->name));
    if (!backup->readable) {
        for (int i = 0; i < 3; i++)
            table_cell(&listing->table, "-");
        table_cell(&listing->table, text_string(&backup->error));
        return;
    }
    size_format(&size, manifest->bytes);
    table_time(&listing->table, manifest->time_us);
    table_uint(&listing->table, manifest->records);
    table_cell(&listing->table, text_string(&size));
    table_cell(&listing->table, manifest->linked ? "linked: shares its bytes with the store"
                                : last_good      ? "last good"
                                                 : "backup");
    text_free(&size);
}

static bool on_snapshot(void *context, const lore_snapshot_info *info) {
    struct listing *listing = context;
    struct json_writer *writer = &listing->writer;
    listing->count++;
    jw_begin_object(writer);
    jw_bytes_member(writer, "name", info->name.data, info->name.size);
    jw_time_member(writer, "time", info->time_us);
    jw_time_member(writer, "created_at", info->created_at_us);
    jw_uint_member(writer, "sequence", info->sequence);
    jw_end_object(writer);
    table_bytes(&listing->table, info->name.data, info->name.size);
    table_time(&listing->table, info->created_at_us);
    table_cell(&listing->table, "-");
    table_cell(&listing->table, "-");
    table_cell(&listing->table, "snapshot inside the store");
    return true;
}

int cmd_list_snapshots(struct cli *cli) {
    static const char *const header[] = {"NAME", "TIME", "RECORDS", "SIZE", "WHAT"};
    struct backup_list list;
    int code = backups_read(cli, backup_directory(cli), &list);
    if (code != 0) return code;
    struct listing listing = {.cli = cli};
    listing.writer.out = &listing.json;
    table_begin(&listing.table, 5);
    jw_begin_object(&listing.writer);
    jw_string_member(&listing.writer, "backup_path", backup_directory(cli));
    jw_key(&listing.writer, "backups");
    jw_begin_array(&listing.writer);
    const struct backup *latest = backups_latest(&list);
    for (size_t i = 0; i < list.count; i++) {
        add_backup(&listing, &list.backups[i], latest == &list.backups[i]);
    }
    jw_end_array(&listing.writer);
    jw_key(&listing.writer, "snapshots");
    jw_begin_array(&listing.writer);
    if (path_is_store(memory_path(cli))) {
        lore_store *store;
        code = store_open(cli, OPEN_READ, &store);
        if (code == 0) {
            lore_status status = lore_snapshot_list(store, on_snapshot, &listing);
            if (status != LORE_OK) code = fail_status(cli, status, "listing snapshots");
            code = store_close(cli, store, code);
        }
    }
    jw_end_array(&listing.writer);
    jw_end_object(&listing.writer);
    bool print = !cli->json && code == 0;
    if (print && listing.count == 0) note(cli, 0, "no backups in %s", backup_directory(cli));
    if (!print) {
        table_free(&listing.table);
    } else {
        table_end(&listing.table, cli, listing.count == 0 ? NULL : header);
    }
    if (cli->json && code == 0) code = print_json(cli, &listing.json);
    text_free(&listing.json);
    backups_free(&list);
    return code;
}
