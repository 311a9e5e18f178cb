/*
 * sim_world.h - the simulator: several clients and the background of the real engine, one at a
 * time, over a disk, a clock and an allocator that fail as a seed says; and a model that knows what
 * every read may answer.
 *
 *   sim_plan.c      from a seed to a run: options, clients, a list of operations and faults
 *   sim_model.c     what must hold: a history for each client, and the states that a read may see
 *   sim_disk.c      the disk: armed faults, crashes, damage at rest
 *   sim_raw.c       operations on keyspaces, snapshots and maintenance
 *   sim_memories.c  operations on memories
 *   sim_world.c     clients, opening, closing, crashing, recovering, restoring
 *   sim_test.c      seeds, replays, shrinking
 *
 * Who writes what. Each client alone writes its own slots: keys "cN/..." of keyspaces 1 and 2, and
 * memories with ids "cN-..." and user "cN". So each client's acknowledged operations are a history
 * of its own, the state after each of them is known, and a read by whomever must find one of the
 * states that were possible while it ran. Where several clients' slots are read at once, what is
 * found must be a prefix of what happened: an operation that is missing had not ended before one
 * that is there began. All clients write the counters of keyspace 3, with conditional batches.
 *
 * Threads: only one runs at a time, so nothing here is guarded. Ends the process at a violation.
 */
#ifndef LORE_TESTS_SIM_WORLD_H
#define LORE_TESTS_SIM_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lore.h"
#include "vfs/fs_fault.h"
#include "vfs/sched_sim.h"

#define SIM_CLIENTS        4
#define SIM_KEYS           20 /* of each client, in each of two keyspaces */
#define SIM_MEMORIES       12 /* of each client; the last SIM_TURNS are turns of its chat */
#define SIM_TURNS          5
#define SIM_SLOTS          (2 * SIM_KEYS + SIM_MEMORIES)
#define SIM_COUNTERS       3
#define SIM_OPERATIONS_MAX 2000
#define SIM_DIMENSIONS     4
#define SIM_SPACE          "space"
#define SIM_STORE          "store"
#define SIM_ABSENT         0u
#define SIM_WRONG          UINT32_MAX /* no version that was ever written there */

/* ---- sim_plan.c ---- */

enum sim_kind {
    SIM_PUT,
    SIM_DELETE,
    SIM_RANGE,
    SIM_BATCH,
    SIM_COUNT_UP,
    SIM_GET,
    SIM_SCAN,
    SIM_WALK,
    SIM_MEMORY_PUT,
    SIM_MEMORY_UPDATE,
    SIM_MEMORY_DELETE,
    SIM_UNEMBED,
    SIM_MEMORY_GET,
    SIM_MEMORY_SCAN,
    SIM_SEARCH,
    SIM_NEAREST,
    SIM_CHAT,
    SIM_SNAPSHOT,
    SIM_SNAPSHOT_READ,
    SIM_SAVE,
    SIM_NAMED_READ,
    SIM_DROP,
    SIM_FLUSH,
    SIM_COMPACT,
    SIM_STEP,
    SIM_SYNC,
    SIM_VERIFY,
    SIM_BACKUP,
    SIM_READER,
    SIM_SLEEP,
    /* all clients have stopped */
    SIM_REOPEN,
    SIM_RESTORE,
    /* faults */
    SIM_KILL,
    SIM_POWER_CUT,
    SIM_READ_EIO,
    SIM_WRITE_EIO,
    SIM_SYNC_EIO,
    SIM_OTHER_EIO,
    SIM_FULL,
    SIM_ROOM,
    SIM_CLOCK,
    SIM_NO_MEMORY,
    /* faults after which bytes are wrong */
    SIM_LOST_WRITE,
    SIM_ASTRAY_WRITE,
    SIM_FLIP,
    SIM_STALE,
    SIM_SWAP,
    SIM_KINDS
};
extern const char *const sim_kind_names[SIM_KINDS];

struct sim_operation {
    uint8_t kind, client;
    bool left_out;
    uint64_t seed; /* all its choices come from here, so that others can be left out */
};

struct sim_plan {
    uint64_t seed;
    unsigned clients;
    bool damages; /* some fault of the last group is among the operations */
    uint32_t value_bytes_max;
    struct sim_operation operations[SIM_OPERATIONS_MAX];
    size_t count;
};

/* `count` 0: as the seed says. */
void sim_plan_make(struct sim_plan *plan, uint64_t seed, size_t count);
/* Options for an opening: first ones, or others. The environment is left to the caller. */
void sim_plan_options(uint64_t seed, lore_options *options);

static inline uint64_t sim_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
static inline uint64_t sim_below(uint64_t *state, uint64_t bound) {
    return sim_random(state) % bound;
}

/* ---- sim_model.c ---- */

/* One value of one slot. Never reused. Members after `slot` are those of a memory. */
struct sim_version {
    uint8_t client, slot;
    uint8_t kind, importance; /* importance in eighths */
    uint32_t text;            /* number; decides bytes and words */
    uint32_t meta;            /* number in the metadata: the version that wrote them */
    uint32_t embedding;       /* number; 0: none */
    uint32_t child;           /* the version that is this one without its embedding; 0: none yet */
    uint64_t order;           /* turns: when first put */
};

struct sim_effect {
    uint32_t slot, before, after;
};
struct sim_entry {
    uint64_t started, ended; /* in ticks; ended UINT64_MAX: its outcome is not known */
    size_t first_effect, effects;
};

struct sim_client_model {
    uint32_t now[SIM_SLOTS]; /* after all entries */
    struct sim_entry *entries;
    size_t count, capacity;
    struct sim_effect *effects;
    size_t effects_count, effects_capacity;
    size_t durable; /* so many entries survive a power cut */
};

/* A state that a read of a client's slots may find. */
struct sim_candidate {
    uint32_t slots[SIM_SLOTS];
    uint64_t last_started, next_ended; /* of the last entry in it, of the first that is not */
};
#define SIM_CANDIDATES 12
struct sim_view {
    struct {
        size_t count; /* 0: too many to keep; not checked */
        struct sim_candidate list[SIM_CANDIDATES];
    } clients[SIM_CLIENTS];
};

struct sim_content { /* what was read */
    uint32_t slots[SIM_CLIENTS][SIM_SLOTS];
};

struct sim_model {
    uint64_t tick;
    unsigned clients_count;
    struct sim_client_model clients[SIM_CLIENTS];
    struct sim_version *versions; /* [0] is not used */
    size_t versions_count, versions_capacity;
    /* counters: number n is acknowledged at most once */
    uint32_t acknowledged[SIM_COUNTERS]; /* the highest */
    uint32_t unknown[SIM_COUNTERS];      /* increments without an answer */
    uint32_t durable_counter[SIM_COUNTERS];
};

uint32_t model_version_new(struct sim_model *model, unsigned client, unsigned slot);
/* Begin an operation of a client; then its effects, then what became of it. Effects that change
 * nothing are left out. */
void model_begin(struct sim_model *model, unsigned client);
void model_effect(struct sim_model *model, unsigned client, unsigned slot, uint32_t after);
void model_acknowledged(struct sim_model *model, unsigned client);
void model_refused(struct sim_model *model, unsigned client); /* nothing was written */
/* else its outcome is not known */
bool model_last_is_unknown(const struct sim_model *model, unsigned client);
size_t model_acknowledged_count(const struct sim_model *model, unsigned client);

/* Where a read begins: */
struct sim_reading {
    size_t from[SIM_CLIENTS];
};
void model_read_begin(const struct sim_model *model, struct sim_reading *reading);
/* and ends: the states that it may have seen. */
void model_read_end(const struct sim_model *model, const struct sim_reading *reading,
                    struct sim_view *view);
/* The version of one slot; checked without a view. */
bool model_allows(const struct sim_model *model, const struct sim_reading *reading, unsigned client,
                  unsigned slot, uint32_t version);
/* Whether some choice of candidates is what was found, and a prefix. clients: a bit each. chosen
 * (NULL: not wanted) receives the candidates' numbers. */
bool model_view_matches(const struct sim_model *model, const struct sim_view *view,
                        const struct sim_content *content, unsigned clients,
                        size_t chosen[SIM_CLIENTS]);
/* After an opening: whether what is there is a prefix of history that holds the first floor[c]
 * entries of each client; if so, history ends there. *culprit: the client whose slots equal no
 * state; SIM_CLIENTS: together they are no prefix. */
bool model_survived(struct sim_model *model, const size_t floor[SIM_CLIENTS],
                    const struct sim_content *content, unsigned *culprit);
void model_truncate(struct sim_model *model, unsigned client, size_t count);
/* A new life: this is the state, and durable. */
void model_reset(struct sim_model *model, unsigned client, const uint32_t slots[SIM_SLOTS]);

/* ---- the world ---- */

#define SIM_ARMED 8
struct sim_armed {
    enum fault_call calls;
    uint64_t countdown;
    enum fault_outcome outcome;
    uint32_t repeats;
    bool set;
};

#define SIM_NAMED 6
struct sim_named {
    bool may_exist, must_exist;
    uint32_t changes; /* saved or dropped so often */
    struct sim_view view;
};

#define SIM_OPEN_SNAPSHOTS 2
struct sim_client {
    struct sim_world *world;
    unsigned number;
    size_t next, end; /* operations of this epoch */
    lore_snapshot *snapshots[SIM_OPEN_SNAPSHOTS];
    struct sim_view views[SIM_OPEN_SNAPSHOTS];
    uint64_t counts_high[SIM_MEMORIES], counts_low[SIM_MEMORIES]; /* access counts */
    struct thread *thread;
};

struct sim_world {
    struct sim_plan *plan;
    bool tracing;
    void (*on_violation)(const char *text); /* does not return */
    struct sched_sim *sched;
    struct fs_memory *disk, *old_disk; /* old: as it was some time ago, for stale blocks */
    struct fs_fault *fault;
    struct fault_allocator allocator;
    lore_env env;
    lore_options options;
    lore_store *store; /* NULL: none is open */
    struct sim_model model;
    struct sim_client clients[SIM_CLIENTS];
    struct sim_named named[SIM_NAMED];
    bool has_backup;
    char backup_path[32];
    unsigned backups;
    struct sim_view backup_view;
    struct sim_named backup_named[SIM_NAMED];
    uint32_t backup_counters_low[SIM_COUNTERS], backup_counters_high[SIM_COUNTERS];

    /* faults */
    struct sim_armed armed[SIM_ARMED];
    uint64_t yield_state;
    bool crash_set, crash_is_power_cut;
    uint64_t crash_countdown; /* changes of the disk */
    uint64_t crash_seed;
    bool dead;               /* the crash has happened: nothing from here on is real */
    struct fs_memory *after; /* what it left */
    bool pages_dropped;      /* a sync has failed on this disk since it was opened */
    bool damaged;            /* bytes on the disk are wrong, or may be */
    uint64_t capacity_bytes; /* of the disk at this moment */
    bool faulty;             /* some call or allocation has failed on this handle */
    bool memory_failed;      /* an allocation has */
    bool recovering;         /* no faults now */
    bool is_full, was_full;  /* space is short now; has been since the opening */
    bool maybe_restored;     /* a restore was cut off: the store is the old one or the backup */
    unsigned bits_flipped;   /* while that is the only damage, more can be asked */
    bool grossly_damaged;
    enum sim_loss {
        SIM_LOSS_NONE,
        SIM_LOSS_UNSYNCED,
        SIM_LOSS_LAST, /* what was not synced, and the last group */
        SIM_LOSS_ANY
    } loss; /* since the last opening that was looked at */

    /* what was done */
    uint64_t digest;
    uint64_t done, crashes, openings, refused_openings, errors;
    size_t current; /* operation under way, for messages */
};

/* A violation: says what and where, and ends the process. */
_Noreturn void sim_violation(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_mix(struct sim_world *world, uint64_t number);
/* Whether a read may answer so; a violation if it may never. */
bool sim_read_failed(struct sim_world *world, lore_status status, const char *what);
/* Whether an operation other than a read may. */
void sim_check_status(struct sim_world *world, lore_status status, const char *what);
bool sim_is_poisoned(struct sim_world *world);

#define SIM_CAPACITY (UINT64_C(1) << 30)

/* ---- sim_disk.c ---- */

void disk_attach(struct sim_world *world); /* world->disk beneath a new fs_fault */
void disk_detach(struct sim_world *world);
void disk_arm(struct sim_world *world, enum fault_call calls, enum fault_outcome outcome,
              uint64_t countdown, uint32_t repeats);
void disk_damage(struct sim_world *world, enum sim_kind kind, uint64_t seed);
void disk_remember(struct sim_world *world);
/* So many bytes are free from now on; UINT64_MAX: plenty. */
void disk_set_free(struct sim_world *world, uint64_t free_bytes);

/* ---- sim_raw.c ---- */

void raw_operation(struct sim_client *client, const struct sim_operation *operation,
                   uint64_t *random);
/* All slots of all clients by iterators; LORE_OK or the status that cut it off. Every value is
 * checked to be one that was written there. */
lore_status world_read(struct sim_world *world, lore_store *store, const lore_snapshot *snapshot,
                       bool backward, struct sim_content *content);
/* Read content at a snapshot whose view is known. */
void snapshot_check(struct sim_world *world, const lore_snapshot *snapshot,
                    const struct sim_view *view, uint64_t *random);
/* Each slot by itself, where not all can be read: an answer must be one that is possible from
 * `reading` on. */
void raw_probe(struct sim_world *world, const struct sim_reading *reading);
void memories_probe(struct sim_world *world, const struct sim_reading *reading);
void named_name(unsigned index, char name[16]);
lore_status counter_read(struct sim_world *world, lore_store *store, unsigned counter,
                         uint32_t *value, uint64_t *sequence);

/* ---- sim_memories.c ---- */

void memories_operation(struct sim_client *client, const struct sim_operation *operation,
                        uint64_t *random);
/* The memories' part of world_read. */
lore_status memories_read(struct sim_world *world, lore_store *store, const lore_snapshot *snapshot,
                          struct sim_content *content);

/* ---- sim_world.c ---- */

void world_run(struct sim_world *world);
void world_end(struct sim_world *world);
/* How a write came out, for the model; `poisoned_before` as it was when it began. */
void world_written(struct sim_client *client, lore_status status, bool poisoned_before,
                   const char *what);
/* The store cannot be trusted to have what was not synced: a mark of what is. */
void world_note_sync(struct sim_world *world, const struct sim_reading *before,
                     const uint32_t counters[SIM_COUNTERS]);

#endif
