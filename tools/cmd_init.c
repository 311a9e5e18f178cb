/* cmd_init.c - `lore init`: an empty store, and its embedding spaces. */
#include "commands.h"
#include "output.h"
#include "spaces.h"

/* Each --space; `store` NULL: only look whether they are right, before anything is made. */
static int create_spaces(struct cli *cli, lore_store *store) {
    int code = 0;
    for (size_t i = 0; code == 0 && i < args_count(&cli->args, "space"); i++) {
        const char *string = args_nth(&cli->args, "space", i);
        struct space space;
        struct text error = {0};
        lore_status status = LORE_OK;
        if (!space_parse(string, &space, &error)) {
            code = fail_usage(cli, "--space %s: %s", string, text_string(&error));
        } else if (store != NULL) {
            status = lore_space_create(store, space.name, &space.spec);
        }
        text_free(&error);
        if (status != LORE_OK) code = fail_status(cli, status, "creating space %s", space.name);
    }
    return code;
}

int cmd_init(struct cli *cli) {
    lore_options options;
    lore_store *store;
    int code = create_spaces(cli, NULL);
    if (code == 0) code = need_parent(cli, memory_path(cli));
    if (code != 0) return code;
    store_options(cli, &options);
    options.create_if_missing = true;
    bool fresh = !path_is_store(memory_path(cli));
    options.error_if_exists = args_count(&cli->args, "space") == 0;
    lore_status status = lore_open(memory_path(cli), &options, &store);
    if (status == LORE_EXISTS) {
        fail_with(cli, EXIT_FAILED, LORE_EXISTS, "there is a store at %s already",
                  memory_path(cli));
        return fail_next(cli, "lore status --memory-path %s", quoted(cli, memory_path(cli)));
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
