/*
 * edits_fuzz.c - any bytes as an edits file, and as one encoded edit: read into an image, whose
 * keys are in order.
 */
#include "fuzz.h"
#include "catalog/edits.h"
#include "catalog/image.h"
#include "fuzz_fs.h"
#include "vfs/fs_memory.h"

static void check_image(const struct image *image) {
    for (size_t i = 1; i < image->count; i++) {
        fuzz_require(slice_compare(image_key(image, i - 1), image_key(image, i)) < 0);
    }
}

static void read_edits(struct fuzz_fs *fs, uint64_t file_number) {
    struct edits_place place = {&fs->env, &fs->allocator, "d", false};
    struct edits_reader *reader;
    if (edits_reader_open(&place, file_number, &reader) != LORE_OK) return;
    struct image image;
    image_init(&image, &fs->allocator);
    lore_status status;
    for (;;) {
        struct edits_item item;
        bool found;
        status = edits_reader_next(reader, &item, &found);
        if (status != LORE_OK || !found) break;
        fuzz_must(image_apply(&image, item.encoded)); /* it has been checked */
    }
    struct log_end end;
    if (status == LORE_OK && edits_reader_end(reader, &end) == LORE_OK) {
        fuzz_require(reader->number >= reader->checkpoint_number);
    }
    check_image(&image);
    image_deinit(&image);
    edits_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_fs fs;
    fuzz_fs_init(&fs, data, size);
    if (size >= LOG_HEADER_BYTES) read_edits(&fs, get_u64(data + 56));
    if (edit_check(slice(data, size)) != LORE_OK) return 0;
    struct image image;
    image_init(&image, &fs.allocator);
    fuzz_must(image_apply(&image, slice(data, size)));
    check_image(&image);
    image_deinit(&image);
    return 0;
}

/* A file with a checkpoint and two edits; an edit alone. */
bool fuzz_seed(unsigned number, struct bytes *seed) {
    if (number >= 2) return false;
    const struct allocator *host = env_posix()->allocator;
    struct catalog_edit edit;
    catalog_edit_init(&edit, host);
    fuzz_must(catalog_edit_put(&edit, slice("S12345678", 9), slice("a record", 8)));
    fuzz_must(catalog_edit_delete(&edit, slice("Nname", 5)));
    fuzz_must(catalog_edit_put(&edit, slice("A", 1), slice(NULL, 0)));
    if (number == 1) {
        fuzz_must(bytes_set(seed, bytes_slice(&edit.encoded)));
        catalog_edit_deinit(&edit);
        return true;
    }
    struct fs_memory *disk;
    fuzz_must(fs_memory_create(host, 0, &disk));
    lore_env env = {host, fs_memory_fs(disk), env_posix()->sys};
    struct edits_place place = {&env, host, ".", false};
    struct identity identity = {{1}, {2}};
    struct edits *edits;
    fuzz_must(edits_begin(&place, &identity, 3, NULL, &edits));
    fuzz_must(edits_checkpoint_put(edits, slice("F", 1), slice("facts", 5)));
    fuzz_must(edits_checkpoint_put(edits, slice("Nname", 5), slice("snapshot", 8)));
    fuzz_must(edits_checkpoint_end(edits, 1, edits_first_history(&identity)));
    fuzz_must(edits_append(edits, bytes_slice(&edit.encoded)));
    fuzz_must(edits_append(edits, bytes_slice(&edit.encoded)));
    edits_close(edits);
    catalog_edit_deinit(&edit);
    fuzz_must(fs_read_file(&env, "./edits-0000000003", 1 << 20, seed));
    seed->size = 2048; /* the zeros ahead are of no interest */
    fs_memory_destroy(disk);
    return true;
}
