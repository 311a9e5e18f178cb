/* cmd_init.c - `lore init`: an empty store, and its embedding spaces. */
#include "commands.h"
#include "output.h"
#include "spaces.h"

static int create_spaces(struct cli *cli, lore_store *store) {
    for (size_t i = 0; i < args_count(&cli->args, "space"); i++) {
        const char *string = args_nth(&cli->args, "space", i);
        struct space space;
        struct text error = {0};
        if (!space_parse(string, &space, &error)) {
            fail_usage(cli, "--space %s: %s", string, text_string(&error));
            text_free(&error);
            return cli->failure.exit_code;
        }
        lore_status status = lore_space_create(store, space.name, &space.spec);
        if (status != LORE_OK) return fail_status(cli, status, "creating space %s", space.name);
    }
    return 0;
}

/* Wrong spaces are refused before anything is made. */
static int check_spaces(struct cli *cli) {
    for (size_t i = 0; i < args_count(&cli->args, "space"); i++) {
        struct space space;
        struct text error = {0};
        const char *string = args_nth(&cli->args, "space", i);
        bool fine = space_parse(string, &space, &error);
        if (!fine) fail_usage(cli, "--space %s: %s", string, text_string(&error));
        text_free(&error);
        if (!fine) return cli->failure.exit_code;
    }
    return 0;
}

int cmd_init(struct cli *cli) {
    lore_options options;
    lore_store *store;
    int code = check_spaces(cli);
    if (code != 0) return code;
    store_options(cli, &options);
    options.create_if_missing = true;
    bool fresh = !path_is_store(memory_path(cli));
    options.error_if_exists = args_count(&cli->args, "space") == 0;
    lore_status status = lore_open(memory_path(cli), &options, &store);
    if (status == LORE_EXISTS) {
        fail_with(cli, EXIT_FAILED, "LORE_EXISTS", "there is a store at %s already",
                  memory_path(cli));
        return fail_next(cli, "lore status --memory-path %s", memory_path(cli));
    }
    if (status != LORE_OK)
        return fail_status(cli, status, "cannot create the store at %s", memory_path(cli));
    code = store_close(cli, store, create_spaces(cli, store));
    if (code != 0) return code;
    if (!cli->json) {
        note(cli, 0, fresh ? "created a store at %s" : "the store at %s has these spaces now",
             memory_path(cli));
        return 0;
    }
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_begin_object(&writer);
    jw_string_member(&writer, "path", memory_path(cli));
    jw_bool_member(&writer, "created", fresh);
    jw_end_object(&writer);
    code = print_json(cli, &text);
    text_free(&text);
    return code;
}
