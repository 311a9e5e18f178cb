/*
 * iterator.c - what a user of the ordered map sees: the newest visible version of each key, both
 * ways.
 *
 * What is visible at a sequence number never changes, so the iterator reads ahead: each fill
 * acquires a view, copies the next few visible entries into a buffer and lets the view go; moves
 * within the buffer touch no lock. A fill takes one entry after a seek and twice as many each time
 * after, up to FILL_ENTRIES_MAX or FILL_BYTES_MAX.
 *
 *   buffer   [record head, key, value] ...   in the order of the walk
 *
 * Between calls the cursors stay where they are, with the version that they read; memtables are not
 * held. As long as no memtable has been retired since, the ones that the cursors point into are in
 * the view that the next fill acquires. Otherwise the sources are made anew and the walk goes on
 * from the last key. A seek takes the newest version, so that an iterator in use does not hold
 * files for longer than one walk.
 *
 * Range deletes visible at the sequence are gathered once, when the iterator is made: later ones
 * are too new to count, and those that compaction has used up since delete nothing that is still
 * there.
 *
 * Values in other files, and values over VALUE_BYTES_MAX in memtables, are not copied; they are
 * read when asked for.
 *
 * Threads: one at a time.
 */
#include <assert.h>

#include "base/merge.h"
#include "lsm/lsm_internal.h"
#include "lsm/merge_cursor.h"

#include "base/poison.h"

#define FILL_ENTRIES_MAX  64u
#define FILL_BYTES_MAX    (16u << 10)
#define VALUE_BYTES_MAX   4096u
#define OPERAND_BYTES_MAX (MERGE_FIELD_BYTES * MERGE_FIELDS_MAX)

struct record_head {
    uint64_t sequence;
    uint32_t key_size, value_size;
    enum entry_kind kind;
    bool lazy; /* the value is not here: read it by key */
};

/* Where the next fill begins, when the cursors do not stand there. */
enum resume {
    RESUME_NOT,   /* they do */
    RESUME_END,   /* from the first or last key of all */
    RESUME_AT,    /* from resume_key, itself included */
    RESUME_BEYOND /* from resume_key, itself not included */
};

struct lsm_iterator {
    struct lsm *lsm;
    const struct allocator *allocator;
    uint64_t sequence;
    struct bytes lower, upper; /* upper of size 0: none */
    struct range_deletes deletes;

    struct version *version; /* of the sources; NULL: no sources */
    uint64_t retired;        /* memtables retired when the sources were made */
    struct merge_cursor cursor;
    bool backward;
    enum resume resume;
    struct bytes resume_key;

    struct bytes buffer;
    size_t at;   /* of the current record in buffer */
    size_t last; /* of the last record in buffer */
    bool valid;
    bool exhausted;        /* nothing follows the buffer */
    size_t entries_wanted; /* by the next fill */

    struct bytes group_key; /* backward: the key whose versions are gathered */
    struct bytes value;     /* what was read for lsm_iterator_value; also a gathered value */
    struct read_count count;
};

/* ---- life ---- */

static lore_status gather_range_deletes(struct lsm_iterator *it, const struct lsm_view *view) {
    lore_slice lower = bytes_slice(&it->lower), upper = bytes_slice(&it->upper);
    TRY(source_memtable_range_deletes(view->active, it->sequence, lower, upper, &it->deletes));
    if (view->frozen != NULL)
        TRY(source_memtable_range_deletes(view->frozen, it->sequence, lower, upper, &it->deletes));
    for (size_t r = 0; view->version->range_deletes > 0 && r < view->version->runs_count; r++)
        TRY(source_run_range_deletes(&view->version->runs[r], it->sequence, lower, upper,
                                     &it->deletes));
    return range_deletes_build(&it->deletes, NULL, 0);
}

static void drop_sources(struct lsm_iterator *it) {
    merge_cursor_deinit(&it->cursor);
    version_release(it->version);
    it->version = NULL;
}

lore_status lsm_iterator_create(struct lsm *lsm, const struct allocator *allocator,
                                uint64_t sequence, lore_slice lower, lore_slice upper,
                                struct lsm_iterator **iterator) {
    void *memory;
    TRY(mem_new(allocator, sizeof(struct lsm_iterator), &memory));
    struct lsm_iterator *it = memory;
    it->lsm = lsm;
    it->allocator = allocator;
    it->sequence = sequence;
    it->lower = it->upper = it->resume_key = bytes_empty(allocator);
    it->buffer = it->group_key = it->value = bytes_empty(allocator);
    range_deletes_init(&it->deletes, allocator);
    merge_cursor_init(&it->cursor, allocator);
    atomic_fetch_add(&lsm->iterators, 1);
    lore_status status = bytes_set(&it->lower, lower);
    if (status == LORE_OK) status = bytes_set(&it->upper, upper);
    if (status == LORE_OK) {
        struct lsm_view view;
        lsm_view_acquire(lsm, &view);
        status = gather_range_deletes(it, &view);
        lsm_view_release(lsm, &view);
    }
    if (status != LORE_OK) {
        lsm_iterator_destroy(it);
        return status;
    }
    *iterator = it;
    return LORE_OK;
}

void lsm_iterator_destroy(struct lsm_iterator *it) {
    if (it == NULL) return;
    drop_sources(it);
    range_deletes_deinit(&it->deletes);
    bytes_free(&it->lower);
    bytes_free(&it->upper);
    bytes_free(&it->resume_key);
    bytes_free(&it->buffer);
    bytes_free(&it->group_key);
    bytes_free(&it->value);
    atomic_fetch_sub(&it->lsm->iterators, 1);
    mem_put(it->allocator, it, sizeof *it);
}

/* ---- sources ---- */

static lore_status make_sources(struct lsm_iterator *it, const struct lsm_view *view,
                                uint64_t retired) {
    drop_sources(it);
    const struct version *version = view->version;
    struct source_mode mode = {.allocator = it->allocator, .count = &it->count};
    TRY(merge_cursor_reserve(&it->cursor, 2 + version->runs_count));
    merge_cursor_add_memtable(&it->cursor, view->active);
    if (view->frozen != NULL) merge_cursor_add_memtable(&it->cursor, view->frozen);
    for (size_t r = 0; r < version->runs_count; r++)
        merge_cursor_add_run(&it->cursor, &version->runs[r], &mode);
    version_retain(view->version);
    it->version = view->version;
    it->retired = retired;
    return LORE_OK;
}

static lore_status position_cursor(struct lsm_iterator *it) {
    lore_slice key = bytes_slice(&it->resume_key);
    if (!it->backward) {
        if (it->resume == RESUME_END) return merge_cursor_seek_first(&it->cursor);
        uint64_t sequence = it->resume == RESUME_AT ? it->sequence : 0;
        return merge_cursor_seek(&it->cursor, key, sequence);
    }
    if (it->resume == RESUME_END) return merge_cursor_seek_last(&it->cursor);
    if (it->resume == RESUME_BEYOND) return merge_cursor_seek_before(&it->cursor, key);
    TRY(bytes_append_zeros(&it->resume_key, 1)); /* the key's successor */
    lore_status status = merge_cursor_seek_before(&it->cursor, bytes_slice(&it->resume_key));
    it->resume_key.size--;
    return status;
}

/* ---- records ---- */

static struct record_head record_at(const struct lsm_iterator *it, size_t at) {
    struct record_head head;
    memcpy(&head, it->buffer.data + at, sizeof head);
    return head;
}

static lore_slice record_key(const struct lsm_iterator *it, size_t at) {
    return slice(it->buffer.data + at + sizeof(struct record_head), record_at(it, at).key_size);
}

static lore_status add_record(struct lsm_iterator *it, lore_slice key, uint64_t sequence,
                              enum entry_kind kind, lore_slice value, bool lazy) {
    struct record_head head;
    memset(&head, 0, sizeof head);
    head.sequence = sequence;
    head.kind = kind;
    head.lazy = lazy;
    head.key_size = (uint32_t)key.size;
    head.value_size = lazy ? 0 : (uint32_t)value.size;
    uint8_t *at;
    size_t start = it->buffer.size;
    TRY(bytes_extend(&it->buffer, sizeof head + head.key_size + head.value_size, &at));
    memcpy(at, &head, sizeof head);
    if (key.size > 0) memcpy(at + sizeof head, key.data, key.size);
    if (head.value_size > 0) memcpy(at + sizeof head + key.size, value.data, head.value_size);
    it->last = start;
    return LORE_OK;
}

/* ---- forward: versions come newest first ---- */

/* Step past all versions of `key`. */
static lore_status pass_key(struct lsm_iterator *it, lore_slice key) {
    const struct source *top = merge_cursor_top(&it->cursor);
    while (top != NULL && top->at == SOURCE_ENTRY && slice_equal(top->entry.key, key)) {
        TRY(merge_cursor_step(&it->cursor));
        top = merge_cursor_top(&it->cursor);
    }
    return LORE_OK;
}

static lore_status no_merge(uint64_t sequence) {
    return fail(LORE_CORRUPTION, "sequence %llu: no value to merge into",
                (unsigned long long)sequence);
}

/* `merged` becomes `older` with it added. */
static lore_status merge_older(lore_slice older, uint64_t sequence, uint8_t *merged, size_t *size) {
    uint8_t combined[OPERAND_BYTES_MAX];
    if (older.size > OPERAND_BYTES_MAX || !merge_is_valid(older)) return no_merge(sequence);
    if (*size == 0)
        memcpy(combined, older.data, older.size);
    else if (!merge_combine(older, slice(merged, *size), combined))
        return no_merge(sequence);
    memcpy(merged, combined, older.size);
    *size = older.size;
    return LORE_OK;
}

/* The top is the newest visible version of group_key, an operand: add the record of all of them. */
static lore_status merge_forward(struct lsm_iterator *it, uint64_t covering) {
    lore_slice key = bytes_slice(&it->group_key);
    uint64_t newest = merge_cursor_top(&it->cursor)->entry.sequence;
    uint8_t merged[OPERAND_BYTES_MAX];
    size_t size = 0;
    for (;;) {
        const struct source *top = merge_cursor_top(&it->cursor);
        if (top == NULL || top->at != SOURCE_ENTRY || !slice_equal(top->entry.key, key)) break;
        const struct entry *entry = &top->entry;
        if (entry->sequence < covering || entry->kind == ENTRY_DELETE) break;
        if (entry->kind != ENTRY_MERGE && entry->kind != ENTRY_PUT)
            return no_merge(entry->sequence);
        TRY(merge_older(entry->value, entry->sequence, merged, &size));
        if (entry->kind == ENTRY_PUT) break;
        TRY(merge_cursor_step(&it->cursor));
    }
    return add_record(it, key, newest, ENTRY_PUT, slice(merged, size), false);
}

/* The next visible entry into the buffer; *found false at the end. */
static lore_status gather_forward(struct lsm_iterator *it, bool *found) {
    lore_slice upper = bytes_slice(&it->upper);
    *found = false;
    while (!*found) {
        const struct source *top = merge_cursor_top(&it->cursor);
        if (top == NULL) return LORE_OK;
        if (upper.size > 0 && slice_compare(top->entry.key, upper) >= 0) return LORE_OK;
        if (top->at == SOURCE_BROKEN) return source_broken(top);
        const struct entry *entry = &top->entry;
        if (entry->sequence > it->sequence) {
            TRY(merge_cursor_step(&it->cursor));
            continue;
        }
        uint64_t covering = range_deletes_covering(&it->deletes, entry->key, it->sequence);
        bool gone = entry->kind == ENTRY_DELETE || entry->sequence < covering;
        if (!gone && entry->kind != ENTRY_MERGE) {
            bool lazy = entry->value.size > VALUE_BYTES_MAX;
            TRY(add_record(it, entry->key, entry->sequence, entry->kind, entry->value, lazy));
            TRY(merge_cursor_step(&it->cursor));
            TRY(pass_key(it, record_key(it, it->last)));
            *found = true;
            continue;
        }
        TRY(bytes_set(&it->group_key, entry->key));
        if (!gone) TRY(merge_forward(it, covering));
        *found = !gone;
        TRY(pass_key(it, bytes_slice(&it->group_key)));
    }
    return LORE_OK;
}

/* ---- backward: versions come oldest first ---- */

struct group {
    bool live;
    bool lazy;
    enum entry_kind kind;
    uint64_t sequence; /* of the newest visible version; its value is in it->value */
};

static lore_status take_newer(struct lsm_iterator *it, const struct entry *entry,
                              struct group *group) {
    group->sequence = entry->sequence;
    if (entry->kind == ENTRY_DELETE) {
        group->live = false;
        return LORE_OK;
    }
    if (entry->kind == ENTRY_MERGE && group->live) {
        uint8_t merged[OPERAND_BYTES_MAX];
        size_t size = 0;
        if (group->kind != ENTRY_PUT || group->lazy) return no_merge(entry->sequence);
        TRY(merge_older(entry->value, entry->sequence, merged, &size));
        TRY(merge_older(bytes_slice(&it->value), entry->sequence, merged, &size));
        return bytes_set(&it->value, slice(merged, size));
    }
    group->live = true;
    group->kind = entry->kind == ENTRY_MERGE ? ENTRY_PUT : entry->kind;
    group->lazy = entry->value.size > VALUE_BYTES_MAX;
    return group->lazy ? LORE_OK : bytes_set(&it->value, entry->value);
}

static lore_status gather_backward(struct lsm_iterator *it, bool *found) {
    lore_slice lower = bytes_slice(&it->lower);
    *found = false;
    while (!*found) {
        const struct source *top = merge_cursor_top(&it->cursor);
        if (top == NULL) return LORE_OK;
        /* A broken range that ends at the bound has nothing in it that is asked for, unless its
         * last key is in it. */
        int order = slice_compare(top->entry.key, lower);
        if (order < 0 || (order == 0 && top->at == SOURCE_BROKEN && !top->after)) return LORE_OK;
        if (top->at == SOURCE_BROKEN) return source_broken(top);
        TRY(bytes_set(&it->group_key, top->entry.key));
        lore_slice key = bytes_slice(&it->group_key);
        uint64_t covering = range_deletes_covering(&it->deletes, key, it->sequence);
        struct group group = {0};
        while (top != NULL && top->at == SOURCE_ENTRY && slice_equal(top->entry.key, key)) {
            const struct entry *entry = &top->entry;
            if (entry->sequence <= it->sequence && entry->sequence > covering)
                TRY(take_newer(it, entry, &group));
            TRY(merge_cursor_step(&it->cursor));
            top = merge_cursor_top(&it->cursor);
        }
        if (!group.live) continue;
        TRY(add_record(it, key, group.sequence, group.kind, bytes_slice(&it->value), group.lazy));
        *found = true;
    }
    return LORE_OK;
}

/* ---- fills ---- */

static lore_status fill_from(struct lsm_iterator *it, const struct lsm_view *view,
                             uint64_t retired) {
    if (it->resume != RESUME_NOT && it->version != view->version)
        TRY(make_sources(it, view, retired)); /* whatever retires a memtable makes a new version */
    assert(it->version != NULL && it->retired == retired);
    if (it->resume != RESUME_NOT) TRY(position_cursor(it));
    it->resume = RESUME_NOT;
    for (size_t n = 0; n < it->entries_wanted && it->buffer.size < FILL_BYTES_MAX; n++) {
        size_t complete = it->buffer.size, last = it->last;
        bool found;
        lore_status status =
            it->backward ? gather_backward(it, &found) : gather_forward(it, &found);
        if (status != LORE_OK) {
            it->buffer.size = complete;
            it->last = last;
            return status;
        }
        if (!found) {
            it->exhausted = true;
            break;
        }
    }
    return LORE_OK;
}

/* Replace the buffer by what comes next. What was gathered before a failure is given out first; the
 * next fill comes upon the failure again. */
static lore_status fill(struct lsm_iterator *it) {
    struct lsm_view view;
    uint64_t retired;
    lsm_view_acquire_at(it->lsm, &view, &retired);
    if (it->resume == RESUME_NOT && it->retired != retired) {
        /* The cursors' memtables are gone: go on from the last key. */
        it->resume = RESUME_BEYOND;
        lore_status status = bytes_set(&it->resume_key, record_key(it, it->last));
        if (status != LORE_OK) {
            it->valid = false;
            lsm_view_release(it->lsm, &view);
            return status;
        }
    }
    bytes_clear(&it->buffer);
    it->at = it->last = 0;
    it->exhausted = false;
    lore_status status = fill_from(it, &view, retired);
    merge_cursor_collect_counts(&it->cursor);
    lsm_view_release(it->lsm, &view);
    it->valid = it->buffer.size > 0;
    if (it->entries_wanted < FILL_ENTRIES_MAX) it->entries_wanted *= 2;
    if (status == LORE_OK) return LORE_OK;
    if (it->valid) {
        it->resume = RESUME_BEYOND;
        if (bytes_set(&it->resume_key, record_key(it, it->last)) == LORE_OK) return LORE_OK;
    }
    it->valid = false;
    it->resume = RESUME_END;
    return status;
}

static lore_status seek(struct lsm_iterator *it, bool backward, enum resume resume,
                        lore_slice key) {
    it->valid = false;
    it->backward = backward;
    it->resume = resume;
    it->entries_wanted = 1;
    TRY(bytes_set(&it->resume_key, key));
    return fill(it);
}

/* ---- calls ---- */

lore_status lsm_iterator_seek_first(struct lsm_iterator *it) {
    enum resume resume = it->lower.size == 0 ? RESUME_END : RESUME_AT;
    return seek(it, false, resume, bytes_slice(&it->lower));
}

lore_status lsm_iterator_seek_last(struct lsm_iterator *it) {
    enum resume resume = it->upper.size == 0 ? RESUME_END : RESUME_BEYOND;
    return seek(it, true, resume, bytes_slice(&it->upper));
}

lore_status lsm_iterator_seek(struct lsm_iterator *it, lore_slice key) {
    if (slice_compare(key, bytes_slice(&it->lower)) <= 0) return lsm_iterator_seek_first(it);
    return seek(it, false, RESUME_AT, key);
}

lore_status lsm_iterator_seek_back(struct lsm_iterator *it, lore_slice key) {
    if (it->upper.size > 0 && slice_compare(key, bytes_slice(&it->upper)) >= 0)
        return lsm_iterator_seek_last(it);
    return seek(it, true, RESUME_AT, key);
}

/* Move on in the direction of the buffer, or turn. */
static lore_status move(struct lsm_iterator *it, bool backward) {
    assert(it->valid);
    if (it->backward != backward) {
        TRY(bytes_set(&it->group_key, record_key(it, it->at)));
        return seek(it, backward, RESUME_BEYOND, bytes_slice(&it->group_key));
    }
    if (it->at != it->last) {
        struct record_head head = record_at(it, it->at);
        it->at += sizeof head + head.key_size + head.value_size;
        return LORE_OK;
    }
    if (it->exhausted) {
        it->valid = false;
        return LORE_OK;
    }
    return fill(it);
}

lore_status lsm_iterator_next(struct lsm_iterator *it) {
    return move(it, false);
}

lore_status lsm_iterator_prev(struct lsm_iterator *it) {
    return move(it, true);
}

bool lsm_iterator_valid(const struct lsm_iterator *it) {
    return it->valid;
}

lore_slice lsm_iterator_key(const struct lsm_iterator *it) {
    assert(it->valid);
    return record_key(it, it->at);
}

uint64_t lsm_iterator_sequence(const struct lsm_iterator *it) {
    assert(it->valid);
    return record_at(it, it->at).sequence;
}

static lore_slice record_value(const struct lsm_iterator *it) {
    struct record_head head = record_at(it, it->at);
    return slice(it->buffer.data + it->at + sizeof head + head.key_size, head.value_size);
}

lore_status lsm_iterator_value(struct lsm_iterator *it, lore_slice *value) {
    assert(it->valid);
    struct record_head head = record_at(it, it->at);
    lore_slice key = record_key(it, it->at);
    if (head.lazy) {
        struct lookup lookup;
        TRY(lsm_get(it->lsm, key, it->sequence, &it->count, &lookup, &it->value));
        if (!lookup.found || lookup.sequence != head.sequence)
            return fail(LORE_CORRUPTION, "sequence %llu: an entry that an iterator saw is gone",
                        (unsigned long long)head.sequence);
        *value = bytes_slice(&it->value);
        return LORE_OK;
    }
    *value = record_value(it);
    if (head.kind != ENTRY_PUT_BLOB && head.kind != ENTRY_VECTOR_ROW) return LORE_OK;
    struct entry entry = {key, head.sequence, head.kind, *value};
    TRY(version_read_value(it->version, &entry, &it->count, &it->value));
    *value = bytes_slice(&it->value);
    return LORE_OK;
}

bool lsm_iterator_ref(const struct lsm_iterator *it, struct value_ref *ref) {
    assert(it->valid);
    return record_at(it, it->at).kind == ENTRY_VECTOR_ROW &&
           value_ref_decode(record_value(it), ref);
}

struct read_count *lsm_iterator_count(struct lsm_iterator *it) {
    return &it->count;
}
