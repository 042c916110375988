// Compositing inside one tile. Splats are staged a batch at a time, with the units that each one's ellipse reaches; then
// each unit goes through its own list, so that what it keeps stays in registers.
#pragma once
#include "splat_bins.h"

namespace near_kernels {
namespace {

constexpr int MAX_CHANNELS = 64;
constexpr int BATCH = 64;
constexpr float FAR = 1e18f;  // pixels away: no splat reaches it

// One tile of one thread; its pixels may be samples of the picture's.
struct alignas(64) Tile {
    Floats x[UNITS];  // of the samples, as SAMPLES has it; FAR where one has stopped or lies outside the picture
    Floats transmittance[UNITS];
    Floats depth[UNITS];   // what the splats have taken times their depths
    Floats hidden[UNITS];  // the depth behind which nothing is seen any more
    uint32_t live;         // units where some pixel goes on

    template <int SIDE>
    void reset(int columns, int rows) {
        live = 0;
        for (int y = 0; y < TILE; ++y)
            for (int x = 0; x < TILE; ++x) {
                const int at = sample_at(x, y);
                const bool inside = x < columns && y < rows;
                reinterpret_cast<float*>(this->x)[at] = inside ? SAMPLES<SIDE>.x[at] : FAR;
                live |= uint32_t(inside) << (at / LANES);
            }
        for (int u = 0; u < UNITS; ++u) {
            transmittance[u] = all(1.f);
            depth[u] = all(0.f);
            hidden[u] = all(INFINITY);
        }
    }
    float transmittance_at(int sample) const { return reinterpret_cast<const float*>(transmittance)[sample]; }
};

// Up to BATCH splats of a tile, in depth order, their means from the centre of the tile's first pixel.
struct alignas(64) Batch {
    float x[BATCH], y[BATCH], a[BATCH], b[BATCH], c[BATCH], level[BATCH], depth[BATCH], hidden[BATCH];
    const float* color[BATCH];
    int count;
    int32_t reached[BATCH];       // units as bits
    int listed[UNITS];            // how many splats reach each unit,
    uint8_t list[UNITS][BATCH];  // and which

    // Takes the splats of entries `begin` to `end` of the tile whose first sample is (left, top); a splat with a feature
    // that is not finite reaches no unit. features: a row of `channels` for each splat, or null.
    template <int SIDE, bool LINKED>
    void stage(const Bins<SIDE, LINKED>& bins, int64_t begin, int64_t end, int left, int top, const float* features,
               int64_t channels, uint32_t live) {
        const float corner_x = float(left / SIDE) + 0.5f, corner_y = float(top / SIDE) + 0.5f;
        count = int(end - begin < BATCH ? end - begin : BATCH);
        for (int k = 0; k < count; ++k) {
            fetch(bins, begin + k + BATCH, end, features, channels);
            const Splat& s = bins.splats[bins.entries[begin + k]];
            x[k] = s.x - corner_x;
            y[k] = s.y - corner_y;
            a[k] = s.a, b[k] = s.b, c[k] = s.c;
            level[k] = s.level, depth[k] = s.depth, hidden[k] = s.hidden;
            color[k] = features + bins.entries[begin + k] * channels;
        }
        for (int k = 0; k < count; k += LANES) reach<SIDE>(k);
        std::memset(listed, 0, sizeof listed);
        for (int k = 0; k < count; ++k) {
            uint32_t units = uint32_t(reached[k]) & live;
            if (units && features && !all_finite(color[k], channels)) units = 0;
            for (; units; units &= units - 1) {
                const int unit = __builtin_ctz(units);
                list[unit][listed[unit]++] = uint8_t(k);
            }
        }
    }

    // The first batch of the tile after t is to come to the cache.
    template <int SIDE, bool LINKED>
    static void foresee(const Bins<SIDE, LINKED>& bins, int64_t t, const float* features, int64_t channels) {
        if (t + 1 == bins.tiles()) return;
        const int64_t begin = bins.tile_begin[t + 1], end = bins.tile_begin[t + 2];
        for (int64_t e = begin; e < begin + BATCH && e < end; ++e) fetch(bins, e, end, features, channels);
    }

private:
    // Entry e is to come to the cache, where it is one.
    template <int SIDE, bool LINKED>
    static void fetch(const Bins<SIDE, LINKED>& bins, int64_t e, int64_t end, const float* features, int64_t channels) {
        if (e >= end) return;
        const int64_t row = bins.entries[e];
        const char* const color = reinterpret_cast<const char*>(features + row * channels);
        __builtin_prefetch(&bins.splats[row]);
        for (int64_t byte = 0; byte < 4 * channels; byte += 64) __builtin_prefetch(color + byte);
        if (channels) __builtin_prefetch(color + 4 * channels - 1);
    }

    static bool all_finite(const float* values, int64_t count) {
        float zero[4] = {};
        int64_t i = 0;
        for (; i + 4 <= count; i += 4)
            for (int k = 0; k < 4; ++k) zero[k] += values[i + k] - values[i + k];
        for (; i < count; ++i) zero[0] += values[i] - values[i];
        return zero[0] + zero[1] + zero[2] + zero[3] == 0;
    }

    // The units that the ellipses of splats `first` to `first` + LANES - 1 meet: strip by strip, where it begins and ends.
    template <int SIDE>
    void reach(int first) {
        const Ellipse<Floats> ellipse(load(a + first), load(b + first), load(c + first), load(level + first));
        const Floats x = load(this->x + first), y = load(this->y + first);
        Ints units = {};
        for (int strip = 0; strip < STRIPS; ++strip) {
            constexpr float SLACK = 0.01f;
            Floats left, right;
            ellipse.span(Samples<SIDE>::low(strip * HIGH) - SLACK - y,
                         Samples<SIDE>::high(strip * HIGH + HIGH - 1) + SLACK - y, left, right);
            left += x, right += x;
            for (int column = 0; column < COLUMNS; ++column) {
                const Ints meets = (right >= Samples<SIDE>::low(4 * column)) & (left <= Samples<SIDE>::high(4 * column + 3));
                units |= meets & int32_t(1u << unit_at(column, strip));
            }
        }
        std::memcpy(reached + first, &units, sizeof units);
    }
};

// Composites a batch into a unit: visit(k, takes, alpha, taken, weight) for each splat k that is listed, until all pixels
// have stopped. takes: which pixels take it; alpha there, anything elsewhere; taken: what it takes there of the light from
// behind, 0 elsewhere; weight: how much of that it shows, all unless it lies behind a surface that is CLOSED.
template <bool CLOSING, int SIDE, class Visit>
inline void composite(Tile& tile, const Batch& batch, int unit, const Visit& visit) {
    constexpr float LEVEL_MAX = -1.4434169e-3f;  // log2 of 0.999, the most that a splat takes
    Floats x = tile.x[unit], transmittance = tile.transmittance[unit], depth = tile.depth[unit];
    Floats hidden = tile.hidden[unit];
    const Floats y = load(SAMPLES<SIDE>.y + unit * LANES);
    for (int i = 0; i < batch.listed[unit]; ++i) {
        const int k = batch.list[unit][i];
        const Floats dx = batch.x[k] - x, dy = batch.y[k] - y;
        const Floats level = (batch.a[k] * dx + batch.b[k] * dy) * dx + ((batch.c[k] * dy) * dy + batch.level[k]);
        const Ints reached = level >= LEVEL_MIN;
        const Floats alpha = exp2_of(lower(level, all(LEVEL_MAX))), after = transmittance * (1.f - alpha);
        const Ints takes = reached & (after > TRANSMITTANCE_MIN);
        const Floats taken = takes ? alpha * transmittance : all(0.f);
        Floats weight = taken;
        depth += taken * batch.depth[k];
        if (CLOSING) {
            weight = batch.depth[k] <= hidden ? taken : all(0.f);
            hidden = (takes & (after <= CLOSED) & (hidden > batch.hidden[k])) ? all(batch.hidden[k]) : hidden;
        }
        transmittance = takes ? after : transmittance;
        visit(k, takes, alpha, taken, weight);
        const Ints stops = reached & ~takes;
        if (any(stops)) {
            x = stops ? all(FAR) : x;
            if (!any(x < FAR)) {
                tile.live &= ~(1u << unit);
                break;
            }
        }
    }
    tile.x[unit] = x, tile.transmittance[unit] = transmittance, tile.depth[unit] = depth, tile.hidden[unit] = hidden;
}

}  // namespace
}  // namespace near_kernels
