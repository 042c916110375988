// Alpha compositing of projected Gaussians, front to back, tile by tile; the rules are those of kernels/twins/splat.py.
#include <array>
#include <atomic>
#include <utility>

#include "api.h"
#include "splat_tile.h"

namespace near_kernels {
namespace {

typedef float Line __attribute__((vector_size(64)));  // of a cache

// Copies to memory; where it is streamed, whole lines, past the caches: what is written is not read before.
inline void copy([[maybe_unused]] bool streamed, float* to, const float* from, int64_t count) {
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        Line line;
        std::memcpy(&line, from + i, sizeof line);
#if defined(__clang__)
        if (streamed) {
            __builtin_nontemporal_store(line, reinterpret_cast<Line*>(to + i));
            continue;
        }
#endif
        std::memcpy(to + i, &line, sizeof line);
    }
    if (i < count) std::memcpy(to + i, from + i, sizeof(float) * size_t(count - i));
}

// Sums of a tile's units, channel by channel: channel c of unit u at u * channels + c.
struct alignas(64) Sums {
    Floats of[UNITS * MAX_CHANNELS + 4];

    const float* at(int sample, int64_t channels) const {
        return reinterpret_cast<const float*>(of + sample / LANES * channels) + sample % LANES;
    }
};

// The pixels of a tile, row by row, on their way to the picture.
struct alignas(64) Pixels {
    float image[TILE * (TILE * MAX_CHANNELS + 16)], alpha[TILE * TILE], depth[TILE * TILE];

    static int64_t stride(int64_t channels) { return TILE * channels + 16; }  // a row may be written a little too far

    // One sample a pixel: a unit that is composited to its end, and its channels' sums.
    inline void take(const Tile& tile, int unit, Floats* planes, int64_t channels, const float* background) {
        const int block = unit * LANES / 16, x = block % 4 * 4, y = block / 4 * 4 + unit * LANES % 16 / 4;
        const Floats through = tile.transmittance[unit], taken = 1.f - through;
        const Floats mean = tile.depth[unit] / higher(taken, all(1e-10f));
        put(taken, alpha + y * TILE + x, TILE);
        put(mean, depth + y * TILE + x, TILE);
        for (int64_t c = 0; background && c < channels; ++c) planes[c] += through * background[c];
        // Four channels at a time, the last first: what is written too far is written again.
        float* const pixels = image + y * stride(channels) + x * channels;
        for (int64_t c = (channels - 1) & ~3; c >= 0; c -= 4) {
            Floats four[4];
            std::memcpy(four, planes + c, sizeof four);
            turn(four);
            for (int i = 0; i < 4; ++i) put(four[i], pixels + i * channels + c, stride(channels));
        }
    }

private:
    // Puts what is of each row of a unit to where its row has it.
    static void put(Floats v, float* to, int64_t stride) {
        for (int row = 0; row < HIGH; ++row)
            std::memcpy(to + row * stride, reinterpret_cast<const float*>(&v) + 4 * row, sizeof(Quad));
    }
};

struct Canvas {
    int64_t channels, width, height;
    const float* background;  // null: black
    float *image, *alpha, *depth;
    bool streamed = false;  // the image is larger than caches are, and four pixels are whole lines of them;
    bool lines = false;     // a tile's row of alpha and of depth is a line, too
    alignas(64) float empty[TILE * MAX_CHANNELS] = {};  // pixels that nothing reaches

    void prepare() {
        const auto aligned = [](const float* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; };
        streamed = channels % 4 == 0 && width % 4 == 0 && aligned(image) && width * height * channels > int64_t(1) << 22;
        lines = streamed && width % TILE == 0 && aligned(alpha) && aligned(depth);
        for (int64_t i = 0; background && i < TILE * channels; ++i) empty[i] = background[i % channels];
    }

    // Writes a tile's row, `columns` pixels from (x, y) on: values of the image, alpha and depth.
    void write(int64_t x, int64_t y, int columns, const float* pixels, const float* covers, const float* far) const {
        const int64_t pixel = y * width + x;
        copy(streamed, image + pixel * channels, pixels, columns * channels);
        copy(lines && columns == TILE, alpha + pixel, covers, columns);
        copy(lines && columns == TILE, depth + pixel, far, columns);
    }

    // Has streamed lines there for other threads.
    void settle() const {
        if (streamed) std::atomic_thread_fence(std::memory_order_seq_cst);
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

// Where a unit's sums of all channels come from and go to: into the tile's, unless it is new or done.
struct Way {
    bool fresh;      // no batch before this one
    Pixels* pixels;  // of a unit that no batch comes to any more; else null
    const float* background;
};

// Composites a batch into a unit and its sums of N channels, all of them, which stay in registers.
template <bool CLOSING, int SIDE, int N>
void composite_all(Tile& tile, const Batch& batch, int unit, const Floats* alphas, Floats* sums, const Way& way) {
    Floats total[(N + 3) & ~3];
    for (int c = 0; c < ((N + 3) & ~3); ++c) total[c] = way.fresh || c >= N ? all(0.f) : sums[c];
    if (batch.listed[unit])
        composite<CLOSING>(tile, batch, unit, alphas, [&](int k, Ints, Floats, Floats, Floats weight) {
            const float* const color = batch.color[k];
            for (int c = 0; c < N; ++c) total[c] += weight * color[c];
        });
    if (SIDE == 1 && way.pixels) way.pixels->take(tile, unit, total, N, way.background);
    else for (int c = 0; c < N; ++c) sums[c] = total[c];
}

template <bool CLOSING, int SIDE, int... N>
constexpr auto list_compositors(std::integer_sequence<int, N...>) {
    return std::array<decltype(&composite_all<CLOSING, SIDE, 1>), sizeof...(N)>{composite_all<CLOSING, SIDE, N + 1>...};
}

// Composites a batch into a unit and its sums.
template <bool CLOSING, int SIDE>
void draw_unit(Tile& tile, const Batch& batch, const Floats* alphas, Shares& shares, int unit, Floats* sums,
               int64_t channels, const Way& way) {
    constexpr auto COMPOSITORS = list_compositors<CLOSING, SIDE>(std::make_integer_sequence<int, FUSED>());
    if (channels <= FUSED) return COMPOSITORS[channels - 1](tile, batch, unit, alphas, sums, way);
    if (way.fresh) std::memset(static_cast<void*>(sums), 0, sizeof(Floats) * size_t(channels));
    if (batch.listed[unit]) {
        int n = 0;
        composite<CLOSING>(tile, batch, unit, alphas, [&](int k, Ints, Floats, Floats taken, Floats weight) {
            shares.weight[n] = weight;
            shares.color[n] = batch.color[k];
            n += any(taken > 0.f);
        });
        shares.count = n;
        for (int64_t c = 0; c < channels; c += AT_ONCE)
            ADDERS[(channels - c < AT_ONCE ? channels - c : AT_ONCE) - 1](sums + c, shares, c);
    }
    if (SIDE == 1 && way.pixels) way.pixels->take(tile, unit, sums, channels, way.background);
}

// What a thread draws in one go: some tiles that splats reach, and as many of the empty ones as come to these. Memory is
// slower than drawing is, so pixels are written row by row, beside the work at the next tile's units.
template <bool CLOSING, int SIDE>
class Run {
public:
    Run(const Bins<SIDE>& bins, const float* features, const Canvas& canvas)
        : bins_(bins), features_(features), canvas_(canvas) {}

    // Of lists of tiles, `empty` of which nothing reaches.
    void draw(const int32_t* tiles, int64_t count, const int32_t* empty, int64_t empty_count) {
        const int64_t empty_rows = empty_count * TILE;
        int64_t written = 0, first = 0, last = 0;  // rows of empty ones: until now, before and after a tile
        Place before{}, blank{};
        const auto write_empties = [&](int64_t end) {
            for (; written < end; ++written) {
                if (written % TILE == 0) blank = find(empty[written / TILE]);
                write_empty(blank, int(written % TILE));
            }
        };
        const auto go_on = [&](int step) {
            if (step % 2) write(before, step / 2);
            else write_empties(first + (last - first) * (step + 2) / (2 * TILE));
        };
        for (int64_t i = 0; i < count; ++i) {
            const Place place = find(tiles[i]);
            first = last, last = (i + 1) * empty_rows / count;
            compose(tiles[i], place, go_on);
            if (SIDE == 1) before = place, written_ = !written_;
            else canvas_.fill_means(tile_, sums_, place.left, place.top, place.columns, place.rows);
        }
        for (int row = 0; row < TILE; ++row) write(before, row);
        write_empties(empty_rows);
        canvas_.settle();
    }

private:
    struct Place {
        int left, top, columns, rows;  // samples: where a tile begins, and how many of it are the picture's
    };
    Place find(int32_t t) const {
        const int32_t across = int32_t(bins_.tiles_x), left = t % across * TILE, top = t / across * TILE;
        const int64_t columns = SIDE * canvas_.width - left, rows = SIDE * canvas_.height - top;
        return {left, top, int(columns < TILE ? columns : TILE), int(rows < TILE ? rows : TILE)};
    }

    // Composites a tile; calls go_on(step) 2 TILE times meanwhile.
    template <class GoOn>
    void compose(int64_t t, const Place& place, const GoOn& go_on) {
        const int64_t channels = canvas_.channels, begin = bins_.tile_begin[t], end = bins_.tile_begin[t + 1];
        Pixels* const pixels = &pixels_[!written_];
        tile_.template reset<SIDE>(place.columns, place.rows);
        bool done = false;
        for (int64_t e = begin; e < end && tile_.live; e += BATCH) {
            batch_.stage(bins_, e, end, place.left, place.top, features_, channels, tile_.live);
            done = SIDE == 1 && e + BATCH >= end;
            const Way way{e == begin, done ? pixels : nullptr, canvas_.background};
            for (int unit = 0; unit < UNITS; ++unit) {
                batch_.foresee(bins_, e + BATCH, unit, features_, channels);
                const bool goes_on = way.fresh && unit % (UNITS / TILE) == 0;
                if (batch_.listed[unit]) find_alphas<SIDE>(tile_, batch_, unit, alphas_);
                if (goes_on) go_on(2 * unit / (UNITS / TILE));
                if (batch_.listed[unit] || way.fresh || done)
                    draw_unit<CLOSING, SIDE>(tile_, batch_, alphas_, shares_, unit, sums_.of + unit * channels, channels,
                                             way);
                if (goes_on) go_on(2 * unit / (UNITS / TILE) + 1);
            }
        }
        for (int unit = 0; SIDE == 1 && !done && unit < UNITS; ++unit)  // all pixels have stopped before the last batch
            pixels->take(tile_, unit, sums_.of + unit * channels, channels, canvas_.background);
    }

    void write(const Place& place, int row) const {
        const Pixels& pixels = pixels_[written_];
        if (row < place.rows)
            canvas_.write(place.left, place.top + row, place.columns,
                          pixels.image + row * Pixels::stride(canvas_.channels), pixels.alpha + row * TILE,
                          pixels.depth + row * TILE);
    }
    void write_empty(const Place& place, int row) const {
        if (row < place.rows / SIDE)
            canvas_.write(place.left / SIDE, place.top / SIDE + row, place.columns / SIDE, canvas_.empty, NOTHING, NOTHING);
    }

    const Bins<SIDE>& bins_;
    const float* features_;
    const Canvas& canvas_;
    Tile tile_;
    Sums sums_;
    Batch batch_;
    Floats alphas_[BATCH];
    Shares shares_;
    Pixels pixels_[2];      // of the tile that is composited, and
    bool written_ = false;  // which one's are being written
};

template <bool CLOSING, int SIDE>
void rasterize(const Projected& p, const float* features, const Canvas& canvas, int64_t threads) {
    const Bins<SIDE> bins(p, features, canvas.channels, SIDE * canvas.width, SIDE * canvas.height, threads);
    const int64_t tiles = bins.tiles();
    Buffer<int32_t> full(tiles), empty(tiles);
    int64_t counts[2] = {};
    for (int64_t t = 0; t < tiles; ++t)
        bins.tile_begin[t] < bins.tile_begin[t + 1] ? full[counts[0]++] = int32_t(t) : empty[counts[1]++] = int32_t(t);
    const int64_t runs = count_runs(tiles, threads);
    parallel_chunks(threads, runs, [&](int64_t run) {
        const auto from = [=](int64_t count, int64_t run) { return count * run / runs; };
        const int64_t first = from(counts[0], run), blank = from(counts[1], run);
        Run<CLOSING, SIDE>(bins, features, canvas)
            .draw(full.data + first, from(counts[0], run + 1) - first, empty.data + blank,
                  from(counts[1], run + 1) - blank);
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
            for (int k = 0; k < batch.count; ++k) parts[bins.entries[e + k].slot] = sum(totals[k]);
        }
        for (; e < bins.tile_begin[t + 1]; ++e) parts[bins.entries[e].slot] = 0.f;
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
        canvas.prepare();
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
