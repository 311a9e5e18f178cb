/* cli.c - see cli.h. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"

int exit_code_of(lore_status status) {
    switch (status) {
    case LORE_OK: return EXIT_OK;
    case LORE_NOT_FOUND: return EXIT_NOT_FOUND;
    case LORE_CORRUPTION: return EXIT_CORRUPT;
    case LORE_FULL: return EXIT_DISK_FULL;
    case LORE_LOCKED: return EXIT_LOCKED;
    case LORE_INVALID: return EXIT_USAGE;
    case LORE_NO_STORE: return EXIT_NO_STORE;
    case LORE_CANCELLED: return EXIT_INTERRUPTED;
    case LORE_IO:
    case LORE_TOO_BIG:
    case LORE_CONFLICT:
    case LORE_MISUSE:
    case LORE_NO_MEMORY:
    case LORE_EXISTS:
    case LORE_UNSUPPORTED: break;
    }
    return EXIT_FAILED;
}

static int vfail(struct cli *cli, int exit_code, const char *code, const char *format,
                 va_list arguments) {
    struct failure *failure = &cli->failure;
    failure->exit_code = exit_code;
    snprintf(failure->code, sizeof failure->code, "%s", code);
    text_clear(&failure->message);
    text_clear(&failure->next);
    text_vprintf(&failure->message, format, arguments);
    return exit_code;
}

int fail_with(struct cli *cli, int exit_code, const char *code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfail(cli, exit_code, code, format, arguments);
    va_end(arguments);
    return exit_code;
}

int fail_usage(struct cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfail(cli, EXIT_USAGE, "LORE_INVALID", format, arguments);
    va_end(arguments);
    const struct command_spec *command = cli->args.command;
    return fail_next(cli, "lore %s%s--help", command == NULL ? "" : command->name,
                     command == NULL ? "" : " ");
}

int fail_errno(struct cli *cli, const char *format, ...) {
    int error = errno;
    bool full = error == ENOSPC || error == EDQUOT;
    va_list arguments;
    va_start(arguments, format);
    vfail(cli,
          full              ? EXIT_DISK_FULL
          : error == ENOENT ? EXIT_NOT_FOUND
                            : EXIT_FAILED,
          full              ? "LORE_FULL"
          : error == ENOENT ? "LORE_NOT_FOUND"
                            : "LORE_IO",
          format, arguments);
    va_end(arguments);
    text_printf(&cli->failure.message, ": %s", strerror(error));
    return cli->failure.exit_code;
}

int fail_interrupted(struct cli *cli) {
    return fail_with(cli, EXIT_INTERRUPTED, "LORE_CANCELLED", "interrupted");
}

int fail_next(struct cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    text_clear(&cli->failure.next);
    text_vprintf(&cli->failure.next, format, arguments);
    va_end(arguments);
    return cli->failure.exit_code;
}

/* What usually helps after each status. */
static void suggest(struct cli *cli, lore_status status) {
    const char *path = memory_path(cli);
    switch (status) {
    case LORE_NO_STORE: fail_next(cli, "lore init --memory-path %s", path); break;
    case LORE_CORRUPTION: fail_next(cli, "lore verify --memory-path %s", path); break;
    case LORE_LOCKED:
        fail_next(cli, "lore status --memory-path %s   (or wait longer: --lock-timeout 5m)", path);
        break;
    case LORE_FULL:
        fail_next(cli, "free some space, then: lore compact --memory-path %s", path);
        break;
    case LORE_NO_MEMORY: fail_next(cli, "raise --memory-budget"); break;
    case LORE_TOO_BIG:
        fail_next(cli, "raise --memory-budget; one write may take a quarter of it");
        break;
    case LORE_IO:
        fail_next(cli, "look at the device, then: lore verify --memory-path %s", path);
        break;
    case LORE_OK:
    case LORE_NOT_FOUND:
    case LORE_CONFLICT:
    case LORE_INVALID:
    case LORE_MISUSE:
    case LORE_EXISTS:
    case LORE_UNSUPPORTED:
    case LORE_CANCELLED: break;
    }
}

int fail_status(struct cli *cli, lore_status status, const char *format, ...) {
    struct text why = {0};
    text_puts(&why, status == LORE_NOT_FOUND ? "it is not there" : lore_error_message());
    va_list arguments;
    va_start(arguments, format);
    vfail(cli, exit_code_of(status), lore_status_name(status), format, arguments);
    va_end(arguments);
    if (status == LORE_CANCELLED) {
        text_puts(&cli->failure.message, ": interrupted");
    } else {
        text_printf(&cli->failure.message, ": %s", text_string(&why));
    }
    text_free(&why);
    suggest(cli, status);
    return cli->failure.exit_code;
}

static void vnote(const char *prefix, const char *format, va_list arguments) {
    fputs(prefix, stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void note(const struct cli *cli, int level, const char *format, ...) {
    if (cli->verbosity < level) return;
    va_list arguments;
    va_start(arguments, format);
    vnote("lore: ", format, arguments);
    va_end(arguments);
}

void warn(const struct cli *cli, const char *format, ...) {
    if (cli->verbosity < 0) return;
    va_list arguments;
    va_start(arguments, format);
    vnote("lore: warning: ", format, arguments);
    va_end(arguments);
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
    static const char *const names[] = {"error", "warning", "info", "debug"};
    (void)context;
    fprintf(stderr, "lore: engine %s: %s\n", names[level], message);
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
    uint64_t files_max = config_size(config, SETTING_FILES_MAX);
    options->files_max = files_max > UINT32_MAX ? UINT32_MAX : (uint32_t)files_max;
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
    options->log_level = log_level(cli);
}

static int fail_open(struct cli *cli, lore_status status, const char *path) {
    fail_status(cli, status, "cannot open the store at %s", path);
    if (status == LORE_NO_STORE) fail_next(cli, "lore init --memory-path %s", path);
    return cli->failure.exit_code;
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
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (file == NULL) return fail_errno(cli, "cannot open %s", path);
    char buffer[16384];
    int code = 0;
    for (;;) {
        size_t count = fread(buffer, 1, sizeof buffer, file);
        text_add(bytes, buffer, count);
        if (bytes->size > size_max) {
            code = fail_with(cli, EXIT_FAILED, "LORE_TOO_BIG", "%s holds more than %zu bytes", path,
                             size_max);
            break;
        }
        if (count == sizeof buffer) continue;
        if (ferror(file)) code = fail_errno(cli, "cannot read %s", path);
        break;
    }
    if (file != stdin) fclose(file);
    return code;
}
