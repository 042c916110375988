// Alpha compositing of projected Gaussians, front to back, tile by tile; the rules are those of kernels/twins/splat.py.
#include "api.h"
#include "splat_bins.h"

namespace near_kernels {
namespace {

constexpr int MAX_CHANNELS = 64;

// One tile of one thread. Transmittance is negative in a pixel that has stopped (or lies outside the picture).
struct alignas(64) Tile {
    Floats transmittance[UNITS];
    Floats sums[UNITS * (MAX_CHANNELS + 1)];  // of unit u: channel c at u * (channels + 1) + c, then the depth
    bool stopped[UNITS];
    int live;

    void reset(int64_t sums_count, int columns, int rows) {
        std::memset(static_cast<void*>(sums), 0, sizeof(Floats) * size_t(sums_count));
        float* t = reinterpret_cast<float*>(transmittance);
        for (int y = 0; y < TILE; ++y)
            for (int x = 0; x < TILE; ++x) t[pixel_at(x, y)] = x < columns && y < rows ? 1.f : -1.f;
        live = 0;
        for (int u = 0; u < UNITS; ++u) live += !(stopped[u] = !any(transmittance[u] > 0.f));
    }
    float pixel_transmittance(int at) const { return std::fabs(reinterpret_cast<const float*>(transmittance)[at]); }
    float pixel_sum(int at, int64_t stride, int64_t c) const {
        return reinterpret_cast<const float*>(sums)[(at / LANES * stride + c) * LANES + at % LANES];
    }
};

// The pixels of a tile that a splat may touch, as units, and its falloff there.
struct Footprint {
    const Splat& s;
    int column0, column1, row0, row1;  // units, end inclusive
    Floats x, y;                       // of the tile's unit (0, 0): mean minus pixel centre

    Footprint(const Splat& splat, int left, int top)
        : s(splat), column0((s.x0 > left ? s.x0 - left : 0) / 4), column1((s.x1 - left < TILE ? s.x1 - left - 1 : TILE - 1) / 4),
          row0((s.y0 > top ? s.y0 - top : 0) / UNIT_ROWS), row1((s.y1 - top < TILE ? s.y1 - top - 1 : TILE - 1) / UNIT_ROWS),
          x(s.x - (float(left) + 0.5f) - lane_x()), y(s.y - (float(top) + 0.5f) - lane_y()) {}

    Floats dx(int column) const { return x - float(4 * column); }
    Floats dy(int row) const { return y - float(UNIT_ROWS * row); }
    Floats sigma(Floats dx, Floats dy) const { return 0.5f * (s.a * dx * dx + s.c * dy * dy) + s.b * dx * dy; }
};

// Composites splat `f.s` into the tile: visit(unit, weight) for each unit where some pixel takes it; weight is 0 elsewhere.
template <class Visit>
inline void composite(Tile& tile, const Footprint& f, const Visit& visit) {
    for (int row = f.row0; row <= f.row1; ++row) {
        const Floats dy = f.dy(row);
        for (int column = f.column0; column <= f.column1; ++column) {
            const int unit = unit_at(column, row);
            if (tile.stopped[unit]) continue;
            const Floats sigma = f.sigma(f.dx(column), dy);
            Floats alpha = f.s.opacity * exp_negative(-sigma);
            alpha = alpha < ALPHA_MAX ? alpha : all(ALPHA_MAX);
            const Floats before = tile.transmittance[unit];
            const Ints valid = (sigma >= 0.f) & (alpha >= ALPHA_MIN) & (before > 0.f);
            if (!any(valid)) continue;
            const Floats after = before * (1.f - alpha);
            const Ints stops = valid & (after <= TRANSMITTANCE_MIN);
            const Ints takes = valid & ~stops;
            tile.transmittance[unit] = takes ? after : stops ? -before : before;
            if (any(stops) && !any(tile.transmittance[unit] > 0.f)) {
                tile.stopped[unit] = true;
                --tile.live;
            }
            visit(unit, takes ? alpha * before : all(0.f));
        }
    }
}

struct Canvas {
    int64_t channels, width, height;
    const float* background;  // null: black
    float *image, *alpha, *depth;

    void fill(const Tile* tile, int left, int top, int columns, int rows) const {
        const int64_t stride = channels + 1;
        for (int y = 0; y < rows; ++y) {
            for (int x = 0; x < columns; ++x) {
                const int at = pixel_at(x, y);
                const int64_t pixel = (top + y) * width + left + x;
                const float through = tile ? tile->pixel_transmittance(at) : 1.f, cover = 1.f - through;
                for (int64_t c = 0; c < channels; ++c)
                    image[pixel * channels + c] = (tile ? tile->pixel_sum(at, stride, c) : 0.f) + (background ? through * background[c] : 0.f);
                alpha[pixel] = cover;
                depth[pixel] = tile ? tile->pixel_sum(at, stride, channels) / std::fmax(cover, 1e-10f) : 0.f;
            }
        }
    }
};

void rasterize(const Projected& p, const float* features, const Canvas& canvas, int64_t threads) {
    const int64_t channels = canvas.channels, stride = channels + 1;
    const Bins bins(p, features, channels, canvas.width, canvas.height, threads);
    parallel_chunks(threads, bins.tiles_x * bins.tiles_y, [&](int64_t t) {
        const int left = int(t % bins.tiles_x) * TILE, top = int(t / bins.tiles_x) * TILE;
        const int columns = int(canvas.width) - left < TILE ? int(canvas.width) - left : TILE;
        const int rows = int(canvas.height) - top < TILE ? int(canvas.height) - top : TILE;
        if (bins.tile_begin[t] == bins.tile_begin[t + 1]) return canvas.fill(nullptr, left, top, columns, rows);
        Tile tile;
        tile.reset(UNITS * stride, columns, rows);
        for (int64_t e = bins.tile_begin[t]; e < bins.tile_begin[t + 1] && tile.live; ++e) {
            const Splat& s = bins.splats[(*bins.entries)[e]];
            const float* color = features + int64_t(s.id) * channels;
            composite(tile, Footprint(s, left, top), [&](int unit, Floats weight) {
                Floats* sums = tile.sums + unit * stride;
                for (int64_t c = 0; c < channels; ++c) sums[c] += weight * color[c];
                sums[channels] += weight * s.depth;
            });
        }
        canvas.fill(&tile, left, top, columns, rows);
    });
}

// weights: (N,) zero; receives each Gaussian's blending weight summed over the pixels.
void contributions(const Projected& p, int64_t width, int64_t height, float* weights, int64_t threads) {
    const Bins bins(p, nullptr, 0, width, height, threads);
    Buffer<float> parts(bins.entry_count);  // of each entry: no two threads write one sum, the order of adding is fixed
    parallel_chunks(threads, bins.tiles_x * bins.tiles_y, [&](int64_t t) {
        const int left = int(t % bins.tiles_x) * TILE, top = int(t / bins.tiles_x) * TILE;
        Tile tile;
        tile.reset(0, int(width) - left, int(height) - top);
        for (int64_t e = bins.tile_begin[t]; e < bins.tile_begin[t + 1]; ++e) {
            Floats total = all(0.f);
            if (tile.live)
                composite(tile, Footprint(bins.splats[(*bins.entries)[e]], left, top), [&](int, Floats weight) { total += weight; });
            parts[e] = sum(total);
        }
    });
    parallel_ranges(threads, bins.count, 4096, [&](int64_t begin, int64_t end) {
        for (int64_t s = begin; s < end; ++s)
            for (int64_t k = bins.first[s]; k < bins.first[s + 1]; ++k) weights[bins.splats[s].id] += parts[(*bins.slots)[k]];
    });
}

}  // namespace
}  // namespace near_kernels

using namespace near_kernels;

// mean (N,2), conic (N,3), depth (N), radius (N), opacity (N), features (N,C), background (C) or null -> image (H,W,C),
// alpha (H,W), depth (H,W); all outputs are written everywhere. C <= 64.
NEAR_KERNEL(splat_rasterize)(const float* mean, const float* conic, const float* depth, const int32_t* radius, const float* opacity,
                             int64_t count, const float* features, int64_t channels, const float* background, int64_t width,
                             int64_t height, float* image, float* alpha, float* out_depth, int64_t threads) {
    return guard([&] {
        rasterize({mean, conic, depth, radius, opacity, count}, features,
                  {channels, width, height, background, image, alpha, out_depth}, threads);
    });
}

NEAR_KERNEL(splat_contributions)(const float* mean, const float* conic, const float* depth, const int32_t* radius,
                                 const float* opacity, int64_t count, int64_t width, int64_t height, float* weights,
                                 int64_t threads) {
    return guard([&] { contributions({mean, conic, depth, radius, opacity, count}, width, height, weights, threads); });
}
