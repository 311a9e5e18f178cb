/*
 * replay_main.c - runs a fuzz target without libFuzzer, so that every test run exercises it.
 *
 *   x_replay                 a few thousand random mutations of the target's seeds
 *   x_replay ROUNDS SEED     as many, from that random seed
 *   x_replay --seeds FOLDER  write the target's seeds as files: a corpus for libFuzzer to begin
 * with x_replay FILE...         run the files
 *
 * A crash is run again with the printed seed. With the environment variable FUZZ_KEEP each input is
 * first written to x_fuzz.input in the current folder: the last one is that of the crash.
 */
#include <stdio.h>
#include <string.h>

#include "base/coding.h"
#include "fuzz.h"
#include "vfs/env.h"

#define ROUNDS    3000u
#define SEEDS_MAX 16u
#define BYTES_MAX (1u << 20)

#pragma weak fuzz_seed

static struct bytes seeds[SEEDS_MAX];
static unsigned seeds_count;

/* splitmix64. */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t *state, uint64_t bound) {
    return next_random(state) % bound;
}

static void gather_seeds(void) {
    while (fuzz_seed != NULL && seeds_count < SEEDS_MAX) {
        struct bytes *seed = &seeds[seeds_count];
        *seed = bytes_empty(env_posix()->allocator);
        if (!fuzz_seed(seeds_count, seed)) {
            bytes_free(seed);
            break;
        }
        fuzz_require(seed->size <= BYTES_MAX);
        seeds_count++;
    }
}

/* ---- mutations ---- */

static void mutate_once(uint8_t *data, size_t *size, uint64_t *random) {
    static const uint64_t odd[] = {0,      1,          0x7f,       0x80,      0xff,
                                   0xffff, 0x7fffffff, UINT32_MAX, UINT64_MAX};
    size_t at = (size_t)below(random, *size);
    size_t left = *size - at;
    switch (below(random, 7)) {
    case 0: data[at] ^= (uint8_t)(1u << below(random, 8)); break;
    case 1: data[at] = (uint8_t)next_random(random); break;
    case 2: /* a number that is often a limit */
        for (size_t i = 0; i < 8 && i < left && i < (size_t)1 << below(random, 4); i++) {
            data[at + i] = (uint8_t)(odd[below(random, 9)] >> (8 * i));
        }
        break;
    case 3: /* a run moves */ {
        size_t length = (size_t)below(random, left < 64 ? left : 64) + 1;
        size_t from = (size_t)below(random, *size - length + 1);
        memmove(data + (at + length <= *size ? at : 0), data + from, length);
        break;
    }
    case 4: /* a run is zeros */ {
        size_t length = (size_t)below(random, left < 512 ? left : 512) + 1;
        memset(data + at, 0, length);
        break;
    }
    case 5: /* cut */
        if (below(random, 4) == 0 && at > 0) *size = at;
        break;
    default: /* a small change of a number */
        data[at] = (uint8_t)(data[at] + below(random, 5) - 2);
        break;
    }
}

static size_t make_input(uint8_t *data, uint64_t *random) {
    size_t size;
    if (seeds_count == 0 || below(random, 16) == 0) {
        size = (size_t)below(random, 300) + 1;
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)next_random(random);
        return size;
    }
    const struct bytes *seed = &seeds[below(random, seeds_count)];
    size = seed->size;
    if (size == 0) return 0;
    memcpy(data, seed->data, size);
    uint64_t count = below(random, 8);
    for (uint64_t i = 0; i < count && size > 0; i++)
        mutate_once(data, &size, random);
    return size;
}

static void write_file(const char *path, const uint8_t *data, size_t size) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) return;
    (void)fwrite(data, 1, size, file);
    (void)fclose(file);
}

static int run_rounds(uint64_t rounds, uint64_t seed) {
    static uint8_t scratch[BYTES_MAX];
    bool keep = getenv("FUZZ_KEEP") != NULL;
    uint64_t random = seed;
    (void)printf("%llu rounds, seed %llu, %u inputs to mutate\n", (unsigned long long)rounds,
                 (unsigned long long)seed, seeds_count);
    (void)fflush(stdout);
    for (uint64_t i = 0; i < rounds; i++) {
        size_t size = make_input(scratch, &random);
        if (keep) write_file("x_fuzz.input", scratch, size);
        /* A block of exactly its size, so that a read past the end is seen. */
        uint8_t *data = malloc(size == 0 ? 1 : size);
        if (data == NULL) return 1;
        memcpy(data, scratch, size);
        (void)LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    return 0;
}

/* ---- files ---- */

static int run_file(const char *path) {
    struct bytes content = bytes_empty(env_posix()->allocator);
    if (fs_read_file(env_posix(), path, (size_t)64 << 20, &content) != LORE_OK) {
        (void)fprintf(stderr, "%s\n", lore_error_message());
        return 1;
    }
    (void)LLVMFuzzerTestOneInput(content.data, content.size);
    bytes_free(&content);
    return 0;
}

static int write_seeds(const char *folder) {
    for (unsigned i = 0; i < seeds_count; i++) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/seed-%u", folder, i);
        write_file(path, seeds[i].data, seeds[i].size);
    }
    return 0;
}

int main(int argc, char **argv) {
    gather_seeds();
    int result = 0;
    if (argc == 1) {
        result = run_rounds(ROUNDS, 1);
    } else if (argc == 3 && strcmp(argv[1], "--seeds") == 0) {
        result = write_seeds(argv[2]);
    } else if (argc == 3 && strspn(argv[1], "0123456789") == strlen(argv[1])) {
        result = run_rounds(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
    } else {
        for (int i = 1; i < argc && result == 0; i++)
            result = run_file(argv[i]);
    }
    for (unsigned i = 0; i < seeds_count; i++)
        bytes_free(&seeds[i]);
    return result;
}
