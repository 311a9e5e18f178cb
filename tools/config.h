/*
 * config.h - settings: flag, then environment, then file, then default.
 *
 * A configuration file holds lines `key = value`; '#' begins a comment line; blanks around key and
 * value do not count, and a value may stand in double quotes. The files are the one of --config (or
 * LORE_CONFIG) alone, or else ./lore.conf and then ~/.config/lore/config (XDG_CONFIG_HOME is
 * respected), each setting from the first that has it.
 */
#ifndef LORE_TOOLS_CONFIG_H
#define LORE_TOOLS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "args.h"
#include "text.h"

enum setting {
    SETTING_MEMORY_PATH,
    SETTING_BACKUP_PATH,
    SETTING_MEMORY_BUDGET,
    SETTING_MAX_MEMORY_SIZE,
    SETTING_DURABILITY,
    SETTING_WAL_FLUSH_INTERVAL,
    SETTING_LOCK_TIMEOUT,
    SETTING_FILES_MAX,
    SETTING_COMPRESSION,
    SETTING_GROUP_ACCESS,
    SETTING_LOG_LEVEL,
    SETTING_COUNT
};

struct config_value {
    char *value;  /* owned */
    char *origin; /* owned: "flag --db", "environment LORE_MEMORY_PATH", "file ./lore.conf:3",
                   * "default" */
    bool given;   /* not the default */
};

struct config {
    struct config_value values[SETTING_COUNT];
    struct text warnings; /* unknown keys, one a line */
};

/* False with a sentence in `error`: an unreadable file, a malformed line, a value that its setting
 * cannot have. */
bool config_load(struct config *config, const struct args *args, struct text *error);
void config_free(struct config *config);

/* Take the lines of one file. For config_load and tests. */
bool config_parse(struct config *config, const char *file, const char *bytes, size_t size,
                  struct text *error);

const char *setting_name(enum setting setting);
const char *setting_help(enum setting setting);
bool setting_find(const char *name, enum setting *setting);

const char *config_text(const struct config *config, enum setting setting);
uint64_t config_size(const struct config *config, enum setting setting);
uint64_t config_duration_ms(const struct config *config, enum setting setting);
bool config_bool(const struct config *config, enum setting setting);

#endif
