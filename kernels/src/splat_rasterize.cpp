// Alpha compositing of projected Gaussians, front to back, tile by tile; the rules are those of kernels/twins/splat.py.
#include <array>
#include <atomic>
#include <utility>

#include "api.h"
#include "splat_tile.h"

namespace near_kernels {
namespace {

typedef float Line __attribute__((vector_size(64)));  // of a cache

alignas(64) constexpr float NOTHING[4 * MAX_CHANNELS] = {};

// Copies lines to memory, past the caches: what is written is not read before.
inline void stream(float* to, const float* from, int64_t count) {
    for (int64_t i = 0; i < count; i += 16) {
        Line line;
        std::memcpy(&line, from + i, sizeof line);
#if defined(__clang__)
        __builtin_nontemporal_store(line, reinterpret_cast<Line*>(to + i));
#else
        std::memcpy(to + i, &line, sizeof line);
#endif
    }
}

// Sums of a tile's units, channel by channel: channel c of unit u at u * channels + c.
struct alignas(64) Sums {
    Floats of[UNITS * MAX_CHANNELS + 4];

    const float* at(int sample, int64_t channels) const {
        return reinterpret_cast<const float*>(of + sample / LANES * channels) + sample % LANES;
    }
};

struct Canvas {
    int64_t channels, width, height;
    const float* background;  // null: black
    float *image, *alpha, *depth;
    bool streamed = false;  // the image is larger than caches are, and four pixels are whole lines of them;
    bool lines = false;     // a tile's row of alpha and of depth is a line, too

    // Has streamed lines there for other threads.
    void settle() const {
        if (streamed) std::atomic_thread_fence(std::memory_order_seq_cst);
    }

    void find_way() {
        const auto aligned = [](const float* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; };
        streamed = channels % 4 == 0 && width % 4 == 0 && aligned(image) && width * height * channels > int64_t(1) << 22;
        lines = streamed && width % TILE == 0 && aligned(alpha) && aligned(depth);
    }

    // Writes the values of `columns` pixels, a row of a tile, to alpha or depth.
    void fill_row(float* to, const float* from, int columns) const {
        if (lines && columns == TILE)
            stream(to, from, TILE);
        else if (columns == TILE)
            std::memcpy(to, from, sizeof(float) * TILE);
        else
            std::memcpy(to, from, sizeof(float) * size_t(columns));
    }

    // The tile's own samples begin at (left, top), columns x rows of them are the picture's: SIDE x SIDE a pixel.
    template <int SIDE>
    void fill_empty(int left, int top, int columns, int rows) const {
        left /= SIDE, top /= SIDE, columns /= SIDE, rows /= SIDE;
        for (int y = 0; y < rows; ++y) {
            const int64_t pixel = (top + y) * width + left;
            fill_row(alpha + pixel, NOTHING, columns);
            fill_row(depth + pixel, NOTHING, columns);
            if (streamed)
                for (int x = 0; x < columns; x += 4) stream(image + (pixel + x) * channels, NOTHING, 4 * channels);
            else
                std::memset(image + pixel * channels, 0, sizeof(float) * size_t(columns * channels));
            for (int64_t i = 0; background && i < columns * channels; ++i)
                image[pixel * channels + i] = background[i % channels];
        }
    }

    // One sample a pixel: writes four rows of a tile from `first` on, which are composited to their end.
    void fill(const Tile& tile, const Sums& sums, int first, int left, int top, int columns, int rows) const {
        for (int y = first; y < first + 4 && y < rows; ++y) {
            alignas(64) float covers[TILE], far[TILE];
            for (int x = 0; x < columns; x += 4)
                fill_four(tile, sums, x, y, left, top, columns - x < 4 ? columns - x : 4, covers + x, far + x);
            const int64_t pixel = (top + y) * width + left;
            fill_row(alpha + pixel, covers, columns);
            fill_row(depth + pixel, far, columns);
        }
    }

    // Writes `count` pixels, at most four, of a row of a tile to the image, and tells four of alpha and depth.
    void fill_four(const Tile& tile, const Sums& sums, int x, int y, int left, int top, int count, float* covers,
                   float* far) const {
        alignas(64) float scratch[4 * (MAX_CHANNELS + 4)];
        const int at = sample_at(x, y);
        const float* planes = sums.at(at, channels);
        const int64_t pixel = (top + y) * width + left + x;
        float* const target = image + pixel * channels;
        float* const pixels = channels % 4 == 0 && count == 4 && !streamed ? target : scratch;
        // Planes to pixels, four channels at a time, the last first: what it writes too far is written again.
        for (int64_t c = (channels - 1) & ~3; c >= 0; c -= 4) {
            Quad plane[4];
            for (int i = 0; i < 4; ++i) std::memcpy(&plane[i], planes + (c + i) * LANES, sizeof(Quad));
            turn(plane);
            for (int i = 0; i < 4; ++i) std::memcpy(pixels + i * channels + c, &plane[i], sizeof(Quad));
        }
        Quad through, behind;
        std::memcpy(&through, reinterpret_cast<const float*>(tile.transmittance) + at, sizeof through);
        std::memcpy(&behind, reinterpret_cast<const float*>(tile.depth) + at, sizeof behind);
        const Quad taken = 1.f - through, mean = behind / (taken > 1e-10f ? taken : Quad{} + 1e-10f);
        std::memcpy(covers, &taken, sizeof taken);
        std::memcpy(far, &mean, sizeof mean);
        for (int i = 0; background && i < count; ++i)
            for (int64_t c = 0; c < channels; ++c) pixels[i * channels + c] += through[i] * background[c];
        if (streamed)
            stream(target, scratch, 4 * channels);
        else if (pixels == scratch)
            std::memcpy(target, scratch, sizeof(float) * size_t(count * channels));
    }

    // Four samples a pixel: a block of 4 x 4 becomes 2 x 2 pixels.
    void fill_means(const Tile& tile, const Sums& sums, int left, int top, int columns, int rows) const {
        for (int y = 0; y < rows; y += 4)
            for (int x = 0; x < columns; x += 4) {
                float mean[MAX_CHANNELS + 1][4];  // of the pixels, row by row; of their depths at last
                for (int64_t c = 0; c <= channels; ++c) {
                    Quad line[4];
                    for (int i = 0; i < 4; ++i) {
                        const int at = sample_at(x, y + i);
                        std::memcpy(&line[i], c < channels ? sums.at(at, channels) + c * LANES
                                                           : reinterpret_cast<const float*>(tile.depth) + at, sizeof(Quad));
                    }
                    const Quad upper = line[0] + line[1], lower = line[2] + line[3];
                    const Quad pixels = 0.25f * (__builtin_shufflevector(upper, lower, 0, 2, 4, 6) +
                                                 __builtin_shufflevector(upper, lower, 1, 3, 5, 7));
                    std::memcpy(mean[c], &pixels, sizeof pixels);
                }
                for (int i = 0; i < 4; ++i) {
                    const int column = x + i % 2 * 2, row = y + i / 2 * 2;
                    if (column >= columns || row >= rows) continue;
                    float through = 0;
                    for (int k = 0; k < 4; ++k)
                        through += 0.25f * tile.transmittance_at(sample_at(column + k % 2, row + k / 2));
                    const int64_t pixel = (top + row) / 2 * width + (left + column) / 2;
                    alpha[pixel] = 1.f - through;
                    depth[pixel] = mean[channels][i] / std::fmax(1.f - through, 1e-10f);
                    float* const target = image + pixel * channels;
                    for (int64_t c = 0; c < channels; ++c)
                        target[c] = mean[c][i] + (background ? through * background[c] : 0.f);
                }
            }
    }
};

// What a unit's pixels take of the splats of a batch, one after the other; only splats that some pixel takes.
struct alignas(64) Shares {
    Floats weight[BATCH + 1];
    const float* color[BATCH + 1];
    int count;
};

#if defined(__AVX512F__)
constexpr int AT_ONCE = 16;  // channels whose sums have registers
#elif defined(__AVX2__) || defined(__aarch64__)
constexpr int AT_ONCE = 12;
#else
constexpr int AT_ONCE = 6;
#endif

// Adds what a unit's pixels take of N channels from `first` on.
template <int N>
void add_channels(Floats* sums, const Shares& shares, int64_t first) {
    Floats total[N];
    for (int c = 0; c < N; ++c) total[c] = sums[c];
    for (int i = 0; i < shares.count; ++i) {
        const Floats weight = shares.weight[i];
        const float* const color = shares.color[i] + first;
        for (int c = 0; c < N; ++c) total[c] += weight * color[c];
    }
    for (int c = 0; c < N; ++c) sums[c] = total[c];
}

template <int... N>
constexpr auto list_adders(std::integer_sequence<int, N...>) {
    return std::array<decltype(&add_channels<1>), sizeof...(N)>{add_channels<N + 1>...};
}
constexpr auto ADDERS = list_adders(std::make_integer_sequence<int, AT_ONCE>());  // of 1, 2, 3, ... channels

// Composites a batch into a unit and its sums of N channels, all of them, which stay in registers.
template <bool CLOSING, int SIDE, int N>
void composite_all(Tile& tile, const Batch& batch, int unit, Floats* sums) {
    Floats total[N];
    for (int c = 0; c < N; ++c) total[c] = sums[c];
    composite<CLOSING, SIDE>(tile, batch, unit, [&](int k, Ints, Floats, Floats, Floats weight) {
        const float* const color = batch.color[k];
        for (int c = 0; c < N; ++c) total[c] += weight * color[c];
    });
    for (int c = 0; c < N; ++c) sums[c] = total[c];
}

template <bool CLOSING, int SIDE, int... N>
constexpr auto list_compositors(std::integer_sequence<int, N...>) {
    return std::array<decltype(&composite_all<CLOSING, SIDE, 1>), sizeof...(N)>{composite_all<CLOSING, SIDE, N + 1>...};
}

// Composites a batch into a unit and its sums.
template <bool CLOSING, int SIDE>
void draw_unit(Tile& tile, const Batch& batch, Shares& shares, int unit, Floats* sums, int64_t channels) {
    constexpr auto COMPOSITORS = list_compositors<CLOSING, SIDE>(std::make_integer_sequence<int, FUSED>());
    if (channels <= FUSED) return COMPOSITORS[channels - 1](tile, batch, unit, sums);
    int n = 0;
    composite<CLOSING, SIDE>(tile, batch, unit, [&](int k, Ints takes, Floats, Floats, Floats weight) {
        shares.weight[n] = weight;
        shares.color[n] = batch.color[k];
        n += any(takes);
    });
    shares.count = n;
    for (int64_t c = 0; c < channels; c += AT_ONCE)
        ADDERS[(channels - c < AT_ONCE ? channels - c : AT_ONCE) - 1](sums + c, shares, c);
}

template <bool CLOSING, int SIDE>
void rasterize(const Projected& p, const float* features, const Canvas& canvas, int64_t threads) {
    const int64_t channels = canvas.channels, width = SIDE * canvas.width, height = SIDE * canvas.height;
    const Bins<SIDE> bins(p, features, channels, width, height, threads);
    parallel_chunks(threads, bins.tiles(), [&](int64_t t) {
        const int left = int(t % bins.tiles_x) * TILE, top = int(t / bins.tiles_x) * TILE;
        const int columns = int(width) - left < TILE ? int(width) - left : TILE;
        const int rows = int(height) - top < TILE ? int(height) - top : TILE;
        const int64_t end = bins.tile_begin[t + 1];
        if (bins.tile_begin[t] == end) {
            canvas.fill_empty<SIDE>(left, top, columns, rows);
            return canvas.settle();
        }
        Tile tile;
        Sums sums;
        Batch batch;
        Shares shares;
        tile.reset<SIDE>(columns, rows);
        std::memset(static_cast<void*>(sums.of), 0, sizeof(Floats) * size_t(UNITS * channels));
        const auto fill = [&](int strip) { canvas.fill(tile, sums, 4 * strip, left, top, columns, rows); };
        constexpr int WIDE = UNITS / 4;  // units of four rows
        bool filled = SIDE == 2;
        for (int64_t e = bins.tile_begin[t]; e < end && tile.live; e += BATCH) {
            batch.stage(bins, e, end, left, top, features, channels, tile.live);
            // What goes through the caches is written while the units below are drawn, what goes past them in one go.
            const bool last = SIDE == 1 && !canvas.streamed && e + BATCH >= end;
            for (int unit = 0; unit < UNITS; ++unit) {
                batch.foresee(bins, e + BATCH, unit, features, channels);
                if (batch.listed[unit])
                    draw_unit<CLOSING, SIDE>(tile, batch, shares, unit, sums.of + unit * channels, channels);
                if (last && (unit + 1) % WIDE == 0) fill(unit / WIDE);
            }
            filled |= last;
        }
        for (int strip = 0; strip < 4 && !filled; ++strip) fill(strip);
        if (SIDE == 2) canvas.fill_means(tile, sums, left, top, columns, rows);
        canvas.settle();
    });
}

// weights: (N,) zero; receives each Gaussian's blending weight summed over the pixels.
template <bool CLOSING>
void contributions(const Projected& p, int64_t width, int64_t height, float* weights, int64_t threads) {
    const Bins<1, true> bins(p, nullptr, 0, width, height, threads);
    Buffer<float> parts(bins.slot_count);  // of each entry: no two threads write one sum, the order of adding is fixed
    parallel_chunks(threads, bins.tiles(), [&](int64_t t) {
        const int left = int(t % bins.tiles_x) * TILE, top = int(t / bins.tiles_x) * TILE;
        Tile tile;
        Batch batch;
        Floats totals[BATCH];
        tile.reset<1>(int(width) - left, int(height) - top);
        int64_t e = bins.tile_begin[t];
        for (const int64_t end = bins.tile_begin[t + 1]; e < end && tile.live; e += batch.count) {
            batch.stage(bins, e, end, left, top, nullptr, 0, tile.live);
            for (int k = 0; k < batch.count; ++k) totals[k] = all(0.f);
            for (int unit = 0; unit < UNITS; ++unit) {
                batch.foresee(bins, e + BATCH, unit, nullptr, 0);
                composite<CLOSING, 1>(tile, batch, unit, [&](int k, Ints, Floats, Floats, Floats weight) {
                    totals[k] += weight;
                });
            }
            for (int k = 0; k < batch.count; ++k) parts[bins.slot_of[e + k]] = sum(totals[k]);
        }
        for (; e < bins.tile_begin[t + 1]; ++e) parts[bins.slot_of[e]] = 0.f;
    });
    parallel_ranges(threads, p.count, 4096, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
            for (uint32_t s = bins.slot_begin[i]; s < bins.slot_end[i]; ++s) weights[i] += parts[s];
    });
}

}  // namespace
}  // namespace near_kernels

using namespace near_kernels;

// mean (N,2), conic (N,3), depth (N), radius (N), opacity (N), features (N,C), background (C) or null -> image (H,W,C),
// alpha (H,W), depth (H,W); all outputs are written everywhere. C <= 64. occlusion_depth (N) or null. samples 1 or 4.
NEAR_KERNEL(splat_rasterize)(const float* mean, const float* conic, const float* depth, const int32_t* radius,
                             const float* opacity, int64_t count, const float* occlusion_depth, const float* features,
                             int64_t channels, const float* background, int64_t width, int64_t height, int64_t samples,
                             float* image, float* alpha, float* out_depth, int64_t threads) {
    return guard([&] {
        const auto draw = samples == 1 ? occlusion_depth ? rasterize<true, 1> : rasterize<false, 1>
                                       : occlusion_depth ? rasterize<true, 2> : rasterize<false, 2>;
        Canvas canvas{channels, width, height, background, image, alpha, out_depth};
        canvas.find_way();
        draw({mean, conic, depth, radius, opacity, count, occlusion_depth}, features, canvas, threads);
    });
}

NEAR_KERNEL(splat_contributions)(const float* mean, const float* conic, const float* depth, const int32_t* radius,
                                 const float* opacity, int64_t count, const float* occlusion_depth, int64_t width,
                                 int64_t height, float* weights, int64_t threads) {
    return guard([&] {
        (occlusion_depth ? contributions<true> : contributions<false>)(
            {mean, conic, depth, radius, opacity, count, occlusion_depth}, width, height, weights, threads);
    });
}
