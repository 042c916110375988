// What splatting cannot do without, for benchmarks: sorting alone, the pairs of a Gaussian and a pixel, the arithmetic of
// so many pairs with nothing around it, and reading each Gaussian once.
#include <array>
#include <utility>

#include "api.h"
#include "splat_tile.h"

namespace near_kernels {
namespace {

struct Pairs {
    int64_t taken = 0, left = 0;  // that a pixel takes; that culling leaves to be worked out
};

Pairs count_pairs(const Projected& p, int64_t width, int64_t height, int64_t threads) {
    const Bins<1> bins(p, nullptr, 0, width, height, threads);
    const int64_t tiles = bins.tiles();
    Buffer<Pairs> counts(tiles);
    parallel_chunks(threads, tiles, [&](int64_t t) {
        const int left = int(t % bins.tiles_x) * TILE, top = int(t / bins.tiles_x) * TILE;
        Tile tile;
        Batch batch;
        Ints taken = {};
        int64_t visits = 0;
        tile.reset<1>(int(width) - left, int(height) - top);
        for (int64_t e = bins.tile_begin[t]; e < bins.tile_begin[t + 1] && tile.live; e += BATCH) {
            batch.stage(bins, e, bins.tile_begin[t + 1], left, top, nullptr, 0, tile.live);
            for (int unit = 0; unit < UNITS; ++unit) {
                batch.foresee(bins, e + BATCH, unit, nullptr, 0);
                bool going = true;
                composite<false, 1>(tile, batch, unit, [&](int, Ints goes_on, Floats, Floats share, Floats) {
                    taken -= share > 0.f;
                    visits += going;
                    going = any(goes_on);
                });
            }
        }
        counts[t] = {0, visits * LANES};
        for (int lane = 0; lane < LANES; ++lane) counts[t].taken += taken[lane];
    });
    Pairs total;
    for (int64_t t = 0; t < tiles; ++t) total = {total.taken + counts[t].taken, total.left + counts[t].left};
    return total;
}

constexpr int64_t ROUNDS = 16;                        // of a batch over a tile, that one chunk works out,
constexpr int64_t CHUNK = ROUNDS * BATCH * TILE * TILE;  // and its pairs

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int AT_ONCE = 16;  // channels whose sums have registers
#elif defined(__AVX2__)
constexpr int AT_ONCE = 12;
#else
constexpr int AT_ONCE = 6;
#endif

// Gaussians that reach all pixels of a tile, and what a unit takes of each.
struct alignas(64) Crowd {
    float x[BATCH], y[BATCH], a[BATCH], b[BATCH], c[BATCH], level[BATCH], depth[BATCH], color[MAX_CHANNELS * BATCH];
    Floats weight[BATCH];

    explicit Crowd(int64_t channels) {
        for (int k = 0; k < BATCH; ++k) {
            x[k] = float(k % 13) + 1.f, y[k] = float(k % 11) + 1.f, depth[k] = 1.f + float(k) / BATCH;
            a[k] = c[k] = -0.02f, b[k] = -0.01f, level[k] = -4.f;
            for (int64_t i = 0; i < channels; ++i) color[k * channels + i] = 1.f / float(i + 1);
        }
    }
    // The exponentials of a unit, what each Gaussian takes of the light, and the sum of their depths.
    void weigh(int unit, Floats& depths) {
        const Floats left = load(SAMPLES<1>.x + unit * LANES), top = load(SAMPLES<1>.y + unit * LANES);
        Floats transmittance = all(1.f), total = depths;
        for (int k = 0; k < BATCH; ++k) {
            const Floats dx = left - x[k], dy = top - y[k];
            const Floats alpha = exp2_of((a[k] * dx + b[k] * dy) * dx + ((c[k] * dy) * dy + level[k]));
            weight[k] = alpha * transmittance;
            transmittance -= weight[k];
            total += weight[k] * depth[k];
        }
        depths = total;
    }
};

// The sums of N channels of a unit from `first` on.
template <int N>
void add_up(const Crowd& crowd, Floats* sums, int64_t channels, int64_t first) {
    Floats total[N];
    for (int c = 0; c < N; ++c) total[c] = sums[first + c];
    for (int k = 0; k < BATCH; ++k) {
        const Floats weight = crowd.weight[k];
        const float* const color = crowd.color + k * channels + first;
        for (int c = 0; c < N; ++c) total[c] += weight * color[c];
    }
    for (int c = 0; c < N; ++c) sums[first + c] = total[c];
}

template <int... N>
constexpr auto list_adders(std::integer_sequence<int, N...>) {
    return std::array<decltype(&add_up<1>), sizeof...(N)>{add_up<N + 1>...};
}
constexpr auto ADDERS = list_adders(std::make_integer_sequence<int, AT_ONCE>());

// One chunk of full vectors, each a Gaussian over LANES pixels: its exponential, what it takes, a sum for each channel.
float work_out(int64_t channels) {
    Crowd crowd(channels);
    alignas(64) Floats sums[UNITS * (MAX_CHANNELS + 1)];
    std::memset(static_cast<void*>(sums), 0, sizeof(Floats) * size_t(UNITS * (channels + 1)));
    for (int64_t round = 0; round < ROUNDS; ++round)
        for (int unit = 0; unit < UNITS; ++unit) {
            Floats* const own = sums + unit * (channels + 1);
            crowd.weigh(unit, own[channels]);
            for (int64_t c = 0; c < channels; c += AT_ONCE)
                ADDERS[(channels - c < AT_ONCE ? channels - c : AT_ONCE) - 1](crowd, own, channels, c);
        }
    Floats total = all(0.f);
    for (int64_t i = 0; i < UNITS * (channels + 1); ++i) total += sums[i];
    return sum(total);
}

// Reads splats and features of rows, in the order that the rows have; their sum, so that none is left out.
float read_rows(const uint32_t* rows, int64_t count, const float* splats, const float* features, int64_t channels) {
    constexpr int64_t AHEAD = 32;
    Quad total = {};
    float rest = 0;
    for (int64_t i = 0; i < count; ++i) {
        const int64_t next = rows[i + AHEAD < count ? i + AHEAD : count - 1], row = rows[i];
        __builtin_prefetch(splats + 8 * next);
        foresee(features + next * channels, channels);
        Quad four[2];
        std::memcpy(four, splats + 8 * row, sizeof four);
        total += four[0] + four[1];
        int64_t c = 0;
        for (; c + 4 <= channels; c += 4) {
            std::memcpy(four, features + row * channels + c, sizeof(Quad));
            total += four[0];
        }
        for (; c < channels; ++c) rest += features[row * channels + c];
    }
    return total[0] + total[1] + total[2] + total[3] + rest;
}

}  // namespace
}  // namespace near_kernels

using namespace near_kernels;

// As splat_rasterize takes them -> entries (1): Gaussians times the tiles that each touches, sorted as for a picture.
NEAR_KERNEL(splat_sort)(const float* mean, const float* conic, const float* depth, const int32_t* radius,
                        const float* opacity, int64_t count, int64_t width, int64_t height, int64_t samples,
                        int64_t* entries, int64_t threads) {
    return guard([&] {
        const Projected p{mean, conic, depth, radius, opacity, count};
        *entries = samples == 1 ? Bins<1>(p, nullptr, 0, width, height, threads).entry_count
                                : Bins<2>(p, nullptr, 0, 2 * width, 2 * height, threads).entry_count;
    });
}

// -> pairs (2) of a Gaussian and a pixel: that takes it; that culling leaves, all of a block that it meets while any pixel
// there goes on.
NEAR_KERNEL(splat_count_pairs)(const float* mean, const float* conic, const float* depth, const int32_t* radius,
                               const float* opacity, int64_t count, int64_t width, int64_t height, int64_t* pairs,
                               int64_t threads) {
    return guard([&] {
        const Pairs found = count_pairs({mean, conic, depth, radius, opacity, count}, width, height, threads);
        pairs[0] = found.taken, pairs[1] = found.left;
    });
}

// The arithmetic of at least `pairs` pairs with C channels, at most 64 -> done (1): how many, result (1): their sum.
NEAR_KERNEL(splat_floor)(int64_t pairs, int64_t channels, int64_t* done, float* result, int64_t threads) {
    return guard([&] {
        const int64_t chunks = (pairs + CHUNK - 1) / CHUNK;
        Buffer<float> parts(chunks);
        parallel_chunks(threads, chunks, [&](int64_t chunk) { parts[chunk] = work_out(channels); });
        *done = chunks * CHUNK;
        *result = 0;
        for (int64_t chunk = 0; chunk < chunks; ++chunk) *result += parts[chunk];
    });
}

// Reads rows (M) of splats (N,8) and features (N,C) in their order -> result (1): the sum of all.
NEAR_KERNEL(splat_read)(const uint32_t* rows, int64_t count, const float* splats, const float* features, int64_t channels,
                        float* result, int64_t threads) {
    return guard([&] {
        constexpr int64_t GRAIN = 8192;
        Buffer<float> parts((count + GRAIN - 1) / GRAIN);
        parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
            parts[begin / GRAIN] = read_rows(rows + begin, end - begin, splats, features, channels);
        });
        *result = 0;
        for (int64_t part = 0; part < (count + GRAIN - 1) / GRAIN; ++part) *result += parts[part];
    });
}
