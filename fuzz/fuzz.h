/*
 * fuzz.h - what a fuzz target may offer beside LLVMFuzzerTestOneInput.
 *
 * A target is fuzz/x_fuzz.c; its name stands in the list of fuzz/meson.build. Two programs:
 *
 *   libFuzzer's        -Dfuzz=true, clang: `x_fuzz CORPUS_FOLDER`
 *   every test run's   with replay_main.c: `x_replay` mutates the target's seeds
 */
#ifndef LORE_FUZZ_FUZZ_H
#define LORE_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Optional: valid inputs to mutate. False: there is no seed of this number. `seed` is empty. */
bool fuzz_seed(unsigned number, struct bytes *seed);

/* What must not fail, and what must hold: a failure is a finding. */
static inline void fuzz_must(lore_status status) {
    if (status != LORE_OK) abort();
}
static inline void fuzz_require(bool holds) {
    if (!holds) abort();
}

#endif
