/*
 * read_checks.h - gets and walks of a tree against the model of a history.
 *
 * For *_test.c only.
 */
#ifndef LORE_LSM_READ_CHECKS_H
#define LORE_LSM_READ_CHECKS_H

#include "lsm/read_testing.h"

/* Of a key that is not there, compaction may have forgotten when it was deleted. */
static inline void check_sequence(const struct history *h, const struct model_answer *answer,
                                  uint64_t sequence) {
    if (sequence <= answer->sequence && !answer->found && h->deletes_vanish) return;
    assert_int_equal(sequence, answer->sequence);
}

static inline void check_gets(struct tree_fixture *t, const struct history *h, uint64_t sequence) {
    struct bytes value = bytes_empty(&t->segments.allocator.base);
    for (size_t key = 0; key < h->keys_count; key++) {
        struct model_answer answer;
        model_get(h, key, sequence, &answer);
        struct lookup lookup;
        assert_ok(lsm_get(t->lsm, test_key_slice(h, key), sequence, NULL, &lookup, &value));
        assert_int_equal(lookup.found, answer.found);
        check_sequence(h, &answer, lookup.sequence);
        if (answer.found) assert_true(slice_equal(bytes_slice(&value), answer.value));
        assert_ok(lsm_get(t->lsm, test_key_slice(h, key), sequence, NULL, &lookup, NULL));
        assert_int_equal(lookup.found, answer.found);
        if (!h->keys[key].vector) continue;
        bool found, in_rows;
        struct value_ref ref;
        uint64_t at;
        assert_ok(lsm_locate_vector(t->lsm, test_key_slice(h, key), sequence, NULL, &found,
                                    &in_rows, &ref, &at));
        assert_int_equal(found, answer.found);
        check_sequence(h, &answer, at);
    }
    bytes_free(&value);
}

static inline void check_newest(struct tree_fixture *t, const struct history *h) {
    for (size_t key = 0; key < h->keys_count; key++) {
        struct model_answer answer;
        model_get(h, key, SEQUENCE_MAX, &answer);
        uint64_t sequence;
        bool is_delete;
        assert_ok(lsm_newest(t->lsm, test_key_slice(h, key), &sequence, &is_delete));
        assert_int_equal(sequence, answer.sequence);
        assert_int_equal(is_delete, answer.sequence > 0 && !answer.found);
    }
}

/* The iterator stands at key number `key`, or nowhere if it is keys_count. */
static inline void check_stands(struct lsm_iterator *it, const struct history *h, size_t key,
                                uint64_t sequence, bool look_at_value) {
    assert_int_equal(lsm_iterator_valid(it), key < h->keys_count);
    if (key == h->keys_count) return;
    struct model_answer answer;
    model_get(h, key, sequence, &answer);
    assert_true(slice_equal(lsm_iterator_key(it), test_key_slice(h, key)));
    assert_int_equal(lsm_iterator_sequence(it), answer.sequence);
    if (!look_at_value) return;
    lore_slice value;
    assert_ok(lsm_iterator_value(it, &value));
    assert_true(slice_equal(value, answer.value));
}

/* The first key that is there at or after `key` and before `to`; keys_count: none. */
static inline size_t model_next(const struct history *h, size_t key, size_t to, uint64_t sequence) {
    for (; key < to; key++) {
        struct model_answer answer;
        model_get(h, key, sequence, &answer);
        if (answer.found) return key;
    }
    return h->keys_count;
}

/* The last before `end` and not before `from`. */
static inline size_t model_prev(const struct history *h, size_t end, size_t from,
                                uint64_t sequence) {
    while (end-- > from) {
        struct model_answer answer;
        model_get(h, end, sequence, &answer);
        if (answer.found) return end;
    }
    return h->keys_count;
}

static inline void check_walks(struct tree_fixture *t, const struct history *h, uint64_t *seed,
                               uint64_t sequence) {
    size_t none = h->keys_count;
    size_t from = test_random(seed) % 2 == 0 ? 0 : test_random(seed) % none;
    size_t to = test_random(seed) % 2 == 0 ? none : test_random(seed) % (none + 1);
    lore_slice lower = from == 0 ? slice(NULL, 0) : test_key_slice(h, from);
    lore_slice upper = to == none ? slice(NULL, 0) : test_key_slice(h, to);
    struct lsm_iterator *it;
    assert_ok(
        lsm_iterator_create(t->lsm, &t->segments.allocator.base, sequence, lower, upper, &it));
    assert_ok(lsm_iterator_seek_first(it));
    size_t at = model_next(h, from, to, sequence);
    for (;; at = model_next(h, at + 1, to, sequence)) {
        check_stands(it, h, at, sequence, test_random(seed) % 2 == 0);
        if (at == none) break;
        assert_ok(lsm_iterator_next(it));
    }
    assert_ok(lsm_iterator_seek_last(it));
    at = model_prev(h, to, from, sequence);
    for (;; at = model_prev(h, at, from, sequence)) {
        check_stands(it, h, at, sequence, test_random(seed) % 2 == 0);
        if (at == none) break;
        assert_ok(lsm_iterator_prev(it));
    }
    for (int step = 0; step < 60; step++) { /* to and fro */
        uint64_t die = test_random(seed) % 10;
        size_t key = test_random(seed) % none;
        if (die < 2) {
            assert_ok(lsm_iterator_seek(it, test_key_slice(h, key)));
            at = model_next(h, key < from ? from : key, to, sequence);
        } else if (die < 4) {
            assert_ok(lsm_iterator_seek_back(it, test_key_slice(h, key)));
            at = model_prev(h, key + 1 > to ? to : key + 1, from, sequence);
        } else if (at == none) {
            continue;
        } else if (die < 7) {
            assert_ok(lsm_iterator_next(it));
            at = model_next(h, at + 1, to, sequence);
        } else {
            assert_ok(lsm_iterator_prev(it));
            at = model_prev(h, at, from, sequence);
        }
        check_stands(it, h, at, sequence, die % 2 == 0);
    }
    lsm_iterator_destroy(it);
}

#endif
