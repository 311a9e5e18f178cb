/*
 * segment.c - summaries of segments as bytes, and the names of their files.
 *
 *   summary   0 u32 summary format (1); 4 u32 kind; 8 u64 id; 16 u8[16] store id;
 *             32 u8[16] lineage; 48 u8 tier; 49 u8 level; 50 u8 flags (bit 0: last key
 *             exclusive); 51 u8 digest's algorithm *; 52 u32 space; 56 u32 stride bytes;
 *             60 u16 first key's length; 62 u16 last key's length; 64 i64 created at, us;
 *             72 u64 first sequence; 80 u64 last sequence; 88 u64 entries; 96 u64 range deletes;
 *             104 u64 value bytes; 112 u64 bytes *; 120 u64 footer check *; 128 u8[32] digest,
 * zeros behind it *; 160 u32 kinds present; 164 u32 groups; 168 u32 inputs; 172 u32 zero; 176 first
 * key, last key, groups (u64 logical id, u64 values), inputs (u64 id)
 *
 * Those marked * are zero in a footer: they are known only when it is written.
 *
 * Threads: none of its own.
 */
#include "segment/segment.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "segment/segment_file.h"
#include "base/poison.h"

#define SUMMARY_FORMAT          1u
#define GROUP_BYTES             16u
#define INPUT_BYTES             8u
#define FLAG_LAST_KEY_EXCLUSIVE 1u

void segment_summary_init(struct segment_summary *summary, const struct allocator *allocator) {
    memset(summary, 0, sizeof *summary);
    summary->kind = SEGMENT_TABLE;
    summary->allocator = allocator;
    summary->first_key = bytes_empty(allocator);
    summary->last_key = bytes_empty(allocator);
}

void segment_summary_deinit(struct segment_summary *summary) {
    const struct allocator *allocator = summary->allocator;
    if (allocator == NULL) return;
    bytes_free(&summary->first_key);
    bytes_free(&summary->last_key);
    mem_put(allocator, summary->groups, summary->groups_count * sizeof *summary->groups);
    mem_put(allocator, summary->inputs, summary->inputs_count * sizeof *summary->inputs);
    segment_summary_init(summary, allocator);
}

lore_status segment_summary_set_inputs(struct segment_summary *summary, const uint64_t *inputs,
                                       size_t inputs_count) {
    assert(summary->inputs == NULL);
    void *memory;
    TRY(mem_get(summary->allocator, inputs_count * sizeof *inputs, &memory));
    if (inputs_count > 0) memcpy(memory, inputs, inputs_count * sizeof *inputs);
    summary->inputs = memory;
    summary->inputs_count = inputs_count;
    return LORE_OK;
}

static lore_status copy_contents(struct segment_summary *to, const struct segment_summary *from) {
    TRY(bytes_set(&to->first_key, bytes_slice(&from->first_key)));
    TRY(bytes_set(&to->last_key, bytes_slice(&from->last_key)));
    TRY(segment_summary_set_inputs(to, from->inputs, from->inputs_count));
    void *memory;
    size_t groups_size = from->groups_count * sizeof *from->groups;
    TRY(mem_get(to->allocator, groups_size, &memory));
    if (groups_size > 0) memcpy(memory, from->groups, groups_size);
    to->groups = memory;
    to->groups_count = from->groups_count;
    return LORE_OK;
}

lore_status segment_summary_copy(struct segment_summary *to, const struct segment_summary *from) {
    const struct allocator *allocator = to->allocator;
    segment_summary_deinit(to);
    *to = *from;
    to->allocator = allocator;
    to->first_key = bytes_empty(allocator);
    to->last_key = bytes_empty(allocator);
    to->groups = NULL;
    to->groups_count = 0;
    to->inputs = NULL;
    to->inputs_count = 0;
    lore_status status = copy_contents(to, from);
    if (status != LORE_OK) segment_summary_deinit(to);
    return status;
}

/* ---- encoding ---- */

static void encode_fixed(const struct segment_summary *summary, bool for_footer, uint8_t *p) {
    memset(p, 0, SUMMARY_FIXED_BYTES);
    put_u32(p, SUMMARY_FORMAT);
    put_u32(p + 4, (uint32_t)summary->kind);
    put_u64(p + 8, summary->id);
    memcpy(p + 16, summary->identity.store_id, 16);
    memcpy(p + 32, summary->identity.lineage, 16);
    p[48] = summary->tier;
    p[49] = summary->level;
    p[50] = summary->last_key_exclusive ? FLAG_LAST_KEY_EXCLUSIVE : 0;
    put_u32(p + 52, summary->space);
    put_u32(p + 56, summary->stride_bytes);
    put_u16(p + 60, (uint16_t)summary->first_key.size);
    put_u16(p + 62, (uint16_t)summary->last_key.size);
    put_u64(p + 64, (uint64_t)summary->created_at_us);
    put_u64(p + 72, summary->first_sequence);
    put_u64(p + 80, summary->last_sequence);
    put_u64(p + 88, summary->entries);
    put_u64(p + 96, summary->range_deletes);
    put_u64(p + 104, summary->value_bytes);
    if (!for_footer) {
        put_u64(p + 112, summary->bytes);
        put_u64(p + 120, summary->footer_check);
        p[51] = DIGEST_XXH3_128;
        memcpy(p + 128, summary->digest.bytes, 16);
    }
    put_u32(p + 160, summary->kinds_present);
    put_u32(p + 164, (uint32_t)summary->groups_count);
    put_u32(p + 168, (uint32_t)summary->inputs_count);
}

lore_status segment_summary_encode(const struct segment_summary *summary, bool for_footer,
                                   struct bytes *out) {
    assert(summary->first_key.size <= KEY_BOUND_BYTES_MAX);
    assert(summary->last_key.size <= KEY_BOUND_BYTES_MAX);
    assert(summary->groups_count <= UINT32_MAX && summary->inputs_count <= UINT32_MAX);
    size_t groups_size = summary->groups_count * GROUP_BYTES;
    size_t inputs_size = summary->inputs_count * INPUT_BYTES;
    size_t size = SUMMARY_FIXED_BYTES + summary->first_key.size + summary->last_key.size +
                  groups_size + inputs_size;
    uint8_t *p;
    TRY(bytes_extend(out, size, &p));
    encode_fixed(summary, for_footer, p);
    p += SUMMARY_FIXED_BYTES;
    const struct bytes *keys[] = {&summary->first_key, &summary->last_key};
    for (size_t i = 0; i < 2; i++) {
        if (keys[i]->size > 0) memcpy(p, keys[i]->data, keys[i]->size);
        p += keys[i]->size;
    }
    for (size_t i = 0; i < summary->groups_count; i++, p += GROUP_BYTES) {
        put_u64(p, summary->groups[i].logical_id);
        put_u64(p + 8, summary->groups[i].values);
    }
    for (size_t i = 0; i < summary->inputs_count; i++, p += INPUT_BYTES)
        put_u64(p, summary->inputs[i]);
    return LORE_OK;
}

/* ---- decoding ---- */

struct summary_counts {
    uint16_t first_key_size, last_key_size;
    uint32_t groups, inputs;
};

static lore_status malformed(const char *what) {
    return fail(LORE_CORRUPTION, "segment summary: %s", what);
}

static lore_status decode_fixed(const uint8_t *p, struct segment_summary *summary,
                                struct summary_counts *counts) {
    if (get_u32(p) != SUMMARY_FORMAT)
        return fail(LORE_UNSUPPORTED, "segment summary: format %" PRIu32 ", known is %u",
                    get_u32(p), SUMMARY_FORMAT);
    uint32_t kind = get_u32(p + 4);
    if (kind < SEGMENT_TABLE || kind > SEGMENT_CODES) return malformed("unknown kind");
    if ((p[50] & ~FLAG_LAST_KEY_EXCLUSIVE) != 0) return malformed("unknown flags");
    if (p[51] != DIGEST_NONE && p[51] != DIGEST_XXH3_128)
        return fail(LORE_UNSUPPORTED, "segment summary: digest algorithm %u", p[51]);
    for (unsigned i = p[51] == DIGEST_NONE ? 0 : 16; i < 32; i++)
        if (p[128 + i] != 0) return malformed("bytes behind the digest");
    if (get_u32(p + 172) != 0) return malformed("bytes that must be zero");
    if (p[51] == DIGEST_NONE && (get_u64(p + 112) != 0 || get_u64(p + 120) != 0))
        return malformed("a length without a digest");
    summary->kind = (enum segment_kind)kind;
    summary->id = get_u64(p + 8);
    memcpy(summary->identity.store_id, p + 16, 16);
    memcpy(summary->identity.lineage, p + 32, 16);
    summary->tier = p[48];
    summary->level = p[49];
    summary->kinds_present = get_u32(p + 160);
    summary->last_key_exclusive = (p[50] & FLAG_LAST_KEY_EXCLUSIVE) != 0;
    summary->space = get_u32(p + 52);
    summary->stride_bytes = get_u32(p + 56);
    counts->first_key_size = get_u16(p + 60);
    counts->last_key_size = get_u16(p + 62);
    summary->created_at_us = (int64_t)get_u64(p + 64);
    summary->first_sequence = get_u64(p + 72);
    summary->last_sequence = get_u64(p + 80);
    summary->entries = get_u64(p + 88);
    summary->range_deletes = get_u64(p + 96);
    summary->value_bytes = get_u64(p + 104);
    summary->bytes = get_u64(p + 112);
    summary->footer_check = get_u64(p + 120);
    memcpy(summary->digest.bytes, p + 128, 16);
    counts->groups = get_u32(p + 164);
    counts->inputs = get_u32(p + 168);
    if (summary->id == 0) return malformed("id 0");
    if (summary->first_sequence > summary->last_sequence || summary->last_sequence > SEQUENCE_MAX)
        return malformed("sequence range");
    if (counts->first_key_size > KEY_BOUND_BYTES_MAX || counts->last_key_size > KEY_BOUND_BYTES_MAX)
        return malformed("key too long");
    return LORE_OK;
}

static lore_status decode_keys(struct reader *r, const struct summary_counts *counts,
                               struct segment_summary *summary) {
    lore_slice first = read_bytes(r, counts->first_key_size);
    lore_slice last = read_bytes(r, counts->last_key_size);
    if (r->bad) return malformed("too short");
    if (slice_compare(first, last) > 0) return malformed("first key after last key");
    TRY(bytes_set(&summary->first_key, first));
    return bytes_set(&summary->last_key, last);
}

static lore_status decode_groups(struct reader *r, uint32_t count,
                                 struct segment_summary *summary) {
    if (count == 0) return LORE_OK;
    if (count > reader_left(r) / GROUP_BYTES) return malformed("too short for its groups");
    void *memory;
    TRY(mem_get(summary->allocator, (size_t)count * sizeof *summary->groups, &memory));
    summary->groups = memory;
    summary->groups_count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t logical_id = read_u64(r);
        uint64_t values = read_u64(r);
        if (i > 0 && logical_id <= summary->groups[i - 1].logical_id)
            return malformed("groups out of order");
        summary->groups[i] = (struct segment_group){logical_id, values};
    }
    return LORE_OK;
}

static lore_status decode_inputs(struct reader *r, uint32_t count,
                                 struct segment_summary *summary) {
    if (count == 0) return LORE_OK;
    if (count > reader_left(r) / INPUT_BYTES) return malformed("too short for its inputs");
    void *memory;
    TRY(mem_get(summary->allocator, (size_t)count * sizeof *summary->inputs, &memory));
    summary->inputs = memory;
    summary->inputs_count = count;
    for (uint32_t i = 0; i < count; i++) {
        summary->inputs[i] = read_u64(r);
        if (i > 0 && summary->inputs[i] <= summary->inputs[i - 1])
            return malformed("inputs out of order");
    }
    return LORE_OK;
}

static lore_status decode_all(struct reader *r, struct segment_summary *summary) {
    lore_slice fixed = read_bytes(r, SUMMARY_FIXED_BYTES);
    if (r->bad) return malformed("too short");
    struct summary_counts counts = {0};
    TRY(decode_fixed(fixed.data, summary, &counts));
    TRY(decode_keys(r, &counts, summary));
    TRY(decode_groups(r, counts.groups, summary));
    return decode_inputs(r, counts.inputs, summary);
}

lore_status segment_summary_decode(struct reader *r, struct segment_summary *summary) {
    segment_summary_deinit(summary);
    lore_status status = decode_all(r, summary);
    if (status != LORE_OK) segment_summary_deinit(summary);
    return status;
}

/* ---- names ---- */

static const char *const suffixes[] = {
    [SEGMENT_TABLE] = ".table",
    [SEGMENT_BLOB] = ".blob",
    [SEGMENT_ROWS] = ".rows",
    [SEGMENT_CODES] = ".codes",
};
#define NAME_DIGITS_MIN 12
#define NAME_DIGITS_MAX 20

void segment_file_name(char out[SEGMENT_NAME_BYTES], enum segment_kind kind, uint64_t id) {
    assert(kind >= SEGMENT_TABLE && kind <= SEGMENT_CODES);
    int length =
        snprintf(out, SEGMENT_NAME_BYTES, "%0*" PRIu64 "%s", NAME_DIGITS_MIN, id, suffixes[kind]);
    assert(length > 0 && length < (int)SEGMENT_NAME_BYTES);
    (void)length;
}

bool segment_file_name_parse(const char *name, enum segment_kind *kind, uint64_t *id) {
    uint64_t value = 0;
    size_t digits = 0;
    while (name[digits] >= '0' && name[digits] <= '9' && digits <= NAME_DIGITS_MAX) {
        uint64_t digit = (uint64_t)(name[digits] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
        digits++;
    }
    for (int k = SEGMENT_TABLE; k <= SEGMENT_CODES; k++) {
        if (strcmp(name + digits, suffixes[k]) != 0) continue;
        /* Only the form that segment_file_name gives: one name for one segment. */
        char canonical[SEGMENT_NAME_BYTES];
        segment_file_name(canonical, (enum segment_kind)k, value);
        if (strcmp(name, canonical) != 0) return false;
        *kind = (enum segment_kind)k;
        *id = value;
        return true;
    }
    return false;
}
