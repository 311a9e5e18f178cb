/*
 * salvage.c - lore_salvage: what can be read of a damaged store (store/salvage.h) into a new one,
 * written as any program would write it, so that its indexes are right by construction.
 *
 * Every change of a memory writes the attributes under its row, or deletes them: so where no newer
 * entry of that one key can be missing, the memory is there, and is this one, whatever became of
 * its id and indexes. Its text never changes under a row. Its vectors may, so none of their newer
 * entries may be missing either. A row that is in doubt is a suspect, unless its id leads elsewhere
 * or is gone, which says that it was replaced or deleted.
 */
#include <inttypes.h>
#include <stdio.h>

#include "memory/access.h"
#include "memory/limits.h"
#include "memory/record.h"
#include "store/salvage.h"

#include "base/poison.h"

#define REASON_BYTES 256u
#define BATCH_BYTES  (256u << 10)

struct salvaging {
    struct store_salvage *source;
    lore_store *from, *to;
    const struct allocator *allocator;
    const lore_salvage_calls *calls;
    lore_salvage_report *report;
    struct store_read reading;
    struct bytes key, value;
    uint64_t done;
    lore_status status; /* of callbacks that cannot return one */
};

static bool is_hurt(lore_status status) {
    return status == LORE_CORRUPTION || status == LORE_IO;
}

static lore_status step(struct salvaging *s, const char *stage) {
    if (++s->done % 256 != 0 || s->calls->progress == NULL) return LORE_OK;
    lore_progress progress = {stage, s->done, 0};
    if (s->calls->progress(s->calls->context, &progress)) return LORE_OK;
    return fail(LORE_CANCELLED, "salvage stopped as asked; nothing was made");
}

static lore_status suspect(struct salvaging *s, const lore_suspect *found) {
    s->report->suspects++;
    if (s->calls->suspect == NULL) return LORE_OK;
    lore_status status = s->calls->suspect(s->calls->context, found);
    return status == LORE_OK ? LORE_OK : fail(status, "the suspect records cannot be written");
}

static lore_status suspect_memory(struct salvaging *s, const lore_memory *memory,
                                  const char *reason) {
    lore_suspect found = {.memory = memory, .reason = reason};
    return suspect(s, &found);
}

static void lose(struct salvaging *s, const char *kind, lore_slice id, const char *space,
                 const char *message) {
    lore_loss loss = {
        .kind = kind, .offset = UINT64_MAX, .id = id, .space = space, .message = message};
    store_salvage_lose(s->source, &loss);
}

/* ---- walks ---- */

typedef lore_status (*entry_fn)(struct salvaging *s, struct lsm_iterator *iterator);

static lore_status walk(struct salvaging *s, uint32_t first, uint32_t end, const char *stage,
                        entry_fn visit) {
    uint8_t lower[KEYSPACE_BYTES], upper[KEYSPACE_BYTES];
    put_be32(lower, first);
    put_be32(upper, end);
    struct lsm_iterator *iterator;
    TRY(lsm_iterator_create(store_tree(s->from), s->allocator, s->reading.sequence,
                            slice(lower, sizeof lower), slice(upper, sizeof upper), &iterator));
    lore_status status = lsm_iterator_seek_first(iterator);
    while (status == LORE_OK && lsm_iterator_valid(iterator)) {
        status = step(s, stage);
        if (status == LORE_OK) status = visit(s, iterator);
        if (status == LORE_OK) status = lsm_iterator_next(iterator);
    }
    lsm_iterator_destroy(iterator);
    return status;
}

/* ---- the row of an id ---- */

struct id_row {
    bool found;
    uint64_t row, sequence;
};

/* An entry that cannot be read is as good as none. */
static lore_status find_row(struct salvaging *s, lore_slice id, struct id_row *at) {
    struct lookup lookup = {0};
    *at = (struct id_row){0};
    TRY(key_id(&s->key, id));
    lore_status status = store_get(s->from, &s->reading, bytes_slice(&s->key), &lookup, &s->value);
    if (is_hurt(status)) return LORE_OK;
    TRY(status);
    at->sequence = lookup.sequence;
    at->found = lookup.found && s->value.size == ROW_BYTES;
    if (at->found) at->row = get_be64(s->value.data);
    return LORE_OK;
}

static const char *doubt_of_id(struct salvaging *s, lore_slice id, uint64_t sequence,
                               lore_status *status) {
    *status = key_id(&s->key, id);
    return *status == LORE_OK ? store_salvage_doubt(s->source, bytes_slice(&s->key), sequence)
                              : NULL;
}

/* ---- one memory ---- */

struct candidate {
    uint64_t row, sequence;
    struct bytes encoded, text;
    struct attributes attributes;
    bool has_text;
    lore_memory memory;
    struct record_embedding *vectors; /* attributes.spaces_count */
    lore_embedding *embeddings;       /* likewise, memory.embeddings_count of them there */
    char reason[REASON_BYTES];        /* empty: it is sound */
};

static void doubt(struct candidate *c, const char *reason) {
    if (reason != NULL && c->reason[0] == '\0') snprintf(c->reason, REASON_BYTES, "%.255s", reason);
}

static void candidate_deinit(struct salvaging *s, struct candidate *c) {
    size_t count = c->attributes.spaces_count;
    for (size_t i = 0; c->vectors != NULL && i < count; i++)
        bytes_free(&c->vectors[i].vector);
    mem_put(s->allocator, c->vectors, c->vectors == NULL ? 0 : count * sizeof *c->vectors);
    mem_put(s->allocator, c->embeddings, c->embeddings == NULL ? 0 : count * sizeof *c->embeddings);
    attributes_deinit(&c->attributes);
    bytes_free(&c->encoded);
    bytes_free(&c->text);
}

/* A key's value; *there false: it is not there, or cannot be read (then the error text says why).
 */
static lore_status get(struct salvaging *s, lore_slice key, struct bytes *value, uint64_t *sequence,
                       bool *there) {
    struct lookup lookup = {0};
    *there = false;
    lore_status status = store_get(s->from, &s->reading, key, &lookup, value);
    if (is_hurt(status)) return LORE_OK;
    TRY(status);
    *sequence = lookup.sequence;
    *there = lookup.found;
    if (!*there) (void)fail(LORE_CORRUPTION, "it is not where it should be");
    return LORE_OK;
}

static lore_status read_embedding(struct salvaging *s, struct candidate *c, size_t i) {
    struct record_embedding *embedding = &c->vectors[i];
    uint32_t number = c->attributes.spaces[i];
    uint8_t key[VECTOR_KEY_BYTES];
    struct space space;
    size_t name_size = 0;
    uint64_t sequence = 0;
    bool there = false, known = store_space_by_number(s->from, number, &space, embedding->name,
                                                      &name_size) == LORE_OK;
    char name[REASON_BYTES], text[REASON_BYTES];
    if (known)
        snprintf(name, sizeof name, "%.*s", (int)name_size, embedding->name);
    else
        snprintf(name, sizeof name, "number %" PRIu32, number);
    vector_key_encode(number, c->row, key);
    if (known)
        TRY(get(s, slice(key, sizeof key), &embedding->vector, &sequence, &there));
    else
        (void)fail(LORE_CORRUPTION, "the space is not known");
    if (there && embedding->vector.size == space.stride_bytes) {
        doubt(c, store_salvage_doubt(s->source, slice(key, sizeof key), sequence));
        c->embeddings[c->memory.embeddings_count++] =
            (lore_embedding){slice(embedding->name, name_size), bytes_slice(&embedding->vector)};
        return LORE_OK;
    }
    snprintf(text, sizeof text, "its embedding cannot be read: %.200s",
             store_salvage_text(s->source));
    lose(s, "embedding", c->memory.id, name, text);
    snprintf(text, sizeof text, "its embedding in space %.200s is lost", name);
    doubt(c, text);
    return LORE_OK;
}

static lore_status read_embeddings(struct salvaging *s, struct candidate *c) {
    size_t count = c->attributes.spaces_count;
    void *memory;
    TRY(mem_new(s->allocator, count * sizeof *c->vectors, &memory));
    c->vectors = memory;
    for (size_t i = 0; i < count; i++)
        c->vectors[i].vector = bytes_empty(s->allocator);
    TRY(mem_new(s->allocator, count * sizeof *c->embeddings, &memory));
    c->embeddings = memory;
    for (size_t i = 0; i < count; i++)
        TRY(read_embedding(s, c, i));
    c->memory.embeddings = c->embeddings;
    return LORE_OK;
}

/* Counts that may lack some, or be of a memory that was deleted since, are left out. */
static lore_status read_access(struct salvaging *s, struct candidate *c) {
    uint64_t sequence = 0;
    int64_t count = 0, last_us = 0;
    bool there;
    TRY(key_access(&s->key, c->memory.id));
    TRY(get(s, bytes_slice(&s->key), &s->value, &sequence, &there));
    if (!there || !access_decode(bytes_slice(&s->value), &count, &last_us)) return LORE_OK;
    if (store_salvage_doubt(s->source, bytes_slice(&s->key), 0) != NULL) {
        lose(s, "access", c->memory.id, NULL, "its access counts are in doubt, and left out");
        return LORE_OK;
    }
    c->memory.access_count = (uint64_t)count;
    c->memory.last_accessed_at_us = last_us;
    c->memory.fields |= LORE_FIELD(LORE_ATTR_ACCESS_COUNT);
    if (last_us != 0) c->memory.fields |= LORE_FIELD(LORE_ATTR_LAST_ACCESSED_AT);
    return LORE_OK;
}

static lore_status read_its_text(struct salvaging *s, struct candidate *c) {
    uint64_t sequence;
    TRY(key_record(&s->key, c->row, RECORD_TEXT));
    TRY(get(s, bytes_slice(&s->key), &c->text, &sequence, &c->has_text));
    if (c->has_text) {
        c->memory.text = bytes_slice(&c->text);
        c->memory.fields |= LORE_FIELD(LORE_ATTR_TEXT);
    }
    return LORE_OK;
}

/* Whether the row may be the one that counts; a sound one is. */
static lore_status is_current(struct salvaging *s, struct candidate *c, bool *current) {
    struct id_row at;
    lore_status status;
    TRY(find_row(s, c->memory.id, &at));
    *current = true;
    if (at.found && at.row == c->row) return LORE_OK;
    const char *in_doubt = doubt_of_id(s, c->memory.id, at.sequence, &status);
    TRY(status);
    if (at.sequence > c->sequence) {
        /* Replaced or deleted. The old row is of use when the new one cannot be read. */
        bool readable = true;
        uint64_t sequence;
        if (at.found) {
            TRY(key_record(&s->key, at.row, RECORD_ATTRIBUTES));
            TRY(get(s, bytes_slice(&s->key), &s->value, &sequence, &readable));
            if (readable) {
                TRY(key_record(&s->key, at.row, RECORD_TEXT));
                TRY(get(s, bytes_slice(&s->key), &s->value, &sequence, &readable));
            }
        }
        *current = !readable;
        doubt(c, "an older version; the newer one cannot be read");
    } else if (in_doubt == NULL) {
        *current = false;
    }
    if (in_doubt == NULL) doubt(c, "its id leads elsewhere");
    return LORE_OK;
}

static lore_status put_memory(struct salvaging *s, struct candidate *c) {
    lore_status status = lore_memory_put(s->to, &c->memory, 1, LORE_PUT_INSERT, NULL);
    if (status == LORE_OK) s->report->memories++;
    if (status != LORE_EXISTS && status != LORE_INVALID && status != LORE_TOO_BIG &&
        status != LORE_NOT_FOUND)
        return status;
    snprintf(c->reason, REASON_BYTES, "it cannot be written: %.200s", lore_error_message());
    return suspect_memory(s, &c->memory, c->reason);
}

static lore_status settle(struct salvaging *s, struct candidate *c) {
    bool current;
    TRY(is_current(s, c, &current));
    if (!current) return LORE_OK;
    TRY(read_its_text(s, c));
    if (!c->has_text) {
        char text[REASON_BYTES];
        snprintf(text, sizeof text, "its text cannot be read: %.200s",
                 store_salvage_text(s->source));
        s->report->memories_lost++;
        lose(s, "memory", c->memory.id, NULL, text);
        return LORE_OK;
    }
    TRY(read_embeddings(s, c));
    TRY(read_access(s, c));
    return c->reason[0] == '\0' ? put_memory(s, c) : suspect_memory(s, &c->memory, c->reason);
}

/* An entry of the records: the attributes of a row lead to all that belongs to it. */
static lore_status visit_record(struct salvaging *s, struct lsm_iterator *iterator) {
    lore_slice key = lsm_iterator_key(iterator), value;
    const uint8_t *bytes = key.data;
    if (key.size != KEYSPACE_BYTES + ROW_BYTES + 1 || bytes[key.size - 1] != RECORD_ATTRIBUTES)
        return LORE_OK;
    lore_status status = lsm_iterator_value(iterator, &value);
    if (is_hurt(status)) return LORE_OK; /* its id tells of it */
    TRY(status);
    struct candidate c = {.row = get_be64(bytes + KEYSPACE_BYTES),
                          .sequence = lsm_iterator_sequence(iterator),
                          .encoded = bytes_empty(s->allocator),
                          .text = bytes_empty(s->allocator)};
    status = bytes_set(&c.encoded, value);
    if (status == LORE_OK)
        status = attributes_decode(bytes_slice(&c.encoded), s->allocator, &c.attributes);
    if (status == LORE_OK) {
        c.memory = c.attributes.memory;
        doubt(&c, store_salvage_doubt(s->source, key, c.sequence));
        status = settle(s, &c);
    } else if (status == LORE_CORRUPTION || status == LORE_UNSUPPORTED) {
        status = LORE_OK;
    }
    candidate_deinit(s, &c);
    return status;
}

/* ---- memories that only their id tells of ---- */

/* The text alone, where that can be read. */
static lore_status tell_of_rest(struct salvaging *s, lore_slice id, uint64_t row) {
    struct bytes text = bytes_empty(s->allocator);
    uint64_t sequence;
    bool there;
    lore_status status = key_record(&s->key, row, RECORD_TEXT);
    if (status == LORE_OK) status = get(s, bytes_slice(&s->key), &text, &sequence, &there);
    s->report->memories_lost++;
    if (status == LORE_OK)
        lose(s, "memory", id, NULL,
             there ? "its attributes are lost; its text is there" : "all but its id is lost");
    if (status == LORE_OK && there) {
        lore_memory memory;
        lore_memory_init(&memory);
        memory.fields = LORE_FIELD(LORE_ATTR_ID) | LORE_FIELD(LORE_ATTR_TEXT);
        memory.id = id;
        memory.text = bytes_slice(&text);
        status = suspect_memory(s, &memory, "its attributes are lost; this is its id and text");
    }
    bytes_free(&text);
    return status;
}

static lore_status visit_id(struct salvaging *s, struct lsm_iterator *iterator) {
    lore_slice key = lsm_iterator_key(iterator), value;
    lore_slice id = slice((const uint8_t *)key.data + KEYSPACE_BYTES, key.size - KEYSPACE_BYTES);
    lore_status status = lsm_iterator_value(iterator, &value);
    if (is_hurt(status) || (status == LORE_OK && value.size != ROW_BYTES)) return LORE_OK;
    TRY(status);
    uint64_t row = get_be64(value.data), sequence = 0;
    bool there;
    TRY(key_record(&s->key, row, RECORD_ATTRIBUTES));
    TRY(get(s, bytes_slice(&s->key), &s->value, &sequence, &there));
    if (there) {
        struct attributes attributes;
        status = attributes_decode(bytes_slice(&s->value), s->allocator, &attributes);
        if (status == LORE_OK) {
            attributes_deinit(&attributes);
            return LORE_OK;
        }
        if (status != LORE_CORRUPTION && status != LORE_UNSUPPORTED) return status;
    }
    /* Deleted, as far as can be known. */
    if (sequence > lsm_iterator_sequence(iterator)) return LORE_OK;
    return tell_of_rest(s, id, row);
}

/* ---- the ordered map ---- */

static lore_status visit_entry(struct salvaging *s, struct lsm_iterator *iterator) {
    lore_slice key = lsm_iterator_key(iterator), value;
    if (key.size < KEYSPACE_BYTES) return LORE_OK;
    lore_suspect found = {
        .keyspace = get_be32(key.data),
        .key = slice((const uint8_t *)key.data + KEYSPACE_BYTES, key.size - KEYSPACE_BYTES)};
    lore_status status = lsm_iterator_value(iterator, &value);
    if (is_hurt(status)) {
        lore_loss loss = {.kind = "entry",
                          .offset = UINT64_MAX,
                          .first_key = key,
                          .last_key = key,
                          .message = store_salvage_text(s->source)};
        store_salvage_lose(s->source, &loss);
        return LORE_OK;
    }
    TRY(status);
    found.value = value;
    found.reason = store_salvage_doubt(s->source, key, lsm_iterator_sequence(iterator));
    if (found.reason != NULL) return suspect(s, &found);
    status = lore_put(s->to, found.keyspace, found.key, value);
    if (status == LORE_OK) s->report->entries++;
    if (status != LORE_TOO_BIG) return status;
    found.reason = "it is too large for this memory_budget";
    return suspect(s, &found);
}

/* ---- spaces ---- */

static bool take_space(void *context, const lore_space_info *info) {
    struct salvaging *s = context;
    char name[256];
    snprintf(name, sizeof name, "%.*s", (int)info->name.size, (const char *)info->name.data);
    s->status = lore_space_create(s->to, name, &info->spec);
    return s->status == LORE_OK;
}

/* ---- all of it ---- */

static lore_status salvage_records(struct salvaging *s) {
    TRY(lore_space_list(s->from, take_space, s));
    TRY(s->status);
    TRY(walk(s, KEYSPACE_RECORD, KEYSPACE_RECORD + 1, "memories", visit_record));
    TRY(walk(s, KEYSPACE_ID, KEYSPACE_ID + 1, "ids", visit_id));
    return walk(s, 0, LORE_KEYSPACE_RESERVED, "entries", visit_entry);
}

/* A fault of the new store. It has no CURRENT before it is published. */
static void note_finding(void *context, const lore_finding *finding) {
    struct salvaging *s = context;
    if (finding->status == LORE_OK || strcmp(finding->file, "CURRENT") == 0) return;
    s->status = fail(LORE_CORRUPTION, "the new store is hurt: %.200s", finding->message);
}

static bool verify_progress(void *context, const lore_progress *progress) {
    const struct salvaging *s = context;
    return s->calls->progress == NULL || s->calls->progress(s->calls->context, progress);
}

static lore_status verify_new(struct salvaging *s) {
    lore_verify_report report = {0};
    lore_status status = lore_verify(s->to, note_finding, verify_progress, s, &report);
    return status == LORE_CORRUPTION ? s->status : status;
}

static lore_status fill(struct salvaging *s) {
    s->allocator = store_query_allocator(s->from);
    s->key = s->value = bytes_empty(s->allocator);
    TRY(store_read_begin(s->from, NULL, &s->reading));
    lore_status status = salvage_records(s);
    store_read_end(s->from, &s->reading);
    bytes_free(&s->key);
    bytes_free(&s->value);
    TRY(status);
    TRY(lore_flush(s->to));
    return verify_new(s);
}

/* What a salvage that crashed leaves: a lock, and a generation that was not published. */
static lore_status refuse_entry(void *context, const struct dir_entry *entry) {
    const char *to = context;
    size_t size = strlen(entry->name), tail = strlen(".building");
    if (strcmp(entry->name, "LOCK") == 0) return LORE_OK;
    if (size > tail && strcmp(entry->name + size - tail, ".building") == 0) return LORE_OK;
    return fail(LORE_EXISTS, "%s: it holds %s; salvage writes to a new or empty directory", to,
                entry->name);
}

static lore_status check_target(const lore_env *env, const char *path, const char *to) {
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    if (strncmp(path, to, size) == 0 && (to[size] == '/' || to[size] == '\0'))
        return fail(LORE_INVALID, "%s: salvage does not write into the damaged store", to);
    lore_status status = env->fs->ops->list(env->fs, to, refuse_entry, (void *)(uintptr_t)to);
    return status == LORE_NOT_FOUND ? LORE_OK : status;
}

static lore_status make_target(struct salvaging *s, const char *to) {
    lore_options options = *store_options(s->from), taken;
    lore_options_init(&taken);
    taken.memory_budget = options.memory_budget;
    taken.durability = LORE_SYNC_NONE; /* until it is published */
    taken.background = LORE_BACKGROUND_STEPS;
    taken.files_max = options.files_max;
    taken.group_access = options.group_access;
    taken.log = options.log;
    taken.log_context = options.log_context;
    taken.log_level = options.log_level;
    taken.env = options.env;
    lore_status status = lore_generation_begin(to, false, &taken, &s->to), ignored = LORE_OK;
    bool begun = status == LORE_OK, filled = false;
    if (begun) status = fill(s);
    if (begun && status == LORE_OK) {
        filled = true;
        status = lore_generation_publish(s->to);
    }
    if (status == LORE_OK) return LORE_OK;
    char text[512];
    snprintf(text, sizeof text, "%s", lore_error_message());
    if (begun && !filled) ignored = lore_close(s->to);
    ignored = fs_remove_tree(options.env, to);
    (void)ignored;
    return fail(status, "%s", text);
}

lore_status lore_salvage(const char *path, const char *to, const lore_options *options,
                         const lore_salvage_calls *given, lore_salvage_report *report) {
    lore_salvage_calls calls;
    lore_salvage_calls_init(&calls);
    if (given != NULL && given->struct_size < sizeof calls)
        return fail(LORE_INVALID, "lore_salvage_calls.struct_size: call lore_salvage_calls_init");
    if (given != NULL) calls = *given;
    *report = (lore_salvage_report){0};
    const lore_env *env = options != NULL && options->env != NULL ? options->env : env_posix();
    TRY(check_target(env, path, to));
    struct salvaging s = {.calls = &calls, .report = report};
    TRY(store_salvage_open(path, to, options, &calls, report, &s.source));
    s.from = store_salvage_store(s.source);
    lore_status status = make_target(&s, to);
    char text[512];
    snprintf(text, sizeof text, "%s", status == LORE_OK ? "" : lore_error_message());
    store_salvage_close(s.source);
    return status == LORE_OK ? LORE_OK : fail(status, "%s", text);
}
