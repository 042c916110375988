// Light from near by: single rays, and what a hit table's open directions see of it.
#include "around.h"

#include "api.h"
#include "threads.h"

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

}  // namespace

// origin, direction (count, 3), far_lod, near_lod (count,) -> out (count, 3)
NEAR_KERNEL(around_look)(const NearAround *around, const float *texels, int64_t height, int64_t levels,
                         const float *origin, const float *direction, const float *far_lod, const float *near_lod,
                         int64_t count, float *out, int64_t threads) {
    return guard([&] {
        const Pyramid far{texels, int32_t(height), int32_t(levels)};
        parallel_ranges(threads, count, 1024, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += LANES) {
                float row[8][LANES];
                for (int64_t k = 0; k < LANES; ++k) {
                    const int64_t at = i + k < end ? i + k : i;
                    for (int c = 0; c < 3; ++c) row[c][k] = origin[3 * at + c], row[3 + c][k] = direction[3 * at + c];
                    row[6][k] = far_lod[at], row[7][k] = near_lod[at];
                }
                const auto lanes = [&](int c) { return load_lanes<FloatLanes>(row[c]); };
                Float4 seen[LANES];
                look_around(*around, far, place_in(*around, {lanes(0), lanes(1), lanes(2)}),
                            {lanes(3), lanes(4), lanes(5)}, lanes(6), lanes(7), seen);
                for (int64_t k = 0; k < LANES && i + k < end; ++k)
                    for (int c = 0; c < 3; ++c) out[3 * (i + k) + c] = seen[k][c];
            }
        });
    });
}

// Irradiance (count, 3) that arrives through open directions beyond that of radiance (directions, 3), which they are
// thought to have: the sum of max(0, n . w) (seen - radiance) solid. direction (directions, 3); word: bit k of
// (i / LANES, direction) is set where surfel i + k sees nothing of the asset there. origin, normal (count, 3). shown: null
// or (directions, 3), what is mirrored there; bounced (directions,), the direction in which light comes to the mirror, or
// -1: what of the asset a surfel sees there hides it.
NEAR_KERNEL(around_gather)(const NearAround *around, const float *texels, int64_t height, int64_t levels,
                           const float *origin, const float *normal, int64_t count, const float *direction,
                           const float *radiance, const float *shown, const int32_t *bounced, int64_t directions,
                           const uint16_t *word, double far_lod, double near_lod, double solid,
                           const float *asset_to_map, float *out, int64_t threads) {
    return guard([&] {
        const Pyramid far{texels, int32_t(height), int32_t(levels)};
        parallel_ranges(threads, count, 8 * LANES, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += LANES) {
                const int64_t lanes = end - i < LANES ? end - i : LANES;
                float row[6][LANES] = {};
                for (int64_t k = 0; k < lanes; ++k)
                    for (int c = 0; c < 3; ++c) row[c][k] = origin[3 * (i + k) + c], row[3 + c][k] = normal[3 * (i + k) + c];
                const auto at = [&](int c) { return load_lanes<FloatLanes>(row[c]); };
                const VecLanes p = place_in(*around, {at(0), at(1), at(2)}), n = {at(3), at(4), at(5)};
                Float4 sum[LANES] = {};
                for (int64_t j = 0; j < directions; ++j) {
                    const uint32_t open = word[i / LANES * directions + j];
                    const float *d = direction + 3 * j, *l = radiance + 3 * j;
                    const FloatLanes cosine = at_least(d[0] * n.x + d[1] * n.y + d[2] * n.z, 0.0f);
                    const FloatLanes weight = unpack(open) ? float(solid) * cosine : all(0.0f);
                    if (!pack(weight > 0.0f)) continue;
                    Float4 seen[LANES];
                    FloatLanes met;
                    look_around(*around, far, p, turn(asset_to_map, {all(d[0]), all(d[1]), all(d[2])}),
                                all(float(far_lod)), all(float(near_lod)), seen, shown ? &met : nullptr);
                    float w[LANES];
                    std::memcpy(w, &weight, sizeof w);
                    const Float4 thought = {l[0], l[1], l[2], 0.0f};
                    for (int k = 0; k < LANES; ++k) sum[k] += w[k] * (seen[k] - thought);
                    if (!shown) continue;
                    if (bounced[j] >= 0) {
                        const float *b = direction + 3 * bounced[j];
                        const IntLanes open_there = unpack(word[i / LANES * directions + bounced[j]]);
                        met = (open_there | (b[0] * n.x + b[1] * n.y + b[2] * n.z <= 0.0f)) ? met : all(0.0f);
                    }
                    met *= weight;
                    std::memcpy(w, &met, sizeof w);
                    const Float4 mirrored = {shown[3 * j], shown[3 * j + 1], shown[3 * j + 2], 0.0f};
                    for (int k = 0; k < LANES; ++k) sum[k] += w[k] * mirrored;
                }
                for (int64_t k = 0; k < lanes; ++k)
                    for (int c = 0; c < 3; ++c) out[3 * (i + k) + c] = sum[k][c];
            }
        });
    });
}
