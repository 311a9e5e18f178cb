/*
 * lore.h - the public interface of Lore, an embeddable storage engine for what an AI agent
 * remembers: memories (text, attributes, chat turns) and their embeddings.
 *
 * CAVEATS, before anything else
 *
 *   1. One directory is one store, and one process at a time may write to it. A second writer is
 *      refused with LORE_LOCKED and the owner's pid. Any number of processes may open it read-only
 *      beside the writer (lore_options.read_only).
 *   2. A write that returned LORE_OK under LORE_SYNC_FULL (the default) is on stable storage.
 *      LORE_SYNC_INTERVAL and LORE_SYNC_NONE acknowledge before that and say below what they lose.
 *   3. When the device fails a sync or a log write, the handle is poisoned: reads go on, every write
 *      returns that first error, and closing and opening the store again recovers. A full disk is
 *      not final: writes return LORE_FULL and succeed again by themselves once there is space.
 *   4. What is read is checked by its digest. Damage comes back as LORE_CORRUPTION naming file and
 *      offset, never as an older or empty value.
 *   5. A handle must not be used after fork() in the child: such calls return LORE_MISUSE.
 *   6. Do not put a store on a network file system whose locks or syncs are not those of a local
 *      disk; Lore cannot tell.
 *   7. Access counts not yet written (lore_options.access_flush_ms) are the one thing that a crash
 *      may lose under LORE_SYNC_FULL.
 *
 * CONVENTIONS
 *
 *   Status    Every call that can fail returns a lore_status; the text behind the last failure on
 *             the calling thread is lore_error_message(). A call that fails changes nothing, unless
 *             its comment says otherwise.
 *   Strings   A lore_slice is a pointer and a length in bytes; text is UTF-8 by convention and is
 *             kept byte for byte. No call needs a terminating zero except where a parameter is a
 *             `const char *`.
 *   Time      int64_t microseconds since 1970-01-01T00:00:00Z, suffix _us. Durations: _ms.
 *   Ownership Arguments are the caller's and are copied where they must outlive the call. Results
 *             are freed by the call named in the comment; slices inside a result live as long as it.
 *   Threads   A lore_store may be used by any number of threads at once. Every other object
 *             (batch, iterator, record, results, buffer) belongs to one thread at a time. A snapshot
 *             may be shared.
 *   Callbacks Run on the calling thread, before the call returns. They may read through the same store
 *             (gets, iterators, searches); they must not write to it, list or drop what is being
 *             listed, flush, compact or close it.
 *   Structs   A struct that begins with `struct_size` is filled by its init call and may grow at
 *             its end in later versions; old callers keep working.
 *
 * The sources of the algorithms: log-structured merge tree, O'Neil et al. 1996; lazy leveling,
 * Dayan and Idreos 2018 ("Dostoevsky"); binary fuse filters, Graf and Lemire 2022; XXH3 checks,
 * xxhash 0.8 specification; UUIDv7, RFC 9562.
 */
#ifndef LORE_H
#define LORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LORE_API __attribute__((visibility("default")))
#define LORE_MUST_USE __attribute__((warn_unused_result))
#else
#define LORE_API
#define LORE_MUST_USE
#endif

#define LORE_VERSION_MAJOR 0
#define LORE_VERSION_MINOR 1
#define LORE_VERSION_PATCH 0

/* "0.1.0". Static; never freed. */
LORE_API const char *lore_version(void);

/* ------------------------------------------------------------------------------------------------
 * Status
 * ------------------------------------------------------------------------------------------------ */

/* Codes are stable for ever; each has a page under docs/errors/. */
typedef enum lore_status {
    LORE_OK = 0,
    LORE_NOT_FOUND = 1,   /* no such key, memory, snapshot, space */
    LORE_CORRUPTION = 2,  /* stored bytes fail their check; the message names file and offset */
    LORE_IO = 3,          /* the operating system failed a call; the message names file and errno */
    LORE_FULL = 4,        /* no space on the device, or the store's quota is reached */
    LORE_LOCKED = 5,      /* another process holds the writer's lock; the message names its pid.
                           * A reader: the writer replaced files faster than they could be opened */
    LORE_TOO_BIG = 6,     /* a key, value or batch over its limit; nothing was written */
    LORE_CONFLICT = 7,    /* a condition of the batch does not hold; nothing was written */
    LORE_INVALID = 8,     /* an argument that no state of the store would make right */
    LORE_MISUSE = 9,      /* a call out of order: after fork, after close, on a read-only handle */
    LORE_NO_MEMORY = 10,  /* the allocator, or memory_budget, has no more to give */
    LORE_NO_STORE = 11,   /* the directory holds no store */
    LORE_EXISTS = 12,     /* it is there already: store, snapshot, space, memory */
    LORE_UNSUPPORTED = 13,/* a format version or required feature that this library does not know */
    LORE_CANCELLED = 14   /* a progress callback asked to stop */
} lore_status;

/* "LORE_CORRUPTION" for LORE_CORRUPTION; "LORE_?" for a number that is none. Static. */
LORE_API const char *lore_status_name(lore_status status);

/* What, where (file, offset) and why of the last call on this thread that failed. One that returned
 * LORE_NOT_FOUND leaves what was not found, or nothing. Valid until the next call on this thread that
 * does not return LORE_OK; never NULL. */
LORE_API const char *lore_error_message(void);

/* ------------------------------------------------------------------------------------------------
 * Bytes
 * ------------------------------------------------------------------------------------------------ */

typedef struct lore_slice {
    const void *data; /* may be NULL when size is 0 */
    size_t size;      /* bytes */
} lore_slice;

/* A slice over a string literal or zero-terminated string; the bytes stay the caller's. */
LORE_API lore_slice lore_slice_of(const char *text);

/* A result buffer that calls grow as needed, so that a lookup in a loop allocates once.
 * Start from {0}; free with lore_buffer_free, which leaves it ready for use again. */
typedef struct lore_buffer {
    void *data;
    size_t size;     /* bytes that the last call put there */
    size_t capacity; /* bytes allocated */
    const void *owner; /* private: the allocator */
} lore_buffer;

LORE_API void lore_buffer_free(lore_buffer *buffer);

/* ------------------------------------------------------------------------------------------------
 * Opening and closing
 * ------------------------------------------------------------------------------------------------ */

typedef struct lore_store lore_store;
typedef struct lore_snapshot lore_snapshot;

/* The operating system as the store sees it. NULL means POSIX. Other environments (in memory,
 * fault-injecting) are for tests and live in engine/vfs/. */
typedef struct lore_env lore_env;

typedef enum lore_durability {
    LORE_SYNC_FULL = 0,     /* durable before the call returns; one device flush for a group */
    LORE_SYNC_INTERVAL = 1, /* synced sync_interval_ms after the first commit that is not, or a
                             * step of background work later; with LORE_BACKGROUND_STEPS at the
                             * next lore_step or commit from then on. A power cut may lose that
                             * much; a crash of the process alone loses nothing */
    LORE_SYNC_NONE = 2      /* synced at flush and close: a power cut may lose a memtable */
} lore_durability;

typedef enum lore_background {
    LORE_BACKGROUND_THREAD = 0, /* the store runs one thread for flush and compaction */
    LORE_BACKGROUND_STEPS = 1   /* no thread: the host calls lore_step; a writer that finds the
                                 * memtable full runs the steps itself */
} lore_background;

typedef enum lore_compression { LORE_COMPRESSION_LZ4 = 0, LORE_COMPRESSION_NONE = 1 } lore_compression;

typedef enum lore_log_level {
    LORE_LOG_ERROR = 0,
    LORE_LOG_WARNING = 1,
    LORE_LOG_INFO = 2,
    LORE_LOG_DEBUG = 3
} lore_log_level;

/* Called from any thread, also from the background; must not call back into the store. */
typedef void (*lore_log_fn)(void *context, lore_log_level level, const char *message);

typedef struct lore_options {
    size_t struct_size; /* set by lore_options_init */

    bool create_if_missing; /* default false: opening nothing is LORE_NO_STORE */
    bool error_if_exists;   /* default false */
    bool read_only;         /* default false. Repairs, moves and deletes nothing; works beside a
                             * live writer and on read-only media; sees the state of the last promise
                             * in the log until lore_refresh */

    uint64_t memory_budget;      /* bytes; default 64 MiB, at least 4 MiB. One ceiling for memtables,
                                  * cache, filters, indexes, compaction and the catalog */
    lore_durability durability;  /* default LORE_SYNC_FULL */
    uint32_t sync_interval_ms;   /* default 60000; LORE_SYNC_INTERVAL only */
    uint32_t lock_timeout_ms;    /* default 30000: how long an opener waits for the writer's lock,
                                  * and a reader for a moment of the writer's to open */
    uint32_t files_max;          /* default 64, at least 16: files held open at once by a writer.
                                  * A read-only handle keeps every file of its version open */
    lore_background background;  /* default LORE_BACKGROUND_THREAD */
    uint64_t quota_bytes;        /* default 0, none: limit on live segment bytes, without log and
                                  * pinned files; over it writes are LORE_FULL, deletes still work */
    bool group_access;           /* default false: files 0600 and directories 0700; true: 0660, 0770 */
    uint32_t access_flush_ms;    /* default 60000: how long access counts gather in memory */

    uint32_t memtable_bytes;        /* default 0: an eighth of memory_budget, 16 MiB at most */
    uint32_t block_bytes;           /* default 4096; 512 to 65536: aim for a table's data block */
    uint32_t table_bytes_max;       /* default 0: memory_budget / 8 between 4 and 32 MiB; else at least
                                     * 16 KiB */
    uint32_t blob_threshold_bytes;  /* default 1024: values over this go to blob files */
    uint32_t log_preallocate_bytes; /* default 1 MiB: zeros written ahead of the log's end */
    uint32_t reserve_bytes;         /* default 1 MiB: a file given up to let deletes and compaction
                                     * run on a full disk; 0 for none */
    uint32_t fan_in;                /* default 4; 2 to 16: runs a level gathers before they merge */
    lore_compression compression;   /* default LORE_COMPRESSION_LZ4 */

    lore_log_fn log;          /* default NULL: silent */
    void *log_context;
    lore_log_level log_level; /* default LORE_LOG_INFO */

    const lore_env *env; /* default NULL: POSIX */
} lore_options;

LORE_API void lore_options_init(lore_options *options);

/* Open the store in directory `path`. `options` NULL means the defaults. On success *store is the
 * caller's to lore_close. Recovers from any crash. LORE_LOCKED when a writer holds it past
 * lock_timeout_ms, LORE_CORRUPTION when the log is damaged below its last promise. */
LORE_API LORE_MUST_USE lore_status lore_open(const char *path, const lore_options *options,
                                             lore_store **store);

/* Stop the background, sync the log and free everything. Snapshots, iterators, batches and results
 * of the store must be released first (else LORE_MISUSE and the store stays open). NULL is fine.
 * LORE_OK: all that was acknowledged is durable, also on a full disk.
 * The handle is gone after LORE_OK and after any other failure than LORE_MISUSE. */
LORE_API lore_status lore_close(lore_store *store);

/* Read-only handles: move forward to what the writer has promised by now. LORE_MISUSE while
 * snapshots, iterators or results of the handle are out: the writer keeps nothing for them. */
LORE_API LORE_MUST_USE lore_status lore_refresh(lore_store *store);

/* ------------------------------------------------------------------------------------------------
 * The ordered map
 *
 * A keyspace is an ordered map from bytes to bytes, in memcmp order, named by a number. Numbers from
 * LORE_KEYSPACE_RESERVED up belong to the memory layer and are refused with LORE_INVALID.
 * Keys: 0 to 4096 bytes. Values and whole batches: up to a quarter of memory_budget as
 * lore_batch_size counts, and to 1 GiB.
 * ------------------------------------------------------------------------------------------------ */

typedef uint32_t lore_keyspace;
#define LORE_KEYSPACE_RESERVED 0xF0000000u
#define LORE_KEY_BYTES_MAX 4096u

/* Where a commit stands in the store's one history. */
typedef struct lore_commit {
    uint64_t sequence; /* of the batch's last entry; only grows */
    int64_t time_us;   /* max(clock, last + 1) */
} lore_commit;

LORE_API LORE_MUST_USE lore_status lore_put(lore_store *store, lore_keyspace keyspace,
                                            lore_slice key, lore_slice value);
/* Deleting what is not there is LORE_OK. */
LORE_API LORE_MUST_USE lore_status lore_delete(lore_store *store, lore_keyspace keyspace,
                                               lore_slice key);
/* Every key k with begin <= k < end; end of size 0 means to the end of the keyspace. One entry,
 * however many keys it covers. */
LORE_API LORE_MUST_USE lore_status lore_delete_range(lore_store *store, lore_keyspace keyspace,
                                                     lore_slice begin, lore_slice end);

/* Read one key at `snapshot` (NULL: now). LORE_NOT_FOUND leaves the buffer's size 0.
 * `sequence` may be NULL; else it is set to the entry's sequence number, for
 * lore_batch_require_unchanged. */
LORE_API LORE_MUST_USE lore_status lore_get(lore_store *store, const lore_snapshot *snapshot,
                                            lore_keyspace keyspace, lore_slice key,
                                            lore_buffer *value, uint64_t *sequence);

/* Keyspaces below LORE_KEYSPACE_RESERVED that hold a key at `snapshot`, ascending. The callback
 * returns false to stop early. */
typedef bool (*lore_keyspace_fn)(void *context, lore_keyspace keyspace);
LORE_API LORE_MUST_USE lore_status lore_keyspaces(lore_store *store, const lore_snapshot *snapshot,
                                                  lore_keyspace_fn callback, void *context);

/* A batch: changes to any keyspaces, all or none, and the conditions under which they hold.
 * Entries apply in order; a later one on the same key wins. */
typedef struct lore_batch lore_batch;

LORE_API LORE_MUST_USE lore_status lore_batch_create(lore_store *store, lore_batch **batch);
LORE_API void lore_batch_destroy(lore_batch *batch);
LORE_API void lore_batch_clear(lore_batch *batch);
/* Bytes towards the batch limit: for each entry its key, its value and 164 bytes. */
LORE_API size_t lore_batch_size(const lore_batch *batch);
LORE_API LORE_MUST_USE lore_status lore_batch_put(lore_batch *batch, lore_keyspace keyspace,
                                                  lore_slice key, lore_slice value);
LORE_API LORE_MUST_USE lore_status lore_batch_delete(lore_batch *batch, lore_keyspace keyspace,
                                                     lore_slice key);
LORE_API LORE_MUST_USE lore_status lore_batch_delete_range(lore_batch *batch,
                                                           lore_keyspace keyspace, lore_slice begin,
                                                           lore_slice end);
/* Conditions, checked in commit order when the batch is written: LORE_CONFLICT if one fails. */
LORE_API LORE_MUST_USE lore_status lore_batch_require_absent(lore_batch *batch,
                                                             lore_keyspace keyspace, lore_slice key);
/* The newest entry of the key still has this sequence number (0: the key is absent). */
LORE_API LORE_MUST_USE lore_status lore_batch_require_unchanged(lore_batch *batch,
                                                                lore_keyspace keyspace,
                                                                lore_slice key, uint64_t sequence);

/* Write the batch. `commit` may be NULL. The batch keeps its entries (clear or destroy it).
 * LORE_CONFLICT, LORE_TOO_BIG, LORE_FULL: nothing was written. LORE_IO: the handle is poisoned; the
 * batch may or may not be there after reopening. */
LORE_API LORE_MUST_USE lore_status lore_write(lore_store *store, lore_batch *batch,
                                              lore_commit *commit);

/* Make everything acknowledged so far durable, whatever the durability option. */
LORE_API LORE_MUST_USE lore_status lore_sync(lore_store *store);

/* ------------------------------------------------------------------------------------------------
 * Snapshots
 *
 * A snapshot is a sequence number: reads through it see the store as it was then. An open snapshot
 * keeps the versions it needs from compaction. A named one is durable and keeps them until dropped.
 * ------------------------------------------------------------------------------------------------ */

LORE_API LORE_MUST_USE lore_status lore_snapshot_create(lore_store *store, lore_snapshot **snapshot);
LORE_API void lore_snapshot_release(lore_snapshot *snapshot);
LORE_API uint64_t lore_snapshot_sequence(const lore_snapshot *snapshot);

typedef struct lore_snapshot_info {
    lore_slice name; /* valid during the callback */
    uint64_t sequence;
    int64_t time_us; /* commit time of `sequence` */
    int64_t created_at_us;
} lore_snapshot_info;
typedef bool (*lore_snapshot_fn)(void *context, const lore_snapshot_info *info);

/* Names: 1 to 255 bytes. LORE_EXISTS, LORE_NOT_FOUND as expected. All durable on return. */
LORE_API LORE_MUST_USE lore_status lore_snapshot_save(lore_store *store, const char *name);
LORE_API LORE_MUST_USE lore_status lore_snapshot_open(lore_store *store, const char *name,
                                                      lore_snapshot **snapshot);
LORE_API LORE_MUST_USE lore_status lore_snapshot_drop(lore_store *store, const char *name);
LORE_API LORE_MUST_USE lore_status lore_snapshot_list(lore_store *store, lore_snapshot_fn callback,
                                                      void *context);

/* ------------------------------------------------------------------------------------------------
 * Iterators
 *
 * Forward and backward over one keyspace, consistent at a snapshot, within optional bounds. An
 * iterator pins segment files, never log files and no memtable; it is not positioned until a seek.
 * ------------------------------------------------------------------------------------------------ */

typedef struct lore_iter lore_iter;

typedef struct lore_range {
    lore_slice lower;  /* inclusive; size 0: from the start */
    lore_slice upper;  /* exclusive; size 0: to the end */
    lore_slice prefix; /* size 0: none; else keys that begin with it, within lower and upper */
} lore_range;

/* `snapshot` NULL: the state now, held until the iterator is destroyed. `range` NULL: all. */
LORE_API LORE_MUST_USE lore_status lore_iter_create(lore_store *store, const lore_snapshot *snapshot,
                                                    lore_keyspace keyspace, const lore_range *range,
                                                    lore_iter **iter);
LORE_API void lore_iter_destroy(lore_iter *iter);
/* Each of these returns LORE_OK also when it leaves the iterator past an end (then not valid). */
LORE_API LORE_MUST_USE lore_status lore_iter_seek_first(lore_iter *iter);
LORE_API LORE_MUST_USE lore_status lore_iter_seek_last(lore_iter *iter);
LORE_API LORE_MUST_USE lore_status lore_iter_seek(lore_iter *iter, lore_slice key);      /* >= key */
LORE_API LORE_MUST_USE lore_status lore_iter_seek_back(lore_iter *iter, lore_slice key); /* <= key */
LORE_API LORE_MUST_USE lore_status lore_iter_next(lore_iter *iter); /* LORE_MISUSE if not valid */
LORE_API LORE_MUST_USE lore_status lore_iter_prev(lore_iter *iter);
LORE_API bool lore_iter_valid(const lore_iter *iter);
/* The key, without its keyspace; valid until the iterator moves. Only when lore_iter_valid. */
LORE_API lore_slice lore_iter_key(const lore_iter *iter);
/* The value; valid until the iterator moves. Reads a blob file where the value lives in one. */
LORE_API LORE_MUST_USE lore_status lore_iter_value(lore_iter *iter, lore_slice *value);

/* ------------------------------------------------------------------------------------------------
 * Embedding spaces
 * ------------------------------------------------------------------------------------------------ */

typedef enum lore_element {
    LORE_ELEMENT_F32 = 1,   /* IEEE binary32, little-endian, 4 bytes a dimension */
    LORE_ELEMENT_F16 = 2,   /* IEEE binary16, little-endian, 2 bytes a dimension */
    LORE_ELEMENT_INT8 = 3,  /* two's complement, 1 byte a dimension */
    LORE_ELEMENT_BINARY = 4 /* 1 bit a dimension, least significant bit first; dimensions a
                             * multiple of 8 */
} lore_element;

/* Results come smallest distance first. Dot product is negated, cosine is 1 - similarity. */
typedef enum lore_metric {
    LORE_METRIC_COSINE = 1, /* 1 - a.b / (|a||b|); 1 when a vector is zero; not for binary */
    LORE_METRIC_DOT = 2,    /* -a.b; not for binary */
    LORE_METRIC_L2 = 3,     /* squared Euclidean distance; not for binary */
    LORE_METRIC_HAMMING = 4 /* differing bits; binary only */
} lore_metric;

#define LORE_DIMENSIONS_MAX 4096u

typedef struct lore_space_spec {
    uint32_t dimensions; /* 1 to LORE_DIMENSIONS_MAX */
    lore_element element;
    lore_metric metric;
    lore_slice model; /* the model's name, 0 to 255 bytes; kept, compared by nobody */
} lore_space_spec;

typedef struct lore_space_info {
    lore_slice name; /* valid during the callback */
    lore_space_spec spec;
    uint32_t number;      /* the space's number inside the store */
    size_t stride_bytes;  /* bytes of one vector */
} lore_space_info;
typedef bool (*lore_space_fn)(void *context, const lore_space_info *info);

/* Names: 1 to 255 bytes. Creating a space that is there with the same spec is LORE_OK, with another
 * spec LORE_EXISTS. Durable on return. */
LORE_API LORE_MUST_USE lore_status lore_space_create(lore_store *store, const char *name,
                                                     const lore_space_spec *spec);
LORE_API LORE_MUST_USE lore_status lore_space_list(lore_store *store, lore_space_fn callback,
                                                   void *context);

/* ------------------------------------------------------------------------------------------------
 * Memories
 * ------------------------------------------------------------------------------------------------ */

/* Attributes: bits of lore_memory.fields (1u << attribute) and names in filters. */
typedef enum lore_attribute {
    LORE_ATTR_ID = 0,
    LORE_ATTR_TEXT = 1,
    LORE_ATTR_KIND = 2,
    LORE_ATTR_LAYER = 3,
    LORE_ATTR_TIER = 4,       /* "working", "warm", "cold" */
    LORE_ATTR_STATUS = 5,     /* "active", "archived", "deleted" */
    LORE_ATTR_IMPORTANCE = 6, /* 0 to 1 */
    LORE_ATTR_CREATED_AT = 7,
    LORE_ATTR_UPDATED_AT = 8,
    LORE_ATTR_EXPIRES_AT = 9,
    LORE_ATTR_USER = 10,
    LORE_ATTR_AGENT = 11,
    LORE_ATTR_SESSION = 12,
    LORE_ATTR_ROLE = 13,
    LORE_ATTR_TAGS = 14,
    LORE_ATTR_METADATA = 15,
    LORE_ATTR_POSITION = 16, /* place within its session */
    LORE_ATTR_ACCESS_COUNT = 17,
    LORE_ATTR_LAST_ACCESSED_AT = 18,
    LORE_ATTR_COUNT = 19
} lore_attribute;
#define LORE_FIELD(attribute) (1u << (attribute))

typedef struct lore_embedding {
    lore_slice space; /* name of an existing space */
    lore_slice data;  /* exactly the space's stride in bytes; every f32 and f16 finite */
} lore_embedding;

/* A memory, as given to a write and as returned by a read. `fields` says which members count:
 * on a write, those given (others take their default in a put, stay as they are in an update);
 * on a read, those present. Strings of attributes: 0 to 1024 bytes; tags: 64 at most. */
typedef struct lore_memory {
    size_t struct_size;
    uint32_t fields;
    lore_slice id;       /* 1 to 512 bytes; default: a UUIDv7 as 36 characters */
    lore_slice text;     /* default empty */
    lore_slice kind;     /* default empty, none */
    lore_slice layer;    /* default empty, none; usual: short_term, long_term, working, episodic,
                          * semantic */
    lore_slice tier;     /* default "working" */
    lore_slice status;   /* default "active" */
    lore_slice user_id;
    lore_slice agent_id;
    lore_slice session_id;
    lore_slice role;
    lore_slice metadata; /* free bytes, JSON by convention, kept byte for byte */
    const lore_slice *tags; /* tags_count, in order */
    size_t tags_count;
    double importance_score;  /* default 0.5 */
    int64_t created_at_us;    /* default: commit clock */
    int64_t updated_at_us;    /* default: commit clock, also in an update that does not give it */
    int64_t expires_at_us;    /* default 0, never; from then on reads hide the memory */
    uint64_t position;        /* default: after the last of its session; only with a session_id; below
                               * INT64_MAX */
    uint64_t access_count;    /* on a put: the count to start from */
    int64_t last_accessed_at_us;
    const lore_embedding *embeddings; /* embeddings_count; in a put the full set, in an update those
                                       * to add or replace */
    size_t embeddings_count;
} lore_memory;

LORE_API void lore_memory_init(lore_memory *memory);

/* A memory read from the store; owns what lore_record_memory points at. */
typedef struct lore_record lore_record;
LORE_API const lore_memory *lore_record_memory(const lore_record *record);
LORE_API uint64_t lore_record_row(const lore_record *record);
LORE_API void lore_record_destroy(lore_record *record);

typedef enum lore_put_mode {
    LORE_PUT_REPLACE = 0, /* insert, or replace the whole memory of that id: what is not given takes
                           * its default, except that the time of creation, the access counts and,
                           * within the same session, the position stay */
    LORE_PUT_INSERT = 1   /* LORE_EXISTS if the id is there, expired or not */
} lore_put_mode;

/* Write n memories as one batch, all or none; no id twice (LORE_INVALID). `ids`, if not NULL, is an
 * array of n buffers that receive the ids (of use where they were generated). Retries by itself when
 * another writer changed one of them meanwhile. */
LORE_API LORE_MUST_USE lore_status lore_memory_put(lore_store *store, const lore_memory *memories,
                                                   size_t n, lore_put_mode mode, lore_buffer *ids);

/* Change the members named in `fields` of the memory with that id, and nothing else; a new text makes
 * a new row, other attributes leave text and embeddings alone. LORE_NOT_FOUND if it is not there. */
LORE_API LORE_MUST_USE lore_status lore_memory_update(lore_store *store, const lore_memory *memory);

/* LORE_NOT_FOUND if it is not there. */
LORE_API LORE_MUST_USE lore_status lore_memory_delete(lore_store *store, lore_slice id);

/* LORE_NOT_FOUND if there is no such memory, space or embedding. */
LORE_API LORE_MUST_USE lore_status lore_embedding_delete(lore_store *store, lore_slice id,
                                                         const char *space);

/* What a read brings along, and whether it counts as an access. */
#define LORE_READ_EMBEDDINGS 1u  /* fill lore_memory.embeddings */
#define LORE_READ_NO_ACCESS 2u   /* do not count this read in access_count */
#define LORE_READ_EXPIRED 4u     /* show memories past expires_at too */

/* LORE_NOT_FOUND if it is not there, or has expired. The access counts in the record are those before
 * this read; the ones not yet written are among them when `snapshot` is NULL. */
LORE_API LORE_MUST_USE lore_status lore_memory_get(lore_store *store, const lore_snapshot *snapshot,
                                                   lore_slice id, unsigned flags,
                                                   lore_record **record);

/* All memories in order of id, consistent at a snapshot. Never counts as access. */
typedef struct lore_memory_iter lore_memory_iter;
LORE_API LORE_MUST_USE lore_status lore_memory_iter_create(lore_store *store,
                                                           const lore_snapshot *snapshot,
                                                           unsigned flags, lore_memory_iter **iter);
/* The next memory, the caller's to destroy; *record NULL and LORE_OK at the end. */
LORE_API LORE_MUST_USE lore_status lore_memory_iter_next(lore_memory_iter *iter,
                                                         lore_record **record);
LORE_API void lore_memory_iter_destroy(lore_memory_iter *iter);

/* ------------------------------------------------------------------------------------------------
 * Search: filters, substring, exact nearest neighbours; chat
 * ------------------------------------------------------------------------------------------------ */

typedef enum lore_filter_op {
    LORE_FILTER_EQ = 0, /* text attributes and numbers; on tags: has this tag */
    LORE_FILTER_NE = 1,
    LORE_FILTER_LT = 2,
    LORE_FILTER_LE = 3,
    LORE_FILTER_GT = 4,
    LORE_FILTER_GE = 5,
    LORE_FILTER_PREFIX = 6 /* text attributes and tags */
} lore_filter_op;

/* One condition; a query's conditions (64 at most) must all hold. Text attributes compare as bytes; texts to
 * compare with have at most 1024 bytes. A memory that lacks the attribute (an empty text, a time of 0, a
 * position outside a session) matches EQ and NE as if it were empty or 0, and no other operator. */
typedef struct lore_filter {
    lore_attribute attribute; /* any but TEXT, METADATA */
    lore_filter_op op;
    lore_slice text;   /* for text attributes and tags */
    int64_t integer;   /* for times (microseconds), position, access_count */
    double number;     /* for importance */
} lore_filter;

/* Ties break by row, in descending orders by row descending. With a vector only the default order is allowed
 * (LORE_INVALID). */
typedef enum lore_order {
    LORE_ORDER_DEFAULT = 0, /* distance where a vector is given, else row (order of writing) */
    LORE_ORDER_CREATED = 1,
    LORE_ORDER_CREATED_DESC = 2,
    LORE_ORDER_IMPORTANCE_DESC = 3,
    LORE_ORDER_ACCESSED_DESC = 4
} lore_order;

typedef struct lore_query {
    size_t struct_size;
    const lore_filter *filters;
    size_t filters_count;
    lore_slice substring;    /* size 0: none; else the text must contain these bytes */
    bool ignore_ascii_case;  /* default false: for substring, letters A-Z equal a-z */
    const char *space;       /* NULL: no vector search */
    lore_slice vector;       /* the query in the space's element type; or */
    lore_slice vector_of_id; /* the embedding of this memory, which is then left out of the result */
    size_t limit;            /* default 10; 0: no limit (not with a vector) */
    size_t offset;           /* default 0 */
    lore_order order;
    unsigned flags;          /* LORE_READ_* */
} lore_query;
LORE_API void lore_query_init(lore_query *query);

typedef struct lore_results lore_results;
typedef struct lore_hit {
    const lore_memory *memory;
    uint64_t row;
    float distance; /* 0 where no vector was searched */
} lore_hit;

/* If k memories match, k come back (up to limit). Ties in distance break by row. */
LORE_API LORE_MUST_USE lore_status lore_search(lore_store *store, const lore_snapshot *snapshot,
                                               const lore_query *query, lore_results **results);
LORE_API size_t lore_results_count(const lore_results *results);
LORE_API lore_hit lore_results_hit(const lore_results *results, size_t index); /* index < count */
LORE_API void lore_results_destroy(lore_results *results);

/* How many live memories match the filters and the substring. */
LORE_API LORE_MUST_USE lore_status lore_count(lore_store *store, const lore_snapshot *snapshot,
                                              const lore_query *query, uint64_t *count);

typedef struct lore_chat_query {
    size_t struct_size;
    lore_slice session_id;
    uint64_t from_position; /* default 0, inclusive */
    uint64_t to_position;   /* default UINT64_MAX, exclusive */
    size_t last;            /* default 0, all: only the last so many turns of the range */
    uint64_t tokens_max;    /* default 0, none: only the last turns whose tokens fit, counted as
                             * (bytes of text + 3) / 4 a turn */
    lore_slice role;        /* size 0: any */
    unsigned flags;
} lore_chat_query;
LORE_API void lore_chat_query_init(lore_chat_query *query);
/* Turns in order of position. A session that is not there is an empty result. Counts as access, unless
 * LORE_READ_NO_ACCESS. */
LORE_API LORE_MUST_USE lore_status lore_chat(lore_store *store, const lore_snapshot *snapshot,
                                             const lore_chat_query *query, lore_results **results);

/* Distinct values of a text attribute (KIND, LAYER, TIER, STATUS, USER, AGENT, SESSION, ROLE, TAGS)
 * in memcmp order, with how many live memories have each. */
typedef bool (*lore_value_fn)(void *context, lore_slice value, uint64_t count);
LORE_API LORE_MUST_USE lore_status lore_values(lore_store *store, const lore_snapshot *snapshot,
                                               lore_attribute attribute, lore_value_fn callback,
                                               void *context);

/* ------------------------------------------------------------------------------------------------
 * Maintenance
 * ------------------------------------------------------------------------------------------------ */

typedef struct lore_progress {
    const char *stage; /* "compact", "verify", ... static */
    uint64_t done;     /* bytes or items */
    uint64_t total;    /* 0 where unknown */
} lore_progress;
/* Return false to stop: the call then returns LORE_CANCELLED and leaves the store consistent. */
typedef bool (*lore_progress_fn)(void *context, const lore_progress *progress);

/* Write the memtable to segments and start a new log. */
LORE_API LORE_MUST_USE lore_status lore_flush(lore_store *store);
/* Flush, then merge everything into the last level and drop what is dead. */
LORE_API LORE_MUST_USE lore_status lore_compact(lore_store *store, lore_progress_fn progress,
                                                void *context);
/* Do background work that reads and writes about `budget_bytes` (at most twice that, at least one
 * block). *more says whether more waits. Of use with LORE_BACKGROUND_STEPS; LORE_MISUSE otherwise. */
LORE_API LORE_MUST_USE lore_status lore_step(lore_store *store, uint64_t budget_bytes, bool *more);

typedef struct lore_stats {
    size_t struct_size;
    uint8_t store_id[16];
    uint8_t lineage[16];
    uint64_t generation;
    uint64_t last_sequence;
    int64_t last_commit_us;
    uint64_t row_watermark;     /* rows below it have been handed out */
    uint64_t log_files, log_bytes;
    uint64_t table_files, table_bytes;
    uint64_t blob_files, blob_bytes, blob_garbage_bytes;
    uint64_t row_files, row_bytes, row_garbage_bytes;
    uint64_t levels, runs;
    uint64_t catalog_bytes;     /* LMDB file and edits */
    uint64_t disk_free_bytes;
    uint64_t memory_used, memory_peak, memory_budget; /* bytes charged to the budget */
    uint64_t memtable_bytes, cache_bytes;
    uint64_t files_open;
    uint64_t commits, groups, device_syncs;
    uint64_t gets, blocks_read, blocks_hit; /* blocks_read: fetched from files; hit: from the cache */
    uint64_t flushes, compactions;          /* finished since opening */
    uint64_t background_read_bytes, background_written_bytes;
    uint64_t stalls, stall_us;              /* writers slowed by compaction debt */
    uint64_t snapshots_open, snapshots_named, iterators_open;
    uint64_t oldest_snapshot_sequence;      /* 0: none open */
    uint64_t quarantined;                   /* ranges and log tails set aside */
    uint64_t log_bytes_cut;                 /* at the last recovery, above the last promise */
    bool background_running, compaction_pending, read_only;
    lore_status poisoned;                   /* LORE_OK, or the error that writes return */
} lore_stats;
LORE_API LORE_MUST_USE lore_status lore_stats_get(lore_store *store, lore_stats *stats);

/* One finding of lore_verify. */
typedef struct lore_finding {
    lore_status status;    /* LORE_CORRUPTION, or LORE_OK for a warning (permissions, orphans) */
    const char *kind;      /* "log", "edits", "table", "blob", "rows", "catalog", "index", "file" */
    const char *file;      /* relative to the store's directory */
    uint64_t offset;       /* bytes; UINT64_MAX where none applies */
    lore_slice first_key, last_key; /* hurt range, with the 4-byte keyspace at its head; size 0: n/a */
    const char *message;
} lore_finding;
typedef void (*lore_finding_fn)(void *context, const lore_finding *finding);

typedef struct lore_verify_report {
    uint64_t files, bytes, entries, memories, findings, warnings;
} lore_verify_report;

/* Every check and digest of every file, order of keys, the catalog against edits, footers and the
 * directory, and every index against the memories. Works on a live handle and on a read-only one.
 * LORE_CORRUPTION if anything is hurt; each hurt is reported through `finding` first. */
LORE_API LORE_MUST_USE lore_status lore_verify(lore_store *store, lore_finding_fn finding,
                                               lore_progress_fn progress, void *context,
                                               lore_verify_report *report);

/* Something of a damaged store that is missing, or may be. */
typedef struct lore_loss {
    const char *kind;    /* "table", "blob", "rows", "log", "edits", "catalog", "file"; "memory", "entry",
                          * "embedding", "access" (counts), "snapshot" */
    const char *file;    /* relative to the store's directory; NULL where none is known */
    uint64_t offset;     /* bytes; UINT64_MAX where none applies */
    lore_slice first_key, last_key; /* entries of these keys may be missing, with the 4-byte keyspace at
                          * their heads; size 0: n/a */
    uint64_t first_sequence, last_sequence; /* likewise; 0: n/a. UINT64_MAX: the end is not known */
    lore_slice id;       /* of the memory or snapshot; size 0: n/a */
    const char *space;   /* of an embedding; else NULL */
    bool harmless;       /* nothing is missing for it: damage beside the content, or put right */
    const char *message;
} lore_loss;

/* A record that can be read, and that may not be the newest, or not whole. */
typedef struct lore_suspect {
    const lore_memory *memory; /* or NULL: an entry of the ordered map */
    lore_keyspace keyspace;
    lore_slice key, value;
    const char *reason;
} lore_suspect;

typedef struct lore_salvage_calls {
    size_t struct_size;
    void (*loss)(void *context, const lore_loss *loss);
    /* Anything but LORE_OK stops the salvage, which returns it. */
    lore_status (*suspect)(void *context, const lore_suspect *suspect);
    lore_progress_fn progress;
    void *context; /* of all three, each of which may be NULL */
} lore_salvage_calls;
LORE_API void lore_salvage_calls_init(lore_salvage_calls *calls);

typedef struct lore_salvage_report {
    uint64_t memories, entries; /* in the new store */
    uint64_t suspects;          /* told to `suspect`, and not in the new store */
    uint64_t memories_lost;     /* known by their id alone, or without their text */
    uint64_t losses;            /* told to `loss`, but for harmless ones */
    uint64_t files, bytes;      /* of the damaged store */
} lore_salvage_report;

/* Read all that checks of the store at `path`, however damaged, into a new store at `to`, and tell what is
 * missing. `path` is not written to; a writer that holds it is LORE_LOCKED. No value in the new store is
 * wrong: a record goes there only if no damaged place could hold a newer version of it, or its delete. The
 * others that can be read are told to `suspect`, older versions before newer ones. Access counts that may
 * lack some are left out; named snapshots and the tools' notes do not come along.
 *
 * LORE_OK also where something was lost: see *report. LORE_EXISTS when `to` is there and not empty,
 * LORE_NO_STORE when nothing of a store is at `path`. Needs twice the disk space of the store, once where
 * `to` lies on its file system, and a folder `to`.salvage, which is removed. A stopped salvage leaves
 * nothing at `to`. Takes memory_budget, and at least 8 MiB. */
LORE_API LORE_MUST_USE lore_status lore_salvage(const char *path, const char *to,
                                                const lore_options *options,
                                                const lore_salvage_calls *calls,
                                                lore_salvage_report *report);

/* A file of a backup, as the manifest needs it. */
typedef struct lore_backup_file {
    const char *path; /* relative to the backup's directory */
    uint64_t size;
    bool linked;      /* a hard link that shares its bytes with the store */
} lore_backup_file;
typedef void (*lore_backup_fn)(void *context, const lore_backup_file *file);

#define LORE_BACKUP_COPY 1u /* never link */

/* Flush, then make directory `to` (which must not exist or be empty) a full snapshot of the store:
 * sealed segments, linked where the file system allows and else copied, and a catalog checkpoint; no
 * log, no LMDB file. The result is itself a store that opens with read_only and refuses writes.
 * Everything is synced on return. The manifest is the caller's to write. */
LORE_API LORE_MUST_USE lore_status lore_backup(lore_store *store, const char *to, unsigned flags,
                                               lore_backup_fn callback, lore_progress_fn progress,
                                               void *context);

/* Make the backup in directory `from` the next generation of the store at `path` (which is created
 * if missing): verify every file while copying, build the catalog, start a new lineage, then switch
 * by one atomic step. An existing store needs `replace`, also to go past a CURRENT that is damaged; its old
 * generation stays as the safety snapshot. The store must not be open. */
LORE_API LORE_MUST_USE lore_status lore_restore(const char *path, const char *from, bool replace,
                                                const lore_options *options,
                                                lore_progress_fn progress, void *context);

/* The same for content that comes as records: open the next generation of the store at `path`, empty
 * and invisible; fill it; then lore_generation_publish closes it and switches. Closing it without
 * publishing drops it. */
LORE_API LORE_MUST_USE lore_status lore_generation_begin(const char *path, bool replace,
                                                         const lore_options *options,
                                                         lore_store **store);
LORE_API lore_status lore_generation_publish(lore_store *store);

/* Log records, for inspection. */
typedef struct lore_log_record {
    const char *file;
    uint64_t offset;   /* bytes from the file's start */
    uint32_t length;   /* payload bytes */
    const char *kind;  /* "batch", "promise", "close" */
    int64_t time_us;
    uint64_t first_sequence;
    uint32_t entries;
    uint64_t promised; /* of a promise: the log is synced below this offset */
} lore_log_record;
typedef bool (*lore_log_record_fn)(void *context, const lore_log_record *record);
/* Read the logs of the store at `path` without opening it. LORE_CORRUPTION names the first record
 * that fails below the last promise. */
LORE_API LORE_MUST_USE lore_status lore_log_dump(const char *path, const lore_options *options,
                                                 lore_log_record_fn callback, void *context);

/* The writer that holds the lock, from the information in LOCK: "pid 4711 on host since ...".
 * LORE_NOT_FOUND if no process holds it. */
LORE_API LORE_MUST_USE lore_status lore_lock_owner(const char *path, const lore_options *options,
                                                   lore_buffer *text);

/* Free-form notes that tools keep with the store (last backup, configuration), durable on return.
 * Keys 1 to 255 bytes, values up to 4096. */
LORE_API LORE_MUST_USE lore_status lore_note_put(lore_store *store, const char *key,
                                                 lore_slice value);
LORE_API LORE_MUST_USE lore_status lore_note_get(lore_store *store, const char *key,
                                                 lore_buffer *value);

/* Built-in checks that need no store: known answers of every digest, codec and distance kernel on
 * this machine. LORE_CORRUPTION if one differs; `callback` may be NULL. */
typedef void (*lore_selftest_fn)(void *context, const char *name, bool passed);
LORE_API LORE_MUST_USE lore_status lore_selftest(lore_selftest_fn callback, void *context);

#ifdef __cplusplus
}
#endif
#endif
