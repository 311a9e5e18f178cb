/*
 * memtable.c - the memtable as a skiplist in an arena.
 *
 *   node    u64 head[2]      the first 16 bytes of the key as big-endian words, zeros after its
 * end: most comparisons end here, without a call u64 packed       sequence << 8 | kind u32 value
 * size, u16 key size, u16 height next[height]     towers of 1 to 12, each level a quarter of the
 * one below key, value
 *
 * Order: key ascending, packed descending.
 *
 * Writer and readers: a node is filled in, then linked from the bottom level up by stores with
 * release; a reader follows links by loads with acquire and so sees nodes whole. Nodes are never
 * unlinked.
 *
 * Range deletes stand apart in a list, newest first. Each has a second pointer that jumps back by a
 * growing distance (Myers, "An applicative random-access stack", 1983), so that the n-th is found
 * in logarithmic time with nothing but the entry's own memory.
 *
 * Memory: chunks. memtable_reserve sees to it that the newest chunk holds a whole batch by the
 * promise of MEMTABLE_ENTRY_OVERHEAD an entry, so apply only moves a pointer. The static assertion
 * below keeps the promise.
 */
#include "memtable/memtable.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/poison.h"

#define HEIGHT_MAX    12u
#define HEIGHT_SHIFT  2u /* one node in 4 reaches the next level */
#define NODE_ALIGN    8u
#define CHUNK_MIN     ((uint64_t)(16u << 10))
#define CHUNK_MAX     ((uint64_t)(1u << 20))
#define CHUNKS_WANTED 16u

struct node {
    uint64_t head[2];
    uint64_t packed;
    uint32_t value_size;
    uint16_t key_size;
    uint16_t height;
    _Atomic(struct node *) next[];
};

struct range_node {
    struct range_node *older; /* NULL: the first */
    struct range_node *jump;  /* some way back; the first's is itself */
    uint64_t sequence;
    uint64_t index; /* 0: the first */
    uint32_t end_size;
    uint16_t begin_size;
    uint8_t bytes[]; /* begin, end */
};

_Static_assert(BATCH_ENTRY_OVERHEAD == MEMTABLE_ENTRY_OVERHEAD, "batches promise the same");
_Static_assert(sizeof(struct node) + HEIGHT_MAX * sizeof(_Atomic(struct node *)) + NODE_ALIGN <=
                   MEMTABLE_ENTRY_OVERHEAD,
               "a node fits what batches promise for an entry");
_Static_assert(sizeof(struct range_node) + NODE_ALIGN <= MEMTABLE_ENTRY_OVERHEAD,
               "a range delete fits what batches promise for an entry");
_Static_assert(KEY_BOUND_BYTES_MAX <= UINT16_MAX, "key sizes fit their field");

struct chunk {
    struct chunk *older;
    uint64_t bytes; /* with this header */
};

struct memtable {
    const struct allocator *host;
    struct budget *budget;
    uint64_t capacity_bytes;
    uint64_t log_number;
    int64_t last_time_us;
    _Atomic uint32_t references;
    _Atomic int state;

    /* the writer's */
    struct chunk *chunks; /* newest first */
    uint64_t at, end;     /* within the newest chunk */
    uint64_t reserved;    /* what apply may still take */
    uint64_t dice;        /* xorshift, for heights */
    uint64_t row_watermark;
    struct node *path[HEIGHT_MAX]; /* the nodes before the last insertion, level by level */

    /* written by the writer, read by all */
    _Atomic uint64_t bytes;   /* chunks, less what is free in the newest */
    _Atomic uint64_t entries; /* range deletes included */
    _Atomic uint64_t first_sequence, last_sequence;
    _Atomic uint32_t height;
    _Atomic(struct range_node *) ranges; /* newest */
    struct node *top;                    /* before all: HEIGHT_MAX links, no key */
};

/* ---- life ---- */

/* A chunk that has room for `bytes`. */
static lore_status chunk_add(struct memtable *m, uint64_t bytes) {
    uint64_t size = m->capacity_bytes / CHUNKS_WANTED;
    if (size < CHUNK_MIN) size = CHUNK_MIN;
    if (size > CHUNK_MAX) size = CHUNK_MAX;
    uint64_t used = atomic_load_explicit(&m->bytes, memory_order_relaxed) + (m->end - m->at);
    uint64_t left = used < m->capacity_bytes ? m->capacity_bytes - used : 0;
    if (size > left) size = left;
    if (size < bytes + sizeof(struct chunk)) size = bytes + sizeof(struct chunk);
    if (size > SIZE_MAX / 2 || size < bytes)
        return fail(LORE_TOO_BIG, "a batch of %llu bytes", (unsigned long long)bytes);
    TRY(budget_take(m->budget, BUDGET_MEMTABLE, size));
    void *memory;
    lore_status status = mem_get(m->host, (size_t)size, &memory);
    if (status != LORE_OK) {
        budget_give(m->budget, BUDGET_MEMTABLE, size);
        return status;
    }
    struct chunk *chunk = memory;
    chunk->older = m->chunks;
    chunk->bytes = size;
    m->chunks = chunk;
    m->at = sizeof(struct chunk);
    m->end = size;
    atomic_store_explicit(&m->bytes, used + m->at, memory_order_relaxed);
    return LORE_OK;
}

static void *take(struct memtable *m, size_t size) {
    size_t padded = (size + NODE_ALIGN - 1) & ~(size_t)(NODE_ALIGN - 1);
    assert(padded <= m->end - m->at);
    void *memory = (uint8_t *)m->chunks + m->at;
    m->at += padded;
    uint64_t used = atomic_load_explicit(&m->bytes, memory_order_relaxed);
    atomic_store_explicit(&m->bytes, used + padded, memory_order_relaxed);
    return memory;
}

lore_status memtable_create(const struct allocator *host, struct budget *budget,
                            uint64_t capacity_bytes, uint64_t log_number,
                            struct memtable **memtable) {
    void *memory;
    TRY(budget_take(budget, BUDGET_MEMTABLE, sizeof(struct memtable)));
    lore_status status = mem_new(host, sizeof(struct memtable), &memory);
    if (status != LORE_OK) {
        budget_give(budget, BUDGET_MEMTABLE, sizeof(struct memtable));
        return status;
    }
    struct memtable *m = memory;
    m->host = host;
    m->budget = budget;
    m->capacity_bytes = capacity_bytes;
    m->log_number = log_number;
    m->dice = UINT64_C(0x9E3779B97F4A7C15) ^ log_number;
    atomic_init(&m->references, 1);
    atomic_init(&m->state, MEMTABLE_ACTIVE);
    atomic_init(&m->height, 1);
    const size_t top_bytes = sizeof(struct node) + HEIGHT_MAX * sizeof(_Atomic(struct node *));
    status = chunk_add(m, top_bytes + NODE_ALIGN);
    if (status != LORE_OK) {
        memtable_release(m);
        return status;
    }
    m->top = take(m, top_bytes);
    memset(m->top, 0, sizeof(struct node));
    m->top->height = HEIGHT_MAX;
    for (unsigned level = 0; level < HEIGHT_MAX; level++) {
        atomic_init(&m->top->next[level], NULL);
        m->path[level] = m->top;
    }
    *memtable = m;
    return LORE_OK;
}

void memtable_retain(struct memtable *m) {
    atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
}

void memtable_release(struct memtable *m) {
    if (m == NULL) return;
    if (atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) != 1) return;
    struct chunk *older;
    for (struct chunk *chunk = m->chunks; chunk != NULL; chunk = older) {
        older = chunk->older;
        uint64_t bytes = chunk->bytes;
        mem_put(m->host, chunk, (size_t)bytes);
        budget_give(m->budget, BUDGET_MEMTABLE, bytes);
    }
    struct budget *budget = m->budget;
    mem_put(m->host, m, sizeof(struct memtable));
    budget_give(budget, BUDGET_MEMTABLE, sizeof(struct memtable));
}

enum memtable_state memtable_state(const struct memtable *m) {
    return (enum memtable_state)atomic_load_explicit(&m->state, memory_order_acquire);
}

void memtable_set_state(struct memtable *m, enum memtable_state state) {
    assert((int)state == (int)memtable_state(m) + 1);
    atomic_store_explicit(&m->state, (int)state, memory_order_release);
}

uint64_t memtable_log_number(const struct memtable *m) {
    return m->log_number;
}

void memtable_set_log_number(struct memtable *m, uint64_t log_number) {
    assert(memtable_state(m) == MEMTABLE_ACTIVE);
    m->log_number = log_number;
}

void memtable_note_time(struct memtable *m, int64_t time_us) {
    if (time_us > m->last_time_us) m->last_time_us = time_us;
}

int64_t memtable_last_time_us(const struct memtable *m) {
    return m->last_time_us;
}

uint64_t memtable_row_watermark(const struct memtable *m) {
    return m->row_watermark;
}

uint64_t memtable_bytes(const struct memtable *m) {
    return atomic_load_explicit(&m->bytes, memory_order_relaxed);
}

uint64_t memtable_entries(const struct memtable *m) {
    return atomic_load_explicit(&m->entries, memory_order_relaxed);
}

uint64_t memtable_first_sequence(const struct memtable *m) {
    return atomic_load_explicit(&m->first_sequence, memory_order_relaxed);
}

uint64_t memtable_last_sequence(const struct memtable *m) {
    return atomic_load_explicit(&m->last_sequence, memory_order_relaxed);
}

/* ---- order ---- */

/* What is looked for: a key in the form that nodes have theirs in. */
struct target {
    uint64_t head[2];
    uint64_t packed;
    const uint8_t *key;
    size_t size;
};

static struct target target_of(lore_slice key, uint64_t packed) {
    uint8_t padded[16] = {0};
    if (key.size > 0) memcpy(padded, key.data, key.size < 16 ? key.size : 16);
    return (struct target){{get_be64(padded), get_be64(padded + 8)}, packed, key.data, key.size};
}

static const uint8_t *node_key(const struct node *node) {
    return (const uint8_t *)node + sizeof(struct node) +
           node->height * sizeof(_Atomic(struct node *));
}

/* The order of two keys whose heads are equal. */
static int compare_tails(const struct node *node, const struct target *target) {
    size_t shared = node->key_size < target->size ? node->key_size : target->size;
    if (shared > 16) {
        int order = memcmp(node_key(node) + 16, target->key + 16, shared - 16);
        if (order != 0) return order;
    }
    return node->key_size < target->size ? -1 : node->key_size > target->size;
}

/* Whether `node` comes before the target. */
static inline bool node_before(const struct node *node, const struct target *target) {
    if (node->head[0] != target->head[0]) return node->head[0] < target->head[0];
    if (node->head[1] != target->head[1]) return node->head[1] < target->head[1];
    int order = compare_tails(node, target);
    if (order != 0) return order < 0;
    return node->packed > target->packed;
}

static inline struct node *next_of(const struct node *node, unsigned level) {
    return atomic_load_explicit(&node->next[level], memory_order_acquire);
}

/* The last node before the target (m->top: none). With `path`, the last one before it of every
 * level. */
static struct node *find_before(const struct memtable *m, const struct target *target,
                                struct node **path) {
    struct node *at = m->top;
    const struct node *known = NULL; /* not before the target, as the level above has found */
    unsigned level = atomic_load_explicit(&m->height, memory_order_relaxed);
    while (level-- > 0) {
        for (;;) {
            struct node *next = next_of(at, level);
            if (next == NULL || next == known) break;
            if (!node_before(next, target)) {
                known = next;
                break;
            }
            at = next;
        }
        if (path != NULL) path[level] = at;
    }
    return at;
}

/* ---- writing ---- */

bool memtable_fits(const struct memtable *m, uint64_t batch_bytes) {
    if (memtable_entries(m) == 0) return true;
    if (memtable_range_deletes(m) >= MEMTABLE_RANGE_DELETES_MAX) return false;
    uint64_t used = memtable_bytes(m);
    return used <= m->capacity_bytes && batch_bytes <= m->capacity_bytes - used;
}

lore_status memtable_reserve(struct memtable *m, uint64_t batch_bytes) {
    assert(memtable_state(m) == MEMTABLE_ACTIVE);
    if (batch_bytes > m->end - m->at) TRY(chunk_add(m, batch_bytes));
    m->reserved = batch_bytes;
    return LORE_OK;
}

static unsigned random_height(struct memtable *m) {
    m->dice ^= m->dice << 13;
    m->dice ^= m->dice >> 7;
    m->dice ^= m->dice << 17;
    uint64_t bits = m->dice >> 32; /* HEIGHT_SHIFT of them a level */
    unsigned height = 1;
    while (height < HEIGHT_MAX && (bits & ((1u << HEIGHT_SHIFT) - 1)) == 0) {
        height++;
        bits >>= HEIGHT_SHIFT;
    }
    return height;
}

/* Whether the target belongs right behind the last insertion's place: batches often come in key
 * order. */
static bool path_holds(const struct memtable *m, const struct target *target) {
    const struct node *before = m->path[0];
    if (before == m->top || !node_before(before, target)) return false;
    const struct node *next = next_of(before, 0);
    return next == NULL || !node_before(next, target);
}

static void insert(struct memtable *m, const struct entry *entry) {
    struct target target = target_of(entry->key, entry_pack(entry->sequence, entry->kind));
    unsigned height = random_height(m);
    unsigned had = atomic_load_explicit(&m->height, memory_order_relaxed);
    if (height > had) {
        for (unsigned level = had; level < height; level++)
            m->path[level] = m->top;
        atomic_store_explicit(&m->height, height, memory_order_relaxed);
    }
    if (!path_holds(m, &target)) find_before(m, &target, m->path);

    size_t links = height * sizeof(_Atomic(struct node *));
    struct node *node = take(m, sizeof(struct node) + links + entry->key.size + entry->value.size);
    node->head[0] = target.head[0];
    node->head[1] = target.head[1];
    node->packed = target.packed;
    node->value_size = (uint32_t)entry->value.size;
    node->key_size = (uint16_t)entry->key.size;
    node->height = (uint16_t)height;
    uint8_t *bytes = (uint8_t *)node + sizeof(struct node) + links;
    if (entry->key.size > 0) memcpy(bytes, entry->key.data, entry->key.size);
    if (entry->value.size > 0)
        memcpy(bytes + entry->key.size, entry->value.data, entry->value.size);
    for (unsigned level = 0; level < height; level++) {
        struct node *before = m->path[level];
        atomic_init(&node->next[level],
                    atomic_load_explicit(&before->next[level], memory_order_relaxed));
        atomic_store_explicit(&before->next[level], node, memory_order_release);
        m->path[level] = node;
    }
}

static void add_range_delete(struct memtable *m, const struct entry *entry) {
    size_t size = sizeof(struct range_node) + entry->key.size + entry->value.size;
    struct range_node *node = take(m, size);
    struct range_node *older = atomic_load_explicit(&m->ranges, memory_order_relaxed);
    node->older = older;
    node->jump = node;
    node->index = 0;
    if (older != NULL) {
        const struct range_node *back = older->jump;
        node->index = older->index + 1;
        bool equal_jumps = older->index - back->index == back->index - back->jump->index;
        node->jump = equal_jumps ? back->jump : older;
    }
    node->sequence = entry->sequence;
    node->begin_size = (uint16_t)entry->key.size;
    node->end_size = (uint32_t)entry->value.size;
    memcpy(node->bytes, entry->key.data, entry->key.size);
    if (entry->value.size > 0)
        memcpy(node->bytes + entry->key.size, entry->value.data, entry->value.size);
    atomic_store_explicit(&m->ranges, node, memory_order_release);
}

void memtable_apply(struct memtable *m, lore_slice payload) {
    assert(memtable_state(m) == MEMTABLE_ACTIVE);
    uint64_t used_before = memtable_bytes(m);
    struct batch_view view;
    bool found = batch_view_open(payload, &view) == LORE_OK;
    assert(found);
    struct entry entry;
    uint64_t count = 0;
    uint64_t first = view.first_sequence, last = 0;
    uint64_t rows_end = view.rows == 0 ? 0 : view.first_row + view.rows;
    while (found && batch_view_next(&view, &entry, &found) == LORE_OK && found) {
        if (entry.kind == ENTRY_RANGE_DELETE)
            add_range_delete(m, &entry);
        else
            insert(m, &entry);
        last = entry.sequence;
        count++;
    }
    uint64_t used = memtable_bytes(m) - used_before;
    assert(used <= m->reserved);
    m->reserved -= used;
    if (rows_end > m->row_watermark) m->row_watermark = rows_end;
    if (count == 0) return;
    if (memtable_first_sequence(m) == 0)
        atomic_store_explicit(&m->first_sequence, first, memory_order_relaxed);
    if (last > memtable_last_sequence(m))
        atomic_store_explicit(&m->last_sequence, last, memory_order_relaxed);
    atomic_store_explicit(&m->entries, memtable_entries(m) + count, memory_order_relaxed);
}

/* ---- range deletes ---- */

static struct entry range_entry(const struct range_node *node) {
    return (struct entry){slice(node->bytes, node->begin_size), node->sequence, ENTRY_RANGE_DELETE,
                          slice(node->bytes + node->begin_size, node->end_size)};
}

size_t memtable_range_deletes(const struct memtable *m) {
    const struct range_node *newest = atomic_load_explicit(&m->ranges, memory_order_acquire);
    return newest == NULL ? 0 : (size_t)newest->index + 1;
}

void memtable_range_delete(const struct memtable *m, size_t index, struct entry *entry) {
    const struct range_node *node = atomic_load_explicit(&m->ranges, memory_order_acquire);
    assert(node != NULL && index <= node->index);
    while (node->index > index)
        node = node->jump->index >= index ? node->jump : node->older;
    *entry = range_entry(node);
}

uint64_t memtable_covering(const struct memtable *m, lore_slice key, uint64_t sequence) {
    uint64_t highest = 0;
    const struct range_node *node = atomic_load_explicit(&m->ranges, memory_order_acquire);
    for (; node != NULL; node = node->older) {
        if (node->sequence > sequence || node->sequence <= highest) continue;
        struct entry range = range_entry(node);
        if (slice_compare(range.key, key) <= 0 && slice_compare(key, range.value) < 0)
            highest = node->sequence;
    }
    return highest;
}

/* ---- cursor ---- */

void memtable_cursor_init(struct memtable_cursor *cursor, const struct memtable *m) {
    *cursor = (struct memtable_cursor){m, NULL};
}

void memtable_seek(struct memtable_cursor *cursor, lore_slice key, uint64_t sequence) {
    struct target target = target_of(key, sequence << 8 | 0xff);
    /* A node that came since find_before looked may lie before the target too: a newer version of
     * the key. */
    const struct node *node = next_of(find_before(cursor->memtable, &target, NULL), 0);
    while (node != NULL && node_before(node, &target))
        node = next_of(node, 0);
    cursor->node = node;
}

static void stand_before(struct memtable_cursor *cursor, const struct target *target) {
    const struct node *before = find_before(cursor->memtable, target, NULL);
    cursor->node = before == cursor->memtable->top ? NULL : before;
}

void memtable_seek_before(struct memtable_cursor *cursor, lore_slice key) {
    struct target target = target_of(key, UINT64_MAX);
    stand_before(cursor, &target);
}

void memtable_seek_first(struct memtable_cursor *cursor) {
    cursor->node = next_of(cursor->memtable->top, 0);
}

void memtable_seek_last(struct memtable_cursor *cursor) {
    const struct memtable *m = cursor->memtable;
    const struct node *at = m->top;
    unsigned level = atomic_load_explicit(&m->height, memory_order_relaxed);
    while (level-- > 0) {
        for (const struct node *next; (next = next_of(at, level)) != NULL;)
            at = next;
    }
    cursor->node = at == m->top ? NULL : at;
}

void memtable_next(struct memtable_cursor *cursor) {
    assert(cursor->node != NULL);
    cursor->node = next_of(cursor->node, 0);
}

void memtable_prev(struct memtable_cursor *cursor) {
    const struct node *node = cursor->node;
    assert(node != NULL);
    struct target target = {
        {node->head[0], node->head[1]}, node->packed, node_key(node), node->key_size};
    stand_before(cursor, &target);
}

bool memtable_cursor_entry(const struct memtable_cursor *cursor, struct entry *entry) {
    const struct node *node = cursor->node;
    if (node == NULL) return false;
    const uint8_t *key = node_key(node);
    *entry = (struct entry){slice(key, node->key_size), node->packed >> 8,
                            (enum entry_kind)(node->packed & 0xff),
                            slice(key + node->key_size, node->value_size)};
    return true;
}
