// Triangles on the samples of a picture. Specification: kernels/twins/triangles.py.
#include "triangles.h"

#include <vector>

#include "api.h"
#include "threads.h"

namespace near_kernels {
namespace {

constexpr int32_t TALL = 4;  // bands from which a triangle that touches them is kept apart
constexpr int64_t GRAIN = 4096;  // vertices, triangles that are worked on together
constexpr int32_t BROAD = 6;  // pixels from which a triangle's rows are cut to where it is

// Pixels of a row, x0 up to x1, in which samples up to `reach` from their centres can lie in a triangle.
inline void cut(const Triangle& t, double y, double reach, int32_t& x0, int32_t& x1) {
    for (const Double3& e : t.edge) {
        const double slack = reach * (std::fabs(e.x) + std::fabs(e.y)) + 1e-12 * (std::fabs(e.y * y) + std::fabs(e.z));
        const double at = -(e.y * y + e.z + slack) / e.x - 0.5;  // where the edge is, and a pixel more to be sure
        if (e.x > 0 && at > x0) x0 = at < x1 ? int32_t(at) : x1;
        if (e.x < 0 && at + 2 < x1) x1 = at + 2 > x0 ? int32_t(at + 2) : x0;
    }
}

inline bool behind(float z, int32_t face, float other_z, int32_t other) {
    return z > other_z || (z == other_z && face > other);
}

// Triangles by the band in which they begin; those that are tall apart.
class Bands {
public:
    Bands(const std::vector<Triangle>& triangles, int64_t bands) : tall(bands), first(size_t(bands) + 2, 0) {
        const auto place = [&](const Triangle& t) {
            return (t.y1 - 1) / BAND - t.y0 / BAND < TALL ? t.y0 / BAND : tall;
        };
        for (const Triangle& t : triangles) ++first[size_t(place(t)) + 1];
        for (size_t b = 1; b < first.size(); ++b) first[b] += first[b - 1];
        row.resize(triangles.size());
        std::vector<uint32_t> next(first.begin(), first.end() - 1);
        for (size_t i = 0; i < triangles.size(); ++i) row[next[size_t(place(triangles[i]))]++] = uint32_t(i);
    }

    // Calls body(row) for all that may touch a band.
    template <class Body>
    void visit(int64_t band, const Body& body) const {
        const size_t from = size_t(band < TALL ? 0 : band - TALL + 1);
        for (uint32_t i = first[from]; i < first[size_t(band) + 1]; ++i) body(row[i]);
        for (uint32_t i = first[size_t(tall)]; i < first[size_t(tall) + 1]; ++i) body(row[i]);
    }

private:
    int64_t tall;
    std::vector<uint32_t> first, row;
};

// The triangles that may touch a sample, in their order: vertices (V, 3), faces (F, 3) of these.
std::vector<Triangle> find(const View& view, const float* vertices, int64_t V, const int32_t* faces, int64_t F,
                           int64_t first_face, float reach, int64_t threads) {
    std::vector<Corner> corners(static_cast<size_t>(V));
    parallel_ranges(threads, V, GRAIN, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) corners[size_t(i)] = Corner(view, vertices + 3 * i);
    });
    std::vector<std::vector<Triangle>> made(static_cast<size_t>((F + GRAIN - 1) / GRAIN));
    parallel_chunks(threads, int64_t(made.size()), [&](int64_t chunk) {
        Triangle t;
        for (int64_t f = chunk * GRAIN; f < F && f < (chunk + 1) * GRAIN; ++f) {
            const auto see = [&](int i) -> const Corner& { return corners[size_t(faces[3 * f + i])]; };
            t.face = int32_t(first_face + f);
            if (make_triangle(view, see(0), see(1), see(2), reach, t)) made[size_t(chunk)].push_back(t);
        }
    });
    size_t count = 0;
    for (const auto& some : made) count += some.size();
    std::vector<Triangle> triangles;
    triangles.reserve(count);
    for (const auto& some : made) triangles.insert(triangles.end(), some.begin(), some.end());
    return triangles;
}

}  // namespace
}  // namespace near_kernels

using namespace near_kernels;

// vertices (V, 3), faces (F, 3) of vertices; offset (samples, 2) from a pixel's centre. face, depth (height, width,
// samples): what is there so far, -1 and infinity where nothing is; face becomes first_face + the row. before_face,
// before_depth: null, or what the new samples have to lie behind (before_face -2: nothing more is wanted there).
NEAR_KERNEL(triangles_cover)(const float* vertices, int64_t vertex_count, const int32_t* faces, int64_t count,
                             int64_t first_face, const float* pose, const float* intrinsics, int64_t width,
                             int64_t height, double near, double far, int64_t orthographic, const float* offset,
                             int64_t samples, const int32_t* before_face, const float* before_depth, int32_t* face,
                             float* depth, int64_t threads) {
    return guard([&] {
        const View view{pose, intrinsics, width, height, near, far, orthographic != 0};
        const Offsets offsets(offset, samples);
        float reach = 0;
        for (int64_t s = 0; s < 2 * samples; ++s) reach = std::fmax(reach, std::fabs(offset[s]));
        const auto triangles = find(view, vertices, vertex_count, faces, count, first_face, reach, threads);
        const int64_t bands = (height + BAND - 1) / BAND;
        const Bands kept(triangles, bands);
        const auto draw = [&](const Triangle& t, int32_t top, int32_t bottom) {
            const int32_t y0 = t.y0 > top ? t.y0 : top, y1 = t.y1 < bottom ? t.y1 : bottom;
            for (int32_t y = y0; y < y1; ++y) {
                int32_t x0 = t.x0, x1 = t.x1;
                if (x1 - x0 >= BROAD) cut(t, y + 0.5, reach, x0, x1);
                for (int32_t x = x0; x < x1; ++x)
                    for (int o = 0; o < offsets.octets; ++o) {
                        const Shares shares(t, x + 0.5 + offsets.x[o], y + 0.5 + offsets.y[o]);
                        uint32_t rest = shares.inside() & offsets.real[o];
                        if (!rest) continue;
                        double z[OCTET];
                        const DoubleLanes along = (shares.corner[0] * t.z[0] + shares.corner[1] * t.z[1] +
                                                   shares.corner[2] * t.z[2]) / shares.sum();
                        std::memcpy(z, &along, sizeof z);
                        for (; rest; rest &= rest - 1) {
                            const int k = __builtin_ctz(rest);
                            const int64_t at = (int64_t(y) * width + x) * samples + o * OCTET + k;
                            const float deep = float(z[k]);
                            if (!(deep >= view.near && deep <= view.far)) continue;
                            if (before_face && !behind(deep, t.face, before_depth[at], before_face[at])) continue;
                            if (before_face && before_face[at] == -2) continue;
                            if (face[at] >= 0 && !behind(depth[at], face[at], deep, t.face)) continue;
                            face[at] = t.face;
                            depth[at] = deep;
                        }
                    }
            }
        };
        parallel_chunks(threads, bands, [&](int64_t band) {
            const int32_t top = int32_t(band * BAND), bottom = int32_t(top + BAND < height ? top + BAND : height);
            kept.visit(band, [&](uint32_t row) {
                const Triangle& t = triangles[row];
                if (t.y0 < bottom && t.y1 > top) draw(t, top, bottom);
            });
        });
    });
}
