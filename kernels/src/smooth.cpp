// Means over the points around, of those that mirror the same. Specification: kernels/twins/smooth.py.
#include <cmath>
#include <cstring>
#include <vector>

#include "api.h"
#include "threads.h"

namespace {

constexpr float TURN = 0.35f;  // of a lobe's alpha: deviation of normals that count
constexpr float RANGE = 0.05f; // of roughness that counts
constexpr float OFF = 2.0f;    // pixels off a point's plane up to which others count
constexpr float LEAST = 0.02f; // alpha below which a reflection is as sharp as it is

inline float apart2(const float *a, const float *b) {
    const float x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
    return x * x + y * y + z * z;
}

}  // namespace

// pixel (count,), ascending; position, plane, normal (count, 3): plane is geometric, normal of shading; roughness, size
// (count,): a pixel's edge there; values, out (count, channels).
NEAR_KERNEL(points_smooth)(const int32_t *pixel, const float *position, const float *plane, const float *normal,
                           const float *roughness, const float *size, const float *values, int64_t count,
                           int64_t channels, int64_t width, int64_t height, int64_t reach, float *out,
                           int64_t threads) {
    return near_kernels::guard([&] {
        std::vector<int32_t> first(size_t(width * height) + 1, 0);
        for (int64_t i = 0; i < count; ++i) ++first[size_t(pixel[i]) + 1];
        for (size_t p = 0; p < size_t(width * height); ++p) first[p + 1] += first[p];
        near_kernels::parallel_ranges(threads, count, 512, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                float *sum = out + channels * i;
                std::memcpy(sum, values + channels * i, sizeof(float) * size_t(channels));
                const float alpha = roughness[i] * roughness[i];
                if (alpha < LEAST) continue;
                const float turn = -0.5f / (TURN * TURN * alpha * alpha), range = -0.5f / (RANGE * RANGE);
                const float *p = position + 3 * i, *n = plane + 3 * i;
                const int64_t x = pixel[i] % width, y = pixel[i] / width;
                const int64_t top = y > reach ? y - reach : 0, bottom = y + reach < height ? y + reach : height - 1;
                const int64_t left = x > reach ? x - reach : 0, right = x + reach < width ? x + reach : width - 1;
                float total = 1;
                for (int64_t row = top; row <= bottom; ++row) {
                    const int64_t stop = first[size_t(row * width + right) + 1];
                    for (int64_t j = first[size_t(row * width + left)]; j < stop; ++j) {
                        if (j == i) continue;
                        const float *q = position + 3 * j, rough = roughness[j] - roughness[i];
                        const float off = (q[0] - p[0]) * n[0] + (q[1] - p[1]) * n[1] + (q[2] - p[2]) * n[2];
                        const float bent = turn * apart2(normal + 3 * i, normal + 3 * j) + range * rough * rough;
                        if (!(std::fabs(off) < OFF * size[i]) || !(bent > -8.0f)) continue;
                        const float weight = std::exp(bent);
                        total += weight;
                        for (int64_t c = 0; c < channels; ++c) sum[c] += weight * values[channels * j + c];
                    }
                }
                for (int64_t c = 0; c < channels; ++c) sum[c] /= total;
            }
        });
    });
}
