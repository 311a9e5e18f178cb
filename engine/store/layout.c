/*
 * layout.c - names in the store's directory, and CURRENT; see layout.h.
 */
#include "store/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/coding.h"
#include "base/digest.h"
#include "base/poison.h"

#define CURRENT_NAME      "CURRENT"
#define CURRENT_BYTES_MAX 256u

static void hex_encode(const uint8_t *data, size_t size, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * size] = '\0';
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

static bool hex_decode(const char *text, size_t size, uint8_t *out) {
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Digits of `text` up to `end_char`, at most 20 of them. NULL if there are none or too many. */
static const char *parse_number(const char *text, uint64_t *number) {
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10) return NULL;
        value = value * 10 + digit;
    }
    if (at == text) return NULL;
    *number = value;
    return at;
}

#define NAME_BYTES 64u

static void generation_name(char out[NAME_BYTES], uint64_t generation, bool building) {
    snprintf(out, NAME_BYTES, "g-%06" PRIu64 "%s", generation, building ? ".building" : "");
}

static void log_name(char out[NAME_BYTES], uint64_t number) {
    snprintf(out, NAME_BYTES, "log-%010" PRIu64, number);
}

lore_status layout_generation_dir(char out[PATH_BYTES_MAX], const char *path, uint64_t generation,
                                  bool building) {
    char name[NAME_BYTES];
    generation_name(name, generation, building);
    return path_join(out, path, name);
}

/* Both take only the form that is written: one name for one generation, or log. */
bool layout_generation_parse(const char *name, uint64_t *generation, bool *building) {
    if (strncmp(name, "g-", 2) != 0) return false;
    const char *rest = parse_number(name + 2, generation);
    if (rest == NULL || *generation == 0) return false;
    char canonical[NAME_BYTES];
    *building = *rest != '\0';
    generation_name(canonical, *generation, *building);
    return strcmp(name, canonical) == 0;
}

lore_status layout_log_path(char out[PATH_BYTES_MAX], const char *dir, uint64_t number) {
    char name[NAME_BYTES];
    log_name(name, number);
    return path_join(out, dir, name);
}

bool layout_log_parse(const char *name, uint64_t *number) {
    if (strncmp(name, "log-", 4) != 0 || parse_number(name + 4, number) == NULL || *number == 0)
        return false;
    char canonical[NAME_BYTES];
    log_name(canonical, *number);
    return strcmp(name, canonical) == 0;
}

/* "lore 1 g-000001 <store id> " and then the check of these bytes. */
static size_t current_body(const struct current *current, char out[CURRENT_BYTES_MAX]) {
    char id[33];
    hex_encode(current->store_id, 16, id);
    int size = snprintf(out, CURRENT_BYTES_MAX, "lore %u g-%06" PRIu64 " %s ", STORE_FORMAT_VERSION,
                        current->generation, id);
    return (size_t)size;
}

lore_status current_replace(const lore_env *env, const char *path, bool group_access,
                            const struct current *current) {
    char file[PATH_BYTES_MAX];
    TRY(path_join(file, path, CURRENT_NAME));
    char line[CURRENT_BYTES_MAX];
    size_t body = current_body(current, line);
    uint8_t check[8];
    put_be64(check, check64(line, body));
    hex_encode(check, 8, line + body);
    line[body + 16] = '\n';
    return fs_replace_file(env, file, group_access, slice(line, body + 17));
}

/* Parse `text` by building the line anew from what it says: so any byte that differs is seen. */
static lore_status current_parse(const char *file, lore_slice content, struct current *current) {
    char text[CURRENT_BYTES_MAX + 1];
    if (content.size == 0 || content.size > CURRENT_BYTES_MAX)
        return fail(LORE_CORRUPTION, "%s: %zu bytes where one line was expected", file,
                    content.size);
    memcpy(text, content.data, content.size);
    text[content.size] = '\0';
    uint64_t version = 0;
    const char *at = strncmp(text, "lore ", 5) == 0 ? parse_number(text + 5, &version) : NULL;
    if (at == NULL || strncmp(at, " g-", 3) != 0)
        return fail(LORE_CORRUPTION, "%s: offset 0: not a line of this form: lore 1 g-000001 ...",
                    file);
    at = parse_number(at + 3, &current->generation);
    if (at == NULL || *at != ' ' || strlen(at) < 1 + 32 ||
        !hex_decode(at + 1, 16, current->store_id))
        return fail(LORE_CORRUPTION, "%s: the generation or the store id cannot be read", file);
    char line[CURRENT_BYTES_MAX];
    size_t body = current_body(current, line);
    uint8_t check[8];
    put_be64(
        check,
        check64(text, (size_t)(at + 34 - text) <= content.size ? (size_t)(at + 34 - text) : 0));
    char check_text[17];
    hex_encode(check, 8, check_text);
    const char *stored = at + 34;
    bool whole = (size_t)(stored - text) + 17 == content.size && stored[-1] == ' ' &&
                 memcmp(stored, check_text, 16) == 0 && stored[16] == '\n';
    if (!whole) return fail(LORE_CORRUPTION, "%s: the line fails its check", file);
    if (version != STORE_FORMAT_VERSION)
        return fail(LORE_UNSUPPORTED,
                    "%s: store format %" PRIu64 ", this library knows format %u; use a newer one",
                    file, version, STORE_FORMAT_VERSION);
    if (body != (size_t)(stored - text) || memcmp(line, text, body) != 0)
        return fail(LORE_CORRUPTION, "%s: not in canonical form", file);
    return LORE_OK;
}

lore_status current_read(const lore_env *env, const char *path, struct current *current) {
    char file[PATH_BYTES_MAX];
    TRY(path_join(file, path, CURRENT_NAME));
    struct bytes content = bytes_empty(env->allocator);
    lore_status status = fs_read_file(env, file, CURRENT_BYTES_MAX, &content);
    if (status == LORE_NOT_FOUND)
        status =
            fail(LORE_NO_STORE, "%s: no store here (no file CURRENT); `lore init` makes one", path);
    else if (status == LORE_OK)
        status = current_parse(file, bytes_slice(&content), current);
    bytes_free(&content);
    return status;
}
