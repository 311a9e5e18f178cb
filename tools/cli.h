/*
 * cli.h - what every verb shares: the parsed command line, the settings, the way a store is opened,
 * and how a verb ends.
 *
 * A verb returns an exit code. On failure it has called one of the fail_ calls, which record what
 * happened and what to do next; main prints it once, on stderr. stdout carries data only.
 *
 * With --json stdout carries exactly one document, an object, whatever happens: a verb leaves it
 * with print_json, and main prints it at the end, with the member "error" in it where the verb has
 * failed. On stderr every line is an object then, too.
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
    EXIT_INTERRUPTED = 130,
    EXIT_NO_READER = 141 /* nobody reads stdout any more; nothing is said. As shells show SIGPIPE */
};

enum progress_mode { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_JSON };

struct failure {
    int exit_code;
    lore_status status;
    struct text message; /* what, where and why */
    struct text next;    /* the command to try, or what else to do; never empty */
};

#define QUOTED_MAX 4

/* "%" PRIu64 " %s" of a number of memories. */
#define MEMORIES(count) (count), (count) == 1 ? "memory" : "memories"

struct cli {
    struct args args;
    struct config config;
    bool json;
    bool terminal; /* stdout is one */
    bool color;    /* stdout is a terminal and NO_COLOR is not set */
    int verbosity; /* -1 quiet, 0, 1, 2 */
    enum progress_mode progress;
    struct failure failure;
    struct text answer;             /* the document of --json, without its newline */
    struct text quoted[QUOTED_MAX]; /* of quoted() */
    unsigned quoted_next;
};

/* Each of these records a failure with what usually helps as the next step, which fail_next
 * replaces, and returns its exit code. */
int fail_with(struct cli *cli, int exit_code, lore_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int fail_usage(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A call of the engine failed while the tool was doing `what` ("opening", "writing m1"). */
int fail_status(struct cli *cli, lore_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A call of the system failed; errno says why. */
int fail_errno(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* source_open failed on `path`; errno says why. */
int fail_input(struct cli *cli, const char *path);
/* The store has no embedding space of that name. */
int fail_no_space(struct cli *cli, const char *name);
/* A signal asked to stop. The sentence says what was done until then, and may be empty. */
int fail_interrupted(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The command to try next; after one of the above. Returns the recorded exit code. */
int fail_next(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The object of the member "error". */
void failure_as_json(struct text *out, const struct failure *failure);
void failure_free(struct failure *failure);

int exit_code_of(lore_status status);

/* A word as a shell wants it. Valid until QUOTED_MAX more calls; freed by main. */
const char *quoted(struct cli *cli, const char *word);

/* A remark on stderr: shown at `level` of verbosity and above (0: unless -q or --json, whose
 * document says the same). */
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

/* 0, or a failure when the directory that would hold `path` is not there. */
int need_parent(struct cli *cli, const char *path);
/* Read a word among `words` (ended by NULL): its index. 0 or a failure that lists them. */
int parse_word(struct cli *cli, const char *option, const char *given, const char *const *words,
               int *index);

/* 0, or the exit code of a recorded failure. */
int store_open(struct cli *cli, enum open_mode mode, lore_store **store);
int store_open_path(struct cli *cli, const char *path, enum open_mode mode, lore_store **store);
/* Close at the end of a verb. Keeps `exit_code` when that is a failure already. */
int store_close(struct cli *cli, lore_store *store, int exit_code);

/* Operand text "-": all of stdin, at most `size_max` bytes. 0 or the exit code of a failure. */
int read_all(struct cli *cli, const char *path, size_t size_max, struct text *bytes);

#endif
