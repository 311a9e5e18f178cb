/*
 * sim_model.c - histories, and what reads may see of them. See sim_world.h.
 */
#include "sim_world.h"

static void *grow(void *memory, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity) return memory;
    *capacity = *capacity == 0 ? 64 : *capacity * 2;
    memory = realloc(memory, *capacity * size);
    if (memory == NULL) abort();
    return memory;
}

uint32_t model_version_new(struct sim_model *model, unsigned client, unsigned slot) {
    if (model->versions_count == 0) model->versions_count = 1;
    model->versions = grow(model->versions, &model->versions_capacity, model->versions_count,
                           sizeof *model->versions);
    model->versions[model->versions_count] =
        (struct sim_version){.client = (uint8_t)client, .slot = (uint8_t)slot};
    return (uint32_t)model->versions_count++;
}

/* ---- histories ---- */

void model_begin(struct sim_model *model, unsigned client) {
    struct sim_client_model *of = &model->clients[client];
    of->entries = grow(of->entries, &of->capacity, of->count, sizeof *of->entries);
    of->entries[of->count++] = (struct sim_entry){model->tick++, UINT64_MAX, of->effects_count, 0};
}

void model_effect(struct sim_model *model, unsigned client, unsigned slot, uint32_t after) {
    struct sim_client_model *of = &model->clients[client];
    if (of->now[slot] == after) return;
    of->effects = grow(of->effects, &of->effects_capacity, of->effects_count, sizeof *of->effects);
    of->effects[of->effects_count++] = (struct sim_effect){slot, of->now[slot], after};
    of->entries[of->count - 1].effects++;
    of->now[slot] = after;
}

void model_acknowledged(struct sim_model *model, unsigned client) {
    struct sim_client_model *of = &model->clients[client];
    of->entries[of->count - 1].ended = model->tick++;
    if (of->entries[of->count - 1].effects == 0) of->count--;
}

static void undo(const struct sim_client_model *of, size_t entry, uint32_t slots[SIM_SLOTS]) {
    const struct sim_entry *last = &of->entries[entry];
    for (size_t i = last->effects; i-- > 0;) {
        const struct sim_effect *effect = &of->effects[last->first_effect + i];
        slots[effect->slot] = effect->before;
    }
}

void model_truncate(struct sim_model *model, unsigned client, size_t count) {
    struct sim_client_model *of = &model->clients[client];
    while (of->count > count) {
        undo(of, of->count - 1, of->now);
        of->effects_count = of->entries[--of->count].first_effect;
    }
    if (of->durable > count) of->durable = count;
}

void model_refused(struct sim_model *model, unsigned client) {
    model_truncate(model, client, model->clients[client].count - 1);
    model->tick++;
}

void model_reset(struct sim_model *model, unsigned client, const uint32_t slots[SIM_SLOTS]) {
    struct sim_client_model *of = &model->clients[client];
    memcpy(of->now, slots, sizeof of->now);
    of->count = of->effects_count = of->durable = 0;
}

bool model_last_is_unknown(const struct sim_model *model, unsigned client) {
    const struct sim_client_model *of = &model->clients[client];
    return of->count > 0 && of->entries[of->count - 1].ended == UINT64_MAX;
}

size_t model_acknowledged_count(const struct sim_model *model, unsigned client) {
    return model->clients[client].count - model_last_is_unknown(model, client);
}

/* ---- reads ---- */

void model_read_begin(const struct sim_model *model, struct sim_reading *reading) {
    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        reading->from[c] = model_acknowledged_count(model, c);
}

static void add_candidate(const struct sim_client_model *of, size_t count,
                          const uint32_t slots[SIM_SLOTS], struct sim_candidate *candidate) {
    memcpy(candidate->slots, slots, sizeof candidate->slots);
    candidate->last_started = count > 0 ? of->entries[count - 1].started : 0;
    candidate->next_ended = count < of->count ? of->entries[count].ended : UINT64_MAX;
}

/* The states after `from` to all entries, the newest first. */
static bool list_candidates(const struct sim_client_model *of, size_t from, size_t *count,
                            struct sim_candidate *list, size_t max) {
    uint32_t slots[SIM_SLOTS];
    memcpy(slots, of->now, sizeof slots);
    *count = 0;
    for (size_t entries = of->count;; entries--) {
        if (*count == max) {
            *count = 0;
            return false;
        }
        add_candidate(of, entries, slots, &list[(*count)++]);
        if (entries <= from) return true;
        undo(of, entries - 1, slots);
    }
}

void model_read_end(const struct sim_model *model, const struct sim_reading *reading,
                    struct sim_view *view) {
    for (unsigned c = 0; c < SIM_CLIENTS; c++)
        (void)list_candidates(&model->clients[c], reading->from[c], &view->clients[c].count,
                              view->clients[c].list, SIM_CANDIDATES);
}

bool model_allows(const struct sim_model *model, const struct sim_reading *reading, unsigned client,
                  unsigned slot, uint32_t version) {
    const struct sim_client_model *of = &model->clients[client];
    uint32_t slots[SIM_SLOTS];
    memcpy(slots, of->now, sizeof slots);
    for (size_t entries = of->count;; entries--) {
        if (slots[slot] == version) return true;
        if (entries <= reading->from[client]) return false;
        undo(of, entries - 1, slots);
    }
}

static bool is_prefix(const struct sim_candidate *chosen[SIM_CLIENTS]) {
    for (unsigned a = 0; a < SIM_CLIENTS; a++)
        for (unsigned b = 0; b < SIM_CLIENTS; b++)
            if (a != b && chosen[a] != NULL && chosen[b] != NULL &&
                chosen[b]->next_ended < chosen[a]->last_started)
                return false;
    return true;
}

static bool match_from(const struct sim_view *view, const struct sim_content *content,
                       unsigned clients, unsigned client,
                       const struct sim_candidate *chosen[SIM_CLIENTS], size_t *numbers) {
    if (client == SIM_CLIENTS) return is_prefix(chosen);
    chosen[client] = NULL;
    if ((clients >> client & 1) == 0 || view->clients[client].count == 0)
        return match_from(view, content, clients, client + 1, chosen, numbers);
    for (size_t i = 0; i < view->clients[client].count; i++) {
        const struct sim_candidate *candidate = &view->clients[client].list[i];
        if (memcmp(candidate->slots, content->slots[client], sizeof candidate->slots) != 0)
            continue;
        chosen[client] = candidate;
        numbers[client] = i;
        if (match_from(view, content, clients, client + 1, chosen, numbers)) return true;
    }
    return false;
}

bool model_view_matches(const struct sim_model *model, const struct sim_view *view,
                        const struct sim_content *content, unsigned clients,
                        size_t chosen[SIM_CLIENTS]) {
    const struct sim_candidate *candidates[SIM_CLIENTS];
    size_t numbers[SIM_CLIENTS] = {0};
    (void)model;
    bool matches = match_from(view, content, clients, 0, candidates, numbers);
    if (matches && chosen != NULL) memcpy(chosen, numbers, sizeof numbers);
    return matches;
}

/* ---- after an opening ---- */

/* All of history may have to be searched, so the content itself narrows it down: candidates are
 * those that equal it. */
static void survivors_of(const struct sim_client_model *of, size_t floor,
                         const uint32_t found[SIM_SLOTS], size_t *count, struct sim_candidate *list,
                         size_t numbers[SIM_CANDIDATES]) {
    uint32_t slots[SIM_SLOTS];
    memcpy(slots, of->now, sizeof slots);
    *count = 0;
    for (size_t entries = of->count;; entries--) {
        if (memcmp(slots, found, sizeof slots) == 0 && *count < SIM_CANDIDATES) {
            numbers[*count] = entries;
            add_candidate(of, entries, slots, &list[(*count)++]);
        }
        if (entries <= floor) return;
        undo(of, entries - 1, slots);
    }
}

bool model_survived(struct sim_model *model, const size_t floor[SIM_CLIENTS],
                    const struct sim_content *content, unsigned *culprit) {
    static struct sim_view view;
    size_t numbers[SIM_CLIENTS][SIM_CANDIDATES], chosen[SIM_CLIENTS] = {0};
    *culprit = SIM_CLIENTS;
    for (unsigned c = 0; c < SIM_CLIENTS; c++) {
        survivors_of(&model->clients[c], floor[c], content->slots[c], &view.clients[c].count,
                     view.clients[c].list, numbers[c]);
        if (view.clients[c].count > 0) continue;
        *culprit = c;
        return false;
    }
    if (!model_view_matches(model, &view, content, (1u << SIM_CLIENTS) - 1, chosen)) return false;
    for (unsigned c = 0; c < SIM_CLIENTS; c++) {
        model_truncate(model, c, numbers[c][chosen[c]]);
        struct sim_client_model *of = &model->clients[c];
        for (size_t i = 0; i < of->count; i++)
            if (of->entries[i].ended == UINT64_MAX) of->entries[i].ended = model->tick++;
    }
    return true;
}
