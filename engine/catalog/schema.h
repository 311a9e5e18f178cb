/*
 * schema.h - the records that the catalog holds, as structs, keys and bytes.
 *
 *   key                     record
 *   'F'                     facts: of the store and of this generation
 *   'C'                     counters: segment ids, run ids, space numbers
 *   'L'                     log: which log files still count
 *   'H'                     head: the newest log that the catalog knows of, and how it was closed
 *   'S' be64 id             segment: its state, where it stands in the tree, its summary
 *   'J' be64 slot           job: a merge in progress (slots 0 and 1); a compaction that was asked for (slot 2)
 *   'N' name                named snapshot
 *   'E' name                embedding space
 *   'Q' be64 number         quarantine: a range or a file set aside
 *   'K' key                 note: kept for the tools
 *
 * Every encoded record begins with a version byte (1), but for notes, which are free bytes. Decoders return LORE_CORRUPTION on anything malformed.
 */
#ifndef LORE_CATALOG_SCHEMA_H
#define LORE_CATALOG_SCHEMA_H

#include "catalog/catalog.h"
#include "segment/segment.h"

struct facts_record {
    uint32_t format_version;     /* of the store as a whole: 1 */
    uint64_t generation;
    int64_t created_at_us;
    uint8_t parent_lineage[16];  /* zero: none */
    uint64_t parent_sequence;    /* where this lineage left its parent */
    bool sealed;                 /* a backup: opens read-only, never to be written */
    uint64_t row_watermark;      /* sealed stores have no log: rows below were handed out */
    uint64_t last_sequence;      /* likewise */
    int64_t last_commit_us;
};

/* Ids below *_end may be in use: a range is reserved by an edit before any is used, so that a segment file whose id lies
 * between the last live one and the end is known as unfinished work, and one beyond it as foreign. */
struct counters_record {
    uint64_t segment_end;
    uint64_t run_end;
    uint32_t space_end;
    uint64_t quarantine_end;
};

struct log_record_state {
    uint64_t first_log;       /* logs below it are flushed and may be gone */
    uint64_t flushed_sequence; /* every entry up to it is in segments */
    uint64_t row_watermark;   /* rows handed out up to flushed_sequence */
    int64_t flushed_time_us;
};

/* Written when a store is opened for writing and when it is closed, so that a newest log that is missing, or shorter
 * than it was when it was closed, is not taken for the work of a crash. Later logs may follow. */
struct log_head_record {
    uint64_t number;
    bool closed;              /* else it is, or was, being written, and the next two are 0 */
    uint64_t length;          /* bytes, the close record included */
    uint64_t last_sequence;
};

enum segment_state { SEGMENT_LIVE = 1, SEGMENT_DROPPED = 2 };
struct segment_record {
    enum segment_state state;   /* dropped: to be unlinked; the record goes with the next edit after */
    uint8_t level;              /* tables: where it stands now */
    uint64_t run;               /* tables: the run it belongs to */
    uint64_t run_order;         /* tables: newer runs of one level have larger ones */
    struct bytes cut;           /* tables: keys <= cut have moved on in a compaction; empty: none */
    uint64_t garbage_values;    /* blob, rows: values that no entry refers to any more */
    uint64_t garbage_bytes;
    struct segment_summary summary;
};

/* A merge in progress: everything with key <= `done` of the inputs has moved to the output run. */
#define JOB_RUNS_MAX 64u
struct job_record {
    uint8_t input_level, output_level;
    uint64_t output_run, output_run_order;
    uint64_t inputs[JOB_RUNS_MAX]; /* run ids of the input level; the output run, if it was there before, is an input too */
    uint32_t inputs_count;
    bool drop_deletes;          /* nothing older lies beneath the output */
    struct bytes done;          /* empty: nothing yet */
};

struct named_snapshot_record {
    uint64_t sequence;
    uint64_t row_watermark;
    int64_t time_us;            /* commit time of the sequence */
    int64_t created_at_us;
};

struct space_record {
    uint32_t number;
    uint32_t dimensions;
    uint8_t element, metric;    /* lore_element, lore_metric */
    struct bytes model;
};

enum quarantine_kind { QUARANTINE_SEGMENT = 1, QUARANTINE_LOG_TAIL = 2, QUARANTINE_FOREIGN_FILE = 3 };
struct quarantine_record {
    enum quarantine_kind kind;
    uint64_t segment_id;        /* or log number */
    uint64_t offset, bytes;
    int64_t since_us;
    struct bytes file;          /* where its bytes are now, relative to the generation */
    struct bytes reason;
};

/* encode: append to `out` (cleared first). decode: strings get memory from `allocator`; deinit frees them. */
#define SCHEMA_CODEC(name)                                                                         \
    MUST_USE lore_status name##_encode(const struct name *record, struct bytes *out);              \
    MUST_USE lore_status name##_decode(lore_slice in, const struct allocator *allocator,           \
                                       struct name *record);                                       \
    void name##_deinit(struct name *record);
SCHEMA_CODEC(facts_record)
SCHEMA_CODEC(counters_record)
SCHEMA_CODEC(log_record_state)
SCHEMA_CODEC(log_head_record)
SCHEMA_CODEC(segment_record)
SCHEMA_CODEC(job_record)
SCHEMA_CODEC(named_snapshot_record)
SCHEMA_CODEC(space_record)
SCHEMA_CODEC(quarantine_record)
#undef SCHEMA_CODEC

/* Keys. `out` takes 1 + 8 or 1 + 255 bytes. */
struct catalog_key {
    uint8_t bytes[256];
    size_t size;
};
struct catalog_key schema_key(char tag);
struct catalog_key schema_key_number(char tag, uint64_t number);
struct catalog_key schema_key_name(char tag, lore_slice name); /* name <= 255 bytes */
static inline lore_slice catalog_key_slice(const struct catalog_key *key) {
    return (lore_slice){key->bytes, key->size};
}

#endif
