/*
 * budget.c - the memory budget: counters that stop at a ceiling, and an allocator that charges
 * them.
 *
 * Invariant: used <= limit at all times, and used is the sum of used_by once calls in flight are
 * done.
 */
#include "base/budget.h"

#include <assert.h>

#include "base/poison.h"

/* What malloc keeps beside each block: a header of two words. */
#define HOST_OVERHEAD_BYTES 16u

void budget_init(struct budget *budget, uint64_t limit) {
    budget->limit = limit;
    atomic_init(&budget->used, 0);
    atomic_init(&budget->wanted, 0);
    atomic_init(&budget->peak, 0);
    for (int i = 0; i < BUDGET_PURPOSES; i++)
        atomic_init(&budget->used_by[i], 0);
    budget->reclaim = NULL;
    budget->reclaim_context = NULL;
}

/* Take the bytes if that leaves `kept` of the room. */
static bool take_room(struct budget *budget, enum budget_purpose purpose, uint64_t bytes,
                      uint64_t kept) {
    assert((unsigned)purpose < BUDGET_PURPOSES);
    uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    do {
        uint64_t room = budget->limit - used;
        if (room < kept || bytes > room - kept) return false;
    } while (!atomic_compare_exchange_weak(&budget->used, &used, used + bytes));
    atomic_fetch_add(&budget->used_by[purpose], bytes);

    uint64_t now = used + bytes;
    uint64_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak(&budget->peak, &peak, now)) {
    }
    return true;
}

bool budget_try(struct budget *budget, enum budget_purpose purpose, uint64_t bytes) {
    return take_room(budget, purpose, bytes, atomic_load(&budget->wanted));
}

/* Evict for all who wait, not for the caller alone: then each finds its part, whoever comes first.
 * Others may still take the room before the caller does, those who looked at `wanted` before the
 * caller was in it and those who came to wait since; so it is tried again until the room is short
 * and there is nothing to evict. */
static bool reclaim_and_take(struct budget *budget, enum budget_purpose purpose, uint64_t bytes) {
    for (;;) {
        uint64_t wanted = atomic_load(&budget->wanted);
        uint64_t room = budget->limit - atomic_load(&budget->used);
        bool is_short = room < wanted;
        uint64_t freed = 0;
        if (is_short && budget->reclaim != NULL)
            freed = budget->reclaim(budget->reclaim_context, wanted - room);
        if (take_room(budget, purpose, bytes, 0)) return true;
        if (is_short && freed == 0) return false;
    }
}

lore_status budget_take(struct budget *budget, enum budget_purpose purpose, uint64_t bytes) {
    if (budget_try(budget, purpose, bytes)) return LORE_OK;
    if (bytes <= budget->limit) {
        atomic_fetch_add(&budget->wanted, bytes);
        bool taken = reclaim_and_take(budget, purpose, bytes);
        atomic_fetch_sub(&budget->wanted, bytes);
        if (taken) return LORE_OK;
    }
    return fail(LORE_NO_MEMORY, "memory_budget: %llu bytes wanted, %llu of %llu in use",
                (unsigned long long)bytes, (unsigned long long)atomic_load(&budget->used),
                (unsigned long long)budget->limit);
}

void budget_give(struct budget *budget, enum budget_purpose purpose, uint64_t bytes) {
    assert((unsigned)purpose < BUDGET_PURPOSES);
    uint64_t before_by = atomic_fetch_sub(&budget->used_by[purpose], bytes);
    uint64_t before = atomic_fetch_sub(&budget->used, bytes);
    assert(before_by >= bytes && before >= bytes);
    (void)before_by;
    (void)before;
}

static bool charged_bytes(size_t size, uint64_t *bytes) {
    size_t sum;
    if (!size_add(size, HOST_OVERHEAD_BYTES, &sum)) return false;
    *bytes = sum;
    return true;
}

static void *charged_allocate(void *context, size_t size) {
    struct charged_allocator *charged = context;
    uint64_t bytes;
    if (!charged_bytes(size, &bytes)) return NULL;
    if (budget_take(charged->budget, charged->purpose, bytes) != LORE_OK) return NULL;
    void *memory = charged->host->allocate(charged->host->context, size);
    if (memory == NULL) budget_give(charged->budget, charged->purpose, bytes);
    return memory;
}

static void *charged_reallocate(void *context, void *memory, size_t old_size, size_t new_size) {
    struct charged_allocator *charged = context;
    if (memory == NULL) return charged_allocate(context, new_size);
    uint64_t unused;
    if (!charged_bytes(new_size, &unused)) return NULL;

    if (new_size > old_size) {
        uint64_t more = new_size - old_size;
        if (budget_take(charged->budget, charged->purpose, more) != LORE_OK) return NULL;
    }
    void *moved = charged->host->reallocate(charged->host->context, memory, old_size, new_size);
    if (moved == NULL && new_size > old_size) {
        budget_give(charged->budget, charged->purpose, new_size - old_size);
    }
    if (moved != NULL && new_size < old_size) {
        budget_give(charged->budget, charged->purpose, old_size - new_size);
    }
    return moved;
}

static void charged_release(void *context, void *memory, size_t size) {
    struct charged_allocator *charged = context;
    if (memory == NULL) return;
    charged->host->release(charged->host->context, memory, size);
    budget_give(charged->budget, charged->purpose, (uint64_t)size + HOST_OVERHEAD_BYTES);
}

void charged_allocator_init(struct charged_allocator *charged, const struct allocator *host,
                            struct budget *budget, enum budget_purpose purpose) {
    assert((unsigned)purpose < BUDGET_PURPOSES);
    charged->base =
        (struct allocator){charged, charged_allocate, charged_reallocate, charged_release};
    charged->host = host;
    charged->budget = budget;
    charged->purpose = purpose;
}
