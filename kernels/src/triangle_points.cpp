// What lies under each pixel as points to shade, and pictures of these. Specification: kernels/twins/triangles.py.
#include <vector>

#include "api.h"
#include "threads.h"
#include "triangles.h"

namespace near_kernels {
namespace {

constexpr float SAME_NORMAL = 0.9f;   // cosine from which two samples of a pixel are one point
constexpr float SAME_PLANE = 2.0f;    // pixels by which they may stand apart along their normal
constexpr float SAME_PLACE = 0.02f;   // of the map by which they may lie apart on it

typedef float FloatOctet __attribute__((vector_size(4 * OCTET)));

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

// A face of a mesh as samples see it.
struct Face {
    const int32_t* corner;
    float plane[3];  // its unit normal, on the side of the camera

    Face() = default;
    Face(const Mesh& m, int64_t row) : corner(m.faces + 3 * row) {
        const float* x[3];
        for (int i = 0; i < 3; ++i) x[i] = m.vertices + 3 * int64_t(corner[i]);
        double a[3], b[3];
        for (int c = 0; c < 3; ++c) a[c] = double(x[1][c]) - x[0][c], b[c] = double(x[2][c]) - x[0][c];
        const double n[3] = {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
        const double length = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
        double facing = 0;
        for (int c = 0; c < 3; ++c) facing += n[c] * (m.eye[c] - m.eye[3] * x[0][c]);
        for (int c = 0; c < 3; ++c) plane[c] = float(n[c] / std::fmax(length, 1e-30) * (facing < 0 ? -1 : 1));
    }

    // Adds to a point's attributes what varies evenly, of shares of the corners.
    void mix(const Mesh& mesh, const double* share, float* attribute) const {
        const auto add = [&](const float* values, int width, float* out) {
            for (int c = 0; c < width; ++c) {
                double sum = 0;
                for (int i = 0; i < 3; ++i) sum += share[i] * values[width * int64_t(corner[i]) + c];
                out[c] += float(sum);
            }
        };
        add(mesh.vertices, 3, attribute);
        if (mesh.uv) add(mesh.uv, 2, attribute + 6);
        if (mesh.color) return add(mesh.color, 4, attribute + 8);
        for (int c = 8; c < 12; ++c) attribute[c] += float(share[0] + share[1] + share[2]);
    }

    // Unit normals of samples by their shares, on the side of the camera.
    void orient(const Mesh& mesh, const FloatLanes* share, FloatLanes* normal) const {
        for (int c = 0; c < 3; ++c) normal[c] = all(plane[c]);
        if (!mesh.normal) return;
        FloatLanes bent[3], along = all(0.0f), square = all(0.0f);
        for (int c = 0; c < 3; ++c) {
            bent[c] = all(0.0f);
            for (int i = 0; i < 3; ++i) bent[c] += share[i] * mesh.normal[3 * int64_t(corner[i]) + c];
            along += bent[c] * plane[c], square += bent[c] * bent[c];
        }
        const FloatLanes size = root(square), over = 1.0f / (along < 0.0f ? -size : size);
        for (int c = 0; c < 3; ++c) normal[c] = size > 1e-6f ? bent[c] * over : normal[c];
    }
};

// What a face shows under a pixel: the sum of its samples by their weights, and its first sample, where others are to
// be compared with it.
struct ShownFace {
    Point sum, first;
};

// Triangles that were met last: the next pixel mostly shows one of them.
constexpr int64_t KNOWN = 64;
struct Known {
    int64_t row = -1;
    bool sound = false;
    Triangle triangle;
    Face face;
};

inline double sum(const DoubleLanes& v) {
    double lane[OCTET];
    std::memcpy(lane, &v, sizeof v);
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

// x, y: a pixel's centre. chosen: its samples that show the face, one at least. depth, through: of all its samples, the
// latter null where all weigh 1. alone: whether no other face is seen there.
inline ShownFace show(const Mesh& mesh, const Triangle& t, const Face& face, double x, double y, const Offsets& offsets,
                      uint32_t chosen, const float* depth, const float* through, bool alone) {
    float weight[LANES] = {};
    ShownFace shown = {};
    for (uint32_t rest = chosen; rest; rest &= rest - 1) {
        const int s = __builtin_ctz(rest);
        weight[s] = through ? through[s] : 1.0f;
        shown.sum.weight += weight[s];
        shown.sum.attribute[12] += weight[s] * depth[s];
    }
    double share[3][MAX_SAMPLES] = {}, total[3] = {};
    for (int o = 0; o < offsets.octets; ++o) {
        Shares shares(t, x + offsets.x[o], y + offsets.y[o]);
        for (auto& each : shares.corner) each = each > 0.0 ? each : DoubleLanes{};
        const DoubleLanes over = 1.0 / (shares.sum() > 0.0 ? shares.sum() : DoubleLanes{} + 1.0);
        const DoubleLanes own = __builtin_convertvector(load_lanes<FloatOctet>(weight + o * OCTET), DoubleLanes);
        for (int i = 0; i < 3; ++i) {
            const DoubleLanes part = shares.corner[i] * over;
            std::memcpy(share[i] + o * OCTET, &part, sizeof part);
            total[i] += sum(own * part);
        }
    }
    FloatLanes lanes[3], bent[3];
    for (int i = 0; i < 3; ++i)
        for (int k = 0; k < LANES; ++k) lanes[i][k] = float(share[i][k]);
    face.orient(mesh, lanes, bent);
    const auto weights = load_lanes<FloatLanes>(weight);
    for (int c = 0; c < 3; ++c) shown.sum.attribute[3 + c] = ::sum(weights * bent[c]);
    face.mix(mesh, total, shown.sum.attribute);
    if (alone) return shown;
    const int lead = __builtin_ctz(chosen);
    const double own[3] = {share[0][lead], share[1][lead], share[2][lead]};
    face.mix(mesh, own, shown.first.attribute);
    for (int c = 0; c < 3; ++c) shown.first.attribute[3 + c] = bent[c][lead];
    shown.first.attribute[12] = depth[lead];
    return shown;
}

// Whether a face's samples belong to a point: the same material, place on the map, direction and plane. The first
// sample of each speaks for it.
inline bool belongs(const Mesh& m, const Point& first, const Point& sample, float pixel) {
    if (m.material && m.material[first.face] != m.material[sample.face]) return false;
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
}  // namespace near_kernels

using namespace near_kernels;

// The points under the pixels of one mesh: samples of its faces, first_face up to first_face + count, that belong
// together. through (height, width, samples): weight of each sample, null where all weigh 1. pixel_size: of a pixel at
// depth 1, or at any depth where orthographic, in the mesh's units. Out, by pixel: pixel, row of the first sample's face,
// weight, depth (capacity,), position, bent (capacity, 3), place (capacity, 2), tint (capacity, 4), as Point; owner
// (height, width, samples): each sample's point, or -1; found: their number, where it is above capacity nothing else.
NEAR_KERNEL(triangles_points)(const float* vertices, const float* normal, const float* uv, const float* color,
                         const int32_t* faces, const int32_t* material, int64_t count, int64_t first_face,
                         const float* pose, const float* intrinsics, int64_t width, int64_t height,
                         int64_t orthographic, const float* offset, int64_t samples, const float* eye,
                         double pixel_size, const int32_t* face, const float* depth, const float* through,
                         int64_t capacity, int32_t* pixel, int32_t* row, float* weight, float* position, float* bent,
                         float* place, float* tint, float* deep, int32_t* owner, int64_t* found, int64_t threads) {
    return guard([&] {
        const View view{pose, intrinsics, width, height, 0, INFINITY, orthographic != 0};
        const Mesh mesh{vertices, normal, uv, color, faces, material, eye};
        const Offsets offsets(offset, samples);
        const int64_t bands = (height + BAND - 1) / BAND;
        std::vector<std::vector<Point>> made(static_cast<size_t>(bands));
        parallel_chunks(threads, bands, [&](int64_t band) {
            auto& points = made[size_t(band)];
            const int64_t top = band * BAND, bottom = top + BAND < height ? top + BAND : height;
            Point first[MAX_SAMPLES];
            Known known[KNOWN];
            for (int64_t at = top * width; at < bottom * width; ++at) {
                const size_t start = points.size();
                uint32_t rest = 0;
                std::memset(owner + at * samples, -1, size_t(samples) * sizeof(int32_t));
                for (int64_t s = 0; s < samples; ++s) {
                    const int64_t of = int64_t(face[at * samples + s]) - first_face;
                    rest |= uint32_t(face[at * samples + s] >= 0 && of >= 0 && of < count) << s;
                }
                while (rest) {
                    const int32_t number = face[at * samples + __builtin_ctz(rest)];
                    const int64_t of = number - first_face;
                    uint32_t chosen = 0;
                    for (uint32_t other = rest; other; other &= other - 1) {
                        const int s = __builtin_ctz(other);
                        chosen |= uint32_t(face[at * samples + s] == number) << s;
                    }
                    rest &= ~chosen;
                    Known& it = known[of % KNOWN];
                    if (it.row != of) {
                        const auto see = [&](int i) { return Corner(view, vertices + 3 * int64_t(faces[3 * of + i])); };
                        it.row = of, it.sound = make_triangle(view, see(0), see(1), see(2), 1.0f, it.triangle);
                        it.face = Face(mesh, of);
                    }
                    if (!it.sound) continue;
                    const bool alone = !rest && points.size() == start;
                    ShownFace shown = show(mesh, it.triangle, it.face, at % width + 0.5, at / width + 0.5, offsets,
                                           chosen, depth + at * samples, through ? through + at * samples : nullptr,
                                           alone);
                    shown.sum.pixel = int32_t(at), shown.sum.face = shown.first.face = int32_t(of);
                    const float size = float(pixel_size) * (orthographic ? 1.0f : shown.first.attribute[12]);
                    size_t g = 0;
                    while (start + g < points.size() && !belongs(mesh, first[g], shown.first, size)) ++g;
                    for (; chosen; chosen &= chosen - 1) owner[at * samples + __builtin_ctz(chosen)] = int32_t(g);
                    if (start + g == points.size()) {
                        first[g] = shown.first;
                        points.push_back(shown.sum);
                        continue;
                    }
                    Point& sum = points[start + g];
                    for (int c = 0; c < 13; ++c) sum.attribute[c] += shown.sum.attribute[c];
                    sum.weight += shown.sum.weight;
                }
            }
        });
        std::vector<int64_t> begin(size_t(bands) + 1, 0);
        for (size_t b = 0; b < size_t(bands); ++b) begin[b + 1] = begin[b] + int64_t(made[b].size());
        *found = begin[size_t(bands)];
        if (*found > capacity) return;
        parallel_chunks(threads, bands, [&](int64_t band) {
            const int64_t base = begin[size_t(band)];
            int64_t point = 0;
            const auto& points = made[size_t(band)];
            for (int64_t i = 0; i < int64_t(points.size()); ++i) {
                const Point& p = points[size_t(i)];
                pixel[base + i] = p.pixel, row[base + i] = p.face;
                weight[base + i] = p.weight / float(samples);
                const float over = std::fmax(p.weight, 1e-20f);
                const auto put = [&](float* out, int64_t wide, int64_t from) {
                    for (int64_t c = 0; c < wide; ++c) out[wide * (base + i) + c] = p.attribute[from + c] / over;
                };
                put(position, 3, 0), put(bent, 3, 3), put(place, 2, 6), put(tint, 4, 8), put(deep, 1, 12);
            }
            const int64_t top = band * BAND, bottom = top + BAND < height ? top + BAND : height;
            for (int64_t at = top * width; at < bottom * width; ++at) {
                while (point < int64_t(points.size()) && points[size_t(point)].pixel < at) ++point;
                for (int64_t s = 0; s < samples; ++s)
                    if (owner[at * samples + s] >= 0) owner[at * samples + s] += int32_t(base + point);
            }
        });
    });
}

// A picture of points: each sample counts in the pixels around by weight (samples, 2 reach + 1, 2 reach + 1), row and
// column of the pixel from its own. pixel, owner: as triangles_points gives them. through: as it takes it.
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
        const int64_t side = 2 * reach + 1, area = side * side, padded = (area + LANES - 1) / LANES * LANES;
        const int64_t wide = (channels + OCTET) / OCTET * OCTET;  // channels and alpha
        std::vector<float> weights(size_t(samples * padded), 0.0f);
        for (int64_t s = 0; s < samples; ++s)
            std::memcpy(&weights[size_t(s * padded)], weight + s * area, size_t(area) * sizeof(float));
        parallel_chunks(threads, (height + BAND - 1) / BAND, [&](int64_t band) {
            const int64_t top = band * BAND, bottom = top + BAND < height ? top + BAND : height;
            const int64_t above = top > reach ? top - reach : 0;
            const int64_t below = bottom + reach < height ? bottom + reach : height;
            const int64_t begin = start[size_t(above * width)], count = start[size_t(below * width)] - begin;
            if (!count) return;
            std::vector<float> spread(size_t(count * padded), 0.0f);  // what a point weighs in the pixels around
            std::vector<float> shown(size_t(count * wide), 0.0f);     // its features and 1, times opacity
            for (int64_t at = above * width; at < below * width; ++at) {
                if (start[size_t(at)] == start[size_t(at) + 1]) continue;
                for (int64_t s = 0; s < samples; ++s) {
                    const int64_t of = owner[at * samples + s];
                    if (of < 0) continue;
                    float* sum = &spread[size_t((of - begin) * padded)];
                    for (int64_t a = 0; a < padded; a += LANES) {
                        const auto each = load_lanes<FloatLanes>(&weights[size_t(s * padded + a)]);
                        const auto more = load_lanes<FloatLanes>(sum + a) + (through ? through[at * samples + s] : 1.0f) * each;
                        std::memcpy(sum + a, &more, sizeof more);
                    }
                }
            }
            for (int64_t p = 0; p < count; ++p) {
                const float own = opacity[begin + p];
                for (int64_t c = 0; c < channels; ++c)
                    shown[size_t(p * wide + c)] = own * features[(begin + p) * channels + c];
                shown[size_t(p * wide + channels)] = own;
            }
            for (int64_t y = top; y < bottom; ++y)
                for (int64_t x = 0; x < width; ++x) {
                    const int64_t left = x > reach ? x - reach : 0, right = x + reach < width ? x + reach : width - 1;
                    for (int64_t c = 0; c < wide; c += OCTET) {
                        FloatOctet total = {};
                        for (int64_t v = y > reach ? y - reach : 0; v <= y + reach && v < height; ++v) {
                            const int64_t to = start[size_t(v * width + right) + 1];
                            const int64_t place = (y - v + reach) * side + x + reach + v * width;  // less a pixel's number
                            for (int64_t p = start[size_t(v * width + left)]; p < to; ++p)
                                total += spread[size_t((p - begin) * padded + place - pixel[p])] *
                                         load_lanes<FloatOctet>(&shown[size_t((p - begin) * wide + c)]);
                        }
                        float* out = image + (y * width + x) * channels;
                        for (int64_t k = 0; k < OCTET && c + k < channels; ++k) out[c + k] += total[k];
                        if (channels - c < OCTET) alpha[y * width + x] += total[channels - c];
                    }
                }
        });
    });
}
