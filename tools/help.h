/* help.h - what the command table says, as help, man pages and completions. */
#ifndef LORE_TOOLS_HELP_H
#define LORE_TOOLS_HELP_H

#include "args.h"

/* `lore --help`, `lore VERB --help`. */
void help_program(struct text *out, const struct command_spec *table,
                  const struct option_spec *globals);
void help_command(struct text *out, const struct command_spec *command,
                  const struct option_spec *globals);

/* lore(1) and lore-VERB(1), in the man macros. */
void man_program(struct text *out, const struct command_spec *table,
                 const struct option_spec *globals);
void man_command(struct text *out, const struct command_spec *command,
                 const struct option_spec *globals);

/* A completion script; false for a shell other than bash, zsh and fish. */
bool completion_script(struct text *out, const char *shell, const struct command_spec *table,
                       const struct option_spec *globals);

#endif
