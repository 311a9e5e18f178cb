/* filters.c - see filters.h. */
#include "filters.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attributes.h"
#include "sizetext.h"
#include "timetext.h"

int parse_time_option(struct cli *cli, const char *option, const char *value, int direction,
                      int64_t *time_us) {
    if (time_parse(value, time_now_us(), direction, time_us)) return 0;
    return fail_usage(cli, "--%s %s: not a time such as 2024-05-01, 2024-05-01T12:00:00Z or 30d",
                      option, value);
}

int parse_share_option(struct cli *cli, const char *option, const char *value, double *number) {
    char *end;
    *number = strtod(value, &end);
    /* strtod takes blanks, hexadecimals, "nan" and "inf" as well. */
    bool decimal = value[0] != 0 && value[strspn(value, "0123456789.eE+-")] == 0;
    if (decimal && *end == 0 && *number >= 0 && *number <= 1) return 0;
    return fail_usage(cli, "--%s %s: not a number from 0 to 1", option, value);
}

int parse_count_option(struct cli *cli, const char *option, uint64_t fallback, uint64_t *count) {
    const char *value = args_value(&cli->args, option);
    *count = fallback;
    if (value == NULL || count_parse(value, count)) return 0;
    return fail_usage(cli, "--%s %s: not a whole number from 0 to %" PRId64, option, value,
                      INT64_MAX);
}

unsigned read_flags(const struct cli *cli) {
    unsigned flags = 0;
    if (args_flag(&cli->args, "embeddings")) flags |= LORE_READ_EMBEDDINGS;
    if (args_flag(&cli->args, "no-access")) flags |= LORE_READ_NO_ACCESS;
    if (args_flag(&cli->args, "expired")) flags |= LORE_READ_EXPIRED;
    return flags;
}

int filters_read(struct cli *cli, struct filters *filters) {
    static const char *const texts[] = {"kind",  "layer",   "tier", "status", "user",
                                        "agent", "session", "role", "tag",    NULL};
    *filters = (struct filters){.count = 0};
    for (size_t i = 0; texts[i] != NULL; i++) {
        for (size_t k = 0; k < args_count(&cli->args, texts[i]); k++) {
            if (filters->count + 4 > FILTERS_MAX) return fail_usage(cli, "too many conditions");
            lore_filter *filter = &filters->filters[filters->count++];
            attribute_find(texts[i], &filter->attribute);
            filter->text = lore_slice_of(args_nth(&cli->args, texts[i], k));
        }
    }
    static const char *const times[] = {"since", "until"};
    for (int i = 0; i < 2; i++) {
        const char *value = args_value(&cli->args, times[i]);
        if (value == NULL) continue;
        lore_filter *filter = &filters->filters[filters->count++];
        filter->attribute = LORE_ATTR_CREATED_AT;
        filter->op = i == 0 ? LORE_FILTER_GE : LORE_FILTER_LT;
        int code = parse_time_option(cli, times[i], value, -1, &filter->integer);
        if (code != 0) return code;
    }
    const char *least = args_value(&cli->args, "min-importance");
    if (least == NULL) return 0;
    lore_filter *filter = &filters->filters[filters->count++];
    filter->attribute = LORE_ATTR_IMPORTANCE;
    filter->op = LORE_FILTER_GE;
    return parse_share_option(cli, "min-importance", least, &filter->number);
}
