/* filters.h - the options that choose memories (search, chat-history, delete), and values of
 * options. */
#ifndef LORE_TOOLS_FILTERS_H
#define LORE_TOOLS_FILTERS_H

#include "cli.h"

#define FILTERS_MAX 32u

/* Rows for an option table. */
#define FILTER_OPTIONS                                                                             \
    {.name = "kind", .value = "KIND", .help = "Only of this kind."},                               \
        {.name = "layer", .value = "LAYER", .help = "Only of this layer."},                        \
        {.name = "tier", .value = "TIER", .help = "Only of this tier."},                           \
        {.name = "status", .value = "STATUS", .help = "Only with this status."},                   \
        {.name = "user", .value = "USER", .help = "Only of this user."},                           \
        {.name = "agent", .value = "AGENT", .help = "Only of this agent."},                        \
        {.name = "session", .value = "SESSION", .help = "Only of this session."},                  \
        {.name = "role", .value = "ROLE", .help = "Only with this role."},                         \
        {.name = "tag",                                                                            \
         .value = "TAG",                                                                           \
         .repeat = true,                                                                           \
         .help = "Only with this tag (each, if several)."},                                        \
        {.name = "since",                                                                          \
         .value = "TIME",                                                                          \
         .help = "Only created at or after TIME (ISO 8601, or 30d, 1y ago)."},                     \
        {.name = "until", .value = "TIME", .help = "Only created before TIME."}, {                 \
        .name = "min-importance", .value = "X",                                                    \
        .help = "Only with at least this importance, 0 to 1."                                      \
    }

struct filters {
    lore_filter filters[FILTERS_MAX];
    size_t count;
};

/* From the command line. 0 or the exit code of a failure. The slices point into the arguments. */
int filters_read(struct cli *cli, struct filters *filters);

/* LORE_READ_ flags of --embeddings, --no-access and --expired. */
unsigned read_flags(const struct cli *cli);

int parse_time_option(struct cli *cli, const char *option, const char *value, int direction,
                      int64_t *time_us);
/* A decimal number from 0 to 1. */
int parse_share_option(struct cli *cli, const char *option, const char *value, double *number);
/* A whole number from 0 to INT64_MAX, in digits. */
int parse_count_option(struct cli *cli, const char *option, uint64_t fallback, uint64_t *count);

#endif
