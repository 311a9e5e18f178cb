/*
 * write_filter_test.c - what of one key's versions stays: each rule alone, in a notation of one
 * word an entry; then random histories, where every pinned sequence must read the same before and
 * after.
 *
 *   p5=abc  put at sequence 5       d7  delete      m9=3  merge, adds 3       b4=1  put in blob
 * file 1, n bytes its length
 */
#include "base/testing.h"

#include <stdio.h>

#include "lsm/write_filter.h"

struct output {
    char text[2048];
    uint64_t dropped_values, dropped_bytes;
};

static void append_entry(struct output *out, const struct entry *entry) {
    char word[64] = "?";
    int64_t sum = 0;
    struct value_ref ref;
    unsigned long long sequence = entry->sequence;
    switch (entry->kind) {
    case ENTRY_PUT:
        if (merge_field_get(entry->value, 0, &sum))
            snprintf(word, sizeof word, "P%llu=%lld", sequence, (long long)sum);
        else
            snprintf(word, sizeof word, "p%llu=%.*s", sequence, (int)entry->value.size,
                     (const char *)entry->value.data);
        break;
    case ENTRY_DELETE: snprintf(word, sizeof word, "d%llu", sequence); break;
    case ENTRY_MERGE:
        if (!merge_field_get(entry->value, 0, &sum)) sum = -1;
        snprintf(word, sizeof word, "m%llu=%lld", sequence, (long long)sum);
        break;
    case ENTRY_PUT_BLOB:
        assert_true(value_ref_decode(entry->value, &ref));
        snprintf(word, sizeof word, "b%llu=%u", sequence, (unsigned)ref.logical_id);
        break;
    case ENTRY_RANGE_DELETE:
        snprintf(word, sizeof word, "[%.*s,%.*s)%llu", (int)entry->key.size - 4,
                 (const char *)entry->key.data + 4, (int)entry->value.size - 4,
                 (const char *)entry->value.data + 4, sequence);
        break;
    default: break;
    }
    size_t used = strlen(out->text);
    snprintf(out->text + used, sizeof out->text - used, "%s%s", used == 0 ? "" : " ", word);
}

static lore_status keep(void *context, const struct entry *entry) {
    append_entry(context, entry);
    return LORE_OK;
}

static lore_status dropped(void *context, const struct entry *entry) {
    struct output *out = context;
    struct value_ref ref;
    assert_true(value_ref_decode(entry->value, &ref));
    out->dropped_values++;
    out->dropped_bytes += ref.length;
    return LORE_OK;
}

static bool drop_x(void *context, const struct entry *entry) {
    (void)context;
    return entry->kind == ENTRY_PUT_BLOB ||
           (entry->value.size > 0 && *(const char *)entry->value.data == 'x');
}

struct setup {
    const char *pins, *ranges; /* "3 7", "2 5": sequences of range deletes over the key */
    bool drop_deletes, hook;
};

static size_t parse_numbers(const char *text, uint64_t *numbers) {
    size_t count = 0;
    char *end;
    for (const char *at = text; at != NULL && *at != '\0'; at = *end == ' ' ? end + 1 : end)
        numbers[count++] = strtoull(at, &end, 10);
    return count;
}

static lore_slice key_of(char letter, uint8_t out[5]) {
    put_be32(out, 1);
    out[4] = (uint8_t)letter;
    return slice(out, 5);
}

static void add_word(struct write_filter *filter, lore_slice key, const char *word) {
    uint8_t value[64];
    char *end;
    struct entry entry = {.key = key, .sequence = strtoull(word + 1, &end, 10)};
    size_t size = 0;
    const char *text = *end == '=' ? end + 1 : end;
    switch (word[0]) {
    case 'p':
        entry.kind = ENTRY_PUT;
        size = strlen(text);
        memcpy(value, text, size);
        break;
    case 'P':
    case 'm':
        entry.kind = word[0] == 'P' ? ENTRY_PUT : ENTRY_MERGE;
        merge_field_encode(value, MERGE_ADD, strtoll(text, NULL, 10));
        size = MERGE_FIELD_BYTES;
        break;
    case 'd': entry.kind = ENTRY_DELETE; break;
    default: {
        struct value_ref ref = {strtoull(text, NULL, 10), 0, 1000};
        entry.kind = ENTRY_PUT_BLOB;
        value_ref_encode(&ref, value);
        size = VALUE_REF_BYTES;
    }
    }
    entry.value = slice(value, size);
    assert_ok(write_filter_add(filter, &entry));
}

static void run(const struct setup *setup, const char *input, struct output *out) {
    struct test_allocator allocator;
    test_allocator_init(&allocator);
    uint64_t pins[16], ranges[16];
    uint8_t key[5], begin[5], end[5];
    size_t pins_count = parse_numbers(setup->pins, pins),
           ranges_count = parse_numbers(setup->ranges, ranges);
    struct range_deletes deletes;
    range_deletes_init(&deletes, &allocator.base);
    for (size_t i = 0; i < ranges_count; i++)
        assert_ok(range_deletes_add(&deletes, key_of('a', begin), key_of('z', end), ranges[i]));
    assert_ok(range_deletes_build(&deletes, pins, pins_count));
    struct lsm_hooks hooks = {NULL, drop_x};
    memset(out, 0, sizeof *out);
    struct write_filter_config config = {.allocator = &allocator.base,
                                         .pins = pins,
                                         .pins_count = pins_count,
                                         .deletes = &deletes,
                                         .drop_deletes = setup->drop_deletes,
                                         .hooks = setup->hook ? &hooks : NULL,
                                         .context = out,
                                         .keep = keep,
                                         .dropped = dropped};
    struct write_filter filter;
    write_filter_init(&filter, &config);
    char words[256];
    snprintf(words, sizeof words, "%s", input);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        add_word(&filter, key_of('k', key), word);
    assert_ok(write_filter_end_key(&filter));
    write_filter_deinit(&filter);
    range_deletes_deinit(&deletes);
    assert_int_equal(allocator.bytes, 0);
}

static void expect(const struct setup *setup, const char *input, const char *output) {
    struct output out;
    run(setup, input, &out);
    assert_string_equal(out.text, output);
}

static void test_one_version_a_stripe(void **state) {
    (void)state;
    struct setup none = {0}, pinned = {.pins = "3 6"};
    expect(&none, "p9=a p5=b p1=c", "p9=a");
    expect(&none, "d9 p5=b", "d9");
    expect(&pinned, "p9=a p7=b p6=c p4=d p3=e p1=f", "p9=a p6=c p3=e");
    expect(&pinned, "p7=a p2=b", "p7=a p2=b");
    expect(&pinned, "d9 d5 p4=x p1=a", "d9 d5 p1=a");
}

static void test_merges(void **state) {
    (void)state;
    struct setup none = {0}, pinned = {.pins = "4"}, bottom = {.drop_deletes = true};
    expect(&none, "m9=1 m8=2 m2=4", "m9=7");
    expect(&none, "m9=1 P8=2 m2=4", "P9=3");
    expect(&none, "m9=1 d8 m2=4", "P9=1");
    expect(&none, "m9=1 m8=2 b5=1", "m9=3 b5=1");
    expect(&none, "m9=1 p8=text p7=gone", "m9=1 p8=text");
    expect(&pinned, "m9=1 m8=2 m3=4 P2=8", "m9=3 P3=12");
    expect(&pinned, "m9=1 d4 P2=8", "m9=1 d4");
    expect(&bottom, "m9=1 m8=2", "P9=3");
    struct setup bottom_pinned = {.pins = "4", .drop_deletes = true};
    expect(&bottom_pinned, "m9=1 m3=2 m2=2", "m9=1 P3=4");
}

static void test_range_deletes_cover(void **state) {
    (void)state;
    struct setup one = {.ranges = "5"}, pinned = {.pins = "4", .ranges = "5"},
                 both = {.pins = "7", .ranges = "5 9"};
    expect(&one, "p9=a p3=b", "p9=a");
    expect(&one, "p3=b p1=c", "");
    expect(&one, "m9=1 m3=2", "P9=1");
    expect(&pinned, "p9=a p3=b p1=c", "p9=a p3=b");
    expect(&pinned, "p3=b", "p3=b");
    expect(&both, "p8=a p6=b p4=c", "p6=b");
}

static void test_deletes_at_the_bottom(void **state) {
    (void)state;
    struct setup bottom = {.drop_deletes = true}, pinned = {.pins = "4 6", .drop_deletes = true};
    expect(&bottom, "d9 p3=a", "");
    expect(&bottom, "p9=a d3", "p9=a");
    expect(&pinned, "d9 p5=a", "d9 p5=a");
    expect(&pinned, "d9 d5 p3=a", "d9 d5 p3=a");
    expect(&pinned, "d9 d5 d3", "");
    expect(&pinned, "p9=a d5 d3", "p9=a");
}

static void test_references_are_reported(void **state) {
    (void)state;
    struct setup none = {0}, range = {.ranges = "5"};
    struct output out;
    run(&none, "b9=1 b8=2 p7=x b3=3", &out);
    assert_string_equal(out.text, "b9=1");
    assert_int_equal(out.dropped_values, 2);
    assert_int_equal(out.dropped_bytes, 2000);
    run(&range, "b4=1 b2=1", &out);
    assert_string_equal(out.text, "");
    assert_int_equal(out.dropped_values, 2);
}

static void test_hook(void **state) {
    (void)state;
    struct setup hook = {.drop_deletes = true, .hook = true}, above = {.hook = true};
    struct setup pinned = {.pins = "4", .drop_deletes = true, .hook = true},
                 between = {.pins = "4 8", .drop_deletes = true, .hook = true};
    struct output out;
    expect(&hook, "p9=x p3=a", "");
    expect(&hook, "p9=a p3=x", "p9=a");
    expect(&above, "p9=x", "p9=x");
    expect(&pinned, "p9=x p3=a", "p9=x p3=a"); /* what it hides is still needed */
    expect(&pinned, "p4=x", "");               /* as everybody sees it */
    expect(&pinned, "p9=a p4=x", "p9=a p4=x");
    expect(&between, "p6=x", "p6=x"); /* some see it, others do not */
    expect(&pinned, "p9=x d3", "");
    run(&hook, "b9=1", &out);
    assert_string_equal(out.text, "");
    assert_int_equal(out.dropped_values, 1);
}

static void expect_ranges(const char *pins_text, bool drop_deletes, char after, char upto,
                          const char *expected) {
    struct test_allocator allocator;
    test_allocator_init(&allocator);
    uint64_t pins[8];
    size_t pins_count = parse_numbers(pins_text, pins);
    uint8_t a[5], b[5];
    struct range_deletes deletes;
    range_deletes_init(&deletes, &allocator.base);
    assert_ok(range_deletes_add(&deletes, key_of('c', a), key_of('m', b), 5));
    assert_ok(range_deletes_add(&deletes, key_of('h', a), key_of('t', b), 9));
    assert_ok(range_deletes_build(&deletes, pins, pins_count));
    struct output out = {.text = ""};
    struct write_filter_config config = {.allocator = &allocator.base,
                                         .pins = pins,
                                         .pins_count = pins_count,
                                         .deletes = &deletes,
                                         .drop_deletes = drop_deletes,
                                         .context = &out,
                                         .keep = keep,
                                         .dropped = dropped};
    lore_slice lower = after == 0 ? slice(NULL, 0) : key_of(after, a);
    lore_slice upper = upto == 0 ? slice(NULL, 0) : key_of(upto, b);
    assert_ok(write_filter_range_deletes(&config, lower, upper));
    assert_string_equal(out.text, expected);
    range_deletes_deinit(&deletes);
    assert_int_equal(allocator.bytes, 0);
}

static void test_range_deletes_are_clipped(void **state) {
    (void)state;
    expect_ranges("", false, 0, 0, "[c,h)5 [h,t)9");
    expect_ranges("7", false, 0, 0, "[c,h)5 [h,m)9 [h,m)5 [m,t)9");
    expect_ranges("", true, 0, 0, "");
    expect_ranges("7", true, 0, 0, "[h,m)9 [m,t)9");
    expect_ranges("", false, 'z', 0, "");
    expect_ranges("", false, 0, 'b', "");
    /* A bound is a key's successor: the key and a zero byte, which ends the text printed. */
    expect_ranges("", false, 'a', 'e', "[c,e)5");
    expect_ranges("", false, 'p', 0, "[p,t)9");
}

/* ---- random ---- */

struct version_list {
    struct entry entries[64];
    uint8_t values[64][VALUE_REF_BYTES];
    size_t count;
};

static lore_status collect(void *context, const struct entry *entry) {
    struct version_list *list = context;
    assert_true(list->count < 64);
    if (list->count > 0) assert_true(entry->sequence < list->entries[list->count - 1].sequence);
    list->entries[list->count] = *entry;
    if (entry->value.size > 0)
        memcpy(list->values[list->count], entry->value.data, entry->value.size);
    list->entries[list->count].value.data = list->values[list->count];
    list->count++;
    return LORE_OK;
}

/* What a reader at `sequence` gets: -1 nothing, else the sum. */
static int64_t read_at(const struct version_list *list, const uint64_t *ranges, size_t ranges_count,
                       uint64_t sequence) {
    uint64_t covering = 0;
    int64_t sum = 0, part;
    bool any = false;
    for (size_t i = 0; i < ranges_count; i++)
        if (ranges[i] <= sequence && ranges[i] > covering) covering = ranges[i];
    for (size_t i = 0; i < list->count; i++) {
        const struct entry *entry = &list->entries[i];
        if (entry->sequence > sequence) continue;
        if (entry->sequence < covering || entry->kind == ENTRY_DELETE) break;
        assert_true(merge_field_get(entry->value, 0, &part));
        sum += part;
        any = true;
        if (entry->kind == ENTRY_PUT) break;
    }
    return any ? sum : -1;
}

static void test_random_versions(void **state) {
    (void)state;
    uint64_t seed = 20261121, random = seed;
    printf("seed %llu\n", (unsigned long long)seed);
    struct test_allocator allocator;
    test_allocator_init(&allocator);
    for (uint32_t round = 0; round < 20000; round++) {
        static struct version_list in, out;
        in.count = out.count = 0;
        uint64_t pins[4], ranges[3];
        size_t pins_count = test_random(&random) % 5, ranges_count = test_random(&random) % 4;
        for (size_t i = 0; i < pins_count; i++)
            pins[i] = 10 * (i + 1) + test_random(&random) % 10;
        uint8_t key[5], begin[5], end[5];
        struct range_deletes deletes;
        range_deletes_init(&deletes, &allocator.base);
        for (size_t i = 0; i < ranges_count; i++) {
            ranges[i] = 100 - 2 * (test_random(&random) % 50); /* even: no entry's */
            assert_ok(range_deletes_add(&deletes, key_of('a', begin), key_of('z', end), ranges[i]));
        }
        assert_ok(range_deletes_build(&deletes, pins, pins_count));
        struct write_filter_config config = {.allocator = &allocator.base,
                                             .pins = pins,
                                             .pins_count = pins_count,
                                             .deletes = &deletes,
                                             .drop_deletes = round % 2 == 0,
                                             .context = &out,
                                             .keep = collect,
                                             .dropped = dropped};
        struct write_filter filter;
        write_filter_init(&filter, &config);
        for (uint64_t sequence = 59; sequence < 100; sequence -= 2) {
            if (test_random(&random) % 3 != 0) continue;
            uint8_t value[MERGE_FIELD_BYTES];
            merge_field_encode(value, MERGE_ADD, (int64_t)(test_random(&random) % 100));
            enum entry_kind kinds[] = {ENTRY_PUT, ENTRY_DELETE, ENTRY_MERGE, ENTRY_MERGE};
            struct entry entry = {key_of('k', key), sequence, kinds[test_random(&random) % 4],
                                  slice(value, sizeof value)};
            if (entry.kind == ENTRY_DELETE) entry.value.size = 0;
            assert_ok(collect(&in, &entry));
            assert_ok(write_filter_add(&filter, &entry));
        }
        assert_ok(write_filter_end_key(&filter));
        uint64_t now = 1000;
        assert_int_equal(read_at(&in, ranges, ranges_count, now),
                         read_at(&out, ranges, ranges_count, now));
        for (size_t i = 0; i < pins_count; i++)
            assert_int_equal(read_at(&in, ranges, ranges_count, pins[i]),
                             read_at(&out, ranges, ranges_count, pins[i]));
        assert_true(out.count <= pins_count + 1);
        write_filter_deinit(&filter);
        range_deletes_deinit(&deletes);
    }
    assert_int_equal(allocator.bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_version_a_stripe),
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_range_deletes_cover),
        cmocka_unit_test(test_deletes_at_the_bottom),
        cmocka_unit_test(test_references_are_reported),
        cmocka_unit_test(test_hook),
        cmocka_unit_test(test_range_deletes_are_clipped),
        cmocka_unit_test(test_random_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
