// What splatting cannot do without, for benchmarks: sorting alone, the pairs of Gaussian and pixel that survive culling,
// and the arithmetic of so many pairs with nothing around it.
#include "api.h"
#include "splat_tile.h"

namespace near_kernels {
namespace {

constexpr int64_t VECTORS = 1 << 14;  // of pairs that one chunk works out

int64_t count_pairs(const Projected& p, int64_t width, int64_t height, int64_t threads) {
    const Bins<1> bins(p, width, height, threads);
    const int64_t tiles = bins.tiles_x * bins.tiles_y;
    Buffer<int64_t> counts(tiles);
    parallel_chunks(threads, tiles, [&](int64_t t) {
        const int left = int(t % bins.tiles_x) * TILE, top = int(t / bins.tiles_x) * TILE;
        Tile tile;
        Batch batch;
        Ints pairs = {};
        tile.reset<1>(int(width) - left, int(height) - top);
        for (int64_t e = bins.tile_begin[t]; e < bins.tile_begin[t + 1] && tile.live; e += BATCH) {
            batch.stage(bins, e, bins.tile_begin[t + 1], left, top, nullptr, 0, tile.live);
            for (int unit = 0; unit < UNITS; ++unit) {
                batch.foresee(bins, e + BATCH, unit, nullptr, 0);
                composite<false, 1>(tile, batch, unit,
                                    [&](int, Ints takes, Floats, Floats, Floats) { pairs -= takes; });
            }
        }
        counts[t] = 0;
        for (int lane = 0; lane < LANES; ++lane) counts[t] += pairs[lane];
    });
    int64_t total = 0;
    for (int64_t t = 0; t < tiles; ++t) total += counts[t];
    return total;
}

// One chunk of full vectors, each a Gaussian over LANES pixels: its exponential, what it takes, a sum for each channel.
float work_out(int64_t channels) {
    alignas(64) Floats sums[UNITS * (MAX_CHANNELS + 1)] = {}, transmittance[UNITS];
    float color[MAX_CHANNELS];
    for (int64_t c = 0; c < channels; ++c) color[c] = 1.f / float(c + 1);
    Floats total = all(0.f);
    for (int64_t v = 0; v < VECTORS; ++v) {
        const int unit = int(v % UNITS);
        if (v / UNITS % 16 == 0) transmittance[unit] = all(1.f);
        const float x = float(v % 13) + 1.f, y = float(v % 11) + 1.f;
        const Floats dx = x - load(SAMPLES<1>.x + unit * LANES), dy = y - load(SAMPLES<1>.y + unit * LANES);
        const Floats power = dx * (-0.02f * dx + -0.01f * dy) + -0.02f * dy * dy;
        Floats alpha = 0.3f * exp2_of(power);
        alpha = alpha < 0.999f ? alpha : all(0.999f);
        const Floats weight = alpha * transmittance[unit];
        transmittance[unit] -= weight;
        Floats* const own = sums + unit * (channels + 1);
        for (int64_t c = 0; c < channels; ++c) own[c] += weight * color[c];
        own[channels] += weight * x;
    }
    for (int64_t i = 0; i < UNITS * (channels + 1); ++i) total += sums[i];
    return sum(total);
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
        *entries = samples == 1 ? Bins<1>(p, width, height, threads).entry_count
                                : Bins<2>(p, 2 * width, 2 * height, threads).entry_count;
    });
}

// -> pairs (1) of a Gaussian and a pixel that takes it.
NEAR_KERNEL(splat_count_pairs)(const float* mean, const float* conic, const float* depth, const int32_t* radius,
                               const float* opacity, int64_t count, int64_t width, int64_t height, int64_t* pairs,
                               int64_t threads) {
    return guard([&] {
        *pairs = count_pairs({mean, conic, depth, radius, opacity, count}, width, height, threads);
    });
}

// The arithmetic of at least `pairs` pairs with C channels, at most 64 -> done (1): how many, result (1): their sum.
NEAR_KERNEL(splat_floor)(int64_t pairs, int64_t channels, int64_t* done, float* result, int64_t threads) {
    return guard([&] {
        const int64_t chunks = (pairs + VECTORS * LANES - 1) / (VECTORS * LANES);
        Buffer<float> parts(chunks);
        parallel_chunks(threads, chunks, [&](int64_t chunk) { parts[chunk] = work_out(channels); });
        *done = chunks * VECTORS * LANES;
        *result = 0;
        for (int64_t chunk = 0; chunk < chunks; ++chunk) *result += parts[chunk];
    });
}
