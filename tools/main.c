/* main.c - the program `lore`: reads the command line and the settings, runs the verb, and says
 * what went wrong, once. */
#include "cli.h"
#include "commands.h"
#include "interrupt.h"
#include "jsonwrite.h"
#include "output.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_failure(const struct cli *cli) {
    const struct failure *failure = &cli->failure;
    if (!cli->json) {
        const char *red = getenv("NO_COLOR") == NULL && isatty(STDERR_FILENO) ? "\033[31m" : "";
        struct text message = {0};
        text_add_printable(&message, text_string(&failure->message), failure->message.size, false,
                           0);
        fprintf(stderr, "%slore: %s%s (%s)\n", red, text_string(&message),
                *red != 0 ? "\033[0m" : "", failure->code);
        if (failure->next.size > 0) fprintf(stderr, "  try: %s\n", failure->next.data);
        text_free(&message);
        return;
    }
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_begin_object(&writer);
    jw_key(&writer, "error");
    jw_begin_object(&writer);
    jw_string_member(&writer, "code", failure->code);
    jw_uint_member(&writer, "exit_code", (uint64_t)failure->exit_code);
    jw_string_member(&writer, "message", text_string(&failure->message));
    if (failure->next.size > 0) jw_string_member(&writer, "next", failure->next.data);
    jw_end_object(&writer);
    jw_end_object(&writer);
    fprintf(stderr, "%s\n", text.data);
    text_free(&text);
}

static int read_progress(struct cli *cli) {
    const char *given = args_value(&cli->args, "progress");
    bool terminal = isatty(STDERR_FILENO) != 0;
    cli->progress = terminal && cli->verbosity >= 0 ? PROGRESS_BAR : PROGRESS_NONE;
    if (given == NULL || strcmp(given, "auto") == 0) return 0;
    if (strcmp(given, "json") == 0) return cli->progress = PROGRESS_JSON, 0;
    if (strcmp(given, "none") == 0) return cli->progress = PROGRESS_NONE, 0;
    if (strcmp(given, "bar") == 0) return cli->progress = PROGRESS_BAR, 0;
    return fail_usage(cli, "--progress %s: not one of auto, bar, json, none", given);
}

static void warn_of_settings(const struct cli *cli) {
    const char *line = text_string(&cli->config.warnings);
    while (*line != 0) {
        size_t size = strcspn(line, "\n");
        warn(cli, "%.*s", (int)size, line);
        line += size + (line[size] == '\n');
    }
}

static int run(struct cli *cli, int argc, const char *const *argv) {
    struct text error = {0};
    bool parsed = args_parse(commands, global_options, argc, argv, &cli->args, &error);
    const char *no_color = getenv("NO_COLOR");
    cli->json = args_flag(&cli->args, "json");
    for (int i = 1; !parsed && i < argc; i++)
        cli->json = cli->json || strcmp(argv[i], "--json") == 0;
    cli->terminal = isatty(STDOUT_FILENO) != 0;
    cli->color = cli->terminal && (no_color == NULL || *no_color == 0);
    cli->verbosity = (int)args_count(&cli->args, "verbose");
    if (args_flag(&cli->args, "quiet")) cli->verbosity = -1;
    if (!parsed) {
        fail_usage(cli, "%s", text_string(&error));
        text_free(&error);
        return cli->failure.exit_code;
    }
    if (args_flag(&cli->args, "version")) return cmd_version(cli);
    if (args_flag(&cli->args, "help")) return cmd_help(cli);
    if (cli->args.command == NULL) return fail_usage(cli, "no verb; lore --help lists them");
    int code = read_progress(cli);
    if (code != 0) return code;
    if (!config_load(&cli->config, &cli->args, &error)) {
        fail_with(cli, EXIT_USAGE, "LORE_INVALID", "%s", text_string(&error));
        text_free(&error);
        return cli->failure.exit_code;
    }
    warn_of_settings(cli);
    return cli->args.command->run(cli);
}

int main(int argc, char **argv) {
    struct cli cli = {.verbosity = 0};
    if (sodium_init() < 0) {
        fputs("lore: libsodium does not start (LORE_MISUSE)\n", stderr);
        return EXIT_FAILED;
    }
    interrupt_install();
    int code = run(&cli, argc, (const char *const *)argv);
    if (code != EXIT_OK) print_failure(&cli);
    args_free(&cli.args);
    config_free(&cli.config);
    text_free(&cli.failure.message);
    text_free(&cli.failure.next);
    return code;
}
