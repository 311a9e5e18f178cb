/* cmd_get.c - `lore get ID...`: memories in full. */
#include "commands.h"
#include "show.h"

static int get_one(struct cli *cli, lore_store *store, const char *id) {
    unsigned flags = 0;
    if (args_flag(&cli->args, "embeddings")) flags |= LORE_READ_EMBEDDINGS;
    if (args_flag(&cli->args, "no-access")) flags |= LORE_READ_NO_ACCESS;
    if (args_flag(&cli->args, "expired")) flags |= LORE_READ_EXPIRED;
    lore_record *record = NULL;
    lore_status status = lore_memory_get(store, NULL, lore_slice_of(id), flags, &record);
    if (status == LORE_NOT_FOUND) {
        fail_with(cli, EXIT_NOT_FOUND, "LORE_NOT_FOUND", "no memory \"%s\" in %s", id,
                  memory_path(cli));
        return fail_next(cli, "lore search --memory-path %s", memory_path(cli));
    }
    if (status != LORE_OK) return fail_status(cli, status, "reading %s", id);
    int code = show_memory(cli, lore_record_memory(record));
    lore_record_destroy(record);
    return code;
}

int cmd_get(struct cli *cli) {
    lore_store *store;
    enum open_mode mode = args_flag(&cli->args, "no-access") ? OPEN_READ : OPEN_WRITE_OR_READ;
    int code = store_open(cli, mode, &store);
    if (code != 0) return code;
    int found = 0, worst = 0;
    for (size_t i = 0; i < cli->args.operands_count; i++) {
        code = get_one(cli, store, cli->args.operands[i]);
        found += code == 0;
        if (code != 0) worst = code;
        if (code != 0 && code != EXIT_NOT_FOUND) break;
    }
    if (worst == EXIT_NOT_FOUND && found > 0) worst = cli->failure.exit_code = EXIT_PARTIAL;
    return store_close(cli, store, worst);
}
