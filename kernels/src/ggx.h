// GGX microfacets, a low-discrepancy sequence and light-map lookup, shared by ggx.cpp and grid.h.
// Everything has internal linkage: the units that include this are compiled once per instruction set.
#pragma once
#include <vector>

#include "lanes.h"

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

inline float luminance(Float4 a) { return 0.2126f * a[0] + 0.7152f * a[1] + 0.0722f * a[2]; }

struct VecLanes {
    FloatLanes x, y, z;
};

// Row-major 3x3 times column vectors.
inline VecLanes turn(const float *m, const VecLanes &a) {
    return {m[0] * a.x + m[1] * a.y + m[2] * a.z, m[3] * a.x + m[4] * a.y + m[5] * a.z,
            m[6] * a.x + m[7] * a.y + m[8] * a.z};
}

inline float clamp(float a, float low, float high) { return a > low ? (a < high ? a : high) : low; }  // NaN -> low

// Two unit vectors that complete the unit vector n to a right-handed frame (Duff et al., JCGT 6(1), 2017).
inline void tangents(Vec3 n, Vec3 &s, Vec3 &t) {
    const float sign = std::copysign(1.0f, n.z), a = -1.0f / (sign + n.z), b = n.x * n.y * a;
    s = {1.0f + sign * n.x * n.x * a, sign * b, -sign * n.x};
    t = {b, sign + n.y * n.y * a, -n.y};
}

// Four-quadrant arctangent, error below 1e-6 rad (polynomial: Abramowitz and Stegun 4.4.49).
inline FloatLanes arctan2(FloatLanes y, FloatLanes x) {
    const FloatLanes ax = magnitude(x), ay = magnitude(y), big = ax > ay ? ax : ay, small = ax > ay ? ay : ax;
    const FloatLanes q = small / at_least(big, 1e-30f), s = q * q;
    FloatLanes p = all(0.0028662257f);
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
inline void sincos_turn(FloatLanes u, FloatLanes &s, FloatLanes &c) {
    const IntLanes quarter = to_int(u * 4.0f + 0.5f);
    const FloatLanes a = (u - 0.25f * to_float(quarter)) * (2.0f * PI), q = a * a;
    const FloatLanes sa = a * (1.0f + q * (-1.0f / 6 + q * (1.0f / 120 + q * (-1.0f / 5040))));
    const FloatLanes ca = 1.0f + q * (-0.5f + q * (1.0f / 24 + q * (-1.0f / 720 + q * (1.0f / 40320))));
    const IntLanes odd = (quarter & 1) != 0, half = (quarter & 2) != 0;
    const FloatLanes x = odd ? -sa : ca, y = odd ? ca : sa;
    c = half ? -x : x;
    s = half ? -y : y;
}

template <class Bits>
inline Bits hash(Bits a) {  // PCG output permutation (Jarzynski and Olano, JCGT 9(3), 2020)
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

inline FloatLanes unit_float(BitLanes a) { return to_float(IntLanes(a >> 8)) * (1.0f / 16777216.0f); }

// The Hammersley points of a lobe's rays, 32 bits each: vectors of one lobe, or one vector for several.
class Hammersley {
public:
    explicit Hammersley(int64_t rays)
        : count(rays), lobes(rays < LANES && LANES % rays == 0 ? LANES / rays : 1), vectors((rays + LANES - 1) / LANES),
          shift(__builtin_ctz(uint32_t(LANES / lobes))), first(size_t(vectors * LANES)), second(first.size()) {
        for (size_t i = 0; i < first.size(); ++i) {
            const uint64_t ray = lobes > 1 ? i % size_t(rays) : i;
            first[i] = uint32_t(((2 * ray + 1) << 31) / uint64_t(rays));
            second[i] = reverse_bits(uint32_t(ray));
        }
    }

    // Lanes of a vector that are rays. shown: of how many lobes.
    IntLanes real(int64_t vector, int64_t shown) const {
        return ORDINAL < int32_t(lobes > 1 ? shown * count : count - vector * LANES);
    }

    const int64_t count, lobes, vectors;
    const int shift;  // lanes of a lobe, as a power of two
    std::vector<uint32_t> first, second;
};

// Where rays leave a surface. key: what rotates a lobe's points on the torus. surface: the geometric normal.
struct Site {
    Vec3 view, normal, surface, origin;
    float roughness;
    uint32_t key;
};

inline VecLanes operator*(FloatLanes s, const VecLanes &a) { return {s * a.x, s * a.y, s * a.z}; }
inline VecLanes operator+(const VecLanes &a, const VecLanes &b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline FloatLanes dot(const VecLanes &a, const VecLanes &b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline VecLanes normalize(const VecLanes &a) { return (1.0f / root(clamp(dot(a, a), 1e-30f, 1e30f))) * a; }

// Two unit vectors that complete unit vectors n to right-handed frames (Duff et al., JCGT 6(1), 2017).
inline void tangents(const VecLanes &n, VecLanes &s, VecLanes &t) {
    IntLanes bits;
    std::memcpy(&bits, &n.z, sizeof bits);
    const FloatLanes sign = bits < 0 ? all(-1.0f) : all(1.0f), a = -1.0f / (sign + n.z), b = n.x * n.y * a;
    s = {1.0f + sign * n.x * n.x * a, sign * b, -sign * n.x};
    t = {b, sign + n.y * n.y * a, -n.y};
}

inline FloatLanes smith_root(FloatLanes z, FloatLanes alpha2) { return root(z * z + alpha2 * (1.0f - z * z)); }

// The reflection lobes of surfels seen by a camera, one a lane.
class Lobes {
public:
    // site: a lane's each.
    explicit Lobes(const Site *const *site) {
        constexpr size_t NUMBERS = sizeof(Site) / sizeof(float);
        float row[NUMBERS][LANES], own[NUMBERS];
        const bool alike = site[0] == site[LANES - 1];
        for (int k = 0; k < (alike ? 1 : LANES); ++k) {
            std::memcpy(own, site[k], sizeof own);
            for (size_t c = 0; c < NUMBERS; ++c) row[c][k] = own[c];
        }
        FloatLanes lanes[NUMBERS];
        for (size_t c = 0; c < NUMBERS; ++c) lanes[c] = alike ? all(row[c][0]) : load_lanes<FloatLanes>(row[c]);
        const auto vector = [&](int c) { return VecLanes{lanes[c], lanes[c + 1], lanes[c + 2]}; };
        const VecLanes view = vector(0);
        n = vector(3), surface = vector(6), origin = vector(9);
        alpha = clamp(lanes[12] * lanes[12], 1e-3f, 1.0f);
        std::memcpy(&r1, &lanes[13], sizeof r1);
        r2 = hash(r1);
        tangents(n, s, t);
        v = normalize(VecLanes{dot(view, s), dot(view, t), clamp(dot(view, n), 1e-3f, 1.0f)});
        root_v = smith_root(v.z, alpha * alpha);
        cap = normalize(VecLanes{alpha * v.x, alpha * v.y, v.z});
    }

    // A vector of points' draws: directions, G2/G1 (0 where no lane is real), Schlick's (1 - v.h)^5, density. A direction
    // below the surface is mirrored above it. Microfacet normals are drawn by what the view sees of them (GGX by
    // spherical caps: Dupuy and Benyoub, 2023).
    void draw(const Hammersley &points, int64_t vector, IntLanes real, VecLanes &l, FloatLanes &weight,
              FloatLanes &fresnel, FloatLanes &density) const {
        const FloatLanes u1 = unit_float(load_lanes<BitLanes>(&points.first[size_t(vector * LANES)]) + r1);
        const FloatLanes u2 = unit_float(load_lanes<BitLanes>(&points.second[size_t(vector * LANES)]) + r2);
        FloatLanes sine, cosine;
        sincos_turn(u1, sine, cosine);
        const FloatLanes z = 1.0f - u2 * (1.0f + cap.z), r = root(clamp(1.0f - z * z, 0.0f, 1.0f));
        VecLanes h = {alpha * (r * cosine + cap.x), alpha * (r * sine + cap.y), clamp(z + cap.z, 1e-7f, 2.0f)};
        h = (1.0f / root(dot(h, h))) * h;
        const FloatLanes vh = clamp(dot(v, h), 0.0f, 1.0f);
        const VecLanes local = {2.0f * vh * h.x - v.x, 2.0f * vh * h.y - v.y, 2.0f * vh * h.z - v.z};
        const FloatLanes a2 = alpha * alpha, lz = clamp(local.z, 0.0f, 1.0f), root_l = smith_root(lz, a2);
        weight = lz * (v.z + root_v) / (lz * root_v + v.z * root_l + 1e-12f);  // height-correlated
        weight = ((local.z > 0.0f) & real) ? weight : all(0.0f);
        const FloatLanes m = 1.0f - vh, m2 = m * m, q = h.z * h.z * (a2 - 1.0f) + 1.0f;
        fresnel = m2 * m2 * m;
        density = a2 / (PI * q * q) / (2.0f * (v.z + root_v));
        l = local.x * s + local.y * t + local.z * n;
        const FloatLanes above = dot(l, surface), twice = above < 0.0f ? -2.0f * above : all(0.0f);
        l = l + twice * surface;
    }

    VecLanes origin;

private:
    VecLanes n, surface, s, t, v, cap;
    FloatLanes alpha, root_v;
    BitLanes r1, r2;
};

// Equirect mip pyramid: level k has (height >> k) rows of twice as many RGB0 texels; the last level is 2 x 4.
struct Pyramid {
    const float *texels;
    int32_t height, levels;
};

inline const float *pyramid_level(const Pyramid &p, int level) {  // sizes are powers of two: a geometric series
    const int64_t size = 2 * int64_t(p.height) * p.height;
    return p.texels + 4 * ((size - (size >> (2 * level))) / 3 * 4);
}

// Four texels of one level and their weights; azimuth wraps, and beyond a pole lies the same row half a turn on.
struct Taps {
    IntLanes at[4];
    FloatLanes weight[4];

    // share: what the weights add up to.
    Taps(const Pyramid &p, IntLanes level, FloatLanes u, FloatLanes v, FloatLanes share) {
        const BitLanes size = BitLanes{} + 2u * uint32_t(p.height) * uint32_t(p.height), twice = BitLanes(2 * level);
        const IntLanes start = IntLanes((size - (size >> twice)) * 0xaaaaaaabu * 4u);  // a third of it, four times
        const IntLanes height = all_int(p.height) >> level, width = 2 * height;
        const FloatLanes x = u * to_float(width) - 0.5f, y = v * to_float(height) - 0.5f;
        const IntLanes x0 = to_int(x + 1.0f) - 1, y0 = to_int(y + 1.0f) - 1;
        const FloatLanes fx = x - to_float(x0), fy = y - to_float(y0), low = share * (1.0f - fy), high = share * fy;
        for (int below = 0; below < 2; ++below) {
            const IntLanes r = y0 + below, turn = ((r < 0) | (r >= height)) ? height : all_int(0);
            const IntLanes line = start + width * clamp(r, all_int(0), height - 1);
            at[2 * below] = line + ((x0 + turn) & (width - 1));
            at[2 * below + 1] = line + ((x0 + 1 + turn) & (width - 1));
        }
        weight[0] = low * (1.0f - fx), weight[1] = low * fx, weight[2] = high * (1.0f - fx), weight[3] = high * fx;
    }

    void add(const Float4 *texels, Float4 *out) const {
        int32_t index[4][LANES];
        float share[4][LANES];
        std::memcpy(index, at, sizeof index);
        std::memcpy(share, weight, sizeof share);
        for (int k = 0; k < LANES; ++k)
            for (int j = 0; j < 4; ++j) out[k] += share[j][k] * texels[index[j][k]];
    }
};

// Where directions, of any length, lie on an equirect map, 0 to 1 from the left and from the top.
inline void place_on_map(const VecLanes &d, FloatLanes &u, FloatLanes &v) {
    u = clamp(0.5f - arctan2(d.y, d.x) * (0.5f / PI), 0.0f, 1.0f);
    v = clamp(arctan2(root(d.x * d.x + d.y * d.y), d.z) * (1.0f / PI), 0.0f, 1.0f);
}

// Radiance at LANES directions: bilinear in a level, linear between levels.
inline void sample(const Pyramid &p, const VecLanes &d, FloatLanes lod, Float4 *out) {
    FloatLanes u, v;
    place_on_map(d, u, v);
    lod = clamp(lod, 0.0f, float(p.levels - 1));
    const IntLanes k = to_int(lod);
    const FloatLanes f = lod - to_float(k);
    const Float4 *texels = reinterpret_cast<const Float4 *>(p.texels);
    for (int i = 0; i < LANES; ++i) out[i] = Float4{0, 0, 0, 0};
    Taps(p, k, u, v, 1.0f - f).add(texels, out);
    if (pack(f > 0.0f)) Taps(p, k + 1 < p.levels ? k + 1 : k, u, v, f).add(texels, out);
}

// Level whose texels (at the equator) cover the solid angle of one of `count` samples drawn with this density.
inline FloatLanes footprint(const Pyramid &p, FloatLanes density, int64_t count) {
    const float texel = PI * PI / (float(p.height) * float(p.height));
    return -0.5f * log2_of(float(count) * texel * density + 1e-30f);
}

}  // namespace
