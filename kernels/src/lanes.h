// Vectors of LANES numbers for work that goes on side by side: samples of a lobe, texels of a map, rays in a grid.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "lane_sum.h"

#if defined(__AVX512F__)
#include <immintrin.h>  // where the compiler misses a single instruction
#endif

namespace {

constexpr int LANES = 16;
typedef float FloatLanes __attribute__((vector_size(4 * LANES)));
typedef int32_t IntLanes __attribute__((vector_size(4 * LANES)));  // comparisons give -1 and 0
typedef uint32_t BitLanes __attribute__((vector_size(4 * LANES)));

constexpr IntLanes ORDINAL = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

inline FloatLanes all(float value) { return FloatLanes{} + value; }
inline IntLanes all_int(int32_t value) { return IntLanes{} + value; }

inline FloatLanes to_float(IntLanes v) { return __builtin_convertvector(v, FloatLanes); }
inline IntLanes to_int(FloatLanes v) { return __builtin_convertvector(v, IntLanes); }  // towards zero

template <class Lanes, class Value>
inline Lanes load_lanes(const Value *from) {
    Lanes v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

// Entries of a table of 32-bit values.
template <class Lanes, class Value>
inline void fetch(const Value *table, const IntLanes &index, Lanes &out) {
#if defined(__AVX512F__)
    const __m512i got = _mm512_i32gather_epi32((__m512i)index, table, 4);
    std::memcpy(&out, &got, sizeof out);
#else
    Value value[LANES];
    int32_t at[LANES];
    for (int k = 0; k < LANES; ++k) at[k] = index[k];
    for (int k = 0; k < LANES; ++k) value[k] = table[at[k]];
    for (int k = 0; k < LANES; ++k) out[k] = value[k];
#endif
}

// Rows of a (n, 4) table by component. Each row is one load, and eight shuffles turn them over.
inline void fetch_rows(const float *table, const IntLanes &index, FloatLanes *out) {
    int32_t at[LANES];
    float row[LANES][4];
    std::memcpy(at, &index, sizeof at);
    for (int k = 0; k < LANES; ++k) std::memcpy(row[k], table + 4 * size_t(at[k]), sizeof row[k]);
    FloatLanes quad[4];
    std::memcpy(quad, row, sizeof row);
    for (int c = 0; c < 4; c += 2) {
        FloatLanes half[2];  // components c and c + 1 of eight rows each
        for (int h = 0; h < 2; ++h) {
            const FloatLanes a = quad[2 * h], b = quad[2 * h + 1];
            half[h] = c == 0
                ? __builtin_shufflevector(a, b, 0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29)
                : __builtin_shufflevector(a, b, 2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
        }
        out[c] = __builtin_shufflevector(half[0], half[1], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
        out[c + 1] = __builtin_shufflevector(half[0], half[1], 8, 9, 10, 11, 12, 13, 14, 15,
                                             24, 25, 26, 27, 28, 29, 30, 31);
    }
}

inline BitLanes count_bits(BitLanes v) {
    v = v - (v >> 1 & 0x55555555u);
    v = (v & 0x33333333u) + (v >> 2 & 0x33333333u);
    return ((v + (v >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}

inline uint32_t pack(const IntLanes &truth) {  // bit k: lane k
#if defined(__AVX512DQ__)
    return _mm512_movepi32_mask((__m512i)truth);
#else
    uint32_t bits = 0;
    for (int k = 0; k < LANES; ++k) bits |= uint32_t(truth[k]) & 1u << k;
    return bits;
#endif
}

inline IntLanes unpack(uint32_t bits) { return (all_int(int32_t(bits)) >> ORDINAL & 1) != 0; }

inline FloatLanes root(FloatLanes v) {
    float value[LANES];
    std::memcpy(value, &v, sizeof v);
    for (int k = 0; k < LANES; ++k) value[k] = std::sqrt(value[k]);
    return load_lanes<FloatLanes>(value);
}

inline FloatLanes magnitude(FloatLanes v) { return v < 0.0f ? -v : v; }
inline FloatLanes at_least(FloatLanes v, float low) { return v > low ? v : all(low); }  // NaN -> low
inline FloatLanes clamp(FloatLanes v, float low, float high) { return at_least(v < high ? v : all(high), low); }
inline IntLanes clamp(IntLanes v, IntLanes low, IntLanes high) {
    const IntLanes above = v > low ? v : low;
    return above < high ? above : high;
}

// log2 of positive, normal numbers, error below 1e-6: exponent, and an atanh series of the mantissa about 1.
inline FloatLanes log2_of(FloatLanes v) {
    BitLanes bits;
    std::memcpy(&bits, &v, sizeof bits);
    const IntLanes shifted = IntLanes(bits) - 0x3f3504f3;  // sqrt(1/2)
    const IntLanes exponent = shifted >> 23, mantissa = (shifted & 0x7fffff) + 0x3f3504f3;
    FloatLanes m;
    std::memcpy(&m, &mantissa, sizeof m);
    const FloatLanes s = (m - 1.0f) / (m + 1.0f), q = s * s;
    return to_float(exponent) + s * (2.88539008f + q * (0.961796694f + q * (0.577078016f + q * 0.412198583f)));
}

// 2^v for v from -100 to 0, relative error below 1e-6: exponent, and a series of the rest.
inline FloatLanes exp2_of(FloatLanes v) {
    const IntLanes whole = to_int(v - 0.5f);
    const FloatLanes r = (v - to_float(whole)) * 0.693147181f;
    const FloatLanes m = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720))))));
    const IntLanes bits = (whole + 127) << 23;
    FloatLanes scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return m * scale;
}

}  // namespace
