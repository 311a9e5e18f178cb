/*
 * flip_test.c - every byte of a small, cleanly closed store is changed in turn, and the store
 * opened: each change is either reported (by opening, reading or verifying), or the byte is one
 * that nobody interprets, and content and verify come out unchanged. Never another value, a crash
 * or a hang. Then the LMDB file is deleted, cut and filled with noise: the store comes up with the
 * same content.
 *
 *   flip_test [--stride N] [--first N] [--bits 1|8]     every N-th byte from the first; one bit of
 * each, or each bit
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operations.h"

struct file_list {
    char paths[64][96];
    uint64_t sizes[64];
    int count;
    struct fs *fs;
    char dir[96];
};

static lore_status list_file(void *context, const struct dir_entry *entry) {
    struct file_list *list = context;
    char path[96];
    if (snprintf(path, sizeof path, "%.60s/%.30s", list->dir, entry->name) < 0) return LORE_INVALID;
    if (entry->is_dir) return LORE_OK;
    bool is_dir;
    uint32_t mode;
    memcpy(list->paths[list->count], path, sizeof path);
    return list->fs->ops->stat(list->fs, path, &list->sizes[list->count++], &is_dir, &mode);
}

static void list_files(struct fs_memory *disk, struct file_list *list) {
    list->fs = fs_memory_fs(disk);
    list->count = 0;
    snprintf(list->dir, sizeof list->dir, STORE_PATH);
    MUST(list->fs->ops->list(list->fs, list->dir, list_file, list));
    snprintf(list->dir, sizeof list->dir, STORE_PATH "/g-000001");
    MUST(list->fs->ops->list(list->fs, list->dir, list_file, list));
}

enum outcome { REPORTED, UNINTERPRETED, WRONG };

struct seen {
    uint64_t findings;
};

static void note_finding(void *context, const lore_finding *finding) {
    struct seen *seen = context;
    if (finding->status != LORE_OK) seen->findings++;
}

static bool acceptable(lore_status status) {
    return status == LORE_CORRUPTION || status == LORE_UNSUPPORTED || status == LORE_NO_STORE;
}

static int warnings;
static void count_warning(void *context, lore_log_level level, const char *message) {
    (void)context;
    (void)message;
    if (level <= LORE_LOG_WARNING) warnings++;
}

static enum outcome open_and_look(struct fs_memory *disk, const char *expected, bool read_only,
                                  char *why) {
    lore_env env = {
        .allocator = env_posix()->allocator, .fs = fs_memory_fs(disk), .sys = env_posix()->sys};
    lore_options options;
    model_options(&options, &env);
    options.create_if_missing = false;
    options.read_only = read_only;
    options.log = count_warning;
    warnings = 0;
    lore_store *store;
    char text[MODEL_TEXT_MAX];
    lore_status status = lore_open(STORE_PATH, &options, &store);
    if (status != LORE_OK) {
        snprintf(why, 256, "open: %.200s", lore_error_message());
        return acceptable(status) ? REPORTED : WRONG;
    }
    enum outcome outcome = UNINTERPRETED;
    status = store_render(store, text);
    struct seen seen = {0};
    lore_verify_report report = {0};
    if (status != LORE_OK) {
        snprintf(why, 256, "read: %.200s", lore_error_message());
        outcome = acceptable(status) ? REPORTED : WRONG;
    } else if (strcmp(text, expected) != 0) {
        snprintf(why, 256, "other content: %.200s", text);
        outcome = WRONG;
    }
    status = lore_verify(store, note_finding, NULL, &seen, &report);
    if (outcome == UNINTERPRETED && status != LORE_OK) {
        snprintf(why, 256, "verify: %.200s", lore_error_message());
        outcome = acceptable(status) ? REPORTED : WRONG;
    }
    if (outcome == UNINTERPRETED && warnings > 0)
        outcome = REPORTED; /* the catalog was rebuilt, a tail cut: said so */
    status = lore_close(store);
    if (status != LORE_OK && outcome != REPORTED) {
        snprintf(why, 256, "close: %.200s", lore_error_message());
        outcome = WRONG;
    }
    return outcome;
}

static enum outcome flip(struct fs_memory *base, const char *path, uint64_t offset, unsigned bit,
                         const char *expected, bool read_only, char *why) {
    struct fs_memory *disk;
    MUST(fs_memory_clone(base, &disk));
    uint64_t size;
    uint8_t *bytes = fs_memory_bytes(disk, path, &size);
    if (bytes == NULL || offset >= size) exit(1);
    bytes[offset] ^= (uint8_t)(1u << bit);
    enum outcome outcome = open_and_look(disk, expected, read_only, why);
    fs_memory_destroy(disk);
    return outcome;
}

static int damage_lmdb(struct fs_memory *base, const char *expected) {
    static const char path[] = STORE_PATH "/g-000001/catalog.mdb";
    char why[256] = "";
    int wrong = 0;
    for (int way = 0; way < 12; way++) {
        struct fs_memory *disk;
        MUST(fs_memory_clone(base, &disk));
        struct fs *fs = fs_memory_fs(disk);
        uint64_t size, state = (uint64_t)way;
        uint8_t *bytes = fs_memory_bytes(disk, path, &size);
        if (bytes == NULL) exit(1);
        if (way == 0) {
            lore_env env = {.allocator = env_posix()->allocator, .fs = fs, .sys = env_posix()->sys};
            MUST(fs_unlink(&env, path));
        } else if (way < 8) {
            lore_env env = {.allocator = env_posix()->allocator, .fs = fs, .sys = env_posix()->sys};
            struct file *file;
            MUST(fs_open(&env, path, FILE_WRITE, false, &file));
            MUST(file_truncate(file, size * (uint64_t)(way - 1) / 7));
            file_close(file);
        } else {
            for (uint64_t i = way % 2 == 0 ? 0 : 4096; i < size; i++)
                bytes[i] = (uint8_t)operation_random(&state);
        }
        /* Reported is fine as long as the content is right; open_and_look has seen to that. */
        if (open_and_look(disk, expected, false, why) == WRONG) {
            printf("WRONG: catalog.mdb damaged in way %d: %s\n", way, why);
            wrong++;
        }
        char text[MODEL_TEXT_MAX];
        lore_env env = {.allocator = env_posix()->allocator, .fs = fs, .sys = env_posix()->sys};
        lore_options options;
        model_options(&options, &env);
        lore_store *store;
        MUST(lore_open(STORE_PATH, &options, &store));
        MUST(store_render(store, text));
        if (strcmp(text, expected) != 0) {
            printf("WRONG: content differs after catalog.mdb was damaged in way %d\n", way);
            wrong++;
        }
        MUST(lore_close(store));
        fs_memory_destroy(disk);
    }
    printf("catalog.mdb deleted, cut and filled with noise: %d wrong\n", wrong);
    return wrong;
}

int main(int argc, char **argv) {
    uint64_t stride = 1, first = 0;
    unsigned bits = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--stride") == 0)
            stride = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            first = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--bits") == 0)
            bits = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else
            return 2;
    }
    if (stride == 0 || (bits != 1 && bits != 8)) return 2;
    struct fs_memory *base;
    struct model model;
    char expected[MODEL_TEXT_MAX], why[256] = "";
    operation_make_base(&base, &model);
    model_render(&model, expected);
    if (open_and_look(base, expected, true, why) != UNINTERPRETED) {
        printf("FAILED: the undamaged store: %s\n", why);
        return 1;
    }
    static struct file_list list;
    list_files(base, &list);
    int wrong = 0;
    printf("%-44s %8s %9s %14s\n", "file", "flips", "reported", "uninterpreted");
    for (int f = 0; f < list.count; f++) {
        uint64_t counts[3] = {0};
        for (uint64_t offset = first; offset < list.sizes[f]; offset += stride)
            for (unsigned b = 0; b < bits; b++) {
                unsigned bit = bits == 8 ? b : (unsigned)(offset * 5 % 8);
                enum outcome outcome =
                    flip(base, list.paths[f], offset, bit, expected, offset % 3 == 2, why);
                counts[outcome]++;
                if (outcome == WRONG && wrong++ < 10)
                    printf("WRONG: %s offset %" PRIu64 " bit %u: %s\n", list.paths[f], offset, bit,
                           why);
            }
        printf("%-44s %8" PRIu64 " %9" PRIu64 " %14" PRIu64 "\n", list.paths[f],
               counts[0] + counts[1] + counts[2], counts[REPORTED], counts[UNINTERPRETED]);
    }
    if (first == 0) wrong += damage_lmdb(base, expected);
    fs_memory_destroy(base);
    printf("%d wrong\n", wrong);
    return wrong == 0 ? 0 : 1;
}
