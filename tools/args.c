/* args.c - see args.h. */
#include "args.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

const struct command_spec *command_find(const struct command_spec *commands, const char *name) {
    for (; commands->name != NULL; commands++) {
        if (strcmp(commands->name, name) == 0) return commands;
        if (commands->alias != NULL && strcmp(commands->alias, name) == 0) return commands;
    }
    return NULL;
}

/* How many edits turn a into b (optimal string alignment), for words under 32 letters. */
static size_t distance(const char *a, const char *b) {
    size_t rows[3][33] = {{0}};
    size_t a_size = strlen(a), b_size = strlen(b);
    if (a_size > 32 || b_size > 32) return 99;
    for (size_t j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *older = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && older[j - 2] + 1 < best) best = older[j - 2] + 1;
            now[j] = best;
        }
    }
    return rows[a_size % 3][b_size];
}

const struct command_spec *command_nearest(const struct command_spec *commands, const char *name) {
    const struct command_spec *nearest = NULL;
    size_t size = strlen(name), best = size < 3 ? 2 : 3;
    for (; commands->name != NULL; commands++) {
        if (commands->hidden) continue;
        size_t edits = distance(name, commands->name);
        if (commands->alias != NULL && distance(name, commands->alias) < edits)
            edits = distance(name, commands->alias);
        if (size > 2 && edits > 1 && strncmp(name, commands->name, size) == 0) edits = 1;
        if (edits < best) best = edits, nearest = commands;
    }
    return nearest;
}

static bool unknown_command(struct args *args, const struct command_spec *commands,
                            const char *name, struct text *error) {
    text_puts(error, "there is no verb \"");
    text_add_printable(error, name, strlen(name), true, 40);
    text_puts(error, "\"");
    args->nearest = command_nearest(commands, name);
    if (args->nearest != NULL) text_printf(error, "; did you mean \"%s\"?", args->nearest->name);
    return false;
}

static const struct option_spec *find_long(const struct option_spec *options, const char *name,
                                           size_t size) {
    for (; options != NULL && options->name != NULL; options++) {
        if (strlen(options->name) == size && memcmp(options->name, name, size) == 0) return options;
        if (options->alias != NULL && strlen(options->alias) == size &&
            memcmp(options->alias, name, size) == 0) {
            return options;
        }
    }
    return NULL;
}

static const struct option_spec *find_letter(const struct option_spec *options, char letter) {
    for (; options != NULL && options->name != NULL; options++) {
        if (options->letter == letter) return options;
    }
    return NULL;
}

struct parser {
    const struct command_spec *commands;
    const struct option_spec *globals;
    const char *const *argv;
    int argc, at;
    struct args *args;
    struct text *error;
};

static const struct option_spec *verb_options(const struct parser *parser) {
    return parser->args->command == NULL ? NULL : parser->args->command->options;
}

static bool unknown_option(const struct parser *parser, const char *word) {
    size_t size = strcspn(word, "=");
    struct text name = {0};
    text_add(&name, word, size);
    text_puts(parser->error, "unknown option ");
    text_add_printable(parser->error, word, size, true, 40);
    const char *nearest = NULL;
    size_t best = 3;
    const struct option_spec *tables[] = {verb_options(parser), parser->globals};
    for (int i = 0; i < 2; i++) {
        for (const struct option_spec *o = tables[i]; o != NULL && o->name != NULL; o++) {
            size_t edits = size > 2 ? distance(name.data + 2, o->name) : 99;
            if (edits < best) best = edits, nearest = o->name;
        }
    }
    if (nearest != NULL) text_printf(parser->error, "; did you mean --%s?", nearest);
    if (parser->args->command == NULL) text_puts(parser->error, " (no verb before it)");
    text_free(&name);
    return false;
}

static bool add_value(struct parser *parser, const struct option_spec *option, const char *value) {
    struct args *args = parser->args;
    if (!option->repeat && option->value != NULL && args_count(args, option->name) > 0) {
        text_printf(parser->error, "--%s is given twice", option->name);
        return false;
    }
    args->values = alloc_grow(args->values, (args->values_count + 1) * sizeof *args->values);
    args->values[args->values_count++] = (struct arg_value){option, value};
    return true;
}

/* The value behind an option: the rest of its own word, or the next word. */
static bool take_value(struct parser *parser, const struct option_spec *option,
                       const char *inside) {
    if (option->value == NULL) {
        if (inside == NULL) return add_value(parser, option, "");
        text_printf(parser->error, "--%s takes no value", option->name);
        return false;
    }
    if (inside == NULL && parser->at + 1 >= parser->argc) {
        text_printf(parser->error, "--%s needs a value: %s", option->name, option->value);
        return false;
    }
    return add_value(parser, option, inside != NULL ? inside : parser->argv[++parser->at]);
}

static bool parse_long(struct parser *parser, const char *word) {
    size_t size = strcspn(word + 2, "=");
    const struct option_spec *option = find_long(verb_options(parser), word + 2, size);
    if (option == NULL) option = find_long(parser->globals, word + 2, size);
    if (option == NULL) return unknown_option(parser, word);
    return take_value(parser, option, word[2 + size] == '=' ? word + 3 + size : NULL);
}

static bool parse_letters(struct parser *parser, const char *word) {
    for (const char *p = word + 1; *p != 0; p++) {
        const struct option_spec *option = find_letter(verb_options(parser), *p);
        if (option == NULL) option = find_letter(parser->globals, *p);
        if (option == NULL) return unknown_option(parser, word);
        if (option->value != NULL) return take_value(parser, option, p[1] != 0 ? p + 1 : NULL);
        if (!add_value(parser, option, "")) return false;
    }
    return true;
}

static bool parse_operand(struct parser *parser, const char *word) {
    struct args *args = parser->args;
    if (args->command == NULL) {
        args->command = command_find(parser->commands, word);
        return args->command != NULL ||
               unknown_command(args, parser->commands, word, parser->error);
    }
    args->operands[args->operands_count++] = word;
    return true;
}

static bool count_operands(const struct args *args, struct text *error) {
    const struct command_spec *command = args->command;
    if (command == NULL || args_flag(args, "help") || args_flag(args, "version")) return true;
    if (args->operands_count < command->operands_min) {
        text_printf(error, "%s needs %s", command->name, command->operands);
        return false;
    }
    if (args->operands_count > command->operands_max) {
        const char *extra = args->operands[command->operands_max];
        text_printf(error, "%s does not know what to do with \"", command->name);
        text_add_printable(error, extra, strlen(extra), true, 40);
        text_puts(error, "\"");
        return false;
    }
    return true;
}

bool args_parse(const struct command_spec *commands, const struct option_spec *globals, int argc,
                const char *const *argv, struct args *args, struct text *error) {
    *args = (struct args){.operands = alloc_bytes(((size_t)argc + 1) * sizeof(char *))};
    struct parser parser = {commands, globals, argv, argc, 1, args, error};
    bool options_over = false;
    for (; parser.at < argc; parser.at++) {
        const char *word = argv[parser.at];
        bool fine;
        if (!options_over && strcmp(word, "--") == 0) {
            options_over = true;
            continue;
        }
        if (options_over || word[0] != '-' || word[1] == 0) {
            fine = parse_operand(&parser, word);
        } else if (word[1] == '-') {
            fine = parse_long(&parser, word);
        } else {
            fine = parse_letters(&parser, word);
        }
        if (!fine) return false;
    }
    return count_operands(args, error);
}

void args_free(struct args *args) {
    free(args->values);
    free(args->operands);
    *args = (struct args){0};
}

size_t args_count(const struct args *args, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < args->values_count; i++) {
        count += strcmp(args->values[i].option->name, name) == 0;
    }
    return count;
}

const char *args_nth(const struct args *args, const char *name, size_t index) {
    for (size_t i = 0; i < args->values_count; i++) {
        if (strcmp(args->values[i].option->name, name) != 0) continue;
        if (index-- == 0) return args->values[i].value;
    }
    return NULL;
}

const char *args_value(const struct args *args, const char *name) {
    size_t count = args_count(args, name);
    return count == 0 ? NULL : args_nth(args, name, count - 1);
}

bool args_flag(const struct args *args, const char *name) {
    return args_count(args, name) > 0;
}
