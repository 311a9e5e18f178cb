/* cmd_import.c - `lore import [FILE]`: other people's JSON; see import_parse.h. */
#include "alloc.h"
#include "attributes.h"
#include "commands.h"
#include "import_parse.h"
#include "interrupt.h"
#include "loader.h"
#include "output.h"
#include "progress.h"
#include "source.h"
#include "vectors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BAD_SHOWN_MAX 20u
#define PEEK_BYTES    65536u

struct import {
    struct cli *cli;
    struct source source;
    const char *path;
    enum import_format format;
    struct import_rules rules;
    char *rule_strings; /* the options' values, cut up; owned */
    struct loader loader;
    struct progress progress;
    bool skip_bad;
    bool has_vectors;
    struct vector_file vectors;
    struct space space;
    uint64_t bad;
    bool begun;           /* reading has: the counts say something */
    int stop_code;        /* of a sink that stopped */
    struct text bad_json; /* the first BAD_SHOWN_MAX, as JSON objects */
};

/* ---- options ---- */

/* The names in "a,b,c", cut in place. */
static size_t split(char *list, const char **names, size_t max) {
    size_t count = 0;
    for (char *part = list; part != NULL && count < max; count++) {
        names[count] = part;
        part = strchr(part, ',');
        if (part != NULL) *part++ = 0;
    }
    return count;
}

static int read_pairs(struct import *import, const char *option, char **strings,
                      struct import_rule *rules, size_t *count) {
    struct cli *cli = import->cli;
    for (size_t i = 0; i < args_count(&cli->args, option); i++) {
        const char *given = args_nth(&cli->args, option, i);
        strcpy(*strings, given);
        char *name = *strings, *equals = strchr(name, '=');
        *strings += strlen(given) + 1;
        if (equals == NULL || *count == IMPORT_RULES_MAX) {
            return fail_usage(cli, "--%s %s: not FIELD=%s", option, given,
                              strcmp(option, "map") == 0 ? "NAME" : "VALUE");
        }
        *equals = 0;
        struct import_rule *rule = &rules[*count];
        rule->name = equals + 1;
        if (!attribute_find(name, &rule->attribute)) {
            return fail_usage(cli, "--%s %s: memories have no field \"%s\"", option, given, name);
        }
        lore_memory probe = {0};
        attribute_set(&probe, rule->attribute, lore_slice_of(""));
        if (strcmp(option, "set") == 0 && probe.fields == 0 && rule->attribute != LORE_ATTR_TAGS) {
            return fail_usage(cli, "--set %s: only text fields and tag can be set", given);
        }
        (*count)++;
    }
    return 0;
}

static int read_rules(struct import *import) {
    struct cli *cli = import->cli;
    static const char *const options[] = {"map", "set", "id-from", "session-from"};
    size_t size = 1;
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < args_count(&cli->args, options[i]); k++) {
            size += strlen(args_nth(&cli->args, options[i], k)) + 1;
        }
    }
    char *strings = import->rule_strings = alloc_bytes(size);
    struct import_rules *rules = &import->rules;
    int code = read_pairs(import, "map", &strings, rules->maps, &rules->maps_count);
    if (code == 0) code = read_pairs(import, "set", &strings, rules->sets, &rules->sets_count);
    const char *list = args_value(&cli->args, "id-from");
    if (list != NULL) {
        strcpy(strings, list);
        rules->id_from_count = split(strings, rules->id_from, IMPORT_JOIN_MAX);
        strings += strlen(list) + 1;
    }
    list = args_value(&cli->args, "session-from");
    if (list != NULL) {
        strcpy(strings, list);
        rules->session_from_count = split(strings, rules->session_from, IMPORT_JOIN_MAX);
    }
    return code;
}

static int read_existing(struct cli *cli, enum loader_existing *existing) {
    static const char *const words[] = {"skip", "replace", "fail", NULL};
    static const enum loader_existing values[] = {EXISTING_SKIP, EXISTING_REPLACE, EXISTING_FAIL};
    const char *given = args_value(&cli->args, "existing");
    int word = 0;
    int code = given == NULL ? 0 : parse_word(cli, "existing", given, words, &word);
    *existing = values[word];
    return code;
}

/* ---- vectors that go along, row i with line i ---- */

static int space_of_file(struct import *import, const char *name) {
    struct cli *cli = import->cli;
    const char *element = args_value(&cli->args, "element"),
               *metric = args_value(&cli->args, "metric");
    const char *model = args_value(&cli->args, "model");
    lore_space_spec *spec = &import->space.spec;
    spec->dimensions = import->vectors.dimensions;
    spec->element = import->vectors.element;
    if (element != NULL && !element_find(element, &spec->element)) {
        return fail_usage(cli, "--element %s: not one of f32, f16, int8, binary", element);
    }
    spec->metric = spec->element == LORE_ELEMENT_BINARY ? LORE_METRIC_HAMMING : LORE_METRIC_COSINE;
    if (metric != NULL && !metric_find(metric, &spec->metric)) {
        return fail_usage(cli, "--metric %s: not one of cosine, dot, l2, hamming", metric);
    }
    size_t model_size = model == NULL ? 0 : strlen(model);
    if (spec->dimensions == 0 ||
        !space_set(&import->space, name, strlen(name), model, model_size)) {
        return fail_usage(
            cli, "--embeddings wants a .f16bin or .npy file, --space a name of 1 to 255 bytes");
    }
    return 0;
}

/* The store's space of that name, or a new one with the file's shape. */
static int use_space(struct import *import, lore_store *store) {
    struct cli *cli = import->cli;
    struct space_list spaces;
    lore_status status = space_list_read(store, &spaces);
    if (status != LORE_OK) return fail_status(cli, status, "reading the store's spaces");
    const struct space *existing = space_list_find(&spaces, import->space.name);
    int code = 0;
    if (existing != NULL) {
        import->space = *existing;
        import->space.spec.model.data = import->space.model;
        if (import->vectors.dimensions != existing->spec.dimensions) {
            code =
                fail_usage(cli, "space %s has %" PRIu32 " dimensions, the file %" PRIu32,
                           existing->name, existing->spec.dimensions, import->vectors.dimensions);
        }
    } else {
        status = lore_space_create(store, import->space.name, &import->space.spec);
        if (status != LORE_OK)
            code = fail_status(cli, status, "creating space %s", import->space.name);
    }
    space_list_free(&spaces);
    return code;
}

static int open_vectors(struct import *import) {
    struct cli *cli = import->cli;
    const char *path = args_value(&cli->args, "embeddings"),
               *name = args_value(&cli->args, "space");
    if (path == NULL && name == NULL) return 0;
    if (path == NULL || name == NULL)
        return fail_usage(cli, "--embeddings FILE and --space NAME go together");
    struct text error = {0};
    import->has_vectors = vector_file_open(&import->vectors, path, &error);
    if (!import->has_vectors) fail_usage(cli, "--embeddings %s", text_string(&error));
    text_free(&error);
    return import->has_vectors ? space_of_file(import, name) : cli->failure.exit_code;
}

static bool attach_vector(struct import *import, uint64_t row, struct pool *pool,
                          lore_memory *memory, struct text *error) {
    if (!import->has_vectors) return true;
    size_t stride = space_stride(&import->space.spec);
    lore_embedding *embedding = pool_alloc(pool, sizeof *embedding);
    void *data = pool_alloc(pool, stride);
    *embedding = (lore_embedding){lore_slice_of(import->space.name), {data, stride}};
    memory->embeddings = embedding;
    memory->embeddings_count = 1;
    return vector_file_row(&import->vectors, row, &import->space.spec, data, error);
}

/* ---- what is bad ---- */

static int on_bad(void *context, uint64_t where, lore_status status, const char *why) {
    struct import *import = context;
    struct cli *cli = import->cli;
    const char *unit = import_is_chat(import->format) ? "conversation" : "line";
    if (import->format == IMPORT_ARRAY) unit = "element";
    import->bad++;
    if (!import->skip_bad) {
        fail_with(cli, EXIT_FAILED, status, "%s, %s %" PRIu64 ": %s", import->path, unit, where,
                  why);
        text_printf(&cli->failure.message, "; %" PRIu64 " memories had been imported before it",
                    import->loader.written);
        return fail_next(cli,
                         "mend it, or lore import --skip-bad %s   (what is there already is kept)",
                         quoted(cli, cli->args.operands_count == 1 ? cli->args.operands[0] : "-"));
    }
    if (import->bad > BAD_SHOWN_MAX) return 0;
    warn(cli, "%s, %s %" PRIu64 ": %s", import->path, unit, where, why);
    struct json_writer writer = {.out = &import->bad_json, .comma = import->bad_json.size > 0};
    jw_begin_object(&writer);
    jw_uint_member(&writer, unit, where);
    jw_string_member(&writer, "error", why);
    jw_end_object(&writer);
    return 0;
}

/* ---- reading ---- */

static int import_one(struct import *import, const char *bytes, size_t size, uint64_t row) {
    struct pool *pool = loader_pool(&import->loader);
    struct text error = {0};
    lore_memory memory;
    bool fine = import_record(bytes, size, import->format, &import->rules, pool, &memory, &error) &&
                attach_vector(import, row, pool, &memory, &error);
    int code;
    if (fine) {
        code = loader_add(&import->loader, &memory, import->source.line);
    } else {
        if (!import->skip_bad) {
            code = loader_flush(&import->loader);
        } else {
            code = 0;
        }
        if (code == 0)
            code = on_bad(import, import->source.line, LORE_INVALID, text_string(&error));
    }
    text_free(&error);
    return code;
}

static struct pool *chat_pool(void *context) {
    struct import *import = context;
    return loader_pool(&import->loader);
}

static bool chat_emit(void *context, const lore_memory *memory) {
    struct import *import = context;
    import->stop_code = loader_add(&import->loader, memory, import->source.line);
    return import->stop_code == 0;
}

static int import_chat(struct import *import, const char *bytes, size_t size) {
    struct import_sink sink = {chat_pool, chat_emit, import};
    struct text error = {0};
    int code = 0;
    if (!import_conversation(bytes, size, import->format, &import->rules, &sink, &error)) {
        if (!import->skip_bad) code = loader_flush(&import->loader);
        if (code == 0)
            code = on_bad(import, import->source.line, LORE_INVALID, text_string(&error));
    } else {
        code = import->stop_code;
    }
    text_free(&error);
    return code;
}

static bool is_blank(const char *line, size_t size) {
    while (size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\t'))
        size--;
    return size == 0;
}

static int fail_source(struct import *import, enum source_result result) {
    int code = loader_flush(&import->loader);
    if (code != 0) return code;
    if (result == SOURCE_INTERRUPTED || interrupt_pending()) {
        fail_interrupted(import->cli, "%" PRIu64 " memories had been imported and stay",
                         import->loader.written);
        return fail_next(import->cli, "lore import again: what is there already is kept");
    }
    if (result == SOURCE_ERROR) {
        errno = import->source.error;
        return fail_errno(import->cli, "cannot read %s", import->path);
    }
    bool array = import->format == IMPORT_ARRAY || import_is_chat(import->format);
    const char *why = result == SOURCE_TOO_LONG ? "it is too long"
                      : array                   ? "the file is cut or is not a JSON array"
                                                : "a line of more than 1 GiB: this is no text";
    import->skip_bad = false; /* there is no next element to go on with */
    return on_bad(import, import->source.line, LORE_INVALID, why);
}

static int import_all(struct import *import) {
    bool array = import->format == IMPORT_ARRAY || import_is_chat(import->format);
    size_t max =
        import_is_chat(import->format) ? IMPORT_CONVERSATION_BYTES_MAX : IMPORT_LINE_BYTES_MAX;
    uint64_t rows = 0;
    int code = 0;
    while (code == 0) {
        const char *bytes;
        size_t size;
        enum source_result result = array ? source_array_next(&import->source, max, &bytes, &size)
                                          : source_line(&import->source, max, &bytes, &size);
        if (result == SOURCE_END) break;
        if (result == SOURCE_TOO_LONG && !array) {
            rows++;
            code =
                on_bad(import, import->source.line, LORE_TOO_BIG, "the line is longer than 16 MiB");
        } else if (result != SOURCE_OK) {
            return fail_source(import, result);
        } else if (import_is_chat(import->format)) {
            code = import_chat(import, bytes, size);
        } else if (array || !is_blank(bytes, size)) {
            code = import_one(import, bytes, size, rows++);
        }
        uint64_t done = import->source.taken;
        if (code == 0 && !progress_step(&import->progress, "import", done, import->source.size)) {
            return fail_source(import, SOURCE_INTERRUPTED);
        }
    }
    if (code == 0) code = loader_flush(&import->loader);
    if (code == 0 && import->has_vectors && rows < import->vectors.rows) {
        warn(import->cli,
             "%" PRIu64 " vectors are left over: are these embeddings of another file?",
             import->vectors.rows - rows);
    }
    return code;
}

static int answer(struct import *import, bool dry_run) {
    struct cli *cli = import->cli;
    const struct loader *loader = &import->loader;
    if (!cli->json) {
        note(cli, 0, "%s %" PRIu64 " %s (%s)", dry_run ? "would import" : "imported",
             MEMORIES(loader->written), import_format_name(import->format));
        if (loader->skipped > 0) {
            note(cli, 0, "kept %" PRIu64 " that were there already (--existing replace overwrites)",
                 loader->skipped);
        }
        return 0;
    }
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_begin_object(&writer);
    jw_string_member(&writer, "format", import_format_name(import->format));
    jw_uint_member(&writer, dry_run ? "would_import" : "imported", loader->written);
    jw_uint_member(&writer, "existing", loader->skipped);
    jw_uint_member(&writer, "bad", import->bad);
    text_puts(&text, ",\"bad_records\":[");
    text_puts(&text, text_string(&import->bad_json));
    text_puts(&text, "]");
    jw_end_object(&writer);
    int code = print_json(cli, &text);
    text_free(&text);
    return code;
}

static int open_source(struct import *import) {
    struct cli *cli = import->cli;
    const char *given = args_value(&cli->args, "format"), *bytes;
    import->path = cli->args.operands_count == 1 ? cli->args.operands[0] : "-";
    if (given != NULL && !import_format_find(given, &import->format)) {
        return fail_usage(
            cli, "--format %s: not one of auto, jsonl, array, locomo, chatgpt, claude", given);
    }
    if (!source_open(&import->source, import->path)) return fail_input(cli, import->path);
    if (strcmp(import->path, "-") == 0) import->path = "stdin";
    size_t size = source_peek_line(&import->source, PEEK_BYTES, &bytes);
    if (size > 0 && bytes[0] == '[') size = source_peek(&import->source, PEEK_BYTES, &bytes);
    if (size >= 12 && memcmp(bytes, "{\"lore_dump\"", 12) == 0) {
        fail_usage(cli, "%s is a dump of Lore", import->path);
        return fail_next(cli, "lore load %s",
                         quoted(cli, cli->args.operands_count == 1 ? import->path : "-"));
    }
    if (import->format == IMPORT_AUTO) import->format = import_detect(bytes, size);
    if (import_is_chat(import->format) && args_value(&cli->args, "embeddings") != NULL) {
        return fail_usage(cli, "--embeddings goes with records, not with conversations");
    }
    return 0;
}

int cmd_import(struct cli *cli) {
    struct import *import = alloc_bytes(sizeof *import);
    bool dry_run = args_flag(&cli->args, "dry-run");
    lore_store *store = NULL;
    enum loader_existing existing;
    *import = (struct import){.cli = cli, .skip_bad = args_flag(&cli->args, "skip-bad")};
    import->source.fd = -1;
    import->vectors.fd = -1;
    int code = read_existing(cli, &existing);
    if (code == 0) code = read_rules(import);
    if (code == 0) code = open_source(import);
    if (code == 0) code = open_vectors(import);
    if (code == 0 && !dry_run) code = store_open(cli, OPEN_WRITE, &store);
    if (code == 0 && store != NULL && import->has_vectors) code = use_space(import, store);
    if (code == 0) {
        loader_begin(&import->loader, cli, store, existing);
        import->loader.on_bad = on_bad;
        import->loader.context = import;
        import->begun = true;
        progress_begin(&import->progress, cli, "B");
        code = import_all(import);
        progress_end(&import->progress);
        loader_end(&import->loader);
    }
    code = store_close(cli, store, code);
    if (code == 0) {
        code = answer(import, dry_run);
    } else if (cli->json && import->begun) {
        answer(import, dry_run); /* what was kept, beside the failure */
    }
    if (code == 0 && import->bad > 0) {
        fail_with(cli, EXIT_PARTIAL, LORE_INVALID, "%" PRIu64 " bad records were left out",
                  import->bad);
        code = fail_next(cli, "mend these lines and lore import again: what is there is kept");
    }
    vector_file_close(&import->vectors);
    source_close(&import->source);
    text_free(&import->bad_json);
    free(import->rule_strings);
    free(import);
    return code;
}
