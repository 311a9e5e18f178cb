/* cmd_list_snapshots.c - `lore list-snapshots`: backups in the backup directory, the generations in
 * the store's directory, and the store's own named snapshots. For these the store must open; the
 * others are listed even where it does not, for then they are what is left. */
#include "backups.h"
#include "commands.h"
#include "fs.h"
#include "output.h"
#include "sizetext.h"
#include "timetext.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

struct listing {
    struct cli *cli;
    struct table table;
    struct text json;
    struct json_writer writer;
    size_t count;
};

static void add_row(struct listing *listing, const char *name, size_t name_size, int64_t time_us,
                    const char *what) {
    listing->count++;
    table_bytes(&listing->table, name, name_size);
    table_time(&listing->table, time_us);
    table_cell(&listing->table, "-");
    table_cell(&listing->table, "-");
    table_cell(&listing->table, what);
}

static void add_whole(struct listing *listing, const struct backup *backup, bool last_good) {
    const struct manifest *manifest = &backup->manifest;
    struct json_writer *writer = &listing->writer;
    struct text size = {0};
    jw_time_member(writer, "time", manifest->time_us);
    jw_string_member(writer, "label", manifest->label);
    jw_uint_member(writer, "sequence", manifest->sequence);
    jw_uint_member(writer, "records", manifest->records);
    jw_uint_member(writer, "bytes", manifest->bytes);
    jw_bool_member(writer, "linked", manifest->linked);
    jw_bool_member(writer, "last_good", last_good);
    jw_string_member(writer, "content_digest", manifest->content_digest);
    size_format(&size, manifest->bytes);
    table_time(&listing->table, manifest->time_us);
    table_uint(&listing->table, manifest->records);
    table_cell(&listing->table, text_string(&size));
    table_cell(&listing->table, manifest->linked ? "linked: shares its bytes with the store"
                                : last_good      ? "last good"
                                                 : "backup");
    text_free(&size);
}

static void add_backup(struct listing *listing, const struct backup *backup, bool last_good) {
    struct json_writer *writer = &listing->writer;
    listing->count++;
    jw_begin_object(writer);
    jw_string_member(writer, "name", backup->name);
    jw_string_member(writer, "path", backup->path);
    jw_bool_member(writer, "whole", backup->readable);
    table_bytes(&listing->table, backup->name, strlen(backup->name));
    if (backup->readable) {
        add_whole(listing, backup, last_good);
    } else {
        jw_string_member(writer, "error", text_string(&backup->error));
        for (int i = 0; i < 3; i++)
            table_cell(&listing->table, "-");
        table_bytes(&listing->table, text_string(&backup->error), backup->error.size);
    }
    jw_end_object(writer);
}

static void add_backups(struct listing *listing, const struct backup_list *list) {
    const struct backup *latest = backups_latest(list);
    jw_key(&listing->writer, "backups");
    jw_begin_array(&listing->writer);
    for (size_t i = 0; i < list->count; i++)
        add_backup(listing, &list->backups[i], latest == &list->backups[i]);
    jw_end_array(&listing->writer);
}

static bool on_snapshot(void *context, const lore_snapshot_info *info) {
    struct listing *listing = context;
    struct json_writer *writer = &listing->writer;
    jw_begin_object(writer);
    jw_bytes_member(writer, "name", info->name.data, info->name.size);
    jw_time_member(writer, "time", info->time_us);
    jw_time_member(writer, "created_at", info->created_at_us);
    jw_uint_member(writer, "sequence", info->sequence);
    jw_end_object(writer);
    add_row(listing, info->name.data, info->name.size, info->created_at_us,
            "snapshot inside the store");
    return true;
}

/* The snapshots of the store, and *generation: the number of the one in use, 0 if it does not
 * open. */
static int add_snapshots(struct listing *listing, uint64_t *generation) {
    struct cli *cli = listing->cli;
    lore_store *store;
    lore_stats stats = {.struct_size = sizeof stats};
    int code = store_open(cli, OPEN_READ, &store);
    if (code != 0) return code;
    lore_status status = lore_stats_get(store, &stats);
    if (status == LORE_OK) status = lore_snapshot_list(store, on_snapshot, listing);
    if (status == LORE_OK) *generation = stats.generation;
    if (status != LORE_OK) code = fail_status(cli, status, "listing snapshots");
    return store_close(cli, store, code);
}

/* Each "g-000001" in the store's directory; `current` 0: not known. In the table only those that
 * may be of use: all but the one in use. */
static size_t add_generations(struct listing *listing, uint64_t current) {
    const char *store = memory_path(listing->cli);
    struct fs_names names;
    size_t count = 0;
    jw_key(&listing->writer, "generations");
    jw_begin_array(&listing->writer);
    bool listable = fs_list(store, &names);
    for (size_t i = 0; listable && i < names.count; i++) {
        const char *name = names.names[i];
        uint64_t number;
        struct stat info;
        struct text path = {0};
        text_printf(&path, "%s/%s", store, name);
        if (strncmp(name, "g-", 2) == 0 && count_parse(name + 2, &number) &&
            stat(path.data, &info) == 0 && S_ISDIR(info.st_mode)) {
            int64_t time_us = (int64_t)info.st_mtim.tv_sec * 1000000;
            count++;
            jw_begin_object(&listing->writer);
            jw_string_member(&listing->writer, "path", path.data);
            jw_uint_member(&listing->writer, "generation", number);
            jw_time_member(&listing->writer, "time", time_us);
            jw_key(&listing->writer, "current");
            if (current == 0) jw_null(&listing->writer);
            if (current != 0) jw_bool(&listing->writer, number == current);
            jw_end_object(&listing->writer);
            if (number != current) {
                add_row(listing, path.data, path.size, time_us,
                        current == 0 ? "generation of the store that does not open"
                                     : "generation before, kept when another was restored");
            }
        }
        text_free(&path);
    }
    if (listable) fs_names_free(&names);
    jw_end_array(&listing->writer);
    return count;
}

static int answer(struct listing *listing) {
    static const char *const header[] = {"NAME", "TIME", "RECORDS", "SIZE", "WHAT"};
    struct cli *cli = listing->cli;
    if (cli->json) {
        table_free(&listing->table);
        return print_json(cli, &listing->json);
    }
    if (listing->count == 0) note(cli, 0, "no backups in %s", backup_directory(cli));
    return table_end(&listing->table, cli, listing->count == 0 ? NULL : header);
}

/* The list is whole but for what only the store itself knows. */
static int fail_store(struct cli *cli, const struct backup_list *list) {
    const struct backup *latest = backups_latest(list);
    if (cli->failure.exit_code == EXIT_INTERRUPTED) return EXIT_INTERRUPTED;
    text_puts(&cli->failure.message, "; its snapshots are not listed");
    cli->failure.exit_code = EXIT_PARTIAL;
    if (latest == NULL) {
        return fail_next(cli, "lore verify --memory-path %s", quoted(cli, memory_path(cli)));
    }
    return fail_next(cli, "lore restore %s --target-path ANOTHER", quoted(cli, latest->path));
}

int cmd_list_snapshots(struct cli *cli) {
    struct backup_list list;
    int code = backups_read(cli, backup_directory(cli), &list);
    if (code != 0) return code;
    struct listing listing = {.cli = cli};
    listing.writer.out = &listing.json;
    table_begin(&listing.table, 5);
    jw_begin_object(&listing.writer);
    jw_string_member(&listing.writer, "backup_path", backup_directory(cli));
    add_backups(&listing, &list);
    jw_key(&listing.writer, "snapshots");
    jw_begin_array(&listing.writer);
    uint64_t current = 0;
    int store_code = fs_is_directory(memory_path(cli)) ? add_snapshots(&listing, &current) : 0;
    jw_end_array(&listing.writer);
    size_t generations = add_generations(&listing, current);
    jw_end_object(&listing.writer);
    /* A directory without a store has no snapshots; one with generations in it is a store, hurt. */
    if (store_code == EXIT_NO_STORE && generations == 0) store_code = 0;
    code = answer(&listing);
    text_free(&listing.json);
    if (code == 0 && store_code != 0) code = fail_store(cli, &list);
    backups_free(&list);
    return code;
}
