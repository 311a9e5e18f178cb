/*
 * store_internal.h - the inside of struct lore_store, for the files of this floor alone.
 */
#ifndef LORE_STORE_STORE_INTERNAL_H
#define LORE_STORE_STORE_INTERNAL_H

#include <stdatomic.h>
#include "segment/block_cache.h"
#include "segment/file_pool.h"
#include "store/layout.h"
#include "store/store.h"
#include "vfs/fork_guard.h"
#include "wal/log_reader.h"
#include "wal/log_writer.h"

/* A log written under a larger budget must still be readable: bounded by what the machine can allocate, and by the file. */
#define LOG_RECORD_BYTES_MAX ((size_t)1 << 30)

/* One waiting writer; lives on its own stack. */
struct commit_request {
    struct batch *batch;
    struct commit_request *next;
    lore_status status;
    bool done;
    bool frees_space;         /* may use the reserve */
    uint64_t sequence;        /* of the batch's last entry */
    uint64_t first_row;
    int64_t time_us;
    char message[512];        /* the error text, which belongs to the leader's thread */
};

struct commit_state {
    struct mutex *mutex;
    struct condition *changed;     /* a request is done, the leader steps down, the frozen memtable was flushed */
    struct commit_request *head, *tail; /* waiting, oldest first; the head leads */
    bool leading;                  /* somebody works on the log */
    /* Owned by whoever leads: */
    struct log_writer *log;
    bool log_closed;               /* it takes no more records; its successor is still to be begun */
    uint64_t log_number;
    uint64_t next_sequence;
    uint64_t next_row;
    int64_t last_time_us;
    int64_t last_mapped_second;    /* of the time-to-sequence map */
    struct batch time_batch;
    /* Read by anybody: */
    _Atomic uint64_t visible_sequence;
    _Atomic uint64_t visible_row;  /* row watermark at visible_sequence */
    _Atomic int64_t visible_time_us;
    _Atomic uint64_t last_activity_us; /* monotonic */
    _Atomic uint64_t unsynced_since_us; /* monotonic; LORE_SYNC_INTERVAL: the first commit that is not synced. 0: none */
    _Atomic int poisoned;          /* lore_status */
    char poisoned_message[512];    /* written once, before `poisoned` */
    /* Read-only handles, under mutex: a refresh has the store for itself, since the writer keeps nothing for a reader. */
    bool refreshing;
    uint64_t reading;              /* reads of the current state under way */
};

struct background_state {
    struct mutex *mutex;
    struct condition *wake;
    struct thread *thread;         /* for who starts and stops it alone */
    bool threaded;                 /* there is one; set before it starts */
    struct mutex *step_mutex;      /* one lsm_step at a time */
    bool stop;                     /* under mutex */
    bool kicked;                   /* under mutex: there may be work */
    _Atomic bool running;          /* a step is under way */
    _Atomic int last_status;       /* of the last step that failed */
    uint64_t retry_at_us;          /* monotonic; after a failure */
};

struct space_entry {
    struct space space;
    char name[256];
    size_t name_size;
    struct bytes model;
};

struct space_table {
    struct mutex *mutex;
    struct space_entry **entries;  /* in order of name; count of them */
    size_t count;
};

struct lore_snapshot {
    lore_store *store;
    struct store_read reading;     /* its pin lives as long as the snapshot */
};

struct lore_store {
    /* As opened. */
    const lore_env *env;
    lore_options options;
    char path[PATH_BYTES_MAX];
    char dir[PATH_BYTES_MAX];      /* the generation's folder */
    uint64_t generation;
    bool sealed;                   /* a backup */
    bool building;                 /* of lore_generation_begin: publish switches CURRENT */
    struct fork_guard fork_guard;
    struct logger logger;
    struct store_hooks hooks;
    struct facts_record facts;

    /* Memory. */
    struct budget budget;
    struct charged_allocator fixed_allocator, table_allocator, work_allocator, query_allocator;

    /* The parts. */
    struct file_lock *lock;
    struct file_pool *files;
    struct block_cache *cache;
    struct segment_context segments;
    struct catalog *catalog;
    struct mutex *catalog_mutex;
    struct lsm *lsm;
    struct commit_state commit;
    struct background_state background;
    struct space_table spaces;
    struct bytes named;            /* u64 each: the sequence numbers that named snapshots pin, so that closing
                                    * need not ask the catalog; under the catalog mutex */

    /* Counts. */
    _Atomic uint64_t objects;      /* snapshots, iterators, results that are out */
    _Atomic uint64_t snapshots_open;
    _Atomic uint64_t iterators_open;
    _Atomic uint64_t commits, groups, device_syncs, gets, blocks_read, blocks_hit;
    _Atomic uint64_t stalls, stall_us;
    _Atomic uint64_t free_bytes;   /* on the disk when last looked, less what was written since; 0: not known */
    _Atomic bool reserve_given_up; /* and there was no room yet to make it again */
    _Atomic bool reserve_busy;     /* a thread is making it */
    uint64_t log_bytes_cut;        /* at recovery */
};

/* lock.c */
MUST_USE lore_status store_lock_take(const lore_env *env, const char *path, bool group_access,
                                     uint32_t timeout_ms, struct file_lock **lock);

/* create.c: a generation's first files, all durable: log 1, catalog. `dir` is there already, empty. `facts` and `identity`
 * are the new generation's. */
MUST_USE lore_status store_create_generation(const lore_env *env, const struct allocator *allocator,
                                             const char *dir, const lore_options *options,
                                             const struct identity *identity,
                                             const struct facts_record *facts);
/* Log 1 of a generation, alone. */
MUST_USE lore_status store_create_first_log(const lore_env *env, const struct allocator *allocator,
                                            const char *dir, const lore_options *options,
                                            const struct identity *identity,
                                            const struct facts_record *facts);
/* A whole new store: folder, generation 1, CURRENT. The writer's lock is held. */
MUST_USE lore_status store_create(const lore_env *env, const struct allocator *allocator,
                                  const char *path, const lore_options *options);
/* Remove g-N.building folders. */
MUST_USE lore_status store_sweep_generations(const lore_env *env, const char *path);

/* open.c: everything after the lock and CURRENT: open the generation in store->dir. Used by lore_generation_begin too. */
MUST_USE lore_status store_start(lore_store *store);
/* The numbers as the catalog's log state leaves them, before any log is read. */
MUST_USE lore_status store_start_numbers(lore_store *store, struct log_record_state *state);
/* They become what reads see. */
void store_publish_numbers(lore_store *store);
/* The caller's options (NULL: the defaults), checked, and filled up where they come from an older version. */
MUST_USE lore_status store_options_take(const lore_options *given, lore_options *options);
MUST_USE lore_status store_allocate(const lore_options *options, const struct store_hooks *hooks,
                                    const char *path, lore_store **store);
void store_free(lore_store *store);

/* log_chain.c: the logs from the first that counts to the last, in order of number: enter, read its batches, leave; then
 * finish. `last_sequence` is that of the last batch read or flushed so far. */
struct log_chain {
    lore_store *store;
    struct log_head_record head; /* number 0: the catalog knows none */
    uint64_t number;             /* of the log left last; 0: none */
    struct log_end end;          /* its */
};
MUST_USE lore_status log_chain_begin(lore_store *store, struct log_chain *chain);
MUST_USE lore_status log_chain_enter(const struct log_chain *chain, const char *path, uint64_t number,
                                     const struct log_header *header, uint64_t last_sequence);
MUST_USE lore_status log_chain_leave(struct log_chain *chain, const char *path, uint64_t number,
                                     const struct log_end *end, uint64_t last_sequence);
/* `highest`: of the logs in the directory, but for one that was never finished. */
MUST_USE lore_status log_chain_finish(const struct log_chain *chain, uint64_t highest);
/* The head, for the catalog: the log that recovery ended with is being written; the log is closed. */
MUST_USE lore_status log_chain_note_begun(const struct log_chain *chain);
MUST_USE lore_status log_chain_note_closed(lore_store *store);

/* recovery.c */
MUST_USE lore_status store_recover(lore_store *store);
/* One batch of the log at `path` into the memtable, which is flushed on the way when it is full. */
MUST_USE lore_status store_replay_batch(lore_store *store, const char *path,
                                        const struct log_record *record);
/* Whether the log at `path` is one that was never finished being created, or is not there. */
MUST_USE lore_status store_log_is_unborn(const lore_env *env, const char *path, bool *unborn);
/* Folds one checked batch payload's numbers into the commit state. */
void commit_state_note(struct commit_state *commit, const struct batch_view *view, int64_t time_us);

/* read_only.c: the files of one state of the writer's, open. */
struct reader_hold {
    lore_store *store;
    struct bytes segments; /* the live ones, each a file of the pool */
    struct bytes logs;     /* struct log_reader *, from `first_log` on */
    uint64_t first_log;
    uint64_t highest_log; /* in the directory when it was looked at */
};
void reader_hold_init(struct reader_hold *hold, lore_store *store);
void reader_hold_deinit(struct reader_hold *hold);
/* Open every file of the state that the catalog is in, reading on in the catalog until that succeeds. LORE_CORRUPTION:
 * one is missing for good. LORE_LOCKED: not within lock_timeout_ms. The catalog stays at that state until it is refreshed. */
MUST_USE lore_status reader_hold(struct reader_hold *hold);
/* What the logs promise, into a new memtable; the numbers move on from those of store_start_numbers. */
MUST_USE lore_status reader_read_logs(struct reader_hold *hold, struct memtable **memtable);

/* commit.c */
MUST_USE lore_status commit_state_init(lore_store *store);
void commit_state_deinit(lore_store *store);
/* Become the leader without a batch (flush, sync, close): the log is the caller's until commit_lead_end. */
void commit_lead_begin(lore_store *store);
void commit_lead_end(lore_store *store);
/* While leading: freeze the memtable and begin the next log. Waits for (or runs) the flush of the one before. */
MUST_USE lore_status commit_switch_log(lore_store *store, uint64_t batch_bytes_min, bool may_use_reserve);
MUST_USE lore_status commit_sync_log(lore_store *store);
lore_status commit_poison(lore_store *store, lore_status status);
void commit_wake(lore_store *store);

/* background.c */
MUST_USE lore_status background_start(lore_store *store);
void background_stop(lore_store *store);
void background_kick(lore_store *store);
/* One bounded step on the caller's thread; unlinks logs that are flushed. */
MUST_USE lore_status background_step(lore_store *store, uint64_t budget_bytes, bool *more);
/* Interval sync, idle promise, ticks: whatever is due. */
void background_chores(lore_store *store);
/* Waits for whoever leads. Not for leaders. */
void background_sync_if_due(lore_store *store);
/* A group has been written and is acknowledged before it is synced. */
void background_note_unsynced(lore_store *store);

/* space.c */
/* Whether a batch may be written: LORE_FULL over the quota, or while the reserve is given up, unless it frees space. */
MUST_USE lore_status space_check_write(lore_store *store, bool frees_space, uint64_t batch_bytes);
/* Whether there is hardly room to flush what is in memory and a batch more, with the reserve. */
bool space_is_scarce(lore_store *store, uint64_t batch_bytes);
/* What background work beside the flush may take of the disk, the reserve included; 0: not known. */
uint64_t space_for_background(lore_store *store);
/* Give the reserve up: true if there was one. Until it is made again, only what frees space is written. */
bool space_release_reserve(lore_store *store);
/* Unlink it, no more: at an opening that is to be tried again. True if there was one. */
bool space_remove_reserve(lore_store *store);
/* Make it again when there is room for it. Never fails. */
void space_restore_reserve(lore_store *store);

/* spaces.c */
MUST_USE lore_status spaces_load(lore_store *store);
void spaces_deinit(lore_store *store);

/* snapshots.c */
MUST_USE lore_status snapshots_pin_named(lore_store *store);
void snapshots_unpin_named(lore_store *store);

/* Catalog calls under its mutex. */
MUST_USE lore_status store_catalog_put(lore_store *store, lore_slice key, lore_slice value);
MUST_USE lore_status store_catalog_get(lore_store *store, lore_slice key, struct bytes *value);
MUST_USE lore_status store_log_state(lore_store *store, struct log_record_state *state);

#endif
