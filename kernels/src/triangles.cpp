// Triangles on the samples of a picture, and what lies under each pixel as points to shade.
// Specification: kernels/twins/triangles.py.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "api.h"
#include "threads.h"

namespace near_kernels {
namespace {

constexpr int64_t BAND = 8;           // rows of pixels that are worked on together
constexpr int64_t MAX_SAMPLES = 16;   // a pixel
constexpr float SAME_NORMAL = 0.9f;   // cosine from which two samples of a pixel are one point
constexpr float SAME_PLANE = 2.0f;    // pixels by which they may stand apart along their normal
constexpr float SAME_PLACE = 0.02f;   // of the map by which they may lie apart on it

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

inline bool make_triangle(const View& v, const float* vertices, const int32_t* corner, float reach, Triangle& t) {
    Double3 p[3];
    double least = INFINITY, low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int i = 0; i < 3; ++i) {
        const float* x = vertices + 3 * int64_t(corner[i]);
        double c[3];
        for (int r = 0; r < 3; ++r) {
            const float* row = v.pose + 4 * r;
            c[r] = double(row[0]) * x[0] + double(row[1]) * x[1] + double(row[2]) * x[2] + double(row[3]);
        }
        const double w = v.orthographic ? 1.0 : c[2];
        p[i] = {v.k[0] * c[0] + v.k[2] * w, v.k[4] * c[1] + v.k[5] * w, w};
        t.z[i] = c[2];
        least = std::fmin(least, c[2]);
        if (w > 0) {
            const double at[2] = {p[i].x / w, p[i].y / w};
            for (int a = 0; a < 2; ++a) low[a] = std::fmin(low[a], at[a]), high[a] = std::fmax(high[a], at[a]);
        }
    }
    for (int i = 0; i < 3; ++i) t.edge[i] = cross(p[(i + 1) % 3], p[(i + 2) % 3]);
    const double determinant = dot(p[0], t.edge[0]);
    if (!(std::fabs(determinant) > 0) || !std::isfinite(determinant)) return false;
    if (determinant < 0)
        for (auto& e : t.edge) e = {-e.x, -e.y, -e.z};
    if (!v.orthographic && !(least > 1e-9)) {
        if (!(std::fmax(t.z[0], std::fmax(t.z[1], t.z[2])) >= v.near)) return false;
        low[0] = low[1] = -1e9, high[0] = high[1] = 1e9;
    }
    const auto whole = [](double x, int64_t most) { return int32_t(std::fmin(std::fmax(x, 0.0), double(most))); };
    t.x0 = whole(std::floor(low[0] - reach), v.width), t.x1 = whole(std::ceil(high[0] + reach), v.width);
    t.y0 = whole(std::floor(low[1] - reach), v.height), t.y1 = whole(std::ceil(high[1] + reach), v.height);
    return t.x0 < t.x1 && t.y0 < t.y1;
}

// Shares of the corners at a point of the picture; false outside of the triangle.
inline bool shares(const Triangle& t, double x, double y, double* share) {
    double sum = 0;
    for (int i = 0; i < 3; ++i) {
        share[i] = t.edge[i].x * x + t.edge[i].y * y + t.edge[i].z;
        if (share[i] < 0) return false;
        sum += share[i];
    }
    if (!(sum > 0)) return false;
    for (int i = 0; i < 3; ++i) share[i] /= sum;
    return true;
}

inline bool behind(float z, int32_t face, float other_z, int32_t other) {
    return z > other_z || (z == other_z && face > other);
}

}  // namespace
}  // namespace near_kernels

using namespace near_kernels;

// vertices (V, 3), faces (F, 3) of vertices; offset (samples, 2) from a pixel's centre. face, depth (height, width,
// samples): what is there so far, -1 and infinity where nothing is; face becomes first_face + the row. before_face,
// before_depth: null, or what the new samples have to lie behind (before_face -2: nothing more is wanted there).
NEAR_KERNEL(triangles_cover)(const float* vertices, const int32_t* faces, int64_t count, int64_t first_face,
                        const float* pose, const float* intrinsics, int64_t width, int64_t height, double near,
                        double far, int64_t orthographic, const float* offset, int64_t samples,
                        const int32_t* before_face, const float* before_depth, int32_t* face, float* depth,
                        int64_t threads) {
    return guard([&] {
        const View view{pose, intrinsics, width, height, near, far, orthographic != 0};
        float reach = 0;
        for (int64_t s = 0; s < 2 * samples; ++s) reach = std::fmax(reach, std::fabs(offset[s]));
        std::vector<Triangle> triangles(static_cast<size_t>(count));
        parallel_ranges(threads, count, 4096, [&](int64_t begin, int64_t end) {
            for (int64_t f = begin; f < end; ++f) {
                Triangle& t = triangles[size_t(f)];
                t.face = int32_t(first_face + f);
                if (!make_triangle(view, vertices, faces + 3 * f, reach, t)) t.y0 = t.y1 = 0;
            }
        });
        parallel_chunks(threads, (height + BAND - 1) / BAND, [&](int64_t band) {
            const int32_t top = int32_t(band * BAND), bottom = int32_t(top + BAND < height ? top + BAND : height);
            for (const Triangle& t : triangles) {
                if (t.y0 >= bottom || t.y1 <= top) continue;
                const int32_t y0 = t.y0 > top ? t.y0 : top, y1 = t.y1 < bottom ? t.y1 : bottom;
                for (int32_t y = y0; y < y1; ++y)
                    for (int32_t x = t.x0; x < t.x1; ++x)
                        for (int64_t s = 0; s < samples; ++s) {
                            double share[3];
                            if (!shares(t, x + 0.5 + offset[2 * s], y + 0.5 + offset[2 * s + 1], share)) continue;
                            const float z = float(share[0] * t.z[0] + share[1] * t.z[1] + share[2] * t.z[2]);
                            const int64_t at = (int64_t(y) * width + x) * samples + s;
                            if (!(z >= view.near && z <= view.far)) continue;
                            if (before_face && !behind(z, t.face, before_depth[at], before_face[at])) continue;
                            if (before_face && before_face[at] == -2) continue;
                            if (face[at] >= 0 && !behind(depth[at], face[at], z, t.face)) continue;
                            face[at] = t.face;
                            depth[at] = z;
                        }
            }
        });
    });
}

namespace {

struct Point {
    int32_t pixel, face;
    float weight;
    float attribute[13];  // position 3, smooth normal 3, uv 2, color 4, depth
};

struct Mesh {
    const float *vertices, *normal, *uv, *color;  // normal, uv, color: null or per vertex
    const int32_t *faces, *material;
    const float* eye;  // (4,) where the camera is, or the direction to it and 0
};

// A sample's own numbers; the normal faces the camera.
inline void describe(const Mesh& m, int64_t face, const double* share, Point& p, float* plane) {
    const int32_t* corner = m.faces + 3 * face;
    const float* x[3];
    for (int i = 0; i < 3; ++i) x[i] = m.vertices + 3 * int64_t(corner[i]);
    const auto mixed = [&](const float* values, int width, float* out) {
        for (int c = 0; c < width; ++c) {
            double sum = 0;
            for (int i = 0; i < 3; ++i) sum += share[i] * values[width * int64_t(corner[i]) + c];
            out[c] = float(sum);
        }
    };
    mixed(m.vertices, 3, p.attribute);
    double a[3], b[3];
    for (int c = 0; c < 3; ++c) a[c] = double(x[1][c]) - x[0][c], b[c] = double(x[2][c]) - x[0][c];
    double n[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
    const double length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    double facing = 0;
    for (int c = 0; c < 3; ++c) facing += n[c] * (m.eye[c] - m.eye[3] * p.attribute[c]);
    for (int c = 0; c < 3; ++c) plane[c] = float(n[c] / std::fmax(length, 1e-30) * (facing < 0 ? -1 : 1));
    float* smooth = p.attribute + 3;
    if (m.normal) {
        mixed(m.normal, 3, smooth);
        const float along = smooth[0] * plane[0] + smooth[1] * plane[1] + smooth[2] * plane[2];
        const float size = std::sqrt(smooth[0] * smooth[0] + smooth[1] * smooth[1] + smooth[2] * smooth[2]);
        for (int c = 0; c < 3; ++c) smooth[c] = size > 1e-6f ? smooth[c] / (along < 0 ? -size : size) : plane[c];
    } else {
        for (int c = 0; c < 3; ++c) smooth[c] = plane[c];
    }
    p.attribute[6] = p.attribute[7] = 0;
    for (int c = 8; c < 12; ++c) p.attribute[c] = 1;
    if (m.uv) mixed(m.uv, 2, p.attribute + 6);
    if (m.color) mixed(m.color, 4, p.attribute + 8);
}

// Whether a sample belongs to a point: the same material, place on the map, direction and plane. The point's first
// sample speaks for it.
inline bool belongs(const Mesh& m, const Point& first, int64_t first_row, const Point& sample, int64_t row, float pixel) {
    if (first.face == sample.face) return true;
    if (m.material && m.material[first_row] != m.material[row]) return false;
    float alike = 0, apart = 0;
    for (int c = 0; c < 3; ++c) {
        alike += first.attribute[3 + c] * sample.attribute[3 + c];
        apart += first.attribute[3 + c] * (sample.attribute[c] - first.attribute[c]);
    }
    const bool beside = std::fabs(sample.attribute[6] - first.attribute[6]) < SAME_PLACE &&
                        std::fabs(sample.attribute[7] - first.attribute[7]) < SAME_PLACE;
    return beside && alike > SAME_NORMAL && std::fabs(apart) < SAME_PLANE * pixel;
}

}  // namespace

// The points under the pixels of one mesh: samples of its faces, first_face up to first_face + count, that belong
// together. through (height, width, samples): weight of each sample. pixel_size: of a pixel at depth 1, or at any depth
// where orthographic, in the mesh's units. Out, by pixel: pixel, row of the first sample's face, weight (capacity),
// attribute (capacity, 13); owner (height, width, samples): each sample's point; found: their number.
NEAR_KERNEL(triangles_points)(const float* vertices, const float* normal, const float* uv, const float* color,
                         const int32_t* faces, const int32_t* material, int64_t count, int64_t first_face,
                         const float* pose, const float* intrinsics, int64_t width, int64_t height,
                         int64_t orthographic, const float* offset, int64_t samples, const float* eye,
                         double pixel_size, const int32_t* face, const float* depth, const float* through,
                         int32_t* pixel, int32_t* row, float* weight, float* attribute, int32_t* owner,
                         int64_t* found, int64_t threads) {
    return guard([&] {
        const View view{pose, intrinsics, width, height, 0, INFINITY, orthographic != 0};
        const Mesh mesh{vertices, normal, uv, color, faces, material, eye};
        const int64_t bands = (height + BAND - 1) / BAND;
        std::vector<std::vector<Point>> made(static_cast<size_t>(bands));
        parallel_chunks(threads, bands, [&](int64_t band) {
            auto& points = made[size_t(band)];
            const int64_t top = band * BAND, bottom = top + BAND < height ? top + BAND : height;
            Point first[MAX_SAMPLES];
            for (int64_t at = top * width; at < bottom * width; ++at) {
                const size_t start = points.size();
                int64_t last = -1;
                Triangle t;
                for (int64_t s = 0; s < samples; ++s) {
                    const int64_t of = face[at * samples + s] - first_face;
                    if (face[at * samples + s] < 0 || of < 0 || of >= count) continue;
                    if (of != last && !make_triangle(view, vertices, faces + 3 * of, 1.0f, t)) continue;
                    last = of;
                    double share[3] = {1. / 3, 1. / 3, 1. / 3};
                    shares(t, at % width + 0.5 + offset[2 * s], at / width + 0.5 + offset[2 * s + 1], share);
                    Point p;
                    float plane[3];
                    p.face = int32_t(of);
                    describe(mesh, of, share, p, plane);
                    p.attribute[12] = depth[at * samples + s];
                    const float w = through[at * samples + s];
                    const float size = float(pixel_size) * (orthographic ? 1.0f : p.attribute[12]);
                    size_t g = 0;
                    while (start + g < points.size() && !belongs(mesh, first[g], first[g].face, p, of, size)) ++g;
                    owner[at * samples + s] = int32_t(g);
                    if (start + g == points.size()) {
                        first[g] = p;
                        p.pixel = int32_t(at);
                        p.weight = w;
                        for (float& a : p.attribute) a *= w;
                        points.push_back(p);
                        continue;
                    }
                    Point& sum = points[start + g];
                    for (int c = 0; c < 13; ++c) sum.attribute[c] += w * p.attribute[c];
                    sum.weight += w;
                }
            }
        });
        std::vector<int64_t> begin(size_t(bands) + 1, 0);
        for (size_t b = 0; b < size_t(bands); ++b) begin[b + 1] = begin[b] + int64_t(made[b].size());
        *found = begin[size_t(bands)];
        parallel_chunks(threads, bands, [&](int64_t band) {
            const int64_t base = begin[size_t(band)];
            int64_t point = 0;
            const auto& points = made[size_t(band)];
            for (int64_t i = 0; i < int64_t(points.size()); ++i) {
                const Point& p = points[size_t(i)];
                pixel[base + i] = p.pixel, row[base + i] = p.face;
                weight[base + i] = p.weight / float(samples);
                for (int c = 0; c < 13; ++c)
                    attribute[13 * (base + i) + c] = p.attribute[c] / std::fmax(p.weight, 1e-20f);
            }
            const int64_t top = band * BAND, bottom = top + BAND < height ? top + BAND : height;
            for (int64_t at = top * width; at < bottom * width; ++at) {
                while (point < int64_t(points.size()) && points[size_t(point)].pixel < at) ++point;
                for (int64_t s = 0; s < samples; ++s) {
                    const int64_t of = face[at * samples + s] - first_face;
                    if (face[at * samples + s] >= 0 && of >= 0 && of < count)
                        owner[at * samples + s] += int32_t(base + point);
                }
            }
        });
    });
}

// A picture of points: each sample counts in the pixels around by weight (samples, 2 reach + 1, 2 reach + 1), row and
// column of the pixel from its own. pixel, owner: as triangles_points gives them. through (height, width, samples).
// opacity (points,), features (points, channels). Adds to image (height, width, channels), premultiplied, and alpha
// (height, width).
NEAR_KERNEL(triangles_resolve)(const int32_t* pixel, const float* opacity, const float* features, int64_t points,
                          int64_t channels, const int32_t* owner, const float* through, int64_t width, int64_t height,
                          int64_t samples, const float* weight, int64_t reach, float* image, float* alpha,
                          int64_t threads) {
    return guard([&] {
        std::vector<int64_t> start(size_t(width * height + 1), 0);  // of each pixel's points
        for (int64_t p = 0; p < points; ++p) ++start[size_t(pixel[p]) + 1];
        for (size_t at = 1; at < start.size(); ++at) start[at] += start[at - 1];
        const int64_t side = 2 * reach + 1, area = side * side;
        std::vector<float> spread(size_t(points * area), 0.0f);  // what a point weighs in the pixels around
        parallel_ranges(threads, width * height, 4096, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin * samples; i < end * samples; ++i) {
                if (owner[i] < 0) continue;
                float* sum = &spread[size_t(owner[i] * area)];
                const float* each = weight + i % samples * area;
                for (int64_t a = 0; a < area; ++a) sum[a] += through[i] * each[a];
            }
        });
        parallel_chunks(threads, height, [&](int64_t y) {
            for (int64_t at = y * width; at < (y + 1) * width; ++at) {
                float *out = image + at * channels, covered = 0;
                for (int64_t a = 0; a < area; ++a) {
                    const int64_t v = y + reach - a / side, u = at % width + reach - a % side;
                    if (v < 0 || v >= height || u < 0 || u >= width) continue;
                    const size_t from = size_t(v * width + u);
                    for (int64_t p = start[from]; p < start[from + 1]; ++p) {
                        const float share = spread[size_t(p * area + a)] * opacity[p];
                        covered += share;
                        for (int64_t c = 0; c < channels; ++c) out[c] += share * features[p * channels + c];
                    }
                }
                alpha[at] += covered;
            }
        });
    });
}
