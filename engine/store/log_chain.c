/*
 * log_chain.c - what ties the logs of a generation together. Whoever reads them, for recovery, for
 * a read-only handle or for verify, walks them through here, so that all judge alike:
 *
 *   each log is of this store and lineage, and has the number that its name says
 *   each names its predecessor, that file's final length and last sequence number, as found: no
 * hole is stepped over the head, which the catalog notes when a store is opened and closed, is
 * reached, and where it was closed it still ends there: a newest log that is missing, emptied or
 * cut is not taken for the work of a crash no later log lies beyond the last
 *
 * A log that grew after the catalog's note (a crash came before the next) is judged by its promises
 * alone.
 */
#include <inttypes.h>

#include "store/store_internal.h"

#include "base/poison.h"

static struct catalog_key head_key(void) {
    return schema_key('H');
}

lore_status log_chain_begin(lore_store *store, struct log_chain *chain) {
    *chain = (struct log_chain){.store = store};
    struct bytes value = bytes_empty(&store->work_allocator.base);
    struct catalog_key key = head_key();
    lore_status status = store_catalog_get(store, catalog_key_slice(&key), &value);
    if (status == LORE_OK)
        status =
            log_head_record_decode(bytes_slice(&value), &store->work_allocator.base, &chain->head);
    bytes_free(&value);
    return status == LORE_NOT_FOUND ? LORE_OK : status;
}

lore_status log_chain_enter(const struct log_chain *chain, const char *path, uint64_t number,
                            const struct log_header *header, uint64_t last_sequence) {
    if (!identity_equal(&header->identity, &chain->store->segments.identity))
        return fail(LORE_CORRUPTION, "%s: offset 24: belongs to another store or lineage", path);
    if (header->number != number)
        return fail(LORE_CORRUPTION, "%s: offset 56: this is log %" PRIu64 " under another name",
                    path, header->number);
    if (chain->number == 0) return LORE_OK;
    if (header->predecessor_number == chain->number &&
        header->predecessor_length == chain->end.end &&
        header->predecessor_sequence == last_sequence)
        return LORE_OK;
    return fail(LORE_CORRUPTION,
                "%s: offset 72: follows log %" PRIu64 " of %" PRIu64
                " bytes up to sequence %" PRIu64 ", but log %" PRIu64 " ends at %" PRIu64
                " with sequence %" PRIu64,
                path, header->predecessor_number, header->predecessor_length,
                header->predecessor_sequence, chain->number, chain->end.end, last_sequence);
}

lore_status log_chain_leave(struct log_chain *chain, const char *path, uint64_t number,
                            const struct log_end *end, uint64_t last_sequence) {
    if (end->ending == LOG_ENDS_DAMAGED)
        return fail(LORE_CORRUPTION,
                    "%s: offset %" PRIu64 ": damaged below the last promise at %" PRIu64
                    "; acknowledged writes lie beyond",
                    path, end->end, end->promised);
    const struct log_head_record *head = &chain->head;
    if (number == head->number && head->closed &&
        (!end->closed || end->end != head->length || last_sequence != head->last_sequence))
        return fail(LORE_CORRUPTION,
                    "%s: offset %" PRIu64 ": ends with sequence %" PRIu64
                    ", but it was closed at %" PRIu64 " with sequence %" PRIu64,
                    path, end->end, last_sequence, head->length, head->last_sequence);
    chain->number = number;
    chain->end = *end;
    return LORE_OK;
}

lore_status log_chain_finish(const struct log_chain *chain, uint64_t highest) {
    if (chain->head.number > highest) highest = chain->head.number;
    if (highest <= chain->number) return LORE_OK;
    char path[PATH_BYTES_MAX];
    TRY(layout_log_path(path, chain->store->dir, chain->number + 1));
    return fail(LORE_CORRUPTION,
                "%s: missing or empty, but it was there: log %" PRIu64 " is the newest known", path,
                highest);
}

static lore_status put_head(lore_store *store, const struct log_head_record *head) {
    struct bytes value = bytes_empty(&store->work_allocator.base);
    struct catalog_key key = head_key();
    lore_status status = log_head_record_encode(head, &value);
    if (status == LORE_OK)
        status = store_catalog_put(store, catalog_key_slice(&key), bytes_slice(&value));
    bytes_free(&value);
    return status;
}

lore_status log_chain_note_begun(const struct log_chain *chain) {
    lore_store *store = chain->store;
    if (chain->head.number == store->commit.log_number && !chain->head.closed) return LORE_OK;
    struct log_head_record head = {.number = store->commit.log_number};
    lore_status status = put_head(store, &head);
    return status == LORE_FULL ? LORE_OK : status; /* the log is whole without it */
}

lore_status log_chain_note_closed(lore_store *store) {
    struct log_head_record head = {.number = store->commit.log_number,
                                   .closed = true,
                                   .length = log_writer_end(store->commit.log),
                                   .last_sequence = store->commit.next_sequence - 1};
    lore_status status = put_head(store, &head);
    return status == LORE_FULL ? LORE_OK : status;
}
