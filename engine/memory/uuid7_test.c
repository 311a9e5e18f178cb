/* Tests of uuid7.c: the form, and that ids only grow whatever the clock does. */
#include "base/testing.h"
#include "memory/uuid7.h"
#include "vfs/sync.h"

/* The real one, with a clock that a test sets and chance that is all ones or what it was. */
struct fake_sys {
    struct sys base;
    struct sys_ops ops;
    int64_t now_us;
    bool all_ones;
    lore_status chance;
};

static int64_t fake_now(struct sys *sys) {
    return ((struct fake_sys *)sys)->now_us;
}

static lore_status fake_random(struct sys *sys, void *data, size_t size) {
    struct fake_sys *fake = (struct fake_sys *)sys;
    if (fake->chance != LORE_OK) return fake->chance;
    if (!fake->all_ones) return env_posix()->sys->ops->random(env_posix()->sys, data, size);
    memset(data, 0xff, size);
    return LORE_OK;
}

struct fixture {
    struct fake_sys sys;
    lore_env env;
    struct uuid7 uuid7;
};

static int set_up(void **state) {
    static struct fixture f;
    f = (struct fixture){.sys = {.ops = *env_posix()->sys->ops}};
    f.sys.base.ops = &f.sys.ops;
    f.sys.ops.now_us = fake_now;
    f.sys.ops.random = fake_random;
    f.sys.now_us = INT64_C(1645557742000000); /* the example of RFC 9562, A.6 */
    f.env = *env_posix();
    f.env.sys = &f.sys.base;
    assert_ok(uuid7_init(&f.uuid7, &f.env));
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    uuid7_deinit(&((struct fixture *)*state)->uuid7);
    return 0;
}

static void has_its_form(void **state) {
    struct fixture *f = *state;
    char text[UUID7_TEXT_BYTES];
    assert_ok(uuid7_next(&f->uuid7, text));
    assert_memory_equal(text, "017f22e2-79b0-7", 15);
    assert_true(text[18] == '-' && text[23] == '-');
    assert_true(text[19] == '8' || text[19] == '9' || text[19] == 'a' || text[19] == 'b');
    for (size_t i = 0; i < UUID7_TEXT_BYTES; i++)
        assert_non_null(memchr("0123456789abcdef-", text[i], 17));
}

static void grows(struct fixture *f, char last[UUID7_TEXT_BYTES]) {
    char text[UUID7_TEXT_BYTES];
    assert_ok(uuid7_next(&f->uuid7, text));
    assert_true(memcmp(last, text, sizeof text) < 0);
    assert_true(text[14] == '7');
    memcpy(last, text, sizeof text);
}

static void only_grows(void **state) {
    struct fixture *f = *state;
    char last[UUID7_TEXT_BYTES] = {0};
    for (unsigned i = 0; i < 5000; i++) {
        if (i % 7 == 0) f->sys.now_us += 300;
        if (i % 1000 == 0) f->sys.now_us -= 5000000;
        grows(f, last);
    }
}

/* 2^73 steps of 2^32 would take long, so begin near the end. */
static void carries_into_the_next_millisecond(void **state) {
    struct fixture *f = *state;
    char last[UUID7_TEXT_BYTES] = {0};
    f->sys.all_ones = true;
    grows(f, last);
    f->uuid7.high = 0xfff;
    f->uuid7.low = (UINT64_C(1) << 62) - 2 - (UINT64_C(1) << 32);
    uint64_t ms = f->uuid7.last_ms;
    for (unsigned i = 0; i < 4; i++)
        grows(f, last);
    assert_int_equal(f->uuid7.last_ms, ms + 1);
    memset(last, 0, sizeof last);
    f->uuid7.high = 5;
    f->uuid7.low = (UINT64_C(1) << 62) - 1;
    grows(f, last);
    assert_int_equal(f->uuid7.high, 6);
}

static void no_chance_no_id(void **state) {
    struct fixture *f = *state;
    char text[UUID7_TEXT_BYTES];
    f->sys.chance = LORE_IO;
    assert_status(uuid7_next(&f->uuid7, text), LORE_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(has_its_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_grows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(carries_into_the_next_millisecond, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_chance_no_id, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
