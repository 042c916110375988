// Vectors of LANES pixels, and the layout that makes them: a tile is 16x16 pixels stored as 4x4-pixel blocks, so that LANES
// neighbours in memory are a block 4 wide and LANES/4 high. Small Gaussians touch few such blocks.
#pragma once
#include <cstdint>
#include <cstring>

namespace near_kernels {
namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX2__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif
typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));  // also masks: -1 true, 0 false

constexpr int TILE = 16;
constexpr int TILE_PIXELS = TILE * TILE;
constexpr int UNIT_ROWS = LANES / 4;              // a unit is one vector: 4 x UNIT_ROWS pixels
constexpr int UNITS = TILE_PIXELS / LANES;        // units of a tile, in memory order
constexpr int UNITS_PER_BLOCK = 16 / LANES;

inline Floats all(float value) { return Floats{} + value; }

// The unit at 4-pixel column `column` (0..3) and unit row `row` (0 .. 16/UNIT_ROWS-1) of its tile.
inline int unit_at(int column, int row) {
    return ((row / UNITS_PER_BLOCK) * 4 + column) * UNITS_PER_BLOCK + row % UNITS_PER_BLOCK;
}

// Where pixel (x, y) of a tile lies in a tile's array.
inline int pixel_at(int x, int y) { return ((y >> 2) * 4 + (x >> 2)) * 16 + (y & 3) * 4 + (x & 3); }

inline Floats lane_x() {
    Floats x{};
    for (int i = 0; i < LANES; ++i) x[i] = float(i & 3);
    return x;
}
inline Floats lane_y() {
    Floats y{};
    for (int i = 0; i < LANES; ++i) y[i] = float(i >> 2);
    return y;
}

inline bool any(Ints mask) {
#if defined(__clang__)
    return __builtin_reduce_or(mask) != 0;
#else
    int32_t seen = 0;
    for (int i = 0; i < LANES; ++i) seen |= mask[i];
    return seen != 0;
#endif
}

inline float sum(Floats v) {
    float lane[LANES];
    std::memcpy(lane, &v, sizeof v);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    return lane[0];
}

// e^x for x <= 0 within 2 ulp, 0 < result; x below -87 counts as -87. 2^n times the Taylor series of degree 7 on |r| <= ln(2)/2.
inline Floats exp_negative(Floats x) {
    x = x > -87.f ? x : all(-87.f);
    const float rounder = 12582912.f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    const Floats shifted = x * 1.44269504f + rounder;
    const Floats n = shifted - rounder;
    Floats r = x - n * 0.693359375f;   // ln 2 in two parts, the first exact in products with n
    r = r + n * 2.12194440e-4f;
    Floats p = r * (1.f / 5040) + 1.f / 720;
    p = p * r + 1.f / 120;
    p = p * r + 1.f / 24;
    p = p * r + 1.f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.f;
    p = p * r + 1.f;
    Ints bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits - 0x4B400000 + 127) << 23;
    Floats scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

}  // namespace
}  // namespace near_kernels
