// Diffuse light: which directions are open, irradiance of the sky through them, and radiosity over the links of a hit table.
#include <vector>

#include "api.h"
#include "grid.h"
#include "threads.h"

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

// Directions by component, (3, padded), padded with zeros to a multiple of LANES.
struct Directions {
    const float *xyz;
    int64_t count, padded;

    Directions(const float *from, int64_t count)
        : xyz(from), count(count), padded((count + LANES - 1) / LANES * LANES) {}
    FloatLanes cosine(Vec3 n, int64_t j) const {  // max(0, n . direction)
        const auto at = [&](int c) { return load_lanes<FloatLanes>(xyz + c * padded + j); };
        return at_least(n.x * at(0) + n.y * at(1) + n.z * at(2), 0.0f);
    }
};

// Irradiance from the open directions and from all of them; open(j): a mask of directions j to j + LANES - 1.
template <class Open>
inline void add_sky(const Directions &d, const float *sky, Vec3 n, float scale, const Open &open, float *seen,
                    float *whole) {
    FloatLanes part[3] = {}, total[3] = {};
    for (int64_t j = 0; j < d.padded; j += LANES) {
        const FloatLanes cosine = d.cosine(n, j);
        const IntLanes mask = open(j);
        for (int c = 0; c < 3; ++c) {
            const FloatLanes light = cosine * load_lanes<FloatLanes>(sky + c * d.padded + j);
            total[c] += light;
            part[c] += mask ? light : all(0.0f);
        }
    }
    for (int c = 0; c < 3; ++c) seen[c] = scale * sum(part[c]), whole[c] = scale * sum(total[c]);
}

// A row of LANES entries of a table, `beyond` behind its end.
inline IntLanes entries(const int32_t *row, int64_t left, int32_t beyond) {
    if (left >= LANES) return load_lanes<IntLanes>(row);
    IntLanes out = all_int(beyond);
    std::memcpy(&out, row, size_t(left) * sizeof *row);
    return out;
}

}  // namespace

// direction and radiance (3, padded), see Directions. index (rows,): the caller's surfels, each once. Of all surfels:
// normal (M, 3), shading; open (M, directions), written; seen and whole (M, 3), added to.
NEAR_KERNEL(grid_trace_sky)(const NearGrid *grid, const int32_t *index, int64_t rows, const float *direction,
                            int64_t directions, const float *radiance, const float *normal, uint8_t *open, float *seen,
                            float *whole, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        const Directions d(direction, directions);
        parallel_ranges(threads, rows, 64, [&](int64_t begin, int64_t end) {
            uint8_t *entry[SLOTS];
            int64_t i = begin, j = 0;
            walk<true>(g,
                 [&](int slot, Ray &ray) {
                     for (; j < directions; ++j, i = begin) {
                         const Vec3 l = {d.xyz[j], d.xyz[d.padded + j], d.xyz[2 * d.padded + j]};
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
            for (i = begin; i < end; ++i) {
                const int64_t row = index[i];
                const auto is_open = [&](int64_t first) {
                    uint8_t byte[LANES] = {};
                    const int64_t left = directions - first < LANES ? directions - first : LANES;
                    std::memcpy(byte, open + row * directions + first, size_t(left));
                    IntLanes mask;
                    for (int k = 0; k < LANES; ++k) mask[k] = -int32_t(byte[k]);
                    return mask;
                };
                float part[3], total[3];
                add_sky(d, radiance, load(normal + 3 * row), 1.0f, is_open, part, total);
                for (int c = 0; c < 3; ++c) seen[3 * row + c] += part[c], whole[3 * row + c] += total[c];
            }
        });
    });
}

// direction and sky (3, padded), see Directions.
NEAR_KERNEL(grid_gather_sky)(const int32_t *table, int64_t count, int64_t directions, const float *direction,
                             const float *normal, const float *sky, float *seen, float *whole, int64_t threads) {
    return guard([&] {
        const Directions d(direction, directions);
        const float scale = 4.0f * PI / float(directions);
        parallel_ranges(threads, count, 512, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const int32_t *row = table + i * directions;
                const auto is_open = [&](int64_t j) { return entries(row + j, directions - j, -2) == -1; };
                add_sky(d, sky, load(normal + 3 * i), scale, is_open, seen + 3 * i, whole + 3 * i);
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

// first (count + 1,), surfel and weight of grid_link; direct, albedo, bounced, radiosity (count, 3).
NEAR_KERNEL(grid_bounce)(const uint32_t *first, const int32_t *surfel, const float *weight, int64_t count,
                         const float *direct, const float *albedo, int64_t rounds, float *bounced, float *radiosity,
                         int64_t threads) {
    return guard([&] {
        std::vector<Float4> now(static_cast<size_t>(count)), next(static_cast<size_t>(count));
        for (int64_t i = 0; i < count; ++i) {
            const float *a = albedo + 3 * i, *e = direct + 3 * i;
            now[size_t(i)] = Float4{a[0] * e[0], a[1] * e[1], a[2] * e[2], 0.0f};
        }
        for (int64_t round = 0; round < rounds; ++round) {
            parallel_ranges(threads, count, 512, [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                    size_t at = first[i];
                    const size_t last = first[i + 1];
                    Float4 sum = {0, 0, 0, 0}, sum2 = {0, 0, 0, 0};
                    for (; at + 1 < last; at += 2) {
                        sum += weight[at] * now[size_t(surfel[at])];
                        sum2 += weight[at + 1] * now[size_t(surfel[at + 1])];
                    }
                    if (at < last) sum += weight[at] * now[size_t(surfel[at])];
                    sum += sum2;
                    const float *a = albedo + 3 * i, *e = direct + 3 * i;
                    for (int c = 0; c < 3; ++c) {
                        bounced[3 * i + c] = sum[c];
                        next[size_t(i)][c] = radiosity[3 * i + c] = a[c] * (e[c] + sum[c]);
                    }
                }
            });
            now.swap(next);
        }
    });
}
