/*
 * vectors_fuzz.c - any bytes as a file of vectors, read into a space of every element type.
 *
 *   input   u8 flags: bit 0, the file is named .f16bin; bits 1..7, dimensions of the space, less 1;
 *           then the file
 */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfs/scratch.h"

static int file = -1; /* in memory, without a name */
static char plain[64], named[PATH_BYTES_MAX + 32];

static void make_names(void) {
    static char folder[PATH_BYTES_MAX];
    file = memfd_create("lore", MFD_CLOEXEC);
    fuzz_require(file >= 0);
    (void)snprintf(plain, sizeof plain, "/proc/self/fd/%d", file);
    fuzz_must(scratch_folder(NULL, "vectors", folder));
    (void)snprintf(named, sizeof named, "%s/v.f16bin", folder);
    fuzz_require(symlink(plain, named) == 0);
}

static void read_rows(struct vector_file *vectors, const lore_space_spec *spec) {
    size_t stride = space_stride(spec);
    uint64_t rows[] = {0, 1, vectors->rows - 1, vectors->rows, UINT64_MAX};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct text error = {0};
        uint8_t *out = malloc(stride == 0 ? 1 : stride); /* of its size: a byte beyond it is seen */
        fuzz_require(out != NULL);
        bool fine = vector_file_row(vectors, rows[i], spec, out, &error);
        fuzz_require(fine == (error.size == 0));
        fuzz_require(!fine || rows[i] < vectors->rows);
        free(out);
        text_free(&error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const lore_element elements[] = {LORE_ELEMENT_F32, LORE_ELEMENT_F16, LORE_ELEMENT_INT8,
                                            LORE_ELEMENT_BINARY};
    if (file < 0) make_names();
    if (size == 0) return 0;
    fuzz_require(ftruncate(file, 0) == 0);
    fuzz_require(pwrite(file, data + 1, size - 1, 0) == (ssize_t)(size - 1));
    struct vector_file vectors;
    struct text error = {0};
    bool fine = vector_file_open(&vectors, (data[0] & 1) != 0 ? named : plain, &error);
    fuzz_require(fine == (error.size == 0));
    if (fine) {
        fuzz_require(vectors.dimensions <= LORE_DIMENSIONS_MAX);
        for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++) {
            uint32_t dimensions = data[0] / 2u + 1;
            if (elements[i] == LORE_ELEMENT_BINARY) dimensions *= 8;
            lore_space_spec spec = {dimensions, elements[i], LORE_METRIC_L2, {NULL, 0}};
            read_rows(&vectors, &spec);
            spec.dimensions = vectors.dimensions; /* the one that fits */
            if (spec.dimensions > 0) read_rows(&vectors, &spec);
        }
        vector_file_close(&vectors);
    }
    text_free(&error);
    return 0;
}

static void npy_seed(struct bytes *seed, const char *type, const char *shape, size_t bytes) {
    char header[128];
    int size = snprintf(header, sizeof header,
                        "{'descr': '%s', 'fortran_order': False, 'shape': %s, }\n", type, shape);
    uint8_t start[] = {2, 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)size, 0};
    fuzz_must(bytes_append(seed, start, sizeof start));
    fuzz_must(bytes_append(seed, header, (size_t)size));
    for (size_t i = 0; i < bytes; i++)
        fuzz_must(bytes_append(seed, "\x3C", 1));
}

bool fuzz_seed(unsigned number, struct bytes *seed) {
    static const uint8_t halves[] = {3, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0x3C, 0, 0x40, 0, 0x42, 0, 0xC4};
    switch (number) {
    case 0: fuzz_must(bytes_append(seed, halves, sizeof halves)); return true;
    case 1: fuzz_must(bytes_append(seed, "\2[1, -2.5e3]", 12)); return true;
    case 2: npy_seed(seed, "<f4", "(3, 2)", 24); return true;
    case 3: npy_seed(seed, "<f2", "(2,)", 4); return true;
    case 4: npy_seed(seed, "|u1", "(2, 1)", 2); return true;
    case 5: npy_seed(seed, "|i1", "(2, 2)", 4); return true;
    case 6: fuzz_must(bytes_append(seed, "\2raw bytes", 9)); return true;
    default: return false;
    }
}
