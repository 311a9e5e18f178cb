/*
 * args.h - what a verb looks like on the command line, and reading a command line by that.
 *
 * A verb is described by a command_spec; commands.c holds the table of all of them, and --help, the
 * man pages and the completions come from the same table. Options may stand before or after the
 * verb's operands, as --name value, --name=value, -n value; "--" ends them. Options of the global
 * table may stand before the verb as well.
 */
#ifndef LORE_TOOLS_ARGS_H
#define LORE_TOOLS_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

struct cli;

struct option_spec {
    const char *name;  /* without the dashes; NULL ends a table */
    char letter;       /* 0: none */
    bool repeat;       /* may be given more than once */
    const char *value; /* what its value is called; NULL: a flag */
    const char *help;  /* one sentence */
    const char *alias; /* another long name, or NULL */
};

struct example_spec {
    const char *command; /* NULL ends a table */
    const char *what;
};

struct command_spec {
    const char *name; /* NULL ends a table */
    const char *alias;
    const char *summary;  /* one line, no full stop */
    const char *operands; /* "[ID]...", or "" */
    size_t operands_min, operands_max;
    const char *details;  /* paragraphs for help and the man page; may be "" */
    const char *document; /* the members of the object of --json */
    const struct option_spec *options;
    const struct example_spec *examples;
    int (*run)(struct cli *cli);
    bool hidden;
};

struct arg_value {
    const struct option_spec *option;
    const char *value; /* "" for a flag */
};

struct args {
    const struct command_spec *command; /* NULL: no verb was given */
    struct arg_value *values;           /* in the order given; owned */
    size_t values_count;
    const char **operands; /* owned array of the caller's strings */
    size_t operands_count;
    const struct command_spec *nearest; /* to a verb that there is not, or NULL */
};

/* False with a sentence in `error` for what the tables do not allow. With no verb at all, and with
 * --help or --version, operands are not counted. */
bool args_parse(const struct command_spec *commands, const struct option_spec *globals, int argc,
                const char *const *argv, struct args *args, struct text *error);
void args_free(struct args *args);

bool args_flag(const struct args *args, const char *name);
const char *args_value(const struct args *args, const char *name); /* the last given, or NULL */
size_t args_count(const struct args *args, const char *name);
const char *args_nth(const struct args *args, const char *name, size_t index);

/* The verb that a mistyped one most likely means, or NULL. */
const struct command_spec *command_nearest(const struct command_spec *commands, const char *name);
const struct command_spec *command_find(const struct command_spec *commands, const char *name);

#endif
