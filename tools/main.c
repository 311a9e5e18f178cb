/* main.c - the program `lore`: reads the command line and the settings, runs the verb, and says
 * what went wrong, once. */
#include "cli.h"
#include "commands.h"
#include "interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_failure(const struct failure *failure) {
    const char *red = getenv("NO_COLOR") == NULL && isatty(STDERR_FILENO) ? "\033[31m" : "";
    struct text line = {0};
    text_printf(&line, "%slore: ", red);
    text_add_printable(&line, text_string(&failure->message), failure->message.size, false, 0);
    text_printf(&line, "%s (%s)\n  try: ", *red != 0 ? "\033[0m" : "",
                lore_status_name(failure->status));
    text_add_printable(&line, text_string(&failure->next), failure->next.size, true, 0);
    fprintf(stderr, "%s\n", line.data);
    text_free(&line);
}

/* The verb's document with the failure in it, on stdout; where that cannot be written, the failure
 * goes to stderr, a line of the same shape. */
static int print_document(struct cli *cli, int code) {
    struct text document = {0}, error = {0};
    text_puts(&document, cli->answer.size > 0 ? cli->answer.data : "{}");
    if (code != EXIT_OK) {
        failure_as_json(&error, &cli->failure);
        document.size--; /* the closing brace */
        text_printf(&document, "%s\"error\":%s}", document.size > 1 ? "," : "", error.data);
    }
    text_char(&document, '\n');
    bool fine =
        fwrite(document.data, 1, document.size, stdout) == document.size && fflush(stdout) == 0;
    if (!fine && code == EXIT_OK) code = fail_errno(cli, "cannot write to stdout");
    if (!fine && code != EXIT_NO_READER) {
        text_clear(&error);
        failure_as_json(&error, &cli->failure);
        fprintf(stderr, "{\"error\":%s}\n", error.data);
    }
    text_free(&document);
    text_free(&error);
    return code;
}

static int read_progress(struct cli *cli) {
    static const char *const words[] = {"auto", "bar", "json", "none", NULL};
    static const enum progress_mode modes[] = {PROGRESS_NONE, PROGRESS_BAR, PROGRESS_JSON,
                                               PROGRESS_NONE};
    const char *given = args_value(&cli->args, "progress");
    int word = 0;
    int code = given == NULL ? 0 : parse_word(cli, "progress", given, words, &word);
    bool bar = word == 0 && isatty(STDERR_FILENO) && cli->verbosity >= 0 && !cli->json;
    cli->progress = bar ? PROGRESS_BAR : modes[word];
    return code;
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
    for (int i = 1; !parsed && i < argc && strcmp(argv[i], "--") != 0; i++)
        cli->json = cli->json || strcmp(argv[i], "--json") == 0;
    cli->terminal = isatty(STDOUT_FILENO) != 0;
    cli->color = cli->terminal && (no_color == NULL || *no_color == 0);
    cli->verbosity = (int)args_count(&cli->args, "verbose");
    if (args_flag(&cli->args, "quiet")) cli->verbosity = -1;
    if (!parsed) {
        fail_usage(cli, "%s", text_string(&error));
        text_free(&error);
        const struct command_spec *nearest = cli->args.nearest;
        return nearest == NULL ? EXIT_USAGE : fail_next(cli, "lore %s --help", nearest->name);
    }
    if (args_flag(&cli->args, "version")) return cmd_version(cli);
    if (args_flag(&cli->args, "help")) return cmd_help(cli);
    if (cli->args.command == NULL) return fail_usage(cli, "no verb; lore --help lists them");
    int code = read_progress(cli);
    if (code != 0) return code;
    if (!config_load(&cli->config, &cli->args, &error)) {
        fail_with(cli, EXIT_USAGE, LORE_INVALID, "%s", text_string(&error));
        text_free(&error);
        return fail_next(cli, "lore help config   (a flag, LORE_... and the file may set it)");
    }
    warn_of_settings(cli);
    return cli->args.command->run(cli);
}

/* Nobody's file may get the number of a standard stream that the caller has closed: what is printed
 * would go into it. Reading and writing there fail. */
static void hold_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0) open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

int main(int argc, char **argv) {
    struct cli cli = {.verbosity = 0};
    hold_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a write says so too, and the store is closed first */
    interrupt_install();
    int code = run(&cli, argc, (const char *const *)argv);
    if (cli.json && code != EXIT_NO_READER) {
        code = print_document(&cli, code);
    } else if (code != EXIT_OK && code != EXIT_NO_READER) {
        print_failure(&cli.failure);
    }
    args_free(&cli.args);
    config_free(&cli.config);
    failure_free(&cli.failure);
    text_free(&cli.answer);
    for (int i = 0; i < QUOTED_MAX; i++)
        text_free(&cli.quoted[i]);
    return code;
}
