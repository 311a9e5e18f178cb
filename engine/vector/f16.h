/*
 * f16.h - elements of stored vectors: IEEE binary32 and binary16 read from little-endian bytes at
 * any alignment, exact conversion both ways without the help of the processor, and the check that a
 * vector holds neither NaN nor infinity.
 *
 *   binary16:  sign 1 bit | exponent 5 bits, bias 15 | mantissa 10 bits
 *   binary32:  sign 1 bit | exponent 8 bits, bias 127 | mantissa 23 bits
 *
 * Every binary16 is a binary32, so widening is exact, subnormals included. Narrowing rounds to
 * nearest, ties to even; what is too large becomes infinity, NaN stays a (quiet) NaN.
 */
#ifndef LORE_VECTOR_F16_H
#define LORE_VECTOR_F16_H

#include <string.h>
#include "base/coding.h"

static inline float f32_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline uint32_t f32_to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 31u;
    uint32_t mantissa = half & 0x3ffu;
    if (exponent == 31) return f32_from_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent != 0) return f32_from_bits(sign | (exponent + 112u) << 23 | mantissa << 13);
    /* Zero or subnormal: the mantissa counts units of 2^-24, which binary32 holds exactly. */
    float magnitude = (float)mantissa * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
}

/* `value` divided by 2^shift, rounded to nearest, ties to even. 1 <= shift <= 31. */
static inline uint32_t shift_rounded(uint32_t value, unsigned shift) {
    uint32_t half_way = 1u << (shift - 1);
    uint32_t odd = (value >> shift) & 1u;
    return (value + (half_way - 1u) + odd) >> shift;
}

static inline uint16_t f16_from_f32(float value) {
    uint32_t bits = f32_to_bits(value);
    uint32_t sign = (bits >> 16) & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7c00u); /* 2^16 and more */
    /* Below 2^-14 the result counts units of 2^-24; from 2^-25 down it rounds to zero. A mantissa
     * that rounds up to 2^10 carries into the exponent, which is just what it should do. */
    if (magnitude < 0x38800000u) {
        if (magnitude <= 0x33000000u) return (uint16_t)sign;
        uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
        return (uint16_t)(sign | shift_rounded(mantissa, 126u - (magnitude >> 23)));
    }
    return (uint16_t)(sign | shift_rounded(magnitude - 0x38000000u, 13));
}

static inline float load_f32(const uint8_t *at) {
    return f32_from_bits(get_u32(at));
}
static inline float load_f16(const uint8_t *at) {
    return f16_to_f32(get_u16(at));
}

/* Whether none of `dims` stored elements is NaN or infinite. */
static inline bool f32_all_finite(const void *elements, uint32_t dims) {
    const uint8_t *at = elements;
    for (uint32_t i = 0; i < dims; i++) {
        if ((get_u32(at + 4 * (size_t)i) & 0x7f800000u) == 0x7f800000u) return false;
    }
    return true;
}
static inline bool f16_all_finite(const void *elements, uint32_t dims) {
    const uint8_t *at = elements;
    for (uint32_t i = 0; i < dims; i++) {
        if ((get_u16(at + 2 * (size_t)i) & 0x7c00u) == 0x7c00u) return false;
    }
    return true;
}

#endif
