// Points on a skin: what they are made of, where they touch its triangles, and where rays leave it.
// Specification: kernels/twins/skin.py.
#include "api.h"
#include "ggx.h"
#include "threads.h"

// Field for field as _MapView and _MaterialView in kernels/skin.py.
struct NearMap {
    const float *const *levels;  // (count,) mip levels, each (height, width, channels)
    const int32_t *size;         // (count, 2) height and width of each
    int64_t count, channels;     // count is 0 where there is no map
};

struct NearMaterial {
    NearMap map[4];  // base colour, linear and premultiplied, roughness, metallic, normal
    float color[4];  // linear, and opacity
    float roughness, metallic, normal_scale;
    int32_t wrap[2];  // of U and V: 0 repeats, 1 mirrors, 2 stays at the edge
};

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

constexpr float FARTHEST = 1e6f;  // maps beside each other that a place may lie from the first
constexpr int TAPS = 4;           // looks at a map along an oblique pixel at most, one for each texel

inline float length(Vec3 v) { return std::sqrt(dot(v, v)); }
inline Vec3 unit(Vec3 v) { return (1.0f / std::fmax(length(v), 1e-20f)) * v; }

inline int64_t wrapped(int64_t at, int64_t size, int32_t mode) {
    if (at >= 0 && at < size) return at;
    if (mode == 2) return at < 0 ? 0 : at < size ? at : size - 1;
    const int64_t period = mode == 1 ? 2 * size : size, within = at % period, r = within < 0 ? within + period : within;
    return mode == 1 && r >= size ? period - 1 - r : r;
}

// Bilinear in one level, times `share`, added to out.
inline void look_up(const NearMap &m, int64_t level, const int32_t *wrap, float u, float v, float share, float *out) {
    const int64_t height = m.size[2 * level], width = m.size[2 * level + 1];
    u = std::isnan(u) ? 0.0f : clamp(u, -FARTHEST, FARTHEST), v = std::isnan(v) ? 0.0f : clamp(v, -FARTHEST, FARTHEST);
    const float x = u * float(width) - 0.5f, y = (1.0f - v) * float(height) - 0.5f;
    const float left = std::floor(x), top = std::floor(y), fx = x - left, fy = y - top;
    const int64_t x0 = wrapped(int64_t(left), width, wrap[0]), x1 = wrapped(int64_t(left) + 1, width, wrap[0]);
    const int64_t y0 = wrapped(int64_t(top), height, wrap[1]), y1 = wrapped(int64_t(top) + 1, height, wrap[1]);
    const float *t = m.levels[level];
    const float *a = t + m.channels * (y0 * width + x0), *b = t + m.channels * (y0 * width + x1);
    const float *c = t + m.channels * (y1 * width + x0), *d = t + m.channels * (y1 * width + x1);
    for (int64_t i = 0; i < m.channels; ++i) {
        const float upper = a[i] * (1.0f - fx) + b[i] * fx, lower = c[i] * (1.0f - fx) + d[i] * fx;
        out[i] += share * (upper * (1.0f - fy) + lower * fy);
    }
}

// How a pixel falls on a map: the part of it that a round one spans, and how far an oblique one reaches.
struct Footprint {
    float u, v, area, along[2];
};

inline void sample(const NearMap &m, const int32_t *wrap, const Footprint &f, float *out) {
    for (int64_t i = 0; i < m.channels; ++i) out[i] = 0;
    const float texels = f.area * float(m.size[0]) * float(m.size[1]);
    const float fine = std::nearbyint(0.5f * std::log2(texels > 1e-6f ? texels : 1e-6f));
    const int64_t level = int64_t(clamp(fine, 0.0f, float(m.count - 1)));
    const float reach = std::fmax(std::fabs(f.along[0]) * float(m.size[2 * level + 1]),
                                  std::fabs(f.along[1]) * float(m.size[2 * level]));
    const int taps = int(clamp(std::ceil(reach), 1.0f, float(TAPS)));
    for (int k = 0; k < taps; ++k) {
        const float tap = (float(k) + 0.5f) / float(taps) - 0.5f;
        look_up(m, level, wrap, f.u + tap * f.along[0], f.v + tap * f.along[1], 1.0f / float(taps), out);
    }
}

// A normal bent by a map's value, shorter where normals differ. turned: -1 where the back is seen. averaged: whether the
// value is a mean of several.
inline Vec3 bend(Vec3 normal, const float *tangents, float turned, const float *value, float scale, bool averaged) {
    const float size = length(normal) * (averaged ? std::fmin(length(load(value)), 1.0f) : 1.0f);
    const Vec3 outward = turned * normal;
    Vec3 made = value[2] * outward;
    for (int i = 0; i < 2; ++i) {
        const Vec3 t = load(tangents + 3 * i), flat = t - dot(t, outward) * outward;
        made = made + (scale * value[i] / std::fmax(length(flat), 1e-30f)) * flat;
    }
    return (turned * size) * unit(made);
}

// A shading normal turned towards the surface's own as far as a mirror's reflection needs to stay above it (Cycles,
// ensure_valid_specular_reflection).
inline Vec3 lift(Vec3 surface, Vec3 normal, Vec3 view) {
    const float z = std::fmax(dot(view, surface), 1e-4f), least = std::fmin(0.9f * z, 0.01f);
    if (!(2.0f * dot(normal, view) * dot(normal, surface) - z < least)) return normal;
    const Vec3 tilt = unit(normal - dot(normal, surface) * surface);
    const float x = dot(view, tilt), a = std::fmax(x * x + z * z, 1e-8f);
    const float b = 2.0f * (a + z * least), c = (least + z) * (least + z);
    const float root = std::sqrt(std::fmax(b * b - 4.0f * a * c, 0.0f));
    const float square = clamp(0.25f * (x < 0 ? b + root : b - root) / a, 0.0f, 1.0f);
    return std::sqrt(1.0f - square) * tilt + std::sqrt(square) * surface;
}

inline void store(Vec3 v, float *to) { to[0] = v.x, to[1] = v.y, to[2] = v.z; }

inline Vec3 turn_towards(Vec3 side, const float *normal) {
    const Vec3 n = load(normal);
    return dot(n, side) < 0 ? -1.0f * n : n;
}

}  // namespace

// Of triangles: plane (F, 3) unit normals, tangents (F, 2, 3) along which U and V grow, density (F,) UV area per area,
// slope (F, 2, 3) gradients of U and V, kind (F,) into materials. Of points: row (count,) of triangles, position, normal
// (count, 3), uv (count, 2), color (count, 4), pixel (count,) a pixel's edge there. eye (4,): as triangles_points takes
// it. Out: normal, shading, base (count, 3), roughness, metallic, opacity (count,).
NEAR_KERNEL(skin_describe)(const float *plane, const float *tangents, const float *density, const float *slope,
                           const int32_t *kind, const NearMaterial *materials, const int32_t *row,
                           const float *position, const float *mean, const float *uv, const float *color,
                           const float *pixel, int64_t count, const float *eye, double footprint, double oblique,
                           double least, double spread, float *normal, float *shading, float *base, float *roughness,
                           float *metallic, float *opacity, int64_t threads) {
    return guard([&] {
        parallel_ranges(threads, count, 256, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const int64_t face = row[i];
                const NearMaterial &m = materials[kind[face]];
                const Vec3 view = unit(load(eye) - eye[3] * load(position + 3 * i)), n = load(plane + 3 * face);
                const float facing = dot(n, view), turned = facing < 0 ? -1.0f : 1.0f;
                const float steep = std::fmax(std::fabs(facing), float(least));
                Footprint f{uv[2 * i], uv[2 * i + 1], float(footprint) * density[face] * pixel[i] * pixel[i], {0, 0}};
                if (steep < float(oblique)) {
                    const Vec3 reach = (pixel[i] / steep) * unit(view - facing * n);
                    for (int a = 0; a < 2; ++a) f.along[a] = dot(load(slope + 6 * face + 3 * a), reach);
                }
                float found[4], rgba[4], rough = m.roughness, metal = m.metallic;
                for (int c = 0; c < 4; ++c)
                    rgba[c] = color[4 * i + c] * (c < 3 ? color[4 * i + 3] * m.color[3] : 1.0f) * m.color[c];
                if (m.map[0].count) {
                    sample(m.map[0], m.wrap, f, found);
                    for (int c = 0; c < 4; ++c) rgba[c] *= found[c];
                }
                if (m.map[1].count) sample(m.map[1], m.wrap, f, found), rough *= found[0];
                if (m.map[2].count) sample(m.map[2], m.wrap, f, found), metal *= found[0];
                Vec3 bent = load(mean + 3 * i);
                if (m.map[3].count) {
                    sample(m.map[3], m.wrap, f, found);
                    const bool averaged = f.area * float(m.map[3].size[0]) * float(m.map[3].size[1]) > 2.0f;
                    bent = bend(bent, tangents + 6 * face, turned, found, m.normal_scale, averaged);
                }
                const float size = length(bent);
                store(turned * n, normal + 3 * i);
                store(lift(turned * n, (1.0f / std::fmax(size, 1e-6f)) * bent, view), shading + 3 * i);
                // normals that differ within a pixel spread its reflection (Toksvig 2005)
                const float wide = float(spread) * std::fmin((1.0f - size) / std::fmax(size, 0.1f), 0.2f);
                roughness[i] = std::sqrt(std::sqrt(clamp(rough * rough * rough * rough + wide, 0.0f, 1.0f)));
                metallic[i] = metal, opacity[i] = clamp(rgba[3], 0.0f, 1.0f);
                for (int c = 0; c < 3; ++c) base[3 * i + c] = rgba[c] / std::fmax(rgba[3], 1e-6f);
            }
        });
    });
}

// vertices (V, 3), faces (F, 3), plane (F, 3) unit normals, smooth (V, 3) those of corners or null. row (count,) of faces,
// position, mean (count, 3) of points and their normals. Out (count, 3): foot, where they touch their triangles; normal,
// round: of these and of the smooth surface that they stand for, on the side that is seen; rise: the way up to it.
NEAR_KERNEL(skin_feet)(const float *vertices, const int32_t *faces, const float *plane, const float *smooth,
                       const int32_t *row, const float *position, const float *mean, int64_t count, float *foot,
                       float *normal, float *round, float *rise, int64_t threads) {
    return guard([&] {
        parallel_ranges(threads, count, 512, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const int32_t *corner = faces + 3 * int64_t(row[i]);
                const Vec3 first = load(vertices + 3 * int64_t(corner[0])), side = load(mean + 3 * i);
                const Vec3 e1 = load(vertices + 3 * int64_t(corner[1])) - first;
                const Vec3 e2 = load(vertices + 3 * int64_t(corner[2])) - first, away = load(position + 3 * i) - first;
                // shares of the corners, as of the point of the plane that is nearest, then inside the triangle
                const double d11 = dot(e1, e1), d12 = dot(e1, e2), d22 = dot(e2, e2), d1 = dot(away, e1), d2 = dot(away, e2);
                const double over = 1 / std::fmax(d11 * d22 - d12 * d12, 1e-30);
                const double v = (d22 * d1 - d12 * d2) * over, w = (d11 * d2 - d12 * d1) * over;
                double share[3] = {std::fmax(1 - v - w, 0.0), std::fmax(v, 0.0), std::fmax(w, 0.0)};
                const double total = std::fmax(share[0] + share[1] + share[2], 1e-30);
                for (double &each : share) each /= total;
                const Vec3 at = first + float(share[1]) * e1 + float(share[2]) * e2;
                store(at, foot + 3 * i);
                store(turn_towards(side, plane + 3 * int64_t(row[i])), normal + 3 * i);
                store(unit(side), round + 3 * i);
                Vec3 up{0, 0, 0};
                for (int c = 0; smooth && c < 3; ++c) {
                    const Vec3 n = turn_towards(side, smooth + 3 * int64_t(corner[c]));
                    const float below = std::fmin(dot(at - load(vertices + 3 * int64_t(corner[c])), n), 0.0f);
                    up = up - (float(share[c]) * below) * n;
                }
                store(up, rise + 3 * i);
            }
        });
    });
}

// foot, normal, rise: as skin_feet gives them. Of rays: row (count,) of these, direction (count, 3) unit, above (count,).
// grazing: cosine with a triangle below which rays begin on the smooth surface. Out: origin (count, 3), free (count,).
NEAR_KERNEL(skin_leave)(const float *foot, const float *normal, const float *rise, const int64_t *row,
                        const float *direction, const float *above, int64_t count, double grazing, float *origin,
                        uint8_t *free, int64_t threads) {
    return guard([&] {
        parallel_ranges(threads, count, 2048, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                const Vec3 n = load(normal + 3 * row[i]), up = load(rise + 3 * row[i]);
                const float cosine = dot(n, load(direction + 3 * i)), part = clamp(1.0f - cosine / float(grazing), 0.0f, 1.0f);
                store(load(foot + 3 * row[i]) + above[i] * n + part * up, origin + 3 * i);
                free[i] = cosine > 0 || part * part * dot(up, up) > above[i] * above[i];
            }
        });
    });
}
