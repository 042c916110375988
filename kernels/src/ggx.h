// GGX microfacets, a low-discrepancy sequence and light-map lookup, shared by ggx.cpp and grid.cpp.
// Everything has internal linkage: the units that include this are compiled once per instruction set.
#pragma once
#include <cmath>
#include <cstdint>

namespace {

typedef float Float4 __attribute__((vector_size(16)));

constexpr float PI = 3.14159265358979323846f;

struct Vec3 {
    float x, y, z;
};

inline Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec3 operator*(float s, Vec3 a) { return {s * a.x, s * a.y, s * a.z}; }
inline float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Vec3 load(const float *p) { return {p[0], p[1], p[2]}; }

// Row-major 3x3 times column vector.
inline Vec3 turn(const float *m, Vec3 a) { return {dot(load(m), a), dot(load(m + 3), a), dot(load(m + 6), a)}; }

inline float clamp(float a, float low, float high) { return a > low ? (a < high ? a : high) : low; }  // NaN -> low
inline int clamp_index(int a, int low, int high) { return a < low ? low : (a > high ? high : a); }

inline Vec3 normalize(Vec3 a) { return (1.0f / std::sqrt(clamp(dot(a, a), 1e-30f, 1e30f))) * a; }

// Two unit vectors that complete the unit vector n to a right-handed frame (Duff et al., JCGT 6(1), 2017).
inline void tangents(Vec3 n, Vec3 &s, Vec3 &t) {
    const float sign = std::copysign(1.0f, n.z), a = -1.0f / (sign + n.z), b = n.x * n.y * a;
    s = {1.0f + sign * n.x * n.x * a, sign * b, -sign * n.x};
    t = {b, sign + n.y * n.y * a, -n.y};
}

// Four-quadrant arctangent, error below 1e-6 rad (polynomial: Abramowitz and Stegun 4.4.49).
inline float arctan2(float y, float x) {
    const float ax = std::fabs(x), ay = std::fabs(y), big = ax > ay ? ax : ay, small = ax > ay ? ay : ax;
    const float q = small / (big > 1e-30f ? big : 1e-30f), s = q * q;
    float p = 0.0028662257f;
    p = p * s - 0.0161657367f;
    p = p * s + 0.0429096138f;
    p = p * s - 0.0752896400f;
    p = p * s + 0.1065626393f;
    p = p * s - 0.1420889944f;
    p = p * s + 0.1999355085f;
    p = p * s - 0.3333314528f;
    p = (p * s + 1.0f) * q;
    p = ay > ax ? 0.5f * PI - p : p;
    p = x < 0.0f ? PI - p : p;
    return y < 0.0f ? -p : p;
}

// sin and cos of 2 pi u for u in [0, 1): Taylor about the nearest quarter turn, error below 1e-6.
inline void sincos_turn(float u, float &s, float &c) {
    const int quarter = int(u * 4.0f + 0.5f);
    const float a = (u - 0.25f * float(quarter)) * (2.0f * PI), q = a * a;
    const float sa = a * (1.0f + q * (-1.0f / 6 + q * (1.0f / 120 + q * (-1.0f / 5040))));
    const float ca = 1.0f + q * (-0.5f + q * (1.0f / 24 + q * (-1.0f / 720 + q * (1.0f / 40320))));
    const float x = quarter & 1 ? -sa : ca, y = quarter & 1 ? ca : sa;
    c = quarter & 2 ? -x : x;
    s = quarter & 2 ? -y : y;
}

inline uint32_t hash(uint32_t a) {  // PCG output permutation (Jarzynski and Olano, JCGT 9(3), 2020)
    a = a * 747796405u + 2891336453u;
    a = ((a >> ((a >> 28) + 4)) ^ a) * 277803737u;
    return (a >> 22) ^ a;
}

inline uint32_t reverse_bits(uint32_t a) {
    a = (a << 16) | (a >> 16);
    a = ((a & 0x00ff00ffu) << 8) | ((a & 0xff00ff00u) >> 8);
    a = ((a & 0x0f0f0f0fu) << 4) | ((a & 0xf0f0f0f0u) >> 4);
    a = ((a & 0x33333333u) << 2) | ((a & 0xccccccccu) >> 2);
    return ((a & 0x55555555u) << 1) | ((a & 0xaaaaaaaau) >> 1);
}

inline float unit_float(uint32_t a) { return float(a >> 8) * (1.0f / 16777216.0f); }

// Hammersley point `i` of `count`, rotated on the torus by (r1, r2).
inline void hammersley(uint32_t i, uint32_t count, uint32_t r1, uint32_t r2, float &u1, float &u2) {
    const uint64_t step = (uint64_t(2 * i + 1) << 31) / count;
    u1 = unit_float(uint32_t(step) + r1);
    u2 = unit_float(reverse_bits(i) + r2);
}

// A microfacet normal seen from v (local frame, z = normal), GGX visible-normal distribution by spherical caps
// (Dupuy and Benyoub, 2023).
inline Vec3 visible_normal(Vec3 v, float alpha, float u1, float u2) {
    const Vec3 w = normalize({alpha * v.x, alpha * v.y, v.z});
    float s, c;
    sincos_turn(u1, s, c);
    const float z = 1.0f - u2 * (1.0f + w.z), r = std::sqrt(clamp(1.0f - z * z, 0.0f, 1.0f));
    const Vec3 h = Vec3{r * c, r * s, z} + w;
    return normalize({alpha * h.x, alpha * h.y, clamp(h.z, 1e-7f, 2.0f)});
}

// One draw of the reflection lobe: direction l (local), G2/G1, Schlick's (1 - v.h)^5, density of l.
struct Reflection {
    Vec3 l;
    float weight, fresnel, density;
};

inline float smith_root(float z, float alpha2) { return std::sqrt(z * z + alpha2 * (1.0f - z * z)); }

inline Reflection reflect(Vec3 v, float alpha, float u1, float u2) {
    const Vec3 h = visible_normal(v, alpha, u1, u2);
    const float vh = clamp(dot(v, h), 0.0f, 1.0f), a2 = alpha * alpha;
    const Vec3 l = 2.0f * vh * h - v;
    const float root_v = smith_root(v.z, a2), lz = clamp(l.z, 0.0f, 1.0f), root_l = smith_root(lz, a2);
    const float weight = lz * (v.z + root_v) / (lz * root_v + v.z * root_l + 1e-12f);  // height-correlated
    const float m = 1.0f - vh, m2 = m * m;
    const float q = h.z * h.z * (a2 - 1.0f) + 1.0f, d = a2 / (PI * q * q);
    return {l, l.z > 0.0f ? weight : 0.0f, m2 * m2 * m, d / (2.0f * (v.z + root_v))};
}

// Equirect mip pyramid: level k has (height >> k) rows of twice as many RGB0 texels; the last level is 2 x 4.
struct Pyramid {
    const float *texels;
    int32_t height, levels;
};

inline const float *pyramid_level(const Pyramid &p, int level) {  // sizes are powers of two: a geometric series
    const int64_t size = 2 * int64_t(p.height) * p.height;
    return p.texels + 4 * ((size - (size >> (2 * level))) / 3 * 4);
}

// Bilinear texel of one level; azimuth wraps, and beyond a pole lies the same row half a turn on.
inline Float4 bilinear(const float *texels, int height, float u, float v) {
    const int width = 2 * height;
    const float x = u * float(width) - 0.5f, y = v * float(height) - 0.5f;
    const float fx0 = std::floor(x), fy0 = std::floor(y), fx = x - fx0, fy = y - fy0;
    const int x0 = int(fx0), y0 = int(fy0);
    const Float4 *t = reinterpret_cast<const Float4 *>(texels);
    auto row = [&](int r) {
        const int turn = r < 0 || r >= height ? height : 0;
        const Float4 *line = t + int64_t(width) * clamp_index(r, 0, height - 1);
        return (1.0f - fx) * line[(x0 + turn) & (width - 1)] + fx * line[(x0 + 1 + turn) & (width - 1)];
    };
    return (1.0f - fy) * row(y0) + fy * row(y0 + 1);
}

inline void equirect(Vec3 d, float &u, float &v) {
    u = clamp(0.5f - arctan2(d.y, d.x) * (0.5f / PI), 0.0f, 1.0f);
    v = clamp(arctan2(std::sqrt(d.x * d.x + d.y * d.y), d.z) * (1.0f / PI), 0.0f, 1.0f);
}

inline Float4 sample(const Pyramid &p, Vec3 d, float lod) {
    float u, v;
    equirect(d, u, v);
    lod = clamp(lod, 0.0f, float(p.levels - 1));
    const int k = int(lod);
    const float f = lod - float(k);
    const Float4 a = bilinear(pyramid_level(p, k), p.height >> k, u, v);
    if (f == 0.0f) return a;
    return (1.0f - f) * a + f * bilinear(pyramid_level(p, k + 1), p.height >> (k + 1), u, v);
}

// Level whose texels (at the equator) cover the solid angle of one of `count` samples drawn with this density.
inline float footprint(const Pyramid &p, float density, int count) {
    const float texel = PI * PI / (float(p.height) * float(p.height));
    return 0.5f * std::log2(1.0f / (float(count) * density * texel + 1e-30f));
}

}  // namespace
