// Lamps as points: what arrives from them at places, what these mirror of it, and which rays towards them are free.
// Specification: kernels/twins/lamps.py.
#include "api.h"
#include "grid.h"
#include "threads.h"

// Field for field as _LampView in kernels/lamps.py.
struct NearLamp {
    const float *point;    // (count, 3) places, world; of a sun unit directions towards it
    int64_t count;
    int32_t kind;          // 0 point, 1 spot, 2 area, 3 sun
    float least, width;    // metres, what is nearer counts as at this distance; how wide a point is
    float scale;           // strength of a point that faces a place one metre away
    float middle[3];       // of a point's or a spot's disc, which faces what it lights
    float axis[3];         // of an area: where its light goes to, turned around; of a spot unused
    float local[9];        // of a spot: row-major, turns directions towards it into its own frame
    float edge, softness;  // of a spot: cosine of half its cone, and over how much of it the light fades
    float spread;          // of an area: tangent of half its spread, 0 where it is all around
    float narrow;          // of an area: that tangent less half its spread, which the light is divided by
};

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

enum Kind { POINT, SPOT, AREA, SUN };

inline FloatLanes floored(FloatLanes v) { return at_least(v, 0.0f); }

inline VecLanes spread_out(const float *v) { return {all(v[0]), all(v[1]), all(v[2])}; }

// LANES of `left` rows of three numbers, zero behind the last.
inline VecLanes load_rows(const float *from, int64_t left) {
    float part[3][LANES] = {};
    const int count = int(left < LANES ? left : LANES);
    for (int k = 0; k < count; ++k)
        for (int c = 0; c < 3; ++c) part[c][k] = from[3 * k + c];
    return {load_lanes<FloatLanes>(part[0]), load_lanes<FloatLanes>(part[1]), load_lanes<FloatLanes>(part[2])};
}

// The direction from places to a point, its distance, and the irradiance that faces it over the lamp's colour.
struct Reached {
    VecLanes direction;
    FloatLanes distance, strength;
};

inline Reached reach(const NearLamp &lamp, const VecLanes &place, const VecLanes &point) {
    if (lamp.kind == SUN) return {point, all(INFINITY), all(lamp.scale)};
    const VecLanes away = {point.x - place.x, point.y - place.y, point.z - place.z};
    const FloatLanes distance = at_least(root(dot(away, away)), 1e-6f), over = 1.0f / distance;
    const VecLanes d = {away.x * over, away.y * over, away.z * over};
    const FloatLanes near = at_least(distance, lamp.least);
    FloatLanes strength = lamp.scale / (near * near);
    if (lamp.kind == AREA) {
        const FloatLanes cosine = floored(dot(d, spread_out(lamp.axis)));
        strength *= cosine;
        if (lamp.spread > 0.0f) {
            const FloatLanes tangent = root(floored(1.0f - cosine * cosine)) / at_least(cosine, 1e-6f);
            strength *= floored(lamp.spread - tangent) / lamp.narrow;
        }
        return {d, distance, strength};
    }
    const VecLanes to = {lamp.middle[0] - place.x, lamp.middle[1] - place.y, lamp.middle[2] - place.z};
    strength *= floored(dot(d, to) / at_least(root(dot(to, to)), 1e-12f));
    if (lamp.kind == SPOT) {
        const VecLanes own = turn(lamp.local, d);
        const FloatLanes along = -own.z / at_least(root(dot(own, own)), 1e-12f);
        const FloatLanes t = clamp((along - lamp.edge) / lamp.softness, 0.0f, 1.0f);
        strength *= t * t * (3.0f - 2.0f * t);
    }
    return {d, distance, strength};
}

// GGX for one direction, factors of F0 and F90: height-correlated Smith (Heitz 2014), Schlick's Fresnel.
inline void mirror(FloatLanes nl, FloatLanes nv, FloatLanes vl, FloatLanes alpha2, FloatLanes &f0, FloatLanes &f90) {
    const FloatLanes length = root(at_least(2.0f + 2.0f * vl, 1e-8f)), half = clamp(0.5f * length, 0.0f, 1.0f);
    const FloatLanes nh = clamp((nl + nv) / length, 0.0f, 1.0f), peak = nh * nh * (alpha2 - 1.0f) + 1.0f;
    const FloatLanes density = alpha2 / (PI * peak * peak);
    const FloatLanes smith = nl * root(alpha2 + (1.0f - alpha2) * nv * nv) + nv * root(alpha2 + (1.0f - alpha2) * nl * nl);
    const FloatLanes sent = nl > 0.0f ? 0.5f * density * nl / at_least(smith, 1e-8f) : all(0.0f);
    const FloatLanes m = 1.0f - half, fresnel = m * m * m * m * m;
    f0 = sent * (1.0f - fresnel), f90 = sent * fresnel;
}

inline void store(FloatLanes v, float *to, int64_t left, int stride) {
    for (int k = 0; k < LANES && k < left; ++k) to[stride * k] = v[k];
}

}  // namespace

// position, normal (count, 3), world. Out: arrives (count,), irradiance over the lamp's colour. With view (count, 3) and
// roughness (count,) also mirrored (count, 2), factors of F0 and F90; all of them null without.
NEAR_KERNEL(lamp_light)(const NearLamp *lamp, const float *position, const float *normal, int64_t count,
                        const float *view, const float *roughness, double least_roughness, float *arrives,
                        float *mirrored, int64_t threads) {
    return guard([&] {
        parallel_ranges(threads, count, 16 * LANES, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += LANES) {
                const int64_t left = end - i;
                const VecLanes place = load_rows(position + 3 * i, left), n = load_rows(normal + 3 * i, left);
                VecLanes v = {};
                FloatLanes alpha2 = {}, nv = {}, sum = {}, f0 = {}, f90 = {};
                if (view) {
                    v = load_rows(view + 3 * i, left);
                    nv = clamp(dot(n, v), 1e-3f, 1.0f);
                    for (int k = 0; k < LANES && k < left; ++k) alpha2[k] = roughness[i + k];
                    alpha2 = at_least(alpha2, float(least_roughness));
                    alpha2 *= alpha2, alpha2 *= alpha2;
                }
                for (int64_t p = 0; p < lamp->count; ++p) {
                    const Reached r = reach(*lamp, place, spread_out(lamp->point + 3 * p));
                    const FloatLanes nl = floored(dot(r.direction, n));
                    sum += nl * r.strength;
                    if (!view) continue;
                    const FloatLanes away = lamp->kind == SUN ? all(1.0f) : at_least(r.distance, lamp->least);
                    const FloatLanes wide = 0.25f * lamp->width / away, blurred = alpha2 + wide * wide;
                    FloatLanes a, b;
                    mirror(nl, nv, clamp(dot(r.direction, v), -1.0f, 1.0f), blurred < 1.0f ? blurred : all(1.0f), a, b);
                    f0 += a * r.strength, f90 += b * r.strength;
                }
                store(sum, arrives + i, left, 1);
                if (view) store(f0, mirrored + 2 * i, left, 2), store(f90, mirrored + 2 * i + 1, left, 2);
            }
        });
    });
}

// Rays from surfels to points of a lamp, one in each of side x side cells of its points, which lie side * patterns along
// an edge: neighbours take others of them, by index. origin (count,): the surfels of the grid that they leave; position,
// normal (count, 3): shading, world. turn: row-major 3x3, directions of the world -> the asset's, with its scale. own:
// whether the grid is in the way. Out, n = side * side: weight (count, n), 0 where a ray does not arrive whatever stands
// around; direction (count, n, 3), distance (count, n), world, where they are not null; share (count,), of the light.
NEAR_KERNEL(lamp_trace)(const NearGrid *grid, const NearLamp *lamp, int64_t side, int64_t patterns,
                        const int32_t *index, const int32_t *origin, const float *position, const float *normal,
                        int64_t count, const float *turned, int64_t own, float *weight, float *direction,
                        float *distance, float *share, int64_t threads) {
    return guard([&] {
        const NearGrid &g = *grid;
        const int64_t n = side * side;
        parallel_ranges(threads, count, 64, [&](int64_t begin, int64_t end) {
            std::vector<float> whole(size_t(end - begin), 0.0f);
            float limit[SLOTS], *entry[SLOTS];
            float sent[LANES], length[LANES];
            VecLanes along = {};
            int64_t i = begin, j = 0, known = -1;  // rays `known` to known + LANES of surfel i are worked out
            const auto look = [&] {
                known = j;
                const uint32_t key = hash(uint32_t(index[i]));
                float point[3][LANES] = {};
                for (int k = 0; k < LANES; ++k) {
                    const int64_t ray = j + k < n ? j + k : n - 1;
                    const uint32_t draw = hash(key ^ uint32_t(ray));
                    const int64_t row = ray / side * patterns + int64_t(draw % uint32_t(patterns));
                    const int64_t column = ray % side * patterns + int64_t((draw >> 16) % uint32_t(patterns));
                    const float *p = lamp->point + 3 * (row * side * patterns + column);
                    for (int c = 0; c < 3; ++c) point[c][k] = p[c];
                }
                const VecLanes to = {load_lanes<FloatLanes>(point[0]), load_lanes<FloatLanes>(point[1]),
                                     load_lanes<FloatLanes>(point[2])};
                const Reached r = reach(*lamp, spread_out(position + 3 * i), to);
                const FloatLanes lit = floored(dot(r.direction, spread_out(normal + 3 * i))) * r.strength;
                along = turn(turned, r.direction);
                const FloatLanes size = at_least(root(dot(along, along)), 1e-20f);
                along = {along.x / size, along.y / size, along.z / size};
                const FloatLanes far = r.distance * size / g.cell;  // in cells
                std::memcpy(sent, &lit, sizeof sent);
                std::memcpy(length, &far, sizeof length);
                for (int k = 0; k < LANES && j + k < n; ++k) {
                    whole[size_t(i - begin)] += sent[k];
                    const size_t at = size_t(i * n + j + k);
                    if (direction) {
                        direction[3 * at] = r.direction.x[k], direction[3 * at + 1] = r.direction.y[k];
                        direction[3 * at + 2] = r.direction.z[k], distance[at] = r.distance[k];
                    }
                }
            };
            walk(g,
                 [&](int slot, Ray &ray) {
                     for (; i < end; ++i, j = 0, known = -1) {
                         const size_t place = size_t(g.place[origin[i]]);
                         const Vec3 surface = load(g.plane + 4 * place);
                         for (; j < n; ++j) {
                             if (known < 0 || j == known + LANES) look();
                             const int k = int(j - known);
                             const Vec3 d = {along.x[k], along.y[k], along.z[k]};
                             float *to = weight + i * n + j;
                             *to = dot(surface, d) > 0.0f ? sent[k] : 0.0f;
                             if (!own || *to == 0.0f) continue;
                             entry[slot] = to, limit[slot] = length[k];
                             ray = {lifted(g, g.position + 3 * place, surface), d, surface};
                             ++j;
                             return true;
                         }
                     }
                     return false;
                 },
                 [&](int slot, Hit h) {
                     if (h.distance < limit[slot]) *entry[slot] = 0.0f;
                 });
            for (int64_t k = begin; k < end; ++k) {
                float seen = 0.0f;
                for (int64_t ray = 0; ray < n; ++ray) seen += weight[k * n + ray];
                share[k] = seen / (whole[size_t(k - begin)] > 1e-20f ? whole[size_t(k - begin)] : 1e-20f);
            }
        });
    });
}

// Suns that shine on surfaces: towards (suns, 3) unit, power (suns, 3) irradiance that faces each. normal, view (count, 3)
// unit, roughness (count,), share (count, suns): how much of each arrives. limit: luminance that all of them add at most.
// Out (count, 2, 3) each, factors of F0 and F90: opened, of all, and seen, of what arrives.
NEAR_KERNEL(lamp_glare)(const float *towards, const float *power, int64_t suns, const float *normal, const float *view,
                        const float *roughness, const float *share, int64_t count, double least_roughness, double limit,
                        float *opened, float *seen, int64_t threads) {
    return guard([&] {
        parallel_ranges(threads, count, 16 * LANES, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += LANES) {
                const int64_t left = end - i;
                const VecLanes n = load_rows(normal + 3 * i, left), v = load_rows(view + 3 * i, left);
                const FloatLanes nv = clamp(dot(n, v), 1e-3f, 1.0f);
                FloatLanes alpha2 = {}, sum[2][2][3] = {};
                for (int k = 0; k < LANES && k < left; ++k) alpha2[k] = roughness[i + k];
                alpha2 = at_least(alpha2, float(least_roughness));
                alpha2 *= alpha2, alpha2 *= alpha2;
                for (int64_t p = 0; p < suns; ++p) {
                    const VecLanes l = spread_out(towards + 3 * p);
                    FloatLanes sent[2], part = {};
                    mirror(floored(dot(n, l)), nv, clamp(dot(v, l), -1.0f, 1.0f), alpha2, sent[0], sent[1]);
                    for (int k = 0; k < LANES && k < left; ++k) part[k] = share[suns * (i + k) + p];
                    for (int f = 0; f < 2; ++f)
                        for (int c = 0; c < 3; ++c) {
                            const FloatLanes each = sent[f] * power[3 * p + c];
                            sum[0][f][c] += each, sum[1][f][c] += part * each;
                        }
                }
                float *out[2] = {opened + 6 * i, seen + 6 * i};
                for (int o = 0; o < 2; ++o)
                    for (int f = 0; f < 2; ++f) {
                        FloatLanes *s = sum[o][f];
                        const FloatLanes lit = 0.2126f * s[0] + 0.7152f * s[1] + 0.0722f * s[2];
                        const FloatLanes dimmed = float(limit) / at_least(lit, 1e-9f), factor = dimmed < 1.0f ? dimmed : all(1.0f);
                        for (int c = 0; c < 3; ++c) store(s[c] * factor, out[o] + 3 * f + c, left, 6);
                    }
            }
        });
    });
}

// What points of a surface ask of a lamp. position, plane, normal (count, 3), world: plane is geometric, normal of shading;
// share (count,), of the lamp's light, as others say; rounded (count,), 0 or 1: whether the surface is known along light
// that grazes it. Asked are those that it grazes, below `grazing`, where rounded, and of the others those whose share
// lies between `edge` and one less it. Out, n the lamp's points: weight (count, n), what each sends, 0 where nothing is
// asked; direction (count, n, 3), distance (count, n).
NEAR_KERNEL(lamp_ask)(const NearLamp *lamp, const float *position, const float *plane, const float *normal,
                      const float *share, const uint8_t *rounded, int64_t count, double grazing, double edge,
                      float *weight, float *direction, float *distance, int64_t threads) {
    return guard([&] {
        parallel_ranges(threads, count, 16 * LANES, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; i += LANES) {
                const int64_t left = end - i, n = lamp->count;
                const VecLanes place = load_rows(position + 3 * i, left), up = load_rows(plane + 3 * i, left);
                const VecLanes bent = load_rows(normal + 3 * i, left);
                IntLanes flat = all_int(0);
                for (int64_t p = 0; p < n; ++p) {
                    const Reached r = reach(*lamp, place, spread_out(lamp->point + 3 * p));
                    const FloatLanes sent = floored(dot(r.direction, bent)) * r.strength;
                    flat |= dot(r.direction, up) < float(grazing);
                    store(sent, weight + n * i + p, left, int(n)), store(r.distance, distance + n * i + p, left, int(n));
                    const FloatLanes along[3] = {r.direction.x, r.direction.y, r.direction.z};
                    for (int c = 0; c < 3; ++c) store(along[c], direction + 3 * (n * i + p) + c, left, int(3 * n));
                }
                for (int k = 0; k < LANES && k < left; ++k) {
                    const float arrives = share[i + k];
                    const bool asked = flat[k] ? rounded[i + k] != 0 : arrives > float(edge) && arrives < 1.0f - float(edge);
                    for (int64_t p = 0; p < n && !asked; ++p) weight[n * (i + k) + p] = 0.0f;
                }
            }
        });
    });
}
