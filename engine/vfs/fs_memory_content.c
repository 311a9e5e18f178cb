/*
 * fs_memory_content.c - pages and their tables. See fs_memory_content.h.
 */
#include "vfs/fs_memory_content.h"

#include <assert.h>
#include <string.h>
#include "base/poison.h"

struct page {
    _Atomic uint32_t holders;
    uint8_t bytes[CONTENT_PAGE_BYTES];
};

static const uint8_t zeros[CONTENT_PAGE_BYTES];

bool bytes_are_zero(const void *data, size_t size) {
    const uint8_t *at = data;
    while (size > 0) {
        size_t part = size < sizeof zeros ? size : sizeof zeros;
        if (memcmp(at, zeros, part) != 0) return false;
        at += part;
        size -= part;
    }
    return true;
}

static void page_drop(const struct allocator *host, struct page *page) {
    if (page != NULL && atomic_fetch_sub(&page->holders, 1) == 1) {
        mem_put(host, page, sizeof *page);
    }
}

static size_t pages_of(uint64_t size) {
    return (size_t)((size + CONTENT_PAGE_BYTES - 1) / CONTENT_PAGE_BYTES);
}

lore_status content_create(const struct allocator *host, struct content **content) {
    void *memory;
    TRY(mem_new(host, sizeof **content, &memory));
    *content = memory;
    atomic_init(&(*content)->holders, 1);
    return LORE_OK;
}

struct content *content_share(struct content *content) {
    atomic_fetch_add(&content->holders, 1);
    return content;
}

void content_drop(const struct allocator *host, struct content *content) {
    if (content == NULL || atomic_fetch_sub(&content->holders, 1) != 1) return;
    size_t count = pages_of(content->size);
    for (size_t i = 0; i < count; i++)
        page_drop(host, content->pages[i]);
    mem_put(host, content->pages, content->capacity * sizeof(struct page *));
    mem_put(host, content, sizeof *content);
}

static lore_status reserve(const struct allocator *host, struct content *content, uint64_t size) {
    size_t want = pages_of(size);
    if (want <= content->capacity) return LORE_OK;
    size_t capacity = content->capacity * 2 > want ? content->capacity * 2 : want;
    void *table = content->pages;
    TRY(mem_resize(host, &table, content->capacity * sizeof(struct page *),
                   capacity * sizeof(struct page *)));
    content->pages = table;
    for (size_t i = content->capacity; i < capacity; i++)
        content->pages[i] = NULL;
    content->capacity = capacity;
    return LORE_OK;
}

/* Make *held the caller's alone, by a copy of the table if need be. */
static lore_status own(const struct allocator *host, struct content **held) {
    struct content *shared = *held;
    if (atomic_load(&shared->holders) == 1) return LORE_OK;
    struct content *copy;
    TRY(content_create(host, &copy));
    lore_status status = reserve(host, copy, shared->size);
    if (status != LORE_OK) {
        content_drop(host, copy);
        return status;
    }
    copy->size = shared->size;
    size_t count = pages_of(copy->size);
    for (size_t i = 0; i < count; i++) {
        copy->pages[i] = shared->pages[i];
        if (copy->pages[i] != NULL) atomic_fetch_add(&copy->pages[i]->holders, 1);
    }
    content_drop(host, shared);
    *held = copy;
    return LORE_OK;
}

static lore_status own_page(const struct allocator *host, struct content *content, size_t index) {
    struct page *page = content->pages[index];
    if (page != NULL && atomic_load(&page->holders) == 1) return LORE_OK;
    void *memory;
    TRY(mem_get(host, sizeof *page, &memory));
    struct page *copy = memory;
    atomic_init(&copy->holders, 1);
    memcpy(copy->bytes, page != NULL ? page->bytes : zeros, CONTENT_PAGE_BYTES);
    page_drop(host, page);
    content->pages[index] = copy;
    return LORE_OK;
}

/* `from` to `to` within page `index`. */
static lore_status write_page(const struct allocator *host, struct content *content, size_t index,
                              size_t from, size_t to, const uint8_t *data) {
    assert(from < to && to <= CONTENT_PAGE_BYTES);
    bool zero = data == NULL || bytes_are_zero(data, to - from);
    if (zero && content->pages[index] == NULL) return LORE_OK;
    if (zero && to - from == CONTENT_PAGE_BYTES) {
        page_drop(host, content->pages[index]);
        content->pages[index] = NULL;
        return LORE_OK;
    }
    TRY(own_page(host, content, index));
    memcpy(content->pages[index]->bytes + from, data != NULL ? data : zeros, to - from);
    return LORE_OK;
}

lore_status content_write(const struct allocator *host, struct content **content, uint64_t offset,
                          const void *data, size_t size) {
    if (size == 0) return LORE_OK;
    if (offset > CONTENT_BYTES_MAX || size > CONTENT_BYTES_MAX - offset) {
        return fail(LORE_FULL, "file too large: %zu bytes at %llu", size,
                    (unsigned long long)offset);
    }
    TRY(own(host, content));
    struct content *own_content = *content;
    TRY(reserve(host, own_content, offset + size));
    const uint8_t *from = data;
    uint64_t end = offset + size;
    while (offset < end) {
        size_t index = (size_t)(offset / CONTENT_PAGE_BYTES);
        size_t first = (size_t)(offset % CONTENT_PAGE_BYTES);
        size_t part = CONTENT_PAGE_BYTES - first;
        if (part > end - offset) part = (size_t)(end - offset);
        TRY(write_page(host, own_content, index, first, first + part, from));
        offset += part;
        if (from != NULL) from += part;
        if (own_content->size < offset) own_content->size = offset;
    }
    return LORE_OK;
}

lore_status content_truncate(const struct allocator *host, struct content **content,
                             uint64_t size) {
    if (size > CONTENT_BYTES_MAX) {
        return fail(LORE_FULL, "file too large: %llu bytes", (unsigned long long)size);
    }
    TRY(own(host, content));
    struct content *own_content = *content;
    if (size >= own_content->size) {
        TRY(reserve(host, own_content, size));
        own_content->size = size;
        return LORE_OK;
    }
    size_t kept = (size_t)(size % CONTENT_PAGE_BYTES);
    if (kept > 0) {
        TRY(write_page(host, own_content, (size_t)(size / CONTENT_PAGE_BYTES), kept,
                       CONTENT_PAGE_BYTES, NULL));
    }
    size_t count = pages_of(own_content->size);
    for (size_t i = pages_of(size); i < count; i++) {
        page_drop(host, own_content->pages[i]);
        own_content->pages[i] = NULL;
    }
    own_content->size = size;
    return LORE_OK;
}

/* The bytes of the page that holds `offset`, from there on; *part of them, at most `size`. */
static const uint8_t *piece(const struct content *content, uint64_t offset, size_t size,
                            size_t *part) {
    size_t first = (size_t)(offset % CONTENT_PAGE_BYTES);
    const struct page *page = content->pages[offset / CONTENT_PAGE_BYTES];
    *part = CONTENT_PAGE_BYTES - first < size ? CONTENT_PAGE_BYTES - first : size;
    return (page != NULL ? page->bytes : zeros) + first;
}

size_t content_read(const struct content *content, uint64_t offset, void *data, size_t size) {
    if (offset >= content->size) return 0;
    if (size > content->size - offset) size = (size_t)(content->size - offset);
    for (size_t done = 0; done < size;) {
        size_t part;
        const uint8_t *from = piece(content, offset + done, size - done, &part);
        memcpy((uint8_t *)data + done, from, part);
        done += part;
    }
    return size;
}

bool content_equals(const struct content *content, uint64_t offset, const void *data, size_t size) {
    if (offset > content->size || size > content->size - offset) return false;
    for (size_t done = 0; done < size;) {
        size_t part;
        const uint8_t *at = piece(content, offset + done, size - done, &part);
        if (memcmp(at, (const uint8_t *)data + done, part) != 0) return false;
        done += part;
    }
    return true;
}
