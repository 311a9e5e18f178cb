/* Tests of record.c: every attribute there and back, every byte of the encoding changed or cut off,
 * every allocation failing. */

#include "base/testing.h"
#include "memory/record.h"

struct fixture {
    struct test_allocator allocator;
    struct bytes encoded;
};

static int set_up(void **state) {
    static struct fixture fixture;
    test_allocator_init(&fixture.allocator);
    fixture.encoded = bytes_empty(&fixture.allocator.base);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    bytes_free(&f->encoded);
    return f->allocator.blocks == 0 ? 0 : -1;
}

static const lore_slice some_tags[2] = {{"red", 3}, {"", 0}};
static const uint32_t some_spaces[3] = {1, 2, 70000};

static lore_memory full_memory(void) {
    lore_memory memory;
    lore_memory_init(&memory);
    memory.id = lore_slice_of("the id");
    memory.kind = lore_slice_of("dialogue");
    memory.layer = lore_slice_of("episodic");
    memory.tier = slice(NULL, 0);
    memory.user_id = lore_slice_of("u");
    memory.agent_id = lore_slice_of("a");
    memory.session_id = lore_slice_of("s");
    memory.role = lore_slice_of("user");
    memory.metadata = slice("{\"x\":\0}", 7);
    memory.tags = some_tags;
    memory.tags_count = 2;
    memory.importance_score = 0.25;
    memory.created_at_us = -5;
    memory.updated_at_us = 7;
    memory.expires_at_us = INT64_MAX;
    memory.position = MEMORY_POSITION_MAX;
    return memory;
}

static void assert_same(const lore_memory *a, const lore_memory *b) {
    for (unsigned i = 0; i < LORE_ATTR_COUNT; i++) {
        lore_attribute attribute = (lore_attribute)i;
        if (attribute == LORE_ATTR_TAGS || attribute == LORE_ATTR_IMPORTANCE) continue;
        if (attribute_type(attribute) == ATTRIBUTE_INTEGER)
            assert_int_equal(memory_integer_of(a, attribute), memory_integer_of(b, attribute));
        else
            assert_true(slice_equal(memory_text_of(a, attribute), memory_text_of(b, attribute)));
    }
    assert_true(a->importance_score == b->importance_score);
    assert_int_equal(a->tags_count, b->tags_count);
    for (size_t i = 0; i < a->tags_count; i++)
        assert_true(slice_equal(a->tags[i], b->tags[i]));
}

static void there_and_back(void **state) {
    struct fixture *f = *state;
    lore_memory memory = full_memory();
    struct attributes back;
    assert_ok(attributes_encode(&f->encoded, &memory, some_spaces, 3));
    assert_ok(attributes_decode(bytes_slice(&f->encoded), &f->allocator.base, &back));
    assert_same(&memory, &back.memory);
    assert_int_equal(back.spaces_count, 3);
    assert_memory_equal(back.spaces, some_spaces, sizeof some_spaces);
    assert_true(attributes_have_space(&back, 70000));
    assert_false(attributes_have_space(&back, 3));
    assert_int_equal(back.memory.fields & LORE_FIELD(LORE_ATTR_TIER), LORE_FIELD(LORE_ATTR_TIER));
    attributes_deinit(&back);

    lore_memory plain;
    lore_memory_init(&plain);
    plain.id = lore_slice_of("x");
    assert_ok(attributes_encode(&f->encoded, &plain, NULL, 0));
    assert_ok(attributes_decode(bytes_slice(&f->encoded), &f->allocator.base, &back));
    assert_same(&plain, &back.memory);
    assert_int_equal(back.memory.fields & LORE_FIELD(LORE_ATTR_KIND), 0);
    attributes_deinit(&back);
}

static void the_form_is_fixed(void **state) {
    struct fixture *f = *state;
    lore_memory plain;
    lore_memory_init(&plain);
    plain.id = lore_slice_of("x");
    plain.tier = plain.status = slice(NULL, 0);
    plain.created_at_us = 1;
    plain.updated_at_us = 2;
    static const uint8_t expected[] = {1, 0, 0xf1, 1,    0,    0, 1, 'x', 0, 0, 0, 0, 0,
                                       0, 0, 0,    0xe0, 0x3f, 1, 0, 0,   0, 0, 0, 0, 0,
                                       2, 0, 0,    0,    0,    0, 0, 0,   1, 7, 0, 0, 0};
    uint32_t space = 7;
    assert_ok(attributes_encode(&f->encoded, &plain, &space, 1));
    assert_int_equal(f->encoded.size, sizeof expected);
    assert_memory_equal(f->encoded.data, expected, sizeof expected);
}

/* Whatever is decoded encodes to the same bytes again: there is one form of each memory. */
static void check_hostile(struct fixture *f, lore_slice bytes) {
    struct attributes back;
    lore_status status = attributes_decode(bytes, &f->allocator.base, &back);
    if (status != LORE_OK) {
        assert_status(status, LORE_CORRUPTION);
        return;
    }
    struct bytes again = bytes_empty(&f->allocator.base);
    assert_ok(attributes_encode(&again, &back.memory, back.spaces, back.spaces_count));
    assert_true(slice_equal(bytes_slice(&again), bytes));
    bytes_free(&again);
    attributes_deinit(&back);
}

static void hostile_bytes(void **state) {
    struct fixture *f = *state;
    lore_memory memory = full_memory();
    assert_ok(attributes_encode(&f->encoded, &memory, some_spaces, 3));
    struct bytes copy = bytes_empty(&f->allocator.base);
    for (size_t i = 0; i < f->encoded.size; i++) {
        for (unsigned value = 0; value < 256; value++) {
            assert_ok(bytes_set(&copy, bytes_slice(&f->encoded)));
            copy.data[i] = (uint8_t)value;
            check_hostile(f, bytes_slice(&copy));
        }
        assert_ok(bytes_set(&copy, slice(f->encoded.data, i)));
        struct attributes back;
        assert_status(attributes_decode(bytes_slice(&copy), &f->allocator.base, &back),
                      LORE_CORRUPTION);
    }
    assert_ok(bytes_set(&copy, bytes_slice(&f->encoded)));
    assert_ok(append_u8(&copy, 0));
    struct attributes back;
    assert_status(attributes_decode(bytes_slice(&copy), &f->allocator.base, &back),
                  LORE_CORRUPTION);
    bytes_free(&copy);
}

static void random_bytes(void **state) {
    struct fixture *f = *state;
    uint64_t seed = 20240917;
    print_message("seed %llu\n", (unsigned long long)seed);
    lore_memory memory = full_memory();
    struct bytes copy = bytes_empty(&f->allocator.base);
    assert_ok(attributes_encode(&f->encoded, &memory, some_spaces, 3));
    for (unsigned round = 0; round < 20000; round++) {
        assert_ok(bytes_set(&copy, bytes_slice(&f->encoded)));
        for (uint64_t n = test_random(&seed) % 4 + 1; n > 0; n--)
            copy.data[test_random(&seed) % copy.size] = (uint8_t)test_random(&seed);
        copy.size -= test_random(&seed) % 8 == 0 ? test_random(&seed) % copy.size : 0;
        check_hostile(f, bytes_slice(&copy));
    }
    bytes_free(&copy);
}

static void allocations_fail(void **state) {
    struct fixture *f = *state;
    lore_memory memory = full_memory();
    assert_ok(attributes_encode(&f->encoded, &memory, some_spaces, 3));
    for (long n = 0;; n++) {
        struct attributes back;
        f->allocator.fail_at = n;
        lore_status status = attributes_decode(bytes_slice(&f->encoded), &f->allocator.base, &back);
        f->allocator.fail_at = -1;
        if (status == LORE_OK) {
            assert_true(n == 2);
            attributes_deinit(&back);
            break;
        }
        assert_status(status, LORE_NO_MEMORY);
        assert_int_equal(f->allocator.blocks, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(there_and_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_form_is_fixed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hostile_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(allocations_fail, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
