/*
 * store_fuzz.c - damage to the files of a whole store: opened to read, opened to write, verified,
 * salvaged. Nothing crashes, hangs or leaks, and what is read without an error is what was written.
 *
 *   input   u8 way: modulo 4, read, write, salvage, all; bit 2, the store was killed, not closed;
 *           then damages of 5 bytes each, at most DAMAGES_MAX: u8 kind, u8 file, u16 place, u8 with
 *   kind    modulo 12. 0..5 a byte at `place` is changed by `with` (odd: counted from the end of
 * the file), 6 `with` sectors are zeros, 7 the file is cut, 8 removed, 9 exchanged with another, 10
 * a sector of another file is written there, 11 the file is set back to an older state
 *
 * In a build with LORE_FUZZ_SKIP_CHECKS values may be anything; nothing else may go wrong.
 */
#include "operations.h"

#include <stdio.h>

#include "base/coding.h"
#include "fuzz.h"
#include "fuzz_fs.h"

#define DAMAGES_MAX   8u
#define FILES_MAX     48
#define WORLDS_MAX    32
#define SECTOR_BYTES  512u
#define NEW_PATH      "new"
#define ALLOWED_BYTES (WORLDS_MAX * 1024u)

struct image {
    struct fs_memory *disk, *older;
    char truth[MODEL_TEXT_MAX];
    char files[FILES_MAX][96];
    int files_count;
};
static struct image closed, killed;
static char allowed[ALLOWED_BYTES]; /* every "key=value" that ever was, each between blanks */

/* ---- the stores ---- */

static void allow(const struct world *world) {
    struct model model = {.now = *world};
    static char text[MODEL_TEXT_MAX];
    model_render(&model, text);
    text[strlen(text) - 1] = '\0'; /* the end of the line */
    size_t used = strlen(allowed);
    fuzz_require(snprintf(allowed + used, sizeof allowed - used, "%s ", text + 4) <
                 (int)(sizeof allowed - used));
    for (int m = 0; m < MODEL_MEMORIES; m++) /* a vector may be lost, and its memory not */
        if (world->embeddings[m] != 0) {
            struct world without = *world;
            without.embeddings[m] = 0;
            if (m + 1 < MODEL_MEMORIES) without.embeddings[m + 1] = 0;
            allow(&without);
        }
}

static lore_status note_file(void *context, const struct dir_entry *entry) {
    struct image *image = context;
    if (entry->is_dir || strcmp(entry->name, "LOCK") == 0) return LORE_OK;
    fuzz_require(image->files_count < FILES_MAX);
    bool is_top = strcmp(entry->name, "CURRENT") == 0;
    (void)snprintf(image->files[image->files_count++], sizeof image->files[0], "%s/%s%.60s",
                   STORE_PATH, is_top ? "" : "g-000001/", entry->name);
    return LORE_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(a, b);
}

static void list_files(struct image *image) {
    struct fs *fs = fs_memory_fs(image->disk);
    fuzz_must(fs->ops->list(fs, STORE_PATH, note_file, image));
    fuzz_must(fs->ops->list(fs, STORE_PATH "/g-000001", note_file, image));
    qsort(image->files, (size_t)image->files_count, sizeof image->files[0], by_name);
}

static void operate(lore_store **store, const lore_env *env, struct model *model,
                    const enum operation *operations, int count, int number) {
    for (int i = 0; i < count; i++) {
        fuzz_must(operation_run(operations[i], env, store, model, number + 3 * i));
        allow(&model->now);
    }
}

/* With values of every file kind, deletes, snapshots, several tables and several logs. */
static void make_image(struct image *image, bool is_closed) {
    static const enum operation first[] = {OP_DELETE, OP_MEMORY, OP_EMBED, OP_FLUSH, OP_PUT};
    static const enum operation second[] = {OP_BATCH, OP_FLUSH,  OP_MEMORY, OP_SWITCH,
                                            OP_EMBED, OP_DELETE, OP_PUT};
    struct model model;
    operation_make_base(&image->disk, &model);
    struct world start = model.snapshots[0].world;
    allow(&start);
    allow(&model.now);
    lore_env env = {env_posix()->allocator, fs_memory_fs(image->disk), env_posix()->sys};
    lore_options options;
    model_options(&options, &env);
    lore_store *store;
    fuzz_must(lore_open(STORE_PATH, &options, &store));
    operate(&store, &env, &model, first, 5, 101);
    fuzz_must(fs_memory_clone(image->disk, &image->older));
    operate(&store, &env, &model, second, 7, 201);
    model_render(&model, image->truth);
    struct fs_memory *left = NULL;
    if (!is_closed) fuzz_must(fs_memory_clone(image->disk, &left));
    fuzz_must(lore_close(store));
    if (!is_closed) {
        fs_memory_destroy(image->disk);
        image->disk = left;
    }
    list_files(image);
}

/* ---- damage ---- */

static void write_file(lore_env *env, const char *path, const uint8_t *data, uint64_t size) {
    struct file *file;
    fuzz_must(fs_open(env, path, FILE_CREATE, false, &file));
    if (size > 0) fuzz_must(file_write(file, 0, data, (size_t)size));
    file_close(file);
}

static void set_back(lore_env *env, struct fs_memory *older, const char *path) {
    uint64_t size = 0;
    const uint8_t *bytes = fs_memory_bytes(older, path, &size);
    lore_status gone = fs_unlink(env, path);
    fuzz_require(gone == LORE_OK || gone == LORE_NOT_FOUND);
    if (bytes != NULL) write_file(env, path, bytes, size);
}

static void swap(lore_env *env, const char *one, const char *other) {
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    if (strcmp(one, other) == 0 ||
        env->fs->ops->stat(env->fs, one, &size, &is_dir, &mode) != LORE_OK ||
        env->fs->ops->stat(env->fs, other, &size, &is_dir, &mode) != LORE_OK)
        return;
    fuzz_must(fs_rename(env, one, STORE_PATH "/swap"));
    fuzz_must(fs_rename(env, other, one));
    fuzz_must(fs_rename(env, STORE_PATH "/swap", other));
}

static void cut(lore_env *env, const char *path, uint64_t size) {
    struct file *file;
    fuzz_must(fs_open(env, path, FILE_WRITE, false, &file));
    fuzz_must(file_truncate(file, size));
    file_close(file);
}

static void damage(struct image *image, struct fs_memory *disk, const uint8_t step[5]) {
    lore_env env = {env_posix()->allocator, fs_memory_fs(disk), env_posix()->sys};
    const char *path = image->files[step[1] % image->files_count];
    const char *other = image->files[step[4] % image->files_count];
    unsigned kind = step[0] % 12;
    uint64_t size = 0, other_size = 0;
    if (kind == 11) {
        set_back(&env, image->older, path);
        return;
    }
    uint8_t *bytes = fs_memory_bytes(disk, path, &size);
    if (bytes == NULL || size == 0) return;
    uint64_t at = get_u16(step + 2) % size, sector = at / SECTOR_BYTES * SECTOR_BYTES;
    uint64_t room = size - sector < SECTOR_BYTES ? size - sector : SECTOR_BYTES;
    if (kind < 6) {
        bytes[kind % 2 == 0 ? at : size - 1 - at] ^= step[4];
    } else if (kind == 6) {
        uint64_t zeros = (uint64_t)step[4] * SECTOR_BYTES;
        memset(bytes + sector, 0, (size_t)(zeros < size - sector ? zeros : size - sector));
    } else if (kind == 7) {
        cut(&env, path, step[4] % 2 == 0 ? at : size - at);
    } else if (kind == 8) {
        fuzz_must(fs_unlink(&env, path));
    } else if (kind == 9) {
        swap(&env, path, other);
    } else {
        const uint8_t *from = fs_memory_bytes(disk, other, &other_size);
        if (from != NULL && other_size >= sector + room)
            memmove(bytes + sector, from + sector, (size_t)room);
    }
}

/* ---- what may be read ---- */

/* Every whole word of `text` was written once; `is_cut`: an error ended it. */
static void check_words(char *text, bool is_cut) {
#ifndef LORE_FUZZ_SKIP_CHECKS
    char *rest = NULL;
    bool ended = !is_cut;
    size_t size = strlen(text);
    char last = size == 0 ? '\0' : text[size - 1];
    for (char *word = strtok_r(text, " \n", &rest); word != NULL;
         word = strtok_r(NULL, " \n", &rest)) {
        bool is_last = rest == NULL || *rest == '\0';
        if (strchr(word, '=') == NULL) continue; /* "now:", "snapshot", its name */
        if (!ended && is_last && last != '\n') continue;
        char wanted[300];
        (void)snprintf(wanted, sizeof wanted, " %.280s ", word);
        fuzz_require(strstr(allowed, wanted) != NULL);
    }
#else
    (void)text, (void)is_cut;
#endif
}

static void refused(lore_status status) {
#ifndef LORE_FUZZ_SKIP_CHECKS
    fuzz_require(status == LORE_CORRUPTION || status == LORE_NO_STORE ||
                 status == LORE_UNSUPPORTED);
#endif
    fuzz_require(status != LORE_OK);
}

/* `truth` NULL: an older state may be taken for the newest one. */
static void read_store(lore_store *store, const char *truth) {
    static char text[MODEL_TEXT_MAX];
    lore_status status = store_render(store, text);
    if (status != LORE_OK) refused(status);
#ifndef LORE_FUZZ_SKIP_CHECKS
    if (status == LORE_OK && truth != NULL) fuzz_require(strcmp(text, truth) == 0);
#else
    (void)truth;
#endif
    check_words(text, status != LORE_OK);
    lore_verify_report report = {0};
    status = lore_verify(store, NULL, NULL, NULL, &report);
    if (status != LORE_OK) refused(status);
}

static void open_store(struct fs_memory *disk, const struct allocator *allocator, bool read_only,
                       const char *truth) {
    lore_env env = {allocator, fs_memory_fs(disk), env_posix()->sys};
    lore_options options;
    model_options(&options, &env);
    options.create_if_missing = false;
    options.read_only = read_only;
    lore_store *store;
    lore_status status = lore_open(STORE_PATH, &options, &store);
    if (status != LORE_OK) {
        refused(status);
        return;
    }
    read_store(store, truth);
    status = lore_close(store);
    if (status != LORE_OK) refused(status);
}

static lore_status note_suspect(void *context, const lore_suspect *suspect) {
    (void)context;
    fuzz_require(suspect->reason != NULL);
    return LORE_OK;
}

static void note_loss(void *context, const lore_loss *loss) {
    fuzz_require(loss->kind != NULL && loss->message != NULL);
    if (!loss->harmless) ++*(uint64_t *)context;
}

/* The words of `truth`'s first line that are in the new store, and no others. */
static void check_new(char *text, const char *truth) {
    check_words(text, false);
#ifndef LORE_FUZZ_SKIP_CHECKS
    if (truth == NULL) return;
    /* `text` is now its words, each with a zero behind it: "now:" and those with a value. */
    char now[MODEL_TEXT_MAX];
    size_t size = strcspn(truth, "\n");
    (void)snprintf(now, sizeof now, "%.*s ", (int)size, truth);
    for (char *word = text + strlen(text) + 1; strchr(word, '=') != NULL;
         word += strlen(word) + 1) {
        char wanted[300];
        int length = snprintf(wanted, sizeof wanted, " %.280s", word);
        char *found = strstr(now, wanted);
        fuzz_require(found != NULL && (found[length] == ' ' || found[length] == '~'));
    }
#else
    (void)truth;
#endif
}

static void salvage(struct fs_memory *disk, const struct allocator *allocator, const char *truth) {
    lore_env env = {allocator, fs_memory_fs(disk), env_posix()->sys};
    lore_options options;
    model_options(&options, &env);
    options.create_if_missing = false;
    lore_salvage_calls calls;
    lore_salvage_calls_init(&calls);
    uint64_t losses = 0;
    calls.loss = note_loss;
    calls.suspect = note_suspect;
    calls.context = &losses;
    lore_salvage_report report;
    lore_status status = lore_salvage(STORE_PATH, NEW_PATH, &options, &calls, &report);
    if (status != LORE_OK) {
        refused(status);
        return;
    }
    fuzz_require(report.losses == losses);
    lore_store *store;
    static char text[MODEL_TEXT_MAX + 2];
    memset(text, 0, sizeof text);
    fuzz_must(lore_open(NEW_PATH, &options, &store));
    fuzz_must(store_render(store, text));
    lore_verify_report verified = {0};
    fuzz_must(lore_verify(store, NULL, NULL, NULL, &verified));
    fuzz_must(lore_close(store));
    check_new(text, truth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (closed.disk == NULL) {
        (void)snprintf(allowed, sizeof allowed, " ");
        make_image(&closed, true);
        make_image(&killed, false);
    }
    if (size == 0) return 0;
    struct image *image = (data[0] & 4) != 0 ? &killed : &closed;
    const char *truth = image == &closed ? image->truth : NULL;
    struct fs_memory *disk, *copy;
    fuzz_must(fs_memory_clone(image->disk, &disk));
    for (size_t at = 1; at + 5 <= size && at < 1 + 5 * DAMAGES_MAX; at += 5) {
        damage(image, disk, data + at);
        if (data[at] % 12 == 11) truth = NULL;
    }
    struct fuzz_fs memory; /* for its allocator */
    fuzz_fs_init(&memory, data, size);
    unsigned way = data[0] % 4;
    if (way == 0 || way == 3) open_store(disk, &memory.allocator, true, truth);
    fuzz_must(fs_memory_clone(disk, &copy));
    if (way == 1 || way == 3) open_store(copy, &memory.allocator, false, truth);
    fs_memory_destroy(copy);
    if (way >= 2) salvage(disk, &memory.allocator, truth);
    fs_memory_destroy(disk);
    return 0;
}

/* Nothing damaged; one damage of each kind. */
bool fuzz_seed(unsigned number, struct bytes *seed) {
    if (number > 12) return false;
    fuzz_must(append_u8(seed, (uint8_t)(number < 2 ? 3 + 4 * number : 3)));
    uint8_t step[5] = {(uint8_t)(number - 1), (uint8_t)(number * 2), (uint8_t)(number * 40), 0, 1};
    if (number > 0) fuzz_must(bytes_append(seed, step, sizeof step));
    return true;
}
