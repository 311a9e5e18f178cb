/*
 * cli.h - what every verb shares: the parsed command line, the settings, the way a store is opened,
 * and how a verb ends.
 *
 * A verb returns an exit code. On failure it has called one of the fail_ calls, which record what
 * happened; main prints it once, for people or as JSON, on stderr. stdout carries data only.
 */
#ifndef LORE_TOOLS_CLI_H
#define LORE_TOOLS_CLI_H

#include <stdbool.h>

#include "args.h"
#include "config.h"
#include "lore.h"
#include "text.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_PARTIAL = 3,
    EXIT_NOT_FOUND = 4,
    EXIT_CORRUPT = 5,
    EXIT_NO_STORE = 10,
    EXIT_LOCKED = 11,
    EXIT_WRONG_KEY = 12,
    EXIT_DISK_FULL = 13,
    EXIT_INTERRUPTED = 130
};

enum progress_mode { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_JSON };

struct failure {
    int exit_code;
    char code[32];       /* "LORE_NO_STORE": stable */
    struct text message; /* what, where and why */
    struct text next;    /* the command to try, or empty */
};

struct cli {
    struct args args;
    struct config config;
    bool json;
    bool terminal; /* stdout is one */
    bool color;    /* stdout is a terminal and NO_COLOR is not set */
    int verbosity; /* -1 quiet, 0, 1, 2 */
    enum progress_mode progress;
    struct failure failure;
};

int fail_with(struct cli *cli, int exit_code, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int fail_usage(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A call of the engine failed while the tool was doing `what` ("opening", "writing m1"). */
int fail_status(struct cli *cli, lore_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A call of the system failed; errno says why. */
int fail_errno(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int fail_interrupted(struct cli *cli);
/* The command to try next; after one of the above. Returns the recorded exit code. */
int fail_next(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

int exit_code_of(lore_status status);

/* A remark on stderr: shown at `level` of verbosity and above (0: unless -q). */
void note(const struct cli *cli, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "warning: ..." unless -q. */
void warn(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *memory_path(const struct cli *cli);
bool path_exists(const char *path);
/* Whether the directory has the file that every store has. */
bool path_is_store(const char *path);

/* Options of the engine from the settings. */
void store_options(struct cli *cli, lore_options *options);

enum open_mode {
    OPEN_WRITE,          /* the writer's lock is needed */
    OPEN_WRITE_OR_READ,  /* take the lock if it is free (so that a crash is recovered and accesses
                          * count); else, or with --read-only, open beside the writer */
    OPEN_RECOVERED_READ, /* let a free store recover, then hold no lock */
    OPEN_READ            /* touch nothing */
};

/* 0, or the exit code of a recorded failure. */
int store_open(struct cli *cli, enum open_mode mode, lore_store **store);
int store_open_path(struct cli *cli, const char *path, enum open_mode mode, lore_store **store);
/* Close at the end of a verb. Keeps `exit_code` when that is a failure already. */
int store_close(struct cli *cli, lore_store *store, int exit_code);

/* Operand text "-": all of stdin, at most `size_max` bytes. 0 or the exit code of a failure. */
int read_all(struct cli *cli, const char *path, size_t size_max, struct text *bytes);

#endif
