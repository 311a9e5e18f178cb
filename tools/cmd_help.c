/* cmd_help.c - `lore help [VERB]`, `lore version`, `lore completion SHELL`, and the hidden
 * `lore man DIRECTORY [PAGE]...` that the build calls. */
#include "commands.h"
#include "fs.h"
#include "help.h"
#include "output.h"

#include <stdio.h>
#include <string.h>

/* Text as it is, or as the one member of a JSON object. */
static int print_as(struct cli *cli, const char *key, const struct text *text) {
    if (!cli->json) return print_text(cli, text);
    struct text document = {0};
    struct json_writer writer = {.out = &document};
    jw_begin_object(&writer);
    jw_string_member(&writer, key, text_string(text));
    jw_end_object(&writer);
    int code = print_json(cli, &document);
    text_free(&document);
    return code;
}

static int print_help(struct cli *cli, const struct command_spec *command) {
    struct text text = {0};
    if (command == NULL) {
        help_program(&text, commands, global_options);
    } else {
        help_command(&text, command, global_options);
    }
    int code = print_as(cli, "help", &text);
    text_free(&text);
    return code;
}

static int fail_verb(struct cli *cli, const char *name) {
    const struct command_spec *nearest = command_nearest(commands, name);
    fail_usage(cli, "there is no verb \"%s\"", name);
    return fail_next(cli, "lore help%s%s", nearest == NULL ? "" : " ",
                     nearest == NULL ? "" : nearest->name);
}

/* Also what --help comes to: with a verb before it, that verb's help. */
int cmd_help(struct cli *cli) {
    const struct command_spec *command = cli->args.command;
    if (command != NULL && command->run == cmd_help) command = NULL;
    if (command == NULL && cli->args.operands_count == 1) {
        const char *name = cli->args.operands[0];
        command = command_find(commands, name);
        if (command == NULL) return fail_verb(cli, name);
    }
    return print_help(cli, command);
}

int cmd_version(struct cli *cli) {
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    if (cli->json) {
        jw_begin_object(&writer);
        jw_string_member(&writer, "version", lore_version());
        jw_end_object(&writer);
    } else {
        text_printf(&text, "lore %s\n", lore_version());
    }
    int code = cli->json ? print_json(cli, &text) : print_text(cli, &text);
    text_free(&text);
    return code;
}

int cmd_completion(struct cli *cli) {
    struct text text = {0};
    const char *shell = cli->args.operands[0];
    int code = completion_script(&text, shell, commands, global_options)
                   ? print_as(cli, "script", &text)
                   : fail_usage(cli, "%s: not one of bash, zsh, fish", shell);
    text_free(&text);
    return code;
}

static int write_page(struct cli *cli, const char *directory, const char *name,
                      const struct text *page) {
    struct text path = {0};
    text_printf(&path, "%s/%s", directory, name);
    FILE *file = fopen(path.data, "w");
    bool fine = file != NULL && fwrite(page->data, 1, page->size, file) == page->size;
    if (file != NULL && fclose(file) != 0) fine = false;
    int code = fine ? 0 : fail_errno(cli, "cannot write %s", path.data);
    text_free(&path);
    return code;
}

/* The pages named must be exactly those that the table gives, so that the build's list of files to
 * install cannot fall behind. */
static int check_pages(struct cli *cli, size_t pages) {
    size_t named = cli->args.operands_count - 1;
    if (named == 0 || named == pages) return 0;
    return fail_usage(cli, "%zu pages are named, the table gives %zu", named, pages);
}

static bool page_named(const struct args *args, const char *page) {
    for (size_t i = 1; i < args->operands_count; i++) {
        if (strcmp(args->operands[i], page) == 0) return true;
    }
    return args->operands_count == 1;
}

int cmd_man(struct cli *cli) {
    const char *directory = cli->args.operands[0];
    struct text page = {0}, name = {0};
    size_t pages = 1;
    if (!fs_make_directories(directory)) return fail_errno(cli, "cannot make %s", directory);
    man_program(&page, commands, global_options);
    int code = write_page(cli, directory, "lore.1", &page);
    for (const struct command_spec *c = commands; code == 0 && c->name != NULL; c++) {
        if (c->hidden) continue;
        text_clear(&page);
        text_clear(&name);
        man_command(&page, c, global_options);
        text_printf(&name, "lore-%s.1", c->name);
        pages++;
        code = page_named(&cli->args, name.data)
                   ? write_page(cli, directory, name.data, &page)
                   : fail_usage(cli, "%s is not among the pages named", name.data);
    }
    text_free(&page);
    text_free(&name);
    if (code == 0) code = check_pages(cli, pages);
    if (code != 0 || !cli->json) return code;
    struct text document = {0};
    struct json_writer writer = {.out = &document};
    jw_begin_object(&writer);
    jw_string_member(&writer, "directory", directory);
    jw_uint_member(&writer, "pages", pages);
    jw_end_object(&writer);
    return print_json(cli, &document);
}
