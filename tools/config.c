/* config.c - see config.h. Every setting is one row of the table below. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "sizetext.h"
#include "timetext.h"

#define CONFIG_FILE_BYTES_MAX (1u << 20)

enum value_kind { KIND_PATH, KIND_SIZE, KIND_DURATION, KIND_COUNT, KIND_WORD };

static const struct {
    const char *name;
    enum value_kind kind;
    const char *fallback;
    const char *words; /* allowed ones, '|' between them; for numbers how the least is written */
    const char *help;
} settings[SETTING_COUNT] = {
    [SETTING_MEMORY_PATH] = {"memory_path", KIND_PATH, "./memory", NULL, "directory of the store"},
    [SETTING_BACKUP_PATH] = {"backup_path", KIND_PATH, "./backups", NULL,
                             "directory that backups go to and come from"},
    [SETTING_MEMORY_BUDGET] = {"memory_budget", KIND_SIZE, "64MiB", "4MiB",
                               "memory that the store may use, at least 4MiB"},
    [SETTING_MAX_MEMORY_SIZE] = {"max_memory_size", KIND_SIZE, "0", NULL,
                                 "quota on live bytes, without log and pinned files; 0: none"},
    [SETTING_DURABILITY] = {"durability", KIND_WORD, "full", "full|interval|none",
                            "when a write is acknowledged: on the disk, or earlier"},
    [SETTING_WAL_FLUSH_INTERVAL] = {"wal_flush_interval", KIND_DURATION, "60s", NULL,
                                    "how often durability = interval syncs the log"},
    [SETTING_LOCK_TIMEOUT] = {"lock_timeout", KIND_DURATION, "30s", NULL,
                              "how long to wait for another writer"},
    [SETTING_FILES_MAX] = {"files_max", KIND_COUNT, "64", "16", "files held open at once"},
    [SETTING_COMPRESSION] = {"compression", KIND_WORD, "lz4", "lz4|none", "of table blocks"},
    [SETTING_GROUP_ACCESS] = {"group_access", KIND_WORD, "false", "false|true",
                              "let the group read and write the store's files"},
    [SETTING_LOG_LEVEL] = {"log_level", KIND_WORD, "INFO", "ERROR|WARNING|INFO|DEBUG",
                           "what the engine reports on stderr; the program itself shows warnings "
                           "unless this is set or -v is given"},
};

/* Settings of verbs that this version does not have; a file shared with a later one is fine. */
static const char *const later_settings[] = {"wal_path",      "metrics_port",  "backup_interval",
                                             "max_dialogues", "max_decisions", NULL};

const char *setting_name(enum setting setting) {
    return settings[setting].name;
}
const char *setting_help(enum setting setting) {
    return settings[setting].help;
}

bool setting_find(const char *name, enum setting *setting) {
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(settings[i].name, name) == 0) return *setting = (enum setting)i, true;
    }
    return false;
}

static bool word_allowed(const char *words, const char *word) {
    size_t size = strlen(word);
    for (const char *p = words; *p != 0; p += strcspn(p, "|"), p += *p == '|') {
        if (strcspn(p, "|") == size && memcmp(p, word, size) == 0) return true;
    }
    return false;
}

static bool value_fits(enum setting setting, const char *value) {
    uint64_t number, least = 0;
    int64_t duration_us;
    const char *words = settings[setting].words;
    switch (settings[setting].kind) {
    case KIND_PATH: return value[0] != 0;
    case KIND_SIZE:
        return size_parse(value, &number) &&
               (words == NULL || !size_parse(words, &least) || number >= least);
    case KIND_COUNT:
        return count_parse(value, &number) && count_parse(words, &least) && number >= least &&
               number <= UINT32_MAX;
    case KIND_DURATION:
        return duration_parse(value, &duration_us) && duration_us / 1000 <= UINT32_MAX;
    case KIND_WORD: return word_allowed(words, value);
    }
    return false;
}

/* Set what no earlier, stronger origin has set. */
static bool set(struct config *config, enum setting setting, const char *value, const char *origin,
                bool given, struct text *error) {
    if (config->values[setting].value != NULL) return true;
    if (!value_fits(setting, value)) {
        text_printf(error, "%s (%s): ", setting_name(setting), origin);
        text_add_printable(error, value, strlen(value), true, 60);
        if (settings[setting].kind == KIND_WORD) {
            text_printf(error, " is none of %s", settings[setting].words);
        } else {
            static const char *const kinds[] = {"is not a path", "is not a size such as 64MiB",
                                                "is not a duration such as 30s, of at most 49 days",
                                                "is not a whole number"};
            const char *least = settings[setting].words;
            text_printf(error, " %s%s%s", kinds[settings[setting].kind],
                        least == NULL ? "" : ", and of at least ", least == NULL ? "" : least);
        }
        return false;
    }
    config->values[setting] = (struct config_value){alloc_copy(value), alloc_copy(origin), given};
    return true;
}

static bool set_line(struct config *config, const char *file, int number, char *line,
                     struct text *error) {
    char *key = line + strspn(line, " \t\r");
    if (*key == 0 || *key == '#') return true;
    char *value = strchr(key, '=');
    if (value == NULL) {
        text_printf(error, "%s:%d: not `key = value`", file, number);
        return false;
    }
    char *end = value;
    while (end > key && isspace((unsigned char)end[-1]))
        end--;
    *end = 0;
    value++;
    value += strspn(value, " \t");
    end = value + strlen(value);
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    if (end - value >= 2 && value[0] == '"' && end[-1] == '"') value++, end--;
    *end = 0;
    enum setting setting;
    if (!setting_find(key, &setting)) {
        for (int i = 0; later_settings[i] != NULL; i++) {
            if (strcmp(key, later_settings[i]) == 0) return true;
        }
        text_printf(&config->warnings, "%s:%d: unknown setting \"", file, number);
        text_add_printable(&config->warnings, key, strlen(key), true, 40);
        text_puts(&config->warnings, "\" has no effect\n");
        return true;
    }
    char origin[600];
    snprintf(origin, sizeof origin, "file %s:%d", file, number);
    return set(config, setting, value, origin, true, error);
}

bool config_parse(struct config *config, const char *file, const char *bytes, size_t size,
                  struct text *error) {
    if (size > 0 && memchr(bytes, 0, size) != NULL) {
        text_printf(error, "%s: it holds a zero byte, so it is not a configuration file", file);
        return false;
    }
    char *copy = alloc_bytes(size + 1);
    if (size > 0) memcpy(copy, bytes, size);
    bool fine = true;
    int number = 1;
    for (char *line = copy; fine && line < copy + size; number++) {
        char *next = strchr(line, '\n');
        if (next != NULL) *next = 0;
        fine = set_line(config, file, number, line, error);
        line = next == NULL ? copy + size : next + 1;
    }
    free(copy);
    return fine;
}

static bool read_file(struct config *config, const char *path, bool must_exist,
                      struct text *error) {
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        if (errno == ENOENT && !must_exist) return true;
        text_printf(error, "cannot read the configuration %s: %s", path, strerror(errno));
        return false;
    }
    char *bytes = alloc_bytes(CONFIG_FILE_BYTES_MAX + 1);
    size_t size = fread(bytes, 1, CONFIG_FILE_BYTES_MAX + 1, file);
    bool fine = !ferror(file) && size <= CONFIG_FILE_BYTES_MAX;
    fclose(file);
    if (!fine) text_printf(error, "%s is not a configuration file", path);
    fine = fine && config_parse(config, path, bytes, size, error);
    free(bytes);
    return fine;
}

static bool read_files(struct config *config, const struct args *args, struct text *error) {
    const char *path = args_value(args, "config");
    if (path == NULL) path = getenv("LORE_CONFIG");
    if (path != NULL && *path != 0) return read_file(config, path, true, error);
    if (!read_file(config, "./lore.conf", false, error)) return false;
    struct text home = {0};
    const char *base = getenv("XDG_CONFIG_HOME");
    if (base != NULL && *base != 0) {
        text_printf(&home, "%s/lore/config", base);
    } else if ((base = getenv("HOME")) != NULL && *base != 0) {
        text_printf(&home, "%s/.config/lore/config", base);
    }
    bool fine = home.size == 0 || read_file(config, home.data, false, error);
    text_free(&home);
    return fine;
}

static bool read_flags(struct config *config, const struct args *args, struct text *error) {
    static const struct {
        const char *option;
        enum setting setting;
    } flags[] = {{"memory-path", SETTING_MEMORY_PATH},
                 {"memory-budget", SETTING_MEMORY_BUDGET},
                 {"durability", SETTING_DURABILITY},
                 {"lock-timeout", SETTING_LOCK_TIMEOUT}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        const char *value = args_value(args, flags[i].option);
        char origin[64];
        snprintf(origin, sizeof origin, "flag --%s", flags[i].option);
        if (value != NULL && !set(config, flags[i].setting, value, origin, true, error))
            return false;
    }
    return true;
}

static bool read_environment(struct config *config, struct text *error) {
    for (int i = 0; i < SETTING_COUNT; i++) {
        char name[64], origin[96];
        size_t size = (size_t)snprintf(name, sizeof name, "LORE_%s", settings[i].name);
        for (size_t k = 0; k < size; k++)
            name[k] = (char)toupper((unsigned char)name[k]);
        const char *value = getenv(name);
        if (value == NULL || *value == 0) continue;
        snprintf(origin, sizeof origin, "environment %s", name);
        if (!set(config, (enum setting)i, value, origin, true, error)) return false;
    }
    return true;
}

bool config_load(struct config *config, const struct args *args, struct text *error) {
    *config = (struct config){0};
    if (!read_flags(config, args, error) || !read_environment(config, error) ||
        !read_files(config, args, error)) {
        return false;
    }
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (!set(config, (enum setting)i, settings[i].fallback, "default", false, error))
            return false;
    }
    return true;
}

void config_free(struct config *config) {
    for (int i = 0; i < SETTING_COUNT; i++) {
        free(config->values[i].value);
        free(config->values[i].origin);
    }
    text_free(&config->warnings);
    *config = (struct config){0};
}

const char *config_text(const struct config *config, enum setting setting) {
    return config->values[setting].value;
}

uint64_t config_size(const struct config *config, enum setting setting) {
    uint64_t number = 0; /* a count reads as a size, too */
    return size_parse(config->values[setting].value, &number) ? number : 0;
}

uint64_t config_duration_ms(const struct config *config, enum setting setting) {
    int64_t duration_us = 0;
    if (!duration_parse(config->values[setting].value, &duration_us)) return 0;
    return (uint64_t)duration_us / 1000;
}

bool config_bool(const struct config *config, enum setting setting) {
    return strcmp(config->values[setting].value, "true") == 0;
}
