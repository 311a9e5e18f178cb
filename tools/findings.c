/* findings.c - see findings.h. Keys of the memory layer as docs/format.md gives them: an id is
 * known by its keyspace, a record by its keyspace and row. */
#include "findings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define KEYSPACE_BYTES 4u
#define ROW_BYTES      8u
#define IDS_SHOWN_MAX  5u

static const uint8_t keyspace_id[KEYSPACE_BYTES] = {0xF0, 0, 0, 0x10};
static const uint8_t keyspace_record[KEYSPACE_BYTES] = {0xF0, 0, 0, 0x11};

/* ---- gathering ---- */

static struct finding_group *new_group(struct findings *findings, const lore_finding *finding) {
    size_t count = findings->groups_count++;
    findings->groups =
        alloc_grow(findings->groups, findings->groups_count * sizeof *findings->groups);
    struct finding_group *group = &findings->groups[count];
    *group = (struct finding_group){
        .status = finding->status,
        .kind = finding->kind,
        .file = alloc_copy(finding->file == NULL ? "" : finding->file),
    };
    *(finding->status != LORE_OK ? &findings->damaged : &findings->warnings) += 1;
    return group;
}

static void add_place(struct finding_group *group, const lore_finding *finding) {
    size_t count = group->places_count++;
    group->places = alloc_grow(group->places, group->places_count * sizeof *group->places);
    struct finding_place *place = &group->places[count];
    *place =
        (struct finding_place){.message = alloc_copy(finding->message), .offset = finding->offset};
    text_add(&place->first_key, finding->first_key.data, finding->first_key.size);
    text_add(&place->last_key, finding->last_key.data, finding->last_key.size);
}

static void add_key(struct finding_group *group, lore_slice key) {
    if (key.size == 0) return;
    size_t count = group->keys_count++;
    if ((count & (count + 1)) == 0)
        group->keys = alloc_grow(group->keys, (2 * count + 1) * sizeof *group->keys);
    group->keys[count] = (struct text){0};
    text_add(&group->keys[count], key.data, key.size);
}

/* Whether two sentences say the same of different keys: their numbers may differ. */
static bool same_but_numbers(const char *a, const char *b) {
    static const char digits[] = "0123456789";
    for (; *a != 0 && *b != 0; a++, b++) {
        if (strchr(digits, *a) != NULL && strchr(digits, *b) != NULL) {
            a += strspn(a, digits) - 1;
            b += strspn(b, digits) - 1;
        } else if (*a != *b) {
            return false;
        }
    }
    return *a == *b;
}

/* The damage that a fault met by a reader of keys comes from says the same of the same place. */
static bool explains(const struct finding_group *group, const char *message) {
    if (group->status == LORE_OK) return false;
    bool of_index = strcmp(group->kind, "index") == 0;
    for (size_t i = 0; i < group->places_count; i++) {
        const char *place = group->places[i].message;
        if (strcmp(place, message) == 0 || (of_index && same_but_numbers(place, message)))
            return true;
    }
    return false;
}

void findings_add(void *context, const lore_finding *finding) {
    struct findings *findings = context;
    bool of_index = strcmp(finding->kind, "index") == 0;
    struct finding_group *group = NULL;
    for (size_t i = 0; finding->status != LORE_OK && group == NULL && i < findings->groups_count;
         i++) {
        struct finding_group *candidate = &findings->groups[i];
        bool same_file = !of_index && finding->file != NULL && candidate->status != LORE_OK &&
                         candidate->file[0] != 0 && strcmp(candidate->kind, "index") != 0 &&
                         strcmp(candidate->file, finding->file) == 0;
        if (same_file || (of_index && explains(candidate, finding->message))) group = candidate;
    }
    bool known = group != NULL;
    if (!known) group = new_group(findings, finding);
    if (!known || !of_index) add_place(group, finding);
    if (of_index) add_key(group, finding->first_key);
}

void findings_note(struct findings *findings, bool damage, const char *kind, const char *file,
                   const char *message) {
    lore_finding finding = {.status = damage ? LORE_CORRUPTION : LORE_OK,
                            .kind = kind,
                            .file = file,
                            .offset = UINT64_MAX,
                            .message = message};
    findings_add(findings, &finding);
}

/* ---- showing ---- */

/* What depends on a group: its keys in order, each once. */
struct dependents {
    const struct text **keys; /* owned; the texts are the group's */
    size_t keys_count;
    size_t ids_from, ids_count; /* of them, those that name memories */
    size_t memories;            /* at least so many */
};

static int compare_texts(const struct text *a, const struct text *b) {
    int order = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static int by_key(const void *left, const void *right) {
    return compare_texts(*(const struct text *const *)left, *(const struct text *const *)right);
}

static bool in_keyspace(const struct text *key, const uint8_t *keyspace) {
    return key->size > KEYSPACE_BYTES && memcmp(key->data, keyspace, KEYSPACE_BYTES) == 0;
}

static struct dependents dependents_of(const struct finding_group *group) {
    struct dependents found = {.keys = alloc_bytes((group->keys_count + 1) * sizeof *found.keys)};
    for (size_t i = 0; i < group->keys_count; i++)
        found.keys[i] = &group->keys[i];
    if (group->keys_count > 1) qsort(found.keys, group->keys_count, sizeof *found.keys, by_key);
    size_t rows = 0;
    const struct text *last_row = NULL;
    for (size_t i = 0; i < group->keys_count; i++) {
        const struct text *key = found.keys[i];
        if (i > 0 && compare_texts(key, found.keys[found.keys_count - 1]) == 0) continue;
        found.keys[found.keys_count++] = key;
        if (in_keyspace(key, keyspace_id)) {
            if (found.ids_count++ == 0) found.ids_from = found.keys_count - 1;
        } else if (in_keyspace(key, keyspace_record) && key->size >= KEYSPACE_BYTES + ROW_BYTES) {
            rows += last_row == NULL ||
                    memcmp(key->data, last_row->data, KEYSPACE_BYTES + ROW_BYTES) != 0;
            last_row = key;
        }
    }
    found.memories = rows > found.ids_count ? rows : found.ids_count;
    return found;
}

static lore_slice id_of(const struct dependents *dependents, size_t index) {
    const struct text *key = dependents->keys[dependents->ids_from + index];
    return (lore_slice){key->data + KEYSPACE_BYTES, key->size - KEYSPACE_BYTES};
}

/* The place to show: one inside the file rather than what is said of the whole. */
static const struct finding_place *main_place(const struct finding_group *group) {
    const struct finding_place *best = &group->places[0];
    for (size_t i = 1; i < group->places_count; i++) {
        const struct finding_place *place = &group->places[i];
        bool inside = place->offset != UINT64_MAX && place->offset > 0;
        bool best_inside = best->offset != UINT64_MAX && best->offset > 0;
        if (inside && !best_inside) best = place;
    }
    return best;
}

static void hex_member(struct json_writer *writer, const char *name, const struct text *key) {
    if (key->size == 0) return;
    struct text hex = {0};
    hex_format(&hex, (const uint8_t *)key->data, key->size);
    jw_string_member(writer, name, text_string(&hex));
    text_free(&hex);
}

static void place_members(struct json_writer *writer, const struct finding_place *place) {
    if (place->offset != UINT64_MAX) jw_uint_member(writer, "offset", place->offset);
    hex_member(writer, "first_key_hex", &place->first_key);
    hex_member(writer, "last_key_hex", &place->last_key);
    jw_string_member(writer, "message", place->message);
}

static void dependent_members(struct json_writer *writer, const struct finding_group *group) {
    struct dependents found = dependents_of(group);
    jw_uint_member(writer, "keys", found.keys_count);
    jw_uint_member(writer, "memories", found.memories);
    jw_key(writer, "memory_ids");
    jw_begin_array(writer);
    for (size_t i = 0; i < found.ids_count; i++) {
        lore_slice id = id_of(&found, i);
        if (text_is_utf8(id.data, id.size)) jw_string(writer, id.data, id.size);
    }
    jw_end_array(writer);
    jw_key(writer, "keys_hex");
    jw_begin_array(writer);
    struct text hex = {0};
    for (size_t i = 0; i < found.keys_count; i++) {
        text_clear(&hex);
        hex_format(&hex, (const uint8_t *)found.keys[i]->data, found.keys[i]->size);
        jw_string(writer, hex.data, hex.size);
    }
    text_free(&hex);
    jw_end_array(writer);
    free(found.keys);
}

void findings_as_json(const struct findings *findings, struct json_writer *writer) {
    jw_begin_array(writer);
    for (size_t i = 0; i < findings->groups_count; i++) {
        const struct finding_group *group = &findings->groups[i];
        jw_begin_object(writer);
        jw_uint_member(writer, "code", (uint64_t)group->status);
        jw_string_member(writer, "name", lore_status_name(group->status));
        jw_string_member(writer, "kind", group->kind);
        if (group->file[0] != 0) jw_string_member(writer, "file", group->file);
        place_members(writer, main_place(group));
        if (group->status != LORE_OK) {
            jw_key(writer, "places");
            jw_begin_array(writer);
            for (size_t k = 0; k < group->places_count; k++) {
                jw_begin_object(writer);
                place_members(writer, &group->places[k]);
                jw_end_object(writer);
            }
            jw_end_array(writer);
            dependent_members(writer, group);
        }
        jw_end_object(writer);
    }
    jw_end_array(writer);
}

/* "3 keys and 2 memories depend on it: m1, m2" */
static void add_dependents(struct text *text, const struct finding_group *group) {
    struct dependents found = dependents_of(group);
    if (found.keys_count > 0) {
        text_printf(text, "; %zu %s depend on it, of %zu %s", found.keys_count,
                    found.keys_count == 1 ? "key" : "keys", found.memories,
                    found.memories == 1 ? "memory" : "memories");
    }
    for (size_t i = 0; i < found.ids_count && i < IDS_SHOWN_MAX; i++) {
        lore_slice id = id_of(&found, i);
        text_puts(text, i == 0 ? ": " : ", ");
        text_add_printable(text, id.data, id.size, true, 60);
    }
    if (found.ids_count > IDS_SHOWN_MAX) text_puts(text, ", ...");
    free(found.keys);
}

/* "; keys 0000000161 to 0000000163": keyspace and key in hex. */
static void add_key_range(struct text *text, const struct finding_place *place) {
    if (place->first_key.size == 0 && place->last_key.size == 0) return;
    text_puts(text, "; keys ");
    hex_format(text, (const uint8_t *)place->first_key.data, place->first_key.size);
    text_puts(text, " to ");
    hex_format(text, (const uint8_t *)place->last_key.data, place->last_key.size);
}

int findings_print(const struct findings *findings, struct cli *cli) {
    static const char *const header[] = {"WHAT", "KIND", "WHERE", "WHY"};
    struct table table;
    table_begin(&table, 4);
    for (size_t i = 0; i < findings->groups_count && i < FINDINGS_SHOWN_MAX; i++) {
        const struct finding_group *group = &findings->groups[i];
        const struct finding_place *place = main_place(group);
        struct text where = {0}, why = {0};
        text_puts(&where, group->file);
        if (place->offset != UINT64_MAX) text_printf(&where, " at %" PRIu64, place->offset);
        text_puts(&why, place->message);
        if (group->places_count > 1)
            text_printf(&why, "; and %zu more of this file", group->places_count - 1);
        add_dependents(&why, group);
        if (group->status == LORE_OK || group->keys_count == 0) add_key_range(&why, place);
        table_cell(&table, group->status != LORE_OK ? "damaged" : "warning");
        table_cell(&table, group->kind);
        table_bytes(&table, text_string(&where), where.size);
        table_bytes(&table, text_string(&why), why.size);
        text_free(&where);
        text_free(&why);
    }
    if (findings->groups_count > FINDINGS_SHOWN_MAX)
        note(cli, 0, "the first %u of %zu findings; --json has all", FINDINGS_SHOWN_MAX,
             findings->groups_count);
    return table_end(&table, cli, table.cells_count > 0 ? header : NULL);
}

void findings_free(struct findings *findings) {
    for (size_t i = 0; i < findings->groups_count; i++) {
        struct finding_group *group = &findings->groups[i];
        for (size_t k = 0; k < group->places_count; k++) {
            free(group->places[k].message);
            text_free(&group->places[k].first_key);
            text_free(&group->places[k].last_key);
        }
        for (size_t k = 0; k < group->keys_count; k++)
            text_free(&group->keys[k]);
        free(group->places);
        free(group->keys);
        free(group->file);
    }
    free(findings->groups);
    *findings = (struct findings){0};
}
