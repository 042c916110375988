// Diffuse light: which directions are open, irradiance of the sky through them, and radiosity over the links of a hit table.
#include <memory>
#include <utility>

#include "api.h"
#include "grid.h"
#include "threads.h"

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

// Directions by component, (3, padded), padded with zeros to a multiple of LANES.
struct Directions {
    const float *xyz;
    int64_t padded;

    Directions(const float *from, int64_t count) : xyz(from), padded((count + LANES - 1) / LANES * LANES) {}
    FloatLanes cosine(Vec3 n, int64_t j) const {  // max(0, n . direction)
        const auto at = [&](int c) { return load_lanes<FloatLanes>(xyz + c * padded + j); };
        return at_least(n.x * at(0) + n.y * at(1) + n.z * at(2), 0.0f);
    }
};

// A row of LANES entries of a table, `beyond` behind its end.
inline IntLanes entries(const int32_t *row, int64_t left, int32_t beyond) {
    if (left >= LANES) return load_lanes<IntLanes>(row);
    IntLanes out = all_int(beyond);
    std::memcpy(&out, row, size_t(left) * sizeof *row);
    return out;
}

}  // namespace

// direction (directions, 3). index (rows,): the caller's surfels, each once. open (M, directions), of all surfels.
NEAR_KERNEL(grid_trace_sky)(const NearGrid *grid, const int32_t *index, int64_t rows, const float *direction,
                            int64_t directions, uint8_t *open, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        parallel_ranges(threads, rows, 256, [&](int64_t begin, int64_t end) {
            uint8_t *entry[SLOTS];
            int64_t i = begin, j = 0;
            walk<true>(g,
                 [&](int slot, Ray &ray) {
                     for (; j < directions; ++j, i = begin) {
                         const Vec3 l = load(direction + 3 * j);
                         for (; i < end; ++i) {
                             const size_t place = size_t(g.place[index[i]]);
                             const Vec3 n = load(g.plane + 4 * place);
                             entry[slot] = open + int64_t(index[i]) * directions + j;
                             if (dot(l, n) > 0.0f) {
                                 ray = {lifted(g, g.position + 3 * place, n), l, n};
                                 ++i;
                                 return true;
                             }
                             *entry[slot] = 0;
                         }
                     }
                     return false;
                 },
                 [&](int slot, Hit h) { *entry[slot] = h.place < 0; });
        });
    });
}

// direction (directions, 3), the first `shared` of them those of word (count / LANES, shared): bit k of word b is set
// where surfel LANES b + k sees nothing of the asset there. The others are those of open (count, directions - shared).
// radiance (directions, 3), times steradians. normal (count, 3), shading. irradiance (height, 2 height, 4): by normal, of
// the sky without the last `apart` directions: these add their own, whose edges no map of few texels keeps. asset_to_map
// row-major 3x3. Out: whole, direct (count, 3), visibility (count,).
NEAR_KERNEL(grid_direct)(const float *direction, const float *radiance, int64_t directions, const uint16_t *word,
                         int64_t shared, int64_t apart, const uint8_t *open, const float *normal, int64_t count,
                         const float *irradiance, int64_t height, const float *asset_to_map, float *whole,
                         float *direct, float *visibility, int64_t threads) {
    return guard([&] {
        const Pyramid map{irradiance, int32_t(height), 1};
        const int64_t others = directions - shared;
        parallel_ranges(threads, count, 32 * LANES, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += LANES) {
                const int64_t lanes = end - i < LANES ? end - i : LANES;
                float row[3][LANES] = {};
                for (int64_t k = 0; k < lanes; ++k)
                    for (int c = 0; c < 3; ++c) row[c][k] = normal[3 * (i + k) + c];
                VecLanes n;
                std::memcpy(&n, row, sizeof row);
                FloatLanes total[3] = {}, part[3] = {}, own[3] = {};
                for (int64_t j = 0; j < directions; ++j) {
                    uint32_t bits = j < shared ? word[i / LANES * shared + j] : 0;
                    for (int64_t k = 0; j >= shared && k < lanes; ++k)
                        bits |= uint32_t(open[(i + k) * others + j - shared] != 0) << k;
                    const float *d = direction + 3 * j, *l = radiance + 3 * j;
                    const FloatLanes cosine = at_least(d[0] * n.x + d[1] * n.y + d[2] * n.z, 0.0f);
                    const FloatLanes seen = unpack(bits) ? cosine : all(0.0f);
                    for (int c = 0; c < 3; ++c) total[c] += l[c] * cosine, part[c] += l[c] * seen;
                    for (int c = 0; j >= directions - apart && c < 3; ++c) own[c] += l[c] * cosine;
                }
                for (int c = 0; c < 3; ++c) {
                    const FloatLanes share = part[c] / at_least(total[c], 1e-9f);
                    part[c] = share < 1.0f ? share : all(1.0f);
                }
                std::memcpy(row, part, sizeof row);
                float sun[3][LANES];
                std::memcpy(sun, own, sizeof sun);
                Float4 sky[LANES];
                sample(map, turn(asset_to_map, n), all(0.0f), sky);
                for (int64_t k = 0; k < lanes; ++k) {
                    sky[k] += Float4{sun[0][k], sun[1][k], sun[2][k], 0.0f};
                    const Float4 seen = sky[k] * Float4{row[0][k], row[1][k], row[2][k], 0.0f};
                    for (int c = 0; c < 3; ++c) whole[3 * (i + k) + c] = sky[k][c], direct[3 * (i + k) + c] = seen[c];
                    visibility[i + k] = clamp(luminance(seen) / clamp(luminance(sky[k]), 1e-9f, INFINITY), 0.0f, 1.0f);
                }
            }
        });
    });
}

// table (count, directions), in and out: rows of owner where that is not null; becomes -2 where a surfel is seen from
// behind from `fold` or farther away, asset units. position, normal (count, 3), direction (directions, 3), asset frame.
// Out: enclosed (count,), of what a surfel sees, by cosine, how much is others' backs.
NEAR_KERNEL(grid_settle)(int32_t *table, int64_t count, int64_t directions, const int32_t *owner, const float *position,
                         const float *normal, const float *direction, double fold, float *enclosed, int64_t threads) {
    return guard([&] {
        const float farthest = float(fold * fold);
        parallel_ranges(threads, count, 256, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const Vec3 n = load(normal + 3 * i), p = load(position + 3 * i);
                int32_t *row = table + i * directions;
                float behind = 0.0f, total = 0.0f;
                for (int64_t j = 0; j < directions; ++j) {
                    const Vec3 d = load(direction + 3 * j);
                    const float cosine = std::fmax(dot(n, d), 0.0f);
                    total += cosine;
                    if (row[j] < 0) continue;
                    const int32_t hit = row[j] = owner ? owner[row[j]] : row[j];
                    if (!(dot(load(normal + 3 * int64_t(hit)), d) > 0.0f)) continue;
                    behind += cosine;
                    const Vec3 away = load(position + 3 * int64_t(hit)) - p;
                    if (dot(away, away) > farthest) row[j] = -2;
                }
                enclosed[i] = behind / std::fmax(total, 1e-6f);
            }
        });
    });
}

// table (count, directions); direction (3, padded), see Directions; normal (count, 3); first (count + 1,): where the
// links of a surfel go in surfel and weight, as many as its entries that are a surfel.
NEAR_KERNEL(grid_link)(const int32_t *table, int64_t count, int64_t directions, const float *direction,
                       const float *normal, const uint32_t *first, int32_t *surfel, float *weight, int64_t threads) {
    return guard([&] {
        const Directions d(direction, directions);
        const float scale = 4.0f * PI / float(directions);
        parallel_ranges(threads, count, 512, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const Vec3 n = load(normal + 3 * i);
                const int32_t *row = table + i * directions;
                size_t at = first[i];
                for (int64_t j = 0; j < directions; j += LANES) {
                    const FloatLanes cosine = scale * d.cosine(n, j);
                    const IntLanes hit = entries(row + j, directions - j, -2);
                    float w[LANES];
                    std::memcpy(w, &cosine, sizeof w);
                    for (uint32_t rest = pack(BitLanes(hit) < uint32_t(count)); rest; rest &= rest - 1) {
                        const int k = __builtin_ctz(rest);
                        surfel[at] = row[j + k];
                        weight[at++] = w[k];
                    }
                }
            }
        });
    });
}

// first (count + 1,), surfel and weight of grid_link; direct, albedo, bounced (count, 3); radiosity (count, 4), RGB0.
NEAR_KERNEL(grid_bounce)(const uint32_t *first, const int32_t *surfel, const float *weight, int64_t count,
                         const float *direct, const float *albedo, int64_t rounds, float *bounced, float *radiosity,
                         int64_t threads) {
    return guard([&] {
        const std::unique_ptr<Float4[]> other(new Float4[size_t(count)]);
        Float4 *now = rounds % 2 ? other.get() : reinterpret_cast<Float4 *>(radiosity);
        Float4 *next = rounds % 2 ? reinterpret_cast<Float4 *>(radiosity) : other.get();
        const auto row = [](const float *of, int64_t i) { return Float4{of[3 * i], of[3 * i + 1], of[3 * i + 2]}; };
        parallel_ranges(threads, count, 2048, [&](int64_t begin, int64_t end) {
            std::memset(bounced + 3 * begin, 0, size_t(end - begin) * 3 * sizeof(float));
            for (int64_t i = begin; i < end; ++i) now[i] = row(albedo, i) * row(direct, i);
        });
        for (int64_t round = 1; round <= rounds; ++round) {
            parallel_ranges(threads, count, 512, [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                    size_t at = first[i];
                    const size_t last = first[i + 1];
                    Float4 sum = {0, 0, 0, 0}, sum2 = {0, 0, 0, 0};
                    for (; at + 1 < last; at += 2) {
                        sum += weight[at] * now[surfel[at]];
                        sum2 += weight[at + 1] * now[surfel[at + 1]];
                    }
                    if (at < last) sum += weight[at] * now[surfel[at]];
                    sum += sum2;
                    next[i] = row(albedo, i) * (row(direct, i) + sum);
                    for (int c = 0; round == rounds && c < 3; ++c) bounced[3 * i + c] = sum[c];
                }
            });
            std::swap(now, next);
        }
    });
}
