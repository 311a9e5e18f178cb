/* dump_read.c - see dump_read.h. */
#include "dump_read.h"

#include <inttypes.h>
#include <string.h>

#include "record_json.h"

bool dump_recognised(const char *bytes, size_t size) {
    static const char start[] = "{\"lore_dump\"";
    return size >= sizeof start - 1 && memcmp(bytes, start, sizeof start - 1) == 0;
}

static enum dump_result damaged(struct dump_reader *reader, const char *why) {
    struct text reason = {0};
    text_puts(&reason, why);
    text_clear(&reader->error);
    text_printf(&reader->error, "line %" PRIu64 ": %s", reader->source->line, text_string(&reason));
    text_free(&reason);
    return DUMP_DAMAGED;
}

/* The next line as a JSON object (a new reference), and its raw bytes. */
static enum dump_result next_object(struct dump_reader *reader, json_t **object, const char **line,
                                    size_t *size) {
    switch (source_line(reader->source, reader->line_bytes_max, line, size)) {
    case SOURCE_OK: break;
    case SOURCE_END: return DUMP_END;
    case SOURCE_TOO_LONG: return damaged(reader, "the line is too long");
    case SOURCE_ERROR:
    case SOURCE_INTERRUPTED:
    case SOURCE_MALFORMED: return DUMP_STOPPED;
    }
    if (reader->source->last_line_cut) return damaged(reader, "the dump is cut inside this line");
    json_error_t error;
    *object = json_loadb(*line, *size, JSON_REJECT_DUPLICATES, &error);
    if (*object == NULL) return damaged(reader, error.text);
    if (!json_is_object(*object)) {
        json_decref(*object);
        return damaged(reader, "not a JSON object");
    }
    return DUMP_FINE;
}

static bool read_space(const json_t *item, struct pool *pool, struct space *space) {
    struct text error = {0};
    lore_slice name, model;
    bool named, modelled;
    memset(space, 0, sizeof *space);
    const char *element = json_string_value(json_object_get(item, "element"));
    const char *metric = json_string_value(json_object_get(item, "metric"));
    json_int_t dimensions = json_integer_value(json_object_get(item, "dimensions"));
    bool fine = record_read_bytes(item, "name", pool, &name, &named, &error) && named &&
                record_read_bytes(item, "model", pool, &model, &modelled, &error) &&
                element != NULL && element_find(element, &space->spec.element) && metric != NULL &&
                metric_find(metric, &space->spec.metric) && dimensions >= 1 &&
                dimensions <= LORE_DIMENSIONS_MAX &&
                space_set(space, name.data, name.size, model.data, model.size);
    space->spec.dimensions = (uint32_t)dimensions;
    text_free(&error);
    return fine;
}

static enum dump_result read_spaces(struct dump_reader *reader, const json_t *array) {
    if (!json_is_array(array) || json_array_size(array) > DUMP_SPACES_MAX) {
        return damaged(reader, "the header's \"spaces\" is not a list of spaces");
    }
    for (size_t i = 0; i < json_array_size(array); i++) {
        struct pool pool = {0};
        struct space space;
        bool fine = read_space(json_array_get(array, i), &pool, &space);
        pool_reset(&pool);
        if (!fine) return damaged(reader, "a space of the header is malformed");
        if (space_list_find(&reader->spaces, space.name) != NULL) {
            return damaged(reader, "the header names a space twice");
        }
        space_list_add(&reader->spaces, &space);
    }
    return DUMP_FINE;
}

enum dump_result dump_read_begin(struct dump_reader *reader, struct source *source,
                                 size_t line_bytes_max) {
    *reader = (struct dump_reader){.source = source, .line_bytes_max = line_bytes_max};
    sha256_begin(&reader->sha);
    json_t *header = NULL;
    const char *line;
    size_t size;
    enum dump_result result = next_object(reader, &header, &line, &size);
    if (result == DUMP_END) return damaged(reader, "the file is empty");
    if (result != DUMP_FINE) return result;
    const json_t *version = json_object_get(header, "lore_dump");
    if (version == NULL) {
        result = damaged(reader, "not the header of a dump");
    } else if (json_integer_value(version) != 1) {
        result = damaged(reader, "a dump of a version that this program does not know");
    } else {
        result = read_spaces(reader, json_object_get(header, "spaces"));
    }
    json_decref(header);
    return result;
}

static enum dump_result read_entry(struct dump_reader *reader, const json_t *object,
                                   struct pool *pool, struct dump_item *item) {
    uint64_t keyspace;
    bool is_suspect = json_object_get(object, "suspect") != NULL ||
                      json_object_get(object, "suspect_b64") != NULL;
    if (json_object_size(object) != (is_suspect ? 5 : 4) ||
        !record_read_uint(json_object_get(object, "keyspace"), &keyspace) ||
        keyspace > UINT32_MAX) {
        return damaged(reader, "an entry has keyspace, key and value");
    }
    item->keyspace = (lore_keyspace)keyspace;
    const struct {
        const char *name;
        lore_slice *slice;
    } members[] = {{"key", &item->key}, {"value", &item->value}};
    for (int i = 0; i < 2; i++) {
        /* The member holds base64 under its plain name: read it as if the name said so. */
        json_t *value = json_object_get(object, members[i].name);
        json_t *wrapped = json_pack("{s:O}", "bytes_b64", value);
        struct text error = {0};
        bool found = false;
        bool fine = wrapped != NULL &&
                    record_read_bytes(wrapped, "bytes", pool, members[i].slice, &found, &error);
        json_decref(wrapped);
        text_free(&error);
        if (!fine || !found) return damaged(reader, "an entry's key or value is not base64");
    }
    return DUMP_ENTRY;
}

static enum dump_result read_trailer(struct dump_reader *reader, const json_t *object) {
    uint64_t records, entries;
    const char *digest = json_string_value(json_object_get(object, "digest"));
    if (!record_read_uint(json_object_get(object, "records"), &records) ||
        !record_read_uint(json_object_get(object, "entries"), &entries) || digest == NULL) {
        return damaged(reader, "the trailer is malformed");
    }
    sha256_end(&reader->sha, reader->digest);
    if (records != reader->records || entries != reader->entries) {
        return damaged(reader, "the trailer counts other records than the file holds");
    }
    if (strcmp(digest, reader->digest) != 0) {
        return damaged(reader, "the records do not have the trailer's digest");
    }
    const char *line;
    size_t size;
    enum source_result after = source_line(reader->source, 1, &line, &size);
    if (after == SOURCE_ERROR || after == SOURCE_INTERRUPTED) return DUMP_STOPPED;
    return after == SOURCE_END ? DUMP_END : damaged(reader, "something follows the trailer");
}

enum dump_result dump_read_next(struct dump_reader *reader, struct pool *pool,
                                struct dump_item *item) {
    /* Why salvage has the record in doubt, where it has. */
    static const char *const ignored[] = {"type", "suspect", "suspect_b64", NULL};
    json_t *object = NULL;
    const char *line;
    size_t size;
    enum dump_result result = next_object(reader, &object, &line, &size);
    if (result == DUMP_END) return damaged(reader, "the dump is cut: its trailer is missing");
    if (result != DUMP_FINE) return result;
    const char *type = json_string_value(json_object_get(object, "type"));
    if (type != NULL && strcmp(type, "trailer") == 0) {
        result = read_trailer(reader, object);
        json_decref(object);
        return result;
    }
    sha256_add(&reader->sha, line, size);
    sha256_add(&reader->sha, "\n", 1);
    if (type != NULL && strcmp(type, "memory") == 0) {
        struct text error = {0};
        bool fine = record_read(object, ignored, pool, &item->memory, &error);
        if (fine && item->memory.id.size == 0)
            fine = false, text_puts(&error, "a memory without id");
        result = fine ? DUMP_MEMORY : damaged(reader, text_string(&error));
        reader->records += fine;
        text_free(&error);
    } else if (type != NULL && strcmp(type, "entry") == 0) {
        result = read_entry(reader, object, pool, item);
        reader->entries += result == DUMP_ENTRY;
    } else {
        result = damaged(reader, "the line is neither a memory, an entry nor the trailer");
    }
    json_decref(object);
    return result;
}

void dump_read_end(struct dump_reader *reader) {
    space_list_free(&reader->spaces);
    text_free(&reader->error);
}
