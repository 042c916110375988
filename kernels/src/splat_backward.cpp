// Gradients of splat_rasterize. Each tile is composited again without features, then walked back to front: the light
// that a splat lets through to those behind it is known by then. Sums go to one row per (splat, tile), added up in a
// fixed order.
#include "api.h"
#include "splat_tile.h"

namespace near_kernels {
namespace {

struct Losses {  // gradients of the loss with respect to the outputs, and what made them
    int64_t channels, width, height;
    const float *background, *image, *alpha, *depth;
};

struct Gradients {
    float *features, *mean, *conic, *depth, *opacity;
};

// What a row holds: the channels' gradients, then these.
enum { DEPTH, MEAN_X, MEAN_Y, CONIC_A, CONIC_B, CONIC_C, OPACITY, EXTRA };

struct BackwardTile {
    Tile tile;
    Floats behind[UNITS];  // dL/d(light arriving from behind the splats walked so far) times that light
    Ints last[UNITS];      // the last splat (its place in the tile's list) that each pixel took
    Floats losses[UNITS * (MAX_CHANNELS + 1)];  // as Tile::sums: the picture's gradients, then the summed depth's
};

// Composites the tile for its transmittance, depth and last splats, and prepares the gradients per pixel. live: for
// each splat of the list, the units that had not stopped before it.
template <bool CLOSING>
void retrace(BackwardTile& b, const Bins<1>& bins, int64_t t, int left, int top, const Losses& g, uint64_t* live) {
    const int64_t stride = g.channels + 1;
    const int columns = int(g.width) - left < TILE ? int(g.width) - left : TILE;
    const int rows = int(g.height) - top < TILE ? int(g.height) - top : TILE;
    b.tile.reset(UNITS, columns, rows);
    for (int u = 0; u < UNITS; ++u) b.last[u] = Ints{} - 1;
    const int64_t begin = bins.tile_begin[t];
    for (int64_t e = begin; e < bins.tile_begin[t + 1]; ++e) {
        live[e - begin] = b.tile.live;
        if (!b.tile.live) continue;
        const Splat& s = bins.at(e, nullptr, 0);
        composite<CLOSING>(b.tile, Footprint<1>(s, left, top), [&](int unit, Floats, Floats weight) {
            b.tile.sums[unit] += weight * s.depth;
            b.last[unit] = weight > 0.f ? Ints{} + int32_t(e - begin) : b.last[unit];
        });
    }
    for (int u = 0; u < UNITS; ++u) {
        Floats &through = b.tile.transmittance[u], *losses = b.losses + u * stride;
        for (int lane = 0; lane < LANES; ++lane) {
            const int x = int(LAYOUT.x[u * LANES + lane]), y = int(LAYOUT.y[u * LANES + lane]);
            const bool inside = x < columns && y < rows;
            const int64_t pixel = (top + y) * g.width + left + x;
            const float cover = 1.f - std::fabs(through[lane]);
            float d_cover = inside ? g.alpha[pixel] : 0.f, d_depth = 0.f;
            for (int64_t c = 0; c < g.channels; ++c) {
                losses[c][lane] = inside ? g.image[pixel * g.channels + c] : 0.f;
                if (g.background) d_cover -= losses[c][lane] * g.background[c];
            }
            if (inside && cover > 1e-10f) {  // depth = sum / cover
                d_depth = g.depth[pixel] / cover;
                d_cover -= d_depth * b.tile.sums[u][lane] / cover;
            }
            losses[g.channels][lane] = d_depth;
            through[lane] = std::fabs(through[lane]);
            b.behind[u][lane] = -d_cover * through[lane];
        }
    }
}

// One splat of the tile, the pixels' transmittance being that after it: writes its row and steps to before it.
template <bool CLOSING>
void walk_back(BackwardTile& b, const Footprint<1>& f, uint64_t live, int32_t place, const float* color, int64_t channels,
               float* row) {
    const Splat& s = f.s;
    const int64_t stride = channels + 1;
    Floats sums[MAX_CHANNELS + EXTRA];
    for (int64_t i = 0; i < channels + EXTRA; ++i) sums[i] = all(0.f);
    Floats* extra = sums + channels;
    for (uint64_t units = cover(f, f.units & live, b.tile.alpha); units; units &= units - 1) {
        const int unit = __builtin_ctzll(units);
        const Ints takes = (b.tile.alpha[unit] > 0.f) & (b.last[unit] >= place);
        if (!any(takes)) continue;
        const Floats alpha = takes ? b.tile.alpha[unit] : all(0.f), *losses = b.losses + unit * stride;
        const Floats passes = 1.f / (1.f - alpha), before = b.tile.transmittance[unit] * passes;
        const Floats weight = alpha * before;
        Floats gain = all(0.f), shown = weight;
        if (CLOSING) shown = s.depth <= b.tile.hidden[unit] ? weight : all(0.f);
        for (int64_t c = 0; c < channels; ++c) {
            gain += losses[c] * color[c];
            sums[c] += losses[c] * shown;
        }
        if (CLOSING) gain = s.depth <= b.tile.hidden[unit] ? gain : all(0.f);
        gain += losses[channels] * s.depth;
        extra[DEPTH] += losses[channels] * weight;
        Floats d_alpha = before * gain - b.behind[unit] * passes;
        b.behind[unit] += weight * gain;
        b.tile.transmittance[unit] = before;
        d_alpha = (takes & (alpha < ALPHA_MAX)) ? d_alpha : all(0.f);  // the clamp passes no gradient
        const Floats d_sigma = -alpha * d_alpha, dx = f.dx(unit), dy = f.dy(unit);
        extra[MEAN_X] += d_sigma * (s.a * dx + s.b * dy);
        extra[MEAN_Y] += d_sigma * (s.b * dx + s.c * dy);
        extra[CONIC_A] += d_sigma * dx * dx;
        extra[CONIC_B] += d_sigma * dx * dy;
        extra[CONIC_C] += d_sigma * dy * dy;
        extra[OPACITY] -= d_sigma;
    }
    for (int64_t i = 0; i < channels + EXTRA; ++i) row[i] = sum(sums[i]);
}

template <bool CLOSING>
void rasterize_backward(const Projected& p, const float* features, const Losses& losses, const Gradients& out,
                        int64_t threads) {
    const int64_t channels = losses.channels, width = channels + EXTRA;
    const Bins<1> bins(p, features, channels, losses.width, losses.height, threads);
    if (bins.entry_count * width > 4 * ENTRIES_MAX) throw std::bad_alloc();
    Buffer<float> rows(bins.entry_count * width);
    parallel_chunks(threads, bins.tiles_x * bins.tiles_y, [&](int64_t t) {
        const int64_t begin = bins.tile_begin[t], end = bins.tile_begin[t + 1];
        if (begin == end) return;
        const int left = int(t % bins.tiles_x) * TILE, top = int(t / bins.tiles_x) * TILE;
        BackwardTile tile;
        Buffer<uint64_t> live(end - begin);
        retrace<CLOSING>(tile, bins, t, left, top, losses, live.data);
        for (int64_t e = end; e-- > begin;) {
            const Splat& s = bins.at(e, features, channels, -8);
            walk_back<CLOSING>(tile, Footprint<1>(s, left, top), live[e - begin], int32_t(e - begin),
                      features + bins.entries[e] * channels, channels, rows.data + e * width);
        }
    });
    parallel_ranges(threads, bins.count, 1024, [&](int64_t begin, int64_t end) {
        for (int64_t s = begin; s < end; ++s) {
            float total[MAX_CHANNELS + EXTRA] = {};
            for (int64_t k = bins.first[s]; k < bins.first[s + 1]; ++k)
                for (int64_t i = 0; i < width; ++i) total[i] += rows[bins.slots[k] * width + i];
            const int64_t id = bins.sorted[s].row;
            const float* extra = total + channels;
            std::memcpy(out.features + id * channels, total, sizeof(float) * size_t(channels));
            out.depth[id] = extra[DEPTH];
            out.mean[2 * id] = extra[MEAN_X];
            out.mean[2 * id + 1] = extra[MEAN_Y];
            out.conic[3 * id] = 0.5f * extra[CONIC_A];
            out.conic[3 * id + 1] = extra[CONIC_B];
            out.conic[3 * id + 2] = 0.5f * extra[CONIC_C];
            out.opacity[id] = extra[OPACITY] / bins.splats[id].opacity;
        }
    });
}

}  // namespace
}  // namespace near_kernels

using namespace near_kernels;

// As splat_rasterize, with the gradients of its outputs in place of them -> gradients of features (N,C), mean (N,2),
// conic (N,3), depth (N), opacity (N), zeroed by the caller.
NEAR_KERNEL(splat_rasterize_backward)(const float* mean, const float* conic, const float* depth, const int32_t* radius,
                                      const float* opacity, int64_t count, const float* occlusion_depth,
                                      const float* features, int64_t channels, const float* background, int64_t width,
                                      int64_t height, const float* d_image, const float* d_alpha,
                                      const float* d_out_depth, float* d_features, float* d_mean, float* d_conic,
                                      float* d_depth, float* d_opacity, int64_t threads) {
    return guard([&] {
        (occlusion_depth ? rasterize_backward<true> : rasterize_backward<false>)(
            {mean, conic, depth, radius, opacity, count, occlusion_depth}, features,
            {channels, width, height, background, d_image, d_alpha, d_out_depth},
            {d_features, d_mean, d_conic, d_depth, d_opacity}, threads);
    });
}
