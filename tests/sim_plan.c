/*
 * sim_plan.c - from a seed to a run. See sim_world.h.
 *
 * Each run leaves out some kinds of operations and gives the others weights of its own, so that
 * rare things are frequent somewhere. One run in three damages bytes; the others must never see
 * LORE_CORRUPTION.
 */
#include "sim_world.h"

const char *const sim_kind_names[SIM_KINDS] = {
    "put",           "delete",       "range",      "batch",         "count-up",      "get",
    "scan",          "walk",         "memory-put", "memory-update", "memory-delete", "unembed",
    "memory-get",    "memory-scan",  "search",     "nearest",       "chat",          "snapshot",
    "snapshot-read", "save",         "named-read", "drop",          "flush",         "compact",
    "step",          "sync",         "verify",     "backup",        "reader",        "sleep",
    "reopen",        "restore",      "kill",       "power-cut",     "read-eio",      "write-eio",
    "sync-eio",      "other-eio",    "full",       "room",          "clock",         "no-memory",
    "lost-write",    "astray-write", "flip",       "stale",         "swap"};

/* Of a thousand, before the run's own factor. */
static const uint16_t weights[SIM_KINDS] = {
    [SIM_PUT] = 200,          [SIM_DELETE] = 50,        [SIM_RANGE] = 20,
    [SIM_BATCH] = 90,         [SIM_COUNT_UP] = 50,      [SIM_GET] = 60,
    [SIM_SCAN] = 20,          [SIM_WALK] = 30,          [SIM_MEMORY_PUT] = 80,
    [SIM_MEMORY_UPDATE] = 40, [SIM_MEMORY_DELETE] = 20, [SIM_UNEMBED] = 8,
    [SIM_MEMORY_GET] = 30,    [SIM_MEMORY_SCAN] = 8,    [SIM_SEARCH] = 20,
    [SIM_NEAREST] = 10,       [SIM_CHAT] = 10,          [SIM_SNAPSHOT] = 12,
    [SIM_SNAPSHOT_READ] = 16, [SIM_SAVE] = 8,           [SIM_NAMED_READ] = 10,
    [SIM_DROP] = 6,           [SIM_FLUSH] = 30,         [SIM_COMPACT] = 8,
    [SIM_STEP] = 30,          [SIM_SYNC] = 10,          [SIM_VERIFY] = 4,
    [SIM_BACKUP] = 3,         [SIM_READER] = 8,         [SIM_SLEEP] = 12,
    [SIM_REOPEN] = 10,        [SIM_RESTORE] = 4,        [SIM_KILL] = 8,
    [SIM_POWER_CUT] = 10,     [SIM_READ_EIO] = 6,       [SIM_WRITE_EIO] = 5,
    [SIM_SYNC_EIO] = 5,       [SIM_OTHER_EIO] = 5,      [SIM_FULL] = 5,
    [SIM_ROOM] = 8,           [SIM_CLOCK] = 6,          [SIM_NO_MEMORY] = 10,
    [SIM_LOST_WRITE] = 8,     [SIM_ASTRAY_WRITE] = 6,   [SIM_FLIP] = 6,
    [SIM_STALE] = 5,          [SIM_SWAP] = 5,
};

static bool is_essential(enum sim_kind kind) {
    return kind == SIM_PUT || kind == SIM_GET || kind == SIM_SCAN || kind == SIM_ROOM;
}

static uint32_t draw_weights(struct sim_plan *plan, uint64_t *random, uint32_t drawn[SIM_KINDS]) {
    uint32_t total = 0;
    bool damages = sim_below(random, 3) == 0;
    for (int kind = 0; kind < SIM_KINDS; kind++) {
        uint64_t odds = sim_below(random, 12), factor = 1 + sim_below(random, 4);
        bool in = kind < SIM_KILL ? odds < 9 : odds < 5;
        if (kind >= SIM_LOST_WRITE && !damages) in = false;
        if (is_essential((enum sim_kind)kind)) in = true;
        drawn[kind] = in ? weights[kind] * (uint32_t)factor : 0;
        total += drawn[kind];
    }
    plan->damages = damages;
    return total;
}

void sim_plan_make(struct sim_plan *plan, uint64_t seed, size_t count) {
    uint64_t random = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    uint32_t drawn[SIM_KINDS];
    memset(plan, 0, sizeof *plan);
    plan->seed = seed;
    plan->clients = 1 + (unsigned)sim_below(&random, SIM_CLIENTS);
    static const uint32_t sizes[] = {60, 400, 3000, 20000};
    plan->value_bytes_max = sizes[sim_below(&random, 4)];
    uint32_t total = draw_weights(plan, &random, drawn);
    size_t chosen = 40 + sim_below(&random, 260);
    plan->count = count > 0 ? count : chosen;
    if (plan->count > SIM_OPERATIONS_MAX) plan->count = SIM_OPERATIONS_MAX;
    for (size_t i = 0; i < plan->count; i++) {
        struct sim_operation *operation = &plan->operations[i];
        uint64_t die = sim_below(&random, total);
        int kind = 0;
        while (die >= drawn[kind])
            die -= drawn[kind++];
        operation->kind = (uint8_t)kind;
        operation->client = (uint8_t)sim_below(&random, plan->clients);
        operation->seed = sim_random(&random);
    }
}

void sim_plan_options(uint64_t seed, lore_options *options) {
    uint64_t random = seed;
    static const uint32_t memtables[] = {64u << 10, 64u << 10, 100u << 10, 256u << 10};
    static const uint32_t blocks[] = {512, 512, 1000, 4096, 16384};
    static const uint32_t tables[] = {16u << 10, 16u << 10, 64u << 10, 1u << 20};
    static const uint32_t blobs[] = {50, 300, 1024, 4000};
    static const uint32_t zeros[] = {4096, 4096, 64u << 10, 1u << 20};
    static const uint32_t reserves[] = {0, 64u << 10, 1u << 20};
    static const uint32_t waits[] = {0, 10, 1000, 60000};
    lore_options_init(options);
    options->create_if_missing = true;
    options->memory_budget = sim_below(&random, 2) == 0 ? 6u << 20 : 16u << 20;
    options->memtable_bytes = memtables[sim_below(&random, 4)];
    options->block_bytes = blocks[sim_below(&random, 5)];
    options->table_bytes_max = tables[sim_below(&random, 4)];
    options->blob_threshold_bytes = blobs[sim_below(&random, 4)];
    options->log_preallocate_bytes = zeros[sim_below(&random, 4)];
    options->reserve_bytes = reserves[sim_below(&random, 3)];
    options->fan_in = 2 + (uint32_t)sim_below(&random, 4);
    options->files_max = sim_below(&random, 2) == 0 ? 16 : 64;
    options->compression = (lore_compression)sim_below(&random, 2);
    options->background = (lore_background)sim_below(&random, 2);
    options->access_flush_ms = waits[sim_below(&random, 4)];
    options->sync_interval_ms = waits[1 + sim_below(&random, 3)];
    options->lock_timeout_ms = 1000;
    uint64_t die = sim_below(&random, 10);
    options->durability = die < 7 ? LORE_SYNC_FULL : die < 9 ? LORE_SYNC_INTERVAL : LORE_SYNC_NONE;
}
