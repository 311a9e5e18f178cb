/* cmd_config.c - `lore config show [--origin] | get KEY`: the settings in force. */
#include "commands.h"
#include "output.h"

#include <string.h>

static int show_all(struct cli *cli) {
    static const char *const header[] = {"SETTING", "VALUE", "ORIGIN"};
    bool origin = args_flag(&cli->args, "origin");
    struct table table;
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    table_begin(&table, origin ? 3 : 2);
    jw_begin_object(&writer);
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct config_value *value = &cli->config.values[i];
        const char *name = setting_name((enum setting)i);
        table_cell(&table, name);
        table_bytes(&table, value->value, strlen(value->value));
        if (origin) {
            table_bytes(&table, value->origin, strlen(value->origin));
            jw_key(&writer, name);
            jw_begin_object(&writer);
            jw_string_member(&writer, "value", value->value);
            jw_string_member(&writer, "origin", value->origin);
            jw_end_object(&writer);
        } else {
            jw_string_member(&writer, name, value->value);
        }
    }
    jw_end_object(&writer);
    int code = cli->json ? print_json(cli, &text) : 0;
    if (cli->json) {
        table_free(&table);
    } else {
        code = table_end(&table, cli, origin ? header : NULL);
    }
    text_free(&text);
    return code;
}

static int get(struct cli *cli, const char *name) {
    enum setting setting;
    if (!setting_find(name, &setting)) {
        fail_with(cli, EXIT_NOT_FOUND, LORE_NOT_FOUND, "there is no setting \"%s\"", name);
        return fail_next(cli, "lore config show");
    }
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    const struct config_value *value = &cli->config.values[setting];
    int code;
    if (cli->json) {
        jw_begin_object(&writer);
        jw_string_member(&writer, "setting", name);
        jw_string_member(&writer, "value", value->value);
        jw_string_member(&writer, "origin", value->origin);
        jw_end_object(&writer);
        code = print_json(cli, &text);
    } else {
        text_printf(&text, "%s\n", value->value);
        code = print_text(cli, &text);
    }
    text_free(&text);
    return code;
}

int cmd_config(struct cli *cli) {
    const struct args *args = &cli->args;
    const char *action = args->operands_count == 0 ? "show" : args->operands[0];
    if (strcmp(action, "show") == 0 && args->operands_count <= 1) return show_all(cli);
    if (strcmp(action, "get") == 0 && args->operands_count == 2) return get(cli, args->operands[1]);
    return fail_usage(cli, "config show [--origin], or config get SETTING");
}
