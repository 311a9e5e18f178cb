/* cli.c - see cli.h. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jsonwrite.h"
#include "source.h"

/* A line for people, or with --json an object of one member. */
static void say(const struct cli *cli, const char *member, const char *prefix, const char *format,
                va_list arguments) {
    struct text words = {0}, line = {0};
    text_vprintf(&words, format, arguments);
    if (cli->json) {
        struct json_writer writer = {.out = &line};
        jw_begin_object(&writer);
        jw_string_member(&writer, member, text_string(&words));
        jw_end_object(&writer);
    } else {
        text_puts(&line, prefix);
        text_add_printable(&line, text_string(&words), words.size, false, 0);
    }
    fprintf(stderr, "%s\n", line.data);
    text_free(&words);
    text_free(&line);
}

void note(const struct cli *cli, int level, const char *format, ...) {
    if (cli->verbosity < level || (cli->json && level == 0)) return;
    va_list arguments;
    va_start(arguments, format);
    say(cli, "note", "lore: ", format, arguments);
    va_end(arguments);
}

void warn(const struct cli *cli, const char *format, ...) {
    if (cli->verbosity < 0) return;
    va_list arguments;
    va_start(arguments, format);
    say(cli, "warning", "lore: warning: ", format, arguments);
    va_end(arguments);
}

static void say_of_engine(const struct cli *cli, const char *prefix, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say_of_engine(const struct cli *cli, const char *prefix, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(cli, "engine", prefix, format, arguments);
    va_end(arguments);
}

const char *quoted(struct cli *cli, const char *word) {
    struct text *text = &cli->quoted[cli->quoted_next++ % QUOTED_MAX];
    text_clear(text);
    bool plain = *word != 0 && *word != '-' &&
                 word[strspn(word, "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:=@%+")] == 0;
    if (plain) {
        text_puts(text, word);
        return text->data;
    }
    text_char(text, '\'');
    for (; *word != 0; word++) {
        if (*word == '\'') {
            text_puts(text, "'\\''");
        } else {
            text_char(text, *word);
        }
    }
    text_char(text, '\'');
    return text->data;
}

const char *memory_path(const struct cli *cli) {
    const char *path = config_text(&cli->config, SETTING_MEMORY_PATH);
    return path == NULL ? "./memory" : path;
}

bool path_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

bool path_is_store(const char *path) {
    struct text current = {0};
    text_printf(&current, "%s/CURRENT", path);
    bool is_store = path_exists(text_string(&current));
    text_free(&current);
    return is_store;
}

static void log_line(void *context, lore_log_level level, const char *message) {
    static const char *const prefixes[] = {"lore: engine error: ", "lore: engine warning: ",
                                           "lore: engine info: ", "lore: engine debug: "};
    say_of_engine(context, prefixes[level], "%s", message);
}

static lore_log_level log_level(const struct cli *cli) {
    if (cli->verbosity < 0) return LORE_LOG_ERROR;
    if (cli->verbosity == 1) return LORE_LOG_INFO;
    if (cli->verbosity > 1) return LORE_LOG_DEBUG;
    if (!cli->config.values[SETTING_LOG_LEVEL].given) return LORE_LOG_WARNING;
    switch (config_text(&cli->config, SETTING_LOG_LEVEL)[0]) {
    case 'E': return LORE_LOG_ERROR;
    case 'I': return LORE_LOG_INFO;
    case 'D': return LORE_LOG_DEBUG;
    default: return LORE_LOG_WARNING;
    }
}

void store_options(struct cli *cli, lore_options *options) {
    const struct config *config = &cli->config;
    lore_options_init(options);
    options->memory_budget = config_size(config, SETTING_MEMORY_BUDGET);
    options->quota_bytes = config_size(config, SETTING_MAX_MEMORY_SIZE);
    options->lock_timeout_ms = (uint32_t)config_duration_ms(config, SETTING_LOCK_TIMEOUT);
    options->sync_interval_ms = (uint32_t)config_duration_ms(config, SETTING_WAL_FLUSH_INTERVAL);
    options->files_max = (uint32_t)config_size(config, SETTING_FILES_MAX);
    options->group_access = config_bool(config, SETTING_GROUP_ACCESS);
    switch (config_text(config, SETTING_DURABILITY)[0]) {
    case 'i': options->durability = LORE_SYNC_INTERVAL; break;
    case 'n': options->durability = LORE_SYNC_NONE; break;
    default: options->durability = LORE_SYNC_FULL; break;
    }
    if (config_text(config, SETTING_COMPRESSION)[0] == 'n') {
        options->compression = LORE_COMPRESSION_NONE;
    }
    options->log = log_line;
    options->log_context = cli;
    options->log_level = log_level(cli);
}

static int fail_open(struct cli *cli, lore_status status, const char *path) {
    fail_status(cli, status, "cannot open the store at %s", path);
    if (status == LORE_NO_STORE) fail_next(cli, "lore init --memory-path %s", quoted(cli, path));
    if (status == LORE_CORRUPTION && strcmp(cli->args.command->name, "verify") == 0)
        fail_next(
            cli,
            "lore list-snapshots --memory-path %s   (or: lore salvage --memory-path %s --to DIR)",
            quoted(cli, path), quoted(cli, path));
    return cli->failure.exit_code;
}

int need_parent(struct cli *cli, const char *path) {
    struct text parent = {0};
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    while (size > 0 && path[size - 1] != '/')
        size--;
    while (size > 1 && path[size - 1] == '/')
        size--;
    text_add(&parent, path, size);
    int code = 0;
    if (size > 0 && !path_exists(parent.data)) {
        code = fail_with(cli, EXIT_NOT_FOUND, LORE_NOT_FOUND,
                         "the directory %s, which would hold %s, is not there", parent.data, path);
        fail_next(cli, "mkdir -p %s   (then run it again)", quoted(cli, parent.data));
    }
    text_free(&parent);
    return code;
}

int parse_word(struct cli *cli, const char *option, const char *given, const char *const *words,
               int *index) {
    struct text all = {0};
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], given) == 0) {
            text_free(&all);
            return *index = i, 0;
        }
        text_printf(&all, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
    int code = fail_usage(cli, "--%s %s: not one of %s", option, given, text_string(&all));
    text_free(&all);
    return code;
}

/* Failures to take the lock or to write that reading beside can do without. */
static bool may_read_instead(lore_status status) {
    return status == LORE_LOCKED || status == LORE_IO || status == LORE_FULL;
}

int store_open_path(struct cli *cli, const char *path, enum open_mode mode, lore_store **store) {
    lore_options options;
    store_options(cli, &options);
    *store = NULL;
    bool read_only = args_flag(&cli->args, "read-only");
    if (mode == OPEN_WRITE) {
        if (read_only)
            return fail_usage(cli, "%s writes; it cannot be --read-only", cli->args.command->name);
        lore_status status = lore_open(path, &options, store);
        return status == LORE_OK ? 0 : fail_open(cli, status, path);
    }
    if (mode != OPEN_READ && !read_only && path_is_store(path)) {
        lore_options now = options;
        now.lock_timeout_ms = 0;
        lore_status status = lore_open(path, &now, store);
        if (status == LORE_OK && mode == OPEN_WRITE_OR_READ) return 0;
        if (status == LORE_OK) status = lore_close(*store);
        *store = NULL;
        if (status != LORE_OK && !may_read_instead(status)) return fail_open(cli, status, path);
        if (status != LORE_OK) note(cli, 1, "reading beside the writer: %s", lore_error_message());
    }
    options.read_only = true;
    lore_status status = lore_open(path, &options, store);
    return status == LORE_OK ? 0 : fail_open(cli, status, path);
}

int store_open(struct cli *cli, enum open_mode mode, lore_store **store) {
    return store_open_path(cli, memory_path(cli), mode, store);
}

int store_close(struct cli *cli, lore_store *store, int exit_code) {
    if (store == NULL) return exit_code;
    lore_status status = lore_close(store);
    if (status == LORE_OK) return exit_code;
    if (exit_code == EXIT_OK || exit_code == EXIT_PARTIAL) {
        return fail_status(cli, status, "closing the store");
    }
    warn(cli, "closing the store: %s", lore_error_message());
    return exit_code;
}

int read_all(struct cli *cli, const char *path, size_t size_max, struct text *bytes) {
    struct source source;
    if (!source_open(&source, path)) return fail_input(cli, path);
    enum source_result result = source_rest(&source, size_max, bytes);
    int error = source.error, code = 0;
    source_close(&source);
    if (strcmp(path, "-") == 0) path = "stdin";
    if (result == SOURCE_INTERRUPTED) return fail_interrupted(cli, "nothing was written");
    if (result == SOURCE_TOO_LONG) {
        code = fail_with(cli, EXIT_FAILED, LORE_TOO_BIG, "%s holds more than %zu bytes", path,
                         size_max);
    } else if (result == SOURCE_ERROR) {
        errno = error;
        code = fail_errno(cli, "cannot read %s", path);
    }
    return code;
}
