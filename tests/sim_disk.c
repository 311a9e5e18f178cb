/*
 * sim_disk.c - the disk of the simulator: armed faults, crashes, damage at rest. See sim_world.h.
 */
#include "sim_world.h"

/* ---- crashes ---- */

struct fates {
    uint64_t random;
    unsigned mode;
};

static enum crash_fate choose_fate(void *context, size_t index, uint64_t *tear) {
    struct fates *fates = context;
    uint64_t die = sim_random(&fates->random);
    (void)index;
    *tear = sim_random(&fates->random);
    switch (fates->mode) {
    case 0: return CRASH_LOST;
    case 1: return CRASH_KEPT;
    case 2: return die % 2 == 0 ? CRASH_LOST : CRASH_KEPT;
    default:
        return die % 8 < 3   ? CRASH_LOST
               : die % 8 < 6 ? CRASH_KEPT
               : die % 8 < 7 ? CRASH_TORN
                             : CRASH_TORN_SIZED;
    }
}

static void crash(struct sim_world *world) {
    struct fates fates = {world->crash_seed, 0};
    fates.mode = (unsigned)sim_below(&fates.random, 4);
    sim_trace(world, "--- %s: %zu changes pending, mode %u",
              world->crash_is_power_cut ? "power cut" : "kill",
              fs_memory_pending_count(world->disk), fates.mode);
    lore_status status = world->crash_is_power_cut ? fs_memory_crash_clone(world->disk, choose_fate,
                                                                           &fates, &world->after)
                                                   : fs_memory_clone(world->disk, &world->after);
    if (status != LORE_OK)
        sim_violation(world, "the crash itself failed: %s", lore_error_message());
    world->crash_set = false;
    world->dead = true;
    world->crashes++;
}

static void on_change(void *context, uint64_t number) {
    struct sim_world *world = context;
    (void)number;
    if (world->dead || !world->crash_set) return;
    if (world->crash_countdown-- == 0) crash(world);
}

/* ---- armed faults ---- */

static enum fault_outcome fire(struct sim_world *world, struct sim_armed *armed,
                               enum fault_call call, const char *path, uint64_t offset,
                               uint64_t *astray) {
    if (armed->repeats-- <= 1) armed->set = false;
    enum fault_outcome outcome = armed->outcome;
    sim_trace(world, "--- fault: call %#x of %s at %llu %s", (unsigned)call, path,
              (unsigned long long)offset,
              outcome == FAULT_FAILS     ? "fails"
              : outcome == FAULT_IS_LOST ? "is lost"
                                         : "goes astray");
    if (outcome == FAULT_FAILS) {
        world->faulty = true;
        if (call == FAULT_SYNC || call == FAULT_NATIVE) world->pages_dropped = true;
        return outcome;
    }
    world->damaged = world->grossly_damaged = true;
    uint64_t sectors = offset / 512 + 16;
    *astray = sim_below(&world->yield_state, sectors) * 512;
    return outcome;
}

static enum fault_outcome on_call(void *context, enum fault_call call, const char *path,
                                  uint64_t offset, size_t size, uint64_t *astray) {
    struct sim_world *world = context;
    (void)size;
    if (world->dead) return FAULT_FAILS;
    if (world->recovering) return FAULT_PASSES;
    if (sim_below(&world->yield_state, 4) == 0) sched_sim_yield(world->sched);
    if (world->dead) return FAULT_FAILS;
    for (size_t i = 0; i < SIM_ARMED; i++) {
        struct sim_armed *armed = &world->armed[i];
        if (!armed->set || (armed->calls & (enum fault_call)call) == 0) continue;
        if (armed->countdown > 0) {
            armed->countdown--;
            continue;
        }
        return fire(world, armed, call, path, offset, astray);
    }
    return FAULT_PASSES;
}

void disk_arm(struct sim_world *world, enum fault_call calls, enum fault_outcome outcome,
              uint64_t countdown, uint32_t repeats) {
    for (size_t i = 0; i < SIM_ARMED; i++) {
        if (world->armed[i].set) continue;
        world->armed[i] = (struct sim_armed){calls, countdown, outcome, repeats, true};
        return;
    }
}

void disk_attach(struct sim_world *world) {
    if (fs_fault_create(env_posix()->allocator, fs_memory_fs(world->disk), &world->fault) !=
        LORE_OK)
        abort();
    fs_fault_set_memory(world->fault, world->disk);
    fs_fault_on_call(world->fault, on_call, world);
    fs_fault_on_change(world->fault, on_change, world);
    world->env.fs = fs_fault_fs(world->fault);
    world->pages_dropped = false;
    fs_memory_set_capacity(world->disk, world->capacity_bytes);
}

void disk_detach(struct sim_world *world) {
    fs_fault_destroy(world->fault);
    world->fault = NULL;
    fs_memory_destroy(world->disk);
    world->disk = NULL;
}

void disk_set_free(struct sim_world *world, uint64_t free_bytes) {
    struct fs *fs = fs_memory_fs(world->disk);
    uint64_t left = 0;
    fs_memory_set_capacity(world->disk, SIM_CAPACITY);
    if (fs->ops->space(fs, SIM_STORE, &left) != LORE_OK) left = SIM_CAPACITY;
    world->is_full = free_bytes < SIM_CAPACITY;
    if (world->is_full) world->was_full = true;
    world->capacity_bytes =
        free_bytes >= SIM_CAPACITY ? SIM_CAPACITY : SIM_CAPACITY - left + free_bytes;
    fs_memory_set_capacity(world->disk, world->capacity_bytes);
}

/* ---- damage at rest ---- */

#define PATHS_MAX 400
struct paths {
    char list[PATHS_MAX][160];
    size_t count;
};

struct walk {
    struct fs *fs;
    const char *folder;
    struct paths *paths;
};

static lore_status note_path(void *context, const struct dir_entry *entry) {
    struct walk *walk = context;
    char path[160];
    snprintf(path, sizeof path, "%s/%s", walk->folder, entry->name);
    if (entry->is_dir) {
        struct walk inner = {walk->fs, path, walk->paths};
        return walk->fs->ops->list(walk->fs, path, note_path, &inner);
    }
    if (strcmp(entry->name, "LOCK") == 0 || walk->paths->count == PATHS_MAX) return LORE_OK;
    memcpy(walk->paths->list[walk->paths->count++], path, sizeof path);
    return LORE_OK;
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(a, b);
}

static uint8_t *pick(struct sim_world *world, struct paths *paths, uint64_t *random,
                     const char **path, uint64_t *size) {
    if (paths->count == 0) return NULL;
    *path = paths->list[sim_below(random, paths->count)];
    if (sim_below(random, 3) == 0) /* files of the log are few */
        for (size_t i = 0; i < paths->count; i++)
            if (strstr(paths->list[i], "/log-") != NULL) *path = paths->list[i];
    return fs_memory_bytes(world->disk, *path, size);
}

/* Exchange or copy a block; true if that changed anything. */
static bool move_block(uint8_t *to, uint64_t to_size, uint8_t *from, uint64_t from_size,
                       uint64_t to_at, uint64_t from_at, size_t block, bool exchange) {
    if (to_at + block > to_size || from_at + block > from_size) return false;
    if (memcmp(to + to_at, from + from_at, block) == 0) return false;
    uint8_t kept[4096];
    memcpy(kept, to + to_at, block);
    memcpy(to + to_at, from + from_at, block);
    if (exchange) memcpy(from + from_at, kept, block);
    return true;
}

static bool damage(struct sim_world *world, enum sim_kind kind, struct paths *paths,
                   uint64_t *random, const char **path, uint64_t *at) {
    uint64_t size, other_size;
    uint8_t *bytes = pick(world, paths, random, path, &size);
    if (bytes == NULL || size == 0) return false;
    size_t block = sim_below(random, 2) == 0 ? 512 : 4096;
    uint64_t blocks = (size + block - 1) / block;
    *at = sim_below(random, blocks) * block;
    if (kind == SIM_FLIP) { /* not in the zeros written ahead, where it would mostly fall */
        uint64_t flips = sim_below(random, 3) == 0 ? 1 + sim_below(random, 3) : 1;
        world->bits_flipped += (unsigned)flips;
        for (uint64_t i = 0; i < flips; i++) {
            *at = sim_below(random, size);
            for (uint64_t n = 0; n < size && bytes[*at] == 0; n++)
                *at = *at + 1 < size ? *at + 1 : 0;
            bytes[*at] ^= (uint8_t)(1u << sim_below(random, 8));
        }
        return true;
    }
    if (kind == SIM_STALE) {
        uint8_t *old =
            world->old_disk == NULL ? NULL : fs_memory_bytes(world->old_disk, *path, &other_size);
        return old != NULL && move_block(bytes, size, old, other_size, *at, *at, block, false);
    }
    const char *other_path = *path;
    uint8_t *other = bytes;
    other_size = size;
    if (sim_below(random, 2) == 0) other = pick(world, paths, random, &other_path, &other_size);
    if (other == NULL || other_size == 0) return false;
    uint64_t other_at = sim_below(random, (other_size + block - 1) / block) * block;
    return move_block(bytes, size, other, other_size, *at, other_at, block, true);
}

void disk_damage(struct sim_world *world, enum sim_kind kind, uint64_t seed) {
    static struct paths paths;
    paths.count = 0;
    struct walk walk = {fs_memory_fs(world->disk), SIM_STORE, &paths};
    if (walk.fs->ops->list(walk.fs, SIM_STORE, note_path, &walk) != LORE_OK) return;
    qsort(paths.list, paths.count, sizeof paths.list[0], compare_paths);
    uint64_t random = seed, at = 0;
    const char *path = "";
    for (int i = 0; i < 5; i++) {
        if (!damage(world, kind, &paths, &random, &path, &at)) continue;
        sim_trace(world, "--- %s: %s at %llu", sim_kind_names[kind], path, (unsigned long long)at);
        world->damaged = true;
        if (kind != SIM_FLIP) world->grossly_damaged = true;
        return;
    }
}

void disk_remember(struct sim_world *world) {
    fs_memory_destroy(world->old_disk);
    world->old_disk = NULL;
    if (fs_memory_clone(world->disk, &world->old_disk) != LORE_OK) abort();
}
