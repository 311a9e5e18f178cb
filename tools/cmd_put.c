/* cmd_put.c - `lore put`: write one memory, or with --update change one. */
#include "alloc.h"
#include "attributes.h"
#include "commands.h"
#include "filters.h"
#include "output.h"
#include "spaces.h"
#include "vectors.h"

#include <string.h>

#define TEXT_BYTES_MAX (256u << 20)

/* Options that set a text attribute. */
static const char *const text_options[] = {
    "id", "kind", "layer", "tier", "status", "user", "agent", "session", "role", "metadata", NULL};

static int read_text(struct cli *cli, struct text *stdin_bytes, lore_memory *memory) {
    const char *given = args_value(&cli->args, "text");
    bool from_stdin = args_flag(&cli->args, "stdin") || (given != NULL && strcmp(given, "-") == 0);
    size_t operands = cli->args.operands_count;
    size_t sources = operands + (given != NULL ? 1 : 0) + args_count(&cli->args, "stdin");
    if (sources > 1) {
        return fail_usage(cli, "give the text once: as an operand, with --text, or with --stdin");
    }
    if (operands == 1 && strcmp(cli->args.operands[0], "-") == 0) from_stdin = true;
    if (from_stdin) {
        int code = read_all(cli, "-", TEXT_BYTES_MAX, stdin_bytes);
        attribute_set(memory, LORE_ATTR_TEXT,
                      (lore_slice){text_string(stdin_bytes), stdin_bytes->size});
        return code;
    }
    if (operands == 1) given = cli->args.operands[0];
    if (given != NULL) attribute_set(memory, LORE_ATTR_TEXT, lore_slice_of(given));
    return 0;
}

static int read_tags(struct cli *cli, struct pool *pool, lore_memory *memory) {
    size_t count = args_count(&cli->args, "tag");
    if (count == 0) return 0;
    lore_slice *tags = pool_alloc(pool, count * sizeof *tags);
    for (size_t i = 0; i < count; i++)
        tags[i] = lore_slice_of(args_nth(&cli->args, "tag", i));
    memory->tags = tags;
    memory->tags_count = count;
    memory->fields |= LORE_FIELD(LORE_ATTR_TAGS);
    return 0;
}

static int read_numbers(struct cli *cli, lore_memory *memory) {
    const struct args *args = &cli->args;
    const char *value = args_value(args, "importance");
    int code = 0;
    if (value != NULL) {
        code = parse_share_option(cli, "importance", value, &memory->importance_score);
        memory->fields |= LORE_FIELD(LORE_ATTR_IMPORTANCE);
    }
    if (code == 0 && (value = args_value(args, "created")) != NULL) {
        code = parse_time_option(cli, "created", value, -1, &memory->created_at_us);
        memory->fields |= LORE_FIELD(LORE_ATTR_CREATED_AT);
    }
    if (code == 0 && (value = args_value(args, "expires")) != NULL) {
        if (strcmp(value, "never") != 0) {
            code = parse_time_option(cli, "expires", value, 1, &memory->expires_at_us);
        }
        memory->fields |= LORE_FIELD(LORE_ATTR_EXPIRES_AT);
    }
    if (code == 0 && args_value(args, "position") != NULL) {
        code = parse_count_option(cli, "position", 0, &memory->position);
        memory->fields |= LORE_FIELD(LORE_ATTR_POSITION);
    }
    return code;
}

static int read_embedding(struct cli *cli, const struct space_list *spaces, const char *given,
                          struct pool *pool, lore_embedding *embedding) {
    const char *equals = strchr(given, '=');
    if (equals == NULL || equals == given)
        return fail_usage(cli, "--embedding %s: not SPACE=FILE", given);
    size_t size = (size_t)(equals - given);
    char *name = pool_alloc(pool, size + 1);
    memcpy(name, given, size);
    name[size] = 0;
    const struct space *space = space_list_find(spaces, name);
    if (space == NULL) return fail_no_space(cli, name);
    embedding->space = lore_slice_of(name);
    struct text error = {0};
    bool fine = vector_read(equals + 1, &space->spec, pool, &embedding->data, &error);
    if (!fine) fail_usage(cli, "--embedding %s: %s", given, text_string(&error));
    text_free(&error);
    return fine ? 0 : cli->failure.exit_code;
}

static int read_embeddings(struct cli *cli, lore_store *store, struct pool *pool,
                           lore_memory *memory) {
    size_t count = args_count(&cli->args, "embedding");
    if (count == 0) return 0;
    struct space_list spaces;
    lore_status status = space_list_read(store, &spaces);
    if (status != LORE_OK) return fail_status(cli, status, "reading the store's spaces");
    lore_embedding *embeddings = pool_alloc(pool, count * sizeof *embeddings);
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++) {
        code = read_embedding(cli, &spaces, args_nth(&cli->args, "embedding", i), pool,
                              &embeddings[i]);
    }
    memory->embeddings = embeddings;
    memory->embeddings_count = count;
    space_list_free(&spaces);
    return code;
}

static int answer(struct cli *cli, const void *id, size_t size, bool update) {
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    int code;
    if (cli->json) {
        jw_begin_object(&writer);
        jw_bytes_member(&writer, "id", id, size);
        jw_string_member(&writer, "result", update ? "updated" : "written");
        jw_end_object(&writer);
        code = print_json(cli, &text);
    } else {
        text_add(&text, id, size);
        text_char(&text, '\n');
        code = print_text(cli, &text);
    }
    text_free(&text);
    return code;
}

static int write_memory(struct cli *cli, lore_store *store, const lore_memory *memory) {
    bool update = args_flag(&cli->args, "update");
    if (update) {
        lore_status status = lore_memory_update(store, memory);
        const char *id = memory->id.data;
        if (status == LORE_NOT_FOUND) {
            fail_status(cli, status, "updating %s", id);
            return fail_next(cli, "lore put TEXT --id %s   (to write it anew)", quoted(cli, id));
        }
        if (status != LORE_OK) return fail_status(cli, status, "updating %s", id);
        return answer(cli, memory->id.data, memory->id.size, true);
    }
    lore_buffer id = {0};
    lore_put_mode mode = args_flag(&cli->args, "insert") ? LORE_PUT_INSERT : LORE_PUT_REPLACE;
    lore_status status = lore_memory_put(store, memory, 1, mode, &id);
    int code = status == LORE_OK ? answer(cli, id.data, id.size, false)
                                 : fail_status(cli, status, "writing the memory");
    if (status == LORE_EXISTS)
        fail_next(cli, "lore put --update --id ...   (or without --insert to replace it)");
    lore_buffer_free(&id);
    return code;
}

int cmd_put(struct cli *cli) {
    struct text stdin_bytes = {0};
    struct pool pool = {0};
    lore_memory memory;
    lore_memory_init(&memory);
    int code = read_text(cli, &stdin_bytes, &memory);
    for (size_t i = 0; code == 0 && text_options[i] != NULL; i++) {
        const char *value = args_value(&cli->args, text_options[i]);
        lore_attribute attribute;
        if (value != NULL && attribute_find(text_options[i], &attribute)) {
            attribute_set(&memory, attribute, lore_slice_of(value));
        }
    }
    if (code == 0) code = read_tags(cli, &pool, &memory);
    if (code == 0) code = read_numbers(cli, &memory);
    bool update = args_flag(&cli->args, "update");
    if (code == 0 && update && memory.id.size == 0) code = fail_usage(cli, "--update needs --id");
    bool has_text = (memory.fields & LORE_FIELD(LORE_ATTR_TEXT)) != 0;
    if (code == 0 && !update && !has_text) {
        code = fail_usage(cli, "a memory needs text: lore put \"what to remember\"");
    }
    lore_store *store = NULL;
    if (code == 0) code = store_open(cli, OPEN_WRITE, &store);
    if (code == 0) code = read_embeddings(cli, store, &pool, &memory);
    if (code == 0) code = write_memory(cli, store, &memory);
    code = store_close(cli, store, code);
    pool_reset(&pool);
    text_free(&stdin_bytes);
    return code;
}
