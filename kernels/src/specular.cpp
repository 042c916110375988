// Specular reflections traced through the grid, and what the surfels that they meet reflect themselves.
// Specification: kernels/twins/specular.py.
#include "api.h"
#include "around.h"
#include "grid.h"
#include "threads.h"

// Field for field as _MirrorsView in kernels/specular.py: what rays see of surfels that mirror.
struct NearMirrors {
    const float *rows;         // (surfels, 8) shading normal, roughness, metallic times F0, metallic
    const float *texels;       // the light map that they mirror
    const NearAround *around;  // null, or what lies before it; its place takes cells
    int32_t height, levels;
    int64_t bounces;           // surfels that light is followed to, from one to the next
};

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

constexpr float FAINT = 0.02f;  // what comes through a metal and is not followed
constexpr float WIDE = 0.25f;   // a lobe is as wide as if its peak held this much of it

// What is summed up for one surfel.
struct Reflected {
    Float4 sum[6];  // open F0, F90, traced F0, F90, and these two in another light
    float hits, weights;
};

struct Map {
    Pyramid far;
    const NearAround *around;
    float closer;  // levels by which `around` is finer

    Map(const float *texels, int64_t height, int64_t levels, const NearAround *around)
        : far{texels, int32_t(height), int32_t(levels)}, around(around),
          closer(around ? std::log2(float(around->height) / float(height)) : 0.0f) {}

    // Radiance along LANES rays that leave one place; direction: in the map's frame.
    void look(Vec3 origin, const VecLanes &direction, FloatLanes lod, Float4 *out) const {
        if (around)
            look_around(*around, far, place_in(*around, {all(origin.x), all(origin.y), all(origin.z)}), direction, lod,
                        lod + closer, out);
        else
            sample(far, direction, lod, out);
    }
};

// A ray on its way: what it adds to, how much of what it meets, and what it sees where it meets nothing.
struct Path {
    Reflected *surfel;
    Float4 through;
    float weight, fresnel;
    int64_t bounce;
    Float4 sky;     // of the first ray
    float density;  // of the others' lobe
    Ray ray;
};

class Tracer {
public:
    Tracer(const NearGrid &g, const float *radiosity, const float *other, const NearMirrors *mirrors,
           const float *asset_to_map)
        : g(g), radiosity(reinterpret_cast<const Float4 *>(radiosity)), other(reinterpret_cast<const Float4 *>(other)),
          mirrors(mirrors), asset_to_map(asset_to_map),
          map(mirrors ? mirrors->texels : nullptr, mirrors ? mirrors->height : 1, mirrors ? mirrors->levels : 1,
              mirrors ? mirrors->around : nullptr) {}

    // The next of the rays that leave metals; false where none waits.
    bool resume(Path &path) {
        if (waiting.empty()) return false;
        path = waiting.back();
        waiting.pop_back();
        return true;
    }

    void meet(Path path, Hit h) {
        Reflected &o = *path.surfel;
        if (path.bounce == 0) {
            const float w90 = path.weight * path.fresnel;
            o.sum[0] += (path.weight - w90) * path.sky;
            o.sum[1] += w90 * path.sky;
            o.weights += path.weight;
            o.hits += h.place < 0 ? 0.0f : path.weight;
        }
        if (h.place < 0) return add(path, path.bounce == 0 ? path.sky : look(path));
        const bool faces = dot(load(g.plane + 4 * size_t(h.place)), path.ray.direction) < 0.0f;
        if (!faces && h.distance >= FOLD) return;  // its back sends nothing, but in a fold it is the surface itself
        const int32_t surfel = g.surfel[h.place];
        if (other && path.bounce == 0) {
            const float w90 = path.weight * path.fresnel;
            o.sum[4] += (path.weight - w90) * other[surfel];
            o.sum[5] += w90 * other[surfel];
        }
        const float *row = mirrors ? mirrors->rows + 8 * size_t(surfel) : nullptr;
        if (!row || !faces || row[7] * luminance(path.through) < FAINT || path.bounce == mirrors->bounces)
            return add(path, radiosity[surfel]);
        add(path, (1.0f - row[7]) * radiosity[surfel]);
        leave(path, h, row);
    }

private:
    void add(const Path &path, Float4 radiance) {
        const float w90 = path.weight * path.fresnel;
        path.surfel->sum[2] += (path.weight - w90) * path.through * radiance;
        path.surfel->sum[3] += w90 * path.through * radiance;
    }

    Float4 look(const Path &path) const {
        Float4 out[LANES];
        const Vec3 d = path.ray.direction;
        map.look(path.ray.origin, turn(asset_to_map, {all(d.x), all(d.y), all(d.z)}),
                 footprint(map.far, all(WIDE * path.density), 1), out);
        return out[0];
    }

    // A ray goes on from a metal along the middle of its lobe, all of which it looks up: no noise of its own.
    void leave(Path &path, Hit h, const float *row) {
        const Vec3 d = path.ray.direction, n = load(g.plane + 4 * size_t(h.place)), bent = load(row);
        Vec3 l = d - 2.0f * dot(d, bent) * bent;
        l = l - 2.0f * std::fmin(dot(l, n), 0.0f) * n;
        const float cosine = clamp(-dot(d, bent), 1e-3f, 1.0f), alpha = clamp(row[3] * row[3], 1e-3f, 1.0f);
        const float a2 = alpha * alpha, smith = std::sqrt(cosine * cosine + a2 * (1.0f - cosine * cosine));
        const float m = 1.0f - cosine, fresnel = m * m * m * m * m;
        const Float4 own{row[4], row[5], row[6], 0.0f}, white{row[7], row[7], row[7], 0.0f};
        path.through *= (cosine + smith) / (2.0f * smith) * (own + fresnel * (white - own));
        path.density = 1.0f / (PI * a2) / (2.0f * (cosine + smith));
        path.ray = {path.ray.origin + h.distance * d + g.lift * n, l, n};
        ++path.bounce;
        waiting.push_back(path);
    }

    const NearGrid &g;
    const Float4 *radiosity, *other;
    const NearMirrors *mirrors;
    const float *asset_to_map;
    const Map map;
    std::vector<Path> waiting;
};

}  // namespace

// point, outward: null, or where each reflection starts, in cells, and its geometric normal; index then only rotates its
// samples. open and traced (count, 2, 3): factors of F0 and F90. radiosity (surfels, 4), RGB0. mirrors: null, or what
// surfels mirror; radiosity then holds at the last bounce, and where nothing is mirrored. asset_to_map row-major 3x3.
// around: null, or what lies before the map; its place takes cells. What is seen from behind sends nothing
// beyond FOLD. other, beside: null, or radiosity in another light, and what first hits add in it (count, 2, 3).
NEAR_KERNEL(grid_trace_specular)(const NearGrid *grid, const int32_t *index, const float *point, const float *outward,
                                 const float *view, const float *normal, const float *roughness, int64_t count,
                                 const float *radiosity, const NearMirrors *mirrors, const float *texels,
                                 int64_t height, int64_t levels, const float *asset_to_map, const NearAround *around,
                                 int64_t rays, int64_t seed, float *open, float *traced, float *blocked,
                                 const float *other, float *beside, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        const Map map(texels, height, levels, around);
        const Hammersley points(rays);
        constexpr int64_t GRAIN = 32;
        parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
            Reflected out[GRAIN] = {};
            Tracer tracer(g, radiosity, other, mirrors, asset_to_map);
            Path path_of[SLOTS], drawn[LANES];
            int64_t i = begin, ray_number = 0;
            const auto draw = [&] {  // the next LANES rays of surfel i
                const size_t place = point ? 0 : size_t(g.place[index[i]]);
                const Vec3 surface = load(point ? outward + 3 * i : g.plane + 4 * place);
                const Vec3 origin = lifted(g, point ? point + 3 * i : g.position + 3 * place, surface);
                const Lobe lobe(load(view + 3 * i), load(normal + 3 * i), surface, roughness[i],
                                hash(uint32_t(index[i]) ^ hash(uint32_t(seed))));
                VecLanes l;
                FloatLanes weight, fresnel, density;
                Float4 sky[LANES];
                lobe.draw(points, ray_number, l, weight, fresnel, density);
                map.look(origin, turn(asset_to_map, l), footprint(map.far, density, rays), sky);
                float component[5][LANES];
                const FloatLanes components[5] = {l.x, l.y, l.z, weight, fresnel};
                std::memcpy(component, components, sizeof component);
                for (int k = 0; k < LANES; ++k) {
                    const Vec3 toward{component[0][k], component[1][k], component[2][k]};
                    drawn[k] = {out + (i - begin), Float4{1, 1, 1, 0}, component[3][k], component[4][k],
                                0, sky[k], 0.0f, {origin, toward, surface}};
                }
            };
            walk(g,
                 [&](int slot, Ray &ray) {
                     Path &path = path_of[slot];
                     if (tracer.resume(path)) {
                         ray = path.ray;
                         return true;
                     }
                     for (;;) {
                         if (ray_number == rays) ++i, ray_number = 0;
                         if (i == end) return false;
                         const int64_t k = ray_number % LANES;
                         if (k == 0) draw();
                         ++ray_number;
                         if (!(drawn[k].weight > 0.0f)) continue;
                         path = drawn[k];
                         ray = path.ray;
                         return true;
                     }
                 },
                 [&](int slot, Hit h) { tracer.meet(path_of[slot], h); });
            const float scale = 1.0f / float(rays);
            for (int64_t k = begin; k < end; ++k) {
                const Reflected &o = out[k - begin];
                for (int f = 0; f < 2; ++f)
                    for (int c = 0; c < 3; ++c) {
                        open[6 * k + 3 * f + c] = scale * o.sum[f][c];
                        traced[6 * k + 3 * f + c] = scale * o.sum[2 + f][c];
                        if (beside) beside[6 * k + 3 * f + c] = scale * o.sum[4 + f][c];
                    }
                blocked[k] = o.weights > 0.0f ? o.hits / o.weights : 0.0f;
            }
        });
    });
}
