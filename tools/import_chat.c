/*
 * import_chat.c - conversations of ChatGPT and Claude exports; see import_parse.h.
 *
 * ChatGPT: {"title", "create_time", "mapping": {node: {"message", "parent"}}, "current_node"}; the
 * conversation that the user saw is the chain of parents from current_node. Claude: {"uuid",
 * "name", "created_at", "chat_messages": [{"uuid", "sender", "text", "content", "created_at"}]}.
 * Turns without words (hidden system messages, tool calls without output) are passed over.
 */
#include "import_parse.h"

#include <stdlib.h>
#include <string.h>

#include "attributes.h"
#include "jsonwrite.h"
#include "timetext.h"

struct chat {
    const struct import_rules *rules;
    const struct import_sink *sink;
    const char *source; /* "chatgpt" or "claude" */
    const char *session;
    const char *title; /* or NULL */
    bool has_time;
    int64_t time_us; /* of the conversation, and then of the last turn */
    uint64_t position;
};

static bool time_of(const json_t *value, int64_t *time_us) {
    if (json_is_number(value)) return time_from_number(json_number_value(value), time_us);
    return json_is_string(value) && time_parse(json_string_value(value), 0, 0, time_us);
}

static lore_slice copied(struct pool *pool, const struct text *text) {
    return (lore_slice){pool_copy(pool, text_string(text), text->size), text->size};
}

static void set_metadata(const struct chat *chat, const char *model, struct pool *pool,
                         lore_memory *memory) {
    struct text text = {0};
    struct json_writer writer = {.out = &text};
    jw_begin_object(&writer);
    jw_string_member(&writer, "source", chat->source);
    if (chat->title != NULL) jw_string_member(&writer, "title", chat->title);
    if (model != NULL) jw_string_member(&writer, "model", model);
    jw_end_object(&writer);
    attribute_set(memory, LORE_ATTR_METADATA, copied(pool, &text));
    text_free(&text);
}

/* One turn. `words` must not be empty. False: the sink stops. */
static bool emit(struct chat *chat, const char *id, const char *role, const struct text *words,
                 const json_t *time, const char *model) {
    struct pool *pool = chat->sink->pool(chat->sink->context);
    lore_memory memory;
    lore_memory_init(&memory);
    struct text name = {0};
    if (id != NULL) {
        text_printf(&name, "%s/%s", chat->session, id);
        attribute_set(&memory, LORE_ATTR_ID, copied(pool, &name));
        text_clear(&name);
    }
    text_puts(&name, chat->session);
    attribute_set(&memory, LORE_ATTR_SESSION, copied(pool, &name));
    text_free(&name);
    attribute_set(&memory, LORE_ATTR_TEXT, copied(pool, words));
    attribute_set(&memory, LORE_ATTR_ROLE,
                  (lore_slice){pool_copy(pool, role, strlen(role)), strlen(role)});
    attribute_set(&memory, LORE_ATTR_KIND, lore_slice_of("dialogue"));
    int64_t time_us;
    if (time_of(time, &time_us)) {
        chat->time_us = time_us;
        chat->has_time = true;
    }
    if (chat->has_time) {
        memory.created_at_us = chat->time_us;
        memory.fields |= LORE_FIELD(LORE_ATTR_CREATED_AT);
    }
    memory.position = chat->position++;
    memory.fields |= LORE_FIELD(LORE_ATTR_POSITION);
    set_metadata(chat, model, pool, &memory);
    import_apply_sets(chat->rules, pool, &memory);
    return chat->sink->emit(chat->sink->context, &memory);
}

/* The words of a "content": {"parts": [...]}, {"text": ...}, or a list of such. */
static void add_words(struct text *words, const json_t *content) {
    const json_t *parts = content;
    if (json_is_object(content)) {
        parts = json_object_get(content, "parts");
        const json_t *text = json_object_get(content, "text");
        if (json_is_string(text))
            text_add(words, json_string_value(text), json_string_length(text));
    }
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        if (json_is_object(part)) part = json_object_get(part, "text");
        if (!json_is_string(part) || json_string_length(part) == 0) continue;
        if (words->size > 0) text_char(words, '\n');
        text_add(words, json_string_value(part), json_string_length(part));
    }
}

static bool chatgpt_turn(struct chat *chat, const char *node_id, const json_t *message) {
    const json_t *hidden = json_object_get(json_object_get(message, "metadata"),
                                           "is_visually_hidden_from_conversation");
    const char *role =
        json_string_value(json_object_get(json_object_get(message, "author"), "role"));
    if (json_is_true(hidden) || role == NULL) return true;
    const char *model =
        json_string_value(json_object_get(json_object_get(message, "metadata"), "model_slug"));
    const char *id = json_string_value(json_object_get(message, "id"));
    struct text words = {0};
    add_words(&words, json_object_get(message, "content"));
    bool go_on = words.size == 0 || emit(chat, id != NULL ? id : node_id, role, &words,
                                         json_object_get(message, "create_time"), model);
    text_free(&words);
    return go_on;
}

/* The deepest last child from any root, for exports without current_node. */
static const char *last_node(const json_t *mapping) {
    const char *key, *leaf = NULL;
    json_t *node;
    json_object_foreach((json_t *)(uintptr_t)mapping, key, node) {
        if (json_is_string(json_object_get(node, "parent"))) continue;
        leaf = key;
        for (size_t steps = 0; steps <= json_object_size(mapping); steps++) {
            const json_t *children = json_object_get(json_object_get(mapping, leaf), "children");
            size_t count = json_array_size(children);
            const char *child =
                count == 0 ? NULL : json_string_value(json_array_get(children, count - 1));
            if (child == NULL || json_object_get(mapping, child) == NULL) break;
            leaf = child;
        }
        break;
    }
    return leaf;
}

static bool read_chatgpt(struct chat *chat, const json_t *object, struct text *error) {
    const json_t *mapping = json_object_get(object, "mapping");
    if (!json_is_object(mapping)) return text_puts(error, "it has no \"mapping\""), false;
    size_t nodes_max = json_object_size(mapping), count = 0;
    const char **chain = alloc_bytes((nodes_max + 1) * sizeof *chain);
    const char *id = json_string_value(json_object_get(object, "current_node"));
    if (id == NULL || json_object_get(mapping, id) == NULL) id = last_node(mapping);
    bool circular = false;
    while (id != NULL && json_object_get(mapping, id) != NULL) {
        circular = count == nodes_max;
        if (circular) break;
        chain[count++] = id;
        id = json_string_value(json_object_get(json_object_get(mapping, id), "parent"));
    }
    if (circular) text_puts(error, "its messages go round in a circle");
    for (size_t i = count; !circular && i > 0; i--) {
        const json_t *message = json_object_get(json_object_get(mapping, chain[i - 1]), "message");
        if (json_is_object(message) && !chatgpt_turn(chat, chain[i - 1], message)) break;
    }
    free(chain);
    return !circular;
}

static bool read_claude(struct chat *chat, const json_t *object, struct text *error) {
    const json_t *messages = json_object_get(object, "chat_messages");
    if (!json_is_array(messages)) return text_puts(error, "it has no \"chat_messages\""), false;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(message, "sender"));
        const json_t *text = json_object_get(message, "text");
        struct text words = {0};
        if (json_is_string(text))
            text_add(&words, json_string_value(text), json_string_length(text));
        if (words.size == 0) add_words(&words, json_object_get(message, "content"));
        if (role == NULL) role = "user";
        if (strcmp(role, "human") == 0) role = "user";
        bool go_on =
            words.size == 0 || emit(chat, json_string_value(json_object_get(message, "uuid")), role,
                                    &words, json_object_get(message, "created_at"), NULL);
        text_free(&words);
        if (!go_on) break;
    }
    return true;
}

static const char *first_string(const json_t *object, const char *const *names) {
    for (; *names != NULL; names++) {
        const char *value = json_string_value(json_object_get(object, *names));
        if (value != NULL && *value != 0) return value;
    }
    return NULL;
}

bool import_conversation(const char *bytes, size_t size, enum import_format format,
                         const struct import_rules *rules, const struct import_sink *sink,
                         struct text *error) {
    static const char *const ids[] = {"conversation_id", "uuid", "id", NULL};
    static const char *const titles[] = {"title", "name", NULL};
    json_error_t why;
    json_t *object = json_loadb(bytes, size, JSON_ALLOW_NUL, &why);
    struct chat chat = {.rules = rules,
                        .sink = sink,
                        .source = import_format_name(format),
                        .session = first_string(object, ids),
                        .title = first_string(object, titles)};
    bool fine = false;
    if (!json_is_object(object)) {
        text_puts(error, object == NULL ? why.text : "not a JSON object");
    } else if (chat.session == NULL) {
        text_puts(error, "a conversation without id");
    } else {
        chat.has_time = time_of(json_object_get(object, "create_time"), &chat.time_us) ||
                        time_of(json_object_get(object, "created_at"), &chat.time_us);
        fine = format == IMPORT_CHATGPT ? read_chatgpt(&chat, object, error)
                                        : read_claude(&chat, object, error);
    }
    json_decref(object);
    return fine;
}
