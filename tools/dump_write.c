/* dump_write.c - see dump_write.h. Memory: one record at a time. */
#include "dump_write.h"

#include <inttypes.h>
#include <stdlib.h>

#include "jsonwrite.h"
#include "output.h"
#include "record_json.h"
#include "spaces.h"

struct dumper {
    struct cli *cli;
    lore_store *store;
    lore_snapshot *snapshot;
    FILE *out;
    struct progress *progress;
    struct dump_totals *totals;
    struct sha256 sha;
    struct text line;
    lore_keyspace *keyspaces; /* owned */
    size_t keyspaces_count;
};

static int write_line(struct dumper *dumper) {
    text_char(&dumper->line, '\n');
    if (dumper->out == NULL) return 0;
    size_t written = fwrite(dumper->line.data, 1, dumper->line.size, dumper->out);
    return written == dumper->line.size ? 0 : fail_errno(dumper->cli, "cannot write the dump");
}

static int write_record_line(struct dumper *dumper) {
    int code = write_line(dumper);
    sha256_add(&dumper->sha, dumper->line.data, dumper->line.size);
    uint64_t done = dumper->totals->records + dumper->totals->entries;
    if (code == 0 && !progress_step(dumper->progress, "dump", done, 0)) {
        code = fail_interrupted(dumper->cli,
                                "%" PRIu64 " memories and %" PRIu64 " entries had been read",
                                dumper->totals->records, dumper->totals->entries);
    }
    return code;
}

static void header_members(struct json_writer *writer, const struct dumper *dumper,
                           const lore_stats *stats) {
    struct text id = {0};
    hex_format(&id, stats->store_id, sizeof stats->store_id);
    jw_string_member(writer, "store_id", text_string(&id));
    text_clear(&id);
    hex_format(&id, stats->lineage, sizeof stats->lineage);
    jw_string_member(writer, "lineage", text_string(&id));
    text_free(&id);
    jw_uint_member(writer, "sequence", dumper->totals->sequence);
}

static int write_header(struct dumper *dumper, bool canonical) {
    lore_stats stats = {.struct_size = sizeof stats};
    struct space_list spaces = {0};
    lore_status status = lore_stats_get(dumper->store, &stats);
    if (status == LORE_OK) status = space_list_read(dumper->store, &spaces);
    if (status != LORE_OK) {
        space_list_free(&spaces);
        return fail_status(dumper->cli, status, "reading the store's description");
    }
    struct json_writer writer = {.out = &dumper->line};
    text_clear(&dumper->line);
    jw_begin_object(&writer);
    jw_uint_member(&writer, "lore_dump", 1);
    if (!canonical) header_members(&writer, dumper, &stats);
    jw_key(&writer, "spaces");
    jw_begin_array(&writer);
    for (size_t i = 0; i < spaces.count; i++) {
        space_as_json(&writer, spaces.spaces[i]);
    }
    jw_end_array(&writer);
    jw_end_object(&writer);
    space_list_free(&spaces);
    return write_line(dumper);
}

static int write_memory(struct dumper *dumper, const lore_memory *memory) {
    struct json_writer writer = {.out = &dumper->line};
    text_clear(&dumper->line);
    jw_begin_object(&writer);
    jw_string_member(&writer, "type", "memory");
    record_write(&writer, memory);
    jw_end_object(&writer);
    dumper->totals->records++;
    return write_record_line(dumper);
}

static int write_memories(struct dumper *dumper) {
    lore_memory_iter *iter;
    unsigned flags = LORE_READ_EMBEDDINGS | LORE_READ_NO_ACCESS | LORE_READ_EXPIRED;
    lore_status status = lore_memory_iter_create(dumper->store, dumper->snapshot, flags, &iter);
    if (status != LORE_OK) return fail_status(dumper->cli, status, "reading memories");
    int code = 0;
    while (code == 0) {
        lore_record *record = NULL;
        status = lore_memory_iter_next(iter, &record);
        if (status != LORE_OK) {
            code = fail_status(dumper->cli, status, "reading memories");
            break;
        }
        if (record == NULL) break;
        code = write_memory(dumper, lore_record_memory(record));
        lore_record_destroy(record);
    }
    lore_memory_iter_destroy(iter);
    return code;
}

static int write_entry(struct dumper *dumper, lore_keyspace keyspace, const lore_iter *iter,
                       lore_slice value) {
    lore_slice key = lore_iter_key(iter);
    struct json_writer writer = {.out = &dumper->line};
    text_clear(&dumper->line);
    jw_begin_object(&writer);
    jw_string_member(&writer, "type", "entry");
    jw_uint_member(&writer, "keyspace", keyspace);
    jw_key(&writer, "key");
    jw_base64(&writer, key.data, key.size);
    jw_key(&writer, "value");
    jw_base64(&writer, value.data, value.size);
    jw_end_object(&writer);
    dumper->totals->entries++;
    return write_record_line(dumper);
}

static int write_keyspace(struct dumper *dumper, lore_keyspace keyspace) {
    lore_iter *iter;
    lore_status status = lore_iter_create(dumper->store, dumper->snapshot, keyspace, NULL, &iter);
    if (status != LORE_OK) return fail_status(dumper->cli, status, "reading keyspace %u", keyspace);
    int code = 0;
    status = lore_iter_seek_first(iter);
    while (status == LORE_OK && code == 0 && lore_iter_valid(iter)) {
        lore_slice value;
        status = lore_iter_value(iter, &value);
        if (status != LORE_OK) break;
        code = write_entry(dumper, keyspace, iter, value);
        status = lore_iter_next(iter);
    }
    if (status != LORE_OK && code == 0) {
        code = fail_status(dumper->cli, status, "reading keyspace %u", keyspace);
    }
    lore_iter_destroy(iter);
    return code;
}

static bool on_keyspace(void *context, lore_keyspace keyspace) {
    struct dumper *dumper = context;
    size_t count = dumper->keyspaces_count++;
    dumper->keyspaces = alloc_grow(dumper->keyspaces, (count + 1) * sizeof *dumper->keyspaces);
    dumper->keyspaces[count] = keyspace;
    return true;
}

static int write_entries(struct dumper *dumper) {
    lore_status status = lore_keyspaces(dumper->store, dumper->snapshot, on_keyspace, dumper);
    if (status != LORE_OK) return fail_status(dumper->cli, status, "listing keyspaces");
    int code = 0;
    for (size_t i = 0; i < dumper->keyspaces_count && code == 0; i++) {
        code = write_keyspace(dumper, dumper->keyspaces[i]);
    }
    return code;
}

static int write_trailer(struct dumper *dumper) {
    struct json_writer writer = {.out = &dumper->line};
    sha256_end(&dumper->sha, dumper->totals->digest);
    text_clear(&dumper->line);
    jw_begin_object(&writer);
    jw_string_member(&writer, "type", "trailer");
    jw_uint_member(&writer, "records", dumper->totals->records);
    jw_uint_member(&writer, "entries", dumper->totals->entries);
    jw_string_member(&writer, "digest", dumper->totals->digest);
    jw_end_object(&writer);
    return write_line(dumper);
}

int dump_write(struct cli *cli, lore_store *store, bool canonical, FILE *out,
               struct progress *progress, struct dump_totals *totals) {
    struct dumper dumper = {
        .cli = cli, .store = store, .out = out, .progress = progress, .totals = totals};
    *totals = (struct dump_totals){0};
    lore_status status = lore_snapshot_create(store, &dumper.snapshot);
    if (status != LORE_OK) return fail_status(cli, status, "taking a snapshot");
    totals->sequence = lore_snapshot_sequence(dumper.snapshot);
    sha256_begin(&dumper.sha);
    int code = write_header(&dumper, canonical);
    if (code == 0) code = write_memories(&dumper);
    if (code == 0) code = write_entries(&dumper);
    if (code == 0) code = write_trailer(&dumper);
    lore_snapshot_release(dumper.snapshot);
    free(dumper.keyspaces);
    text_free(&dumper.line);
    return code;
}
