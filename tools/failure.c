/* failure.c - the fail_ calls of cli.h: what happened, as a sentence, and what to do next. */
#include "cli.h"

#include <errno.h>
#include <string.h>

#include "interrupt.h"
#include "jsonwrite.h"
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

static const char *verb_of(const struct cli *cli) {
    return cli->args.command == NULL ? "help" : cli->args.command->name;
}

/* What usually helps after each status. */
static void suggest(struct cli *cli, lore_status status) {
    const char *path = quoted(cli, memory_path(cli)), *verb = verb_of(cli);
    switch (status) {
    case LORE_NO_STORE: fail_next(cli, "lore init --memory-path %s", path); break;
    case LORE_CORRUPTION: fail_next(cli, "lore verify --memory-path %s", path); break;
    case LORE_LOCKED:
        fail_next(cli, "lore status --memory-path %s   (or wait longer: --lock-timeout 5m)", path);
        break;
    case LORE_FULL:
        if (strstr(text_string(&cli->failure.message), "quota") != NULL) {
            fail_next(
                cli, "raise max_memory_size, or lore delete some and lore compact --memory-path %s",
                path);
        } else {
            fail_next(cli, "free some space, then: lore compact --memory-path %s", path);
        }
        break;
    case LORE_NO_MEMORY: fail_next(cli, "lore %s --memory-budget 256MiB ...", verb); break;
    case LORE_TOO_BIG:
        /* The engine's sentence names the budget where it is the budget's limit. */
        if (strstr(text_string(&cli->failure.message), "memory_budget") != NULL) {
            fail_next(cli, "lore %s --memory-budget 256MiB ...   (one write may take a quarter)",
                      verb);
        } else {
            fail_next(cli, "shorten it: this limit is fixed, no option raises it");
        }
        break;
    case LORE_IO:
        fail_next(cli, "look at the device, then: lore verify --memory-path %s", path);
        break;
    case LORE_NOT_FOUND: fail_next(cli, "lore status --memory-path %s", path); break;
    case LORE_CONFLICT: fail_next(cli, "lore %s again: something else was written", verb); break;
    case LORE_EXISTS: fail_next(cli, "lore status --memory-path %s", path); break;
    case LORE_MISUSE: fail_next(cli, "lore status --memory-path %s", path); break;
    case LORE_UNSUPPORTED:
        fail_next(cli, "lore version   (a newer version wrote it: use that one)");
        break;
    case LORE_CANCELLED: fail_next(cli, "lore %s again", verb); break;
    case LORE_OK:
    case LORE_INVALID: fail_next(cli, "lore %s --help", verb); break;
    }
}

static int vfail(struct cli *cli, int exit_code, lore_status status, const char *format,
                 va_list arguments) {
    struct failure *failure = &cli->failure;
    failure->exit_code = exit_code;
    failure->status = status;
    text_clear(&failure->message);
    text_vprintf(&failure->message, format, arguments);
    suggest(cli, status);
    return exit_code;
}

int fail_with(struct cli *cli, int exit_code, lore_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfail(cli, exit_code, status, format, arguments);
    va_end(arguments);
    return exit_code;
}

int fail_usage(struct cli *cli, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfail(cli, EXIT_USAGE, LORE_INVALID, format, arguments);
    va_end(arguments);
    const char *verb = cli->args.command == NULL ? "" : cli->args.command->name;
    return fail_next(cli, "lore %s%s--help", verb, *verb == 0 ? "" : " ");
}

static void suggest_errno(struct cli *cli, int error) {
    switch (error) {
    case ENOSPC:
    case EDQUOT: fail_next(cli, "free some space there, or write elsewhere"); break;
    case ENOENT:
    case ENOTDIR: fail_next(cli, "correct the path; ls shows what is there"); break;
    case EACCES:
    case EPERM:
    case EROFS:
        fail_next(cli, "look at owner and permissions there (ls -ld), or choose another path");
        break;
    case EISDIR: fail_next(cli, "name a file in it: lore %s --help", verb_of(cli)); break;
    case EMFILE:
    case ENFILE: fail_next(cli, "allow more open files (ulimit -n), or set files_max lower"); break;
    default: fail_next(cli, "look at the device, then run it again"); break;
    }
}

int fail_errno(struct cli *cli, const char *format, ...) {
    int error = errno;
    if (error == EINTR && interrupt_pending()) return fail_interrupted(cli, "the output is cut");
    bool full = error == ENOSPC || error == EDQUOT;
    va_list arguments;
    va_start(arguments, format);
    vfail(cli,
          error == EPIPE    ? EXIT_NO_READER
          : full            ? EXIT_DISK_FULL
          : error == ENOENT ? EXIT_NOT_FOUND
                            : EXIT_FAILED,
          full              ? LORE_FULL
          : error == ENOENT ? LORE_NOT_FOUND
                            : LORE_IO,
          format, arguments);
    va_end(arguments);
    text_printf(&cli->failure.message, ": %s", strerror(error));
    suggest_errno(cli, error);
    return cli->failure.exit_code;
}

int fail_input(struct cli *cli, const char *path) {
    if (strcmp(path, "-") == 0) path = "stdin";
    if (errno != SOURCE_IS_DEVICE) {
        bool missing = errno == ENOENT;
        fail_errno(cli, "cannot open %s", path);
        return missing
                   ? fail_next(cli, "lore %s FILE, with a path that is there; \"-\" reads stdin",
                               verb_of(cli))
                   : cli->failure.exit_code;
    }
    fail_with(cli, EXIT_USAGE, LORE_INVALID, "%s is a device without an end, not a file or a pipe",
              path);
    return fail_next(cli, "lore %s FILE, or PROGRAM | lore %s -", verb_of(cli), verb_of(cli));
}

int fail_no_space(struct cli *cli, const char *name) {
    fail_with(cli, EXIT_NOT_FOUND, LORE_NOT_FOUND, "the store has no space \"%s\"", name);
    const char *path = quoted(cli, memory_path(cli));
    return fail_next(
        cli, "lore status --memory-path %s, or lore init --memory-path %s --space name=%s,dims=N",
        path, path, quoted(cli, name));
}

int fail_interrupted(struct cli *cli, const char *format, ...) {
    struct text done = {0};
    va_list arguments;
    va_start(arguments, format);
    text_vprintf(&done, format, arguments);
    va_end(arguments);
    fail_with(cli, EXIT_INTERRUPTED, LORE_CANCELLED, "interrupted%s%s", done.size > 0 ? "; " : "",
              text_string(&done));
    text_free(&done);
    return EXIT_INTERRUPTED;
}

int fail_next(struct cli *cli, const char *format, ...) {
    struct text next = {0}; /* an argument may be the text that is replaced */
    va_list arguments;
    va_start(arguments, format);
    text_vprintf(&next, format, arguments);
    va_end(arguments);
    text_free(&cli->failure.next);
    cli->failure.next = next;
    return cli->failure.exit_code;
}

int fail_status(struct cli *cli, lore_status status, const char *format, ...) {
    struct text what = {0}, why = {0};
    text_puts(&why, status == LORE_NOT_FOUND   ? "it is not there"
                    : status == LORE_CANCELLED ? "interrupted"
                                               : lore_error_message());
    va_list arguments;
    va_start(arguments, format);
    text_vprintf(&what, format, arguments);
    va_end(arguments);
    fail_with(cli, exit_code_of(status), status, "%s: %s", text_string(&what), text_string(&why));
    text_free(&what);
    text_free(&why);
    return cli->failure.exit_code;
}

static void printable_member(struct json_writer *writer, const char *key,
                             const struct text *bytes) {
    struct text text = {0};
    if (text_is_utf8(text_string(bytes), bytes->size)) {
        text_add(&text, text_string(bytes), bytes->size);
    } else {
        text_add_printable(&text, text_string(bytes), bytes->size, false, 0);
    }
    jw_string_member(writer, key, text_string(&text));
    text_free(&text);
}

void failure_as_json(struct text *out, const struct failure *failure) {
    struct json_writer writer = {.out = out};
    jw_begin_object(&writer);
    jw_uint_member(&writer, "code", (uint64_t)failure->status);
    jw_string_member(&writer, "name", lore_status_name(failure->status));
    jw_uint_member(&writer, "exit_code", (uint64_t)failure->exit_code);
    printable_member(&writer, "message", &failure->message);
    printable_member(&writer, "next", &failure->next);
    jw_end_object(&writer);
}

void failure_free(struct failure *failure) {
    text_free(&failure->message);
    text_free(&failure->next);
}
