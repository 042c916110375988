// Points of a picture between others, from which what they show can be interpolated. Specification:
// kernels/twins/corners.py.
#include <algorithm>
#include <vector>

#include "api.h"
#include "lanes.h"
#include "threads.h"

namespace {

using near_kernels::guard;
using near_kernels::parallel_ranges;

constexpr float TURN = 0.2f;          // of a lobe's alpha by which corners may be turned
constexpr float MOST_TURN = 0.08f;    // radians by which they may at most
constexpr float SAME_PLANE = 0.95f;   // cosine between the triangles of a point and of its corners
constexpr float RANGE = 0.02f;        // of roughness
constexpr float OFF = 0.5f;           // pixels off a point's plane up to which corners lie on its surface
constexpr int64_t APART = 2;          // pixels between the corners of a tile
constexpr float FAR = 8.0f;           // pixels that they may be away
constexpr int64_t GRAIN = 4096;       // points that are worked on together

inline float dot(const float *a, const float *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

inline float apart(const float *a, const float *b, float *way) {
    for (int c = 0; c < 3; ++c) way[c] = b[c] - a[c];
    return dot(way, way);
}

// Where a pixel lies in its tile, and the first pixel of this.
struct Place {
    int64_t across, down, x, y;

    Place(int64_t pixel, int64_t width, int64_t left, int64_t top) {
        const int64_t column = pixel % width - left, line = pixel / width - top;
        across = ((column % APART) + APART) % APART, down = ((line % APART) + APART) % APART;
        x = pixel % width - across, y = pixel / width - down;
    }
};

}  // namespace

// pixel (count,), ascending; position, plane, normal (count, 3): plane is geometric, normal of shading; roughness, size
// (count,): a pixel's edge there; even (count,): which may stand for others and be stood for. Tiles begin at pixel
// (left, top). corner (count, 4), upper left, upper right, lower left, lower right: the points at a tile's corners that
// show the surface of the one between them; -1 where one is missing, or a point lies at a corner.
NEAR_KERNEL(corners_find)(const int32_t *pixel, const float *position, const float *plane, const float *normal,
                          const float *roughness, const float *size, const uint8_t *even, int64_t count, int64_t width,
                          int64_t height, int64_t left, int64_t top, int32_t *corner, int64_t threads) {
    return guard([&] {
        std::vector<int32_t> first(size_t(width * height) + 1, 0);
        for (int64_t i = 0; i < count; ++i) ++first[size_t(pixel[i]) + 1];
        for (size_t p = 0; p < size_t(width * height); ++p) first[p + 1] += first[p];
        const auto stands = [&](int64_t i, int64_t j) {
            const float most = std::fmin(TURN * (roughness[i] * roughness[i]), MOST_TURN), reach = FAR * size[i];
            float way[3], turn[3];
            if (!even[j] || !(apart(position + 3 * i, position + 3 * j, way) < reach * reach)) return false;
            if (!(std::fabs(dot(way, plane + 3 * i)) < OFF * size[i])) return false;
            if (!(dot(plane + 3 * i, plane + 3 * j) > SAME_PLANE)) return false;
            return apart(normal + 3 * i, normal + 3 * j, turn) < most * most &&
                   std::fabs(roughness[i] - roughness[j]) < RANGE;
        };
        parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                int32_t *out = corner + 4 * i;
                std::fill(out, out + 4, -1);
                const Place at(pixel[i], width, left, top);
                if (!even[i] || !(at.across | at.down)) continue;
                const int64_t wide = at.across ? APART : 0, tall = at.down ? APART : 0;
                if (at.x < 0 || at.y < 0 || at.x + wide >= width || at.y + tall >= height) continue;
                int32_t found[4];
                bool all = true;
                for (int k = 0; k < 4 && all; ++k) {
                    const int64_t p = (at.y + (k & 2 ? tall : 0)) * width + at.x + (k & 1 ? wide : 0);
                    int32_t j = first[size_t(p)];
                    while (j < first[size_t(p) + 1] && !stands(i, j)) ++j;
                    all = j < first[size_t(p) + 1];
                    found[k] = j;
                }
                if (all) std::copy(found, found + 4, out);
            }
        });
    });
}

// Makes -1 of the corners of points between which one of values (rows, channels) differs by `most` or more. place
// (points,): the row of each that has one.
NEAR_KERNEL(corners_settle)(int32_t *corner, const int32_t *place, const float *values, int64_t count,
                            int64_t channels, double most, int64_t threads) {
    return guard([&] {
        parallel_ranges(threads, count, GRAIN, [&](int64_t begin, int64_t end) {
            int32_t known[4] = {-1, -1, -1, -1};
            bool settled = true;
            for (int64_t i = begin; i < end; ++i) {
                int32_t *own = corner + 4 * i;
                if (own[0] < 0) continue;
                if (std::memcmp(known, own, sizeof known)) {
                    std::memcpy(known, own, sizeof known);
                    settled = true;
                    for (int64_t c = 0; c < channels && settled; ++c) {
                        float low = INFINITY, high = -INFINITY;
                        for (int k = 0; k < 4; ++k) {
                            const float value = values[channels * int64_t(place[own[k]]) + c];
                            low = std::fmin(low, value), high = std::fmax(high, value);
                        }
                        settled = high - low < float(most);
                    }
                }
                for (int k = 0; k < 4 && !settled; ++k) own[k] = -1;
            }
        });
    });
}

// Interpolates values (rows, channels) of points `begin` up to `end` between their corners, where they have such: out
// (end - begin, channels), which are their own elsewhere. pixel, corner (points,): as corners_find takes and makes
// them; place: as corners_settle takes it.
NEAR_KERNEL(corners_blend)(const int32_t *pixel, const int32_t *corner, const int32_t *place, const float *values,
                           int64_t begin, int64_t end, int64_t channels, int64_t width, float *out, int64_t threads) {
    return guard([&] {
        const auto share = [&](int64_t at, int64_t from, int64_t to) {
            return to > from ? float(at - from) / float(to - from) : 0.0f;
        };
        parallel_ranges(threads, end - begin, GRAIN, [&](int64_t from, int64_t to) {
            for (int64_t i = begin + from; i < begin + to; ++i) {
                const int32_t *own = corner + 4 * i;
                float *made = out + channels * (i - begin);
                if (own[0] < 0) {
                    std::memcpy(made, values + channels * int64_t(place[i]), size_t(channels) * sizeof(float));
                    continue;
                }
                const int64_t first = pixel[own[0]], last = pixel[own[3]];
                const float u = share(pixel[i] % width, first % width, last % width);
                const float v = share(pixel[i] / width, first / width, last / width);
                const auto at = [&](int k) { return values + channels * int64_t(place[own[k]]); };
                const float *a = at(0), *b = at(1), *c = at(2), *d = at(3);
                for (int64_t k = 0; k < channels; ++k) {
                    const float upper = a[k] + u * (b[k] - a[k]), lower = c[k] + u * (d[k] - c[k]);
                    made[k] = upper + v * (lower - upper);
                }
            }
        });
    });
}
