// Gradients of splat_rasterize. Each tile is composited again without features, a batch of splats at a time, then walked
// back to front, unit by unit: what pixels see behind a splat is known by then. Sums over pixels are products of small
// matrices, so that no vector is summed across its lanes. They go to one row per (splat, tile), added up in a fixed order.
#include <array>
#include <utility>

#include "api.h"
#include "splat_losses.h"

namespace near_kernels {
namespace {

struct Gradients {
    float *features, *mean, *conic, *depth, *opacity;
};

// What a row holds: the channels' gradients, then these.
enum { DEPTH, MEAN_X, MEAN_Y, CONIC_A, CONIC_B, CONIC_C, OPACITY, EXTRA = 8 };

constexpr float CENTRE = 0.5f * (TILE - 1);

// A tile's pixels as seen from its centre: 1, x, y, x^2, x y, y^2, each of as many pixels as fill a vector.
constexpr int PIXELS = LANES / 8, BUNDLES = LANES / PIXELS;
struct Basis {
    alignas(64) float of[TILE * TILE / PIXELS][LANES] = {};

    constexpr Basis() {
        for (int y = 0; y < TILE; ++y)
            for (int x = 0; x < TILE; ++x) {
                const float u = float(x) - CENTRE, v = float(y) - CENTRE, row[6] = {1.f, u, v, u * u, u * v, v * v};
                const int at = sample_at(x, y);
                for (int i = 0; i < 6; ++i) of[at / PIXELS][i * PIXELS + at % PIXELS] = row[i];
            }
    }
};
constexpr Basis BASIS;

// What pixels of a unit take of a batch's splats; only splats that some pixel takes.
struct alignas(64) Hits {
    Floats alpha[BATCH + 1], taken[BATCH + 1], weight[BATCH + 1], gain[BATCH + 1];  // gain: of the loss by what is shown
    uint8_t splat[BATCH + 1];
    int count;
};

// Two vectors' sums over PIXELS neighbours, the first one's first; where PIXELS is 1, the first one.
inline Floats fold(Floats first, [[maybe_unused]] Floats second) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(first, second, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           __builtin_shufflevector(first, second, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#else
    return first;
#endif
}

// The first and the second of every two quads of both vectors.
inline void part(Floats a, Floats b, Floats& first, Floats& second) {
#if defined(__AVX512F__)
    first = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    second = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
#else
    first = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
    second = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
#endif
}

// The gradients of a batch's splats in a tile.
struct alignas(64) Parts {
    Floats features[BATCH * GROUPS], depth[BATCH];
    Floats moments[BATCH];  // of the gradients of sigma, for BASIS

    // deep: depth has a loss.
    void clear(int count, int64_t groups, bool deep) {
        std::memset(static_cast<void*>(features), 0, sizeof(Floats) * size_t(count * groups));
        if (deep) std::memset(static_cast<void*>(depth), 0, sizeof(Floats) * size_t(count));
        std::memset(static_cast<void*>(moments), 0, sizeof(Floats) * size_t((count + LANES - 1) / LANES * LANES));
    }
    // What follows the channels in the rows of LANES splats from k on, EXTRA values each.
    void find_extras(const Batch& batch, int k, bool deep, float* extras) const {
        constexpr int HALF = LANES / 2;
        Floats low[4], high[4], m[8];
        for (int i = 0; i < 4; ++i) {
            low[i] = fold(moments[k + i], moments[k + i + HALF / 2]);
            high[i] = fold(moments[k + i + HALF], moments[k + i + HALF + HALF / 2]);
        }
        turn(low), turn(high);
        for (int i = 0; i < 4; ++i) part(low[i], high[i], m[i], m[i + 4]);
        const Floats x = load(batch.x + k) - CENTRE, y = load(batch.y + k) - CENTRE;
        const Floats dx = x * m[0] - m[1], dy = y * m[0] - m[2];  // sums of d_sigma times them
        const Floats a = load(batch.a + k) * -1.38629436f, b = load(batch.b + k) * -0.69314718f;
        const Floats c = load(batch.c + k) * -1.38629436f;
        alignas(64) float depths[LANES] = {};
        for (int i = 0; deep && i < LANES && k + i < batch.count; ++i) depths[i] = sum(depth[k + i]);
        Floats first[4] = {load(depths), a * dx + b * dy, b * dx + c * dy, 0.5f * (x * (dx - m[1]) + m[3])};
        Floats last[4] = {x * dy - y * m[1] + m[4], 0.5f * (y * (dy - m[2]) + m[5]), -m[0], all(0.f)};
        turn(first), turn(last);
        store_rows(first, last, extras);
    }
    // Writes the row of each splat: that of the k-th one begins at rows + slots[k].slot * (channels + EXTRA).
    template <class Slots>
    void write(const Batch& batch, int64_t channels, bool deep, const Slots& slots, float* rows) const {
        const int64_t groups = (channels + LANES - 1) / LANES;
        for (int first = 0; first < batch.count; first += LANES) {
            alignas(64) float extras[LANES * EXTRA];
            find_extras(batch, first, deep, extras);
            for (int k = first; k < batch.count && k < first + LANES; ++k) {
                float* const row = rows + int64_t(slots[k].slot) * (channels + EXTRA);
                for (int64_t c = 0; c < channels; c += 4)  // what is written too far is written again
                    std::memcpy(row + c, reinterpret_cast<const float*>(features + k * groups) + c, sizeof(Quad));
                std::memcpy(row + channels, extras + (k - first) * EXTRA, sizeof(float) * EXTRA);
            }
        }
    }
};

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int AT_ONCE = 16;  // channels whose losses have registers
#else
constexpr int AT_ONCE = 12;
#endif

// Composites a batch into a unit: its hits, and what the loss gains by the first N channels.
template <bool CLOSING, int N>
void collect(Tile& tile, const Batch& batch, int unit, const Floats* losses, Hits& hits) {
    Floats alphas[BATCH], loss[N];
    find_alphas<1>(tile, batch, unit, alphas);
    for (int c = 0; c < N; ++c) loss[c] = losses[c];
    int hit = 0;
    composite<CLOSING>(tile, batch, unit, alphas, [&](int k, Ints goes_on, Floats alpha, Floats taken, Floats weight) {
        const float* const color = batch.color[k];
        Floats gain[2] = {};  // two sums, so that neither waits for the other
        for (int c = 0; c < N; ++c) gain[c % 2] += loss[c] * color[c];
        hits.alpha[hit] = goes_on ? alpha : all(0.f);
        hits.taken[hit] = taken;
        if (CLOSING) hits.weight[hit] = weight;
        hits.gain[hit] = gain[0] + gain[1];
        hits.splat[hit] = uint8_t(k);
        hit += any(taken > 0.f);
    });
    hits.count = hit;
}

template <bool CLOSING, int... N>
constexpr auto list_collectors(std::integer_sequence<int, N...>) {
    return std::array<decltype(&collect<CLOSING, 1>), sizeof...(N)>{collect<CLOSING, N + 1>...};
}

// Adds what the loss gains by N channels from `first` on of the splats that are hit.
template <int N>
void add_gains(const Floats* losses, Hits& hits, const Batch& batch, int64_t first) {
    Floats loss[N];
    for (int c = 0; c < N; ++c) loss[c] = losses[c];
    for (int i = 0; i < hits.count; ++i) {
        const float* const color = batch.color[hits.splat[i]] + first;
        Floats gain = hits.gain[i];
        for (int c = 0; c < N; ++c) gain += loss[c] * color[c];
        hits.gain[i] = gain;
    }
}

template <int... N>
constexpr auto list_gains(std::integer_sequence<int, N...>) {
    return std::array<decltype(&add_gains<1>), sizeof...(N)>{add_gains<N + 1>...};
}
constexpr auto GAINS = list_gains(std::make_integer_sequence<int, AT_ONCE>());  // of 1, 2, 3, ... channels

// The next WIDTH of a pixel's weights, again and again.
template <int WIDTH>
inline Floats spread(const float* weights) {
    if (WIDTH == 1) return weights[0] - Floats{};
    Quad two{};
    std::memcpy(&two, weights, 2 * sizeof(float));
#if defined(__AVX512F__)
    return __builtin_shufflevector(two, two, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1);
#else
    return __builtin_shufflevector(two, two, 0, 1, 0, 1, 0, 1, 0, 1);
#endif
}

// sums[hits.splat[i] * stride] += the rows of a table, one for each WIDTH pixels, weighted by weights[i].
template <int WIDTH>
inline void contract(const Hits& hits, const Floats* weights, const Floats* table, Floats* sums, int64_t stride) {
    constexpr int ROWS = LANES / WIDTH;
    Floats row[ROWS];
    for (int i = 0; i < ROWS; ++i) row[i] = table[i];
    for (int i = 0; i < hits.count; ++i) {
        const float* const weight = reinterpret_cast<const float*>(weights + i);
        Floats even = all(0.f), odd = all(0.f);
        for (int k = 0; k < ROWS; k += 2) {
            even += spread<WIDTH>(weight + k * WIDTH) * row[k];
            odd += spread<WIDTH>(weight + (k + 1) * WIDTH) * row[k + 1];
        }
        sums[hits.splat[i] * stride] += even + odd;
    }
}

// Walks a unit's hits back to front, and adds their gradients.
template <bool CLOSING, bool DEEP>
void walk_back(TileLosses& losses, Hits& hits, const Batch& batch, int unit, int64_t channels, Parts& parts) {
    const Floats* const plane = losses.planes + unit * (channels + 1);
    const Floats d_depth = plane[channels];
    const int64_t groups = (channels + LANES - 1) / LANES;
    for (int64_t c = FUSED; c < channels; c += AT_ONCE)
        GAINS[(channels - c < AT_ONCE ? channels - c : AT_ONCE) - 1](plane + c, hits, batch, c);
    Floats behind = losses.behind[unit];
    for (int i = hits.count; i-- > 0;) {
        const int k = hits.splat[i];
        const Floats alpha = hits.alpha[i], taken = hits.taken[i];
        Floats gain = hits.gain[i];
        if (CLOSING) gain = hits.weight[i] > 0.f ? gain : all(0.f);
        if (DEEP) {
            gain += d_depth * batch.depth[k];
            parts.depth[k] += d_depth * taken;
        }
        hits.gain[i] = alpha < 0.99899f ? taken * (behind - gain) : all(0.f);  // of sigma; where alpha is clamped, none
        behind = (1.f - alpha) * behind + alpha * gain;  // a single step from one hit to the next
    }
    losses.behind[unit] = behind;
    for (int64_t g = 0; g < groups; ++g)
        contract<1>(hits, CLOSING ? hits.weight : hits.taken, losses.rows + (unit * groups + g) * LANES, parts.features + g,
                 groups);
    Floats basis[BUNDLES];
    std::memcpy(basis, BASIS.of[unit * BUNDLES], sizeof basis);
    contract<PIXELS>(hits, hits.gain, basis, parts.moments, 1);
}

// A batch, and its tile before it.
struct Step {
    Tile tile;
    Batch batch;
};

// Writes the slots of the tile's entries up to the one that is returned; nothing takes those beyond. foresee(first, end):
// has rows of the next tile's losses come, beside the work at units.
template <bool CLOSING, class Foresee>
int64_t walk_tile(const Bins<1, true>& bins, int64_t t, const float* features, const Losses& g, float* rows,
                  const Foresee& foresee) {
    const int left = int(t % bins.tiles_x) * TILE, top = int(t / bins.tiles_x) * TILE;
    const int64_t begin = bins.tile_begin[t], end = bins.tile_begin[t + 1], width = g.channels + EXTRA;
    const int64_t batches = (end - begin + BATCH - 1) / BATCH, groups = (g.channels + LANES - 1) / LANES;
    constexpr auto COLLECTORS = list_collectors<CLOSING>(std::make_integer_sequence<int, FUSED>());
    const auto gather = COLLECTORS[(g.channels < FUSED ? g.channels : FUSED) - 1];
    Buffer<Step> steps(batches);
    Hits hits;
    TileLosses losses;
    Parts parts;
    const auto stage = [&](int64_t n) {
        (new (&steps[n].batch) Batch)->stage(bins, begin + n * BATCH, end, left, top, features, g.channels, steps[n].tile.live);
    };
    steps[0].tile.reset<1>(int(g.width) - left, int(g.height) - top);
    stage(0);
    int64_t last = 0;
    for (; last + 1 < batches && steps[last].tile.live; ++last) {
        const Batch& batch = steps[last].batch;
        Tile& next = steps[last + 1].tile;
        next = steps[last].tile;
        for (int unit = 0; unit < UNITS; ++unit) {
            batch.foresee(bins, begin + (last + 1) * BATCH, unit, features, last + 2 == batches ? g.channels : 0);
            composite<CLOSING, 1>(next, batch, unit, [](int, Ints, Floats, Floats, Floats) {});
        }
        stage(last + 1);
    }
    for (int64_t n = last; n >= 0; --n) {
        Tile& tile = steps[n].tile;
        const Batch& batch = steps[n].batch;
        parts.clear(batch.count, groups, g.depth);
        for (int unit = 0; unit < UNITS; ++unit) {
            if (n == 0) batch.foresee(bins, end, unit, features, g.channels);
            for (int k = BATCH * unit / UNITS; n > 0 && k < BATCH * (unit + 1) / UNITS; ++k)
                near_kernels::foresee(steps[n - 1].batch.color[k], g.channels);
            for (int k = batch.count * unit / UNITS; k < batch.count * (unit + 1) / UNITS; ++k) {  // to be written below
                const float* const row = rows + bins.entries[begin + n * BATCH + k].slot * width;
                for (int64_t c = 0; c < width; c += 16) __builtin_prefetch(row + c, 1);
            }
            if (n == last) losses.take(g, unit, left, top);
            if (n == 0) foresee(unit * TILE / UNITS, (unit + 1) * TILE / UNITS);
            hits.count = 0;
            if (batch.listed[unit]) gather(tile, batch, unit, losses.planes + unit * (g.channels + 1), hits);
            if (n == last) losses.settle(g, tile, unit);
            if (hits.count)
                (g.depth ? walk_back<CLOSING, true> : walk_back<CLOSING, false>)(losses, hits, batch, unit, g.channels, parts);
        }
        parts.write(batch, g.channels, g.depth, bins.entries.data + begin + n * BATCH, rows);
    }
    return begin + (last + 1) * BATCH < end ? begin + (last + 1) * BATCH : end;
}

// The sum of those rows from slot `begin` on that something has taken, of `width` floats; reads a vector beyond the last.
inline void add_up(const float* rows, const bool* taken, int64_t begin, int64_t end, int64_t width, float* total) {
    for (int64_t c = 0; c < width; c += LANES) {
        Floats part = all(0.f);
        for (int64_t s = begin; s < end; ++s)
            if (taken[s]) part += load(rows + s * width + c);
        std::memcpy(total + c, &part, sizeof part);
    }
}

// Gives Gaussian i what its row holds. opacity: 0 where nothing has its gradient.
inline void write(const Gradients& out, int64_t i, int64_t channels, const float* row, float opacity) {
    float* const features = out.features + i * channels;
    int64_t c = 0;
    for (; c + 4 <= channels; c += 4) std::memcpy(features + c, row + c, sizeof(Quad));
    for (; c < channels; ++c) features[c] = row[c];
    const float* const extra = row + channels;
    out.depth[i] = extra[DEPTH];
    out.mean[2 * i] = extra[MEAN_X];
    out.mean[2 * i + 1] = extra[MEAN_Y];
    for (int k = 0; k < 3; ++k) out.conic[3 * i + k] = extra[CONIC_A + k];
    out.opacity[i] = opacity > 0.f ? extra[OPACITY] / opacity : 0.f;
}

template <bool CLOSING>
void rasterize_backward(const Projected& p, const float* features, const Losses& losses, const Gradients& out,
                        int64_t threads) {
    const int64_t channels = losses.channels, width = channels + EXTRA;
    const Bins<1, true> bins(p, features, channels, losses.width, losses.height, threads);
    if (bins.slot_count * width > 4 * ENTRIES_MAX) throw std::bad_alloc();
    Buffer<float> rows(bins.slot_count * width + LANES);
    Buffer<bool> taken(bins.slot_count);
    Buffer<int32_t> full(bins.tiles());
    int64_t count = 0;
    for (int64_t t = 0; t < bins.tiles(); ++t)
        if (bins.tile_begin[t] < bins.tile_begin[t + 1]) full[count++] = int32_t(t);
    const int64_t runs = count_runs(count, threads);  // what neighbours write lies close by, so that one thread has them
    parallel_chunks(threads, runs, [&](int64_t run) {
        for (int64_t i = count * run / runs; i < count * (run + 1) / runs; ++i) {
            const int64_t t = full[i], next = i + 1 < count ? full[i + 1] : t;
            const int64_t walked = walk_tile<CLOSING>(bins, t, features, losses, rows.data, [&](int first, int end) {
                losses.foresee(next % bins.tiles_x * TILE, next / bins.tiles_x * TILE, first, end);
            });
            for (int64_t e = bins.tile_begin[t]; e < bins.tile_begin[t + 1]; ++e)
                taken[bins.entries[e].slot] = e < walked;
        }
    });
    constexpr int64_t AHEAD = 16;
    parallel_ranges(threads, p.count, 1024, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const float opacity = bins.slot_begin[i] < bins.slot_end[i] ? p.opacity[i] : 0.f;
            alignas(64) float total[MAX_CHANNELS + EXTRA + LANES];
            foresee(rows.data + bins.slot_begin[i + AHEAD < end ? i + AHEAD : i] * width, width);
            add_up(rows.data, taken.data, bins.slot_begin[i], bins.slot_end[i], width, total);
            write(out, i, channels, total, opacity);
        }
    });
}

}  // namespace
}  // namespace near_kernels

using namespace near_kernels;

// As splat_rasterize, with the gradients of its outputs in place of them, null where alpha's or depth's are 0 -> gradients
// of features (N,C), mean (N,2), conic (N,3), depth (N), opacity (N), all written.
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
