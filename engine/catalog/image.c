/*
 * image.c - a sorted array of records.
 */
#include "catalog/image.h"

#include <assert.h>

#include "catalog/edit.h"

#include "base/poison.h"

struct image_record {
    uint32_t key_size, value_size;
    uint8_t bytes[]; /* key, then value */
};

static size_t record_bytes(const struct image_record *record) {
    return sizeof *record + record->key_size + record->value_size;
}

void image_init(struct image *image, const struct allocator *allocator) {
    *image = (struct image){.allocator = allocator};
}

static void release(struct image *image, struct image_record *record) {
    mem_put(image->allocator, record, record_bytes(record));
}

void image_deinit(struct image *image) {
    for (size_t i = 0; i < image->count; i++)
        release(image, image->records[i]);
    mem_put(image->allocator, image->records, image->capacity * sizeof *image->records);
    image_init(image, image->allocator);
}

lore_slice image_key(const struct image *image, size_t index) {
    assert(index < image->count);
    return slice(image->records[index]->bytes, image->records[index]->key_size);
}

lore_slice image_value(const struct image *image, size_t index) {
    assert(index < image->count);
    const struct image_record *record = image->records[index];
    return slice(record->bytes + record->key_size, record->value_size);
}

size_t image_seek(const struct image *image, lore_slice key) {
    if (image->count > 0 && slice_compare(image_key(image, image->count - 1), key) < 0) {
        return image->count;
    }
    size_t low = 0, high = image->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(image_key(image, middle), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static lore_status make_room(struct image *image) {
    if (image->count < image->capacity) return LORE_OK;
    size_t capacity = image->capacity == 0 ? 64 : image->capacity * 2;
    void *memory = image->records;
    TRY(mem_resize(image->allocator, &memory, image->capacity * sizeof *image->records,
                   capacity * sizeof *image->records));
    image->records = memory;
    image->capacity = capacity;
    return LORE_OK;
}

static lore_status put(struct image *image, lore_slice key, lore_slice value) {
    size_t at = image_seek(image, key);
    bool replaces = at < image->count && slice_equal(image_key(image, at), key);
    if (!replaces) TRY(make_room(image));
    void *memory;
    TRY(mem_get(image->allocator, sizeof(struct image_record) + key.size + value.size, &memory));
    struct image_record *record = memory;
    record->key_size = (uint32_t)key.size;
    record->value_size = (uint32_t)value.size;
    memcpy(record->bytes, key.data, key.size);
    if (value.size > 0) memcpy(record->bytes + key.size, value.data, value.size);
    if (replaces) {
        release(image, image->records[at]);
    } else {
        memmove(image->records + at + 1, image->records + at,
                (image->count - at) * sizeof *image->records);
        image->count++;
    }
    image->records[at] = record;
    return LORE_OK;
}

static void take_out(struct image *image, lore_slice key) {
    size_t at = image_seek(image, key);
    if (at == image->count || !slice_equal(image_key(image, at), key)) return;
    release(image, image->records[at]);
    image->count--;
    memmove(image->records + at, image->records + at + 1,
            (image->count - at) * sizeof *image->records);
}

lore_status image_apply(struct image *image, lore_slice encoded) {
    struct reader at = reader_over(encoded);
    for (;;) {
        struct edit_change change;
        bool found;
        TRY(edit_next(&at, &change, &found));
        if (!found) return LORE_OK;
        if (change.put) {
            TRY(put(image, change.key, change.value));
        } else {
            take_out(image, change.key);
        }
    }
}
