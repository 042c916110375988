// Vectors of LANES pixels, and the layout that makes them: a tile is 16x16 pixels stored as 4x4-pixel blocks, so that
// LANES neighbours in memory are a block 4 wide and LANES/4 high. Small Gaussians touch few such blocks.
#pragma once
#include <cstdint>
#include <cstring>

#include "lane_sum.h"

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
constexpr int UNITS = TILE * TILE / LANES;  // a unit is one vector, 4 x LANES/4 pixels, numbered in memory order

inline Floats all(float value) { return Floats{} + value; }

// Where pixel (x, y) of a tile lies in a tile's array.
constexpr int pixel_at(int x, int y) { return ((y >> 2) * 4 + (x >> 2)) * 16 + (y & 3) * 4 + (x & 3); }

// What never changes about a tile: its pixels' coordinates, and sets of units as bits.
struct Layout {
    alignas(64) float x[TILE * TILE] = {}, y[TILE * TILE] = {};
    uint64_t left_of[TILE + 1] = {}, above[TILE + 1] = {};  // units with a pixel left of column i, above row i

    constexpr Layout() {
        for (int row = 0; row < TILE; ++row)
            for (int column = 0; column < TILE; ++column) {
                const int at = pixel_at(column, row);
                x[at] = float(column);
                y[at] = float(row);
                for (int i = column + 1; i <= TILE; ++i) left_of[i] |= uint64_t(1) << (at / LANES);
                for (int i = row + 1; i <= TILE; ++i) above[i] |= uint64_t(1) << (at / LANES);
            }
    }
    // Units that reach into columns x0..x1-1 and rows y0..y1-1. Both ends are inside the tile.
    uint64_t box(int x0, int x1, int y0, int y1) const {
        return left_of[x1] & ~left_of[x0 & ~3] & above[y1] & ~above[y0 & ~(LANES / 4 - 1)];
    }
};
constexpr Layout LAYOUT;

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
                x[pixel_at(column, row)] = float(column / SIDE) + (right == low ? OUTER : INNER) * (right ? 1.f : -1.f);
                y[pixel_at(column, row)] = float(row / SIDE) + (right == low ? INNER : OUTER) * (low ? 1.f : -1.f);
            }
    }
};
template <int SIDE>
constexpr Samples<SIDE> SAMPLES;

inline Floats load(const float* from) {
    Floats v;
    std::memcpy(&v, from, sizeof v);
    return v;
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

// 2^x for x <= 0 within 3 ulp; below -126 it stays at 2^-126. 2^n times a Taylor series of degree 6, |x - n| <= 1/2.
inline Floats exp2_negative(Floats x) {
    x = x > -126.f ? x : all(-126.f);
    const float rounder = 12582912.f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    const Floats shifted = x + rounder;
    const Floats r = x - (shifted - rounder), r2 = r * r;
    const Floats p01 = r * 0.69314718f + 1.f, p23 = r * 0.055504109f + 0.24022651f;
    const Floats p45 = r * 1.3333558e-3f + 9.6181291e-3f;
    const Floats p = ((r2 * 1.5403530e-4f + p45) * r2 + p23) * r2 + p01;
    Ints bits, power;
    std::memcpy(&bits, &shifted, sizeof bits);
    std::memcpy(&power, &p, sizeof power);
    power += bits << 23;  // the exponent field; the rounder's own bits are shifted out
    Floats result;
    std::memcpy(&result, &power, sizeof result);
    return result;
}

}  // namespace
}  // namespace near_kernels
