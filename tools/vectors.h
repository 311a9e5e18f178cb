/*
 * vectors.h - vectors from files, in the element type of a space.
 *
 * Understood: .f16bin (u32 n, u32 dim, then n * dim IEEE binary16, little-endian), NumPy .npy
 * (f4, f2, i1 or u1, one or two dimensions, C order), a JSON array of numbers, or exactly the bytes
 * of one vector. Rows count from 0. Integers become floats freely; floats become int8 only where
 * they are whole numbers of its range; binary takes u1 bytes or raw ones.
 */
#ifndef LORE_TOOLS_VECTORS_H
#define LORE_TOOLS_VECTORS_H

#include <stdbool.h>

#include "lore.h"
#include "spaces.h"
#include "text.h"

struct vector_file {
    int fd; /* owned */
    uint64_t rows;
    uint32_t dimensions;  /* 0: raw bytes of one vector */
    lore_element element; /* of the file; BINARY for u1 */
    uint64_t start;       /* offset of row 0, bytes */
    size_t stride;        /* bytes of a row */
    struct text json;     /* decoded f32 of a JSON array; owned */
};

/* False with a sentence in `error`. */
bool vector_file_open(struct vector_file *file, const char *path, struct text *error);
void vector_file_close(struct vector_file *file);

/* Row `row` as one vector of the space: space_stride(spec) bytes at `out`. */
bool vector_file_row(struct vector_file *file, uint64_t row, const lore_space_spec *spec, void *out,
                     struct text *error);

/* "PATH" or "PATH#ROW": open, read that row, close. `out` is from `pool`. */
bool vector_read(const char *place, const lore_space_spec *spec, struct pool *pool, lore_slice *out,
                 struct text *error);

float half_to_float(uint16_t half);
uint16_t half_of_float(float value); /* rounds to nearest even */

#endif
