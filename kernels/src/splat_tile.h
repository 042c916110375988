// Compositing inside one tile: which pixels a splat covers and how much of it each takes.
#pragma once
#include "splat_bins.h"

namespace near_kernels {
namespace {

constexpr int MAX_CHANNELS = 64;

// One tile of one thread; its pixels may be samples of the picture's. Transmittance is negative in a pixel that has
// stopped (or lies outside the picture).
struct alignas(64) Tile {
    Floats transmittance[UNITS];
    Floats alpha[UNITS];                          // of the splat at hand, where `cover` says so
    Floats hidden[UNITS];                         // the depth behind which nothing is seen any more
    Floats sums[UNITS * (MAX_CHANNELS + 1) + 4];  // of unit u: channel c at u * (channels + 1) + c, then the depth
    uint64_t live;                                // units where some pixel goes on

    void reset(int64_t sums_count, int columns, int rows) {
        std::memset(static_cast<void*>(sums), 0, sizeof(Floats) * size_t(sums_count));
        live = 0;
        for (int u = 0; u < UNITS; ++u) {
            const Ints inside =
                (load(LAYOUT.x + u * LANES) < float(columns)) & (load(LAYOUT.y + u * LANES) < float(rows));
            transmittance[u] = inside ? all(1.f) : all(-1.f);
            hidden[u] = all(INFINITY);
            live |= uint64_t(any(inside)) << u;
        }
    }
    float pixel_transmittance(int at) const { return std::fabs(reinterpret_cast<const float*>(transmittance)[at]); }
};

// A splat seen from the tile whose first sample is (left, top) of SIDE x SIDE a pixel.
template <int SIDE>
struct Footprint {
    const Splat& s;
    float x, y;      // the mean from the centre of the tile's first pixel
    uint64_t units;  // that it may touch

    Footprint(const Splat& splat, int left, int top)
        : s(splat), x(s.x - (float(left / SIDE) + 0.5f)), y(s.y - (float(top / SIDE) + 0.5f)) {
        const auto clamp = [](int v) { return v < 0 ? 0 : v > TILE ? TILE : v; };
        units = LAYOUT.box(clamp(s.x0 - left), clamp(s.x1 - left), clamp(s.y0 - top), clamp(s.y1 - top));
    }
    Floats dx(int unit) const { return x - load(SAMPLES<SIDE>.x + unit * LANES); }
    Floats dy(int unit) const { return y - load(SAMPLES<SIDE>.y + unit * LANES); }
};

// Computes the splat's alpha in `units`, 0 where it is skipped, and returns those where some pixel takes it. No branch
// depends on the result, so that the exponentials of several units overlap.
template <int SIDE>
inline uint64_t cover(const Footprint<SIDE>& f, uint64_t units, Floats* alpha) {
    const float log2e = 1.44269504f;
    const float a = f.s.a * (-0.5f * log2e), b = f.s.b * -log2e, c = f.s.c * (-0.5f * log2e);
    uint64_t touched = 0;
    for (; units; units &= units - 1) {
        const int unit = __builtin_ctzll(units);
        const Floats dx = f.dx(unit), dy = f.dy(unit);
        const Floats power = dx * (a * dx + b * dy) + c * dy * dy;
        Floats value = f.s.opacity * exp2_negative(power);
        value = value < ALPHA_MAX ? value : all(ALPHA_MAX);
        const Ints valid = (power <= 0.f) & (value >= ALPHA_MIN);
        alpha[unit] = valid ? value : all(0.f);
        touched |= uint64_t(any(valid)) << unit;
    }
    return touched;
}

// Composites a splat into the tile: visit(unit, weight, taken) for each unit where some pixel takes it, 0 elsewhere.
// taken: what the splat takes of the light from behind; weight: how much of that it shows, all unless it lies behind a
// surface that is CLOSED.
template <bool CLOSING, int SIDE, class Visit>
inline void composite(Tile& tile, const Footprint<SIDE>& f, const Visit& visit) {
    for (uint64_t units = cover(f, f.units & tile.live, tile.alpha); units; units &= units - 1) {
        const int unit = __builtin_ctzll(units);
        const Floats alpha = tile.alpha[unit], before = tile.transmittance[unit], after = before * (1.f - alpha);
        const Ints valid = (alpha > 0.f) & (before > 0.f);
        const Ints stops = valid & (after <= TRANSMITTANCE_MIN);
        const Ints takes = valid & ~stops;
        tile.transmittance[unit] = takes ? after : stops ? -before : before;
        if (any(stops) && !any(tile.transmittance[unit] > 0.f)) tile.live &= ~(uint64_t(1) << unit);
        const Floats taken = takes ? alpha * before : all(0.f);
        Floats weight = taken;
        if (CLOSING) {
            Floats& hidden = tile.hidden[unit];
            weight = f.s.depth <= hidden ? taken : all(0.f);
            hidden = (takes & (after <= CLOSED) & (hidden > f.s.hidden)) ? all(f.s.hidden) : hidden;
        }
        visit(unit, weight, taken);
    }
}

}  // namespace
}  // namespace near_kernels
