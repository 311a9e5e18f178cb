/*
 * segment_file.c - writing segment files through a buffer, and checking their two ends.
 */
#include "segment/segment_file.h"

#include <assert.h>
#include <inttypes.h>

#include "base/poison.h"

#define WRITER_BUFFER_BYTES 32768u
#define DIGEST_CHUNK_BYTES  65536u

static const uint8_t header_magic[8] = {'L', 'O', 'R', 'E', 'S', 'E', 'G', '1'};
static const uint8_t trailer_magic[8] = {'L', 'O', 'R', 'E', 'F', 'T', 'R', '1'};

#define HEADER_CHECKED_BYTES 120u

lore_status segment_path(const struct segment_context *context, enum segment_kind kind, uint64_t id,
                         char out[PATH_BYTES_MAX]) {
    char name[SEGMENT_NAME_BYTES];
    segment_file_name(name, kind, id);
    return path_join(out, context->dir, name);
}

/* ---- writing ---- */

static void encode_header(enum segment_kind kind, uint64_t id, const struct identity *identity,
                          uint8_t *p) {
    memset(p, 0, SEGMENT_HEADER_BYTES);
    memcpy(p, header_magic, 8);
    put_u32(p + 8, (uint32_t)kind);
    put_u32(p + 12, SEGMENT_FORMAT_VERSION);
    memcpy(p + 24, identity->store_id, 16);
    memcpy(p + 40, identity->lineage, 16);
    put_u64(p + 56, id);
    put_u64(p + HEADER_CHECKED_BYTES, check64(p, HEADER_CHECKED_BYTES));
}

lore_status segment_writer_init(struct segment_writer *writer,
                                const struct segment_context *context, enum segment_kind kind,
                                uint64_t id) {
    assert(id != 0);
    memset(writer, 0, sizeof *writer);
    TRY(segment_path(context, kind, id, writer->path));
    void *buffer;
    TRY(mem_get(context->work_allocator, WRITER_BUFFER_BYTES, &buffer));
    lore_status status =
        fs_open(context->env, writer->path, FILE_CREATE, context->group_access, &writer->file);
    if (status != LORE_OK) {
        mem_put(context->work_allocator, buffer, WRITER_BUFFER_BYTES);
        return status;
    }
    writer->context = context;
    writer->kind = kind;
    writer->id = id;
    writer->buffer = buffer;
    digest_stream_init(&writer->digest);
    encode_header(kind, id, &context->identity, writer->buffer);
    digest_stream_add(&writer->digest, writer->buffer, SEGMENT_HEADER_BYTES);
    writer->buffered = SEGMENT_HEADER_BYTES;
    writer->offset = SEGMENT_HEADER_BYTES;
    return LORE_OK;
}

uint64_t segment_writer_written(const struct segment_writer *writer) {
    return writer->offset - writer->buffered;
}

static lore_status flush(struct segment_writer *writer) {
    if (writer->buffered == 0) return LORE_OK;
    TRY(file_write(writer->file, segment_writer_written(writer), writer->buffer, writer->buffered));
    writer->buffered = 0;
    return LORE_OK;
}

lore_status segment_writer_append(struct segment_writer *writer, const void *data, size_t size) {
    assert(writer->file != NULL);
    if (size == 0) return LORE_OK;
    digest_stream_add(&writer->digest, data, size);
    if (size > WRITER_BUFFER_BYTES - writer->buffered) TRY(flush(writer));
    if (size > WRITER_BUFFER_BYTES) {
        TRY(file_write(writer->file, writer->offset, data, size));
    } else {
        memcpy(writer->buffer + writer->buffered, data, size);
        writer->buffered += size;
    }
    writer->offset += size;
    return LORE_OK;
}

lore_status segment_writer_add_block(struct segment_writer *writer, lore_slice stored,
                                     struct segment_place *place) {
    assert(stored.size >= BLOCK_HEADER_BYTES && stored.size <= UINT32_MAX);
    place->offset = writer->offset;
    place->length = (uint32_t)stored.size;
    place->check =
        check64_seeded(stored.data, stored.size, segment_block_seed(writer->id, writer->offset));
    return segment_writer_append(writer, stored.data, stored.size);
}

static void encode_trailer(enum segment_kind kind, uint64_t offset, uint32_t size, uint64_t check,
                           uint8_t *p) {
    put_u64(p, offset);
    put_u32(p + 8, size);
    put_u32(p + 12, (uint32_t)kind);
    put_u64(p + 16, check);
    memcpy(p + 24, trailer_magic, 8);
}

lore_status segment_writer_finish(struct segment_writer *writer, lore_slice footer,
                                  struct segment_summary *summary) {
    if (footer.size > UINT32_MAX)
        return fail(LORE_TOO_BIG, "%s: a footer of %zu bytes", writer->path, footer.size);
    uint8_t trailer[SEGMENT_TRAILER_BYTES];
    uint64_t check = check64_seeded(footer.data, footer.size, writer->id);
    encode_trailer(writer->kind, writer->offset, (uint32_t)footer.size, check, trailer);
    TRY(segment_writer_append(writer, footer.data, footer.size));
    TRY(segment_writer_append(writer, trailer, sizeof trailer));
    TRY(flush(writer));
    TRY(file_sync(writer->file));
    file_close(writer->file);
    writer->file = NULL;
    summary->bytes = writer->offset;
    summary->footer_check = check;
    summary->digest = digest_stream_end(&writer->digest);
    return LORE_OK;
}

void segment_writer_deinit(struct segment_writer *writer) {
    if (writer->context == NULL) return;
    if (writer->file != NULL) {
        file_close(writer->file);
        lore_status status = fs_unlink(writer->context->env, writer->path);
        (void)status; /* what is left is no segment of any catalog: the next open sweeps it */
    }
    mem_put(writer->context->work_allocator, writer->buffer, WRITER_BUFFER_BYTES);
    memset(writer, 0, sizeof *writer);
}

/* ---- reading ---- */

static bool all_zero(const uint8_t *p, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (p[i] != 0) return false;
    return true;
}

/* What a header must say; kind 0: any. */
struct header_facts {
    uint32_t kind;
    uint64_t id;
    struct identity identity;
};

/* The file's own header, checked for itself. */
static lore_status read_header(struct pooled_file *file, struct header_facts *facts) {
    const char *path = pooled_file_path(file);
    uint8_t p[SEGMENT_HEADER_BYTES];
    TRY(pooled_file_read(file, 0, p, sizeof p));
    if (memcmp(p, header_magic, 8) != 0)
        return fail(LORE_CORRUPTION, "%s: offset 0: not the header of a segment", path);
    if (!check_matches(get_u64(p + HEADER_CHECKED_BYTES), check64(p, HEADER_CHECKED_BYTES)))
        return fail(LORE_CORRUPTION, "%s: offset 0: the header's check differs", path);
    if (get_u32(p + 12) != SEGMENT_FORMAT_VERSION)
        return fail(LORE_UNSUPPORTED, "%s: format version %" PRIu32 ", known is %u", path,
                    get_u32(p + 12), SEGMENT_FORMAT_VERSION);
    if (get_u32(p + 16) != 0)
        return fail(LORE_UNSUPPORTED, "%s: requires unknown features %#" PRIx32, path,
                    get_u32(p + 16));
    if (!all_zero(p + 64, 16)) return fail(LORE_UNSUPPORTED, "%s: sealed with a key", path);
    facts->kind = get_u32(p + 8);
    facts->id = get_u64(p + 56);
    memcpy(facts->identity.store_id, p + 24, 16);
    memcpy(facts->identity.lineage, p + 40, 16);
    return LORE_OK;
}

static lore_status check_header(struct pooled_file *file, const struct segment_summary *summary) {
    const char *path = pooled_file_path(file);
    struct header_facts facts;
    TRY(read_header(file, &facts));
    if (facts.kind != (uint32_t)summary->kind)
        return fail(LORE_CORRUPTION, "%s: offset 8: a segment of kind %" PRIu32 ", not %d", path,
                    facts.kind, (int)summary->kind);
    if (facts.id != summary->id)
        return fail(LORE_CORRUPTION, "%s: offset 56: segment %" PRIu64 ", not %" PRIu64, path,
                    facts.id, summary->id);
    if (!identity_equal(&facts.identity, &summary->identity))
        return fail(LORE_CORRUPTION, "%s: offset 24: of another store or lineage", path);
    return LORE_OK;
}

/* Read the trailer and the footer that it points to; *check is the footer's, and has been compared.
 */
static lore_status read_footer(struct pooled_file *file, uint64_t size, uint32_t kind, uint64_t id,
                               struct bytes *body, uint64_t *offset, uint64_t *check) {
    const char *path = pooled_file_path(file);
    if (size < SEGMENT_HEADER_BYTES + SUMMARY_FIXED_BYTES + SEGMENT_TRAILER_BYTES)
        return fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": too short for a segment", path, size);
    uint64_t trailer_offset = size - SEGMENT_TRAILER_BYTES;
    uint8_t p[SEGMENT_TRAILER_BYTES];
    TRY(pooled_file_read(file, trailer_offset, p, sizeof p));
    uint32_t length = get_u32(p + 8);
    *offset = get_u64(p);
    *check = get_u64(p + 16);
    if (memcmp(p + 24, trailer_magic, 8) != 0 || get_u32(p + 12) != kind ||
        *offset < SEGMENT_HEADER_BYTES || *offset > trailer_offset ||
        trailer_offset - *offset != length)
        return fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": not the trailer of this segment",
                    path, trailer_offset);
    uint8_t *at;
    bytes_clear(body);
    TRY(bytes_extend(body, length, &at));
    TRY(pooled_file_read(file, *offset, at, length));
    if (!check_matches(*check, check64_seeded(at, length, id)))
        return fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": the footer's check differs", path,
                    *offset);
    return LORE_OK;
}

/* Where two encoded summaries begin to differ. */
static const char *differing_field(const uint8_t *a, const uint8_t *b, size_t size) {
    static const struct {
        size_t end;
        const char *name;
    } fields[] = {
        {4, "format"},
        {8, "kind"},
        {16, "id"},
        {32, "store id"},
        {48, "lineage"},
        {49, "tier"},
        {50, "level"},
        {51, "kinds present"},
        {52, "flags"},
        {56, "space"},
        {60, "stride"},
        {64, "lengths of keys"},
        {72, "creation time"},
        {88, "sequence range"},
        {96, "entries"},
        {104, "range deletes"},
        {112, "value bytes"},
        {144, "reserved bytes"},
        {152, "groups or inputs"},
    };
    size_t at = 0;
    while (at < size && a[at] == b[at])
        at++;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (at < fields[i].end) return fields[i].name;
    return "keys, groups or inputs";
}

static lore_status compare_summary(const char *path, uint64_t offset, const struct bytes *body,
                                   const struct bytes *expected) {
    if (body->size >= expected->size && memcmp(body->data, expected->data, expected->size) == 0)
        return LORE_OK;
    size_t shared = body->size < expected->size ? body->size : expected->size;
    return fail(LORE_CORRUPTION,
                "%s: offset %" PRIu64 ": the footer differs from the catalog in: %s", path, offset,
                differing_field(body->data, expected->data, shared));
}

lore_status segment_footer_read(struct pooled_file *file, const struct segment_summary *summary,
                                struct bytes *body, struct reader *rest, uint64_t *footer_offset) {
    const char *path = pooled_file_path(file);
    uint64_t size, check;
    TRY(pooled_file_size(file, &size));
    TRY(check_header(file, summary));
    if (size != summary->bytes)
        return fail(LORE_CORRUPTION, "%s: is %" PRIu64 " bytes, %" PRIu64 " were written", path,
                    size, summary->bytes);
    TRY(read_footer(file, size, (uint32_t)summary->kind, summary->id, body, footer_offset, &check));
    if (!check_matches(summary->footer_check, check))
        return fail(LORE_CORRUPTION,
                    "%s: offset %" PRIu64 ": not the footer that the catalog knows", path,
                    *footer_offset);
    struct bytes expected = bytes_empty(body->allocator);
    lore_status status = segment_summary_encode(summary, true, &expected);
    if (status == LORE_OK) status = compare_summary(path, *footer_offset, body, &expected);
    if (status == LORE_OK)
        *rest = reader_over(slice(body->data + expected.size, body->size - expected.size));
    bytes_free(&expected);
    return status;
}

lore_status segment_describe(struct pooled_file *file, struct segment_summary *summary) {
    const char *path = pooled_file_path(file);
    uint64_t size, offset, check;
    struct header_facts facts;
    TRY(pooled_file_size(file, &size));
    TRY(read_header(file, &facts));
    struct bytes body = bytes_empty(summary->allocator);
    lore_status status = read_footer(file, size, facts.kind, facts.id, &body, &offset, &check);
    struct reader r = reader_over(bytes_slice(&body));
    if (status == LORE_OK) {
        status = segment_summary_decode(&r, summary);
        if (status != LORE_OK) status = fail_within(status, "%s: offset %" PRIu64, path, offset);
    }
    bytes_free(&body);
    TRY(status);
    if ((uint32_t)summary->kind != facts.kind || summary->id != facts.id ||
        !identity_equal(&summary->identity, &facts.identity)) {
        segment_summary_deinit(summary);
        return fail(LORE_CORRUPTION,
                    "%s: offset %" PRIu64 ": footer and header are of two segments", path, offset);
    }
    summary->bytes = size;
    summary->footer_check = check;
    return LORE_OK;
}

/* ---- for salvage ---- */

bool segment_header_names(const uint8_t header[SEGMENT_HEADER_BYTES], enum segment_kind *kind,
                          uint64_t *id) {
    uint32_t number = get_u32(header + 8);
    if (memcmp(header, header_magic, 8) != 0 ||
        get_u64(header + HEADER_CHECKED_BYTES) != check64(header, HEADER_CHECKED_BYTES) ||
        number < SEGMENT_TABLE || number > SEGMENT_ROWS)
        return false;
    *kind = (enum segment_kind)number;
    *id = get_u64(header + 56);
    return true;
}

/* What the kinds add to a footer: 56 bytes of a table, up to this much of the others, in eights. */
#define FOOTER_EXTRA_MAX (16u + 2u * 32u * 8u)
/* Hashed in search of one changed byte among these, for each of their possible lengths. */
#define MEND_WORK_BYTES (UINT64_C(64) << 20)

/* `tail`, which holds the encoded summary, becomes the footer: what follows the summary is the last
 * `extra` of the `got` bytes before the trailer, if the footer's check says so. */
static lore_status complete_footer(const struct segment_summary *summary, const uint8_t *before,
                                   size_t got, struct bytes *tail, bool *found) {
    const size_t fixed = tail->size;
    *found = false;
    for (size_t extra = 8; extra <= got && !*found; extra += 8) {
        tail->size = fixed;
        TRY(bytes_append(tail, before + got - extra, extra));
        *found = summary->footer_check == check64_seeded(tail->data, tail->size, summary->id);
    }
    for (size_t extra = 8; extra <= got && !*found; extra += 8) {
        uint64_t work = MEND_WORK_BYTES;
        tail->size = fixed;
        TRY(bytes_append(tail, before + got - extra, extra));
        *found =
            check64_mend(tail->data, fixed, tail->size, summary->id, summary->footer_check, &work);
    }
    return LORE_OK;
}

static lore_status make_ends(struct file *file, const char *path,
                             const struct segment_summary *summary,
                             uint8_t header[SEGMENT_HEADER_BYTES], struct bytes *tail,
                             bool *sound) {
    uint8_t before[FOOTER_EXTRA_MAX], there[SEGMENT_HEADER_BYTES], trailer[SEGMENT_TRAILER_BYTES];
    bool found = false;
    uint64_t size;
    TRY(file_size(file, &size));
    bytes_clear(tail);
    TRY(segment_summary_encode(summary, true, tail));
    uint64_t least = SEGMENT_HEADER_BYTES + tail->size + SEGMENT_TRAILER_BYTES;
    size_t got = 0, want = FOOTER_EXTRA_MAX;
    if (summary->bytes < least + want)
        want = summary->bytes < least ? 0 : (size_t)(summary->bytes - least);
    uint64_t end = summary->bytes - SEGMENT_TRAILER_BYTES;
    if (want > 0) TRY(file_read(file, end - want, before, want, &got));
    if (got == want) TRY(complete_footer(summary, before, got, tail, &found));
    if (!found)
        return fail(LORE_CORRUPTION, "%s: offset %" PRIu64 ": the footer cannot be made out", path,
                    end);
    uint64_t offset = end - tail->size;
    encode_header(summary->kind, summary->id, &summary->identity, header);
    encode_trailer(summary->kind, offset, (uint32_t)tail->size, summary->footer_check, trailer);
    TRY(bytes_append(tail, trailer, sizeof trailer));
    struct bytes now = bytes_empty(tail->allocator);
    uint8_t *at;
    TRY(bytes_extend(&now, tail->size, &at));
    lore_status status = file_read(file, offset, at, tail->size, &got);
    *sound = size == summary->bytes && got == tail->size && memcmp(at, tail->data, got) == 0;
    bytes_free(&now);
    TRY(status);
    TRY(file_read(file, 0, there, sizeof there, &got));
    *sound = *sound && got == sizeof there && memcmp(there, header, got) == 0;
    return LORE_OK;
}

lore_status segment_ends(const lore_env *env, const char *path,
                         const struct segment_summary *summary,
                         uint8_t header[SEGMENT_HEADER_BYTES], struct bytes *tail, bool *sound) {
    struct file *file;
    TRY(fs_open(env, path, FILE_READ, false, &file));
    lore_status status = make_ends(file, path, summary, header, tail, sound);
    file_close(file);
    return status;
}

static lore_status digest_file(struct pooled_file *file, const struct segment_summary *summary,
                               uint8_t *chunk, struct digest_stream *stream,
                               bool (*keep_going)(void *context, uint64_t bytes), void *context) {
    digest_stream_init(stream);
    for (uint64_t at = 0; at < summary->bytes;) {
        uint64_t left = summary->bytes - at;
        size_t size = left < DIGEST_CHUNK_BYTES ? (size_t)left : DIGEST_CHUNK_BYTES;
        if (keep_going != NULL && !keep_going(context, size))
            return fail(LORE_CANCELLED, "%s: cancelled", pooled_file_path(file));
        TRY(pooled_file_read(file, at, chunk, size));
        digest_stream_add(stream, chunk, size);
        at += size;
    }
    return LORE_OK;
}

lore_status segment_digest_check(struct pooled_file *file, const struct segment_summary *summary,
                                 const struct allocator *allocator,
                                 bool (*keep_going)(void *context, uint64_t bytes), void *context) {
    void *chunk;
    TRY(mem_get(allocator, DIGEST_CHUNK_BYTES, &chunk));
    struct digest_stream stream;
    lore_status status = digest_file(file, summary, chunk, &stream, keep_going, context);
    mem_put(allocator, chunk, DIGEST_CHUNK_BYTES);
    TRY(status);
    struct digest128 digest = digest_stream_end(&stream);
    if (memcmp(digest.bytes, summary->digest.bytes, sizeof digest.bytes) != 0)
        return fail(LORE_CORRUPTION, "%s: the digest of the whole file differs",
                    pooled_file_path(file));
    return LORE_OK;
}
