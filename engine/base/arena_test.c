#include "base/arena.h"
#include "base/testing.h"

static void pieces_are_aligned_and_apart(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct arena arena;
    arena_init(&arena, &a.base, 1024);
    enum { COUNT = 400 };
    uint8_t *pieces[COUNT];
    size_t sizes[COUNT];
    uint64_t seed = 99;
    for (int i = 0; i < COUNT; i++) {
        sizes[i] =
            test_random(&seed) % 8 == 0 ? test_random(&seed) % 3000 : test_random(&seed) % 100;
        size_t align = (size_t)1 << test_random(&seed) % 7;
        void *memory;
        assert_ok(arena_get(&arena, sizes[i], align, &memory));
        assert_int_equal((uintptr_t)memory % align, 0);
        pieces[i] = memory;
        memset(memory, i & 0xff, sizes[i]);
        assert_int_equal(arena.allocated, a.bytes);
    }
    for (int i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(pieces[i][j], i & 0xff);
    }
    arena_deinit(&arena);
    assert_int_equal(a.bytes, 0);
    assert_int_equal(arena.allocated, 0);
}

static void large_pieces_leave_the_newest_chunk_in_use(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct arena arena;
    arena_init(&arena, &a.base, 4096);
    void *first, *large, *second;
    assert_ok(arena_get(&arena, 10, 1, &first));
    assert_ok(arena_get(&arena, 100000, 64, &large));
    assert_ok(arena_get(&arena, 10, 1, &second));
    assert_ptr_equal((uint8_t *)first + 10, second);
    assert_int_equal(a.blocks, 2);
    arena_deinit(&arena);

    arena_init(&arena, &a.base, 4096);
    assert_ok(arena_get(&arena, 100000, 1, &large)); /* with no chunk yet */
    assert_ok(arena_get(&arena, 10, 1, &first));
    assert_int_equal(a.blocks, 2);
    arena_deinit(&arena);
    assert_int_equal(a.blocks, 0);
    arena_deinit(&arena);
}

static void failure_keeps_what_is_there(void **state) {
    (void)state;
    struct test_allocator a;
    test_allocator_init(&a);
    struct arena arena;
    arena_init(&arena, &a.base, 1024);
    void *memory;
    a.fail_at = 0;
    assert_status(arena_get(&arena, 10, 8, &memory), LORE_NO_MEMORY);
    assert_status(arena_get(&arena, 5000, 8, &memory), LORE_NO_MEMORY);
    assert_status(arena_get(&arena, SIZE_MAX - 8, 8, &memory), LORE_NO_MEMORY);
    assert_int_equal(arena.allocated, 0);
    a.fail_at = -1;
    assert_ok(arena_get(&arena, 10, 8, &memory));
    memset(memory, 1, 10);
    a.fail_at = 0;
    assert_status(arena_get(&arena, 5000, 8, &memory), LORE_NO_MEMORY);
    assert_ok(arena_get(&arena, 10, 8, &memory)); /* there is room in the chunk */
    arena_deinit(&arena);
    assert_int_equal(a.blocks, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_apart),
        cmocka_unit_test(large_pieces_leave_the_newest_chunk_in_use),
        cmocka_unit_test(failure_keeps_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
