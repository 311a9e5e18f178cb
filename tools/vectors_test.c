/* vectors_test.c - half floats, and vectors from files. */
#include "vectors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void halves(void **state) {
    (void)state;
    for (uint32_t half = 0; half < 65536; half++) {
        float value = half_to_float((uint16_t)half);
        if (isnan(value)) {
            assert_true((half & 0x7C00) == 0x7C00);
            continue;
        }
        if (half_of_float(value) != half)
            fail_msg("%u is %g, back %u", half, (double)value, half_of_float(value));
    }
    assert_int_equal(half_of_float(1.0f + 1.0f / 2048), 0x3C00); /* a tie goes to the even one */
    assert_int_equal(half_of_float(1.0f + 3.0f / 2048), 0x3C02);
    assert_int_equal(half_of_float(65519.0f), 0x7BFF);
    assert_int_equal(half_of_float(65520.0f), 0x7C00);
    assert_int_equal(half_of_float(1e-10f), 0);
}

static char directory[] = "/tmp/lore-vectors-XXXXXX";
static char path[sizeof directory + 16];

static void write_file(const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static bool read_row(const char *place, lore_element element, uint32_t dimensions, lore_slice *out,
                     struct pool *pool) {
    lore_space_spec spec = {.dimensions = dimensions, .element = element, .metric = LORE_METRIC_L2};
    struct text error = {0};
    bool fine = vector_read(place, &spec, pool, out, &error);
    assert_true(fine || error.size > 0);
    text_free(&error);
    return fine;
}

static void files(void **state) {
    (void)state;
    struct pool pool = {0};
    lore_slice out;
    char place[64];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/v.f16bin", directory);
    static const uint8_t two[] = {2, 0,    0, 0,    2, 0,    0, 0,
                                  0, 0x3C, 0, 0x40, 0, 0x42, 0, 0xC4}; /* 1 2, 3 -4 */
    write_file(two, sizeof two);
    snprintf(place, sizeof place, "%s#1", path);
    assert_true(read_row(place, LORE_ELEMENT_F32, 2, &out, &pool));
    float floats[2];
    memcpy(floats, out.data, sizeof floats);
    assert_true(floats[0] == 3 && floats[1] == -4);
    assert_true(read_row(place, LORE_ELEMENT_INT8, 2, &out, &pool));
    assert_memory_equal(out.data, "\x03\xFC", 2);
    assert_false(read_row(place, LORE_ELEMENT_F32, 3, &out, &pool));
    assert_false(read_row(place, LORE_ELEMENT_BINARY, 16, &out, &pool));
    snprintf(place, sizeof place, "%s#2", path);
    assert_false(read_row(place, LORE_ELEMENT_F32, 2, &out, &pool));
    write_file(two, sizeof two - 1);
    assert_false(read_row(path, LORE_ELEMENT_F32, 2, &out, &pool));
    static const uint8_t huge[] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    write_file(huge, sizeof huge);
    assert_false(read_row(path, LORE_ELEMENT_F32, 2, &out, &pool));
    write_file("", 0);
    assert_false(read_row(path, LORE_ELEMENT_F32, 2, &out, &pool));
    write_file("[1, 2.5]", 8);
    assert_true(read_row(path, LORE_ELEMENT_F32, 2, &out, &pool));
    assert_false(read_row(path, LORE_ELEMENT_INT8, 2, &out, &pool));
    write_file("[1, \"x\"]", 8);
    assert_false(read_row(path, LORE_ELEMENT_F32, 2, &out, &pool));
    write_file("\x93NUMPY\x01\x00\xff\xff{'descr'", 18);
    assert_false(read_row(path, LORE_ELEMENT_F32, 2, &out, &pool));
    unlink(path);
    rmdir(directory);
    pool_reset(&pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(halves), cmocka_unit_test(files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
