/* vectors.c - see vectors.h. Numbers in files are little-endian and read byte by byte. */
#include "vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sizetext.h"

#define JSON_VECTOR_BYTES_MAX (1u << 20)
#define NPY_HEADER_BYTES_MAX  4096u

float half_to_float(uint16_t half) {
    uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31,
             fraction = half & 1023;
    uint32_t bits;
    if (exponent == 31) {
        bits = sign | 0x7F800000u | fraction << 13;
    } else if (exponent > 0) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        float value = ldexpf((float)fraction, -24);
        return sign != 0 ? -value : value;
    }
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint16_t half_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    float size = fabsf(value);
    if (isnan(value)) return (uint16_t)(sign | 0x7E00u);
    if (size >= 65520.0f) return (uint16_t)(sign | 0x7C00u);
    if (size < 6.103515625e-05f) { /* subnormal: a multiple of 2^-24 */
        return (uint16_t)(sign | (uint16_t)lrintf(ldexpf(size, 24)));
    }
    uint32_t rest = bits & 0x7FFFFFFFu;
    uint32_t half = (rest >> 13) - (112u << 10);
    uint32_t cut = rest & 0x1FFFu;
    half += cut > 0x1000u || (cut == 0x1000u && (half & 1) != 0);
    return (uint16_t)(sign | half);
}

static bool read_exactly(int fd, void *out, size_t size, uint64_t offset) {
    uint8_t *p = out;
    while (size > 0) {
        ssize_t count = pread(fd, p, size, (off_t)offset);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        p += count;
        size -= (size_t)count;
        offset += (uint64_t)count;
    }
    return true;
}

static uint32_t u32_at(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t element_bytes(lore_element element) {
    return element == LORE_ELEMENT_F32 ? 4 : element == LORE_ELEMENT_F16 ? 2 : 1;
}

/* The shape and type of an .npy header: {'descr': '<f2', 'fortran_order': False, 'shape': (3, 512),
 * } */
static bool npy_header(struct vector_file *file, const char *header, struct text *error) {
    const char *descr = strstr(header, "'descr'"), *shape = strstr(header, "'shape'");
    const char *type = descr == NULL ? NULL : strchr(descr + 7, '\'');
    const char *open = shape == NULL ? NULL : strchr(shape, '(');
    if (type == NULL || open == NULL || strstr(header, "'fortran_order': True") != NULL) {
        return text_puts(error, "its .npy header is not understood"), false;
    }
    if (strncmp(type, "'<f4'", 5) == 0) {
        file->element = LORE_ELEMENT_F32;
    } else if (strncmp(type, "'<f2'", 5) == 0) {
        file->element = LORE_ELEMENT_F16;
    } else if (strncmp(type, "'|i1'", 5) == 0) {
        file->element = LORE_ELEMENT_INT8;
    } else if (strncmp(type, "'|u1'", 5) == 0) {
        file->element = LORE_ELEMENT_BINARY;
    } else {
        return text_puts(error, "its elements are not f4, f2, i1 or u1"), false;
    }
    char *end;
    errno = 0;
    unsigned long long first = strtoull(open + 1, &end, 10), second = 0;
    bool two = *end == ',' && (end++, end += strspn(end, " "), *end != ')');
    if (two) second = strtoull(end, &end, 10);
    file->rows = two ? first : 1;
    uint64_t width = two ? second : first;
    uint64_t width_max =
        file->element == LORE_ELEMENT_BINARY ? LORE_DIMENSIONS_MAX / 8 : LORE_DIMENSIONS_MAX;
    if (errno != 0 || width < 1 || width > width_max || file->rows > UINT32_MAX) {
        return text_puts(error, "its shape is not that of vectors"), false;
    }
    file->stride = (size_t)width * element_bytes(file->element);
    file->dimensions = (uint32_t)width * (file->element == LORE_ELEMENT_BINARY ? 8 : 1);
    return true;
}

static bool open_npy(struct vector_file *file, const uint8_t *start, struct text *error) {
    size_t length_bytes = start[6] == 1 ? 2 : 4;
    size_t length =
        length_bytes == 2 ? (size_t)start[8] | (size_t)start[9] << 8 : u32_at(start + 8);
    char header[NPY_HEADER_BYTES_MAX + 1];
    if (length > NPY_HEADER_BYTES_MAX ||
        !read_exactly(file->fd, header, length, 8 + length_bytes)) {
        return text_puts(error, "its .npy header is not understood"), false;
    }
    header[length] = 0;
    file->start = 8 + length_bytes + length;
    return npy_header(file, header, error);
}

static bool open_json(struct vector_file *file, uint64_t size, struct text *error) {
    if (size > JSON_VECTOR_BYTES_MAX) return text_puts(error, "it is too long for a vector"), false;
    char *bytes = alloc_bytes((size_t)size);
    json_t *array = NULL;
    if (read_exactly(file->fd, bytes, (size_t)size, 0))
        array = json_loadb(bytes, (size_t)size, 0, NULL);
    free(bytes);
    size_t count = json_array_size(array);
    bool fine = count >= 1 && count <= LORE_DIMENSIONS_MAX;
    for (size_t i = 0; fine && i < count; i++) {
        const json_t *value = json_array_get(array, i);
        float number = (float)json_number_value(value);
        fine = json_is_number(value) && isfinite(number);
        text_add(&file->json, &number, sizeof number);
    }
    json_decref(array);
    file->rows = 1;
    file->dimensions = (uint32_t)count;
    file->element = LORE_ELEMENT_F32;
    file->stride = count * 4;
    if (!fine) text_puts(error, "it is not a JSON array of finite numbers");
    return fine;
}

static bool open_as(struct vector_file *file, const char *path, uint64_t size, struct text *error) {
    uint8_t start[12] = {0};
    if (!read_exactly(file->fd, start, size < sizeof start ? (size_t)size : sizeof start, 0)) {
        return text_puts(error, "it cannot be read"), false;
    }
    size_t name = strlen(path);
    if (size >= 12 && memcmp(start, "\x93NUMPY", 6) == 0) {
        if (!open_npy(file, start, error)) return false;
    } else if (size > 0 && start[0] == '[') {
        return open_json(file, size, error);
    } else if (name > 7 && strcmp(path + name - 7, ".f16bin") == 0) {
        file->rows = u32_at(start);
        file->dimensions = u32_at(start + 4);
        file->element = LORE_ELEMENT_F16;
        file->start = 8;
        if (file->dimensions < 1 || file->dimensions > LORE_DIMENSIONS_MAX) {
            return text_puts(error, "its head does not name 1 to 4096 dimensions"), false;
        }
        file->stride = (size_t)file->dimensions * 2;
    } else {
        file->rows = 1;
        file->stride = (size_t)size;
        return true;
    }
    if (file->start + file->rows * file->stride != size) {
        text_printf(error, "it is cut: %" PRIu64 " bytes where its head promises %" PRIu64, size,
                    file->start + file->rows * file->stride);
        return false;
    }
    return true;
}

bool vector_file_open(struct vector_file *file, const char *path, struct text *error) {
    *file = (struct vector_file){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    struct stat info;
    if (file->fd < 0 || fstat(file->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        text_printf(error, "%s: %s", path, file->fd < 0 ? strerror(errno) : "not a regular file");
        vector_file_close(file);
        return false;
    }
    struct text why = {0};
    bool fine = open_as(file, path, (uint64_t)info.st_size, &why);
    if (!fine) {
        text_printf(error, "%s: %s", path, text_string(&why));
        vector_file_close(file);
    }
    text_free(&why);
    return fine;
}

void vector_file_close(struct vector_file *file) {
    if (file->fd >= 0) close(file->fd);
    text_free(&file->json);
    file->fd = -1;
}

static float float_at(const uint8_t *row, lore_element element, uint32_t index) {
    float value;
    uint32_t bits;
    switch (element) {
    case LORE_ELEMENT_F32:
        bits = u32_at(row + (size_t)index * 4);
        memcpy(&value, &bits, sizeof value);
        return value;
    case LORE_ELEMENT_F16:
        return half_to_float((uint16_t)(row[(size_t)index * 2] | row[(size_t)index * 2 + 1] << 8));
    case LORE_ELEMENT_INT8:
    case LORE_ELEMENT_BINARY: break;
    }
    return (float)(int8_t)row[index];
}

static bool convert(const uint8_t *row, lore_element from, const lore_space_spec *spec,
                    uint8_t *out, struct text *error) {
    if (from == LORE_ELEMENT_BINARY || spec->element == LORE_ELEMENT_BINARY) {
        return text_puts(error, "binary and numeric vectors do not convert"), false;
    }
    for (uint32_t i = 0; i < spec->dimensions; i++) {
        float value = float_at(row, from, i);
        if (spec->element == LORE_ELEMENT_F32) {
            uint32_t bits;
            memcpy(&bits, &value, sizeof bits);
            for (int k = 0; k < 4; k++)
                *out++ = (uint8_t)(bits >> 8 * k);
        } else if (spec->element == LORE_ELEMENT_F16) {
            uint16_t half = half_of_float(value);
            *out++ = (uint8_t)half;
            *out++ = (uint8_t)(half >> 8);
        } else if (value >= -128 && value <= 127 && value == rintf(value)) {
            *out++ = (uint8_t)(int8_t)value;
        } else {
            return text_puts(error, "a number does not fit int8"), false;
        }
    }
    return true;
}

bool vector_file_row(struct vector_file *file, uint64_t row, const lore_space_spec *spec, void *out,
                     struct text *error) {
    size_t stride = space_stride(spec);
    if (row >= file->rows) {
        text_printf(error, "row %" PRIu64 " of %" PRIu64, row, file->rows);
        return false;
    }
    bool raw = file->dimensions == 0;
    if (raw ? file->stride != stride : file->dimensions != spec->dimensions) {
        text_printf(error, "the space has %" PRIu32 " dimensions (%zu bytes), the file ",
                    spec->dimensions, stride);
        if (raw) text_printf(error, "%zu bytes", file->stride);
        if (!raw) text_printf(error, "%" PRIu32, file->dimensions);
        return false;
    }
    uint8_t bytes[LORE_DIMENSIONS_MAX * 4];
    if (file->json.size > 0) {
        memcpy(bytes, file->json.data, file->json.size);
    } else if (!read_exactly(file->fd, bytes, file->stride, file->start + row * file->stride)) {
        text_puts(error, "it cannot be read");
        return false;
    }
    if (!raw && file->element != spec->element)
        return convert(bytes, file->element, spec, out, error);
    memcpy(out, bytes, stride);
    return true;
}

bool vector_read(const char *place, const lore_space_spec *spec, struct pool *pool, lore_slice *out,
                 struct text *error) {
    struct text path = {0};
    text_puts(&path, place);
    uint64_t row = 0;
    char *hash = strrchr(path.data, '#');
    if (hash != NULL && access(place, F_OK) != 0 && count_parse(hash + 1, &row)) *hash = 0;
    struct vector_file file;
    bool fine = vector_file_open(&file, path.data, error);
    if (fine) {
        out->size = space_stride(spec);
        void *bytes = pool_alloc(pool, out->size);
        struct text why = {0};
        fine = vector_file_row(&file, row, spec, bytes, &why);
        if (!fine) text_printf(error, "%s: %s", path.data, text_string(&why));
        text_free(&why);
        out->data = bytes;
        vector_file_close(&file);
    }
    text_free(&path);
    return fine;
}
