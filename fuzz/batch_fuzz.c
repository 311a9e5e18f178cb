/*
 * batch_fuzz.c - any bytes as a batch's payload: walked to its end or to its first fault, every
 * slice within it.
 */
#include "fuzz.h"
#include "base/merge.h"
#include "vfs/env.h"
#include "wal/batch.h"

static bool within(lore_slice part, const uint8_t *data, size_t size) {
    const uint8_t *at = part.data;
    return part.size == 0 || (at >= data && part.size <= size - (size_t)(at - data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct batch_view view;
    if (batch_view_open(slice(data, size), &view) != LORE_OK) return 0;
    for (uint32_t seen = 0;; seen++) {
        struct entry entry;
        bool found;
        lore_status status = batch_view_next(&view, &entry, &found);
        if (status != LORE_OK) {
            fuzz_require(status == LORE_CORRUPTION);
            return 0;
        }
        if (!found) {
            fuzz_require(seen == view.entries);
            return 0;
        }
        fuzz_require(within(entry.key, data, size) && within(entry.value, data, size));
        fuzz_require(entry.key.size >= KEYSPACE_BYTES && entry.key.size <= KEY_BOUND_BYTES_MAX);
        fuzz_require(entry.sequence == view.first_sequence + seen &&
                     entry.sequence <= SEQUENCE_MAX);
    }
}

bool fuzz_seed(unsigned number, struct bytes *seed) {
    if (number >= 2) return false;
    struct batch batch;
    batch_init(&batch, seed->allocator);
    uint8_t operand[MERGE_FIELD_BYTES], vector[VECTOR_KEY_BYTES];
    merge_field_encode(operand, MERGE_MAX, 7);
    vector_key_encode(1, 2, vector);
    fuzz_must(batch_put(&batch, slice("\0\0\0\1key", 7), slice("a value", 7)));
    if (number == 1) {
        fuzz_must(batch_delete(&batch, slice("\0\0\0\1other", 9)));
        fuzz_must(batch_delete_range(&batch, slice("\0\0\0\1a", 5), slice("\0\0\0\1b", 5)));
        fuzz_must(batch_merge(&batch, slice("\0\0\0\2n", 5), slice(operand, sizeof operand)));
        fuzz_must(batch_vector(&batch, slice(vector, sizeof vector), slice("12345678", 8)));
    }
    batch_seal(&batch, 1000, 50);
    fuzz_must(bytes_set(seed, bytes_slice(&batch.payload)));
    batch_deinit(&batch);
    return true;
}
