// Compositing inside one tile. Splats are staged a batch at a time, with the units that each one's ellipse reaches; then
// each unit goes through its own list, so that what it keeps stays in registers.
#pragma once
#include "splat_bins.h"

namespace near_kernels {
namespace {

constexpr int MAX_CHANNELS = 64;
constexpr int BATCH = 128;
constexpr int TEAM = 4;  // splats whose exponentials go side by side; a part of BATCH
#if defined(__AVX512F__)
constexpr int FUSED = 16;  // channels that have registers beside all that compositing needs
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int FUSED = 4;
#else
constexpr int FUSED = 1;
#endif
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
        live = uint32_t((uint64_t(1) << UNITS) - 1);
        std::memcpy(this->x, SAMPLES<SIDE>.x, sizeof this->x);
        if (columns < TILE || rows < TILE) crop(columns, rows);
        for (int u = 0; u < UNITS; ++u) {
            transmittance[u] = all(1.f);
            depth[u] = all(0.f);
            hidden[u] = all(INFINITY);
        }
    }
    // Leaves out what does not lie in the picture.
    void crop(int columns, int rows) {
        live = 0;
        for (int y = 0; y < TILE; ++y)
            for (int x = 0; x < TILE; ++x) {
                const int at = sample_at(x, y);
                if (x < columns && y < rows) live |= 1u << (at / LANES);
                else reinterpret_cast<float*>(this->x)[at] = FAR;
            }
    }
    float transmittance_at(int sample) const { return reinterpret_cast<const float*>(transmittance)[sample]; }
};

alignas(64) constexpr float NOTHING[4 * MAX_CHANNELS] = {};

// Up to BATCH splats of a tile, in depth order, their means from the centre of the tile's first pixel.
struct alignas(64) Batch {
    float x[BATCH], y[BATCH], a[BATCH], b[BATCH], c[BATCH], level[BATCH], depth[BATCH], hidden[BATCH];
    const float* color[BATCH];
    int count;
    int listed[UNITS];                   // how many splats reach each unit,
    uint8_t list[UNITS][BATCH + LANES] = {};  // and which; beyond them, any

    // Takes the splats of entries `begin` to `end` of the tile whose first sample is (left, top). features: a row of
    // `channels` for each splat, or null.
    template <int SIDE, bool LINKED>
    void stage(const Bins<SIDE, LINKED>& bins, int64_t begin, int64_t end, int left, int top, const float* features,
               int64_t channels, uint32_t live) {
        const float corner_x = float(left / SIDE) + 0.5f, corner_y = float(top / SIDE) + 0.5f;
        count = int(end - begin < BATCH ? end - begin : BATCH);
        for (int k = 0; k < count; k += 4) {
            Quad low[4], high[4];
            for (int i = 0; i < 4; ++i) {
                const int at = k + i < count ? k + i : count - 1;
                const int64_t row = bins.entries[begin + at].row;
                std::memcpy(&low[i], &bins.splats[row].x, sizeof(Quad));
                std::memcpy(&high[i], &bins.splats[row].c, sizeof(Quad));
                color[at] = features + row * channels;
            }
            turn(low), turn(high);
            low[0] -= corner_x, low[1] -= corner_y;
            float* const to[8] = {x, y, a, b, c, level, depth, hidden};
            for (int f = 0; f < 8; ++f) std::memcpy(to[f] + k, f < 4 ? &low[f] : &high[f - 4], sizeof(Quad));
        }
        std::memset(listed, 0, sizeof listed);
        for (int k = 0; k < count; k += LANES) reach<SIDE>(k, live);
    }

    // Part `unit` of UNITS of what as many entries as this batch has, from `begin` on, need is to come to the cache. Lists of
    // tiles follow each other: beyond a tile's lies the next one's. In parts, so that memory works beside each unit's work.
    template <int SIDE, bool LINKED>
    void foresee(const Bins<SIDE, LINKED>& bins, int64_t begin, int unit, const float* features, int64_t channels) const {
        const int64_t part = (count + UNITS - 1) / UNITS, rest = bins.entry_count - begin, most = count < rest ? count : rest;
        const int64_t end = part * (unit + 1) < most ? part * (unit + 1) : most;
        for (int64_t e = part * unit; e < end; ++e) {
            const int64_t row = bins.entries[begin + e].row;
            __builtin_prefetch(&bins.splats[row]);
            near_kernels::foresee(features + row * channels, channels);
        }
    }

private:
    // Adds some of the splats `first` to `first` + LANES - 1 to a unit's list.
    void add(int unit, int first, uint32_t some) {
#if defined(__AVX512DQ__)
        const __m512i ordinal = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i packed = _mm512_maskz_compress_epi32(__mmask16(some), ordinal);
        const __m128i bytes = _mm_add_epi8(_mm512_cvtepi32_epi8(packed), _mm_set1_epi8(char(first)));
        std::memcpy(list[unit] + listed[unit], &bytes, LANES);
        listed[unit] += __builtin_popcount(some);
#else
        for (; some; some &= some - 1) list[unit][listed[unit]++] = uint8_t(first + __builtin_ctz(some));
#endif
    }

    // Lists splats `first` to `first` + LANES - 1 for the live units that their ellipses meet: strip by strip, where those
    // begin and end.
    template <int SIDE>
    void reach(int first, uint32_t live) {
        const Ellipse<Floats> ellipse(load(a + first), load(b + first), load(c + first), load(level + first));
        const Floats x = load(this->x + first), y = load(this->y + first);
        const uint32_t real = count - first < LANES ? (1u << (count - first)) - 1 : ~0u;
        for (int strip = 0; strip < STRIPS; ++strip) {
            constexpr float SLACK = 0.01f;
            Floats left, right;
            ellipse.span(Samples<SIDE>::low(strip * HIGH) - SLACK - y,
                         Samples<SIDE>::high(strip * HIGH + HIGH - 1) + SLACK - y, left, right);
            left += x, right += x;
            for (int column = 0; column < COLUMNS; ++column) {
                const int unit = unit_at(column, strip);
                const Ints meets = (right >= Samples<SIDE>::low(4 * column)) & (left <= Samples<SIDE>::high(4 * column + 3));
                if (live >> unit & 1) add(unit, first, pack(meets) & real);
            }
        }
    }
};

// Alphas of N splats in their places of a list, 0 where one reaches nothing: side by side.
template <int N>
inline void find_team(const Batch& batch, const uint8_t* list, Floats x, Floats y, Floats* alphas) {
    constexpr float LEVEL_MAX = -1.4434169e-3f;  // log2 of 0.999, the most that a splat takes
    Floats level[N], alpha[N];
    for (int j = 0; j < N; ++j) {
        const int k = list[j];
        const Floats dx = x - batch.x[k], dy = y - batch.y[k];
        level[j] = (batch.a[k] * dx + batch.b[k] * dy) * dx + ((batch.c[k] * dy) * dy + batch.level[k]);
    }
    for (int j = 0; j < N; ++j) alpha[j] = lower(level[j], all(LEVEL_MAX));
    exp2_of(alpha);
    for (int j = 0; j < N; ++j) alphas[j] = level[j] >= LEVEL_MIN ? alpha[j] : all(0.f);
}

// Alphas of what a unit's list has, and perhaps of some beyond.
template <int SIDE>
inline void find_alphas(const Tile& tile, const Batch& batch, int unit, Floats* alphas) {
    const Floats x = tile.x[unit], y = load(SAMPLES<SIDE>.y + unit * LANES);
    const int count = batch.listed[unit];
    int i = 0;
    for (; i + TEAM / 2 < count; i += TEAM) find_team<TEAM>(batch, batch.list[unit] + i, x, y, alphas + i);
    if (i < count) find_team<TEAM / 2>(batch, batch.list[unit] + i, x, y, alphas + i);
}

// Composites a batch into a unit by its alphas: visit(k, goes_on, alpha, taken, weight) for each splat k that is listed.
// goes_on: which pixels do not stop before it; alpha, 0 where it reaches nothing; taken: what it takes of the light from
// behind, 0 where a pixel has stopped; weight: how much of that it shows, all unless it lies behind a surface that is
// CLOSED.
//
// First all alphas, before anything is in registers, then what they take: a processor looks some hundred instructions
// ahead, which are many splats' of one step, and too few of all. From one splat's light to the next one's it is a product
// and a difference. What is left where a pixel has stopped only falls, so that it takes nothing more: nothing branches
// there.
template <bool CLOSING, class Visit>
inline void composite(Tile& tile, const Batch& batch, int unit, const Floats* alphas, const Visit& visit) {
    const Floats x = tile.x[unit];
    Floats kept = tile.transmittance[unit], light = x < FAR ? kept : all(0.f);
    Floats depth = tile.depth[unit], hidden = tile.hidden[unit];
    for (int i = 0; i < batch.listed[unit]; ++i) {
        const int k = batch.list[unit][i];
        const Floats alpha = alphas[i], share = alpha * light;
        light -= share;
        const Ints goes_on = light > TRANSMITTANCE_MIN;
        const Floats taken = goes_on ? share : all(0.f);
        Floats weight = taken;
        depth += taken * batch.depth[k];
        if (CLOSING) {
            weight = batch.depth[k] <= hidden ? taken : all(0.f);
            hidden = (goes_on & (alpha > 0.f) & (light <= CLOSED) & (hidden > batch.hidden[k])) ? all(batch.hidden[k]) : hidden;
        }
        kept = goes_on ? light : kept;
        visit(k, goes_on, alpha, taken, weight);
    }
    const Ints goes_on = light > TRANSMITTANCE_MIN;
    if (!any(goes_on)) tile.live &= ~(1u << unit);
    tile.x[unit] = goes_on ? x : all(FAR);
    tile.transmittance[unit] = kept, tile.depth[unit] = depth, tile.hidden[unit] = hidden;
}

template <bool CLOSING, int SIDE, class Visit>
inline void composite(Tile& tile, const Batch& batch, int unit, const Visit& visit) {
    Floats alphas[BATCH];
    find_alphas<SIDE>(tile, batch, unit, alphas);
    composite<CLOSING>(tile, batch, unit, alphas, visit);
}

}  // namespace
}  // namespace near_kernels
