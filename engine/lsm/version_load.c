/*
 * version_load.c - the shape of the tree from the catalog's records, at open.
 */
#include "lsm/version_parts.h"

#include "base/poison.h"

struct loading {
    const struct segment_context *context;
    const struct allocator *allocator;
    bool strict;
    struct version_parts parts;
};

static lore_status add_live(struct loading *loading, const struct segment_record *record) {
    const struct segment_summary *summary = &record->summary;
    if (summary->kind == SEGMENT_TABLE) {
        TRY(version_parts_reserve(&loading->parts, 1, 0));
        struct placed_table placed = {record->level, record->run, record->run_order, NULL,
                                      bytes_empty(loading->allocator)};
        TRY(bytes_set(&placed.cut, bytes_slice(&record->cut)));
        lore_status status =
            table_handle_open(loading->context, summary, true, loading->strict, &placed.handle);
        if (status != LORE_OK) {
            bytes_free(&placed.cut);
            return status;
        }
        loading->parts.tables[loading->parts.tables_count++] = placed;
        return LORE_OK;
    }
    if (summary->kind != SEGMENT_BLOB && summary->kind != SEGMENT_ROWS)
        return fail(LORE_CORRUPTION, "catalog: segment %llu is of kind %d",
                    (unsigned long long)summary->id, (int)summary->kind);
    TRY(version_parts_reserve(&loading->parts, 0, 1));
    struct value_file *file;
    TRY(value_file_open(loading->context, summary, true, loading->strict, &file));
    atomic_store(&file->garbage_values, record->garbage_values);
    atomic_store(&file->garbage_bytes, record->garbage_bytes);
    loading->parts.values[loading->parts.values_count++] = file;
    return LORE_OK;
}

static lore_status load_record(void *context, lore_slice key, lore_slice value) {
    struct loading *loading = context;
    struct segment_record record;
    TRY(segment_record_decode(value, loading->allocator, &record));
    struct catalog_key expected = schema_key_number('S', record.summary.id);
    lore_status status = LORE_OK;
    if (!slice_equal(key, catalog_key_slice(&expected)))
        status = fail(LORE_CORRUPTION, "catalog: the record of segment %llu has another's key",
                      (unsigned long long)record.summary.id);
    else if (record.state == SEGMENT_LIVE)
        status = add_live(loading, &record);
    segment_record_deinit(&record);
    return status;
}

lore_status version_load(struct catalog *catalog, const struct segment_context *context,
                         const struct allocator *allocator, bool strict, struct version **version) {
    struct loading loading = {context, allocator, strict, {0}};
    version_parts_init(&loading.parts, allocator);
    struct catalog_key prefix = schema_key('S');
    lore_status status = catalog_scan(catalog, catalog_key_slice(&prefix), load_record, &loading);
    if (status == LORE_OK) status = version_build(&loading.parts, 1, version);
    version_parts_deinit(&loading.parts);
    return status;
}
