/*
 * uuid7.c - the clock, chance, and the step from one id to the next.
 */
#include "memory/uuid7.h"

#include "base/coding.h"
#include "vfs/sync.h"

#include "base/poison.h"

#define HIGH_BITS 12u
#define LOW_BITS  62u
#define HIGH_MASK ((UINT64_C(1) << HIGH_BITS) - 1)
#define LOW_MASK  ((UINT64_C(1) << LOW_BITS) - 1)
#define MS_MASK   ((UINT64_C(1) << 48) - 1)

lore_status uuid7_init(struct uuid7 *uuid7, const lore_env *env) {
    *uuid7 = (struct uuid7){.env = env};
    return env_mutex_create(env, &uuid7->mutex);
}

void uuid7_deinit(struct uuid7 *uuid7) {
    env_mutex_destroy(uuid7->env, uuid7->mutex);
    uuid7->mutex = NULL;
}

static void begin_millisecond(struct uuid7 *uuid7, uint64_t ms, const uint8_t chance[16]) {
    uuid7->last_ms = ms;
    uuid7->high = get_u64(chance) & (HIGH_MASK >> 1); /* room to grow */
    uuid7->low = get_u64(chance + 8) & LOW_MASK;
}

static void advance(struct uuid7 *uuid7, uint64_t now_ms, const uint8_t chance[16]) {
    if (now_ms > uuid7->last_ms) {
        begin_millisecond(uuid7, now_ms, chance);
        return;
    }
    uint64_t step = 1 + (get_u64(chance) & UINT32_MAX);
    uuid7->low += step;
    if (uuid7->low <= LOW_MASK) return;
    uuid7->low &= LOW_MASK;
    uuid7->high++;
    if (uuid7->high > HIGH_MASK) begin_millisecond(uuid7, uuid7->last_ms + 1, chance);
}

static void to_text(const uint8_t id[16], char text[UUID7_TEXT_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text[at++] = '-';
        text[at++] = digits[id[i] >> 4];
        text[at++] = digits[id[i] & 15];
    }
}

lore_status uuid7_next(struct uuid7 *uuid7, char text[UUID7_TEXT_BYTES]) {
    uint8_t chance[16], id[16];
    TRY(sys_random(uuid7->env, chance, sizeof chance));
    int64_t now_us = env_now_us(uuid7->env);
    uint64_t now_ms = now_us < 0 ? 0 : (uint64_t)now_us / 1000;
    env_lock(uuid7->env, uuid7->mutex);
    advance(uuid7, now_ms & MS_MASK, chance);
    put_be64(id, uuid7->last_ms << 16 | UINT64_C(7) << HIGH_BITS | uuid7->high);
    put_be64(id + 8, UINT64_C(2) << LOW_BITS | uuid7->low);
    env_unlock(uuid7->env, uuid7->mutex);
    to_text(id, text);
    return LORE_OK;
}
