// Vectors of LANES pixels, and the layout that makes them: a tile is 16x16 samples stored as 4x4 blocks, so that LANES
// neighbours in memory are a unit 4 wide and LANES/4 high. Small Gaussians touch few of them.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "lane_sum.h"

#if defined(__x86_64__)
#include <immintrin.h>  // where the compiler misses a single instruction
#endif

namespace near_kernels {
namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif
typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));  // also masks: -1 true, 0 false
typedef uint32_t Bits __attribute__((vector_size(LANES * 4)));  // what may overflow

typedef float Quad __attribute__((vector_size(16)));  // four pixels of a row, or four channels of a pixel

// Four pixels' quads of channels to four channels' quads of pixels, or back.
inline void turn(Quad* q) {
    const Quad ab0 = __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5), ab1 = __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7);
    const Quad cd0 = __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5), cd1 = __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
    q[0] = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), q[1] = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
    q[2] = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5), q[3] = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
}

// The same for all rows of a unit at once.
inline void turn(Floats* v) {
#if defined(__AVX512F__)
#define NEAR_MIX(a, b, i, j, k, l)                                                                                          \
    __builtin_shufflevector(a, b, i, j, k, l, i + 4, j + 4, k + 4, l + 4, i + 8, j + 8, k + 8, l + 8, i + 12, j + 12, k + 12, \
                            l + 12)
#else
#define NEAR_MIX(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l, i + 4, j + 4, k + 4, l + 4)
#endif
    constexpr int N = LANES;
    const Floats ab0 = NEAR_MIX(v[0], v[1], 0, N, 1, N + 1), ab1 = NEAR_MIX(v[0], v[1], 2, N + 2, 3, N + 3);
    const Floats cd0 = NEAR_MIX(v[2], v[3], 0, N, 1, N + 1), cd1 = NEAR_MIX(v[2], v[3], 2, N + 2, 3, N + 3);
    v[0] = NEAR_MIX(ab0, cd0, 0, 1, N, N + 1), v[1] = NEAR_MIX(ab0, cd0, 2, 3, N + 2, N + 3);
    v[2] = NEAR_MIX(ab1, cd1, 0, 1, N, N + 1), v[3] = NEAR_MIX(ab1, cd1, 2, 3, N + 2, N + 3);
#undef NEAR_MIX
}

// Every fourth of LANES quads, side by side.
inline Floats join(const Quad* q) {
    typedef float Octet __attribute__((vector_size(32)));
    const Octet low = __builtin_shufflevector(q[0], q[4], 0, 1, 2, 3, 4, 5, 6, 7);
#if defined(__AVX512F__)
    const Octet high = __builtin_shufflevector(q[8], q[12], 0, 1, 2, 3, 4, 5, 6, 7);
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    return low;
#endif
}

// What two turned fours hold of each of LANES rows, side by side: 8 floats a row.
template <int PART = 0>
inline void store_rows(const Floats* low, const Floats* high, float* to) {
    typedef float Octet __attribute__((vector_size(32)));
    constexpr int AT = 4 * PART, N = LANES + AT;
    for (int i = 0; i < 4; ++i) {
        const Octet row = __builtin_shufflevector(low[i], high[i], AT, AT + 1, AT + 2, AT + 3, N, N + 1, N + 2, N + 3);
        std::memcpy(to + 8 * (AT + i), &row, sizeof row);
    }
    if constexpr (AT + 4 < LANES) store_rows<PART + 1>(low, high, to);
}

// Pairs of integers.
inline void store_pairs(Ints first, Ints second, void* to) {
#if defined(__AVX512F__)
    const Ints pairs[2] = {
        __builtin_shufflevector(first, second, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
        __builtin_shufflevector(first, second, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)};
#else
    const Ints pairs[2] = {__builtin_shufflevector(first, second, 0, 8, 1, 9, 2, 10, 3, 11),
                           __builtin_shufflevector(first, second, 4, 12, 5, 13, 6, 14, 7, 15)};
#endif
    std::memcpy(to, pairs, sizeof pairs);
}

constexpr int TILE_BITS = 4, TILE = 1 << TILE_BITS;
constexpr int UNITS = TILE * TILE / LANES;  // numbered in memory order
constexpr int COLUMNS = 4, HIGH = LANES / 4, STRIPS = TILE / HIGH;  // units side by side; samples, units one above another

#if defined(__AVX512F__)
constexpr Floats ORDINALS = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#else
constexpr Floats ORDINALS = {0, 1, 2, 3, 4, 5, 6, 7};
#endif
inline Floats all(float value) { return Floats{} + value; }

// Where sample (x, y) of a tile lies in a tile's array.
constexpr int sample_at(int x, int y) { return ((y >> 2) * 4 + (x >> 2)) * 16 + (y & 3) * 4 + (x & 3); }
constexpr int unit_at(int column, int strip) { return sample_at(4 * column, HIGH * strip) / LANES; }

// Where the samples of a tile lie, in pixels from the centre of its first pixel. SIDE 1: every pixel's centre. SIDE 2:
// four samples a pixel, on a grid that is turned, so that upright and level edges meet four columns and rows, and wider
// than the pixel, as a renderer's pixel filter is.
constexpr float SPREAD = 1.3f;
template <int SIDE>
struct Samples {
    alignas(64) float x[TILE * TILE] = {}, y[TILE * TILE] = {};
    static constexpr float OUTER = SIDE == 1 ? 0.f : 0.375f * SPREAD, INNER = SIDE == 1 ? 0.f : 0.125f * SPREAD;

    constexpr Samples() {
        for (int row = 0; row < TILE; ++row)
            for (int column = 0; column < TILE; ++column) {
                const bool right = column % SIDE, low = row % SIDE;
                x[sample_at(column, row)] = float(column / SIDE) + (right == low ? OUTER : INNER) * (right ? 1.f : -1.f);
                y[sample_at(column, row)] = float(row / SIDE) + (right == low ? INNER : OUTER) * (low ? 1.f : -1.f);
            }
    }
    // Where samples `first` to `last` of a row, or of a column, begin and end: an even one and an odd one.
    static constexpr float low(int first) { return float(first / SIDE) - OUTER; }
    static constexpr float high(int last) { return float(last / SIDE) + OUTER; }
};
template <int SIDE>
constexpr Samples<SIDE> SAMPLES;

inline Floats load(const float* from) {
    Floats v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

inline uint32_t pack(Ints mask) {  // bit k: lane k
#if defined(__AVX512DQ__)
    return _mm512_movepi32_mask((__m512i)mask);
#elif defined(__AVX2__)
    return uint32_t(_mm256_movemask_ps((__m256)mask));
#elif defined(__SSE2__)
    __m128 half[2];
    std::memcpy(half, &mask, sizeof half);
    return uint32_t(_mm_movemask_ps(half[0]) | _mm_movemask_ps(half[1]) << 4);
#else
    const Ints bits = mask & Ints{1, 2, 4, 8, 16, 32, 64, 128};
    int32_t sum = 0;
    for (int i = 0; i < LANES; ++i) sum |= bits[i];
    return uint32_t(sum);
#endif
}

inline bool any(Ints mask) { return pack(mask) != 0; }

inline float root(float v) { return std::sqrt(v); }
inline Floats root(Floats v) {
    float value[LANES];
    std::memcpy(value, &v, sizeof v);
    for (int k = 0; k < LANES; ++k) value[k] = std::sqrt(value[k]);
    return load(value);
}

inline float to_float(int32_t v) { return float(v); }
inline Floats to_float(Ints v) { return __builtin_convertvector(v, Floats); }
inline int32_t to_int(float v) { return int32_t(v); }  // towards zero
inline Ints to_int(Floats v) { return __builtin_convertvector(v, Ints); }

template <class V>
inline V lower(V a, V b) { return a < b ? a : b; }
template <class V>
inline V higher(V a, V b) { return a > b ? a : b; }

// 2^x within 2e-7 of it for -126 < x < 127, anything elsewhere: 2^n times a polynomial in x - n, |x - n| <= 1/2. Of N
// vectors in their places, step by step, so that none waits for itself.
template <int N>
inline void exp2_of(Floats (&x)[N]) {
    Floats r[N], p[N];
#if defined(__AVX512DQ__)
    for (int i = 0; i < N; ++i) {
        const __m512 rest = _mm512_reduce_ps((__m512)x[i], 8);
        std::memcpy(&r[i], &rest, sizeof rest);
    }
#else
    Floats shifted[N];
    for (int i = 0; i < N; ++i) {
        const float rounder = 12582912.f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
        shifted[i] = x[i] + rounder, r[i] = x[i] - (shifted[i] - rounder);
    }
#endif
    for (int i = 0; i < N; ++i) p[i] = 1.3276471e-3f * r[i] + 9.6755410e-3f;
    for (const float c : {0.055507131f, 0.24022120f, 0.69314694f, 1.0000001f})
        for (int i = 0; i < N; ++i) p[i] = p[i] * r[i] + c;
    for (int i = 0; i < N; ++i) {
#if defined(__AVX512DQ__)
        const __m512 scaled = _mm512_scalef_ps((__m512)p[i], (__m512)(x[i] - r[i]));
        std::memcpy(&x[i], &scaled, sizeof scaled);
#else
        Bits bits, power;
        std::memcpy(&bits, &shifted[i], sizeof bits);
        std::memcpy(&power, &p[i], sizeof power);
        power += bits << 23;  // the exponent field; the rounder's own bits are shifted out
        std::memcpy(&x[i], &power, sizeof power);
#endif
    }
}
inline Floats exp2_of(Floats x) {
    Floats one[1] = {x};
    exp2_of(one);
    return one[0];
}

// log2 of positive, normal numbers, error below 1e-6: exponent, and an atanh series of the mantissa about 1.
inline Floats log2_of(Floats v) {
    Ints bits;
    std::memcpy(&bits, &v, sizeof bits);
    const Ints shifted = bits - 0x3f3504f3, mantissa = (shifted & 0x7fffff) + 0x3f3504f3;  // sqrt(1/2)
    Floats m;
    std::memcpy(&m, &mantissa, sizeof m);
    const Floats s = (m - 1.f) / (m + 1.f), q = s * s;
    return to_float(shifted >> 23) + s * (2.88539008f + q * (0.961796694f + q * (0.577078016f + q * 0.412198583f)));
}

}  // namespace
}  // namespace near_kernels
