/*
 * Which edits file counts: unfinished ones are passed over, damaged ones are not.
 */
#include "catalog/catalog_testing.h"
#include "catalog/edits.h"

static struct edits_place place_of(const struct catalog_disk *disk) {
    return (struct edits_place){&disk->env, &disk->allocator.base, TEST_DIR, false};
}

/* File `number` with `records` records in its checkpoint and its end, if it is to be whole; then
 * `edits` edits. */
static void write_file(const struct edits_place *place, uint64_t number, uint32_t records,
                       bool whole, uint32_t edits) {
    struct identity identity = test_identity(1);
    struct edits *file;
    assert_ok(edits_begin(place, &identity, number, NULL, &file));
    static const uint8_t value[5000];
    for (uint32_t i = 0; i < records; i++) {
        uint8_t key[5] = {'k'};
        put_be32(key + 1, i);
        assert_ok(edits_checkpoint_put(file, slice(key, 5), slice(value, sizeof value)));
    }
    if (whole) assert_ok(edits_checkpoint_end(file, 1, edits_first_history(&identity)));
    for (uint32_t i = 0; i < edits; i++) {
        struct catalog_edit edit;
        catalog_edit_init(&edit, place->allocator);
        assert_ok(catalog_edit_delete(&edit, slice("k", 1)));
        assert_ok(edits_append(file, bytes_slice(&edit.encoded)));
        catalog_edit_deinit(&edit);
    }
    edits_close(file);
}

static void unfinished_files_do_not_count(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct edits_place place = place_of(&disk);
    uint64_t number = 0;
    assert_status(edits_choose(&place, &number), LORE_NOT_FOUND);
    write_file(&place, 4, 100, true, 3);
    write_file(&place, 5, 100, false, 0);
    assert_ok(
        fs_replace_file(&disk.env, TEST_DIR "/edits-0000000006", false, slice("LOREEDT1", 8)));
    assert_ok(fs_replace_file(&disk.env, TEST_DIR "/edits-9x", false, slice("x", 1)));
    assert_ok(edits_choose(&place, &number));
    assert_int_equal(number, 4);
    assert_ok(edits_remove_others(&place, number));
    struct bytes numbers = bytes_empty(&disk.allocator.base);
    assert_ok(edits_list(&place, &numbers));
    assert_int_equal(numbers.size, 8);
    bytes_free(&numbers);
    catalog_disk_close(&disk);
}

static void damaged_files_are_not_passed_over(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct edits_place place = place_of(&disk);
    uint64_t number = 0, size;
    write_file(&place, 4, 10, true, 0);
    write_file(&place, 5, 40, true, 0);
    const uint64_t places[] = {0, 100, 159, 160, 170, 3000, 100000, 200000};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        fs_memory_bytes(disk.memory, TEST_DIR "/edits-0000000005", &size)[places[i]] ^= 4;
        assert_status(edits_choose(&place, &number), LORE_CORRUPTION);
        assert_non_null(strstr(lore_error_message(), "edits-0000000005"));
        fs_memory_bytes(disk.memory, TEST_DIR "/edits-0000000005", &size)[places[i]] ^= 4;
    }
    assert_ok(edits_choose(&place, &number));
    assert_int_equal(number, 5);
    catalog_disk_close(&disk);
}

/* A file under another's name, and records in an order that no writer makes. */
static void what_no_writer_makes_is_corruption(void **state) {
    (void)state;
    struct catalog_disk disk;
    catalog_disk_open(&disk);
    struct edits_place place = place_of(&disk);
    uint64_t number = 0;
    write_file(&place, 7, 1, true, 0);
    assert_ok(fs_rename(&disk.env, TEST_DIR "/edits-0000000007", TEST_DIR "/edits-0000000008"));
    assert_status(edits_choose(&place, &number), LORE_CORRUPTION);
    assert_ok(fs_unlink(&disk.env, TEST_DIR "/edits-0000000008"));

    struct log_writer_config config = {&disk.env, &disk.allocator.base, false, 0};
    struct log_header header = {.family = LOG_FAMILY_EDITS, .number = 1, .first_sequence = 2};
    struct log_writer *writer;
    uint8_t end[24] = {1}, edit[8] = {3};
    assert_ok(log_writer_create(&config, TEST_DIR "/edits-0000000001", &header, &writer));
    assert_ok(log_writer_add(writer, LOG_CHECKPOINT_END, 0, slice(end, sizeof end), NULL));
    assert_ok(
        log_writer_add(writer, LOG_EDIT, 0, slice(edit, sizeof edit), NULL)); /* not the next */
    assert_ok(log_writer_write(writer));
    log_writer_destroy(writer);
    assert_ok(edits_choose(&place, &number));
    struct edits_reader *reader;
    struct edits_item item;
    bool found;
    assert_ok(edits_reader_open(&place, number, &reader));
    assert_ok(edits_reader_next(reader, &item, &found));
    assert_true(found && item.kind == EDITS_WHOLE && item.number == 1);
    assert_status(edits_reader_next(reader, &item, &found), LORE_CORRUPTION);
    assert_non_null(strstr(lore_error_message(), "out of order"));
    edits_reader_close(reader);
    catalog_disk_close(&disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unfinished_files_do_not_count),
        cmocka_unit_test(damaged_files_are_not_passed_over),
        cmocka_unit_test(what_no_writer_makes_is_corruption),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
