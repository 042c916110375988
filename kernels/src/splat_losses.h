// What splat_rasterize_backward is given, tile by tile.
#pragma once
#include "splat_tile.h"

namespace near_kernels {
namespace {

constexpr int GROUPS = (MAX_CHANNELS + LANES - 1) / LANES;  // vectors that all channels of a pixel fill

struct Losses {  // gradients of the loss with respect to the outputs, and what made them; null: alpha's or depth's are 0
    int64_t channels, width, height;
    const float *background, *image, *alpha, *depth;

    // Has those of rows of a tile come to the larger cache: they lie in short rows, which no processor foresees.
    void foresee(int64_t left, int64_t top, int first, int end) const {
        const int64_t columns = width - left < TILE ? width - left : TILE;
        for (int64_t y = top + first; y < top + end && y < height; ++y) {
            const int64_t pixel = y * width + left;
            for (int64_t c = 0; c < columns * channels; c += 16) __builtin_prefetch(image + pixel * channels + c, 0, 2);
            if (alpha) __builtin_prefetch(alpha + pixel, 0, 2);
            if (depth) __builtin_prefetch(depth + pixel, 0, 2);
        }
    }
};

// The picture's gradients in a tile, and what a loss has from behind the splats walked so far.
struct alignas(64) TileLosses {
    Floats planes[UNITS * (MAX_CHANNELS + 1) + 3];  // of unit u: channel c at u * (channels + 1) + c, then the summed depth's
    Floats rows[UNITS * GROUPS * LANES];            // the channels of each pixel side by side: group by group of a unit
    Floats behind[UNITS];                           // dL/d(light arriving from behind) per light that arrives

    // Takes the losses of a unit of the tile at (left, top).
    void take(const Losses& g, int unit, int left, int top) {
        const int64_t groups = (g.channels + LANES - 1) / LANES;
        Floats* const plane = planes + unit * (g.channels + 1);
        Floats* const own = rows + unit * groups * LANES;
        alignas(64) float by_alpha[LANES] = {}, by_depth[LANES] = {};
        const int block = unit * LANES / 16;
        const int64_t x = left + block % 4 * 4, y = top + block / 4 * 4 + unit * LANES % 16 / 4;
        for (int row = 0; row < HIGH; ++row) {
            const int64_t count = y + row >= g.height || x >= g.width ? 0 : g.width - x < 4 ? g.width - x : 4;
            const int64_t pixel = count ? (y + row) * g.width + x : 0;
            for (int64_t i = 0; i < 4; ++i)
                for (int64_t c = 0, k = 0; k < groups; c += LANES, ++k)
                    own[k * LANES + 4 * row + i] =
                        i < count ? load_first(g.image + (pixel + i) * g.channels + c, g.channels - c) : all(0.f);
            for (int64_t i = 0; g.alpha && i < count; ++i) by_alpha[4 * row + i] = g.alpha[pixel + i];
            for (int64_t i = 0; g.depth && i < count; ++i) by_depth[4 * row + i] = g.depth[pixel + i];
        }
        for (int64_t c = 0; c < g.channels; c += 4) {
            Floats four[4];
            for (int i = 0; i < 4; ++i) {
                Quad quads[LANES];
                for (int lane = i; lane < LANES; lane += 4)
                    std::memcpy(&quads[lane - i], reinterpret_cast<const float*>(own + c / LANES * LANES + lane) + c % LANES,
                                sizeof(Quad));
                four[i] = join(quads);
            }
            turn(four);
            std::memcpy(static_cast<void*>(plane + c), four, sizeof four);
        }
        Floats d_alpha = load(by_alpha);
        for (int64_t c = 0; g.background && c < g.channels; ++c) d_alpha -= plane[c] * g.background[c];
        behind[unit] = -d_alpha;
        plane[g.channels] = load(by_depth);
    }
    // Then, when the unit is composited to its end: depth = sum / cover.
    void settle(const Losses& g, const Tile& tile, int unit) {
        if (!g.depth) return;
        Floats& d_depth = planes[unit * (g.channels + 1) + g.channels];
        const Floats cover = 1.f - tile.transmittance[unit];
        const Ints covered = cover > 1e-10f;
        d_depth = covered ? d_depth / cover : all(0.f);
        behind[unit] += covered ? d_depth * tile.depth[unit] / cover : all(0.f);
    }

private:
    // What there is of a vector of `count` floats or more; then zeros.
    static Floats load_first(const float* from, int64_t count) {
        if (count >= LANES) return load(from);
#if defined(__AVX512F__)
        Floats v;
        const __m512 some = _mm512_maskz_loadu_ps(__mmask16((1u << count) - 1), from);
        std::memcpy(&v, &some, sizeof v);
        return v;
#else
        alignas(sizeof(Floats)) float v[LANES] = {};
        int64_t c = 0;
        for (; c + 4 <= count; c += 4) std::memcpy(v + c, from + c, sizeof(Quad));
        for (; c < count; ++c) v[c] = from[c];
        return load(v);
#endif
    }
};

}  // namespace
}  // namespace near_kernels
