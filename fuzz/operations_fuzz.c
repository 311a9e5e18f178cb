/*
 * operations_fuzz.c - bytes as the life of a store: operations, openings, failing calls, memory
 * that runs out, a full disk, kills and power cuts. A model says what the store may hold: all that
 * was acknowledged, and of what failed, each operation whole or not at all.
 *
 *   input   steps of 2 bytes: u8 what, u8 how; at most STEPS_MAX
 *   what    modulo 24. Below OPERATIONS: that operation. Then: 14..17 a call of a kind fails, 18 an
 *           allocation fails, 19 the disk is full, 20 nothing fails any more, 21 a kill, 22 a power
 * cut that loses all that was not synced, 23 one that keeps and tears some of it
 */
#include "operations.h"

#include <stdio.h>

#include "fuzz.h"
#include "vfs/fs_fault.h"

#define STEPS_MAX    48u
#define POSSIBLE_MAX 128

struct life {
    struct fs_memory *disk;
    struct fs_fault *fault;
    struct fault_allocator allocator;
    lore_env env;
    lore_store *store;
    struct model possible[POSSIBLE_MAX]; /* what it may hold; the first is the acknowledged one */
    int possible_count;
    bool too_many; /* possible states: nothing is checked any more */
    bool failing;  /* a fault is set */
    int number;    /* of the next value */
    uint64_t tear;
};

static struct fs_memory *base;
static struct model base_model;

static void join(struct life *life, struct fs_memory *disk) {
    life->disk = disk;
    fuzz_must(fs_fault_create(env_posix()->allocator, fs_memory_fs(disk), &life->fault));
    fs_fault_set_memory(life->fault, disk);
    life->env = (lore_env){&life->allocator.base, fs_fault_fs(life->fault), env_posix()->sys};
    life->failing = false;
}

static void heal(struct life *life) {
    fs_fault_set_plan(life->fault, NULL);
    atomic_store(&life->allocator.fail_at, UINT64_MAX);
    fs_memory_set_capacity(life->disk, 0);
    life->failing = false;
}

/* ---- the model ---- */

static bool is_same(const struct model *a, const struct model *b) {
    static char first[MODEL_TEXT_MAX], second[MODEL_TEXT_MAX];
    if (memcmp(&a->now, &b->now, sizeof a->now) != 0) return false;
    model_render(a, first);
    model_render(b, second);
    return strcmp(first, second) == 0;
}

static void add_possible(struct life *life, const struct model *model) {
    for (int i = 0; i < life->possible_count; i++)
        if (is_same(&life->possible[i], model)) return;
    if (life->possible_count == POSSIBLE_MAX)
        life->too_many = true;
    else
        life->possible[life->possible_count++] = *model;
}

static void run_operation(struct life *life, enum operation operation, int number) {
    static struct model before[POSSIBLE_MAX];
    int count = life->possible_count;
    memcpy(before, life->possible, (size_t)count * sizeof before[0]);
    life->possible_count = 0;
    lore_status status = LORE_OK;
    for (int i = 0; i < count; i++) {
        struct model model = before[i];
        lore_store *none = NULL;
        lore_status said =
            operation_run(operation, &life->env, i == 0 ? &life->store : &none, &model, number);
        if (i == 0) status = said;
        add_possible(life, &model);
        if (status != LORE_OK) add_possible(life, &before[i]);
    }
    /* Without a fault nothing fails, but for a handle that one has poisoned, and names that may be
     * gone. */
    fuzz_require(status != LORE_CORRUPTION && status != LORE_INVALID && status != LORE_NO_STORE);
}

static bool has_room_for_snapshot(const struct life *life) {
    for (int i = 0; i < life->possible_count; i++) {
        int used = 0;
        for (int n = 0; n < MODEL_SNAPSHOTS; n++)
            used += life->possible[i].snapshots[n].name[0] != '\0';
        if (used == MODEL_SNAPSHOTS) return false;
    }
    return true;
}

static const char *first_snapshot(const struct model *model) {
    for (int n = 0; n < MODEL_SNAPSHOTS; n++)
        if (model->snapshots[n].name[0] != '\0') return model->snapshots[n].name;
    return "";
}

/* OP_DROP drops the first one of the model, which must be the same in all. */
static bool agrees_on_snapshot(const struct life *life) {
    for (int i = 1; i < life->possible_count; i++)
        if (strcmp(first_snapshot(&life->possible[0]), first_snapshot(&life->possible[i])) != 0)
            return false;
    return true;
}

static void check_content(struct life *life) {
    static char text[MODEL_TEXT_MAX], wanted[MODEL_TEXT_MAX];
    fuzz_must(store_render(life->store, text));
    for (int i = 0; i < life->possible_count; i++) {
        model_render(&life->possible[i], wanted);
        if (strcmp(text, wanted) == 0) return;
    }
    if (life->too_many) return;
    (void)fprintf(stderr, "found    %s", text);
    for (int i = 0; i < life->possible_count; i++) {
        model_render(&life->possible[i], wanted);
        (void)fprintf(stderr, "possible %s", wanted);
    }
    abort();
}

/* ---- what happens ---- */

static void open_again(struct life *life) {
    lore_options options;
    model_options(&options, &life->env);
    fuzz_must(lore_open(STORE_PATH, &options, &life->store));
    check_content(life);
}

static void close_store(struct life *life) {
    if (life->store == NULL) return;
    lore_status ignored = lore_close(life->store);
    (void)ignored;
    life->store = NULL;
}

static void set_fault(struct life *life, unsigned what, unsigned how) {
    static const uint32_t calls[] = {FAULT_WRITE | FAULT_NATIVE, FAULT_SYNC | FAULT_SYNC_DIR,
                                     FAULT_READ, FAULT_ALL & ~FAULT_READ};
    struct fault_plan plan = {.calls = calls[what % 4],
                              .at = how / 4,
                              .for_ever = (how & 1) != 0,
                              .status = (how & 2) != 0 && what % 4 == 0 ? LORE_FULL : LORE_IO};
    fs_fault_set_plan(life->fault, &plan);
    life->failing = true;
}

static enum crash_fate choose(void *context, size_t index, uint64_t *tear) {
    struct life *life = context;
    if (life->tear == 0) return CRASH_LOST;
    *tear = operation_random(&life->tear) ^ index;
    return (enum crash_fate)(operation_random(&life->tear) % 4);
}

/* The machine, or the process, dies as things are; then the store is opened on what is left. */
static void crash(struct life *life, bool power, uint64_t tear) {
    struct fs_memory *left;
    heal(life);
    life->tear = tear;
    if (power)
        fuzz_must(fs_memory_crash_clone(life->disk, choose, life, &left));
    else
        fuzz_must(fs_memory_clone(life->disk, &left));
    close_store(life);
    fs_fault_destroy(life->fault);
    fs_memory_destroy(life->disk);
    join(life, left);
    open_again(life);
}

static void take_step(struct life *life, unsigned what, unsigned how) {
    if (what < OPERATIONS) {
        if (what == OP_SAVE && !has_room_for_snapshot(life)) return;
        if (what == OP_DROP && !agrees_on_snapshot(life)) return;
        life->number += 2;
        run_operation(life, (enum operation)what, life->number + (int)(how & 1));
        if (life->store == NULL) {
            heal(life);
            open_again(life);
        }
        return;
    }
    switch (what) {
    case 18:
        atomic_store(&life->allocator.fail_at, atomic_load(&life->allocator.calls) + how);
        atomic_store(&life->allocator.for_ever, (how & 1) != 0);
        life->failing = true;
        break;
    case 19:
        fs_memory_set_capacity(life->disk, 1024u * (1 + how));
        life->failing = true;
        break;
    case 20:
        heal(life);
        check_content(life);
        break;
    case 21: crash(life, false, 0); break;
    case 22: crash(life, true, 0); break;
    case 23: crash(life, true, how + 1); break;
    default: set_fault(life, what - OPERATIONS, how); break;
    }
}

/* Whatever happened: the store opens whole, checks, and takes a write. */
static void end_well(struct life *life) {
    heal(life);
    close_store(life);
    fuzz_require(atomic_load(&life->allocator.outstanding_bytes) == 0);
    open_again(life);
    lore_verify_report report = {0};
    fuzz_must(lore_verify(life->store, NULL, NULL, NULL, &report));
    char key[16];
    fuzz_must(lore_put(life->store, 1, key_text(0, key), lore_slice_of("last")));
    fuzz_must(lore_close(life->store));
    fuzz_require(atomic_load(&life->allocator.outstanding_bytes) == 0);
    fs_fault_destroy(life->fault);
    fs_memory_destroy(life->disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct life life;
    if (base == NULL) operation_make_base(&base, &base_model);
    memset(&life, 0, sizeof life);
    fault_allocator_init(&life.allocator, env_posix()->allocator);
    life.possible[0] = base_model;
    life.possible_count = 1;
    life.number = 100;
    struct fs_memory *disk;
    fuzz_must(fs_memory_clone(base, &disk));
    join(&life, disk);
    open_again(&life);
    for (size_t at = 0; at + 2 <= size && at < 2 * STEPS_MAX && !life.too_many; at += 2) {
        take_step(&life, data[at] % 24, data[at + 1]);
        if (!life.failing && life.store != NULL) check_content(&life);
    }
    end_well(&life);
    return 0;
}

/* Every operation once; the same with crashes between; and with faults. */
bool fuzz_seed(unsigned number, struct bytes *seed) {
    if (number >= 4) return false;
    for (uint8_t i = 0; i < OPERATIONS; i++) {
        uint8_t steps[] = {
            i, i, (uint8_t)(21 + i % 3), i, (uint8_t)(14 + i % 6), (uint8_t)(3 * i), i, i, 20, 0};
        static const size_t used[] = {2, 4, 0, 0};
        size_t bytes = used[number];
        if (number == 2) fuzz_must(bytes_append(seed, steps + 4, 6));
        if (number == 3 && i % 2 != 0) fuzz_must(bytes_append(seed, steps + 2, 8));
        if (bytes > 0) fuzz_must(bytes_append(seed, steps, bytes));
    }
    return true;
}
