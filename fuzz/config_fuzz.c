/* config_fuzz.c - any bytes as a configuration file: refused with a sentence, or settings which,
 * written as a file again, are the same. */
#include "config.h"
#include "fuzz.h"

#include <string.h>

static void check_again(const struct config *config) {
    struct text lines = {0}, error = {0};
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (config->values[i].value == NULL) continue;
        text_printf(&lines, "%s=\"%s\"\n", setting_name((enum setting)i), config->values[i].value);
    }
    struct config again = {0};
    fuzz_require(config_parse(&again, "f", text_string(&lines), lines.size, &error));
    for (int i = 0; i < SETTING_COUNT; i++) {
        const char *one = config->values[i].value, *other = again.values[i].value;
        fuzz_require((one == NULL) == (other == NULL) && (one == NULL || strcmp(one, other) == 0));
        fuzz_require(one == NULL || config->values[i].origin[0] != 0);
    }
    fuzz_require(again.warnings.size == 0);
    config_free(&again);
    text_free(&lines);
    text_free(&error);
}

static void read_numbers(const struct config *config) {
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (config->values[i].value == NULL) continue;
        (void)config_size(config, (enum setting)i);
        (void)config_duration_ms(config, (enum setting)i);
        (void)config_bool(config, (enum setting)i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct config config = {0};
    struct text error = {0};
    if (config_parse(&config, "f", (const char *)data, size, &error)) {
        fuzz_require(error.size == 0);
        fuzz_require(size == 0 ||
                     memchr(data, 0, size) == NULL); /* what is behind it was not read */
        check_again(&config);
        read_numbers(&config);
    } else {
        fuzz_require(error.size > 0);
    }
    config_free(&config);
    text_free(&error);
    return 0;
}

bool fuzz_seed(unsigned number, struct bytes *seed) {
    static const char *const seeds[] = {
        "# a comment\nmemory_path = \"/a path\"\nbackup_path=b\nmemory_budget = 64MiB\n"
        "max_memory_size=1 GiB\ndurability = interval\nwal_flush_interval=90s\n",
        "lock_timeout = 5m\r\nfiles_max = 64\r\ncompression = none\r\ngroup_access = true\r\n"
        "log_level=DEBUG\r\nwal_path = x\r\nunknown = y\r\n"};
    if (number >= sizeof seeds / sizeof seeds[0]) return false;
    fuzz_must(bytes_append(seed, seeds[number], strlen(seeds[number])));
    return true;
}
