/*
 * segment_test.c - summaries as bytes, names, and files between writer and reader.
 */
#include "segment/segment_testing.h"

static void fill_summary(struct segment_summary *summary, const struct segment_fixture *f) {
    static const uint64_t inputs[] = {3, 5, 9};
    summary->kind = SEGMENT_BLOB;
    summary->id = 12;
    summary->identity = f->context.identity;
    summary->tier = 1;
    summary->level = 4;
    summary->kinds_present = 0x55;
    summary->last_key_exclusive = true;
    summary->space = 77;
    summary->stride_bytes = 3072;
    summary->created_at_us = -5;
    summary->first_sequence = 10;
    summary->last_sequence = SEQUENCE_MAX;
    summary->entries = 1000;
    summary->range_deletes = 2;
    summary->value_bytes = 123456789;
    summary->bytes = 99;
    summary->footer_check = UINT64_MAX;
    memset(summary->digest.bytes, 0xcd, 16);
    assert_ok(bytes_set(&summary->first_key, slice("aaaa", 4)));
    assert_ok(bytes_set(&summary->last_key, slice("aaab-", 5)));
    assert_ok(segment_summary_set_inputs(summary, inputs, 3));
    void *groups;
    assert_ok(mem_get(summary->allocator, 2 * sizeof *summary->groups, &groups));
    summary->groups = groups;
    summary->groups_count = 2;
    summary->groups[0] = (struct segment_group){4, 10};
    summary->groups[1] = (struct segment_group){8, 990};
}

static void test_summary_round_trip(void **state) {
    (void)state;
    struct segment_fixture f;
    segment_fixture_init(&f);
    struct segment_summary summary, copy, decoded;
    segment_summary_init(&summary, &f.allocator.base);
    segment_summary_init(&copy, &f.allocator.base);
    segment_summary_init(&decoded, &f.allocator.base);
    fill_summary(&summary, &f);
    assert_ok(segment_summary_copy(&copy, &summary));
    struct bytes first = bytes_empty(&f.allocator.base), second = first;
    assert_ok(segment_summary_encode(&copy, false, &first));
    struct reader r = reader_over(bytes_slice(&first));
    assert_ok(segment_summary_decode(&r, &decoded));
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(decoded.bytes, 99);
    assert_int_equal(decoded.footer_check, UINT64_MAX);
    assert_int_equal(decoded.created_at_us, -5);
    assert_int_equal(decoded.groups[1].values, 990);
    assert_int_equal(decoded.inputs[2], 9);
    assert_ok(segment_summary_encode(&decoded, false, &second));
    assert_true(slice_equal(bytes_slice(&first), bytes_slice(&second)));
    bytes_clear(&second);
    assert_ok(segment_summary_encode(&decoded, true, &second));
    r = reader_over(bytes_slice(&second));
    assert_ok(segment_summary_decode(&r, &decoded));
    assert_int_equal(decoded.bytes, 0);
    assert_int_equal(decoded.footer_check, 0);
    /* Every truncation is noticed. */
    for (size_t size = 0; size < first.size; size++) {
        r = reader_over(slice(first.data, size));
        assert_status(segment_summary_decode(&r, &decoded), LORE_CORRUPTION);
    }
    /* Every failed allocation is undone. */
    for (long at = 0;; at++) {
        r = reader_over(bytes_slice(&first));
        f.allocator.fail_at = at;
        lore_status status = segment_summary_decode(&r, &decoded);
        f.allocator.fail_at = -1;
        if (status == LORE_OK) break;
        assert_status(status, LORE_NO_MEMORY);
        assert_true(at < 100);
    }
    bytes_free(&first);
    bytes_free(&second);
    segment_summary_deinit(&summary);
    segment_summary_deinit(&copy);
    segment_summary_deinit(&decoded);
    segment_fixture_deinit(&f);
}

static void test_names(void **state) {
    (void)state;
    char name[SEGMENT_NAME_BYTES];
    enum segment_kind kind;
    uint64_t id;
    segment_file_name(name, SEGMENT_ROWS, 14);
    assert_string_equal(name, "000000000014.rows");
    assert_true(segment_file_name_parse(name, &kind, &id));
    assert_int_equal(kind, SEGMENT_ROWS);
    assert_int_equal(id, 14);
    segment_file_name(name, SEGMENT_CODES, UINT64_MAX);
    assert_true(segment_file_name_parse(name, &kind, &id));
    assert_true(kind == SEGMENT_CODES && id == UINT64_MAX);
    static const char *const others[] = {"",
                                         ".table",
                                         "14.rows",
                                         "0000000000014.rows",
                                         "000000000014.row",
                                         "000000000014.rowss",
                                         "18446744073709551616.table",
                                         "99999999999999999999999.blob",
                                         "-00000000014.rows",
                                         "000000000014"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(segment_file_name_parse(others[i], &kind, &id));
}

/* A file of kind blob with the blocks given, and its summary. */
static void write_file(struct segment_fixture *f, struct segment_summary *summary,
                       const lore_slice *blocks, struct segment_place *places, size_t count) {
    struct segment_writer *writer;
    void *memory;
    assert_ok(mem_new(&f->allocator.base, sizeof *writer, &memory));
    writer = memory;
    assert_ok(segment_writer_init(writer, &f->context, summary->kind, summary->id));
    struct segment_packer packer;
    segment_packer_init(&packer, &f->allocator.base, LORE_COMPRESSION_LZ4, false);
    for (size_t i = 0; i < count; i++) {
        lore_slice stored;
        assert_ok(segment_pack(&packer, blocks[i], &stored));
        assert_ok(segment_writer_add_block(writer, stored, &places[i]));
    }
    struct bytes footer = bytes_empty(&f->allocator.base);
    assert_ok(segment_summary_encode(summary, true, &footer));
    assert_ok(append_u64(&footer, 4711));
    assert_ok(segment_writer_finish(writer, bytes_slice(&footer), summary));
    bytes_free(&footer);
    segment_packer_deinit(&packer);
    segment_writer_deinit(writer);
    mem_put(&f->allocator.base, writer, sizeof *writer);
}

static lore_status read_file(struct segment_fixture *f, const struct segment_summary *summary) {
    struct pooled_file *file;
    assert_ok(pooled_file_create(f->context.files, "g/000000000012.blob", &file));
    struct bytes body = bytes_empty(&f->allocator.base);
    struct reader rest;
    uint64_t offset;
    lore_status status = segment_footer_read(file, summary, &body, &rest, &offset);
    if (status == LORE_OK) {
        assert_int_equal(read_u64(&rest), 4711);
        assert_int_equal(reader_left(&rest), 0);
        status = segment_digest_check(file, summary, &f->allocator.base, NULL, NULL);
    }
    bytes_free(&body);
    pooled_file_release(file);
    return status;
}

static void test_file_round_trip(void **state) {
    (void)state;
    struct segment_fixture f;
    segment_fixture_init(&f);
    struct segment_summary summary, described;
    segment_summary_init(&summary, &f.allocator.base);
    segment_summary_init(&described, &f.allocator.base);
    fill_summary(&summary, &f);
    static char zeros[200000], mixed[100000];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof mixed; i++)
        mixed[i] = (char)test_random(&seed);
    lore_slice blocks[] = {slice(zeros, sizeof zeros), slice(mixed, sizeof mixed), slice(NULL, 0),
                           slice(NULL, 0)};
    struct segment_place places[4];
    write_file(&f, &summary, blocks, places, 4);
    assert_true(places[0].length < 1000);
    assert_int_equal(places[1].length, sizeof mixed + BLOCK_HEADER_BYTES);
    assert_ok(read_file(&f, &summary));

    struct pooled_file *file;
    assert_ok(pooled_file_create(f.context.files, "g/000000000012.blob", &file));
    assert_ok(segment_describe(file, &described));
    assert_int_equal(described.footer_check, summary.footer_check);
    struct bytes stored = bytes_empty(&f.allocator.base), raw = stored;
    for (size_t i = 0; i < 4; i++) {
        assert_ok(segment_block_read(file, 12, &places[i], sizeof zeros, &stored, &raw));
        assert_true(slice_equal(bytes_slice(&raw), blocks[i]));
        struct read_count count = {0};
        for (int pass = 0; pass < 2; pass++) {
            struct block *block;
            assert_ok(
                segment_block_fetch(&f.context, file, 12, &places[i], 200000, &count, &block));
            assert_true(slice_equal(slice(block->data, block->size), blocks[i]));
            block_cache_release(f.context.cache, block);
        }
        assert_int_equal(count.blocks_read, 1);
        assert_int_equal(count.blocks_hit, 1);
        assert_int_equal(count.bytes_read, places[i].length);
    }
    assert_status(segment_block_read(file, 12, &places[0], sizeof zeros - 1, &stored, &raw),
                  LORE_CORRUPTION);
    assert_status(segment_block_read(file, 13, &places[0], sizeof zeros, &stored, &raw),
                  LORE_CORRUPTION);
    /* The same bytes at another place are not the same block. */
    assert_int_equal(places[2].length, places[3].length);
    struct segment_place moved = places[3];
    moved.check = places[2].check;
    assert_status(segment_block_read(file, 12, &moved, sizeof zeros, &stored, &raw),
                  LORE_CORRUPTION);
    bytes_free(&stored);
    bytes_free(&raw);
    pooled_file_release(file);

    /* A summary that differs anywhere is not this file's. */
    summary.entries++;
    assert_status(read_file(&f, &summary), LORE_CORRUPTION);
    assert_non_null(strstr(lore_error_message(), "entries"));
    segment_summary_deinit(&summary);
    segment_summary_deinit(&described);
    segment_fixture_deinit(&f);
}

static void test_damaged_file(void **state) {
    (void)state;
    struct segment_fixture f;
    segment_fixture_init(&f);
    struct segment_summary summary;
    segment_summary_init(&summary, &f.allocator.base);
    fill_summary(&summary, &f);
    lore_slice block = slice("some bytes of a block", 21);
    struct segment_place place;
    write_file(&f, &summary, &block, &place, 1);
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(f.disk, "g/000000000012.blob", &size);
    assert_int_equal(size, summary.bytes);
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] ^= 0x10;
        lore_status status = read_file(&f, &summary);
        assert_true(status == LORE_CORRUPTION || status == LORE_UNSUPPORTED);
        bytes[i] ^= 0x10;
    }
    assert_ok(read_file(&f, &summary));
    struct file *file;
    assert_ok(fs_open(&f.env, "g/000000000012.blob", FILE_WRITE, false, &file));
    for (uint64_t left = size; left-- > 0;) {
        assert_ok(file_truncate(file, left));
        assert_status(read_file(&f, &summary), LORE_CORRUPTION);
    }
    file_close(file);
    segment_summary_deinit(&summary);
    segment_fixture_deinit(&f);
}

static void test_unfinished_writer_removes_its_file(void **state) {
    (void)state;
    struct segment_fixture f;
    segment_fixture_init(&f);
    static struct segment_writer writer;
    assert_ok(segment_writer_init(&writer, &f.context, SEGMENT_TABLE, 1));
    static struct segment_writer second;
    assert_status(segment_writer_init(&second, &f.context, SEGMENT_TABLE, 1), LORE_EXISTS);
    segment_writer_deinit(&second);
    segment_writer_deinit(&writer);
    uint64_t size;
    assert_null(fs_memory_bytes(f.disk, "g/000000000001.table", &size));
    segment_fixture_deinit(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary_round_trip),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_file_round_trip),
        cmocka_unit_test(test_damaged_file),
        cmocka_unit_test(test_unfinished_writer_removes_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
