/*
 * lmdb_check.c - a data file of LMDB 0.9, read page by page.
 *
 *   page 0, 1    page header, then meta
 *   page         size_t number; u16 pad; u16 flags; u16 lower; u16 upper; offsets of nodes, u16
 *                each, up to `lower`; nodes, from `upper` to the page's end
 *   overflow     u32 pages in place of lower and upper; data
 *   leaf node    u16 low, u16 high of the data's size; u16 flags; u16 key size; key; data, or
 *                with flag BIG the number of the first overflow page
 *   branch node  as a leaf's, with size and flags in one as the child's page number; key
 *   meta         u32 magic; u32 version; pointer; size_t map size; two trees (free list, main);
 *                size_t last page; size_t transaction
 *   tree         u32 pad; u16 flags; u16 depth; size_t branch, leaf, overflow pages;
 *                size_t entries; size_t root
 *   free list    key: a transaction's number; data: size_t count, then page numbers, descending
 *
 * All numbers are the host's own in size and byte order, so a foreign host's file fails on its
 * magic, its page size or its trees. LMDB uses the meta with the higher transaction number; the
 * other one is only looked at to choose.
 *
 * Stricter than LMDB: nodes must fill a page from `upper` to its end without overlap, as LMDB
 * leaves them, since its code moves bytes by these sizes. A file that is refused without need costs
 * a rebuild and nothing else.
 */
#include "catalog/lmdb_check.h"

#include <inttypes.h>

#include "base/poison.h"

#define MAGIC           UINT32_C(0xBEEFC0DE)
#define DATA_VERSION    1u
#define PAGE_BYTES_MIN  512u
#define PAGE_BYTES_MAX  32768u
#define KEY_MAX         511u
#define DEPTH_MAX       16u
#define TRANSACTION_MAX (SIZE_MAX / 4)
#define NO_PAGE         SIZE_MAX

enum { PAGE_BRANCH = 0x01, PAGE_LEAF = 0x02, PAGE_OVERFLOW = 0x04, PAGE_META = 0x08 };
enum { NODE_BIG = 0x01 };
enum {
    TREE_INTEGER_KEY = 0x08,
    TREE_NO_SUBDIR = 0x4000
}; /* the latter is an environment flag kept there */
enum { FREE_TREE, MAIN_TREE };

struct page_header {
    size_t number;
    uint16_t pad, flags, lower, upper;
};
#define PAGE_HEADER_BYTES sizeof(struct page_header)
#define NODE_HEADER_BYTES ((size_t)8)

struct tree {
    uint32_t pad;
    uint16_t flags, depth;
    size_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct meta {
    uint32_t magic, version;
    void *address;
    size_t map_bytes;
    struct tree trees[2];
    size_t last_page, transaction;
};

struct check {
    struct file *file;
    const struct allocator *allocator;
    const char *path;
    lmdb_record_fn record; /* may be NULL */
    void *context;
    size_t value_bytes_max;
    size_t page_bytes;
    size_t file_pages; /* whole ones */
    size_t last_page;  /* as the meta says */
    size_t transaction;
    uint8_t *seen;   /* one bit a page: reached, or free */
    uint8_t *levels; /* a page for each level of the tree being walked */
    bool integer_keys;
    struct tree counted;
    /* The last key in order, to compare the next with. */
    uint8_t key[KEY_MAX];
    size_t key_size;
    enum { KEY_NONE, KEY_OF_LEAF, KEY_OF_BRANCH } key_kind;
};

struct node {
    size_t at, size; /* within the page, even */
    uint16_t flags, key_size;
    const uint8_t *key, *data;
    size_t data_size; /* of a leaf's; as stored in the page, or with NODE_BIG elsewhere */
    size_t child;     /* of a branch's */
};

static lore_status bad_page(const struct check *check, size_t page, const char *what) {
    return fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": page %zu: %s", check->path,
                (uint64_t)page * check->page_bytes, page, what);
}

/* ---- pages ---- */

/* A page that something refers to: within the file, and by nothing else. */
static lore_status claim(struct check *check, size_t page, bool must_exist) {
    if (page < 2 || page > check->last_page) return bad_page(check, page, "number out of range");
    if (must_exist && page >= check->file_pages)
        return bad_page(check, page, "beyond the file's end");
    uint8_t bit = (uint8_t)(1u << (page % 8));
    if ((check->seen[page / 8] & bit) != 0) return bad_page(check, page, "referred to twice");
    check->seen[page / 8] |= bit;
    return LORE_OK;
}

static lore_status read_bytes_at(struct check *check, size_t page, size_t offset, void *data,
                                 size_t size) {
    return file_read_exact(check->file, check->path, (uint64_t)page * check->page_bytes + offset,
                           data, size);
}

static struct page_header header_of(const uint8_t *page) {
    struct page_header header;
    memcpy(&header, page, sizeof header);
    return header;
}

static size_t node_count(const uint8_t *page) {
    return (header_of(page).lower - PAGE_HEADER_BYTES) / 2;
}

static size_t word(const uint8_t *at) {
    size_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static size_t even(size_t size) {
    return (size + 1) & ~(size_t)1;
}

static const char node_outside[] = "a node leaves it";

/* The node at `index`; false if it leaves the page. */
static bool node_at(const struct check *check, const uint8_t *page, size_t index, bool leaf,
                    struct node *node) {
    uint16_t part[4], at;
    memcpy(&at, page + PAGE_HEADER_BYTES + index * 2, sizeof at);
    if (at % 2 != 0 || at < header_of(page).upper || at > check->page_bytes - NODE_HEADER_BYTES) {
        return false;
    }
    memcpy(part, page + at, sizeof part);
    /* The two halves are in the host's order, so that they are one number in memory. */
    uint32_t size;
    memcpy(&size, part, sizeof size);
    node->at = at;
    node->flags = part[2];
    node->key_size = part[3];
    node->key = page + at + NODE_HEADER_BYTES;
    node->size = NODE_HEADER_BYTES + node->key_size;
    node->data_size = 0;
    if (leaf) {
        if (size / check->page_bytes > check->file_pages) return false; /* sums of it would wrap */
        node->data = node->key + node->key_size;
        node->data_size = size;
        node->size += (node->flags & NODE_BIG) != 0 ? sizeof(size_t) : node->data_size;
    } else {
        node->child = size;
        if (sizeof(size_t) > 4) node->child |= (size_t)((uint64_t)node->flags << 32);
    }
    if (node->size > check->page_bytes - at) return false;
    node->size = even(node->size);
    return node->size <= check->page_bytes - at;
}

/* What LMDB keeps within a page; larger data go to overflow pages. */
static size_t node_bytes_max(const struct check *check) {
    return (((check->page_bytes - PAGE_HEADER_BYTES) / 2) & ~(size_t)1) - 2;
}

/* Header and nodes of one branch or leaf page. */
static lore_status check_page(const struct check *check, size_t number, const uint8_t *page,
                              bool leaf) {
    struct page_header header = header_of(page);
    if (header.number != number) return bad_page(check, number, "says that it is another");
    if (header.flags != (leaf ? PAGE_LEAF : PAGE_BRANCH)) {
        return bad_page(check, number, "is not of the kind that its place wants");
    }
    if (header.lower < PAGE_HEADER_BYTES || header.lower % 2 != 0 || header.lower > header.upper ||
        header.upper > check->page_bytes) {
        return bad_page(check, number, "bounds out of order");
    }
    size_t count = node_count(page), used = 0;
    if (count < (leaf ? 1u : 2u)) return bad_page(check, number, "too few nodes");
    uint8_t taken[PAGE_BYTES_MAX / 16] = {0}; /* one bit for two bytes */
    for (size_t i = 0; i < count; i++) {
        struct node node;
        if (!node_at(check, page, i, leaf, &node)) return bad_page(check, number, node_outside);
        if (leaf && (node.flags & ~NODE_BIG) != 0)
            return bad_page(check, number, "unknown node flags");
        if (node.key_size > KEY_MAX) return bad_page(check, number, "a key is too long");
        if (node.key_size == 0 && (leaf || i > 0)) return bad_page(check, number, "a key is empty");
        if (node.size > node_bytes_max(check))
            return bad_page(check, number, "a node is too large");
        for (size_t at = node.at / 2; at < (node.at + node.size) / 2; at++) {
            uint8_t bit = (uint8_t)(1u << (at % 8));
            if ((taken[at / 8] & bit) != 0) return bad_page(check, number, "nodes overlap");
            taken[at / 8] |= bit;
        }
        used += node.size;
    }
    if (used != check->page_bytes - header.upper)
        return bad_page(check, number, "a gap between nodes");
    return LORE_OK;
}

/* ---- keys ---- */

static lore_status take_key(struct check *check, size_t page, const struct node *node, bool leaf) {
    if (check->integer_keys && node->key_size != sizeof(size_t)) {
        return bad_page(check, page, "a key of the free list has a wrong size");
    }
    if (check->key_kind != KEY_NONE) {
        int order;
        if (check->integer_keys) {
            size_t before = word(check->key), after = word(node->key);
            order = before < after ? -1 : before > after;
        } else {
            order =
                slice_compare(slice(check->key, check->key_size), slice(node->key, node->key_size));
        }
        bool may_equal = leaf && check->key_kind == KEY_OF_BRANCH;
        if (order > 0 || (order == 0 && !may_equal))
            return bad_page(check, page, "keys out of order");
    }
    memcpy(check->key, node->key, node->key_size);
    check->key_size = node->key_size;
    check->key_kind = leaf ? KEY_OF_LEAF : KEY_OF_BRANCH;
    return LORE_OK;
}

/* ---- data ---- */

/* The overflow pages of a node's data; *first is where the data begin. */
static lore_status check_overflow(struct check *check, size_t page, const struct node *node,
                                  size_t *first) {
    *first = word(node->data);
    size_t needed = (PAGE_HEADER_BYTES - 1 + node->data_size) / check->page_bytes + 1;
    if (*first < 2 || *first >= check->file_pages || needed > check->file_pages - *first) {
        return bad_page(check, page, "data beyond the file's end");
    }
    uint8_t bytes[PAGE_HEADER_BYTES];
    TRY(read_bytes_at(check, *first, 0, bytes, sizeof bytes));
    struct page_header header = header_of(bytes);
    uint32_t pages;
    memcpy(&pages, bytes + offsetof(struct page_header, lower), sizeof pages);
    if (header.number != *first || header.flags != PAGE_OVERFLOW || pages < needed ||
        pages > check->file_pages - *first) {
        return bad_page(check, *first, "not the overflow page that it should be");
    }
    for (uint32_t i = 0; i < pages; i++)
        TRY(claim(check, *first + i, true));
    check->counted.overflow_pages += pages;
    return LORE_OK;
}

/* One record of the free list: its pages are in use by nothing else. */
static lore_status check_free(struct check *check, size_t page, const struct node *node,
                              size_t data_page) {
    size_t transaction = word(node->key);
    if (transaction == 0 || transaction > check->transaction) {
        return bad_page(check, page, "free pages of a transaction yet to come");
    }
    if (node->data_size < sizeof(size_t) || node->data_size % sizeof(size_t) != 0) {
        return bad_page(check, page, "a free list of a wrong size");
    }
    size_t words = node->data_size / sizeof(size_t), count = 0, before = NO_PAGE;
    for (size_t i = 0; i < words; i++) {
        uint8_t bytes[sizeof(size_t)];
        if (data_page != 0) {
            TRY(read_bytes_at(check, data_page, PAGE_HEADER_BYTES + i * sizeof bytes, bytes,
                              sizeof bytes));
        } else {
            memcpy(bytes, node->data + i * sizeof bytes, sizeof bytes);
        }
        size_t value = word(bytes);
        if (i == 0) {
            count = value;
            if (count > words - 1) return bad_page(check, page, "a free list longer than its data");
            words = count + 1;
            continue;
        }
        if (value >= before) return bad_page(check, page, "a free list out of order");
        before = value;
        TRY(claim(check, value, false));
    }
    return LORE_OK;
}

/* Give a record of the main tree to who asked for them. */
static lore_status hand_out(struct check *check, size_t page, const struct node *node,
                            size_t data_page) {
    lore_slice key = slice(node->key, node->key_size);
    if (data_page == 0)
        return check->record(check->context, key, slice(node->data, node->data_size));
    if (node->data_size > check->value_bytes_max)
        return bad_page(check, page, "a value is too large");
    void *value;
    TRY(mem_get(check->allocator, node->data_size, &value));
    lore_status status = read_bytes_at(check, data_page, PAGE_HEADER_BYTES, value, node->data_size);
    if (status == LORE_OK)
        status = check->record(check->context, key, slice(value, node->data_size));
    mem_put(check->allocator, value, node->data_size);
    return status;
}

static lore_status check_leaf(struct check *check, size_t number, const uint8_t *page) {
    size_t count = node_count(page);
    for (size_t i = 0; i < count; i++) {
        struct node node;
        if (!node_at(check, page, i, true, &node)) return bad_page(check, number, node_outside);
        TRY(take_key(check, number, &node, true));
        size_t data_page = 0;
        if ((node.flags & NODE_BIG) != 0) TRY(check_overflow(check, number, &node, &data_page));
        if (check->integer_keys)
            TRY(check_free(check, number, &node, data_page));
        else if (check->record != NULL)
            TRY(hand_out(check, number, &node, data_page));
    }
    check->counted.entries += count;
    check->counted.leaf_pages++;
    return LORE_OK;
}

/* ---- trees ---- */

struct step {
    size_t page, next; /* next: index of the child to go down to */
};

static uint8_t *level_page(const struct check *check, size_t level) {
    return check->levels + level * check->page_bytes;
}

static lore_status enter(struct check *check, struct step *steps, size_t level, size_t depth,
                         size_t number) {
    bool leaf = level + 1 == depth;
    TRY(claim(check, number, true));
    uint8_t *page = level_page(check, level);
    TRY(read_bytes_at(check, number, 0, page, check->page_bytes));
    TRY(check_page(check, number, page, leaf));
    steps[level] = (struct step){number, 0};
    if (leaf) return check_leaf(check, number, page);
    check->counted.branch_pages++;
    return LORE_OK;
}

/* Every page of a tree in order of key. */
static lore_status walk(struct check *check, const struct tree *tree) {
    struct step steps[DEPTH_MAX];
    const size_t depth = tree->depth;
    TRY(enter(check, steps, 0, depth, tree->root));
    size_t level = 0;
    for (;;) {
        const uint8_t *page = level_page(check, level);
        bool leaf = level + 1 == depth;
        if (leaf || steps[level].next == node_count(page)) {
            if (level == 0) return LORE_OK;
            level--;
            continue;
        }
        struct node node;
        if (!node_at(check, page, steps[level].next, false, &node))
            return bad_page(check, steps[level].page, node_outside);
        if (steps[level].next > 0) TRY(take_key(check, steps[level].page, &node, false));
        steps[level].next++;
        level++;
        TRY(enter(check, steps, level, depth, node.child));
    }
}

static bool counts_agree(const struct tree *a, const struct tree *b) {
    return a->branch_pages == b->branch_pages && a->leaf_pages == b->leaf_pages &&
           a->overflow_pages == b->overflow_pages && a->entries == b->entries;
}

static lore_status check_tree(struct check *check, const struct allocator *allocator,
                              const struct tree *tree, bool integer_keys) {
    check->integer_keys = integer_keys;
    check->key_kind = KEY_NONE;
    check->counted = (struct tree){0};
    if (tree->root == NO_PAGE) {
        if (tree->depth == 0 && counts_agree(tree, &check->counted)) return LORE_OK;
        return fail(LORE_CORRUPTION, "%s: an empty tree with pages", check->path);
    }
    if (tree->depth == 0 || tree->depth > DEPTH_MAX) {
        return fail(LORE_CORRUPTION, "%s: a tree of depth %u", check->path, tree->depth);
    }
    void *levels;
    size_t levels_bytes = tree->depth * check->page_bytes;
    TRY(mem_get(allocator, levels_bytes, &levels));
    check->levels = levels;
    lore_status status = walk(check, tree);
    mem_put(allocator, levels, levels_bytes);
    TRY(status);
    if (counts_agree(tree, &check->counted)) return LORE_OK;
    return fail(LORE_CORRUPTION, "%s: a tree does not have the pages and entries that it says",
                check->path);
}

/* ---- metas ---- */

static lore_status bad_meta(const struct check *check, size_t page, const char *what) {
    return fail(LORE_CORRUPTION, "%s: meta page %zu: %s", check->path, page, what);
}

static lore_status read_meta(struct check *check, size_t page, struct meta *meta) {
    uint8_t bytes[PAGE_HEADER_BYTES + sizeof *meta];
    TRY(read_bytes_at(check, page, 0, bytes, sizeof bytes));
    struct page_header header = header_of(bytes);
    memcpy(meta, bytes + PAGE_HEADER_BYTES, sizeof *meta);
    if (header.number != page || header.flags != PAGE_META) return bad_meta(check, page, "is none");
    if (meta->magic != MAGIC || meta->version != DATA_VERSION) {
        return bad_meta(check, page, "magic or version of another library or host");
    }
    return LORE_OK;
}

static lore_status check_metas(struct check *check, uint64_t bytes, uint64_t bytes_max,
                               struct meta *chosen) {
    struct meta metas[2];
    check->page_bytes = PAGE_BYTES_MIN; /* page 0 is where it is whatever their size */
    TRY(read_meta(check, 0, &metas[0]));
    size_t page_bytes = metas[0].trees[FREE_TREE].pad; /* where LMDB keeps it */
    if (page_bytes < PAGE_BYTES_MIN || page_bytes > PAGE_BYTES_MAX ||
        (page_bytes & (page_bytes - 1)) != 0) {
        return bad_meta(check, 0, "no page has such a size");
    }
    check->page_bytes = page_bytes;
    check->file_pages = (size_t)(bytes / page_bytes);
    TRY(read_meta(check, 1, &metas[1]));
    if (metas[1].trees[FREE_TREE].pad != page_bytes) return bad_meta(check, 1, "another page size");
    for (size_t i = 0; i < 2; i++) {
        size_t transaction = metas[i].transaction;
        if (transaction > TRANSACTION_MAX || (transaction % 2 != i && transaction != 0)) {
            return bad_meta(check, i, "a transaction that is not its own");
        }
    }
    size_t newer = metas[0].transaction < metas[1].transaction ? 1 : 0;
    *chosen = metas[newer];
    if (chosen->transaction == 0 || chosen->transaction - metas[1 - newer].transaction > 1) {
        return bad_meta(check, newer, "its transaction does not follow the other's");
    }
    const struct tree *trees = chosen->trees;
    if ((trees[FREE_TREE].flags & ~TREE_NO_SUBDIR) != TREE_INTEGER_KEY ||
        trees[MAIN_TREE].flags != 0) {
        return bad_meta(check, newer, "flags of another kind of tree");
    }
    if (chosen->last_page < 1 || chosen->last_page >= bytes_max / page_bytes) {
        return bad_meta(check, newer, "last page out of range");
    }
    check->last_page = chosen->last_page;
    check->transaction = chosen->transaction;
    return LORE_OK;
}

/* ---- the whole ---- */

static lore_status check_file(struct check *check, const struct allocator *allocator,
                              uint64_t bytes_max) {
    uint64_t bytes;
    TRY(file_size(check->file, &bytes));
    if (bytes > bytes_max) {
        return fail(LORE_CORRUPTION, "%s: %" PRIu64 " bytes, %" PRIu64 " at most are mapped",
                    check->path, bytes, bytes_max);
    }
    struct meta meta;
    TRY(check_metas(check, bytes, bytes_max, &meta));
    void *seen;
    size_t seen_bytes = check->last_page / 8 + 1;
    TRY(mem_new(allocator, seen_bytes, &seen));
    check->seen = seen;
    lore_status status = check_tree(check, allocator, &meta.trees[MAIN_TREE], false);
    if (status == LORE_OK) status = check_tree(check, allocator, &meta.trees[FREE_TREE], true);
    mem_put(allocator, seen, seen_bytes);
    return status;
}

lore_status lmdb_check_records(const lore_env *env, const struct allocator *allocator,
                               const char *path, uint64_t bytes_max, size_t value_bytes_max,
                               lmdb_record_fn record, void *context) {
    struct check check = {.allocator = allocator,
                          .path = path,
                          .record = record,
                          .context = context,
                          .value_bytes_max = value_bytes_max};
    TRY(fs_open(env, path, FILE_READ, false, &check.file));
    lore_status status = check_file(&check, allocator, bytes_max);
    file_close(check.file);
    return status;
}

lore_status lmdb_check(const lore_env *env, const struct allocator *allocator, const char *path,
                       uint64_t bytes_max) {
    return lmdb_check_records(env, allocator, path, bytes_max, 0, NULL, NULL);
}
