/*
 * testing.h - what unit tests of every floor share: cmocka with the headers that it wants, an
 * allocator that counts and fails on command, and a small random generator whose seed a failing
 * test can print.
 *
 * For *_test.c only; no part of the library. One thread.
 */
#ifndef LORE_BASE_TESTING_H
#define LORE_BASE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail /* a macro of its own, in the way of base/status.h; fail_msg stays */

#include "base/bytes.h"

#define assert_ok(expression)               assert_int_equal((expression), LORE_OK)
#define assert_status(expression, expected) assert_int_equal((expression), (expected))

/* Over malloc. `fail_at` counts down: at 0 the call fails, and each after it; below 0 none does. */
struct test_allocator {
    struct allocator base; /* hand out &base */
    long fail_at;
    size_t bytes;  /* handed out and not released */
    size_t blocks; /* likewise */
};

static inline bool test_allocator_fails(struct test_allocator *self) {
    if (self->fail_at < 0) return false;
    if (self->fail_at == 0) return true;
    self->fail_at--;
    return false;
}

static inline void *test_allocate(void *context, size_t size) {
    struct test_allocator *self = context;
    assert_true(size > 0);
    if (test_allocator_fails(self)) return NULL;
    void *memory = malloc(size);
    assert_non_null(memory);
    memset(memory, 0xa5, size);
    self->bytes += size;
    self->blocks++;
    return memory;
}

static inline void test_release(void *context, void *memory, size_t size) {
    struct test_allocator *self = context;
    if (memory == NULL) return;
    assert_true(self->bytes >= size && self->blocks > 0);
    memset(memory, 0x5a, size); /* a wrong size is a finding for the address sanitizer */
    self->bytes -= size;
    self->blocks--;
    free(memory);
}

/* Always moves, so that whoever kept the old pointer is found out. */
static inline void *test_reallocate(void *context, void *memory, size_t old_size, size_t new_size) {
    void *moved = test_allocate(context, new_size);
    if (moved == NULL || memory == NULL) return moved;
    memcpy(moved, memory, old_size < new_size ? old_size : new_size);
    test_release(context, memory, old_size);
    return moved;
}

static inline void test_allocator_init(struct test_allocator *self) {
    self->base = (struct allocator){self, test_allocate, test_reallocate, test_release};
    self->fail_at = -1;
    self->bytes = 0;
    self->blocks = 0;
}

/* splitmix64. */
static inline uint64_t test_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
