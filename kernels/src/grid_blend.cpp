// What the surfels around a point say, smoothly. Specification: kernels/twins/grid.py.
#include "api.h"
#include "grid.h"
#include "threads.h"

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

constexpr float OFF_PLANE = 3.0f;    // how much more the square of a distance off a surfel's plane counts
constexpr float LEAST_COSINE = 0.2f; // between normals of what counts
constexpr float SAME_NORMAL = 0.95f; // cosine between points between which others are told what these are
constexpr int64_t MOST = 8;          // points from one of them to the next
constexpr int ROUNDS = 3;            // each looks twice as far and at more directions, where the one before found nothing

// The surfels of a cell, in cell order; none outside of the grid.
inline bool find_cell(const NearGrid &g, int32_t x, int32_t y, int32_t z, uint32_t &first, uint32_t &last) {
    if (x < 0 || y < 0 || z < 0 || x >= g.resolution || y >= g.resolution || z >= g.resolution) return false;
    const size_t brick = (size_t(z >> 2) * size_t(g.bricks) + size_t(y >> 2)) * size_t(g.bricks) + size_t(x >> 2);
    const uint32_t bit = uint32_t((x & 1) | (y & 1) << 1 | (z & 1) << 2 | (x & 2) << 2 | (y & 2) << 3 | (z & 2) << 4);
    const size_t half = 2 * brick + (bit >> 5);
    const uint32_t word = g.brick_mask[half], here = 1u << (bit & 31);
    if (!(word & here)) return false;
    const uint32_t occupied = g.brick_first[half] + uint32_t(__builtin_popcount(word & (here - 1)));
    first = g.cell_first[occupied], last = g.cell_first[occupied + 1];
    return true;
}

// What surfels say at a point.
struct Blender {
    const NearGrid &g;
    const float *share, *features;
    int64_t channels;
    float radius;

    // Returns false, and zeros, where none says anything.
    bool blend(Vec3 p, Vec3 n, float *out) const {
        float total = 0;
        for (int64_t c = 0; c < channels; ++c) out[c] = 0;
        for (int round = 0; round < ROUNDS && !(total > 0); ++round) {
            const float r = radius * float(1 << round), least = LEAST_COSINE - 1.2f * float(round > 0);
            const auto cell = [&](float x) { return int32_t(std::floor(clamp(x, -8.0f, float(g.resolution) + 8.0f))); };
            for (int32_t z = cell(p.z - r); z <= cell(p.z + r); ++z)
                for (int32_t y = cell(p.y - r); y <= cell(p.y + r); ++y)
                    for (int32_t x = cell(p.x - r); x <= cell(p.x + r); ++x) {
                        uint32_t first, last;
                        if (!find_cell(g, x, y, z, first, last)) continue;
                        for (uint32_t j = first; j < last; ++j) {
                            const float own = share[g.surfel[j]];
                            if (!(own > 0)) continue;
                            const Vec3 m = load(g.plane + 4 * size_t(j));
                            const Vec3 d = p - load(g.position + 3 * size_t(j));
                            const float off = dot(d, m), alike = dot(n, m) - least;
                            const float q = 1.0f - (dot(d, d) + OFF_PLANE * off * off) / (r * r);
                            if (!(q > 0) || !(alike > 0)) continue;
                            const float w = own * q * q * alike * alike;
                            total += w;
                            const float *from = features + channels * g.surfel[j];
                            for (int64_t c = 0; c < channels; ++c) out[c] += w * from[c];
                        }
                    }
        }
        for (int64_t c = 0; c < channels && total > 0; ++c) out[c] /= total;
        return total > 0;
    }
};

}  // namespace

// position (count, 3) in cells, normal (count, 3) unit; share (M,): weight of each surfel, 0 for none; features
// (M, channels). radius in cells. step: cells that points lie apart at most between which what others are told is
// interpolated; those follow each other in the arrays. Out: blended (count, channels), zeros where nothing is near.
NEAR_KERNEL(grid_blend)(const NearGrid *grid, const float *position, const float *normal, int64_t count,
                        const float *share, const float *features, int64_t channels, double radius, double step,
                        float *blended, int64_t threads) {
    return guard([&] {
        const Blender blender{*grid, share, features, channels, float(radius)};
        const auto place = [&](int64_t i) { return load(position + 3 * i); };
        const auto near = [&](int64_t i, int64_t j) {
            const Vec3 d = place(j) - place(i);
            return dot(d, d) <= float(step * step) && dot(load(normal + 3 * i), load(normal + 3 * j)) > SAME_NORMAL;
        };
        parallel_ranges(threads, count, 256, [&](int64_t begin, int64_t end) {
            const auto blend = [&](int64_t i) {
                return blender.blend(place(i), load(normal + 3 * i), blended + channels * i);
            };
            bool told = blend(begin);
            for (int64_t i = begin, j; i + 1 < end; i = j) {
                for (j = i + 1; told && j + 1 < end && j < i + MOST && near(i, j) && near(i, j + 1);) ++j;
                const bool also = blend(j);
                const Vec3 from = place(i), way = place(j) - from;
                const float *one = blended + channels * i, *other = blended + channels * j;
                for (int64_t k = i + 1; k < j; ++k) {
                    float *out = blended + channels * k;
                    if (!also) {
                        blend(k);
                        continue;
                    }
                    const float t = clamp(dot(place(k) - from, way) / clamp(dot(way, way), 1e-12f, INFINITY), 0.0f, 1.0f);
                    for (int64_t c = 0; c < channels; ++c) out[c] = one[c] + t * (other[c] - one[c]);
                }
                told = also;
            }
        });
    });
}
