/*
 * policy.c - the rules of policy.h, each a function that either makes the choice or leaves it.
 */
#include "lsm/policy.h"

#include <assert.h>

#include "base/poison.h"

#define DELAY_US_MAX    20000u
#define DELAY_UNIT_US   100u
#define FROZEN_DELAY_US 1000u

uint8_t policy_last_level(const struct policy_limits *limits, uint64_t last_bytes) {
    uint64_t reach = limits->memtable_bytes;
    for (uint8_t level = 1;; level++) {
        if (reach > UINT64_MAX / 4 / limits->fan_in)
            return level < POLICY_LEVEL_MIN ? POLICY_LEVEL_MIN : level;
        reach *= limits->fan_in;
        if (level < POLICY_LEVEL_MIN) continue;
        if (level + 1u == LEVELS_MAX || reach >= last_bytes / 4) return level;
    }
}

const struct policy_run *policy_last_run(const struct policy_shape *shape) {
    if (shape->runs_count == 0) return NULL;
    const struct policy_run *deepest = &shape->runs[shape->runs_count - 1];
    if (deepest->level < POLICY_LEVEL_MIN) return NULL;
    if (shape->runs_count > 1 && shape->runs[shape->runs_count - 2].level == deepest->level)
        return NULL;
    return deepest;
}

/* The level that is, or is to be, the last. */
static uint8_t last_level(const struct policy_shape *shape) {
    const struct policy_run *last = policy_last_run(shape);
    if (last != NULL) return last->level;
    uint8_t deepest = shape->runs_count == 0 ? 0 : shape->runs[shape->runs_count - 1].level;
    uint8_t level = deepest < LEVELS_MAX - 1 ? (uint8_t)(deepest + 1) : deepest;
    return level < POLICY_LEVEL_MIN ? POLICY_LEVEL_MIN : level;
}

static bool is_free(const struct policy_run *run) {
    return !run->busy && !run->blocked;
}

/* The oldest runs of `level`, oldest first, up to `max`, as far as they are free. */
static size_t oldest_of_level(const struct policy_shape *shape, uint8_t level, size_t max,
                              uint64_t *ids) {
    size_t count = 0;
    for (size_t i = shape->runs_count; i-- > 0 && count < max;) {
        const struct policy_run *run = &shape->runs[i];
        if (run->level > level) continue;
        if (run->level < level || !is_free(run)) break;
        ids[count++] = run->id;
    }
    return count;
}

static size_t at_most(size_t count, size_t limit) {
    return count < limit ? count : limit;
}

/* ---- room ---- */

static bool has_room(const struct policy_limits *limits, uint64_t bytes,
                     struct policy_choice *choice) {
    bool fits = limits->room_bytes == 0 || bytes <= limits->room_bytes;
    if (!fits) choice->starved = true;
    return fits;
}

/* Whether there is room to merge the `count` oldest runs of `level`. */
static bool merge_fits(const struct policy_shape *shape, const struct policy_limits *limits,
                       uint8_t level, size_t count, struct policy_choice *choice) {
    uint64_t bytes = 0;
    for (size_t i = shape->runs_count; i-- > 0 && count > 0;) {
        if (shape->runs[i].level != level) continue;
        bytes += shape->runs[i].table_bytes;
        count--;
    }
    return has_room(limits, bytes, choice);
}

/* ---- merges ---- */

static size_t merge_max(const struct policy_limits *limits) {
    return at_most(at_most(limits->fan_in, limits->sources_max), JOB_RUNS_MAX);
}

/* Runs [from, from + max) of `level`, newest first as the shape has them. */
static void merge_window(const struct policy_shape *shape, size_t from, size_t max, uint8_t level,
                         struct policy_choice *choice) {
    choice->kind = POLICY_MERGE;
    choice->level = level;
    choice->place_of = shape->runs[from].id;
    choice->count = max;
    for (size_t i = 0; i < max; i++)
        choice->ids[i] = shape->runs[from + max - 1 - i].id;
}

/* Whether no run of the window is larger than the others together: merging is worth its writing. */
static bool is_even(const struct policy_run *runs, size_t count) {
    uint64_t sum = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        sum += runs[i].bytes;
        if (runs[i].bytes > largest) largest = runs[i].bytes;
    }
    return largest <= sum - largest;
}

/* The free runs of `level` above damage that bars their way down, some with each other. */
static bool merge_above_damage(const struct policy_shape *shape, const struct policy_limits *limits,
                               uint8_t level, struct policy_choice *choice) {
    const struct policy_run *last = policy_last_run(shape);
    size_t first = 0;
    while (first < shape->runs_count && shape->runs[first].level < level)
        first++;
    size_t end = first;
    while (end < shape->runs_count && shape->runs[end].level == level && is_free(&shape->runs[end]))
        end++;
    const struct policy_run *beneath = end < shape->runs_count ? &shape->runs[end] : NULL;
    bool barred = beneath != NULL && beneath->blocked &&
                  (beneath->level == level || (beneath == last && last->level == level + 1));
    size_t max = merge_max(limits);
    if (!barred || end - first < max) return false;
    for (size_t from = end - max + 1; from-- > first;) {
        if (!is_even(&shape->runs[from], max)) continue;
        merge_window(shape, from, max, level, choice);
        return true;
    }
    if (end - first < 3 * max) return false;
    merge_window(shape, first, max, level, choice);
    return true;
}

bool policy_choose_small(const struct policy_shape *shape, const struct policy_limits *limits,
                         struct policy_choice *choice) {
    *choice = (struct policy_choice){.kind = POLICY_NONE};
    size_t max = merge_max(limits);
    size_t count = oldest_of_level(shape, 0, max, choice->ids);
    if (count < max) return merge_above_damage(shape, limits, 0, choice);
    if (!merge_fits(shape, limits, 0, count, choice)) return false;
    choice->kind = POLICY_MERGE;
    choice->level = 1;
    choice->count = count;
    return true;
}

/* The oldest runs above the last, from any level but 0, into the last: as many as there is room
 * for. */
static bool merge_into_last(const struct policy_shape *shape, const struct policy_limits *limits,
                            struct policy_choice *choice) {
    const struct policy_run *last = policy_last_run(shape);
    if (last != NULL && !is_free(last)) return false;
    size_t max = at_most(limits->sources_max, JOB_RUNS_MAX) - (last != NULL);
    size_t others = shape->runs_count - (last != NULL);
    uint64_t bytes = last == NULL ? 0 : last->table_bytes;
    choice->count = 0;
    for (size_t i = others; i-- > 0 && choice->count < max;) {
        const struct policy_run *run = &shape->runs[i];
        if (run->level == 0 || !is_free(run)) break;
        bytes += run->table_bytes;
        if (limits->room_bytes > 0 && bytes > limits->room_bytes) {
            choice->starved = true;
            break;
        }
        choice->ids[choice->count++] = run->id;
    }
    if (choice->count == 0) return false;
    choice->kind = POLICY_MERGE;
    choice->level = last_level(shape);
    choice->into_last = true;
    choice->last_run = last == NULL ? 0 : last->id;
    choice->everything = choice->count == others;
    return true;
}

/* Level 0 becomes part of level 1, as far as no merge of it is in progress; not for a merge that
 * damage would forbid. */
static bool shift(const struct policy_shape *shape, struct policy_choice *choice) {
    for (size_t i = 0; i < shape->runs_count; i++) {
        const struct policy_run *run = &shape->runs[i];
        if (run->blocked || (run->level == 0 && run->busy)) return false;
    }
    choice->count = oldest_of_level(shape, 0, JOB_RUNS_MAX, choice->ids);
    if (choice->count == 0) return false;
    choice->kind = POLICY_SHIFT;
    choice->level = 1;
    return true;
}

static bool fill_tiers(const struct policy_shape *shape, const struct policy_limits *limits,
                       struct policy_choice *choice) {
    uint8_t last = last_level(shape);
    size_t max = merge_max(limits);
    for (uint8_t level = 1; level < last; level++) {
        if (merge_above_damage(shape, limits, level, choice)) return true;
        size_t count = oldest_of_level(shape, level, max, choice->ids);
        if (count < max) continue;
        if (level + 1u == last) return merge_into_last(shape, limits, choice);
        if (!merge_fits(shape, limits, level, count, choice)) continue;
        choice->kind = POLICY_MERGE;
        choice->level = (uint8_t)(level + 1);
        choice->count = count;
        return true;
    }
    return false;
}

static bool is_over(uint64_t part, uint64_t whole) {
    return part / POLICY_SPARE_PERCENT * 100 > whole || part * 100 > whole * POLICY_SPARE_PERCENT;
}

static bool too_much_above(const struct policy_shape *shape) {
    const struct policy_run *last = policy_last_run(shape);
    if (shape->runs_count < 2) return false;
    uint64_t bytes = 0, entries = 0;
    for (size_t i = 0; i < shape->runs_count; i++) {
        if (&shape->runs[i] == last) continue;
        bytes += shape->runs[i].bytes;
        entries += shape->runs[i].entries;
    }
    if (last == NULL) return true;
    return is_over(bytes, last->bytes) || is_over(entries, last->entries) ||
           is_over(shape->covered_bytes, last->bytes);
}

static bool sink_last(const struct policy_shape *shape, const struct policy_limits *limits,
                      struct policy_choice *choice) {
    const struct policy_run *last = policy_last_run(shape);
    if (last == NULL || !is_free(last)) return false;
    uint8_t wanted = policy_last_level(limits, last->bytes);
    if (wanted <= last->level) return false;
    choice->kind = POLICY_SINK;
    choice->level = wanted;
    choice->ids[0] = last->id;
    choice->count = 1;
    return true;
}

/* ---- drops and value files ---- */

static bool is_all_garbage(const struct policy_file *file) {
    return file->garbage_values >= file->values && file->garbage_bytes >= file->value_bytes;
}

static bool drop(const struct policy_shape *shape, struct policy_choice *choice) {
    choice->count = 0;
    for (size_t i = 0; i < shape->droppable_count && choice->count < JOB_RUNS_MAX; i++)
        choice->ids[choice->count++] = shape->droppable[i];
    for (size_t i = 0; i < shape->files_count && choice->count < JOB_RUNS_MAX; i++) {
        const struct policy_file *file = &shape->files[i];
        if (!file->busy && is_all_garbage(file)) choice->ids[choice->count++] = file->id;
    }
    choice->kind = choice->count == 0 ? POLICY_NONE : POLICY_DROP;
    return choice->count > 0;
}

static bool is_small(const struct policy_file *file, const struct policy_limits *limits) {
    return file->bytes < limits->table_bytes_max / POLICY_SMALL_SHARE;
}

/* Files of one kind and space that follow `first`, while they are small and fit one file together.
 */
static size_t small_beside(const struct policy_shape *shape, const struct policy_limits *limits,
                           size_t first) {
    const struct policy_file *head = &shape->files[first];
    uint64_t bytes = 0;
    size_t count = 0;
    for (size_t i = first; i < shape->files_count && count < POLICY_JOIN_FILES; i++) {
        const struct policy_file *file = &shape->files[i];
        if (file->is_blob != head->is_blob || file->space != head->space) break;
        if (file->busy || file->blocked || !is_small(file, limits)) break;
        bytes += file->bytes;
        if (bytes > limits->table_bytes_max) break;
        count++;
    }
    return count;
}

/* Of the file itself, about. */
static uint64_t alive_bytes(const struct policy_file *file) {
    return file->garbage_bytes < file->value_bytes
               ? file->bytes / 1000 * (1000 - file->garbage_bytes / (file->value_bytes / 1000 + 1))
               : 0;
}

static bool rewrite(const struct policy_shape *shape, const struct policy_limits *limits,
                    bool any_garbage, struct policy_choice *choice) {
    for (size_t i = 0; i < shape->files_count; i++) {
        const struct policy_file *file = &shape->files[i];
        if (file->busy || file->blocked) continue;
        bool due = is_over(file->garbage_bytes, file->value_bytes);
        if (any_garbage) due = !file->fresh && file->garbage_values > 0;
        size_t count = small_beside(shape, limits, i);
        if (!due && count < POLICY_JOIN_FILES) continue;
        if (count < POLICY_JOIN_FILES) count = 1;
        uint64_t alive = 0;
        for (size_t n = 0; n < count; n++)
            alive += alive_bytes(&shape->files[i + n]);
        bool starved = choice->starved;
        if (!has_room(limits, alive, choice)) {
            /* What is not much garbage can wait. */
            if (!is_over(file->garbage_bytes, file->value_bytes)) choice->starved = starved;
            continue;
        }
        choice->kind = POLICY_REWRITE;
        choice->count = count;
        for (size_t n = 0; n < count; n++)
            choice->ids[n] = shape->files[i + n].id;
        return true;
    }
    return false;
}

/* ---- the order of all that ---- */

/* Everything into one run; and that once more from end to end, unless it was `compacted` so
 * already. */
static bool compact_all(const struct policy_shape *shape, const struct policy_limits *limits,
                        bool compacted, struct policy_choice *choice) {
    const struct policy_run *last = policy_last_run(shape);
    if (compacted || shape->runs_count == 0) return false;
    if (shift(shape, choice)) return true;
    if (merge_into_last(shape, limits, choice)) return true;
    if (shape->runs_count > 1 || last == NULL || !is_free(last)) return false;
    if (limits->room_bytes > 0 && last->table_bytes > limits->room_bytes) return false;
    choice->kind = POLICY_MERGE;
    choice->level = last->level;
    choice->into_last = true;
    choice->last_run = last->id;
    choice->everything = true;
    choice->count = 0;
    return true;
}

bool policy_choose_main(const struct policy_shape *shape, const struct policy_limits *limits,
                        bool compact, bool compacted, struct policy_choice *choice) {
    *choice = (struct policy_choice){.kind = POLICY_NONE};
    if (drop(shape, choice)) return true;
    if (compact && compact_all(shape, limits, compacted, choice)) return true;
    if (sink_last(shape, limits, choice)) return true;
    if (fill_tiers(shape, limits, choice)) return true;
    if (too_much_above(shape)) {
        if (shift(shape, choice)) return true;
        if (merge_into_last(shape, limits, choice)) return true;
    }
    if (rewrite(shape, limits, compact, choice)) return true;
    *choice = (struct policy_choice){.kind = POLICY_NONE, .starved = choice->starved};
    return false;
}

/* ---- back-pressure ---- */

uint64_t policy_delay_us(const struct policy_limits *limits, uint64_t level0_runs, uint64_t runs,
                         bool frozen_waits, uint64_t active_bytes) {
    uint64_t delay = 0;
    uint64_t free_level0 = 2 * (uint64_t)limits->fan_in;
    uint64_t free_runs = (LEVELS_MAX + 2) * (uint64_t)limits->fan_in;
    uint64_t over = level0_runs > free_level0 ? level0_runs - free_level0 : 0;
    if (runs > free_runs) over += runs - free_runs;
    if (over > 256) over = 256;
    delay += over * over * DELAY_UNIT_US;
    if (frozen_waits && limits->memtable_bytes > 0) {
        uint64_t half = limits->memtable_bytes / 2;
        uint64_t permille = active_bytes > half ? (active_bytes - half) * 1000 / (half + 1) : 0;
        if (permille > 1000) permille = 1000;
        delay += permille * permille * FROZEN_DELAY_US / 1000000;
    }
    return delay > DELAY_US_MAX ? DELAY_US_MAX : delay;
}
