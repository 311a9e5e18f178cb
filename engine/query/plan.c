/*
 * plan.c - see plan.h.
 */
#include "query/plan.h"

#include "base/poison.h"

struct planning {
    struct query_run *run;
    const lore_filter *filters;
    size_t filters_count;
    uint64_t cap;
    bool ranges; /* this pass looks at ranges of many values, else at those of one */
    struct plan *plan;
};

/* Take the source if it is smaller than what there is; it is used up either way. */
static lore_status weigh(struct planning *planning, struct row_source *source) {
    struct plan *plan = planning->plan;
    uint64_t cap = plan->counted ? plan->count : planning->cap;
    uint64_t count;
    lore_status status = row_source_count(planning->run, source, cap, &count);
    bool better = status == LORE_OK && (!plan->by_index || count < cap);
    if (better) {
        row_source_deinit(&plan->source);
        plan->source = *source;
        plan->by_index = true;
        plan->counted = count < cap;
        plan->count = count;
    } else {
        row_source_deinit(source);
    }
    return status;
}

enum make { MAKE_ATTRIBUTE, MAKE_TAG, MAKE_TURNS };

static lore_status consider(struct planning *planning, enum make make, size_t which) {
    struct row_source source;
    row_source_init(&source, planning->run);
    bool usable = false;
    lore_status status = LORE_OK;
    if (make == MAKE_ATTRIBUTE)
        status = row_source_attribute(&source, (lore_attribute)which, planning->filters,
                                      planning->filters_count, &usable);
    if (make == MAKE_TAG) status = row_source_tag(&source, planning->filters, which, &usable);
    if (make == MAKE_TURNS)
        status = row_source_turns(&source, planning->filters, planning->filters_count, &usable);
    if (status != LORE_OK || !usable || source.one_value == planning->ranges) {
        row_source_deinit(&source);
        return status;
    }
    return weigh(planning, &source);
}

static lore_status consider_all(struct planning *planning) {
    uint32_t attributes = 0;
    for (size_t i = 0; i < planning->filters_count; i++) {
        lore_attribute attribute = planning->filters[i].attribute;
        if (attribute == LORE_ATTR_TAGS) TRY(consider(planning, MAKE_TAG, i));
        attributes |= LORE_FIELD(attribute);
    }
    for (unsigned attribute = 0; attribute < LORE_ATTR_COUNT; attribute++) {
        if (attribute == LORE_ATTR_TAGS || (attributes & LORE_FIELD(attribute)) == 0) continue;
        TRY(consider(planning, MAKE_ATTRIBUTE, attribute));
    }
    if ((attributes & LORE_FIELD(LORE_ATTR_POSITION)) != 0)
        return consider(planning, MAKE_TURNS, 0);
    return LORE_OK;
}

lore_status plan_make(struct query_run *run, const lore_filter *filters, size_t count, uint64_t cap,
                      struct plan *plan) {
    struct planning planning = {run, filters, count, cap, false, plan};
    memset(plan, 0, sizeof *plan);
    row_source_init(&plan->source, run);
    lore_status status = consider_all(&planning);
    planning.ranges = true;
    if (status == LORE_OK) status = consider_all(&planning);
    if (status == LORE_OK && !plan->by_index) status = row_source_all(&plan->source);
    if (status != LORE_OK) plan_deinit(plan);
    return status;
}

void plan_deinit(struct plan *plan) {
    row_source_deinit(&plan->source);
}

bool plan_covers(const struct plan *plan, size_t count) {
    uint64_t all = count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
    return (plan->source.covers & all) == all;
}
