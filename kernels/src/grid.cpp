// Rays through a sparse grid of surfels, gathers over their hit tables, and traced specular reflections.
// Specification: kernels/twins/grid.py. Positions below are in cells: x = asset / cell + resolution / 2.
#include "ggx.h"

#include "api.h"
#include "threads.h"

// Field for field as GridView in kernels/grid.py.
struct NearGrid {
    const uint64_t *coarse_mask;   // one bit per brick of 4^3 cells, in 16^3 blocks, Morton order
    const uint64_t *brick_mask;    // one bit per cell, Morton order
    const uint32_t *brick_first;   // first occupied cell of the brick
    const uint32_t *cell_first;    // first surfel of the occupied cell, and the end
    const float *plane;            // (count, 4) normal and offset, ordered by cell
    const float *position;         // (count, 3) in cells, ordered by cell
    const int32_t *surfel;         // (count,) the caller's index
    const int32_t *place;          // (count,) the reverse: where the caller's surfel lies
    int64_t count;
    int32_t resolution, blocks;    // cells and 16^3 blocks along an edge
    float cell, dilation, skip, lift;
};

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

constexpr float BACK_PENALTY = 0.5f;  // cells by which a surfel seen from behind counts as farther away
constexpr float EDGE = 0.1f;          // cells by which a surfel reaches over a convex edge
constexpr float ALIKE = 0.5f;         // cosine above which a close neighbour is taken for the same wall

struct Hit {
    int32_t place;  // in cell order, -1 for sky
    float distance;
};

inline uint32_t morton4(uint32_t x, uint32_t y, uint32_t z) {  // two bits of each
    return (x & 1) | (y & 1) << 1 | (z & 1) << 2 | (x & 2) << 2 | (y & 2) << 3 | (z & 2) << 4;
}

// Where two surfels of a cell meet in a convex edge, each ends at the other's plane.
inline bool beyond_edge(const NearGrid &g, uint32_t first, uint32_t last, uint32_t i, Vec3 h) {
    const Vec3 n = load(g.plane + 4 * size_t(i)), position = load(g.position + 3 * size_t(i));
    for (uint32_t j = first; j < last; ++j) {
        const float *p = g.plane + 4 * size_t(j);
        const bool convex = dot(load(p), position) < p[3] && dot(n, load(g.position + 3 * size_t(j))) < g.plane[4 * size_t(i) + 3];
        if (convex && dot(load(p), h) > p[3] + EDGE) return true;
    }
    return false;
}

// Tests one occupied cell's surfels; keeps the least key = distance + penalty.
inline void test_cell(const NearGrid &g, uint32_t first, uint32_t last, Vec3 o, Vec3 d, Vec3 centre, const Vec3 *normal,
                      Hit &hit, float &key) {
    const float bound = 0.5f + g.dilation;
    for (uint32_t i = first; i < last; ++i) {
        const float *p = g.plane + 4 * size_t(i);
        const Vec3 n = load(p);
        const float facing = dot(n, d), t = (p[3] - dot(n, o)) / facing;
        const Vec3 h = o + t * d - centre;
        if (!(t > 0.0f && std::fabs(h.x) <= bound && std::fabs(h.y) <= bound && std::fabs(h.z) <= bound)) continue;
        if (beyond_edge(g, first, last, i, h + centre)) continue;
        if (t < g.skip && (!normal || facing >= 0.0f || dot(n, *normal) > ALIKE)) continue;
        const float k = facing < 0.0f ? t : t + BACK_PENALTY;
        if (k < key) {
            key = k;
            hit = {int32_t(i), t};
        }
    }
}

// Walks the cells along the ray; empty nodes of 16, 8, 4 and 2 cells are crossed in one step.
Hit walk(const NearGrid &g, Vec3 origin, Vec3 direction, const Vec3 *normal) {
    const int size = g.resolution;
    const float o[3] = {origin.x, origin.y, origin.z};
    float d[3] = {direction.x, direction.y, direction.z}, inverse[3], t = 0.0f, leave = INFINITY;
    for (int a = 0; a < 3; ++a) {
        if (!(std::fabs(d[a]) > 1e-9f)) d[a] = std::copysign(1e-9f, d[a]);
        inverse[a] = 1.0f / d[a];
        const float near = ((d[a] > 0 ? 0.0f : float(size)) - o[a]) * inverse[a];
        const float far = ((d[a] > 0 ? float(size) : 0.0f) - o[a]) * inverse[a];
        t = near > t ? near : t;
        leave = far < leave ? far : leave;
    }
    Hit hit{-1, INFINITY};
    if (!(t <= leave)) return hit;
    int cell[3];
    for (int a = 0; a < 3; ++a) cell[a] = int(clamp(o[a] + t * d[a], 0.0f, float(size - 1)));
    const int up[3] = {d[0] > 0, d[1] > 0, d[2] > 0};
    float key = INFINITY;
    for (;;) {
        const int block = (cell[2] >> 4) * g.blocks * g.blocks + (cell[1] >> 4) * g.blocks + (cell[0] >> 4);
        const uint64_t coarse = g.coarse_mask[block];
        const uint32_t brick = morton4(cell[0] >> 2, cell[1] >> 2, cell[2] >> 2);
        int step = 16;
        if (coarse) {
            if (coarse >> brick & 1) {
                const size_t index = size_t(block) * 64 + brick;
                const uint64_t mask = g.brick_mask[index];
                const uint32_t bit = morton4(cell[0], cell[1], cell[2]);
                step = mask >> (bit & 56) & 255 ? 1 : 2;
                if (mask >> bit & 1) {
                    const uint32_t c = g.brick_first[index] + uint32_t(__builtin_popcountll(mask & ((uint64_t(1) << bit) - 1)));
                    const Vec3 centre = {float(cell[0]) + 0.5f, float(cell[1]) + 0.5f, float(cell[2]) + 0.5f};
                    test_cell(g, g.cell_first[c], g.cell_first[c + 1], origin, {d[0], d[1], d[2]}, centre, normal, hit, key);
                }
            } else {
                step = coarse >> (brick & 56) & 255 ? 4 : 8;
            }
        }
        int low[3];
        float exit[3];
        for (int a = 0; a < 3; ++a) {
            low[a] = cell[a] & -step;
            exit[a] = (float(low[a] + (up[a] ? step : 0)) - o[a]) * inverse[a];
        }
        const int axis = exit[0] < exit[1] ? (exit[0] < exit[2] ? 0 : 2) : (exit[1] < exit[2] ? 1 : 2);
        t = exit[axis];
        if (t > key) break;
        if (step > 1)
            for (int a = 0; a < 3; ++a) cell[a] = clamp_index(int(clamp(o[a] + t * d[a], 0.0f, float(size))), low[a], low[a] + step - 1);
        cell[axis] = up[axis] ? low[axis] + step : low[axis] - 1;
        if (unsigned(cell[axis]) >= unsigned(size)) break;
    }
    return hit;
}

inline Vec3 lifted(const NearGrid &g, const float *position, Vec3 normal) { return load(position) + g.lift * normal; }

}  // namespace

// origin (count, 3) in cells; normal null or (count, 3).
NEAR_KERNEL(grid_trace)(const NearGrid *grid, const float *origin, const float *direction, const float *normal,
                                 int64_t count, int32_t *hit, float *distance, int64_t threads) {
    return guard([&] {
    const NearGrid &g = *grid;
    parallel_ranges(threads, count, 256, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            Vec3 n{};
            if (normal) n = load(normal + 3 * i);
            const Vec3 o = normal ? lifted(g, origin + 3 * i, n) : load(origin + 3 * i);
            const Hit h = walk(g, o, load(direction + 3 * i), normal ? &n : nullptr);
            hit[i] = h.place < 0 ? -1 : g.surfel[h.place];
            distance[i] = h.distance * g.cell;
        }
    });
    });
}

// place (rows,): which surfels, in cell order; row (rows,): where each one's directions go in the table.
NEAR_KERNEL(grid_trace_table)(const NearGrid *grid, const int32_t *place, const int32_t *row, int64_t rows,
                                       const float *direction, int64_t directions, int32_t *table, int64_t threads) {
    return guard([&] {
    const NearGrid &g = *grid;
    parallel_ranges(threads, rows, 64, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const Vec3 n = load(g.plane + 4 * size_t(place[i]));
            const Vec3 o = lifted(g, g.position + 3 * size_t(place[i]), n);
            int32_t *out = table + int64_t(row[i]) * directions;
            for (int64_t j = 0; j < directions; ++j) {
                const Vec3 d = load(direction + 3 * j);
                const int32_t h = dot(d, n) > 0.0f ? walk(g, o, d, &n).place : -2;
                out[j] = h < 0 ? h : g.surfel[h];
            }
        }
    });
    });
}

// direction (3, padded) and sky (3, padded) by component, padded with zeros to a multiple of 16; radiosity
// (surfels, 4). Either of radiosity and sky may be null.
NEAR_KERNEL(grid_gather)(const int32_t *table, int64_t count, int64_t directions, const float *direction,
                                  const float *normal, const float *radiosity, int64_t surfels, const float *sky,
                                  float *out, int64_t threads) {
    return guard([&] {
    const int64_t padded = (directions + 15) / 16 * 16;
    const float scale = 4.0f * PI / float(directions);
    parallel_ranges(threads, count, 512, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const Vec3 n = load(normal + 3 * i);
            Float4 bounce = {0, 0, 0, 0}, bounce2 = {0, 0, 0, 0};
            float open[3][16] = {};
            for (int64_t j = 0; j < padded; j += 16) {
                int32_t hit[16];
                float weight[16];
                const int32_t *entry = table + i * directions + j;
                const int left = directions - j < 16 ? int(directions - j) : 16;
                for (int k = 0; k < 16; ++k) hit[k] = -2;
                if (left == 16) for (int k = 0; k < 16; ++k) hit[k] = entry[k];
                else for (int k = 0; k < left; ++k) hit[k] = entry[k];
                const float *x = direction + j, *y = x + padded, *z = y + padded;
                for (int k = 0; k < 16; ++k) {
                    const float w = n.x * x[k] + n.y * y[k] + n.z * z[k];
                    weight[k] = w > 0.0f ? w : 0.0f;
                }
                if (radiosity) {
                    const Float4 *b = reinterpret_cast<const Float4 *>(radiosity);
                    for (int k = 0; k < 16; k += 2) {
                        const bool in0 = uint64_t(hit[k]) < uint64_t(surfels), in1 = uint64_t(hit[k + 1]) < uint64_t(surfels);
                        bounce += (in0 ? weight[k] : 0.0f) * b[in0 ? hit[k] : 0];
                        bounce2 += (in1 ? weight[k + 1] : 0.0f) * b[in1 ? hit[k + 1] : 0];
                    }
                }
                if (sky) {
                    for (int k = 0; k < 16; ++k) weight[k] = hit[k] == -1 ? weight[k] : 0.0f;
                    for (int c = 0; c < 3; ++c)
                        for (int k = 0; k < 16; ++k) open[c][k] += weight[k] * sky[c * padded + j + k];
                }
            }
            for (int c = 0; c < 3; ++c) {
                float sum = bounce[c] + bounce2[c];
                for (int k = 0; k < 16; ++k) sum += open[c][k];
                out[3 * i + c] = scale * sum;
            }
        }
    });
    });
}

// open and traced (count, 2, 3): factors of F0 and F90. radiosity (surfels, 4). asset_to_map row-major 3x3.
NEAR_KERNEL(grid_trace_specular)(const NearGrid *grid, const int32_t *index, const float *view,
                                          const float *normal, const float *roughness, int64_t count,
                                          const float *radiosity, const float *texels, int64_t height, int64_t levels,
                                          const float *asset_to_map, int64_t rays, int64_t seed, float *open,
                                          float *traced, float *blocked, int64_t threads) {
    return guard([&] {
    const NearGrid &g = *grid;
    const Pyramid map{texels, int32_t(height), int32_t(levels)};
    const Float4 *b = reinterpret_cast<const Float4 *>(radiosity);
    parallel_ranges(threads, count, 32, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const size_t place = size_t(g.place[index[i]]);
            const Vec3 surface = load(g.plane + 4 * place), n = load(normal + 3 * i), v = load(view + 3 * i);
            const Vec3 o = lifted(g, g.position + 3 * place, surface);
            const float alpha = clamp(roughness[i] * roughness[i], 1e-3f, 1.0f);
            const uint32_t r1 = hash(uint32_t(index[i]) ^ hash(uint32_t(seed))), r2 = hash(r1);
            Vec3 s, t;
            tangents(n, s, t);
            const Vec3 local = normalize({dot(v, s), dot(v, t), clamp(dot(v, n), 1e-3f, 1.0f)});
            Float4 sum[4] = {};
            float hits = 0.0f, weights = 0.0f;
            for (int64_t ray = 0; ray < rays; ++ray) {
                float u1, u2;
                hammersley(uint32_t(ray), uint32_t(rays), r1, r2, u1, u2);
                const Reflection r = reflect(local, alpha, u1, u2);
                if (r.weight <= 0.0f) continue;
                Vec3 l = r.l.x * s + r.l.y * t + r.l.z * n;
                const float below = dot(l, surface);
                if (below < 0.0f) l = l - 2.0f * below * surface;
                const Float4 sky = sample(map, turn(asset_to_map, l), footprint(map, r.density, int(rays)));
                const Hit h = walk(g, o, l, &surface);
                const Float4 seen = h.place < 0 ? sky : b[g.surfel[h.place]];
                const float w0 = r.weight * (1.0f - r.fresnel), w90 = r.weight * r.fresnel;
                sum[0] += w0 * sky;
                sum[1] += w90 * sky;
                sum[2] += w0 * seen;
                sum[3] += w90 * seen;
                weights += r.weight;
                hits += h.place < 0 ? 0.0f : r.weight;
            }
            const float scale = 1.0f / float(rays);
            for (int c = 0; c < 3; ++c) {
                open[6 * i + c] = scale * sum[0][c];
                open[6 * i + 3 + c] = scale * sum[1][c];
                traced[6 * i + c] = scale * sum[2][c];
                traced[6 * i + 3 + c] = scale * sum[3][c];
            }
            blocked[i] = weights > 0.0f ? hits / weights : 0.0f;
        }
    });
    });
}
