/*
 * sim_world.c - clients, opening, closing, crashing, recovering, restoring. See sim_world.h.
 *
 * A crash takes a copy of the disk and lets the world that it happened in run to its end: every
 * call to the disk fails from then on, nothing that is answered counts, and the handle is closed.
 * So the engine's threads need not be killed, and its failure paths are walked each time.
 */
#include "sim_world.h"

#include <stdarg.h>
#include <unistd.h>

#define OPENINGS_MAX 12
#define ROOM_TRIES   60
#define START_US     (INT64_C(1700000000) * 1000000)

/* ---- saying what happened ---- */

void sim_trace(struct sim_world *world, const char *format, ...) {
    if (!world->tracing) return;
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

void sim_violation(struct sim_world *world, const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("VIOLATION: seed %llu, operation %zu: %s\n", (unsigned long long)world->plan->seed,
           world->current, text);
    fflush(NULL);
    world->on_violation(text);
    abort();
}

void sim_mix(struct sim_world *world, uint64_t number) {
    uint64_t state = world->digest ^ number;
    world->digest = sim_random(&state);
}

/* ---- what may be answered ---- */

bool sim_is_poisoned(struct sim_world *world) {
    lore_stats stats = {.struct_size = sizeof stats};
    return lore_stats_get(world->store, &stats) == LORE_OK && stats.poisoned != LORE_OK;
}

static bool memory_has_failed(struct sim_world *world) {
    uint64_t at = atomic_load(&world->allocator.fail_at);
    if (at != UINT64_MAX && atomic_load(&world->allocator.calls) > at) world->memory_failed = true;
    return world->memory_failed;
}

static bool may_fail(struct sim_world *world, lore_status status, bool writes) {
    switch (status) {
    case LORE_IO: return world->faulty || world->damaged;
    case LORE_NO_MEMORY: return memory_has_failed(world);
    case LORE_FULL: return writes && world->was_full;
    case LORE_CORRUPTION: return world->damaged;
    default: return false;
    }
}

static void check_failure(struct sim_world *world, lore_status status, bool writes,
                          const char *what) {
    sim_trace(world, "  %s: %s: %s", what, lore_status_name(status), lore_error_message());
    if (world->dead) return;
    world->errors++;
    /* What verify cannot read it calls hurt, and says why. */
    bool unread = status == LORE_CORRUPTION && world->faulty && strstr(what, "verify") != NULL;
    if (!unread && !may_fail(world, status, writes))
        sim_violation(world, "%s: %s: %s", what, lore_status_name(status), lore_error_message());
    if (status == LORE_CORRUPTION && strchr(lore_error_message(), '/') == NULL &&
        strstr(what, "verify") == NULL)
        sim_violation(world, "%s: %s names no file: %s", what, lore_status_name(status),
                      lore_error_message());
}

bool sim_read_failed(struct sim_world *world, lore_status status, const char *what) {
    sim_mix(world, status);
    if (status == LORE_OK) return false;
    check_failure(world, status, false, what);
    return true;
}

void sim_check_status(struct sim_world *world, lore_status status, const char *what) {
    sim_mix(world, status);
    if (status != LORE_OK) check_failure(world, status, true, what);
}

void world_written(struct sim_client *client, lore_status status, bool poisoned_before,
                   const char *what) {
    struct sim_world *world = client->world;
    sim_mix(world, status);
    if (status != LORE_OK) sim_trace(world, "  %s: %s", what, lore_status_name(status));
    if (world->dead) return;
    if (status == LORE_OK) {
        if (poisoned_before) sim_violation(world, "%s: LORE_OK on a poisoned handle", what);
        model_acknowledged(&world->model, client->number);
        struct sim_client_model *of = &world->model.clients[client->number];
        if (world->options.durability == LORE_SYNC_FULL) of->durable = of->count;
        return;
    }
    bool answer = status == LORE_CONFLICT || status == LORE_EXISTS || status == LORE_NOT_FOUND;
    if (!answer) check_failure(world, status, true, what);
    if (answer || poisoned_before || !sim_is_poisoned(world))
        model_refused(&world->model, client->number);
}

void world_note_sync(struct sim_world *world, const struct sim_reading *before,
                     const uint32_t counters[SIM_COUNTERS]) {
    for (unsigned c = 0; c < SIM_CLIENTS; c++) {
        struct sim_client_model *of = &world->model.clients[c];
        size_t synced = before->from[c] < of->count ? before->from[c] : of->count;
        if (of->durable < synced) of->durable = synced;
    }
    for (unsigned i = 0; i < SIM_COUNTERS; i++)
        if (world->model.durable_counter[i] < counters[i])
            world->model.durable_counter[i] = counters[i];
}

static void note_all_synced(struct sim_world *world) {
    struct sim_reading reading;
    model_read_begin(&world->model, &reading);
    world_note_sync(world, &reading, world->model.acknowledged);
}

/* ---- faults ---- */

/* There is room again: writes must go through by themselves before long. */
static void give_room(struct sim_client *client) {
    struct sim_world *world = client->world;
    bool more;
    if (!world->is_full) return;
    disk_set_free(world, UINT64_MAX);
    for (int i = 0; i < ROOM_TRIES && !world->dead; i++) {
        lore_status status =
            lore_put(world->store, 9, lore_slice_of("room"), lore_slice_of("room"));
        sim_trace(world, "  put after there is room: %s", lore_status_name(status));
        if (status == LORE_OK || world->dead || world->is_full) return;
        sim_check_status(world, status, "put after there is room");
        if (sim_is_poisoned(world)) return;
        if (world->options.background == LORE_BACKGROUND_STEPS)
            sim_check_status(world, lore_step(world->store, 1u << 20, &more), "step");
        sched_sim_sys(world->sched)->ops->sleep_us(sched_sim_sys(world->sched), 1000000);
    }
    if (!world->dead && !world->is_full && !world->damaged)
        sim_violation(world, "there is room, and writes do not resume: %s", lore_error_message());
}

static void set_crash(struct sim_world *world, bool power_cut, uint64_t *random) {
    if (world->crash_set) return;
    world->crash_set = true;
    world->crash_is_power_cut = power_cut;
    world->crash_countdown = sim_below(random, UINT64_C(1) << sim_below(random, 8));
    world->crash_seed = sim_random(random);
}

static void fault_operation(struct sim_client *client, enum sim_kind kind, uint64_t *random) {
    struct sim_world *world = client->world;
    uint64_t countdown = sim_below(random, UINT64_C(1) << sim_below(random, 7));
    uint32_t repeats = sim_below(random, 3) == 0 ? 5 : 1;
    switch (kind) {
    case SIM_KILL: set_crash(world, false, random); return;
    case SIM_POWER_CUT: set_crash(world, true, random); return;
    case SIM_READ_EIO: disk_arm(world, FAULT_READ, FAULT_FAILS, countdown, repeats); return;
    case SIM_WRITE_EIO: disk_arm(world, FAULT_WRITE, FAULT_FAILS, countdown, repeats); return;
    case SIM_SYNC_EIO:
        disk_arm(world, (enum fault_call)(FAULT_SYNC | FAULT_SYNC_DIR), FAULT_FAILS, countdown, 1);
        return;
    case SIM_OTHER_EIO:
        disk_arm(world, (enum fault_call)(FAULT_ALL & ~(FAULT_READ | FAULT_WRITE | FAULT_SYNC)),
                 FAULT_FAILS, countdown, repeats);
        return;
    case SIM_LOST_WRITE:
        disk_arm(world, (enum fault_call)(FAULT_WRITE | FAULT_NATIVE), FAULT_IS_LOST, countdown, 1);
        return;
    case SIM_ASTRAY_WRITE: disk_arm(world, FAULT_WRITE, FAULT_GOES_ASTRAY, countdown, 1); return;
    case SIM_FULL: disk_set_free(world, sim_below(random, 4) * sim_below(random, 60000)); return;
    case SIM_ROOM: give_room(client); return;
    case SIM_CLOCK: {
        int64_t by = (int64_t)sim_below(random, UINT64_C(1) << sim_below(random, 38));
        sched_sim_jump_clock(world->sched, sim_below(random, 2) == 0 ? by : -by);
        return;
    }
    case SIM_NO_MEMORY:
        (void)memory_has_failed(world);
        atomic_store(&world->allocator.fail_at,
                     atomic_load(&world->allocator.calls) + sim_below(random, 200));
        return;
    default: disk_damage(world, kind, sim_random(random)); return;
    }
}

/* ---- clients ---- */

static void client_operation(struct sim_client *client, size_t index) {
    struct sim_world *world = client->world;
    const struct sim_operation *operation = &world->plan->operations[index];
    uint64_t random = operation->seed;
    world->current = index;
    sim_mix(world, index);
    sim_trace(world, "%zu: c%u %s", index, client->number, sim_kind_names[operation->kind]);
    if (sim_below(&world->yield_state, 30) == 0) disk_remember(world);
    if (operation->kind >= SIM_KILL)
        fault_operation(client, (enum sim_kind)operation->kind, &random);
    else if (operation->kind == SIM_SLEEP)
        sched_sim_sys(world->sched)
            ->ops->sleep_us(sched_sim_sys(world->sched), sim_below(&random, 3000000));
    else if (operation->kind >= SIM_MEMORY_PUT && operation->kind <= SIM_CHAT)
        memories_operation(client, operation, &random);
    else
        raw_operation(client, operation, &random);
    world->done++;
}

static void client_main(void *context) {
    struct sim_client *client = context;
    struct sim_world *world = client->world;
    for (; client->next < client->end && !world->dead; client->next++) {
        const struct sim_operation *operation = &world->plan->operations[client->next];
        if (operation->left_out || operation->client != client->number) continue;
        client_operation(client, client->next);
        sched_sim_yield(world->sched);
    }
    for (unsigned i = 0; i < SIM_OPEN_SNAPSHOTS; i++) {
        lore_snapshot_release(client->snapshots[i]);
        client->snapshots[i] = NULL;
    }
}

static void run_clients(struct sim_world *world, size_t from, size_t to) {
    struct sys *sys = sched_sim_sys(world->sched);
    for (unsigned c = 0; c < world->plan->clients; c++) {
        struct sim_client *client = &world->clients[c];
        client->next = from;
        client->end = to;
        if (sys->ops->thread_start(sys, client_main, client, &client->thread) != LORE_OK) abort();
    }
    for (unsigned c = 0; c < world->plan->clients; c++)
        sys->ops->thread_join(sys, world->clients[c].thread);
}

/* ---- opening and closing ---- */

static void check_leaks(struct sim_world *world, const char *when) {
    int64_t left = atomic_load(&world->allocator.outstanding_bytes);
    if (left != 0) sim_violation(world, "%lld bytes are not freed after %s", (long long)left, when);
}

static void forget_counts(struct sim_world *world) {
    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        for (unsigned i = 0; i < SIM_MEMORIES; i++) {
            world->clients[c].counts_low[i] = 0;
            world->clients[c].counts_high[i] = 1000000;
        }
}

/* What an end that was not a clean close may lose. Under LORE_SYNC_FULL each group is followed by a
 * promise, so one flipped bit cannot hide more than the last group, and that only if its promise
 * was lost too. */
static enum sim_loss loss_by(const struct sim_world *world, bool power_cut) {
    bool unsynced = power_cut || world->pages_dropped;
    bool promised = world->options.durability == LORE_SYNC_FULL && !world->faulty &&
                    !world->was_full && !world->memory_failed;
    if (!world->damaged) return unsynced ? SIM_LOSS_UNSYNCED : SIM_LOSS_NONE;
    if (world->grossly_damaged || world->bits_flipped > 1 || !promised) return SIM_LOSS_ANY;
    return unsynced ? SIM_LOSS_LAST : SIM_LOSS_NONE;
}

/* Whatever the answer, the handle is gone. */
static void close_store(struct sim_world *world) {
    if (world->store == NULL) return;
    lore_status status = lore_close(world->store);
    world->store = NULL;
    sim_trace(world, "close: %s", lore_status_name(status));
    if (status == LORE_MISUSE) sim_violation(world, "close: %s", lore_error_message());
    sim_check_status(world, status, "close");
    check_leaks(world, "closing");
    if (world->dead) return;
    if (status == LORE_OK) {
        note_all_synced(world);
        return;
    }
    forget_counts(world); /* those that were not written yet */
    enum sim_loss loss = loss_by(world, false);
    if (loss > world->loss) world->loss = loss;
}

/* The machine is there again, with the disk that the crash left. */
static void take_disk(struct sim_world *world) {
    enum sim_loss loss = loss_by(world, world->crash_is_power_cut);
    if (loss > world->loss) world->loss = loss;
    disk_detach(world);
    world->disk = world->after;
    world->after = NULL;
    world->dead = false;
    disk_attach(world);
}

static lore_status open_once(struct sim_world *world) {
    sim_plan_options(world->plan->seed + world->openings * 7919, &world->options);
    world->options.env = &world->env;
    world->openings++;
    world->faulty = false;
    world->pages_dropped = false;
    world->was_full = world->is_full;
    lore_status status = lore_open(SIM_STORE, &world->options, &world->store);
    sim_trace(world, "open (%s, %s): %s %s",
              world->options.durability == LORE_SYNC_FULL       ? "full"
              : world->options.durability == LORE_SYNC_INTERVAL ? "interval"
                                                                : "none",
              world->options.background == LORE_BACKGROUND_STEPS ? "steps" : "thread",
              lore_status_name(status), status == LORE_OK ? "" : lore_error_message());
    sim_mix(world, status);
    if (status != LORE_OK) check_leaks(world, "an opening that failed");
    return status;
}

static lore_status create_space(struct sim_world *world) {
    lore_space_spec spec = {SIM_DIMENSIONS, LORE_ELEMENT_F32, LORE_METRIC_L2, {NULL, 0}};
    return lore_space_create(world->store, SIM_SPACE, &spec);
}

/* No faults from here on. */
static void calm(struct sim_world *world) {
    memset(world->armed, 0, sizeof world->armed);
    world->crash_set = false;
    atomic_store(&world->allocator.fail_at, UINT64_MAX);
    disk_set_free(world, UINT64_MAX);
}

/* ---- what is there after an opening ---- */

struct names {
    bool seen[SIM_NAMED];
    struct sim_world *world;
};

static bool note_name(void *context, const lore_snapshot_info *info) {
    struct names *names = context;
    char name[16];
    for (unsigned i = 0; i < SIM_NAMED; i++) {
        named_name(i, name);
        if (info->name.size == strlen(name) && memcmp(info->name.data, name, info->name.size) == 0)
            names->seen[i] = true;
    }
    return true;
}

static void check_names(struct sim_world *world) {
    struct names names = {{false}, world};
    lore_status status = lore_snapshot_list(world->store, note_name, &names);
    if (sim_read_failed(world, status, "snapshot list")) return;
    for (unsigned i = 0; i < SIM_NAMED; i++) {
        struct sim_named *named = &world->named[i];
        if (names.seen[i] && !named->may_exist)
            sim_violation(world, "a snapshot that was dropped or never saved is there: named-%u",
                          i);
        if (!names.seen[i] && named->must_exist)
            sim_violation(world, "a named snapshot is gone: named-%u", i);
        named->may_exist = named->must_exist = names.seen[i];
    }
}

static void check_counters(struct sim_world *world) {
    struct sim_model *model = &world->model;
    for (unsigned i = 0; i < SIM_COUNTERS; i++) {
        uint32_t durable = model->durable_counter[i];
        uint32_t value, low = world->loss == SIM_LOSS_NONE       ? model->acknowledged[i]
                              : world->loss == SIM_LOSS_UNSYNCED ? durable
                              : world->loss == SIM_LOSS_ANY || durable < SIM_CLIENTS
                                  ? 0
                                  : durable - SIM_CLIENTS;
        uint64_t sequence;
        lore_status status = counter_read(world, world->store, i, &value, &sequence);
        if (sim_read_failed(world, status, "counter")) continue;
        if (value < low || value > model->acknowledged[i] + model->unknown[i])
            sim_violation(world, "counter %u is %u after opening; %u to %u + %u is possible", i,
                          value, low, model->acknowledged[i], model->unknown[i]);
        model->acknowledged[i] = value;
        model->unknown[i] = 0;
        if (model->durable_counter[i] > value) model->durable_counter[i] = value;
    }
}

static void after_restore(struct sim_world *world, const size_t chosen[SIM_CLIENTS]) {
    struct sim_model *model = &world->model;
    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        model_reset(model, c, world->backup_view.clients[c].list[chosen[c]].slots);
    for (unsigned i = 0; i < SIM_COUNTERS; i++) {
        model->acknowledged[i] = world->backup_counters_low[i];
        model->durable_counter[i] = world->backup_counters_low[i];
        model->unknown[i] = world->backup_counters_high[i] - world->backup_counters_low[i];
    }
    for (unsigned i = 0; i < SIM_NAMED; i++) {
        world->named[i] = world->backup_named[i];
        char name[16];
        lore_status status = LORE_OK;
        named_name(i, name);
        if (!world->named[i].must_exist) {
            status = lore_snapshot_drop(world->store, name);
            world->named[i].may_exist = false;
            if (status == LORE_NOT_FOUND) status = LORE_OK;
        }
        sim_check_status(world, status, "drop after restoring");
    }
    world->loss = SIM_LOSS_NONE;
    sim_trace(world, "  the store is the backup");
}

static bool is_backup(struct sim_world *world, const struct sim_content *content) {
    size_t chosen[SIM_CLIENTS];
    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        if (world->backup_view.clients[c].count == 0) return false;
    if (!model_view_matches(&world->model, &world->backup_view, content, (1u << SIM_CLIENTS) - 1,
                            chosen))
        return false;
    after_restore(world, chosen);
    return true;
}

static void report_loss(struct sim_world *world, unsigned culprit,
                        const struct sim_content *content, const size_t floor[SIM_CLIENTS]) {
    if (culprit == SIM_CLIENTS)
        sim_violation(world, "after opening, what is there is no prefix of what was written");
    const struct sim_client_model *of = &world->model.clients[culprit];
    for (unsigned slot = 0; slot < SIM_SLOTS; slot++)
        if (of->now[slot] != content->slots[culprit][slot])
            printf("  c%u slot %u: found version %u, expected %u\n", culprit, slot,
                   content->slots[culprit][slot], of->now[slot]);
    sim_violation(world,
                  "after opening, client %u's slots equal no state from operation %zu of %zu on",
                  culprit, floor[culprit], of->count);
}

/* False: nobody can say what is there, so the run ends. */
static bool check_opened(struct sim_world *world) {
    struct sim_model *model = &world->model;
    struct sim_content content;
    size_t floor[SIM_CLIENTS];
    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        floor[c] = world->loss == SIM_LOSS_NONE       ? model_acknowledged_count(model, c)
                   : world->loss == SIM_LOSS_UNSYNCED ? model->clients[c].durable
                   : world->loss == SIM_LOSS_ANY || model->clients[c].durable == 0
                       ? 0
                       : model->clients[c].durable - 1;
    lore_status status = world_read(world, world->store, NULL, false, &content);
    if (sim_read_failed(world, status, "reading all after opening")) {
        if (world->dead) return true;
        struct sim_reading reading;
        bool known = world->loss == SIM_LOSS_NONE && !world->maybe_restored;
        for (unsigned c = 0; c < SIM_CLIENTS; c++) {
            reading.from[c] = floor[c];
            known = known && !model_last_is_unknown(model, c);
        }
        if (!world->maybe_restored) {
            raw_probe(world, &reading);
            memories_probe(world, &reading);
        }
        return known;
    }
    unsigned culprit;
    if (world->dead) return true;
    if (!model_survived(model, floor, &content, &culprit)) {
        if (!world->maybe_restored || !is_backup(world, &content))
            report_loss(world, culprit, &content, floor);
        forget_counts(world);
    }
    check_counters(world);
    check_names(world);
    if (world->dead) return true;
    world->maybe_restored = false;
    world->loss = SIM_LOSS_NONE;
    return true;
}

/* Open, through crashes and failures, and look at what is there. False: the store refuses for good,
 * as it may when it is damaged. */
static bool recover(struct sim_world *world) {
    for (int tries = 0;; tries++) {
        if (world->dead) {
            close_store(world);
            take_disk(world);
            forget_counts(world);
        }
        if (tries >= OPENINGS_MAX) calm(world);
        lore_status status = open_once(world);
        if (world->dead) continue;
        if (status != LORE_OK) {
            check_failure(world, status, true, "open");
            if (tries > OPENINGS_MAX || (world->damaged && status == LORE_CORRUPTION)) {
                if (!world->damaged) sim_violation(world, "the store does not open");
                world->refused_openings++;
                return false;
            }
            if (world->pages_dropped && world->loss < SIM_LOSS_UNSYNCED)
                world->loss = SIM_LOSS_UNSYNCED;
            continue;
        }
        world->recovering = true;
        status = create_space(world);
        if (status != LORE_OK) sim_check_status(world, status, "space");
        bool known = check_opened(world);
        world->recovering = false;
        if (world->dead) continue;
        return known;
    }
}

/* ---- the run ---- */

static void restore(struct sim_world *world, uint64_t seed) {
    if (!world->has_backup) return;
    lore_options options;
    sim_plan_options(seed, &options);
    options.env = &world->env;
    world->maybe_restored = true;
    lore_status status = lore_restore(SIM_STORE, world->backup_path, true, &options, NULL, NULL);
    sim_trace(world, "restore from %s: %s", world->backup_path, lore_status_name(status));
    sim_check_status(world, status, "restore");
    check_leaks(world, "restoring");
    if (world->dead || status != LORE_OK) return;
    /* From here on only the backup will do: an empty history that nothing equals. */
    for (unsigned c = 0; c < SIM_CLIENTS; c++) {
        uint32_t nothing[SIM_SLOTS];
        for (unsigned i = 0; i < SIM_SLOTS; i++)
            nothing[i] = SIM_WRONG;
        if (world->backup_view.clients[c].count > 0) model_reset(&world->model, c, nothing);
    }
    memcpy(world->model.acknowledged, world->backup_counters_low, sizeof world->model.acknowledged);
}

static bool barrier(struct sim_world *world, size_t index) {
    const struct sim_operation *operation = &world->plan->operations[index];
    world->current = index;
    sim_trace(world, "%zu: %s", index, sim_kind_names[operation->kind]);
    if (!world->dead) close_store(world);
    if (!world->dead && operation->kind == SIM_RESTORE) restore(world, operation->seed);
    return recover(world);
}

/* After all of it: no more faults, and everything is there. */
static void finish(struct sim_world *world) {
    struct sim_content content;
    world->current = world->plan->count;
    sim_trace(world, "the end");
    if (!world->dead) close_store(world);
    if (!world->dead) calm(world);
    world->crash_set = false;
    if (!recover(world)) return;
    calm(world);
    close_store(world);
    world->recovering = true;
    if (!recover(world)) return;
    world->recovering = true;
    lore_status status = world_read(world, world->store, NULL, true, &content);
    bool failed = sim_read_failed(world, status, "the last scan");
    for (unsigned c = 0; c < SIM_CLIENTS && !failed; c++)
        if (memcmp(content.slots[c], world->model.clients[c].now, sizeof content.slots[c]) != 0)
            sim_violation(world, "backward, the last scan finds something else");
    lore_verify_report report = {0};
    status = lore_verify(world->store, NULL, NULL, NULL, &report);
    failed = sim_read_failed(world, status, "the last verify");
    if (!failed && report.findings > 0 && !world->damaged)
        sim_violation(world, "the last verify has %llu findings",
                      (unsigned long long)report.findings);
    sim_check_status(world, lore_put(world->store, 9, lore_slice_of("end"), lore_slice_of("end")),
                     "the last put");
}

static void on_stuck(void *context, const char *text) {
    sim_violation(context, "nobody can run: %s", text);
}

static bool is_barrier(const struct sim_operation *operation) {
    return !operation->left_out &&
           (operation->kind == SIM_REOPEN || operation->kind == SIM_RESTORE);
}

static bool run_all(struct sim_world *world) {
    if (!recover(world)) return false;
    for (size_t from = 0; from < world->plan->count;) {
        size_t to = from;
        while (to < world->plan->count && !is_barrier(&world->plan->operations[to]))
            to++;
        while (from < to) {
            run_clients(world, from, to);
            if (!world->dead) break;
            /* What the client that came furthest has begun is over; the others go on after it. */
            size_t next = from;
            for (unsigned c = 0; c < world->plan->clients; c++)
                if (world->clients[c].next > next) next = world->clients[c].next;
            from = next < to ? next : to;
            if (!recover(world)) return false;
        }
        if (to < world->plan->count && !barrier(world, to)) return false;
        from = to + 1;
    }
    return true;
}

void world_run(struct sim_world *world) {
    const struct allocator *host = env_posix()->allocator;
    world->capacity_bytes = SIM_CAPACITY;
    world->yield_state = world->plan->seed ^ 0x5157;
    world->model.versions_capacity = 64;
    world->model.versions_count = 1;
    world->model.versions = calloc(64, sizeof *world->model.versions);
    if (world->model.versions == NULL) abort();
    for (unsigned c = 0; c < SIM_CLIENTS; c++) {
        world->clients[c].world = world;
        world->clients[c].number = c;
    }
    if (sched_sim_create(host, world->plan->seed, START_US, &world->sched) != LORE_OK ||
        fs_memory_create(host, SIM_CAPACITY, &world->disk) != LORE_OK)
        abort();
    sched_sim_on_stuck(world->sched, on_stuck, world);
    fault_allocator_init(&world->allocator, host);
    world->env.allocator = &world->allocator.base;
    world->env.sys = sched_sim_sys(world->sched);
    disk_attach(world);
    if (run_all(world)) finish(world);
    world->crash_set = false;
    if (world->store != NULL) close_store(world);
}

void world_end(struct sim_world *world) {
    disk_detach(world);
    fs_memory_destroy(world->old_disk);
    fs_memory_destroy(world->after);
    sched_sim_destroy(world->sched);
    free(world->model.versions);
    for (unsigned c = 0; c < SIM_CLIENTS; c++) {
        free(world->model.clients[c].entries);
        free(world->model.clients[c].effects);
    }
}
