// Specular reflections traced through the grid, and what the surfels that they meet reflect themselves.
// Specification: kernels/twins/specular.py.
#include <algorithm>

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
constexpr int64_t GRAIN = 256;  // points that are worked on together

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

    // Radiance along LANES rays; direction: in the map's frame.
    void look(const VecLanes &origin, const VecLanes &direction, FloatLanes lod, Float4 *out) const {
        if (around)
            look_around(*around, far, place_in(*around, origin), direction, lod, lod + closer, out);
        else
            sample(far, direction, lod, out);
    }
};

// What turns directions of the asset's frame into the map's: one matrix for all points, or one for each group of them.
struct Turns {
    const float *matrix;   // (groups, 9)
    const int32_t *group;  // null, or of each point

    const float *of(int32_t point) const { return matrix + 9 * size_t(group ? group[point] : 0); }

    // point: a function of the lane.
    template <class Point>
    VecLanes turn(const VecLanes &direction, const Point &point) const {
        if (!group) return ::turn(matrix, direction);
        float entry[9][LANES];
        for (int k = 0; k < LANES; ++k)
            for (int e = 0; e < 9; ++e) entry[e][k] = of(point(k))[e];
        const auto row = [&](int e) {
            return dot(VecLanes{load_lanes<FloatLanes>(entry[e]), load_lanes<FloatLanes>(entry[e + 1]),
                                load_lanes<FloatLanes>(entry[e + 2])}, direction);
        };
        return {row(0), row(3), row(6)};
    }
};

// What surfels send out, RGB0.
struct Senders {
    const Float4 *radiance;  // (groups, senders)
    const int32_t *owner;    // null, or the sender that each surfel of the grid belongs to
    int64_t count;           // of senders
    const int32_t *group;    // null, or of each point: the light that its rays meet

    Float4 operator()(int32_t surfel, int32_t point) const {
        return radiance[(group ? group[point] : 0) * count + (owner ? owner[surfel] : surfel)];
    }
};

// A ray on its way: what it adds to, and how much of what it meets.
struct Path {
    Reflected *surfel;
    Float4 through;
    float weight, fresnel;
    int64_t bounce;
    uint32_t *hits;  // of its vector of first rays, and which of them it is
    uint32_t lane;
    float density;  // of the others' lobe
    Ray ray;
};

class Tracer {
public:
    // first: of the points that are worked on together.
    Tracer(const NearGrid &g, const Senders &sent, const Senders &other, const NearMirrors *mirrors, const Turns &turns,
           const Reflected *first)
        : g(g), sent(sent), other(other), mirrors(mirrors), turns(turns), first(first),
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
        if (path.bounce == 0) o.weights += path.weight;
        if (h.place < 0) {
            if (path.bounce) seen[count++] = path;
            if (count == LANES) look();
            return;  // what first rays see of the sky is looked up later
        }
        if (path.bounce == 0) {
            *path.hits |= path.lane;
            o.hits += path.weight;
        }
        const bool faces = dot(load(g.plane + 4 * size_t(h.place)), path.ray.direction) < 0.0f;
        if (!faces && h.distance >= FOLD) return;  // its back sends nothing, but in a fold it is the surface itself
        const int32_t surfel = g.surfel[h.place];
        const int32_t point = int32_t(path.surfel - first);
        if (other.radiance && path.bounce == 0) {
            const float w90 = path.weight * path.fresnel;
            o.sum[4] += (path.weight - w90) * other(surfel, point);
            o.sum[5] += w90 * other(surfel, point);
        }
        const float *row = mirrors ? mirrors->rows + 8 * size_t(surfel) : nullptr;
        if (!row || !faces || row[7] * luminance(path.through) < FAINT || path.bounce == mirrors->bounces)
            return add(path, sent(surfel, point));
        add(path, (1.0f - row[7]) * sent(surfel, point));
        leave(path, h, row);
    }

    // Looks up what rays that left metals see of the sky.
    void look() {
        if (!count) return;
        float row[7][LANES];
        for (int k = 0; k < LANES; ++k) {
            const Path &path = seen[k < count ? k : 0];
            const Vec3 o = path.ray.origin, d = path.ray.direction;
            const float own[7] = {o.x, o.y, o.z, d.x, d.y, d.z, WIDE * path.density};
            for (int c = 0; c < 7; ++c) row[c][k] = own[c];
        }
        const auto at = [&](int c) { return load_lanes<FloatLanes>(row[c]); };
        Float4 out[LANES];
        const VecLanes along = turns.turn({at(3), at(4), at(5)}, [&](int k) {
            return int32_t(seen[k < count ? k : 0].surfel - first);
        });
        map.look({at(0), at(1), at(2)}, along, footprint(map.far, at(6), 1), out);
        for (int k = 0; k < count; ++k) add(seen[k], out[k]);
        count = 0;
    }

private:
    void add(const Path &path, Float4 radiance) {
        const float w90 = path.weight * path.fresnel;
        path.surfel->sum[2] += (path.weight - w90) * path.through * radiance;
        path.surfel->sum[3] += w90 * path.through * radiance;
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
    const Senders &sent, &other;
    const NearMirrors *mirrors;
    const Turns &turns;
    const Reflected *first;
    const Map map;
    std::vector<Path> waiting;
    Path seen[LANES];  // `count` of them see the sky
    int count = 0;
};

// Vectors of rays: of `points` lobes from `first` on, among those that have as many rays.
struct Volley {
    const Hammersley *set;
    int64_t vector;
    const int32_t *first;
    int64_t points;
    uint32_t hits;

    IntLanes real() const { return set->real(vector, points); }
    int32_t point(int lane) const {
        const int64_t at = lane >> set->shift;
        return first[at < points ? at : points - 1];
    }
};

// The rays of some points, those that have as many together.
class Volleys {
public:
    // fewer: null, or how many times a point's rays are halved.
    Volleys(const std::vector<Hammersley> &sets, const uint8_t *fewer, int64_t count) : order(size_t(count)) {
        size_t end = 0;
        for (size_t k = 0; k < sets.size(); ++k) {
            const size_t begin = end;
            for (int64_t i = 0; i < count; ++i)
                if ((fewer ? fewer[i] : 0) == k) order[end++] = int32_t(i);
            for (size_t i = begin; i < end; i += size_t(sets[k].lobes))
                for (int64_t v = 0; v < sets[k].vectors; ++v)
                    all.push_back({&sets[k], v, &order[i], int64_t(std::min(end - i, size_t(sets[k].lobes))), 0});
        }
    }

    std::vector<Volley> all;

private:
    std::vector<int32_t> order;
};

// LANES rays as they were drawn.
struct Drawn {
    VecLanes origin, toward;
    FloatLanes weight, fresnel, density;

    Drawn(const Volley &volley, const Site *sites) {
        const Site *site[LANES];
        for (int k = 0; k < LANES; ++k) site[k] = sites + volley.point(k);
        const Lobes lobes(site);
        lobes.draw(*volley.set, volley.vector, volley.real(), toward, weight, fresnel, density);
        origin = lobes.origin;
    }
};

// Calls add(point, 0 or 1, radiance) with what each ray sees of the sky, for F0 and F90, and its lane.
template <class Add>
inline void share_sky(const Volley &volley, const Drawn &drawn, const Float4 *sky, const Add &add) {
    float factor[2][LANES];
    const FloatLanes weight = drawn.weight > 0.0f ? drawn.weight : all(0.0f);
    const FloatLanes factors[2] = {weight - weight * drawn.fresnel, weight * drawn.fresnel};
    std::memcpy(factor, factors, sizeof factor);
    for (int k = 0; k < LANES; ++k)
        for (int f = 0; f < 2; ++f) add(volley.point(k), f, factor[f][k] * sky[k], k);
}

std::vector<Hammersley> make_sets(int64_t rays, int64_t halvings) {
    std::vector<Hammersley> sets;
    for (int64_t k = 0; k <= halvings; ++k) sets.emplace_back(rays >> k);
    return sets;
}

}  // namespace

// point, outward: null, or where each reflection starts, in cells, and its geometric normal; index then only rotates its
// samples. open and traced (count, 2, 3): factors of F0 and F90. radiosity (surfels, 4), RGB0. mirrors: null, or what
// surfels mirror; radiosity then holds at the last bounce, and where nothing is mirrored. asset_to_map row-major 3x3.
// around: null, or what lies before the map; its place takes cells. What is seen from behind sends nothing
// beyond FOLD. other, beside: null, or radiosity in another light, and what first hits add in it (count, 2, 3). fewer:
// null, or how many times each one's rays are halved (count,), `halvings` at most. hidden_only: open and traced are left 0
// of what sees the sky alone, and of the sky where nothing of it is seen. owner: null, or which of `senders` each surfel of
// the grid belongs to; radiosity and other are then theirs. group: null, or of each point, which of several asset_to_map and
// of several radiosity, one after the other, are its own.
NEAR_KERNEL(grid_trace_specular)(const NearGrid *grid, const int32_t *index, const float *point, const float *outward,
                                 const float *view, const float *normal, const float *roughness, int64_t count,
                                 const float *radiosity, const NearMirrors *mirrors, const float *texels,
                                 int64_t height, int64_t levels, const float *asset_to_map, const NearAround *around,
                                 int64_t rays, const uint8_t *fewer, int64_t halvings, int64_t hidden_only,
                                 int64_t seed, float *open, float *traced, float *blocked, const float *other,
                                 float *beside, const int32_t *owner, int64_t senders, const int32_t *group,
                                 int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        const Map map(texels, height, levels, around);
        const auto sets = make_sets(rays, halvings);
        parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
            Site sites[GRAIN];
            for (int64_t i = begin; i < end; ++i) {
                const size_t place = point ? 0 : size_t(g.place[index[i]]);
                const Vec3 surface = load(point ? outward + 3 * i : g.plane + 4 * place);
                sites[i - begin] = {load(view + 3 * i), load(normal + 3 * i), surface,
                                    lifted(g, point ? point + 3 * i : g.position + 3 * place, surface), roughness[i],
                                    hash(uint32_t(index[i]) ^ hash(uint32_t(seed)))};
            }
            Volleys volleys(sets, fewer ? fewer + begin : nullptr, end - begin);
            Reflected out[GRAIN] = {};
            const int32_t *own = group ? group + begin : nullptr;
            const Turns turns{asset_to_map, own};
            const Senders sent{reinterpret_cast<const Float4 *>(radiosity), owner, senders, own};
            const Senders lamps{reinterpret_cast<const Float4 *>(other), owner, senders, own};
            Tracer tracer(g, sent, lamps, mirrors, turns, out);
            Path path_of[SLOTS], drawn[LANES];
            size_t shot = 0;
            int lane = LANES;
            const auto draw = [&](Volley &volley) {
                const Drawn made(volley, sites);
                float row[5][LANES];
                const FloatLanes rows[5] = {made.toward.x, made.toward.y, made.toward.z, made.weight, made.fresnel};
                std::memcpy(row, rows, sizeof row);
                for (int k = 0; k < LANES; ++k) {
                    const int32_t of = volley.point(k);
                    const Vec3 toward{row[0][k], row[1][k], row[2][k]};
                    drawn[k] = {out + of, Float4{1, 1, 1, 0}, row[3][k], row[4][k], 0, &volley.hits, 1u << k, 0.0f,
                                {sites[of].origin, toward, sites[of].surface}};
                }
            };
            walk(g,
                 [&](int slot, Ray &ray) {
                     Path &path = path_of[slot];
                     if (tracer.resume(path)) {
                         ray = path.ray;
                         return true;
                     }
                     for (;; ++lane) {
                         if (lane == LANES) {
                             if (shot == volleys.all.size()) return false;
                             draw(volleys.all[shot++]);
                             lane = 0;
                         }
                         if (!(drawn[lane].weight > 0.0f)) continue;
                         path = drawn[lane++];
                         ray = path.ray;
                         return true;
                     }
                 },
                 [&](int slot, Hit h) { tracer.meet(path_of[slot], h); });
            tracer.look();
            for (const Volley &volley : volleys.all) {
                bool wanted = !hidden_only;
                for (int64_t k = 0; k < volley.points && !wanted; ++k) {
                    const Reflected &o = out[volley.first[k]];
                    wanted = o.hits > 0.0f && o.hits < o.weights;
                }
                if (!wanted) continue;
                const Drawn made(volley, sites);
                Float4 sky[LANES];
                map.look(made.origin, turns.turn(made.toward, [&](int k) { return volley.point(k); }),
                         footprint(map.far, made.density, volley.set->count), sky);
                share_sky(volley, made, sky, [&](int32_t of, int f, Float4 more, int k) {
                    out[of].sum[f] += more;
                    if (!(volley.hits >> k & 1)) out[of].sum[2 + f] += more;
                });
            }
            for (int64_t i = begin; i < end; ++i) {
                const Reflected &o = out[i - begin];
                const float own = 1.0f / float(rays >> (fewer ? fewer[i] : 0));
                for (int f = 0; f < 2; ++f)
                    for (int c = 0; c < 3; ++c) {
                        open[6 * i + 3 * f + c] = own * o.sum[f][c];
                        traced[6 * i + 3 * f + c] = own * o.sum[2 + f][c];
                        if (beside) beside[6 * i + 3 * f + c] = own * o.sum[4 + f][c];
                    }
                blocked[i] = o.weights > 0.0f ? o.hits / o.weights : 0.0f;
            }
        });
    });
}

// surface (geometric normals), view, normal (count, 3), roughness, key (count,) -> out (count, 2, 3). around: null, or
// what lies before the map, seen from origin (count, 3). fewer, halvings, group: as grid_trace_specular's.
NEAR_KERNEL(light_reflect)(const float *texels, int64_t height, int64_t levels, const float *surface, const float *view,
                           const float *normal, const float *roughness, const int32_t *key, int64_t count,
                           const float *asset_to_map, const NearAround *around, const float *origin, int64_t rays,
                           const uint8_t *fewer, int64_t halvings, const int32_t *group, float *out,
                           int64_t threads) {
    return guard([&] {
        const Map map(texels, height, levels, around);
        const auto sets = make_sets(rays, halvings);
        parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
            Site sites[GRAIN];
            for (int64_t i = begin; i < end; ++i)
                sites[i - begin] = {load(view + 3 * i), load(normal + 3 * i), load(surface + 3 * i),
                                    around ? load(origin + 3 * i) : Vec3{0, 0, 0}, roughness[i],
                                    hash(uint32_t(key[i]))};
            const Volleys volleys(sets, fewer ? fewer + begin : nullptr, end - begin);
            const Turns turns{asset_to_map, group ? group + begin : nullptr};
            Float4 sum[GRAIN][2] = {}, sky[LANES];
            for (const Volley &volley : volleys.all) {
                const Drawn made(volley, sites);
                map.look(made.origin, turns.turn(made.toward, [&](int k) { return volley.point(k); }),
                         footprint(map.far, made.density, volley.set->count), sky);
                share_sky(volley, made, sky, [&](int32_t of, int f, Float4 more, int) { sum[of][f] += more; });
            }
            for (int64_t i = begin; i < end; ++i)
                for (int f = 0; f < 2; ++f)
                    for (int c = 0; c < 3; ++c)
                        out[6 * i + 3 * f + c] = sum[i - begin][f][c] / float(rays >> (fewer ? fewer[i] : 0));
        });
    });
}
