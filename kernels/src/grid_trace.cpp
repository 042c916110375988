// Rays through the grid one by one, hit tables, and traced specular reflections.
#include "api.h"
#include "around.h"
#include "grid.h"
#include "threads.h"

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

// What grid_trace_specular sums up for one surfel.
struct Reflected {
    Float4 sum[4];  // open F0, F90, traced F0, F90
    float hits, weights;
};

}  // namespace

// origin (count, 3) in cells; normal null or (count, 3).
NEAR_KERNEL(grid_trace)(const NearGrid *grid, const float *origin, const float *direction, const float *normal,
                        int64_t count, int32_t *hit, float *distance, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        parallel_ranges(threads, count, 256, [&](int64_t begin, int64_t end) {
            int64_t index[SLOTS];
            walk(g,
                 [&](int slot, Ray &ray) {
                     if (begin == end) return false;
                     const Vec3 n = normal ? load(normal + 3 * begin) : Vec3{0, 0, 0};
                     ray = {lifted(g, origin + 3 * begin, n), load(direction + 3 * begin), n};
                     index[slot] = begin++;
                     return true;
                 },
                 [&](int slot, Hit h) {
                     hit[index[slot]] = h.place < 0 ? -1 : g.surfel[h.place];
                     distance[index[slot]] = h.distance * g.cell;
                 });
        });
    });
}

// place (rows,): which surfels, in cell order; row (rows,): where each one's directions go in the table.
NEAR_KERNEL(grid_trace_table)(const NearGrid *grid, const int32_t *place, const int32_t *row, int64_t rows,
                              const float *direction, int64_t directions, int32_t *table, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        parallel_ranges(threads, rows, 64, [&](int64_t begin, int64_t end) {
            int32_t *entry[SLOTS];
            int64_t j = 0;
            walk(g,
                 [&](int slot, Ray &ray) {
                     for (; begin < end; ++begin, j = 0) {
                         const Vec3 n = load(g.plane + 4 * size_t(place[begin]));
                         for (; j < directions; ++j) {
                             const Vec3 d = load(direction + 3 * j);
                             entry[slot] = table + int64_t(row[begin]) * directions + j;
                             if (dot(d, n) > 0.0f) {
                                 ray = {lifted(g, g.position + 3 * size_t(place[begin]), n), d, n};
                                 ++j;
                                 return true;
                             }
                             *entry[slot] = -2;
                         }
                     }
                     return false;
                 },
                 [&](int slot, Hit h) { *entry[slot] = h.place < 0 ? -1 : g.surfel[h.place]; });
        });
    });
}
// point, outward: null, or where each reflection starts, in cells, and its geometric normal; index then only rotates its
// samples. open and traced (count, 2, 3): factors of F0 and F90. radiosity (surfels, 4), RGB0. asset_to_map row-major 3x3.
// around: null, or what lies before the map; its place takes cells. A surfel seen from behind sends nothing.
NEAR_KERNEL(grid_trace_specular)(const NearGrid *grid, const int32_t *index, const float *point, const float *outward,
                                 const float *view, const float *normal, const float *roughness, int64_t count,
                                 const float *radiosity, const float *texels, int64_t height, int64_t levels,
                                 const float *asset_to_map, const NearAround *around, int64_t rays, int64_t seed,
                                 float *open, float *traced, float *blocked, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        const Pyramid map{texels, int32_t(height), int32_t(levels)};
        const float closer = around ? std::log2(float(around->height) / float(height)) : 0.0f;  // of its levels
        const Hammersley points(rays);
        constexpr int64_t GRAIN = 32;
        parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
            Reflected out[GRAIN] = {};
            struct Sample {
                Reflected *surfel;
                Float4 sky;
                float weight, fresnel;
                Vec3 along;
            } sample_of[SLOTS], drawn[LANES];
            Vec3 toward[LANES], surface, origin;
            int64_t i = begin, ray_number = 0;
            const auto draw = [&] {  // the next LANES rays of surfel i
                const size_t place = point ? 0 : size_t(g.place[index[i]]);
                surface = load(point ? outward + 3 * i : g.plane + 4 * place);
                origin = lifted(g, point ? point + 3 * i : g.position + 3 * place, surface);
                const Lobe lobe(load(view + 3 * i), load(normal + 3 * i), surface, roughness[i],
                                hash(uint32_t(index[i]) ^ hash(uint32_t(seed))));
                VecLanes l;
                FloatLanes weight, fresnel, density;
                Float4 sky[LANES];
                lobe.draw(points, ray_number, l, weight, fresnel, density);
                const FloatLanes lod = footprint(map, density, rays);
                if (around)
                    look_around(*around, map, place_in(*around, {all(origin.x), all(origin.y), all(origin.z)}),
                                turn(asset_to_map, l), lod, lod + closer, sky);
                else
                    sample(map, turn(asset_to_map, l), lod, sky);
                float component[5][LANES];
                const FloatLanes components[5] = {l.x, l.y, l.z, weight, fresnel};
                std::memcpy(component, components, sizeof component);
                for (int k = 0; k < LANES; ++k) {
                    toward[k] = {component[0][k], component[1][k], component[2][k]};
                    drawn[k] = {out + (i - begin), sky[k], component[3][k], component[4][k], toward[k]};
                }
            };
            walk(g,
                 [&](int slot, Ray &ray) {
                     for (;;) {
                         if (ray_number == rays) ++i, ray_number = 0;
                         if (i == end) return false;
                         const int64_t k = ray_number % LANES;
                         if (k == 0) draw();
                         ++ray_number;
                         if (!(drawn[k].weight > 0.0f)) continue;
                         ray = {origin, toward[k], surface};
                         sample_of[slot] = drawn[k];
                         return true;
                     }
                 },
                 [&](int slot, Hit h) {
                     const Sample &a = sample_of[slot];
                     Reflected &o = *a.surfel;
                     Float4 seen = a.sky;
                     if (h.place >= 0) {  // what is seen from behind sends nothing
                         const bool faces = dot(load(g.plane + 4 * size_t(h.place)), a.along) < 0.0f;
                         seen = faces ? reinterpret_cast<const Float4 *>(radiosity)[g.surfel[h.place]]
                                      : Float4{0.0f, 0.0f, 0.0f, 0.0f};
                     }
                     const float w90 = a.weight * a.fresnel, w0 = a.weight - w90;
                     o.sum[0] += w0 * a.sky;
                     o.sum[1] += w90 * a.sky;
                     o.sum[2] += w0 * seen;
                     o.sum[3] += w90 * seen;
                     o.weights += a.weight;
                     o.hits += h.place < 0 ? 0.0f : a.weight;
                 });
            const float scale = 1.0f / float(rays);
            for (int64_t k = begin; k < end; ++k) {
                const Reflected &o = out[k - begin];
                for (int f = 0; f < 2; ++f)
                    for (int c = 0; c < 3; ++c) {
                        open[6 * k + 3 * f + c] = scale * o.sum[f][c];
                        traced[6 * k + 3 * f + c] = scale * o.sum[2 + f][c];
                    }
                blocked[k] = o.weights > 0.0f ? o.hits / o.weights : 0.0f;
            }
        });
    });
}
