/* help.c - see help.h. */
#include "help.h"

#include <ctype.h>
#include <string.h>

#include "lore.h"

#define HELP_COLUMN 28

static const char exit_codes[] =
    "0 ok, 1 failure, 2 usage, 3 partly done, 4 not found, 5 corruption found, 10 no store, "
    "11 locked, 12 wrong key, 13 disk or quota full, 130 interrupted, 141 nobody reads stdout";

static const char json_rule[] =
    "With --json a verb prints exactly one JSON document on stdout, an object; lists are arrays in "
    "it. When the verb\nfails, the object has the member error: {code, name, exit_code, message, "
    "next}, beside what was done until\nthen. What is said on stderr meanwhile is one object a "
    "line: progress, warning, note or engine.";

static void option_line(struct text *out, const struct option_spec *option) {
    struct text left = {0};
    if (option->letter != 0) text_printf(&left, "  -%c, --%s", option->letter, option->name);
    if (option->letter == 0) text_printf(&left, "      --%s", option->name);
    if (option->value != NULL) text_printf(&left, " %s", option->value);
    if (option->alias != NULL) text_printf(&left, " (--%s)", option->alias);
    text_puts(out, left.data);
    if (left.size + 2 > HELP_COLUMN) {
        text_printf(out, "\n%*s", HELP_COLUMN, "");
    } else {
        text_printf(out, "%*s", (int)(HELP_COLUMN - left.size), "");
    }
    text_printf(out, "%s%s\n", option->help,
                option->repeat && option->value != NULL ? " Repeatable." : "");
    text_free(&left);
}

static void option_lines(struct text *out, const struct option_spec *options) {
    for (; options != NULL && options->name != NULL; options++)
        option_line(out, options);
}

void help_program(struct text *out, const struct command_spec *table,
                  const struct option_spec *globals) {
    text_printf(out,
                "lore %s - keeps what an agent remembers\n\nUsage: lore [OPTION]... VERB "
                "[ARGUMENT]...\n\nVerbs:\n",
                lore_version());
    for (; table->name != NULL; table++) {
        if (!table->hidden) text_printf(out, "  %-16s%s\n", table->name, table->summary);
    }
    text_puts(out, "\nOptions of every verb:\n");
    option_lines(out, globals);
    text_puts(out, "\nTry: lore VERB --help\n");
}

void help_command(struct text *out, const struct command_spec *command,
                  const struct option_spec *globals) {
    text_printf(out, "lore %s - %s\n\nUsage: lore %s [OPTION]...%s%s\n", command->name,
                command->summary, command->name, command->operands[0] == 0 ? "" : " ",
                command->operands);
    if (command->alias != NULL) text_printf(out, "Also: lore %s\n", command->alias);
    if (command->details[0] != 0) text_printf(out, "\n%s\n", command->details);
    if (command->options != NULL && command->options->name != NULL) {
        text_puts(out, "\nOptions:\n");
        option_lines(out, command->options);
    }
    text_puts(out, "\nOptions of every verb:\n");
    option_lines(out, globals);
    text_printf(out, "\nWith --json: %s\n", command->document);
    const struct example_spec *example = command->examples;
    if (example != NULL && example->command != NULL) text_puts(out, "\nExamples:\n");
    for (; example != NULL && example->command != NULL; example++) {
        text_printf(out, "  %s\n      %s\n", example->command, example->what);
    }
    text_printf(out, "\nExit codes: %s.\n", exit_codes);
}

/* ---- man ---- */

/* Words for troff: a backslash and a dash are special, and so are '.' and ''' at a line's head. */
static void roff(struct text *out, const char *words) {
    bool head = true;
    for (; *words != 0; words++) {
        if (head && (*words == '.' || *words == '\'')) text_puts(out, "\\&");
        if (*words == '\\') {
            text_puts(out, "\\e");
        } else if (*words == '-') {
            text_puts(out, "\\-");
        } else {
            text_char(out, *words);
        }
        head = *words == '\n';
    }
}

static void man_head(struct text *out, const char *name, const char *summary) {
    text_puts(out, ".TH \"");
    for (const char *p = name; *p != 0; p++)
        text_char(out, (char)toupper((unsigned char)*p));
    text_printf(out, "\" \"1\" \"\" \"lore %s\" \"Lore\"\n.SH NAME\n", lore_version());
    roff(out, name);
    text_puts(out, " \\- ");
    roff(out, summary);
    text_char(out, '\n');
}

static void man_options(struct text *out, const struct option_spec *options) {
    for (; options != NULL && options->name != NULL; options++) {
        text_puts(out, ".TP\n\\fB");
        if (options->letter != 0) text_printf(out, "\\-%c\\fR, \\fB", options->letter);
        text_puts(out, "\\-\\-");
        roff(out, options->name);
        text_puts(out, "\\fR");
        if (options->value != NULL) {
            text_puts(out, " \\fI");
            roff(out, options->value);
            text_puts(out, "\\fR");
        }
        if (options->alias != NULL) {
            text_puts(out, " (\\fB\\-\\-");
            roff(out, options->alias);
            text_puts(out, "\\fR)");
        }
        text_char(out, '\n');
        roff(out, options->help);
        text_puts(out, options->repeat && options->value != NULL ? " Repeatable.\n" : "\n");
    }
}

static void man_json(struct text *out, const char *document) {
    text_puts(out, ".SH JSON\n");
    roff(out, json_rule);
    if (document != NULL) {
        text_puts(out, "\n.PP\nThe document here: ");
        roff(out, document);
        text_char(out, '.');
    }
    text_char(out, '\n');
}

static void man_foot(struct text *out) {
    text_puts(out, ".SH EXIT STATUS\n");
    roff(out, exit_codes);
    text_puts(out, ".\n");
}

void man_program(struct text *out, const struct command_spec *table,
                 const struct option_spec *globals) {
    man_head(out, "lore", "keeps what an agent remembers");
    text_puts(out, ".SH SYNOPSIS\n.B lore\n[\\fIOPTION\\fR]... \\fIVERB\\fR "
                   "[\\fIARGUMENT\\fR]...\n.SH VERBS\n");
    for (; table->name != NULL; table++) {
        if (table->hidden) continue;
        text_puts(out, ".TP\n\\fBlore\\-");
        roff(out, table->name);
        text_puts(out, "\\fR(1)\n");
        roff(out, table->summary);
        text_puts(out, "\n");
    }
    text_puts(out, ".SH OPTIONS OF EVERY VERB\n");
    man_options(out, globals);
    text_puts(out, ".SH SETTINGS\nEach setting comes from its option, else from the environment "
                   "variable LORE_ and its "
                   "name in capitals, else from ./lore.conf or ~/.config/lore/config (lines "
                   "\\(oqkey = value\\(cq), "
                   "else from its default; \\fBlore config show \\-\\-origin\\fR tells.\n");
    man_json(out, NULL);
    man_foot(out);
}

void man_command(struct text *out, const struct command_spec *command,
                 const struct option_spec *globals) {
    struct text name = {0};
    text_printf(&name, "lore-%s", command->name);
    man_head(out, name.data, command->summary);
    text_free(&name);
    text_puts(out, ".SH SYNOPSIS\n.B lore ");
    roff(out, command->name);
    text_puts(out, "\n[\\fIOPTION\\fR]... ");
    roff(out, command->operands);
    text_puts(out, "\n");
    if (command->details[0] != 0) {
        text_puts(out, ".SH DESCRIPTION\n");
        for (const char *p = command->details; *p != 0;) {
            size_t size = strcspn(p, "\n");
            struct text line = {0};
            text_add(&line, p, size);
            if (size == 0) text_puts(out, ".PP\n");
            if (size > 0) roff(out, line.data), text_char(out, '\n');
            text_free(&line);
            p += size + (p[size] == '\n');
        }
    }
    if (command->options != NULL && command->options->name != NULL) text_puts(out, ".SH OPTIONS\n");
    man_options(out, command->options);
    text_puts(out, ".SH OPTIONS OF EVERY VERB\n");
    man_options(out, globals);
    man_json(out, command->document);
    const struct example_spec *example = command->examples;
    if (example != NULL && example->command != NULL) text_puts(out, ".SH EXAMPLES\n");
    for (; example != NULL && example->command != NULL; example++) {
        text_puts(out, ".TP\n.nf\n");
        roff(out, example->command);
        text_puts(out, "\n.fi\n");
        roff(out, example->what);
        text_char(out, '\n');
    }
    man_foot(out);
    text_puts(out, ".SH SEE ALSO\n\\fBlore\\fR(1)\n");
}

/* ---- completions ---- */

static void names(struct text *out, const struct option_spec *options) {
    for (; options != NULL && options->name != NULL; options++)
        text_printf(out, " --%s", options->name);
}

static void verbs(struct text *out, const struct command_spec *table) {
    for (; table->name != NULL; table++) {
        if (!table->hidden) text_printf(out, " %s", table->name);
    }
}

static void bash(struct text *out, const struct command_spec *table,
                 const struct option_spec *globals) {
    text_puts(out,
              "# bash completion of lore\n_lore() {\n    local word=${COMP_WORDS[COMP_CWORD]} "
              "verb= options= i\n"
              "    for ((i = 1; i < COMP_CWORD; i++)); do\n        case ${COMP_WORDS[i]} in\n");
    for (const struct command_spec *c = table; c->name != NULL; c++) {
        if (c->hidden) continue;
        text_printf(out, "        %s) verb=%s; options='", c->name, c->name);
        names(out, c->options);
        text_puts(out, "'; break ;;\n");
    }
    text_puts(out, "        esac\n    done\n    if [[ $word == -* ]]; then\n        "
                   "COMPREPLY=($(compgen -W \"$options");
    names(out, globals);
    text_puts(
        out, "\" -- \"$word\"))\n    elif [[ -z $verb ]]; then\n        COMPREPLY=($(compgen -W '");
    verbs(out, table);
    text_puts(
        out,
        "' -- \"$word\"))\n    else\n        COMPREPLY=($(compgen -f -- \"$word\"))\n    fi\n}\n"
        "complete -o filenames -F _lore lore\n");
}

/* A sentence inside single quotes of a shell. */
static void quoted(struct text *out, const char *words) {
    for (; *words != 0; words++) {
        if (*words == '\'') {
            text_puts(out, "'\\''");
        } else if (strchr("[]:", *words) != NULL) {
            text_char(out, ' ');
        } else {
            text_char(out, *words);
        }
    }
}

static void zsh_options(struct text *out, const struct option_spec *options) {
    for (; options != NULL && options->name != NULL; options++) {
        text_printf(out, " \\\n            '%s--%s%s[", options->repeat ? "*" : "", options->name,
                    options->value != NULL ? "=" : "");
        quoted(out, options->help);
        text_puts(out, "]");
        if (options->value != NULL) text_printf(out, ":%s:_files", options->value);
        text_puts(out, "'");
    }
}

static void zsh(struct text *out, const struct command_spec *table,
                const struct option_spec *globals) {
    text_puts(out,
              "#compdef lore\n_lore() {\n    local -a verbs\n    local verb word\n    verbs=(\n");
    for (const struct command_spec *c = table; c->name != NULL; c++) {
        if (c->hidden) continue;
        text_printf(out, "        '%s:", c->name);
        quoted(out, c->summary);
        text_puts(out, "'\n");
    }
    text_puts(out, "    )\n    for word in ${words[2,CURRENT-1]}; do\n        case $word in\n");
    for (const struct command_spec *c = table; c->name != NULL; c++) {
        if (!c->hidden) text_printf(out, "        %s) verb=%s; break ;;\n", c->name, c->name);
    }
    text_puts(out, "        esac\n    done\n    case $verb in\n");
    for (const struct command_spec *c = table; c->name != NULL; c++) {
        if (c->hidden) continue;
        text_printf(out, "    %s)\n        _arguments", c->name);
        zsh_options(out, c->options);
        zsh_options(out, globals);
        text_puts(out, " \\\n            '*:file:_files' ;;\n");
    }
    text_puts(out, "    *)\n        _describe verb verbs ;;\n    esac\n}\n_lore \"$@\"\n");
}

static void fish_options(struct text *out, const char *condition,
                         const struct option_spec *options) {
    for (; options != NULL && options->name != NULL; options++) {
        text_printf(out, "complete -c lore%s -l %s", condition, options->name);
        if (options->letter != 0) text_printf(out, " -s %c", options->letter);
        if (options->value != NULL) text_puts(out, " -r");
        text_puts(out, " -d '");
        quoted(out, options->help);
        text_puts(out, "'\n");
    }
}

static void fish(struct text *out, const struct command_spec *table,
                 const struct option_spec *globals) {
    text_puts(out, "# fish completion of lore\n");
    fish_options(out, "", globals);
    for (; table->name != NULL; table++) {
        if (table->hidden) continue;
        struct text condition = {0};
        text_printf(&condition, " -n '__fish_seen_subcommand_from %s'", table->name);
        text_printf(out, "complete -c lore -n __fish_use_subcommand -a %s -d '", table->name);
        quoted(out, table->summary);
        text_puts(out, "'\n");
        fish_options(out, condition.data, table->options);
        text_free(&condition);
    }
}

bool completion_script(struct text *out, const char *shell, const struct command_spec *table,
                       const struct option_spec *globals) {
    if (strcmp(shell, "bash") == 0) return bash(out, table, globals), true;
    if (strcmp(shell, "zsh") == 0) return zsh(out, table, globals), true;
    if (strcmp(shell, "fish") == 0) return fish(out, table, globals), true;
    return false;
}
