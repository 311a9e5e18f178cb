/*
 * memtable_bench.c - the memtable (a skiplist) beside a B+tree with wide nodes: entries a second
 * for writes, reads and walks, and bytes of memory an entry.
 *
 *   memtable_bench [entries, default 100000] [repetitions, default 7]
 *
 * Keys are 20 bytes (a keyspace and 16 bytes: random, or ascending), values 100. The tree here is
 * the bare minimum and has no readers beside its writer: it bounds from above what one that has
 * them could give. Both keep entries in an arena and compare by the first 16 bytes of the key as
 * two words. Structures take turns within a repetition; medians are shown.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "memtable/memtable.h"
#include "vfs/env.h"

#define KEY_BYTES       20u
#define VALUE_BYTES     100u
#define REPETITIONS_MAX 101
#define FAN_OUT         32u

/* ---- the tree ---- */

struct item {
    uint64_t head[2];
    uint8_t *bytes; /* u64 packed, key, value */
};

struct tree_node {
    bool leaf;
    uint32_t count;
    struct tree_node *next;     /* leaves: in order */
    struct item items[FAN_OUT]; /* leaves: entries; inner: smallest of each child */
    struct tree_node *children[FAN_OUT];
};

struct tree {
    struct arena arena;
    struct tree_node *root;
};

static void *take(struct tree *tree, size_t size) {
    void *memory;
    if (arena_get(&tree->arena, size, 8, &memory) != LORE_OK) exit(1);
    return memory;
}

static struct tree_node *new_node(struct tree *tree, bool leaf) {
    size_t size = leaf ? offsetof(struct tree_node, children) : sizeof(struct tree_node);
    struct tree_node *node = take(tree, size);
    node->leaf = leaf;
    node->count = 0;
    node->next = NULL;
    return node;
}

static int compare_items(const struct item *a, const struct item *b) {
    if (a->head[0] != b->head[0]) return a->head[0] < b->head[0] ? -1 : 1;
    if (a->head[1] != b->head[1]) return a->head[1] < b->head[1] ? -1 : 1;
    int order = memcmp(a->bytes + 8 + 16, b->bytes + 8 + 16, KEY_BYTES - 16);
    if (order != 0) return order;
    uint64_t x, y;
    memcpy(&x, a->bytes, 8);
    memcpy(&y, b->bytes, 8);
    return x > y ? -1 : x < y;
}

/* How many items are before or, with `at`, equal to `item`. */
static uint32_t rank(const struct tree_node *node, const struct item *item, bool at) {
    uint32_t low = 0, high = node->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = compare_items(&node->items[middle], item);
        if (order < 0 || (at && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Insert; a node that was full leaves its upper half in *split. */
static void insert_into(struct tree *tree, struct tree_node *node, const struct item *item,
                        struct tree_node **split) {
    *split = NULL;
    struct tree_node *child = NULL;
    uint32_t at = rank(node, item, true);
    struct item added = *item;
    if (!node->leaf) {
        uint32_t into = at == 0 ? 0 : at - 1;
        if (at == 0) node->items[0] = *item;
        insert_into(tree, node->children[into], item, &child);
        if (child == NULL) return;
        added = child->items[0];
        at = into + 1;
    }
    struct tree_node *target = node;
    if (node->count == FAN_OUT) {
        struct tree_node *upper = new_node(tree, node->leaf);
        uint32_t half = at == FAN_OUT ? FAN_OUT - 1 : FAN_OUT / 2; /* ascending keys fill nodes */
        upper->count = FAN_OUT - half;
        memcpy(upper->items, node->items + half, upper->count * sizeof *node->items);
        if (!node->leaf)
            memcpy(upper->children, node->children + half, upper->count * sizeof *node->children);
        node->count = half;
        upper->next = node->next;
        node->next = upper;
        *split = upper;
        if (at > half) {
            target = upper;
            at -= half;
        }
    }
    uint32_t moved = target->count - at;
    memmove(&target->items[at + 1], &target->items[at], moved * sizeof *target->items);
    target->items[at] = added;
    if (!node->leaf) {
        memmove(&target->children[at + 1], &target->children[at], moved * sizeof *target->children);
        target->children[at] = child;
    }
    target->count++;
}

static struct item make_item(lore_slice key, uint8_t *bytes) {
    const uint8_t *data = key.data;
    return (struct item){{get_be64(data), get_be64(data + 8)}, bytes};
}

static void tree_insert(struct tree *tree, const struct entry *entry) {
    uint8_t *bytes = take(tree, 8 + entry->key.size + entry->value.size);
    uint64_t packed = entry_pack(entry->sequence, entry->kind);
    memcpy(bytes, &packed, 8);
    memcpy(bytes + 8, entry->key.data, entry->key.size);
    memcpy(bytes + 8 + entry->key.size, entry->value.data, entry->value.size);
    struct item item = make_item(entry->key, bytes);
    struct tree_node *split;
    insert_into(tree, tree->root, &item, &split);
    if (split == NULL) return;
    struct tree_node *root = new_node(tree, false);
    root->count = 2;
    root->items[0] = tree->root->items[0];
    root->items[1] = split->items[0];
    root->children[0] = tree->root;
    root->children[1] = split;
    tree->root = root;
}

static bool tree_find(const struct tree *tree, lore_slice key) {
    uint8_t probe[8 + KEY_BYTES];
    memset(probe, 0xff, 8); /* newest */
    memcpy(probe + 8, key.data, KEY_BYTES);
    struct item item = make_item(key, probe);
    const struct tree_node *node = tree->root;
    while (!node->leaf) {
        uint32_t at = rank(node, &item, true);
        node = node->children[at == 0 ? 0 : at - 1];
    }
    uint32_t at = rank(node, &item, false);
    if (at == node->count) {
        node = node->next;
        at = 0;
    }
    return node != NULL && memcmp(node->items[at].bytes + 8, key.data, KEY_BYTES) == 0;
}

static uint64_t tree_walk(const struct tree *tree) {
    const struct tree_node *node = tree->root;
    while (!node->leaf)
        node = node->children[0];
    uint64_t sum = 0;
    for (; node != NULL; node = node->next) {
        for (uint32_t i = 0; i < node->count; i++)
            sum += node->items[i].bytes[8 + KEY_BYTES];
    }
    return sum;
}

/* ---- measuring ---- */

enum { WRITE, FIND, WALK, PHASES };
static const char *const phases[] = {"write", "find", "walk"};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct result {
    double rates[PHASES][REPETITIONS_MAX];
    double bytes_per_entry;
};

static uint8_t *make_keys(size_t count, bool ascending) {
    uint8_t *keys = malloc(count * KEY_BYTES);
    if (keys == NULL) exit(1);
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < count; i++) {
        uint8_t *key = keys + i * KEY_BYTES;
        put_be32(key, 1);
        for (int half = 0; half < 2; half++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            put_be64(key + 4 + 8 * half, ascending ? (half == 0 ? 7 : i) : state);
        }
    }
    return keys;
}

static void measure_memtable(const uint8_t *keys, size_t count, int repetition,
                             struct result *result) {
    const struct allocator *host = env_posix()->allocator;
    static struct budget budget;
    budget_init(&budget, UINT64_MAX / 2);
    struct memtable *memtable;
    struct batch batch;
    batch_init(&batch, host);
    uint8_t value[VALUE_BYTES] = {1};
    if (memtable_create(host, &budget, UINT64_MAX / 4, 1, &memtable) != LORE_OK) exit(1);
    double start = seconds();
    for (size_t i = 0; i < count; i++) {
        batch_clear(&batch);
        if (batch_put(&batch, slice(keys + i * KEY_BYTES, KEY_BYTES), slice(value, VALUE_BYTES)) !=
            LORE_OK)
            exit(1);
        batch_seal(&batch, i + 1, 0);
        if (memtable_reserve(memtable, batch.memtable_bytes) != LORE_OK) exit(1);
        memtable_apply(memtable, bytes_slice(&batch.payload));
    }
    result->rates[WRITE][repetition] = (double)count / (seconds() - start);
    struct memtable_cursor cursor;
    struct entry entry;
    memtable_cursor_init(&cursor, memtable);
    size_t found = 0;
    start = seconds();
    for (size_t i = 0; i < count; i++) {
        lore_slice key = slice(keys + (i * 7919 % count) * KEY_BYTES, KEY_BYTES);
        memtable_seek(&cursor, key, SEQUENCE_MAX);
        found += memtable_cursor_entry(&cursor, &entry) && slice_equal(entry.key, key);
    }
    result->rates[FIND][repetition] = (double)found / (seconds() - start);
    uint64_t sum = 0;
    start = seconds();
    for (memtable_seek_first(&cursor); memtable_cursor_entry(&cursor, &entry);
         memtable_next(&cursor))
        sum += *(const uint8_t *)entry.value.data;
    result->rates[WALK][repetition] = (double)sum / (seconds() - start);
    result->bytes_per_entry = (double)memtable_bytes(memtable) / (double)count;
    memtable_release(memtable);
    batch_deinit(&batch);
}

static void measure_tree(const uint8_t *keys, size_t count, int repetition, struct result *result) {
    const struct allocator *host = env_posix()->allocator;
    struct tree tree;
    arena_init(&tree.arena, host, 1 << 20);
    tree.root = new_node(&tree, true);
    struct batch batch; /* the same way in */
    batch_init(&batch, host);
    uint8_t value[VALUE_BYTES] = {1};
    double start = seconds();
    for (size_t i = 0; i < count; i++) {
        batch_clear(&batch);
        if (batch_put(&batch, slice(keys + i * KEY_BYTES, KEY_BYTES), slice(value, VALUE_BYTES)) !=
            LORE_OK)
            exit(1);
        batch_seal(&batch, i + 1, 0);
        struct batch_view view;
        struct entry entry;
        bool found;
        if (batch_view_open(bytes_slice(&batch.payload), &view) != LORE_OK) exit(1);
        while (batch_view_next(&view, &entry, &found) == LORE_OK && found)
            tree_insert(&tree, &entry);
    }
    result->rates[WRITE][repetition] = (double)count / (seconds() - start);
    size_t found = 0;
    start = seconds();
    for (size_t i = 0; i < count; i++)
        found += tree_find(&tree, slice(keys + (i * 7919 % count) * KEY_BYTES, KEY_BYTES));
    result->rates[FIND][repetition] = (double)found / (seconds() - start);
    start = seconds();
    uint64_t sum = tree_walk(&tree);
    result->rates[WALK][repetition] = (double)sum / (seconds() - start);
    result->bytes_per_entry = (double)tree.arena.allocated / (double)count;
    arena_deinit(&tree.arena);
    batch_deinit(&batch);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    int repetitions = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 7;
    if (count == 0 || repetitions < 1 || repetitions > REPETITIONS_MAX) return 2;
    for (int ascending = 0; ascending < 2; ascending++) {
        static struct result results[2];
        uint8_t *keys = make_keys(count, ascending != 0);
        for (int i = 0; i < repetitions; i++) {
            measure_memtable(keys, count, i, &results[0]);
            measure_tree(keys, count, i, &results[1]);
        }
        free(keys);
        printf("%zu entries, %s keys (millions a second)\n", count,
               ascending ? "ascending" : "random");
        for (int s = 0; s < 2; s++) {
            printf("  %-9s", s == 0 ? "skiplist" : "tree");
            for (int p = 0; p < PHASES; p++) {
                qsort(results[s].rates[p], (size_t)repetitions, sizeof(double), compare_doubles);
                printf("  %s %6.2f", phases[p], results[s].rates[p][repetitions / 2] / 1e6);
            }
            printf("  bytes/entry %.0f\n", results[s].bytes_per_entry);
        }
    }
    return 0;
}
