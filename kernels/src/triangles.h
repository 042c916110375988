// Triangles on the samples of a picture, shared by triangles.cpp and triangle_points.cpp.
// Everything has internal linkage: the units that include this are compiled once per instruction set.
#pragma once
#include "lanes.h"

namespace near_kernels {
namespace {

constexpr int64_t BAND = 8;           // rows of pixels that are worked on together
constexpr int64_t MAX_SAMPLES = 16;   // a pixel
constexpr int OCTET = 8;              // samples that are worked on together

struct Double3 {
    double x, y, z;
};

inline Double3 cross(const Double3& a, const Double3& b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}

inline double dot(const Double3& a, const Double3& b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

// A triangle in homogeneous pixel coordinates (Olano and Greer 1997): no clipping, corners may lie behind the camera.
struct Triangle {
    Double3 edge[3];   // times (x, y, 1): share of each corner, not yet divided by their sum
    double z[3];       // depth of the corners
    int32_t x0, x1, y0, y1, face;  // pixels it can touch, ends exclusive
};

struct View {
    const float* pose;  // (4, 4) frame of the vertices -> camera
    const float* k;     // (3, 3)
    int64_t width, height;
    double near, far;
    bool orthographic;
};

// A vertex as a camera sees it: in homogeneous pixel coordinates, its depth, and where it lies, if before the camera.
struct Corner {
    Double3 p;
    double z, at[2];

    Corner() = default;
    Corner(const View& v, const float* x) {
        double c[3];
        for (int r = 0; r < 3; ++r) {
            const float* row = v.pose + 4 * r;
            c[r] = double(row[0]) * x[0] + double(row[1]) * x[1] + double(row[2]) * x[2] + double(row[3]);
        }
        const double w = v.orthographic ? 1.0 : c[2];
        p = {v.k[0] * c[0] + v.k[2] * w, v.k[4] * c[1] + v.k[5] * w, w};
        z = c[2], at[0] = p.x / w, at[1] = p.y / w;
    }
};

// Whether a triangle may touch a sample up to `reach` pixels from a pixel's centre.
inline bool make_triangle(const View& v, const Corner& a, const Corner& b, const Corner& c, float reach, Triangle& t) {
    const Corner* corner[3] = {&a, &b, &c};
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (const Corner* each : corner)
        for (int k = 0; k < 2 && each->p.z > 0; ++k)
            low[k] = std::fmin(low[k], each->at[k]), high[k] = std::fmax(high[k], each->at[k]);
    if (!v.orthographic && !(std::fmin(a.z, std::fmin(b.z, c.z)) > 1e-9)) {
        if (!(std::fmax(a.z, std::fmax(b.z, c.z)) >= v.near)) return false;
        low[0] = low[1] = -1e9, high[0] = high[1] = 1e9;
    }
    const auto whole = [](double x, int64_t most) { return int32_t(std::fmin(std::fmax(x, 0.0), double(most))); };
    t.x0 = whole(std::floor(low[0] - reach), v.width), t.x1 = whole(std::ceil(high[0] + reach), v.width);
    t.y0 = whole(std::floor(low[1] - reach), v.height), t.y1 = whole(std::ceil(high[1] + reach), v.height);
    if (t.x0 >= t.x1 || t.y0 >= t.y1) return false;
    for (int i = 0; i < 3; ++i) {
        t.z[i] = corner[i]->z;
        t.edge[i] = cross(corner[(i + 1) % 3]->p, corner[(i + 2) % 3]->p);
    }
    const double determinant = dot(a.p, t.edge[0]);
    if (!(std::fabs(determinant) > 0) || !std::isfinite(determinant)) return false;
    if (determinant < 0)
        for (auto& e : t.edge) e = {-e.x, -e.y, -e.z};
    return true;
}

typedef double DoubleLanes __attribute__((vector_size(8 * OCTET)));
typedef int64_t LongLanes __attribute__((vector_size(8 * OCTET)));  // comparisons give -1 and 0

inline uint32_t pack_octet(const LongLanes& truth) {  // bit k: lane k
#if defined(__AVX512DQ__)
    return _mm512_movepi64_mask((__m512i)truth);
#else
    uint32_t bits = 0;
    for (int k = 0; k < OCTET; ++k) bits |= uint32_t(truth[k]) & 1u << k;
    return bits;
#endif
}

// Where a pixel's samples lie, OCTET by OCTET.
struct Offsets {
    int octets;
    DoubleLanes x[MAX_SAMPLES / OCTET], y[MAX_SAMPLES / OCTET];
    uint32_t real[MAX_SAMPLES / OCTET];  // lanes that are samples

    Offsets(const float* offset, int64_t samples) : octets(int((samples + OCTET - 1) / OCTET)) {
        for (int64_t s = 0; s < octets * OCTET; ++s) {
            x[s / OCTET][s % OCTET] = s < samples ? offset[2 * s] : 0.0f;
            y[s / OCTET][s % OCTET] = s < samples ? offset[2 * s + 1] : 0.0f;
        }
        for (int o = 0; o < octets; ++o)
            real[o] = (1u << (samples - o * OCTET < OCTET ? samples - o * OCTET : OCTET)) - 1;
    }
};

// What the corners have of points of the picture, not yet divided by their sum.
struct Shares {
    DoubleLanes corner[3];

    Shares(const Triangle& t, const DoubleLanes& x, const DoubleLanes& y) {
        for (int i = 0; i < 3; ++i) corner[i] = t.edge[i].x * x + (t.edge[i].y * y + t.edge[i].z);
    }
    DoubleLanes sum() const { return corner[0] + corner[1] + corner[2]; }
    uint32_t inside() const {
        return pack_octet((corner[0] >= 0.0) & (corner[1] >= 0.0) & (corner[2] >= 0.0) & (sum() > 0.0));
    }
};

}  // namespace
}  // namespace near_kernels
